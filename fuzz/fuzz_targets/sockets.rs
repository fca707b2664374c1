//! The kernel's socket tables, and who holds which socket.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use facts::owners::SocketOwners;
use facts::sockets::{TcpState, TcpTable, UnixTable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for socket in TcpTable::parse(data).sockets {
        let port = socket.local.port();
        for ip in [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            socket.local.ip(),
        ] {
            let reached = socket.listens_on(SocketAddr::new(ip, port));
            assert!(socket.state == TcpState::Listen || reached == Some(false));
        }
    }
    for listener in UnixTable::parse(data).listeners {
        assert!(!listener.is_abstract || listener.file_path().is_none());
        listener.is_full();
        if let Some((device, inode)) = listener.file {
            assert_eq!(listener.is_file(device, inode), Some(true));
        }
    }
    let owners = SocketOwners::parse(data);
    for pid in [0, 1, 42] {
        for inode in owners.held_by(pid) {
            assert!(owners.of(inode).contains(&pid));
        }
    }
    owners.is_complete();
});
