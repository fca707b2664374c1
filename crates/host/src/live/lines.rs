//! The end of a large file whose lines have a sortable stamp, at their start or behind a mark, found by halving.
//!
//! Lines without a stamp (continuations) belong to the stamped line before them. Lines may be slightly out of order, as
//! several workers write one log: the search ends a block early and goes on line by line.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;

use facts::{Answer, View};
use memchr::{memchr, memmem};
use rustix::io::{self, Errno};

use super::file;

/// What is read at once, how close the halving comes, and how far lines may be out of order.
const BLOCK: u64 = 64 << 10;
/// So much is read by two threads side by side.
const SHARED: usize = 1 << 20;
/// A longer line has no mark. Docker cuts at 16 KiB, each byte of which JSON may write with six.
const LONGEST_MARKED: u64 = 1 << 20;

/// An empty mark means that lines begin with their stamp.
pub(super) fn since(
    view: View,
    path: &Path,
    mark: &[u8],
    from: &[u8],
    limit: u64,
) -> io::Result<Answer> {
    let (file, stat) = file::open(view, path)?;
    let (bytes, cut) = Log::new(file, stat.size, mark, from, BLOCK).end(limit)?;
    Ok(Answer::File { bytes, cut, stat })
}

/// Where a stamped line begins, and whether its stamp is below the wanted one.
#[derive(Clone, Copy)]
struct Stamped {
    at: u64,
    below: bool,
}

struct Log<'a> {
    file: OwnedFd,
    size: u64,
    mark: &'a [u8],
    from: &'a [u8],
    block: u64,
    /// A part of the file, and where it begins.
    held: Vec<u8>,
    held_at: u64,
    /// No line that begins in here has a stamp. Kept so that a huge line or a long trace is read once, not at each
    /// halving.
    barren: Range<u64>,
    /// The stamped line at the end of `barren`, if the file does not end there.
    after_barren: Option<Stamped>,
}

impl<'a> Log<'a> {
    fn new(file: OwnedFd, size: u64, mark: &'a [u8], from: &'a [u8], block: u64) -> Self {
        Self {
            file,
            size,
            mark,
            from,
            block,
            held: Vec::new(),
            held_at: 0,
            barren: 0..0,
            after_barren: None,
        }
    }

    /// The lines from the wanted stamp on, and whether some of them are left out for the limit.
    fn end(mut self, limit: u64) -> io::Result<(Vec<u8>, bool)> {
        let start = self.start()?;
        let last = self.size.saturating_sub(limit);
        if start >= last {
            return Ok((self.read(start..self.size)?, false));
        }
        let start = self.line_start(last)?;
        Ok((self.read(start..self.size)?, true))
    }

    /// The first line whose stamp is not below the wanted one; the file's start when no line has a stamp at all.
    fn start(&mut self) -> io::Result<u64> {
        let Some(first) = self.stamped(0)? else {
            return Ok(0);
        };
        let (mut low, mut high) = (first.at, self.size);
        while high.saturating_sub(low) > self.block {
            let middle = low + (high - low) / 2;
            match self.stamped(middle)? {
                Some(line) if line.below && line.at < high => low = line.at,
                _ => high = middle,
            }
        }
        self.first_not_below(low.saturating_sub(self.block))
    }

    fn first_not_below(&mut self, from: u64) -> io::Result<u64> {
        let mut from = from;
        while let Some(line) = self.stamped(from)? {
            if !line.below {
                return Ok(line.at);
            }
            from = line.at + 1;
        }
        Ok(self.size)
    }

    /// The first stamped line that begins at or after `from`.
    fn stamped(&mut self, from: u64) -> io::Result<Option<Stamped>> {
        let mut at = self.line_start(from)?;
        while at < self.size {
            if self.barren.contains(&at) {
                self.barren.start = self.barren.start.min(from);
                return Ok(self.after_barren);
            }
            if let Some(below) = self.stamp_below(at)? {
                self.barren = from..at;
                self.after_barren = Some(Stamped { at, below });
                return Ok(self.after_barren);
            }
            at = self.line_start(at + 1)?;
        }
        self.barren = from..self.size;
        self.after_barren = None;
        Ok(None)
    }

    /// Whether the stamp of the line that begins here is below the wanted one; `None` when it has no stamp.
    fn stamp_below(&mut self, at: u64) -> io::Result<Option<bool>> {
        let wanted = self.from;
        let at = if self.mark.is_empty() {
            Some(at)
        } else {
            self.behind_mark(at)?
        };
        let Some(at) = at else {
            return Ok(None);
        };
        let line = self.hold(at, wanted.len() as u64)?;
        let Some(stamp) = line.get(..wanted.len()) else {
            return Ok(None);
        };
        let same_shape = stamp
            .iter()
            .zip(wanted)
            .all(|(have, want)| have == want || (have.is_ascii_digit() && want.is_ascii_digit()));
        Ok(same_shape.then_some(stamp < wanted))
    }

    /// What stands behind the last mark of the line that begins here.
    fn behind_mark(&mut self, at: u64) -> io::Result<Option<u64>> {
        let mark = self.mark;
        let length = self.line_start(at + 1)?.min(at + LONGEST_MARKED) - at;
        let line = self.hold(at, length)?;
        let line = line
            .get(..usize::try_from(length).unwrap_or(usize::MAX))
            .unwrap_or(line);
        Ok(memmem::rfind(line, mark).map(|found| at + (found + mark.len()) as u64))
    }

    /// The first byte at or after `from` that begins a line, or the end of the file.
    fn line_start(&mut self, from: u64) -> io::Result<u64> {
        let Some(mut at) = from.checked_sub(1) else {
            return Ok(0);
        };
        while at < self.size {
            let bytes = self.hold(at, 1)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(end) = memchr(b'\n', bytes) {
                return Ok(at + end as u64 + 1);
            }
            at += bytes.len() as u64;
        }
        Ok(self.size)
    }

    /// The bytes from `at` on that are at hand: `least` of them unless the file ends before.
    fn hold(&mut self, at: u64, least: u64) -> io::Result<&[u8]> {
        let end = (at + least).min(self.size);
        if at < self.held_at || end > self.held_at + self.held.len() as u64 {
            let until = (at + least.max(self.block)).min(self.size);
            self.held = self.read(at..until)?;
            self.held_at = at;
        }
        let skip = usize::try_from(at - self.held_at).unwrap_or(usize::MAX);
        Ok(self.held.get(skip..).unwrap_or_default())
    }

    /// These bytes of the file, fewer when it was truncated meanwhile.
    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let length = range.end.saturating_sub(range.start);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        if length < SHARED {
            let got = fill(&self.file, &mut bytes, range.start)?;
            bytes.truncate(got);
            return Ok(bytes);
        }
        // Most of the time goes into the copying and into the memory's first touch.
        let middle = length / 2;
        let (first, second) = bytes.split_at_mut(middle);
        let (first, second) = thread::scope(|scope| {
            let ahead = scope.spawn(|| fill(&self.file, second, range.start + middle as u64));
            let first = fill(&self.file, first, range.start);
            (first, ahead.join().unwrap_or(Err(Errno::IO)))
        });
        let (first, second) = (first?, second?);
        bytes.truncate(if first < middle {
            first
        } else {
            middle + second
        });
        Ok(bytes)
    }
}

/// Reads until `bytes` are full or the file ends; how many were read.
fn fill(file: &OwnedFd, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut got = 0;
    while let Some(free) = bytes.get_mut(got..).filter(|free| !free.is_empty()) {
        match io::pread(file, free, at + got as u64) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    const FROM: &str = "2026/06/23 14:02:11";

    fn log_of(text: &[u8]) -> OwnedFd {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file.into()
    }

    fn end(text: &[u8], block: u64, limit: u64) -> (Vec<u8>, bool) {
        marked(text, b"", block, limit)
    }

    fn marked(text: &[u8], mark: &[u8], block: u64, limit: u64) -> (Vec<u8>, bool) {
        Log::new(
            log_of(text),
            text.len() as u64,
            mark,
            FROM.as_bytes(),
            block,
        )
        .end(limit)
        .unwrap()
    }

    #[test]
    fn what_two_threads_read_is_what_stands_there() {
        let line = format!("{FROM} [error] 1#1: *1 x\n");
        let text = line.repeat(SHARED / line.len() + 9).into_bytes();
        assert!(text.len() > SHARED);
        assert_eq!(end(&text, 256, u64::MAX), (text.clone(), false));
        // A file that was cut short meanwhile, in its first or in its second half.
        for length in [text.len() / 3, text.len() - 7] {
            let shrunk = &text[..length];
            let log = Log::new(log_of(shrunk), text.len() as u64, b"", b"", 256);
            assert_eq!(log.read(0..text.len() as u64).unwrap(), shrunk);
        }
    }

    fn stamp(second: u32) -> String {
        format!("2026/06/23 14:{:02}:{:02}", second / 60, second % 60)
    }

    fn is_stamp(line: &[u8]) -> bool {
        line.len() >= FROM.len()
            && line
                .iter()
                .zip(FROM.bytes())
                .all(|(&have, want)| have == want || have.is_ascii_digit() && want.is_ascii_digit())
    }

    /// What `end` must give, said plainly.
    fn naive(text: &[u8], limit: u64) -> (Vec<u8>, bool) {
        let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
        let first = lines
            .iter()
            .position(|line| is_stamp(line) && line[..FROM.len()] >= *FROM.as_bytes());
        let mut lines = match first {
            Some(first) => &lines[first..],
            None if lines.iter().any(|line| is_stamp(line)) => &[],
            None => &lines[..],
        };
        let mut cut = false;
        while lines.iter().map(|line| line.len() as u64).sum::<u64>() > limit {
            lines = &lines[1..];
            cut = true;
        }
        (lines.concat(), cut)
    }

    /// A line's second, whether it has a stamp, and its length.
    fn lines() -> impl Strategy<Value = Vec<(u32, bool, usize)>> {
        prop::collection::vec((0..3_u32, prop::bool::weighted(0.8), 0..60_usize), 0..200)
    }

    proptest! {
        #[test]
        fn halving_finds_what_reading_everything_finds(
            lines in lines(),
            start in 0..300_u32,
            limit in 0..4000_u64,
            ends in any::<bool>(),
        ) {
            let mut text = String::new();
            let mut second = start;
            for (step, stamped, length) in lines {
                second += step;
                if stamped {
                    text.push_str(&stamp(second));
                }
                text.push_str(&" x".repeat(length));
                text.push('\n');
            }
            if !ends {
                text.pop();
            }
            prop_assert_eq!(end(text.as_bytes(), 64, limit), naive(text.as_bytes(), limit));
        }

        #[test]
        fn a_stamp_is_found_behind_its_mark(
            lines in lines(),
            start in 0..300_u32,
            limit in 0..4000_u64,
        ) {
            // The same lines with and without what stands before their stamp.
            let (mut text, mut bare) = (String::new(), String::new());
            let mut second = start;
            for (step, stamped, length) in lines {
                second += step;
                let rest = " x".repeat(length);
                let (now, before) = (stamp(second), stamp(0));
                if stamped {
                    text.extend(["{t=", &before, " ", &rest, " t=", &now, "\n"]);
                    bare.extend([&now, rest.as_str(), &"y".repeat(7 + before.len()), "\n"]);
                } else {
                    text.extend([rest.as_str(), "\n"]);
                    bare.extend([rest.as_str(), "\n"]);
                }
            }
            prop_assert_eq!(text.len(), bare.len());
            let (found, cut) = marked(text.as_bytes(), b"t=", 64, limit);
            let (expected, expected_cut) = naive(bare.as_bytes(), limit);
            prop_assert_eq!((found.len(), cut), (expected.len(), expected_cut));
            prop_assert!(text.as_bytes().ends_with(&found));
        }

        #[test]
        fn lines_out_of_order_within_a_block_are_found(
            steps in prop::collection::vec((0..2_u32, 0..3_u32), 1..200),
            start in 0..200_u32,
        ) {
            let mut text = String::new();
            let mut second = start + 3;
            for (step, late) in steps {
                second += step;
                text += &stamp(second - late);
                text += " [error] 1#1\n";
            }
            prop_assert_eq!(end(text.as_bytes(), 1024, u64::MAX), naive(text.as_bytes(), u64::MAX));
        }
    }

    #[test]
    fn a_huge_line_without_a_stamp_does_not_hide_what_follows() {
        let mut text = format!("{} before\n", stamp(130)).repeat(50);
        text.push_str(&"x".repeat(500_000));
        text.push('\n');
        text += &stamp(131);
        text += " [error] after\n";
        let (bytes, cut) = end(text.as_bytes(), 64, u64::MAX);
        assert_eq!(
            bytes,
            format!("{} [error] after\n", stamp(131)).into_bytes()
        );
        assert!(!cut);
    }

    #[test]
    fn a_window_over_the_limit_keeps_its_last_whole_lines() {
        let text = format!("{} 1\n{} 2\n{} 3\n", stamp(131), stamp(132), stamp(133));
        let line = text.len() as u64 / 3;
        let (bytes, cut) = end(text.as_bytes(), 64, 2 * line + 5);
        assert_eq!(
            bytes,
            format!("{} 2\n{} 3\n", stamp(132), stamp(133)).into_bytes()
        );
        assert!(cut);
    }

    #[test]
    fn a_file_truncated_while_it_is_read_ends_early() {
        let log = Log::new(log_of(b"short\n"), 1 << 20, b"", FROM.as_bytes(), 64);
        assert_eq!(log.end(u64::MAX).unwrap().0, b"short\n");
    }
}
