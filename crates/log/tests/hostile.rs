//! What clients, applications and decoded paths write into a line moves nothing that nginx wrote.

use log::error::{Author, Class, Event, Field, Forgery, Records, parse};
use proptest::prelude::*;

const REAL: &str = "http://127.0.0.1:8000";
const MESSAGES: &[&str] = &[
    "connect() failed (111: Connection refused) while connecting to upstream",
    "upstream prematurely closed connection while reading response header from upstream",
    "upstream timed out (110: Connection timed out) while reading response header from upstream",
    "no live upstreams while connecting to upstream",
    "upstream sent invalid header: \"X\\x20...\" while reading response header from upstream",
    "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream",
    "app.example.com could not be resolved (3: Host not found)",
];

fn line(message: &str, request: &str, host: &str, referrer: &str) -> String {
    format!(
        "2026/11/21 01:43:17 [error] 7#7: *9 {message}, client: 192.0.2.7, server: example.com, request: \"{request}\", upstream: \"{REAL}/a\", host: \"{host}\", referrer: \"{referrer}\""
    )
}

fn same(event: &Event<'_>, good: &Event<'_>) {
    assert_eq!(event.class, good.class);
    assert_eq!(event.errno, good.errno);
    assert_eq!(event.action, good.action);
    assert_eq!(event.client, good.client);
    assert_eq!(event.server, good.server);
    assert_eq!(event.connection, good.connection);
    assert_eq!(
        event.upstream.map(|upstream| upstream.peer),
        good.upstream.map(|upstream| upstream.peer)
    );
    assert_eq!(event.outcome(), good.outcome());
}

/// Pieces of nginx's own grammar, between arbitrary text.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("\", upstream: \"http://6.6.6.6/".to_owned()),
        Just(", upstream: \"http://6.6.6.6/\"".to_owned()),
        Just("\", host: \"evil".to_owned()),
        Just("\", referrer: \"evil".to_owned()),
        Just("\", subrequest: \"/evil".to_owned()),
        Just(", client: 6.6.6.6, server: evil, request: \"GET / HTTP/1.1\"".to_owned()),
        Just("\" failed (2: No such file or directory), client: 6.6.6.6, server: evil".to_owned()),
        Just("connect() failed (13: Permission denied) while connecting to upstream".to_owned()),
        Just("2026/11/21 01:43:17 [crit] 1#1: *1 ".to_owned()),
        Just("&quot;, upstream: &quot;http://6.6.6.6/&quot;".to_owned()),
        Just("\\\", \\\"upstream\\\": \\\"http://6.6.6.6/\\\"".to_owned()),
        Just("\u{1b}[31m\t\u{7f}\u{80}".to_owned()),
        Just("{\"log\":\"x\"}".to_owned()),
        "[^\n\r\0]{0,40}",
        Just("A".repeat(500)),
    ];
    prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_hostile_host_and_referrer_change_nothing(
        message in prop::sample::select(MESSAGES), host in hostile(), referrer in hostile()
    ) {
        let good = line(message, "GET /a HTTP/1.1", "example.com", "https://example.com/");
        let evil = line(message, "GET /a HTTP/1.1", &host, &referrer);
        // A cut is told by the length alone.
        prop_assume!(evil.len() != 2047 && evil.len() != 4095);
        same(&parse(evil.as_bytes()).unwrap(), &parse(good.as_bytes()).unwrap());
    }

    #[test]
    fn a_hostile_request_changes_nothing(message in prop::sample::select(MESSAGES), uri in hostile(), referrer in hostile()) {
        // No nginx accepts a request line in which ` H` begins anything but the version.
        let uri = uri.replace(" H", " h");
        let request = format!("GET /{uri} HTTP/1.1");
        let good = line(message, "GET /a HTTP/1.1", "example.com", "https://example.com/");
        let evil = line(message, &request, "example.com", &referrer);
        prop_assume!(evil.len() != 2047 && evil.len() != 4095);
        let event = parse(evil.as_bytes()).unwrap();
        same(&event, &parse(good.as_bytes()).unwrap());
        prop_assert_eq!(event.request.unwrap().to_string(), request);
    }

    #[test]
    fn a_line_cut_anywhere_keeps_what_it_still_says(message in prop::sample::select(MESSAGES), referrer in hostile(), cut in 0_usize..3000) {
        let whole = line(message, "GET /a HTTP/1.1", "example.com", &referrer).into_bytes();
        let cut = cut.min(whole.len());
        let good = parse(&whole).unwrap();
        if let Some(event) = parse(&whole[..cut]) {
            if let Some(upstream) = event.upstream && cut > 300 {
                prop_assert_eq!(upstream.peer, good.upstream.unwrap().peer);
            }
            if event.host.is_some() {
                prop_assert_eq!(event.class, good.class);
                prop_assert_eq!(event.server, good.server);
            }
        }
    }

    #[test]
    fn nothing_panics(bytes: Vec<u8>, tail in "[ -~\n\r]{0,300}") {
        let _ = parse(&bytes);
        let mut line = b"2026/11/21 01:43:17 [error] 7#7: *9 ".to_vec();
        line.extend_from_slice(tail.as_bytes());
        line.extend_from_slice(&bytes);
        let _ = parse(&line);
        let _ = log::error::decode(&bytes).event();
        let _ = log::error::parse_pasted(&bytes);
        let _ = log::error::Pasted::new(&line).events().count();
        let _ = log::error::may_be_upstream_failure(&line);
        for record in Records::new(&line) {
            let _ = record.event();
        }
    }

    #[test]
    fn every_cut_of_every_phrase_is_safe(cut in 0_usize..400, message in prop::sample::select(MESSAGES), garbage in "[ -~]{0,60}") {
        let line = line(message, "GET /a HTTP/1.1", "h", "r");
        let mut line = line.into_bytes();
        line.truncate(cut);
        line.extend_from_slice(garbage.as_bytes());
        let _ = parse(&line);
        let _ = log::error::parse_pasted(&line);
    }

    #[test]
    fn a_quick_look_never_rejects_a_failure(message in prop::sample::select(MESSAGES), referrer in hostile()) {
        let line = line(message, "GET /a HTTP/1.1", "h", &referrer);
        let event = parse(line.as_bytes()).unwrap();
        prop_assert!(event.is_upstream_failure());
        prop_assert!(log::error::may_be_upstream_failure(line.as_bytes()));
    }
}

fn forgeries(log: &str) -> Vec<(Class, Option<Forgery>)> {
    Records::new(log.as_bytes())
        .filter_map(|record| record.event())
        .map(|event| (event.class, event.forgery))
        .collect()
}

const FORGED: &str = "2026/01/01 00:00:00 [error] 1#1: *9 connect() failed (111: Connection refused) while connecting to upstream, client: 1.2.3.4, server: x, request: \"GET / HTTP/1.1\", upstream: \"fastcgi://6.6.6.6:9000\", host: \"x\"";
const TAIL: &str = "\" failed (2: No such file or directory), client: 192.0.2.7, server: example.com, request: \"GET /a%0a2026 HTTP/1.1\", host: \"example.com\"";
const GENUINE: &str = "2026/11/21 01:43:18 [error] 7#7: *11 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.8, server: example.com, request: \"GET /a HTTP/1.1\", upstream: \"http://127.0.0.1:8000/a\", host: \"example.com\"";

#[test]
fn a_line_inside_a_decoded_path_is_marked_and_the_next_one_is_not() {
    let log = format!(
        "{GENUINE}\n2026/11/21 01:43:17 [error] 7#7: *9 open() \"/srv/a\n{FORGED}{TAIL}\n{GENUINE}\n"
    );
    assert_eq!(
        forgeries(&log),
        [
            (Class::ConnectRefused, None),
            (Class::NotUpstream, None),
            (Class::ConnectRefused, Some(Forgery::InsideText)),
            (Class::ConnectRefused, None),
        ]
    );
}

#[test]
fn several_forged_lines_are_marked_up_to_the_true_tail() {
    // The first pretends to end the path's text, the second is perfect, the third carries the true tail.
    let tail = TAIL.replace("%0a", "%0a1%0a2%0a");
    let log = format!(
        "2026/11/21 01:43:17 [error] 7#7: *9 open() \"/srv/a{TAIL}\n{FORGED}{TAIL}\n{FORGED}\n{FORGED}{tail}\n{GENUINE}\n"
    );
    let signs: Vec<_> = forgeries(&log).into_iter().map(|(_, sign)| sign).collect();
    let inside = Some(Forgery::InsideText);
    assert_eq!(signs, [None, inside, inside, inside, None]);
}

#[test]
fn a_line_inside_a_decoded_uri_is_marked() {
    let open = "2026/11/21 01:43:17 [error] 7#7: *9 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: example.com, request: \"GET /v/a%0a2026 HTTP/1.1\", upstream: \"http://127.0.0.1:8000/v/a";
    for (first, end) in [
        ("", "\", host: \"example.com\""),
        ("\", host: \"x\"", "\", host: \"example.com\""),
    ] {
        let log = format!("{open}{first}\n{FORGED}{end}\n{GENUINE}\n");
        let signs: Vec<_> = forgeries(&log).into_iter().map(|(_, sign)| sign).collect();
        assert_eq!(signs, [None, Some(Forgery::InsideText), None], "{first}");
    }
}

#[test]
fn a_line_inside_an_applications_text_is_marked() {
    let log = format!(
        "2026/11/21 01:43:17 [error] 7#7: *9 FastCGI sent in stderr: \"x\n{FORGED}\" while reading response header from upstream, client: 192.0.2.7, server: example.com, request: \"GET / HTTP/1.1\", upstream: \"fastcgi://127.0.0.1:9000\", host: \"h\"\n{GENUINE}\n"
    );
    let signs: Vec<_> = forgeries(&log).into_iter().map(|(_, sign)| sign).collect();
    assert_eq!(signs, [None, Some(Forgery::InsideText), None]);
}

const STDERR: &str = "2026/11/21 01:43:17 [error] 7#7: *9 FastCGI sent in stderr: \"";
const STDERR_TAIL: &str = "\" while reading response header from upstream, client: 192.0.2.7, server: example.com, request: \"GET / HTTP/1.1\", upstream: \"fastcgi://127.0.0.1:9000\", host: \"h\"";

fn signs(log: &str) -> Vec<Option<Forgery>> {
    forgeries(log).into_iter().map(|(_, sign)| sign).collect()
}

#[test]
fn whole_lines_inside_an_applications_text_are_marked_however_many() {
    let inside = Some(Forgery::InsideText);
    let forged = FORGED.replace("1#1", "7#7");
    let connections = "2026/11/21 01:43:17 [alert] 7#7: 512 worker_connections are not enough";
    for line in [&forged, connections] {
        for count in 1..5 {
            let lines = vec![line; count].join("\n");
            let log = format!("{STDERR}x\n{lines}{STDERR_TAIL}\n{GENUINE}\n{GENUINE}\n");
            let mut expected = vec![inside; count + 3];
            expected[0] = None;
            expected[count + 1..].fill(None);
            assert_eq!(signs(&log), expected, "{count} x {line}");
        }
    }
}

#[test]
fn an_applications_text_that_looks_ended_is_not_believed() {
    let forged = FORGED.replace("1#1", "7#7");
    for start in [
        // An errno, a part of the tail, all of it.
        "x (13: Permission denied)",
        "x\" while reading response header from upstream, client: 192.0.2.7, server: a",
        &format!("x{STDERR_TAIL}"),
    ] {
        // Where all of the tail is there, honest logs may look the same.
        let inside = Some(if start.ends_with(STDERR_TAIL) {
            Forgery::PerhapsInside
        } else {
            Forgery::InsideText
        });
        let log = format!("{STDERR}{start}\n{forged}\n{forged}{STDERR_TAIL}\n{GENUINE}\n");
        assert_eq!(signs(&log), [None, inside, inside, None], "{start}");
        // nginx's tail stands alone in the last line.
        let log = format!("{STDERR}{start}\n{forged}\n{STDERR_TAIL}\n{GENUINE}\n");
        assert_eq!(signs(&log), [None, inside, None], "{start}");
    }
    // The last line looks like what nginx says of another text.
    let inside = Some(Forgery::InsideText);
    let log = format!("{STDERR}x\n{forged}\n{STDERR}y{STDERR_TAIL}\n{GENUINE}\n");
    assert_eq!(signs(&log), [None, inside, inside, None]);
}

#[test]
fn an_applications_text_that_nginx_cut_ends_there() {
    let forged = FORGED.replace("1#1", "7#7");
    for (start, sign) in [
        ("x", Forgery::InsideText),
        (&format!("x{STDERR_TAIL}"), Forgery::PerhapsInside),
    ] {
        let inside = Some(sign);
        let first = format!("{STDERR}{start}\n{forged}\n{forged}, referrer: \"\"");
        let padding = "A".repeat(2047 - first.len());
        // The last line is whole: nginx cut just behind it.
        let last = first.strip_suffix('"').unwrap();
        let log = format!("{last}{padding}\"\n{GENUINE}\n{GENUINE}\n");
        assert_eq!(signs(&log), [None, inside, inside, None, None], "{start}");
    }
}

#[test]
fn whole_lines_in_a_path_whose_first_line_looks_whole_are_doubted() {
    // A path of a file that is not there: it closes nginx's line itself, and begins another one for nginx to close.
    let head = "2026/11/21 01:43:17 [error] 7#7: *9 open() \"/srv/";
    let tail = "\" failed (2: No such file or directory), client: 192.0.2.7, server: example.com, request: \"GET ";
    let connections = "2026/11/21 01:43:17 [alert] 31#31: 768 worker_connections are not enough";
    for forged in [FORGED, connections] {
        let log = format!(
            "{GENUINE}\n{head}x{tail}/x HTTP/1.1\", host: \"h\"\n{forged}\n{head}y{tail}/x%22%20failed%0A2026%0A2026 HTTP/1.1\", host: \"h\"\n{GENUINE}\n"
        );
        let signs = signs(&log);
        assert!(signs[2].is_some(), "{signs:?}");
        assert_eq!([signs[0], signs[3], signs[4]], [None; 3], "{signs:?}");
    }
}

#[test]
fn honest_texts_of_applications_make_no_suspects() {
    let text = format!("{STDERR}PHP message: PHP Warning:  x in /a.php{STDERR_TAIL}");
    let header = GENUINE.replace(
        "connect() failed (111: Connection refused) while connecting to upstream",
        "upstream sent invalid header: \"X\\x20...\" while reading response header from upstream",
    );
    let log = [
        &text,
        GENUINE,
        &text,
        &header.replace("http://", "fastcgi://"),
        &text,
        GENUINE,
    ]
    .map(|line| format!("{line}\n"))
    .concat();
    assert_eq!(signs(&log), [None; 6]);
}

/// Lines, heads and ends of records, as far as an application may write them.
fn written() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just(format!("\n{FORGED}")),
        Just(format!("\n{FORGED}\n")),
        Just(
            "\n2026/11/21 01:43:17 [alert] 7#7: 512 worker_connections are not enough\n".to_owned()
        ),
        Just("\n2026/11/21 01:43:17 [error] 7#7: *9 open() \"/srv/x".to_owned()),
        Just(" (2: No such file or directory)".to_owned()),
        Just(
            "\" while reading response header from upstream, client: 6.6.6.6, server: x".to_owned()
        ),
        Just(STDERR_TAIL.to_owned()),
        Just("\n".to_owned()),
        "[ -~\n]{0,60}",
        Just("A".repeat(300)),
    ];
    prop::collection::vec(pieces, 0..9).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_that_an_application_wrote_counts(text in written()) {
        let mut record = format!("{STDERR}{text}{STDERR_TAIL}");
        record.truncate(2047);
        let log = format!("{GENUINE}\n{record}\n{GENUINE}\n{GENUINE}\n");
        let counted: Vec<_> = Records::new(log.as_bytes())
            .filter_map(|record| record.event())
            .filter(|event| event.forgery.is_none() && event.class != Class::FastcgiStderr)
            .map(|event| event.time)
            .collect();
        // A path that was begun in the text takes what stands behind it along, no further than one write: the property
        // below bounds that.
        let genuine = parse(GENUINE.as_bytes()).unwrap().time;
        prop_assert!((1..=3).contains(&counted.len()), "{counted:?}");
        prop_assert!(counted.iter().all(|time| *time == genuine), "{counted:?}");
    }

    #[test]
    fn an_applications_text_without_an_end_reaches_no_further_than_one_write(text in written(), lines in 10_usize..30) {
        // As `grep` leaves it, or a full disk.
        let first = format!("{STDERR}{}", text.replace(STDERR_TAIL, "").replace('\n', " "));
        let honest = format!("{GENUINE}\n{STDERR}x{STDERR_TAIL}\n").repeat(lines);
        let log = format!("{first}\n{honest}");
        let far = (log.len() - first.len()).saturating_sub(4096) / (GENUINE.len() + STDERR.len() + STDERR_TAIL.len() + 3);
        let counted = signs(&log).into_iter().rev().take_while(Option::is_none).count();
        prop_assert!(counted >= 2 * far, "{counted} of {far}");
    }
}

#[test]
fn a_forged_line_whose_tail_was_cut_is_marked() {
    let start = "2026/11/21 01:43:17 [error] 7#7: *9 open() \"/srv/a\n";
    for limit in [2048, 4096] {
        let mut log = format!("{start}{FORGED}\n{FORGED}");
        log.push_str(&"A".repeat(limit - 1 - log.len()));
        let log = format!("{log}\n{GENUINE}\n{GENUINE}\n");
        let signs: Vec<_> = forgeries(&log).into_iter().map(|(_, sign)| sign).collect();
        let inside = Some(Forgery::InsideText);
        assert_eq!(signs, [None, inside, inside, None, None], "{limit}");
    }
}

#[test]
fn lines_that_were_cut_or_run_over_several_lines_make_no_suspects() {
    let mut cut = "2026/11/21 01:43:17 [error] 7#7: *9 open() \"/srv/".to_owned();
    cut.push_str(&"S".repeat(2047 - cut.len()));
    let trace = "2026/11/21 01:43:17 [error] 7#7: *9 FastCGI sent in stderr: \"PHP message: PHP Fatal error:  Uncaught Error in /a.php:3\nStack trace:\n#0 {main}\n  thrown in /a.php on line 3\" while reading response header from upstream, client: 192.0.2.7, server: example.com, request: \"GET / HTTP/1.1\", upstream: \"fastcgi://127.0.0.1:9000\", host: \"h\"";
    let missing = "2026/11/21 01:43:17 [error] 7#7: *9 open() \"/srv/a\" failed (2: No such file or directory), client: 192.0.2.7, server: example.com, request: \"GET /a HTTP/1.1\", host: \"example.com\"";
    let log = [&cut, trace, missing, GENUINE, missing, GENUINE, GENUINE]
        .map(|line| format!("{line}\n"))
        .concat();
    for (class, sign) in forgeries(&log) {
        assert_eq!(sign, None, "{class}");
    }
    assert_eq!(Records::new(log.as_bytes()).nth(1).unwrap().line_count, 4);
}

#[test]
fn lines_without_fields_make_no_suspects() {
    for line in [
        "2026/11/21 01:43:17 [error] 7#7: *9 some module says \"something",
        "2026/11/21 01:43:17 [error] 7#7: open() \"/etc/x\" failed (2: No such file or directory)",
        "2026/11/21 01:43:17 [warn] 7#7: \"ssl_stapling\" ignored, issuer certificate not found",
        "2026/11/21 01:43:17 [notice] 7#7: reconfiguring",
        "2026/11/21 01:43:17 [error] 7#7: *9 FastCGI sent in stderr: \"PHP message: only the first line of a trace",
    ] {
        let log = format!("{line}\n{GENUINE}\n{GENUINE}\n");
        for (class, sign) in forgeries(&log) {
            assert_eq!(sign, None, "{class} behind {line}");
        }
    }
}

#[test]
fn a_client_cannot_make_suspects_of_others_with_a_referrer_alone() {
    let missing = "2026/11/21 01:43:17 [error] 7#7: *9 open() \"/srv/a\" failed (2: No such file or directory), client: 192.0.2.7, server: example.com, request: \"GET /a HTTP/1.1\", host: \"example.com\"";
    let hostile = format!(
        "{GENUINE}, referrer: \"x\" failed (2: x), client: 6.6.6.6, server: x\", host: \"y\""
    );
    let log = format!("{missing}\n{GENUINE}\n{hostile}\n{GENUINE}\n");
    for (class, sign) in forgeries(&log) {
        assert_eq!(sign, None, "{class}");
    }
}

#[test]
fn an_upstream_without_a_scheme_is_no_peer() {
    let line = GENUINE.replace("http://127", "http:/127");
    let event = parse(line.as_bytes()).unwrap();
    assert_eq!(
        (event.upstream, event.forgery),
        (None, Some(Forgery::NoScheme))
    );
}

#[test]
fn a_second_upstream_behind_a_decoded_subrequest_is_nobodys() {
    let line = "2026/11/21 01:43:17 [error] 7#7: *9 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: example.com, request: \"GET /s HTTP/1.1\", subrequest: \"/s\", upstream: \"http://6.6.6.6/\", upstream: \"http://127.0.0.1:8000/s\", host: \"h\"";
    let event = parse(line.as_bytes()).unwrap();
    assert_eq!(
        (event.upstream, event.forgery),
        (None, Some(Forgery::FieldTwice))
    );
}

#[test]
fn who_wrote_what_is_known() {
    let event = parse(GENUINE.as_bytes()).unwrap();
    for (field, author) in [
        (Field::Failure, Author::Nginx),
        (Field::Peer, Author::Nginx),
        (Field::Server, Author::Nginx),
        (Field::Message, Author::Nginx),
        (Field::Uri, Author::Client),
        (Field::Request, Author::Client),
        (Field::Host, Author::Client),
        (Field::Referrer, Author::Client),
    ] {
        assert_eq!(event.author(field), author, "{field:?}");
    }
}
