//! Lines that tell of something else than an upstream: they make no incident.

use std::time::Duration;

use anyhow::Result;

use crate::Lab;

const SITE: &str = "\
server {
    listen @listen;
    root @root;
    location /shop {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

/// Clients leave before the application has answered.
pub fn clients_go_away(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["slow", "3"], &format!("127.0.0.1:{peer}"))?;
    let root = lab.directory("www")?;
    let nginx = lab.nginx_setup().level("info").start(SITE, &[("peer", &peer), ("root", &root.display())])?;
    lab.settle();
    for _ in 0..3 {
        nginx.abandon("/shop", Duration::from_millis(200))?;
    }
    nginx.logged(&["client prematurely closed connection, so upstream connection is closed too"])?;
    nginx.not_logged("[error]")?;
    lab.diagnose(&nginx, &[])
}

/// Files are asked for that are not there.
pub fn files_are_missing(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{peer}"))?;
    let root = lab.directory("www")?;
    let nginx = lab.nginx(SITE, &[("peer", &peer), ("root", &root.display())])?;
    lab.settle();
    nginx.expect(3, "GET", "/favicon.ico", 404)?;
    nginx.expect(2, "GET", "/shop", 200)?;
    nginx.logged(&["[error]", "open() ", "(2: No such file or directory)"])?;
    lab.diagnose(&nginx, &[])
}
