//! Cuts the lines of a whole log, of which only a few variables are asked.
//!
//! It finds what [`Format::parse`] finds, and takes the first place at which a value may end for the right one; where the
//! rest of the line then does not fit, the line is left to [`Format::parse`].

use super::format::{Escape, Format, Known, MAX_STEPS, Shape, escaped};
use super::{Access, Attempt, Attempts, value};
use crate::time::LocalTime;

/// Which variable tells the time, the best first: only the first two are by nginx's own clock.
pub(super) const TIMES: [Known; 3] = [Known::TimeLocal, Known::TimeIso8601, Known::Msec];

/// What is asked of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Time,
    Status,
    Client,
    Request,
    Host,
    Peers,
    Statuses,
    ResponseTimes,
}

const ROLES: usize = 8;
type Values<'l> = [Option<&'l [u8]>; ROLES];

/// A format made ready for many lines.
#[derive(Clone, Debug)]
pub(crate) struct Cutter<'f> {
    format: &'f Format,
    slots: Vec<Slot<'f>>,
    /// Where in the format each role's variable is.
    roles: [Option<usize>; ROLES],
    /// The request's variable is its whole line.
    is_request_line: bool,
    /// The last line's time, as it is spelled.
    spelled: Vec<u8>,
    time: Option<LocalTime>,
}

#[derive(Clone, Debug)]
struct Slot<'f> {
    shape: Shape,
    role: Option<usize>,
    literal: &'f [u8],
    /// The literal's first byte.
    first: Option<u8>,
    /// The line ends behind it.
    is_last: bool,
    /// No two places where the literal stands can overlap.
    is_plain: bool,
}

/// What a line tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut<'l> {
    /// By the log's own clock.
    pub(crate) time: Option<LocalTime>,
    values: Values<'l>,
    is_request_line: bool,
}

impl<'f> Cutter<'f> {
    pub(crate) fn new(format: &'f Format) -> Self {
        let time = TIMES.into_iter().find_map(|known| format.known(known));
        let request = format.known(Known::Request);
        let uri = || {
            ["request_uri", "uri"]
                .into_iter()
                .find_map(|name| format.index_of(name))
        };
        let host = format
            .known(Known::Host)
            .or_else(|| format.index_of("http_host"));
        let roles = [
            time,
            format.known(Known::Status),
            format.known(Known::RemoteAddr),
            request.or_else(uri),
            host,
            format.known(Known::UpstreamAddr),
            format.known(Known::UpstreamStatus),
            format.known(Known::UpstreamResponseTime),
        ];
        let last = format.slots.len().saturating_sub(1);
        let slots = format.slots.iter().enumerate().map(|(index, slot)| Slot {
            shape: slot.shape,
            role: roles.iter().position(|role| *role == Some(index)),
            literal: &slot.literal,
            first: slot.literal.first().copied(),
            is_last: index == last,
            is_plain: !repeats(&slot.literal),
        });
        Self {
            format,
            slots: slots.collect(),
            roles,
            is_request_line: request.is_some(),
            spelled: Vec::new(),
            time: None,
        }
    }

    /// Cuts one line, as [`Format::parse`] does.
    #[inline]
    pub(crate) fn cut<'l>(&mut self, line: &'l [u8]) -> Option<Cut<'l>>
    where
        'f: 'l,
    {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut values = [None; ROLES];
        if !self.fits(line, &mut values) {
            values = self.roles(&self.format.parse(line)?);
        }
        let [time, ..] = values;
        if let Some(text) = time
            && text != self.spelled
        {
            self.time = value::local_time(text);
            self.spelled.clear();
            self.spelled.extend_from_slice(text);
        }
        Some(Cut {
            time: time.and(self.time),
            values,
            is_request_line: self.is_request_line,
        })
    }

    /// Whether the line fits with each value ended as soon as it can be: then no other way comes before this one.
    /// What says no may fit in another way.
    #[inline]
    fn fits<'l>(&self, line: &'l [u8], values: &mut Values<'l>) -> bool {
        // A place is tried at most once: so short a line is never given up.
        if line.len() >= MAX_STEPS as usize {
            return false;
        }
        let Some(mut rest) = line.strip_prefix(self.format.start.as_slice()) else {
            return false;
        };
        for slot in &self.slots {
            let Some((value, after)) = self.first_that_fits(slot, rest) else {
                return false;
            };
            if let Some(place) = slot.role.and_then(|role| values.get_mut(role)) {
                *place = Some(value);
            }
            rest = after;
        }
        rest.is_empty()
    }

    /// The value, and what stands behind its literal.
    #[inline]
    fn first_that_fits<'l>(&self, slot: &Slot<'_>, rest: &'l [u8]) -> Option<(&'l [u8], &'l [u8])> {
        let Some(first) = slot.first else {
            return (slot.is_last && slot.shape.fits(rest)).then_some((rest, b"".as_slice()));
        };
        if slot.is_last && slot.is_plain {
            let value = rest.strip_suffix(slot.literal)?;
            return self.takes(slot, value).then_some((value, b"".as_slice()));
        }
        // No shorter text that this one begins with is a time.
        if slot.role == Some(Role::Time as usize)
            && matches!(slot.shape, Shape::TimeLocal | Shape::TimeIso8601)
            && let Some(after) = rest.strip_prefix(self.spelled.as_slice())
            && let Some(after) = after.strip_prefix(slot.literal)
            && !self.spelled.is_empty()
            && slot.is_plain
            && (!slot.is_last || after.is_empty())
            && !(self.format.escape == Escape::Json && first == b'"' && escaped(&self.spelled))
        {
            return Some((rest.get(..self.spelled.len())?, after));
        }
        let mut from = 0;
        loop {
            let at = from + memchr::memchr(first, rest.get(from..)?)?;
            let (value, behind) = rest.split_at_checked(at)?;
            let Some(after) = behind.strip_prefix(slot.literal) else {
                from = at + 1;
                continue;
            };
            if (after.is_empty() || !slot.is_last) && self.takes(slot, value) {
                return Some((value, after));
            }
            from = at + slot.literal.len();
        }
    }

    #[inline]
    fn takes(&self, slot: &Slot<'_>, value: &[u8]) -> bool {
        let is_inside =
            self.format.escape == Escape::Json && slot.first == Some(b'"') && escaped(value);
        !is_inside && slot.shape.fits(value)
    }

    #[cold]
    fn roles<'l>(&self, access: &Access<'l>) -> Values<'l> {
        self.roles.map(|index| access.values.get(index?).copied())
    }
}

/// Whether a text ends as it begins, so that two of it may overlap.
fn repeats(text: &[u8]) -> bool {
    (1..text.len())
        .any(|length| text.starts_with(text.get(text.len() - length..).unwrap_or_default()))
}

impl<'l> Cut<'l> {
    fn value(&self, role: Role) -> Option<&'l [u8]> {
        *self.values.get(role as usize)?
    }

    /// The status that the client got.
    #[inline]
    pub(crate) fn status(&self) -> Option<u16> {
        value::status(self.value(Role::Status)?)
    }

    /// The client's address.
    pub(crate) fn client(&self) -> Option<&'l [u8]> {
        self.value(Role::Client).filter(|value| is_told(value))
    }

    /// The path of the request, still escaped, without its query.
    pub(crate) fn path(&self) -> Option<&'l [u8]> {
        let text = self.value(Role::Request)?;
        let target = if self.is_request_line {
            target(text)
        } else {
            text
        };
        let end = memchr::memchr(b'?', target).unwrap_or(target.len());
        target.get(..end).filter(|value| is_told(value))
    }

    /// The Host header.
    pub(crate) fn host(&self) -> Option<&'l [u8]> {
        self.value(Role::Host).filter(|value| is_told(value))
    }

    /// The attempts at peers, without the times to connect and to the header.
    #[inline]
    pub(crate) fn attempts(&self, mut each: impl FnMut(&Attempt<'l>)) {
        // Without peers there is nothing to tell apart.
        let Some(peers) = self.value(Role::Peers) else {
            return;
        };
        let statuses = self.value(Role::Statuses);
        let times = self.value(Role::ResponseTimes);
        let is_list = |list: Option<&[u8]>| list.is_some_and(|list| list.contains(&b' '));
        if is_list(Some(peers)) || is_list(statuses) || is_list(times) {
            for attempt in Attempts::new(Some(peers), statuses, None, None, times) {
                each(&attempt);
            }
        } else if is_told(peers) {
            each(&Attempt {
                addr: Some(peers.into()),
                status: statuses.and_then(value::status),
                connect_time: None,
                header_time: None,
                response_time: times.and_then(value::milliseconds),
                after_redirect: false,
            });
        }
    }
}

fn is_told(value: &[u8]) -> bool {
    !matches!(value, b"" | b"-")
}

/// What stands between the method and the protocol.
fn target(request: &[u8]) -> &[u8] {
    let Some((_, target)) = bstr::ByteSlice::split_once_str(request, b" ") else {
        return request;
    };
    match bstr::ByteSlice::rsplit_once_str(target, b" ") {
        Some((target, protocol)) if protocol.starts_with(b"HTTP/") => target,
        _ => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bstr::ByteSlice as _;
    use proptest::prelude::*;
    use proptest::sample::select;

    const FORMATS: &[(&str, Escape)] = &[
        (
            r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#,
            Escape::Default,
        ),
        (
            r#"$remote_addr [$time_iso8601] $host "$request" $status $upstream_addr $upstream_status $upstream_response_time $request_time"#,
            Escape::Default,
        ),
        (
            r#"{"t":"$time_iso8601","r":"$request","s":$status,"h":"$http_host","ua":"$http_user_agent","p":"$upstream_addr","ps":"$upstream_status"}"#,
            Escape::Json,
        ),
        ("$msec $status $uri $http_a aa", Escape::None),
        ("$status aa$http_a aa", Escape::Default),
        ("$time_local $status $request", Escape::Default),
        ("$time_local", Escape::Json),
        ("\"$time_local\"$status\"", Escape::Json),
    ];

    /// Pieces of lines, good and bad, from which most lines come out nearly right.
    const PIECES: &[&str] = &[
        "203.0.113.7",
        " - ",
        "-",
        " ",
        "\"",
        "\\",
        "\\\"",
        "\\x22",
        " [",
        "] ",
        "] \"",
        "\" ",
        "\" \"",
        ", ",
        " : ",
        "21/Nov/2026:01:43:17 +0100",
        "21/Nov/2026:01:43:18 +0100",
        "2026-11-21T01:43:17+01:00",
        "1795221797.123",
        "GET /a?b HTTP/1.1",
        "502",
        "200",
        "0.010",
        "157",
        "unix:/run/a.sock",
        "10.0.0.1:80",
        "{\"t\":\"",
        "\",\"r\":\"",
        "\",\"s\":",
        ",\"h\":\"",
        "\"}",
        " aa",
        "aa aa",
        "\r",
        "?",
        "example.com",
    ];

    /// A line of the format, some of whose values are not what they should be.
    fn lines(template: &'static str) -> impl Strategy<Value = Vec<u8>> {
        let values = proptest::collection::vec(
            (0..8_u8, proptest::collection::vec(select(PIECES), 0..4)),
            16,
        );
        (values, any::<bool>()).prop_map(move |(values, is_broken)| {
            let mut line = String::new();
            let mut values = values.into_iter();
            let mut rest = template;
            while let Some((literal, after)) = rest.split_once('$') {
                line.push_str(literal);
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let (name, after) = after.split_at(end.unwrap_or(after.len()));
                rest = after;
                let (luck, pieces) = values.next().unwrap();
                let right = match name {
                    "time_local" if luck == 1 => "22/Nov/2026:01:43:17 +0100",
                    "time_local" => "21/Nov/2026:01:43:17 +0100",
                    "time_iso8601" => "2026-11-21T01:43:17+01:00",
                    "msec" => "1795221797.123",
                    "status" => "502",
                    "body_bytes_sent" => "157",
                    "upstream_addr" if luck == 1 => "10.0.0.1:80, 10.0.0.2:80 : -",
                    "upstream_addr" => "10.0.0.1:80",
                    "upstream_status" if luck == 2 => "502, 200 : 404",
                    "upstream_status" => "504",
                    "upstream_response_time" if luck == 3 => "0.001, - : 0.002",
                    "upstream_response_time" | "request_time" => "0.010",
                    "remote_addr" => "203.0.113.7",
                    _ => "",
                };
                if right.is_empty() || (is_broken && luck == 0) {
                    line.push_str(&pieces.concat());
                } else {
                    line.push_str(right);
                }
            }
            line.push_str(rest);
            line.into_bytes()
        })
    }

    fn agrees(cutter: &mut Cutter<'_>, line: &[u8]) -> Result<(), TestCaseError> {
        let format = cutter.format;
        let slow = format.parse(line);
        let fast = cutter.cut(line);
        prop_assert_eq!(slow.is_some(), fast.is_some());
        let (Some(slow), Some(fast)) = (slow, fast) else {
            return Ok(());
        };
        prop_assert_eq!(slow.local_time(), fast.time);
        prop_assert_eq!(slow.status(), fast.status());
        let told = |value: Option<&bstr::BStr>| {
            value
                .map(|value| value.to_vec())
                .filter(|value| is_told(value))
        };
        prop_assert_eq!(told(slow.remote_addr()), fast.client().map(<[u8]>::to_vec));
        prop_assert_eq!(
            told(slow.host().or_else(|| slow.get("http_host"))),
            fast.host().map(<[u8]>::to_vec)
        );
        prop_assert_eq!(
            slow.request()
                .or_else(|| slow.get("uri"))
                .map(|text| text.as_bytes()),
            fast.value(Role::Request)
        );
        let mut attempts = Vec::new();
        fast.attempts(|attempt| {
            attempts.push((attempt.addr, attempt.status, attempt.response_time));
        });
        attempts.retain(|attempt| attempt.0.is_some());
        let expected = slow.attempts().filter(|attempt| attempt.addr.is_some());
        let expected: Vec<_> = expected
            .map(|attempt| (attempt.addr, attempt.status, attempt.response_time))
            .collect();
        prop_assert_eq!(attempts, expected);
        Ok(())
    }

    #[test]
    fn paths_are_what_was_asked_without_the_query() {
        for (request, path) in [
            ("GET /a?b=/c HTTP/1.1", "/a"),
            ("GET /a b HTTP/1.1", "/a b"),
            ("GET /a", "/a"),
            (
                "GET http://example.com/a?b HTTP/1.0",
                "http://example.com/a",
            ),
            (r"\x16\x03\x01", r"\x16\x03\x01"),
        ] {
            let format = Format::compile(b"$request", Escape::Default);
            let mut cutter = Cutter::new(&format);
            let cut = cutter.cut(request.as_bytes()).unwrap();
            assert_eq!(cut.path().unwrap().as_bstr(), path);
        }
    }

    #[test]
    fn most_lines_need_no_second_look() {
        let format = Format::combined();
        let cutter = Cutter::new(&format);
        let line = br#"203.0.113.7 - - [21/Nov/2026:01:43:17 +0100] "GET /a HTTP/1.1" 502 157 "-" "curl/8""#;
        assert!(cutter.fits(line, &mut [None; ROLES]));
    }

    proptest! {
        #[test]
        fn it_finds_what_the_slow_way_finds(
            (which, lines) in (0..FORMATS.len()).prop_flat_map(|which| {
                let pieces = proptest::collection::vec(select(PIECES), 0..24).prop_map(|pieces| pieces.concat().into_bytes());
                let line = prop_oneof![4 => lines(FORMATS[which].0), 1 => pieces];
                (Just(which), proptest::collection::vec(line, 1..8))
            }),
        ) {
            let (template, escape) = FORMATS[which];
            let format = Format::compile(template.as_bytes(), escape);
            let mut cutter = Cutter::new(&format);
            for line in &lines {
                agrees(&mut cutter, line)?;
            }
        }

        #[test]
        fn any_format_and_any_line(template in "(\\$status|\\$time_local|\\$msec|\\$uri|\\$a|[ \"a\\[\\]]){0,6}", line in "([ \"a\\[\\]]|502|21/Nov/2026:01:43:17 \\+0100){0,8}", escape in select(&[Escape::Default, Escape::Json, Escape::None][..])) {
            let format = Format::compile(template.as_bytes(), escape);
            let mut cutter = Cutter::new(&format);
            agrees(&mut cutter, line.as_bytes())?;
            agrees(&mut cutter, line.as_bytes())?;
        }
    }
}
