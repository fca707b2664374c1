//! One GET on a connection made as another process would make it, and what came of it.
//!
//! Nothing but a GET can be said here, and of the answer only what tells of the server is kept: its status, the sizes of
//! its headers, the few values of [`facts::exchange::is_kept`].

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use facts::exchange::{End, Exchange, Head, Header, RECEIVED, is_kept, is_page_of_nginx};
use facts::{Answer, Get, Hello, PeerAddress};
use rustix::fd::OwnedFd;
use rustix::io::{self, Errno};
use rustix::net::getsockname;
use rustls::ClientConnection;

use super::connect::{adopt, attempt, deadline};
use super::handshake::{client, finished, read, write};

/// A connection that takes longer than this is none.
const CONNECT: Duration = Duration::from_secs(2);
/// Larger response headers than any client takes.
const MOST_HEAD: usize = 256 << 10;
pub(super) const MOST_HEADERS: usize = 512;
/// A body is read to its end, where that is not far: an application that is left in the middle may log an error.
const MOST_BODY: u64 = 4 << 20;
/// As much of a body as nginx's own error pages have.
const PAGE: usize = 1024;
/// Bytes of a value that are kept.
const MOST_VALUE: usize = 100;

/// Must run on a thread of its own: it becomes the process and stays so.
pub(super) fn request(
    from: Option<u32>,
    to: &PeerAddress,
    get: &Get,
    budget: Duration,
) -> io::Result<Answer> {
    let deadline = deadline(budget);
    let request = head_of(get).ok_or(Errno::INVAL)?;
    // Reads what a first use of the library reads, before another root is entered.
    let tls = match &get.tls {
        Some(Hello::Tls { name, tls13 }) => {
            Some(client(name.as_deref(), *tls13, &[]).ok_or(Errno::INVAL)?)
        }
        Some(Hello::Http1 | Hello::Http2 | Hello::FastCgi | Hello::Uwsgi) => {
            return Err(Errno::INVAL);
        }
        None => None,
    };
    adopt(from)?;
    let start = Instant::now();
    let Some(socket) = attempt(to, deadline.min(start + CONNECT))? else {
        return Ok(Answer::TimedOut);
    };
    let mut exchange = Exchange {
        connected: start.elapsed(),
        local: own_address(&socket).map(|address| address.ip()),
        ..Exchange::default()
    };
    let mut wire = Wire {
        socket,
        tls,
        deadline,
    };
    let ended = converse(&mut wire, &request, &mut exchange);
    exchange.ended = Some(ended.unwrap_or_else(|stop| match stop {
        Stop::Ended(end) => end,
        Stop::Alert(alert) => {
            exchange.alert = Some(alert);
            End::Closed
        }
        Stop::Refused(why) => {
            exchange.refused = Some(why);
            End::Cut
        }
        Stop::Errno(errno) => End::Errno(errno.raw_os_error()),
    }));
    Ok(Answer::Bytes(exchange.to_text().into_bytes()))
}

/// Why an exchange came to no whole response.
enum Stop {
    Ended(End),
    Alert(u8),
    Refused(String),
    Errno(Errno),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// The bytes of a request; `None` where a part of it could say more than it should.
pub(super) fn head_of(get: &Get) -> Option<Vec<u8>> {
    let is_target =
        get.target.starts_with('/') && get.target.bytes().all(|byte| byte.is_ascii_graphic());
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            // A body would follow.
            && !name.eq_ignore_ascii_case("content-length")
            && !name.eq_ignore_ascii_case("transfer-encoding")
    };
    let is_value = |value: &str| value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_fit = |(name, value): &(String, String)| is_name(name) && is_value(value);
    if !(is_target && get.headers.iter().all(is_fit)) {
        return None;
    }
    let version = if get.is_http11 { "1.1" } else { "1.0" };
    let mut head = format!("GET {} HTTP/{version}\r\n", get.target);
    for (name, value) in &get.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    Some(head.into_bytes())
}

pub(super) fn own_address(socket: &OwnedFd) -> Option<SocketAddr> {
    SocketAddr::try_from(getsockname(socket).ok()?).ok()
}

/// A connection, with or without TLS.
struct Wire {
    socket: OwnedFd,
    tls: Option<ClientConnection>,
    deadline: Instant,
}

impl Wire {
    /// Sends what is to be sent, after the handshake where there is one.
    fn send(&mut self, bytes: &[u8], exchange: &mut Exchange) -> Result<(), Stop> {
        let Some(mut tls) = self.tls.take() else {
            return self.put(bytes);
        };
        while tls.is_handshaking() {
            self.flush(&mut tls)?;
            if tls.is_handshaking() && self.feed(&mut tls)? == 0 {
                return Err(Stop::Ended(End::Closed));
            }
        }
        exchange.tls = finished(&tls);
        let written = tls.writer().write_all(bytes);
        written.map_err(|error| Stop::Refused(error.to_string()))?;
        self.flush(&mut tls)?;
        self.tls = Some(tls);
        Ok(())
    }

    fn put(&self, bytes: &[u8]) -> Result<(), Stop> {
        if write(&self.socket, bytes, self.deadline)? {
            Ok(())
        } else {
            Err(Stop::Ended(End::Silent))
        }
    }

    fn flush(&self, tls: &mut ClientConnection) -> Result<(), Stop> {
        let mut out = Vec::new();
        while tls.wants_write() && tls.write_tls(&mut out).is_ok_and(|count| count > 0) {}
        self.put(&out)
    }

    /// Takes in what came, of TLS; 0 when the other side closed.
    fn feed(&self, tls: &mut ClientConnection) -> Result<usize, Stop> {
        let mut buffer = [0; 16 << 10];
        let count = self.take(&mut buffer)?;
        let mut bytes = buffer.get(..count).unwrap_or_default();
        while !bytes.is_empty() {
            if tls.read_tls(&mut bytes).is_err() {
                return Err(Stop::Refused("more bytes than it reads".to_owned()));
            }
            match tls.process_new_packets() {
                Ok(_) => {}
                Err(rustls::Error::AlertReceived(alert)) => return Err(Stop::Alert(alert.into())),
                Err(error) => return Err(Stop::Refused(error.to_string())),
            }
        }
        Ok(count)
    }

    fn take(&self, buffer: &mut [u8]) -> Result<usize, Stop> {
        read(&self.socket, buffer, self.deadline)?.ok_or(Stop::Ended(End::Silent))
    }

    /// The next bytes of the response; 0 when the other side closed.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        let Some(mut tls) = self.tls.take() else {
            return self.take(buffer);
        };
        loop {
            match tls.reader().read(buffer) {
                Ok(count) => {
                    self.tls = Some(tls);
                    return Ok(count);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                // Closed without TLS's own farewell.
                Err(_) => return Ok(0),
            }
            self.flush(&mut tls)?;
            if self.feed(&mut tls)? == 0 {
                return Ok(0);
            }
        }
    }
}

/// Sends the request and reads the response to its end.
fn converse(wire: &mut Wire, request: &[u8], exchange: &mut Exchange) -> Result<End, Stop> {
    wire.send(request, exchange)?;
    let sent = Instant::now();
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    let (head, mut rest) = loop {
        let count = wire.receive(&mut buffer)?;
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        match parse(&bytes) {
            Parsed::Whole(mut head, length) => {
                head.after = sent.elapsed();
                // An interim response (RFC 9110, 15.2) comes before the one that was asked for.
                bytes.drain(..length);
                if head.status >= 200 {
                    break (head, std::mem::take(&mut bytes));
                }
            }
            Parsed::Part if count == 0 => return Ok(End::Closed),
            Parsed::Part if bytes.len() < MOST_HEAD => {}
            Parsed::Part => return Err(Stop::Refused("a header without end".to_owned())),
            Parsed::Foreign => {
                exchange.received = bytes.into_iter().take(RECEIVED).collect();
                return Err(Stop::Refused("no HTTP response".to_owned()));
            }
        }
    };
    let mut body = Body::of(&head);
    let status = head.status;
    exchange.head = Some(head);
    let mut page = Vec::new();
    let ended = loop {
        page.extend(rest.iter().take(PAGE.saturating_sub(page.len())));
        body.take(&rest);
        if body.is_whole() {
            break Ok(End::Whole);
        }
        if body.bytes >= MOST_BODY {
            break Ok(End::Cut);
        }
        match wire.receive(&mut buffer) {
            Ok(0) if body.ends_with_connection() => break Ok(End::Whole),
            Ok(0) => break Ok(End::Closed),
            Ok(count) => rest = buffer.get(..count).unwrap_or_default().to_vec(),
            Err(stop) => break Err(stop),
        }
    };
    exchange.body = body.bytes;
    exchange.is_page_of_nginx = is_page_of_nginx(&page, status);
    // Where the response says its own end, nginx still has to close: by then it has written its access log.
    if matches!(ended, Ok(End::Whole)) && !body.ends_with_connection() {
        wire.deadline = wire.deadline.min(Instant::now() + FAREWELL);
        while matches!(wire.receive(&mut buffer), Ok(count) if count > 0) {}
    }
    ended
}

/// How long the other side may take to close when all is said.
const FAREWELL: Duration = Duration::from_millis(200);

pub(super) enum Parsed {
    /// The header, and its bytes.
    Whole(Head, usize),
    Part,
    Foreign,
}

pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => {
            let headers = response.headers.iter().map(header);
            Parsed::Whole(
                Head {
                    status: response.code.unwrap_or_default(),
                    after: Duration::ZERO,
                    bytes: u64::try_from(length).unwrap_or(u64::MAX),
                    headers: headers.collect(),
                },
                length,
            )
        }
        Ok(httparse::Status::Partial) => Parsed::Part,
        Err(_) => Parsed::Foreign,
    }
}

pub(super) fn header(header: &httparse::Header<'_>) -> Header {
    let name = header.name.to_ascii_lowercase();
    let value = std::str::from_utf8(header.value).ok();
    let is_shown = |value: &&str| {
        is_kept(&name)
            && value.len() <= MOST_VALUE
            && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    Header {
        value: value.filter(is_shown).map(str::to_owned),
        bytes: u64::try_from(header.value.len()).unwrap_or(u64::MAX),
        name,
    }
}

/// How far a body has been read, and where it ends (RFC 9112, 6.3).
pub(super) struct Body {
    pub(super) bytes: u64,
    length: Option<u64>,
    is_chunked: bool,
    is_none: bool,
    /// Its last bytes, for the end of the last chunk.
    tail: Vec<u8>,
}

/// The last chunk without trailers.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Body {
    pub(super) fn of(head: &Head) -> Self {
        let value = |name: &str| {
            let header = head.headers.iter().find(|header| header.name == name)?;
            header.value.as_deref()
        };
        let is_chunked = value("transfer-encoding")
            .is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked"));
        Self {
            bytes: 0,
            length: value("content-length")
                .filter(|_| !is_chunked)
                .and_then(|length| length.parse().ok()),
            is_chunked,
            is_none: matches!(head.status, 204 | 304),
            tail: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        let last = bytes.len().saturating_sub(LAST_CHUNK.len());
        self.tail.extend(bytes.get(last..).unwrap_or_default());
        let excess = self.tail.len().saturating_sub(LAST_CHUNK.len());
        self.tail.drain(..excess);
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_none
            || self.length.is_some_and(|length| self.bytes >= length)
            || (self.is_chunked && self.tail == LAST_CHUNK)
    }

    pub(super) fn ends_with_connection(&self) -> bool {
        !self.is_none && self.length.is_none() && !self.is_chunked
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::thread::{self, JoinHandle};

    use rustls::crypto::ring;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;

    fn get(target: &str) -> Get {
        Get {
            tls: None,
            target: target.to_owned(),
            is_http11: true,
            headers: vec![
                ("Host".to_owned(), "shop".to_owned()),
                ("Connection".to_owned(), "close".to_owned()),
            ],
        }
    }

    /// Serves one connection, and what a GET meets there.
    fn meets(get: &Get, serve: impl FnOnce(TcpStream) + Send + 'static) -> Exchange {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = PeerAddress::Tcp(listener.local_addr().unwrap());
        let server: JoinHandle<()> = thread::spawn(move || serve(listener.accept().unwrap().0));
        let answer = request(None, &to, get, Duration::from_secs(2)).unwrap();
        server.join().unwrap();
        let Answer::Bytes(text) = answer else {
            panic!("{answer:?}")
        };
        Exchange::parse(&text)
    }

    /// Answers any request, after reading all of it.
    fn answers(response: &'static [u8]) -> impl FnOnce(TcpStream) + Send + 'static {
        move |mut stream| {
            read_request(&mut stream);
            stream.write_all(response).unwrap();
        }
    }

    fn read_request(stream: &mut impl std::io::Read) -> String {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        String::from_utf8(request).unwrap()
    }

    #[test]
    fn the_request_is_what_was_told_and_nothing_more() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let exchange = meets(&get("/cart?id=7"), move |mut stream| {
            sender.send(read_request(&mut stream)).unwrap();
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .unwrap();
        });
        assert_eq!(
            receiver.recv().unwrap(),
            "GET /cart?id=7 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(exchange.status(), Some(204));
        assert_eq!(exchange.local, Some([127, 0, 0, 1].into()));
    }

    #[test]
    fn what_could_say_more_than_a_get_is_not_sent() {
        let with = |name: &str, value: &str| {
            let mut get = get("/");
            get.headers.push((name.to_owned(), value.to_owned()));
            get
        };
        for get in [
            get("/a b"),
            get("/\r\nX: y"),
            get("*"),
            with("X", "a\r\nY: b"),
            with("X Y", "a"),
            with("", "a"),
            with("Content-Length", "5"),
            with("transfer-encoding", "chunked"),
        ] {
            let to = PeerAddress::Tcp(([127, 0, 0, 1], 1).into());
            let answer = request(None, &to, &get, Duration::from_secs(1));
            assert_eq!(answer.err(), Some(Errno::INVAL), "{get:?}");
        }
    }

    #[test]
    fn a_response_is_read_to_its_end_in_every_form() {
        for (response, body, ended) in [
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".as_slice(),
                5,
                End::Whole,
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
                5,
                End::Closed,
            ),
            (b"HTTP/1.0 200 OK\r\n\r\nhello", 5, End::Whole),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                15,
                End::Whole,
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                10,
                End::Closed,
            ),
            (
                b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
                0,
                End::Whole,
            ),
        ] {
            let exchange = meets(&get("/"), answers(response));
            let text = String::from_utf8_lossy(response);
            assert_eq!(exchange.status(), Some(200), "{text}");
            assert_eq!(
                (exchange.body, exchange.ended),
                (body, Some(ended)),
                "{text}"
            );
        }
    }

    #[test]
    fn values_that_may_be_secret_are_counted_and_dropped() {
        let exchange = meets(
            &get("/"),
            answers(b"HTTP/1.1 200 OK\r\nServer: app/1\r\nSet-Cookie: sid=s3cret\r\nX-Token: abc\r\n\r\n"),
        );
        assert!(!exchange.to_text().contains("s3cret"));
        let head = exchange.head.unwrap();
        assert_eq!(head.largest(), Some(("set-cookie", 10)));
        let values: Vec<_> = head.headers.iter().map(|header| &header.value).collect();
        assert_eq!(values, [&Some("app/1".to_owned()), &None, &None]);
    }

    #[test]
    fn what_is_no_response_is_told_by_its_first_bytes() {
        let exchange = meets(&get("/"), answers(b"SSH-2.0-OpenSSH_9.2p1\r\n"));
        assert_eq!(exchange.received, b"SSH-2.0-OpenSSH_9.2p1\r\n");
        assert_eq!(exchange.status(), None);
        let exchange = meets(&get("/"), answers(b""));
        assert_eq!(exchange.ended, Some(End::Closed));
    }

    #[test]
    fn silence_ends_with_the_budget() {
        let exchange = meets(&get("/"), |mut stream| {
            read_request(&mut stream);
            // Until the other side has left.
            stream.read_to_end(&mut Vec::new()).unwrap();
        });
        assert_eq!(exchange.ended, Some(End::Silent));
    }

    #[test]
    fn over_tls_it_is_the_same() {
        let mut get = get("/");
        get.tls = Some(Hello::Tls {
            name: Some("app.internal".to_owned()),
            tls13: true,
        });
        let exchange = meets(&get, |stream| {
            let made = rcgen::generate_simple_self_signed(["app.internal".to_owned()]).unwrap();
            let key = made.signing_key.serialize_der().try_into().unwrap();
            let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .unwrap();
            let tls = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(tls, stream);
            read_request(&mut stream);
            let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(response).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        });
        assert_eq!(exchange.status(), Some(200));
        assert_eq!(exchange.ended, Some(End::Whole));
        assert_eq!(exchange.tls.unwrap().0, "TLSv1.3");
        let plain = meets(&get, answers_tls_with_http);
        assert_eq!(plain.status(), None);
        assert!(plain.refused.is_some());
    }

    fn answers_tls_with_http(mut stream: TcpStream) {
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    }
}
