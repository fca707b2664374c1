//! How likely each cause is behind a line of a signature: the one place where likelihoods are made.
//!
//! `survey.tsv` has one row a public thread that was solved: signature, cause, whether the search that found it named the
//! cause, and the thread. Whoever searches for a cause finds it, so such a thread counts a quarter. What nginx's words
//! mean plainly, the first cause of each signature, is seldom asked about and counts as six threads more. Every cause that
//! can stand behind a signature counts as half a thread more, so that none is impossible, and what nobody thought of as
//! one. `docs/explain.md` has the method and its weaknesses. All of this says what others met, and nothing of a host.

use std::sync::LazyLock;

use super::table::Signature;

const THREADS: &str = include_str!("survey.tsv");

/// A thread that ended in a cause of none of ours.
const OTHER: &str = "other";

const PLAIN_MEANING: f64 = 6.0;
const POSSIBLE: f64 = 0.5;
const UNTHOUGHT: f64 = 1.0;
const PLAIN: f64 = 1.0;
const NAMED: f64 = 0.25;

/// The share of a cause of a signature; those of all its causes sum to less than 1.
pub(super) fn likelihood(signature: &Signature, cause: &str) -> f64 {
    let all: f64 = signature
        .causes
        .iter()
        .map(|possible| weight(signature, possible.cause))
        .sum();
    weight(signature, cause) / (all + of_threads(signature.name, OTHER) + UNTHOUGHT)
}

fn weight(signature: &Signature, cause: &str) -> f64 {
    let is_first = signature
        .causes
        .first()
        .is_some_and(|first| first.cause == cause);
    let meaning = if is_first { PLAIN_MEANING } else { 0.0 };
    POSSIBLE + meaning + of_threads(signature.name, cause)
}

fn of_threads(signature: &str, cause: &str) -> f64 {
    let threads = rows(signature).filter(|&(found, _)| found == cause);
    threads
        .map(|(_, searched)| if searched == "plain" { PLAIN } else { NAMED })
        .sum()
}

/// How many threads of a signature ended in a cause, and how many there are.
pub(super) fn threads(signature: &Signature, cause: &str) -> (usize, usize) {
    let of_cause = rows(signature.name).filter(|&(found, _)| found == cause);
    (of_cause.count(), rows(signature.name).count())
}

/// Cause and kind of search, of each thread of a signature.
fn rows(signature: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    static ROWS: LazyLock<Vec<[&str; 3]>> = LazyLock::new(|| {
        let columns = |line: &'static str| {
            let mut columns = line.split('\t');
            Some([columns.next()?, columns.next()?, columns.next()?])
        };
        THREADS.lines().filter_map(columns).collect()
    });
    ROWS.iter()
        .filter(move |[of, ..]| *of == signature)
        .map(|[_, cause, search]| (*cause, *search))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::table::SIGNATURES;
    use super::*;

    #[test]
    fn likelihoods_of_a_signature_leave_room_for_the_unknown() {
        for signature in SIGNATURES {
            let sum: f64 = signature
                .causes
                .iter()
                .map(|possible| likelihood(signature, possible.cause))
                .sum();
            assert!(sum > 0.0 && sum < 1.0, "{}: {sum}", signature.name);
        }
    }

    #[test]
    fn every_thread_is_of_a_known_signature_and_stands_once() {
        let names: BTreeSet<&str> = SIGNATURES.iter().map(|signature| signature.name).collect();
        let mut seen = BTreeSet::new();
        for line in THREADS.lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            assert_eq!(columns.len(), 4, "{line}");
            assert!(["plain", "named"].contains(&columns[2]), "{line}");
            assert!(names.contains(columns[0]), "{line}");
            assert!(seen.insert((columns[0], columns[3])), "twice: {line}");
        }
    }
}
