//! What a peer answered to the hello of a protocol (`ProbeRequest::Handshake`).
//!
//! The answer is text, a line an observation, in the order in which they were made; a reader skips lines it does not know:
//!
//! ```text
//! received 160303007a0200...        the first bytes that came, hexadecimal, at most 64; left out when none did
//! tls version=TLSv1.3 suite=TLS13_AES_256_GCM_SHA384     the handshake was finished
//! certificate 308201...             each certificate that was shown, the peer's own first, as DER
//! alert 112                         a TLS alert of the peer
//! refused unsupported protocol      our own side gave the handshake up, and why
//! ended closed                      or `errno 104`, or `silent` when nothing more came in time
//! ```

use std::fmt::Write as _;

use crate::text;

/// Bytes of an answer that are kept.
pub const RECEIVED: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// The first bytes that came.
    pub received: Vec<u8>,
    /// Version and cipher suite, where the TLS handshake was finished.
    pub tls: Option<(String, String)>,
    /// The certificates shown, the peer's own first.
    pub certificates: Vec<Vec<u8>>,
    /// The peer's TLS alert.
    pub alert: Option<u8>,
    /// Why our own side gave the handshake up.
    pub refused: Option<String>,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// How a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer closed.
    Closed,
    /// With an errno, 104 for a reset.
    Errno(i32),
    /// Nothing more came in time.
    Silent,
}

/// The protocol that an answer is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    /// A TLS record.
    Tls,
    /// An HTTP/1 status line.
    Http,
    /// HTTP/2 settings.
    Http2,
    /// A FastCGI record that answers ours.
    FastCgi,
    /// An answer to uwsgi's ping.
    Uwsgi,
    /// SSH's banner.
    Ssh,
}

impl Tongue {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::Http => "HTTP/1",
            Self::Http2 => "HTTP/2",
            Self::FastCgi => "FastCGI",
            Self::Uwsgi => "uwsgi",
            Self::Ssh => "SSH",
        }
    }
}

impl Greeting {
    /// Reads an answer.
    pub fn parse(text: &[u8]) -> Self {
        let mut greeting = Self::default();
        for line in String::from_utf8_lossy(text).lines() {
            let Some((key, value)) = line.split_once(' ') else {
                continue;
            };
            let bytes = || text::hex(value.as_bytes());
            match key {
                "received" => greeting.received = bytes().unwrap_or_default(),
                "tls" => greeting.tls = tls(value),
                "certificate" => greeting.certificates.extend(bytes()),
                "alert" => greeting.alert = value.parse().ok(),
                "refused" => greeting.refused = Some(value.to_owned()),
                "ended" => greeting.ended = ended(value),
                _ => {}
            }
        }
        greeting
    }

    /// The same as text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if !self.received.is_empty() {
            line(&mut text, "received", &hex(&self.received));
        }
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
        match self.ended {
            Some(Ended::Closed) => line(&mut text, "ended", "closed"),
            Some(Ended::Errno(errno)) => line(&mut text, "ended", &format!("errno {errno}")),
            Some(Ended::Silent) => line(&mut text, "ended", "silent"),
            None => {}
        }
        text
    }

    /// What the peer speaks, where its first bytes tell.
    pub fn tongue(&self) -> Option<Tongue> {
        match self.received.as_slice() {
            // A record: its type, then a version that has begun with 3 since SSL 3.0.
            [0x14..=0x17, 3, 0..=4, _, _, ..] => Some(Tongue::Tls),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', ..] => Some(Tongue::Http),
            [b'S', b'S', b'H', b'-', ..] => Some(Tongue::Ssh),
            // Settings are a server's first frame, of a multiple of six bytes, on stream 0.
            [0, 0, length, 4, 0, 0, 0, 0, 0, ..] if length % 6 == 0 => Some(Tongue::Http2),
            // FCGI_GET_VALUES_RESULT, request 0.
            [1, 10, 0, 0, _, _, _, _, ..] => Some(Tongue::FastCgi),
            [100, 0, 0, 1] => Some(Tongue::Uwsgi),
            _ => None,
        }
    }
}

fn tls(value: &str) -> Option<(String, String)> {
    let (version, suite) = value.split_once(' ')?;
    Some((
        version.strip_prefix("version=")?.to_owned(),
        suite.strip_prefix("suite=")?.to_owned(),
    ))
}

fn ended(value: &str) -> Option<Ended> {
    match value {
        "closed" => Some(Ended::Closed),
        "silent" => Some(Ended::Silent),
        other => Some(Ended::Errno(other.strip_prefix("errno ")?.parse().ok()?)),
    }
}

pub(crate) fn line(text: &mut String, key: &str, value: &str) {
    text.push_str(key);
    text.push(' ');
    text.extend(value.chars().filter(|c| !c.is_control()));
    text.push('\n');
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_protocol_is_known_by_its_first_bytes() {
        for (bytes, tongue) in [
            (
                b"\x15\x03\x03\x00\x02\x02\x28".as_slice(),
                Some(Tongue::Tls),
            ),
            (b"\x16\x03\x01\x00\x7a", Some(Tongue::Tls)),
            (b"HTTP/1.1 400 Bad Request\r\n", Some(Tongue::Http)),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", Some(Tongue::Ssh)),
            (b"\0\0\x12\x04\0\0\0\0\0\0\x03", Some(Tongue::Http2)),
            (b"\x01\x0a\0\0\0\x13\x05\0", Some(Tongue::FastCgi)),
            (b"\x64\0\0\x01", Some(Tongue::Uwsgi)),
            (b"-ERR unknown command\r\n", None),
            (b"", None),
            (b"\x15\x03", None),
        ] {
            let greeting = Greeting {
                received: bytes.to_vec(),
                ..Greeting::default()
            };
            assert_eq!(greeting.tongue(), tongue, "{bytes:?}");
        }
    }

    #[test]
    fn an_answer_is_read_and_unknown_lines_are_skipped() {
        let text = b"received 1503\ntls version=TLSv1.3 suite=X\nnews\nother 1\ncertificate 30\nalert 112\nended errno 104\n";
        let greeting = Greeting::parse(text);
        assert_eq!(greeting.received, [0x15, 3]);
        assert_eq!(greeting.tls, Some(("TLSv1.3".to_owned(), "X".to_owned())));
        assert_eq!(greeting.certificates, [[0x30]]);
        assert_eq!(greeting.alert, Some(112));
        assert_eq!(greeting.ended, Some(Ended::Errno(104)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(text: Vec<u8>) {
            Greeting::parse(&text).tongue();
        }

        #[test]
        fn what_is_written_is_read_back(received: Vec<u8>, alert: Option<u8>, certificates: Vec<Vec<u8>>) {
            let greeting = Greeting { received, alert, certificates, ended: Some(Ended::Closed), ..Greeting::default() };
            prop_assert_eq!(Greeting::parse(greeting.to_text().as_bytes()), greeting);
        }
    }
}
