//! `why502`, `why502 diagnose`: the verdict for this host.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use diagnose::{Asked, Diagnosis, Judged, Options, Selection, Url};
use jiff::Timestamp;

use super::{Global, width};
use crate::collect;

/// What to look at, and how.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Tell of one site, peer or incident only: a server name, an address as nginx prints it, or an incident's id
    #[arg(value_name = "SITE|PEER|INCIDENT")]
    selection: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Which nginx, which time, which evidence.
#[derive(Default, clap::Args)]
pub(crate) struct Target {
    /// How far back to read: 90s, 15m, 1h, 7d [default: 1h, or as recorded in the snapshot]
    #[arg(long, value_name = "TIME", value_parser = collect::parse_duration)]
    since: Option<Duration>,
    /// The nginx that runs this main configuration file (or would)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// nginx's prefix, for a configuration that no running nginx uses
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// The nginx of this master or worker
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Read this error log in place of those the configuration names
    #[arg(long, value_name = "FILE")]
    error_log: Option<PathBuf>,
    /// Judge a recorded host instead of this one: what `why502 capture` wrote, or a sosreport
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Send nothing at all: not even a connection that is closed at once
    #[arg(long)]
    no_connect: bool,
    /// Also shake hands with the peers that fail (TLS, HTTP/2, FastCGI, uwsgi): no request is sent
    #[arg(long, conflicts_with = "no_connect")]
    handshake: bool,
    /// Send a GET for URL through the nginx that serves it, then straight to the peers behind it, and compare
    #[arg(long, value_name = "URL", value_parser = Url::parse, conflicts_with_all = ["no_connect", "snapshot"])]
    request: Option<Url>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Term,
    Json,
    Html,
}

/// Diagnoses and prints.
pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let (diagnosis, source) = args.target.diagnose(args.selection.as_deref())?;
    args.target.ensure_answered(&diagnosis)?;
    match print(&diagnosis, source, args.format, global) {
        // Whoever read enough of it still learns the status.
        Err(error) if super::is_closed_pipe(&error) => {}
        printed => printed?,
    }
    nothing_read(&diagnosis)?;
    Ok(status(&diagnosis))
}

/// "All is well" must not be said of logs that nobody could read.
fn nothing_read(diagnosis: &Diagnosis) -> anyhow::Result<()> {
    let is_unread = diagnosis.window.lines == 0 && diagnosis.incidents.is_empty();
    let runs = diagnosis
        .instances
        .iter()
        .any(|instance| instance.pid.is_some());
    if is_unread
        && runs
        && diagnosis
            .instances
            .iter()
            .all(|instance| instance.error_logs.is_empty())
    {
        anyhow::bail!(
            "no error log could be read: run it as root, or name one with --error-log FILE"
        );
    }
    Ok(())
}

/// The exit status speaks of now.
fn status(diagnosis: &Diagnosis) -> ExitCode {
    let ongoing: Vec<&Judged> = diagnosis
        .incidents
        .iter()
        .filter(|judged| judged.ongoing())
        .collect();
    let fails = diagnosis.asked.as_ref().is_some_and(Asked::is_failed);
    if ongoing.is_empty() && (fails || diagnosis.fails_unexplained() || diagnosis.is_unheard) {
        // It fails now and no incident says why, or it may fail and nothing would say so.
        ExitCode::from(3)
    } else if ongoing.is_empty() {
        ExitCode::SUCCESS
    } else if ongoing.iter().all(|judged| judged.cause.is_some()) {
        ExitCode::from(1)
    } else {
        ExitCode::from(3)
    }
}

fn print(
    diagnosis: &Diagnosis,
    source: report::json::Source,
    format: Format,
    global: &Global,
) -> anyhow::Result<()> {
    // Standard output writes line by line, and a report has hundreds.
    let mut out = BufWriter::new(anstream::AutoStream::auto(std::io::stdout().lock()));
    match format {
        Format::Term => {
            let style = report::term::Style {
                width: width(),
                verbose: global.verbose,
                quiet: global.quiet,
            };
            report::term::write(&mut out, diagnosis, &style)?;
        }
        Format::Json => report::json::write(&mut out, diagnosis, source)?,
        Format::Html => report::html::write(&mut out, diagnosis)?,
    }
    out.flush()?;
    Ok(())
}

impl Target {
    /// What was recorded.
    pub(super) fn recorded(snapshot: PathBuf) -> Self {
        Self {
            snapshot: Some(snapshot),
            ..Self::default()
        }
    }

    /// The verdict for the host, live or recorded.
    pub(crate) fn diagnose(
        &self,
        selection: Option<&str>,
    ) -> anyhow::Result<(Diagnosis, report::json::Source)> {
        match &self.snapshot {
            None => {
                let probe = host::LiveHost::new();
                Ok((
                    collect::diagnose(self.live_options(selection)?, &probe),
                    report::json::Source::Live,
                ))
            }
            Some(path) => {
                let snapshot = match host::Snapshot::open(path) {
                    Err(error) if matches!(error.fault, host::Fault::NoManifest) => {
                        return self.of_sosreport(path, selection, error);
                    }
                    other => other.context("reading the snapshot")?,
                };
                let options = self.recorded_options(&snapshot, selection);
                Ok((
                    collect::diagnose(options, &snapshot),
                    report::json::Source::Snapshot,
                ))
            }
        }
    }

    /// The verdict for the live host, and how it was asked.
    pub(super) fn diagnose_live(
        &self,
        selection: Option<&str>,
    ) -> anyhow::Result<(Diagnosis, Options)> {
        let options = self.live_options(selection)?;
        let diagnosis = collect::diagnose(options.clone(), &host::LiveHost::new());
        self.ensure_answered(&diagnosis)?;
        Ok((diagnosis, options))
    }

    /// Fails where there was nothing to answer from.
    fn ensure_answered(&self, diagnosis: &Diagnosis) -> anyhow::Result<()> {
        if let Some(refusal) = &diagnosis.refusal {
            anyhow::bail!("{refusal}");
        }
        anyhow::ensure!(
            !diagnosis.instances.is_empty(),
            self.nothing_found(diagnosis)
        );
        Ok(())
    }

    /// The verdict for the host of a sosreport; what is none of it fails as it did as a snapshot.
    fn of_sosreport(
        &self,
        path: &std::path::Path,
        selection: Option<&str>,
        as_snapshot: host::OpenError,
    ) -> anyhow::Result<(Diagnosis, report::json::Source)> {
        let report = match host::Sosreport::open(path) {
            Err(error) if matches!(error.fault, host::Fault::NoManifest | host::Fault::Io(_)) => {
                return Err(as_snapshot).context("reading the snapshot");
            }
            other => other.context("reading the sosreport")?,
        };
        let options = Options {
            now: report.captured_at(),
            since: self.since.unwrap_or(DEFAULT_SINCE),
            config: self.config.clone(),
            prefix: self.prefix.clone(),
            pid: self.pid,
            error_log: self.error_log.clone(),
            // Nobody tried a connection while the report was made.
            connect: false,
            handshake: false,
            request: None,
            selection: selection.map(|text| Selection(text.to_owned())),
            gate: None,
        };
        Ok((
            collect::diagnose(options, &report),
            report::json::Source::Snapshot,
        ))
    }

    /// Why there is nothing to answer from, and what to do.
    fn nothing_found(&self, diagnosis: &Diagnosis) -> String {
        if let Some(gap) = diagnosis.gaps.first() {
            return super::untold(gap);
        }
        if let Some(pid) = self.pid {
            return format!("process {pid} is no nginx master or worker: ps -C nginx lists them");
        }
        match &self.config {
            Some(config) => format!(
                "no nginx runs with {0}, and {0} cannot be read: check the path, or leave --config away to look at the nginx that runs",
                config.display()
            ),
            None => NO_NGINX.to_owned(),
        }
    }

    /// The options for the live host, now.
    pub(crate) fn live_options(&self, selection: Option<&str>) -> anyhow::Result<Options> {
        Ok(Options {
            now: Timestamp::now(),
            since: self.since.unwrap_or(DEFAULT_SINCE),
            config: self.config.as_deref().map(absolute).transpose()?,
            prefix: self.prefix.as_deref().map(absolute).transpose()?,
            pid: self.pid,
            error_log: self.error_log.as_deref().map(readable).transpose()?,
            connect: !self.no_connect,
            handshake: self.handshake,
            request: self.request.clone(),
            selection: selection.map(|text| Selection(text.to_owned())),
            gate: None,
        })
    }

    fn recorded_options(&self, snapshot: &host::Snapshot, selection: Option<&str>) -> Options {
        let mut options = super::capture::options_of(snapshot);
        if let Some(since) = self.since {
            options.since = since;
        }
        options.config = self.config.clone().or(options.config);
        options.prefix = self.prefix.clone().or(options.prefix);
        options.pid = self.pid.or(options.pid);
        options.error_log = self.error_log.clone().or(options.error_log);
        options.connect &= !self.no_connect;
        options.handshake = (options.handshake || self.handshake) && options.connect;
        options.selection = selection.map(|text| Selection(text.to_owned()));
        options
    }

    /// Whether a snapshot is to be judged.
    pub(crate) fn is_recorded(&self) -> bool {
        self.snapshot.is_some()
    }
}

/// What is said where there is nothing to look at.
pub(super) const NO_NGINX: &str = "found no nginx: none runs, and there is no installed configuration; name one with --config FILE";

/// How far back a diagnosis reads unless told otherwise.
const DEFAULT_SINCE: Duration = Duration::from_hours(1);

pub(super) fn absolute(path: &std::path::Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("no absolute path for {}", path.display()))
}

/// A log that the user names must be readable: to answer "all is well" from nothing would be a lie.
fn readable(path: &std::path::Path) -> anyhow::Result<PathBuf> {
    let metadata = std::fs::metadata(path)
        .with_context(|| format!("cannot read the error log {}", path.display()))?;
    anyhow::ensure!(
        metadata.is_file(),
        "{} is no log file: name the file that error_log names",
        path.display()
    );
    std::fs::File::open(path)
        .with_context(|| format!("cannot read the error log {}", path.display()))?;
    absolute(path)
}
