//! nginx's notations for durations and sizes, with the rules of `ngx_parse_time()` and `ngx_parse_size()`.

use std::time::Duration;

/// Units in the only order nginx accepts them, with their length in milliseconds.
const UNITS: [(&[u8], u64); 8] = [
    (b"y", 365 * DAY),
    (b"M", 30 * DAY),
    (b"w", 7 * DAY),
    (b"d", DAY),
    (b"h", 3_600_000),
    (b"m", 60_000),
    (b"s", 1000),
    (b"ms", 1),
];
const DAY: u64 = 86_400_000;

/// A duration such as `60`, `60s`, `1m30s`, `500ms` or `1d 12h`; a bare number means seconds. Years and months
/// have the fixed lengths nginx gives them. `None` for anything else.
pub fn parse_time(text: &[u8]) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0_u64;
    let mut next_unit = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = parse_digits(rest.get(..digits)?)?;
        rest = rest.get(digits..)?;
        let units = UNITS.iter().enumerate().rev();
        // `ms` before `m`: the longer spelling wins.
        let found = units
            .filter(|(_, (name, _))| rest.starts_with(name))
            .max_by_key(|(_, (name, _))| name.len());
        let millis = match found {
            Some((unit_idx, (name, millis))) => {
                if unit_idx < next_unit {
                    return None;
                }
                next_unit = unit_idx + 1;
                rest = rest.get(name.len()..)?;
                *millis
            }
            None if rest.is_empty() || rest.starts_with(b" ") => {
                // Bare seconds come last; nothing may follow but white space.
                if next_unit > 6 || rest.iter().any(|&byte| byte != b' ') {
                    return None;
                }
                rest = b"";
                1000
            }
            None => return None,
        };
        total = total.checked_add(number.checked_mul(millis)?)?;
        while let Some(after) = rest.strip_prefix(b" ") {
            rest = after;
        }
    }
    Some(Duration::from_millis(total))
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
            ("1M", Some(2_592_000_000)),
            ("1y", Some(31_536_000_000)),
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
