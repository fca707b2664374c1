//! How long a gate waits for peers that are not ready yet, and the line that says whom for.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use diagnose::Gate;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// From one attempt to the next: short at first, for most are ready soon.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(1);
/// Peers that are named.
const NAMED: usize = 3;

/// See the module.
pub(crate) struct Patience {
    until: Option<Instant>,
    pause: Duration,
    line: ProgressBar,
}

impl Patience {
    /// For so long; without it there is one attempt.
    pub(crate) fn of(wait: Option<Duration>, is_quiet: bool) -> Self {
        use io::IsTerminal as _;
        let line = ProgressBar::new_spinner();
        // Only a person wants to see it.
        if is_quiet || !io::stderr().is_terminal() {
            line.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>3} {msg}") {
            line.set_style(style);
        }
        Self {
            until: wait.map(|wait| Instant::now() + wait),
            pause: FIRST,
            line,
        }
    }

    /// Whether the next attempt is the last.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() >= until)
    }

    /// Waits for the next attempt.
    pub(crate) fn wait(&mut self, answer: &Gate) {
        let failing: Vec<&str> = answer
            .peers
            .iter()
            .filter(|peer| peer.is_refused())
            .map(|peer| peer.peer.as_str())
            .collect();
        let named = failing.iter().take(NAMED).copied().collect::<Vec<_>>();
        let more = match failing.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let told = format!("waiting for {}{more}", named.join(", "));
        self.line
            .set_message(report::text::visible(&told).into_owned());
        self.line.tick();
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        thread::sleep(self.pause.min(left.unwrap_or_default()));
        self.pause = (self.pause * 2).min(LONGEST);
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        self.line.finish_and_clear();
    }
}
