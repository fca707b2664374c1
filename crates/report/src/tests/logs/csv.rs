//! The table for spreadsheets.

use super::*;

#[test]
fn csv_is_a_row_for_each_incident_and_step() {
    let mut report = report();
    report.incidents[0].timeline.truncate(2);
    insta::assert_snapshot!(as_csv(&report), @"
    peer,upstream,protocol,failure,errno,while,status,servers,time,count
    127.0.0.1:8000,shop,http,connect-refused,111,connecting to upstream,502,shop.example.com api.example.com www.example.com old.example.com,2026-06-23T14:10:00,10
    127.0.0.1:8000,shop,http,connect-refused,111,connecting to upstream,502,shop.example.com api.example.com www.example.com old.example.com,2026-06-23T14:11:00,12
    -,,,read-timeout,110,,,,2026-06-23T14:55:00,1
    ");
    assert_eq!(as_csv(&LogReport::default()).lines().count(), 1);
}

#[test]
fn hostile_text_in_csv() {
    let evil = "=HYPERLINK(\"http://x\",1)\r\n\x1b[2J";
    let mut report = LogReport {
        incidents: vec![refused()],
        ..report()
    };
    report.incidents[0].timeline.truncate(1);
    report.incidents[0].peer = evil.to_owned();
    report.incidents[0].upstream = Some("a,\"b\"\u{202e}".to_owned());
    report.incidents[0].servers = counts(&[("@x", 1), ("y", 1)]);
    insta::assert_snapshot!(as_csv(&report), @r#"
    peer,upstream,protocol,failure,errno,while,status,servers,time,count
    "'=HYPERLINK(""http://x"",1)\x0d\x0a\x1b[2J","a,""b""\u{202e}",http,connect-refused,111,connecting to upstream,502,'@x y,2026-06-23T14:10:00,10
    "#);
}
