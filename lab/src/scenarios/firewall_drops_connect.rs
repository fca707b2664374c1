//! A firewall rule of this host drops nginx's connections, or the answers. Every rule stands in a network of the
//! scenario's own.

use anyhow::Result;

use crate::{Expectation, Lab, Network, Nginx, Process};

const SITE: &str = "\
server {
    listen @listen;
    server_name shop.example.com;
    proxy_connect_timeout 1s;
    location / {
        proxy_pass http://@peer;
    }
}
";

const CAUSE: &str = "firewall-drops-connect";
const SILENT: &str = "upstream timed out (110: Connection timed out) while connecting to upstream";
const PEER: &str = "10.77.0.2:9000";

/// Two hosts, the application on the other one.
fn hosts(lab: &Lab) -> Result<(Network, Network, Process)> {
    let (network, other) = (lab.network()?, lab.network()?);
    network.connect(&other)?;
    let _there = other.enter()?;
    let application = lab.application(&["ok"], PEER)?;
    Ok((network, other, application))
}

/// An nft rule drops what goes to the port of the other host.
pub fn output_drops(lab: &Lab) -> Result<()> {
    let (network, _other, _application) = hosts(lab)?;
    let _inside = network.enter()?;
    network.nft(
        "table inet guard {\n chain out { type filter hook output priority filter; policy accept;\n \
         oifname lo accept\n ip daddr 10.0.0.0/8 tcp dport { 9000, 9443 } counter drop\n }\n}",
    )?;
    let nginx = lab.nginx(SITE, &[("peer", &PEER)])?;
    lab.settle();
    failed(&nginx)?;
    let truth = Expectation::confirmed(CAUSE).rules_out("firewall-rejects-connect");
    lab.diagnose(&nginx, &[truth.naming("table inet guard, chain out").needs_root()])
}

/// ufw denies it on the way out, in silence.
pub fn ufw_denies_on_the_way_out(lab: &Lab) -> Result<()> {
    let (network, _other, _application) = hosts(lab)?;
    let _inside = network.enter()?;
    network.ufw(lab, &["allow 22/tcp", "deny out to 10.77.0.0/24 port 9000 proto tcp"])?;
    let nginx = lab.nginx(SITE, &[("peer", &PEER)])?;
    lab.settle();
    failed(&nginx)?;
    let truth = Expectation::confirmed(CAUSE).naming("ufw's firewall rule").rules_out("firewall-rejects-connect");
    lab.diagnose(&nginx, &[truth.fixed_by(&["ufw", "prepend", "allow", "out", "proto", "tcp", "to", "10.77.0.2", "port", "9000"])])
}

/// Nobody thought of loopback: the policy drops what no rule accepts.
pub fn input_policy_drops_loopback(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    let peer = format!("127.0.0.2:{}", lab.port()?);
    let _application = lab.application(&["ok"], &peer)?;
    network.run(
        "iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
         iptables -A INPUT -d 127.0.0.1 -j ACCEPT\niptables -P INPUT DROP",
    )?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    failed(&nginx)?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("table ip filter, chain INPUT")])
}

/// What this host sends passes; the answers are thrown away.
pub fn answers_are_dropped(lab: &Lab) -> Result<()> {
    let (network, _other, _application) = hosts(lab)?;
    let _inside = network.enter()?;
    network.run("iptables -A INPUT -i lo -j ACCEPT\niptables -A INPUT -p tcp --dport 22 -j ACCEPT\niptables -P INPUT DROP")?;
    let nginx = lab.nginx(SITE, &[("peer", &PEER)])?;
    lab.settle();
    failed(&nginx)?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("answers of")])
}

/// The other host drops it: nothing here proves that.
pub fn the_peers_own_firewall_drops(lab: &Lab) -> Result<()> {
    let (network, other, _application) = hosts(lab)?;
    other.run("iptables -A INPUT -p tcp --dport 9000 -j DROP")?;
    let _inside = network.enter()?;
    network.run("iptables -A OUTPUT -p tcp --dport 9001 -j DROP")?;
    let nginx = lab.nginx(SITE, &[("peer", &PEER)])?;
    lab.settle();
    failed(&nginx)?;
    lab.diagnose(&nginx, &[Expectation::undetermined()])
}

fn failed(nginx: &Nginx) -> Result<()> {
    nginx.expect(2, "GET", "/cart", 504)?;
    nginx.logged(&[SILENT])
}
