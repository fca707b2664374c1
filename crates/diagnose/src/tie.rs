//! What makes a listener *the application* of a peer, rather than one more stranger on the host.
//!
//! Strangers listen on every real host, and many of them speak HTTP. A mismatch is confirmed only by a tie (see
//! [`ties`]); everything else is a hint.

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use facts::{Exhibit, Gap, PeerAddress};

use crate::case::{Case, Listener, Site, UnixListener, known};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

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
    who: String,
    exhibit: Exhibit,
    /// Units the holders run in.
    units: Vec<String>,
    /// Command lines of the holders and their parents, as text.
    command_lines: Vec<String>,
    /// Some pass of the configuration dials it.
    claimed: bool,
    /// The php-fpm pool that listens there.
    pool: Option<String>,
}

/// Looks for the application among the listeners that stand at a place of this kind.
pub(crate) fn find(
    incident: &Incident,
    case: &Case,
    wanted: impl Fn(&Place) -> bool,
) -> Result<Found, Gap> {
    let candidates = candidates(incident, case, wanted)?;
    choose(incident, case, candidates)
}

/// The same for listeners on one port, where being the only one is enough of a tie unless a unit is meant to listen there:
/// then only that unit's listener is the application.
pub(crate) fn find_on_port(
    incident: &Incident,
    case: &Case,
    port: u16,
    wanted: impl Fn(&Place) -> bool,
) -> Result<Found, Gap> {
    let on_port = candidates(
        incident,
        case,
        |place| matches!(place, Place::Tcp(at) if at.port() == port),
    )?;
    let alone = on_port.len() == 1 && known(case.owner(incident))?.flatten().is_none();
    let mut candidates: Vec<Candidate> = on_port
        .into_iter()
        .filter(|candidate| wanted(&candidate.place))
        .collect();
    if alone && candidates.len() == 1 {
        let candidate = candidates.remove(0);
        let only = record("sockets", format!("the only listener on port {port}"));
        return Ok(Found::One(tied(candidate, only)));
    }
    choose(incident, case, candidates)
}

/// Whether a listener on this address would answer on `ip`, were the port the right one.
pub(crate) fn reachable_as(listener: SocketAddr, ip: IpAddr) -> bool {
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
    let tied = match found {
        Found::One(tied) => tied,
        Found::NoCandidates(looked) => return Ok(Verdict::RuledOut(proof.and(looked))),
        Found::Unproven(gap) => return Err(gap),
    };
    let again = case.still_failing(incident)?;
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!(
            "{} listens on {}, nginx dials {}{felt}",
            tied.who, tied.place, incident.peer
        ),
        proof: proof
            .and(again)
            .with(tied.exhibits.iter().cloned())
            .with(case.directive_exhibit(incident)?),
        fixes: dial_instead(incident, case, &tied)?,
    }))
}

fn choose(incident: &Incident, case: &Case, candidates: Vec<Candidate>) -> Result<Found, Gap> {
    if candidates.is_empty() {
        return Ok(Found::NoCandidates(record(
            "sockets",
            "nothing else listens that could be the application".to_owned(),
        )));
    }
    let owner = known(case.owner(incident))?.flatten();
    if let Some(owner) = &owner
        && owner.is_down()
        && let Some(exhibit) = owner.exhibits().into_iter().next()
    {
        return Ok(Found::NoCandidates(exhibit));
    }
    let sole_pool = case.sole_unclaimed_pool(incident)?;
    let names = names(incident, owner.as_ref().map(crate::case::Owner::unit));
    let mut found = Vec::new();
    let mut strangers = Vec::new();
    for candidate in candidates {
        match tie(
            incident,
            case,
            &candidate,
            owner.as_ref(),
            &names,
            sole_pool.as_deref(),
        )? {
            Some(tie) => found.push(tied(candidate, tie)),
            None => strangers.push(candidate),
        }
    }
    if found.len() == 1 {
        return Ok(Found::One(found.remove(0)));
    }
    Ok(Found::Unproven(unproven(incident, &found, &strangers)))
}

/// The first tie between a listener and the peer, as an exhibit.
///
/// In this order: the same unit; it said in its own log that it listened there before; the same pool; a socket that
/// differs by a version only; a name. A listener that the configuration dials elsewhere is another peer's application:
/// its name alone does not tie it to this one.
fn tie(
    incident: &Incident,
    case: &Case,
    candidate: &Candidate,
    owner: Option<&crate::case::Owner>,
    names: &[String],
    sole_pool: Option<&str>,
) -> Result<Option<Exhibit>, Gap> {
    if let Some(owner) = owner
        && candidate.units.iter().any(|unit| unit == owner.unit())
    {
        return Ok(owner.exhibits().into_iter().next());
    }
    if let Some(address) = &incident.address
        && let Some(said) = case.listened_before(&candidate.units, address)?
    {
        return Ok(Some(said));
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
    if candidate.claimed {
        return Ok(None);
    }
    for name in names {
        if let Some(unit) = candidate.units.iter().find(|unit| unit_stem(unit) == name) {
            return Ok(Some(record(
                "unit",
                format!("it runs as {unit}, named like the upstream"),
            )));
        }
        if let Some(line) = candidate
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

fn tied(candidate: Candidate, tie: Exhibit) -> Tied {
    Tied {
        who: candidate.who,
        place: candidate.place,
        exhibits: vec![candidate.exhibit, tie],
    }
}

fn unproven(incident: &Incident, found: &[Tied], strangers: &[Candidate]) -> Gap {
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
            .map(|stranger| format!("{} on {}", stranger.who, stranger.place))
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

fn candidates(
    incident: &Incident,
    case: &Case,
    wanted: impl Fn(&Place) -> bool,
) -> Result<Vec<Candidate>, Gap> {
    let mut found = Vec::new();
    for listener in case
        .listeners(incident)?
        .iter()
        .filter(|listener| !listener.is_nginx())
    {
        let place = Place::Tcp(listener.address);
        if wanted(&place) {
            found.push(tcp_candidate(incident, case, listener, place)?);
        }
    }
    for listener in case
        .unix_listeners(incident)?
        .iter()
        .filter(|listener| !listener.is_nginx())
    {
        let Some(path) = listener.path.clone() else {
            continue;
        };
        let place = Place::Unix(path);
        if wanted(&place) {
            found.push(unix_candidate(incident, case, listener, place)?);
        }
    }
    Ok(found)
}

fn tcp_candidate(
    incident: &Incident,
    case: &Case,
    listener: &Listener,
    place: Place,
) -> Result<Candidate, Gap> {
    Ok(Candidate {
        who: listener.who(),
        exhibit: listener.exhibit(),
        units: case.units_of(&listener.holders)?,
        command_lines: case.command_lines_of(&listener.holders)?,
        claimed: case.is_dialled(incident, &PeerAddress::Tcp(listener.address))?,
        pool: case.pool_at(&place)?,
        place,
    })
}

fn unix_candidate(
    incident: &Incident,
    case: &Case,
    listener: &UnixListener,
    place: Place,
) -> Result<Candidate, Gap> {
    let claimed = match &place {
        Place::Unix(path) => case.is_dialled(incident, &PeerAddress::Unix(path.clone()))?,
        Place::Tcp(_) => false,
    };
    Ok(Candidate {
        who: listener.who(),
        exhibit: listener.exhibit(),
        units: case.units_of(&listener.holders)?,
        command_lines: case.command_lines_of(&listener.holders)?,
        claimed,
        pool: case.pool_at(&place)?,
        place,
    })
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

/// Whether a command line holds the name as a word of its own: bounded by anything but letters and digits.
fn names_it(command_line: &str, name: &str) -> bool {
    let (line, name) = (command_line.as_bytes(), name.as_bytes());
    line.windows(name.len()).enumerate().any(|(at, window)| {
        window.eq_ignore_ascii_case(name)
            && at
                .checked_sub(1)
                .and_then(|before| line.get(before))
                .is_none_or(|byte| !byte.is_ascii_alphanumeric())
            && line
                .get(at + name.len())
                .is_none_or(|byte| !byte.is_ascii_alphanumeric())
    })
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
        summary: format!("or bind the application to {}", incident.peer),
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
            verify: Some("why502".to_owned()),
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
        assert!(names_it("gunicorn --name=shop-front", "shop"));
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
