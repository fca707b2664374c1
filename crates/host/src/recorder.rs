//! Keeps what another probe answered.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use facts::{Probe, ProbeRequest, Record};

/// A probe that passes every question on and remembers the answers.
#[derive(Debug)]
pub struct Recorder<P> {
    probe: P,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Each request's place in `records`.
    places: BTreeMap<ProbeRequest, usize>,
    records: Vec<(ProbeRequest, Option<Record>)>,
}

impl<P: Probe> Recorder<P> {
    /// Records what this probe answers.
    pub fn new(probe: P) -> Self {
        Self {
            probe,
            kept: Mutex::default(),
        }
    }

    /// Every request with its answer, in the order in which they were first asked. Asked twice, the later answer holds.
    pub fn into_records(self) -> Vec<(ProbeRequest, Record)> {
        self.kept
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .records
            .into_iter()
            .filter_map(|(request, record)| Some((request, record?)))
            .collect()
    }

    fn with_kept<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        change(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<P: Probe> Probe for Recorder<P> {
    fn ask(&self, request: &ProbeRequest) -> Record {
        let place = self.with_kept(|kept| kept.place(request));
        let record = self.probe.ask(request);
        self.with_kept(|kept| kept.keep(place, &record));
        record
    }

    fn ask_all(&self, requests: &[ProbeRequest]) -> Vec<Record> {
        let places: Vec<usize> =
            self.with_kept(|kept| requests.iter().map(|request| kept.place(request)).collect());
        let records = self.probe.ask_all(requests);
        self.with_kept(|kept| {
            for (place, record) in places.into_iter().zip(&records) {
                kept.keep(place, record);
            }
        });
        records
    }
}

impl Kept {
    fn keep(&mut self, place: usize, record: &Record) {
        if let Some((_, answered)) = self.records.get_mut(place) {
            *answered = Some(record.clone());
        }
    }

    fn place(&mut self, request: &ProbeRequest) -> usize {
        if let Some(&place) = self.places.get(request) {
            return place;
        }
        let place = self.records.len();
        self.places.insert(request.clone(), place);
        self.records.push((request.clone(), None));
        place
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use facts::Answer;
    use jiff::Timestamp;

    use super::*;

    /// Answers with the number of questions so far.
    #[derive(Default)]
    struct Counter(AtomicU8);

    impl Probe for Counter {
        fn ask(&self, _: &ProbeRequest) -> Record {
            Record {
                at: Timestamp::UNIX_EPOCH,
                answer: Answer::Bytes(vec![self.0.fetch_add(1, Ordering::Relaxed)]),
            }
        }
    }

    #[test]
    fn the_order_is_that_of_first_asking_and_the_last_answer_holds() {
        let recorder = Recorder::new(Counter::default());
        let requests = ["/a", "/b", "/a"].map(ProbeRequest::host_file);
        let [_, b, a] = requests.each_ref().map(|request| recorder.ask(request));
        let [_, second, first] = requests;
        assert_eq!(recorder.into_records(), [(first, a), (second, b)]);
    }
}
