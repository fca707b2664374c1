//! What makes a listener *the application* of a peer, rather than one more stranger on the host.
//!
//! Strangers listen on every real host, and many of them speak HTTP. A mismatch is confirmed only by a tie (see
//! [`ties`]); everything else is a hint.

pub(crate) mod apart;
mod candidate;
mod dial;
mod strangers;
mod version;
mod words;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use facts::application::Kind;
use facts::{Exhibit, Gap, PeerAddress};
use jiff::Timestamp;

use crate::case::{Case, Owner, Site, known, network};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Proof, Verdict};
use candidate::{Candidate, Source, candidates};
pub(crate) use dial::redial;
use dial::{dial_instead, reachable_as};
use version::{differ_by_version, version_in};
use words::{is_another_deployment, is_telling, names_it, unit_stem, words_of};

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
    /// Whether a name on its command line is all that ties it.
    by_name: bool,
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
/// One listener alone may be tied: of two that are, nobody knows which is meant. Where none is, the only listener on the
/// dialled port may be it (see [`Weighed::on_the_same_port`]).
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
        let none = format!("none of the {others} other listeners is {kind}");
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
    if weighed.tied.is_empty()
        && let Some(found) = strangers.iter().find_map(|candidate| {
            let tie = weighed.on_the_same_port(incident, candidate)?;
            Some(tied(candidate, tie))
        })
    {
        return Ok(Found::One(found));
    }
    Ok(Found::Unproven(unproven(incident, &weighed, &strangers)))
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
    site: SiteNames,
}

/// What the configuration calls the peer's application.
struct SiteNames {
    /// Names that tie: the upstream's, the owning unit's.
    tying: Vec<String>,
    /// The words of these, and of the servers' names.
    words: BTreeSet<String>,
    /// Whether the directive says `localhost`.
    says_localhost: bool,
}

impl SiteNames {
    /// Whether a listener is called something else: then it is more likely another's application.
    fn is_called_otherwise(&self, candidate: &Candidate) -> bool {
        let names = candidate.names();
        let words = words_of(names.iter().map(String::as_str));
        let is_telling = self.words.iter().any(|word| is_telling(word));
        is_telling && !words.is_empty() && words.is_disjoint(&self.words)
    }
}

impl Weighed {
    /// What makes the only listener on the dialled port the application. To be the only one does not suffice: a store, a
    /// shell or a debugger may stand there as well.
    ///
    /// `localhost` names both families, so nginx does mean that listener; of any other it has to be known that it serves
    /// what nginx would ask of it, and nothing may say that it serves somebody else.
    fn on_the_same_port(&self, incident: &Incident, candidate: &Candidate) -> Option<Exhibit> {
        let on_port = self.strangers.iter();
        let on_port = on_port.filter(|stranger| stranger.is_on_port_of(incident));
        if !self.may_be(incident, candidate) || on_port.count() != 1 {
            return None;
        }
        if self.site.says_localhost && is_of_the_other_family(incident, &candidate.place) {
            let text = "the directive says localhost, which is both 127.0.0.1 and [::1], and nothing else listens on that port";
            return Some(record("sockets", text.to_owned()));
        }
        let is_server = self.is_server(incident, candidate);
        let kind = candidate.holding.kind.filter(|_| is_server)?;
        let text = format!(
            "the only listener on that port, a {} that nothing else dials",
            kind.name()
        );
        Some(record("sockets", text))
    }

    /// Whether it may be the application, as far as the host tells: it stands on the port, and nothing says that it is
    /// another's.
    fn may_be(&self, incident: &Incident, candidate: &Candidate) -> bool {
        !self.is_owned
            && candidate.is_on_port_of(incident)
            && candidate.holding.is_held
            && !candidate.claimed
            && !candidate.is_late(incident)
            && !candidate.is_other_service(incident)
            && !candidate.ran_beside(self.last_answer)
            && candidate.may_speak(incident.protocol)
    }

    /// Whether it serves what nginx asks, and is not called as if it served somebody else.
    fn is_server(&self, incident: &Incident, candidate: &Candidate) -> bool {
        candidate.serves(incident.protocol)
            && !self.site.is_called_otherwise(candidate)
            && !self.is_another_deployment(candidate)
    }

    fn is_another_deployment(&self, candidate: &Candidate) -> bool {
        let lines = &candidate.holding.command_lines;
        lines
            .iter()
            .any(|line| is_another_deployment(line, &self.site.words))
    }

    /// Of those that a name ties, whether another application server bears the name too: nobody knows which is meant.
    fn rivals(&self, incident: &Incident, found: &[Tied]) -> Vec<Tied> {
        let is_on_port = |tied: &Tied| tied.is_on_port_of(incident);
        if !found.iter().any(|tied| tied.by_name) || found.iter().any(is_on_port) {
            return Vec::new();
        }
        let bears_name = |stranger: &&Candidate| {
            let lines = &stranger.holding.command_lines;
            let tying = &self.site.tying;
            !stranger.claimed
                && !stranger.is_late(incident)
                && !stranger.is_other_service(incident)
                && stranger.serves(incident.protocol)
                && !found.iter().any(|tied| tied.who == stranger.holding.who)
                && tying
                    .iter()
                    .any(|name| lines.iter().any(|line| names_it(line, name)))
        };
        let rivals = self.strangers.iter().filter(bears_name);
        rivals
            .map(|rival| tied(rival, record("process", "it bears the name too".to_owned())))
            .collect()
    }
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
        let sole_pool = case.sole_unclaimed_pool(incident)?;
        let mut weighed = Weighed {
            tied: Vec::new(),
            strangers: Vec::new(),
            is_owned: owner.is_some(),
            owner_down,
            last_answer: known(case.last_answer(incident))?.flatten(),
            site: site_names(incident, case, owner.as_ref())?,
        };
        let mut found = Vec::new();
        for candidate in candidates {
            let tie = tie(
                incident,
                case,
                &candidate,
                owner.as_ref(),
                sole_pool.as_deref(),
                &weighed,
            )?;
            match tie {
                Some(tie) if is_visible(incident, case, &candidate)? => {
                    let by_name = tie.by_name;
                    found.push(Tied {
                        by_name,
                        ..tied(&candidate, tie.exhibit)
                    });
                }
                _ => weighed.strangers.push(candidate),
            }
        }
        on_the_port(incident, &mut found);
        one_of_many(incident, &mut found);
        found.extend(weighed.rivals(incident, &found));
        weighed.tied = found;
        Ok(weighed)
    })
}

fn site_names(incident: &Incident, case: &Case, owner: Option<&Owner>) -> Result<SiteNames, Gap> {
    let sites = known(case.sites(incident))?.unwrap_or_default();
    let upstream = incident.upstream.as_deref();
    let unit = owner.map(|owner| unit_stem(owner.unit()));
    // A domain's last part names nobody.
    let servers = sites.iter().flat_map(|site| &site.servers);
    let servers = servers.map(|server| server.rsplit_once('.').map_or("", |(name, _)| name));
    let tying = || upstream.into_iter().chain(unit);
    Ok(SiteNames {
        tying: tying()
            .filter(|name| is_telling(name))
            .map(str::to_owned)
            .collect(),
        words: words_of(tying().chain(servers)),
        says_localhost: sites.iter().any(Site::says_localhost),
    })
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
            // Even at the right address nobody would be reached.
            Err(rule) => return Ok(Verdict::RuledOut(proof.and(again).and(rule))),
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

/// What makes a listener the application.
struct Tie {
    exhibit: Exhibit,
    by_name: bool,
}

impl From<Exhibit> for Tie {
    fn from(exhibit: Exhibit) -> Self {
        Self {
            exhibit,
            by_name: false,
        }
    }
}

/// The first tie between a listener and the peer.
///
/// In this order: the same unit; it said in its own log that it listened there before; the same pool; a socket of another
/// version of PHP; a name. A listener that the configuration dials elsewhere is another peer's application, and one whose
/// command line names the dialled place is to listen there too: it only does not yet, or no more. One that began after the
/// failures is why they go on at most, unless its unit is known to have been restarted then.
fn tie(
    incident: &Incident,
    case: &Case,
    candidate: &Candidate,
    owner: Option<&Owner>,
    sole_pool: Option<&str>,
    weighed: &Weighed,
) -> Result<Option<Tie>, Gap> {
    if candidate.claimed || candidate.is_to_listen_at(incident) {
        return Ok(None);
    }
    let is_late = candidate.is_late(incident);
    if let Some(owner) = owner
        && candidate.is_of(owner.unit())
        && !candidate.is_other_service(incident)
        && (!is_late || owner.was_restarted_in(incident.first_seen))
    {
        return Ok(owner.exhibits().into_iter().next().map(Tie::from));
    }
    if let Some(address) = &incident.address
        && let Some(said) = case.listened_before(&candidate.holding.units, address)?
    {
        return Ok(Some(said.into()));
    }
    // Likeness ties nothing that ran beside the application while that still answered where nginx dials.
    if is_late || candidate.ran_beside(weighed.last_answer) || candidate.is_other_service(incident)
    {
        return Ok(None);
    }
    if let Some(tie) = pool_tie(incident, case, candidate, sole_pool, weighed)? {
        return Ok(Some(tie.into()));
    }
    if owner.is_none()
        && let Some(tie) = version_tie(incident, case, candidate)?
    {
        return Ok(Some(tie.into()));
    }
    Ok(name_tie(incident, candidate, weighed))
}

/// The pool of the upstream's name; or the only one there is, unless it is called otherwise than the site.
fn pool_tie(
    incident: &Incident,
    case: &Case,
    candidate: &Candidate,
    sole_pool: Option<&str>,
    weighed: &Weighed,
) -> Result<Option<Exhibit>, Gap> {
    let Some(pool) = candidate.pool.as_deref() else {
        return Ok(None);
    };
    if incident.upstream.as_deref() == Some(pool) {
        return Ok(Some(record(
            "process",
            format!("the php-fpm pool bears the upstream's name, {pool}"),
        )));
    }
    let is_meant = Some(pool) == sole_pool
        && !weighed.site.is_called_otherwise(candidate)
        && !may_be_of_another_version(incident, case, candidate)?;
    Ok(is_meant.then(|| {
        record(
            "process",
            format!("[{pool}] is the only php-fpm pool, and nothing else dials it"),
        )
    }))
}

/// Whether nginx dials the socket of a version that the listener is not of, and that version may be installed: then it is
/// that one which does not run.
fn may_be_of_another_version(
    incident: &Incident,
    case: &Case,
    candidate: &Candidate,
) -> Result<bool, Gap> {
    let (Some(PeerAddress::Unix(dialled)), Place::Unix(place)) =
        (&incident.address, &candidate.place)
    else {
        return Ok(false);
    };
    match version_in(dialled) {
        Some(version) if version_in(place).as_ref() != Some(&version) => {
            Ok(!is_packaged(candidate) || case.is_php_installed(&version)?)
        }
        _ => Ok(false),
    }
}

/// Whether a php-fpm is the distribution's: then another version of it would stand in known places.
fn is_packaged(candidate: &Candidate) -> bool {
    let main = candidate.holding.main_config.as_deref();
    main.is_some_and(|main| main.starts_with("/etc/php") && main.ends_with("fpm/php-fpm.conf"))
}

/// The socket of another version of PHP than nginx dials, where that one is not installed.
fn version_tie(
    incident: &Incident,
    case: &Case,
    candidate: &Candidate,
) -> Result<Option<Exhibit>, Gap> {
    let (Some(PeerAddress::Unix(dialled)), Place::Unix(place)) =
        (&incident.address, &candidate.place)
    else {
        return Ok(None);
    };
    let is_php = candidate.holding.kind == Some(Kind::PhpFpm) && is_packaged(candidate);
    if !is_php
        || !differ_by_version(dialled, place)
        || may_be_of_another_version(incident, case, candidate)?
    {
        return Ok(None);
    }
    let gone = version_in(dialled).map_or_else(String::new, |version| {
        format!(", and no php-fpm {version} is installed")
    });
    Ok(Some(record(
        "sockets",
        format!(
            "{} differs from the dialled path by its version only{gone}",
            place.display()
        ),
    )))
}

/// A unit of the upstream's name; or an application server of that name: a word in a path, or of a program that serves
/// nothing to a proxy, names anything.
fn name_tie(incident: &Incident, candidate: &Candidate, weighed: &Weighed) -> Option<Tie> {
    if !candidate.may_speak(incident.protocol) {
        return None;
    }
    let units = &candidate.holding.units;
    let is_called = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
    for name in &weighed.site.tying {
        if let Some(unit) = units.iter().find(|unit| unit_stem(unit) == name) {
            return Some(
                record(
                    "unit",
                    format!("it runs as {unit}, named like the upstream"),
                )
                .into(),
            );
        }
        let is_named = candidate.names().iter().any(|own| is_called(own, name));
        if is_named
            && candidate.speaks(incident.protocol)
            && !weighed.is_another_deployment(candidate)
        {
            let line = candidate.holding.command_lines.first()?;
            return Some(Tie {
                exhibit: record(
                    "process",
                    format!("its application is called {name}: {line}"),
                ),
                by_name: true,
            });
        }
    }
    None
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
        by_name: false,
    }
}

fn unproven(incident: &Incident, weighed: &Weighed, strangers: &[&Candidate]) -> Gap {
    let gap = Gap::undecided(
        format!(
            "which listener, if any, is the application behind {}",
            incident.peer
        ),
        if weighed.tied.is_empty() {
            "nothing ties one to this peer"
        } else {
            "more than one is tied to this peer"
        },
    )
    .learn("ss -ltnxp");
    let seen: Vec<String> = if weighed.tied.is_empty() {
        let could_be = strangers
            .iter()
            .filter(|stranger| !stranger.is_other_service(incident));
        could_be
            .map(|stranger| {
                let late = if stranger.is_late(incident) {
                    ", started only after the first failure"
                } else {
                    ""
                };
                format!("{} on {}{late}", stranger.holding.who, stranger.place)
            })
            .collect()
    } else {
        weighed
            .tied
            .iter()
            .map(|tied| format!("{} on {}", tied.who, tied.place))
            .collect()
    };
    // A long list of strangers leans nowhere.
    if seen.is_empty() || (weighed.tied.is_empty() && seen.len() > 3) {
        return gap;
    }
    gap.leaning(format!(
        "could be meant, but nothing proves it: {}",
        seen.join(", ")
    ))
}

fn record(probe: &'static str, text: String) -> Exhibit {
    Exhibit::Record {
        probe,
        at: None,
        text,
    }
}
