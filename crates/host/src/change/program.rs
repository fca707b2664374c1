//! Programs of the host, run to change something: a fixed list of them, without a shell, bounded in time and output.

use std::time::{Duration, Instant};

use facts::Answer;

use super::{Change, ChangeError};
use crate::program;

/// Units may take their time to start (`TimeoutStartSec=` is 90 s by default); `setsebool -P` rebuilds a policy.
const BUDGET: Duration = Duration::from_mins(2);

/// Programs that a fix may run.
const PROGRAMS: [&str; 21] = [
    "apparmor_parser",
    "chattr",
    "chgrp",
    "chmod",
    "chown",
    "firewall-cmd",
    "ip6tables",
    "ip6tables-legacy",
    "iptables",
    "iptables-legacy",
    "kill",
    "mkdir",
    "nft",
    "nginx",
    "restorecon",
    "semanage",
    "setfacl",
    "setsebool",
    "sysctl",
    "systemctl",
    "ufw",
];

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Its exit status; none where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Ran {
    /// Whether it says that it succeeded.
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// What it wrote, for people: errors first.
    pub fn said(&self) -> String {
        let text = [self.stderr.as_slice(), self.stdout.as_slice()].concat();
        String::from_utf8_lossy(&text).trim().to_owned()
    }
}

impl Change {
    /// Runs a program of the list; `nsenter -t PID -n` may stand before it.
    pub fn run(&self, argv: &[String]) -> Result<Ran, ChangeError> {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let inner = match words.as_slice() {
            ["nsenter", "-t", pid, "-n", inner, ..] if pid.parse::<u32>().is_ok() => inner,
            [inner, ..] => inner,
            [] => return Err(ChangeError::Unlisted(String::new())),
        };
        if !PROGRAMS.contains(inner) {
            return Err(ChangeError::Unlisted((*inner).to_owned()));
        }
        let failed = |source: std::io::Error| ChangeError::Program {
            program: argv.join(" "),
            source,
        };
        let (name, arguments) = argv
            .split_first()
            .ok_or_else(|| ChangeError::Unlisted(String::new()))?;
        let mut command = program::named(name, arguments).map_err(|error| failed(error.into()))?;
        let answer = program::start(&mut command, Instant::now() + BUDGET);
        ended(answer).map_err(failed)
    }
}

/// How a program ended; that it did not is an error.
pub(super) fn ended(answer: rustix::io::Result<Answer>) -> std::io::Result<Ran> {
    match answer? {
        Answer::Exit {
            code,
            stdout,
            stderr,
        } => Ok(Ran {
            code,
            stdout,
            stderr,
        }),
        _ => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Ran, ChangeError> {
        let argv: Vec<String> = text.split(' ').map(str::to_owned).collect();
        Change::new().run(&argv)
    }

    #[test]
    fn only_listed_programs_run() {
        assert!(PROGRAMS.is_sorted());
        for text in [
            "sh -c true",
            "nsenter -t 1 -n sh",
            "nsenter -t 1 -m chmod 1 /x",
            "/bin/sh",
            "",
        ] {
            assert!(matches!(run(text), Err(ChangeError::Unlisted(_))), "{text}");
        }
    }

    #[test]
    fn what_a_program_says_is_kept() {
        let ran = run("chmod 660 /nonexistent/file").unwrap();
        assert!(!ran.is_success());
        assert!(ran.said().contains("/nonexistent/file"), "{}", ran.said());
    }
}
