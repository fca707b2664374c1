//! A fix as a typed plan: what is written, run and put into force, in order, and how each of it is undone.
//!
//! Plain data and pure text: nothing here touches a host. A step that is not known here has no way to be run.

mod command;
mod hunk;

use std::path::PathBuf;

pub use command::{Command, Undo, handle_of};
pub use hunk::{Hunk, Misfit, edited};

use crate::verdict::{Fix, Safety, Step};

/// What carries a fix out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// In order; never empty.
    pub acts: Vec<Act>,
    /// What a person has to do afterwards to make it last, or could do in its place.
    pub remarks: Vec<String>,
}

/// One act of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Change places of one file, all at once.
    Write {
        /// The file, as nginx names it.
        file: PathBuf,
        /// The changes, each of its own place.
        hunks: Vec<Hunk>,
    },
    /// Have nginx test the configuration on disk.
    Test {
        /// How it is tested where no nginx runs; else with the running master's own program and options.
        argv: Vec<String>,
    },
    /// Have the running nginx take it.
    Reload {
        /// The unit that its master runs in; without one the master is told by signal.
        unit: Option<String>,
    },
    /// Run a program.
    Run(Command),
}

/// Why a fix cannot be carried out by program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is a matter of judgement.
    #[error("it is for people: {0}")]
    ShownOnly(String),
    /// Its commands are right only once a person has done something.
    #[error("it begins with what a person has to do: {0}")]
    PersonFirst(String),
    /// A command that is not known to be undone.
    #[error("there is no way back from `{0}`: run it by hand")]
    NoWayBack(String),
}

impl Repair {
    /// The plan of a fix.
    pub fn of(fix: &Fix) -> Result<Self, Unfit> {
        let advice = |steps: &[Step]| -> Vec<String> {
            steps
                .iter()
                .filter_map(|step| match step {
                    Step::Advice { text } => Some(text.clone()),
                    Step::Edit { .. } | Step::Command { .. } => None,
                })
                .collect()
        };
        if fix.safety == Safety::DisplayOnly {
            return Err(Unfit::ShownOnly(fix.summary.clone()));
        }
        let acting = fix
            .steps
            .iter()
            .rposition(|step| !matches!(step, Step::Advice { .. }));
        let Some(last) = acting else {
            return Err(Unfit::ShownOnly(fix.summary.clone()));
        };
        let (steps, after) = fix.steps.split_at(last + 1);
        let before = advice(steps);
        let mut acts = Vec::new();
        for step in steps {
            match step {
                Step::Edit {
                    file,
                    line,
                    old,
                    new,
                } => write(&mut acts, file, Hunk::new(*line, old, new)),
                Step::Command { argv } => {
                    let act = of_command(argv, acts.last())?;
                    acts.push(act);
                }
                Step::Advice { .. } => {}
            }
        }
        if !acts.iter().any(Act::changes) {
            return Err(Unfit::ShownOnly(fix.summary.clone()));
        }
        // nginx's own test stands before a reload: what people are told there is no condition of it.
        let is_reload_alone = acts
            .iter()
            .all(|act| matches!(act, Act::Test { .. } | Act::Reload { .. }));
        if let Some(first) = before.first().filter(|_| !is_reload_alone) {
            return Err(Unfit::PersonFirst(first.clone()));
        }
        Ok(Self {
            acts,
            remarks: [before, advice(after)].concat(),
        })
    }

    /// The files that it writes.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.acts.iter().filter_map(|act| match act {
            Act::Write { file, .. } => Some(file),
            Act::Test { .. } | Act::Reload { .. } | Act::Run(_) => None,
        })
    }
}

impl Act {
    /// Whether the host is another one after it.
    pub fn changes(&self) -> bool {
        !matches!(self, Self::Test { .. })
    }
}

/// Adds a change to the act that writes its file. A file is written once, so that no state between two changes of it
/// is ever on disk.
fn write(acts: &mut Vec<Act>, file: &PathBuf, hunk: Hunk) {
    let known = acts.iter_mut().find_map(|act| match act {
        Act::Write { file: known, hunks } if known == file => Some(hunks),
        _ => None,
    });
    match known {
        Some(hunks) => hunks.push(hunk),
        None => acts.push(Act::Write {
            file: file.clone(),
            hunks: vec![hunk],
        }),
    }
}

/// The act of a command, which may hang on the one before it.
fn of_command(argv: &[String], before: Option<&Act>) -> Result<Act, Unfit> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["nginx", .., "-s", "reload"] => Ok(Act::Reload { unit: None }),
        ["nginx", rest @ ..] if rest.contains(&"-t") => Ok(Act::Test {
            argv: argv.to_owned(),
        }),
        // A unit that is reloaded once nginx has tested its configuration is nginx's own.
        ["systemctl", "reload", unit] if matches!(before, Some(Act::Test { .. })) => {
            Ok(Act::Reload {
                unit: Some((*unit).to_owned()),
            })
        }
        _ => Command::known(argv)
            .map(Act::Run)
            .ok_or_else(|| Unfit::NoWayBack(argv.join(" "))),
    }
}

#[cfg(test)]
mod tests;
