//! nginx's worker has all its connections in use.

use anyhow::{Result, ensure};

use crate::{Expectation, Lab};

const CAUSE: &str = "nginx-out-of-worker-connections";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://@peer;
    }
}
";

/// `worker_connections` is lower than what a few clients take.
pub fn worker_connections_is_small(lab: &Lab) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["slow", "2"], &peer)?;
    // Enough for all clients, and for some of their connections to the peer.
    let nginx = lab.nginx_setup().connections(21).start(SITE, &[("peer", &peer)])?;
    lab.settle();
    let failed = nginx.gathering(12, "/slow", 500)?;
    ensure!(failed > 0, "every client was served:\n{}", nginx.log());
    nginx.logged(&["[alert]", "21 worker_connections are not enough while connecting to upstream", &peer])?;
    let truth = Expectation::confirmed(CAUSE).of_peer(peer);
    lab.diagnose(&nginx, &[truth.naming("worker_connections 21").rules_out("nginx-out-of-file-descriptors")])
}

/// The same where only root may read what nginx is told: requests might go round.
pub fn where_users_may_not_read(lab: &Lab) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["slow", "2"], &peer)?;
    let nginx = lab.nginx_setup().connections(21).hidden().start(SITE, &[("peer", &peer)])?;
    lab.settle();
    let failed = nginx.gathering(12, "/slow", 500)?;
    ensure!(failed > 0, "every client was served:\n{}", nginx.log());
    nginx.logged(&["[alert]", "21 worker_connections are not enough while connecting to upstream", &peer])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).of_peer(peer).needs_root()])
}

/// The peer is the server itself: a request goes round until no connection is left, however many there are.
pub fn nginx_dials_itself(lab: &Lab) -> Result<()> {
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://@listen;
    }
}
";
    let nginx = lab.nginx_setup().connections(63).start(site, &[])?;
    lab.settle();
    let status = nginx.get("/")?;
    ensure!(status >= 500, "the request was answered with {status}");
    nginx.logged(&["63 worker_connections are not enough while connecting to upstream"])?;
    let truth = Expectation::undetermined().of_peer(format!("127.0.0.1:{}", nginx.port()));
    lab.diagnose(&nginx, &[truth])
}
