//! What logs tell in bulk, as comma-separated values with a header line, for spreadsheets and tools of the shell.
//!
//! Both would do more with a text than show it: a terminal obeys what it is sent, a spreadsheet computes what begins like
//! a formula. So text is [`visible`] here too, and a formula is none behind an apostrophe; JSON and Parquet keep the
//! text as it was logged.

use std::io::{self, Write};

use diagnose::explain::{Protocol, While};
use diagnose::logs::{LogIncident, LogReport};

use crate::local::iso;
use crate::table::{COLUMNS, servers};
use crate::text::visible;

/// Writes a row for each incident and each step in which it failed.
pub fn logs(out: &mut dyn Write, report: &LogReport) -> io::Result<()> {
    let mut table = ::csv::Writer::from_writer(out);
    table.write_record(COLUMNS).map_err(failed)?;
    for incident in &report.incidents {
        let about = about(incident);
        for (at, count) in &incident.timeline {
            let step = [iso(*at), count.to_string()];
            table
                .write_record(about.iter().chain(&step))
                .map_err(failed)?;
        }
    }
    table.flush()
}

/// The fields that every row of an incident has.
fn about(incident: &LogIncident) -> [String; 8] {
    let number = |number: Option<u16>| number.map_or_else(String::new, |number| number.to_string());
    [
        field(&incident.peer),
        field(incident.upstream.as_deref().unwrap_or_default()),
        incident.protocol.map_or("", Protocol::as_str).to_owned(),
        incident.failure.as_str().to_owned(),
        number(incident.errno),
        incident.action.map_or("", While::as_str).to_owned(),
        number(incident.status),
        field(&servers(incident)),
    ]
}

/// Text from outside, harmless in a terminal and in a spreadsheet.
fn field(text: &str) -> String {
    let seen = visible(text);
    if is_formula(text) {
        format!("'{seen}")
    } else {
        seen.into_owned()
    }
}

/// Whether a spreadsheet would compute it. A number is a number however it is signed, and the dash alone is what stands
/// for no peer.
fn is_formula(text: &str) -> bool {
    let begins = text.trim_start_matches(' ').chars().next();
    let computes = |c| {
        matches!(
            c,
            '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠'
        )
    };
    let is_number = || {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.parse::<f64>().is_ok()
    };
    begins.is_some_and(computes) && text != "-" && !is_number()
}

fn failed(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        // As it came: who reads the other end of a pipe may have enough.
        ::csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_compute_gets_an_apostrophe() {
        for (text, written) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("=1+1", "'=1+1"),
            (" =1+1", "' =1+1"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", r"'\x09=1"),
            ("＝1", "'＝1"),
            ("-5", "-5"),
            ("+1.5e3", "+1.5e3"),
            ("-inf", "'-inf"),
            ("-", "-"),
            ("", ""),
        ] {
            assert_eq!(field(text), written);
        }
    }
}
