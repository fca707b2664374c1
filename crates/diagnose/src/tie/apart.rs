//! The application among the listeners of other network namespaces than nginx's, on the port that nginx dials.
//!
//! Containers that have nothing to do with each other listen on the same few ports, so being alone on the port has to
//! mean more here: the program is of a kind that speaks what nginx speaks, and nothing else leads to it.

use std::net::SocketAddr;
use std::rc::Rc;

use facts::{Exhibit, Gap, PeerAddress};

use super::candidate::{Candidate, Holdings, Source};
use super::{Place, Weighed, record, tie, weighed};
use crate::case::{Apart, Case, Published, known};
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
    let unproven = |why: String| Ok(Found::Unproven(unproven(incident, why, hint.clone())));
    let (mut tied, rest) = by_ties(incident, case, &here, strangers)?;
    match (here.tied.as_slice(), tied.len()) {
        ([], 0 | 1) => {}
        ([one], 0) => {
            let elsewhere = format!("its application is {}, on {}", one.who, one.place);
            return Ok(Found::NoCandidates(record("sockets", elsewhere)));
        }
        _ => return unproven("more than one is tied to this peer".to_owned()),
    }
    if let Some(one) = tied.pop() {
        return Ok(Found::One(Box::new(one)));
    }
    let mut speakers = rest
        .into_iter()
        .filter(|stranger| stranger.candidate.may_speak(incident.protocol));
    let (Some(only), None) = (speakers.next(), speakers.next()) else {
        return unproven("nothing ties one to this peer".to_owned());
    };
    if let Err(gap) = case.sees_all_networks() {
        return Err(hint.map_or(gap.clone(), |hint| gap.leaning(hint)));
    }
    if let Some(doubt) = doubt(incident, case, &here, &only)? {
        return unproven(doubt);
    }
    let alone = format!(
        "the only listener on port {port} in any network namespace that may be meant, and nothing else dials it"
    );
    Ok(Found::One(Box::new(only.tied(record("sockets", alone)))))
}

/// Every listener on the port in the other network namespaces; one that only leads to another is no application.
fn strangers(incident: &Incident, case: &Case, apart: &[Apart]) -> Result<Vec<Stranger>, Gap> {
    let dialled = case.dialled_elsewhere(incident)?;
    let mut holdings = Holdings::default();
    let stranger = |apart: &Apart| {
        let holding = holdings.of(case, &apart.listener.holders);
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

/// Those that are tied to the peer, and the others.
fn by_ties(
    incident: &Incident,
    case: &Case,
    here: &Weighed,
    strangers: Vec<Stranger>,
) -> Result<(Vec<Tied>, Vec<Stranger>), Gap> {
    let owner = known(case.owner(incident))?.flatten();
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    for stranger in strangers {
        let tie = tie(
            incident,
            case,
            &stranger.candidate,
            owner.as_ref(),
            None,
            here,
        )?;
        match tie {
            Some(tie) => found.push(stranger.tied(tie.exhibit)),
            None => rest.push(stranger),
        }
    }
    Ok((found, rest))
}

/// Why the only listener on the port is not surely the application, where it is not.
fn doubt(
    incident: &Incident,
    case: &Case,
    here: &Weighed,
    only: &Stranger,
) -> Result<Option<String>, Gap> {
    let candidate = &only.candidate;
    let nearer = here
        .strangers
        .iter()
        .find(|other| other.is_on_port_of(incident));
    if let Some(nearer) = nearer {
        let (who, place) = (&nearer.holding.who, &nearer.place);
        return Ok(Some(format!("{who} is nearer, on {place}")));
    }
    let doubts = [
        (here.is_owned, "a unit of the host is meant to listen there"),
        (
            candidate.claimed,
            "the configuration dials it in another place",
        ),
        (
            candidate.is_late(incident),
            "it started only after the first failure",
        ),
        (
            candidate.ran_beside(here.last_answer),
            "it ran already when the peer last answered",
        ),
        (
            !here.may_be(incident, candidate) || !here.is_server(incident, candidate),
            "nothing shows that it serves what nginx asks, and nobody else",
        ),
    ];
    if let Some((_, doubt)) = doubts.iter().find(|(holds, _)| *holds) {
        return Ok(Some((*doubt).to_owned()));
    }
    Ok(match case.published(incident, &only.apart)? {
        Published::Nowhere => None,
        Published::At(place) => Some(format!("it is published as {place}, perhaps for others")),
        Published::Perhaps(why) => Some(format!("it may be published for others: {why}")),
    })
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
