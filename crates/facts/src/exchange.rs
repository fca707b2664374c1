//! What came of one GET (`ProbeRequest::Request`), or of a conversation in another protocol (`ProbeRequest::Conversation`).
//!
//! The answer is text, a line an observation, in the order in which they were made; a reader skips lines it does not know:
//!
//! ```text
//! local 127.0.0.1                   our own address on the connection; left out for a unix socket
//! connected us=120                  how long the connection took
//! tls version=TLSv1.3 suite=...     the TLS handshake was finished
//! certificate 308201...             of a conversation: each certificate that was shown, the peer's own first, as DER
//! alert 112                         a TLS alert of the other side
//! refused unsupported protocol      our own side gave up, and why
//! received 160303007a0200...        the first bytes of what is no HTTP response, hexadecimal, at most 64
//! head status=502 us=3400 bytes=157 the response header, how long it took from the first byte sent, and its size
//! header content-length 3 150       one line of it: name, bytes of its value, the value where it holds nothing of anybody's
//! body bytes=150 page=nginx         what came of the body; `page=nginx` where it is an error page that nginx makes itself
//! said VERSION 1.6.18               of a conversation: what the peer said in its protocol, in a few words
//! took us=3500                      of a conversation: all of it
//! ended whole                       or `closed` before its end, `cut` at our bound, `silent` when no more came in time,
//!                                   or `errno 104`
//! ```
//!
//! Values of headers and bodies never leave the host, but for the few headers of [`is_kept`].

use std::net::IpAddr;
use std::time::Duration;

use crate::handshake::{hex, line};
use crate::text;

/// Bytes that are kept of an answer that is no HTTP response.
pub const RECEIVED: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Our own address on the connection.
    pub local: Option<IpAddr>,
    /// How long the connection took.
    pub connected: Duration,
    /// TLS version and cipher suite, where TLS was spoken.
    pub tls: Option<(String, String)>,
    /// The certificates shown, the peer's own first.
    pub certificates: Vec<Vec<u8>>,
    /// The other side's TLS alert.
    pub alert: Option<u8>,
    /// Why our own side gave up.
    pub refused: Option<String>,
    /// The first bytes of what is no HTTP response.
    pub received: Vec<u8>,
    /// The response header.
    pub head: Option<Head>,
    /// Bytes of the body.
    pub body: u64,
    /// Whether the body is an error page that nginx makes itself: of this nginx, or of one behind it.
    pub is_page_of_nginx: bool,
    /// What the peer said in its protocol, in a few words.
    pub said: Option<String>,
    /// How long all of it took.
    pub took: Duration,
    /// How it ended.
    pub ended: Option<End>,
}

/// A response header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// How long it took to be whole, from the first byte sent.
    pub after: Duration,
    /// Its bytes, from the status line to the empty line.
    pub bytes: u64,
    /// Its lines.
    pub headers: Vec<Header>,
}

/// A line of a response header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name, in lower case.
    pub name: String,
    /// Bytes of its value.
    pub bytes: u64,
    /// Its value, where it was kept.
    pub value: Option<String>,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the response's own end.
    Whole,
    /// The other side closed before that.
    Closed,
    /// Our own bound was reached.
    Cut,
    /// Nothing more came in time.
    Silent,
    /// With an errno, 104 for a reset.
    Errno(i32),
}

impl Exchange {
    /// Reads an answer.
    pub fn parse(text: &[u8]) -> Self {
        let mut exchange = Self::default();
        for line in String::from_utf8_lossy(text).lines() {
            let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "local" => exchange.local = rest.parse().ok(),
                "connected" => exchange.connected = microseconds(rest).unwrap_or_default(),
                "tls" => {
                    let version = field(rest, "version").unwrap_or_default().to_owned();
                    let suite = field(rest, "suite").unwrap_or_default().to_owned();
                    exchange.tls = Some((version, suite));
                }
                "certificate" => exchange.certificates.extend(text::hex(rest.as_bytes())),
                "said" => exchange.said = Some(rest.to_owned()),
                "took" => exchange.took = microseconds(rest).unwrap_or_default(),
                "alert" => exchange.alert = rest.parse().ok(),
                "refused" => exchange.refused = Some(rest.to_owned()),
                "received" => exchange.received = text::hex(rest.as_bytes()).unwrap_or_default(),
                "head" => exchange.head = head(rest),
                "header" => {
                    if let (Some(head), Some(header)) = (&mut exchange.head, header(rest)) {
                        head.headers.push(header);
                    }
                }
                "body" => {
                    exchange.body = number(rest, "bytes").unwrap_or_default();
                    exchange.is_page_of_nginx = field(rest, "page") == Some("nginx");
                }
                "ended" => exchange.ended = end(rest),
                _ => {}
            }
        }
        exchange
    }

    /// The same as text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some(local) = self.local {
            line(&mut text, "local", &local.to_string());
        }
        line(
            &mut text,
            "connected",
            &format!("us={}", self.connected.as_micros()),
        );
        if let Some((version, suite)) = &self.tls {
            line(
                &mut text,
                "tls",
                &format!("version={version} suite={suite}"),
            );
        }
        for certificate in &self.certificates {
            line(&mut text, "certificate", &hex(certificate));
        }
        if let Some(alert) = self.alert {
            line(&mut text, "alert", &alert.to_string());
        }
        if let Some(refused) = &self.refused {
            line(&mut text, "refused", refused);
        }
        if !self.received.is_empty() {
            line(&mut text, "received", &hex(&self.received));
        }
        if let Some(head) = &self.head {
            head.write(&mut text);
            let page = if self.is_page_of_nginx {
                " page=nginx"
            } else {
                ""
            };
            line(&mut text, "body", &format!("bytes={}{page}", self.body));
        }
        if let Some(said) = &self.said {
            line(&mut text, "said", said);
        }
        if !self.took.is_zero() {
            let took = format!("us={}", self.took.as_micros());
            line(&mut text, "took", &took);
        }
        match self.ended {
            Some(End::Whole) => line(&mut text, "ended", "whole"),
            Some(End::Closed) => line(&mut text, "ended", "closed"),
            Some(End::Cut) => line(&mut text, "ended", "cut"),
            Some(End::Silent) => line(&mut text, "ended", "silent"),
            Some(End::Errno(errno)) => line(&mut text, "ended", &format!("errno {errno}")),
            None => {}
        }
        text
    }

    /// The response's status.
    pub fn status(&self) -> Option<u16> {
        self.head.as_ref().map(|head| head.status)
    }
}

impl Head {
    fn write(&self, text: &mut String) {
        let told = format!(
            "status={} us={} bytes={}",
            self.status,
            self.after.as_micros(),
            self.bytes
        );
        line(text, "head", &told);
        for header in &self.headers {
            let mut told = format!("{} {}", header.name, header.bytes);
            if let Some(value) = &header.value {
                told.push(' ');
                told.push_str(value);
            }
            line(text, "header", &told);
        }
    }

    /// The largest line, with its name; lines of one name count together, as `set-cookie` does.
    pub fn largest(&self) -> Option<(&str, u64)> {
        let total = |name: &str| -> u64 {
            let same = self.headers.iter().filter(|header| header.name == name);
            same.map(|header| header.bytes).sum()
        };
        self.headers
            .iter()
            .map(|header| (header.name.as_str(), total(&header.name)))
            .max_by_key(|&(_, bytes)| bytes)
    }
}

/// Whether a header's value tells of the server and of nobody else.
pub fn is_kept(name: &str) -> bool {
    [
        "connection",
        "content-length",
        "content-type",
        "retry-after",
        "server",
        "transfer-encoding",
        "via",
    ]
    .contains(&name)
}

/// Whether a body is an error page that nginx makes itself (`ngx_http_special_response.c`).
pub fn is_page_of_nginx(body: &[u8], status: u16) -> bool {
    let body = String::from_utf8_lossy(body);
    body.starts_with(&format!("<html>\r\n<head><title>{status} "))
        && (body.contains("<hr><center>nginx</center>\r\n")
            || body.contains("<hr><center>nginx/")
            || body.contains("<hr><center>openresty"))
}

fn head(text: &str) -> Option<Head> {
    Some(Head {
        status: u16::try_from(number(text, "status")?).ok()?,
        after: microseconds(text)?,
        bytes: number(text, "bytes")?,
        headers: Vec::new(),
    })
}

fn header(text: &str) -> Option<Header> {
    let mut words = text.splitn(3, ' ');
    Some(Header {
        name: words.next()?.to_owned(),
        bytes: words.next()?.parse().ok()?,
        value: words.next().map(str::to_owned),
    })
}

fn end(text: &str) -> Option<End> {
    match text {
        "whole" => Some(End::Whole),
        "closed" => Some(End::Closed),
        "cut" => Some(End::Cut),
        "silent" => Some(End::Silent),
        _ => text.strip_prefix("errno ")?.parse().ok().map(End::Errno),
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(' ')
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn number(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.parse().ok()
}

fn microseconds(text: &str) -> Option<Duration> {
    number(text, "us").map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answered() -> Exchange {
        Exchange {
            local: Some([127, 0, 0, 1].into()),
            connected: Duration::from_micros(120),
            head: Some(Head {
                status: 502,
                after: Duration::from_micros(3400),
                bytes: 157,
                headers: vec![
                    Header {
                        name: "server".to_owned(),
                        bytes: 12,
                        value: Some("nginx/1.22.1".to_owned()),
                    },
                    Header {
                        name: "set-cookie".to_owned(),
                        bytes: 40,
                        value: None,
                    },
                    Header {
                        name: "set-cookie".to_owned(),
                        bytes: 50,
                        value: None,
                    },
                    Header {
                        name: "x".to_owned(),
                        bytes: 60,
                        value: None,
                    },
                ],
            }),
            body: 150,
            is_page_of_nginx: true,
            ended: Some(End::Whole),
            ..Exchange::default()
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let refused = Exchange {
            tls: Some(("TLSv1.3".to_owned(), "TLS13_AES_256_GCM_SHA384".to_owned())),
            alert: Some(112),
            refused: Some("no HTTP response".to_owned()),
            received: b"SSH-2.0".to_vec(),
            ended: Some(End::Errno(104)),
            ..Exchange::default()
        };
        let said = Exchange {
            certificates: vec![vec![0x30, 0x82], vec![0x30]],
            said: Some("VERSION 1.6.18".to_owned()),
            took: Duration::from_micros(3500),
            ended: Some(End::Whole),
            ..Exchange::default()
        };
        for exchange in [answered(), refused, said, Exchange::default()] {
            assert_eq!(Exchange::parse(exchange.to_text().as_bytes()), exchange);
        }
    }

    #[test]
    fn lines_of_one_name_count_together() {
        assert_eq!(answered().head.unwrap().largest(), Some(("set-cookie", 90)));
    }

    #[test]
    fn nginxs_own_page_is_told_from_an_applications() {
        let page = |server: &str| {
            format!(
                "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>{server}</center>\r\n</body>\r\n</html>\r\n"
            )
        };
        assert!(is_page_of_nginx(page("nginx/1.22.1").as_bytes(), 502));
        assert!(is_page_of_nginx(page("nginx").as_bytes(), 502));
        assert!(!is_page_of_nginx(page("nginx").as_bytes(), 504));
        assert!(!is_page_of_nginx(page("Apache").as_bytes(), 502));
        assert!(!is_page_of_nginx(b"Bad Gateway", 502));
    }

    proptest! {
        #[test]
        fn junk_is_read_without_a_panic(text in "(local|connected|head|header|body|ended|tls)[ a-z0-9=\\n]{0,80}") {
            Exchange::parse(text.as_bytes());
        }
    }
}
