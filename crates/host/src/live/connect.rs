//! A connection made as another process would make it, and closed at once.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use facts::{Answer, PeerAddress, View};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::stat;
use rustix::io::{self, Errno};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect as dial, getpeername,
    getsockname, socket_with, sockopt,
};
use rustix::process::{Gid, Uid, chroot, fchdir, getegid, geteuid, getgroups};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, capabilities, set_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid, unshare_unsafe,
};

use super::namespace::{Foreign, Kind, gone};
use super::{file, view};

/// What the asker keeps of the budget for itself.
const SLACK: Duration = Duration::from_millis(50);

/// Must run on a thread of its own: it becomes the process and stays so.
pub(super) fn connect(from: Option<u32>, to: &PeerAddress, budget: Duration) -> io::Result<Answer> {
    let deadline = deadline(budget);
    adopt(from)?;
    let start = Instant::now();
    Ok(match attempt(to, deadline)? {
        Some(_) => {
            let text = format!("connected in {} us", start.elapsed().as_micros());
            Answer::Bytes(text.into_bytes())
        }
        None => Answer::TimedOut,
    })
}

/// When the asker has to have an answer.
pub(super) fn deadline(budget: Duration) -> Instant {
    Instant::now() + budget.saturating_sub(SLACK)
}

/// Makes the calling thread the process that connects.
pub(super) fn adopt(from: Option<u32>) -> io::Result<()> {
    let Some(pid) = from else { return Ok(()) };
    // An errno of becoming the process must not look like one of the connection.
    become_process(pid).map_err(|error| match error {
        Errno::SRCH => Errno::SRCH,
        _ => Errno::PERM,
    })
}

/// The connection, which does not block; none when the deadline passed.
pub(super) fn attempt(to: &PeerAddress, deadline: Instant) -> io::Result<Option<OwnedFd>> {
    let (dialled, socket) = match to {
        PeerAddress::Tcp(address) => {
            let family = if address.is_ipv4() {
                AddressFamily::INET
            } else {
                AddressFamily::INET6
            };
            let socket = stream(family)?;
            (dial(&socket, address), socket)
        }
        PeerAddress::Unix(path) => {
            let address = unix_address(path)?;
            let socket = stream(AddressFamily::UNIX)?;
            (dial(&socket, &address), socket)
        }
    };
    match dialled {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => {
            if !ready(&socket, PollFlags::OUT, deadline)? {
                return Ok(None);
            }
            sockopt::socket_error(&socket)??;
        }
        Err(error) => return Err(error),
    }
    if matches!(to, PeerAddress::Tcp(_)) && reached_itself(&socket)? {
        return Err(Errno::CONNREFUSED);
    }
    Ok(Some(socket))
}

fn stream(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(family, SocketType::STREAM, flags, None)
}

fn unix_address(path: &Path) -> io::Result<SocketAddrUnix> {
    let bytes = path.as_os_str().as_bytes();
    // nginx dials an abstract name when it is told a path that begins with NUL, which its configuration cannot hold.
    if bytes.is_empty() {
        return Err(Errno::INVAL);
    }
    SocketAddrUnix::new(bytes)
}

/// With no listener on a port of the ephemeral range the kernel may choose that very port as the source, and the socket
/// connects to itself: nothing answered.
fn reached_itself(socket: &OwnedFd) -> io::Result<bool> {
    Ok(getpeername(socket)? == Some(getsockname(socket)?))
}

/// Waits until the socket can be read or written; false when the deadline passed.
pub(super) fn ready(socket: &OwnedFd, flags: PollFlags, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(socket, flags)], Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Gives the calling thread the namespaces, the root, the groups, the user and no more capabilities than a process has.
fn become_process(pid: u32) -> io::Result<()> {
    let owner = Owner::of(pid)?;
    let network = Foreign::of(pid, Kind::Network)?;
    let mount = Foreign::of(pid, Kind::Mount)?;
    let root = view::root(View::Process(pid)).map_err(gone)?;
    if mount.is_some() || !is_own_root(&root)? {
        unshare_root()?;
        if let Some(mount) = &mount {
            mount.enter()?;
        }
        fchdir(&root)?;
        chroot(".")?;
    }
    if let Some(network) = &network {
        network.enter()?;
    }
    owner.adopt()
}

fn is_own_root(root: &OwnedFd) -> io::Result<bool> {
    let (theirs, own) = (rustix::fs::fstat(root.as_fd())?, stat("/")?);
    Ok((theirs.st_dev, theirs.st_ino) == (own.st_dev, own.st_ino))
}

/// The thread's root and working directory become its own.
fn unshare_root() -> io::Result<()> {
    // SAFETY: only `UnshareFlags::FILES` can take descriptors from other threads, and it is not given.
    #[expect(
        unsafe_code,
        reason = "rustix marks the call for a flag that is not used here"
    )]
    unsafe {
        unshare_unsafe(UnshareFlags::FS)
    }
}

/// Who a process is, as `/proc/PID/status` tells.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    capabilities: u64,
}

impl Owner {
    fn of(pid: u32) -> io::Result<Self> {
        let path = format!("/proc/{pid}/status");
        let Answer::File { bytes, .. } =
            file::file(View::Host, Path::new(&path), 1 << 20).map_err(gone)?
        else {
            return Err(Errno::IO);
        };
        Self::read(&String::from_utf8_lossy(&bytes)).ok_or(Errno::IO)
    }

    fn read(status: &str) -> Option<Self> {
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        // Real, effective, saved, file system.
        let effective = |name| field(name)?.split_whitespace().nth(1)?.parse().ok();
        let groups = field("Groups")?.split_whitespace();
        Some(Self {
            uid: effective("Uid")?,
            gid: effective("Gid")?,
            groups: groups.map(str::parse).collect::<Result<_, _>>().ok()?,
            capabilities: u64::from_str_radix(field("CapEff")?.trim(), 16).ok()?,
        })
    }

    /// Groups first: only root may change them. Leaving user 0 drops every capability.
    fn adopt(&self) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let groups: Vec<Gid> = self
            .groups
            .iter()
            .map(|&group| Gid::from_raw(group))
            .collect();
        if !same_groups(&getgroups()?, &groups) {
            set_thread_groups(&groups)?;
        }
        if gid != getegid() {
            set_thread_res_gid(gid, gid, gid)?;
        }
        if uid != geteuid() {
            set_thread_res_uid(uid, uid, uid)?;
        }
        let own = capabilities(None)?;
        let effective = own.effective & CapabilitySet::from_bits_retain(self.capabilities);
        if effective == own.effective {
            return Ok(());
        }
        set_capabilities(None, CapabilitySets { effective, ..own })
    }
}

fn same_groups(own: &[Gid], theirs: &[Gid]) -> bool {
    let sorted = |groups: &[Gid]| {
        let mut raw: Vec<u32> = groups.iter().map(|group| group.as_raw()).collect();
        raw.sort_unstable();
        raw.dedup();
        raw
    };
    sorted(own) == sorted(theirs)
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use rustix::net::{bind, listen};

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(100)
    }

    #[test]
    fn a_full_queue_of_a_unix_socket_is_an_answer() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("app.sock");
        let socket = stream(AddressFamily::UNIX).unwrap();
        bind(&socket, &unix_address(&path).unwrap()).unwrap();
        listen(&socket, 0).unwrap();
        let waiting = stream(AddressFamily::UNIX).unwrap();
        dial(&waiting, &unix_address(&path).unwrap()).unwrap();
        assert_eq!(
            attempt(&PeerAddress::Unix(path), soon()).err(),
            Some(Errno::AGAIN)
        );
    }

    #[test]
    fn a_full_queue_of_a_tcp_socket_is_silence() {
        let socket = stream(AddressFamily::INET).unwrap();
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listen(&socket, 0).unwrap();
        let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
        let waiting = stream(AddressFamily::INET).unwrap();
        assert_eq!(dial(&waiting, &address), Err(Errno::INPROGRESS));
        assert!(ready(&waiting, PollFlags::OUT, soon()).unwrap());
        assert!(
            attempt(&PeerAddress::Tcp(address), soon())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_socket_that_reached_itself_reached_nobody() {
        let socket = stream(AddressFamily::INET).unwrap();
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let own = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
        // Whether at once or after a while, the kernel lets it connect.
        dial(&socket, &own).ok();
        assert!(ready(&socket, PollFlags::OUT, soon()).unwrap());
        assert_eq!(reached_itself(&socket), Ok(true));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = stream(AddressFamily::INET).unwrap();
        dial(&socket, &listener.local_addr().unwrap()).ok();
        assert!(ready(&socket, PollFlags::OUT, soon()).unwrap());
        assert_eq!(reached_itself(&socket), Ok(false));
    }

    #[test]
    fn the_owner_of_a_process_is_its_effective_one() {
        let status = "Name:\tnginx\nUid:\t0\t33\t0\t33\nGid:\t0\t34\t0\t34\nGroups:\t34 998 \nCapEff:\t00000000000000c0\n";
        let owner = Owner {
            uid: 33,
            gid: 34,
            groups: vec![34, 998],
            capabilities: 0xc0,
        };
        assert_eq!(Owner::read(status), Some(owner));
        assert_eq!(Owner::read("Name:\tnginx\n"), None);
    }
}
