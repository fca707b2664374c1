//! Programs of the host, run to read: a fixed list of them, without a shell, bounded in time and output.

use std::time::{Duration, Instant};

use facts::Answer;
use rustix::io::{self, Errno};

use crate::program;

/// A program that may run, and what of its arguments keeps it from changing anything.
struct Program {
    name: &'static str,
    /// The first argument that is no option is one of these; any, when there are none.
    verbs: &'static [&'static str],
    /// The argument after the verb is one of these; any, when there are none.
    objects: &'static [&'static str],
    /// No option begins with one of these.
    never: &'static [&'static str],
    /// No cluster of one-letter options holds one of these.
    never_letters: &'static str,
}

const fn listed(name: &'static str) -> Program {
    Program {
        name,
        verbs: &[],
        objects: &[],
        never: &[],
        never_letters: "",
    }
}

/// Programs that change something only when told to are kept from it; every other program has no place here.
const PROGRAMS: &[Program] = &[
    listed("aa-status"),
    Program {
        never: &["--checkpoint"],
        ..listed("ausearch")
    },
    Program {
        never: &["--clear", "--read-clear", "--console"],
        never_letters: "cCnDE",
        ..listed("dmesg")
    },
    listed("dpkg-query"),
    listed("findmnt"),
    listed("getenforce"),
    listed("getent"),
    listed("getfacl"),
    listed("getsebool"),
    Program {
        verbs: &[
            "address",
            "addr",
            "link",
            "neighbour",
            "neigh",
            "netns",
            "route",
            "rule",
        ],
        objects: &["show", "list", "get"],
        never: &["-b", "-force"],
        ..listed("ip")
    },
    Program {
        never: &["--file", "--modprobe"],
        never_letters: "fM",
        ..listed("ip6tables-legacy-save")
    },
    Program {
        never: &["--file", "--modprobe"],
        never_letters: "fM",
        ..listed("ip6tables-nft-save")
    },
    Program {
        never: &["--file", "--modprobe"],
        never_letters: "fM",
        ..listed("ip6tables-save")
    },
    Program {
        never: &["--file", "--modprobe"],
        never_letters: "fM",
        ..listed("iptables-legacy-save")
    },
    Program {
        never: &["--file", "--modprobe"],
        never_letters: "fM",
        ..listed("iptables-nft-save")
    },
    Program {
        never: &["--file", "--modprobe"],
        never_letters: "fM",
        ..listed("iptables-save")
    },
    Program {
        never: &[
            "--add",
            "--edit",
            "--delete",
            "--clear",
            "--restore",
            "--zero",
            "--set",
            "--start",
            "--stop",
        ],
        never_letters: "AEDCRaedrZ",
        ..listed("ipvsadm")
    },
    Program {
        never: &[
            "--cursor-file",
            "--rotate",
            "--vacuum",
            "--flush",
            "--sync",
            "--relinquish",
            "--smart-relinquish",
            "--setup-keys",
            "--update-catalog",
        ],
        ..listed("journalctl")
    },
    listed("matchpathcon"),
    Program {
        verbs: &["list"],
        never: &["--file", "--interactive"],
        never_letters: "fi",
        ..listed("nft")
    },
    Program {
        verbs: &[],
        never: &["-e", "-i", "-U", "-F", "--import", "--erase", "--install"],
        ..listed("rpm")
    },
    listed("seinfo"),
    Program {
        verbs: &["boolean", "fcontext", "permissive", "port"],
        never: &[
            "--add",
            "--delete",
            "--modify",
            "--deleteall",
            "--on",
            "--off",
        ],
        never_letters: "admD10",
        ..listed("semanage")
    },
    listed("sesearch"),
    listed("sestatus"),
    Program {
        never: &["--kill", "--diag"],
        never_letters: "KD",
        ..listed("ss")
    },
    // A setting is read by its name alone; `name=value` would write it.
    Program {
        verbs: &["net.ipv4.ip_local_port_range"],
        objects: &["net.ipv4.ip_local_reserved_ports"],
        never: &["-w", "--write", "-p", "--load", "-f", "--system", "-a"],
        ..listed("sysctl")
    },
    Program {
        verbs: &[
            "cat",
            "is-active",
            "is-enabled",
            "is-failed",
            "is-system-running",
            "list-sockets",
            "list-unit-files",
            "list-units",
            "show",
            "status",
        ],
        never: &["-H", "--host", "-M", "--machine", "--root", "--image"],
        ..listed("systemctl")
    },
    listed("uname"),
];

pub(super) fn run(argv: &[String], budget: Duration) -> io::Result<Answer> {
    let deadline = Instant::now() + budget.saturating_sub(program::SLACK);
    let (name, arguments) = argv.split_first().ok_or(Errno::INVAL)?;
    if !may_run(name, arguments) {
        return Err(Errno::PERM);
    }
    program::start(&mut program::named(name, arguments)?, deadline)
}

fn may_run(name: &str, arguments: &[String]) -> bool {
    PROGRAMS
        .iter()
        .find(|program| program.name == name)
        .is_some_and(|program| program.permits(arguments))
}

impl Program {
    fn permits(&self, arguments: &[String]) -> bool {
        let (options, words): (Vec<&str>, Vec<&str>) = arguments
            .iter()
            .map(String::as_str)
            .partition(|argument| argument.starts_with('-'));
        let mut words = words.into_iter();
        let mut one_of = |allowed: &[&str]| {
            allowed.is_empty() || words.next().is_some_and(|word| allowed.contains(&word))
        };
        one_of(self.verbs)
            && one_of(self.objects)
            && options.iter().all(|option| self.bears(option))
    }

    fn bears(&self, option: &str) -> bool {
        let letters = !option.starts_with("--");
        let changes = self.never.iter().any(|never| option.starts_with(never))
            || letters && option.contains(|letter| self.never_letters.contains(letter));
        !changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_change_something_are_refused() {
        for (argv, allowed) in [
            ("systemctl show nginx.service -p Id", true),
            ("systemctl --no-pager list-units", true),
            (
                "sysctl -n net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports",
                true,
            ),
            ("sysctl -n net.ipv4.ip_local_port_range=1 2", false),
            (
                "sysctl net.ipv4.ip_local_port_range net.ipv4.ip_forward=1",
                false,
            ),
            (
                "sysctl -w net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports",
                false,
            ),
            ("systemctl", false),
            ("systemctl restart nginx", false),
            ("systemctl -H elsewhere show", false),
            ("systemctl --host=elsewhere show", false),
            ("journalctl -o json -u nginx", true),
            ("journalctl --vacuum-time=1s", false),
            ("nft -j list ruleset", true),
            ("nft -jf list", false),
            ("nft flush ruleset", false),
            ("ip -j route get 192.0.2.1", true),
            ("ip route", false),
            ("ip route add default", false),
            ("ip r a", false),
            ("ip netns exec x sh", false),
            ("dmesg --time-format iso", true),
            ("dmesg -xC", false),
            ("ss -ltn", true),
            ("ss -tK", false),
            ("iptables-save -t nat", true),
            ("iptables-save -f /etc/x", false),
            ("ip6tables-legacy-save -M /bin/sh", false),
            ("semanage port -l", true),
            ("semanage port -a -t http_port_t", false),
            ("semanage export", false),
            ("sh -c true", false),
            ("../bin/sh", false),
        ] {
            let mut words = argv.split(' ').map(str::to_owned);
            let name = words.next().unwrap();
            assert_eq!(
                may_run(&name, &words.collect::<Vec<_>>()),
                allowed,
                "{argv}"
            );
        }
    }

    #[test]
    fn the_table_is_sorted_and_each_program_stands_once() {
        assert!(PROGRAMS.is_sorted_by(|a, b| a.name < b.name));
    }
}
