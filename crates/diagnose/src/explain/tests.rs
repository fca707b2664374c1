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

const RESET: &str = r#"2026/06/23 14:02:11 [error] 1#1: *1 recv() failed (104: Connection reset by peer) while reading response header from upstream, client: 192.0.2.1, server: a, request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:8000/", host: "a""#;

/// Whether something beside a line speaks for its first cause.
fn speaks(line: &str, beside: &str) -> bool {
    let explanation = explain(format!("{line}\n{beside}\n").as_bytes());
    assert_eq!(explanation.remarks.len(), 1, "{beside}");
    explanation
        .candidates
        .iter()
        .any(|candidate| candidate.is_spoken_for)
}

#[test]
fn a_kill_speaks_only_for_a_program_and_a_time_that_fit() {
    let fastcgi = RESET.replace("http://127.0.0.1:8000/", "fastcgi://127.0.0.1:9000");
    for (line, beside, expected) in [
        (
            RESET,
            "Jun 23 14:02:11 web kernel: Out of memory: Killed process 77 (gunicorn) total-vm:9kB",
            true,
        ),
        (
            RESET,
            "[12345.6] Out of memory: Killed process 77 (shop-api) total-vm:9kB",
            true,
        ),
        (
            RESET,
            "Jun 23 14:02:11 web kernel: Out of memory: Killed process 77 (mysqld) total-vm:9kB",
            false,
        ),
        (
            RESET,
            "Feb  3 14:02:11 web kernel: Out of memory: Killed process 77 (gunicorn) total-vm:9kB",
            false,
        ),
        (
            RESET,
            "2026-02-03T14:02:11+0000 web kernel: Memory cgroup out of memory: Killed process 77 (gunicorn)",
            false,
        ),
        (
            RESET,
            "Jun 23 14:02:11 web kernel: oom-kill:constraint=CONSTRAINT_NONE,task=mysqld,pid=77,uid=1",
            false,
        ),
        (
            &fastcgi,
            "Jun 23 14:02:11 web kernel: Out of memory: Killed process 77 (php-fpm8.2)",
            true,
        ),
        (
            &fastcgi,
            "Jun 23 14:02:11 web kernel: Out of memory: Killed process 77 (gunicorn)",
            false,
        ),
        (
            RESET,
            "Jun 23 14:02:11 web kernel: Out of memory: Killed process 77 (php-fpm8.2)",
            false,
        ),
    ] {
        assert_eq!(speaks(line, beside), expected, "{beside}");
    }
}

#[test]
fn a_permissive_note_and_another_protocols_pool_speak_for_nothing() {
    let denied = QUOTED[6].0;
    let note = "type=AVC msg=audit(1.1:4): avc:  denied  { name_connect } for  pid=1 comm=\"nginx\" dest=9000 tclass=tcp_socket permissive=1";
    assert!(!speaks(denied, note));
    assert!(speaks(
        denied,
        &note.replace("permissive=1", "permissive=0")
    ));
    assert_eq!(explain(note.as_bytes()).lines, []);
    let slow = RESET.replace(
        "recv() failed (104: Connection reset by peer)",
        "upstream timed out (110: Connection timed out)",
    );
    let full = "[23-Jun-2026 14:02:10] WARNING: [pool www] server reached pm.max_children setting (5), consider raising it";
    assert!(!speaks(&slow, full));
    let exhausted = |line: &str| {
        let candidates = explain(line.as_bytes()).candidates;
        candidates
            .iter()
            .any(|candidate| candidate.cause == "fpm-children-exhausted")
    };
    let fastcgi = slow.replace("http://127.0.0.1:8000/", "fastcgi://127.0.0.1:9000");
    assert!(speaks(&fastcgi, full));
    assert_eq!((exhausted(&slow), exhausted(&fastcgi)), (false, true));
}

#[test]
fn errnos_that_are_seldom_met_have_a_meaning() {
    for (errno, text, peer, cause) in [
        (
            91,
            "Protocol wrong type for socket",
            "unix:/run/log.sock:/",
            "socket-path-mismatch",
        ),
        (
            40,
            "Too many levels of symbolic links",
            "unix:/run/a.sock:/",
            "socket-path-mismatch",
        ),
        (
            36,
            "File name too long",
            "unix:/run/a.sock:/",
            "socket-path-mismatch",
        ),
        (
            10061,
            "No connection could be made because the target machine actively refused it",
            "127.0.0.1:8000/",
            "peer-not-listening",
        ),
    ] {
        let line = format!(
            "2026/06/23 14:02:11 [crit] 1#1: *1 connect() failed ({errno}: {text}) while connecting to upstream, client: 192.0.2.1, server: a, request: \"GET / HTTP/1.1\", upstream: \"http://{peer}\", host: \"a\""
        );
        let explanation = explain(line.as_bytes());
        assert_eq!(explanation.lines[0].errno, Some(errno));
        assert_eq!(
            explanation.candidates.first().map(|first| first.cause),
            Some(cause),
            "{errno}"
        );
        assert!(
            explanation
                .candidates
                .iter()
                .all(|candidate| candidate.cause != "socket-stale"),
            "{errno}"
        );
    }
}

#[test]
fn a_stream_has_no_status() {
    let line = "2026/06/23 14:02:11 [error] 1#1: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.1, server: 0.0.0.0:5432, upstream: \"127.0.0.1:5433\", bytes from/to client:0/0, bytes from/to upstream:0/0";
    assert_eq!(explain(line.as_bytes()).lines[0].status, None);
}

#[test]
fn a_class_is_explained_by_all_of_its_kinds_of_lines() {
    for &class in Class::ALL
        .iter()
        .filter(|class| class.may_be_upstream_failure())
    {
        let explanation = explain_class(class);
        let sum: f64 = explanation
            .candidates
            .iter()
            .map(|candidate| candidate.likelihood)
            .sum();
        assert!(sum < 1.0, "{class}: {sum}");
    }
    let refused = explain_class(Class::ConnectRefused);
    let causes: Vec<&str> = refused
        .candidates
        .iter()
        .map(|candidate| candidate.cause)
        .collect();
    // Of TCP as of unix sockets.
    assert!(
        causes.contains(&"peer-not-listening") && causes.contains(&"socket-stale"),
        "{causes:?}"
    );
    assert!(explain_class(Class::ListenBind).lines.is_empty());
}
