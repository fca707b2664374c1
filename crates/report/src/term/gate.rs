//! What a gate found, for people at a terminal: a line for each peer, and in full what fails.

use std::io::{self, Write};

use anstyle::Style as Colour;
use diagnose::{Gate, GateOutcome, GatePeer, Judged};

use super::sheet::{Long, Piece, Sheet};
use super::{BAD, BOLD, DIM, DOUBT, GOOD, Style, block, gaps};
use crate::fold;
use crate::gate::{address, belongs, tally};
use crate::words::Clock;

/// Peers that are listed one by one where all of them are ready.
const LISTED: usize = 20;
/// Alike peers that are named together.
const NAMED: usize = 4;
/// Failures told in full; the rest have their line.
const IN_FULL: usize = 5;

/// Writes the answer of a gate.
pub fn gate(out: &mut dyn Write, gate: &Gate, style: &Style) -> io::Result<()> {
    let mut sheet = Sheet::new(style.width);
    if !style.quiet {
        head(&mut sheet, gate);
        list(&mut sheet, gate, style.verbose > 0);
    }
    for trouble in &gate.troubles {
        let place = if trouble.line > 0 {
            format!("  {}:{}", trouble.file.display(), trouble.line)
        } else {
            format!("  {}", trouble.file.display())
        };
        let content = [Piece::new(BOLD, &trouble.text), Piece::new(DIM, place)];
        sheet.hanging(0, &Piece::new(BAD, "error"), &content, Long::Keep);
    }
    if style.quiet {
        for peer in gate.peers.iter().filter(|peer| peer.is_refused()) {
            line(&mut sheet, peer, 0);
        }
    } else {
        failures(&mut sheet, gate, style.verbose > 0);
        sheet.gap();
        gaps(&mut sheet, &gate.gaps);
    }
    sheet.under(0, &[Piece::new(BOLD, tally(gate))], Long::Keep);
    out.write_all(sheet.into_text().as_bytes())
}

fn head(sheet: &mut Sheet, gate: &Gate) {
    let Some(config) = &gate.config else { return };
    let mut content = vec![Piece::new(BOLD, config.display().to_string())];
    if gate.is_candidate {
        content.push(Piece::whole(DIM, "not what nginx runs now"));
    }
    sheet.under(0, &content, Long::Keep);
    if !gate.caller.is_empty() {
        let caller = format!("its peers, asked as {}", gate.caller);
        sheet.under(0, &[Piece::new(DIM, caller)], Long::Keep);
    }
    sheet.gap();
}

fn list(sheet: &mut Sheet, gate: &Gate, verbose: bool) {
    let is_told = |peer: &&GatePeer| {
        verbose || gate.peers.len() <= LISTED || peer.outcome != GateOutcome::Ready
    };
    let told: Vec<&GatePeer> = gate.peers.iter().filter(is_told).collect();
    let widest = told.iter().map(|peer| address(peer).len()).max();
    let column = widest.unwrap_or(0).min(sheet.width() / 2);
    for peer in &told {
        line(sheet, peer, column);
        if verbose {
            detail(sheet, peer);
        }
    }
    let silent = gate.peers.len() - told.len();
    if silent > 0 {
        let more = format!("and {silent} that are ready: -v lists them");
        sheet.under(11, &[Piece::new(DIM, more)], Long::Keep);
    }
    sheet.gap();
}

fn line(sheet: &mut Sheet, peer: &GatePeer, column: usize) {
    let (colour, word) = match peer.outcome {
        GateOutcome::Ready => (GOOD, "ready"),
        GateOutcome::Failing if peer.is_refused() => (BAD, "failing"),
        GateOutcome::Failing => (DOUBT, "failing"),
        GateOutcome::Unclear => (DOUBT, "unclear"),
        GateOutcome::NotTried => (DIM, "not tried"),
    };
    let address = Piece::plain(format!("{:column$}", address(peer)));
    let mut content = vec![address, Piece::whole(Colour::new(), &peer.says)];
    let belongs = belongs(peer);
    if !belongs.is_empty() {
        content.push(Piece::whole(DIM, belongs));
    }
    let word = Piece::new(colour, format!("{word:9}"));
    sheet.hanging(0, &word, &content, Long::Keep);
}

/// Where it stands, what was tried, what was not.
fn detail(sheet: &mut Sheet, peer: &GatePeer) {
    if let Some(span) = &peer.directive {
        let others = match peer.others {
            0 => String::new(),
            1 => "  and 1 more place".to_owned(),
            n => format!("  and {n} more places"),
        };
        let place = format!("{}:{}{others}", span.file.display(), span.line);
        sheet.under(11, &[Piece::new(DIM, place)], Long::Keep);
    }
    if !peer.tried.is_empty() {
        let tried = format!("tried: {}", peer.tried.join(", "));
        sheet.under(11, &[Piece::new(DIM, tried)], Long::Keep);
    }
    for left_out in &peer.left_out {
        let text = format!("without {left_out}");
        sheet.under(11, &[Piece::new(DIM, text)], Long::Keep);
    }
}

fn failures(sheet: &mut Sheet, gate: &Gate, verbose: bool) {
    let judged: Vec<Judged> = gate
        .peers
        .iter()
        .filter(|peer| peer.is_refused())
        .filter_map(|peer| peer.judged.clone())
        .collect();
    let blocks = fold::blocks(&judged);
    let clock = Clock::at(gate.generated_at);
    let shown = if verbose { blocks.len() } else { IN_FULL };
    for told in blocks.iter().take(shown) {
        sheet.gap();
        let peers: Vec<String> = told
            .members()
            .map(|member| crate::words::dialled(&member.incident))
            .collect();
        let few: Vec<&str> = peers.iter().take(NAMED).map(String::as_str).collect();
        let few = few.join(", ");
        let more = peers.len().saturating_sub(NAMED);
        let named = if more > 0 {
            format!("{few} and {more} more")
        } else {
            few
        };
        sheet.under(0, &[Piece::new(BOLD, named)], Long::Keep);
        block::tried(sheet, told, clock, verbose);
    }
    if blocks.len() > shown {
        let more = format!(
            "{} more: why502 gate -v tells of them",
            blocks.len() - shown
        );
        sheet.under(0, &[Piece::new(DIM, more)], Long::Keep);
    }
}
