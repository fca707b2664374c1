//! gunicorn's error log (`gunicorn/arbiter.py`, `sock.py`, `workers/base.py` of 20.1.0, 21.2.0, 23.0.0 and 27.0.1), and
//! hypercorn's, which has the same form.

use bstr::ByteSlice as _;
use jiff::Timestamp;

use super::{Exit, Said, What, signal};
use crate::text::{holes, number, owned};

/// `[2026-11-21 03:40:36 +0000] [9695] [CRITICAL] WORKER TIMEOUT (pid:9745)` (`glogging.py`).
pub(super) fn said(line: &[u8]) -> Option<Said> {
    let [_, pid, _, message] = holes(line, "[{}] [{}] [{}] {}")?;
    let pid = number(pid)?;
    let said = of_worker(message).or_else(|| of_master(message).map(Said::new))?;
    Some(Said {
        pid: Some(pid),
        ..said
    })
}

pub(super) fn stamp(line: &[u8]) -> Option<Timestamp> {
    let [stamp] = holes(line, "[{}]")?;
    Timestamp::strptime("%Y-%m-%d %H:%M:%S %z", stamp).ok()
}

fn of_worker(message: &[u8]) -> Option<Said> {
    if let Some([pid]) = holes(message, "WORKER TIMEOUT (pid:{})") {
        return Said::of_worker(
            pid,
            What::WorkerTimeout {
                after: None,
                request: None,
            },
        );
    }
    // 21.2 on; 20.1 says nothing of an exit status.
    if let Some([pid, name]) = holes(message, "Worker (pid:{}) was sent {}!") {
        return exited(pid, signal(name).map_or(Exit::Unknown, Exit::Signal));
    }
    if let Some([pid, code]) = holes(message, "Worker (pid:{}) exited with code {}") {
        return exited(
            pid,
            number(code.trim_end_with(|c| c == '.')).map_or(Exit::Unknown, Exit::Code),
        );
    }
    if let Some([pid, number_of_signal]) = holes(
        message,
        "Worker with pid {} was terminated due to signal {}",
    ) {
        return exited(
            pid,
            number(number_of_signal).map_or(Exit::Unknown, Exit::Signal),
        );
    }
    if let Some([pid]) = holes(message, "Worker exiting (pid: {})") {
        return Said::of_worker(pid, What::WorkerStopping);
    }
    let [pid] = holes(message, "Booting worker with pid: {}")?;
    Said::of_worker(pid, What::WorkerStarted)
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
    if message.starts_with(b"Starting gunicorn ") {
        return Some(What::Starting);
    }
    if let Some([addresses]) = holes(message, "Listening at: {}") {
        let addresses = addresses
            .rsplit_once_str(" (")
            .map_or(addresses, |(addresses, _)| addresses);
        let addresses = addresses
            .split_str(",")
            .map(|address| owned(address.trim()))
            .collect();
        return Some(What::Listening { addresses });
    }
    // hypercorn 0.18, each of its workers; that one of them ended it does not say, and ends itself.
    if let Some([address]) = holes(message, "Running on {} (CTRL + C to quit)") {
        return Some(What::Listening {
            addresses: vec![owned(address)],
        });
    }
    if let Some([name]) = holes(message, "Handling signal: {}") {
        return Some(What::Signal { name: owned(name) });
    }
    if message.starts_with(b"Shutting down: ") {
        return Some(What::ShuttingDown);
    }
    if let Some([address]) = holes(message, "Connection in use: {}") {
        return Some(What::BindFailed {
            address: Some(owned(address)),
            errno: Some(98),
        });
    }
    if let Some([address]) = holes(message, "Invalid address: {}") {
        return Some(What::BindFailed {
            address: Some(owned(address)),
            errno: Some(99),
        });
    }
    // 23 on: also after each of the two above.
    if let Some([address, errno]) = holes(message, "connection to {} failed: [Errno {}]") {
        return Some(What::BindFailed {
            address: Some(owned(address)),
            errno: number(errno),
        });
    }
    if let Some([address]) = holes(message, "Can't connect to {}") {
        return Some(What::BindFailed {
            address: Some(owned(address)),
            errno: None,
        });
    }
    if message.starts_with(b"Reason: ") || message.starts_with(b"Exception in worker process") {
        return Some(What::FatalError {
            message: owned(message),
        });
    }
    if message.starts_with(b"Error handling request") {
        return Some(What::RequestFailed);
    }
    // 21.2 on; 20.1 says it at level debug alone.
    if message.starts_with(b"Invalid request from ip=") {
        return Some(What::RequestRejected {
            reason: owned(message),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::super::{AppEvent, events};
    use super::*;
    use crate::application::Kind;

    fn read(log: &[u8]) -> Vec<AppEvent> {
        events(Kind::Gunicorn, log, &TimeZone::UTC)
    }

    fn exits(log: &[u8]) -> Vec<(Exit, bool)> {
        let exit = |event: AppEvent| match event.what {
            What::WorkerExited { how, after_timeout } => Some((how, after_timeout)),
            _ => None,
        };
        read(log).into_iter().filter_map(exit).collect()
    }

    fn count(log: &[u8], wanted: fn(&What) -> bool) -> usize {
        read(log).iter().filter(|event| wanted(&event.what)).count()
    }

    // Each log: a slow request, one that holds the interpreter, a segmentation fault, a SIGKILL, `os._exit(7)`, an
    // exception, then HUP and TERM; `--timeout 1`.
    const V20: &[u8] = include_bytes!("../../../testdata/log/gunicorn-20.1.log");
    const V21: &[u8] = include_bytes!("../../../testdata/log/gunicorn-21.2.log");
    const V23: &[u8] = include_bytes!("../../../testdata/log/gunicorn-23.log");
    const V27: &[u8] = include_bytes!("../../../testdata/log/gunicorn-27.log");
    const V27_THREADS: &[u8] = include_bytes!("../../../testdata/log/gunicorn-27-gthread.log");

    #[test]
    fn every_versions_worker_timeouts_are_found() {
        for log in [V20, V21, V23, V27, V27_THREADS] {
            assert_eq!(
                count(log, |what| matches!(what, What::WorkerTimeout { .. })),
                2
            );
        }
    }

    #[test]
    fn every_versions_worker_deaths_are_found_once() {
        let (segv, kill, code) = (Exit::Signal(11), Exit::Signal(9), Exit::Code(7));
        assert_eq!(
            exits(V20),
            [(segv, false), (kill, false), (Exit::Signal(15), false)]
        );
        assert_eq!(
            exits(V21),
            [
                (Exit::Code(1), true),
                (Exit::Code(1), true),
                (segv, false),
                (kill, false),
                (code, false),
                (Exit::Signal(15), false)
            ]
        );
        assert_eq!(exits(V23), [(segv, false), (kill, false), (code, false)]);
        assert_eq!(exits(V27), [(segv, false), (kill, false), (code, false)]);
    }

    #[test]
    fn a_kill_that_follows_the_workers_timeout_is_gunicorns_own() {
        // "was sent SIGKILL! Perhaps out of memory?" is what gunicorn says of its own kill, too.
        assert_eq!(
            exits(V27_THREADS),
            [
                (Exit::Signal(9), true),
                (Exit::Signal(11), false),
                (Exit::Signal(9), true),
                (Exit::Code(7), false)
            ]
        );
    }

    #[test]
    fn times_carry_their_zone() {
        let events =
            read(b"[2026-11-21 05:40:36 +0200] [9695] [CRITICAL] WORKER TIMEOUT (pid:9745)\n");
        assert_eq!(events[0].at, Some("2026-11-21T03:40:36Z".parse().unwrap()));
    }

    #[test]
    fn starting_listening_and_ending_are_told() {
        let events = read(V27);
        assert_eq!(events[0].what, What::Starting);
        assert_eq!(
            events[1].what,
            What::Listening {
                addresses: vec!["http://127.0.0.1:9304".to_owned()]
            }
        );
        assert_eq!(events[2].what, What::WorkerStarted);
        assert!(events.iter().any(|event| event.what
            == What::Signal {
                name: "hup".to_owned()
            }));
        assert_eq!(events.last().unwrap().what, What::ShuttingDown);
    }

    #[test]
    fn an_address_in_use_is_a_failed_bind() {
        let log = b"[2026-11-21 03:41:45 +0000] [14382] [ERROR] Connection in use: ('127.0.0.1', 9305)\n\
            [2026-11-21 03:41:45 +0000] [14382] [ERROR] connection to ('127.0.0.1', 9305) failed: [Errno 98] Address already in use\n\
            [2026-11-21 03:41:46 +0000] [14382] [ERROR] Can't connect to /run/shop/shop.sock\n";
        let failed: Vec<_> = read(log).into_iter().map(|event| event.what).collect();
        let in_use = What::BindFailed {
            address: Some("('127.0.0.1', 9305)".to_owned()),
            errno: Some(98),
        };
        let lost = What::BindFailed {
            address: Some("/run/shop/shop.sock".to_owned()),
            errno: None,
        };
        assert_eq!(failed, [in_use.clone(), in_use, lost]);
    }

    #[test]
    fn what_an_application_prints_is_no_line_of_gunicorn() {
        assert_eq!(read(b"WORKER TIMEOUT (pid:1)\nx [2026-11-21 03:40:36 +0000] [1] [INFO] Shutting down: x\n"), []);
    }
}
