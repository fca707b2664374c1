//! The loop of collecting: the case says what it wants, a probe answers, until nothing new is wanted.

use std::thread;
use std::time::Duration;

use diagnose::{Case, Diagnosis, Gate, LintOptions, LintReport, Options, Probe, ProbeRequest};

/// A chain of evidence is some thirty links long; a case that still asks after this many rounds asks in a circle.
const MOST_ROUNDS: usize = 200;

/// What is asked before anybody wants it.
const AHEAD: ProbeRequest = ProbeRequest::SocketOwners;

/// Has a case's questions answered by `probe`, and judges it.
pub(crate) fn diagnose(options: Options, probe: &dyn Probe) -> Diagnosis {
    thread::scope(|scope| {
        // The dearest question of all, which nearly every case puts once its logs and its configuration are read: it is
        // answered meanwhile.
        let mut ahead = Some(scope.spawn(|| host::collect(probe, &[AHEAD])));
        let mut case = Case::new(options);
        for round in 0..MOST_ROUNDS {
            let mut wanted = {
                let _span = tracing::debug_span!("plan", round).entered();
                case.plan()
            };
            if wanted.is_empty() {
                break;
            }
            let _span = tracing::debug_span!("collect", round, questions = wanted.len()).entered();
            if wanted.contains(&AHEAD)
                && let Some(answer) = ahead.take().and_then(|asked| asked.join().ok())
            {
                wanted.retain(|request| *request != AHEAD);
                for record in answer {
                    case.add(AHEAD, record);
                }
            }
            let records = host::collect(probe, &wanted);
            for (request, record) in wanted.into_iter().zip(records) {
                case.add(request, record);
            }
        }
        let _span = tracing::debug_span!("conclude").entered();
        case.conclude()
    })
}

/// Has the questions of the lints answered by `probe`, and judges them.
pub(crate) fn lint(options: Options, probe: &dyn Probe, lints: &LintOptions) -> LintReport {
    let mut case = Case::new(options);
    answer(&mut case, probe, |case| case.lint_plan(lints));
    case.lint(lints)
}

/// Has a gate's questions answered by `probe`, and says what they come to.
pub(crate) fn gate(options: Options, probe: &dyn Probe) -> Gate {
    let mut case = Case::new(options);
    answer(&mut case, probe, Case::plan_gate);
    let _span = tracing::debug_span!("conclude").entered();
    case.conclude_gate()
}

/// Answers what a case wants, until it wants nothing new.
fn answer(case: &mut Case, probe: &dyn Probe, plan: impl Fn(&Case) -> Vec<ProbeRequest>) {
    for round in 0..MOST_ROUNDS {
        let wanted = {
            let _span = tracing::debug_span!("plan", round).entered();
            plan(case)
        };
        if wanted.is_empty() {
            break;
        }
        let _span = tracing::debug_span!("collect", round, questions = wanted.len()).entered();
        let records = host::collect(probe, &wanted);
        for (request, record) in wanted.into_iter().zip(records) {
            case.add(request, record);
        }
    }
}

/// Reads `90s`, `15m`, `1h`, `7d`, or a sum of them.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration: write 90s, 15m, 1h or 7d");
    match conf::units::parse_time(text.as_bytes()) {
        Some(duration) if duration > Duration::ZERO => Ok(duration),
        _ => Err(wrong()),
    }
}
