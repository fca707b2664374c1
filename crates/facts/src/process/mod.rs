//! Processes, from the files of `/proc/PID`.
//!
//! A command line is what the process says of itself: any user's process may call itself nginx.

mod cgroup;
pub mod freezer;
pub mod limits;
mod nginx;
mod status;

use bstr::ByteSlice as _;
use jiff::{SignedDuration, Timestamp};

use crate::text::number;

pub use cgroup::{Cgroup, Container, Runtime};
pub use nginx::{NginxArgs, NginxRole};
pub use status::Status;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's.
    pub ppid: u32,
    /// The name of its program as the kernel keeps it, 15 bytes at most.
    pub comm: Vec<u8>,
    /// Its command line; empty for a kernel thread or a zombie.
    pub args: Vec<Vec<u8>>,
    /// When it started, to some hundredths of a second.
    pub start: Timestamp,
    /// Whether it has ended and only waits to be reaped.
    pub is_zombie: bool,
    /// Whether a signal or a debugger has stopped it.
    pub is_stopped: bool,
}

impl Process {
    /// A process from its `stat` and `cmdline` and the time of [`boot`].
    pub fn parse(stat: &[u8], cmdline: &[u8], boot: Timestamp) -> Option<Self> {
        let stat = Stat::parse(stat)?;
        Some(Self {
            pid: stat.pid,
            ppid: stat.ppid,
            start: boot.checked_add(ticks(stat.start_ticks)?).ok()?,
            is_zombie: matches!(stat.state, b'Z' | b'X' | b'x'),
            is_stopped: matches!(stat.state, b'T' | b't'),
            comm: stat.comm,
            args: args(cmdline),
        })
    }

    /// The command line in one piece: what a process that renames itself shows, such as
    /// `nginx: master process /usr/sbin/nginx -g daemon on;`.
    pub fn title(&self) -> Vec<u8> {
        bstr::join(" ", &self.args)
    }

    /// What it is to nginx, if it is nginx (or Angie, OpenResty, Tengine, freenginx).
    pub fn nginx(&self) -> Option<NginxRole> {
        NginxRole::of(&self.args)
    }
}

/// What `/proc/PID/stat` tells.
struct Stat {
    pid: u32,
    comm: Vec<u8>,
    state: u8,
    ppid: u32,
    start_ticks: i64,
}

impl Stat {
    /// The name may hold spaces and parentheses: it ends at the last `)`.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (pid, rest) = bytes.split_once_str(" (")?;
        let (comm, rest) = rest.rsplit_once_str(")")?;
        // proc_pid_stat(5): the state is field 3, the parent 4, the start time 22.
        let mut fields = rest.fields();
        Some(Self {
            pid: number(pid)?,
            comm: comm.to_vec(),
            state: *fields.next()?.first()?,
            ppid: number(fields.next()?)?,
            start_ticks: number(fields.nth(17)?)?,
        })
    }
}

/// `USER_HZ` is 100 on every architecture that Linux reports ticks on today.
fn ticks(count: i64) -> Option<SignedDuration> {
    Some(SignedDuration::from_millis(count.checked_mul(10)?))
}

/// When the host booted, from `/proc/uptime` and the time it was read: the clock's later corrections are in it.
pub fn boot(uptime: &[u8], at: Timestamp) -> Option<Timestamp> {
    let (seconds, hundredths) = uptime.fields().next()?.split_once_str(".")?;
    let seconds: i64 = number(seconds)?;
    let hundredths: i64 = number(hundredths.get(..2)?)?;
    let up = SignedDuration::from_millis(seconds.checked_mul(1000)?.checked_add(hundredths * 10)?);
    at.checked_sub(up).ok()
}

/// The arguments of a `cmdline`: NUL-terminated, except where a process has written its title over them.
///
/// Empty arguments at the end are dropped: they are what is left of the space a shorter title was written to.
pub fn args(cmdline: &[u8]) -> Vec<Vec<u8>> {
    let end = cmdline
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    match cmdline.get(..end) {
        None | Some([]) => Vec::new(),
        Some(text) => text.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect(),
    }
}

/// How many files a process may open, from `/proc/PID/limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// What holds now; `None` is unlimited.
    pub soft: Option<u64>,
    /// What it may raise that to; `None` is unlimited.
    pub hard: Option<u64>,
}

impl OpenFiles {
    /// Finds the line `Max open files`.
    pub fn parse(limits: &[u8]) -> Option<Self> {
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix(b"Max open files"))?;
        let mut fields = line.fields().map(|field| match field {
            b"unlimited" => Some(None),
            _ => number(field).map(Some),
        });
        Some(Self {
            soft: fields.next()??,
            hard: fields.next()??,
        })
    }
}

/// The size of a page of memory, from `/proc/PID/auxv` of a 64-bit process: `AT_PAGESZ` (linux/auxvec.h).
pub fn page_size(auxv: &[u8]) -> Option<u64> {
    const AT_PAGESZ: u64 = 6;
    let word = |bytes: &[u8]| Some(u64::from_ne_bytes(bytes.try_into().ok()?));
    auxv.chunks_exact(16)
        .find_map(|pair| {
            let (key, value) = pair.split_at_checked(8)?;
            (word(key)? == AT_PAGESZ).then(|| word(value)).flatten()
        })
        .filter(|size| size.is_power_of_two())
}

/// The inode that names a namespace, from the target of a link in `/proc/PID/ns`, such as `net:[4026531840]`.
pub fn namespace(link: &[u8]) -> Option<u64> {
    let (_, inode) = link.trim_end().strip_suffix(b"]")?.split_once_str(":[")?;
    number(inode)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAT: &[u8] = b"2841 (a) b (c) S 1 2841 2841 0 -1 4194624 322 0 0 0 0 1 0 0 20 0 1 0 151200 11714560 1035 \
        18446744073709551615 1 1 0 0 0 0 0 1073746048 402745863 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn a_name_may_hold_parentheses_and_spaces() {
        let process = Process::parse(STAT, b"", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((process.pid, process.ppid), (2841, 1));
        assert_eq!(process.comm, b"a) b (c");
        assert!(!process.is_zombie);
    }

    #[test]
    fn a_start_is_the_boot_plus_the_ticks() {
        let at = "2026-06-23T14:00:00Z".parse().unwrap();
        let boot = boot(b"3600.50 7000.00\n", at).unwrap();
        assert_eq!(boot, "2026-06-23T12:59:59.5Z".parse().unwrap());
        let process = Process::parse(STAT, b"x\0", boot).unwrap();
        assert_eq!(process.start, "2026-06-23T13:25:11.5Z".parse().unwrap());
    }

    #[test]
    fn arguments_end_with_nul_and_a_title_with_what_it_did_not_fill() {
        for (cmdline, expected) in [
            (&b"sh\0-c\0\0echo\0"[..], vec!["sh", "-c", "", "echo"]),
            (
                b"nginx: worker process\0\0\0\0\0",
                vec!["nginx: worker process"],
            ),
            (
                b"php-fpm: pool www                    ",
                vec!["php-fpm: pool www                    "],
            ),
            (b"", vec![]),
            (b"\0\0", vec![]),
        ] {
            assert_eq!(
                args(cmdline),
                expected
                    .iter()
                    .map(|arg| arg.as_bytes().to_vec())
                    .collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn the_limit_of_open_files_is_found() {
        let limits =
            b"Limit                     Soft Limit           Hard Limit           Units     \n\
            Max processes             unlimited            unlimited            processes \n\
            Max open files            1024                 unlimited            files     \n";
        assert_eq!(
            OpenFiles::parse(limits),
            Some(OpenFiles {
                soft: Some(1024),
                hard: None
            })
        );
        assert_eq!(OpenFiles::parse(b"Max open files   x  y\n"), None);
    }

    #[test]
    fn a_namespace_is_its_inode() {
        assert_eq!(namespace(b"net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(namespace(b"net:[]"), None);
        assert_eq!(namespace(b"/proc"), None);
    }

    #[test]
    fn the_size_of_a_page_is_found() {
        let pair = |key: u64, value: u64| [key.to_ne_bytes(), value.to_ne_bytes()].concat();
        let auxv = [pair(33, 0x7ffe_1234_5000), pair(6, 16384), pair(0, 0)].concat();
        assert_eq!(page_size(&auxv), Some(16384));
        assert_eq!(page_size(&pair(6, 3)), None);
        assert_eq!(page_size(b""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(stat: Vec<u8>, cmdline: Vec<u8>) {
            Process::parse(&stat, &cmdline, Timestamp::MAX);
            boot(&stat, Timestamp::MIN);
            args(&cmdline);
            OpenFiles::parse(&cmdline);
            namespace(&stat);
            page_size(&stat);
        }

        #[test]
        fn any_numbers_are_read_without_a_panic(pid: u64, ticks: i128, up: u128) {
            let stat = format!("{pid} (x) S 1 {}{ticks}", "0 ".repeat(17));
            Process::parse(stat.as_bytes(), b"", Timestamp::UNIX_EPOCH);
            boot(format!("{up}.99 1.0").as_bytes(), Timestamp::UNIX_EPOCH);
        }

        #[test]
        fn arguments_without_empty_ends_are_read_back(words in proptest::collection::vec("[^\0]{1,9}", 0..9)) {
            let cmdline = words.iter().map(|word| format!("{word}\0")).collect::<Vec<_>>().concat();
            let expected: Vec<_> = words.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(args(cmdline.as_bytes()), expected);
        }
    }
}
