//! Secrets that are known by their own form.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memmem};

use super::hide;

/// A longer userinfo is none.
const USERINFO: usize = 512;

pub(super) fn in_a_line(bytes: &mut [u8]) {
    for form in [userinfo, hashes, aws_keys, web_tokens] {
        for range in form(bytes) {
            hide(bytes, range);
        }
    }
}

pub(super) fn over_lines(bytes: &mut [u8]) {
    for range in private_keys(bytes) {
        hide(bytes, range);
    }
}

/// The password of `scheme://user:password@host`, and a user long enough to be a token.
fn userinfo(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // Where the userinfo of the last `@` began: a password may hold the sign too.
    let mut last: Option<(usize, Option<usize>)> = None;
    for at in memchr_iter(b'@', bytes) {
        let floor = at.saturating_sub(USERINFO);
        let near = bytes.get(floor..at).unwrap_or_default();
        let stop = near
            .iter()
            .rposition(|&byte| byte <= b' ' || b"/?#\"'<>@".contains(&byte))
            .map(|stop| floor + stop);
        let start = match stop.map(|stop| (stop, bytes.get(stop))) {
            Some((stop, Some(b'@'))) => last
                .filter(|&(at, _)| at == stop)
                .and_then(|(_, start)| start),
            Some((stop, Some(b'/'))) => {
                let scheme = bytes
                    .get(..=stop)
                    .is_some_and(|before| before.ends_with(b"://"));
                scheme.then_some(stop + 1)
            }
            _ => None,
        };
        last = Some((at, start));
        let Some(start) = start.filter(|&start| at - start <= USERINFO) else {
            continue;
        };
        let info = bytes.get(start..at).unwrap_or_default();
        match memchr(b':', info) {
            Some(colon) => found.push(start + colon + 1..at),
            None if info.len() >= 16 => found.push(start..at),
            None => {}
        }
    }
    found
}

/// Hashes of passwords after the name of their user.
fn hashes(bytes: &[u8]) -> Vec<Range<usize>> {
    // crypt(5), htpasswd(1).
    const IDS: [&[u8]; 12] = [
        b"$apr1$", b"$1$", b"$2a$", b"$2b$", b"$2x$", b"$2y$", b"$5$", b"$6$", b"$7$", b"$y$",
        b"$gy$", b"$argon2",
    ];
    const SCHEMES: [&[u8]; 5] = [b"{SHA}", b"{SSHA}", b"{PLAIN}", b"{MD5}", b"{CRYPT}"];
    let is_hash = |byte: &u8| byte.is_ascii_alphanumeric() || b"./$=,+-{}".contains(byte);
    let mut found = Vec::new();
    for (mark, least, forms) in [(":$", 20, &IDS[..]), (":{", 8, &SCHEMES[..])] {
        for at in memmem::find_iter(bytes, mark) {
            let start = at + 1;
            let rest = bytes.get(start..).unwrap_or_default();
            if forms.iter().any(|form| rest.starts_with(form)) {
                let length = rest.iter().take_while(|byte| is_hash(byte)).count();
                if length >= least {
                    found.push(start..start + length);
                }
            }
        }
    }
    found
}

/// Identifiers of AWS access keys.
fn aws_keys(bytes: &[u8]) -> Vec<Range<usize>> {
    const LENGTH: usize = 20;
    let mut found = Vec::new();
    for prefix in ["AKIA", "ASIA"] {
        for at in memmem::find_iter(bytes, prefix) {
            let key = bytes.get(at..at + LENGTH).unwrap_or_default();
            let whole = !key.is_empty()
                && key
                    .iter()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
                && begins(bytes, at)
                && bytes
                    .get(at + LENGTH)
                    .is_none_or(|byte| !byte.is_ascii_alphanumeric());
            if whole {
                found.push(at..at + LENGTH);
            }
        }
    }
    found
}

/// JSON web tokens: base64 of `{"`, and at least one more part.
fn web_tokens(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut end = 0;
    for at in memmem::find_iter(bytes, "eyJ") {
        if at < end || !begins(bytes, at) {
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-=.".contains(byte);
        let token = rest.iter().take_while(|byte| is_part(byte)).count();
        end = at + token;
        if token >= 30 && memchr(b'.', rest.get(..token).unwrap_or_default()).is_some() {
            found.push(at..end);
        }
    }
    found
}

fn begins(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    before.is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// The body of a private key in PEM: the lines of base64 after its head, or the rest of the line where its line ends
/// are escaped. Nothing else, so that a head in a log hides no line of it.
fn private_keys(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for at in memmem::find_iter(bytes, "-----BEGIN ") {
        let rest = bytes.get(at..).unwrap_or_default();
        let rest = rest.get(..80).unwrap_or(rest);
        let Some(head) = memmem::find(rest, b"PRIVATE KEY-----") else {
            continue;
        };
        if memchr(b'\n', rest.get(..head).unwrap_or_default()).is_some() {
            continue;
        }
        let start = at + head + b"PRIVATE KEY-----".len();
        let body = bytes.get(start..).unwrap_or_default();
        found.push(start..start + body_length(body));
    }
    found
}

fn body_length(body: &[u8]) -> usize {
    let mut length = 0;
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        let end = memmem::find(line, b"-----").unwrap_or(line.len());
        let text = line.get(..end).unwrap_or_default();
        // `Proc-Type: 4,ENCRYPTED` and `DEK-Info: AES-128-CBC,...` stand before the body of an encrypted key.
        let header = text.starts_with(b"Proc-Type:") || text.starts_with(b"DEK-Info:");
        let base64 = text.iter().take_while(|&&byte| is_base64(byte)).count();
        if base64 < text.len() && !header {
            return length + base64;
        }
        length += text.len();
        if end < line.len() {
            break;
        }
    }
    length
}

/// With white space, and the backslash of an escaped line end.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=\\".contains(&byte)
}
