//! The components of a path and who may pass them, from the lines of a `Walk` record.
//!
//! Judges by owner, mode and POSIX ACL alone, as the kernel does; SELinux, AppArmor and a sandbox come on top.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use bstr::ByteSlice as _;
use jiff::Timestamp;

use crate::text::{hex, number, owned, percent_decoded};

/// A path as it was looked up, component by component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// The components, from `/` on; the last is the one the path names, or the first that could not be looked at.
    pub components: Vec<Component>,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Where it stands, links before it followed.
    pub path: PathBuf,
    /// What stands there, or the errno that ended the walk.
    pub node: Result<Node, i32>,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its type.
    pub kind: NodeKind,
    /// Permission bits with set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device, as `st_dev` has it.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of the contents.
    pub modified: Timestamp,
    /// Last change of contents, owner, mode or ACL: no program can set it.
    pub changed: Timestamp,
    /// What a symbolic link says.
    pub target: Option<PathBuf>,
    /// Its access control list.
    pub acl: AclState,
    /// Its SELinux context.
    pub selinux: Option<String>,
    /// Whether it is known that nobody may change it, not even root (`chattr +i`).
    pub is_immutable: bool,
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A socket.
    Socket,
    /// A named pipe.
    Fifo,
    /// A character device.
    Character,
    /// A block device.
    Block,
}

/// What is known of an access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclState {
    /// There is none: the mode says all.
    Absent,
    /// This one.
    Read(Acl),
    /// It could not be read, with this errno (0: it makes no sense).
    Unread(i32),
}

/// A POSIX access control list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    /// The entries, in the kernel's order.
    pub entries: Vec<AclEntry>,
}

/// An entry of an access control list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// Whom it speaks of.
    pub who: AclTag,
    /// `r` is 4, `w` is 2, `x` is 1.
    pub permissions: u32,
}

/// Whom an entry speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclTag {
    /// The owner.
    Owner,
    /// A user by id.
    User(u32),
    /// The file's group.
    OwningGroup,
    /// A group by id.
    Group(u32),
    /// The most that users and groups in the list may do, the owner left out.
    Mask,
    /// Everybody else.
    Other,
}

/// Whose rights are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// What of a node denies somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Owner, group and mode; in an ACL, the entries that repeat them.
    Mode,
    /// An entry of the ACL that names the user, or a group of the user's.
    Entry(AclEntry),
    /// The ACL's mask: this entry of it would let the user pass.
    Mask(AclEntry),
}

/// Whether a connect to the unix socket at the end of a path passes the checks of owner, mode and ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectAccess<'a> {
    /// Every component lets it pass.
    Granted,
    /// This directory may not be searched.
    NoSearch(&'a Component),
    /// What stands at the end may not be written.
    NoWrite(&'a Component),
    /// This component's ACL (or the rule for links in sticky directories) decides and could not be read.
    Unknown(&'a Component),
    /// The walk ended early, with this component's errno.
    Ended(&'a Component),
}

const WRITE: u32 = 2;
const SEARCH: u32 = 1;

impl Walk {
    /// Reads the lines documented at `ProbeRequest::Walk`; a line that is none of them is left out.
    pub fn parse(bytes: &[u8]) -> Self {
        Self {
            components: bytes.lines().filter_map(component).collect(),
        }
    }

    /// What the path names, when the walk reached it.
    pub fn end(&self) -> Option<&Node> {
        self.components.last()?.node.as_ref().ok()
    }

    /// The errno that ended the walk, and where.
    pub fn broken_at(&self) -> Option<(&Component, i32)> {
        let last = self.components.last()?;
        last.node.as_ref().err().map(|&errno| (last, errno))
    }

    /// Whether these credentials may connect to the socket at the end: every directory must let them search, and the
    /// socket must let them write (unix(7)). `None` when there is nothing to judge.
    pub fn connect_access(&self, who: &Credentials) -> Option<ConnectAccess<'_>> {
        let (last, before) = self.components.split_last()?;
        let mut directory: Option<&Node> = None;
        for component in before {
            let Ok(node) = &component.node else {
                return Some(ConnectAccess::Ended(component));
            };
            match node.kind {
                NodeKind::Directory => match node.may(who, SEARCH) {
                    Some(true) => directory = Some(node),
                    Some(false) => return Some(ConnectAccess::NoSearch(component)),
                    None => return Some(ConnectAccess::Unknown(component)),
                },
                NodeKind::Link if directory.is_some_and(|dir| node.may_be_protected(dir, who)) => {
                    return Some(ConnectAccess::Unknown(component));
                }
                _ => {}
            }
        }
        Some(match &last.node {
            Err(_) => ConnectAccess::Ended(last),
            Ok(node) => match node.may(who, WRITE) {
                Some(true) => ConnectAccess::Granted,
                Some(false) => ConnectAccess::NoWrite(last),
                None => ConnectAccess::Unknown(last),
            },
        })
    }
}

impl Node {
    /// Whether these credentials may look for names in this directory; `None` where an unread ACL decides.
    pub fn can_search(&self, who: &Credentials) -> Option<bool> {
        self.may(who, SEARCH)
    }

    /// Whether these credentials may write here, as a connect to a unix socket must; `None` where an unread ACL decides.
    pub fn can_write(&self, who: &Credentials) -> Option<bool> {
        self.may(who, WRITE)
    }

    /// What denies these credentials to search a directory, or to write to anything else; `None` where nothing does, or
    /// an unread ACL decides.
    pub fn denial(&self, who: &Credentials) -> Option<Denial> {
        let wanted = if self.kind == NodeKind::Directory {
            SEARCH
        } else {
            WRITE
        };
        if self.may(who, wanted) != Some(false) {
            return None;
        }
        match &self.acl {
            AclState::Read(acl) if who.uid != self.uid => Some(acl.denial(who, self.gid, wanted)),
            _ => Some(Denial::Mode),
        }
    }

    /// `acl_permission_check` and `posix_acl_permission` (fs/namei.c, fs/posix_acl.c). Root passes: that it may lack
    /// `CAP_DAC_OVERRIDE` is not looked at.
    fn may(&self, who: &Credentials, wanted: u32) -> Option<bool> {
        let granted = |permissions: u32| Some(permissions & wanted == wanted);
        if who.uid == 0 {
            return Some(true);
        }
        if who.uid == self.uid {
            return granted(self.mode >> 6);
        }
        // With a list, these bits are its mask; the kernel looks at the list only if it leaves anything.
        if self.mode & 0o070 != 0 {
            match &self.acl {
                AclState::Absent => {}
                AclState::Read(acl) => return Some(acl.grants(who, self.gid, wanted)),
                AclState::Unread(_) => return None,
            }
        }
        let class = if who.is_in(self.gid) {
            self.mode >> 3
        } else {
            self.mode
        };
        granted(class)
    }

    /// `may_follow_link` (fs/namei.c): with `fs.protected_symlinks`, a link in a sticky directory that all may write is
    /// followed only by its owner, or if the directory's owner made it.
    fn may_be_protected(&self, directory: &Self, who: &Credentials) -> bool {
        directory.mode & 0o1002 == 0o1002 && self.uid != who.uid && self.uid != directory.uid
    }
}

impl Credentials {
    /// Whether they are of this group.
    pub fn is_in(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// Type, mode and a `+` for an ACL, as `ls -l` has them.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            NodeKind::Directory => "d",
            NodeKind::File => "-",
            NodeKind::Link => "l",
            NodeKind::Socket => "s",
            NodeKind::Fifo => "p",
            NodeKind::Character => "c",
            NodeKind::Block => "b",
        })?;
        for (shift, special, letter) in [(6, 0o4000, "s"), (3, 0o2000, "s"), (0, 0o1000, "t")] {
            let bits = self.mode >> shift;
            f.write_str(if bits & 4 != 0 { "r" } else { "-" })?;
            f.write_str(if bits & 2 != 0 { "w" } else { "-" })?;
            match (self.mode & special != 0, bits & 1 != 0) {
                (false, false) => f.write_str("-")?,
                (false, true) => f.write_str("x")?,
                (true, true) => f.write_str(letter)?,
                (true, false) => f.write_str(&letter.to_ascii_uppercase())?,
            }
        }
        f.write_str(match self.acl {
            AclState::Absent => "",
            AclState::Read(_) => "+",
            AclState::Unread(_) => "?",
        })
    }
}

/// As `getfacl` has it, ids as numbers: `user:33:rw-`.
impl fmt::Display for AclEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.who {
            AclTag::Owner => f.write_str("user::")?,
            AclTag::User(uid) => write!(f, "user:{uid}:")?,
            AclTag::OwningGroup => f.write_str("group::")?,
            AclTag::Group(gid) => write!(f, "group:{gid}:")?,
            AclTag::Mask => f.write_str("mask::")?,
            AclTag::Other => f.write_str("other::")?,
        }
        for (bit, letter) in [(4, "r"), (2, "w"), (1, "x")] {
            f.write_str(if self.permissions & bit != 0 {
                letter
            } else {
                "-"
            })?;
        }
        Ok(())
    }
}

impl Acl {
    /// Reads the extended attribute `system.posix_acl_access`: version 2, then tag, permissions and id of each entry,
    /// little-endian (linux/posix_acl_xattr.h).
    pub fn parse(xattr: &[u8]) -> Option<Self> {
        let (version, entries) = xattr.split_first_chunk::<4>()?;
        let (entries, rest) = entries.as_chunks::<8>();
        if u32::from_le_bytes(*version) != 2 || !rest.is_empty() {
            return None;
        }
        let entries = entries.iter().map(|&entry| acl_entry(entry));
        Some(Self {
            entries: entries.collect::<Option<_>>()?,
        })
    }

    /// What of the list denies somebody whom it does deny, its owner left out.
    fn denial(&self, who: &Credentials, owning_group: u32, wanted: u32) -> Denial {
        let grants = |entry: &&AclEntry| entry.permissions & wanted == wanted;
        let mut entries = self.entries.iter();
        if let Some(user) = entries.find(|entry| entry.who == AclTag::User(who.uid)) {
            return if grants(&user) {
                Denial::Mask(*user)
            } else {
                Denial::Entry(*user)
            };
        }
        let of_group = |entry: &&AclEntry| match entry.who {
            AclTag::OwningGroup => who.is_in(owning_group),
            AclTag::Group(gid) => who.is_in(gid),
            _ => false,
        };
        let groups = || self.entries.iter().filter(of_group);
        if let Some(granting) = groups().find(grants) {
            return Denial::Mask(*granting);
        }
        let named = groups().find(|entry| entry.who != AclTag::OwningGroup);
        named.map_or(Denial::Mode, |named| Denial::Entry(*named))
    }

    fn grants(&self, who: &Credentials, owning_group: u32, wanted: u32) -> bool {
        let has = |permissions: u32| permissions & wanted == wanted;
        let within_mask = self
            .entries
            .iter()
            .find(|entry| entry.who == AclTag::Mask)
            .is_none_or(|mask| has(mask.permissions));
        if let Some(user) = self
            .entries
            .iter()
            .find(|entry| entry.who == AclTag::User(who.uid))
        {
            return within_mask && has(user.permissions);
        }
        let mut in_a_group = false;
        for entry in &self.entries {
            let gid = match entry.who {
                AclTag::OwningGroup => owning_group,
                AclTag::Group(gid) => gid,
                _ => continue,
            };
            if who.is_in(gid) {
                in_a_group = true;
                if has(entry.permissions) {
                    return within_mask;
                }
            }
        }
        !in_a_group
            && self
                .entries
                .iter()
                .any(|entry| entry.who == AclTag::Other && has(entry.permissions))
    }
}

fn acl_entry([tag_low, tag_high, low, high, id @ ..]: [u8; 8]) -> Option<AclEntry> {
    let id = u32::from_le_bytes(id);
    let who = match u16::from_le_bytes([tag_low, tag_high]) {
        0x01 => AclTag::Owner,
        0x02 => AclTag::User(id),
        0x04 => AclTag::OwningGroup,
        0x08 => AclTag::Group(id),
        0x10 => AclTag::Mask,
        0x20 => AclTag::Other,
        _ => return None,
    };
    Some(AclEntry {
        who,
        permissions: u16::from_le_bytes([low, high]).into(),
    })
}

fn component(line: &[u8]) -> Option<Component> {
    let mut fields = line.split_str(" ");
    let path = path(fields.next().filter(|path| path.starts_with(b"/"))?);
    let fields: Vec<(&[u8], &[u8])> = fields
        .filter_map(|field| field.split_once_str("="))
        .collect();
    let field = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| *key == name.as_bytes())
            .map(|&(_, value)| value)
    };
    if let Some(errno) = field("errno") {
        let node = Err(number(errno)?);
        return Some(Component { path, node });
    }
    let node = Node {
        kind: match field("type")? {
            b"dir" => NodeKind::Directory,
            b"file" => NodeKind::File,
            b"link" => NodeKind::Link,
            b"socket" => NodeKind::Socket,
            b"fifo" => NodeKind::Fifo,
            b"char" => NodeKind::Character,
            b"block" => NodeKind::Block,
            _ => return None,
        },
        mode: u32::from_str_radix(std::str::from_utf8(field("mode")?).ok()?, 8).ok()?,
        uid: number(field("uid")?)?,
        gid: number(field("gid")?)?,
        device: number(field("dev")?)?,
        inode: number(field("ino")?)?,
        size: number(field("size")?)?,
        modified: Timestamp::from_nanosecond(number(field("mtime")?)?).ok()?,
        changed: Timestamp::from_nanosecond(number(field("ctime")?)?).ok()?,
        target: field("target").map(self::path),
        acl: field("acl").map_or(AclState::Absent, acl_state),
        selinux: field("selinux").map(|context| owned(&percent_decoded(context))),
        is_immutable: field("immutable") == Some(b"1"),
    };
    Some(Component {
        path,
        node: Ok(node),
    })
}

fn acl_state(text: &[u8]) -> AclState {
    if let Some(errno) = text.strip_prefix(b"errno:") {
        return AclState::Unread(number(errno).unwrap_or(0));
    }
    hex(text)
        .and_then(|xattr| Acl::parse(&xattr))
        .map_or(AclState::Unread(0), AclState::Read)
}

fn path(text: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(percent_decoded(text)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMES: &str = "dev=39 ino=7 size=0 mtime=1782223331000000000 ctime=-1";

    fn walk(lines: &[&str]) -> Walk {
        let lines_text: Vec<_> = lines
            .iter()
            .map(|line| format!("{} {TIMES}\n", line.trim_end()))
            .collect();
        let walk = Walk::parse(lines_text.concat().as_bytes());
        assert_eq!(walk.components.len(), lines.len());
        walk
    }

    /// www-data of the group www-data, and of group 50.
    fn worker() -> Credentials {
        Credentials {
            uid: 33,
            gid: 33,
            groups: vec![33, 50],
        }
    }

    fn verdict(lines: &[&str]) -> String {
        let walk = walk(lines);
        match walk.connect_access(&worker()).unwrap() {
            ConnectAccess::Granted => "granted".to_owned(),
            ConnectAccess::NoSearch(component) => format!("no search {}", component.path.display()),
            ConnectAccess::NoWrite(component) => format!("no write {}", component.path.display()),
            ConnectAccess::Unknown(component) => format!("unknown {}", component.path.display()),
            ConnectAccess::Ended(component) => format!("ended {}", component.path.display()),
        }
    }

    fn socket(mode: &str, owner: &str, acl: &str) -> String {
        verdict(&[
            "/ type=dir mode=755 uid=0 gid=0",
            &format!("/s type=socket mode={mode} {owner} {acl}"),
        ])
    }

    #[test]
    fn the_documented_lines_are_read() {
        let text = b"/ type=dir mode=755 uid=0 gid=0 dev=65025 ino=2 size=4096 mtime=1782223331000000000 ctime=1782223331000000000\n\
            /var/run type=link mode=777 uid=0 gid=0 dev=65025 ino=12 size=4 mtime=1 ctime=-1 target=/run%20x\n\
            /run%20x type=dir mode=2750 uid=0 gid=5 dev=1 ino=1 size=0 mtime=1 ctime=1 new=key acl=errno:95 selinux=system_u:object_r:var_run_t:s0 immutable=1\n\
            no line of a walk\n\
            /run%20x/app.sock errno=2\n";
        let walk = Walk::parse(text);
        assert_eq!(walk.components.len(), 4);
        let nodes: Vec<&Node> = walk
            .components
            .iter()
            .filter_map(|c| c.node.as_ref().ok())
            .collect();
        assert_eq!(nodes[0].modified, "2026-06-23T14:02:11Z".parse().unwrap());
        assert_eq!(nodes[1].target.as_deref(), Some("/run x".as_ref()));
        assert_eq!(
            (nodes[1].kind, nodes[1].changed.as_nanosecond()),
            (NodeKind::Link, -1)
        );
        assert_eq!(nodes[2].acl, AclState::Unread(95));
        assert_eq!(
            nodes[2].selinux.as_deref(),
            Some("system_u:object_r:var_run_t:s0")
        );
        assert_eq!(nodes[2].to_string(), "drwxr-s---?");
        assert!(nodes[2].is_immutable && !nodes[0].is_immutable);
        let (component, errno) = walk.broken_at().unwrap();
        assert_eq!(
            (component.path.to_str().unwrap(), errno),
            ("/run x/app.sock", 2)
        );
        assert_eq!(walk.end(), None);
    }

    #[test]
    fn only_the_write_bit_of_the_class_that_applies_counts_on_a_socket() {
        // The cases and their answers were seen with nginx 1.22.1 as www-data.
        for (mode, owner, granted) in [
            ("600", "uid=0 gid=0", false),
            ("660", "uid=0 gid=0", false),
            ("640", "uid=0 gid=33", false),
            ("644", "uid=0 gid=0", false),
            ("606", "uid=0 gid=33", false),
            ("622", "uid=0 gid=0", true),
            ("666", "uid=0 gid=0", true),
            ("660", "uid=0 gid=33", true),
            ("660", "uid=0 gid=50", true),
            ("600", "uid=33 gid=0", true),
            ("066", "uid=33 gid=33", false),
        ] {
            let expected = if granted { "granted" } else { "no write /s" };
            assert_eq!(socket(mode, owner, ""), expected, "{mode} {owner}");
        }
    }

    #[test]
    fn every_directory_must_let_the_worker_search() {
        let socket = "/run/app/s type=socket mode=666 uid=0 gid=0";
        let with = |parent: &str, directory: &str| {
            verdict(&[
                "/ type=dir mode=755 uid=0 gid=0",
                &format!("/run type=dir mode={parent} uid=0 gid=0"),
                &format!("/run/app type=dir mode={directory} uid=0 gid=0"),
                socket,
            ])
        };
        assert_eq!(with("755", "755"), "granted");
        assert_eq!(with("755", "700"), "no search /run/app");
        assert_eq!(with("750", "755"), "no search /run");
        assert_eq!(with("711", "711"), "granted");
    }

    #[test]
    fn a_directory_in_the_sockets_place_is_asked_for_write_access() {
        assert_eq!(
            verdict(&[
                "/ type=dir mode=755 uid=0 gid=0",
                "/s type=dir mode=755 uid=0 gid=0"
            ]),
            "no write /s"
        );
    }

    fn acl(entries: &[(u16, u16, u32)]) -> String {
        let bytes = entries.iter().flat_map(|(tag, permissions, id)| {
            [
                &tag.to_le_bytes()[..],
                &permissions.to_le_bytes(),
                &id.to_le_bytes(),
            ]
            .concat()
        });
        let digits: Vec<_> = bytes.map(|byte| format!("{byte:02x}")).collect();
        format!("acl=02000000{}", digits.concat())
    }

    #[test]
    fn an_acl_decides_between_the_owner_and_everybody_else() {
        const NOBODY: u32 = u32::MAX;
        let base = [(0x01, 6, NOBODY), (0x04, 6, NOBODY)];
        let rest = |mask: u16, other: u16| [(0x10, mask, NOBODY), (0x20, other, NOBODY)];
        let list = |named: &[(u16, u16, u32)], mask: u16, other: u16| {
            acl(&[&base[..], named, &rest(mask, other)[..]].concat())
        };
        let root = "uid=0 gid=0";
        // setfacl -m u:www-data:rw
        assert_eq!(
            socket("660", root, &list(&[(0x02, 6, 33)], 6, 0)),
            "granted"
        );
        // the mask takes it away: user:www-data:rw- #effective:r--
        assert_eq!(
            socket("640", root, &list(&[(0x02, 6, 33)], 4, 6)),
            "no write /s"
        );
        // a mask of nothing: the kernel does not look at the list, www-data is of the other class
        assert_eq!(
            socket("606", root, &list(&[(0x02, 6, 33)], 0, 6)),
            "granted"
        );
        // a named user is refused although others may
        assert_eq!(
            socket("666", root, &list(&[(0x02, 4, 33)], 6, 6)),
            "no write /s"
        );
        // one of two groups grants
        assert_eq!(
            socket("660", root, &list(&[(0x08, 4, 33), (0x08, 6, 50)], 6, 0)),
            "granted"
        );
        // a group matches and grants nothing: others are not asked
        assert_eq!(
            socket("666", root, &list(&[(0x08, 4, 50)], 6, 6)),
            "no write /s"
        );
        // another user's entry: the other class
        assert_eq!(
            socket("666", root, &list(&[(0x02, 0, 34)], 6, 6)),
            "granted"
        );
        // mode 0666 with a list whose group class does not fit: the owning group's own entry counts
        let narrow = acl(&[
            (0x01, 6, NOBODY),
            (0x04, 4, NOBODY),
            (0x10, 6, NOBODY),
            (0x20, 6, NOBODY),
        ]);
        assert_eq!(socket("666", "uid=0 gid=33", &narrow), "no write /s");
    }

    #[test]
    fn what_denies_is_the_mode_an_entry_or_the_mask() {
        const NOBODY: u32 = u32::MAX;
        let denial = |mode: &str, owner: &str, group: u16, named: &[(u16, u16, u32)], mask: u16| {
            let (base, rest) = (
                [(0x01, 6, NOBODY), (0x04, group, NOBODY)],
                [(0x10, mask, NOBODY), (0x20, 0, NOBODY)],
            );
            let list = acl(&[&base[..], named, &rest[..]].concat());
            let walk = walk(&[&format!("/s type=socket mode={mode} {owner} {list}")]);
            match walk.end().unwrap().denial(&worker()) {
                None => "nothing".to_owned(),
                Some(Denial::Mode) => "mode".to_owned(),
                Some(Denial::Entry(entry)) => entry.to_string(),
                Some(Denial::Mask(entry)) => format!("mask of {entry}"),
            }
        };
        let root = "uid=0 gid=0";
        assert_eq!(denial("660", root, 6, &[(0x02, 6, 33)], 6), "nothing");
        assert_eq!(denial("660", root, 6, &[(0x02, 0, 33)], 6), "user:33:---");
        assert_eq!(denial("660", root, 6, &[(0x08, 4, 50)], 6), "group:50:r--");
        assert_eq!(
            denial("640", root, 6, &[(0x02, 6, 33)], 4),
            "mask of user:33:rw-"
        );
        assert_eq!(
            denial("640", root, 6, &[(0x08, 6, 50)], 4),
            "mask of group:50:rw-"
        );
        // chmod g= on a file with a list: the kernel does not look at it any more.
        assert_eq!(
            denial("600", root, 6, &[(0x02, 6, 33)], 0),
            "mask of user:33:rw-"
        );
        // Another user's entry: what denies are the entries that repeat the mode.
        assert_eq!(denial("660", root, 6, &[(0x02, 6, 34)], 6), "mode");
        assert_eq!(
            denial("060", "uid=33 gid=0", 6, &[(0x02, 6, 34)], 6),
            "mode"
        );
        let mode = walk(&["/s type=socket mode=660 uid=0 gid=0"]);
        assert_eq!(mode.end().unwrap().denial(&worker()), Some(Denial::Mode));
    }

    #[test]
    fn an_acl_that_could_not_be_read_leaves_it_open() {
        assert_eq!(socket("666", "uid=0 gid=0", "acl=errno:95"), "unknown /s");
        assert_eq!(socket("600", "uid=33 gid=0", "acl=errno:95"), "granted");
        assert_eq!(socket("666", "uid=0 gid=0", "acl=0100"), "unknown /s");
    }

    #[test]
    fn a_strangers_link_in_a_sticky_directory_leaves_it_open() {
        let through = |owner: u32| {
            verdict(&[
                "/tmp type=dir mode=1777 uid=0 gid=0",
                &format!("/tmp/s type=link mode=777 uid={owner} gid=0 target=/run/s"),
                "/run/s type=socket mode=666 uid=0 gid=0",
            ])
        };
        assert_eq!(through(1000), "unknown /tmp/s");
        assert_eq!(through(33), "granted");
        assert_eq!(through(0), "granted");
    }

    #[test]
    fn root_passes() {
        let walk = walk(&[
            "/ type=dir mode=0 uid=1 gid=1",
            "/s type=socket mode=0 uid=1 gid=1",
        ]);
        assert_eq!(
            walk.connect_access(&Credentials::default()),
            Some(ConnectAccess::Granted)
        );
    }

    #[test]
    fn a_real_attribute_is_decoded() {
        // setfacl -m u:33:rw on a file of mode 0640, Debian 12.
        let xattr = hex(b"0200000001000600ffffffff020006002100000004000400ffffffff10000600ffffffff20000000ffffffff").unwrap();
        let tags: Vec<_> = Acl::parse(&xattr)
            .unwrap()
            .entries
            .iter()
            .map(|e| (e.who, e.permissions))
            .collect();
        assert_eq!(
            tags,
            [
                (AclTag::Owner, 6),
                (AclTag::User(33), 6),
                (AclTag::OwningGroup, 4),
                (AclTag::Mask, 6),
                (AclTag::Other, 0)
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            Walk::parse(&bytes).connect_access(&worker());
            Acl::parse(&bytes);
        }

        #[test]
        fn any_fields_are_read_without_a_panic(line in "/[ -~]{0,8} type=(dir|link|socket) mode=[0-9]{1,12} uid=[0-9]{1,11} gid=0 dev=1 ino=1 size=0 mtime=-?[0-9]{1,40} ctime=1 acl=[0-9a-f]{0,40}") {
            let walk = Walk::parse(line.as_bytes());
            walk.connect_access(&worker());
            let _denial = walk.end().map(|node| node.denial(&worker()));
            let _shown = walk.end().map(Node::to_string);
        }
    }
}
