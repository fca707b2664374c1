//! The spellings of single values: times, statuses, durations, and nginx's escapes.

use crate::access::Escape;
use crate::time::{LocalTime, zone_offset};
use std::borrow::Cow;

/// `200`, or `009`.
pub(super) fn status(text: &[u8]) -> Option<u16> {
    match *text {
        [a, b, c] if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() => {
            Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        _ => None,
    }
}

/// `12.345` seconds, as nginx prints every duration and `$msec`.
pub(super) fn milliseconds(text: &[u8]) -> Option<u64> {
    let dot = text.len().checked_sub(4)?;
    let (seconds, fraction) = text.split_at_checked(dot)?;
    let fraction = fraction.strip_prefix(b".")?;
    if seconds.is_empty() || seconds.len() > 15 {
        return None;
    }
    seconds
        .iter()
        .chain(fraction)
        .try_fold(0_u64, |value, byte| {
            byte.is_ascii_digit()
                .then(|| value * 10 + u64::from(byte - b'0'))
        })
}

/// Any of the times, by the log's own clock; `$msec` has none, so that it is UTC.
pub(super) fn local_time(text: &[u8]) -> Option<LocalTime> {
    let seconds = || i64::try_from(milliseconds(text)? / 1000).ok();
    LocalTime::parse_time_local(text)
        .or_else(|| LocalTime::parse_iso(text))
        .or_else(|| seconds().map(LocalTime::from_seconds))
}

/// `2026-11-21T01:43:17+01:00` in UTC.
pub(super) fn iso8601(text: &[u8]) -> Option<i64> {
    let (local, zone) = text.split_at_checked(LocalTime::LENGTH)?;
    Some(LocalTime::parse_iso(local)?.seconds() - zone_offset(zone)?)
}

/// `21/Nov/2026:01:43:17 +0100` in UTC.
pub(super) fn time_local(text: &[u8]) -> Option<i64> {
    let (local, zone) = text.split_at_checked(20)?;
    Some(LocalTime::parse_time_local(local)?.seconds() - zone_offset(zone.strip_prefix(b" ")?)?)
}

/// Undoes nginx's escapes: `\x22` (default), JSON's, or none.
pub fn unescape(value: &[u8], escape: Escape) -> Cow<'_, [u8]> {
    if escape == Escape::None || memchr::memchr(b'\\', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        let (bytes, length) = match (first, escape, after) {
            (b'\\', Escape::Default, [b'x', high, low, ..]) => (hex(&[*high, *low]), 4),
            (b'\\', Escape::Json, [b'u', b'0', b'0', high, low, ..]) => (hex(&[*high, *low]), 6),
            (b'\\', Escape::Json, [code, ..]) => (simple(*code), 2),
            _ => (None, 1),
        };
        match bytes {
            Some(byte) => plain.push(byte),
            None => plain.extend_from_slice(rest.get(..length.min(rest.len())).unwrap_or(rest)),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Cow::Owned(plain)
}

fn simple(code: u8) -> Option<u8> {
    Some(match code {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        b'"' | b'\\' | b'/' => code,
        _ => return None,
    })
}

fn hex(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |value, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        Some(value << 4 | u8::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        let utc = Some(1_795_221_797);
        assert_eq!(time_local(b"21/Nov/2026:01:43:17 +0100"), utc);
        assert_eq!(iso8601(b"2026-11-21T01:43:17+01:00"), utc);
        assert_eq!(iso8601(b"2026-11-21T00:43:17Z"), utc);
        assert_eq!(time_local(b"21/Nov/2026:01:43:17"), None);
    }

    #[test]
    fn statuses_and_durations() {
        assert_eq!(status(b"502"), Some(502));
        assert_eq!(status(b"009"), Some(9));
        assert_eq!(status(b"-"), None);
        assert_eq!(milliseconds(b"0.004"), Some(4));
        assert_eq!(milliseconds(b"1795221797.123"), Some(1_795_221_797_123));
        for text in ["-", "", "1", "1.23", ".004", "a.004"] {
            assert_eq!(milliseconds(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn escapes_are_undone() {
        for (value, escape, plain) in [
            (r"a\x22b", Escape::Default, "a\"b"),
            (r"a\xZZ", Escape::Default, r"a\xZZ"),
            (r#"a\"\n\u001Fb"#, Escape::Json, "a\"\n\u{1f}b"),
            (r"a\", Escape::Json, r"a\"),
            (r"a\x22", Escape::None, r"a\x22"),
        ] {
            assert_eq!(
                &*unescape(value.as_bytes(), escape),
                plain.as_bytes(),
                "{value}"
            );
        }
    }
}
