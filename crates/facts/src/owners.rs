//! Which process holds which socket, from the lines of a `SocketOwners` record.

use std::collections::BTreeMap;

use bstr::ByteSlice as _;

use crate::text::number;

/// The holders of sockets, by the socket's inode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketOwners {
    pids: BTreeMap<u64, Vec<u32>>,
    /// How many processes could not be looked into: an inode without a holder then proves nothing.
    pub denied: u64,
}

impl SocketOwners {
    /// Reads `INODE PID` lines and `# denied N`.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut owners = Self::default();
        for line in bytes.lines() {
            if let Some(count) = line.strip_prefix(b"# denied ") {
                owners.denied = owners
                    .denied
                    .saturating_add(number(count.trim()).unwrap_or(1));
                continue;
            }
            let mut fields = line.fields();
            if let (Some(inode), Some(pid), None) = (fields.next(), fields.next(), fields.next())
                && let (Some(inode), Some(pid)) = (number(inode), number(pid))
            {
                owners.pids.entry(inode).or_default().push(pid);
            }
        }
        for pids in owners.pids.values_mut() {
            pids.sort_unstable();
            pids.dedup();
        }
        owners
    }

    /// The processes that hold a socket, lowest first.
    pub fn of(&self, inode: u64) -> &[u32] {
        self.pids.get(&inode).map_or(&[], Vec::as_slice)
    }

    /// The sockets that a process holds.
    pub fn held_by(&self, pid: u32) -> impl Iterator<Item = u64> + '_ {
        self.pids
            .iter()
            .filter(move |(_, pids)| pids.binary_search(&pid).is_ok())
            .map(|(&inode, _)| inode)
    }

    /// Whether every process could be looked into. A process outside the pid namespace that the record was made in is none
    /// that could: it does not show there at all.
    pub fn is_complete(&self) -> bool {
        self.denied == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_holder_of_an_inode_is_found_once() {
        let owners = SocketOwners::parse(b"100 7\n100 5\n100 7\n200 9\njunk\n1 2 3\n");
        assert_eq!(owners.of(100), [5, 7]);
        assert_eq!(owners.of(200), [9]);
        assert_eq!(owners.of(1), &[] as &[u32]);
        assert_eq!(owners.held_by(7).collect::<Vec<_>>(), [100]);
        assert!(owners.is_complete());
    }

    #[test]
    fn processes_that_could_not_be_read_make_it_incomplete() {
        assert!(!SocketOwners::parse(b"100 7\n# denied 12\n").is_complete());
        assert_eq!(SocketOwners::parse(b"# denied 12\n").denied, 12);
        assert!(!SocketOwners::parse(b"# denied ?\n").is_complete());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            SocketOwners::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read_back(pairs in proptest::collection::vec((any::<u64>(), any::<u32>()), 0..50)) {
            let lines: Vec<_> = pairs.iter().map(|(inode, pid)| format!("{inode} {pid}\n")).collect();
            let owners = SocketOwners::parse(lines.concat().as_bytes());
            for (inode, pid) in pairs {
                prop_assert!(owners.of(inode).contains(&pid));
            }
        }
    }
}
