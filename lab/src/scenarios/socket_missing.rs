//! The unix socket nginx dials is not there.

use anyhow::Result;

use crate::{Expectation, Lab};

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://unix:@socket;
    }
}
";

/// Its directory is there, the file is not.
pub fn file_is_missing(lab: &Lab) -> Result<()> {
    lab.directory("run")?;
    missing(lab, "run/shop.sock")
}

/// Not even its directory is there.
pub fn directory_is_missing(lab: &Lab) -> Result<()> {
    missing(lab, "run/shop/shop.sock")
}

fn missing(lab: &Lab, name: &str) -> Result<()> {
    let socket = lab.path(name);
    let nginx = lab.nginx(SITE, &[("socket", &socket.display())])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    let line = format!("connect() to unix:{} failed (2: No such file or directory)", socket.display());
    nginx.logged(&["[crit]", &line])?;
    let truth = Expectation::confirmed("socket-missing").of_peer(format!("unix:{}", socket.display()));
    lab.diagnose(&nginx, &[truth.rules_out("socket-permission-denied").rules_out("socket-stale")])
}
