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
    let test = "a_killed_test_leaves_no_process_and_no_directory";
    kill_while_it_holds(test, hold_a_lab)
}

#[test]
fn a_killed_test_leaves_no_machine() -> Result<()> {
    kill_while_it_holds("a_killed_test_leaves_no_machine", hold_a_machine)
}

/// Kills a copy of this test once it has told what it `hold`s, and requires that all of it goes.
fn kill_while_it_holds(test: &str, hold: fn(&Path) -> Result<()>) -> Result<()> {
    if let Some(report) = std::env::var_os(VICTIM) {
        return hold(Path::new(&report));
    }
    let dir = tempfile::tempdir()?;
    let report = dir.path().join("started");
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
    tell_and_wait(&paths, report)
}

/// Boots a machine with a unit, names its processes and cgroups by path, and waits to be killed.
fn hold_a_machine(report: &Path) -> Result<()> {
    let lab = Lab::new()?;
    let machine = lab.machine()?;
    machine.service(
        "idle.service",
        "/bin/sleep 60",
        "/run/systemd/journal/stdout",
    )?;
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let leader = machine.leader().to_string();
    let own = namespace(&leader).context("the machine's init is gone")?;
    let mut paths = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if namespace(&name).as_ref() == Some(&own) {
            paths.push(format!("/proc/{name}"));
        }
    }
    for line in fs::read_to_string(format!("/proc/{leader}/cgroup"))?.lines() {
        let beneath = line.splitn(3, ':').nth(2).unwrap_or_default();
        let is_a_labs = |dir: &&Path| {
            dir.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("why502-lab-"))
        };
        let Some(cgroup) = Path::new(beneath).ancestors().find(is_a_labs) else {
            continue;
        };
        let cgroup = cgroup.display();
        let roots =
            ["", "/unified", "/systemd"].map(|root| format!("/sys/fs/cgroup{root}{cgroup}"));
        paths.extend(roots.into_iter().filter(|path| Path::new(path).exists()));
    }
    ensure!(
        paths.iter().any(|path| path.starts_with("/sys")),
        "no cgroup of the machine's own"
    );
    tell_and_wait(&paths, report)
}

fn tell_and_wait(paths: &[String], report: &Path) -> Result<()> {
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
