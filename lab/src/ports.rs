//! Ports nobody else has: not now, and not while the lab lives.
//!
//! They lie below the range the kernel gives to outgoing connections. A port is held for the lab
//! by an abstract unix socket of its name, which the kernel releases however the lab ends.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

const FIRST: u16 = 10_240;
const LAST: u16 = 32_000;

/// The ports one lab holds.
#[derive(Default)]
pub(crate) struct Ports {
    held: Vec<UnixDatagram>,
}

impl Ports {
    /// `count` ports side by side; gives the first.
    pub(crate) fn take(&mut self, count: u16) -> Result<u16> {
        let span = LAST - FIRST;
        let start = scattered() % span;
        for step in (0..span).step_by(usize::from(count)) {
            let first = FIRST + (start + step) % span;
            if self.take_at(first, count) {
                return Ok(first);
            }
        }
        bail!("no {count} free ports side by side in {FIRST}..{LAST}")
    }

    /// Takes `count` ports from `first` on, or none of them.
    pub(crate) fn take_at(&mut self, first: u16, count: u16) -> bool {
        let locks: Option<Vec<_>> = (first..first.saturating_add(count)).map(hold).collect();
        locks.map(|locks| self.held.extend(locks)).is_some()
    }
}

/// The lock on a port, if no other lab holds it and nothing listens on it at any address.
fn hold(port: u16) -> Option<UnixDatagram> {
    let name = SocketAddr::from_abstract_name(format!("why502-lab-port-{port}")).ok()?;
    let lock = UnixDatagram::bind_addr(&name).ok()?;
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok()?;
    // A host without IPv6 has no listener there.
    let in_use = |error: &io::Error| error.kind() == ErrorKind::AddrInUse;
    let is_free =
        !TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).is_err_and(|error| in_use(&error));
    is_free.then_some(lock)
}

/// A place to start looking that differs between labs started together.
fn scattered() -> u16 {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.subsec_nanos());
    let mixed = (nanos ^ std::process::id().rotate_left(16)).wrapping_mul(0x9E37_79B1);
    let [high, low, ..] = mixed.to_be_bytes();
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_port_is_given_to_nobody_else() {
        let mut ours = Ports::default();
        let first = ours.take(3).unwrap();
        for port in first..first + 3 {
            assert!(!Ports::default().take_at(port, 1), "{port} was given twice");
        }
        drop(ours);
        assert!(Ports::default().take_at(first, 3));
    }
}
