//! One line of error.log becomes one [`Event`].
//!
//! The grammar is nginx's own: head, message, errno, action, fields, in that order and no other.
//! The message is matched at its start against the table of `phrases.rs`; nothing is ever searched for in a line as a whole,
//! because everything behind the message may hold what a client wrote.
//! No time zone, no configuration, no counting: those are for who knows the host.

mod action;
mod carrier;
mod class;
mod container;
mod errno;
mod fields;
mod forgery;
mod json;
mod outcome;
mod pasted;
pub(crate) mod phrases;
pub(crate) mod records;
mod resolve;
mod upstream;

pub use action::{Side, While};
pub(crate) use carrier::unwrap_lines;
pub use carrier::{Carrier, Decoded, decode, plain};
pub use class::Class;
pub use container::{DOCKER_TIME, RuntimeForm, Stream, Streamed, streamed};
pub use fields::Context;
pub use forgery::{Author, Field, Forgery};
pub use outcome::Seen;
pub use pasted::{Pasted, parse_pasted};
pub use records::{Record, Records, Splitter};
pub use upstream::{Protocol, Upstream};

use crate::{Level, LocalTime};
use bstr::{BStr, ByteSlice as _};
use fields::Tail;
use memchr::memmem;
use phrases::{Row, Then};
use upstream::PathEnd;

/// nginx cuts a line here, line feed included (`NGX_MAX_ERROR_STR`); OpenResty allows twice as much.
pub const LIMITS: [usize; 2] = [2048, 4096];

/// What one line says. Everything borrows from the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event<'a> {
    /// When, by nginx's local clock; unknown for start-up messages and pasted fragments.
    pub time: Option<LocalTime>,
    /// The level; unknown only for pasted fragments.
    pub level: Option<Level>,
    /// The process.
    pub pid: Option<u32>,
    /// The thread.
    pub tid: Option<u64>,
    /// The client's connection: several requests may share it.
    pub connection: Option<u64>,
    /// The message up to its errno, action or fields.
    pub message: &'a BStr,
    /// What it reports.
    pub class: Class,
    /// The errno, as printed.
    pub errno: Option<u16>,
    /// What nginx was doing.
    pub action: Option<While>,
    /// Which handler wrote the fields.
    pub context: Context,
    /// The client's address.
    pub client: Option<&'a BStr>,
    /// The first name of the server that was chosen, or the listening address before that.
    pub server: Option<&'a BStr>,
    /// The request line.
    pub request: Option<&'a BStr>,
    /// The URI of a subrequest.
    pub subrequest: Option<&'a BStr>,
    /// Whom nginx spoke to.
    pub upstream: Option<Upstream<'a>>,
    /// The Host header.
    pub host: Option<&'a BStr>,
    /// The Referer header.
    pub referrer: Option<&'a BStr>,
    /// The session is of datagrams; only stream has such.
    pub udp: bool,
    /// The name server, syslog server or OCSP responder.
    pub party: Option<&'a BStr>,
    /// The line was cut: a field that is missing is unknown, not absent.
    pub truncated: bool,
    /// A sign that nginx did not write this.
    pub forgery: Option<Forgery>,
    /// How the line was carried.
    pub carrier: Carrier,
    then: Then,
}

/// A name that could not be resolved for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unresolved<'a> {
    /// The name; it may come from a client.
    pub name: &'a BStr,
    /// The name server's code (1 to 5), or an errno such as 110; none where no name server was asked.
    pub code: Option<u16>,
}

impl Event<'_> {
    /// Whether this is a failed attempt to get an answer from a peer, its name and "no live upstreams" included.
    pub fn is_upstream_failure(&self) -> bool {
        self.class.is_upstream_failure(self.action, self.level)
    }

    /// Whether nginx failed at something of its own, with no peer concerned: no descriptor or connection was left to
    /// accept a client with, or a client's body could not be kept in a temporary file.
    pub fn is_own_fault(&self) -> bool {
        let is_grave = self
            .level
            .is_none_or(|level| (Level::Error..Level::Emerg).contains(&level));
        let is_own = match self.class {
            Class::FdExhaustion | Class::WorkerConnections | Class::TempPath => true,
            // Files of a site are read with the words of temporary ones.
            Class::TempFileIo => {
                self.message.starts_with(b"write") || self.message.starts_with(b"pwrite")
            }
            _ => false,
        };
        is_own && is_grave && !self.is_upstream_failure()
    }

    /// The name that could not be resolved, as nginx has it.
    pub fn unresolved(&self) -> Option<Unresolved<'_>> {
        let message: &[u8] = self.message;
        match self.class {
            Class::DnsNoResolver => Some(Unresolved {
                name: message
                    .strip_prefix(b"no resolver defined to resolve ")?
                    .as_bstr(),
                code: None,
            }),
            Class::Dns => {
                let (name, rest) = message.split_once_str(" could not be resolved (")?;
                let code = rest.split(|byte| !byte.is_ascii_digit()).next()?;
                Some(Unresolved {
                    name: name.as_bstr(),
                    code: code.to_str().ok()?.parse().ok(),
                })
            }
            _ => None,
        }
    }

    /// What the client saw, if this was the request's last attempt.
    pub fn outcome(&self) -> Seen {
        outcome::outcome(self)
    }

    /// Whether its words before the fields are all nginx's, the kernel's or the peer's, so that lines with the same words
    /// are of the same kind.
    pub(crate) fn is_free_of_clients(&self) -> bool {
        self.then != Then::Client
    }

    /// Who wrote this part of the event, if the line as a whole is nginx's.
    pub fn author(&self, field: Field) -> Author {
        match field {
            Field::Message => match self.then {
                Then::Nothing | Then::Own => Author::Nginx,
                Then::Peer => Author::Peer,
                Then::Client => Author::Client,
            },
            Field::Request | Field::Subrequest | Field::Uri | Field::Host | Field::Referrer => {
                Author::Client
            }
            // Behind free text the fields are found, not known.
            Field::Head | Field::Failure => Author::Nginx,
            Field::Client | Field::Server | Field::Peer if self.then == Then::Client => {
                Author::Client
            }
            Field::Client | Field::Server | Field::Peer => Author::Nginx,
        }
    }
}

/// Parses one record: a line with its continuation lines.
///
/// Lines of syslog, journald and containers are recognised by their prefix; see [`decode`] for those that
/// need unescaping first. Nothing is known of the lines around it: [`Record::event`] judges those too.
pub fn parse(record: &[u8]) -> Option<Event<'_>> {
    let record = skip_hole(trim_line_end(record));
    let Some((head, rest)) = Head::parse(record) else {
        return carrier::parse(record);
    };
    Some(body(head, rest, at_limit(record)))
}

/// Whether a record can be an upstream failure at all: reads its head and the start of its message only.
///
/// What it rejects, [`parse`] does not call a failure; it knows every carrier that [`parse`] knows.
pub fn may_be_upstream_failure(record: &[u8]) -> bool {
    let record = skip_hole(record);
    let record = if Head::parse(record).is_none() {
        carrier::prefix(record).map_or(record, |(_, line)| line)
    } else {
        record
    };
    Head::parse(record)
        .is_some_and(|(_, rest)| phrase(rest).is_some_and(|row| row.rule.may_be_upstream_failure()))
}

/// What the start of a record tells, without its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// When nginx wrote it.
    pub time: Option<LocalTime>,
    /// Its level.
    pub level: Option<Level>,
    /// Who wrote it.
    pub pid: Option<u32>,
    /// Whether it can speak of a peer: a failure of an upstream, a client that left one behind, or what nginx itself
    /// lacked.
    pub may_name_peer: bool,
}

/// A plain record's head and the phrase behind it, found once for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opening {
    head: Head,
    head_length: usize,
    row: Option<&'static Row>,
}

impl Opening {
    /// Of a record whose head is this long.
    fn new(head: Head, head_length: usize, record: &[u8]) -> Self {
        let row = phrase(record.get(head_length..).unwrap_or_default());
        Self {
            head,
            head_length,
            row,
        }
    }

    fn glance(&self) -> Glance {
        let may_name_peer = self.row.is_some_and(|row| {
            row.rule.may_be_upstream_failure()
                || matches!(
                    row.rule,
                    phrases::Rule::Is(Class::ClientAbort) | phrases::Rule::Accept
                )
        });
        Glance {
            time: self.head.time,
            level: self.head.level,
            pid: self.head.pid,
            may_name_peer,
        }
    }

    /// The event of the record that was opened.
    fn event<'a>(&self, record: &'a [u8]) -> Option<Event<'a>> {
        let line = trim_line_end(record);
        let rest = line.get(self.head_length..)?;
        Some(assemble(
            self.head,
            match_message(self.row, rest),
            at_limit(line),
        ))
    }
}

/// Whether nginx cut this line, its line feed not counted.
fn at_limit(line: &[u8]) -> bool {
    LIMITS.contains(&(line.len() + 1))
}

/// A log that was truncated under nginx (`copytruncate`) begins with a hole, which reads as NULs.
fn skip_hole(record: &[u8]) -> &[u8] {
    if record.first() != Some(&0) {
        return record;
    }
    let length = record
        .iter()
        .position(|&byte| byte != 0)
        .unwrap_or(record.len());
    record.get(length..).unwrap_or_default()
}

fn trim_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// What stands before the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    time: Option<LocalTime>,
    level: Option<Level>,
    pid: Option<u32>,
    tid: Option<u64>,
    connection: Option<u64>,
}

impl Head {
    /// `YYYY/MM/DD HH:MM:SS [level] PID#TID: *CID `
    fn parse(record: &[u8]) -> Option<(Self, &[u8])> {
        let time = LocalTime::parse(record)?;
        let rest = record.get(LocalTime::LENGTH..)?.strip_prefix(b" [")?;
        let (head, rest) = Self::parse_level(rest)?;
        Some((
            Self {
                time: Some(time),
                ..head
            },
            rest,
        ))
    }

    /// `level] PID#TID: *CID `
    fn parse_level(rest: &[u8]) -> Option<(Self, &[u8])> {
        let end = memchr::memchr(b']', rest.get(..rest.len().min(8))?)?;
        let level = Level::from_bytes(rest.get(..end)?)?;
        let (pid, rest) = number(rest.get(end + 1..)?.strip_prefix(b" ")?)?;
        let (tid, rest) = number(rest.strip_prefix(b"#")?)?;
        let rest = rest.strip_prefix(b": ")?;
        let (connection, rest) = Self::parse_connection(rest);
        let pid = u32::try_from(pid).ok();
        Some((
            Self {
                time: None,
                level: Some(level),
                pid,
                tid: Some(tid),
                connection,
            },
            rest,
        ))
    }

    fn parse_connection(rest: &[u8]) -> (Option<u64>, &[u8]) {
        let parsed = || {
            let (connection, after) = number(rest.strip_prefix(b"*")?)?;
            Some((Some(connection), after.strip_prefix(b" ")?))
        };
        parsed().unwrap_or((None, rest))
    }
}

/// A decimal number at the start of `text`, of at most 19 digits.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = text
        .iter()
        .take(20)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (digits, rest) = text.split_at_checked(length)?;
    if digits.is_empty() || length > 19 {
        return None;
    }
    let value = digits
        .iter()
        .fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    Some((value, rest))
}

fn phrase(message: &[u8]) -> Option<&'static Row> {
    phrases::find(message).or_else(|| phrases::find_inside(message))
}

/// A phrase found in a message, and how its text ends.
#[derive(Clone, Copy, Debug)]
struct Matched<'a> {
    row: Option<&'static Row>,
    message: &'a [u8],
    tail: Option<Tail<'a>>,
    /// The text holds a second tail.
    ambiguous: bool,
}

fn body(head: Head, rest: &[u8], at_limit: bool) -> Event<'_> {
    assemble(head, match_message(phrase(rest), rest), at_limit)
}

fn assemble(head: Head, matched: Matched<'_>, at_limit: bool) -> Event<'_> {
    let Matched {
        row,
        message,
        tail,
        ambiguous,
    } = matched;
    let fields = tail.map(|tail| tail.fields);
    let action = tail.and_then(|tail| tail.action);
    let (upstream, no_scheme) = upstream_of(row, message, tail);
    let forgery = match fields.and_then(|fields| fields.forgery) {
        _ if ambiguous => Some(Forgery::SecondTail),
        _ if no_scheme => Some(Forgery::NoScheme),
        sign => sign,
    };
    let class = match row {
        Some(row) => resolve::class(
            row.rule,
            &resolve::Seen {
                level: head.level,
                has_connection: head.connection.is_some(),
                message,
                tail,
                upstream,
            },
        ),
        None => unlisted(head.level, message),
    };
    let errno = tail.and_then(|tail| tail.errno).map(|errno| errno.number);
    Event {
        time: head.time,
        level: head.level,
        pid: head.pid,
        tid: head.tid,
        connection: head.connection,
        message: message.as_bstr(),
        class,
        errno,
        action,
        context: fields.map_or(Context::None, |fields| fields.context),
        client: fields.and_then(|fields| fields.client),
        server: fields.and_then(|fields| fields.server),
        request: fields.and_then(|fields| fields.request),
        subrequest: fields.and_then(|fields| fields.subrequest),
        upstream,
        host: fields.and_then(|fields| fields.host),
        referrer: fields.and_then(|fields| fields.referrer),
        udp: fields.is_some_and(|fields| fields.udp),
        party: fields.and_then(|fields| fields.party),
        truncated: at_limit || fields.is_some_and(|fields| fields.cut) || message.ends_with(b"..."),
        forgery,
        carrier: Carrier::Plain,
        then: row.map_or(Then::Client, |row| row.then),
    }
}

/// The upstream, and whether its value lacks the scheme that nginx always prints.
fn upstream_of<'a>(
    row: Option<&Row>,
    message: &[u8],
    tail: Option<Tail<'a>>,
) -> (Option<Upstream<'a>>, bool) {
    let Some((tail, value)) = tail.and_then(|tail| Some((tail, tail.fields.upstream?))) else {
        return (None, false);
    };
    if tail.fields.context == Context::Stream {
        return (Some(Upstream::stream(value)), false);
    }
    let upstream = Upstream::parse(
        value,
        path_end(row.map(|row| row.rule), message, tail.action),
    );
    (upstream, upstream.is_none() && !tail.fields.cut)
}

/// A phrase that is not in the table: at `emerg`, or with a place in a file, it is about the configuration.
fn unlisted(level: Option<Level>, message: &[u8]) -> Class {
    let placed = || {
        let colon = memchr::memrchr(b':', message).unwrap_or_default();
        let (before, line) = message.split_at_checked(colon).unwrap_or_default();
        line.len() > 1
            && line.iter().skip(1).all(u8::is_ascii_digit)
            && memmem::find(before, b" in ").is_some()
    };
    match level {
        Some(Level::Emerg) => Class::Config,
        Some(Level::Warn | Level::Notice) if placed() => Class::Config,
        _ => Class::Other,
    }
}

/// What the line tells about the end of a unix socket's path.
fn path_end(rule: Option<phrases::Rule>, message: &[u8], action: Option<While>) -> PathEnd<'_> {
    match rule {
        Some(phrases::Rule::Connect) => message
            .strip_prefix(b"connect() to ")
            .and_then(|named| named.strip_suffix(b" failed"))
            .map_or(PathEnd::Colon, PathEnd::Named),
        // ngx_http_upstream_next clears the address before it logs; the body's time-out is logged elsewhere.
        Some(phrases::Rule::Timeout)
            if !matches!(
                action,
                Some(While::ReadingUpstream | While::ProxyingUpgradedConnection)
            ) =>
        {
            PathEnd::Dropped
        }
        _ => PathEnd::Colon,
    }
}

fn match_message<'a>(row: Option<&'static Row>, rest: &'a [u8]) -> Matched<'a> {
    let then = row.map_or(Then::Client, |row| row.then);
    if let Some(row) = row.filter(|row| row.then == Then::Nothing)
        && let Some((message, after)) = rest.split_at_checked(row.literal.len())
        && let Some(tail) = fields::tail(after)
    {
        return Matched {
            row: Some(row),
            message,
            tail: Some(tail),
            ambiguous: false,
        };
    }
    let from = row.map_or(0, |row| text_start(row, rest));
    let mut found = tails(rest, from);
    // A client's text may hold what looks like fields: then nobody can tell which are nginx's.
    let ambiguous = then == Then::Client && second_client(rest.get(from..).unwrap_or_default());
    let (end, tail) = match found.next() {
        Some((end, tail)) if !ambiguous => (end, Some(tail)),
        Some(_) => (rest.len(), None),
        None => (rest.len(), fields::tail(b"")),
    };
    Matched {
        row,
        message: rest.get(..end).unwrap_or(rest),
        tail,
        ambiguous,
    }
}

/// Where a row's own words end, before the text in which a tail is looked for.
fn text_start(row: &Row, rest: &[u8]) -> usize {
    if row.rule == phrases::Rule::Dns {
        // The parenthesis holds the name server's code, which is no errno.
        let open = memmem::find(rest, b" could not be resolved (").unwrap_or_default();
        return memchr::memchr(b')', rest.get(open..).unwrap_or_default())
            .map_or(0, |close| open + close + 1);
    }
    if row.literal.starts_with(' ') {
        0
    } else {
        row.literal.len()
    }
}

/// Whether the fields of a client's connection begin more than once.
fn second_client(text: &[u8]) -> bool {
    fields::CLIENT
        .find_iter(text)
        .filter(|&at| {
            fields::SERVER
                .find(text.get(at..).unwrap_or_default())
                .is_some()
        })
        .nth(1)
        .is_some()
}

/// The places from which the rest of a line is a tail of nginx's.
fn tails(rest: &[u8], from: usize) -> impl Iterator<Item = (usize, Tail<'_>)> {
    let after = rest.get(from..).unwrap_or_default();
    let places = memchr::memchr2_iter(b' ', b',', after).map(move |at| from + at);
    places.filter_map(|at| {
        let rest = rest.get(at..)?;
        let starts =
            rest.starts_with(b" (") || rest.starts_with(b" while ") || rest.starts_with(b", ");
        starts.then(|| Some((at, fields::tail(rest)?))).flatten()
    })
}
