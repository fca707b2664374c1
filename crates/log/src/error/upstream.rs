//! The `upstream:` value of a line: protocol, peer, URI.
//!
//! The peer stands first in the value, before anything a client writes.
//! A unix socket's path may lack its end: then configured paths decide, not this module.

use bstr::{BStr, ByteSlice as _};
use std::fmt;

/// The protocol nginx speaks to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `proxy_pass http://`
    Http,
    /// `proxy_pass https://`
    Https,
    /// `fastcgi_pass`
    Fastcgi,
    /// `uwsgi_pass`
    Uwsgi,
    /// `uwsgi_pass suwsgi://`
    Suwsgi,
    /// `scgi_pass`
    Scgi,
    /// `grpc_pass grpc://`
    Grpc,
    /// `grpc_pass grpcs://`
    Grpcs,
    /// `memcached_pass`
    Memcached,
    /// `proxy_pass` in `stream`
    Stream,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 10] = [
        Self::Http,
        Self::Https,
        Self::Fastcgi,
        Self::Uwsgi,
        Self::Suwsgi,
        Self::Scgi,
        Self::Grpc,
        Self::Grpcs,
        Self::Memcached,
        Self::Stream,
    ];

    /// nginx's scheme; `stream` has none in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Fastcgi => "fastcgi",
            Self::Uwsgi => "uwsgi",
            Self::Suwsgi => "suwsgi",
            Self::Scgi => "scgi",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
            Self::Memcached => "memcached",
            Self::Stream => "stream",
        }
    }

    fn from_scheme(scheme: &[u8]) -> Option<Self> {
        Some(match scheme {
            b"http" => Self::Http,
            b"https" => Self::Https,
            b"fastcgi" => Self::Fastcgi,
            b"uwsgi" => Self::Uwsgi,
            b"suwsgi" => Self::Suwsgi,
            b"scgi" => Self::Scgi,
            b"grpc" => Self::Grpc,
            b"grpcs" => Self::Grpcs,
            b"memcached" => Self::Memcached,
            _ => return None,
        })
    }

    /// Whether nginx prints a URI behind the peer.
    fn prints_uri(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom nginx spoke to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upstream<'a> {
    /// The protocol.
    pub protocol: Protocol,
    /// The peer as nginx prints it (`127.0.0.1:8000`, `[::1]:8000`, `unix:/run/x.sock`), or the group's name where no peer was live.
    pub peer: &'a BStr,
    /// What nginx asked for; a client writes most of it.
    pub uri: &'a BStr,
    /// Whether the line says where the peer ends. Where not (a unix path that lost its colon), use [`Upstream::peer_among`].
    pub exact: bool,
    /// From the peer to the value's end, for [`Upstream::peer_among`].
    rest: &'a BStr,
}

impl<'a> Upstream<'a> {
    /// Splits a value as the HTTP modules print it; `None` when it has no scheme of nginx's.
    pub(super) fn parse(value: &'a [u8], end: PathEnd<'_>) -> Option<Self> {
        // The longest scheme is `memcached`.
        let head = value.get(..value.len().min(12)).unwrap_or_default();
        let colon = head.windows(3).position(|window| window == b"://")?;
        let protocol = Protocol::from_scheme(value.get(..colon)?)?;
        let rest = value.get(colon + 3..)?;
        Some(Self::split(protocol, rest, end))
    }

    /// The whole value is the peer, as the stream module prints it.
    pub(super) fn stream(value: &'a [u8]) -> Self {
        Self {
            protocol: Protocol::Stream,
            peer: value.as_bstr(),
            uri: BStr::new(""),
            exact: true,
            rest: value.as_bstr(),
        }
    }

    fn split(protocol: Protocol, rest: &'a [u8], end: PathEnd<'_>) -> Self {
        let (at, gap, exact) = if rest.starts_with(b"unix:") {
            unix_end(protocol, rest, end)
        } else {
            (
                memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len()),
                0,
                true,
            )
        };
        let (peer, uri) = rest.split_at_checked(at).unwrap_or((rest, b""));
        Self {
            protocol,
            peer: peer.as_bstr(),
            uri: uri.get(gap..).unwrap_or_default().as_bstr(),
            exact,
            rest: rest.as_bstr(),
        }
    }

    /// The longest of the configured peers that this value can begin with.
    ///
    /// For TCP, and where the line says where the path ends, only an equal one counts.
    pub fn peer_among<'k>(&self, known: impl Iterator<Item = &'k [u8]>) -> Option<&'k [u8]> {
        known
            .filter(|path| {
                if self.exact {
                    return self.peer == *path;
                }
                self.rest
                    .strip_prefix(*path)
                    .is_some_and(|after| matches!(after.first(), None | Some(b'/' | b':' | b'?')))
            })
            .max_by_key(|path| path.len())
    }
}

/// What a line tells about the end of a unix socket's path.
#[derive(Clone, Copy, Debug)]
pub(super) enum PathEnd<'m> {
    /// The message names the peer: `connect() to unix:PATH failed`.
    Named(&'m [u8]),
    /// A colon follows the path.
    Colon,
    /// nginx had cleared the address before it printed: the colon is missing (`ngx_http_upstream_next`).
    Dropped,
}

/// Where the peer ends, how many bytes then to skip, and whether the line says so.
fn unix_end(protocol: Protocol, rest: &[u8], end: PathEnd<'_>) -> (usize, usize, bool) {
    match end {
        PathEnd::Named(peer) if rest.starts_with(peer) => {
            return (
                peer.len(),
                usize::from(rest.get(peer.len()) == Some(&b':')),
                true,
            );
        }
        PathEnd::Named(_) | PathEnd::Colon => {
            let from = b"unix:".len();
            let colon = memchr::memchr_iter(b':', rest)
                .filter(|&at| at >= from)
                .find(|&at| matches!(rest.get(at + 1), None | Some(b'/')));
            if let Some(at) = colon {
                return (at, 1, true);
            }
        }
        PathEnd::Dropped => {}
    }
    if !protocol.prints_uri() {
        return (rest.len(), 0, true);
    }
    // The path stands before anything a client writes, so its first `.sock/` is the configuration's, if it has one.
    match rest.find(b".sock/") {
        Some(at) => (at + b".sock".len(), 0, false),
        None => (rest.len(), 0, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, end: PathEnd<'_>, expect: (Protocol, &str, &str, bool)) {
        let upstream = Upstream::parse(value.as_bytes(), end).unwrap();
        let got = (
            upstream.protocol,
            upstream.peer.to_str().unwrap(),
            upstream.uri.to_str().unwrap(),
            upstream.exact,
        );
        assert_eq!(got, expect, "{value}");
    }

    #[test]
    fn every_printed_form() {
        use Protocol::*;
        for (value, expect) in [
            (
                "http://127.0.0.1:8080/path?a",
                (Http, "127.0.0.1:8080", "/path?a", true),
            ),
            ("https://10.0.0.1:443", (Https, "10.0.0.1:443", "", true)),
            ("http://[::1]:8080/u", (Http, "[::1]:8080", "/u", true)),
            (
                "http://unix:/run/app.sock:/uri",
                (Http, "unix:/run/app.sock", "/uri", true),
            ),
            (
                "fastcgi://127.0.0.1:9000",
                (Fastcgi, "127.0.0.1:9000", "", true),
            ),
            (
                "fastcgi://unix:/run/php.sock:",
                (Fastcgi, "unix:/run/php.sock", "", true),
            ),
            (
                "uwsgi://unix:/run/u.sock:",
                (Uwsgi, "unix:/run/u.sock", "", true),
            ),
            (
                "memcached://127.0.0.1:11211",
                (Memcached, "127.0.0.1:11211", "", true),
            ),
            ("http://app/uri", (Http, "app", "/uri", true)),
            (
                "http://unix:/run/a:b:/u",
                (Http, "unix:/run/a:b", "/u", true),
            ),
        ] {
            check(value, PathEnd::Colon, expect);
        }
    }

    #[test]
    fn a_path_without_its_colon_is_no_exact_peer_and_a_client_cannot_lengthen_it() {
        use Protocol::*;
        for (value, expect) in [
            (
                "http://unix:/run/app.sock/u",
                (Http, "unix:/run/app.sock", "/u", false),
            ),
            (
                "http://unix:/run/app.sock/a:/b.sock/c",
                (Http, "unix:/run/app.sock", "/a:/b.sock/c", false),
            ),
            (
                "http://unix:/run/app/u",
                (Http, "unix:/run/app/u", "", false),
            ),
            (
                "fastcgi://unix:/run/php.sock",
                (Fastcgi, "unix:/run/php.sock", "", true),
            ),
        ] {
            check(value, PathEnd::Dropped, expect);
        }
    }

    #[test]
    fn the_message_names_the_path_better_than_a_colon() {
        check(
            "http://unix:/run/a:/b:/uri",
            PathEnd::Named(b"unix:/run/a:/b"),
            (Protocol::Http, "unix:/run/a:/b", "/uri", true),
        );
    }

    #[test]
    fn configured_paths_tell_where_the_peer_ends() {
        let upstream = Upstream::parse(b"http://unix:/run/app/main/u", PathEnd::Dropped).unwrap();
        let known: [&[u8]; 4] = [
            b"unix:/run/app",
            b"unix:/run/app/main",
            b"unix:/run/app/ma",
            b"127.0.0.1:1",
        ];
        assert_eq!(
            upstream.peer_among(known.into_iter()),
            Some(&b"unix:/run/app/main"[..])
        );
        let exact = Upstream::parse(b"http://127.0.0.1:10/", PathEnd::Colon).unwrap();
        assert_eq!(exact.peer_among(known.into_iter()), None);
    }

    #[test]
    fn a_value_without_a_scheme_is_none() {
        for value in [
            "http:/6.6.6.6/",
            "127.0.0.1:80",
            "",
            "ftp://x/",
            "x://http://",
        ] {
            assert!(
                Upstream::parse(value.as_bytes(), PathEnd::Colon).is_none(),
                "{value}"
            );
        }
    }
}
