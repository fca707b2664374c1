//! Addresses for addresses: what shares a prefix shares one afterwards, and each stays of its kind.
//!
//! Loopback, wildcard, link-local, multicast and the addresses that documentation uses tell of nobody and stay. Private
//! networks stay private.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::scramble::Scramble;

/// What stands for an address.
pub(super) fn ip(scramble: &Scramble, address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => v4(scramble, address).into(),
        IpAddr::V6(address) => v6(scramble, address).into(),
    }
}

pub(super) fn v4(scramble: &Scramble, address: Ipv4Addr) -> Ipv4Addr {
    let fixed = match address.octets() {
        [0 | 127 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => return address,
        [10, ..] => 8,
        [100, 64..=127, ..] => 10,
        [172, 16..=31, ..] => 12,
        [192, 168, ..] => 16,
        _ => 0,
    };
    let bits = u32::from(address);
    let mapped = flip(scramble, u128::from(bits) << 96, fixed, 32) >> 96;
    let mapped = Ipv4Addr::from(u32::try_from(mapped).unwrap_or(bits));
    if fixed > 0 {
        return mapped;
    }
    // A public address must not become one of another kind: its first byte is drawn from those that are public as a
    // whole. Some share one then, which loses nothing but that they were apart.
    let [_, b, c, d] = mapped.octets();
    let first = address.octets().first().copied();
    let first = u8::try_from(scramble.number(("first", first)) % 80).unwrap_or(0);
    Ipv4Addr::new(11 + first, b, c, d)
}

fn v6(scramble: &Scramble, address: Ipv6Addr) -> Ipv6Addr {
    if let Some(within) = address.to_ipv4_mapped() {
        return v4(scramble, within).to_ipv6_mapped();
    }
    let fixed = match address.segments() {
        _ if address.is_loopback() || address.is_unspecified() => return address,
        [0x2001, 0x0db8, ..] | [0xff00..=0xffff, ..] => return address,
        [0x3fff, 0..=0x0fff, ..] => return address,
        // The network is everybody's, the rest may hold the number of a network card.
        [0xfe80, ..] => 64,
        [0xfc00..=0xfdff, ..] => 8,
        // The first two bytes of a public address tell the registry, and keep it out of other kinds.
        _ => 16,
    };
    Ipv6Addr::from(flip(scramble, u128::from(address), fixed, 128))
}

/// Turns each bit or leaves it, as the key and the bits before it decide: so what shares a prefix goes on sharing it
/// (Xu et al., "Prefix-preserving IP address anonymization", 2002).
fn flip(scramble: &Scramble, bits: u128, fixed: u32, length: u32) -> u128 {
    (fixed..length).fold(bits, |mapped, at| {
        let before = if at == 0 { 0 } else { bits >> (128 - at) };
        let turn = u128::from(scramble.number((length, at, before)) & 1);
        mapped ^ (turn << (127 - at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(one: Ipv4Addr, other: Ipv4Addr) -> u32 {
        (u32::from(one) ^ u32::from(other)).leading_zeros()
    }

    #[test]
    fn addresses_of_nobody_stay() {
        let scramble = Scramble::default();
        for text in [
            "127.0.0.1",
            "127.3.2.1",
            "0.0.0.0",
            "255.255.255.0",
            "169.254.169.254",
            "192.0.2.7",
            "198.51.100.1",
            "203.0.113.9",
            "::1",
            "::",
            "2001:db8::5",
            "ff02::1",
            "::ffff:127.0.0.1",
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(ip(&scramble, address), address);
        }
    }

    #[test]
    fn an_address_stays_of_its_kind_and_prefixes_stay_shared() {
        let scramble = Scramble::default();
        for text in [
            "10.1.2.3",
            "172.20.1.9",
            "192.168.7.8",
            "100.70.0.1",
            "8.8.8.8",
            "93.184.216.34",
        ] {
            let address: Ipv4Addr = text.parse().unwrap();
            let near = Ipv4Addr::from(u32::from(address) ^ 3);
            let (mapped, mapped_near) = (v4(&scramble, address), v4(&scramble, near));
            assert_eq!(mapped.is_private(), address.is_private(), "{text}");
            assert!(!mapped.is_loopback() && !mapped.is_multicast());
            assert_eq!(common(mapped, mapped_near), common(address, near));
        }
        let mapped = ip(&scramble, "fd12::7".parse().unwrap());
        assert!(mapped.to_string().starts_with("fd"));
    }
}
