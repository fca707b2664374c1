//! The application behind a peer: its processes, its settings, and what its own log says.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bstr::ByteSlice as _;
use facts::application::log::{AppEvent, What};
use facts::application::{Kind, Settings, SettingsSource, SpokenProtocol};
use facts::forwarder::Forwarder;
use facts::process::Process;
use facts::{Exhibit, Gap, GapKind, PeerAddress, ProbeRequest, View};
use jiff::Timestamp;
use log::error::Protocol;

use super::happenings::{AFTER, BEFORE, EVENTS_SHOWN};
use super::network::Reached;
use super::processes::{command_line, program};
use super::queue::Stopped;
use super::{Case, known};
use crate::incident::Incident;

/// The newest part of an application's log that is read: its stamps come in every form, so it is not searched.
const LOG_LIMIT: u64 = 4 << 20;

/// Settings files that name further ones: this deep and no deeper.
const FILE_ROUNDS: usize = 4;

/// The application that a peer's address reaches now.
pub(crate) struct Application {
    pub(super) reached: Reached,
    pub(super) kind: Option<Kind>,
    pub(super) settings: Settings,
    pub(super) units: Vec<String>,
    pub(super) log: Rc<OwnLog>,
    /// Why who holds the socket may not be who answers, where that is so.
    handed_on: Option<HandedOn>,
}

/// What shows that those who accept connections may not be those who answer.
struct HandedOn {
    why: String,
    /// Whether who answers runs on this host all the same.
    is_local: bool,
}

/// Programs that lead connections or requests on, to another host as well: names as the kernel keeps them.
const RELAYS: [&str; 22] = [
    "apache2",
    "caddy",
    "docker-proxy",
    "envoy",
    "haproxy",
    "httpd",
    "kubectl",
    "lighttpd",
    "ncat",
    "nginx",
    "passt",
    "pasta",
    "rootlessport",
    "slirp4netns",
    "socat",
    "squid",
    "ssh",
    "sshd",
    "stunnel",
    "systemd-socket-",
    "traefik",
    "varnishd",
];

/// An application's own log.
#[derive(Default)]
pub(crate) struct OwnLog {
    pub(super) events: Vec<AppEvent>,
    /// Where it was read; empty when it could not be.
    pub(super) places: Vec<String>,
    /// Another application that writes there as well.
    pub(super) shared_with: Option<String>,
}

/// Whether the application speaks what nginx speaks to it.
pub(crate) enum Speaks {
    /// It does; the exhibit shows it.
    Same(Exhibit),
    /// It does not, or nobody knows.
    Unknown(Gap),
}

/// How long an application keeps an idle connection.
pub(crate) enum Idle {
    /// It closes each connection after its response.
    Never(Exhibit),
    /// For so long.
    For(IdleTimeout),
}

/// An idle time-out, where it is set.
pub(crate) struct IdleTimeout {
    /// How long.
    pub(crate) after: Duration,
    /// What its program calls it.
    pub(crate) name: &'static str,
    /// The setting in words.
    pub(crate) text: String,
}

/// A time-out of the application's own, where it is known.
pub(crate) struct TimeoutSetting {
    name: &'static str,
    text: Option<String>,
}

impl TimeoutSetting {
    /// ` (its time-out is 30 s, by its command line)`, or nothing.
    pub(crate) fn summary(&self) -> String {
        self.text
            .as_ref()
            .map(|text| format!(" ({text})"))
            .unwrap_or_default()
    }

    /// What its program calls it.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The setting.
    pub(crate) fn exhibit(&self) -> Option<Exhibit> {
        self.text.as_ref().map(|text| Exhibit::Record {
            probe: "process",
            at: None,
            text: text.clone(),
        })
    }
}

impl Application {
    /// Program and pid, for people.
    pub(crate) fn who(&self) -> String {
        self.reached.who()
    }

    /// The listener.
    pub(crate) fn exhibit(&self) -> Exhibit {
        self.reached.exhibit.clone()
    }

    /// Whether it is an nginx itself.
    pub(crate) fn is_nginx(&self) -> bool {
        self.holders().iter().any(|holder| holder.nginx().is_some())
    }

    /// What kind of program it is.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Whether it is a php-fpm of which no file tells the pool: how many children it may have, and where it logs, is not
    /// known.
    pub(crate) fn is_of_no_known_pool(&self) -> bool {
        self.kind == Some(Kind::PhpFpm) && self.settings.name.is_none()
    }

    /// What it was told.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The processes that hold its socket, the oldest first.
    pub(super) fn holders(&self) -> &[Process] {
        &self.reached.holders
    }

    /// The units that these run in.
    pub(super) fn units(&self) -> &[String] {
        &self.units
    }

    /// Why those who hold its socket may not be those who answer, where that is so: that they run shows nothing then.
    pub(super) fn may_hand_on(&self) -> Option<&str> {
        self.handed_on
            .as_ref()
            .map(|handed_on| handed_on.why.as_str())
    }

    /// Whether all who may answer run on this host.
    pub(super) fn is_all_local(&self) -> bool {
        self.handed_on
            .as_ref()
            .is_none_or(|handed_on| handed_on.is_local)
    }

    /// What its own log tells.
    pub(super) fn events(&self) -> &[AppEvent] {
        &self.log.events
    }

    /// How it can be started anew without cutting off what it is answering.
    pub(crate) fn graceful(&self) -> &'static str {
        match self.kind {
            Some(Kind::Gunicorn) => {
                "reload it instead of restarting it (SIGHUP): its workers end what they are answering within --graceful-timeout"
            }
            Some(Kind::PhpFpm) => {
                "set process_control_timeout, by default 0, so that children end what they are answering"
            }
            Some(Kind::Uwsgi) => {
                "reload it instead of restarting it (SIGHUP, --reload-mercy): its workers end what they are answering"
            }
            Some(Kind::Puma) => {
                "use a phased restart (SIGUSR1): its workers are replaced one by one"
            }
            Some(Kind::Unicorn) => {
                "start the new master beside the old one (SIGUSR2), then end the old one (SIGQUIT)"
            }
            Some(Kind::Uvicorn) => {
                "give it time to end what it is answering: --timeout-graceful-shutdown"
            }
            Some(Kind::Hypercorn) => "give it time to end what it is answering: --graceful-timeout",
            Some(Kind::Node) => "have it close its server at SIGTERM and end what it is answering",
            Some(Kind::Java) => {
                "have it end what it is answering: server.shutdown=graceful (Spring Boot)"
            }
            Some(Kind::PythonHttpServer) | None => {
                "have it end what it is answering before it stops"
            }
        }
    }

    /// Where its own log was read.
    pub(super) fn log_places(&self) -> &[String] {
        &self.log.places
    }

    /// Where its log is, for people.
    pub(crate) fn log_place(&self) -> String {
        self.log
            .places
            .first()
            .cloned()
            .unwrap_or_else(|| "its own log".to_owned())
    }

    /// Whether it ran when the incident began.
    pub(crate) fn started_before(&self, incident: &Incident) -> bool {
        self.started_late(incident).is_none()
    }

    /// Why it may not have run when the incident began, such as `started after the first failure`.
    pub(crate) fn started_late(&self, incident: &Incident) -> Option<&'static str> {
        match self.reached.since() {
            Some(since) => incident.too_late(since),
            None => Some("started nobody knows when"),
        }
    }

    /// That none of its processes can have ended while it failed: each that holds the socket has run since before, none
    /// is missing, and its kind replaces what ends. php-fpm starts children only as it needs them, and of a program of no
    /// known kind only a single process can be told. Where others may answer than those who hold the socket, nothing can.
    pub(crate) fn ran_throughout(&self, incident: &Incident) -> Option<Exhibit> {
        // A process that started within the first failing second may have replaced one that failed in it.
        self.ran_since(incident.first_seen)
    }

    /// The same since before a time at or before the first failure.
    pub(super) fn ran_since(&self, time: Timestamp) -> Option<Exhibit> {
        if self.may_hand_on().is_some() {
            return None;
        }
        let holders = &self.reached.holders;
        let newest = holders.iter().map(|holder| holder.start).max()?;
        let is_certain = self.settings.is_certain("workers");
        let workers = self
            .settings
            .workers
            .as_ref()
            .map_or(1, |workers| workers.value as usize);
        let is_told = match self.kind {
            // A master, and its workers: one that just ended may not have been replaced yet.
            Some(Kind::Gunicorn | Kind::Unicorn) => is_certain && holders.len() > workers,
            Some(Kind::Uvicorn | Kind::Hypercorn) => {
                is_certain && (workers == 1 || holders.len() > workers)
            }
            Some(Kind::PhpFpm | Kind::Uwsgi | Kind::Puma) => false,
            Some(Kind::Node | Kind::Java | Kind::PythonHttpServer) | None => holders.len() == 1,
        };
        (is_told && newest < time).then(|| Exhibit::Record {
            probe: "process",
            at: Some(newest),
            text: match holders.len() {
                1 => format!("{} has run since before the first failure", self.who()),
                n => format!(
                    "all {n} processes of {} have run since before the first failure",
                    self.who()
                ),
            },
        })
    }

    /// Its processes that a signal has stopped, where these are all that accept.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        self.reached.stopped()
    }

    /// What its own log says in the failing seconds, whatever it is.
    pub(crate) fn said(&self, incident: &Incident) -> Vec<Exhibit> {
        let is_failing = |at: Timestamp| {
            let second = at.as_second();
            incident
                .seconds
                .range(second - AFTER..=second + BEFORE)
                .next()
                .is_some()
        };
        let said = self
            .log
            .events
            .iter()
            .filter_map(|event| Some((event.at?, event)))
            .filter(|(at, _)| is_failing(*at));
        let exhibit = |(at, event): (Timestamp, &AppEvent)| Exhibit::Record {
            probe: "application-log",
            at: Some(at),
            text: event.text.trim().to_owned(),
        };
        said.take(EVENTS_SHOWN).map(exhibit).collect()
    }

    /// That it ran as many children as it may: requests wait in its queue, and it has not even seen them.
    pub(crate) fn is_exhausted(&self, incident: &Incident) -> Option<String> {
        let last = incident.last_seen.as_second() + AFTER;
        // Pools share their master's log.
        let event = self.log.events.iter().rev().find(|event| {
            matches!(event.what, What::MaxChildren { .. })
                && (event.pool.is_none() || event.pool == self.settings.name)
                && event.at.is_some_and(|at| at.as_second() <= last)
        });
        match event {
            Some(event) => Some(format!(
                "{} runs as many children as it may, and requests wait: {}",
                self.who(),
                event.text.trim()
            )),
            None if self.kind == Some(Kind::PhpFpm) && self.reached.is_waited_for() => {
                Some(format!(
                    "requests wait in the queue of {}: all of its children may be busy",
                    self.who()
                ))
            }
            None => None,
        }
    }

    /// After how long it ends a worker.
    pub(crate) fn timeout_setting(&self) -> TimeoutSetting {
        let name = match self.kind {
            Some(Kind::Gunicorn) => "gunicorn's --timeout",
            Some(Kind::Uwsgi) => "uWSGI's harakiri",
            Some(Kind::PhpFpm) => "php-fpm's request_terminate_timeout",
            Some(Kind::Unicorn) => "unicorn's timeout",
            Some(Kind::Puma) => "puma's worker_timeout",
            _ => "the application's time-out",
        };
        let set = self
            .settings
            .timeout
            .as_ref()
            .and_then(|setting| Some((setting.value.duration()?, &setting.origin)));
        TimeoutSetting {
            name,
            text: set
                .map(|(after, origin)| format!("{name} is {} s, by {origin}", after.as_secs())),
        }
    }

    /// Whether node runs it.
    pub(crate) fn is_node(&self) -> bool {
        self.kind == Some(Kind::Node)
    }

    /// How long it keeps an idle connection.
    pub(crate) fn idle(&self) -> Result<Idle, Gap> {
        let name = match self.kind {
            Some(Kind::Gunicorn | Kind::Unicorn) => "keepalive",
            Some(Kind::Java) => "keepAliveTimeout",
            Some(Kind::Uvicorn) => "timeout_keep_alive",
            Some(Kind::Hypercorn) => "keep_alive_timeout",
            _ => {
                return Err(Gap::undecided(
                    "how long the application keeps an idle connection",
                    format!("{} does not show it", self.who()),
                ));
            }
        };
        let setting = self
            .settings
            .keepalive
            .as_ref()
            .filter(|_| self.settings.is_certain("keepalive"))
            .ok_or_else(|| {
                Gap::undecided(
                    "how long the application keeps an idle connection",
                    "its settings cannot be read for certain",
                )
            })?;
        let text = format!(
            "{} closes an idle connection after {} s, by {}",
            self.who(),
            setting.value.as_secs(),
            setting.origin
        );
        if setting.value.is_zero() {
            let text = format!(
                "{} closes each connection after its response, by {}",
                self.who(),
                setting.origin
            );
            return Ok(Idle::Never(Exhibit::Record {
                probe: "process",
                at: None,
                text,
            }));
        }
        Ok(Idle::For(IdleTimeout {
            after: setting.value,
            name,
            text,
        }))
    }

    /// What it speaks at the peer's address, by its settings or its kind.
    pub(super) fn spoken(&self, incident: &Incident) -> Option<SpokenProtocol> {
        spoken_at(&self.settings, self.kind?, incident.address.as_ref()?)
    }
}

/// What an application speaks at an address, by its settings or its kind.
pub(crate) fn spoken_at(
    settings: &Settings,
    kind: Kind,
    address: &PeerAddress,
) -> Option<SpokenProtocol> {
    let bound = settings
        .binds
        .iter()
        .find(|bound| bound.bind.takes(address) == Some(true));
    match (bound, kind) {
        (Some(bound), _) => Some(bound.protocol),
        (None, Kind::PhpFpm) => Some(SpokenProtocol::FastCgi),
        (None, Kind::PythonHttpServer) => Some(SpokenProtocol::Http),
        (None, _) => None,
    }
}

impl Case {
    /// The application that the peer's address reaches now.
    pub(crate) fn application(&self, incident: &Incident) -> Result<Rc<Application>, Gap> {
        self.evidence.once(
            format!("application {} {}", incident.instance, incident.peer),
            || {
                let reached = self.listener_of(incident)?;
                let Some(master) = reached.holders.first().cloned() else {
                    return Err(Gap::new(
                        GapKind::Denied,
                        format!("the process behind {}", incident.peer),
                        "which process holds the socket needs root",
                    )
                    .learn("sudo why502"));
                };
                let kind = reached
                    .holders
                    .iter()
                    .find_map(|holder| Kind::recognise(&holder.args));
                let settings = match kind {
                    Some(Kind::PhpFpm) => self.pool_settings(incident)?,
                    Some(kind) => self.settings(kind, &master)?,
                    None => Settings::default(),
                };
                let units = self.units_of(&reached.holders)?;
                let log = self.own_log(kind, &master, &settings, &units)?;
                let handed_on = self.handed_on(kind, &reached)?;
                Ok(Application {
                    reached,
                    kind,
                    settings,
                    units,
                    log,
                    handed_on,
                })
            },
        )
    }

    /// Whether those who hold a socket may not be those who answer.
    fn handed_on(&self, kind: Option<Kind>, reached: &Reached) -> Result<Option<HandedOn>, Gap> {
        let holders = &reached.holders;
        let mut forwarders = holders.iter();
        if let Some(to) = forwarders.find_map(|holder| Forwarder::parse(&holder.args)) {
            return Ok(Some(HandedOn {
                why: format!("{} leads connections on to {}", reached.who(), to.to),
                is_local: true,
            }));
        }
        if kind.is_none()
            && let Some(relay) = holders
                .iter()
                .find(|holder| is_relay(&holder.comm) || holder.nginx().is_some())
        {
            return Ok(Some(HandedOn {
                why: format!(
                    "{} (pid {}) may lead requests on to another program",
                    program(relay),
                    relay.pid
                ),
                is_local: false,
            }));
        }
        // Node's cluster module and the like: the primary accepts, and hands what it accepted to its children. It stops to
        // listen where none of them is left.
        if !matches!(kind, None | Some(Kind::Node | Kind::PythonHttpServer)) {
            return Ok(None);
        }
        let processes = self.processes()?;
        let holds = |pid: u32| holders.iter().any(|holder| holder.pid == pid);
        let child = processes
            .values()
            .find(|child| !child.is_zombie && holds(child.ppid) && !holds(child.pid));
        Ok(child.map(|child| HandedOn {
            why: format!(
                "{} (pid {}), a child of {}, may be one that answers",
                program(child),
                child.pid,
                reached.who()
            ),
            is_local: true,
        }))
    }

    /// What an application was told, by its command line, its environment and the files these name.
    pub(crate) fn settings(&self, kind: Kind, process: &Process) -> Result<Settings, Gap> {
        let environment = self.variables(kind, process.pid)?;
        let mut files: Vec<(PathBuf, Option<Vec<u8>>)> = Vec::new();
        for _ in 0..FILE_ROUNDS {
            let source = SettingsSource {
                args: &process.args,
                environment: &environment,
                files: &files,
            };
            let settings = Settings::of(kind, &source);
            let unread: Vec<PathBuf> = settings
                .config_files
                .iter()
                .filter(|path| !files.iter().any(|(known, _)| known == *path))
                .cloned()
                .collect();
            if unread.is_empty() {
                return Ok(settings);
            }
            for path in unread {
                let bytes = self.file_of(process, &path)?;
                files.push((path, bytes));
            }
        }
        let source = SettingsSource {
            args: &process.args,
            environment: &environment,
            files: &files,
        };
        Ok(Settings::of(kind, &source))
    }

    fn variables(&self, kind: Kind, pid: u32) -> Result<Vec<(String, String)>, Gap> {
        let names: Vec<String> = kind
            .variables()
            .iter()
            .map(|&name| name.to_owned())
            .collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let variables = known(
            self.evidence
                .fact(&ProbeRequest::Environment { pid, names }, |_, bytes| {
                    bytes.to_vec()
                }),
        )?;
        let variables = variables
            .map(|bytes| bytes.to_str_lossy().into_owned())
            .unwrap_or_default();
        let pairs = variables
            .split('\0')
            .filter_map(|entry| entry.split_once('='));
        Ok(pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    /// A file as a process would open it.
    fn file_of(&self, process: &Process, path: &Path) -> Result<Option<Vec<u8>>, Gap> {
        let (view, path) = self.path_of(process, path)?;
        let request = ProbeRequest::whole_file(view, path);
        Ok(
            known(self.evidence.fact(&request, |_, bytes| bytes.to_vec()))?
                .map(|bytes| bytes.to_vec()),
        )
    }

    /// A path of a process: relative to its working directory, in its own view.
    pub(super) fn path_of(&self, process: &Process, path: &Path) -> Result<(View, PathBuf), Gap> {
        let view = self.view_of(process.pid)?;
        if path.is_absolute() {
            return Ok((view, path.to_owned()));
        }
        let directory = self.working_directory(process)?;
        let directory = directory.unwrap_or_else(|| PathBuf::from("/"));
        Ok((view, directory.join(path)))
    }

    /// The directory that a process runs in, where that may be seen.
    pub(crate) fn working_directory(&self, process: &Process) -> Result<Option<PathBuf>, Gap> {
        let link = ProbeRequest::Link {
            path: PathBuf::from(format!("/proc/{}/cwd", process.pid)),
        };
        let target = known(self.evidence.fact(&link, |_, bytes| bytes.to_vec()))?;
        Ok(target.map(|bytes| PathBuf::from(bytes.to_os_str_lossy().into_owned())))
    }

    /// An application's own log: the files it is told to write, or where its standard output and error go, or its
    /// unit's journal.
    fn own_log(
        &self,
        kind: Option<Kind>,
        process: &Process,
        settings: &Settings,
        units: &[String],
    ) -> Result<Rc<OwnLog>, Gap> {
        self.evidence.once(format!("own log {}", process.pid), || {
            let Some(kind) = kind else {
                return Ok(OwnLog::default());
            };
            let mut files: Vec<(View, PathBuf)> = Vec::new();
            for log in settings.logs.iter().filter(|log| !log.is_access) {
                files.push(self.path_of(process, &log.path)?);
            }
            if files.is_empty() {
                let view = self.view_of(process.pid)?;
                for descriptor in [2, 1] {
                    files.extend(
                        self.descriptor_file(process.pid, descriptor)?
                            .map(|path| (view, path)),
                    );
                }
            }
            files.dedup();
            let mut log = OwnLog {
                shared_with: self.other_writer(kind, process, settings.name.as_deref(), &files)?,
                ..OwnLog::default()
            };
            let zone = self.host_zone()?;
            for (view, path) in files {
                let request = ProbeRequest::LinesSince {
                    view,
                    path: path.clone(),
                    from: String::new(),
                    limit: LOG_LIMIT,
                };
                let events = self.evidence.fact(&request, |_, bytes| {
                    facts::application::log::events(kind, bytes, &zone)
                });
                if let Some(events) = known(events)? {
                    log.events.extend(events.iter().cloned());
                    log.places.push(path.display().to_string());
                }
            }
            for unit in units.iter().filter(|unit| unit.ends_with(".service")) {
                let Some(journal) = known(self.journal(unit))? else {
                    continue;
                };
                for entry in journal.iter().filter(|entry| entry.event.is_none()) {
                    if let Some(event) =
                        facts::application::log::event(kind, &entry.message, &zone, Some(entry.at))
                    {
                        facts::application::log::add(&mut log.events, event);
                    }
                }
                log.places.push(format!("journalctl -u {unit}"));
            }
            Ok(log)
        })
    }

    /// Whether what listens there now answered nginx since it started, by the access log, and in no other protocol than the
    /// incident's: none other is spoken to it.
    pub(crate) fn has_answered(&self, incident: &Incident) -> Result<bool, Gap> {
        let since =
            known(self.application(incident))?.and_then(|application| application.reached.since());
        let (Some(since), true) = (since, self.is_dialled_in_one_protocol(incident)?) else {
            return Ok(false);
        };
        let answered = self.answered(incident, &(since.as_second() + 1..=i64::MAX));
        Ok(known(answered)?.flatten().is_some())
    }

    /// What the application is set to speak at the peer's address, since before the first failure. `None` where its kind
    /// or its settings do not tell, or a file of settings has changed since it started.
    pub(crate) fn set_to_speak(
        &self,
        incident: &Incident,
    ) -> Result<Option<(SpokenProtocol, Exhibit)>, Gap> {
        let application = self.application(incident)?;
        let (Some(spoken), Some(process), Some(since)) = (
            application.spoken(incident),
            application.reached.holders.first(),
            application.reached.since(),
        ) else {
            return Ok(None);
        };
        if !application.started_before(incident) {
            return Ok(None);
        }
        if !self.has_read_its_files(&application)? {
            return Ok(None);
        }
        let text = format!(
            "{} speaks {}: {}",
            application.who(),
            name_of(spoken),
            command_line(process)
        );
        Ok(Some((
            spoken,
            Exhibit::Record {
                probe: "process",
                at: Some(since),
                text,
            },
        )))
    }

    /// Whether the application's files of settings stand as it read them, once, when it started.
    pub(super) fn has_read_its_files(&self, application: &Application) -> Result<bool, Gap> {
        let (Some(process), Some(since)) = (
            application.reached.holders.first(),
            application.reached.since(),
        ) else {
            return Ok(false);
        };
        let read = since
            .checked_add(super::config::CLOCK_GRAIN)
            .unwrap_or(since);
        for path in &application.settings.config_files {
            let (view, path) = self.path_of(process, path)?;
            let request = ProbeRequest::whole_file(view, path);
            let record = self.evidence.record(&request)?;
            // Its program looks for some files that nobody made.
            if matches!(record.answer, facts::Answer::Errno(2)) {
                continue;
            }
            if super::evidence::stat_of(record).is_none_or(|stat| stat.changed > read) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the application speaks what nginx speaks to it.
    pub(crate) fn speaks(&self, incident: &Incident) -> Result<Speaks, Gap> {
        spoken_once(incident)?;
        let application = self.application(incident)?;
        let (spoken, wanted) = (application.spoken(incident), incident.protocol);
        let is_other = spoken
            .zip(wanted)
            .is_some_and(|(spoken, wanted)| is_surely_other(spoken, wanted));
        // What answered before it started may have been another program.
        if !is_other
            && let Some(since) = application.reached.since()
            && let Some(answered) = self.answered(incident, &(since.as_second() + 1..=i64::MAX))?
        {
            return Ok(Speaks::Same(answered));
        }
        let gap = |why: String| {
            Gap::undecided(
                format!(
                    "whether {} speaks what nginx speaks to it",
                    application.who()
                ),
                why,
            )
        };
        let leaning = || {
            format!(
                "{} did not answer in time: slow, or deaf to what nginx speaks",
                application.who()
            )
        };
        let (Some(spoken), Some(wanted)) = (spoken, wanted) else {
            return Ok(Speaks::Unknown(
                gap(
                    "no answer of it stands in the access log, and its kind does not tell"
                        .to_owned(),
                )
                .learn("log $upstream_addr and $upstream_header_time")
                .leaning(leaning()),
            ));
        };
        if is_same_protocol(spoken, wanted) {
            let process = application
                .reached
                .holders
                .first()
                .map(command_line)
                .unwrap_or_default();
            return Ok(Speaks::Same(Exhibit::Record {
                probe: "process",
                at: None,
                text: format!(
                    "{} speaks {wanted}, as nginx does: {process}",
                    application.who()
                ),
            }));
        }
        Ok(Speaks::Unknown(
            gap(format!(
                "it speaks {}, nginx speaks {wanted}",
                name_of(spoken)
            ))
            .leaning(format!(
                "{} speaks {}, nginx speaks {wanted} to it",
                application.who(),
                name_of(spoken)
            )),
        ))
    }
}

/// Whether an application that speaks the one is asked in the other.
pub(crate) fn is_same_protocol(spoken: SpokenProtocol, wanted: Protocol) -> bool {
    matches!(
        (spoken, wanted),
        (SpokenProtocol::Http, Protocol::Http)
            | (SpokenProtocol::Https, Protocol::Https)
            | (SpokenProtocol::Uwsgi, Protocol::Uwsgi)
            | (SpokenProtocol::FastCgi, Protocol::Fastcgi)
            | (SpokenProtocol::Scgi, Protocol::Scgi)
    )
}

/// That all of it failed in one protocol.
pub(crate) fn spoken_once(incident: &Incident) -> Result<(), Gap> {
    if incident.has_other_protocols {
        return Err(Gap::undecided(
            format!("what nginx speaks to {}", incident.peer),
            "it failed in several protocols",
        )
        .leaning("several locations dial it, and not all in one protocol: one of them is wrong"));
    }
    Ok(())
}

/// gRPC needs HTTP/2, and uwsgi may be spoken over TLS: no settings tell either.
fn is_surely_other(spoken: SpokenProtocol, wanted: Protocol) -> bool {
    !matches!(wanted, Protocol::Grpc | Protocol::Grpcs | Protocol::Suwsgi)
        && !is_same_protocol(spoken, wanted)
}

/// Whether a program of this name leads on what it accepts; also the name of its version, such as `stunnel4`, and systemd
/// itself, which starts who answers.
fn is_relay(comm: &[u8]) -> bool {
    let unversioned = comm.trim_end_with(|char| char.is_ascii_digit() || char == '.');
    let is_it = |name: &&str| comm == name.as_bytes() || unversioned == name.as_bytes();
    comm == b"systemd" || RELAYS.iter().any(is_it)
}

fn name_of(spoken: SpokenProtocol) -> &'static str {
    match spoken {
        SpokenProtocol::Http => "http",
        SpokenProtocol::Https => "https",
        SpokenProtocol::Uwsgi => "uwsgi",
        SpokenProtocol::FastCgi => "fastcgi",
        SpokenProtocol::Scgi => "scgi",
    }
}
