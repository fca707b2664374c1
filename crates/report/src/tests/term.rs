//! What a terminal of 80 columns shows.

use super::*;
use crate::term::{self, Style};

fn styled(diagnosis: &Diagnosis, verbose: u8, quiet: bool) -> String {
    let mut out = Vec::new();
    term::write(
        &mut out,
        diagnosis,
        &Style {
            width: 80,
            verbose,
            quiet,
        },
    )
    .unwrap();
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

fn shown(diagnosis: &Diagnosis) -> String {
    styled(diagnosis, 0, false)
}

#[test]
fn a_confirmed_cause_is_told_with_span_proof_and_fix() {
    insta::assert_snapshot!(shown(&diagnosis(vec![port_mismatch()])), @r#"
    502  shop.example.com → http://127.0.0.1:8000
         1,284 failed attempts since 14:02:11, 8/s, still failing  incident 5f1c09a2

      cause  gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000
             peer-port-mismatch

         ╭▸ /etc/nginx/conf.d/shop.conf:12:23
         │
      12 │     proxy_pass http://127.0.0.1:8000;
         ╰╴                      ━━━━━━━━━━━━━━ nothing listens here
      proof  14:02:11  connect() failed (111: Connection refused) while connecting
                       to upstream  ×1,284
             14:02:10  app-gunicorn.service restarted, now "--bind 127.0.0.1:8001"
                       (pid 4120)
             14:05:00  connect 127.0.0.1:8000 as www-data: refused

      fix    dial 127.0.0.1:8001  (changes what runs)
             /etc/nginx/conf.d/shop.conf:12
             - proxy_pass http://127.0.0.1:8000;
             + proxy_pass http://127.0.0.1:8001;
             nginx -t && systemctl reload nginx
             then try  curl -sI http://127.0.0.1:8001/
      or     let gunicorn bind the port that nginx dials  (by hand)
             set --bind 127.0.0.1:8000 in app-gunicorn.service
             or have it done and verified  sudo why502 fix 5f1c09a2

      ruled out  peer-address-mismatch · and 1 by the log line alone
      unknown    peer-family-mismatch

    10,532 log records read from 13:05:00 to 14:05:00 (times are UTC):
    /var/log/nginx/error.log
    1 incident, 1 confirmed
    "#);
}

#[test]
fn verbose_says_what_was_ruled_out_by_what() {
    insta::assert_snapshot!(styled(&diagnosis(vec![port_mismatch()]), 1, false), @r#"
    502  shop.example.com → http://127.0.0.1:8000
         1,284 failed attempts since 14:02:11, 8/s, still failing  incident 5f1c09a2

      cause  gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000
             peer-port-mismatch

         ╭▸ /etc/nginx/conf.d/shop.conf:12:23
         │
      12 │     proxy_pass http://127.0.0.1:8000;
         ╰╴                      ━━━━━━━━━━━━━━ nothing listens here
      proof  14:02:11  2026/06/23 14:02:11 [error] 2841#2841: *1 connect() failed
                       (111: Connection refused) while connecting to upstream,
                       client: 198.51.100.7, server: shop.example.com, request: "GET
                       / HTTP/1.1", upstream: "http://127.0.0.1:8000/", host:
                       "shop.example.com"  ×1,284
             14:02:10  app-gunicorn.service restarted, now "--bind 127.0.0.1:8001"
                       (pid 4120)
             14:05:00  connect 127.0.0.1:8000 as www-data: refused

      fix    dial 127.0.0.1:8001  (changes what runs)
             /etc/nginx/conf.d/shop.conf:12
             - proxy_pass http://127.0.0.1:8000;
             + proxy_pass http://127.0.0.1:8001;
             nginx -t && systemctl reload nginx
             then try  curl -sI http://127.0.0.1:8001/
      or     let gunicorn bind the port that nginx dials  (by hand)
             set --bind 127.0.0.1:8000 in app-gunicorn.service
             or have it done and verified  sudo why502 fix 5f1c09a2

      ruled out  peer-address-mismatch  no TCP socket listens on 127.0.0.1:8000
                 by the log line: socket-stale
      look   sudo nft list ruleset
               firewall rules: needs root  would tell: peer-family-mismatch

    10,532 log records read from 13:05:00 to 14:05:00 (times are UTC):
    /var/log/nginx/error.log
    1 incident, 1 confirmed
    "#);
}

#[test]
fn quiet_is_a_line_an_incident() {
    insta::assert_snapshot!(styled(&diagnosis(vec![port_mismatch(), undetermined()]), 0, true), @r#"
    502  shop.example.com → http://127.0.0.1:8000  ×1,284  peer-port-mismatch
    502  shop.example.com → http://127.0.0.1:8000  ×1,284  not proven
    2 incidents, 1 confirmed, 1 undetermined
    "#);
}

#[test]
fn an_undetermined_incident_says_what_is_known_and_what_would_tell() {
    let diagnosis = Diagnosis {
        privileged: false,
        gaps: vec![
            Gap::new(
                GapKind::Denied,
                "/var/log/nginx/shop.error.log",
                "permission denied",
            )
            .learn("sudo tail /var/log/nginx/shop.error.log"),
        ],
        ..diagnosis(vec![undetermined()])
    };
    insta::assert_snapshot!(shown(&diagnosis), @r#"
    502  shop.example.com → http://127.0.0.1:8000
         1,284 failed attempts since 14:02:11, 8/s, still failing  incident 0badcafe

      cause  not proven: nothing that could be learned shows why

         ╭▸ /etc/nginx/conf.d/shop.conf:12:23
         │
      12 │     proxy_pass http://127.0.0.1:8000;
         ╰╴                      ━━━━━━━━━━━━━━ nginx dials this
      seen   14:02:11  connect() failed (111: Connection refused) while connecting
                       to upstream  ×1,284
      hint   node (pid 77) listens on 127.0.0.1:8001
      look   sudo ss -ltnp 'sport = :8001'
               a tie between listener and peer: node (pid 77) listens on
               127.0.0.1:8001 and may be a stranger  would tell: peer-port-mismatch
             sudo nft list ruleset
               firewall rules: needs root  would tell: peer-not-listening,
               peer-family-mismatch
             the listeners of 14:02: true now, not known to have been true when it
             failed  would tell: peer-address-mismatch

      ruled out  1 cause by the log line alone

    10,532 log records read from 13:05:00 to 14:05:00 (times are UTC):
    /var/log/nginx/error.log
    not known  /var/log/nginx/shop.error.log: permission denied
               sudo tail /var/log/nginx/shop.error.log
    note  read without root: sudo why502 learns more
    1 incident, 1 undetermined
    "#);
}

#[test]
fn what_is_left_of_a_past_incident_is_its_line() {
    let mut past = undetermined();
    past.standing = Standing::Over;
    past.by_line = Some("by the log line alone, it is socket-stale".to_owned());
    let shown = shown(&diagnosis(vec![past]));
    assert!(
        shown.contains("cause  not proven: by the log line alone, it is socket-stale\n"),
        "{shown}"
    );
}

#[test]
fn a_past_incident_is_told_as_past() {
    let mut past = port_mismatch();
    past.standing = Standing::Over;
    past.incident.first_seen = at("2026-06-22T23:59:58Z");
    past.incident.last_seen = at("2026-06-23T00:04:03Z");
    past.impact = Some(Impact {
        requests: 1594,
        failed: 0,
        rescued: 1284,
        ..Impact::default()
    });
    insta::assert_snapshot!(shown(&diagnosis(vec![past.clone()])), @r#"
    502  shop.example.com → http://127.0.0.1:8000
         1,284 failed attempts from 2026-06-22 23:59:58 to 00:04:03, over
         incident 5f1c09a2
         clients saw no error: another peer answered 1,284 of 1,594 requests that
         tried this peer

      cause  gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000
             peer-port-mismatch

         ╭▸ /etc/nginx/conf.d/shop.conf:12:23
         │
      12 │     proxy_pass http://127.0.0.1:8000;
         ╰╴                      ━━━━━━━━━━━━━━ nothing listens here
      proof  14:02:11  connect() failed (111: Connection refused) while connecting
                       to upstream  ×1,284
             14:02:10  app-gunicorn.service restarted, now "--bind 127.0.0.1:8001"
                       (pid 4120)
             14:05:00  connect 127.0.0.1:8000 as www-data: refused

      fix    dial 127.0.0.1:8001  (changes what runs)
             /etc/nginx/conf.d/shop.conf:12
             - proxy_pass http://127.0.0.1:8000;
             + proxy_pass http://127.0.0.1:8001;
             nginx -t && systemctl reload nginx
             then try  curl -sI http://127.0.0.1:8001/
      or     let gunicorn bind the port that nginx dials  (by hand)
             set --bind 127.0.0.1:8000 in app-gunicorn.service

      ruled out  peer-address-mismatch · and 1 by the log line alone
      unknown    peer-family-mismatch

    10,532 log records read from 13:05:00 to 14:05:00 (times are UTC):
    /var/log/nginx/error.log
    1 incident, 1 confirmed; over
    "#);
    // What nothing on disk dials may still be dialled while it goes on.
    past.incident.explained = false;
    let text = "nothing in the configuration on disk dials this peer";
    assert!(!shown(&diagnosis(vec![past.clone()])).contains(text));
    past.standing = Standing::Recent;
    assert!(shown(&diagnosis(vec![past])).contains(text));
}

#[test]
fn twenty_incidents_fold_and_the_worst_come_first() {
    let mut incidents = Vec::new();
    for n in 0..10_u16 {
        let peer = format!("10.0.0.{n}:8000");
        let mut judged = undetermined();
        judged.incident = Incident {
            upstream: Some("shop".to_owned()),
            count: 900 - u64::from(n),
            ..incident(&format!("{n:08x}"), &peer)
        };
        incidents.push(judged);
    }
    for n in 0..10_u16 {
        let peer = format!("127.0.0.1:{}", 9000 + n);
        let mut judged = port_mismatch();
        judged.incident = Incident {
            count: 90 - u64::from(n),
            ..incident(&format!("{n:08x}"), &peer)
        };
        for verdict in &mut judged.causes {
            if let Judgement::Confirmed(confirmation) = &mut verdict.judgement {
                confirmation.summary = format!(
                    "gunicorn listens on 127.0.0.1:{}, nginx dials {peer}",
                    9100 + n
                );
            }
        }
        incidents.push(judged);
    }
    insta::assert_snapshot!(shown(&diagnosis(incidents)), @r#"
    502  shop.example.com → upstream shop (10 peers)
         8,955 failed attempts since 14:02:11, 79/s, still failing
         incident 00000000

      peers  10.0.0.0:8000  900 failed attempts
             10.0.0.1:8000  899 failed attempts
             10.0.0.2:8000  898 failed attempts
             10.0.0.3:8000  897 failed attempts
             10.0.0.4:8000  896 failed attempts
             10.0.0.5:8000  895 failed attempts
             10.0.0.6:8000  894 failed attempts
             10.0.0.7:8000  893 failed attempts
             and 2 more: why502 -v names them

      cause  not proven: nothing that could be learned shows why

         ╭▸ /etc/nginx/conf.d/shop.conf:12:23
         │
      12 │     proxy_pass http://127.0.0.1:8000;
         ╰╴                      ━━━━━━━━━━━━━━ nginx dials this
      seen   14:02:11  connect() failed (111: Connection refused) while connecting
                       to upstream  ×900
      hint   node (pid 77) listens on 127.0.0.1:8001
      look   sudo ss -ltnp 'sport = :8001'
               a tie between listener and peer: node (pid 77) listens on
               127.0.0.1:8001 and may be a stranger  would tell: peer-port-mismatch
             sudo nft list ruleset
               firewall rules: needs root  would tell: peer-not-listening,
               peer-family-mismatch
             the listeners of 14:02: true now, not known to have been true when it
             failed  would tell: peer-address-mismatch

      ruled out  1 cause by the log line alone

    502  shop.example.com → http://127.0.0.1:9000
         90 failed attempts since 14:02:11, 8/s, still failing  incident 00000000

      cause  gunicorn listens on 127.0.0.1:9100, nginx dials 127.0.0.1:9000
             peer-port-mismatch

         ╭▸ /etc/nginx/conf.d/shop.conf:12:23
         │
      12 │     proxy_pass http://127.0.0.1:8000;
         ╰╴                      ━━━━━━━━━━━━━━ nothing listens here
      proof  14:02:11  connect() failed (111: Connection refused) while connecting
                       to upstream  ×1,284
             14:02:10  app-gunicorn.service restarted, now "--bind 127.0.0.1:8001"
                       (pid 4120)
             14:05:00  connect 127.0.0.1:8000 as www-data: refused

      fix    dial 127.0.0.1:8001  (changes what runs)
             /etc/nginx/conf.d/shop.conf:12
             - proxy_pass http://127.0.0.1:8000;
             + proxy_pass http://127.0.0.1:8001;
             nginx -t && systemctl reload nginx
             then try  curl -sI http://127.0.0.1:8001/
      or     let gunicorn bind the port that nginx dials  (by hand)
             set --bind 127.0.0.1:8000 in app-gunicorn.service
             or have it done and verified  sudo why502 fix 00000000

      ruled out  peer-address-mismatch · and 1 by the log line alone
      unknown    peer-family-mismatch

    502  shop.example.com → http://127.0.0.1:9001
         89 failed attempts since 14:02:11, 8/s, still failing  incident 00000001

      cause  gunicorn listens on 127.0.0.1:9101, nginx dials 127.0.0.1:9001
             peer-port-mismatch

         ╭▸ /etc/nginx/conf.d/shop.conf:12:23
         │
      12 │     proxy_pass http://127.0.0.1:8000;
         ╰╴                      ━━━━━━━━━━━━━━ nothing listens here
      proof  14:02:11  connect() failed (111: Connection refused) while connecting
                       to upstream  ×1,284
             14:02:10  app-gunicorn.service restarted, now "--bind 127.0.0.1:8001"
                       (pid 4120)
             14:05:00  connect 127.0.0.1:8000 as www-data: refused

      fix    dial 127.0.0.1:8001  (changes what runs)
             /etc/nginx/conf.d/shop.conf:12
             - proxy_pass http://127.0.0.1:8000;
             + proxy_pass http://127.0.0.1:8001;
             nginx -t && systemctl reload nginx
             then try  curl -sI http://127.0.0.1:8001/
      or     let gunicorn bind the port that nginx dials  (by hand)
             set --bind 127.0.0.1:8000 in app-gunicorn.service
             or have it done and verified  sudo why502 fix 00000001

      ruled out  peer-address-mismatch · and 1 by the log line alone
      unknown    peer-family-mismatch

    502  shop.example.com → http://127.0.0.1:9002  ×88  peer-port-mismatch
    502  shop.example.com → http://127.0.0.1:9003  ×87  peer-port-mismatch
    502  shop.example.com → http://127.0.0.1:9004  ×86  peer-port-mismatch
    502  shop.example.com → http://127.0.0.1:9005  ×85  peer-port-mismatch
    502  shop.example.com → http://127.0.0.1:9006  ×84  peer-port-mismatch
    502  shop.example.com → http://127.0.0.1:9007  ×83  peer-port-mismatch
    502  shop.example.com → http://127.0.0.1:9008  ×82  peer-port-mismatch
    502  shop.example.com → http://127.0.0.1:9009  ×81  peer-port-mismatch
         in full: why502 -v, or one of them: why502 00000002

    10,532 log records read from 13:05:00 to 14:05:00 (times are UTC):
    /var/log/nginx/error.log
    20 incidents, 10 confirmed, 10 undetermined
    "#);
}

#[test]
fn peers_of_one_upstream_are_told_once_with_every_edit() {
    let mut incidents = Vec::new();
    for n in 0..3_u16 {
        let mut judged = port_mismatch();
        judged.incident.peer = format!("127.0.0.1:{}", 8000 + n);
        judged.incident.upstream = Some("shop".to_owned());
        judged.incident.count -= u64::from(n);
        if let Some(CauseVerdict {
            judgement: Judgement::Confirmed(confirmation),
            ..
        }) = judged.causes.first_mut()
        {
            confirmation.summary = format!(
                "gunicorn listens on 127.0.0.1:{}, nginx dials 127.0.0.1:{}",
                8100 + n,
                8000 + n
            );
            confirmation.fixes.truncate(1);
            if let Some(Step::Edit { line, old, new, .. }) = confirmation.fixes[0].steps.first_mut()
            {
                *line += usize::from(n);
                *old = format!("server 127.0.0.1:{};", 8000 + n);
                *new = format!("server 127.0.0.1:{};", 8100 + n);
            }
        }
        incidents.push(judged);
    }
    insta::assert_snapshot!(shown(&diagnosis(incidents)), @r#"
    502  shop.example.com → upstream shop (3 peers)
         3,849 failed attempts since 14:02:11, 24/s, still failing
         incident 5f1c09a2

      peers  127.0.0.1:8000  1,284 failed attempts
             127.0.0.1:8001  1,283 failed attempts  gunicorn listens on
               127.0.0.1:8101, nginx dials 127.0.0.1:8001
             127.0.0.1:8002  1,282 failed attempts  gunicorn listens on
               127.0.0.1:8102, nginx dials 127.0.0.1:8002

      cause  gunicorn listens on 127.0.0.1:8100, nginx dials 127.0.0.1:8000
             peer-port-mismatch

         ╭▸ /etc/nginx/conf.d/shop.conf:12:23
         │
      12 │     proxy_pass http://127.0.0.1:8000;
         ╰╴                      ━━━━━━━━━━━━━━ nothing listens here
      proof  14:02:11  connect() failed (111: Connection refused) while connecting
                       to upstream  ×1,284
             14:02:10  app-gunicorn.service restarted, now "--bind 127.0.0.1:8001"
                       (pid 4120)
             14:05:00  connect 127.0.0.1:8000 as www-data: refused

      fix    dial 127.0.0.1:8001  (changes what runs)
             /etc/nginx/conf.d/shop.conf:12
             - server 127.0.0.1:8000;
             + server 127.0.0.1:8100;
             nginx -t && systemctl reload nginx
             then try  curl -sI http://127.0.0.1:8001/
             or have it done and verified  sudo why502 fix 5f1c09a2
      and    dial 127.0.0.1:8001  (changes what runs)
             /etc/nginx/conf.d/shop.conf:13
             - server 127.0.0.1:8001;
             + server 127.0.0.1:8101;
             nginx -t && systemctl reload nginx
             then try  curl -sI http://127.0.0.1:8001/
      and    dial 127.0.0.1:8001  (changes what runs)
             /etc/nginx/conf.d/shop.conf:14
             - server 127.0.0.1:8002;
             + server 127.0.0.1:8102;
             nginx -t && systemctl reload nginx
             then try  curl -sI http://127.0.0.1:8001/

      ruled out  peer-address-mismatch · and 1 by the log line alone
      unknown    peer-family-mismatch

    10,532 log records read from 13:05:00 to 14:05:00 (times are UTC):
    /var/log/nginx/error.log
    3 incidents, 3 confirmed
    "#);
}

#[test]
fn incidents_without_an_answer_fold_only_where_all_that_is_said_is_said_of_each() {
    let unresolved = |id: &str, name: &str, why: &str, now: &'static str| {
        let mut judged = undetermined();
        judged.hints.clear();
        judged.causes = vec![unknown(
            "upstream-name-unresolvable",
            Gap::too_late("whether the name resolved when it failed", now),
        )];
        judged.incident = Incident {
            address: None,
            errno: None,
            failure: Some(Class::Dns),
            action: None,
            sample: format!(
                "2026/06/23 14:02:11 [error] 2841#2841: *1 {name} could not be resolved ({why}), client: 198.51.100.7"
            ),
            ..incident(id, name)
        };
        judged
    };
    let (unknown_name, silence) = ("3: Host not found", "110: Operation timed out");
    let (resolves, silent) = ("it resolves now", "the name server does not answer now");
    let blocks = |incidents: Vec<Judged>| {
        crate::fold::blocks(&incidents)
            .iter()
            .map(crate::fold::Block::len)
            .collect::<Vec<_>>()
    };
    let first = || unresolved("00000001", "a.example", unknown_name, resolves);
    let alike = unresolved("00000002", "b.example", unknown_name, resolves);
    assert_eq!(blocks(vec![first(), alike]), [2]);
    let of_another_failure = unresolved("00000002", "b.example", silence, resolves);
    assert_eq!(blocks(vec![first(), of_another_failure]), [1, 1]);
    let otherwise_now = unresolved("00000002", "b.example", unknown_name, silent);
    assert_eq!(blocks(vec![first(), otherwise_now]), [1, 1]);
}

#[test]
fn peers_of_one_upstream_fold_without_an_answer_where_only_their_addresses_differ() {
    let of_upstream = |peer: &str, listener: &str| {
        let mut judged = undetermined();
        judged.incident = Incident {
            upstream: Some("shop".to_owned()),
            ..incident("00000001", peer)
        };
        judged.hints = vec![format!("{listener} listens beside {peer}")];
        judged
    };
    let diagnosis = [
        of_upstream("10.0.0.5:8000", "node"),
        of_upstream("10.0.0.6:8000", "node"),
        of_upstream("10.0.0.7:8000", "gunicorn"),
    ];
    let blocks = crate::fold::blocks(&diagnosis);
    let sizes: Vec<usize> = blocks.iter().map(crate::fold::Block::len).collect();
    assert_eq!(sizes, [2, 1]);
}

#[test]
fn where_lines_are_missing_a_count_is_the_least() {
    let mut diagnosis = diagnosis(vec![port_mismatch()]);
    diagnosis.window.is_partial = true;
    let text = shown(&diagnosis);
    assert!(
        text.contains("at least 1,284 failed attempts since 14:02:11"),
        "{text}"
    );
}

#[test]
fn without_incidents_it_says_calmly_what_was_read() {
    insta::assert_snapshot!(shown(&diagnosis(Vec::new())), @r#"
    nginx 1.22.1 (pid 2841, /etc/nginx/nginx.conf): no upstream failure; 10,532 log
    records read from 13:05:00 to 14:05:00 (times are UTC):
    /var/log/nginx/error.log.
    no incidents
    "#);
}

#[test]
fn without_incidents_it_says_what_could_not_be_read() {
    let mut diagnosis = diagnosis(Vec::new());
    diagnosis.window.cut = true;
    diagnosis.window.is_partial = true;
    diagnosis.window.suspects = 3;
    diagnosis.instances[0].running_config = RunningConfig::Outdated;
    diagnosis.gaps.push(Gap::new(
        GapKind::Absent,
        "/var/log/nginx/error.log",
        "no such file",
    ));
    insta::assert_snapshot!(shown(&diagnosis), @r#"
    nginx 1.22.1 (pid 2841, /etc/nginx/nginx.conf): no upstream failure found in
    what could be read; 10,532 log records read from 13:05:00 to 14:05:00 (times are
    UTC): /var/log/nginx/error.log.
    note  nginx 1.22.1 (pid 2841, /etc/nginx/nginx.conf) does not run what stands on
          disk: a file changed after the workers started, or the last reload failed
    note  a log is larger than what is read of it: earlier lines of the window are
          missing
    note  3 log records look forged and counted for nothing
    not known  /var/log/nginx/error.log: no such file
    no incidents
    "#);
}

#[test]
fn without_nginx_it_says_so() {
    let mut diagnosis = diagnosis(Vec::new());
    diagnosis.instances.clear();
    diagnosis.window.lines = 0;
    insta::assert_snapshot!(shown(&diagnosis), @r#"
    No nginx was found on this host; no error log was read.
    no incidents
    "#);
}

#[test]
fn nginx_that_does_not_run_needs_no_peer() {
    let incident = Incident {
        origin: Origin::Host,
        peer: String::new(),
        address: None,
        protocol: None,
        failure: None,
        errno: None,
        action: None,
        status: None,
        count: 0,
        first_seen: at("2026-06-23T14:05:00Z"),
        last_seen: at("2026-06-23T14:05:00Z"),
        seconds: Rc::default(),
        servers: Vec::new(),
        paths: std::collections::BTreeSet::new(),
        sample: String::new(),
        log: None,
        ..incident("00c0ffee", "")
    };
    let confirmation = Confirmation {
        summary: "nginx is not running".to_owned(),
        proof: Proof::new(record(
            "processes",
            Some("2026-06-23T14:05:00Z"),
            "no process is an nginx master",
        ))
        .and(record(
            "systemd",
            Some("2026-06-23T13:40:12Z"),
            "nginx.service failed: exit code 1",
        )),
        fixes: vec![Fix {
            summary: "start nginx".to_owned(),
            safety: Safety::Unsafe,
            steps: vec![
                Step::command(["nginx", "-t"]),
                Step::command(["systemctl", "start", "nginx"]),
            ],
            verify: None,
        }],
    };
    let judged = Judged {
        cause: Some(cause("nginx-not-running")),
        causes: vec![confirmed("nginx-not-running", confirmation)],
        directive: None,
        ..judged(incident)
    };
    let mut diagnosis = diagnosis(vec![judged]);
    diagnosis.instances[0].pid = None;
    insta::assert_snapshot!(shown(&diagnosis), @r#"
    host  nginx 1.22.1 (/etc/nginx/nginx.conf)
          seen on the host itself at 14:05:00  incident 00c0ffee

      cause  nginx is not running                                  nginx-not-running

      proof  14:05:00  no process is an nginx master
             13:40:12  nginx.service failed: exit code 1

      fix    start nginx  (changes what runs)
             nginx -t && systemctl start nginx
             or have it done and verified  sudo why502 fix 00c0ffee

    10,532 log records read from 13:05:00 to 14:05:00 (times are UTC):
    /var/log/nginx/error.log
    1 incident, 1 confirmed
    "#);
    insta::assert_snapshot!(styled(&diagnosis, 0, true), @r#"
    host  nginx 1.22.1 (/etc/nginx/nginx.conf)  nginx-not-running
    1 incident, 1 confirmed
    "#);
}

#[test]
fn nothing_is_wider_than_the_terminal_but_commands_and_paths() {
    for width in [40, 60, 80, 132] {
        let mut out = Vec::new();
        let both = diagnosis(vec![port_mismatch(), undetermined()]);
        term::write(
            &mut out,
            &both,
            &Style {
                width,
                verbose: 1,
                quiet: false,
            },
        )
        .unwrap();
        let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
        for line in text.lines() {
            let words = line.split_whitespace().count();
            let copied = [
                "nginx",
                "systemctl",
                "- ",
                "+ ",
                "curl",
                "sudo",
                "/etc",
                "╭▸",
            ];
            let copied = copied.iter().any(|start| {
                line.trim_start()
                    .trim_start_matches("look")
                    .trim_start()
                    .starts_with(start)
            });
            assert!(
                line.chars().count() <= width
                    || words == 1
                    || copied
                    || line.contains("then try")
                    || line.contains("why502 fix"),
                "{width}: {line}"
            );
        }
    }
}

#[test]
fn a_page_reads_at_a_terminal() {
    let mut out = Vec::new();
    term::cause(
        &mut out,
        cause("nginx-not-running"),
        &Style {
            width: 60,
            verbose: 0,
            quiet: false,
        },
    )
    .unwrap();
    let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
    assert!(
        text.starts_with("nginx-not-running\n\nnginx itself is not running.\n\nConfirmed when\n"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 60),
        "{text}"
    );
}
