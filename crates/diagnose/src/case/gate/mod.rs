//! The gate: every peer of a configuration is asked as nginx would ask it, and what fails becomes an incident that is
//! judged like any other.
//!
//! Here is decided whom to ask ([`dialled`]), what to say ([`say`]) and what the answer means ([`heard`], [`shaken`]); the asking is
//! the host's.

mod caller;
mod dialled;
mod greet;
mod heard;
mod incident;
mod say;
mod shaken;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use facts::{Gap, ProbeRequest};
use jiff::Timestamp;

use super::config::span;
use super::{Case, Instance, evidence, known, of_each};
use crate::diagnosis::Judged;
use crate::gate::{Gate, GateOptions, GateOutcome, GatePeer, GateTrouble, Role};
use crate::incident::Incident;
use dialled::{Dialled, Place};
use heard::Outcome;
use say::Said;

/// Failing peers whose cause is looked for: beyond these there is one reason for many of them.
const MOST_JUDGED: usize = 32;

/// A peer, with what came of asking it.
pub(super) struct Asked {
    dialled: Dialled,
    said: Option<Said>,
    outcome: Outcome,
    at: Timestamp,
    /// The connection was why502's own, for it could not become nginx's worker.
    is_own: bool,
}

impl Case {
    /// What the gate was asked for.
    fn gate_options(&self) -> Result<&GateOptions, Gap> {
        self.options
            .gate
            .as_ref()
            .ok_or_else(|| Gap::undecided("the gate", "it was not asked for"))
    }

    /// The questions that the gate still wants answered; empty when nothing new is wanted.
    pub fn plan_gate(&self) -> Vec<ProbeRequest> {
        // The answer is thrown away: only what it asked for counts.
        drop(self.gate());
        self.evidence.wanted()
    }

    /// The gate's answer. Evidence still missing counts as a gap.
    pub fn conclude_gate(&mut self) -> Gate {
        self.evidence.close();
        self.gate()
    }

    fn gate(&self) -> Gate {
        let mut gate = Gate {
            generated_at: self.now(),
            hostname: self.hostname(),
            privileged: self.is_privileged(),
            config: None,
            is_candidate: false,
            master: None,
            caller: String::new(),
            test: None,
            troubles: Vec::new(),
            peers: Vec::new(),
            gaps: Vec::new(),
            refusal: None,
        };
        if let Err(gap) = self.fill(&mut gate) {
            gate.gaps.push(gap);
        }
        gate
    }

    fn fill(&self, gate: &mut Gate) -> Result<(), Gap> {
        gate.refusal = self.gate_refusal()?;
        let instances = self.instances()?;
        let Some(instance) = instances.first().filter(|_| gate.refusal.is_none()) else {
            return Ok(());
        };
        gate.config = Some(instance.config.clone());
        gate.is_candidate = instance.is_candidate;
        gate.master = instance.master.as_ref().map(|master| master.pid);
        let configured = match settled(self.configured(0))? {
            Ok(configured) => configured,
            Err(gap) => {
                let config = instance.config.display();
                gate.refusal = Some(format!(
                    "cannot read the configuration {config}: {}",
                    gap.why
                ));
                return Ok(());
            }
        };
        gate.gaps.extend(configured.unread.clone());
        if instance.master.is_none() {
            gate.gaps.extend(self.several_masters()?);
        }
        let troubles = configured.configuration.troubles();
        gate.troubles
            .extend(troubles.iter().map(|trouble| GateTrouble {
                file: trouble.path.clone(),
                line: trouble.line,
                text: trouble.message.clone(),
            }));
        let (_, caller) = self.caller(instance)?;
        gate.caller = caller;
        gate.test = self.test_of(instance)?;
        let asked = self.asked_peers()?;
        let judged = self.gate_judged();
        let listed = dialled::listed(&configured.model);
        gate.gaps.extend(listed.gaps);
        if asked.iter().any(|asked| asked.is_own) && instance.worker().is_some() {
            gate.gaps.push(self.own_gap(instance));
        }
        for peer in asked.iter() {
            let mut told = told(&configured.model, peer);
            let id = incident::id(&instance.config, peer);
            told.judged = judged
                .iter()
                .find(|judged| judged.incident.id == id)
                .cloned()
                .map(|judged| with_hint(judged, peer));
            gate.peers.push(told);
        }
        Ok(())
    }

    /// The command with which that master's own binary tests the configuration.
    fn test_of(&self, instance: &Instance) -> Result<Option<Vec<String>>, Gap> {
        if instance.view != facts::View::Host {
            return Ok(None);
        }
        let binary = match &instance.master {
            Some(master) => {
                let path = format!("/proc/{}/exe", master.pid).into();
                let link = ProbeRequest::Link { path };
                let target = known(self.evidence.fact(&link, |_, bytes| bytes.to_vec()))?;
                target.map(|target| String::from_utf8_lossy(&target).into_owned())
            }
            None => None,
        };
        let binary = binary.unwrap_or_else(|| "/usr/sbin/nginx".to_owned());
        let mut argv = vec![binary, "-t".to_owned(), "-q".to_owned()];
        for (flag, value) in [("-c", &instance.config), ("-p", &instance.prefix)] {
            argv.extend([flag.to_owned(), value.display().to_string()]);
        }
        if !instance.globals.is_empty() {
            let globals = String::from_utf8_lossy(&instance.globals).into_owned();
            argv.extend(["-g".to_owned(), globals]);
        }
        Ok(Some(argv))
    }

    /// The failures with their causes.
    fn gate_judged(&self) -> Vec<Judged> {
        let judges = self.gate_options().is_ok_and(|options| options.judges);
        if judges {
            self.judge_all().0
        } else {
            Vec::new()
        }
    }

    /// Why nothing can be asked, for the user.
    fn gate_refusal(&self) -> Result<Option<String>, Gap> {
        let instances = self.instances()?;
        if instances.len() > 1 {
            let pids: Vec<String> = instances
                .iter()
                .filter_map(|instance| Some(instance.master.as_ref()?.pid.to_string()))
                .collect();
            return Ok(Some(format!(
                "{} nginx masters run (pid {}): name one with --pid",
                instances.len(),
                pids.join(", ")
            )));
        }
        if let Some(named) = &self.options.config
            && !self.is_main_configuration(named)?
        {
            return Ok(Some(format!(
                "{} is no main configuration of nginx (no events, http or stream block): name the file that nginx would be started with",
                named.display()
            )));
        }
        Ok(None)
    }

    /// The incidents of the peers that fail.
    pub(super) fn gate_incidents(&self) -> (Vec<Incident>, Vec<Gap>) {
        let asked = match self.asked_peers() {
            Ok(asked) => asked,
            Err(gap) => return (Vec::new(), vec![gap]),
        };
        let failing = asked
            .iter()
            .filter(|asked| asked.outcome.kind == GateOutcome::Failing)
            .take(MOST_JUDGED);
        let mut incidents: Vec<Incident> = Vec::new();
        for incident in failing.filter_map(|asked| self.incident_of(asked).ok()) {
            // Of an upstream without a server in use there is one.
            if incidents.iter().all(|other| other.id != incident.id) {
                incidents.push(incident);
            }
        }
        (incidents, Vec::new())
    }

    /// Every peer, asked.
    fn asked_peers(&self) -> Result<Rc<Vec<Asked>>, Gap> {
        self.evidence.once("asked peers", || {
            let instances = self.instances()?;
            let instance = instances
                .first()
                .ok_or_else(|| Gap::undecided("the peers", "no nginx was found"))?;
            let configured = self.configured(0)?;
            let dialled = self.dialled_peers(&configured.model)?;
            let spoken: Vec<Option<Said>> = dialled
                .iter()
                .map(|dialled| self.said_to(&configured, instance, dialled))
                .collect::<Result<_, _>>()?;
            let answers = self.conversations(instance, &spoken)?;
            // Whatever an answer leads to is asked of all peers at once.
            let all = dialled.into_iter().zip(spoken).zip(answers);
            of_each(all, |((dialled, said), answer)| {
                let (outcome, at, is_own) = match (&said, answer) {
                    (Some(said), Some((record, is_own))) => {
                        let outcome = self.heard(instance, &dialled, said, record, is_own)?;
                        (outcome, record.at, is_own)
                    }
                    _ => (Outcome::unasked(&dialled), self.now(), false),
                };
                self.confined_as_nginx(
                    instance,
                    Asked {
                        dialled,
                        said,
                        outcome,
                        at,
                        is_own,
                    },
                )
            })
        })
    }

    /// What connected may still be denied to nginx's worker, whose SELinux domain and system call filter the one who
    /// connected does not bear: the policy and the unit are asked.
    fn confined_as_nginx(&self, instance: &Instance, asked: Asked) -> Result<Asked, Gap> {
        let is_connected = asked.outcome.kind != GateOutcome::NotTried
            && asked.outcome.failure.as_ref().is_none_or(|failure| {
                failure.action != Some(log::error::While::ConnectingToUpstream)
            });
        if !is_connected || asked.said.is_none() || instance.worker().is_none() {
            return Ok(asked);
        }
        let denied = |errno| Asked {
            outcome: Outcome::denied(errno),
            dialled: asked.dialled.clone(),
            said: None,
            at: asked.at,
            is_own: asked.is_own,
        };
        let by_policy = self.incident_of(&denied(13))?;
        let by_filter = self.incident_of(&denied(97))?;
        let found = [
            (13, settled(self.selinux_denies(&by_policy))?),
            (97, settled(self.forbidden_family(&by_filter))?),
        ];
        for (errno, found) in found {
            if let Ok(Some(facts::Exhibit::Record { text, .. })) = found {
                let mut outcome = Outcome::denied(errno);
                outcome.says = format!("{} for nginx's worker: {text}", outcome.says);
                return Ok(Asked { outcome, ..asked });
            }
        }
        Ok(asked)
    }

    /// How long a peer may take, in milliseconds.
    pub(super) fn gate_within(&self) -> u64 {
        let timeout = self.gate_options().map(|options| options.timeout);
        timeout.map_or(0, |timeout| {
            u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
        })
    }

    /// How long a gate waits for an answer, for people; `None` where none does.
    pub(crate) fn gate_limit(&self) -> Option<String> {
        let timeout = self.options.gate.as_ref()?.timeout;
        Some(super::requested::shown(timeout))
    }
}

/// A peer for the report.
fn told(model: &conf::Model, asked: &Asked) -> GatePeer {
    let dialled = &asked.dialled;
    let place = &dialled.place;
    let mut tried = Vec::new();
    if let Some(said) = &asked.said {
        tried.extend(said.tried());
    }
    GatePeer {
        peer: dialled.shown(),
        name: dialled.name.clone(),
        upstream: place.upstream.clone(),
        protocol: dialled.protocol(),
        role: place.role,
        servers: place.servers.clone(),
        directive: span(model, place.directive, Some(0)),
        others: dialled.others,
        tried,
        left_out: asked
            .said
            .as_ref()
            .map(|said| said.left_out.clone())
            .unwrap_or_default(),
        outcome: asked.outcome.kind,
        says: asked.outcome.says.clone(),
        took: asked.outcome.took,
        judged: None,
        failed_before: false,
    }
}

/// An answer that is only not the one that was wanted is the application's own.
fn with_hint(mut judged: Judged, asked: &Asked) -> Judged {
    let incident = &judged.incident;
    let Some(said) = asked.said.as_ref().filter(|_| incident.failure.is_none()) else {
        return judged;
    };
    let hint = match (incident.status, said.speech.path()) {
        (Some(status), Some(path)) if status < 500 => format!(
            "the application answers {status} to {path} itself: ask for a path that it has (--http-path), or let {status} pass (--expect)"
        ),
        (Some(_), _) => return judged,
        (None, _) => "the application itself says that it does not serve".to_owned(),
    };
    judged.hints.insert(0, hint);
    judged
}

/// What the other modules of the gate share.
fn settled<T>(fact: Result<T, Gap>) -> Result<Result<T, Gap>, Gap> {
    evidence::settled(fact)
}

/// Whether a place is dialled at all.
fn is_dialled(place: &Place) -> bool {
    place.role != Role::Down
}

/// A gap's text in a line.
fn in_words(gap: &Gap) -> String {
    format!("{}: {}", gap.missing, gap.why)
}
