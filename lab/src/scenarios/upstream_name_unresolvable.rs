//! The upstream's name does not resolve.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process::until;
use crate::{Expectation, Lab};

const CAUSE: &str = "upstream-name-unresolvable";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        resolver @server valid=1s;
        resolver_timeout 1s;
        set $shop @name;
        proxy_pass http://$shop:@peer;
    }
}
";

/// There is no such name.
pub fn name_server_does_not_know_it(lab: &Lab) -> Result<()> {
    let (_dnsmasq, server) = lab.name_server(&["--host-record=shop.lab,127.0.0.1"])?;
    let nginx = lab.nginx(SITE, &[("server", &server), ("name", &"shpo.lab"), ("peer", &8000)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["[error]", "shpo.lab could not be resolved (3: Host not found), client"])?;
    let truth = Expectation::confirmed(CAUSE).of_peer("shpo.lab").naming(server).naming("does not know");
    lab.diagnose(&nginx, &[truth.rules_out("resolver-missing")])
}

/// The name server was down for a while: what it would have said then, nobody knows.
pub fn name_server_is_back(lab: &Lab) -> Result<()> {
    let records = ["--host-record=shop.lab,127.0.0.1"];
    let (mut dnsmasq, server) = lab.name_server(&records)?;
    let peer = lab.port()?;
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{peer}"))?;
    dnsmasq.kill();
    let nginx = lab.nginx(SITE, &[("server", &server), ("name", &"shop.lab"), ("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 502)?;
    nginx.logged(&["[error]", "shop.lab could not be resolved (110: Operation timed out), client"])?;
    let _dnsmasq = lab.name_server_at(&server, &records)?;
    until(Duration::from_secs(10), || nginx.get("/").ok().filter(|&status| status == 200))
        .context("the name does not resolve")?;
    lab.diagnose(&nginx, &[Expectation::at_most(CAUSE).of_peer("shop.lab").over()])
}

/// It has an IPv4 address, and the name server refuses to be asked for IPv6.
pub fn only_ipv6_is_refused(lab: &Lab) -> Result<()> {
    let (_dnsmasq, server) = lab.name_server(&["--address=/shop.test/127.0.0.1"])?;
    let nginx = lab.nginx(SITE, &[("server", &server), ("name", &"shop.test"), ("peer", &8000)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["[error]", "shop.test could not be resolved (5: Operation refused), client"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).of_peer("shop.test").naming("ipv6=off")])
}

/// Nobody answers where the resolver is said to be.
pub fn name_server_is_dead(lab: &Lab) -> Result<()> {
    let server = format!("127.0.0.1:{}", lab.port()?);
    let nginx = lab.nginx(SITE, &[("server", &server), ("name", &"shop.lab"), ("peer", &8000)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 502)?;
    nginx.logged(&["[error]", "shop.lab could not be resolved (110: Operation timed out), client"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).of_peer("shop.lab").naming(format!("{server} does not answer"))])
}

/// It answers for others, and hands this one on to a server that is dead.
pub fn name_server_is_silent_for_one_name(lab: &Lab) -> Result<()> {
    let dead = lab.port()?;
    let (_dnsmasq, server) = lab.name_server(&[&format!("--server=/shop.test/127.0.0.1#{dead}")])?;
    let nginx = lab.nginx(SITE, &[("server", &server), ("name", &"shop.test"), ("peer", &8000)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 502)?;
    nginx.logged(&["[error]", "shop.test could not be resolved (110: Operation timed out), client"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).of_peer("shop.test").naming("answers, but not for shop.test")])
}

/// A name without a variable keeps nginx from starting.
pub fn nginx_does_not_start(lab: &Lab) -> Result<()> {
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";
    let peer = lab.port()?;
    let mut nginx = lab.nginx(site, &[("peer", &peer)])?;
    nginx.stop()?;
    nginx.edit("http://127.0.0.1:", "http://shop.nowhere.invalid:")?;
    nginx.start_refused(lab)?;
    nginx.logged(&["[emerg]", "host not found in upstream \"shop.nowhere.invalid\""])?;
    let truth = Expectation::confirmed(CAUSE).also("nginx-not-running");
    lab.diagnose(&nginx, &[truth.naming("shop.nowhere.invalid")])
}

/// The look-alike: the name resolves as it should, and nothing listens at its address.
pub fn name_resolves_and_nothing_listens(lab: &Lab) -> Result<()> {
    let (_dnsmasq, server) = lab.name_server(&["--host-record=shop.lab,127.0.0.1"])?;
    let peer = lab.port()?;
    let nginx = lab.nginx(SITE, &[("server", &server), ("name", &"shop.lab"), ("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    let peer = format!("127.0.0.1:{peer}");
    nginx.logged(&["connect() failed (111: Connection refused)", &peer])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").of_peer(peer).rules_out(CAUSE)])
}
