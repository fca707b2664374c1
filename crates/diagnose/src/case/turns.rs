//! An application that ends and is started again, over and over: while it does, what fails is not over, though it is up
//! just now.

use std::collections::BTreeSet;

use facts::application::Kind;
use facts::application::log::What;
use facts::journal::{Entry, UnitChange};
use facts::{Exhibit, Gap};
use jiff::Timestamp;
use log::error::Class;

use super::application::Application;
use super::network::RECENT_SECONDS;
use super::{Case, known};
use crate::incident::Incident;

/// So many starts in a row make a loop.
const TURNS: usize = 3;
/// Their distances differ by no more than this factor, and by so many seconds.
const EVEN: i64 = 4;
const SLACK: i64 = 5;

impl Case {
    /// Whether the application behind a peer that could not be reached, or cut answers off, is in such a loop now: it was
    /// started anew at an even pace without having been told to stop, the last time no longer ago than the pace, and the
    /// failures go with it.
    pub(super) fn is_in_a_loop(&self, incident: &Incident) -> bool {
        let is_such = [
            Class::ConnectRefused,
            Class::SocketMissing,
            Class::PrematureClose,
            Class::ConnectionReset,
        ];
        if !is_such.iter().any(|class| incident.is(*class)) {
            return false;
        }
        let Ok(behind) = self.behind(incident) else {
            return false;
        };
        let journals: Vec<_> = behind.units.iter().map(|unit| self.journal(unit)).collect();
        let of_units = journals
            .into_iter()
            .filter_map(|journal| known(journal).ok().flatten())
            .map(|journal| of_unit(&journal));
        let of_log = behind
            .application
            .as_ref()
            .map(|application| of_log(application));
        let now = self.now().as_second();
        of_units
            .chain(of_log)
            .any(|starts| goes_on(&starts, incident, now))
    }

    /// That the peer comes and goes, by access logs: it was answered between several runs of failures, which came at an even
    /// pace of a minute at most, and the next is due.
    pub(super) fn comes_and_goes(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        let now = self.now().as_second();
        let is_due = now - incident.last_seen.as_second() <= due_within(RECENT_SECONDS);
        if !is_due || incident.seconds.len() < TURNS {
            return Ok(None);
        }
        let key = format!("comes and goes {}", incident.id);
        let found = self.evidence.once(key, || {
            let mut answers = BTreeSet::new();
            self.each_answer(incident, |access| answers.extend(access.time()))?;
            let runs = runs(incident, &answers);
            let last = runs.get(runs.len().saturating_sub(TURNS)..);
            let last = last.unwrap_or_default();
            let is_quick = |pair: &[i64]| matches!(pair, [a, b] if b - a <= RECENT_SECONDS);
            let goes_on = goes_on(&runs, incident, now) && last.windows(2).all(is_quick);
            Ok(goes_on.then(|| Exhibit::Record {
                probe: "lines-since",
                at: last.first().and_then(|&at| Timestamp::from_second(at).ok()),
                text: format!(
                    "it comes and goes: since then it failed {} times, and the access log shows answers in between",
                    last.len()
                ),
            }))
        })?;
        Ok((*found).clone())
    }
}

/// How long after a start the next one is still to be expected, where they were so far apart; in seconds.
fn due_within(pause: i64) -> i64 {
    pause * 2 + SLACK
}

/// The first seconds of the runs of failures that answers lie between.
fn runs(incident: &Incident, answers: &BTreeSet<i64>) -> Vec<i64> {
    let mut starts = Vec::new();
    let mut before: Option<i64> = None;
    for &second in incident.seconds.keys() {
        let is_new = before.is_none_or(|before| answers.range(before + 1..second).next().is_some());
        if is_new {
            starts.push(second);
        }
        before = Some(second);
    }
    starts
}

/// Whether the last of these starts (seconds since 1970, in order) are a loop that goes on and that the incident is of.
fn goes_on(starts: &[i64], incident: &Incident, now: i64) -> bool {
    let Some([first, .., last]) = starts
        .len()
        .checked_sub(TURNS)
        .and_then(|from| starts.get(from..))
    else {
        return false;
    };
    let last_ones = starts.get(starts.len() - TURNS..).unwrap_or_default();
    let pauses = || {
        last_ones
            .windows(2)
            .filter_map(|pair| Some(pair.last()? - pair.first()?))
    };
    let (Some(shortest), Some(longest)) = (pauses().min(), pauses().max()) else {
        return false;
    };
    let is_even = longest <= shortest * EVEN + SLACK;
    let is_due = now - last <= due_within(longest);
    is_even && is_due && incident.last_seen.as_second() >= first - SLACK
}

/// When a unit was started after it had ended by itself.
fn of_unit(journal: &[Entry]) -> Vec<i64> {
    let mut starts = Vec::new();
    let (mut was_told, mut has_ended) = (false, false);
    for entry in journal {
        let Some(event) = &entry.event else { continue };
        match &event.what {
            UnitChange::Stopping => was_told = true,
            UnitChange::ProcessExited { command, .. }
                if command.as_deref() == Some("ExecStart") =>
            {
                has_ended = true;
            }
            UnitChange::Failed(_) | UnitChange::Deactivated => has_ended = true,
            UnitChange::Started => {
                if has_ended && !was_told {
                    starts.push(entry.at.as_second());
                }
                (was_told, has_ended) = (false, false);
            }
            _ => {}
        }
    }
    starts
}

/// When an application says that it starts, without having been told to stop.
fn of_log(application: &Application) -> Vec<i64> {
    let mut starts = Vec::new();
    if application.log.shared_with.is_some() {
        return starts;
    }
    // gunicorn also says so when it ends by itself.
    let is_told_by_signal = application.kind() == Some(Kind::Gunicorn);
    let (mut was_told, mut is_first) = (false, true);
    for event in application.events() {
        match &event.what {
            What::Signal { .. } => was_told = true,
            What::ShuttingDown if !is_told_by_signal => was_told = true,
            What::Starting => {
                if !was_told && !is_first {
                    starts.extend(event.at.map(jiff::Timestamp::as_second));
                }
                (was_told, is_first) = (false, false);
            }
            _ => {}
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use crate::fixture::check;

    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
    ";
    const FAILED: &str = "
        //- failed 14:02:31 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
    ";
    const UP: &str = "
        //- unit shop.service ActiveState=active SubState=running
        //- process 4120 start=14:04:30 cgroup=/system.slice/shop.service
        node /srv/shop.js
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";

    fn is_ongoing<const N: usize>(sections: [&str; N]) -> bool {
        let said = check("application-crashed", sections);
        let answer = said.lines().next().unwrap();
        assert!(
            answer.ends_with("ongoing") || answer.ends_with("over"),
            "{said}"
        );
        answer.ends_with("ongoing")
    }

    fn journal(turns: &[&str], stop: &str) -> String {
        let turns = turns.iter().map(|at| {
            format!(
                "{at} {stop}\n{at} exited ExecStart killed 11\n{at} failed signal\n{at} started\n"
            )
            .replace(&format!("{at} \n"), "")
        });
        format!("//- journal shop.service\n{}", turns.collect::<String>())
    }

    #[test]
    fn a_loop_that_is_up_just_now_goes_on() {
        let looping = journal(&["14:00:30", "14:02:30", "14:04:30"], "");
        assert!(is_ongoing([HOST, FAILED, UP, &looping]));
        // The next one is overdue.
        let ended = journal(&["13:51:30", "13:52:30", "13:53:30"], "");
        let failed = FAILED.replace("14:02:31", "13:53:30");
        assert!(!is_ongoing([HOST, &failed, UP, &ended]));
    }

    #[test]
    fn what_is_no_loop_is_over() {
        assert!(!is_ongoing([
            HOST,
            FAILED,
            UP,
            &journal(&["14:02:30", "14:04:30"], "")
        ]));
        // Somebody stopped it.
        assert!(!is_ongoing([
            HOST,
            FAILED,
            UP,
            &journal(&["14:00:30", "14:02:30", "14:04:30"], "stopping")
        ]));
        // Long ago, and now.
        assert!(!is_ongoing([
            HOST,
            FAILED,
            UP,
            &journal(&["13:10:00", "14:02:30", "14:04:30"], "")
        ]));
        // It failed before.
        let before = FAILED.replace("14:02:31", "13:50:00");
        assert!(!is_ongoing([
            HOST,
            &before,
            UP,
            &journal(&["14:00:30", "14:02:30", "14:04:30"], "")
        ]));
    }

    #[test]
    fn its_own_log_tells_of_a_loop() {
        let log = |said: &str| {
            let starts = ["13:58:30", "14:00:30", "14:02:30", "14:04:30"].map(|at| format!(
                "[2026-06-23 {at} +0000] [77] [INFO] Starting gunicorn 21.2.0\n[2026-06-23 {at} +0000] [77] [INFO] {said}\n"
            ));
            format!(
                "
            //- process 4120 start=14:04:30
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- link /proc/4120/fd/2 -> /var/log/shop.log
            //- file /var/log/shop.log\n{}",
                starts.concat()
            )
        };
        assert!(is_ongoing([HOST, FAILED, &log("Shutting down: Master")]));
        assert!(!is_ongoing([HOST, FAILED, &log("Handling signal: term")]));
    }
}
