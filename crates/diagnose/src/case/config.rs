//! What nginx was told: the configuration on disk, who dials a peer there, and whether the workers run it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bstr::ByteSlice as _;
use conf::{
    Configuration, ContextKind, DirectiveRef, Lookup, Model, Pass, ServerLine, Target, Tree,
};
use facts::process::Process;
use facts::{Answer, ConfSpan, Exhibit, Gap, GapKind, PeerAddress, ProbeRequest, View};
use jiff::{SignedDuration, Timestamp};
use log::error::Protocol;

use super::evidence::{Evidence, stat_of};
use super::{Case, Instance, known};
use crate::diagnosis::RunningConfig;
use crate::incident::Incident;
use crate::tie::Place;
use crate::verdict::Step;

/// A process's start is known to two clock ticks, a file's change to one more: what lies within is the same moment.
pub(super) const CLOCK_GRAIN: SignedDuration = SignedDuration::from_millis(100);

/// A configuration file larger than this is cut, and said so.
const FILE_LIMIT: u64 = 16 << 20;

/// A host name, with its addresses.
type ResolvedName = (String, Vec<IpAddr>);

/// The configuration of one instance.
pub(crate) struct Configured {
    /// Its files.
    pub(crate) configuration: Configuration,
    /// Its meaning.
    pub(crate) model: Model,
    /// A part of it that nobody was let read.
    pub(super) unread: Option<Gap>,
    /// The directories that its includes were looked up in.
    pub(super) folders: BTreeSet<PathBuf>,
}

impl Configured {
    /// A part of it that nobody was let read.
    pub(crate) fn unread(&self) -> Option<&Gap> {
        self.unread.as_ref()
    }
}

/// What configurations dial, to be asked of every listener of a host.
#[derive(Debug, Default)]
pub(crate) struct Dialled {
    exact: BTreeSet<(IpAddr, u16)>,
    /// Addresses of the host itself, by port.
    local: BTreeMap<u16, BTreeSet<IpAddr>>,
    /// Ports of names that do not resolve.
    any: BTreeSet<u16>,
    paths: BTreeSet<Vec<u8>>,
}

impl Dialled {
    /// Whether dialling any of it may reach a listener here.
    pub(crate) fn reaches(&self, listener: &PeerAddress) -> bool {
        let listener = match listener {
            PeerAddress::Unix(_) => {
                return matches!(as_conf(listener), conf::PeerAddress::Unix(path) if self.paths.contains(path.as_slice()));
            }
            PeerAddress::Tcp(listener) => listener,
        };
        let (ip, port) = (listener.ip(), listener.port());
        self.any.contains(&port)
            || self.exact.contains(&(ip, port))
            || (ip.is_unspecified()
                && self
                    .local
                    .get(&port)
                    .is_some_and(|ips| ips.iter().any(|dialled| ip.is_ipv6() || dialled.is_ipv4())))
    }
}

/// A place in the configuration that dials a peer.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The directive that holds the address: a pass, or a server line.
    pub(crate) span: ConfSpan,
    /// The context of the pass.
    pub(crate) context: conf::ContextId,
    /// What the pass speaks.
    pub(crate) protocol: conf::Protocol,
    /// The upstream it goes through.
    pub(crate) upstream: Option<String>,
    /// Whether the pass leads to one address and no other.
    pub(crate) is_sole: bool,
    /// The names of the server around the pass.
    pub(crate) servers: Vec<String>,
    /// The argument that holds the address, as written.
    argument: String,
    /// Whether the address comes from a variable: the directive leads elsewhere for other requests.
    pub(crate) is_variable: bool,
}

impl Site {
    /// The directive as it would read with another address; `None` where the address comes from elsewhere.
    pub(crate) fn text_with(&self, place: &Place) -> Option<String> {
        if self.is_variable {
            return None;
        }
        let (scheme, rest) = match self.argument.split_once("://") {
            Some((scheme, rest)) => (format!("{scheme}://"), rest),
            None => (String::new(), self.argument.as_str()),
        };
        let uri = uri_of(rest, !scheme.is_empty());
        let address = match place {
            Place::Tcp(address) => format!("{address}{uri}"),
            // A URI follows a socket's path behind another colon.
            Place::Unix(path) if uri.is_empty() => format!("unix:{}", path.display()),
            Place::Unix(path) => format!("unix:{}:{uri}", path.display()),
        };
        let new = self
            .span
            .text
            .replacen(&self.argument, &format!("{scheme}{address}"), 1);
        (new != self.span.text).then_some(new)
    }

    /// Whether it says `localhost`, which names both families.
    pub(crate) fn says_localhost(&self) -> bool {
        let argument = self.argument.as_str();
        let rest = argument
            .split_once("://")
            .map_or(argument, |(_, rest)| rest);
        let host = rest.split([':', '/']).next().unwrap_or(rest);
        host.eq_ignore_ascii_case("localhost")
    }
}

/// What follows the address in a pass's argument: `/api` of `127.0.0.1:8000/api`, or of `unix:/run/x.sock:/api`.
pub(super) fn uri_of(rest: &str, has_scheme: bool) -> &str {
    if !has_scheme {
        return "";
    }
    if let Some(path) = rest.strip_prefix("unix:") {
        return path.split_once(':').map_or("", |(_, uri)| uri);
    }
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("")
}

/// A host name that the configuration dials.
pub(crate) struct NameDialled {
    /// The name.
    pub(crate) name: String,
    /// The directive that holds it.
    pub(crate) span: ConfSpan,
    /// Whether nginx looks it up again while it runs (`resolve`).
    pub(crate) is_resolved_again: bool,
}

/// A server of an upstream, for `no live upstreams`.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The address as written.
    pub(crate) text: String,
    /// What it stands for.
    pub(crate) addresses: Vec<PeerAddress>,
    /// Marked `down`.
    pub(crate) down: bool,
    /// Failures that take it out of use; 0 for never.
    pub(crate) max_fails: u64,
    /// For how long.
    pub(crate) fail_timeout: Duration,
    /// Connections at most; 0 for no limit.
    pub(crate) max_conns: u64,
    /// Where it stands.
    pub(crate) span: ConfSpan,
}

/// Whether nginx reuses connections to a peer.
pub(crate) enum Reuse {
    /// It does not; the exhibit says why.
    Never(Box<Exhibit>),
    /// It does.
    Kept(Kept),
}

/// The directives that let nginx reuse connections.
pub(crate) struct Kept {
    /// How long nginx keeps an idle connection.
    pub(crate) nginx_keeps: Duration,
    /// The directives in force.
    pub(crate) exhibits: Vec<Exhibit>,
}

/// A time-out in force.
pub(crate) struct Limit {
    /// The directive.
    pub(crate) name: &'static str,
    /// The line that opens the context of the pass, such as `location /api`.
    pub(crate) location: String,
    /// Its value as written, or the default.
    pub(crate) text: String,
    /// Where it is set; `None` for the default.
    pub(crate) exhibit: Option<Exhibit>,
}

/// Whether the workers run what stands on disk.
pub(crate) enum Drift {
    /// No file has changed since the workers started.
    None(Exhibit),
    /// A file has.
    Changed {
        /// The newest change.
        changed: Exhibit,
        /// What nginx said when it refused the last reload, or would say now.
        refused: Option<Exhibit>,
    },
}

/// The files of a configuration, as far as they are recorded.
struct Recorded<'a> {
    evidence: &'a Evidence,
    view: View,
    unread: RefCell<Option<Gap>>,
    /// The directories that includes were looked up in.
    folders: RefCell<BTreeSet<PathBuf>>,
}

impl Recorded<'_> {
    fn request(&self, path: &Path) -> ProbeRequest {
        ProbeRequest::File {
            view: self.view,
            path: path.to_owned(),
            limit: FILE_LIMIT,
        }
    }
}

impl conf::Source for Recorded<'_> {
    fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
        let request = self.request(path);
        match self
            .evidence
            .fact(&request, |_, bytes| Arc::new(Tree::parse(bytes.to_vec())))
        {
            Ok(tree) => Lookup::Found(Arc::clone(&tree)),
            Err(gap) if gap.kind == GapKind::Pending => Lookup::Wanted,
            Err(gap) => self.failed(&request, gap),
        }
    }

    fn directory(&self, path: &Path) -> Lookup<Vec<Vec<u8>>> {
        self.folders.borrow_mut().insert(path.to_owned());
        let request = ProbeRequest::Directory {
            view: self.view,
            path: path.to_owned(),
        };
        match self.evidence.bytes(&request) {
            Ok((_, names)) => Lookup::Found(
                names
                    .split(|&byte| byte == 0)
                    .filter(|name| !name.is_empty())
                    .map(<[u8]>::to_vec)
                    .collect(),
            ),
            Err(gap) if gap.kind == GapKind::Pending => Lookup::Wanted,
            Err(gap) => self.failed(&request, gap),
        }
    }
}

impl Recorded<'_> {
    fn failed<T>(&self, request: &ProbeRequest, gap: Gap) -> Lookup<T> {
        // What is not there is known; what may not be read, or was not recorded, is not.
        if gap.kind != GapKind::Absent {
            self.unread.borrow_mut().get_or_insert(gap);
        }
        Lookup::Failed(self.errno(request))
    }

    fn errno(&self, request: &ProbeRequest) -> i32 {
        match self.evidence.record(request).map(|record| &record.answer) {
            Ok(Answer::Errno(errno)) => *errno,
            _ => 2,
        }
    }
}

impl Case {
    /// The configuration of an instance.
    pub(crate) fn configured(&self, idx: usize) -> Result<Rc<Configured>, Gap> {
        self.evidence.once(format!("configured {idx}"), || {
            let instances = self.instances()?;
            let instance = instances
                .get(idx)
                .ok_or_else(|| Gap::undecided("the nginx instance", "it is gone"))?;
            let recorded = Recorded {
                evidence: &self.evidence,
                view: instance.view,
                unread: RefCell::default(),
                folders: RefCell::default(),
            };
            let configuration = Configuration::assemble(
                &instance.config,
                instance.conf_prefix(),
                &instance.globals,
                &recorded,
            );
            if !configuration.is_complete() {
                return Err(Gap::new(GapKind::Pending, "the configuration", "asked for"));
            }
            if configuration.files().is_empty() {
                // Its own gap says why the main file could not be read.
                self.evidence.bytes(&recorded.request(&instance.config))?;
                return Err(Gap::undecided(
                    instance.config.display().to_string(),
                    "it could not be read",
                ));
            }
            let model = Model::of(&configuration);
            Ok(Configured {
                configuration,
                model,
                unread: recorded.unread.into_inner(),
                folders: recorded.folders.into_inner(),
            })
        })
    }

    /// The first thing on disk that nginx would refuse, as an exhibit and in nginx's words.
    pub(crate) fn trouble(&self, idx: usize) -> Result<Option<(Exhibit, String)>, Gap> {
        let Some(configured) = known(self.configured(idx))? else {
            return Ok(None);
        };
        Ok(configured.configuration.troubles().first().map(|trouble| {
            let text = trouble.to_string();
            (
                Exhibit::Record {
                    probe: "file",
                    at: None,
                    text: text.clone(),
                },
                text,
            )
        }))
    }

    /// The places in the configuration that dial the incident's peer; those of the failing requests first, then those in the
    /// failing servers.
    pub(crate) fn sites(&self, incident: &Incident) -> Result<Rc<Vec<Site>>, Gap> {
        self.evidence.once(format!("sites {}", incident.id), || {
            let configured = self.configured(incident.instance)?;
            let mut sites = self.sites_in(&configured.model, incident)?;
            let asked = self.asked_locations(incident)?;
            sites.sort_by_key(|site| {
                let is_asked = asked.as_ref().is_some_and(|asked| {
                    let location = configured.model.location_of(site.context);
                    location.is_some_and(|location| asked.contains(&location))
                });
                let is_served = site
                    .servers
                    .iter()
                    .any(|server| incident.servers.contains(server));
                (!is_asked, !is_served)
            });
            // One server line serves many passes.
            let mut seen = BTreeSet::new();
            sites.retain(|site| {
                seen.insert((site.span.file.clone(), site.span.line, site.span.column))
            });
            Ok(sites)
        })
    }

    fn sites_in(&self, model: &Model, incident: &Incident) -> Result<Vec<Site>, Gap> {
        let Some(address) = &incident.address else {
            return Ok(upstream_sites(model, incident));
        };
        let literal = model.dialers(&as_conf(address));
        let dialers = if literal.is_empty() {
            let names = self.names_of(incident.instance)?;
            model.dialers_with(&as_conf(address), &|name, ip| {
                names
                    .iter()
                    .any(|(known, ips)| known == name && ips.contains(&ip))
            })
        } else {
            literal
        };
        let mut sites: Vec<Site> = dialers
            .iter()
            .filter_map(|dialer| site(model, dialer.pass, dialer.server_line))
            .collect();
        if let Some(protocol) = incident.protocol {
            // A peer that is dialled in two protocols failed in one of them.
            let same: Vec<Site> = sites
                .iter()
                .filter(|site| site.protocol.scheme() == protocol.as_str())
                .cloned()
                .collect();
            if !same.is_empty() {
                sites = same;
            }
        }
        Ok(sites)
    }

    /// The addresses of every host name that the configuration dials, as the host resolves it.
    pub(super) fn names_of(&self, idx: usize) -> Result<Rc<Vec<ResolvedName>>, Gap> {
        self.evidence.once(format!("names {idx}"), || {
            let configured = self.configured(idx)?;
            let mut names: Vec<String> = dialled_addresses(&configured.model)
                .into_iter()
                .filter_map(|address| match address {
                    conf::Address::Tcp {
                        host: conf::Host::Name(name),
                        ..
                    } => Some(name),
                    _ => None,
                })
                .collect();
            names.sort();
            names.dedup();
            // More names than this are no case for one round of look-ups.
            names.truncate(64);
            let mut lookups = Vec::new();
            for name in &names {
                lookups.extend(self.lookups_of(idx, name)?);
            }
            drop(self.evidence.batch(lookups)?);
            let mut resolved = Vec::new();
            for name in names {
                if let Some(addresses) = known(self.resolve(idx, &name))? {
                    resolved.push((name, addresses));
                }
            }
            Ok(resolved)
        })
    }

    /// What every configuration dials, but for where the incident's peer is dialled.
    pub(crate) fn dialled_elsewhere(&self, incident: &Incident) -> Result<Rc<Dialled>, Gap> {
        self.evidence.once(format!("dialled {}", incident.id), || {
            let mut dialled = Dialled::default();
            for idx in 0..self.instances()?.len() {
                let Some(configured) = known(self.configured(idx))? else {
                    continue;
                };
                let own: Vec<ConfSpan> = if idx == incident.instance {
                    let sites = known(self.sites(incident))?;
                    sites
                        .iter()
                        .flat_map(|sites| sites.iter().map(|site| site.span.clone()))
                        .collect()
                } else {
                    Vec::new()
                };
                for (at, address) in dialled_at(&configured.model) {
                    // A variable leads to other applications too: what it may be besides is theirs.
                    let is_own = !own.is_empty()
                        && incident
                            .address
                            .as_ref()
                            .is_none_or(|peer| may_be(&address, peer))
                        && span(&configured.model, at, Some(0))
                            .is_some_and(|span| own.contains(&span));
                    if !is_own {
                        self.add_dialled(&mut dialled, idx, incident, &address)?;
                    }
                }
            }
            Ok(dialled)
        })
    }

    fn add_dialled(
        &self,
        dialled: &mut Dialled,
        idx: usize,
        incident: &Incident,
        address: &conf::Address,
    ) -> Result<(), Gap> {
        let conf::Address::Tcp { host, port } = address else {
            dialled
                .paths
                .extend(address.literal().and_then(|literal| match literal {
                    conf::PeerAddress::Unix(path) => Some(path.to_vec()),
                    conf::PeerAddress::Tcp(_) => None,
                }));
            return Ok(());
        };
        let ips = if let Some(ip) = host.ip() {
            vec![ip]
        } else {
            let names = self.names_of(idx)?;
            let named = names
                .iter()
                .find(|(name, _)| Some(name.as_str()) == host.name());
            let Some((_, ips)) = named else {
                // A name that does not resolve may be any address.
                dialled.any.insert(*port);
                return Ok(());
            };
            ips.clone()
        };
        for ip in ips {
            // A wildcard listener is reached at the host's own addresses alone.
            if known(self.is_local(incident, (ip, *port).into()))?.unwrap_or(true) {
                dialled.local.entry(*port).or_default().insert(ip);
            }
            dialled.exact.insert((ip, *port));
        }
        Ok(())
    }

    /// The directive that dials the peer, with the mark under its address.
    pub(crate) fn directive_of(&self, incident: &Incident) -> Option<ConfSpan> {
        let sites = self.sites(incident).ok()?;
        let site = sites.first()?;
        Some(
            self.as_it_stands(incident, site)
                .unwrap_or_else(|_| site.span.clone()),
        )
    }

    /// The same as an exhibit.
    pub(crate) fn directive_exhibit(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        let Some(sites) = known(self.sites(incident))? else {
            return Ok(None);
        };
        let Some(site) = sites.first() else {
            return Ok(None);
        };
        let span = known(self.as_it_stands(incident, site))?;
        Ok(Some(Exhibit::Config(
            span.unwrap_or_else(|| site.span.clone()),
        )))
    }

    /// The directive that dials the peer. Nobody but the log knows of a peer that nothing on disk dials: then what the log
    /// says of it proves nothing.
    pub(crate) fn dialled_by(&self, incident: &Incident) -> Result<Exhibit, Gap> {
        let missing = "which directive dials this peer";
        if !incident.explained {
            return Err(Gap::undecided(missing, "none on disk does"));
        }
        self.directive_exhibit(incident)?
            .ok_or_else(|| Gap::undecided(missing, "the configuration could not be read"))
    }

    /// Whether every pass that dials the peer speaks the same to it.
    pub(crate) fn is_dialled_in_one_protocol(&self, incident: &Incident) -> Result<bool, Gap> {
        let (Some(configured), Some(address)) = (
            known(self.configured(incident.instance))?,
            &incident.address,
        ) else {
            return Ok(false);
        };
        let dialers = configured.model.dialers(&as_conf(address));
        let mut schemes = dialers.iter().map(|dialer| dialer.pass.protocol.scheme());
        let first = schemes.next();
        Ok(first.is_some() && schemes.all(|scheme| Some(scheme) == first))
    }

    /// The edits that have nginx speak another scheme where the peer is dialled.
    pub(crate) fn with_scheme(
        &self,
        incident: &Incident,
        old: &str,
        new: &str,
    ) -> Result<Vec<Step>, Gap> {
        let configured = self.configured(incident.instance)?;
        let model = &configured.model;
        let mut steps = Vec::new();
        for site in self.failing_sites(incident)? {
            let pass = model.pass_in_force(site.context);
            // A variable leads other requests elsewhere, where another scheme may be right.
            let pass = pass.filter(|pass| leads_to_one(&pass.target));
            let Some(span) = pass.and_then(|pass| span(model, pass.directive, None)) else {
                continue;
            };
            let step = Step::Edit {
                new: span.text.replacen(old, new, 1),
                file: span.file,
                line: span.line,
                old: span.text,
            };
            let changes = matches!(&step, Step::Edit { old, new, .. } if old != new);
            if changes && !steps.contains(&step) {
                steps.push(step);
            }
        }
        if !steps.is_empty() {
            steps.extend(self.reload_steps(incident)?);
        }
        Ok(steps)
    }

    /// The edits that write another path of a unix socket where the peer is dialled; none where a variable gives it. With
    /// `takes_uri` only where a URI may stand behind the path.
    pub(crate) fn with_socket(
        &self,
        incident: &Incident,
        old: &str,
        new: &str,
        takes_uri: bool,
    ) -> Result<Vec<Step>, Gap> {
        let mut steps = Vec::new();
        for site in self.sites(incident)?.iter() {
            let span = &site.span;
            let fits = span.text.matches(old).count() == 1
                && (!takes_uri || span.text.starts_with("proxy_pass "));
            if fits && !span.text.contains('$') {
                steps.push(Step::Edit {
                    file: span.file.clone(),
                    line: span.line,
                    old: span.text.clone(),
                    new: span.text.replacen(old, new, 1),
                });
            }
        }
        if !steps.is_empty() {
            steps.extend(self.reload_steps(incident)?);
        }
        Ok(steps)
    }

    /// The servers of the upstream that has none in use.
    pub(crate) fn members(&self, incident: &Incident) -> Result<Vec<Member>, Gap> {
        let configured = self.configured(incident.instance)?;
        let kind = if incident.protocol == Some(Protocol::Stream) {
            ContextKind::Stream
        } else {
            ContextKind::Http
        };
        let model = &configured.model;
        if let Some(upstream) = model.upstream_named(kind, incident.peer.as_bytes()) {
            return upstream
                .servers
                .iter()
                .map(|line| self.member(model, incident, line))
                .collect();
        }
        // `proxy_pass http://localhost:8000` makes an upstream of its own, named by the host alone.
        let mut members = Vec::new();
        for dialer in model.dialers_of_name(&incident.peer).iter().take(1) {
            if let (Target::Address(address), Some(span)) = (
                &dialer.pass.target,
                span(model, dialer.pass.directive, None),
            ) {
                for address in self.addresses(incident.instance, address)? {
                    members.push(Member {
                        text: address.to_string(),
                        addresses: vec![address],
                        down: false,
                        max_fails: 1,
                        fail_timeout: Duration::from_secs(10),
                        max_conns: 0,
                        span: span.clone(),
                    });
                }
            }
        }
        Ok(members)
    }

    fn member(&self, model: &Model, incident: &Incident, line: &ServerLine) -> Result<Member, Gap> {
        let span = span(model, line.directive, None).ok_or_else(|| {
            Gap::undecided(
                format!("the servers of {}", incident.peer),
                "a line has no place",
            )
        })?;
        Ok(Member {
            text: line.text.to_string(),
            addresses: match &line.address {
                Some(address) => self.addresses(incident.instance, address)?,
                None => Vec::new(),
            },
            down: line.down,
            max_fails: line.max_fails,
            fail_timeout: line.fail_timeout,
            max_conns: line.max_conns,
            span,
        })
    }

    pub(super) fn addresses(
        &self,
        idx: usize,
        address: &conf::Address,
    ) -> Result<Vec<PeerAddress>, Gap> {
        Ok(match address {
            conf::Address::Unix(path) => vec![PeerAddress::Unix(PathBuf::from(
                path.to_os_str_lossy().into_owned(),
            ))],
            conf::Address::Tcp {
                host: conf::Host::Name(name),
                port,
            } => {
                let ips = known(self.resolve(idx, name))?.unwrap_or_default();
                ips.into_iter()
                    .map(|ip| PeerAddress::Tcp((ip, *port).into()))
                    .collect()
            }
            conf::Address::Tcp { host, port } => host
                .ip()
                .map(|ip| PeerAddress::Tcp((ip, *port).into()))
                .into_iter()
                .collect(),
        })
    }

    /// What could dial peers that stand in no file: variables and names resolved at run time.
    pub(crate) fn dynamic_peers(&self, incident: &Incident) -> Result<Option<String>, Gap> {
        if let Some(giver) = self.run_time_giver(incident)? {
            return Ok(Some(giver));
        }
        let named = self.names_dialled(incident)?.into_iter().next();
        Ok(named.map(|named| {
            format!(
                "{} may have had this address when nginx started",
                named.name
            )
        }))
    }

    /// What gives nginx peers while it runs: a variable, Lua, a service.
    pub(crate) fn run_time_giver(&self, incident: &Incident) -> Result<Option<String>, Gap> {
        let configured = self.configured(incident.instance)?;
        let model = &configured.model;
        let variable = model.passes().iter().find(|pass| {
            matches!(
                &pass.target,
                Target::Variable {
                    exhaustive: false,
                    ..
                }
            ) && pass.protocol.scheme() == incident.protocol.map_or("", Protocol::as_str)
        });
        if let Some(pass) = variable {
            return Ok(Some(format!(
                "{} takes its address from a variable",
                model.text(pass.directive)
            )));
        }
        let giver = model
            .upstreams()
            .iter()
            .find_map(|upstream| run_time_servers(model, upstream));
        Ok(giver.map(|at| format!("{} gives servers at run time", model.text(at))))
    }

    /// The host names that the configuration dials on the peer's port.
    pub(crate) fn names_dialled(&self, incident: &Incident) -> Result<Vec<NameDialled>, Gap> {
        let configured = self.configured(incident.instance)?;
        let model = &configured.model;
        let port = incident.address.as_ref().and_then(PeerAddress::port);
        let mut names: Vec<NameDialled> = Vec::new();
        for (at, address) in dialled_at(model) {
            let conf::Address::Tcp {
                host: conf::Host::Name(name),
                port: dialled,
            } = address
            else {
                continue;
            };
            let Some(span) = span(model, at, Some(0)).filter(|_| Some(dialled) == port) else {
                continue;
            };
            let is_new = names.iter().all(|other| other.name != name);
            let is_resolved_again = model.args(at).iter().any(|arg| *arg == "resolve");
            if is_new || is_resolved_again {
                names.retain(|other| other.name != name);
                names.push(NameDialled {
                    name,
                    span,
                    is_resolved_again,
                });
            }
        }
        Ok(names)
    }

    /// That the worker which dialled the peer still serves: what it runs is what it ran then.
    pub(crate) fn still_runs(&self, incident: &Incident) -> Result<(), Gap> {
        if self.writer(incident)?.is_some() {
            return Ok(());
        }
        Err(Gap::too_late(
            "what the workers ran when it failed",
            "the one that dialled it has been replaced since",
        ))
    }

    /// The worker that wrote the line, where it still serves. It also tells that the line is nginx's: who forges one
    /// does not know its pid.
    pub(crate) fn writer(&self, incident: &Incident) -> Result<Option<Process>, Gap> {
        match incident.said(|event| event.pid) {
            Some(pid) => self.worker_called(incident, pid),
            None => Ok(None),
        }
    }

    /// The worker that calls itself so and ran when it failed last, where it still serves.
    pub(super) fn worker_called(
        &self,
        incident: &Incident,
        wrote: u32,
    ) -> Result<Option<Process>, Gap> {
        let instance = self.instance(incident)?;
        // An nginx without workers serves by itself.
        let alone = instance
            .master
            .iter()
            .filter(|_| instance.workers.is_empty());
        let statuses: Vec<_> = instance
            .workers
            .iter()
            .chain(alone)
            .map(|worker| (worker, self.status(worker.pid)))
            .collect();
        for (worker, status) in statuses {
            // In a container nginx knows itself by another pid.
            let status = known(status)?;
            let mut pids = status
                .iter()
                .filter_map(|status| status.as_ref().as_ref())
                .flat_map(|status| &status.pids);
            let is_writer = worker.pid == wrote || pids.any(|&pid| pid == wrote);
            if is_writer && worker.start <= incident.last_seen {
                return Ok(Some(worker.clone()));
            }
        }
        Ok(None)
    }

    /// Whether the files have changed since the workers started.
    pub(crate) fn drift(&self, idx: usize) -> Result<Drift, Gap> {
        if self.options.gate.is_some() {
            return Ok(Drift::None(Exhibit::Record {
                probe: "file",
                at: None,
                text: "what was tried is what stands on disk".to_owned(),
            }));
        }
        let instances = self.instances()?;
        let instance = instances
            .get(idx)
            .ok_or_else(|| Gap::undecided("the nginx instance", "it is gone"))?;
        let since = instance
            .workers_since()
            .ok_or_else(|| Gap::undecided("since when the workers run", "nginx has no worker"))?;
        let (path, changed) = self.newest_change(idx, instance)?;
        if changed <= since.saturating_add(CLOCK_GRAIN).unwrap_or(since) {
            return Ok(Drift::None(Exhibit::Record {
                probe: "file",
                at: Some(changed),
                text: format!(
                    "no file of the configuration changed since the workers started ({} was the last)",
                    path.display()
                ),
            }));
        }
        let refused = match self.refused_reload(idx, instance, since)? {
            Some(said) => Some(said),
            None => self.trouble(idx)?.map(|(exhibit, _)| exhibit),
        };
        Ok(Drift::Changed {
            changed: Exhibit::Record {
                probe: "file",
                at: Some(changed),
                text: format!("{} changed after the workers started", path.display()),
            },
            refused,
        })
    }

    /// The file that changed last, and when: its ctime, which no program can set.
    fn newest_change(&self, idx: usize, instance: &Instance) -> Result<(PathBuf, Timestamp), Gap> {
        self.last_changes(idx, instance)?
            .iter()
            .max_by_key(|(_, changed)| *changed)
            .cloned()
            .ok_or_else(|| Gap::undecided("when the files changed", "none could be read"))
    }

    /// The files of the configuration, with when each was last changed.
    pub(super) fn last_changes(
        &self,
        idx: usize,
        instance: &Instance,
    ) -> Result<Rc<Vec<(PathBuf, Timestamp)>>, Gap> {
        self.evidence.once(format!("last changes {idx}"), || {
            self.changes_of(idx, instance)
        })
    }

    fn changes_of(
        &self,
        idx: usize,
        instance: &Instance,
    ) -> Result<Vec<(PathBuf, Timestamp)>, Gap> {
        let configured = self.configured(idx)?;
        if let Some(unread) = &configured.unread {
            return Err(unread.clone());
        }
        let recorded = Recorded {
            evidence: &self.evidence,
            view: instance.view,
            unread: RefCell::default(),
            folders: RefCell::default(),
        };
        let files = configured.configuration.files().iter();
        Ok(files
            .filter_map(|file| {
                let record = self.evidence.record(&recorded.request(&file.path)).ok()?;
                Some((file.path.clone(), stat_of(record)?.changed))
            })
            .collect())
    }

    /// Whether nginx has been told to dial elsewhere since: nothing on disk dials the peer, nothing at run time may, and
    /// every worker that serves started after the last failure, from what stands on disk. Where it still dials the peer and
    /// speaks another protocol to it, the peer has to have answered so besides: why it failed may be another thing.
    pub(crate) fn dials_no_more(&self, incident: &Incident) -> Result<bool, Gap> {
        if !self.may_dial_no_more(incident)? {
            return Ok(false);
        }
        // What a reload has replaced goes on with what it is answering.
        if self.draining_writer(incident)?.is_some() {
            return Ok(false);
        }
        let instance = self.instance(incident)?;
        if self.running_config(incident.instance, &instance) != RunningConfig::Current {
            return Ok(false);
        }
        if incident.explained {
            let may_be_led_there = self.run_time_giver(incident)?.is_some();
            return Ok(!may_be_led_there && self.is_answered_in_another_protocol(incident)?);
        }
        Ok(self.dynamic_peers(incident)?.is_none())
    }

    /// Whether nothing shows that nginx still dials the peer as it did: nothing on disk does, and every worker that serves
    /// started after the last failure.
    pub(crate) fn may_dial_no_more(&self, incident: &Incident) -> Result<bool, Gap> {
        if incident.origin != crate::incident::Origin::ErrorLog || self.is_dialled_so(incident)? {
            return Ok(false);
        }
        // What a worker ran out of is a new one's to use up; what it may not write, a new one may not either.
        let is_a_workers = incident.is(log::error::Class::FdExhaustion)
            || incident.is(log::error::Class::WorkerConnections);
        if incident.peer.is_empty() && !is_a_workers {
            return Ok(false);
        }
        let instance = self.instance(incident)?;
        // In the second of a reload a worker fails last that the reload has replaced.
        let is_replaced = incident
            .last_writer
            .is_some_and(|pid| !instance.workers.iter().any(|worker| worker.pid == pid));
        let last = incident.last_seen.as_second();
        let since = instance.workers_since().map(Timestamp::as_second);
        Ok(since.is_some_and(|since| since > last || since == last && is_replaced))
    }

    /// Whether the configuration on disk dials the peer as the failing requests did, in the same protocol. What is spoken
    /// over a connection does not matter where none was made.
    fn is_dialled_so(&self, incident: &Incident) -> Result<bool, Gap> {
        if !incident.explained {
            return Ok(false);
        }
        let is_connected = incident.action != Some(log::error::While::ConnectingToUpstream);
        let is_of_one = is_connected && !incident.has_other_protocols;
        let Some(protocol) = incident.protocol.filter(|_| is_of_one) else {
            return Ok(true);
        };
        let is_same = |spoken: conf::Protocol| spoken.scheme() == protocol.as_str();
        if self
            .sites(incident)?
            .iter()
            .any(|site| is_same(site.protocol))
        {
            return Ok(true);
        }
        // A name may stand for the peer too.
        let configured = self.configured(incident.instance)?;
        let names = self.names_dialled(incident)?;
        let mut by_name = names
            .iter()
            .flat_map(|named| configured.model.dialers_of_name(&named.name));
        Ok(by_name.any(|dialer| is_same(dialer.pass.protocol)))
    }

    /// For the report: whether the workers run what stands on disk.
    pub(crate) fn running_config(&self, idx: usize, instance: &Instance) -> RunningConfig {
        match self.drift(idx) {
            Ok(Drift::None(_)) if instance.master.is_some() => RunningConfig::Current,
            Ok(Drift::Changed { .. }) if instance.master.is_some() => RunningConfig::Outdated,
            _ => RunningConfig::Unknown,
        }
    }

    /// The commands that put an edited configuration into force: this master's own.
    pub(crate) fn reload_steps(&self, incident: &Incident) -> Result<Vec<Step>, Gap> {
        let instance = self.instance(incident)?;
        let config = instance.config.display().to_string();
        let prefix = instance.prefix.display().to_string();
        let nginx = |last: &[&str]| {
            let mut argv = vec!["nginx".to_owned()];
            if Path::new(&config) != Path::new("/etc/nginx/nginx.conf") {
                argv.extend([
                    "-p".to_owned(),
                    prefix.clone(),
                    "-c".to_owned(),
                    config.clone(),
                ]);
            }
            argv.extend(last.iter().map(|&arg| arg.to_owned()));
            Step::Command { argv }
        };
        let mut steps = match self.nginx_unit(&instance)? {
            Some(unit) => vec![
                nginx(&["-t"]),
                Step::command(["systemctl", "reload", &unit.name]),
            ],
            None => vec![nginx(&["-t"]), nginx(&["-s", "reload"])],
        };
        // A reload reaches the new master alone.
        if let Some(upgrade) = self
            .half_done_upgrade(incident)?
            .filter(|upgrade| upgrade.is_of_old)
        {
            steps.extend(upgrade.steps());
        }
        Ok(steps)
    }

    /// The passes that dial the peer, each with its own context: those in the failing servers, where any is.
    pub(super) fn failing_sites(&self, incident: &Incident) -> Result<Vec<Site>, Gap> {
        let configured = self.configured(incident.instance)?;
        let mut sites = self.sites_in(&configured.model, incident)?;
        let failed = |site: &Site| {
            site.servers
                .iter()
                .any(|server| incident.servers.contains(server))
        };
        if sites.iter().any(failed) {
            sites.retain(failed);
        }
        Ok(sites)
    }

    /// Whether nginx reuses connections where the peer is dialled: everywhere, or nowhere.
    pub(crate) fn reuse(&self, incident: &Incident) -> Result<Reuse, Gap> {
        let missing = "whether connections are reused";
        let configured = self.configured(incident.instance)?;
        let instance = self.instance(incident)?;
        if let Drift::Changed { .. } = self.drift(incident.instance)? {
            return Err(Gap::undecided(
                missing,
                "a file has changed since the workers started",
            ));
        }
        let sites = self.failing_sites(incident)?;
        let version = instance.version_numbers();
        let mut reuses = sites
            .iter()
            .map(|site| super::reuse::of(&configured.model, version, site));
        let first = reuses
            .next()
            .ok_or_else(|| Gap::undecided(missing, "nothing on disk dials this peer"))?;
        if reuses.all(|reuse| std::mem::discriminant(&reuse) == std::mem::discriminant(&first)) {
            return Ok(first);
        }
        Err(Gap::undecided(
            missing,
            "one place that dials this peer reuses them, another does not",
        ))
    }

    /// The shortest read time-out in force where the peer is dialled, in whole seconds.
    pub(crate) fn shortest_read_timeout(&self, incident: &Incident) -> Result<i64, Gap> {
        let time_outs = self.read_timeouts(incident)?;
        let seconds = time_outs.iter().map(|limit| {
            let time = conf::units::parse_time(limit.text.as_bytes())?;
            i64::try_from(time.as_secs()).ok()
        });
        let shortest = seconds.collect::<Option<Vec<i64>>>();
        shortest
            .and_then(|all| all.into_iter().min())
            .ok_or_else(|| {
                Gap::undecided(
                    "the read time-out in force",
                    "the configuration does not tell",
                )
            })
    }

    /// The directive that says from which address nginx is to come (`proxy_bind` and the like), where the peer is dialled.
    pub(crate) fn bind_directive(&self, incident: &Incident) -> Result<Option<ConfSpan>, Gap> {
        let configured = self.configured(incident.instance)?;
        let model = &configured.model;
        let of_site = |site: &Site| {
            let module = model.pass_in_force(site.context)?.kind.directive_name();
            let name = format!("{}_bind", module.strip_suffix("_pass")?);
            span(model, *model.in_force(site.context, &name).last()?, None)
        };
        Ok(self.sites(incident)?.iter().find_map(of_site))
    }

    /// The read time-outs in force where the peer is dialled, each place's own: of the failing requests' locations, as far
    /// as these can be told. Those that are alike come once.
    pub(crate) fn read_timeouts(&self, incident: &Incident) -> Result<Vec<Limit>, Gap> {
        let configured = self.configured(incident.instance)?;
        let instance = self.instance(incident)?;
        let sites = self.asked_sites(incident)?;
        let limit = |site: &Site| {
            let name = read_timeout_of(site.protocol);
            match configured.model.value_in_force(site.context, name) {
                Some((value, at)) => Limit {
                    name,
                    location: configured.model.location_label(site.context),
                    text: value.to_string(),
                    exhibit: span(&configured.model, at, None).map(Exhibit::Config),
                },
                None => Limit {
                    name,
                    location: configured.model.location_label(site.context),
                    text: conf::default_of(name, instance.version_numbers())
                        .unwrap_or("60s")
                        .to_owned(),
                    exhibit: None,
                },
            }
        };
        let mut limits: Vec<Limit> = Vec::new();
        for limit in sites.iter().map(limit) {
            let is_alike = |other: &Limit| {
                (other.name, &other.text, &other.exhibit)
                    == (limit.name, &limit.text, &limit.exhibit)
            };
            if !limits.iter().any(is_alike) {
                limits.push(limit);
            }
        }
        Ok(limits)
    }
}

/// What gives an upstream servers that stand in no file: Lua, the API, a service's SRV record.
fn run_time_servers(model: &Model, upstream: &conf::Upstream) -> Option<DirectiveRef> {
    const GIVERS: [&str; 5] = [
        "balancer_by_lua",
        "balancer_by_lua_block",
        "balancer_by_lua_file",
        "state",
        "upsync",
    ];
    let own = |name: &&str| model.own(upstream.context, name).first().copied();
    let service = upstream.servers.iter().find(|line| line.service.is_some());
    GIVERS
        .iter()
        .find_map(own)
        .or(service.map(|line| line.directive))
}

impl Deref for Configured {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

fn read_timeout_of(protocol: conf::Protocol) -> &'static str {
    match protocol {
        conf::Protocol::Http | conf::Protocol::Https => "proxy_read_timeout",
        conf::Protocol::Fastcgi => "fastcgi_read_timeout",
        conf::Protocol::Uwsgi | conf::Protocol::Suwsgi => "uwsgi_read_timeout",
        conf::Protocol::Scgi => "scgi_read_timeout",
        conf::Protocol::Grpc | conf::Protocol::Grpcs => "grpc_read_timeout",
        conf::Protocol::Memcached => "memcached_read_timeout",
        conf::Protocol::Stream => "proxy_timeout",
    }
}

/// Every address that some pass or server line holds.
pub(super) fn dialled_addresses(model: &Model) -> Vec<conf::Address> {
    dialled_at(model)
        .into_iter()
        .map(|(_, address)| address)
        .collect()
}

/// The same with the directive that holds it.
fn dialled_at(model: &Model) -> Vec<(DirectiveRef, conf::Address)> {
    let lines = model
        .upstreams()
        .iter()
        .flat_map(|upstream| upstream.servers.iter())
        .filter_map(|line| Some((line.directive, line.address.clone()?)));
    let passes = model.passes().iter().flat_map(|pass| {
        let targets = pass.target.certain_and_possible().into_iter();
        targets.filter_map(|target| match target {
            Target::Address(address) => Some((pass.directive, address.clone())),
            _ => None,
        })
    });
    lines.chain(passes).collect()
}

/// The lines of an upstream that the log calls by its name.
fn upstream_sites(model: &Model, incident: &Incident) -> Vec<Site> {
    let of_upstream = model
        .upstreams()
        .iter()
        .filter(|upstream| upstream.name == incident.peer.as_bytes());
    let mut sites: Vec<Site> = of_upstream
        .flat_map(|upstream| {
            model
                .passes_to(upstream.id)
                .filter_map(|pass| site(model, pass, None))
        })
        .collect();
    if sites.is_empty() {
        sites = model
            .dialers_of_name(&incident.peer)
            .iter()
            .filter_map(|dialer| site(model, dialer.pass, dialer.server_line))
            .collect();
    }
    sites
}

pub(super) fn site(model: &Model, pass: &Pass, line: Option<&ServerLine>) -> Option<Site> {
    let at = line.map_or(pass.directive, |line| line.directive);
    let argument = model.arg(at, 0)?.to_string();
    let is_literal = |address: &conf::Address| address.literal().is_some();
    let is_sole = match &pass.target {
        Target::Address(address) => is_literal(address),
        Target::Upstream(id) => model.upstream(*id).is_some_and(|upstream| {
            upstream.servers.len() == 1
                && upstream
                    .servers
                    .iter()
                    .filter_map(|line| line.address.as_ref())
                    .all(is_literal)
        }),
        Target::Variable { .. } | Target::Unreadable(_) => false,
    };
    let upstream = match &pass.target {
        Target::Upstream(id) => model
            .upstream(*id)
            .map(|upstream| upstream.name.to_string()),
        // A variable leads to it.
        _ => line.and_then(|line| {
            let holds = |upstream: &&conf::Upstream| {
                let mut lines = upstream.servers.iter();
                lines.any(|other| other.directive == line.directive)
            };
            let upstream = model.upstreams().iter().find(holds)?;
            Some(upstream.name.to_string())
        }),
    };
    Some(Site {
        span: span(model, at, Some(0))?,
        context: pass.context,
        is_sole,
        protocol: pass.protocol,
        upstream,
        is_variable: argument.contains('$'),
        servers: model
            .servers_of(pass.context)
            .iter()
            .map(ToString::to_string)
            .collect(),
        argument,
    })
}

/// A directive as a span to show, with the mark under one of its arguments or under the whole.
pub(crate) fn span(model: &Model, at: DirectiveRef, argument: Option<usize>) -> Option<ConfSpan> {
    let directive = model.directive(at)?;
    let tree = directive.tree();
    let head = directive.head_span();
    let (first, last) = (
        tree.position(head.start),
        tree.position(head.end.saturating_sub(1)),
    );
    let line_start = head.start - (first.column - 1);
    let lines: Vec<String> = (first.line..=last.line)
        .filter_map(|line| tree.line(line))
        .map(|line| line.to_str_lossy().trim_end().to_owned())
        .collect();
    let marked = argument
        .and_then(|idx| directive.arg(idx))
        .map_or(head, conf::Arg::span);
    let mark = (marked.start - line_start) as usize..(marked.end - line_start) as usize;
    let source = lines.join("\n");
    let mark = mark.start.min(source.len())..mark.end.min(source.len());
    Some(ConfSpan {
        file: model.path(at)?.to_owned(),
        line: first.line as usize,
        column: first.column as usize,
        source,
        text: tree.text(head).to_str_lossy().into_owned(),
        mark,
        label: None,
    })
}

/// Whether a pass leads to one place, whatever the request.
fn leads_to_one(target: &Target) -> bool {
    match target {
        Target::Variable {
            candidates,
            exhaustive,
            ..
        } => *exhaustive && candidates.len() == 1,
        Target::Upstream(_) | Target::Address(_) | Target::Unreadable(_) => true,
    }
}

/// Whether an address of the configuration is this one, or a name that may stand for it.
fn may_be(address: &conf::Address, peer: &PeerAddress) -> bool {
    match address.literal() {
        Some(literal) => literal == as_conf(peer),
        None => true,
    }
}

/// A peer's address in `conf`'s words.
pub(super) fn as_conf(address: &PeerAddress) -> conf::PeerAddress {
    match address {
        PeerAddress::Tcp(address) => conf::PeerAddress::Tcp(*address),
        PeerAddress::Unix(path) => conf::PeerAddress::Unix(
            <Vec<u8> as bstr::ByteVec>::from_path_lossy(path)
                .into_owned()
                .into(),
        ),
    }
}

/// Letters, digits, dots, hyphens and underscores, not starting with a hyphen: nothing else reaches a command.
pub(super) fn is_host_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}
