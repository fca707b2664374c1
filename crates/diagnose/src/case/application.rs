//! The application behind a peer: its processes, its settings, and what its own log says.

use std::time::Duration;

use facts::{Exhibit, Gap};

use super::Case;
use super::network::Reached;
use crate::incident::Incident;

/// How much of an incident some events explain.
pub(crate) enum Coverage {
    All,
    Some { explained: usize, of: usize },
    None,
}

/// Whether the application speaks what nginx speaks to it.
pub(crate) enum Speaks {
    Same(Exhibit),
    Unknown(Gap),
}

pub(crate) struct Application {
    reached: Reached,
}

pub(crate) struct Idle {
    pub(crate) after: Duration,
    pub(crate) name: String,
    pub(crate) text: String,
}
pub(crate) struct Events;
pub(crate) struct Setting;

impl Setting {
    pub(crate) fn summary(&self) -> String {
        String::new()
    }
    pub(crate) fn name(&self) -> String {
        String::new()
    }
    pub(crate) fn exhibit(&self) -> Option<Exhibit> {
        None
    }
}
impl Events {
    pub(crate) fn coverage(&self, _incident: &Incident) -> Coverage {
        Coverage::None
    }
    pub(crate) fn gap(&self, what: &'static str) -> Gap {
        Gap::undecided(what, "not read")
    }
    pub(crate) fn summary(&self) -> String {
        String::new()
    }
    pub(crate) fn place(&self) -> String {
        String::new()
    }
    pub(crate) fn exhibits(&self) -> Vec<Exhibit> {
        Vec::new()
    }
}
impl Application {
    pub(crate) fn who(&self) -> String {
        String::new()
    }
    pub(crate) fn exhibit(&self) -> Exhibit {
        self.reached.exhibit.clone()
    }
    pub(crate) fn log_place(&self) -> String {
        String::new()
    }
    pub(crate) fn ran_throughout(&self, _incident: &Incident) -> Option<Exhibit> {
        None
    }
    pub(crate) fn started_before(&self, incident: &Incident) -> bool {
        self.reached
            .since()
            .is_some_and(|since| since <= incident.first_seen)
    }
    pub(crate) fn deaths(&self, _case: &Case, _incident: &Incident) -> Result<Events, Gap> {
        Ok(Events)
    }
    pub(crate) fn timeouts(&self, _case: &Case, _incident: &Incident) -> Result<Events, Gap> {
        Ok(Events)
    }
    pub(crate) fn timeout_setting(&self) -> Setting {
        Setting
    }
    pub(crate) fn idle_timeout(&self) -> Result<Idle, Gap> {
        Err(Gap::undecided("idle", "x"))
    }
}
impl Case {
    pub(crate) fn application(&self, incident: &Incident) -> Result<Application, Gap> {
        Ok(Application {
            reached: self.listener_of(incident)?,
        })
    }
    pub(crate) fn speaks(&self, _incident: &Incident) -> Result<Speaks, Gap> {
        Ok(Speaks::Unknown(Gap::undecided("protocol", "x")))
    }
}
