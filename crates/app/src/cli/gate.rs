//! `why502 gate`: whether every peer of a configuration is there for nginx.

use std::io::{BufWriter, Write as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use diagnose::{Gate, GateOptions, GateOutcome, Options};
use jiff::Timestamp;

use super::diagnose::absolute;
use super::{Global, width};
use crate::collect;
use crate::gate::{self, Patience};

/// What is asked, and of whom.
#[derive(clap::Args)]
#[command(after_help = GATE_HELP)]
pub(crate) struct Args {
    /// The main configuration file, in force or not yet in place [default: the one that nginx runs]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// nginx's prefix, where it is another one than that of the nginx that runs
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// The nginx of this master or worker: its worker connects
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Ask for this path in place of the one of each location
    #[arg(long, value_name = "PATH", value_parser = http_path)]
    http_path: Option<String>,
    /// Statuses that will do, such as 200-299,401 [default: 200-399 with --http-path, else all below 500]
    #[arg(long, value_name = "STATUSES", value_parser = statuses, value_delimiter = ',')]
    expect: Vec<RangeInclusive<u16>>,
    /// How long all peers together may take for an attempt: they are asked side by side
    #[arg(long, value_name = "TIME", value_parser = collect::parse_duration, default_value = "2s")]
    timeout: Duration,
    /// Try again until every peer is ready, for so long: 30s, 2m
    #[arg(long, value_name = "TIME", value_parser = collect::parse_duration)]
    wait: Option<Duration>,
    /// Refuse only what a candidate (--config) makes worse: what fails in the running configuration too is let pass
    #[arg(long, value_enum, value_name = "WHAT", requires = "config")]
    against: Option<Against>,
    /// Have nginx test the configuration as well: nginx -t opens its logs, binds its ports and resolves names
    #[arg(long)]
    nginx_t: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const GATE_HELP: &str = "Exit status: 0 clean, 1 refused (a peer that nginx dials fails, or nginx would refuse the \
configuration), 2 the peers could not be asked.\n\nA server marked down is not asked; one marked backup is, and does not \
count. Where a peer stands behind a variable or a resolver is known only when a request comes: that is said, and does not \
count either.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Against {
    Running,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Term,
    Json,
    Junit,
    Github,
}

/// Asks, prints and says whether it is clean.
pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    host::more_descriptors();
    let options = args.options()?;
    let asked = args.asked();
    let mut patience = Patience::of(args.wait, global.quiet);
    let against = args.against.is_some();
    let mut answer = gate::ask(&options, &asked, against, &mut patience);
    patience.end();
    refuse_to_answer(&answer, args.config.as_deref(), against)?;
    if args.nginx_t {
        gate::test(&mut answer)?;
    }
    match args.print(&answer, global) {
        // Whoever read enough of it still learns the status.
        Err(error) if super::is_closed_pipe(&error) => {}
        printed => printed?,
    }
    let is_any = |outcome| answer.peers.iter().any(|peer| peer.outcome == outcome);
    let is_told = is_any(GateOutcome::Ready) || is_any(GateOutcome::Failing);
    anyhow::ensure!(
        is_told || answer.privileged || !is_any(GateOutcome::Unclear) || answer.is_refused(),
        "no peer could be asked as nginx would ask it: run it as root, where nginx runs"
    );
    Ok(if answer.is_refused() {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// What cannot be answered is said in place of an answer.
fn refuse_to_answer(
    answer: &Gate,
    config: Option<&Path>,
    against_running: bool,
) -> anyhow::Result<()> {
    if let Some(refusal) = &answer.refusal {
        anyhow::bail!("{refusal}");
    }
    if answer.config.is_none() {
        if let Some(gap) = answer.gaps.first() {
            let learn = gap
                .learn
                .as_ref()
                .map_or(String::new(), |_| " (sudo why502 gate)".to_owned());
            anyhow::bail!("cannot tell {}: {}{learn}", gap.missing, gap.why);
        }
        match config {
            Some(config) => anyhow::bail!("cannot read {}: check the path", config.display()),
            None => anyhow::bail!(super::diagnose::NO_NGINX),
        }
    }
    anyhow::ensure!(
        !against_running || answer.is_candidate && answer.master.is_some(),
        "--against running compares a candidate with what nginx runs: name a --config FILE that is not in place yet, while nginx runs"
    );
    Ok(())
}

impl Args {
    fn options(&self) -> anyhow::Result<Options> {
        Ok(Options {
            now: Timestamp::now(),
            since: Duration::from_hours(1),
            config: self.config.as_deref().map(absolute).transpose()?,
            prefix: self.prefix.as_deref().map(absolute).transpose()?,
            pid: self.pid,
            error_log: None,
            connect: true,
            handshake: true,
            request: None,
            selection: None,
            gate: None,
        })
    }

    fn asked(&self) -> GateOptions {
        GateOptions {
            http_path: self.http_path.clone(),
            expect: self.expect.clone(),
            timeout: self.timeout,
            judges: true,
        }
    }

    fn print(&self, answer: &Gate, global: &Global) -> anyhow::Result<()> {
        let mut out = BufWriter::new(anstream::AutoStream::auto(std::io::stdout().lock()));
        match self.format {
            Format::Term => {
                let style = report::term::Style {
                    width: width(),
                    verbose: global.verbose,
                    quiet: global.quiet,
                };
                report::term::gate(&mut out, answer, &style)?;
            }
            Format::Json => report::json::gate(&mut out, answer, self.against.is_some())?,
            Format::Junit => report::gate::junit(&mut out, answer)?,
            Format::Github => {
                // An annotation finds its file by the path within the repository.
                let root = std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from);
                report::gate::github(&mut out, answer, root.as_deref())?;
            }
        }
        out.flush()?;
        Ok(())
    }
}

/// Reads `/healthz?full=1`.
fn http_path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "'{text}' is no path: write /healthz, other bytes than ASCII's as %XX"
        ))
    }
}

/// Reads `200`, `200-399` or `2xx`.
fn statuses(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || format!("'{text}' is no status: write 200, 200-399 or 2xx");
    let status = |text: &str| {
        let status: u16 = text.parse().map_err(|_| wrong())?;
        if (100..=599).contains(&status) {
            Ok(status)
        } else {
            Err(wrong())
        }
    };
    if let Some(class) = text.strip_suffix("xx") {
        let first = status(&format!("{class}00"))?;
        return Ok(first..=first + 99);
    }
    match text.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (status(first)?, status(last)?);
            if first <= last {
                Ok(first..=last)
            } else {
                Err(wrong())
            }
        }
        None => status(text).map(|status| status..=status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_in_every_form() {
        assert_eq!(statuses("200"), Ok(200..=200));
        assert_eq!(statuses("200-399"), Ok(200..=399));
        assert_eq!(statuses("4xx"), Ok(400..=499));
        for wrong in ["", "20", "399-200", "9xx", "2xx-3xx", "200-", "abc"] {
            assert!(statuses(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_says_nothing_but_a_path() {
        assert!(http_path("/healthz?full=1").is_ok());
        for wrong in ["", "healthz", "/a b", "/a\r\nX: y", "http://x/"] {
            assert!(http_path(wrong).is_err(), "{wrong}");
        }
    }
}
