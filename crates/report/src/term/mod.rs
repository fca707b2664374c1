//! The report for people at a terminal. The first screen holds the verdict, the proof and the fix.
//!
//! Colours are always emitted; a caller that does not want them strips them (`anstream` does).

mod block;
mod chart;
mod explanation;
mod fix;
mod gate;
mod lints;
mod logs;
mod page;
mod repair;
mod sheet;
mod span;

use std::io::{self, Write};

use anstyle::{AnsiColor, Style as Colour};
use diagnose::{Diagnosis, Gap, GapKind};

pub use explanation::explanation;
pub use gate::gate;
pub use lints::{diff, lints};
pub use logs::logs;
pub use page::{cause, lint};
pub use repair::{outcome, plan, progress};

use crate::fold;
use crate::words::{self, Clock};
use sheet::{Long, Piece, Sheet};

/// Incidents told in full; the rest get a line each.
const IN_FULL: usize = 3;

const BOLD: Colour = Colour::new().bold();
const DIM: Colour = Colour::new().dimmed();
const BAD: Colour = AnsiColor::Red.on_default().bold();
const GOOD: Colour = AnsiColor::Green.on_default();
const GONE: Colour = AnsiColor::Red.on_default();
const DOUBT: Colour = AnsiColor::Yellow.on_default().bold();
const LABEL: Colour = AnsiColor::Cyan.on_default();

/// How much to say, and in how many columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// 0 for the first screen's worth; more says everything.
    pub verbose: u8,
    /// One line an incident.
    pub quiet: bool,
}

/// Writes the report.
pub fn write(out: &mut dyn Write, diagnosis: &Diagnosis, style: &Style) -> io::Result<()> {
    let mut sheet = Sheet::new(style.width);
    let clock = Clock::of(diagnosis);
    if let Some(asked) = &diagnosis.asked {
        for (label, text) in words::asked(asked) {
            let style = if label == "so" { BOLD } else { Colour::new() };
            let content = [Piece::new(style, text)];
            sheet.item(&Piece::new(LABEL, label), &content, Long::Break);
        }
        sheet.gap();
    }
    let blocks = fold::blocks(&diagnosis.incidents);
    let in_full = match (style.quiet, style.verbose) {
        (true, _) => 0,
        (false, 0) => IN_FULL,
        (false, _) => usize::MAX,
    };
    for told in blocks.iter().take(in_full) {
        block::full(&mut sheet, told, diagnosis, clock, style.verbose > 0);
        sheet.gap();
    }
    let rest: Vec<_> = blocks.iter().skip(in_full).collect();
    for told in &rest {
        block::line(&mut sheet, told, diagnosis, clock);
    }
    if let (Some(one), false) = (rest.first(), style.quiet) {
        let how = format!(
            "in full: why502 -v, or one of them: why502 {}",
            one.leader.incident.id
        );
        sheet.under(5, &[Piece::new(DIM, how)], Long::Keep);
    }
    if !style.quiet {
        sheet.gap();
        sheet.under(
            0,
            &[Piece::plain(words::reading(diagnosis, clock))],
            Long::Keep,
        );
        for caveat in words::caveats(diagnosis) {
            sheet.hanging(
                0,
                &Piece::new(DOUBT, "note"),
                &[Piece::plain(caveat)],
                Long::Keep,
            );
        }
    }
    gaps(&mut sheet, &diagnosis.gaps);
    if !diagnosis.privileged && lacks_rights(diagnosis) {
        let how = "read without root: sudo why502 learns more";
        sheet.hanging(
            0,
            &Piece::new(DOUBT, "note"),
            &[Piece::plain(how)],
            Long::Keep,
        );
    }
    sheet.under(0, &[Piece::new(BOLD, words::tally(diagnosis))], Long::Keep);
    out.write_all(sheet.into_text().as_bytes())
}

/// What could not be learned about the host as a whole.
fn gaps(sheet: &mut Sheet, gaps: &[Gap]) {
    for gap in gaps {
        let content = [
            Piece::new(BOLD, &gap.missing),
            Piece::plain(format!(": {}", gap.why)),
        ];
        sheet.hanging(0, &Piece::new(DOUBT, "not known"), &content, Long::Keep);
        if let Some(learn) = &gap.learn {
            sheet.exact(11, &[Piece::new(BOLD, learn)]);
        }
    }
}

fn lacks_rights(diagnosis: &Diagnosis) -> bool {
    let of_host = diagnosis.gaps.iter();
    let of_incidents = diagnosis
        .incidents
        .iter()
        .filter(|judged| judged.cause.is_none());
    of_host
        .chain(
            of_incidents
                .flat_map(fold::missing)
                .map(|missing| missing.gap),
        )
        .any(|gap| gap.kind == GapKind::Denied)
}
