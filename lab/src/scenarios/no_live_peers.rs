//! nginx has taken every peer of an upstream out of use.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{Expectation, Lab};

const NO_LIVE: &str = "no live upstreams while connecting to upstream";

const SITE: &str = "\
upstream @name {
    server @one;
    server @other;
}
server {
    listen @listen;
    proxy_read_timeout 1s;
    location / {
        proxy_pass http://@name;
    }
}
";

/// Nothing listens on either peer.
pub fn all_peers_are_dead(lab: &Lab) -> Result<()> {
    let (name, first) = (lab.unique("shop"), lab.neighbouring_ports(2)?);
    let (one, other) = (format!("127.0.0.1:{first}"), format!("127.0.0.1:{}", first + 1));
    let nginx = lab.nginx(SITE, &[("name", &name), ("one", &one), ("other", &other)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&["(111: Connection refused)", &one])?;
    nginx.logged(&["(111: Connection refused)", &other])?;
    nginx.logged(&[NO_LIVE, &format!("upstream: \"http://{name}/\"")])?;
    let dead = |peer| Expectation::confirmed("peer-not-listening").of_peer(peer);
    lab.diagnose(&nginx, &[Expectation::confirmed("no-live-peers").of_peer(name), dead(one), dead(other)])
}

/// Both peers are up again, and their `fail_timeout` has passed. Other locations answer into the same access log.
pub fn all_peers_are_back(lab: &Lab) -> Result<()> {
    let (name, first) = (lab.unique("shop"), lab.neighbouring_ports(2)?);
    let (one, other) = (format!("127.0.0.1:{first}"), format!("127.0.0.1:{}", first + 1));
    let in_use = |peer: &str| format!("{peer} fail_timeout=1s");
    let site = SITE.replace("    location / {", "    location /static { return 200; }\n    location / {");
    let nginx = lab.nginx(&site, &[("name", &name), ("one", &in_use(&one)), ("other", &in_use(&other))])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[NO_LIVE, &format!("upstream: \"http://{name}/\"")])?;
    let _one = lab.application(&["ok"], &one)?;
    let _other = lab.application(&["ok"], &other)?;
    thread::sleep(Duration::from_secs(3));
    let was_dead = |peer| Expectation::at_most("peer-not-listening").of_peer(peer).over();
    lab.diagnose(&nginx, &[Expectation::confirmed("no-live-peers").of_peer(name).over(), was_dead(one), was_dead(other)])
}

/// One peer is `down`, nothing listens on the other.
pub fn one_is_down_by_configuration(lab: &Lab) -> Result<()> {
    let (name, first) = (lab.unique("shop"), lab.neighbouring_ports(2)?);
    let (one, other) = (format!("127.0.0.1:{first} down"), format!("127.0.0.1:{}", first + 1));
    let nginx = lab.nginx(SITE, &[("name", &name), ("one", &one), ("other", &other)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&["(111: Connection refused)", &other])?;
    nginx.logged(&[NO_LIVE, &format!("upstream: \"http://{name}/\"")])?;
    let dead = Expectation::confirmed("peer-not-listening").of_peer(other);
    lab.diagnose(&nginx, &[Expectation::confirmed("no-live-peers").of_peer(name), dead])
}

/// Every peer is `down`, though one of them would answer.
pub fn all_are_down_by_configuration(lab: &Lab) -> Result<()> {
    let (name, first) = (lab.unique("shop"), lab.neighbouring_ports(2)?);
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{first}"))?;
    let (one, other) = (format!("127.0.0.1:{first} down"), format!("127.0.0.1:{} down", first + 1));
    let nginx = lab.nginx(SITE, &[("name", &name), ("one", &one), ("other", &other)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[NO_LIVE, &format!("upstream: \"http://{name}/\"")])?;
    nginx.not_logged("(111: Connection refused)")?;
    lab.diagnose(&nginx, &[Expectation::confirmed("no-live-peers").of_peer(name)])
}

/// Each server has the one connection that it may have: nothing failed, and nothing shows how many there were.
pub fn servers_have_all_the_connections_they_may(lab: &Lab) -> Result<()> {
    let (name, first) = (lab.unique("shop"), lab.neighbouring_ports(2)?);
    let (one, other) = (format!("127.0.0.1:{first}"), format!("127.0.0.1:{}", first + 1));
    let _one = lab.application(&["slow", "1"], &one)?;
    let _other = lab.application(&["slow", "1"], &other)?;
    let (one, other) = (format!("{one} max_conns=1"), format!("{other} max_conns=1"));
    let site = SITE.replace("proxy_read_timeout 1s;", "");
    let nginx = lab.nginx(&site, &[("name", &name), ("one", &one), ("other", &other)])?;
    lab.settle();
    let failed = nginx.gathering(6, "/slow", 502)?;
    ensure!(failed > 0, "every client was served:\n{}", nginx.log());
    nginx.logged(&[NO_LIVE, &format!("upstream: \"http://{name}/slow\"")])?;
    lab.diagnose(&nginx, &[Expectation::at_most("no-live-peers").of_peer(name)])
}

/// Both peers accept and never answer: a 504 first, then no peer is left.
pub fn hanging_peers(lab: &Lab) -> Result<()> {
    let (name, first) = (lab.unique("shop"), lab.neighbouring_ports(2)?);
    let (one, other) = (format!("127.0.0.1:{first}"), format!("127.0.0.1:{}", first + 1));
    let _one = lab.application(&["silent"], &one)?;
    let _other = lab.application(&["silent"], &other)?;
    let nginx = lab.nginx(SITE, &[("name", &name), ("one", &one), ("other", &other)])?;
    lab.settle();
    nginx.expect(1, "GET", "/", 504)?;
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["upstream timed out (110: Connection timed out) while reading response header", &one])?;
    nginx.logged(&[NO_LIVE, &format!("upstream: \"http://{name}/\"")])?;
    let hangs = |peer| Expectation::at_most("application-slow").of_peer(peer);
    lab.diagnose(&nginx, &[Expectation::confirmed("no-live-peers").of_peer(name), hangs(one), hangs(other)])
}
