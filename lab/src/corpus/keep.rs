//! Keeps the capture of a scenario as a case of the corpus.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{env, fs, thread};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::said;
use super::scrub::{Kernel, scrub};
use crate::verdict::{Answer, Asker, Expectation};

/// A case is read by everybody who works on the project: none may be larger.
const LARGEST: usize = 100 << 10;

/// What follows the scenario's name where who is not root asked.
const WITHOUT_ROOT: &str = "-without-root";

/// How many cases of each scenario were kept; a scenario runs alone in its process, or beside others.
static KEPT: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

/// Whether a capture may become a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Without what tells of the kernel, which is the host's.
    WithoutTheKernel,
    /// As it is: the kernel is the lab's own. Its policy of SELinux may be large.
    WithTheKernel,
    /// It is not what the scenario is about.
    Not,
}

/// Keeps a capture as a case where `WHY502_LAB_CORPUS` names a folder, under the scenario's name; further captures of
/// the same scenario are told apart by a number.
pub(crate) fn keep(
    capture: &Path,
    keep: Keep,
    asker: Asker,
    answer: &Answer,
    expected: &[Expectation],
) -> Result<()> {
    let Some(folder) = env::var_os("WHY502_LAB_CORPUS") else {
        return Ok(());
    };
    let kernel = match keep {
        Keep::Not => return Ok(()),
        Keep::WithTheKernel => None,
        Keep::WithoutTheKernel => Some(Kernel::of_this_host()?),
    };
    let scenario = of_test().context("no name of a test")?;
    let (cause, case) = scenario.split_once("::").context("no name of a scenario")?;
    let folder = PathBuf::from(folder).join(cause.replace('_', "-"));
    fs::create_dir_all(&folder).context("make a folder of the corpus")?;
    let archive = fs::read(capture).context("read a capture")?;
    let archive = scrub(&archive, kernel.as_ref())?;
    ensure!(
        archive.len() <= LARGEST || keep == Keep::WithTheKernel,
        "{} bytes are too many for a case of the corpus",
        archive.len()
    );
    let mut draft = NamedTempFile::new_in(&folder).context("make a case")?;
    draft.write_all(&archive).context("write a case")?;
    let kept = Answer::of_snapshot(draft.path())?;
    let checked = match asker {
        Asker::Root => kept.check(expected),
        Asker::User => kept.check_for_a_user(expected),
    };
    checked.context("without what tells of this host's kernel")?;
    ensure!(
        told(&kept, expected) == told(answer, expected),
        "without what tells of this host's kernel the answer is another:\n{:#}",
        kept.report
    );
    let number = if asker == Asker::User {
        WITHOUT_ROOT.to_owned()
    } else {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let count = kept.entry(scenario.clone()).or_default();
        *count += 1;
        if *count > 1 {
            format!("-{count}")
        } else {
            String::new()
        }
    };
    let snapshot = folder.join(format!("{case}{number}.snapshot"));
    fs::set_permissions(draft.path(), fs::Permissions::from_mode(0o644))
        .context("open a case to all")?;
    draft.persist(&snapshot).context("keep a case")?;
    let text = serde_json::to_string_pretty(&told(&kept, expected))?;
    fs::write(snapshot.with_extension("json"), text + "\n").context("write what is expected")
}

/// What a case says was true and is answered.
fn told(answer: &Answer, expected: &[Expectation]) -> Value {
    let told = |incident: &Value| {
        let truth = expected.iter().find(|truth| truth.is_of(incident));
        let truth = truth.map(Expectation::true_causes).unwrap_or_default();
        let mut said = said(incident);
        if let Some(said) = said.as_object_mut() {
            said.insert("true".to_owned(), json!(truth));
        }
        said
    };
    let incidents: Vec<Value> = answer.incidents().into_iter().map(told).collect();
    json!({"exit": answer.exit, "incidents": incidents})
}

/// The test's own name, which the runner gives to its thread: `cause::scenario`.
fn of_test() -> Option<String> {
    let exact = env::args().skip_while(|arg| arg != "--exact").nth(1);
    exact.or_else(|| thread::current().name().map(str::to_owned))
}
