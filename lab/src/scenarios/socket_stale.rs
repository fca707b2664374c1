//! A file stands where nginx dials a unix socket, and nobody listens on it.

use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::lab::set_mode;
use crate::{Expectation, Lab, Nginx};

/// The application died and left its socket file.
pub fn left_by_a_dead_application(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    drop(UnixListener::bind(&socket).context("leave a socket file")?);
    stale(lab, &socket)
}

/// A plain file was put there; nginx's line is the same.
pub fn plain_file_in_its_place(lab: &Lab) -> Result<()> {
    let socket = lab.file("shop.sock", "")?;
    stale(lab, &socket)
}

/// The application was started again by the time it is looked at.
pub fn listened_on_since(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    drop(UnixListener::bind(&socket).context("leave a socket file")?);
    let nginx = refused(lab, &socket)?;
    lab.settle();
    std::fs::remove_file(&socket).context("remove a socket file")?;
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    set_mode(&socket, 0o666)?;
    nginx.expect(1, "GET", "/", 200)?;
    let truth = Expectation::at_most("socket-stale").of_peer(format!("unix:{}", socket.display()));
    lab.diagnose(&nginx, &[truth.over()])
}

fn refused(lab: &Lab, socket: &Path) -> Result<Nginx> {
    set_mode(socket, 0o666)?;
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
    nginx.logged(&["[error]", &format!("connect() to unix:{} failed (111: Connection refused)", socket.display())])?;
    Ok(nginx)
}

fn stale(lab: &Lab, socket: &Path) -> Result<()> {
    let nginx = refused(lab, socket)?;
    let truth = Expectation::confirmed("socket-stale").of_peer(format!("unix:{}", socket.display()));
    lab.diagnose(&nginx, &[truth.rules_out("socket-missing").rules_out("socket-permission-denied")])
}
