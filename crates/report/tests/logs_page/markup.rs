//! The page as text: complete, closed, self-contained, harmless.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use diagnose::logs::LogReport;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use why502_report::text::visible;

use crate::fixture::{EVIL, page, report};

const SCRIPT: &str = "\n<script>";
const DATA: &str = "<script type=\"application/json\" id=\"data\">";

/// What stands between `open` and the next end of a script.
fn script<'a>(page: &'a str, open: &str) -> &'a str {
    let (_, rest) = page.split_once(open).unwrap();
    let (script, _) = rest.split_once("</script>").unwrap();
    script
}

#[test]
fn only_the_pages_own_script_may_run() {
    let page = page(&report());
    let hash = BASE64_STANDARD.encode(Sha256::digest(script(&page, SCRIPT)));
    let policy = format!("script-src 'sha256-{hash}'");
    assert!(
        page.contains(&policy),
        "the script has changed: POLICY in src/html/logs.rs must say sha256-{hash}"
    );
    assert!(page.contains("default-src 'none'"));
    assert!(!script(&page, SCRIPT).contains("innerHTML"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    for report in [report(), LogReport::default()] {
        // What the logs say themselves is text, and shown.
        let page = page(&report).replace("img src=x", "");
        for outside in [
            "<link", "<img", " src=", " href=", "@import", "url(", "fetch(",
        ] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}

#[test]
fn hostile_text_is_text() {
    let page = page(&report());
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<!--"));
    assert!(!page.contains("<img"));
    for line in page.lines() {
        assert_eq!(visible(line), line);
    }
}

#[test]
fn the_data_block_is_json_that_cannot_be_left() {
    let page = page(&report());
    let block = script(&page, DATA);
    assert!(!block.contains(['<', '>', '&', '\u{2028}', '\u{2029}', '\n']));
    let data: Value = serde_json::from_str(block).unwrap();
    let incidents = data["incidents"].as_array().unwrap();
    assert_eq!(incidents.len(), 6);
    assert_eq!(incidents[5]["peer"], visible(EVIL).as_ref());
    assert_eq!(data["classes"][0], "connect-refused");
    assert_eq!(data["step"], 60);
}

#[test]
fn what_the_logs_tell_stands_there_without_the_script() {
    let page = page(&report());
    let (before, _) = page.split_once(DATA).unwrap();
    for text in [
        "<title>why502 logs: ",
        " failed attempts, 6 incidents</title>",
        "2026/11/21 01:12:40 to 2026/11/21 23:59:41",
        "<dt>Clients</dt><dd>about 4,242</dd>",
        "<dt>Answered by 5xx</dt><dd>1.0 %</dd>",
        "Interrupted: what had been read until then is counted.",
        "12 failed attempts more came when too many incidents were kept already",
        "3 lines may have been written by somebody else than nginx",
        "9 lines left out",
        "</i>connect-refused <span class=\"faint\">errno 111 while connecting to upstream</span>",
        "http://127.0.0.1:8000 <span class=\"faint\">upstream shop</span>",
        "<b>peer-port-mismatch</b>, confirmed",
        "gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000",
        "<td>www.shop.example.com</td>",
        "<td>/report/monthly</td>",
        "<h3>What it may be</h3>",
        "<code>peer-not-listening</code>",
        "<td>198.51.100.7</td><td class=\"n\">912</td>",
        "each count may be too low by up to 17",
        "12,996 of 1,204,113 requests answered by 5xx: 1.0 %.",
        "<td>502</td><td class=\"n\">11,996</td><td class=\"n\">0.9 %</td>",
        "class=\"n\">9,000 (1.2 %)</td>",
        "class=\"n\">12 ms</td>",
        "class=\"n\">60.00 s</td>",
        "2026/11/21 17:05:00 to 2026/11/21 18:40:00, 1 h 35 min",
        "error, 31,337 lines, 8,211,402 bytes, 2026/11/21 01:12:40 to 2026/11/21 23:59:41",
    ] {
        assert!(before.contains(text), "{text} is not in\n{before}");
    }
}

#[test]
fn logs_without_a_failure_have_a_page() {
    let page = page(&LogReport::default());
    assert!(page.contains("0 failed attempts, 0 incidents"));
    assert!(page.contains("No failed attempt to get an answer from a peer."));
    assert!(!page.contains("<table"));
}

#[test]
fn every_element_is_closed_in_order() {
    let page = page(&report());
    let page = page.replace(script(&page, SCRIPT), "");
    let mut open = Vec::new();
    for tag in page
        .split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap())
    {
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "in {tag}"),
            None if name.starts_with('!') || matches!(name, "meta" | "input") => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}
