//! A failing peer as an incident: what an experiment showed, in the place of lines of a log.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use facts::{Exhibit, Gap};
use log::error::{Class, While};

use super::{Asked, Case, Instance};
use crate::incident::{Incident, Origin};

impl Case {
    /// The incident of a peer that fails.
    pub(super) fn incident_of(&self, asked: &Asked) -> Result<Incident, Gap> {
        let instances = self.instances()?;
        let instance = instances
            .first()
            .ok_or_else(|| Gap::undecided("the nginx instance", "it is gone"))?;
        let failure = asked
            .outcome
            .failure
            .as_ref()
            .ok_or_else(|| Gap::undecided("the failure", "it did not fail"))?;
        let place = &asked.dialled.place;
        Ok(Incident {
            id: id(&instance.config, asked),
            instance: 0,
            origin: Origin::Experiment,
            peer: peer_of(asked),
            address: asked
                .dialled
                .address
                .as_ref()
                .ok()
                .filter(|_| !place.is_dead_end)
                .cloned(),
            upstream: place.upstream.clone(),
            protocol: asked.dialled.protocol(),
            has_other_protocols: false,
            failure: failure.class,
            errno: failure.errno,
            action: failure.action,
            status: failure.status.or_else(|| failure.class.map(status_of)),
            count: 1,
            first_seen: asked.at,
            last_seen: asked.at,
            seconds: Rc::new(BTreeMap::from([(asked.at.as_second(), 1)])),
            servers: place.servers.clone(),
            paths: BTreeSet::new(),
            requests: Rc::default(),
            sample: said(instance, asked),
            messages: failure.message.iter().cloned().collect(),
            last_writer: None,
            log: None,
            explained: true,
        })
    }
}

/// What its client would get.
fn status_of(class: Class) -> u16 {
    match class {
        Class::ConnectTimeout
        | Class::ConnectTimeoutKernel
        | Class::ReadTimeout
        | Class::TlsHandshakeTimeout
        | Class::IoTimeoutKernel => 504,
        _ => 502,
    }
}

/// As nginx prints it: of an upstream without a server in use that one's name.
fn peer_of(asked: &Asked) -> String {
    let place = &asked.dialled.place;
    match &place.upstream {
        Some(upstream) if place.is_dead_end => upstream.clone(),
        _ => asked.dialled.shown(),
    }
}

/// The experiment in a line.
fn said(instance: &Instance, asked: &Asked) -> String {
    let who = match (asked.is_own, instance.worker()) {
        (false, Some(_)) => "as nginx's worker",
        (false, None) => "as nginx's worker would",
        (true, _) => "as why502 itself",
    };
    let peer = asked.dialled.shown();
    let says = &asked.outcome.says;
    if asked.dialled.place.is_dead_end {
        return format!("every server of upstream {} is marked down", peer_of(asked));
    }
    let Some(said) = &asked.said else {
        return format!("look {peer} up: {says}");
    };
    let action = asked
        .outcome
        .failure
        .as_ref()
        .and_then(|failure| failure.action);
    let step = match action {
        Some(While::ConnectingToUpstream) => 0,
        Some(While::SslHandshakingToUpstream) => 1,
        _ => usize::MAX,
    };
    let tried = said.tried();
    let what = tried.get(step.min(tried.len().saturating_sub(1)));
    let what = what.map(String::as_str).unwrap_or_default();
    if step == 0 {
        format!("{what} {peer} {who}: {says}")
    } else {
        format!("{what} to {peer} {who}: {says}")
    }
}

/// The id of the incident of a peer.
pub(super) fn id(config: &std::path::Path, asked: &Asked) -> String {
    let failure = asked.outcome.failure.as_ref();
    let class = failure.and_then(|failure| failure.class);
    let action = failure.and_then(|failure| failure.action);
    let peer = peer_of(asked);
    let scheme = asked.dialled.place.protocol.scheme();
    crate::case::logs::identity(
        config,
        format!("{scheme}://{peer}").as_bytes(),
        class.map_or("experiment", Class::as_str),
        action.map_or("", log::error::While::as_str),
    )
}

impl Incident {
    /// The experiment as an exhibit.
    pub(crate) fn experiment(&self) -> Exhibit {
        Exhibit::Record {
            probe: "experiment",
            at: Some(self.first_seen),
            text: self.sample.clone(),
        }
    }
}
