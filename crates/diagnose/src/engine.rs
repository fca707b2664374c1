//! Judges every cause for every incident, and picks the answer. Knows no cause by name.

use std::panic::{AssertUnwindSafe, catch_unwind};

use facts::{Gap, GapKind, ProbeRequest};

use crate::case::Case;
use crate::causes::{ALL, Cause, FirstPass, Judge};
use crate::diagnosis::{CauseVerdict, Diagnosis, Judged, Judgement, Standing};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Verdict};

impl Case {
    /// The questions that the case still wants answered; empty when nothing new is wanted.
    ///
    /// The judges themselves run: what they ask for and do not find is what is wanted.
    pub fn plan(&self) -> Vec<ProbeRequest> {
        // The answer is thrown away: only what it asked for counts.
        let (judged, gaps) = self.judge_all();
        if judged.is_empty() && gaps.iter().any(|gap| gap.kind == GapKind::Pending) {
            self.foresee();
        }
        drop(self.diagnosis(judged, gaps));
        self.evidence.wanted()
    }

    /// Asks, while the logs are still looked for, what the judges of nearly every incident come to ask, and what hangs on
    /// no incident: as soon as there are incidents, one more round costs another judgement of them all.
    fn foresee(&self) {
        if self.instances().is_ok() {
            // Only the asking counts: whoever needs them sees their gaps.
            drop((self.pools(), self.unit_files(), self.package_changes()));
        }
    }

    /// The answer. Evidence still missing counts as a gap.
    pub fn conclude(&mut self) -> Diagnosis {
        self.evidence.close();
        let (mut judged, gaps) = self.judge_all();
        for judged in judged.iter_mut().filter(|judged| judged.is_repairable()) {
            judged.reached_by = self.reached_by(&judged.incident).ok().flatten();
        }
        self.diagnosis(judged, gaps)
    }

    pub(crate) fn judge_all(&self) -> (Vec<Judged>, Vec<Gap>) {
        let (incidents, gaps) = self.incidents();
        let first: Vec<(Incident, Standing, Vec<CauseVerdict>)> = incidents
            .into_iter()
            .map(|incident| {
                let standing = self.standing(&incident);
                let verdicts = ALL
                    .iter()
                    .filter_map(|&cause| match cause.judge {
                        Judge::Alone(judge) => {
                            let verdict = verdict(cause, || judge(&incident, self));
                            Some(self.confirmed_by_what_ran(&incident, verdict))
                        }
                        Judge::Knowing(_) => None,
                    })
                    .collect();
                (incident, standing, verdicts)
            })
            .collect();
        let known: Vec<FirstPass<'_>> = first
            .iter()
            .map(|(incident, standing, verdicts)| FirstPass {
                incident,
                ongoing: standing.is_ongoing(),
                verdicts,
            })
            .collect();
        let second: Vec<Vec<CauseVerdict>> = first
            .iter()
            .map(|(incident, _, _)| {
                ALL.iter()
                    .filter_map(|&cause| match cause.judge {
                        Judge::Knowing(judge) => {
                            let verdict = verdict(cause, || judge(incident, self, &known));
                            Some(self.confirmed_by_what_ran(incident, verdict))
                        }
                        Judge::Alone(_) => None,
                    })
                    .collect()
            })
            .collect();
        let mut judged: Vec<Judged> = first
            .into_iter()
            .zip(second)
            .map(|((incident, standing, mut verdicts), more)| {
                verdicts.extend(more);
                self.judged(incident, standing, verdicts)
            })
            .collect();
        // What nginx says of a whole upstream echoes what failed in its servers.
        let echoes = |judged: &Judged| judged.incident.is(log::error::Class::NoLiveUpstreams);
        judged.sort_by(|a, b| {
            (b.ongoing(), echoes(a), b.incident.count, &a.incident.peer).cmp(&(
                a.ongoing(),
                echoes(b),
                a.incident.count,
                &b.incident.peer,
            ))
        });
        (judged, gaps)
    }

    /// "Ask again" means with the flags of now.
    fn complete(&self, causes: &mut [CauseVerdict]) {
        for verdict in causes {
            let Judgement::Confirmed(confirmation) = &mut verdict.judgement else {
                continue;
            };
            for fix in confirmation
                .fixes
                .iter_mut()
                .filter(|fix| fix.verify.as_deref() == Some(AGAIN))
            {
                fix.verify = Some(self.again());
            }
        }
    }

    fn judged(
        &self,
        incident: Incident,
        standing: Standing,
        mut causes: Vec<CauseVerdict>,
    ) -> Judged {
        let cause = answer(&causes);
        self.complete(&mut causes);
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
        let mut hints: Vec<String> = causes
            .iter()
            .filter_map(|verdict| match &verdict.judgement {
                Judgement::Unknown(gap) => gap.leaning.as_deref().map(str::to_owned),
                _ => None,
            })
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        let mut known = Vec::new();
        if cause.is_none() {
            hints.splice(0..0, self.said_of(&incident));
            known = self.known_of(&incident);
            // Of an experiment it stands there already.
            known.retain(|exhibit| *exhibit != incident.exhibit());
            for dead in self.dead_in_its_place(&incident).unwrap_or_default() {
                known.extend(dead.exhibits);
                hints.insert(0, dead.advice);
            }
        }
        hints.retain(|hint| seen.insert(hint.clone()));
        let directive = self.directive_of(&incident);
        let impact = self.impact(&incident).ok().flatten();
        let timeline = self.timeline(&incident, &causes).unwrap_or_default();
        let by_line = if cause.is_some() || standing.is_ongoing() {
            None
        } else {
            by_its_line(&incident, &causes)
        };
        Judged {
            incident,
            standing,
            directive,
            cause,
            causes,
            hints,
            by_line,
            known,
            reached_by: None,
            impact,
            timeline,
        }
    }
}

/// What a failure that is over was by its line, where that leaves no more causes than people can weigh.
fn by_its_line(incident: &Incident, causes: &[CauseVerdict]) -> Option<String> {
    const FEW: usize = 2;
    let possible = crate::explain::possible(incident);
    if possible.is_empty() || possible.len() > FEW {
        return None;
    }
    let is_open = |id: &str| {
        causes.iter().any(|verdict| {
            verdict.cause.id == id && matches!(verdict.judgement, Judgement::Unknown(_))
        })
    };
    let fitting: Vec<String> = possible
        .iter()
        .filter(|(id, _)| is_open(id))
        .map(|(id, why)| format!("{id} ({why})"))
        .collect();
    let fit = if fitting.len() == 1 { "fits" } else { "fit" };
    (!fitting.is_empty()).then(|| {
        format!(
            "by the log line alone, {} {fit}; how it looked then is gone",
            fitting.join(" and ")
        )
    })
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

#[cfg(test)]
mod tests {
    use facts::Exhibit;

    use super::*;
    use crate::causes::by_id;
    use crate::fixture::{Fixture, answers};
    use crate::verdict::{Confirmation, Proof};

    /// Two upstreams on one host: one is refused where nothing listens, one at a socket that is not there.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http {
        upstream shop { server 127.0.0.1:8000; }
        server { location / { proxy_pass http://shop; } location /old { proxy_pass http://unix:/run/old.sock; } }
        }
        //- path /run dir 755 0:0
        //- failed 14:02:11 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
        //- failed 14:02:12 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
        //- failed 14:04:59 http://unix:/run/old.sock:/ level=crit
        connect() to unix:/run/old.sock failed (2: No such file or directory) while connecting to upstream
    ";

    fn proof() -> Proof {
        Proof::new(Exhibit::Record {
            probe: "connect",
            at: None,
            text: "refused".to_owned(),
        })
    }

    fn confirmed() -> Verdict {
        Verdict::Confirmed(Confirmation {
            summary: "because".to_owned(),
            proof: proof(),
            fixes: Vec::new(),
        })
    }

    fn judged_as(id: &str, judge: impl FnOnce() -> Result<Verdict, Gap>) -> CauseVerdict {
        verdict(by_id(id).unwrap(), judge)
    }

    fn answer_of(verdicts: &[CauseVerdict]) -> Option<&'static str> {
        answer(verdicts).map(|cause| cause.id)
    }

    #[test]
    fn a_judge_that_panics_leaves_a_gap_that_names_its_cause() {
        let verdict = judged_as("socket-stale", || panic!("a bug"));
        let Judgement::Unknown(gap) = verdict.judgement else {
            panic!("not unknown");
        };
        assert_eq!(gap.missing, "the verdict on socket-stale");
        assert_eq!(gap.kind, GapKind::Undecided);
    }

    #[test]
    fn a_judges_word_is_kept() {
        let judgement =
            |judge: fn() -> Result<Verdict, Gap>| judged_as("socket-stale", judge).judgement;
        assert!(matches!(
            judgement(|| Ok(confirmed())),
            Judgement::Confirmed(_)
        ));
        assert!(matches!(
            judgement(|| Ok(Verdict::RuledOut(proof()))),
            Judgement::RuledOut(_)
        ));
        assert!(matches!(
            judgement(|| Err(Gap::undecided("a", "b"))),
            Judgement::Unknown(_)
        ));
    }

    #[test]
    fn the_answer_is_the_most_refined_confirmed_cause_of_the_earliest_stage() {
        let yes = |id| judged_as(id, || Ok(confirmed()));
        let no = |id| judged_as(id, || Ok(Verdict::RuledOut(proof())));
        for (verdicts, expected) in [
            (vec![no("socket-stale")], None),
            (vec![yes("peer-not-listening")], Some("peer-not-listening")),
            (
                vec![yes("peer-not-listening"), yes("peer-port-mismatch")],
                Some("peer-port-mismatch"),
            ),
            (
                vec![yes("peer-not-listening"), no("peer-port-mismatch")],
                Some("peer-not-listening"),
            ),
            (
                vec![yes("application-crashed"), yes("peer-not-listening")],
                Some("peer-not-listening"),
            ),
            (
                vec![yes("peer-port-mismatch"), yes("running-config-outdated")],
                Some("running-config-outdated"),
            ),
            // Of a later stage, and yet it says more than the earlier one.
            (
                vec![yes("socket-missing"), yes("peer-transport-mismatch")],
                Some("peer-transport-mismatch"),
            ),
        ] {
            assert_eq!(answer_of(&verdicts), expected);
        }
    }

    #[test]
    fn every_incident_has_a_verdict_on_every_cause_and_the_answer_first() {
        let diagnosis = Fixture::parse(HOST).diagnose();
        assert_eq!(diagnosis.incidents.len(), 2);
        for judged in &diagnosis.incidents {
            let ids: std::collections::BTreeSet<&str> = judged
                .causes
                .iter()
                .map(|verdict| verdict.cause.id)
                .collect();
            assert_eq!(ids.len(), ALL.len());
            assert_eq!(judged.causes.len(), ALL.len());
            assert_eq!(judged.causes.first().map(|first| first.cause), judged.cause);
        }
        insta::assert_snapshot!(answers([HOST]), @"
        127.0.0.1:8000 connecting to upstream: answer: peer-not-listening, ongoing
        unix:/run/old.sock connecting to upstream: answer: socket-missing, ongoing
        ");
    }

    #[test]
    fn the_order_of_answers_is_confirmed_then_leaning_then_unknown_then_ruled_out() {
        let diagnosis = Fixture::parse(HOST).diagnose();
        let rank = |verdict: &CauseVerdict| match &verdict.judgement {
            Judgement::Confirmed(_) => 0,
            Judgement::Unknown(gap) if gap.leaning.is_some() => 1,
            Judgement::Unknown(_) => 2,
            Judgement::RuledOut(_) => 3,
        };
        for judged in &diagnosis.incidents {
            assert!(judged.causes.iter().map(rank).is_sorted());
        }
    }

    #[test]
    fn a_plan_asks_for_the_same_until_it_is_answered_and_ends() {
        let fixture = Fixture::parse(HOST);
        let mut case = Case::new(fixture.options.clone());
        let mut asked = std::collections::BTreeSet::new();
        for round in 0.. {
            let wanted = case.plan();
            assert_eq!(case.plan(), wanted, "round {round}");
            assert!(wanted.is_sorted(), "round {round}");
            if wanted.is_empty() {
                break;
            }
            for request in wanted {
                let record = facts::Probe::ask(&fixture.host, &request);
                assert!(asked.insert(request.clone()), "asked twice: {request}");
                case.add(request, record);
            }
            assert!(round < 20, "a chain of evidence is shorter");
        }
    }

    /// Questions about many things of a kind go side by side: a chain is as long on a large host as on a small one.
    #[test]
    fn a_large_host_takes_no_more_rounds_than_a_small_one() {
        let (few, many) = (rounds(&crowd(2)), rounds(&crowd(12)));
        assert_eq!(few, many, "rounds with 2 and with 12 of everything");
    }

    /// So many servers with logs of their own, whose applications of every kind fail in every way.
    fn crowd(size: usize) -> String {
        use std::fmt::Write as _;
        let mut servers = String::new();
        let mut rest = String::new();
        for idx in 0..size {
            let (port, pid) = (8000 + idx, 4000 + idx * 10);
            write!(
                servers,
                "server {{ server_name s{idx}; error_log /var/log/nginx/s{idx}.log; access_log /var/log/nginx/a{idx}.log;
                 location / {{ proxy_pass http://app{idx}.internal:{port}; }} location /u {{ uwsgi_pass unix:/run/u{idx}.sock; }}
                 location /p {{ fastcgi_pass unix:/run/p{idx}.sock; }} }}\n"
            ).unwrap();
            write!(
                rest,
                "//- dns 127.0.0.53:53 app{idx}.internal A -> 127.0.0.1
                //- file /var/log/nginx/s{idx}.log
                2026/06/23 14:04:00 [error] 2842#2842: *{idx} upstream timed out (110: Connection timed out) while reading response header from upstream, client: 10.0.0.9, server: s{idx}, request: \"GET /x HTTP/1.1\", upstream: \"http://127.0.0.1:{port}/x\", host: \"s{idx}\"
                2026/06/23 14:04:01 [error] 2842#2842: *{idx} upstream prematurely closed connection while reading response header from upstream, client: 10.0.0.9, server: s{idx}, request: \"GET /u HTTP/1.1\", upstream: \"uwsgi://unix:/run/u{idx}.sock:\", host: \"s{idx}\"
                2026/06/23 14:04:02 [crit] 2842#2842: *{idx} connect() to unix:/run/p{idx}.sock failed (2: No such file or directory) while connecting to upstream, client: 10.0.0.9, server: s{idx}, request: \"GET /p HTTP/1.1\", upstream: \"fastcgi://unix:/run/p{idx}.sock:\", host: \"s{idx}\"
                //- file /var/log/nginx/a{idx}.log
                10.0.0.9 - - [23/Jun/2026:14:03:00 +0000] \"GET /x HTTP/1.1\" 200 5 \"-\" \"-\"
                //- process {pid} start=12:30:00 cgroup=/system.slice/g{idx}.service
                gunicorn -c /srv/g{idx}/gunicorn.conf.py --bind 127.0.0.1:{port} shop.wsgi
                //- file /srv/g{idx}/gunicorn.conf.py
                errorlog = '/srv/g{idx}/error.log'
                //- listen tcp 127.0.0.1:{port} pid={pid}
                //- process {} start=12:30:00
                uwsgi --ini /srv/u{idx}.ini
                //- file /srv/u{idx}.ini
                [uwsgi]
                socket = /run/u{idx}.sock
                logto = /srv/u{idx}.log
                //- listen unix /run/u{idx}.sock pid={}
                //- process {} start=12:30:00
                php-fpm: pool p{idx}
                //- listen unix /run/php/q{idx}.sock pid={}
                ",
                pid + 1,
                pid + 1,
                pid + 2,
                pid + 2
            ).unwrap();
        }
        let servers = servers.replace('\n', " ");
        format!("//- nginx\n//- file /etc/nginx/nginx.conf\nhttp {{ {servers} }}\n{rest}")
    }

    fn rounds(host: &str) -> usize {
        let fixture = Fixture::parse(host);
        let mut case = Case::new(fixture.options.clone());
        let mut rounds = 0;
        loop {
            let wanted = case.plan();
            if wanted.is_empty() {
                return rounds;
            }
            rounds += 1;
            for request in wanted {
                let record = facts::Probe::ask(&fixture.host, &request);
                case.add(request, record);
            }
        }
    }

    #[test]
    fn what_was_never_asked_is_a_gap_and_confirms_no_more_than_the_truth() {
        let fixture = Fixture::parse(HOST);
        // However early collecting ends.
        for bound in 0..12 {
            let mut case = Case::new(fixture.options.clone());
            for _ in 0..bound {
                for request in case.plan() {
                    let record = facts::Probe::ask(&fixture.host, &request);
                    case.add(request, record);
                }
            }
            for judged in case.conclude().incidents {
                for verdict in &judged.causes {
                    if let Judgement::Unknown(gap) = &verdict.judgement {
                        assert_ne!(gap.kind, GapKind::Pending, "{bound} rounds: {gap:?}");
                    }
                }
                let truth = ["peer-not-listening", "socket-missing"];
                assert!(judged.cause.is_none_or(|cause| truth.contains(&cause.id)));
            }
        }
    }
}
