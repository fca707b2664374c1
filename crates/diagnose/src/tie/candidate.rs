//! The listeners that might be a peer's application, and what is known of each: who holds it, what it speaks, which names
//! it bears. Decides nothing.

use std::path::PathBuf;
use std::rc::Rc;

use facts::application::{Kind, Settings, SpokenProtocol};
use facts::process::Process;
use facts::{Exhibit, Gap, PeerAddress};
use jiff::{SignedDuration, Timestamp};
use log::error::Protocol;

use super::words::{app_name, is_side_door, names_it};
use super::{Place, strangers};
use crate::case::{Case, Listener, UnixListener, is_same_protocol, network, spoken_at};
use crate::incident::Incident;

/// A listener that might be the application.
pub(super) struct Candidate {
    pub(super) place: Place,
    pub(super) source: Source,
    pub(super) holding: Rc<Holding>,
    /// Some pass of the configuration dials it.
    pub(super) claimed: bool,
    /// The php-fpm pool that listens there.
    pub(super) pool: Option<String>,
}

/// The listener itself, in the list that it was found in.
pub(super) enum Source {
    Tcp(Rc<Vec<Listener>>, usize),
    Unix(Rc<Vec<UnixListener>>, usize),
}

impl Source {
    pub(super) fn exhibit(&self) -> Option<Exhibit> {
        match self {
            Self::Tcp(list, idx) => list.get(*idx).map(Listener::exhibit),
            Self::Unix(list, idx) => list.get(*idx).map(UnixListener::exhibit),
        }
    }
}

/// What is known of the processes that hold a socket; many sockets share it.
pub(super) struct Holding {
    pub(super) who: String,
    /// Their pids.
    pub(super) pids: Vec<u32>,
    /// Units they run in.
    pub(super) units: Vec<String>,
    /// Their command lines and their parents', as text.
    pub(super) command_lines: Vec<String>,
    /// Whether any is known: else it may be nginx itself.
    pub(super) is_held: bool,
    /// Since when the oldest runs.
    pub(super) since: Option<Timestamp>,
    /// The directory that it was told to run in, or runs in.
    pub(super) home: Option<PathBuf>,
    /// A program that is no application.
    is_store: bool,
    /// What kind of application it is, where that is known.
    pub(super) kind: Option<Kind>,
    /// What it was told.
    settings: Settings,
}

impl Holding {
    /// What these processes are, made once for all that they hold.
    pub(super) fn of(case: &Case, holders: &[Process]) -> Result<Rc<Self>, Gap> {
        let pids: Vec<u32> = holders.iter().map(|holder| holder.pid).collect();
        case.evidence
            .once(format!("holding {pids:?}"), || Self::made_of(case, holders))
    }

    fn made_of(case: &Case, holders: &[Process]) -> Result<Self, Gap> {
        let known = holders
            .iter()
            .find_map(|holder| Some((Kind::recognise(&holder.args)?, holder)));
        let settings = match known {
            Some((kind, process)) => case.settings(kind, process)?,
            None => Settings::default(),
        };
        let home = match (&settings.chdir, known) {
            (Some(told), _) => Some(told.clone()),
            (None, Some((_, process))) => case.working_directory(process)?,
            (None, None) => None,
        };
        Ok(Self {
            home,
            who: network::who(holders),
            pids: holders.iter().map(|holder| holder.pid).collect(),
            units: case.units_of(holders)?,
            command_lines: case.command_lines_of(holders)?,
            is_held: !holders.is_empty(),
            since: holders.iter().map(|holder| holder.start).min(),
            is_store: strangers::is_store(holders),
            kind: known.map(|(kind, _)| kind),
            settings,
        })
    }
}

impl Candidate {
    /// What it speaks there, by its settings or its kind.
    fn spoken(&self) -> Option<SpokenProtocol> {
        let kind = self.holding.kind?;
        let spoken = spoken_at(&self.holding.settings, kind, &self.place.address());
        // Where these say nothing of sockets, their kind does: a uWSGI or a Node.js may speak anything.
        let is_untold = self.holding.settings.binds.is_empty();
        spoken.or_else(|| {
            let is_http = matches!(
                kind,
                Kind::Gunicorn | Kind::Uvicorn | Kind::Hypercorn | Kind::Puma | Kind::Unicorn
            );
            (is_http && is_untold).then_some(SpokenProtocol::Http)
        })
    }

    /// Whether it is known to speak what nginx would speak to it.
    pub(super) fn speaks(&self, protocol: Option<Protocol>) -> bool {
        self.spoken()
            .zip(protocol)
            .is_some_and(|(spoken, wanted)| is_same_protocol(spoken, wanted))
    }

    /// Whether it is not known to speak anything else. HTTP is what most programs of no known kind speak; another protocol
    /// has to be known.
    pub(super) fn may_speak(&self, protocol: Option<Protocol>) -> bool {
        match protocol {
            Some(Protocol::Fastcgi | Protocol::Uwsgi | Protocol::Suwsgi | Protocol::Scgi) => {
                self.speaks(protocol)
                    || (self.spoken().is_none() && self.holding.kind == Some(Kind::Uwsgi))
            }
            Some(Protocol::Http | Protocol::Https) => {
                self.spoken().is_none() || self.speaks(protocol)
            }
            _ => true,
        }
    }

    /// Whether it is a program that serves HTTP and the like to a proxy: one whose settings say what it speaks or, on the
    /// dialled port, a program of Node.js.
    pub(super) fn serves(&self, protocol: Option<Protocol>) -> bool {
        let is_node = self.holding.kind == Some(Kind::Node)
            && protocol == Some(Protocol::Http)
            && self.holding.settings.module.is_some();
        self.speaks(protocol) || (is_node && self.may_speak(protocol))
    }

    /// Whether it runs in this unit.
    pub(super) fn is_of(&self, unit: &str) -> bool {
        self.holding.units.iter().any(|own| own == unit)
    }

    /// Whether it ran already when the peer last answered: then it is another program than the one that answered.
    pub(super) fn ran_beside(&self, last_answer: Option<Timestamp>) -> bool {
        self.holding
            .since
            .zip(last_answer)
            .is_some_and(|(since, answered)| since <= answered)
    }

    /// Whether it began only after the failures had: it cannot be why they did. A log line is of a whole second.
    pub(super) fn is_late(&self, incident: &Incident) -> bool {
        self.holding.since.is_some_and(|since| {
            since.duration_since(incident.first_seen) >= SignedDuration::from_secs(1)
        })
    }

    /// Whether it is a store, a mail server or the like, by its program or its port; or a debugger's or exporter's door.
    pub(super) fn is_other_service(&self, incident: &Incident) -> bool {
        let port = self.place.address().port();
        let is_side_door = port.is_some_and(|port| {
            self.holding.kind == Some(Kind::Node) && strangers::is_inspector(port)
                || self
                    .holding
                    .command_lines
                    .iter()
                    .any(|line| is_side_door(line, port))
        });
        let is_store = self.holding.is_store || port.is_some_and(strangers::is_stores_port);
        is_side_door || (is_store && incident.protocol.is_some_and(is_for_applications))
    }

    /// The names that the application gave itself or was given: its module, its name, its pool, its socket's.
    pub(super) fn names(&self) -> Vec<String> {
        let settings = &self.holding.settings;
        let own = [&settings.module, &settings.name, &self.pool];
        let own = own.into_iter().flatten().map(String::as_str);
        // A title stands over the command line: `gunicorn: master [shop]`.
        let titles = self.holding.command_lines.iter();
        let titles = titles.filter_map(|line| {
            let (_, rest) = line.split_once("gunicorn: ")?.1.split_once('[')?;
            rest.strip_suffix(']')
        });
        let socket = match &self.place {
            Place::Unix(path) => path.file_stem().and_then(|stem| stem.to_str()),
            Place::Tcp(_) => None,
        };
        own.chain(titles)
            .chain(socket)
            .filter_map(app_name)
            .collect()
    }

    /// Whether it stands on the dialled port, at whatever address.
    pub(super) fn is_on_port_of(&self, incident: &Incident) -> bool {
        match &self.place {
            Place::Tcp(place) => {
                incident.address.as_ref().and_then(PeerAddress::port) == Some(place.port())
            }
            Place::Unix(_) => false,
        }
    }

    /// Whether its command line names the place that nginx dials, where it listens at another.
    pub(super) fn is_to_listen_at(&self, incident: &Incident) -> bool {
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

/// Whether a protocol is one that stores and the like do not speak.
fn is_for_applications(protocol: Protocol) -> bool {
    !matches!(protocol, Protocol::Memcached | Protocol::Stream)
}

/// Every listener but nginx's own, and but what stands where nginx dials.
pub(super) fn candidates(incident: &Incident, case: &Case) -> Result<Vec<Candidate>, Gap> {
    let (tcp, unix) = (case.listeners(incident), case.unix_listeners(incident));
    let (tcp, unix) = (tcp?, unix?);
    // What all of them need, before any of them: a host may have tens of thousands.
    let (dialled, pools) = (case.dialled_elsewhere(incident), case.pools());
    let (dialled, _) = (dialled?, pools?);
    let mut found = Vec::new();
    for (idx, listener) in tcp
        .iter()
        .enumerate()
        .filter(|(_, listener)| !listener.is_nginx())
    {
        let address = PeerAddress::Tcp(listener.address);
        found.push(Holding::of(case, &listener.holders).and_then(|holding| {
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
        found.push(Holding::of(case, &listener.holders).and_then(|holding| {
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
