//! Workers whose end a log does not tell of: another one is started in their place.

use std::collections::BTreeSet;

use facts::application::Kind;
use facts::application::log::{Exit, What};

use super::application::Application;
use super::happenings::Happening;

impl Application {
    /// gunicorn before 21 says nothing of a worker that ended with an exit status; that it starts one more than it was
    /// told to have says so. One that a signal ended it does tell of.
    pub(super) fn silent_ends(&self) -> Vec<Happening> {
        let (Some(Kind::Gunicorn), Some((_, workers))) = (self.kind(), self.workers()) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut alive = BTreeSet::new();
        // Without its start in the log nobody knows how many there are; after a signal there may be more, or fewer.
        let mut is_counted = false;
        for event in self.events() {
            match (&event.what, event.worker) {
                (What::Starting, _) => {
                    // One that shares its log with another one mixes up both.
                    let is_own = self
                        .holders()
                        .iter()
                        .any(|holder| Some(holder.pid) == event.pid);
                    is_counted = is_own && self.log.shared_with.is_none();
                    alive.clear();
                }
                (What::Signal { .. } | What::ShuttingDown, _) => is_counted = false,
                (
                    What::WorkerExited { .. } | What::WorkerStopping | What::WorkerTimeout { .. },
                    Some(worker),
                ) => {
                    alive.remove(&worker);
                }
                (What::WorkerStarted, Some(worker)) if is_counted => {
                    alive.insert(worker);
                    if alive.len() <= workers as usize {
                        continue;
                    }
                    let runs = |pid: &u32| self.holders().iter().any(|holder| holder.pid == *pid);
                    let ended = alive
                        .iter()
                        .copied()
                        .find(|pid| *pid != worker && !runs(pid));
                    let (Some(ended), Some(at)) = (ended, event.at) else {
                        continue;
                    };
                    alive.remove(&ended);
                    found.push(Happening {
                        at,
                        probe: "application-log",
                        text: format!(
                            "{} (in place of one whose end is not told of)",
                            event.text.trim()
                        ),
                        requests: self.at_once(),
                        doubt: self.doubt_of(Exit::Unknown),
                        late: false,
                    });
                }
                _ => {}
            }
        }
        found
    }
}
