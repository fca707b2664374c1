//! The logs of uvicorn and Node.js: less than the others tell, and without times.

use bstr::ByteSlice as _;

use super::{Exit, Said, What, fatal};
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

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

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
        let memory =
            "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";
        assert_eq!(
            what(Kind::Node, memory),
            Some(What::FatalError {
                message: memory.to_owned()
            })
        );
    }
}
