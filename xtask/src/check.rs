//! `cargo xtask test`: everything a change must pass, in the order that fails soonest.

use anyhow::{Result, ensure};

use crate::{packages, run};

/// Formats, lints, builds and tests the whole workspace.
pub(crate) fn test() -> Result<()> {
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

fn prepare() -> Result<()> {
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
fn build() -> Result<()> {
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
