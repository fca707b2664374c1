//! What nginx dials, and what listens there now: the host as it stands, without any failure.
//!
//! It says what the evidence shows and leaves out what it does not: nothing here is a guess. Secrets are never looked at.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bstr::ByteSlice as _;
use conf::{ContextKind, LocationModifier, Model, Pass, Protocol, Target};
use facts::application::{Kind, Settings};
use facts::passwd::Accounts;
use facts::process::Process;
use facts::systemd::Unit;
use facts::{Gap, PeerAddress, ProbeRequest, View};

use crate::case::network::who;
use crate::case::{Case, Instance, known, of_each};

/// What nginx dials on this host.
#[derive(Debug, Default)]
pub struct Inventory {
    /// `user` of nginx's configuration, with its group.
    pub worker: Option<(String, String)>,
    /// Each group of peers that a pass leads to, in the order of the configuration.
    pub dialled: Vec<Dialled>,
    /// What could not be learned.
    pub gaps: Vec<Gap>,
}

/// Where one or more passes lead.
#[derive(Debug)]
pub struct Dialled {
    /// The upstream's name; none where a pass names the address itself.
    pub upstream: Option<String>,
    /// The addresses.
    pub peers: Vec<PeerAddress>,
    /// What is no address: names, variables.
    pub unclear: Vec<String>,
    /// What is spoken.
    pub protocol: Protocol,
    /// The passes' places in the configuration.
    pub places: Vec<(PathBuf, u32)>,
    /// The location's prefix, where there is one pass and its location is one of a prefix.
    pub path: Option<String>,
    /// `root` where the pass stands, if it holds no variable.
    pub root: Option<String>,
    /// How long nginx waits for an answer, where the configuration says so.
    pub read_timeout: Option<Duration>,
    /// `keepalive` of the upstream.
    pub keepalive: Option<u64>,
    /// What listens there: one program, or nothing that is known.
    pub runs: Option<Runs>,
}

/// A program that listens where nginx dials.
#[derive(Debug)]
pub struct Runs {
    /// Program and pid, for people.
    pub who: String,
    /// What kind of program it is, where that is known.
    pub kind: Option<Kind>,
    /// What it was told.
    pub settings: Settings,
    /// The program of its unit or of its process, absolute.
    pub program: Option<PathBuf>,
    /// The service that it runs in.
    pub unit: Option<String>,
    /// Who runs it.
    pub user: Option<String>,
    /// The group that its unit or pool names.
    pub group: Option<String>,
    /// The directory that it runs in.
    pub directory: Option<PathBuf>,
    /// Whether systemd holds its socket too: it listens for it.
    pub is_activated: bool,
    /// Its php-fpm pool.
    pub pool: Option<PoolOf>,
}

/// The pool that is set to listen there.
#[derive(Debug)]
pub struct PoolOf {
    /// Its name.
    pub name: String,
    /// The version of PHP, where its files tell it.
    pub php: Option<String>,
    /// `user`.
    pub user: Option<String>,
    /// `group`.
    pub group: Option<String>,
}

impl Case {
    /// The questions that an inventory still wants answered; empty when nothing new is wanted.
    pub fn plan_inventory(&self) -> Vec<ProbeRequest> {
        // The answer is thrown away: only what it asked for counts.
        drop(self.inventory());
        self.evidence.wanted()
    }

    /// What nginx dials, and what listens there. What is not known yet counts as a gap.
    pub fn inventory(&self) -> Inventory {
        let mut inventory = Inventory::default();
        let instances = match self.instances() {
            Ok(instances) => instances,
            Err(gap) => {
                inventory.gaps.push(gap);
                return inventory;
            }
        };
        for (idx, instance) in instances.iter().enumerate() {
            match self.configured(idx) {
                Ok(configured) => {
                    let model = &configured.model;
                    let worker = model
                        .user()
                        .map(|user| (user.name.to_string(), user.group.to_string()));
                    inventory.worker = inventory.worker.take().or(worker);
                    inventory.gaps.extend(configured.unread().cloned());
                    let mut dialled = dialled(model);
                    inventory.gaps.extend(self.find(instance, &mut dialled));
                    inventory.dialled.append(&mut dialled);
                }
                Err(gap) => inventory.gaps.push(gap),
            }
        }
        inventory
    }

    /// Finds what listens at all that an instance dials; gives what could not be learned, each once.
    fn find(&self, instance: &Instance, all: &mut [Dialled]) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        for dialled in all {
            match self.runs(instance, &dialled.peers) {
                Ok(runs) => dialled.runs = runs,
                Err(gap) if gaps.iter().any(|known| known.missing == gap.missing) => {}
                Err(gap) => gaps.push(gap),
            }
        }
        gaps
    }

    /// The one program behind these addresses: none where there is none, or where they are several programs'.
    fn runs(&self, instance: &Instance, peers: &[PeerAddress]) -> Result<Option<Runs>, Gap> {
        let holders = of_each(peers, |peer| self.holders_at(instance, peer))?;
        let Some(Some(first)) = holders.first() else {
            return Ok(None);
        };
        let is_one = holders.iter().flatten().count() == peers.len()
            && holders
                .iter()
                .flatten()
                .all(|others| others.first().map(|it| it.pid) == first.first().map(|it| it.pid));
        // systemd holds the sockets of the units that it listens for.
        let serving: Vec<&Process> = first.iter().filter(|holder| holder.pid != 1).collect();
        let (Some(&oldest), Some(&youngest)) = (serving.first(), serving.last()) else {
            return Ok(None);
        };
        if !is_one || oldest.nginx().is_some() {
            return Ok(None);
        }
        let kind = Kind::recognise(&oldest.args).or_else(|| Kind::recognise(&youngest.args));
        let unit = self.service_around(oldest)?;
        let pool = match (kind, peers.first()) {
            (Some(Kind::PhpFpm), Some(peer)) => self.pool_at_peer(peer)?,
            _ => None,
        };
        let settings = match (kind, &pool) {
            (_, Some((_, told))) => told.clone(),
            (Some(kind), None) => self.settings(kind, oldest)?,
            (None, None) => Settings::default(),
        };
        let pool = pool.map(|(pool, _)| pool);
        let of_unit = |of: fn(&Unit) -> Option<String>| unit.as_ref().and_then(of);
        Ok(Some(Runs {
            who: who(first),
            kind,
            program: unit
                .as_ref()
                .and_then(|unit| unit.exec_start.first())
                .map(|exec| PathBuf::from(&exec.path))
                .filter(|path| path.is_absolute()),
            user: match of_unit(|unit| unit.user.clone()) {
                Some(user) => Some(user),
                None => self.run_by(youngest)?,
            },
            group: of_unit(|unit| unit.group.clone()),
            directory: settings
                .chdir
                .clone()
                .map_or_else(|| self.working_directory(oldest), |chdir| Ok(Some(chdir)))?,
            unit: unit.map(|unit| unit.id),
            settings,
            is_activated: serving.len() < first.len(),
            pool,
        }))
    }

    /// The processes that listen where a peer is; none where nobody does.
    fn holders_at(
        &self,
        instance: &Instance,
        peer: &PeerAddress,
    ) -> Result<Option<Rc<Vec<Process>>>, Gap> {
        let netns = self.netns_of(instance)?;
        let holders = match peer {
            PeerAddress::Tcp(address) => {
                let listeners = self.listeners_in(netns)?;
                let mut there = listeners
                    .iter()
                    .filter(|it| it.reached_by(*address) == Some(true));
                there.next().map(|it| Rc::clone(&it.holders))
            }
            PeerAddress::Unix(path) => {
                let listeners = self.unix_listeners_in(netns)?;
                let mut there = listeners.iter().filter(|it| it.path.as_ref() == Some(path));
                there.next().map(|it| Rc::clone(&it.holders))
            }
        };
        Ok(holders.filter(|holders| !holders.is_empty()))
    }

    /// The user that a process runs as, where the host's own files name it.
    fn run_by(&self, process: &Process) -> Result<Option<String>, Gap> {
        let status = known(self.status(process.pid))?;
        let accounts = ProbeRequest::File {
            view: View::Host,
            path: PathBuf::from("/etc/passwd"),
            limit: 4 << 20,
        };
        let accounts = known(
            self.evidence
                .fact(&accounts, |_, users| Accounts::parse(users, b"")),
        )?;
        let uid = status
            .as_ref()
            .as_ref()
            .and_then(|status| status.as_ref().as_ref())
            .map(|status| status.credentials.uid);
        let user = accounts.as_ref().and_then(|accounts| accounts.user(uid?));
        Ok(user.map(|user| user.name.clone()))
    }

    /// The service that a process runs in, as systemd knows it.
    fn service_around(&self, process: &Process) -> Result<Option<Unit>, Gap> {
        let unit = self.unit_of(process.pid)?;
        match unit.filter(|unit| unit.ends_with(".service")) {
            Some(unit) => Ok(known(self.unit_state(&unit))?.flatten()),
            None => Ok(None),
        }
    }

    /// The one pool that is set to listen there, and what it is told.
    fn pool_at_peer(&self, peer: &PeerAddress) -> Result<Option<(PoolOf, Settings)>, Gap> {
        let pools = self.pools()?;
        let mut there = pools.iter().filter(|pool| pool.listens_on(peer));
        let pool = there.next().filter(|_| there.next().is_none());
        Ok(pool.map(|pool| {
            let (user, group) = pool.run_by();
            let of = PoolOf {
                name: pool.name().to_owned(),
                php: pool.php().map(str::to_owned),
                user,
                group,
            };
            (of, pool.told())
        }))
    }
}

/// What passes of `http` lead to, each target once.
fn dialled(model: &Model) -> Vec<Dialled> {
    let mut all: Vec<Dialled> = Vec::new();
    for pass in model.passes() {
        if model.protocol_of(pass.context) != Some(ContextKind::Http) {
            continue;
        }
        let new = one(model, pass);
        let same = all.iter_mut().find(|known| {
            known.upstream == new.upstream
                && known.peers == new.peers
                && known.unclear == new.unclear
                && known.protocol == new.protocol
        });
        match same {
            Some(known) => {
                known.places.extend(new.places);
                if known.path != new.path {
                    // Several locations: which is meant, nobody knows.
                    known.path = None;
                }
                known.read_timeout = known.read_timeout.max(new.read_timeout);
            }
            None => all.push(new),
        }
    }
    all
}

fn one(model: &Model, pass: &Pass) -> Dialled {
    let mut peers = Vec::new();
    let mut unclear = Vec::new();
    let mut upstream = None;
    match &pass.target {
        Target::Upstream(id) => {
            let found = model.upstream(*id);
            upstream = found.map(|upstream| upstream.name.to_string());
            for line in found.iter().flat_map(|upstream| &upstream.servers) {
                match line.address.as_ref().and_then(literal) {
                    Some(peer) => peers.push(peer),
                    None => unclear.push(line.text.to_string()),
                }
            }
        }
        Target::Address(address) => match literal(address) {
            Some(peer) => peers.push(peer),
            None => unclear.push(model.arg(pass.directive, 0).unwrap_or_default().to_string()),
        },
        Target::Variable { text, .. } | Target::Unreadable(text) => unclear.push(text.to_string()),
    }
    let keepalive = match &pass.target {
        Target::Upstream(id) => model.upstream(*id).and_then(|upstream| upstream.keepalive),
        _ => None,
    };
    let directive = pass.kind.directive_name().replace("_pass", "_read_timeout");
    Dialled {
        upstream,
        peers,
        unclear,
        protocol: pass.protocol,
        places: place(model, pass).into_iter().collect(),
        path: prefix(model, pass),
        root: model
            .value_in_force(pass.context, "root")
            .map(|(root, _)| root.to_string())
            .filter(|root| !root.contains('$')),
        read_timeout: model
            .value_in_force(pass.context, &directive)
            .and_then(|(value, _)| conf::units::parse_time(value)),
        keepalive: keepalive.map(|keepalive| keepalive.connections),
        runs: None,
    }
}

/// An address without a name in it.
fn literal(address: &conf::Address) -> Option<PeerAddress> {
    Some(match address.literal()? {
        conf::PeerAddress::Tcp(address) => PeerAddress::Tcp(address),
        conf::PeerAddress::Unix(path) => {
            PeerAddress::Unix(PathBuf::from(path.to_os_str_lossy().into_owned()))
        }
    })
}

/// The prefix of the location that a pass stands in, where it is one.
fn prefix(model: &Model, pass: &Pass) -> Option<String> {
    let location = model.location_of(pass.context)?;
    let (modifier, pattern) = model.location_pattern(location)?;
    let is_prefix = matches!(modifier, LocationModifier::Prefix);
    is_prefix.then(|| pattern.to_string())
}

fn place(model: &Model, pass: &Pass) -> Option<(PathBuf, u32)> {
    let line = model.position(pass.directive)?.line;
    Some((model.path(pass.directive)?.to_owned(), line))
}

#[cfg(test)]
mod tests;
