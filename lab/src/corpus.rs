//! The corpus: captures of scenarios, each with what was true and what is answered.
//!
//! A case is `corpus/CAUSE/CASE.snapshot` with `CASE.json` beside it. `cargo xtask corpus` records them; a test judges
//! every one. What was true is the scenario's word, so a recorded answer never defines it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::verdict::{Answer, Expectation, causes, flag, text};

/// Keeps a capture as a case where `WHY502_LAB_CORPUS` names a folder, under the scenario's name.
pub(crate) fn keep(capture: &Path, answer: &Answer, expected: &[Expectation]) -> Result<()> {
    let Some(folder) = std::env::var_os("WHY502_LAB_CORPUS") else {
        return Ok(());
    };
    if tells_of_the_kernel(capture)? {
        return Ok(());
    }
    // The test's own name, which the runner gives to its thread: `cause::scenario`.
    let thread = thread::current();
    let test = std::env::args().skip_while(|arg| arg != "--exact").nth(1);
    let test = test
        .or_else(|| thread.name().map(str::to_owned))
        .context("no name of a test")?;
    let (cause, case) = test.split_once("::").context("no name of a scenario")?;
    let folder = PathBuf::from(folder).join(cause.replace('_', "-"));
    fs::create_dir_all(&folder).context("make a folder of the corpus")?;
    let snapshot = folder.join(format!("{case}.snapshot"));
    fs::copy(capture, &snapshot).context("copy a capture")?;
    let truth = answer.incidents().into_iter().map(|incident| {
        let truth = expected.iter().find(|truth| truth.is_of(incident));
        truth.map(Expectation::true_causes).unwrap_or_default()
    });
    let incidents: Vec<Value> = answer
        .incidents()
        .into_iter()
        .zip(truth)
        .map(|(incident, truth)| {
            let mut said = said(incident);
            if let Some(said) = said.as_object_mut() {
                said.insert("true".to_owned(), json!(truth));
            }
            said
        })
        .collect();
    let text = serde_json::to_string_pretty(&json!({"exit": answer.exit, "incidents": incidents}))?;
    fs::write(snapshot.with_extension("json"), text + "\n").context("write what is expected")
}

/// Judges a case, and holds the answer against what was true and what was answered when it was recorded.
///
/// # Errors
/// When the answer is another, or names a cause that was not so.
pub fn check(snapshot: &Path) -> Result<()> {
    let expected =
        fs::read_to_string(snapshot.with_extension("json")).context("read what is expected")?;
    let expected: Value = serde_json::from_str(&expected).context("read what is expected")?;
    let answer = Answer::of_snapshot(snapshot)?;
    let wanted = list(&expected);
    ensure!(
        answer.incidents().len() == wanted.len(),
        "{} incidents where {} were recorded",
        answer.incidents().len(),
        wanted.len()
    );
    for (incident, wanted) in answer.incidents().into_iter().zip(wanted) {
        let truth: Vec<&str> = wanted
            .get("true")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for cause in causes(incident, "confirmed").keys() {
            ensure!(
                truth.contains(&cause.as_str()),
                "{cause} is confirmed, and was not so"
            );
        }
        // What could not be proven then may be proven now: that it is true stands above.
        if wanted.get("cause").is_some_and(Value::is_null) && !truth.is_empty() {
            continue;
        }
        let mut recorded = wanted.clone();
        if let Some(fields) = recorded.as_object_mut() {
            fields.remove("true");
        }
        let said = said(incident);
        ensure!(
            said == recorded,
            "the answer is another\nrecorded {recorded:#}\nnow      {said:#}"
        );
    }
    let is_open = |incident: &&Value| incident.get("cause").is_some_and(Value::is_null);
    ensure!(
        list(&expected).iter().any(is_open)
            || json!(answer.exit) == expected.get("exit").cloned().unwrap_or_default(),
        "the exit code is {:?}",
        answer.exit
    );
    Ok(())
}

/// Every case's snapshot, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub fn cases(corpus: &Path) -> Result<Vec<PathBuf>> {
    let mut cases = Vec::new();
    for folder in fs::read_dir(corpus).with_context(|| format!("read {}", corpus.display()))? {
        let folder = folder?.path();
        if folder.is_dir() {
            for file in fs::read_dir(folder)? {
                cases.push(file?.path());
            }
        }
    }
    cases.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "snapshot")
    });
    cases.sort();
    Ok(cases)
}

/// Whether a capture tells of the kernel that it was recorded on: its log, or its release, which uwsgi writes into its
/// own log. No namespace hides either.
fn tells_of_the_kernel(capture: &Path) -> Result<bool> {
    let archive = fs::File::open(capture).context("open a capture")?;
    let bytes = zstd::decode_all(archive).context("unpack a capture")?;
    let text = String::from_utf8_lossy(&bytes);
    let release =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("read the kernel's release")?;
    let answer = text.split_once("\"command dmesg\"");
    let log = answer.is_some_and(|(_, rest)| {
        rest.chars()
            .take(400)
            .collect::<String>()
            .contains("-command-stdout")
    });
    Ok(log || text.contains(release.trim()))
}

fn list(expected: &Value) -> Vec<&Value> {
    let incidents = expected.get("incidents").and_then(Value::as_array);
    incidents.into_iter().flatten().collect()
}

/// What is held of an answer: new causes and better words change none of it.
fn said(incident: &Value) -> Value {
    let confirmed: Vec<String> = causes(incident, "confirmed").into_keys().collect();
    json!({
        "peer": text(incident, "peer"),
        "failure": text(incident, "failure"),
        "outcome": text(incident, "outcome"),
        "cause": incident.get("cause").cloned().unwrap_or_default(),
        "confirmed": confirmed,
        "ongoing": flag(incident, "ongoing"),
    })
}
