//! What terminals of two widths show.

use super::*;
use crate::tests::hostile::EVIL;

fn shown(report: &LogReport, width: usize) -> String {
    anstream::adapter::strip_str(&styled(report, width, 0, false)).to_string()
}

#[test]
fn a_terminal_of_80_columns() {
    insta::assert_snapshot!(shown(&report(), 80), @"
    read      2 files, 10,532 lines of error logs, 2026-06-23 14:00:02 to 14:59:58,
              by the logs' own clock
    failures  1,244 upstream failures, 11.8% of the lines, about 12,000 distinct
              clients

               152                        ▂▄▆█
                                      ▂▄▆█████
                                  ▁▃▆█████████
                 0  ··········▃▃▅▇████████████·····························▁····
                    14:00                        14:29                     14:59
                    failures by minute, a column each

    502  connect-refused (111) while connecting to upstream → http://127.0.0.1:8000
         (upstream shop)
         1,240 failed attempts from 14:10:11 to 14:25:59, 1.3/s
         timeline   ··········▁▁▂▂▃▃▄▄▅▅▆▆▇▇██··································
         servers    shop.example.com ×1,200  api.example.com ×30  www.example.com ×9
                    and 1 more
         locations  /cart ×1,000  / ×240
         clients    37 distinct clients
         causes     62% peer-not-listening  18% peer-port-mismatch
                    8% peer-family-mismatch
         verdict    confirmed peer-port-mismatch: gunicorn listens on
                    127.0.0.1:8001, nginx dials 127.0.0.1:8000

    ---  read-timeout (110) → a peer that the lines do not name
         1 failed attempt at 14:55:01
         timeline   ·······················································█····
         verdict    not proven: the snapshot was taken too late

         and 3 failed attempts of more incidents than are kept apart

    clients   at least 1,200  203.0.113.9  about 12,000 distinct clients
                 at least 41  198.51.100.7
    urls      1,000  /cart
                241  /
    hosts     1,241  shop.example.com

    access    120,000 requests, 1,242 of them (1.0%) answered by 5xx
         statuses   200 ×118,000  404 ×758  502 ×1,241  504 ×1
         5xx        ·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄

         peer                           attempts    5xx    p50    p95    p99
         127.0.0.1:8000                   80,000  1,241  12 ms  80 ms  1.2 s
         unix:/run/php/php8.1-fpm.sock         3      0      -      -      -

         clients    1,200  203.0.113.9  answered by 5xx
         urls       1,000  /cart  answered by 5xx

    silence   from 14:26:10 to 14:55:01 (28 minutes) nothing was logged at all
    skipped   access.log.3.gz, 12 lines: its compressed data ends too early
    skipped   core, wholly: it is no log
    note      2 lines may be written by somebody else than nginx: in no incident
    note      1 line is no line of nginx's error log
    note      percentages are likelihoods from public threads with such a line, no
              proof: why502 on the host, or with a snapshot of it, proves one
    2 incidents, 1 confirmed
    ");
}

#[test]
fn a_terminal_of_120_columns() {
    insta::assert_snapshot!(shown(&report(), 120), @"
    read      2 files, 10,532 lines of error logs, 2026-06-23 14:00:02 to 14:59:58, by the logs' own clock
    failures  1,244 upstream failures, 11.8% of the lines, about 12,000 distinct clients

               152                        ▂▄▆█
                                      ▂▄▆█████
                                  ▁▃▆█████████
                 0  ··········▃▃▅▇████████████·····························▁····
                    14:00                        14:29                     14:59
                    failures by minute, a column each

    502  connect-refused (111) while connecting to upstream → http://127.0.0.1:8000 (upstream shop)
         1,240 failed attempts from 14:10:11 to 14:25:59, 1.3/s
         timeline   ··········▁▁▂▂▃▃▄▄▅▅▆▆▇▇██··································
         servers    shop.example.com ×1,200  api.example.com ×30  www.example.com ×9  and 1 more
         locations  /cart ×1,000  / ×240
         clients    37 distinct clients
         causes     62% peer-not-listening  18% peer-port-mismatch  8% peer-family-mismatch
         verdict    confirmed peer-port-mismatch: gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000

    ---  read-timeout (110) → a peer that the lines do not name
         1 failed attempt at 14:55:01
         timeline   ·······················································█····
         verdict    not proven: the snapshot was taken too late

         and 3 failed attempts of more incidents than are kept apart

    clients   at least 1,200  203.0.113.9  about 12,000 distinct clients
                 at least 41  198.51.100.7
    urls      1,000  /cart
                241  /
    hosts     1,241  shop.example.com

    access    120,000 requests, 1,242 of them (1.0%) answered by 5xx
         statuses   200 ×118,000  404 ×758  502 ×1,241  504 ×1
         5xx        ·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄▆▇█·▂▃▄

         peer                           attempts    5xx    p50    p95    p99
         127.0.0.1:8000                   80,000  1,241  12 ms  80 ms  1.2 s
         unix:/run/php/php8.1-fpm.sock         3      0      -      -      -

         clients    1,200  203.0.113.9  answered by 5xx
         urls       1,000  /cart  answered by 5xx

    silence   from 14:26:10 to 14:55:01 (28 minutes) nothing was logged at all
    skipped   access.log.3.gz, 12 lines: its compressed data ends too early
    skipped   core, wholly: it is no log
    note      2 lines may be written by somebody else than nginx: in no incident
    note      1 line is no line of nginx's error log
    note      percentages are likelihoods from public threads with such a line, no proof: why502 on the host, or with a
              snapshot of it, proves one
    2 incidents, 1 confirmed
    ");
}

#[test]
fn hostile_text_at_a_terminal() {
    insta::assert_snapshot!(shown(&LogReport { access: None, ..filled(EVIL) }, 80), @r#"
    read      1 file, 10,532 lines of error logs, 2026-06-23 14:00:02 to 14:59:58,
              by the logs' own clock
    failures  1,244 upstream failures, 11.8% of the lines, about 12,000 distinct
              clients

               304                        ▂▄▆█
                                      ▂▄▆█████
                                  ▁▃▆█████████
                 0  ··········▃▃▅▇████████████··································
                    14:00                        14:29                     14:59
                    failures by minute, a column each

    502  connect-refused (111) while connecting to upstream → upstream
         \x1b]0;owned\x07\x0d…feff}"&amp;\x09\x00
         1,240 failed attempts from 14:10:11 to 14:25:59, 1.3/s
         timeline   ··········▁▁▂▂▃▃▄▄▅▅▆▆▇▇██··································
         servers    \x1b]0;owned\x07\x0d…feff}"&amp;\x09\x00 ×5
                    \x1b]0;owned\x07\x0d…eff}"&amp;\x09\x00! ×4
         locations  \x1b]0;owned\x07\x0d…feff}"&amp;\x09\x00 ×5
                    \x1b]0;owned\x07\x0d…eff}"&amp;\x09\x00! ×4
         clients    37 distinct clients
         causes     NaN% peer-not-listening
         verdict    not proven: \x1b]0;owned\x07\x0d\x0a502 all is
                    well\x9b2J</script><b
                    onclick='x'>\u{202e}\u{2066}\u{200b}\u{feff}"&amp;\x09\x00

    502  connect-refused (111) while connecting to upstream →
         http://\x1b]0;owned\x07\x0d\x0a502 all is well\x9b2J</script><b
         onclick='x'>\u{202e}\u{2066}\u{200b}\u{feff}"&amp;\x09\x00 (upstream
         \x1b]0;owned\x07\x0d…eff}"&amp;\x09\x00!)
         1,240 failed attempts from 14:10:11 to 14:25:59, 1.3/s
         timeline   ··········▁▁▂▂▃▃▄▄▅▅▆▆▇▇██··································
         servers    \x1b]0;owned\x07\x0d…feff}"&amp;\x09\x00 ×5
                    \x1b]0;owned\x07\x0d…eff}"&amp;\x09\x00! ×4
         locations  \x1b]0;owned\x07\x0d…feff}"&amp;\x09\x00 ×5
                    \x1b]0;owned\x07\x0d…eff}"&amp;\x09\x00! ×4
         clients    37 distinct clients
         causes     NaN% peer-not-listening
         verdict    confirmed peer-port-mismatch: \x1b]0;owned\x07\x0d\x0a502 all is
                    well\x9b2J</script><b
                    onclick='x'>\u{202e}\u{2066}\u{200b}\u{feff}"&amp;\x09\x00

         and 3 failed attempts of more incidents than are kept apart

    clients   at least 5  \x1b]0;owned\x07\x0d\x0a502 a…{200b}\u{feff}"&amp;\x09\x00
                          about 12,000 distinct clients
              at least 4  �\x1b[2J
    urls      at least 5  \x1b]0;owned\x07\x0d\x0a502 a…{200b}\u{feff}"&amp;\x09\x00
              at least 4  �\x1b[2J
    hosts     at least 5  \x1b]0;owned\x07\x0d\x0a502 a…{200b}\u{feff}"&amp;\x09\x00
              at least 4  �\x1b[2J

    silence   from 14:26:10 to 14:55:01 (28 minutes) nothing was logged at all
    skipped   \x1b]0;owned\x07\x0d…feff}"&amp;\x09\x00, 1 line:
              \x1b]0;owned\x07\x0d\x0a502 all is well\x9b2J</script><b
              onclick='x'>\u{202e}\u{2066}\u{200b}\u{feff}"&amp;\x09\x00
    note      2 lines may be written by somebody else than nginx: in no incident
    note      1 line is no line of nginx's error log
    note      percentages are likelihoods from public threads with such a line, no
              proof: why502 on the host, or with a snapshot of it, proves one
    2 incidents, 1 confirmed
    "#);
}

#[test]
fn verbose_names_files_and_lines() {
    let report = LogReport {
        access: None,
        ..report()
    };
    insta::assert_snapshot!(anstream::adapter::strip_str(&styled(&report, 80, 1, false)), @"
    read      2 files, 10,532 lines of error logs, 2026-06-23 14:00:02 to 14:59:58,
              by the logs' own clock
              /var/log/nginx/error.log  error  10,532 lines  2,500,000 bytes
              2026-06-23 14:00:02 to 14:59:58
              -  unknown  0 lines  0 bytes
    failures  1,244 upstream failures, 11.8% of the lines, about 12,000 distinct
              clients

               152                        ▂▄▆█
                                      ▂▄▆█████
                                  ▁▃▆█████████
                 0  ··········▃▃▅▇████████████·····························▁····
                    14:00                        14:29                     14:59
                    failures by minute, a column each

    502  connect-refused (111) while connecting to upstream → http://127.0.0.1:8000
         (upstream shop)
         1,240 failed attempts from 14:10:11 to 14:25:59, 1.3/s
         timeline   ··········▁▁▂▂▃▃▄▄▅▅▆▆▇▇██··································
         servers    shop.example.com ×1,200  api.example.com ×30  www.example.com ×9
                    old.example.com ×1
         locations  /cart ×1,000  / ×240
         clients    37 distinct clients
         causes     62% peer-not-listening  18% peer-port-mismatch
                    8% peer-family-mismatch  2% firewall-rejects-connect
         verdict    confirmed peer-port-mismatch: gunicorn listens on
                    127.0.0.1:8001, nginx dials 127.0.0.1:8000
         line       2026/06/23 14:10:11 [error] 2841#2841: *1 connect() failed (111:
                    Connection refused) while connecting to upstream, client:
                    198.51.100.7

    ---  read-timeout (110) → a peer that the lines do not name
         1 failed attempt at 14:55:01
         timeline   ·······················································█····
         verdict    not proven: the snapshot was taken too late

         and 3 failed attempts of more incidents than are kept apart

    clients   at least 1,200  203.0.113.9  about 12,000 distinct clients
                 at least 41  198.51.100.7
    urls      1,000  /cart
                241  /
    hosts     1,241  shop.example.com

    silence   from 14:26:10 to 14:55:01 (28 minutes) nothing was logged at all
    skipped   access.log.3.gz, 12 lines: its compressed data ends too early
    skipped   core, wholly: it is no log
    note      2 lines may be written by somebody else than nginx: in no incident
    note      1 line is no line of nginx's error log
    note      percentages are likelihoods from public threads with such a line, no
              proof: why502 on the host, or with a snapshot of it, proves one
    2 incidents, 1 confirmed
    ");
}

#[test]
fn quiet_is_a_line_for_each_incident() {
    let quiet = styled(&report(), 80, 0, true);
    insta::assert_snapshot!(anstream::adapter::strip_str(&quiet), @"
    502  connect-refused (111)  http://127.0.0.1:8000 (upstream shop)  ×1,240
         14:10:11 to 14:25:59  peer-port-mismatch
    ---  read-timeout (110)  a peer that the lines do not name  ×1  14:55:01
         not proven
    ");
}

#[test]
fn the_worst_twenty_are_told_unless_all_are_asked_for() {
    let report = LogReport {
        incidents: vec![nameless(); 23],
        ..report()
    };
    let told = |text: &str| text.matches("read-timeout").count();
    let few = shown(&report, 80);
    assert_eq!(told(&few), 20);
    assert!(few.contains("and 3 more incidents with 3 failed attempts: why502 logs -v"));
    assert_eq!(told(&styled(&report, 80, 1, false)), 23);
    assert_eq!(told(&styled(&report, 80, 0, true)), 23);
}

#[test]
fn nothing_is_no_table() {
    insta::assert_snapshot!(shown(&LogReport::default(), 80), @"
    read      0 files, 0 lines of error logs
    failures  0 upstream failures

    nothing was read that could tell
    ");
    let quiet_log = LogReport {
        incidents: Vec::new(),
        upstream_failures: 0,
        beyond: 0,
        interrupted: true,
        clients: Top::default(),
        urls: Top::default(),
        hosts: Top::default(),
        access: None,
        silences: Vec::new(),
        skipped: Vec::new(),
        ..report()
    };
    insta::assert_snapshot!(shown(&quiet_log, 80), @"
    read      2 files, 10,532 lines of error logs, 2026-06-23 14:00:02 to 14:59:58,
              by the logs' own clock
    failures  0 upstream failures
    partial   the reading was interrupted: what was not read by then counts nowhere,
              and every number may be too low

    note      2 lines may be written by somebody else than nginx: in no incident
    note      1 line is no line of nginx's error log
    no upstream failure in what was read
    ");
}

#[test]
fn what_was_met_and_counted_apart_is_said() {
    let quiet = shown(&report(), 120);
    let mut met = report();
    met.jumps = 1;
    let access = met.access.as_mut().unwrap();
    (access.unfit, access.beyond) = (2, 3);
    let told = shown(&met, 120);
    for text in [
        "went back by more than half an hour 1 time",
        "in no count: 2 lines",
        "more peers than are kept apart: 3 attempts",
    ] {
        assert!(told.contains(text) && !quiet.contains(text), "{told}");
    }
}
