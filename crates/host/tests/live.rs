//! The live host, asked about things that the test itself has set up.
//!
//! What needs root is asked only where the test has it; a thread plays the other process, since `/proc` knows threads
//! as it knows processes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use facts::owners::SocketOwners;
use facts::sockets::{TcpTable, UnixTable};
use facts::walk::{AclState, NodeKind, Walk};
use facts::{Answer, PeerAddress, Probe as _, ProbeRequest, SocketKind, View};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};
use rustix::process::{chroot, geteuid};
use rustix::thread::{Gid, Uid, UnshareFlags, gettid};
use why502_host::LiveHost;

fn ask(request: &ProbeRequest) -> Answer {
    LiveHost::new().ask(request).answer
}

fn bytes(request: &ProbeRequest) -> Vec<u8> {
    match ask(request) {
        Answer::Bytes(bytes) | Answer::File { bytes, .. } => bytes,
        other => panic!("{request}: {other:?}"),
    }
}

fn file(view: View, path: impl AsRef<Path>) -> ProbeRequest {
    ProbeRequest::File {
        view,
        path: path.as_ref().to_owned(),
        limit: 1 << 20,
    }
}

fn walk(view: View, path: impl AsRef<Path>) -> ProbeRequest {
    ProbeRequest::Walk {
        view,
        path: path.as_ref().to_owned(),
    }
}

fn sockets(netns: Option<u32>, kind: SocketKind) -> ProbeRequest {
    ProbeRequest::Sockets { netns, kind }
}

fn connect(from: Option<u32>, to: &PeerAddress) -> Answer {
    ask(&ProbeRequest::Connect {
        from,
        to: to.clone(),
    })
}

fn connected(answer: &Answer) -> bool {
    matches!(answer, Answer::Bytes(text) if text.starts_with(b"connected in "))
}

fn is_root() -> bool {
    geteuid().is_root()
}

/// A thread that has become different from the rest and waits to be asked about.
struct Stranger {
    tid: u32,
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stranger {
    /// Keeps what `change` gives for as long as the thread lives.
    fn new<T>(change: impl FnOnce() -> T + Send + 'static) -> Self {
        let (ready, is_ready) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let kept = change();
            ready.send(gettid().as_raw_nonzero().get()).unwrap();
            ends.recv().ok();
            drop(kept);
        });
        Self {
            tid: is_ready.recv().unwrap().unsigned_abs(),
            end: Some(end),
            thread: Some(thread),
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn unshare(what: UnshareFlags) {
    // SAFETY: only `UnshareFlags::FILES` can take descriptors from other threads, and no test gives it.
    #[expect(
        unsafe_code,
        reason = "rustix marks the call for a flag that is not used here"
    )]
    unsafe {
        rustix::thread::unshare_unsafe(what).unwrap();
    }
}

#[test]
fn a_listener_is_in_the_socket_table_and_owned() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address) else {
            continue;
        };
        let local = listener.local_addr().unwrap();
        let table = TcpTable::parse(&bytes(&sockets(None, SocketKind::TcpListening)));
        let socket = table.sockets.iter().find(|socket| socket.local == local);
        let owners = SocketOwners::parse(&bytes(&ProbeRequest::SocketOwners));
        assert!(
            owners
                .of(socket.unwrap().inode)
                .contains(&std::process::id())
        );
    }
}

#[test]
fn an_established_connection_is_in_the_socket_table() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let table = TcpTable::parse(&bytes(&sockets(None, SocketKind::TcpEstablished)));
    assert!(table.sockets.iter().any(|socket| {
        socket.local == client.local_addr().unwrap() && socket.remote == client.peer_addr().unwrap()
    }));
    assert!(
        !table
            .sockets
            .iter()
            .any(|socket| socket.local == listener.local_addr().unwrap()
                && socket.remote.port() == 0)
    );
}

#[test]
fn a_unix_listener_is_in_the_socket_table_with_its_file_and_queue() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("app.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    let table = UnixTable::parse(&bytes(&sockets(None, SocketKind::UnixListening)));
    let listener = table
        .listeners
        .iter()
        .find(|listener| listener.path.as_deref() == Some(&path))
        .unwrap();
    assert_eq!(listener.pending, Some(1));
    assert_eq!(listener.file.unwrap().1, fs::metadata(&path).unwrap().ino());
}

#[test]
fn another_network_namespace_has_its_own_sockets_and_routes() {
    if !is_root() {
        return;
    }
    let (port, its_port) = mpsc::channel();
    let stranger = Stranger::new(move || {
        unshare(UnshareFlags::NEWNET);
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        port.send(listener.local_addr().unwrap()).unwrap();
        listener
    });
    let there = its_port.recv().unwrap();
    let table = TcpTable::parse(&bytes(&sockets(
        Some(stranger.tid),
        SocketKind::TcpListening,
    )));
    let locals: Vec<_> = table.sockets.iter().map(|socket| socket.local).collect();
    assert_eq!(locals, [there]);

    // Its loopback interface is down, ours is not.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = PeerAddress::Tcp(listener.local_addr().unwrap());
    assert_eq!(connect(Some(stranger.tid), &here), Answer::Errno(101));
    assert!(connected(&connect(None, &here)));
    assert_eq!(
        bytes(&ProbeRequest::NetfilterChains {
            netns: Some(stranger.tid)
        }),
        b""
    );
}

#[test]
fn a_connection_is_made_with_the_rights_of_the_process() {
    if !is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = home.path().join("app.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let stranger = Stranger::new(|| {
        rustix::thread::set_thread_groups(&[Gid::from_raw(54_321)]).unwrap();
        let (uid, gid) = (Uid::from_raw(65_534), Gid::from_raw(65_534));
        rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
    });
    let peer = PeerAddress::Unix(path.clone());
    for (mode, group, allowed) in [
        (0o600, 0, false),
        (0o606, 0, true),
        (0o660, 0, false),
        (0o660, 54_321, true),
        (0o660, 65_534, true),
        // The group's class wins over the others'.
        (0o606, 54_321, false),
    ] {
        std::os::unix::fs::chown(&path, Some(0), Some(group)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let answer = connect(Some(stranger.tid), &peer);
        if allowed {
            assert!(connected(&answer), "{mode:o} {group}: {answer:?}");
        } else {
            assert_eq!(answer, Answer::Errno(13), "{mode:o} {group}");
        }
        assert!(connected(&connect(None, &peer)));
    }
}

#[test]
fn a_connection_tells_how_it_failed() {
    let home = tempfile::tempdir().unwrap();
    let stale = home.path().join("stale.sock");
    drop(UnixListener::bind(&stale).unwrap());
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let table = [
        (PeerAddress::Unix(home.path().join("missing.sock")), 2),
        (PeerAddress::Unix(stale), 111),
        (PeerAddress::Unix(home.path().join("x".repeat(120))), 36),
        (PeerAddress::Unix(home.path().to_owned()), 111),
        (PeerAddress::Tcp(closed), 111),
    ];
    for (peer, errno) in table {
        assert_eq!(connect(None, &peer), Answer::Errno(errno), "{peer}");
    }
}

#[test]
fn a_process_that_is_gone_is_told_apart_from_a_failed_connection() {
    let gone = Stranger::new(|| ()).tid;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = PeerAddress::Tcp(listener.local_addr().unwrap());
    assert_eq!(connect(Some(gone), &peer), Answer::Errno(3));
    assert!(connected(&connect(Some(std::process::id()), &peer)));
    if !is_root() {
        assert_eq!(connect(Some(1), &peer), Answer::Errno(1));
    }
}

#[test]
fn links_in_the_view_of_a_process_stay_below_its_root() {
    if !is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("etc/app")).unwrap();
    fs::write(root.join("etc/app/conf"), "inside").unwrap();
    symlink("/etc/app", root.join("absolute")).unwrap();
    symlink("../../../../../../etc/app/conf", root.join("etc/up")).unwrap();
    symlink("/etc/passwd", root.join("outside")).unwrap();
    let listener = UnixListener::bind(root.join("app.sock")).unwrap();
    let jail = root.clone();
    let stranger = Stranger::new(move || {
        unshare(UnshareFlags::FS);
        chroot(jail).unwrap();
    });
    let view = View::Process(stranger.tid);

    assert_eq!(bytes(&file(view, "/absolute/conf")), b"inside");
    assert_eq!(bytes(&file(view, "/etc/up")), b"inside");
    assert_eq!(ask(&file(view, "/outside")), Answer::Errno(2));
    assert_eq!(
        bytes(&ProbeRequest::Directory {
            view,
            path: "/etc".into()
        }),
        b"app\0up\0"
    );
    let walked = Walk::parse(&bytes(&walk(view, "/absolute/conf")));
    let paths: Vec<_> = walked
        .components
        .iter()
        .map(|component| component.path.to_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        ["/", "/absolute", "/etc", "/etc/app", "/etc/app/conf"]
    );
    let inode = fs::metadata(root.join("etc/app/conf")).unwrap().ino();
    assert_eq!(walked.end().unwrap().inode, inode);

    let inside = PeerAddress::Unix("/app.sock".into());
    assert!(connected(&connect(Some(stranger.tid), &inside)));
    assert_eq!(connect(None, &inside), Answer::Errno(2));
    drop(listener);
}

#[test]
fn a_walk_shows_links_kinds_and_where_it_ends() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().canonicalize().unwrap();
    fs::create_dir(home.join("a b")).unwrap();
    let _listener = UnixListener::bind(home.join("a b/app.sock")).unwrap();
    symlink("a b/./../a b", home.join("link")).unwrap();
    symlink("loop", home.join("loop")).unwrap();

    let walked = Walk::parse(&bytes(&walk(View::Host, home.join("link/app.sock"))));
    let ends: Vec<_> = walked
        .components
        .iter()
        .rev()
        .take(4)
        .map(|component| component.path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(ends, ["app.sock", "a b", "a b", "link"]);
    assert_eq!(walked.end().unwrap().kind, NodeKind::Socket);

    for (path, errno) in [
        ("loop", 40),
        ("missing/app.sock", 2),
        ("a b/app.sock/below", 20),
    ] {
        let walked = Walk::parse(&bytes(&walk(View::Host, home.join(path))));
        assert_eq!(walked.broken_at().unwrap().1, errno, "{path}");
    }
    assert_eq!(
        ask(&walk(View::Process(u32::MAX >> 1), "/")),
        Answer::Errno(2)
    );
    assert_eq!(ask(&walk(View::Host, "relative")), Answer::Errno(22));
}

#[test]
fn a_walk_shows_access_control_lists() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("app");
    fs::write(&path, "").unwrap();
    // acl(5): version 2, then tag, permissions and id of each entry: owner rw, user 33 rw, group -, mask rw, other -.
    let acl: &[u8] = &[
        2, 0, 0, 0, //
        1, 0, 6, 0, 255, 255, 255, 255, //
        2, 0, 6, 0, 33, 0, 0, 0, //
        4, 0, 0, 0, 255, 255, 255, 255, //
        16, 0, 6, 0, 255, 255, 255, 255, //
        32, 0, 0, 0, 255, 255, 255, 255,
    ];
    if setxattr(&path, "system.posix_acl_access", acl, XattrFlags::empty()).is_err() {
        // A file system without them.
        return;
    }
    let walked = Walk::parse(&bytes(&walk(View::Host, &path)));
    let AclState::Read(list) = &walked.end().unwrap().acl else {
        panic!("{walked:?}");
    };
    assert_eq!(list.entries.len(), 5);
}

#[test]
fn what_is_no_plain_file_is_never_opened() {
    let home = tempfile::tempdir().unwrap();
    let fifo = home.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let link = home.path().join("link");
    symlink(&fifo, &link).unwrap();
    let _listener = UnixListener::bind(home.path().join("sock")).unwrap();
    let table = [
        (fifo, 22),
        (link, 22),
        (home.path().join("sock"), 22),
        ("/dev/null".into(), 22),
        (home.path().to_owned(), 21),
        (home.path().join("missing"), 2),
        ("relative".into(), 22),
    ];
    for (path, errno) in table {
        assert_eq!(
            ask(&file(View::Host, &path)),
            Answer::Errno(errno),
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_file_is_cut_at_the_limit() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    fs::write(&path, "0123456789").unwrap();
    for (path, limit, expected) in [
        (path.clone(), 9, Some((9, true))),
        (path.clone(), 10, Some((10, false))),
        (path, u64::MAX, Some((10, false))),
        ("/proc/self/status".into(), 8, Some((8, true))),
        ("/proc/self/status".into(), u64::MAX, None),
    ] {
        let request = ProbeRequest::File {
            view: View::Host,
            path,
            limit,
        };
        let Answer::File { bytes, cut, stat } = ask(&request) else {
            panic!("{request}");
        };
        assert_eq!(stat.mode & 0o170_000, 0o100_000);
        match expected {
            Some(expected) => assert_eq!((bytes.len(), cut), expected, "{request}"),
            None => assert!(bytes.len() > 100 && !cut, "{request}"),
        }
    }
}

#[test]
fn the_end_of_a_log_is_read_from_a_stamp() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("error.log");
    let mut log = fs::File::create(&path).unwrap();
    for second in 0..20_000 {
        let (minute, second) = (second / 60, second % 60);
        let (hour, minute) = (minute / 60, minute % 60);
        writeln!(
            log,
            "2026/06/23 {hour:02}:{minute:02}:{second:02} [error] 1#1: *1 x\n  more"
        )
        .unwrap();
    }
    let request = |from: &str, limit| ProbeRequest::LinesSince {
        view: View::Host,
        path: path.clone(),
        from: from.to_owned(),
        limit,
    };
    let last = b"2026/06/23 05:33:19 [error] 1#1: *1 x\n  more\n";
    assert_eq!(bytes(&request("2026/06/23 05:33:19", 1 << 20)), last);
    assert_eq!(bytes(&request("2026/06/24 00:00:00", 1 << 20)), b"");
    let Answer::File { bytes, cut, .. } = ask(&request("2026/06/23 00:00:00", 50)) else {
        panic!();
    };
    assert_eq!((bytes.as_slice(), cut), (&last[..], true));
}

#[test]
fn directories_links_and_environments_are_read() {
    let home = tempfile::tempdir().unwrap();
    for name in ["b", "a", ".c"] {
        fs::write(home.path().join(name), "").unwrap();
    }
    symlink("gone", home.path().join("link")).unwrap();
    let directory = ProbeRequest::Directory {
        view: View::Host,
        path: home.path().into(),
    };
    assert_eq!(bytes(&directory), b".c\0a\0b\0link\0");
    let link = |path| ProbeRequest::Link { path };
    assert_eq!(bytes(&link(home.path().join("link"))), b"gone");
    assert!(bytes(&link("/proc/self/ns/net".into())).starts_with(b"net:["));
    let environment = ProbeRequest::Environment {
        pid: std::process::id(),
        names: vec!["PATH".to_owned(), "NO_SUCH_VARIABLE".to_owned()],
    };
    let variables = bytes(&environment);
    assert!(variables.starts_with(b"PATH=") && variables.ends_with(b"\0"));
    assert_eq!(variables.split(|&byte| byte == 0).count(), 2);
}

#[test]
fn only_listed_programs_run() {
    let Answer::Exit { code, stdout, .. } = ask(&ProbeRequest::command(["getent", "passwd", "0"]))
    else {
        panic!("getent is part of libc");
    };
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with(b"root:"));
    for argv in [
        ["sh", "-c", "true"],
        ["systemctl", "stop", "nginx"],
        ["/usr/bin/getent", "passwd", "0"],
    ] {
        assert_eq!(
            ask(&ProbeRequest::command(argv)),
            Answer::Errno(1),
            "{argv:?}"
        );
    }
    assert_eq!(
        ask(&ProbeRequest::Command { argv: Vec::new() }),
        Answer::Errno(22)
    );
}
