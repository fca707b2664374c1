//! A bad day of a shop, as its logs tell it, and the page of it.

use diagnose::explain::{Class, Protocol, While, explain};
use diagnose::logs::{
    AccessPeer, AccessReport, LocalTime, LogFile, LogIncident, LogKind, LogReport, LogVerdict,
    Seen, Skipped, Step, Top,
};

/// What an attacker writes into every field that he can fill.
pub(crate) const EVIL: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--<b onclick='x'>\u{202e}\
    \u{2028}\u{200b}\x1b[31m\"&amp;\t]]>";

pub(crate) fn page(report: &LogReport) -> String {
    let mut out = Vec::new();
    why502_report::html::logs(&mut out, report).unwrap();
    String::from_utf8(out).unwrap()
}

fn time(clock: &str) -> LocalTime {
    LocalTime::parse(format!("2026/11/21 {clock}").as_bytes()).unwrap()
}

/// Failures in each of so many minutes from `clock` on: `count`, and up to `more` in waves.
fn minutes(clock: &str, length: i64, count: u64, more: u64) -> Vec<(LocalTime, u64)> {
    let start = time(clock).seconds() / 60 * 60;
    (0..length)
        .map(|minute| {
            let wave = u64::try_from(minute * 7 % 13).unwrap() * more / 13;
            (LocalTime::from_seconds(start + minute * 60), count + wave)
        })
        .collect()
}

/// An incident by its message, the part of a line before the client.
fn incident(
    message: &str,
    peer: &str,
    path: &str,
    failure: Class,
    timeline: Vec<(LocalTime, u64)>,
) -> LogIncident {
    let (first, last) = (timeline[0].0, timeline[timeline.len() - 1].0);
    let sample = format!(
        "{first} [error] 2841#2841: *1 {message}, client: 198.51.100.7, server: shop.example.com, \
         request: \"GET {path} HTTP/1.1\", upstream: \"http://{peer}{path}\", host: \"shop.example.com\""
    );
    let count = timeline.iter().map(|(_, count)| count).sum();
    LogIncident {
        peer: peer.to_owned(),
        upstream: Some("shop".to_owned()),
        protocol: Some(Protocol::Http),
        failure,
        errno: None,
        action: Some(While::ReadingResponseHeader),
        status: Some(502),
        count,
        first_seen: first,
        last_seen: LocalTime::from_seconds(last.seconds() + 41),
        servers: vec![
            ("shop.example.com".to_owned(), count - count / 5),
            ("www.shop.example.com".to_owned(), count / 5),
        ],
        locations: vec![("/".to_owned(), count / 2), (path.to_owned(), count / 3)],
        clients: Seen {
            count: count / 3 + 1,
            is_estimate: count > 5000,
        },
        timeline,
        candidates: explain(sample.as_bytes()).candidates,
        sample,
        verdict: None,
    }
}

fn top(values: &[(&str, u64)], error: u64) -> Top {
    Top {
        values: values
            .iter()
            .map(|(value, count)| (value.as_bytes().to_vec(), *count))
            .collect(),
        error,
    }
}

/// Six incidents of six classes from 01:12 to 23:59, the last of them hostile; with access logs.
pub(crate) fn report() -> LogReport {
    let refused = LogIncident {
        errno: Some(111),
        action: Some(While::ConnectingToUpstream),
        verdict: Some(LogVerdict {
            cause: Some("peer-port-mismatch"),
            summary: "gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000".to_owned(),
        }),
        ..incident(
            "connect() failed (111: Connection refused) while connecting to upstream",
            "127.0.0.1:8000",
            "/checkout",
            Class::ConnectRefused,
            minutes("14:02:11", 95, 40, 90),
        )
    };
    let slow = LogIncident {
        status: Some(504),
        verdict: Some(LogVerdict {
            cause: None,
            summary: "nothing that could be learned shows why".to_owned(),
        }),
        ..incident(
            "upstream timed out (110: Connection timed out) while reading response header from upstream",
            "127.0.0.1:8010",
            "/report/monthly",
            Class::ReadTimeout,
            minutes("09:00:00", 480, 1, 9),
        )
    };
    let closed = incident(
        "upstream prematurely closed connection while reading response header from upstream",
        "10.0.0.12:9000",
        "/cart",
        Class::PrematureClose,
        minutes("01:12:40", 1367, 0, 3)
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect(),
    );
    let none = LogIncident {
        peer: "shop".to_owned(),
        action: Some(While::ConnectingToUpstream),
        ..incident(
            "no live upstreams while connecting to upstream",
            "shop",
            "/checkout",
            Class::NoLiveUpstreams,
            minutes("14:03:00", 93, 10, 30),
        )
    };
    let big = incident(
        "upstream sent too big header while reading response header from upstream",
        "10.0.0.12:9000",
        "/login",
        Class::HeaderTooBig,
        minutes("20:15:00", 30, 2, 4),
    );
    let hostile = LogIncident {
        peer: EVIL.to_owned(),
        upstream: Some(EVIL.to_owned()),
        protocol: None,
        errno: Some(104),
        action: None,
        status: None,
        servers: vec![(EVIL.to_owned(), 2)],
        locations: vec![(EVIL.to_owned(), 2)],
        sample: EVIL.to_owned(),
        candidates: Vec::new(),
        verdict: Some(LogVerdict {
            cause: None,
            summary: EVIL.to_owned(),
        }),
        ..incident(
            "",
            "",
            "",
            Class::ConnectionReset,
            minutes("23:58:00", 2, 1, 0),
        )
    };
    let incidents = vec![refused, slow, none, closed, big, hostile];
    let upstream_failures = incidents.iter().map(|incident| incident.count).sum();
    LogReport {
        files: vec![
            LogFile {
                name: "/var/log/nginx/error.log.1".to_owned(),
                kind: LogKind::Error,
                bytes: 8_211_402,
                lines: 31_337,
                window: Some((time("01:12:40"), time("23:59:41"))),
            },
            LogFile {
                name: EVIL.to_owned(),
                kind: LogKind::Access,
                bytes: 214_748_364,
                lines: 1_204_113,
                window: None,
            },
        ],
        window: Some((time("01:12:40"), time("23:59:41"))),
        lines: 31_337,
        upstream_failures,
        suspects: 3,
        strange: 1,
        jumps: 0,
        step: Step::Minute,
        incidents,
        beyond: 12,
        clients: top(
            &[
                ("198.51.100.7", 912),
                ("203.0.113.40", 377),
                ("2001:db8::77", 41),
            ],
            0,
        ),
        urls: top(&[("/checkout", 9012), (EVIL, 377), ("/cart", 41)], 17),
        hosts: top(&[("shop.example.com", 12_345), (EVIL, 2)], 0),
        distinct_clients: Seen {
            count: 4242,
            is_estimate: true,
        },
        access: Some(access()),
        silences: vec![(time("17:05:00"), time("18:40:00"))],
        skipped: vec![Skipped {
            file: EVIL.to_owned(),
            why: EVIL.to_owned(),
            lines: 9,
            whole: false,
        }],
        interrupted: true,
    }
}

fn access() -> AccessReport {
    let start = time("01:12:00").seconds();
    let timeline = (0..1368).map(|minute: i64| {
        let at = LocalTime::from_seconds(start + minute * 60);
        let errors = if (770..865).contains(&minute) { 110 } else { 2 };
        let requests = 800 + u64::try_from(minute * 31 % 97).unwrap();
        (at, requests, errors)
    });
    let peer = |peer: &str, attempts, server_errors, response_times| AccessPeer {
        peer: peer.to_owned(),
        attempts,
        server_errors,
        response_times,
    };
    AccessReport {
        unfit: 0,
        beyond: 0,
        requests: 1_204_113,
        by_status: vec![
            (200, 1_100_000),
            (304, 90_000),
            (404, 1_117),
            (502, 11_996),
            (504, 1_000),
        ],
        timeline: timeline.collect(),
        peers: vec![
            peer("127.0.0.1:8000", 700_000, 9000, Some([12.4, 184.0, 1250.0])),
            peer(
                "10.0.0.12:9000",
                500_000,
                3000,
                Some([31.0, 402.0, 60_001.0]),
            ),
            peer(EVIL, 1, 1, None),
        ],
        clients: top(&[("198.51.100.7", 812)], 0),
        urls: top(&[("/checkout", 8012), (EVIL, 17)], 3),
        hosts: top(&[("shop.example.com", 12_996)], 0),
    }
}
