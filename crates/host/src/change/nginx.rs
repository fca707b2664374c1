//! nginx's own test of a configuration, also of one that is not in place yet, and its reload.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use facts::process::{NginxRole, Process, boot};
use jiff::Timestamp;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::program::ended;
use super::{Change, ChangeError, Ran};
use crate::program;

/// A test resolves names, which may take its resolver's time-outs.
const TEST_BUDGET: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(20);

/// A running nginx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// The master process.
    pub pid: u32,
    /// When it started, which tells it from a later process of the same number.
    pub start: Timestamp,
    /// The options that it was started with: `-c`, `-p`, `-e`, `-g`, each with its value.
    pub options: Vec<Vec<u8>>,
}

/// What a test of a configuration that is not in place came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tested {
    /// nginx's answer.
    Ran(Ran),
    /// It cannot be tested before it is in place: a mount namespace of its own is not allowed here.
    NoNamespace,
}

impl Change {
    /// nginx's test of what is on disk, by the program and with the options of a master.
    pub fn test(&self, master: &Master) -> Result<Ran, ChangeError> {
        run_test(master)
    }

    /// nginx's test by a program that is named by its path, with these arguments. Whoever else could write the program
    /// would have root run it, so such a program is not run by root.
    pub fn test_by(&self, program: &Path, arguments: &[String]) -> Result<Ran, ChangeError> {
        let found = std::fs::metadata(program).map_err(ChangeError::file("look at", program))?;
        let is_roots = found.uid() == 0 && found.mode() & 0o022 == 0;
        if rustix::process::geteuid().is_root() && !is_roots {
            return Err(ChangeError::NotRoots(program.to_owned()));
        }
        let mut command = Command::new(program);
        command.args(arguments);
        let answer = program::start(&mut command, Instant::now() + TEST_BUDGET);
        ended(answer).map_err(|source| ChangeError::Program {
            program: format!("{} -t", program.display()),
            source,
        })
    }

    /// nginx's test of a configuration in which some files are others: each pair is a file and the one that stands in
    /// its place. Nobody else sees them there, and the test binds what nginx holds already, as `nginx -t` always does.
    pub fn test_with(
        &self,
        master: &Master,
        files: &[(PathBuf, PathBuf)],
    ) -> Result<Tested, ChangeError> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| match stand_in(files) {
                Ok(()) => run_test(master).map(Tested::Ran),
                Err(Errno::PERM | Errno::NOSYS) => Ok(Tested::NoNamespace),
                Err(error) => Err(ChangeError::Program {
                    program: "nginx -t".to_owned(),
                    source: error.into(),
                }),
            });
            inside.join().unwrap_or_else(|_| {
                Err(ChangeError::Program {
                    program: "nginx -t".to_owned(),
                    source: io::ErrorKind::Other.into(),
                })
            })
        })
    }

    /// Has a master take the configuration on disk, and waits until its workers are new ones.
    pub fn reload(
        &self,
        master: &Master,
        unit: Option<&str>,
        patience: Duration,
    ) -> Result<(), ChangeError> {
        let old = workers(master)?;
        match unit {
            Some(unit) => {
                let argv = ["systemctl", "reload", unit].map(str::to_owned);
                let ran = self.run(&argv)?;
                if !ran.is_success() {
                    return Err(ChangeError::Reload {
                        command: argv.join(" "),
                        said: ran.said(),
                    });
                }
            }
            None => hang_up(master)?,
        }
        let deadline = Instant::now() + patience;
        loop {
            let now = workers(master)?;
            let are_new = now.iter().all(|pid| !old.contains(pid));
            if are_new && (!now.is_empty() || old.is_empty()) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(ChangeError::NotTaken(master.pid));
            }
            thread::sleep(STEP);
        }
    }
}

fn run_test(master: &Master) -> Result<Ran, ChangeError> {
    // The very program that runs, also where its file was replaced since.
    let program = format!("/proc/{}/exe", master.pid);
    let mut command = Command::new(&program);
    command.arg0("nginx").arg("-t").args(
        master
            .options
            .iter()
            .map(|option| OsStr::from_bytes(option)),
    );
    let answer = program::start(&mut command, Instant::now() + TEST_BUDGET);
    ended(answer).map_err(|source| ChangeError::Program {
        program: format!("nginx -t (the program of pid {})", master.pid),
        source,
    })
}

/// Gives the calling thread mounts of its own, with each second file in the place of the first.
fn stand_in(files: &[(PathBuf, PathBuf)]) -> Result<(), Errno> {
    // SAFETY: only `UnshareFlags::FILES` can take descriptors from other threads, and it is not given.
    #[expect(
        unsafe_code,
        reason = "rustix marks the call for a flag that is not used here"
    )]
    unsafe {
        unshare_unsafe(UnshareFlags::NEWNS)?;
    }
    // What is mounted here must not come to be mounted elsewhere.
    let alone = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", alone)?;
    for (place, candidate) in files {
        mount_bind(candidate, place)?;
    }
    Ok(())
}

fn hang_up(master: &Master) -> Result<(), ChangeError> {
    let pid = i32::try_from(master.pid).ok().and_then(Pid::from_raw);
    let sent = pid.map_or(Err(Errno::SRCH), |pid| kill_process(pid, Signal::HUP));
    sent.map_err(|error| ChangeError::Program {
        program: format!("kill -HUP {}", master.pid),
        source: error.into(),
    })
}

/// The workers that serve by the master's present configuration. Fails where the master is another process now.
fn workers(master: &Master) -> Result<Vec<u32>, ChangeError> {
    let processes = processes().map_err(ChangeError::file("read", "/proc"))?;
    let is_same = |process: &Process| {
        let difference = process.start.duration_since(master.start).abs();
        // The boot time from which starts are counted is known to some hundredths of a second.
        difference.as_millis() < 500
    };
    let own = processes.iter().find(|process| process.pid == master.pid);
    if !own.is_some_and(is_same) {
        return Err(ChangeError::OtherMaster(master.pid));
    }
    let serves = |process: &&Process| {
        process.ppid == master.pid
            && process.nginx()
                == Some(NginxRole::Worker {
                    is_shutting_down: false,
                })
    };
    Ok(processes
        .iter()
        .filter(serves)
        .map(|process| process.pid)
        .collect())
}

fn processes() -> io::Result<Vec<Process>> {
    let at = Timestamp::now();
    let boot = boot(&std::fs::read("/proc/uptime")?, at).ok_or(io::ErrorKind::InvalidData)?;
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let is_process = path
            .file_name()
            .is_some_and(|name| name.as_bytes().iter().all(u8::is_ascii_digit));
        if is_process {
            // It may have ended meanwhile.
            processes.extend(process(&path, boot));
        }
    }
    Ok(processes)
}

fn process(directory: &Path, boot: Timestamp) -> Option<Process> {
    let stat = std::fs::read(directory.join("stat")).ok()?;
    let command = std::fs::read(directory.join("cmdline")).ok()?;
    Process::parse(&stat, &command, boot)
}
