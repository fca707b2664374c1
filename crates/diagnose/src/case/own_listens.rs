//! Where nginx itself listens, by its configuration: requests that it sends to itself, and ports that another holds.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use conf::{Context, ContextId, DirectiveRef, Listen, Model, Pass, Target};
use facts::{ConfSpan, Exhibit, Gap, PeerAddress};

use super::config::span;
use super::{Case, Listener};
use crate::incident::Incident;

/// A `listen` whose port is taken.
pub(crate) struct Held {
    /// The directive.
    pub(crate) listen: ConfSpan,
    /// What listens there.
    pub(crate) by: Listener,
}

impl Case {
    /// The `listen` of this very nginx that the peer's address reaches: a request sent there comes back to nginx.
    pub(crate) fn dials_itself(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        let key = format!("dials itself {}", incident.id);
        let own = self.evidence.once(key, || self.own_listen(incident))?;
        Ok((*own).clone())
    }

    fn own_listen(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        let Some(address) = &incident.address else {
            return Ok(None);
        };
        let configured = self.configured(incident.instance)?;
        let model = &configured.model;
        let is_local = match address {
            PeerAddress::Tcp(address) => self.is_local(incident, *address)?,
            PeerAddress::Unix(_) => true,
        };
        if !is_local {
            return Ok(None);
        }
        let at = model.servers().find_map(|server| {
            let listens = model.listens(server.id);
            let own = listens
                .iter()
                .find(|listen| !listen.udp && takes(listen, address))?;
            span(model, own.directive, None)
        });
        Ok(at.map(|span| labelled(span, "nginx itself listens here")))
    }

    /// A pass from which a request can come back to it without leaving nginx: through addresses that its own servers
    /// listen on, or through a variable that may name one. Which server takes a request hangs on its `Host`, so all that
    /// listen there count. That there is none is told by all files of the configuration.
    pub(crate) fn way_round(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        let configured = self.configured(incident.instance)?;
        let model = &configured.model;
        let mut ways = Vec::new();
        for pass in model.passes() {
            let Some(from) = model.server_of(pass.context) else {
                continue;
            };
            let to = if has_open_end(pass) {
                model.servers().map(|server| server.id).collect()
            } else {
                self.servers_reached(incident, model, pass)?
            };
            ways.extend(to.into_iter().map(|to| (from.id, to, pass.directive)));
        }
        let round = ways
            .iter()
            .find(|(from, to, _)| leads_to(&ways, *to, *from));
        // A file that could not be read may hold the rest of a way.
        if let (None, Some(unread)) = (round, &configured.unread) {
            return Err(unread.clone());
        }
        let at = round.and_then(|(_, _, directive)| span(model, *directive, None));
        Ok(at.map(|span| labelled(span, "a request can come back here")))
    }

    /// The servers of this very nginx that a pass leads to.
    fn servers_reached(
        &self,
        incident: &Incident,
        model: &Model,
        pass: &Pass,
    ) -> Result<Vec<ContextId>, Gap> {
        let mut addresses = Vec::new();
        for address in addresses_of(model, pass) {
            if model
                .servers()
                .any(|server| may_listen_at(model, server, address))
            {
                addresses.extend(self.addresses(incident.instance, address)?);
            }
        }
        let mut own = Vec::new();
        for address in addresses {
            if let PeerAddress::Tcp(tcp) = address
                && !self.is_local(incident, tcp)?
            {
                continue;
            }
            let listens = |server: &&Context| {
                let listens = model.listens(server.id);
                listens
                    .iter()
                    .any(|listen| !listen.udp && takes(listen, &address))
            };
            own.extend(model.servers().filter(listens).map(|server| server.id));
        }
        Ok(own)
    }

    /// The first `listen` of a configuration that nobody runs whose port another process holds: nginx could not start.
    pub(crate) fn held_listen(&self, incident: &Incident) -> Result<Option<Held>, Gap> {
        let configured = self.configured(incident.instance)?;
        let listeners = self.listeners_in(None)?;
        let model = &configured.model;
        let held = model.servers().find_map(|server| {
            let listens = model.listens(server.id);
            listens
                .iter()
                .filter(|listen| !listen.udp)
                .find_map(|listen| {
                    let by = listeners
                        .iter()
                        .find(|listener| collide(listen, listener))?;
                    Some(Held {
                        listen: span(model, listen.directive, None)?,
                        by: by.clone(),
                    })
                })
        });
        Ok(held)
    }
}

/// Whether a pass can lead anywhere: its variables are known at run time only.
fn has_open_end(pass: &Pass) -> bool {
    matches!(
        &pass.target,
        Target::Variable {
            exhaustive: false,
            ..
        }
    )
}

/// What a pass dials, as far as it is written down.
fn addresses_of<'m>(model: &'m Model, pass: &'m Pass) -> Vec<&'m conf::Address> {
    let targets = pass.target.certain_and_possible().into_iter();
    targets
        .flat_map(|target| match target {
            Target::Address(address) => vec![address],
            Target::Upstream(id) => model
                .upstream(*id)
                .into_iter()
                .flat_map(|upstream| upstream.servers.iter())
                .filter_map(|line| line.address.as_ref())
                .collect(),
            Target::Variable { .. } | Target::Unreadable(_) => Vec::new(),
        })
        .collect()
}

/// Whether a server listens on an address's port, or on its path: worth resolving a name for.
fn may_listen_at(model: &Model, server: &Context, address: &conf::Address) -> bool {
    let listens = model.listens(server.id);
    listens
        .iter()
        .any(|listen| match (&listen.address, address) {
            (conf::Address::Tcp { port: first, .. }, conf::Address::Tcp { port, .. }) => {
                (*first..=listen.last_port.unwrap_or(*first)).contains(port)
            }
            (own, address) => own == address,
        })
}

/// Whether there is a way from one server to another, of no step too.
fn leads_to(ways: &[(ContextId, ContextId, DirectiveRef)], from: ContextId, to: ContextId) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(here) = next.pop() {
        if here == to {
            return true;
        }
        let steps = ways.iter().filter(|(from, _, _)| *from == here);
        next.extend(steps.map(|(_, to, _)| *to).filter(|to| seen.insert(*to)));
    }
    false
}

impl Held {
    /// The directive and what stands in its way.
    pub(crate) fn exhibits(&self) -> [Exhibit; 2] {
        let label = format!("{} holds this port", self.by.who());
        [labelled(self.listen.clone(), &label), self.by.exhibit()]
    }
}

fn labelled(mut span: ConfSpan, label: &str) -> Exhibit {
    span.label = Some(label.to_owned());
    Exhibit::Config(span)
}

/// Whether a `listen` and a listener cannot stand side by side.
pub(crate) fn collide(listen: &Listen, listener: &Listener) -> bool {
    let port = listener.address.port();
    // A listener on a wildcard takes what comes to any address of its family, and perhaps of both.
    let reaches_it = match &listen.address {
        conf::Address::Tcp { host, port: first } => {
            let is_port = (*first..=listen.last_port.unwrap_or(*first)).contains(&port);
            let ip = host.ip().map(|ip| match ip {
                IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                ip => ip,
            });
            is_port && ip.is_some_and(|ip| listener.reached_by((ip, port).into()) == Some(true))
        }
        conf::Address::Unix(_) => false,
    };
    reaches_it || takes(listen, &PeerAddress::Tcp(listener.address))
}

/// Whether a `listen` takes connections to an address of this host.
pub(crate) fn takes(listen: &conf::Listen, address: &PeerAddress) -> bool {
    match (&listen.address, address) {
        (conf::Address::Unix(_), PeerAddress::Unix(_)) => {
            listen.address.literal() == Some(super::config::as_conf(address))
        }
        (conf::Address::Tcp { host, port }, PeerAddress::Tcp(dialled)) => {
            let last = listen.last_port.unwrap_or(*port);
            let is_host = host.ip().is_some_and(|ip| {
                ip == dialled.ip()
                    || match ip {
                        IpAddr::V4(any) => any.is_unspecified() && dialled.is_ipv4(),
                        IpAddr::V6(any) => any.is_unspecified() && dialled.is_ipv6(),
                    }
            });
            (*port..=last).contains(&dialled.port()) && is_host
        }
        _ => false,
    }
}
