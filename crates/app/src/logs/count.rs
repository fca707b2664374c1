//! What counts a part of a log, whatever it counts.

use log::bulk::Part;

/// Counts parts of logs: one for each thread and each sort of log. What the merged ones say depends neither on which of
/// them got which part nor on the order.
pub(crate) trait Count: Send {
    /// Counts what begins in a part.
    fn count(&mut self, part: &Part<'_>);
    /// Takes over what another one counted.
    fn merge(&mut self, other: Self);
}

/// Counts nothing: for whoever only wants to see where a log ends.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Count for Nothing {
    fn count(&mut self, _: &Part<'_>) {}
    fn merge(&mut self, _: Self) {}
}

/// Lines that begin in a part.
pub(crate) fn lines_in(part: &Part<'_>) -> u64 {
    let within = &part.within;
    if within.is_empty() {
        return 0;
    }
    // A line begins behind every line feed, and where the log does.
    let before = within.start.saturating_sub(1)..within.end - 1;
    let feeds = memchr::memchr_iter(b'\n', part.text.get(before).unwrap_or_default()).count();
    feeds as u64 + u64::from(within.start == 0)
}
