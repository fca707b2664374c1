//! What a reload would have nginx dial in place of the peer, or has, and that nothing answers there either.

use std::collections::BTreeSet;

use conf::{DirectiveRef, Pass, Target};
use facts::{Answer, Exhibit, Gap, PeerAddress, ProbeRequest};

use super::config::span;
use super::network::{errno_text, listener_on};
use super::{Case, known, of_each};
use crate::incident::Incident;

/// Addresses that are looked at.
const LOOKED_AT: usize = 4;

/// Connection refused, and no such file: nothing listens there.
const NOBODY: [i32; 2] = [111, 2];

/// A peer that the files dial and the failing requests did not, at which nothing listens either.
pub(crate) struct Dead {
    /// Where it stands, the refused connection, and for TCP that no socket listens.
    pub(crate) exhibits: Vec<Exhibit>,
    /// What to do about it, in words.
    pub(crate) advice: String,
}

/// Whether what stands in nginx's files is in force.
#[derive(Clone, Copy)]
enum Files {
    Loaded,
    OnDisk,
}

impl Case {
    /// Where nginx dials the peer no more: the peers that it dials in its place since a reload, and at which nothing listens
    /// either.
    pub(crate) fn dead_in_its_place(&self, incident: &Incident) -> Result<Vec<Dead>, Gap> {
        if incident.explained || !self.dials_no_more(incident)? {
            return Ok(Vec::new());
        }
        self.dead(incident, Files::Loaded)
    }

    /// The peers of this host that the files dial where the failing requests go, and at which nothing listens now: the
    /// reload alone does not help them. Of an upstream only where that is so of all its servers. What cannot be told, and
    /// what is another host's, is left out.
    pub(crate) fn dead_on_disk(&self, incident: &Incident) -> Result<Vec<Dead>, Gap> {
        self.dead(incident, Files::OnDisk)
    }

    fn dead(&self, incident: &Incident, files: Files) -> Result<Vec<Dead>, Gap> {
        if !self.connects() {
            return Ok(Vec::new());
        }
        let dialled = known(self.dialled_on_disk(incident))?.unwrap_or_default();
        let is_name = |(_, address): &(DirectiveRef, conf::Address)| address.literal().is_none();
        if dialled.iter().flatten().any(is_name) {
            drop(self.names_of(incident.instance)?);
        }
        let places = of_each(&dialled, |servers| self.own_peers(incident, servers))?;
        let places: Vec<_> = places.into_iter().flatten().take(LOOKED_AT).collect();
        let peers = || places.iter().flatten().map(|(_, peer)| peer);
        if peers().next().is_none() {
            return Ok(Vec::new());
        }
        let from = self.instance(incident)?.worker();
        let connect = |to: &PeerAddress| ProbeRequest::Connect {
            from,
            to: to.clone(),
        };
        self.queues_first(self.netns(incident)?, peers())?;
        drop(self.evidence.batch(peers().map(connect))?);
        let mut dead = Vec::new();
        for place in &places {
            let found = of_each(place, |(at, peer)| {
                known(self.nobody_at(incident, (*at, files), peer, &connect(peer)))
            })?;
            let of_all: Option<Vec<Dead>> = found.into_iter().map(Option::flatten).collect();
            dead.extend(of_all.into_iter().flatten());
        }
        Ok(dead)
    }

    /// The peers that these servers are; `None` unless all of them are this host's. A name without an address may be had by
    /// another host.
    fn own_peers(
        &self,
        incident: &Incident,
        servers: &[(DirectiveRef, conf::Address)],
    ) -> Result<Option<Vec<(DirectiveRef, PeerAddress)>>, Gap> {
        let mut peers = Vec::new();
        for (at, address) in servers {
            let addresses = self.addresses(incident.instance, address)?;
            if addresses.is_empty() {
                return Ok(None);
            }
            peers.extend(addresses.into_iter().map(|peer| (*at, peer)));
        }
        let are_own = of_each(&peers, |(_, peer)| match peer {
            PeerAddress::Tcp(address) => {
                Ok(known(self.is_local(incident, *address))?.unwrap_or(false))
            }
            PeerAddress::Unix(path) => Ok(path.is_absolute()),
        })?;
        let are_few = (1..=LOOKED_AT).contains(&peers.len());
        Ok((are_few && are_own.iter().all(|own| *own)).then_some(peers))
    }

    /// That nothing listens at a peer, by the sockets and a connection; `None` where one of them does not say so.
    fn nobody_at(
        &self,
        incident: &Incident,
        (at, files): (DirectiveRef, Files),
        peer: &PeerAddress,
        connect: &ProbeRequest,
    ) -> Result<Option<Dead>, Gap> {
        let configured = self.configured(incident.instance)?;
        let record = self.evidence.record(connect)?;
        let Answer::Errno(errno) = &record.answer else {
            return Ok(None);
        };
        let is_unheard = match peer {
            PeerAddress::Tcp(address) => {
                listener_on(&self.listeners(incident)?, *address)?.is_none()
            }
            PeerAddress::Unix(_) => true,
        };
        let Some(mut span) =
            span(&configured.model, at, Some(0)).filter(|_| is_unheard && NOBODY.contains(errno))
        else {
            return Ok(None);
        };
        let place = format!("{}:{}", span.file.display(), span.line);
        let (label, why) = match files {
            Files::Loaded => (
                "nginx dials this now, and nothing listens here either",
                format!("nginx dials {peer} now ({place}), and nothing listens there either"),
            ),
            Files::OnDisk => (
                "on disk, and nothing listens here either",
                format!(
                    "the reload alone does not help: nothing listens on {peer} either, which {place} dials"
                ),
            ),
        };
        span.label = Some(label.to_owned());
        Ok(Some(Dead {
            exhibits: vec![
                Exhibit::Config(span),
                Exhibit::Record {
                    probe: "connect",
                    at: Some(record.at),
                    text: format!("connect {peer} as nginx's worker: {}", errno_text(*errno)),
                },
            ],
            advice: format!("{why}: start what is to listen there, or correct the line"),
        }))
    }

    /// The servers of each pass that the failing requests come to by the files: of the locations they asked for; else of
    /// their `server` blocks; else the one pass there is. Passes with variables are left out.
    fn dialled_on_disk(
        &self,
        incident: &Incident,
    ) -> Result<Vec<Vec<(DirectiveRef, conf::Address)>>, Gap> {
        let asked = self.asked_locations(incident)?;
        let configured = self.configured(incident.instance)?;
        let model = &configured.model;
        let mut passes: Vec<&Pass> = model.passes().iter().collect();
        let is_asked = |pass: &Pass| {
            let location = model.location_of(pass.context);
            let asked = asked.as_ref();
            asked.is_some_and(|asked| location.is_some_and(|it| asked.contains(&it)))
        };
        let has_failed = |pass: &Pass| {
            let servers = model.servers_of(pass.context);
            let mut failing = incident.servers.iter();
            failing.any(|name| servers.iter().any(|server| *server == name.as_str()))
        };
        if passes.iter().any(|pass| is_asked(pass)) {
            passes.retain(|pass| is_asked(pass));
        } else if passes.iter().any(|pass| has_failed(pass)) {
            passes.retain(|pass| has_failed(pass));
        } else if passes.len() != 1 {
            return Ok(Vec::new());
        }
        let mut seen = BTreeSet::new();
        let mut dialled = Vec::new();
        for pass in passes {
            let servers = match &pass.target {
                Target::Address(address) => vec![(pass.directive, address.clone())],
                Target::Upstream(id) => {
                    let lines = model.upstream(*id).map_or(&[][..], |it| &it.servers);
                    let lines = lines.iter().filter(|line| !line.down);
                    let servers = lines.map(|line| Some((line.directive, line.address.clone()?)));
                    servers.collect::<Option<Vec<_>>>().unwrap_or_default()
                }
                Target::Variable { .. } | Target::Unreadable(_) => continue,
            };
            let texts: Vec<String> = servers
                .iter()
                .map(|(_, address)| format!("{address:?}"))
                .collect();
            if seen.insert(texts) {
                dialled.push(servers);
            }
        }
        Ok(dialled)
    }
}
