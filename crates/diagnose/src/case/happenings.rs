//! What happened to an application, weighed against the seconds in which it failed.
//!
//! That something happened in a failing second is not enough: it accounts for as many failures as its process was
//! answering requests, and only if it shows that it was.

use std::collections::BTreeMap;

use facts::{Exhibit, Gap, GapKind, counted};
use jiff::{SignedDuration, Timestamp};

use super::application::Application;
use crate::incident::Incident;

/// A worker's end is logged up to so many seconds before nginx notices (a second each for both clocks' rounding, and one
/// for a worker that has to be killed twice), or one after.
pub(super) const BEFORE: i64 = 2;
pub(super) const AFTER: i64 = 1;

/// Exhibits of events that are shown.
pub(super) const EVENTS_SHOWN: usize = 4;

/// Failures by second.
pub(super) type Failures = BTreeMap<i64, u64>;

/// Something that happened to the application, with its time.
#[derive(Clone)]
pub(crate) struct Happening {
    pub(super) at: Timestamp,
    pub(super) probe: &'static str,
    pub(super) text: String,
    /// How many failed requests it may account for; `None` for any number.
    pub(super) requests: Option<u64>,
    /// Why its process may have been answering none of them, where nothing shows that it was.
    pub(super) doubt: Option<String>,
}

/// What happened, and where it was read.
pub(crate) struct Happenings {
    found: Vec<Happening>,
    places: Vec<String>,
    program: String,
    /// What failed in the same way of the same peer, this incident or another: each failure needs something of its own.
    failed: Failures,
    /// A line that tells of it, though not when.
    undated: Option<String>,
    /// What leans towards it in a failing second, and shows nothing.
    hint: Option<String>,
}

impl Happening {
    /// What accounts for any number of failures.
    pub(super) fn of_all(at: Timestamp, probe: &'static str, text: String) -> Self {
        Self {
            at,
            probe,
            text,
            requests: None,
            doubt: None,
        }
    }

    /// Whether it may explain a failure in this second.
    pub(super) fn is_near(&self, second: i64) -> bool {
        (second - BEFORE..=second + AFTER).contains(&self.at.as_second())
    }
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
            failed: incident.seconds.clone(),
            undated: None,
            hint: None,
        }
    }

    /// The same, with a line that tells of it without a time.
    pub(super) fn beside(self, undated: Option<String>) -> Self {
        Self { undated, ..self }
    }

    /// The same, with what leans towards it and shows nothing.
    pub(super) fn hinted_by(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// The same, where other incidents of the peer may have the same reason: they need their share of it.
    pub(super) fn shared_by(self, failed: Failures) -> Self {
        Self { failed, ..self }
    }

    /// Whether they account for every failure (`None`), or what shows that nothing of the kind can have happened: then
    /// what is told near a failing second was another's. All else is a gap; `what` completes "... about the time of 3 of
    /// 5 failing seconds".
    pub(crate) fn account_for(
        &self,
        incident: &Incident,
        application: Option<&Application>,
        missing: &'static str,
        what: &str,
    ) -> Result<Option<Exhibit>, Gap> {
        let lasting = self.coincide_with(incident, application, missing, what)?;
        if lasting.is_some() {
            return Ok(lasting);
        }
        let leaning = || format!("{what} about the time of every failing second");
        let (explained, of, doubt) = self.explained(incident);
        if explained == of {
            return Ok(None);
        }
        let why = doubt.unwrap_or_else(|| {
            let of = counted(of, "request");
            format!("it can have been answering {explained} of {of} that failed")
        });
        let missing = "whether what ended was answering the requests that failed";
        Err(Gap::undecided(missing, why).leaning(leaning()))
    }

    /// The same, where that something of the kind happened near each failing second is enough.
    pub(crate) fn coincide_with(
        &self,
        incident: &Incident,
        application: Option<&Application>,
        missing: &'static str,
        what: &str,
    ) -> Result<Option<Exhibit>, Gap> {
        let of = incident.seconds.len();
        let near = incident
            .seconds
            .keys()
            .filter(|&&second| self.found.iter().any(|happening| happening.is_near(second)))
            .count();
        // What ended just before the first failing second may be noticed in it, and its place be taken by then.
        let since = SignedDuration::from_secs(if near == 0 { 0 } else { BEFORE });
        let lasting = application.and_then(|application| {
            application.ran_since(incident.first_seen.saturating_sub(since).ok()?)
        });
        if lasting.is_some() {
            return Ok(lasting);
        }
        if near == of {
            return Ok(None);
        }
        if near == 0 {
            let gap = self.gap(missing);
            return Err(match application.and_then(Application::may_hand_on) {
                Some(others) => Gap {
                    why: format!("{}; {others}", gap.why).into(),
                    ..gap
                },
                None => gap,
            });
        }
        let of = counted(of, "failing second");
        let leaning = format!("{what} about the time of {near} of {of}");
        Err(self.gap("why the other attempts failed").leaning(leaning))
    }

    /// How many failures of the seconds in which the incident failed have something of their own that accounts for them,
    /// of how many, and why another has none. The earliest goes to the earliest failure that it is near to: no other way
    /// explains more.
    fn explained(&self, incident: &Incident) -> (u64, u64, Option<String>) {
        let mut left: Vec<Option<u64>> = self.found.iter().map(|found| found.requests).collect();
        let (mut explained, mut of, mut doubt) = (0, 0, None);
        for (&second, &count) in &self.failed {
            let mut wanted = count;
            let near = self.found.iter().zip(&mut left);
            for (happening, left) in near.filter(|(happening, _)| happening.is_near(second)) {
                if happening.doubt.is_some() {
                    doubt = doubt.or_else(|| happening.doubt.clone());
                    continue;
                }
                let taken = left.map_or(wanted, |left| left.min(wanted));
                *left = left.map(|left| left - taken);
                wanted -= taken;
            }
            if incident.seconds.contains_key(&second) {
                explained += count - wanted;
                of += count;
            }
        }
        (explained, of, doubt)
    }

    /// Why they do not suffice.
    fn gap(&self, missing: &'static str) -> Gap {
        let gap = self.gap_of_the_logs(missing);
        match &self.hint {
            Some(hint) if gap.leaning.is_none() => gap.leaning(hint.clone()),
            _ => gap,
        }
    }

    fn gap_of_the_logs(&self, missing: &'static str) -> Gap {
        if self.places.is_empty() {
            return Gap::new(
                GapKind::Absent,
                missing,
                format!("the log of {} was not found", self.program),
            )
            .learn("sudo dmesg -T | grep -iE 'killed process|segfault'");
        }
        let places = self.places.join(", ");
        match &self.undated {
            Some(line) => Gap::undecided(
                missing,
                format!("what stands in {places} has no time: {line}"),
            )
            .leaning(format!("{} says so, without a time: {line}", self.program)),
            None => Gap::undecided(missing, format!("nothing of it stands in {places}")),
        }
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
