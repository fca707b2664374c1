//! No way leads to the peer. Every route stands in a network of the scenario's own.

use anyhow::Result;

use crate::{Expectation, Lab, Network, Nginx};

const SITE: &str = "\
server {
    listen @listen;
    server_name shop.example.com;
    proxy_connect_timeout @patience;
    location / {
        proxy_pass http://@peer;
    }
}
";

const CAUSE: &str = "peer-unreachable";
const SILENT: &str = "upstream timed out (110: Connection timed out) while connecting to upstream";

/// Two hosts with a link; nothing listens on the other one.
fn hosts(lab: &Lab) -> Result<(Network, Network)> {
    let (network, other) = (lab.network()?, lab.network()?);
    network.connect(&other)?;
    Ok((network, other))
}

fn nginx(lab: &Lab, peer: &str, patience: &str) -> Result<Nginx> {
    lab.nginx(SITE, &[("peer", &peer), ("patience", &patience)])
}

/// nginx is to come from an address that the host does not have; the client sees 500.
pub fn proxy_bind_of_no_own_address(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{peer}"))?;
    let site = "server { listen @listen; location / { proxy_bind 203.0.113.1; proxy_pass http://127.0.0.1:@peer; } }\n";
    let mut nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 500)?;
    nginx.logged(&["bind(203.0.113.1) failed (99: Cannot assign requested address) while connecting to upstream"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("203.0.113.1").naming("proxy_bind 203.0.113.1;")])?;
    nginx.edit("proxy_bind 203.0.113.1;", "")?;
    nginx.reload()?;
    nginx.expect(2, "GET", "/", 200)
}

/// The host knows its own network and no router.
pub fn no_route(lab: &Lab) -> Result<()> {
    let (network, _other) = hosts(lab)?;
    let _inside = network.enter()?;
    let nginx = nginx(lab, "192.0.2.5:9000", "3s")?;
    lab.settle();
    nginx.expect(3, "GET", "/cart", 502)?;
    nginx.logged(&["(101: Network is unreachable) while connecting to upstream"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("no route to 192.0.2.5").needs_root()])
}

/// Each kind of route that refuses has an errno of its own; 13 is no question of rights here.
pub fn routes_that_refuse(lab: &Lab) -> Result<()> {
    let (network, _other) = hosts(lab)?;
    let _inside = network.enter()?;
    network.run(
        "ip route add default via 10.77.0.2\nip route add prohibit 10.90.0.0/16\n\
         ip route add blackhole 10.91.0.0/16\nip route add unreachable 10.92.0.0/16",
    )?;
    let site = "server {
    listen @listen;
    location /prohibit { proxy_pass http://10.90.0.1:9000; }
    location /blackhole { proxy_pass http://10.91.0.1:9000; }
    location /unreachable { proxy_pass http://10.92.0.1:9000; }
}
";
    let nginx = lab.nginx(site, &[])?;
    lab.settle();
    for path in ["/prohibit", "/blackhole", "/unreachable"] {
        nginx.expect(2, "GET", path, 502)?;
    }
    nginx.logged(&["(13: Permission denied) while connecting to upstream"])?;
    nginx.logged(&["(22: Invalid argument) while connecting to upstream"])?;
    nginx.logged(&["(113: No route to host) while connecting to upstream"])?;
    let truth = |peer: &str, network: &str| {
        Expectation::confirmed(CAUSE).of_peer(format!("{peer}:9000")).naming(network)
    };
    lab.diagnose(
        &nginx,
        &[
            truth("10.90.0.1", "prohibit route for 10.90.0.0/16"),
            truth("10.91.0.1", "blackhole route for 10.91.0.0/16"),
            truth("10.92.0.1", "unreachable route for 10.92.0.0/16"),
        ],
    )
}

/// Nobody on the link has the peer's address; nginx does not wait until the kernel gives up.
pub fn nobody_has_the_address(lab: &Lab) -> Result<()> {
    let (network, _other) = hosts(lab)?;
    let _inside = network.enter()?;
    let nginx = nginx(lab, "10.77.0.9:9000", "1s")?;
    lab.settle();
    nginx.expect(2, "GET", "/cart", 504)?;
    nginx.logged(&[SILENT])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("10.77.0.9 does not answer")])
}

/// The router's address is nobody's; the kernel gives up after three seconds, and nginx logs 113.
pub fn the_router_is_gone(lab: &Lab) -> Result<()> {
    let (network, _other) = hosts(lab)?;
    let _inside = network.enter()?;
    network.run("ip route add default via 10.77.0.254")?;
    let nginx = nginx(lab, "192.0.2.5:9000", "10s")?;
    lab.settle();
    nginx.expect(1, "GET", "/cart", 502)?;
    nginx.logged(&["(113: No route to host) while connecting to upstream"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("10.77.0.254")])
}

/// The neighbour is there and throws everything away: what lies behind it nobody knows here.
pub fn nothing_answers_behind_the_link(lab: &Lab) -> Result<()> {
    let (network, other) = hosts(lab)?;
    other.nft("table ip guard {\n chain in { type filter hook input priority filter; policy drop;\n }\n}")?;
    let _inside = network.enter()?;
    let nginx = nginx(lab, "10.77.0.2:9000", "1s")?;
    lab.settle();
    nginx.expect(2, "GET", "/cart", 504)?;
    nginx.logged(&[SILENT])?;
    lab.diagnose(&nginx, &[Expectation::undetermined()])
}
