//! The `$upstream_*` lists: one entry an attempt, `, ` between attempts, ` : ` where nginx redirected internally.

use super::value;
use bstr::{BStr, ByteSlice as _};

/// One attempt at a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// The peer, or the group's name where none was live.
    pub addr: Option<&'a BStr>,
    /// The status: the application's, or nginx's own when there is no `header_time`.
    pub status: Option<u16>,
    /// Milliseconds to connect, TLS included.
    pub connect_time: Option<u64>,
    /// Milliseconds to the response header; without it the status is nginx's own.
    pub header_time: Option<u64>,
    /// Milliseconds to the end of the response.
    pub response_time: Option<u64>,
    /// It belongs to a later internal redirect than the attempt before it.
    pub after_redirect: bool,
}

/// Iterates over the attempts of a line.
#[derive(Clone, Debug)]
pub struct Attempts<'a> {
    addr: List<'a>,
    status: List<'a>,
    connect_time: List<'a>,
    header_time: List<'a>,
    response_time: List<'a>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(
        addr: Option<&'a [u8]>,
        status: Option<&'a [u8]>,
        connect_time: Option<&'a [u8]>,
        header_time: Option<&'a [u8]>,
        response_time: Option<&'a [u8]>,
    ) -> Self {
        Self {
            addr: List::new(addr),
            status: List::new(status),
            connect_time: List::new(connect_time),
            header_time: List::new(header_time),
            response_time: List::new(response_time),
        }
    }
}

impl<'a> Iterator for Attempts<'a> {
    type Item = Attempt<'a>;

    fn next(&mut self) -> Option<Attempt<'a>> {
        let addr = self.addr.next();
        let status = self.status.next();
        let connect = self.connect_time.next();
        let header = self.header_time.next();
        let response = self.response_time.next();
        let after_redirect = [addr, status, connect, header, response]
            .iter()
            .flatten()
            .any(|entry| entry.1);
        if [addr, status, connect, header, response]
            .iter()
            .all(Option::is_none)
        {
            return None;
        }
        let time = |entry: Option<(&[u8], bool)>| value::milliseconds(entry?.0);
        Some(Attempt {
            addr: addr
                .map(|entry| entry.0.as_bstr())
                .filter(|addr| *addr != "-"),
            status: status.and_then(|entry| value::status(entry.0)),
            connect_time: time(connect),
            header_time: time(header),
            response_time: time(response),
            after_redirect,
        })
    }
}

/// One list; yields an entry and whether ` : ` stands before it.
#[derive(Clone, Debug)]
struct List<'a> {
    rest: Option<&'a [u8]>,
    redirected: bool,
}

impl<'a> List<'a> {
    fn new(text: Option<&'a [u8]>) -> Self {
        // A lone `-` is an empty list: no upstream was tried.
        Self {
            rest: text.filter(|text| *text != b"-" && !text.is_empty()),
            redirected: false,
        }
    }
}

impl<'a> Iterator for List<'a> {
    type Item = (&'a [u8], bool);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let redirected = self.redirected;
        let cut = memchr::memchr_iter(b' ', rest).find_map(|at| {
            let before = rest.get(..at)?;
            let after = rest.get(at + 1..)?;
            if let Some(entry) = before.strip_suffix(b",") {
                return Some((entry, after, false));
            }
            Some((before, after.strip_prefix(b": ")?, true))
        });
        self.rest = cut.map(|(_, after, _)| after);
        self.redirected = cut.is_some_and(|(_, _, redirect)| redirect);
        Some((cut.map_or(rest, |(entry, ..)| entry), redirected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_zipped_over_redirects() {
        let attempts: Vec<_> = Attempts::new(
            Some(b"[::1]:80, 127.0.0.1:80 : unix:/run/a.sock"),
            Some(b"502, 200 : 404"),
            Some(b"-, 0.001 : 0.000"),
            Some(b"-, 0.010 : 0.002"),
            Some(b"0.000, 0.010 : 0.002"),
        )
        .collect();
        let short: Vec<_> = attempts
            .iter()
            .map(|a| {
                (
                    a.addr.unwrap().to_string(),
                    a.status,
                    a.header_time,
                    a.after_redirect,
                )
            })
            .collect();
        assert_eq!(
            short,
            [
                ("[::1]:80".to_owned(), Some(502), None, false),
                ("127.0.0.1:80".to_owned(), Some(200), Some(10), false),
                ("unix:/run/a.sock".to_owned(), Some(404), Some(2), true),
            ]
        );
    }

    #[test]
    fn a_dash_is_no_attempt() {
        assert_eq!(
            Attempts::new(Some(b"-"), Some(b"-"), None, None, None).count(),
            0
        );
        assert_eq!(Attempts::new(None, None, None, None, None).count(), 0);
        let one = Attempts::new(Some(b"app"), Some(b"502"), Some(b"-"), None, Some(b"0.000"))
            .next()
            .unwrap();
        assert_eq!(
            (one.status, one.connect_time, one.response_time),
            (Some(502), None, Some(0))
        );
    }
}
