//! `cargo xtask bench logs`: whole logs, against what people search and group them with.
//!
//! The logs have a gigabyte each and stand in the page cache. Searching is the least that can be done with them, grouping
//! by hand the nearest to what `why502 logs` tells; nothing else tells all of it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::statvfs;
use serde_json::Value;

use super::made::{self, Kind, Made};
use super::measure::{self, Times};
use super::{Bound, to_mib};
use crate::{packages, run};

const GB: u64 = 1_000_000_000;
const MB: u64 = 1_000_000;
/// How large a log may be of which only the memory is measured.
const BIG: u64 = 20 * GB;
/// A log, it packed, and what goaccess makes of it.
const ROOM: u64 = 3 * GB;
const TURNS: usize = 5;
/// What takes minutes runs in fewer.
const SLOW_TURNS: usize = 3;
const PEAK: f64 = 64.0;

/// Angle-grinder, from crates.io.
const AGRIND: (&str, &str) = ("ag", "0.19.5");
/// Failures by peer and text, as people group them.
const BY_PEER: &str = r#"{
    at = index($0, ", upstream: \"")
    if (!at) next
    split(substr($0, at + 13), part, "/")
    match($0, /\*[0-9]+ /)
    text = substr($0, RSTART + RLENGTH)
    count[part[3] " " substr(text, 1, index(text, " while ") - 1)]++
}
END { for (kind in count) print count[kind], kind }"#;
const BY_PEER_IN_AGRIND: &str = r#"upstream | parse regex "\*[0-9]+ (?P<failure>.*?) while .*upstream: \"[a-z]+://(?P<peer>[^/\"]*)" | count by peer, failure"#;
const IN_LNAV: &str =
    ";SELECT count(*) FROM all_logs WHERE log_body LIKE '%while connecting to upstream%'";

/// A program that runs over a log.
struct Rival {
    what: &'static str,
    program: PathBuf,
    args: Vec<String>,
    codes: &'static [i32],
    turns: usize,
}

impl Rival {
    fn new(what: &'static str, program: impl Into<PathBuf>, args: &[&str]) -> Self {
        Self {
            what,
            program: program.into(),
            args: args.iter().map(ToString::to_string).collect(),
            codes: &[0],
            turns: TURNS,
        }
    }

    fn slow(self) -> Self {
        Self {
            turns: SLOW_TURNS,
            ..self
        }
    }

    fn on(mut self, log: &Path) -> Self {
        self.args.push(log.to_string_lossy().into_owned());
        self
    }

    fn command(&self) -> Vec<String> {
        let program = self.program.to_string_lossy().into_owned();
        [&[program], self.args.as_slice()].concat()
    }
}

/// Measures all three logs; `big` also one of which only the memory matters.
pub(super) fn measure(big: bool) -> Result<Vec<Bound>> {
    packages::ensure_installed(&[packages::LOGS])?;
    let dir = tempfile::tempdir().context("make a directory")?;
    room(dir.path(), ROOM + if big { BIG } else { 0 })?;
    let mut bounds = failures(dir.path())?;
    bounds.extend(usual(dir.path())?);
    bounds.extend(access(dir.path())?);
    if big {
        bounds.push(endless(dir.path())?);
    }
    Ok(bounds)
}

/// The worst case: there is nothing to skip.
fn failures(dir: &Path) -> Result<Vec<Bound>> {
    let (log, made) = make(dir, Kind::Failures, GB)?;
    let told = ours(&log)?;
    let failures = told.get("upstream_failures").and_then(Value::as_u64);
    ensure!(
        failures == Some(made.lines),
        "why502 counts {failures:?} failures of {}",
        made.lines
    );

    let mut rivals = vec![
        why502("why502 logs FILE --format json", &log)?,
        Rival::new(
            "rg -c \"while connecting to upstream\"",
            "rg",
            &["--no-config", "-c", "while connecting to upstream"],
        )
        .on(&log),
        Rival::new("wc -l", "wc", &["-l"]).on(&log),
        Rival::new("mawk, failures by peer and text", "mawk", &[BY_PEER])
            .on(&log)
            .slow(),
    ];
    let agrind = agrind();
    let grinds = agrind.is_some();
    if let Some(agrind) = agrind {
        rivals.push(
            Rival::new(
                "angle-grinder, failures by peer and text",
                agrind,
                &[BY_PEER_IN_AGRIND, "--file"],
            )
            .on(&log)
            .slow(),
        );
    }
    if run::succeeds("lnav", &["-V"]) {
        rivals.push(Rival {
            turns: 1,
            ..Rival::new("lnav, one count of them", "lnav", &["-n", "-c", IN_LNAV]).on(&log)
        });
    } else {
        run::say("lnav is not installed, and left out\n");
    }
    let times = race(&rivals, made.bytes)?;
    let peak = measure::peak(&rivals.first().context("ours comes first")?.command())?;

    let ours = median(&times, 0);
    let speed = to_gb(made.bytes) / ours;
    let of_rg = median(&times, 1) / ours;
    run::say(&format!(
        "\nevery line a failure: why502 reads {speed:.2} GB/s, {of_rg:.2} of the speed of rg; peak {:.1} MiB\n",
        to_mib(peak)
    ));
    let (what, of_machine) = (
        "every line a failure: why502's speed",
        "every line a failure: why502's speed as a part of rg's",
    );
    // The second where the machine is a slow one.
    let mut bounds = vec![if speed >= 2.0 {
        Bound::at_least(what, speed, 2.0, " GB/s")
    } else {
        Bound::at_least(of_machine, of_rg, 0.1667, "")
    }];
    bounds.push(Bound::at_least(
        "every line a failure: faster than mawk",
        median(&times, 3) / ours,
        6.0,
        " times",
    ));
    if grinds {
        bounds.push(Bound::at_least(
            "every line a failure: faster than angle-grinder",
            median(&times, 4) / ours,
            10.0,
            " times",
        ));
    }
    bounds.push(Bound::at_most(
        "every line a failure: peak memory",
        to_mib(peak),
        PEAK,
        " MiB",
    ));
    bounds.extend(packed(&log, made)?);
    std::fs::remove_file(&log).context("remove the log")?;
    Ok(bounds)
}

/// The same log packed, against what only unpacks it.
fn packed(log: &Path, made: Made) -> Result<Vec<Bound>> {
    let packed = log.with_extension("log.gz");
    let file = File::create(&packed).with_context(|| format!("make {}", packed.display()))?;
    let status = Command::new("gzip")
        .arg("-1c")
        .arg(log)
        .stdin(Stdio::null())
        .stdout(file)
        .status();
    ensure!(status.context("run gzip")?.success(), "gzip failed");
    let mut rivals = vec![
        why502("why502 logs FILE.gz --format json", &packed)?,
        Rival::new("gzip -dc FILE.gz", "gzip", &["-dc"]).on(&packed),
    ];
    for rival in &mut rivals {
        rival.turns = SLOW_TURNS;
    }
    let times = race(&rivals, made.bytes)?;
    let peak = measure::peak(&rivals.first().context("ours comes first")?.command())?;
    run::say(&format!(
        "\npacked: why502 takes {:.2} of the time of gzip -dc; peak {:.1} MiB\n",
        median(&times, 0) / median(&times, 1),
        to_mib(peak)
    ));
    std::fs::remove_file(&packed).context("remove the packed log")?;
    Ok(vec![Bound::at_most(
        "packed: peak memory",
        to_mib(peak),
        PEAK,
        " MiB",
    )])
}

/// A log as servers write it.
fn usual(dir: &Path) -> Result<Vec<Bound>> {
    let (log, made) = make(dir, Kind::Usual, GB)?;
    let told = ours(&log)?;
    let failures = told
        .get("upstream_failures")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    ensure!(
        (made.lines / 4..made.lines / 2).contains(&failures),
        "why502 counts {failures} failures in {} lines",
        made.lines
    );
    let rivals = [
        why502("why502 logs FILE --format json", &log)?,
        Rival::new("rg -c upstream", "rg", &["--no-config", "-c", "upstream"]).on(&log),
        Rival::new("wc -l", "wc", &["-l"]).on(&log),
        Rival::new("mawk, failures by peer and text", "mawk", &[BY_PEER])
            .on(&log)
            .slow(),
    ];
    let times = race(&rivals, made.bytes)?;
    let peak = measure::peak(&rivals[0].command())?;
    let ours = median(&times, 0);
    let of_rg = median(&times, 1) / ours;
    run::say(&format!(
        "\na usual log: why502 reads {:.2} GB/s, {of_rg:.2} of the speed of rg; peak {:.1} MiB\n",
        to_gb(made.bytes) / ours,
        to_mib(peak)
    ));
    std::fs::remove_file(&log).context("remove the log")?;
    Ok(vec![
        Bound::at_least(
            "a usual log: why502's speed as a part of rg's",
            of_rg,
            0.5,
            "",
        ),
        Bound::at_most("a usual log: peak memory", to_mib(peak), PEAK, " MiB"),
    ])
}

/// An access log of a million clients.
fn access(dir: &Path) -> Result<Vec<Bound>> {
    let (log, made) = make(dir, Kind::Access, GB)?;
    let told = ours(&log)?;
    let requests = told
        .get("access")
        .and_then(|access| access.get("requests"))
        .and_then(Value::as_u64);
    ensure!(
        requests == Some(made.lines),
        "why502 counts {requests:?} requests of {}",
        made.lines
    );
    let report = dir.join("goaccess.json").to_string_lossy().into_owned();
    let goaccess = [
        "--log-format=COMBINED",
        "--no-global-config",
        "--no-progress",
        "-o",
        &report,
    ];
    let rivals = [
        why502("why502 logs FILE --format json", &log)?,
        Rival::new("wc -l", "wc", &["-l"]).on(&log),
    ];
    let times = race(&rivals, made.bytes)?;
    let peak = measure::peak(&rivals[0].command())?;
    let ours = median(&times, 0);
    run::say(&format!(
        "\nan access log: why502 reads {:.2} GB/s; peak {:.1} MiB\n",
        to_gb(made.bytes) / ours,
        to_mib(peak)
    ));
    std::fs::remove_file(&log).context("remove the log")?;
    // A whole one takes it ten minutes.
    let (log, made) = make(dir, Kind::Access, GB / 10)?;
    let rivals = [
        why502("why502 logs FILE --format json", &log)?,
        Rival {
            turns: 1,
            ..Rival::new("goaccess -o FILE.json", "goaccess", &goaccess).on(&log)
        },
    ];
    let times = race(&rivals, made.bytes)?;
    std::fs::remove_file(&log).context("remove the log")?;
    Ok(vec![
        Bound::at_least(
            "an access log: faster than goaccess",
            median(&times, 1) / median(&times, 0),
            50.0,
            " times",
        ),
        Bound::at_most("an access log: peak memory", to_mib(peak), PEAK, " MiB"),
    ])
}

/// Memory does not grow with the log.
fn endless(dir: &Path) -> Result<Bound> {
    let (log, _) = make(dir, Kind::Failures, BIG)?;
    let peak = measure::peak(&why502("why502", &log)?.command())?;
    std::fs::remove_file(&log).context("remove the log")?;
    Ok(Bound::at_most(
        "20 GB, every line a failure: peak memory",
        to_mib(peak),
        PEAK,
        " MiB",
    ))
}

/// Runs all, turn and turn about, and prints what they took.
fn race(rivals: &[Rival], bytes: u64) -> Result<Vec<Times>> {
    let mut times = vec![Times::default(); rivals.len()];
    for turn in 0..TURNS {
        for (rival, times) in rivals.iter().zip(&mut times) {
            if turn < rival.turns {
                let mut command = Command::new(&rival.program);
                times.add(measure::time(command.args(&rival.args), rival.codes)?);
            }
        }
    }
    run::say(&measure::head(
        rivals.iter().map(|rival| rival.turns).max().unwrap_or(0),
    ));
    for (rival, times) in rivals.iter().zip(&times) {
        let speed = to_gb(bytes) / times.median().as_secs_f64();
        let row = times.row(rival.what);
        run::say(&format!("{} {speed:>8.3} GB/s\n", row.trim_end()));
    }
    Ok(times)
}

fn why502(what: &'static str, log: &Path) -> Result<Rival> {
    let mut rival = Rival::new(what, why502_lab::why502()?, &["logs"]).on(log);
    rival.args.extend(["--format", "json"].map(Into::into));
    Ok(rival)
}

/// What why502 tells of a log: a fast wrong answer is worth nothing. The log is then in the page cache, too.
fn ours(log: &Path) -> Result<Value> {
    let output = Command::new(why502_lab::why502()?)
        .arg("logs")
        .arg(log)
        .args(["--format", "json"])
        .stdin(Stdio::null())
        .output()
        .context("run why502")?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "why502 gave no report, {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

fn make(dir: &Path, kind: Kind, bytes: u64) -> Result<(PathBuf, Made)> {
    let log = dir.join(match kind {
        Kind::Access => "access.log",
        Kind::Usual | Kind::Failures => "error.log",
    });
    let made = made::write(kind, bytes, &log)?;
    // What is still to be written would disturb.
    File::open(&log)
        .and_then(|file| file.sync_all())
        .context("write the log out")?;
    let what = match kind {
        Kind::Usual => "an error log as servers write it",
        Kind::Failures => "an error log, every line a failure to connect to an upstream",
        Kind::Access => "an access log of a million clients and URLs",
    };
    run::say(&format!(
        "\n{what}: {} MB, {} lines\n",
        made.bytes / MB,
        made.lines
    ));
    Ok((log, made))
}

/// Sees that so much can be written.
fn room(dir: &Path, bytes: u64) -> Result<()> {
    let disk = statvfs(dir)
        .map_err(io::Error::from)
        .context("ask for the free disk")?;
    let free = disk.f_bavail * disk.f_frsize;
    ensure!(
        free >= bytes,
        "{} MB of free disk are needed in {}, {} are there: set TMPDIR to another place",
        bytes / MB,
        dir.display(),
        free / MB
    );
    Ok(())
}

/// Angle-grinder, installed once under the build directory; it is left out where it cannot be.
fn agrind() -> Option<PathBuf> {
    let (name, version) = AGRIND;
    let root = why502_lab::target_dir().ok()?.join("bench/ag");
    let program = root.join("bin/agrind");
    if !run::succeeds(&program.to_string_lossy(), &["--version"]) {
        let root = root.to_string_lossy();
        let install = [
            "install",
            name,
            "--version",
            version,
            "--locked",
            "--quiet",
            "--root",
            &root,
        ];
        if let Err(error) = run::cargo(&install) {
            run::say(&format!(
                "angle-grinder cannot be installed, and is left out: {error:#}\n"
            ));
            return None;
        }
    }
    Some(program)
}

/// Seconds.
fn median(times: &[Times], at: usize) -> f64 {
    times
        .get(at)
        .map_or(Duration::MAX, Times::median)
        .as_secs_f64()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a size in gigabytes, with two decimals"
)]
fn to_gb(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}
