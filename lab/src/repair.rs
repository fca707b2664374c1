//! Has `why502 fix` mend what a scenario broke, and holds what it did against what was broken.
//!
//! Reads its JSON by the public contract, and the files and answers of nginx; never how it went about it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::built;
use crate::lab::Lab;
use crate::nginx::Nginx;
use crate::systemd::Machine;
use crate::verdict::{instance, run_program, text};

/// More kills than the longest plan has writes: reached, a repair has no end.
const MOST_KILLS: u32 = 60;

/// How `why502` is run where something is broken.
type Run<'a> = dyn Fn(&[&str]) -> Result<Output> + 'a;

impl Lab {
    fn state(&self) -> PathBuf {
        self.path("state")
    }

    fn repair(&self, nginx: &Nginx) -> Result<Output> {
        let state = self.state();
        repaired(&|args| asked_of(nginx, args), utf8(&state)?)
    }

    /// `why502 fix` mends it: nginx answers `path` with 200, and `why502` has nothing ongoing to tell.
    ///
    /// # Errors
    /// When it does not.
    pub fn mends(&self, nginx: &Nginx, method: &str, path: &str) -> Result<()> {
        let run = |args: &[&str]| asked_of(nginx, args);
        let state = self.state();
        mended(&run, utf8(&state)?)?;
        nginx.expect(3, method, path, 200)?;
        silent(&run)
    }

    /// `why502 fix` ends in this way, with this exit code; what it tells.
    ///
    /// # Errors
    /// When it ends in another.
    pub fn repaired(&self, nginx: &Nginx, expected: &str, code: i32) -> Result<Value> {
        let output = self.repair(nginx)?;
        let (outcome, report) = outcome(&output)?;
        ensure!(
            outcome == expected && output.status.code() == Some(code),
            "{outcome}, exit code {:?}, where {expected} and {code} are right:\n{report:#}",
            output.status.code()
        );
        Ok(report)
    }

    /// How `why502 fix --undo` ends, and what it tells.
    ///
    /// # Errors
    /// When it tells nothing.
    pub fn undone(&self, nginx: &Nginx) -> Result<(String, Value)> {
        self.taken_up(nginx, "--undo")
    }

    /// How `why502 fix --resume` ends, and what it tells.
    ///
    /// # Errors
    /// When it tells nothing.
    pub fn resumed(&self, nginx: &Nginx) -> Result<(String, Value)> {
        self.taken_up(nginx, "--resume")
    }

    fn taken_up(&self, nginx: &Nginx, how: &str) -> Result<(String, Value)> {
        let state = self.state();
        let args = match how {
            "--undo" => vec!["fix", how, "--yes"],
            _ => vec!["fix", how],
        };
        let args = [args, vec!["--format", "json", "--state", utf8(&state)?]].concat();
        outcome(&asked_of(nginx, &args)?)
    }

    /// `why502 fix` changes nothing, for whatever reason; what it tells.
    ///
    /// # Errors
    /// When it says that it did something.
    pub fn leaves_alone(&self, nginx: &Nginx) -> Result<Value> {
        let output = self.repair(nginx)?;
        let (outcome, report) = outcome(&output)?;
        let is_left = ["declined", "unproven", "not-applicable"].contains(&outcome.as_str());
        ensure!(
            is_left && !output.status.success(),
            "{outcome}:\n{report:#}"
        );
        Ok(report)
    }

    /// `why502 fix` finds that its fix did not help, and everything in these files is as it was, and nginx serves as before.
    ///
    /// # Errors
    /// When it is not.
    pub fn takes_back(&self, nginx: &Nginx, files: &[&Path], as_before: (&str, u16)) -> Result<()> {
        let before = Seen::of(files)?;
        let workers = nginx.workers()?;
        let output = self.repair(nginx)?;
        let (outcome, report) = outcome(&output)?;
        ensure!(
            outcome == "undone" && output.status.code() == Some(1),
            "{outcome} where the fix cannot help:\n{report:#}"
        );
        before.hold(files)?;
        ensure!(
            nginx.workers()? != workers,
            "nginx was never told:\n{report:#}"
        );
        let (path, status) = as_before;
        nginx.expect(2, "GET", path, status)
    }

    /// `why502 fix` is killed at each of its writes in turn, and `--resume` ends well each time: either nothing is
    /// changed, or it is mended; nginx accepts what is on disk at every moment.
    ///
    /// # Errors
    /// When it does not.
    pub fn survives_kills(
        &self,
        nginx: &Nginx,
        files: &[&Path],
        breaks: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let before = Seen::of(files)?;
        for kill in 1..=MOST_KILLS {
            breaks()?;
            let output = self.killed(nginx, kill)?;
            if output.status.signal().is_none() && output.status.code() != Some(137) {
                let (outcome, report) = outcome(&output)?;
                ensure!(kill > 5, "there was next to nothing to kill:\n{report:#}");
                ensure!(outcome == "fixed", "{outcome}:\n{report:#}");
                return Ok(());
            }
            accepted(nginx).with_context(|| format!("after kill {kill}"))?;
            let (outcome, report) = self.resumed(nginx)?;
            match outcome.as_str() {
                "undone" | "nothing-to-fix" => before
                    .hold(files)
                    .with_context(|| format!("kill {kill}: {report:#}"))?,
                // It was cut off while it looked at what it had done.
                "fixed" => {
                    self.undone(nginx)?;
                    before
                        .hold(files)
                        .with_context(|| format!("undo after kill {kill}"))?;
                }
                other => bail!("kill {kill}: {other}\n{report:#}"),
            }
            accepted(nginx).with_context(|| format!("after kill {kill} was mended"))?;
        }
        bail!("why502 fix was killed {MOST_KILLS} times and would go on")
    }

    /// `why502 fix`, killed when it is about to put its `number`th file in place.
    fn killed(&self, nginx: &Nginx, number: u32) -> Result<Output> {
        let mut command = Command::new("timeout");
        command
            .args([
                "--kill-after=5",
                "60",
                "strace",
                "--quiet=all",
                "--output=/dev/null",
            ])
            .arg("--trace=rename")
            .arg(format!("--inject=rename:signal=SIGKILL:when={number}"))
            .arg(built::why502()?)
            .args([
                "fix",
                "--yes",
                "--allow-unsafe",
                "--format",
                "json",
                "--state",
            ])
            .arg(self.state())
            .args(instance(nginx))
            .env("NO_COLOR", "1");
        command.output().context("run strace")
    }
}

impl Machine<'_> {
    /// `why502 fix` mends it in the machine: nginx answers `/` with 200, and `why502` has nothing ongoing to tell.
    ///
    /// # Errors
    /// When it does not.
    pub fn mends(&self) -> Result<()> {
        let run = |args: &[&str]| {
            let command = ["env", "NO_COLOR=1", "why502"].iter().chain(args);
            self.output(&command.map(OsString::from).collect::<Vec<_>>())
        };
        mended(&run, "/var/lib/why502")?;
        self.expect(3, "GET", "/", 200)?;
        silent(&run)
    }
}

/// Runs `why502` about an nginx of this host.
fn asked_of(nginx: &Nginx, args: &[&str]) -> Result<Output> {
    let args = args.iter().map(OsString::from);
    run_program(
        &built::why502()?,
        &args.chain(instance(nginx)).collect::<Vec<_>>(),
    )
}

/// Has `why502 fix` repair all it can, unasked.
fn repaired(run: &Run<'_>, state: &str) -> Result<Output> {
    let may = ["fix", "--yes", "--allow-unsafe"];
    run(&[&may[..], &["--format", "json", "--state", state]].concat())
}

fn mended(run: &Run<'_>, state: &str) -> Result<()> {
    let plan = run(&["fix", "--dry-run", "--format", "json"])?;
    let (planned, report) = outcome(&plan)?;
    ensure!(planned == "planned", "no plan but {planned}:\n{report:#}");
    let declined = run(&["fix", "--yes", "--format", "json", "--state", state])?;
    let (without_leave, report) = outcome(&declined)?;
    ensure!(
        without_leave == "declined" && declined.status.code() == Some(1),
        "{without_leave} where --yes alone does not suffice:\n{report:#}"
    );
    let output = repaired(run, state)?;
    let (outcome, report) = outcome(&output)?;
    ensure!(
        outcome == "fixed" && output.status.success(),
        "{outcome}, exit code {:?}:\n{report:#}",
        output.status.code()
    );
    Ok(())
}

/// `why502` has nothing ongoing to tell.
fn silent(run: &Run<'_>) -> Result<()> {
    let output = run(&["diagnose", "--format", "json"])?;
    ensure!(
        output.status.success(),
        "exit code {:?} after the repair:\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

/// The first outcome that is told, and all that is told.
fn outcome(output: &Output) -> Result<(String, Value)> {
    let report: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "why502 fix said: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    let answers = report.get("answers").and_then(Value::as_array);
    let first = answers.and_then(|answers| answers.first());
    let outcome = first.map(|answer| text(answer, "outcome").to_owned());
    Ok((outcome.context("no answer")?, report))
}

/// nginx accepts what is on disk.
fn accepted(nginx: &Nginx) -> Result<()> {
    let config = nginx.config();
    let prefix = config
        .parent()
        .context("a configuration without a folder")?;
    let output = Command::new("nginx")
        .args(["-t", "-q", "-c"])
        .arg(&config)
        .arg("-p")
        .arg(prefix)
        .output()
        .context("run nginx -t")?;
    ensure!(
        output.status.success(),
        "nginx refuses what is on disk: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().context("a path of the lab is no UTF-8")
}

/// What files hold and whose they are.
#[derive(Debug, PartialEq, Eq)]
struct Seen(Vec<(Vec<u8>, u32, u32, u32)>);

impl Seen {
    fn of(files: &[&Path]) -> Result<Self> {
        let look = |file: &&Path| {
            let metadata = fs::metadata(file).with_context(|| file.display().to_string())?;
            let bytes = if metadata.is_file() {
                fs::read(file).with_context(|| file.display().to_string())?
            } else {
                Vec::new()
            };
            Ok((bytes, metadata.uid(), metadata.gid(), metadata.mode()))
        };
        Ok(Self(files.iter().map(look).collect::<Result<_>>()?))
    }

    fn hold(&self, files: &[&Path]) -> Result<()> {
        let now = Self::of(files)?;
        ensure!(*self == now, "{files:?} were {self:?} and are {now:?}");
        for file in files {
            let folder = file.parent().context("a file of the lab has no folder")?;
            for entry in fs::read_dir(folder)? {
                let name = entry?.file_name();
                ensure!(
                    !name.to_string_lossy().contains(".why502-new"),
                    "{} was left in {}",
                    name.display(),
                    folder.display()
                );
            }
        }
        Ok(())
    }
}
