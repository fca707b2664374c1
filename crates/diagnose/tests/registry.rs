//! The list of causes is in order, and each cause's page has the shape that the docs, `explain` and the HTML rely on.

use std::collections::BTreeSet;
use std::path::Path;

use why502_diagnose::causes::{ALL, by_id};

/// The headings that a page may have, in their order; the first three it must.
const HEADINGS: [&str; 6] = [
    "## Confirmed when",
    "## Ruled out when",
    "## Fix",
    "## Looks like",
    "## Example",
    "## See also",
];

#[test]
fn the_set_of_ids_is_pinned() {
    let ids: Vec<&str> = ALL.iter().map(|cause| cause.id).collect();
    insta::assert_snapshot!(ids.join("\n"), @"
    accept-queue-full
    apparmor-denies-connect
    application-answered-5xx
    application-crashed
    application-fatal-error
    application-killed-oom
    application-rejects-request
    application-restarted
    application-slow
    application-worker-timeout
    firewall-drops-connect
    firewall-rejects-connect
    fpm-children-exhausted
    keepalive-connection-stale
    nginx-not-running
    nginx-out-of-file-descriptors
    nginx-out-of-local-ports
    nginx-out-of-worker-connections
    nginx-sandboxed
    nginx-temp-path-unwritable
    no-live-peers
    not-an-upstream-fault
    peer-address-mismatch
    peer-family-mismatch
    peer-in-other-netns
    peer-not-listening
    peer-port-mismatch
    peer-speaks-other-protocol
    peer-transport-mismatch
    peer-unreachable
    resolver-missing
    response-header-invalid
    response-header-too-big
    response-truncated
    running-config-outdated
    selinux-denies-connect
    selinux-denies-socket
    socket-acl-denied
    socket-hidden-by-namespace
    socket-missing
    socket-path-mismatch
    socket-permission-denied
    socket-stale
    upstream-address-outdated
    upstream-certificate-rejected
    upstream-name-unresolvable
    upstream-sni-missing
    upstream-tls-handshake-fails
    ");
}

#[test]
fn ids_are_unique_and_sorted() {
    assert!(ALL.is_sorted_by(|one, next| one.id < next.id));
}

#[test]
fn an_id_is_lower_case_words_and_names_no_error() {
    for cause in ALL {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(cause.id.bytes().all(is_plain), "{}", cause.id);
        // Programs call it so themselves.
        let words = cause.id.strip_suffix("-fatal-error").unwrap_or(cause.id);
        for word in words.split('-') {
            assert!(
                !["", "error", "issue", "502", "504"].contains(&word),
                "{}",
                cause.id
            );
        }
    }
}

#[test]
fn a_file_is_named_by_its_id() {
    for cause in ALL {
        let stem = Path::new(cause.file).file_stem().unwrap().to_str().unwrap();
        assert_eq!(stem, cause.id.replace('-', "_"));
    }
}

#[test]
fn a_cause_is_found_by_its_id() {
    for cause in ALL {
        assert_eq!(by_id(cause.id), Some(*cause));
    }
    assert_eq!(by_id("no-such-cause"), None);
}

#[test]
fn a_cause_refines_others_that_exist_and_never_itself() {
    for cause in ALL {
        let mut above = BTreeSet::new();
        let mut next = cause.refines.to_vec();
        while let Some(id) = next.pop() {
            let coarser =
                by_id(id).unwrap_or_else(|| panic!("{} refines {id}, which is no cause", cause.id));
            assert_ne!(id, cause.id, "{} refines itself", cause.id);
            if above.insert(id) {
                next.extend(coarser.refines);
            }
        }
    }
}

#[test]
fn a_page_begins_with_one_sentence() {
    for cause in ALL {
        let page = cause.page();
        let mut lines = page.lines();
        assert_eq!(lines.next(), Some(cause.title()), "{}", cause.id);
        assert_eq!(
            lines.next(),
            Some(""),
            "{}: the sentence stands alone",
            cause.id
        );
        assert!(cause.title().ends_with('.'), "{}", cause.id);
        assert_eq!(cause.title().matches(". ").count(), 0, "{}", cause.id);
        assert!(
            cause.title().starts_with(
                |first: char| !first.is_lowercase() || cause.title().starts_with("nginx")
            ),
            "{}",
            cause.id
        );
    }
}

#[test]
fn a_page_has_its_headings_in_order_and_text_under_each() {
    for cause in ALL {
        let page = cause.page();
        let found: Vec<&str> = page.lines().filter(|line| line.starts_with('#')).collect();
        let places: Vec<usize> = found
            .iter()
            .map(|heading| {
                let place = HEADINGS.iter().position(|known| known == heading);
                place.unwrap_or_else(|| panic!("{}: {heading} is no heading", cause.id))
            })
            .collect();
        assert!(
            places.is_sorted_by(|one, next| one < next),
            "{}: {found:?}",
            cause.id
        );
        assert!(found.starts_with(&HEADINGS[..3]), "{}: {found:?}", cause.id);
        for section in page.split("## ").skip(1) {
            let text = section.split_once('\n').map_or("", |(_, text)| text);
            assert!(
                !text.trim().is_empty(),
                "{}: nothing stands under {section:?}",
                cause.id
            );
        }
    }
}

#[test]
fn a_cause_with_a_fix_says_how_safe_it_is() {
    for cause in ALL {
        let page = cause.page();
        let fix = page
            .split("## ")
            .find_map(|section| section.strip_prefix("Fix\n"))
            .unwrap();
        let says = ["Safe", "Unsafe", "Shown only", "None"];
        assert!(
            says.iter().any(|word| fix.contains(word)),
            "{}: {fix}",
            cause.id
        );
    }
}

#[test]
fn every_cause_came_with_a_version() {
    for cause in ALL {
        let parts: Vec<u32> = cause
            .since
            .split('.')
            .map(|part| part.parse().unwrap())
            .collect();
        assert_eq!(parts.len(), 3, "{}", cause.id);
    }
}
