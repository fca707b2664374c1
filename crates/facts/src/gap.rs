//! What could not be learned, why, and how to learn it.

use std::borrow::Cow;

/// Why a fact is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GapKind {
    /// Asked for just now: the next round of collecting answers it. Never reaches a report.
    Pending,
    /// The host does not have it: no such file, program or service.
    Absent,
    /// Rights are lacking.
    Denied,
    /// A snapshot that does not hold it.
    NotRecorded,
    /// Nothing was sent because the user asked for that, or the bound of collecting was reached.
    NotAsked,
    /// What is known holds now but is not known to have held when it failed.
    TooLate,
    /// The evidence is there and decides nothing.
    Undecided,
}

/// A fact that could not be learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why, as a kind.
    pub kind: GapKind,
    /// What is missing, such as `firewall rules`.
    pub missing: Cow<'static, str>,
    /// Why, for people, such as `needs root`.
    pub why: Cow<'static, str>,
    /// The command that would tell, made only of text from the configuration or the kernel.
    pub learn: Option<Cow<'static, str>>,
    /// What leans towards the cause all the same: becomes a hint, never a verdict.
    pub leaning: Option<Cow<'static, str>>,
}

impl Gap {
    /// A gap of this kind.
    pub fn new(
        kind: GapKind,
        missing: impl Into<Cow<'static, str>>,
        why: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind,
            missing: missing.into(),
            why: why.into(),
            learn: None,
            leaning: None,
        }
    }

    /// The evidence is there and decides nothing.
    pub fn undecided(
        missing: impl Into<Cow<'static, str>>,
        why: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(GapKind::Undecided, missing, why)
    }

    /// True now, not known to have been true when it failed.
    pub fn too_late(
        missing: impl Into<Cow<'static, str>>,
        why: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(GapKind::TooLate, missing, why)
    }

    /// Names the command that would tell.
    #[must_use]
    pub fn learn(mut self, command: impl Into<Cow<'static, str>>) -> Self {
        self.learn = Some(command.into());
        self
    }

    /// Says what leans towards the cause all the same.
    #[must_use]
    pub fn leaning(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.leaning = Some(hint.into());
        self
    }
}
