//! What comes back, read as each protocol has it: far enough to tell whether the peer speaks it, and what it says.

use std::time::Duration;

use facts::exchange::{End, Exchange, Head, Header, RECEIVED};
use facts::{Hello, Speech};

use super::super::request::{Body, MOST_HEADERS, Parsed, header, parse};
use super::frames::{self, Frame};

/// Larger response headers than nginx takes by far.
const MOST_HEAD: usize = 64 << 10;
/// What is said in words is short.
const MOST_SAID: usize = 100;

/// What was made of some bytes.
pub(super) enum Heard {
    /// More has to come.
    More,
    /// It says enough; the rest is taken in where it comes soon.
    Enough,
    /// All there is.
    Whole,
    /// This is not the protocol; why.
    Foreign(&'static str),
}

/// See the module.
pub(super) enum Reader {
    /// Nothing is expected.
    Nothing,
    /// The first bytes, whatever they are.
    First,
    /// HTTP, or the same with CGI's headers.
    Http(Http),
    FastCgi(FastCgi),
    Grpc(Grpc),
    Memcached(Vec<u8>),
}

impl Reader {
    pub(super) fn of(speech: &Speech) -> Self {
        match speech {
            Speech::Nothing | Speech::Hello(Hello::Tls { .. }) => Self::Nothing,
            Speech::Hello(_) => Self::First,
            Speech::Http(_) => Self::Http(Http::new(false)),
            Speech::Uwsgi(_) | Speech::Scgi(_) => Self::Http(Http::new(true)),
            Speech::FastCgi(_) => Self::FastCgi(FastCgi::default()),
            Speech::GrpcHealth { .. } => Self::Grpc(Grpc::default()),
            Speech::Memcached => Self::Memcached(Vec::new()),
        }
    }

    /// Whether a connection, or a handshake, is all that is wanted.
    pub(super) fn wants_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Whether nothing is read any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Nothing | Self::First)
    }

    /// Takes in what came. What has to be answered goes into `reply`.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        after: Duration,
        exchange: &mut Exchange,
        reply: &mut Vec<u8>,
    ) -> Heard {
        let (heard, seen): (Heard, &[u8]) = match self {
            Self::Nothing => return Heard::Whole,
            Self::First => {
                exchange.received = bytes.iter().take(RECEIVED).copied().collect();
                return Heard::Whole;
            }
            Self::Http(http) => (http.take(bytes, after, exchange), &http.bytes),
            Self::FastCgi(fastcgi) => (fastcgi.take(bytes, after, exchange), &fastcgi.bytes),
            Self::Grpc(grpc) => (grpc.take(bytes, after, exchange, reply), &grpc.bytes),
            Self::Memcached(line) => {
                line.extend_from_slice(bytes);
                (memcached(line, exchange), line)
            }
        };
        if matches!(heard, Heard::Foreign(_)) {
            exchange.received = seen.iter().take(RECEIVED).copied().collect();
        }
        heard
    }

    /// The peer closed.
    pub(super) fn closed(&mut self, exchange: &mut Exchange) -> End {
        match self {
            Self::Nothing => End::Closed,
            Self::Http(http) if http.ends_with_connection() => End::Whole,
            // nginx takes a script's header without its end record, too.
            Self::FastCgi(_) if exchange.head.is_some() => End::Whole,
            _ => End::Closed,
        }
    }
}

/// A response of HTTP/1, or of CGI.
pub(super) struct Http {
    is_cgi: bool,
    /// As long as the header is not whole.
    bytes: Vec<u8>,
    body: Option<Body>,
}

impl Http {
    fn new(is_cgi: bool) -> Self {
        Self {
            is_cgi,
            bytes: Vec::new(),
            body: None,
        }
    }

    fn ends_with_connection(&self) -> bool {
        self.body.as_ref().is_some_and(Body::ends_with_connection)
    }

    fn take(&mut self, bytes: &[u8], after: Duration, exchange: &mut Exchange) -> Heard {
        if let Some(body) = &mut self.body {
            body.take(bytes);
            exchange.body = body.bytes;
            return if body.is_whole() {
                Heard::Whole
            } else {
                Heard::Enough
            };
        }
        let from = self.bytes.len().saturating_sub(3);
        self.bytes.extend_from_slice(bytes);
        let is_status_line = self.bytes.starts_with(b"HTTP/");
        if !is_status_line && self.bytes.len() >= 5 && !self.is_cgi {
            return Heard::Foreign("no HTTP response");
        }
        let is_text = |byte: &u8| byte.is_ascii_graphic();
        if self.is_cgi && !self.bytes.first().is_some_and(is_text) {
            return Heard::Foreign("no response header");
        }
        // Parsed only when it may be whole: who sends it byte by byte must not have it parsed as often.
        let new = self.bytes.get(from..).unwrap_or_default();
        if !has_end(new) {
            return if self.bytes.len() < MOST_HEAD {
                Heard::More
            } else {
                Heard::Foreign("a header without end")
            };
        }
        let parsed = if self.is_cgi && !is_status_line {
            parse_cgi(&self.bytes)
        } else {
            parse(&self.bytes)
        };
        match parsed {
            Parsed::Whole(head, length) if head.status < 200 => {
                // An interim response (RFC 9110, 15.2) comes before the one that was asked for.
                let rest = self.bytes.split_off(length.min(self.bytes.len()));
                self.bytes.clear();
                if rest.is_empty() {
                    Heard::More
                } else {
                    self.take(&rest, after, exchange)
                }
            }
            Parsed::Whole(mut head, length) => {
                head.after = after;
                let rest = self.bytes.split_off(length.min(self.bytes.len()));
                let body = self.body.insert(Body::of(&head));
                exchange.head = Some(head);
                body.take(&rest);
                exchange.body = body.bytes;
                if body.is_whole() {
                    Heard::Whole
                } else {
                    Heard::Enough
                }
            }
            Parsed::Part => Heard::More,
            Parsed::Foreign if is_status_line => Heard::Foreign("a doubtful header"),
            Parsed::Foreign => Heard::Foreign("no HTTP response"),
        }
    }
}

fn has_end(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"\n\r\n").is_some()
        || memchr::memmem::find(bytes, b"\n\n").is_some()
}

/// A header without a status line: `Status` gives it, or it is 200, or 302 with a `Location` (RFC 3875, 6.3).
fn parse_cgi(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let (length, headers) = match httparse::parse_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(parsed)) => parsed,
        Ok(httparse::Status::Partial) => return Parsed::Part,
        Err(_) => return Parsed::Foreign,
    };
    let has = |name: &str| {
        headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
    };
    let status = match has("status") {
        Some(status) => std::str::from_utf8(status.value)
            .ok()
            .and_then(|value| value.split(' ').next()?.parse().ok()),
        None if has("location").is_some() => Some(302),
        None => Some(200),
    };
    let Some(status) = status else {
        return Parsed::Foreign;
    };
    let headers: Vec<Header> = headers.iter().map(header).collect();
    Parsed::Whole(
        Head {
            status,
            after: Duration::ZERO,
            bytes: u64::try_from(length).unwrap_or(u64::MAX),
            headers,
        },
        length,
    )
}

/// FastCGI's records, with the response in those of standard output.
#[derive(Default)]
pub(super) struct FastCgi {
    bytes: Vec<u8>,
    http: Option<Http>,
}

impl FastCgi {
    fn take(&mut self, bytes: &[u8], after: Duration, exchange: &mut Exchange) -> Heard {
        const END_REQUEST: u8 = 3;
        const STDOUT: u8 = 6;
        self.bytes.extend_from_slice(bytes);
        let mut heard = Heard::More;
        while let Some((head, rest)) = self.bytes.split_first_chunk::<8>() {
            let [version, kind, _, _, a, b, padding, _] = *head;
            if version != 1 {
                return Heard::Foreign("no FastCGI record");
            }
            let length = usize::from(u16::from_be_bytes([a, b]));
            let Some(content) = rest.get(..length + usize::from(padding)) else {
                break;
            };
            let content = content.get(..length).unwrap_or_default().to_vec();
            let whole = 8 + length + usize::from(padding);
            match kind {
                STDOUT if !content.is_empty() => {
                    let http = self.http.get_or_insert_with(|| Http::new(true));
                    match http.take(&content, after, exchange) {
                        foreign @ Heard::Foreign(_) => return foreign,
                        Heard::Enough | Heard::Whole => heard = Heard::Enough,
                        Heard::More => {}
                    }
                }
                END_REQUEST => {
                    // Its protocol status, behind the application's: 0 is a request that was taken.
                    let refused = content.get(4).copied().unwrap_or(0);
                    exchange.said = Some(match refused {
                        0 => "FastCGI request complete".to_owned(),
                        1 => "FastCGI cannot multiplex connections".to_owned(),
                        2 => "FastCGI overloaded".to_owned(),
                        other => format!("FastCGI protocol status {other}"),
                    });
                    return Heard::Whole;
                }
                _ => {}
            }
            self.bytes.drain(..whole);
        }
        if self.bytes.first().is_some_and(|&version| version != 1) {
            return Heard::Foreign("no FastCGI record");
        }
        heard
    }
}

/// The frames of one call.
#[derive(Default)]
pub(super) struct Grpc {
    bytes: Vec<u8>,
    data: Vec<u8>,
    has_begun: bool,
}

impl Grpc {
    fn take(
        &mut self,
        bytes: &[u8],
        after: Duration,
        exchange: &mut Exchange,
        reply: &mut Vec<u8>,
    ) -> Heard {
        self.bytes.extend_from_slice(bytes);
        if !self.has_begun && !Frame::may_begin(&self.bytes) {
            return Heard::Foreign("no HTTP/2 frame");
        }
        while let Some((frame, rest)) = Frame::first(&self.bytes) {
            self.has_begun = true;
            let is_ours = frame.stream == 1;
            let is_last = frame.flags & frames::END_STREAM != 0;
            match frame.kind {
                frames::SETTINGS | frames::PING if frame.flags & frames::ACK == 0 => {
                    let payload: &[u8] = if frame.kind == frames::PING {
                        frame.payload
                    } else {
                        &[]
                    };
                    reply.extend(frames::frame(frame.kind, frames::ACK, 0, payload));
                }
                frames::HEADERS if is_ours => {
                    if exchange.head.is_none() {
                        let status = frames::status(frame.content());
                        exchange.head = status.map(|status| Head {
                            status,
                            after,
                            ..Head::default()
                        });
                    }
                    if is_last {
                        return self.ended(exchange);
                    }
                }
                frames::DATA if is_ours => {
                    self.data.extend_from_slice(frame.content());
                    if is_last || frames::health(&self.data).is_some() {
                        return self.ended(exchange);
                    }
                }
                frames::RST_STREAM if is_ours => {
                    exchange.said = frame
                        .error()
                        .map(|code| format!("HTTP/2 reset with error {code}"));
                    return Heard::Whole;
                }
                frames::GOAWAY => {
                    exchange.said = frame
                        .error()
                        .map(|code| format!("HTTP/2 goodbye with error {code}"));
                    return Heard::Whole;
                }
                _ => {}
            }
            let length = rest.len();
            self.bytes.drain(..self.bytes.len() - length);
        }
        if self.bytes.len() > frames::MOST + 9 {
            return Heard::Foreign("a frame that is too long");
        }
        Heard::More
    }

    fn ended(&self, exchange: &mut Exchange) -> Heard {
        exchange.said = Some(match frames::health(&self.data) {
            Some(health) => format!("health {health}"),
            None => "no health service".to_owned(),
        });
        Heard::Whole
    }
}

/// A line of memcached's.
fn memcached(line: &[u8], exchange: &mut Exchange) -> Heard {
    const WORDS: [&[u8]; 4] = [b"VERSION ", b"ERROR", b"SERVER_ERROR ", b"CLIENT_ERROR "];
    let may_be = WORDS.iter().any(|word| {
        let length = word.len().min(line.len());
        line.get(..length) == word.get(..length)
    });
    if !may_be || line.len() > 1024 {
        return Heard::Foreign("no answer of memcached's");
    }
    let Some(end) = memchr::memchr(b'\n', line) else {
        return Heard::More;
    };
    let said = String::from_utf8_lossy(line.get(..end).unwrap_or_default());
    exchange.said = Some(said.trim_end().chars().take(MOST_SAID).collect());
    Heard::Whole
}
