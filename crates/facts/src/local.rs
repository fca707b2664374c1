//! The host's own addresses in a network namespace, from `/proc/PID/net/fib_trie` and `/proc/PID/net/if_inet6`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IPv4 addresses: in `fib_trie` a `|-- ADDRESS` followed by a line `/32 host LOCAL`.
pub fn ipv4(fib_trie: &[u8]) -> BTreeSet<IpAddr> {
    let mut addresses = BTreeSet::new();
    let mut leaf = None;
    for line in String::from_utf8_lossy(fib_trie).lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            addresses.extend(leaf.map(IpAddr::from));
        }
    }
    addresses
}

/// The IPv6 addresses: the first field of each line of `if_inet6`, 32 hexadecimal digits.
pub fn ipv6(if_inet6: &[u8]) -> BTreeSet<IpAddr> {
    String::from_utf8_lossy(if_inet6)
        .lines()
        .filter_map(|line| u128::from_str_radix(line.split_whitespace().next()?, 16).ok())
        .map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_leaves_are_the_hosts_own() {
        let trie = b"Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.5\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n";
        assert_eq!(ipv4(trie), BTreeSet::from(["10.0.0.5".parse().unwrap()]));
    }

    #[test]
    fn an_interface_line_gives_its_address() {
        let table = b"00000000000000000000000000000001 01 80 10 80       lo\nnonsense\n";
        assert_eq!(ipv6(table), BTreeSet::from(["::1".parse().unwrap()]));
    }
}
