//! The older part of an error log that was rotated within the window: `error.log.1`, `error.log-20261126`.
//!
//! Only names are looked at here; which of their lines count is the reader's to say.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use facts::{Answer, Gap, GapKind, ProbeRequest};

use super::evidence::stat_of;
use super::logs::LogFile;
use super::{Case, known};

/// More rotations than anybody makes within a window that fits into memory.
const MOST: usize = 32;

/// What lies behind a log.
#[derive(Default)]
pub(super) struct Older {
    /// Files with lines of the window, the oldest first.
    pub(super) files: Vec<LogFile>,
    /// Why there may be more.
    pub(super) gap: Option<Gap>,
}

impl Case {
    /// The rotated files of a log that hold a part of the window; `from` is the window's start as the log writes it.
    ///
    /// A log that holds older lines than the window's was not rotated within it, and its directory is not asked.
    pub(super) fn rotated(&self, log: &LogFile, from: &str) -> Result<Older, Gap> {
        let mut older = Older::default();
        let Some(mut read) = self.read_whole(log, from)? else {
            return Ok(older);
        };
        for (path, form) in self.rotations_of(log)?.into_iter().take(MOST) {
            if let Form::Compressed = form {
                let missing = format!("what {} holds of the window", path.display());
                let gap = Gap::new(GapKind::Absent, missing, "it is compressed");
                older.gap =
                    Some(gap.learn(format!("zcat -f {} | why502 explain -", path.display())));
                break;
            }
            let file = LogFile {
                view: log.view,
                path,
            };
            let whole = self.read_whole(&file, from)?;
            if self.holds_lines(&file, from)? {
                older.files.insert(0, file);
            }
            match whole.and_then(|bytes| read.checked_add(bytes)) {
                Some(sum) if sum < super::logs::LOG_LIMIT => read = sum,
                _ => break,
            }
        }
        Ok(older)
    }

    /// The length of a log all of whose lines lie in the window; `None` where some do not, or it cannot be read.
    fn read_whole(&self, log: &LogFile, from: &str) -> Result<Option<u64>, Gap> {
        let Some((record, bytes)) = known(self.evidence.bytes(&log.since(from)))? else {
            return Ok(None);
        };
        let length = bytes.len() as u64;
        let is_cut = matches!(&record.answer, Answer::File { cut: true, .. });
        // It may have grown since its size was asked.
        let is_whole = !is_cut && stat_of(record).is_some_and(|stat| length >= stat.size);
        Ok(is_whole.then_some(length))
    }

    fn holds_lines(&self, log: &LogFile, from: &str) -> Result<bool, Gap> {
        let bytes = known(self.evidence.bytes(&log.since(from)))?;
        Ok(bytes.is_some_and(|(_, bytes)| !bytes.is_empty()))
    }

    /// The rotated files beside a log, the newest first.
    fn rotations_of(&self, log: &LogFile) -> Result<Vec<(PathBuf, Form)>, Gap> {
        let (Some(folder), Some(name)) = (log.path.parent(), log.path.file_name()) else {
            return Ok(Vec::new());
        };
        let listing = ProbeRequest::Directory {
            view: log.view,
            path: folder.to_owned(),
        };
        let Some((_, names)) = known(self.evidence.bytes(&listing))? else {
            return Ok(Vec::new());
        };
        let mut found: Vec<(Age, PathBuf, Form)> = names
            .split(|&byte| byte == 0)
            .filter_map(|entry| {
                let (age, form) = rotation(entry.strip_prefix(name.as_bytes())?)?;
                let path = Path::new(folder).join(OsString::from_vec(entry.to_vec()));
                Some((age, path, form))
            })
            .collect();
        found.sort_by_key(|(age, _, form)| (*age, *form));
        // The same rotation twice: its file is being compressed just now.
        found.dedup_by_key(|(age, _, _)| *age);
        Ok(found
            .into_iter()
            .map(|(_, path, form)| (path, form))
            .collect())
    }
}

/// Sorts the newest first: counters grow with age, dates with time.
type Age = (bool, std::cmp::Reverse<u64>, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Plain,
    Compressed,
}

/// What a name says behind the log's own: `.1`, `.2.gz`, `-20261126`, `-20261126-1795647600`, `.2026-11-26.xz`.
fn rotation(rest: &[u8]) -> Option<(Age, Form)> {
    const LARGEST_COUNTER: u64 = 9999;
    let rest = rest
        .strip_prefix(b".")
        .or_else(|| rest.strip_prefix(b"-"))?;
    let end = rest
        .iter()
        .position(|byte| !(byte.is_ascii_digit() || matches!(byte, b'-' | b'_')))
        .unwrap_or(rest.len());
    let (stamp, suffix) = rest.split_at_checked(end)?;
    let form = match suffix {
        b"" => Form::Plain,
        b".gz" | b".xz" | b".bz2" | b".zst" | b".lz4" | b".Z" => Form::Compressed,
        _ => return None,
    };
    let digits: Vec<u8> = stamp.iter().copied().filter(u8::is_ascii_digit).collect();
    let number: u64 = std::str::from_utf8(&digits).ok()?.parse().ok()?;
    let is_date = number > LARGEST_COUNTER;
    let age = if is_date {
        (true, std::cmp::Reverse(number), 0)
    } else {
        (false, std::cmp::Reverse(0), number)
    };
    Some((age, form))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, answers};

    fn sorted(names: &[&str]) -> Vec<String> {
        let mut named: Vec<_> = names
            .iter()
            .filter_map(|name| Some((rotation(name.as_bytes())?, (*name).to_owned())))
            .collect();
        named.sort();
        named.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn rotations_are_sorted_by_age() {
        assert_eq!(
            sorted(&[".10.gz", ".2.gz", ".1"]),
            [".1", ".2.gz", ".10.gz"]
        );
        assert_eq!(
            sorted(&["-20261125", "-20261126", "-20261124.gz"]),
            ["-20261126", "-20261125", "-20261124.gz"]
        );
        assert_eq!(
            sorted(&[".2026-11-25", ".2026-11-26"]),
            [".2026-11-26", ".2025-11-25"].map(|name| name.replace("2025", "2026"))
        );
    }

    #[test]
    fn other_names_are_no_rotation() {
        for name in [
            "", ".bak", ".1.bak", "-old", ".1~", "2", ".", "-", ".gz", "x.1",
        ] {
            assert_eq!(rotation(name.as_bytes()), None, "{name:?}");
        }
    }

    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        error_log /var/log/nginx/error.log; http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- path /var/log/nginx dir 755 0:0
    ";
    const BEFORE: &str = "
        2026/06/23 13:30:00 [error] 2842#2842: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: shop.example, request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\", host: \"shop.example\"
    ";
    const AFTER: &str = "
        2026/06/23 14:04:00 [error] 2842#2842: *2 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: shop.example, request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\", host: \"shop.example\"
    ";

    fn counted(parts: &[&str]) -> Vec<(u64, String)> {
        let diagnosis = Fixture::parse(&parts.concat()).diagnose();
        diagnosis
            .incidents
            .iter()
            .map(|judged| {
                (
                    judged.incident.count,
                    judged.incident.first_seen.to_string(),
                )
            })
            .collect()
    }

    #[test]
    fn what_was_rotated_within_the_window_counts() {
        let both = [
            HOST,
            "//- file /var/log/nginx/error.log.1 ctime=13:30:00",
            BEFORE,
            "//- file /var/log/nginx/error.log ctime=14:04:00",
            AFTER,
        ];
        assert_eq!(counted(&both), [(2, "2026-06-23T13:30:00Z".to_owned())]);
        // Nothing was written since.
        let before = [
            HOST,
            "//- file /var/log/nginx/error.log-20260623 ctime=13:30:00",
            BEFORE,
            "//- file /var/log/nginx/error.log\n",
        ];
        assert_eq!(counted(&before), [(1, "2026-06-23T13:30:00Z".to_owned())]);
    }

    #[test]
    fn a_log_that_nginx_writes_on_into_under_its_new_name_counts_once() {
        let text = [
            HOST,
            "//- file /var/log/nginx/error.log.1 ctime=13:30:00",
            BEFORE,
            "//- file /var/log/nginx/error.log\n",
            "//- link /proc/2841/fd/2 -> /var/log/nginx/error.log.1\n",
            "//- file /proc/2841/fd/2 ctime=13:30:00",
            BEFORE,
        ];
        assert_eq!(counted(&text), [(1, "2026-06-23T13:30:00Z".to_owned())]);
    }

    #[test]
    fn a_compressed_one_is_said() {
        let diagnosis = Fixture::parse(
            &[
                HOST,
                "//- file /var/log/nginx/error.log.1.gz\n",
                "//- file /var/log/nginx/error.log ctime=14:04:00",
                AFTER,
            ]
            .concat(),
        )
        .diagnose();
        let gap = diagnosis.gaps.first().expect("a gap");
        assert_eq!(
            gap.missing,
            "what /var/log/nginx/error.log.1.gz holds of the window"
        );
        assert!(diagnosis.window.is_partial);
        assert!(!answers([HOST]).contains("connecting"));
    }
}
