//! `why502 explain`: the page of a cause.

use std::io::Write as _;
use std::process::ExitCode;

use diagnose::causes;

use super::{Global, width};

/// Which cause.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The cause's id, as a diagnosis shows it; without one, all ids are listed
    #[arg(value_name = "CAUSE-ID")]
    cause: Option<String>,
}

/// Prints a page, or the list.
pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    match &args.cause {
        None => {
            for cause in causes::ALL {
                writeln!(out, "{:<28} {}", cause.id, cause.title())?;
            }
        }
        Some(id) => {
            let cause = causes::by_id(id).ok_or_else(|| {
                anyhow::anyhow!("there is no cause '{id}': why502 explain lists them all")
            })?;
            let style = report::term::Style {
                width: width(),
                verbose: global.verbose,
                quiet: global.quiet,
            };
            report::term::cause(&mut out, cause, &style)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
