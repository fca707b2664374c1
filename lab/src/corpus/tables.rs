//! The whole corpus at once: what was true against what was answered, and whether every cause is met in all its verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::lookalikes::{FAMILIES, Family};
use super::{Case, Judged};

/// What stands in for a cause where there is none.
const UNPROVABLE: &str = "(not provable)";
const UNPROVEN: &str = "(not proven)";

const HEAD: &str = "\
# Accuracy

What was true against what is answered, over the whole corpus (`corpus/`): recordings of real failures, each of which a
scenario of the lab made.
Written by `cargo xtask accuracy --corpus`; `lab/tests/corpus.rs` holds it current, and fails on a false \"confirmed\".

";

const NOTE: &str = "\
*Not provable* is what nothing on the host proves, by the scenario's word: a process that died without a record, a firewall
on another host.
Where several faults are true at once, the row is the one that has to be answered; the others may be confirmed beside it.
Where a finer cause was true and nothing proves it (an application without a unit that listens on another port), the row is
the coarser one that is proven.

";

const COVERAGE: &str = "\
## Every cause in every verdict

How many incidents hold a cause confirmed, unknown though it was true (asked without root, or once it was over), and ruled
out where nginx logged what it logs for it.
What is empty cannot be so, and stands in `lab/tests/corpus.rs` with its reason.

| cause | confirmed | unknown | ruled out |
|---|---|---|---|
";

const LOOKALIKES: &str = "\
## Look-alikes

nginx logs the same for each row of a table.
A column is what was answered, numbered like the rows; *(nothing)* is what nothing on the host proves.
Only the diagonal may be filled.
";

/// The page `docs/accuracy.md`.
pub fn page(cases: &[Case]) -> String {
    let mut page = HEAD.to_owned();
    let incidents = incidents(cases).count();
    let quiet = cases
        .iter()
        .filter(|case| case.incidents.is_empty())
        .count();
    // Writing to a string cannot fail, here and below.
    writeln!(
        page,
        "{} cases with {incidents} incidents; {quiet} cases have none, and none is found.\n",
        cases.len()
    )
    .ok();
    page.push_str("| true | answered | incidents |\n|---|---|---|\n");
    for ((truth, answer), count) in answers(cases) {
        writeln!(page, "| {truth} | {answer} | {count} |").ok();
    }
    let wrong: usize = incidents_of(cases)
        .map(|(_, one)| one.false_ones().count())
        .sum();
    writeln!(page, "\nFalse \"confirmed\": {wrong}.").ok();
    page.push_str(NOTE);
    page.push_str(COVERAGE);
    for (cause, counts) in coverage(cases) {
        let counts = counts.map(|count| {
            if count == 0 {
                String::new()
            } else {
                count.to_string()
            }
        });
        writeln!(page, "| {cause} | {} |", counts.join(" | ")).ok();
    }
    page.push('\n');
    page.push_str(LOOKALIKES);
    for family in FAMILIES {
        writeln!(
            page,
            "\n### {}\n\n{}",
            family.title,
            family.matrix(cases).page().trim_end()
        )
        .ok();
    }
    page
}

/// What is wrong with the answers as a whole: a cause that is confirmed and was not true, another answer than the true
/// one, a look-alike that was taken for another.
pub fn faults(cases: &[Case]) -> Vec<String> {
    let mut faults = Vec::new();
    for (case, incident) in incidents_of(cases) {
        faults.extend(
            incident
                .false_ones()
                .map(|cause| format!("{case}: {cause} is confirmed, and was not so")),
        );
        if let Some(truth) = incident
            .provable()
            .filter(|truth| incident.answer.as_deref() != Some(truth))
        {
            faults.push(format!("{case}: {truth} is true, and not the answer"));
        }
    }
    for family in FAMILIES {
        let astray = family.matrix(cases).astray().into_iter();
        faults.extend(astray.map(|astray| format!("{}: {astray}", family.title)));
    }
    faults
}

/// The look-alikes that the corpus must hold and does not, as `(family, what)`.
pub fn lacking(cases: &[Case]) -> Vec<(&'static str, &'static str)> {
    let of_family = |family: &'static Family| {
        let missing = family.missing(&family.matrix(cases)).into_iter();
        missing.map(|what| (family.title, what))
    };
    FAMILIES.iter().flat_map(of_family).collect()
}

/// A way in which the corpus must hold every cause.
struct Kind {
    /// As an excuse names it.
    name: &'static str,
    is_met: fn(&Judged, cause: &String, failures: &BTreeSet<&str>) -> bool,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "confirmed",
        is_met: |incident, cause, _| incident.confirmed.contains(cause),
    },
    // That it is unknown of another fault tells nothing of what is said where it is not learned.
    Kind {
        name: "unknown where it was true",
        is_met: |incident, cause, _| {
            incident.truth.contains(cause) && incident.unknown.contains(cause)
        },
    },
    // Of other words everything is ruled out.
    Kind {
        name: "ruled out of the words that it has",
        is_met: |incident, cause, failures| {
            incident.ruled_out.contains(cause)
                && !incident.truth.contains(cause)
                && failures.contains(incident.failure.as_str())
        },
    },
];

/// Every cause with how many incidents are of each kind.
fn coverage(cases: &[Case]) -> BTreeMap<&str, [usize; 3]> {
    let causes: BTreeSet<&String> = incidents(cases).flat_map(Judged::causes).collect();
    let of = |cause: &String| {
        let confirmed = incidents(cases).filter(|incident| incident.confirmed.contains(cause));
        let failures: BTreeSet<&str> = confirmed
            .map(|incident| incident.failure.as_str())
            .filter(|failure| !failure.is_empty())
            .collect();
        KINDS.map(|kind| {
            incidents(cases)
                .filter(|incident| (kind.is_met)(incident, cause, &failures))
                .count()
        })
    };
    causes
        .into_iter()
        .map(|cause| (cause.as_str(), of(cause)))
        .collect()
}

/// What the corpus does not hold of a cause, as `(cause, kind)`.
pub fn uncovered<'a>(cases: &[Case], causes: &'a [String]) -> Vec<(&'a str, &'static str)> {
    let coverage = coverage(cases);
    let mut uncovered = Vec::new();
    for cause in causes {
        let counts = coverage.get(cause.as_str()).copied().unwrap_or_default();
        let lacking = KINDS.iter().zip(counts).filter(|(_, count)| *count == 0);
        uncovered.extend(lacking.map(|(kind, _)| (cause.as_str(), kind.name)));
    }
    uncovered
}

/// How many incidents each true cause was answered in which way.
fn answers(cases: &[Case]) -> BTreeMap<(&str, &str), usize> {
    let mut answers = BTreeMap::new();
    for incident in incidents(cases) {
        let truth = incident.provable().unwrap_or(UNPROVABLE);
        let answer = incident.answer.as_deref().unwrap_or(UNPROVEN);
        *answers.entry((truth, answer)).or_default() += 1;
    }
    answers
}

fn incidents(cases: &[Case]) -> impl Iterator<Item = &Judged> {
    cases.iter().flat_map(|case| &case.incidents)
}

fn incidents_of(cases: &[Case]) -> impl Iterator<Item = (&str, &Judged)> {
    cases.iter().flat_map(|case| {
        case.incidents
            .iter()
            .map(|incident| (case.name.as_str(), incident))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(truth: &[&str], answer: Option<&str>, confirmed: &[&str]) -> Case {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let incident = Judged {
            truth: owned(truth),
            answer: answer.map(str::to_owned),
            confirmed: owned(confirmed),
            ..Judged::default()
        };
        Case {
            name: "of/it".to_owned(),
            wrong: None,
            incidents: vec![incident],
        }
    }

    #[test]
    fn what_was_not_so_and_is_confirmed_is_a_fault() {
        for (truth, answer, confirmed, fault) in [
            (
                &["a"][..],
                Some("a"),
                &["a", "b"][..],
                Some("of/it: b is confirmed, and was not so"),
            ),
            (
                &[],
                Some("a"),
                &["a"],
                Some("of/it: a is confirmed, and was not so"),
            ),
            (
                &["a", "b"],
                Some("b"),
                &["a", "b"],
                Some("of/it: a is true, and not the answer"),
            ),
            (&["a", "b"], Some("a"), &["a", "b"], None),
            (&["a"], None, &[], None),
        ] {
            let found = faults(&[case(truth, answer, confirmed)]);
            assert_eq!(found.first().map(String::as_str), fault);
        }
    }

    #[test]
    fn a_look_alike_that_the_corpus_lacks_is_named() {
        assert!(lacking(&[]).contains(&("111: Connection refused", "socket-stale")));
    }

    #[test]
    fn the_page_counts_what_is_false() {
        let page = page(&[case(&["a"], Some("b"), &["b", "c"])]);
        assert!(
            page.contains("| a | b | 1 |\n") && page.contains("\nFalse \"confirmed\": 2.\n"),
            "{page}"
        );
    }

    #[test]
    fn each_kind_that_no_incident_is_of_is_named() {
        let causes = ["a".to_owned()];
        let lacking = |cases: &[Case]| {
            let named = uncovered(cases, &causes).into_iter();
            named.map(|(_, kind)| kind).collect::<Vec<_>>()
        };
        let of = |truth: &[&str], failure: &str, verdict: fn(&mut Judged) -> &mut Vec<String>| {
            let mut case = case(truth, None, &[]);
            case.incidents[0].failure = failure.to_owned();
            verdict(&mut case.incidents[0]).push("a".to_owned());
            case
        };
        let [confirmed, unknown, ruled_out] = KINDS.map(|kind| kind.name);
        let sure = || of(&["a"], "refused", |incident| &mut incident.confirmed);
        assert_eq!(lacking(&[]), [confirmed, unknown, ruled_out]);
        assert_eq!(lacking(&[sure()]), [unknown, ruled_out]);
        let elsewhere = of(&["b"], "refused", |incident| &mut incident.unknown);
        let other_words = of(&["b"], "reset", |incident| &mut incident.ruled_out);
        assert_eq!(
            lacking(&[sure(), elsewhere, other_words]),
            [unknown, ruled_out]
        );
        let not_learned = of(&["b", "a"], "refused", |incident| &mut incident.unknown);
        let alike = of(&["b"], "refused", |incident| &mut incident.ruled_out);
        assert_eq!(lacking(&[sure(), not_learned, alike]), Vec::<&str>::new());
    }
}
