//! nginx's notations for durations and sizes, with the rules of `ngx_parse_time()` and `ngx_parse_size()`.

use std::time::Duration;

/// Units in the only order nginx takes them, with their length in milliseconds.
const UNITS: [(&[u8], u64); 9] = [
    (b"y", 365 * DAY),
    (b"M", 30 * DAY),
    (b"w", 7 * DAY),
    (b"d", DAY),
    (b"h", 3_600_000),
    (b"m", 60_000),
    (b"s", 1000),
    (b"ms", 1),
    // A number with a space behind it: seconds, and the last with a unit.
    (b" ", 1000),
];
const DAY: u64 = 86_400_000;
const WEEK_IDX: usize = 2;
const SECOND_IDX: usize = 6;
const MILLISECOND_IDX: usize = 7;

/// A time-out such as `60`, `60s`, `1m30s`, `500ms` or `1d 12h`; a bare number means seconds. `None` for anything
/// else, years and months among it: directives that take milliseconds know neither.
pub fn parse_time(text: &[u8]) -> Option<Duration> {
    parse_units(text, WEEK_IDX, MILLISECOND_IDX)
}

/// A time in whole seconds, as `fail_timeout=` and `expires` have it: with years and months of fixed lengths,
/// without milliseconds.
pub fn parse_seconds(text: &[u8]) -> Option<Duration> {
    parse_units(text, 0, SECOND_IDX)
}

/// Reads numbers with units from `first` to `last`, each unit once and in order, and perhaps a bare number at the
/// end.
fn parse_units(text: &[u8], first: usize, last: usize) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0_u64;
    let mut next_unit = first;
    let mut has_digits = false;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        has_digits |= digits > 0;
        // nginx takes a unit without a number for zero of it.
        let number = if digits > 0 {
            parse_digits(rest.get(..digits)?)?
        } else {
            0
        };
        rest = rest.get(digits..)?;
        if rest.is_empty() {
            total = total.checked_add(number.checked_mul(1000)?)?;
            break;
        }
        let (unit_idx, (name, millis)) = unit_at(rest)?;
        let is_allowed = unit_idx <= last || unit_idx > MILLISECOND_IDX;
        // After seconds neither seconds nor a space may come.
        let is_in_order =
            unit_idx >= next_unit && !(unit_idx > MILLISECOND_IDX && next_unit > SECOND_IDX);
        if !is_allowed || !is_in_order {
            return None;
        }
        next_unit = unit_idx + 1;
        total = total.checked_add(number.checked_mul(millis)?)?;
        rest = rest.get(name.len()..)?;
        while let Some(after) = rest.strip_prefix(b" ") {
            rest = after;
        }
    }
    has_digits.then(|| Duration::from_millis(total))
}

/// The unit this text begins with; `ms` is not `m`.
fn unit_at(text: &[u8]) -> Option<(usize, (&'static [u8], u64))> {
    let units = UNITS.iter().copied().enumerate();
    units
        .filter(|(_, (name, _))| text.starts_with(name))
        .max_by_key(|(_, (name, _))| name.len())
}

/// A size in bytes such as `4096`, `8k`, `16M` or `1g`. `None` for anything else.
pub fn parse_size(text: &[u8]) -> Option<u64> {
    let (digits, unit) = match text.split_last()? {
        (b'k' | b'K', digits) => (digits, 1 << 10),
        (b'm' | b'M', digits) => (digits, 1 << 20),
        (b'g' | b'G', digits) => (digits, 1 << 30),
        _ => (text, 1),
    };
    parse_digits(digits)?.checked_mul(unit)
}

/// A number of ASCII digits and nothing else.
pub(crate) fn parse_digits(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_nginx_reads_them() {
        for (text, millis) in [
            ("0", Some(0)),
            ("60", Some(60_000)),
            ("60s", Some(60_000)),
            ("1m30s", Some(90_000)),
            ("1m30", Some(90_000)),
            ("500ms", Some(500)),
            ("1s500ms", Some(1500)),
            ("1h 5m", Some(3_900_000)),
            ("1d", Some(86_400_000)),
            ("1w", Some(604_800_000)),
            ("1M", None),
            ("1y", None),
            ("", None),
            ("s", None),
            ("30s1m", None),
            ("1s1s", None),
            ("10x", None),
            ("-1", None),
            ("1.5s", None),
            ("$x", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(
                parse_time(text.as_bytes()),
                millis.map(Duration::from_millis),
                "{text}"
            );
        }
    }

    #[test]
    fn whole_seconds_have_years_and_no_milliseconds() {
        for (text, seconds) in [
            ("10", Some(10)),
            ("10s", Some(10)),
            ("1M", Some(2_592_000)),
            ("1y", Some(31_536_000)),
            ("500ms", None),
            ("", None),
        ] {
            assert_eq!(
                parse_seconds(text.as_bytes()),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
    }

    #[test]
    fn sizes_are_read_as_nginx_reads_them() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("8k", Some(8192)),
            ("8K", Some(8192)),
            ("1m", Some(1_048_576)),
            ("2g", Some(2_147_483_648)),
            ("", None),
            ("k", None),
            ("8kb", None),
            ("-1", None),
            ("99999999999g", None),
        ] {
            assert_eq!(parse_size(text.as_bytes()), bytes, "{text}");
        }
    }
}
