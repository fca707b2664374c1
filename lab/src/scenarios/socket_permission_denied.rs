//! nginx's workers may not write to the unix socket, or not reach it.

use std::path::Path;

use anyhow::Result;

use crate::lab::{give_to_workers, set_mode};
use crate::{Expectation, Lab, Nginx};

/// The socket is `rw-------`, root's.
pub fn owner_only(lab: &Lab) -> Result<()> {
    socket_of_mode(lab, 0o600)
}

/// The socket is `rw-rw----`, root's and group root's.
pub fn group_of_root(lab: &Lab) -> Result<()> {
    socket_of_mode(lab, 0o660)
}

/// The socket is `rw-r-----` and nginx's group owns it: reading is not enough to connect.
pub fn group_may_only_read(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    give_to_workers(&socket)?;
    set_mode(&socket, 0o640)?;
    let nginx = denied(lab, &socket)?;
    lab.diagnose(&nginx, &[truth(&socket)])
}

/// The socket is open to all, its directory to root alone.
pub fn parent_is_closed(lab: &Lab) -> Result<()> {
    let run = lab.directory("run")?;
    let socket = run.join("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    set_mode(&run, 0o700)?;
    let nginx = denied(lab, &socket)?;
    lab.diagnose(&nginx, &[truth(&socket)])
}

/// A directory stands in the socket's place. The line is the same; no mode of a socket is wrong.
pub fn directory_in_its_place(lab: &Lab) -> Result<()> {
    let socket = lab.directory("shop.sock")?;
    let nginx = denied(lab, &socket)?;
    let truth = Expectation::undetermined().of_peer(format!("unix:{}", socket.display()));
    lab.diagnose(&nginx, &[truth])
}

fn socket_of_mode(lab: &Lab, mode: u32) -> Result<()> {
    let socket = lab.path("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    set_mode(&socket, mode)?;
    let nginx = denied(lab, &socket)?;
    lab.diagnose(&nginx, &[truth(&socket).needs_root()])
}

fn denied(lab: &Lab, socket: &Path) -> Result<Nginx> {
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
    nginx.logged(&["[crit]", &format!("connect() to unix:{} failed (13: Permission denied)", socket.display())])?;
    Ok(nginx)
}

fn truth(socket: &Path) -> Expectation {
    let truth = Expectation::confirmed("socket-permission-denied").of_peer(format!("unix:{}", socket.display()));
    truth.rules_out("socket-missing")
}
