//! The rules that `iptables-save` and `ip6tables-save` list, of either kind.

use std::net::IpAddr;

use super::{
    Action, Backend, Base, Chain, ChainKind, Family, Field, Hook, Policy, Refusal, Rule, Ruleset,
    Test, Value, bits, code, flag, kind, network, state,
};

/// Whose tables a listing shows: every kind of `iptables-save` lists its own alone.
pub fn backend(listing: &str) -> Backend {
    if listing.contains("(nf_tables)") || listing.contains("iptables-nft") {
        Backend::Iptables
    } else {
        Backend::IptablesLegacy
    }
}

/// Targets that let a packet go on unchanged, as far as its fate goes.
pub(super) fn is_harmless(target: &str) -> bool {
    matches!(
        target,
        "LOG"
            | "NFLOG"
            | "ULOG"
            | "TRACE"
            | "CHECKSUM"
            | "CLASSIFY"
            | "CONNMARK"
            | "CONNSECMARK"
            | "SECMARK"
            | "DSCP"
            | "TOS"
            | "TTL"
            | "HL"
            | "TCPMSS"
            | "SET"
            | "AUDIT"
            | "LED"
            | "CT"
            | "RATEEST"
    )
}

/// Reads a listing. What is not known of a rule decides nothing.
pub fn parse(listing: &str, is_ipv6: bool) -> Ruleset {
    let backend = backend(listing);
    let family = if is_ipv6 { Family::Ip6 } else { Family::Ip };
    let mut chains: Vec<Chain> = Vec::new();
    let mut table = String::new();
    for line in listing.lines() {
        if let Some(name) = line.strip_prefix('*') {
            name.trim().clone_into(&mut table);
        } else if let Some(declared) = line.strip_prefix(':') {
            let mut words = declared.split_whitespace();
            let name = words.next().unwrap_or_default().to_owned();
            chains.push(Chain {
                backend,
                family,
                table: table.clone(),
                base: base(&table, &name, words.next().unwrap_or_default()),
                name,
                rules: Vec::new(),
            });
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let words = words(rule);
            let Some((name, words)) = words.split_first() else {
                continue;
            };
            let chain = chains
                .iter_mut()
                .rfind(|chain| chain.table == table && chain.name == *name);
            if let Some(chain) = chain {
                let number = u64::try_from(chain.rules.len()).unwrap_or(0) + 1;
                chain
                    .rules
                    .push(Options { words, is_ipv6 }.rule(number, line));
            }
        }
    }
    Ruleset { chains }
}

/// The base chains of a table have fixed names and places (linux/netfilter_ipv4.h, `enum nf_ip_hook_priorities`).
fn base(table: &str, name: &str, policy: &str) -> Option<Base> {
    let hook = match name {
        "PREROUTING" => Hook::Prerouting,
        "INPUT" => Hook::Input,
        "FORWARD" => Hook::Forward,
        "OUTPUT" => Hook::Output,
        "POSTROUTING" => Hook::Postrouting,
        _ => return None,
    };
    let policy = match policy {
        "ACCEPT" => Policy::Accept,
        "DROP" => Policy::Drop,
        _ => return None,
    };
    let priority = match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Hook::Prerouting | Hook::Output) => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    };
    let kind = if table == "nat" {
        ChainKind::Nat
    } else {
        ChainKind::Filter
    };
    Some(Base {
        hook,
        kind,
        priority,
        policy,
    })
}

/// Splits a line as a shell would: text in double quotes is one word.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut is_quoted, mut is_word) = (false, false);
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                is_quoted = !is_quoted;
                is_word = true;
            }
            '\\' => word.extend(chars.next()),
            ' ' if !is_quoted => {
                if is_word {
                    words.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            other => {
                word.push(other);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    words
}

/// The options of one rule.
struct Options<'a> {
    words: &'a [String],
    is_ipv6: bool,
}

/// What an option is.
enum Meaning {
    Test(Test),
    /// Nothing that matters.
    Nothing,
    Action(Action),
    /// What a target needs, such as how to reject.
    Detail,
}

impl Options<'_> {
    fn rule(&self, number: u64, line: &str) -> Rule {
        let mut tests = Vec::new();
        let mut action = Action::Nothing;
        let mut words = self.words.iter().map(String::as_str).peekable();
        let mut negated = false;
        while let Some(option) = words.next() {
            if option == "!" {
                negated = true;
                continue;
            }
            let mut values = Vec::new();
            // Free text may look like anything.
            if matches!(option, "--comment" | "--log-prefix" | "--nflog-prefix") {
                values.extend(words.next());
            }
            while let Some(value) = words.next_if(|word| !is_option(word)) {
                values.push(value);
            }
            match self.meaning(option, &values, negated) {
                Meaning::Test(test) => tests.push(test),
                Meaning::Action(does) => action = does,
                Meaning::Nothing | Meaning::Detail => {}
            }
            negated = false;
        }
        Rule {
            tests,
            action,
            handle: number,
            text: line.to_owned(),
        }
    }

    fn meaning(&self, option: &str, values: &[&str], negated: bool) -> Meaning {
        let first = values.first().copied().unwrap_or_default();
        let (source, destination) = if self.is_ipv6 {
            (Field::Source6, Field::Destination6)
        } else {
            (Field::Source4, Field::Destination4)
        };
        let is = |field, values| {
            Meaning::Test(Test::Is {
                field,
                values,
                negated,
            })
        };
        let unknown = || Meaning::Test(Test::Unknown(format!("{option} {}", values.join(" "))));
        match option {
            "-s" => is(source, each(first, address)),
            "-d" => is(destination, each(first, address)),
            "-i" => is(Field::InDevice, vec![device(first)]),
            "-o" => is(Field::OutDevice, vec![device(first)]),
            "-p" => is(Field::Protocol, vec![protocol(first)]),
            "--dport" | "--dports" | "--destination-port" | "--destination-ports" => {
                is(Field::DestinationPort, each(first, ports))
            }
            "--sport" | "--sports" | "--source-port" | "--source-ports" => {
                is(Field::SourcePort, each(first, ports))
            }
            "--ports" => Meaning::Test(Test::Any {
                groups: [Field::SourcePort, Field::DestinationPort]
                    .map(|field| {
                        vec![Test::Is {
                            field,
                            values: each(first, ports),
                            negated: false,
                        }]
                    })
                    .to_vec(),
                negated,
            }),
            "--src-range" => is(source, vec![range(first)]),
            "--dst-range" => is(destination, vec![range(first)]),
            "--ctstate" | "--state" => is(Field::State, each(first, connection_state)),
            "--uid-owner" => is(Field::User, vec![ids(first)]),
            "--gid-owner" => is(Field::Group, vec![ids(first)]),
            "--dst-type" => is(Field::DestinationKind, each(first, kind)),
            "--src-type" => is(Field::SourceKind, each(first, kind)),
            "--tcp-flags" => tcp_flags(values, negated).map_or_else(unknown, Meaning::Test),
            "--syn" => is(Field::Flags(0x17), vec![Value::one(0x02_u8)]),
            "--mark" => self
                .mark(first, negated)
                .map_or_else(unknown, Meaning::Test),
            "--pkt-type" => is(
                Field::PacketType,
                vec![match first {
                    "unicast" => Value::one(0_u8),
                    "broadcast" => Value::one(1_u8),
                    "multicast" => Value::one(2_u8),
                    other => Value::Unreadable(other.to_owned()),
                }],
            ),
            "--icmp-type" | "--icmpv6-type" => Meaning::Test(Test::Never),
            "-m" => match first {
                "icmp" | "icmp6" | "icmpv6" | "udp" | "sctp" | "dccp" | "esp" | "ah" => {
                    Meaning::Test(Test::Never)
                }
                _ if is_read(first) => Meaning::Nothing,
                other => Meaning::Test(Test::Unknown(format!("-m {other}"))),
            },
            "-j" => Meaning::Action(self.target(first)),
            "-g" => Meaning::Action(Action::Goto(first.to_owned())),
            "--comment" => Meaning::Nothing,
            _ if self.after_target(option) => Meaning::Detail,
            _ => unknown(),
        }
    }

    /// Whether an option stands behind the target, and so tells more of that.
    fn after_target(&self, option: &str) -> bool {
        let place = |word: &str| self.words.iter().position(|known| known == word);
        place("-j")
            .zip(place(option))
            .is_some_and(|(target, option)| target < option)
    }

    fn detail(&self, option: &str) -> Option<&str> {
        let mut words = self.words.iter().skip_while(|word| *word != option);
        words.nth(1).map(String::as_str)
    }

    fn target(&self, name: &str) -> Action {
        match name {
            "ACCEPT" => Action::Accept,
            "DROP" => Action::Drop,
            "RETURN" => Action::Return,
            "REJECT" => match self.detail("--reject-with") {
                None => Action::Reject(Refusal::Port),
                Some("tcp-reset") => Action::Reject(Refusal::Reset),
                Some(with) => match code(with, self.is_ipv6) {
                    Some(code) => Action::Reject(Refusal::Unreachable(code)),
                    None => Action::Opaque(format!("REJECT with {with}")),
                },
            },
            "MARK" => Action::Mark,
            "NOTRACK" => Action::Untrack,
            "CT" if self.words.iter().any(|word| word == "--notrack") => Action::Untrack,
            "DNAT" | "REDIRECT" | "NETMAP" => {
                let details = ["--to-destination", "--to-ports", "--to"];
                let to = details
                    .iter()
                    .find_map(|detail| self.detail(detail))
                    .unwrap_or_default();
                Action::Redirect(format!("{name} to {to}"))
            }
            _ if is_harmless(name) => Action::Nothing,
            "QUEUE" | "NFQUEUE" | "TPROXY" | "TARPIT" | "SYNPROXY" | "TEE" | "MASQUERADE"
            | "SNAT" | "IDLETIMER" => Action::Opaque(format!("target {name}")),
            chain => Action::Jump(chain.to_owned()),
        }
    }

    fn mark(&self, text: &str, negated: bool) -> Option<Test> {
        // `connmark` has an option of the same name.
        if !self
            .words
            .windows(2)
            .any(|pair| matches!(pair, [m, mark] if m == "-m" && mark == "mark"))
        {
            return None;
        }
        let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
        Some(Test::Is {
            field: Field::Mark(hex(mask)?),
            values: vec![Value::one(hex(value)?)],
            negated,
        })
    }
}

/// Options begin with `-`; a value does so only behind `!`, which iptables puts before the option.
fn is_option(word: &str) -> bool {
    word == "!"
        || word.strip_prefix('-').is_some_and(|rest| {
            rest.starts_with(|first: char| first == '-' || first.is_ascii_alphabetic())
        })
}

/// Matches whose options are all known here.
fn is_read(name: &str) -> bool {
    matches!(
        name,
        "tcp"
            | "multiport"
            | "conntrack"
            | "state"
            | "owner"
            | "addrtype"
            | "iprange"
            | "mark"
            | "pkttype"
            | "comment"
    )
}

fn each(list: &str, read: fn(&str) -> Value) -> Vec<Value> {
    list.split(',').map(read).collect()
}

fn hex(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn address(text: &str) -> Value {
    let read = || {
        let (base, length) = text.split_once('/').unwrap_or((text, ""));
        let base: IpAddr = base.parse().ok()?;
        let whole = if base.is_ipv4() { 32 } else { 128 };
        let length = if length.is_empty() {
            whole
        } else {
            length.parse().ok()?
        };
        network(base, length)
    };
    read().map_or_else(|| Value::Unreadable(text.to_owned()), Value::Range)
}

fn range(text: &str) -> Value {
    let read = || {
        let (low, high) = text.split_once('-')?;
        Some(bits(low.parse().ok()?)..=bits(high.parse().ok()?))
    };
    read().map_or_else(|| Value::Unreadable(text.to_owned()), Value::Range)
}

/// A number, or `LOW:HIGH`; an open end is the last there is.
fn ports(text: &str) -> Value {
    span(text, ':', u16::MAX.into())
}

fn ids(text: &str) -> Value {
    span(text, '-', u32::MAX)
}

fn span(text: &str, between: char, last: u32) -> Value {
    let (low, high) = text.split_once(between).unwrap_or((text, text));
    let number = |text: &str, open: u32| {
        if text.is_empty() {
            Some(open)
        } else {
            text.parse::<u32>().ok()
        }
    };
    match (number(low, 0), number(high, last)) {
        (Some(low), Some(high)) => Value::Range(low.into()..=high.into()),
        _ => Value::Unreadable(text.to_owned()),
    }
}

/// `+` at the end stands for anything.
fn device(name: &str) -> Value {
    Value::Name(match name.strip_suffix('+') {
        Some(start) => format!("{start}*"),
        None => name.to_owned(),
    })
}

fn protocol(name: &str) -> Value {
    match name {
        "tcp" | "6" => Value::one(6_u8),
        "all" | "0" => Value::Range(0..=255),
        "udp" | "icmp" | "ipv6-icmp" | "icmpv6" | "udplite" | "sctp" | "dccp" | "esp" | "ah"
        | "gre" | "igmp" | "ospf" | "vrrp" | "pim" | "mh" | "ipencap" | "ipcomp" => {
            Value::one(255_u8)
        }
        other => match other.parse::<u8>() {
            Ok(number) => Value::one(number),
            Err(_) => Value::Unreadable(other.to_owned()),
        },
    }
}

fn connection_state(name: &str) -> Value {
    match name {
        "SNAT" | "DNAT" => Value::Unreadable(name.to_owned()),
        _ => state(name).map_or_else(|| Value::Unreadable(name.to_owned()), Value::Bits),
    }
}

fn tcp_flags(values: &[&str], negated: bool) -> Option<Test> {
    let read = |list: &str| match list {
        "NONE" => Some(0),
        "ALL" => Some(0x3f),
        list => list
            .split(',')
            .try_fold(0, |all, name| Some(all | flag(name)?)),
    };
    let (mask, flags) = (read(values.first()?)?, read(values.get(1)?)?);
    Some(Test::Is {
        field: Field::Flags(mask),
        values: vec![Value::one(flags)],
        negated,
    })
}
