//! Error logs, counted: failures by peer and kind, minute by minute.
//!
//! Every record is what [`crate::error`] says that it is. Lines whose kind was seen before are recognised by their words
//! alone ([`line`]); all others are parsed as a whole.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use memchr::memchr;

use super::incident::{CountedIncident, Incident, Kind, Servers};
use super::line::{self, Dull, Dullness, Fields, Start};
use super::place::{Clock, Encoded, Last, Started, first_line, may_be_cut, unwrapped};
use super::span::Activity;
use super::top::{Distinct, TopCounter};
use super::{Failure, LONGEST, Part, Seen, TOP_GIVEN, Top, Wanted};
use crate::LocalTime;
use crate::error::records::{State, WINDOW};
use crate::error::{self, Carrier, Event, Forgery};

/// Kinds of failures that are kept; those that come later are counted together.
pub const INCIDENTS_KEPT: usize = 2048;
/// Pairs of an incident and a server.
const CELLS_KEPT: usize = 16 << 10;
/// Spellings of kinds of lines that are kept, to recognise the next one by.
const SPELLINGS_KEPT: usize = 16 << 10;
/// A longer spelling is parsed each time.
const SPELLING: usize = 512;
/// Clients, URLs and hosts that are counted exactly.
const TOP_KEPT: usize = 8 << 10;
/// A time that is so many seconds before the line's before it is a jump of the clock, not disorder.
const JUMP: i64 = 1800;

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct ErrorCounted {
    /// Lines of the wanted time, with those that are no line of nginx's.
    pub lines: u64,
    /// Failures of upstreams that were wanted.
    pub failures: u64,
    /// Those that somebody else than nginx may have written: in no incident.
    pub suspects: u64,
    /// Lines that are no line of nginx's and continue none.
    pub strange: u64,
    /// Failures of kinds that came when too many were known already.
    pub beyond: u64,
    /// How often a line's time was more than half an hour before the line's before it.
    pub jumps: u64,
    /// The first and the last time of a counted line.
    pub window: Option<(LocalTime, LocalTime)>,
    /// By kind.
    pub incidents: Vec<CountedIncident>,
    /// Whose requests failed.
    pub clients: Top,
    /// Which paths failed.
    pub urls: Top,
    /// Which Host headers failed.
    pub hosts: Top,
    /// Distinct clients among the failures.
    pub distinct_clients: Seen,
    /// Spans of time in which something was logged at least every few minutes, in order.
    pub active: Vec<(LocalTime, LocalTime)>,
}

/// Counts one log, or parts of several.
pub struct ErrorCounter<'w> {
    wanted: Wanted<'w>,
    dullness: Dullness,
    hasher: RandomState,
    spellings: HashTable<Spelling>,
    cells: Vec<Cell>,
    incidents: Vec<Incident>,
    by_kind: BTreeMap<(Kind, bool), u32>,
    by_server: BTreeMap<(u32, Vec<u8>), u32>,
    clock: Clock,
    tally: Tally,
    active: Activity,
    clients: TopCounter,
    urls: TopCounter,
    hosts: TopCounter,
    distinct: Distinct,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    lines: u64,
    suspects: u64,
    strange: u64,
    beyond: u64,
    jumps: u64,
    window: Option<(i64, i64)>,
}

/// One way to write one kind of failure of one server.
struct Spelling {
    hash: u64,
    /// None where such lines are no wanted failure.
    cell: Option<u32>,
    start: [u8; 3],
    /// Words, server and peer, one behind the other.
    text: Box<[u8]>,
    said: u16,
    server: u16,
}

impl Spelling {
    fn is(&self, start: [u8; 3], fields: &Fields<'_>) -> bool {
        let (said, server) = (usize::from(self.said), usize::from(self.server));
        let upstream = fields.upstream.unwrap_or_default();
        self.start == start
            && self.text.len() == fields.said.len() + fields.server.len() + upstream.len()
            && self.text.get(..said) == Some(fields.said)
            && self.text.get(said..said + server) == Some(fields.server)
            && self.text.get(said + server..) == Some(upstream)
    }
}

/// Failures of one kind in one server.
struct Cell {
    incident: u32,
    count: u64,
    /// The last Host header, and how often it came one after the other: it nearly always is the one before.
    host: (Vec<u8>, u64),
}

impl Cell {
    fn new(incident: u32) -> Self {
        Self {
            incident,
            count: 0,
            host: (Vec::new(), 0),
        }
    }

    /// The hosts seen before that are to be counted.
    fn meets(&mut self, host: &[u8]) -> Option<(Vec<u8>, u64)> {
        if self.host.0 == host {
            self.host.1 += 1;
            return None;
        }
        let before = std::mem::replace(&mut self.host, (host.to_vec(), 1));
        (before.1 > 0).then_some(before)
    }
}

impl<'w> ErrorCounter<'w> {
    /// Counts nothing yet.
    pub fn new(wanted: &Wanted<'w>) -> Self {
        Self {
            wanted: *wanted,
            dullness: Dullness::new(),
            hasher: RandomState::default(),
            spellings: HashTable::new(),
            cells: Vec::new(),
            incidents: Vec::new(),
            by_kind: BTreeMap::new(),
            by_server: BTreeMap::new(),
            clock: Clock::default(),
            tally: Tally::default(),
            active: Activity::default(),
            clients: TopCounter::new(TOP_KEPT),
            urls: TopCounter::new(TOP_KEPT),
            hosts: TopCounter::new(TOP_KEPT),
            distinct: Distinct::new(),
        }
    }

    /// Counts what begins in a part, whose lines are carried so.
    pub fn count(&mut self, part: &Part<'_>, carrier: Carrier) {
        match unwrapped(part, carrier) {
            Some((text, within)) => self.scan(&text, within, Carrier::Plain),
            None => self.scan(part.text, part.within.clone(), carrier),
        }
    }

    fn scan(&mut self, text: &[u8], within: Range<usize>, carrier: Carrier) {
        let Some(mut at) = first_line(text, &within, carrier) else {
            return;
        };
        let mut state = State::carried(at as u64, carrier);
        let mut encoded = Encoded::new(text, at);
        let mut next = self.started(text, at, carrier);
        let mut last = None;
        while at < within.end {
            let line = text.get(at..).unwrap_or_default();
            let end = at + memchr(b'\n', line).map_or(line.len(), |length| length + 1);
            let is_counted = at >= within.start;
            let own = next;
            next = self.started(text, end, carrier);
            let is_usual = own.is_some()
                && (next.is_some() || end == text.len())
                && end - at <= LONGEST
                && state.is_outside(at as u64)
                && encoded.is_none_in(at, end + WINDOW);
            if let (Some(own), true) = (own, is_usual)
                && self.usual(text, at, end, own, is_counted)
            {
                if is_counted {
                    self.lines(own.seconds, 1, last.filter(|last: &Last| last.is_near(at)));
                }
                last = Some(Last {
                    seconds: own.seconds,
                    at,
                });
                at = end;
                continue;
            }
            state.go_on(at as u64);
            let Some((record, rest)) = state.take(line) else {
                return;
            };
            let behind = text.len() - rest.len();
            let seen = record.bytes.get(..LONGEST).unwrap_or(record.bytes);
            let decoded;
            let event = match record.event_within(LONGEST) {
                None if carrier != Carrier::Plain => {
                    decoded = error::decode(seen);
                    decoded.event().map(|mut event| {
                        event.forgery = record.inside.or(event.forgery);
                        event
                    })
                }
                event => event,
            };
            match event {
                Some(event) => {
                    let seconds = event.time.map(LocalTime::seconds);
                    if is_counted {
                        let lines = u64::from(record.line_count);
                        match seconds {
                            Some(seconds) => {
                                self.lines(seconds, lines, last.filter(|last| last.is_near(at)));
                            }
                            None if self.is_unbounded() => self.tally.lines += lines,
                            None => {}
                        }
                        self.event(&event, seen, own.filter(|_| is_usual));
                    }
                    last = seconds.map(|seconds| Last { seconds, at }).or(last);
                }
                None => self.strange(text, at..behind, &within),
            }
            if behind != end {
                next = self.started(text, behind, carrier);
            }
            at = behind;
        }
    }

    fn is_unbounded(&self) -> bool {
        self.wanted.from.is_none() && self.wanted.until.is_none()
    }

    fn started(&mut self, text: &[u8], at: usize, carrier: Carrier) -> Option<Started> {
        if carrier != Carrier::Plain {
            return None;
        }
        let line = text.get(at..)?;
        let seconds = self.clock.read(line)?;
        Some(Started {
            seconds,
            start: Start::of(line)?,
        })
    }

    /// Lines without a head are counted each by itself: where a record of such lines begins depends on where one begins to
    /// read.
    fn strange(&mut self, text: &[u8], record: Range<usize>, within: &Range<usize>) {
        let mut at = record.start;
        while at < record.end {
            if within.contains(&at) {
                self.tally.strange += 1;
                self.tally.lines += 1;
            }
            let rest = text.get(at..record.end).unwrap_or_default();
            at += memchr(b'\n', rest).map_or(rest.len(), |length| length + 1);
        }
    }

    fn lines(&mut self, seconds: i64, lines: u64, before: Option<Last>) {
        if before.is_none_or(|before| before.seconds != seconds) {
            self.moment(seconds, before);
        }
        if self.is_in_time(seconds) {
            self.tally.lines += lines;
        }
    }

    #[cold]
    fn moment(&mut self, seconds: i64, before: Option<Last>) {
        if self.is_in_time(seconds) {
            let jumped = before.is_some_and(|before| seconds < before.seconds - JUMP);
            self.tally.jumps += u64::from(jumped);
            self.active.add(seconds);
            let window = self.tally.window.get_or_insert((seconds, seconds));
            *window = (window.0.min(seconds), window.1.max(seconds));
        }
    }

    fn is_in_time(&self, seconds: i64) -> bool {
        self.wanted
            .from
            .is_none_or(|from| seconds >= from.seconds())
            && self
                .wanted
                .until
                .is_none_or(|until| seconds < until.seconds())
    }

    /// Counts a line of a usual shape; false where it has to be parsed.
    fn usual(
        &mut self,
        text: &[u8],
        at: usize,
        end: usize,
        own: Started,
        is_counted: bool,
    ) -> bool {
        let line = text.get(at..end).unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let message = line.get(own.start.message..).unwrap_or_default();
        match self.dullness.of(message, own.start.level) {
            Some(Dull::Plain) => return true,
            Some(Dull::Quoting) => return line::is_closed(message) && !may_be_cut(text, at, end),
            None => {}
        }
        if line.ends_with(b"\r") {
            return false;
        }
        let Some(fields) = Fields::of(message) else {
            return false;
        };
        let start = start_of(own.start);
        let hash = self.hash(start, &fields);
        let known = self
            .spellings
            .find(hash, |known| known.hash == hash && known.is(start, &fields));
        let Some(known) = known else {
            return false;
        };
        if let Some(cell) = known.cell
            && is_counted
            && self.is_in_time(own.seconds)
        {
            self.fail(cell, own.seconds, &fields, line);
        }
        true
    }

    fn hash(&self, start: [u8; 3], fields: &Fields<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(fields.said);
        hasher.write(fields.upstream.unwrap_or_default());
        hasher.write(fields.server);
        hasher.write_u32(u32::from_le_bytes([start[0], start[1], start[2], 0]));
        hasher.finish()
    }

    fn fail(&mut self, cell: u32, seconds: i64, fields: &Fields<'_>, line: &[u8]) {
        let told = Told {
            client: fields.client,
            path: fields.request.map(line::path_of),
            host: fields.host,
        };
        self.tell(cell, seconds, &told, line);
    }

    fn tell(&mut self, cell: u32, seconds: i64, told: &Told<'_>, line: &[u8]) {
        let Some(cell) = self.cells.get_mut(cell as usize) else {
            return;
        };
        cell.count += 1;
        let Some(incident) = self.incidents.get_mut(cell.incident as usize) else {
            return;
        };
        incident.minutes.add(seconds.div_euclid(60), 1);
        if seconds <= incident.first {
            incident.begins(seconds, line);
        }
        incident.last = incident.last.max(seconds);
        self.clients.add(told.client);
        let client = Distinct::hash(told.client);
        incident.clients.add_hash(client);
        self.distinct.add_hash(client);
        if let Some(path) = told.path {
            self.urls.add(path);
            incident.locations.add(line::first_part(path));
        }
        if let Some(host) = told.host
            && let Some((before, times)) = cell.meets(host)
        {
            self.hosts.add_many(&before, times);
        }
    }

    /// Counts the Host headers that cells hold back.
    fn settle_hosts(&mut self) {
        for cell in &mut self.cells {
            let (host, times) = std::mem::take(&mut cell.host);
            if times > 0 {
                self.hosts.add_many(&host, times);
            }
        }
    }

    /// Counts a parsed record; `usual` where it has no neighbours that tell of it, so that its spelling can stand for it.
    fn event(&mut self, event: &Event<'_>, record: &[u8], usual: Option<Started>) {
        let Some(seconds) = event.time.map(LocalTime::seconds) else {
            return;
        };
        if !self.is_in_time(seconds) {
            return;
        }
        let line = record.strip_suffix(b"\n").unwrap_or(record);
        let cell = self.judge(event, seconds, line);
        if let Some(own) = usual
            && event.forgery.is_none()
            && event.is_free_of_clients()
            && !line.ends_with(b"\r")
            && let Some(fields) = line.get(own.start.message..).and_then(Fields::of)
            && spells_out(&fields, event)
        {
            self.learn(own.start, &fields, cell);
        }
        if let Some(cell) = cell {
            let told = Told {
                client: event.client.map_or(&b""[..], |client| client),
                path: event.request.map(|request| line::path_of(request)),
                host: event.host.map(|host| &**host),
            };
            self.tell(cell, seconds, &told, line);
        }
    }

    /// The cell of a failure; none where it is no wanted one.
    fn judge(&mut self, event: &Event<'_>, seconds: i64, line: &[u8]) -> Option<u32> {
        if !event.is_upstream_failure() {
            return None;
        }
        let is_doubtful = match event.forgery {
            None => false,
            Some(Forgery::PerhapsInside) => true,
            Some(_) => {
                self.tally.suspects += 1;
                return None;
            }
        };
        let unresolved = event.unresolved();
        let peer = match (&event.upstream, &unresolved) {
            (Some(upstream), _) => &**upstream.peer,
            (None, Some(unresolved)) => &**unresolved.name,
            (None, None) => b"",
        };
        let server = event.server.map_or(&b""[..], |server| server);
        let outcome = event.outcome();
        let protocol = event.upstream.map(|upstream| upstream.protocol);
        if let Some(wanted) = self.wanted.failure
            && !wanted(&Failure {
                class: event.class,
                errno: event.errno,
                action: event.action,
                protocol,
                peer,
                server,
                outcome,
            })
        {
            return None;
        }
        let kind = Kind {
            peer: peer.to_vec(),
            protocol,
            class: event.class,
            errno: event.errno,
            action: event.action,
        };
        let full = self.incidents.len() >= INCIDENTS_KEPT;
        let incident = match self.by_kind.get(&(kind.clone(), is_doubtful)) {
            Some(&incident) => incident,
            None if full => {
                self.tally.beyond += 1;
                return None;
            }
            None => {
                let incident = u32::try_from(self.incidents.len()).ok()?;
                self.incidents.push(Incident::new(seconds, outcome, line));
                self.by_kind.insert((kind, is_doubtful), incident);
                incident
            }
        };
        self.incidents.get_mut(incident as usize)?.agree(outcome);
        Some(self.cell(incident, server.to_vec()))
    }

    fn cell(&mut self, incident: u32, server: Vec<u8>) -> u32 {
        let is_full = self.cells.len() >= CELLS_KEPT;
        let key = (incident, server);
        if let Some(&cell) = self.by_server.get(&key) {
            return cell;
        }
        // Servers beyond count as one without a name.
        let key = if is_full { (incident, Vec::new()) } else { key };
        let cells = &mut self.cells;
        *self.by_server.entry(key).or_insert_with(|| {
            cells.push(Cell::new(incident));
            u32::try_from(cells.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn learn(&mut self, start: Start, fields: &Fields<'_>, cell: Option<u32>) {
        let upstream = fields.upstream.unwrap_or_default();
        let length = fields.said.len() + fields.server.len() + upstream.len();
        if self.spellings.len() >= SPELLINGS_KEPT || length > SPELLING {
            return;
        }
        let start = start_of(start);
        let hash = self.hash(start, fields);
        let (Ok(said), Ok(server)) = (
            u16::try_from(fields.said.len()),
            u16::try_from(fields.server.len()),
        ) else {
            return;
        };
        let entry = self.spellings.entry(
            hash,
            |known| known.hash == hash && known.is(start, fields),
            |known| known.hash,
        );
        if let Entry::Vacant(vacant) = entry {
            vacant.insert(Spelling {
                hash,
                cell,
                start,
                text: [fields.said, fields.server, upstream].concat().into(),
                said,
                server,
            });
        }
    }

    /// Takes in what another counter has counted.
    pub fn merge(&mut self, mut other: Self) {
        other.settle_hosts();
        let Tally {
            lines,
            suspects,
            strange,
            beyond,
            jumps,
            window,
        } = other.tally;
        self.tally.lines += lines;
        self.tally.suspects += suspects;
        self.tally.strange += strange;
        self.tally.beyond += beyond;
        self.tally.jumps += jumps;
        if let Some((first, last)) = window {
            let own = self.tally.window.get_or_insert((first, last));
            *own = (own.0.min(first), own.1.max(last));
        }
        self.active.merge(other.active);
        self.clients.merge(other.clients);
        self.urls.merge(other.urls);
        self.hosts.merge(other.hosts);
        self.distinct.merge(other.distinct);
        let mut places = vec![None; other.incidents.len()];
        let mut incidents: Vec<Option<Incident>> = other.incidents.into_iter().map(Some).collect();
        for (kind, theirs) in other.by_kind {
            let Some(incident) = incidents.get_mut(theirs as usize).and_then(Option::take) else {
                continue;
            };
            let known = self.by_kind.get(&kind).copied();
            let own =
                known.unwrap_or_else(|| u32::try_from(self.incidents.len()).unwrap_or(u32::MAX));
            if let Some(kept) = self.incidents.get_mut(own as usize) {
                kept.merge(incident);
            } else {
                self.incidents.push(incident);
                self.by_kind.insert(kind, own);
            }
            if let Some(place) = places.get_mut(theirs as usize) {
                *place = Some(own);
            }
        }
        for ((incident, server), cell) in other.by_server {
            let Some(incident) = places.get(incident as usize).copied().flatten() else {
                continue;
            };
            let count = other.cells.get(cell as usize).map_or(0, |cell| cell.count);
            let own = self.cell(incident, server);
            if let Some(cell) = self.cells.get_mut(own as usize) {
                cell.count += count;
            }
        }
    }

    /// What was counted.
    pub fn finish(mut self) -> ErrorCounted {
        self.settle_hosts();
        let mut servers: Vec<Servers> = vec![Vec::new(); self.incidents.len()];
        for ((incident, server), cell) in self.by_server {
            let count = self.cells.get(cell as usize).map_or(0, |cell| cell.count);
            if let Some(list) = servers.get_mut(incident as usize)
                && count > 0
            {
                list.push((server, count));
            }
        }
        let mut incidents: Vec<Option<(Incident, Servers)>> =
            self.incidents.into_iter().zip(servers).map(Some).collect();
        let mut suspects = self.tally.suspects;
        let mut counted: BTreeMap<Kind, (Incident, Servers)> = BTreeMap::new();
        for ((kind, is_doubtful), place) in self.by_kind {
            let Some((incident, servers)) =
                incidents.get_mut(place as usize).and_then(Option::take)
            else {
                continue;
            };
            let count: u64 = servers.iter().map(|(_, count)| count).sum();
            if count == 0 {
                continue;
            }
            match counted.get_mut(&kind) {
                Some((kept, of)) => {
                    kept.merge(incident);
                    for (server, count) in servers {
                        match of.iter_mut().find(|(known, _)| *known == server) {
                            Some((_, known)) => *known += count,
                            None => of.push((server, count)),
                        }
                    }
                }
                // What nobody can tell from an application's text adds to an incident, and makes none.
                None if is_doubtful => suspects += count,
                None => {
                    counted.insert(kind, (incident, servers));
                }
            }
        }
        let incidents: Vec<CountedIncident> = counted
            .into_iter()
            .map(|(kind, (incident, servers))| incident.counted(kind, servers))
            .collect();
        let times = |(first, last)| {
            (
                LocalTime::from_seconds(first),
                LocalTime::from_seconds(last),
            )
        };
        ErrorCounted {
            lines: self.tally.lines,
            failures: incidents.iter().map(|incident| incident.count).sum::<u64>()
                + self.tally.beyond,
            suspects,
            strange: self.tally.strange,
            beyond: self.tally.beyond,
            jumps: self.tally.jumps,
            window: self.tally.window.map(times),
            incidents,
            clients: self.clients.finish(TOP_GIVEN),
            urls: self.urls.finish(TOP_GIVEN),
            hosts: self.hosts.finish(TOP_GIVEN),
            distinct_clients: self.distinct.finish(),
            active: self.active.finish().into_iter().map(times).collect(),
        }
    }
}

/// What a failure tells beside its kind.
struct Told<'a> {
    client: &'a [u8],
    path: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
}

fn start_of(start: Start) -> [u8; 3] {
    [
        start.level[0],
        start.level[1],
        u8::from(start.has_connection),
    ]
}

/// Whether lines with these fields are all of this event's kind: its peer ends within what they have in common.
fn spells_out(fields: &Fields<'_>, event: &Event<'_>) -> bool {
    match (fields.upstream, event.upstream) {
        (None, None) => true,
        (Some(value), Some(upstream)) => {
            let scheme = upstream.protocol.as_str().len() + "://".len();
            scheme + upstream.peer.len() <= value.len()
                && value.get(scheme..scheme + upstream.peer.len()) == Some(upstream.peer)
        }
        _ => false,
    }
}
