//! Tests that read as specifications: a configuration or a host in one string, and what a lint says of it.

use std::fmt::Write as _;

use super::{Finding, LintOptions, LintReport, Place};
use crate::fixture::Fixture;
use crate::verdict::Safety;

/// What the lints find on the host of a fixture, given in parts. A text without sections is the configuration of an nginx
/// that runs.
pub(crate) fn report<const N: usize>(parts: [&str; N]) -> LintReport {
    let text = parts.concat();
    if text.contains("//- ") {
        Fixture::parse(&text).lint(&LintOptions::default())
    } else {
        let text = format!(
            "//- nginx\n//- file /etc/nginx/nginx.conf\n{}",
            text.trim_start_matches('\n')
        );
        Fixture::parse(&text).lint(&LintOptions::default())
    }
}

/// What one lint finds there.
pub(crate) fn found<const N: usize>(id: &str, parts: [&str; N]) -> String {
    assert!(super::by_id(id).is_some(), "{id} is no lint");
    let report = report(parts);
    let of_it = report
        .findings
        .iter()
        .filter(|finding| finding.lint.id == id);
    let mut text: Vec<String> = of_it.map(|finding| told(&report, finding)).collect();
    let gaps = report.not_looked.iter().filter(|told| told.lint.id == id);
    text.extend(gaps.map(|told| format!("not looked at: {}: {}", told.gap.missing, told.gap.why)));
    text.join("\n")
}

/// That it finds nothing there, and could look.
#[track_caller]
pub(crate) fn silent<const N: usize>(id: &str, parts: [&str; N]) {
    assert_eq!(found(id, parts), "");
}

fn told(report: &LintReport, finding: &Finding) -> String {
    let place = Place::of(&finding.span);
    let marked = finding
        .span
        .source
        .get(finding.span.mark.clone())
        .unwrap_or("?");
    let label = finding.span.label.as_deref().unwrap_or("");
    let mut text = format!(
        "{}:{}: {}: {}\n  `{marked}` {label}",
        place.line,
        place.column,
        finding.severity.as_str(),
        finding.reason
    );
    for span in &finding.chain {
        let label = span.label.as_deref().unwrap_or("");
        write!(text, "\n  - line {}: `{}` {label}", span.line, span.text).unwrap();
    }
    let Some(mend) = &finding.mend else {
        return text;
    };
    let safety = match mend.safety {
        Safety::Safe => "safe",
        Safety::Unsafe => "unsafe",
        Safety::DisplayOnly => "shown",
    };
    write!(text, "\n  {safety}: {}", mend.summary).unwrap();
    for (path, edit) in &mend.edits {
        let tree = report.tree(path).expect("a file that was read");
        let new = tree
            .edited(std::slice::from_ref(edit))
            .expect("an edit that can be made");
        let new = String::from_utf8(new).expect("a test's text");
        let old: Vec<String> = tree.to_string().lines().map(str::to_owned).collect();
        let changed = new
            .lines()
            .filter(|line| !old.iter().any(|same| same == line));
        for line in changed {
            write!(text, "\n    + {}", line.trim()).unwrap();
        }
    }
    text
}

#[test]
fn a_comment_with_a_reason_takes_a_finding_away() {
    let report = report(["
        events {} # why502: ignore[keepalive-without-http11] nothing is here
        http { server {
            # why502: ignore[localhost-in-proxy-pass] the host has no IPv6
            location / { proxy_pass http://localhost:8000; }
            location /b { proxy_pass http://localhost:8001; } # why502: ignore[localhost-in-proxy-pass]
        } }
    "]);
    let lines = |findings: Vec<&Finding>| -> Vec<(&str, usize)> {
        findings
            .iter()
            .map(|finding| (finding.lint.id, finding.span.line))
            .collect()
    };
    assert_eq!(
        lines(
            report
                .ignored
                .iter()
                .map(|ignored| &ignored.finding)
                .collect()
        ),
        [("localhost-in-proxy-pass", 4)]
    );
    assert_eq!(report.ignored[0].reason, "the host has no IPv6");
    let of_text = report
        .findings
        .iter()
        .filter(|finding| finding.lint.id != "peer-not-listening-now");
    assert_eq!(
        lines(of_text.collect()),
        [("localhost-in-proxy-pass", 5), ("ignore-without-reason", 5)]
    );
    assert_eq!(
        report
            .unused
            .iter()
            .map(|span| span.line)
            .collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn what_is_changed_in_a_shared_snippet_is_changed_everywhere_and_so_never_unasked() {
    let host = |includes: &str| {
        let conf = format!(
            "//- nginx
            //- file /etc/nginx/nginx.conf
            http {{
                upstream shop {{ server 10.0.0.1:8000; keepalive 16; }}
                server {{ {includes} }}
            }}
            //- file /etc/nginx/proxy
            proxy_set_header Host $host;
            proxy_http_version 1.1;
            proxy_pass http://shop;
            "
        );
        let report = report([&conf]);
        let of_header = report
            .findings
            .iter()
            .find(|finding| finding.lint.id == "keepalive-connection-header-kept");
        of_header.unwrap().mend.as_ref().unwrap().safety
    };
    let once = "location / { include proxy; }";
    let twice = "location / { include proxy; } location /b { include proxy; }";
    assert_eq!(host(once), Safety::Safe);
    assert_eq!(host(twice), Safety::Unsafe);
}
