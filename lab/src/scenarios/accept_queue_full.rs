//! The application does not take connections, and the queue of those that wait for it is full.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::Signal;

use crate::process::until;
use crate::{Expectation, Gunicorn, Lab, Nginx, Pool, Process};

const FULL: &str = "failed (11: Resource temporarily unavailable) while connecting to upstream";

/// An application on a unix socket accepts nothing, and two connections wait already.
pub fn unix_socket_of_a_deaf_application(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let _application = lab.application(&["deaf"], &socket.display().to_string())?;
    let _waiting = fill(&socket)?;
    let nginx = refused(lab, &socket)?;
    lab.diagnose(&nginx, &[truth(&socket).naming("2 connections wait to be accepted, 1 may").needs_root()])
}

/// The same on a port: the kernel drops what does not fit, and nginx waits in vain.
pub fn port_of_a_deaf_application(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["deaf"], &format!("127.0.0.1:{peer}"))?;
    let wait = || TcpStream::connect(("127.0.0.1", peer)).context("fill the queue");
    let _waiting = [wait()?, wait()?];
    let site = "\
server {
    listen @listen;
    location / {
        proxy_connect_timeout 1s;
        proxy_pass http://127.0.0.1:@peer;
    }
}
";
    let nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 504)?;
    nginx.logged(&["upstream timed out (110: Connection timed out) while connecting to upstream"])?;
    let truth = Expectation::confirmed("accept-queue-full").times(2).naming("2 connections wait to be accepted, 1 may");
    lab.diagnose(&nginx, &[truth.rules_out("application-slow").rules_out("peer-not-listening")])
}

/// gunicorn and its worker were stopped by a signal.
pub fn gunicorn_is_stopped(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let gunicorn = stopped(lab, &socket)?;
    let _waiting = fill(&socket)?;
    let nginx = refused(lab, &socket)?;
    let worker = gunicorn.children()?.first().copied().context("gunicorn has no worker")?;
    let truth = truth(&socket).naming("what accepts is stopped").naming(worker.to_string());
    lab.diagnose(&nginx, &[truth])
}

/// php-fpm's children were stopped: they are not busy, and no more of them would help.
pub fn children_of_php_are_stopped(lab: &Lab) -> Result<()> {
    let socket = lab.path("php8.2-fpm.sock");
    let listen = socket.display().to_string();
    let php = lab.php_fpm(&Pool { name: "www", listen: &listen, extra: "listen.backlog = 1" })?;
    php.pause()?;
    let _waiting = fill(&socket)?;
    let site = "\
server {
    listen @listen;
    location / {
        fastcgi_pass unix:@socket;
    }
}
";
    let nginx = lab.nginx(site, &[("socket", &listen)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[FULL])?;
    lab.diagnose(&nginx, &[truth(&socket).naming("what accepts is stopped")])
}

/// It goes on, and the queue is empty again: the errno still says what it was.
pub fn over_since_gunicorn_goes_on(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let gunicorn = stopped(lab, &socket)?;
    let waiting = fill(&socket)?;
    let nginx = refused(lab, &socket)?;
    drop(waiting);
    gunicorn.signal_group(Signal::CONT)?;
    // It takes those that were left first.
    let answers = until(Duration::from_secs(5), || nginx.get("/").ok().filter(|&status| status == 200));
    answers.context("gunicorn does not go on")?;
    lab.diagnose(&nginx, &[truth(&socket).over()])
}

fn stopped(lab: &Lab, socket: &Path) -> Result<Process> {
    let how = Gunicorn { backlog: Some(1), ..Gunicorn::default() };
    let gunicorn = lab.gunicorn(&format!("unix:{}", socket.display()), &how)?;
    gunicorn.pause()?;
    Ok(gunicorn)
}

/// Connections that wait for the application, as many as the kernel lets.
fn fill(socket: &Path) -> Result<Vec<OwnedFd>> {
    let address = SocketAddrUnix::new(socket).context("name the socket")?;
    let mut waiting = Vec::new();
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).context("make a socket")?;
        match connect(&stream, &address) {
            Ok(()) => waiting.push(stream),
            Err(Errno::AGAIN) => return Ok(waiting),
            Err(error) => return Err(error).context("fill the queue"),
        }
    }
}

fn refused(lab: &Lab, socket: &Path) -> Result<Nginx> {
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://unix:@socket;
    }
}
";
    let nginx = lab.nginx(site, &[("socket", &socket.display())])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&["[error]", &format!("connect() to unix:{} {FULL}", socket.display())])?;
    Ok(nginx)
}

fn truth(socket: &Path) -> Expectation {
    let truth = Expectation::confirmed("accept-queue-full").of_peer(format!("unix:{}", socket.display()));
    truth.rules_out("socket-stale").rules_out("application-slow")
}
