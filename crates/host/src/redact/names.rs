//! The names of a host's owner: of the host, its sites, its users and whom it dials, and how each is written otherwise.

use std::collections::BTreeSet;

use super::scramble::{Scramble, stays};

/// A shorter part of a name is replaced only where the whole name stands: it is a word of its own too often.
const PART: usize = 3;
/// From this length on a part is replaced within longer words too, such as a process's name.
const WITHIN: usize = 6;

/// Last labels by which a name with dots is told from a file's.
const TOP: &[&[u8]] = &[
    b"com",
    b"net",
    b"org",
    b"edu",
    b"gov",
    b"mil",
    b"info",
    b"biz",
    b"io",
    b"dev",
    b"cloud",
    b"app",
    b"eu",
    b"de",
    b"fr",
    b"uk",
    b"us",
    b"nl",
    b"ch",
    b"at",
    b"ru",
    b"cn",
    b"jp",
    b"br",
    b"au",
    b"ca",
    b"internal",
    b"intern",
    b"intra",
    b"corp",
    b"lan",
    b"local",
    b"home",
    b"localdomain",
    b"example",
    b"invalid",
    b"test",
    b"arpa",
];

/// What stands before the last label of a name that belongs to nobody: `co.uk`.
const SECOND: &[&[u8]] = &[b"co", b"ac", b"com", b"net", b"org", b"edu", b"gov"];

/// The names that are replaced wherever they stand.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Labels and users, in lower case.
    whole: BTreeSet<Vec<u8>>,
    /// Their parts between hyphens and underscores.
    parts: BTreeSet<Vec<u8>>,
    /// Those that are looked for within words.
    long: Vec<Vec<u8>>,
}

impl Names {
    /// Learns a host's name, with its domain or without.
    pub(super) fn learn_host(&mut self, name: &[u8]) {
        let labels: Vec<&[u8]> = name.split(|&byte| byte == b'.').collect();
        for (at, label) in labels.iter().enumerate() {
            if !label_stays(&labels, at) {
                self.learn(label);
            }
        }
    }

    /// Learns a word that only this host's owner uses.
    pub(super) fn learn(&mut self, word: &[u8]) {
        let word = word.to_ascii_lowercase();
        let is_name = |byte: &u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || *byte >= 0x80
        };
        if word.is_empty() || word.len() > 253 || !word.iter().all(is_name) || stays(&word) {
            return;
        }
        for part in word.split(|byte| matches!(byte, b'-' | b'_')) {
            if part.len() >= PART
                && !stays(part)
                && self.parts.insert(part.to_vec())
                && part.len() >= WITHIN
            {
                self.long.push(part.to_vec());
            }
        }
        if word.len() >= PART {
            self.whole.insert(word);
        }
    }

    /// A run of letters, digits, `-` and `_`, with the names in it replaced.
    pub(super) fn replace(&self, scramble: &mut Scramble, token: &[u8]) -> Vec<u8> {
        let is_whole = self.whole.contains(&token.to_ascii_lowercase());
        let mut out = Vec::with_capacity(token.len());
        let all_stay = token.split(|byte| matches!(byte, b'-' | b'_')).all(stays);
        for piece in token.split_inclusive(|byte| matches!(byte, b'-' | b'_')) {
            let (word, end) = match piece.split_last() {
                Some((&end @ (b'-' | b'_'), word)) => (word, Some(end)),
                _ => (piece, None),
            };
            if is_whole && (all_stay || !stays(word)) {
                out.extend(scramble.word(word));
            } else {
                out.extend(self.part(scramble, word));
            }
            out.extend(end);
        }
        out
    }

    fn part(&self, scramble: &mut Scramble, word: &[u8]) -> Vec<u8> {
        let lower = word.to_ascii_lowercase();
        if self.parts.contains(&lower) {
            return scramble.word(word);
        }
        if lower.len() < WITHIN || stays(&lower) {
            return word.to_vec();
        }
        // The kernel cuts a process's name after 15 bytes.
        if let Some(longer) = self.long.iter().find(|part| part.starts_with(&lower)) {
            let mut given = scramble.word(longer);
            given.truncate(word.len());
            return given;
        }
        for part in &self.long {
            if let Some(at) = memchr::memmem::find(&lower, part) {
                let (before, rest) = word.split_at_checked(at).unwrap_or((word, &[]));
                let (within, after) = rest.split_at_checked(part.len()).unwrap_or((rest, &[]));
                return [
                    before.to_vec(),
                    scramble.word(within),
                    self.part(scramble, after),
                ]
                .concat();
            }
        }
        word.to_vec()
    }
}

/// A host's name with its labels replaced; what belongs to everybody stays.
pub(super) fn host(scramble: &mut Scramble, names: &Names, name: &[u8]) -> Vec<u8> {
    let labels: Vec<&[u8]> = name.split(|&byte| byte == b'.').collect();
    let mut out: Vec<Vec<u8>> = Vec::with_capacity(labels.len());
    for (at, label) in labels.iter().enumerate() {
        if label_stays(&labels, at) {
            out.push(label.to_vec());
            continue;
        }
        let parts = label.split(|byte| matches!(byte, b'-' | b'_'));
        if parts.clone().all(stays) {
            out.push(names.replace(scramble, label));
        } else {
            let mut mapped = Vec::new();
            for piece in label.split_inclusive(|byte| matches!(byte, b'-' | b'_')) {
                let (word, end) = match piece.split_last() {
                    Some((&end @ (b'-' | b'_'), word)) => (word, Some(end)),
                    _ => (piece, None),
                };
                mapped.extend(if stays(word) {
                    word.to_vec()
                } else {
                    scramble.word(word)
                });
                mapped.extend(end);
            }
            out.push(mapped);
        }
    }
    out.join(&b'.')
}

/// Whether text with dots is a host's name by its last label.
pub(super) fn is_host(text: &[u8]) -> bool {
    let plain = |label: &[u8]| {
        !label.is_empty()
            && label
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let mut labels = text.split(|&byte| byte == b'.');
    labels.clone().count() > 1
        && labels.clone().all(plain)
        && labels.next_back().is_some_and(is_top)
}

fn is_top(label: &[u8]) -> bool {
    TOP.iter().any(|top| label.eq_ignore_ascii_case(top))
}

fn label_stays(labels: &[&[u8]], at: usize) -> bool {
    let Some(label) = labels.get(at) else {
        return true;
    };
    let after = labels.len().saturating_sub(at + 1);
    let is_one_of = |all: &[&[u8]]| all.iter().any(|one| label.eq_ignore_ascii_case(one));
    labels.len() > 1 && (after == 0 && is_one_of(TOP) || after == 1 && is_one_of(SECOND))
        || stays(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sites_name_is_replaced_in_every_form() {
        let mut names = Names::default();
        names.learn_host(b"shop.zanzibar-goods.co.uk");
        let mut scramble = Scramble::default();
        let full = host(&mut scramble, &names, b"shop.zanzibar-goods.co.uk");
        let full = String::from_utf8(full).unwrap();
        assert!(
            full.ends_with(".co.uk") && !full.contains("zanzibar") && !full.contains("goods"),
            "{full}"
        );
        let labels: Vec<&str> = full.split('.').collect();
        let alone = names.replace(&mut scramble, b"zanzibar-goods");
        assert_eq!(alone, labels[1].as_bytes());
        let parts: Vec<&str> = labels[1].split('-').collect();
        for (text, expected) in [
            ("shop", labels[0].to_owned()),
            ("goods_v2", format!("{}_v2", parts[1])),
            ("myzanzibard", format!("my{}d", parts[0])),
            ("zanziba", parts[0].chars().take(7).collect()),
            ("shopping", "shopping".to_owned()),
        ] {
            let replaced = names.replace(&mut scramble, text.as_bytes());
            assert_eq!(String::from_utf8(replaced).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn words_that_a_diagnosis_reads_are_no_names() {
        let mut names = Names::default();
        names.learn_host(b"nginx.example.com");
        names.learn_host(b"localhost");
        assert_eq!(names.replace(&mut Scramble::default(), b"nginx"), b"nginx");
    }

    #[test]
    fn a_host_is_told_from_a_file() {
        for text in ["shop.example.com", "db.internal", "a-b.c.de"] {
            assert!(is_host(text.as_bytes()), "{text}");
        }
        for text in [
            "error.log",
            "php8.1-fpm.sock",
            "nginx.conf",
            "app.service",
            "com",
            ".com",
        ] {
            assert!(!is_host(text.as_bytes()), "{text}");
        }
    }
}
