//! The lab's own application: `why502-lab-app ADDRESS MODE [SECONDS]`.
//!
//! It listens on a path or an `address:port`, prints `ready`, and answers every request as the
//! mode says. It is a stranger to nginx and `why502`: it must know nothing of either.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;
use std::{env, fs, thread};

use rustix::net::listen;
use rustix::net::sockopt::set_socket_linger;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

#[derive(Clone, Copy)]
enum Mode {
    /// A good answer; the connection closes after it.
    Ok,
    /// Closes when the request is there.
    Close,
    /// Resets when the request is there.
    Reset,
    /// A good answer; after so long where the request line holds `slow`.
    Slow(Duration),
    /// Never answers.
    Silent,
    /// A good first answer on a kept connection; the second request meets a reset.
    KeepThenReset,
    /// As above, with an orderly close.
    KeepThenClose,
    /// The process exits with 3 when a request is there.
    Exit,
    /// Takes no connection at all; two may wait.
    Deaf,
}

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let usage = || io::Error::other("usage: why502-lab-app ADDRESS MODE [SECONDS]");
    let [address, mode, rest @ ..] = args.as_slice() else {
        return Err(usage());
    };
    let seconds = rest
        .first()
        .and_then(|text| text.parse().ok())
        .map(Duration::from_secs_f64);
    let mode = Mode::named(mode, seconds).ok_or_else(usage)?;
    if address.starts_with('/') {
        let listener = UnixListener::bind(address)?;
        fs::set_permissions(address, fs::Permissions::from_mode(0o666))?;
        hear(&listener, mode)?;
        for stream in listener.incoming() {
            serve_apart(stream?, mode);
        }
    } else {
        let listener = TcpListener::bind(address)?;
        hear(&listener, mode)?;
        for stream in listener.incoming() {
            serve_apart(stream?, mode);
        }
    }
    Ok(())
}

impl Mode {
    fn named(name: &str, seconds: Option<Duration>) -> Option<Self> {
        Some(match name {
            "ok" => Self::Ok,
            "close" => Self::Close,
            "reset" => Self::Reset,
            "slow" => Self::Slow(seconds?),
            "silent" => Self::Silent,
            "keep-then-reset" => Self::KeepThenReset,
            "keep-then-close" => Self::KeepThenClose,
            "deaf" => Self::Deaf,
            "exit" => Self::Exit,
            _ => return None,
        })
    }
}

/// A connection of either family.
trait Stream: Read + Write + AsFd + Send + 'static {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

fn ready() -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "ready")?;
    out.flush()
}

/// Says that it listens; a deaf one stays here.
fn hear(listener: &impl AsFd, mode: Mode) -> io::Result<()> {
    if !matches!(mode, Mode::Deaf) {
        return ready();
    }
    // Listening once more changes nothing but the backlog.
    listen(listener, 1)?;
    ready()?;
    loop {
        thread::park();
    }
}

fn serve_apart(stream: impl Stream, mode: Mode) {
    // What fails on one connection concerns nobody but its client.
    thread::spawn(move || serve(stream, mode).ok());
}

#[expect(
    clippy::exit,
    reason = "exiting in the middle of a request is what this mode is for"
)]
fn serve(mut stream: impl Stream, mode: Mode) -> io::Result<()> {
    let Some(head) = read_head(&mut stream)? else {
        return Ok(());
    };
    match mode {
        Mode::Ok => stream.write_all(ANSWER),
        Mode::Close => Ok(()),
        Mode::Reset => reset_on_close(&stream),
        Mode::Slow(time) => {
            if head.windows(4).any(|window| window == b"slow") {
                thread::sleep(time);
            }
            stream.write_all(ANSWER)
        }
        Mode::Silent | Mode::Deaf => loop {
            thread::park();
        },
        Mode::KeepThenReset => {
            stream.write_all(ANSWER)?;
            // As an idle timer that fires while the next request is on its way: a byte tells that
            // it is there, the rest stays unread.
            stream.read_exact(&mut [0])?;
            reset_on_close(&stream)
        }
        Mode::KeepThenClose => {
            stream.write_all(ANSWER)?;
            read_head(&mut stream).map(drop)
        }
        Mode::Exit => std::process::exit(3),
    }
}

/// Reads a request up to the end of its head and takes what came with it; nothing at the end.
fn read_head(stream: &mut impl Stream) -> io::Result<Option<Vec<u8>>> {
    let mut head: Vec<u8> = Vec::new();
    let mut chunk = [0; 4096];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(None);
        }
        head.extend(chunk.iter().take(count));
    }
    Ok(Some(head))
}

/// Makes the closing of the connection a reset.
fn reset_on_close(stream: &impl Stream) -> io::Result<()> {
    set_socket_linger(stream, Some(Duration::ZERO)).map_err(Into::into)
}
