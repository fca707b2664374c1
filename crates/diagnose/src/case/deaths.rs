//! Processes of an application that ended in the middle of requests: by themselves, for their time-out, or by an error
//! that they tell of.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use facts::application::Kind;
use facts::application::log::{AppEvent, Exit, What};
use facts::journal::{Entry, UnitChange};
use facts::process::Process;
use facts::systemd::Ended;
use facts::{Gap, counted};
use jiff::Timestamp;
use log::error::Class;

use super::application::Application;
use super::happenings::{AFTER, BEFORE, Failures, Happening, Happenings};
use super::plausible::Waits;
use super::{Case, known};
use crate::incident::Incident;

/// gunicorn's exit status of a worker that could not start, and of one that could not load the application.
const GUNICORN_START: [i32; 2] = [3, 4];

/// The signals that a process draws upon itself by what it does (signal(7): `ILL TRAP ABRT BUS FPE SEGV SYS`). An idle
/// one does nothing; any other signal comes from outside, and meets idle ones as well.
const OWN_SIGNALS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// Those of them that only its own instructions draw upon it, in the middle of what it does: `ILL BUS FPE SEGV SYS`. A
/// watchdog sends SIGABRT as well (systemd.service(5), `WatchdogSignal=`).
const FAULTS: [i32; 5] = [4, 7, 8, 11, 31];

/// So many seconds after a process left a core dump its place is taken at the latest, where that is to show whose it was.
const REPLACED: i64 = 5;

/// What a unit's journal tells of its processes.
struct JournalDeaths {
    found: Vec<Happening>,
    /// Processes that nothing shows to be the application's.
    strangers: Vec<Happening>,
}

impl Application {
    /// Its processes that ended by a signal or with an error, those left out that its own time-out ended.
    pub(crate) fn deaths(&self, case: &Case, incident: &Incident) -> Result<Happenings, Gap> {
        let waits = case.failed_waits(incident)?;
        let mut found = self.deaths_of_workers(&waits);
        found.extend(self.silent_ends());
        let mut places = self.log.places.clone();
        let mut strangers = Vec::new();
        for unit in self.units.iter().filter(|unit| unit.ends_with(".service")) {
            let Some(journal) = known(case.journal(unit))? else {
                continue;
            };
            let place = format!("journalctl -u {unit}");
            if !places.contains(&place) {
                places.push(place);
            }
            let deaths = self.deaths_in(&journal);
            found.extend(deaths.found);
            strangers.extend(deaths.strangers);
        }
        let is_then =
            |death: &&Happening| incident.seconds.keys().any(|&second| death.is_near(second));
        let hint = strangers.iter().find(is_then).map(|death| {
            format!(
                "a process of its unit died then, and nothing shows that it answers: {}",
                death.text
            )
        });
        self.doubt_where_most_fail_nobody(case, incident, &mut found)?;
        let undated = self.undated(incident, |event| self.is_death(event, &waits));
        Ok(Happenings::of(incident, &self.who(), found, places)
            .shared_by(case.failed_alike(incident)?)
            .beside(undated)
            .hinted_by(hint))
    }

    /// Its workers that it ended for taking too long.
    pub(crate) fn timeouts(&self, case: &Case, incident: &Incident) -> Result<Happenings, Gap> {
        let waits = case.failed_waits(incident)?;
        let is_timeout = |event: &AppEvent| matches!(event.what, What::WorkerTimeout { .. });
        let found = self.of_workers(is_timeout, |event| self.implausible(event, &waits));
        Ok(
            Happenings::of(incident, &self.who(), found, self.log.places.clone())
                .shared_by(case.failed_alike(incident)?)
                .beside(self.undated(incident, is_timeout)),
        )
    }

    /// Errors of its own that end its process. php-fpm and gunicorn go on, and answer with 500.
    pub(crate) fn fatal_errors(&self, case: &Case, incident: &Incident) -> Result<Happenings, Gap> {
        let ends = matches!(
            self.kind,
            Some(Kind::Node | Kind::Java | Kind::Puma | Kind::Unicorn)
        );
        let is_fatal = |event: &AppEvent| ends && matches!(event.what, What::FatalError { .. });
        let found = self.of_workers(is_fatal, |_| None);
        Ok(
            Happenings::of(incident, &self.who(), found, self.log.places.clone())
                .shared_by(case.failed_alike(incident)?),
        )
    }

    /// Whether a line tells of a worker that ended, and not by its own time-out.
    fn is_death(&self, event: &AppEvent, waits: &Waits) -> bool {
        let What::WorkerExited { how, .. } = event.what else {
            return false;
        };
        // Who ends by SIGTERM was told to.
        !matches!(how, Exit::Code(0) | Exit::Signal(15)) && !self.is_of_a_timeout(event, waits)
    }

    fn deaths_of_workers(&self, waits: &Waits) -> Vec<Happening> {
        let doubt = |event: &AppEvent| match event.what {
            What::WorkerExited { how, .. } => self.doubt_of(how),
            _ => None,
        };
        let mut found = self.of_workers(|event| self.is_death(event, waits), doubt);
        self.believe_where_all_ended(&mut found);
        found
    }

    /// Where as many end at once as there are, and none from before is left, whoever was answering is one of them.
    pub(super) fn believe_where_all_ended(&self, found: &mut [Happening]) {
        let oldest = self
            .holders()
            .iter()
            .skip(1)
            .map(|worker| worker.start)
            .min();
        // In a log that is not its own alone they may be another's.
        let workers = self.workers().filter(|_| self.log.shared_with.is_none());
        if let Some((_, workers)) = workers {
            let times: Vec<i64> = found.iter().map(|death| death.at.as_second()).collect();
            for death in found {
                let second = death.at.as_second();
                let together = times
                    .iter()
                    .filter(|time| time.abs_diff(second) <= 1)
                    .count();
                let is_none_left = oldest.is_none_or(|oldest| oldest.as_second() >= second - 1);
                if together >= workers as usize && is_none_left {
                    death.doubt = None;
                }
            }
        }
    }

    /// When its own log says that a SIGKILL ended a worker of its own, not for its time, and which.
    pub(super) fn sigkills(&self) -> Vec<(Timestamp, Option<u32>)> {
        let wanted = What::WorkerExited {
            how: Exit::Signal(9),
            after_timeout: false,
        };
        self.own_events(|event| event.what == wanted)
            .into_iter()
            .filter(|event| self.doubt_whose(event).is_none())
            .filter_map(|event| Some((event.at?, event.worker)))
            .collect()
    }

    /// Why a worker that ended so may have been answering nobody.
    pub(super) fn doubt_of(&self, how: Exit) -> Option<String> {
        let how = match how {
            Exit::Code(code)
                if self.kind == Some(Kind::Gunicorn) && GUNICORN_START.contains(&code) =>
            {
                return Some("it ended while it was being started".to_owned());
            }
            Exit::Code(_) => return None,
            Exit::Signal(signal) if OWN_SIGNALS.contains(&signal) => return None,
            Exit::Signal(_) => "the signal came from outside",
            Exit::Unknown => "nothing says how it ended",
        };
        let who = "one of several processes that answer";
        (!self.answers_alone()).then(|| format!("{how}, and it was {who}: it may have been idle"))
    }

    /// What a unit's journal tells of its processes: the end of the main one ends all of them.
    fn deaths_in(&self, journal: &[Entry]) -> JournalDeaths {
        let told: BTreeSet<u32> = self
            .log
            .events
            .iter()
            .filter(|event| matches!(event.what, What::WorkerExited { .. }))
            .filter_map(|event| event.worker)
            .collect();
        // What ends while its unit is being stopped was told to.
        let mut is_stopping = false;
        let (mut found, mut strangers) = (Vec::new(), Vec::new());
        for entry in journal {
            let Some(event) = &entry.event else { continue };
            match &event.what {
                UnitChange::Stopping => is_stopping = true,
                UnitChange::Starting | UnitChange::Started => is_stopping = false,
                _ => {}
            }
            let text = entry.message.to_str_lossy().trim().to_owned();
            let death = Happening::of_all(entry.at, "journal", text);
            match &event.what {
                _ if is_stopping => {}
                // A failed reload ends a process of its own.
                UnitChange::ProcessExited { command, how } => {
                    let is_death = command.as_deref() == Some("ExecStart")
                        && !matches!(how, None | Some(Ended::Exited(0)));
                    let late = match how {
                        Some(Ended::Killed(signal) | Ended::Dumped(signal)) => {
                            is_fault(Exit::Signal(*signal))
                        }
                        _ => false,
                    };
                    found.extend(is_death.then_some(Happening { late, ..death }));
                }
                UnitChange::CoreDumped { pid, signal } => {
                    let is_told = pid.is_some_and(|pid| told.contains(&pid));
                    let how = signal.map_or(Exit::Unknown, Exit::Signal);
                    let death = Happening {
                        requests: self.at_once(),
                        doubt: self.doubt_of(how),
                        late: is_fault(how),
                        ..death
                    };
                    if is_told {
                        continue;
                    }
                    // A unit may run other programs beside the one that answers, and this one may run some.
                    let is_own = pid.is_some_and(|pid| self.has_started(pid));
                    if is_own || self.was_replaced_at(entry.at) {
                        found.push(death);
                    } else {
                        strangers.push(death);
                    }
                }
                _ => {}
            }
        }
        JournalDeaths { found, strangers }
    }

    /// Whether its own log tells of a process as one of its workers.
    pub(super) fn has_started(&self, pid: u32) -> bool {
        self.own_events(|event| event.worker == Some(pid))
            .into_iter()
            .any(|event| self.doubt_whose(event).is_none())
    }

    /// Whether all that answers now was started just after a process ended, as what takes its place is.
    fn was_replaced_at(&self, at: Timestamp) -> bool {
        let taken = at.as_second() - BEFORE..=at.as_second() + REPLACED;
        let oldest = self.holders().iter().map(|holder| holder.start).min();
        oldest.is_some_and(|oldest| taken.contains(&oldest.as_second()))
    }

    /// Processes that mostly end where no request fails do not end because of a request: one that ends in a failing second
    /// may do so by chance.
    fn doubt_where_most_fail_nobody(
        &self,
        case: &Case,
        incident: &Incident,
        found: &mut [Happening],
    ) -> Result<(), Gap> {
        if self.answers_alone() {
            return Ok(());
        }
        let logs = case.log_facts(incident.instance)?;
        let is_near = |death: &Happening| {
            let mut seconds = logs.incidents.iter().flat_map(|other| other.seconds.keys());
            seconds.any(|&second| death.is_near(second))
        };
        let from = case.window_start();
        let (near, far): (Vec<&Happening>, Vec<&Happening>) = found
            .iter()
            .filter(|death| death.at >= from)
            .partition(|death| is_near(death));
        let (near, far) = (near.len(), far.len());
        if far > near {
            let why = format!(
                "its processes end by chance as well: {} where no request failed, {} where one did",
                counted(far, "time"),
                counted(near, "time")
            );
            for death in found.iter_mut().filter(|death| death.probe != "journal") {
                death.doubt.get_or_insert_with(|| why.clone());
            }
        }
        Ok(())
    }

    /// How many requests a process of it answers at once; `None` where that is any number, or not known.
    pub(super) fn at_once(&self) -> Option<u64> {
        let is_one = match self.kind? {
            Kind::PhpFpm | Kind::Unicorn => true,
            Kind::Gunicorn => answers_one_at_once(&self.settings),
            _ => false,
        };
        is_one.then_some(1)
    }

    /// Whether a single process answers all that it is asked.
    fn answers_alone(&self) -> bool {
        if self.may_hand_on().is_some() {
            return false;
        }
        let holders = self.holders().len();
        match self.kind {
            // A master, and its worker.
            Some(Kind::Gunicorn | Kind::Unicorn | Kind::Uwsgi | Kind::PhpFpm) => {
                holders <= 2 && self.workers().is_some_and(|(_, workers)| workers == 1)
            }
            Some(Kind::Uvicorn | Kind::Hypercorn) => {
                let is_one = self
                    .settings
                    .workers
                    .as_ref()
                    .is_none_or(|set| set.value == 1);
                holders == 1 && is_one && self.settings.is_certain("workers")
            }
            Some(Kind::Puma | Kind::Node | Kind::Java | Kind::PythonHttpServer) | None => {
                holders == 1
            }
        }
    }

    /// What one of its own processes wrote, about a worker that it had started, as far as the lines tell.
    fn of_workers(
        &self,
        wanted: impl Fn(&AppEvent) -> bool,
        doubt: impl Fn(&AppEvent) -> Option<String>,
    ) -> Vec<Happening> {
        // Whoever is said to have ended, and runs, has not.
        let lives_on = |event: &AppEvent, at: Timestamp| {
            let is_it = |holder: &Process| Some(holder.pid) == event.worker && holder.start < at;
            self.holders().iter().any(is_it)
        };
        self.own_events(wanted)
            .into_iter()
            .filter_map(|event| Some((event, event.at.or_else(|| self.replaced_at(event))?)))
            .filter(|(event, at)| !lives_on(event, *at))
            .map(|(event, at)| Happening {
                at,
                probe: "application-log",
                text: event.text.trim().to_owned(),
                requests: self.at_once(),
                doubt: self.doubt_whose(event).or_else(|| doubt(event)),
                late: match event.what {
                    What::WorkerExited { how, .. } => is_fault(how),
                    // It had been answering for long, and the time is that of its successor's start.
                    What::WorkerTimeout { .. } => event.at.is_none(),
                    _ => false,
                },
            })
            .collect()
    }

    /// The events of its own, as far as the lines tell: several applications may share a log, and some print what clients
    /// send.
    fn own_events(&self, wanted: impl Fn(&AppEvent) -> bool) -> Vec<&AppEvent> {
        let is_of = |event: &AppEvent| {
            event
                .pid
                .is_none_or(|pid| self.holders().iter().any(|own| own.pid == pid))
        };
        let is_of_pool = |event: &AppEvent| {
            event.pool.is_none() || self.settings.name.is_none() || event.pool == self.settings.name
        };
        // php-fpm tells only of the children that it starts later on.
        let tells_of_all = self.kind == Some(Kind::Gunicorn);
        let workers: BTreeSet<u32> = self
            .log
            .events
            .iter()
            .filter(|event| tells_of_all && event.what == What::WorkerStarted)
            .filter_map(|event| event.worker)
            .collect();
        let is_worker = |event: &AppEvent| {
            let known = |worker| workers.is_empty() || workers.contains(&worker);
            event.worker.is_none_or(known)
        };
        let events = self.log.events.iter();
        events
            .filter(|event| wanted(event) && is_of(event) && is_of_pool(event) && is_worker(event))
            .collect()
    }

    /// Why a line may tell of another application's worker.
    fn doubt_whose(&self, event: &AppEvent) -> Option<String> {
        let other = self
            .log
            .shared_with
            .as_ref()
            .filter(|_| event.pid.is_none())?;
        // A worker that took its place is known by its master.
        if self.replaced_at(event).is_some() {
            return None;
        }
        Some(format!(
            "{other} writes to the same log, and no line says whose process ended"
        ))
    }

    /// The first of its own lines that tell of it without a time, and may have been written about then.
    fn undated(&self, incident: &Incident, wanted: impl Fn(&AppEvent) -> bool) -> Option<String> {
        let is_then = |event: &&AppEvent| {
            let after = |at: Timestamp| at.as_second() <= incident.last_seen.as_second() + AFTER;
            let before = |at: Timestamp| at.as_second() >= incident.first_seen.as_second() - BEFORE;
            event.not_before.is_none_or(after) && event.not_after.is_none_or(before)
        };
        let all = self.own_events(wanted).into_iter();
        let mut undated =
            all.filter(|event| event.at.is_none() && self.replaced_at(event).is_none());
        let event = undated.find(is_then)?;
        Some(event.text.trim().to_owned())
    }

    /// When the worker that took another's place started: a line without a time tells who it is.
    fn replaced_at(&self, event: &AppEvent) -> Option<Timestamp> {
        let successor = event.successor?;
        let process = self
            .holders()
            .iter()
            .find(|holder| holder.pid == successor)?;
        Some(process.start)
    }
}

/// Whether a process ended so by what it was doing at that moment.
fn is_fault(how: Exit) -> bool {
    matches!(how, Exit::Signal(signal) if FAULTS.contains(&signal))
}

impl Case {
    /// What failed of the incident's peer as a connection that its application closed, by second.
    pub(super) fn failed_alike(&self, incident: &Incident) -> Result<Failures, Gap> {
        let logs = self.log_facts(incident.instance)?;
        let alike = logs.incidents.iter().filter(|other| {
            other.peer == incident.peer
                && (other.is(Class::PrematureClose) || other.is(Class::ConnectionReset))
        });
        let mut failed = Failures::new();
        for (&second, &count) in alike.flat_map(|other| other.seconds.iter()) {
            *failed.entry(second).or_default() += count;
        }
        Ok(failed)
    }
}
/// Whether a worker of gunicorn answers one request after the other.
pub(super) fn answers_one_at_once(settings: &facts::application::Settings) -> bool {
    let class = settings.worker_class.as_ref();
    let is_certain = settings.is_certain("worker_class") && settings.is_certain("threads");
    is_certain && class.is_some_and(|class| class.value == "sync")
}
