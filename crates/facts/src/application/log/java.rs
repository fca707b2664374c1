//! The Java virtual machine's own last words (OpenJDK 17) and Tomcat's log (10.1.60), as their runs wrote them.
//!
//! A Java program that runs out of memory lives on, unless it was started with `-XX:+ExitOnOutOfMemoryError` or
//! `-XX:+CrashOnOutOfMemoryError`: the request that met it is answered with 500.

use bstr::ByteSlice as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Said, What, fatal, reading};
use crate::text::{holes, owned};

pub(super) fn java(line: &[u8]) -> Option<Said> {
    // `#  SIGSEGV (0xb) at pc=0x00007f3b7e8d2f94, pid=27860, tid=28068`, below the line that announces it.
    let is_crash = [&b"#  SIG"[..], b"#  Internal Error"]
        .iter()
        .any(|start| line.starts_with(start))
        && holes::<3>(line, "#  {}, pid={}, tid={}").is_some();
    let is_fatal = line.starts_with(b"Terminating due to java.lang.OutOfMemoryError")
        || line.starts_with(b"Aborting due to java.lang.OutOfMemoryError");
    if is_crash || is_fatal {
        return Some(fatal(line));
    }
    tomcat(line).map(Said::new)
}

/// `26-Nov-2026 18:34:29.527 INFO [main] org.apache.coyote.AbstractProtocol.start Starting ProtocolHandler ["http-nio-8080"]`
/// (`org.apache.juli.OneLineFormatter`).
fn tomcat(line: &[u8]) -> Option<What> {
    let line = line.trim_start();
    // Tomcat answers such a request with 400.
    if let Some(reason) = line.strip_prefix(b"java.lang.IllegalArgumentException: ")
        && reason.starts_with(b"Request header is too large")
    {
        return Some(What::RequestRejected {
            reason: owned(reason),
        });
    }
    let [_, rest] = holes(line, "{}] {}")?;
    let (source, message) = rest.split_once_str(" ")?;
    match source {
        b"org.apache.coyote.AbstractProtocol.start" => {
            let [handler] = holes(message, "Starting ProtocolHandler [\"{}\"]")?;
            Some(What::Listening {
                addresses: vec![owned(handler)],
            })
        }
        b"org.apache.coyote.AbstractProtocol.pause"
        | b"org.apache.coyote.AbstractProtocol.stop" => Some(What::ShuttingDown),
        b"org.apache.catalina.startup.Catalina.start"
            if message.starts_with(b"Server startup in ") =>
        {
            Some(What::Ready)
        }
        _ => None,
    }
}

pub(super) fn stamp(line: &[u8], zone: &TimeZone) -> Option<Timestamp> {
    let [date, time, _] = holes(line, "{} {} {}")?;
    reading("%d-%b-%Y %H:%M:%S%.f", &[date, time].join(&b' '), zone)
}

#[cfg(test)]
mod tests {
    use super::super::{event, events};
    use super::*;
    use crate::application::Kind;

    fn what(line: &str) -> Option<What> {
        event(Kind::Java, line.as_bytes(), &TimeZone::UTC, None).map(|event| event.what)
    }

    #[test]
    fn the_virtual_machines_last_words_are_fatal() {
        for line in [
            "Terminating due to java.lang.OutOfMemoryError: Java heap space",
            "Aborting due to java.lang.OutOfMemoryError: Java heap space",
            "#  SIGSEGV (0xb) at pc=0x00007f3b7e8d2f94, pid=27860, tid=28068",
        ] {
            let message = line.to_owned();
            assert_eq!(what(line), Some(What::FatalError { message }));
        }
        // What a program prints of an error that it caught.
        assert_eq!(what("java.lang.OutOfMemoryError: Java heap space"), None);
    }

    #[test]
    fn tomcats_start_and_end_have_times() {
        let log = b"26-Nov-2026 18:34:29.527 INFO [main] org.apache.coyote.AbstractProtocol.start Starting ProtocolHandler [\"http-nio-9303\"]
26-Nov-2026 18:34:29.837 INFO [main] org.apache.catalina.startup.Catalina.start Server startup in [9630] milliseconds
26-Nov-2026 18:35:19.469 INFO [http-nio-9303-exec-2] org.apache.coyote.http11.Http11Processor.service Error parsing HTTP request header
 Note: further occurrences of HTTP request parsing errors will be logged at DEBUG level.
\tjava.lang.IllegalArgumentException: Request header is too large
26-Nov-2026 18:36:18.956 INFO [Thread-1] org.apache.coyote.AbstractProtocol.pause Pausing ProtocolHandler [\"http-nio-9303\"]
";
        let read = events(Kind::Java, log, &TimeZone::UTC);
        let [listening, ready, rejected, stopping] = read.as_slice() else {
            panic!("{read:?}");
        };
        assert_eq!(
            listening.at,
            Some("2026-11-26T18:34:29.527Z".parse().unwrap())
        );
        assert_eq!(
            listening.what,
            What::Listening {
                addresses: vec!["http-nio-9303".to_owned()]
            }
        );
        assert_eq!(
            (&ready.what, &stopping.what),
            (&What::Ready, &What::ShuttingDown)
        );
        let reason = "Request header is too large".to_owned();
        assert_eq!(rejected.what, What::RequestRejected { reason });
        assert_eq!(
            (rejected.not_before, rejected.not_after),
            (
                Some("2026-11-26T18:35:19.469Z".parse().unwrap()),
                Some("2026-11-26T18:36:18.956Z".parse().unwrap())
            )
        );
    }
}
