//! Lists of the most frequent values, and numbers of distinct ones, in bounded memory.

/// The most frequent values of something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Value and how often, the most first; values that come equally often in their own order.
    pub values: Vec<(Vec<u8>, u64)>,
    /// Each count may be too low by as much: 0 where all is exact.
    pub error: u64,
}

/// How many distinct values there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many.
    pub count: u64,
    /// It is an estimate, within 5 of a hundred.
    pub is_estimate: bool,
}
