//! The URL of a request that somebody wants sent. Its host is never resolved here: it says whom nginx should take the
//! request to be for.

use std::fmt;
use std::net::IpAddr;

use crate::text;

/// `http://shop.example.com:8080/cart?id=7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `https`.
    pub is_tls: bool,
    /// A name in lower case, or an address; of IPv6 without brackets.
    pub host: String,
    /// The port, with the scheme's own filled in.
    pub port: u16,
    /// Path and query as they are sent.
    target: String,
}

/// Why a text is no URL that could be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// Neither `http://` nor `https://`.
    Scheme,
    /// A user or a password stands before the host.
    User,
    /// The host or the port cannot be read.
    Host,
    /// Path or query hold bytes that a request line cannot.
    Path,
    /// The path has `.` or `..` in it, which clients leave out.
    Dots,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "its scheme is neither http:// nor https://",
            Self::User => {
                "it holds a user or a password, which why502 does not send: leave it away"
            }
            Self::Host => "its host or port cannot be read",
            Self::Path => {
                "its path or query holds a space or another byte that has to be written %XX"
            }
            Self::Dots => "its path holds . or .. : write where it leads",
        })
    }
}

impl std::error::Error for UrlError {}

impl Url {
    /// Reads a URL. A fragment is left away: it is no part of a request.
    ///
    /// # Errors
    /// Where it could not be sent as it stands.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(UrlError::Scheme),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).ok_or(UrlError::Host)?;
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        let (host, port) = host_and_port(authority).ok_or(UrlError::Host)?;
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Path);
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        let url = Self {
            is_tls,
            host,
            port: port.unwrap_or(if is_tls { 443 } else { 80 }),
            target: format!("{slash}{target}"),
        };
        let path = url.path();
        let mut segments = path.split(|&byte| byte == b'/');
        if segments.any(|segment| segment == b"." || segment == b"..") {
            return Err(UrlError::Dots);
        }
        if path.contains(&0) {
            return Err(UrlError::Path);
        }
        Ok(url)
    }

    /// Path and query as a request line has them.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The query with its `?`, as it is sent; empty without one.
    pub fn query(&self) -> &str {
        let at = self.target.find('?').unwrap_or(self.target.len());
        self.target.get(at..).unwrap_or_default()
    }

    /// The path as it is sent.
    pub fn raw_path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The path as nginx compares it with its locations: decoded, slashes merged (`ngx_http_parse_complex_uri`).
    pub fn path(&self) -> Vec<u8> {
        compared(self.raw_path().as_bytes())
    }

    /// The host as an address, where it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// What stands in `Host`: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = match self.ip() {
            Some(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => self.host.clone(),
        };
        let own = if self.is_tls { 443 } else { 80 };
        if self.port == own {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// A path as sent, as nginx compares it with its locations: decoded, slashes merged. Its dots are not resolved.
pub fn compared(raw: &[u8]) -> Vec<u8> {
    let mut path = text::percent_decoded(raw);
    path.dedup_by(|next, before| *next == b'/' && *before == b'/');
    path
}

/// With the query hidden: it may hold what no log should.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(
            f,
            "{scheme}://{}{}",
            self.authority(),
            without_query(&self.target)
        )
    }
}

/// A target whose query is hidden: `*` for every byte of it.
pub fn without_query(target: &str) -> String {
    match target.split_once('?') {
        Some((path, query)) => format!("{path}?{}", "*".repeat(query.len())),
        None => target.to_owned(),
    }
}

fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']')?;
        let ip: std::net::Ipv6Addr = ip.parse().ok()?;
        let port = match rest {
            "" => None,
            rest => Some(rest.strip_prefix(':')?),
        };
        (ip.to_string(), port)
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let is_name = !host.is_empty()
            && host.len() <= 253
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        if !is_name {
            return None;
        }
        (host.trim_end_matches('.').to_ascii_lowercase(), port)
    };
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|&port: &u16| port > 0)?)
        }
        Some(_) => return None,
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_is_read_in_its_parts() {
        for (text, authority, port, target) in [
            ("http://shop.example.com", "shop.example.com", 80, "/"),
            (
                "HTTPS://Shop.Example.com./a#b",
                "shop.example.com",
                443,
                "/a",
            ),
            (
                "http://127.0.0.1:8080/a?b=/c",
                "127.0.0.1:8080",
                8080,
                "/a?b=/c",
            ),
            ("http://[::1]:81?x", "[::1]:81", 81, "/?x"),
            ("https://[::1]:443/", "[::1]", 443, "/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.authority().as_str(), url.port, url.target()),
                (authority, port, target),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (text, error) in [
            ("shop.example.com/", UrlError::Scheme),
            ("ftp://shop.example.com/", UrlError::Scheme),
            ("http://me:secret@shop.example.com/", UrlError::User),
            ("http:///x", UrlError::Host),
            ("http://shop.example.com:0/", UrlError::Host),
            ("http://shop.example.com:99999/", UrlError::Host),
            ("http://[::1/", UrlError::Host),
            ("http://sh\rop/", UrlError::Host),
            ("http://shop/a b", UrlError::Path),
            ("http://shop/a\r\nX: y", UrlError::Path),
            ("http://shop/ä", UrlError::Path),
            ("http://shop/a%00", UrlError::Path),
            ("http://shop/a/../b", UrlError::Dots),
            ("http://shop/a/%2e%2E/b", UrlError::Dots),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_path_is_compared_decoded_and_with_single_slashes() {
        let url = Url::parse("http://shop//a%20b///c?d//e").unwrap();
        assert_eq!(url.path(), b"/a b/c");
        assert_eq!(url.query(), "?d//e");
        assert_eq!(url.raw_path(), "//a%20b///c");
    }

    proptest! {
        #[test]
        fn what_is_shown_hides_the_query_and_is_the_same_read_again(
            path in "(/[a-z0-9]{1,4}){0,3}",
            query in "[a-z0-9=&/]{0,12}",
        ) {
            let url = Url::parse(&format!("http://shop:81{path}?{query}")).unwrap();
            let shown = url.to_string();
            let hidden = ["?", &"*".repeat(query.len())].concat();
            prop_assert!(shown.ends_with(&hidden));
            prop_assert_eq!(Url::parse(&shown).unwrap().to_string(), shown);
        }

        #[test]
        fn nothing_that_is_read_can_break_a_request_line(text in "http://\\PC{0,20}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert!(url.target().starts_with('/'));
                prop_assert!(url.target().bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(url.authority().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
