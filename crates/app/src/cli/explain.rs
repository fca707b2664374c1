//! `why502 explain`: what a pasted text says, the page of a cause or a lint, or the causes of a failure. Needs no host.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;
use diagnose::causes::{self, Cause};
use diagnose::explain::{self, Class, Explanation};
use diagnose::lints;

use super::{Global, width};

/// A paste is short; of a whole log the start tells, and `why502 logs` reads the rest.
const LIMIT: u64 = 16 << 20;

/// What to explain.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A line of an error log, a file of them, '-' for standard input, a cause's or a lint's id, or a failure's as a report
    /// names it (connect-refused); without one, the ids of causes and lints are listed
    #[arg(value_name = "LINE|FILE|-|ID")]
    what: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Term,
    /// For programs
    Json,
}

/// Explains.
pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    match args.what.as_deref() {
        None => list(args.format)?,
        Some(id) if causes::by_id(id).is_some() => page(id, args.format, global)?,
        Some(id) if lints::by_id(id).is_some() => lint_page(id, args.format, global)?,
        Some(what) => {
            let explanation = match Class::from_name(what) {
                Some(class) => explain::explain_class(class),
                None => explain::explain(&text(what)?),
            };
            anyhow::ensure!(!explanation.lines.is_empty(), nothing(&explanation));
            print(&explanation, args.format, global)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The text that is meant: standard input, a file's, or the argument itself.
fn text(what: &str) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    if what == "-" {
        let stdin = std::io::stdin().lock();
        stdin
            .take(LIMIT)
            .read_to_end(&mut text)
            .context("reading standard input")?;
        return Ok(text);
    }
    let path = Path::new(what);
    if path.exists() {
        let file = File::open(path).with_context(|| format!("opening {what}"))?;
        file.take(LIMIT)
            .read_to_end(&mut text)
            .with_context(|| format!("reading {what}"))?;
        return Ok(text);
    }
    if what.contains(char::is_whitespace) {
        return Ok(what.as_bytes().to_vec());
    }
    match nearest(what) {
        Some(id) => anyhow::bail!(
            "there is no cause, lint, failure or file '{what}': is {id} meant? why502 explain {id}"
        ),
        None => anyhow::bail!(
            "there is no cause, lint, failure or file '{what}': why502 explain lists them; a pasted line needs quotes"
        ),
    }
}

/// The cause or failure whose id a word is a misspelling of: a letter in four may differ.
fn nearest(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase().replace('_', "-");
    let failures = Class::ALL
        .iter()
        .filter(|class| class.may_be_upstream_failure());
    let (steps, id) = causes::ALL
        .iter()
        .map(|cause| cause.id)
        .chain(lints::ALL.iter().map(|lint| lint.id))
        .chain(failures.map(|class| class.as_str()))
        .map(|id| (distance(&word, id), id))
        .min()?;
    (steps * 4 <= id.len()).then_some(id)
}

/// How many letters must be added, taken away or changed to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (idx, letter) in one.chars().enumerate() {
        let mut next = vec![idx + 1];
        for ((above, right), wanted) in row.iter().zip(row.iter().skip(1)).zip(other.chars()) {
            let left = next.last().copied().unwrap_or_default();
            let changed = above + usize::from(letter != wanted);
            next.push(changed.min(right + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// Why there is no answer, and what would be one.
fn nothing(explanation: &Explanation) -> String {
    let expected = "expected a line of nginx's error log, such as 'connect() failed (111: Connection refused) while connecting to upstream'";
    let other = explanation.other.first();
    if let Some(about) = other.and_then(|(class, text)| about(*class, text)) {
        return format!("no failure of an upstream is told here: {about}; {expected}");
    }
    if let Some(remark) = explanation.remarks.first() {
        let page = remark
            .causes
            .first()
            .map(|cause| format!("; its page: why502 explain {cause}"));
        return format!(
            "no line of nginx's says how it failed; what stands here says that {}{}; {expected}",
            remark.says,
            page.unwrap_or_default()
        );
    }
    match other {
        Some(_) => format!(
            "no failure of an upstream is told here: nginx's line is about something else; {expected}"
        ),
        None => format!("no line of nginx's found; {expected}"),
    }
}

/// What a line of nginx's is about that tells of no failure of an upstream.
fn about(class: Class, text: &str) -> Option<&'static str> {
    Some(match class {
        Class::ListenBind | Class::ListenSetup => {
            "nginx could not open a port of its own to listen on, so it did not start or reload; 'sudo ss -ltnp' says who has the port"
        }
        Class::ConfigDnsAtStartup => {
            "nginx did not start or reload, for a name in its configuration does not resolve ('host not found in upstream')"
        }
        Class::Config | Class::FdLimitConfig => {
            "nginx says something of its configuration; 'sudo nginx -t' checks it"
        }
        Class::FastcgiStderr if text.contains("Primary script unknown") => {
            "php-fpm answered 404, for the file that nginx names to it (SCRIPT_FILENAME) is not there for php-fpm; check root and fastcgi_param"
        }
        Class::ClientAbort
        | Class::ClientTimeout
        | Class::ClientBadRequest
        | Class::ClientIo
        | Class::ClientTls => "nginx's line is about its client",
        Class::ClientBodyTooLarge => {
            "nginx refused a request for its size, with 413 (client_max_body_size)"
        }
        Class::RateLimited => "nginx held a request back (limit_req, limit_conn)",
        Class::PeerMarkedDown => {
            "nginx leaves a peer out for a while; the line before says how it failed"
        }
        Class::NotUpstream | Class::Redirect => "nginx answered by itself, without an upstream",
        Class::WorkerCrash | Class::WorkerFatal => "a worker of nginx itself died",
        Class::Lifecycle => "nginx started, stopped or reloaded",
        _ => return None,
    })
}

fn list(format: Format) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    if let Format::Json = format {
        report::json::pages(&mut out, causes::ALL, lints::ALL)?;
        return Ok(());
    }
    let causes = causes::ALL.iter().map(|cause| (cause.id, cause.title()));
    let lints = lints::ALL.iter().map(|lint| (lint.id, lint.title()));
    let all = causes.clone().chain(lints.clone());
    let longest = all.map(|(id, _)| id.len()).max().unwrap_or(0);
    for (id, title) in causes {
        writeln!(out, "{id:<longest$}  {title}")?;
    }
    writeln!(out, "\nlints (why502 lint):")?;
    for (id, title) in lints {
        writeln!(out, "{id:<longest$}  {title}")?;
    }
    Ok(())
}

fn lint_page(id: &str, format: Format, global: &Global) -> anyhow::Result<()> {
    let lint = lints::by_id(id).context("a known id")?;
    let mut out = anstream::stdout().lock();
    match format {
        Format::Json => report::json::pages(&mut out, &[], &[lint])?,
        Format::Term => report::term::lint(&mut out, lint, &style(global))?,
    }
    Ok(())
}

fn page(id: &str, format: Format, global: &Global) -> anyhow::Result<()> {
    let cause: &Cause = causes::by_id(id).context("a known id")?;
    let mut out = anstream::stdout().lock();
    match format {
        Format::Json => report::json::causes(&mut out, &[cause])?,
        Format::Term => report::term::cause(&mut out, cause, &style(global))?,
    }
    Ok(())
}

fn print(explanation: &Explanation, format: Format, global: &Global) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match format {
        Format::Json => report::json::explanation(&mut out, explanation)?,
        Format::Term => report::term::explanation(&mut out, explanation, &style(global))?,
    }
    Ok(())
}

fn style(global: &Global) -> report::term::Style {
    report::term::Style {
        width: width(),
        verbose: global.verbose,
        quiet: global.quiet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_cause_is_found() {
        for word in ["socket-mising", "socket_missing", "Socket-Missing"] {
            assert_eq!(nearest(word), Some("socket-missing"), "{word}");
        }
        assert_eq!(nearest("conect-refused"), Some("connect-refused"));
        assert_eq!(nearest("error.log"), None);
        assert_eq!(nearest("x"), None);
    }

    #[test]
    fn what_is_no_answer_says_in_plain_words_what_the_text_is() {
        for (text, words) in [
            (
                "2026/06/23 14:02:11 [emerg] 1#1: bind() to 0.0.0.0:80 failed (98: Address already in use)",
                "a port of its own",
            ),
            (
                "nginx: [emerg] host not found in upstream \"app\" in /etc/nginx/nginx.conf:3",
                "does not resolve",
            ),
            (
                "2026/06/23 14:02:11 [error] 1#1: *1 FastCGI sent in stderr: \"Primary script unknown\" while reading response header from upstream, client: 192.0.2.1, server: a, request: \"GET / HTTP/1.1\", upstream: \"fastcgi://unix:/run/a.sock:\", host: \"a\"",
                "404",
            ),
            (
                "     Active: failed (Result: exit-code) since Tue",
                "a unit failed",
            ),
            (
                "[2026-06-23 14:02:11 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:9)",
                "why502 explain application-worker-timeout",
            ),
            (
                "DAMN ! worker 1 (pid: 36) died :( trying respawn ...",
                "why502 explain application-crashed",
            ),
            (
                "[23-Jun-2026 14:02:11] WARNING: [pool www] server reached pm.max_children setting (5)",
                "why502 explain fpm-children-exhausted",
            ),
        ] {
            let said = nothing(&explain::explain(text.as_bytes()));
            assert!(said.contains(words), "{text}: {said}");
            assert!(
                ["listen-bind", "config-dns-at-startup", "fastcgi-stderr"]
                    .iter()
                    .all(|word| !said.contains(word)),
                "{said}"
            );
        }
    }
}
