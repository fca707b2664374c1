//! Numbers and words out of byte text. Knows no format of its own.

use std::str::FromStr;

use bstr::ByteSlice as _;

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

/// What stands in the `{}` holes of a pattern, each as short as the pattern's next text allows; the last runs to the end
/// where nothing follows it. The text must begin as the pattern does and may go on after it.
pub(crate) fn holes<'a, const N: usize>(text: &'a [u8], pattern: &str) -> Option<[&'a [u8]; N]> {
    let mut literals = pattern.split("{}");
    let mut rest = text.strip_prefix(literals.next()?.as_bytes())?;
    let mut found = [&[][..]; N];
    let mut holes = found.iter_mut();
    for literal in literals {
        let hole = holes.next()?;
        (*hole, rest) = if literal.is_empty() {
            (rest, &[][..])
        } else {
            rest.split_once_str(literal)?
        };
    }
    holes.next().is_none().then_some(found)
}

/// Words as systemd and shells split them: quotes group, a backslash takes the next character as it is (or as C does).
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            (_, '\\') => word
                .get_or_insert_default()
                .extend(chars.next().map(unescaped)),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn unescaped(c: char) -> char {
    match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        's' => ' ',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_gives_what_stands_in_its_holes() {
        let text = b"Worker (pid:12) was sent SIGKILL! Perhaps out of memory?";
        assert_eq!(
            holes(text, "Worker (pid:{}) was sent {}!"),
            Some([&b"12"[..], b"SIGKILL"])
        );
        assert_eq!(
            holes(text, "Worker {}"),
            Some([&b"(pid:12) was sent SIGKILL! Perhaps out of memory?"[..]])
        );
        assert_eq!(holes(text, "Worker"), Some([]));
        assert_eq!(holes::<1>(text, "worker {}"), None);
        assert_eq!(holes::<1>(text, "Worker (pid:{}] "), None);
        assert_eq!(holes::<2>(text, "Worker (pid:{})"), None);
        assert_eq!(holes::<0>(text, "Worker (pid:{})"), None);
    }

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
