//! What the lints found, at a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use diagnose::lints::Place;
use diagnose::{ConfSpan, Finding, LintReport, Safety, Severity, counted};

use super::sheet::{CONTENT, Long, Piece, Sheet};
use super::{BAD, BOLD, DIM, DOUBT, GONE, GOOD, LABEL, Style, span};

/// Places of a chain that are shown without `-v`.
const LINKS: usize = 4;

/// Writes the findings, and how many there are.
pub fn lints(out: &mut dyn Write, report: &LintReport, style: &Style) -> io::Result<()> {
    let mut sheet = Sheet::new(style.width);
    for finding in &report.findings {
        if style.quiet {
            line(&mut sheet, finding);
        } else {
            full(&mut sheet, report, finding, style);
            sheet.gap();
        }
    }
    if !style.quiet {
        besides(&mut sheet, report, style);
    }
    sheet.under(0, &[Piece::new(BOLD, tally(report))], Long::Keep);
    out.write_all(sheet.into_text().as_bytes())
}

/// Writes what would change, as a patch has it: lines beginning with `+`, `-`, `@`, or a space.
pub fn diff(out: &mut dyn Write, diff: &str) -> io::Result<()> {
    let mut sheet = Sheet::new(80);
    for line in diff.lines() {
        let colour = match line.as_bytes().first() {
            _ if line.starts_with("+++") || line.starts_with("---") => BOLD,
            Some(b'+') => GOOD,
            Some(b'-') => GONE,
            Some(b'@') => LABEL,
            _ => anstyle::Style::new(),
        };
        sheet.exact(0, &[Piece::new(colour, line.replace('\t', "    "))]);
    }
    out.write_all(sheet.into_text().as_bytes())
}

fn severity(finding: &Finding) -> Piece {
    let colour = match finding.severity {
        Severity::Error => BAD,
        Severity::Warning => DOUBT,
        Severity::Note => LABEL,
    };
    Piece::new(colour, finding.severity.as_str())
}

/// One finding in a line, as compilers and editors have it.
fn line(sheet: &mut Sheet, finding: &Finding) {
    let place = Place::of(&finding.span);
    let file = finding.span.file.display();
    sheet.exact(
        0,
        &[
            Piece::new(BOLD, format!("{file}:{}:{}: ", place.line, place.column)),
            severity(finding),
            Piece::plain(format!(": {} ", finding.reason)),
            Piece::new(DIM, format!("[{}]", finding.lint.id)),
        ],
    );
}

fn full(sheet: &mut Sheet, report: &LintReport, finding: &Finding, style: &Style) {
    sheet.hanging(
        0,
        &severity(finding),
        &[
            Piece::new(BOLD, &finding.reason),
            Piece::whole(DIM, finding.lint.id),
        ],
        Long::Keep,
    );
    let (drawing, left) = span::draw(&finding.span, finding.span.label.as_deref(), sheet.width());
    sheet.drawn(0, &drawing);
    if let Some(label) = left {
        sheet.under(CONTENT, &[Piece::plain(label)], Long::Keep);
    }
    let shown = if style.verbose > 0 { usize::MAX } else { LINKS };
    for (idx, place) in finding.chain.iter().take(shown).enumerate() {
        link(sheet, finding, place, idx == 0);
    }
    let more = finding.chain.len().saturating_sub(shown);
    if more > 0 {
        let told = format!("and {}: why502 lint -v", counted(more, "more place"));
        sheet.under(CONTENT, &[Piece::new(DIM, told)], Long::Keep);
    }
    mend(sheet, report, finding);
}

fn link(sheet: &mut Sheet, finding: &Finding, place: &ConfSpan, is_first: bool) {
    let at = if place.file == finding.span.file {
        format!("line {}", place.line)
    } else {
        format!("{}:{}", place.file.display(), place.line)
    };
    let label = Piece::new(LABEL, if is_first { "see" } else { "" });
    let content = [
        Piece::new(DIM, at),
        Piece::whole(anstyle::Style::new(), &place.text),
        Piece::whole(DIM, place.label.as_deref().unwrap_or_default()),
    ];
    sheet.item(&label, &content, Long::Keep);
}

fn mend(sheet: &mut Sheet, report: &LintReport, finding: &Finding) {
    let Some(mend) = &finding.mend else { return };
    let safety = match mend.safety {
        Safety::Safe => "safe: why502 lint --fix",
        Safety::Unsafe => "unsafe: weigh it, then make it yourself",
        Safety::DisplayOnly => "shown only",
    };
    let safety = Piece::new(DIM, format!("  ({safety})"));
    sheet.item(
        &Piece::new(LABEL, "fix"),
        &[Piece::plain(&mend.summary), safety],
        Long::Keep,
    );
    for change in report.changes(mend) {
        if change.file != finding.span.file || change.line != finding.span.line {
            let place = format!("{}:{}", change.file.display(), change.line);
            sheet.exact(CONTENT, &[Piece::new(DIM, place)]);
        }
        for (sign, colour, text) in [("-", GONE, &change.old), ("+", GOOD, &change.new)] {
            for line in text.lines() {
                let line = format!("{sign} {}", line.replace('\t', "    "));
                sheet.exact(CONTENT, &[Piece::new(colour, line)]);
            }
        }
    }
}

/// What was ignored, what ignores nothing, and what was not looked at.
fn besides(sheet: &mut Sheet, report: &LintReport, style: &Style) {
    let note = |sheet: &mut Sheet, label: &str, content: &[Piece]| {
        sheet.hanging(0, &Piece::new(DOUBT, label), content, Long::Keep);
    };
    for linted in &report.linted {
        if linted.is_partial {
            let config = linted.config.display().to_string();
            let what = if config == "-" {
                "standard input"
            } else {
                &config
            };
            let text =
                format!("{what} is a part of a configuration: what stands around it is not known");
            note(sheet, "note", &[Piece::plain(text)]);
        }
        if linted.version.is_none() {
            let text = "nginx's version is not known: judged by the defaults of those before 1.29.7; --nginx-version says otherwise";
            note(sheet, "note", &[Piece::plain(text)]);
        }
    }
    if style.verbose > 0 {
        for ignored in &report.ignored {
            let finding = &ignored.finding;
            let place = format!("{}:{}", finding.span.file.display(), finding.span.line);
            let text = format!("{} at {place}: {}", finding.lint.id, ignored.reason);
            note(sheet, "ignored", &[Piece::plain(text)]);
        }
    }
    for unused in &report.unused {
        let place = format!("{}:{}  ", unused.file.display(), unused.line);
        let content = [Piece::new(DIM, place), Piece::plain(&unused.text)];
        note(sheet, "ignores nothing", &content);
    }
    not_looked(sheet, report);
    for gap in &report.gaps {
        let content = [
            Piece::new(BOLD, &gap.missing),
            Piece::plain(format!(": {}", gap.why)),
        ];
        note(sheet, "not known", &content);
        if let Some(learn) = &gap.learn {
            sheet.exact(11, &[Piece::new(BOLD, learn)]);
        }
    }
}

/// Lints that one reason keeps from being judged, and what they miss.
#[derive(Default)]
struct Untold<'a> {
    ids: BTreeSet<&'a str>,
    missing: BTreeSet<&'a str>,
}

/// Lints that were not judged in full, once for each reason: a large host has one for each of its peers.
fn not_looked(sheet: &mut Sheet, report: &LintReport) {
    let mut by_reason: BTreeMap<(&str, Option<&str>), Untold<'_>> = BTreeMap::new();
    for not_looked in &report.not_looked {
        let gap = &not_looked.gap;
        let untold = by_reason
            .entry((&gap.why, gap.learn.as_deref()))
            .or_default();
        untold.ids.insert(not_looked.lint.id);
        untold.missing.insert(&gap.missing);
    }
    for ((why, learn), Untold { ids, missing }) in by_reason {
        let ids: Vec<&str> = ids.into_iter().collect();
        let more = match missing.len() {
            0 | 1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        let first = missing.first().copied().unwrap_or_default();
        let content = [
            Piece::new(BOLD, ids.join(", ")),
            Piece::plain(format!(": {first}{more}: {why}")),
        ];
        sheet.hanging(0, &Piece::new(DOUBT, "not looked at"), &content, Long::Keep);
        if let Some(learn) = learn {
            sheet.exact(15, &[Piece::new(BOLD, learn)]);
        }
    }
}

fn tally(report: &LintReport) -> String {
    let files: usize = report.linted.iter().map(|linted| linted.files).sum();
    let looked = format!("{} looked at", counted(files, "file"));
    let ignored = match report.ignored.len() {
        0 => String::new(),
        n => format!(", {n} ignored"),
    };
    if report.findings.is_empty() {
        return format!("no findings; {looked}{ignored}");
    }
    let of = |severity: Severity| {
        let all = report.findings.iter();
        all.filter(|finding| finding.severity == severity).count()
    };
    let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .filter(|&severity| of(severity) > 0)
        .map(|severity| counted(of(severity), severity.as_str()))
        .collect();
    let safe = report.findings.iter().filter(|finding| {
        finding
            .mend
            .as_ref()
            .is_some_and(diagnose::lints::Mend::is_safe)
    });
    let mended = match safe.count() {
        0 => String::new(),
        n => format!("; {n} can be mended: why502 lint --fix"),
    };
    format!("{}; {looked}{ignored}{mended}", parts.join(", "))
}
