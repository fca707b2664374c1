//! When a peer's application was stopped and started again, by its unit's journal and its own log.

use facts::application::Kind;
use facts::application::log::{AppEvent, What};
use facts::journal::{Entry, UnitChange};
use facts::{Exhibit, Gap, counted};
use jiff::{SignedDuration, Timestamp};
use log::error::Class;

use super::application::Application;
use super::memory::Behind;
use super::{Case, known};
use crate::incident::Incident;

/// nginx notices a connection that its owner closed at once; its clock stands still while it serves others.
const NOTICED: SignedDuration = SignedDuration::from_millis(50);

/// Exhibits of restarts that are shown.
const SHOWN: usize = 6;

/// The restarts that concern an incident.
pub(crate) struct Restarts {
    found: Vec<Restart>,
    places: Vec<String>,
    who: String,
    behind: Behind,
}

/// A stop that was asked for, and the start after it.
struct Restart {
    from: Timestamp,
    /// When the last process had ended.
    stopped: Option<Timestamp>,
    /// When it ran again.
    to: Timestamp,
    /// Whether it was stopped to be started at once.
    is_job: bool,
    who: String,
    probe: &'static str,
}

impl Restarts {
    /// The unit or the application, for people.
    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    /// How the application can be restarted without harm.
    pub(crate) fn graceful(&self) -> &'static str {
        let application = self.behind.application.as_ref();
        application.map_or(
            "have it end what it is answering before it stops",
            |application| application.graceful(),
        )
    }

    /// What shows that restarts cover every failing second.
    pub(crate) fn covering(&self, incident: &Incident) -> Option<Vec<Exhibit>> {
        let mut used: Vec<usize> = Vec::new();
        for &second in incident.seconds.keys() {
            let idx = self
                .found
                .iter()
                .position(|restart| restart.covers(incident, second))?;
            if !used.contains(&idx) {
                used.push(idx);
            }
        }
        let used = used.into_iter().filter_map(|idx| self.found.get(idx));
        let exhibits: Vec<Exhibit> = used.flat_map(Restart::exhibits).take(SHOWN).collect();
        (!exhibits.is_empty()).then_some(exhibits)
    }

    /// That nothing of the kind can have happened.
    pub(crate) fn ran_throughout(&self, incident: &Incident) -> Option<Exhibit> {
        self.behind.application.as_ref()?.ran_throughout(incident)
    }

    /// Why they do not suffice.
    pub(crate) fn gap(&self, incident: &Incident) -> Gap {
        let missing = "whether the application was restarted when it failed";
        let why = match self.places.as_slice() {
            [] => format!("nothing tells when {} was started and stopped", self.who),
            places => format!(
                "no stop and start that covers it stands in {}",
                places.join(", ")
            ),
        };
        let explained = incident
            .seconds
            .keys()
            .filter(|&&second| {
                self.found
                    .iter()
                    .any(|restart| restart.covers(incident, second))
            })
            .count();
        let gap = Gap::undecided(missing, why);
        if explained == 0 {
            return gap;
        }
        gap.leaning(format!(
            "{} was restarted in {explained} of {}",
            self.who,
            counted(incident.seconds.len(), "failing second")
        ))
    }
}

impl Restart {
    fn covers(&self, incident: &Incident, second: i64) -> bool {
        // What was being answered is cut off until the last process has ended; who connects meets nobody until the
        // application listens again, and that the stop was meant to last is no restart.
        // What fails later has met the new one.
        let last = if incident.is(Class::ConnectRefused) {
            if !self.is_job {
                return false;
            }
            self.to
        } else {
            let stopped = self.stopped.unwrap_or(self.to);
            // A time of a whole second is that of all of it.
            let is_fine = stopped.subsec_nanosecond() != 0;
            let noticed = stopped.checked_add(NOTICED).unwrap_or(stopped);
            if is_fine { noticed } else { stopped }
        };
        (self.from.as_second()..=last.as_second()).contains(&second)
    }

    fn exhibits(&self) -> [Exhibit; 2] {
        let exhibit = |at, what: &str| Exhibit::Record {
            probe: self.probe,
            at: Some(at),
            text: format!("{} {what}", self.who),
        };
        [
            exhibit(self.from, "was told to stop"),
            exhibit(self.to, "was started again"),
        ]
    }
}

impl Case {
    /// The restarts of the application behind a peer.
    pub(crate) fn restarts(&self, incident: &Incident) -> Result<Restarts, Gap> {
        let behind = self.behind(incident)?;
        let mut found = Vec::new();
        let mut places = Vec::new();
        for unit in &behind.units {
            if let Some(journal) = known(self.journal(unit))? {
                places.push(format!("journalctl -u {unit}"));
                found.extend(of_unit(unit, &journal));
            }
        }
        if let Some(application) = &behind.application {
            // In a log that two write to, one stops and the other starts.
            if application.log.shared_with.is_none() {
                found.extend(of_log(application));
            }
            places.extend(application.log_places().iter().cloned());
            // systemd calls a simple service started before it listens.
            for restart in &mut found {
                let listens = application
                    .events()
                    .iter()
                    .filter(|event| matches!(event.what, What::Listening { .. } | What::Ready));
                let up = listens
                    .filter_map(|event| event.at)
                    .find(|&at| at >= restart.to);
                restart.to = up
                    .filter(|up| up.duration_since(restart.to).as_secs() < STARTS_WITHIN)
                    .unwrap_or(restart.to);
            }
        }
        places.dedup();
        let who = match (behind.units.first(), &behind.application) {
            (Some(unit), _) => unit.clone(),
            (None, Some(application)) => application.who(),
            (None, None) => incident.peer.clone(),
        };
        Ok(Restarts {
            found,
            places,
            who,
            behind,
        })
    }
}

/// A time in which nobody listened, by an application's own log.
struct Stop {
    from: Timestamp,
    /// Who was stopped.
    old: Option<u32>,
    to: Timestamp,
    /// Who listens since.
    new: Option<u32>,
    exhibits: [Exhibit; 2],
}

impl Case {
    /// That the application was stopped, and not yet started again, in every failing second, from its own log: what it
    /// says of the last start has to be of the very process that runs, and what it says before of the one that this one
    /// followed.
    pub(crate) fn was_stopped(
        &self,
        incident: &Incident,
    ) -> Result<Option<(String, Vec<Exhibit>)>, Gap> {
        let Some(application) = known(self.application(incident))? else {
            return Ok(None);
        };
        if application.log.shared_with.is_some() {
            return Ok(None);
        }
        let mut stops = stops_of(&application);
        let is_running = |stop: &Stop| {
            let started = application
                .holders()
                .iter()
                .find(|holder| Some(holder.pid) == stop.new);
            started.is_some_and(|holder| {
                (stop.from.as_second()..=stop.to.as_second()).contains(&holder.start.as_second())
            })
        };
        let Some(last) = stops.iter().rposition(is_running) else {
            return Ok(None);
        };
        stops.truncate(last + 1);
        let mut used: Vec<Stop> = Vec::new();
        for stop in stops.into_iter().rev() {
            if used
                .last()
                .is_some_and(|later| later.old.is_none() || later.old != stop.new)
            {
                break;
            }
            used.push(stop);
        }
        let covers = |stop: &Stop, second: i64| {
            (stop.from.as_second()..=stop.to.as_second()).contains(&second)
        };
        let is_explained = |second: &i64| used.iter().any(|stop| covers(stop, *second));
        if !incident.seconds.keys().all(is_explained) {
            return Ok(None);
        }
        let failed_in = |stop: &&Stop| incident.seconds.keys().any(|second| covers(stop, *second));
        let exhibits: Vec<Exhibit> = used
            .iter()
            .rev()
            .filter(failed_in)
            .flat_map(|stop| stop.exhibits.clone())
            .take(SHOWN)
            .collect();
        Ok((!exhibits.is_empty()).then(|| (application.who(), exhibits)))
    }
}

fn stops_of(application: &Application) -> Vec<Stop> {
    let exhibit = |event: &AppEvent, at| Exhibit::Record {
        probe: "application-log",
        at: Some(at),
        text: event.text.trim().to_owned(),
    };
    let mut stops = Vec::new();
    let mut open: Option<(Timestamp, &AppEvent)> = None;
    for event in application.events() {
        let Some(at) = event.at else { continue };
        match &event.what {
            What::ShuttingDown => open = open.or(Some((at, event))),
            What::Signal { name } if ["term", "quit", "int"].contains(&name.as_str()) => {
                open = open.or(Some((at, event)));
            }
            What::Listening { .. } | What::Ready => {
                if let Some((from, stopped)) = open.take() {
                    stops.push(Stop {
                        from,
                        old: stopped.pid,
                        to: at,
                        new: event.pid,
                        exhibits: [exhibit(stopped, from), exhibit(event, at)],
                    });
                }
            }
            _ => {}
        }
    }
    stops
}

/// An application that listens later than this after its start was started another time.
const STARTS_WITHIN: i64 = 60;

/// The restarts that a unit's journal tells of; what crashed or was killed for memory was not told to stop.
fn of_unit(unit: &str, journal: &[Entry]) -> Vec<Restart> {
    let mut found = Vec::new();
    let mut open: Option<Restart> = None;
    for entry in journal {
        let Some(event) = &entry.event else { continue };
        match &event.what {
            UnitChange::Stopping => {
                open = Some(Restart {
                    from: entry.at,
                    stopped: None,
                    to: entry.at,
                    is_job: false,
                    who: unit.to_owned(),
                    probe: "journal",
                });
            }
            UnitChange::Stopped => {
                if let Some(restart) = &mut open {
                    restart.stopped = Some(entry.at);
                    restart.is_job = event.is_restart;
                }
            }
            UnitChange::Started => {
                found.extend(open.take().map(|restart| Restart {
                    to: entry.at,
                    ..restart
                }));
            }
            UnitChange::OutOfMemory
            | UnitChange::KilledForPressure
            | UnitChange::CoreDumped { .. }
            | UnitChange::Failed(_) => open = None,
            _ => {}
        }
    }
    found
}

/// The restarts that an application's own log tells of.
fn of_log(application: &Application) -> Vec<Restart> {
    // Of php-fpm this is a reload; gunicorn starts a new master beside the old one.
    let is_reload = application.kind() == Some(Kind::PhpFpm);
    let mut found = Vec::new();
    let mut open: Option<Timestamp> = None;
    for event in application.events() {
        let Some(at) = event.at else { continue };
        let is_stop = match &event.what {
            What::ShuttingDown => true,
            What::Signal { name } if name == "usr2" => is_reload,
            What::Signal { name } => ["term", "quit", "int"].contains(&name.as_str()),
            _ => false,
        };
        if is_stop {
            open = open.or(Some(at));
        } else if matches!(
            event.what,
            What::Starting | What::Listening { .. } | What::Ready
        ) && let Some(from) = open.take()
        {
            found.push(Restart {
                from,
                // The new one starts once the old one has ended.
                stopped: Some(at),
                to: at,
                is_job: false,
                who: application.who(),
                probe: "application-log",
            });
        }
    }
    found
}
