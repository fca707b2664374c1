//! Logs, opened: what they are and what times they hold is known, and they wait to be read.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use diagnose::logs::Skipped;
use indicatif::ProgressBar;
use log::LocalTime;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};

use super::names::{Input, said, unread};
use super::packing::Packing;
use super::sort::{self, Formats, Sort};

/// By so much of its start a log is known, and so much of its end tells when it ends.
pub(super) const SAMPLE: usize = 128 << 10;
/// So often whoever waits for a pipe looks whether it shall go on.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// A log that was opened.
pub(crate) struct Source {
    /// As it was named; `-` for standard input.
    pub(crate) name: String,
    /// What it is; `None` where it is empty or nothing known.
    pub(crate) sort: Option<Sort>,
    /// The first time in it.
    pub(crate) first: Option<LocalTime>,
    /// The last; of what is packed or comes through a pipe it is known once that was read.
    pub(crate) last: Option<LocalTime>,
    pub(super) from: From,
}

/// Where a log comes from.
pub(super) enum From {
    /// A file, of which is read what stood there when it was opened.
    File {
        file: Arc<File>,
        size: u64,
        packing: Packing,
    },
    /// A pipe, out of which the start was taken.
    Pipe {
        head: Vec<u8>,
        rest: Box<dyn Read + Send>,
        packing: Packing,
        read: Arc<AtomicU64>,
    },
}

impl Source {
    /// Its bytes as they are stored; of a pipe those that were read.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.from {
            From::File { size, .. } => *size,
            From::Pipe { read, .. } => read.load(Ordering::Relaxed),
        }
    }

    /// Whether it can be read only once, and nobody knows how long it is.
    pub(crate) fn is_pipe(&self) -> bool {
        matches!(self.from, From::Pipe { .. })
    }

    /// The same file once more; `None` of a pipe.
    pub(crate) fn again(&self) -> Option<Self> {
        let From::File {
            file,
            size,
            packing,
        } = &self.from
        else {
            return None;
        };
        Some(Self {
            name: self.name.clone(),
            sort: self.sort,
            first: self.first,
            last: self.last,
            from: From::File {
                file: Arc::clone(file),
                size: *size,
                packing: *packing,
            },
        })
    }
}

/// Opens what was named, each file once, and orders it by the times inside.
///
/// Pipes wait for who writes to them, until `stop` is set.
pub(crate) fn open(
    inputs: &[Input],
    formats: &Formats,
    stop: &Arc<AtomicBool>,
    bar: &ProgressBar,
) -> (Vec<Source>, Vec<Skipped>) {
    allow_many_files();
    let mut sources: Vec<Source> = Vec::new();
    let mut skipped = Vec::new();
    let mut seen = HashSet::new();
    for input in inputs {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let opened = match input {
            Input::Standard => standard_input(formats, stop, bar).map(Some),
            Input::Named(path) => file(path, true, &mut seen, formats, stop, bar),
            Input::Found(path) => file(path, false, &mut seen, formats, stop, bar),
        };
        match opened {
            Ok(None) => {}
            Ok(Some(mut source)) => {
                source.name = input.name();
                sources.push(source);
            }
            Err(why) => skipped.push(unread(input.name(), why)),
        }
    }
    for source in &sources {
        if source.sort.is_none() && source.bytes() > 0 {
            let why = format!(
                "neither an error log of nginx's nor an access log in {}",
                formats.called
            );
            skipped.push(unread(source.name.clone(), why));
        }
    }
    sources.sort_by_key(|source| (source.first.is_none(), source.first, source.last));
    (sources, skipped)
}

/// Every log stays open, for a name may mean another file a moment later.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wider = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it is refused, the logs beyond it say so one by one.
    if let Err(error) = setrlimit(Resource::Nofile, wider) {
        tracing::debug!("the limit of open files stays as it is: {error}");
    }
}

fn standard_input(
    formats: &Formats,
    stop: &Arc<AtomicBool>,
    bar: &ProgressBar,
) -> Result<Source, String> {
    let own = io::stdin().as_fd().try_clone_to_owned();
    pipe(
        own.map_err(|error| said(&error))?.into(),
        formats,
        stop,
        bar,
    )
}

/// A file by its name; `None` where it was opened already.
fn file(
    path: &Path,
    is_named: bool,
    seen: &mut HashSet<(u64, u64)>,
    formats: &Formats,
    stop: &Arc<AtomicBool>,
    bar: &ProgressBar,
) -> Result<Option<Source>, String> {
    let said = |error: io::Error| said(&error);
    // To open a device may already do something.
    check(&path.metadata().map_err(said)?, is_named)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: File = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| said(error.into()))?
        .into();
    let meta = file.metadata().map_err(said)?;
    check(&meta, is_named)?;
    if !seen.insert((meta.dev(), meta.ino())) {
        return Ok(None);
    }
    if meta.file_type().is_fifo() {
        return pipe(file, formats, stop, bar).map(Some);
    }
    stored(file, meta.len(), formats).map(Some)
}

/// Whether such a file is read.
fn check(meta: &std::fs::Metadata, is_named: bool) -> Result<(), String> {
    let kind = meta.file_type();
    let why = if kind.is_file() || (kind.is_fifo() && is_named) {
        return Ok(());
    } else if kind.is_fifo() {
        "it is a pipe: name it by itself to have it read"
    } else if kind.is_dir() {
        "it is a directory within one: name it by itself"
    } else if kind.is_socket() {
        "it is a socket: no log can be read from it"
    } else {
        "it is a device: of devices only standard input is read, as '-'"
    };
    Err(why.to_owned())
}

fn stored(file: File, size: u64, formats: &Formats) -> Result<Source, String> {
    let file = Arc::new(file);
    let mut mark = [0; Packing::MARK];
    let length = read_at(&file, &mut mark, 0).map_err(|error| said(&error))?;
    let packing = Packing::of(mark.get(..length).unwrap_or_default());
    let whole = Stored::new(Arc::clone(&file), size, ProgressBar::hidden());
    let mut head = Vec::new();
    let read = packing
        .unpack(whole)
        .and_then(|from| from.take(SAMPLE as u64).read_to_end(&mut head));
    let sort = sort::sort(&head, formats);
    if let (Err(error), None) = (&read, sort) {
        return Err(fault(packing, error));
    }
    let last = sort.filter(|_| packing == Packing::Plain).and_then(|sort| {
        let start = size.saturating_sub(SAMPLE as u64);
        let mut tail = Vec::new();
        let mut from = Stored::new(Arc::clone(&file), size, ProgressBar::hidden());
        from.at = start;
        // What cannot be read here cannot be read later either, and is told then.
        from.read_to_end(&mut tail).ok()?;
        sort::last_time(whole_lines(&tail, start == 0), sort, formats)
    });
    Ok(Source {
        name: String::new(),
        sort,
        first: sort.and_then(|sort| sort::first_time(&head, sort, formats)),
        last,
        from: From::File {
            file,
            size,
            packing,
        },
    })
}

fn pipe(
    file: File,
    formats: &Formats,
    stop: &Arc<AtomicBool>,
    bar: &ProgressBar,
) -> Result<Source, String> {
    let read = Arc::new(AtomicU64::new(0));
    let mut live = Live {
        file,
        stop: Arc::clone(stop),
        read: Arc::clone(&read),
        bar: bar.clone(),
    };
    let mut mark = Vec::new();
    let marked = (&mut live)
        .take(Packing::MARK as u64)
        .read_to_end(&mut mark);
    if let (Err(error), true) = (marked, mark.is_empty()) {
        return Err(said(&error));
    }
    let packing = Packing::of(&mark);
    let mut rest = packing
        .unpack(io::Cursor::new(mark).chain(live))
        .map_err(|error| fault(packing, &error))?;
    let mut head = Vec::new();
    let mut failed = None;
    // Who writes slowly has written enough with so many lines.
    let mut part = vec![0; 4096];
    let mut lines = 0;
    while head.len() < SAMPLE && lines < sort::LINES_LOOKED_AT {
        match rest.read(&mut part) {
            Ok(0) => break,
            Ok(length) => {
                let part = part.get(..length).unwrap_or_default();
                lines += memchr::memchr_iter(b'\n', part).count();
                head.extend_from_slice(part);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let sort = sort::sort(&head, formats);
    if let Some(error) = failed {
        if sort.is_none() {
            return Err(fault(packing, &error));
        }
        rest = Box::new(Failing(Some(error)));
    }
    Ok(Source {
        name: String::new(),
        sort,
        first: sort.and_then(|sort| sort::first_time(&head, sort, formats)),
        last: None,
        from: From::Pipe {
            head,
            rest,
            packing,
            read,
        },
    })
}

/// The end of a log from where its first whole line begins.
pub(super) fn whole_lines(tail: &[u8], is_whole: bool) -> &[u8] {
    match memchr::memchr(b'\n', tail) {
        Some(end) if !is_whole => tail.get(end + 1..).unwrap_or_default(),
        _ => tail,
    }
}

/// What is wrong with what is packed.
pub(super) fn fault(packing: Packing, error: &io::Error) -> String {
    if packing == Packing::Plain || error.raw_os_error().is_some() {
        return said(error);
    }
    let packed = packing.as_str();
    match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("its {packed} data is cut off"),
        _ => format!("its {packed} data is corrupt ({error})"),
    }
}

/// Reads from a place as far as there is something.
pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read_at(free, at + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A file up to where it ended when it was opened, whatever others read of it meanwhile.
pub(super) struct Stored {
    file: Arc<File>,
    at: u64,
    end: u64,
    bar: ProgressBar,
}

impl Stored {
    pub(super) fn new(file: Arc<File>, end: u64, bar: ProgressBar) -> Self {
        Self {
            file,
            at: 0,
            end,
            bar,
        }
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let length = self
            .file
            .read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += length as u64;
        self.bar.inc(length as u64);
        Ok(length)
    }
}

/// A pipe, which ends when it ends or when it shall.
struct Live {
    file: File,
    stop: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
    bar: ProgressBar,
}

impl Read for Live {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(0);
            }
            let mut waited = [PollFd::new(&self.file, PollFlags::IN)];
            match rustix::event::poll(&mut waited, Some(&TICK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            match self.file.read(buffer) {
                Ok(length) => {
                    self.read.fetch_add(length as u64, Ordering::Relaxed);
                    self.bar.inc(length as u64);
                    return Ok(length);
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Says once more what went wrong, and ends.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
