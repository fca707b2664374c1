//! `cargo xtask corpus`: records the lab's scenarios as cases of the corpus, each where nothing is seen of the machine
//! that runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use why502_lab::scenarios::SCENARIOS;

use crate::{check, run};

/// Prepares the namespaces and becomes the scenario's test.
const STAGE: &str = include_str!("stage.sh");

/// A case is read by everybody who works on the project: what is larger stays out.
const LARGEST: u64 = 100 << 10;

/// Records the scenarios whose `cause::scenario` begins so; all without one.
pub(crate) fn record(wanted: Option<&str>) -> Result<()> {
    check::prepare()?;
    check::build()?;
    run::cargo(&["test", "--package", "why502-lab", "--no-run"])?;
    let corpus = run::root().join("corpus");
    fs::create_dir_all(&corpus)?;
    let program = test_program()?;
    let mut failed = Vec::new();
    for (cause, scenarios) in SCENARIOS {
        for scenario in *scenarios {
            let name = format!("{cause}::{scenario}");
            if wanted.is_none_or(|wanted| name.starts_with(wanted)) {
                let recorded = on_stage(&program, &name, &corpus);
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
    for case in why502_lab::corpus::cases(&corpus)? {
        let size = fs::metadata(&case)?.len();
        if size > LARGEST {
            fs::remove_file(case.with_extension("json"))?;
            fs::remove_file(&case)?;
            run::say(&format!(
                "{}: {size} bytes are too many, left out\n",
                case.display()
            ));
        }
    }
    ensure!(failed.is_empty(), "not recorded:\n{}", failed.join("\n"));
    Ok(())
}

fn on_stage(program: &Path, scenario: &str, corpus: &Path) -> Result<()> {
    let output = Command::new("unshare")
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
