//! The base chains of netfilter as the kernel gives them, and the rules as the host's programs list them.
#![no_main]

use facts::firewall::{Connection, iptables, nft};
use facts::netfilter::{BaseChains, Hook};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let chains = BaseChains::parse(data);
    for ipv6 in [false, true] {
        assert!(chains.at(Hook::Output, ipv6).count() <= chains.chains.len());
    }
    for chain in &chains.chains {
        chain.is_idle();
    }
    let listing = String::from_utf8_lossy(data);
    let rulesets = [
        nft::parse(data).unwrap_or_default(),
        iptables::parse(&listing, false),
        iptables::parse(&listing, true),
    ];
    for (ruleset, to) in rulesets.iter().zip(["127.0.0.1:8000", "10.0.0.9:8000", "[::1]:8000"]) {
        let to: std::net::SocketAddr = to.parse().unwrap();
        let connection = Connection {
            from: to.ip(),
            to,
            device: "lo".to_owned(),
            is_local: to.ip().is_loopback(),
            user: Some(33),
            group: None,
            ports: (32768, 60999),
        };
        assert!(!ruleset.passage(&connection).fates.is_empty());
    }
});
