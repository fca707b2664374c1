//! Judges every cause for every incident, and picks the answer. Knows no cause by name.

use std::panic::{AssertUnwindSafe, catch_unwind};

use facts::{Gap, GapKind, ProbeRequest};

use crate::case::Case;
use crate::causes::{ALL, Cause, FirstPass, Judge};
use crate::diagnosis::{CauseVerdict, Diagnosis, Judged, Judgement};
use crate::incident::Incident;
use crate::verdict::Verdict;

impl Case {
    /// The questions that the case still wants answered; empty when nothing new is wanted.
    ///
    /// The judges themselves run: what they ask for and do not find is what is wanted.
    pub fn plan(&self) -> Vec<ProbeRequest> {
        // The answer is thrown away: only what it asked for counts.
        let (judged, gaps) = self.judge_all();
        drop(self.diagnosis(judged, gaps));
        self.evidence.wanted()
    }

    /// The answer. Evidence still missing counts as a gap.
    pub fn conclude(&mut self) -> Diagnosis {
        self.evidence.close();
        let (judged, gaps) = self.judge_all();
        self.diagnosis(judged, gaps)
    }

    fn judge_all(&self) -> (Vec<Judged>, Vec<Gap>) {
        let (incidents, gaps) = self.incidents();
        let first: Vec<(Incident, bool, Vec<CauseVerdict>)> = incidents
            .into_iter()
            .map(|incident| {
                let ongoing = self.is_ongoing(&incident);
                let verdicts = ALL
                    .iter()
                    .filter_map(|&cause| match cause.judge {
                        Judge::Alone(judge) => Some(verdict(cause, || judge(&incident, self))),
                        Judge::Knowing(_) => None,
                    })
                    .collect();
                (incident, ongoing, verdicts)
            })
            .collect();
        let known: Vec<FirstPass<'_>> = first
            .iter()
            .map(|(incident, ongoing, verdicts)| FirstPass {
                incident,
                ongoing: *ongoing,
                verdicts,
            })
            .collect();
        let second: Vec<Vec<CauseVerdict>> = first
            .iter()
            .map(|(incident, _, _)| {
                ALL.iter()
                    .filter_map(|&cause| match cause.judge {
                        Judge::Knowing(judge) => {
                            Some(verdict(cause, || judge(incident, self, &known)))
                        }
                        Judge::Alone(_) => None,
                    })
                    .collect()
            })
            .collect();
        let mut judged: Vec<Judged> = first
            .into_iter()
            .zip(second)
            .map(|((incident, ongoing, mut verdicts), more)| {
                verdicts.extend(more);
                self.judged(incident, ongoing, verdicts)
            })
            .collect();
        judged.sort_by(|a, b| {
            (b.ongoing, b.incident.count, &a.incident.peer).cmp(&(
                a.ongoing,
                a.incident.count,
                &b.incident.peer,
            ))
        });
        (judged, gaps)
    }

    fn judged(&self, incident: Incident, ongoing: bool, mut causes: Vec<CauseVerdict>) -> Judged {
        let cause = answer(&causes);
        causes.sort_by_key(|verdict| {
            let rank = match &verdict.judgement {
                Judgement::Confirmed(_) if Some(verdict.cause) == cause => 0,
                Judgement::Confirmed(_) => 1,
                Judgement::Unknown(gap) if gap.leaning.is_some() => 2,
                Judgement::Unknown(_) => 3,
                Judgement::RuledOut(_) => 4,
            };
            (rank, verdict.cause.stage)
        });
        let hints = causes
            .iter()
            .filter_map(|verdict| match &verdict.judgement {
                Judgement::Unknown(gap) => gap.leaning.as_deref().map(str::to_owned),
                _ => None,
            })
            .collect();
        let directive = self.directive_of(&incident);
        let impact = self.impact(&incident).ok().flatten();
        Judged {
            incident,
            ongoing,
            directive,
            cause,
            causes,
            hints,
            impact,
        }
    }
}

/// One bad judge never ends the run: a panic in it is a gap that names the cause.
fn verdict(cause: &'static Cause, judge: impl FnOnce() -> Result<Verdict, Gap>) -> CauseVerdict {
    let judgement = match catch_unwind(AssertUnwindSafe(judge)) {
        Ok(Ok(Verdict::Confirmed(confirmation))) => Judgement::Confirmed(confirmation),
        Ok(Ok(Verdict::RuledOut(proof))) => Judgement::RuledOut(proof),
        Ok(Err(gap)) => Judgement::Unknown(gap),
        Err(_) => Judgement::Unknown(Gap::new(
            GapKind::Undecided,
            format!("the verdict on {}", cause.id),
            "its judge failed: this is a bug in why502",
        )),
    };
    CauseVerdict { cause, judgement }
}

/// The most refined confirmed cause of the earliest stage.
fn answer(verdicts: &[CauseVerdict]) -> Option<&'static Cause> {
    let confirmed: Vec<&'static Cause> = verdicts
        .iter()
        .filter(|verdict| matches!(verdict.judgement, Judgement::Confirmed(_)))
        .map(|verdict| verdict.cause)
        .collect();
    confirmed
        .iter()
        .copied()
        .filter(|cause| !confirmed.iter().any(|other| refines(other, cause)))
        .min_by_key(|cause| cause.stage)
}

/// Whether `finer` says more than `coarser`, through any number of steps.
fn refines(finer: &Cause, coarser: &Cause) -> bool {
    finer.refines.iter().any(|&id| {
        id == coarser.id
            || ALL
                .iter()
                .any(|&between| between.id == id && refines(between, coarser))
    })
}
