//! What a gate found, in each of its forms; hostile names reach none of them as they came.

use std::time::Duration;

use diagnose::{ConfSpan, Gate, GateOutcome, GatePeer, GateTrouble, Role};
use jiff::Timestamp;
use log::error::Protocol;

use crate::term::Style;

fn peer(address: &str, outcome: GateOutcome, says: &str) -> GatePeer {
    GatePeer {
        peer: address.to_owned(),
        name: None,
        upstream: Some("shop".to_owned()),
        protocol: Some(Protocol::Http),
        role: Role::InUse,
        servers: vec!["shop.example".to_owned()],
        directive: Some(ConfSpan {
            file: "/etc/nginx/nginx.conf".into(),
            line: 3,
            column: 5,
            source: format!("    server {address};"),
            text: format!("server {address};"),
            mark: 11..11 + address.len(),
            label: None,
        }),
        others: 2,
        tried: vec!["connect".to_owned(), "GET / HTTP/1.0".to_owned()],
        left_out: Vec::new(),
        outcome,
        says: says.to_owned(),
        took: Some(Duration::from_millis(3)),
        judged: None,
        failed_before: false,
    }
}

fn gate(peers: Vec<GatePeer>) -> Gate {
    Gate {
        generated_at: Timestamp::UNIX_EPOCH,
        hostname: Some("web1".to_owned()),
        privileged: true,
        config: Some("/etc/nginx/nginx.conf".into()),
        is_candidate: true,
        master: Some(18),
        caller: "nginx's worker (pid 19)".to_owned(),
        test: None,
        troubles: Vec::new(),
        peers,
        gaps: Vec::new(),
        refusal: None,
    }
}

fn term(gate: &Gate, verbose: u8, quiet: bool) -> String {
    let mut out = Vec::new();
    let style = Style {
        width: 80,
        verbose,
        quiet,
    };
    crate::term::gate(&mut out, gate, &style).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

fn backup(mut peer: GatePeer) -> GatePeer {
    peer.role = Role::Backup;
    peer
}

#[test]
fn each_peer_has_its_line_and_the_answer_comes_last() {
    let answer = gate(vec![
        peer("127.0.0.1:8000", GateOutcome::Ready, "200 after 0.3 ms"),
        peer(
            "127.0.0.1:8001",
            GateOutcome::Failing,
            "111: Connection refused",
        ),
        backup(peer(
            "127.0.0.1:8002",
            GateOutcome::Failing,
            "no answer in 2.0 s",
        )),
    ]);
    insta::assert_snapshot!(term(&answer, 0, false), @"
    /etc/nginx/nginx.conf  not what nginx runs now
    its peers, asked as nginx's worker (pid 19)

    ready      http://127.0.0.1:8000  200 after 0.3 ms  upstream shop
    failing    http://127.0.0.1:8001  111: Connection refused  upstream shop
    failing    http://127.0.0.1:8002  no answer in 2.0 s  upstream shop, backup

    refused: 3 peers, 1 ready, 1 failing, 1 failing backup
    ");
    insta::assert_snapshot!(term(&answer, 0, true), @"
    failing    http://127.0.0.1:8001  111: Connection refused  upstream shop
    refused: 3 peers, 1 ready, 1 failing, 1 failing backup
    ");
    assert!(answer.is_refused());
    let spared = gate(vec![backup(peer(
        "127.0.0.1:8002",
        GateOutcome::Failing,
        "x",
    ))]);
    assert!(!spared.is_refused());
}

#[test]
fn what_failed_before_is_let_pass() {
    let failing = peer(
        "127.0.0.1:8001",
        GateOutcome::Failing,
        "111: Connection refused",
    );
    let running = gate(vec![failing.clone()]);
    let mut candidate = gate(vec![
        failing,
        peer(
            "127.0.0.1:8003",
            GateOutcome::Failing,
            "111: Connection refused",
        ),
    ]);
    candidate.hold_against(&running.failures());
    let refused: Vec<bool> = candidate.peers.iter().map(GatePeer::is_refused).collect();
    assert_eq!(refused, [false, true]);
}

#[test]
fn hostile_text_reaches_no_form_as_it_came() {
    let hostile = "x\x1b[2J\n::error::y\u{202e}<a>&\"";
    let mut answer = gate(vec![peer(hostile, GateOutcome::Failing, hostile)]);
    answer.troubles.push(GateTrouble {
        file: hostile.into(),
        line: 1,
        text: hostile.to_owned(),
    });
    let mut forms = vec![term(&answer, 1, false)];
    for write in [
        |out: &mut Vec<u8>, gate: &Gate| crate::gate::junit(out, gate),
        |out: &mut Vec<u8>, gate: &Gate| crate::gate::github(out, gate, None),
        |out: &mut Vec<u8>, gate: &Gate| crate::json::gate(out, gate, false),
    ] {
        let mut out = Vec::new();
        write(&mut out, &answer).unwrap();
        forms.push(String::from_utf8(out).unwrap());
    }
    for form in &forms {
        let is_bare = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!form.contains(is_bare), "{form:?}");
    }
    let [_, junit, github, _] = forms.as_slice() else {
        panic!("four forms")
    };
    assert!(!junit.contains("<a>"), "{junit}");
    assert!(
        github.lines().all(|line| !line.starts_with("::error::")),
        "{github}"
    );
    assert_eq!(github.lines().count(), 3, "{github}");
}
