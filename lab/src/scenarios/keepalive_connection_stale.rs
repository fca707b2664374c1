//! nginx sent a request on a kept connection that the application was closing.
//!
//! nginx's lines are those of any application that closes early; only what both sides' settings
//! prove tells them apart.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;

use crate::{Expectation, Lab, Nginx, Process, client};

const RESET: &str = "recv() failed (104: Connection reset by peer) while reading response header from upstream";
const PREMATURE: &str = "upstream prematurely closed connection while reading response header from upstream";

const KEPT: &str = "\
upstream shop {
    server 127.0.0.1:@peer;
    keepalive 8;
}
server {
    listen @listen;
    location / {
        proxy_http_version 1.1;
        proxy_set_header Connection '';
        proxy_pass http://shop;
    }
}
";

/// uvicorn keeps idle connections for a second, nginx for a minute: a POST meets the close.
pub fn idle_timeout_meets_the_next_request(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let uvicorn = lab.uvicorn(peer, 1)?;
    let nginx = lab.nginx(KEPT, &[("peer", &peer)])?;
    lab.settle();
    meet_the_close(&nginx, &uvicorn, "POST", 502)?;
    nginx.logged(&[RESET, "POST /"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("keepalive-connection-stale").rules_out("application-slow").needs_root()])
}

/// The same with GET: nginx asks again on a new connection, clients see nothing.
pub fn get_is_retried_and_only_logged(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let uvicorn = lab.uvicorn(peer, 1)?;
    let nginx = lab.nginx(KEPT, &[("peer", &peer)])?;
    lab.settle();
    meet_the_close(&nginx, &uvicorn, "GET", 200)?;
    nginx.logged(&[RESET, "GET /"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("keepalive-connection-stale")])
}

/// Connections are reused, but the application's idle timeout is known to nobody.
pub fn unexplained_reset_on_a_kept_connection(lab: &Lab) -> Result<()> {
    kept_connection_ends(lab, "keep-then-reset", RESET)
}

/// As above, with an orderly close.
pub fn unexplained_close_on_a_kept_connection(lab: &Lab) -> Result<()> {
    kept_connection_ends(lab, "keep-then-close", PREMATURE)
}

/// The same line where nothing is reused.
pub fn reset_without_keepalive(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["reset"], &format!("127.0.0.1:{peer}"))?;
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";
    let nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "POST", "/", 502)?;
    nginx.logged(&[RESET, "POST /"])?;
    lab.diagnose(&nginx, &[Expectation::undetermined().rules_out("keepalive-connection-stale")])
}

fn kept_connection_ends(lab: &Lab, mode: &str, line: &str) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&[mode], &format!("127.0.0.1:{peer}"))?;
    let nginx = lab.nginx(KEPT, &[("peer", &peer)])?;
    lab.settle();
    for _ in 0..2 {
        nginx.expect(1, "GET", "/", 200)?;
        nginx.expect(1, "POST", "/", 502)?;
    }
    nginx.logged(&[line, "POST /"])?;
    lab.diagnose(&nginx, &[Expectation::undetermined()])
}

/// Two requests that meet the close, each answered with `wanted`. On a busy machine nginx may see the close first and
/// answer 200 without a line; then the race is run again.
fn meet_the_close(nginx: &Nginx, uvicorn: &Process, method: &'static str, wanted: u16) -> Result<()> {
    let met = || nginx.log().matches(RESET).count();
    for _ in 0..10 {
        let before = met();
        let status = request_as_the_timer_fires(nginx, uvicorn, method)?;
        let is_met = met() > before;
        ensure!(!is_met || status == wanted, "the {method} gave {status}:\n{}", nginx.log());
        if met() == 2 {
            return Ok(());
        }
    }
    bail!("the close was not met twice in ten times:\n{}", nginx.log())
}

/// One request on a kept connection that arrives while uvicorn's idle timer fires.
///
/// uvicorn is paused over its timeout, as by a busy processor: its event loop, woken by SIGCONT
/// with the deadline past, runs the timer before it looks at its sockets.
fn request_as_the_timer_fires(nginx: &Nginx, uvicorn: &Process, method: &'static str) -> Result<u16> {
    // Such a request is answered as long as no close meets it.
    nginx.expect(1, method, "/", 200)?;
    thread::sleep(Duration::from_millis(100));
    uvicorn.signal(Signal::STOP)?;
    thread::sleep(Duration::from_millis(1300));
    let port = nginx.port();
    let client = thread::spawn(move || client::request(port, method, "/"));
    thread::sleep(Duration::from_millis(300));
    uvicorn.signal(Signal::CONT)?;
    client.join().ok().context("the client failed")?
}
