//! What a gate found, for pipelines: JUnit's XML, and GitHub's workflow commands. Also the words that all its forms share.

mod github;
mod junit;

pub use github::write as github;
pub use junit::write as junit;

use diagnose::{Gate, GateOutcome, GatePeer, Judgement, Role};

use crate::words;

/// The peer with its protocol: `http://127.0.0.1:8000`.
pub(crate) fn address(peer: &GatePeer) -> String {
    match peer.protocol {
        Some(protocol) => format!("{}://{}", protocol_name(peer, protocol.as_str()), peer.peer),
        None => peer.peer.clone(),
    }
}

fn protocol_name<'a>(peer: &GatePeer, name: &'a str) -> &'a str {
    // In `stream` nginx does not know what is spoken.
    if name == "stream" && !peer.peer.is_empty() {
        "tcp"
    } else {
        name
    }
}

/// What it belongs to, where that says more: its upstream, its name, its part.
pub(crate) fn belongs(peer: &GatePeer) -> String {
    let mut parts = Vec::new();
    parts.extend(
        peer.upstream
            .as_ref()
            .map(|upstream| format!("upstream {upstream}")),
    );
    parts.extend(
        peer.name
            .as_ref()
            .filter(|name| **name != peer.peer)
            .cloned(),
    );
    match peer.role {
        Role::InUse => {}
        Role::Backup => parts.push("backup".to_owned()),
        Role::Down => parts.push("down".to_owned()),
    }
    if peer.failed_before && peer.outcome == GateOutcome::Failing {
        parts.push("fails in the running configuration too".to_owned());
    }
    parts.join(", ")
}

/// The confirmed cause of a failure: its id, its summary and the first fix.
pub(crate) fn cause(peer: &GatePeer) -> Option<(&'static str, &str, Option<&diagnose::Fix>)> {
    let judged = peer.judged.as_ref()?;
    let cause = judged.cause?;
    let verdict = judged
        .causes
        .iter()
        .find(|verdict| verdict.cause == cause)?;
    match &verdict.judgement {
        Judgement::Confirmed(confirmation) => {
            Some((cause.id, &confirmation.summary, confirmation.fixes.first()))
        }
        _ => None,
    }
}

/// What is wrong with a peer, in a sentence.
pub(crate) fn complaint(peer: &GatePeer) -> String {
    let told = format!("{}: {}", address(peer), peer.says);
    match cause(peer) {
        Some((id, summary, _)) => format!("{told}; {summary} ({id})"),
        None => told,
    }
}

/// What to do about it, in lines.
pub(crate) fn advice(peer: &GatePeer) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((_, _, Some(fix))) = cause(peer) {
        let (summary, steps) = words::plan(fix);
        lines.push(format!("fix: {summary}"));
        lines.extend(steps.iter().map(|step| match step {
            diagnose::Step::Edit {
                file,
                line,
                old,
                new,
            } => format!("{}:{line}: {old} -> {new}", file.display()),
            diagnose::Step::Command { argv } => words::shell(argv),
            diagnose::Step::Advice { text } => text.clone(),
        }));
    } else if let Some(judged) = &peer.judged {
        lines.extend(judged.hints.iter().map(|hint| format!("hint: {hint}")));
    }
    lines
}

/// The answer in a line.
pub(crate) fn tally(gate: &Gate) -> String {
    let count = |is_wanted: &dyn Fn(&GatePeer) -> bool| {
        let alike = gate.peers.iter().filter(|peer| is_wanted(peer));
        u64::try_from(alike.count()).unwrap_or(u64::MAX)
    };
    let outcome = |wanted: GateOutcome| count(&move |peer| peer.outcome == wanted);
    let failing = |peer: &GatePeer| peer.outcome == GateOutcome::Failing;
    let refused = count(&GatePeer::is_refused);
    let before = count(&|peer| failing(peer) && peer.failed_before && peer.role != Role::Backup);
    let backup = count(&|peer| failing(peer) && peer.role == Role::Backup);
    let counts = [
        (outcome(GateOutcome::Ready), "ready"),
        (refused, "failing"),
        (before, "failing as before"),
        (backup, "failing backup"),
        (outcome(GateOutcome::Unclear), "unclear"),
        (outcome(GateOutcome::NotTried), "not tried"),
    ];
    let parts: Vec<String> = counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{} {what}", words::number(*n)))
        .collect();
    let verdict = if gate.is_refused() {
        "refused"
    } else {
        "clean"
    };
    let mut told = Vec::new();
    let troubles = u64::try_from(gate.troubles.len()).unwrap_or(u64::MAX);
    if troubles > 0 {
        told.push(format!(
            "{} in the configuration",
            words::counted(troubles, "error")
        ));
    }
    let total = u64::try_from(gate.peers.len()).unwrap_or(u64::MAX);
    let mut peers = words::counted(total, "peer");
    if !parts.is_empty() {
        peers = format!("{peers}, {}", parts.join(", "));
    }
    told.push(peers);
    format!("{verdict}: {}", told.join("; "))
}
