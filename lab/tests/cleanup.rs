//! What a lab started ends with it, however the test ends.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use why502_lab::{Gunicorn, Lab};

/// Tells the copy of this test that is to be killed where to write what it has started.
const VICTIM: &str = "WHY502_LAB_VICTIM";

#[test]
fn a_killed_test_leaves_no_process_and_no_directory() -> Result<()> {
    if let Some(report) = std::env::var_os(VICTIM) {
        return hold_a_lab(Path::new(&report));
    }
    let dir = tempfile::tempdir()?;
    let report = dir.path().join("started");
    let test = "a_killed_test_leaves_no_process_and_no_directory";
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", test])
        .env(VICTIM, &report)
        .spawn()?;
    let started = until(|| {
        fs::read_to_string(&report)
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    victim.kill()?;
    victim.wait()?;
    let started = started.context("the victim did not come up")?;
    let paths: Vec<_> = started.lines().collect();
    ensure!(paths.len() >= 5, "the victim started too little: {paths:?}");
    let left = || {
        paths
            .iter()
            .filter(|path| is_alive(path))
            .collect::<Vec<_>>()
    };
    until(|| left().is_empty().then_some(())).with_context(|| format!("left behind: {:?}", left()))
}

/// Starts programs that fork, names them and their directory by path, and waits to be killed.
fn hold_a_lab(report: &Path) -> Result<()> {
    let lab = Lab::new()?;
    let peer = lab.port()?;
    let gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let nginx = lab.nginx("server { listen @listen; }\n", &[])?;
    let mut pids = [gunicorn.children()?, nginx.workers()?].concat();
    pids.extend([gunicorn.pid(), nginx.pid()]);
    let mut paths: Vec<_> = pids.iter().map(|pid| format!("/proc/{pid}")).collect();
    paths.push(lab.path("").display().to_string());
    let text = paths.join("\n") + "\n";
    let unfinished = report.with_extension("part");
    fs::write(&unfinished, text)?;
    fs::rename(unfinished, report)?;
    thread::sleep(Duration::from_mins(1));
    Ok(())
}

/// Whether a path is there, and no zombie's.
fn is_alive(path: &str) -> bool {
    match fs::read_to_string(Path::new(path).join("stat")) {
        Ok(stat) => !stat.contains(") Z "),
        Err(_) => !path.starts_with("/proc") && Path::new(path).exists(),
    }
}

fn until<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match ask() {
            Some(value) => return Some(value),
            None if Instant::now() > deadline => return None,
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}
