//! The gate's own run: attempts until the peers are ready, the running configuration beside a candidate, nginx's own test.

mod nginx_t;
mod wait;

use std::collections::BTreeSet;
use std::thread;

use diagnose::{Gate, GateOptions, Options};
use host::LiveHost;

pub(crate) use nginx_t::test;
pub(crate) use wait::Patience;

use crate::collect;

/// What fails in the configuration that runs.
type Failures = BTreeSet<(String, &'static str)>;

/// Asks the peers, again and again as long as there is patience; of what still fails then the cause is looked for.
pub(crate) fn ask(
    options: &Options,
    gate: &GateOptions,
    against_running: bool,
    patience: &mut Patience,
) -> Gate {
    loop {
        let is_last = patience.is_over();
        let answer = attempt(options, gate, against_running, is_last);
        // What nginx refuses does not come right by waiting.
        let is_hopeless = answer.refusal.is_some() || !answer.troubles.is_empty();
        let is_settled = !answer.is_refused() && answer.config.is_some();
        if is_last || is_settled {
            return answer;
        }
        if is_hopeless {
            return attempt(options, gate, against_running, true);
        }
        patience.wait(&answer);
    }
}

fn attempt(options: &Options, gate: &GateOptions, against_running: bool, judges: bool) -> Gate {
    let mut answer = if against_running {
        beside_running(options, gate, judges)
    } else {
        (one(options, gate, judges), Failures::new())
    };
    answer.0.hold_against(&answer.1);
    answer.0
}

/// Both configurations at the same time: they are held against each other.
fn beside_running(options: &Options, gate: &GateOptions, judges: bool) -> (Gate, Failures) {
    let running = Options {
        config: None,
        prefix: None,
        ..options.clone()
    };
    thread::scope(|scope| {
        let running = scope.spawn(move || one(&running, gate, false).failures());
        let candidate = one(options, gate, judges);
        // Without an answer nothing is let pass.
        (candidate, running.join().unwrap_or_default())
    })
}

fn one(options: &Options, gate: &GateOptions, judges: bool) -> Gate {
    let options = Options {
        now: jiff::Timestamp::now(),
        gate: Some(GateOptions {
            judges,
            ..gate.clone()
        }),
        ..options.clone()
    };
    collect::gate(options, &LiveHost::new())
}
