//! What an application's own log says of its workers, its sockets and the requests it refused.
//!
//! The texts are those of the named versions' sources; each was seen in a real run unless its comment says otherwise.
//! An application may print what its clients send: a line here is a hint until something else agrees.

mod fpm;
mod gunicorn;
mod java;
mod other;
mod ruby;
mod uwsgi;

use std::time::Duration;

use bstr::ByteSlice as _;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Kind;
use crate::text::{number, owned};
use crate::zone::Instants;

/// Longer lines are shown cut.
const SHOWN_BYTES: usize = 500;
/// How far back an event looks for what it belongs to: more than an application has workers.
const RECENT: usize = 512;

/// Something that an application's log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppEvent {
    /// When: from the line, or the journal; a whole second unless the journal tells more finely.
    pub at: Option<Timestamp>,
    /// For a line without a time: the last time seen before it in the file.
    pub not_before: Option<Timestamp>,
    /// For a line without a time: the next time seen after it in the file.
    pub not_after: Option<Timestamp>,
    /// Who wrote it, where the line says so.
    pub pid: Option<u32>,
    /// The worker that it speaks of.
    pub worker: Option<u32>,
    /// Of a worker that ended, or was ended for its time: who took its place, and started at once, where that is how the
    /// log tells of its end.
    pub successor: Option<u32>,
    /// The php-fpm pool that it speaks of.
    pub pool: Option<String>,
    /// What happened.
    pub what: What,
    /// The line.
    pub text: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The application ends a worker because it took too long.
    WorkerTimeout {
        /// How long it took, where the line says so.
        after: Option<Duration>,
        /// The request, where the line says so.
        request: Option<String>,
    },
    /// A worker ended.
    WorkerExited {
        /// How.
        how: Exit,
        /// Whether the application had ended it for a time-out just before.
        after_timeout: bool,
    },
    /// A worker says that it will end.
    WorkerStopping,
    /// A worker started.
    WorkerStarted,
    /// The application starts.
    Starting,
    /// It listens.
    Listening {
        /// The addresses as it writes them.
        addresses: Vec<String>,
    },
    /// It takes requests.
    Ready,
    /// It got a signal, such as `term` or `hup`.
    Signal {
        /// As it writes it.
        name: String,
    },
    /// It ends.
    ShuttingDown,
    /// It could not listen.
    BindFailed {
        /// The address as it writes it.
        address: Option<String>,
        /// Why, where the line says so: 98 is an address in use.
        errno: Option<i32>,
    },
    /// php-fpm runs as many children as it may.
    MaxChildren {
        /// How many that is.
        limit: Option<u32>,
    },
    /// Connections wait to be accepted, more than may.
    QueueFull,
    /// A request takes long.
    RequestSlow {
        /// How long so far.
        after: Option<Duration>,
        /// The request.
        request: Option<String>,
    },
    /// A request was not understood or is too large.
    RequestRejected {
        /// In the application's words.
        reason: String,
    },
    /// A request ended in an error of the program.
    RequestFailed,
    /// An error that ends a request or the program.
    FatalError {
        /// In the application's words.
        message: String,
    },
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By a signal.
    Signal(i32),
    /// With an exit status.
    Code(i32),
    /// The line does not say.
    Unknown,
}

/// What a line's text says, before its time.
struct Said {
    pid: Option<u32>,
    worker: Option<u32>,
    pool: Option<String>,
    what: What,
}

impl Said {
    fn new(what: What) -> Self {
        Self {
            pid: None,
            worker: None,
            pool: None,
            what,
        }
    }

    fn of_worker(pid: &[u8], what: What) -> Option<Self> {
        Some(Self {
            worker: Some(number(pid)?),
            ..Self::new(what)
        })
    }
}

/// The events of a log file, in its order. Times without a zone are read in `zone`, the application's.
pub fn events(kind: Kind, log: &[u8], zone: &TimeZone) -> Vec<AppEvent> {
    let mut events: Vec<AppEvent> = Vec::new();
    let mut last_time = None;
    for line in log.lines() {
        // The others' lines have a time each, or none has.
        let time = if matches!(kind, Kind::Uwsgi | Kind::Java | Kind::Puma) {
            stamp(kind, line, zone)
        } else {
            None
        };
        if let Some(time) = time {
            for event in events
                .iter_mut()
                .rev()
                .take_while(|event| event.at.is_none() && event.not_after.is_none())
            {
                event.not_after = Some(time);
            }
            last_time = Some(time);
        }
        if let Some(mut event) = event(kind, line, zone, None) {
            if event.at.is_none() {
                event.not_before = last_time;
            }
            add(&mut events, event);
        }
    }
    events
}

/// The event of one line; `at` is the journal's time of it and goes before the line's own.
pub fn event(kind: Kind, line: &[u8], zone: &TimeZone, at: Option<Timestamp>) -> Option<AppEvent> {
    let line = line.trim_end();
    let said = match kind {
        Kind::Gunicorn | Kind::Hypercorn => gunicorn::said(line),
        Kind::PhpFpm => fpm::said(line),
        Kind::Uwsgi => uwsgi::said(line),
        Kind::Uvicorn => other::uvicorn(line),
        Kind::Node => other::node(line),
        Kind::Puma => ruby::puma(line),
        Kind::Unicorn => ruby::unicorn(line),
        Kind::Java => java::java(line),
        Kind::PythonHttpServer => None,
    }?;
    Some(AppEvent {
        at: at.or_else(|| stamp(kind, line, zone)),
        not_before: None,
        not_after: None,
        pid: said.pid,
        worker: said.worker,
        successor: None,
        pool: said.pool,
        what: said.what,
        text: owned(line.get(..SHOWN_BYTES).unwrap_or(line)),
    })
}

/// Adds an event to those of the same log: an exit said twice (gunicorn 21 to 23) counts once, one that follows the
/// worker's time-out is that time-out's end, and Puma's worker whose place another takes has ended.
pub fn add(events: &mut Vec<AppEvent>, event: AppEvent) {
    if let Some(ended) = replaced(events, &event) {
        push(events, ended);
    }
    name_successor(events, &event);
    push(events, event);
}

/// Tells uWSGI's worker that ended, in a line without a time, who took its place.
fn name_successor(events: &mut [AppEvent], new: &AppEvent) {
    if new.what != What::WorkerStarted {
        return;
    }
    let Some(place) = uwsgi::place(&new.text) else {
        return;
    };
    let recent = || events.iter().rev().take(RECENT);
    let is_same_place = |event: &&AppEvent| uwsgi::place(&event.text).as_ref() == Some(&place);
    let Some(before) = recent().find(is_same_place).and_then(|event| event.worker) else {
        return;
    };
    let mut ended = events.iter_mut().rev().take(RECENT).filter(|event| {
        matches!(event.what, What::WorkerExited { .. }) && event.worker == Some(before)
    });
    if let Some(ended) = ended.next() {
        ended.successor = new.worker;
    }
}

/// The end of the worker whose place a new one takes, unless it was told to go.
fn replaced(events: &[AppEvent], new: &AppEvent) -> Option<AppEvent> {
    if new.what != What::WorkerStarted {
        return None;
    }
    let place = ruby::place(&new.text)?;
    let this_run = events
        .iter()
        .rev()
        .take(RECENT)
        .take_while(|event| event.what != What::Starting);
    let is_same_place = |event: &&AppEvent| {
        event.what == What::WorkerStarted && ruby::place(&event.text).as_ref() == Some(&place)
    };
    let before = this_run.clone().find(is_same_place)?;
    let is_told =
        |event: &AppEvent| event.worker == before.worker && event.what == What::WorkerStopping;
    (before.worker != new.worker && !this_run.clone().any(is_told)).then(|| AppEvent {
        worker: before.worker,
        successor: new.worker,
        what: What::WorkerExited {
            how: Exit::Unknown,
            after_timeout: false,
        },
        ..new.clone()
    })
}

fn push(events: &mut Vec<AppEvent>, mut event: AppEvent) {
    if let What::WorkerExited { how, after_timeout } = &mut event.what {
        let mut earlier = events.iter_mut().rev().take(RECENT);
        let last = earlier.find(|other| {
            other.worker.is_some()
                && other.worker == event.worker
                && !matches!(other.what, What::WorkerStopping)
        });
        match last.as_deref().map(|other| &other.what) {
            Some(What::WorkerTimeout { .. }) => *after_timeout = true,
            // uWSGI says what it was, then that it died.
            Some(What::WorkerExited { how: before, .. })
                if *before == *how || *how == Exit::Unknown =>
            {
                return;
            }
            _ => {}
        }
        // Puma writes no time to its time-out either.
        if let Some(timeout) = last.filter(|_| *after_timeout) {
            timeout.successor = event.successor;
        }
    }
    events.push(event);
}

/// The time that a line begins with, or that its kind writes elsewhere.
fn stamp(kind: Kind, line: &[u8], zone: &TimeZone) -> Option<Timestamp> {
    match kind {
        Kind::Gunicorn | Kind::Hypercorn => gunicorn::stamp(line),
        Kind::PhpFpm => fpm::stamp(line, zone),
        Kind::Uwsgi => uwsgi::stamp(line, zone),
        Kind::Unicorn => ruby::unicorn_stamp(line, zone),
        Kind::Puma => ruby::puma_stamp(line),
        Kind::Java => java::stamp(line, zone),
        Kind::Uvicorn | Kind::Node | Kind::PythonHttpServer => None,
    }
}

/// A wall clock reading in one of strptime's formats, in a zone. Of a reading that comes twice a year, the earlier.
fn reading(format: &str, text: &[u8], zone: &TimeZone) -> Option<Timestamp> {
    let reading = DateTime::strptime(format, text).ok()?;
    Instants::of(zone, reading).map(|instants| instants.earlier)
}

/// An error that ends its process, in the line's own words.
fn fatal(line: &[u8]) -> Said {
    Said::new(What::FatalError {
        message: owned(line),
    })
}

/// The number of a signal by its name.
fn signal(name: &[u8]) -> Option<i32> {
    const NAMES: [(&str, i32); 16] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        ("SYS", 31),
    ];
    let name = name.strip_prefix(b"SIG").unwrap_or(name);
    NAMES
        .iter()
        .find(|(known, _)| known.as_bytes() == name)
        .map(|&(_, number)| number)
}

/// A duration in seconds with a fraction.
fn seconds(text: &[u8]) -> Option<Duration> {
    Duration::try_from_secs_f64(number(text)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_journals_time_goes_before_the_lines() {
        let line = b"[2026-11-21 03:40:36 +0000] [9695] [CRITICAL] WORKER TIMEOUT (pid:9745)";
        let at = "2026-11-21T03:40:36.123Z".parse().unwrap();
        let event = event(Kind::Gunicorn, line, &TimeZone::UTC, Some(at)).unwrap();
        assert_eq!(event.at, Some(at));
        assert_eq!((event.pid, event.worker), (Some(9695), Some(9745)));
    }

    #[test]
    fn another_kinds_lines_say_nothing() {
        let line = b"DAMN ! worker 1 (pid: 9727) died, killed by signal 9 :( trying respawn ...";
        assert!(event(Kind::Gunicorn, line, &TimeZone::UTC, None).is_none());
        assert!(event(Kind::Java, line, &TimeZone::UTC, None).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            for kind in Kind::ALL {
                events(kind, &bytes, &TimeZone::UTC);
            }
        }

        #[test]
        fn any_rest_of_a_line_is_read_without_a_panic(rest in "[ -~]{0,40}", start in 0usize..11) {
            const STARTS: [&str; 11] = [
                "[2026-11-21 03:40:36 +0000] [9695] [INFO] ",
                "[2026-11-21 03:40:36 +9999] [9695] [INFO] Worker (pid:",
                "[21-Nov-2026 03:40:50] WARNING: [pool www] child 1",
                "[21-Nov-2026 03:40:50.99] WARNING: ",
                "Sat Nov 21 03:40:38 2026 - ",
                "DAMN ! worker 1 (pid: ",
                "INFO:     ",
                "[12] - Worker 0 (PID: ",
                "26-Nov-2026 18:34:29.527 INFO [main] ",
                "E, [2026-11-21T02:00:00.123456 #123] ERROR -- : worker=",
                "Error: listen ",
            ];
            let line = format!("{}{rest}\n", STARTS[start]);
            for kind in Kind::ALL {
                events(kind, line.as_bytes(), &TimeZone::UTC);
            }
        }
    }
}
