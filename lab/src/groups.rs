//! Control groups for applications: one that may use little memory, where what takes more is killed by the kernel, and
//! nothing else is; one that can be frozen.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::lab::Lab;
use crate::process::{Process, until};

const ROOT: &str = "/sys/fs/cgroup";

/// Joins the group that is named first, then becomes the command after it.
const START: &str = "echo $$ > \"$1/cgroup.procs\"; shift; exec \"$@\"";

impl Lab {
    /// A control group that may use so much memory; the guard ends what is in it and removes it.
    ///
    /// # Errors
    /// Where none can be made.
    pub fn memory_group(&self, mebibytes: u32) -> Result<PathBuf> {
        let own = Path::new(ROOT).join("memory");
        let (root, limit) = if own.is_dir() {
            (own, "memory.limit_in_bytes")
        } else {
            (PathBuf::from(ROOT), "memory.max")
        };
        let group = root.join(self.unique("why502-lab"));
        self.guard().watch_cgroup(&group)?;
        fs::create_dir(&group).with_context(|| format!("make the cgroup {}", group.display()))?;
        let bytes = u64::from(mebibytes) << 20;
        fs::write(group.join(limit), bytes.to_string())
            .with_context(|| format!("limit {}", group.display()))?;
        let swap = group.join("memory.swap.max");
        if swap.exists() {
            fs::write(&swap, "0").context("forbid the group to swap")?;
        }
        Ok(group)
    }

    /// A control group that can be frozen; the guard ends what is in it, frozen or not, and removes it. It is one of the
    /// second kind: what is frozen in one of the first cannot be ended.
    ///
    /// # Errors
    /// Where none can be made.
    pub fn freezable_group(&self) -> Result<PathBuf> {
        let unified = Path::new(ROOT).join("unified");
        let root = if unified.is_dir() {
            unified
        } else {
            PathBuf::from(ROOT)
        };
        let group = root.join(self.unique("why502-lab"));
        self.guard().watch_cgroup(&group)?;
        fs::create_dir(&group).with_context(|| format!("make the cgroup {}", group.display()))?;
        Ok(group)
    }

    /// As [`Lab::start`], in a control group.
    pub(crate) fn start_in_group(
        &self,
        group: &Path,
        name: &str,
        program: &Path,
        args: Vec<OsString>,
    ) -> Result<Process> {
        let mut command: Vec<OsString> = vec!["-ec".into(), START.into(), "sh".into()];
        command.extend([group.into(), program.into()]);
        command.extend(args);
        self.start(name, "sh", command)
    }
}

/// Freezes all that is in a group, and waits until it is.
pub(crate) fn freeze(group: &Path) -> Result<()> {
    fs::write(group.join("cgroup.freeze"), "1")
        .with_context(|| format!("freeze {}", group.display()))?;
    let is_frozen = || {
        let events = fs::read_to_string(group.join("cgroup.events")).ok()?;
        events.lines().any(|line| line == "frozen 1").then_some(())
    };
    until(Duration::from_secs(5), is_frozen)
        .with_context(|| format!("{} is not frozen", group.display()))
}
