//! The logs of uvicorn, Node.js, Puma and Unicorn: less than the others tell, and mostly without times.

use bstr::ByteSlice as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Exit, Said, What, reading, seconds};
use crate::text::{holes, number, owned};

/// `INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)` (`uvicorn/server.py`,
/// `uvicorn/supervisors/multiprocess.py` of 0.54).
pub(super) fn uvicorn(line: &[u8]) -> Option<Said> {
    let (level, message) = line.split_once_str(":")?;
    if !matches!(level, b"INFO" | b"WARNING" | b"ERROR" | b"CRITICAL") {
        return None;
    }
    let message = message.trim_start();
    if let Some([pid]) = holes(message, "Started server process [{}]") {
        return Some(Said {
            pid: number(pid),
            ..Said::new(What::Starting)
        });
    }
    if let Some([pid]) = holes(message, "Child process [{}] died") {
        return Said::of_worker(
            pid,
            What::WorkerExited {
                how: Exit::Unknown,
                after_timeout: false,
            },
        );
    }
    if let Some([pid]) = holes(message, "Finished server process [{}]") {
        return Some(Said {
            pid: number(pid),
            ..Said::new(What::ShuttingDown)
        });
    }
    for form in [
        "Uvicorn running on unix socket {} (",
        "Uvicorn running on {} (",
    ] {
        if let Some([address]) = holes(message, form) {
            return Some(Said::new(What::Listening {
                addresses: vec![owned(address)],
            }));
        }
    }
    // asyncio's text (`asyncio/base_events.py`).
    if let Some([errno, address]) = holes(
        message,
        "[Errno {}] error while attempting to bind on address {}:",
    ) {
        return Some(Said::new(What::BindFailed {
            address: Some(owned(address)),
            errno: number(errno),
        }));
    }
    let what = if message.starts_with(b"Application startup complete.") {
        What::Ready
    } else if message.starts_with(b"Application startup failed")
        || message.starts_with(b"Error loading ASGI app")
    {
        What::FatalError {
            message: owned(message),
        }
    } else if message.starts_with(b"Exception in ASGI application") {
        What::RequestFailed
    } else if message.starts_with(b"Invalid HTTP request received.") {
        What::RequestRejected {
            reason: owned(message),
        }
    } else if message.starts_with(b"Shutting down") {
        What::ShuttingDown
    } else {
        return None;
    };
    Some(Said::new(what))
}

/// What Node.js 20 itself prints: an error that nothing caught, or the end of its memory.
pub(super) fn node(line: &[u8]) -> Option<Said> {
    if let Some([rest]) = holes(line, "Error: listen {}") {
        let (code, rest) = rest.split_once_str(": ")?;
        let errno = match code {
            b"EADDRINUSE" => Some(98),
            b"EADDRNOTAVAIL" => Some(99),
            b"EACCES" => Some(13),
            b"ENOENT" => Some(2),
            _ => None,
        };
        // `address already in use 127.0.0.1:9321`: the text of libuv, then the address.
        let address = rest.rsplit_once_str(" ").map(|(_, address)| owned(address));
        return Some(Said::new(What::BindFailed { address, errno }));
    }
    let is_out_of_memory =
        line.starts_with(b"FATAL ERROR: ") && line.contains_str("JavaScript heap out of memory");
    // The last line of what it prints of an error that nothing caught.
    let is_uncaught = line.strip_prefix(b"Node.js v").is_some_and(|version| {
        version.first().is_some_and(u8::is_ascii_digit)
            && version
                .iter()
                .all(|byte| byte.is_ascii_digit() || *byte == b'.')
    });
    (is_out_of_memory || is_uncaught).then(|| fatal(line))
}

/// What the Java virtual machine prints where it ends itself (`hotspot/share/utilities/debug.cpp`, `vmError.cpp`; not
/// run here).
pub(super) fn java(line: &[u8]) -> Option<Said> {
    let is_fatal = line.starts_with(b"Terminating due to java.lang.OutOfMemoryError")
        || line.starts_with(b"Aborting due to java.lang.OutOfMemoryError")
        || line.starts_with(b"# A fatal error has been detected by the Java Runtime Environment");
    is_fatal.then(|| fatal(line))
}

fn fatal(line: &[u8]) -> Said {
    Said::new(What::FatalError {
        message: owned(line),
    })
}

/// Puma's cluster (`lib/puma/cluster.rb`, `lib/puma/binder.rb`; not run here).
pub(super) fn puma(line: &[u8]) -> Option<Said> {
    // Each line begins with `[PID] ` in a cluster.
    let (pid, message) = match holes(line, "[{}] {}") {
        Some([pid, message]) => (number(pid), message),
        None => (None, line),
    };
    let said = if let Some([_, worker]) = holes(message, "- Worker {} (PID: {}) booted") {
        Said::of_worker(worker, What::WorkerStarted)?
    } else if let Some([why, worker]) = holes(message, "! Terminating timed out worker ({}): {}") {
        let after = holes(why, "Worker {} failed to check in within {} second")
            .and_then(|[_, took]| seconds(took));
        Said::of_worker(
            worker,
            What::WorkerTimeout {
                after,
                request: None,
            },
        )?
    } else if let Some([address]) = holes(message, "* Listening on {}") {
        Said::new(What::Listening {
            addresses: vec![owned(address)],
        })
    } else if message.starts_with(b"* Puma starting") || message.starts_with(b"Puma starting") {
        Said::new(What::Starting)
    } else if message.starts_with(b"- Gracefully shutting down")
        || message.starts_with(b"- Gracefully stopping")
    {
        Said::new(What::ShuttingDown)
    } else {
        return None;
    };
    Some(Said { pid, ..said })
}

/// `E, [2026-11-21T02:00:00.123456 #123] ERROR -- : worker=0 PID:456 timeout (61s > 60s), killing`
/// (`lib/unicorn/http_server.rb`; not run here).
pub(super) fn unicorn(line: &[u8]) -> Option<Said> {
    let [_, pid, _, message] = holes(line, "{}, [{}]{} -- : {}")?;
    let pid = pid.rsplit_once_str("#").and_then(|(_, pid)| number(pid));
    let said = if let Some([_, worker, took]) = holes(message, "worker={} PID:{} timeout ({}s > ") {
        Said::of_worker(
            worker,
            What::WorkerTimeout {
                after: seconds(took),
                request: None,
            },
        )?
    } else if let Some([worker, status]) = holes(message, "reaped #<Process::Status: pid {} {}>") {
        Said::of_worker(
            worker,
            What::WorkerExited {
                how: ruby_status(status),
                after_timeout: false,
            },
        )?
    } else if let Some([_, worker]) = holes(message, "worker={} spawned pid={}") {
        Said::of_worker(worker, What::WorkerStarted)?
    } else if let Some([address]) = holes(message, "listening on addr={} fd=") {
        Said::new(What::Listening {
            addresses: vec![owned(address)],
        })
    } else if let Some([address]) = holes(message, "adding listener failed addr={} (in use)") {
        Said::new(What::BindFailed {
            address: Some(owned(address)),
            errno: Some(98),
        })
    } else if message.starts_with(b"master process ready") {
        Said::new(What::Ready)
    } else if message.starts_with(b"master complete") {
        Said::new(What::ShuttingDown)
    } else {
        return None;
    };
    Some(Said { pid, ..said })
}

pub(super) fn unicorn_stamp(line: &[u8], zone: &TimeZone) -> Option<Timestamp> {
    let [_, stamp] = holes(line, "{}, [{} #")?;
    reading("%Y-%m-%dT%H:%M:%S%.f", stamp, zone)
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

    use super::super::event;
    use super::*;
    use crate::application::Kind;

    fn what(kind: Kind, line: &str) -> Option<What> {
        event(kind, line.as_bytes(), &TimeZone::UTC, None).map(|event| event.what)
    }

    fn died(how: Exit) -> What {
        What::WorkerExited {
            how,
            after_timeout: false,
        }
    }

    #[test]
    fn uvicorns_lines_are_read() {
        for (line, expected) in [
            ("INFO:     Started server process [123]", What::Starting),
            ("INFO:     Application startup complete.", What::Ready),
            (
                "INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)",
                What::Listening {
                    addresses: vec!["http://127.0.0.1:8000".to_owned()],
                },
            ),
            (
                "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use",
                What::BindFailed {
                    address: Some("('127.0.0.1', 8000)".to_owned()),
                    errno: Some(98),
                },
            ),
            ("INFO:     Child process [77] died", died(Exit::Unknown)),
            ("INFO:     Shutting down", What::ShuttingDown),
        ] {
            assert_eq!(what(Kind::Uvicorn, line), Some(expected), "{line}");
        }
        assert_eq!(
            what(
                Kind::Uvicorn,
                "INFO:     127.0.0.1:5 - \"GET / HTTP/1.0\" 200 OK"
            ),
            None
        );
    }

    #[test]
    fn nodes_failed_listen_says_address_and_why() {
        assert_eq!(
            what(
                Kind::Node,
                "Error: listen EADDRINUSE: address already in use 127.0.0.1:9321"
            ),
            Some(What::BindFailed {
                address: Some("127.0.0.1:9321".to_owned()),
                errno: Some(98)
            })
        );
        assert_eq!(
            what(
                Kind::Node,
                "Error: listen EACCES: permission denied /run/app.sock"
            ),
            Some(What::BindFailed {
                address: Some("/run/app.sock".to_owned()),
                errno: Some(13)
            })
        );
        for line in [
            "    at Server.setupListenHandle",
            "Node.js version",
            "Node.js v20.1 said so",
        ] {
            assert_eq!(what(Kind::Node, line), None, "{line}");
        }
        let ends = |message: &str| {
            Some(What::FatalError {
                message: message.to_owned(),
            })
        };
        assert_eq!(
            what(Kind::Node, "Node.js v20.20.2"),
            ends("Node.js v20.20.2")
        );
        let java = "Terminating due to java.lang.OutOfMemoryError: Java heap space";
        assert_eq!(what(Kind::Java, java), ends(java));
        let memory =
            "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";
        assert_eq!(
            what(Kind::Node, memory),
            Some(What::FatalError {
                message: memory.to_owned()
            })
        );
    }

    #[test]
    fn pumas_lines_are_read() {
        assert_eq!(
            what(
                Kind::Puma,
                "[12] ! Terminating timed out worker (Worker 0 failed to check in within 60 seconds): 34"
            ),
            Some(What::WorkerTimeout {
                after: Some(Duration::from_mins(1)),
                request: None
            })
        );
        assert_eq!(
            what(
                Kind::Puma,
                "[12] - Worker 0 (PID: 34) booted in 0.01s, phase: 0"
            ),
            Some(What::WorkerStarted)
        );
        assert_eq!(
            what(Kind::Puma, "* Listening on unix:///run/shop.sock"),
            Some(What::Listening {
                addresses: vec!["unix:///run/shop.sock".to_owned()]
            })
        );
    }

    #[test]
    fn unicorns_lines_are_read() {
        let head = "E, [2026-11-21T02:00:00.123456 #12] ERROR -- : ";
        assert_eq!(
            what(
                Kind::Unicorn,
                &format!("{head}worker=0 PID:34 timeout (61s > 60s), killing")
            ),
            Some(What::WorkerTimeout {
                after: Some(Duration::from_secs(61)),
                request: None
            })
        );
        assert_eq!(
            what(
                Kind::Unicorn,
                &format!("{head}reaped #<Process::Status: pid 34 SIGKILL (signal 9)> worker=0")
            ),
            Some(died(Exit::Signal(9)))
        );
        assert_eq!(
            what(
                Kind::Unicorn,
                &format!("{head}reaped #<Process::Status: pid 34 exit 1> worker=0")
            ),
            Some(died(Exit::Code(1)))
        );
        let event = event(
            Kind::Unicorn,
            format!("{head}master process ready").as_bytes(),
            &TimeZone::UTC,
            None,
        );
        let event = event.unwrap();
        assert_eq!(
            event.at,
            Some("2026-11-21T02:00:00.123456Z".parse().unwrap())
        );
        assert_eq!(event.pid, Some(12));
    }
}
