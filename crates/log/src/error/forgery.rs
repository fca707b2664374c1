//! Signs that a line, or a part of it, was not written by nginx.
//!
//! error.log escapes nothing: a decoded path or an application's text may hold a line feed and then a
//! perfect line. A sign is no proof, and its absence proves nothing: a line is a hint either way.

/// A sign of forgery. The line is still parsed; whoever counts, counts it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forgery {
    /// It stands inside the text of a line before it, which a client or an application wrote.
    InsideText,
    /// It may stand inside an application's text before it: that looks ended, but whoever writes such a text can write the
    /// end as well, and a later line has an end that it did not begin. Honest logs look so too, where one text with an end
    /// in its line is followed by one of several lines.
    PerhapsInside,
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
            Self::PerhapsInside => "may stand inside the text of another line",
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
use super::fields::{self, Context};
use super::phrases::Then;
use super::{Head, LIMITS, Opening, body, trim_line_end};
use memchr::memmem::{self, Finder};
use std::sync::LazyLock;

static CLOSING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\" while "));

/// No write of nginx's is longer.
const REACH: usize = LIMITS[1];

/// A record whose text may hold a line feed, and with it what looks like further records.
#[derive(Debug)]
pub(super) struct Inside {
    length: usize,
    /// The line feeds in it.
    line_feeds: usize,
    /// Its text has no end in it.
    open: bool,
    kind: Kind,
}

/// How far a text surely goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sureness {
    /// Perhaps not beyond its own record.
    None,
    /// To the first record in which it can end.
    ToTheFirst,
    /// To the last one.
    ToTheLast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A message that quotes a decoded path: `open() "`; the request line behind it shows the line feed as `%0a`.
    Path,
    /// A message that quotes an application's text: `FastCGI sent in stderr: "`.
    Text,
    /// A field that holds a decoded URI; the request line shows this many line feeds as `%0a`.
    Field(usize),
}

impl Inside {
    /// What a record may hold; `None` for nearly all.
    pub(super) fn of(record: &[u8]) -> Option<Self> {
        let (head, rest) = Head::parse(trim_line_end(record))?;
        let head_length = trim_line_end(record).len() - rest.len();
        Self::opened(&Opening::new(head, head_length, record), record, || true)
    }

    /// The same of a record that was opened; `is_encoded` says whether it may hold a `%0a` at all.
    pub(super) fn opened(
        opening: &Opening,
        record: &[u8],
        is_encoded: impl FnOnce() -> bool,
    ) -> Option<Self> {
        let line = trim_line_end(record);
        let rest = line.get(opening.head_length..)?;
        // Cheap before dear: few rows quote a client's text, and few requests hold a line feed.
        let quotes = opening.row.is_some_and(|row| row.then == Then::Client);
        let encoded = if !quotes && is_encoded() {
            encoded_line_feeds(rest)
        } else {
            0
        };
        if !quotes && encoded == 0 {
            return None;
        }
        let event = opening.event(record)?;
        let kind = match event.class {
            _ if !quotes => Kind::Field(encoded),
            Class::FastcgiStderr => Kind::Text,
            _ => Kind::Path,
        };
        let broken = match kind {
            Kind::Field(_) => event.truncated,
            // What the application wrote may look like an errno or like fields; only the whole tail closes it.
            Kind::Text => text_tails(rest).next().is_none(),
            // A request's line without an errno and without fields has not come to its end.
            Kind::Path => {
                event.connection.is_some()
                    && event.context == Context::None
                    && event.errno.is_none()
            }
        };
        let line_feeds = memchr::memchr_iter(b'\n', record).count();
        Some(Self {
            length: record.len(),
            line_feeds,
            open: broken && !super::at_limit(line),
            kind,
        })
    }

    /// Up to which of the records that it may hold it surely goes: an application can write the end of its text as well,
    /// but honest logs look no different behind the first end.
    pub(super) fn sureness(&self) -> Sureness {
        match self.kind {
            Kind::Text if self.open => Sureness::ToTheFirst,
            Kind::Text => Sureness::None,
            Kind::Path | Kind::Field(_) => Sureness::ToTheLast,
        }
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether the text can reach into what stands behind the record at all: a look at bytes that spares nearly every
    /// line about a path the reading of a dozen others.
    ///
    /// Without this being so, [`Inside::holds`] is false for each record in `rest`: a path that was closed in its own
    /// record ends in a line whose request shows each line feed as `%0a`, an application's text in one that closes it, and
    /// either where nginx cut its write.
    ///
    /// `is_encoded` says whether so many bytes of `rest` hold a `%0a`.
    pub(super) fn may_hold(&self, rest: &[u8], is_encoded: impl FnOnce(usize) -> bool) -> bool {
        match self.kind {
            Kind::Field(_) => return true,
            Kind::Path if self.open || self.line_feeds == 0 => return true,
            Kind::Path | Kind::Text => {}
        }
        let reach = REACH.saturating_sub(self.length).min(rest.len());
        let is_cut = |limit: &usize| {
            limit.checked_sub(self.length).is_some_and(|at| {
                at == rest.len()
                    || at.checked_sub(1).and_then(|last| rest.get(last)) == Some(&b'\n')
            })
        };
        LIMITS.iter().any(is_cut)
            || match self.kind {
                Kind::Text => CLOSING.find(rest.get(..reach).unwrap_or(rest)).is_some(),
                Kind::Path | Kind::Field(_) => is_encoded(reach),
            }
    }

    /// Whether the text reaches into this later record; `behind` is all that stands behind the first record up to
    /// and with this one.
    pub(super) fn holds(&self, record: &[u8], behind: &[u8]) -> bool {
        let line = trim_line_end(record);
        let total = self.length + behind.len();
        // A path goes on in the next line, whatever that looks like. Applications' traces do so all the time,
        // and whoever collects lines may have lost theirs.
        let goes_on = behind.len() == record.len() && self.open && self.kind != Kind::Text;
        goes_on || self.cut_in(line, total) || (total <= REACH && self.ends_in(line, behind))
    }

    /// Whether nginx cut its write at the end of this line: it is exactly as long as may be, and breaks off. An
    /// application can have its text break off behind a perfect line.
    fn cut_in(&self, line: &[u8], total: usize) -> bool {
        LIMITS.contains(&total)
            && (self.open
                || self.kind == Kind::Text
                || Head::parse(line).is_some_and(|(head, rest)| body(head, rest, false).truncated))
    }

    /// Whether a line ends with the tail of the record before it.
    fn ends_in(&self, line: &[u8], behind: &[u8]) -> bool {
        let Some((_, rest)) = Head::parse(line) else {
            return false;
        };
        // The last line feed is nginx's own, each other one was sent as `%0a`.
        let decoded =
            || self.line_feeds + memchr::memchr_iter(b'\n', behind.trim_ascii_end()).count();
        match self.kind {
            // The cheapest first: this is asked of every line that stands near one with a path.
            Kind::Path => {
                let encoded = encoded_line_feeds(rest);
                self.line_feeds <= encoded && decoded() <= encoded && foreign_tail(rest)
            }
            Kind::Text => {
                // A line that quotes what the application sent has one such tail of its own. Behind a text that has not
                // ended it is that text's: nginx wrote all of it at once.
                let quotes = super::phrase(rest).is_some_and(|row| {
                    use super::phrases::Rule::{DuplicateHeader, Header, Is};
                    matches!(
                        row.rule,
                        Is(Class::FastcgiStderr) | Header | DuplicateHeader
                    )
                });
                let own = usize::from(quotes && !self.open);
                text_tails(rest).nth(own).is_some()
            }
            Kind::Field(encoded) => {
                let again = |key: &[u8]| memmem::find_iter(rest, key).nth(1).is_some();
                let no_fields = || memmem::find(rest, b", client: ").is_none();
                let twice = again(b"\", host: \"")
                    || again(b"\", upstream: \"")
                    || (no_fields() && memmem::find(rest, b"\", host: \"").is_some());
                twice && decoded() <= encoded
            }
        }
    }
}

/// Whether a line ends with fields behind a quote that it did not open: ` failed (2: ...)`, ` while reading ...`.
fn foreign_tail(rest: &[u8]) -> bool {
    let clients = fields::CLIENT.find_iter(rest).take(2).count();
    if clients == 2 && memmem::find(rest, b"\", client: ").is_some() {
        return true;
    }
    let closes = |at: usize| {
        let after = rest.get(at + 1..).unwrap_or_default();
        after.starts_with(b" failed (")
            || after.starts_with(b" while ")
            || after.starts_with(b" is ")
    };
    let quotes =
        super::phrase(rest).is_some_and(|row| matches!(row.then, Then::Client | Then::Peer));
    let own = usize::from(quotes);
    clients > 0
        && memchr::memchr_iter(b'"', rest)
            .filter(|&at| closes(at))
            .nth(own)
            .is_some()
}

/// Where an application's text may end: the quote that closes it, and all that nginx writes behind one.
fn text_tails(rest: &[u8]) -> impl Iterator<Item = usize> {
    CLOSING.find_iter(rest).filter(|&at| {
        let tail = rest.get(at + 1..).and_then(fields::tail);
        tail.is_some_and(|tail| {
            let is_fastcgi = |upstream: &[u8]| upstream.starts_with(b"fastcgi://");
            tail.fields.context == Context::Http && tail.fields.upstream.is_some_and(is_fastcgi)
        })
    })
}

pub(super) fn encoded_line_feeds(rest: &[u8]) -> usize {
    memchr::memchr_iter(b'%', rest)
        .filter(|&at| matches!(rest.get(at + 1..at + 3), Some(b"0a" | b"0A")))
        .count()
}

/// Where the next `%0a` of an input stands: it is asked for at every line, and a log holds few.
#[derive(Clone, Debug, Default)]
pub(super) struct Encoded {
    /// None stands in the input between these offsets.
    none: std::ops::Range<u64>,
}

impl Encoded {
    /// Whether one begins within the first `length` bytes of `text`, which stands at `offset` of the input.
    pub(super) fn is_in(&mut self, text: &[u8], offset: u64, length: usize) -> bool {
        let length = length.min(text.len());
        let until = offset + length as u64;
        if self.none.contains(&offset) && until <= self.none.end {
            return false;
        }
        let known = usize::try_from(self.none.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let from = if self.none.contains(&offset) {
            known.min(length)
        } else {
            0
        };
        // Two bytes more: it may begin as the last byte.
        let new = text
            .get(from..text.len().min(length + 2))
            .unwrap_or_default();
        if encoded_line_feeds(new) > 0 {
            return true;
        }
        self.none = if from > 0 { self.none.start } else { offset }..until;
        false
    }
}
