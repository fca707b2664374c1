//! What SELinux makes of the connections of nginx's worker: its mode, the worker's domain, and what the policy in force
//! decides, asked of the kernel.

use std::rc::Rc;

use facts::selinux::{Decision, Policy};
use facts::{Exhibit, Gap, GapKind, PeerAddress, ProbeRequest};

use super::processes::proc_file;
use super::{Case, known};
use crate::incident::Incident;

/// The longest context; the kernel's own limit is a page.
const CONTEXT_LIMIT: u64 = 4096;

/// Whether SELinux rules on this host.
#[derive(Clone, Debug)]
pub(crate) enum Selinux {
    /// The kernel runs none, since it started.
    Off(Exhibit),
    /// It logs what it would deny, and lets it pass.
    Permissive(Exhibit),
    /// It denies.
    Enforcing,
}

/// One thing the worker's domain must be allowed for a connection.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    /// The worker's context.
    pub(crate) source: String,
    /// The context of what is acted on.
    pub(crate) target: String,
    /// Its class.
    pub(crate) class: &'static str,
    /// What must be allowed.
    pub(crate) permission: &'static str,
    /// What it is, for people: a port, a path, a listener.
    pub(crate) what: String,
}

/// What the policy in force decides on a [`Need`].
#[derive(Clone, Debug)]
pub(crate) struct Ruling {
    /// On what.
    pub(crate) need: Need,
    /// Whether the kernel lets it pass: by a rule, or because the domain is permissive.
    pub(crate) passes: bool,
    /// Whether the domain is permissive: what is denied to it passes.
    pub(crate) is_permissive: bool,
    /// Whether a denial is kept out of the log by a `dontaudit` rule.
    pub(crate) is_silent: bool,
}

/// What the policy in force decides on a connection.
#[derive(Clone, Debug)]
pub(crate) struct Rulings {
    /// On each thing that could be asked.
    pub(crate) rulings: Vec<Ruling>,
    /// What could not be asked.
    pub(crate) gap: Option<Gap>,
}

impl Need {
    /// The type of the worker's domain.
    pub(crate) fn domain(&self) -> &str {
        facts::selinux::kind(&self.source).unwrap_or_default()
    }

    /// The type of what is acted on.
    pub(crate) fn kind(&self) -> &str {
        facts::selinux::kind(&self.target).unwrap_or_default()
    }
}

impl Ruling {
    /// The ruling as an exhibit.
    pub(crate) fn exhibit(&self) -> Exhibit {
        let need = &self.need;
        let verb = if self.passes { "allows" } else { "denies" };
        let note = match self {
            Self {
                is_permissive: true,
                ..
            } => ", a permissive domain",
            Self {
                passes: false,
                is_silent: true,
                ..
            } => ", and a dontaudit rule keeps it out of the log",
            _ => "",
        };
        Exhibit::Record {
            probe: "selinux-access",
            at: None,
            text: format!(
                "the policy in force {verb} {} {} on {} ({} {}){note}",
                need.domain(),
                need.permission,
                need.what,
                need.kind(),
                need.class
            ),
        }
    }
}

impl Rulings {
    /// What is denied.
    pub(crate) fn denied(&self) -> impl Iterator<Item = &Ruling> {
        self.rulings.iter().filter(|ruling| !ruling.passes)
    }

    /// Everything that was asked passes, and everything was asked.
    pub(crate) fn all_pass(&self) -> Result<bool, Gap> {
        match &self.gap {
            _ if self.denied().next().is_some() => Ok(false),
            Some(gap) => Err(gap.clone()),
            None => Ok(true),
        }
    }
}

impl Case {
    /// Whether SELinux rules on this host, now.
    pub(crate) fn selinux(&self) -> Result<Rc<Selinux>, Gap> {
        self.evidence.once("selinux", || {
            let registered = self
                .evidence
                .fact(&ProbeRequest::host_file("/proc/filesystems"), |_, bytes| {
                    facts::selinux::is_registered(bytes)
                })?;
            if !*registered {
                return Ok(Selinux::Off(Exhibit::Record {
                    probe: "file",
                    at: None,
                    text: "the kernel runs no SELinux (/proc/filesystems)".to_owned(),
                }));
            }
            let enforce = self.evidence.bytes(&facts::selinux::enforce());
            let (record, enforce) = enforce.map_err(|gap| match gap.kind {
                GapKind::Pending => gap,
                _ => Gap::new(gap.kind, "whether SELinux enforces", gap.why)
                    .learn("getenforce   (on the host itself)"),
            })?;
            if enforce.first() == Some(&b'1') {
                return Ok(Selinux::Enforcing);
            }
            Ok(Selinux::Permissive(Exhibit::Record {
                probe: "file",
                at: Some(record.at),
                text: "SELinux is permissive: it logs and lets pass (/sys/fs/selinux/enforce)"
                    .to_owned(),
            }))
        })
    }

    /// What SELinux denies of the worker's connection to the peer, made now; `None` where it denies nothing.
    pub(crate) fn selinux_denies(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        if !matches!(*self.selinux()?, Selinux::Enforcing) {
            return Ok(None);
        }
        let rulings = self.rulings(incident)?;
        if rulings.all_pass()? {
            return Ok(None);
        }
        Ok(rulings.denied().next().map(Ruling::exhibit))
    }

    /// What the policy in force decides on the worker's connection to the peer.
    pub(crate) fn rulings(&self, incident: &Incident) -> Result<Rc<Rulings>, Gap> {
        let key = format!("rulings {} {}", incident.instance, incident.peer);
        self.evidence.once(key, || {
            let source = self.worker_context(incident)?;
            let (needs, gap) = match incident.dialled()? {
                PeerAddress::Tcp(address) => (
                    vec![self.port_need(incident, &source, address.port())?],
                    None,
                ),
                PeerAddress::Unix(path) => self.socket_needs(incident, &source, path)?,
            };
            let rulings: Vec<Result<Ruling, Gap>> =
                needs.into_iter().map(|need| self.ruling(need)).collect();
            let mut known_rulings = Vec::new();
            let mut missing = gap;
            for ruling in rulings {
                match ruling {
                    Ok(ruling) => known_rulings.push(ruling),
                    Err(gap) if gap.kind == GapKind::Pending => return Err(gap),
                    Err(gap) => missing = missing.or(Some(gap)),
                }
            }
            Ok(Rulings {
                rulings: known_rulings,
                gap: missing,
            })
        })
    }

    fn port_need(&self, incident: &Incident, source: &str, port: u16) -> Result<Need, Gap> {
        Ok(Need {
            source: source.to_owned(),
            target: self.port_context(incident, source, port)?,
            class: "tcp_socket",
            permission: "name_connect",
            what: format!("tcp port {port}"),
        })
    }

    /// The context of a port: by the policy or, where that may not be read, by the last denial that names the port.
    fn port_context(&self, incident: &Incident, source: &str, port: u16) -> Result<String, Gap> {
        if let Some(policy) = known(self.selinux_policy())? {
            let kind = policy.tcp_port(port).ok_or_else(|| {
                Gap::undecided(
                    format!("the SELinux type of tcp port {port}"),
                    "the policy names none",
                )
            })?;
            return Ok(like(source, kind));
        }
        let named = known(self.denied(incident, |record| is_connect(record, port)))?.flatten();
        let target = named.and_then(|denied| match denied.last.module {
            facts::audit::SecurityModule::SeLinux(avc) => Some(avc.target),
            facts::audit::SecurityModule::AppArmor(_) => None,
        });
        target.ok_or_else(|| {
            Gap::new(
                GapKind::Denied,
                format!("the SELinux type of tcp port {port}"),
                "needs root",
            )
            .learn("sudo why502")
        })
    }

    /// The policy the kernel has loaded; root alone may read it.
    pub(crate) fn selinux_policy(&self) -> Result<Rc<Policy>, Gap> {
        let request = facts::selinux::policy();
        self.evidence.once("selinux policy", || {
            let (_, bytes) = self.evidence.bytes(&request)?;
            Policy::parse(bytes).ok_or_else(|| {
                Gap::undecided(
                    "the SELinux policy in force",
                    "it is of a form that is not known",
                )
            })
        })
    }

    /// The directories to be searched, the socket's file to be written, the listener to be connected to.
    fn socket_needs(
        &self,
        incident: &Incident,
        source: &str,
        path: &std::path::Path,
    ) -> Result<(Vec<Need>, Option<Gap>), Gap> {
        let walk = self.walk_as_worker(incident, path)?;
        let mut needs = Vec::new();
        let mut gap = None;
        for component in walk.components() {
            let (class, permission) = match () {
                () if component.is_directory() => ("dir", "search"),
                () if component.is_socket() => ("sock_file", "write"),
                () => continue,
            };
            let what = component.path.display().to_string();
            match component.context() {
                Some(target) => needs.push(Need {
                    source: source.to_owned(),
                    target: target.to_owned(),
                    class,
                    permission,
                    what,
                }),
                None => {
                    gap = Some(Gap::undecided(
                        format!("the SELinux label of {what}"),
                        "it shows none",
                    ));
                }
            }
        }
        match self.listener_context(incident) {
            Ok(target) => needs.push(Need {
                source: source.to_owned(),
                target,
                class: "unix_stream_socket",
                permission: "connectto",
                what: "the socket of the application that listens there".to_owned(),
            }),
            Err(pending) if pending.kind == GapKind::Pending => return Err(pending),
            Err(missing) => gap = gap.or(Some(missing)),
        }
        Ok((needs, gap))
    }

    /// The context of who listens on the peer's socket; a socket bears that of the process that made it.
    fn listener_context(&self, incident: &Incident) -> Result<String, Gap> {
        let reached = self.listener_of(incident)?;
        let holder = reached.holders.first().ok_or_else(|| {
            Gap::undecided(
                "who listens on the socket",
                "its process could not be named",
            )
        })?;
        // It labels the sockets that it makes for others as it was told to.
        if holder.pid == 1 {
            return Err(Gap::undecided(
                "the SELinux label of the socket",
                "systemd listens on it for its unit",
            ));
        }
        self.context_of(holder.pid)
    }

    /// The context of nginx's worker.
    pub(crate) fn worker_context(&self, incident: &Incident) -> Result<String, Gap> {
        let instance = self.instance(incident)?;
        let worker = instance
            .worker()
            .ok_or_else(|| Gap::undecided("the worker's SELinux domain", "nginx is not running"))?;
        self.context_of(worker)
    }

    /// What a process is confined as, by the kernel's security module.
    pub(crate) fn confinement_of(&self, pid: u32) -> Result<String, Gap> {
        let (_, bytes) = self
            .evidence
            .bytes(&proc_file(pid, "attr/current", CONTEXT_LIMIT))?;
        let text = String::from_utf8_lossy(bytes);
        Ok(text.trim_end_matches(['\0', '\n']).to_owned())
    }

    fn context_of(&self, pid: u32) -> Result<String, Gap> {
        let context = self.confinement_of(pid)?;
        match facts::selinux::kind(&context) {
            Some(_) => Ok(context),
            None => Err(Gap::undecided(
                format!("the SELinux domain of process {pid}"),
                "it shows none",
            )),
        }
    }

    /// What the policy in force decides, asked of the kernel.
    pub(crate) fn ruling(&self, need: Need) -> Result<Ruling, Gap> {
        let access = ProbeRequest::SelinuxAccess {
            source: need.source.clone(),
            target: need.target.clone(),
            class: need.class.to_owned(),
        };
        let place = facts::selinux::permission(need.class, need.permission);
        drop(self.evidence.batch([access.clone(), place.clone()])?);
        let garbled = || {
            Gap::undecided(
                "what the SELinux policy decides",
                "the kernel's answer makes no sense",
            )
        };
        let decision = self
            .evidence
            .fact(&access, |_, bytes| Decision::parse(bytes))?;
        let decision = (*decision).ok_or_else(garbled)?;
        let (_, place) = self.evidence.bytes(&place)?;
        let place: u32 = std::str::from_utf8(place)
            .ok()
            .and_then(|place| place.trim().parse().ok())
            .ok_or_else(garbled)?;
        Ok(Ruling {
            passes: decision.is_permissive || decision.allows(place),
            is_permissive: decision.is_permissive,
            is_silent: !decision.logs_denial(place),
            need,
        })
    }

    /// The type that the files' rules give a path, where they name one and `matchpathcon` tells.
    pub(crate) fn expected_kind(&self, path: &std::path::Path) -> Result<Option<String>, Gap> {
        let Some(text) = path.to_str() else {
            return Ok(None);
        };
        let request = ProbeRequest::command(["matchpathcon", "-n", text]);
        let output = known(self.evidence.bytes(&request))?;
        let context = output.map(|(_, output)| String::from_utf8_lossy(output).trim().to_owned());
        Ok(context.and_then(|context| facts::selinux::kind(&context).map(str::to_owned)))
    }

    /// A path as the rules of files name it: some begin where another path is taken for it, such as `/run` for `/var/run`.
    pub(crate) fn as_labelled(&self, path: &std::path::Path) -> Result<std::path::PathBuf, Gap> {
        let config = known(
            self.evidence
                .bytes(&ProbeRequest::host_file("/etc/selinux/config")),
        )?;
        let store = config.and_then(|(_, config)| facts::selinux::store(config));
        let Some(store) = store else {
            return Ok(path.to_owned());
        };
        let file =
            |name| ProbeRequest::host_file(format!("/etc/selinux/{store}/contexts/files/{name}"));
        let (own, shipped) = (file("file_contexts.subs"), file("file_contexts.subs_dist"));
        drop(self.evidence.batch([own.clone(), shipped.clone()])?);
        for request in [own, shipped] {
            if let Some((_, rules)) = known(self.evidence.bytes(&request))?
                && let Some(substituted) = facts::selinux::substituted(path, rules)
            {
                return Ok(substituted);
            }
        }
        Ok(path.to_owned())
    }

    /// Whether the policy in force would let the domain of a need do the same to another type.
    pub(crate) fn would_pass(&self, need: &Need, kind: &str) -> Result<bool, Gap> {
        let other = Need {
            target: like(&need.target, kind),
            ..need.clone()
        };
        Ok(self.ruling(other)?.passes)
    }
}

/// Whether a record is SELinux's denial of a connection to this TCP port.
fn is_connect(record: &facts::audit::AccessRecord, port: u16) -> bool {
    match &record.module {
        facts::audit::SecurityModule::SeLinux(avc) => {
            let connects = avc
                .permissions
                .iter()
                .any(|permission| permission == "name_connect");
            connects
                && avc.class == "tcp_socket"
                && avc.port == Some(port)
                && avc.enforced != Some(false)
        }
        facts::audit::SecurityModule::AppArmor(_) => false,
    }
}

/// A context of an object of this type: user and level as another context's, the level without its categories.
fn like(context: &str, kind: &str) -> String {
    let mut parts = context.split(':');
    let user = parts.next().unwrap_or_default();
    match parts.nth(2) {
        Some(level) => {
            let level = level.split('-').next().unwrap_or(level);
            format!("{user}:object_r:{kind}:{level}")
        }
        None => format!("{user}:object_r:{kind}"),
    }
}
