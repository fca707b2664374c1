//! How often each cause stood behind a line of each signature, in a survey of public threads.
//!
//! `survey.tsv` has one row a thread: signature, cause, and where it can be read; `docs/explain.md` says how they were
//! found. A likelihood is a share of those threads, so it says what people met who asked, and nothing of this host.

use super::table::Signature;

const THREADS: &str = include_str!("survey.tsv");

/// A thread that ended in a cause of none of ours.
const OTHER: &str = "other";

/// The share of a cause among the threads of a signature. Every cause that can stand behind the signature counts as half
/// a thread more, so that none is impossible, and what nobody thought of as one.
pub(super) fn likelihood(signature: &Signature, cause: &str) -> f64 {
    let possible = |cause: &str| {
        signature
            .causes
            .iter()
            .any(|possible| possible.cause == cause)
    };
    let (mut all, mut of_cause) = (0_u32, 0_u32);
    for found in causes_of(signature.name).filter(|&found| found == OTHER || possible(found)) {
        all += 1;
        of_cause += u32::from(found == cause);
    }
    let causes = u32::try_from(signature.causes.len()).unwrap_or(u32::MAX);
    (f64::from(of_cause) + 0.5) / (f64::from(all) + 0.5 * f64::from(causes) + 1.0)
}

/// How many threads of a signature ended in a cause, and how many there are.
pub(super) fn threads(signature: &Signature, cause: &str) -> (usize, usize) {
    let all = causes_of(signature.name);
    let of_cause = causes_of(signature.name).filter(|&found| found == cause);
    (of_cause.count(), all.count())
}

fn causes_of(signature: &str) -> impl Iterator<Item = &'static str> {
    THREADS.lines().filter_map(move |line| {
        let mut columns = line.split('\t');
        (columns.next()? == signature)
            .then(|| columns.next())
            .flatten()
    })
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
            assert_eq!(columns.len(), 3, "{line}");
            assert!(names.contains(columns[0]), "{line}");
            assert!(seen.insert((columns[0], columns[2])), "twice: {line}");
        }
    }
}
