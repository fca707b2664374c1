//! Numbers and words out of byte text. Knows no format of its own.

use std::str::FromStr;

/// A number in decimal text.
pub(crate) fn number<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Text for people and for comparison; bytes that are not UTF-8 become U+FFFD.
pub(crate) fn owned(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Undoes the `%XX` of a request's canonical text; a `%` without two hex digits stays.
pub(crate) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%'
            && let Some((digits, after)) = after.split_first_chunk::<2>()
            && let Some(value) = hex_byte(*digits)
        {
            decoded.push(value);
            rest = after;
        } else {
            decoded.push(byte);
        }
    }
    decoded
}

/// Bytes out of hex digits; `None` unless all of the text is pairs of them.
pub(crate) fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|&pair| hex_byte(pair)).collect()
}

fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_escapes_are_undone_and_stray_percents_stay() {
        assert_eq!(percent_decoded(b"/a%20b%7Cc%25"), b"/a b|c%");
        assert_eq!(percent_decoded(b"100%"), b"100%");
        assert_eq!(percent_decoded(b"%zz%4"), b"%zz%4");
    }

    #[test]
    fn hex_wants_pairs() {
        assert_eq!(hex(b"0aFF"), Some(vec![0x0a, 0xff]));
        assert_eq!(hex(b""), Some(vec![]));
        assert_eq!(hex(b"0a1"), None);
        assert_eq!(hex(b"0g"), None);
    }
}
