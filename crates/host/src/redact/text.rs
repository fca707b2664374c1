//! Replaces what stands in text: addresses, e-mail addresses, hosts and names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Redaction;
use super::address;
use super::names;

/// What stands after `@` in a unit's name, which is no e-mail address.
const UNITS: [&[u8]; 9] = [
    b"service", b"socket", b"timer", b"slice", b"scope", b"mount", b"target", b"path", b"device",
];

impl Redaction {
    /// Text with all that tells of its owner replaced.
    pub(super) fn text(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let run = rest.iter().take_while(|byte| is_token(**byte)).count();
            if run == 0 && !starts_address(rest) {
                out.extend(rest.first());
                at += 1;
                continue;
            }
            let (length, replaced) = self.address(rest).unwrap_or_else(|| {
                let run = run.max(1);
                let token = rest.get(..run).unwrap_or_default();
                self.mail(rest, run)
                    .unwrap_or_else(|| (run, self.token(token)))
            });
            out.extend(replaced);
            at += length;
        }
        out
    }

    /// Text of which it is known that it is a path or a name.
    pub(super) fn string(&mut self, text: &str) -> String {
        String::from_utf8_lossy(&self.text(text.as_bytes())).into_owned()
    }

    fn address(&self, rest: &[u8]) -> Option<(usize, Vec<u8>)> {
        let run = rest
            .iter()
            .take(64)
            .take_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
            .count();
        let text = std::str::from_utf8(rest.get(..run)?).ok()?;
        let follows = |length: usize| rest.get(length).copied().unwrap_or(b' ');
        let digits = text
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
            .count();
        let dotted = text.get(..digits)?.trim_end_matches('.');
        if let Ok(parsed) = dotted.parse::<Ipv4Addr>()
            && !is_word(follows(dotted.len()))
        {
            return Some((
                dotted.len(),
                address::v4(&self.scramble, parsed).to_string().into_bytes(),
            ));
        }
        if text.bytes().filter(|&byte| byte == b':').count() < 2 {
            return None;
        }
        // A sentence's full stop, or the colon before what follows.
        let single = text.strip_suffix(':').filter(|text| !text.ends_with(':'));
        let text = single.unwrap_or(text).trim_end_matches('.');
        if is_word(follows(text.len())) {
            return None;
        }
        if let Ok(parsed) = text.parse::<Ipv6Addr>() {
            let mapped = address::ip(&self.scramble, IpAddr::V6(parsed));
            return Some((text.len(), mapped.to_string().into_bytes()));
        }
        let groups: Vec<&str> = text.split(':').collect();
        let is_card = groups.len() == 6 && groups.iter().all(|group| group.len() == 2);
        is_card.then(|| (text.len(), self.hex(text.as_bytes())))
    }

    /// Digits for digits, by the whole text.
    pub(super) fn hex(&self, text: &[u8]) -> Vec<u8> {
        let turn = |(at, byte): (usize, &u8)| {
            let number = self.scramble.number((text, at));
            match byte {
                b'0'..=b'9' => b'0' + u8::try_from(number % 10).unwrap_or(0),
                b'a'..=b'f' => b'a' + u8::try_from(number % 6).unwrap_or(0),
                b'A'..=b'F' => b'A' + u8::try_from(number % 6).unwrap_or(0),
                _ => *byte,
            }
        };
        text.iter().enumerate().map(turn).collect()
    }

    fn mail(&mut self, rest: &[u8], run: usize) -> Option<(usize, Vec<u8>)> {
        let domain = rest.get(run..)?.strip_prefix(b"@")?;
        let length = domain.iter().take_while(|byte| is_token(**byte)).count();
        let domain = domain.get(..length)?;
        let domain = domain.strip_suffix(b".").unwrap_or(domain);
        let last = domain.rsplit(|&byte| byte == b'.').next()?;
        let is_mail = domain.contains(&b'.')
            && last.len() > 1
            && last.iter().all(u8::is_ascii_alphabetic)
            && !UNITS.contains(&last);
        if !is_mail {
            return None;
        }
        let user = self.words(rest.get(..run)?);
        let host = names::host(&mut self.scramble, &self.names, domain);
        Some((run + 1 + domain.len(), [user, b"@".to_vec(), host].concat()))
    }

    /// Every word replaced, whatever it is.
    pub(super) fn words(&mut self, text: &[u8]) -> Vec<u8> {
        self.each_word(text, |_| false)
    }

    /// Every word replaced but those that `keep` knows; an escape (`%20`, `\x20`) stays one.
    pub(super) fn each_word(&mut self, text: &[u8], keep: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let escape = match rest {
                [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => 1,
                [b'\\', b'x', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => 2,
                _ => 0,
            };
            if escape > 0 {
                out.extend(rest.get(..escape).unwrap_or_default());
                out.extend(self.hex(rest.get(escape..escape + 2).unwrap_or_default()));
                at += escape + 2;
                continue;
            }
            let run = rest.iter().take_while(|byte| is_word(**byte)).count();
            let word = rest.get(..run.max(1)).unwrap_or_default();
            if run == 0 || keep(word) {
                out.extend(word);
            } else {
                out.extend(self.scramble.word(word));
            }
            at += run.max(1);
        }
        out
    }

    /// A run of letters, digits, `-`, `_` and dots.
    fn token(&mut self, token: &[u8]) -> Vec<u8> {
        let bare = token.strip_suffix(b".").unwrap_or(token);
        if names::is_host(bare) {
            let mut host = names::host(&mut self.scramble, &self.names, bare);
            host.extend(token.get(bare.len()..).unwrap_or_default());
            return host;
        }
        let mut out = Vec::with_capacity(token.len());
        for piece in token.split_inclusive(|&byte| matches!(byte, b'.' | b'+')) {
            let (word, end) = match piece.split_last() {
                Some((&end @ (b'.' | b'+'), word)) => (word, Some(end)),
                _ => (piece, None),
            };
            out.extend(self.names.replace(&mut self.scramble, word));
            out.extend(end);
        }
        out
    }
}

/// What an address of version 6 may begin with, besides a digit.
fn starts_address(rest: &[u8]) -> bool {
    rest.starts_with(b"::")
}

fn is_token(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'-' | b'_' | b'.' | b'+')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}
