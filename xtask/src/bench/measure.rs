//! Wall time and memory of whole programs.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};

use crate::run;

/// Many measurements of one thing.
#[derive(Clone, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
        self.0.sort_unstable();
    }

    pub(crate) fn best(&self) -> Duration {
        self.0.first().copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    pub(crate) fn worst(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    pub(crate) fn row(&self, what: &str) -> String {
        format!(
            "{what:<44} {:>10} {:>10} {:>10}\n",
            milliseconds(self.best()),
            milliseconds(self.median()),
            milliseconds(self.worst())
        )
    }
}

/// The head of a table of [`Times::row`]s.
pub(crate) fn head(runs: usize) -> String {
    format!(
        "\n{:<44} {:>10} {:>10} {:>10}\n",
        format!("{runs} runs, turn and turn about; ms"),
        "best",
        "median",
        "worst"
    )
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// Runs a program to its end, its output thrown away; one of these exit codes is right.
pub(crate) fn time(command: &mut Command, codes: &[i32]) -> Result<Duration> {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().with_context(|| format!("run {name}"))?;
    let taken = start.elapsed();
    ensure!(
        status.code().is_some_and(|code| codes.contains(&code)),
        "{name} failed: {status}"
    );
    Ok(taken)
}

/// The most memory a program had, in bytes. It is asked of a process that waits for nothing else.
pub(crate) fn peak(command: &[String]) -> Result<u64> {
    let own = std::env::current_exe().context("find the running program")?;
    let output = Command::new(own)
        .args(["bench", "peak"])
        .args(command)
        .stdin(Stdio::null())
        .output()
        .context("run a measured program")?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told = String::from_utf8_lossy(&output.stdout);
    told.trim().parse().context("read a measured peak")
}

/// The other side of [`peak`].
pub(crate) fn tell_peak(command: &[String]) -> Result<()> {
    let (program, args) = command.split_first().context("no program to measure")?;
    let status = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("run {program}"))?;
    ensure!(
        matches!(status.code(), Some(0 | 1 | 3)),
        "{program} failed: {status}"
    );
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("ask for the children's usage")?;
    // Linux counts it in KiB.
    let bytes = u64::try_from(usage.max_rss()).unwrap_or(0) * 1024;
    run::say(&format!("{bytes}\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_order() {
        let mut times = Times::default();
        for milliseconds in [30, 10, 20] {
            times.add(Duration::from_millis(milliseconds));
        }
        let told = [times.best(), times.median(), times.worst()].map(|time| time.as_millis());
        assert_eq!(told, [10, 20, 30]);
    }
}
