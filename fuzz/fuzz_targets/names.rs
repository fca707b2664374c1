//! Names, accounts, addresses, counters, time zones, and what name servers answer.
#![no_main]

use facts::dns::{self, Reply};
use facts::file_system::Room;
use facts::passwd::Accounts;
use facts::queue::ListenDrops;
use facts::zone::{Instants, TzVariable, local_seconds, of_file};
use facts::{PeerAddress, local, name};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (first, second) = match data.iter().position(|&byte| byte == 0xff) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, data),
    };
    let accounts = Accounts::parse(first, second);
    for id in [0, 33, u32::MAX] {
        assert!(accounts.user(id).is_none_or(|user| user.uid == id));
        assert!(accounts.group(id).is_none_or(|group| group.gid == id));
        accounts.show_user(id);
        accounts.show_group(id);
    }
    accounts.groups_of("www-data");
    name::addresses(data);
    let hosts = name::hosts(data);
    name::addresses_in_hosts(&hosts, "localhost");
    Reply::parse(data);
    dns::name_servers(data);
    dns::search_domains(data);
    Room::parse(data);
    local::ipv4(data);
    local::ipv6(data);
    ListenDrops::parse(data);
    if let Some(peer) = PeerAddress::parse(data) {
        let again = PeerAddress::parse(peer.to_string().as_bytes());
        assert!(std::str::from_utf8(data).is_err() || again == Some(peer));
    }
    let zone = match std::str::from_utf8(data).map(TzVariable::parse) {
        Ok(TzVariable::Zone(zone)) => Some(zone),
        _ => of_file(data),
    };
    if let Some(zone) = zone {
        for seconds in [0, 1_700_000_000, 1_711_848_600, -1] {
            if let Some(instants) = Instants::of_seconds(&zone, seconds) {
                assert!(instants.earlier <= instants.later);
                instants.is_ambiguous();
            }
        }
        local_seconds(&zone, Timestamp::UNIX_EPOCH);
    }
});
