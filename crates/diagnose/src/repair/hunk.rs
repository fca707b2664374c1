//! Changing places of a file that were named by line and text. Every other byte stays as it was.

use bstr::{BString, ByteSlice as _};

/// One place of a file and what shall stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// The line that the old text begins on, from 1.
    pub line: usize,
    /// The text as it stood when the fix was made; may span lines.
    pub old: String,
    /// The text to stand there.
    pub new: String,
}

/// Why a file cannot be changed as planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The text is not there: the file is another one now.
    #[error("line {0} is not what it was when the fix was made: ask why502 again")]
    Gone(usize),
    /// The text stands twice on the line.
    #[error("line {0} has the text twice: change it by hand")]
    Twice(usize),
    /// Two changes of the same bytes.
    #[error("two changes meet on line {0}: change it by hand")]
    Overlap(usize),
}

impl Hunk {
    /// A change of the text that begins on a line.
    pub fn new(line: usize, old: &str, new: &str) -> Self {
        Self {
            line,
            old: old.to_owned(),
            new: new.to_owned(),
        }
    }

    /// Where its text stands.
    fn place(&self, bytes: &[u8]) -> Result<usize, Misfit> {
        let starts = bytes.lines_with_terminator().map(<[u8]>::len);
        let start: usize = starts.take(self.line.saturating_sub(1)).sum();
        let rest = bytes.get(start..).unwrap_or_default();
        let line = rest.lines_with_terminator().next().unwrap_or_default();
        let mut found = rest.find_iter(&self.old).take_while(|&at| at < line.len());
        let at = found.next().ok_or(Misfit::Gone(self.line))?;
        if found.next().is_some() {
            return Err(Misfit::Twice(self.line));
        }
        Ok(start + at)
    }

    /// What it writes, with the line ends of the file.
    fn text(&self, bytes: &[u8]) -> Vec<u8> {
        if bytes.contains_str("\r\n") && !self.new.contains('\r') {
            self.new.replace('\n', "\r\n").into_bytes()
        } else {
            self.new.clone().into_bytes()
        }
    }
}

/// The file with the changes made.
pub fn edited(bytes: &[u8], hunks: &[Hunk]) -> Result<BString, Misfit> {
    let mut places = hunks
        .iter()
        .map(|hunk| Ok((hunk.place(bytes)?, hunk)))
        .collect::<Result<Vec<_>, Misfit>>()?;
    places.sort_by_key(|(at, _)| *at);
    let mut new = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for (at, hunk) in places {
        let before = bytes.get(done..at).ok_or(Misfit::Overlap(hunk.line))?;
        new.extend_from_slice(before);
        new.extend_from_slice(&hunk.text(bytes));
        done = at + hunk.old.len();
    }
    new.extend_from_slice(bytes.get(done..).unwrap_or_default());
    Ok(BString::from(new))
}
