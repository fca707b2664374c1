//! What `why502 fix` would do and what it did, as plain data for every format. Filled in by whoever does it.

use std::path::PathBuf;

/// A plan, as it is shown before it is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The incident's id.
    pub incident: String,
    /// The peer, as nginx prints it.
    pub peer: String,
    /// The cause that was confirmed.
    pub cause: &'static str,
    /// What is wrong.
    pub wrong: String,
    /// What the fix does.
    pub summary: String,
    /// Whether it may be carried out unasked.
    pub safety: diagnose::Safety,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// How it is told whether it helped.
    pub verify: Vec<String>,
    /// What is left to do afterwards.
    pub remarks: Vec<String>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub kind: StepKind,
    /// How it is taken back; empty where nothing is changed.
    pub undo: String,
    /// What whoever agrees has to know, such as who else writes the file.
    pub notes: Vec<String>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A file is put in place anew.
    Edit {
        /// The file, links resolved.
        file: PathBuf,
        /// As it stands.
        old: String,
        /// As it will stand.
        new: String,
    },
    /// nginx tests the configuration.
    Test {
        /// The command, as a person would type it.
        argv: Vec<String>,
    },
    /// nginx takes the configuration.
    Reload {
        /// The command, as a person would type it.
        argv: Vec<String>,
    },
    /// A program is run.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Only shown.
    Planned,
    /// Done, and shown to help by this.
    Fixed(String),
    /// Done; nothing shows yet whether it helps, for this reason.
    Unverified(String),
    /// It did not help, for this reason; everything is back as it was, as this shows.
    Undone {
        /// Why.
        why: String,
        /// What shows that it is back.
        back: String,
    },
    /// It did not help, or could not be finished, and not everything could be taken back.
    Stuck {
        /// What happened.
        why: String,
        /// What is left, with what to do.
        left: Vec<String>,
    },
    /// Whoever was asked said no, or nobody could be asked.
    Declined(String),
    /// No fix of this incident can be carried out by program, for these reasons.
    Unfit(Vec<String>),
    /// No cause is proven: nothing is changed on a guess.
    Unproven,
    /// Nothing fails.
    Nothing,
}

impl Outcome {
    /// Its name for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Fixed(_) => "fixed",
            Self::Unverified(_) => "unverified",
            Self::Undone { .. } => "undone",
            Self::Stuck { .. } => "stuck",
            Self::Declined(_) => "declined",
            Self::Unfit(_) => "not-applicable",
            Self::Unproven => "unproven",
            Self::Nothing => "nothing-to-fix",
        }
    }
}

/// What came of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The plan, where there was one.
    pub plan: Option<Plan>,
    /// The incident, the peer and what is wrong there, where there was no plan.
    pub of: Option<(String, String)>,
    /// How it ended.
    pub outcome: Outcome,
}
