//! `why502 lint`: what in a configuration will lead to 502 or 504, or hides why.

use std::io::{BufWriter, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use diagnose::lints::{Input, Rules, input_of};
use diagnose::{LintOptions, LintReport, Options};
use jiff::Timestamp;
use report::json::Source;

use super::{Global, width};
use crate::collect;
use crate::lint::{fix, mapped::Mapped};
use crate::settings::File;
use crate::settings::lint::{LintSettings, parse_version};

/// A configuration is not larger than this.
const LIMIT: u64 = 256 << 20;

/// What to look at, and how.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The configuration to look at: a main file, a part of one, the output of 'nginx -T', or '-' for standard input
    /// [default: those of all nginx that run here, or the installed one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The same as --config FILE
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    #[command(flatten)]
    scope: Scope,
    /// Read the settings from FILE [default: ./why502.toml, then /etc/why502.toml]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Make the safe edits: shows them first, and asks
    #[arg(long)]
    fix: bool,
    /// Do not ask
    #[arg(long, requires = "fix")]
    yes: bool,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// How far to look.
#[derive(clap::Args)]
struct Scope {
    /// nginx's prefix, for a configuration that no running nginx uses
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// Look at a recorded host instead of this one: what 'why502 capture' wrote, or a sosreport
    #[arg(long, value_name = "FILE", conflicts_with_all = ["fix", "host"])]
    snapshot: Option<PathBuf>,
    /// Also look at this host (sockets, units, pools, names) though no nginx here runs FILE
    #[arg(long)]
    host: bool,
    /// Send nothing at all: no name is looked up
    #[arg(long)]
    no_connect: bool,
    /// Judge by the defaults of this version of nginx [default: the one found here]
    #[arg(long, value_name = "VERSION", value_parser = parse_version)]
    nginx_version: Option<(u32, u32, u32)>,
}

const EXIT_CODES: &str = "Exit status: 0 nothing found, 1 findings, 2 the tool could not do what was asked.\n\n\
A comment '# why502: ignore[LINT-ID] REASON' on the line of a finding, or above it, takes it away.\n\
'why502 explain LINT-ID' shows the page of a lint.";

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Term,
    /// For programs
    Json,
    /// SARIF 2.1.0, for code hosts and editors
    Sarif,
    /// GitHub's workflow commands
    Github,
}

/// Looks, prints, and mends where asked.
pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let settings = match File::find(args.settings.as_deref())? {
        Some(file) => LintSettings::of(&file)?,
        None => LintSettings::default(),
    };
    let (report, source) = look(args, &settings)?;
    if args.fix {
        return mend(args, global, &settings, report, source);
    }
    print(&report, source, args.format, global)?;
    Ok(status(&report))
}

fn status(report: &LintReport) -> ExitCode {
    ExitCode::from(u8::from(!report.findings.is_empty()))
}

/// What the lints find in what is named.
fn look(args: &Args, settings: &LintSettings) -> anyhow::Result<(LintReport, Source)> {
    let config = args.config.as_deref().or(args.file.as_deref());
    let options = lint_options(args, settings);
    if let Some(path) = config.filter(|_| args.scope.snapshot.is_none()) {
        let text = read(path)?;
        match input_of(&text) {
            Input::Main if path != Path::new("-") => {}
            _ => {
                anyhow::ensure!(
                    !args.fix || path != Path::new("-"),
                    "--fix writes to files, and standard input is none: name the file"
                );
                let path = if path == Path::new("-") {
                    path.to_owned()
                } else {
                    absolute(path)?
                };
                let report = LintReport::of_text(&path, text, Timestamp::now(), &options);
                return Ok((report, Source::File));
            }
        }
    }
    let (report, source) = match &args.scope.snapshot {
        None => {
            let probe = Mapped {
                probe: host::LiveHost::new(),
                settings,
            };
            let wanted = case_options(args, config.map(absolute).transpose()?)?;
            (collect::lint(wanted, &probe, &options), Source::Live)
        }
        Some(snapshot) => (
            recorded(args, snapshot, config, &options)?,
            Source::Snapshot,
        ),
    };
    if report.linted.is_empty() {
        anyhow::bail!(nothing(config, &report));
    }
    let source = match source {
        Source::Live if report.linted.iter().all(|linted| !linted.has_host) => Source::File,
        source => source,
    };
    Ok((report.renamed(&|path| settings.here(path)), source))
}

/// Why there is nothing to look at.
fn nothing(config: Option<&Path>, report: &LintReport) -> String {
    if let Some(gap) = report.gaps.first() {
        return super::untold(gap);
    }
    match config {
        Some(config) => format!("no nginx of the recording runs with {}", config.display()),
        None => super::diagnose::NO_NGINX.to_owned(),
    }
}

fn recorded(
    args: &Args,
    path: &Path,
    config: Option<&Path>,
    options: &LintOptions,
) -> anyhow::Result<LintReport> {
    let as_snapshot = match host::Snapshot::open(path) {
        Ok(snapshot) => {
            let mut wanted = super::capture::options_of(&snapshot);
            wanted.config = config.map(Path::to_owned).or(wanted.config);
            wanted.prefix = args.scope.prefix.clone().or(wanted.prefix);
            wanted.connect &= !args.scope.no_connect;
            return Ok(collect::lint(wanted, &snapshot, options));
        }
        Err(error) => error,
    };
    let is_other = matches!(as_snapshot.fault, host::Fault::NoManifest);
    let Some(report) = is_other.then(|| host::Sosreport::open(path).ok()).flatten() else {
        return Err(as_snapshot).context("reading the snapshot");
    };
    let mut wanted = case_options(args, config.map(Path::to_owned))?;
    wanted.now = report.captured_at();
    wanted.connect = false;
    Ok(collect::lint(wanted, &report, options))
}

fn case_options(args: &Args, config: Option<PathBuf>) -> anyhow::Result<Options> {
    Ok(Options {
        now: Timestamp::now(),
        since: Duration::from_hours(1),
        config,
        prefix: args.scope.prefix.as_deref().map(absolute).transpose()?,
        pid: None,
        error_log: None,
        connect: !args.scope.no_connect,
        handshake: false,
        request: None,
        gate: None,
        selection: None,
    })
}

fn lint_options(args: &Args, settings: &LintSettings) -> LintOptions {
    let ignored = settings.ignored.clone();
    let map = settings.path_map.clone();
    let ignores = move |path: &Path| {
        let settings = LintSettings {
            path_map: map.clone(),
            ..LintSettings::default()
        };
        let here = settings.here(path);
        ignored.iter().any(|pattern| pattern.matches_path(&here))
    };
    LintOptions {
        version: args.scope.nginx_version.or(settings.version),
        on_host: args.scope.host,
        rules: Rules {
            severities: settings.severities.clone(),
            ignores: Some(Box::new(ignores)),
        },
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    if path == Path::new("-") {
        let stdin = std::io::stdin().lock();
        stdin
            .take(LIMIT)
            .read_to_end(&mut text)
            .context("reading standard input")?;
        anyhow::ensure!(
            !text.is_empty(),
            "standard input is empty: pipe a configuration into it, as in 'nginx -T | why502 lint -'"
        );
        return Ok(text);
    }
    let file = std::fs::File::open(path)
        .with_context(|| format!("cannot read the configuration {}", path.display()))?;
    file.take(LIMIT)
        .read_to_end(&mut text)
        .with_context(|| format!("cannot read the configuration {}", path.display()))?;
    Ok(text)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("no absolute path for {}", path.display()))
}

fn print(
    report: &LintReport,
    source: Source,
    format: Format,
    global: &Global,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(anstream::AutoStream::auto(std::io::stdout().lock()));
    let base = std::env::current_dir().ok();
    let written = match format {
        Format::Term => {
            let style = report::term::Style {
                width: width(),
                verbose: global.verbose,
                quiet: global.quiet,
            };
            report::term::lints(&mut out, report, &style)
        }
        Format::Json => report::json::lints(&mut out, report, source),
        Format::Sarif => report::sarif::lints(&mut out, report, base.as_deref()),
        Format::Github => report::github::lints(&mut out, report, base.as_deref()),
    };
    match written.and_then(|()| out.flush()) {
        // Whoever read enough of it still learns the status.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// One edit may show the next: HTTP/1.1 the header that ends its connections. More rounds than this go in a circle.
const MOST_ROUNDS: usize = 5;

/// Shows the safe edits, asks, makes them, and tells what is left.
fn mend(
    args: &Args,
    global: &Global,
    settings: &LintSettings,
    mut report: LintReport,
    mut source: Source,
) -> anyhow::Result<ExitCode> {
    // What is printed on standard output may be for a program.
    let mut shown = anstream::stderr();
    for _ in 0..MOST_ROUNDS {
        let patch = fix::patch(&report)?;
        if patch.is_empty() {
            break;
        }
        let rewrites = fix::rewrites(&report)?;
        report::term::diff(&mut shown, &patch)?;
        if !args.yes && !agreed(&mut shown)? {
            writeln!(shown, "nothing more was changed")?;
            return Ok(status(&report));
        }
        fix::write(&rewrites)?;
        let files = diagnose::counted(rewrites.len(), "file");
        writeln!(
            shown,
            "changed {files}; nginx takes it with its next reload: nginx -t && nginx -s reload"
        )?;
        (report, source) = look(args, settings)?;
    }
    print(&report, source, args.format, global)?;
    Ok(status(&report))
}

fn agreed(shown: &mut impl std::io::Write) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    anyhow::ensure!(
        stdin.is_terminal(),
        "these edits were not made: there is no terminal to ask at, and --yes is not given"
    );
    write!(shown, "make these edits? [y/N] ")?;
    shown.flush()?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
