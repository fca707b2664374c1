//! `cargo xtask corpus`: records the lab's scenarios as cases of the corpus, each where nothing is seen of the machine
//! that runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use why502_lab::{corpus, scenarios, vm_scenarios};

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

/// A case is read by everybody who works on the project: what is larger stays out.
const LARGEST: u64 = 100 << 10;

/// Those that hold a policy of SELinux are large; this one stands for the rest.
const WITH_POLICY: &str = "selinux-denies-connect/a_boolean_opens_the_port.snapshot";

/// Records the scenarios whose `cause::scenario` begins with one of these; all without any.
pub(crate) fn record(wanted: &[String]) -> Result<()> {
    check::prepare()?;
    check::build()?;
    run::cargo(&[
        "test",
        "--package",
        "why502-lab",
        "--features",
        "vm",
        "--no-run",
    ])?;
    let folder = run::root().join("corpus");
    fs::create_dir_all(&folder)?;
    let is_wanted = |name: &String| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|wanted| name.starts_with(wanted.as_str()))
    };
    let names = |list: &[(&str, &[&str])]| -> Vec<String> {
        let named = list.iter().flat_map(|(cause, scenarios)| {
            scenarios
                .iter()
                .map(move |scenario| format!("{cause}::{scenario}"))
        });
        named.filter(is_wanted).collect()
    };
    let mut failed = Vec::new();
    let mut note = |name: String, recorded: Result<()>| {
        let how = if recorded.is_ok() {
            "recorded"
        } else {
            "FAILED"
        };
        run::say(&format!("{name}: {how}\n"));
        failed.extend(recorded.err().map(|error| format!("{name}: {error:#}")));
    };
    let program = test_program("scenarios")?;
    for name in names(scenarios::SCENARIOS) {
        let recorded = renew(&name, &folder, |fresh| on_stage(&program, &name, fresh));
        note(name, recorded);
    }
    let in_machines = names(vm_scenarios::SCENARIOS);
    if !in_machines.is_empty() {
        check::machines()?;
    }
    let program = test_program("vm_scenarios")?;
    for name in in_machines {
        let recorded = renew(&name, &folder, |fresh| in_a_machine(&program, &name, fresh));
        note(name, recorded);
    }
    drop_large(&folder)?;
    ensure!(failed.is_empty(), "not recorded:\n{}", failed.join("\n"));
    write_page()
}

/// Takes the large cases away again, but for the few that stand for the rest.
fn drop_large(folder: &Path) -> Result<()> {
    for case in corpus::cases(folder)? {
        let size = fs::metadata(&case)?.len();
        if size > LARGEST && !case.ends_with(WITH_POLICY) {
            fs::remove_file(case.with_extension("json"))?;
            fs::remove_file(&case)?;
            run::say(&format!(
                "{}: {size} bytes are too many, left out\n",
                case.display()
            ));
        }
    }
    Ok(())
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
fn renew(
    scenario: &str,
    cases: &Path,
    recorded_in: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let fresh = why502_lab::target_dir()?.join("lab/corpus");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    recorded_in(&fresh)?;
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
    succeeded(&output)
}

/// A virtual machine holds nothing of the one that runs it.
fn in_a_machine(program: &Path, scenario: &str, corpus: &Path) -> Result<()> {
    let output = Command::new(program)
        .args(["--exact", scenario, "--nocapture", "--test-threads=1"])
        .env("WHY502_LAB_CORPUS", corpus)
        .env("RUST_LIB_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .context("run a scenario")?;
    succeeded(&output)
}

fn succeeded(output: &Output) -> Result<()> {
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The newest program of these tests.
fn test_program(name: &str) -> Result<PathBuf> {
    let begin = format!("{name}-");
    let folder = why502_lab::target_dir()?.join("debug/deps");
    let mut newest = None;
    for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        let is_program = entry.file_name().to_string_lossy().starts_with(&begin)
            && entry.path().extension().is_none();
        if is_program {
            newest = newest.max(Some((entry.metadata()?.modified()?, entry.path())));
        }
    }
    newest
        .map(|(_, path)| path)
        .with_context(|| format!("the tests of {name} were not built"))
}
