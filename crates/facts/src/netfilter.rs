//! The netfilter base chains of a network namespace: where a packet could be refused or sent elsewhere.
//!
//! Says what hooks in, never what a rule matches. Tables of the older `ip_tables` API do not show here.

use crate::netlink::{attributes, messages, network_u32};
use crate::text::owned;

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN`.
const NEWCHAIN: u16 = 10 << 8 | 3;
/// `struct nfgenmsg`: family, version, resource id.
const HEADER_LENGTH: usize = 4;

/// The base chains of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseChains {
    /// The chains, as the kernel lists them.
    pub chains: Vec<BaseChain>,
    /// Whether every message was understood: else a chain may be missing.
    pub complete: bool,
}

/// A chain that the kernel itself enters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// Which packets it sees.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Where the kernel enters it.
    pub hook: Hook,
    /// What it may do.
    pub kind: ChainKind,
    /// What becomes of a packet that no rule decides.
    pub policy: Policy,
    /// Lower runs earlier.
    pub priority: i32,
    /// How many rules it holds, where the kernel says so.
    pub rules: Option<u32>,
    /// The network devices it stands at, where it stands at some; empty where the kernel does not say.
    pub devices: Vec<String>,
}

/// The packets that a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// IPv4 and IPv6.
    Inet,
    /// ARP.
    Arp,
    /// Ethernet bridges.
    Bridge,
    /// One network device.
    Netdev,
    /// Another `NFPROTO_*`.
    Other(u8),
}

/// Where the kernel enters a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// After routing.
    Postrouting,
    /// As a device takes a packet in.
    Ingress,
    /// As a device sends a packet out.
    Egress,
    /// Another number.
    Other(u32),
}

/// What a chain may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainKind {
    /// Accept, drop, reject.
    Filter,
    /// Change addresses or ports of new connections.
    Nat,
    /// Have a packet routed anew.
    Route,
    /// Another name.
    Other(String),
}

/// What becomes of a packet that no rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It goes on.
    Accept,
    /// It vanishes.
    Drop,
    /// The kernel did not say.
    Unknown,
}

impl BaseChains {
    /// Reads `NFT_MSG_NEWCHAIN` messages; chains without a hook are left out.
    pub fn parse(bytes: &[u8]) -> Self {
        let (messages, mut complete) = messages(bytes);
        let mut chains = Vec::new();
        for message in messages {
            match (message.kind == NEWCHAIN).then(|| chain(message.payload)) {
                Some(Some(Some(chain))) => chains.push(chain),
                Some(Some(None)) => {}
                Some(None) | None => complete = false,
            }
        }
        Self { chains, complete }
    }

    /// The chains at a hook that see IPv4 (or IPv6) packets.
    pub fn at(&self, hook: Hook, ipv6: bool) -> impl Iterator<Item = &BaseChain> {
        self.chains.iter().filter(move |chain| {
            chain.hook == hook
                && match chain.family {
                    Family::Inet => true,
                    Family::Ip => !ipv6,
                    Family::Ip6 => ipv6,
                    _ => false,
                }
        })
    }
}

impl BaseChain {
    /// Whether it can neither refuse nor change anything: no rule, and packets go on.
    pub fn is_idle(&self) -> bool {
        self.rules == Some(0) && self.policy == Policy::Accept
    }
}

/// `None` when the message is malformed, `Some(None)` when it is no base chain.
#[expect(
    clippy::option_option,
    reason = "malformed and not wanted are different answers"
)]
fn chain(payload: &[u8]) -> Option<Option<BaseChain>> {
    let (&[family, ..], rest) = payload.split_first_chunk::<HEADER_LENGTH>()?;
    let (mut table, mut name, mut kind) = (None, None, None);
    let (mut hook, mut priority, mut rules) = (None, None, None);
    let mut devices = Vec::new();
    let mut policy = Policy::Unknown;
    let mut well_formed = true;
    // `enum nft_chain_attributes`, `enum nft_hook_attributes` (linux/netfilter/nf_tables.h).
    well_formed &= attributes(rest, |attribute, value| match attribute {
        1 => table = Some(string(value)),
        3 => name = Some(string(value)),
        4 => {
            well_formed &= attributes(value, |attribute, value| match attribute {
                1 => hook = network_u32(value),
                2 => priority = network_u32(value).map(u32::cast_signed),
                // One by itself, or a list.
                3 => devices.push(string(value)),
                4 => {
                    well_formed &= attributes(value, |_, value| devices.push(string(value)));
                }
                _ => {}
            });
        }
        5 => {
            policy = match network_u32(value) {
                Some(0) => Policy::Drop,
                Some(1) => Policy::Accept,
                _ => Policy::Unknown,
            }
        }
        6 => rules = network_u32(value),
        7 => kind = Some(string(value)),
        _ => {}
    });
    let Some(hook) = hook else {
        return well_formed.then_some(None);
    };
    let family = family_of(family);
    Some(Some(BaseChain {
        family,
        table: table?,
        name: name?,
        hook: hook_of(family, hook),
        kind: match kind?.as_str() {
            "filter" => ChainKind::Filter,
            "nat" => ChainKind::Nat,
            "route" => ChainKind::Route,
            other => ChainKind::Other(other.to_owned()),
        },
        policy,
        priority: priority?,
        rules,
        devices,
    }))
}

/// `NFPROTO_*`.
fn family_of(number: u8) -> Family {
    match number {
        1 => Family::Inet,
        2 => Family::Ip,
        3 => Family::Arp,
        5 => Family::Netdev,
        7 => Family::Bridge,
        10 => Family::Ip6,
        other => Family::Other(other),
    }
}

/// `enum nf_inet_hooks`, `enum nf_dev_hooks`; ARP knows only in and out.
fn hook_of(family: Family, number: u32) -> Hook {
    match (family, number) {
        (Family::Netdev, 0) | (Family::Inet, 5) => Hook::Ingress,
        (Family::Netdev, 1) => Hook::Egress,
        (Family::Netdev | Family::Arp | Family::Other(_), other) => Hook::Other(other),
        (_, 0) => Hook::Prerouting,
        (_, 1) => Hook::Input,
        (_, 2) => Hook::Forward,
        (_, 3) => Hook::Output,
        (_, 4) => Hook::Postrouting,
        (_, other) => Hook::Other(other),
    }
}

fn string(value: &[u8]) -> String {
    owned(value.split(|&byte| byte == 0).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Dumped from kernel 6.18 after `nft -f` of five base chains and a regular one.
    const CHAINS: &[u8] = include_bytes!("../testdata/chains.bin");

    #[test]
    fn base_chains_are_read_and_regular_ones_left_out() {
        let read = BaseChains::parse(CHAINS);
        assert!(read.complete);
        let summary: Vec<_> = read
            .chains
            .iter()
            .map(|chain| {
                (
                    chain.family,
                    chain.table.as_str(),
                    chain.name.as_str(),
                    chain.hook,
                    chain.priority,
                    chain.policy,
                    chain.rules,
                )
            })
            .collect();
        assert_eq!(
            summary,
            [
                (
                    Family::Inet,
                    "filter",
                    "input",
                    Hook::Input,
                    0,
                    Policy::Drop,
                    Some(1)
                ),
                (
                    Family::Inet,
                    "filter",
                    "out",
                    Hook::Output,
                    10,
                    Policy::Accept,
                    Some(0)
                ),
                (
                    Family::Ip,
                    "nat",
                    "PREROUTING",
                    Hook::Prerouting,
                    -100,
                    Policy::Accept,
                    Some(1)
                ),
                (
                    Family::Ip6,
                    "m",
                    "r",
                    Hook::Output,
                    -150,
                    Policy::Accept,
                    Some(0)
                ),
                (
                    Family::Netdev,
                    "n",
                    "i",
                    Hook::Ingress,
                    0,
                    Policy::Accept,
                    Some(0)
                ),
            ]
        );
        assert!(read.chains[4].devices.iter().all(|device| device == "lo"));
        assert!(!read.chains[4].devices.is_empty() && read.chains[0].devices.is_empty());
        assert_eq!(read.chains[2].kind, ChainKind::Nat);
        assert_eq!(read.chains[3].kind, ChainKind::Route);
        assert!(!read.chains[0].is_idle());
        assert!(read.chains[1].is_idle());
    }

    #[test]
    fn chains_are_picked_by_hook_and_family() {
        let read = BaseChains::parse(CHAINS);
        let names = |hook, ipv6| -> Vec<&str> {
            read.at(hook, ipv6)
                .map(|chain| chain.name.as_str())
                .collect()
        };
        assert_eq!(names(Hook::Output, false), ["out"]);
        assert_eq!(names(Hook::Output, true), ["out", "r"]);
        assert_eq!(names(Hook::Ingress, false), [""; 0]);
    }

    #[test]
    fn nothing_at_all_is_a_complete_answer_and_a_cut_one_is_not() {
        assert!(BaseChains::parse(b"").complete);
        assert!(!BaseChains::parse(&CHAINS[..CHAINS.len() - 4]).complete);
        assert!(!BaseChains::parse(b"junk").complete);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            BaseChains::parse(&bytes);
        }

        #[test]
        fn a_damaged_dump_is_read_without_a_panic(place in 0..CHAINS.len(), byte: u8) {
            let mut bytes = CHAINS.to_vec();
            bytes[place] = byte;
            BaseChains::parse(&bytes);
        }
    }
}
