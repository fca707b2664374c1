//! The part of a line that nginx's grammar fixes: errno, action, then the fields in their one order.
//!
//! Strictly left to right. A field never looks to its right for its own start, so text that a client
//! wrote into a later field can never become an earlier one.

use super::action::While;
use super::errno::Errno;
use super::forgery::Forgery;
use bstr::{BStr, ByteSlice};
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// What ends a field; searchers are made once, for to make one costs more than to search a line.
static COMMA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b", "));
pub(super) static CLIENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b", client: "));
pub(super) static SERVER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b", server: "));
static UPSTREAM_KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\", upstream: \""));

/// Which of nginx's handlers wrote the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// An HTTP request, or an HTTP connection before its request.
    Http,
    /// A stream session.
    Stream,
    /// A query to a name server.
    Resolver,
    /// A message to a syslog server.
    Syslog,
    /// A query to an OCSP responder.
    Ocsp,
    /// None: nginx itself, or a line that was cut before.
    None,
}

/// What follows the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail<'a> {
    pub(super) errno: Option<Errno<'a>>,
    pub(super) action: Option<While>,
    pub(super) fields: Fields<'a>,
}

/// The fields, as raw values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    pub(super) context: Context,
    pub(super) client: Option<&'a BStr>,
    pub(super) server: Option<&'a BStr>,
    pub(super) request: Option<&'a BStr>,
    pub(super) subrequest: Option<&'a BStr>,
    pub(super) upstream: Option<&'a [u8]>,
    pub(super) host: Option<&'a BStr>,
    pub(super) referrer: Option<&'a BStr>,
    /// The name server, syslog server or responder.
    pub(super) party: Option<&'a BStr>,
    /// The line ends within a value or a key.
    pub(super) cut: bool,
    pub(super) forgery: Option<Forgery>,
    /// The session is of datagrams.
    pub(super) udp: bool,
}

impl Fields<'_> {
    pub(super) const NONE: Self = Self {
        context: Context::None,
        client: None,
        server: None,
        request: None,
        subrequest: None,
        upstream: None,
        host: None,
        referrer: None,
        party: None,
        cut: false,
        forgery: None,
        udp: false,
    };
}

/// Parses everything behind a message; `None` when `rest` does not follow the grammar to its end.
pub(super) fn tail(rest: &[u8]) -> Option<Tail<'_>> {
    let (errno, rest) = errno(rest);
    let (action, rest) = match rest.strip_prefix(b" while ") {
        Some(after) => {
            let end = COMMA.find(after).unwrap_or(after.len());
            let (words, rest) = after.split_at_checked(end)?;
            (Some(While::from_bytes(words)?), rest)
        }
        None => (None, rest),
    };
    let fields = fields(rest, action)?;
    Some(Tail {
        errno,
        action,
        fields,
    })
}

/// ` (111: Connection refused)`; otherwise nothing is taken.
pub(super) fn errno(rest: &[u8]) -> (Option<Errno<'_>>, &[u8]) {
    let parsed = || {
        let digits = rest.strip_prefix(b" (")?;
        let colon = digits.iter().position(|byte| !byte.is_ascii_digit())?;
        let number = digits.get(..colon)?.to_str().ok()?.parse().ok()?;
        let text = digits.get(colon..)?.strip_prefix(b": ")?;
        let close = memchr::memchr(b')', text)?;
        Some((
            Errno {
                number,
                text: text.get(..close)?,
            },
            text.get(close + 1..)?,
        ))
    };
    match parsed() {
        Some((errno, rest)) => (Some(errno), rest),
        None => (None, rest),
    }
}

fn fields(rest: &[u8], action: Option<While>) -> Option<Fields<'_>> {
    if rest.is_empty() {
        return Some(Fields::NONE);
    }
    if b", client: ".starts_with(rest) {
        return Some(Fields {
            cut: true,
            ..Fields::NONE
        });
    }
    if let Some(after) = rest.strip_prefix(b", client: ") {
        return Some(connection(after));
    }
    if let Some(after) = rest.strip_prefix(b", udp client: ") {
        return Some(Fields {
            udp: true,
            ..connection(after)
        });
    }
    let (context, after) = if let Some(after) = rest.strip_prefix(b", resolver: ") {
        (Context::Resolver, after)
    } else if let Some(after) = rest.strip_prefix(b", responder: ") {
        (Context::Ocsp, after)
    } else if let (Some(While::LoggingToSyslog), Some(after)) =
        (action, rest.strip_prefix(b", server: "))
    {
        (Context::Syslog, after)
    } else {
        return None;
    };
    let end = COMMA.find(after).unwrap_or(after.len());
    Some(Fields {
        context,
        party: after.get(..end).map(ByteSlice::as_bstr),
        ..Fields::NONE
    })
}

/// The quoted fields behind `server:`, in nginx's order. Angie spells the first `request_line`.
const KEYS: [&[u8]; 6] = [
    b", request: \"",
    b", subrequest: \"",
    b", upstream: \"",
    b", host: \"",
    b", referrer: \"",
    b", request_line: \"",
];
const REQUEST: usize = 0;
const SUBREQUEST: usize = 1;
const UPSTREAM: usize = 2;
const HOST: usize = 3;
const REFERRER: usize = 4;
const REQUEST_LINE: usize = 5;
const STREAM: &[u8] = b", bytes from/to client:";

/// The key that `rest` begins with, if it may follow the field before: `(index in the order, its length)`.
fn key(rest: &[u8], after: usize) -> Option<(usize, usize)> {
    if !rest.starts_with(b", ") {
        return None;
    }
    let idx = KEYS.iter().position(|key| rest.starts_with(key))?;
    let order = if idx == REQUEST_LINE { REQUEST } else { idx };
    (order >= after).then_some((order, KEYS.get(idx)?.len()))
}

fn connection(rest: &[u8]) -> Fields<'_> {
    let mut fields = Fields {
        context: Context::Http,
        ..Fields::NONE
    };
    // Angie quotes every string.
    let quoted = rest.first() == Some(&b'"');
    let Some(end) = SERVER.find(rest) else {
        // A client without a server: the line was cut.
        fields.cut = true;
        return fields;
    };
    let (client, rest) = rest.split_at_checked(end).unwrap_or((rest, b""));
    fields.client = Some(unquote(client, quoted).as_bstr());
    let rest = rest.get(b", server: ".len()..).unwrap_or_default();
    let end = server_end(rest);
    let (server, rest) = rest.split_at_checked(end).unwrap_or((rest, b""));
    fields.server = Some(unquote(server, quoted).as_bstr());
    quoted_fields(rest, fields)
}

fn unquote(value: &[u8], quoted: bool) -> &[u8] {
    if !quoted {
        return value;
    }
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    value.strip_suffix(b"\"").unwrap_or(value)
}

/// A server's name is the configuration's; it ends where the first key begins.
fn server_end(rest: &[u8]) -> usize {
    COMMA
        .find_iter(rest)
        .find(|&at| {
            let rest = rest.get(at..).unwrap_or_default();
            key(rest, REQUEST).is_some()
                || rest.starts_with(STREAM)
                || rest.starts_with(b", protocol: ")
        })
        .unwrap_or(rest.len())
}

fn quoted_fields<'a>(mut rest: &'a [u8], mut fields: Fields<'a>) -> Fields<'a> {
    let mut next = REQUEST;
    while let Some((order, length)) = key(rest, next) {
        let after = rest.get(length..).unwrap_or_default();
        let end = match order {
            REQUEST => request_end(after),
            REFERRER => after.ends_with(b"\"").then(|| after.len() - 1),
            _ => value_end(after, order + 1),
        };
        let Some(end) = end else {
            fields.cut = true;
            // The peer stands at the value's start: it is known even where its URI is cut.
            match order {
                UPSTREAM => fields.upstream = Some(after),
                REQUEST => fields.request = Some(after.as_bstr()),
                _ => {}
            }
            return fields;
        };
        let (value, tail) = after.split_at_checked(end).unwrap_or((after, b""));
        match order {
            REQUEST => {
                fields.request = Some(value.as_bstr());
                // HTTP/0.9 before nginx 1.21.1 lets a request hold anything, and has no `host:` to end it.
                if !ends_in_version(value) && second_upstream(after) {
                    fields.forgery = Some(Forgery::FieldTwice);
                    return fields;
                }
            }
            SUBREQUEST => {
                fields.subrequest = Some(value.as_bstr());
                // A decoded URI may hold anything: with a second `upstream:` nobody can tell which is nginx's.
                if second_upstream(after) {
                    fields.forgery = Some(Forgery::FieldTwice);
                    return fields;
                }
            }
            UPSTREAM => fields.upstream = Some(value),
            HOST => fields.host = Some(value.as_bstr()),
            _ => fields.referrer = Some(value.as_bstr()),
        }
        rest = tail.get(1..).unwrap_or_default();
        next = order + 1;
    }
    if rest.starts_with(STREAM)
        || rest.starts_with(b", protocol: ")
        || rest.starts_with(b", bytes_from_client: ")
    {
        fields.context = Context::Stream;
    } else if !rest.is_empty() {
        fields.cut = true;
    }
    fields
}

/// A value ends at the first quote that is followed by a key that may follow, or by the line's end.
fn value_end(value: &[u8], next: usize) -> Option<usize> {
    memchr::memchr_iter(b'"', value).find(|&at| {
        let rest = value.get(at + 1..).unwrap_or_default();
        rest.is_empty() || key(rest, next).is_some() || rest.starts_with(STREAM)
    })
}

/// A request line ends at its ` HTTP/d.d`: no nginx accepts a request where ` H` begins anything else,
/// though before 1.21.1 everything else may stand in it (`ngx_http_parse_request_line`).
fn request_end(value: &[u8]) -> Option<usize> {
    let ends = |at: &usize| {
        let rest = value.get(at + 1..).unwrap_or_default();
        rest.is_empty() || key(rest, SUBREQUEST).is_some()
    };
    let mut first = None;
    for at in memchr::memchr_iter(b'"', value).filter(ends) {
        if ends_in_version(value.get(..at).unwrap_or_default()) {
            return Some(at);
        }
        first = first.or(Some(at));
    }
    // HTTP/0.9, or a request that nginx did not accept.
    first
}

fn ends_in_version(request: &[u8]) -> bool {
    let line = request.trim_ascii_end();
    matches!(
        line.split_last_chunk(),
        Some((_, [b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]))
            if major.is_ascii_digit() && minor.is_ascii_digit()
    )
}

fn second_upstream(text: &[u8]) -> bool {
    UPSTREAM_KEY.find_iter(text).nth(1).is_some()
}
