//! Time zones of processes, and what a wall clock reading means in them.
//!
//! Zone rules come from the host's own records; none are built in.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// Where the C library finds the zones by name.
const ZONES: &str = "/usr/share/zoneinfo";

/// What a process's `TZ` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TzVariable {
    /// The zone stands in the variable.
    Zone(TimeZone),
    /// It is to be read from this file, as the process sees it; when that is missing, it is UTC.
    File(PathBuf),
}

impl TzVariable {
    /// Reads the value of `TZ` as glibc does (tzset(3)); without the variable, the zone is in `/etc/localtime`.
    pub fn parse(value: &str) -> Self {
        let value = value.strip_prefix(':').unwrap_or(value);
        if value.is_empty() {
            return Self::Zone(TimeZone::UTC);
        }
        if value.starts_with('/') {
            return Self::File(PathBuf::from(value));
        }
        // A rule such as `CET-1CEST,M3.5.0,M10.5.0/3` holds a digit; a name of a file that does (`EST5EDT`) means the same.
        match TimeZone::posix(value) {
            Ok(zone) => Self::Zone(zone),
            Err(_) => Self::File(PathBuf::from(format!("{ZONES}/{value}"))),
        }
    }
}

/// The zone in a TZif file, such as `/etc/localtime`.
pub fn of_file(tzif: &[u8]) -> Option<TimeZone> {
    TimeZone::tzif("", tzif).ok()
}

/// What a wall clock reading may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instants {
    /// The earlier instant.
    pub earlier: Timestamp,
    /// The later one: another only in the hour that a clock set back shows twice.
    pub later: Timestamp,
}

impl Instants {
    /// The instants of a wall clock reading. One that a clock set forward never shows is taken for the reading that the
    /// clock would have shown had it not been set.
    pub fn of(zone: &TimeZone, reading: DateTime) -> Option<Self> {
        let ambiguous = zone.to_ambiguous_timestamp(reading);
        if let AmbiguousOffset::Fold { .. } = ambiguous.offset() {
            Some(Self {
                earlier: ambiguous.earlier().ok()?,
                later: ambiguous.later().ok()?,
            })
        } else {
            let instant = ambiguous.compatible().ok()?;
            Some(Self {
                earlier: instant,
                later: instant,
            })
        }
    }

    /// The same for seconds since 1970 counted as if local time were UTC.
    pub fn of_seconds(zone: &TimeZone, seconds: i64) -> Option<Self> {
        let reading = TimeZone::UTC.to_datetime(Timestamp::from_second(seconds).ok()?);
        Self::of(zone, reading)
    }

    /// Whether the reading means two instants.
    pub fn is_ambiguous(&self) -> bool {
        self.earlier != self.later
    }

    /// Of the two, the one that lies nearest to an instant known otherwise.
    pub fn nearest(&self, known: Timestamp) -> Timestamp {
        let distance = |instant: Timestamp| instant.duration_since(known).abs();
        if distance(self.later) < distance(self.earlier) {
            self.later
        } else {
            self.earlier
        }
    }
}

/// What the wall clock shows at an instant, in seconds since 1970 counted as if local time were UTC.
pub fn local_seconds(zone: &TimeZone, instant: Timestamp) -> i64 {
    let offset = zone.to_offset(instant).seconds();
    instant.as_second().saturating_add(offset.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn instants(reading: &str) -> Instants {
        Instants::of(&berlin(), reading.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_variable_holds_a_rule_or_names_a_file() {
        let file = |path: &str| TzVariable::File(path.into());
        for (value, expected) in [
            ("", TzVariable::Zone(TimeZone::UTC)),
            (":", TzVariable::Zone(TimeZone::UTC)),
            ("Europe/Berlin", file("/usr/share/zoneinfo/Europe/Berlin")),
            (":Europe/Berlin", file("/usr/share/zoneinfo/Europe/Berlin")),
            ("UTC", file("/usr/share/zoneinfo/UTC")),
            ("/srv/zone", file("/srv/zone")),
            (":/etc/localtime", file("/etc/localtime")),
            ("CET-1CEST,M3.5.0,M10.5.0/3", TzVariable::Zone(berlin())),
        ] {
            assert_eq!(TzVariable::parse(value), expected, "{value}");
        }
    }

    #[test]
    fn a_reading_means_one_instant_but_for_an_hour_a_year() {
        let summer = instants("2026-06-23T14:02:11");
        assert_eq!(summer.earlier, "2026-06-23T12:02:11Z".parse().unwrap());
        assert!(!summer.is_ambiguous());

        let twice = instants("2026-10-25T02:30:00");
        assert!(twice.is_ambiguous());
        assert_eq!(twice.earlier, "2026-10-25T00:30:00Z".parse().unwrap());
        assert_eq!(twice.later, "2026-10-25T01:30:00Z".parse().unwrap());
        assert_eq!(
            twice.nearest("2026-10-25T01:20:00Z".parse().unwrap()),
            twice.later
        );

        let never = instants("2026-03-29T02:30:00");
        assert!(!never.is_ambiguous());
        assert_eq!(never.earlier, "2026-03-29T01:30:00Z".parse().unwrap());
    }

    #[test]
    fn a_zone_is_read_from_a_file() {
        // A TZif file of one fixed offset, as `zic` writes `Zone X 1:00 - X`.
        let mut tzif = Vec::new();
        for (version_body, footer) in [(false, ""), (true, "\n<+01>-1\n")] {
            tzif.extend_from_slice(b"TZif2");
            tzif.extend_from_slice(&[0; 15]);
            for count in [0u32, 0, 0, 0, 1, 4] {
                tzif.extend_from_slice(&count.to_be_bytes());
            }
            tzif.extend_from_slice(&3600i32.to_be_bytes());
            tzif.extend_from_slice(&[0, 0]);
            tzif.extend_from_slice(b"+01\0");
            if version_body {
                tzif.extend_from_slice(footer.as_bytes());
            }
        }
        let zone = of_file(&tzif).unwrap();
        assert_eq!(local_seconds(&zone, Timestamp::UNIX_EPOCH), 3600);
        assert_eq!(of_file(b"junk"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, value: String, seconds: i64) {
            of_file(&bytes);
            TzVariable::parse(&value);
            Instants::of_seconds(&berlin(), seconds);
        }

        #[test]
        fn an_instant_is_found_again_from_what_the_clock_showed(second in -1_000_000_000i64..4_000_000_000) {
            let instant = Timestamp::from_second(second).unwrap();
            let found = Instants::of_seconds(&berlin(), local_seconds(&berlin(), instant)).unwrap();
            prop_assert!(found.earlier == instant || found.later == instant);
        }
    }
}
