//! The processes of the host, and what is known of one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use bstr::ByteSlice as _;
use facts::process::{Cgroup, Process, Status};
use facts::{Exhibit, Gap, GapKind, ProbeRequest, View};
use jiff::Timestamp;

use super::{Case, known};

/// Longer command lines are cut: no program's settings need more.
const COMMAND_LINE_LIMIT: u64 = 64 << 10;

impl Case {
    /// Every process, by pid.
    pub(crate) fn processes(&self) -> Result<Rc<BTreeMap<u32, Process>>, Gap> {
        self.evidence.once("processes", || {
            let (_, names) = self.evidence.bytes(&listing())?;
            let pids = pids(names);
            let boot = self.boot()?;
            let stats = self
                .evidence
                .batch(pids.iter().map(|&pid| proc_file(pid, "stat", 4096)));
            let lines = self.evidence.batch(
                pids.iter()
                    .map(|&pid| proc_file(pid, "cmdline", COMMAND_LINE_LIMIT)),
            );
            drop((stats?, lines?));
            let mut processes = BTreeMap::new();
            for pid in pids {
                // A process may have ended since the listing.
                let Ok((_, stat)) = self.evidence.bytes(&proc_file(pid, "stat", 4096)) else {
                    continue;
                };
                let line = self
                    .evidence
                    .bytes(&proc_file(pid, "cmdline", COMMAND_LINE_LIMIT))
                    .map_or(&b""[..], |(_, line)| line);
                if let Some(process) = Process::parse(stat, line, boot) {
                    processes.insert(pid, process);
                }
            }
            Ok(processes)
        })
    }

    /// That no process of the host is hidden from why502: else a process that is not seen proves nothing.
    pub(crate) fn sees_all_processes(&self) -> Result<(), Gap> {
        let hidden = || {
            Gap::new(GapKind::Denied, "every process of the host", "needs root")
                .learn("sudo why502")
        };
        let processes = self.processes()?;
        // `hidepid=` hides the processes of others, of which process 1 always is one.
        if !processes.contains_key(&1) {
            return Err(hidden());
        }
        let (_, names) = self.evidence.bytes(&listing())?;
        for pid in pids(names) {
            for file in [
                proc_file(pid, "stat", 4096),
                proc_file(pid, "cmdline", COMMAND_LINE_LIMIT),
            ] {
                match self.evidence.bytes(&file) {
                    Err(gap) if gap.kind != GapKind::Absent => return Err(gap),
                    // It may have ended since the listing.
                    Ok(_) | Err(_) => {}
                }
            }
        }
        Ok(())
    }

    /// When the host started.
    pub(super) fn boot(&self) -> Result<Timestamp, Gap> {
        let (record, uptime) = self
            .evidence
            .bytes(&ProbeRequest::host_file("/proc/uptime"))?;
        facts::process::boot(uptime, record.at)
            .ok_or_else(|| Gap::undecided("the time of boot", "/proc/uptime is unreadable"))
    }

    /// Credentials and namespaces of a process.
    pub(crate) fn status(&self, pid: u32) -> Result<Rc<Option<Status>>, Gap> {
        self.evidence
            .fact(&proc_file(pid, "status", 16 << 10), |_, bytes| {
                Status::parse(bytes)
            })
    }

    /// Where a process stands in the tree of control groups.
    pub(crate) fn cgroup(&self, pid: u32) -> Result<Rc<Cgroup>, Gap> {
        self.evidence
            .fact(&proc_file(pid, "cgroup", 16 << 10), |_, bytes| {
                Cgroup::parse(bytes)
            })
    }

    /// The systemd unit that a process runs in, from its cgroup.
    pub(crate) fn unit_of(&self, pid: u32) -> Result<Option<String>, Gap> {
        Ok(known(self.cgroup(pid))?.and_then(|cgroup| cgroup.unit.clone()))
    }

    /// The units that these processes run in, each once.
    pub(crate) fn units_of(&self, holders: &[Process]) -> Result<Vec<String>, Gap> {
        let cgroups = holders
            .iter()
            .map(|holder| proc_file(holder.pid, "cgroup", 16 << 10));
        drop(self.evidence.batch(cgroups)?);
        let mut units = Vec::new();
        for holder in holders {
            if let Some(unit) = self.unit_of(holder.pid)?
                && !units.contains(&unit)
            {
                units.push(unit);
            }
        }
        Ok(units)
    }

    /// The command lines of these processes and of their parents, as text for people.
    ///
    /// A worker's own line often says less than its master's. The init process and shells above say nothing.
    pub(crate) fn command_lines_of(&self, holders: &[Process]) -> Result<Vec<String>, Gap> {
        let processes = self.processes()?;
        let mut lines: Vec<String> = Vec::new();
        for holder in holders {
            let parent = processes
                .get(&holder.ppid)
                .filter(|parent| parent.comm == holder.comm);
            for process in std::iter::once(holder).chain(parent) {
                let line = command_line(process);
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
        Ok(lines)
    }

    /// A process as an exhibit.
    pub(crate) fn process_exhibit(process: &Process) -> Exhibit {
        Exhibit::Record {
            probe: "process",
            at: Some(process.start),
            text: format!("pid {} {}", process.pid, command_line(process)),
        }
    }

    /// Whether why502 ran with root's rights.
    pub(crate) fn is_privileged(&self) -> bool {
        let request = ProbeRequest::File {
            view: View::Host,
            path: PathBuf::from("/proc/self/status"),
            limit: 16 << 10,
        };
        self.evidence
            .fact(&request, |_, bytes| Status::parse(bytes))
            .ok()
            .and_then(|status| {
                status
                    .as_ref()
                    .as_ref()
                    .map(|status| status.credentials.uid == 0)
            })
            .unwrap_or(false)
    }
}

fn listing() -> ProbeRequest {
    ProbeRequest::Directory {
        view: View::Host,
        path: PathBuf::from("/proc"),
    }
}

/// The processes in a listing of `/proc`.
fn pids(names: &[u8]) -> Vec<u32> {
    names
        .split(|&byte| byte == 0)
        .filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok())
        .collect()
}

/// A command line as text for people.
pub(crate) fn command_line(process: &Process) -> String {
    process.title().to_str_lossy().trim().to_owned()
}

/// What people call a process: the script or module that an interpreter runs, else the program.
pub(crate) fn program(process: &Process) -> String {
    let name = |arg: &[u8]| {
        arg.rsplit(|&byte| byte == b'/')
            .next()
            .unwrap_or_default()
            .to_str_lossy()
            .into_owned()
    };
    let mut args = process.args.iter();
    let first = args.next().map(Vec::as_slice).unwrap_or_default();
    // A title such as `php-fpm: pool www`.
    if let Some((program, _)) = first.split_once_str(": ") {
        return name(program);
    }
    let first = name(first);
    let unversioned = first.trim_end_matches(|char: char| char.is_ascii_digit() || char == '.');
    if [
        "python", "perl", "ruby", "node", "nodejs", "sh", "bash", "dash",
    ]
    .contains(&unversioned)
    {
        let mut after_m = false;
        for arg in args {
            if arg == b"-c" || arg == b"-e" {
                // Code stands on the command line: no name.
                return first;
            }
            if arg == b"-m" {
                after_m = true;
            } else if after_m || !arg.starts_with(b"-") {
                return name(arg);
            }
        }
    }
    if first.is_empty() {
        return process.comm.to_str_lossy().into_owned();
    }
    first
}

/// A file of a process in `/proc`.
pub(crate) fn proc_file(pid: u32, name: &str, limit: u64) -> ProbeRequest {
    ProbeRequest::File {
        view: View::Host,
        path: PathBuf::from(format!("/proc/{pid}/{name}")),
        limit,
    }
}
