//! Bytes to tree, with the rules of `ngx_conf_read_token()` and `ngx_conf_parse()` (nginx 1.22.1 and
//! 1.31.5-dev).
//!
//! The rules: words are parted by space, tab, CR, LF, `;` and `{`; a quote or `#` means something only where a
//! word begins; a backslash keeps the next byte from meaning anything; `${` does not open a block; after a closing
//! quote only white space, `;`, `{` or `)` may follow; `}` closes a block only where a directive could begin.
//! nginx gives up at the first trouble; here reading goes on so that the rest stays usable. It must not know
//! directives, with one exception that cannot be avoided: Lua blocks hold another language.

use crate::lua;
use crate::tree::{DirectiveId, End, Node, Quote, Span, Tree, Trouble, Word};

/// nginx reads files through a buffer of this size (`NGX_CONF_BUFFER`), which one word or comment must not fill.
const BUFFER: usize = 4096;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// A file.
    File,
    /// The text of `-g`: no blocks, no buffer.
    Globals,
}

/// What some editors put before the text. To nginx it is part of the first word.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(crate) fn parse(source: Vec<u8>, input: Input) -> Tree {
    if source.starts_with(BYTE_ORDER_MARK) && input == Input::File {
        return parse_behind_mark(source);
    }
    let mut lexer = Lexer::new(Tree::of_source(source), input);
    lexer.run(usize::MAX);
    lexer.tree
}

/// The file as it would read without its byte order mark, which is told as a trouble.
fn parse_behind_mark(source: Vec<u8>) -> Tree {
    let mut as_nginx_does = Lexer::new(Tree::of_source(source), Input::File);
    as_nginx_does.run(1);
    let first = as_nginx_does.tree;
    let mut troubles = first.troubles.clone();
    if let Some(directive) = first.directives().next().filter(|_| troubles.is_empty()) {
        troubles.push(Trouble {
            message: format!(
                "unknown directive \"{}\" (the file begins with a byte order mark)",
                directive.name()
            ),
            span: span(0, BYTE_ORDER_MARK.len()),
            line: first.position(directive.terminator_span().start).line,
        });
    }
    let mut lexer = Lexer::new(Tree::of_source(first.source), Input::File);
    lexer.tree.troubles = troubles;
    lexer.at = BYTE_ORDER_MARK.len().min(lexer.size);
    lexer.run(usize::MAX);
    lexer.tree
}

struct Lexer {
    tree: Tree,
    input: Input,
    /// The byte to read next.
    at: usize,
    /// How much of the source is read: spans are 32 bits wide.
    size: usize,
    /// The line of `counted`; lines are counted only when a trouble needs one.
    line: u32,
    counted: usize,
    /// The blocks that are open, outermost first.
    open: Vec<DirectiveId>,
    /// The first word of the directive being read.
    first_word: usize,
    /// A quote without its partner was met: from here on a quoted word ends with its line at the latest, or one
    /// stray quote would hide the rest of the file and every further one would mean reading it all again.
    stray_quote: bool,
}

impl Lexer {
    fn new(tree: Tree, input: Input) -> Self {
        let size = tree.source.len().min(u32::MAX as usize - 1);
        Self {
            tree,
            input,
            at: 0,
            size,
            line: 1,
            counted: 0,
            open: Vec::new(),
            first_word: 0,
            stray_quote: false,
        }
    }

    /// Reads this many directives at least, or the file to its end.
    fn run(&mut self, directives: usize) {
        if self.size < self.tree.source.len() {
            self.trouble("the file is too large".to_owned(), Span::new(0, 0), 0);
        }
        while let Some(byte) = self.skip_space() {
            match byte {
                b'#' => self.comment(),
                b';' => self.semicolon(),
                b'{' => self.block_start(),
                b'}' => self.block_done(),
                b'"' | b'\'' => self.quoted_word(byte),
                _ => self.bare_word(),
            }
            if self.tree.nodes.len() >= directives {
                return;
            }
        }
        self.finish();
    }

    fn peek(&self) -> Option<u8> {
        if self.at < self.size {
            self.tree.source.get(self.at).copied()
        } else {
            None
        }
    }

    fn skip_space(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn comment(&mut self) {
        let start = self.at;
        let rest = self.tree.source.get(start..self.size).unwrap_or_default();
        self.at = memchr::memchr(b'\n', rest).map_or(self.size, |len| start + len);
        self.check_length(start, start, self.at, Quote::None);
    }

    fn semicolon(&mut self) {
        if self.has_words() {
            self.directive(End::Semicolon);
        } else {
            self.unexpected(";");
        }
        self.at += 1;
    }

    fn block_start(&mut self) {
        if self.input == Input::Globals {
            let here = span(self.at, self.at + 1);
            self.trouble(
                "block directives are not supported in -g option".to_owned(),
                here,
                self.at,
            );
        } else if !self.has_words() {
            self.unexpected("{");
        }
        let lua = self.tree.words.get(self.first_word).is_some_and(|word| {
            crate::tree::unquoted(&self.tree, word).ends_with(b"_by_lua_block")
        });
        if lua {
            self.lua_block();
        } else {
            let id = self.directive(End::Block);
            self.open.push(id);
            self.at += 1;
        }
    }

    fn lua_block(&mut self) {
        let id = self.directive(End::Lua);
        let body = self.at + 1;
        let rest = self.tree.source.get(body..self.size).unwrap_or_default();
        if let Some(len) = lua::block_len(rest) {
            self.at = body + len + 1;
            self.close(id, self.at, true);
        } else {
            self.at = self.size;
            self.close(id, self.at, false);
            let message = "unexpected end of file, expecting \"}\"".to_owned();
            self.trouble(message, span(self.size, self.size), self.size);
        }
    }

    fn block_done(&mut self) {
        if self.has_words() {
            self.unexpected("}");
            self.directive(End::Missing);
        } else if self.open.is_empty() {
            self.unexpected("}");
        }
        self.at += 1;
        if let Some(id) = self.open.pop() {
            self.close(id, self.at, true);
        }
    }

    fn quoted_word(&mut self, mark: u8) {
        let start = self.at;
        self.at += 1;
        let (inner_end, escaped, closed) = self.find_quote(mark);
        self.at = if closed { inner_end + 1 } else { inner_end };
        self.word(start, start + 1, inner_end, quote_of(mark), escaped);
        if !closed {
            return;
        }
        let Some(next) = self.peek() else { return };
        let read = self.at + usize::from(matches!(next, b' ' | b'\t' | b'\r' | b'\n'));
        self.check_length(start, start + 1, read, Quote::None);
        if !matches!(next, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') {
            if next.is_ascii_graphic() {
                self.unexpected(&char::from(next).to_string());
            } else {
                // nginx prints the byte itself, which may be half a character.
                self.unexpected(&next.escape_ascii().to_string());
            }
        }
    }

    /// The index of the closing quote (or where the word is taken to end), and whether there are backslashes.
    fn find_quote(&mut self, mark: u8) -> (usize, bool, bool) {
        let start = self.at;
        let mut at = start;
        let mut escaped = false;
        loop {
            let rest = self.tree.source.get(at..self.size).unwrap_or_default();
            let found = if self.stray_quote {
                memchr::memchr3(mark, b'\\', b'\n', rest)
            } else {
                memchr::memchr2(mark, b'\\', rest)
            };
            let Some(len) = found else { break };
            at += len;
            match self.tree.source.get(at) {
                Some(b'\\') => {
                    escaped = true;
                    at = (at + 2).min(self.size);
                }
                Some(&byte) if byte == mark => {
                    self.check_length(start - 1, start, at, quote_of(mark));
                    return (at, escaped, true);
                }
                _ => return (at, escaped, false),
            }
        }
        // The file ended within the quotes.
        if !self.stray_quote {
            self.stray_quote = true;
            if !self.check_length(start - 1, start, self.size, quote_of(mark)) {
                let message = self.unexpected_end();
                self.trouble(message.to_owned(), span(start - 1, start), self.size);
            }
        }
        let rest = self.tree.source.get(start..self.size).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).map_or(self.size, |len| start + len);
        (end, escaped, false)
    }

    fn bare_word(&mut self) {
        let start = self.at;
        let (end, escaped) = self.find_word_end();
        self.at = end;
        let read = end + usize::from(matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')));
        self.check_length(start, start, read, Quote::None);
        self.word(start, start, end, Quote::None, escaped);
    }

    fn find_word_end(&self) -> (usize, bool) {
        let mut at = self.at;
        let mut escaped = false;
        let mut after_dollar = false;
        while let Some(&byte) = self.tree.source.get(at) {
            if at >= self.size {
                break;
            }
            match byte {
                // `${`, and as nginx has it any number of `{` after it.
                b'{' if after_dollar => {}
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => break,
                b'\\' => {
                    escaped = true;
                    after_dollar = false;
                    at += 1;
                }
                byte => after_dollar = byte == b'$',
            }
            at += 1;
        }
        (at.min(self.size), escaped)
    }

    fn word(
        &mut self,
        start: usize,
        inner_start: usize,
        inner_end: usize,
        quote: Quote,
        escaped: bool,
    ) {
        let decoded = if escaped {
            self.decode(inner_start, inner_end)
        } else {
            None
        };
        let span = span(start, self.at);
        self.tree.words.push(Word {
            span,
            quote,
            decoded,
        });
    }

    /// The value of a word with backslashes, if it differs from the bytes.
    fn decode(&mut self, start: usize, end: usize) -> Option<u32> {
        let raw = self.tree.source.get(start..end)?;
        let mut value = Vec::with_capacity(raw.len());
        let mut bytes = raw.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            let replaced = match (byte, bytes.peek()) {
                (b'\\', Some(&next @ (b'"' | b'\'' | b'\\'))) => Some(next),
                (b'\\', Some(b't')) => Some(b'\t'),
                (b'\\', Some(b'r')) => Some(b'\r'),
                (b'\\', Some(b'n')) => Some(b'\n'),
                _ => None,
            };
            if replaced.is_some() {
                bytes.next();
            }
            value.push(replaced.unwrap_or(byte));
        }
        if value == raw {
            return None;
        }
        let id = u32::try_from(self.tree.decoded.len()).ok()?;
        self.tree.decoded.push(value.into_boxed_slice());
        Some(id)
    }

    fn has_words(&self) -> bool {
        self.tree.words.len() > self.first_word
    }

    /// Ends the directive whose words were read; the terminator, if any, is the byte at hand.
    fn directive(&mut self, terminator: End) -> DirectiveId {
        let words = (narrow(self.first_word), narrow(self.tree.words.len()));
        let own_words = self.tree.words.get(self.first_word..).unwrap_or_default();
        let start = own_words
            .first()
            .map_or(narrow(self.at), |word| word.span.start);
        let end = match terminator {
            // Not the white space and comments behind the last word.
            End::Missing => own_words
                .last()
                .map_or(narrow(self.at), |word| word.span.end),
            End::Semicolon | End::Block | End::Lua => narrow(self.at + 1),
        };
        let id = DirectiveId(narrow(self.tree.nodes.len()));
        self.tree.nodes.push(Node {
            words,
            start,
            head_end: end,
            end,
            descendants_end: id.0 + 1,
            parent: self.open.last().copied(),
            terminator,
            closed: false,
        });
        self.first_word = self.tree.words.len();
        id
    }

    fn close(&mut self, id: DirectiveId, end: usize, closed: bool) {
        let descendants_end = narrow(self.tree.nodes.len());
        if let Some(node) = self.tree.nodes.get_mut(id.0 as usize) {
            node.end = narrow(end);
            node.closed = closed;
            node.descendants_end = descendants_end;
        }
    }

    fn finish(&mut self) {
        let end = span(self.size, self.size);
        if self.has_words() {
            self.directive(End::Missing);
            // A stray quote has been told already: it is the same end of file.
            if !self.stray_quote {
                self.trouble(self.unexpected_end().to_owned(), end, self.size);
            }
        } else if !self.open.is_empty() && !self.stray_quote {
            self.trouble(
                "unexpected end of file, expecting \"}\"".to_owned(),
                end,
                self.size,
            );
        }
        while let Some(id) = self.open.pop() {
            self.close(id, self.size, false);
        }
    }

    /// nginx refuses a word or comment that still wants bytes when its buffer is full of it: `read` is the last
    /// byte it reads with `counted_from` as the start. Tells whether it did.
    fn check_length(
        &mut self,
        start: usize,
        counted_from: usize,
        read: usize,
        within: Quote,
    ) -> bool {
        let full = counted_from + BUFFER;
        if self.input == Input::Globals || read < full || full >= self.size {
            return false;
        }
        let message = match within {
            Quote::Double => {
                "too long parameter, probably missing terminating \"\"\" character".to_owned()
            }
            Quote::Single => {
                "too long parameter, probably missing terminating \"'\" character".to_owned()
            }
            Quote::None => {
                let shown = self
                    .tree
                    .source
                    .get(counted_from..counted_from + 10)
                    .unwrap_or_default();
                format!(
                    "too long parameter \"{}...\" started",
                    String::from_utf8_lossy(shown)
                )
            }
        };
        let span = span(start, (start + 10).min(self.size));
        self.trouble(message, span, start);
        true
    }

    fn unexpected_end(&self) -> &'static str {
        match self.input {
            Input::File => "unexpected end of file, expecting \";\" or \"}\"",
            Input::Globals => "unexpected end of parameter, expecting \";\"",
        }
    }

    fn unexpected(&mut self, what: &str) {
        let here = span(self.at, self.at + 1);
        self.trouble(format!("unexpected \"{what}\""), here, self.at);
    }

    /// `line_at` is the byte whose line nginx names.
    fn trouble(&mut self, message: String, span: Span, line_at: usize) {
        if self
            .tree
            .troubles
            .last()
            .is_some_and(|last| last.span == span && !span.is_empty())
        {
            // One fault, met a second time on the way out.
            return;
        }
        // Troubles are mostly met in order; a long word is told at its end with the line of its start.
        if line_at < self.counted {
            self.line = 1;
            self.counted = 0;
        }
        let passed = self
            .tree
            .source
            .get(self.counted..line_at)
            .unwrap_or_default();
        self.line += narrow(memchr::memchr_iter(b'\n', passed).count());
        self.counted = line_at;
        self.tree.troubles.push(Trouble {
            message,
            span,
            line: self.line,
        });
    }
}

fn quote_of(mark: u8) -> Quote {
    if mark == b'"' {
        Quote::Double
    } else {
        Quote::Single
    }
}

fn span(start: usize, end: usize) -> Span {
    Span::new(narrow(start), narrow(end))
}

/// Offsets and counts within a file, of which at most 4 GiB are read.
fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Directive;

    /// Words joined by `|`, then `;`, a block in braces, Lua in `<>`, or `!` where nothing ends the directive.
    fn outline(tree: &Tree) -> String {
        fn add(outline: &mut String, directive: Directive<'_>) {
            let words =
                std::iter::once(directive.name()).chain(directive.args().map(crate::Arg::value));
            let words: Vec<String> = words.map(|word| word.escape_ascii().to_string()).collect();
            outline.push_str(&words.join("|"));
            if directive.is_lua_block() {
                let body = directive.block_span().expect("a block");
                let body = directive.tree().text(body).to_string();
                outline.extend(["<", &body, ">"]);
            } else if directive.is_block() {
                outline.push('{');
                directive.children().for_each(|child| add(outline, child));
                outline.push('}');
            } else {
                outline.push(if directive.is_terminated() { ';' } else { '!' });
            }
        }
        let mut outline = String::new();
        tree.directives()
            .for_each(|directive| add(&mut outline, directive));
        outline
    }

    #[test]
    fn words_and_blocks_are_told_apart_as_nginx_does() {
        for (source, expected) in [
            ("", ""),
            (" \t\r\n", ""),
            ("a;", "a;"),
            ("a b\tc\r\nd;", "a|b|c|d;"),
            ("a{b;}", "a{b;}"),
            ("a b { c { d; } e; }", "a|b{c{d;}e;}"),
            ("a{}b{}", "a{}b{}"),
            // A comment begins only where a word could.
            ("# a;\nb;", "b;"),
            ("a # b ; {\n;", "a;"),
            ("a#b;", "a#b;"),
            ("a \\#b;", "a|\\\\#b;"),
            ("#", ""),
            // Quotes, likewise.
            ("a \"b c\";", "a|b c;"),
            ("a 'b c';", "a|b c;"),
            ("a \"b;{}#\";", "a|b;{}#;"),
            ("a \"it's\" 'say \"x\"';", "a|it\\'s|say \\\"x\\\";"),
            ("a b\"c d\"e;", "a|b\\\"c|d\\\"e;"),
            ("a \"\" '';", "a||;"),
            ("a \"b\nc\";", "a|b\\nc;"),
            ("\"a\" b;", "a|b;"),
            ("a \"b\"{}", "a|b{}"),
            ("if ($x = \"a\") { }", "if|($x|=|a|){}"),
            // Backslashes.
            ("a b\\ c;", "a|b\\\\ c;"),
            ("a b\\;c;", "a|b\\\\;c;"),
            ("a b\\{c;", "a|b\\\\{c;"),
            ("a \"b\\\"c\";", "a|b\\\"c;"),
            ("a b\\\"c\\'d\\\\e;", "a|b\\\"c\\'d\\\\e;"),
            ("a \\t\\r\\n\\x;", "a|\\t\\r\\n\\\\x;"),
            ("a \"b\\\\\";", "a|b\\\\;"),
            // Braces.
            ("a ${b} c${d}e;", "a|${b}|c${d}e;"),
            ("a \"${b}\";", "a|${b};"),
            ("a $b{}", "a|$b{}"),
            ("a ${{b};", "a|${{b};"),
            ("a b}c;", "a|b}c;"),
            ("location ~ ^/a{2}$ { }", "location|~|^/a{2}${}}"),
            // Bytes beyond ASCII, and carriage returns as white space.
            ("a\rb;", "a|b;"),
            ("a é;", "a|\\xc3\\xa9;"),
            ("a\x0bb;", "a\\x0bb;"),
        ] {
            let tree = Tree::parse(source.into());
            assert_eq!(outline(&tree), expected, "{source}");
        }
        let latin = Tree::parse(b"a caf\xe9;".to_vec());
        assert_eq!(outline(&latin), "a|caf\\xe9;");
        assert_eq!(latin.troubles(), []);
    }

    #[test]
    fn lua_is_kept_whole() {
        for (source, expected) in [
            (
                "content_by_lua_block { t = {} } a;",
                "content_by_lua_block< t = {} >a;",
            ),
            (
                "set_by_lua_block $x { return '}' } a;",
                "set_by_lua_block|$x< return '}' >a;",
            ),
            (
                "l { access_by_lua_block { -- } \n} b; }",
                "l{access_by_lua_block< -- } \n>b;}",
            ),
            ("content_by_lua 'a }';", "content_by_lua|a };"),
            ("a_lua_block { b; }", "a_lua_block{b;}"),
        ] {
            let tree = Tree::parse(source.into());
            assert_eq!(outline(&tree), expected, "{source}");
            assert_eq!(tree.troubles(), [], "{source}");
        }
    }

    #[test]
    fn troubles_are_worded_as_nginx_words_them_and_the_rest_is_read() {
        let end = "unexpected end of file, expecting \";\" or \"}\"";
        for (source, expected, troubles) in [
            (";a;", "a;", vec![(1, "unexpected \";\"")]),
            ("{a;}b;", "{a;}b;", vec![(1, "unexpected \"{\"")]),
            ("a;\n}\nb;", "a;b;", vec![(2, "unexpected \"}\"")]),
            ("a {\n b\n}\nc;", "a{b!}c;", vec![(3, "unexpected \"}\"")]),
            (
                "a {\n b;\n",
                "a{b;}",
                vec![(3, "unexpected end of file, expecting \"}\"")],
            ),
            ("a\nb", "a|b!", vec![(2, end)]),
            ("a # b", "a!", vec![(1, end)]),
            ("a \"b\"c;", "a|b|c;", vec![(1, "unexpected \"c\"")]),
            ("a \"b\"\"c\";", "a|b|c;", vec![(1, "unexpected \"\"\"")]),
            (
                "a {\nb \"c\"}\nd;",
                "a{b|c!}d;",
                vec![(2, "unexpected \"}\"")],
            ),
            (
                "a \"b\u{e9}\"\u{e9};",
                "a|b\\xc3\\xa9|\\xc3\\xa9;",
                vec![(1, "unexpected \"\\xc3\"")],
            ),
            // A stray quote costs one line, not the rest of the file.
            ("a \"b;\nc d;\n\n", "a|b;|c|d;", vec![(4, end)]),
            (
                "a 'b;\nc d;\ne \"f;\ng;",
                "a|b;|c|d;e|f;|g;",
                vec![(4, end)],
            ),
            ("a \\", "a|\\\\!", vec![(1, end)]),
            ("a \"\\", "a|\\\\!", vec![(1, end)]),
            (
                "\u{feff}a b;\nc;",
                "a|b;c;",
                vec![(
                    1,
                    "unknown directive \"\u{feff}a\" (the file begins with a byte order mark)",
                )],
            ),
            ("\u{feff}", "", vec![(1, end)]),
            (
                "content_by_lua_block {\n\"}",
                "content_by_lua_block<\n\"}>",
                vec![(2, "unexpected end of file, expecting \"}\"")],
            ),
        ] {
            let tree = Tree::parse(source.into());
            assert_eq!(outline(&tree), expected, "{source}");
            let told: Vec<_> = tree
                .troubles()
                .iter()
                .map(|t| (t.line, t.message.as_str()))
                .collect();
            assert_eq!(told, troubles, "{source}");
        }
    }

    #[test]
    fn the_text_of_g_holds_no_blocks() {
        for (source, trouble) in [
            ("daemon off;", None),
            (
                "daemon off",
                Some("unexpected end of parameter, expecting \";\""),
            ),
            (
                "events { }",
                Some("block directives are not supported in -g option"),
            ),
        ] {
            let tree = Tree::parse_globals(source.into());
            assert_eq!(
                tree.troubles().first().map(|t| t.message.as_str()),
                trouble,
                "{source}"
            );
        }
    }

    #[test]
    fn spans_cover_what_they_name() {
        let tree = Tree::parse(b"a;\n  b 'c d' # x\n e { f; }\ng".to_vec());
        let text = |span| tree.text(span).to_string();
        let b = tree.directives().nth(1).expect("b");
        assert_eq!(text(b.span()), "b 'c d' # x\n e { f; }");
        assert_eq!(text(b.head_span()), "b 'c d' # x\n e {");
        assert_eq!(b.block_span().map(text), Some(" f; ".to_owned()));
        assert_eq!(text(b.name_span()), "b");
        assert_eq!(text(b.terminator_span()), "{");
        assert_eq!(
            b.arg(0).map(|arg| (text(arg.span()), arg.quote())),
            Some(("'c d'".to_owned(), Quote::Single))
        );
        let f = b.children().next().expect("f");
        assert_eq!(f.parent().map(Directive::id), Some(b.id()));
        let g = tree.directives().nth(2).expect("g");
        assert_eq!(
            (text(g.span()), g.is_terminated(), g.is_block()),
            ("g".to_owned(), false, false)
        );
        let position = b.position();
        assert_eq!((position.line, position.column), (2, 3));
        let at_f = tree.directive_at(f.span().start).map(Directive::id);
        assert_eq!(at_f, Some(f.id()));
    }

    #[test]
    fn positions_count_bytes_from_one() {
        let tree = Tree::parse(b"ab\nc\r\n\xc3\xa9x\n".to_vec());
        for (offset, line, column) in [
            (0, 1, 1),
            (2, 1, 3),
            (3, 2, 1),
            (6, 3, 1),
            (8, 3, 3),
            (10, 4, 1),
            (99, 4, 90),
        ] {
            let position = tree.position(offset);
            assert_eq!((position.line, position.column), (line, column), "{offset}");
        }
        let lines: Vec<_> = (0..6)
            .map(|line| tree.line(line).map(ToString::to_string))
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            lines,
            [None, text("ab"), text("c"), text("éx"), text(""), None]
        );
    }
}
