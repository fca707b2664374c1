//! Times as a log shows them: local to nginx, in no zone that the log would tell.

use diagnose::logs::{LocalTime, LogReport};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// `2026-06-23T14:02:11`: RFC 3339 without the zone, which nobody knows.
pub(crate) fn iso(at: LocalTime) -> String {
    spelled(at, "%Y-%m-%dT%H:%M:%S")
}

/// By a format of `strftime`, as if local time were UTC; nginx's own spelling of what no calendar reaches.
pub(crate) fn spelled(at: LocalTime, format: &str) -> String {
    match Timestamp::from_second(at.seconds()) {
        Ok(time) => time.strftime(format).to_string(),
        Err(_) => at.to_string(),
    }
}

/// `2026-06-23 14:02:11 to 14:04:59`.
pub(crate) fn span(from: LocalTime, to: LocalTime) -> String {
    let format = if date(from).is_some() && date(from) == date(to) {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    let from = spelled(from, "%Y-%m-%d %H:%M:%S");
    format!("{from} to {}", spelled(to, format))
}

/// Times as people read them: so much of the date as differs between the ends of the window.
#[derive(Clone, Copy)]
pub(crate) struct LocalClock {
    date: &'static str,
}

impl LocalClock {
    pub(crate) fn of(report: &LogReport) -> Self {
        let dates = report
            .window
            .and_then(|(from, to)| Some((date(from)?, date(to)?)));
        let date = match dates {
            Some((from, to)) if from == to => "",
            Some((from, to)) if from.year() == to.year() => "%m-%d ",
            _ => "%Y-%m-%d ",
        };
        Self { date }
    }

    /// With its seconds.
    pub(crate) fn time(self, at: LocalTime) -> String {
        spelled(at, &format!("{}%H:%M:%S", self.date))
    }

    /// Without: where a step begins.
    pub(crate) fn minute(self, at: LocalTime) -> String {
        spelled(at, &format!("{}%H:%M", self.date))
    }
}

fn date(at: LocalTime) -> Option<Date> {
    let time = Timestamp::from_second(at.seconds()).ok()?;
    Some(TimeZone::UTC.to_datetime(time).date())
}
