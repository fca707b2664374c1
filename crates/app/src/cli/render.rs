//! `why502 render`: files made from `why502.toml`, or how they have drifted from it.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use diagnose::Options;
use host::Change;
use jiff::Timestamp;

use super::Global;
use crate::render::told::{HIDES, Loudness, Told};
use crate::render::{self, Compared, Memory, State};
use crate::settings::{self, Settings};

/// Some file is not as the settings ask for.
const DRIFT: u8 = 1;

/// What to render, and where.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Write nothing: show how the files have drifted, and end with 1 if they have
    #[arg(long, conflicts_with = "force")]
    check: bool,
    /// The settings [default: why502.toml here, else /etc/why502.toml]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Write beneath this directory, as if it were /
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    root: PathBuf,
    /// Begin the settings from a host that runs: what nginx dials, and what listens there; `--settings -` prints them
    #[arg(long, conflicts_with = "check")]
    import: bool,
    #[command(flatten)]
    host: Host,
    /// Also overwrite files that render did not make, and remove left-over ones that were edited
    #[arg(long)]
    force: bool,
    /// How to print what was written or has drifted
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Whose settings are begun.
#[derive(clap::Args)]
struct Host {
    /// Import from what `why502 capture` wrote instead of from this host
    #[arg(long, value_name = "FILE", requires = "import")]
    snapshot: Option<PathBuf>,
    /// Import what the nginx that runs this main configuration file dials
    #[arg(long, value_name = "FILE", requires = "import")]
    config: Option<PathBuf>,
}

const EXIT_CODES: &str = "Exit status: 0 all files are as the settings ask for (now), 1 --check found drift, 2 the tool \
could not do what was asked. What has to be reloaded is said, never run.";

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Term,
    Json,
}

/// Renders, or checks.
pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    if args.import {
        return import(args, global);
    }
    let file = settings::find(args.settings.as_deref())?;
    let settings = Settings::read(&file)?;
    let root = std::path::absolute(&args.root)
        .with_context(|| format!("no absolute path for {}", args.root.display()))?;
    anyhow::ensure!(
        root.is_dir(),
        "{} is no directory: make it, or name another with --root DIR",
        root.display()
    );
    let planned = render::plan(&settings)?;
    let _lock = (!args.check).then(|| Memory::lock(&root)).transpose()?;
    let mut memory = Memory::read(&root)?;
    let files = render::compare(planned, &memory, &file, &root)?;
    let written = if args.check {
        None
    } else {
        if !args.force {
            refuse(&files)?;
        }
        Some(render::write(
            &Change::new(),
            &files,
            &mut memory,
            &file,
            &root,
        )?)
    };
    let told = Told {
        settings: &file,
        root: &root,
        files: &files,
        written: written.as_deref(),
    };
    print(args, global, &told)?;
    let is_drift = args.check && files.iter().any(|file| file.state.is_drift());
    Ok(ExitCode::from(if is_drift { DRIFT } else { 0 }))
}

/// Begins the settings.
fn import(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let inventory = match &args.host.snapshot {
        None => render::import::inventory(options(args, Timestamp::now())?, &host::LiveHost::new()),
        Some(path) => {
            let snapshot = host::Snapshot::open(path).context("reading the snapshot")?;
            render::import::inventory(options(args, snapshot.captured_at())?, &snapshot)
        }
    };
    if inventory.dialled.is_empty() {
        let why = inventory.gaps.first().map_or_else(
            || "no nginx here dials anything: name its configuration with --config FILE".to_owned(),
            |gap| format!("cannot tell {}: {}", gap.missing, gap.why),
        );
        anyhow::bail!("nothing to begin the settings from: {why}");
    }
    let (text, n_applications) = render::import::text(&inventory);
    let to = args
        .settings
        .clone()
        .unwrap_or_else(|| PathBuf::from("why502.toml"));
    if to.as_os_str() == "-" {
        anstream::stdout().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    begin(&to, &text, args.force)?;
    if !global.quiet {
        writeln!(
            anstream::stdout(),
            "{}: {}; read it, then: why502 render --check",
            report::text::visible(&to.to_string_lossy()),
            diagnose::counted(n_applications, "application")
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the settings, and over none that are there.
fn begin(to: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(to).with_context(|| {
        format!("cannot begin {} (--force overwrites; --settings FILE names another; --settings - prints)", to.display())
    })?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", to.display()))
}

fn options(args: &Args, now: Timestamp) -> anyhow::Result<Options> {
    let config = args.host.config.as_ref().map(std::path::absolute);
    Ok(Options {
        now,
        since: Duration::from_hours(1),
        config: config.transpose()?,
        prefix: None,
        pid: None,
        error_log: None,
        connect: false,
        handshake: false,
        request: None,
        gate: None,
        selection: None,
    })
}

/// Nothing is written while a file stands in the way that is not render's.
fn refuse(files: &[Compared]) -> anyhow::Result<()> {
    let refused: Vec<String> = files
        .iter()
        .filter(|file| file.state.is_refused())
        .map(|file| {
            let why = match file.state {
                State::LeftOverEdited => "nothing asks for it any more, and it was edited by hand",
                State::OfOthers => "it was made from other settings",
                State::Hides => HIDES,
                _ => "it was not made by why502 render",
            };
            format!("{}: {why}", file.place.display())
        })
        .collect();
    anyhow::ensure!(
        refused.is_empty(),
        "nothing is written: {}; move it away, give the output another path, or use --force",
        refused.join("; ")
    );
    Ok(())
}

fn print(args: &Args, global: &Global, told: &Told<'_>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(anstream::AutoStream::auto(std::io::stdout().lock()));
    let loudness = Loudness {
        is_quiet: global.quiet,
        is_verbose: global.verbose > 0,
    };
    let printed = match args.format {
        Format::Term => told.term(&mut out, loudness),
        Format::Json => told.json(&mut out),
    };
    match printed.and_then(|()| out.flush()) {
        // Whoever read enough of it still learns the status.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
