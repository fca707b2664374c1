//! The command line: one file a subcommand.

mod capture;
mod diagnose;
mod explain;
mod fix;
mod gate;
mod lint;
mod logs;
mod render;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// The tool could not do what was asked.
const FAILED: u8 = 2;

/// Says why nginx answers 502 or 504, proves it, and gives the fix. Reads only; without arguments it looks at the nginx
/// that runs here.
#[derive(Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    diagnose: diagnose::Args,
    #[command(flatten)]
    global: Global,
}

const EXIT_CODES: &str = "Exit status of a diagnosis: 0 no ongoing incident, 1 ongoing and every cause confirmed, \
3 ongoing and some cause not proven, 2 the tool could not do what was asked.";

#[derive(Subcommand)]
enum Command {
    /// The verdict for this host, or for one site, peer or incident of it (the same as no command)
    Diagnose(diagnose::Args),
    /// Records a snapshot: a diagnosis can be repeated from it anywhere and any time later
    Capture(capture::Args),
    /// Carries the fix of a confirmed cause out: shows it, asks, verifies it, and undoes it when it does not help
    Fix(fix::Args),
    /// Before a reload or after a deploy: asks every peer of a configuration as nginx would, and refuses what fails
    Gate(gate::Args),
    /// What a pasted line or excerpt says, and what can stand behind it; or the page of a cause
    Explain(explain::Args),
    /// What in a configuration will lead to 502 or 504, or hides why; --fix mends what is safe to mend
    Lint(lint::Args),
    /// What whole logs tell, of any number and length: what failed, when, how often and for whom
    Logs(logs::Args),
    /// Files made from why502.toml, the one place where listen addresses are said; or how they have drifted from it
    Render(render::Args),
}

/// Flags of every command.
#[derive(clap::Args)]
pub(crate) struct Global {
    /// Colours: on a terminal, always or never
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
    /// Say more; twice says what is asked of the host
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say only the verdicts
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// Runs the command line to its exit status.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    cli.global.color.apply();
    trace(cli.global.verbose);
    let result = match &cli.command {
        None => diagnose::run(&cli.diagnose, &cli.global),
        Some(Command::Diagnose(args)) => diagnose::run(args, &cli.global),
        Some(Command::Capture(args)) => capture::run(args, &cli.global),
        Some(Command::Gate(args)) => gate::run(args, &cli.global),
        Some(Command::Explain(args)) => explain::run(args, &cli.global),
        Some(Command::Fix(args)) => fix::run(args, &cli.global),
        Some(Command::Lint(args)) => lint::run(args, &cli.global),
        Some(Command::Logs(args)) => logs::run(args, &cli.global),
        Some(Command::Render(args)) => render::run(args, &cli.global),
    };
    result.unwrap_or_else(|error| failure(&error))
}

impl Color {
    fn apply(self) {
        match self {
            Self::Auto => {}
            Self::Always => anstream::ColorChoice::Always.write_global(),
            Self::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}

/// Prints help to stdout, and wrong usage to stderr.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is no reason to say more.
    let printed = error.print();
    drop(printed);
    match error.kind() {
        clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion => {
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(FAILED),
    }
}

/// That something could not be learned, where there is no answer without it.
fn untold(gap: &::diagnose::Gap) -> String {
    let learn = gap.learn.iter().map(|learn| format!(": {learn}"));
    format!(
        "cannot tell {}: {}{}",
        gap.missing,
        gap.why,
        learn.collect::<String>()
    )
}

/// Whether nobody reads any more: no failure of ours.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn failure(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    // The text may quote a path or a file.
    let text = format!("{error:#}");
    let printed = writeln!(
        anstream::stderr(),
        "why502: {}",
        report::text::visible(&text)
    );
    drop(printed);
    ExitCode::from(FAILED)
}

fn trace(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::fmt::format::FmtSpan;
    let filter = match verbose {
        0 | 1 => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off")),
        _ => EnvFilter::new("why502=debug,why502_host=debug"),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}

/// Columns of the terminal; 80 where there is none.
fn width() -> usize {
    let from_terminal = || {
        rustix::termios::tcgetwinsize(io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_col))
    };
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .or_else(from_terminal);
    columns
        .filter(|&columns| columns >= 40)
        .unwrap_or(80)
        .min(120)
}
