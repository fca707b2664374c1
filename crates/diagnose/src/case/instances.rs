//! The nginx instances of the host: masters with their workers, or a configuration that nobody runs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use facts::process::{NginxArgs, NginxRole, Process};
use facts::{Exhibit, Gap, GapKind, ProbeRequest, View};
use jiff::{SignedDuration, Timestamp};

use super::{Case, known};
use crate::diagnosis::Master;
use crate::incident::{Incident, Origin};
use crate::verdict::Step;

/// A line of a log means the whole second.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// One nginx, running or not.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    /// The master; `None` when it does not run.
    pub(crate) master: Option<Process>,
    /// Its workers that serve, the oldest first.
    pub(crate) workers: Vec<Process>,
    /// Such as `1.22.1`.
    pub(crate) version: Option<String>,
    /// `--prefix`, or `-p`.
    pub(crate) prefix: PathBuf,
    /// The main configuration file, absolute.
    pub(crate) config: PathBuf,
    /// The log that is written before, or without, an `error_log` directive: `-e`, or as built.
    pub(crate) default_error_log: PathBuf,
    /// The access log of a configuration that names none.
    pub(crate) default_access_log: PathBuf,
    /// `-g`.
    pub(crate) globals: Vec<u8>,
    /// The options that the master was started with, each with its value.
    pub(crate) options: Vec<Vec<u8>>,
    /// Whose file system its paths stand in.
    pub(crate) view: View,
    /// The configuration is not the one that the master runs: a gate asks what would be if it did.
    pub(crate) is_candidate: bool,
}

/// An old and a new master that both run.
pub(crate) struct Upgrade {
    /// The one that was to go.
    pub(crate) old: Process,
    /// The one that was to take its place.
    pub(crate) new: Process,
    /// Whether the incident is the old one's.
    pub(crate) is_of_old: bool,
}

impl Upgrade {
    /// Both, as an exhibit.
    pub(crate) fn exhibit(&self) -> Exhibit {
        Exhibit::Record {
            probe: "process",
            at: Some(self.new.start),
            text: format!(
                "the nginx master pid {} was started by the master pid {}, and both run",
                self.new.pid, self.old.pid
            ),
        }
    }

    /// What ends it, either way.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let (old, new) = (self.old.pid.to_string(), self.new.pid.to_string());
        let look = format!("see that the new master (pid {new}) serves well");
        let back = format!(
            "or go back in its place: kill -HUP {old} (it starts its workers anew), then kill -QUIT {new}"
        );
        vec![
            Step::Advice { text: look },
            Step::command(["kill", "-QUIT", &old]),
            Step::Advice {
                text: format!(
                    "that is the pid in nginx.pid.oldbin, beside nginx's pid file: nginx -s reload does not reach it; {back}"
                ),
            },
        ]
    }
}

impl Instance {
    /// A worker that can stand for all: it has their user, namespaces and root.
    pub(crate) fn worker(&self) -> Option<u32> {
        self.workers
            .first()
            .or(self.master.as_ref())
            .map(|process| process.pid)
    }

    /// What a repair has to know of its master, where it runs.
    pub(crate) fn summary(&self) -> Option<Master> {
        self.master.as_ref().map(|master| Master {
            pid: master.pid,
            start: master.start,
            options: self.options.clone(),
            is_elsewhere: self.view != View::Host,
        })
    }

    /// The version as numbers; of no version known, the oldest defaults hold.
    pub(crate) fn version_numbers(&self) -> (u32, u32, u32) {
        let mut numbers = self
            .version
            .as_deref()
            .unwrap_or_default()
            .split('.')
            .map(|part| part.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        (next(), next(), next())
    }

    /// When the workers that serve now started: the oldest of them.
    pub(crate) fn workers_since(&self) -> Option<Timestamp> {
        self.workers.iter().map(|worker| worker.start).min()
    }

    /// The directory that relative names in the configuration are taken to.
    pub(crate) fn conf_prefix(&self) -> &Path {
        self.config.parent().unwrap_or(&self.prefix)
    }
}

/// What a binary says of how it was built.
struct Built {
    version: Option<String>,
    prefix: PathBuf,
    config: PathBuf,
    error_log: PathBuf,
    access_log: PathBuf,
}

impl Built {
    /// Of the strings in a binary; what they do not tell is as nginx's own sources have it.
    fn of(strings: &str) -> Self {
        let version = strings
            .split('\0')
            .find_map(|string| string.strip_prefix("nginx version: "))
            .and_then(|string| string.trim().rsplit('/').next())
            .and_then(|version| version.split_whitespace().next())
            .map(str::to_owned);
        let option = |name: &str| {
            strings
                .split(['\0', ' ', '\n'])
                .find_map(|word| {
                    word.trim_matches('\'')
                        .strip_prefix(name)?
                        .strip_prefix('=')
                })
                .map(PathBuf::from)
        };
        let prefix = option("--prefix").unwrap_or_else(|| PathBuf::from("/usr/local/nginx"));
        Self {
            version,
            config: option("--conf-path").unwrap_or_else(|| PathBuf::from("conf/nginx.conf")),
            error_log: option("--error-log-path")
                .unwrap_or_else(|| PathBuf::from("logs/error.log")),
            access_log: option("--http-log-path")
                .unwrap_or_else(|| PathBuf::from("logs/access.log")),
            prefix,
        }
    }
}

impl Case {
    /// The instances the user asked about: all masters, or those that `--pid` or `--config` name.
    pub(crate) fn instances(&self) -> Result<Rc<Vec<Instance>>, Gap> {
        self.evidence.once("instances", || {
            let processes = self.processes()?;
            let mut instances = Vec::new();
            let mut unknown = None;
            let mut others = Vec::new();
            for (master, args) in masters(&processes) {
                let serves = |process: &&Process| {
                    process.ppid == master.pid
                        && matches!(
                            process.nginx(),
                            Some(NginxRole::Worker {
                                is_shutting_down: false
                            })
                        )
                };
                let workers: Vec<Process> = processes.values().filter(serves).cloned().collect();
                if self.options.pid.is_some_and(|pid| {
                    pid != master.pid && workers.iter().all(|worker| worker.pid != pid)
                }) {
                    continue;
                }
                match self.running(master, &args, workers) {
                    Ok(Some(instance)) if self.runs_named(&instance)? => instances.push(instance),
                    Ok(Some(other)) => others.push(other),
                    // It only calls itself so.
                    Ok(None) => {}
                    Err(gap) if gap.kind == GapKind::Pending => return Err(gap),
                    Err(gap) => unknown = Some(gap),
                }
            }
            if instances.is_empty()
                && let Some(gap) = unknown
            {
                return Err(gap);
            }
            if instances.is_empty() && self.options.gate.is_some() {
                instances = self.as_candidate(others)?;
            }
            if instances.is_empty() && self.options.pid.is_none() {
                instances.extend(self.not_started()?);
            }
            Ok(instances)
        })
    }

    /// The running instance as it would be with the configuration that a gate is asked about. Of several nobody knows whose
    /// it is to be.
    fn as_candidate(&self, running: Vec<Instance>) -> Result<Vec<Instance>, Gap> {
        let Some(named) = &self.options.config else {
            return Ok(Vec::new());
        };
        if !self.is_main_configuration(named)? {
            return Ok(Vec::new());
        }
        let Ok([instance]) = <[Instance; 1]>::try_from(running) else {
            return Ok(Vec::new());
        };
        Ok(vec![Instance {
            config: named.clone(),
            prefix: self.options.prefix.clone().unwrap_or(instance.prefix),
            is_candidate: true,
            ..instance
        }])
    }

    fn running(
        &self,
        master: &Process,
        args: &NginxArgs,
        mut workers: Vec<Process>,
    ) -> Result<Option<Instance>, Gap> {
        workers.sort_by_key(|worker| worker.start);
        let Some(built) = self.built_of(master, args)? else {
            return Ok(None);
        };
        let prefix = args.prefix.clone().unwrap_or(built.prefix);
        let config = prefix.join(args.config.clone().unwrap_or(built.config));
        let default_error_log = prefix.join(args.error_log.clone().unwrap_or(built.error_log));
        let default_access_log = prefix.join(built.access_log);
        let view = self.view_of(master.pid)?;
        Ok(Some(Instance {
            master: Some(master.clone()),
            workers,
            version: built.version,
            prefix,
            config,
            default_error_log,
            default_access_log,
            globals: args.directives.clone().unwrap_or_default(),
            options: args.options(),
            view,
            is_candidate: false,
        }))
    }

    /// How a master's binary was built; `None` where it is no nginx, whatever it calls itself.
    ///
    /// Another user's program is closed to all but root: then the one of that path, where its title tells the path.
    fn built_of(&self, master: &Process, args: &NginxArgs) -> Result<Option<Built>, Gap> {
        let closed = match self.built(Path::new(&format!("/proc/{}/exe", master.pid))) {
            Err(gap) if gap.kind != GapKind::Pending => gap,
            known => return known,
        };
        let program = Path::new(OsStr::from_bytes(&args.program));
        if program.is_absolute()
            && let Some(built) = known(self.built(program))?
        {
            return Ok(built);
        }
        if args.config.as_deref().is_some_and(Path::is_absolute) {
            return Ok(Some(Built::of("")));
        }
        let missing = format!("which configuration nginx (pid {}) runs", master.pid);
        let mut gap = Gap::new(closed.kind, missing, closed.why);
        gap.learn = closed.learn;
        Err(gap)
    }

    /// A configuration that no master runs: the one asked for or, where no nginx runs at all, the installed one.
    fn not_started(&self) -> Result<Option<Instance>, Gap> {
        let installed = known(self.built(Path::new("/usr/sbin/nginx")))?.flatten();
        let built = installed.unwrap_or_else(|| Built::of(""));
        let prefix = self.options.prefix.clone().unwrap_or(built.prefix);
        if let Some(named) = &self.options.config
            && !self.is_main_configuration(named)?
        {
            return Ok(None);
        }
        let config = prefix.join(self.options.config.clone().unwrap_or(built.config));
        let request = ProbeRequest::host_file(&config);
        match self.evidence.bytes(&request) {
            Err(gap) if gap.kind == GapKind::Pending => return Err(gap),
            Err(gap) if gap.kind == GapKind::Absent => return Ok(None),
            Ok(_) | Err(_) => {}
        }
        Ok(Some(Instance {
            master: None,
            workers: Vec::new(),
            version: built.version,
            default_error_log: prefix.join(built.error_log),
            default_access_log: prefix.join(built.access_log),
            prefix,
            config,
            globals: Vec::new(),
            options: Vec::new(),
            view: View::Host,
            is_candidate: false,
        }))
    }

    /// Whether a configuration is the one that the installed nginx reads unless told otherwise.
    pub(crate) fn is_installed(&self, instance: &Instance) -> bool {
        let built = self.built(Path::new("/usr/sbin/nginx")).ok().flatten();
        built.is_some_and(|built| built.prefix.join(built.config) == instance.config)
    }

    /// What a binary says of itself; `None` where it says nothing that nginx would. It is read, never run: who names a
    /// program nginx must not have it run by root.
    fn built(&self, binary: &Path) -> Result<Option<Built>, Gap> {
        let prefixes = [
            "nginx version: ",
            "configure arguments:",
            " --prefix=",
            "--prefix=",
        ];
        let request = ProbeRequest::Strings {
            path: binary.to_owned(),
            prefixes: prefixes.iter().map(|&prefix| prefix.to_owned()).collect(),
        };
        let strings = self.evidence.fact(&request, |_, bytes| bytes.to_vec())?;
        let strings = String::from_utf8_lossy(&strings);
        Ok(strings.contains(prefixes[1]).then(|| Built::of(&strings)))
    }

    /// Whose file system a process sees: the host's own where root and mount namespace are the same, or cannot be told.
    pub(crate) fn view_of(&self, pid: u32) -> Result<View, Gap> {
        let link = |path: String| ProbeRequest::Link {
            path: PathBuf::from(path),
        };
        let answers = self.evidence.batch([
            link(format!("/proc/{pid}/root")),
            link(format!("/proc/{pid}/ns/mnt")),
            link("/proc/self/ns/mnt".to_owned()),
        ]);
        drop(answers?);
        let read = |path: String| {
            self.evidence
                .bytes(&link(path))
                .map(|(_, bytes)| bytes.to_vec())
                .ok()
        };
        let root = read(format!("/proc/{pid}/root"));
        let mounts = read(format!("/proc/{pid}/ns/mnt"));
        let own = read("/proc/self/ns/mnt".to_owned());
        let same_root = root.is_none_or(|root| root == b"/");
        let same_mounts = mounts.is_none() || own.is_none() || mounts == own;
        Ok(if same_root && same_mounts {
            View::Host
        } else {
            View::Process(pid)
        })
    }

    /// How many masters run, whatever they run.
    pub(super) fn masters(&self) -> Result<usize, Gap> {
        let processes = self.processes()?;
        Ok(masters(&processes).count())
    }

    /// The incident of an nginx that does not run.
    pub(crate) fn not_running(&self, idx: usize, instance: &Instance) -> Incident {
        Incident {
            id: super::logs::identity(&instance.config, b"", "nginx-not-running", ""),
            instance: idx,
            origin: Origin::Host,
            peer: String::new(),
            address: None,
            upstream: None,
            protocol: None,
            has_other_protocols: false,
            failure: None,
            errno: None,
            action: None,
            status: None,
            count: 0,
            first_seen: self.now(),
            last_seen: self.now(),
            seconds: Rc::default(),
            servers: Vec::new(),
            paths: std::collections::BTreeSet::new(),
            requests: Rc::default(),
            sample: String::new(),
            messages: std::collections::BTreeSet::new(),
            last_writer: None,
            log: None,
            explained: true,
        }
    }

    /// Two masters where one was to take the other's place (`USR2`) and the other was never told to go, if the incident is
    /// one of these: the new one is a child of the old one as long as that lives.
    pub(crate) fn half_done_upgrade(&self, incident: &Incident) -> Result<Option<Upgrade>, Gap> {
        let instance = self.instance(incident)?;
        let Some(own) = &instance.master else {
            return Ok(None);
        };
        let processes = self.processes()?;
        let found = masters(&processes).find_map(|(new, _)| {
            let old = processes.get(&new.ppid)?;
            let is_pair = matches!(old.nginx(), Some(NginxRole::Master(_)));
            (is_pair && (old.pid == own.pid || new.pid == own.pid)).then(|| Upgrade {
                old: old.clone(),
                new: new.clone(),
                is_of_old: old.pid == own.pid,
            })
        });
        Ok(found)
    }

    /// The worker that failed last, where it is one of an older configuration that ends what it is answering.
    pub(crate) fn draining_writer(&self, incident: &Incident) -> Result<Option<Process>, Gap> {
        let instance = self.instance(incident)?;
        let (Some(master), Some(pid)) = (&instance.master, incident.last_writer) else {
            return Ok(None);
        };
        let is_draining = |process: &&Process| {
            process.ppid == master.pid
                && process.start
                    <= incident
                        .last_seen
                        .saturating_add(SECOND)
                        .unwrap_or(Timestamp::MAX)
                && matches!(
                    process.nginx(),
                    Some(NginxRole::Worker {
                        is_shutting_down: true
                    })
                )
        };
        Ok(self.processes()?.get(&pid).filter(is_draining).cloned())
    }

    /// The other instances that write to one of an instance's error logs.
    pub(super) fn rivals(&self, idx: usize) -> Result<Vec<usize>, Gap> {
        let instances = self.instances()?;
        let Some(own) = instances.get(idx) else {
            return Ok(Vec::new());
        };
        let paths = self.error_paths(idx, own)?;
        let mut rivals = Vec::new();
        for (other, instance) in instances.iter().enumerate() {
            if other != idx
                && instance.view == own.view
                && self
                    .error_paths(other, instance)?
                    .iter()
                    .any(|path| paths.contains(path))
            {
                rivals.push(other);
            }
        }
        Ok(rivals)
    }

    /// Workers whose master has ended: they hold its sockets and go on.
    pub(crate) fn orphaned_workers(&self) -> Result<Vec<u32>, Gap> {
        let processes = self.processes()?;
        let is_orphan = |process: &&Process| {
            matches!(process.nginx(), Some(NginxRole::Worker { .. }))
                && processes
                    .get(&process.ppid)
                    .is_none_or(|parent| parent.nginx().is_none())
        };
        Ok(processes
            .values()
            .filter(is_orphan)
            .map(|process| process.pid)
            .collect())
    }

    /// That no process is a master of this configuration.
    pub(crate) fn no_master_exhibit(&self, instance: &Instance) -> Result<Exhibit, Gap> {
        self.sees_all_processes()?;
        let processes = self.processes()?;
        let others = masters(&processes).count();
        let others = match others {
            0 => "none is an nginx master".to_owned(),
            1 => "one is an nginx master, not of this configuration".to_owned(),
            n => format!("{n} are nginx masters, none of this configuration"),
        };
        Ok(Exhibit::Record {
            probe: "process",
            at: Some(self.now()),
            text: format!(
                "{}, {others} ({})",
                facts::counted(processes.len(), "process"),
                instance.config.display()
            ),
        })
    }
}

/// The processes that are a master, or nginx without one, with their arguments.
fn masters(processes: &BTreeMap<u32, Process>) -> impl Iterator<Item = (&Process, NginxArgs)> {
    processes
        .values()
        .filter_map(|process| match process.nginx() {
            Some(NginxRole::Master(args)) => Some((process, args)),
            // A child that has not renamed itself yet is about to become a worker.
            Some(NginxRole::Single(args))
                if processes
                    .get(&process.ppid)
                    .is_none_or(|parent| parent.nginx().is_none()) =>
            {
                Some((process, args))
            }
            _ => None,
        })
}
