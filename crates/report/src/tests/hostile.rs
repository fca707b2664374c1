//! Text that an attacker chose, wherever text can stand.

use proptest::prelude::*;

use super::html::page;
use super::*;
use crate::json::{self, Source};
use crate::term::{self, Style};

pub(super) const EVIL: &str = "\x1b]0;owned\x07\r\n502 all is well\u{9b}2J</script><b onclick='x'>\u{202e}\u{2066}\u{200b}\u{feff}\"&amp;\t\0";

/// A report in which every text is `text`.
fn filled(text: &str, mark: std::ops::Range<usize>) -> Diagnosis {
    let span = ConfSpan {
        file: PathBuf::from(text),
        line: 3,
        column: 1,
        source: text.to_owned(),
        text: text.to_owned(),
        mark,
        label: Some(text.to_owned()),
    };
    let gap = Gap::new(GapKind::Denied, text.to_owned(), text.to_owned())
        .learn(text.to_owned())
        .leaning(text.to_owned());
    let proof = Proof::new(Exhibit::Log {
        at: Some(at("2026-06-23T14:02:11Z")),
        text: text.to_owned(),
        count: 2,
    })
    .and(Exhibit::Config(span.clone()))
    .and(Exhibit::Record {
        probe: "sockets",
        at: None,
        text: text.to_owned(),
    });
    let confirmation = Confirmation {
        summary: text.to_owned(),
        proof: proof.clone(),
        fixes: vec![Fix {
            summary: text.to_owned(),
            safety: Safety::Safe,
            steps: vec![
                Step::Edit {
                    file: PathBuf::from(text),
                    line: 1,
                    old: text.to_owned(),
                    new: text.to_owned(),
                },
                Step::Command {
                    argv: vec![text.to_owned(), text.to_owned()],
                },
                Step::Advice {
                    text: text.to_owned(),
                },
            ],
            verify: Some(text.to_owned()),
        }],
    };
    let incident = Incident {
        id: text.to_owned(),
        peer: text.to_owned(),
        upstream: Some(format!("{text}!")),
        servers: vec![text.to_owned()],
        paths: std::collections::BTreeSet::new(),
        sample: text.to_owned(),
        last_writer: None,
        explained: false,
        ..incident("", "127.0.0.1:1")
    };
    let confirmed = Judged {
        cause: Some(cause("peer-port-mismatch")),
        causes: vec![
            confirmed("peer-port-mismatch", confirmation.clone()),
            confirmed("peer-not-listening", confirmation.clone()),
            confirmed("socket-stale", confirmation),
            unknown("peer-address-mismatch", gap.clone()),
            ruled_out("peer-family-mismatch", proof),
        ],
        directive: Some(span.clone()),
        ..judged(incident.clone())
    };
    let open = Judged {
        causes: vec![unknown("peer-address-mismatch", gap.clone())],
        by_line: None,
        known: Vec::new(),
        hints: vec![text.to_owned()],
        directive: Some(span),
        ..judged(incident)
    };
    let instance = InstanceSummary {
        pid: None,
        master: None,
        version: Some(text.to_owned()),
        config: PathBuf::from(text),
        running_config: RunningConfig::Outdated,
        error_logs: vec![PathBuf::from(text)],
    };
    let hop = Hop {
        to: text.to_owned(),
        outcome: text.to_owned(),
        status: Some(502),
    };
    let asked = Asked {
        url: text.to_owned(),
        at: None,
        through: Some(hop.clone()),
        logged: vec![Logged {
            incident: text.to_owned(),
            status: None,
            text: text.to_owned(),
        }],
        straight: vec![hop],
        left_out: vec![text.to_owned()],
        says: vec![text.to_owned()],
        gaps: vec![gap.clone()],
    };
    Diagnosis {
        asked: Some(asked),
        hostname: Some(text.to_owned()),
        instances: vec![instance.clone(), instance],
        gaps: vec![gap],
        ..diagnosis(vec![confirmed.clone(), open.clone(), confirmed, open])
    }
}

fn at_terminal(diagnosis: &Diagnosis, style: Style) -> String {
    let mut out = Vec::new();
    term::write(&mut out, diagnosis, &style).unwrap();
    String::from_utf8(out).unwrap()
}

/// Takes our own colours away, and nothing else: `ESC [ digits and semicolons m`.
pub(super) fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        let end = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = end
            .strip_prefix('m')
            .expect("an escape sequence is a colour");
    }
    plain.push_str(rest);
    plain
}

pub(super) fn deceives(c: char) -> bool {
    c != '\n' && crate::text::deceives(c)
}

fn as_json(diagnosis: &Diagnosis) -> String {
    let mut out = Vec::new();
    json::write(&mut out, diagnosis, Source::Live).unwrap();
    String::from_utf8(out).unwrap()
}

fn harmless_everywhere(text: &str, mark: std::ops::Range<usize>) {
    let diagnosis = filled(text, mark);
    for (width, verbose, quiet) in [
        (80, 0, false),
        (80, 1, false),
        (200, 0, true),
        (0, 0, false),
    ] {
        let shown = at_terminal(
            &diagnosis,
            Style {
                width,
                verbose,
                quiet,
            },
        );
        let plain = without_colours(&shown);
        assert!(!plain.contains(deceives), "{plain:?}");
    }
    let page = page(&diagnosis);
    assert!(!page.contains(deceives), "{page:?}");
    let json = as_json(&diagnosis);
    assert!(!json.contains(deceives), "{json:?}");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        value["incidents"][0]["sample"], text,
        "JSON keeps what the log says"
    );
}

#[test]
fn hostile_text_is_spelled_out() {
    harmless_everywhere(EVIL, 0..4);
    let shown = without_colours(&at_terminal(
        &filled(EVIL, 0..4),
        Style {
            width: 80,
            verbose: 1,
            quiet: false,
        },
    ));
    assert!(
        !shown
            .lines()
            .any(|line| line.starts_with("502 all is well"))
    );
    assert!(shown.contains(r"\x1b]0;owned\x07\x0d\x0a502"));
}

#[test]
fn no_markup_of_others_reaches_the_page() {
    // With the same number of our own elements, whatever the text says.
    let tags = |text: &str| page(&filled(text, 0..1)).matches('<').count();
    assert_eq!(tags("</script><b onclick=x>\"'&<!--"), tags("plain"));
    assert!(page(&filled("<b>&", 0..1)).contains("&lt;b&gt;&amp;"));
}

#[test]
fn a_mark_that_does_not_fit_its_source_breaks_nothing() {
    let text = "näïve";
    for mark in [
        0..100,
        2..3,
        5..5,
        100..200,
        std::ops::Range { start: 4, end: 1 },
    ] {
        harmless_everywhere(text, mark);
    }
}

#[test]
fn a_line_of_any_length_is_shortened_in_the_middle() {
    let long = format!("connect() failed {}the end", "A".repeat(2000));
    let shown = without_colours(&at_terminal(
        &filled(&long, 0..1),
        Style {
            width: 80,
            verbose: 0,
            quiet: false,
        },
    ));
    let seen = shown
        .split("proof")
        .nth(1)
        .unwrap()
        .split("fix")
        .next()
        .unwrap();
    assert!(seen.contains('…') && seen.contains("the end"), "{seen}");
    assert!(as_json(&filled(&long, 0..1)).contains(&long));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_text_reaches_a_reader_raw(text in "\\PC*|(?s).{0,80}", start in 0_usize..90, length in 0_usize..20) {
        harmless_everywhere(&text, start..start + length);
    }
}
