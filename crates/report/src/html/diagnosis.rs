//! The page of a diagnosis.

use std::io::{self, Write};

use diagnose::{
    Cause, ConfSpan, Confirmation, Diagnosis, Exhibit, Fix, Gap, Judged, Judgement, Proof, Step,
};

use crate::fold::{self, Block};
use crate::words::{self, Clock};

use super::page::Page;

/// Writes the page.
pub fn write(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    let clock = Clock::of(diagnosis);
    let host = diagnosis.hostname.as_deref().unwrap_or("this host");
    let title = format!("why502 {host}: {}", words::tally(diagnosis));
    let mut page = Page::begin(&title, "", "");
    page.within("<header>\n", "</header>\n", |page| {
        header(page, diagnosis, host, clock);
    });
    page.markup("<main>\n");
    if let Some(asked) = &diagnosis.asked {
        page.within(
            "<article>\n<table class=\"proof\">\n",
            "</table>\n</article>\n",
            |page| {
                for (label, text) in words::asked(asked) {
                    page.within("<tr>", "</tr>\n", |page| {
                        page.element("<td>", label, "</td>");
                        page.element("<td>", &text, "</td>");
                    });
                }
            },
        );
    }
    for block in fold::blocks(&diagnosis.incidents) {
        page.within("<article>\n", "</article>\n", |page| {
            incident(page, &block, diagnosis, clock);
        });
    }
    page.markup("</main>\n");
    out.write_all(page.end().as_bytes())
}

fn header(page: &mut Page, diagnosis: &Diagnosis, host: &str, clock: Clock) {
    page.within("<h1>", "</h1>\n", |page| {
        page.element("why502 <span>", host, "</span>");
    });
    page.element("<p class=\"tally\">", &words::tally(diagnosis), "</p>\n");
    page.within("<p class=\"faint\">", "</p>\n", |page| {
        page.text(&words::rfc3339(diagnosis.generated_at));
        page.text(" · ");
        page.text(&words::reading(diagnosis, clock));
    });
    for caveat in words::caveats(diagnosis) {
        page.element("<p class=\"doubt\">", &caveat, "</p>\n");
    }
    if !diagnosis.gaps.is_empty() {
        page.heading("Not known");
        page.within("<ul>\n", "</ul>\n", |page| {
            for gap in &diagnosis.gaps {
                page.within("<li>", "</li>\n", |page| missing(page, gap));
            }
        });
    }
}

fn incident(page: &mut Page, block: &Block<'_>, diagnosis: &Diagnosis, clock: Clock) {
    let judged = block.leader;
    let instances = &diagnosis.instances;
    page.within("<h2>", "</h2>\n", |page| {
        let open = if judged.ongoing() {
            "<b class=\"status\">"
        } else {
            "<b class=\"status over\">"
        };
        page.element(open, &words::status(&judged.incident), "</b> ");
        page.text(&words::headline_of(block, instances));
    });
    let members: Vec<&Judged> = block.members().collect();
    page.within("<p>", "</p>\n", |page| {
        page.text(&words::attempts(&members, diagnosis.window, clock));
        page.element(
            " <span class=\"faint\">incident ",
            &judged.incident.id,
            "</span>",
        );
    });
    if let (Some(instance), true) = (instances.get(judged.incident.instance), instances.len() > 1) {
        page.paragraph(&words::instance(instance));
    }
    if let (Some(impact), true) = (judged.impact, block.others.is_empty()) {
        page.paragraph(&words::impact(impact));
    }
    if let Some(unexplained) = words::unexplained(judged) {
        page.element("<p class=\"doubt\">", unexplained, "</p>\n");
    }
    if !block.others.is_empty() {
        peers(page, &members, diagnosis);
    }
    match (fold::answer(judged), judged.cause) {
        (Some(confirmation), Some(cause)) => answer(page, block, cause, confirmation, clock),
        _ => undetermined(page, judged, clock),
    }
    rest(page, judged, clock);
}

fn peers(page: &mut Page, members: &[&Judged], diagnosis: &Diagnosis) {
    page.heading("Peers");
    page.within("<table>\n", "</table>\n", |page| {
        for member in members {
            page.within("<tr>", "</tr>\n", |page| {
                page.element(
                    "<td>",
                    &words::headline(&member.incident, &diagnosis.instances),
                    "</td>",
                );
                page.element(
                    "<td>",
                    &words::failed_attempts(member.incident.count, diagnosis.window),
                    "</td>",
                );
                let summary = fold::answer(member).map_or("", |confirmation| &confirmation.summary);
                page.element("<td>", summary, "</td>");
            });
        }
    });
}

fn answer(
    page: &mut Page,
    block: &Block<'_>,
    cause: &Cause,
    confirmation: &Confirmation,
    clock: Clock,
) {
    said(page, cause, confirmation);
    if !confirmation
        .proof
        .exhibits()
        .iter()
        .any(|exhibit| matches!(exhibit, Exhibit::Config(_)))
        && let Some(directive) = &block.leader.directive
    {
        dialled(page, directive);
    }
    page.heading("Proof");
    proof(page, &confirmation.proof, clock);
    let (of_leader, more) = block.fixes();
    fixes(page, "Fix", of_leader);
    for (_, fix) in more {
        fixes(page, "And", std::slice::from_ref(fix));
    }
    for (cause, confirmation) in fold::also(block.leader) {
        page.heading("Also");
        said(page, cause, confirmation);
        proof(page, &confirmation.proof, clock);
        fixes(page, "Fix", &confirmation.fixes);
    }
}

/// The directive that dials the peer.
fn dialled(page: &mut Page, directive: &ConfSpan) {
    let label = directive.label.as_deref().unwrap_or("nginx dials this");
    span(page, directive, Some(label));
}

/// The summary, and the cause's first words on what that means.
fn said(page: &mut Page, cause: &Cause, confirmation: &Confirmation) {
    page.within("<p class=\"cause\">", "</p>\n", |page| {
        page.text(&confirmation.summary);
        page.element(" <code>", cause.id, "</code>");
    });
    page.element("<p class=\"faint\">", cause.title(), "</p>\n");
}

fn undetermined(page: &mut Page, judged: &Judged, clock: Clock) {
    page.element(
        "<p class=\"cause doubt\">",
        &format!("Not proven: {}.", words::unproven(judged)),
        "</p>\n",
    );
    if let Some(directive) = &judged.directive {
        dialled(page, directive);
    }
    if !judged.incident.sample.is_empty() {
        page.heading("Seen");
        proof(page, &Proof::new(judged.incident.exhibit()), clock);
    }
    if let Some((first, rest)) = judged.known.split_first() {
        page.heading("Known");
        proof(
            page,
            &Proof::new(first.clone()).with(rest.iter().cloned()),
            clock,
        );
    }
    if !judged.hints.is_empty() {
        page.heading("Hints");
        page.within("<ul>\n", "</ul>\n", |page| {
            for hint in &judged.hints {
                page.element("<li>", hint, "</li>\n");
            }
        });
    }
}

fn proof(page: &mut Page, proof: &Proof, clock: Clock) {
    page.within("<table class=\"proof\">\n", "</table>\n", |page| {
        for exhibit in proof.exhibits() {
            page.within("<tr>", "</tr>\n", |page| {
                let (at, kind) = match exhibit {
                    Exhibit::Log { at, .. } => (*at, "log"),
                    Exhibit::Record { at, probe, .. } => (*at, *probe),
                    Exhibit::Config(_) => (None, "config"),
                };
                page.element(
                    "<td>",
                    &at.map_or_else(String::new, |at| clock.time(at)),
                    "</td>",
                );
                page.element("<td>", kind, "</td>");
                page.within("<td>", "</td>", |page| self::exhibit(page, exhibit));
            });
        }
    });
}

fn exhibit(page: &mut Page, exhibit: &Exhibit) {
    match exhibit {
        Exhibit::Log { text, count, .. } => {
            page.element("<code>", text, "</code>");
            if *count > 1 {
                page.element(" <b>×", &words::number(*count), "</b>");
            }
        }
        Exhibit::Record { text, .. } => page.text(text),
        Exhibit::Config(shown) => span(page, shown, shown.label.as_deref()),
    }
}

/// The source line with its mark and what there is to say about it.
fn span(page: &mut Page, span: &ConfSpan, label: Option<&str>) {
    page.within("<figure>", "</figure>\n", |page| {
        page.element(
            "<figcaption>",
            &format!("{}:{}", span.file.display(), span.line),
            "</figcaption>",
        );
        page.within("<pre>", "</pre>", |page| {
            let mark = &span.mark;
            let pieces = [
                (span.source.get(..mark.start), None),
                (
                    span.source.get(mark.start..mark.end),
                    Some(("<mark>", "</mark>")),
                ),
                (span.source.get(mark.end..), None),
            ];
            if pieces.iter().any(|(text, _)| text.is_none()) {
                lines(page, &span.source);
            }
            for (text, mark) in pieces {
                let Some(text) = text else { continue };
                match mark {
                    Some((open, close)) => page.within(open, close, |page| lines(page, text)),
                    None => lines(page, text),
                }
            }
        });
        if let Some(label) = label {
            page.element("<p>", label, "</p>");
        }
    });
}

/// Source text: its own line ends and tabs stay what they are.
fn lines(page: &mut Page, source: &str) {
    for (idx, line) in source.split('\n').enumerate() {
        if idx > 0 {
            page.markup("\n");
        }
        page.text(&line.trim_end_matches('\r').replace('\t', "    "));
    }
}

fn fixes(page: &mut Page, first: &'static str, fixes: &[Fix]) {
    for (idx, fix) in fixes.iter().enumerate() {
        page.heading(if idx == 0 { first } else { "Or" });
        let (summary, steps) = words::plan(fix);
        page.within("<p>", "</p>\n", |page| {
            page.text(summary);
            page.element(
                " <span class=\"faint\">(",
                words::safety(fix.safety),
                ")</span>",
            );
        });
        for step in steps {
            match step {
                Step::Edit {
                    file,
                    line,
                    old,
                    new,
                } => page.within("<figure>", "</figure>\n", |page| {
                    page.element(
                        "<figcaption>",
                        &format!("{}:{line}", file.display()),
                        "</figcaption>",
                    );
                    page.within("<pre><del>- ", "</del>\n", |page| lines(page, old));
                    page.within("<ins>+ ", "</ins></pre>", |page| lines(page, new));
                }),
                Step::Command { argv } => page.element("<pre>", &words::shell(argv), "</pre>\n"),
                Step::Advice { text } => page.paragraph(text),
            }
        }
        if let Some(verify) = &fix.verify {
            page.paragraph("Then try");
            page.element("<pre>", verify, "</pre>\n");
        }
    }
}

/// What else was judged.
fn rest(page: &mut Page, judged: &Judged, clock: Clock) {
    let unknown = fold::missing(judged);
    if !unknown.is_empty() {
        let open = if judged.cause.is_none() {
            "<details open>\n<summary>"
        } else {
            "<details>\n<summary>"
        };
        page.within(open, "</details>\n", |page| {
            page.element("", "What would tell more", "</summary>\n");
            page.within("<ul>\n", "</ul>\n", |page| {
                for group in unknown {
                    page.within("<li>", "</li>\n", |page| {
                        missing(page, group.gap);
                        let names: Vec<&str> = group.causes.iter().map(|cause| cause.id).collect();
                        page.element(
                            " <span class=\"faint\">would tell: ",
                            &names.join(", "),
                            "</span>",
                        );
                    });
                }
            });
        });
    }
    let ruled_out = judged
        .causes
        .iter()
        .filter_map(|verdict| match &verdict.judgement {
            Judgement::RuledOut(shown) => Some((verdict.cause, shown)),
            _ => None,
        });
    let ruled_out: Vec<_> = ruled_out.collect();
    if !ruled_out.is_empty() {
        page.within("<details>\n", "</details>\n", |page| {
            page.element(
                "<summary>",
                &words::counted(ruled_out.len() as u64, "cause"),
                " ruled out</summary>\n",
            );
            for (cause, shown) in ruled_out {
                page.within("<p>", "</p>\n", |page| {
                    page.element("<code>", cause.id, "</code>");
                });
                proof(page, shown, clock);
            }
        });
    }
}

fn missing(page: &mut Page, gap: &Gap) {
    page.element("<b>", &gap.missing, "</b>");
    page.text(": ");
    page.text(&gap.why);
    if let Some(learn) = &gap.learn {
        page.element("<pre>", learn, "</pre>");
    }
}
