//! Questions to a name server, and its answers: DNS messages as nginx's own `resolver` sends and reads them.
//!
//! What a name server sends is a stranger's: what is no DNS message is no answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, TYPE};

use crate::RecordKind;

/// What a name server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The question's number.
    pub id: u16,
    /// 0 for success, else as nginx's log has it: 2 `Server failure`, 3 `Host not found`, 5 `Operation refused`.
    pub code: u16,
    /// The addresses, whatever name on the way they belong to.
    pub addresses: Vec<IpAddr>,
    /// More was to be told than a datagram holds.
    pub is_truncated: bool,
}

/// The message that asks for the addresses of a name; `None` for what is no name.
pub fn question(name: &str, kind: RecordKind, id: u16) -> Option<Vec<u8>> {
    let kind = match kind {
        RecordKind::A => TYPE::A,
        RecordKind::Aaaa => TYPE::AAAA,
    };
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    packet
        .questions
        .push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().ok()
}

impl Reply {
    /// Reads a message.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let packet = Packet::parse(message).ok()?;
        let addresses = packet
            .answers
            .iter()
            .filter_map(|answer| match &answer.rdata {
                RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
                RData::AAAA(aaaa) => Some(Ipv6Addr::from(aaaa.address).into()),
                _ => None,
            });
        Some(Self {
            id: packet.id(),
            // The last four bits of the flags (RFC 1035, 4.1.1).
            code: u16::from(message.get(3)? & 0x0f),
            addresses: addresses.collect(),
            is_truncated: packet.has_flags(PacketFlag::TRUNCATION),
        })
    }
}

/// The words for a name server's code, as nginx logs them (`ngx_resolver_strerror`).
pub fn code_text(code: u16) -> String {
    let text = match code {
        1 => "Format error",
        2 => "Server failure",
        3 => "Host not found",
        4 => "Unimplemented",
        5 => "Operation refused",
        110 => "Operation timed out",
        _ => "Unknown error",
    };
    format!("{code}: {text}")
}

/// The name servers of a `resolv.conf`, in order.
pub fn name_servers(resolv_conf: &[u8]) -> Vec<IpAddr> {
    use bstr::ByteSlice as _;
    let lines = resolv_conf.lines().filter_map(|line| {
        let mut words = line.fields();
        (words.next()? == b"nameserver").then(|| words.next()?.to_str().ok()?.parse().ok())?
    });
    lines.collect()
}

/// The domains that a `resolv.conf` has short names looked up in.
pub fn search_domains(resolv_conf: &[u8]) -> Vec<String> {
    use bstr::ByteSlice as _;
    // The last such line counts (resolv.conf(5)).
    let line = resolv_conf.lines().rev().find_map(|line| {
        let mut words = line.fields();
        matches!(words.next()?, b"search" | b"domain").then_some(words)
    });
    line.into_iter().flatten().map(crate::text::owned).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_is_a_message_of_its_name() {
        let asked = question("shop.example", RecordKind::A, 7).unwrap();
        let packet = Packet::parse(&asked).unwrap();
        assert_eq!(packet.id(), 7);
        assert_eq!(packet.questions[0].qname.to_string(), "shop.example");
        assert_eq!(question(&"a".repeat(80), RecordKind::A, 7), None);
    }

    #[test]
    fn addresses_behind_an_alias_are_read() {
        // dnsmasq's answer: an alias, then the address it stands for.
        let message =
            b"\x00\x07\x85\x80\x00\x01\x00\x02\x00\x00\x00\x00\x03www\x03lab\x00\x00\x01\x00\x01\
            \xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x05\x00\x05\x02ok\xc0\x10\
            \xc0\x25\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x7f\x00\x00\x01";
        let reply = Reply::parse(message).unwrap();
        assert_eq!((reply.id, reply.code, reply.is_truncated), (7, 0, false));
        assert_eq!(reply.addresses, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn a_refusal_has_its_code() {
        let message = b"\x00\x07\x81\x83\x00\x00\x00\x00\x00\x00\x00\x00";
        assert_eq!(Reply::parse(message).unwrap().code, 3);
        assert_eq!(code_text(3), "3: Host not found");
    }

    #[test]
    fn resolv_conf_names_servers_and_domains() {
        let text = b"# x\nsearch old\nnameserver 10.0.0.2\nnameserver ::1\nnameserver x\nsearch lan example.org\noptions edns0\n";
        assert_eq!(
            name_servers(text),
            [
                "10.0.0.2".parse::<IpAddr>().unwrap(),
                "::1".parse().unwrap()
            ]
        );
        assert_eq!(search_domains(text), ["lan", "example.org"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, name: String) {
            Reply::parse(&bytes);
            question(&name, RecordKind::Aaaa, 1);
            name_servers(&bytes);
            search_domains(&bytes);
        }
    }
}
