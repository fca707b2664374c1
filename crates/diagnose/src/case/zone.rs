//! The zone of nginx's log times, which carry none.

use std::path::PathBuf;

use facts::zone::TzVariable;
use facts::{Gap, ProbeRequest, View};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use log::LocalTime;

use super::{Case, Instance, known};

/// The zone of a log.
#[derive(Clone, Debug)]
pub(super) struct Zone(TimeZone);

impl Case {
    /// The zone of an instance's logs: its `TZ`, or `/etc/localtime` under its root.
    pub(super) fn zone(&self, instance: &Instance) -> Result<Zone, Gap> {
        let local = ProbeRequest::File {
            view: instance.view,
            path: PathBuf::from("/etc/localtime"),
            limit: 1 << 20,
        };
        let variable = instance
            .master
            .as_ref()
            .map(|master| ProbeRequest::Environment {
                pid: master.pid,
                names: vec!["TZ".to_owned()],
            });
        let local = self
            .evidence
            .fact(&local, |_, bytes| facts::zone::of_file(bytes));
        let variable = variable
            .map(|request| self.evidence.fact(&request, |_, bytes| bytes.to_vec()))
            .transpose();
        let (local, variable) = (known(local)?, known(variable)?.flatten());
        if let Some(tz) = variable.and_then(|bytes| variable_of(&bytes))
            && let Some(zone) = self.named_zone(instance.view, &tz)?
        {
            return Ok(Zone(zone));
        }
        Ok(Zone(
            local
                .and_then(|local| (*local).clone())
                .unwrap_or(TimeZone::UTC),
        ))
    }

    /// What `TZ` names, where that can be read.
    fn named_zone(&self, view: View, tz: &str) -> Result<Option<TimeZone>, Gap> {
        let path = match TzVariable::parse(tz) {
            TzVariable::Zone(zone) => return Ok(Some(zone)),
            TzVariable::File(path) => path,
        };
        let file = ProbeRequest::File {
            view,
            path,
            limit: 1 << 20,
        };
        let zone = known(
            self.evidence
                .fact(&file, |_, bytes| facts::zone::of_file(bytes)),
        )?;
        Ok(zone.and_then(|zone| (*zone).clone()))
    }
}

fn variable_of(environment: &[u8]) -> Option<String> {
    let value = environment
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(b"TZ="))?;
    Some(std::str::from_utf8(value).ok()?.to_owned()).filter(|value| !value.is_empty())
}

impl Zone {
    /// A time as nginx would write it.
    pub(super) fn stamp(&self, at: Timestamp) -> String {
        at.to_zoned(self.0.clone())
            .strftime("%Y/%m/%d %H:%M:%S")
            .to_string()
    }

    /// The time of a line, given in seconds as if it were UTC. Of a local time that came twice, the first.
    pub(super) fn timestamp(&self, local: i64) -> Option<Timestamp> {
        let civil = Timestamp::from_second(local)
            .ok()?
            .to_zoned(TimeZone::UTC)
            .datetime();
        Some(civil.to_zoned(self.0.clone()).ok()?.timestamp())
    }

    /// The zone that the log itself shows, where it is another one: its file was last changed when its last line was
    /// written. nginx keeps the zone it was started with, and hides its environment.
    pub(super) fn corrected(&self, log: &[u8], modified: Timestamp) -> Option<Self> {
        let last = log
            .rsplit(|&byte| byte == b'\n')
            .find_map(LocalTime::parse)?;
        self.shown_by(last, modified.as_second())
    }

    /// The zone that a line shows which was written at that time (seconds since 1970), where it is another one.
    pub(super) fn shown_by(&self, line: LocalTime, at: i64) -> Option<Self> {
        const QUARTER: i64 = 15 * 60;
        let last = line.seconds();
        let offset = last - at;
        let rounded = (offset + QUARTER / 2).div_euclid(QUARTER) * QUARTER;
        // The line may have been written in the second before the change.
        if !(-1..=0).contains(&(offset - rounded)) || rounded.abs() > 14 * 3600 {
            return None;
        }
        if self.timestamp(last)?.as_second() == last - rounded {
            return None;
        }
        let offset = Offset::from_seconds(i32::try_from(rounded).ok()?).ok()?;
        Some(Self(TimeZone::fixed(offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn a_log_that_was_written_in_another_zone_shows_it() {
        let modified: Timestamp = "2026-06-23T12:02:11.4Z".parse().unwrap();
        let log = b"2026/06/23 14:02:11 [error] 1#1: x\n";
        let corrected = Zone(TimeZone::UTC).corrected(log, modified).unwrap();
        assert_eq!(
            corrected.timestamp(LocalTime::parse(log).unwrap().seconds()),
            Some("2026-06-23T12:02:11Z".parse().unwrap())
        );
    }

    #[test]
    fn a_log_that_agrees_or_was_touched_later_corrects_nothing() {
        let log = b"2026/06/23 12:02:11 [error] 1#1: x\n";
        for modified in ["2026-06-23T12:02:11.4Z", "2026-06-23T12:09:00Z"] {
            assert!(
                Zone(TimeZone::UTC)
                    .corrected(log, modified.parse().unwrap())
                    .is_none()
            );
        }
    }

    #[test]
    fn the_window_of_a_log_that_is_written_in_a_zone_behind_the_hosts_is_found() {
        // nginx was started with TZ=America/New_York: its 10:04 is the host's 14:04.
        let line = |time: &str| {
            format!(
                "            2026/06/23 {time} [error] 2842#2842: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: shop.example, request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\", host: \"shop.example\"\n"
            )
        };
        let host = format!(
            "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {{ server {{ location / {{ proxy_pass http://127.0.0.1:8000; }} }} }}
            //- file /var/log/nginx/error.log ctime=14:04:00
{}{}",
            line("08:30:00"),
            line("10:04:00")
        );
        let diagnosis = Fixture::parse(&host).diagnose();
        let told: Vec<_> = diagnosis
            .incidents
            .iter()
            .map(|judged| (judged.incident.count, judged.incident.last_seen.to_string()))
            .collect();
        assert_eq!(told, [(1, "2026-06-23T14:04:00Z".to_owned())]);
    }
}
