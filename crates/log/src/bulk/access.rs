//! Counts an access log: requests by status and minute, attempts by peer, and whose requests were answered by 5xx.

use std::collections::BTreeMap;

use super::percentiles::Percentiles;
use super::{LONGEST, Part, Top, TopCounter, Wanted};
use crate::access::{Attempt, Cut, Cutter, Format};
use crate::time::LocalTime;

/// Distinct clients, URLs and hosts of which the lists are exact.
const CAPACITY: usize = 8192;
/// So many of each list are told.
const TOLD: usize = 100;
/// So many peers are counted, each on its own.
const PEERS: usize = 2000;
/// What is longer of a peer's name is cut.
const LONGEST_PEER: usize = 256;
/// Hours of which the minutes are kept: two million minutes, near four years.
const HOURS_OF_MINUTES: usize = 33_334;
/// Hours that are kept where their minutes are not: 34 years.
const HOURS: usize = 300_000;
/// nginx knows no time before 1970, and none after the year 2399 either: what spells one spells none.
const TIMES: std::ops::Range<i64> = 0..13_569_465_600;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// What an access log tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessCounted {
    /// Lines: each is counted in `requests`, `unfit` or `unwanted`.
    pub lines: u64,
    /// Lines that the format wrote, and that are wanted.
    pub requests: u64,
    /// Lines that the format did not write, of whatever time.
    pub unfit: u64,
    /// Lines that the format wrote, of a time that is not wanted.
    pub unwanted: u64,
    /// Requests by the status that the client got; in the order of the statuses.
    pub by_status: Vec<(u16, u64)>,
    /// The first and the last time of a request, by the log's own clock; `$msec` alone is UTC.
    pub window: Option<(LocalTime, LocalTime)>,
    /// Seconds of a step of the timeline: a minute's, an hour's if there are more than two million minutes, or a day's.
    pub step: i64,
    /// The start of each step with a request, its requests, and those answered by 5xx; in order.
    pub timeline: Vec<(LocalTime, u64, u64)>,
    /// By peer, the most attempts first; empty where the format does not tell peers.
    pub peers: Vec<AccessPeer>,
    /// Attempts at peers that are not in `peers`: of more than two thousand, those that are last by name.
    pub beyond: u64,
    /// Whose requests were answered by 5xx.
    pub clients: Top,
    /// Which paths were, without the query and escaped as in the log.
    pub urls: Top,
    /// Which Host headers were.
    pub hosts: Top,
}

/// What an access log tells of a peer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessPeer {
    /// As nginx prints it.
    pub peer: Vec<u8>,
    /// Attempts.
    pub attempts: u64,
    /// Those whose status is 5xx, be it the application's or nginx's own.
    pub server_errors: u64,
    /// Milliseconds to the end of the response that 50, 95 and 99 of a hundred attempts do not exceed, within a hundredth;
    /// `None` where the format does not tell them.
    pub response_times: Option<[f64; 3]>,
}

/// Counts an access log of one format.
#[derive(Clone, Debug)]
pub struct AccessCounter<'f> {
    cutter: Cutter<'f>,
    from: Option<LocalTime>,
    until: Option<LocalTime>,
    counts: Counts,
}

#[derive(Clone, Debug)]
struct Counts {
    lines: u64,
    requests: u64,
    unfit: u64,
    unwanted: u64,
    /// By status.
    statuses: Vec<u64>,
    window: Option<(LocalTime, LocalTime)>,
    timeline: Timeline,
    peers: Peers,
    clients: TopCounter,
    urls: TopCounter,
    hosts: TopCounter,
}

impl<'f> AccessCounter<'f> {
    /// Counts nothing yet. Of `wanted` only the times matter; a line without one is wanted only where all are.
    pub fn new(format: &'f Format, wanted: &Wanted<'_>) -> Self {
        Self {
            cutter: Cutter::new(format),
            from: wanted.from,
            until: wanted.until,
            counts: Counts {
                lines: 0,
                requests: 0,
                unfit: 0,
                unwanted: 0,
                statuses: vec![0; 1000],
                window: None,
                timeline: Timeline::default(),
                peers: Peers::default(),
                clients: TopCounter::new(CAPACITY),
                urls: TopCounter::new(CAPACITY),
                hosts: TopCounter::new(CAPACITY),
            },
        }
    }

    /// Counts the lines that begin in a part.
    pub fn count(&mut self, part: &Part<'_>) {
        let Part { text, within } = part;
        let mut at = within.start;
        if at > 0 && text.get(at - 1) != Some(&b'\n') {
            // It began before.
            let Some(end) = text.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) else {
                return;
            };
            at += end + 1;
        }
        while at < within.end {
            let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) else {
                return;
            };
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            self.line(rest.get(..length.min(LONGEST)).unwrap_or(rest));
            at += length + 1;
        }
    }

    /// Takes over what another counter counted.
    pub fn merge(&mut self, other: Self) {
        let (counts, other) = (&mut self.counts, other.counts);
        counts.lines += other.lines;
        counts.requests += other.requests;
        counts.unfit += other.unfit;
        counts.unwanted += other.unwanted;
        for (count, more) in counts.statuses.iter_mut().zip(other.statuses) {
            *count += more;
        }
        if let Some((first, last)) = other.window {
            counts.seen(first);
            counts.seen(last);
        }
        counts.timeline.merge(other.timeline);
        counts.peers.merge(other.peers);
        counts.clients.merge(other.clients);
        counts.urls.merge(other.urls);
        counts.hosts.merge(other.hosts);
    }

    /// What was counted.
    pub fn finish(self) -> AccessCounted {
        let counts = self.counts;
        let (peers, beyond) = counts.peers.finish();
        let (step, timeline) = counts.timeline.finish();
        AccessCounted {
            lines: counts.lines,
            requests: counts.requests,
            unfit: counts.unfit,
            unwanted: counts.unwanted,
            by_status: (0..)
                .zip(counts.statuses)
                .filter(|(_, count)| *count > 0)
                .collect(),
            window: counts.window,
            step,
            timeline,
            peers,
            beyond,
            clients: counts.clients.finish(TOLD),
            urls: counts.urls.finish(TOLD),
            hosts: counts.hosts.finish(TOLD),
        }
    }

    #[inline]
    fn line(&mut self, line: &[u8]) {
        self.counts.lines += 1;
        let Some(cut) = self.cutter.cut(line) else {
            self.counts.unfit += 1;
            return;
        };
        let time = cut.time.filter(|time| TIMES.contains(&time.seconds()));
        let is_wanted = match time {
            None => self.from.is_none() && self.until.is_none(),
            Some(time) => {
                self.from.is_none_or(|from| from <= time)
                    && self.until.is_none_or(|until| time < until)
            }
        };
        if !is_wanted {
            self.counts.unwanted += 1;
            return;
        }
        self.counts.request(&cut, time);
    }
}

impl Counts {
    #[inline]
    fn request(&mut self, cut: &Cut<'_>, time: Option<LocalTime>) {
        self.requests += 1;
        let status = cut.status();
        let failed = status.is_some_and(|status| (500..600).contains(&status));
        if let Some(count) = status.and_then(|status| self.statuses.get_mut(usize::from(status))) {
            *count += 1;
        }
        if let Some(time) = time {
            self.seen(time);
            self.timeline.add(time, failed);
        }
        cut.attempts(|attempt| self.peers.add(attempt));
        if failed {
            for (list, value) in [
                (&mut self.clients, cut.client()),
                (&mut self.urls, cut.path()),
                (&mut self.hosts, cut.host()),
            ] {
                if let Some(value) = value {
                    list.add(value);
                }
            }
        }
    }

    #[inline]
    fn seen(&mut self, time: LocalTime) {
        self.window = Some(match self.window {
            None => (time, time),
            Some((first, last)) => (first.min(time), last.max(time)),
        });
    }
}

/// Requests by minute, as long as these are not too many: then by hour, then by day.
#[derive(Clone, Debug, Default)]
struct Timeline {
    /// The step that is filled, its requests and those that failed: most lines are of the last line's minute.
    open: Option<(i64, u64, u64)>,
    steps: Steps,
}

#[derive(Clone, Debug)]
enum Steps {
    /// By hour: requests and those that failed of each minute. No server answers 2^32 in one.
    Minutes(BTreeMap<i64, Box<[[u32; 2]; 60]>>),
    /// By hour.
    Hours(BTreeMap<i64, (u64, u64)>),
    /// By day: of [`TIMES`] not more than fit.
    Days(BTreeMap<i64, (u64, u64)>),
}

impl Default for Steps {
    fn default() -> Self {
        Self::Minutes(BTreeMap::new())
    }
}

impl Timeline {
    #[inline]
    fn add(&mut self, time: LocalTime, failed: bool) {
        let minute = time.seconds().div_euclid(MINUTE);
        let failed = u64::from(failed);
        if let Some((open, requests, failures)) = &mut self.open
            && *open == minute
        {
            *requests += 1;
            *failures += failed;
            return;
        }
        self.close();
        self.open = Some((minute, 1, failed));
    }

    fn close(&mut self) {
        if let Some((minute, requests, failed)) = self.open.take() {
            self.steps.add(minute * MINUTE, requests, failed);
        }
    }

    fn merge(&mut self, mut other: Self) {
        other.close();
        for (start, requests, failed) in other.steps.in_order() {
            self.steps.coarsen_to(other.steps.seconds());
            self.steps.add(start, requests, failed);
        }
    }

    /// The step's seconds, and the steps.
    fn finish(mut self) -> (i64, Vec<(LocalTime, u64, u64)>) {
        self.close();
        let steps = self.steps.in_order();
        let timed = steps
            .map(|(start, requests, failed)| (LocalTime::from_seconds(start), requests, failed));
        (self.steps.seconds(), timed.collect())
    }
}

impl Steps {
    /// How long one is.
    fn seconds(&self) -> i64 {
        match self {
            Self::Minutes(_) => MINUTE,
            Self::Hours(_) => HOUR,
            Self::Days(_) => DAY,
        }
    }

    /// Adds to the step that holds a second.
    fn add(&mut self, second: i64, requests: u64, failed: u64) {
        match self {
            Self::Minutes(hours) => {
                let minutes = hours
                    .entry(second.div_euclid(HOUR))
                    .or_insert_with(|| Box::new([[0; 2]; 60]));
                let minute = usize::try_from(second.rem_euclid(HOUR) / MINUTE).unwrap_or_default();
                if let Some([of_all, of_failed]) = minutes.get_mut(minute) {
                    let part = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
                    *of_all = of_all.saturating_add(part(requests));
                    *of_failed = of_failed.saturating_add(part(failed));
                }
                if hours.len() > HOURS_OF_MINUTES {
                    self.coarsen_to(HOUR);
                }
            }
            Self::Hours(hours) => {
                add(hours, second.div_euclid(HOUR), requests, failed);
                if hours.len() > HOURS {
                    self.coarsen_to(DAY);
                }
            }
            Self::Days(days) => add(days, second.div_euclid(DAY), requests, failed),
        }
    }

    fn coarsen_to(&mut self, seconds: i64) {
        if self.seconds() >= seconds {
            return;
        }
        let mut coarse = match seconds {
            HOUR => Self::Hours(BTreeMap::new()),
            _ => Self::Days(BTreeMap::new()),
        };
        for (start, requests, failed) in self.in_order() {
            coarse.add(start, requests, failed);
        }
        *self = coarse;
    }

    /// The start of each, its requests, and those that failed.
    fn in_order(&self) -> Box<dyn Iterator<Item = (i64, u64, u64)> + '_> {
        let length = self.seconds();
        match self {
            Self::Minutes(hours) => Box::new(hours.iter().flat_map(|(hour, minutes)| {
                let starts = (hour * HOUR..).step_by(60);
                let told = starts
                    .zip(minutes.iter())
                    .filter(|(_, [requests, _])| *requests > 0);
                told.map(|(start, [requests, failed])| {
                    (start, u64::from(*requests), u64::from(*failed))
                })
            })),
            Self::Hours(steps) | Self::Days(steps) => Box::new(
                steps
                    .iter()
                    .map(move |(step, (requests, failed))| (step * length, *requests, *failed)),
            ),
        }
    }
}

fn add(steps: &mut BTreeMap<i64, (u64, u64)>, step: i64, requests: u64, failed: u64) {
    let (of_all, of_failed) = steps.entry(step).or_default();
    *of_all += requests;
    *of_failed += failed;
}

/// Attempts by peer.
///
/// A format that does not escape lets clients invent peers. Of too many those are kept that are first by name: which they
/// are does not depend on the order in which they come.
#[derive(Clone, Debug, Default)]
struct Peers {
    by_name: BTreeMap<Vec<u8>, usize>,
    counts: Vec<PeerCounts>,
    /// Where the last peers with these hashes are in `counts`: a look at the name then is enough.
    recent: Vec<usize>,
    beyond: u64,
}

#[derive(Clone, Debug, Default)]
struct PeerCounts {
    name: Vec<u8>,
    attempts: u64,
    server_errors: u64,
    response_times: Percentiles,
}

impl Peers {
    #[inline]
    fn add(&mut self, attempt: &Attempt<'_>) {
        let Some(name) = attempt.addr else { return };
        let name = name.get(..LONGEST_PEER).unwrap_or(name);
        let Some(counts) = self.get(name) else {
            self.beyond += 1;
            return;
        };
        counts.attempts += 1;
        if attempt
            .status
            .is_some_and(|status| (500..600).contains(&status))
        {
            counts.server_errors += 1;
        }
        if let Some(time) = attempt.response_time {
            counts.response_times.add(time);
        }
    }

    /// The counts of a peer, unless it is one too many.
    #[inline]
    fn get(&mut self, name: &[u8]) -> Option<&mut PeerCounts> {
        let recent = recent(name);
        let at = self.recent.get(recent).copied().unwrap_or_default();
        if self
            .counts
            .get(at)
            .is_some_and(|counts| counts.name == name)
        {
            return self.counts.get_mut(at);
        }
        let at = self.find(name)?;
        self.recent.resize(RECENT, 0);
        if let Some(place) = self.recent.get_mut(recent) {
            *place = at;
        }
        self.counts.get_mut(at)
    }

    fn find(&mut self, name: &[u8]) -> Option<usize> {
        if let Some(at) = self.by_name.get(name) {
            return Some(*at);
        }
        let mut at = self.counts.len();
        if at < PEERS {
            self.counts.push(PeerCounts::default());
        } else {
            let last = self
                .by_name
                .last_entry()
                .filter(|last| name < last.key().as_slice())?;
            at = last.remove();
        }
        let counts = self.counts.get_mut(at)?;
        self.beyond += counts.attempts;
        *counts = PeerCounts {
            name: name.to_vec(),
            ..PeerCounts::default()
        };
        self.by_name.insert(name.to_vec(), at);
        Some(at)
    }

    fn merge(&mut self, other: Self) {
        self.beyond += other.beyond;
        for more in other.counts {
            let Some(counts) = self.get(&more.name) else {
                self.beyond += more.attempts;
                continue;
            };
            counts.attempts += more.attempts;
            counts.server_errors += more.server_errors;
            counts.response_times.merge(more.response_times);
        }
    }

    /// The peers, the most attempts first, and the attempts at others.
    fn finish(self) -> (Vec<AccessPeer>, u64) {
        let told = self.counts.into_iter().map(|counts| AccessPeer {
            peer: counts.name,
            attempts: counts.attempts,
            server_errors: counts.server_errors,
            response_times: counts.response_times.at([50, 95, 99]),
        });
        let mut peers: Vec<_> = told.collect();
        peers.sort_unstable_by(|a, b| (b.attempts, &a.peer).cmp(&(a.attempts, &b.peer)));
        (peers, self.beyond)
    }
}

const RECENT: usize = 256;

/// A number below [`RECENT`]: of addresses and ports, the last bytes differ most.
#[inline]
fn recent(name: &[u8]) -> usize {
    let last = name.last_chunk::<8>().map_or_else(
        || {
            name.iter()
                .fold(0, |hash, byte| hash << 8 | u64::from(*byte))
        },
        |last| u64::from_le_bytes(*last),
    );
    let hash = last
        .wrapping_add(name.len() as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(hash >> 56).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Escape;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::cmp::Reverse;

    const FORMAT: &[u8] = br#"$remote_addr [$time_local] "$request" $status $host "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time"#;

    fn format() -> Format {
        Format::compile(FORMAT, Escape::Default)
    }

    fn whole(text: &[u8]) -> Part<'_> {
        Part {
            text,
            within: 0..text.len(),
        }
    }

    fn counted(text: &str) -> AccessCounted {
        let format = format();
        let mut counter = AccessCounter::new(&format, &Wanted::default());
        counter.count(&whole(text.as_bytes()));
        counter.finish()
    }

    fn line(client: u8, minute: u8, status: u16, path: u8, upstream: &str) -> String {
        format!(
            "10.0.0.{client} [21/Nov/2026:01:{minute:02}:17 +0100] \"GET /{path}?q HTTP/1.1\" {status} h{client}.example.com \"curl\" {upstream}\n"
        )
    }

    #[test]
    fn a_log_is_counted() {
        let text = [
            line(1, 3, 200, 1, "10.1.0.1:80 200 0.010"),
            line(
                1,
                3,
                502,
                2,
                "10.1.0.1:80, 10.1.0.2:80 502, 504 0.001, 60.000",
            ),
            "garbage\n".to_owned(),
            line(2, 5, 502, 2, "- - -"),
        ];
        let time = |text: &[u8]| LocalTime::parse(text).unwrap();
        let (three, five) = (b"2026/11/21 01:03:17", b"2026/11/21 01:05:17");
        let minute = |text: &[u8]| LocalTime::from_seconds(time(text).seconds() - 17);
        let peer = |peer: &[u8], attempts, server_errors, times| AccessPeer {
            peer: peer.to_vec(),
            attempts,
            server_errors,
            response_times: Some(times),
        };
        let top = |values: &[(&str, u64)]| Top {
            values: values
                .iter()
                .map(|(value, count)| (value.as_bytes().to_vec(), *count))
                .collect(),
            error: 0,
        };
        assert_eq!(
            counted(&text.concat()),
            AccessCounted {
                lines: 4,
                requests: 3,
                unfit: 1,
                unwanted: 0,
                by_status: vec![(200, 1), (502, 2)],
                window: Some((time(three), time(five))),
                step: 60,
                timeline: vec![(minute(three), 2, 1), (minute(five), 1, 1)],
                peers: vec![
                    peer(b"10.1.0.1:80", 2, 1, [1.0, 10.0, 10.0]),
                    // A bucket's middle.
                    peer(b"10.1.0.2:80", 1, 1, [60_159.5; 3]),
                ],
                beyond: 0,
                clients: top(&[("10.0.0.1", 1), ("10.0.0.2", 1)]),
                urls: top(&[("/2", 2)]),
                hosts: top(&[("h1.example.com", 1), ("h2.example.com", 1)]),
            }
        );
    }

    #[test]
    fn only_wanted_times_are_counted() {
        let text: String = (0..10)
            .map(|minute| line(1, minute, 200, 1, "- - -"))
            .collect();
        let format = format();
        let wanted = Wanted {
            from: LocalTime::parse(b"2026/11/21 01:03:17"),
            until: LocalTime::parse(b"2026/11/21 01:05:17"),
            failure: None,
        };
        let mut counter = AccessCounter::new(&format, &wanted);
        counter.count(&whole(text.as_bytes()));
        let counted = counter.finish();
        assert_eq!((counted.requests, counted.unwanted), (2, 8));
    }

    #[test]
    fn a_line_without_end_is_counted_once_by_its_beginning() {
        let mut text = line(1, 1, 200, 1, "- - -").into_bytes();
        text.extend(vec![b'x'; 3 * LONGEST]);
        let format = format();
        let mut counter = AccessCounter::new(&format, &Wanted::default());
        for start in (0..text.len()).step_by(LONGEST / 2) {
            let from = start.saturating_sub(super::super::BACK);
            let end = (start + LONGEST / 2).min(text.len());
            let until = (end + super::super::AHEAD).min(text.len());
            counter.count(&Part {
                text: &text[from..until],
                within: start - from..end - from,
            });
        }
        let counted = counter.finish();
        assert_eq!((counted.lines, counted.unfit), (2, 1));
    }

    #[test]
    fn a_timeline_of_too_many_minutes_is_one_of_hours() {
        let second =
            |hour: usize| LocalTime::from_seconds(i64::try_from(hour).unwrap() * HOUR + 61);
        let mut timelines = [Timeline::default(), Timeline::default()];
        for hour in 0..=HOURS_OF_MINUTES {
            timelines[hour % 2].add(second(hour), hour % 3 == 0);
        }
        let [mut timeline, other] = timelines;
        assert_eq!(timeline.clone().finish().0, MINUTE);
        timeline.merge(other);
        let (step, steps) = timeline.clone().finish();
        assert_eq!((step, steps.len()), (HOUR, HOURS_OF_MINUTES + 1));
        assert_eq!(steps[3], (LocalTime::from_seconds(3 * HOUR), 1, 1));
        for hour in 0..=HOURS {
            timeline.add(second(hour), false);
        }
        assert_eq!(timeline.finish().0, DAY);
    }

    #[test]
    fn too_many_peers_are_counted_together() {
        let format = Format::compile(b"$upstream_addr $status", Escape::None);
        let mut counters = [0, 1].map(|_| AccessCounter::new(&format, &Wanted::default()));
        for number in (0..PEERS + 10).rev().chain(0..5) {
            let line = format!("p{number:05} 200\n");
            counters[number % 2].count(&whole(line.as_bytes()));
        }
        let [mut counter, other] = counters;
        counter.merge(other);
        let counted = counter.finish();
        assert_eq!((counted.peers.len(), counted.beyond), (PEERS, 10));
        assert_eq!(
            (counted.peers[0].peer.as_slice(), counted.peers[0].attempts),
            (&b"p00000"[..], 2)
        );
        assert_eq!(counted.peers[PEERS - 1].peer, b"p01999");
    }

    /// The slow and obvious way.
    fn reference(text: &[u8]) -> AccessCounted {
        let format = format();
        let mut told = AccessCounted {
            step: MINUTE,
            ..AccessCounted::default()
        };
        let mut statuses = BTreeMap::<u16, u64>::new();
        let mut minutes = BTreeMap::<i64, (u64, u64)>::new();
        let mut peers = BTreeMap::<Vec<u8>, (u64, u64, Percentiles)>::new();
        let mut tops = [(); 3].map(|()| BTreeMap::<Vec<u8>, u64>::new());
        for line in text
            .strip_suffix(b"\n")
            .unwrap_or(text)
            .split(|byte| *byte == b'\n')
        {
            told.lines += 1;
            let Some(access) = format.parse(line) else {
                told.unfit += 1;
                continue;
            };
            told.requests += 1;
            let status = access.status();
            let failed = status.is_some_and(|status| status / 100 == 5);
            if let Some(status) = status {
                *statuses.entry(status).or_default() += 1;
            }
            let time = access.local_time().unwrap();
            let (first, last) = told.window.unwrap_or((time, time));
            told.window = Some((first.min(time), last.max(time)));
            let minute = minutes.entry(time.seconds() / 60).or_default();
            minute.0 += 1;
            minute.1 += u64::from(failed);
            for attempt in access.attempts() {
                let Some(peer) = attempt.addr else { continue };
                let counts = peers.entry(peer.to_vec()).or_default();
                counts.0 += 1;
                counts.1 += u64::from(attempt.status.is_some_and(|status| status / 100 == 5));
                if let Some(time) = attempt.response_time {
                    counts.2.add(time);
                }
            }
            if failed {
                let request = access.request().unwrap().to_string();
                let path = request.split_once(' ').map_or(&*request, |(_, path)| path);
                let path = path.split(" HTTP/").next().unwrap();
                let path = path.split('?').next().unwrap();
                let texts = [
                    access.remote_addr().unwrap().to_string(),
                    path.to_owned(),
                    access.host().unwrap().to_string(),
                ];
                for (top, text) in tops.iter_mut().zip(texts) {
                    if !["", "-"].contains(&&*text) {
                        *top.entry(text.into_bytes()).or_default() += 1;
                    }
                }
            }
        }
        told.by_status = statuses.into_iter().collect();
        let timed = minutes
            .into_iter()
            .map(|(minute, (all, failed))| (LocalTime::from_seconds(minute * 60), all, failed));
        told.timeline = timed.collect();
        told.peers = peers
            .into_iter()
            .map(|(peer, (attempts, server_errors, times))| AccessPeer {
                peer,
                attempts,
                server_errors,
                response_times: times.at([50, 95, 99]),
            })
            .collect();
        told.peers.sort_by_key(|peer| Reverse(peer.attempts));
        [told.clients, told.urls, told.hosts] = tops.map(|top| {
            let mut values: Vec<_> = top.into_iter().collect();
            values.sort_by_key(|(_, count)| Reverse(*count));
            Top { values, error: 0 }
        });
        told
    }

    fn lines() -> impl Strategy<Value = Vec<u8>> {
        let upstream = prop_oneof![
            Just("- - -"),
            Just("10.1.0.1:80 200 0.100"),
            Just("10.1.0.2:80 502 1.700"),
            Just("10.1.0.1:80, unix:/run/a.sock 504, 200 60.001, -"),
            Just("app : 10.1.0.1:80 502 : 200 - : 0.002"),
        ];
        let good = (
            0..9_u8,
            0..60_u8,
            prop_oneof![Just(200_u16), Just(502), Just(9), 400..600_u16],
            0..9_u8,
            upstream,
        )
            .prop_map(|(client, minute, status, path, upstream)| {
                line(client, minute, status, path, upstream)
            });
        let hostile = prop_oneof![
            Just("\n".to_owned()),
            Just("\r\n".to_owned()),
            Just("10.0.0.1 [21/Nov/2026:01:03:17 +0100] \"\" 502 - \"\\x22 \\\" 502\" - - -\n".to_owned()),
            Just("10.0.0.1 [21/Nov/2026:01:03:17 +0100] \"GET /\\x22 502 HTTP/1.1\" 500 a \" 502 h \\\" \" - - -\r\n".to_owned()),
            Just("10.0.0.1 [21/Nov/2026:01:03:17 +0100] \"GET / HTTP/1.1\" 500\n".to_owned()),
            Just("10.0.0.1 [21/Nov/2026:25:03:17 +0100] \"GET / HTTP/1.1\" 500 a \"\" - - -\n".to_owned()),
            "[ -~]{0,60}\n",
        ];
        (
            vec(prop_oneof![6 => good, 1 => hostile], 0..60),
            any::<bool>(),
        )
            .prop_map(|(lines, has_end)| {
                let mut text = lines.concat().into_bytes();
                if !has_end {
                    text.pop();
                }
                text
            })
    }

    proptest! {
        #[test]
        fn what_comes_out_depends_on_neither_cut_nor_counters(text in lines(), cuts in vec(0.0..1.0_f64, 0..8), counters in 1_usize..4) {
            let format = format();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
            let mut places: Vec<_> = cuts.iter().map(|cut| (cut * text.len() as f64) as usize).collect();
            places.extend([0, text.len()]);
            places.sort_unstable();
            let mut all: Vec<_> = (0..counters).map(|_| AccessCounter::new(&format, &Wanted::default())).collect();
            for (index, place) in places.windows(2).enumerate().rev() {
                all[index % counters].count(&Part { text: &text, within: place[0]..place[1] });
            }
            let mut counter = AccessCounter::new(&format, &Wanted::default());
            while let Some(other) = all.pop() {
                counter.merge(other);
            }
            let expected = if text.is_empty() {
                AccessCounted { step: MINUTE, ..AccessCounted::default() }
            } else {
                reference(&text)
            };
            prop_assert_eq!(counter.finish(), expected);
        }
    }
}
