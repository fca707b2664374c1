//! What makes a listener *the application* of a peer, rather than one more stranger on the host.
//!
//! Strangers listen on every real host, and many of them speak HTTP. A mismatch is confirmed only by a tie (see
//! [`ties`]); everything else is a hint.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use facts::application::Kind;
use facts::process::Process;
use facts::{Exhibit, Gap, PeerAddress};
use jiff::Timestamp;
use log::error::Protocol;

use crate::case::{Case, Listener, Owner, Site, UnixListener, known, network};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A TCP address; may be a wildcard.
    Tcp(SocketAddr),
    /// A unix socket's path.
    Unix(PathBuf),
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

/// What looking for the application found.
pub(crate) enum Found {
    /// Exactly one listener is tied.
    One(Tied),
    /// Nothing listens that could be it; the exhibit says where was looked.
    NoCandidates(Exhibit),
    /// Something listens, but nothing ties it (or several are tied).
    Unproven(Gap),
}

/// A listener that might be the application.
struct Candidate {
    place: Place,
    source: Source,
    holding: Rc<Holding>,
    /// Some pass of the configuration dials it.
    claimed: bool,
    /// The php-fpm pool that listens there.
    pool: Option<String>,
}

/// The listener itself, in the list that it was found in.
enum Source {
    Tcp(Rc<Vec<Listener>>, usize),
    Unix(Rc<Vec<UnixListener>>, usize),
}

impl Source {
    fn exhibit(&self) -> Option<Exhibit> {
        match self {
            Self::Tcp(list, idx) => list.get(*idx).map(Listener::exhibit),
            Self::Unix(list, idx) => list.get(*idx).map(UnixListener::exhibit),
        }
    }
}

impl Candidate {
    /// Whether its kind speaks what nginx would speak to it. HTTP is what most programs of no known kind speak; another
    /// protocol has to be known.
    fn may_speak(&self, protocol: Option<Protocol>) -> bool {
        match protocol {
            Some(Protocol::Fastcgi) => self.holding.kind == Some(Kind::PhpFpm),
            Some(Protocol::Uwsgi | Protocol::Suwsgi | Protocol::Scgi) => {
                self.holding.kind == Some(Kind::Uwsgi)
            }
            Some(Protocol::Http | Protocol::Https) => self.holding.kind != Some(Kind::PhpFpm),
            _ => true,
        }
    }

    /// Whether it ran already when the peer last answered: then it is another program than the one that answered.
    fn ran_beside(&self, last_answer: Option<Timestamp>) -> bool {
        self.holding
            .since
            .zip(last_answer)
            .is_some_and(|(since, answered)| since <= answered)
    }
}

/// Looks for the application among the listeners, and says whether it stands at a place of the wanted kind.
///
/// One listener alone may be tied: of two that are, nobody knows which is meant. Where none is, the only listener on the
/// dialled port is it.
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
        && let Some(only) = strangers
            .iter()
            .find(|candidate| weighed.is_alone(incident, candidate))
    {
        let tie = record("sockets", "the only listener on that port".to_owned());
        return Ok(Found::One(tied(only, tie)));
    }
    Ok(Found::Unproven(unproven(
        incident,
        &weighed.tied,
        &strangers,
    )))
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
}

impl Weighed {
    /// Whether a stranger is the only listener on the dialled port; whoever it is, it is not nginx, and nobody dials it.
    fn is_alone(&self, incident: &Incident, candidate: &Candidate) -> bool {
        let on_port = self.strangers.iter();
        let on_port = on_port.filter(|stranger| stranger.is_on_port_of(incident));
        !self.is_owned
            && candidate.is_on_port_of(incident)
            && candidate.holding.is_held
            && !candidate.claimed
            && !candidate.ran_beside(self.last_answer)
            && candidate.may_speak(incident.protocol)
            && on_port.count() == 1
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
        let names = names(incident, owner.as_ref().map(Owner::unit));
        let last_answer = known(case.last_answer(incident))?.flatten();
        let (mut found, mut strangers) = (Vec::new(), Vec::new());
        for candidate in candidates {
            let tie = tie(
                incident,
                case,
                &candidate,
                owner.as_ref(),
                &names,
                sole_pool.as_deref(),
                last_answer,
            )?;
            match tie {
                Some(tie) if is_visible(incident, case, &candidate)? => {
                    found.push(tied(&candidate, tie));
                }
                _ => strangers.push(candidate),
            }
        }
        on_the_port(incident, &mut found);
        one_of_many(incident, &mut found);
        Ok(Weighed {
            tied: found,
            strangers,
            is_owned: owner.is_some(),
            owner_down,
            last_answer,
        })
    })
}

/// Of several that are tied, the one on the dialled port is meant.
fn on_the_port(incident: &Incident, found: &mut Vec<Tied>) {
    let port = incident.address.as_ref().and_then(PeerAddress::port);
    let is_on_port =
        |tied: &Tied| matches!(&tied.place, Place::Tcp(address) if Some(address.port()) == port);
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

/// Whether a listener on this address would answer on `ip`, were the port the right one.
fn reachable_as(listener: SocketAddr, ip: IpAddr) -> bool {
    listener.ip() == ip || (listener.ip().is_unspecified() && (listener.is_ipv6() || ip.is_ipv4()))
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

/// The first tie between a listener and the peer, as an exhibit.
///
/// In this order: the same unit; it said in its own log that it listened there before; the same pool; a socket that
/// differs by a version only; a name. A listener that the configuration dials elsewhere is another peer's application,
/// and one whose command line names the dialled place is to listen there too: it only does not yet, or no more.
fn tie(
    incident: &Incident,
    case: &Case,
    candidate: &Candidate,
    owner: Option<&Owner>,
    names: &[String],
    sole_pool: Option<&str>,
    last_answer: Option<Timestamp>,
) -> Result<Option<Exhibit>, Gap> {
    if candidate.claimed || candidate.is_to_listen_at(incident) {
        return Ok(None);
    }
    if let Some(owner) = owner
        && candidate
            .holding
            .units
            .iter()
            .any(|unit| unit == owner.unit())
    {
        return Ok(owner.exhibits().into_iter().next());
    }
    if let Some(address) = &incident.address
        && let Some(said) = case.listened_before(&candidate.holding.units, address)?
    {
        return Ok(Some(said));
    }
    // Likeness ties nothing that ran beside the application while that still answered where nginx dials.
    if candidate.ran_beside(last_answer) {
        return Ok(None);
    }
    if let Some(pool) = &candidate.pool {
        if Some(pool.as_str()) == sole_pool {
            return Ok(Some(record(
                "process",
                format!("[{pool}] is the only php-fpm pool, and nothing else dials it"),
            )));
        }
        if incident.upstream.as_deref() == Some(pool) {
            return Ok(Some(record(
                "process",
                format!("the php-fpm pool bears the upstream's name, {pool}"),
            )));
        }
    }
    if let (Some(PeerAddress::Unix(dialled)), Place::Unix(place)) =
        (&incident.address, &candidate.place)
        && owner.is_none()
        && differ_by_version(dialled, place)
    {
        return Ok(Some(record(
            "sockets",
            format!(
                "{} differs from the dialled path by its version only",
                place.display()
            ),
        )));
    }
    if candidate.holding.is_store && incident.protocol.is_some_and(is_for_applications) {
        return Ok(None);
    }
    for name in names {
        if let Some(unit) = candidate
            .holding
            .units
            .iter()
            .find(|unit| unit_stem(unit) == name)
        {
            return Ok(Some(record(
                "unit",
                format!("it runs as {unit}, named like the upstream"),
            )));
        }
        // Exporters, shells and stores bear an application's name too: only what serves applications counts.
        if candidate.holding.kind.is_none() || !candidate.may_speak(incident.protocol) {
            continue;
        }
        if let Some(line) = candidate
            .holding
            .command_lines
            .iter()
            .find(|line| names_it(line, name))
        {
            return Ok(Some(record(
                "process",
                format!("its command line names {name}: {line}"),
            )));
        }
    }
    Ok(None)
}

impl Candidate {
    /// Whether it stands on the dialled port, at whatever address.
    fn is_on_port_of(&self, incident: &Incident) -> bool {
        match &self.place {
            Place::Tcp(place) => {
                incident.address.as_ref().and_then(PeerAddress::port) == Some(place.port())
            }
            Place::Unix(_) => false,
        }
    }

    /// Whether its command line names the place that nginx dials, where it listens at another.
    fn is_to_listen_at(&self, incident: &Incident) -> bool {
        match (&incident.address, &self.place) {
            (Some(PeerAddress::Tcp(dialled)), Place::Tcp(place))
                if dialled.port() == place.port() =>
            {
                false
            }
            (Some(PeerAddress::Tcp(dialled)), _) => {
                let port = dialled.port().to_string();
                self.holding
                    .command_lines
                    .iter()
                    .any(|line| names_it(line, &port))
            }
            (Some(PeerAddress::Unix(dialled)), _) => {
                let path = dialled.to_string_lossy();
                self.holding
                    .command_lines
                    .iter()
                    .any(|line| names_it(line, &path))
            }
            (None, _) => false,
        }
    }
}

/// Programs that stand beside an application and bear its name, but never answer its requests.
const STORES: [&[u8]; 12] = [
    b"beam.smp",
    b"mariadbd",
    b"memcached",
    b"mongod",
    b"mysqld",
    b"pgbouncer",
    b"postgres",
    b"redis-sentinel",
    b"redis-server",
    b"rsyslogd",
    b"sshd",
    b"valkey-server",
];

fn is_store(holders: &[Process]) -> bool {
    holders
        .iter()
        .any(|holder| STORES.contains(&holder.comm.as_slice()))
}

/// Whether a protocol is one that stores and the like do not speak.
fn is_for_applications(protocol: Protocol) -> bool {
    !matches!(protocol, Protocol::Memcached | Protocol::Stream)
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

fn unproven(incident: &Incident, found: &[Tied], strangers: &[&Candidate]) -> Gap {
    let gap = Gap::undecided(
        format!(
            "which listener, if any, is the application behind {}",
            incident.peer
        ),
        if found.is_empty() {
            "nothing ties one to this peer"
        } else {
            "more than one is tied to this peer"
        },
    )
    .learn("ss -ltnxp");
    let seen: Vec<String> = if found.is_empty() {
        strangers
            .iter()
            .take(3)
            .map(|stranger| format!("{} on {}", stranger.holding.who, stranger.place))
            .collect()
    } else {
        found
            .iter()
            .map(|tied| format!("{} on {}", tied.who, tied.place))
            .collect()
    };
    // A long list of strangers leans nowhere.
    if found.is_empty() && strangers.len() > 3 {
        return gap;
    }
    gap.leaning(format!(
        "could be meant, but nothing proves it: {}",
        seen.join(", ")
    ))
}

/// Every listener but nginx's own, and but what stands where nginx dials.
fn candidates(incident: &Incident, case: &Case) -> Result<Vec<Candidate>, Gap> {
    let (tcp, unix) = (case.listeners(incident), case.unix_listeners(incident));
    let (tcp, unix) = (tcp?, unix?);
    // What all of them need, before any of them: a host may have tens of thousands.
    let (dialled, pools) = (case.dialled_elsewhere(incident), case.pools());
    let (dialled, _) = (dialled?, pools?);
    let mut holdings = Holdings::default();
    let mut found = Vec::new();
    for (idx, listener) in tcp
        .iter()
        .enumerate()
        .filter(|(_, listener)| !listener.is_nginx())
    {
        let address = PeerAddress::Tcp(listener.address);
        found.push(holdings.of(case, &listener.holders).and_then(|holding| {
            Ok(Candidate {
                claimed: dialled.reaches(&address),
                pool: case.pool_at(&Place::Tcp(listener.address))?,
                place: Place::Tcp(listener.address),
                source: Source::Tcp(Rc::clone(&tcp), idx),
                holding,
            })
        }));
    }
    for (idx, listener) in unix
        .iter()
        .enumerate()
        .filter(|(_, listener)| !listener.is_nginx())
    {
        let Some(path) = listener.path.clone() else {
            continue;
        };
        let address = PeerAddress::Unix(path.clone());
        if incident.address.as_ref() == Some(&address) {
            continue;
        }
        found.push(holdings.of(case, &listener.holders).and_then(|holding| {
            let place = Place::Unix(path);
            Ok(Candidate {
                claimed: dialled.reaches(&address),
                pool: case.pool_at(&place)?,
                place,
                source: Source::Unix(Rc::clone(&unix), idx),
                holding,
            })
        }));
    }
    // What each of them asks for is asked for in one round.
    found.into_iter().collect()
}

/// What is known of the processes that hold a socket; many sockets share it.
struct Holding {
    who: String,
    /// Units they run in.
    units: Vec<String>,
    /// Their command lines and their parents', as text.
    command_lines: Vec<String>,
    /// Whether any is known: else it may be nginx itself.
    is_held: bool,
    /// A program that is no application.
    is_store: bool,
    /// Since when the oldest runs.
    since: Option<Timestamp>,
    /// What kind of application it is, where that is known.
    kind: Option<Kind>,
}

/// The holdings met so far, by their processes.
#[derive(Default)]
struct Holdings(BTreeMap<Vec<u32>, Result<Rc<Holding>, Gap>>);

impl Holdings {
    fn of(&mut self, case: &Case, holders: &[Process]) -> Result<Rc<Holding>, Gap> {
        let pids: Vec<u32> = holders.iter().map(|holder| holder.pid).collect();
        self.0
            .entry(pids)
            .or_insert_with(|| Holding::of(case, holders).map(Rc::new))
            .clone()
    }
}

impl Holding {
    fn of(case: &Case, holders: &[Process]) -> Result<Self, Gap> {
        Ok(Self {
            who: network::who(holders),
            units: case.units_of(holders)?,
            command_lines: case.command_lines_of(holders)?,
            is_held: !holders.is_empty(),
            is_store: is_store(holders),
            since: holders.iter().map(|holder| holder.start).min(),
            kind: holders
                .iter()
                .find_map(|holder| Kind::recognise(&holder.args)),
        })
    }
}

/// Names that would tie a command line to the peer: the upstream's, the owning unit's.
fn names(incident: &Incident, owner: Option<&str>) -> Vec<String> {
    let upstream = incident.upstream.iter().map(String::as_str);
    let unit = owner.into_iter().map(unit_stem);
    upstream
        .chain(unit)
        .filter(|name| is_telling(name))
        .map(str::to_owned)
        .collect()
}

/// Words that stand in any command line, or name no application in particular.
const COMMON: [&str; 40] = [
    "api",
    "app",
    "application",
    "apps",
    "backend",
    "backends",
    "bin",
    "default",
    "fastcgi",
    "fpm",
    "front",
    "frontend",
    "gunicorn",
    "home",
    "http",
    "https",
    "java",
    "localhost",
    "main",
    "nginx",
    "node",
    "opt",
    "php",
    "php-fpm",
    "prod",
    "proxy",
    "python",
    "python3",
    "run",
    "server",
    "service",
    "site",
    "srv",
    "upstream",
    "usr",
    "uvicorn",
    "uwsgi",
    "var",
    "web",
    "www",
];

fn is_telling(name: &str) -> bool {
    name.len() >= 3
        && name.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !COMMON.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether a command line holds the name as a word of its own. `shop` is in `/srv/shop/run`, `shop.wsgi` and
/// `--name=shop`, but not in `shop-staging`, `shop_api` or `postgres://shop@db`.
fn names_it(command_line: &str, name: &str) -> bool {
    let is_word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    command_line
        .split_whitespace()
        .filter(|arg| !arg.contains("://") && !arg.contains('@'))
        .flat_map(|arg| arg.split(|char: char| !is_word(char)))
        .any(|word| word.eq_ignore_ascii_case(name))
}

fn unit_stem(unit: &str) -> &str {
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    stem.split_once('@').map_or(stem, |(template, _)| template)
}

/// Whether two socket paths stand in one directory and are the same but for a dotted version, which one of them may
/// lack: `php8.1-fpm.sock`, `php8.2-fpm.sock`, `php-fpm.sock`. A bare number may as well count instances.
pub(crate) fn differ_by_version(one: &Path, other: &Path) -> bool {
    let names = (
        one.file_name().and_then(OsStr::to_str),
        other.file_name().and_then(OsStr::to_str),
    );
    let (Some(first), Some(second)) = names else {
        return false;
    };
    let ((first, dotted), (second, also_dotted)) = (unversioned(first), unversioned(second));
    one != other && one.parent() == other.parent() && (dotted || also_dotted) && first == second
}

/// A file name without its digits and the dots between them, and whether there was such a dot.
fn unversioned(name: &str) -> (String, bool) {
    let bytes = name.as_bytes();
    let is_digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let mut dotted = false;
    let kept = name
        .char_indices()
        .filter(|&(at, char)| {
            let in_version = char == '.' && is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
            dotted |= in_version;
            !(in_version || char.is_ascii_digit())
        })
        .map(|(_, char)| char)
        .collect();
    (kept, dotted)
}

/// The fix of every mismatch: make nginx dial where the application listens.
pub(crate) fn dial_instead(incident: &Incident, case: &Case, tied: &Tied) -> Result<Vec<Fix>, Gap> {
    let place = dialable(incident, &tied.place);
    let align = Fix {
        summary: format!("bind the application to {}", incident.peer),
        safety: Safety::DisplayOnly,
        steps: vec![Step::Advice {
            text: format!("make {} listen on {} again", tied.who, incident.peer),
        }],
        verify: None,
    };
    let edits: Vec<Step> = case
        .sites(incident)?
        .iter()
        .filter_map(|site| edit(site, &place))
        .collect();
    if edits.is_empty() {
        return Ok(vec![align]);
    }
    let mut steps = edits;
    steps.extend(case.reload_steps(incident)?);
    Ok(vec![
        Fix {
            summary: format!("dial {place}"),
            safety: Safety::Unsafe,
            steps,
            verify: Some(AGAIN.to_owned()),
        },
        align,
    ])
}

/// The place as something nginx can dial: a wildcard listener is dialled at the address that nginx uses already.
fn dialable(incident: &Incident, place: &Place) -> Place {
    match place {
        Place::Tcp(listener) if listener.ip().is_unspecified() => {
            let ip = match incident.address.as_ref().and_then(PeerAddress::ip) {
                Some(ip) if reachable_as(*listener, ip) => ip,
                _ if listener.is_ipv4() => IpAddr::from([127, 0, 0, 1]),
                _ => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            };
            Place::Tcp(SocketAddr::new(ip, listener.port()))
        }
        place => place.clone(),
    }
}

fn edit(site: &Site, place: &Place) -> Option<Step> {
    let new = site.text_with(place)?;
    Some(Step::Edit {
        file: site.span.file.clone(),
        line: site.span.line,
        old: site.span.text.clone(),
        new,
    })
}

fn record(probe: &'static str, text: String) -> Exhibit {
    Exhibit::Record {
        probe,
        at: None,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ties_only_as_a_word_of_its_own() {
        assert!(names_it("/srv/shop/venv/bin/gunicorn shop.wsgi", "shop"));
        assert!(names_it("gunicorn --name=shop", "shop"));
        assert!(!names_it("gunicorn --name=shop-front", "shop"));
        assert!(!names_it(
            "node admin.js --db postgres://shop@db/shop",
            "shop"
        ));
        assert!(!names_it("/srv/workshop/run", "shop"));
        assert!(!names_it("gunicorn shop2:app", "shop"));
        assert!(!names_it("", "shop"));
    }

    #[test]
    fn a_common_word_ties_nothing() {
        assert!(!is_telling("app"));
        assert!(!is_telling("Backend"));
        assert!(!is_telling("10"));
        assert!(is_telling("shopfront"));
    }

    #[test]
    fn socket_paths_may_differ_by_a_version_only() {
        let php = |version: &str| format!("/run/php/php{version}-fpm.sock");
        assert!(differ_by_version(
            Path::new(&php("8.1")),
            Path::new(&php("8.2"))
        ));
        assert!(differ_by_version(
            Path::new(&php("7.4")),
            Path::new(&php("8"))
        ));
        assert!(!differ_by_version(
            Path::new("/run/app1.sock"),
            Path::new("/run/app2.sock")
        ));
        assert!(differ_by_version(
            Path::new("/run/php/php-fpm.sock"),
            Path::new(&php("8.2"))
        ));
        assert!(!differ_by_version(
            Path::new(&php("8.1")),
            Path::new("/run/other/php8.2-fpm.sock")
        ));
        assert!(!differ_by_version(
            Path::new("/run/a.sock"),
            Path::new("/run/b.sock")
        ));
        assert!(!differ_by_version(
            Path::new(&php("8.1")),
            Path::new(&php("8.1"))
        ));
    }

    #[test]
    fn a_unit_is_known_by_its_stem() {
        assert_eq!(unit_stem("shop.service"), "shop");
        assert_eq!(unit_stem("shop@blue.service"), "shop");
    }
}
