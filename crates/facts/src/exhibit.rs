//! What a proof rests on: one log line, one span of configuration, or one record. Plain data.

use std::path::PathBuf;

use jiff::Timestamp;

/// One line, span or record that a proof rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exhibit {
    /// A line of a log, as it stands there; not yet escaped for a terminal.
    Log {
        /// When the line was written, where its time is known.
        at: Option<Timestamp>,
        /// The line, or the telling part of it.
        text: String,
        /// How many lines say the same.
        count: u64,
    },
    /// A span of configuration.
    Config(ConfSpan),
    /// What a probe answered.
    Record {
        /// The kind of question: see `ProbeRequest::kind`.
        probe: &'static str,
        /// When it was answered or, for something that happened, when it happened.
        at: Option<Timestamp>,
        /// The telling part of the answer in a line.
        text: String,
    },
}

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfSpan {
    /// The file, as nginx opens it.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column of the directive's first byte, from 1.
    pub column: usize,
    /// The source line or lines that the directive stands on, without the final line end.
    pub source: String,
    /// The directive as written, from its name to `;` or `{`.
    pub text: String,
    /// What to mark, as a byte range in `source`.
    pub mark: std::ops::Range<usize>,
    /// What to say under the mark.
    pub label: Option<String>,
}
