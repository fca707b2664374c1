//! The page of logs: a timeline, a table, and who was hit.
//!
//! Everything but the timeline stands in the markup, so that it can be read without the script and found by a browser's
//! own search. The script gets its numbers from a data block; it makes no markup of text.

use std::borrow::Cow;
use std::io::{self, Write};

use diagnose::counted;
use diagnose::logs::{
    AccessPeer, AccessReport, LogFile, LogIncident, LogReport, Seen, Skipped, Step, Top,
};

use super::data::{self, Classes};
use super::page::Page;
use crate::text::shortened;
use crate::words;

const STYLE: &str = include_str!("logs.css");
pub(super) const SCRIPT: &str = include_str!("logs.js");

/// Lets this one script run, by the hash of its text, and not even that one make markup of text. The hash is a constant,
/// so that the program carries no code to compute it; a test computes it anew.
pub(super) const POLICY: &str = "; script-src 'sha256-zAhu/+HuzZci+hhC0ePJCqMrCFS2uDqAH6gRGZX5ul0='; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// So many values of a list are shown.
const SHOWN: usize = 20;
/// So many characters of a name are shown: both its ends.
const LONGEST: usize = 200;

/// The mark of a class, by its rank: those with the most failures have a colour each, the others share the last.
const MARKS: [&str; 8] = [
    "<i class=\"c0\"></i>",
    "<i class=\"c1\"></i>",
    "<i class=\"c2\"></i>",
    "<i class=\"c3\"></i>",
    "<i class=\"c4\"></i>",
    "<i class=\"c5\"></i>",
    "<i class=\"c6\"></i>",
    "<i class=\"c7\"></i>",
];

/// Writes the page of what logs tell.
pub fn write(out: &mut dyn Write, report: &LogReport) -> io::Result<()> {
    let classes = Classes::of(report);
    let mut page = Page::begin(&format!("why502 logs: {}", tally(report)), POLICY, STYLE);
    page.within("<header>\n", "</header>\n", |page| header(page, report));
    page.markup("<main>\n");
    timeline(&mut page, report, &classes);
    incidents(&mut page, report, &classes);
    let lists = [
        ("Clients", &report.clients),
        ("URLs", &report.urls),
        ("Hosts", &report.hosts),
    ];
    tops(&mut page, "Whose requests failed", &lists);
    if let Some(access) = &report.access {
        self::access(&mut page, access);
    }
    silences(&mut page, report);
    files(&mut page, report);
    page.markup("</main>\n<script type=\"application/json\" id=\"data\">");
    page.data(&data::json(report, &classes)?);
    page.within("</script>\n<script>", "</script>\n", |page| {
        page.markup(SCRIPT);
    });
    out.write_all(page.end().as_bytes())
}

/// Whom nginx dialled.
pub(super) fn peer(incident: &LogIncident) -> String {
    match incident.protocol {
        Some(protocol) => format!("{}://{}", protocol.as_str(), incident.peer),
        None => incident.peer.clone(),
    }
}

/// The confirmed cause, or the likeliest.
pub(super) fn cause(incident: &LogIncident) -> String {
    match (confirmed(incident), incident.candidates.first()) {
        (Some(cause), _) => format!("{cause}, confirmed"),
        (None, Some(first)) => format!("{}, {}", first.cause, percent(first.likelihood)),
        (None, None) => "not known".to_owned(),
    }
}

fn confirmed(incident: &LogIncident) -> Option<&'static str> {
    incident.verdict.as_ref().and_then(|verdict| verdict.cause)
}

fn tally(report: &LogReport) -> String {
    format!(
        "{}, {}",
        counted(report.upstream_failures, "failed attempt"),
        counted(report.incidents.len() as u64, "incident")
    )
}

fn header(page: &mut Page, report: &LogReport) {
    page.markup("<h1>why502 <span>logs</span></h1>\n");
    page.element("<p class=\"tally\">", &tally(report), "</p>\n");
    page.within("<p class=\"faint\">", "</p>\n", |page| {
        if let Some((from, until)) = report.window {
            page.text(&format!("{from} to {until} · "));
        }
        page.text("times as the logs show them, local to nginx");
    });
    page.within("<dl class=\"tiles\">\n", "</dl>\n", |page| {
        tile(
            page,
            "Failed attempts",
            &words::number(report.upstream_failures),
        );
        tile(page, "Clients", &seen(report.distinct_clients));
        tile(page, "Lines of error logs", &words::number(report.lines));
        if let Some(access) = &report.access {
            tile(page, "Requests", &words::number(access.requests));
            let share = share(access.server_errors(), access.requests);
            tile(page, "Answered by 5xx", &share);
        }
    });
    for doubt in doubts(report) {
        page.element("<p class=\"doubt\">", &doubt, "</p>\n");
    }
    page.markup(
        "<noscript><p class=\"faint\">The timeline, sorting and the filter need the script of this page; every number \
         stands here without it.</p></noscript>\n",
    );
}

fn tile(page: &mut Page, label: &str, value: &str) {
    page.within("<div>", "</div>\n", |page| {
        page.element("<dt>", label, "</dt>");
        page.element("<dd>", value, "</dd>");
    });
}

/// Why the numbers may not be the whole truth.
fn doubts(report: &LogReport) -> Vec<String> {
    let mut doubts = Vec::new();
    if report.interrupted {
        doubts.push("Interrupted: what had been read until then is counted.".to_owned());
    }
    if !report.skipped.is_empty() {
        doubts.push("Not everything could be read: see Files.".to_owned());
    }
    if report.beyond > 0 {
        let failures = counted(report.beyond, "failed attempt");
        doubts.push(format!(
            "{failures} more came when too many incidents were kept already: in no row of the table."
        ));
    }
    if report.suspects > 0 {
        let lines = counted(report.suspects, "line");
        doubts.push(format!(
            "{lines} may have been written by somebody else than nginx: in no incident."
        ));
    }
    if report.strange > 0 {
        let lines = words::number(report.strange);
        doubts.push(format!(
            "Lines of error logs that are not nginx's: {lines}."
        ));
    }
    for met in words::met_in_logs(report) {
        doubts.push(format!("Met in the logs: {met}."));
    }
    doubts
}

/// What the script draws into; it is hidden until there is something to see.
fn timeline(page: &mut Page, report: &LogReport, classes: &Classes) {
    page.markup(
        "<section id=\"timeline\" hidden>\n<h2>Timeline</h2>\n<div class=\"bar\">\n\
         <p id=\"range\" class=\"faint\"></p>\n<div class=\"buttons\">\
         <button type=\"button\" id=\"earlier\" aria-label=\"Earlier\">◀</button>\
         <button type=\"button\" id=\"out\" aria-label=\"Zoom out\">−</button>\
         <button type=\"button\" id=\"in\" aria-label=\"Zoom in\">+</button>\
         <button type=\"button\" id=\"later\" aria-label=\"Later\">▶</button>\
         <button type=\"button\" id=\"reset\">Reset</button></div>\n</div>\n\
         <div id=\"plot\">\n<svg id=\"chart\" tabindex=\"0\" role=\"slider\" aria-label=\"Timeline of failed attempts\" \
         aria-describedby=\"keys\"></svg>\n<div id=\"tip\" hidden></div>\n</div>\n",
    );
    page.within("<ul id=\"legend\">\n", "</ul>\n", |page| {
        for (rank, (class, count)) in classes.all().iter().enumerate() {
            page.within(
                "<li><button type=\"button\" aria-pressed=\"true\">",
                "</button></li>\n",
                |page| {
                    page.markup(mark(rank));
                    page.text(class.as_str());
                    page.element(" <b>", &words::number(*count), "</b>");
                },
            );
        }
    });
    page.within("<p id=\"keys\" class=\"faint\">", "</p>\n", |page| {
        let step = report.step.as_str();
        page.text(&format!(
            "The logs are counted by the {step}. Drag to zoom. In the timeline the keys ← and → move, + and − zoom, \
             Shift with ← or → pans, 0 resets. A class is shown or not by its button."
        ));
        if !report.silences.is_empty() {
            page.text(" Nothing was logged where it is shaded.");
        }
    });
    page.markup("</section>\n");
}

fn mark(rank: usize) -> &'static str {
    let [.., last] = MARKS;
    MARKS.get(rank).copied().unwrap_or(last)
}

/// The table. A cell names its column for narrow screens, where there is no row of headers.
fn incidents(page: &mut Page, report: &LogReport, classes: &Classes) {
    page.markup("<section id=\"incidents\">\n<h2>Incidents</h2>\n");
    if report.incidents.is_empty() {
        page.paragraph("No failed attempt to get an answer from a peer.");
        page.markup("</section>\n");
        return;
    }
    page.markup(
        "<div class=\"bar\" id=\"controls\" hidden>\n<label>Filter <input type=\"search\" id=\"filter\" \
         autocomplete=\"off\" spellcheck=\"false\" placeholder=\"peer, class, server, path, cause …\"></label>\n\
         <p id=\"shown\" class=\"faint\" role=\"status\"></p>\n</div>\n\
         <table id=\"table\" class=\"cards\">\n<thead><tr>\
         <th data-key=\"count\" class=\"n\" aria-sort=\"descending\">Failures</th>\
         <th data-key=\"failure\">What failed</th>\
         <th data-key=\"peer\">Peer</th>\
         <th data-key=\"status\">Status</th>\
         <th data-key=\"first\">First</th>\
         <th data-key=\"last\">Last</th>\
         <th data-key=\"clients\" class=\"n\">Clients</th>\
         <th data-key=\"cause\">Likely cause</th></tr></thead>\n",
    );
    for incident in &report.incidents {
        page.within("<tbody>\n<tr>", "</td></tr>\n</tbody>\n", |page| {
            row(page, incident, mark(classes.rank(incident.failure)));
            page.markup("</tr>\n<tr class=\"more\"><td colspan=\"8\">");
            details(page, incident);
        });
    }
    page.markup("</table>\n</section>\n");
}

fn row(page: &mut Page, incident: &LogIncident, mark: &'static str) {
    let count = words::number(incident.count);
    page.element("<td data-label=\"Failures\" class=\"n\">", &count, "</td>");
    page.within("<td data-label=\"What failed\">", "</td>", |page| {
        page.markup(mark);
        page.text(incident.failure.as_str());
        let errno = incident.errno.map(|errno| format!("errno {errno}"));
        let action = incident
            .action
            .map(|action| format!("while {}", action.as_str()));
        let how: Vec<String> = [errno, action].into_iter().flatten().collect();
        if !how.is_empty() {
            page.element(" <span class=\"faint\">", &how.join(" "), "</span>");
        }
    });
    page.within("<td data-label=\"Peer\">", "</td>", |page| {
        page.text(&shortened(&peer(incident), LONGEST));
        if let Some(upstream) = &incident.upstream {
            let upstream = format!("upstream {}", shortened(upstream, LONGEST));
            page.element(" <span class=\"faint\">", &upstream, "</span>");
        }
    });
    let status = incident
        .status
        .map_or_else(|| "-".to_owned(), |status| format!("{status:03}"));
    page.element("<td data-label=\"Status\">", &status, "</td>");
    let (first, last) = (&incident.first_seen, &incident.last_seen);
    page.element(
        "<td data-label=\"First\" class=\"t\">",
        &first.to_string(),
        "</td>",
    );
    page.element(
        "<td data-label=\"Last\" class=\"t\">",
        &last.to_string(),
        "</td>",
    );
    let clients = seen(incident.clients);
    page.element("<td data-label=\"Clients\" class=\"n\">", &clients, "</td>");
    page.within(
        "<td data-label=\"Likely cause\">",
        "</td>",
        |page| match confirmed(incident) {
            Some(cause) => page.element("<b>", cause, "</b>, confirmed"),
            None => page.text(&cause(incident)),
        },
    );
}

fn details(page: &mut Page, incident: &LogIncident) {
    page.within(
        "<details>\n<summary>Details</summary>\n",
        "</details>",
        |page| {
            if let Some(verdict) = &incident.verdict {
                let open = match verdict.cause {
                    Some(_) => "<p class=\"cause\">",
                    None => "<p class=\"cause doubt\">",
                };
                page.element(open, &verdict.summary, "</p>\n");
            }
            page.heading("First line");
            page.element("<pre>", &incident.sample, "</pre>\n");
            if let Some(rate) = rate(incident) {
                page.paragraph(&rate);
            }
            page.within("<div class=\"lists\">\n", "</div>\n", |page| {
                list(page, "Servers", named(&incident.servers), 0);
                list(page, "Locations", named(&incident.locations), 0);
            });
            candidates(page, incident);
        },
    );
}

fn named(counts: &[(String, u64)]) -> impl ExactSizeIterator<Item = (Cow<'_, str>, u64)> {
    counts.iter().map(|(name, count)| (name.into(), *count))
}

/// Values with how often each, the first of them. Each count may be too low by `error`.
fn list<'a>(
    page: &mut Page,
    name: &'static str,
    values: impl ExactSizeIterator<Item = (Cow<'a, str>, u64)>,
    error: u64,
) {
    let beyond = values.len().saturating_sub(SHOWN) as u64;
    if values.len() == 0 {
        return;
    }
    page.within("<div>\n", "</div>\n", |page| {
        page.heading(name);
        page.within("<table>\n", "</table>\n", |page| {
            for (value, count) in values.take(SHOWN) {
                page.within("<tr>", "</tr>\n", |page| {
                    let value = if value.is_empty() { "-" } else { &value };
                    page.element("<td>", &shortened(value, LONGEST), "</td>");
                    page.element("<td class=\"n\">", &words::number(count), "</td>");
                });
            }
        });
        let mut notes = Vec::new();
        if beyond > 0 {
            notes.push(format!("{} more", words::number(beyond)));
        }
        if error > 0 {
            let error = words::number(error);
            notes.push(format!("each count may be too low by up to {error}"));
        }
        if !notes.is_empty() {
            page.element("<p class=\"faint\">", &notes.join("; "), "</p>\n");
        }
    });
}

fn candidates(page: &mut Page, incident: &LogIncident) {
    if incident.candidates.is_empty() {
        return;
    }
    let is_told = confirmed(incident).is_some();
    page.heading(if is_told {
        "What it might be by its line alone"
    } else {
        "What it may be"
    });
    page.within("<ol class=\"candidates\">\n", "</ol>\n", |page| {
        for candidate in &incident.candidates {
            page.within("<li>", "</li>\n", |page| {
                page.element("<b>", &percent(candidate.likelihood), "</b>");
                page.element(" <code>", candidate.cause, "</code> ");
                page.text(candidate.why);
                if candidate.is_spoken_for {
                    page.markup(" <span class=\"faint\">(other lines speak for it)</span>");
                }
                if !candidate.tell_apart.is_empty() {
                    page.element("<pre>", &candidate.tell_apart, "</pre>");
                }
            });
        }
    });
    if !is_told {
        page.element(
            "<p class=\"faint\">",
            "Likely, not proven: the commands tell one from another.",
            "</p>\n",
        );
    }
}

fn tops(page: &mut Page, heading: &'static str, lists: &[(&'static str, &Top)]) {
    if lists.iter().all(|(_, top)| top.values.is_empty()) {
        return;
    }
    page.markup("<section>\n");
    page.element("<h2>", heading, "</h2>\n");
    page.within("<div class=\"lists\">\n", "</div>\n</section>\n", |page| {
        for (name, top) in lists {
            let values = top.values.iter();
            let values = values.map(|(value, count)| (String::from_utf8_lossy(value), *count));
            list(page, name, values, top.error);
        }
    });
}

fn access(page: &mut Page, access: &AccessReport) {
    page.markup("<section>\n<h2>Access logs</h2>\n");
    let errors = access.server_errors();
    page.paragraph(&format!(
        "{} of {} answered by 5xx: {}.",
        words::number(errors),
        counted(access.requests, "request"),
        share(errors, access.requests)
    ));
    page.within("<div class=\"lists\">\n<div>\n", "</div>\n", |page| {
        page.heading("Statuses");
        page.within("<table>\n", "</table>\n", |page| {
            for (status, count) in &access.by_status {
                page.within("<tr>", "</tr>\n", |page| {
                    page.element("<td>", &format!("{status:03}"), "</td>");
                    page.element("<td class=\"n\">", &words::number(*count), "</td>");
                    let share = share(*count, access.requests);
                    page.element("<td class=\"n\">", &share, "</td>");
                });
            }
        });
    });
    if !access.peers.is_empty() {
        peers(page, &access.peers);
    }
    page.markup("</div>\n</section>\n");
    let lists = [
        ("Clients", &access.clients),
        ("URLs", &access.urls),
        ("Hosts", &access.hosts),
    ];
    tops(page, "Whose requests were answered by 5xx", &lists);
}

fn peers(page: &mut Page, peers: &[AccessPeer]) {
    page.within("<div class=\"wide\">\n", "</div>\n", |page| {
        page.heading("Peers");
        page.markup(
            "<table class=\"cards peers\">\n<thead><tr><th>Peer</th><th class=\"n\">Attempts</th><th class=\"n\">5xx</th>\
             <th class=\"n\">p50</th><th class=\"n\">p95</th><th class=\"n\">p99</th></tr></thead>\n",
        );
        for peer in peers {
            page.within("<tbody><tr>", "</tr></tbody>\n", |page| {
                let name = shortened(&peer.peer, LONGEST);
                page.element("<td data-label=\"Peer\">", &name, "</td>");
                let attempts = words::number(peer.attempts);
                page.element("<td data-label=\"Attempts\" class=\"n\">", &attempts, "</td>");
                let share = share(peer.server_errors, peer.attempts);
                let errors = format!("{} ({share})", words::number(peer.server_errors));
                page.element("<td data-label=\"5xx\" class=\"n\">", &errors, "</td>");
                let opens = [
                    "<td data-label=\"p50\" class=\"n\">",
                    "<td data-label=\"p95\" class=\"n\">",
                    "<td data-label=\"p99\" class=\"n\">",
                ];
                for (idx, open) in opens.into_iter().enumerate() {
                    let time = peer.response_times.and_then(|times| times.get(idx).copied());
                    let time = time.map_or_else(|| "-".to_owned(), milliseconds);
                    page.element(open, &time, "</td>");
                }
            });
        }
        page.markup("</table>\n");
    });
}

fn silences(page: &mut Page, report: &LogReport) {
    if report.silences.is_empty() {
        return;
    }
    page.markup("<section>\n<h2>Silences</h2>\n");
    page.paragraph("Nothing at all was logged in these times, the longest first.");
    page.within("<ul>\n", "</ul>\n", |page| {
        for (from, until) in report.silences.iter().take(SHOWN) {
            let length = duration(until.seconds().saturating_sub(from.seconds()));
            page.element("<li>", &format!("{from} to {until}, {length}"), "</li>\n");
        }
    });
    page.markup("</section>\n");
}

fn files(page: &mut Page, report: &LogReport) {
    if report.files.is_empty() && report.skipped.is_empty() {
        return;
    }
    page.markup("<section>\n<h2>Files</h2>\n");
    if !report.skipped.is_empty() {
        page.within("<ul class=\"doubt\">\n", "</ul>\n", |page| {
            for skipped in &report.skipped {
                page.element("<li>", &self::skipped(skipped), "</li>\n");
            }
        });
    }
    page.within("<ul class=\"files\">\n", "</ul>\n", |page| {
        for file in &report.files {
            page.within("<li>", "</li>\n", |page| self::file(page, file));
        }
    });
    page.markup("</section>\n");
}

fn file(page: &mut Page, file: &LogFile) {
    page.element("<code>", &file.name, "</code> ");
    let mut told = vec![
        file.kind.as_str().to_owned(),
        counted(file.lines, "line"),
        counted(file.bytes, "byte"),
    ];
    if let Some((from, until)) = file.window {
        told.push(format!("{from} to {until}"));
    }
    page.element("<span class=\"faint\">", &told.join(", "), "</span>");
}

fn skipped(skipped: &Skipped) -> String {
    let Skipped {
        file,
        why,
        lines,
        whole,
    } = skipped;
    let what = match (whole, lines) {
        (true, _) => "not read".to_owned(),
        (false, 0) => "not wholly read".to_owned(),
        (false, lines) => format!("{} left out", counted(*lines, "line")),
    };
    format!("{file}: {what}: {why}")
}

fn seen(seen: Seen) -> String {
    let about = if seen.is_estimate { "about " } else { "" };
    format!("{about}{}", words::number(seen.count))
}

/// How often it failed while it did; one failure has no rate.
fn rate(incident: &LogIncident) -> Option<String> {
    let a_second = incident.rate();
    if incident.count < 2 {
        return None;
    }
    let (rate, unit) = [(1.0, "second"), (60.0, "minute"), (3600.0, "hour")]
        .map(|(seconds, unit)| (a_second * seconds, unit))
        .into_iter()
        .find(|(rate, _)| *rate >= 1.0)
        .unwrap_or((a_second * 86_400.0, "day"));
    let length = incident
        .last_seen
        .seconds()
        .saturating_sub(incident.first_seen.seconds());
    Some(format!("{rate:.1} a {unit}, for {}.", duration(length)))
}

/// `12 s`, `3 min`, `5 h 20 min`, `2 d 3 h`.
fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / Step::Day.seconds());
    let with = |more: String, rest: i64, unit: &str| match rest {
        0 => more,
        rest => format!("{more} {rest} {unit}"),
    };
    match seconds {
        ..60 => format!("{} s", seconds.max(0)),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => with(format!("{hours} h"), minutes % 60, "min"),
        _ => with(format!("{days} d"), hours % 24, "h"),
    }
}

/// `63 %`, never broken into two lines.
fn percent(likelihood: f64) -> String {
    format!("{:.0}\u{a0}%", likelihood * 100.0)
}

/// `1.5 %`.
fn share(part: u64, whole: u64) -> String {
    let tenths = |times: u128| (u128::from(part) * times).checked_div(u128::from(whole));
    match tenths(1000) {
        None => "-".to_owned(),
        Some(0) if part > 0 => "under 0.1 %".to_owned(),
        Some(tenths) => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// `850 ms`, `1.25 s`.
fn milliseconds(time: f64) -> String {
    if time < 1000.0 {
        format!("{time:.0} ms")
    } else {
        format!("{:.2} s", time / 1000.0)
    }
}
