//! What a name resolves to, from `getent ahosts` and `/etc/hosts`.

use std::net::IpAddr;

use bstr::ByteSlice as _;

use crate::ProbeRequest;
use crate::text::owned;

/// Asks the host's resolver as nginx does at start: `getaddrinfo`, all families.
pub fn request(name: &str) -> ProbeRequest {
    ProbeRequest::command(["getent", "ahosts", name])
}

/// The addresses in the output of `getent ahosts`, each once, in the order the resolver prefers.
pub fn addresses(ahosts: &[u8]) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for line in ahosts.lines() {
        if let Some(address) = line.fields().next().and_then(ip)
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

/// A line of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostsLine {
    /// Where it stands, from 1.
    pub line: usize,
    /// The address.
    pub address: IpAddr,
    /// The names it gives to it.
    pub names: Vec<String>,
}

/// The lines of `/etc/hosts` that say something.
pub fn hosts(bytes: &[u8]) -> Vec<HostsLine> {
    let told = bytes.lines().enumerate().filter_map(|(idx, line)| {
        let said = line.split(|&byte| byte == b'#').next()?;
        let mut fields = said.fields();
        let address = ip(fields.next()?)?;
        let names: Vec<_> = fields.map(owned).collect();
        (!names.is_empty()).then_some(HostsLine {
            line: idx + 1,
            address,
            names,
        })
    });
    told.collect()
}

/// The addresses that `/etc/hosts` has for a name, in its order. Names do not mind case.
pub fn addresses_in_hosts(hosts: &[HostsLine], name: &str) -> Vec<IpAddr> {
    let names_it = |line: &&HostsLine| {
        line.names
            .iter()
            .any(|other| other.eq_ignore_ascii_case(name))
    };
    hosts
        .iter()
        .filter(names_it)
        .map(|line| line.address)
        .collect()
}

/// An address; the zone of a link-local one (`fe80::1%eth0`) is dropped.
fn ip(text: &[u8]) -> Option<IpAddr> {
    let text = text.to_str().ok()?;
    text.split('%').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_come_once_in_the_resolvers_order() {
        let output =
            b"::1             STREAM localhost\n::1             DGRAM  \n::1             RAW    \n\
            127.0.0.1       STREAM \nfe80::1%eth0    STREAM\njunk\n";
        assert_eq!(addresses(output), ips(&["::1", "127.0.0.1", "fe80::1"]));
        assert_eq!(addresses(b""), ips(&[]));
    }

    #[test]
    fn hosts_lines_may_name_one_address_many_times_over() {
        let lines = hosts(b"127.0.0.1\tlocalhost\n# ::1 ghost\n::1 localhost ip6-localhost # both\n10.0.0.5 Shop.example shop\n10.0.0.6\n");
        assert_eq!(lines.len(), 3);
        assert_eq!(
            addresses_in_hosts(&lines, "localhost"),
            ips(&["127.0.0.1", "::1"])
        );
        assert_eq!(
            addresses_in_hosts(&lines, "shop.EXAMPLE"),
            ips(&["10.0.0.5"])
        );
        assert_eq!(addresses_in_hosts(&lines, "ghost"), ips(&[]));
        assert_eq!(lines[1].line, 3);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in "[a-f0-9:. %#\n]{0,60}") {
            addresses(&bytes);
            addresses(text.as_bytes());
            hosts(&bytes);
            hosts(text.as_bytes());
        }
    }
}
