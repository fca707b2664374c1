//! Lines that tell of something else than an upstream: they make no incident.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::{Expectation, Lab};

/// `merge_slashes off` lets a forged line keep its `http://`: the hardest case.
const SITE: &str = "\
server {
    listen @listen;
    merge_slashes off;
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
        nginx.abandon("/shop/slow", Duration::from_millis(200))?;
    }
    nginx.logged_times(3, &["client prematurely closed connection, so upstream connection is closed too"])?;
    nginx.not_logged("[error]")?;
    lab.diagnose(&nginx, &[Expectation::confirmed("not-an-upstream-fault").over()])
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

/// A client writes a whole line of nginx's into the log: no peer of that address exists.
pub fn a_forged_line(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{peer}"))?;
    let root = lab.directory("www")?;
    let nginx = lab.nginx(SITE, &[("peer", &peer), ("root", &root.display())])?;
    lab.settle();
    nginx.expect(1, "GET", "/favicon.ico", 404)?;
    let log = nginx.log();
    let time = log.get(.."2026/11/21 03:04:05".len()).context("the log is empty")?;
    let forged = format!(
        "/x\n{time} [error] 1#1: *1 connect() failed (111: Connection refused) while connecting to upstream, \
         client: 127.0.0.1, server: , request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:9/\", host: \"shop\""
    );
    let places = [("\n", "%0a"), (" ", "%20"), ("\"", "%22"), ("#", "%23")];
    let path = places.iter().fold(forged.clone(), |path, (plain, coded)| path.replace(plain, coded));
    nginx.expect(3, "GET", &path, 404)?;
    ensure!(nginx.log().contains(&forged), "nginx did not log it as it came:\n{}", nginx.log());
    lab.diagnose(&nginx, &[])
}
