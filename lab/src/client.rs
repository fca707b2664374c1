//! The client in front of nginx: one HTTP/1.1 request a connection, on loopback.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Sends one request to 127.0.0.1, reads the whole answer and gives its status.
pub(crate) fn request(port: u16, method: &str, path: &str) -> Result<u16> {
    request_with(port, method, path, "")
}

/// As [`request`], with further header lines, each ending in CRLF.
pub(crate) fn request_with(port: u16, method: &str, path: &str, headers: &str) -> Result<u16> {
    status(send(port, method, path, headers)?)
}

/// A client that has begun to ask: nginx keeps such a connection, while it gives up those on which nothing was said.
pub(crate) fn begin(port: u16, path: &str) -> Result<TcpStream> {
    let mut stream = connect(port)?;
    write!(stream, "GET {path} HTTP/1.1\r\n").context("send to nginx")?;
    Ok(stream)
}

/// Sends the rest of such a request, reads the whole answer and gives its status.
pub(crate) fn finish(mut stream: TcpStream) -> Result<u16> {
    write!(
        stream,
        "Host: shop.example.com\r\nConnection: close\r\n\r\n"
    )
    .context("send to nginx")?;
    status(stream)
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connect to nginx")?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .context("limit the wait for nginx")?;
    Ok(stream)
}

fn status(mut stream: TcpStream) -> Result<u16> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // nginx may reset after a whole answer when the request's body was not read.
        Err(error) if error.kind() == ErrorKind::ConnectionReset && !bytes.is_empty() => {}
        other => {
            other.context("read nginx's answer")?;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.with_context(|| format!("no HTTP answer: {text:?}"))
}

/// Sends one request and leaves without an answer after `patience`.
pub(crate) fn abandon(port: u16, path: &str, patience: Duration) -> Result<()> {
    let stream = send(port, "GET", path, "")?;
    std::thread::sleep(patience);
    drop(stream);
    Ok(())
}

/// Sends one request, reads nothing for `pause`, and then whatever comes.
pub(crate) fn linger(port: u16, path: &str, pause: Duration) -> Result<()> {
    let mut stream = send(port, "GET", path, "")?;
    std::thread::sleep(pause);
    let mut bytes = Vec::new();
    // An answer that is cut may end in a reset.
    stream.read_to_end(&mut bytes).ok();
    Ok(())
}

fn send(port: u16, method: &str, path: &str, headers: &str) -> Result<TcpStream> {
    let mut stream = connect(port)?;
    write_request(&mut stream, method, path, headers)?;
    Ok(stream)
}

fn write_request(stream: &mut TcpStream, method: &str, path: &str, headers: &str) -> Result<()> {
    let body = if method == "POST" { "a=1" } else { "" };
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .context("send to nginx")
}
