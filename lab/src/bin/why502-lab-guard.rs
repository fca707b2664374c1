//! The lab's guard: kills what it was told of and removes the lab's directory when its standard
//! input ends. It takes `watch GROUP`, `forget GROUP`, `cgroup DIRECTORY`, `link PATH` and `folder
//! PATH`, and must never act before the end, nor on a directory that is no lab's, a link that leads
//! elsewhere, or a folder that holds anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

fn main() {
    let mut groups = BTreeSet::new();
    let mut cgroups = Vec::new();
    let (mut links, mut folders) = (Vec::new(), Vec::new());
    for line in io::stdin().lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("watch", group)) => groups.extend(group.parse::<i32>()),
            Some(("forget", group)) => groups.retain(|known| group.parse() != Ok(*known)),
            Some(("cgroup", dir)) => cgroups.push(PathBuf::from(dir)),
            Some(("link", path)) => links.push(PathBuf::from(path)),
            Some(("folder", path)) => folders.push(PathBuf::from(path)),
            _ => {}
        }
    }
    for group in groups.into_iter().filter_map(Pid::from_raw) {
        kill_process_group(group, Signal::KILL).ok();
    }
    for dir in cgroups.iter().filter(|dir| is_a_labs(dir)) {
        end_cgroup(dir);
    }
    for link in links.iter().filter(|link| leads_to_a_lab(link)) {
        fs::remove_file(link).ok();
    }
    // The innermost came first.
    for folder in &folders {
        fs::remove_dir(folder).ok();
    }
    let dir = std::env::args_os().nth(1).map(PathBuf::from);
    if let Some(dir) = dir.filter(|dir| is_a_labs(dir) && dir.is_dir()) {
        fs::remove_dir_all(dir).ok();
    }
}

fn is_a_labs(dir: &Path) -> bool {
    dir.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("why502-lab-"))
}

fn leads_to_a_lab(link: &Path) -> bool {
    fs::read_link(link).is_ok_and(|target| target.ancestors().any(is_a_labs))
}

/// Kills what runs in a cgroup and beneath, and removes it once the kernel has let all of it go.
fn end_cgroup(dir: &Path) {
    for _ in 0..500 {
        kill_and_remove(dir);
        if !dir.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn kill_and_remove(dir: &Path) {
    let processes = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let pids = processes.lines().filter_map(|line| line.parse().ok());
    for pid in pids.filter_map(Pid::from_raw) {
        kill_process(pid, Signal::KILL).ok();
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_and_remove(&entry.path());
        }
    }
    // Fails while a process is in it; the next round tries again.
    fs::remove_dir(dir).ok();
}
