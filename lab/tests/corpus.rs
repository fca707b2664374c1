//! Every case of the corpus is judged as it was recorded, and never falsely; all together they tell every cause from
//! its look-alikes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use why502_lab::corpus;
use why502_lab::scenarios::SCENARIOS;

/// A kind of incident that the corpus has not of a cause, and why. One that is no longer needed fails the test.
const UNCOVERED: &[(&str, &str, &str)] = &[
    ("application-answered-5xx", UNKNOWN, BY_THE_LOG_ALONE),
    ("not-an-upstream-fault", UNKNOWN, BY_THE_LOG_ALONE),
    ("selinux-denies-connect", UNKNOWN, WITH_A_POLICY),
    ("application-answered-5xx", RULED_OUT, BY_ITS_WORDS),
    ("application-rejects-request", RULED_OUT, BY_ITS_WORDS),
    ("application-slow", RULED_OUT, BY_ITS_WORDS),
    ("nginx-not-running", RULED_OUT, BY_ITS_WORDS),
    ("nginx-out-of-file-descriptors", RULED_OUT, BY_ITS_WORDS),
    ("nginx-out-of-local-ports", RULED_OUT, BY_ITS_WORDS),
    ("nginx-out-of-worker-connections", RULED_OUT, BY_ITS_WORDS),
    ("nginx-temp-path-unwritable", RULED_OUT, BY_ITS_WORDS),
    ("no-live-peers", RULED_OUT, BY_ITS_WORDS),
    ("not-an-upstream-fault", RULED_OUT, BY_ITS_WORDS),
    ("resolver-missing", RULED_OUT, BY_ITS_WORDS),
    ("response-header-invalid", RULED_OUT, BY_ITS_WORDS),
    ("response-header-too-big", RULED_OUT, BY_ITS_WORDS),
    ("socket-missing", RULED_OUT, BY_ITS_WORDS),
    ("upstream-certificate-rejected", RULED_OUT, BY_ITS_WORDS),
    ("upstream-name-unresolvable", RULED_OUT, BY_ITS_WORDS),
    ("upstream-tls-handshake-fails", RULED_OUT, BY_ITS_WORDS),
];
const UNKNOWN: &str = "unknown where it was true";
const RULED_OUT: &str = "ruled out of the words that it has";
const BY_THE_LOG_ALONE: &str = "nginx's own line says it or says otherwise: nothing else is asked";
const WITH_A_POLICY: &str = "its scenario is asked without root too, but who may not read audit's log reads the policy, and one such case is kept";
const BY_ITS_WORDS: &str =
    "nginx's words alone rule it out: where it logs them, it is so or unknown";

/// A look-alike that the corpus lacks, and why. One that is no longer needed fails the test.
const LACKING: &[(&str, &str, &str)] = &[(
    "2: No such file or directory",
    "peer-transport-mismatch",
    "an application of no unit that listens on TCP: its name proves nothing, and the coarser cause is answered",
)];

#[test]
fn every_case_is_judged_as_recorded_and_every_cause_told_from_its_look_alikes() -> Result<()> {
    let cases = corpus::judge_all(&root().join("corpus"))?;
    ensure!(!cases.is_empty(), "the corpus is empty");
    let wrong = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, case.wrong.as_ref()?)));
    let mut wrong: Vec<String> = wrong.collect();

    wrong.extend(corpus::faults(&cases));
    wrong.extend(unlike("has no", corpus::lacking(&cases), LACKING));
    let causes = causes()?;
    wrong.extend(unlike(
        "is nowhere",
        corpus::uncovered(&cases, &causes),
        UNCOVERED,
    ));

    let written = fs::read_to_string(root().join("docs/accuracy.md")).unwrap_or_default();
    if written != corpus::page(&cases) {
        wrong.push("docs/accuracy.md is out of date: cargo xtask accuracy --corpus".to_owned());
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn every_scenario_has_a_case() -> Result<()> {
    let corpus = root().join("corpus");
    let names = SCENARIOS.iter().flat_map(|(cause, scenarios)| {
        scenarios
            .iter()
            .map(move |scenario| format!("{}/{scenario}", cause.replace('_', "-")))
    });
    let lacking: Vec<String> = names
        .filter(|name| !corpus.join(format!("{name}.snapshot")).exists())
        .collect();
    ensure!(
        lacking.is_empty(),
        "not in the corpus, cargo xtask corpus records it:\n{}",
        lacking.join("\n")
    );
    Ok(())
}

/// What is found and not excused, and what is excused and not found.
fn unlike(what: &str, found: Vec<(&str, &str)>, excused: &[(&str, &str, &str)]) -> Vec<String> {
    let found: BTreeSet<(&str, &str)> = found.into_iter().collect();
    let excused: BTreeSet<(&str, &str)> = excused
        .iter()
        .map(|&(one, other, _)| (one, other))
        .collect();
    let lacking = found.difference(&excused);
    let lacking = lacking.map(|(one, other)| format!("{one} {what} {other}"));
    let needless = excused.difference(&found);
    let needless = needless
        .map(|(one, other)| format!("remove the excuse, no longer so: {one} {what} {other}"));
    lacking.chain(needless).collect()
}

/// Every cause, by its page.
fn causes() -> Result<Vec<String>> {
    let folder = root().join("docs/causes");
    let mut causes = Vec::new();
    for page in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let name = page?.path();
        let name = name.file_stem().unwrap_or_default().to_string_lossy();
        if name != "README" {
            causes.push(name.into_owned());
        }
    }
    causes.sort();
    Ok(causes)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
