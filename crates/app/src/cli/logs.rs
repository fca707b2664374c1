//! `why502 logs`: what whole logs tell.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use clap::ValueEnum;
use conf::Model;
use diagnose::explain::Class;
use diagnose::logs::{AccessReport, LogReport, LogVerdict, Skipped, Step};
use diagnose::{Diagnosis, Judged, Judgement};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use log::LocalTime;
use log::bulk::{AccessCounter, ErrorCounter, Failure, Part, Wanted};
use log::error::Carrier;

use super::diagnose::Target;
use super::{Global, width};
use crate::logs::{self, Count, Counted, Formats, Moment, Reading, Sort, Source};

/// As a shell says of who was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Which logs, what of them, and how to print it.
#[derive(clap::Args)]
#[command(after_help = LOGS_HELP)]
pub(crate) struct Args {
    /// Error and access logs, told apart by what stands in them: files (plain, gzip, zstd, xz or bzip2, told by what they
    /// hold), quoted patterns ('*.log*'), directories (the logs in them, by their names; not in those below), '-' for
    /// standard input
    #[arg(value_name = "FILE", required_unless_present = "snapshot")]
    files: Vec<PathBuf>,
    /// nginx's main configuration file, or what nginx -T printed: the formats of access logs, and whose a peer is
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The format of the access logs: as log_format has it ('$remote_addr ...', 'escape=json {...}'), or a name that the
    /// configuration has [default: each log's own, of those known]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Only lines from then on: 2026-06-23, '2026-06-23 14:02', 2026-06-23T14:02:11 by the log's own clock; or 15m, 1h, 7d
    /// before the newest line of all logs
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    since: Option<Moment>,
    /// Only lines before then, written as for --since
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    until: Option<Moment>,
    /// Only failures of this peer, as nginx prints it (127.0.0.1:8000, unix:/run/app.sock); repeatable, as the next two
    #[arg(long, value_name = "PEER")]
    peer: Vec<String>,
    /// Only failures of this class, as a report names it: connect-refused, read-timeout and so on
    #[arg(long, value_name = "CLASS", value_parser = class, value_delimiter = ',')]
    class: Vec<Class>,
    /// Only failures of this server, by its first server_name
    #[arg(long, value_name = "SERVER")]
    server: Vec<String>,
    /// How long a step of a timeline is [default: minute]
    #[arg(long, value_enum, value_name = "STEP")]
    by: Option<By>,
    /// How to print the answer; parquet needs a file (> logs.parquet)
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Add what this snapshot of the host proves of the incidents (what why502 capture wrote, or a sosreport)
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
}

const LOGS_HELP: &str = "Exit status: 0 answered, 2 nothing could be read, 130 ended by Ctrl-C (what was found until \
then is printed; once more ends at once).";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Minute,
    Hour,
    Day,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Term,
    Json,
    Csv,
    Html,
    Parquet,
}

/// Reads, counts and prints.
pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.format != Format::Parquet || !io::stdout().is_terminal(),
        "parquet is no text: send it to a file, > logs.parquet"
    );
    anyhow::ensure!(
        !args.files.is_empty(),
        "name the logs too: what a snapshot says of itself tells why502 --snapshot FILE"
    );
    let config = args.config.as_deref().map(logs::config::read).transpose()?;
    let mut report = read(args, config.as_ref(), global)?;
    if let Some(model) = &config {
        for incident in &mut report.incidents {
            incident.upstream = logs::config::upstream_of(model, &incident.peer);
        }
    }
    if let Some(snapshot) = &args.snapshot {
        let (diagnosis, _) = Target::recorded(snapshot.clone()).diagnose(None)?;
        add_verdicts(&mut report, &diagnosis);
    }
    match print(&report, args.format, global) {
        Err(error) if super::is_closed_pipe(&error) => {}
        printed => printed?,
    }
    Ok(if report.interrupted {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}

/// What the logs hold of what is wanted.
fn read(args: &Args, config: Option<&Model>, global: &Global) -> anyhow::Result<LogReport> {
    let formats = logs::config::formats(args.log_format.as_deref(), config)?;
    let stop = logs::interrupt().context("waiting for Ctrl-C")?;
    let bar = bar(global);
    let (inputs, mut skipped) = logs::inputs(&args.files);
    let (mut sources, unopened) = logs::open(&inputs, &formats, &stop, &bar);
    skipped.extend(unopened);
    show_length(&bar, &sources);
    let reading = Reading::new(&stop, &bar, &formats);
    let window = window(args, &mut sources, &reading)?;
    let is_chosen = |failure: &Failure<'_>| args.chooses(failure);
    let wanted = Wanted {
        from: window.0,
        until: window.1,
        failure: args.is_choosy().then_some(&is_chosen),
    };
    let counted = logs::count(sources, &reading, &|sort| {
        Counter::new(sort, &formats, &wanted)
    });
    bar.finish_and_clear();
    skipped.extend(counted.skipped.iter().cloned());
    let interrupted = stop.load(Ordering::Relaxed);
    if !interrupted {
        ensure_something(&counted, &skipped)?;
    }
    let mut report = of_counters(counted.counters, args.step());
    report.files = counted.files;
    report.skipped = skipped;
    report.interrupted = interrupted;
    report.window = report.window.or_else(|| spanned(&report, window));
    Ok(report)
}

/// What the counters of all sorts found.
fn of_counters(counters: BTreeMap<Sort, Counter<'_>>, step: Step) -> LogReport {
    let mut errors: Option<Box<ErrorCounter<'_>>> = None;
    let mut accesses: Option<Box<AccessCounter<'_>>> = None;
    for counter in counters.into_values() {
        match counter {
            Counter::Error(counter, _) => match &mut errors {
                Some(errors) => errors.merge(*counter),
                None => errors = Some(counter),
            },
            Counter::Access(counter) => match &mut accesses {
                Some(accesses) => accesses.merge(*counter),
                None => accesses = Some(counter),
            },
            Counter::Nothing => {}
        }
    }
    let mut report = errors.map_or_else(LogReport::default, |errors| {
        LogReport::of_error_logs(errors.finish(), step)
    });
    report.access = accesses.map(|accesses| AccessReport::new(accesses.finish(), step));
    report
}

/// What counts a sort of log.
enum Counter<'w> {
    Error(Box<ErrorCounter<'w>>, Carrier),
    Access(Box<AccessCounter<'w>>),
    /// A format that nobody knows any more.
    Nothing,
}

impl<'w> Counter<'w> {
    fn new(sort: Sort, formats: &'w Formats, wanted: &Wanted<'w>) -> Self {
        match sort {
            Sort::Error(carrier) => Self::Error(Box::new(ErrorCounter::new(wanted)), carrier),
            Sort::Access(idx) => formats.get(idx).map_or(Self::Nothing, |format| {
                Self::Access(Box::new(AccessCounter::new(format, wanted)))
            }),
        }
    }
}

impl Count for Counter<'_> {
    fn count(&mut self, part: &Part<'_>) {
        match self {
            Self::Error(counter, carrier) => counter.count(part, *carrier),
            Self::Access(counter) => counter.count(part),
            Self::Nothing => {}
        }
    }

    fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Error(counter, _), Self::Error(other, _)) => counter.merge(*other),
            (Self::Access(counter), Self::Access(other)) => counter.merge(*other),
            // Only counters of one sort are merged.
            _ => {}
        }
    }
}

/// The first and the last time that is wanted. A duration counts from the newest line, so no pipe may be among the logs.
fn window(
    args: &Args,
    sources: &mut [Source],
    reading: &Reading<'_>,
) -> anyhow::Result<(Option<LocalTime>, Option<LocalTime>)> {
    let is_relative = |moment: Option<Moment>| moment.is_some_and(Moment::is_relative);
    let mut newest = None;
    if is_relative(args.since) || is_relative(args.until) {
        let pipe = sources.iter().find(|source| source.is_pipe());
        if let Some(pipe) = pipe {
            anyhow::bail!(
                "{}: where it ends is not known before it is read, so a duration before its newest line cannot be; name a time, such as --since '2026-06-23 14:02'",
                pipe.name
            );
        }
        newest = logs::newest(sources, reading);
    }
    let resolve = |moment: Option<Moment>| moment.and_then(|moment| moment.resolve(newest));
    let (since, until) = (resolve(args.since), resolve(args.until));
    if let (Some(since), Some(until)) = (since, until) {
        anyhow::ensure!(
            since < until,
            "--since {since} is not before --until {until}"
        );
    }
    Ok((since, until))
}

/// The time that the files span, within what is wanted.
fn spanned(
    report: &LogReport,
    (since, until): (Option<LocalTime>, Option<LocalTime>),
) -> Option<(LocalTime, LocalTime)> {
    let windows = || report.files.iter().filter_map(|file| file.window);
    let first = windows().map(|(first, _)| first).min()?;
    let last = windows().map(|(_, last)| last).max()?;
    let first = since.map_or(first, |since| since.max(first));
    let last = until.map_or(last, |until| until.min(last));
    (first <= last).then_some((first, last))
}

impl By {
    fn step(self) -> Step {
        match self {
            Self::Minute => Step::Minute,
            Self::Hour => Step::Hour,
            Self::Day => Step::Day,
        }
    }
}

impl Args {
    /// Minutes unless told otherwise: what draws a timeline makes longer steps of them where there are too many.
    fn step(&self) -> Step {
        self.by.map_or(Step::Minute, By::step)
    }

    fn is_choosy(&self) -> bool {
        !(self.peer.is_empty() && self.class.is_empty() && self.server.is_empty())
    }

    /// Whether such a failure is wanted.
    fn chooses(&self, failure: &Failure<'_>) -> bool {
        let among = |wanted: &[String], text: &[u8]| {
            wanted.is_empty() || wanted.iter().any(|wanted| wanted.as_bytes() == text)
        };
        among(&self.peer, failure.peer)
            && among(&self.server, failure.server)
            && (self.class.is_empty() || self.class.contains(&failure.class))
    }
}

fn class(name: &str) -> Result<Class, String> {
    let is_failure = |class: &Class| class.may_be_upstream_failure();
    Class::from_name(name).filter(is_failure).ok_or_else(|| {
        let known = Class::ALL.iter().copied().filter(is_failure);
        let known: Vec<&str> = known.map(Class::as_str).collect();
        format!(
            "no class of failures is called '{name}': there are {}",
            known.join(", ")
        )
    })
}

/// An answer needs something that was read.
fn ensure_something<C>(counted: &Counted<C>, skipped: &[Skipped]) -> anyhow::Result<()> {
    const SHOWN: usize = 5;
    let is_unread = |name: &str| {
        skipped
            .iter()
            .any(|skipped| skipped.whole && skipped.file == name)
    };
    if counted.files.iter().any(|file| !is_unread(&file.name)) {
        return Ok(());
    }
    let shown = skipped.iter().take(SHOWN);
    let mut why: Vec<String> = shown
        .map(|skipped| format!("{}: {}", skipped.file, skipped.why))
        .collect();
    if let Some(more) = skipped.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        why.push(format!("and {more} more"));
    }
    anyhow::bail!("nothing could be read: {}", why.join("; "))
}

/// Shown on a terminal only.
fn bar(global: &Global) -> ProgressBar {
    if global.quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
}

/// Where a pipe is among them nobody knows how long it takes.
fn show_length(bar: &ProgressBar, sources: &[Source]) {
    let sources = || sources.iter().filter(|source| source.sort.is_some());
    let template = if sources().any(Source::is_pipe) {
        "{spinner} {binary_bytes} read, {binary_bytes_per_sec}"
    } else {
        bar.set_length(sources().map(Source::bytes).sum());
        "{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
    };
    // Both are known to be templates; without one the bar has its own.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// What the snapshot's diagnosis says of the same failures at the same time.
fn add_verdicts(report: &mut LogReport, diagnosis: &Diagnosis) {
    for incident in &mut report.incidents {
        let same = |judged: &&Judged| {
            let other = &judged.incident;
            other.peer == incident.peer
                && other.failure == Some(incident.failure)
                && other.errno == incident.errno
                && other.action == incident.action
                && overlap(
                    (incident.first_seen, incident.last_seen),
                    (other.first_seen.as_second(), other.last_seen.as_second()),
                )
        };
        let judged = diagnosis.incidents.iter().find(same);
        incident.verdict = judged.map(verdict);
    }
}

/// Whether two times may have something in common. The logs' are local, and no zone is further from UTC than so.
fn overlap(local: (LocalTime, LocalTime), utc: (i64, i64)) -> bool {
    const ZONE: i64 = 14 * 3600;
    local.0.seconds() - ZONE <= utc.1 && utc.0 <= local.1.seconds() + ZONE
}

fn verdict(judged: &Judged) -> LogVerdict {
    let confirmed = judged.cause.and_then(|cause| {
        judged
            .causes
            .iter()
            .find_map(|verdict| match &verdict.judgement {
                Judgement::Confirmed(confirmation) if verdict.cause.id == cause.id => {
                    Some((cause.id, confirmation.summary.clone()))
                }
                _ => None,
            })
    });
    match confirmed {
        Some((cause, summary)) => LogVerdict {
            cause: Some(cause),
            summary,
        },
        None => LogVerdict {
            cause: None,
            summary: "the snapshot proves no cause".to_owned(),
        },
    }
}

fn print(report: &LogReport, format: Format, global: &Global) -> anyhow::Result<()> {
    if format == Format::Parquet {
        // No text: nothing may be taken out of it.
        let mut out = BufWriter::new(io::stdout());
        report::parquet::logs(&mut out, report)?;
        out.flush()?;
        return Ok(());
    }
    let mut out = BufWriter::new(anstream::AutoStream::auto(io::stdout().lock()));
    let style = report::term::Style {
        width: width(),
        verbose: global.verbose,
        quiet: global.quiet,
    };
    match format {
        Format::Term => report::term::logs(&mut out, report, &style)?,
        Format::Json => report::json::logs(&mut out, report)?,
        Format::Csv => report::csv::logs(&mut out, report)?,
        Format::Html | Format::Parquet => report::html::logs(&mut out, report)?,
    }
    out.flush()?;
    Ok(())
}
