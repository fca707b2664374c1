//! What sort of log a text is of, and what times stand in it.

use bstr::ByteSlice as _;
use log::LocalTime;
use log::access::{Escape, Format};
use log::error::{self, Carrier, Records};

/// Among so many lines one must be known.
pub(crate) const LINES_LOOKED_AT: usize = 100;

/// What a log's lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// nginx's error log, by how its lines are carried.
    Error(Carrier),
    /// An access log, by the place of its format in [`Formats`].
    Access(usize),
}

/// The formats that an access log may have.
#[derive(Clone, Debug)]
pub(crate) struct Formats {
    /// For people: what they are.
    pub(crate) called: String,
    known: Vec<Format>,
}

/// What nginx's own packages are configured with.
const MAIN: &[u8] = b"$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" \"$http_x_forwarded_for\"";
/// What the ingress controller of Kubernetes is.
const INGRESS: &[u8] = b"$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id";

impl Formats {
    /// Those that need no configuration: `combined`, and two that packages bring.
    pub(crate) fn built_in() -> Self {
        Self {
            called: "format combined or main".to_owned(),
            known: vec![
                Format::combined(),
                Format::compile(MAIN, Escape::Default),
                Format::compile(INGRESS, Escape::Default),
            ],
        }
    }

    /// These and no others.
    pub(crate) fn of(called: String, known: Vec<Format>) -> Self {
        Self { called, known }
    }

    /// The format of a sort.
    pub(crate) fn get(&self, idx: usize) -> Option<&Format> {
        self.known.get(idx)
    }
}

/// What sort the log is of whose start is `sample`.
pub(crate) fn sort(sample: &[u8], formats: &Formats) -> Option<Sort> {
    let first = first_lines(sample);
    // One that was cut out of a longer log may begin inside a long record.
    of_lines(first, formats).or_else(|| of_lines(sample, formats))
}

fn of_lines(sample: &[u8], formats: &Formats) -> Option<Sort> {
    let carriers: Vec<Carrier> = sample.lines().filter_map(carrier_of).collect();
    let errors = carriers.len();
    // A container's log holds what the container wrote to both of its streams.
    let (carrier, text) = error::plain(sample);
    let matching = |format: &Format| {
        let is_access = |line: &&[u8]| format.parse(line).is_some();
        text.lines().filter(is_access).count()
    };
    let best = formats.known.iter().enumerate().map(|(idx, format)| {
        // The narrower one where both fit: `combined` takes for a user agent what others write behind it.
        (matching(format), format.variables().count(), idx)
    });
    let (accesses, _, idx) = best.max().unwrap_or_default();
    let is_carried = carrier != error::Carrier::Plain;
    if accesses > errors && !is_carried {
        return Some(Sort::Access(idx));
    }
    let is_plain = carriers
        .iter()
        .any(|carrier| matches!(carrier, Carrier::Plain));
    let carrier = if is_carried || is_plain {
        carrier
    } else {
        // What nginx says at its start, before it has a log, stands in its logs as well.
        let others = carriers
            .iter()
            .find(|carrier| !matches!(carrier, Carrier::Startup));
        others.copied().unwrap_or(carrier)
    };
    (errors > 0 || accesses > 0).then_some(Sort::Error(carrier))
}

/// How a line of an error log is carried.
fn carrier_of(line: &[u8]) -> Option<Carrier> {
    let decoded = error::decode(line);
    let event = decoded.event().filter(|event| event.level.is_some())?;
    Some(event.carrier)
}

fn first_lines(sample: &[u8]) -> &[u8] {
    let end = memchr::memchr_iter(b'\n', sample).nth(LINES_LOOKED_AT - 1);
    end.and_then(|end| sample.get(..=end)).unwrap_or(sample)
}

/// The first time in a text.
pub(crate) fn first_time(text: &[u8], sort: Sort, formats: &Formats) -> Option<LocalTime> {
    match sort {
        Sort::Error(_) => {
            let (_, plain) = error::plain(text);
            error_times(&plain).next().or_else(|| {
                let mut carried = text.lines().filter_map(carried_time);
                carried.next()
            })
        }
        Sort::Access(idx) => {
            let format = formats.get(idx)?;
            text.lines()
                .find_map(|line| format.parse(line)?.local_time())
        }
    }
}

/// The last time in the end of a log.
pub(crate) fn last_time(text: &[u8], sort: Sort, formats: &Formats) -> Option<LocalTime> {
    match sort {
        Sort::Error(_) => {
            let (_, plain) = error::plain(text);
            error_times(&plain)
                .last()
                .or_else(|| text.lines().rev().find_map(carried_time))
        }
        Sort::Access(idx) => {
            let format = formats.get(idx)?;
            let mut lines = text.lines().rev();
            lines.find_map(|line| format.parse(line)?.local_time())
        }
    }
}

/// The times of records that nobody but nginx wrote, as far as can be seen.
fn error_times(text: &[u8]) -> impl Iterator<Item = LocalTime> {
    Records::new(text)
        .filter_map(|record| record.event())
        .filter(|event| event.forgery.is_none())
        .filter_map(|event| event.time)
}

fn carried_time(line: &[u8]) -> Option<LocalTime> {
    error::decode(line).event()?.time
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: &str = "2026/06/23 14:02:11 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.1, server: a, request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\", host: \"a\"\n";
    const COMBINED: &str =
        "192.0.2.1 - - [23/Jun/2026:14:02:12 +0200] \"GET / HTTP/1.1\" 502 157 \"-\" \"curl/8\"\n";

    #[test]
    fn error_and_access_logs_are_told_apart() {
        let formats = Formats::built_in();
        let main = COMBINED.replace('\n', " \"-\"\n");
        let ingress = COMBINED.replace(
            '\n',
            " 80 0.001 [default-web-80] [] 10.0.0.1:80 157 0.001 502 0123\n",
        );
        let docker = format!(
            "{{\"log\":\"{}\",\"stream\":\"stdout\",\"time\":\"2026-06-23T12:02:12Z\"}}\n",
            COMBINED.replace('"', "\\\"").replace('\n', "\\n")
        );
        let cut = "#1 /srv/a.php(2): b()\n".repeat(120) + ERROR;
        for (text, expected) in [
            (ERROR, Some(Sort::Error(Carrier::Plain))),
            (COMBINED, Some(Sort::Access(0))),
            (&main, Some(Sort::Access(1))),
            (&ingress, Some(Sort::Access(2))),
            (&docker, Some(Sort::Error(Carrier::DockerJson))),
            (&cut, Some(Sort::Error(Carrier::Plain))),
            (
                "nginx: [emerg] unknown directive \"x\" in /n:1\n",
                Some(Sort::Error(Carrier::Plain)),
            ),
            (
                "<14>Jun 23 14:02:11 web nginx: 2026/06/23 14:02:11 [error] 7#7: x\n",
                Some(Sort::Error(Carrier::Syslog)),
            ),
            ("Jun 23 14:02:11 web sshd[1]: x\n", None),
            ("\0\u{1}\u{7f}", None),
            ("", None),
        ] {
            assert_eq!(sort(text.as_bytes(), &formats), expected, "{text}");
        }
    }

    #[test]
    fn the_first_and_the_last_time_are_the_logs_own() {
        let formats = Formats::built_in();
        let text = format!(
            "cut off\n{ERROR}{}next\n",
            ERROR.replace("14:02:11", "15:00:00")
        );
        let time = |text: &str| LocalTime::parse(text.as_bytes());
        let text = text.as_bytes();
        assert_eq!(
            first_time(text, Sort::Error(Carrier::Plain), &formats),
            time("2026/06/23 14:02:11")
        );
        assert_eq!(
            last_time(text, Sort::Error(Carrier::Plain), &formats),
            time("2026/06/23 15:00:00")
        );
        let access = COMBINED.as_bytes();
        assert_eq!(
            last_time(access, Sort::Access(0), &formats),
            time("2026/06/23 14:02:12")
        );
    }
}
