//! Whole logs, counted in one pass at the speed of the memory.
//!
//! A log is counted in [`Part`]s, in any order and by any number of threads; counters are then merged. What comes out
//! depends on neither. Memory does not grow with the log: what a client can make more of is kept in bounded lists that say
//! when they became estimates; incidents, minutes and failures are exact.

mod access;
mod error;
mod incident;
mod line;
mod percentiles;
mod place;
mod span;
#[cfg(test)]
mod tests;
mod top;

use std::ops::Range;

use crate::LocalTime;
use crate::error::{Class, Protocol, Seen as Outcome, While};

pub use access::{AccessCounted, AccessCounter, AccessPeer};
pub use error::{ErrorCounted, ErrorCounter, INCIDENTS_KEPT};
pub use incident::{CountedIncident, Kind};
pub use top::{Distinct, Seen, Top, TopCounter};

/// So much of what stands before a part must be in its text, where the log begins no later.
pub const BACK: usize = 64 << 10;
/// So much of what stands behind a part must be in its text, where the log ends no sooner.
pub const AHEAD: usize = 64 << 10;
/// What is longer counts as one line, of which only so much is looked at.
pub const LONGEST: usize = 56 << 10;

/// So many values of a list are given out.
const TOP_GIVEN: usize = 50;

/// A part of a log, with what stands around it.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The part, with [`BACK`] before and [`AHEAD`] behind it, as far as there is so much.
    pub text: &'a [u8],
    /// Where in `text` the part is: what begins in here is counted.
    pub within: Range<usize>,
}

/// Which lines are counted. The default is all.
#[derive(Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Not those before, by the log's own clock.
    pub from: Option<LocalTime>,
    /// Not those of this second or later.
    pub until: Option<LocalTime>,
    /// Only failures of which this is true: asked once for each kind of failure, server and peer.
    pub failure: Option<&'a (dyn Fn(&Failure<'_>) -> bool + Sync)>,
}

/// A kind of failure, for whoever chooses among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// What failed.
    pub class: Class,
    /// The errno, as printed.
    pub errno: Option<u16>,
    /// What nginx was doing.
    pub action: Option<While>,
    /// How nginx spoke to the peer.
    pub protocol: Option<Protocol>,
    /// The peer, as nginx prints it; empty where the line names none.
    pub peer: &'a [u8],
    /// The server's first name; empty where the line names none.
    pub server: &'a [u8],
    /// What the client saw, if it was the request's last attempt.
    pub outcome: Outcome,
}
