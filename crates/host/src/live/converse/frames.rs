//! HTTP/2 frames, as far as one call of gRPC's health check takes them (RFC 9113; `grpc.health.v1`). Of the headers that
//! come back only the status is read.

/// A frame.
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const END_STREAM: u8 = 1;
/// Of settings and pings.
pub(super) const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
/// No peer may send a larger frame unless told so.
pub(super) const MOST: usize = 16 << 10;
const HEAD: usize = 9;

impl<'a> Frame<'a> {
    /// The first frame, and what follows it; `None` while it is not whole.
    pub(super) fn first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let [a, b, c, kind, flags, stream @ ..] = *head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        let frame = Self {
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
            payload,
        };
        Some((frame, rest))
    }

    /// Whether bytes can be the beginning of what a server says first: settings of the whole connection.
    pub(super) fn may_begin(bytes: &[u8]) -> bool {
        let settings = [
            None,
            None,
            None,
            Some(SETTINGS),
            None,
            Some(0),
            Some(0),
            Some(0),
            Some(0),
        ];
        let is_short = bytes.first().is_none_or(|&byte| byte == 0);
        is_short
            && bytes
                .iter()
                .zip(settings)
                .all(|(&byte, wanted)| wanted.is_none_or(|wanted| wanted == byte))
    }

    /// The payload of data or headers without padding and priority.
    pub(super) fn content(&self) -> &'a [u8] {
        let mut content = self.payload;
        if self.flags & PADDED != 0
            && let Some((&padding, rest)) = content.split_first()
        {
            let end = rest.len().saturating_sub(usize::from(padding));
            content = rest.get(..end).unwrap_or_default();
        }
        if self.kind == HEADERS && self.flags & PRIORITY != 0 {
            content = content.get(5..).unwrap_or_default();
        }
        content
    }

    /// The number in a reset, or behind the last stream of a farewell.
    pub(super) fn error(&self) -> Option<u32> {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        let (code, _) = self.payload.get(at..)?.split_first_chunk::<4>()?;
        Some(u32::from_be_bytes(*code))
    }
}

/// A frame as bytes.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = length.get(1..).unwrap_or_default().to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The preface, empty settings, and the call with an empty message, which asks for the server as a whole.
pub(super) fn health_check(authority: &str) -> Option<Vec<u8>> {
    if !authority.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    // `:method: POST` and `:scheme: http` of the static table (RFC 7541, A); the others as literals that nobody keeps.
    let mut block = vec![0x83, 0x86];
    literal(
        &mut block,
        &Name::Indexed(4),
        "/grpc.health.v1.Health/Check",
    )?;
    literal(&mut block, &Name::Indexed(1), authority)?;
    literal(&mut block, &Name::Literal("te"), "trailers")?;
    literal(
        &mut block,
        &Name::Literal("content-type"),
        "application/grpc",
    )?;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &block));
    bytes.extend(frame(DATA, END_STREAM, 1, &[0; 5]));
    Some(bytes)
}

enum Name {
    /// Its place in the static table, below 15.
    Indexed(u8),
    Literal(&'static str),
}

fn literal(block: &mut Vec<u8>, name: &Name, value: &str) -> Option<()> {
    let text = |text: &str| {
        let length = u8::try_from(text.len())
            .ok()
            .filter(|length| *length < 127)?;
        Some([&[length], text.as_bytes()].concat())
    };
    match name {
        Name::Indexed(index) => block.push(*index),
        Name::Literal(name) => {
            block.push(0);
            block.extend(text(name)?);
        }
    }
    block.extend(text(value)?);
    Some(())
}

/// The status at the beginning of a block of headers, where it has to stand.
pub(super) fn status(block: &[u8]) -> Option<u16> {
    /// `:status` in the static table, from place 8 on.
    const KNOWN: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let at = block.iter().position(|byte| byte & 0xe0 != 0x20)?;
    let (&first, rest) = block.get(at..)?.split_first()?;
    let index = match first {
        0x80.. => first & 0x7f,
        0x40..0x80 => first & 0x3f,
        ..0x40 => first & 0x0f,
    };
    let known = KNOWN.get(usize::from(index.checked_sub(8)?))?;
    if first >= 0x80 {
        return Some(*known);
    }
    match rest {
        [3, digits @ ..] => std::str::from_utf8(digits.get(..3)?).ok()?.parse().ok(),
        [0x82, a, b, ..] => squeezed(u32::from_be_bytes([*a, *b, 0, 0])),
        [0x83, a, b, c, ..] => squeezed(u32::from_be_bytes([*a, *b, *c, 0])),
        _ => None,
    }
}

/// Three digits in Huffman's code (RFC 7541, B): 0 to 2 have five bits, the others six.
fn squeezed(bits: u32) -> Option<u16> {
    let mut left = u32::BITS;
    let mut number = 0;
    for _ in 0..3 {
        let peek = |count: u32| {
            let code = (bits >> left.checked_sub(count)?).checked_rem(1 << count)?;
            u16::try_from(code).ok()
        };
        let (digit, length) = match (peek(5)?, peek(6)) {
            (digit @ 0..=2, _) => (digit, 5),
            (_, Some(digit @ 0b01_1001..=0b01_1111)) => (digit - 0b01_1001 + 3, 6),
            _ => return None,
        };
        number = number * 10 + digit;
        left -= length;
    }
    Some(number)
}

/// What a health check's answer says: a message of one field (`HealthCheckResponse.status`), 0 where it is left out.
pub(super) fn health(data: &[u8]) -> Option<&'static str> {
    let (head, message) = data.split_first_chunk::<5>()?;
    let [0, length @ ..] = *head else { return None };
    let message = message.get(..usize::try_from(u32::from_be_bytes(length)).ok()?)?;
    Some(match message {
        [] | [8, 0] => "UNKNOWN",
        [8, 1] => "SERVING",
        [8, 2] => "NOT_SERVING",
        [8, 3] => "SERVICE_UNKNOWN",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_in_every_form() {
        for (block, wanted) in [
            (b"\x88".as_slice(), Some(200)),
            (b"\x3f\xe1\x1f\x88", None),
            (b"\x20\x8d", Some(404)),
            (b"\x48\x03503", Some(503)),
            (b"\x08\x03502", Some(502)),
            // 302 and 503 as HPACK's examples and nginx have them.
            (b"\x48\x82\x64\x02", Some(302)),
            (b"\x48\x83\x6c\x0c\xff", Some(503)),
            (b"\x82", None),
            (b"", None),
        ] {
            assert_eq!(status(block), wanted, "{block:02x?}");
        }
    }

    #[test]
    fn what_is_said_is_what_is_read() {
        let bytes = health_check("shop").unwrap();
        let (_, frames) = bytes.split_first_chunk::<24>().unwrap();
        assert!(Frame::may_begin(frames));
        let (settings, rest) = Frame::first(frames).unwrap();
        assert_eq!((settings.kind, settings.stream), (SETTINGS, 0));
        let (headers, rest) = Frame::first(rest).unwrap();
        assert_eq!((headers.kind, headers.flags), (HEADERS, END_HEADERS));
        let (data, rest) = Frame::first(rest).unwrap();
        assert_eq!((data.kind, data.flags), (DATA, END_STREAM));
        assert_eq!(health(data.content()), Some("UNKNOWN"));
        assert!(rest.is_empty());
        assert!(health_check("a b").is_none());
    }

    #[test]
    fn health_is_one_of_four() {
        assert_eq!(health(b"\0\0\0\0\x02\x08\x01"), Some("SERVING"));
        assert_eq!(health(b"\0\0\0\0\x02\x08\x02"), Some("NOT_SERVING"));
        assert_eq!(health(b"\0\0\0\0\x02\x08"), None);
        assert_eq!(health(b"\x01\0\0\0\x02\x08\x01"), None);
    }

    #[test]
    fn what_is_no_http2_does_not_begin_so() {
        for bytes in [b"HTTP/1.1 400".as_slice(), b"\x15\x03\x01", b"\0\0\x06\x01"] {
            assert!(!Frame::may_begin(bytes), "{bytes:02x?}");
        }
        assert!(Frame::may_begin(b"\0\0\x12\x04\0\0\0\0\0"));
    }
}
