//! `why502.explanation/1`: what a pasted text says.

use diagnose::explain::{Candidate, Explanation, Line, Protocol, Remark, While};
use serde::Serialize;

/// See the module.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    schema: &'static str,
    lines: Vec<LineV1<'a>>,
    candidates: Vec<Weighed>,
    remarks: Vec<RemarkV1<'a>>,
}

#[derive(Serialize)]
struct LineV1<'a> {
    text: &'a str,
    failure: &'static str,
    errno: Option<u16>,
    #[serde(rename = "while")]
    action: Option<&'static str>,
    peer: Option<&'a str>,
    protocol: Option<&'static str>,
    status: Option<u16>,
    candidates: Vec<CandidateV1<'a>>,
}

/// A cause that may stand behind a line; the same wherever a schema has one.
#[derive(Serialize)]
pub(super) struct CandidateV1<'a> {
    cause: &'static str,
    likelihood: f64,
    why: &'static str,
    tell_apart: &'a str,
    /// Threads of the survey that ended in this cause, and threads with such a line.
    threads: [usize; 2],
}

#[derive(Serialize)]
struct Weighed {
    cause: &'static str,
    likelihood: f64,
}

#[derive(Serialize)]
struct RemarkV1<'a> {
    text: &'a str,
    says: &'static str,
    causes: &'static [&'static str],
}

impl<'a> Report<'a> {
    pub(super) fn new(explanation: &'a Explanation) -> Self {
        Self {
            schema: "why502.explanation/1",
            lines: explanation.lines.iter().map(LineV1::new).collect(),
            candidates: explanation.candidates.iter().map(Weighed::new).collect(),
            remarks: explanation.remarks.iter().map(RemarkV1::new).collect(),
        }
    }
}

impl<'a> LineV1<'a> {
    fn new(line: &'a Line) -> Self {
        Self {
            text: &line.text,
            failure: line.failure.as_str(),
            errno: line.errno,
            action: line.action.map(While::as_str),
            peer: line.peer.as_deref(),
            protocol: line.protocol.map(Protocol::as_str),
            status: line.status,
            candidates: line.candidates.iter().map(CandidateV1::new).collect(),
        }
    }
}

impl<'a> CandidateV1<'a> {
    pub(super) fn new(candidate: &'a Candidate) -> Self {
        Self {
            cause: candidate.cause,
            likelihood: rounded(candidate.likelihood),
            why: candidate.why,
            tell_apart: &candidate.tell_apart,
            threads: [candidate.threads.0, candidate.threads.1],
        }
    }
}

impl Weighed {
    fn new(candidate: &Candidate) -> Self {
        Self {
            cause: candidate.cause,
            likelihood: rounded(candidate.likelihood),
        }
    }
}

impl<'a> RemarkV1<'a> {
    fn new(remark: &'a Remark) -> Self {
        Self {
            text: &remark.text,
            says: remark.says,
            causes: remark.causes,
        }
    }
}

/// Down to a thousandth, so that the sum stays below 1.
fn rounded(likelihood: f64) -> f64 {
    (likelihood * 1e3).floor() / 1e3
}
