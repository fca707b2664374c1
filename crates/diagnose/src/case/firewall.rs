//! What the firewall of nginx's network namespace makes of the connections to a peer.
//!
//! Every fate that is possible comes from `facts`; here the rules are gathered, and the fates held against what the
//! connection really met.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use facts::firewall::evaluate::{Cited, Fate, Hindrance, Passage, sees};
use facts::firewall::{
    Backend, Chain, ChainKind, Connection, Family, Hook, Refusal, Ruleset, iptables, nft,
};
use facts::ipvs::Services;
use facts::netfilter::{BaseChain, BaseChains};
use facts::route::{self, Barrier, Route};
use facts::{Answer, Exhibit, Gap, GapKind, PeerAddress, ProbeRequest};

use super::network::listener_on;
use super::{Case, known};
use crate::incident::Incident;

/// The kernel's default (`inet_init_net`).
const LOCAL_PORTS: (u16, u16) = (32768, 60999);

/// What the firewall makes of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Firewall {
    /// Whether any rule is in force.
    is_there: bool,
    passage: Passage,
    /// What hinders it behind what certainly does.
    behind: Vec<Hindrance>,
    /// The same of the data that goes over it once it is there.
    of_data: Passage,
    is_ipv6: bool,
    /// The network namespace, where it is not why502's own.
    pub(crate) netns: Option<u32>,
    /// Where the connection goes.
    pub(crate) to: SocketAddr,
    /// Whether that is this host.
    pub(crate) is_local: bool,
    /// Who listens where a rule sends the connection.
    end: Option<String>,
}

/// What the firewall does to a connection that met an errno.
pub(crate) enum Ruling {
    /// It lets it pass: something else gave the errno.
    Passes(Exhibit),
    /// This rule gave it.
    Rejects(Cited),
    /// This rule did, by silence; the answer's, when it says so.
    Drops {
        /// The rule.
        rule: Cited,
        /// It is the answer that vanishes.
        is_answer: bool,
    },
}

impl Firewall {
    /// What it does to a connection that ends with this errno (110 where nothing answers). A fate that cannot end so is
    /// none of this connection's.
    pub(crate) fn ruling(&self, errno: u16) -> Result<Ruling, Gap> {
        let fits = |fate: &&Fate| match fate {
            Fate::Passes | Fate::Redirected(..) | Fate::Undecided(_) => true,
            Fate::Dropped(_) | Fate::AnswerDropped(_) => errno == 110,
            Fate::Rejected(refusal, _) => refusal.errno(self.is_ipv6) == i32::from(errno),
        };
        let fates: Vec<&Fate> = self.passage.fates.iter().filter(fits).collect();
        match fates.as_slice() {
            [] => Err(self.unclear("its rules speak of another failure".to_owned(), &fates)),
            [Fate::Passes] => Ok(Ruling::Passes(self.passes())),
            [Fate::Rejected(_, rule), rest @ ..]
                if rest.iter().all(|fate| matches!(fate, Fate::Rejected(..))) =>
            {
                Ok(Ruling::Rejects(rule.clone()))
            }
            [Fate::Dropped(rule), ..] if fates.iter().all(|fate| is_drop(fate)) => {
                Ok(Ruling::Drops {
                    rule: rule.clone(),
                    is_answer: false,
                })
            }
            [Fate::AnswerDropped(rule), ..] if fates.iter().all(|fate| is_drop(fate)) => {
                Ok(Ruling::Drops {
                    rule: rule.clone(),
                    is_answer: true,
                })
            }
            _ => {
                let why = fates.iter().find_map(|fate| match fate {
                    Fate::Redirected(to, rule) => {
                        Some(format!("a rule sends it elsewhere ({to}): {}", rule.text))
                    }
                    Fate::Undecided(what) => Some(what.clone()),
                    _ => None,
                });
                let doubt = || {
                    self.passage
                        .doubts
                        .first()
                        .map(|doubt| format!("it cannot be told {doubt}"))
                };
                Err(self.unclear(why.or_else(doubt).unwrap_or_default(), &fates))
            }
        }
    }

    /// What hinders the connection behind the rule that certainly does: it shows once that one lets it pass.
    pub(crate) fn behind(&self) -> &[Hindrance] {
        match self.passage.fates.as_slice() {
            [_] => &self.behind,
            _ => &[],
        }
    }

    /// That no rule lets the data of a connection vanish once it is there; nothing, where no rule is in force.
    fn lets_data_pass(&self) -> Result<Option<Exhibit>, Gap> {
        // A reset ends the connection, and nginx waits no longer.
        let is_silent = |fate: &&Fate| !matches!(fate, Fate::Rejected(Refusal::Reset, _));
        let hindering = self.of_data.fates.iter().filter(is_silent).find(|fate| {
            matches!(
                fate,
                Fate::Rejected(..) | Fate::Dropped(_) | Fate::AnswerDropped(_) | Fate::Undecided(_)
            )
        });
        let Some(fate) = hindering else {
            return Ok(self.is_there.then(|| Exhibit::Record {
                probe: "command",
                at: None,
                text: format!(
                    "no firewall rule of this host drops what goes over a connection to {}",
                    self.to
                ),
            }));
        };
        let missing = format!(
            "whether the firewall lets pass what goes over the connections to {}",
            self.to
        );
        let (whose, rule) = match fate {
            Fate::Undecided(what) => {
                return Err(Gap::undecided(missing, what.clone()).learn(learn(self.netns)));
            }
            Fate::AnswerDropped(rule) => ("answers", rule),
            Fate::Rejected(_, rule) | Fate::Dropped(rule) | Fate::Redirected(_, rule) => {
                ("requests", rule)
            }
            Fate::Passes => return Ok(None),
        };
        let is_certain = self.of_data.fates.len() == 1;
        let (why, leaning) = if is_certain {
            (
                format!("a rule of this host drops the {whose}"),
                format!(
                    "{}, drops the {whose} on connections that are there: {}",
                    rule.place(),
                    rule.text
                ),
            )
        } else {
            (
                format!("a rule of this host may drop the {whose}"),
                format!(
                    "{}, may drop the {whose} on connections that are there: {}",
                    rule.place(),
                    rule.text
                ),
            )
        };
        Err(Gap::undecided(missing, why)
            .leaning(leaning)
            .learn(learn(self.netns)))
    }

    fn unclear(&self, why: String, fates: &[&Fate]) -> Gap {
        let gap = Gap::undecided(format!("whether the firewall lets {} pass", self.to), why)
            .learn(learn(self.netns));
        let leaning = fates.iter().find_map(|fate| match fate {
            Fate::Rejected(_, rule) => {
                Some(format!("a firewall rule may reject it: {}", rule.text))
            }
            Fate::Dropped(rule) | Fate::AnswerDropped(rule) => {
                Some(format!("a firewall rule may drop it: {}", rule.text))
            }
            Fate::Redirected(to, rule) => {
                let end = self.end.as_ref().map(|end| format!("; {end}"));
                Some(format!(
                    "a firewall rule sends it elsewhere ({to}): {}, {}{}",
                    rule.place(),
                    rule.text,
                    end.unwrap_or_default()
                ))
            }
            _ => None,
        });
        match leaning {
            Some(leaning) => gap.leaning(leaning),
            None => gap,
        }
    }

    fn passes(&self) -> Exhibit {
        let (probe, text) = if self.is_there {
            (
                "command",
                format!(
                    "no firewall rule of this host rejects, drops or redirects a connection to {}",
                    self.to
                ),
            )
        } else {
            (
                "netfilter-chains",
                "no firewall rule is in force on this host".to_owned(),
            )
        };
        Exhibit::Record {
            probe,
            at: None,
            text,
        }
    }
}

/// Where a rule leads, as it says it (`REDIRECT to 9000`, `redirect to :9000`, `DNAT to 10.0.0.1:80`): what is redirected
/// stays on the host, and what this host sends goes to its loopback (`nf_nat_redirect_ipv4`).
fn destination(to: &str, dialled: SocketAddr) -> Option<SocketAddr> {
    let (verb, place) = to.split_once(" to ")?;
    if verb.eq_ignore_ascii_case("redirect") {
        let port = place.trim_start_matches(':').parse().ok()?;
        let loopback: IpAddr = if dialled.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        };
        return Some((loopback, port).into());
    }
    let whole = place.parse().ok();
    whole.or_else(|| Some((place.parse::<IpAddr>().ok()?, dialled.port()).into()))
}

fn is_drop(fate: &Fate) -> bool {
    matches!(fate, Fate::Dropped(_) | Fate::AnswerDropped(_))
}

/// A rule as an exhibit.
pub(crate) fn exhibit(rule: &Cited) -> Exhibit {
    Exhibit::Record {
        probe: "command",
        at: None,
        text: format!("{}: {}", rule.place(), rule.text),
    }
}

/// A rule that hinders once those before it do not, as an exhibit.
pub(crate) fn exhibit_behind(hindrance: &Hindrance) -> Exhibit {
    let whose = if hindrance.is_answer {
        "the answers"
    } else {
        "the connection"
    };
    let rule = &hindrance.rule;
    Exhibit::Record {
        probe: "command",
        at: None,
        text: format!("behind it, for {whose}: {}: {}", rule.place(), rule.text),
    }
}

/// The command that shows every rule.
pub(crate) fn learn(netns: Option<u32>) -> String {
    match netns {
        Some(pid) => format!("sudo nsenter -t {pid} -n nft list ruleset"),
        None => "sudo nft list ruleset".to_owned(),
    }
}

/// Whether a chain can hinder or redirect what this host sends, or the answers to it.
fn matters(chain: &BaseChain, is_ipv6: bool) -> bool {
    if chain.is_idle() {
        return false;
    }
    match chain.hook {
        Hook::Output => sees(chain.family, is_ipv6),
        Hook::Postrouting | Hook::Prerouting | Hook::Input => {
            chain.kind != ChainKind::Nat && sees(chain.family, is_ipv6)
        }
        _ => false,
    }
}

/// Whether a chain at a network device may see the connection: within the host it passes loopback and nothing else, to
/// another host any other device, be it under the one that the route names.
fn stands_at_device(chain: &BaseChain, is_local: bool) -> bool {
    let is_such =
        chain.family == Family::Netdev || matches!(chain.hook, Hook::Ingress | Hook::Egress);
    let passes = |device: &String| (device == "lo") == is_local;
    is_such && !chain.is_idle() && (chain.devices.is_empty() || chain.devices.iter().any(passes))
}

/// That a rule refuses the connection before anything else can: what else is wrong comes to light only after it.
pub(crate) fn stands_before(rule: &Exhibit, other: &str) -> Gap {
    let rule = match rule {
        Exhibit::Record { text, .. } => format!(": {text}"),
        _ => String::new(),
    };
    Gap::undecided(
        "what the connection meets behind the firewall",
        format!("a rule refuses it before{rule}"),
    )
    .leaning(format!(
        "{other}: that comes next, once the firewall lets the connection pass"
    ))
}

impl Case {
    /// What the firewall makes of a connection to the incident's peer.
    pub(crate) fn firewall(&self, incident: &Incident) -> Result<Rc<Firewall>, Gap> {
        let Some(PeerAddress::Tcp(to)) = incident.address else {
            return Err(Gap::undecided(
                "what the firewall does",
                "the peer is no network address",
            ));
        };
        let netns = self.netns(incident)?;
        self.evidence.once(
            format!("firewall {netns:?} {} {to}", incident.instance),
            || {
                let is_local = self.is_local(incident, to)?;
                let is_ipv6 = to.is_ipv6();
                let mut firewall = Firewall {
                    is_there: true,
                    passage: Passage::default(),
                    behind: Vec::new(),
                    of_data: Passage::default(),
                    is_ipv6,
                    netns,
                    to,
                    is_local,
                    end: None,
                };
                let chains = self.base_chains(netns);
                let legacy = self.kernel_table(
                    netns,
                    if is_ipv6 {
                        "ip6_tables_names"
                    } else {
                        "ip_tables_names"
                    },
                );
                let services = self.kernel_table(netns, "ip_vs");
                let (chains, legacy, services) = (chains?, legacy?, services?);
                let relevant: Vec<&BaseChain> = chains
                    .chains
                    .iter()
                    .filter(|chain| matters(chain, is_ipv6))
                    .collect();
                let on_devices = chains
                    .chains
                    .iter()
                    .any(|chain| stands_at_device(chain, is_local));
                let is_legacy = !legacy.trim().is_empty();
                firewall.is_there = !relevant.is_empty() || is_legacy;
                let Some(connection) =
                    self.connection(incident, to, is_local, firewall.is_there)?
                else {
                    // No packet leaves.
                    firewall.passage.fates.push(Fate::Passes);
                    firewall.of_data.fates.push(Fate::Passes);
                    return Ok(firewall);
                };
                let ruleset = self.ruleset(netns, is_ipv6, &relevant, is_legacy)?;
                firewall.passage = ruleset.passage(&connection);
                firewall.behind = ruleset.behind(&connection);
                firewall.of_data = ruleset.passage_of_data(&connection);
                let unseen = [
                    (!chains.complete, "part of the rules could not be read"),
                    (on_devices, "rules stand at a network device itself"),
                ];
                for (_, why) in unseen.into_iter().filter(|(is_so, _)| *is_so) {
                    for passage in [&mut firewall.passage, &mut firewall.of_data] {
                        passage.fates.push(Fate::Undecided(why.to_owned()));
                    }
                }
                firewall.end = self.end_of(netns, &firewall)?;
                // IPVS stands beside netfilter's rules, and none of them lists the others.
                if Services::parse(services.as_bytes()).may_take(to) {
                    firewall.passage.fates.push(Fate::Undecided(
                        "virtual servers (IPVS) may redirect it".to_owned(),
                    ));
                }
                Ok(firewall)
            },
        )
    }

    /// Who listens where a rule sends the connection, where that is on this host.
    fn end_of(&self, netns: Option<u32>, firewall: &Firewall) -> Result<Option<String>, Gap> {
        let end = firewall.passage.fates.iter().find_map(|fate| match fate {
            Fate::Redirected(to, _) => destination(to, firewall.to),
            _ => None,
        });
        let Some(end) = end else {
            return Ok(None);
        };
        let process = netns.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let is_own = end.ip().is_loopback()
            || known(self.addresses_at(&process, end.is_ipv4()))?
                .is_some_and(|own| own.contains(&end.ip()));
        if !is_own {
            return Ok(None);
        }
        let Some(listeners) = known(self.listeners_in(netns))? else {
            return Ok(None);
        };
        Ok(match listener_on(&listeners, end) {
            Ok(Some(listener)) => Some(format!("{} listens on {end}", listener.who())),
            Ok(None) => Some(format!("nothing listens on {end}")),
            Err(_) => None,
        })
    }

    /// That no rule of this host is why the connection fails as it does; else that one is.
    pub(crate) fn unhindered(&self, incident: &Incident) -> Result<Result<Exhibit, Exhibit>, Gap> {
        let firewall = self.firewall(incident)?;
        Ok(match firewall.ruling(incident.errno.unwrap_or(0))? {
            Ruling::Passes(exhibit) => Ok(exhibit),
            Ruling::Rejects(rule) | Ruling::Drops { rule, .. } => Err(exhibit(&rule)),
        })
    }

    /// That no firewall rule of this host lets the requests to the peer or its answers vanish on a connection that is
    /// there; a unix socket has none.
    pub(crate) fn data_passes(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        match incident.address {
            Some(PeerAddress::Tcp(_)) => self.firewall(incident)?.lets_data_pass(),
            _ => Ok(None),
        }
    }

    /// The connection as its packets will look; `None` where the kernel sends none. Without rules nobody looks at them.
    fn connection(
        &self,
        incident: &Incident,
        to: SocketAddr,
        is_local: bool,
        is_looked_at: bool,
    ) -> Result<Option<Connection>, Gap> {
        let (device, from) = if is_local || !is_looked_at {
            ("lo".to_owned(), own_source(to.ip()))
        } else {
            match &*self.route(incident)? {
                Route::Way(way) => (way.device.clone(), way.source),
                Route::Refused(_) => return Ok(None),
            }
        };
        let status = match self.instance(incident)?.worker() {
            Some(pid) if is_looked_at => known(self.status(pid))?,
            _ => None,
        };
        let settings = if is_looked_at {
            known(self.port_settings(self.netns(incident)?))?
        } else {
            None
        };
        let credentials = status
            .as_ref()
            .and_then(|status| status.as_ref().as_ref())
            .map(|status| &status.credentials);
        Ok(Some(Connection {
            from,
            to,
            device,
            is_local,
            user: credentials.map(|credentials| credentials.uid),
            group: credentials.map(|credentials| credentials.gid),
            ports: match settings {
                Some((range, _)) => range,
                None => LOCAL_PORTS,
            },
        }))
    }

    /// The way to the peer, as nginx's worker would take it.
    pub(crate) fn route(&self, incident: &Incident) -> Result<Rc<Route>, Gap> {
        let Some(PeerAddress::Tcp(to)) = incident.address else {
            return Err(Gap::undecided(
                "the way to the peer",
                "the peer is no network address",
            ));
        };
        let netns = self.netns(incident)?;
        let ip = to.ip().to_string();
        let request = ProbeRequest::command_in(netns, ["ip", "-j", "route", "get", &ip]);
        let record = self.evidence.record(&request)?;
        let learn = in_netns(netns, &format!("ip route get {ip}"));
        let read = match &record.answer {
            Answer::Exit {
                code,
                stdout,
                stderr,
            } => Route::parse(*code, stdout, stderr),
            _ => None,
        };
        match read {
            Some(route) => Ok(Rc::new(route)),
            None => Err(Gap::new(
                GapKind::Absent,
                format!("the way to {ip}"),
                "ip does not tell it",
            )
            .learn(learn)),
        }
    }

    /// The route that refuses the peer, where one does; of the main table.
    pub(crate) fn barrier(&self, incident: &Incident) -> Result<Option<Barrier>, Gap> {
        let ip = incident
            .dialled()?
            .ip()
            .ok_or_else(|| Gap::undecided("the route", "the peer is no network address"))?;
        let (netns, text) = (self.netns(incident)?, ip.to_string());
        let request = if ip.is_ipv6() {
            ProbeRequest::command_in(netns, ["ip", "-6", "-j", "route", "show", "match", &text])
        } else {
            ProbeRequest::command_in(netns, ["ip", "-j", "route", "show", "match", &text])
        };
        let (_, bytes) = self.evidence.bytes(&request)?;
        Ok(route::barrier(bytes))
    }

    /// What the kernel knows of a neighbour on the link.
    pub(crate) fn neighbour(&self, incident: &Incident, ip: IpAddr) -> Result<Option<String>, Gap> {
        let netns = self.netns(incident)?;
        let request = ProbeRequest::command_in(
            netns,
            ["ip", "-j", "neighbour", "show", "to", &ip.to_string()],
        );
        let (_, bytes) = self.evidence.bytes(&request)?;
        Ok(route::neighbour(bytes))
    }

    /// The rules that matter, each chain as the program lists it that knows it best.
    fn ruleset(
        &self,
        netns: Option<u32>,
        is_ipv6: bool,
        relevant: &[&BaseChain],
        is_legacy: bool,
    ) -> Result<Ruleset, Gap> {
        if relevant.is_empty() && !is_legacy {
            return Ok(Ruleset::default());
        }
        let listing = ProbeRequest::command_in(netns, ["nft", "-j", "list", "ruleset"]);
        let nft = if relevant.is_empty() {
            Ok(None)
        } else {
            known(self.evidence.fact(&listing, |_, bytes| nft::parse(bytes)))
        };
        // Tables that iptables may have made show their extensions to it alone.
        let is_shared = |chain: &&BaseChain| matches!(chain.family, Family::Ip | Family::Ip6);
        let shared = if relevant.iter().any(is_shared) {
            self.saved(netns, is_ipv6, Backend::Iptables)
        } else {
            Ok(None)
        };
        let older = if is_legacy {
            self.saved(netns, is_ipv6, Backend::IptablesLegacy)
        } else {
            Ok(None)
        };
        let (nft, shared, older) = (nft?, shared?, older?);
        let mut chains = nft
            .and_then(|nft| (*nft).clone())
            .unwrap_or_default()
            .chains;
        if let Some(shared) = shared {
            let same =
                |one: &Chain, other: &Chain| one.family == other.family && one.table == other.table;
            chains.retain(|chain| !shared.chains.iter().any(|better| same(chain, better)));
            chains.extend(shared.chains);
        }
        let missing = || {
            Gap::new(
                GapKind::Denied,
                "the firewall's rules",
                "they could not be listed",
            )
            .learn(learn(netns))
        };
        let is_listed = |base: &&BaseChain| {
            chains.iter().any(|chain| {
                chain.family == base.family
                    && chain.table == base.table
                    && chain.name == base.name
                    && chain
                        .base
                        .as_ref()
                        .is_some_and(|listed| listed.hook == base.hook)
            })
        };
        if !relevant.iter().all(is_listed) {
            return Err(missing());
        }
        if is_legacy {
            chains.extend(older.ok_or_else(missing)?.chains);
        }
        Ok(Ruleset { chains })
    }

    /// What `iptables-save` of this kind lists; the program of that name is of either kind.
    fn saved(
        &self,
        netns: Option<u32>,
        is_ipv6: bool,
        kind: Backend,
    ) -> Result<Option<Ruleset>, Gap> {
        let (plain, named) = match (is_ipv6, kind == Backend::IptablesLegacy) {
            (false, false) => ("iptables-save", "iptables-nft-save"),
            (false, true) => ("iptables-save", "iptables-legacy-save"),
            (true, false) => ("ip6tables-save", "ip6tables-nft-save"),
            (true, true) => ("ip6tables-save", "ip6tables-legacy-save"),
        };
        for program in [plain, named] {
            let request = ProbeRequest::command_in(netns, [program]);
            let listing = self.evidence.fact(&request, |_, bytes| {
                String::from_utf8_lossy(bytes).into_owned()
            });
            if let Some(listing) = known(listing)?
                && !listing.trim().is_empty()
                && iptables::backend(&listing) == kind
            {
                return Ok(Some(iptables::parse(&listing, is_ipv6)));
            }
        }
        Ok(None)
    }

    /// The base chains of nginx's network namespace; a kernel without nf_tables has none.
    fn base_chains(&self, netns: Option<u32>) -> Result<Rc<BaseChains>, Gap> {
        let request = ProbeRequest::NetfilterChains { netns };
        match self.evidence.record(&request)?.answer {
            Answer::Errno(errno) if !matches!(errno, 1 | 13) => Ok(Rc::new(BaseChains {
                chains: Vec::new(),
                complete: true,
            })),
            _ => {
                let chains = self
                    .evidence
                    .fact(&request, |_, bytes| BaseChains::parse(bytes));
                chains.map_err(|gap| gap.learn(learn(netns)))
            }
        }
    }

    /// A file in which the kernel lists what is loaded; empty where the module is not.
    fn kernel_table(&self, netns: Option<u32>, name: &str) -> Result<String, Gap> {
        let of = netns.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        match self
            .evidence
            .bytes(&ProbeRequest::host_file(format!("/proc/{of}/net/{name}")))
        {
            Ok((_, bytes)) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Err(gap) if gap.kind == GapKind::Absent => Ok(String::new()),
            Err(gap) => Err(gap.learn(learn(netns))),
        }
    }

    /// What the firewall may have to do with an incident that nothing explains.
    pub(super) fn firewall_of(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        if incident.action != Some(log::error::While::ConnectingToUpstream) {
            return Ok(None);
        }
        let firewall = self.firewall(incident)?;
        Ok(match firewall.ruling(incident.errno.unwrap_or(0)) {
            Ok(Ruling::Passes(exhibit)) if firewall.is_there => Some(exhibit),
            Ok(Ruling::Passes(_)) => None,
            Ok(Ruling::Rejects(rule) | Ruling::Drops { rule, .. }) => Some(exhibit(&rule)),
            Err(gap) => Some(Exhibit::Record {
                probe: "command",
                at: None,
                text: format!("the firewall may have a part in it: {}", gap.why),
            }),
        })
    }
}

/// A command where nginx's network is.
pub(crate) fn in_netns(netns: Option<u32>, command: &str) -> String {
    match netns {
        Some(pid) => format!("sudo nsenter -t {pid} -n {command}"),
        None => command.to_owned(),
    }
}

/// Connections to the host's own addresses come from the same one; those to 127.0.0.0/8 from its first.
fn own_source(to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(ip) if ip.is_loopback() || ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        own => own,
    }
}
