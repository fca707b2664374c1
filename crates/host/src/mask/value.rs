//! Where the value of a name begins and ends.
//!
//! What is written after a name is often not a secret: a variable, a path, `off`, a port. Masking those would change
//! what a configuration means, so they stay.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memchr3};

use super::Shape;

/// How far is looked around a name: longer words are none.
const NEAR: usize = 64;
/// How far is looked for the end of a configuration line.
const LINE: usize = 512;

/// The value to mask after a name, if there is one.
pub(super) fn of(bytes: &[u8], name: &Range<usize>, shape: Shape) -> Option<Range<usize>> {
    let key = Key::around(bytes, name);
    let tail = bytes.get(name.end..key.end)?;
    if is_about(tail) {
        return None;
    }
    let separator = Separator::after(bytes, &key)?;
    if separator.mark == Mark::Colon && !key.may_have_colon(tail) {
        return None;
    }
    let value = Value {
        bytes,
        start: separator.end,
        quotes_end: shape != Shape::Text,
        // Only after a colon may a header's value go on after a space.
        header: (separator.mark == Mark::Colon)
            .then(|| Header::of(bytes.get(name.clone())))
            .flatten(),
        outer: key.outer,
    };
    let value = value.range();
    let text = bytes.get(value.clone())?;
    let kept = text.is_empty()
        || is_no_secret(text)
        || is_path(text, separator.mark)
        || separator.is_tight() && separator.mark == Mark::Colon && is_number(text)
        || is_variable(bytes, &value)
        || key.is_zone(bytes);
    (!kept).then_some(value)
}

/// Whether the rest of a name says that it tells of a secret only: where it is, how long it lives.
pub(super) fn is_about(tail: &[u8]) -> bool {
    const ABOUT: [&[u8]; 12] = [
        b"file",
        b"path",
        b"dir",
        b"timeout",
        b"length",
        b"policy",
        b"lifetime",
        b"ttl",
        b"expires",
        b"type",
        b"flags",
        b"domain",
    ];
    let tail = tail.to_ascii_lowercase();
    ABOUT.iter().any(|about| tail.ends_with(about))
}

/// The word that a name stands in.
struct Key {
    start: usize,
    end: usize,
    /// The end with closing quotes and brackets.
    closed: usize,
    quoted: bool,
    /// The quote in which the word begins and does not end: `"password=a b"`.
    outer: Option<u8>,
}

impl Key {
    fn around(bytes: &[u8], name: &Range<usize>) -> Self {
        let before = bytes
            .get(name.start.saturating_sub(NEAR)..name.start)
            .unwrap_or_default();
        let prefix = before
            .iter()
            .rev()
            .take_while(|&&byte| is_word(byte) || byte == b'.')
            .count();
        let start = name.start - prefix;
        let end = name.end + count(bytes, name.end, NEAR, is_word);
        let closed = end
            + count(bytes, end, 4, |byte| {
                matches!(byte, b'\\' | b'"' | b'\'' | b']')
            });
        let quoted = closed > end;
        let outer = start
            .checked_sub(1)
            .and_then(|before| bytes.get(before).copied())
            .filter(|&byte| !quoted && matches!(byte, b'"' | b'\''));
        Self {
            start,
            end,
            closed,
            quoted,
            outer,
        }
    }

    /// Prose and host names put a colon after any word: `token-service: started`.
    fn may_have_colon(&self, tail: &[u8]) -> bool {
        const MORE: [&[u8]; 8] = [
            b"", b"s", b"key", b"id", b"base", b"value", b"hash", b"salt",
        ];
        let tail = tail.to_ascii_lowercase();
        self.quoted
            || tail.iter().all(u8::is_ascii_digit)
            || tail
                .split(|byte| matches!(byte, b'_' | b'-'))
                .all(|word| MORE.contains(&word))
    }

    /// `zone=token:10m`: the word is a name of its owner's choice.
    fn is_zone(&self, bytes: &[u8]) -> bool {
        bytes
            .get(..self.start)
            .is_some_and(|before| before.ends_with(b"zone="))
    }

    fn is_option(&self, bytes: &[u8]) -> bool {
        bytes.get(self.start) == Some(&b'-')
    }

    /// Whether the word before says that a value follows: `proxy_set_header Authorization VALUE`, `set $token VALUE`.
    fn is_argument(&self, bytes: &[u8]) -> bool {
        const BEFORE: [&[u8]; 4] = [b"_set_header", b"add_header", b"_param", b"set"];
        let before = bytes
            .get(self.start.saturating_sub(NEAR)..self.start)
            .unwrap_or_default();
        let before = before.strip_suffix(b"$").unwrap_or(before);
        let word = before.trim_ascii_end();
        word.len() < before.len()
            && word
                .rsplit(|byte| byte.is_ascii_whitespace() || matches!(byte, b';' | b'{'))
                .next()
                .is_some_and(|word| BEFORE.iter().any(|end| word.ends_with(end)))
    }

    /// Directives whose only argument is a secret.
    fn is_directive(&self, bytes: &[u8]) -> bool {
        bytes.get(self.start..self.end) == Some(b"secure_link_secret")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Equals,
    Colon,
    /// White space, or the end of an argument.
    Space,
}

/// What stands between a name and its value.
struct Separator {
    mark: Mark,
    start: usize,
    end: usize,
}

impl Separator {
    fn after(bytes: &[u8], key: &Key) -> Option<Self> {
        let at = key.closed + count(bytes, key.closed, NEAR, is_space);
        let marked = |mark, length: usize| {
            let after = at + length;
            Self {
                mark,
                start: key.closed,
                end: after + count(bytes, after, NEAR, is_space),
            }
        };
        match bytes.get(at..)? {
            [b':', b'/', b'/', ..] => None,
            [b':' | b'=', b'=' | b'>', ..] => Some(marked(Mark::Equals, 2)),
            [b'=', ..] => Some(marked(Mark::Equals, 1)),
            [b':', ..] => Some(marked(Mark::Colon, 1)),
            [0, next, ..] if key.is_option(bytes) && at == key.closed && *next != b'-' => {
                Some(marked(Mark::Space, 1))
            }
            [next, ..] if at > key.closed => {
                let follows = key.is_option(bytes) && *next != b'-'
                    || key.is_argument(bytes)
                    || key.is_directive(bytes);
                follows.then(|| marked(Mark::Space, 0))
            }
            _ => None,
        }
    }

    /// No white space: `host:80`.
    fn is_tight(&self) -> bool {
        self.end == self.start + 1
    }
}

/// Headers with a form of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    Authorization,
    Cookie,
}

impl Header {
    fn of(name: Option<&[u8]>) -> Option<Self> {
        let name = name?;
        if name.eq_ignore_ascii_case(b"authorization") {
            Some(Self::Authorization)
        } else if name.eq_ignore_ascii_case(b"cookie") {
            Some(Self::Cookie)
        } else {
            None
        }
    }
}

struct Value<'a> {
    bytes: &'a [u8],
    start: usize,
    /// Every quote ends the value: strangers may have written it.
    quotes_end: bool,
    header: Option<Header>,
    outer: Option<u8>,
}

impl Value<'_> {
    fn range(&self) -> Range<usize> {
        let slashes = count(self.bytes, self.start, 8, |byte| byte == b'\\');
        let open = self.start + slashes;
        match self.bytes.get(open) {
            Some(&quote @ (b'"' | b'\'')) => {
                let start = open + 1;
                let end = start + self.to_quote(start, quote, slashes == 0);
                self.after_scheme(start, end)
            }
            _ => match self.outer {
                Some(quote) => {
                    let end = self.start + self.to_quote(self.start, quote, true);
                    self.after_scheme(self.start, end)
                }
                None => self.bare(),
            },
        }
    }

    /// The bytes up to a closing quote, or up to the end of the line.
    fn to_quote(&self, start: usize, quote: u8, escapes: bool) -> usize {
        let rest = self.line(start);
        if self.quotes_end {
            let end = memchr2(b'"', quote, rest).unwrap_or(rest.len());
            // In text that is quoted as a whole the closing quote has a backslash too.
            let text = rest.get(..end).unwrap_or_default();
            return text.len() - text.iter().rev().take_while(|&&byte| byte == b'\\').count();
        }
        let mut at = 0;
        while let Some(found) = rest.get(at..).and_then(|rest| memchr(quote, rest)) {
            let end = at + found;
            let before = rest.get(..end).unwrap_or_default();
            let slashes = before
                .iter()
                .rev()
                .take_while(|&&byte| byte == b'\\')
                .count();
            if !escapes {
                return end - slashes;
            }
            if slashes % 2 == 0 {
                return end;
            }
            at = end + 1;
        }
        rest.len()
    }

    /// The rest of the line, or of the argument.
    fn line(&self, start: usize) -> &[u8] {
        let rest = self.bytes.get(start..).unwrap_or_default();
        let end = memchr3(b'\n', b'\r', 0, rest).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// A value without quotes.
    fn bare(&self) -> Range<usize> {
        match self.header {
            Some(Header::Cookie) => self.start..self.start + self.to_any_quote(),
            Some(Header::Authorization) => {
                if self.has_parameters() && !self.quotes_end {
                    return self.after_scheme(self.start, self.start + self.line(self.start).len());
                }
                let line = self.after_scheme(self.start, self.start + self.to_any_quote());
                let first = self.word(line.start);
                // A scheme that is not known, and its credentials. A word with a colon begins something else.
                let next = first + 1;
                let second = self.word(next);
                let credentials = line.start == self.start
                    && self.bytes.get(first) == Some(&b' ')
                    && !self
                        .bytes
                        .get(next..second)
                        .unwrap_or_default()
                        .contains(&b':');
                line.start..if credentials { second } else { first }
            }
            None => self.start..self.word(self.start),
        }
    }

    fn to_any_quote(&self) -> usize {
        let rest = self.line(self.start);
        let end = memchr2(b'"', b'\'', rest).unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default();
        text.len() - text.iter().rev().take_while(|&&byte| byte == b'\\').count()
    }

    /// Where a word ends.
    fn word(&self, start: usize) -> usize {
        let rest = self.line(start);
        let ends = |(at, &byte): (usize, &u8)| {
            byte.is_ascii_whitespace()
                || b"\"'`&;,)}]<>|".contains(&byte)
                || byte == b'\\'
                    && matches!(
                        rest.get(at + 1),
                        Some(b'"' | b'\'' | b'n' | b'r' | b't' | b'\\')
                    )
        };
        start + rest.iter().enumerate().position(ends).unwrap_or(rest.len())
    }

    /// The schemes of an authorization tell nothing, and help to understand it.
    fn after_scheme(&self, start: usize, end: usize) -> Range<usize> {
        const SCHEMES: [&[u8]; 7] = [
            b"basic ",
            b"bearer ",
            b"digest ",
            b"negotiate ",
            b"token ",
            b"apikey ",
            b"aws4-hmac-sha256 ",
        ];
        let value = self.bytes.get(start..end).unwrap_or_default();
        let scheme = SCHEMES.iter().find(|scheme| {
            value
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        start + scheme.map_or(0, |scheme| scheme.len())..end
    }

    /// `Digest username="a", realm="b"`.
    fn has_parameters(&self) -> bool {
        let value = self.line(self.start);
        [&b"digest "[..], b"aws4-hmac-sha256 "]
            .iter()
            .any(|scheme| {
                value
                    .get(..scheme.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// How many bytes from `start` on, `most` at most, are such.
fn count(bytes: &[u8], start: usize, most: usize, such: impl Fn(u8) -> bool) -> usize {
    bytes
        .get(start..)
        .unwrap_or_default()
        .iter()
        .take(most)
        .take_while(|&&byte| such(byte))
        .count()
}

/// Words that switch something, the beginning of a structure, and a value that a log has not got.
fn is_no_secret(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 10] = [
        b"on", b"off", b"true", b"false", b"yes", b"no", b"none", b"null", b"-", b"default",
    ];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) || matches!(text, [b'{' | b'[', ..])
}

/// A host's port.
fn is_number(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=5).contains(&digits) && text.get(digits).is_none_or(|&byte| byte == b'/')
}

/// A secret may begin with a slash too, as base64 may, but hardly reads as a path.
fn is_path(text: &[u8], mark: Mark) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-@:".contains(byte);
    let slashes = memchr_iter(b'/', text).count();
    text.starts_with(b"/") && text.iter().all(plain) && (mark == Mark::Colon || slashes > 1)
}

/// A variable, in a line that ends as those of a configuration do.
fn is_variable(bytes: &[u8], value: &Range<usize>) -> bool {
    let text = bytes.get(value.clone()).unwrap_or_default();
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'{' | b'}' | b'$');
    let variable = match text {
        [b'$', rest @ ..] => !rest.is_empty() && rest.iter().all(is_name),
        _ => false,
    };
    if !variable {
        return false;
    }
    let rest = bytes.get(value.end..).unwrap_or_default();
    let rest = rest.get(..LINE).unwrap_or(rest);
    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    matches!(line.trim_ascii_end().last(), Some(b';' | b'{' | b'}'))
}
