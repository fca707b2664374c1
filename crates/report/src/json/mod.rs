//! The answers for programs. Schemas are kept for ever: fields are added to them, never changed.

mod explanation;
mod findings;
mod gate;
mod logs;
mod repair;
mod v1;

use std::borrow::Cow;
use std::io::{self, Write};

use diagnose::explain::Explanation;
use diagnose::logs::LogReport;
use diagnose::{Cause, Diagnosis, Gate, Lint, LintReport};
use serde::Serialize;

use crate::repair::Answer;
use crate::text;

/// Where the evidence came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The host itself.
    Live,
    /// A recording of it.
    Snapshot,
    /// A text alone.
    File,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Snapshot => "snapshot",
            Self::File => "file",
        }
    }
}

/// Writes the report as JSON v1 and ends it with a line feed.
pub fn write(out: &mut dyn Write, diagnosis: &Diagnosis, source: Source) -> io::Result<()> {
    put(out, &v1::Report::new(diagnosis, source))
}

/// Writes what the lints found as JSON v1, the object of a report, and ends it with a line feed.
pub fn lints(out: &mut dyn Write, report: &LintReport, source: Source) -> io::Result<()> {
    put(out, &v1::Report::of_lints(report, source))
}

/// Writes an explanation as JSON v1 and ends it with a line feed.
pub fn explanation(out: &mut dyn Write, explanation: &Explanation) -> io::Result<()> {
    put(out, &explanation::Report::new(explanation))
}

/// Writes the answer of a gate as JSON v1 and ends it with a line feed.
pub fn gate(out: &mut dyn Write, answer: &Gate, against_running: bool) -> io::Result<()> {
    put(out, &gate::Report::new(answer, against_running))
}

/// Writes what logs tell in bulk as JSON v1 and ends it with a line feed.
pub fn logs(out: &mut dyn Write, report: &LogReport) -> io::Result<()> {
    put(out, &logs::Report::new(report))
}

/// Writes what came of repairs as JSON v1 and ends it with a line feed.
pub fn repairs(out: &mut dyn Write, answers: &[Answer]) -> io::Result<()> {
    put(out, &repair::Report::new(answers))
}

/// Writes the pages of causes as a JSON list of `id`, `title` and `page` (Markdown), and ends it with a line feed.
pub fn causes(out: &mut dyn Write, causes: &[&Cause]) -> io::Result<()> {
    pages(out, causes, &[])
}

/// The same of causes and lints.
pub fn pages(out: &mut dyn Write, causes: &[&Cause], lints: &[&Lint]) -> io::Result<()> {
    let page = |id: &str, title: &str, page: String| serde_json::json!({"id": id, "title": title, "page": page});
    let causes = causes
        .iter()
        .map(|cause| page(cause.id, cause.title(), cause.page()));
    let lints = lints
        .iter()
        .map(|lint| page(lint.id, lint.title(), lint.page()));
    put(out, &causes.chain(lints).collect::<Vec<_>>())
}

pub(crate) fn put(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    out.write_all(escaped(&json).as_bytes())?;
    out.write_all(b"\n")
}

/// The same JSON value, safe to look at: characters that deceive stand only inside strings, where an escape says the same.
/// `serde_json` itself escapes no more than JSON demands, which leaves C1 controls and bidi overrides.
fn escaped(json: &str) -> Cow<'_, str> {
    let deceives = |c: char| c != '\n' && text::deceives(c);
    if !json.contains(deceives) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if deceives(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let escape = format!("\\u{unit:04x}");
                safe.push_str(&escape);
            }
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}
