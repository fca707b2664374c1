//! What logs tell in bulk, at a terminal.

use std::io::{self, Write};

use anstyle::Style as Colour;
use diagnose::logs::{
    AccessPeer, AccessReport, LocalTime, LogIncident, LogKind, LogReport, Seen, Skipped, Top,
};
use unicode_width::UnicodeWidthStr as _;

use super::chart::Axis;
use super::explanation::percent;
use super::sheet::{Long, Piece, Sheet};
use super::{BAD, BOLD, DIM, DOUBT, GONE, GOOD, LABEL, Style};
use crate::local::{self, LocalClock};
use crate::text::{shortened, visible};
use crate::words::{counted, met_in_logs, number};

/// Incidents, and peers of access logs, told unless more is asked for.
const INCIDENTS: usize = 20;
const PEERS: usize = 10;
/// Servers and locations of an incident, and its likeliest causes.
const NAMES: usize = 3;
const CAUSES: usize = 3;
/// Of each list over all incidents.
const VALUES: usize = 5;
/// Silences and skipped files.
const NOTES: usize = 5;
/// So much of a name, of a peer (a socket's path may have 107 bytes), of a sample.
const NAME: usize = 40;
const PEER: usize = 120;
const SAMPLE: usize = 300;
/// Lines of the drawing of all failures.
const HEIGHT: usize = 4;
/// Where an incident's rows begin, and where what they say does: drawings too, one under the other.
const INDENT: usize = 5;
const SAID: usize = INDENT + 11;

/// Writes what logs tell: all failures over time, each incident, whom it hit, what access logs add, what is missing.
pub fn logs(out: &mut dyn Write, report: &LogReport, style: &Style) -> io::Result<()> {
    let mut sheet = Sheet::new(style.width);
    let room = sheet.width() - SAID;
    let teller = Teller {
        report,
        clock: LocalClock::of(report),
        axis: Axis::new(report, room),
        is_verbose: style.verbose > 0,
    };
    if style.quiet {
        for incident in &report.incidents {
            teller.line(&mut sheet, incident);
        }
    } else {
        teller.all(&mut sheet);
    }
    out.write_all(sheet.into_text().as_bytes())
}

struct Teller<'a> {
    report: &'a LogReport,
    clock: LocalClock,
    axis: Option<Axis>,
    is_verbose: bool,
}

impl Teller<'_> {
    fn all(&self, sheet: &mut Sheet) {
        let report = self.report;
        self.read(sheet);
        self.timeline(sheet);
        sheet.gap();
        let shown = self.at_most(INCIDENTS);
        for incident in report.incidents.iter().take(shown) {
            self.incident(sheet, incident);
            sheet.gap();
        }
        let rest = report.incidents.get(shown..).unwrap_or_default();
        if !rest.is_empty() {
            let failures: u64 = rest.iter().map(|incident| incident.count).sum();
            let more = format!(
                "and {} with {}: why502 logs -v",
                counted(rest.len(), "more incident"),
                counted(failures, "failed attempt")
            );
            sheet.under(INDENT, &[Piece::plain(more)], Long::Keep);
        }
        if report.beyond > 0 {
            let beyond = format!(
                "and {} of more incidents than are kept apart",
                counted(report.beyond, "failed attempt")
            );
            sheet.under(INDENT, &[Piece::plain(beyond)], Long::Keep);
        }
        sheet.gap();
        let seen = distinct(report.distinct_clients);
        values(sheet, 0, "clients", &report.clients, &seen);
        values(sheet, 0, "urls", &report.urls, "");
        values(sheet, 0, "hosts", &report.hosts, "");
        sheet.gap();
        if let Some(access) = &report.access {
            self.access(sheet, access);
            sheet.gap();
        }
        self.silences(sheet);
        self.notes(sheet);
        sheet.under(0, &[Piece::new(BOLD, self.tally())], Long::Keep);
    }

    fn at_most(&self, most: usize) -> usize {
        if self.is_verbose { usize::MAX } else { most }
    }

    /// What was read, and how much of it is failures.
    fn read(&self, sheet: &mut Sheet) {
        let report = self.report;
        let files = counted(report.files.len(), "file");
        let lines = counted(report.lines, "line");
        let mut content = vec![Piece::plain(format!("{files}, {lines} of error logs"))];
        if let Some((from, to)) = report.window {
            let said = format!(", {}, by the logs' own clock", local::span(from, to));
            content.push(Piece::plain(said));
        }
        sheet.hanging(0, &Piece::new(LABEL, "read    "), &content, Long::Keep);
        if self.is_verbose {
            for file in &report.files {
                let mut said = vec![
                    Piece::plain(name(&file.name)),
                    Piece::whole(DIM, file.kind.as_str()),
                    Piece::whole(DIM, counted(file.lines, "line")),
                    Piece::whole(DIM, counted(file.bytes, "byte")),
                ];
                if let Some((first, last)) = file.window {
                    said.push(Piece::whole(DIM, local::span(first, last)));
                }
                sheet.under(10, &said, Long::Break);
            }
        }
        let mut content = vec![Piece::new(
            BOLD,
            counted(report.upstream_failures, "upstream failure"),
        )];
        if report.upstream_failures > 0 {
            let share = share(report.upstream_failures, report.lines);
            let clients = distinct(report.distinct_clients);
            let said = format!(", {share} of the lines, {clients}");
            content.push(Piece::plain(said));
        }
        sheet.hanging(0, &Piece::new(LABEL, "failures"), &content, Long::Keep);
        if report.interrupted {
            let said = "the reading was interrupted: what was not read by then counts nowhere, and every number may be too low";
            sheet.hanging(
                0,
                &Piece::new(BAD, "partial "),
                &[Piece::plain(said)],
                Long::Keep,
            );
        }
    }

    /// All failures over the window, between the highest column's number and 0.
    fn timeline(&self, sheet: &mut Sheet) {
        let timelines = || {
            let incidents = self.report.incidents.iter();
            incidents.flat_map(|incident| &incident.timeline)
        };
        let Some(axis) = self.axis.filter(|_| timelines().next().is_some()) else {
            return;
        };
        sheet.gap();
        let sums = axis.sums(timelines());
        let highest = number(sums.iter().copied().max().unwrap_or(0));
        let margin = SAID - 2;
        for (idx, line) in axis.lines(&sums, HEIGHT).into_iter().enumerate() {
            let label = if idx == 0 {
                highest.as_str()
            } else if idx + 1 == HEIGHT {
                "0"
            } else {
                ""
            };
            let drawn = [
                Piece::new(DIM, format!("{label:>margin$}  ")),
                Piece::new(GONE, line),
            ];
            sheet.exact(0, &drawn);
        }
        sheet.exact(SAID, &[Piece::new(DIM, axis.labels(self.clock))]);
        let caption = format!("failures by {}, a column each", axis.column());
        sheet.under(SAID, &[Piece::new(DIM, caption)], Long::Keep);
    }

    /// The incident in a line.
    fn line(&self, sheet: &mut Sheet, incident: &LogIncident) {
        let mut content = vec![
            Piece::plain(failure(incident)),
            Piece::whole(Colour::new(), peer(incident)),
            Piece::whole(BOLD, format!("×{}", number(incident.count))),
            Piece::whole(DIM, self.span(incident)),
        ];
        match &incident.verdict {
            Some(verdict) => content.push(match verdict.cause {
                Some(cause) => Piece::whole(BOLD, cause),
                None => Piece::whole(DOUBT, "not proven"),
            }),
            None => content.extend(incident.candidates.first().map(|candidate| {
                let percent = percent(candidate.likelihood);
                Piece::whole(DIM, format!("{} {}", percent.trim(), candidate.cause))
            })),
        }
        sheet.hanging(0, &status(incident), &content, Long::Break);
    }

    fn span(&self, incident: &LogIncident) -> String {
        let first = self.clock.time(incident.first_seen);
        if incident.first_seen == incident.last_seen {
            first
        } else {
            format!("{first} to {}", self.clock.time(incident.last_seen))
        }
    }

    fn incident(&self, sheet: &mut Sheet, incident: &LogIncident) {
        let mut said = failure(incident);
        if let Some(action) = incident.action {
            said = format!("{said} while {}", action.as_str());
        }
        let headline = [
            Piece::new(BOLD, said),
            Piece::plain(format!(" → {}", peer(incident))),
        ];
        sheet.hanging(0, &status(incident), &headline, Long::Break);
        let when = if incident.first_seen == incident.last_seen {
            format!("at {}", self.span(incident))
        } else {
            format!("from {}", self.span(incident))
        };
        let mut attempts = vec![
            Piece::new(BOLD, counted(incident.count, "failed attempt")),
            Piece::plain(format!(" {when}")),
        ];
        attempts.extend(rate(incident).map(|rate| Piece::plain(format!(", {rate}"))));
        sheet.under(INDENT, &attempts, Long::Keep);
        if let Some(axis) = self.axis {
            let line = axis.line(&axis.sums(&incident.timeline));
            row(sheet, "timeline", &[Piece::new(GONE, line)]);
        }
        names(sheet, "servers", &incident.servers, self.at_most(NAMES));
        names(sheet, "locations", &incident.locations, self.at_most(NAMES));
        if incident.clients.count > 0 {
            row(
                sheet,
                "clients",
                &[Piece::plain(distinct(incident.clients))],
            );
        }
        let causes: Vec<Piece> = incident
            .candidates
            .iter()
            .take(self.at_most(CAUSES))
            .map(|candidate| {
                let percent = percent(candidate.likelihood);
                Piece::whole(LABEL, format!("{} {}", percent.trim(), candidate.cause))
            })
            .collect();
        if !causes.is_empty() {
            row(sheet, "causes", &causes);
        }
        if let Some(verdict) = &incident.verdict {
            let (said, summary) = match verdict.cause {
                Some(cause) => (
                    Piece::new(GOOD, "confirmed"),
                    format!(" {cause}: {}", verdict.summary),
                ),
                None => (
                    Piece::new(DOUBT, "not proven"),
                    format!(": {}", verdict.summary),
                ),
            };
            row(sheet, "verdict", &[said, Piece::plain(summary)]);
        }
        if self.is_verbose && !incident.sample.is_empty() {
            row(
                sheet,
                "line",
                &[Piece::new(DIM, shortened(&incident.sample, SAMPLE))],
            );
        }
    }

    fn access(&self, sheet: &mut Sheet, access: &AccessReport) {
        let errors = access.server_errors();
        let content = [
            Piece::new(BOLD, counted(access.requests, "request")),
            Piece::plain(format!(
                ", {} of them ({}) answered by 5xx",
                number(errors),
                share(errors, access.requests)
            )),
        ];
        sheet.hanging(0, &Piece::new(LABEL, "access  "), &content, Long::Keep);
        let statuses: Vec<Piece> = access
            .by_status
            .iter()
            .map(|(status, count)| {
                let said = format!("{status:03} ×{}", number(*count));
                let style = if (500..600).contains(status) {
                    BAD
                } else {
                    Colour::new()
                };
                Piece::whole(style, said)
            })
            .collect();
        if !statuses.is_empty() {
            row(sheet, "statuses", &statuses);
        }
        if let Some(axis) = self.axis.filter(|_| errors > 0) {
            let steps: Vec<(LocalTime, u64)> = access
                .timeline
                .iter()
                .map(|(at, _, errors)| (*at, *errors))
                .collect();
            let line = axis.line(&axis.sums(&steps));
            row(sheet, "5xx", &[Piece::new(GONE, line)]);
        }
        self.peers(sheet, &access.peers);
        for (label, top) in [
            ("clients", &access.clients),
            ("urls", &access.urls),
            ("hosts", &access.hosts),
        ] {
            values(sheet, INDENT, label, top, "answered by 5xx");
        }
    }

    fn peers(&self, sheet: &mut Sheet, peers: &[AccessPeer]) {
        if peers.is_empty() {
            return;
        }
        let shown = self.at_most(PEERS);
        let numbers = |peer: &AccessPeer| {
            let time = |at: fn([f64; 3]) -> f64| {
                peer.response_times
                    .map(at)
                    .map_or_else(|| "-".to_owned(), milliseconds)
            };
            [
                number(peer.attempts),
                number(peer.server_errors),
                time(|[p50, _, _]| p50),
                time(|[_, p95, _]| p95),
                time(|[_, _, p99]| p99),
            ]
        };
        let mut rows = vec![(
            "peer".to_owned(),
            ["attempts", "5xx", "p50", "p95", "p99"].map(str::to_owned),
        )];
        let told = peers.iter().take(shown);
        rows.extend(told.map(|peer| (peer.peer.clone(), numbers(peer))));
        let widths: Vec<usize> = (0..5)
            .map(|column| {
                let cells = rows.iter().filter_map(|(_, cells)| cells.get(column));
                cells.map(|cell| cell.width()).max().unwrap_or(0) + 2
            })
            .collect();
        let room = sheet
            .width()
            .saturating_sub(INDENT + widths.iter().sum::<usize>());
        let longest = rows.iter().map(|(name, _)| visible(name).width()).max();
        let room = room.min(longest.unwrap_or(0)).max(8);
        sheet.gap();
        for (idx, (name, cells)) in rows.iter().enumerate() {
            let style = if idx == 0 { DIM } else { Colour::new() };
            let name = fitted(name, room);
            let pad = room.saturating_sub(name.width());
            let mut line = vec![Piece::new(style, name), Piece::plain(" ".repeat(pad))];
            line.extend(
                cells
                    .iter()
                    .zip(&widths)
                    .map(|(cell, &width)| Piece::new(style, format!("{cell:>width$}"))),
            );
            sheet.exact(INDENT, &line);
        }
        if peers.len() > shown {
            let more = format!(
                "and {}: why502 logs -v",
                counted(peers.len() - shown, "more peer")
            );
            sheet.under(INDENT, &[Piece::new(DIM, more)], Long::Keep);
        }
        sheet.gap();
    }

    fn silences(&self, sheet: &mut Sheet) {
        let shown = self.at_most(NOTES);
        for (from, to) in self.report.silences.iter().take(shown) {
            let said = format!(
                "from {} to {} ({}) nothing was logged at all",
                self.clock.time(*from),
                self.clock.time(*to),
                lasting(to.seconds() - from.seconds())
            );
            sheet.hanging(
                0,
                &Piece::new(DOUBT, "silence "),
                &[Piece::plain(said)],
                Long::Keep,
            );
        }
        more(sheet, self.report.silences.len(), shown, "more silence");
    }

    /// What the numbers leave out, and what they are not.
    fn notes(&self, sheet: &mut Sheet) {
        let report = self.report;
        let shown = self.at_most(NOTES);
        for skipped in report.skipped.iter().take(shown) {
            let content = [Piece::plain(left_out(skipped))];
            sheet.hanging(0, &Piece::new(DOUBT, "skipped "), &content, Long::Break);
        }
        more(sheet, report.skipped.len(), shown, "more file");
        let mut notes = Vec::new();
        if report.suspects > 0 {
            notes.push(format!(
                "{} may be written by somebody else than nginx: in no incident",
                counted(report.suspects, "line")
            ));
        }
        if report.strange > 0 {
            notes.push(format!(
                "{} no line of nginx's error log",
                match report.strange {
                    1 => "1 line is".to_owned(),
                    more => format!("{} are", counted(more, "line")),
                }
            ));
        }
        notes.extend(met_in_logs(report));
        if report
            .incidents
            .iter()
            .any(|incident| !incident.candidates.is_empty())
        {
            notes.push(
                "percentages are likelihoods from public threads with such a line, no proof: why502 on the host, or \
                 with a snapshot of it, proves one"
                    .to_owned(),
            );
        }
        for note in notes {
            sheet.hanging(
                0,
                &Piece::new(DOUBT, "note    "),
                &[Piece::plain(note)],
                Long::Keep,
            );
        }
    }

    fn tally(&self) -> String {
        let report = self.report;
        if report.lines == 0 && report.access.is_none() {
            return "nothing was read that could tell".to_owned();
        }
        let is_partial = report.interrupted || !report.skipped.is_empty();
        if report.incidents.is_empty() {
            let has_errors = report.files.iter().any(|file| file.kind == LogKind::Error);
            return match (has_errors || report.lines > 0, is_partial) {
                (false, _) => "no error log was read".to_owned(),
                (true, false) => "no upstream failure".to_owned(),
                (true, true) => "no upstream failure in what was read".to_owned(),
            };
        }
        let confirmed = report
            .incidents
            .iter()
            .filter_map(|incident| incident.verdict.as_ref());
        let confirmed = confirmed.filter(|verdict| verdict.cause.is_some()).count();
        let incidents = counted(report.incidents.len(), "incident");
        match confirmed {
            0 => incidents,
            confirmed => format!("{incidents}, {confirmed} confirmed"),
        }
    }
}

/// `  label    content` of an incident.
fn row(sheet: &mut Sheet, label: &str, content: &[Piece]) {
    let columns = SAID - INDENT - 2;
    let label = Piece::new(LABEL, format!("{label:columns$}"));
    sheet.hanging(INDENT, &label, content, Long::Break);
}

fn names(sheet: &mut Sheet, label: &str, names: &[(String, u64)], most: usize) {
    let mut content: Vec<Piece> = names
        .iter()
        .take(most)
        .map(|(text, count)| {
            let said = format!("{} ×{}", name(text), number(*count));
            Piece::whole(Colour::new(), said)
        })
        .collect();
    if content.is_empty() {
        return;
    }
    if let Some(more @ 1..) = names.len().checked_sub(most) {
        content.push(Piece::whole(DIM, format!("and {more} more")));
    }
    row(sheet, label, &content);
}

/// The most frequent values, each under the other.
fn values(sheet: &mut Sheet, indent: usize, label: &str, top: &Top, about: &str) {
    let at_least = if top.error > 0 { "at least " } else { "" };
    let shown: Vec<(String, &[u8])> = top
        .values
        .iter()
        .take(VALUES)
        .map(|(value, count)| (format!("{at_least}{}", number(*count)), value.as_slice()))
        .collect();
    let counts = shown
        .iter()
        .map(|(count, _)| count.len())
        .max()
        .unwrap_or(0);
    let labels = if indent == 0 { 8 } else { SAID - INDENT - 2 };
    for (idx, (count, value)) in shown.iter().enumerate() {
        let is_first = idx == 0;
        let label = if is_first { label } else { "" };
        let first = Piece::new(LABEL, format!("{label:labels$}  {count:>counts$}"));
        let room = sheet.width().saturating_sub(indent + first.width() + 2);
        let value = fitted(&String::from_utf8_lossy(value), room);
        let about = if is_first { about } else { "" };
        let content = [Piece::plain(value), Piece::whole(DIM, about)];
        sheet.hanging(indent, &first, &content, Long::Break);
    }
}

fn more(sheet: &mut Sheet, all: usize, shown: usize, one: &str) {
    if let Some(more @ 1..) = all.checked_sub(shown) {
        let said = format!("and {}: why502 logs -v", counted(more, one));
        sheet.under(10, &[Piece::new(DIM, said)], Long::Keep);
    }
}

/// As nginx logs it: what came without a status line is 009.
fn status(incident: &LogIncident) -> Piece {
    match incident.status {
        Some(status) => Piece::new(BAD, format!("{status:03}")),
        None => Piece::new(DIM, "---"),
    }
}

fn failure(incident: &LogIncident) -> String {
    let errno = incident.errno.map(|errno| format!(" ({errno})"));
    format!("{}{}", incident.failure.as_str(), errno.unwrap_or_default())
}

fn peer(incident: &LogIncident) -> String {
    let peer = shortened(&visible(&incident.peer), PEER).into_owned();
    let dialled = match incident.protocol {
        _ if incident.peer == "-" => "a peer that the lines do not name".to_owned(),
        Some(protocol) => format!("{}://{peer}", protocol.as_str()),
        None => peer,
    };
    match &incident.upstream {
        Some(upstream) if *upstream == incident.peer => format!("upstream {}", name(upstream)),
        Some(upstream) => format!("{dialled} (upstream {})", name(upstream)),
        None => dialled,
    }
}

/// So much of a name as tells it from others.
fn name(text: &str) -> String {
    shortened(&visible(text), NAME).into_owned()
}

/// In so many columns, whatever it takes to make it visible.
fn fitted(text: &str, columns: usize) -> String {
    let seen = visible(text);
    let mut limit = columns.max(1);
    loop {
        let short = shortened(&seen, limit);
        if short.width() <= columns || limit == 1 {
            return short.into_owned();
        }
        limit -= 1;
    }
}

fn distinct(seen: Seen) -> String {
    let clients = counted(seen.count, "distinct client");
    if seen.is_estimate {
        format!("about {clients}")
    } else {
        clients
    }
}

/// Of incidents that lasted: by the second, the minute or the hour, whichever says it in a number above 1.
fn rate(incident: &LogIncident) -> Option<String> {
    if incident.count < 2 {
        return None;
    }
    let rate = incident.rate();
    [(1.0, "s"), (60.0, "min"), (3600.0, "h")]
        .into_iter()
        .find(|(seconds, _)| rate * seconds >= 1.0)
        .map(|(seconds, unit)| format!("{}/{unit}", decimal(rate * seconds)))
}

/// With one digit behind the point below 10.
fn decimal(value: f64) -> String {
    if value < 9.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

fn milliseconds(value: f64) -> String {
    if value < 999.5 {
        format!("{} ms", decimal(value))
    } else {
        format!("{} s", decimal(value / 1000.0))
    }
}

/// `12.2%`; never 0% of something, nor 100% of not all.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "none".to_owned();
    }
    // A tenth of a percent.
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    match tenths {
        0 if part > 0 => "less than 0.1%".to_owned(),
        tenths => format!("{}.{}%", tenths / 10, tenths % 10),
    }
}

fn lasting(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ ..120 => counted(seconds, "second"),
        seconds @ ..7200 => counted(seconds / 60, "minute"),
        seconds @ ..172_800 => counted(seconds / 3600, "hour"),
        seconds => counted(seconds / 86_400, "day"),
    }
}

fn left_out(skipped: &Skipped) -> String {
    let Skipped {
        file,
        why,
        lines,
        whole,
    } = skipped;
    let file = name(file);
    match (whole, lines) {
        (true, _) => format!("{file}, wholly: {why}"),
        (false, 0) => format!("{file}: {why}"),
        (false, lines) => format!("{file}, {}: {why}", counted(*lines, "line")),
    }
}
