//! The firewall of a network namespace: its rules, and what they make of one connection.
//!
//! [`nft`] and [`iptables`] read what the host's own programs list, [`evaluate`] walks it as the kernel would. What a
//! reader does not know becomes a test or an action that decides nothing: no guess is made of it here or later.

pub mod evaluate;
pub mod iptables;
pub mod nft;
mod packet;
mod shown;

use std::ops::RangeInclusive;

pub use packet::Connection;

pub use crate::netfilter::{ChainKind, Family, Hook, Policy};

/// Every chain of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The chains, of every table.
    pub chains: Vec<Chain>,
}

/// Which program lists a chain, and so changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `nft`.
    Nft,
    /// `iptables` or `ip6tables`, on nf_tables.
    Iptables,
    /// `iptables-legacy` or `ip6tables-legacy`: tables of the older kind.
    IptablesLegacy,
}

/// A list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// What lists it.
    pub backend: Backend,
    /// Which packets its table sees.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Where the kernel enters it by itself.
    pub base: Option<Base>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// Where the kernel enters a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Where.
    pub hook: Hook,
    /// What it may do.
    pub kind: ChainKind,
    /// Lower runs earlier.
    pub priority: i32,
    /// What becomes of a packet that no rule decides.
    pub policy: Policy,
}

/// One rule: an action for packets that pass every test. A statement with several outcomes stands as several rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// All of them must hold.
    pub tests: Vec<Test>,
    /// What is then done.
    pub action: Action,
    /// nft's handle, or the rule's number in its chain from 1.
    pub handle: u64,
    /// The rule as people read it.
    pub text: String,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing that matters here: it counts or logs.
    Nothing,
    /// The packet leaves this hook's chain well.
    Accept,
    /// The packet vanishes.
    Drop,
    /// The packet is answered with a refusal.
    Reject(Refusal),
    /// Back to where the chain was entered from.
    Return,
    /// Into a chain, and back after it.
    Jump(String),
    /// Into a chain, and not back.
    Goto(String),
    /// Changes the packet's mark.
    Mark,
    /// The connection is not followed.
    Untrack,
    /// Sends the connection elsewhere; as the rule says it.
    Redirect(String),
    /// Something else, that may decide anything.
    Opaque(String),
}

/// How a packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A TCP reset.
    Reset,
    /// An ICMP error "destination unreachable" of this code; of ICMPv6 for an IPv6 packet.
    Unreachable(u8),
    /// Port unreachable, by the code of either version; so the next ones.
    Port,
    /// No route.
    NoRoute,
    /// Host (or address) unreachable.
    Host,
    /// Prohibited by the administrator.
    Prohibited,
}

impl Refusal {
    /// The errno that `connect` gives for it (`icmp_err_convert` in net/ipv4/icmp.c, `tab_unreach` in net/ipv6/icmp.c).
    pub fn errno(self, is_ipv6: bool) -> i32 {
        match (self, is_ipv6) {
            (Self::Reset | Self::Port, _)
            | (Self::Unreachable(3), false)
            | (Self::Unreachable(4), true) => 111,
            (Self::NoRoute, _)
            | (Self::Unreachable(0 | 6 | 9 | 11), false)
            | (Self::Unreachable(0), true) => 101,
            (Self::Unreachable(2), false) => 92,
            (Self::Unreachable(7), false) => 112,
            (Self::Unreachable(8), false) => 64,
            (Self::Prohibited | Self::Unreachable(1 | 5 | 6), true) => 13,
            (Self::Host | Self::Prohibited | Self::Unreachable(_), _) => 113,
        }
    }
}

/// A test of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// A field of the packet is (or is not) one of these.
    Is {
        /// Which.
        field: Field,
        /// Any of them.
        values: Vec<Value>,
        /// None of them in its place.
        negated: bool,
    },
    /// One of several groups of tests holds as a whole (or none does).
    Any {
        /// The groups.
        groups: Vec<Vec<Self>>,
        /// None of them in its place.
        negated: bool,
    },
    /// No TCP packet passes it, negated or not: it reads a header that TCP has not.
    Never,
    /// It is not known what this asks.
    Unknown(String),
}

/// What a test looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// 4 or 6.
    Version,
    /// The protocol's number.
    Protocol,
    /// An IPv4 address (no IPv6 packet has one).
    Source4,
    /// An IPv4 address.
    Destination4,
    /// An IPv6 address.
    Source6,
    /// An IPv6 address.
    Destination6,
    /// The sender's port.
    SourcePort,
    /// The receiver's port.
    DestinationPort,
    /// The device it came in by.
    InDevice,
    /// The device it goes out by.
    OutDevice,
    /// The user of the sending socket.
    User,
    /// The group of the sending socket.
    Group,
    /// The state of the followed connection: see [`State`].
    State,
    /// The mark, under this mask.
    Mark(u32),
    /// TCP flags, under this mask.
    Flags(u8),
    /// What the receiver's address is to this host: see [`Kind`].
    DestinationKind,
    /// What the sender's address is to this host: see [`Kind`].
    SourceKind,
    /// Whether a route leads back to the sender by the device it came in by.
    ReversePath,
    /// 0 to this host, 1 broadcast, 2 multicast.
    PacketType,
}

/// A bit for each state of a followed connection.
pub struct State;

impl State {
    /// No packet of it went before.
    pub const NEW: u128 = 1;
    /// An answer has been seen.
    pub const ESTABLISHED: u128 = 2;
    /// It belongs to another connection.
    pub const RELATED: u128 = 4;
    /// It fits none.
    pub const INVALID: u128 = 8;
    /// It is not followed.
    pub const UNTRACKED: u128 = 16;
}

/// What an address can be to this host.
pub struct Kind;

impl Kind {
    /// One of the host's own.
    pub const LOCAL: u128 = 1;
    /// Another host's.
    pub const UNICAST: u128 = 2;
    /// Neither.
    pub const OTHER: u128 = 3;
}

/// A value that a field may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, port or address in this range.
    Range(RangeInclusive<u128>),
    /// One of these bits is set.
    Bits(u128),
    /// A device's name; `*` at the end stands for anything.
    Name(String),
    /// A value that could not be read.
    Unreadable(String),
}

impl Value {
    /// One number.
    pub fn one(number: impl Into<u128>) -> Self {
        let number = number.into();
        Self::Range(number..=number)
    }
}

/// An address as its bits; tests on either version never meet the other.
pub(crate) fn bits(address: std::net::IpAddr) -> u128 {
    match address {
        std::net::IpAddr::V4(address) => address.to_bits().into(),
        std::net::IpAddr::V6(address) => address.to_bits(),
    }
}

/// The addresses that share their first bits with this one; `None` for an impossible length.
pub(crate) fn network(address: std::net::IpAddr, length: u32) -> Option<RangeInclusive<u128>> {
    let width = if address.is_ipv4() { 32 } else { 128 };
    let free = u32::checked_sub(width, length)?;
    let mask = if free == 128 {
        u128::MAX
    } else {
        (1_u128 << free) - 1
    };
    let base = bits(address) & !mask;
    Some(base..=base | mask)
}

/// A TCP flag's bit.
pub(crate) fn flag(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    let names = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];
    let place = names
        .iter()
        .position(|known| *known == name || (name == "ece" && *known == "ecn"))?;
    Some(1 << place)
}

/// A connection state's bit.
pub(crate) fn state(name: &str) -> Option<u128> {
    Some(match name.to_ascii_lowercase().as_str() {
        "new" => State::NEW,
        "established" => State::ESTABLISHED,
        "related" => State::RELATED,
        "invalid" => State::INVALID,
        "untracked" => State::UNTRACKED,
        _ => return None,
    })
}

/// What an address is, by its name in `fib` and `addrtype`.
pub(crate) fn kind(name: &str) -> Value {
    match name.to_ascii_lowercase().as_str() {
        "local" => Value::one(Kind::LOCAL),
        "unicast" => Value::one(Kind::UNICAST),
        "broadcast" | "multicast" | "anycast" | "blackhole" | "unreachable" | "prohibit" => {
            Value::one(Kind::OTHER)
        }
        _ => Value::Unreadable(name.to_owned()),
    }
}

/// The code of an ICMP (or ICMPv6) "destination unreachable", by the names that nft and iptables give it.
pub(crate) fn code(name: &str, is_ipv6: bool) -> Option<u8> {
    let name = name
        .trim_start_matches("icmp6-")
        .trim_start_matches("icmp-");
    Some(if is_ipv6 {
        match name {
            "no-route" => 0,
            "admin-prohibited" | "adm-prohibited" => 1,
            "addr-unreachable" | "host-unreachable" => 3,
            "port-unreachable" => 4,
            "policy-fail" => 5,
            "reject-route" => 6,
            _ => return None,
        }
    } else {
        match name {
            "net-unreachable" | "no-route" => 0,
            "host-unreachable" => 1,
            "prot-unreachable" | "proto-unreachable" => 2,
            "port-unreachable" => 3,
            "net-prohibited" => 9,
            "host-prohibited" => 10,
            "admin-prohibited" => 13,
            _ => return None,
        }
    })
}
