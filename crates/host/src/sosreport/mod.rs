//! A host as a sosreport shows it: what `sos report` copied and what the programs said that it ran.
//!
//! It answers only what the report truly tells. A file that it lacks may well be on the host, so nothing is ever said not
//! to exist; what was not collected is [`Answer::NotRecorded`]. A file's last change is known by its contents' time alone
//! (an archive keeps no ctime).

mod archive;

use std::path::{Path, PathBuf};

use facts::sosreport::{self, Row};
use facts::{Answer, Probe, ProbeRequest, Record, Stat, View};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::mask;
use crate::snapshot::{Fault, OpenError};
use archive::{Kept, Tree};

/// nginx's configuration, of which sos copies all.
const CONFIGURATION: &str = "etc/nginx";

/// A sosreport: an archive (`.tar.xz`, `.tar.gz`, `.tar`), or its files unpacked in a directory.
#[derive(Debug)]
pub struct Sosreport {
    tree: Tree,
    now: Timestamp,
    offset: Offset,
    /// None where the list of processes could not be understood.
    processes: Option<Processes>,
}

#[derive(Debug)]
struct Processes {
    rows: Vec<Row>,
    boot: DateTime,
}

impl Sosreport {
    /// Reads a report.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |fault| OpenError {
            path: path.to_owned(),
            fault,
        };
        let tree = Tree::open(path).map_err(failed)?;
        let date = |start: &str| {
            tree.output("sos_commands/date", start, "")
                .map(|kept| kept.bytes.as_slice())
        };
        let utc = date("date_--utc").or_else(|| date("date_-u"));
        let local = tree.file(Path::new("sos_commands/date/date"));
        let local = local.or_else(|| tree.file(Path::new("date")));
        let clock = local.and_then(|(_, date)| sosreport::clock(&date.bytes, utc));
        let (now, offset) = clock.ok_or_else(|| failed(Fault::NoClock))?;
        let listing = tree.output("sos_commands/process", "ps_axo_flags", "lstart");
        let rows = listing.and_then(|listing| sosreport::processes(&listing.bytes));
        let processes = rows.and_then(|rows| {
            let boot = rows.iter().map(|row| row.start).min()?;
            Some(Processes { rows, boot })
        });
        Ok(Self {
            tree,
            now,
            offset,
            processes,
        })
    }

    /// When the report was made, by the host's own clock: the clock of a diagnosis.
    pub fn captured_at(&self) -> Timestamp {
        self.now
    }

    fn answer(&self, request: &ProbeRequest) -> Option<Answer> {
        match request {
            ProbeRequest::File {
                view: View::Host,
                path,
                limit,
            } => self.file(path, *limit),
            ProbeRequest::LinesSince {
                view: View::Host,
                path,
                from,
                limit,
            } => self.lines_since(path, from.as_bytes(), *limit),
            ProbeRequest::Directory {
                view: View::Host,
                path,
            } => self.directory(path),
            ProbeRequest::Link { path } => self.link(path),
            ProbeRequest::Strings { path, .. } => self.strings(path),
            _ => None,
        }
    }

    fn file(&self, path: &Path, limit: u64) -> Option<Answer> {
        if let Ok(rest) = path.strip_prefix("/proc") {
            return self.proc(rest);
        }
        let found = self.tree.file(path.strip_prefix("/").ok()?);
        let Some((at, kept)) = found else {
            // A link to the zone's file, which sos does not copy.
            return (path == Path::new("/etc/localtime"))
                .then(|| self.made(zone_file(self.offset)));
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let bytes = kept.bytes.get(..limit).unwrap_or(&kept.bytes).to_vec();
        Some(Answer::File {
            cut: bytes.len() < kept.bytes.len(),
            bytes,
            stat: self.stat(at, kept),
        })
    }

    /// Of a log that is too large sos copies the end, to another place, and leaves a link.
    fn lines_since(&self, path: &Path, from: &[u8], limit: u64) -> Option<Answer> {
        let (at, kept) = self.tree.file(path.strip_prefix("/").ok()?)?;
        let found = since(&kept.bytes, from, limit);
        let is_end = at.starts_with("sos_strings") && !found.has_older;
        Some(Answer::File {
            bytes: found.bytes.to_vec(),
            cut: found.is_limited || is_end,
            stat: self.stat(at, kept),
        })
    }

    fn stat(&self, at: &Path, kept: &Kept) -> Stat {
        // Since when a file is as it is, only its ctime would prove. Of the configuration the contents count; of anything
        // else it may have been made so until the last moment.
        let changed = if at.starts_with(CONFIGURATION) {
            kept.modified
        } else {
            self.now
        };
        Stat {
            mode: 0o100_000 | kept.mode,
            uid: kept.uid,
            gid: kept.gid,
            device: 0,
            inode: 0,
            size: kept.bytes.len() as u64,
            modified: kept.modified,
            changed,
        }
    }

    /// A file that is made of what the report tells.
    fn made(&self, bytes: Vec<u8>) -> Answer {
        Answer::File {
            stat: Stat {
                mode: 0o100_444,
                uid: 0,
                gid: 0,
                device: 0,
                inode: 0,
                size: bytes.len() as u64,
                modified: self.now,
                changed: self.now,
            },
            bytes,
            cut: false,
        }
    }

    fn proc(&self, path: &Path) -> Option<Answer> {
        if path == Path::new("sys/kernel/hostname") {
            let (_, name) = self.tree.file(Path::new("sos_commands/host/hostname"))?;
            return Some(self.made(name.bytes.clone()));
        }
        let processes = self.processes.as_ref()?;
        if path == Path::new("uptime") {
            let boot = self.offset.to_timestamp(processes.boot).ok()?;
            let up: SignedDuration = self.now.duration_since(boot);
            return Some(self.made(format!("{}.00 0.00\n", up.as_secs()).into_bytes()));
        }
        let mut parts = path.iter().filter_map(|part| part.to_str());
        let row = processes.row(parts.next()?)?;
        match (parts.next(), parts.next()) {
            (Some("stat"), None) => {
                Some(self.made(sosreport::stat(row, processes.boot).into_bytes()))
            }
            // Where one argument ends and the next begins is lost: it stands in one piece, as a title does.
            (Some("cmdline"), None) => {
                let mut line = row.command.clone();
                if !line.is_empty() {
                    line.push(0);
                }
                Some(self.made(line))
            }
            _ => None,
        }
    }

    fn directory(&self, path: &Path) -> Option<Answer> {
        let names = if path == Path::new("/proc") {
            let rows = &self.processes.as_ref()?.rows;
            rows.iter().map(|row| row.pid.to_string()).collect()
        } else {
            let path = path.strip_prefix("/").ok()?;
            if !path.starts_with(CONFIGURATION) {
                return None;
            }
            self.tree.names(path)?
        };
        let names = names
            .iter()
            .flat_map(|name| [name.as_bytes(), b"\0"].concat());
        Some(Answer::Bytes(names.collect()))
    }

    /// The mount namespace of a process, told by its mounts: their ids are of one namespace alone. Where they are not
    /// those that sos itself saw, or are not known, the process is one whose files the report does not hold.
    fn link(&self, path: &Path) -> Option<Answer> {
        let rest = path.strip_prefix("/proc").ok()?;
        let process = rest.strip_prefix(rest.iter().next()?).ok()?;
        if process != Path::new("ns/mnt") {
            return None;
        }
        let name = rest.iter().next()?.to_str()?;
        let mounts = |name: &str| {
            let path = PathBuf::from(format!("proc/{name}/mountinfo"));
            Some(self.tree.file(&path)?.1.bytes.as_slice())
        };
        // sos keeps the link to its own; in a report without it, it is taken to have run where the first process does.
        let seen = mounts("self").or_else(|| mounts("1"));
        let is_seen =
            name == "self" || mounts(name).is_some_and(|own| !own.is_empty() && Some(own) == seen);
        let link = if is_seen { "mnt:[sos]" } else { "mnt:[other]" };
        Some(Answer::Bytes(link.as_bytes().to_vec()))
    }

    /// What the nginx that stands in sos's path says of how it was built.
    fn strings(&self, path: &Path) -> Option<Answer> {
        let is_nginx = path == Path::new("/usr/sbin/nginx") || self.runs_nginx(path);
        let (_, built) = self.tree.file(Path::new("sos_commands/nginx/nginx_-V"))?;
        let lines = built.bytes.split(|&byte| byte == b'\n').filter(|line| {
            line.starts_with(b"nginx version: ") || line.starts_with(b"configure arguments:")
        });
        let strings: Vec<u8> = lines.flat_map(|line| [line, b"\0"].concat()).collect();
        (is_nginx && !strings.is_empty()).then_some(Answer::Bytes(strings))
    }

    /// Whether this is the `/proc/PID/exe` of a master that was started from where distributions put it.
    fn runs_nginx(&self, path: &Path) -> bool {
        let pid = path
            .strip_prefix("/proc")
            .ok()
            .and_then(Path::parent)
            .and_then(Path::to_str);
        let row = pid.and_then(|pid| self.processes.as_ref()?.row(pid));
        row.is_some_and(|row| {
            let started = row.command.strip_prefix(b"nginx: master process ");
            let program = started.and_then(|started| started.split(|&byte| byte == b' ').next());
            matches!(program, Some(b"nginx" | b"/usr/sbin/nginx"))
        })
    }
}

impl Processes {
    fn row(&self, pid: &str) -> Option<&Row> {
        let pid: u32 = pid.parse().ok()?;
        self.rows.iter().find(|row| row.pid == pid)
    }
}

impl Probe for Sosreport {
    fn ask(&self, request: &ProbeRequest) -> Record {
        let mut answer = self.answer(request).unwrap_or(Answer::NotRecorded);
        mask::answer(request, &mut answer);
        Record {
            at: self.now,
            answer,
        }
    }
}

/// The end of a log.
struct Found<'a> {
    bytes: &'a [u8],
    /// It is cut to the limit.
    is_limited: bool,
    /// There are lines before the wanted time: none of the wanted ones is missing.
    has_older: bool,
}

/// As [`ProbeRequest::LinesSince`] says, of what is in memory.
fn since<'a>(text: &'a [u8], from: &[u8], limit: u64) -> Found<'a> {
    let is_stamp = |stamp: &[u8]| {
        let mut pairs = stamp.iter().zip(from);
        pairs.all(|(have, want)| have == want || have.is_ascii_digit() && want.is_ascii_digit())
    };
    let (mut at, mut start, mut has_older) = (0, None, false);
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if let Some(stamp) = line.get(..from.len()).filter(|stamp| is_stamp(stamp)) {
            if stamp >= from {
                start = Some(at);
                break;
            }
            has_older = true;
        }
        at += line.len();
    }
    let start = start.unwrap_or(if has_older { text.len() } else { 0 });
    let bytes = text.get(start..).unwrap_or_default();
    let over = bytes
        .len()
        .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    let bytes = if over == 0 {
        bytes
    } else {
        let cut = bytes.get(over - 1..).unwrap_or_default();
        let end = cut.iter().position(|&byte| byte == b'\n');
        cut.get(end.map_or(cut.len(), |end| end + 1)..)
            .unwrap_or_default()
    };
    Found {
        bytes,
        is_limited: over > 0,
        has_older,
    }
}

/// A zone that never changes, as `/etc/localtime` has it (RFC 9636, version 1).
fn zone_file(offset: Offset) -> Vec<u8> {
    let mut file = b"TZif".to_vec();
    file.extend([0; 16]);
    // No UT or standard indicators, leap seconds or transitions; one type, and the four bytes of its name.
    for count in [0_u32, 0, 0, 0, 1, 4] {
        file.extend(count.to_be_bytes());
    }
    file.extend(offset.seconds().to_be_bytes());
    file.extend([0, 0]);
    file.extend(b"SOS\0");
    file
}

#[cfg(test)]
mod tests;
