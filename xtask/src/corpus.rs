//! `cargo xtask corpus`: records the lab's scenarios as cases of the corpus, each where nothing is seen of the machine
//! that runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use why502_lab::corpus;
use why502_lab::scenarios::SCENARIOS;

use crate::{check, run};

/// Leaves every control group, and becomes the command: the kernel's log names groups by their whole path, and processes
/// in a namespace theirs by what is below its root.
const IN_THE_FIRST_GROUPS: &str = "\
for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
    if [ -e \"$root/cgroup.procs\" ]; then echo $$ > \"$root/cgroup.procs\"; fi
done
exec \"$@\"
";

/// Prepares the namespaces and becomes the scenario's test.
const STAGE: &str = include_str!("stage.sh");

/// Records the scenarios whose `cause::scenario` begins so; all without one.
pub(crate) fn record(wanted: Option<&str>) -> Result<()> {
    check::prepare()?;
    check::build()?;
    run::cargo(&["test", "--workspace", "--test", "scenarios", "--no-run"])?;
    let folder = run::root().join("corpus");
    fs::create_dir_all(&folder)?;
    let program = test_program()?;
    let mut failed = Vec::new();
    for (cause, scenarios) in SCENARIOS {
        for scenario in *scenarios {
            let name = format!("{cause}::{scenario}");
            if wanted.is_none_or(|wanted| name.starts_with(wanted)) {
                let recorded = renew(&program, &name, &folder);
                run::say(&format!(
                    "{name}: {}\n",
                    if recorded.is_ok() {
                        "recorded"
                    } else {
                        "FAILED"
                    }
                ));
                failed.extend(recorded.err().map(|error| format!("{name}: {error:#}")));
            }
        }
    }
    ensure!(failed.is_empty(), "not recorded:\n{}", failed.join("\n"));
    write_page()
}

/// Judges the corpus as it is, writes `docs/accuracy.md` and prints it.
pub(crate) fn accuracy() -> Result<()> {
    check::build()?;
    write_page()
}

fn write_page() -> Result<()> {
    let cases = corpus::judge_all(&run::root().join("corpus"))?;
    let page = corpus::page(&cases);
    fs::write(run::root().join("docs/accuracy.md"), &page).context("write docs/accuracy.md")?;
    run::say(&page);
    let faults = corpus::faults(&cases);
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// Records one scenario's cases in the place of those that it had.
fn renew(program: &Path, scenario: &str, cases: &Path) -> Result<()> {
    let fresh = why502_lab::target_dir()?.join("lab/corpus");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    on_stage(program, scenario, &fresh)?;
    let recorded = corpus::cases(&fresh)?;
    ensure!(!recorded.is_empty(), "it asked nothing");
    let (cause, case) = scenario.split_once("::").context("no scenario")?;
    let folder = cases.join(cause.replace('_', "-"));
    fs::create_dir_all(&folder)?;
    for old in fs::read_dir(&folder)? {
        let old = old?.path();
        let name = old.file_stem().unwrap_or_default().to_string_lossy();
        if name.split('-').next() == Some(case) {
            fs::remove_file(&old)?;
        }
    }
    for snapshot in recorded {
        for file in [snapshot.with_extension("json"), snapshot] {
            let name = file.file_name().context("a case without a name")?;
            fs::copy(&file, folder.join(name)).context("keep a case")?;
        }
    }
    Ok(())
}

fn on_stage(program: &Path, scenario: &str, corpus: &Path) -> Result<()> {
    let output = Command::new("sh")
        .args(["-c", IN_THE_FIRST_GROUPS, "sh", "unshare"])
        .args([
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--net",
            "--mount",
            "--uts",
            "--ipc",
            "--cgroup",
        ])
        .args(["--propagation", "private", "sh", "-c", STAGE, "stage"])
        .arg(why502_lab::target_dir()?)
        .arg(program)
        .arg(scenario)
        .arg(corpus)
        .env("RUST_LIB_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .context("run unshare")?;
    if !output.status.success() {
        bail!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// The newest program of the scenarios' tests.
fn test_program() -> Result<PathBuf> {
    let folder = why502_lab::target_dir()?.join("debug/deps");
    let mut newest = None;
    for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        let is_program = entry
            .file_name()
            .to_string_lossy()
            .starts_with("scenarios-")
            && entry.path().extension().is_none();
        if is_program {
            newest = newest.max(Some((entry.metadata()?.modified()?, entry.path())));
        }
    }
    newest
        .map(|(_, path)| path)
        .context("the scenarios' tests were not built")
}
