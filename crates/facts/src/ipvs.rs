//! The virtual services of IPVS, of `/proc/net/ip_vs` (`ip_vs_info_seq_show` in net/netfilter/ipvs/ip_vs_ctl.c).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The services of a network namespace that take TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// Their addresses; port 0 takes every port.
    pub addresses: Vec<SocketAddr>,
    /// Some take what a firewall rule marked, whatever its address; or a line could not be read.
    pub others: bool,
}

impl Services {
    /// Reads the table; empty text has none.
    pub fn parse(text: &[u8]) -> Self {
        let mut services = Self::default();
        for line in String::from_utf8_lossy(text).lines() {
            let mut words = line.split(' ').filter(|word| !word.is_empty());
            match words.next() {
                Some("TCP") => match words.next().and_then(address) {
                    Some(address) => services.addresses.push(address),
                    None => services.others = true,
                },
                Some("FWM") => services.others = true,
                // Other protocols, the head of the table, and the real servers behind each service.
                _ => {}
            }
        }
        services
    }

    /// Whether a connection to an address may be taken to a real server.
    pub fn may_take(&self, to: SocketAddr) -> bool {
        self.others
            || self.addresses.iter().any(|service| {
                service.ip() == to.ip() && (service.port() == to.port() || service.port() == 0)
            })
    }
}

/// `0A000005:1F40` or `[2001:0db8::0001]:1F40`.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let ip: IpAddr = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.into(),
        None if host.len() == 8 => Ipv4Addr::from(u32::from_str_radix(host, 16).ok()?).into(),
        None => return None,
    };
    Some((ip, port).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A60000A:0035 rr
  -> 0AF40003:0035      Masq    1      0          0
UDP  0A60000B:1F40 rr
TCP  [2001:0db8:0000:0000:0000:0000:0000:0005]:01BB wrr persistent 300
TCP  0A60000C:0000 rr persistent 300
";

    #[test]
    fn services_are_known_by_address_and_port() {
        let services = Services::parse(TABLE);
        for (to, takes) in [
            ("10.96.0.10:53", true),
            ("10.96.0.10:80", false),
            ("10.96.0.11:8000", false),
            ("[2001:db8::5]:443", true),
            ("10.96.0.12:8000", true),
            ("10.244.0.3:53", false),
            ("127.0.0.1:53", false),
        ] {
            assert_eq!(services.may_take(to.parse().unwrap()), takes, "{to}");
        }
    }

    #[test]
    fn what_takes_by_mark_or_cannot_be_read_may_take_anything() {
        for line in ["FWM  00000001 rr", "TCP  junk rr", "TCP"] {
            let services = Services::parse(line.as_bytes());
            assert!(services.may_take("127.0.0.1:1".parse().unwrap()), "{line}");
        }
        assert_eq!(Services::parse(b""), Services::default());
    }
}
