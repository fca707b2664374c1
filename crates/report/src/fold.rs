//! What belongs together: alike incidents, causes that miss the same evidence. Arranges, and judges nothing anew.

use diagnose::{Cause, CauseVerdict, Confirmation, Exhibit, Fix, Gap, Judged, Judgement};

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
fn alike(a: &Judged, b: &Judged) -> bool {
    let (one, two) = (&a.incident, &b.incident);
    let same_place =
        one.instance == two.instance && one.origin == two.origin && a.ongoing == b.ongoing;
    let same_upstream = one.upstream.is_some() && one.upstream == two.upstream;
    let same_act = one.failure == two.failure && one.action == two.action;
    same_place
        && a.cause == b.cause
        && match (answer(a), answer(b)) {
            (Some(one), Some(two)) => same_upstream || one.summary == two.summary,
            _ => same_act && (same_upstream || (a.hints == b.hints && same_gaps(a, b))),
        }
}

fn same_gaps(a: &Judged, b: &Judged) -> bool {
    let gaps = |judged: &'_ Judged| -> Vec<(&'static str, Gap)> {
        judged
            .causes
            .iter()
            .filter_map(|verdict| match &verdict.judgement {
                Judgement::Unknown(gap) => Some((verdict.cause.id, gap.clone())),
                _ => None,
            })
            .collect()
    };
    gaps(a) == gaps(b)
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
        match proof
            .exhibits()
            .iter()
            .rfind(|exhibit| !matches!(exhibit, Exhibit::Log { .. }))
        {
            Some(exhibit) => sorted.looked.push((cause, exhibit)),
            None => sorted.by_log.push(cause),
        }
    }
    sorted
}
