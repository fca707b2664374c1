//! `why502.report/1`: the words and the order of the fields. A copy of the diagnosis' shape on purpose: the types behind
//! a diagnosis may change, this may only grow. Where a struct has fields behind a blank line, they came later than the
//! first outline of the schema.

use std::borrow::Cow;
use std::path::Path;

use diagnose::{
    Asked, CauseVerdict, ConfSpan, Diagnosis, Exhibit, Fix, Gap, GapKind, Hop, InstanceSummary,
    Judged, Judgement, LintReport, Origin, Proof, RunningConfig, Safety, Step,
};
use serde::Serialize;

use super::Source;
use super::findings::{FindingOf, LintOf};
use crate::words;

#[derive(Serialize)]
pub(super) struct Report<'a> {
    schema: &'static str,
    generated_at: String,
    host: Host<'a>,
    nginx: Vec<Nginx<'a>>,
    window: Window,
    incidents: Vec<Incident<'a>>,
    /// Of lints; none is made by a diagnosis.
    findings: Vec<FindingOf<'a>>,

    gaps: Vec<GapOf<'a>>,
    /// What the lints did besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    lint: Option<LintOf<'a>>,
    /// The request that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<AskedOf<'a>>,
}

#[derive(Serialize)]
struct AskedOf<'a> {
    url: &'a str,
    at: Option<String>,
    through: Option<HopOf<'a>>,
    logged: Vec<LoggedOf<'a>>,
    straight: Vec<HopOf<'a>>,
    left_out: &'a [String],
    says: &'a [String],
    gaps: Vec<GapOf<'a>>,
}

#[derive(Serialize)]
struct HopOf<'a> {
    to: &'a str,
    status: Option<u16>,
    outcome: &'a str,
}

#[derive(Serialize)]
struct LoggedOf<'a> {
    incident: &'a str,
    status: Option<u16>,
    text: &'a str,
}

#[derive(Serialize)]
struct Host<'a> {
    hostname: Option<&'a str>,
    source: &'static str,
    privileged: bool,
}

#[derive(Serialize)]
struct Nginx<'a> {
    pid: Option<u32>,
    version: Option<&'a str>,
    config: Cow<'a, str>,
    running_config: &'static str,

    error_logs: Vec<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Window {
    from: String,
    to: String,
    lines: u64,
    upstream_failures: u64,

    suspects: u64,
    cut: bool,
    partial: bool,
}

#[derive(Serialize)]
pub(super) struct Incident<'a> {
    id: &'a str,
    /// The pid of its master, as in the list of instances.
    nginx: Option<u32>,
    origin: &'static str,
    peer: &'a str,
    upstream: Option<&'a str>,
    protocol: Option<&'static str>,
    failure: Option<&'static str>,
    errno: Option<u16>,
    #[serde(rename = "while")]
    action: Option<&'static str>,
    status: Option<u16>,
    count: u64,
    first_seen: String,
    last_seen: String,
    ongoing: bool,
    servers: &'a [String],
    sample: &'a str,
    directive: Option<Directive<'a>>,
    outcome: &'static str,
    cause: Option<&'static str>,
    causes: Vec<Verdict<'a>>,

    /// First what its line says, where that is all that is left of it.
    hints: Vec<&'a str>,
    known: Vec<Item<'a>>,
    explained: bool,
    impact: Option<Impact>,
    log: Option<Cow<'a, str>>,
    timeline: Vec<Moment<'a>>,
}

#[derive(Serialize)]
struct Moment<'a> {
    at: String,
    text: &'a str,
    explains: bool,
}

#[derive(Serialize)]
pub(super) struct Directive<'a> {
    file: Cow<'a, str>,
    line: usize,
    column: usize,
    text: &'a str,
}

#[derive(Serialize)]
struct Impact {
    requests: u64,
    failed: u64,
    rescued: u64,
    replaced: u64,
    mirrored: u64,
    /// A log was cut: at least so many.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Verdict<'a> {
    Confirmed {
        id: &'static str,
        verdict: &'static str,
        summary: &'a str,
        proof: Vec<Item<'a>>,
        fixes: Vec<FixOf<'a>>,
    },
    Unknown {
        id: &'static str,
        verdict: &'static str,
        gap: GapOf<'a>,
    },
    RuledOut {
        id: &'static str,
        verdict: &'static str,
        proof: Vec<Item<'a>>,
    },
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Item<'a> {
    Log {
        text: &'a str,

        at: Option<String>,
        count: u64,
    },
    Config {
        file: Cow<'a, str>,
        line: usize,

        column: usize,
        text: &'a str,
        label: Option<&'a str>,
    },
    Record {
        probe: &'static str,
        text: &'a str,

        at: Option<String>,
    },
}

#[derive(Serialize)]
pub(super) struct FixOf<'a> {
    summary: &'a str,
    safety: &'static str,
    steps: Vec<StepOf<'a>>,
    verify: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum StepOf<'a> {
    Edit {
        file: Cow<'a, str>,
        line: usize,
        old: &'a str,
        new: &'a str,
    },
    Command {
        argv: &'a [String],
    },
    Advice {
        text: &'a str,
    },
}

#[derive(Serialize)]
pub(super) struct GapOf<'a> {
    missing: &'a str,
    why: &'a str,
    learn: Option<&'a str>,

    kind: &'static str,
    leaning: Option<&'a str>,
}

impl<'a> Report<'a> {
    pub(super) fn new(diagnosis: &'a Diagnosis, source: Source) -> Self {
        let window = diagnosis.window;
        Self {
            schema: "why502.report/1",
            generated_at: words::rfc3339(diagnosis.generated_at),
            host: Host {
                hostname: diagnosis.hostname.as_deref(),
                source: source.as_str(),
                privileged: diagnosis.privileged,
            },
            nginx: diagnosis.instances.iter().map(nginx).collect(),
            window: Window {
                from: words::rfc3339(window.from),
                to: words::rfc3339(window.to),
                lines: window.lines,
                upstream_failures: window.upstream_failures,
                suspects: window.suspects,
                cut: window.cut,
                partial: window.is_partial,
            },
            incidents: diagnosis
                .incidents
                .iter()
                .map(|judged| incident(judged, &diagnosis.instances))
                .collect(),
            findings: Vec::new(),
            lint: None,
            gaps: diagnosis.gaps.iter().map(gap).collect(),
            request: diagnosis.asked.as_ref().map(asked),
        }
    }
}

impl<'a> Report<'a> {
    /// The same object of a run of the lints: without a window and without incidents.
    pub(super) fn of_lints(report: &'a LintReport, source: Source) -> Self {
        let now = words::rfc3339(report.generated_at);
        Self {
            schema: "why502.report/1",
            generated_at: now.clone(),
            host: Host {
                hostname: report.hostname.as_deref(),
                source: source.as_str(),
                privileged: report.privileged,
            },
            nginx: report
                .linted
                .iter()
                .map(|linted| Nginx {
                    pid: linted.pid,
                    version: linted.version.as_deref(),
                    config: path(&linted.config),
                    // No log was looked at, which is what tells.
                    running_config: "unknown",
                    error_logs: Vec::new(),
                })
                .collect(),
            window: Window {
                from: now.clone(),
                to: now,
                lines: 0,
                upstream_failures: 0,
                suspects: 0,
                cut: false,
                partial: false,
            },
            incidents: Vec::new(),
            findings: report
                .findings
                .iter()
                .map(|finding| FindingOf::new(report, finding))
                .collect(),
            gaps: report.gaps.iter().map(gap).collect(),
            lint: Some(LintOf::new(report)),
            request: None,
        }
    }
}

fn asked(asked: &Asked) -> AskedOf<'_> {
    fn hop(hop: &Hop) -> HopOf<'_> {
        HopOf {
            to: &hop.to,
            status: hop.status,
            outcome: &hop.outcome,
        }
    }
    let logged = asked.logged.iter().map(|line| LoggedOf {
        incident: &line.incident,
        status: line.status,
        text: &line.text,
    });
    AskedOf {
        url: &asked.url,
        at: asked.at.map(words::rfc3339),
        through: asked.through.as_ref().map(hop),
        logged: logged.collect(),
        straight: asked.straight.iter().map(hop).collect(),
        left_out: &asked.left_out,
        says: &asked.says,
        gaps: asked.gaps.iter().map(gap).collect(),
    }
}

fn nginx(instance: &InstanceSummary) -> Nginx<'_> {
    Nginx {
        pid: instance.pid,
        version: instance.version.as_deref(),
        config: path(&instance.config),
        running_config: match instance.running_config {
            RunningConfig::Current => "current",
            RunningConfig::Outdated => "outdated",
            RunningConfig::Unknown => "unknown",
        },
        error_logs: instance.error_logs.iter().map(|log| path(log)).collect(),
    }
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the methods' types belong to a crate that a report does not name"
)]
pub(super) fn incident<'a>(judged: &'a Judged, instances: &[InstanceSummary]) -> Incident<'a> {
    let incident = &judged.incident;
    Incident {
        id: &incident.id,
        nginx: instances
            .get(incident.instance)
            .and_then(|instance| instance.pid),
        origin: match incident.origin {
            Origin::ErrorLog => "error-log",
            Origin::AccessLog => "access-log",
            Origin::Host => "host",
            Origin::Experiment => "experiment",
        },
        peer: &incident.peer,
        upstream: incident.upstream.as_deref(),
        protocol: incident.protocol.map(|protocol| protocol.as_str()),
        failure: incident.failure.map(|class| class.as_str()),
        errno: incident.errno,
        action: incident.action.map(|action| action.as_str()),
        status: incident.status,
        count: incident.count,
        first_seen: words::rfc3339(incident.first_seen),
        last_seen: words::rfc3339(incident.last_seen),
        ongoing: judged.ongoing(),
        servers: &incident.servers,
        sample: &incident.sample,
        directive: judged.directive.as_ref().map(directive),
        outcome: if judged.cause.is_some() {
            "confirmed"
        } else {
            "undetermined"
        },
        cause: judged.cause.map(|cause| cause.id),
        causes: judged.causes.iter().map(verdict).collect(),
        hints: judged
            .by_line
            .iter()
            .chain(&judged.hints)
            .map(String::as_str)
            .collect(),
        known: items(&judged.known),
        explained: incident.explained,
        impact: judged.impact.map(|impact| Impact {
            requests: impact.requests,
            failed: impact.failed,
            rescued: impact.rescued,
            replaced: impact.replaced,
            mirrored: impact.mirrored,
            partial: impact.is_partial,
        }),
        log: incident.log.as_deref().map(path),
        timeline: judged.timeline.iter().map(moment).collect(),
    }
}

fn moment(moment: &diagnose::Moment) -> Moment<'_> {
    Moment {
        at: words::rfc3339(moment.at),
        text: &moment.what,
        explains: moment.explains,
    }
}

pub(super) fn directive(span: &ConfSpan) -> Directive<'_> {
    Directive {
        file: path(&span.file),
        line: span.line,
        column: span.column,
        text: &span.text,
    }
}

fn verdict(verdict: &CauseVerdict) -> Verdict<'_> {
    let id = verdict.cause.id;
    match &verdict.judgement {
        Judgement::Confirmed(confirmation) => Verdict::Confirmed {
            id,
            verdict: "confirmed",
            summary: &confirmation.summary,
            proof: proof(&confirmation.proof),
            fixes: confirmation.fixes.iter().map(fix).collect(),
        },
        Judgement::Unknown(missing) => Verdict::Unknown {
            id,
            verdict: "unknown",
            gap: gap(missing),
        },
        Judgement::RuledOut(shown) => Verdict::RuledOut {
            id,
            verdict: "ruled-out",
            proof: proof(shown),
        },
    }
}

fn proof(proof: &Proof) -> Vec<Item<'_>> {
    items(proof.exhibits())
}

fn items(exhibits: &[Exhibit]) -> Vec<Item<'_>> {
    exhibits
        .iter()
        .map(|exhibit| match exhibit {
            Exhibit::Log { at, text, count } => Item::Log {
                text,
                at: at.map(words::rfc3339),
                count: *count,
            },
            Exhibit::Config(span) => Item::Config {
                file: path(&span.file),
                line: span.line,
                column: span.column,
                text: &span.text,
                label: span.label.as_deref(),
            },
            Exhibit::Record { probe, at, text } => Item::Record {
                probe,
                text,
                at: at.map(words::rfc3339),
            },
        })
        .collect()
}

pub(super) fn fix(fix: &Fix) -> FixOf<'_> {
    FixOf {
        summary: &fix.summary,
        safety: safety(fix.safety),
        steps: fix
            .steps
            .iter()
            .map(|step| match step {
                Step::Edit {
                    file,
                    line,
                    old,
                    new,
                } => StepOf::Edit {
                    file: path(file),
                    line: *line,
                    old,
                    new,
                },
                Step::Command { argv } => StepOf::Command { argv },
                Step::Advice { text } => StepOf::Advice { text },
            })
            .collect(),
        verify: fix.verify.as_deref(),
    }
}

pub(super) fn gap(gap: &Gap) -> GapOf<'_> {
    GapOf {
        missing: &gap.missing,
        why: &gap.why,
        learn: gap.learn.as_deref(),
        kind: match gap.kind {
            GapKind::Pending => "pending",
            GapKind::Absent => "absent",
            GapKind::Denied => "denied",
            GapKind::NotRecorded => "not-recorded",
            GapKind::NotAsked => "not-asked",
            GapKind::TooLate => "too-late",
            GapKind::Undecided => "undecided",
        },
        leaning: gap.leaning.as_deref(),
    }
}

/// Bytes of a path that are not UTF-8 become U+FFFD.
pub(super) fn path(path: &Path) -> Cow<'_, str> {
    path.to_string_lossy()
}

/// A safety for programs.
pub(super) fn safety(safety: Safety) -> &'static str {
    match safety {
        Safety::Safe => "safe",
        Safety::Unsafe => "unsafe",
        Safety::DisplayOnly => "display-only",
    }
}
