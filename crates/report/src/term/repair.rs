//! A repair at a terminal: the plan with its diff before it is carried out, each step as it is done, and how it ended.

use std::io::{self, Write};

use similar::{ChangeTag, TextDiff};

use super::sheet::{CONTENT, Long, Piece, Sheet};
use super::{BAD, BOLD, DIM, DOUBT, GONE, GOOD, LABEL, Style};
use crate::repair::{Answer, Outcome, Plan, Step, StepKind};
use crate::words;

/// Lines around a change that are shown with it.
const AROUND: usize = 1;

/// Writes a plan.
pub fn plan(out: &mut dyn Write, plan: &Plan, style: &Style) -> io::Result<()> {
    let mut sheet = Sheet::new(style.width);
    sheet.exact(
        0,
        &[
            Piece::new(BOLD, format!("{}  {}", plan.incident, plan.peer)),
            Piece::new(DIM, format!("  {}", plan.cause)),
        ],
    );
    sheet.item(
        &Piece::new(LABEL, "cause"),
        &[Piece::plain(&plan.wrong)],
        Long::Break,
    );
    let safety = Piece::new(DIM, format!("  ({})", words::safety(plan.safety)));
    sheet.item(
        &Piece::new(LABEL, "fix"),
        &[Piece::plain(&plan.summary), safety],
        Long::Break,
    );
    sheet.gap();
    for (idx, step) in plan.steps.iter().enumerate() {
        self::step(&mut sheet, idx + 1, step);
    }
    sheet.gap();
    for text in &plan.verify {
        sheet.item(
            &Piece::new(LABEL, "verify"),
            &[Piece::plain(text)],
            Long::Break,
        );
    }
    for text in &plan.remarks {
        sheet.item(
            &Piece::new(LABEL, "after"),
            &[Piece::plain(text)],
            Long::Break,
        );
    }
    out.write_all(sheet.into_text().as_bytes())
}

fn step(sheet: &mut Sheet, number: usize, step: &Step) {
    let label = Piece::new(LABEL, number.to_string());
    match &step.kind {
        StepKind::Edit { file, old, new } => {
            let place = format!("edit {}", file.display());
            sheet.item(&label, &[Piece::new(BOLD, place)], Long::Keep);
            diff(sheet, old, new);
        }
        StepKind::Test { argv } | StepKind::Reload { argv } | StepKind::Command { argv } => {
            let command = Piece::new(BOLD, words::shell(argv));
            sheet.item(&label, &[command], Long::Keep);
        }
    }
    for note in &step.notes {
        sheet.under(CONTENT, &[Piece::new(DOUBT, note)], Long::Break);
    }
    if !step.undo.is_empty() {
        let undo = format!("undo: {}", step.undo);
        sheet.under(CONTENT, &[Piece::new(DIM, undo)], Long::Break);
    }
}

fn diff(sheet: &mut Sheet, old: &str, new: &str) {
    let diff = TextDiff::from_lines(old, new);
    for group in diff.grouped_ops(AROUND) {
        for op in &group {
            for change in diff.iter_changes(op) {
                let (sign, colour) = match change.tag() {
                    ChangeTag::Delete => ("-", GONE),
                    ChangeTag::Insert => ("+", GOOD),
                    ChangeTag::Equal => (" ", DIM),
                };
                let number = change.old_index().or(change.new_index()).unwrap_or(0) + 1;
                let text = change.value().trim_end_matches(['\r', '\n']);
                let text = text.replace('\t', "    ");
                let line = format!("{number:>4} {sign} {text}");
                sheet.exact(CONTENT, &[Piece::new(colour, line)]);
            }
        }
    }
}

/// Writes that a step was done, or taken back.
pub fn progress(out: &mut dyn Write, text: &str, is_done: bool) -> io::Result<()> {
    let mut sheet = Sheet::new(usize::MAX);
    let sign = if is_done {
        Piece::new(GOOD, "done ")
    } else {
        Piece::new(BAD, "failed ")
    };
    sheet.exact(2, &[sign, Piece::plain(text)]);
    out.write_all(sheet.into_text().as_bytes())
}

/// Writes how it ended.
pub fn outcome(out: &mut dyn Write, answer: &Answer, style: &Style) -> io::Result<()> {
    let mut sheet = Sheet::new(style.width);
    if let (None, Some((peer, wrong))) = (&answer.plan, &answer.of) {
        sheet.exact(0, &[Piece::new(BOLD, peer)]);
        sheet.item(
            &Piece::new(LABEL, "cause"),
            &[Piece::plain(wrong)],
            Long::Break,
        );
    }
    let mut say = |colour, label: &str, text: &str| {
        sheet.item(
            &Piece::new(colour, label),
            &[Piece::plain(text)],
            Long::Break,
        );
    };
    match &answer.outcome {
        Outcome::Planned => {}
        Outcome::Fixed(by) => say(GOOD.bold(), "fixed", by),
        Outcome::Unverified(why) => say(DOUBT, "applied", &format!("not verified: {why}")),
        Outcome::Undone { why, back } => {
            say(BAD, "undone", why);
            say(GOOD, "back", back);
        }
        Outcome::Stuck { why, left } => {
            say(BAD, "stuck", why);
            for text in left {
                say(BAD, "left", text);
            }
        }
        Outcome::Declined(why) => say(DOUBT, "nothing", &format!("was changed: {why}")),
        Outcome::Unfit(reasons) => {
            for reason in reasons {
                say(DOUBT, "by hand", reason);
            }
        }
        Outcome::Unproven => say(
            DOUBT,
            "unproven",
            "no cause is proven, and nothing is changed on a guess: why502 says what is missing",
        ),
        Outcome::Nothing => say(GOOD, "nothing", "to fix: no incident is ongoing"),
    }
    out.write_all(sheet.into_text().as_bytes())
}
