//! A connection made as another process would make it, and closed at once.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use facts::{Answer, PeerAddress, View};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::stat;
use rustix::io::{self, Errno};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect as dial, getpeername,
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
    Ok(attempt(to, deadline)?.map_or(Answer::TimedOut, |_| connected(start)))
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

/// Makes the calling thread a user, without a capability. Only root can, or who is that user.
pub(super) fn adopt_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    let owner = Owner {
        uid,
        gid,
        groups: groups.to_vec(),
        capabilities: 0,
    };
    owner.adopt()
}

/// Connects to many addresses at once, and closes each connection. Must run on a thread of its own, as [`connect`] must.
pub(super) fn connect_all(
    from: Option<u32>,
    to: &[SocketAddr],
    budget: Duration,
) -> Vec<io::Result<Answer>> {
    let deadline = deadline(budget);
    if let Err(error) = adopt(from) {
        return to.iter().map(|_| Err(error)).collect();
    }
    let mut answers: Vec<io::Result<Answer>> = to.iter().map(|_| Ok(Answer::TimedOut)).collect();
    // All are on their way before the first is waited for.
    let mut waiting = Vec::new();
    for (&address, place) in to.iter().zip(&mut answers) {
        let start = Instant::now();
        match begin(&PeerAddress::Tcp(address), None) {
            Ok(begun) if begun.waits => waiting.push((begun, start, place)),
            begun => *place = begun.and_then(Begun::finish).map(|_| connected(start)),
        }
    }
    while !waiting.is_empty() && Instant::now() < deadline {
        let mut polled: Vec<PollFd<'_>> = waiting
            .iter()
            .map(|(begun, ..)| PollFd::new(&begun.socket, PollFlags::OUT))
            .collect();
        if let Err(error) = wait(&mut polled, deadline) {
            waiting
                .drain(..)
                .for_each(|(.., place)| *place = Err(error));
            break;
        }
        let done: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        let (ended, still): (Vec<_>, Vec<_>) =
            waiting.into_iter().zip(done).partition(|(_, done)| *done);
        for ((begun, start, place), _) in ended {
            *place = begun.finish().map(|_| connected(start));
        }
        waiting = still.into_iter().map(|(waits, _)| waits).collect();
    }
    drop(waiting);
    answers
}

fn connected(start: Instant) -> Answer {
    Answer::Bytes(format!("connected in {} us", start.elapsed().as_micros()).into_bytes())
}

/// The connection, which does not block; none when the deadline passed.
pub(super) fn attempt(to: &PeerAddress, deadline: Instant) -> io::Result<Option<OwnedFd>> {
    let begun = begin(to, None)?;
    if begun.waits && !ready(&begun.socket, PollFlags::OUT, deadline)? {
        return Ok(None);
    }
    begun.finish().map(Some)
}

/// A connection on its way.
pub(super) struct Begun {
    pub(super) socket: OwnedFd,
    is_tcp: bool,
    /// The kernel has not answered yet.
    waits: bool,
}

/// Sends the first packet, from this address of the host where one is named.
pub(super) fn begin(to: &PeerAddress, from: Option<IpAddr>) -> io::Result<Begun> {
    let (dialled, socket) = match to {
        PeerAddress::Tcp(address) => {
            let family = if address.is_ipv4() {
                AddressFamily::INET
            } else {
                AddressFamily::INET6
            };
            let socket = stream(family)?;
            if let Some(from) = from {
                bind(&socket, &SocketAddr::new(from, 0))?;
            }
            (dial(&socket, address), socket)
        }
        PeerAddress::Unix(path) => {
            let address = unix_address(path)?;
            let socket = stream(AddressFamily::UNIX)?;
            (dial(&socket, &address), socket)
        }
    };
    let waits = match dialled {
        Ok(()) => false,
        Err(Errno::INPROGRESS) => true,
        Err(error) => return Err(error),
    };
    Ok(Begun {
        socket,
        is_tcp: matches!(to, PeerAddress::Tcp(_)),
        waits,
    })
}

impl Begun {
    /// Whether there is a connection, once the kernel has answered.
    pub(super) fn verify(&self) -> io::Result<()> {
        if self.waits {
            sockopt::socket_error(&self.socket)??;
        }
        if self.is_tcp && reached_itself(&self.socket)? {
            return Err(Errno::CONNREFUSED);
        }
        Ok(())
    }

    /// The connection, once the kernel has answered.
    fn finish(self) -> io::Result<OwnedFd> {
        self.verify()?;
        Ok(self.socket)
    }
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
    wait(&mut [PollFd::new(socket, flags)], deadline)
}

/// Waits for the first of them; false when the deadline passed.
pub(super) fn wait(polled: &mut [PollFd<'_>], deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(polled, Some(&left)) {
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
    use std::net::TcpListener;

    use rustix::net::listen;

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
    fn many_are_answered_as_each_is_alone() {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = closed.local_addr().unwrap();
        drop(closed);
        let full = stream(AddressFamily::INET).unwrap();
        bind(&full, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listen(&full, 0).unwrap();
        let silent = SocketAddr::try_from(getsockname(&full).unwrap()).unwrap();
        let waiting = stream(AddressFamily::INET).unwrap();
        dial(&waiting, &silent).ok();
        assert!(ready(&waiting, PollFlags::OUT, soon()).unwrap());

        let to = [silent, refused, open.local_addr().unwrap(), silent];
        let answers = connect_all(None, &to, SLACK + Duration::from_millis(100));
        assert_eq!(answers.len(), to.len());
        assert_eq!(answers[0], Ok(Answer::TimedOut));
        assert_eq!(answers[1], Err(Errno::CONNREFUSED));
        assert!(matches!(answers[2], Ok(Answer::Bytes(_))));
        assert_eq!(answers[3], Ok(Answer::TimedOut));
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
