//! Where applications listen: IP addresses with a port, and unix sockets. No names: nginx looks them up only once.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

use super::values::AbsolutePath;

/// The longest path that fits into a unix socket's address, with its end.
const LONGEST_SOCKET: usize = 107;

/// Where an application listens: an IP address with a port, or the path of a unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(AbsolutePath),
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const WRITE: &str = "write 127.0.0.1:8000, [::1]:8000 or unix:/run/shop/shop.sock";
        let path = text.strip_prefix("unix:").unwrap_or(&text);
        if path.starts_with('/') {
            return socket(path).map(Self::Unix);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            if address.port() == 0 {
                return Err(format!("port 0 is none: {WRITE}"));
            }
            return Ok(Self::Tcp(address));
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(format!("'{text}' has no port: {WRITE}"));
        }
        let host = text
            .rsplit_once(':')
            .map_or(text.as_str(), |(host, _)| host);
        if host.eq_ignore_ascii_case("localhost") {
            return Err(format!(
                "localhost is 127.0.0.1 for one and ::1 for another: {WRITE}"
            ));
        }
        if host.chars().any(char::is_alphabetic) {
            return Err(format!(
                "'{text}' is a name, which nginx would look up only when it starts: {WRITE}"
            ));
        }
        Err(format!("'{text}' is no address: {WRITE}"))
    }
}

fn socket(path: &str) -> Result<AbsolutePath, String> {
    let path = AbsolutePath::try_from(path.to_owned())?;
    let text = path.as_str();
    if text.len() > LONGEST_SOCKET {
        return Err(format!(
            "the path of a unix socket has at most {LONGEST_SOCKET} bytes"
        ));
    }
    if text.ends_with('/') {
        return Err(format!("'{text}' is a directory: name the socket in it"));
    }
    for hidden in ["/tmp/", "/var/tmp/"] {
        if text.starts_with(hidden) {
            return Err(format!(
                "a socket in {hidden} is hidden from nginx by PrivateTmp=: write one such as unix:/run/shop/shop.sock"
            ));
        }
    }
    Ok(path)
}

impl Address {
    /// Where nginx reaches what listens here.
    pub(crate) fn dialled(&self) -> Self {
        match self {
            Self::Tcp(address) if address.ip().is_unspecified() => {
                let ip = match address.ip() {
                    IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                    IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
                };
                Self::Tcp(SocketAddr::new(ip, address.port()))
            }
            other => other.clone(),
        }
    }

    /// Whether two applications cannot both have these.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(two)) => {
                one.port() == two.port()
                    && (one.ip() == two.ip()
                        || one.ip().is_unspecified()
                        || two.ip().is_unspecified())
            }
            (Self::Unix(one), Self::Unix(two)) => one == two,
            _ => false,
        }
    }

    /// The path of a unix socket.
    pub(crate) fn path(&self) -> Option<&AbsolutePath> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path),
        }
    }
}

/// As nginx writes it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}
