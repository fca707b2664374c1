//! The lab's guard: kills what it was told of and removes the lab's directory when its standard
//! input ends. It takes `watch GROUP` and `forget GROUP`, and must never act before the end.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _};
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process_group};

fn main() {
    let mut groups = BTreeSet::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let Some((what, group)) = line.split_once(' ') else {
            continue;
        };
        let Ok(group) = group.parse::<i32>() else {
            continue;
        };
        if what == "watch" {
            groups.insert(group);
        } else {
            groups.remove(&group);
        }
    }
    for group in groups.into_iter().filter_map(Pid::from_raw) {
        kill_process_group(group, Signal::KILL).ok();
    }
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return;
    };
    let is_a_labs = dir
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("why502-lab-"));
    if is_a_labs && dir.is_dir() {
        std::fs::remove_dir_all(dir).ok();
    }
}
