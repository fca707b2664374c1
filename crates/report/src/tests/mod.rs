//! Diagnoses built by hand, and what every renderer makes of them.

mod gate;
mod hostile;
mod html;
mod json;
mod logs;
mod pages;
mod term;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use diagnose::causes::by_id;
use diagnose::{
    Asked, Cause, CauseVerdict, ConfSpan, Confirmation, Diagnosis, Exhibit, Fix, Gap, GapKind, Hop,
    Impact, Incident, InstanceSummary, Judged, Judgement, Logged, Origin, PeerAddress, Proof,
    RunningConfig, Safety, Standing, Step, Window,
};
use jiff::Timestamp;
use log::error::{Class, Protocol, While};

const REFUSED: &str = "connect() failed (111: Connection refused) while connecting to upstream";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn cause(id: &str) -> &'static Cause {
    by_id(id).unwrap()
}

fn line(peer: &str) -> String {
    format!(
        "2026/06/23 14:02:11 [error] 2841#2841: *1 {REFUSED}, client: 198.51.100.7, server: shop.example.com, \
         request: \"GET / HTTP/1.1\", upstream: \"http://{peer}/\", host: \"shop.example.com\""
    )
}

/// Refused connections to `peer`, 1,284 of them, the last a second before the report.
fn incident(id: &str, peer: &str) -> Incident {
    Incident {
        id: id.to_owned(),
        instance: 0,
        origin: Origin::ErrorLog,
        peer: peer.to_owned(),
        address: PeerAddress::parse(peer.as_bytes()),
        upstream: None,
        protocol: Some(Protocol::Http),
        has_other_protocols: false,
        failure: Some(Class::ConnectRefused),
        errno: Some(111),
        action: Some(While::ConnectingToUpstream),
        status: Some(502),
        count: 1284,
        first_seen: at("2026-06-23T14:02:11Z"),
        last_seen: at("2026-06-23T14:04:59Z"),
        seconds: (0..168)
            .map(|s| (at("2026-06-23T14:02:11Z").as_second() + s, 8))
            .collect::<BTreeMap<_, _>>()
            .into(),
        servers: vec!["shop.example.com".to_owned()],
        paths: std::collections::BTreeSet::new(),
        requests: Rc::default(),
        sample: line(peer),
        messages: BTreeSet::new(),
        log: Some(PathBuf::from("/var/log/nginx/error.log")),
        last_writer: None,
        explained: true,
    }
}

fn span(text: &str, mark: &str, label: Option<&str>) -> ConfSpan {
    let source = format!("    {text}");
    let start = source.find(mark).unwrap();
    ConfSpan {
        file: PathBuf::from("/etc/nginx/conf.d/shop.conf"),
        line: 12,
        column: 5,
        source,
        text: text.to_owned(),
        mark: start..start + mark.len(),
        label: label.map(str::to_owned),
    }
}

fn record(probe: &'static str, time: Option<&str>, text: &str) -> Exhibit {
    Exhibit::Record {
        probe,
        at: time.map(at),
        text: text.to_owned(),
    }
}

fn judged(incident: Incident) -> Judged {
    Judged {
        incident,
        standing: Standing::Failing,
        directive: Some(span(
            "proxy_pass http://127.0.0.1:8000;",
            "127.0.0.1:8000",
            None,
        )),
        cause: None,
        causes: Vec::new(),
        by_line: None,
        known: Vec::new(),
        hints: Vec::new(),
        reached_by: None,
        impact: None,
        timeline: Vec::new(),
    }
}

fn firewall_gap() -> Gap {
    Gap::new(GapKind::Denied, "firewall rules", "needs root").learn("sudo nft list ruleset")
}

fn unknown(id: &str, gap: Gap) -> CauseVerdict {
    CauseVerdict {
        cause: cause(id),
        judgement: Judgement::Unknown(gap),
    }
}

fn ruled_out(id: &str, proof: Proof) -> CauseVerdict {
    CauseVerdict {
        cause: cause(id),
        judgement: Judgement::RuledOut(proof),
    }
}

fn confirmed(id: &str, confirmation: Confirmation) -> CauseVerdict {
    CauseVerdict {
        cause: cause(id),
        judgement: Judgement::Confirmed(confirmation),
    }
}

/// The design's example: the application moved to another port.
fn port_mismatch() -> Judged {
    let incident = incident("5f1c09a2", "127.0.0.1:8000");
    let seen = incident.exhibit();
    let dialled = span(
        "proxy_pass http://127.0.0.1:8000;",
        "127.0.0.1:8000",
        Some("nothing listens here"),
    );
    let confirmation = Confirmation {
        summary: "gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000".to_owned(),
        proof: Proof::new(seen.clone())
            .and(Exhibit::Config(dialled))
            .with([
                record(
                    "journal",
                    Some("2026-06-23T14:02:10Z"),
                    "app-gunicorn.service restarted, now \"--bind 127.0.0.1:8001\" (pid 4120)",
                ),
                record(
                    "connect",
                    Some("2026-06-23T14:05:00Z"),
                    "connect 127.0.0.1:8000 as www-data: refused",
                ),
            ]),
        fixes: vec![
            Fix {
                summary: "dial 127.0.0.1:8001".to_owned(),
                safety: Safety::Unsafe,
                steps: vec![
                    Step::Edit {
                        file: PathBuf::from("/etc/nginx/conf.d/shop.conf"),
                        line: 12,
                        old: "proxy_pass http://127.0.0.1:8000;".to_owned(),
                        new: "proxy_pass http://127.0.0.1:8001;".to_owned(),
                    },
                    Step::command(["nginx", "-t"]),
                    Step::command(["systemctl", "reload", "nginx"]),
                ],
                verify: Some("curl -sI http://127.0.0.1:8001/".to_owned()),
            },
            Fix {
                summary: "let gunicorn bind the port that nginx dials".to_owned(),
                safety: Safety::DisplayOnly,
                steps: vec![Step::Advice {
                    text: "set --bind 127.0.0.1:8000 in app-gunicorn.service".to_owned(),
                }],
                verify: None,
            },
        ],
    };
    let silence = record("sockets", None, "no TCP socket listens on 127.0.0.1:8000");
    Judged {
        cause: Some(cause("peer-port-mismatch")),
        causes: vec![
            confirmed("peer-port-mismatch", confirmation),
            confirmed(
                "peer-not-listening",
                Confirmation {
                    summary: "nothing listens on 127.0.0.1:8000".to_owned(),
                    proof: Proof::new(silence.clone()),
                    fixes: Vec::new(),
                },
            ),
            unknown("peer-family-mismatch", firewall_gap()),
            ruled_out(
                "peer-address-mismatch",
                Proof::new(seen.clone()).and(silence),
            ),
            ruled_out("socket-stale", Proof::new(seen)),
        ],
        ..judged(incident)
    }
}

/// Refused, and nothing that could be read says why.
fn undetermined() -> Judged {
    let incident = incident("0badcafe", "127.0.0.1:8000");
    let seen = incident.exhibit();
    let stranger = Gap::undecided(
        "a tie between listener and peer",
        "node (pid 77) listens on 127.0.0.1:8001 and may be a stranger",
    )
    .learn("sudo ss -ltnp 'sport = :8001'")
    .leaning("node (pid 77) listens on 127.0.0.1:8001");
    Judged {
        causes: vec![
            unknown("peer-port-mismatch", stranger),
            unknown("peer-not-listening", firewall_gap()),
            unknown("peer-family-mismatch", firewall_gap()),
            unknown(
                "peer-address-mismatch",
                Gap::too_late(
                    "the listeners of 14:02",
                    "true now, not known to have been true when it failed",
                ),
            ),
            ruled_out("socket-stale", Proof::new(seen)),
        ],
        by_line: None,
        known: Vec::new(),
        hints: vec!["node (pid 77) listens on 127.0.0.1:8001".to_owned()],
        ..judged(incident)
    }
}

/// One nginx, an hour of its log.
fn diagnosis(incidents: Vec<Judged>) -> Diagnosis {
    Diagnosis {
        generated_at: at("2026-06-23T14:05:00Z"),
        hostname: Some("web1".to_owned()),
        privileged: true,
        instances: vec![InstanceSummary {
            pid: Some(2841),
            master: None,
            version: Some("1.22.1".to_owned()),
            config: PathBuf::from("/etc/nginx/nginx.conf"),
            running_config: RunningConfig::Current,
            error_logs: vec![PathBuf::from("/var/log/nginx/error.log")],
        }],
        window: Window {
            from: at("2026-06-23T13:05:00Z"),
            to: at("2026-06-23T14:05:00Z"),
            lines: 10_532,
            upstream_failures: incidents.iter().map(|judged| judged.incident.count).sum(),
            suspects: 0,
            cut: false,
            is_partial: false,
        },
        incidents,
        gaps: Vec::new(),
        unexplained: None,
        is_unheard: false,
        asked: None,
        refusal: None,
    }
}
