//! How nginx's line came here: as a file, through syslog, journald, a container's log, or pasted.
//!
//! The carrier is taken off; what is inside is nginx's line as ever. Lines with a prefix cost nothing,
//! those that are escaped cost an allocation.

use super::container::Stream;
use super::json::Angie;
use super::{Event, Head, body, trim_line_end};
use crate::{Level, LocalTime};
use bstr::ByteSlice as _;
use std::borrow::Cow;

/// How nginx's line was carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// As nginx writes it to a file.
    Plain,
    /// As nginx writes it to the console before it has a log: `nginx: [emerg] text`.
    Startup,
    /// `<PRI>Mon DD HH:MM:SS HOST TAG: `, as syslog daemons write it, with or without `<PRI>`.
    Syslog,
    /// The same with a time stamp in ISO 8601.
    SyslogIso,
    /// As `journalctl` prints it: the tag ends in `[PID]`.
    Journal,
    /// `journalctl --output=json`.
    JournalJson,
    /// Docker's `json-file`.
    DockerJson,
    /// What Kubernetes' runtimes write: `TIME stderr F `.
    Cri,
    /// `docker compose logs`: `web-1  | `.
    Compose,
    /// Angie's own JSON.
    AngieJson,
    /// A fragment that somebody pasted.
    Pasted,
}

/// A record taken out of its carrier.
#[derive(Clone, Debug)]
pub struct Decoded<'a> {
    carrier: Carrier,
    content: Content<'a>,
}

#[derive(Clone, Debug)]
enum Content<'a> {
    Text(Cow<'a, [u8]>),
    Angie(Box<Angie>),
}

impl Decoded<'_> {
    /// How it was carried.
    pub fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// Its event; `None` when what was carried is no line of nginx's.
    pub fn event(&self) -> Option<Event<'_>> {
        let event = match &self.content {
            Content::Text(text) => super::parse(text),
            Content::Angie(angie) => Some(angie.event()),
        }?;
        // A prefix inside Docker's JSON is the inner one's business.
        Some(if event.carrier == Carrier::Plain {
            Event {
                carrier: self.carrier,
                ..event
            }
        } else {
            event
        })
    }
}

/// Takes one record out of whatever carries it. May allocate; [`super::parse`] never does.
pub fn decode(record: &[u8]) -> Decoded<'_> {
    let line = trim_line_end(record);
    if line.first() == Some(&b'{') {
        if let Some((carrier, text)) = wrapped(line) {
            return Decoded {
                carrier,
                content: Content::Text(Cow::Owned(text)),
            };
        }
        if let Some(angie) = Angie::parse(line) {
            return Decoded {
                carrier: Carrier::AngieJson,
                content: Content::Angie(Box::new(angie)),
            };
        }
    }
    let (carrier, text) = match prefix(line) {
        // Its time, if any, stands in the prefix.
        Some((Carrier::Startup, _)) | None => (Carrier::Plain, line),
        Some(found) => found,
    };
    Decoded {
        carrier,
        content: Content::Text(Cow::Borrowed(text)),
    }
}

/// Takes a whole text out of a container's or syslog's lines, so that records of several lines are whole again.
///
/// The text is borrowed when there is nothing to take off. Partial lines of Kubernetes' runtimes are joined.
pub fn plain(bytes: &[u8]) -> (Carrier, Cow<'_, [u8]>) {
    let sample = || bytes.lines().take(100);
    let is = |line: &[u8]| match prefix(line) {
        Some((carrier @ (Carrier::Cri | Carrier::Compose), _)) => Some(carrier),
        _ => json(line),
    };
    // A plain file stays as it is, whatever its continuation lines look like.
    if sample()
        .find_map(|line| Head::parse(line).map(|_| ()))
        .is_some()
    {
        return (Carrier::Plain, Cow::Borrowed(bytes));
    }
    match sample().find_map(is) {
        Some(Carrier::AngieJson) | None => (Carrier::Plain, Cow::Borrowed(bytes)),
        Some(carrier) => (carrier, Cow::Owned(unwrap_lines(bytes, carrier))),
    }
}

/// What lines carry, one behind the other; they stay as they are where this carrier wraps nothing.
pub(crate) fn unwrap_lines(bytes: &[u8], carrier: Carrier) -> Vec<u8> {
    match carrier {
        Carrier::DockerJson | Carrier::JournalJson => join(bytes, |line| {
            let (_, text) = wrapped(line)?;
            let ends = text.ends_with(b"\n");
            Some((text, ends))
        }),
        Carrier::Cri => join(bytes, cri_part),
        Carrier::Compose => join(bytes, |line| Some((compose(line)?.to_vec(), false))),
        _ => bytes.to_vec(),
    }
}

/// Each line's part and whether it brings its own line feed, or none.
fn join(bytes: &[u8], part: impl Fn(&[u8]) -> Option<(Vec<u8>, bool)>) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    for line in bytes.lines() {
        let (text, own_end) = part(line).unwrap_or_else(|| (line.to_vec(), false));
        plain.extend_from_slice(&text);
        if !own_end {
            plain.push(b'\n');
        }
    }
    plain
}

/// Parses a line that has a prefix.
pub(super) fn parse(record: &[u8]) -> Option<Event<'_>> {
    let (carrier, line) = prefix(record)?;
    if carrier == Carrier::Startup {
        return startup(line);
    }
    if let Some((head, rest)) = Head::parse(line) {
        let at_limit = super::at_limit(line);
        return Some(Event {
            carrier,
            ..body(head, rest, at_limit)
        });
    }
    let event = startup(line)?;
    Some(Event {
        carrier,
        time: prefix_time(record),
        ..event
    })
}

/// `nginx: [emerg] text`
fn startup(line: &[u8]) -> Option<Event<'_>> {
    let rest = line
        .strip_prefix(b"nginx: [")
        .or_else(|| line.strip_prefix(b"angie: ["))?;
    let end = memchr::memchr(b']', rest.get(..rest.len().min(8))?)?;
    let level = Level::from_bytes(rest.get(..end)?)?;
    let text = rest.get(end + 1..)?.strip_prefix(b" ")?;
    let head = Head {
        level: Some(level),
        ..Head::default()
    };
    Some(Event {
        carrier: Carrier::Startup,
        ..body(head, text, false)
    })
}

fn is_inner(text: &[u8]) -> bool {
    Head::parse(text).is_some() || startup(text).is_some()
}

/// The carrier that a line's prefix shows, and the line behind it, which begins as nginx's.
pub(super) fn prefix(line: &[u8]) -> Option<(Carrier, &[u8])> {
    if startup(line).is_some() {
        return Some((Carrier::Startup, line));
    }
    if let Some(part) = cri(line) {
        return is_inner(part.text).then_some((Carrier::Cri, part.text));
    }
    if let Some(text) = compose(line).filter(|text| is_inner(text)) {
        return Some((Carrier::Compose, text));
    }
    syslog(line)
}

/// Whether a line is one of the carriers in JSON, by its keys.
pub(super) fn json(line: &[u8]) -> Option<Carrier> {
    if !line.starts_with(b"{") {
        return None;
    }
    if line.starts_with(b"{\"log\":\"") {
        return Some(Carrier::DockerJson);
    }
    if line.find(b"\"MESSAGE\":").is_some() {
        return Some(Carrier::JournalJson);
    }
    let angie = line.find(b"\"level\":").is_some() && line.find(b"\"message\":").is_some();
    angie.then_some(Carrier::AngieJson)
}

/// The time of a prefix in ISO 8601 with a local time, as it is printed; others lack the year or are UTC.
fn prefix_time(line: &[u8]) -> Option<LocalTime> {
    let time = LocalTime::parse_iso(line)?;
    (line.get(LocalTime::LENGTH) != Some(&b'Z')).then_some(time)
}

fn syslog(line: &[u8]) -> Option<(Carrier, &[u8])> {
    let rest = priority(line);
    let (iso, rest) = match iso_end(rest) {
        Some(end) => (true, rest.get(end..)?),
        None => (false, rest.get(bsd_end(rest)?..)?),
    };
    // `journalctl --timestamps` and the like print no host and no tag.
    let rest = rest.strip_prefix(b" ")?;
    if is_inner(rest) {
        return Some((Carrier::SyslogIso, rest));
    }
    // HOST and TAG hold neither `: ` nor more than a few words; HOST may be missing or empty.
    let near = rest.get(..rest.len().min(320))?;
    let at = near.find(b": ")?;
    let tag = near.get(..at)?;
    let text = rest
        .get(at + 2..)
        .filter(|text| is_inner(text))
        .or_else(|| {
            // A start-up message has its own `nginx: ` and may stand without a tag.
            let from = tag.rfind_byte(b' ').map_or(0, |space| space + 1);
            rest.get(from..).filter(|text| startup(text).is_some())
        })?;
    if tag
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
        .count()
        > 2
    {
        return None;
    }
    let carrier = match (tag.ends_with(b"]"), iso) {
        (true, _) => Carrier::Journal,
        (false, true) => Carrier::SyslogIso,
        (false, false) => Carrier::Syslog,
    };
    Some((carrier, text))
}

/// Behind `<187>`, if it is there.
fn priority(line: &[u8]) -> &[u8] {
    let parsed = || {
        let digits = line.strip_prefix(b"<")?;
        let end = memchr::memchr(b'>', digits.get(..digits.len().min(4))?)?;
        digits
            .get(..end)?
            .iter()
            .all(u8::is_ascii_digit)
            .then_some(digits.get(end + 1..)?)
    };
    parsed().unwrap_or(line)
}

/// The length of `Mon DD HH:MM:SS`.
fn bsd_end(line: &[u8]) -> Option<usize> {
    let stamp: &[u8; 15] = line.first_chunk()?;
    let fixed = stamp[3] == b' ' && stamp[6] == b' ' && stamp[9] == b':' && stamp[12] == b':';
    let letters = stamp[..3].iter().all(u8::is_ascii_alphabetic);
    (fixed && letters && stamp[13].is_ascii_digit()).then_some(15)
}

/// The length of a time stamp in ISO 8601, its fraction and zone included.
fn iso_end(line: &[u8]) -> Option<usize> {
    LocalTime::parse_iso(line)?;
    if line.get(10) != Some(&b'T') {
        return None;
    }
    let rest = line.get(LocalTime::LENGTH..)?;
    let length = rest
        .iter()
        .position(|byte| {
            !(byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'+' | b'-' | b':' | b'Z'))
        })
        .unwrap_or(rest.len());
    Some(LocalTime::LENGTH + length)
}

pub(super) struct CriPart<'a> {
    pub(super) stamp: &'a [u8],
    pub(super) stream: Stream,
    pub(super) text: &'a [u8],
    pub(super) partial: bool,
}

/// `2026-11-21T01:43:17.123456789Z stderr F text`
pub(super) fn cri(line: &[u8]) -> Option<CriPart<'_>> {
    let (stamp, rest) = line.split_at_checked(iso_end(line)?)?;
    let (stream, rest) = match rest.strip_prefix(b" stderr ") {
        Some(rest) => (Stream::Err, rest),
        None => (Stream::Out, rest.strip_prefix(b" stdout ")?),
    };
    let (tag, text) = rest.split_at_checked(2)?;
    let partial = match tag {
        b"F " => false,
        b"P " => true,
        _ => return None,
    };
    Some(CriPart {
        stamp,
        stream,
        text,
        partial,
    })
}

fn cri_part(line: &[u8]) -> Option<(Vec<u8>, bool)> {
    let part = cri(line)?;
    Some((part.text.to_vec(), part.partial))
}

/// `web-1  | text`
fn compose(line: &[u8]) -> Option<&[u8]> {
    let near = line.get(..line.len().min(80))?;
    let bar = near
        .find(b" | ")
        .or_else(|| near.ends_with(b" |").then(|| near.len() - 2))?;
    let name = near.get(..bar)?.trim_ascii_end();
    let named = !name.is_empty()
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    named.then(|| line.get(bar + 3..).unwrap_or_default())
}

/// The text in Docker's `log` or the journal's `MESSAGE`.
fn wrapped(line: &[u8]) -> Option<(Carrier, Vec<u8>)> {
    let (carrier, key) = match json(line)? {
        Carrier::DockerJson => (Carrier::DockerJson, "log"),
        Carrier::JournalJson => (Carrier::JournalJson, "MESSAGE"),
        _ => return None,
    };
    let value: serde_json::Value = serde_json::from_str(&line.to_str_lossy()).ok()?;
    let text = match value.get(key)? {
        serde_json::Value::String(text) => text.as_bytes().to_vec(),
        // The journal writes what is no text as numbers.
        serde_json::Value::Array(bytes) => bytes
            .iter()
            .map(|byte| u8::try_from(byte.as_u64()?).ok())
            .collect::<Option<_>>()?,
        _ => return None,
    };
    Some((carrier, text))
}
