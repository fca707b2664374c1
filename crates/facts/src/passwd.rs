//! Names of users and groups, from `/etc/passwd` and `/etc/group`.
//!
//! Accounts from elsewhere (LDAP, systemd's dynamic users) are not there: a missing name proves nothing.

use bstr::ByteSlice as _;

use crate::text::{number, owned};

/// The accounts of a host or a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

/// A line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its id.
    pub uid: u32,
    /// Its first group.
    pub gid: u32,
}

/// A line of `/etc/group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its id.
    pub gid: u32,
    /// Who is of it besides those whose first group it is.
    pub members: Vec<String>,
}

impl Accounts {
    /// Reads both files; either may be empty.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Self {
        Self {
            users: passwd.lines().filter_map(user).collect(),
            groups: group.lines().filter_map(self::group).collect(),
        }
    }

    /// The first user with this id, as the system's own lookup finds it.
    pub fn user(&self, uid: u32) -> Option<&User> {
        self.users.iter().find(|user| user.uid == uid)
    }

    /// The user of this name.
    pub fn user_named(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The first group with this id.
    pub fn group(&self, gid: u32) -> Option<&Group> {
        self.groups.iter().find(|group| group.gid == gid)
    }

    /// The group of this name.
    pub fn group_named(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// A user's name, or its number.
    pub fn show_user(&self, uid: u32) -> String {
        self.user(uid)
            .map_or_else(|| uid.to_string(), |user| user.name.clone())
    }

    /// A group's name, or its number.
    pub fn show_group(&self, gid: u32) -> String {
        self.group(gid)
            .map_or_else(|| gid.to_string(), |group| group.name.clone())
    }

    /// The groups that a user is listed in, its first one left out: what `initgroups` adds.
    pub fn groups_of(&self, name: &str) -> Vec<u32> {
        let listed = |group: &&Group| group.members.iter().any(|member| member == name);
        self.groups
            .iter()
            .filter(listed)
            .map(|group| group.gid)
            .collect()
    }
}

fn user(line: &[u8]) -> Option<User> {
    let mut fields = line.split_str(":");
    Some(User {
        name: name(fields.next()?)?,
        uid: number(fields.nth(1)?)?,
        gid: number(fields.next()?)?,
    })
}

fn group(line: &[u8]) -> Option<Group> {
    let mut fields = line.split_str(":");
    let (group, gid) = (fields.next()?, fields.nth(1)?);
    let members = fields.next().unwrap_or_default().split_str(",");
    Some(Group {
        name: name(group)?,
        gid: number(gid)?,
        members: members
            .map(|member| owned(member.trim()))
            .filter(|member| !member.is_empty())
            .collect(),
    })
}

/// `+` and `-` lines are for NIS.
fn name(field: &[u8]) -> Option<String> {
    let is_name = !matches!(field.first(), None | Some(b'#' | b'+' | b'-'));
    is_name.then(|| owned(field))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accounts() -> Accounts {
        Accounts::parse(
            b"root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n# a comment\n+::::::\nx:x:33\n",
            b"root:x:0:\nwww-data:x:33:\napp:x:50:www-data, deploy\nshort:x\n",
        )
    }

    #[test]
    fn ids_and_names_are_found_both_ways() {
        let accounts = accounts();
        assert_eq!(accounts.show_user(33), "www-data");
        assert_eq!(accounts.show_user(34), "34");
        assert_eq!(accounts.show_group(50), "app");
        assert_eq!(accounts.user_named("www-data").unwrap().gid, 33);
        assert_eq!(accounts.group_named("short"), None);
        assert_eq!(accounts.users.len(), 2);
    }

    #[test]
    fn supplementary_groups_are_those_that_list_the_user() {
        assert_eq!(accounts().groups_of("www-data"), [50]);
        assert_eq!(accounts().groups_of("deploy"), [50]);
        assert_eq!(accounts().groups_of("root"), [0; 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(passwd: Vec<u8>, group: Vec<u8>, text in "[a-z:0-9,\n]{0,60}") {
            Accounts::parse(&passwd, &group);
            Accounts::parse(text.as_bytes(), text.as_bytes());
        }
    }
}
