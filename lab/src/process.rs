//! One started program with all it forks: its own process group, ended as a whole.
//!
//! Processes are ended by their own number only, never by name.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::guard::Guard;

/// A running program of the lab. Dropping it kills its whole process group.
pub struct Process {
    name: String,
    child: Child,
    output: PathBuf,
    guard: Rc<Guard>,
    ended: bool,
}

impl Process {
    /// Starts `program` with its output in the file `output`.
    pub(crate) fn start(
        name: &str,
        program: &OsStr,
        args: Vec<OsString>,
        output: PathBuf,
        guard: &Rc<Guard>,
    ) -> Result<Self> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(&output)
            .context("open an output file")?;
        let err = out.try_clone().context("share an output file")?;
        // The kernel ends the program when this thread ends before the guard knows of it.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(args);
        command.env_clear().env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command
            .env("LANG", "C.UTF-8")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command.envs(std::env::var_os("TZ").map(|zone| ("TZ", zone)));
        command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .current_dir("/");
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        let process = Self {
            name: name.to_owned(),
            child,
            output,
            guard: Rc::clone(guard),
            ended: false,
        };
        process.guard.watch(process.pid())?;
        Ok(process)
    }

    /// The process id, which is also its group's.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that takes its output.
    pub(crate) fn output_path(&self) -> &Path {
        &self.output
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        fs::read(&self.output)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The processes it forked.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn children(&self) -> Result<Vec<u32>> {
        children_of(self.pid())
    }

    /// Sends a signal to this process alone.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        signal_one(self.pid(), signal)
    }

    /// Sends a signal to this process and all it forked.
    ///
    /// # Errors
    /// When they are gone.
    pub fn signal_group(&self, signal: Signal) -> Result<()> {
        let group = Pid::from_child(&self.child);
        kill_process_group(group, signal).with_context(|| format!("signal {}", self.name))
    }

    /// Stops it and all it forked, as a debugger would; returns when none of them runs any more.
    ///
    /// # Errors
    /// When one goes on.
    pub fn pause(&self) -> Result<()> {
        self.signal_group(Signal::STOP)?;
        let mut all = self.children()?;
        all.push(self.pid());
        let stopped = || {
            all.iter()
                .all(|&pid| state_of(pid) == Some('T'))
                .then_some(())
        };
        until(Duration::from_secs(5), stopped).with_context(|| format!("{} goes on", self.name))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it has not ended after ten seconds.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let name = self.name.clone();
        let child = &mut self.child;
        let status = until(Duration::from_secs(10), || child.try_wait().ok().flatten())
            .with_context(|| format!("{name} did not end"))?;
        self.end_group();
        Ok(status)
    }

    /// Ends it as its service manager would: SIGTERM, then SIGKILL for what is left.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait()
    }

    /// Kills it and all it forked, at once.
    pub fn kill(&mut self) {
        self.end_group();
    }

    /// Waits until `ready` gives a value; when the process ends before, says what it printed.
    ///
    /// # Errors
    /// When it ended, or ten seconds have passed.
    pub fn await_ready<T>(&mut self, ready: impl FnMut() -> Option<T>) -> Result<T> {
        self.await_ready_for(Duration::from_secs(10), ready)
    }

    /// The same for a program that may take longer.
    pub(crate) fn await_ready_for<T>(
        &mut self,
        patience: Duration,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(value) = ready() {
                return Ok(value);
            }
            if let Some(status) = self.child.try_wait().context("look after a process")? {
                let how = status
                    .signal()
                    .map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
                bail!(
                    "{} ended ({how}) before it was ready:\n{}",
                    self.name,
                    self.output()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "{} was not ready after {} seconds:\n{}",
                    self.name,
                    patience.as_secs(),
                    self.output()
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn end_group(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        if let Some(group) = Pid::from_raw(self.pid().cast_signed()) {
            kill_process_group(group, Signal::KILL).ok();
            self.child.wait().ok();
            // What it forked dies a moment later; a listener is free only then.
            until(Duration::from_secs(1), || {
                living(Kin::Group(self.pid()))
                    .ok()?
                    .is_empty()
                    .then_some(())
            });
        }
        self.guard.forget(self.pid()).ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end_group();
    }
}

/// Sends a signal to one process of the lab.
///
/// # Errors
/// When it is gone.
pub(crate) fn signal_one(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid.cast_signed()).context("process 0 cannot be signalled")?;
    kill_process(pid, signal).with_context(|| format!("signal process {pid:?}"))
}

/// Which processes are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kin {
    /// Those forked by this one.
    Parent(u32),
    /// Those of this group.
    Group(u32),
}

/// The living children of a process.
pub(crate) fn children_of(parent: u32) -> Result<Vec<u32>> {
    living(Kin::Parent(parent))
}

/// Processes that are no zombies: those wait for init, and hold nothing.
fn living(kin: Kin) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("list /proc")?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // `pid (comm) state ppid pgrp ...`: comm may hold anything, so count from its last bracket.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let rest: Vec<_> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .take(3)
            .collect();
        let [state, parent, group] = rest.as_slice() else {
            continue;
        };
        let is_kin = match kin {
            Kin::Parent(wanted) => parent.parse() == Ok(wanted),
            Kin::Group(wanted) => group.parse() == Ok(wanted),
        };
        if is_kin && !matches!(*state, "Z" | "X") {
            found.push(pid);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The letter of a process's state.
fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// A process's user id.
pub(crate) fn user_of(pid: u32) -> Option<u32> {
    fs::metadata(format!("/proc/{pid}"))
        .ok()
        .map(|process| process.uid())
}

/// A process's command line, its arguments separated by spaces.
pub(crate) fn command_line(pid: u32) -> String {
    let raw =
        fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw)
        .replace('\0', " ")
        .trim_end()
        .to_owned()
}

/// Runs a tool to its end; what it complained of is part of the error.
pub(crate) fn run_to_end(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Asks again until there is an answer or the time is over.
pub(crate) fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = ask() {
            return Some(value);
        }
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
