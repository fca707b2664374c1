//! Who owns a peer's address: the systemd unit that is meant to listen there, by its unit file or its php-fpm pool.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bstr::ByteSlice as _;
use facts::application::Kind;
use facts::application::log::What;
use facts::journal::{Entry, UnitChange};
use facts::process::Process;
use facts::systemd::{Ended, Unit, UnitFile};
use facts::{Exhibit, Gap, PeerAddress, ProbeRequest, View};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::config::CLOCK_GRAIN;
use super::pools::FailedStart;
use super::{Case, Instance, known};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Fix, Safety, Step};

/// Where administrators' units stand; a name in an earlier one hides the same name in a later one.
const UNIT_FOLDERS: [&str; 2] = ["/etc/systemd/system", "/run/systemd/system"];

/// Entries of a unit's journal that are read: the last ones.
const JOURNAL_LINES: u32 = 2000;

/// The programs that say where they listen.
const KINDS: [Kind; 7] = [
    Kind::Gunicorn,
    Kind::Uvicorn,
    Kind::Hypercorn,
    Kind::Uwsgi,
    Kind::PhpFpm,
    Kind::Puma,
    Kind::Unicorn,
];

/// Journal lines that are shown.
const LINES_SHOWN: usize = 3;

/// The unit that is meant to listen on an address.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    unit: String,
    /// What says that it is meant to.
    claim: Exhibit,
    /// Its state, where systemd tells.
    state: Option<Unit>,
    /// The last lines of its journal.
    journal: Vec<Entry>,
    /// Why its php-fpm could not start, by its own log.
    failed_start: Option<FailedStart>,
}

/// nginx's own unit.
pub(crate) struct NginxUnit {
    pub(crate) name: String,
    state: Option<Unit>,
    journal: Vec<Entry>,
}

impl Owner {
    /// Its name.
    pub(crate) fn unit(&self) -> &str {
        &self.unit
    }

    /// Whether systemd says that it does not run.
    pub(crate) fn is_down(&self) -> bool {
        self.state.as_ref().is_some_and(|state| !state.is_active())
    }

    /// Whether it did not run at that time, or not yet again: what it runs now is known to come from that restart.
    pub(crate) fn was_restarted_in(&self, at: Timestamp) -> bool {
        downtimes(&self.journal).iter().any(|down| {
            down.from.as_second() <= at.as_second()
                && down.to.is_some_and(|to| to.as_second() >= at.as_second())
        })
    }

    /// Its last main process, where that has ended.
    pub(super) fn last_main(&self) -> Option<u32> {
        let state = self.state.as_ref().filter(|_| self.is_down())?;
        state.exec_main_pid
    }

    /// Its state in words.
    pub(crate) fn state(&self) -> String {
        let state = match &self.state {
            Some(state) => describe(state),
            None => format!("{} is meant to", self.unit),
        };
        match self.failed_start() {
            Some(failed) => format!("{state}; its php-fpm could not start: {}", failed.why),
            None => state,
        }
    }

    /// Why it could not start: of one that runs, that is past.
    fn failed_start(&self) -> Option<&FailedStart> {
        let runs = self.state.as_ref().is_some_and(Unit::is_active);
        self.failed_start.as_ref().filter(|_| !runs)
    }

    /// Its claim on the address, its state, and the last that its journal says.
    pub(crate) fn exhibits(&self) -> Vec<Exhibit> {
        let mut exhibits = vec![self.claim.clone()];
        exhibits.extend(self.state.as_ref().map(state_exhibit));
        exhibits.extend(self.failed_start().map(|failed| failed.exhibit.clone()));
        if self.is_down() {
            exhibits.extend(last_lines(&self.journal));
        }
        exhibits
    }

    /// Starting it, or starting it anew.
    pub(crate) fn start(&self) -> Fix {
        let (verb, first) = match &self.state {
            Some(state) if state.is_active() => (
                "restart",
                Some(format!(
                    "see why {} does not listen there: journalctl -u {}",
                    self.unit, self.unit
                )),
            ),
            Some(state) if state.active_state == "failed" => (
                "start",
                Some(format!(
                    "mend what keeps it from running: journalctl -u {}",
                    self.unit
                )),
            ),
            _ => ("start", None),
        };
        let first = match self.failed_start() {
            Some(failed) => Some(format!(
                "mend what keeps it from starting, as said above and in {}: a pool's file, or what holds its address",
                failed.log.display()
            )),
            None => first,
        };
        let mut steps: Vec<Step> = first
            .map(|text| Step::Advice { text })
            .into_iter()
            .collect();
        steps.push(Step::command(["systemctl", verb, &self.unit]));
        Fix {
            summary: format!("{verb} {}", self.unit),
            safety: Safety::Unsafe,
            steps,
            verify: Some(AGAIN.to_owned()),
        }
    }
}

impl NginxUnit {
    /// Its state, and the last that its journal says.
    pub(crate) fn exhibits(&self) -> Vec<Exhibit> {
        let mut exhibits: Vec<Exhibit> = self.state.iter().map(state_exhibit).collect();
        exhibits.extend(last_lines(&self.journal));
        exhibits
    }
}

/// A unit's state in words: `shop.service failed (exit-code, status 203) at ...`.
fn describe(state: &Unit) -> String {
    let how = match state.exec_main_exit {
        _ if state.result == "success" || state.result.is_empty() => String::new(),
        Some(Ended::Exited(status)) => format!(" ({}, status {status})", state.result),
        Some(Ended::Killed(signal) | Ended::Dumped(signal)) => {
            format!(" ({}, signal {signal})", state.result)
        }
        None => format!(" ({})", state.result),
    };
    match state.active_state.as_str() {
        "failed" => format!("{} has failed{how}", state.id),
        "inactive" => format!("{} is stopped{how}", state.id),
        "activating" if state.sub_state == "auto-restart" => {
            format!("{} ends and is started again and again{how}", state.id)
        }
        "activating" => format!("{} is still starting", state.id),
        "active" | "reloading" => format!("{} runs", state.id),
        other => format!("{} is {other}{how}", state.id),
    }
}

fn state_exhibit(state: &Unit) -> Exhibit {
    Exhibit::Record {
        probe: "unit",
        at: state.state_change,
        text: describe(state),
    }
}

/// The lines that tell most, each once, in their order: those that name an error before the program's other words, and
/// these before what systemd adds.
fn last_lines(journal: &[Entry]) -> Vec<Exhibit> {
    let mut seen = BTreeSet::new();
    let mut lines: Vec<(u8, usize, &Entry)> = journal
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, entry)| !entry.message.is_empty() && seen.insert(entry.message.as_slice()))
        .map(|(idx, entry)| (telling(entry), idx, entry))
        .filter(|(rank, _, _)| *rank < 3)
        .collect();
    lines.sort_by_key(|(rank, _, _)| *rank);
    lines.truncate(LINES_SHOWN);
    lines.sort_by_key(|(_, idx, _)| *idx);
    lines
        .into_iter()
        .map(|(_, _, entry)| Exhibit::Record {
            probe: "journal",
            at: Some(entry.at),
            text: entry.message.to_str_lossy().trim().to_owned(),
        })
        .collect()
}

/// How much an entry tells: 0 the most, 3 nothing.
fn telling(entry: &Entry) -> u8 {
    const ERRORS: [&str; 10] = [
        "rror",
        "ailed",
        "annot",
        "an't",
        "denied",
        "in use",
        "emerg",
        "No such file",
        "Traceback",
        "xception",
    ];
    match entry.event.as_ref().map(|event| &event.what) {
        Some(UnitChange::SpawnFailed) => 0,
        Some(
            UnitChange::ProcessExited { .. }
            | UnitChange::Failed(_)
            | UnitChange::StartFailed(_)
            | UnitChange::OutOfMemory,
        ) => 2,
        Some(_) => 3,
        None if ERRORS.iter().any(|word| entry.message.contains_str(word)) => 0,
        None => 1,
    }
}

impl Case {
    /// The unit that is meant to listen on the peer's address.
    pub(crate) fn owner(&self, incident: &Incident) -> Result<Option<Owner>, Gap> {
        let owner = self.evidence.once(format!("owner {}", incident.id), || {
            let Some(address) = &incident.address else {
                return Ok(None);
            };
            let Some((unit, claim)) = self.claim_on(address)? else {
                return Ok(None);
            };
            let unit = self.service_of(&unit)?;
            let pools = self.pools()?;
            let pool = pools.iter().find(|pool| {
                pool.listens_on(address) && pool.service().as_deref() == Some(unit.as_str())
            });
            let failed_start = match pool {
                Some(pool) => self.failed_start(pool)?,
                None => None,
            };
            Ok(Some(Owner {
                state: self.unit_state(&unit)?,
                journal: known(self.journal(&unit))?
                    .map(|journal| (*journal).clone())
                    .unwrap_or_default(),
                unit,
                claim,
                failed_start,
            }))
        })?;
        Ok((*owner).clone())
    }

    /// The one unit whose file or pool names the address. Two that do own nothing: which is meant, nobody knows.
    fn claim_on(&self, address: &PeerAddress) -> Result<Option<(String, Exhibit)>, Gap> {
        if let Some(claim) = self.pool_claim(address)? {
            return Ok(Some(claim));
        }
        let units = self.unit_files()?;
        let mut claims = units
            .iter()
            .filter_map(|(name, file)| Some((name.clone(), claim_in(name, file, address)?)));
        Ok(claims.next().filter(|_| claims.next().is_none()))
    }

    /// The php-fpm pool that is set to listen there, as its service.
    fn pool_claim(&self, address: &PeerAddress) -> Result<Option<(String, Exhibit)>, Gap> {
        let pools = self.pools()?;
        let mut claims = pools.iter().filter(|pool| pool.listens_on(address));
        let Some(pool) = claims.next().filter(|_| claims.next().is_none()) else {
            return Ok(None);
        };
        let Some(service) = pool.service() else {
            return Ok(None);
        };
        Ok(Some((service, pool.exhibit())))
    }

    /// For a socket unit the service it starts: that is what may be dead.
    fn service_of(&self, unit: &str) -> Result<String, Gap> {
        if !unit.ends_with(".socket") {
            return Ok(unit.to_owned());
        }
        let state = self.unit_state(unit)?;
        Ok(state
            .and_then(|state| state.triggers.first().cloned())
            .unwrap_or_else(|| unit.to_owned()))
    }

    /// The unit files of the host's administrator, with their drop-ins.
    pub(crate) fn unit_files(&self) -> Result<Rc<BTreeMap<String, UnitFile>>, Gap> {
        self.evidence.once("unit files", || {
            let folder = |path: &str| ProbeRequest::Directory {
                view: View::Host,
                path: PathBuf::from(path),
            };
            drop(
                self.evidence
                    .batch(UNIT_FOLDERS.iter().map(|path| folder(path)))?,
            );
            let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
            let mut drop_ins = Vec::new();
            for path in UNIT_FOLDERS {
                for name in self.names_in(&folder(path)) {
                    if let Some(unit) = name.strip_suffix(".d") {
                        drop_ins.push((unit.to_owned(), Path::new(path).join(&name)));
                    } else if is_unit(&name) {
                        files
                            .entry(name.clone())
                            .or_insert_with(|| vec![Path::new(path).join(&name)]);
                    }
                }
            }
            let listing = |folder: &PathBuf| ProbeRequest::Directory {
                view: View::Host,
                path: folder.clone(),
            };
            drop(
                self.evidence
                    .batch(drop_ins.iter().map(|(_, folder)| listing(folder)))?,
            );
            for (unit, folder) in drop_ins.iter().filter(|(unit, _)| is_unit(unit)) {
                for name in self.names_in(&listing(folder)) {
                    files
                        .entry(unit.clone())
                        .or_default()
                        .push(folder.join(name));
                }
            }
            drop(
                self.evidence
                    .batch(files.values().flatten().map(ProbeRequest::host_file))?,
            );
            Ok(files
                .into_iter()
                .map(|(name, paths)| {
                    let texts = paths.iter().filter_map(|path| {
                        let (_, bytes) =
                            self.evidence.bytes(&ProbeRequest::host_file(path)).ok()?;
                        Some((path.as_path(), bytes))
                    });
                    (name, UnitFile::parse(texts))
                })
                .collect())
        })
    }

    fn names_in(&self, folder: &ProbeRequest) -> Vec<String> {
        let Ok((_, names)) = self.evidence.bytes(folder) else {
            return Vec::new();
        };
        names
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| name.to_str_lossy().into_owned())
            .collect()
    }

    /// What systemd says of a unit; `None` where there is no systemd, or no such unit.
    pub(crate) fn unit_state(&self, unit: &str) -> Result<Option<Unit>, Gap> {
        if !self.has_systemd()? || !is_unit(unit) {
            return Ok(None);
        }
        let zone = self.host_zone()?;
        let units = self
            .evidence
            .fact(&facts::systemd::show(&[unit]), |_, output| {
                facts::systemd::units(output, &zone)
            });
        let units = known(units)?;
        Ok(units.and_then(|units| units.iter().find(|unit| unit.exists()).cloned()))
    }

    /// A unit's journal since the window began.
    pub(crate) fn journal(&self, unit: &str) -> Result<Rc<Vec<Entry>>, Gap> {
        if !self.has_systemd()? || !is_unit(unit) {
            return Err(Gap::new(
                facts::GapKind::Absent,
                format!("the journal of {unit}"),
                "systemd does not run here",
            ));
        }
        let request = facts::journal::of_units(&[unit], self.window_start(), JOURNAL_LINES);
        self.evidence
            .fact(&request, |_, output| facts::journal::entries(output))
    }

    /// Whether systemd is the host's init: `sd_booted(3)` looks for the same folder.
    pub(super) fn has_systemd(&self) -> Result<bool, Gap> {
        let request = ProbeRequest::Directory {
            view: View::Host,
            path: PathBuf::from("/run/systemd/system"),
        };
        Ok(known(self.evidence.bytes(&request))?.is_some())
    }

    /// The zone of the host itself, in which its tools print times.
    pub(crate) fn host_zone(&self) -> Result<TimeZone, Gap> {
        let request = ProbeRequest::File {
            view: View::Host,
            path: PathBuf::from("/etc/localtime"),
            limit: 1 << 20,
        };
        let zone = known(
            self.evidence
                .fact(&request, |_, bytes| facts::zone::of_file(bytes)),
        )?;
        Ok(zone
            .and_then(|zone| (*zone).clone())
            .unwrap_or(TimeZone::UTC))
    }

    /// nginx's own unit: the one its master runs in or, when it does not run, the one of that name.
    pub(crate) fn nginx_unit(&self, instance: &Instance) -> Result<Option<NginxUnit>, Gap> {
        if !self.has_systemd()? {
            return Ok(None);
        }
        let name = match &instance.master {
            Some(master) => self
                .unit_of(master.pid)?
                .filter(|unit| unit.ends_with(".service") && !unit.starts_with("user@")),
            None => Some("nginx.service".to_owned()),
        };
        let Some(name) = name else { return Ok(None) };
        let state = self.unit_state(&name)?;
        if state.is_none() {
            return Ok(None);
        }
        let journal = match instance.master {
            Some(_) => Vec::new(),
            None => known(self.journal(&name))?
                .map(|journal| (*journal).clone())
                .unwrap_or_default(),
        };
        Ok(Some(NginxUnit {
            name,
            state,
            journal,
        }))
    }

    /// That one of these units said that it listened on the peer's address, and was stopped before what it runs now was
    /// started: these processes, its main one among them. What else runs in a unit may have said so as well, and a
    /// user's units share one manager.
    pub(crate) fn listened_before(
        &self,
        units: &[String],
        pids: &[u32],
        address: &PeerAddress,
        since: Timestamp,
    ) -> Result<Option<Exhibit>, Gap> {
        let is_service = |unit: &&String| unit.ends_with(".service") && !unit.starts_with("user@");
        for unit in units.iter().filter(is_service) {
            let Some(journal) = known(self.journal(unit))? else {
                continue;
            };
            let main = self.unit_state(unit)?.and_then(|unit| unit.exec_main_pid);
            if main.is_some_and(|main| main != 0 && !pids.contains(&main)) {
                continue;
            }
            let zone = self.host_zone()?;
            let said = journal.iter().rev().find(|entry| {
                KINDS.iter().any(|&kind| {
                    facts::application::log::event(kind, &entry.message, &zone, Some(entry.at))
                        .is_some_and(|event| match event.what {
                            What::Listening { addresses } => {
                                addresses.iter().any(|said| names_address(said, address))
                            }
                            _ => false,
                        })
                })
            });
            if let Some(entry) = said {
                let downs = downtimes(&journal);
                let since = since.saturating_add(CLOCK_GRAIN).unwrap_or(since);
                if !downs
                    .iter()
                    .any(|down| (entry.at..=since).contains(&down.from))
                {
                    continue;
                }
                return Ok(Some(Exhibit::Record {
                    probe: "journal",
                    at: Some(entry.at),
                    text: format!(
                        "{unit} listened there before: {}",
                        entry.message.to_str_lossy().trim()
                    ),
                }));
            }
        }
        Ok(None)
    }

    /// That the unit which listens there now did not run in every failing second, from its journal.
    pub(crate) fn was_down(
        &self,
        incident: &Incident,
        holders: &[Process],
    ) -> Result<Option<(String, Vec<Exhibit>)>, Gap> {
        for unit in self
            .units_of(holders)?
            .into_iter()
            .filter(|unit| unit.ends_with(".service"))
        {
            let Some(journal) = known(self.journal(&unit))? else {
                continue;
            };
            let downs = downtimes(&journal);
            let is_explained = |second: i64| {
                downs.iter().any(|down| {
                    down.from.as_second() <= second
                        && down.to.is_none_or(|to| second <= to.as_second())
                })
            };
            if incident.seconds.keys().all(|&second| is_explained(second)) {
                let exhibits = downs.iter().flat_map(|down| down.exhibits(&unit)).collect();
                return Ok(Some((unit, exhibits)));
            }
        }
        Ok(None)
    }
}

/// A time in which a unit did not run.
struct Downtime {
    from: Timestamp,
    to: Option<Timestamp>,
}

impl Downtime {
    fn exhibits(&self, unit: &str) -> Vec<Exhibit> {
        let event = |at: Timestamp, what: &str| Exhibit::Record {
            probe: "journal",
            at: Some(at),
            text: format!("{unit} {what}"),
        };
        let mut exhibits = vec![event(self.from, "stopped or ended")];
        exhibits.extend(self.to.map(|to| event(to, "was started")));
        exhibits
    }
}

/// The times in which a unit did not run, by its journal.
fn downtimes(journal: &[Entry]) -> Vec<Downtime> {
    let mut downs: Vec<Downtime> = Vec::new();
    for entry in journal {
        let Some(event) = &entry.event else { continue };
        let is_down = downs.last().is_some_and(|down| down.to.is_none());
        match event.what {
            UnitChange::Stopped | UnitChange::Failed(_) | UnitChange::Deactivated if !is_down => {
                downs.push(Downtime {
                    from: entry.at,
                    to: None,
                });
            }
            // A failed reload ends a process too, and leaves the unit running.
            UnitChange::ProcessExited { ref command, .. }
                if !is_down && command.as_deref() == Some("ExecStart") =>
            {
                downs.push(Downtime {
                    from: entry.at,
                    to: None,
                });
            }
            UnitChange::Started => {
                if let Some(down) = downs.last_mut().filter(|down| down.to.is_none()) {
                    down.to = Some(entry.at);
                }
            }
            _ => {}
        }
    }
    downs
}

/// A name that is safe to hand to systemctl, and no template.
fn is_unit(name: &str) -> bool {
    (name.ends_with(".service") || name.ends_with(".socket"))
        && !name.starts_with('-')
        && !name.contains("@.")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte))
}

/// The setting of a unit that says it listens on the address.
fn claim_in(name: &str, file: &UnitFile, address: &PeerAddress) -> Option<Exhibit> {
    let exhibit = |key: &str, value: &str| Exhibit::Record {
        probe: "unit",
        at: None,
        text: format!("{name} has {key}={value}"),
    };
    if let Some(listen) = file
        .listen_streams(name)
        .iter()
        .find(|listen| names_address(listen, address))
    {
        return Some(exhibit("ListenStream", listen));
    }
    let command = file
        .exec_start(name)
        .into_iter()
        .find(|command| command_names(&command.argv, address))?;
    Some(exhibit("ExecStart", &command.argv.join(" ")))
}

/// Whether a command line says that its program listens on the address.
fn command_names(argv: &[String], address: &PeerAddress) -> bool {
    let mut after_port_option = false;
    argv.iter().skip(1).any(|arg| {
        let is_port = |text: &str| address.port().is_some_and(|port| text.parse() == Ok(port));
        let (option, value) = arg
            .split_once('=')
            .map_or((None, arg.as_str()), |(option, value)| {
                (Some(option), value)
            });
        let names_port =
            |option: &str| option.starts_with('-') && (option.ends_with("port") || option == "-p");
        let found = names_address(value, address)
            || (after_port_option || option.is_some_and(names_port)) && is_port(value);
        after_port_option = option.is_none() && names_port(arg);
        found
    })
}

/// Whether text such as `http://127.0.0.1:8000`, `0.0.0.0:8000`, `:8000`, `unix:/run/x.sock` is, or covers, the address.
pub(super) fn names_address(text: &str, address: &PeerAddress) -> bool {
    let text = text
        .split_once("://")
        .map_or(text, |(_, rest)| rest)
        .trim_end_matches('/');
    match address {
        PeerAddress::Unix(path) => {
            let text = text.strip_prefix("unix:").unwrap_or(text);
            Path::new(text) == path
        }
        PeerAddress::Tcp(address) => {
            let Some((host, port)) = text.rsplit_once(':') else {
                return false;
            };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            port.parse() == Ok(address.port())
                && (matches!(host, "" | "*" | "0.0.0.0" | "::" | "localhost")
                    || host.parse() == Ok(address.ip()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> PeerAddress {
        PeerAddress::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_command_line_names_what_it_listens_on() {
        let argv = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let peer = address("127.0.0.1:8000");
        for line in [
            "gunicorn -b 127.0.0.1:8000 shop:app",
            "gunicorn --bind=0.0.0.0:8000 shop:app",
            "uvicorn shop:app --port 8000",
            "node server.js --port=8000",
            "serve -p 8000",
            "app :8000",
        ] {
            assert!(command_names(&argv(line), &peer), "{line}");
        }
        for line in [
            "gunicorn -b 127.0.0.1:8001 shop:app",
            "uvicorn shop:app --workers 8000",
            "gunicorn -b 10.0.0.5:8000 x",
        ] {
            assert!(!command_names(&argv(line), &peer), "{line}");
        }
        assert!(command_names(
            &argv("gunicorn -b unix:/run/shop.sock x"),
            &address("unix:/run/shop.sock")
        ));
    }

    #[test]
    fn only_plain_unit_names_reach_a_command() {
        for name in [
            "shop.service",
            "php8.2-fpm.service",
            "shop@blue.service",
            "shop.socket",
        ] {
            assert!(is_unit(name), "{name}");
        }
        for name in [
            "shop@.service",
            "-x.service",
            "a b.service",
            "shop.timer",
            "$(x).service",
        ] {
            assert!(!is_unit(name), "{name}");
        }
    }
}
