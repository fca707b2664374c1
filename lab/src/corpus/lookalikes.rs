//! Causes that nginx gives the same words to: what was true against what was answered, family by family.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Case, Judged};

/// Incidents that nginx's log alone does not tell apart.
pub(super) struct Family {
    /// What nginx logs.
    pub(super) title: &'static str,
    is_of: fn(&Judged) -> bool,
    /// What the corpus must hold of it: rows, each with its own cause answered.
    must_hold: &'static [&'static str],
}

/// The families, in the order of the page.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "13: Permission denied",
        is_of: |incident| incident.errno == Some(13),
        must_hold: &[
            "apparmor-denies-connect",
            "nginx-sandboxed",
            "selinux-denies-connect",
            "selinux-denies-socket",
            "socket-acl-denied",
            "socket-permission-denied, a directory",
            "socket-permission-denied, its mode",
        ],
    },
    Family {
        title: "111: Connection refused",
        is_of: |incident| incident.errno == Some(111),
        must_hold: &[
            "firewall-rejects-connect",
            "peer-address-mismatch",
            "peer-family-mismatch",
            "peer-in-other-netns",
            "peer-not-listening",
            "peer-port-mismatch",
            "socket-stale",
        ],
    },
    Family {
        title: "104: Connection reset by peer, or closed before the response",
        is_of: |incident| {
            matches!(
                incident.failure.as_str(),
                "connection-reset" | "premature-close"
            )
        },
        must_hold: &[
            "application-crashed",
            "application-killed-oom",
            "application-restarted",
            "application-worker-timeout",
            "keepalive-connection-stale",
            "peer-speaks-other-protocol",
        ],
    },
    Family {
        title: "110: Connection timed out",
        is_of: |incident| incident.errno == Some(110),
        must_hold: &[
            "accept-queue-full",
            "application-slow",
            "firewall-drops-connect",
        ],
    },
    Family {
        title: "2: No such file or directory",
        is_of: |incident| incident.errno == Some(2) && incident.failure == "socket-missing",
        must_hold: &[
            "nginx-sandboxed",
            "peer-transport-mismatch",
            "socket-hidden-by-namespace",
            "socket-missing",
            "socket-path-mismatch",
        ],
    },
    Family {
        title: "11: Resource temporarily unavailable",
        is_of: |incident| incident.errno == Some(11),
        must_hold: &["accept-queue-full", "fpm-children-exhausted"],
    },
    Family {
        title: "TLS",
        is_of: |incident| incident.failure.starts_with("tls-"),
        must_hold: &[
            "peer-speaks-other-protocol",
            "upstream-certificate-rejected",
            "upstream-sni-missing",
            "upstream-tls-handshake-fails",
        ],
    },
];

/// Two ways of one cause that are look-alikes as well: whether the case is of this one, and what its answer says.
struct Way {
    cause: &'static str,
    name: &'static str,
    is_true: fn(&str) -> bool,
    says: &'static str,
}

const CLOSED_PARENT: &str = "socket-permission-denied/parent_is_closed";

const WAYS: &[Way] = &[
    Way {
        cause: "socket-permission-denied",
        name: "a directory",
        is_true: |case| case == CLOSED_PARENT,
        says: "no search (x) on ",
    },
    Way {
        cause: "socket-permission-denied",
        name: "its mode",
        is_true: |case| case != CLOSED_PARENT,
        says: "no write (w) on ",
    },
];

/// What nothing was proven of, and what nothing proves.
const NOTHING: &str = "(nothing)";

/// How many incidents of each row were answered with each column.
pub(super) struct Matrix {
    cells: BTreeMap<(String, String), usize>,
}

impl Family {
    /// The family's matrix over these cases.
    pub(super) fn matrix(&self, cases: &[Case]) -> Matrix {
        let mut cells = BTreeMap::new();
        for case in cases {
            for incident in case.incidents.iter().filter(|one| (self.is_of)(one)) {
                *cells.entry(cell(&case.name, incident)).or_default() += 1;
            }
        }
        Matrix { cells }
    }

    /// Rows that the corpus must hold and does not.
    pub(super) fn missing(&self, matrix: &Matrix) -> Vec<&'static str> {
        let has = |row: &str| matrix.cells.contains_key(&(row.to_owned(), row.to_owned()));
        let rows = self.must_hold.iter().copied();
        rows.filter(|row| !has(row)).collect()
    }
}

impl Matrix {
    /// The cells off the diagonal.
    pub(super) fn astray(&self) -> Vec<String> {
        let astray = self.cells.iter().filter(|((row, column), _)| row != column);
        astray
            .map(|((row, column), count)| {
                format!("{row} was answered with {column}, {count} times")
            })
            .collect()
    }

    /// As Markdown; columns are numbered like the rows, or a table of many would be too wide to read.
    pub(super) fn page(&self) -> String {
        let names: BTreeSet<&String> = self
            .cells
            .keys()
            .flat_map(|(row, column)| [row, column])
            .collect();
        let mut page = String::from("| | true \\ answered |");
        for number in 1..=names.len() {
            // Writing to a string cannot fail.
            write!(page, " {number} |").ok();
        }
        writeln!(page, "\n|---|---|{}", "---|".repeat(names.len())).ok();
        for (idx, row) in names.iter().enumerate() {
            write!(page, "| {} | {row} |", idx + 1).ok();
            for column in &names {
                match self.cells.get(&((*row).clone(), (*column).clone())) {
                    Some(count) => write!(page, " {count} |").ok(),
                    None => write!(page, " |").ok(),
                };
            }
            page.push('\n');
        }
        page
    }
}

/// Row and column of an incident.
fn cell(case: &str, incident: &Judged) -> (String, String) {
    let row = incident.provable().map(|cause| {
        let way = ways(cause).find(|way| (way.is_true)(case));
        named(cause, way)
    });
    let column = incident.answer.as_deref().map(|cause| {
        let way = ways(cause).find(|way| incident.said.contains(way.says));
        named(cause, way)
    });
    let nothing = || NOTHING.to_owned();
    (row.unwrap_or_else(nothing), column.unwrap_or_else(nothing))
}

fn ways(cause: &str) -> impl Iterator<Item = &'static Way> {
    WAYS.iter().filter(move |way| way.cause == cause)
}

fn named(cause: &str, way: Option<&Way>) -> String {
    way.map_or_else(|| cause.to_owned(), |way| format!("{cause}, {}", way.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(truth: &str, answer: Option<&str>, said: &str) -> Judged {
        Judged {
            errno: Some(13),
            truth: vec![truth.to_owned()],
            answer: answer.map(str::to_owned),
            said: said.to_owned(),
            ..Judged::default()
        }
    }

    fn matrix(case: &str, incident: Judged) -> Matrix {
        let case = Case {
            name: case.to_owned(),
            wrong: None,
            incidents: vec![incident],
        };
        FAMILIES[0].matrix(&[case])
    }

    #[test]
    fn a_true_answer_stands_on_the_diagonal() {
        let said = "no search (x) on /run/shop";
        let cause = "socket-permission-denied";
        let held = matrix(CLOSED_PARENT, denied(cause, Some(cause), said));
        assert_eq!(held.astray(), Vec::<String>::new());
        assert_eq!(
            held.page(),
            "| | true \\ answered | 1 |\n|---|---|---|\n| 1 | socket-permission-denied, a directory | 1 |\n"
        );
        let open = matrix("a/b", denied(cause, None, ""));
        assert_eq!(open.astray(), Vec::<String>::new());
    }

    #[test]
    fn another_cause_or_another_way_of_it_stands_astray() {
        let cause = "socket-permission-denied";
        let other = matrix(
            "a/b",
            denied("socket-acl-denied", Some(cause), "no write (w) on /x"),
        );
        assert_eq!(
            other.astray(),
            ["socket-acl-denied was answered with socket-permission-denied, its mode, 1 times"]
        );
        let parent = matrix(
            CLOSED_PARENT,
            denied(cause, Some(cause), "no write (w) on /x"),
        );
        assert_eq!(parent.astray().len(), 1);
        let neither = matrix("a/b", denied(cause, Some(cause), ""));
        assert_eq!(neither.astray().len(), 1);
        assert_eq!(
            FAMILIES[0].missing(&parent).len(),
            FAMILIES[0].must_hold.len()
        );
    }
}
