//! The layers hold: no crate depends on one it must not know.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::run;

/// Which of our crates each may use. Data flows one way, so that what judges cannot look and
/// what looks cannot judge.
const MAY_USE: &[(&str, &[&str])] = &[
    ("why502-conf", &[]),
    ("why502-log", &[]),
    ("why502-facts", &[]),
    ("why502-host", &["why502-facts"]),
    (
        "why502-diagnose",
        &["why502-conf", "why502-log", "why502-facts"],
    ),
    // What a report shows is a diagnosis, whose parts are the vocabulary of those below.
    ("why502-report", &["why502-diagnose"]),
    (
        "why502",
        &[
            "why502-conf",
            "why502-log",
            "why502-facts",
            "why502-host",
            "why502-diagnose",
            "why502-report",
        ],
    ),
    // The lab knows the truth and must not know how a verdict is reached.
    ("why502-lab", &[]),
    // The causes' pages are written from the causes themselves.
    // The bench times the parser by itself.
    (
        "xtask",
        &[
            "why502-conf",
            "why502-diagnose",
            "why502-report",
            "why502-lab",
        ],
    ),
];

/// Crates that no I/O belongs in, and what would bring it there.
const PURE: &[&str] = &[
    "why502-conf",
    "why502-log",
    "why502-facts",
    "why502-diagnose",
    "why502-report",
];
const BRINGS_IO: &[&str] = &["rustix", "netlink-sys", "tempfile", "tokio"];

#[test]
fn each_crate_depends_only_on_those_below_it() {
    let found = dependencies();
    let known: Vec<_> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let mut ours: Vec<_> = found.keys().map(String::as_str).collect();
    ours.sort_by_key(|name| known.iter().position(|known| known == name));
    assert_eq!(ours, known, "a crate is missing from this table, or gone");
    for (name, allowed) in MAY_USE {
        for used in found[*name]
            .iter()
            .filter(|used| known.contains(&used.as_str()))
        {
            assert!(
                allowed.contains(&used.as_str()),
                "{name} must not use {used}"
            );
        }
    }
}

#[test]
fn pure_crates_have_no_dependency_that_does_io() {
    let found = dependencies();
    for name in PURE {
        for used in &found[*name] {
            assert!(
                !BRINGS_IO.contains(&used.as_str()),
                "{name} must not use {used}"
            );
        }
    }
}

/// Every member with what it depends on outside its tests.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(run::root());
    let output = cargo.output().unwrap();
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let used = |package: &Value| -> Vec<String> {
        let all = package["dependencies"].as_array().unwrap();
        all.iter()
            .filter(|used| used["kind"].is_null())
            .map(|used| text(used, "name"))
            .collect()
    };
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| (text(package, "name"), used(package)))
        .collect()
}
