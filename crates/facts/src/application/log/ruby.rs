//! The logs of Puma (5.6.5) and Unicorn (6.0.0), both on Ruby 3.1, as their runs wrote them.
//!
//! Puma dates none of its lines but the last, and never says that a worker ended: it says that another one has taken its
//! place.

use bstr::ByteSlice as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Exit, Said, What, fatal, reading, seconds};
use crate::text::{holes, number, owned};

/// Puma's lines (`lib/puma/cluster.rb`, `lib/puma/binder.rb`; those of other versions are marked).
pub(super) fn puma(line: &[u8]) -> Option<Said> {
    if let Some(crash) = crashed(line) {
        return Some(crash);
    }
    // Each line begins with `[PID] ` in a cluster.
    let (pid, message) = match holes(line, "[{}] {}") {
        Some([pid, message]) => (number(pid), message),
        None => (None, line),
    };
    let said = of_pumas_worker(message).or_else(|| of_pumas_master(message).map(Said::new))?;
    Some(Said { pid, ..said })
}

fn of_pumas_worker(message: &[u8]) -> Option<Said> {
    if let Some([_, worker, _]) = holes(message, "- Worker {} (PID: {}) booted{}") {
        return Said::of_worker(worker, What::WorkerStarted);
    }
    // "for phased upgrade" until 5, "for phased upgrade..." and a reason later on.
    if let Some([worker, _]) = holes(message, "- Stopping {} for {}") {
        return Said::of_worker(worker, What::WorkerStopping);
    }
    let [why] = holes(message, "! Terminating timed out worker{}")?;
    // `: 34` until 4; ` (worker failed to check in within 60 seconds): 34`; since 6 `Worker 0 failed to ...`.
    let (why, worker) = why.rsplit_once_str(": ")?;
    let after =
        holes(why, "{} failed to check in within {} second").and_then(|[_, took]| seconds(took));
    Said::of_worker(
        worker,
        What::WorkerTimeout {
            after,
            request: None,
        },
    )
}

fn of_pumas_master(message: &[u8]) -> Option<What> {
    for form in ["* Listening on {}", "* Inherited {}"] {
        if let Some([address]) = holes(message, form) {
            return Some(What::Listening {
                addresses: vec![owned(address)],
            });
        }
    }
    if message.starts_with(b"Puma starting") || message.starts_with(b"* Puma starting") {
        return Some(What::Starting);
    }
    if message.starts_with(b"- Gracefully shutting down")
        || message.starts_with(b"- Gracefully stopping")
        || message.starts_with(b"=== puma shutdown: ")
    {
        return Some(What::ShuttingDown);
    }
    // Ruby's own text of the error that ends the start (`binder.rb` calls `TCPServer.new`).
    let [what] = holes(message, "{} (Errno::E")?;
    let address = holes(what, "{} - bind(2) for {}").map(|[_, address]| {
        let words: Vec<&[u8]> = address.split_str("\"").collect();
        owned(words.get(1).copied().unwrap_or(address))
    });
    let errno = match message.rsplit_once_str("(Errno::")?.1 {
        b"EADDRINUSE)" => Some(98),
        b"EADDRNOTAVAIL)" => Some(99),
        b"EACCES)" => Some(13),
        _ => return None,
    };
    Some(What::BindFailed { address, errno })
}

/// The place of a Puma worker that a line says has started, and the phase in which it has. Who has the same place in the
/// same phase comes after one that ended: a phased restart begins another phase.
pub(super) fn place(text: &str) -> Option<(String, String)> {
    let [_, place, _, phase] = holes(text.as_bytes(), "{}- Worker {} (PID: {}) booted{}")?;
    let phase = holes(phase, "{}phase: {}").map_or_else(String::new, |[_, phase]| owned(phase));
    Some((owned(place), phase))
}

/// The only line that has a time: `=== puma shutdown: 2026-11-26 18:33:35 +0000 ===`.
pub(super) fn puma_stamp(line: &[u8]) -> Option<Timestamp> {
    let [_, stamp] = holes(line, "{}=== puma shutdown: {} ===")?;
    Timestamp::strptime("%Y-%m-%d %H:%M:%S %z", stamp).ok()
}

/// `E, [2026-11-26T18:32:41.090141 #5510] ERROR -- : worker=1 PID:5904 timeout (4s > 3s), killing`
/// (`lib/unicorn/http_server.rb`).
pub(super) fn unicorn(line: &[u8]) -> Option<Said> {
    if let Some(crash) = crashed(line) {
        return Some(crash);
    }
    let [_, pid, _, message] = holes(line, "{}, [{}]{} -- : {}")?;
    let pid = pid.rsplit_once_str("#").and_then(|(_, pid)| number(pid));
    let said =
        of_unicorns_worker(message).or_else(|| of_unicorns_master(message).map(Said::new))?;
    Some(Said { pid, ..said })
}

fn of_unicorns_worker(message: &[u8]) -> Option<Said> {
    if let Some([_, worker, took]) = holes(message, "worker={} PID:{} timeout ({}s > ") {
        return Said::of_worker(
            worker,
            What::WorkerTimeout {
                after: seconds(took),
                request: None,
            },
        );
    }
    if let Some([worker, status]) = holes(message, "reaped #<Process::Status: pid {} {}>") {
        return Said::of_worker(
            worker,
            What::WorkerExited {
                how: ruby_status(status),
                after_timeout: false,
            },
        );
    }
    let [_, worker] = holes(message, "worker={} spawned pid={}")?;
    Said::of_worker(worker, What::WorkerStarted)
}

fn of_unicorns_master(message: &[u8]) -> Option<What> {
    for form in ["listening on addr={} fd=", "inherited addr={} fd="] {
        if let Some([address]) = holes(message, form) {
            return Some(What::Listening {
                addresses: vec![owned(address)],
            });
        }
    }
    if let Some([address]) = holes(message, "adding listener failed addr={} (in use)") {
        return Some(What::BindFailed {
            address: Some(owned(address)),
            errno: Some(98),
        });
    }
    if message.starts_with(b"master process ready") {
        return Some(What::Ready);
    }
    message
        .starts_with(b"master complete")
        .then_some(What::ShuttingDown)
}

pub(super) fn unicorn_stamp(line: &[u8], zone: &TimeZone) -> Option<Timestamp> {
    let [_, stamp] = holes(line, "{}, [{} #")?;
    reading("%Y-%m-%dT%H:%M:%S%.f", stamp, zone)
}

/// Ruby itself, before it aborts: `config.ru:5: [BUG] Segmentation fault at 0x0000000000001b36` (`signal.c`).
fn crashed(line: &[u8]) -> Option<Said> {
    const WORDS: [&str; 3] = [
        "Segmentation fault at ",
        "Bus Error at ",
        "Illegal instruction",
    ];
    // A line of code, or the title of the process where none was being run.
    let (_, what) = line.split_once_str(": [BUG] ")?;
    let is_crash = WORDS.iter().any(|word| what.starts_with(word.as_bytes()));
    is_crash.then(|| fatal(line))
}

/// `exit 1` or `SIGKILL (signal 9)`.
fn ruby_status(status: &[u8]) -> Exit {
    let signal = holes(status, "{}(signal {})")
        .and_then(|[_, signal]| number(signal))
        .map(Exit::Signal);
    let code = || {
        holes(status, "exit {}")
            .and_then(|[code]| number(code))
            .map(Exit::Code)
    };
    signal.or_else(code).unwrap_or(Exit::Unknown)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{AppEvent, event, events};
    use super::*;
    use crate::application::Kind;

    /// SIGKILL of an idle worker, SIGSTOP of the other until its time-out, a phased restart, a restart in place, the end.
    const PUMA: &[u8] = include_bytes!("../../../testdata/log/puma-5.6.5.log");
    /// A SIGKILL, an exit status, an exception, a time-out, a crash of Ruby's, a reload, a new master, the ends of both.
    const UNICORN: &[u8] = include_bytes!("../../../testdata/log/unicorn-6.0.0.log");

    fn what(kind: Kind, line: &str) -> Option<What> {
        event(kind, line.as_bytes(), &TimeZone::UTC, None).map(|event| event.what)
    }

    fn died(how: Exit) -> What {
        What::WorkerExited {
            how,
            after_timeout: false,
        }
    }

    fn of_workers(events: &[AppEvent]) -> Vec<(u32, &What)> {
        let of_worker = |event: &'_ AppEvent| event.worker;
        events
            .iter()
            .filter_map(|event| Some((of_worker(event)?, &event.what)))
            .filter(|(_, what)| !matches!(what, What::WorkerStarted))
            .collect()
    }

    #[test]
    fn a_puma_worker_ended_when_another_takes_its_place_unasked() {
        let read = events(Kind::Puma, PUMA, &TimeZone::UTC);
        let timeout = What::WorkerTimeout {
            after: Some(Duration::from_secs(6)),
            request: None,
        };
        let ended = What::WorkerExited {
            how: Exit::Unknown,
            after_timeout: true,
        };
        assert_eq!(
            of_workers(&read),
            [
                (8170, &died(Exit::Unknown)),
                (8171, &timeout),
                (8171, &ended),
                (8233, &What::WorkerStopping),
                (8775, &What::WorkerStopping),
            ]
        );
        let successors: Vec<_> = read.iter().filter_map(|event| event.successor).collect();
        assert_eq!(successors, [8233, 8775, 8775]);
    }

    #[test]
    fn puma_dates_its_end_alone() {
        let read = events(Kind::Puma, PUMA, &TimeZone::UTC);
        let dated: Vec<_> = read.iter().filter_map(|event| event.at).collect();
        assert_eq!(dated, ["2026-11-26T18:33:35Z".parse().unwrap()]);
    }

    #[test]
    fn pumas_time_outs_are_read_in_every_versions_words() {
        let minute = Some(Duration::from_mins(1));
        for (words, after) in [
            ("! Terminating timed out worker: 34", None),
            (
                "! Terminating timed out worker (worker failed to check in within 60 seconds): 34",
                minute,
            ),
            (
                "! Terminating timed out worker (Worker 0 failed to check in within 60 seconds): 34",
                minute,
            ),
            (
                "! Terminating timed out worker (Worker 0 failed to boot within 60 seconds): 34",
                None,
            ),
        ] {
            let line = format!("[12] {words}");
            let event = event(Kind::Puma, line.as_bytes(), &TimeZone::UTC, None).unwrap();
            assert_eq!((event.pid, event.worker), (Some(12), Some(34)), "{words}");
            assert_eq!(
                event.what,
                What::WorkerTimeout {
                    after,
                    request: None
                },
                "{words}"
            );
        }
    }

    #[test]
    fn pumas_other_lines_are_read() {
        assert_eq!(
            what(Kind::Puma, "* Listening on unix:///run/shop.sock"),
            Some(What::Listening {
                addresses: vec!["unix:///run/shop.sock".to_owned()]
            })
        );
        let line = "/usr/lib/ruby/gems/puma-5.6.5/lib/puma/binder.rb:340:in `initialize': Address already in use - bind(2) for \"127.0.0.1\" port 9301 (Errno::EADDRINUSE)";
        assert_eq!(
            what(Kind::Puma, line),
            Some(What::BindFailed {
                address: Some("127.0.0.1".to_owned()),
                errno: Some(98)
            })
        );
        for line in [
            "[12] - Goodbye!",
            "2026-11-26 18:29:45 +0000 Rack app (\"GET /boom\" - (127.0.0.1)): #<RuntimeError: boom>",
            "[12] - TERM sent to 34...",
            "shop.rb: [BUG] the basket is empty",
        ] {
            assert_eq!(what(Kind::Puma, line), None, "{line}");
        }
    }

    #[test]
    fn rubys_crash_is_fatal() {
        let line = "config.ru:5: [BUG] Segmentation fault at 0x0000000000001b36";
        for kind in [Kind::Puma, Kind::Unicorn] {
            let message = line.to_owned();
            assert_eq!(what(kind, line), Some(What::FatalError { message }));
        }
    }

    #[test]
    fn unicorn_says_how_each_worker_ended() {
        let read = events(Kind::Unicorn, UNICORN, &TimeZone::UTC);
        let ends = of_workers(&read);
        let timeout = What::WorkerTimeout {
            after: Some(Duration::from_secs(4)),
            request: None,
        };
        let killed = What::WorkerExited {
            how: Exit::Signal(9),
            after_timeout: true,
        };
        assert_eq!(
            ends.get(..5),
            Some(
                &[
                    (5564, &died(Exit::Signal(9))),
                    (5565, &died(Exit::Code(3))),
                    (5904, &timeout),
                    (5904, &killed),
                    (6966, &died(Exit::Signal(6))),
                ][..]
            )
        );
        // Those of the reload and of the two masters' ends.
        assert!(
            ends.iter()
                .skip(5)
                .all(|(_, what)| **what == died(Exit::Code(0)))
        );
        let of_master = read
            .iter()
            .find(|event| event.worker == Some(5564) && event.what != What::WorkerStarted);
        let event = of_master.unwrap();
        assert_eq!(event.pid, Some(5510));
        assert_eq!(
            event.at,
            Some("2026-11-26T18:32:32.793723Z".parse().unwrap())
        );
    }

    #[test]
    fn unicorns_sockets_are_read() {
        let line = |text: &str| format!("I, [2026-11-26T18:32:47.091532 #7183]  INFO -- : {text}");
        let listening = |address: &str| {
            Some(What::Listening {
                addresses: vec![address.to_owned()],
            })
        };
        for text in [
            "listening on addr=127.0.0.1:9302 fd=7",
            "inherited addr=127.0.0.1:9302 fd=7",
        ] {
            assert_eq!(
                what(Kind::Unicorn, &line(text)),
                listening("127.0.0.1:9302")
            );
        }
    }
}
