//! `cargo xtask test`: everything a change must pass, in the order that fails soonest.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::{packages, run};

/// Formats, lints, builds and tests the whole workspace.
pub(crate) fn test() -> Result<()> {
    packages::ensure_installed(&[packages::DEMO, packages::LAB, packages::BROWSER])?;
    prepare()?;
    run::cargo(&["fmt", "--all", "--check"])?;
    run::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])?;
    build()?;
    run::cargo(&runner(&["--workspace"]))
}

/// Runs the lab again and again; whatever fails once is an error.
pub(crate) fn repeat_lab(count: u32) -> Result<()> {
    prepare()?;
    build()?;
    let mut failed = 0;
    for round in 1..=count {
        run::say(&format!("lab, round {round} of {count}\n"));
        failed +=
            u32::from(run::cargo(&runner(&["--package", "why502-lab", "--no-fail-fast"])).is_err());
    }
    ensure!(failed == 0, "{failed} of {count} rounds failed");
    run::say(&format!("{count} rounds, none failed\n"));
    Ok(())
}

/// Runs the lab once and prints what was true against what was answered.
pub(crate) fn accuracy() -> Result<()> {
    prepare()?;
    build()?;
    let folder = run::root().join("target/lab/accuracy");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let lab = run::cargo_with(
        &runner(&["--package", "why502-lab", "--no-fail-fast"]),
        &[("WHY502_LAB_TABLE", folder.as_os_str())],
    );
    let mut table: BTreeMap<(String, String), u32> = BTreeMap::new();
    for file in fs::read_dir(&folder)? {
        for row in fs::read_to_string(file?.path())?.lines() {
            let (truth, answer) = row.split_once('\t').unwrap_or((row, ""));
            *table
                .entry((truth.to_owned(), answer.to_owned()))
                .or_default() += 1;
        }
    }
    let mut wrong = 0;
    run::say(&format!("\n{:<28} {:<28} incidents\n", "true", "answered"));
    for ((truth, answer), count) in &table {
        // What nothing on the host can prove may be found out all the same; whether it is so, the scenario asserts.
        let is_false = truth != answer && !answer.starts_with('(') && !truth.starts_with("(not");
        wrong += u32::from(is_false) * count;
        let mark = if is_false { "  FALSE" } else { "" };
        run::say(&format!("{truth:<28} {answer:<28} {count}{mark}\n"));
    }
    run::say(&format!("false \"confirmed\": {wrong}\n"));
    ensure!(
        wrong == 0,
        "{wrong} incidents were given a cause that is not theirs"
    );
    lab
}

/// Runs what needs a kernel of its own, in virtual machines with SELinux and AppArmor.
pub(crate) fn lab_vm() -> Result<()> {
    build()?;
    machines()?;
    run::cargo(&runner(&[
        "--package",
        "why502-lab",
        "--features",
        "vm",
        "--test",
        "vm_scenarios",
        "--no-fail-fast",
    ]))
}

/// Makes the virtual machines that scenarios go on from, by the lab's own programs.
pub(crate) fn machines() -> Result<()> {
    packages::ensure_installed(&[packages::VM])?;
    let begun = Instant::now();
    let image = why502_lab::vm::prepare()?;
    run::say(&format!(
        "virtual machines: {} ({} s)\n",
        image.display(),
        begun.elapsed().as_secs()
    ));
    Ok(())
}

/// Installs and makes what the lab needs.
pub(crate) fn prepare() -> Result<()> {
    packages::ensure_installed(&[packages::DEMO, packages::LAB])?;
    let bin = why502_lab::environment()?;
    run::say(&format!("Python environment: {}\n", bin.display()));
    let root = why502_lab::rootfs()?;
    run::say(&format!(
        "root file system of machines: {}\n",
        root.display()
    ));
    Ok(())
}

/// The programs that tests start; cargo builds no other package's for a test.
pub(crate) fn build() -> Result<()> {
    run::cargo(&["build", "--workspace", "--bins"])
}

/// nextest where it is installed, which runs every test in a process of its own.
fn runner<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let has_nextest = run::succeeds(env!("CARGO"), &["nextest", "--version"]);
    let run: &[&str] = if has_nextest {
        &["nextest", "run"]
    } else {
        &["test"]
    };
    [run, args].concat()
}
