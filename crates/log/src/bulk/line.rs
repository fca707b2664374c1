//! The usual line of an error log, taken apart without a second look.
//!
//! Only shapes in which nothing can be mistaken are taken; for all others there is `error::parse`, and what is found here
//! is what that finds. Nothing is judged.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::error::phrases::{self, START};

static CLIENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b", client: "));
const SERVER: &[u8] = b", server: ";
const REQUEST: &[u8] = b", request: \"";
const UPSTREAM: &[u8] = b", upstream: \"";
const HOST: &[u8] = b", host: \"";
const REFERRER: &[u8] = b", referrer: \"";

/// What stands before the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The level's first two letters: no two levels share them.
    pub(super) level: [u8; 2],
    /// A connection is named.
    pub(super) has_connection: bool,
    /// Where the message begins.
    pub(super) message: usize,
}

impl Start {
    /// Of a line whose time was read: ` [level] PID#TID: *CID `, from byte 19 on.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let rest = line.get(19..)?;
        let length = LEVELS
            .iter()
            .find(|level| rest.starts_with(level))
            .map(|level| level.len())?;
        let level = [*rest.get(2)?, *rest.get(3)?];
        let mut at = 19 + length;
        at += digits(line.get(at..)?)?;
        if line.get(at) != Some(&b'#') {
            return None;
        }
        at += 1;
        at += digits(line.get(at..)?)?;
        if line.get(at..at + 2) != Some(b": ") {
            return None;
        }
        at += 2;
        let has_connection = line.get(at) == Some(&b'*');
        if has_connection {
            at += 1;
            at += digits(line.get(at..)?)?;
            if line.get(at) != Some(&b' ') {
                return None;
            }
            at += 1;
        }
        Some(Self {
            level,
            has_connection,
            message: at,
        })
    }
}

/// Those that a log shows, the most frequent first.
const LEVELS: [&[u8]; 8] = [
    b" [error] ",
    b" [warn] ",
    b" [info] ",
    b" [crit] ",
    b" [notice] ",
    b" [alert] ",
    b" [emerg] ",
    b" [debug] ",
];

/// How many digits a number has that fits every field of nginx's.
fn digits(text: &[u8]) -> Option<usize> {
    let mut length = 0;
    // Eight at once: a byte is no digit where adding to it, or what is left of it, leaves the digits' half.
    while let Some(&eight) = text.get(length..).and_then(<[u8]>::first_chunk) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        let eight = u64::from_le_bytes(eight) ^ (ONES * 0x30);
        let others = (eight.wrapping_add(ONES * 0x76) | eight) & (ONES * 0x80);
        let run = (others.trailing_zeros() / 8) as usize;
        length += run;
        if run < 8 {
            return (1..20).contains(&length).then_some(length);
        }
        if length > 20 {
            return None;
        }
    }
    while text.get(length).is_some_and(u8::is_ascii_digit) {
        length += 1;
    }
    (1..20).contains(&length).then_some(length)
}

/// What the first letters of a message tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dull {
    /// It is no failure of an upstream, and quotes nothing that a client wrote.
    Plain,
    /// It is none, but quotes what a client wrote.
    Quoting,
}

/// Messages of no interest, by their first letters alone.
pub(super) struct Dullness {
    /// Small, as it is looked at for every line.
    table: Vec<Option<Known>>,
}

#[derive(Clone, Copy)]
struct Known {
    start: [u8; START],
    dull: Dull,
    unless_grave: bool,
}

impl Dullness {
    /// A power of two, and some times as many as there are phrases.
    const SLOTS_BITS: u32 = 10;

    pub(super) fn new() -> Self {
        let mut table = vec![None; 1 << Self::SLOTS_BITS];
        for start in phrases::starts() {
            // A place that is taken already only costs the longer look.
            if let Some(place) = table.get_mut(Self::place(start))
                && place.is_none()
                && let Some(told) = phrases::dullness(start)
            {
                *place = Some(Known {
                    start,
                    dull: if told.quotes {
                        Dull::Quoting
                    } else {
                        Dull::Plain
                    },
                    unless_grave: told.unless_grave,
                });
            }
        }
        Self { table }
    }

    fn place(start: [u8; START]) -> usize {
        let mut bytes = [0; 8];
        bytes
            .iter_mut()
            .zip(start)
            .for_each(|(to, from)| *to = from);
        let mixed = u64::from_le_bytes(bytes).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(mixed >> (u64::BITS - Self::SLOTS_BITS)).unwrap_or(0)
    }

    pub(super) fn of(&self, message: &[u8], level: [u8; 2]) -> Option<Dull> {
        let start = *message.first_chunk()?;
        let known = self.table.get(Self::place(start)).copied().flatten()?;
        if known.start != start || (known.unless_grave && is_grave(level)) {
            return None;
        }
        // `NAME could not be resolved` may begin with any word.
        let near = message.get(..32).unwrap_or(message);
        let space = near.iter().position(|&byte| byte == b' ')?;
        (message.get(space + 1) != Some(&b'c')).then_some(known.dull)
    }
}

fn is_grave(level: [u8; 2]) -> bool {
    !matches!(&level, b"er" | b"wa" | b"no" | b"in" | b"de")
}

/// Whether a line about a client's text surely ends in the fields of its connection, so that the text has come to its end.
pub(super) fn is_closed(message: &[u8]) -> bool {
    let Some(at) = CLIENT.find(message) else {
        return false;
    };
    let behind = message.get(at + 1..).unwrap_or_default();
    CLIENT.find(behind).is_none()
}

/// The fields of a usual line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    /// The message, its errno and what nginx was doing.
    pub(super) said: &'a [u8],
    pub(super) client: &'a [u8],
    pub(super) server: &'a [u8],
    pub(super) request: Option<&'a [u8]>,
    /// The value up to where the peer ends or later, and before anything a client chooses.
    pub(super) upstream: Option<&'a [u8]>,
    pub(super) host: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// Of a line from its message on, its line end left out.
    pub(super) fn of(line: &'a [u8]) -> Option<Self> {
        let at = CLIENT.find(line)?;
        let (said, rest) = line.split_at_checked(at)?;
        let rest = rest.get(CLIENT.needle().len()..)?;
        // Angie quotes every string.
        if rest.first() == Some(&b'"') {
            return None;
        }
        let (client, rest) = rest.split_at_checked(memchr::memchr(b',', rest)?)?;
        let rest = rest.strip_prefix(SERVER)?;
        let mut fields = Self {
            said,
            client,
            server: rest,
            request: None,
            upstream: None,
            host: None,
        };
        let Some(end) = memchr::memchr(b',', rest) else {
            return Some(fields);
        };
        let (server, rest) = rest.split_at_checked(end)?;
        fields.server = server;
        let rest = rest.strip_prefix(REQUEST)?;
        let (request, mut rest) = rest.split_at_checked(memchr::memchr(b'"', rest)?)?;
        if !ends_in_version(request) {
            return None;
        }
        fields.request = Some(request);
        rest = rest.get(1..)?;
        if let Some(value) = rest.strip_prefix(UPSTREAM) {
            let (value, after) = value.split_at_checked(memchr::memchr(b'"', value)?)?;
            fields.upstream = Some(peer_part(value)?);
            rest = after.get(1..)?;
        }
        if let Some(value) = rest.strip_prefix(HOST) {
            let (value, after) = value.split_at_checked(memchr::memchr(b'"', value)?)?;
            fields.host = Some(value);
            rest = after.get(1..)?;
        }
        if rest.starts_with(REFERRER) {
            // Its value is all that is left.
            return (rest.len() > REFERRER.len() && rest.ends_with(b"\"")).then_some(fields);
        }
        rest.is_empty().then_some(fields)
    }
}

fn ends_in_version(request: &[u8]) -> bool {
    matches!(
        request.split_last_chunk(),
        Some((_, [b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]))
            if major.is_ascii_digit() && minor.is_ascii_digit()
    )
}

/// The first bytes of an `upstream:` value, which decide where its peer ends; `None` where all of it does.
fn peer_part(value: &[u8]) -> Option<&[u8]> {
    let scheme = if value.starts_with(b"http://") {
        b"http://".len()
    } else {
        let near = value.get(..12).unwrap_or(value);
        near.windows(3).position(|window| window == b"://")? + 3
    };
    let rest = value.get(scheme..)?;
    if !rest.starts_with(b"unix:") {
        let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
        return value.get(..scheme + end);
    }
    let from = b"unix:".len();
    // A colon that a slash or nothing follows ends a path; where nginx left it out, the socket's own ending does.
    let path = rest.get(from..)?;
    let slash_after = |at: &usize| matches!(path.get(at + 1), None | Some(b'/'));
    let colon = memchr::memchr_iter(b':', path).find(slash_after);
    let sock = memchr::memmem::find(path, b".sock/").map(|at| at + b".sock/".len() - 1);
    let end = match (colon, sock) {
        (Some(colon), Some(sock)) => colon.max(sock),
        (Some(colon), None) => colon,
        (None, Some(sock)) => sock,
        (None, None) => return (!value.starts_with(b"http")).then_some(value),
    };
    value.get(..=scheme + from + end)
}

/// The path of a request line, without its query: what a top list counts.
pub(super) fn path_of(request: &[u8]) -> &[u8] {
    let behind = memchr::memchr(b' ', request).map_or(0, |space| space + 1);
    let target = request.get(behind..).unwrap_or_default();
    let end = memchr::memchr2(b'?', b' ', target).unwrap_or(target.len());
    target.get(..end).unwrap_or_default()
}

/// The first part of a path, with its slashes' first: `/api` of `/api/v1/x`.
pub(super) fn first_part(path: &[u8]) -> &[u8] {
    let inner = path.get(1..).unwrap_or_default();
    let end = memchr::memchr(b'/', inner).map_or(path.len(), |at| at + 1);
    path.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_counted_as_one_by_one(text in "[0-9]{0,22}[ -~\u{80}\u{ff}]{0,9}") {
            let slow = text.bytes().take_while(u8::is_ascii_digit).count();
            prop_assert_eq!(digits(text.as_bytes()), (1..20).contains(&slow).then_some(slow));
        }
    }

    #[test]
    fn every_byte_is_a_digit_or_none() {
        for byte in 0..=u8::MAX {
            let text = [b'1', byte, b'2', b'3', b'4', b'5', b'6', b'7', b'8', b' '];
            let length = if byte.is_ascii_digit() { 9 } else { 1 };
            assert_eq!(digits(&text), Some(length), "{byte}");
        }
    }
}
