//! Findings as SARIF 2.1.0, which code hosts and editors read.

use std::io::{self, Write};
use std::path::Path;

use diagnose::lints::{ALL, Place};
use diagnose::{ConfSpan, Finding, LintReport, Severity};
use serde_json::{Value, json};

use crate::github::below;

/// Writes a log with one run; paths below `base` are told from there, as a repository has them.
pub fn lints(out: &mut dyn Write, report: &LintReport, base: Option<&Path>) -> io::Result<()> {
    let kept = report
        .findings
        .iter()
        .map(|finding| result(report, finding, base, None));
    let ignored = report
        .ignored
        .iter()
        .map(|ignored| result(report, &ignored.finding, base, Some(&ignored.reason)));
    let results: Vec<Value> = kept.chain(ignored).collect();
    let notifications: Vec<Value> = report
        .not_looked
        .iter()
        .map(|not_looked| {
            let text = format!("{}: {}", not_looked.gap.missing, not_looked.gap.why);
            json!({
                "level": "note",
                "message": {"text": text},
                "associatedRule": {"id": not_looked.lint.id, "index": index(not_looked.lint.id)},
            })
        })
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "why502",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": true,
                "endTimeUtc": crate::words::rfc3339(report.generated_at),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    });
    crate::json::put(out, &log)
}

fn rules() -> Vec<Value> {
    let rule = |lint: &&diagnose::Lint| {
        let page = lint.page();
        json!({
            "id": lint.id,
            "shortDescription": {"text": lint.title()},
            "fullDescription": {"text": lint.title()},
            "help": {"text": page, "markdown": page},
            "defaultConfiguration": {"level": level(lint.severity)},
        })
    };
    ALL.iter().map(rule).collect()
}

fn index(id: &str) -> usize {
    ALL.iter().position(|lint| lint.id == id).unwrap_or(0)
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

fn result(
    report: &LintReport,
    finding: &Finding,
    base: Option<&Path>,
    ignored: Option<&str>,
) -> Value {
    let mut result = json!({
        "ruleId": finding.lint.id,
        "ruleIndex": index(finding.lint.id),
        "level": level(finding.severity),
        "message": {"text": finding.reason},
        "locations": [location(&finding.span, base)],
    });
    let related: Vec<Value> = finding
        .chain
        .iter()
        .map(|span| {
            let mut location = location(span, base);
            let text = span.label.as_deref().unwrap_or(&span.text);
            put(&mut location, "message", json!({"text": text}));
            location
        })
        .collect();
    if !related.is_empty() {
        put(&mut result, "relatedLocations", json!(related));
    }
    if let Some(reason) = ignored {
        let suppression = json!([{"kind": "inSource", "justification": reason}]);
        put(&mut result, "suppressions", suppression);
    }
    if let Some(fix) = fix(report, finding, base) {
        put(&mut result, "fixes", json!([fix]));
    }
    result
}

/// Only what cannot make anything worse: an editor may apply it at a click.
fn fix(report: &LintReport, finding: &Finding, base: Option<&Path>) -> Option<Value> {
    let mend = finding.mend.as_ref().filter(|mend| mend.is_safe())?;
    let changes: Vec<Value> = report
        .changes(mend)
        .into_iter()
        .map(|change| {
            let lines = change.old.matches('\n').count();
            let last = change.old.rsplit('\n').next().unwrap_or_default();
            json!({
                "artifactLocation": artifact(&change.file, base),
                "replacements": [{
                    "deletedRegion": {
                        "startLine": change.line,
                        "startColumn": 1,
                        "endLine": change.line + lines,
                        "endColumn": last.chars().count() + 1,
                    },
                    "insertedContent": {"text": change.new},
                }],
            })
        })
        .collect();
    (!changes.is_empty())
        .then(|| json!({"description": {"text": mend.summary}, "artifactChanges": changes}))
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn location(span: &ConfSpan, base: Option<&Path>) -> Value {
    let place = Place::of(span);
    json!({"physicalLocation": {
        "artifactLocation": artifact(&span.file, base),
        "region": {
            "startLine": place.line,
            "startColumn": place.column,
            "endLine": place.end_line,
            "endColumn": place.end_column,
            "snippet": {"text": span.text},
        },
    }})
}

fn artifact(path: &Path, base: Option<&Path>) -> Value {
    json!({"uri": uri(below(path, base))})
}

/// A path as a URI reference: relative ones stay so, absolute ones are files.
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = String::from(if path.is_absolute() { "file://" } else { "" });
    for &byte in path.as_os_str().as_bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if is_plain {
            uri.push(char::from(byte));
        } else {
            let escape = format!("%{byte:02X}");
            uri.push_str(&escape);
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_a_uri() {
        assert_eq!(uri(Path::new("conf.d/a b.conf")), "conf.d/a%20b.conf");
        assert_eq!(
            uri(Path::new("/etc/nginx/ä:1")),
            "file:///etc/nginx/%C3%A4%3A1"
        );
    }
}
