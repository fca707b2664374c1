//! Socket tables and netfilter chains over netlink: the kernel's messages, unread.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use facts::{Answer, SocketKind};
use netlink_packet_core::Emitable;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{self, ExtensionFlags, InetRequest, SocketId};
use netlink_packet_sock_diag::unix::{self, ShowFlags, UnixRequest};
use rustix::io::{self, Errno};
use rustix::net::netlink::{NETFILTER, SOCK_DIAG};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

use super::namespace;

// linux/netlink.h
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;

// linux/sock_diag.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NFT_MSG_GETCHAIN: u16 = (10 << 8) | 4;

/// Tables that change while they are dumped are asked for again, this often.
const ATTEMPTS: usize = 4;

pub(super) fn sockets(
    netns: Option<u32>,
    kind: SocketKind,
    budget: Duration,
) -> io::Result<Answer> {
    let requests = match kind {
        SocketKind::TcpListening => tcp(&inet::StateFlags::LISTEN),
        SocketKind::TcpEstablished => tcp(&inet::StateFlags::ESTABLISHED),
        SocketKind::TcpConnected => tcp(&(inet::StateFlags::all() - inet::StateFlags::LISTEN)),
        SocketKind::UnixListening => vec![unix_listening()],
    };
    dump(netns, SOCK_DIAG, SOCK_DIAG_BY_FAMILY, &requests, budget)
}

/// Queue lengths are part of every message, `IPV6_V6ONLY` of every listener's; no extension is needed.
fn tcp(states: &inet::StateFlags) -> Vec<Vec<u8>> {
    [
        (AF_INET, SocketId::new_v4()),
        (AF_INET6, SocketId::new_v6()),
    ]
    .map(|(family, socket_id)| {
        emit(&InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: states.clone(),
            socket_id,
        })
    })
    .into()
}

fn unix_listening() -> Vec<u8> {
    emit(&UnixRequest {
        state_flags: unix::StateFlags::LISTEN,
        inode: 0,
        show_flags: ShowFlags::NAME | ShowFlags::VFS | ShowFlags::RQLEN,
        cookie: [0xff; 8],
    })
}

fn emit(request: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; request.buffer_len()];
    request.emit(&mut bytes);
    bytes
}

pub(super) fn chains(netns: Option<u32>, budget: Duration) -> io::Result<Answer> {
    if !has_nf_tables() {
        return Ok(Answer::Bytes(Vec::new()));
    }
    // struct nfgenmsg: every family, version 0, no resource.
    let request = vec![0, 0, 0, 0];
    dump(netns, NETFILTER, NFT_MSG_GETCHAIN, &[request], budget)
}

/// Whether the kernel has nf_tables now. Where it has not there are no chains, and asking would make it load the module.
fn has_nf_tables() -> bool {
    // Without modules, everything that the kernel has is built in.
    let Ok(loaded) = std::fs::read_to_string("/proc/modules") else {
        return true;
    };
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let built_in = format!("/lib/modules/{}/modules.builtin", release.trim_end());
    loaded.lines().any(|module| module.starts_with("nf_tables "))
        // Where it cannot be known, as in a container, the kernel is asked.
        || std::fs::read_to_string(built_in).map_or(true, |list| list.contains("/nf_tables.ko"))
}

fn dump(
    netns: Option<u32>,
    protocol: Protocol,
    kind: u16,
    requests: &[Vec<u8>],
    budget: Duration,
) -> io::Result<Answer> {
    let deadline = Instant::now() + budget;
    let dumped = namespace::in_network(netns, || {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(protocol),
        )?;
        let mut messages = Vec::new();
        for request in requests {
            messages.append(&mut consistent(&socket, kind, request, deadline)?);
        }
        Ok(messages)
    });
    match dumped {
        Ok(messages) => Ok(Answer::Bytes(messages)),
        Err(Errno::AGAIN) => Ok(Answer::TimedOut),
        Err(error) => Err(error),
    }
}

/// One dump during which the table did not change; `EINTR` when there is none to be had.
fn consistent(
    socket: &OwnedFd,
    kind: u16,
    request: &[u8],
    deadline: Instant,
) -> io::Result<Vec<u8>> {
    for sequence in 1..=ATTEMPTS {
        let sequence = u32::try_from(sequence).unwrap_or(0);
        send(
            socket,
            &message(kind, sequence, request),
            SendFlags::empty(),
        )?;
        let mut dump = Dump::default();
        while !dump.done {
            let datagram = receive(socket, deadline)?;
            dump.take(&datagram, sequence)?;
        }
        if !dump.interrupted {
            return Ok(dump.messages);
        }
    }
    Err(Errno::INTR)
}

fn message(kind: u16, sequence: u32, request: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + request.len()).unwrap_or(0);
    let mut message = Vec::with_capacity(HEADER + request.len());
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    message.extend_from_slice(&sequence.to_ne_bytes());
    message.extend_from_slice(&0_u32.to_ne_bytes());
    message.extend_from_slice(request);
    message
}

fn receive(socket: &OwnedFd, deadline: Instant) -> io::Result<Vec<u8>> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Errno::AGAIN);
    }
    set_socket_timeout(socket, Timeout::Recv, Some(left))?;
    // The kernel fills 32 KiB at most when a dump's reader offers more (af_netlink.c).
    let mut datagram = vec![0; 64 << 10];
    let (length, _) = recv(socket, datagram.as_mut_slice(), RecvFlags::empty())?;
    datagram.truncate(length);
    Ok(datagram)
}

#[derive(Default)]
struct Dump {
    messages: Vec<u8>,
    interrupted: bool,
    done: bool,
}

impl Dump {
    /// Keeps the messages of the dump itself.
    fn take(&mut self, datagram: &[u8], sequence: u32) -> io::Result<()> {
        let mut rest = datagram;
        while let Some(header) = Header::of(rest) {
            let Some(message) = rest.get(..header.length) else {
                return Err(Errno::BADMSG);
            };
            let padded = header.length.next_multiple_of(4);
            rest = rest.get(padded..).unwrap_or_default();
            if header.sequence != sequence {
                continue;
            }
            self.interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
            match header.kind {
                NLMSG_NOOP => {}
                NLMSG_ERROR | NLMSG_DONE => {
                    self.done = true;
                    outcome(message)?;
                }
                _ => {
                    self.messages.extend_from_slice(message);
                    self.messages
                        .resize(self.messages.len() + padded - header.length, 0);
                }
            }
        }
        Ok(())
    }
}

/// The negated errno that an error message, and the end of a dump, begin with.
fn outcome(message: &[u8]) -> io::Result<()> {
    let code = message
        .get(HEADER..HEADER + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, i32::from_ne_bytes);
    if code < 0 {
        return Err(Errno::from_raw_os_error(-code));
    }
    Ok(())
}

struct Header {
    length: usize,
    kind: u16,
    flags: u16,
    sequence: u32,
}

impl Header {
    fn of(bytes: &[u8]) -> Option<Self> {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
        let header = Self {
            length: usize::try_from(length).ok()?,
            kind: u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?),
            flags: u16::from_ne_bytes(bytes.get(6..8)?.try_into().ok()?),
            sequence: u32::from_ne_bytes(bytes.get(8..12)?.try_into().ok()?),
        };
        (header.length >= HEADER).then_some(header)
    }
}
