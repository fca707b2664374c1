//! The plan that mends a cause, at a terminal: what it changes, and the commands to copy.

use diagnose::{Fix, Step};

use super::sheet::{CONTENT, Long, Piece, Sheet};
use super::{BOLD, DIM, GONE, GOOD, LABEL};
use crate::words;

/// Writes the plan; its steps only where asked.
pub(super) fn write(sheet: &mut Sheet, label: &str, fix: &Fix, steps: bool) {
    let (summary, mut rest) = words::plan(fix);
    let safety = Piece::new(DIM, format!("  ({})", words::safety(fix.safety)));
    sheet.item(
        &Piece::new(LABEL, label),
        &[Piece::plain(summary), safety],
        Long::Keep,
    );
    if !steps {
        return;
    }
    while let [step, others @ ..] = rest {
        rest = others;
        match step {
            Step::Edit {
                file,
                line,
                old,
                new,
            } => edit(sheet, &format!("{}:{line}", file.display()), old, new),
            Step::Advice { text } => sheet.under(CONTENT, &[Piece::plain(text)], Long::Keep),
            Step::Command { argv } => {
                let mut commands = vec![words::shell(argv)];
                while let [Step::Command { argv }, others @ ..] = rest {
                    commands.push(words::shell(argv));
                    rest = others;
                }
                run(sheet, &commands);
            }
        }
    }
    if let Some(verify) = &fix.verify {
        let told = [Piece::new(DIM, "then try  "), Piece::new(BOLD, verify)];
        sheet.exact(CONTENT, &told);
    }
}

fn edit(sheet: &mut Sheet, place: &str, old: &str, new: &str) {
    sheet.exact(CONTENT, &[Piece::new(DIM, place)]);
    for (sign, colour, text) in [("-", GONE, old), ("+", GOOD, new)] {
        for line in text.lines() {
            sheet.exact(
                CONTENT,
                &[Piece::new(
                    colour,
                    format!("{sign} {}", line.replace('\t', "    ")),
                )],
            );
        }
    }
}

/// Commands that follow each other run only as long as they succeed.
fn run(sheet: &mut Sheet, commands: &[String]) {
    let joined = Piece::new(BOLD, commands.join(" && "));
    if CONTENT + joined.width() <= sheet.width() {
        sheet.exact(CONTENT, &[joined]);
        return;
    }
    for (idx, command) in commands.iter().enumerate() {
        let more = if idx + 1 < commands.len() { " &&" } else { "" };
        sheet.exact(CONTENT, &[Piece::new(BOLD, format!("{command}{more}"))]);
    }
}
