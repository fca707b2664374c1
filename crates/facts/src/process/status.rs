//! What `/proc/PID/status` tells of a process's rights.

use bstr::ByteSlice as _;

use crate::text::number;
use crate::walk::Credentials;

/// The rights of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Effective user and group, and the supplementary groups, as numbered where why502 runs.
    pub credentials: Credentials,
    /// Its ids, from the namespace of why502's `/proc` to its own; more than one in a pid namespace.
    pub pids: Vec<u32>,
    /// Effective capabilities, a bit each.
    pub capabilities: u64,
    /// Whether system calls are filtered; `None` where the kernel does not say.
    pub is_seccomp_filtered: Option<bool>,
}

impl Status {
    /// Reads a `status`; `None` without user and group.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let value = |name: &str| {
            bytes
                .lines()
                .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))
        };
        let numbers = |name: &str| -> Vec<u32> {
            value(name)
                .map(|list| list.fields().filter_map(number).collect())
                .unwrap_or_default()
        };
        // proc_pid_status(5): real, effective, saved, file system.
        let effective = |name: &str| numbers(name).get(1).copied();
        let capabilities = value("CapEff").and_then(|hex| hex.trim().to_str().ok());
        Some(Self {
            credentials: Credentials {
                uid: effective("Uid")?,
                gid: effective("Gid")?,
                groups: numbers("Groups"),
            },
            pids: numbers("NSpid"),
            capabilities: capabilities
                .and_then(|hex| u64::from_str_radix(hex, 16).ok())
                .unwrap_or(0),
            is_seccomp_filtered: value("Seccomp")
                .and_then(|mode| number::<u32>(mode.trim()))
                .map(|mode| mode != 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORKER: &[u8] = b"Name:\tnginx\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t16901\nNgid:\t0\nPid:\t16901\nPPid:\t16899\n\
        Uid:\t0\t33\t33\t33\nGid:\t0\t34\t34\t34\nGroups:\t33 50 \nNStgid:\t16901\t7\nNSpid:\t16901\t7\n\
        CapEff:\t000001ffffffffff\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    #[test]
    fn effective_rights_are_read() {
        let status = Status::parse(WORKER).unwrap();
        assert_eq!(
            status.credentials,
            Credentials {
                uid: 33,
                gid: 34,
                groups: vec![33, 50]
            }
        );
        assert_eq!(status.pids, [16901, 7]);
        assert_eq!(status.capabilities, 0x1ff_ffff_ffff);
        assert_eq!(status.is_seccomp_filtered, Some(true));
    }

    #[test]
    fn an_empty_list_of_groups_is_no_group() {
        let status = Status::parse(b"Uid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nGroups:\t \n").unwrap();
        assert_eq!(status.credentials.groups, [0; 0]);
        assert_eq!(status.is_seccomp_filtered, None);
        assert_eq!(Status::parse(b"Uid:\t1\n"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            Status::parse(&bytes);
        }

        #[test]
        fn any_values_are_read_without_a_panic(uid in "[0-9 \t]{0,30}", cap in "[0-9a-f]{0,20}") {
            Status::parse(format!("Uid:{uid}\nGid:{uid}\nGroups:{uid}\nCapEff:{cap}\n").as_bytes());
        }
    }
}
