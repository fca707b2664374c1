//! `why502.fix/1`: what a repair would do, or did.

use std::borrow::Cow;

use serde::Serialize;

use crate::repair::{Answer, Outcome, Plan, Step, StepKind};

/// See the module.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    schema: &'static str,
    answers: Vec<AnswerV1<'a>>,
}

#[derive(Serialize)]
struct AnswerV1<'a> {
    outcome: &'static str,
    why: Option<&'a str>,
    details: &'a [String],
    peer: Option<&'a str>,
    wrong: Option<&'a str>,
    plan: Option<PlanV1<'a>>,
}

#[derive(Serialize)]
struct PlanV1<'a> {
    incident: &'a str,
    peer: &'a str,
    cause: &'a str,
    wrong: &'a str,
    summary: &'a str,
    safety: &'static str,
    steps: Vec<StepV1<'a>>,
    verify: &'a [String],
    remarks: &'a [String],
}

#[derive(Serialize)]
struct StepV1<'a> {
    #[serde(flatten)]
    kind: KindV1<'a>,
    undo: &'a str,
    notes: &'a [String],
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum KindV1<'a> {
    Edit {
        file: Cow<'a, str>,
        old: &'a str,
        new: &'a str,
    },
    Test {
        argv: &'a [String],
    },
    Reload {
        argv: &'a [String],
    },
    Command {
        argv: &'a [String],
    },
}

impl<'a> Report<'a> {
    pub(super) fn new(answers: &'a [Answer]) -> Self {
        Self {
            schema: "why502.fix/1",
            answers: answers.iter().map(AnswerV1::new).collect(),
        }
    }
}

impl<'a> AnswerV1<'a> {
    fn new(answer: &'a Answer) -> Self {
        let (why, details): (Option<&str>, &[String]) = match &answer.outcome {
            Outcome::Fixed(text) | Outcome::Unverified(text) | Outcome::Declined(text) => {
                (Some(text), &[])
            }
            Outcome::Undone { why, back } => (Some(why), std::slice::from_ref(back)),
            Outcome::Stuck { why, left } => (Some(why), left),
            Outcome::Unfit(reasons) => (None, reasons),
            Outcome::Planned | Outcome::Unproven | Outcome::Nothing => (None, &[]),
        };
        Self {
            outcome: answer.outcome.name(),
            why,
            details,
            peer: answer.of.as_ref().map(|(peer, _)| peer.as_str()),
            wrong: answer.of.as_ref().map(|(_, wrong)| wrong.as_str()),
            plan: answer.plan.as_ref().map(PlanV1::new),
        }
    }
}

impl<'a> PlanV1<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self {
            incident: &plan.incident,
            peer: &plan.peer,
            cause: plan.cause,
            wrong: &plan.wrong,
            summary: &plan.summary,
            safety: super::v1::safety(plan.safety),
            steps: plan.steps.iter().map(StepV1::new).collect(),
            verify: &plan.verify,
            remarks: &plan.remarks,
        }
    }
}

impl<'a> StepV1<'a> {
    fn new(step: &'a Step) -> Self {
        let kind = match &step.kind {
            StepKind::Edit { file, old, new } => KindV1::Edit {
                file: file.to_string_lossy(),
                old,
                new,
            },
            StepKind::Test { argv } => KindV1::Test { argv },
            StepKind::Reload { argv } => KindV1::Reload { argv },
            StepKind::Command { argv } => KindV1::Command { argv },
        };
        Self {
            kind,
            undo: &step.undo,
            notes: &step.notes,
        }
    }
}
