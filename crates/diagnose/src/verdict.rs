//! What a judge says: a verdict with its proof and its fix. Plain data; applied and rendered elsewhere.

use std::path::PathBuf;

use facts::Exhibit;

/// A fix that is verified by asking again; the engine adds what the user named.
pub(crate) const AGAIN: &str = "why502";

/// One or more exhibits: a proof cannot be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    exhibits: Vec<Exhibit>,
}

impl Proof {
    /// A proof that begins with this exhibit.
    pub fn new(first: Exhibit) -> Self {
        Self {
            exhibits: vec![first],
        }
    }

    /// Adds an exhibit; what stands there already says nothing more.
    #[must_use]
    pub fn and(mut self, exhibit: Exhibit) -> Self {
        if !self.exhibits.contains(&exhibit) {
            self.exhibits.push(exhibit);
        }
        self
    }

    /// Adds exhibits, in order.
    #[must_use]
    pub fn with(mut self, exhibits: impl IntoIterator<Item = Exhibit>) -> Self {
        self.exhibits.extend(exhibits);
        self
    }

    /// The exhibits in the order they argue; never empty.
    pub fn exhibits(&self) -> &[Exhibit] {
        &self.exhibits
    }
}

/// A judge's answer where the evidence suffices. Where it does not, the judge returns a `Gap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This is why.
    Confirmed(Confirmation),
    /// This is not why.
    RuledOut(Proof),
}

/// A cause shown to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// One line for people: what is wrong, with both sides' addresses or names.
    pub summary: String,
    /// What shows it.
    pub proof: Proof,
    /// What mends it, the narrowest first. May be empty where only people can mend it.
    pub fixes: Vec<Fix>,
}

/// Whether a fix may be applied without a person's judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// Cannot make anything worse.
    Safe,
    /// Changes what runs: needs a person's word.
    Unsafe,
    /// Only shown; there is no way to apply it by program.
    DisplayOnly,
}

/// A plan that mends one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does, in a few words.
    pub summary: String,
    /// Whether it may be applied unasked.
    pub safety: Safety,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// The command that shows that it helped.
    pub verify: Option<String>,
}

/// One step of a fix. Only values from the configuration and the kernel stand in it, never text from a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Replace text in a configuration file.
    Edit {
        /// The file.
        file: PathBuf,
        /// Line of the replaced text, from 1.
        line: usize,
        /// The text as it stands.
        old: String,
        /// The text to stand there.
        new: String,
    },
    /// Run a program, without a shell.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// What a person has to do.
    Advice {
        /// In the imperative.
        text: String,
    },
}

impl Step {
    /// A command step.
    pub fn command<const N: usize>(argv: [&str; N]) -> Self {
        Self::Command {
            argv: argv.iter().map(|&arg| arg.to_owned()).collect(),
        }
    }
}
