//! What the kernel counts of connections to full queues, from `/proc/PID/net/netstat`.
//!
//! The counters are those of a network namespace since it was made: they name no socket and no time.

use bstr::ByteSlice as _;

use crate::text::number;

/// Connections that the listeners of a network namespace turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenDrops {
    /// Because a queue of connections to accept was full (`ListenOverflows`).
    pub overflows: u64,
    /// For whatever reason, the full queues included (`ListenDrops`).
    pub drops: u64,
}

impl ListenDrops {
    /// Reads the two lines that begin with `TcpExt:`, names above values; `None` where a counter is not there.
    pub fn parse(netstat: &[u8]) -> Option<Self> {
        let mut lines = netstat
            .lines()
            .filter_map(|line| line.strip_prefix(b"TcpExt:"));
        let (names, values) = (lines.next()?, lines.next()?);
        let value = |name: &[u8]| {
            let mut pairs = names.fields().zip(values.fields());
            number(pairs.find(|(named, _)| *named == name)?.1)
        };
        Some(Self {
            overflows: value(b"ListenOverflows")?,
            drops: value(b"ListenDrops")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The beginning and some of the middle of Linux 6.18's file.
    const NETSTAT: &[u8] =
        b"TcpExt: SyncookiesSent SyncookiesRecv ListenOverflows ListenDrops TCPHPHits\n\
        TcpExt: 0 0 12 13 40871\n\
        IpExt: InNoRoutes InTruncatedPkts\nIpExt: 0 0\n";

    #[test]
    fn counters_are_found_by_their_names() {
        let drops = ListenDrops {
            overflows: 12,
            drops: 13,
        };
        assert_eq!(ListenDrops::parse(NETSTAT), Some(drops));
    }

    #[test]
    fn a_counter_that_is_not_there_is_not_taken_for_none() {
        assert_eq!(
            ListenDrops::parse(b"TcpExt: ListenDrops\nTcpExt: 1\n"),
            None
        );
        assert_eq!(
            ListenDrops::parse(b"TcpExt: ListenOverflows ListenDrops\n"),
            None
        );
        assert_eq!(
            ListenDrops::parse(b"TcpExt: ListenOverflows ListenDrops\nTcpExt: 1\n"),
            None
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, values in "[ -~]{0,40}") {
            ListenDrops::parse(&bytes);
            ListenDrops::parse(format!("TcpExt: ListenOverflows ListenDrops\nTcpExt:{values}\n").as_bytes());
        }
    }
}
