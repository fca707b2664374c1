//! What nginx's own systemd unit keeps it from, and whether that was so when nginx was started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use facts::process::Process;
use facts::systemd::{Sandbox, Unit};
use facts::{Exhibit, Gap, PeerAddress, ProbeRequest};

use super::evidence::stat_of;
use super::{Case, Component};
use crate::incident::Incident;

/// What `ProtectHome=` covers.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// What `PrivateTmp=` covers.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// nginx's own service, as systemd knows it.
pub(crate) struct NginxSandbox {
    unit: Unit,
    master: Process,
}

/// Where nginx's view of a path first differs from the host's.
pub(crate) struct Veiled {
    /// What the host has there.
    pub(crate) theirs: Component,
    /// What nginx has there.
    pub(crate) ours: Option<Component>,
}

/// A setting that covers a path.
pub(crate) struct Cover {
    /// Its key, such as `ProtectHome`.
    pub(crate) key: &'static str,
    /// Its value; of a list, the one that covers the path.
    pub(crate) value: String,
    /// The other values of the list.
    pub(crate) others: Vec<String>,
}

impl NginxSandbox {
    /// The service's name.
    pub(crate) fn name(&self) -> &str {
        &self.unit.id
    }

    /// What it is kept from.
    pub(crate) fn settings(&self) -> &Sandbox {
        &self.unit.sandbox
    }

    /// A setting as an exhibit.
    pub(crate) fn exhibit(&self, key: &str, value: &str) -> Exhibit {
        Exhibit::Record {
            probe: "unit",
            at: None,
            text: format!("{} has {key}={value}", self.unit.id),
        }
    }

    /// The setting that covers this very path, its links followed.
    pub(crate) fn cover(&self, path: &Path) -> Option<Cover> {
        let sandbox = &self.unit.sandbox;
        let lists = [
            ("InaccessiblePaths", &sandbox.inaccessible_paths),
            ("TemporaryFileSystem", &sandbox.temporary_file_system),
        ];
        for (key, list) in lists {
            let (covering, others): (Vec<&String>, Vec<&String>) =
                list.iter().partition(|entry| covered_by(entry) == path);
            if let Some(value) = covering.first() {
                return Some(Cover {
                    key,
                    value: (*value).clone(),
                    others: others.into_iter().cloned().collect(),
                });
            }
        }
        let stands_in = |places: &[&str]| places.iter().any(|place| Path::new(place) == path);
        let (key, value) =
            if stands_in(&HOMES) && matches!(sandbox.protect_home.as_str(), "yes" | "tmpfs") {
                ("ProtectHome", sandbox.protect_home.as_str())
            } else if stands_in(&TEMPORARY) && sandbox.private_tmp {
                ("PrivateTmp", "yes")
            } else {
                return None;
            };
        Some(Cover {
            key,
            value: value.to_owned(),
            others: Vec::new(),
        })
    }
}

/// The path of an entry such as `-/srv/a` or `/run/b:ro`.
fn covered_by(entry: &str) -> &Path {
    let path = entry.trim_start_matches(['-', '+']);
    Path::new(path.split(':').next().unwrap_or(path))
}

impl Case {
    /// nginx's own service; `None` where it runs in none.
    pub(crate) fn nginx_sandbox(&self, incident: &Incident) -> Result<Option<NginxSandbox>, Gap> {
        let instance = self.instance(incident)?;
        let Some(master) = instance.master else {
            return Err(Gap::undecided(
                "what nginx's unit forbids",
                "nginx is not running",
            ));
        };
        if !self.has_systemd()? {
            return Ok(None);
        }
        let cgroup = self.cgroup(master.pid)?;
        let is_service = |unit: &&String| unit.ends_with(".service") && !unit.starts_with("user@");
        let Some(name) = cgroup.unit.as_ref().filter(is_service) else {
            return Ok(None);
        };
        let unit = self.unit_state(name)?.ok_or_else(|| {
            Gap::undecided(
                format!("what {name} forbids"),
                "systemd does not tell of the unit",
            )
            .learn(format!("systemctl show {name}"))
        })?;
        Ok(Some(NginxSandbox { unit, master }))
    }

    /// That what systemd says of nginx's unit now was so when nginx was started: what starts later changes nothing.
    pub(crate) fn held_since_start(&self, sandbox: &NginxSandbox) -> Result<Exhibit, Gap> {
        let unit = &sandbox.unit;
        let late = |why: String| {
            Gap::too_late(
                format!("what {} forbade when nginx was started", unit.id),
                why,
            )
            .learn(format!("systemctl cat {}", unit.id))
        };
        if unit.need_daemon_reload {
            return Err(late(
                "its files have changed since systemd read them".into(),
            ));
        }
        let files: Vec<&PathBuf> = unit
            .fragment_path
            .iter()
            .chain(&unit.drop_in_paths)
            .collect();
        drop(
            self.evidence
                .batch(files.iter().map(ProbeRequest::host_file))?,
        );
        let mut newest = None;
        for file in files {
            let (record, _) = self.evidence.bytes(&ProbeRequest::host_file(file))?;
            let changed = stat_of(record).map(|stat| stat.changed);
            let Some(changed) = changed.filter(|changed| *changed <= sandbox.master.start) else {
                return Err(late(format!("{} is newer", file.display())));
            };
            newest = newest.max(Some(changed));
        }
        Ok(Exhibit::Record {
            probe: "unit",
            at: newest,
            text: format!(
                "the files of {} have not changed since nginx was started (pid {})",
                unit.id, sandbox.master.pid
            ),
        })
    }

    /// That the network and `/tmp` of nginx's unit are its alone: in those that it shares, its application may be meant
    /// to stand.
    pub(crate) fn shares_with_none(&self, sandbox: &NginxSandbox) -> Result<(), Gap> {
        let unit = &sandbox.unit.id;
        let zone = self.host_zone()?;
        let shown = self
            .evidence
            .fact(&facts::systemd::show_joined(unit), |_, output| {
                facts::systemd::units(output, &zone)
            })?;
        let mut joined = shown
            .iter()
            .flat_map(|shown| &shown.sandbox.joins_namespace_of);
        match joined.next() {
            None => Ok(()),
            Some(other) => Err(Gap::undecided(
                "where the application is meant to be",
                format!("{unit} shares its namespaces with {other}"),
            )),
        }
    }

    /// That nginx's namespace of this kind (`mnt`, `net`) is another than why502's own; `None` where it is the same.
    pub(crate) fn apart(&self, incident: &Incident, kind: &str) -> Result<Option<Exhibit>, Gap> {
        let worker = self
            .instance(incident)?
            .worker()
            .ok_or_else(|| Gap::undecided("nginx's namespaces", "it is not running"))?;
        let link = |pid: &str| ProbeRequest::Link {
            path: PathBuf::from(format!("/proc/{pid}/ns/{kind}")),
        };
        let pair = [link(&worker.to_string()), link("self")];
        drop(self.evidence.batch(pair.clone())?);
        let [nginx, own] = pair.map(|link| {
            let read = self.evidence.bytes(&link);
            read.map(|(_, target)| String::from_utf8_lossy(target).into_owned())
        });
        let (nginx, own) = (nginx?, own?);
        Ok((nginx != own).then(|| Exhibit::Record {
            probe: "link",
            at: None,
            text: format!("nginx's worker (pid {worker}) is in {nginx}, and the host in {own}"),
        }))
    }

    /// Where nginx's view of a path first differs from the host's; `None` where both are one.
    pub(crate) fn veiled(&self, incident: &Incident, path: &Path) -> Result<Option<Veiled>, Gap> {
        let ours: Vec<Component> = self.walk_as_worker(incident, path)?.components().collect();
        let theirs = self.walk_outside(path)?;
        let veiled = theirs.components().find_map(|theirs| {
            let ours = ours.iter().find(|ours| ours.path == theirs.path);
            match ours {
                Some(ours) if ours.is_same(&theirs) => None,
                ours => Some(Veiled {
                    ours: ours.cloned(),
                    theirs,
                }),
            }
        });
        Ok(veiled)
    }

    /// That the worker's system calls are filtered, and nginx's unit leaves the family of the peer's address out of
    /// those that are allowed: seccomp is inherited and cannot be taken off, so each worker of this master is refused.
    pub(crate) fn forbidden_family(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        let Some(address) = &incident.address else {
            return Ok(None);
        };
        let family = family(address);
        let worker = self
            .instance(incident)?
            .worker()
            .ok_or_else(|| Gap::undecided("the worker's filter", "nginx is not running"))?;
        let status = self.status(worker)?;
        let filtered = status
            .as_ref()
            .as_ref()
            .and_then(|status| status.is_seccomp_filtered);
        if filtered == Some(false) {
            return Ok(None);
        }
        let Some(sandbox) = self.nginx_sandbox(incident)? else {
            return Ok(None);
        };
        // A filter stays in force after the setting is gone.
        self.held_since_start(&sandbox)?;
        if sandbox.settings().allows_family(family) {
            return Ok(None);
        }
        if filtered.is_none() {
            return Err(Gap::undecided(
                "whether the worker's system calls are filtered",
                "the kernel does not say",
            ));
        }
        Ok(Some(Exhibit::Record {
            probe: "file",
            at: None,
            text: format!(
                "the system calls of nginx's worker (pid {worker}) are filtered, and {} allows no {family} (RestrictAddressFamilies={})",
                sandbox.name(),
                sandbox.settings().restrict_address_families
            ),
        }))
    }

    /// That nginx has a loopback and no other address: a network of its own.
    pub(crate) fn only_loopback(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        let worker = self
            .instance(incident)?
            .worker()
            .ok_or_else(|| Gap::undecided("nginx's addresses", "it is not running"))?;
        let file = |name: &str| ProbeRequest::host_file(format!("/proc/{worker}/net/{name}"));
        let v4 = self
            .evidence
            .fact(&file("fib_trie"), |_, bytes| facts::local::ipv4(bytes));
        // Without IPv6 the file is not there.
        let v6 = super::known(
            self.evidence
                .fact(&file("if_inet6"), |_, bytes| facts::local::ipv6(bytes)),
        );
        let (v4, v6) = (v4?, v6?.unwrap_or_default());
        let is_alone = v4
            .iter()
            .chain(v6.iter())
            .all(std::net::IpAddr::is_loopback);
        Ok(is_alone.then(|| Exhibit::Record {
            probe: "file",
            at: None,
            text: "nginx's network has no address but loopback".to_owned(),
        }))
    }

    /// What listens on an address in the host's own network.
    pub(crate) fn listener_outside(
        &self,
        address: SocketAddr,
    ) -> Result<Option<super::network::Listener>, Gap> {
        let outside = self.listeners_in(None)?;
        let listener = super::network::listener_on(&outside, address)?;
        Ok(listener.filter(|listener| !listener.is_nginx()).cloned())
    }
}

/// The family of a peer's address, as systemd names it.
pub(crate) fn family(address: &PeerAddress) -> &'static str {
    match address {
        PeerAddress::Unix(_) => "AF_UNIX",
        PeerAddress::Tcp(SocketAddr::V4(_)) => "AF_INET",
        PeerAddress::Tcp(SocketAddr::V6(_)) => "AF_INET6",
    }
}
