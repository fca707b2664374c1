//! The application among the listeners of other network namespaces than nginx's, on the port that nginx dials.
//!
//! Containers that have nothing to do with each other listen on the same few ports, and copies of one application bear
//! one name: only the unit that is meant to listen where nginx dials ties. What a journal says of an address it says of
//! the namespace that its unit ran in then, and nobody knows which that was.

use std::net::SocketAddr;
use std::rc::Rc;

use facts::{Exhibit, Gap, PeerAddress};

use super::candidate::{Candidate, Holding, Source};
use super::{Place, owner_tie, record, weighed};
use crate::case::{Apart, Case, known, of_each};
use crate::incident::Incident;

/// What looking in the other network namespaces found.
pub(crate) enum Found {
    /// Exactly one listener is tied.
    One(Box<Tied>),
    /// Nothing listens there that could be it; the exhibit says where was looked.
    NoCandidates(Exhibit),
    /// Something listens, but nothing ties it (or several are tied).
    Unproven(Gap),
}

/// A listener in another network namespace that is the peer's application.
pub(crate) struct Tied {
    /// The listener.
    pub(crate) apart: Apart,
    /// What people call its network namespace.
    pub(crate) network: String,
    /// The listener, and what ties it.
    pub(crate) exhibits: Vec<Exhibit>,
}

/// A listener there that might be the application.
struct Stranger {
    apart: Apart,
    network: String,
    candidate: Candidate,
}

impl Stranger {
    fn tied(self, tie: Exhibit) -> Tied {
        Tied {
            exhibits: vec![self.apart.exhibit(&self.network), tie],
            apart: self.apart,
            network: self.network,
        }
    }
}

/// Looks for the application on the dialled port in every network namespace but nginx's.
pub(crate) fn find(incident: &Incident, case: &Case, dialled: SocketAddr) -> Result<Found, Gap> {
    let port = dialled.port();
    let apart = case.listeners_apart(incident, dialled)?;
    if apart.is_empty() {
        case.sees_all_networks()?;
        let looked = match case.count_networks_apart(incident)? {
            0 => "every process is in nginx's network namespace".to_owned(),
            1 => format!("nothing listens on port {port} in the other network namespace"),
            n => format!("nothing listens on port {port} in the {n} other network namespaces"),
        };
        return Ok(Found::NoCandidates(record("sockets", looked)));
    }
    let here = weighed(incident, case)?;
    if let Some(down) = &here.owner_down {
        return Ok(Found::NoCandidates(down.clone()));
    }
    let strangers = strangers(incident, case, &apart)?;
    let hint = hint(incident, &strangers);
    let owner = known(case.owner(incident))?.flatten();
    let mut tied = Vec::new();
    let contained = of_each(&strangers, |one| case.is_contained(&one.apart))?;
    for (stranger, is_contained) in strangers.into_iter().zip(contained) {
        // What its unit says of addresses is of the container, not of the host.
        if stranger.candidate.claimed || is_contained {
            continue;
        }
        let owner = owner.as_ref();
        if let Some(tie) = owner.and_then(|owner| owner_tie(incident, &stranger.candidate, owner)) {
            tied.push(stranger.tied(tie));
        }
    }
    let unproven = |why: &str| Ok(Found::Unproven(unproven(incident, why.to_owned(), hint)));
    match (here.tied.as_slice(), tied.pop()) {
        ([], Some(one)) if tied.is_empty() => Ok(Found::One(Box::new(one))),
        ([], None) => unproven("nothing ties one to this peer"),
        ([one], None) => {
            let elsewhere = format!("its application is {}, on {}", one.who, one.place);
            Ok(Found::NoCandidates(record("sockets", elsewhere)))
        }
        _ => unproven("more than one is tied to this peer"),
    }
}

/// Every listener on the port in the other network namespaces; one that only leads to another is no application.
fn strangers(incident: &Incident, case: &Case, apart: &[Apart]) -> Result<Vec<Stranger>, Gap> {
    let dialled = case.dialled_elsewhere(incident)?;
    let stranger = |apart: &Apart| {
        let holding = Holding::of(case, &apart.listener.holders);
        let (network, forwarder) = (case.network_of(apart), case.forwarder_to(apart));
        let (holding, network, forwarder) = (holding?, network?, forwarder?);
        let own = [apart.listener.address];
        let mut ways = own
            .into_iter()
            .chain(apart.places())
            .chain(forwarder.map(|forwarder| forwarder.from));
        Ok(Stranger {
            candidate: Candidate {
                place: Place::Tcp(apart.listener.address),
                source: Source::Tcp(Rc::new(vec![apart.listener.clone()]), 0),
                holding,
                claimed: ways.any(|way| dialled.reaches(&PeerAddress::Tcp(way))),
                pool: None,
            },
            apart: apart.clone(),
            network,
        })
    };
    let leads_on = |one: &&Apart| {
        one.listener
            .forwarder()
            .is_some_and(|forwarder| apart.iter().any(|other| other.is_led_to_by(&forwarder)))
    };
    let strangers: Vec<_> = apart
        .iter()
        .filter(|one| !leads_on(one))
        .map(stranger)
        .collect();
    strangers.into_iter().collect()
}

/// Who listens there; a long list leans nowhere.
fn hint(incident: &Incident, strangers: &[Stranger]) -> Option<String> {
    let could_be = strangers
        .iter()
        .filter(|one| !one.candidate.is_other_service(incident));
    let named: Vec<String> = could_be
        .map(|one| {
            format!(
                "{} on {} in {}",
                one.candidate.holding.who, one.candidate.place, one.network
            )
        })
        .collect();
    (1..=3).contains(&named.len()).then(|| {
        format!(
            "could be meant, but nothing proves it: {}",
            named.join(", ")
        )
    })
}

fn unproven(incident: &Incident, why: String, hint: Option<String>) -> Gap {
    let missing = format!(
        "whether the application behind {} is in another network namespace",
        incident.peer
    );
    let gap = Gap::undecided(missing, why).learn("sudo lsns -t net");
    match hint {
        Some(hint) => gap.leaning(hint),
        None => gap,
    }
}
