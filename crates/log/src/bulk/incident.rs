//! Alike failures, as they are counted: when, how often, for whom.

use super::top::{Distinct, TopCounter};
use super::{Seen, TOP_GIVEN, Top};
use crate::LocalTime;
use crate::error::{self, Class, Protocol, While};

/// Locations of an incident that are counted exactly.
pub(super) const LOCATIONS_KEPT: usize = 64;

/// Alike failures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// As nginx prints it; a name that was not resolved; empty where the lines name none.
    pub peer: Vec<u8>,
    /// How nginx spoke to it.
    pub protocol: Option<Protocol>,
    /// What failed.
    pub class: Class,
    /// The errno, as printed.
    pub errno: Option<u16>,
    /// What nginx was doing.
    pub action: Option<While>,
}

/// What was counted of one kind.
#[derive(Clone, Debug)]
pub struct CountedIncident {
    /// Which.
    pub kind: Kind,
    /// How often.
    pub count: u64,
    /// The first and the last time.
    pub window: (LocalTime, LocalTime),
    /// What the client saw, if it was the last attempt; `Unknown` where the lines differ.
    pub outcome: error::Seen,
    /// Failures in each minute that has some: the minute since 1970, by the log's clock.
    pub minutes: Vec<(i64, u64)>,
    /// Failures by server.
    pub servers: Vec<(Vec<u8>, u64)>,
    /// First parts of the paths.
    pub locations: Top,
    /// Distinct clients.
    pub clients: Seen,
    /// The first line; of several in one second the least.
    pub sample: Vec<u8>,
}

pub(super) struct Incident {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) outcome: error::Seen,
    pub(super) minutes: Minutes,
    pub(super) sample: Vec<u8>,
    pub(super) locations: TopCounter,
    pub(super) clients: Distinct,
}

/// Servers with their failures.
pub(super) type Servers = Vec<(Vec<u8>, u64)>;

/// Counts by minute, which come nearly in order.
#[derive(Default)]
pub(super) struct Minutes {
    now: i64,
    count: u64,
    before: Vec<(i64, u64)>,
    /// So many are sorted and each there once.
    settled: usize,
}

impl Minutes {
    pub(super) fn add(&mut self, minute: i64, count: u64) {
        if minute != self.now {
            self.turn();
            self.now = minute;
        }
        self.count += count;
    }

    pub(super) fn turn(&mut self) {
        if self.count > 0 {
            self.before.push((self.now, self.count));
            self.count = 0;
            // What goes to and fro must not grow.
            if self.before.len() > 2 * self.settled + 1024 {
                self.settle();
            }
        }
    }

    pub(super) fn settle(&mut self) {
        self.before.sort_unstable_by_key(|&(minute, _)| minute);
        self.before.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 += later.1;
            }
            same
        });
        self.settled = self.before.len();
    }

    pub(super) fn finish(mut self) -> Vec<(i64, u64)> {
        self.turn();
        self.settle();
        self.before
    }
}

impl Incident {
    pub(super) fn new(seconds: i64, outcome: error::Seen, line: &[u8]) -> Self {
        Self {
            first: seconds,
            last: seconds,
            outcome,
            minutes: Minutes::default(),
            sample: line.to_vec(),
            locations: TopCounter::new(LOCATIONS_KEPT),
            clients: Distinct::new(),
        }
    }

    #[cold]
    pub(super) fn begins(&mut self, seconds: i64, line: &[u8]) {
        if seconds < self.first || line < self.sample.as_slice() {
            self.first = seconds;
            self.sample = line.to_vec();
        }
    }

    pub(super) fn agree(&mut self, outcome: error::Seen) {
        if self.outcome != outcome {
            self.outcome = error::Seen::Unknown;
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.agree(other.outcome);
        self.begins_as(&other);
        self.last = self.last.max(other.last);
        for (minute, count) in other.minutes.finish() {
            self.minutes.add(minute, count);
        }
        self.locations.merge(other.locations);
        self.clients.merge(other.clients);
    }

    pub(super) fn begins_as(&mut self, other: &Self) {
        if other.first <= self.first {
            self.begins(other.first, &other.sample);
        }
    }

    pub(super) fn counted(self, kind: Kind, mut servers: Servers) -> CountedIncident {
        servers.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        CountedIncident {
            kind,
            count: servers.iter().map(|(_, count)| count).sum(),
            window: (
                LocalTime::from_seconds(self.first),
                LocalTime::from_seconds(self.last),
            ),
            outcome: self.outcome,
            minutes: self.minutes.finish(),
            servers,
            locations: self.locations.finish(TOP_GIVEN),
            clients: self.clients.finish(),
            sample: self.sample,
        }
    }
}
