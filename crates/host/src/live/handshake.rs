//! The hello of a protocol on a connection made as another process would make it, and what comes back.
//!
//! Sends no byte of an application's request: a TLS handshake, HTTP/1's question to the server itself, HTTP/2's preface, FastCGI's question for values, uwsgi's
//! ping. Trusts nobody and believes nothing: the peer's certificates are taken down, not checked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use facts::handshake::{Ended, Greeting, RECEIVED};
use facts::{Answer, Hello, PeerAddress};
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use rustix::io::{self, Errno};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, version,
};

use super::connect::{adopt, attempt, deadline, ready};

/// After its own last word in a TLS 1.3 handshake a client does not know yet whether the peer accepts it.
const AFTERTHOUGHT: Duration = Duration::from_millis(150);
/// A whole handshake with a long chain of certificates stays far below.
const MOST_READ: usize = 256 << 10;

/// See [`Hello::Http1`]; longer than HTTP/2's preface, lest a server waits for the rest of that.
pub(super) const HTTP1: &[u8] = b"OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n";
/// The connection preface (RFC 9113, 3.4), and an empty SETTINGS frame.
pub(super) const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `FCGI_GET_VALUES` for `FCGI_MAX_CONNS`, of request 0 (FastCGI 1.0, 4.1).
pub(super) const FASTCGI: &[u8] = b"\x01\x09\0\0\0\x10\0\0\x0e\0FCGI_MAX_CONNS";
/// Modifier 100, no variables.
pub(super) const UWSGI: &[u8] = b"\x64\0\0\0";

/// Must run on a thread of its own: it becomes the process and stays so.
pub(super) fn handshake(
    from: Option<u32>,
    to: &PeerAddress,
    hello: &Hello,
    budget: Duration,
) -> io::Result<Answer> {
    let deadline = deadline(budget);
    // Reads what a first use of the library reads, before another root is entered.
    let tls = match hello {
        Hello::Tls { name, tls13 } => {
            Some(client(name.as_deref(), *tls13, &[]).ok_or(Errno::INVAL)?)
        }
        Hello::Http1 | Hello::Http2 | Hello::FastCgi | Hello::Uwsgi => None,
    };
    adopt(from)?;
    let Some(socket) = attempt(to, deadline)? else {
        return Ok(Answer::TimedOut);
    };
    let mut greeting = Greeting::default();
    let ended = match (hello, tls) {
        (Hello::Http1, _) => plain(&socket, HTTP1, deadline, &mut greeting),
        (Hello::FastCgi, _) => plain(&socket, FASTCGI, deadline, &mut greeting),
        (Hello::Uwsgi, _) => plain(&socket, UWSGI, deadline, &mut greeting),
        (_, Some(tls)) => shake(&socket, tls, deadline, &mut greeting),
        (_, None) => plain(&socket, HTTP2, deadline, &mut greeting),
    };
    greeting.ended = ended.unwrap_or_else(|error| Some(Ended::Errno(error.raw_os_error())));
    Ok(Answer::Bytes(greeting.to_text().into_bytes()))
}

/// Says `hello` and takes the first bytes that come back.
fn plain(
    socket: &OwnedFd,
    hello: &[u8],
    deadline: Instant,
    greeting: &mut Greeting,
) -> io::Result<Option<Ended>> {
    if !write(socket, hello, deadline)? {
        return Ok(Some(Ended::Silent));
    }
    let mut buffer = [0; RECEIVED];
    match read(socket, &mut buffer, deadline)? {
        Some(0) => Ok(Some(Ended::Closed)),
        Some(count) => {
            greeting.received.extend(buffer.iter().take(count));
            Ok(None)
        }
        None => Ok(Some(Ended::Silent)),
    }
}

/// Goes through a TLS handshake.
fn shake(
    socket: &OwnedFd,
    mut tls: ClientConnection,
    deadline: Instant,
    greeting: &mut Greeting,
) -> io::Result<Option<Ended>> {
    let mut total = 0;
    let mut until = deadline;
    loop {
        let mut out = Vec::new();
        while tls.wants_write() && tls.write_tls(&mut out).is_ok_and(|count| count > 0) {}
        if !out.is_empty() && !write(socket, &out, deadline)? {
            return Ok(Some(Ended::Silent));
        }
        if !tls.is_handshaking() && greeting.tls.is_none() {
            greeting.tls = finished(&tls);
            until = deadline.min(Instant::now() + AFTERTHOUGHT);
        }
        let mut buffer = [0; 16 << 10];
        let count = match read(socket, &mut buffer, until) {
            Ok(Some(0)) => return Ok(Some(Ended::Closed)),
            Ok(Some(count)) => count,
            Ok(None) if greeting.tls.is_some() => return Ok(None),
            Ok(None) => return Ok(Some(Ended::Silent)),
            Err(error) => return Err(error),
        };
        total += count;
        if total > MOST_READ {
            greeting.refused = Some("more bytes than a handshake has".to_owned());
            return Ok(None);
        }
        let mut bytes = buffer.get(..count).unwrap_or_default();
        let room = RECEIVED.saturating_sub(greeting.received.len());
        greeting.received.extend(bytes.iter().take(room));
        while !bytes.is_empty() {
            let fed = tls.read_tls(&mut bytes);
            let processed = tls.process_new_packets();
            if greeting.certificates.is_empty() {
                let shown = tls.peer_certificates().unwrap_or_default();
                greeting
                    .certificates
                    .extend(shown.iter().map(|der| der.to_vec()));
            }
            match processed {
                Ok(_) if fed.is_ok_and(|count| count > 0) => {}
                Ok(_) => return Ok(None),
                Err(Error::AlertReceived(alert)) => {
                    greeting.alert = Some(alert.into());
                    return Ok(None);
                }
                Err(error) => {
                    greeting.refused = Some(error.to_string());
                    return Ok(None);
                }
            }
        }
    }
}

pub(super) fn finished(tls: &ClientConnection) -> Option<(String, String)> {
    let version = match tls.protocol_version()? {
        rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => return None,
    };
    let suite = tls.negotiated_cipher_suite()?.suite();
    Some((version.to_owned(), format!("{suite:?}")))
}

/// A client that offers what was asked, of the protocols within (ALPN) these, takes every certificate, and remembers no session.
pub(super) fn client(
    name: Option<&str>,
    tls13: bool,
    protocols: &[&[u8]],
) -> Option<ClientConnection> {
    let versions: &[&rustls::SupportedProtocolVersion] = if tls13 {
        &[&version::TLS13, &version::TLS12]
    } else {
        &[&version::TLS12]
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unchecked))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_sni = name.is_some();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = match name {
        Some(name) => ServerName::try_from(name.to_owned()).ok()?,
        // Of an address no name is sent either.
        None => ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([127, 0, 0, 1]))),
    };
    ClientConnection::new(Arc::new(config), name).ok()
}

/// Nothing is sent to the peer that it could misuse: who it is does not matter, only what it shows.
#[derive(Debug)]
struct Unchecked;

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// False when the deadline passed.
pub(super) fn write(socket: &OwnedFd, mut bytes: &[u8], deadline: Instant) -> io::Result<bool> {
    while !bytes.is_empty() {
        if !ready(socket, PollFlags::OUT, deadline)? {
            return Ok(false);
        }
        match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // What the peer said before it closed is still to be read.
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// None when the deadline passed.
pub(super) fn read(
    socket: &OwnedFd,
    buffer: &mut [u8],
    deadline: Instant,
) -> io::Result<Option<usize>> {
    loop {
        if !ready(socket, PollFlags::IN, deadline)? {
            return Ok(None);
        }
        match recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((count, _)) => return Ok(Some(count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::thread::{self, JoinHandle};

    use facts::certificate::Certificate;
    use facts::handshake::Tongue;
    use rustls::{ServerConfig, ServerConnection};

    use super::*;

    /// Serves one connection, and what a hello meets there.
    fn meets(hello: &Hello, serve: impl FnOnce(TcpStream) + Send + 'static) -> Greeting {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = PeerAddress::Tcp(listener.local_addr().unwrap());
        let server: JoinHandle<()> = thread::spawn(move || serve(listener.accept().unwrap().0));
        let answer = handshake(None, &to, hello, Duration::from_secs(2)).unwrap();
        server.join().unwrap();
        let Answer::Bytes(text) = answer else {
            panic!("{answer:?}")
        };
        Greeting::parse(&text)
    }

    fn tls(name: Option<&str>, tls13: bool) -> Hello {
        Hello::Tls {
            name: name.map(str::to_owned),
            tls13,
        }
    }

    fn answers(bytes: &'static [u8]) -> impl FnOnce(TcpStream) + Send {
        move |mut stream| {
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(bytes).unwrap();
        }
    }

    /// A TLS server for `app.internal`.
    fn serves_tls(mut stream: TcpStream) {
        let made = rcgen::generate_simple_self_signed(["app.internal".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut tls = ServerConnection::new(Arc::new(config)).unwrap();
        // What a client that leaves early makes of it concerns nobody.
        tls.complete_io(&mut stream).ok();
    }

    #[test]
    fn a_finished_handshake_shows_version_and_certificate() {
        for (tls13, version) in [(true, "TLSv1.3"), (false, "TLSv1.2")] {
            for name in [None, Some("app.internal")] {
                let greeting = meets(&tls(name, tls13), serves_tls);
                assert_eq!(greeting.tls.as_ref().unwrap().0, version);
                assert_eq!(greeting.tongue(), Some(Tongue::Tls));
                let shown = Certificate::parse(&greeting.certificates[0]).unwrap();
                assert_eq!(shown.names, ["app.internal"]);
            }
        }
    }

    #[test]
    fn an_alert_is_told_by_its_number() {
        let greeting = meets(&tls(None, true), answers(b"\x15\x03\x03\0\x02\x02\x70"));
        assert_eq!(greeting.alert, Some(112));
        assert_eq!(greeting.tls, None);
    }

    #[test]
    fn what_is_no_tls_is_told_by_its_bytes() {
        let greeting = meets(
            &tls(None, true),
            answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        );
        assert_eq!(greeting.tongue(), Some(Tongue::Http));
        assert!(greeting.refused.is_some());
    }

    #[test]
    fn each_hello_meets_its_answer() {
        for (hello, bytes, tongue) in [
            (
                Hello::Http2,
                b"\0\0\0\x04\0\0\0\0\0".as_slice(),
                Tongue::Http2,
            ),
            (
                Hello::Http2,
                b"HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n",
                Tongue::Http,
            ),
            (
                Hello::Http1,
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
                Tongue::Http,
            ),
            (Hello::Http1, b"\0\0\0\x04\0\0\0\0\0", Tongue::Http2),
            (Hello::FastCgi, b"\x01\x0a\0\0\0\0\0\0", Tongue::FastCgi),
            (Hello::Uwsgi, b"\x64\0\0\x01", Tongue::Uwsgi),
        ] {
            assert_eq!(meets(&hello, answers(bytes)).tongue(), Some(tongue));
        }
    }

    #[test]
    fn one_that_closes_has_closed() {
        for hello in [tls(None, true), Hello::Http2] {
            let greeting = meets(&hello, |mut stream| {
                // All of it, lest the close becomes a reset.
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            });
            assert_eq!(greeting.ended, Some(Ended::Closed));
            assert_eq!(greeting.tongue(), None);
        }
    }
}
