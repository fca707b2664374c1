//! One standard stream of a container, taken out of the lines in which its runtime keeps both.
//!
//! Docker's `json-file` has a JSON object a line; Kubernetes' runtimes and conmon have `TIME STREAM TAG TEXT` (the CRI
//! logging format). A line that is too long for the runtime, or that its buffer ended in, comes in parts: those of one
//! stream belong together, whatever the other wrote between them.

use bstr::ByteSlice as _;
use memchr::memmem;

use super::carrier::{self, Carrier};
use super::{Head, number};
use crate::LocalTime;
use crate::time::zone_offset;

/// What stands before a line's time in Docker's `json-file`. In the text of a line every quote is escaped.
pub const DOCKER_TIME: &str = "\"time\":\"";

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What was written to one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streamed {
    /// Its text.
    pub text: Vec<u8>,
    /// The last line that begins as nginx's: its local time, and when the runtime took it in seconds since 1970.
    pub last: Option<(LocalTime, i64)>,
}

/// How a runtime's lines begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeForm {
    /// [`Carrier::DockerJson`] or [`Carrier::Cri`].
    pub carrier: Carrier,
    /// When the first line was taken, in seconds since 1970.
    pub at: i64,
    /// The zone that lines' times are written in, in seconds east of UTC.
    pub offset: i64,
}

impl Stream {
    /// As nginx's descriptor.
    pub fn descriptor(self) -> u32 {
        match self {
            Self::Out => 1,
            Self::Err => 2,
        }
    }

    /// As runtimes call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }
}

impl Streamed {
    /// Takes in a part: a line, unless it is told to go on.
    pub fn add(&mut self, part: &[u8], at: i64, goes_on: bool) {
        let begins = self.text.last().is_none_or(|&byte| byte == b'\n');
        if begins
            && let Some((
                Head {
                    time: Some(time), ..
                },
                _,
            )) = Head::parse(part)
        {
            self.last = Some((time, at));
        }
        self.text.extend_from_slice(part);
        if !goes_on {
            self.text.push(b'\n');
        }
    }
}

impl RuntimeForm {
    /// Of the first line that tells, when `bytes` are a runtime's log at all.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        bytes.lines().take(100).find_map(|line| {
            let (carrier, stamp) = match docker_stamp(line) {
                Some(stamp) => (Carrier::DockerJson, stamp),
                None => (Carrier::Cri, carrier::cri(line)?.stamp),
            };
            let (at, offset) = moment(stamp)?;
            Some(Self {
                carrier,
                at,
                offset,
            })
        })
    }
}

/// One stream of a runtime's log; lines that are none of its are left out.
pub fn streamed(bytes: &[u8], stream: Stream) -> Streamed {
    let mut streamed = Streamed::default();
    let wanted = [b"\"stream\":\"", stream.name().as_bytes(), b"\""].concat();
    let wanted = memmem::Finder::new(&wanted);
    for line in bytes.lines() {
        if line.starts_with(b"{") {
            // Most lines are requests that went well, on the other stream: they are not worth being decoded.
            if wanted.find(line).is_some()
                && let Some((text, at)) = docker(line, stream)
            {
                let (text, goes_on) = match text.strip_suffix('\n') {
                    Some(text) => (text, false),
                    None => (text.as_str(), true),
                };
                streamed.add(text.as_bytes(), at, goes_on);
            }
        } else if let Some(part) = carrier::cri(line).filter(|part| part.stream == stream)
            && let Some((at, _)) = moment(part.stamp)
        {
            streamed.add(part.text, at, part.partial);
        }
    }
    streamed
}

/// The text of a line of this stream, and when Docker took it.
fn docker(line: &[u8], stream: Stream) -> Option<(String, i64)> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    if value.get("stream")?.as_str()? != stream.name() {
        return None;
    }
    let (at, _) = moment(value.get("time")?.as_str()?.as_bytes())?;
    Some((value.get("log")?.as_str()?.to_owned(), at))
}

/// The time of a line without decoding it.
fn docker_stamp(line: &[u8]) -> Option<&[u8]> {
    if carrier::json(line)? != Carrier::DockerJson {
        return None;
    }
    let from = line.rfind(DOCKER_TIME)? + DOCKER_TIME.len();
    line.get(from..)?.split(|&byte| byte == b'"').next()
}

/// RFC 3339, as seconds since 1970 and the zone's offset.
fn moment(stamp: &[u8]) -> Option<(i64, i64)> {
    let local = LocalTime::parse_iso(stamp)?.seconds();
    let rest = stamp.get(LocalTime::LENGTH..)?;
    let zone = match rest.strip_prefix(b".") {
        Some(fraction) => number(fraction)?.1,
        None => rest,
    };
    let offset = zone_offset(zone)?;
    Some((local - offset, offset))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From Docker 20.10: an access line, an error line and a start-up line of the official image.
    const DOCKER: &str = r#"{"log":"/docker-entrypoint.sh: Configuration complete; ready for start up\n","stream":"stdout","time":"2026-06-23T12:00:01.1Z"}
{"log":"172.17.0.1 - - [23/Jun/2026:14:02:11 +0200] \"GET /?q=%22stream%22 HTTP/1.1\" 502 157 \"-\" \"a \\\"stream\\\":\\\"stderr\\\"\" \"-\"\n","stream":"stdout","time":"2026-06-23T12:02:11.000412345Z"}
{"log":"2026/06/23 14:02:11 [error] 29#29: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 172.17.0.1, server: a\u003cb\n","stream":"stderr","time":"2026-06-23T12:02:11.000398Z"}
"#;

    const CRI: &str = "2026-06-23T14:02:11.000398123+02:00 stderr P 2026/06/23 12:02:11 [error] 29#29: *1 conn\n\
        2026-06-23T14:02:11.0004+02:00 stdout F 10.0.0.1 - - \"GET / HTTP/1.1\"\n\
        2026-06-23T14:02:11.0005+02:00 stderr F ect() failed\n\
        2026-06-23T14:02:12+02:00 stderr F \n";

    #[test]
    fn a_stream_is_taken_out_of_dockers_lines() {
        let errors = streamed(DOCKER.as_bytes(), Stream::Err);
        assert_eq!(
            errors.text.as_bstr(),
            "2026/06/23 14:02:11 [error] 29#29: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 172.17.0.1, server: a<b\n"
        );
        let (local, at) = errors.last.unwrap();
        assert_eq!((local.seconds() - at, at), (7200, 1_782_216_131));
        let requests = streamed(DOCKER.as_bytes(), Stream::Out);
        assert_eq!(requests.text.lines().count(), 2);
        assert_eq!(requests.last, None);
    }

    #[test]
    fn parts_of_one_stream_belong_together() {
        let errors = streamed(CRI.as_bytes(), Stream::Err);
        assert_eq!(
            errors.text.as_bstr(),
            "2026/06/23 12:02:11 [error] 29#29: *1 connect() failed\n\n"
        );
        let (local, at) = errors.last.unwrap();
        assert_eq!(local.seconds(), at);
        let long = r#"{"log":"2026/06/23 12:02:11 [error] 1#1: a","stream":"stderr","time":"2026-06-23T12:02:11Z"}
{"log":"x\n","stream":"stdout","time":"2026-06-23T12:02:11Z"}
{"log":"b\n","stream":"stderr","time":"2026-06-23T12:02:11Z"}"#;
        assert_eq!(
            streamed(long.as_bytes(), Stream::Err).text.as_bstr(),
            "2026/06/23 12:02:11 [error] 1#1: ab\n"
        );
    }

    #[test]
    fn a_log_tells_its_form_and_zone() {
        let docker = RuntimeForm::of(DOCKER.as_bytes()).unwrap();
        assert_eq!((docker.carrier, docker.offset), (Carrier::DockerJson, 0));
        let cri = RuntimeForm::of(CRI.as_bytes()).unwrap();
        assert_eq!((cri.carrier, cri.offset), (Carrier::Cri, 7200));
        assert_eq!(cri.at, 1_782_216_131);
        assert_eq!(
            RuntimeForm::of(b"2026/06/23 14:02:11 [error] 1#1: x\n"),
            None
        );
    }

    #[test]
    fn what_a_client_wrote_is_no_key_of_the_line() {
        let forged = r#"{"log":"\",\"stream\":\"stderr\",\"log\":\"2026/06/23 12:02:11 [error] 1#1: x\n","stream":"stdout","time":"2026-06-23T12:02:11Z"}"#;
        assert_eq!(
            streamed(forged.as_bytes(), Stream::Err),
            Streamed::default()
        );
        let cut = r#"{"log":"2026/06/23 12:02:11 [error] 1#1: x\n","stream":"stderr","ti"#;
        assert_eq!(streamed(cut.as_bytes(), Stream::Err), Streamed::default());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in "[-0-9T:.Z+ {}\",a-z\n]{0,120}") {
            for stream in [Stream::Out, Stream::Err] {
                streamed(&bytes, stream);
                streamed(text.as_bytes(), stream);
            }
            RuntimeForm::of(&bytes);
            RuntimeForm::of(text.as_bytes());
        }
    }
}
