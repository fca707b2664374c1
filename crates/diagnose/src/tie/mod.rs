//! What makes a listener *the application* of a peer, rather than one more stranger on the host.
//!
//! Strangers listen on every real host, many of them speak HTTP, and copies of an application bear its name. A mismatch
//! is confirmed only by a tie, something that speaks of both the listener and the dialled address (see [`tie`]);
//! everything else is a hint.

pub(crate) mod apart;
mod candidate;
mod dial;
mod strangers;
mod version;
mod words;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use facts::application::Kind;
use facts::{Exhibit, Gap, PeerAddress};
use jiff::Timestamp;

use crate::case::{Case, LocalhostAnswered, Owner, Site, firewall, known, network, of_each};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Proof, Verdict};
use candidate::{Candidate, Source, candidates};
pub(crate) use dial::redial;
use dial::{dial_instead, reachable_as};
use version::{differ_by_version, version_in};
use words::{is_telling, unit_stem};

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A TCP address; may be a wildcard.
    Tcp(SocketAddr),
    /// A unix socket's path.
    Unix(PathBuf),
}

impl Place {
    /// The same as an address that nginx could dial.
    pub(crate) fn address(&self) -> PeerAddress {
        match self {
            Self::Tcp(address) => PeerAddress::Tcp(*address),
            Self::Unix(path) => PeerAddress::Unix(path.clone()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listener that is the peer's application.
#[derive(Clone, Debug)]
pub(crate) struct Tied {
    /// Program and pid.
    pub(crate) who: String,
    /// Where it listens.
    pub(crate) place: Place,
    /// The listener, and what ties it.
    pub(crate) exhibits: Vec<Exhibit>,
}

impl Tied {
    fn is_on_port_of(&self, incident: &Incident) -> bool {
        let port = incident.address.as_ref().and_then(PeerAddress::port);
        port.is_some() && self.place.address().port() == port
    }
}

/// What looking for the application found.
pub(crate) enum Found {
    /// Exactly one listener is tied.
    One(Tied),
    /// Nothing listens that could be it; the exhibit says where was looked.
    NoCandidates(Exhibit),
    /// Something listens, but nothing ties it (or several are tied).
    Unproven(Gap),
}

/// Looks for the application among the listeners, and says whether it stands at a place of the wanted kind.
///
/// One listener alone may be tied: of two that are, nobody knows which is meant. Where none is, a directive that says
/// `localhost` may mean it (see [`Weighed::by_localhost`]).
pub(crate) fn find(
    incident: &Incident,
    case: &Case,
    kind: &'static str,
    wanted: impl Fn(&Place) -> bool,
) -> Result<Found, Gap> {
    let weighed = weighed(incident, case)?;
    let is_any_wanted = weighed.tied.iter().any(|tied| wanted(&tied.place))
        || weighed
            .strangers
            .iter()
            .any(|stranger| wanted(&stranger.place));
    if !is_any_wanted {
        let others = weighed.tied.len() + weighed.strangers.len();
        let none = format!(
            "none of {} is {kind}",
            facts::counted(others, "other listener")
        );
        return Ok(Found::NoCandidates(record("sockets", none)));
    }
    if let Some(down) = &weighed.owner_down {
        return Ok(Found::NoCandidates(down.clone()));
    }
    if let [one] = weighed.tied.as_slice() {
        return Ok(if wanted(&one.place) {
            Found::One(one.clone())
        } else {
            let elsewhere = format!("its application is {}, on {}", one.who, one.place);
            Found::NoCandidates(record("sockets", elsewhere))
        });
    }
    let strangers = weighed.strangers.iter();
    let strangers: Vec<&Candidate> = strangers
        .filter(|stranger| wanted(&stranger.place))
        .collect();
    if weighed.tied.is_empty() {
        for candidate in &strangers {
            if let Some(tie) = weighed.by_localhost(incident, case, candidate)? {
                return Ok(Found::One(tied(candidate, tie)));
            }
        }
        if let [namesake] = weighed.namesakes(incident).as_slice()
            && wanted(&namesake.place)
            && is_visible(incident, case, namesake)?
            && let Some(tie) = weighed.by_name(incident, namesake)
        {
            return Ok(Found::One(tied(namesake, tie)));
        }
    }
    Ok(Found::Unproven(unproven(
        incident, case, &weighed, &strangers,
    )?))
}

/// The listeners of a host, weighed for one peer.
struct Weighed {
    /// Those that are tied to it.
    tied: Vec<Tied>,
    /// The others.
    strangers: Vec<Candidate>,
    /// A unit is meant to listen at the peer's address: then only that unit's listener is the application.
    is_owned: bool,
    /// That this unit does not run: then no listener is its.
    owner_down: Option<Exhibit>,
    /// When the peer last answered, by the access log.
    last_answer: Option<Timestamp>,
    /// The telling names of the peer's application: the upstream's, the owning unit's.
    names: Vec<String>,
    /// Whether every directive that dials the peer says `localhost`.
    says_localhost: bool,
}

impl Weighed {
    /// What ties the only listener on the dialled port where the directive says `localhost`: nginx is sent to both of its
    /// addresses by that one word, so an application server there is what it is told to ask. The access log shows it best.
    fn by_localhost(
        &self,
        incident: &Incident,
        case: &Case,
        candidate: &Candidate,
    ) -> Result<Option<Exhibit>, Gap> {
        let on_port = self.strangers.iter();
        let on_port = on_port.filter(|stranger| stranger.is_on_port_of(incident));
        let may_be = self.says_localhost
            && !self.is_owned
            && on_port.count() == 1
            && candidate.is_on_port_of(incident)
            && is_of_the_other_family(incident, &candidate.place)
            && candidate.holding.is_held
            && !candidate.claimed
            && !candidate.is_late(incident)
            && !candidate.is_other_service(incident)
            && candidate.serves(incident.protocol);
        if !may_be || self.last_answer.is_some() {
            return Ok(None);
        }
        Ok(match case.localhost_answered(incident)? {
            LocalhostAnswered::WhereDialled => None,
            LocalhostAnswered::Elsewhere(shown) => Some(shown),
            LocalhostAnswered::NotTold => {
                let text = "the directive says localhost, which is both 127.0.0.1 and [::1], and nothing else listens on that port";
                Some(record("sockets", text.to_owned()))
            }
        })
    }

    /// The listeners of all who bear a name of the peer's application, but for those that the configuration dials.
    fn namesakes(&self, incident: &Incident) -> Vec<&Candidate> {
        let strangers = self.strangers.iter();
        strangers
            .filter(|candidate| !candidate.claimed && self.bears_its_name(incident, candidate))
            .collect()
    }

    /// What ties the only listener that bears the name of the peer's application: whatever is known of it says that name
    /// and no other, what it is called as much as the directory that it runs in, and it is an application server that
    /// speaks what nginx speaks. A copy in another directory, a second program of the application, or one that somebody
    /// tries out at home is none.
    fn by_name(&self, incident: &Incident, candidate: &Candidate) -> Option<Exhibit> {
        let may_be = !self.is_owned
            && candidate.holding.is_held
            && candidate.serves(incident.protocol)
            && !candidate.is_late(incident)
            && !candidate.is_to_listen_at(incident)
            && !candidate.is_other_service(incident)
            && !candidate.ran_beside(self.last_answer);
        let is_all_of = |name: &&String| {
            let own = candidate.names();
            let home = candidate.holding.home.as_deref();
            own.iter().all(|own| own.eq_ignore_ascii_case(name))
                && home.is_some_and(|home| is_home_of(home, name))
        };
        let name = self.names.iter().filter(|_| may_be).find(is_all_of)?;
        let text = format!(
            "it alone is called {name}, and nothing else: {}, in {}",
            candidate.holding.command_lines.first()?,
            candidate.holding.home.as_deref()?.display()
        );
        Some(record("process", text))
    }

    /// Whether it bears a name of the peer's application: that leans its way, and proves nothing.
    fn bears_its_name(&self, incident: &Incident, candidate: &Candidate) -> bool {
        let is_called = |name: &String| {
            let own = candidate.names();
            let units = candidate.holding.units.iter();
            candidate.may_speak(incident.protocol)
                && (own.iter().any(|own| own.eq_ignore_ascii_case(name))
                    || units.clone().any(|unit| unit_stem(unit) == name))
        };
        self.names.iter().any(is_called)
    }
}

/// Whether an application of this name is deployed there: in a directory of its name, whose path says nothing else. A
/// person's home, and a directory for staging, has a name of its own.
fn is_home_of(directory: &Path, name: &str) -> bool {
    let mut words = directory.iter().filter_map(|part| part.to_str());
    let is_its = |word: &str| word.eq_ignore_ascii_case(name);
    directory
        .file_name()
        .and_then(|last| last.to_str())
        .is_some_and(is_its)
        && words.all(|word| is_its(word) || !is_telling(word))
}

fn is_of_the_other_family(incident: &Incident, place: &Place) -> bool {
    let dialled = incident.address.as_ref().and_then(PeerAddress::ip);
    match (dialled, place) {
        (Some(dialled), Place::Tcp(place)) => dialled.is_ipv4() != place.is_ipv4(),
        _ => false,
    }
}

/// Weighed once: every mismatch asks.
fn weighed(incident: &Incident, case: &Case) -> Result<Rc<Weighed>, Gap> {
    case.evidence.once(format!("ties {}", incident.id), || {
        let candidates = candidates(incident, case)?;
        let owner = known(case.owner(incident))?.flatten();
        let down = owner.as_ref().filter(|owner| owner.is_down());
        let owner_down = down.and_then(|owner| owner.exhibits().into_iter().next_back());
        let sites = known(case.sites(incident))?.unwrap_or_default();
        let mut weighed = Weighed {
            tied: Vec::new(),
            strangers: Vec::new(),
            is_owned: owner.is_some(),
            owner_down,
            last_answer: known(case.last_answer(incident))?.flatten(),
            names: telling_names(incident, owner.as_ref()),
            says_localhost: !sites.is_empty() && sites.iter().all(Site::says_localhost),
        };
        let ties = of_each(&candidates, |candidate| {
            let tie = tie(incident, case, candidate, owner.as_ref(), &weighed)?;
            Ok(match tie {
                Some(tie) if is_visible(incident, case, candidate)? => Some(tie),
                _ => None,
            })
        })?;
        let mut found = Vec::new();
        for (candidate, tie) in candidates.into_iter().zip(ties) {
            match tie {
                Some(tie) => found.push(tied(&candidate, tie)),
                None => weighed.strangers.push(candidate),
            }
        }
        on_the_port(incident, &mut found);
        one_of_many(incident, &mut found);
        weighed.tied = found;
        Ok(weighed)
    })
}

fn telling_names(incident: &Incident, owner: Option<&Owner>) -> Vec<String> {
    let upstream = incident.upstream.as_deref();
    let unit = owner.map(|owner| unit_stem(owner.unit()));
    let names = upstream.into_iter().chain(unit);
    names
        .filter(|name| is_telling(name))
        .map(str::to_owned)
        .collect()
}

/// Of several that are tied, the one on the dialled port is meant.
fn on_the_port(incident: &Incident, found: &mut Vec<Tied>) {
    let is_on_port = |tied: &Tied| tied.is_on_port_of(incident);
    if found.iter().any(is_on_port) {
        found.retain(is_on_port);
    }
}

/// Sockets of one process on one port, such as those of both families, count as one: the one nearest to what is dialled.
fn one_of_many(incident: &Incident, found: &mut Vec<Tied>) {
    let port = |tied: &Tied| match &tied.place {
        Place::Tcp(address) => Some(address.port()),
        Place::Unix(_) => None,
    };
    let Some(first) = found.first() else { return };
    let same =
        |tied: &Tied| port(tied).is_some() && port(tied) == port(first) && tied.who == first.who;
    if !found.iter().all(same) {
        return;
    }
    let ip = incident.address.as_ref().and_then(PeerAddress::ip);
    let is_near = |tied: &Tied| match (&tied.place, ip) {
        (Place::Tcp(address), Some(ip)) => reachable_as(*address, ip),
        _ => false,
    };
    found.sort_by_key(|tied| !is_near(tied));
    found.truncate(1);
}

/// That something listens where nginx dials, which rules every mismatch out. It may have begun to only after the
/// failures, unless the connection is refused all the same.
pub(crate) fn listens_there(
    incident: &Incident,
    case: &Case,
    address: SocketAddr,
) -> Result<Option<Proof>, Gap> {
    let listeners = case.listeners_near(incident)?;
    let Some(listener) = network::listener_on(&listeners, address)? else {
        return Ok(None);
    };
    let again = case.still_failing(incident)?;
    let proof = Proof::new(incident.exhibit());
    Ok(Some(proof.and(listener.exhibit()).and(again)))
}

/// The verdict of a mismatch: confirmed where one listener is tied and the connection still fails.
pub(crate) fn verdict(
    incident: &Incident,
    case: &Case,
    found: Found,
    felt: &str,
) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    // Where nobody listens elsewhere now, somebody may have while it failed.
    let tied = match found {
        Found::One(tied) => tied,
        Found::NoCandidates(looked) => {
            let again = case.still_failing(incident)?;
            return Ok(Verdict::RuledOut(proof.and(again).and(looked)));
        }
        Found::Unproven(gap) => return Err(gap),
    };
    let again = case.still_failing(incident)?;
    let proof = match incident.address {
        Some(PeerAddress::Tcp(_)) => match case.unhindered(incident)? {
            Ok(unhindered) => proof.and(again).and(unhindered),
            // It is refused before; at the right address it may not be.
            Err(rule) => {
                let other = format!("{} listens on {}", tied.who, tied.place);
                return Err(firewall::stands_before(&rule, &other));
            }
        },
        _ => proof.and(again),
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!(
            "{} listens on {}, nginx dials {}{felt}",
            tied.who, tied.place, incident.peer
        ),
        proof: proof
            .with(tied.exhibits.iter().cloned())
            .with(case.directive_exhibit(incident)?),
        fixes: dial_instead(incident, case, &tied)?,
    }))
}

/// Whether nginx could dial the listener at all: a socket's path may be one of another mount namespace.
fn is_visible(incident: &Incident, case: &Case, candidate: &Candidate) -> Result<bool, Gap> {
    let (Place::Unix(path), Source::Unix(list, idx)) = (&candidate.place, &candidate.source) else {
        return Ok(true);
    };
    let Some(socket) = list.get(*idx) else {
        return Ok(false);
    };
    let walk = known(case.walk_as_worker(incident, path))?;
    Ok(walk
        .and_then(|walk| walk.file())
        .is_some_and(|file| socket.is_file(file.device, file.inode, path)))
}

/// The first tie between a listener and the peer.
///
/// What ties speaks of both: the unit or pool that is set to listen where nginx dials runs it, or its unit's journal says
/// that it listened there before it was started anew. A name, a port, a version or a path that is alike ties nothing: a
/// copy of the application bears its name, listens on its port in another namespace, and on its path.
/// A listener that the configuration dials elsewhere is another peer's application, and one whose command line names the
/// dialled place is to listen there too: it only does not yet, or no more. One that began after the failures is why they
/// go on at most, unless its unit is known to have been restarted then.
fn tie(
    incident: &Incident,
    case: &Case,
    candidate: &Candidate,
    owner: Option<&Owner>,
    weighed: &Weighed,
) -> Result<Option<Exhibit>, Gap> {
    if candidate.claimed || candidate.is_to_listen_at(incident) {
        return Ok(None);
    }
    if let Some(owner) = owner {
        return Ok(owner_tie(incident, candidate, owner));
    }
    let (Some(address), Some(since)) = (&incident.address, candidate.holding.since) else {
        return Ok(None);
    };
    // What ran beside the application while that still answered where nginx dials is something else.
    if candidate.ran_beside(weighed.last_answer) || candidate.is_other_service(incident) {
        return Ok(None);
    }
    let holding = &candidate.holding;
    case.listened_before(&holding.units, &holding.pids, address, since)
}

/// That the unit which is meant to listen where nginx dials runs it. A php-fpm runs many pools: what another pool is set
/// to listen on is that pool's.
fn owner_tie(incident: &Incident, candidate: &Candidate, owner: &Owner) -> Option<Exhibit> {
    let is_its = candidate.is_of(owner.unit())
        && candidate.pool.is_none()
        && !candidate.is_other_service(incident)
        && (!candidate.is_late(incident) || owner.was_restarted_in(incident.first_seen));
    let claim = owner.exhibits().into_iter().next();
    claim.filter(|_| is_its)
}

fn tied(candidate: &Candidate, tie: Exhibit) -> Tied {
    Tied {
        who: candidate.holding.who.clone(),
        place: candidate.place.clone(),
        exhibits: candidate
            .source
            .exhibit()
            .into_iter()
            .chain([tie])
            .collect(),
    }
}

fn unproven(
    incident: &Incident,
    case: &Case,
    weighed: &Weighed,
    strangers: &[&Candidate],
) -> Result<Gap, Gap> {
    let why = if weighed.tied.is_empty() {
        "nothing ties one to this peer"
    } else {
        "more than one is tied to this peer"
    };
    let missing = format!(
        "which listener, if any, is the application behind {}",
        incident.peer
    );
    let gap = Gap::undecided(missing, why).learn("ss -ltnxp");
    let seen: Vec<String> = if weighed.tied.is_empty() {
        likely(incident, case, weighed, strangers)?
    } else {
        let tied = weighed.tied.iter();
        tied.map(|tied| format!("{} on {}", tied.who, tied.place))
            .collect()
    };
    Ok(if seen.is_empty() {
        gap
    } else {
        let seen = seen.join(", ");
        gap.leaning(format!("could be meant, but nothing proves it: {seen}"))
    })
}

/// The strangers that may be meant, in words: those that bear the name or differ by a version only, else all of a few. A
/// long list leans nowhere.
fn likely(
    incident: &Incident,
    case: &Case,
    weighed: &Weighed,
    strangers: &[&Candidate],
) -> Result<Vec<String>, Gap> {
    let mut alike = Vec::new();
    let mut others = Vec::new();
    for stranger in strangers {
        if stranger.is_other_service(incident) {
            continue;
        }
        let late = if stranger.is_late(incident) {
            ", started only after the first failure"
        } else {
            ""
        };
        let said = format!("{} on {}{late}", stranger.holding.who, stranger.place);
        if weighed.bears_its_name(incident, stranger) {
            alike.push(said);
        } else if let Some(version) = other_version(incident, case, stranger)? {
            alike.push(format!("{said}{version}"));
        } else {
            others.push(said);
        }
    }
    let mut seen = if alike.is_empty() { others } else { alike };
    if seen.len() > 3 {
        seen.clear();
    }
    Ok(seen)
}

/// What tells of the dialled version of PHP, where a php-fpm's socket differs from the dialled one by a version only.
fn other_version(
    incident: &Incident,
    case: &Case,
    candidate: &Candidate,
) -> Result<Option<String>, Gap> {
    let (Some(PeerAddress::Unix(dialled)), Place::Unix(place)) =
        (&incident.address, &candidate.place)
    else {
        return Ok(None);
    };
    if candidate.holding.kind != Some(Kind::PhpFpm) || !differ_by_version(dialled, place) {
        return Ok(None);
    }
    Ok(Some(match version_in(dialled) {
        Some(version) if !case.is_php_installed(&version)? => {
            format!(", and no php-fpm {version} is installed")
        }
        _ => String::new(),
    }))
}

fn record(probe: &'static str, text: String) -> Exhibit {
    Exhibit::Record {
        probe,
        at: None,
        text,
    }
}
