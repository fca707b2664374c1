//! Changing spans of a file and nothing else: every byte outside of an edit stays as it was.

use bstr::{BStr, ByteSlice as _};

use crate::tree::{Arg, Directive, Quote, Span, Tree};

/// One span and what shall stand there instead. An empty span inserts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edit {
    /// What goes.
    pub span: Span,
    /// What comes.
    pub replacement: Vec<u8>,
}

/// Why edits cannot be made together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Two edits change the same bytes, or insert at the same place.
    #[error("two edits overlap at bytes {}..{}", .second.start, .second.end)]
    Overlap {
        /// The one that begins first.
        first: Span,
        /// The one that begins within it.
        second: Span,
    },
    /// The span does not lie in the file.
    #[error("bytes {}..{} do not lie in a file of {len} bytes", .span.start, .span.end)]
    Outside {
        /// The span of the edit.
        span: Span,
        /// The length of the file.
        len: usize,
    },
}

impl Edit {
    /// An edit that replaces an argument by this value, quoted as needed. The quotes that are there are kept when
    /// they serve.
    pub fn argument(arg: Arg<'_>, value: &[u8]) -> Self {
        Self {
            span: arg.span(),
            replacement: quoted(value.as_bstr(), arg.quote()),
        }
    }

    /// [`Edit::argument`] for the argument with this index; none if the directive has not that many.
    pub fn nth_argument(directive: Directive<'_>, arg_idx: usize, value: &[u8]) -> Option<Self> {
        directive.arg(arg_idx).map(|arg| Self::argument(arg, value))
    }
}

/// New directives, and the removal of old ones, in the style of their surroundings.
impl Edit {
    /// An edit that puts these directives (each with its `;`) behind a directive: on lines of their own, indented
    /// alike, if the directive has its line for itself, else on the same line.
    pub fn insert_after(directive: Directive<'_>, new: &[&str]) -> Self {
        let lines = Lines::around(directive);
        let (at, between) = if lines.alone {
            (lines.text_end, [lines.line_end, lines.indent].concat())
        } else {
            (directive.span().end as usize, b" ".to_vec())
        };
        Self::insert(
            at,
            new.iter()
                .flat_map(|text| [between.as_slice(), text.as_bytes()]),
        )
    }

    /// An edit that puts these directives at the start of a block, indented like what stands there. `None` if the
    /// directive has no block of directives.
    pub fn insert_into(block: Directive<'_>, new: &[&str]) -> Option<Self> {
        if !block.is_block() || block.is_lua_block() {
            return None;
        }
        let lines = Lines::around(block);
        let first = block.children().next().map(Lines::around);
        let between = match first {
            Some(first) if first.alone => [first.line_end, first.indent].concat(),
            // All on one line.
            Some(_) => b" ".to_vec(),
            None => [lines.line_end, lines.indent, b"    "].concat(),
        };
        let mut parts: Vec<&[u8]> = new
            .iter()
            .flat_map(|text| [between.as_slice(), text.as_bytes()])
            .collect();
        let closing = block
            .block_span()
            .map(|span| block.tree().text(span))
            .unwrap_or_default();
        if first.is_none() && !closing.contains(&b'\n') {
            parts.extend([lines.line_end, lines.indent]);
        }
        Some(Self::insert(
            block.head_span().end as usize,
            parts.into_iter(),
        ))
    }

    /// An edit that takes a directive away, with its line if it has it for itself. A comment on that line goes
    /// with it.
    pub fn removal(directive: Directive<'_>) -> Self {
        let lines = Lines::around(directive);
        let span = if lines.alone {
            Span::new(narrow(lines.start), narrow(lines.end))
        } else {
            directive.span()
        };
        Self {
            span,
            replacement: Vec::new(),
        }
    }

    fn insert<'a>(at: usize, parts: impl Iterator<Item = &'a [u8]>) -> Self {
        Self {
            span: Span::new(narrow(at), narrow(at)),
            replacement: parts.flatten().copied().collect(),
        }
    }
}

/// The lines a directive stands on.
#[derive(Debug, Clone, Copy)]
struct Lines<'t> {
    start: usize,
    /// Before the line end.
    text_end: usize,
    /// After the line end.
    end: usize,
    indent: &'t [u8],
    line_end: &'t [u8],
    /// Whether nothing but space and comments stands there besides.
    alone: bool,
}

impl<'t> Lines<'t> {
    fn around(directive: Directive<'t>) -> Self {
        let source = directive.tree().source();
        let span = directive.span().range();
        let before = source.get(..span.start).unwrap_or_default();
        let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let lead = before.get(start..).unwrap_or_default();
        let rest = source.get(span.end..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).map_or(source.len(), |len| span.end + len + 1);
        let text = source.get(..end).unwrap_or_default();
        let bare = text.strip_suffix(b"\n").unwrap_or(text);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        let behind = bare.get(span.end..).unwrap_or_default().trim_start();
        let is_crlf = text.ends_with(b"\r\n");
        Self {
            start,
            text_end: bare.len().max(span.end),
            end,
            indent: lead
                .get(..lead.len() - lead.trim_start().len())
                .unwrap_or_default(),
            line_end: if is_crlf { b"\r\n" } else { b"\n" },
            alone: lead.trim_start().is_empty() && (behind.is_empty() || behind.starts_with(b"#")),
        }
    }
}

/// Trees hold no offset beyond 32 bits.
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

impl Tree {
    /// The bytes of the file with these edits made.
    pub fn edited(&self, edits: &[Edit]) -> Result<Vec<u8>, EditError> {
        let mut edits: Vec<&Edit> = edits.iter().collect();
        edits.sort_by_key(|edit| edit.span);
        let mut result = Vec::with_capacity(self.source().len());
        let mut done = 0;
        let mut last: Option<Span> = None;
        for edit in edits {
            let span = edit.span;
            let outside = EditError::Outside {
                span,
                len: self.source().len(),
            };
            if span.start > span.end || span.end as usize > self.source().len() {
                return Err(outside);
            }
            if let Some(first) =
                last.filter(|last| span.start < last.end || span.start == last.start)
            {
                return Err(EditError::Overlap {
                    first,
                    second: span,
                });
            }
            result.extend_from_slice(
                self.source()
                    .get(done..span.start as usize)
                    .ok_or(outside)?,
            );
            result.extend_from_slice(&edit.replacement);
            done = span.end as usize;
            last = Some(span);
        }
        result.extend_from_slice(self.source().get(done..).unwrap_or_default());
        Ok(result)
    }
}

/// The value as a word that nginx reads back as exactly this value.
pub fn quoted(value: &BStr, wanted: Quote) -> Vec<u8> {
    let mark = match wanted {
        Quote::None if reads_bare(value) => return value.to_vec(),
        Quote::Single => b'\'',
        Quote::None | Quote::Double => b'"',
    };
    let mut word = vec![mark];
    for (byte_idx, &byte) in value.iter().enumerate() {
        let next = value.get(byte_idx + 1).copied();
        // A backslash is kept by nginx unless it stands before one of these or, as here, before the end.
        let escapes =
            byte == b'\\' && matches!(next, None | Some(b'"' | b'\'' | b'\\' | b't' | b'r' | b'n'));
        if byte == mark || escapes {
            word.push(b'\\');
        }
        word.push(byte);
    }
    word.push(mark);
    word
}

/// Whether nginx reads this text without quotes as one word with this value.
fn reads_bare(value: &BStr) -> bool {
    let Some(first) = value.first() else {
        return false;
    };
    if matches!(first, b'"' | b'\'' | b'#' | b'}') {
        return false;
    }
    // `${name}` needs no quotes, but telling it from other braces is not worth the risk.
    !value
        .iter()
        .any(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only_value(source: Vec<u8>) -> Vec<u8> {
        let tree = Tree::parse(source);
        assert_eq!(tree.troubles(), []);
        tree.directives()
            .next()
            .and_then(|d| d.value(0))
            .map(|v| v.to_vec())
            .expect("one argument")
    }

    #[test]
    fn a_quoted_value_reads_back_as_itself() {
        let values: [&[u8]; 16] = [
            b"a", b"", b"a b", b"a\"b", b"a'b", b"a\\b", b"a\\", b"a\\\\n", b"\\n", b"${x}",
            b"{2}", b"#x", b"a;b", b"}", b"a\nb", b"caf\xe9",
        ];
        for value in values {
            for quote in [Quote::None, Quote::Single, Quote::Double] {
                let mut source = b"x ".to_vec();
                source.extend(quoted(value.as_bstr(), quote));
                source.extend(b";");
                assert_eq!(only_value(source).as_bstr(), value.as_bstr(), "{quote:?}");
            }
        }
    }

    #[test]
    fn an_argument_is_replaced_and_the_rest_kept() {
        for (source, value, expected) in [
            ("a  b ; # b\n", "c", "a  c ; # b\n"),
            ("a 'b';", "c", "a 'c';"),
            ("a \"b\";", "c\"d", "a \"c\\\"d\";"),
            ("a b;", "c d", "a \"c d\";"),
        ] {
            let tree = Tree::parse(source.into());
            let directive = tree.directives().next().expect("a directive");
            let edit = Edit::nth_argument(directive, 0, value.as_bytes()).expect("an argument");
            assert_eq!(tree.edited(&[edit]).expect("edited").as_bstr(), expected);
            assert_eq!(Edit::nth_argument(directive, 1, b""), None);
        }
    }

    #[test]
    fn new_directives_keep_to_the_style_around_them() {
        let after = |d: Directive<'_>| Some(Edit::insert_after(d, &["x 1;", "y;"]));
        let into = |d: Directive<'_>| Edit::insert_into(d, &["x 1;", "y;"]);
        let check = |source: &str, make: &dyn Fn(Directive<'_>) -> Option<Edit>, expected: &str| {
            let tree = Tree::parse(source.into());
            let directive = tree.all().find(|d| d.name() == "a").expect("a");
            let edit = make(directive).expect("an edit");
            assert_eq!(
                tree.edited(&[edit]).expect("edited").as_bstr(),
                expected,
                "{source}"
            );
        };
        for (source, expected) in [
            ("{\n  a b;\n  c;\n}", "{\n  a b;\n  x 1;\n  y;\n  c;\n}"),
            ("\ta b; # why\n", "\ta b; # why\n\tx 1;\n\ty;\n"),
            ("a b;\r\nc;\r\n", "a b;\r\nx 1;\r\ny;\r\nc;\r\n"),
            ("a b;", "a b;\nx 1;\ny;"),
            ("l { a b; }", "l { a b; x 1; y; }"),
            ("  a {\n  }\n", "  a {\n  }\n  x 1;\n  y;\n"),
        ] {
            check(source, &after, expected);
        }
        for (source, expected) in [
            ("a {\n  b;\n}\n", "a {\n  x 1;\n  y;\n  b;\n}\n"),
            ("a { b; }", "a { x 1; y; b; }"),
            ("  a {\n  }\n", "  a {\n      x 1;\n      y;\n  }\n"),
            ("a {}", "a {\n    x 1;\n    y;\n}"),
        ] {
            check(source, &into, expected);
        }
        let removal = |d: Directive<'_>| Some(Edit::removal(d));
        for (source, expected) in [
            ("c;\n  a b; # why\nd;\n", "c;\nd;\n"),
            ("l { a b; c; }", "l {  c; }"),
            ("a {\n b;\n}\nc;", "c;"),
            ("a b;", ""),
        ] {
            check(source, &removal, expected);
        }
        let tree = Tree::parse(b"a; content_by_lua_block { }".to_vec());
        assert!(
            tree.directives()
                .all(|d| Edit::insert_into(d, &[]).is_none())
        );
    }

    #[test]
    fn edits_that_overlap_or_lie_outside_are_refused() {
        let tree = Tree::parse(b"0123456789".to_vec());
        let edit = |start, end| Edit {
            span: Span::new(start, end),
            replacement: b"x".to_vec(),
        };
        assert_eq!(
            tree.edited(&[edit(4, 6), edit(0, 2)])
                .expect("fine")
                .as_bstr(),
            "x23x6789"
        );
        assert_eq!(
            tree.edited(&[edit(2, 4), edit(0, 2)])
                .expect("adjacent")
                .as_bstr(),
            "xx456789"
        );
        for pair in [
            [edit(0, 3), edit(2, 4)],
            [edit(1, 1), edit(1, 1)],
            [edit(0, 9), edit(3, 3)],
        ] {
            assert!(
                matches!(tree.edited(&pair), Err(EditError::Overlap { .. })),
                "{pair:?}"
            );
        }
        for bad in [edit(9, 11), edit(5, 4)] {
            assert!(matches!(
                tree.edited(&[bad]),
                Err(EditError::Outside { .. })
            ));
        }
    }
}
