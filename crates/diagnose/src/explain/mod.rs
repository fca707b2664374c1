//! What a pasted text says, and what can stand behind it: no host, no proof, only likelihoods.
//!
//! Nothing here confirms or rules out. What is likely comes from [`survey`]; what is possible from [`table`].

mod surroundings;
mod survey;
mod table;

use std::borrow::Cow;

use bstr::{BStr, ByteSlice as _};
use facts::PeerAddress;
use log::error::{Context, Event, Pasted, Seen};

pub use log::error::{Class, Protocol, While};
pub use surroundings::Remark;
use surroundings::Told;
use table::{Possible, Signature, Way};

/// What a text says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    /// One entry for each record of an upstream failure, in order.
    pub lines: Vec<Line>,
    /// What else was found that speaks of a cause: audit records, `systemctl status`, the kernel's and applications' logs.
    pub remarks: Vec<Remark>,
    /// The causes of the text as a whole, most likely first.
    pub candidates: Vec<Candidate>,
    /// What nginx's other lines are about, where no failure of an upstream is told: class and text.
    pub other: Vec<(Class, String)>,
}

/// One record of an upstream failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// As it was read: unescaped, unwrapped; empty where a class was asked for, and no line.
    pub text: String,
    /// What failed.
    pub failure: Class,
    /// The errno, as printed.
    pub errno: Option<u16>,
    /// What nginx was doing.
    pub action: Option<While>,
    /// Whom nginx dialled, as nginx prints it.
    pub peer: Option<String>,
    /// How nginx spoke to it.
    pub protocol: Option<Protocol>,
    /// What the client saw, if this was the request's last attempt.
    pub status: Option<u16>,
    /// Most likely first.
    pub candidates: Vec<Candidate>,
}

/// A cause that may stand behind a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub cause: &'static str,
    /// From 0 to 1; those of a line sum to less than 1.
    pub likelihood: f64,
    /// What would be the matter.
    pub why: &'static str,
    /// The command that tells it from the others.
    pub tell_apart: String,
    /// Threads of the survey that ended in it, of how many with such a line.
    pub threads: (usize, usize),
    /// Something else in the text speaks for it.
    pub is_spoken_for: bool,
}

/// Reads a pasted text.
pub fn explain(text: &[u8]) -> Explanation {
    let pasted = Pasted::new(text);
    let told = told(&pasted);
    let remarks = surroundings::remarks(pasted.text(), &told);
    let spoken_for: Vec<&str> = remarks
        .iter()
        .flat_map(|remark| remark.causes)
        .copied()
        .collect();
    let mut explanation = Explanation::default();
    for (text, event) in pasted.events() {
        if event.is_upstream_failure() {
            explanation.lines.push(line(text, &event, &spoken_for));
        } else if event.class != Class::Other {
            explanation
                .other
                .push((event.class, text.to_str_lossy().into_owned()));
        }
    }
    if explanation.lines.is_empty() {
        explanation.lines.extend(
            remarks
                .iter()
                .filter_map(|remark| denied(remark, &spoken_for)),
        );
    }
    explanation.candidates = whole(&explanation.lines);
    explanation.remarks = remarks;
    explanation
}

/// The causes that an incident's line can mean, each with why; none where it was not read from a line.
pub(crate) fn possible(incident: &crate::Incident) -> Vec<(&'static str, &'static str)> {
    let way = Way::of(incident.address.as_ref());
    let signature = incident.said(|event| table::signature(event, way));
    signature.map_or_else(Vec::new, |signature| {
        let causes = signature.causes.iter();
        causes.map(|cause| (cause.cause, cause.why)).collect()
    })
}

/// What lines of a class say, whatever their peers: as one line would that tells no address. How likely a cause is among
/// its kinds of lines is weighed by how many threads have such a line.
pub fn explain_class(class: Class) -> Explanation {
    if !class.may_be_upstream_failure() {
        return Explanation {
            other: vec![(class, String::new())],
            ..Explanation::default()
        };
    }
    let rows: Vec<Vec<Candidate>> = table::signatures_of(class)
        .map(|signature| candidates(signature, None, None, &[]))
        .collect();
    let met = |row: &[Candidate]| row.first().map_or(0, |candidate| candidate.threads.1);
    let all: usize = rows.iter().map(|row| met(row)).sum();
    let weight = |threads: usize| f64::from(u32::try_from(threads).unwrap_or(u32::MAX));
    let total = weight(all + rows.len());
    let mut candidates: Vec<Candidate> = Vec::new();
    for row in &rows {
        let share = weight(met(row) + 1) / total;
        for candidate in row {
            let likelihood = candidate.likelihood * share;
            let same = |known: &&mut Candidate| known.cause == candidate.cause;
            match candidates.iter_mut().find(same) {
                Some(known) => {
                    known.likelihood += likelihood;
                    known.threads.0 += candidate.threads.0;
                }
                None => candidates.push(Candidate {
                    likelihood,
                    threads: (candidate.threads.0, all),
                    ..candidate.clone()
                }),
            }
        }
    }
    candidates.sort_by(|one, other| other.likelihood.total_cmp(&one.likelihood));
    let line = Line {
        text: String::new(),
        failure: class,
        errno: None,
        action: None,
        peer: None,
        protocol: None,
        status: None,
        candidates: candidates.clone(),
    };
    Explanation {
        lines: vec![line],
        candidates,
        ..Explanation::default()
    }
}

/// What nginx's lines tell of when and how it spoke to its peers.
fn told(pasted: &Pasted<'_>) -> Told {
    let mut told = Told::default();
    for (_, event) in pasted
        .events()
        .filter(|(_, event)| event.is_upstream_failure())
    {
        told.protocols
            .extend(event.upstream.map(|upstream| upstream.protocol));
        told.times.extend(event.time.map(log::LocalTime::seconds));
    }
    told
}

fn line(text: &BStr, event: &Event<'_>, spoken_for: &[&str]) -> Line {
    let peer = peer_of(event);
    let address = peer.as_deref().and_then(PeerAddress::parse);
    let signature = table::signature(event, Way::of(address.as_ref()));
    Line {
        text: text.to_str_lossy().into_owned(),
        failure: event.class,
        errno: event.errno,
        action: event.action,
        peer: peer.map(|peer| peer.to_str_lossy().into_owned()),
        protocol: event.upstream.map(|upstream| upstream.protocol),
        // Whoever is proxied as a stream gets no response of HTTP's.
        status: match event.outcome() {
            Seen::Status(status) if event.context != Context::Stream => Some(status),
            Seen::Status(_) | Seen::Truncated | Seen::Nothing | Seen::Unknown => None,
        },
        candidates: signature
            .map(|signature| {
                let protocol = event.upstream.map(|upstream| upstream.protocol);
                candidates(signature, address.as_ref(), protocol, spoken_for)
            })
            .unwrap_or_default(),
    }
}

/// What the kernel denied nginx, where nginx's own line was not pasted.
fn denied(remark: &Remark, spoken_for: &[&str]) -> Option<Line> {
    let way = remark.denied?;
    let signature = table::denied(way)?;
    Some(Line {
        text: remark.text.clone(),
        failure: Class::PermissionDenied,
        errno: Some(13),
        action: Some(While::ConnectingToUpstream),
        peer: None,
        protocol: None,
        status: Some(502),
        candidates: candidates(signature, None, None, spoken_for),
    })
}

/// The peer of the fields; that of `connect() to PEER failed` where they were cut off.
fn peer_of<'a>(event: &Event<'a>) -> Option<Cow<'a, [u8]>> {
    if let Some(upstream) = event.upstream.filter(|upstream| !upstream.peer.is_empty()) {
        return Some(Cow::Borrowed(upstream.peer.as_bytes()));
    }
    let named = event
        .message
        .strip_prefix(b"connect() to ")?
        .strip_suffix(b" failed")?;
    Some(Cow::Borrowed(named))
}

fn candidates(
    signature: &Signature,
    address: Option<&PeerAddress>,
    protocol: Option<Protocol>,
    spoken_for: &[&str],
) -> Vec<Candidate> {
    // Only a php-fpm has children.
    let is_fpm = protocol.is_none_or(|protocol| protocol == Protocol::Fastcgi);
    let mut candidates: Vec<Candidate> = signature
        .causes
        .iter()
        .filter(|possible| is_fpm || possible.cause != "fpm-children-exhausted")
        .map(|possible| Candidate {
            cause: possible.cause,
            likelihood: survey::likelihood(signature, possible.cause),
            why: possible.why,
            tell_apart: command(possible, address),
            threads: survey::threads(signature, possible.cause),
            is_spoken_for: spoken_for.contains(&possible.cause),
        })
        .collect();
    listen_to(&mut candidates);
    candidates.sort_by(|one, other| other.likelihood.total_cmp(&one.likelihood));
    candidates
}

/// What a record in the same text speaks for outweighs what others met: those causes share nine tenths of the weight.
fn listen_to(candidates: &mut [Candidate]) {
    const SHARE: f64 = 0.9;
    let sum = |spoken_for: bool, candidates: &[Candidate]| -> f64 {
        let of = candidates
            .iter()
            .filter(|candidate| candidate.is_spoken_for == spoken_for);
        of.map(|candidate| candidate.likelihood).sum()
    };
    let (known, others) = (sum(true, candidates), sum(false, candidates));
    if known <= 0.0 {
        return;
    }
    for candidate in candidates {
        // What nobody thought of keeps its place in the other tenth.
        candidate.likelihood *= if candidate.is_spoken_for {
            SHARE / known
        } else {
            (1.0 - SHARE) * others.min(1.0) / others
        };
    }
}

/// The command of a table's row, with what was parsed of the line; nothing else of it.
fn command(possible: &Possible, address: Option<&PeerAddress>) -> String {
    let Some(PeerAddress::Tcp(address)) = address else {
        return possible.tell.to_owned();
    };
    let ip = address.ip();
    let host = if ip.is_ipv6() && possible.tell.contains("ADDRESS:PORT") {
        format!("[{ip}]")
    } else {
        ip.to_string()
    };
    possible
        .tell
        .replace("PORT", &address.port().to_string())
        .replace("ADDRESS", &host)
}

/// The mean over all lines.
fn whole(lines: &[Line]) -> Vec<Candidate> {
    let count = u32::try_from(lines.len()).unwrap_or(u32::MAX).max(1);
    let mut whole: Vec<Candidate> = Vec::new();
    for candidate in lines.iter().flat_map(|line| &line.candidates) {
        let share = candidate.likelihood / f64::from(count);
        match whole
            .iter_mut()
            .find(|known| known.cause == candidate.cause)
        {
            Some(known) => known.likelihood += share,
            None => whole.push(Candidate {
                likelihood: share,
                ..candidate.clone()
            }),
        }
    }
    whole.sort_by(|one, other| other.likelihood.total_cmp(&one.likelihood));
    whole
}

#[cfg(test)]
mod tests;
