//! uWSGI's log (`core/master_checks.c`, `core/master.c`, `core/utils.c`, `core/socket.c`, `core/protocol.c`,
//! `proto/uwsgi.c` of 2.0.21). Most of its lines have no time.

use bstr::ByteSlice as _;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Exit, Said, What, reading};
use crate::text::{holes, number, owned};

/// `ctime` without its line end, as `uwsgi_log_verbose` and `--logdate` put it first.
const STAMP: &str = "%a %b %e %H:%M:%S %Y";
/// Its length.
const STAMP_LENGTH: usize = 24;

pub(super) fn said(line: &[u8]) -> Option<Said> {
    let message = split(line).map_or(line, |(_, message)| message);
    if let Some(said) = of_worker(message) {
        return Some(said);
    }
    if let Some([address]) = holes(
        message,
        "probably another instance of uWSGI is running on the same address ({}).",
    ) {
        return Some(Said::new(What::BindFailed {
            address: Some(owned(address)),
            errno: Some(98),
        }));
    }
    of_master(message).map(Said::new)
}

/// A line's own time, that of the start, or when the request of a line ended
/// (`[pid: 1|app: 0|req: 1/1] ... [STAMP] GET / => generated 3 bytes in 5 msecs (...`): its stamp is that of its start
/// (`uwsgi_log_request`).
pub(super) fn stamp(line: &[u8], zone: &TimeZone) -> Option<Timestamp> {
    if let Some((stamp, _)) = split(line) {
        return reading(STAMP, stamp, zone);
    }
    if let Some([_, stamp]) = holes(line, "*** Starting uWSGI {} on [{}]") {
        return reading(STAMP, stamp, zone);
    }
    let [_, rest] = holes(line, "[pid: {}] {}")?;
    let (_, rest) = rest.split_once_str("} [")?;
    let started = reading(STAMP, rest.get(..STAMP_LENGTH)?, zone)?;
    Some(started.checked_add(took(rest)).unwrap_or(started))
}

/// How long the request of a line took; what a client sends stands before it.
fn took(line: &[u8]) -> SignedDuration {
    let took = line.rsplit_once_str(" msecs (").and_then(|(before, _)| {
        let (_, msecs) = before.rsplit_once_str(" ")?;
        number(msecs)
    });
    SignedDuration::from_millis(took.unwrap_or(0))
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (stamp, rest) = line.split_at_checked(STAMP_LENGTH)?;
    let is_stamp = stamp.get(13) == Some(&b':') && stamp.get(16) == Some(&b':');
    is_stamp.then_some((stamp, rest.strip_prefix(b" - ")?))
}

/// The place of a worker that a line says has started or ended: its number.
pub(super) fn place(text: &str) -> Option<String> {
    let forms = ["{}pawned uWSGI worker {} (", "{}DAMN ! worker {} (pid: "];
    forms.iter().find_map(|form| {
        let [_, place] = holes(text.as_bytes(), form)?;
        Some(owned(place))
    })
}

fn of_worker(message: &[u8]) -> Option<Said> {
    // 2.0.22 adds `, graceful: yes` behind the try.
    if let Some([_, pid]) = holes(message, "*** HARAKIRI ON WORKER {} (pid: {}, ") {
        return Said::of_worker(
            pid,
            What::WorkerTimeout {
                after: None,
                request: None,
            },
        );
    }
    for form in [
        "DAMN ! worker {} (pid: {}) died, killed by signal {} ",
        "DAMN ! worker {} (pid: {}) MISTERIOUSLY killed by signal {} ",
    ] {
        if let Some([_, pid, signal]) = holes(message, form) {
            return exited(pid, number(signal).map_or(Exit::Unknown, Exit::Signal));
        }
    }
    if let Some([_, pid]) = holes(message, "DAMN ! worker {} (pid: {}) died ") {
        return exited(pid, Exit::Unknown);
    }
    if let Some([pid]) = holes(message, "!!! uWSGI process {} got Segmentation Fault !!!") {
        return exited(pid, Exit::Signal(11));
    }
    for form in [
        "Respawned uWSGI worker {} (new pid: {})",
        "spawned uWSGI worker {} (pid: {},",
    ] {
        if let Some([_, pid]) = holes(message, form) {
            return Said::of_worker(pid, What::WorkerStarted);
        }
    }
    let [_, pid] = holes(message, "Gracefully killing worker {} (pid: {})")?;
    Said::of_worker(pid, What::WorkerStopping)
}

fn exited(pid: &[u8], how: Exit) -> Option<Said> {
    Said::of_worker(
        pid,
        What::WorkerExited {
            how,
            after_timeout: false,
        },
    )
}

fn of_master(message: &[u8]) -> Option<What> {
    if message.starts_with(b"*** Starting uWSGI ") {
        return Some(What::Starting);
    }
    for form in [
        "uwsgi socket {} bound to UNIX address {} fd ",
        "uwsgi socket {} bound to TCP address {} fd ",
        "uwsgi socket {} bound to TCP6 address {} fd ",
        "uwsgi socket {} inherited UNIX address {} fd ",
        "uwsgi socket {} inherited INET address {} fd ",
    ] {
        if let Some([_, address]) = holes(message, form) {
            return Some(What::Listening {
                addresses: vec![owned(address)],
            });
        }
    }
    if let Some([why]) = holes(message, "bind(): {}") {
        return Some(What::BindFailed {
            address: None,
            errno: bind_errno(why),
        });
    }
    let is_rejection = message.starts_with(b"invalid request block size: ")
        || message.starts_with(b"invalid HTTP request size ")
        || message.starts_with(b"invalid uwsgi request ");
    if is_rejection {
        return Some(What::RequestRejected {
            reason: owned(message),
        });
    }
    if message.starts_with(b"*** uWSGI listen queue of socket ") {
        return Some(What::QueueFull);
    }
    let is_fatal = message.starts_with(b"*** no app loaded.")
        || message.starts_with(b"OOPS ! failed loading app in worker ")
        || message.starts_with(b"--- no python application found");
    if is_fatal {
        return Some(What::FatalError {
            message: owned(message),
        });
    }
    let is_end = message.starts_with(b"SIGINT/SIGTERM received...")
        || message.starts_with(b"SIGINT/SIGQUIT received...")
        || message.starts_with(b"...brutally killing workers...")
        || message.starts_with(b"goodbye to uWSGI.");
    if is_end {
        return Some(What::ShuttingDown);
    }
    message
        .starts_with(b"...gracefully killing workers...")
        .then(|| What::Signal {
            name: "hup".to_owned(),
        })
}

/// uWSGI writes the C library's text alone.
fn bind_errno(why: &[u8]) -> Option<i32> {
    const TEXTS: [(&str, i32); 4] = [
        ("Address already in use", 98),
        ("Cannot assign requested address", 99),
        ("Permission denied", 13),
        ("No such file or directory", 2),
    ];
    TEXTS
        .iter()
        .find(|(text, _)| why.starts_with(text.as_bytes()))
        .map(|&(_, errno)| errno)
}

#[cfg(test)]
mod tests {
    use super::super::{AppEvent, event, events};
    use super::*;
    use crate::application::Kind;

    /// `--harakiri 2`: a slow request, a segmentation fault, a SIGKILL, `os._exit(7)`, an exception, HTTP on the uwsgi
    /// socket, a request line too long, a reload, the end.
    const LOG: &[u8] = include_bytes!("../../../testdata/log/uwsgi-2.0.21.log");

    fn read() -> Vec<AppEvent> {
        events(Kind::Uwsgi, LOG, &TimeZone::UTC)
    }

    #[test]
    fn a_harakiri_is_a_timeout_and_the_workers_end_follows_from_it() {
        let events = read();
        let at = events
            .iter()
            .position(|event| matches!(event.what, What::WorkerTimeout { .. }))
            .unwrap();
        assert_eq!(events[at].worker, Some(9727));
        assert_eq!(events[at].at, Some("2026-11-21T03:40:38Z".parse().unwrap()));
        assert_eq!(
            events[at + 1].what,
            What::WorkerExited {
                how: Exit::Signal(9),
                after_timeout: true
            }
        );
        assert_eq!(events[at + 1].at, None);
        assert_eq!(events[at + 1].not_before, events[at].at);
    }

    #[test]
    fn whoever_took_the_place_of_a_worker_is_known() {
        let successors: Vec<_> = read()
            .into_iter()
            .filter_map(|event| Some((event.worker?, event.successor?)))
            .collect();
        assert_eq!(
            successors,
            [(9727, 9986), (9986, 10035), (10035, 10077), (10077, 10085)]
        );
    }

    #[test]
    fn deaths_without_a_time_are_bounded_by_the_times_around_them() {
        let died: Vec<_> = read()
            .into_iter()
            .filter(|event| {
                matches!(
                    event.what,
                    What::WorkerExited {
                        after_timeout: false,
                        ..
                    }
                )
            })
            .collect();
        let how: Vec<_> = died
            .iter()
            .map(|event| match event.what {
                What::WorkerExited { how, .. } => how,
                _ => panic!(),
            })
            .collect();
        assert_eq!(how, [Exit::Signal(11), Exit::Signal(9), Exit::Unknown]);
        for event in died {
            assert_eq!(
                event.not_before,
                Some("2026-11-21T03:40:38Z".parse().unwrap())
            );
            assert_eq!(
                event.not_after,
                Some("2026-11-21T03:40:45Z".parse().unwrap())
            );
        }
    }

    #[test]
    fn sockets_rejections_and_starts_are_told() {
        let events = read();
        assert_eq!(events[0].what, What::Starting);
        assert_eq!(events[0].at, Some("2026-11-21T03:40:33Z".parse().unwrap()));
        assert_eq!(
            events[1].what,
            What::Listening {
                addresses: vec!["127.0.0.1:9311".to_owned()]
            }
        );
        let rejected: Vec<_> = events
            .iter()
            .filter_map(|event| match &event.what {
                What::RequestRejected { reason } => Some(reason.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(
            rejected,
            [
                "invalid request block size: 21573 (max 4096)...skip",
                "invalid HTTP request size (max 4096)...skip"
            ]
        );
        assert_eq!(events.last().unwrap().what, What::ShuttingDown);
    }

    #[test]
    fn failed_binds_say_why() {
        let failed = |line: &str| {
            event(Kind::Uwsgi, line.as_bytes(), &TimeZone::UTC, None)
                .unwrap()
                .what
        };
        assert_eq!(
            failed(
                "probably another instance of uWSGI is running on the same address (127.0.0.1:9311)."
            ),
            What::BindFailed {
                address: Some("127.0.0.1:9311".to_owned()),
                errno: Some(98)
            }
        );
        assert_eq!(
            failed("bind(): Address already in use [core/socket.c line 769]"),
            What::BindFailed {
                address: None,
                errno: Some(98)
            }
        );
    }

    #[test]
    fn a_line_with_logdate_is_read_behind_its_time() {
        let line =
            b"Sat Nov  1 02:00:00 2026 - DAMN ! worker 1 (pid: 7) died :( trying respawn ...";
        let event = event(Kind::Uwsgi, line, &TimeZone::UTC, None).unwrap();
        assert_eq!(
            event.what,
            What::WorkerExited {
                how: Exit::Unknown,
                after_timeout: false
            }
        );
    }
}
