//! Masks secrets in records.

use facts::{Answer, ProbeRequest};

pub(crate) fn answer(_request: &ProbeRequest, _answer: &mut Answer) {}
