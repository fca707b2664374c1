//! `why502 explain`: what a pasted text says, or the page of a cause. Needs no host.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;
use diagnose::causes::{self, Cause};
use diagnose::explain::{self, Explanation};

use super::{Global, width};

/// A paste is short; of a whole log the start tells, and `why502 logs` reads the rest.
const LIMIT: u64 = 16 << 20;

/// What to explain.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A line of an error log, a file of them, '-' for standard input, or a cause's id; without one, all ids are listed
    #[arg(value_name = "LINE|FILE|-|CAUSE-ID")]
    what: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Term,
    /// For programs
    Json,
}

/// Explains.
pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    match args.what.as_deref() {
        None => list(args.format)?,
        Some(id) if causes::by_id(id).is_some() => page(id, args.format, global)?,
        Some(what) => {
            let explanation = explain::explain(&text(what)?);
            anyhow::ensure!(!explanation.lines.is_empty(), nothing(&explanation));
            print(&explanation, args.format, global)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The text that is meant: standard input, a file's, or the argument itself.
fn text(what: &str) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    if what == "-" {
        let stdin = std::io::stdin().lock();
        stdin
            .take(LIMIT)
            .read_to_end(&mut text)
            .context("reading standard input")?;
        return Ok(text);
    }
    let path = Path::new(what);
    if path.exists() {
        let file = File::open(path).with_context(|| format!("opening {what}"))?;
        file.take(LIMIT)
            .read_to_end(&mut text)
            .with_context(|| format!("reading {what}"))?;
        return Ok(text);
    }
    let is_word = !what.contains(char::is_whitespace);
    anyhow::ensure!(
        !is_word,
        "there is no cause and no file '{what}': why502 explain lists the causes; a pasted line needs quotes"
    );
    Ok(what.as_bytes().to_vec())
}

/// Why there is no answer, and what would be one.
fn nothing(explanation: &Explanation) -> String {
    let expected = "expected a line of nginx's error log, such as 'connect() failed (111: Connection refused) while connecting to upstream'";
    match (explanation.other.first(), explanation.remarks.first()) {
        (Some((class, _)), _) => format!(
            "no failure of an upstream is told here: nginx's line is about something else ({class}); {expected}"
        ),
        (None, Some(remark)) => {
            format!(
                "{}, but no line says how nginx failed; {expected}",
                remark.says
            )
        }
        (None, None) => format!("no line of nginx's found; {expected}"),
    }
}

fn list(format: Format) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match format {
        Format::Json => report::json::causes(&mut out, causes::ALL)?,
        Format::Term => {
            let longest = causes::ALL
                .iter()
                .map(|cause| cause.id.len())
                .max()
                .unwrap_or(0);
            for cause in causes::ALL {
                writeln!(out, "{:<longest$}  {}", cause.id, cause.title())?;
            }
        }
    }
    Ok(())
}

fn page(id: &str, format: Format, global: &Global) -> anyhow::Result<()> {
    let cause: &Cause = causes::by_id(id).context("a known id")?;
    let mut out = anstream::stdout().lock();
    match format {
        Format::Json => report::json::causes(&mut out, &[cause])?,
        Format::Term => report::term::cause(&mut out, cause, &style(global))?,
    }
    Ok(())
}

fn print(explanation: &Explanation, format: Format, global: &Global) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match format {
        Format::Json => report::json::explanation(&mut out, explanation)?,
        Format::Term => report::term::explanation(&mut out, explanation, &style(global))?,
    }
    Ok(())
}

fn style(global: &Global) -> report::term::Style {
    report::term::Style {
        width: width(),
        verbose: global.verbose,
        quiet: global.quiet,
    }
}
