//! Paths as nginx's worker sees them, and what its user may do there.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use bstr::ByteSlice as _;
use facts::file_system::Room;
use facts::passwd::Accounts;
use facts::walk::{AclEntry, AclState, ConnectAccess, Credentials, Denial, NodeKind, Walk};
use facts::{Caller, Exhibit, Gap, GapKind, ProbeRequest, View};
use jiff::Timestamp;

use super::{Case, Instance, known};
use crate::incident::Incident;

/// Every component of a path.
#[derive(Clone, Debug)]
pub(crate) struct Walked {
    walk: Rc<Walk>,
}

/// One component of a path.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    /// Its path.
    pub(crate) path: PathBuf,
    /// Device.
    pub(crate) device: u64,
    /// Inode.
    pub(crate) inode: u64,
    /// When owner, mode or contents last changed.
    pub(crate) changed: Timestamp,
    node: facts::walk::Node,
}

/// What the worker's user may do along a path.
pub(crate) enum Access {
    /// Connect; the text lists the steps.
    Granted(String),
    /// Not pass these directories, or not write to the socket; never empty.
    Denied(Vec<Component>),
}

/// The user that nginx's workers run as.
pub(crate) struct Identity {
    credentials: Credentials,
    /// The user's name, or its number.
    pub(crate) name: String,
    /// The group's name, or its number.
    pub(crate) group: String,
    /// Groups that the user is listed in and the worker does not have: it was started before. By number, with the name.
    unjoined: Vec<(u32, String)>,
}

impl Walked {
    /// The component that does not exist.
    pub(crate) fn missing(&self) -> Option<&Path> {
        let (component, errno) = self.walk.broken_at()?;
        (errno == 2).then_some(component.path.as_path())
    }

    /// The errno that ended the walk.
    pub(crate) fn errno(&self) -> Option<i32> {
        self.walk.broken_at().map(|(_, errno)| errno)
    }

    /// What stands along the path, as far as it could be walked.
    pub(crate) fn components(&self) -> impl Iterator<Item = Component> {
        self.walk.components.iter().filter_map(Component::of)
    }

    /// The last directory on the way that exists.
    pub(crate) fn last_directory(&self) -> Option<PathBuf> {
        let components = self.walk.components.iter().rev();
        let mut directories = components
            .filter_map(Component::of)
            .filter(Component::is_directory);
        Some(directories.next()?.path)
    }

    /// The symbolic links that the path's own name leads through, each with what it says.
    pub(crate) fn links_of(&self, path: &Path) -> Vec<(PathBuf, PathBuf)> {
        let components = self.walk.components.iter();
        let own = components.skip_while(|one| one.path.file_name() != path.file_name());
        own.filter_map(|one| {
            let target = one.node.as_ref().ok()?.target.clone()?;
            Some((one.path.clone(), target))
        })
        .collect()
    }

    /// What stands at the end.
    pub(crate) fn file(&self) -> Option<Component> {
        let last = self.walk.components.last()?;
        Component::of(last)
    }
}

impl Component {
    fn of(component: &facts::walk::Component) -> Option<Self> {
        let node = component.node.as_ref().ok()?;
        Some(Self {
            path: component.path.clone(),
            device: node.device,
            inode: node.inode,
            changed: node.changed,
            node: node.clone(),
        })
    }

    /// Whether both are one file.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    pub(crate) fn is_socket(&self) -> bool {
        self.node.kind == NodeKind::Socket
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.node.kind == NodeKind::Directory
    }

    pub(crate) fn is_link(&self) -> bool {
        self.node.kind == NodeKind::Link
    }

    /// Whether it is known that nobody may change it (`chattr +i`).
    pub(crate) fn is_immutable(&self) -> bool {
        self.node.is_immutable
    }

    /// Its SELinux context.
    pub(crate) fn context(&self) -> Option<&str> {
        self.node.selinux.as_deref()
    }

    /// Whether a POSIX ACL decides here. One that could not be read counts.
    pub(crate) fn has_acl(&self) -> bool {
        !matches!(self.node.acl, AclState::Absent)
    }
}

impl Identity {
    /// The groups that would let a worker started now do what it may not: its user has been listed in them since the
    /// worker started. `None` unless they suffice for each of these.
    pub(crate) fn joined_since(&self, denying: &[Component]) -> Option<Vec<&str>> {
        let mut names = Vec::new();
        for component in denying {
            let needed = if component.is_directory() { 1 } else { 2 };
            let suffices = component.node.uid != self.credentials.uid
                && !component.has_acl()
                && component.group_bits() & needed != 0;
            let (_, name) = self
                .unjoined
                .iter()
                .find(|(gid, _)| suffices && *gid == component.node.gid)?;
            if !names.contains(&name.as_str()) {
                names.push(name.as_str());
            }
        }
        (!names.is_empty()).then_some(names)
    }

    /// What this user may do along a path.
    pub(crate) fn access(&self, walked: &Walked) -> Result<Access, Gap> {
        let undecided = || {
            Gap::undecided(
                "who may pass along the path",
                "it could not be walked to its end",
            )
        };
        match walked
            .walk
            .connect_access(&self.credentials)
            .ok_or_else(undecided)?
        {
            ConnectAccess::Granted => {
                let last = walked.walk.components.last().and_then(Component::of);
                Ok(Access::Granted(last.map_or_else(String::new, |last| {
                    format!("{} {}", last.path.display(), last.node)
                })))
            }
            ConnectAccess::NoSearch(_) | ConnectAccess::NoWrite(_) => {
                Ok(Access::Denied(self.denying(walked)))
            }
            ConnectAccess::Unknown(component) => Err(Gap::undecided(
                format!("the ACL of {}", component.path.display()),
                "it could not be read",
            )
            .learn(format!("getfacl {}", component.path.display()))),
            ConnectAccess::Ended(_) => Err(undecided()),
        }
    }

    /// The directories that keep this user from making a file or directory at the end of a path: those that may not be
    /// passed, and the last that exists if it may not be written.
    pub(crate) fn kept_from_making(&self, walked: &Walked) -> Result<Vec<Component>, Gap> {
        let directories: Vec<Component> = walked
            .walk
            .components
            .iter()
            .filter_map(Component::of)
            .filter(Component::is_directory)
            .collect();
        let last = directories.len().saturating_sub(1);
        let mut denying = Vec::new();
        for (idx, directory) in directories.into_iter().enumerate() {
            let search = directory.node.can_search(&self.credentials);
            let write = if idx == last {
                directory.node.can_write(&self.credentials)
            } else {
                Some(true)
            };
            let (Some(search), Some(write)) = (search, write) else {
                let path = directory.path.display().to_string();
                return Err(
                    Gap::undecided(format!("the ACL of {path}"), "it could not be read")
                        .learn(format!("getfacl {path}")),
                );
            };
            if !(search && write) {
                denying.push(directory);
            }
        }
        Ok(denying)
    }

    /// Every component that denies this user.
    fn denying(&self, walked: &Walked) -> Vec<Component> {
        let components = walked.walk.components.iter().filter_map(Component::of);
        components
            .filter(|component| match component.node.kind {
                NodeKind::Directory => component.node.can_search(&self.credentials) == Some(false),
                NodeKind::Socket => component.node.can_write(&self.credentials) == Some(false),
                _ => false,
            })
            .collect()
    }

    /// The entry of a component's ACL that denies this user, and whether it is the mask that takes away what the entry
    /// grants; `None` where owner, group and mode deny.
    pub(crate) fn denying_entry(&self, component: &Component) -> Option<(AclEntry, bool)> {
        match component.node.denial(&self.credentials)? {
            Denial::Mode => None,
            Denial::Entry(entry) => Some((entry, false)),
            Denial::Mask(entry) => Some((entry, true)),
        }
    }

    /// User and groups, for people.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{} (uid {}, gid {})",
            self.name, self.credentials.uid, self.credentials.gid
        )
    }
}

impl Case {
    /// A path as nginx's worker sees it, one that is not absolute from the worker's directory.
    pub(crate) fn walk_as_worker(&self, incident: &Incident, path: &Path) -> Result<Walked, Gap> {
        let instance = self.instance(incident)?;
        // Workers share their master's root and mounts.
        self.walk(instance.view, &self.placed(&instance, path)?)
    }

    /// The absolute path that a worker means by a socket's path: nginx hands what is written to the kernel, which takes it
    /// from the worker's directory.
    pub(crate) fn placed(&self, instance: &Instance, path: &Path) -> Result<PathBuf, Gap> {
        if path.is_absolute() {
            return Ok(path.to_owned());
        }
        let unknown = || {
            Gap::undecided(
                "the directory that nginx's worker runs in",
                "nginx is not running",
            )
        };
        let worker = instance.worker().ok_or_else(unknown)?;
        let link = ProbeRequest::Link {
            path: PathBuf::from(format!("/proc/{worker}/cwd")),
        };
        let directory = self.evidence.fact(&link, |_, bytes| {
            PathBuf::from(bytes.to_os_str_lossy().into_owned())
        })?;
        Ok(directory.join(path))
    }

    /// A path as a process sees it.
    pub(crate) fn walk_as(&self, pid: u32, path: &Path) -> Result<Walked, Gap> {
        self.walk(View::Process(pid), path)
    }

    /// A path in the host's own view.
    pub(crate) fn walk_outside(&self, path: &Path) -> Result<Walked, Gap> {
        self.walk(View::Host, path)
    }

    /// The first of these components of nginx's view at whose path the host has another file: both of them.
    pub(crate) fn overlaid(
        &self,
        incident: &Incident,
        path: &Path,
        components: &[Component],
    ) -> Result<Option<(Component, Component)>, Gap> {
        if self.instance(incident)?.view == View::Host {
            return Ok(None);
        }
        let outside: Vec<Component> = self.walk_outside(path)?.components().collect();
        let other = |ours: &Component| {
            let theirs = outside.iter().find(|theirs| theirs.path == ours.path)?;
            (!theirs.is_same(ours)).then(|| (ours.clone(), theirs.clone()))
        };
        Ok(components.iter().find_map(other))
    }

    pub(super) fn walk(&self, view: View, path: &Path) -> Result<Walked, Gap> {
        let request = ProbeRequest::Walk {
            view,
            path: path.to_owned(),
        };
        let walk = self
            .evidence
            .fact(&request, |_, bytes| Walk::parse(bytes))?;
        if let Some((component, 1 | 13)) = walk.broken_at() {
            return Err(Gap::new(
                GapKind::Denied,
                format!("owner and mode of {}", component.path.display()),
                "needs root",
            )
            .learn(format!("sudo namei -l {}", path.display())));
        }
        Ok(Walked { walk })
    }

    /// The room on the file system that holds a path, as nginx sees it.
    pub(crate) fn room(&self, incident: &Incident, path: &Path) -> Result<(Room, Exhibit), Gap> {
        let instance = self.instance(incident)?;
        let request = ProbeRequest::FileSystem {
            view: instance.view,
            path: path.to_owned(),
        };
        let told = self
            .evidence
            .fact(&request, |record, line| (record.at, Room::parse(line)))?;
        let (at, room) = *told;
        let room = room.ok_or_else(|| {
            Gap::undecided(
                format!("the room under {}", path.display()),
                "the record is unreadable",
            )
        })?;
        let files = if room.lacks_files() {
            ", no more files can be made there"
        } else {
            ""
        };
        let state = if room.is_read_only {
            ", it is mounted read-only"
        } else {
            ""
        };
        let exhibit = Exhibit::Record {
            probe: "file-system",
            at: Some(at),
            text: format!(
                "{} of {} are free now on the file system of {}{files}{state}",
                bytes(room.available),
                bytes(room.total),
                path.display()
            ),
        };
        Ok((room, exhibit))
    }

    /// Whether a path exists in the host's own view though nginx has another.
    pub(crate) fn exists_outside(&self, incident: &Incident, path: &Path) -> Result<bool, Gap> {
        let instance = self.instance(incident)?;
        if instance.view == View::Host {
            return Ok(false);
        }
        Ok(self.walk(View::Host, path)?.file().is_some())
    }

    /// Who the workers would be, as a gate asks in their place.
    fn identity_set(&self, instance: &Instance) -> Result<Identity, Gap> {
        let missing = || Gap::undecided("the worker's user", "nginx is not running");
        if self.options.gate.is_none() {
            return Err(missing());
        }
        let set = self.user_set(instance)?.map(|(caller, _)| caller);
        let Some(Caller::User { uid, gid, groups }) = set else {
            return Err(missing());
        };
        let accounts = self.accounts(instance)?;
        Ok(Identity {
            name: accounts.show_user(uid),
            unjoined: Vec::new(),
            group: accounts.show_group(gid),
            credentials: Credentials { uid, gid, groups },
        })
    }

    /// The users and groups that nginx sees.
    pub(super) fn accounts(&self, instance: &Instance) -> Result<Accounts, Gap> {
        let file = |name: &str| ProbeRequest::File {
            view: instance.view,
            path: PathBuf::from(name),
            limit: 4 << 20,
        };
        let read = |name: &str| self.evidence.fact(&file(name), |_, bytes| bytes.to_vec());
        let (users, groups) = (read("/etc/passwd"), read("/etc/group"));
        let (users, groups) = (
            known(users)?.unwrap_or_default(),
            known(groups)?.unwrap_or_default(),
        );
        Ok(Accounts::parse(&users, &groups))
    }

    /// The user that nginx's workers run as.
    pub(crate) fn worker_identity(&self, incident: &Incident) -> Result<Identity, Gap> {
        let instance = self.instance(incident)?;
        let Some(pid) = instance.worker() else {
            return self.identity_set(&instance);
        };
        let status = self.status(pid);
        let masters = instance
            .master
            .as_ref()
            .map(|master| self.status(master.pid));
        let accounts = self.accounts(&instance);
        let status = status?;
        let status = status
            .as_ref()
            .as_ref()
            .ok_or_else(|| Gap::undecided("the worker's user", "its status is unreadable"))?;
        let accounts = accounts?;
        let credentials = status.credentials.clone();
        let name = accounts.show_user(credentials.uid);
        // Only root gives new workers the groups of their user (`initgroups`).
        let master = masters.map(known).transpose()?.flatten();
        let is_roots = master.is_some_and(|status| {
            let status = status.as_ref().as_ref();
            status.is_some_and(|status| status.credentials.uid == 0)
        });
        let unjoined = accounts.groups_of(&name).into_iter();
        let unjoined = unjoined
            .filter(|_| is_roots)
            .filter(|gid| *gid != credentials.gid && !credentials.groups.contains(gid))
            .map(|gid| (gid, accounts.show_group(gid)))
            .collect();
        Ok(Identity {
            name,
            unjoined,
            group: accounts.show_group(credentials.gid),
            credentials,
        })
    }
}

/// A size as people read it.
fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (size, 0);
    while size >= 10_240 && unit + 1 < UNITS.len() {
        size /= 1024;
        unit += 1;
    }
    format!("{size} {}", UNITS.get(unit).unwrap_or(&"bytes"))
}

impl Component {
    /// What of it a group is let do: the bits of its mode.
    fn group_bits(&self) -> u32 {
        (self.node.mode >> 3) & 7
    }

    /// Type, mode, owner and group as numbers.
    pub(crate) fn describe(&self) -> String {
        format!("{} uid {} gid {}", self.node, self.node.uid, self.node.gid)
    }
}
