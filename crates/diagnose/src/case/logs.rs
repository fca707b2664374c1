//! What nginx wrote: the error logs of an instance, read once, as incidents.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use bstr::{BStr, BString, ByteSlice as _};
use conf::LogSink;
use facts::process::Process;
use facts::{Exhibit, Gap, GapKind, PeerAddress, ProbeRequest, View};
use jiff::{SignedDuration, Timestamp};
use log::LocalTime;
use log::error::{Class, Event, Forgery, Records, Seen, Stream};

use super::config::Site;
use super::container::{RuntimeLog, StreamText};
use super::evidence::{settled, stat_of};
use super::requested::{self, Sent};
use super::{Case, Instance, known, of_each};
use crate::diagnosis::Logged;
use crate::incident::{Incident, Origin};

/// A log is recorded for the window only, and this much of it at most.
pub(super) const LOG_LIMIT: u64 = 64 << 20;

/// How far two zones lie apart at most (-12:00 and +14:00).
const ZONES_APART: SignedDuration = SignedDuration::from_hours(26);
/// Enough for the last line of a log.
const END_OF_LOG: u64 = 64 << 10;

/// An incident keeps its newest failing seconds, this many at most.
pub const SECONDS_KEPT: usize = 4096;

/// Distinct server names kept while counting, and those told.
const SERVERS_COUNTED: usize = 256;
const SERVERS_TOLD: usize = 16;

/// Paths of failing requests that are kept, and how long each may be.
const PATHS_KEPT: usize = 16;
/// Different messages of an incident that are kept: of as many, there may be more.
pub const MESSAGES_KEPT: usize = 8;
const PATH_LENGTH: usize = 256;

/// Names that could not be resolved and are told apart.
const NAMES_KEPT: usize = 32;

/// Lines of which nobody can tell whether nginx wrote them that wait for others of their kind.
const DOUBTFUL_KEPT: usize = 4096;

/// Words of the master kept: the last ones count.
const WORDS_KEPT: usize = 64;

/// The logs of one instance, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogFacts {
    /// The incidents.
    pub(crate) incidents: Vec<Incident>,
    /// Records in the window.
    pub(crate) lines: u64,
    /// Of them, failures of an upstream.
    pub(crate) upstream_failures: u64,
    /// Records that show a sign of forgery.
    pub(crate) suspects: u64,
    /// Lines of the window are missing: a log is larger than the bound.
    pub(crate) cut: bool,
    /// Others are, which were rotated away and cannot be read.
    pub(crate) is_partial: bool,
    /// The files that were read.
    pub(crate) files: Vec<PathBuf>,
    /// Those of them that hold no line of nginx's.
    pub(crate) foreign: Vec<PathBuf>,
    /// What could not be read.
    pub(crate) gaps: Vec<Gap>,
    /// What nginx said at `emerg`, with the pid that said it: a refused reload, a start that failed.
    pub(crate) emergencies: Vec<Emergency>,
    /// What nginx said of the user's request.
    pub(crate) asked: Vec<Logged>,
}

/// The error logs that a configuration names.
struct ConfiguredSinks {
    sinks: Vec<LogSink>,
    /// Its main level names one too: nginx does not fall back on the one it was built with.
    is_all: bool,
}

/// A line at `emerg`.
#[derive(Clone, Debug)]
pub(crate) struct Emergency {
    pub(crate) at: Timestamp,
    pub(crate) pid: Option<u32>,
    pub(crate) text: String,
    pub(crate) message: String,
}

/// What incidents are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    peer: BString,
    class: &'static str,
    action: &'static str,
    /// What the message says, where one class says different things; empty otherwise.
    words: BString,
}

impl Key {
    /// The class, and what tells it apart.
    fn failure(&self) -> Cow<'static, str> {
        if self.words.is_empty() {
            Cow::Borrowed(self.class)
        } else {
            Cow::Owned(format!("{} {}", self.class, self.words))
        }
    }
}

/// One incident while it is counted.
struct Tally {
    incident: Incident,
    servers: BTreeMap<BString, u64>,
}

impl Case {
    /// The error logs of an instance, read.
    pub(crate) fn log_facts(&self, idx: usize) -> Result<Rc<LogFacts>, Gap> {
        self.evidence.once(format!("logs {idx}"), || {
            let read = self.logs_read(idx)?;
            let told = of_each(&read.incidents, |incident| self.told_of(incident))?;
            let mut facts = (*read).clone();
            for (incident, told) in facts.incidents.iter_mut().zip(told) {
                told.settle(incident);
            }
            Ok(facts)
        })
    }

    /// The same before the configuration completes the incidents: that may have to wait for facts, and no log is to be
    /// read again for it.
    fn logs_read(&self, idx: usize) -> Result<Rc<LogFacts>, Gap> {
        self.evidence.once(format!("logs read {idx}"), || {
            self.after_the_request()?;
            let instances = self.instances()?;
            let instance = instances
                .get(idx)
                .ok_or_else(|| Gap::undecided("the nginx instance", "it is gone"))?;
            let mut facts = LogFacts::default();
            let mut tallies = BTreeMap::new();
            for place in self.error_places(idx, instance, &mut facts)? {
                self.read_log(idx, instance, &place, &mut facts, &mut tallies)?;
            }
            facts.incidents = tallies.into_values().map(Tally::counted).collect();
            Ok(facts)
        })
    }

    /// Where the instance's error logs are kept, each once.
    fn error_places(
        &self,
        idx: usize,
        instance: &Instance,
        facts: &mut LogFacts,
    ) -> Result<Vec<LogPlace>, Gap> {
        if let Some(path) = &self.options.error_log {
            return Ok(vec![LogPlace::File(LogFile {
                view: View::Host,
                path: path.clone(),
            })]);
        }
        let mut places: Vec<LogPlace> = Vec::new();
        let sinks = self.error_sinks(idx, instance, facts)?;
        for place in of_each(sinks, |sink| settled(self.place_of(instance, &sink)))? {
            match place {
                Ok(place) if places.contains(&place) => {}
                Ok(place) => places.push(place),
                Err(gap) => facts.gaps.push(gap),
            }
        }
        let mut places = self.with_rotated(instance, places, facts)?;
        self.add_moved(instance, &mut places)?;
        Ok(places)
    }

    /// The files that an instance's configuration names as its error logs.
    pub(super) fn error_paths(&self, idx: usize, instance: &Instance) -> Result<Vec<PathBuf>, Gap> {
        if let Some(path) = &self.options.error_log {
            return Ok(vec![path.clone()]);
        }
        // What cannot be read is told where the logs are.
        let sinks = self.error_sinks(idx, instance, &mut LogFacts::default())?;
        Ok(sinks
            .iter()
            .filter_map(|sink| sink.path(&instance.prefix))
            .collect())
    }

    /// Whose a line is that no process of today wrote, in a log that several instances write to: the one that ran then;
    /// of several the one whose configuration on disk dials the peer; of those the oldest.
    pub(super) fn owner_among(&self, rivals: &[usize], incident: &Incident) -> Result<usize, Gap> {
        let instances = self.instances()?;
        let start = |idx: &usize| {
            let master = instances.get(*idx)?.master.as_ref()?;
            Some((master.start, master.pid))
        };
        let mut candidates: Vec<usize> = rivals.to_vec();
        candidates.sort_by_key(start);
        let ran_then = |idx: &usize| {
            start(idx)
                .is_some_and(|(start, _)| start.as_second() <= incident.first_seen.as_second())
        };
        if candidates.iter().any(ran_then) {
            candidates.retain(ran_then);
        }
        let mut dialling = Vec::new();
        for &idx in &candidates {
            let of_it = Incident {
                instance: idx,
                id: format!("{} {idx}", incident.id),
                ..incident.clone()
            };
            if self.settled(of_it)?.explained {
                dialling.push(idx);
            }
        }
        let oldest = dialling.first().or(candidates.first());
        Ok(oldest.copied().unwrap_or(incident.instance))
    }

    /// The same with what was rotated away within the window, each file before the one that took its place.
    fn with_rotated(
        &self,
        instance: &Instance,
        places: Vec<LogPlace>,
        facts: &mut LogFacts,
    ) -> Result<Vec<LogPlace>, Gap> {
        let from = self.zone(instance)?.stamp(self.window_start());
        let older = of_each(&places, |place| match place {
            LogPlace::File(log) => self.rotated(log, &from).map(Some),
            _ => Ok(None),
        })?;
        let mut all = Vec::new();
        for (place, older) in places.into_iter().zip(older) {
            if let Some(older) = older {
                all.extend(older.files.into_iter().map(LogPlace::File));
                facts.is_partial |= older.gap.is_some();
                facts.gaps.extend(older.gap);
            }
            all.push(place);
        }
        Ok(all)
    }

    /// Where what is written to a log can be read.
    fn place_of(&self, instance: &Instance, sink: &LogSink) -> Result<LogPlace, Gap> {
        if *sink == LogSink::Stderr {
            return self.stream_of(instance, Stream::Err);
        }
        let path = sink.path(&instance.prefix).ok_or_else(|| unread(sink))?;
        match self.standard_stream(instance.view, &path)? {
            Some(stream) => self.stream_of(instance, stream),
            None => Ok(LogPlace::File(LogFile {
                view: instance.view,
                path,
            })),
        }
    }

    /// A log that was renamed or removed is still written to until nginx reopens it (`USR1`): its descriptor is read in
    /// addition to the file that stands at its path by now.
    fn add_moved(&self, instance: &Instance, places: &mut Vec<LogPlace>) -> Result<(), Gap> {
        let Some(master) = &instance.master else {
            return Ok(());
        };
        let open = self.open_files(master.pid)?;
        let mut moved = Vec::new();
        for place in places.iter() {
            let LogPlace::File(file) = place else {
                continue;
            };
            if open.iter().any(|(_, target)| *target == file.path) {
                continue;
            }
            let is_same = |target: &Path| {
                let target = target.to_string_lossy();
                let rest = target
                    .strip_prefix(file.path.to_string_lossy().as_ref())
                    .map(str::to_owned);
                rest.is_some_and(|rest| rest.starts_with(['.', '-']) || rest == " (deleted)")
            };
            let is_read = |target: &PathBuf| {
                places
                    .iter()
                    .any(|place| matches!(place, LogPlace::File(file) if file.path == *target))
            };
            let unread = open
                .iter()
                .filter(|(_, target)| is_same(target) && !is_read(target));
            moved.extend(unread.map(|(descriptor, _)| {
                LogPlace::File(LogFile {
                    view: View::Host,
                    path: PathBuf::from(format!("/proc/{}/fd/{descriptor}", master.pid)),
                })
            }));
        }
        places.extend(moved);
        Ok(())
    }

    /// The files that a process has open, by descriptor. One with very many is not asked: most are connections.
    fn open_files(&self, pid: u32) -> Result<Vec<(u32, PathBuf)>, Gap> {
        const MOST: usize = 4096;
        let folder = ProbeRequest::Directory {
            view: View::Host,
            path: PathBuf::from(format!("/proc/{pid}/fd")),
        };
        let Some((_, names)) = known(self.evidence.bytes(&folder))? else {
            return Ok(Vec::new());
        };
        let descriptors: Vec<u32> = names
            .split(|&byte| byte == 0)
            .filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok())
            .take(MOST)
            .collect();
        let link = |descriptor: &u32| ProbeRequest::Link {
            path: PathBuf::from(format!("/proc/{pid}/fd/{descriptor}")),
        };
        drop(self.evidence.batch(descriptors.iter().map(link))?);
        let target = |descriptor: u32| {
            let (_, target) = self.evidence.bytes(&link(&descriptor)).ok()?;
            target.starts_with(b"/").then(|| {
                (
                    descriptor,
                    PathBuf::from(target.to_os_str_lossy().into_owned()),
                )
            })
        };
        let mut seen = BTreeSet::new();
        Ok(descriptors
            .into_iter()
            .filter_map(target)
            .filter(|(_, path)| seen.insert(path.clone()))
            .collect())
    }

    /// What the configuration says of error logs; the one nginx was built with where its main level says nothing.
    fn error_sinks(
        &self,
        idx: usize,
        instance: &Instance,
        facts: &mut LogFacts,
    ) -> Result<Vec<LogSink>, Gap> {
        let mut sinks: Vec<LogSink> = Vec::new();
        match self.configured_sinks(idx) {
            Ok(configured) => {
                sinks.extend(configured.sinks.iter().cloned());
                if configured.is_all {
                    return Ok(sinks);
                }
            }
            Err(gap) if gap.kind == GapKind::Pending => return Err(gap),
            Err(gap) => facts.gaps.push(gap),
        }
        // Debian builds nginx with `--error-log-path=stderr`.
        let built = &instance.default_error_log;
        sinks.push(if built.file_name().is_some_and(|name| name == "stderr") {
            LogSink::Stderr
        } else {
            LogSink::File(bstr::BString::from(built.to_string_lossy().into_owned()))
        });
        Ok(sinks)
    }

    fn configured_sinks(&self, idx: usize) -> Result<Rc<ConfiguredSinks>, Gap> {
        self.evidence.once(format!("error sinks {idx}"), || {
            let configured = self.configured(idx)?;
            let model = &configured.model;
            let has_own = model
                .contexts()
                .iter()
                .filter(|context| !model.own(context.id, "error_log").is_empty());
            let sinks = has_own.flat_map(|context| model.error_logs(context.id));
            Ok(ConfiguredSinks {
                sinks: sinks.map(|log| log.sink).collect(),
                is_all: !model.error_logs(model.main_context()).is_empty(),
            })
        })
    }

    /// Where a standard stream of the master's goes: a file, the log of its container's runtime, or the journal of its
    /// unit.
    fn stream_of(&self, instance: &Instance, stream: Stream) -> Result<LogPlace, Gap> {
        let nowhere = || unread(&LogSink::Stderr);
        let master = instance.master.as_ref().ok_or_else(nowhere)?;
        if let Some(path) = self.descriptor_file(master.pid, stream.descriptor())? {
            return Ok(LogPlace::File(LogFile {
                view: instance.view,
                path,
            }));
        }
        if let Some(log) = self.runtime_log(master.pid, stream)? {
            return Ok(LogPlace::Runtime(log));
        }
        // The journal is written to through a socket.
        let link = ProbeRequest::Link {
            path: PathBuf::from(format!("/proc/{}/fd/{}", master.pid, stream.descriptor())),
        };
        if known(self.evidence.bytes(&link))?.is_some_and(|(_, link)| link.starts_with(b"pipe:")) {
            return Err(nowhere());
        }
        let unit = self.nginx_unit(instance)?.ok_or_else(nowhere)?;
        Ok(LogPlace::Journal(unit.name))
    }

    /// The regular file that a descriptor of a process is open on.
    pub(crate) fn descriptor_file(
        &self,
        pid: u32,
        descriptor: u32,
    ) -> Result<Option<PathBuf>, Gap> {
        let request = ProbeRequest::Link {
            path: PathBuf::from(format!("/proc/{pid}/fd/{descriptor}")),
        };
        let target = known(self.evidence.fact(&request, |_, bytes| bytes.to_vec()))?;
        Ok(target
            .filter(|target| {
                target.starts_with(b"/")
                    && !target.starts_with(b"/dev/")
                    && !target.ends_with(b" (deleted)")
            })
            .map(|target| PathBuf::from(target.to_os_str_lossy().into_owned())))
    }

    fn read_log(
        &self,
        idx: usize,
        instance: &Instance,
        place: &LogPlace,
        facts: &mut LogFacts,
        tallies: &mut BTreeMap<Key, Tally>,
    ) -> Result<(), Gap> {
        // What goes there is gone: there is nothing to be read, and nobody who could.
        if let LogPlace::File(file) = place
            && file.path == Path::new("/dev/null")
        {
            facts.files.push(file.path.clone());
            return Ok(());
        }
        let zone = self.zone(instance)?;
        let streamed: Rc<StreamText>;
        let (path, bytes, zone) = match place {
            LogPlace::File(file) => {
                let (record, bytes, zone) = match self.lines_of(file, zone) {
                    Ok(answer) => answer,
                    Err(gap) if gap.kind == GapKind::Pending => return Err(gap),
                    Err(gap) => {
                        facts
                            .gaps
                            .push(gap.learn(format!("sudo tail {}", file.path.display())));
                        return Ok(());
                    }
                };
                facts.cut |= matches!(&record.answer, facts::Answer::File { cut: true, .. });
                (file.path.clone(), Cow::Borrowed(bytes), zone)
            }
            LogPlace::Runtime(log) => {
                streamed = match self.stream_text(log) {
                    Ok(text) => text,
                    Err(gap) if gap.kind == GapKind::Pending => return Err(gap),
                    Err(gap) => {
                        facts.gaps.push(gap);
                        return Ok(());
                    }
                };
                facts.cut |= streamed.cut;
                facts.is_partial |= streamed.rotated.is_some();
                facts.gaps.extend(streamed.rotated.clone());
                let text = &streamed.streamed;
                let shown = text.last.and_then(|(line, at)| zone.shown_by(line, at));
                (
                    log.path(),
                    Cow::Borrowed(text.text.as_slice()),
                    shown.unwrap_or(zone),
                )
            }
            LogPlace::Journal(unit) => {
                let Some(journal) = known(self.journal(unit))? else {
                    facts.gaps.push(unread(&LogSink::Stderr));
                    return Ok(());
                };
                // nginx's own lines, as it wrote them.
                let lines: Vec<&[u8]> = journal
                    .iter()
                    .map(|entry| entry.message.as_slice())
                    .collect();
                (
                    PathBuf::from(format!("journalctl -u {unit}")),
                    Cow::Owned(lines.join(&b'\n')),
                    zone,
                )
            }
        };
        facts.files.push(path.clone());
        let mut reader = Reader {
            case: self,
            idx,
            path: &path,
            zone,
            facts,
            tallies,
            known_paths: self.unix_peers(idx),
            strangers: self.strangers(instance)?,
            own: self.own_processes(instance)?,
            rivals: self.rivals(idx)?,
            owners: BTreeMap::new(),
            waits: None,
            pids: self.pids_inside(instance)?,
            sent: self.sent(idx)?,
            names: BTreeSet::new(),
            words: BTreeSet::new(),
            doubtful: Vec::new(),
            last: (i64::MIN, Timestamp::MIN),
            is_a_log: false,
        };
        read_ahead(&bytes, |line| reader.take(&line));
        reader.settle_doubtful();
        if let Some(gap) = reader.waits {
            return Err(gap);
        }
        // What others write to the same stream is no sign that nginx does not.
        let is_shared = matches!(place, LogPlace::Runtime(_));
        if !reader.is_a_log && !is_shared && !bytes.trim().is_empty() {
            let gap = Gap::new(
                GapKind::Absent,
                format!("error log lines in {}", path.display()),
                "it holds none of nginx's",
            );
            facts.gaps.push(gap.learn("why502 --error-log FILE"));
            facts.foreign.push(path.clone());
        }
        Ok(())
    }

    /// The lines of a file's window, and the zone that they are written in: the log's own word, where it has one.
    ///
    /// In a zone behind the host's, all that was just written seems to be older than the window.
    fn lines_of(
        &self,
        file: &LogFile,
        zone: super::zone::Zone,
    ) -> Result<(&facts::Record, &[u8], super::zone::Zone), Gap> {
        let start = self.window_start();
        let from = zone.stamp(start);
        let (record, bytes) = self.evidence.bytes(&file.since(&from))?;
        let Some(stat) = stat_of(record) else {
            return Ok((record, bytes, zone));
        };
        let is_written = bytes.trim().is_empty() && stat.size > 0 && stat.modified >= start;
        let end = if is_written {
            let widest = start.saturating_sub(ZONES_APART).unwrap_or(start);
            let end = ProbeRequest::LinesSince {
                view: file.view,
                path: file.path.clone(),
                from: zone.stamp(widest),
                limit: END_OF_LOG,
            };
            known(self.evidence.bytes(&end))?.map_or(bytes, |(_, end)| end)
        } else {
            bytes
        };
        let Some(corrected) = zone.corrected(end, stat.modified) else {
            return Ok((record, bytes, zone));
        };
        let earlier = corrected.stamp(start);
        if earlier < from {
            let (record, bytes) = self.evidence.bytes(&file.since(&earlier))?;
            return Ok((record, bytes, corrected));
        }
        Ok((record, bytes, corrected))
    }

    /// How many of these instances ran at a time.
    fn started_by(&self, of: &[usize], at: Timestamp) -> usize {
        let Ok(instances) = self.instances() else {
            return 0;
        };
        let masters = of
            .iter()
            .filter_map(|idx| instances.get(*idx)?.master.as_ref());
        masters
            .filter(|master| master.start.as_second() <= at.as_second())
            .count()
    }

    /// The processes of an instance.
    fn own_processes(&self, instance: &Instance) -> Result<BTreeSet<u32>, Gap> {
        let Some(master) = &instance.master else {
            return Ok(BTreeSet::new());
        };
        // A master that was started to take its place is none.
        let is_own = |process: &&Process| {
            process.pid == master.pid
                || (process.ppid == master.pid
                    && !matches!(process.nginx(), Some(facts::process::NginxRole::Master(_))))
        };
        Ok(self
            .processes()?
            .values()
            .filter(is_own)
            .map(|process| process.pid)
            .collect())
    }

    /// The processes of other nginx instances.
    fn strangers(&self, instance: &Instance) -> Result<BTreeSet<u32>, Gap> {
        let own = instance.master.as_ref().map(|master| master.pid);
        let processes = self.processes()?;
        let others = processes
            .values()
            .filter(|process| process.nginx().is_some());
        // Workers whose master has ended may be this one's.
        let is_orphan = |process: &Process| {
            processes
                .get(&process.ppid)
                .is_none_or(|parent| parent.nginx().is_none())
        };
        Ok(others
            .filter(|process| {
                let is_child = Some(process.ppid) == own
                    && !matches!(process.nginx(), Some(facts::process::NginxRole::Master(_)));
                Some(process.pid) != own && !is_child
            })
            .filter(|process| own.is_some() || !is_orphan(process))
            .map(|process| process.pid)
            .collect())
    }

    /// What nginx's processes call themselves in their log, where that is not what they are called here: in a pid namespace
    /// of their own. By their name there.
    fn pids_inside(&self, instance: &Instance) -> Result<Option<BTreeMap<u32, u32>>, Gap> {
        let Some(master) = &instance.master else {
            return Ok(None);
        };
        let inner = |pid: u32| -> Result<Option<u32>, Gap> {
            let status = known(self.status(pid))?;
            let pids = status.and_then(|status| Some(status.as_ref().as_ref()?.pids.clone()));
            Ok(pids
                .filter(|pids| pids.len() > 1)
                .and_then(|pids| pids.last().copied()))
        };
        let namespace = |pid: u32| {
            let path = PathBuf::from(format!("/proc/{pid}/ns/pid"));
            known(self.evidence.bytes(&ProbeRequest::Link { path }))
        };
        let Some(own) = inner(master.pid)? else {
            return Ok(None);
        };
        let mut names = BTreeMap::from([(own, master.pid)]);
        let there = namespace(master.pid)?.map(|(_, link)| link);
        let processes = self.processes()?;
        let nginx = processes
            .values()
            .filter(|process| process.nginx().is_some());
        for process in nginx {
            if there.is_some()
                && namespace(process.pid)?.map(|(_, link)| link) == there
                && let Some(name) = inner(process.pid)?
            {
                names.insert(name, process.pid);
            }
        }
        Ok(Some(names))
    }

    /// The unix sockets that the configuration dials, as nginx prints them.
    fn unix_peers(&self, idx: usize) -> Vec<Vec<u8>> {
        let Ok(configured) = self.configured(idx) else {
            return Vec::new();
        };
        super::config::dialled_addresses(&configured.model)
            .into_iter()
            .filter_map(|address| match address {
                conf::Address::Unix(path) => Some([b"unix:".as_slice(), path.as_slice()].concat()),
                conf::Address::Tcp { .. } => None,
            })
            .collect()
    }

    /// Completes an incident with what only the configuration knows.
    pub(super) fn settled(&self, mut incident: Incident) -> Result<Incident, Gap> {
        self.told_of(&incident)?.settle(&mut incident);
        Ok(incident)
    }

    fn told_of(&self, incident: &Incident) -> Result<Told, Gap> {
        let sites = known(self.sites(incident))?;
        let is_checked = incident.status.is_none() && self.is_of_auth_request(incident)?;
        Ok(Told { sites, is_checked })
    }

    /// Whether an incident is of subrequests that `auth_request` makes, whose failure its client gets as 500
    /// (`ngx_http_auth_request_handler`).
    fn is_of_auth_request(&self, incident: &Incident) -> Result<bool, Gap> {
        let asked = incident.said(|event| Some(event.subrequest?.to_owned()));
        let (Some(asked), Some(configured)) = (asked, known(self.configured(incident.instance))?)
        else {
            return Ok(false);
        };
        let model = &configured.model;
        let mut directives = model
            .contexts()
            .iter()
            .flat_map(|context| model.in_force(context.id, "auth_request"));
        Ok(directives.any(|at| model.args(at).first() == Some(&asked.as_bstr())))
    }

    /// What nginx said when it refused a reload after `since`: the master in its log, or the `nginx -s reload` that its
    /// unit ran, in its journal.
    pub(crate) fn refused_reload(
        &self,
        idx: usize,
        instance: &Instance,
        since: Timestamp,
    ) -> Result<Option<Exhibit>, Gap> {
        let master = instance.master.as_ref().map(|master| master.pid);
        let facts = self.log_facts(idx)?;
        let by_master = facts
            .emergencies
            .iter()
            .rev()
            .find(|emergency| {
                emergency.at >= since && (emergency.pid == master || emergency.pid.is_none())
            })
            .map(|emergency| Exhibit::Log {
                at: Some(emergency.at),
                text: emergency.text.clone(),
                count: 1,
            });
        if by_master.is_some() {
            return Ok(by_master);
        }
        let Some(unit) = self.nginx_unit(instance)? else {
            return Ok(None);
        };
        let Some(journal) = known(self.journal(&unit.name))? else {
            return Ok(None);
        };
        let said = journal
            .iter()
            .rev()
            .find(|entry| entry.at >= since && entry.message.contains_str("[emerg]"));
        Ok(said.map(|entry| Exhibit::Record {
            probe: "journal",
            at: Some(entry.at),
            text: text_of(&entry.message),
        }))
    }

    /// The last thing nginx said at `emerg`, as an exhibit and as its message.
    pub(crate) fn last_words(&self, idx: usize) -> Result<Option<(Exhibit, String)>, Gap> {
        let facts = self.log_facts(idx)?;
        // nginx tries to bind for a while; what it says at its end names no address.
        let is_told = |emergency: &&Emergency| emergency.message != "still could not bind()";
        let last = facts.emergencies.iter().rev().find(is_told);
        Ok(last.map(|emergency| {
            let exhibit = Exhibit::Log {
                at: Some(emergency.at),
                text: emergency.text.clone(),
                count: 1,
            };
            (exhibit, emergency.message.clone())
        }))
    }
}

impl Tally {
    /// The incident with its servers, the most frequent first.
    fn counted(self) -> Incident {
        let Self {
            mut incident,
            servers,
        } = self;
        let mut ranked: Vec<(BString, u64)> = servers.into_iter().collect();
        ranked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        incident.servers = ranked
            .into_iter()
            .take(SERVERS_TOLD)
            .map(|(name, _)| name.to_str_lossy().into_owned())
            .collect();
        incident
    }
}

/// Where an error log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LogPlace {
    /// In a file.
    File(LogFile),
    /// In what the runtime of nginx's container keeps.
    Runtime(RuntimeLog),
    /// In the journal of a unit, where nginx's standard error goes.
    Journal(String),
}

/// A log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogFile {
    pub(super) view: View,
    pub(super) path: PathBuf,
}

impl LogFile {
    pub(super) fn since(&self, stamp: &str) -> ProbeRequest {
        ProbeRequest::LinesSince {
            view: self.view,
            path: self.path.clone(),
            from: stamp.to_owned(),
            limit: LOG_LIMIT,
        }
    }
}

fn unread(sink: &LogSink) -> Gap {
    let (missing, why) = match sink {
        LogSink::Stderr => (
            "what nginx wrote to its standard error",
            "it goes to no file",
        ),
        LogSink::Syslog(_) => ("what nginx sent to syslog", "it is kept elsewhere"),
        LogSink::Memory(_) => (
            "what nginx logged into its memory",
            "only a debugger reads it",
        ),
        LogSink::File(_) => ("an error log", "its name holds a variable"),
    };
    Gap::new(GapKind::Absent, missing, why).learn("why502 --error-log FILE")
}

/// One pass over one log.
struct Reader<'a> {
    case: &'a Case,
    idx: usize,
    path: &'a Path,
    zone: super::zone::Zone,
    facts: &'a mut LogFacts,
    tallies: &'a mut BTreeMap<Key, Tally>,
    known_paths: Vec<Vec<u8>>,
    /// Processes of other instances, which may write to the same file.
    strangers: BTreeSet<u32>,
    /// The processes of this one.
    own: BTreeSet<u32>,
    /// The other instances that write to the same file.
    rivals: Vec<usize>,
    /// Whose the lines of a peer are that no process of today wrote, by the second in which an instance started.
    owners: BTreeMap<(Key, usize), usize>,
    /// What has to be known first to tell.
    waits: Option<Gap>,
    /// What processes are called here by what they call themselves, where that differs.
    pids: Option<BTreeMap<u32, u32>>,
    /// The user's request to this instance.
    sent: Option<Sent>,
    /// Lines that may stand in an application's text.
    doubtful: Vec<Vec<u8>>,
    /// The names that could not be resolved so far.
    names: BTreeSet<BString>,
    /// The words by which incidents were told apart so far.
    words: BTreeSet<BString>,
    /// The last local second and its time: lines of one second share the work.
    last: (i64, Timestamp),
    /// Some line of it is nginx's.
    is_a_log: bool,
}

/// What a record says, as far as it tells by itself.
enum Line<'a> {
    /// It speaks of no peer, as most do: its time is all that counts.
    PassedBy(log::error::Glance),
    /// An event, and the bytes that tell of it.
    Event(Event<'a>, &'a [u8]),
    /// It has to be taken out of its carrier first.
    Carried(log::error::Record<'a>),
}

impl<'a> Line<'a> {
    fn of(record: log::error::Record<'a>) -> Self {
        match record.glance() {
            Some(glance) if !glance.may_name_peer && glance.level != Some(log::Level::Emerg) => {
                Self::PassedBy(glance)
            }
            _ => match record.event() {
                Some(event) => Self::Event(event, record.bytes),
                None => Self::Carried(record),
            },
        }
    }
}

/// How much of a log is parsed at once: what two threads hold of it at a time stays small.
const PART: usize = 128 << 10;
/// Of so many parts one is parsed by the thread that counts, which takes about a third of the time.
const SHARES: usize = 3;

/// Gives the lines of a log in their order, and has most of them parsed on another processor.
fn read_ahead(bytes: &[u8], mut take: impl FnMut(Line<'_>)) {
    let parts = Records::parts(bytes, PART);
    if parts.len() < SHARES {
        parts.into_iter().flatten().map(Line::of).for_each(take);
        return;
    }
    let is_own = |part: usize| part.is_multiple_of(SHARES);
    thread::scope(|scope| {
        let ahead: Vec<_> = parts
            .iter()
            .enumerate()
            .filter(|(part, _)| !is_own(*part))
            .map(|(_, records)| records.clone())
            .collect();
        let (sender, receiver) = mpsc::sync_channel(SHARES);
        scope.spawn(move || {
            for records in ahead {
                let lines: Vec<Line<'_>> = records.map(Line::of).collect();
                if sender.send(lines).is_err() {
                    return;
                }
            }
        });
        for (part, records) in parts.into_iter().enumerate() {
            if is_own(part) {
                records.map(Line::of).for_each(&mut take);
            } else if let Ok(lines) = receiver.recv() {
                lines.into_iter().for_each(&mut take);
            }
        }
    });
}

impl Reader<'_> {
    fn take(&mut self, line: &Line<'_>) {
        match line {
            Line::PassedBy(glance) => self.pass_by(glance),
            Line::Event(event, bytes) => self.event(event, bytes),
            // Taken out of its carrier, a line is nginx's as ever.
            Line::Carried(record) => {
                let decoded = log::error::decode(record.bytes);
                if let Some(mut event) = decoded.event() {
                    event.forgery = record.inside.or(event.forgery);
                    self.event(&event, record.bytes);
                }
            }
        }
    }

    fn pass_by(&mut self, glance: &log::error::Glance) {
        let Some(at) = glance.time.and_then(|time| self.time(time)) else {
            return;
        };
        self.is_a_log = true;
        if self.is_looked_at(at, self.outside(glance.pid)) {
            self.facts.lines += 1;
        }
    }

    /// What a process that wrote a line is called here; 0, which none is, where nobody knows.
    fn outside(&self, pid: Option<u32>) -> Option<u32> {
        match &self.pids {
            Some(pids) => pid.map(|pid| pids.get(&pid).copied().unwrap_or(0)),
            None => pid,
        }
    }

    /// Whether a line of this time and process belongs to the instance and the window.
    fn is_looked_at(&self, at: Timestamp, pid: Option<u32>) -> bool {
        (self.case.window_start()..=self.case.now()).contains(&at)
            && !pid.is_some_and(|pid| self.strangers.contains(&pid))
    }

    /// Whether a line in a log that others write to as well is this instance's.
    fn is_own(&mut self, event: &Event<'_>, line: &[u8], at: Timestamp) -> bool {
        let writer = self.outside(event.pid);
        if writer.is_some_and(|pid| self.own.contains(&pid)) {
            return true;
        }
        let key = self.key(event);
        let all: Vec<usize> = self.rivals.iter().copied().chain([self.idx]).collect();
        let started = self.case.started_by(&all, at);
        if let Some(owner) = self.owners.get(&(key.clone(), started)) {
            return *owner == self.idx;
        }
        let incident = first(self.case, self.idx, event, &key, line, at, self.path);
        match self.case.owner_among(&all, &incident) {
            Ok(owner) => {
                self.owners.insert((key, started), owner);
                owner == self.idx
            }
            Err(gap) => {
                if gap.kind == GapKind::Pending {
                    self.waits.get_or_insert(gap);
                }
                true
            }
        }
    }

    fn event(&mut self, event: &Event<'_>, line: &[u8]) {
        let Some(at) = event.time.and_then(|time| self.time(time)) else {
            return;
        };
        self.is_a_log = true;
        if !self.is_looked_at(at, self.outside(event.pid)) {
            return;
        }
        if !self.rivals.is_empty() && !self.is_own(event, line, at) {
            return;
        }
        self.facts.lines += 1;
        if event.level == Some(log::Level::Emerg) && event.forgery.is_none() {
            self.emergency(event, line, at);
        }
        let is_failure = event.is_upstream_failure();
        let speaks_of_peer = event.class == Class::ClientAbort && event.upstream.is_some();
        if !(is_failure || speaks_of_peer || event.is_own_fault()) {
            return;
        }
        if event.forgery == Some(Forgery::PerhapsInside) && self.doubtful.len() < DOUBTFUL_KEPT {
            self.doubtful.push(line.to_owned());
            return;
        }
        if event.forgery.is_some() {
            self.facts.suspects += 1;
            return;
        }
        if is_failure {
            self.facts.upstream_failures += 1;
        }
        self.count(event, line, at);
    }

    /// Counts the lines that nobody can tell from an application's text where other lines speak of the same failure: they
    /// add to an incident, and make none.
    fn settle_doubtful(&mut self) {
        for line in std::mem::take(&mut self.doubtful) {
            let Some(event) = log::error::parse(&line) else {
                continue;
            };
            let Some(at) = event.time.and_then(|time| self.time(time)) else {
                continue;
            };
            let key = self.key(&event);
            if !self.tallies.contains_key(&key) {
                self.facts.suspects += 1;
                continue;
            }
            if event.is_upstream_failure() {
                self.facts.upstream_failures += 1;
            }
            self.count(&event, &line, at);
        }
    }

    fn time(&mut self, time: LocalTime) -> Option<Timestamp> {
        let seconds = time.seconds();
        if self.last.0 != seconds {
            self.last = (seconds, self.zone.timestamp(seconds)?);
        }
        Some(self.last.1)
    }

    fn emergency(&mut self, event: &Event<'_>, line: &[u8], at: Timestamp) {
        let pid = self.outside(event.pid);
        if self.facts.emergencies.len() == WORDS_KEPT {
            self.facts.emergencies.remove(0);
        }
        self.facts.emergencies.push(Emergency {
            at,
            pid,
            text: text_of(line),
            message: event.message.to_str_lossy().into_owned(),
        });
    }

    /// The name that an incident is of. Clients may choose it: those beyond the first ones count together, as of no name.
    fn unresolved<'e>(&mut self, event: &'e Event<'_>) -> Option<&'e BStr> {
        let name = event.unresolved()?.name;
        let is_told = super::config::is_host_name(name.to_str().ok()?)
            && (self.names.contains(name) || self.names.len() < NAMES_KEPT);
        is_told.then(|| {
            self.names.insert(name.to_owned());
            name
        })
    }

    fn key(&mut self, event: &Event<'_>) -> Key {
        let peer = match event.upstream {
            Some(upstream) => {
                let known = self.known_paths.iter().map(Vec::as_slice);
                upstream.peer_among(known).map_or(upstream.peer, BStr::new)
            }
            None => self.unresolved(event).unwrap_or_default(),
        };
        Key {
            peer: peer.to_owned(),
            class: event.class.as_str(),
            action: event.action.map_or("", log::error::While::as_str),
            words: self.words(event),
        }
    }

    /// The words that tell an incident apart from another of its class. Peers may choose them: those beyond the first ones
    /// count together, as none.
    fn words(&mut self, event: &Event<'_>) -> BString {
        let words: BString = if words_decide(event.class) {
            event.message.to_owned()
        } else {
            let code = event.unresolved().and_then(|name| name.code);
            code.map(|code| code.to_string().into()).unwrap_or_default()
        };
        if words.is_empty() || self.words.contains(&words) {
            return words;
        }
        if self.words.len() == MESSAGES_KEPT {
            return BString::default();
        }
        self.words.insert(words.clone());
        words
    }

    fn count(&mut self, event: &Event<'_>, line: &[u8], at: Timestamp) {
        let key = self.key(event);
        let tally = self.tallies.entry(key).or_insert_with_key(|key| Tally {
            incident: first(self.case, self.idx, event, key, line, at, self.path),
            servers: BTreeMap::new(),
        });
        let incident = &mut tally.incident;
        if self.sent.as_ref().is_some_and(|sent| sent.is_of(event, at)) {
            requested::keep(&mut self.facts.asked, &incident.id, event, text_of(line));
        }
        incident.count += 1;
        // That of a subrequest's client its line does not tell; another line may be of a request.
        incident.status = incident.status.or_else(|| status_of(event));
        let protocol = event.upstream.map(|upstream| upstream.protocol);
        incident.has_other_protocols |= protocol.is_some() && protocol != incident.protocol;
        incident.first_seen = incident.first_seen.min(at);
        if at >= incident.last_seen {
            incident.last_seen = at;
            incident.last_writer = event.pid;
        }
        incident.count_second(at.as_second());
        if incident.paths.len() < PATHS_KEPT
            && let Some(path) = event.request.and_then(path_of)
            && let path = path.to_str_lossy()
            && !incident.paths.contains(path.as_ref())
        {
            incident.paths.insert(path.into_owned());
        }
        Rc::make_mut(&mut incident.requests).add(event);
        if words_decide(event.class)
            && incident.messages.len() < MESSAGES_KEPT
            && let message = event.message.to_str_lossy()
            && !incident.messages.contains(message.as_ref())
        {
            incident.messages.insert(message.into_owned());
        }
        if let Some(server) = event.server.filter(|server| !server.is_empty()) {
            if let Some(count) = tally.servers.get_mut(server) {
                *count += 1;
            } else if tally.servers.len() < SERVERS_COUNTED {
                tally.servers.insert(server.to_owned(), 1);
            }
        }
    }
}

fn first(
    case: &Case,
    idx: usize,
    event: &Event<'_>,
    key: &Key,
    line: &[u8],
    at: Timestamp,
    log: &Path,
) -> Incident {
    let config = case
        .instances()
        .ok()
        .and_then(|all| all.get(idx).map(|instance| instance.config.clone()))
        .unwrap_or_default();
    Incident {
        id: identity(&config, &key.peer, &key.failure(), key.action),
        instance: idx,
        origin: Origin::ErrorLog,
        peer: key.peer.to_str_lossy().into_owned(),
        address: PeerAddress::parse(&key.peer),
        upstream: None,
        protocol: event.upstream.map(|upstream| upstream.protocol),
        has_other_protocols: false,
        failure: Some(event.class),
        errno: event.errno,
        action: event.action,
        status: status_of(event),
        count: 0,
        first_seen: at,
        last_seen: at,
        seconds: Rc::default(),
        servers: Vec::new(),
        paths: BTreeSet::new(),
        requests: Rc::default(),
        sample: text_of(line),
        messages: BTreeSet::new(),
        last_writer: event.pid,
        log: Some(log.to_owned()),
        explained: false,
    }
}

/// What the client of a line saw, where that is a status.
fn status_of(event: &Event<'_>) -> Option<u16> {
    match event.outcome() {
        Seen::Status(status) => Some(status),
        Seen::Truncated | Seen::Nothing | Seen::Unknown => None,
    }
}

/// Whether messages of this class say different things: what OpenSSL said, or which bytes came.
fn words_decide(class: Class) -> bool {
    matches!(
        class,
        Class::TlsHandshake
            | Class::TlsVerify
            | Class::TlsVerifyName
            | Class::TlsRead
            | Class::TlsWrite
            | Class::NotFastcgi
            | Class::NotHttp2
    )
}

/// The path of a request line, as the client sent it: `/index.php` of `GET /index.php?x=1 HTTP/1.1`.
pub(super) fn path_of(request: &BStr) -> Option<&BStr> {
    let target = request.split(|&byte| byte == b' ').nth(1)?;
    let path = target.split(|&byte| byte == b'?').next()?;
    (path.starts_with(b"/") && path.len() <= PATH_LENGTH).then(|| path.as_bstr())
}

/// What only the configuration knows of an incident.
struct Told {
    /// The places that dial the peer, where they are known.
    sites: Option<Rc<Vec<Site>>>,
    /// Whether its requests are those of `auth_request`.
    is_checked: bool,
}

impl Told {
    fn settle(&self, incident: &mut Incident) {
        let first = self.sites.as_ref().and_then(|sites| sites.first());
        incident.explained = first.is_some();
        incident.upstream = first.and_then(|site| site.upstream.clone());
        if self.is_checked {
            incident.status = Some(500);
        }
    }
}

fn text_of(line: &[u8]) -> String {
    line.trim_end_with(|char| matches!(char, '\n' | '\r'))
        .to_str_lossy()
        .into_owned()
}

/// The name of an incident: FNV-1a over instance, peer, failure and *while*, so it stays the same from run to run.
pub(super) fn identity(config: &Path, peer: &[u8], failure: &str, action: &str) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let fields = [
        config.as_os_str().as_bytes(),
        peer,
        failure.as_bytes(),
        action.as_bytes(),
    ];
    let mut hash: u32 = 0x811c_9dc5;
    for byte in fields
        .iter()
        .flat_map(|field| field.iter().copied().chain([0]))
    {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    format!("{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The incidents of each master, by its configuration's peer.
    fn incidents_of(host: &str) -> Vec<String> {
        let diagnosis = crate::fixture::Fixture::parse(host).diagnose();
        let of = |judged: &crate::diagnosis::Judged| {
            let incident = &judged.incident;
            format!(
                "{} {} x{}",
                incident.instance, incident.peer, incident.count
            )
        };
        let mut all: Vec<String> = diagnosis.incidents.iter().map(of).collect();
        all.sort();
        all
    }

    #[test]
    fn what_fails_in_a_subrequest_is_what_its_client_saw_of_it() {
        let statuses = |lines: &str| {
            let host = format!(
                "
                //- nginx
                //- file /etc/nginx/nginx.conf
                http {{ server {{
                location / {{ auth_request /authz; proxy_pass http://127.0.0.1:9000; }}
                location /authz {{ proxy_pass http://127.0.0.1:8000; }}
                location /part {{ proxy_pass http://127.0.0.1:8000; }}
                }} }}
                //- file /var/log/nginx/error.log
                {lines}
                "
            );
            let diagnosis = crate::fixture::Fixture::parse(&host).diagnose();
            let incidents = diagnosis.incidents.iter();
            let statuses = incidents.map(|judged| judged.incident.status);
            statuses.collect::<Vec<_>>()
        };
        let line = |subrequest: &str| {
            format!(
                "2026/06/23 14:02:11 [error] 2842#2842: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: , request: \"GET / HTTP/1.1\", {subrequest}upstream: \"http://127.0.0.1:8000/authz\", host: \"a\""
            )
        };
        let (auth, part, whole) = (
            line("subrequest: \"/authz\", "),
            line("subrequest: \"/part\", "),
            line(""),
        );
        assert_eq!(statuses(&auth), [Some(500)]);
        assert_eq!(statuses(&part), [None]);
        let both = format!("{part}\n                {whole}");
        assert_eq!(statuses(&both), [Some(502)]);
    }

    const TWO: &str = "
        //- nginx
        //- nginx master=3841 workers=3842 args=-c,/srv/other.conf
        //- file /etc/nginx/nginx.conf
        error_log /var/log/nginx/error.log; http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- file /srv/other.conf
        error_log /var/log/nginx/error.log; http { server { location / { proxy_pass http://127.0.0.1:8001; } } }
    ";

    fn failed(at: &str, peer: &str, pid: u32) -> String {
        format!(
            "
        //- failed {at} http://{peer}/ pid={pid}
        connect() failed (111: Connection refused) while connecting to upstream
        "
        )
    }

    #[test]
    fn masters_that_share_a_log_have_their_own_incidents() {
        let host = [
            TWO.to_owned(),
            failed("14:02:11", "127.0.0.1:8000", 2842),
            failed("14:02:12", "127.0.0.1:8001", 3842),
            // Workers of both that a reload has replaced.
            failed("14:02:13", "127.0.0.1:8000", 99),
            failed("14:02:14", "127.0.0.1:8001", 98),
        ];
        assert_eq!(
            incidents_of(&host.concat()),
            ["0 127.0.0.1:8000 x2", "1 127.0.0.1:8001 x2"]
        );
    }

    #[test]
    fn what_was_written_before_the_other_ran_is_not_its_own() {
        // Both dial it.
        let host = [
            TWO.replace(
                "args=-c,/srv/other.conf",
                "args=-c,/srv/other.conf start=14:03:00",
            )
            .replace("8001", "8000"),
            failed("14:02:11", "127.0.0.1:8000", 99),
            failed("14:03:12", "127.0.0.1:8000", 3842),
        ];
        assert_eq!(
            incidents_of(&host.concat()),
            ["0 127.0.0.1:8000 x1", "1 127.0.0.1:8000 x1"]
        );
    }

    #[test]
    fn what_both_write_to_an_access_log_is_counted_once() {
        let host = "
        //- nginx
        //- nginx master=3841 workers=3842 start=13:40:00 ppid=2841
        //- file /etc/nginx/nginx.conf
        http {
        log_format up '$remote_addr [$time_iso8601] \"$request\" $status $upstream_addr $upstream_status $upstream_header_time';
        access_log /var/log/nginx/up.log up;
        server { location / { proxy_pass http://127.0.0.1:8000; } }
        }
        //- file /var/log/nginx/error.log
        //- file /var/log/nginx/up.log
        192.0.2.7 [2026-06-23T14:04:10+00:00] \"GET / HTTP/1.1\" 502 127.0.0.1:8000 502 0.010
        ";
        assert_eq!(incidents_of(host), ["0 127.0.0.1:8000 x1"]);
    }

    #[test]
    fn an_identity_stays_the_same_and_tells_fields_apart() {
        let config = Path::new("/etc/nginx/nginx.conf");
        let id = identity(
            config,
            b"127.0.0.1:8000",
            "connect-refused",
            "connecting to upstream",
        );
        assert_eq!(
            id,
            identity(
                config,
                b"127.0.0.1:8000",
                "connect-refused",
                "connecting to upstream"
            )
        );
        assert_eq!(id.len(), 8);
        assert_ne!(
            id,
            identity(
                config,
                b"127.0.0.1:8001",
                "connect-refused",
                "connecting to upstream"
            )
        );
        assert_ne!(
            identity(config, b"ab", "c", ""),
            identity(config, b"a", "bc", "")
        );
    }
}
