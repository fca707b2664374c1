//! What is said in each protocol, as bytes: requests without a body, of known form.

use facts::conversation::Param;
use facts::{Hello, Speech};

use super::super::handshake::{FASTCGI, HTTP1, HTTP2, UWSGI};
use super::super::request::head_of;
use super::frames;

/// The bytes; `None` where a part of them could say more than it should.
pub(super) fn bytes(speech: &Speech) -> Option<Vec<u8>> {
    Some(match speech {
        Speech::Nothing | Speech::Hello(Hello::Tls { .. }) => Vec::new(),
        Speech::Http(get) => head_of(get)?,
        Speech::FastCgi(params) => fastcgi(params)?,
        Speech::Uwsgi(params) => uwsgi(params)?,
        Speech::Scgi(params) => scgi(params)?,
        Speech::GrpcHealth { authority } => frames::health_check(authority)?,
        Speech::Memcached => b"version\r\n".to_vec(),
        Speech::Hello(Hello::Http1) => HTTP1.to_vec(),
        Speech::Hello(Hello::Http2) => HTTP2.to_vec(),
        Speech::Hello(Hello::FastCgi) => FASTCGI.to_vec(),
        Speech::Hello(Hello::Uwsgi) => UWSGI.to_vec(),
    })
}

/// `FCGI_BEGIN_REQUEST` of a responder that closes afterwards, the parameters, and an empty body (FastCGI 1.0, 3 and 5).
fn fastcgi(params: &[Param]) -> Option<Vec<u8>> {
    let mut pairs = Vec::new();
    for (name, value) in params {
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(length) if length < 128 => pairs.push(length),
                _ => pairs.extend((u32::try_from(text.len()).ok()? | 1 << 31).to_be_bytes()),
            }
        }
        pairs.extend(name.as_bytes());
        pairs.extend(value.as_bytes());
    }
    let mut bytes = vec![1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let length = u16::try_from(pairs.len()).ok()?.to_be_bytes();
    bytes.extend([1, 4, 0, 1]);
    bytes.extend(length);
    bytes.extend([0, 0]);
    bytes.extend(pairs);
    bytes.extend([1, 4, 0, 1, 0, 0, 0, 0]);
    bytes.extend([1, 5, 0, 1, 0, 0, 0, 0]);
    Some(bytes)
}

/// Modifier 0: a WSGI request, its variables with lengths of two bytes, the low one first.
fn uwsgi(params: &[Param]) -> Option<Vec<u8>> {
    let mut variables = Vec::new();
    for text in params.iter().flat_map(|(name, value)| [name, value]) {
        variables.extend(u16::try_from(text.len()).ok()?.to_le_bytes());
        variables.extend(text.as_bytes());
    }
    let mut bytes = vec![0];
    bytes.extend(u16::try_from(variables.len()).ok()?.to_le_bytes());
    bytes.push(0);
    bytes.extend(variables);
    Some(bytes)
}

/// A netstring of the headers, `CONTENT_LENGTH` first.
fn scgi(params: &[Param]) -> Option<Vec<u8>> {
    let own = [("CONTENT_LENGTH", "0"), ("SCGI", "1")];
    let own = own.into_iter();
    let others = params
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers = Vec::new();
    for (name, value) in own.chain(others) {
        if name.contains('\0') || value.contains('\0') {
            return None;
        }
        headers.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    let length = headers.len();
    Some([format!("{length}:").as_bytes(), &headers, b","].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Vec<Param> {
        vec![("A".to_owned(), "bc".to_owned())]
    }

    #[test]
    fn each_protocol_has_its_own_form() {
        assert_eq!(
            fastcgi(&params()).unwrap(),
            b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0\x01\x04\0\x01\0\x05\0\0\x01\x02Abc\x01\x04\0\x01\0\0\0\0\x01\x05\0\x01\0\0\0\0"
        );
        assert_eq!(uwsgi(&params()).unwrap(), b"\0\x07\0\0\x01\0A\x02\0bc");
        assert_eq!(
            scgi(&params()).unwrap(),
            b"29:CONTENT_LENGTH\x000\0SCGI\x001\0A\0bc\0,"
        );
    }

    #[test]
    fn a_long_value_has_a_long_length() {
        let long = vec![("A".to_owned(), "b".repeat(300))];
        let bytes = fastcgi(&long).unwrap();
        assert_eq!(bytes.get(24..29), Some([1, 0x80, 0, 1, 44].as_slice()));
        assert_eq!(scgi(&[("A".to_owned(), "\0".to_owned())]), None);
    }
}
