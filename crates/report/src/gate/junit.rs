//! JUnit's XML: a test case for each peer, and one for the configuration itself.

use std::io::{self, Write};

use diagnose::{Gate, GateOutcome, GatePeer};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{address, advice, belongs, cause, complaint};
use crate::text::visible;

/// Writes the report.
pub fn write(out: &mut dyn Write, gate: &Gate) -> io::Result<()> {
    let mut report = Report::new("why502 gate");
    let file = gate.config.as_ref().map(|path| path.display().to_string());
    let file = clean(file.as_deref().unwrap_or("nginx"));
    let mut suite = TestSuite::new(file.as_str());
    suite.add_test_case(configuration(gate, &file));
    for peer in &gate.peers {
        suite.add_test_case(case(peer, &file));
    }
    report.add_test_suite(suite);
    report.serialize(out).map_err(io::Error::other)
}

fn clean(text: &str) -> String {
    visible(text).into_owned()
}

fn configuration(gate: &Gate, file: &str) -> TestCase {
    let status = match gate.troubles.first() {
        None => TestCaseStatus::success(),
        Some(first) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(clean(&first.text));
            status.set_type("configuration");
            let lines: Vec<String> = gate
                .troubles
                .iter()
                .map(|trouble| {
                    let place = format!("{}:{}", trouble.file.display(), trouble.line);
                    clean(&format!("{place}: {}", trouble.text))
                })
                .collect();
            status.set_description(lines.join("\n"));
            status
        }
    };
    let mut case = TestCase::new("configuration", status);
    case.set_classname(file);
    case
}

fn case(peer: &GatePeer, file: &str) -> TestCase {
    let status = match peer.outcome {
        GateOutcome::Ready => TestCaseStatus::success(),
        GateOutcome::Failing if peer.is_refused() => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(clean(&complaint(peer)));
            status.set_type(cause(peer).map_or("failing", |(id, ..)| id));
            let mut lines = place(peer);
            lines.extend(advice(peer).iter().map(|line| clean(line)));
            status.set_description(lines.join("\n"));
            status
        }
        GateOutcome::Failing | GateOutcome::Unclear | GateOutcome::NotTried => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(clean(&peer.says));
            status
        }
    };
    let belongs = belongs(peer);
    let name = if belongs.is_empty() {
        address(peer)
    } else {
        format!("{} ({belongs})", address(peer))
    };
    let mut case = TestCase::new(clean(&name), status);
    case.set_classname(file);
    if let Some(took) = peer.took {
        case.set_time(took);
    }
    case
}

fn place(peer: &GatePeer) -> Vec<String> {
    let directive = peer.directive.as_ref().map(|span| {
        clean(&format!(
            "{}:{}: {}",
            span.file.display(),
            span.line,
            span.text.trim()
        ))
    });
    let tried = peer
        .tried
        .iter()
        .map(|tried| clean(&format!("tried: {tried}")));
    directive.into_iter().chain(tried).collect()
}
