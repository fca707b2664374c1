//! nginx itself does not run.

use anyhow::{Result, ensure};

use crate::{Expectation, Lab};

/// It served, and was stopped; its configuration is there.
pub fn stopped(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{peer}"))?;
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";
    let mut nginx = lab.nginx(site, &[("peer", &peer)])?;
    nginx.expect(2, "GET", "/", 200)?;
    nginx.stop()?;
    ensure!(nginx.get("/").is_err(), "somebody still answers");
    lab.diagnose(&nginx, &[Expectation::confirmed("nginx-not-running")])
}
