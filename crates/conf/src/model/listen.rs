//! `listen`: the addresses a server takes connections on.

use bstr::{BString, ByteSlice as _};

use super::DirectiveRef;
use crate::address::{Address, Host, has_unix_prefix, parse_port, split_port};
use crate::tree::Directive;

/// One `listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The directive.
    pub directive: DirectiveRef,
    /// The address; `*` is 0.0.0.0.
    pub address: Address,
    /// The last port, for a range such as `8080-8090`.
    pub last_port: Option<u16>,
    /// With `ssl`.
    pub ssl: bool,
    /// With `default_server` (or `default`).
    pub default_server: bool,
    /// With `udp` or `quic`.
    pub udp: bool,
    /// All parameters as written.
    pub parameters: Vec<BString>,
}

impl Listen {
    pub(super) fn of(directive: Directive<'_>, at: DirectiveRef) -> Option<Self> {
        let (address, last_port) = parse_listen(directive.value(0)?)?;
        let parameters: Vec<BString> = directive
            .args()
            .skip(1)
            .map(|arg| arg.value().to_owned())
            .collect();
        let has = |name: &str| parameters.iter().any(|parameter| parameter == name);
        Some(Self {
            directive: at,
            address,
            last_port,
            ssl: has("ssl"),
            default_server: has("default_server") || has("default"),
            udp: has("udp") || has("quic"),
            parameters,
        })
    }
}

/// `80`, `*:80`, `127.0.0.1`, `[::]:80`, `localhost:80`, `unix:/path`, each port perhaps a range.
fn parse_listen(text: &[u8]) -> Option<(Address, Option<u16>)> {
    const ANY: Host = Host::V4(std::net::Ipv4Addr::UNSPECIFIED);
    if has_unix_prefix(text) {
        return Some((Address::Unix(text.get(5..)?.into()), None));
    }
    if text
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'-')
    {
        let (port, last_port) = parse_ports(text)?;
        return Some((Address::Tcp { host: ANY, port }, last_port));
    }
    let (host, ports) = split_port(text)?;
    let host = if host == b"*" {
        ANY
    } else {
        Host::parse(host)?
    };
    let (port, last_port) = ports.map_or(Some((80, None)), parse_ports)?;
    Some((Address::Tcp { host, port }, last_port))
}

fn parse_ports(text: &[u8]) -> Option<(u16, Option<u16>)> {
    match text.split_once_str("-") {
        Some((first, last)) => Some((parse_port(first)?, Some(parse_port(last)?))),
        None => Some((parse_port(text)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_listen_is_read_in_all_its_forms() {
        for (text, printed, last_port) in [
            ("80", Some("0.0.0.0:80"), None),
            ("*:81", Some("0.0.0.0:81"), None),
            ("127.0.0.1", Some("127.0.0.1:80"), None),
            ("[::]:443", Some("[::]:443"), None),
            ("localhost:8080", Some("localhost:8080"), None),
            ("localhost", Some("localhost:80"), None),
            ("8080-8090", Some("0.0.0.0:8080"), Some(8090)),
            ("unix:/run/n.sock", Some("unix:/run/n.sock"), None),
            ("70000", None, None),
        ] {
            let parsed = parse_listen(text.as_bytes());
            assert_eq!(
                parsed.as_ref().map(|(a, _)| a.to_string()).as_deref(),
                printed,
                "{text}"
            );
            assert_eq!(parsed.and_then(|(_, last)| last), last_port, "{text}");
        }
    }
}
