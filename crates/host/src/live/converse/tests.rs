use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use facts::exchange::{End, Exchange};
use facts::{Get, Hello, PeerAddress, Speech};
use rustls::crypto::ring;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

const WITHIN: u64 = 400;

fn get() -> Speech {
    Speech::Http(Get {
        tls: None,
        target: "/".to_owned(),
        is_http11: true,
        headers: vec![("Host".to_owned(), "shop".to_owned())],
    })
}

fn params() -> Vec<(String, String)> {
    vec![("REQUEST_METHOD".to_owned(), "GET".to_owned())]
}

fn held(to: PeerAddress, speech: Speech) -> Conversation {
    Conversation {
        from: Caller::Own,
        bind: None,
        to,
        tls: None,
        speech,
        within: WITHIN,
    }
}

/// A peer that does this with every connection, as long as the test runs.
fn peer(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> PeerAddress {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    PeerAddress::Tcp(address)
}

fn answers(bytes: &'static [u8]) -> PeerAddress {
    peer(move |mut stream| {
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(bytes).ok();
        // A peer that closes on what it has not read resets the connection.
        stream.read_to_end(&mut Vec::new()).ok();
    })
}

fn heard(conversation: Conversation) -> Exchange {
    let answer = converse(&[conversation]).pop().unwrap().unwrap();
    let Answer::Bytes(text) = answer else {
        panic!("{answer:?}")
    };
    Exchange::parse(&text)
}

/// Writes until nobody reads any more.
fn writes(mut stream: TcpStream, bytes: &[u8], pause: Duration) {
    while stream.write_all(bytes).is_ok() {
        thread::sleep(pause);
    }
}

#[test]
fn hostile_peers_cost_one_time_out_however_many_there_are() {
    let hangs = peer(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let drips = peer(|stream| writes(stream, b"H", Duration::from_secs(1)));
    let resets = peer(|stream| {
        // Closed with bytes that nobody read.
        stream.peek(&mut [0]).ok();
    });
    let headers = peer(|mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").ok();
        writes(stream, b"X-Endless: header\r\n", Duration::ZERO);
    });
    let slow_headers = peer(|mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").ok();
        writes(stream, b"X: y\r\n", Duration::from_millis(20));
    });
    let body = peer(|mut stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
            .ok();
        writes(stream, b"x", Duration::from_millis(50));
    });
    let kinds = [&hangs, &drips, &resets, &headers, &slow_headers, &body];
    let all: Vec<Conversation> = (0..60)
        .map(|at| held(kinds[at % kinds.len()].clone(), get()))
        .collect();
    let start = Instant::now();
    let answers = converse(&all);
    let took = start.elapsed();
    assert!(took < Duration::from_millis(2 * WITHIN), "{took:?}");
    let ended: Vec<Exchange> = answers
        .into_iter()
        .take(kinds.len())
        .map(|answer| match answer.unwrap() {
            Answer::Bytes(text) => Exchange::parse(&text),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ended[0].ended, Some(End::Silent));
    assert_eq!(ended[1].ended, Some(End::Silent));
    assert!(matches!(
        ended[2].ended,
        Some(End::Closed | End::Errno(104))
    ));
    assert_eq!(ended[3].refused.as_deref(), Some("a header without end"));
    assert_eq!(ended[4].ended, Some(End::Silent));
    // The header says enough.
    assert_eq!(
        (ended[5].status(), ended[5].ended),
        (Some(200), Some(End::Whole))
    );
    assert!(ended[5].took < Duration::from_millis(WITHIN));
}

#[test]
fn what_refuses_a_connection_is_an_errno() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = PeerAddress::Tcp(closed.local_addr().unwrap());
    drop(closed);
    assert_eq!(converse(&[held(to, get())]), [Err(Errno::CONNREFUSED)]);
    let missing = PeerAddress::Unix("/nowhere/app.sock".into());
    assert_eq!(converse(&[held(missing, get())]), [Err(Errno::NOENT)]);
}

#[test]
fn it_comes_from_the_address_that_is_named() {
    let listening = answers(b"HTTP/1.1 204 No Content\r\n\r\n");
    let from = |bind: [u8; 4]| Conversation {
        bind: Some(bind.into()),
        ..held(listening.clone(), get())
    };
    assert_eq!(
        heard(from([127, 0, 0, 9])).local,
        Some([127, 0, 0, 9].into())
    );
    let foreign = converse(&[from([203, 0, 113, 1])]);
    assert_eq!(foreign, [Err(Errno::ADDRNOTAVAIL)]);
}

#[test]
fn a_response_is_read_in_every_protocol() {
    let http = heard(held(
        answers(b"HTTP/1.1 204 No Content\r\nServer: app\r\n\r\n"),
        get(),
    ));
    assert_eq!((http.status(), http.ended), (Some(204), Some(End::Whole)));
    let interim = heard(held(
        answers(b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        get(),
    ));
    assert_eq!((interim.status(), interim.body), (Some(200), 2));
    let uwsgi = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(
        heard(held(uwsgi, Speech::Uwsgi(params()))).status(),
        Some(200)
    );
    let scgi = answers(b"Status: 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        heard(held(scgi, Speech::Scgi(params()))).status(),
        Some(404)
    );
    let fastcgi = answers(
        b"\x01\x06\0\x01\0\x1c\x04\0Content-type: text/x\r\n\r\npong\0\0\0\0\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0",
    );
    let fastcgi = heard(held(fastcgi, Speech::FastCgi(params())));
    assert_eq!(fastcgi.status(), Some(200));
    assert_eq!(fastcgi.said.as_deref(), Some("FastCGI request complete"));
    let memcached = heard(held(answers(b"VERSION 1.6.18\r\n"), Speech::Memcached));
    assert_eq!(memcached.said.as_deref(), Some("VERSION 1.6.18"));
    let nothing = heard(held(answers(b""), Speech::Nothing));
    assert_eq!(nothing.ended, Some(End::Whole));
}

#[test]
fn health_is_asked_over_http2() {
    let grpc = || Speech::GrpcHealth {
        authority: "shop".to_owned(),
    };
    let serving = answers(
        b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x07\0\x01\0\0\0\x01\0\0\0\0\x02\x08\x01",
    );
    let serving = heard(held(serving, grpc()));
    assert_eq!(serving.status(), Some(200));
    assert_eq!(serving.said.as_deref(), Some("health SERVING"));
    let none = answers(b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x88");
    let none = heard(held(none, grpc()));
    assert_eq!(none.said.as_deref(), Some("no health service"));
    let goodbye = answers(b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b");
    let goodbye = heard(held(goodbye, grpc()));
    assert_eq!(
        goodbye.said.as_deref(),
        Some("HTTP/2 goodbye with error 11")
    );
    let http = heard(held(answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), grpc()));
    assert_eq!(http.refused.as_deref(), Some("no HTTP/2 frame"));
}

#[test]
fn another_protocol_is_told_by_its_first_bytes() {
    let speeches = [
        get(),
        Speech::Uwsgi(params()),
        Speech::FastCgi(params()),
        Speech::Memcached,
    ];
    for speech in speeches {
        let exchange = heard(held(answers(b"\x15\x03\x01\0\x02\x02\x46"), speech.clone()));
        assert!(exchange.refused.is_some(), "{speech:?}");
        assert_eq!(
            exchange.received, b"\x15\x03\x01\0\x02\x02\x46",
            "{speech:?}"
        );
    }
    let hello = heard(held(
        answers(b"SSH-2.0-x\r\n"),
        Speech::Hello(Hello::FastCgi),
    ));
    assert_eq!(hello.received, b"SSH-2.0-x\r\n");
}

#[test]
fn over_tls_the_certificate_is_shown_and_the_answer_read() {
    let made = rcgen::generate_simple_self_signed(["app.internal".to_owned()]).unwrap();
    let der = made.cert.der().clone();
    let key = made.signing_key.serialize_der();
    let shown = der.clone();
    let to = peer(move |stream| {
        let key = key.clone().try_into().unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der.clone()], key)
            .unwrap();
        let tls = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(tls, stream);
        assert!(stream.read(&mut [0; 4096]).unwrap_or(0) > 0);
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(response).unwrap();
        stream.flush().unwrap();
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let tls = Hello::Tls {
        name: Some("app.internal".to_owned()),
        tls13: true,
    };
    let over = |to: &PeerAddress, speech| Conversation {
        tls: Some(tls.clone()),
        within: 5_000,
        ..held(to.clone(), speech)
    };
    let exchange = heard(over(&to, get()));
    assert_eq!(exchange.status(), Some(200));
    assert_eq!(exchange.certificates, [shown.to_vec()]);
    let nothing = heard(over(&to, Speech::Nothing));
    assert_eq!(nothing.tls.unwrap().0, "TLSv1.3");
    let plain = heard(over(&answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), get()));
    assert_eq!(plain.tls, None);
    assert!(plain.received.starts_with(b"HTTP/1.1"));
}
