//! Findings of lints, within `why502.report/1`.

use std::borrow::Cow;

use diagnose::lints::Place;
use diagnose::{ConfSpan, Finding, LintReport};
use serde::Serialize;

use super::v1::{GapOf, gap, path, safety};

#[derive(Serialize)]
pub(super) struct FindingOf<'a> {
    id: &'static str,
    severity: &'static str,
    file: Cow<'a, str>,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    text: &'a str,
    label: Option<&'a str>,
    reason: &'a str,
    chain: Vec<LinkOf<'a>>,
    fixes: Vec<FixOf<'a>>,
}

#[derive(Serialize)]
struct LinkOf<'a> {
    file: Cow<'a, str>,
    line: usize,
    column: usize,
    text: &'a str,
    label: Option<&'a str>,
}

/// In the shape of the fixes of a cause.
#[derive(Serialize)]
struct FixOf<'a> {
    summary: &'a str,
    safety: &'static str,
    steps: Vec<StepOf<'a>>,
}

#[derive(Serialize)]
struct StepOf<'a> {
    kind: &'static str,
    file: Cow<'a, str>,
    line: usize,
    old: String,
    new: String,
}

/// What the lints did besides finding.
#[derive(Serialize)]
pub(super) struct LintOf<'a> {
    /// Findings that a comment with a reason took away.
    ignored: Vec<IgnoredOf<'a>>,
    /// Comments that take nothing away.
    unused_ignores: Vec<LinkOf<'a>>,
    /// Lints that could not be judged in full, and why.
    not_looked_at: Vec<NotLookedOf<'a>>,
}

#[derive(Serialize)]
struct IgnoredOf<'a> {
    id: &'static str,
    file: Cow<'a, str>,
    line: usize,
    reason: &'a str,
}

#[derive(Serialize)]
struct NotLookedOf<'a> {
    id: &'static str,
    gap: GapOf<'a>,
}

impl<'a> FindingOf<'a> {
    pub(super) fn new(report: &LintReport, finding: &'a Finding) -> Self {
        let place = Place::of(&finding.span);
        let fixes = finding.mend.iter().map(|mend| {
            let steps = report.changes(mend).into_iter().map(|change| StepOf {
                kind: "edit",
                file: Cow::Owned(change.file.to_string_lossy().into_owned()),
                line: change.line,
                old: change.old,
                new: change.new,
            });
            FixOf {
                summary: &mend.summary,
                safety: safety(mend.safety),
                steps: steps.collect(),
            }
        });
        Self {
            id: finding.lint.id,
            severity: finding.severity.as_str(),
            file: path(&finding.span.file),
            line: place.line,
            column: place.column,
            end_line: place.end_line,
            end_column: place.end_column,
            text: &finding.span.text,
            label: finding.span.label.as_deref(),
            reason: &finding.reason,
            chain: finding.chain.iter().map(link).collect(),
            fixes: fixes.collect(),
        }
    }
}

impl<'a> LintOf<'a> {
    pub(super) fn new(report: &'a LintReport) -> Self {
        let ignored = report.ignored.iter().map(|ignored| IgnoredOf {
            id: ignored.finding.lint.id,
            file: path(&ignored.finding.span.file),
            line: ignored.finding.span.line,
            reason: &ignored.reason,
        });
        let not_looked_at = report.not_looked.iter().map(|not_looked| NotLookedOf {
            id: not_looked.lint.id,
            gap: gap(&not_looked.gap),
        });
        Self {
            ignored: ignored.collect(),
            unused_ignores: report.unused.iter().map(link).collect(),
            not_looked_at: not_looked_at.collect(),
        }
    }
}

fn link(span: &ConfSpan) -> LinkOf<'_> {
    let place = Place::of(span);
    LinkOf {
        file: path(&span.file),
        line: place.line,
        column: place.column,
        text: &span.text,
        label: span.label.as_deref(),
    }
}
