//! The sockets of a network namespace, from raw `sock_diag` messages.
//!
//! A listener that is missed would prove that nothing listens: what could not be read makes a table incomplete.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;
use netlink_packet_core::Parseable as _;
use netlink_packet_sock_diag::inet::InetResponseHeader;
use netlink_packet_sock_diag::unix::UnixResponseHeader;

use crate::netlink::{Message, attributes, messages, native_u32};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_HEADER_LENGTH: usize = 72;
const UNIX_HEADER_LENGTH: usize = 16;
const AF_UNIX: u8 = 1;
const INET_DIAG_SKV6ONLY: u16 = 11;

/// The TCP sockets of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpTable {
    /// The sockets, as the kernel lists them.
    pub sockets: Vec<TcpSocket>,
    /// Whether every message was understood: else a socket may be missing.
    pub complete: bool,
}

/// A TCP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpSocket {
    /// Its own address.
    pub local: SocketAddr,
    /// The other end's; unspecified for a listener.
    pub remote: SocketAddr,
    /// Its state.
    pub state: TcpState,
    /// Its inode, as in `/proc/PID/fd`; 0 when no process holds it.
    pub inode: u64,
    /// Who made it.
    pub uid: u32,
    /// Bytes to be read; of a listener, the connections that wait to be accepted.
    pub recv_queue: u32,
    /// Bytes not yet acknowledged; of a listener, how many connections may wait.
    pub send_queue: u32,
    /// Whether it takes IPv6 alone; `None` where the kernel does not say, as for IPv4.
    pub v6only: Option<bool>,
    /// The network device that it is bound to, by index.
    pub device: Option<u32>,
}

/// The state of a TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpState {
    /// Open both ways.
    Established,
    /// Takes connections.
    Listen,
    /// Another one, by the kernel's number.
    Other(u8),
}

impl TcpTable {
    /// Reads `sock_diag` messages of TCP sockets.
    pub fn parse(bytes: &[u8]) -> Self {
        let (messages, framed) = messages(bytes);
        let wanted = messages.len();
        let sockets: Vec<_> = messages.iter().filter_map(tcp_socket).collect();
        let complete = framed && sockets.len() == wanted;
        Self { sockets, complete }
    }
}

impl TcpSocket {
    /// Whether a connection to `address`, made in this socket's network namespace, reaches this listener; `None` where
    /// that hangs on what the kernel did not say (IPv6 only or not, a device it is bound to).
    ///
    /// Says nothing of a more specific listener that would be chosen instead.
    pub fn listens_on(&self, address: SocketAddr) -> Option<bool> {
        if self.state != TcpState::Listen || self.local.port() != address.port() {
            return Some(false);
        }
        let reached = reaches(self.local.ip(), self.v6only, dialled(address.ip()));
        match (reached, self.device) {
            (Some(false), _) | (_, None) => reached,
            (_, Some(_)) => None,
        }
    }
}

/// Whether a listener on `local` takes connections to `to`.
fn reaches(local: IpAddr, v6only: Option<bool>, to: IpAddr) -> Option<bool> {
    match (local, to) {
        (IpAddr::V4(local), IpAddr::V4(to)) => Some(local.is_unspecified() || local == to),
        (IpAddr::V6(local), IpAddr::V6(to)) => Some(local.is_unspecified() || local == to),
        (IpAddr::V4(_), IpAddr::V6(_)) => Some(false),
        (IpAddr::V6(local), IpAddr::V4(to)) => {
            if local.is_unspecified() {
                v6only.map(|v6only| !v6only)
            } else {
                let mapped = local.to_ipv4_mapped();
                Some(mapped.is_some_and(|local| local.is_unspecified() || local == to))
            }
        }
    }
}

/// The address that a connect really goes to: Linux takes the unspecified address for this host, and sends what is
/// mapped into IPv6 over IPv4.
fn dialled(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

fn tcp_socket(message: &Message<'_>) -> Option<TcpSocket> {
    if message.kind != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let header = InetResponseHeader::parse(message.payload).ok()?;
    let mut v6only = None;
    // A malformed attribute loses nothing but itself: the header has all that a listener is.
    attributes(
        message
            .payload
            .get(INET_HEADER_LENGTH..)
            .unwrap_or_default(),
        |kind, value| {
            if kind == INET_DIAG_SKV6ONLY {
                v6only = value.first().map(|&flag| flag != 0);
            }
        },
    );
    let id = header.socket_id;
    Some(TcpSocket {
        local: SocketAddr::new(id.source_address, id.source_port),
        remote: SocketAddr::new(id.destination_address, id.destination_port),
        state: match header.state {
            1 => TcpState::Established,
            10 => TcpState::Listen,
            other => TcpState::Other(other),
        },
        inode: header.inode.into(),
        uid: header.uid,
        recv_queue: header.recv_queue,
        send_queue: header.send_queue,
        v6only,
        device: (id.interface_id != 0).then_some(id.interface_id),
    })
}

/// The listening unix sockets of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixTable {
    /// The listeners, as the kernel lists them.
    pub listeners: Vec<UnixListener>,
    /// Whether every message was understood: else a listener may be missing.
    pub complete: bool,
}

/// A listening unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixListener {
    /// Its path as the listener gave it to `bind`: may be relative, may be hidden from others by a mount namespace or a
    /// root, and the file may be gone. Of an abstract socket, the bytes behind its NUL. `None` when it has no name.
    pub path: Option<PathBuf>,
    /// Whether the name is an abstract one, of no file.
    pub is_abstract: bool,
    /// What it takes.
    pub kind: UnixKind,
    /// Its inode, as in `/proc/PID/fd`; not the file's.
    pub inode: u64,
    /// Device (as `st_dev` has it) and inode of its file; the kernel gives 32 bits of the inode.
    pub file: Option<(u64, u64)>,
    /// How many connections wait to be accepted.
    pub pending: Option<u32>,
    /// How many may wait.
    pub backlog: Option<u32>,
}

/// The kind of a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixKind {
    /// Bytes, as nginx dials.
    Stream,
    /// Packets in order: a connect for a stream fails with 91.
    SeqPacket,
    /// Another `SOCK_*`.
    Other(u8),
}

impl UnixTable {
    /// Reads `sock_diag` messages of unix sockets.
    pub fn parse(bytes: &[u8]) -> Self {
        let (messages, framed) = messages(bytes);
        let wanted = messages.len();
        let listeners: Vec<_> = messages.iter().filter_map(unix_listener).collect();
        let complete = framed && listeners.len() == wanted;
        Self {
            listeners,
            complete,
        }
    }
}

impl UnixListener {
    /// Whether this file (`st_dev`, `st_ino`) is the one the listener is bound to; `None` where that cannot be told:
    /// overlayfs and btrfs show another device than the kernel has here.
    pub fn is_file(&self, device: u64, inode: u64) -> Option<bool> {
        let (own_device, own_inode) = self.file?;
        match (own_device == device, own_inode == inode & 0xffff_ffff) {
            (true, same) => Some(same),
            (false, _) => None,
        }
    }

    /// Its path, unless the name is abstract or missing.
    pub fn file_path(&self) -> Option<&Path> {
        self.path.as_deref().filter(|_| !self.is_abstract)
    }

    /// Whether a connect for a stream finds the queue full: then it fails with 11 at once. A unix queue holds one more
    /// than its length (`unix_recvq_full`, net/unix/af_unix.c).
    pub fn is_full(&self) -> Option<bool> {
        Some(self.pending? > self.backlog?)
    }
}

fn unix_listener(message: &Message<'_>) -> Option<UnixListener> {
    if message.kind != SOCK_DIAG_BY_FAMILY || message.payload.first() != Some(&AF_UNIX) {
        return None;
    }
    let header = UnixResponseHeader::parse(message.payload).ok()?;
    let mut listener = UnixListener {
        path: None,
        is_abstract: false,
        kind: match header.kind {
            1 => UnixKind::Stream,
            5 => UnixKind::SeqPacket,
            other => UnixKind::Other(other),
        },
        inode: header.inode.into(),
        file: None,
        pending: None,
        backlog: None,
    };
    // `UNIX_DIAG_*` (linux/unix_diag.h).
    let well_formed = attributes(
        message
            .payload
            .get(UNIX_HEADER_LENGTH..)
            .unwrap_or_default(),
        |kind, value| match kind {
            0 => (listener.path, listener.is_abstract) = name(value),
            1 => listener.file = file(value),
            4 => {
                listener.pending = native_u32(value);
                listener.backlog = value.get(4..).and_then(native_u32);
            }
            _ => {}
        },
    );
    // Without its name a listener is as good as missing.
    well_formed.then_some(listener)
}

/// A path of the full 108 bytes has no NUL; an abstract name may hold NULs.
fn name(value: &[u8]) -> (Option<PathBuf>, bool) {
    let (name, is_abstract) = match value.split_first() {
        None => return (None, false),
        Some((0, name)) => (name, true),
        Some(_) => (
            value.split(|&byte| byte == 0).next().unwrap_or_default(),
            false,
        ),
    };
    let path = name.to_path_lossy().into_owned();
    (Some(path), is_abstract)
}

/// `struct unix_diag_vfs`: inode, then the device as the kernel keeps it (12 bits of major, 20 of minor).
fn file(value: &[u8]) -> Option<(u64, u64)> {
    let inode = native_u32(value)?;
    let device = u64::from(native_u32(value.get(4..)?)?);
    let (major, minor) = (device >> 20, device & 0xf_ffff);
    // `makedev`: how user space has it.
    let device = (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & !0xff) << 12);
    Some((device, inode.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Dumped from kernel 6.18: sockets made for this in a network namespace of their own.
    const LISTENING: &[u8] = include_bytes!("../testdata/tcp-listening.bin");
    const ESTABLISHED: &[u8] = include_bytes!("../testdata/tcp-established.bin");
    const UNIX: &[u8] = include_bytes!("../testdata/unix-listening.bin");

    fn on_port(port: u16) -> TcpSocket {
        let table = TcpTable::parse(LISTENING);
        assert!(table.complete);
        table
            .sockets
            .into_iter()
            .find(|socket| socket.local.port() == port)
            .unwrap()
    }

    #[test]
    fn a_listener_is_read_with_its_queue() {
        assert_eq!(TcpTable::parse(LISTENING).sockets.len(), 8);
        let socket = on_port(8085);
        assert_eq!(socket.local, "127.0.0.1:8085".parse().unwrap());
        assert_eq!((socket.recv_queue, socket.send_queue), (2, 4));
        assert_eq!((socket.state, socket.uid), (TcpState::Listen, 0));
        assert_ne!(socket.inode, 0);
        assert_eq!(socket.v6only, None);
        assert_eq!(on_port(8082).v6only, Some(true));
        assert_eq!(on_port(8081).v6only, Some(false));
    }

    #[test]
    fn connections_are_read_with_both_ends() {
        let table = TcpTable::parse(ESTABLISHED);
        assert!(table.complete);
        assert_eq!(table.sockets.len(), 4);
        assert!(
            table
                .sockets
                .iter()
                .all(|socket| socket.state == TcpState::Established)
        );
        assert!(
            table
                .sockets
                .iter()
                .any(|socket| socket.remote.port() == 8085)
        );
    }

    #[test]
    fn a_listener_takes_what_its_address_says() {
        for (dialled, reached) in [
            ("127.0.0.1:8000", Some(true)),
            ("0.0.0.0:8000", Some(true)),
            ("[::ffff:127.0.0.1]:8000", Some(true)),
            ("127.0.0.2:8000", Some(false)),
            ("[::1]:8000", Some(false)),
            ("127.0.0.1:8080", Some(true)),
            ("10.1.2.3:8080", Some(true)),
            ("[::1]:8080", Some(false)),
            ("127.0.0.1:8081", Some(true)),
            ("[::1]:8081", Some(true)),
            ("[fe80::1]:8081", Some(true)),
            ("127.0.0.1:8082", Some(false)),
            ("[::1]:8082", Some(true)),
            ("[::]:8083", Some(true)),
            ("127.0.0.1:8083", Some(false)),
            ("127.0.0.1:8084", Some(true)),
            ("127.0.0.2:8084", Some(false)),
            ("127.0.0.1:8086", None),
            ("[::1]:8086", Some(false)),
        ] {
            let address: SocketAddr = dialled.parse().unwrap();
            assert_eq!(
                on_port(address.port()).listens_on(address),
                reached,
                "{dialled}"
            );
        }
    }

    #[test]
    fn whether_a_wildcard_takes_ipv4_stays_open_when_the_kernel_did_not_say() {
        let mut socket = on_port(8081);
        socket.v6only = None;
        assert_eq!(socket.listens_on("127.0.0.1:8081".parse().unwrap()), None);
        assert_eq!(socket.listens_on("[::1]:8081".parse().unwrap()), Some(true));
    }

    #[test]
    fn a_connection_is_no_listener() {
        let table = TcpTable::parse(ESTABLISHED);
        let socket = &table.sockets[0];
        assert_eq!(socket.listens_on(socket.local), Some(false));
    }

    #[test]
    fn unix_listeners_are_read_with_name_file_and_queue() {
        let table = UnixTable::parse(UNIX);
        assert!(table.complete);
        let summary: Vec<_> = table
            .listeners
            .iter()
            .map(|listener| {
                (
                    listener.path.as_deref().unwrap().to_str().unwrap(),
                    listener.is_abstract,
                    listener.kind,
                    listener.file,
                    (listener.pending.unwrap(), listener.backlog.unwrap()),
                )
            })
            .collect();
        assert_eq!(
            summary,
            [
                (
                    "/run/t/app.sock",
                    false,
                    UnixKind::Stream,
                    Some((39, 3)),
                    (0, 511)
                ),
                (
                    "/run/t/seq.sock",
                    false,
                    UnixKind::SeqPacket,
                    Some((39, 4)),
                    (0, 5)
                ),
                (
                    "/run/t/full.sock",
                    false,
                    UnixKind::Stream,
                    Some((39, 5)),
                    (2, 1)
                ),
                ("app-abstract", true, UnixKind::Stream, None, (0, 3)),
            ]
        );
        let full: Vec<_> = table.listeners.iter().map(UnixListener::is_full).collect();
        assert_eq!(full, [Some(false), Some(false), Some(true), Some(false)]);
        assert_eq!(table.listeners[3].file_path(), None);
    }

    #[test]
    fn a_file_is_compared_by_device_and_the_32_bits_of_its_inode_that_are_known() {
        let listener = UnixTable::parse(UNIX).listeners.remove(0);
        assert_eq!(listener.is_file(39, 3), Some(true));
        assert_eq!(listener.is_file(39, 3 | 1 << 32), Some(true));
        assert_eq!(listener.is_file(39, 4), Some(false));
        assert_eq!(listener.is_file(40, 3), None);
    }

    #[test]
    fn the_kernels_device_number_becomes_the_one_of_stat() {
        // 254:3 (virtio) and 0:300: major << 20 | minor in the kernel.
        let value = |device: u32| [7u32.to_ne_bytes(), device.to_ne_bytes()].concat();
        assert_eq!(file(&value(254 << 20 | 3)), Some((0xfe03, 7)));
        assert_eq!(file(&value(300)), Some((0x0010_002c, 7)));
    }

    #[test]
    fn a_path_without_a_closing_nul_is_kept_whole() {
        assert_eq!(name(&[b'a'; 108]).0.unwrap().as_os_str().len(), 108);
        assert_eq!(name(b""), (None, false));
        assert_eq!(name(b"/a\0\0"), (Some("/a".into()), false));
    }

    #[test]
    fn what_cannot_be_read_makes_a_table_incomplete() {
        assert!(TcpTable::parse(b"").complete);
        assert!(!TcpTable::parse(&LISTENING[..LISTENING.len() - 1]).complete);
        assert!(!TcpTable::parse(&[LISTENING, b"x"].concat()).complete);
        assert!(!UnixTable::parse(LISTENING).complete);
        assert!(!TcpTable::parse(UNIX).complete);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            TcpTable::parse(&bytes);
            UnixTable::parse(&bytes);
        }

        #[test]
        fn a_damaged_dump_is_read_without_a_panic(place in 0..UNIX.len(), byte: u8) {
            let mut bytes = UNIX.to_vec();
            bytes[place] = byte;
            UnixTable::parse(&bytes);
            let mut bytes = LISTENING.to_vec();
            bytes[place] = byte;
            TcpTable::parse(&bytes);
        }
    }
}
