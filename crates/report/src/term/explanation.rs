//! What a pasted text says, at a terminal.

use std::io::{self, Write};

use diagnose::explain::{Candidate, Explanation, Line};

use super::sheet::{Long, Piece, Sheet};
use super::{BAD, BOLD, DIM, DOUBT, LABEL, Style};
use crate::text::shortened;
use crate::words;

/// Kinds of lines told, and causes told of each, unless more is asked for.
const KINDS: usize = 5;
const CAUSES: usize = 5;
/// Remarks told.
const REMARKS: usize = 5;
/// So much of a line shows what it is.
const SHOWN: usize = 300;

/// Writes an explanation: each kind of line once, what can stand behind it, and what tells that apart.
pub fn explanation(
    out: &mut dyn Write,
    explanation: &Explanation,
    style: &Style,
) -> io::Result<()> {
    let mut sheet = Sheet::new(style.width);
    let kinds = kinds(&explanation.lines);
    let (most_kinds, most_causes) = if style.verbose > 0 {
        (usize::MAX, usize::MAX)
    } else {
        (KINDS, CAUSES)
    };
    for (line, count) in kinds.iter().take(most_kinds) {
        headline(&mut sheet, line, *count);
        if !style.quiet && !line.text.is_empty() {
            sheet.under(
                5,
                &[Piece::new(DIM, shortened(&line.text, SHOWN))],
                Long::Break,
            );
            sheet.gap();
        }
        candidates(&mut sheet, &line.candidates, most_causes, style.quiet);
        sheet.gap();
    }
    if kinds.len() > most_kinds {
        let more = format!(
            "and {} of lines: why502 explain -v",
            words::counted(kinds.len() - most_kinds, "more kind")
        );
        sheet.under(0, &[Piece::plain(more)], Long::Keep);
        sheet.gap();
    }
    for remark in explanation.remarks.iter().take(REMARKS) {
        sheet.item(
            &Piece::new(LABEL, "also"),
            &[Piece::plain(remark.says)],
            Long::Keep,
        );
        sheet.under(
            9,
            &[Piece::new(DIM, shortened(&remark.text, SHOWN))],
            Long::Break,
        );
    }
    if !explanation.remarks.is_empty() {
        sheet.gap();
    }
    if kinds.len() > 1 {
        whole(&mut sheet, &explanation.candidates);
    }
    if !style.quiet {
        let honest = "Likelihoods are weighed shares of public threads with such a line, no plain division: a thread that was searched for by \
             its cause counts a quarter, the plain meaning of the line more. They know nothing of this host: why502 there proves one.";
        sheet.hanging(
            0,
            &Piece::new(DOUBT, "note"),
            &[Piece::plain(honest)],
            Long::Keep,
        );
    }
    out.write_all(sheet.into_text().as_bytes())
}

/// Lines that say the same of the same peer, once, with their number; in order.
fn kinds(lines: &[Line]) -> Vec<(&Line, usize)> {
    let mut kinds: Vec<(&Line, usize)> = Vec::new();
    for line in lines {
        let same = |known: &&mut (&Line, usize)| {
            known.0.failure == line.failure
                && known.0.peer == line.peer
                && known.0.action == line.action
        };
        match kinds.iter_mut().find(same) {
            Some((_, count)) => *count += 1,
            None => kinds.push((line, 1)),
        }
    }
    kinds
}

fn headline(sheet: &mut Sheet, line: &Line, count: usize) {
    let errno = line.errno.map(|errno| format!(" ({errno})"));
    let action = line
        .action
        .map(|action| format!(" while {}", action.as_str()));
    let said = [Some(line.failure.as_str().to_owned()), errno, action];
    let said: String = said.into_iter().flatten().collect();
    let status = line
        .status
        .map_or_else(|| "---".to_owned(), |status| status.to_string());
    let mut content = vec![Piece::new(BOLD, said)];
    if let Some(peer) = &line.peer {
        content.push(Piece::plain(format!(" → {peer}")));
    }
    if count > 1 {
        content.push(Piece::plain(format!("  {count} lines")));
    }
    sheet.hanging(0, &Piece::new(BAD, status), &content, Long::Keep);
}

fn candidates(sheet: &mut Sheet, candidates: &[Candidate], most: usize, quiet: bool) {
    if candidates.is_empty() {
        let none = "none of the known causes stands behind such a line";
        sheet.under(5, &[Piece::plain(none)], Long::Keep);
    }
    for candidate in candidates.iter().take(most) {
        let percent = Piece::new(BOLD, percent(candidate.likelihood));
        let mut content = vec![Piece::new(LABEL, candidate.cause)];
        if !quiet {
            content.push(Piece::plain(format!(
                ": {}{}",
                candidate.why,
                basis(candidate)
            )));
        }
        sheet.hanging(3, &percent, &content, Long::Keep);
        if !quiet {
            sheet.exact(9, &[Piece::plain(&candidate.tell_apart)]);
        }
    }
}

fn whole(sheet: &mut Sheet, candidates: &[Candidate]) {
    let list: Vec<String> = candidates
        .iter()
        .take(CAUSES)
        .map(|candidate| {
            format!(
                "{} {}",
                percent(candidate.likelihood).trim(),
                candidate.cause
            )
        })
        .collect();
    sheet.hanging(
        0,
        &Piece::new(BOLD, "all in all"),
        &[Piece::plain(list.join(" · "))],
        Long::Keep,
    );
}

fn basis(candidate: &Candidate) -> String {
    let (of, all) = candidate.threads;
    if candidate.is_spoken_for {
        " (the text itself speaks for it)".to_owned()
    } else if all > 0 {
        format!(
            " (seen in {of} of {}, weighed)",
            words::counted(all, "thread")
        )
    } else {
        String::new()
    }
}

/// Three digits wide at least: they stand under each other.
pub(super) fn percent(likelihood: f64) -> String {
    format!("{:>3.0}%", likelihood * 100.0)
}
