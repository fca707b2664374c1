//! Whether a fix helped: the host is asked again, and the request that failed is sent again.
//!
//! What is asked is made of the configuration alone, never of what clients sent: a path from a log may do harm when root's
//! own host asks for it.

use std::thread;
use std::time::{Duration, Instant};

use diagnose::{Asked, Diagnosis, Judged, Standing};

use super::journal::{Before, Journal};
use crate::collect;

/// An application that was started takes its time to listen; nginx tries a peer again after `fail_timeout`, 10 s by default.
const PATIENCE: Duration = Duration::from_secs(12);
/// Another worker, or another peer, may answer the next time.
const IN_A_ROW: u32 = 3;
/// So many answers are waited for until `why502` itself calls it over.
const MOST_IN_A_ROW: u32 = 6;
pub(super) const SECOND: Duration = Duration::from_millis(1050);
const PAUSE: Duration = Duration::from_millis(250);

/// What a look shows.
pub(super) enum Shown {
    /// It works, as this shows.
    Works(String),
    /// Nothing shows it either way.
    Open(String),
    /// It does not, as this shows.
    Fails(String),
}

/// Looks until it works, for as long as it may take, and then whether that lasts.
pub(super) fn verify(journal: &Journal) -> Shown {
    let deadline = Instant::now() + PATIENCE;
    let mut in_a_row = 0;
    loop {
        if let Err(error) = super::interrupted() {
            return Shown::Fails(format!("{error:#}"));
        }
        let (shown, is_ongoing) = look(journal);
        match shown {
            Shown::Works(_) => in_a_row += 1,
            Shown::Fails(_) => in_a_row = 0,
            Shown::Open(_) => return shown,
        }
        let lasts = in_a_row >= IN_A_ROW && !(is_ongoing && in_a_row < MOST_IN_A_ROW);
        if lasts || Instant::now() >= deadline {
            return shown;
        }
        // Lines of logs tell the second alone: answers of the second of the failure show nothing.
        thread::sleep(if is_ongoing && in_a_row > 0 {
            SECOND
        } else {
            PAUSE
        });
    }
}

/// What a look shows, and whether the incident still counts as ongoing.
fn look(journal: &Journal) -> (Shown, bool) {
    let diagnosis = ask(journal);
    let judged = of_journal(journal, &diagnosis);
    let is_ongoing = judged.is_some_and(Judged::ongoing);
    (shown(journal, &diagnosis, judged), is_ongoing)
}

fn of_journal<'d>(journal: &Journal, diagnosis: &'d Diagnosis) -> Option<&'d Judged> {
    let mut incidents = diagnosis.incidents.iter();
    incidents.find(|judged| judged.incident.id == journal.incident)
}

fn shown(journal: &Journal, diagnosis: &Diagnosis, judged: Option<&Judged>) -> Shown {
    let status = through(diagnosis);
    let url = journal.before.url.as_deref().unwrap_or_default();
    if let Some(why) = request_fails(&journal.before, url, status) {
        return Shown::Fails(why);
    }
    if let Some(new) = new_failure(journal, diagnosis) {
        return Shown::Fails(format!(
            "{} fails now, which did not before ({})",
            new.incident.peer, new.incident.id
        ));
    }
    let standing = judged.map(|judged| judged.standing);
    if standing == Some(Standing::Failing) {
        return Shown::Fails(format!("{} still fails in the same way", journal.peer));
    }
    match (journal.before.status, status, standing) {
        (Some(before @ (502 | 504)), Some(now), _) => {
            Shown::Works(format!("GET {url} through nginx: {now} now, {before} before"))
        }
        (_, _, None) => Shown::Works("why502 finds no such failure any more".to_owned()),
        (_, _, Some(Standing::Over)) => {
            Shown::Works("such requests are answered again".to_owned())
        }
        (_, _, Some(Standing::Connects)) if judged.is_some_and(|judged| judged.incident.is_of_connecting()) => {
            Shown::Works(format!("{} takes connections again", journal.peer))
        }
        (_, _, Some(Standing::Undialled)) => Shown::Open(format!(
            "nginx dials {} no more; what it dials in its place was not tried, for the configuration tells no request that leads there",
            journal.peer
        )),
        (_, _, Some(_)) => Shown::Open(
            "the request that was sent did not fail before either: why502 will say, once such requests are answered".to_owned(),
        ),
    }
}

/// Why the request shows that it does not work.
fn request_fails(before: &Before, url: &str, status: Option<u16>) -> Option<String> {
    let was = before.status?;
    match status {
        None => Some(format!(
            "GET {url} through nginx gets no answer, {was} before"
        )),
        Some(now @ (502 | 504)) => Some(format!("GET {url} through nginx still gives {now}")),
        Some(now) if now >= 500 && was < 500 => {
            Some(format!("GET {url} through nginx gives {now}, {was} before"))
        }
        Some(_) => None,
    }
}

/// A failure that goes on and began with the fix.
fn new_failure<'d>(journal: &Journal, diagnosis: &'d Diagnosis) -> Option<&'d Judged> {
    diagnosis.incidents.iter().find(|judged| {
        let began = judged.incident.first_seen >= journal.started_at;
        began && judged.ongoing() && !journal.before.incidents.contains(&judged.incident.id)
    })
}

/// The status that the request gives now.
pub(super) fn status_now(journal: &Journal) -> Option<u16> {
    through(&ask(journal))
}

fn ask(journal: &Journal) -> Diagnosis {
    let options = journal.asked.options(journal.before.url.as_deref());
    collect::diagnose(options, &host::LiveHost::new())
}

/// The status of the request through nginx.
pub(super) fn through(diagnosis: &Diagnosis) -> Option<u16> {
    let asked: Option<&Asked> = diagnosis.asked.as_ref();
    asked?.through.as_ref()?.status
}
