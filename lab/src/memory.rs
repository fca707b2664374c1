//! A control group that may use little memory: what takes more in it is killed by the kernel, and nothing else is.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::lab::Lab;
use crate::process::Process;

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
