//! `why502.gate/1`: the words and the order of the fields. What fails has the incident of a report.

use std::borrow::Cow;

use diagnose::{Gate, GateOutcome, GatePeer, InstanceSummary, Judgement, Role, RunningConfig};
use serde::Serialize;

use super::v1::{Directive, FixOf, GapOf, Incident, directive, fix, gap, incident, path};
use crate::{gate as told, words};

#[derive(Serialize)]
pub(super) struct Report<'a> {
    schema: &'static str,
    generated_at: String,
    host: Host<'a>,
    config: Option<Cow<'a, str>>,
    /// Whether nginx runs another configuration.
    candidate: bool,
    against: Option<&'static str>,
    nginx: Option<u32>,
    caller: &'a str,
    verdict: &'static str,
    summary: String,
    counts: Counts,
    troubles: Vec<Trouble<'a>>,
    peers: Vec<Told<'a>>,
    gaps: Vec<GapOf<'a>>,
}

#[derive(Serialize)]
struct Host<'a> {
    hostname: Option<&'a str>,
    privileged: bool,
}

#[derive(Serialize)]
struct Counts {
    ready: usize,
    failing: usize,
    unclear: usize,
    not_tried: usize,
    refused: usize,
}

#[derive(Serialize)]
struct Trouble<'a> {
    file: Cow<'a, str>,
    line: u32,
    text: &'a str,
}

#[derive(Serialize)]
struct Told<'a> {
    peer: &'a str,
    name: Option<&'a str>,
    upstream: Option<&'a str>,
    protocol: Option<&'static str>,
    role: &'static str,
    servers: &'a [String],
    directive: Option<Directive<'a>>,
    /// Further places that dial it alike.
    others: usize,
    tried: &'a [String],
    left_out: &'a [String],
    outcome: &'static str,
    says: &'a str,
    took_ms: Option<f64>,
    /// Whether it speaks against the configuration.
    refused: bool,
    failed_before: bool,
    cause: Option<&'static str>,
    summary: Option<&'a str>,
    fixes: Vec<FixOf<'a>>,
    incident: Option<Incident<'a>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(gate: &'a Gate, against_running: bool) -> Self {
        let count = |outcome| {
            let alike = gate.peers.iter().filter(|peer| peer.outcome == outcome);
            alike.count()
        };
        let instances = [InstanceSummary {
            master: None,
            pid: gate.master,
            version: None,
            config: gate.config.clone().unwrap_or_default(),
            running_config: RunningConfig::Unknown,
            error_logs: Vec::new(),
        }];
        Self {
            schema: "why502.gate/1",
            generated_at: words::rfc3339(gate.generated_at),
            host: Host {
                hostname: gate.hostname.as_deref(),
                privileged: gate.privileged,
            },
            config: gate.config.as_deref().map(path),
            candidate: gate.is_candidate,
            against: against_running.then_some("running"),
            nginx: gate.master,
            caller: &gate.caller,
            verdict: if gate.is_refused() {
                "refused"
            } else {
                "clean"
            },
            summary: told::tally(gate),
            counts: Counts {
                ready: count(GateOutcome::Ready),
                failing: count(GateOutcome::Failing),
                unclear: count(GateOutcome::Unclear),
                not_tried: count(GateOutcome::NotTried),
                refused: gate.peers.iter().filter(|peer| peer.is_refused()).count(),
            },
            troubles: gate
                .troubles
                .iter()
                .map(|trouble| Trouble {
                    file: path(&trouble.file),
                    line: trouble.line,
                    text: &trouble.text,
                })
                .collect(),
            peers: gate
                .peers
                .iter()
                .map(|asked| peer(asked, &instances))
                .collect(),
            gaps: gate.gaps.iter().map(gap).collect(),
        }
    }
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the methods' types belong to a crate that a report does not name"
)]
fn peer<'a>(peer: &'a GatePeer, instances: &[InstanceSummary]) -> Told<'a> {
    let cause = told::cause(peer);
    let fixes = peer
        .judged
        .as_ref()
        .and_then(|judged| {
            let id = judged.cause?;
            let verdict = judged.causes.iter().find(|verdict| verdict.cause == id)?;
            match &verdict.judgement {
                Judgement::Confirmed(confirmation) => {
                    Some(confirmation.fixes.iter().map(fix).collect())
                }
                _ => None,
            }
        })
        .unwrap_or_default();
    Told {
        peer: &peer.peer,
        name: peer.name.as_deref(),
        upstream: peer.upstream.as_deref(),
        protocol: peer.protocol.map(|protocol| protocol.as_str()),
        role: match peer.role {
            Role::InUse => "in-use",
            Role::Backup => "backup",
            Role::Down => "down",
        },
        servers: &peer.servers,
        directive: peer.directive.as_ref().map(directive),
        others: peer.others,
        tried: &peer.tried,
        left_out: &peer.left_out,
        outcome: match peer.outcome {
            GateOutcome::Ready => "ready",
            GateOutcome::Failing => "failing",
            GateOutcome::Unclear => "unclear",
            GateOutcome::NotTried => "not-tried",
        },
        says: &peer.says,
        took_ms: peer.took.map(|took| took.as_secs_f64() * 1000.0),
        refused: peer.is_refused(),
        failed_before: peer.failed_before,
        cause: cause.map(|(id, ..)| id),
        summary: cause.map(|(_, summary, _)| summary),
        fixes,
        incident: peer
            .judged
            .as_ref()
            .map(|judged| incident(judged, instances)),
    }
}
