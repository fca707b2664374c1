//! What logs tell in bulk, by every renderer.

mod csv;
mod hostile;
mod json;
mod parquet;
mod term;

use diagnose::explain::Candidate;
use diagnose::logs::{
    AccessPeer, AccessReport, LocalTime, LogFile, LogIncident, LogKind, LogReport, LogVerdict,
    Seen, Skipped, Step, Top,
};
use log::error::{Class, Protocol, While};

use crate::term::Style;

fn at(text: &str) -> LocalTime {
    LocalTime::parse(text.as_bytes()).unwrap()
}

fn minute(minute: i64) -> LocalTime {
    LocalTime::from_seconds(at("2026/06/23 14:00:00").seconds() + 60 * minute)
}

fn candidate(cause: &'static str, likelihood: f64) -> Candidate {
    Candidate {
        cause,
        likelihood,
        why: "nothing listens",
        tell_apart: "ss -ltnp 'sport = :8000'".to_owned(),
        threads: (31, 50),
        is_spoken_for: false,
    }
}

fn counts(names: &[(&str, u64)]) -> Vec<(String, u64)> {
    let names = names.iter();
    names
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

fn top(names: &[(&str, u64)]) -> Top {
    let names = names.iter();
    Top {
        values: names
            .map(|(name, count)| (name.as_bytes().to_vec(), *count))
            .collect(),
        error: 0,
    }
}

fn exact(count: u64) -> Seen {
    Seen {
        count,
        is_estimate: false,
    }
}

/// Refused for a quarter of an hour, more and more often.
fn refused() -> LogIncident {
    LogIncident {
        peer: "127.0.0.1:8000".to_owned(),
        upstream: Some("shop".to_owned()),
        protocol: Some(Protocol::Http),
        failure: Class::ConnectRefused,
        errno: Some(111),
        action: Some(While::ConnectingToUpstream),
        status: Some(502),
        count: 1240,
        first_seen: at("2026/06/23 14:10:11"),
        last_seen: at("2026/06/23 14:25:59"),
        servers: counts(&[
            ("shop.example.com", 1200),
            ("api.example.com", 30),
            ("www.example.com", 9),
            ("old.example.com", 1),
        ]),
        locations: counts(&[("/cart", 1000), ("/", 240)]),
        clients: exact(37),
        timeline: (0_i64..16)
            .map(|step| (minute(10 + step), 10 * step.unsigned_abs() + 2))
            .map(|(at, count)| (at, if count == 2 { 10 } else { count }))
            .collect(),
        sample: "2026/06/23 14:10:11 [error] 2841#2841: *1 connect() failed (111: Connection refused) while connecting to \
                 upstream, client: 198.51.100.7"
            .to_owned(),
        candidates: vec![
            candidate("peer-not-listening", 0.62),
            candidate("peer-port-mismatch", 0.1849),
            candidate("peer-family-mismatch", 0.08),
            candidate("firewall-rejects-connect", 0.02),
        ],
        verdict: Some(LogVerdict {
            cause: Some("peer-port-mismatch"),
            summary: "gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000".to_owned(),
        }),
    }
}

/// One line of nginx's that names neither peer nor protocol.
fn nameless() -> LogIncident {
    LogIncident {
        peer: "-".to_owned(),
        upstream: None,
        protocol: None,
        failure: Class::ReadTimeout,
        errno: Some(110),
        action: None,
        status: None,
        count: 1,
        first_seen: at("2026/06/23 14:55:01"),
        last_seen: at("2026/06/23 14:55:01"),
        servers: Vec::new(),
        locations: Vec::new(),
        clients: Seen::default(),
        timeline: vec![(minute(55), 1)],
        sample: String::new(),
        candidates: Vec::new(),
        verdict: Some(LogVerdict {
            cause: None,
            summary: "the snapshot was taken too late".to_owned(),
        }),
    }
}

fn access() -> AccessReport {
    AccessReport {
        unfit: 0,
        beyond: 0,
        requests: 120_000,
        by_status: vec![(200, 118_000), (404, 758), (502, 1241), (504, 1)],
        timeline: (0_i64..60)
            .map(|step| (minute(step), 2000, step.unsigned_abs() % 7))
            .collect(),
        peers: vec![
            AccessPeer {
                peer: "127.0.0.1:8000".to_owned(),
                attempts: 80_000,
                server_errors: 1241,
                response_times: Some([12.0, 80.25, 1204.0]),
            },
            AccessPeer {
                peer: "unix:/run/php/php8.1-fpm.sock".to_owned(),
                attempts: 3,
                server_errors: 0,
                response_times: None,
            },
        ],
        clients: top(&[("203.0.113.9", 1200)]),
        urls: top(&[("/cart", 1000)]),
        hosts: Top::default(),
    }
}

fn report() -> LogReport {
    LogReport {
        files: vec![
            LogFile {
                name: "/var/log/nginx/error.log".to_owned(),
                kind: LogKind::Error,
                bytes: 2_500_000,
                lines: 10_532,
                window: Some((at("2026/06/23 14:00:02"), at("2026/06/23 14:59:58"))),
            },
            LogFile {
                name: "-".to_owned(),
                kind: LogKind::Unknown,
                bytes: 0,
                lines: 0,
                window: None,
            },
        ],
        window: Some((at("2026/06/23 14:00:02"), at("2026/06/23 14:59:58"))),
        lines: 10_532,
        upstream_failures: 1244,
        suspects: 2,
        strange: 1,
        jumps: 0,
        step: Step::Minute,
        incidents: vec![refused(), nameless()],
        beyond: 3,
        clients: Top {
            error: 4,
            ..top(&[("203.0.113.9", 1200), ("198.51.100.7", 41)])
        },
        urls: top(&[("/cart", 1000), ("/", 241)]),
        hosts: top(&[("shop.example.com", 1241)]),
        distinct_clients: Seen {
            count: 12_000,
            is_estimate: true,
        },
        access: Some(access()),
        silences: vec![(at("2026/06/23 14:26:10"), at("2026/06/23 14:55:01"))],
        skipped: vec![
            Skipped {
                file: "access.log.3.gz".to_owned(),
                why: "its compressed data ends too early".to_owned(),
                lines: 12,
                whole: false,
            },
            Skipped {
                file: "core".to_owned(),
                why: "it is no log".to_owned(),
                lines: 0,
                whole: true,
            },
        ],
        interrupted: false,
    }
}

/// A report in which every text is `text`.
fn filled(text: &str) -> LogReport {
    let names = || vec![(text.to_owned(), 5), (format!("{text}!"), 4)];
    let top = || Top {
        values: vec![(text.as_bytes().to_vec(), 5), (b"\xff\x1b[2J".to_vec(), 4)],
        error: 1,
    };
    let incident = LogIncident {
        peer: text.to_owned(),
        upstream: Some(text.to_owned()),
        servers: names(),
        locations: names(),
        sample: text.to_owned(),
        verdict: Some(LogVerdict {
            cause: None,
            summary: text.to_owned(),
        }),
        candidates: vec![Candidate {
            tell_apart: text.to_owned(),
            ..candidate("peer-not-listening", f64::NAN)
        }],
        ..refused()
    };
    let other = LogIncident {
        upstream: Some(format!("{text}!")),
        verdict: Some(LogVerdict {
            cause: Some("peer-port-mismatch"),
            summary: text.to_owned(),
        }),
        ..incident.clone()
    };
    LogReport {
        files: vec![LogFile {
            name: text.to_owned(),
            kind: LogKind::Error,
            bytes: 1,
            lines: 1,
            window: None,
        }],
        incidents: vec![incident, other],
        clients: top(),
        urls: top(),
        hosts: top(),
        access: Some(AccessReport {
            peers: vec![AccessPeer {
                peer: text.to_owned(),
                attempts: 1,
                server_errors: 1,
                response_times: Some([f64::NAN, f64::INFINITY, -1.0]),
            }],
            clients: top(),
            urls: top(),
            hosts: top(),
            ..access()
        }),
        skipped: vec![Skipped {
            file: text.to_owned(),
            why: text.to_owned(),
            lines: 1,
            whole: false,
        }],
        ..report()
    }
}

fn styled(report: &LogReport, width: usize, verbose: u8, quiet: bool) -> String {
    let mut out = Vec::new();
    let style = Style {
        width,
        verbose,
        quiet,
    };
    crate::term::logs(&mut out, report, &style).unwrap();
    String::from_utf8(out).unwrap()
}

fn as_json(report: &LogReport) -> String {
    let mut out = Vec::new();
    crate::json::logs(&mut out, report).unwrap();
    String::from_utf8(out).unwrap()
}

fn as_csv(report: &LogReport) -> String {
    let mut out = Vec::new();
    crate::csv::logs(&mut out, report).unwrap();
    String::from_utf8(out).unwrap()
}
