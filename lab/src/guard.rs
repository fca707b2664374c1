//! Clean-up that cannot be skipped: a process that outlives the test by a moment.
//!
//! It holds the reading end of a pipe. When the pipe closes, be it by `Drop`, a panic or SIGKILL,
//! it kills every process group it was told of, ends and removes the cgroups, and removes the links
//! into the lab's directory and the directory itself.

use std::fmt::Display;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::built;

/// The handle on the guarding process; dropping it makes the guard do its work.
pub(crate) struct Guard {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts a guard; `remove` is the directory it removes at the end.
    pub(crate) fn start(remove: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(built::program("why502-lab-guard")?);
        command.args(remove);
        // Its own group: what kills the test's group must not kill the guard.
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().context("start the lab's guard")?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Puts a process group under guard.
    pub(crate) fn watch(&self, group: u32) -> Result<()> {
        self.tell("watch", group)
    }

    /// Releases a group that has ended, so that a later group of that number is left alone.
    pub(crate) fn forget(&self, group: u32) -> Result<()> {
        self.tell("forget", group)
    }

    /// Puts a cgroup with all beneath it under guard, until the end.
    pub(crate) fn watch_cgroup(&self, dir: &Path) -> Result<()> {
        self.tell("cgroup", dir.display())
    }

    /// Puts a link into the lab's directory under guard, until the end.
    pub(crate) fn watch_link(&self, path: &Path) -> Result<()> {
        self.tell("link", path.display())
    }

    /// Has a folder removed that was made for such links, once it is empty.
    pub(crate) fn watch_folder(&self, path: &Path) -> Result<()> {
        self.tell("folder", path.display())
    }

    fn tell(&self, what: &str, whom: impl Display) -> Result<()> {
        let mut pipe = self.pipe.as_ref().context("the lab's guard has ended")?;
        writeln!(pipe, "{what} {whom}").context("tell the lab's guard")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // Nothing is left to do with a failure here: the guard works on its own.
        self.child.wait().ok();
    }
}
