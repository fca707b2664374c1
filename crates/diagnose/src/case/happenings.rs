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
/// for a worker that has to be killed twice), or one after, where the second turned meanwhile (see [`Happening::late`]).
pub(super) const BEFORE: i64 = 2;
pub(super) const AFTER: i64 = 1;

/// Of so many failures whose process is told of by the end of their second, one more may be told of in the next one:
/// what comes a while after each failure is not so quick.
const IN_TIME: u64 = 8;

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
    /// Whether it accounts for a failure of the second before it as well. Who ends is told of a moment later, so that the
    /// second may have turned; but as well it may have closed the connection itself, and been ended for that. Only an
    /// end that it met at work, or whose time is known late only, is taken for the former.
    pub(super) late: bool,
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
            late: false,
        }
    }

    /// Whether it may explain a failure in this second.
    pub(super) fn is_near(&self, second: i64) -> bool {
        (second - BEFORE..=second + AFTER).contains(&self.at.as_second())
    }

    /// Whether it is told of in a later second than this one's failure, and does not account for it therefore.
    fn is_after(&self, second: i64) -> bool {
        !self.late && self.at.as_second() > second
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
            failed: (*incident.seconds).clone(),
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
    /// explains more. What is told of a second late goes to what is left.
    fn explained(&self, incident: &Incident) -> (u64, u64, Option<String>) {
        let mut left: Vec<Option<u64>> = self.found.iter().map(|found| found.requests).collect();
        let mut doubt = None;
        let mut give = |second: i64, wanted: u64, is_late: bool| {
            let mut missing = wanted;
            let near = self.found.iter().zip(&mut left).filter(|(happening, _)| {
                happening.is_near(second) && happening.is_after(second) == is_late
            });
            for (happening, left) in near {
                if happening.doubt.is_some() {
                    doubt = doubt.take().or_else(|| happening.doubt.clone());
                    continue;
                }
                let taken = left.map_or(missing, |left| left.min(missing));
                *left = left.map(|left| left - taken);
                missing -= taken;
            }
            wanted - missing
        };
        let in_time: Vec<(i64, u64, u64)> = self
            .failed
            .iter()
            .map(|(&second, &count)| (second, count, give(second, count, false)))
            .collect();
        let late: Vec<u64> = in_time
            .iter()
            .map(|&(second, count, given)| give(second, count - given, true))
            .collect();
        let sum = |counts: &mut dyn Iterator<Item = u64>| counts.sum::<u64>();
        let (all_in_time, all_late) = (
            sum(&mut in_time.iter().map(|(_, _, given)| *given)),
            sum(&mut late.iter().copied()),
        );
        let is_lag = all_late * IN_TIME <= all_in_time;
        let (mut explained, mut of) = (0, 0);
        for ((second, count, given), late) in in_time.into_iter().zip(late) {
            if incident.seconds.contains_key(&second) {
                explained += given + if is_lag { late } else { 0 };
                of += count;
            }
        }
        if !is_lag {
            let why = "it is told of in the second after a failure: it may have closed the connection itself, and have ended then";
            doubt.get_or_insert_with(|| why.to_owned());
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
