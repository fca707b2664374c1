//! Real lines of Debian's nginx 1.22.1 (1.22.1-9+deb12u10), one or more of each kind, made on loopback.
//!
//! The file was put together from several runs, so lines stand beside each other that were not written so.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use bstr::ByteSlice as _;
use log::error::{Event, Forgery, Records, Seen, parse};
use std::collections::BTreeSet;

const SAMPLES: &[u8] = include_bytes!("data/samples-1.22.1.log");

fn events() -> impl Iterator<Item = (&'static [u8], Event<'static>)> {
    Records::new(SAMPLES).map(|record| {
        let line = String::from_utf8_lossy(record.bytes);
        let event = parse(record.bytes).unwrap_or_else(|| panic!("no event: {line}"));
        (record.bytes, event)
    })
}

/// A message without the numbers that a run happened to have.
fn stable(event: &Event<'_>) -> String {
    let first = event
        .message
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    let mut text = String::new();
    let mut digits = String::new();
    for c in first.chars().chain(['\n']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        // Ports, file names, codes.
        text.push_str(if digits.len() > 4 { "N" } else { &digits });
        digits.clear();
        text.push(c);
    }
    text.trim_end().chars().take(60).collect()
}

fn row(event: &Event<'_>) -> String {
    let errno = event
        .errno
        .map_or("-".to_owned(), |errno| errno.to_string());
    let outcome = match event.outcome() {
        Seen::Status(status) => status.to_string(),
        other => format!("{other:?}").to_lowercase(),
    };
    let failure = if event.is_upstream_failure() {
        "failure"
    } else {
        "-"
    };
    let action = event.action.map_or("-", |action| action.as_str());
    let sign = event
        .forgery
        .map(|sign| format!(" | {sign:?}"))
        .unwrap_or_default();
    format!(
        "{} | {errno} | {outcome} | {failure} | {} | {action} | {}{sign}",
        event.class,
        event.level.unwrap(),
        stable(event)
    )
}

#[test]
fn every_kind_of_line_is_read_as_reviewed() {
    let rows: BTreeSet<_> = events().map(|(_, event)| row(&event)).collect();
    let rows: Vec<_> = rows.into_iter().collect();
    assert_eq!(rows.join("\n"), REVIEWED.trim());
}

#[test]
fn every_upstream_has_a_peer_and_a_protocol() {
    for (line, event) in events() {
        let text = String::from_utf8_lossy(line);
        // The one forged line of the file has an upstream that nginx cannot print; free text is not searched.
        let ambiguous = event.forgery.is_some();
        if text.contains(", upstream: \"")
            && event.is_upstream_failure()
            && !ambiguous
            && !event.truncated
        {
            let upstream = event
                .upstream
                .unwrap_or_else(|| panic!("no upstream: {text}"));
            assert!(!upstream.peer.is_empty(), "{text}");
        }
    }
}

#[test]
fn hostile_samples_keep_their_peer() {
    for (mark, peer) in [
        ("http://6.6.6.6/\", host: \"evil", "127.0.0.1:41883"),
        ("host: \"a\",upstream:\"x\"", "127.0.0.1:41883"),
        ("GET /a\",upstream:\"http://6.6.6.6/", "127.0.0.1:41883"),
        ("multi-space    HTTP/1.1   \"", "127.0.0.1:41883"),
        ("GET http://abs.example/path HTTP/1.0", "127.0.0.1:41883"),
        ("\"GET /http09\"", "127.0.0.1:41883"),
        ("subrequest: \"/authz\"", "127.0.0.1:41883"),
        ("GET /h?x=\"y\" HTTP/1.1", "127.0.0.1:45117"),
    ] {
        let (line, event) = events()
            .find(|(line, event)| {
                event.upstream.is_some() && String::from_utf8_lossy(line).contains(mark)
            })
            .unwrap_or_else(|| panic!("no sample with {mark}"));
        let line = String::from_utf8_lossy(line);
        assert_eq!(event.upstream.unwrap().peer, peer, "{line}");
        assert_eq!(event.forgery, None, "{line}");
    }
}

#[test]
fn only_the_forged_lines_are_suspects() {
    // Of this text the samples lack the further lines, and with them its end: all behind it might be in it.
    let is_cut = |line: &[u8]| line.contains_str("*18 FastCGI sent in stderr");
    let samples: Vec<u8> = SAMPLES
        .lines_with_terminator()
        .filter(|line| !is_cut(line))
        .flatten()
        .copied()
        .collect();
    assert!(samples.len() < SAMPLES.len());
    let suspects: Vec<_> = Records::new(&samples)
        .filter_map(|record| record.event())
        .filter(|event| {
            // Between a text that ends in its line and one of several lines nobody can tell.
            event.forgery.is_some() && event.forgery != Some(Forgery::PerhapsInside)
        })
        .map(|event| (event.pid, event.class.as_str(), event.forgery))
        .collect();
    assert_eq!(
        suspects,
        [
            (Some(1), "config", Some(Forgery::InsideText)),
            (Some(1), "connect-refused", Some(Forgery::InsideText)),
            // An application that writes fields into its own text.
            (Some(26515), "fastcgi-stderr", Some(Forgery::SecondTail)),
            (Some(1), "connect-refused", Some(Forgery::InsideText)),
        ]
    );
}

#[test]
fn lines_that_nginx_cut_are_known_as_such() {
    let cut: Vec<_> = events().filter(|(_, event)| event.truncated).collect();
    assert!(cut.len() >= 8);
    for (line, event) in cut {
        // A line feed from a decoded URI ends a line early, too.
        let line_feed = event
            .request
            .is_some_and(|request| request.to_string().contains("%0a"));
        assert!(line.len() == 2048 || line_feed, "{event:?}");
        assert_eq!(event.referrer, None);
    }
}

/// class | errno | outcome | failure | level | while | message
const REVIEWED: &str = r#"
auth-request-failed | - | 500 | - | error | sending to client | auth request unexpected status: 502
bad-chunked | - | truncated | failure | error | reading response header from upstream | upstream sent invalid chunked response
bad-chunked | - | truncated | failure | error | reading upstream | upstream sent invalid chunked response
client-abort | - | 499 | - | info | SSL handshaking to upstream | epoll_wait() reported that client prematurely closed connect
client-abort | - | 499 | - | info | sending request to upstream | epoll_wait() reported that client prematurely closed connect
client-abort | - | nothing | - | info | - | client 127.0.0.1 closed keepalive connection
client-abort | - | nothing | - | info | - | client ::1 closed keepalive connection
client-bad-request | - | unknown | - | info | reading client request headers | client sent duplicate host header: "Host: b", previous value
client-bad-request | - | unknown | - | info | reading client request headers | client sent invalid host header
client-bad-request | - | unknown | - | info | reading client request line | client sent invalid method
client-bad-request | - | unknown | - | info | reading client request line | client sent invalid request
client-body-buffered-to-disk | - | nothing | - | warn | - | a client request body is buffered to a temporary file /srv/l
client-body-too-large | - | 413 | - | error | - | client intended to send too large body: N bytes
client-stream | - | nothing | - | info | - | client 127.0.0.1:N connected to 127.0.0.1:N
client-stream | - | nothing | - | info | - | udp client 127.0.0.1:N connected to 127.0.0.1:N
config | - | nothing | - | emerg | - | forged", host: "test.local"
config | - | nothing | - | emerg | - | limit_req "b" uses the "$host" key while previously it used 
config-pass-var | - | 500 | - | error | - | invalid URL prefix in "foo"
config-pass-var | - | 500 | - | error | - | invalid URL prefix in "http://"
config-pass-var | - | 500 | - | error | - | invalid port in upstream "a:N"
config-pass-var | - | 500 | - | error | - | no port in upstream "127.0.0.1"
config-pass-var | - | 500 | - | error | - | no port in upstream "foo"
config-pass-var | - | 500 | - | error | - | no port in upstream "foo.test"
connect-invalid | 22 | 502 | failure | crit | connecting to upstream | connect() to 198.51.100.3:80 failed
connect-invalid | 22 | 502 | failure | crit | connecting to upstream | connect() to [fe80::1]:80 failed
connect-refused | 111 | 502 | failure | error | connecting to upstream | connect() failed
connect-refused | 111 | 502 | failure | error | connecting to upstream | connect() failed | NoScheme
connect-refused | 111 | 502 | failure | error | connecting to upstream | connect() to unix:/srv/lab/socks/regular.sock failed
connect-refused | 111 | 502 | failure | error | connecting to upstream | connect() to unix:/srv/lab/socks/stale.sock failed
connect-refused | 111 | truncated | failure | error | proxying and reading from upstream | recv() failed
connect-refused | 111 | unknown | failure | error | connecting to upstream | connect() failed
connect-timeout | 110 | 502 | failure | error | connecting to upstream | upstream timed out
connect-timeout | 110 | 504 | failure | error | connecting to upstream | upstream timed out
connection-reset | 104 | 502 | failure | error | connecting to upstream | connect() failed
connection-reset | 104 | 502 | failure | error | reading response header from upstream | recv() failed
connection-reset | 104 | truncated | failure | error | proxying and reading from upstream | recv() failed
connection-reset | 104 | truncated | failure | error | proxying upgraded connection | recv() failed
connection-reset | 104 | truncated | failure | error | reading upstream | readv() failed
connection-reset | 104 | truncated | failure | error | reading upstream | recv() failed
dns | - | 502 | failure | error | - | backend.test could not be resolved (110: Operation timed out
dns | - | 502 | failure | error | - | backend.test could not be resolved (2: Server failure)
dns | - | 502 | failure | error | - | backend.test could not be resolved (3: Host not found)
dns | - | 502 | failure | error | - | backend.test could not be resolved (5: Operation refused)
dns-no-resolver | - | 502 | failure | error | - | no resolver defined to resolve backend.test
dns-no-resolver | - | 502 | failure | error | - | no resolver defined to resolve foo.test
dns-server-unreachable | 111 | nothing | - | error | resolving | send() failed
ephemeral-ports | 99 | 502 | failure | crit | connecting to upstream | connect() to 127.0.0.1:7000 failed
ephemeral-ports | 99 | 502 | failure | crit | connecting to upstream | connect() to [::1]:9 failed
extra-body | - | nothing | - | warn | reading response header from upstream | upstream sent more data than specified in "Content-Length" h
extra-body | - | nothing | - | warn | reading upstream | upstream sent data after final chunk
extra-body | - | nothing | - | warn | reading upstream | upstream sent more data than specified in "Content-Length" h
fastcgi-stderr | - | nothing | - | error | - | FastCGI sent in stderr: "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE
fastcgi-stderr | - | nothing | - | error | - | FastCGI sent in stderr: "PHP message: PHP Fatal error:  Unca
fastcgi-stderr | - | nothing | - | error | - | FastCGI sent in stderr: "PHP message: dead, client: 1.1.1.1, | SecondTail
fastcgi-stderr | - | nothing | - | error | - | FastCGI sent in stderr: "x
fastcgi-stderr | - | nothing | - | error | reading response header from upstream | FastCGI sent in stderr: "PHP message: dead"
fastcgi-stderr | - | nothing | - | error | reading response header from upstream | FastCGI sent in stderr: "Primary script unknown"
fd-exhaustion | 24 | 500 | failure | alert | connecting to upstream | socket() failed
fd-exhaustion | 24 | nothing | - | crit | - | accept4() failed
header-too-big | - | 502 | failure | error | reading response header from upstream | upstream sent too big header
host-unreachable | 113 | 502 | failure | error | connecting to upstream | connect() failed
host-unreachable | 113 | 502 | failure | error | connecting to upstream | connect() to 198.51.100.1:80 failed
invalid-header | - | 502 | failure | error | reading response header from upstream | upstream sent invalid header: "Content\x20..."
invalid-header | - | 502 | failure | error | reading response header from upstream | upstream sent invalid header: "X-A\x01..."
invalid-header | - | 502 | failure | error | reading response header from upstream | upstream sent invalid header: "X: a\x00..."
invalid-header | - | 502 | failure | error | reading response header from upstream | upstream sent invalid header: "X\x20..."
invalid-header | - | 502 | failure | error | reading response header from upstream | upstream sent invalid status "abc"
lifecycle | - | nothing | - | info | - | proxy 127.0.0.1:N connected to 127.0.0.1:N
lifecycle | - | nothing | - | info | - | udp done, packets from/to client:1/1, bytes from/to client:1
lifecycle | - | nothing | - | info | - | udp proxy 127.0.0.1:N connected to 127.0.0.1:N
lifecycle | - | nothing | - | info | - | upstream disconnected, bytes from/to client:7/0, bytes from/
listen-bind | - | nothing | - | emerg | - | still could not bind()
listen-bind | 98 | nothing | - | emerg | - | bind() to 127.0.0.1:N failed
network-unreachable | 101 | 502 | failure | error | connecting to upstream | connect() to 127.0.0.1:9 failed
network-unreachable | 101 | 502 | failure | error | connecting to upstream | connect() to 198.51.100.4:80 failed
network-unreachable | 101 | 502 | failure | error | connecting to upstream | connect() to 224.0.0.1:80 failed
network-unreachable | 101 | 502 | failure | error | connecting to upstream | connect() to 255.255.255.255:80 failed
network-unreachable | 101 | 502 | failure | error | connecting to upstream | connect() to 8.8.4.4:80 failed
network-unreachable | 101 | 502 | failure | error | connecting to upstream | connect() to [2001:db8::1]:80 failed
no-live-upstreams | - | 502 | failure | error | connecting to upstream | no live upstreams
not-a-directory | 20 | 502 | failure | crit | connecting to upstream | connect() to unix:/srv/lab/socks/regular.sock/x failed
not-fastcgi | - | 502 | failure | error | reading response header from upstream | upstream sent invalid FastCGI record type: 99
not-fastcgi | - | 502 | failure | error | reading response header from upstream | upstream sent unexpected FastCGI record: 3
not-fastcgi | - | 502 | failure | error | reading response header from upstream | upstream sent unsupported FastCGI protocol version: 5
not-fastcgi | - | 502 | failure | error | reading response header from upstream | upstream sent unsupported FastCGI protocol version: 72
not-http | - | 9 | failure | error | reading response header from upstream | upstream sent no valid HTTP/1.0 header
not-http2 | - | 502 | failure | error | reading response header from upstream | upstream sent too large http2 frame: N
not-upstream | - | unknown | - | error | - | open() "/nonexistent/static/
not-upstream | 2 | unknown | - | error | - | open() "/nonexistent/50x.html" failed
not-upstream | 2 | unknown | - | error | - | open() "/nonexistent/static/SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS
peer-marked-down | - | nothing | - | warn | connecting to upstream | upstream server temporarily disabled
peer-marked-down | - | nothing | - | warn | reading response header from upstream | upstream server temporarily disabled
permission-denied | 13 | 502 | failure | crit | connecting to upstream | connect() to 198.51.100.2:80 failed
permission-denied | 13 | 502 | failure | crit | connecting to upstream | connect() to unix:/srv/lab/socks/dir.sock failed
permission-denied | 13 | 502 | failure | crit | connecting to upstream | connect() to unix:/srv/lab/socks/perm.sock failed
premature-close | - | 502 | failure | error | reading response header from upstream | upstream prematurely closed FastCGI stdout
premature-close | - | 502 | failure | error | reading response header from upstream | upstream prematurely closed connection
premature-close-body | - | truncated | failure | error | reading upstream | upstream prematurely closed connection
premature-close-body | - | truncated | failure | error | sending to client | upstream prematurely closed connection
proxy-bind | - | nothing | - | error | - | invalid local address "zz"
proxy-bind | 99 | 500 | failure | crit | connecting to upstream | bind(203.0.113.9) failed
read-timeout | 110 | 504 | failure | error | reading response header from upstream | upstream timed out
read-timeout-body | 110 | truncated | failure | error | reading upstream | upstream timed out
send-timeout | 110 | 504 | failure | error | sending request to upstream | upstream timed out
socket-missing | 2 | 502 | failure | crit | connecting to upstream | connect() to unix:/nonexistent.sock failed
socket-missing | 2 | 502 | failure | crit | connecting to upstream | connect() to unix:/srv/lab/socks/none.sock failed
stream-idle-timeout | 110 | nothing | - | info | proxying connection | connection timed out
temp-path | 13 | 500 | - | crit | - | open() "/srv/lab/run/tmp_client_body/N" failed
temp-path | 13 | truncated | failure | crit | reading upstream | open() "/srv/lab/run/tmp_proxy/N" failed
tls-handshake | - | 502 | failure | crit | SSL handshaking to upstream | SSL_do_handshake() failed (SSL: error:0AN:SSL routines::tlsv
tls-handshake | - | 502 | failure | error | SSL handshaking to upstream | SSL_do_handshake() failed (SSL: error:0AN:SSL routines::sslv
tls-handshake | - | 502 | failure | error | SSL handshaking to upstream | SSL_do_handshake() failed (SSL: error:0ANB:SSL routines::wro
tls-handshake | - | 502 | failure | error | SSL handshaking to upstream | SSL_do_handshake() failed (SSL: error:0ANE:SSL routines::tls
tls-handshake-closed | - | 502 | failure | error | SSL handshaking to upstream | peer closed connection in SSL handshake
tls-handshake-closed | 104 | 502 | failure | error | SSL handshaking to upstream | peer closed connection in SSL handshake
tls-handshake-timeout | 110 | 504 | failure | error | SSL handshaking to upstream | upstream timed out
tls-local-certificate | - | 500 | failure | error | connecting to upstream | cannot load certificate "/nonexistent.pem": BIO_new_file() f
tls-verify | - | 502 | failure | error | SSL handshaking to upstream | upstream SSL certificate verify error: (18:self-signed certi
unix-backlog-full | 11 | 502 | failure | error | connecting to upstream | connect() to unix:/srv/lab/socks/full.sock failed
upgraded-idle-timeout | 110 | nothing | - | info | proxying upgraded connection | upstream timed out
upstream-buffered-to-disk | - | nothing | - | warn | reading upstream | an upstream response is buffered to a temporary file /srv/la
worker-connections | - | 500 | failure | alert | connecting to upstream | 11 worker_connections are not enough
worker-connections | - | nothing | - | alert | - | 10 worker_connections are not enough
worker-connections-low | - | nothing | - | warn | - | 8 worker_connections are not enough, reusing connections
wrong-socket-type | 91 | 502 | failure | crit | connecting to upstream | connect() to unix:/srv/lab/socks/dgram.sock failed
"#;
