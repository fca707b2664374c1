//! A machine's own cgroups: systemd in it must meet no other machine's units.
//!
//! `systemd-nspawn --keep-unit` makes its cgroups beneath the one it was started in. They are made
//! here and removed by the lab's guard, which also ends whatever is left in them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::guard::Guard;

const ROOT: &str = "/sys/fs/cgroup";

/// Makes cgroups of this name beneath the running program's, in each hierarchy systemd uses, and where memory is counted
/// if that is wanted; the guard knows of each before it is there.
pub(crate) fn make(name: &str, counts_memory: bool, guard: &Guard) -> Result<Vec<PathBuf>> {
    let own = fs::read_to_string("/proc/self/cgroup").context("read /proc/self/cgroup")?;
    let dirs: Vec<PathBuf> = own
        .lines()
        .filter_map(|line| beneath(line, counts_memory))
        .map(|dir| dir.join(name))
        .collect();
    ensure!(
        !dirs.is_empty(),
        "no cgroup hierarchy of systemd is mounted at {ROOT}"
    );
    for dir in &dirs {
        guard.watch_cgroup(dir)?;
        fs::create_dir(dir).with_context(|| {
            format!(
                "make the cgroup {}: a machine needs cgroups it may write",
                dir.display()
            )
        })?;
    }
    Ok(dirs)
}

/// The directory of a line of `/proc/self/cgroup`, if its hierarchy is one that is wanted.
fn beneath(line: &str, counts_memory: bool) -> Option<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let is_unified = || Path::new(ROOT).join("cgroup.controllers").exists();
    let root = match controllers {
        "" if is_unified() => PathBuf::from(ROOT),
        "" => Path::new(ROOT).join("unified"),
        "name=systemd" => Path::new(ROOT).join("systemd"),
        "memory" if counts_memory => Path::new(ROOT).join("memory"),
        _ => return None,
    };
    root.is_dir()
        .then(|| root.join(path.trim_start_matches('/')))
}
