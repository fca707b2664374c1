//! Processes behind a peer that the kernel killed for lack of memory: by its log, and by the journal of their unit.

use std::collections::BTreeSet;
use std::rc::Rc;

use bstr::ByteSlice as _;
use facts::application::log::Exit;
use facts::journal::{Entry, UnitChange};
use facts::oom::OomKill;
use facts::process::{Cgroup, Process};
use facts::systemd::Ended;
use facts::{Exhibit, Gap, ProbeRequest};
use jiff::Timestamp;

use super::application::Application;
use super::happenings::{AFTER, BEFORE, Happening, Happenings};
use super::processes::proc_file;
use super::{Case, known};
use crate::incident::Incident;

/// So much of a process's name the kernel keeps.
const NAME_BYTES: usize = 15;

/// `PROC_CGROUP_INIT_INO` (`include/linux/proc_ns.h`).
const FIRST_NAMESPACE: &[u8] = b"cgroup:[4026531835]";

/// What was killed of a peer's application.
pub(crate) struct MemoryKills {
    /// The kills, weighed like all that happens to an application.
    pub(crate) happenings: Happenings,
    /// The application; `None` where nothing listens there any more.
    pub(crate) application: Option<Rc<Application>>,
    /// Its unit, where it has one.
    pub(crate) unit: Option<String>,
    /// The first of the kernel's kills that are surely the application's.
    pub(crate) first: Option<OomKill>,
    /// That the kernel killed nothing of it, where its whole log could be read.
    pub(crate) none: Option<Exhibit>,
    /// A kill in a failing second that may be the application's.
    leaning: Option<String>,
    who: String,
}

impl MemoryKills {
    /// Program and pid, or the unit, for people.
    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    /// A gap with what leans towards such a kill.
    pub(crate) fn lean(&self, gap: Gap) -> Gap {
        match &self.leaning {
            Some(leaning) if gap.leaning.is_none() => gap.leaning(leaning.clone()),
            _ => gap,
        }
    }
}

/// Who is behind a peer, as far as a killed process can be told to be one of theirs.
pub(super) struct Behind {
    pub(super) application: Option<Rc<Application>>,
    pub(super) units: Vec<String>,
    cgroups: Vec<Rc<Cgroup>>,
    /// The unit's last main process, where it is dead.
    last_main: Option<u32>,
    /// When systemd saw a SIGKILL end the main process of its unit, and with it all others.
    sigkills: Vec<Timestamp>,
    /// Names of its processes that others bear that run beside it.
    shared_names: BTreeSet<Vec<u8>>,
    /// Whether paths of control groups are whole here, as they are in the kernel's log; `None` where it cannot be told.
    sees_whole_paths: Option<bool>,
}

/// Whether a killed process was one of the application's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belongs {
    Surely,
    Perhaps,
    No,
}

impl Case {
    /// What the kernel killed of the peer's application for lack of memory.
    pub(crate) fn memory_kills(&self, incident: &Incident) -> Result<MemoryKills, Gap> {
        let mut behind = self.behind(incident)?;
        let who = match (&behind.application, behind.units.first()) {
            (Some(application), _) => application.who(),
            (None, Some(unit)) => unit.clone(),
            (None, None) => incident.peer.clone(),
        };
        let mut found = Vec::new();
        let mut places = Vec::new();
        let (mut first, mut none, mut leaning) = (None, None, None);
        for unit in &behind.units.clone() {
            let Some(journal) = known(self.journal(unit))? else {
                continue;
            };
            places.push(format!("journalctl -u {unit}"));
            for (idx, entry) in journal.iter().enumerate() {
                let text = || entry.message.to_str_lossy().trim().to_owned();
                let later = journal.get(idx + 1..).unwrap_or_default();
                match entry.event.as_ref().map(|event| &event.what) {
                    Some(UnitChange::ProcessExited { command, how })
                        if command.as_deref() == Some("ExecStart")
                            && *how == Some(Ended::Killed(9)) =>
                    {
                        behind.sigkills.push(entry.at);
                    }
                    Some(UnitChange::Failed(result)) if result.as_deref() == Some("oom-kill") => {
                        found.push(Happening::of_all(entry.at, "journal", text()));
                    }
                    Some(UnitChange::OutOfMemory | UnitChange::KilledForPressure) => {
                        if has_failed_at_once(entry.at, later) {
                            found.push(Happening::of_all(entry.at, "journal", text()));
                        } else if is_near(entry.at, incident) {
                            leaning = Some(format!("the journal of {unit} says: {}", text()));
                        }
                    }
                    _ => {}
                }
            }
        }
        let log = self.kernel_log();
        if let Some(log) = known(log.clone())? {
            places.push(log.place.to_owned());
            let kills = facts::oom::kills(&log.lines);
            if kills.iter().any(|kill| behind.is_elsewhere_or_ours(kill)) {
                behind.sees_whole_paths = known(self.sees_whole_paths())?;
            }
            let near = kills.iter().filter(|kill| is_near(kill.at, incident));
            let names = near.filter(|kill| behind.calls_one_so(kill));
            let names = names.map(|kill| kill.name.as_bytes().to_vec()).collect();
            behind.shared_names = self.shared_names(&behind, &names)?;
            let is_whole = log.since.as_second() <= incident.first_seen.as_second() - BEFORE;
            // What was killed may have been another one than what answers now, or than what accepts.
            let is_known = behind.application.as_ref().is_some_and(|application| {
                let is_one = application.may_hand_on().is_none();
                (is_one && application.started_before(incident))
                    || (kills.is_empty() && application.is_all_local())
            });
            let is_none = is_known && kills.iter().all(|kill| behind.owned(kill) == Belongs::No);
            if is_none && found.is_empty() && leaning.is_none() && is_whole {
                none = Some(Exhibit::Record {
                    probe: "kernel-log",
                    at: Some(log.since),
                    text: format!("{} shows no killed process of {who} since then", log.place),
                });
            }
            let mut killed = Vec::new();
            for kill in kills.into_iter().filter(|kill| is_near(kill.at, incident)) {
                match behind.owned(&kill) {
                    Belongs::Surely => {
                        killed.push(behind.happening(&kill));
                        first.get_or_insert(kill);
                    }
                    Belongs::No if is_known => {}
                    Belongs::Perhaps | Belongs::No => {
                        leaning = Some(format!(
                            "the kernel killed {} (pid {}) then",
                            kill.name, kill.pid
                        ));
                    }
                }
            }
            if let Some(application) = &behind.application {
                application.believe_where_all_ended(&mut killed);
            }
            found.extend(killed);
        }
        // Nothing was looked at: what the kernel's log is missing for is what there is to learn.
        if places.is_empty() {
            log?;
        }
        Ok(MemoryKills {
            happenings: Happenings::of(incident, &who, found, places)
                .shared_by(self.failed_alike(incident)?),
            unit: behind.units.first().cloned(),
            application: behind.application,
            first,
            none,
            leaning,
            who,
        })
    }

    /// Those of these names that other processes beside the application bear now.
    fn shared_names(
        &self,
        behind: &Behind,
        names: &BTreeSet<Vec<u8>>,
    ) -> Result<BTreeSet<Vec<u8>>, Gap> {
        let mut shared = BTreeSet::new();
        if names.is_empty() {
            return Ok(shared);
        }
        let processes = self.processes()?;
        let others: Vec<&Process> = processes
            .values()
            .filter(|process| names.contains(name_of(process)) && !behind.holds(process))
            .collect();
        let cgroups = others
            .iter()
            .map(|other| proc_file(other.pid, "cgroup", 16 << 10));
        drop(self.evidence.batch(cgroups)?);
        for other in others {
            let cgroup = known(self.cgroup(other.pid))?;
            if cgroup.is_none_or(|cgroup| behind.is_beside(&cgroup)) {
                shared.insert(name_of(other).to_vec());
            }
        }
        Ok(shared)
    }

    /// Whether this is the kernel's first namespace of control groups, in which paths are whole.
    fn sees_whole_paths(&self) -> Result<bool, Gap> {
        let own = ProbeRequest::Link {
            path: "/proc/self/ns/cgroup".into(),
        };
        let (_, link) = self.evidence.bytes(&own)?;
        Ok(link.to_vec() == FIRST_NAMESPACE)
    }

    /// Who is behind a peer: what listens there now or, where nothing does, the unit that is meant to.
    pub(super) fn behind(&self, incident: &Incident) -> Result<Behind, Gap> {
        let is_service = |unit: &String| unit.ends_with(".service");
        let missing = match self.application(incident) {
            Ok(application) => {
                let mut cgroups = Vec::new();
                for holder in application.holders() {
                    cgroups.extend(known(self.cgroup(holder.pid))?);
                }
                return Ok(Behind {
                    units: application
                        .units()
                        .iter()
                        .filter(|unit| is_service(unit))
                        .cloned()
                        .collect(),
                    application: Some(application),
                    cgroups,
                    last_main: None,
                    sigkills: Vec::new(),
                    shared_names: BTreeSet::new(),
                    sees_whole_paths: None,
                });
            }
            Err(gap) => gap,
        };
        // A pending gap waits; any other leaves the unit to be asked.
        known(Err::<(), Gap>(missing.clone()))?;
        let Some(owner) = known(self.owner(incident))?.flatten() else {
            return Err(missing);
        };
        Ok(Behind {
            application: None,
            units: Some(owner.unit().to_owned())
                .filter(is_service)
                .into_iter()
                .collect(),
            cgroups: Vec::new(),
            last_main: owner.last_main(),
            sigkills: Vec::new(),
            shared_names: BTreeSet::new(),
            sees_whole_paths: None,
        })
    }
}

impl Behind {
    fn owned(&self, kill: &OomKill) -> Belongs {
        if self.last_main == Some(kill.pid) || self.says_it_lost(kill) {
            return Belongs::Surely;
        }
        let Some(cgroup) = &kill.cgroup else {
            return Belongs::Perhaps;
        };
        // A unit may run several programs of one name, and php-fpm several pools.
        let is_called_so =
            self.calls_one_so(kill) && !self.shared_names.contains(kill.name.as_bytes());
        let is_its_worker = self
            .application
            .as_ref()
            .is_some_and(|application| application.has_started(kill.pid));
        let is_same = self.cgroups.iter().any(|own| is_same_group(own, cgroup));
        let is_root = cgroup.path == "/" && self.cgroups.iter().any(|own| own.memory == "/");
        if is_same || (self.names_unit(cgroup) && is_of_first_systemd(cgroup)) {
            // A unit may run helpers beside the program that answers.
            return if is_called_so || is_its_worker {
                Belongs::Surely
            } else {
                Belongs::Perhaps
            };
        }
        if !self.is_elsewhere_or_ours(kill) {
            return if is_root {
                Belongs::Perhaps
            } else {
                Belongs::No
            };
        }
        match self.sees_whole_paths {
            Some(true) => Belongs::No,
            Some(false) if is_called_so && self.lost_one_to_a_sigkill(kill) => Belongs::Surely,
            _ => Belongs::Perhaps,
        }
    }

    fn names_unit(&self, cgroup: &Cgroup) -> bool {
        let is_of_system = cgroup.user.is_none() && cgroup.container.is_none();
        is_of_system
            && cgroup
                .unit
                .as_ref()
                .is_some_and(|unit| self.units.contains(unit))
    }

    /// Whether a killed process's group ends as ours does and begins otherwise: that of a container with such a unit, or
    /// ours, if we are in a container and see our paths without their begin.
    fn is_elsewhere_or_ours(&self, kill: &OomKill) -> bool {
        kill.cgroup.as_ref().is_some_and(|cgroup| {
            let ends_alike = self.cgroups.iter().any(|own| ends_alike(own, cgroup));
            ends_alike || (self.names_unit(cgroup) && !is_of_first_systemd(cgroup))
        })
    }

    /// What a kill that is surely the application's accounts for: a killed process may have been idle, unless it asked for
    /// the memory itself, or all ended with it.
    fn happening(&self, kill: &OomKill) -> Happening {
        let is_whole =
            self.last_main == Some(kill.pid) || self.sigkills.iter().any(|&at| is_then(at, kill));
        let application = self.application.as_ref().filter(|_| !is_whole);
        Happening {
            requests: application.and_then(|application| application.at_once()),
            doubt: application
                .filter(|_| !kill.asked_itself)
                .and_then(|application| application.doubt_of(Exit::Signal(9))),
            ..Happening::of_all(kill.at, "kernel-log", kill.text.clone())
        }
    }

    /// Whether one of the application's processes is called so now.
    fn calls_one_so(&self, kill: &OomKill) -> bool {
        let mut holders = self.application.iter().flat_map(|own| own.holders());
        holders.any(|holder| name_of(holder) == kill.name.as_bytes())
    }

    /// Whether a process is one of the application's.
    fn holds(&self, process: &Process) -> bool {
        let mut holders = self.application.iter().flat_map(|own| own.holders());
        holders.any(|holder| holder.pid == process.pid)
    }

    /// Whether a process runs in the application's unit, container or control group.
    fn is_beside(&self, other: &Cgroup) -> bool {
        let is_alike = |own: &Rc<Cgroup>| {
            own.memory == other.memory
                || own.container.is_some() && own.container == other.container
        };
        self.names_unit(other) || self.cgroups.iter().any(is_alike)
    }

    /// Whether the application or its unit says that a SIGKILL ended one of its processes then.
    fn lost_one_to_a_sigkill(&self, kill: &OomKill) -> bool {
        let own = self.application.iter().flat_map(|own| own.sigkills());
        own.map(|(at, _)| at)
            .chain(self.sigkills.iter().copied())
            .any(|at| is_then(at, kill))
    }

    /// Whether the application's own log says that this very process was killed then.
    fn says_it_lost(&self, kill: &OomKill) -> bool {
        let mut own = self.application.iter().flat_map(|own| own.sigkills());
        own.any(|(at, worker)| worker == Some(kill.pid) && is_then(at, kill))
    }
}

/// Whether a unit failed at once: then all of its processes had ended.
fn has_failed_at_once(at: Timestamp, later: &[Entry]) -> bool {
    let until = at.as_second() + BEFORE;
    later
        .iter()
        .take_while(|entry| entry.at.as_second() <= until)
        .any(|entry| {
            let what = entry.event.as_ref().map(|event| &event.what);
            matches!(what, Some(UnitChange::Failed(_)))
        })
}

fn is_then(at: Timestamp, kill: &OomKill) -> bool {
    let second = kill.at.as_second();
    (second - BEFORE..=second + BEFORE).contains(&at.as_second())
}

fn is_near(at: Timestamp, incident: &Incident) -> bool {
    let second = at.as_second();
    incident
        .seconds
        .range(second - AFTER..=second + BEFORE)
        .next()
        .is_some()
}

/// Whether no stranger's group stands above the unit, such as that of a container whose kind the path does not tell: its
/// systemd may have a unit of the same name.
fn is_of_first_systemd(cgroup: &Cgroup) -> bool {
    let mut above = cgroup
        .path
        .split('/')
        .filter(|component| !component.is_empty())
        .take_while(|component| component.strip_suffix(".service").is_none());
    above.all(|component| component.strip_suffix(".slice").is_some())
}

/// Whether a path ends as the own one does, and begins otherwise.
fn ends_alike(own: &Cgroup, killed: &Cgroup) -> bool {
    own.memory.len() > 1
        && killed.path.len() > own.memory.len()
        && killed.path.ends_with(&own.memory)
}

/// Whether two processes share a group that is one program's: not all have one.
fn is_same_group(own: &Cgroup, killed: &Cgroup) -> bool {
    if let (Some(own), Some(killed)) = (&own.container, &killed.container) {
        return own.id == killed.id;
    }
    let is_shared = own.memory == "/"
        || own.memory.contains(".slice/session-")
        || own.memory.strip_suffix(".slice").is_some();
    own.memory == killed.path && !is_shared
}

/// A process's name as the kernel keeps it.
fn name_of(process: &Process) -> &[u8] {
    let comm = &process.comm;
    comm.get(..NAME_BYTES).unwrap_or(comm)
}
