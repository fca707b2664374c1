//! Names: what they stand for, at start by the host's resolver and while nginx runs by its own.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;

use bstr::ByteSlice as _;
use conf::{ContextKind, Model, Target};
use facts::dns::Reply;
use facts::{Answer, ConfSpan, Exhibit, Gap, GapKind, PeerAddress, ProbeRequest, RecordKind, View};

use super::config::{dialled_addresses, is_host_name, span};
use super::{Case, Instance, known};
use crate::incident::Incident;

/// Name servers of a `resolv.conf` that are asked, and spellings of a name.
const SERVERS: usize = 2;
const SPELLINGS: usize = 4;
/// Addresses of a name that are dialled, or told.
const DIALLED: usize = 4;

/// A pass whose peer nginx looks up for each request.
pub(crate) struct RunTimePass {
    /// The directive.
    pub(crate) span: ConfSpan,
    /// Whether `resolver` may stand beside it.
    pub(crate) takes_resolver: bool,
    /// The resolver in force there.
    pub(crate) resolver: Option<Resolver>,
}

/// A `resolver` directive.
#[derive(Clone)]
pub(crate) struct Resolver {
    /// The directive.
    pub(crate) span: ConfSpan,
    /// Its name servers; one that is a name is left out, and then `is_readable` is false.
    pub(crate) servers: Vec<SocketAddr>,
    is_readable: bool,
    kinds: Vec<RecordKind>,
}

/// What a name server answers for a name, as nginx takes it.
pub(crate) struct Answered {
    /// The name server.
    pub(crate) server: SocketAddr,
    /// What keeps nginx from an address, as it logs it (`3`, `110`); `None` where there are addresses.
    pub(crate) code: Option<u16>,
    /// The name has IPv4 addresses, and only the question for IPv6 fails: nginx takes that for the whole.
    pub(crate) is_for_ipv6_alone: bool,
    /// The answer as an exhibit.
    pub(crate) exhibit: Exhibit,
}

impl Resolver {
    fn of(model: &Model, context: conf::ContextId) -> Option<Self> {
        let at = *model.in_force(context, "resolver").last()?;
        let args: Vec<String> = model
            .args(at)
            .iter()
            .map(|arg| arg.to_str_lossy().into_owned())
            .collect();
        let off = |family: &str| args.iter().any(|arg| *arg == format!("{family}=off"));
        let named = args.iter().filter(|arg| !arg.contains('='));
        let servers: Vec<Option<SocketAddr>> = named.map(|arg| name_server(arg)).collect();
        Some(Self {
            span: span(model, at, None)?,
            is_readable: !servers.is_empty() && servers.iter().all(Option::is_some),
            servers: servers.into_iter().flatten().collect(),
            kinds: [("ipv4", RecordKind::A), ("ipv6", RecordKind::Aaaa)]
                .into_iter()
                .filter(|(family, _)| !off(family))
                .map(|(_, kind)| kind)
                .collect(),
        })
    }
}

/// `127.0.0.1`, `127.0.0.1:5353`, `[::1]:53`.
fn name_server(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| {
        let ip: IpAddr = text.trim_matches(['[', ']']).parse().ok()?;
        Some((ip, 53).into())
    })
}

impl Case {
    /// The addresses of a name as nginx would find them at start.
    pub(super) fn resolve(&self, idx: usize, name: &str) -> Result<Vec<IpAddr>, Gap> {
        let addresses = self.look_up(idx, name)?;
        if addresses.is_empty() {
            return Err(Gap::new(
                GapKind::Absent,
                format!("the address of {name}"),
                "it does not resolve",
            ));
        }
        Ok(addresses)
    }

    /// That no file of the configuration dials the peer any more, in a sentence that says what a reload would take in its
    /// place; `None` where one does, or something may have named it while nginx runs.
    pub(crate) fn taken_by_a_reload(&self, incident: &Incident) -> Result<Option<String>, Gap> {
        let Some(PeerAddress::Tcp(old)) = &incident.address else {
            return Ok(None);
        };
        if incident.explained || self.run_time_giver(incident)?.is_some() {
            return Ok(None);
        }
        if let Some(unread) = &self.configured(incident.instance)?.unread {
            return Err(unread.clone());
        }
        let names = self.names_dialled(incident)?;
        if names.iter().any(|named| named.is_resolved_again) {
            return Ok(None);
        }
        let now = match names.as_slice() {
            [named] => known(self.look_up(incident.instance, &named.name))?
                .filter(|now| !now.is_empty() && !now.contains(&old.ip()))
                .map(|now| (&named.name, now)),
            _ => None,
        };
        Ok(Some(match now {
            Some((name, now)) => format!(
                "no file of the configuration dials {old}; {name}, which one dials on that port, has {} now: a reload takes that",
                listed(&now)
            ),
            None => format!(
                "no file of the configuration dials {old} any more: a reload takes what stands there"
            ),
        }))
    }

    /// The same, where nothing found is an answer too: by the hosts file that nginx sees, then by the host's resolver.
    pub(crate) fn look_up(&self, idx: usize, name: &str) -> Result<Vec<IpAddr>, Gap> {
        let in_hosts = self.in_hosts(idx, name)?;
        if !in_hosts.is_empty() {
            return Ok(in_hosts);
        }
        let lookups = self.lookups_of(idx, name)?;
        if lookups.is_empty() {
            let why = if self.options.connect {
                "it is no host name, or nginx sees no name server"
            } else {
                "--no-connect sends nothing"
            };
            return Err(Gap::new(
                GapKind::NotAsked,
                format!("the address of {name}"),
                why,
            ));
        }
        drop(self.evidence.batch(lookups.iter().cloned())?);
        let mut last = Gap::undecided(format!("the address of {name}"), "nobody answers");
        let mut is_denied = false;
        for lookup in &lookups {
            match self.looked_up(lookup) {
                Ok(addresses) if addresses.is_empty() => is_denied = true,
                Ok(addresses) => return Ok(self.of_both_families(lookup, &lookups, addresses)),
                Err(gap) => last = gap,
            }
        }
        if is_denied { Ok(Vec::new()) } else { Err(last) }
    }

    /// The addresses of the other family that the same server has for the same name.
    fn of_both_families(
        &self,
        found: &ProbeRequest,
        lookups: &[ProbeRequest],
        mut addresses: Vec<IpAddr>,
    ) -> Vec<IpAddr> {
        let twin = |other: &&ProbeRequest| match (found, other) {
            (
                ProbeRequest::Dns {
                    server, name, kind, ..
                },
                ProbeRequest::Dns {
                    server: same,
                    name: equal,
                    kind: other,
                    ..
                },
            ) => server == same && name == equal && kind != other,
            _ => false,
        };
        if let Some(twin) = lookups.iter().find(twin) {
            addresses.extend(self.looked_up(twin).unwrap_or_default());
        }
        addresses
    }

    /// What one question found; empty where there is no such name.
    fn looked_up(&self, lookup: &ProbeRequest) -> Result<Vec<IpAddr>, Gap> {
        if let ProbeRequest::Dns { .. } = lookup {
            let reply = self.evidence.fact(lookup, |_, bytes| Reply::parse(bytes))?;
            return match &*reply {
                Some(reply) if reply.code == 0 => Ok(reply.addresses.clone()),
                Some(reply) if reply.code == 3 => Ok(Vec::new()),
                _ => Err(Gap::undecided(
                    "what the name server answers",
                    "it fails to",
                )),
            };
        }
        // `getent` exits with 2 for a key that is not found.
        if let Answer::Exit { code: Some(2), .. } = self.evidence.record(lookup)?.answer {
            return Ok(Vec::new());
        }
        let addresses = self
            .evidence
            .fact(lookup, |_, bytes| facts::name::addresses(bytes))?;
        Ok(addresses.to_vec())
    }

    /// The questions that tell the addresses of a host name that the hosts file does not have: to the host's resolver
    /// or, where nginx has a file system of its own (a container), to the name servers that it sees.
    pub(super) fn lookups_of(&self, idx: usize, name: &str) -> Result<Vec<ProbeRequest>, Gap> {
        if !self.options.connect || !is_host_name(name) || !self.in_hosts(idx, name)?.is_empty() {
            return Ok(Vec::new());
        }
        let instance = self.instance_at(idx)?;
        if instance.view == View::Host {
            return Ok(vec![facts::name::request(name)]);
        }
        let netns = self.netns_of(&instance)?;
        let Some(settings) = self.resolv_conf(&instance)? else {
            return Ok(Vec::new());
        };
        let domains = facts::dns::search_domains(&settings);
        let mut spellings = vec![name.to_owned()];
        spellings.extend(domains.iter().map(|domain| format!("{name}.{domain}")));
        spellings.truncate(SPELLINGS);
        let servers: Vec<IpAddr> = facts::dns::name_servers(&settings)
            .into_iter()
            .take(SERVERS)
            .collect();
        let question = |name: &String, server: &IpAddr, kind| ProbeRequest::Dns {
            netns,
            server: (*server, 53).into(),
            name: name.clone(),
            kind,
        };
        let of_spelling = |name: &String| -> Vec<ProbeRequest> {
            let both =
                |server| [RecordKind::A, RecordKind::Aaaa].map(|kind| question(name, server, kind));
            servers.iter().flat_map(both).collect()
        };
        Ok(spellings.iter().flat_map(of_spelling).collect())
    }

    fn instance_at(&self, idx: usize) -> Result<Instance, Gap> {
        let instances = self.instances()?;
        let instance = instances.get(idx).cloned();
        instance.ok_or_else(|| Gap::undecided("the nginx instance", "it is gone"))
    }

    /// The addresses that the hosts file which nginx sees has for a name; nginx's own resolver does not read it.
    pub(crate) fn in_hosts(&self, idx: usize, name: &str) -> Result<Vec<IpAddr>, Gap> {
        let hosts = ProbeRequest::File {
            view: self.instance_at(idx)?.view,
            path: PathBuf::from("/etc/hosts"),
            limit: 4 << 20,
        };
        let hosts = known(
            self.evidence
                .fact(&hosts, |_, bytes| facts::name::hosts(bytes)),
        )?;
        Ok(hosts
            .map(|hosts| facts::name::addresses_in_hosts(&hosts, name))
            .unwrap_or_default())
    }

    fn resolv_conf(&self, instance: &Instance) -> Result<Option<Rc<Vec<u8>>>, Gap> {
        let request = ProbeRequest::File {
            view: instance.view,
            path: PathBuf::from("/etc/resolv.conf"),
            limit: 64 << 10,
        };
        known(self.evidence.fact(&request, |_, bytes| bytes.to_vec()))
    }

    /// The name server and the domains that programs of nginx's file system use.
    pub(crate) fn host_resolver(
        &self,
        incident: &Incident,
    ) -> Result<(Option<IpAddr>, Vec<String>), Gap> {
        let settings = self.resolv_conf(&self.instance(incident)?)?;
        let settings = settings
            .map(|settings| settings.to_vec())
            .unwrap_or_default();
        let server = facts::dns::name_servers(&settings).first().copied();
        Ok((server, facts::dns::search_domains(&settings)))
    }

    /// The first of these addresses that accepts a connection of nginx's worker.
    pub(crate) fn accepting(
        &self,
        incident: &Incident,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<Option<Exhibit>, Gap> {
        let from = self.instance(incident)?.worker();
        let request = |ip: &IpAddr| ProbeRequest::Connect {
            from,
            to: PeerAddress::Tcp((*ip, port).into()),
        };
        let tried = addresses.iter().take(DIALLED);
        drop(self.evidence.batch(tried.clone().map(request))?);
        for ip in tried {
            let record = self.evidence.record(&request(ip))?;
            if let Answer::Bytes(_) = record.answer {
                return Ok(Some(Exhibit::Record {
                    probe: "connect",
                    at: Some(record.at),
                    text: format!(
                        "connect {} as nginx's worker: accepted",
                        SocketAddr::from((*ip, port))
                    ),
                }));
            }
        }
        Ok(None)
    }

    /// Whether the configuration on disk dials a name.
    pub(crate) fn dials_name(&self, incident: &Incident, name: &str) -> Result<bool, Gap> {
        let configured = self.configured(incident.instance)?;
        let mut dialled = dialled_addresses(&configured.model).into_iter();
        Ok(dialled.any(|address| match address {
            conf::Address::Tcp { host, .. } => host
                .name()
                .is_some_and(|host| host.eq_ignore_ascii_case(name)),
            conf::Address::Unix(_) => false,
        }))
    }

    /// The names of the upstreams, for a name that may be a mistyped one.
    pub(crate) fn upstream_names(&self, incident: &Incident) -> Result<Vec<String>, Gap> {
        let configured = self.configured(incident.instance)?;
        Ok(configured
            .upstreams()
            .iter()
            .map(|upstream| upstream.name.to_string())
            .collect())
    }

    /// The passes whose peer is looked up for each request; those in the failing servers, where there are such.
    pub(crate) fn run_time_passes(&self, incident: &Incident) -> Result<Vec<RunTimePass>, Gap> {
        let configured = self.configured(incident.instance)?;
        let model = &configured.model;
        let mut passes: Vec<&conf::Pass> = model
            .passes()
            .iter()
            .filter(|pass| matches!(pass.target, Target::Variable { .. }))
            .collect();
        let fails = |pass: &&conf::Pass| {
            let servers = model.servers_of(pass.context);
            servers.iter().any(|server| {
                incident
                    .servers
                    .iter()
                    .any(|failing| *server == failing.as_str())
            })
        };
        if passes.iter().any(fails) {
            passes.retain(fails);
        }
        let pass = |pass: &&conf::Pass| {
            let kind = model.context(pass.context)?.kind;
            Some(RunTimePass {
                span: span(model, pass.directive, Some(0))?,
                takes_resolver: matches!(kind, ContextKind::Location | ContextKind::Server),
                resolver: Resolver::of(model, pass.context),
            })
        };
        Ok(passes.iter().filter_map(pass).collect())
    }

    /// The one resolver that nginx asks for the name of an incident.
    pub(crate) fn resolver_of(&self, incident: &Incident) -> Result<Resolver, Gap> {
        let passes = self.run_time_passes(incident)?;
        let mut resolvers: Vec<Resolver> = passes
            .into_iter()
            .filter_map(|pass| pass.resolver)
            .collect();
        resolvers.dedup_by(|one, other| one.span == other.span);
        match resolvers.as_slice() {
            [only] if only.is_readable => Ok(only.clone()),
            [_] => Err(Gap::undecided(
                "which name server nginx asked",
                "its resolver is given by a name",
            )),
            [] => Err(Gap::undecided(
                "which name server nginx asked",
                "no pass with a variable has a resolver on disk",
            )),
            _ => Err(Gap::undecided(
                "which name server nginx asked",
                "several resolvers are in force",
            )),
        }
    }

    /// What each name server of a resolver answers for the name of an incident, as nginx takes it.
    pub(crate) fn answers(
        &self,
        incident: &Incident,
        resolver: &Resolver,
    ) -> Result<Vec<Answered>, Gap> {
        let name = &incident.peer;
        if !self.options.connect {
            return Err(Gap::new(
                GapKind::NotAsked,
                format!("whether {name} resolves now"),
                "--no-connect sends nothing",
            )
            .learn("why502   (without --no-connect)"));
        }
        if !is_host_name(name) {
            return Err(Gap::undecided(
                "which name did not resolve",
                "the lines are of many names, or of none that is one",
            ));
        }
        let netns = self.in_nginx_netns(incident)?;
        let question = |server: SocketAddr, kind| ProbeRequest::Dns {
            netns,
            server,
            name: name.clone(),
            kind,
        };
        let all = resolver.servers.iter().flat_map(|&server| {
            let kinds = resolver.kinds.iter();
            kinds.map(move |&kind| question(server, kind))
        });
        drop(self.evidence.batch(all)?);
        let servers = resolver.servers.iter();
        servers
            .map(|&server| {
                let kinds = resolver.kinds.iter();
                let codes = kinds.map(|&kind| Ok((kind, self.code(&question(server, kind))?)));
                Ok(answered(
                    server,
                    name,
                    &codes.collect::<Result<Vec<_>, Gap>>()?,
                ))
            })
            .collect()
    }

    /// The code of an answer and how many addresses it has. That no server answers counts as 110, as nginx has it.
    fn code(&self, question: &ProbeRequest) -> Result<(u16, usize), Gap> {
        let unreadable =
            || Gap::undecided("what the name server answers", "its message is unreadable");
        match &self.evidence.record(question)?.answer {
            Answer::TimedOut => Ok((110, 0)),
            Answer::Errno(errno) if [101, 110, 111, 113].contains(errno) => Ok((110, 0)),
            Answer::Bytes(bytes) => {
                let reply = Reply::parse(bytes).ok_or_else(unreadable)?;
                if reply.is_truncated {
                    return Err(Gap::undecided(
                        "what the name server answers",
                        "its answer is too long for a datagram",
                    ));
                }
                Ok((reply.code, reply.addresses.len()))
            }
            _ => {
                self.evidence.bytes(question)?;
                Err(unreadable())
            }
        }
    }

    /// What a name server answers when it is asked for a name that every one has an answer for, if only a refusal;
    /// `None` where it answers that neither.
    pub(crate) fn answers_another(
        &self,
        incident: &Incident,
        server: SocketAddr,
    ) -> Result<Option<Exhibit>, Gap> {
        let question = ProbeRequest::Dns {
            netns: self.in_nginx_netns(incident)?,
            server,
            name: "localhost".to_owned(),
            kind: RecordKind::A,
        };
        let (code, count) = self.code(&question)?;
        let told = told(RecordKind::A, code, count);
        let exhibit = Exhibit::Record {
            probe: "dns",
            at: None,
            text: format!("the name server {server} asked for localhost: {told}"),
        };
        Ok((code != 110).then_some(exhibit))
    }

    /// Whether no name server of the resolver has an address for the name now, for whatever reason.
    pub(crate) fn is_unresolved(&self, incident: &Incident) -> Result<bool, Gap> {
        let resolver = self.resolver_of(incident)?;
        let answers = self.answers(incident, &resolver)?;
        Ok(answers.iter().all(|answered| answered.code.is_some()))
    }

    /// The name server that still does not resolve the name, as the log says; a gap that says what they answer now where
    /// none does.
    pub(crate) fn still_unresolved(&self, incident: &Incident) -> Result<Answered, Gap> {
        let resolver = self.resolver_of(incident)?;
        let code = incident.said(|event| event.unresolved()?.code);
        let answers = self.answers(incident, &resolver)?;
        let is_silent = answers.iter().all(|answered| answered.code == Some(110));
        let resolves = answers.iter().any(|answered| answered.code.is_none());
        // While one of several name servers answers, nginx asks that one next.
        let same = |answered: &Answered| answered.code == code && (code != Some(110) || is_silent);
        answers.into_iter().find(same).ok_or_else(|| {
            let now = match (is_silent, resolves) {
                (true, _) if resolver.servers.len() == 1 => "the name server does not answer now",
                (true, _) => "none of the name servers answers now",
                (_, true) => "it resolves now",
                _ => "the name servers answer otherwise now",
            };
            Gap::too_late("whether the name resolved when it failed", now)
        })
    }
}

/// What nginx makes of a server's answers to its one or two questions: any failure is one of the whole, and no address
/// at all is `3` (`ngx_resolver_process_a`).
fn answered(server: SocketAddr, name: &str, codes: &[(RecordKind, (u16, usize))]) -> Answered {
    let failing = codes.iter().find(|(_, (code, _))| *code != 0);
    let count: usize = codes.iter().map(|(_, (_, count))| count).sum();
    let code = match failing {
        Some((_, (code, _))) => Some(*code),
        None if count == 0 => Some(3),
        None => None,
    };
    let told: Vec<String> = codes
        .iter()
        .map(|&(kind, (code, count))| told(kind, code, count))
        .collect();
    Answered {
        server,
        code,
        is_for_ipv6_alone: count > 0 && failing.is_some_and(|(kind, _)| *kind == RecordKind::Aaaa),
        exhibit: Exhibit::Record {
            probe: "dns",
            at: None,
            text: format!(
                "the name server {server} asked for {name}: {}",
                told.join(", ")
            ),
        },
    }
}

/// An answer in words.
fn told(kind: RecordKind, code: u16, count: usize) -> String {
    let kind = match kind {
        RecordKind::A => "A",
        RecordKind::Aaaa => "AAAA",
    };
    match (code, count) {
        (0, 0) => format!("{kind}: no address"),
        (0, 1) => format!("{kind}: 1 address"),
        (0, count) => format!("{kind}: {count} addresses"),
        (110, _) => format!("{kind}: no answer"),
        (code, _) => format!("{kind}: {}", facts::dns::code_text(code)),
    }
}

/// Some of a name's addresses, for people.
pub(crate) fn listed(addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses
        .iter()
        .take(DIALLED)
        .map(ToString::to_string)
        .collect();
    addresses.join(", ")
}
