//! One configuration file as a lossless tree: every directive and argument is a span of the original bytes.
//!
//! Parsing never fails. What nginx would refuse is a [`Trouble`], worded as nginx words it, and the tree goes on
//! behind it. This module does not know what any directive means.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use bstr::{BStr, ByteSlice as _};

use crate::lexer;

/// A range of bytes in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// The bytes from `start` up to, not including, `end`.
    pub fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// The span as a range of indices.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Whether it covers no byte.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// The number of bytes.
    pub fn len(self) -> usize {
        self.range().len()
    }
}

/// Where a byte stands, for people: both count from 1, the column in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column in bytes, from 1.
    pub column: u32,
}

/// Something nginx would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What nginx says, without the ` in FILE:LINE` it appends.
    pub message: String,
    /// What to look at.
    pub span: Span,
    /// The line that nginx names, which is where its reading had got to.
    pub line: u32,
}

/// A directive within one [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectiveId(pub u32);

/// How a word is quoted in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quote {
    /// Bare.
    None,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
}

/// One word: the name of a directive or one of its arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    /// With the quotes.
    pub(crate) span: Span,
    pub(crate) quote: Quote,
    /// Index into `Tree::decoded` when the value differs from the raw bytes.
    pub(crate) decoded: Option<u32>,
}

/// How a directive ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With `;`.
    Semicolon,
    /// With `{`: a block of directives follows.
    Block,
    /// With `{`: Lua follows, which is not nginx's syntax.
    Lua,
    /// Not at all: the file or the enclosing block ended first.
    Missing,
}

/// One directive. Directives lie in the order of the file, each followed by all that its block holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) words: (u32, u32),
    pub(crate) start: u32,
    /// After the `;` or `{`.
    pub(crate) head_end: u32,
    /// After the `;` or `}`.
    pub(crate) end: u32,
    /// The index after the last directive in the block.
    pub(crate) descendants_end: u32,
    pub(crate) parent: Option<DirectiveId>,
    pub(crate) terminator: End,
    /// Whether the `}` of its block is there.
    pub(crate) closed: bool,
}

/// One configuration file.
#[derive(Debug, Default)]
pub struct Tree {
    pub(crate) source: Vec<u8>,
    pub(crate) words: Vec<Word>,
    pub(crate) decoded: Vec<Box<[u8]>>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) troubles: Vec<Trouble>,
    line_starts: OnceLock<Vec<u32>>,
}

impl Tree {
    /// Reads a file as nginx does. It cannot fail: see [`Tree::troubles`].
    pub fn parse(source: Vec<u8>) -> Self {
        lexer::parse(source, lexer::Input::File)
    }

    /// Reads the text of `-g`, where nginx allows no block.
    pub fn parse_globals(source: Vec<u8>) -> Self {
        lexer::parse(source, lexer::Input::Globals)
    }

    pub(crate) fn of_source(source: Vec<u8>) -> Self {
        Self {
            source,
            ..Self::default()
        }
    }

    /// The bytes of the file, unchanged.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// What nginx would refuse, in the order it would meet it. nginx itself stops at the first.
    pub fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }

    /// The directives that stand in no block of this file.
    pub fn directives(&self) -> Directives<'_> {
        Directives {
            tree: self,
            next: 0,
            end: u32::try_from(self.nodes.len()).unwrap_or(u32::MAX),
        }
    }

    /// Every directive, those in blocks right after the directive that opens the block.
    pub fn all(&self) -> impl Iterator<Item = Directive<'_>> {
        (0..)
            .map(DirectiveId)
            .zip(&self.nodes)
            .map(|(id, node)| Directive {
                tree: self,
                id,
                node,
            })
    }

    /// The directive with this id.
    pub fn directive(&self, id: DirectiveId) -> Option<Directive<'_>> {
        let node = self.nodes.get(id.0 as usize)?;
        Some(Directive {
            tree: self,
            id,
            node,
        })
    }

    /// The innermost directive whose span holds this byte.
    pub fn directive_at(&self, offset: u32) -> Option<Directive<'_>> {
        // A directive inside another one stands behind it.
        self.all()
            .filter(|d| d.span().start <= offset && offset < d.span().end)
            .last()
    }

    /// The bytes of a span; empty when it does not lie in the file.
    pub fn text(&self, span: Span) -> &BStr {
        self.source.get(span.range()).unwrap_or_default().as_bstr()
    }

    /// Where a byte stands.
    pub fn position(&self, offset: u32) -> Position {
        let starts = self.line_starts();
        let line_idx = starts
            .partition_point(|&start| start <= offset)
            .saturating_sub(1);
        let start = starts.get(line_idx).copied().unwrap_or(0);
        Position {
            line: u32::try_from(line_idx + 1).unwrap_or(u32::MAX),
            column: offset.saturating_sub(start).saturating_add(1),
        }
    }

    /// The bytes of a line (from 1) without its line end.
    pub fn line(&self, line: u32) -> Option<&BStr> {
        let starts = self.line_starts();
        let line_idx = (line as usize).checked_sub(1)?;
        let start = *starts.get(line_idx)? as usize;
        let end = starts
            .get(line_idx + 1)
            .map_or(self.source.len(), |&next| next as usize);
        let text = self.source.get(start..end)?;
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        Some(text.strip_suffix(b"\r").unwrap_or(text).as_bstr())
    }

    /// Computed when first asked: most files are never asked for a position.
    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let after = memchr::memchr_iter(b'\n', &self.source)
                .map(|at| u32::try_from(at + 1).unwrap_or(u32::MAX));
            std::iter::once(0).chain(after).collect()
        })
    }
}

impl fmt::Display for Tree {
    /// The file itself; bytes that are not UTF-8 are replaced. [`Tree::source`] is exact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.source.as_bstr(), f)
    }
}

/// A directive with its tree at hand.
#[derive(Clone, Copy)]
pub struct Directive<'t> {
    tree: &'t Tree,
    id: DirectiveId,
    node: &'t Node,
}

impl<'t> Directive<'t> {
    /// Its id within the tree.
    pub fn id(self) -> DirectiveId {
        self.id
    }

    /// The tree it stands in.
    pub fn tree(self) -> &'t Tree {
        self.tree
    }

    /// The name, unquoted; empty for a `{` with nothing before it.
    pub fn name(self) -> &'t BStr {
        self.words()
            .first()
            .map(|word| value(self.tree, word))
            .unwrap_or_default()
    }

    /// The span of the name as it stands in the file.
    pub fn name_span(self) -> Span {
        self.words()
            .first()
            .map_or(Span::new(self.node.start, self.node.start), |word| {
                word.span
            })
    }

    /// The arguments, without the name.
    pub fn args(self) -> impl ExactSizeIterator<Item = Arg<'t>> + Clone {
        let tree = self.tree;
        self.words()
            .get(1..)
            .unwrap_or_default()
            .iter()
            .map(move |word| Arg { tree, word })
    }

    /// The argument with this index (0 is the first after the name).
    pub fn arg(self, arg_idx: usize) -> Option<Arg<'t>> {
        let word = self.words().get(arg_idx.checked_add(1)?)?;
        Some(Arg {
            tree: self.tree,
            word,
        })
    }

    /// The value of an argument.
    pub fn value(self, arg_idx: usize) -> Option<&'t BStr> {
        self.arg(arg_idx).map(Arg::value)
    }

    /// From the name to the `;` or, for a block, its `}`.
    pub fn span(self) -> Span {
        Span::new(self.node.start, self.node.end)
    }

    /// From the name to the `;` or `{`.
    pub fn head_span(self) -> Span {
        Span::new(self.node.start, self.node.head_end)
    }

    /// The `;` or `{` alone: what nginx has just read when it acts on the directive. Empty if there is none.
    pub fn terminator_span(self) -> Span {
        let len = u32::from(self.node.terminator != End::Missing);
        Span::new(self.node.head_end.saturating_sub(len), self.node.head_end)
    }

    /// Whether a `;` or `{` ends it.
    pub fn is_terminated(self) -> bool {
        self.node.terminator != End::Missing
    }

    /// Whether it opens a block, of directives or of Lua.
    pub fn is_block(self) -> bool {
        matches!(self.node.terminator, End::Block | End::Lua)
    }

    /// Whether its block holds Lua, which is kept as bytes.
    pub fn is_lua_block(self) -> bool {
        self.node.terminator == End::Lua
    }

    /// What stands between `{` and `}`.
    pub fn block_span(self) -> Option<Span> {
        let end = self.node.end - u32::from(self.node.closed);
        self.is_block().then(|| Span::new(self.node.head_end, end))
    }

    /// The directives right in its block.
    pub fn children(self) -> Directives<'t> {
        Directives {
            tree: self.tree,
            next: self.id.0.saturating_add(1),
            end: self.node.descendants_end,
        }
    }

    /// The directive in whose block it stands, within this file.
    pub fn parent(self) -> Option<Self> {
        self.tree.directive(self.node.parent?)
    }

    /// Where it begins.
    pub fn position(self) -> Position {
        self.tree.position(self.node.start)
    }

    fn words(self) -> &'t [Word] {
        let (start, end) = self.node.words;
        self.tree
            .words
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }
}

impl fmt::Debug for Directive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Directive")
            .field(&self.tree.text(self.head_span()))
            .finish()
    }
}

/// One argument with its tree at hand.
#[derive(Clone, Copy)]
pub struct Arg<'t> {
    tree: &'t Tree,
    word: &'t Word,
}

impl<'t> Arg<'t> {
    /// As nginx takes it: unquoted, `\"`, `\'`, `\\`, `\t`, `\r`, `\n` replaced, any other backslash kept.
    pub fn value(self) -> &'t BStr {
        value(self.tree, self.word)
    }

    /// As it stands in the file, with its quotes.
    pub fn raw(self) -> &'t BStr {
        self.tree.text(self.word.span)
    }

    /// Where it stands, with its quotes.
    pub fn span(self) -> Span {
        self.word.span
    }

    /// How it is quoted.
    pub fn quote(self) -> Quote {
        self.word.quote
    }
}

impl fmt::Debug for Arg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.value(), f)
    }
}

fn value<'t>(tree: &'t Tree, word: &Word) -> &'t BStr {
    if let Some(decoded) = word.decoded.and_then(|at| tree.decoded.get(at as usize)) {
        return decoded.as_bstr();
    }
    unquoted(tree, word)
}

/// The raw bytes of a word between its quotes.
pub(crate) fn unquoted<'t>(tree: &'t Tree, word: &Word) -> &'t BStr {
    let raw = tree.text(word.span);
    let mark: &[u8] = match word.quote {
        Quote::None => return raw,
        Quote::Single => b"'",
        Quote::Double => b"\"",
    };
    let inner = raw.strip_prefix(mark).unwrap_or(raw);
    // The closing quote is missing when the file ended within the word.
    inner.strip_suffix(mark).unwrap_or(inner).as_bstr()
}

/// Directives side by side.
#[derive(Debug, Clone)]
pub struct Directives<'t> {
    tree: &'t Tree,
    next: u32,
    end: u32,
}

impl<'t> Iterator for Directives<'t> {
    type Item = Directive<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let directive = self.tree.directive(DirectiveId(self.next))?;
        self.next = directive.node.descendants_end;
        Some(directive)
    }
}
