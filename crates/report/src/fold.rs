//! What belongs together: alike incidents, causes that miss the same evidence. Arranges, and judges nothing anew.

use diagnose::{
    Cause, CauseVerdict, Confirmation, Exhibit, Fix, Gap, Incident, Judged, Judgement, PeerAddress,
};

/// Alike incidents, told once. Never empty; the worst leads.
pub(crate) struct Block<'a> {
    pub(crate) leader: &'a Judged,
    pub(crate) others: Vec<&'a Judged>,
}

impl<'a> Block<'a> {
    /// Leader first.
    pub(crate) fn members(&self) -> impl Iterator<Item = &'a Judged> {
        std::iter::once(self.leader).chain(self.others.iter().copied())
    }

    pub(crate) fn len(&self) -> usize {
        1 + self.others.len()
    }

    /// The upstream that all members belong to.
    pub(crate) fn upstream(&self) -> Option<&'a str> {
        let upstream = self.leader.incident.upstream.as_deref()?;
        self.others
            .iter()
            .all(|other| other.incident.upstream.as_deref() == Some(upstream))
            .then_some(upstream)
    }

    /// The fixes of the members' answers, each once: the leader's all, of the others the narrowest.
    pub(crate) fn fixes(&self) -> (&'a [Fix], Vec<(&'a Judged, &'a Fix)>) {
        let of_leader = answer(self.leader).map_or(&[][..], |confirmation| &confirmation.fixes);
        let mut more: Vec<(&Judged, &Fix)> = Vec::new();
        for &other in &self.others {
            let Some(fix) = answer(other).and_then(|confirmation| confirmation.fixes.first())
            else {
                continue;
            };
            if !of_leader.contains(fix) && !more.iter().any(|(_, known)| *known == fix) {
                more.push((other, fix));
            }
        }
        (of_leader, more)
    }
}

/// Folds alike incidents; the order of the leaders stays.
pub(crate) fn blocks(incidents: &[Judged]) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for judged in incidents {
        match blocks.iter_mut().find(|block| alike(block.leader, judged)) {
            Some(block) => block.others.push(judged),
            None => blocks.push(Block {
                leader: judged,
                others: Vec::new(),
            }),
        }
    }
    blocks
}

/// The same answer (or the same failure without one) at another peer of the same upstream, or in the same words.
/// Of those without an answer the leader's words are told for all, so they must be all the others' own.
fn alike(a: &Judged, b: &Judged) -> bool {
    let (one, two) = (&a.incident, &b.incident);
    let same_place =
        one.instance == two.instance && one.origin == two.origin && a.ongoing() == b.ongoing();
    let same_upstream = one.upstream.is_some() && one.upstream == two.upstream;
    let same_act = one.failure == two.failure && one.action == two.action && one.errno == two.errno;
    same_place
        && a.cause == b.cause
        && match (answer(a), answer(b)) {
            (Some(one), Some(two)) => {
                (same_upstream || one.summary == two.summary) && also_ids(a) == also_ids(b)
            }
            _ => {
                same_act
                    && message(a) == message(b)
                    && told(a, same_upstream) == told(b, same_upstream)
            }
        }
}

fn also_ids(judged: &Judged) -> Vec<&'static str> {
    also(judged).iter().map(|(cause, _)| cause.id).collect()
}

/// What nginx said, the peer's own name left out.
fn message(judged: &Judged) -> Option<String> {
    let message = judged.incident.message()?;
    Some(without_peer(&message, &judged.incident))
}

/// All that is told of an incident without an answer beside its line: the hints, what is known, what is missing.
/// Peers of one upstream say the same where only their own addresses differ.
fn told(judged: &Judged, is_of_one_upstream: bool) -> Vec<String> {
    let mut told = judged.hints.clone();
    told.extend(judged.known.iter().map(|exhibit| match exhibit {
        Exhibit::Log { text, .. } | Exhibit::Record { text, .. } => text.clone(),
        Exhibit::Config(span) => span.text.clone(),
    }));
    for Missing { gap, causes } in missing(judged) {
        told.extend(causes.iter().map(|cause| cause.id.to_owned()));
        told.extend([&gap.missing, &gap.why].map(ToString::to_string));
        told.extend(
            gap.learn
                .iter()
                .chain(&gap.leaning)
                .map(ToString::to_string),
        );
    }
    if is_of_one_upstream {
        for text in &mut told {
            *text = without_peer(text, &judged.incident);
        }
    }
    told
}

/// The text with a mark in place of the peer: of its address as a whole, of its IP address, and of its port.
fn without_peer(text: &str, incident: &Incident) -> String {
    let mut text = replaced(text, &incident.peer);
    if let Some(PeerAddress::Tcp(address)) = &incident.address {
        for part in [
            address.to_string(),
            address.ip().to_string(),
            format!(":{}", address.port()),
        ] {
            text = replaced(&text, &part);
        }
    }
    text
}

/// The text with a mark in place of each `part` that is no piece of a longer word or number.
fn replaced(text: &str, part: &str) -> String {
    const MARK: &str = "\u{fffc}";
    if part.is_empty() {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(part) {
        let is_piece = !part.starts_with(':') && before.ends_with(|c: char| c.is_alphanumeric())
            || after.starts_with(|c: char| c.is_alphanumeric());
        out.push_str(before);
        out.push_str(if is_piece { part } else { MARK });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The confirmation of the incident's answer.
pub(crate) fn answer(judged: &Judged) -> Option<&Confirmation> {
    let cause = judged.cause?;
    confirmed(judged)
        .find(|(other, _)| *other == cause)
        .map(|(_, confirmation)| confirmation)
}

/// What else is confirmed and says something the rest does not: no other confirmed cause refines it.
pub(crate) fn also(judged: &Judged) -> Vec<(&'static Cause, &Confirmation)> {
    confirmed(judged)
        .filter(|(cause, _)| Some(*cause) != judged.cause)
        .filter(|(cause, _)| !confirmed(judged).any(|(other, _)| other.refines.contains(&cause.id)))
        .collect()
}

fn confirmed(judged: &Judged) -> impl Iterator<Item = (&'static Cause, &Confirmation)> {
    judged
        .causes
        .iter()
        .filter_map(|CauseVerdict { cause, judgement }| match judgement {
            Judgement::Confirmed(confirmation) => Some((*cause, confirmation)),
            _ => None,
        })
}

/// Evidence that is missing, and the causes that need it.
pub(crate) struct Missing<'a> {
    pub(crate) gap: &'a Gap,
    pub(crate) causes: Vec<&'static Cause>,
}

/// The unknown causes by the evidence they miss, the likeliest first.
pub(crate) fn missing(judged: &Judged) -> Vec<Missing<'_>> {
    let mut groups: Vec<Missing<'_>> = Vec::new();
    for CauseVerdict { cause, judgement } in &judged.causes {
        let Judgement::Unknown(gap) = judgement else {
            continue;
        };
        let same = |known: &Gap| {
            (&known.missing, &known.why, &known.learn) == (&gap.missing, &gap.why, &gap.learn)
        };
        match groups.iter_mut().find(|group| same(group.gap)) {
            Some(group) => group.causes.push(cause),
            None => groups.push(Missing {
                gap,
                causes: vec![cause],
            }),
        }
    }
    groups
}

/// The causes that are ruled out.
pub(crate) struct RuledOut<'a> {
    /// By more than the log line: what was looked at, and found otherwise.
    pub(crate) looked: Vec<(&'static Cause, &'a Exhibit)>,
    /// By the log line alone: it reports another kind of failure.
    pub(crate) by_log: Vec<&'static Cause>,
}

/// The causes that are ruled out, with the exhibit that does it.
pub(crate) fn ruled_out(judged: &Judged) -> RuledOut<'_> {
    let mut sorted = RuledOut {
        looked: Vec::new(),
        by_log: Vec::new(),
    };
    for CauseVerdict { cause, judgement } in &judged.causes {
        let Judgement::RuledOut(proof) = judgement else {
            continue;
        };
        match proof.exhibits().iter().rfind(|&exhibit| {
            !matches!(exhibit, Exhibit::Log { .. }) && *exhibit != judged.incident.exhibit()
        }) {
            Some(exhibit) => sorted.looked.push((cause, exhibit)),
            None => sorted.by_log.push(cause),
        }
    }
    sorted
}
