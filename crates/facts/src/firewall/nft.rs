//! The rules that `nft -j list ruleset` lists (libnftables-json(5)).

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::shown::{destination, shown, shown_match};
use super::{
    Action, Backend, Base, Chain, ChainKind, Family, Field, Hook, Policy, Refusal, Rule, Ruleset,
    Test, Value, bits, code, flag, kind, network, state,
};

/// The elements of named sets and maps, by family, table and name.
type Sets<'a> = BTreeMap<(&'a str, &'a str, &'a str), &'a [Json]>;

/// Reads the listing; `None` when it is none. What is not known of a rule decides nothing.
pub fn parse(bytes: &[u8]) -> Option<Ruleset> {
    let listing: Json = serde_json::from_slice(bytes).ok()?;
    let objects = listing.get("nftables")?.as_array()?;
    let of = |kind: &'static str| objects.iter().filter_map(move |object| object.get(kind));
    let mut sets: Sets<'_> = BTreeMap::new();
    for set in of("set").chain(of("map")) {
        let elements = set.get("elem").and_then(Json::as_array);
        sets.insert(
            (text(set, "family"), text(set, "table"), text(set, "name")),
            elements.map_or(&[][..], Vec::as_slice),
        );
    }
    let mut chains: Vec<Chain> = of("chain").filter_map(chain).collect();
    for rule in of("rule") {
        let family = family(text(rule, "family"));
        let (table, name) = (text(rule, "table"), text(rule, "chain"));
        let reader = Reader {
            sets: &sets,
            family: text(rule, "family"),
            table,
        };
        let chain = chains.iter_mut().find(|chain| {
            Some(chain.family) == family && chain.table == table && chain.name == name
        });
        if let Some(chain) = chain {
            chain.rules.extend(reader.rules(rule));
        }
    }
    Some(Ruleset { chains })
}

pub(super) fn text<'a>(object: &'a Json, key: &str) -> &'a str {
    object.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn family(name: &str) -> Option<Family> {
    Some(match name {
        "inet" => Family::Inet,
        "ip" => Family::Ip,
        "ip6" => Family::Ip6,
        "arp" => Family::Arp,
        "bridge" => Family::Bridge,
        "netdev" => Family::Netdev,
        _ => return None,
    })
}

fn chain(chain: &Json) -> Option<Chain> {
    Some(Chain {
        backend: Backend::Nft,
        family: family(text(chain, "family"))?,
        table: text(chain, "table").to_owned(),
        name: text(chain, "name").to_owned(),
        base: base(chain),
        rules: Vec::new(),
    })
}

fn base(chain: &Json) -> Option<Base> {
    let hook = match chain.get("hook")?.as_str()? {
        "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        "forward" => Hook::Forward,
        "output" => Hook::Output,
        "postrouting" => Hook::Postrouting,
        "ingress" => Hook::Ingress,
        "egress" => Hook::Egress,
        _ => Hook::Other(u32::MAX),
    };
    let priority = chain.get("prio").and_then(Json::as_i64);
    Some(Base {
        hook,
        kind: match text(chain, "type") {
            "filter" => ChainKind::Filter,
            "nat" => ChainKind::Nat,
            "route" => ChainKind::Route,
            other => ChainKind::Other(other.to_owned()),
        },
        priority: priority
            .and_then(|priority| i32::try_from(priority).ok())
            .unwrap_or(0),
        policy: match text(chain, "policy") {
            "accept" => Policy::Accept,
            "drop" => Policy::Drop,
            _ => Policy::Unknown,
        },
    })
}

/// Reads the rules of one table.
struct Reader<'a> {
    sets: &'a Sets<'a>,
    family: &'a str,
    table: &'a str,
}

impl Reader<'_> {
    /// A rule with several outcomes becomes several.
    fn rules(&self, rule: &Json) -> Vec<Rule> {
        let handle = rule.get("handle").and_then(Json::as_u64).unwrap_or(0);
        let none = Vec::new();
        let statements = rule.get("expr").and_then(Json::as_array).unwrap_or(&none);
        let text: Vec<String> = statements.iter().filter_map(shown).collect();
        let text = text.join(" ");
        let (mut rules, mut tests) = (Vec::new(), Vec::new());
        let mut push = |tests: &[Test], action| {
            rules.push(Rule {
                tests: tests.to_vec(),
                action,
                handle,
                text: text.clone(),
            });
        };
        for statement in statements {
            match self.statement(statement) {
                Statement::Test(test) => tests.push(test),
                Statement::Act(Action::Nothing) => {}
                Statement::Act(action) => {
                    push(
                        &[tests.as_slice(), version(statement).as_slice()].concat(),
                        action,
                    );
                }
                Statement::Map(cases) => {
                    for (test, action) in cases {
                        push(&[tests.as_slice(), &[test]].concat(), action);
                    }
                }
            }
        }
        rules
    }

    fn statement(&self, statement: &Json) -> Statement {
        let Some((name, what)) = statement
            .as_object()
            .and_then(|object| object.iter().next())
        else {
            return Statement::Act(Action::Opaque(statement.to_string()));
        };
        let opaque = || Action::Opaque(format!("\"{name}\""));
        Statement::Act(match name.as_str() {
            "match" => return Statement::Test(self.test(what)),
            "limit" | "quota" | "ct count" => {
                return Statement::Test(Test::Unknown(name.clone()));
            }
            "vmap" => return Statement::Map(self.cases(what)),
            "accept" => Action::Accept,
            "drop" => Action::Drop,
            "reject" => reject(what).map_or_else(opaque, Action::Reject),
            "return" => Action::Return,
            "jump" => Action::Jump(text(what, "target").to_owned()),
            "goto" => Action::Goto(text(what, "target").to_owned()),
            "notrack" => Action::Untrack,
            "dnat" | "redirect" => Action::Redirect(destination(name, what)),
            "counter" | "log" | "comment" | "continue" | "set" | "map" | "meter" | "flow"
            | "secmark" | "ct helper" | "ct timeout" | "ct expectation" => Action::Nothing,
            "mangle" => match what.pointer("/key/meta/key").and_then(Json::as_str) {
                Some("mark") => Action::Mark,
                Some(_) => Action::Nothing,
                None if what.pointer("/key/ct").is_some() => Action::Nothing,
                None => opaque(),
            },
            "xt" => return extension(what),
            _ => opaque(),
        })
    }

    fn test(&self, what: &Json) -> Test {
        let unknown = || Test::Unknown(shown_match(what));
        let (Some(left), Some(right)) = (what.get("left"), what.get("right")) else {
            return unknown();
        };
        let op = text(what, "op");
        match (op, left.get("concat").and_then(Json::as_array)) {
            ("==" | "!=" | "in", Some(keys)) => Test::Any {
                groups: self.elements(right).map_or_else(
                    || vec![vec![unknown()]],
                    |elements| {
                        elements
                            .iter()
                            .map(|element| self.each(keys, element))
                            .collect()
                    },
                ),
                negated: op == "!=",
            },
            _ => self.single(left, op, right).unwrap_or_else(unknown),
        }
    }

    /// The tests of a concatenation, against one element.
    fn each(&self, keys: &[Json], element: &Json) -> Vec<Test> {
        let element = plain(element);
        let unknown = || vec![Test::Unknown(element.to_string())];
        let Some(values) = element.get("concat").and_then(Json::as_array) else {
            return unknown();
        };
        if values.len() != keys.len() {
            return unknown();
        }
        let tests = keys.iter().zip(values).map(|(key, value)| {
            self.single(key, "==", value)
                .unwrap_or_else(|| Test::Unknown(key.to_string()))
        });
        tests.collect()
    }

    /// A test of one key; `None` when it is not known what it asks.
    fn single(&self, left: &Json, op: &str, right: &Json) -> Option<Test> {
        let field = match key(left)? {
            Key::Field(field) => field,
            Key::Foreign => return Some(Test::Never),
        };
        let values = match (op, field) {
            ("<" | ">" | "<=" | ">=", _) => {
                let number = number(right)?;
                vec![Value::Range(match op {
                    "<" => 0..=number.checked_sub(1)?,
                    "<=" => 0..=number,
                    ">" => number.checked_add(1)?..=u128::MAX,
                    _ => number..=u128::MAX,
                })]
            }
            ("==" | "!=" | "in", Field::Flags(mask)) => {
                let flags = flags(right)?;
                vec![if op == "in" && mask == u8::MAX {
                    Value::Bits(flags.into())
                } else {
                    Value::one(flags)
                }]
            }
            ("==" | "!=" | "in", _) => {
                let elements = self.elements(right)?;
                elements
                    .iter()
                    .map(|element| value(field, plain(element)))
                    .collect()
            }
            _ => return None,
        };
        Some(Test::Is {
            field,
            values,
            negated: op == "!=",
        })
    }

    /// The elements of a named set, of a set as written, or the one value; `None` for a set that is not listed.
    fn elements<'a>(&'a self, right: &'a Json) -> Option<Vec<&'a Json>> {
        if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@')) {
            let elements = self.sets.get(&(self.family, self.table, name))?;
            return Some(elements.iter().collect());
        }
        match right.get("set").unwrap_or(right) {
            Json::Array(elements) => Some(elements.iter().collect()),
            one => Some(vec![one]),
        }
    }

    /// The cases of a verdict map.
    fn cases(&self, what: &Json) -> Vec<(Test, Action)> {
        let unknown = || {
            vec![(
                Test::Unknown("vmap".to_owned()),
                Action::Opaque("a verdict map".to_owned()),
            )]
        };
        let (Some(key), Some(elements)) = (
            what.get("key"),
            what.get("data").and_then(|data| self.elements(data)),
        ) else {
            return unknown();
        };
        let mut cases = Vec::new();
        for element in elements {
            let Some([from, to]) = element.as_array().map(Vec::as_slice) else {
                return unknown();
            };
            let test =
                self.test(&serde_json::json!({"op": "==", "left": key, "right": plain(from)}));
            let action = match self.statement(to) {
                Statement::Act(action) => action,
                Statement::Test(_) | Statement::Map(_) => Action::Opaque(to.to_string()),
            };
            cases.push((test, action));
        }
        cases
    }
}

/// A part of a rule.
enum Statement {
    Test(Test),
    Act(Action),
    Map(Vec<(Test, Action)>),
}

/// What stands left in a match.
enum Key {
    Field(Field),
    /// Something that no TCP packet has.
    Foreign,
}

fn key(left: &Json) -> Option<Key> {
    if let Some(masked) = left.get("&").and_then(Json::as_array) {
        let [of, mask] = masked.as_slice() else {
            return None;
        };
        return match key(of)? {
            Key::Field(Field::Flags(_)) => Some(Key::Field(Field::Flags(flags(mask)?))),
            Key::Field(Field::Mark(_)) => {
                Some(Key::Field(Field::Mark(u32::try_from(number(mask)?).ok()?)))
            }
            _ => None,
        };
    }
    let of = |object: &str, name: &str| {
        left.get(object)
            .and_then(|object| object.get(name))
            .and_then(Json::as_str)
    };
    let field = match (of("payload", "protocol"), of("payload", "field")) {
        (Some("ip"), Some("saddr")) => Field::Source4,
        (Some("ip"), Some("daddr")) => Field::Destination4,
        (Some("ip6"), Some("saddr")) => Field::Source6,
        (Some("ip6"), Some("daddr")) => Field::Destination6,
        (Some("ip"), Some("protocol")) | (Some("ip6"), Some("nexthdr")) => Field::Protocol,
        (Some("tcp" | "th"), Some("sport")) => Field::SourcePort,
        (Some("tcp" | "th"), Some("dport")) => Field::DestinationPort,
        (Some("tcp"), Some("flags")) => Field::Flags(u8::MAX),
        (
            Some(
                "udp" | "udplite" | "sctp" | "dccp" | "icmp" | "icmpv6" | "igmp" | "esp" | "ah"
                | "comp" | "arp",
            ),
            _,
        ) => {
            return Some(Key::Foreign);
        }
        (Some(_), _) => return None,
        (None, _) => match (of("meta", "key"), of("ct", "key")) {
            (Some("l4proto"), _) => Field::Protocol,
            (Some("nfproto" | "protocol"), _) => Field::Version,
            (Some("iifname" | "iif"), _) => Field::InDevice,
            (Some("oifname" | "oif"), _) => Field::OutDevice,
            (Some("skuid"), _) => Field::User,
            (Some("skgid"), _) => Field::Group,
            (Some("mark"), _) => Field::Mark(u32::MAX),
            (Some("pkttype"), _) => Field::PacketType,
            (None, Some("state")) => Field::State,
            _ => return fib(left),
        },
    };
    Some(Key::Field(field))
}

fn fib(left: &Json) -> Option<Key> {
    let fib = left.get("fib")?;
    let flags: Vec<&str> = fib
        .get("flags")?
        .as_array()?
        .iter()
        .filter_map(Json::as_str)
        .collect();
    let field = match (text(fib, "result"), flags.as_slice()) {
        ("type", ["daddr"]) => Field::DestinationKind,
        ("type", ["saddr"]) => Field::SourceKind,
        ("oif", flags) if flags.contains(&"saddr") && flags.contains(&"iif") => Field::ReversePath,
        _ => return None,
    };
    Some(Key::Field(field))
}

/// An element without what a set keeps beside it, such as its time-out.
pub(super) fn plain(element: &Json) -> &Json {
    element.pointer("/elem/val").unwrap_or(element)
}

fn number(value: &Json) -> Option<u128> {
    match value {
        Json::Number(number) => number.as_u64().map(u128::from),
        Json::String(text) => text.parse().ok().map(bits),
        _ => None,
    }
}

fn value(field: Field, value: &Json) -> Value {
    let unreadable = || Value::Unreadable(value.to_string());
    if let Some([low, high]) = value
        .get("range")
        .and_then(Json::as_array)
        .map(Vec::as_slice)
    {
        return match (number(low), number(high)) {
            (Some(low), Some(high)) => Value::Range(low..=high),
            _ => unreadable(),
        };
    }
    if let Some(prefix) = value.get("prefix") {
        let length = prefix
            .get("len")
            .and_then(Json::as_u64)
            .and_then(|len| u32::try_from(len).ok());
        let address = text(prefix, "addr").parse().ok();
        let network = address
            .zip(length)
            .and_then(|(address, length)| network(address, length));
        return network.map_or_else(unreadable, Value::Range);
    }
    let named = |number: Option<u128>| number.map(Value::one);
    let read = match (field, value.as_str()) {
        (Field::InDevice | Field::OutDevice, Some(name)) => Some(Value::Name(name.to_owned())),
        (Field::State, Some(name)) => state(name).map(Value::Bits),
        (Field::DestinationKind | Field::SourceKind, Some(name)) => Some(kind(name)),
        (Field::Version, Some("ipv4" | "ip")) => named(Some(4)),
        (Field::Version, Some("ipv6" | "ip6")) => named(Some(6)),
        (Field::Version, Some("arp" | "vlan")) => named(Some(0)),
        (Field::Protocol, Some(name)) => Some(protocol(name)),
        (Field::PacketType, Some(name)) => named(match name {
            "host" | "unicast" => Some(0),
            "broadcast" => Some(1),
            "multicast" => Some(2),
            _ => None,
        }),
        (Field::ReversePath, _) => match value {
            Json::Bool(is_there) => named(Some((*is_there).into())),
            _ => None,
        },
        (Field::InDevice | Field::OutDevice | Field::State | Field::Version, None) => None,
        _ => named(number(value)),
    };
    read.unwrap_or_else(unreadable)
}

/// A protocol by its name in `/etc/protocols`; any but TCP is none of ours.
fn protocol(name: &str) -> Value {
    match name {
        "tcp" => Value::one(6_u8),
        "udp" => Value::one(17_u8),
        "icmp" => Value::one(1_u8),
        "ipv6-icmp" | "icmpv6" => Value::one(58_u8),
        "igmp" | "esp" | "ah" | "gre" | "sctp" | "dccp" | "udplite" | "comp" | "ospf" | "vrrp"
        | "pim" | "ipip" | "ipencap" | "ipcomp" | "l2tp" | "ipv6" => Value::one(255_u8),
        other => Value::Unreadable(other.to_owned()),
    }
}

/// TCP flags: a name, a list, or several joined by `|`.
fn flags(value: &Json) -> Option<u8> {
    match value {
        Json::String(name) => flag(name),
        Json::Number(number) => u8::try_from(number.as_u64()?).ok(),
        Json::Array(several) => several
            .iter()
            .try_fold(0, |all, one| Some(all | flags(one)?)),
        Json::Object(_) => flags(value.get("|")?),
        _ => None,
    }
}

/// The test that a refusal by ICMP implies: it is of one version, and nft leaves the test of it out.
fn version(statement: &Json) -> Option<Test> {
    let version = match text(statement.get("reject")?, "type") {
        "icmp" => 4_u8,
        "icmpv6" => 6,
        _ => return None,
    };
    Some(Test::Is {
        field: Field::Version,
        values: vec![Value::one(version)],
        negated: false,
    })
}

fn reject(what: &Json) -> Option<Refusal> {
    let name = text(what, "expr");
    Some(match text(what, "type") {
        "tcp reset" => Refusal::Reset,
        "icmp" => Refusal::Unreachable(code(name, false)?),
        "icmpv6" => Refusal::Unreachable(code(name, true)?),
        // One name for both; told apart by the packet.
        "icmpx" => return icmpx(name),
        "" if what.is_null() => Refusal::Port,
        _ => return None,
    })
}

/// `nft` names codes of its own for both versions (`NFT_REJECT_ICMPX_*`).
fn icmpx(name: &str) -> Option<Refusal> {
    Some(match name {
        "" | "port-unreachable" => Refusal::Port,
        "no-route" => Refusal::NoRoute,
        "host-unreachable" => Refusal::Host,
        "admin-prohibited" => Refusal::Prohibited,
        _ => return None,
    })
}

/// What iptables brought along, of which nft tells the name at most.
fn extension(what: &Json) -> Statement {
    let name = text(what, "name");
    match text(what, "type") {
        "match" if name == "comment" => Statement::Act(Action::Nothing),
        "match" => Statement::Test(Test::Unknown(name.to_owned())),
        "target" | "watcher" if super::iptables::is_harmless(name) => {
            Statement::Act(Action::Nothing)
        }
        "target" if name == "MARK" => Statement::Act(Action::Mark),
        _ => Statement::Act(Action::Opaque(format!("what iptables calls \"{name}\""))),
    }
}
