//! What happened to an application, weighed against the seconds in which it failed.

use facts::{Exhibit, Gap, GapKind};
use jiff::Timestamp;

use super::application::Application;
use crate::incident::Incident;

/// A worker's end is logged up to so many seconds before nginx notices (a second each for both clocks' rounding, and one
/// for a worker that has to be killed twice), or one after.
pub(super) const BEFORE: i64 = 2;
pub(super) const AFTER: i64 = 1;

/// Exhibits of events that are shown.
pub(super) const EVENTS_SHOWN: usize = 4;

/// How much of an incident some events explain.
enum Coverage {
    /// Every failing second.
    All,
    /// Some of them.
    Some {
        /// Failing seconds with an event.
        explained: usize,
        /// Failing seconds.
        of: usize,
    },
    /// None.
    None,
}

/// Something that happened to the application, with its time.
#[derive(Clone)]
pub(crate) struct Happening {
    pub(super) at: Timestamp,
    pub(super) probe: &'static str,
    pub(super) text: String,
}

/// What happened, and where it was read.
pub(crate) struct Happenings {
    found: Vec<Happening>,
    places: Vec<String>,
    program: String,
}

impl Happenings {
    /// Those of these that may explain an incident of the program, and where they were looked for.
    pub(super) fn of(
        incident: &Incident,
        program: &str,
        mut found: Vec<Happening>,
        places: Vec<String>,
    ) -> Self {
        let (first, last) = (
            incident.first_seen.as_second() - BEFORE,
            incident.last_seen.as_second() + AFTER,
        );
        found.retain(|happening| (first..=last).contains(&happening.at.as_second()));
        found.sort_by_key(|happening| happening.at);
        Self {
            found,
            places,
            program: program.to_owned(),
        }
    }

    /// Whether they account for every failing second (`None`) or, where they account for none, what shows that nothing of
    /// the kind can have happened. All else is a gap; `what` completes "... about the time of 3 of 5 failing seconds".
    pub(crate) fn account_for(
        &self,
        incident: &Incident,
        application: Option<&Application>,
        missing: &'static str,
        what: &str,
    ) -> Result<Option<Exhibit>, Gap> {
        match self.coverage(incident) {
            Coverage::All => Ok(None),
            Coverage::None => application
                .and_then(|application| application.ran_throughout(incident))
                .map(Some)
                .ok_or_else(|| self.gap(missing)),
            Coverage::Some { explained, of } => {
                let leaning =
                    format!("{what} about the time of {explained} of {of} failing seconds");
                Err(self.gap("why the other attempts failed").leaning(leaning))
            }
        }
    }

    /// How much of the incident they explain.
    fn coverage(&self, incident: &Incident) -> Coverage {
        let of = incident.seconds.len();
        let explained = incident
            .seconds
            .keys()
            .filter(|&&second| self.at(second).is_some())
            .count();
        match explained {
            0 => Coverage::None,
            _ if explained == of => Coverage::All,
            explained => Coverage::Some { explained, of },
        }
    }

    fn at(&self, second: i64) -> Option<&Happening> {
        self.found.iter().find(|happening| {
            (second - BEFORE..=second + AFTER).contains(&happening.at.as_second())
        })
    }

    /// Why they do not suffice.
    fn gap(&self, missing: &'static str) -> Gap {
        if self.places.is_empty() {
            return Gap::new(
                GapKind::Absent,
                missing,
                format!("the log of {} was not found", self.program),
            )
            .learn("sudo dmesg -T | grep -iE 'killed process|segfault'");
        }
        Gap::undecided(
            missing,
            format!("nothing of it stands in {}", self.places.join(", ")),
        )
    }

    /// The first of them, in the application's words.
    pub(crate) fn summary(&self) -> String {
        self.found
            .first()
            .map(|happening| happening.text.clone())
            .unwrap_or_default()
    }

    /// The command that shows more.
    pub(crate) fn place(&self) -> String {
        self.places.first().cloned().unwrap_or_default()
    }

    /// Those that explain a failing second, the first few.
    pub(crate) fn exhibits(&self) -> Vec<Exhibit> {
        let exhibit = |happening: &Happening| Exhibit::Record {
            probe: happening.probe,
            at: Some(happening.at),
            text: happening.text.clone(),
        };
        self.found.iter().take(EVENTS_SHOWN).map(exhibit).collect()
    }
}
