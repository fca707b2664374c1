//! The corpus: captures of scenarios, each with what was true and what is answered.
//!
//! A case is `corpus/CAUSE/CASE.snapshot` with `CASE.json` beside it. `cargo xtask corpus` records them; tests judge
//! every one, each by itself and all together. What was true is the scenario's word, so a recorded answer never
//! defines it.

mod keep;
mod lookalikes;
mod scrub;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::verdict::{Answer, causes, flag, strings, text};

pub(crate) use keep::{Keep, keep};
pub use tables::{faults, lacking, page, uncovered};

/// Judging one case mostly waits for a process to start.
const SIDE_BY_SIDE: usize = 4;

/// A case as it is judged now.
#[derive(Debug)]
pub struct Case {
    /// `CAUSE/CASE`.
    pub name: String,
    /// What is wrong with the answer, held against the recorded one.
    pub wrong: Option<String>,
    incidents: Vec<Judged>,
}

/// An incident of a case: what was true of it, and what is said of it now.
#[derive(Debug, Default)]
struct Judged {
    /// nginx's, where it gave one.
    errno: Option<u64>,
    /// The class of what nginx logged; empty where it logged nothing.
    failure: String,
    /// The true causes, the answer's first; none where nothing on the host proves any.
    truth: Vec<String>,
    answer: Option<String>,
    /// All that is said of the answer: its summary, proof and fixes.
    said: String,
    confirmed: Vec<String>,
    unknown: Vec<String>,
    ruled_out: Vec<String>,
}

impl Judged {
    /// The cause that was true and could be proven; what was not proven when it was recorded is counted as soon as it is.
    /// A true cause that says less than another true one is it where nothing proves the finer one: that this does not
    /// come to be so is held by the recorded answer.
    fn provable(&self) -> Option<&str> {
        let answer = self.answer.as_ref()?;
        let first = self.truth.first()?;
        let is_coarser = !self.confirmed.contains(first) && self.truth.contains(answer);
        Some(if is_coarser { answer } else { first })
    }

    /// Every cause that was judged.
    fn causes(&self) -> impl Iterator<Item = &String> {
        let verdicts = [&self.confirmed, &self.unknown, &self.ruled_out];
        verdicts.into_iter().flatten()
    }

    /// The causes that are confirmed and were not so.
    fn false_ones(&self) -> impl Iterator<Item = &String> {
        self.confirmed
            .iter()
            .filter(|cause| !self.truth.contains(cause))
    }
}

/// Judges every case of the corpus, sorted by name.
///
/// # Errors
/// When a case cannot be read, or `why502` gives no report.
pub fn judge_all(corpus: &Path) -> Result<Vec<Case>> {
    let snapshots = cases(corpus)?;
    let (next, judged) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(snapshot) = snapshots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let case =
                        judge(snapshot).with_context(|| format!("judge {}", snapshot.display()));
                    if let Ok(mut judged) = judged.lock() {
                        judged.push(case);
                    }
                }
            });
        }
    });
    let judged = judged.into_inner().unwrap_or_default();
    let mut judged = judged.into_iter().collect::<Result<Vec<Case>>>()?;
    ensure!(
        judged.len() == snapshots.len(),
        "only {} of {} cases were judged",
        judged.len(),
        snapshots.len()
    );
    judged.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(judged)
}

fn judge(snapshot: &Path) -> Result<Case> {
    let recorded =
        fs::read_to_string(snapshot.with_extension("json")).context("read what is expected")?;
    let recorded: Value = serde_json::from_str(&recorded).context("read what is expected")?;
    let answer = Answer::of_snapshot(snapshot)?;
    let part = |path: Option<&Path>| {
        let name = path.and_then(Path::file_stem);
        name.unwrap_or_default().to_string_lossy().into_owned()
    };
    Ok(Case {
        name: format!("{}/{}", part(snapshot.parent()), part(Some(snapshot))),
        wrong: check(&answer, &recorded)
            .err()
            .map(|error| format!("{error:#}")),
        incidents: answer
            .incidents()
            .into_iter()
            .zip(list(&recorded))
            .map(|(incident, recorded)| judged(incident, recorded))
            .collect(),
    })
}

fn judged(incident: &Value, recorded: &Value) -> Judged {
    let ids = |verdict| causes(incident, verdict).into_keys().collect();
    let answer = incident.get("cause").and_then(Value::as_str);
    let confirmed = causes(incident, "confirmed");
    let said = answer.and_then(|id| confirmed.get(id));
    Judged {
        errno: incident.get("errno").and_then(Value::as_u64),
        failure: text(incident, "failure").to_owned(),
        truth: truth(recorded).into_iter().map(str::to_owned).collect(),
        answer: answer.map(str::to_owned),
        said: said
            .map(|said| strings(said).join("\n"))
            .unwrap_or_default(),
        confirmed: ids("confirmed"),
        unknown: ids("unknown"),
        ruled_out: ids("ruled-out"),
    }
}

/// Holds an answer against what was true and what was answered when it was recorded.
fn check(answer: &Answer, recorded: &Value) -> Result<()> {
    let wanted = list(recorded);
    ensure!(
        answer.incidents().len() == wanted.len(),
        "{} incidents where {} were recorded",
        answer.incidents().len(),
        wanted.len()
    );
    for (incident, wanted) in answer.incidents().into_iter().zip(wanted) {
        let truth = truth(wanted);
        for cause in causes(incident, "confirmed").keys() {
            ensure!(
                truth.contains(&cause.as_str()),
                "{cause} is confirmed, and was not so"
            );
        }
        // What could not be proven then may be proven now: that it is true stands above.
        if is_open(wanted) && !truth.is_empty() {
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
    ensure!(
        list(recorded).into_iter().any(is_open)
            || json!(answer.exit) == recorded.get("exit").cloned().unwrap_or_default(),
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

fn list(recorded: &Value) -> Vec<&Value> {
    let incidents = recorded.get("incidents").and_then(Value::as_array);
    incidents.into_iter().flatten().collect()
}

/// What was true of a recorded incident.
fn truth(recorded: &Value) -> Vec<&str> {
    let truth = recorded.get("true").and_then(Value::as_array);
    truth
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Whether nothing was proven.
fn is_open(incident: &Value) -> bool {
    incident.get("cause").is_some_and(Value::is_null)
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
