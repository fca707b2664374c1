//! Incidents, cases and verdicts: why nginx answers 502 or 504, proven from evidence.
//!
//! Pure: a [`Case`] is fed with records and says which more it wants ([`Case::plan`]); [`Case::conclude`] judges every
//! cause for every incident. No I/O, no clock, no environment, no printing.
#![warn(
    clippy::disallowed_methods,
    reason = "a diagnosis is made from records alone"
)]

mod allow;
pub mod case;
pub mod causes;
pub mod diagnosis;
mod engine;
pub mod explain;
#[cfg(test)]
mod fixture;
pub mod gate;
pub mod incident;
pub mod inventory;
pub mod lints;
pub mod logs;
mod page;
pub mod repair;
mod selinux;
mod tie;
pub mod verdict;

pub use case::{Case, Options, Selection};
pub use causes::{Cause, Stage};
pub use diagnosis::{
    Asked, CauseVerdict, Diagnosis, Hop, Impact, InstanceSummary, Judged, Judgement, Logged,
    Master, Moment, RunningConfig, Standing, Window,
};
pub use facts::{
    Answer, ConfSpan, Exhibit, Gap, GapKind, PeerAddress, Probe, ProbeRequest, Record, Url, count,
    counted,
};
pub use gate::{Gate, GateOptions, GateOutcome, GatePeer, GateTrouble, Role};
pub use incident::{Incident, Origin, Requests};
pub use inventory::Inventory;
pub use lints::{Finding, Lint, LintOptions, LintReport, Severity};
pub use verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};
