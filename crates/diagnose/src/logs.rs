//! What logs tell in bulk: incidents by peer and failure class, and the likely causes of each.
//!
//! No host is looked at and nothing is proven here: a candidate is what `explain` makes of one line of the incident, and
//! a verdict comes from a snapshot's diagnosis. Reading and counting is `log::bulk`'s.
//!
//! Times are as the logs show them: local to nginx, without a zone.

use log::LocalTime;
use log::bulk::{Seen, Top};

use crate::explain::{Candidate, Class, Protocol, While};

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
    /// Requests by the status that the client got; in the order of the statuses.
    pub by_status: Vec<(u16, u64)>,
    /// Requests and those answered by 5xx, by step; in order.
    pub timeline: Vec<(LocalTime, u64, u64)>,
    /// Attempts by peer, the most first; empty where the format does not tell peers.
    pub peers: Vec<AccessPeer>,
    /// Clients, URLs and hosts of the requests that were answered by 5xx.
    pub clients: Top,
    /// See `clients`.
    pub urls: Top,
    /// See `clients`.
    pub hosts: Top,
}

impl AccessReport {
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
