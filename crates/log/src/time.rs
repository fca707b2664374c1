//! Calendar arithmetic for the three spellings of a time that nginx's logs use.
//!
//! No zone and no clock: what a local second means in UTC is for who knows the worker's zone.

use std::fmt;

const SECONDS_A_DAY: i64 = 86_400;
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// A wall clock reading without a zone: the seconds since 1970 if its text were UTC.
///
/// It means the whole second that starts there, and nginx refreshes it only once per turn of its event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime(i64);

impl LocalTime {
    /// The length of nginx's spelling.
    pub const LENGTH: usize = 19;

    /// The reading with this many seconds since 1970, as if local time were UTC.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970, as if local time were UTC.
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// Parses exactly `YYYY/MM/DD HH:MM:SS` at the start of `text`; the day must exist.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::parse_spelled(text, b'/', b' ')
    }

    /// Parses `YYYY-MM-DDTHH:MM:SS` at the start of `text`; the zone behind it is the caller's.
    pub(crate) fn parse_iso(text: &[u8]) -> Option<Self> {
        Self::parse_spelled(text, b'-', b'T').or_else(|| Self::parse_spelled(text, b'-', b' '))
    }

    fn parse_spelled(text: &[u8], date: u8, between: u8) -> Option<Self> {
        let t: &[u8; 19] = text.first_chunk()?;
        let fixed =
            t[4] == date && t[7] == date && t[10] == between && t[13] == b':' && t[16] == b':';
        if !fixed {
            return None;
        }
        let day = days(
            two(t[0], t[1])? * 100 + two(t[2], t[3])?,
            two(t[5], t[6])?,
            two(t[8], t[9])?,
        )?;
        Some(Self(
            day * SECONDS_A_DAY
                + clock(two(t[11], t[12])?, two(t[14], t[15])?, two(t[17], t[18])?)?,
        ))
    }

    /// Parses `DD/Mon/YYYY:HH:MM:SS`, the first 20 bytes of `$time_local`.
    pub(crate) fn parse_time_local(text: &[u8]) -> Option<Self> {
        let t: &[u8; 20] = text.first_chunk()?;
        let fixed = t[2] == b'/' && t[6] == b'/' && t[11] == b':' && t[14] == b':' && t[17] == b':';
        if !fixed {
            return None;
        }
        let month = MONTHS.iter().position(|name| t[3..6] == name[..])?;
        let day = days(
            two(t[7], t[8])? * 100 + two(t[9], t[10])?,
            i64::try_from(month).ok()? + 1,
            two(t[0], t[1])?,
        )?;
        Some(Self(
            day * SECONDS_A_DAY
                + clock(two(t[12], t[13])?, two(t[15], t[16])?, two(t[18], t[19])?)?,
        ))
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(SECONDS_A_DAY));
        let second = self.0.rem_euclid(SECONDS_A_DAY);
        write!(
            f,
            "{year:04}/{month:02}/{day:02} {:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }
}

/// The seconds east of UTC of a zone spelled `+HHMM`, `+HH:MM` or `Z`.
pub(crate) fn zone_offset(text: &[u8]) -> Option<i64> {
    let (sign, h1, h2, m1, m2) = match *text {
        [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, h1, h2, m1, m2),
        _ => return None,
    };
    let seconds = two(h1, h2)? * 3600 + two(m1, m2)? * 60;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

fn clock(hour: i64, minute: i64, second: i64) -> Option<i64> {
    // 60 is a leap second, which strftime may print.
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// Days since 1970 of a date that exists (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day < 1 || day > length {
        return None;
    }
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468)
}

fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = (mp + 2) % 12 + 1;
    (
        yoe + era * 400 + i64::from(month <= 2),
        month,
        doy - (153 * mp + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_readings() {
        for (text, seconds) in [
            ("1970/01/01 00:00:00", 0),
            ("2026/11/21 01:43:17", 1_795_225_397),
            ("2000/02/29 23:59:59", 951_868_799),
        ] {
            let time = LocalTime::parse(text.as_bytes()).unwrap();
            assert_eq!(time.seconds(), seconds, "{text}");
            assert_eq!(time.to_string(), text);
        }
    }

    #[test]
    fn days_that_do_not_exist_are_no_time() {
        for text in [
            "2026/02/29 00:00:00",
            "2026/13/01 00:00:00",
            "2026/00/10 00:00:00",
            "2026/11/21 24:00:00",
            "2026-11-21 01:00:00",
        ] {
            assert_eq!(LocalTime::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_three_spellings_agree() {
        let nginx = LocalTime::parse(b"2026/11/21 01:43:17");
        assert_eq!(LocalTime::parse_iso(b"2026-11-21T01:43:17+01:00"), nginx);
        assert_eq!(
            LocalTime::parse_time_local(b"21/Nov/2026:01:43:17 +0100"),
            nginx
        );
    }

    #[test]
    fn zones() {
        for (text, seconds) in [
            ("Z", Some(0)),
            ("+0100", Some(3600)),
            ("-03:30", Some(-12_600)),
            ("UTC", None),
        ] {
            assert_eq!(zone_offset(text.as_bytes()), seconds, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_second_round_trips(seconds in 0_i64..7_258_118_400) {
            let time = LocalTime::from_seconds(seconds);
            prop_assert_eq!(LocalTime::parse(time.to_string().as_bytes()), Some(time));
        }
    }
}
