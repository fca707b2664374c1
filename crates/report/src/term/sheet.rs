//! Lines that fit a terminal: wrapping and indenting of styled text. Knows no incident.
//!
//! A [`Piece`] can only be made through [`visible`], and only pieces are printed, so that no text from outside reaches
//! the terminal as it came.

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

use crate::text::visible;

/// Where content begins behind a label.
pub(super) const CONTENT: usize = 9;

/// Some text in one style.
#[derive(Clone)]
pub(super) struct Piece {
    style: Style,
    text: String,
    /// Not to be broken at its spaces.
    whole: bool,
}

impl Piece {
    pub(super) fn new(style: Style, text: impl AsRef<str>) -> Self {
        Self {
            style,
            text: visible(text.as_ref()).into_owned(),
            whole: false,
        }
    }

    /// As [`Piece::new`], kept on one line, two columns from what stands before.
    pub(super) fn whole(style: Style, text: impl AsRef<str>) -> Self {
        Self {
            whole: true,
            ..Self::new(style, text)
        }
    }

    pub(super) fn plain(text: impl AsRef<str>) -> Self {
        Self::new(Style::new(), text)
    }

    pub(super) fn width(&self) -> usize {
        self.text.width()
    }
}

/// What to do with a word that is wider than the line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Long {
    /// It stays whole: a path or an address that someone will copy.
    Keep,
    /// It is broken: log text, which may be one word of any length.
    Break,
}

/// The report as it grows.
pub(super) struct Sheet {
    text: String,
    width: usize,
}

impl Sheet {
    pub(super) fn new(width: usize) -> Self {
        // Narrower, nothing can be laid out: the terminal then breaks lines itself.
        Self {
            text: String::new(),
            width: width.max(40),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// An empty line, except at the top and after another one.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// `  label  content`, wrapped under the content. A long label moves its own content to the right.
    pub(super) fn item(&mut self, label: &Piece, content: &[Piece], long: Long) {
        self.text.push_str("  ");
        self.push(label.style, &label.text);
        let used = 2 + label.width();
        let begin = CONTENT.max(used + 2);
        self.pad(begin - used);
        self.wrapped(begin, begin, content, long);
    }

    /// `  label  content`, one of several: its further lines stand two columns further in.
    pub(super) fn entry(&mut self, label: &Piece, content: &[Piece]) {
        self.text.push_str("  ");
        self.push(label.style, &label.text);
        self.pad(CONTENT.saturating_sub(2 + label.width()));
        self.wrapped(CONTENT, CONTENT + 2, content, Long::Keep);
    }

    /// Content under content, wrapped.
    pub(super) fn under(&mut self, indent: usize, content: &[Piece], long: Long) {
        self.pad(indent);
        self.wrapped(indent, indent, content, long);
    }

    /// The first piece hangs out to the left of the rest by its own width and two columns.
    pub(super) fn hanging(&mut self, indent: usize, first: &Piece, content: &[Piece], long: Long) {
        self.pad(indent);
        self.push(first.style, &first.text);
        self.pad(2);
        let begin = indent + first.width() + 2;
        self.wrapped(begin, begin, content, long);
    }

    /// A line that is copied or compared as a whole: never wrapped.
    pub(super) fn exact(&mut self, indent: usize, content: &[Piece]) {
        self.pad(indent);
        for piece in content {
            self.push(piece.style, &piece.text);
        }
        self.text.push('\n');
    }

    /// A drawing made of visible text and our own colours.
    pub(super) fn drawn(&mut self, indent: usize, drawing: &str) {
        for line in drawing.lines() {
            if !line.is_empty() {
                self.pad(indent);
            }
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }

    fn pad(&mut self, columns: usize) {
        self.text.extend(std::iter::repeat_n(' ', columns));
    }

    fn push(&mut self, style: Style, text: &str) {
        let styled = format!("{style}{text}{style:#}");
        self.text.push_str(&styled);
    }

    /// Writes from column `begin` on; further lines begin at column `next`.
    fn wrapped(&mut self, begin: usize, next: usize, content: &[Piece], long: Long) {
        let room = self.width.saturating_sub(next).max(16);
        let mut column = begin;
        let mut start = begin;
        let mut spaces = 0;
        for piece in content.iter().filter(|piece| !piece.text.is_empty()) {
            if piece.whole {
                spaces += 2;
            }
            for (idx, word) in words(piece).enumerate() {
                spaces += usize::from(idx > 0);
                if word.is_empty() {
                    continue;
                }
                for part in parts(word, room, long) {
                    let width = part.width();
                    if column > start && column + spaces + width > next + room {
                        self.text.push('\n');
                        self.pad(next);
                        (column, start) = (next, next);
                    } else if column > start {
                        self.pad(spaces);
                        column += spaces;
                    }
                    self.push(piece.style, part);
                    column += width;
                    spaces = 0;
                }
            }
        }
        self.text.push('\n');
    }
}

fn words(piece: &Piece) -> impl Iterator<Item = &str> {
    piece
        .text
        .splitn(if piece.whole { 1 } else { usize::MAX }, ' ')
}

/// The word, in as many parts as it takes to fit.
fn parts(word: &str, room: usize, long: Long) -> Vec<&str> {
    if long == Long::Keep || word.width() <= room {
        return vec![word];
    }
    let mut parts = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        let mut used = 0;
        let end = rest
            .char_indices()
            .find_map(|(at, c)| {
                used += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
                (used > room && at > 0).then_some(at)
            })
            .unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        parts.push(part);
        rest = tail;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_out(content: &[&str], long: Long) -> String {
        let mut sheet = Sheet::new(40);
        let pieces: Vec<Piece> = content.iter().map(Piece::plain).collect();
        sheet.item(&Piece::plain("proof"), &pieces, long);
        sheet.into_text()
    }

    #[test]
    fn content_wraps_under_itself_and_keeps_inner_spaces() {
        assert_eq!(
            laid_out(
                &["connect() failed  (111: Connection refused)", "  ×3"],
                Long::Keep
            ),
            "  proof  connect() failed  (111:\n         Connection refused)  ×3\n"
        );
    }

    #[test]
    fn pieces_join_without_a_space_of_their_own() {
        assert_eq!(laid_out(&["a", "b", " c"], Long::Keep), "  proof  ab c\n");
    }

    #[test]
    fn a_word_wider_than_the_line_is_kept_or_broken_as_asked() {
        let path = "/a/very/long/path/of/a/socket/that/does/not/fit.sock";
        assert_eq!(
            laid_out(&["at", " ", path], Long::Keep),
            format!("  proof  at\n         {path}\n")
        );
        assert_eq!(
            laid_out(&[path], Long::Break),
            "  proof  /a/very/long/path/of/a/socket/t\n         hat/does/not/fit.sock\n"
        );
    }
}
