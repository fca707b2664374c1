//! GitHub's workflow commands: an annotation for each peer that fails, at the directive that dials it.
//!
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use std::io::{self, Write};
use std::path::Path;

use diagnose::{Gate, GateOutcome, GatePeer, GateTrouble};

use super::{advice, belongs, complaint, tally};
use crate::text::visible;

/// Writes a line for each finding, and the answer. Paths below `root` are written as from there.
pub fn write(out: &mut dyn Write, gate: &Gate, root: Option<&Path>) -> io::Result<()> {
    for trouble in &gate.troubles {
        out.write_all(of_trouble(trouble, root).as_bytes())?;
    }
    for peer in &gate.peers {
        if let Some(line) = of_peer(peer, root) {
            out.write_all(line.as_bytes())?;
        }
    }
    for gap in &gate.gaps {
        let text = format!("{}: {}", gap.missing, gap.why);
        out.write_all(command("notice", None, 0, "not known", &text, root).as_bytes())?;
    }
    writeln!(out, "{}", visible(&tally(gate)))
}

fn of_trouble(trouble: &GateTrouble, root: Option<&Path>) -> String {
    let title = "nginx refuses the configuration";
    command(
        "error",
        Some(&trouble.file),
        trouble.line as usize,
        title,
        &trouble.text,
        root,
    )
}

fn of_peer(peer: &GatePeer, root: Option<&Path>) -> Option<String> {
    let kind = match peer.outcome {
        GateOutcome::Ready | GateOutcome::NotTried => return None,
        GateOutcome::Failing if peer.is_refused() => "error",
        GateOutcome::Failing | GateOutcome::Unclear => "warning",
    };
    let mut title = format!("peer {}", peer.peer);
    let belongs = belongs(peer);
    if !belongs.is_empty() {
        title = format!("{title} ({belongs})");
    }
    let mut text = complaint(peer);
    for line in advice(peer) {
        text.push('\n');
        text.push_str(&line);
    }
    let directive = peer.directive.as_ref();
    Some(command(
        kind,
        directive.map(|span| span.file.as_path()),
        directive.map_or(0, |span| span.line),
        &title,
        &text,
        root,
    ))
}

fn command(
    kind: &str,
    file: Option<&Path>,
    line: usize,
    title: &str,
    text: &str,
    root: Option<&Path>,
) -> String {
    let mut properties = Vec::new();
    if let Some(file) = file {
        let shown = root.and_then(|root| file.strip_prefix(root).ok());
        let shown = shown.unwrap_or(file).to_string_lossy();
        properties.push(format!("file={}", property(&shown)));
        if line > 0 {
            properties.push(format!("line={line}"));
        }
    }
    properties.push(format!("title={}", property(title)));
    format!("::{kind} {}::{}\n", properties.join(","), data(text))
}

/// What ends a command is written in its own escapes; the rest as everywhere.
fn data(text: &str) -> String {
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| visible(line).replace('%', "%25"))
        .collect();
    lines.join("%0A")
}

fn property(text: &str) -> String {
    visible(text)
        .replace('%', "%25")
        .replace(':', "%3A")
        .replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_a_command_or_begins_another() {
        let line = command(
            "error",
            Some(Path::new("/srv/a,b:c%/nginx.conf")),
            3,
            "peer [::1]:80,x\n::stop::",
            "100%\n::error::x\r\x1b[31m",
            Some(Path::new("/srv")),
        );
        assert_eq!(
            line,
            "::error file=a%2Cb%3Ac%25/nginx.conf,line=3,title=peer [%3A%3A1]%3A80%2Cx\\x0a%3A%3Astop%3A%3A::100%25%0A::error::x\\x0d\\x1b[31m\n"
        );
    }
}
