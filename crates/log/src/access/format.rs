//! A compiled `log_format`: literals between variables, and what a variable's value may look like.
//!
//! A value ends at the first place where the next literal stands and the rest of the line still fits;
//! known variables have a shape, which is what keeps a client's text in one value from moving the others.

use super::{Access, value};

/// How many variables of a format are kept; the rest of a longer one is matched and dropped.
pub(super) const MAX_VALUES: usize = 64;
/// How many places are tried for a line before it is given up.
pub(super) const MAX_STEPS: u32 = 2_000;
/// `combined`, which nginx knows without being told.
const COMBINED: &[u8] = b"$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

/// The `escape=` of a `log_format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escape {
    /// `\x22` for quotes, backslashes and what is not printable.
    #[default]
    Default,
    /// As JSON strings are escaped.
    Json,
    /// Not at all: a client's text can then look like anything.
    None,
}

/// A compiled `log_format`.
#[derive(Clone, Debug)]
pub struct Format {
    pub(super) start: Vec<u8>,
    pub(super) slots: Vec<Slot>,
    pub(super) escape: Escape,
    known: [Option<usize>; KNOWN.len()],
}

/// One variable, or several without a literal between them, and the literal behind.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// Empty when several variables stand together: then none has a value of its own.
    name: String,
    pub(super) shape: Shape,
    pub(super) literal: Vec<u8>,
}

/// What a value may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Any,
    Address,
    Status,
    Number,
    Duration,
    TimeLocal,
    TimeIso8601,
    /// A list of attempts.
    Statuses,
    Durations,
    Peers,
}

/// Variables whose text no client chooses, beside those of a known shape.
const OWN: [&str; 11] = [
    "connection_time",
    "hostname",
    "nginx_version",
    "pipe",
    "request_completion",
    "request_id",
    "scheme",
    "server_addr",
    "server_name",
    "server_protocol",
    "upstream_cache_status",
];

/// The variables with an accessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    RemoteAddr,
    TimeLocal,
    TimeIso8601,
    Msec,
    Status,
    Request,
    RequestTime,
    Host,
    ServerName,
    UpstreamAddr,
    UpstreamStatus,
    UpstreamConnectTime,
    UpstreamHeaderTime,
    UpstreamResponseTime,
}

const KNOWN: [(Known, &str); 14] = [
    (Known::RemoteAddr, "remote_addr"),
    (Known::TimeLocal, "time_local"),
    (Known::TimeIso8601, "time_iso8601"),
    (Known::Msec, "msec"),
    (Known::Status, "status"),
    (Known::Request, "request"),
    (Known::RequestTime, "request_time"),
    (Known::Host, "host"),
    (Known::ServerName, "server_name"),
    (Known::UpstreamAddr, "upstream_addr"),
    (Known::UpstreamStatus, "upstream_status"),
    (Known::UpstreamConnectTime, "upstream_connect_time"),
    (Known::UpstreamHeaderTime, "upstream_header_time"),
    (Known::UpstreamResponseTime, "upstream_response_time"),
];

impl Format {
    /// Compiles the text of a `log_format`, its strings already joined as nginx joins them.
    pub fn compile(template: &[u8], escape: Escape) -> Self {
        let mut start = Vec::new();
        let mut slots: Vec<Slot> = Vec::new();
        let mut rest = template;
        while let Some(first) = rest.first() {
            if let Some((name, after)) = variable(rest) {
                match slots.last_mut() {
                    Some(slot) if slot.literal.is_empty() => {
                        slot.name.clear();
                        slot.shape = Shape::Any;
                    }
                    _ => slots.push(Slot {
                        shape: shape(&name),
                        name,
                        literal: Vec::new(),
                    }),
                }
                rest = after;
            } else {
                slots
                    .last_mut()
                    .map_or(&mut start, |slot| &mut slot.literal)
                    .push(*first);
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        let index = |name: &str| {
            slots
                .iter()
                .take(MAX_VALUES)
                .position(|slot| slot.name == name)
        };
        let known = KNOWN.map(|(_, name)| index(name));
        Self {
            start,
            slots,
            escape,
            known,
        }
    }

    /// nginx's built-in `combined`.
    pub fn combined() -> Self {
        Self::compile(COMBINED, Escape::Default)
    }

    /// How the format escapes.
    pub fn escape(&self) -> Escape {
        self.escape
    }

    /// The variables that stand on their own, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.slots
            .iter()
            .take(MAX_VALUES)
            .map(|slot| slot.name.as_str())
            .filter(|name| !name.is_empty())
    }

    /// Whether no text of a client's can be taken for a status, a time or what is said of upstreams: between it and them
    /// stands a quote, which nginx escapes in a client's text.
    pub fn is_unforgeable(&self) -> bool {
        if self.escape == Escape::None {
            return false;
        }
        let mut is_open = false;
        for slot in &self.slots {
            let ends_in_quote = match self.escape {
                Escape::Default => slot.literal.contains(&b'"'),
                Escape::Json => slot.literal.starts_with(b"\""),
                Escape::None => false,
            };
            match slot.shape {
                Shape::Any => {
                    is_open = !ends_in_quote && (is_open || !OWN.contains(&slot.name.as_str()));
                }
                // A time ends at the quote itself: nothing before it has the form of one.
                Shape::TimeLocal | Shape::TimeIso8601 if is_open && ends_in_quote => {
                    is_open = false;
                }
                _ if is_open => return false,
                _ => {}
            }
        }
        true
    }

    /// Cuts one line; `None` when this format did not write it.
    pub fn parse<'a>(&'a self, line: &'a [u8]) -> Option<Access<'a>> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let rest = line.strip_prefix(self.start.as_slice())?;
        let mut values = [&b""[..]; MAX_VALUES];
        let mut steps = MAX_STEPS;
        self.fit(0, rest, &mut values, &mut steps)
            .then_some(Access {
                format: self,
                values,
            })
    }

    pub(super) fn index_of(&self, variable: &str) -> Option<usize> {
        self.slots
            .iter()
            .take(MAX_VALUES)
            .position(|slot| slot.name == variable)
    }

    pub(super) fn known(&self, known: Known) -> Option<usize> {
        let at = KNOWN.iter().position(|(other, _)| *other == known)?;
        *self.known.get(at)?
    }

    fn fit<'a>(
        &'a self,
        idx: usize,
        rest: &'a [u8],
        values: &mut [&'a [u8]; MAX_VALUES],
        steps: &mut u32,
    ) -> bool {
        let Some(slot) = self.slots.get(idx) else {
            return rest.is_empty();
        };
        if slot.literal.is_empty() {
            if let Some(place) = values.get_mut(idx) {
                *place = rest;
            }
            return slot.shape.fits(rest) && idx + 1 == self.slots.len();
        }
        for at in memchr::memmem::find_iter(rest, &slot.literal) {
            let Some(left) = steps.checked_sub(1) else {
                return false;
            };
            *steps = left;
            let (value, after) = rest.split_at_checked(at).unwrap_or((rest, b""));
            if (self.escape == Escape::Json && slot.literal.starts_with(b"\"") && escaped(value))
                || !slot.shape.fits(value)
            {
                continue;
            }
            if let Some(place) = values.get_mut(idx) {
                *place = value;
            }
            let after = after.get(slot.literal.len()..).unwrap_or_default();
            if self.fit(idx + 1, after, values, steps) {
                return true;
            }
        }
        false
    }
}

/// Whether what stands behind `value` is escaped by its last backslashes.
pub(super) fn escaped(value: &[u8]) -> bool {
    value
        .iter()
        .rev()
        .take_while(|&&byte| byte == b'\\')
        .count()
        % 2
        == 1
}

/// `$name` or `${name}` at the start of `template`.
fn variable(template: &[u8]) -> Option<(String, &[u8])> {
    let rest = template.strip_prefix(b"$")?;
    let (name, after) = if let Some(braced) = rest.strip_prefix(b"{") {
        let end = memchr::memchr(b'}', braced)?;
        (braced.get(..end)?, braced.get(end + 1..)?)
    } else {
        let end = rest
            .iter()
            .position(|&byte| !byte.is_ascii_alphanumeric() && byte != b'_')
            .unwrap_or(rest.len());
        rest.split_at_checked(end)?
    };
    (!name.is_empty()).then(|| (String::from_utf8_lossy(name).into_owned(), after))
}

fn shape(name: &str) -> Shape {
    match name {
        "remote_addr" | "realip_remote_addr" => Shape::Address,
        "status" => Shape::Status,
        "time_local" => Shape::TimeLocal,
        "time_iso8601" => Shape::TimeIso8601,
        "msec" | "request_time" => Shape::Duration,
        "body_bytes_sent"
        | "bytes_sent"
        | "request_length"
        | "connection"
        | "connection_requests"
        | "pid"
        | "remote_port"
        | "server_port" => Shape::Number,
        "upstream_status" => Shape::Statuses,
        "upstream_addr" => Shape::Peers,
        "upstream_response_time"
        | "upstream_header_time"
        | "upstream_connect_time"
        | "upstream_queue_time"
        | "upstream_first_byte_time" => Shape::Durations,
        _ => Shape::Any,
    }
}

impl Shape {
    pub(super) fn fits(self, text: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Address => !text.is_empty() && !text.contains(&b' '),
            Self::Status => value::status(text).is_some() || text == b"-",
            Self::Number => {
                text == b"-" || (!text.is_empty() && text.iter().all(u8::is_ascii_digit))
            }
            Self::Duration => value::milliseconds(text).is_some() || text == b"-",
            Self::TimeLocal => value::time_local(text).is_some(),
            Self::TimeIso8601 => value::iso8601(text).is_some(),
            Self::Statuses => Self::list(text, |entry| Self::Status.fits(entry)),
            Self::Durations => Self::list(text, |entry| Self::Duration.fits(entry)),
            Self::Peers => Self::list(text, |entry| !entry.is_empty()),
        }
    }

    fn list(text: &[u8], fits: impl Fn(&[u8]) -> bool) -> bool {
        // Nothing but separators has spaces: `, ` and ` : `.
        let mut words = text.split(|&byte| byte == b' ').peekable();
        while let Some(word) = words.next() {
            let last = words.peek().is_none();
            if word == b":" {
                if last {
                    return false;
                }
                continue;
            }
            let entry = match (word.strip_suffix(b","), last) {
                (Some(_), true) => return false,
                (Some(entry), false) => entry,
                (None, true) => word,
                (None, false) if words.peek() == Some(&&b":"[..]) => word,
                (None, false) => return false,
            };
            if !fits(entry) {
                // An empty variable is written as `-`, or as nothing with `escape=none`.
                return text.is_empty();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bstr::ByteSlice as _;
    use proptest::prelude::*;

    #[test]
    fn a_clients_text_is_kept_from_the_rest_by_quotes() {
        let is_unforgeable =
            |template: &str, escape| Format::compile(template.as_bytes(), escape).is_unforgeable();
        for (template, expected) in [
            (
                r#"$remote_addr - $remote_user [$time_local] "$request" $status "$http_user_agent" $upstream_addr $upstream_status"#,
                true,
            ),
            (
                r#"$remote_addr [$time_local] "$request" $status us=$upstream_status ua=$http_user_agent"#,
                true,
            ),
            (
                "$remote_addr [$time_local] $status ua=$http_user_agent us=$upstream_status",
                false,
            ),
            ("$host $status $upstream_status", false),
            ("$server_name $request_id $status $upstream_status", true),
            ("$remote_user$http_x $status", false),
        ] {
            assert_eq!(
                is_unforgeable(template, Escape::Default),
                expected,
                "{template}"
            );
            assert!(!is_unforgeable(template, Escape::None), "{template}");
        }
        let json = r#"{"ua":"$http_user_agent","us":"$upstream_status"}"#;
        assert!(is_unforgeable(json, Escape::Json));
        assert!(!is_unforgeable(
            r#"{"ua":$http_x ,"us":"$upstream_status"}"#,
            Escape::Json
        ));
    }

    const LINE: &[u8] = b"203.0.113.7 - - [21/Nov/2026:01:43:17 +0100] \"GET /a HTTP/1.1\" 502 157 \"-\" \"curl/8\"\n";

    #[test]
    fn combined_is_cut_into_its_variables() {
        let format = Format::combined();
        let access = format.parse(LINE).unwrap();
        assert_eq!(access.remote_addr().unwrap(), "203.0.113.7");
        assert_eq!(access.status(), Some(502));
        assert_eq!(access.time(), Some(1_795_221_797));
        assert_eq!(
            access.local_time(),
            crate::LocalTime::parse(b"2026/11/21 01:43:17")
        );
        assert_eq!(access.request().unwrap(), "GET /a HTTP/1.1");
        assert_eq!(access.get("http_user_agent").unwrap(), "curl/8");
        assert_eq!(access.get("host"), None);
        assert_eq!(access.attempts().count(), 0);
    }

    #[test]
    fn a_user_name_cannot_move_the_other_values() {
        let format = Format::combined();
        let line = b"203.0.113.7 - a [21/Nov/2026 b [21/Nov/2026:01:43:17 +0100] \"GET /a HTTP/1.1\" 502 157 \"-\" \"-\"";
        let access = format.parse(line).unwrap();
        assert_eq!(access.get("remote_user").unwrap(), "a [21/Nov/2026 b");
        assert_eq!(access.status(), Some(502));
    }

    #[test]
    fn lists_may_hold_the_separator_of_the_format() {
        let format = Format::compile(
            b"$status $upstream_addr $upstream_status $upstream_header_time $request_time $host",
            Escape::Default,
        );
        let access = format
            .parse(b"200 [::1]:80, 127.0.0.1:80 502, 200 -, 0.010 0.011 example.com")
            .unwrap();
        let attempts: Vec<_> = access
            .attempts()
            .map(|a| (a.addr.unwrap().to_string(), a.status, a.header_time))
            .collect();
        assert_eq!(
            attempts,
            [
                ("[::1]:80".into(), Some(502), None),
                ("127.0.0.1:80".into(), Some(200), Some(10))
            ]
        );
        assert_eq!(access.request_time(), Some(11));
        assert_eq!(access.host().unwrap(), "example.com");
    }

    #[test]
    fn json_strings_end_at_a_quote_that_is_not_escaped() {
        let format = Format::compile(b"{\"uri\":\"$request_uri\",\"status\":$status,\"us\":\"$upstream_status\",\"t\":\"$msec\"}", Escape::Json);
        let line = br#"{"uri":"/a\",\"status\":200,\"us\":\"200","status":502,"us":"502","t":"1795221797.123"}"#;
        let access = format.parse(line).unwrap();
        assert_eq!(access.status(), Some(502));
        assert_eq!(access.time_milliseconds(), Some(1_795_221_797_123));
        assert_eq!(access.attempts().next().unwrap().status, Some(502));
    }

    #[test]
    fn variables_without_a_literal_between_have_no_value_of_their_own() {
        let format = Format::compile(b"$scheme://$host$request_uri ${status}x", Escape::Default);
        let access = format.parse(b"http://example.com/a b 200x").unwrap();
        assert_eq!(access.host(), None);
        assert_eq!(access.status(), Some(200));
        assert_eq!(format.variables().collect::<Vec<_>>(), ["scheme", "status"]);
    }

    #[test]
    fn lines_of_another_format_are_none() {
        let format = Format::combined();
        for line in [
            "",
            "x",
            "203.0.113.7 - - [yesterday] \"GET / HTTP/1.1\" 502 157 \"-\" \"-\"",
            "2026/11/21 01:43:17 [error] 1#1: x",
        ] {
            assert!(format.parse(line.as_bytes()).is_none(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_lines_and_formats_never_panic(template: Vec<u8>, line: Vec<u8>) {
            let _ = Format::compile(&template, Escape::Json).parse(&line);
            let _ = Format::combined().parse(&line);
        }

        #[test]
        fn what_a_client_writes_moves_nothing_else(user in "[ -!#-\\[\\]-~]{1,40}", referrer in "[ -!#-\\[\\]-~]{0,80}") {
            let format = Format::combined();
            let line = format!("203.0.113.7 - {user} [21/Nov/2026:01:43:17 +0100] \"GET /a HTTP/1.1\" 502 157 \"{referrer}\" \"-\"");
            let access = format.parse(line.as_bytes()).unwrap();
            prop_assert_eq!(access.status(), Some(502));
            prop_assert_eq!(access.get("http_referer").unwrap().as_bytes(), referrer.as_bytes());
            prop_assert_eq!(access.remote_addr().unwrap().as_bytes(), b"203.0.113.7");
        }
    }
}
