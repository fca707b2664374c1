//! Moments that a user names, by the clock of the logs: they show no zone, so none is accepted.

use std::time::Duration;

use log::LocalTime;

use crate::collect;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A reading of the logs' clock.
    At(LocalTime),
    /// So long before the newest line of all logs that are read: these may be old, and of a host in another zone.
    BeforeTheEnd(Duration),
}

impl Moment {
    /// Reads a date, a date with a time, or a duration.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is no time: write 2026-06-23, '2026-06-23 14:02', 2026-06-23T14:02:11 or '2026/06/23 14:02:11' as the log's clock shows it, or 90s, 15m, 1h or 7d before its newest line"
            )
        };
        if let Ok(duration) = collect::parse_duration(text) {
            return Ok(Self::BeforeTheEnd(duration));
        }
        let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
        let seconds = if time.len() == "14:02".len() {
            ":00"
        } else {
            ""
        };
        let spelled = format!("{} {}{seconds}", date.replace('-', "/"), time.trim());
        if spelled.len() != LocalTime::LENGTH {
            return Err(wrong());
        }
        LocalTime::parse(spelled.as_bytes())
            .map(Self::At)
            .ok_or_else(wrong)
    }

    /// Whether it needs the newest line.
    pub(crate) fn is_relative(self) -> bool {
        matches!(self, Self::BeforeTheEnd(_))
    }

    /// The reading that is meant; `None` where it hangs on a newest line that there is not.
    pub(crate) fn resolve(self, newest: Option<LocalTime>) -> Option<LocalTime> {
        match self {
            Self::At(time) => Some(time),
            Self::BeforeTheEnd(duration) => {
                let back = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
                let seconds = newest?.seconds().saturating_sub(back);
                Some(LocalTime::from_seconds(seconds))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_usual_spelling() {
        let at = |text: &str| Moment::At(LocalTime::parse(text.as_bytes()).unwrap());
        for (text, expected) in [
            ("2026-06-23", at("2026/06/23 00:00:00")),
            ("2026/06/23", at("2026/06/23 00:00:00")),
            ("2026-06-23 14:02", at("2026/06/23 14:02:00")),
            ("2026-06-23T14:02", at("2026/06/23 14:02:00")),
            ("2026-06-23T14:02:11", at("2026/06/23 14:02:11")),
            ("2026/06/23 14:02:11", at("2026/06/23 14:02:11")),
            ("15m", Moment::BeforeTheEnd(Duration::from_mins(15))),
            ("7d", Moment::BeforeTheEnd(Duration::from_hours(7 * 24))),
        ] {
            assert_eq!(Moment::parse(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-06-31",
            "2026-06-23T14:02:11Z",
            "2026-06-23T14:02:11+02:00",
            "2026-6-23",
            "14:02",
            "0s",
            "é2026-06-23",
        ] {
            let error = Moment::parse(text).unwrap_err();
            assert!(error.contains("15m"), "{text}: {error}");
        }
    }

    #[test]
    fn a_duration_counts_back_from_the_newest_line() {
        let newest = LocalTime::parse(b"2026/06/23 14:02:11");
        let moment = Moment::parse("1h").unwrap();
        assert_eq!(
            moment.resolve(newest),
            LocalTime::parse(b"2026/06/23 13:02:11")
        );
        assert_eq!(moment.resolve(None), None);
    }
}
