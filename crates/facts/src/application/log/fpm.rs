//! php-fpm's error log (`sapi/fpm/fpm/*.c`, PHP 8.2), the lines that PHP itself writes to `error_log` included.

use std::net::IpAddr;

use bstr::ByteSlice as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Exit, Said, What, reading, seconds};
use crate::text::{holes, number, owned};

/// `[21-Nov-2026 03:40:54] WARNING: [pool www] child 10586 exited on signal 11 (SIGSEGV) after 1.827786 seconds from start`
/// (`zlog.c`); in the journal and syslog without time and level.
pub(super) fn said(line: &[u8]) -> Option<Said> {
    let mut message = line;
    if let Some([_, rest]) = holes(line, "[{}] {}")
        && line.get(1).is_some_and(u8::is_ascii_digit)
    {
        message = rest;
    }
    if message.starts_with(b"PHP Fatal error: ") {
        return Some(Said::new(What::FatalError {
            message: owned(message),
        }));
    }
    for level in ["DEBUG: ", "NOTICE: ", "WARNING: ", "ERROR: ", "ALERT: "] {
        message = message.strip_prefix(level.as_bytes()).unwrap_or(message);
    }
    // At level debug each line names its place first.
    if let Some([_, _, rest]) = holes(message, "pid {}, {}(), line {}") {
        message = rest.split_once_str(": ").map_or(message, |(_, rest)| rest);
    }
    if let Some([pool, rest]) = holes(message, "[pool {}] {}") {
        let said = of_child(rest).or_else(|| of_pool(rest).map(Said::new))?;
        return Some(Said {
            pool: Some(owned(pool)),
            ..said
        });
    }
    of_master(message)
}

/// With microseconds at level debug; a line of PHP itself names its zone, and any but UTC is the zone of the program.
pub(super) fn stamp(line: &[u8], zone: &TimeZone) -> Option<Timestamp> {
    const FORMAT: &str = "%d-%b-%Y %H:%M:%S%.f";
    let [stamp] = holes(line, "[{}]")?;
    match stamp.strip_suffix(b" UTC") {
        Some(stamp) => reading(FORMAT, stamp, &TimeZone::UTC),
        None => reading(FORMAT, stamp, zone),
    }
}

fn of_child(message: &[u8]) -> Option<Said> {
    // The request is the client's text: what php-fpm says of it stands behind the last quote.
    if let Some((request, rest)) = message.rsplit_once_str("\") ")
        && let Some([pid, _, request]) = holes(request, "child {}, script '{}' (request: \"{}")
    {
        let request = Some(owned(request));
        if let Some([took]) = holes(rest, "execution timed out ({} sec), terminating") {
            return Said::of_worker(
                pid,
                What::WorkerTimeout {
                    after: seconds(took),
                    request,
                },
            );
        }
        let [took] = holes(rest, "executing too slow ({} sec)")?;
        return Said::of_worker(
            pid,
            What::RequestSlow {
                after: seconds(took),
                request,
            },
        );
    }
    if let Some([pid, signal]) = holes(message, "child {} exited on signal {} ") {
        return exited(pid, number(signal).map_or(Exit::Unknown, Exit::Signal));
    }
    if let Some([pid, code]) = holes(message, "child {} exited with code {} ") {
        return exited(pid, number(code).map_or(Exit::Unknown, Exit::Code));
    }
    if let Some([pid]) = holes(
        message,
        "child {} has been killed by the process management",
    ) {
        return Said::of_worker(pid, What::WorkerStopping);
    }
    if let Some([pid, said]) = holes(message, "child {} said into {}") {
        let [message] = holes(said, "stderr: \"{}").or_else(|| holes(said, "stdout: \"{}"))?;
        let message = message.strip_suffix(b"\"").unwrap_or(message);
        let message = message.strip_prefix(b"NOTICE: ").unwrap_or(message);
        // `fcgi_accept_request` (main/fastcgi.c); without `catch_workers_output` nobody hears of it.
        if let Some(reason) = message.strip_prefix(b"ERROR: ")
            && let Some([address]) = holes(
                reason,
                "Connection disallowed: IP address '{}' has been dropped.",
            )
            && reason.ends_with(b" has been dropped.")
            && owned(address).parse::<IpAddr>().is_ok()
        {
            return Said::of_worker(
                pid,
                What::RequestRejected {
                    reason: owned(reason),
                },
            );
        }
        let message = message.strip_prefix(b"PHP message: ").unwrap_or(message);
        return message.starts_with(b"PHP Fatal error: ").then(|| {
            Said::of_worker(
                pid,
                What::FatalError {
                    message: owned(message),
                },
            )
        })?;
    }
    let [pid] = holes(message, "child {} started")?;
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

fn of_pool(message: &[u8]) -> Option<What> {
    // `pm.max_children` with pm dynamic and ondemand; `max_children` before PHP 5.4. With pm static nothing is said.
    for form in [
        "server reached pm.max_children setting ({})",
        "server reached max_children setting ({})",
    ] {
        if let Some([limit]) = holes(message, form) {
            return Some(What::MaxChildren {
                limit: number(limit),
            });
        }
    }
    None
}

fn of_master(message: &[u8]) -> Option<Said> {
    if let Some([pid]) = holes(message, "fpm is running, pid {}") {
        return Some(Said {
            pid: number(pid),
            ..Said::new(What::Starting)
        });
    }
    let what = if message.starts_with(b"ready to handle connections") {
        What::Ready
    } else if message.starts_with(b"Terminating ...") || message.starts_with(b"Finishing ...") {
        What::ShuttingDown
    } else if message.starts_with(b"Reloading in progress ...") {
        What::Signal {
            name: "usr2".to_owned(),
        }
    } else if message.starts_with(b"FPM initialization failed") {
        What::FatalError {
            message: owned(message),
        }
    } else if let Some([address, why]) = holes(
        message,
        "unable to bind listening socket for address '{}'{}",
    ) {
        let errno = why
            .rsplit_once_str("(")
            .and_then(|(_, errno)| number(errno.strip_suffix(b")")?));
        What::BindFailed {
            address: Some(owned(address)),
            errno,
        }
    } else if let Some([address]) = holes(
        message,
        "Another FPM instance seems to already listen on {}",
    ) {
        What::BindFailed {
            address: Some(owned(address)),
            errno: Some(98),
        }
    } else {
        return None;
    };
    Some(Said::new(what))
}

#[cfg(test)]
mod tests {
    use super::super::{AppEvent, event, events};
    use super::*;
    use crate::application::Kind;

    /// A pool of two children with `request_terminate_timeout = 2`: a slow request, SIGSEGV, SIGKILL, memory limit, fatal
    /// error, four slow requests at once, a second php-fpm, a reload, the end.
    const LOG: &[u8] = include_bytes!("../../../testdata/log/php-fpm-8.2.log");

    fn read(log: &[u8]) -> Vec<AppEvent> {
        events(Kind::PhpFpm, log, &TimeZone::UTC)
    }

    fn one(line: &str) -> AppEvent {
        event(Kind::PhpFpm, line.as_bytes(), &TimeZone::UTC, None).unwrap()
    }

    #[test]
    fn a_terminated_request_is_a_timeout_and_its_childs_end_follows_from_it() {
        let events = read(LOG);
        let timeout = events
            .iter()
            .position(|event| matches!(event.what, What::WorkerTimeout { .. }))
            .unwrap();
        assert_eq!(events[timeout].worker, Some(10389));
        assert_eq!(events[timeout].pool.as_deref(), Some("www"));
        assert_eq!(
            events[timeout].at,
            Some("2026-11-21T03:40:54Z".parse().unwrap())
        );
        let What::WorkerTimeout { after, request } = &events[timeout].what else {
            panic!()
        };
        assert_eq!(after.unwrap().as_millis(), 2243);
        assert_eq!(request.as_deref(), Some("GET /t.php?q=slow"));
        assert_eq!(
            events[timeout + 1].what,
            What::WorkerExited {
                how: Exit::Signal(15),
                after_timeout: true
            }
        );
    }

    #[test]
    fn a_connection_that_is_dropped_for_its_address_is_told_by_php_fpm_alone() {
        let said = |text: &str| {
            let line = format!(
                "[26-Nov-2026 22:23:39] WARNING: [pool www] child 11492 said into stderr: \"{text}\""
            );
            event(Kind::PhpFpm, line.as_bytes(), &TimeZone::UTC, None).map(|event| event.what)
        };
        let reason = "Connection disallowed: IP address '127.0.0.1' has been dropped.";
        let rejected = What::RequestRejected {
            reason: reason.to_owned(),
        };
        assert_eq!(said(&format!("ERROR: {reason}")), Some(rejected));
        assert_eq!(said(reason), None);
        assert_eq!(said(&format!("ERROR: {reason} no")), None);
    }

    #[test]
    fn deaths_that_no_timeout_explains_are_told_apart() {
        let died: Vec<_> = read(LOG)
            .into_iter()
            .filter_map(|event| match event.what {
                What::WorkerExited {
                    how,
                    after_timeout: false,
                } => Some(how),
                _ => None,
            })
            .collect();
        assert_eq!(died, [Exit::Signal(11), Exit::Signal(9)]);
    }

    #[test]
    fn fatal_errors_and_the_full_pool_are_found() {
        let events = read(LOG);
        let fatal: Vec<&str> = events
            .iter()
            .filter_map(|event| match &event.what {
                What::FatalError { message } => Some(message.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(fatal.len(), 3);
        assert!(
            fatal[0]
                .starts_with("PHP Fatal error:  Allowed memory size of 8388608 bytes exhausted")
        );
        assert!(fatal[0].ends_with("on line 4"));
        assert_eq!(fatal[2], "FPM initialization failed");
        assert!(
            events
                .iter()
                .any(|event| event.what == What::MaxChildren { limit: Some(2) })
        );
        let bind = What::BindFailed {
            address: Some("127.0.0.1:9411".to_owned()),
            errno: Some(98),
        };
        assert!(events.iter().any(|event| event.what == bind));
        assert_eq!(
            (events[0].what.clone(), events[0].pid),
            (What::Starting, Some(10385))
        );
    }

    #[test]
    fn lines_of_other_forms_are_read() {
        for (line, what) in [
            (
                "[pool www] child 7 exited on signal 11 (SIGSEGV - core dumped) after 3.200000 seconds from start",
                What::WorkerExited {
                    how: Exit::Signal(11),
                    after_timeout: false,
                },
            ),
            (
                "[21-Nov-2026 02:00:00.123456] WARNING: pid 12, fpm_children_bury(), line 256: [pool www] child 7 exited with code 255 after 1.000000 seconds from start",
                What::WorkerExited {
                    how: Exit::Code(255),
                    after_timeout: false,
                },
            ),
            (
                "[21-Nov-2026 02:00:00] ERROR: Another FPM instance seems to already listen on /run/php/fpm.sock",
                What::BindFailed {
                    address: Some("/run/php/fpm.sock".to_owned()),
                    errno: Some(98),
                },
            ),
            (
                "[21-Nov-2026 02:00:00 UTC] PHP Fatal error:  Uncaught Error in /srv/x.php:4",
                What::FatalError {
                    message: "PHP Fatal error:  Uncaught Error in /srv/x.php:4".to_owned(),
                },
            ),
        ] {
            assert_eq!(one(line).what, what, "{line}");
        }
    }

    #[test]
    fn a_local_time_is_read_in_the_zone() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |line: &str| {
            event(Kind::PhpFpm, line.as_bytes(), &berlin, None)
                .unwrap()
                .at
                .unwrap()
                .to_string()
        };
        assert_eq!(
            at("[21-Nov-2026 02:00:00] NOTICE: ready to handle connections"),
            "2026-11-21T01:00:00Z"
        );
        assert_eq!(
            at("[21-Nov-2026 02:00:00.5] NOTICE: ready to handle connections"),
            "2026-11-21T01:00:00.5Z"
        );
        assert_eq!(
            at("[21-Nov-2026 02:00:00 UTC] PHP Fatal error:  x"),
            "2026-11-21T02:00:00Z"
        );
    }

    #[test]
    fn a_request_that_looks_like_a_timeout_is_none() {
        let slow = "[pool www] child 7, script '/srv/x.php' (request: \"GET /?\") execution timed out (9.0 sec), terminating\") executing too slow (1.5 sec), logging";
        assert!(
            matches!(one(slow).what, What::RequestSlow { after: Some(after), .. } if after.as_millis() == 1500)
        );
    }

    #[test]
    fn a_script_that_prints_such_a_line_is_not_believed() {
        let line = "[21-Nov-2026 02:00:00] WARNING: [pool www] child 7 said into stderr: \"[pool www] child 8 exited on signal 9 (SIGKILL) after 1 seconds\"";
        assert!(event(Kind::PhpFpm, line.as_bytes(), &TimeZone::UTC, None).is_none());
    }
}
