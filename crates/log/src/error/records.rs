//! Physical lines become records: what nginx wrote with one `write()`.
//!
//! A line without a head continues the one before. Records lie side by side and cover the input exactly.
//! Because a decoded path may hold a line feed and then a perfect head, each record also says whether it
//! stands inside the text of an earlier one. What a record means is not asked here.

use super::carrier::{self, Carrier};
use super::forgery::{Encoded, Forgery, Inside, Sureness, encoded_line_feeds};
use super::{Event, Glance, Head, Opening, parse};
use std::io::{self, Read};
use std::ops::Range;

/// A line that is longer is cut into several records: no logger writes such lines, but files have holes.
const MAX_LINE: usize = 1 << 20;
/// How far a record of nginx's can reach.
pub(crate) const WINDOW: usize = 4096;
/// How much must be seen of what follows one, and the line that it ends in: what begins within the window of a record has
/// one itself.
pub(crate) const AHEAD: usize = 2 * WINDOW;
/// How much [`Splitter`] reads at once.
const CHUNK: usize = 1 << 16;

/// One record of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its bytes, the last line feed included if it has one.
    pub bytes: &'a [u8],
    /// Where it begins, counted from the start of the input.
    pub offset: u64,
    /// How many physical lines it has.
    pub line_count: u32,
    /// That it stands inside the text of a record before it, or may.
    pub inside: Option<Forgery>,
    /// Its head and its phrase, read when it was cut out; none for what is carried otherwise.
    opening: Option<Opening>,
}

impl<'a> Record<'a> {
    /// What the start of a plain record tells, without its fields; `None` for what is carried otherwise.
    pub fn glance(&self) -> Option<Glance> {
        self.opening.as_ref().map(Opening::glance)
    }

    /// The event of this record, with what its neighbours tell about it.
    pub fn event(&self) -> Option<Event<'a>> {
        self.event_within(usize::MAX)
    }

    /// The same by so many of its first bytes.
    pub(crate) fn event_within(&self, most: usize) -> Option<Event<'a>> {
        let bytes = self.bytes.get(..most).unwrap_or(self.bytes);
        let mut event = match &self.opening {
            Some(opening) => opening.event(bytes)?,
            None => parse(bytes)?,
        };
        event.forgery = match self.inside {
            Some(Forgery::PerhapsInside) => event.forgery.or(self.inside),
            sure => sure.or(event.forgery),
        };
        Some(event)
    }
}

/// Iterates over the records of a text: of all of it, or of one of its parts ([`Records::parts`]).
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    state: State,
    /// Which of them are given out: those that begin here.
    part: Range<u64>,
}

impl<'a> Records<'a> {
    /// The records of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            state: State::new(0),
            part: 0..bytes.len() as u64,
        }
    }

    /// The same records in consecutive parts of at least so many bytes, to be read side by side: what reading all of it
    /// tells of a record, its part tells. One part where lines are carried otherwise than plainly.
    pub fn parts(bytes: &'a [u8], least: usize) -> Vec<Self> {
        let whole = Self::new(bytes);
        let is_plain = {
            let mut first = whole.clone();
            first.next();
            first.carrier() == Some(Carrier::Plain)
        };
        let mut parts = vec![whole];
        if !is_plain {
            return parts;
        }
        let (mut from, mut start) = (0, least.max(1));
        while start < bytes.len() {
            // A line with a head begins a record wherever one begins to read, and what stands further back than a record
            // reaches tells nothing of those in this part.
            if let Some(at) = last_head(bytes, from..start.saturating_sub(AHEAD)) {
                from = at;
                let last = parts.last_mut().map(|part| &mut part.part);
                if let Some(last) = last {
                    last.end = start as u64;
                }
                parts.push(Self {
                    rest: bytes.get(at..).unwrap_or_default(),
                    state: State::carried(at as u64, Carrier::Plain),
                    part: start as u64..bytes.len() as u64,
                });
            }
            start = start.saturating_add(least.max(1));
        }
        parts
    }

    /// How the lines seen so far are carried; known once the first record with a head is out.
    pub fn carrier(&self) -> Option<Carrier> {
        self.state.carrier
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        while self.state.offset < self.part.end {
            let (record, rest) = self.state.take(self.rest)?;
            self.rest = rest;
            if record.offset >= self.part.start {
                return Some(record);
            }
        }
        None
    }
}

/// Where the last line begins, within these bytes, that has a head. It is searched for from their end.
fn last_head(bytes: &[u8], within: Range<usize>) -> Option<usize> {
    last_line(bytes, within, |line| plain_head(line).is_some())
}

/// The same of lines that are carried so.
pub(crate) fn last_head_carried(
    bytes: &[u8],
    within: Range<usize>,
    carrier: Carrier,
) -> Option<usize> {
    if carrier == Carrier::Plain {
        last_head(bytes, within)
    } else {
        last_line(bytes, within, |line| head(line).is_some())
    }
}

fn last_line(bytes: &[u8], within: Range<usize>, is_head: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut end = within.end;
    loop {
        let before = bytes.get(within.start..end)?;
        let line = within.start + memchr::memrchr(b'\n', before)? + 1;
        if is_head(bytes.get(line..)?) {
            return Some(line);
        }
        end = line - 1;
    }
}

/// Cuts what a [`Read`] gives into records, in constant memory.
#[derive(Debug)]
pub struct Splitter<R> {
    from: R,
    /// What was read and not yet given out is `buffer[start..filled]`.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    end: bool,
    state: State,
}

impl<R: Read> Splitter<R> {
    /// Records of `from`, whose first byte stands at `offset`.
    pub fn new(from: R, offset: u64) -> Self {
        Self {
            from,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            end: false,
            state: State::new(offset),
        }
    }

    /// The next record, or `None` at the end of the input.
    pub fn next_record(&mut self) -> io::Result<Option<Record<'_>>> {
        // A record, and what is ahead of it, must be there to be judged.
        while !self.end && !self.complete() {
            self.fill()?;
        }
        let Some((record, rest)) = self
            .state
            .take(self.buffer.get(self.start..self.filled).unwrap_or_default())
        else {
            return Ok(None);
        };
        self.start = self.filled - rest.len();
        Ok(Some(record))
    }

    fn complete(&self) -> bool {
        let text = self.buffer.get(self.start..self.filled).unwrap_or_default();
        let Some(ahead) = text.get(Cut::of(text, self.state.carrier).length..) else {
            return false;
        };
        let Some(behind) = ahead.get(AHEAD..) else {
            return false;
        };
        memchr::memchr(b'\n', behind).is_some() || behind.len() >= MAX_LINE
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
            self.buffer
                .resize(self.buffer.len().max(self.filled + CHUNK), 0);
        }
        let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let got = loop {
            match self.from.read(free) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                got => break got?,
            }
        };
        self.filled += got;
        self.end = got == 0;
        Ok(())
    }
}

/// What is carried from one record to the next.
#[derive(Clone, Debug)]
pub(crate) struct State {
    offset: u64,
    carrier: Option<Carrier>,
    /// Records that begin before this stand inside another one's text.
    inside_until: u64,
    /// Those that begin before this may.
    perhaps_until: u64,
    /// The head of the record that comes next, and its length: it was read to see where the one before ends.
    next_head: Option<(Head, usize)>,
    encoded: Encoded,
}

impl State {
    /// Before a record at this offset, with lines carried so; unknown until one with a head has come.
    pub(crate) fn carried(offset: u64, carrier: Carrier) -> Self {
        Self {
            carrier: Some(carrier),
            ..Self::new(offset)
        }
    }

    fn new(offset: u64) -> Self {
        Self {
            offset,
            carrier: None,
            inside_until: 0,
            perhaps_until: 0,
            next_head: None,
            encoded: Encoded::default(),
        }
    }

    /// Goes on at this offset, with what begins there, behind records that hold nothing of later ones.
    pub(crate) fn go_on(&mut self, offset: u64) {
        if self.offset != offset {
            self.offset = offset;
            self.next_head = None;
        }
    }

    /// Whether what begins at this offset surely stands in no earlier record's text, as far as earlier ones tell.
    pub(crate) fn is_outside(&self, offset: u64) -> bool {
        offset >= self.inside_until && offset >= self.perhaps_until
    }

    /// The first record of `text`, and what is left of it.
    pub(crate) fn take<'a>(&mut self, text: &'a [u8]) -> Option<(Record<'a>, &'a [u8])> {
        if text.is_empty() {
            return None;
        }
        if self.carrier.is_none() {
            self.carrier = head(text);
        }
        let own_head = match self.next_head.take() {
            None if self.carrier == Some(Carrier::Plain) => plain_head(text),
            head => head,
        };
        let cut = Cut::of(text, self.carrier);
        let (bytes, rest) = text.split_at_checked(cut.length)?;
        let opening = own_head.map(|(head, length)| Opening::new(head, length, bytes));
        let record = Record {
            bytes,
            offset: self.offset,
            line_count: cut.line_count,
            inside: if self.offset < self.inside_until {
                Some(Forgery::InsideText)
            } else {
                let is_perhaps = self.offset < self.perhaps_until
                    || (self
                        .encoded
                        .is_in(rest, self.offset + cut.length as u64, WINDOW)
                        && may_be_in_a_path(bytes.len(), rest, self.carrier));
                is_perhaps.then_some(Forgery::PerhapsInside)
            },
            opening,
        };
        let behind = self.offset + cut.length as u64;
        let inside = match &opening {
            Some(opening) => Inside::opened(opening, bytes, || {
                self.encoded.is_in(text, self.offset, cut.length)
            }),
            None => Inside::of(bytes),
        };
        if let Some(inside) = inside {
            let held = inside_length(&inside, rest, behind, self.carrier, &mut self.encoded);
            self.inside_until = self.inside_until.max(behind + held.surely);
            self.perhaps_until = self.perhaps_until.max(behind + held.perhaps);
        }
        self.offset = behind;
        self.next_head = cut.next_head;
        Some((record, rest))
    }
}

/// How many bytes behind a record stand inside its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    surely: u64,
    /// No fewer.
    perhaps: u64,
}

/// See [`Held`].
fn inside_length(
    inside: &Inside,
    rest: &[u8],
    rest_offset: u64,
    carrier: Option<Carrier>,
    encoded: &mut Encoded,
) -> Held {
    if inside.may_hold(rest, |reach| encoded.is_in(rest, rest_offset, reach)) {
        reach(inside, rest, carrier)
    } else {
        Held::default()
    }
}

/// Whether a record of this length may stand in the path of one behind it, `rest`: nginx decodes a path and writes it
/// before the request, whose own line shows each of its line feeds as `%0a`. The path's first lines may look whole.
fn may_be_in_a_path(length: usize, rest: &[u8], carrier: Option<Carrier>) -> bool {
    let mut at = 0;
    let mut between = 0;
    while length + at < WINDOW
        && let Some(text) = rest.get(at..).filter(|text| !text.is_empty())
    {
        let later = Cut::of(text, carrier).length;
        at += later;
        between += 1;
        // A path of two line feeds has one line between its first and its last.
        if encoded_line_feeds(text.get(..later).unwrap_or(text)) > between {
            return true;
        }
    }
    false
}

/// The same, line by line.
fn reach(inside: &Inside, rest: &[u8], carrier: Option<Carrier>) -> Held {
    let mut at = 0;
    let mut held = Held::default();
    while inside.length() + at < WINDOW
        && let Some(text) = rest.get(at..).filter(|text| !text.is_empty())
    {
        let length = Cut::of(text, carrier).length;
        at += length;
        let record = text.get(..length).unwrap_or(text);
        if inside.holds(record, rest.get(..at).unwrap_or(rest)) {
            held.perhaps = at as u64;
            held.surely = match inside.sureness() {
                Sureness::None => 0,
                Sureness::ToTheFirst if held.surely > 0 => held.surely,
                Sureness::ToTheFirst | Sureness::ToTheLast => held.perhaps,
            };
        }
    }
    held
}

/// Where the record that a text begins with ends.
struct Cut {
    length: usize,
    line_count: u32,
    /// The plain head that ends it, and that head's length.
    next_head: Option<(Head, usize)>,
}

impl Cut {
    fn of(text: &[u8], carrier: Option<Carrier>) -> Self {
        let mut cut = Self {
            length: line_length(text),
            line_count: 1,
            next_head: None,
        };
        // What is further away than one write can reach is no continuation.
        while cut.length < WINDOW
            && let Some(rest) = text.get(cut.length..).filter(|rest| !rest.is_empty())
        {
            cut.next_head = match carrier {
                Some(Carrier::Plain) => plain_head(rest),
                _ => None,
            };
            if cut.next_head.is_some() || carrier != Some(Carrier::Plain) && head(rest).is_some() {
                break;
            }
            cut.length += line_length(rest);
            cut.line_count += 1;
        }
        cut
    }
}

fn line_length(text: &[u8]) -> usize {
    let text = text.get(..text.len().min(MAX_LINE)).unwrap_or(text);
    memchr::memchr(b'\n', text).map_or(text.len(), |at| at + 1)
}

/// A line's own head, and its length.
fn plain_head(line: &[u8]) -> Option<(Head, usize)> {
    // The year's first digit rejects almost every continuation line.
    if !line.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let (head, rest) = Head::parse(line)?;
    Some((head, line.len() - rest.len()))
}

/// How a line with a head is carried.
fn head(line: &[u8]) -> Option<Carrier> {
    if plain_head(line).is_some() {
        return Some(Carrier::Plain);
    }
    let line = line.get(..line_length(line)).unwrap_or(line);
    carrier::prefix(line)
        .map(|(carrier, _)| carrier)
        .or_else(|| carrier::json(line))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
        let piece = prop::sample::select(vec![
            "2026/06/23 14:02:11 [error] 1#1: *9 ",
            "open() \"/srv/x",
            "\" failed (2: No such file or directory)",
            ", client: 192.0.2.7, server: a",
            ", request: \"GET /x%0ay HTTP/1.1\"",
            ", request: \"GET /x HTTP/1.1\"",
            " while reading upstream",
            "connect() failed (111: Connection refused) while connecting to upstream",
            "\n",
            "x",
        ]);
        prop::collection::vec(piece, 1..24)
    }

    /// A path of several lines that look whole, as nginx writes it.
    const FORGED: &str = "2026/06/23 14:02:11 [error] 1#1: *9 open() \"/srv/x
2026/06/23 14:02:11 [error] 1#1: *9 y
2026/06/23 14:02:11 [error] 1#1: *9 z\" failed (2: No such file or directory), client: 192.0.2.7, server: a, request: \"GET /x%0a2026%0az HTTP/1.1\"
";

    /// A text of several windows, some of whose lines are longer than one.
    fn long_text() -> impl Strategy<Value = Vec<u8>> {
        let forged = Just(FORGED.to_owned());
        let long = prop::sample::select(vec![0, 0, 40, 1900, 2050, 4090, 5000]);
        let any = (pieces(), long).prop_map(|(pieces, long)| pieces.concat() + &"y".repeat(long));
        let text = prop::collection::vec(prop_oneof![forged, any], 1..60);
        text.prop_map(|all| all.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn the_parts_of_a_text_hold_what_all_of_it_holds(text in long_text(), least in prop::sample::select(vec![150_usize, 700, 5000, 30_000])) {
            let parts = Records::parts(&text, least);
            let in_parts: Vec<Record<'_>> = parts.into_iter().flatten().collect();
            let whole: Vec<Record<'_>> = Records::new(&text).collect();
            prop_assert_eq!(in_parts, whole);
        }

        #[test]
        fn nothing_is_held_where_a_look_says_that_nothing_can_be(
            pieces in pieces(),
            long in prop_oneof![Just(0_usize), 1900..2100_usize],
        ) {
            let path = "y".repeat(long);
            let text = format!("2026/06/23 14:02:11 [error] 1#1: *9 open() \"/{path}{}", pieces.concat());
            let text = text.as_bytes();
            let (record, rest) = text.split_at(Cut::of(text, Some(Carrier::Plain)).length);
            let is_encoded = |reach| Encoded::default().is_in(rest, 0, reach);
            if let Some(inside) = Inside::of(record) && !inside.may_hold(rest, is_encoded) {
                prop_assert_eq!(reach(&inside, rest, Some(Carrier::Plain)), Held::default());
            }
        }
    }
}
