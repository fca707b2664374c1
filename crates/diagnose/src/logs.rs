//! What logs tell in bulk: incidents by peer and failure class, and the likely causes of each.
//!
//! No host is looked at and nothing is proven here: a candidate is what `explain` makes of one line of the incident, and
//! a verdict comes from a snapshot's diagnosis. Reading and counting is `log::bulk`'s.
//!
//! Times are as the logs show them: local to nginx, without a zone.

pub use log::LocalTime;
use log::bulk::{AccessCounted, CountedIncident, ErrorCounted};
pub use log::bulk::{Seen, Top};
use log::error::Seen as Outcome;

use crate::explain::{self, Candidate, Class, Protocol, While};

/// A shorter silence is none.
const SILENCE: i64 = 1800;
/// Silences that are told.
const SILENCES: usize = 5;

/// The answer to "what broke, when, how often, for whom".
#[derive(Clone, Debug, Default)]
pub struct LogReport {
    /// The files that were read, in the order of the times inside.
    pub files: Vec<LogFile>,
    /// The first and the last time of a line that was counted.
    pub window: Option<(LocalTime, LocalTime)>,
    /// Lines of error logs that were counted.
    pub lines: u64,
    /// Those that are a failed attempt to get an answer from a peer.
    pub upstream_failures: u64,
    /// Those that somebody else than nginx may have written: in no incident.
    pub suspects: u64,
    /// Lines that are no line of nginx's and continue none.
    pub strange: u64,
    /// How often the clock of a log went back by more than half an hour: a clock or a time zone was set.
    pub jumps: u64,
    /// What one step of a timeline is.
    pub step: Step,
    /// The most failures first.
    pub incidents: Vec<LogIncident>,
    /// Incidents that came when too many were kept already: their failures, counted together.
    pub beyond: u64,
    /// Whose requests failed; over all incidents.
    pub clients: Top,
    /// Which URLs failed, without their query.
    pub urls: Top,
    /// Which Host headers failed.
    pub hosts: Top,
    /// Distinct clients among the failures.
    pub distinct_clients: Seen,
    /// What access logs tell; `None` where none was read.
    pub access: Option<AccessReport>,
    /// Times in which nothing was logged at all, the longest first.
    pub silences: Vec<(LocalTime, LocalTime)>,
    /// What could not be read, or not wholly.
    pub skipped: Vec<Skipped>,
    /// The reading was ended before its end.
    pub interrupted: bool,
}

impl LogReport {
    /// What was counted in error logs, with the likely causes of each incident; its timelines in steps of `step`.
    pub fn of_error_logs(counted: ErrorCounted, step: Step) -> Self {
        let mut incidents: Vec<LogIncident> = counted
            .incidents
            .into_iter()
            .map(|incident| LogIncident::new(incident, step))
            .collect();
        incidents.sort_by(|one, other| {
            let order = |incident: &LogIncident| (incident.first_seen, incident.peer.clone());
            (other.count.cmp(&one.count)).then_with(|| order(one).cmp(&order(other)))
        });
        Self {
            window: counted.window,
            lines: counted.lines,
            upstream_failures: counted.failures,
            suspects: counted.suspects,
            strange: counted.strange,
            jumps: counted.jumps,
            step,
            incidents,
            beyond: counted.beyond,
            clients: counted.clients,
            urls: counted.urls,
            hosts: counted.hosts,
            distinct_clients: counted.distinct_clients,
            silences: silences(&counted.active),
            ..Self::default()
        }
    }
}

/// The longest times between spans in which something was logged.
fn silences(active: &[(LocalTime, LocalTime)]) -> Vec<(LocalTime, LocalTime)> {
    let mut silences: Vec<(LocalTime, LocalTime)> = active
        .windows(2)
        .filter_map(|pair| Some((pair.first()?.1, pair.get(1)?.0)))
        .filter(|(from, to)| length(*from, *to) >= SILENCE)
        .collect();
    silences.sort_by_key(|&(from, to)| (-length(from, to), from));
    silences.truncate(SILENCES);
    silences
}

fn length(from: LocalTime, to: LocalTime) -> i64 {
    to.seconds() - from.seconds()
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// As it was named; `-` for standard input.
    pub name: String,
    /// What it was taken for.
    pub kind: LogKind,
    /// Its bytes as they are stored.
    pub bytes: u64,
    /// Its lines.
    pub lines: u64,
    /// The first and the last time in it.
    pub window: Option<(LocalTime, LocalTime)>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// nginx's error log, however it is carried.
    Error,
    /// An access log.
    Access,
    /// Neither.
    Unknown,
}

impl LogKind {
    /// For people and programs: `error`, `access`, `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Access => "access",
            Self::Unknown => "unknown",
        }
    }
}

/// What could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub file: String,
    /// What was left out, and why, in a sentence without its end.
    pub why: String,
    /// Lines that were left out, where they can be counted.
    pub lines: u64,
    /// Nothing of the file was read.
    pub whole: bool,
}

/// How long a step of a timeline is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A minute.
    #[default]
    Minute,
    /// An hour.
    Hour,
    /// A day, from midnight to midnight.
    Day,
}

impl Step {
    /// For people and programs: `minute`, `hour`, `day`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The start of the step that a second is in; both by the log's own clock.
    pub fn start(self, second: i64) -> i64 {
        second.div_euclid(self.seconds()) * self.seconds()
    }

    /// Its length in seconds.
    pub fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }
}

/// Alike failures of one peer.
#[derive(Clone, Debug)]
pub struct LogIncident {
    /// As nginx prints it; the upstream's name for `no live upstreams`; `-` where the lines name none.
    pub peer: String,
    /// The upstream that holds the peer, where a configuration says so.
    pub upstream: Option<String>,
    /// How nginx spoke to it.
    pub protocol: Option<Protocol>,
    /// What failed.
    pub failure: Class,
    /// The errno, as printed.
    pub errno: Option<u16>,
    /// What nginx was doing.
    pub action: Option<While>,
    /// What the client saw, if it was the request's last attempt.
    pub status: Option<u16>,
    /// Failed attempts.
    pub count: u64,
    /// The first.
    pub first_seen: LocalTime,
    /// The last.
    pub last_seen: LocalTime,
    /// The servers that were asked, with their failures; the most first.
    pub servers: Vec<(String, u64)>,
    /// The locations that were hit: the configuration's where one is given, else the first part of the paths; the most
    /// first.
    pub locations: Vec<(String, u64)>,
    /// Distinct clients.
    pub clients: Seen,
    /// The start of each step in which something failed, and how often; in order.
    pub timeline: Vec<(LocalTime, u64)>,
    /// The first line.
    pub sample: String,
    /// Likely causes, most likely first.
    pub candidates: Vec<Candidate>,
    /// The cause that a snapshot's diagnosis confirmed for it.
    pub verdict: Option<LogVerdict>,
}

impl LogIncident {
    fn new(counted: CountedIncident, step: Step) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut timeline: Vec<(LocalTime, u64)> = Vec::new();
        for (minute, count) in counted.minutes {
            let start = LocalTime::from_seconds(step.start(minute * 60));
            match timeline.last_mut() {
                Some((last, sum)) if *last == start => *sum += count,
                _ => timeline.push((start, count)),
            }
        }
        let explanation = explain::explain(&counted.sample);
        let line = explanation.lines.into_iter().next();
        let named = |values: Vec<(Vec<u8>, u64)>| {
            let named = values
                .into_iter()
                .map(|(value, count)| (text(&value), count));
            named.collect()
        };
        Self {
            peer: if counted.kind.peer.is_empty() {
                "-".to_owned()
            } else {
                text(&counted.kind.peer)
            },
            upstream: None,
            protocol: counted.kind.protocol,
            failure: counted.kind.class,
            errno: counted.kind.errno,
            action: counted.kind.action,
            status: match counted.outcome {
                Outcome::Status(status) => Some(status),
                Outcome::Truncated | Outcome::Nothing | Outcome::Unknown => None,
            },
            count: counted.count,
            first_seen: counted.window.0,
            last_seen: counted.window.1,
            servers: named(counted.servers),
            locations: named(counted.locations.values),
            clients: counted.clients,
            timeline,
            sample: text(&counted.sample),
            candidates: line.map_or_else(Vec::new, |line| line.candidates),
            verdict: None,
        }
    }

    /// Failures in a second, from the first to the last.
    pub fn rate(&self) -> f64 {
        let seconds = (self.last_seen.seconds() - self.first_seen.seconds()).max(0) + 1;
        let exact = |value: u64| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
        exact(self.count) / exact(seconds.unsigned_abs())
    }
}

/// What a diagnosis of a snapshot says of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogVerdict {
    /// The confirmed cause; `None` where none was proven.
    pub cause: Option<&'static str>,
    /// Its sentence, or that nothing was proven.
    pub summary: String,
}

/// What access logs tell.
#[derive(Clone, Debug, Default)]
pub struct AccessReport {
    /// Requests.
    pub requests: u64,
    /// Lines that the format did not write.
    pub unfit: u64,
    /// Requests by the status that the client got; in the order of the statuses.
    pub by_status: Vec<(u16, u64)>,
    /// Requests and those answered by 5xx, by step; in order.
    pub timeline: Vec<(LocalTime, u64, u64)>,
    /// Attempts by peer, the most first; empty where the format does not tell peers.
    pub peers: Vec<AccessPeer>,
    /// Attempts at peers that came when too many were known already.
    pub beyond: u64,
    /// Clients, URLs and hosts of the requests that were answered by 5xx.
    pub clients: Top,
    /// See `clients`.
    pub urls: Top,
    /// See `clients`.
    pub hosts: Top,
}

impl AccessReport {
    /// What was counted in access logs; the timeline in steps of `step`, or longer ones where shorter were not kept.
    pub fn new(counted: AccessCounted, step: Step) -> Self {
        let mut timeline: Vec<(LocalTime, u64, u64)> = Vec::new();
        for (at, requests, errors) in counted.timeline {
            let start = LocalTime::from_seconds(step.start(at.seconds()));
            match timeline.last_mut() {
                Some((last, all, failed)) if *last == start => {
                    *all += requests;
                    *failed += errors;
                }
                _ => timeline.push((start, requests, errors)),
            }
        }
        let peer = |peer: log::bulk::AccessPeer| AccessPeer {
            peer: String::from_utf8_lossy(&peer.peer).into_owned(),
            attempts: peer.attempts,
            server_errors: peer.server_errors,
            response_times: peer.response_times,
        };
        Self {
            requests: counted.requests,
            unfit: counted.unfit,
            by_status: counted.by_status,
            timeline,
            peers: counted.peers.into_iter().map(peer).collect(),
            beyond: counted.beyond,
            clients: counted.clients,
            urls: counted.urls,
            hosts: counted.hosts,
        }
    }

    /// Requests answered by 5xx.
    pub fn server_errors(&self) -> u64 {
        let errors = self
            .by_status
            .iter()
            .filter(|(status, _)| (500..600).contains(status));
        errors.map(|(_, count)| count).sum()
    }
}

/// One peer, by access logs.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessPeer {
    /// As nginx prints it.
    pub peer: String,
    /// Attempts.
    pub attempts: u64,
    /// Those whose status is 5xx.
    pub server_errors: u64,
    /// Response times in milliseconds at the 50th, 95th and 99th percentile, within a hundredth; `None` where the format
    /// does not tell them.
    pub response_times: Option<[f64; 3]>,
}

#[cfg(test)]
mod tests {
    use log::bulk::{ErrorCounter, Part, Wanted};
    use log::error::Carrier;

    use super::*;

    fn report(log: &str, step: Step) -> LogReport {
        let mut counter = ErrorCounter::new(&Wanted::default());
        let part = Part {
            text: log.as_bytes(),
            within: 0..log.len(),
        };
        counter.count(&part, Carrier::Plain);
        LogReport::of_error_logs(counter.finish(), step)
    }

    fn refused(time: &str, client: u8) -> String {
        format!(
            "2026/06/23 {time} [error] 7#7: *9 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.{client}, server: a.example, request: \"GET /shop/cart?x HTTP/1.1\", upstream: \"http://127.0.0.1:8000/shop/cart?x\", host: \"a.example\"\n"
        )
    }

    #[test]
    fn an_incident_has_its_steps_its_servers_and_what_may_be_behind_it() {
        let log = [
            refused("14:02:11", 1),
            refused("14:02:59", 2),
            refused("14:03:00", 1),
            refused("15:03:00", 1),
        ]
        .concat();
        let told = report(&log, Step::Minute);
        assert_eq!((told.lines, told.upstream_failures), (4, 4));
        let [incident] = told.incidents.as_slice() else {
            panic!("{told:#?}");
        };
        assert_eq!(incident.peer, "127.0.0.1:8000");
        assert_eq!(incident.failure, Class::ConnectRefused);
        assert_eq!((incident.errno, incident.status), (Some(111), Some(502)));
        assert_eq!(incident.servers, [("a.example".to_owned(), 4)]);
        assert_eq!(incident.locations, [("/shop".to_owned(), 4)]);
        assert_eq!(incident.clients.count, 2);
        let counts: Vec<u64> = incident.timeline.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 1, 1]);
        assert_eq!(
            incident.candidates.first().map(|candidate| candidate.cause),
            Some("peer-not-listening")
        );
        let silence =
            |time: &str| LocalTime::parse(format!("2026/06/23 {time}").as_bytes()).unwrap();
        assert_eq!(told.silences, [(silence("14:03:00"), silence("15:03:00"))]);
        let hours = report(&log, Step::Hour);
        let counts: Vec<u64> = hours.incidents[0]
            .timeline
            .iter()
            .map(|(_, count)| *count)
            .collect();
        assert_eq!(counts, [3, 1]);
    }
}
