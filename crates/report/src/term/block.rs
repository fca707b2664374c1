//! One incident, or several alike, at a terminal.

use anstyle::Style as Colour;
use diagnose::{Cause, ConfSpan, Confirmation, Diagnosis, Exhibit, Judged, Origin, Proof};

use super::fix;
use super::sheet::{CONTENT, Long, Piece, Sheet};
use super::{BAD, BOLD, DIM, DOUBT, LABEL, span};
use crate::fold::{self, Block, Missing};
use crate::text::shortened;
use crate::words::{self, Clock};

/// Alike incidents that are named in one block.
const NAMED: usize = 8;
/// Alternatives of a fix, and spans of configuration, that are shown with everything.
const SHOWN: usize = 2;
/// Groups of missing evidence that are told of an undetermined incident.
const LOOKS: usize = 4;
/// Moments around its start that are told of an undetermined incident, and how much of each.
const MOMENTS: usize = 4;
const MOMENT: usize = 160;
/// Causes that are named for one such group.
const CAUSES: usize = 4;

/// Everything about the incident that the first screen has room for; with `verbose`, everything.
pub(super) fn full(
    sheet: &mut Sheet,
    block: &Block<'_>,
    diagnosis: &Diagnosis,
    clock: Clock,
    verbose: bool,
) {
    let judged = block.leader;
    let teller = Teller {
        judged,
        clock,
        verbose,
    };
    head(sheet, block, diagnosis, clock);
    sheet.gap();
    peers(sheet, block, diagnosis, verbose);
    match fold::answer(judged) {
        Some(confirmation) => teller.confirmed(sheet, confirmation),
        None => teller.undetermined(sheet),
    }
    if fold::answer(judged).is_some() {
        teller.fixes(sheet, block);
        teller.also(sheet);
        teller.hints(sheet);
    }
    teller.around(sheet);
    teller.rest(sheet);
}

/// What a gate found of a peer, or of several alike.
pub(super) fn tried(sheet: &mut Sheet, block: &Block<'_>, clock: Clock, verbose: bool) {
    let judged = block.leader;
    let teller = Teller {
        judged,
        clock,
        verbose,
    };
    match fold::answer(judged) {
        Some(confirmation) => {
            teller.confirmed(sheet, confirmation);
            teller.fixes(sheet, block);
            teller.also(sheet);
            teller.hints(sheet);
        }
        None => teller.undetermined(sheet),
    }
    if verbose {
        teller.around(sheet);
        teller.rest(sheet);
    }
}

/// The incident in a line: the long one where the terminal is wide enough.
pub(super) fn line(sheet: &mut Sheet, block: &Block<'_>, diagnosis: &Diagnosis, clock: Clock) {
    let judged = block.leader;
    let members: Vec<&Judged> = block.members().collect();
    let count: u64 = members.iter().map(|member| member.incident.count).sum();
    let cause = match judged.cause {
        Some(cause) => Piece::whole(BOLD, cause.id),
        None => Piece::whole(DOUBT, "not proven"),
    };
    let end = words::end(judged.standing);
    let status = status(judged);
    let headline = Piece::plain(words::headline_of(block, &diagnosis.instances));
    let times = if count == 0 {
        String::new()
    } else {
        let more = if diagnosis.window.is_partial {
            "≥"
        } else {
            "×"
        };
        format!("{more}{}{end}", words::number(count))
    };
    let mut short = vec![headline.clone(), Piece::whole(DIM, times), cause.clone()];
    if let (None, Some(failure)) = (judged.cause, judged.incident.failure) {
        let failure = Piece::whole(DIM, failure.as_str());
        let width: usize = short
            .iter()
            .chain([&failure])
            .map(|piece| piece.width() + 2)
            .sum();
        if status.width() + width <= sheet.width() {
            short.push(failure);
        }
    }
    if let Some(confirmation) = fold::answer(judged) {
        let attempts = words::attempts(&members, diagnosis.window, clock);
        let long = [
            headline,
            Piece::whole(DIM, attempts),
            cause,
            Piece::whole(Colour::new(), &confirmation.summary),
        ];
        let width: usize = long.iter().map(|piece| piece.width() + 2).sum();
        if status.width() + width <= sheet.width() {
            sheet.hanging(0, &status, &long, Long::Keep);
            return;
        }
    }
    sheet.hanging(0, &status, &short, Long::Keep);
}

fn status(judged: &Judged) -> Piece {
    Piece::new(
        if judged.ongoing() { BAD } else { DIM },
        words::status(&judged.incident),
    )
}

fn head(sheet: &mut Sheet, block: &Block<'_>, diagnosis: &Diagnosis, clock: Clock) {
    let judged = block.leader;
    let status = status(judged);
    let indent = status.width() + 2;
    let headline = Piece::new(BOLD, words::headline_of(block, &diagnosis.instances));
    sheet.hanging(0, &status, &[headline], Long::Keep);
    let members: Vec<&Judged> = block.members().collect();
    let attempts = words::attempts(&members, diagnosis.window, clock);
    let mut content = vec![Piece::plain(attempts)];
    if diagnosis.instances.len() > 1
        && let Some(instance) = diagnosis.instances.get(judged.incident.instance)
    {
        content.push(Piece::whole(DIM, words::instance(instance)));
    }
    content.push(Piece::whole(
        DIM,
        format!("incident {}", judged.incident.id),
    ));
    sheet.under(indent, &content, Long::Keep);
    if let (Some(impact), true) = (judged.impact, block.others.is_empty()) {
        sheet.under(indent, &[Piece::plain(words::impact(impact))], Long::Keep);
    }
    if let Some(unexplained) = words::unexplained(judged) {
        sheet.under(indent, &[Piece::new(DOUBT, unexplained)], Long::Keep);
    }
}

/// Who fails alike, where that is more than one. The first is the one of whom the rest is told.
fn peers(sheet: &mut Sheet, block: &Block<'_>, diagnosis: &Diagnosis, verbose: bool) {
    if block.others.is_empty() {
        return;
    }
    let leading = fold::answer(block.leader).map(|confirmation| &confirmation.summary);
    let named = if verbose { usize::MAX } else { NAMED };
    for (idx, member) in block.members().take(named).enumerate() {
        let who = match block.upstream() {
            Some(_) => member.incident.peer.clone(),
            None => words::headline(&member.incident, &diagnosis.instances),
        };
        let attempts = words::failed_attempts(member.incident.count, diagnosis.window);
        let mut content = vec![Piece::plain(who), Piece::whole(DIM, attempts)];
        if let Some(confirmation) = fold::answer(member).filter(|it| Some(&it.summary) != leading) {
            content.push(Piece::plain(format!("  {}", confirmation.summary)));
        }
        sheet.entry(
            &Piece::new(LABEL, if idx == 0 { "peers" } else { "" }),
            &content,
        );
    }
    if block.len() > named {
        let more = format!("and {} more: why502 -v names them", block.len() - named);
        sheet.under(CONTENT, &[Piece::new(DIM, more)], Long::Keep);
    }
    sheet.gap();
}

fn labelled(sheet: &mut Sheet, label: &str, content: &[Piece], long: Long) {
    sheet.item(&Piece::new(LABEL, label), content, long);
}

/// Tells one incident.
struct Teller<'a> {
    judged: &'a Judged,
    clock: Clock,
    verbose: bool,
}

impl Teller<'_> {
    fn confirmed(&self, sheet: &mut Sheet, confirmation: &Confirmation) {
        let id = self.judged.cause.map_or("", |cause| cause.id);
        cause_line(sheet, "cause", BOLD, &confirmation.summary, id);
        sheet.gap();
        let spans: Vec<&ConfSpan> = spans(&confirmation.proof).collect();
        if spans.is_empty() {
            self.directive(sheet);
        }
        let drawn = if self.verbose { spans.len() } else { SHOWN };
        for shown in spans.iter().take(drawn) {
            drawn_span(sheet, shown, shown.label.as_deref());
        }
        self.proof(sheet, "proof", &confirmation.proof, drawn);
    }

    fn undetermined(&self, sheet: &mut Sheet) {
        let content = [
            Piece::new(DOUBT, "not proven"),
            Piece::plain(format!(": {}", words::unproven(self.judged))),
        ];
        labelled(sheet, "cause", &content, Long::Keep);
        sheet.gap();
        self.directive(sheet);
        let incident = &self.judged.incident;
        if !incident.sample.is_empty() {
            self.proof(sheet, "seen", &Proof::new(incident.exhibit()), 0);
        }
        if let Some((first, rest)) = self.judged.known.split_first() {
            let known = Proof::new(first.clone()).with(rest.iter().cloned());
            self.proof(sheet, "known", &known, 0);
        }
        self.hints(sheet);
        self.looks(sheet);
    }

    /// What leans which way.
    fn hints(&self, sheet: &mut Sheet) {
        for (idx, hint) in self.judged.hints.iter().enumerate() {
            let label = if idx == 0 { "hint" } else { "" };
            labelled(sheet, label, &[Piece::plain(hint)], Long::Keep);
        }
    }

    /// The directive that dials the peer.
    fn directive(&self, sheet: &mut Sheet) {
        if let Some(directive) = &self.judged.directive {
            let label = directive.label.as_deref().unwrap_or("nginx dials this");
            drawn_span(sheet, directive, Some(label));
        }
    }

    /// The exhibits, one a line behind their times; the first `drawn` spans are drawn already.
    fn proof(&self, sheet: &mut Sheet, label: &str, proof: &Proof, drawn: usize) {
        let time = |exhibit: &Exhibit| match exhibit {
            Exhibit::Log { at, .. } | Exhibit::Record { at, .. } => {
                at.map(|at| self.clock.time(at))
            }
            Exhibit::Config(_) => None,
        };
        let times = proof
            .exhibits()
            .iter()
            .filter_map(time)
            .map(|time| time.len())
            .max()
            .unwrap_or(0);
        let mut spans = 0;
        let mut first = true;
        for exhibit in proof.exhibits() {
            if matches!(exhibit, Exhibit::Config(_)) {
                spans += 1;
                if spans <= drawn {
                    continue;
                }
            }
            let (content, long) = self.exhibit(exhibit, sheet.width());
            let label = if first { label } else { "" };
            first = false;
            if times == 0 {
                labelled(sheet, label, &content, long);
            } else {
                let time = time(exhibit).unwrap_or_default();
                sheet.hanging(
                    2,
                    &Piece::new(LABEL, format!("{label:5}  {time:times$}")),
                    &content,
                    long,
                );
            }
        }
    }

    fn exhibit(&self, exhibit: &Exhibit, width: usize) -> (Vec<Piece>, Long) {
        // A log line is a client's to fill: three lines of it, unless more was asked for.
        let limit = if self.verbose {
            usize::MAX
        } else {
            3 * width.saturating_sub(CONTENT + 10)
        };
        match exhibit {
            Exhibit::Log { text, count, .. } => {
                let told = if self.verbose {
                    text
                } else {
                    words::telling(text)
                };
                let mut content = vec![Piece::plain(shortened(told, limit))];
                if *count > 1 {
                    content.push(Piece::new(BOLD, format!("  ×{}", words::number(*count))));
                }
                (content, Long::Break)
            }
            Exhibit::Record { text, .. } => {
                (vec![Piece::plain(shortened(text, limit))], Long::Keep)
            }
            Exhibit::Config(span) => {
                let place = format!("{}:{}", span.file.display(), span.line);
                let mut content = vec![
                    Piece::new(DIM, place),
                    Piece::plain(format!("  {}", span.text.trim())),
                ];
                if let Some(label) = &span.label {
                    content.push(Piece::new(DIM, format!("  {label}")));
                }
                (content, Long::Keep)
            }
        }
    }

    fn fixes(&self, sheet: &mut Sheet, block: &Block<'_>) {
        let (fixes, more) = block.fixes();
        if !fixes.is_empty() || !more.is_empty() {
            sheet.gap();
        }
        for (idx, fix) in fixes.iter().enumerate() {
            let label = if idx == 0 { "fix" } else { "or" };
            fix::write(sheet, label, fix, self.verbose || idx < SHOWN);
        }
        if self.judged.incident.origin != Origin::Experiment
            && self.judged.ongoing()
            && self.judged.is_repairable()
        {
            // What the user named has to be named again.
            let mut again = fixes.iter().filter_map(|fix| fix.verify.as_deref());
            let flags = again.find_map(|verify| verify.strip_prefix("why502"));
            let command = format!(
                "sudo why502 fix {}{}",
                self.judged.incident.id,
                flags.unwrap_or_default()
            );
            let told = [
                Piece::new(DIM, "or have it done and verified  "),
                Piece::new(BOLD, command),
            ];
            sheet.exact(CONTENT, &told);
        }
        let shown = if self.verbose { more.len() } else { SHOWN };
        for (_, fix) in more.iter().take(shown) {
            fix::write(sheet, "and", fix, true);
        }
        if more.len() > shown {
            let more = format!("and {} alike: why502 -v shows them", more.len() - shown);
            sheet.under(CONTENT, &[Piece::new(DIM, more)], Long::Keep);
        }
    }

    /// What else is confirmed: faults stack, and the next one shows when the first is mended.
    fn also(&self, sheet: &mut Sheet) {
        for (cause, confirmation) in fold::also(self.judged) {
            sheet.gap();
            cause_line(sheet, "also", BOLD, &confirmation.summary, cause.id);
            if self.verbose {
                self.proof(sheet, "proof", &confirmation.proof, 0);
            }
            for (idx, fix) in confirmation.fixes.iter().enumerate().take(if self.verbose {
                usize::MAX
            } else {
                1
            }) {
                fix::write(sheet, if idx == 0 { "fix" } else { "or" }, fix, true);
            }
        }
    }

    /// What happened around its start: of an incident without an answer the last few, otherwise only on demand.
    fn around(&self, sheet: &mut Sheet) {
        let moments = &self.judged.timeline;
        let shown = match (self.verbose, self.judged.cause) {
            (true, _) => moments.len(),
            (false, None) => moments.len().min(MOMENTS),
            (false, Some(_)) => 0,
        };
        for (idx, moment) in moments.iter().skip(moments.len() - shown).enumerate() {
            let style = if moment.explains { BOLD } else { DIM };
            let content = [
                Piece::new(DIM, format!("{}  ", self.clock.time(moment.at))),
                Piece::new(style, shortened(&moment.what, MOMENT)),
            ];
            labelled(
                sheet,
                if idx == 0 { "around" } else { "" },
                &content,
                Long::Keep,
            );
        }
    }

    /// What would tell, for an incident without an answer.
    fn looks(&self, sheet: &mut Sheet) {
        let groups = fold::missing(self.judged);
        let shown = if self.verbose { groups.len() } else { LOOKS };
        for (idx, Missing { gap, causes }) in groups.iter().take(shown).enumerate() {
            let label = if idx == 0 { "look" } else { "" };
            let why = Piece::plain(format!("{}: {}", gap.missing, gap.why));
            let tells = Piece::new(
                DIM,
                format!("  would tell: {}", named(causes, self.verbose)),
            );
            match &gap.learn {
                Some(learn) => {
                    sheet.exact(
                        2,
                        &[
                            Piece::new(LABEL, format!("{label:5}  ")),
                            Piece::new(BOLD, learn),
                        ],
                    );
                    sheet.under(CONTENT + 2, &[why, tells], Long::Keep);
                }
                None => labelled(sheet, label, &[why, tells], Long::Keep),
            }
        }
        if groups.len() > shown {
            let more = format!("and {} more: why502 -v names them", groups.len() - shown);
            sheet.under(CONTENT, &[Piece::new(DIM, more)], Long::Keep);
        }
    }

    /// What the incident is known by.
    fn alone(&self) -> &'static str {
        match self.judged.incident.origin {
            Origin::Experiment => "what failed",
            _ => "the log line",
        }
    }

    /// What else was judged, in few words.
    fn rest(&self, sheet: &mut Sheet) {
        sheet.gap();
        let sorted = fold::ruled_out(self.judged);
        if self.verbose {
            for (idx, (cause, exhibit)) in sorted.looked.iter().enumerate() {
                let (mut content, long) = self.exhibit(exhibit, sheet.width());
                content.insert(0, Piece::new(BOLD, format!("{}  ", cause.id)));
                labelled(
                    sheet,
                    if idx == 0 { "ruled out" } else { "         " },
                    &content,
                    long,
                );
            }
            if !sorted.by_log.is_empty() {
                let content = [Piece::plain(format!(
                    "by {}: {}",
                    self.alone(),
                    named(&sorted.by_log, true)
                ))];
                labelled(
                    sheet,
                    if sorted.looked.is_empty() {
                        "ruled out"
                    } else {
                        "         "
                    },
                    &content,
                    Long::Keep,
                );
            }
        } else if !sorted.looked.is_empty() || !sorted.by_log.is_empty() {
            let looked: Vec<&str> = sorted.looked.iter().map(|(cause, _)| cause.id).collect();
            let told = match (looked.is_empty(), sorted.by_log.len()) {
                (false, 0) => looked.join(" · "),
                (true, n) => format!(
                    "{} by {} alone",
                    words::counted(n as u64, "cause"),
                    self.alone()
                ),
                (false, n) => format!("{} · and {n} by {} alone", looked.join(" · "), self.alone()),
            };
            labelled(sheet, "ruled out", &[Piece::new(DIM, told)], Long::Keep);
        }
        if fold::answer(self.judged).is_none() {
            return;
        }
        let unknown = fold::missing(self.judged);
        if self.verbose {
            self.looks(sheet);
        } else if !unknown.is_empty() {
            let causes: Vec<&'static Cause> = unknown
                .into_iter()
                .flat_map(|missing| missing.causes)
                .collect();
            labelled(
                sheet,
                "unknown  ",
                &[Piece::new(DIM, named(&causes, false))],
                Long::Keep,
            );
        }
    }
}

fn spans(proof: &Proof) -> impl Iterator<Item = &ConfSpan> {
    proof.exhibits().iter().filter_map(|exhibit| match exhibit {
        Exhibit::Config(span) => Some(span),
        _ => None,
    })
}

fn drawn_span(sheet: &mut Sheet, span: &ConfSpan, label: Option<&str>) {
    let (drawing, left) = span::draw(span, label, sheet.width() - 2);
    sheet.drawn(2, &drawing);
    if let Some(label) = left {
        sheet.under(CONTENT, &[Piece::new(BAD, label)], Long::Keep);
    }
}

/// The summary with the cause's id at the right where it fits, else under it.
fn cause_line(sheet: &mut Sheet, label: &str, colour: Colour, summary: &str, id: &str) {
    let summary = Piece::new(colour, summary);
    let id = Piece::new(DIM, id);
    let room = sheet.width() - CONTENT;
    match room.checked_sub(summary.width() + id.width()) {
        Some(between) if between >= 3 => {
            let line = [
                Piece::new(LABEL, format!("{label:5}  ")),
                summary,
                Piece::plain(" ".repeat(between)),
                id,
            ];
            sheet.exact(2, &line);
        }
        _ => {
            labelled(sheet, label, &[summary], Long::Keep);
            sheet.under(CONTENT, &[id], Long::Keep);
        }
    }
}

fn named(causes: &[&Cause], all: bool) -> String {
    let shown = if all { causes.len() } else { CAUSES };
    let names: Vec<&str> = causes.iter().take(shown).map(|cause| cause.id).collect();
    match causes.len().checked_sub(shown) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names.join(", ")),
    }
}
