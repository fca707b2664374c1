//! No local port is left for connections to the peer.

use std::thread;

use anyhow::Result;

use crate::{Expectation, Lab, client};

const CAUSE: &str = "nginx-out-of-local-ports";
const NONE_LEFT: &str = "failed (99: Cannot assign requested address) while connecting to upstream";

/// Eight ports are all there are, and an application that never answers keeps them.
pub fn eight_ports_are_taken(lab: &Lab) -> Result<()> {
    held(lab, true)
}

/// The same, seen from outside of nginx's network.
pub fn in_another_network(lab: &Lab) -> Result<()> {
    held(lab, false)
}

fn held(lab: &Lab, from_inside: bool) -> Result<()> {
    let network = lab.network()?;
    let inside = network.enter()?;
    network.run("sysctl -qw net.ipv4.ip_local_port_range='40000 40007'")?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["silent"], &peer)?;
    // A client takes a port for each address of nginx's too: so it has two.
    let other = lab.port()?;
    let site = "\
server {
    listen @listen;
    listen 127.0.0.1:@other;
    location / {
        proxy_pass http://@peer;
    }
}
";
    let nginx = lab.nginx(site, &[("peer", &peer), ("other", &other)])?;
    lab.settle();
    for port in [nginx.port(), other] {
        for _ in 0..6 {
            // Those that are let through wait until nginx ends.
            thread::spawn(move || client::request(port, "GET", "/").ok());
        }
    }
    // Eight of the twelve found a port.
    nginx.logged_times(4, &["[crit]", &format!("connect() to {peer} {NONE_LEFT}")])?;
    let truth = Expectation::confirmed(CAUSE).of_peer(peer).naming("8 of 8 are taken");
    let truth = if from_inside { truth } else { truth.needs_root() };
    if !from_inside {
        drop(inside);
    }
    lab.diagnose(&nginx, &[truth.rules_out("peer-not-listening")])
}

/// The look-alike: the same errno, because there is no IPv6 address to dial from.
pub fn no_address_of_the_family(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    network.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")?;
    let peer = format!("[::1]:{}", lab.port()?);
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://@peer;
    }
}
";
    let nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["[crit]", &format!("connect() to {peer} {NONE_LEFT}")])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-unreachable").of_peer(peer)])
}
