//! In which locations the failing requests were handled: by their servers and paths, which the log tells.
//!
//! Where a path may be made another one while nginx runs, nobody knows: then every place that dials the peer counts.

use std::collections::BTreeSet;

use bstr::{BStr, ByteSlice as _};
use conf::{ContextId, Model};
use facts::Gap;
use log::error::Event;

use super::config::Site;
use super::{Case, known};
use crate::incident::{Incident, Requests};

/// Different requests of an incident that are kept.
const REQUESTS_KEPT: usize = 256;

impl Requests {
    /// Adds what a line says that was asked for.
    pub(super) fn add(&mut self, event: &Event<'_>) {
        self.has_clients_own |= event.subrequest.is_none();
        if self.are_partial {
            return;
        }
        let path = match event.subrequest {
            Some(uri) => Some(uri),
            None => event.request.and_then(super::logs::path_of),
        };
        let (Some(server), Some(path)) = (event.server, path) else {
            self.are_partial = true;
            return;
        };
        let known = self.paths.get(server);
        if known.is_some_and(|paths| paths.contains(path)) {
            return;
        }
        let kept: usize = self.paths.values().map(BTreeSet::len).sum();
        if kept == REQUESTS_KEPT {
            self.are_partial = true;
            return;
        }
        let paths = self.paths.entry(server.to_owned()).or_default();
        paths.insert(path.to_owned());
    }
}

impl Case {
    /// The locations in which the failing requests may have been handled; `None` where the log or the configuration leaves
    /// it open.
    pub(super) fn asked_locations(
        &self,
        incident: &Incident,
    ) -> Result<Option<BTreeSet<ContextId>>, Gap> {
        let asked = self.evidence.once(format!("asked {}", incident.id), || {
            let Some(configured) = known(self.configured(incident.instance))? else {
                return Ok(None);
            };
            Ok(locations(&configured.model, &incident.requests))
        })?;
        Ok((*asked).clone())
    }

    /// The passes that dial the peer in the failing requests' locations, each context once; where that is open, or none of
    /// them dials it, those in the failing servers.
    pub(super) fn asked_sites(&self, incident: &Incident) -> Result<Vec<Site>, Gap> {
        let mut sites = self.failing_sites(incident)?;
        if let Some(asked) = self.asked_locations(incident)? {
            let configured = self.configured(incident.instance)?;
            let is_asked = |site: &Site| {
                let location = configured.model.location_of(site.context);
                location.is_some_and(|location| asked.contains(&location))
            };
            if sites.iter().any(is_asked) {
                sites.retain(is_asked);
            }
        }
        let mut seen = BTreeSet::new();
        sites.retain(|site| seen.insert(site.context));
        Ok(sites)
    }
}

fn locations(model: &Model, requests: &Requests) -> Option<BTreeSet<ContextId>> {
    if requests.are_partial || requests.paths.is_empty() {
        return None;
    }
    let mut found = BTreeSet::new();
    for (name, paths) in &requests.paths {
        let servers = model.servers_logged_as(name);
        if servers.is_empty() {
            return None;
        }
        for path in paths {
            let path = compared(path.as_bstr())?;
            for &server in servers {
                found.extend(model.possible_locations(server, &path).ok()?);
            }
        }
    }
    Some(found)
}

/// A path as nginx compares it with its locations; none where it has dots to be resolved, or slashes that nginx may keep.
pub(super) fn compared(path: &BStr) -> Option<Vec<u8>> {
    let compared = facts::url::compared(path);
    let is_plain = !path.contains_str("//")
        && !compared
            .split(|&byte| byte == b'/')
            .any(|segment| matches!(segment, b"." | b".."));
    is_plain.then_some(compared)
}
