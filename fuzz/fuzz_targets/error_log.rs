//! An error log: records cover it exactly, at once as in pieces and in parts, and what an event says stands in its record.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use log::error::{
    Event, Pasted, Records, RuntimeForm, Splitter, Stream, decode, may_be_upstream_failure, parse,
    parse_pasted, plain, streamed,
};

fuzz_target!(|data: &[u8]| {
    let mut at = 0;
    let mut whole = Vec::new();
    for record in Records::new(data) {
        assert_eq!(record.offset, at as u64);
        assert!(!record.bytes.is_empty());
        assert_eq!(record.bytes, &data[at..at + record.bytes.len()]);
        at += record.bytes.len();
        if let Some(event) = record.event() {
            within(&event, record.bytes);
        }
        let decoded = decode(record.bytes);
        if let Some(event) = decoded.event() {
            // Asked for alone, a failure is no less one.
            let failure = event.is_upstream_failure();
            let outright = parse(record.bytes).is_some_and(|event| event.is_upstream_failure());
            assert!(!outright || failure || event != parse(record.bytes).unwrap_or(event));
        }
        if parse(record.bytes).is_some_and(|event| event.is_upstream_failure()) {
            assert!(
                may_be_upstream_failure(record.bytes),
                "a failure was passed over"
            );
        }
        if let Some(event) = parse_pasted(record.bytes) {
            within(&event, record.bytes);
        }
        whole.push((record.bytes.to_vec(), record.line_count, record.inside));
    }
    assert_eq!(at, data.len());

    let mut splitter = Splitter::new(Pieces(data), 0);
    let mut pieces = Vec::new();
    while let Ok(Some(record)) = splitter.next_record() {
        pieces.push((record.bytes.to_vec(), record.line_count, record.inside));
    }
    assert_eq!(pieces, whole);
    for least in [300, 9000] {
        let parts = Records::parts(data, least).into_iter().flatten();
        let parts: Vec<_> = parts
            .map(|record| (record.bytes.to_vec(), record.line_count, record.inside))
            .collect();
        assert_eq!(parts, whole, "in parts of {least}");
    }

    for (line, event) in Pasted::new(data).events() {
        within(&event, line);
    }
    plain(data);
    RuntimeForm::of(data);
    for stream in [Stream::Out, Stream::Err] {
        // What JSON escapes is longer than what it stands for.
        assert!(streamed(data, stream).text.len() <= 3 * data.len());
    }
});

/// Whatever an event quotes, it took from the record.
fn within(event: &Event<'_>, record: &[u8]) {
    let bounds = record.as_ptr_range();
    let quoted = [
        Some(event.message),
        event.client,
        event.server,
        event.request,
        event.subrequest,
        event.host,
        event.referrer,
        event.party,
        event.upstream.map(|upstream| upstream.peer),
        event.upstream.map(|upstream| upstream.uri),
    ];
    for text in quoted.into_iter().flatten().filter(|text| !text.is_empty()) {
        let text = text.as_ptr_range();
        assert!(
            bounds.start <= text.start && text.end <= bounds.end,
            "a field from elsewhere"
        );
    }
    event.outcome();
}

/// Gives a few bytes at a time, of changing number.
struct Pieces<'a>(&'a [u8]);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = (1 + self.0.len() % 97).min(self.0.len()).min(into.len());
        let (given, rest) = self.0.split_at(length);
        into[..length].copy_from_slice(given);
        self.0 = rest;
        Ok(length)
    }
}
