//! Words for words: the same for the same, of the same length, in the same letters, and never back.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

/// So often another word is looked for when one is taken; of one or two letters there are few.
const TRIES: u32 = 64;

/// Words that stay, in lower case.
static VOCABULARY: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("vocabulary.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_ascii_whitespace)
        .collect()
});

/// Whether a word stays wherever it stands: a diagnosis reads it, or it is no more than a number of digits.
pub(super) fn stays(word: &[u8]) -> bool {
    let word = word.to_ascii_lowercase();
    word.iter().all(u8::is_ascii_digit)
        || str::from_utf8(&word).is_ok_and(|word| VOCABULARY.contains(word))
}

/// Gives words for words.
#[derive(Debug, Default)]
pub(super) struct Scramble {
    /// Drawn anew by each process and stored nowhere: without it no word leads back.
    key: RandomState,
    given: HashMap<Vec<u8>, Vec<u8>>,
    taken: HashSet<Vec<u8>>,
}

impl Scramble {
    /// A number that only the key and this value decide.
    pub(super) fn number(&self, of: impl std::hash::Hash) -> u64 {
        self.key.hash_one(of)
    }

    /// Another word: a letter for each letter, in its case, a digit for each digit; what else stands in it stays.
    pub(super) fn word(&mut self, word: &[u8]) -> Vec<u8> {
        let lower = word.to_ascii_lowercase();
        let given = match self.given.get(&lower) {
            Some(given) => given.clone(),
            None => self.give(lower),
        };
        given
            .into_iter()
            .zip(word)
            .map(|(to, from)| {
                if from.is_ascii_uppercase() {
                    to.to_ascii_uppercase()
                } else {
                    to
                }
            })
            .collect()
    }

    fn give(&mut self, word: Vec<u8>) -> Vec<u8> {
        let mut other = Vec::new();
        for attempt in 0..TRIES {
            other = self.draw(&word, attempt);
            if other != word && !self.taken.contains(&other) && !stays(&other) {
                break;
            }
        }
        self.taken.insert(other.clone());
        self.given.insert(word, other.clone());
        other
    }

    fn draw(&self, word: &[u8], attempt: u32) -> Vec<u8> {
        let draw = |(at, &byte): (usize, &u8)| {
            let pick = |from: &[u8]| {
                let number = self.number((word, attempt, at)) % from.len() as u64;
                usize::try_from(number)
                    .ok()
                    .and_then(|at| from.get(at).copied())
                    .unwrap_or(byte)
            };
            match byte {
                b'0'..=b'9' => pick(b"0123456789"),
                b'a'..=b'z' => pick(b"abcdefghijklmnopqrstuvwxyz"),
                0x80.. => pick(b"abcdefghijklmnopqrstuvwxyz"),
                _ => byte,
            }
        };
        word.iter().enumerate().map(draw).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_becomes_the_same_other_word_of_its_form() {
        let mut scramble = Scramble::default();
        let word = scramble.word(b"Shop24");
        assert_eq!(word.len(), 6);
        assert_ne!(word, b"Shop24");
        assert!(
            word[0].is_ascii_uppercase()
                && word[1].is_ascii_lowercase()
                && word[5].is_ascii_digit()
        );
        assert_eq!(scramble.word(b"shop24"), word.to_ascii_lowercase());
        assert_ne!(scramble.word(b"shop25"), word.to_ascii_lowercase());
    }

    #[test]
    fn another_key_gives_other_words() {
        assert_ne!(
            Scramble::default().word(b"storefront"),
            Scramble::default().word(b"storefront")
        );
    }

    #[test]
    fn what_a_diagnosis_reads_stays() {
        for word in ["nginx", "GET", "listen", "www-data", "8080"] {
            assert!(stays(word.as_bytes()), "{word}");
        }
        assert!(!stays(b"shop"));
    }
}
