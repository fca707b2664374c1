//! Fragments that people paste: without a date, a level or a client, quoted, escaped, wrapped.
//!
//! Lenient where [`super::parse`] is strict, and therefore only for text that nobody counts.
//! The class still comes from nginx's own words alone, matched where a word begins.

use super::action::While;
use super::carrier::Carrier;
use super::fields::{self, Context, Fields, Tail};
use super::phrases::Row;
use super::{Event, Head, Matched, assemble, carrier, number, phrase, trim_line_end};
use crate::Level;
use bstr::{BStr, ByteSlice as _};
use std::borrow::Cow;

/// A pasted text, freed from what carried it.
#[derive(Clone, Debug)]
pub struct Pasted<'a> {
    text: Cow<'a, [u8]>,
}

impl<'a> Pasted<'a> {
    /// Undoes HTML entities, typographic quotes, escaped quotes, containers' lines and wrapping.
    pub fn new(text: &'a [u8]) -> Self {
        let text = match carrier::plain(text).1 {
            Cow::Borrowed(text) => unescape(text),
            Cow::Owned(text) => Cow::Owned(unescape(&text).into_owned()),
        };
        let rejoined = rejoin(&text);
        Self {
            text: rejoined.map_or(text, Cow::Owned),
        }
    }

    /// What was pasted, as it is read.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The events of the text, in order, each with the line it was found in. A text that tells of none gives none.
    pub fn events(&self) -> impl Iterator<Item = (&BStr, Event<'_>)> {
        self.text
            .lines()
            .filter_map(|line| Some((line.as_bstr(), parse_pasted(line)?)))
    }
}

/// Parses one pasted line, however little of it is left; `None` when it tells of nothing that nginx says.
pub fn parse_pasted(line: &[u8]) -> Option<Event<'_>> {
    let line = decoration(trim_line_end(line));
    let strict = super::parse(line);
    match strict {
        Some(event)
            if event.context != Context::None && (!event.truncated || event.upstream.is_some()) =>
        {
            Some(event)
        }
        _ => fragment(line).or(strict),
    }
}

fn fragment(line: &[u8]) -> Option<Event<'_>> {
    let (head, rest) = some_head(line);
    let (row, message, after) = find(rest, head.level.is_some())?;
    let tail = lenient_tail(after);
    // Prose goes on behind nginx's words; a line of nginx's does not.
    let told = head.level.is_some()
        || (tail.rest.is_empty() && (tail.says_more() || message.len() == rest.len()));
    if !told {
        return None;
    }
    let matched = Matched {
        row: Some(row),
        message,
        tail: Some(tail.tail),
        ambiguous: false,
    };
    Some(Event {
        carrier: Carrier::Pasted,
        ..assemble(head, matched, false)
    })
}

/// How many lines a terminal or a mail makes of one.
const MAX_WRAPPED: usize = 16;

/// Puts lines together that were wrapped; `None` when there are none.
fn rejoin(text: &[u8]) -> Option<Vec<u8>> {
    let lines: Vec<_> = text.lines().collect();
    let mut joined = Vec::with_capacity(text.len());
    let mut changed = false;
    let mut at = 0;
    while let Some(first) = lines.get(at) {
        let (line, count) = unwrapped(first, lines.get(at + 1..).unwrap_or_default());
        changed |= count > 0;
        joined.extend_from_slice(&line);
        joined.push(b'\n');
        at += 1 + count;
    }
    changed.then_some(joined)
}

/// A line with what belongs to it of the lines behind, and how many those are.
fn unwrapped<'a>(first: &'a [u8], behind: &[&[u8]]) -> (Cow<'a, [u8]>, usize) {
    let headed = |line: &[u8]| some_head(decoration(line)).0.level.is_some();
    let mut best = (Cow::Borrowed(first), 0);
    if !headed(first) {
        return best;
    }
    let mut most = fields_told(first);
    // Terminals break anywhere, mails at spaces.
    for between in [&b""[..], b" "] {
        let mut line = first.trim_ascii_end().to_vec();
        for (idx, more) in behind
            .iter()
            .take(MAX_WRAPPED)
            .enumerate()
            .take_while(|(_, line)| !headed(line))
        {
            line.extend_from_slice(between);
            line.extend_from_slice(more.trim_ascii());
            let told = fields_told(&line);
            if told > most {
                most = told;
                best = (Cow::Owned(line.clone()), idx + 1);
            }
        }
    }
    best
}

/// How many fields a line has to its end; none when it breaks off within one.
fn fields_told(line: &[u8]) -> usize {
    let Some(event) = parse_pasted(line).filter(|event| !event.truncated) else {
        return 0;
    };
    let told = [
        event.client,
        event.server,
        event.request,
        event.subrequest,
        event.host,
        event.referrer,
    ];
    told.iter().flatten().count() + usize::from(event.upstream.is_some())
}

/// Quote marks of mail, shells, lists and markdown around a line.
fn decoration(line: &[u8]) -> &[u8] {
    let outer =
        |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'`' | b'|' | b'$' | b'#');
    let start = line
        .iter()
        .position(|&byte| !outer(byte))
        .unwrap_or(line.len());
    let end = line
        .iter()
        .rposition(|&byte| !outer(byte))
        .map_or(start, |at| at + 1);
    line.get(start..end).unwrap_or_default()
}

/// As much of a head as there is, wherever it begins: the first `[level]`, else nothing.
fn some_head(line: &[u8]) -> (Head, &[u8]) {
    if let Some((head, rest)) = Head::parse(line) {
        return (head, rest);
    }
    let level = Level::ALL.into_iter().find_map(|level| {
        let at = line.find(format!("[{level}] "))?;
        Some((
            level,
            line.get(at + level.as_str().len() + 3..)?,
            line.get(..at)?,
        ))
    });
    let Some((level, rest, before)) = level else {
        let (connection, rest) = Head::parse_connection(line);
        return (
            Head {
                connection,
                ..Head::default()
            },
            rest,
        );
    };
    let time = before
        .len()
        .checked_sub(crate::LocalTime::LENGTH + 1)
        .and_then(|at| crate::LocalTime::parse(before.get(at..)?));
    let process = || {
        let (pid, rest) = number(rest)?;
        let (tid, rest) = number(rest.strip_prefix(b"#")?)?;
        Some((u32::try_from(pid).ok()?, tid, rest.strip_prefix(b": ")?))
    };
    let (pid, tid, rest) = process().map_or((None, None, rest), |(pid, tid, rest)| {
        (Some(pid), Some(tid), rest)
    });
    let (connection, rest) = Head::parse_connection(rest);
    (
        Head {
            time,
            level: Some(level),
            pid,
            tid,
            connection,
        },
        rest,
    )
}

/// nginx's words: at the start behind a head, else where a word begins and only for failures.
fn find(rest: &[u8], headed: bool) -> Option<(&'static Row, &[u8], &[u8])> {
    let at_start = |text| {
        let row = phrase(text)?;
        let end = message_end(row, text);
        Some((row, text.get(..end)?, text.get(end..)?))
    };
    if headed {
        return at_start(rest);
    }
    word_starts(rest).find_map(|at| {
        let text = rest.get(at..)?;
        let (row, message, after) = at_start(text)?;
        (row.literal.len() > 8 && row.rule.may_be_upstream_failure())
            .then_some((row, message, after))
    })
}

fn word_starts(text: &[u8]) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(text.iter().enumerate().filter_map(|(at, byte)| {
        matches!(byte, b' ' | b'"' | b'\'' | b'`' | b':' | b'(').then_some(at + 1)
    }))
}

/// Where the message ends: the first place whose rest a lenient tail understands.
fn message_end(row: &Row, text: &[u8]) -> usize {
    let from = super::text_start(row, text);
    if row.then == super::phrases::Then::Nothing {
        return from;
    }
    let places = memchr::memchr2_iter(b' ', b',', text.get(from..).unwrap_or_default());
    let understood = |at: &usize| lenient_tail(text.get(*at..).unwrap_or_default()).says_more();
    std::iter::once(from)
        .chain(places.map(|at| from + at))
        .find(understood)
        .unwrap_or(text.len())
}

struct LenientTail<'a> {
    tail: Tail<'a>,
    rest: &'a [u8],
}

impl LenientTail<'_> {
    fn says_more(&self) -> bool {
        self.tail.errno.is_some()
            || self.tail.action.is_some()
            || self.tail.fields.context != Context::None
    }
}

/// Errno, action and fields, each of which may be missing, the fields in any order.
fn lenient_tail(text: &[u8]) -> LenientTail<'_> {
    if let Some(tail) = fields::tail(text).filter(|tail| !tail.fields.cut) {
        return LenientTail { tail, rest: b"" };
    }
    let (errno, rest) = fields::errno(text);
    let (action, rest) = action(rest);
    let (fields, rest) = any_fields(rest);
    // What encloses a quotation.
    let rest =
        rest.trim_start_with(|c| matches!(c, '"' | '\'' | '`' | '.' | ',' | ' ' | ')' | '…'));
    LenientTail {
        tail: Tail {
            errno,
            action,
            fields,
        },
        rest,
    }
}

fn action(rest: &[u8]) -> (Option<While>, &[u8]) {
    let Some(after) = rest.strip_prefix(b" while ") else {
        return (None, rest);
    };
    let longest = While::ALL
        .iter()
        .filter(|action| after.starts_with(action.as_str().as_bytes()))
        .max_by_key(|action| action.as_str().len());
    match longest {
        Some(action) => (
            Some(*action),
            after.get(action.as_str().len()..).unwrap_or_default(),
        ),
        None => (None, rest),
    }
}

const KEYS: [&str; 7] = [
    "client",
    "server",
    "request",
    "subrequest",
    "upstream",
    "host",
    "referrer",
];

fn key(rest: &[u8]) -> Option<(&'static str, &[u8])> {
    let rest = rest
        .strip_prefix(b", ")
        .or_else(|| rest.strip_prefix(b" "))?;
    KEYS.into_iter()
        .find_map(|key| Some((key, rest.strip_prefix(key.as_bytes())?.strip_prefix(b": ")?)))
}

fn any_fields(mut rest: &[u8]) -> (Fields<'_>, &[u8]) {
    let mut fields = Fields::NONE;
    while let Some((name, after)) = key(rest) {
        fields.context = Context::Http;
        let (quoted, value) = match after.strip_prefix(b"\"") {
            Some(value) => (true, value),
            None => (false, after),
        };
        let end = value_end(value, quoted);
        let (value, next) = value.split_at_checked(end).unwrap_or((value, b""));
        rest = if quoted {
            next.get(1..).unwrap_or_default()
        } else {
            next
        };
        let text = Some(value.as_bstr());
        // The first of a kind stands: a client's text can only come later.
        match name {
            "client" => fields.client = fields.client.or(text),
            "server" => fields.server = fields.server.or(text),
            "request" => fields.request = fields.request.or(text),
            "subrequest" => fields.subrequest = fields.subrequest.or(text),
            "upstream" => fields.upstream = fields.upstream.or(Some(value)),
            "host" => fields.host = fields.host.or(text),
            _ => fields.referrer = fields.referrer.or(text),
        }
        fields.cut |= quoted && next.is_empty();
    }
    (fields, rest)
}

fn value_end(value: &[u8], quoted: bool) -> usize {
    let ends = |at: &usize| {
        let rest = value.get(at + usize::from(quoted)..).unwrap_or_default();
        rest.is_empty() || key(rest).is_some()
    };
    let by = if quoted { b'"' } else { b',' };
    memchr::memchr_iter(by, value)
        .find(ends)
        // A quotation may go on behind the last field.
        .or_else(|| quoted.then(|| memchr::memchr(b'"', value)).flatten())
        .unwrap_or(value.len())
}

/// What browsers, chats and JSON make of quotes and spaces.
const ESCAPES: [(&str, &str); 17] = [
    ("&quot;", "\""),
    ("&#34;", "\""),
    ("&#x22;", "\""),
    ("&#39;", "'"),
    ("&#x27;", "'"),
    ("&apos;", "'"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&nbsp;", " "),
    ("&#58;", ":"),
    ("&#47;", "/"),
    ("&amp;", "&"),
    ("\u{201c}", "\""),
    ("\u{201d}", "\""),
    ("\u{201e}", "\""),
    ("\u{a0}", " "),
    ("\\\"", "\""),
];

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(0x1b, text).is_some() {
        return Cow::Owned(unescape(&without_colours(text)).into_owned());
    }
    if !ESCAPES
        .iter()
        .any(|(escaped, _)| text.contains_str(escaped))
    {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.first() {
        let escape = ESCAPES
            .iter()
            .find(|(escaped, _)| rest.starts_with(escaped.as_bytes()));
        let (bytes, length) = escape
            .map_or((std::slice::from_ref(first), 1), |(escaped, plain)| {
                (plain.as_bytes(), escaped.len())
            });
        plain.extend_from_slice(bytes);
        rest = rest.get(length..).unwrap_or_default();
    }
    Cow::Owned(plain)
}

/// Without a terminal's `ESC [ ... m`.
fn without_colours(text: &[u8]) -> Vec<u8> {
    let mut parts = text.split_str("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let codes = part
            .iter()
            .take_while(|byte| byte.is_ascii_digit() || **byte == b';')
            .count();
        let after = part.get(codes..).unwrap_or_default();
        plain.extend_from_slice(after.get(1..).unwrap_or_default());
    }
    plain.retain(|&byte| byte != 0x1b);
    plain
}
