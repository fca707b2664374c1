//! Recordings of a host: written once, read anywhere, never trusted.
//!
//! The form: a `tar.zst`, or its files unpacked in a directory. `manifest.json` stands first and says which record
//! stands where ([`facts::manifest`]). Parsed values are never stored.

mod error;
mod read;
mod write;

use std::collections::BTreeMap;

use facts::{Answer, Probe, ProbeRequest, Record};
use jiff::Timestamp;
use serde_json::Value;

pub use error::{Fault, OpenError, WriteError};
pub use write::Overwrite;

pub(crate) use read::{Bounded, LIMITS};

const MANIFEST: &str = "manifest.json";
const RECORDS: &str = "records";

/// What a capture says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// When the capture began: the clock of a replay.
    pub captured_at: Timestamp,
    /// The host's name.
    pub hostname: String,
    /// What the capture was told, a JSON object; its meaning is the caller's.
    pub options: Value,
}

/// A recording of a host.
#[derive(Debug)]
pub struct Snapshot {
    version: String,
    meta: Meta,
    records: BTreeMap<String, Record>,
}

impl Snapshot {
    /// What [`Snapshot::open`] would read after [`Snapshot::write`], without a file between.
    pub fn of(meta: &Meta, records: &[(ProbeRequest, Record)]) -> Self {
        let is_recorded = |record: &Record| record.answer != Answer::NotRecorded;
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            meta: meta.clone(),
            records: records
                .iter()
                .filter(|(_, record)| is_recorded(record))
                .map(|(request, record)| (request.to_string(), record.clone()))
                .collect(),
        }
    }

    /// The version of why502 that made it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// When the capture began: the clock of a replay.
    pub fn captured_at(&self) -> Timestamp {
        self.meta.captured_at
    }

    /// The host's name.
    pub fn hostname(&self) -> &str {
        &self.meta.hostname
    }

    /// What the capture was told.
    pub fn options(&self) -> &Value {
        &self.meta.options
    }

    /// Every request's text with its answer, sorted by the text.
    pub fn records(&self) -> impl Iterator<Item = (&str, &Record)> {
        self.records
            .iter()
            .map(|(ask, record)| (ask.as_str(), record))
    }
}

/// A question that was not recorded was, for the clock of the replay, not answered when the capture began.
impl Probe for Snapshot {
    fn ask(&self, request: &ProbeRequest) -> Record {
        self.records
            .get(&request.to_string())
            .or_else(|| self.asked_with_another_limit(request))
            .cloned()
            .unwrap_or(Record {
                at: self.meta.captured_at,
                answer: Answer::NotRecorded,
            })
    }
}

impl Snapshot {
    /// The same file, read under another bound that it did not reach: a version that asks for more, or for less, gets the
    /// same bytes.
    fn asked_with_another_limit(&self, request: &ProbeRequest) -> Option<&Record> {
        let ProbeRequest::File { limit, .. } = request else {
            return None;
        };
        let mut prefix = request.to_string();
        prefix.truncate(prefix.len() - limit.to_string().len());
        let same = self
            .records
            .range(prefix.clone()..)
            .take_while(|(asked, _)| asked.starts_with(&prefix));
        let mut whole = same.filter(|(_, record)| match &record.answer {
            Answer::File { bytes, cut, .. } => {
                !cut && u64::try_from(bytes.len()).is_ok_and(|length| length <= *limit)
            }
            Answer::Errno(_) => true,
            _ => false,
        });
        whole.next().map(|(_, record)| record)
    }
}

#[cfg(test)]
mod tests;
