//! Physical lines become records: what nginx wrote with one `write()`.
//!
//! A line without a head continues the one before. Records lie side by side and cover the input exactly.

use super::Head;

/// One record of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its bytes, the last line feed included if it has one.
    pub bytes: &'a [u8],
    /// Where it begins, counted from the start of the input.
    pub offset: u64,
    /// How many physical lines it has.
    pub line_count: u32,
}

/// Iterates over the records of a whole text.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Records<'a> {
    /// The records of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            offset: 0,
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut length = line_length(self.rest);
        let mut line_count = 1;
        while let Some(rest) = self.rest.get(length..).filter(|rest| !rest.is_empty()) {
            if begins(rest) {
                break;
            }
            length += line_length(rest);
            line_count += 1;
        }
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        let record = Record {
            bytes,
            offset: self.offset,
            line_count,
        };
        self.rest = rest;
        self.offset += length as u64;
        Some(record)
    }
}

fn line_length(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).map_or(text.len(), |at| at + 1)
}

/// Whether a physical line begins a record.
fn begins(line: &[u8]) -> bool {
    // The year's first digit rejects almost every continuation line.
    line.first().is_some_and(u8::is_ascii_digit) && Head::parse(line).is_some()
}
