//! A POSIX ACL keeps nginx's workers from the unix socket.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::lab::set_mode;
use crate::process::run_to_end;
use crate::{Expectation, Lab, Nginx};

/// The socket is `rw-rw-rw-`, and an entry denies the worker's user.
pub fn an_entry_names_the_worker(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    setfacl("u:www-data:---", &socket)?;
    let nginx = denied(lab, &socket)?;
    lab.diagnose(&nginx, &[truth(&socket).rules_out("socket-permission-denied").needs_root()])
}

/// An entry grants it, and `chmod` has narrowed the mask since.
pub fn the_mask_takes_it_away(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    set_mode(&socket, 0o600)?;
    setfacl("u:www-data:rw", &socket)?;
    set_mode(&socket, 0o640)?;
    let nginx = denied(lab, &socket)?;
    lab.diagnose(&nginx, &[truth(&socket).naming("the mask").rules_out("socket-permission-denied")])
}

/// The socket is open to all, and so is its directory but for the ACL.
pub fn the_acl_of_its_directory(lab: &Lab) -> Result<()> {
    let run = lab.directory("run")?;
    let socket = run.join("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    setfacl("u:www-data:---", &run)?;
    let nginx = denied(lab, &socket)?;
    lab.diagnose(&nginx, &[truth(&socket).rules_out("socket-permission-denied")])
}

/// The ACL lets another user in: what denies nginx's is the mode.
pub fn an_acl_for_somebody_else(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    set_mode(&socket, 0o660)?;
    setfacl("u:daemon:rw", &socket)?;
    let nginx = denied(lab, &socket)?;
    let truth = Expectation::confirmed("socket-permission-denied").of_peer(format!("unix:{}", socket.display()));
    lab.diagnose(&nginx, &[truth.rules_out("socket-acl-denied")])
}

fn setfacl(entry: &str, path: &Path) -> Result<()> {
    run_to_end(Command::new("setfacl").args(["-m", entry]).arg(path))
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
    let truth = Expectation::confirmed("socket-acl-denied").of_peer(format!("unix:{}", socket.display()));
    truth.rules_out("socket-missing")
}
