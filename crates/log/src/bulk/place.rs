//! Where one is in a log: which line is the first to look at, what time it is, and what stands near.
//!
//! All of it is the same however the log is cut into parts.

use std::ops::Range;

use memchr::memchr;
use memchr::memmem::Finder;

use super::line::Start;
use super::{AHEAD, BACK, LONGEST, Part};
use crate::LocalTime;
use crate::error::{self, Carrier, LIMITS, records};

/// Reads times, most of which are the last one again.
#[derive(Default)]
pub(super) struct Clock {
    text: [u8; LocalTime::LENGTH],
    seconds: i64,
}

impl Clock {
    pub(super) fn read(&mut self, line: &[u8]) -> Option<i64> {
        let text: &[u8; LocalTime::LENGTH] = line.first_chunk()?;
        if *text != self.text {
            self.seconds = LocalTime::parse(text)?.seconds();
            self.text = *text;
        }
        Some(self.seconds)
    }
}

/// The line with a time before another one.
#[derive(Clone, Copy)]
pub(super) struct Last {
    pub(super) seconds: i64,
    pub(super) at: usize,
}

impl Last {
    /// Whether it is seen from there however the log is cut.
    pub(super) fn is_near(&self, at: usize) -> bool {
        at - self.at <= records::AHEAD
    }
}

/// A head that was read.
#[derive(Clone, Copy)]
pub(super) struct Started {
    pub(super) seconds: i64,
    pub(super) start: Start,
}

/// Where the next `%0a` stands: near one, a line may stand inside an earlier one's path.
pub(super) struct Encoded<'t> {
    finder: Finder<'static>,
    text: &'t [u8],
    next: usize,
}

impl<'t> Encoded<'t> {
    pub(super) fn new(text: &'t [u8], from: usize) -> Self {
        let mut encoded = Self {
            finder: Finder::new(b"%0"),
            text,
            next: from,
        };
        encoded.seek(from);
        encoded
    }

    pub(super) fn seek(&mut self, from: usize) {
        let mut at = from;
        self.next = loop {
            let rest = self.text.get(at..).unwrap_or_default();
            let Some(found) = self.finder.find(rest) else {
                break usize::MAX;
            };
            at += found;
            if matches!(self.text.get(at + 2), Some(b'a' | b'A')) {
                break at;
            }
            at += 2;
        };
    }

    /// Whether none begins in `from..to`; asked with a growing `from`.
    pub(super) fn is_none_in(&mut self, from: usize, to: usize) -> bool {
        if self.next < from {
            self.seek(from);
        }
        self.next >= to
    }
}

/// Whether nginx may have cut a write that began with this line at the end of a later one.
pub(super) fn may_be_cut(text: &[u8], at: usize, end: usize) -> bool {
    LIMITS.iter().any(|limit| {
        let cut = at + limit;
        cut >= end && (cut == text.len() || text.get(cut - 1) == Some(&b'\n'))
    })
}

/// The first line to look at, so that all is known of those in `within`: the last one with a head before what may reach
/// into it. None where nothing begins there.
pub(super) fn first_line(text: &[u8], within: &Range<usize>, carrier: Carrier) -> Option<usize> {
    let until = within.start.saturating_sub(records::AHEAD);
    if let Some(at) = records::last_head_carried(text, 0..until, carrier) {
        return Some(at);
    }
    if within.start < BACK {
        // The log begins here.
        return Some(0);
    }
    // No head for so long: what began before reaches nothing in the part.
    let line = until + memchr(b'\n', text.get(until..)?)? + 1;
    (line < within.end).then_some(line)
}

/// The text that containers' and the journal's lines carry, with where the part is in it; none where nothing is to be
/// taken off.
pub(super) fn unwrapped(part: &Part<'_>, carrier: Carrier) -> Option<(Vec<u8>, Range<usize>)> {
    let is_wrapped = matches!(
        carrier,
        Carrier::DockerJson | Carrier::JournalJson | Carrier::Cri | Carrier::Compose
    );
    if !is_wrapped {
        return None;
    }
    let line_from = |from: usize| {
        if from == 0 {
            return 0;
        }
        let rest = part.text.get(from - 1..).unwrap_or_default();
        memchr(b'\n', rest).map_or(part.text.len(), |at| from + at)
    };
    let (start, end) = (line_from(part.within.start), line_from(part.within.end));
    // What stands before the first whole line belongs to one that began earlier.
    let first = if part.within.start >= BACK {
        line_from(1)
    } else {
        0
    };
    let mut text = error::unwrap_lines(part.text.get(first..start).unwrap_or_default(), carrier);
    let from = text.len();
    text.extend(error::unwrap_lines(
        part.text.get(start..end).unwrap_or_default(),
        carrier,
    ));
    let to = text.len();
    text.extend(error::unwrap_lines(
        part.text.get(end..).unwrap_or_default(),
        carrier,
    ));
    Some((text, from..to))
}

/// What [`AHEAD`] is for: a line that begins at a part's end must be seen up to [`LONGEST`], and what may follow it.
const _: () = assert!(AHEAD >= LONGEST + records::AHEAD && BACK >= LONGEST + records::AHEAD);
