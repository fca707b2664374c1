//! Findings as GitHub's workflow commands: a runner shows each beside its line.

use std::io::{self, Write};
use std::path::Path;

use diagnose::lints::Place;
use diagnose::{Finding, LintReport, Severity};

use crate::text::visible;

/// Writes one command a finding; paths below `base` are told from there, as a repository has them.
pub fn lints(out: &mut dyn Write, report: &LintReport, base: Option<&Path>) -> io::Result<()> {
    for finding in &report.findings {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let properties = properties(finding, base);
        let message = escaped(&visible(&finding.reason), false);
        writeln!(out, "::{command} {properties}::{message}")?;
    }
    Ok(())
}

fn properties(finding: &Finding, base: Option<&Path>) -> String {
    let place = Place::of(&finding.span);
    let file = below(&finding.span.file, base).to_string_lossy();
    let mut properties = format!(
        "file={},line={},endLine={}",
        escaped(&visible(&file), true),
        place.line,
        place.end_line
    );
    // A runner takes columns only of a single line.
    if place.line == place.end_line {
        let columns = format!(",col={},endColumn={}", place.column, place.end_column);
        properties.push_str(&columns);
    }
    properties.push_str(",title=");
    properties.push_str(&escaped(finding.lint.id, true));
    properties
}

/// The path from the base on, where it stands below it.
pub(crate) fn below<'p>(path: &'p Path, base: Option<&Path>) -> &'p Path {
    base.and_then(|base| path.strip_prefix(base).ok())
        .unwrap_or(path)
}

/// Text that cannot end its command: as `@actions/core` escapes data and properties.
fn escaped(text: &str, is_property: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' => safe.push_str("%25"),
            '\r' => safe.push_str("%0D"),
            '\n' => safe.push_str("%0A"),
            ':' if is_property => safe.push_str("%3A"),
            ',' if is_property => safe.push_str("%2C"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_end_its_command() {
        assert_eq!(escaped("a%b\r\n::x", false), "a%25b%0D%0A::x");
        assert_eq!(escaped("a,b:c%", true), "a%2Cb%3Ac%25");
    }

    #[test]
    fn paths_below_the_base_are_told_from_there() {
        let base = Path::new("/repo");
        assert_eq!(below(Path::new("/repo/a/b"), Some(base)), Path::new("a/b"));
        assert_eq!(below(Path::new("/etc/a"), Some(base)), Path::new("/etc/a"));
        assert_eq!(below(Path::new("/repo/a"), None), Path::new("/repo/a"));
    }
}
