//! What listens in nginx's network namespace, who holds it, and whether the failing connection still fails.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;

use facts::forwarder::{Forwarder, Leads, Relay};
use facts::owners::SocketOwners;
use facts::process::Process;
use facts::sockets::{TcpState, TcpTable, UnixKind, UnixTable};
use facts::{Answer, Exhibit, Gap, GapKind, PeerAddress, ProbeRequest, SocketKind, counted};
use jiff::Timestamp;
use log::error::{Class, While};

use super::apart::Inside;
use super::processes::{command_line, program};
use super::{Case, Instance, known};
use crate::incident::{Incident, Origin};

/// A failure in the last minute of the window goes on, where no connection can tell.
pub(crate) const RECENT_SECONDS: i64 = 60;

/// Permission denied: by owner and mode, or by a security module.
const EACCES: u16 = 13;

/// Address family not supported: by the kernel, or by a filter of system calls.
const EAFNOSUPPORT: u16 = 97;

/// A listening TCP socket.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    /// Where it listens; may be a wildcard.
    pub(crate) address: SocketAddr,
    /// Connections that wait to be accepted.
    pub(crate) waiting: u32,
    /// How many may wait.
    pub(crate) backlog: u32,
    /// The processes that hold it, the oldest first; empty where that could not be learned.
    pub(crate) holders: Rc<Vec<Process>>,
    is_nginx: bool,
    socket: facts::sockets::TcpSocket,
}

/// A listening unix socket.
#[derive(Clone, Debug)]
pub(crate) struct UnixListener {
    /// The path as the listener gave it to `bind`.
    pub(crate) path: Option<PathBuf>,
    /// Connections that wait to be accepted, and how many may.
    pub(crate) queue: Option<(u32, u32)>,
    /// The processes that hold it, the oldest first.
    pub(crate) holders: Rc<Vec<Process>>,
    is_nginx: bool,
    socket: facts::sockets::UnixListener,
}

/// The failing act, repeated.
#[derive(Clone, Debug)]
pub(crate) enum Repeated {
    /// It fails in the same way.
    Same(Exhibit),
    /// It fails in another way, with this errno.
    Other(i32, Exhibit),
    /// Nothing answers, where something did that nginx heard.
    Silent(Exhibit),
    /// It succeeds.
    Succeeds,
}

impl Repeated {
    /// What it gave, where it was more than success.
    fn exhibit(self) -> Option<Exhibit> {
        match self {
            Self::Same(exhibit) | Self::Other(_, exhibit) | Self::Silent(exhibit) => Some(exhibit),
            Self::Succeeds => None,
        }
    }
}

impl Incident {
    /// An experiment is the failing act itself: what failed later than while connecting was connected.
    fn repeats_itself(&self) -> Repeated {
        if self.action == Some(While::ConnectingToUpstream) {
            Repeated::Same(self.experiment())
        } else {
            Repeated::Succeeds
        }
    }
}

impl Listener {
    /// Whether a connection to this address reaches it; `None` where that hangs on what the kernel did not say.
    pub(crate) fn reached_by(&self, address: SocketAddr) -> Option<bool> {
        self.socket.listens_on(address)
    }

    /// Whether nginx itself listens there.
    pub(crate) fn is_nginx(&self) -> bool {
        self.is_nginx
    }

    /// The forwarder that holds it, where one does.
    pub(crate) fn forwarder(&self) -> Option<Forwarder> {
        self.holders
            .iter()
            .find_map(|holder| Forwarder::parse(&holder.args))
    }

    /// Program and pid, for people.
    pub(crate) fn who(&self) -> String {
        who(&self.holders)
    }

    /// The listener as an exhibit.
    pub(crate) fn exhibit(&self) -> Exhibit {
        listening(&self.address.to_string(), &self.holders)
    }
}

impl UnixListener {
    /// Whether it listens on this very file; `None` where the file system hides that.
    pub(crate) fn is_surely_file(&self, device: u64, inode: u64) -> Option<bool> {
        self.socket.is_file(device, inode)
    }

    /// Whether it listens on this very file. Where the file system hides that, the path decides.
    pub(crate) fn is_file(&self, device: u64, inode: u64, path: &std::path::Path) -> bool {
        self.socket
            .is_file(device, inode)
            .unwrap_or_else(|| self.path.as_deref() == Some(path))
    }

    /// Whether nginx itself listens there.
    pub(crate) fn is_nginx(&self) -> bool {
        self.is_nginx
    }

    /// Program and pid, for people.
    pub(crate) fn who(&self) -> String {
        who(&self.holders)
    }

    /// The listener as an exhibit.
    pub(crate) fn exhibit(&self) -> Exhibit {
        let path = self
            .path
            .as_ref()
            .map_or_else(|| "(unnamed)".to_owned(), |path| path.display().to_string());
        listening(&format!("unix:{path}"), &self.holders)
    }
}

/// The listener that a connection to this address reaches: one on the very address before one on a wildcard.
pub(crate) fn listener_on(
    listeners: &[Listener],
    address: SocketAddr,
) -> Result<Option<&Listener>, Gap> {
    let reached = listeners
        .iter()
        .filter(|listener| listener.reached_by(address) == Some(true));
    if let Some(listener) = reached.min_by_key(|listener| listener.address.ip().is_unspecified()) {
        return Ok(Some(listener));
    }
    match listeners
        .iter()
        .find(|listener| listener.reached_by(address).is_none())
    {
        Some(unsure) => Err(Gap::undecided(
            format!("whether {} is reached at {address}", unsure.address),
            "the kernel does not say whether it takes IPv6 alone, or which device it is bound to",
        )),
        None => Ok(None),
    }
}

/// Several sockets may listen on one address (`SO_REUSEPORT`): the kernel gives each its share of the connections, and
/// nothing tells which one took those that failed, unless one program holds them all.
fn one_of_all(listeners: &[Listener], reached: &Listener) -> Result<(), Gap> {
    let beside = listeners.iter().filter(|listener| {
        listener.address == reached.address && !std::ptr::eq(*listener, reached)
    });
    let is_held_too = |listener: &&Listener| {
        let pids = |listener: &Listener| -> BTreeSet<u32> {
            listener.holders.iter().map(|holder| holder.pid).collect()
        };
        !pids(listener).is_disjoint(&pids(reached))
    };
    let others: Vec<&Listener> = beside.filter(|one| !is_held_too(one)).collect();
    if others.is_empty() {
        return Ok(());
    }
    let all: Vec<&Listener> = [reached].into_iter().chain(others).collect();
    // Connections wait only at the socket of one that does not take them; one may be why502's own.
    let stuck = all.iter().find(|listener| {
        let mut holders = listener.holders.iter();
        let is_stopped = !listener.holders.is_empty() && holders.all(|holder| holder.is_stopped);
        is_stopped && listener.waiting > 1
    });
    let all: Vec<String> = all.iter().map(|listener| listener.who()).collect();
    let gap = Gap::undecided(
        format!(
            "which of those that listen on {} took the connections that failed",
            reached.address
        ),
        "they share the address (SO_REUSEPORT), and the kernel spreads connections over them",
    );
    Err(match stuck {
        Some(stuck) => gap
            .leaning(format!(
                "of several programs that listen on {}, {} is stopped (SIGSTOP or a debugger), and {} wait at its socket: kill -CONT lets it go on",
                reached.address,
                stuck.who(),
                counted(stuck.waiting, "connection")
            ))
            .learn(format!("ss -ltnp 'sport = :{}'", reached.address.port())),
        None => gap.leaning(format!(
            "several programs listen on {}, and one of them alone may fail: {}",
            reached.address,
            all.join(", ")
        )),
    })
}

/// Program and pid of the oldest holder, for people.
pub(crate) fn who(holders: &[Process]) -> String {
    match holders.first() {
        Some(holder) => format!("{} (pid {})", program(holder), holder.pid),
        None => "a process that could not be named".to_owned(),
    }
}

fn listening(place: &str, holders: &[Process]) -> Exhibit {
    Exhibit::Record {
        probe: "sockets",
        at: holders.first().map(|holder| holder.start),
        text: match holders.first() {
            Some(holder) => format!("LISTEN {place} pid {} {}", holder.pid, command_line(holder)),
            None => format!("LISTEN {place}"),
        },
    }
}

impl Case {
    /// The TCP listeners of nginx's network namespace.
    pub(crate) fn listeners(&self, incident: &Incident) -> Result<Rc<Vec<Listener>>, Gap> {
        self.listeners_in(self.netns(incident)?)
    }

    /// The same in the network namespace of a process; of why502's own without one.
    pub(crate) fn listeners_in(&self, netns: Option<u32>) -> Result<Rc<Vec<Listener>>, Gap> {
        self.evidence.once(format!("listeners {netns:?}"), || {
            let request = ProbeRequest::Sockets {
                netns,
                kind: SocketKind::TcpListening,
            };
            let table = self
                .evidence
                .fact(&request, |_, bytes| TcpTable::parse(bytes));
            let owners = self.owners();
            let (table, owners) = (table?, owners?);
            if !table.complete {
                return Err(Gap::undecided(
                    "the socket table",
                    "part of it could not be read",
                ));
            }
            let sockets = table
                .sockets
                .iter()
                .filter(|socket| socket.state == TcpState::Listen);
            sockets
                .map(|socket| {
                    let holders = self.holders(owners.as_deref(), socket.inode)?;
                    Ok(Listener {
                        address: socket.local,
                        waiting: socket.recv_queue,
                        backlog: socket.send_queue,
                        is_nginx: holders.iter().any(|holder| holder.nginx().is_some()),
                        holders,
                        socket: socket.clone(),
                    })
                })
                .collect()
        })
    }

    /// The same, where the peer is an address of this host: of another host nothing is known.
    pub(crate) fn listeners_near(&self, incident: &Incident) -> Result<Rc<Vec<Listener>>, Gap> {
        if let Some(PeerAddress::Tcp(address)) = incident.address
            && !self.is_local(incident, address)?
        {
            // A container's, or another namespace's of this host.
            if is_private(address.ip())
                && let Some(inside) = known(self.inside(incident, address))?.flatten()
            {
                return Err(Gap::new(
                    GapKind::Absent,
                    format!("whether {address} is reached"),
                    format!("it is an address of {}, on this host", inside.network),
                )
                .leaning(format!(
                    "{} is an address of {}, on this host: {}",
                    address.ip(),
                    inside.network,
                    inside.state
                ))
                .learn(inside.learn));
            }
            return Err(Gap::new(
                GapKind::Absent,
                format!("what listens on {address}"),
                "it is another host's address",
            )
            .learn(format!(
                "ss -ltnp 'sport = :{}'   (on {})",
                address.port(),
                address.ip()
            )));
        }
        self.listeners(incident)
    }

    /// That the peer's listener only hands connections on, where to, and who listens there; `None` where it answers itself,
    /// or who listens is not known.
    pub(crate) fn relayed(&self, incident: &Incident) -> Result<Option<String>, Gap> {
        let Some(reached) = known(self.listener_of(incident))? else {
            return Ok(None);
        };
        let relay = |holder: &Process| Some((holder.pid, Relay::parse(&holder.args)?));
        let Some((_, relay)) = reached.holders.iter().find_map(relay) else {
            return Ok(None);
        };
        let who = reached.who();
        Ok(Some(match relay.to {
            Leads::Untold => format!("{who} only hands connections on: its settings say where to"),
            Leads::Told(to) => format!("{who} only hands connections on, to {to}"),
            Leads::Socket(path) => {
                let path = path.display();
                format!("{who} only hands connections on, to unix:{path}")
            }
            Leads::Address(to) => {
                let state = if self.is_local(incident, to)? {
                    let listeners = known(self.listeners(incident))?;
                    match listeners
                        .as_ref()
                        .map(|listeners| listener_on(listeners, to))
                    {
                        Some(Ok(Some(listener))) => {
                            format!(", where {} listens", listener.who())
                        }
                        Some(Ok(None)) => ", where nothing listens".to_owned(),
                        _ => String::new(),
                    }
                } else {
                    let inside = known(self.inside(incident, to))?.flatten();
                    let told =
                        |inside: Inside| format!(", in {}: {}", inside.network, inside.state);
                    inside.map(told).unwrap_or_default()
                };
                format!("{who} only hands connections on, to {to}{state}")
            }
        }))
    }

    /// The stream listeners on unix sockets; of a network namespace too, though paths are not.
    pub(crate) fn unix_listeners(&self, incident: &Incident) -> Result<Rc<Vec<UnixListener>>, Gap> {
        self.unix_listeners_in(self.netns(incident)?)
    }

    /// The same in the network namespace of a process; of why502's own without one.
    pub(crate) fn unix_listeners_in(
        &self,
        netns: Option<u32>,
    ) -> Result<Rc<Vec<UnixListener>>, Gap> {
        self.evidence.once(format!("unix listeners {netns:?}"), || {
            let request = ProbeRequest::Sockets {
                netns,
                kind: SocketKind::UnixListening,
            };
            let table = self
                .evidence
                .fact(&request, |_, bytes| UnixTable::parse(bytes));
            let owners = self.owners();
            let (table, owners) = (table?, owners?);
            if !table.complete {
                return Err(Gap::undecided(
                    "the unix socket table",
                    "part of it could not be read",
                ));
            }
            let sockets = table
                .listeners
                .iter()
                .filter(|socket| socket.kind == UnixKind::Stream && !socket.is_abstract);
            sockets
                .map(|socket| {
                    let holders = self.holders(owners.as_deref(), socket.inode)?;
                    Ok(UnixListener {
                        path: socket.file_path().map(std::path::Path::to_owned),
                        queue: socket.pending.zip(socket.backlog),
                        is_nginx: holders.iter().any(|holder| holder.nginx().is_some()),
                        holders,
                        socket: socket.clone(),
                    })
                })
                .collect()
        })
    }

    fn owners(&self) -> Result<Option<Rc<SocketOwners>>, Gap> {
        known(self.evidence.fact(&ProbeRequest::SocketOwners, |_, bytes| {
            SocketOwners::parse(bytes)
        }))
    }

    /// The processes that hold a socket; one list for all sockets of the same processes.
    fn holders(&self, owners: Option<&SocketOwners>, inode: u64) -> Result<Rc<Vec<Process>>, Gap> {
        let pids = owners.map(|owners| owners.of(inode)).unwrap_or_default();
        self.evidence.once(format!("holders {pids:?}"), || {
            let processes = self.processes()?;
            let mut holders: Vec<Process> = pids
                .iter()
                .filter_map(|pid| processes.get(pid))
                .cloned()
                .collect();
            holders.sort_by_key(|holder| (holder.start, holder.pid));
            Ok(holders)
        })
    }

    /// A process of nginx's network namespace; `None` for why502's own, where they are the same or nginx is not running.
    pub(super) fn netns(&self, incident: &Incident) -> Result<Option<u32>, Gap> {
        self.netns_of(&self.instance(incident)?)
    }

    /// The same of an instance.
    pub(crate) fn netns_of(&self, instance: &Instance) -> Result<Option<u32>, Gap> {
        let Some(pid) = instance.worker() else {
            return Ok(None);
        };
        let link = |pid: &str| ProbeRequest::Link {
            path: PathBuf::from(format!("/proc/{pid}/ns/net")),
        };
        drop(
            self.evidence
                .batch([link(&pid.to_string()), link("self")])?,
        );
        let of = |pid: &str| self.evidence.bytes(&link(pid)).map(|(_, bytes)| bytes).ok();
        let (nginx, own) = (of(&pid.to_string()), of("self"));
        // Without the right to look, the same namespace is the likely one; the connection is made from there in any case.
        Ok(if nginx.is_none() || nginx == own {
            None
        } else {
            Some(pid)
        })
    }

    /// Whether an address belongs to the host, in nginx's network namespace.
    pub(crate) fn is_local(&self, incident: &Incident, address: SocketAddr) -> Result<bool, Gap> {
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            return Ok(true);
        }
        let instance = self.instance(incident)?;
        let pid = instance
            .worker()
            .map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let local = self.addresses_at(&pid, address.is_ipv4())?;
        Ok(local.contains(&address.ip()))
    }

    /// The IPv6 addresses of nginx's network; none where its kernel has no IPv6.
    pub(crate) fn ipv6_addresses(&self, incident: &Incident) -> Result<Vec<IpAddr>, Gap> {
        let instance = self.instance(incident)?;
        let pid = instance
            .worker()
            .map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        match self.addresses_at(&pid, false) {
            Ok(addresses) => Ok(addresses.iter().copied().collect()),
            Err(gap) if gap.kind == GapKind::Absent => Ok(Vec::new()),
            Err(gap) => Err(gap),
        }
    }

    /// The addresses of one version in the network namespace of a process, by its name in `/proc`.
    pub(super) fn addresses_at(
        &self,
        process: &str,
        is_ipv4: bool,
    ) -> Result<Rc<BTreeSet<IpAddr>>, Gap> {
        let file = |name: &str| ProbeRequest::host_file(format!("/proc/{process}/net/{name}"));
        if is_ipv4 {
            self.evidence
                .fact(&file("fib_trie"), |_, bytes| facts::local::ipv4(bytes))
        } else {
            self.evidence
                .fact(&file("if_inet6"), |_, bytes| facts::local::ipv6(bytes))
        }
    }

    /// That a connection which nginx does not make would succeed, made as its worker; `None` where it does not.
    pub(crate) fn would_connect(
        &self,
        incident: &Incident,
        address: SocketAddr,
    ) -> Result<Option<Exhibit>, Gap> {
        if !self.options.connect {
            return Ok(None);
        }
        let peer = PeerAddress::Tcp(address);
        self.queues_first(self.netns(incident)?, [&peer])?;
        let request = ProbeRequest::Connect {
            from: self.instance(incident)?.worker(),
            to: peer,
        };
        let record = self.evidence.record(&request)?;
        let is_connected = matches!(record.answer, Answer::Bytes(_));
        Ok(is_connected.then(|| Exhibit::Record {
            probe: "connect",
            at: Some(record.at),
            text: format!("connect {address} as nginx's worker: connected"),
        }))
    }

    /// The failing connection, repeated as nginx's worker would make it. The repetition does not bear the worker's
    /// domain, profile or system call filter: where its errno was theirs to give, they are asked too.
    pub(crate) fn repeated(&self, incident: &Incident) -> Result<Repeated, Gap> {
        if incident.origin == Origin::Experiment {
            return Ok(incident.repeats_itself());
        }
        match self.repeated_unconfined(incident)? {
            Repeated::Same(exhibit) => Ok(Repeated::Same(exhibit)),
            other if incident.errno == Some(EACCES) => {
                Ok(self.confined(incident)?.map_or(other, Repeated::Same))
            }
            other if incident.errno == Some(EAFNOSUPPORT) => Ok(self
                .forbidden_family(incident)?
                .map_or(other, Repeated::Same)),
            Repeated::Succeeds => match self.dropped_for_nginx(incident)? {
                Some(gap) => Err(gap),
                None => Ok(Repeated::Succeeds),
            },
            other => Ok(other),
        }
    }

    /// What denies the worker's connection, made now, besides owner and mode; `None` where nothing does.
    fn confined(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        if let Some(denied) = self.selinux_denies(incident)? {
            return Ok(Some(denied));
        }
        self.apparmor_may_deny(incident)?;
        Ok(None)
    }

    /// That a connection from outside nginx's control group tells nothing of nginx's: its unit's `IPAddressDeny=` covers
    /// the peer, and what that drops ends as a time-out or as errno 1.
    fn dropped_for_nginx(&self, incident: &Incident) -> Result<Option<Gap>, Gap> {
        let may_be = [
            Class::ConnectTimeout,
            Class::ConnectTimeoutKernel,
            Class::OperationNotPermitted,
        ];
        let Some(PeerAddress::Tcp(address)) = &incident.address else {
            return Ok(None);
        };
        if !may_be.iter().any(|class| incident.is(*class)) {
            return Ok(None);
        }
        let Some(sandbox) = known(self.nginx_sandbox(incident))?.flatten() else {
            return Ok(None);
        };
        let denied = sandbox.settings().denies_address(address.ip());
        Ok(denied.map(|network| {
            let name = sandbox.name();
            Gap::undecided(
                format!("whether {address} still fails for nginx"),
                format!("IPAddressDeny={network} of {name} drops what nginx sends there, and of others nothing"),
            )
            .learn(format!("systemctl show -p IPAddressAllow,IPAddressDeny {name}"))
        }))
    }

    /// The same connection as the worker's user, outside its domain or profile.
    pub(crate) fn repeated_unconfined(&self, incident: &Incident) -> Result<Repeated, Gap> {
        if incident.origin == Origin::Experiment {
            return Ok(incident.repeats_itself());
        }
        let Some(address) = incident.address.clone() else {
            return Err(Gap::undecided(
                "the connection, repeated",
                "the peer is no address",
            ));
        };
        if !self.options.connect {
            return Err(Gap::new(
                GapKind::NotAsked,
                format!("whether {address} still fails"),
                "--no-connect sends nothing",
            )
            .learn("why502   (without --no-connect)"));
        }
        let instance = self.instance(incident)?;
        let to = match &address {
            // The one who connects runs in a directory of its own.
            PeerAddress::Unix(path) => PeerAddress::Unix(self.placed(&instance, path)?),
            PeerAddress::Tcp(_) => address.clone(),
        };
        let request = ProbeRequest::Connect {
            from: instance.worker(),
            to,
        };
        self.queues_first(self.netns_of(&instance)?, [&address])?;
        let record = self.evidence.record(&request)?;
        let exhibit = |outcome: &str| Exhibit::Record {
            probe: "connect",
            at: Some(record.at),
            text: format!("connect {address} as nginx's worker: {outcome}"),
        };
        Ok(match &record.answer {
            Answer::Bytes(_) => Repeated::Succeeds,
            Answer::Errno(errno) if incident.errno.map(i32::from) == Some(*errno) => {
                Repeated::Same(exhibit(&errno_text(*errno)))
            }
            Answer::Errno(1) => {
                return Err(Gap::new(
                    GapKind::Denied,
                    format!("whether {address} still fails"),
                    "a connection as nginx's worker needs root",
                )
                .learn("sudo why502"));
            }
            Answer::Errno(errno) => Repeated::Other(*errno, exhibit(&errno_text(*errno))),
            Answer::TimedOut if incident.errno == Some(110) => Repeated::Same(exhibit("no answer")),
            Answer::TimedOut => Repeated::Silent(exhibit("no answer")),
            Answer::File { .. } | Answer::Exit { .. } | Answer::NotRecorded => {
                return Err(Gap::undecided(
                    format!("whether {address} still fails"),
                    "the record holds no connection",
                ));
            }
        })
    }

    /// Waits for the listeners' queues before a connection of why502's own may stand in one. What was read before stays:
    /// a table is read once.
    pub(super) fn queues_first<'a>(
        &self,
        netns: Option<u32>,
        dialled: impl IntoIterator<Item = &'a PeerAddress>,
    ) -> Result<(), Gap> {
        let kinds: BTreeSet<SocketKind> = dialled
            .into_iter()
            .map(|peer| match peer {
                PeerAddress::Tcp(_) => SocketKind::TcpListening,
                PeerAddress::Unix(_) => SocketKind::UnixListening,
            })
            .collect();
        let tables = kinds
            .into_iter()
            .map(|kind| ProbeRequest::Sockets { netns, kind });
        self.evidence.batch(tables).map(drop)
    }

    /// The time rule: what is true now confirms only what fails now in the same way.
    pub(crate) fn still_failing(&self, incident: &Incident) -> Result<Exhibit, Gap> {
        if let (Origin::Experiment, Repeated::Same(again)) =
            (incident.origin, incident.repeats_itself())
        {
            return Ok(again);
        }
        if self.dials_no_more(incident)? {
            let why = if incident.explained {
                "nginx has been told to speak another protocol to the peer since"
            } else {
                "nginx has been told to dial elsewhere since"
            };
            return Err(Gap::too_late("whether it held when it failed", why));
        }
        if self.may_dial_no_more(incident)? {
            let why = if incident.explained {
                "the files have nginx speak another protocol to it, and the worker that failed has been replaced since"
            } else {
                "no file names it, and the worker that did has been replaced since"
            };
            return Err(Gap::too_late("whether nginx still dials this peer", why));
        }
        if let Some(gap) = self.is_another_episode(incident)? {
            return Err(gap);
        }
        match self.repeated(incident)? {
            Repeated::Same(exhibit) => Ok(exhibit),
            Repeated::Other(_, Exhibit::Record { text, .. })
            | Repeated::Silent(Exhibit::Record { text, .. }) => Err(Gap::too_late(
                "whether it held when it failed",
                format!("it fails in another way now ({text})"),
            )),
            Repeated::Other(..) | Repeated::Silent(_) | Repeated::Succeeds => Err(Gap::too_late(
                "whether it held when it failed",
                "the connection succeeds now",
            )),
        }
    }

    /// Why what fails now may be another fault than the one of the incident: the peer has answered in between. Where a queue
    /// is full, requests fail and are answered side by side.
    fn is_another_episode(&self, incident: &Incident) -> Result<Option<Gap>, Gap> {
        let mingles = [
            Class::UnixBacklogFull,
            Class::ConnectTimeout,
            Class::ConnectTimeoutKernel,
        ];
        if mingles.iter().any(|class| incident.is(*class)) && self.is_recent(incident) {
            return Ok(None);
        }
        let since = incident.last_seen.as_second() + 1;
        if self.answered(incident, &(since..=i64::MAX))?.is_none() {
            return Ok(None);
        }
        let gap = Gap::too_late(
            "whether it held when it failed",
            "the peer has answered since the last failure, by the access log",
        );
        Ok(Some(match self.repeated(incident)? {
            Repeated::Same(Exhibit::Record { text, .. }) => {
                gap.leaning(format!("the same is so now: {text}"))
            }
            _ => gap,
        }))
    }

    /// Whether connections may be tried at all.
    pub(crate) fn connects(&self) -> bool {
        self.options.connect
    }

    /// The listener that the peer's address reaches now.
    pub(crate) fn listener_of(&self, incident: &Incident) -> Result<Reached, Gap> {
        let missing = || format!("the application behind {}", incident.peer);
        match &incident.address {
            Some(PeerAddress::Tcp(address)) => {
                let listeners = self.listeners_near(incident)?;
                let listener = listener_on(&listeners, *address)?.ok_or_else(|| {
                    Gap::too_late(missing(), "nothing listens there now")
                        .leaning("nothing listens there any more: it may have ended")
                })?;
                one_of_all(&listeners, listener)?;
                Ok(Reached {
                    holders: listener.holders.clone(),
                    waiting: listener.waiting,
                    backlog: listener.backlog,
                    exhibit: listener.exhibit(),
                })
            }
            Some(PeerAddress::Unix(path)) => {
                let walk = self.walk_as_worker(incident, path)?;
                let file = walk
                    .file()
                    .ok_or_else(|| Gap::too_late(missing(), "its socket is gone"))?;
                let listeners = self.unix_listeners(incident)?;
                let listener = listeners
                    .iter()
                    .find(|listener| listener.is_file(file.device, file.inode, path))
                    .ok_or_else(|| Gap::too_late(missing(), "nothing listens there now"))?;
                let (waiting, backlog) = listener.queue.unwrap_or_default();
                Ok(Reached {
                    holders: listener.holders.clone(),
                    waiting,
                    backlog,
                    exhibit: listener.exhibit(),
                })
            }
            None => Err(Gap::undecided(missing(), "the peer is no address")),
        }
    }

    /// What is known of a peer, for an incident that nothing explains.
    pub(crate) fn known_of(&self, incident: &Incident) -> Vec<Exhibit> {
        let reached = self.listener_of(incident);
        let repeated = self.repeated(incident);
        let itself = self.dials_itself(incident);
        let firewall = self.firewall_of(incident);
        let application = self.application(incident).ok();
        let mut known = Vec::new();
        if let Ok(reached) = reached {
            known.extend(reached.queue());
            known.extend(reached.stopped().map(|stopped| stopped.exhibit()));
            known.push(reached.exhibit);
        }
        known.extend(repeated.ok().and_then(Repeated::exhibit));
        known.extend(self.comes_and_goes(incident).ok().flatten());
        known.extend(itself.ok().flatten());
        known.extend(firewall.ok().flatten());
        known.extend(
            application
                .iter()
                .flat_map(|application| application.said(incident)),
        );
        known
    }

    /// How to run a command where nginx's network is: `nsenter ...`, or nothing where it is why502's own.
    pub(crate) fn in_nginx_netns(&self, incident: &Incident) -> Result<Option<u32>, Gap> {
        self.netns(incident)
    }

    /// That the queue of connections to the application is not full: else it does not even see the request.
    pub(crate) fn queue_has_room(&self, incident: &Incident) -> Result<Exhibit, Gap> {
        let reached = self.listener_of(incident)?;
        if reached.backlog > 0 && reached.waiting >= reached.backlog {
            return Err(Gap::undecided(
                "whether the application sees the request",
                "its queue of connections is full",
            )
            .leaning(format!(
                "{}: the application does not keep up",
                reached.queue_text()
            ))
            .learn("ss -ltnx"));
        }
        Ok(Exhibit::Record {
            probe: "sockets",
            at: None,
            text: format!(
                "{} of {} wait to be accepted",
                reached.waiting,
                counted(reached.backlog, "connection")
            ),
        })
    }
}

/// The listener that a peer's address reaches.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    pub(crate) holders: Rc<Vec<Process>>,
    pub(super) waiting: u32,
    pub(super) backlog: u32,
    pub(crate) exhibit: Exhibit,
}

impl Reached {
    /// Program and pid, for people.
    pub(crate) fn who(&self) -> String {
        who(&self.holders)
    }

    /// Whether connections wait to be accepted. One may be why502's own, of an earlier run: it waits until it is taken.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting > 1
    }

    /// Its queue of connections, where some wait.
    fn queue(&self) -> Option<Exhibit> {
        (self.waiting > 0).then(|| Exhibit::Record {
            probe: "sockets",
            at: None,
            text: if self.waiting > self.backlog {
                format!(
                    "its queue is full: {}: it does not keep up",
                    self.queue_text()
                )
            } else {
                self.queue_text()
            },
        })
    }

    /// Since when the oldest holder runs.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.holders.first().map(|holder| holder.start)
    }
}

/// Whether networks may have this address each for itself, as those of containers do.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

/// An errno as nginx and glibc print it.
pub(in crate::case) fn errno_text(errno: i32) -> String {
    let text = match errno {
        2 => "No such file or directory",
        11 => "Resource temporarily unavailable",
        13 => "Permission denied",
        20 => "Not a directory",
        40 => "Too many levels of symbolic links",
        91 => "Protocol wrong type for socket",
        97 => "Address family not supported by protocol",
        99 => "Cannot assign requested address",
        101 => "Network is unreachable",
        104 => "Connection reset by peer",
        110 => "Connection timed out",
        111 => "Connection refused",
        113 => "No route to host",
        _ => return format!("errno {errno}"),
    };
    format!("{errno}: {text}")
}
