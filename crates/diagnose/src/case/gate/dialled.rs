//! Whom a configuration dials: every pass and every server of its upstream, each address once a protocol.

use std::collections::HashMap;

use conf::{Address, ContextId, DirectiveRef, Host, Model, Pass, PassKind, ServerLine, Target};
use facts::{Gap, GapKind, PeerAddress};
use log::error::Protocol;

use super::{Case, is_dialled, known, settled};
use crate::gate::Role;

/// A place in the configuration that dials an address.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The pass.
    pub(super) pass: DirectiveRef,
    /// The context it stands in.
    pub(super) context: ContextId,
    /// What it speaks.
    pub(super) protocol: conf::Protocol,
    /// The directive that holds the address: the pass, or a server line.
    pub(super) directive: DirectiveRef,
    /// The upstream it goes through.
    pub(super) upstream: Option<String>,
    /// The part that the server has in it.
    pub(super) role: Role,
    /// The names of the server around the pass.
    pub(super) servers: Vec<String>,
    /// Whether only some requests are led there (a variable decides).
    pub(super) is_variable: bool,
    /// Whether every server of its upstream is down.
    pub(super) is_dead_end: bool,
    /// Whether datagrams are sent.
    pub(super) is_udp: bool,
    /// The address as written.
    address: Address,
}

/// Every place, and what leads where no file says.
pub(super) struct Listed {
    places: Vec<Place>,
    pub(super) gaps: Vec<Gap>,
}

/// A peer in one protocol.
#[derive(Clone, Debug)]
pub(super) struct Dialled {
    /// Its address; none where the name has none.
    pub(super) address: Result<PeerAddress, Gap>,
    /// The name that it was found by.
    pub(super) name: Option<String>,
    /// The place that tells what to say: of several the one with the shortest path.
    pub(super) place: Place,
    /// How many others there are.
    pub(super) others: usize,
}

impl Dialled {
    /// As nginx prints it.
    pub(super) fn shown(&self) -> String {
        match (&self.address, &self.name) {
            (Ok(address), _) => address.to_string(),
            (Err(_), Some(name)) => name.clone(),
            (Err(_), None) => self.place.address.to_string(),
        }
    }

    /// The protocol in the log's words.
    pub(super) fn protocol(&self) -> Option<Protocol> {
        let scheme = self.place.protocol.scheme();
        Protocol::ALL
            .into_iter()
            .find(|protocol| protocol.as_str() == scheme)
    }
}

/// Every place that dials something.
pub(super) fn listed(model: &Model) -> Listed {
    let mut listed = Listed {
        places: Vec::new(),
        gaps: Vec::new(),
    };
    for pass in model.passes() {
        list(model, pass, &pass.target, false, &mut listed);
    }
    listed
}

fn list(model: &Model, pass: &Pass, target: &Target, is_variable: bool, listed: &mut Listed) {
    let shown = || {
        let text = model.text(pass.directive).to_string();
        text.trim_end_matches([';', ' ']).to_owned()
    };
    let place = |address: &Address, line: Option<(&conf::Upstream, &ServerLine)>| Place {
        pass: pass.directive,
        context: pass.context,
        protocol: pass.protocol,
        directive: line.map_or(pass.directive, |(_, line)| line.directive),
        upstream: line.map(|(upstream, _)| upstream.name.to_string()),
        role: match line {
            Some((_, line)) if line.down => Role::Down,
            Some((_, line)) if line.backup => Role::Backup,
            _ => Role::InUse,
        },
        servers: model
            .servers_of(pass.context)
            .iter()
            .map(ToString::to_string)
            .collect(),
        is_variable,
        is_dead_end: line
            .is_some_and(|(upstream, _)| upstream.servers.iter().all(|line| line.down)),
        is_udp: pass.kind == PassKind::Stream
            && model.listens(pass.context).iter().all(|listen| listen.udp)
            && !model.listens(pass.context).is_empty(),
        address: address.clone(),
    };
    match target {
        Target::Address(address) => listed.places.push(place(address, None)),
        Target::Upstream(id) => {
            let Some(upstream) = model.upstream(*id) else {
                return;
            };
            for line in &upstream.servers {
                match &line.address {
                    Some(_) if line.service.is_some() => listed.gaps.push(Gap::new(
                        GapKind::NotAsked,
                        format!("the peers of server {}", line.text),
                        "an SRV record gives them while nginx runs",
                    )),
                    Some(address) => listed.places.push(place(address, Some((upstream, line)))),
                    None => {}
                }
            }
        }
        Target::Variable {
            text,
            candidates,
            exhaustive,
        } => {
            for candidate in candidates {
                list(model, pass, candidate, true, listed);
            }
            if !exhaustive {
                listed.gaps.push(Gap::new(
                    GapKind::NotAsked,
                    format!("the peers of {}", shown()),
                    format!("{text} has its value when a request comes, and its names are looked up then"),
                ));
            }
        }
        Target::Unreadable(_) => {}
    }
}

/// An address, or why there is none, with the name that it was looked for by.
type Found = (Result<PeerAddress, Gap>, Option<String>);

/// What is asked once for all of them: the same address of the same upstream, in the same protocol, with the same TLS.
type Key = (String, Option<String>, &'static str, String);

impl Case {
    /// The peers, in the order of the configuration.
    pub(super) fn dialled_peers(&self, model: &Model) -> Result<Vec<Dialled>, Gap> {
        let places = listed(model).places;
        let mut names: Vec<&str> = places.iter().filter_map(name_of).collect();
        names.sort_unstable();
        names.dedup();
        let mut lookups = Vec::new();
        for name in names {
            lookups.extend(known(self.lookups_of(0, name))?.unwrap_or_default());
        }
        self.evidence.batch(lookups)?;
        let mut order: Vec<Dialled> = Vec::new();
        let mut at: HashMap<Key, usize> = HashMap::new();
        for place in places {
            for (address, name) in self.peers_of(&place)? {
                let dialled = Dialled {
                    address,
                    name,
                    place: place.clone(),
                    others: 0,
                };
                let key = (
                    dialled.shown(),
                    place.upstream.clone(),
                    place.protocol.scheme(),
                    tls_essence(model, &place),
                );
                if let Some(first) = at.get(&key).and_then(|&at| order.get_mut(at)) {
                    first.join(model, dialled);
                } else {
                    at.insert(key, order.len());
                    order.push(dialled);
                }
            }
        }
        Ok(order)
    }

    /// The addresses that a place stands for.
    fn peers_of(&self, place: &Place) -> Result<Vec<Found>, Gap> {
        let Some(name) = name_of(place) else {
            let addresses = self.addresses(0, &place.address)?;
            return Ok(addresses
                .into_iter()
                .map(|address| (Ok(address), None))
                .collect());
        };
        let name = name.to_owned();
        if place.is_variable {
            let gap = Gap::new(
                GapKind::NotAsked,
                format!("the addresses of {name}"),
                "nginx asks its resolver for them when a request comes",
            );
            return Ok(vec![(Err(gap), Some(name))]);
        }
        if !is_dialled(place) {
            let gap = Gap::new(
                GapKind::NotAsked,
                format!("the addresses of {name}"),
                "down",
            );
            return Ok(vec![(Err(gap), Some(name))]);
        }
        Ok(match settled(self.look_up(0, &name))? {
            Ok(found) if found.is_empty() => {
                let gap = Gap::new(
                    GapKind::Absent,
                    format!("the address of {name}"),
                    "it does not resolve",
                );
                vec![(Err(gap), Some(name))]
            }
            Ok(_) => self
                .addresses(0, &place.address)?
                .into_iter()
                .map(|address| (Ok(address), Some(name.clone())))
                .collect(),
            Err(gap) => vec![(Err(gap), Some(name))],
        })
    }
}

impl Dialled {
    /// Takes another place in that asks the same.
    fn join(&mut self, model: &Model, other: Self) {
        self.others += 1;
        let rank = |place: &Place| {
            (
                place.role,
                path_of(model, place).map_or(usize::MAX, |path| path.len()),
            )
        };
        if rank(&other.place) < rank(&self.place) {
            self.place = other.place;
        }
    }
}

fn name_of(place: &Place) -> Option<&str> {
    match &place.address {
        Address::Tcp {
            host: Host::Name(name),
            ..
        } => Some(name),
        _ => None,
    }
}

/// The path of a location that takes requests by their beginning.
pub(super) fn path_of(model: &Model, place: &Place) -> Option<String> {
    use conf::LocationModifier::{Exact, Prefix, PrefixFinal};
    match model.location_pattern(place.context) {
        Some((Prefix | PrefixFinal | Exact, path)) => Some(path.to_string()),
        _ => None,
    }
}

/// What makes one TLS handshake another.
fn tls_essence(model: &Model, place: &Place) -> String {
    const SETTINGS: [&str; 7] = [
        "",
        "_server_name",
        "_name",
        "_verify",
        "_trusted_certificate",
        "_protocols",
        "_certificate",
    ];
    let module = match place.protocol {
        conf::Protocol::Https | conf::Protocol::Stream => "proxy_ssl",
        conf::Protocol::Grpcs => "grpc_ssl",
        conf::Protocol::Suwsgi => "uwsgi_ssl",
        _ => return String::new(),
    };
    let mut essence = String::new();
    for setting in SETTINGS {
        for at in model.in_force(place.context, &format!("{module}{setting}")) {
            essence.push_str(&model.text(at).to_string());
        }
    }
    essence
}
