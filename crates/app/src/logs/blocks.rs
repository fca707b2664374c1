//! Logs are cut into blocks, and threads count them.
//!
//! A plain file is read where a block of it stands, by whichever thread takes that block. What is packed or comes through a
//! pipe can only be read from its start: one thread reads it and hands out blocks. Memory is bounded by the number of
//! threads, whatever the logs hold; nothing is mapped, for a mapped file that is truncated ends the process.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use diagnose::logs::{LogFile, LogKind, Skipped};
use indicatif::ProgressBar;
use log::LocalTime;
use log::bulk::{AHEAD, BACK, Part};

use super::count::{Count, lines_in};
use super::packing::Packing;
use super::sort::{self, Formats, Sort};
use super::source::{From, SAMPLE, Source, Stored, fault, read_at, whole_lines};

/// What a thread counts at once, in bytes: it has to stay in the processor's cache.
const BLOCK: usize = 512 << 10;
/// So many blocks of a plain file are one thread's, one after the other: what stands around them is read once.
const TOGETHER: u64 = 16;
/// So often whoever waits for a block looks whether to go on.
const TICK: Duration = Duration::from_millis(100);

/// How logs are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    /// Bytes of a block.
    pub(crate) block: usize,
    /// Threads that count.
    pub(crate) threads: usize,
    /// Set where the reading shall end.
    pub(crate) stop: &'a AtomicBool,
    /// Told of every stored byte that was read.
    pub(crate) bar: &'a ProgressBar,
    /// The formats of the access logs.
    pub(crate) formats: &'a Formats,
}

impl<'a> Reading<'a> {
    /// With all processors.
    pub(crate) fn new(stop: &'a AtomicBool, bar: &'a ProgressBar, formats: &'a Formats) -> Self {
        Self {
            block: BLOCK,
            threads: thread::available_parallelism().map_or(1, usize::from),
            stop,
            bar,
            formats,
        }
    }
}

/// What was counted.
#[derive(Debug)]
pub(crate) struct Counted<C> {
    /// The files, in the order in which they were given.
    pub(crate) files: Vec<LogFile>,
    /// What could not be read of them.
    pub(crate) skipped: Vec<Skipped>,
    /// One counter for each sort of log that there was something of.
    pub(crate) counters: BTreeMap<Sort, C>,
}

/// Reads logs and has each sort counted by what `new` makes. Those that are nothing known are not read.
pub(crate) fn count<C: Count>(
    sources: Vec<Source>,
    reading: &Reading<'_>,
    new: &(impl Fn(Sort) -> C + Sync),
) -> Counted<C> {
    let mut notes: Vec<Note> = Vec::new();
    let mut plain = Vec::new();
    let mut packed = Vec::new();
    let mut pipes = Vec::new();
    for (idx, source) in sources.into_iter().enumerate() {
        notes.push(Note::of(&source));
        let Some(sort) = source.sort else { continue };
        match source.from {
            From::File {
                file,
                size,
                packing: Packing::Plain,
            } => plain.push(Plain {
                idx,
                sort,
                file,
                size,
            }),
            From::File {
                file,
                size,
                packing,
            } => packed.push((idx, sort, packing, file, size)),
            From::Pipe {
                head,
                rest,
                packing,
                ..
            } => pipes.push(Stream {
                idx,
                sort,
                packing,
                text: head,
                from: rest,
            }),
        }
    }
    let unpackers = packed.len().min(reading.threads);
    let queue = Queue::new(&plain, unpackers + pipes.len(), reading);
    let next = AtomicUsize::new(0);
    let (queue, notes_of) = (&queue, notes.as_slice());
    let unpack = || {
        let _end = queue.reader();
        while let Some((idx, sort, packing, file, size)) =
            packed.get(next.fetch_add(1, Ordering::Relaxed))
        {
            if queue.shall_stop() {
                break;
            }
            let stored = Stored::new(Arc::clone(file), *size, reading.bar.clone());
            let stream = packing.unpack(stored).map(|from| Stream {
                idx: *idx,
                sort: *sort,
                packing: *packing,
                text: Vec::new(),
                from,
            });
            match stream {
                Ok(stream) => stream.read(queue, notes_of, reading),
                Err(error) => notes_of.iter().skip(*idx).take(1).for_each(|note| {
                    note.fault(fault(*packing, &error));
                }),
            }
        }
    };
    let of_threads: Vec<BTreeMap<Sort, C>> = thread::scope(|scope| {
        for _ in 0..unpackers {
            scope.spawn(unpack);
        }
        for stream in pipes {
            scope.spawn(move || {
                let _end = queue.reader();
                stream.read(queue, notes_of, reading);
            });
        }
        let counting: Vec<_> = (0..reading.threads.max(1))
            .map(|_| scope.spawn(|| count_blocks(queue, notes_of, reading, new)))
            .collect();
        let joined = counting.into_iter().map(|thread| match thread.join() {
            Ok(counters) => counters,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    });
    for log in &plain {
        if log.file.metadata().is_ok_and(|meta| meta.len() < log.size)
            && let Some(note) = notes.get(log.idx)
        {
            note.shrank();
        }
    }
    finish(notes, of_threads)
}

fn finish<C: Count>(notes: Vec<Note>, of_threads: Vec<BTreeMap<Sort, C>>) -> Counted<C> {
    let mut counters: BTreeMap<Sort, C> = BTreeMap::new();
    for (sort, counter) in of_threads.into_iter().flatten() {
        match counters.entry(sort) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(counter);
            }
            std::collections::btree_map::Entry::Occupied(mut place) => {
                place.get_mut().merge(counter);
            }
        }
    }
    let skipped = notes.iter().filter_map(Note::skipped).collect();
    Counted {
        files: notes.into_iter().map(Note::file).collect(),
        skipped,
        counters,
    }
}

/// What is noted of a log while it is read.
struct Note {
    name: String,
    sort: Option<Sort>,
    first: Option<LocalTime>,
    last: Mutex<Option<LocalTime>>,
    bytes: u64,
    /// Of a pipe: how much was read.
    read: Option<Arc<AtomicU64>>,
    lines: AtomicU64,
    fault: Mutex<Option<String>>,
}

impl Note {
    fn of(source: &Source) -> Self {
        let read = match &source.from {
            From::Pipe { read, .. } => Some(Arc::clone(read)),
            From::File { .. } => None,
        };
        Self {
            name: source.name.clone(),
            sort: source.sort,
            first: source.first,
            last: Mutex::new(source.last),
            bytes: source.bytes(),
            read,
            lines: AtomicU64::new(0),
            fault: Mutex::new(None),
        }
    }

    /// The first fault counts.
    fn fault(&self, why: String) {
        lock(&self.fault).get_or_insert(why);
    }

    fn shrank(&self) {
        self.fault("the file was truncated while it was read".to_owned());
    }

    fn skipped(&self) -> Option<Skipped> {
        let why = lock(&self.fault).clone()?;
        let whole = self.lines.load(Ordering::Relaxed) == 0;
        Some(Skipped {
            file: self.name.clone(),
            why: if whole {
                why
            } else {
                format!("its rest: {why}")
            },
            lines: 0,
            whole,
        })
    }

    fn file(self) -> LogFile {
        let last = *lock(&self.last);
        LogFile {
            name: self.name,
            kind: match self.sort {
                Some(Sort::Error(_)) => LogKind::Error,
                Some(Sort::Access(_)) => LogKind::Access,
                None => LogKind::Unknown,
            },
            bytes: self
                .read
                .map_or(self.bytes, |read| read.load(Ordering::Relaxed)),
            lines: self.lines.into_inner(),
            window: self.first.zip(last.or(self.first)),
        }
    }
}

/// What another thread left is whole: nothing panics while it is locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A plain file.
struct Plain {
    idx: usize,
    sort: Sort,
    file: Arc<File>,
    size: u64,
}

/// A block of a log with what stands around it.
struct Block {
    idx: usize,
    sort: Sort,
    text: Vec<u8>,
    within: Range<usize>,
}

/// What a thread does next.
enum Work<'a> {
    /// Count a block that was read.
    Block(Block),
    /// Read and count what begins here in a plain file.
    Plain(&'a Plain, Range<u64>),
}

/// What is to be counted: blocks that were read before plain files, for their reader waits.
struct Queue<'a> {
    state: Mutex<State>,
    /// There is a block, or no reader any more.
    filled: Condvar,
    /// There is room for a block.
    freed: Condvar,
    plain: &'a [Plain],
    block: usize,
    /// So many blocks wait at most.
    most: usize,
    stop: &'a AtomicBool,
}

struct State {
    blocks: VecDeque<Block>,
    /// Which plain file is next, and where in it.
    next: (usize, u64),
    readers: usize,
    counters: usize,
    /// Buffers that were counted.
    spare: Vec<Vec<u8>>,
}

/// Says at its end that a reader is through, even one that panicked.
struct Reader<'q, 'a>(&'q Queue<'a>);

impl Drop for Reader<'_, '_> {
    fn drop(&mut self) {
        lock(&self.0.state).readers -= 1;
        self.0.filled.notify_all();
    }
}

/// The same of a thread that counts: without any, no reader may wait for room.
struct Counter<'q, 'a>(&'q Queue<'a>);

impl Drop for Counter<'_, '_> {
    fn drop(&mut self) {
        lock(&self.0.state).counters -= 1;
        self.0.freed.notify_all();
    }
}

impl<'a> Queue<'a> {
    fn new(plain: &'a [Plain], readers: usize, reading: &Reading<'a>) -> Self {
        Self {
            state: Mutex::new(State {
                blocks: VecDeque::new(),
                next: (0, 0),
                readers,
                counters: reading.threads.max(1),
                spare: Vec::new(),
            }),
            filled: Condvar::new(),
            freed: Condvar::new(),
            plain,
            block: reading.block,
            most: 2 * reading.threads.max(1),
            stop: reading.stop,
        }
    }

    fn reader(&self) -> Reader<'_, 'a> {
        Reader(self)
    }

    fn shall_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<Work<'a>> {
        let mut state = lock(&self.state);
        loop {
            if let Some(block) = state.blocks.pop_front() {
                self.freed.notify_one();
                return Some(Work::Block(block));
            }
            if !self.shall_stop()
                && let Some(work) = self.next_plain(&mut state.next)
            {
                return Some(work);
            }
            if state.readers == 0 {
                return None;
            }
            state = self
                .filled
                .wait_timeout(state, TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn next_plain(&self, next: &mut (usize, u64)) -> Option<Work<'a>> {
        loop {
            let (idx, from) = *next;
            let log = self.plain.get(idx)?;
            if from >= log.size {
                *next = (idx + 1, 0);
                continue;
            }
            let to = log.size.min(from + self.block as u64 * TOGETHER);
            *next = (idx, to);
            return Some(Work::Plain(log, from..to));
        }
    }

    /// Hands out a block once there is room.
    fn put(&self, block: Block) {
        let mut state = lock(&self.state);
        while state.blocks.len() >= self.most && state.counters > 0 {
            state = self
                .freed
                .wait_timeout(state, TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.blocks.push_back(block);
        self.filled.notify_one();
    }

    /// An empty buffer, such as was counted already.
    fn buffer(&self) -> Vec<u8> {
        let spare = lock(&self.state).spare.pop();
        spare.unwrap_or_else(|| Vec::with_capacity(BACK + self.block + AHEAD + 64))
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        lock(&self.state).spare.push(buffer);
    }
}

/// A log that is read from its start.
struct Stream {
    idx: usize,
    sort: Sort,
    packing: Packing,
    /// What was read already.
    text: Vec<u8>,
    from: Box<dyn Read + Send>,
}

impl Stream {
    /// Hands out its blocks, each with the end of the one before.
    fn read(mut self, queue: &Queue<'_>, notes: &[Note], reading: &Reading<'_>) {
        let Some(note) = notes.get(self.idx) else {
            return;
        };
        let mut text = queue.buffer();
        text.extend_from_slice(&self.text);
        let mut start = 0;
        loop {
            let wanted = start + queue.block + AHEAD;
            let read = fill(&mut text, &mut self.from, wanted);
            if let Err(error) = &read {
                note.fault(fault(self.packing, error));
            }
            let is_end = read.is_err() || text.len() < wanted || queue.shall_stop();
            if is_end {
                let tail = text.len().saturating_sub(SAMPLE);
                let end = whole_lines(text.get(tail..).unwrap_or_default(), tail == 0);
                *lock(&note.last) = sort::last_time(end, self.sort, reading.formats);
            }
            let end = if is_end {
                text.len()
            } else {
                start + queue.block
            };
            let mut next = queue.buffer();
            let kept = end.saturating_sub(BACK);
            if !is_end {
                next.extend_from_slice(text.get(kept..).unwrap_or_default());
            }
            queue.put(Block {
                idx: self.idx,
                sort: self.sort,
                text,
                within: start..end,
            });
            if is_end {
                queue.give_back(next);
                return;
            }
            text = next;
            start = end - kept;
        }
    }
}

/// Reads until the text is so long, or as far as there is something.
fn fill(text: &mut Vec<u8>, from: &mut impl Read, wanted: usize) -> io::Result<()> {
    let missing = wanted.saturating_sub(text.len());
    from.take(missing as u64).read_to_end(text).map(drop)
}

/// One thread: counts what there is to count.
fn count_blocks<C: Count>(
    queue: &Queue<'_>,
    notes: &[Note],
    reading: &Reading<'_>,
    new: &impl Fn(Sort) -> C,
) -> BTreeMap<Sort, C> {
    let _end = Counter(queue);
    let mut counters: BTreeMap<Sort, C> = BTreeMap::new();
    let mut held = Held::default();
    while let Some(work) = queue.take() {
        match work {
            Work::Block(block) => {
                let part = Part {
                    text: &block.text,
                    within: block.within.clone(),
                };
                let counter = counters
                    .entry(block.sort)
                    .or_insert_with(|| new(block.sort));
                count_part(&part, counter, notes.get(block.idx));
                queue.give_back(block.text);
            }
            Work::Plain(log, within) => {
                let Some(note) = notes.get(log.idx) else {
                    continue;
                };
                let counter = counters.entry(log.sort).or_insert_with(|| new(log.sort));
                let mut from = within.start;
                while from < within.end && !queue.shall_stop() {
                    let block = from..within.end.min(from + reading.block as u64);
                    from = block.end;
                    reading.bar.inc(block.end - block.start);
                    match held.read(log, &block) {
                        Ok((part, is_whole)) => {
                            count_part(&part, counter, Some(note));
                            if !is_whole {
                                note.shrank();
                            }
                        }
                        Err(error) => note.fault(fault(Packing::Plain, &error)),
                    }
                }
            }
        }
    }
    counters
}

fn count_part<C: Count>(part: &Part<'_>, counter: &mut C, note: Option<&Note>) {
    if let Some(note) = note {
        note.lines.fetch_add(lines_in(part), Ordering::Relaxed);
    }
    counter.count(part);
}

/// A part of a plain file.
#[derive(Default)]
struct Held {
    /// Which file's.
    of: Option<usize>,
    from: u64,
    filled: usize,
    buffer: Vec<u8>,
}

impl Held {
    /// A block with what stands around it, and whether all of that is there still.
    fn read(&mut self, log: &Plain, block: &Range<u64>) -> io::Result<(Part<'_>, bool)> {
        let from = block.start.saturating_sub(BACK as u64);
        let to = log.size.min(block.end + AHEAD as u64);
        let length = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
        let wanted = length(from, to);
        let kept = self.keep(log.idx, from).min(wanted);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        // Nothing is held until it was read.
        self.of = None;
        let place = self.buffer.get_mut(kept..wanted).unwrap_or_default();
        let filled = kept + read_at(&log.file, place, from + kept as u64)?;
        (self.of, self.from, self.filled) = (Some(log.idx), from, filled);
        let within = length(from, block.start).min(filled)..length(from, block.end).min(filled);
        let text = self.buffer.get(..filled).unwrap_or_default();
        Ok((Part { text, within }, filled == wanted))
    }

    /// Moves what is held from there on to the buffer's start; how much that is.
    fn keep(&mut self, idx: usize, from: u64) -> usize {
        if self.of != Some(idx) {
            return 0;
        }
        let skipped = from
            .checked_sub(self.from)
            .and_then(|skipped| usize::try_from(skipped).ok())
            .filter(|skipped| *skipped < self.filled);
        let Some(skipped) = skipped else {
            return 0;
        };
        self.buffer.copy_within(skipped..self.filled, 0);
        self.filled - skipped
    }
}
