//! What a ruleset makes of one connection: every fate that is possible, given what is known.
//!
//! A test that cannot be told leads both ways, so an answer of one fate is certain, and one of several says what is in
//! doubt.

use std::collections::BTreeSet;

use super::packet::{Connection, Packet};
use super::{Action, Backend, Chain, ChainKind, Family, Hook, Policy, Refusal, Rule, Ruleset};

/// More steps than any real ruleset takes.
const MOST_STEPS: usize = 200_000;
/// Deeper than the kernel lets chains call each other (`NFT_JUMP_STACK_SIZE`).
const DEEPEST: usize = 32;

/// What may become of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// No rule hinders it.
    Passes,
    /// A rule refuses it.
    Rejected(Refusal, Cited),
    /// A rule lets it vanish.
    Dropped(Cited),
    /// A rule lets the answer to it vanish.
    AnswerDropped(Cited),
    /// A rule sends it elsewhere, as it says.
    Redirected(String, Cited),
    /// It hangs on something that is not known.
    Undecided(String),
}

/// A rule, or a chain's policy, that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cited {
    /// What lists it.
    pub backend: Backend,
    /// Its table's family.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// nft's handle or the rule's number; `None` for the chain's policy.
    pub handle: Option<u64>,
    /// As people read it.
    pub text: String,
}

/// What keeps a connection from being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hindrance {
    /// The rule or policy.
    pub rule: Cited,
    /// It is the answer that it stops.
    pub is_answer: bool,
}

impl Hindrance {
    fn of(fate: &Fate) -> Option<Self> {
        let (rule, is_answer) = match fate {
            Fate::Rejected(_, rule) | Fate::Dropped(rule) => (rule, false),
            Fate::AnswerDropped(rule) => (rule, true),
            Fate::Passes | Fate::Redirected(..) | Fate::Undecided(_) => return None,
        };
        Some(Self {
            rule: rule.clone(),
            is_answer,
        })
    }
}

/// Every fate that is possible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// Each once; never empty.
    pub fates: Vec<Fate>,
    /// What could not be told where that made a difference.
    pub doubts: Vec<String>,
}

/// A chain that the kernel enters with a packet.
struct Entry<'a> {
    packet: usize,
    chain: &'a Chain,
    priority: i32,
    policy: Policy,
}

/// Where the walk stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    entry: usize,
    /// Chains and next rules, the innermost last.
    stack: Vec<(String, usize)>,
    is_mark_known: bool,
    is_tracked: bool,
}

impl Ruleset {
    /// Walks the chains that the connection's first packet and the answer to it meet.
    pub fn passage(&self, connection: &Connection) -> Passage {
        self.walk(connection, false, &[])
    }

    /// What hinders the connection behind what certainly hinders it: each next rule once those before it accept the
    /// packet, as long as it is certain. Empty where the passage is not of one fate, or nothing else stands in the way.
    pub fn behind(&self, connection: &Connection) -> Vec<Hindrance> {
        /// More than people set up.
        const MOST: usize = 8;
        let mut passage = self.passage(connection);
        let mut met: Vec<Hindrance> = Vec::new();
        while let [fate] = passage.fates.as_slice()
            && let Some(hindrance) = Hindrance::of(fate)
            && met.len() < MOST
        {
            met.push(hindrance);
            passage = self.walk(connection, false, &met);
        }
        met.drain(..1.min(met.len()));
        met
    }

    /// Walks those that its data meets once it is there, first the request's, then the response's.
    pub fn passage_of_data(&self, connection: &Connection) -> Passage {
        self.walk(connection, true, &[])
    }

    fn walk(&self, connection: &Connection, is_data: bool, lifted: &[Hindrance]) -> Passage {
        let packet = |is_answer, is_inbound| Packet {
            connection,
            is_answer,
            is_data,
            is_inbound,
        };
        // What stays on the host passes both sides twice.
        let packets = if connection.is_local {
            vec![
                packet(false, false),
                packet(false, true),
                packet(true, false),
                packet(true, true),
            ]
        } else {
            vec![packet(false, false), packet(true, true)]
        };
        let mut entries = Vec::new();
        for (idx, packet) in packets.iter().enumerate() {
            let hooks = if packet.is_inbound {
                [Hook::Prerouting, Hook::Input]
            } else {
                [Hook::Output, Hook::Postrouting]
            };
            for hook in hooks {
                entries.extend(self.entries(hook, idx, packet));
            }
        }
        let mut walk = Walk {
            ruleset: self,
            packets,
            entries,
            lifted,
            passage: Passage::default(),
        };
        walk.run();
        walk.passage
    }

    /// The chains at a hook, in the kernel's order.
    fn entries<'a>(&'a self, hook: Hook, idx: usize, packet: &Packet<'_>) -> Vec<Entry<'a>> {
        let is_ipv6 = packet.connection.to.is_ipv6();
        // Address translation is asked once, by the first packet; on its way out alone can it change the destination.
        let translates = hook == Hook::Output && !packet.is_answer && !packet.is_data;
        let mut entries: Vec<Entry<'_>> = self
            .chains
            .iter()
            .filter(|chain| sees(chain.family, is_ipv6))
            .filter_map(|chain| {
                let base = chain.base.as_ref().filter(|base| base.hook == hook)?;
                (base.kind != ChainKind::Nat || translates).then_some(Entry {
                    packet: idx,
                    chain,
                    priority: base.priority,
                    policy: base.policy,
                })
            })
            .collect();
        entries.sort_by_key(|entry| entry.priority);
        entries
    }

    fn chain(&self, of: &Chain, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| {
            chain.name == name
                && chain.table == of.table
                && chain.family == of.family
                && (chain.backend == Backend::IptablesLegacy)
                    == (of.backend == Backend::IptablesLegacy)
        })
    }
}

/// Whether tables of a family see packets of this version.
pub fn sees(family: Family, is_ipv6: bool) -> bool {
    match family {
        Family::Inet => true,
        Family::Ip => !is_ipv6,
        Family::Ip6 => is_ipv6,
        _ => false,
    }
}

/// A walk through every chain.
struct Walk<'a> {
    ruleset: &'a Ruleset,
    packets: Vec<Packet<'a>>,
    entries: Vec<Entry<'a>>,
    /// What accepts the packet instead.
    lifted: &'a [Hindrance],
    passage: Passage,
}

impl<'a> Walk<'a> {
    fn run(&mut self) {
        let mut seen = BTreeSet::new();
        let mut open = vec![Position {
            entry: 0,
            stack: self.start(0),
            is_mark_known: true,
            is_tracked: true,
        }];
        for _ in 0..MOST_STEPS {
            let Some(position) = open.pop() else { return };
            if seen.insert(position.clone()) {
                open.extend(self.step(position));
            }
        }
        self.end(Fate::Undecided("the ruleset is too large".to_owned()));
    }

    /// The stack on entering a base chain; empty past the last.
    fn start(&self, entry: usize) -> Vec<(String, usize)> {
        let entry = self.entries.get(entry);
        entry
            .map(|entry| (entry.chain.name.clone(), 0))
            .into_iter()
            .collect()
    }

    fn end(&mut self, fate: Fate) {
        if !self.passage.fates.contains(&fate) {
            self.passage.fates.push(fate);
        }
    }

    /// One rule further; where a test cannot be told, both ways.
    fn step(&mut self, mut at: Position) -> Vec<Position> {
        let Some((base, packet, policy)) = self.entered(at.entry) else {
            self.end(Fate::Passes);
            return Vec::new();
        };
        let Some((name, next)) = at.stack.last_mut() else {
            let cited = cite(base, None, "policy drop".to_owned());
            return match policy {
                Policy::Accept => self.onward(at),
                Policy::Drop => self.dropped(at, packet.is_answer, cited),
                Policy::Unknown => {
                    self.end(Fate::Undecided(format!("the policy of {}", cited.place())));
                    Vec::new()
                }
            };
        };
        let ruleset: &'a Ruleset = self.ruleset;
        let Some(chain) = ruleset.chain(base, name) else {
            let doubt = format!("the rules of chain {name} of {}", base.table);
            self.end(Fate::Undecided(doubt));
            return Vec::new();
        };
        let Some(rule) = chain.rules.get(*next) else {
            at.stack.pop();
            return vec![at];
        };
        *next += 1;
        let (is_mark_known, is_tracked) = (at.is_mark_known, at.is_tracked);
        match packet.holds_all(&rule.tests, is_mark_known, is_tracked) {
            Some(false) => vec![at],
            Some(true) => self.act(at, chain, rule, packet.is_answer),
            None if rule.action == Action::Nothing => vec![at],
            None => {
                let doubt = format!(
                    "whether this rule matches: {} ({})",
                    rule.text,
                    chain.place()
                );
                let other = at.clone();
                let mut ways = self.act(at, chain, rule, packet.is_answer);
                // A rule that ends the walk is the one that matters.
                if ways.is_empty() {
                    self.passage.doubts.insert(0, doubt);
                } else if !ways.contains(&other) {
                    self.passage.doubts.push(doubt);
                }
                ways.push(other);
                ways
            }
        }
    }

    /// A base chain, the packet that enters it, and its policy.
    fn entered(&self, entry: usize) -> Option<(&'a Chain, Packet<'a>, Policy)> {
        let entry = self.entries.get(entry)?;
        Some((entry.chain, *self.packets.get(entry.packet)?, entry.policy))
    }

    /// To the next base chain.
    fn onward(&self, mut at: Position) -> Vec<Position> {
        at.entry += 1;
        at.stack = self.start(at.entry);
        vec![at]
    }

    /// Whether a rule is taken to accept what it hinders.
    fn is_lifted(&self, is_answer: bool, rule: &Cited) -> bool {
        let mut lifted = self.lifted.iter();
        lifted.any(|lifted| lifted.is_answer == is_answer && lifted.rule == *rule)
    }

    fn dropped(&mut self, at: Position, is_answer: bool, cited: Cited) -> Vec<Position> {
        if self.is_lifted(is_answer, &cited) {
            return self.onward(at);
        }
        self.end(if is_answer {
            Fate::AnswerDropped(cited)
        } else {
            Fate::Dropped(cited)
        });
        Vec::new()
    }

    fn act(
        &mut self,
        mut at: Position,
        chain: &Chain,
        rule: &Rule,
        is_answer: bool,
    ) -> Vec<Position> {
        let cited = || cite(chain, Some(rule.handle), rule.text.clone());
        match &rule.action {
            Action::Nothing => vec![at],
            Action::Accept => self.onward(at),
            Action::Drop => self.dropped(at, is_answer, cited()),
            // Who dialled does not learn of a refusal that goes to who answers.
            Action::Reject(_) if is_answer => self.dropped(at, true, cited()),
            Action::Reject(_) if self.is_lifted(false, &cited()) => self.onward(at),
            Action::Reject(refusal) => {
                self.end(Fate::Rejected(*refusal, cited()));
                Vec::new()
            }
            Action::Return => {
                at.stack.pop();
                vec![at]
            }
            Action::Jump(_) if at.stack.len() >= DEEPEST => {
                self.end(Fate::Undecided("chains that call each other".to_owned()));
                Vec::new()
            }
            Action::Jump(name) => {
                at.stack.push((name.clone(), 0));
                vec![at]
            }
            Action::Goto(name) => {
                at.stack.pop();
                at.stack.push((name.clone(), 0));
                vec![at]
            }
            Action::Mark => {
                at.is_mark_known = false;
                vec![at]
            }
            Action::Untrack => {
                at.is_tracked = false;
                vec![at]
            }
            Action::Redirect(to) => {
                self.end(Fate::Redirected(to.clone(), cited()));
                Vec::new()
            }
            Action::Opaque(what) => {
                self.end(Fate::Undecided(format!("{what} in {}", chain.place())));
                Vec::new()
            }
        }
    }
}

impl Chain {
    /// Family, table and name, as nft and people write them.
    pub fn place(&self) -> String {
        place(self.backend, self.family, &self.table, &self.name)
    }
}

impl Cited {
    /// Family, table and chain, as nft and people write them.
    pub fn place(&self) -> String {
        place(self.backend, self.family, &self.table, &self.chain)
    }
}

fn place(backend: Backend, family: Family, table: &str, chain: &str) -> String {
    let family = match family {
        Family::Inet => "inet",
        Family::Ip6 => "ip6",
        _ => "ip",
    };
    let legacy = match backend {
        Backend::IptablesLegacy => ", legacy",
        Backend::Nft | Backend::Iptables => "",
    };
    format!("table {family} {table}, chain {chain}{legacy}")
}

fn cite(chain: &Chain, handle: Option<u64>, text: String) -> Cited {
    Cited {
        backend: chain.backend,
        family: chain.family,
        table: chain.table.clone(),
        chain: chain.name.clone(),
        handle,
        text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::firewall::{iptables, nft};

    /// Listed by nft 1.0.6.
    const NFT: &[u8] = include_bytes!("../../testdata/firewall/nft.json");
    /// Listed by Debian's iptables-save 1.8.9 (nf_tables).
    const IPTABLES: &str = include_str!("../../testdata/firewall/iptables-save");
    /// The same of a host whose ufw denies port 8000 outwards and rejects port 8001.
    const UFW: &str = include_str!("../../testdata/firewall/iptables-save-ufw");

    fn connection(to: &str, device: &str) -> Connection {
        let to: std::net::SocketAddr = to.parse().unwrap();
        let is_local = device == "lo";
        let source = match (to, is_local) {
            (_, true) => to.ip().to_string(),
            (std::net::SocketAddr::V4(_), _) => "192.0.2.1".to_owned(),
            _ => "2001:db8::1".to_owned(),
        };
        Connection {
            from: source.parse().unwrap(),
            to,
            device: device.to_owned(),
            is_local,
            user: Some(33),
            group: Some(33),
            ports: (32768, 60999),
        }
    }

    /// The fates in short, with their doubts' number.
    fn fates(ruleset: &Ruleset, connection: &Connection) -> String {
        in_short(&ruleset.passage(connection), connection)
    }

    fn in_short(passage: &Passage, connection: &Connection) -> String {
        let is_ipv6 = connection.to.is_ipv6();
        let mut shown: Vec<String> = passage
            .fates
            .iter()
            .map(|fate| match fate {
                Fate::Passes => "passes".to_owned(),
                Fate::Rejected(refusal, _) => format!("rejected {}", refusal.errno(is_ipv6)),
                Fate::Dropped(_) => "dropped".to_owned(),
                Fate::AnswerDropped(_) => "answer dropped".to_owned(),
                Fate::Redirected(to, _) => to.clone(),
                Fate::Undecided(what) => what.clone(),
            })
            .collect();
        shown.sort();
        shown.dedup();
        shown.join(", ")
    }

    #[test]
    fn nft_rules_are_walked_as_the_kernel_walks_them() {
        let ruleset = nft::parse(NFT).unwrap();
        for (to, device, expected) in [
            ("127.0.0.1:5000", "lo", "passes"),
            ("10.2.0.1:5000", "eth0", "passes"),
            // Named sets: an interval, a single value, and what lies beside them.
            ("127.0.0.1:4000", "lo", "rejected 111"),
            ("127.0.0.1:4005", "lo", "rejected 111"),
            ("127.0.0.1:4010", "lo", "passes"),
            ("[::1]:4100", "lo", "rejected 111"),
            // Concatenations, and elements with a time-out.
            ("10.0.0.2:4200", "eth0", "dropped"),
            ("10.0.0.3:4200", "eth0", "passes"),
            ("10.0.0.2:4201", "eth0", "passes"),
            ("10.1.2.3:5000", "eth0", "dropped"),
            ("10.9.0.1:5000", "eth0", "dropped"),
            ("10.9.0.2:5000", "eth0", "passes"),
            // A verdict map; what one base chain accepts a later one may still reject.
            ("127.0.0.1:4300", "lo", "rejected 111"),
            ("127.0.0.1:4301", "lo", "dropped"),
            ("127.0.0.1:4302", "lo", "rejected 111"),
            // On its way in.
            ("127.0.0.1:4400", "lo", "rejected 113"),
            ("[::1]:4400", "lo", "rejected 13"),
            ("10.2.0.1:4400", "eth0", "passes"),
            // Versions, users and groups.
            ("127.0.0.1:4500", "lo", "passes"),
            ("[::1]:4500", "lo", "rejected 111"),
            ("127.0.0.1:4600", "lo", "rejected 111"),
            ("127.0.0.1:4601", "lo", "dropped"),
            ("10.2.0.1:4602", "eth0", "rejected 113"),
            ("127.0.0.1:4602", "lo", "passes"),
            // Devices.
            ("10.2.0.1:4700", "eth0", "rejected 111"),
            ("10.2.0.1:4700", "wlan0", "passes"),
            ("127.0.0.1:4701", "lo", "rejected 101"),
            ("10.2.0.1:4701", "eth1", "rejected 101"),
            ("10.2.0.1:4701", "eth0", "passes"),
            ("127.0.0.1:4702", "lo", "rejected 113"),
            // Addresses.
            ("10.0.0.9:4703", "eth0", "dropped"),
            ("10.0.0.10:4703", "eth0", "passes"),
            ("10.2.0.1:4704", "eth0", "dropped"),
            ("127.0.0.1:4704", "lo", "passes"),
            ("[::1]:4704", "lo", "passes"),
            ("[::1]:4705", "lo", "rejected 13"),
            ("127.0.0.1:4706", "lo", "dropped"),
            ("10.2.0.1:4706", "eth0", "passes"),
            // Flags of a first packet.
            ("127.0.0.1:4707", "lo", "dropped"),
            ("127.0.0.1:4708", "lo", "dropped"),
            // A limit may be spent or not; a limit on what only logs matters not.
            ("127.0.0.1:4709", "lo", "dropped, passes"),
            ("127.0.0.1:4712", "lo", "passes"),
            // A mark that was set is not known any more, one that nobody set is none.
            ("127.0.0.1:4710", "lo", "dropped, passes"),
            ("127.0.0.1:4711", "lo", "passes"),
            ("127.0.0.1:4713", "lo", "dropped, passes"),
            ("127.0.0.1:4725", "lo", "dropped"),
            ("127.0.0.1:4730", "lo", "dropped"),
            ("127.0.0.1:4731", "lo", "dropped, passes"),
            ("127.0.0.1:4732", "lo", "passes"),
            ("127.0.0.1:4733", "lo", "rejected 111"),
            // Address translation.
            ("127.0.0.1:4800", "lo", "dnat to 10.0.0.2:4801"),
            ("127.0.0.1:4802", "lo", "redirect to :4803"),
            ("[::1]:4800", "lo", "passes"),
            ("127.0.0.1:4999", "lo", "rejected 111"),
        ] {
            assert_eq!(
                fates(&ruleset, &connection(to, device)),
                expected,
                "{to} by {device}"
            );
        }
    }

    #[test]
    fn data_meets_other_rules_than_what_makes_its_connection() {
        let of = |rule: &str| {
            let listing =
                format!("*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rule}\nCOMMIT\n");
            let ruleset = iptables::parse(&listing, false);
            let connection = connection("127.0.0.1:8000", "lo");
            let data = in_short(&ruleset.passage_of_data(&connection), &connection);
            (fates(&ruleset, &connection), data)
        };
        let both = |first: &str, data: &str| (first.to_owned(), data.to_owned());
        for (rule, expected) in [
            (
                "-A INPUT -p tcp --dport 8000 -m conntrack --ctstate ESTABLISHED -j DROP",
                both("passes", "dropped"),
            ),
            (
                "-A OUTPUT -p tcp --dport 8000 -m conntrack --ctstate NEW -j DROP",
                both("dropped", "passes"),
            ),
            (
                "-A OUTPUT -p tcp --dport 8000 --syn -j DROP",
                both("dropped", "passes"),
            ),
            (
                "-A INPUT -p tcp --sport 8000 --tcp-flags SYN,ACK ACK -j DROP",
                both("passes", "answer dropped"),
            ),
            (
                "-A INPUT -p tcp --dport 8000 --tcp-flags PSH PSH -j DROP",
                both("passes", "dropped, passes"),
            ),
            (
                "-A INPUT -p tcp --dport 8000 -m length --length 500:65535 -j DROP",
                both("dropped, passes", "dropped, passes"),
            ),
            (
                "-A INPUT -p tcp --dport 8001 -j DROP",
                both("passes", "passes"),
            ),
        ] {
            assert_eq!(of(rule), expected, "{rule}");
        }
    }

    #[test]
    fn a_rule_that_decides_is_cited() {
        let ruleset = nft::parse(NFT).unwrap();
        let passage = ruleset.passage(&connection("127.0.0.1:4000", "lo"));
        let [Fate::Rejected(_, rule)] = passage.fates.as_slice() else {
            panic!("{passage:?}");
        };
        assert_eq!(rule.place(), "table inet filter, chain output");
        assert_eq!(
            rule.text,
            "tcp dport @closed log reject with icmpx port-unreachable"
        );
        assert!(rule.handle.is_some());
    }

    #[test]
    fn iptables_rules_are_walked_as_the_kernel_walks_them() {
        let ruleset = iptables::parse(IPTABLES, false);
        for (to, device, expected) in [
            // INPUT drops what nothing accepts; loopback is accepted, and so are answers.
            ("127.0.0.1:5000", "lo", "passes"),
            ("10.2.0.1:5000", "eth0", "passes"),
            ("127.0.0.1:8000", "lo", "rejected 111"),
            ("10.2.0.1:443", "eth0", "rejected 111"),
            ("10.2.0.1:9005", "eth0", "rejected 111"),
            ("10.2.0.1:9011", "eth0", "passes"),
            // For one user, to one network, by one device.
            ("10.2.0.1:5000", "lo", "dropped"),
            ("127.0.0.1:70", "lo", "DNAT to 10.0.0.1:80"),
            ("127.0.0.1:71", "lo", "REDIRECT to 80"),
        ] {
            assert_eq!(
                fates(&ruleset, &connection(to, device)),
                expected,
                "{to} by {device}"
            );
        }
    }

    #[test]
    fn ufw_passes_loopback_and_stops_what_it_was_told() {
        let ruleset = iptables::parse(UFW, false);
        for (to, device, expected) in [
            ("127.0.0.1:8000", "lo", "passes"),
            ("10.2.0.1:8000", "eth0", "dropped"),
            ("10.2.0.1:8001", "eth0", "rejected 111"),
            ("10.2.0.1:8002", "eth0", "passes"),
        ] {
            assert_eq!(
                fates(&ruleset, &connection(to, device)),
                expected,
                "{to} by {device}"
            );
        }
        let passage = ruleset.passage(&connection("10.2.0.1:8001", "eth0"));
        let [Fate::Rejected(_, rule)] = passage.fates.as_slice() else {
            panic!("{passage:?}");
        };
        assert_eq!(rule.chain, "ufw-user-output");
    }

    #[test]
    fn an_input_that_accepts_no_answers_is_told() {
        let listing =
            "*filter\n:INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n";
        let ruleset = iptables::parse(listing, false);
        assert_eq!(
            fates(&ruleset, &connection("10.2.0.1:80", "eth0")),
            "answer dropped"
        );
        assert_eq!(fates(&ruleset, &connection("127.0.0.1:80", "lo")), "passes");
    }

    #[test]
    fn what_is_not_known_decides_nothing() {
        for (rule, expected) in [
            ("-m set --match-set x dst -j DROP", "dropped, passes"),
            (
                "-m string --string x --algo bm -j REJECT",
                "passes, rejected 111",
            ),
            ("-m udp --dport 80 -j DROP", "passes"),
            ("! -o lo -j DROP", "dropped"),
            ("! -i docker0 -j DROP", "dropped"),
            ("-i docker0 -j DROP", "passes"),
            ("-p udp -j DROP", "passes"),
            ("! -p udp -j DROP", "dropped"),
            ("-d 10.2.0.0/16 ! --dport 81:90 -j DROP", "dropped"),
            ("! -d 10.2.0.0/16 -j DROP", "passes"),
            ("-m comment --comment \"-j ACCEPT\" -j DROP", "dropped"),
            (
                "-j NFQUEUE --queue-num 1",
                "target NFQUEUE in table ip filter, chain OUTPUT, legacy",
            ),
            ("-j missing", "the rules of chain missing of filter"),
            ("-j loop", "chains that call each other"),
            (
                "-j REJECT --reject-with icmp-host-prohibited",
                "rejected 113",
            ),
            (
                "-j REJECT --reject-with icmp-net-unreachable",
                "rejected 101",
            ),
            (
                "-j REJECT --reject-with icmp-admin-prohibited",
                "rejected 113",
            ),
        ] {
            let listing = format!(
                "*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:loop - [0:0]\n-A OUTPUT {rule}\n-A loop -j loop\nCOMMIT\n"
            );
            let ruleset = iptables::parse(&listing, false);
            assert_eq!(
                fates(&ruleset, &connection("10.2.0.1:80", "eth0")),
                expected,
                "{rule}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_listing_is_read_and_walked_without_a_panic(place in 0..NFT.len(), byte: u8, text: String, words in "[-!a-zA-Z0-9 :,./\"]{0,80}") {
            let mut damaged = NFT.to_vec();
            damaged[place] = byte;
            let listing = format!("*filter\n:INPUT DROP\n:OUTPUT ACCEPT\n-A OUTPUT {words}\n{text}");
            let rulesets = [nft::parse(&damaged).unwrap_or_default(), iptables::parse(&listing, false), iptables::parse(&text, true)];
            for ruleset in rulesets {
                prop_assert!(!ruleset.passage(&connection("127.0.0.1:4000", "lo")).fates.is_empty());
                prop_assert!(!ruleset.passage(&connection("[2001:db8::2]:4000", "eth0")).fates.is_empty());
            }
        }
    }
}
