//! The address of a peer: what nginx dials.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// One address nginx tries, resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerAddress {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A unix socket's path.
    Unix(PathBuf),
}

impl PeerAddress {
    /// Reads an address as nginx prints it: `127.0.0.1:8000`, `[::1]:8000`, `unix:/run/app.sock`. `None` for a name.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if let Some(path) = text.strip_prefix(b"unix:") {
            return Some(Self::Unix(PathBuf::from(std::ffi::OsString::from_vec(
                path.to_vec(),
            ))));
        }
        std::str::from_utf8(text).ok()?.parse().ok().map(Self::Tcp)
    }

    /// The port, where there is one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    /// The IP address, where there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }

    /// Whether the address never leaves the machine: a unix socket or a loopback address.
    pub fn is_loopback(&self) -> bool {
        self.ip().is_none_or(|ip| ip.is_loopback())
    }
}

/// As nginx prints it. Bytes of a path that are not UTF-8 are shown as U+FFFD.
impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(
                f,
                "unix:{}",
                String::from_utf8_lossy(path.as_os_str().as_bytes())
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_and_prints_as_nginx_writes_it() {
        for text in [
            "127.0.0.1:8000",
            "[::1]:8000",
            "unix:/run/php/php8.2-fpm.sock",
        ] {
            assert_eq!(
                PeerAddress::parse(text.as_bytes()).unwrap().to_string(),
                text
            );
        }
        assert_eq!(PeerAddress::parse(b"shop"), None);
        assert_eq!(PeerAddress::parse(b"localhost:80"), None);
    }
}
