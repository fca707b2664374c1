//! Signs that a line, or a part of it, was not written by nginx.
//!
//! error.log escapes nothing: a decoded path or an application's text may hold a line feed and then a
//! perfect line. A sign is no proof, and its absence proves nothing: a line is a hint either way.

/// A sign of forgery. The line is still parsed; whoever counts, counts it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forgery {
    /// It stands inside the text of a line before it, which a client or an application wrote.
    InsideText,
    /// Its upstream has no scheme: nginx prints one, and squeezes the `//` of a URI.
    NoScheme,
    /// A field stands twice where nginx writes it once, so that nobody can tell which is nginx's.
    FieldTwice,
    /// Its free text holds a whole second set of fields.
    SecondTail,
}

impl Forgery {
    /// What the sign is, in words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InsideText => "stands inside the text of another line",
            Self::NoScheme => "its upstream has no scheme",
            Self::FieldTwice => "a field stands twice",
            Self::SecondTail => "its text holds a second set of fields",
        }
    }
}

/// A part of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Time, level, pid, tid and connection.
    Head,
    /// The class, the errno and the action.
    Failure,
    /// The words of the message.
    Message,
    /// `client:`
    Client,
    /// `server:`
    Server,
    /// `request:`
    Request,
    /// `subrequest:`
    Subrequest,
    /// The peer in `upstream:`
    Peer,
    /// The URI in `upstream:`
    Uri,
    /// `host:`
    Host,
    /// `referrer:`
    Referrer,
}

/// Who wrote a part of an event, if the line as a whole is nginx's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Author {
    /// nginx, the kernel or its configuration.
    Nginx,
    /// The peer: its response or its certificate.
    Peer,
    /// A client, directly or through what an application echoes.
    Client,
}

use super::class::Class;
use super::fields::Context;
use super::phrases::Then;
use super::{Head, trim_line_end};
use super::{LIMITS, body};
use memchr::memmem;

/// No write of nginx's is longer.
const REACH: usize = LIMITS[1];

/// A record whose text may hold a line feed, and with it what looks like further records.
#[derive(Debug)]
pub(super) struct Inside {
    length: usize,
    /// Its text has no end in it.
    open: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A message that quotes a decoded path: `open() "`; the request line behind it shows the line feed as `%0a`.
    Path,
    /// A message that quotes an application's text: `FastCGI sent in stderr: "`.
    Text,
    /// A field that holds a decoded URI; the request line shows the line feed as `%0a`.
    Field,
}

impl Inside {
    /// What a record may hold; `None` for nearly all.
    pub(super) fn of(record: &[u8]) -> Option<Self> {
        let line = trim_line_end(record);
        let (head, rest) = Head::parse(line)?;
        // Cheap before dear: few rows quote a client's text, and few requests hold a line feed.
        let quotes = super::phrase(rest).is_none_or(|row| row.then == Then::Client);
        if !quotes && !encodes_line_feed(rest) {
            return None;
        }
        let at_limit = super::at_limit(line);
        let event = body(head, rest, at_limit);
        let open =
            !at_limit && (event.truncated || event.context == Context::None) && unfinished(line);
        let kind = match event.class {
            _ if !quotes => Kind::Field,
            Class::FastcgiStderr | Class::Other => Kind::Text,
            _ => Kind::Path,
        };
        Some(Self {
            length: record.len(),
            open,
            kind,
        })
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether this later record ends inside the text: `first` says it is the next one, `total` counts from the start.
    pub(super) fn holds(&self, record: &[u8], first: bool, total: usize) -> bool {
        let line = trim_line_end(record);
        // What nginx cut ends without its quote, and nothing else is exactly as long as a write may be.
        let cut = LIMITS.contains(&total) && unfinished(line);
        // An open text goes on in the next line, whatever that looks like.
        let goes_on = first && self.open;
        cut || goes_on || (total <= REACH && self.ends_in(line))
    }

    /// Whether a line ends with the tail of the record before it.
    fn ends_in(&self, line: &[u8]) -> bool {
        let Some((_, rest)) = Head::parse(line) else {
            return false;
        };
        match self.kind {
            Kind::Path if !encodes_line_feed(rest) => false,
            Kind::Path | Kind::Text => {
                let clients = memmem::find_iter(rest, b", client: ").take(2).count();
                clients == 2 && memmem::find(rest, b"\", client: ").is_some()
                    || clients > 0 && closing_quote(rest)
            }
            Kind::Field => {
                let again = |key: &[u8]| memmem::find_iter(rest, key).nth(1).is_some();
                let no_fields = memmem::find(rest, b", client: ").is_none();
                again(b"\", host: \"")
                    || again(b"\", upstream: \"")
                    || (no_fields && memmem::find(rest, b"\", host: \"").is_some())
            }
        }
    }
}

/// A quote that closes a text which this line did not open: ` failed (2: ...)`, ` while reading ...`, ` is forbidden`.
fn closing_quote(rest: &[u8]) -> bool {
    let own = super::phrase(rest).is_some_and(|row| matches!(row.then, Then::Client | Then::Peer));
    let closes = |at: usize| {
        let after = rest.get(at + 1..).unwrap_or_default();
        after.starts_with(b" failed (")
            || after.starts_with(b" while ")
            || after.starts_with(b" is ")
    };
    let mut closings = memchr::memchr_iter(b'"', rest).filter(|&at| closes(at));
    if own {
        closings.nth(1).is_some()
    } else {
        closings.next().is_some()
    }
}

/// A line that does not end as nginx ends one with fields.
fn unfinished(line: &[u8]) -> bool {
    !line.ends_with(b"\"") || memmem::find(line, b", client: ").is_none()
}

fn encodes_line_feed(rest: &[u8]) -> bool {
    memchr::memchr_iter(b'%', rest)
        .any(|at| matches!(rest.get(at + 1..at + 3), Some(b"0a" | b"0A")))
}
