//! `cargo xtask bench gate`: a thousand peers on loopback, once healthy and once hostile.
//!
//! The peers are threads of this program. A hostile one accepts and hangs, drips a byte a second, sends headers without
//! end, or resets: together they are to cost one time-out.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::Bound;
use super::measure::{self, Times};
use crate::run;

const PEERS: usize = 1_000;
const ROUNDS: usize = 5;
/// Seconds for a thousand healthy peers.
const HEALTHY: f64 = 3.0;
/// The time-out given for all peers together, in seconds.
const TIMEOUT: u8 = 2;
/// What finding out why they fail may take besides.
const BESIDES: f64 = 1.0;
/// A peer's thread needs little.
const STACK: usize = 128 << 10;

/// What a peer does with a connection.
type Serve = fn(TcpStream);

/// Measures both.
pub(super) fn measure() -> Result<Vec<Bound>> {
    more_descriptors();
    let program = why502_lab::why502()?;
    let dir = tempfile::tempdir().context("make a directory")?;
    let mut bounds = Vec::new();
    run::say(&measure::head(ROUNDS));
    let kinds: [(&str, &[Serve], i32, f64); 2] = [
        ("1,000 healthy peers", &[answer], 0, HEALTHY),
        (
            "1,000 hostile peers, --timeout 2s",
            &[hang, drip, endless, reset],
            1,
            f64::from(TIMEOUT) + BESIDES,
        ),
    ];
    for (what, serve, code, limit) in kinds {
        let path = dir.path().join("nginx.conf");
        fs::write(&path, configuration(serve)?).context("write the configuration")?;
        let mut times = Times::default();
        for _ in 0..ROUNDS {
            let mut command = Command::new(&program);
            command
                .args(["gate", "--format", "json", "--timeout", "2s", "--config"])
                .arg(&path);
            times.add(measure::time(&mut command, &[code])?);
        }
        run::say(&times.row(what));
        let median = times.median().as_secs_f64();
        bounds.push(Bound::at_most(format!("gate: {what}"), median, limit, " s"));
    }
    Ok(bounds)
}

/// A thousand peers, and what dials them.
fn configuration(serve: &[Serve]) -> Result<String> {
    let mut servers = String::new();
    for (_, serve) in (0..PEERS).zip(serve.iter().cycle()) {
        let port = peer(*serve)?;
        servers.extend(["server 127.0.0.1:", &port.to_string(), ";\n"]);
    }
    Ok(format!(
        "events {{}}\nhttp {{ upstream many {{\n{servers}}}\nserver {{ listen 127.0.0.1:1; location / {{ proxy_pass http://many; }} }} }}\n"
    ))
}

/// A peer for as long as this program runs; its port.
fn peer(serve: Serve) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let port = listener.local_addr()?.port();
    let serve_all = move || {
        for stream in listener.incoming().flatten() {
            serve(stream);
        }
    };
    let thread = thread::Builder::new().stack_size(STACK);
    thread.spawn(serve_all).context("start a peer")?;
    Ok(port)
}

fn answer(mut stream: TcpStream) {
    if matches!(stream.read(&mut [0; 1024]), Ok(count) if count > 0) {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        stream.write_all(response).ok();
    }
}

fn hang(mut stream: TcpStream) {
    stream.read_to_end(&mut Vec::new()).ok();
}

fn drip(mut stream: TcpStream) {
    while stream.write_all(b"H").is_ok() {
        thread::sleep(Duration::from_secs(1));
    }
}

fn endless(mut stream: TcpStream) {
    stream.write_all(b"HTTP/1.1 200 OK\r\n").ok();
    while stream.write_all(b"X-Endless: header\r\n").is_ok() {}
}

/// Closed with bytes that nobody read.
fn reset(stream: TcpStream) {
    stream.peek(&mut [0]).ok();
    drop(stream);
}

/// Each peer takes two.
fn more_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without them listening fails, and says so.
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok();
    }
}
