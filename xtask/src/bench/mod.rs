//! `cargo xtask bench`: speed and memory, held against the bounds the project set itself.
//!
//! What is compared runs on the same machine, in the same session, turn and turn about: a shared
//! machine's mood then spoils both sides alike. Nothing here knows how `why502` works.

mod conf;
mod crowd;
mod diagnose;
mod gate;
mod log;
mod logs;
mod made;
mod measure;
mod site;

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::run;

/// What to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bench {
    /// Everything below.
    All,
    /// A whole diagnosis, against the commands people run by hand.
    Diagnose,
    /// Reading a configuration, against another reader.
    Conf,
    /// Whole logs, against what searches and groups them.
    Logs {
        /// Also a log of 20 GB, of which only the memory is measured.
        big: bool,
    },
    /// A gate over a thousand peers, healthy and hostile.
    Gate,
    /// Not for people: a process that holds its part of many sockets.
    Crowd(Vec<String>),
    /// Not for people: runs a program and tells the most memory it had.
    Peak(Vec<String>),
}

impl Bench {
    pub(crate) fn parse(args: &[&str]) -> Option<Self> {
        let owned = |rest: &[&str]| rest.iter().map(ToString::to_string).collect();
        Some(match args {
            [] => Self::All,
            ["diagnose"] => Self::Diagnose,
            ["conf"] => Self::Conf,
            ["gate"] => Self::Gate,
            ["logs"] => Self::Logs { big: false },
            ["logs", "--big"] => Self::Logs { big: true },
            ["crowd", rest @ ..] => Self::Crowd(owned(rest)),
            ["peak", rest @ ..] => Self::Peak(owned(rest)),
            _ => return None,
        })
    }
}

/// Measures; a bound that does not hold is an error.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Crowd(args) => return crowd::hold(args),
        Bench::Peak(command) => return measure::tell_peak(command),
        Bench::All | Bench::Diagnose | Bench::Conf | Bench::Gate | Bench::Logs { .. } => {}
    }
    if cfg!(debug_assertions) {
        return optimised(bench);
    }
    let mut bounds = Vec::new();
    if matches!(bench, Bench::All | Bench::Conf) {
        bounds.extend(conf::measure()?);
    }
    if matches!(bench, Bench::All | Bench::Diagnose) {
        bounds.extend(diagnose::measure()?);
    }
    if matches!(bench, Bench::All | Bench::Gate) {
        bounds.extend(gate::measure()?);
    }
    if matches!(bench, Bench::All | Bench::Logs { .. }) {
        bounds.extend(logs::measure(*bench == Bench::Logs { big: true })?);
    }
    run::say("\n");
    for bound in &bounds {
        run::say(&bound.line());
    }
    let failed = bounds.iter().filter(|bound| !bound.holds()).count();
    ensure!(
        failed == 0,
        "{failed} of {} bounds do not hold",
        bounds.len()
    );
    Ok(())
}

/// Builds everything as it is released, and lets the optimised twin of this program measure.
fn optimised(bench: &Bench) -> Result<()> {
    let mut args = vec!["build", "--release", "--quiet", "--bins"];
    args.extend(["--package", "why502", "--package", "why502-lab"]);
    args.extend(["--package", "xtask"]);
    run::cargo(&args)?;
    let mut twin: Vec<OsString> = vec!["bench".into()];
    match bench {
        Bench::Diagnose => twin.push("diagnose".into()),
        Bench::Conf => twin.push("conf".into()),
        Bench::Gate => twin.push("gate".into()),
        Bench::Logs { big } => {
            twin.push("logs".into());
            twin.extend(big.then(|| "--big".into()));
        }
        _ => {}
    }
    let program = why502_lab::target_dir()?.join("release/xtask");
    run::visibly(Command::new(program).args(twin))
}

/// A promise and what was measured.
pub(crate) struct Bound {
    what: String,
    measured: f64,
    limit: Limit,
    unit: &'static str,
}

enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn at_most(what: impl Into<String>, measured: f64, limit: f64, unit: &'static str) -> Self {
        let (what, limit) = (what.into(), Limit::AtMost(limit));
        Self {
            what,
            measured,
            limit,
            unit,
        }
    }

    fn at_least(what: impl Into<String>, measured: f64, limit: f64, unit: &'static str) -> Self {
        let (what, limit) = (what.into(), Limit::AtLeast(limit));
        Self {
            what,
            measured,
            limit,
            unit,
        }
    }

    fn holds(&self) -> bool {
        match self.limit {
            Limit::AtMost(most) => self.measured <= most,
            Limit::AtLeast(least) => self.measured >= least,
        }
    }

    fn line(&self) -> String {
        let verdict = if self.holds() { "PASS" } else { "FAIL" };
        let bound = match self.limit {
            Limit::AtMost(most) => format!("at most {most}"),
            Limit::AtLeast(least) => format!("at least {least}"),
        };
        format!(
            "{verdict}  {}: {:.2}{unit}, {bound}{unit}\n",
            self.what,
            self.measured,
            unit = self.unit
        )
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a size in mebibytes, with a decimal"
)]
fn to_mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_up_to_its_limit() {
        for (bound, holds) in [
            (Bound::at_most("time", 0.5, 0.5, "x"), true),
            (Bound::at_most("time", 0.51, 0.5, "x"), false),
            (Bound::at_least("speed", 10.0, 10.0, "x"), true),
            (Bound::at_least("speed", 9.9, 10.0, "x"), false),
        ] {
            assert_eq!(bound.holds(), holds, "{}", bound.line());
        }
        assert_eq!(
            Bound::at_most("memory", 99.0, 100.0, " MiB").line(),
            "PASS  memory: 99.00 MiB, at most 100 MiB\n"
        );
    }
}
