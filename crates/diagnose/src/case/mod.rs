//! The case: everything known about one host, read through accessors that answer with a fact or a gap.
//!
//! Accessors ask for evidence by needing it (see [`evidence`]); they never decide whether a cause holds.

mod access;
mod answered;
mod apart;
mod apparmor;
mod application;
mod asked;
mod buffers;
mod claims;
mod config;
mod container;
mod deaths;
mod denials;
mod edits;
mod evidence;
pub(crate) mod firewall;
mod fpm;
mod freezer;
mod gate;
mod greetings;
mod happenings;
mod hidden;
mod instances;
mod kept;
mod kernel;
mod limits;
mod loaded;
mod locations;
mod logs;
mod memory;
mod mute;
mod names;
pub(crate) mod network;
mod own_listens;
mod owner;
mod paths;
mod patience;
mod plausible;
mod pools;
mod ports;
mod processes;
mod queue;
mod recovery;
mod rejections;
mod reloaded;
mod requested;
mod restarts;
mod reuse;
mod rotated;
mod sandbox;
mod selinux;
mod shared;
mod silent;
mod timeline;
mod tls;
mod turns;
mod unloaded;
mod way;
mod zone;

use std::path::PathBuf;
use std::time::Duration;

use facts::{Gap, ProbeRequest, Record, Url};
use jiff::Timestamp;

pub(crate) use access::LocalhostAnswered;
pub(crate) use apart::Apart;
pub(crate) use apparmor::Apparmor;
pub(crate) use application::{Application, Idle, Speaks, is_same_protocol, spoken_at, spoken_once};
pub(crate) use asked::is_main;
pub(crate) use config::{Configured, Drift, Member, Reuse, Site, span};
pub(crate) use denials::LEARN_DENIALS;
pub(crate) use evidence::{known, of_each};
pub(crate) use fpm::FpmPool;
pub(crate) use greetings::{Greeted, not_asked};
pub(crate) use hidden::Hidden;
pub(crate) use instances::Instance;
pub(crate) use limits::Descriptors;
pub use logs::{MESSAGES_KEPT, SECONDS_KEPT};
pub(crate) use memory::MemoryKills;
pub(crate) use names::{Answered, Resolver, RunTimePass, listed};
pub(crate) use network::{Listener, RECENT_SECONDS, Reached, Repeated, UnixListener, listener_on};
pub(crate) use own_listens::{Held, collide, takes};
pub(crate) use owner::Owner;
pub(crate) use paths::{Access, Component, Identity, Walked};
pub(crate) use patience::{OwnLimit, Patience};
pub(crate) use pools::Pool;
pub(crate) use rejections::Disallowed;
pub(crate) use sandbox::{Cover, NginxSandbox, Veiled, family};
pub(crate) use selinux::{Need, Ruling, Selinux};
pub(crate) use tls::{PeerName, TlsError, TlsSettings, alert_name, tls_errors, verify_error};

use crate::diagnosis::{Diagnosis, InstanceSummary, Judged, Window};
use crate::gate::GateOptions;
use crate::incident::Incident;
use evidence::Evidence;

/// What the user asked for, and when.
#[derive(Clone, Debug)]
pub struct Options {
    /// The clock of the case: now, or the time of the capture.
    pub now: Timestamp,
    /// How far back the window reaches.
    pub since: Duration,
    /// The main configuration file to look at.
    pub config: Option<PathBuf>,
    /// nginx's prefix, for a configuration that no running nginx uses.
    pub prefix: Option<PathBuf>,
    /// The master (or one of its workers) to look at.
    pub pid: Option<u32>,
    /// The error log to read in place of those the configuration names.
    pub error_log: Option<PathBuf>,
    /// Whether connections may be tried; `false` sends nothing at all.
    pub connect: bool,
    /// Whether protocol handshakes may be sent too.
    pub handshake: bool,
    /// What to ask for, through nginx and then straight.
    pub request: Option<Url>,
    /// Which incidents to tell of.
    pub selection: Option<Selection>,
    /// What the peers are asked for; without it logs tell of failures.
    pub gate: Option<GateOptions>,
}

/// `why502 [SITE|PEER|INCIDENT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection(pub String);

impl Selection {
    /// What is named: as nginx prints it, scheme and URI are no part of a peer.
    pub(crate) fn name(&self) -> &str {
        self.0
            .split_once("://")
            .map_or(self.0.as_str(), |(_, rest)| {
                match rest.strip_prefix("unix:") {
                    Some(_) => rest.trim_end_matches(':'),
                    None => rest.split('/').next().unwrap_or(rest),
                }
            })
    }

    /// Whether an incident is the one meant: by id, by peer, by upstream, or by a server name.
    pub fn matches(&self, incident: &Incident) -> bool {
        let wanted = self.name();
        if wanted.is_empty() {
            return false;
        }
        incident.id == wanted
            || incident.peer == wanted
            || incident.upstream.as_deref() == Some(wanted)
            || incident.servers.iter().any(|server| server == wanted)
    }
}

/// Access logs of which failed requests that nothing explains are told.
const UNLOGGED_TOLD: usize = 3;

/// Everything known about one host.
pub struct Case {
    pub(crate) options: Options,
    pub(crate) evidence: Evidence,
    /// When the user's request was answered: until then the case reaches.
    answered_at: Option<Timestamp>,
}

impl Case {
    /// A case of which nothing is known yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            evidence: Evidence::default(),
            answered_at: None,
        }
    }

    /// Takes an answer in.
    pub fn add(&mut self, request: ProbeRequest, record: Record) {
        if matches!(request, ProbeRequest::Request { .. }) {
            // The first is the one through nginx; its lines were written by now.
            self.answered_at.get_or_insert(record.at);
        }
        if matches!(request, ProbeRequest::Conversation(_)) {
            // What was tried last is what the case is about.
            let latest = self.answered_at.map_or(record.at, |at| at.max(record.at));
            self.answered_at = Some(latest);
        }
        self.evidence.add(request, record);
    }

    /// The incidents of every instance, and what could not be learned about them as a whole.
    pub(crate) fn incidents(&self) -> (Vec<Incident>, Vec<Gap>) {
        if self.options.gate.is_some() {
            return self.gate_incidents();
        }
        let mut incidents = Vec::new();
        let mut gaps = Vec::new();
        let instances = match self.instances() {
            Ok(instances) => instances,
            Err(gap) => return (incidents, vec![gap]),
        };
        if let Err(pending) = self.after_the_request() {
            return (incidents, vec![pending]);
        }
        for (idx, instance) in instances.iter().enumerate() {
            if instance.master.is_none() {
                incidents.push(self.not_running(idx, instance));
            }
            match self.log_facts(idx) {
                Ok(facts) => {
                    incidents.extend(facts.incidents.iter().cloned());
                    gaps.extend(facts.gaps.iter().cloned());
                }
                Err(gap) => gaps.push(gap),
            }
            if let Ok(answered) = self.answered_failures(idx) {
                incidents.extend(answered.incidents.iter().cloned());
            }
        }
        if let Some(selection) = &self.options.selection {
            incidents.retain(|incident| {
                selection.matches(incident)
                    || self.is_behind(selection, incident)
                    || self.is_led_to(selection, incident)
            });
        }
        (incidents, gaps)
    }

    /// The instance of an incident.
    pub(crate) fn instance(&self, incident: &Incident) -> Result<Instance, Gap> {
        let instances = self.instances()?;
        instances
            .get(incident.instance)
            .cloned()
            .ok_or_else(|| Gap::undecided("the nginx instance", "it is gone"))
    }

    pub(crate) fn diagnosis(&self, incidents: Vec<Judged>, mut gaps: Vec<Gap>) -> Diagnosis {
        let instances = self
            .instances()
            .map(|instances| (*instances).clone())
            .unwrap_or_default();
        let mut window = Window {
            from: self.window_start(),
            to: self.now(),
            lines: 0,
            upstream_failures: 0,
            suspects: 0,
            cut: false,
            is_partial: false,
        };
        let mut summaries = Vec::new();
        let mut unexplained = None;
        let mut is_unheard = !instances.is_empty();
        for (idx, instance) in instances.iter().enumerate() {
            let logs = self.log_facts(idx).ok();
            let is_quiet = logs
                .as_ref()
                .is_some_and(|logs| logs.upstream_failures == 0);
            if let Ok(answered) = self.answered_failures(idx) {
                let told = answered.unlogged.iter().filter_map(|unlogged| {
                    let gap = self.told(idx, is_quiet, unlogged)?;
                    Some((gap.clone(), unlogged.last))
                });
                for (gap, last) in told.take(UNLOGGED_TOLD) {
                    gaps.push(gap);
                    unexplained = unexplained.max(last);
                }
            }
            let mute = self.mute(idx, instance).ok();
            let mute = mute.as_deref().and_then(Option::as_ref);
            is_unheard &= mute.is_some_and(|mute| mute.is_all);
            gaps.extend(mute.map(|mute| mute.gap.clone()));
            if let Some(logs) = &logs {
                window.lines += logs.lines;
                window.upstream_failures += logs.upstream_failures;
                window.suspects += logs.suspects;
                window.cut |= logs.cut;
                window.is_partial |= logs.cut || logs.is_partial;
            }
            summaries.push(InstanceSummary {
                pid: instance.master.as_ref().map(|master| master.pid),
                master: instance.summary(),
                version: instance.version.clone(),
                config: instance.config.clone(),
                running_config: self.running_config(idx, instance),
                error_logs: logs.map(|logs| logs.files.clone()).unwrap_or_default(),
            });
        }
        Diagnosis {
            generated_at: self.now(),
            hostname: self.hostname(),
            privileged: self.is_privileged(),
            instances: summaries,
            window,
            incidents,
            gaps,
            unexplained,
            is_unheard,
            asked: self.asked(),
            refusal: self.refusal().ok().flatten(),
        }
    }

    /// The command that asks again, with what the user named.
    pub(crate) fn again(&self) -> String {
        let mut command = "why502".to_owned();
        if self.options.gate.is_some() {
            command.push_str(" gate");
        }
        if let Some(config) = &self.options.config {
            command.push_str(" --config ");
            command.push_str(&config.to_string_lossy());
        }
        if let Some(pid) = self.options.pid {
            command.push_str(" --pid ");
            command.push_str(&pid.to_string());
        }
        if self.options.handshake && self.options.gate.is_none() {
            command.push_str(" --handshake");
        }
        // One that a shell would read as more than a word, and one whose query is hidden, is no help.
        if let Some(url) = self.options.request.as_ref().map(Url::to_string)
            && url
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b":/._-~%".contains(&byte))
        {
            command.push_str(" --request ");
            command.push_str(&url);
        }
        command
    }

    /// The clock of the case: where a request was sent, the moment of its answer.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.options.now;
        self.answered_at.map_or(now, |answered| answered.max(now))
    }

    /// Where the window begins.
    pub(crate) fn window_start(&self) -> Timestamp {
        self.options
            .now
            .checked_sub(self.options.since)
            .unwrap_or(Timestamp::MIN)
    }

    pub(crate) fn hostname(&self) -> Option<String> {
        let request = ProbeRequest::host_file("/proc/sys/kernel/hostname");
        let (_, bytes) = self.evidence.bytes(&request).ok()?;
        Some(String::from_utf8_lossy(bytes).trim().to_owned())
    }
}
