//! `why502 fix`: carries the fix of a confirmed cause out, verifies it, and undoes it when it does not help.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use report::repair::{Answer, Outcome, Plan};
use report::term::Style;

use super::diagnose::Target;
use super::{Global, width};
use crate::apply::{self, Leave, Voice};

/// Which incident, and what may be done.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Repair one site, peer or incident only: a server name, an address as nginx prints it, an incident's id, or its
    /// number in the order of `why502`
    #[arg(value_name = "SITE|PEER|INCIDENT")]
    selection: Option<String>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    permission: Permission,
    /// End what an earlier run began and was kept from ending: it is verified, or taken back
    #[arg(long, conflicts_with_all = ["selection", "undo", "yes"])]
    resume: bool,
    /// Take the last fix back that was kept
    #[arg(long, conflicts_with = "selection")]
    undo: bool,
    /// Where backups and the journal are kept
    #[arg(long, value_name = "DIR", default_value = apply::STATE)]
    state: PathBuf,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What may be done unasked.
#[derive(clap::Args)]
struct Permission {
    /// Show the plan and the diff, and change nothing
    #[arg(long, conflicts_with_all = ["yes", "allow_unsafe", "resume", "undo"])]
    dry_run: bool,
    /// Ask nobody; covers only what is safe unless --allow-unsafe is given too
    #[arg(long)]
    yes: bool,
    /// With --yes: also carry out what changes what runs (edits, reloads, starts of services)
    #[arg(long, requires = "yes")]
    allow_unsafe: bool,
}

const EXIT_CODES: &str = "Exit status: 0 fixed and verified, or nothing to fix, or the plan was shown (--dry-run); \
1 not fixed: taken back (but for --undo, which ends with 0 then), declined, or for people only; 3 no cause is proven, or nothing shows yet that it helps; \
2 the tool could not do what was asked.";

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Term,
    Json,
}

/// Repairs and prints.
pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        !args.target.is_recorded(),
        "a recorded host cannot be repaired: run why502 fix on the host itself"
    );
    anyhow::ensure!(
        args.permission.dry_run || rustix::process::geteuid().is_root(),
        "a repair needs root: sudo why502 fix"
    );
    let mut voice = Terminal {
        format: args.format,
        style: Style {
            width: width(),
            verbose: global.verbose,
            quiet: global.quiet,
        },
    };
    let answers = if args.resume {
        vec![apply::resume(&args.state, &mut voice)?.unwrap_or_else(nothing)]
    } else if args.undo {
        vec![apply::undo_last(
            &args.state,
            args.permission.yes,
            &mut voice,
        )?]
    } else {
        let selection = args.selection.as_deref();
        let number = selection.and_then(|text| text.parse::<usize>().ok());
        let selection = selection.filter(|_| number.is_none());
        let (mut diagnosis, options) = args.target.diagnose_live(selection)?;
        if let Some(number) = number {
            let count = diagnosis.incidents.len();
            let chosen = number
                .checked_sub(1)
                .and_then(|idx| diagnosis.incidents.get(idx).cloned());
            diagnosis.incidents = vec![chosen.ok_or_else(|| {
                anyhow::anyhow!("there is no incident {number}: why502 tells of {count}")
            })?];
        }
        let leave = Leave {
            dry_run: args.permission.dry_run,
            yes: args.permission.yes,
            allow_unsafe: args.permission.allow_unsafe,
        };
        apply::fix(&diagnosis, &options, leave, &args.state, &mut voice)?
    };
    match voice.end(&answers) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(status(&answers, args.undo))
}

fn nothing() -> Answer {
    Answer {
        plan: None,
        of: None,
        outcome: Outcome::Nothing,
    }
}

/// The worst of all answers. What was to be taken back, and is, is well.
fn status(answers: &[Answer], is_undo: bool) -> ExitCode {
    let code = |answer: &Answer| match answer.outcome {
        Outcome::Undone { .. } if is_undo => 0,
        Outcome::Planned | Outcome::Fixed(_) | Outcome::Nothing => 0,
        Outcome::Undone { .. }
        | Outcome::Stuck { .. }
        | Outcome::Declined(_)
        | Outcome::Unfit(_) => 1,
        Outcome::Unverified(_) | Outcome::Unproven => 3,
    };
    let codes: Vec<u8> = answers.iter().map(code).collect();
    let worst = [1, 3].into_iter().find(|code| codes.contains(code));
    ExitCode::from(worst.unwrap_or(0))
}

/// Tells people on standard output as it goes on; programs get one answer at the end.
struct Terminal {
    format: Format,
    style: Style,
}

impl Terminal {
    fn out() -> anstream::AutoStream<io::StdoutLock<'static>> {
        anstream::AutoStream::auto(io::stdout().lock())
    }

    fn end(&self, answers: &[Answer]) -> io::Result<()> {
        let mut out = Self::out();
        match self.format {
            Format::Json => report::json::repairs(&mut out, answers)?,
            Format::Term => {
                for answer in answers {
                    report::term::outcome(&mut out, answer, &self.style)?;
                }
            }
        }
        out.flush()
    }
}

impl Voice for Terminal {
    fn plan(&mut self, plan: &Plan) {
        if self.format == Format::Term {
            // Nobody reads any more: the repair goes on.
            drop(report::term::plan(&mut Self::out(), plan, &self.style));
        }
    }

    fn agrees(&mut self, what: &str) -> Result<bool, String> {
        if !io::stdin().is_terminal() {
            return Err(
                "nobody can be asked here: add --yes (and --allow-unsafe, to repair)".to_owned(),
            );
        }
        let what = report::text::visible(what).into_owned();
        let mut out = io::stderr();
        let asked = write!(out, "\nShall why502 {what}? [y/N] ").and_then(|()| out.flush());
        drop(asked);
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        Ok(read.is_ok() && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    fn progress(&mut self, text: &str, is_done: bool) {
        if self.format == Format::Term && !self.style.quiet {
            drop(report::term::progress(&mut Self::out(), text, is_done));
        }
    }
}
