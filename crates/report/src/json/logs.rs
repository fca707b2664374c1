//! `why502.logs/1`: what logs tell in bulk. Times are the logs' own, without a zone. Where a struct has fields behind a
//! blank line, they came later than the first outline of the schema.

use std::borrow::Cow;
use std::collections::BTreeMap;

use diagnose::explain::{Protocol, While};
use diagnose::logs::{
    AccessPeer, AccessReport, LocalTime, LogFile, LogIncident, LogReport, LogVerdict, Seen,
    Skipped, Top,
};
use serde::Serialize;

use super::explanation::CandidateV1;
use crate::local::iso;

/// See the module.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    schema: &'static str,
    files: Vec<FileV1<'a>>,
    window: WindowV1,
    lines: u64,
    upstream_failures: u64,
    suspects: u64,
    strange: u64,
    jumps: u64,
    step: &'static str,
    incidents: Vec<IncidentV1<'a>>,
    top: TopsV1<'a>,
    access: Option<AccessV1<'a>>,
    silences: Vec<(String, String)>,
    skipped: SkippedV1<'a>,
    interrupted: bool,

    /// Failures of incidents that are not in the list.
    beyond: u64,
    /// Clients over all incidents.
    clients: SeenV1,
}

#[derive(Serialize)]
struct FileV1<'a> {
    name: &'a str,
    kind: &'static str,
    bytes: u64,
    lines: u64,
    first: Option<String>,
    last: Option<String>,
}

#[derive(Serialize)]
struct WindowV1 {
    from: Option<String>,
    to: Option<String>,
}

#[derive(Serialize)]
struct IncidentV1<'a> {
    peer: &'a str,
    upstream: Option<&'a str>,
    protocol: Option<&'static str>,
    failure: &'static str,
    errno: Option<u16>,
    #[serde(rename = "while")]
    action: Option<&'static str>,
    status: Option<u16>,
    count: u64,
    first_seen: String,
    last_seen: String,
    rate: f64,
    servers: Vec<&'a str>,
    server_counts: &'a [(String, u64)],
    locations: &'a [(String, u64)],
    clients: SeenV1,
    timeline: Vec<(String, u64)>,
    sample: &'a str,
    candidates: Vec<CandidateV1<'a>>,
    verdict: Option<VerdictV1<'a>>,
}

#[derive(Serialize)]
struct SeenV1 {
    count: u64,
    estimate: bool,
}

#[derive(Serialize)]
struct VerdictV1<'a> {
    cause: Option<&'static str>,
    summary: &'a str,
}

#[derive(Serialize)]
struct TopsV1<'a> {
    clients: Vec<(Cow<'a, str>, u64)>,
    urls: Vec<(Cow<'a, str>, u64)>,
    hosts: Vec<(Cow<'a, str>, u64)>,
    error: ErrorsV1,
}

/// By how much each count of a list may be too low.
#[derive(Serialize)]
struct ErrorsV1 {
    clients: u64,
    urls: u64,
    hosts: u64,
}

#[derive(Serialize)]
struct AccessV1<'a> {
    requests: u64,
    unfit: u64,
    beyond: u64,
    by_status: BTreeMap<u16, u64>,
    server_errors: u64,
    peers: Vec<PeerV1<'a>>,
    timeline: Vec<(String, u64, u64)>,
    top: TopsV1<'a>,
}

#[derive(Serialize)]
struct PeerV1<'a> {
    peer: &'a str,
    attempts: u64,
    server_errors: u64,
    /// Milliseconds.
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

#[derive(Serialize)]
struct SkippedV1<'a> {
    lines: u64,
    files: Vec<SkippedFileV1<'a>>,
}

#[derive(Serialize)]
struct SkippedFileV1<'a> {
    file: &'a str,
    why: &'a str,
    lines: u64,
    whole: bool,
}

impl<'a> Report<'a> {
    pub(super) fn new(report: &'a LogReport) -> Self {
        Self {
            schema: "why502.logs/1",
            files: report.files.iter().map(FileV1::new).collect(),
            window: WindowV1 {
                from: report.window.map(|(from, _)| iso(from)),
                to: report.window.map(|(_, to)| iso(to)),
            },
            lines: report.lines,
            upstream_failures: report.upstream_failures,
            suspects: report.suspects,
            strange: report.strange,
            jumps: report.jumps,
            step: report.step.as_str(),
            incidents: report.incidents.iter().map(IncidentV1::new).collect(),
            top: TopsV1::new(&report.clients, &report.urls, &report.hosts),
            access: report.access.as_ref().map(AccessV1::new),
            silences: report
                .silences
                .iter()
                .map(|(from, to)| (iso(*from), iso(*to)))
                .collect(),
            skipped: SkippedV1::new(&report.skipped),
            interrupted: report.interrupted,
            beyond: report.beyond,
            clients: SeenV1::new(report.distinct_clients),
        }
    }
}

impl<'a> FileV1<'a> {
    fn new(file: &'a LogFile) -> Self {
        Self {
            name: &file.name,
            kind: file.kind.as_str(),
            bytes: file.bytes,
            lines: file.lines,
            first: file.window.map(|(first, _)| iso(first)),
            last: file.window.map(|(_, last)| iso(last)),
        }
    }
}

impl<'a> IncidentV1<'a> {
    fn new(incident: &'a LogIncident) -> Self {
        let step = |(at, count): &(LocalTime, u64)| (iso(*at), *count);
        Self {
            peer: &incident.peer,
            upstream: incident.upstream.as_deref(),
            protocol: incident.protocol.map(Protocol::as_str),
            failure: incident.failure.as_str(),
            errno: incident.errno,
            action: incident.action.map(While::as_str),
            status: incident.status,
            count: incident.count,
            first_seen: iso(incident.first_seen),
            last_seen: iso(incident.last_seen),
            rate: rounded(incident.rate()),
            servers: incident
                .servers
                .iter()
                .map(|(name, _)| name.as_str())
                .collect(),
            server_counts: &incident.servers,
            locations: &incident.locations,
            clients: SeenV1::new(incident.clients),
            timeline: incident.timeline.iter().map(step).collect(),
            sample: &incident.sample,
            candidates: incident.candidates.iter().map(CandidateV1::new).collect(),
            verdict: incident.verdict.as_ref().map(VerdictV1::new),
        }
    }
}

impl SeenV1 {
    fn new(seen: Seen) -> Self {
        Self {
            count: seen.count,
            estimate: seen.is_estimate,
        }
    }
}

impl<'a> VerdictV1<'a> {
    fn new(verdict: &'a LogVerdict) -> Self {
        Self {
            cause: verdict.cause,
            summary: &verdict.summary,
        }
    }
}

impl<'a> TopsV1<'a> {
    fn new(clients: &'a Top, urls: &'a Top, hosts: &'a Top) -> Self {
        Self {
            clients: values(clients),
            urls: values(urls),
            hosts: values(hosts),
            error: ErrorsV1 {
                clients: clients.error,
                urls: urls.error,
                hosts: hosts.error,
            },
        }
    }
}

fn values(top: &Top) -> Vec<(Cow<'_, str>, u64)> {
    let values = top.values.iter();
    values
        .map(|(value, count)| (String::from_utf8_lossy(value), *count))
        .collect()
}

impl<'a> AccessV1<'a> {
    fn new(access: &'a AccessReport) -> Self {
        let step = |(at, requests, errors): &(LocalTime, u64, u64)| (iso(*at), *requests, *errors);
        Self {
            requests: access.requests,
            unfit: access.unfit,
            beyond: access.beyond,
            by_status: access.by_status.iter().copied().collect(),
            server_errors: access.server_errors(),
            peers: access.peers.iter().map(PeerV1::new).collect(),
            timeline: access.timeline.iter().map(step).collect(),
            top: TopsV1::new(&access.clients, &access.urls, &access.hosts),
        }
    }
}

impl<'a> PeerV1<'a> {
    fn new(peer: &'a AccessPeer) -> Self {
        let time = |at: fn([f64; 3]) -> f64| peer.response_times.map(at).map(rounded);
        Self {
            peer: &peer.peer,
            attempts: peer.attempts,
            server_errors: peer.server_errors,
            p50: time(|[p50, _, _]| p50),
            p95: time(|[_, p95, _]| p95),
            p99: time(|[_, _, p99]| p99),
        }
    }
}

impl<'a> SkippedV1<'a> {
    fn new(skipped: &'a [Skipped]) -> Self {
        Self {
            lines: skipped.iter().map(|skipped| skipped.lines).sum(),
            files: skipped
                .iter()
                .map(|skipped| SkippedFileV1 {
                    file: &skipped.file,
                    why: &skipped.why,
                    lines: skipped.lines,
                    whole: skipped.whole,
                })
                .collect(),
        }
    }
}

/// To a thousandth: more digits would only be noise.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
