//! The list of lints is in order, and each lint's page has the shape that the docs and `explain` rely on.

use std::path::Path;

use why502_diagnose::causes;
use why502_diagnose::lints::{ALL, by_id};

/// The headings that a page may have, in their order; the first three it must.
const HEADINGS: [&str; 5] = [
    "## Found when",
    "## Silent when",
    "## Fix",
    "## Example",
    "## See also",
];

#[test]
fn the_set_of_ids_is_pinned() {
    let ids: Vec<&str> = ALL.iter().map(|lint| lint.id).collect();
    insta::assert_snapshot!(ids.join("\n"), @"
    config-refused
    error-log-hides-errors
    header-buffer-small
    header-inheritance-lost
    ignore-without-reason
    keepalive-connection-header-kept
    keepalive-without-http11
    localhost-in-proxy-pass
    name-resolved-once
    non-idempotent-retry
    peer-not-listening-now
    php-socket-mismatch
    port-claimed-twice
    selinux-not-provisioned
    timeout-chain-inverted
    timeout-missing-or-extreme
    unresolvable-name
    variable-without-resolver
    ");
}

#[test]
fn ids_are_sorted_found_and_no_cause() {
    assert!(ALL.is_sorted_by(|one, next| one.id < next.id));
    for lint in ALL {
        assert_eq!(by_id(lint.id), Some(*lint));
        // `explain` takes both by their ids.
        assert_eq!(causes::by_id(lint.id), None, "{}", lint.id);
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(lint.id.bytes().all(is_plain), "{}", lint.id);
    }
    assert_eq!(by_id("no-such-lint"), None);
}

#[test]
fn a_file_is_named_by_its_id() {
    for lint in ALL {
        let stem = Path::new(lint.file).file_stem().unwrap().to_str().unwrap();
        assert_eq!(stem, lint.id.replace('-', "_"));
    }
}

#[test]
fn a_page_begins_with_one_sentence_and_has_its_headings() {
    for lint in ALL {
        let page = lint.page();
        let mut lines = page.lines();
        assert_eq!(lines.next(), Some(lint.title()), "{}", lint.id);
        assert_eq!(
            lines.next(),
            Some(""),
            "{}: the sentence stands alone",
            lint.id
        );
        assert!(lint.title().ends_with('.'), "{}", lint.id);
        let found: Vec<&str> = page.lines().filter(|line| line.starts_with('#')).collect();
        let places: Vec<usize> = found
            .iter()
            .map(|heading| {
                let place = HEADINGS.iter().position(|known| known == heading);
                place.unwrap_or_else(|| panic!("{}: {heading} is no heading", lint.id))
            })
            .collect();
        assert!(
            places.is_sorted_by(|one, next| one < next),
            "{}: {found:?}",
            lint.id
        );
        assert!(found.starts_with(&HEADINGS[..3]), "{}: {found:?}", lint.id);
    }
}

#[test]
fn a_page_says_how_safe_its_fix_is() {
    for lint in ALL {
        let page = lint.page();
        let fix = page
            .split("## ")
            .find_map(|section| section.strip_prefix("Fix\n"))
            .unwrap();
        let says = ["Safe", "Unsafe", "None is made"];
        assert!(
            says.iter().any(|word| fix.contains(word)),
            "{}: {fix}",
            lint.id
        );
    }
}

#[test]
fn every_lint_came_with_a_version() {
    for lint in ALL {
        let parts: Vec<u32> = lint
            .since
            .split('.')
            .map(|part| part.parse().unwrap())
            .collect();
        assert_eq!(parts.len(), 3, "{}", lint.id);
    }
}
