//! Addresses and names in what the kernel and name servers sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Redaction, address};

const NLMSG_HEADER: usize = 16;
/// `struct inet_diag_msg`: family, state, timer, retrans, two ports; then the two addresses.
const SOURCE: usize = 8;
const DESTINATION: usize = 24;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

impl Redaction {
    /// `sock_diag` messages of TCP sockets.
    pub(super) fn inet(&self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(rest) = bytes
            .get_mut(at..)
            .filter(|rest| rest.len() >= NLMSG_HEADER)
        {
            let Some(length) = rest
                .first_chunk::<4>()
                .map(|length| u32::from_ne_bytes(*length))
            else {
                return;
            };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length < NLMSG_HEADER || length > rest.len() {
                return;
            }
            if let Some(message) = rest.get_mut(NLMSG_HEADER..length) {
                let family = message.first().copied().unwrap_or_default();
                for place in [SOURCE, DESTINATION] {
                    if let Some(address) = message.get_mut(place..place + 16) {
                        self.raw(family, address);
                    }
                }
            }
            at += length.next_multiple_of(4);
        }
    }

    fn raw(&self, family: u8, bytes: &mut [u8]) {
        match family {
            AF_INET => {
                if let Some(bytes) = bytes.first_chunk_mut::<4>() {
                    *bytes = address::v4(&self.scramble, Ipv4Addr::from(*bytes)).octets();
                }
            }
            AF_INET6 => {
                if let Some(bytes) = bytes.first_chunk_mut::<16>()
                    && let IpAddr::V6(mapped) =
                        address::ip(&self.scramble, Ipv6Addr::from(*bytes).into())
                {
                    *bytes = mapped.octets();
                }
            }
            _ => {}
        }
    }

    /// A DNS message; `None` for what is none, or has records that may hold names in forms unknown here.
    pub(super) fn dns(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        const HEADER: usize = 12;
        let mut out = message.to_vec();
        let count = |at: usize| -> Option<u16> {
            Some(u16::from_be_bytes([
                *message.get(at)?,
                *message.get(at + 1)?,
            ]))
        };
        let mut at = HEADER;
        for _ in 0..count(4)? {
            at = self.dns_name(&mut out, at)? + 4;
        }
        let records = u32::from(count(6)?) + u32::from(count(8)?) + u32::from(count(10)?);
        for _ in 0..records {
            at = self.dns_name(&mut out, at)?;
            let (kind, length) = (count(at)?, usize::from(count(at + 8)?));
            let data = at + 10;
            match (kind, length) {
                (1, 4) => self.raw(AF_INET, out.get_mut(data..data + 4)?),
                (28, 16) => self.raw(AF_INET6, out.get_mut(data..data + 16)?),
                // CNAME, NS and PTR: a name.
                (2 | 5 | 12, _) => {
                    self.dns_name(&mut out, data)?;
                }
                // SOA: two names and numbers.
                (6, _) => {
                    let second = self.dns_name(&mut out, data)?;
                    self.dns_name(&mut out, second)?;
                }
                // OPT tells of the transport.
                (41, _) => {}
                _ => return None,
            }
            at = data + length;
        }
        Some(out)
    }

    /// Replaces a name's labels in place; says where it ends. A pointer leads to a name that stands before.
    fn dns_name(&mut self, message: &mut [u8], start: usize) -> Option<usize> {
        let mut places = Vec::new();
        let mut at = start;
        let end = loop {
            match *message.get(at)? {
                0 => break at + 1,
                0xc0.. => break at + 2,
                length @ 1..=63 => {
                    let length = usize::from(length);
                    places.push(at + 1..at + 1 + length);
                    at += 1 + length;
                }
                _ => return None,
            }
        };
        let labels: Option<Vec<&[u8]>> = places
            .iter()
            .map(|place| message.get(place.clone()))
            .collect();
        let name = labels?.join(&b'.');
        let mapped = self.text(&name);
        for (place, label) in places.into_iter().zip(mapped.split(|&byte| byte == b'.')) {
            let into = message.get_mut(place)?;
            if into.len() == label.len() {
                into.copy_from_slice(label);
            }
        }
        Some(end)
    }
}
