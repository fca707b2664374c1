//! Network namespaces besides nginx's: what listens on a port there, what people call them, and by which addresses and
//! forwarders nginx could reach what stands in them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use facts::forwarder::Forwarder;
use facts::process::{Process, Runtime};
use facts::{Exhibit, Gap, GapKind, ProbeRequest, View};

use super::network::{Listener, listener_on};
use super::{Case, known};
use crate::incident::Incident;

/// Network namespaces that are looked into; of more, nothing is said.
const NETWORKS: usize = 256;
/// Names of network namespaces that are looked at.
const NAMES: usize = 32;
/// Where `ip netns` keeps names (ip-netns(8)).
const NAMED: &str = "/run/netns";
/// A network namespace in which processes run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// Its oldest process.
    pid: u32,
    /// `net:[4026532001]`, as the kernel names it.
    link: String,
    /// Whether why502 runs in it.
    is_own: bool,
    /// Whether the host's first process does.
    is_hosts: bool,
}

/// A listener in another network namespace than nginx's.
#[derive(Clone, Debug)]
pub(crate) struct Apart {
    /// The listener, with its address in its own namespace.
    pub(crate) listener: Listener,
    network: Rc<Network>,
    /// The namespace's addresses that mean something outside it.
    addresses: Vec<IpAddr>,
}

/// Who listens at an address inside another network namespace.
pub(crate) struct Inside {
    /// What people call the namespace.
    pub(crate) network: String,
    /// Whether anybody listens, in words.
    pub(crate) state: String,
    /// The command that shows it.
    pub(crate) learn: String,
}

impl Network {
    /// The namespace as a socket table is asked for.
    fn netns(&self) -> Option<u32> {
        (!self.is_own).then_some(self.pid)
    }
}

impl Apart {
    /// Whether it stands in the network namespace that the host started with.
    pub(crate) fn is_hosts(&self) -> bool {
        self.network.is_hosts
    }

    /// The addresses that it has outside its namespace, each with its port, whether it listens there or not.
    pub(crate) fn places(&self) -> impl Iterator<Item = SocketAddr> {
        let port = self.listener.address.port();
        self.addresses
            .iter()
            .map(move |&ip| SocketAddr::new(ip, port))
    }

    /// Those of them at which it listens, of the dialled version first.
    pub(crate) fn open_places(&self, dialled: SocketAddr) -> Vec<SocketAddr> {
        let is_open = |place: &SocketAddr| self.listener.reached_by(*place) == Some(true);
        let mut places: Vec<SocketAddr> = self.places().filter(is_open).collect();
        places.sort_by_key(|place| place.is_ipv4() != dialled.is_ipv4());
        places
    }

    /// Whether a forwarder leads to it.
    pub(crate) fn is_led_to_by(&self, forwarder: &Forwarder) -> bool {
        self.places().any(|place| place == forwarder.to)
    }

    /// That it listens, and in which namespace.
    pub(crate) fn exhibit(&self, network: &str) -> Exhibit {
        match self.listener.exhibit() {
            Exhibit::Record { probe, at, text } => Exhibit::Record {
                probe,
                at,
                text: format!("{text}, in {network} ({})", self.network.link),
            },
            other => other,
        }
    }
}

impl Case {
    /// The listeners on the dialled port in every network namespace but nginx's: sockets of one process there count as
    /// one, the widest.
    pub(crate) fn listeners_apart(
        &self,
        incident: &Incident,
        dialled: SocketAddr,
    ) -> Result<Rc<Vec<Apart>>, Gap> {
        self.evidence
            .once(format!("apart {} {dialled}", incident.instance), || {
                let networks = self.networks_apart(incident)?;
                let tables: Vec<_> = networks
                    .iter()
                    .map(|network| self.listeners_in(network.netns()))
                    .collect();
                let mut apart = Vec::new();
                for (network, table) in networks.iter().zip(tables) {
                    let table = table?;
                    let on_port = table
                        .iter()
                        .filter(|one| one.address.port() == dialled.port());
                    for listener in widest(on_port, dialled) {
                        apart.push(self.addresses_of(network).map(|addresses| Apart {
                            listener: listener.clone(),
                            network: Rc::clone(network),
                            addresses,
                        }));
                    }
                }
                apart.into_iter().collect()
            })
    }

    /// How many network namespaces there are besides nginx's.
    pub(crate) fn count_networks_apart(&self, incident: &Incident) -> Result<usize, Gap> {
        Ok(self.networks_apart(incident)?.len())
    }

    /// Every network namespace but nginx's, as far as they can be seen.
    fn networks_apart(&self, incident: &Incident) -> Result<Rc<Vec<Rc<Network>>>, Gap> {
        self.evidence
            .once(format!("networks {}", incident.instance), || {
                let nginx = self.network_link(&self.nginx_pid(incident)?)?;
                let all = self.networks()?;
                let nginx = nginx.ok_or_else(|| {
                    Gap::undecided("nginx's network namespace", "its process is gone")
                })?;
                let apart: Vec<Rc<Network>> = all
                    .iter()
                    .filter(|network| network.link != nginx)
                    .cloned()
                    .collect();
                if apart.len() > NETWORKS {
                    let why = format!("there are {}", apart.len());
                    let missing = "what listens in the other network namespaces";
                    return Err(Gap::undecided(missing, why).learn("sudo lsns -t net"));
                }
                Ok(apart)
            })
    }

    fn networks(&self) -> Result<Rc<Vec<Rc<Network>>>, Gap> {
        self.evidence.once("networks", || {
            let processes = self.processes()?;
            let names = processes.keys().map(u32::to_string);
            let links = names.chain(["self".to_owned()]).map(|name| link_of(&name));
            drop(self.evidence.batch(links)?);
            let own = known(self.network_link("self"))?.flatten();
            let first = self.first_network(&processes)?;
            let mut oldest: BTreeMap<String, &Process> = BTreeMap::new();
            for process in processes.values() {
                let Some(link) = known(self.network_link(&process.pid.to_string()))?.flatten()
                else {
                    continue;
                };
                let known = oldest.entry(link).or_insert(process);
                if (process.start, process.pid) < (known.start, known.pid) {
                    *known = process;
                }
            }
            let network = |(link, process): (String, &Process)| {
                Rc::new(Network {
                    pid: process.pid,
                    is_own: own.as_ref() == Some(&link),
                    is_hosts: first.as_ref() == Some(&link),
                    link,
                })
            };
            Ok(oldest.into_iter().map(network).collect())
        })
    }

    /// The network namespace that the host started with: that of its first process and of the kernel's own threads.
    fn first_network(&self, processes: &BTreeMap<u32, Process>) -> Result<Option<String>, Gap> {
        let is_kernels = |process: &&Process| process.ppid == 0 && process.args.is_empty();
        let kernels = processes.values().find(is_kernels);
        for pid in [Some(1), kernels.map(|process| process.pid)]
            .into_iter()
            .flatten()
        {
            if let Some(link) = known(self.network_link(&pid.to_string()))?.flatten() {
                return Ok(Some(link));
            }
        }
        Ok(None)
    }

    /// That no process hides its network namespace: else the application may be in one that nobody sees.
    pub(crate) fn sees_all_networks(&self) -> Result<(), Gap> {
        self.sees_all_processes()?;
        for process in self.processes()?.values() {
            // The kernel's own threads hold no sockets.
            if !process.args.is_empty() {
                self.network_link(&process.pid.to_string())?;
            }
        }
        Ok(())
    }

    /// The network namespace of a process, by its name in `/proc`; `None` once it has ended.
    fn network_link(&self, process: &str) -> Result<Option<String>, Gap> {
        match self.evidence.bytes(&link_of(process)) {
            Ok((_, link)) => Ok(Some(String::from_utf8_lossy(link).into_owned())),
            Err(gap) if gap.kind == GapKind::Absent => Ok(None),
            Err(gap) => Err(gap),
        }
    }

    fn nginx_pid(&self, incident: &Incident) -> Result<String, Gap> {
        let worker = self.instance(incident)?.worker();
        Ok(worker.map_or_else(|| "self".to_owned(), |pid| pid.to_string()))
    }

    fn addresses_of(&self, network: &Network) -> Result<Vec<IpAddr>, Gap> {
        let pid = network.pid.to_string();
        let (v4, v6) = (
            self.addresses_at(&pid, true),
            self.addresses_at(&pid, false),
        );
        let (v4, v6) = (known(v4)?, known(v6)?);
        let all: BTreeSet<IpAddr> = v4
            .iter()
            .chain(v6.iter())
            .flat_map(|ips| ips.iter().copied())
            .collect();
        Ok(all.into_iter().filter(is_met_from_outside).collect())
    }

    /// What people call the network namespace of a listener.
    pub(crate) fn network_of(&self, apart: &Apart) -> Result<String, Gap> {
        let pid = apart
            .listener
            .holders
            .first()
            .map_or(apart.network.pid, |holder| holder.pid);
        self.network_name(&apart.network, pid)
    }

    /// What people call nginx's.
    pub(crate) fn nginx_network(&self, incident: &Incident) -> Result<String, Gap> {
        let pid = self.nginx_pid(incident)?;
        let (link, networks) = (self.network_link(&pid)?, self.networks()?);
        let network = networks
            .iter()
            .find(|network| Some(&network.link) == link.as_ref());
        match (network, pid.parse()) {
            (Some(network), Ok(pid)) => self.network_name(network, pid),
            _ => Ok("why502's own network namespace".to_owned()),
        }
    }

    fn network_name(&self, network: &Network, pid: u32) -> Result<String, Gap> {
        if network.is_hosts {
            return Ok("the host's network".to_owned());
        }
        let cgroup = known(self.cgroup(pid))?;
        if let Some(container) = cgroup.as_ref().and_then(|cgroup| cgroup.container.as_ref()) {
            let id: String = container
                .id
                .chars()
                .take(if container.id.len() == 64 { 12 } else { 64 })
                .collect();
            return Ok(format!("{} {id}", called(container.runtime)));
        }
        if let Some(name) = self.name_in_run(network)? {
            return Ok(format!("network namespace {name}"));
        }
        Ok(
            match cgroup.as_ref().and_then(|cgroup| cgroup.unit.as_ref()) {
                Some(unit) => format!("the network namespace of {unit}"),
                None => format!("the network namespace of pid {}", network.pid),
            },
        )
    }

    /// The name that `ip netns` gave it: a file of the namespace's own inode.
    fn name_in_run(&self, network: &Network) -> Result<Option<String>, Gap> {
        let folder = ProbeRequest::Directory {
            view: View::Host,
            path: PathBuf::from(NAMED),
        };
        let Some((_, names)) = known(self.evidence.bytes(&folder))? else {
            return Ok(None);
        };
        let names = names
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
            .take(NAMES);
        let names: Vec<String> = names
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let walks: Vec<_> = names
            .iter()
            .map(|name| self.walk(View::Host, &Path::new(NAMED).join(name)))
            .collect();
        for (name, walk) in names.iter().zip(walks) {
            let file = known(walk)?.and_then(|walk| walk.file());
            if file.is_some_and(|file| network.link == format!("net:[{}]", file.inode)) {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    /// What stands at an address of another network namespace of this host; `None` where none has it, or several do.
    pub(crate) fn inside(
        &self,
        incident: &Incident,
        to: SocketAddr,
    ) -> Result<Option<Inside>, Gap> {
        let networks = self.networks_apart(incident)?;
        let addresses: Vec<_> = networks
            .iter()
            .map(|network| self.addresses_of(network))
            .collect();
        let mut having = Vec::new();
        for (network, addresses) in networks.iter().zip(addresses) {
            if addresses?.contains(&to.ip()) {
                having.push(network);
            }
        }
        let [network] = having.as_slice() else {
            return Ok(None);
        };
        let (name, table) = (
            self.network_name(network, network.pid),
            self.listeners_in(network.netns()),
        );
        let (name, table) = (name?, table?);
        let port = to.port();
        let alone = || {
            table
                .iter()
                .find(|listener| listener.address.port() == port)
        };
        let state = match (listener_on(&table, to)?, alone()) {
            (Some(listener), _) => {
                format!("{} listens on {} there", listener.who(), listener.address)
            }
            (None, Some(other)) => {
                format!("{} listens on {} alone there", other.who(), other.address)
            }
            (None, None) => format!("nothing listens on port {port} there"),
        };
        let pid = network.pid;
        Ok(Some(Inside {
            state,
            learn: format!("sudo nsenter -t {pid} -n ss -ltnp 'sport = :{port}'"),
            network: name,
        }))
    }

    /// The forwarder that takes connections for the listener, in whatever network namespace.
    pub(crate) fn forwarder_to(&self, apart: &Apart) -> Result<Option<Forwarder>, Gap> {
        let processes = self.processes()?;
        let mut forwarders = processes
            .values()
            .filter_map(|process| Forwarder::parse(&process.args));
        Ok(forwarders.find(|forwarder| apart.is_led_to_by(forwarder)))
    }

    /// Whether it runs in a container.
    pub(crate) fn is_contained(&self, apart: &Apart) -> Result<bool, Gap> {
        let Some(holder) = apart.listener.holders.first() else {
            return Ok(false);
        };
        let cgroup = known(self.cgroup(holder.pid))?;
        Ok(cgroup.is_some_and(|cgroup| cgroup.container.is_some()))
    }
}

/// Of the listeners of each process, the one that takes most.
fn widest<'a>(
    listeners: impl Iterator<Item = &'a Listener>,
    dialled: SocketAddr,
) -> Vec<&'a Listener> {
    let mut by_holders: BTreeMap<Vec<u32>, &Listener> = BTreeMap::new();
    for listener in listeners {
        let holders = listener.holders.iter().map(|holder| holder.pid);
        let known = by_holders.entry(holders.collect()).or_insert(listener);
        if width(listener, dialled) > width(known, dialled) {
            *known = listener;
        }
    }
    by_holders.into_values().collect()
}

/// How much is reached by it.
fn width(listener: &Listener, dialled: SocketAddr) -> (bool, bool, bool) {
    let ip = listener.address.ip();
    (
        ip.is_unspecified(),
        !ip.is_loopback(),
        ip.is_ipv4() == dialled.is_ipv4(),
    )
}

/// Whether an address may mean its namespace to another; a link's own does only with the link's name.
fn is_met_from_outside(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    }
}

pub(super) fn called(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Docker => "Docker container",
        Runtime::Podman => "Podman container",
        Runtime::Containerd => "containerd container",
        Runtime::CriO => "CRI-O container",
        Runtime::Kubernetes => "Kubernetes container",
        Runtime::Machine => "machine",
        Runtime::Lxc => "LXC container",
        Runtime::Other => "container",
    }
}

fn link_of(process: &str) -> ProbeRequest {
    ProbeRequest::Link {
        path: PathBuf::from(format!("/proc/{process}/ns/net")),
    }
}
