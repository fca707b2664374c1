//! What logs tell in bulk as one flat table: a row for each incident and each step in which it failed.

use diagnose::logs::LogIncident;

/// Its columns, whatever it is written as; the last two are the step's, the others the incident's.
pub(crate) const COLUMNS: [&str; 10] = [
    "peer", "upstream", "protocol", "failure", "errno", "while", "status", "servers", "time",
    "count",
];

/// The incident's servers in one field, the most failures first.
pub(crate) fn servers(incident: &LogIncident) -> String {
    let names: Vec<&str> = incident
        .servers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.join(" ")
}
