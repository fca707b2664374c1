//! Addresses as `proxy_pass` and `server` write them: host and port, or a unix socket. No name is resolved here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bstr::{BStr, BString, ByteSlice as _};

/// A host as written: an address or a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, written in brackets.
    V6(Ipv6Addr),
    /// A name, lower case: nginx compares names so.
    Name(String),
}

/// What nginx is told to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// Host and port.
    Tcp {
        /// The host.
        host: Host,
        /// The port, with the default filled in.
        port: u16,
    },
    /// The path of a unix socket, as written.
    Unix(BString),
}

/// One literal address that nginx connects to, as its log prints it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(BString),
}

impl Host {
    /// Reads `127.0.0.1`, `[::1]` or a name. Names are what nginx would look up; it does not check them further.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if let Some(inner) = text.strip_prefix(b"[") {
            let inner = inner.strip_suffix(b"]")?.to_str().ok()?;
            return inner.parse().ok().map(Self::V6);
        }
        if let Some(v4) = parse_v4(text) {
            return Some(Self::V4(v4));
        }
        let name = text.to_str().ok()?;
        let readable = !name.is_empty() && !name.contains([' ', '/', ':', '[', ']', '$']);
        readable.then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// The IP address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(v4) => Some(IpAddr::V4(*v4)),
            Self::V6(v6) => Some(IpAddr::V6(*v6)),
            Self::Name(_) => None,
        }
    }

    /// The name, unless it is an IP address.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::V4(_) | Self::V6(_) => None,
        }
    }
}

impl Address {
    /// Reads `host`, `host:port` or `unix:/path`, without scheme and URI. `None` without a port where there is no
    /// default, and for what nginx would refuse.
    pub fn parse(text: &[u8], default_port: Option<u16>) -> Option<Self> {
        if has_unix_prefix(text) {
            // Where no URI can follow, a colon is part of the path.
            let path = text.get(5..)?;
            return (!path.is_empty()).then(|| Self::Unix(path.into()));
        }
        let (address, uri) = Self::parse_with_uri(text, default_port)?;
        uri.is_none().then_some(address)
    }

    /// The same as `proxy_pass` of `http` has it, with a URI behind it: `host:port/uri` or `unix:/path:/uri`.
    pub(crate) fn parse_with_uri(
        text: &[u8],
        default_port: Option<u16>,
    ) -> Option<(Self, Option<&BStr>)> {
        if has_unix_prefix(text) {
            let path = text.get(5..)?;
            let (path, uri) = match memchr::memchr(b':', path) {
                Some(colon) => (path.get(..colon)?, path.get(colon + 1..)),
                None => (path, None),
            };
            return (!path.is_empty()).then(|| (Self::Unix(path.into()), uri.map(BStr::new)));
        }
        let end = text.find_byteset(b"/?").unwrap_or(text.len());
        let (authority, uri) = text.split_at_checked(end)?;
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(digits) => parse_port(digits)?,
            None => default_port?,
        };
        let uri = (!uri.is_empty()).then(|| uri.as_bstr());
        Some((
            Self::Tcp {
                host: Host::parse(host)?,
                port,
            },
            uri,
        ))
    }

    /// The peer, when the host is literal.
    pub fn literal(&self) -> Option<PeerAddress> {
        match self {
            Self::Tcp { host, port } => host
                .ip()
                .map(|ip| PeerAddress::Tcp(SocketAddr::new(ip, *port))),
            Self::Unix(path) => Some(PeerAddress::Unix(path.clone())),
        }
    }
}

impl PeerAddress {
    /// Reads `127.0.0.1:8000`, `[::1]:8000` or `unix:/path`, as the log prints a peer.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Address::parse(text, None)?.literal()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(v4) => v4.fmt(f),
            Self::V6(v6) => write!(f, "[{v6}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

pub(crate) fn has_unix_prefix(text: &[u8]) -> bool {
    text.get(..5)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"unix:"))
}

/// Host (with its brackets) and port digits.
pub(crate) fn split_port(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let after_host = if authority.starts_with(b"[") {
        memchr::memchr(b']', authority)? + 1
    } else {
        memchr::memchr(b':', authority).unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at_checked(after_host)?;
    match rest.split_first() {
        None => Some((host, None)),
        Some((b':', digits)) => Some((host, Some(digits))),
        Some(_) => None,
    }
}

pub(crate) fn parse_port(digits: &[u8]) -> Option<u16> {
    let port = u16::try_from(crate::units::parse_digits(digits)?).ok()?;
    (port != 0).then_some(port)
}

/// Four decimal numbers as `ngx_inet_addr()` reads them: leading zeros do not make them octal.
fn parse_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split(|&byte| byte == b'.');
    for octet in &mut octets {
        *octet = u8::try_from(crate::units::parse_digits(parts.next()?)?).ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_nginx_logs_them() {
        for (text, default_port, printed) in [
            ("127.0.0.1:8000", None, Some("127.0.0.1:8000")),
            ("localhost:8000", None, Some("localhost:8000")),
            ("LocalHost", Some(80), Some("localhost:80")),
            ("[::1]:8000", None, Some("[::1]:8000")),
            ("[::1]", Some(443), Some("[::1]:443")),
            ("[0:0:0:0:0:0:0:1]:80", None, Some("[::1]:80")),
            ("unix:/run/x.sock", None, Some("unix:/run/x.sock")),
            ("UNIX:/run/x.sock", None, Some("unix:/run/x.sock")),
            ("010.0.0.1:80", None, Some("10.0.0.1:80")),
            ("127.1:80", None, Some("127.1:80")),
            ("localhost", None, None),
            ("localhost:", Some(80), None),
            ("localhost:0", None, None),
            ("localhost:65536", None, None),
            ("localhost:80/uri", None, None),
            ("unix:/run/x.sock:/y", None, Some("unix:/run/x.sock:/y")),
            ("unix:", None, None),
            ("[::1", Some(80), None),
            ("[::1]x:80", None, None),
            ("$host:80", None, None),
            ("", Some(80), None),
        ] {
            let address = Address::parse(text.as_bytes(), default_port);
            assert_eq!(address.map(|a| a.to_string()).as_deref(), printed, "{text}");
        }
    }

    #[test]
    fn a_uri_is_told_from_the_address() {
        for (text, printed, uri) in [
            ("a:80/", "a:80", Some("/")),
            ("a/b:c", "a:80", Some("/b:c")),
            ("a?x", "a:80", Some("?x")),
            ("unix:/p:/u", "unix:/p", Some("/u")),
            ("unix:/p", "unix:/p", None),
        ] {
            let (address, found) = Address::parse_with_uri(text.as_bytes(), Some(80)).expect(text);
            assert_eq!(
                (address.to_string().as_str(), found),
                (printed, uri.map(BStr::new))
            );
        }
    }

    #[test]
    fn only_literal_addresses_are_peers() {
        for (text, is_peer) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("unix:/p", true),
            ("a:1", false),
        ] {
            assert_eq!(
                PeerAddress::parse(text.as_bytes()).is_some(),
                is_peer,
                "{text}"
            );
        }
    }
}
