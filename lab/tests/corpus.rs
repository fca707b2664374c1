//! Every case of the corpus is judged as it was recorded, and never falsely.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use why502_lab::corpus;

/// Judging one case mostly waits for a process to start.
const SIDE_BY_SIDE: usize = 4;

#[test]
fn every_case_is_judged_as_recorded() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let cases = corpus::cases(&folder)?;
    ensure!(!cases.is_empty(), "the corpus is empty");
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = corpus::check(case)
                        && let Ok(mut wrong) = wrong.lock()
                    {
                        wrong.push(format!("{}: {error:#}", case.display()));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap_or_default();
    ensure!(
        wrong.is_empty(),
        "{} of {} cases\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    Ok(())
}
