//! Records cover their input exactly, however it comes, and lines keep their meaning in any carrier.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use log::error::{
    Carrier, Class, Event, Forgery, Pasted, Record, Records, Splitter, While, decode,
    may_be_upstream_failure, parse, parse_pasted, plain,
};
use proptest::prelude::*;
use std::io::{self, Read};

const LINE: &str = "2026/11/21 01:43:17 [error] 7#7: *9 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: example.com, request: \"GET /a HTTP/1.1\", upstream: \"http://127.0.0.1:8000/a\", host: \"example.com\"";
const TRACE: &str = "2026/11/21 01:43:18 [error] 7#7: *11 FastCGI sent in stderr: \"PHP message: x\nStack trace:\n#0 {main}\" while reading response header from upstream, client: 192.0.2.7, server: example.com, request: \"GET / HTTP/1.1\", upstream: \"fastcgi://127.0.0.1:9000\", host: \"h\"";

/// Gives its bytes in pieces of the given sizes.
struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: Vec<usize>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self
            .sizes
            .pop()
            .unwrap_or(7)
            .clamp(1, buffer.len().max(1))
            .min(self.bytes.len());
        let (mut now, later) = self.bytes.split_at(size);
        self.bytes = later;
        now.read(buffer)
    }
}

type Kept = (Vec<u8>, u64, u32, Option<Forgery>);

fn keep(record: Record<'_>) -> Kept {
    (
        record.bytes.to_vec(),
        record.offset,
        record.line_count,
        record.inside,
    )
}

fn split(bytes: &[u8], sizes: Vec<usize>) -> Vec<Kept> {
    let mut splitter = Splitter::new(Pieces { bytes, sizes }, 0);
    let mut records = Vec::new();
    while let Some(record) = splitter.next_record().unwrap() {
        records.push(keep(record));
    }
    records
}

fn logs() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(LINE.as_bytes().to_vec()),
        Just(TRACE.as_bytes().to_vec()),
        Just(b"2026/11/21 01:43:17 [error] 7#7: *9 open() \"/srv/a".to_vec()),
        "[ -~]{0,50}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..30),
        Just(vec![b'A'; 5000]),
        Just(Vec::new()),
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("")];
    prop::collection::vec((line, end), 0..40).prop_map(|lines| {
        lines
            .into_iter()
            .flat_map(|(line, end)| [line, end.as_bytes().to_vec()].concat())
            .collect()
    })
}

proptest! {
    #[test]
    fn records_cover_the_input(bytes in logs()) {
        let mut joined = Vec::new();
        for record in Records::new(&bytes) {
            prop_assert_eq!(record.offset, joined.len() as u64);
            prop_assert!(record.line_count >= 1);
            joined.extend_from_slice(record.bytes);
        }
        prop_assert_eq!(joined, bytes);
    }

    #[test]
    fn pieces_give_the_same_records(bytes in logs(), sizes in prop::collection::vec(1_usize..6000, 0..40)) {
        let whole: Vec<_> = Records::new(&bytes).map(keep).collect();
        prop_assert_eq!(split(&bytes, sizes), whole);
    }
}

/// Found by the fuzz target `error_log`: the far lines of a record that begins at the end of the window had not come yet.
#[test]
fn what_begins_at_the_end_of_the_window_is_seen_as_a_whole_in_pieces_too() {
    let between = "2026/11/21 01:43:17 [error] 7#7: *9 %0a\n".repeat(100);
    let path = "y\n".repeat(1500);
    let request = format!("GET /{} HTTP/1.1", "y%0a".repeat(300));
    let last = format!(
        "2026/11/21 01:43:17 [error] 7#7: *9 open() \"/srv/{path}\" failed (2: No such file or directory), client: 192.0.2.7, server: a, request: \"{request}\"\n"
    );
    let text = [between.as_str(), &last, &between, &between, &between].concat();
    let whole: Vec<Kept> = Records::new(text.as_bytes()).map(keep).collect();
    assert!(whole[0].3.is_some(), "{:?}", whole[0]);
    assert_eq!(split(text.as_bytes(), Vec::new()), whole);
}

#[test]
fn continuation_lines_belong_to_the_record_before() {
    let log = format!("left over\n{LINE}\n{TRACE}\r\n{LINE}");
    let counts: Vec<_> = Records::new(log.as_bytes())
        .map(|record| record.line_count)
        .collect();
    assert_eq!(counts, [1, 1, 3, 1]);
    let trace = Records::new(log.as_bytes())
        .nth(2)
        .unwrap()
        .event()
        .unwrap();
    assert_eq!(trace.class, Class::FastcgiStderr);
    assert_eq!(trace.upstream.unwrap().peer, "127.0.0.1:9000");
    assert_eq!(trace.host.unwrap(), "h");
}

#[test]
fn names_that_nginx_looks_up_for_itself_are_no_upstreams() {
    let ocsp = |what: &str| {
        format!(
            "2026/11/21 01:43:17 [warn] 7#7: {what} while requesting certificate status, responder: r3.o.lencr.org, certificate: \"/etc/ssl/shop.pem\""
        )
    };
    let http = "client: 192.0.2.7, server: shop, request: \"GET / HTTP/1.1\", host: \"shop\"";
    let mail = "2026/11/21 01:43:17 [error] 7#7: *9 192.0.2.7 could not be resolved (3: Host not found) while in resolving client address, client: 192.0.2.7, server: 0.0.0.0:25";
    let of_request =
        format!("2026/11/21 01:43:17 [error] 7#7: *9 no resolver defined to resolve app, {http}");
    for (line, class) in [
        (
            ocsp("no resolver defined to resolve r3.o.lencr.org"),
            Class::Ocsp,
        ),
        (
            ocsp("r3.o.lencr.org could not be resolved (3: Host not found)"),
            Class::Ocsp,
        ),
        (mail.to_owned(), Class::NotUpstream),
        (of_request, Class::DnsNoResolver),
    ] {
        let event = parse(line.as_bytes()).unwrap();
        assert_eq!(event.class, class, "{line}");
    }
}

#[test]
fn what_a_reader_cannot_read_is_its_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    assert_eq!(
        Splitter::new(Broken, 0)
            .next_record()
            .unwrap_err()
            .to_string(),
        "gone"
    );
}

#[test]
fn no_record_is_longer_than_nginx_writes() {
    let log = format!("{LINE}\n{}", "x\n".repeat(100_000));
    assert!(Records::new(log.as_bytes()).all(|record| record.bytes.len() <= 4098));
}

fn is_the_line(event: &Event<'_>, carrier: Carrier) {
    assert_eq!(event.class, Class::ConnectRefused, "{carrier:?}");
    assert_eq!(event.errno, Some(111));
    assert_eq!(event.upstream.unwrap().peer, "127.0.0.1:8000");
    assert_eq!(event.server.unwrap(), "example.com");
    assert_eq!(event.host.unwrap(), "example.com");
    assert_eq!(event.time, parse(LINE.as_bytes()).unwrap().time);
    assert_eq!(event.carrier, carrier);
}

#[test]
fn prefixes_of_carriers_are_taken_off() {
    for (prefix, carrier) in [
        ("", Carrier::Plain),
        ("<187>Nov 21 01:22:45 vm ng: ", Carrier::Syslog),
        ("<187>Nov 21 01:22:45  nginx: ", Carrier::Syslog),
        ("<187>Nov 21 01:22:45 nginx: ", Carrier::Syslog),
        ("Nov  1 01:22:45 web1 nginx: ", Carrier::Syslog),
        ("Nov 21 01:22:45 web1 nginx[123]: ", Carrier::Journal),
        (
            "2026-11-21T01:43:17.123456+01:00 web1 nginx: ",
            Carrier::SyslogIso,
        ),
        (
            "2026-11-21T01:43:17+0100 web1 nginx[123]: ",
            Carrier::Journal,
        ),
        ("2026-11-21T00:43:17.123456789Z ", Carrier::SyslogIso),
        ("2026-11-21T00:43:17.123456789Z stderr F ", Carrier::Cri),
        ("web-1  | ", Carrier::Compose),
        ("my_web.1 | ", Carrier::Compose),
    ] {
        let line = format!("{prefix}{LINE}\n");
        is_the_line(
            &parse(line.as_bytes()).unwrap_or_else(|| panic!("{prefix}")),
            carrier,
        );
        is_the_line(&decode(line.as_bytes()).event().unwrap(), carrier);
        let log = format!("{line}{line}");
        assert_eq!(Records::new(log.as_bytes()).count(), 2, "{prefix}");
    }
}

#[test]
fn a_prefix_is_no_head_in_a_plain_file() {
    let log = format!(
        "2026/11/21 01:43:17 [error] 7#7: *9 open() \"/srv/a\nNov 21 01:22:45 web1 nginx: {LINE}\n"
    );
    assert_eq!(Records::new(log.as_bytes()).count(), 1);
}

fn docker_line(line: &str) -> String {
    let escaped = line.replace('"', "\\\"");
    format!(
        "{{\"log\":\"{escaped}\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-21T00:43:17.1Z\"}}\n"
    )
}

#[test]
fn dockers_json_is_unescaped() {
    let line = docker_line(LINE);
    is_the_line(
        &decode(line.as_bytes()).event().unwrap(),
        Carrier::DockerJson,
    );
    let (carrier, text) = plain(line.as_bytes());
    assert_eq!(
        (carrier, &*text),
        (Carrier::DockerJson, format!("{LINE}\n").as_bytes())
    );
}

#[test]
fn records_of_several_lines_become_whole_outside_their_carrier() {
    let expect = format!("{TRACE}\n{LINE}\n");
    let lines = || expect.lines();
    let docker = lines().map(docker_line).collect::<Vec<_>>().concat();
    let compose = lines()
        .map(|line| ["web-1  | ", line, "\n"].concat())
        .collect::<Vec<_>>()
        .concat();
    let cri: String = lines()
        .flat_map(|line| {
            let (first, second) = line.split_at(line.len() / 2);
            [
                format!("2026-11-21T00:43:17.1Z stderr P {first}\n"),
                format!("2026-11-21T00:43:17.1Z stderr F {second}\n"),
            ]
        })
        .collect();
    for (log, carrier) in [
        (docker, Carrier::DockerJson),
        (compose, Carrier::Compose),
        (cri, Carrier::Cri),
        (expect.clone(), Carrier::Plain),
    ] {
        let (found, text) = plain(log.as_bytes());
        assert_eq!(
            (found, String::from_utf8_lossy(&text)),
            (carrier, expect.as_str().into())
        );
    }
}

#[test]
fn start_up_messages_have_no_time_of_their_own() {
    let text = "nginx: [emerg] host not found in upstream \"app\" in /etc/nginx/nginx.conf:12";
    for prefix in ["", "Nov 21 01:22:45 web1 nginx[123]: ", "web-1  | "] {
        let line = format!("{prefix}{text}");
        let event = parse(line.as_bytes()).unwrap_or_else(|| panic!("{prefix}"));
        assert_eq!(
            (event.class, event.time, event.pid),
            (Class::ConfigDnsAtStartup, None, None),
            "{prefix}"
        );
    }
    let line = format!("2026-11-21T01:43:17+0100 web1 nginx[1]: {text}");
    assert_eq!(
        parse(line.as_bytes()).unwrap().time.unwrap().to_string(),
        "2026/11/21 01:43:17"
    );
}

#[test]
fn angies_text_and_json_are_read() {
    let text = "2026/11/21 01:43:17 [error] 7#7: *9 connect() failed (111: Connection refused) while connecting to upstream, client: \"192.0.2.7\", server: \"example.com\", request_line: \"GET /a HTTP/1.1\", upstream: \"http://127.0.0.1:8000/a\", host: \"example.com\"";
    let event = parse(text.as_bytes()).unwrap();
    is_the_line(&event, Carrier::Plain);
    assert_eq!(event.client.unwrap(), "192.0.2.7");
    assert_eq!(event.request.unwrap(), "GET /a HTTP/1.1");
    let json = r#"{"time":"2026-11-21T01:43:17+01:00","level":"error","pid":7,"tid":7,"connection":9,"message":"connect() failed","error":{"code":111,"message":"Connection refused"},"action":"connecting to upstream","http":{"client":"192.0.2.7","request":{"server":"example.com","request_line":"GET /a\", \"upstream\": \"http://6.6.6.6/ HTTP/1.1","upstream":"http://127.0.0.1:8000/a","host":"example.com"}}}"#;
    is_the_line(
        &decode(json.as_bytes()).event().unwrap(),
        Carrier::AngieJson,
    );
}

type Told = (Class, Option<u16>, Option<&'static str>, Option<String>);

fn pasted(text: &str) -> Option<Told> {
    let event = parse_pasted(text.as_bytes())?;
    Some((
        event.class,
        event.errno,
        event.action.map(While::as_str),
        event.upstream.map(|upstream| upstream.peer.to_string()),
    ))
}

#[test]
fn fragments_that_guides_quote_are_read() {
    use Class::*;
    let connecting = Some("connecting to upstream");
    let header = Some("reading response header from upstream");
    for (text, class, errno, action, peer) in [
        (
            "nginx 502: connect() failed (13: Permission denied) while connecting to upstream",
            PermissionDenied,
            Some(13),
            connecting,
            None,
        ),
        (
            "2026/06/15 14:22:01 [crit] 1182#1182: *5 connect() failed (13: Permission denied) while connecting to upstream, client: 10.0.0.4, upstream: \"http://127.0.0.1:3000/\", host: \"app.example.com\"",
            PermissionDenied,
            Some(13),
            connecting,
            Some("127.0.0.1:3000"),
        ),
        (
            "[error] 2841#2841: *10532 connect() failed (111: Connection refused) while connecting to upstream, upstream: \"http://127.0.0.1:9000/\"",
            ConnectRefused,
            Some(111),
            connecting,
            Some("127.0.0.1:9000"),
        ),
        (
            "[error] connect() failed (111: Connection refused) while connecting to upstream, upstream: \"http://127.0.0.1:8080/api/\"",
            ConnectRefused,
            Some(111),
            connecting,
            Some("127.0.0.1:8080"),
        ),
        (
            "[error] 2841#2841: *10544 upstream prematurely closed connection while reading response header from upstream, upstream: \"fastcgi://unix:/run/php/php8.2-fpm.sock:\", request: \"POST /upload.php\"",
            PrematureClose,
            None,
            header,
            Some("unix:/run/php/php8.2-fpm.sock"),
        ),
        (
            "[error] 2841#2841: *10590 no live upstreams while connecting to upstream, upstream: \"http://app/\", request: \"GET / HTTP/1.1\"",
            NoLiveUpstreams,
            None,
            connecting,
            Some("app"),
        ),
        (
            "[crit] 2841#2841: *10610 connect() to 127.0.0.1:9000 failed (13: Permission denied) while connecting to upstream",
            PermissionDenied,
            Some(13),
            connecting,
            None,
        ),
        (
            "[error] 2841#2841: *10700 upstream prematurely closed connection while reading response header from upstream, upstream: \"http://127.0.0.1:3000/\"",
            PrematureClose,
            None,
            header,
            Some("127.0.0.1:3000"),
        ),
        (
            "[error] connect() failed (111: Connection refused) while connecting to upstream, upstream: \"http://[::1]:8000/\"",
            ConnectRefused,
            Some(111),
            connecting,
            Some("[::1]:8000"),
        ),
        (
            "[error] connect() failed (111: Connection refused) while connecting to upstream, upstream: \"fastcgi://unix:/run/php/php8.1-fpm.sock:\"",
            ConnectRefused,
            Some(111),
            connecting,
            Some("unix:/run/php/php8.1-fpm.sock"),
        ),
        (
            "NGINX Error Guide: 'connect() failed (111: Connection refused) while connecting to upstream'",
            ConnectRefused,
            Some(111),
            connecting,
            None,
        ),
        (
            "connect() failed (111: Connection refused)",
            ConnectRefused,
            Some(111),
            None,
            None,
        ),
        ("no live upstreams", NoLiveUpstreams, None, None, None),
        (
            "> upstream timed out (110: Connection timed out) while reading response header from upstream",
            ReadTimeout,
            Some(110),
            header,
            None,
        ),
        (
            "*1 recv() failed (104: Connection reset by peer) while reading response header from upstream",
            ConnectionReset,
            Some(104),
            header,
            None,
        ),
        (
            "app.example.com could not be resolved (3: Host not found)",
            Dns,
            None,
            None,
            None,
        ),
    ] {
        assert_eq!(
            pasted(text),
            Some((class, errno, action, peer.map(str::to_owned))),
            "{text}"
        );
    }
}

#[test]
fn prose_and_commands_are_no_fragments() {
    for text in [
        "",
        "nginx serves a 502 Bad Gateway and the error log shows [crit] something else",
        "connect() failed,upstream prematurely closed connection, orno live upstreams. - The site works when you",
        "3. Upstream closed the connection prematurely",
        "* connect to 127.0.0.1 port 8000 failed: Connection refused",
        "sudo grep -E \"connect\\(\\) failed\" /var/log/nginx/error.log | tail -5",
        "With an upstream {} block, NGINX takes failed peers out of rotation; you get no live upstreams.",
        "connect() failed (111: Connection refused) means NGINX dialed an address where nothing is listening.",
    ] {
        assert_eq!(pasted(text), None, "{text}");
    }
}

#[test]
fn escaped_pastes_are_unescaped() {
    for text in [
        LINE.replace('"', "&quot;"),
        LINE.replace('"', "\\\""),
        LINE.replacen('"', "\u{201c}", 3).replace('"', "\u{201d}"),
        format!("```\n{LINE}\n```\n"),
        format!(
            "{{\"log\":\"{}\\n\",\"stream\":\"stderr\"}}",
            LINE.replace('"', "\\\"")
        ),
    ] {
        let pasted = Pasted::new(text.as_bytes());
        let events: Vec<_> = pasted.events().map(|(_, event)| event).collect();
        assert_eq!(events.len(), 1, "{text}");
        assert_eq!(events[0].upstream.unwrap().peer, "127.0.0.1:8000", "{text}");
        assert_eq!(events[0].class, Class::ConnectRefused);
    }
}

#[test]
fn wrapped_pastes_are_put_together() {
    let hard = LINE
        .as_bytes()
        .chunks(80)
        .map(|chunk| String::from_utf8_lossy(chunk).into_owned())
        .collect::<Vec<_>>()
        .join("\n");
    let soft = LINE.replace(", ", ",\n  ");
    let coloured = LINE.replace("error", "\u{1b}[01;31m\u{1b}[Kerror\u{1b}[m");
    for text in [hard, soft, coloured] {
        let pasted = Pasted::new(text.as_bytes());
        let events: Vec<_> = pasted.events().map(|(_, event)| event).collect();
        assert_eq!(events.len(), 1, "{text}");
        is_the_line(&events[0], Carrier::Plain);
    }
    let two = format!("{LINE}\n{LINE}\n");
    assert_eq!(Pasted::new(two.as_bytes()).events().count(), 2);
}

#[test]
fn a_hole_before_a_head_is_skipped() {
    let line = [&[0_u8; 100][..], LINE.as_bytes()].concat();
    is_the_line(&parse(&line).unwrap(), Carrier::Plain);
    assert!(may_be_upstream_failure(&line));
}

#[test]
fn the_journals_json_is_unescaped() {
    let escaped = LINE.replace('"', "\\\"");
    let line = format!("{{\"_PID\":\"7\",\"MESSAGE\":\"{escaped}\",\"PRIORITY\":\"6\"}}\n");
    is_the_line(
        &decode(line.as_bytes()).event().unwrap(),
        Carrier::JournalJson,
    );
    assert_eq!(&*plain(line.as_bytes()).1, format!("{LINE}\n").as_bytes());
    let numbers = LINE
        .bytes()
        .map(|byte| byte.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let line = format!("{{\"MESSAGE\":[{numbers}]}}");
    is_the_line(
        &decode(line.as_bytes()).event().unwrap(),
        Carrier::JournalJson,
    );
}

#[test]
fn a_quick_look_knows_the_prefixes() {
    let line = format!("Nov 21 01:22:45 web1 nginx[123]: {LINE}");
    assert!(may_be_upstream_failure(line.as_bytes()));
    assert!(!may_be_upstream_failure(
        b"2026/11/21 01:43:17 [notice] 7#7: reconfiguring"
    ));
    assert!(!may_be_upstream_failure(b"left over"));
}

#[test]
fn an_accept_that_seems_to_fail_towards_a_peer_is_not_passed_over() {
    // Found by fuzzing: two lines run into one, where a file system lost what was between.
    let line = b"2026/11/21 01:00:00 [crit] 7#7: accept4() failed (24: Too many open files) while connecting to upstream, client: 10.0.0.1, server: a, upstream: \"http://127.0.0.1:80/\"";
    assert!(parse(line).is_some_and(|event| event.is_upstream_failure()));
    assert!(may_be_upstream_failure(line));
}

#[test]
fn a_syslog_socket_is_no_peer() {
    let request = "client: 192.0.2.7, server: a, request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:1/\"";
    let while_connecting = format!("while connecting to upstream, {request}");
    for (head, message, tail, is_failure) in [
        (
            "[alert] 7#7:",
            "connect() failed (2: No such file or directory)",
            "",
            false,
        ),
        (
            "[error] 7#7:",
            "send() failed (111: Connection refused)",
            "",
            false,
        ),
        (
            "[alert] 7#7:",
            "connect() to unix:/dev/log failed (2: No such file or directory)",
            "",
            false,
        ),
        (
            "[alert] 7#7:",
            "connect() failed (2: No such file or directory)",
            "while logging to syslog, server: unix:/dev/log",
            false,
        ),
        (
            "[error] 7#7:",
            "send() failed (111: Connection refused)",
            "while logging to syslog, server: 127.0.0.1:514",
            false,
        ),
        (
            "[error] 7#7: *1",
            "connect() failed (111: Connection refused)",
            "",
            true,
        ),
        (
            "[error] 7#7: *1",
            "connect() failed (111: Connection refused)",
            &while_connecting,
            true,
        ),
    ] {
        let line = format!("2026/06/23 14:00:00 {head} {message} {tail}");
        let event = log::error::parse(line.trim_end().as_bytes()).unwrap();
        assert_eq!(event.is_upstream_failure(), is_failure, "{line}");
        assert_eq!(
            event.class == log::error::Class::Syslog,
            !is_failure,
            "{line}"
        );
    }
}
