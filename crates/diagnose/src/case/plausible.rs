//! Whether a line about a worker's time-out can be true: an application writes where its master writes, and may print
//! anything there.

use std::collections::BTreeMap;
use std::time::Duration;

use facts::Gap;
use facts::application::log::{AppEvent, What};
use facts::application::{Kind, Limit};
use jiff::Timestamp;

use super::Case;
use super::application::Application;
use super::happenings::{AFTER, BEFORE};
use crate::incident::Incident;

/// A log's whole seconds, and a master that looks at its workers once a second.
const GRAIN: Duration = Duration::from_secs(1);

/// How long attempts at a peer that failed took, the longest of each second, by the access log.
pub(super) type Waits = BTreeMap<i64, Duration>;

impl Application {
    /// Why a worker cannot have been ended for its time, as a line says that it was.
    pub(super) fn implausible(&self, event: &AppEvent, waits: &Waits) -> Option<String> {
        let What::WorkerTimeout { .. } = event.what else {
            return None;
        };
        let setting = self.settings.timeout.as_ref();
        let limit = setting.filter(|_| self.settings.is_certain("timeout"))?;
        let name = self.timeout_setting().name();
        let Limit::After(timeout) = limit.value else {
            // uWSGI's harakiri can be set for a request alone.
            return (self.kind != Some(Kind::Uwsgi))
                .then(|| format!("{name} is off, by {}", limit.origin));
        };
        let at = event.at?;
        self.too_young(event, at, timeout, name)
            .or_else(|| self.too_quick(at, timeout, name, waits))
    }

    /// Whether its application ended this worker for its time, as far as that can be true.
    pub(super) fn is_of_a_timeout(&self, exit: &AppEvent, waits: &Waits) -> bool {
        let What::WorkerExited { after_timeout, .. } = exit.what else {
            return false;
        };
        let is_its_timeout = |event: &&AppEvent| {
            let is_before = event.at.is_none() || exit.at.is_none() || event.at <= exit.at;
            matches!(event.what, What::WorkerTimeout { .. })
                && event.worker == exit.worker
                && is_before
        };
        let last = self.events().iter().rev().find(is_its_timeout);
        after_timeout && last.is_none_or(|timeout| self.implausible(timeout, waits).is_none())
    }

    /// Nobody takes longer than he has lived.
    fn too_young(
        &self,
        event: &AppEvent,
        at: Timestamp,
        timeout: Duration,
        name: &str,
    ) -> Option<String> {
        let worker = event.worker?;
        let started = self
            .events()
            .iter()
            .filter(|other| other.what == What::WorkerStarted && other.worker == Some(worker))
            .filter_map(|other| other.at)
            .filter(|&started| started <= at)
            .max()?;
        let age = at.duration_since(started).unsigned_abs();
        (age + GRAIN <= timeout).then(|| {
            format!(
                "process {worker} had run for {} s, and {name} is {} s",
                age.as_secs(),
                timeout.as_secs()
            )
        })
    }

    /// A worker that answers one request at a time is ended for that one's time only.
    fn too_quick(
        &self,
        at: Timestamp,
        timeout: Duration,
        name: &str,
        waits: &Waits,
    ) -> Option<String> {
        self.at_once()?;
        let second = at.as_second();
        let longest = waits
            .range(second - AFTER..=second + BEFORE)
            .map(|(_, &wait)| wait)
            .max()?;
        (longest + GRAIN < timeout).then(|| {
            format!(
                "the longest request that failed then took {} ms by the access log, and {name} is {} s",
                longest.as_millis(),
                timeout.as_secs()
            )
        })
    }
}

impl Case {
    /// How long attempts at the incident's peer took that got no response.
    pub(super) fn failed_waits(&self, incident: &Incident) -> Result<Waits, Gap> {
        let mut waits = Waits::new();
        self.each_access(incident, |access| {
            let failed = access.attempts().filter(|attempt| {
                let is_peer = attempt
                    .addr
                    .is_some_and(|addr| addr == incident.peer.as_bytes());
                is_peer && attempt.header_time.is_none()
            });
            let longest = failed.filter_map(|attempt| attempt.response_time).max();
            if let (Some(at), Some(longest)) = (access.time(), longest) {
                let wait = waits.entry(at).or_default();
                *wait = Duration::from_millis(longest).max(*wait);
            }
        })?;
        Ok(waits)
    }
}
