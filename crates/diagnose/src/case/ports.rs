//! The local ports that connections to a peer can still be made from.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use bstr::ByteSlice as _;
use facts::sockets::{TcpState, TcpTable};
use facts::{Exhibit, Gap, ProbeRequest, SocketKind};

use super::Case;
use crate::incident::Incident;
use crate::verdict::Step;

const RANGE: &str = "net.ipv4.ip_local_port_range";
const RESERVED: &str = "net.ipv4.ip_local_reserved_ports";
/// `TCP_TIME_WAIT` (include/net/tcp_states.h).
const TIME_WAIT: TcpState = TcpState::Other(6);

/// The local ports of connections to one peer.
pub(crate) struct LocalPorts {
    /// The range the kernel takes them from.
    pub(crate) range: (u16, u16),
    /// How many there are for one peer.
    pub(crate) all: usize,
    /// How many are taken by connections to it.
    pub(crate) taken: usize,
    /// Of them, those whose connection is closed and that wait (TIME-WAIT).
    pub(crate) waiting: usize,
    netns: Option<u32>,
}

impl LocalPorts {
    /// Whether hardly any is left: what is bound otherwise takes some too.
    pub(crate) fn are_used_up(&self) -> bool {
        self.taken * 10 >= self.all * 9
    }

    /// The count as an exhibit.
    pub(crate) fn exhibit(&self, peer: SocketAddr) -> Exhibit {
        let (first, last) = self.range;
        Exhibit::Record {
            probe: "sockets",
            at: None,
            text: format!(
                "{} of the {} local ports for {peer} ({first} to {last}) are taken now, {} of them in TIME-WAIT",
                self.taken, self.all, self.waiting
            ),
        }
    }

    /// The step that gives connections more ports, until the next boot.
    pub(crate) fn widen(&self, range: (u16, u16)) -> Step {
        let setting = format!("{RANGE}={} {}", range.0, range.1);
        match self.netns {
            Some(pid) => Step::command([
                "nsenter",
                "-t",
                &pid.to_string(),
                "-n",
                "sysctl",
                "-w",
                &setting,
            ]),
            None => Step::command(["sysctl", "-w", &setting]),
        }
    }
}

impl Case {
    /// The local ports of connections to a peer, in nginx's network namespace.
    pub(crate) fn ports_to(
        &self,
        incident: &Incident,
        peer: SocketAddr,
    ) -> Result<LocalPorts, Gap> {
        let netns = self.in_nginx_netns(incident)?;
        let (range, reserved) = self.port_settings(netns)?;
        let table = ProbeRequest::Sockets {
            netns,
            kind: SocketKind::TcpConnected,
        };
        let table = self
            .evidence
            .fact(&table, |_, bytes| TcpTable::parse(bytes))?;
        if !table.complete {
            return Err(Gap::undecided(
                "the socket table",
                "part of it could not be read",
            ));
        }
        let is_usable =
            |port: u16| (range.0..=range.1).contains(&port) && !reserved.contains(&port);
        let to_peer = table
            .sockets
            .iter()
            .filter(|socket| socket.remote == peer && is_usable(socket.local.port()));
        let taken: BTreeSet<u16> = to_peer.clone().map(|socket| socket.local.port()).collect();
        Ok(LocalPorts {
            range,
            all: (range.0..=range.1).filter(|port| is_usable(*port)).count(),
            taken: taken.len(),
            waiting: to_peer.filter(|socket| socket.state == TIME_WAIT).count(),
            netns,
        })
    }

    /// The range, and the ports within it that are kept for others.
    pub(super) fn port_settings(
        &self,
        netns: Option<u32>,
    ) -> Result<((u16, u16), BTreeSet<u16>), Gap> {
        let file =
            |name: &str| ProbeRequest::host_file(format!("/proc/sys/{}", name.replace('.', "/")));
        let (range, reserved) = if netns.is_some() {
            // Which namespace's settings these files hold hangs on who reads them.
            let request = ProbeRequest::command_in(netns, ["sysctl", "-n", RANGE, RESERVED]);
            let (_, lines) = self.evidence.bytes(&request)?;
            lines.split_once_str("\n").unwrap_or((lines, b""))
        } else {
            drop(self.evidence.batch([file(RANGE), file(RESERVED)])?);
            let reserved = self.evidence.bytes(&file(RESERVED));
            let (_, range) = self.evidence.bytes(&file(RANGE))?;
            (range, reserved.map_or(&b""[..], |(_, list)| list))
        };
        let mut ends = range
            .fields()
            .filter_map(|end| end.to_str().ok()?.parse().ok());
        let range = ends.next().zip(ends.next());
        let range =
            range.ok_or_else(|| Gap::undecided("the range of local ports", "it is unreadable"))?;
        Ok((range, listed(reserved)))
    }
}

/// The ports of a list such as `8080,9000-9010`.
fn listed(list: &[u8]) -> BTreeSet<u16> {
    let text = list.to_str_lossy();
    let parts = text.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<u16>().ok()?..=last.trim().parse::<u16>().ok()?)
    });
    parts.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_ports_names_them_and_ranges_of_them() {
        let ports: Vec<u16> = listed(b"8080,9000-9002\n").into_iter().collect();
        assert_eq!(ports, [8080, 9000, 9001, 9002]);
        assert!(listed(b"\n").is_empty());
        assert!(listed(b"x-,-5,70000").is_empty());
    }
}
