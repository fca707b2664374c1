//! Texts as people paste them.

use super::*;

/// Error lines as two public troubleshooting guides quote them, with and without time stamp, pid and fields.
const QUOTED: &[(&str, &str, Option<u16>, Option<&str>)] = &[
    (
        r#"2026/06/23 14:02:11 [error] 2841#2841: *10532 connect() failed (111: Connection refused) while connecting to upstream, client: 203.0.113.7, server: app.example.com, request: "GET /api/health HTTP/1.1", upstream: "http://127.0.0.1:9000/api/health", host: "app.example.com""#,
        "connect-refused",
        Some(111),
        Some("127.0.0.1:9000"),
    ),
    (
        r#"[error] 2841#2841: *10532 connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://127.0.0.1:9000/""#,
        "connect-refused",
        Some(111),
        Some("127.0.0.1:9000"),
    ),
    (
        r#"[error] connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://127.0.0.1:8080/api/""#,
        "connect-refused",
        Some(111),
        Some("127.0.0.1:8080"),
    ),
    (
        "connect() failed (111: Connection refused) while connecting to upstream",
        "connect-refused",
        Some(111),
        None,
    ),
    (
        r#"[error] 2841#2841: *10544 upstream prematurely closed connection while reading response header from upstream, upstream: "fastcgi://unix:/run/php/php8.2-fpm.sock:", request: "POST /upload.php""#,
        "premature-close",
        None,
        Some("unix:/run/php/php8.2-fpm.sock"),
    ),
    (
        r#"[error] 2841#2841: *10590 no live upstreams while connecting to upstream, upstream: "http://backend/", request: "GET / HTTP/1.1""#,
        "no-live-upstreams",
        None,
        Some("backend"),
    ),
    (
        "[crit] 2841#2841: *10610 connect() to 127.0.0.1:9000 failed (13: Permission denied) while connecting to upstream",
        "permission-denied",
        Some(13),
        Some("127.0.0.1:9000"),
    ),
    (
        r#"[error] 2841#2841: *10700 upstream prematurely closed connection while reading response header from upstream, upstream: "http://127.0.0.1:3000/""#,
        "premature-close",
        None,
        Some("127.0.0.1:3000"),
    ),
    (
        r#"[error] connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://[::1]:8000/v1/users""#,
        "connect-refused",
        Some(111),
        Some("[::1]:8000"),
    ),
    (
        r#"[error] connect() failed (111: Connection refused) while connecting to upstream, upstream: "fastcgi://unix:/run/php/php8.1-fpm.sock:""#,
        "connect-refused",
        Some(111),
        Some("unix:/run/php/php8.1-fpm.sock"),
    ),
    (
        r#"2026/06/15 14:22:01 [crit] 1182#1182: *5 connect() failed (13: Permission denied) while connecting to upstream, client: 10.0.0.4, upstream: "http://127.0.0.1:3000/", host: "app.example.com""#,
        "permission-denied",
        Some(13),
        Some("127.0.0.1:3000"),
    ),
];

#[test]
fn every_quoted_line_is_read_and_has_candidates() {
    for (text, failure, errno, peer) in QUOTED {
        let explanation = explain(text.as_bytes());
        let [line] = &explanation.lines[..] else {
            panic!("{} lines in {text}", explanation.lines.len());
        };
        let read = (
            line.failure.as_str(),
            line.errno,
            line.peer.as_deref(),
            line.status,
        );
        assert_eq!(read, (*failure, *errno, *peer, Some(502)), "{text}");
        assert!(!line.candidates.is_empty(), "{text}");
    }
}

#[test]
fn likelihoods_fall_and_sum_to_less_than_one() {
    let all: Vec<&str> = QUOTED.iter().map(|(text, ..)| *text).collect();
    let beside =
        "avc: denied { name_connect } for pid=2841 comm=\"nginx\" dest=9000\nActive: failed";
    for text in [all.join("\n"), format!("{}\n{beside}", all.join("\n"))] {
        let explanation = explain(text.as_bytes());
        assert_eq!(explanation.lines.len(), QUOTED.len());
        let lists = explanation.lines.iter().map(|line| &line.candidates);
        for list in lists.chain([&explanation.candidates]) {
            let sum: f64 = list.iter().map(|candidate| candidate.likelihood).sum();
            assert!(sum > 0.0 && sum <= 1.0, "{sum}");
            assert!(list.is_sorted_by(|one, other| one.likelihood >= other.likelihood));
        }
    }
}

#[test]
fn a_record_beside_the_line_speaks_for_a_cause() {
    let line = QUOTED[6].0;
    let beside = "type=AVC msg=audit(...): avc: denied { name_connect } for pid=2841 comm=\"nginx\" dest=9000 scontext=system_u:system_r:httpd_t:s0";
    let explanation = explain(format!("{line}\n{beside}\n").as_bytes());
    assert_eq!(explanation.lines.len(), 1);
    let first = &explanation.candidates[0];
    assert_eq!(
        (first.cause, first.is_spoken_for),
        ("selinux-denies-connect", true)
    );
    assert!(first.likelihood >= 0.9);
}

#[test]
fn an_audit_record_alone_is_a_denied_connection() {
    let text = "type=AVC msg=audit(1782223331.123:45): avc:  denied  { name_connect } for  pid=2841 comm=\"nginx\" dest=9000 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:unreserved_port_t:s0 tclass=tcp_socket permissive=0";
    let explanation = explain(text.as_bytes());
    let [line] = &explanation.lines[..] else {
        panic!()
    };
    assert_eq!(
        (line.errno, line.candidates[0].cause),
        (Some(13), "selinux-denies-connect")
    );
}

#[test]
fn what_is_no_failure_of_an_upstream_gives_no_line() {
    for text in [
        "",
        "hello world",
        "2026/06/23 14:02:11 [info] 1#1: *9 client 192.0.2.7 closed keepalive connection",
        "Active: failed (Result: exit-code)",
    ] {
        assert_eq!(explain(text.as_bytes()).lines, [], "{text}");
    }
}

#[test]
fn commands_hold_nothing_of_the_line_but_what_was_parsed() {
    let text = r#"[error] 1#1: *9 connect() to unix:/run/$(reboot).sock failed (2: No such file or directory) while connecting to upstream, upstream: "http://unix:/run/$(reboot).sock:/""#;
    let explanation = explain(text.as_bytes());
    for candidate in &explanation.lines[0].candidates {
        assert!(
            !candidate.tell_apart.contains("reboot"),
            "{}",
            candidate.tell_apart
        );
    }
    let text = r#"connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://[::1]:8000/""#;
    let explanation = explain(text.as_bytes());
    let tells: Vec<&str> = explanation.lines[0]
        .candidates
        .iter()
        .map(|c| c.tell_apart.as_str())
        .collect();
    assert!(
        tells.contains(&"sudo ss -ltnp 'sport = :8000'"),
        "{tells:?}"
    );
}
