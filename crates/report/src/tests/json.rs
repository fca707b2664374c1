//! The report for programs, field by field.

use serde_json::{Value, json};

use super::*;
use crate::json::{self, Source};

fn value(diagnosis: &Diagnosis, source: Source) -> Value {
    let mut out = Vec::new();
    json::write(&mut out, diagnosis, source).unwrap();
    assert_eq!(out.last(), Some(&b'\n'));
    serde_json::from_slice(&out).unwrap()
}

/// The text of every key at one depth of the pretty form, in order: what `serde_json::Value` would sort.
fn keys(diagnosis: &Diagnosis, depth: usize) -> Vec<String> {
    let mut out = Vec::new();
    json::write(&mut out, diagnosis, Source::Live).unwrap();
    let indent = "  ".repeat(depth);
    String::from_utf8(out)
        .unwrap()
        .lines()
        .filter_map(|line| {
            line.strip_prefix(&indent)?
                .strip_prefix('"')?
                .split_once("\":")
        })
        .map(|(key, _)| key.to_owned())
        .collect()
}

#[test]
fn the_report_is_what_the_schema_says() {
    let report = value(&diagnosis(vec![port_mismatch()]), Source::Live);
    let log_line = line("127.0.0.1:8000");
    assert_eq!(report["schema"], "why502.report/1");
    assert_eq!(report["generated_at"], "2026-06-23T14:05:00Z");
    assert_eq!(
        report["host"],
        json!({"hostname": "web1", "source": "live", "privileged": true})
    );
    assert_eq!(
        report["nginx"],
        json!([{"pid": 2841, "version": "1.22.1", "config": "/etc/nginx/nginx.conf", "running_config": "current",
                "error_logs": ["/var/log/nginx/error.log"]}])
    );
    assert_eq!(
        report["window"],
        json!({"from": "2026-06-23T13:05:00Z", "to": "2026-06-23T14:05:00Z", "lines": 10532, "upstream_failures": 1284,
               "suspects": 0, "cut": false, "partial": false})
    );
    assert_eq!(report["findings"], json!([]));
    assert_eq!(report["gaps"], json!([]));

    let mut incident = report["incidents"][0].clone();
    let causes = incident.as_object_mut().unwrap().remove("causes").unwrap();
    assert_eq!(
        incident,
        json!({
            "id": "5f1c09a2", "nginx": 2841, "origin": "error-log",
            "peer": "127.0.0.1:8000", "upstream": null, "protocol": "http",
            "failure": "connect-refused", "errno": 111, "while": "connecting to upstream", "status": 502,
            "count": 1284, "first_seen": "2026-06-23T14:02:11Z", "last_seen": "2026-06-23T14:04:59Z", "ongoing": true,
            "servers": ["shop.example.com"], "sample": log_line,
            "directive": {"file": "/etc/nginx/conf.d/shop.conf", "line": 12, "column": 5,
                          "text": "proxy_pass http://127.0.0.1:8000;"},
            "outcome": "confirmed", "cause": "peer-port-mismatch",
            "hints": [], "known": [], "explained": true, "impact": null, "log": "/var/log/nginx/error.log",
            "timeline": [],
        })
    );
    assert_eq!(
        causes,
        json!([
            {"id": "peer-port-mismatch", "verdict": "confirmed",
             "summary": "gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000",
             "proof": [
                {"kind": "log", "text": log_line, "at": "2026-06-23T14:02:11Z", "count": 1284},
                {"kind": "config", "file": "/etc/nginx/conf.d/shop.conf", "line": 12, "column": 5,
                 "text": "proxy_pass http://127.0.0.1:8000;", "label": "nothing listens here"},
                {"kind": "record", "probe": "journal", "at": "2026-06-23T14:02:10Z",
                 "text": "app-gunicorn.service restarted, now \"--bind 127.0.0.1:8001\" (pid 4120)"},
                {"kind": "record", "probe": "connect", "at": "2026-06-23T14:05:00Z",
                 "text": "connect 127.0.0.1:8000 as www-data: refused"},
             ],
             "fixes": [
                {"summary": "dial 127.0.0.1:8001", "safety": "unsafe",
                 "steps": [
                    {"kind": "edit", "file": "/etc/nginx/conf.d/shop.conf", "line": 12,
                     "old": "proxy_pass http://127.0.0.1:8000;", "new": "proxy_pass http://127.0.0.1:8001;"},
                    {"kind": "command", "argv": ["nginx", "-t"]},
                    {"kind": "command", "argv": ["systemctl", "reload", "nginx"]},
                 ],
                 "verify": "curl -sI http://127.0.0.1:8001/"},
                {"summary": "let gunicorn bind the port that nginx dials", "safety": "display-only",
                 "steps": [{"kind": "advice", "text": "set --bind 127.0.0.1:8000 in app-gunicorn.service"}],
                 "verify": null},
             ]},
            {"id": "peer-not-listening", "verdict": "confirmed", "summary": "nothing listens on 127.0.0.1:8000",
             "proof": [{"kind": "record", "probe": "sockets", "at": null, "text": "no TCP socket listens on 127.0.0.1:8000"}],
             "fixes": []},
            {"id": "peer-family-mismatch", "verdict": "unknown",
             "gap": {"missing": "firewall rules", "why": "needs root", "learn": "sudo nft list ruleset",
                     "kind": "denied", "leaning": null}},
            {"id": "peer-address-mismatch", "verdict": "ruled-out",
             "proof": [
                {"kind": "log", "text": log_line, "at": "2026-06-23T14:02:11Z", "count": 1284},
                {"kind": "record", "probe": "sockets", "at": null, "text": "no TCP socket listens on 127.0.0.1:8000"}]},
            {"id": "socket-stale", "verdict": "ruled-out",
             "proof": [{"kind": "log", "text": log_line, "at": "2026-06-23T14:02:11Z", "count": 1284}]},
        ])
    );
}

#[test]
fn fields_stand_in_the_order_of_the_schema() {
    let diagnosis = diagnosis(vec![port_mismatch()]);
    assert_eq!(
        keys(&diagnosis, 1),
        [
            "schema",
            "generated_at",
            "host",
            "nginx",
            "window",
            "incidents",
            "findings",
            "gaps"
        ]
    );
    let of_incident = [
        "id",
        "nginx",
        "origin",
        "peer",
        "upstream",
        "protocol",
        "failure",
        "errno",
        "while",
        "status",
        "count",
        "first_seen",
        "last_seen",
        "ongoing",
        "servers",
        "sample",
        "directive",
        "outcome",
        "cause",
        "causes",
        "hints",
        "known",
        "explained",
        "impact",
        "log",
        "timeline",
    ];
    let at_depth = keys(&diagnosis, 3);
    assert!(
        at_depth.ends_with(&of_incident.map(str::to_owned)),
        "{at_depth:?}"
    );
}

#[test]
fn without_a_confirmed_cause_the_outcome_is_undetermined() {
    let mut undetermined = undetermined();
    undetermined.impact = Some(Impact {
        requests: 3,
        failed: 2,
        rescued: 1,
        ..Impact::default()
    });
    undetermined.directive = None;
    undetermined.by_line = Some("by the log line alone, it is socket-stale".to_owned());
    let report = value(&diagnosis(vec![undetermined]), Source::Snapshot);
    assert_eq!(report["host"]["source"], "snapshot");
    let incident = &report["incidents"][0];
    assert_eq!(incident["outcome"], "undetermined");
    assert_eq!(incident["cause"], Value::Null);
    assert_eq!(incident["directive"], Value::Null);
    assert_eq!(
        incident["hints"],
        json!([
            "by the log line alone, it is socket-stale",
            "node (pid 77) listens on 127.0.0.1:8001"
        ])
    );
    assert_eq!(
        incident["impact"],
        json!({"requests": 3, "failed": 2, "rescued": 1, "replaced": 0, "mirrored": 0})
    );
    assert_eq!(
        incident["causes"][0]["gap"]["leaning"],
        "node (pid 77) listens on 127.0.0.1:8001"
    );
}

#[test]
fn an_empty_report_keeps_its_fields() {
    let mut empty = diagnosis(Vec::new());
    empty.hostname = None;
    empty.instances.clear();
    let report = value(&empty, Source::Live);
    assert_eq!(report["host"]["hostname"], Value::Null);
    for list in ["nginx", "incidents", "findings", "gaps"] {
        assert_eq!(report[list], json!([]), "{list}");
    }
}
