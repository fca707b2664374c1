//! The base chains of netfilter, as the kernel gives them.
#![no_main]

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
});
