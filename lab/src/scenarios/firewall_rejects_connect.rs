//! A firewall rule of this host rejects nginx's connections. Every rule stands in a network of the scenario's own.

use anyhow::Result;

use crate::{Expectation, Lab, Nginx};

const SITE: &str = "\
server {
    listen @listen;
    server_name shop.example.com;
    location / {
        proxy_pass http://@peer;
    }
}
";

const CAUSE: &str = "firewall-rejects-connect";
const REFUSED: &str = "connect() failed (111: Connection refused) while connecting to upstream";
const UNREACHABLE: &str = "connect() failed (113: No route to host) while connecting to upstream";

/// An nft rule resets what nginx's workers send to the port; the shell of root gets through.
pub fn nft_resets_the_worker(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let port = port_of(&peer);
    let _application = lab.application(&["ok"], &peer)?;
    network.nft(&format!(
        "table inet guard {{\n set closed {{ type inet_service; flags interval; elements = {{ 22, {port}-{port} }}\n }}\n \
         chain out {{ type filter hook output priority filter; policy accept;\n ct state established,related accept\n \
         meta skuid www-data tcp dport @closed counter reject with tcp reset\n }}\n}}"
    ))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    failed(&nginx, REFUSED)?;
    let truth = Expectation::confirmed(CAUSE).rules_out("peer-not-listening").naming("meta skuid 33");
    lab.diagnose(&nginx, &[truth.naming("table inet guard, chain out").naming("accept")])
}

/// iptables rejects on the way in, as it does by default: with an ICMP error.
pub fn iptables_rejects_on_the_way_in(lab: &Lab) -> Result<()> {
    rejects_on_the_way_in(lab, "iptables")
}

/// The same in the older kind of tables, which nft does not list.
pub fn older_tables_reject(lab: &Lab) -> Result<()> {
    rejects_on_the_way_in(lab, "iptables-legacy")
}

fn rejects_on_the_way_in(lab: &Lab, program: &str) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let port = port_of(&peer);
    let _application = lab.application(&["ok"], &peer)?;
    network.run(&format!(
        "{program} -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
         {program} -A INPUT -p tcp -m multiport --dports 3306,{port} -m comment --comment 'not for all' -j REJECT"
    ))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    failed(&nginx, REFUSED)?;
    let truth = Expectation::confirmed(CAUSE).rules_out("peer-not-listening");
    lab.diagnose(&nginx, &[truth.naming("--reject-with icmp-port-unreachable").naming(program).needs_root()])
}

/// Another host, which a rule of this one prohibits: nginx logs 113.
pub fn a_host_is_prohibited(lab: &Lab) -> Result<()> {
    let (network, other) = (lab.network()?, lab.network()?);
    network.connect(&other)?;
    let application = {
        let _there = other.enter()?;
        lab.application(&["ok"], "10.77.0.2:9000")?
    };
    let _inside = network.enter()?;
    network.run("iptables -A OUTPUT -d 10.77.0.0/24 -o v0 -p tcp -j REJECT --reject-with icmp-host-prohibited")?;
    let nginx = lab.nginx(SITE, &[("peer", &"10.77.0.2:9000")])?;
    lab.settle();
    failed(&nginx, UNREACHABLE)?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("icmp-host-prohibited")])?;
    drop(application);
    Ok(())
}

/// ufw rejects it on the way out: the fix is in its own words, and helps.
pub fn ufw_rejects_on_the_way_out(lab: &Lab) -> Result<()> {
    let (network, other) = (lab.network()?, lab.network()?);
    network.connect(&other)?;
    let _application = {
        let _there = other.enter()?;
        lab.application(&["ok"], "10.77.0.2:9000")?
    };
    let _inside = network.enter()?;
    network.ufw(lab, &["allow 22/tcp", "reject out proto tcp to 10.77.0.2 port 9000", "limit in 2222/tcp"])?;
    let nginx = lab.nginx(SITE, &[("peer", &"10.77.0.2:9000")])?;
    lab.settle();
    failed(&nginx, REFUSED)?;
    let truth = Expectation::confirmed(CAUSE).naming("ufw's firewall rule").naming("ufw-user-output");
    lab.diagnose(&nginx, &[truth.fixed_by(&["ufw", "allow", "out", "proto", "tcp", "to", "10.77.0.2", "port", "9000"])])?;
    // What a person would type next. The first alone would be skipped: there is such a rule, with another action.
    network.ufw(lab, &[
        "prepend allow out proto tcp to 10.77.0.2 port 9000",
        "allow out proto tcp to 10.77.0.2 port 9000",
    ])?;
    nginx.expect(2, "GET", "/", 200)
}

/// A policy of firewalld's rejects it on the way out.
pub fn firewalld_rejects_on_the_way_out(lab: &Lab) -> Result<()> {
    let (network, other) = (lab.network()?, lab.network()?);
    network.connect(&other)?;
    let _application = {
        let _there = other.enter()?;
        lab.application(&["ok"], "10.77.0.2:9000")?
    };
    let _inside = network.enter()?;
    network.firewalld(lab, &POLICY)?;
    let nginx = lab.nginx(SITE, &[("peer", &"10.77.0.2:9000")])?;
    lab.settle();
    failed(&nginx, REFUSED)?;
    let truth = Expectation::confirmed(CAUSE).naming("firewalld's firewall rule").naming("filter_OUT_policy_hostout_deny");
    lab.diagnose(&nginx, &[truth.fixed_by(&ALLOW)])?;
    // What a person would type next.
    let allow = format!("--permanent --policy hostout --add-rich-rule '{RICH}'");
    network.firewalld(lab, &[&allow, "--reload"])?;
    nginx.expect(2, "GET", "/", 200)
}

/// Port 9000 of the other host is refused, as firewalld has it.
const POLICY: [&str; 5] = [
    "--permanent --new-policy hostout",
    "--permanent --policy hostout --add-ingress-zone HOST",
    "--permanent --policy hostout --add-egress-zone ANY",
    "--permanent --policy hostout --add-rich-rule 'rule family=ipv4 destination address=10.77.0.2 port port=9000 protocol=tcp reject'",
    "--reload",
];
const RICH: &str = "rule priority=\"-1\" family=\"ipv4\" destination address=\"10.77.0.2\" port port=\"9000\" protocol=\"tcp\" accept";
const ALLOW: [&str; 6] = ["firewall-cmd", "--permanent", "--policy", "hostout", "--add-rich-rule", RICH];

/// Both are on, with rules for other ports and hosts and for loopback, which they let pass: the application is dead.
pub fn ufw_and_firewalld_mean_others(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let port = port_of(&peer);
    network.firewalld(lab, &POLICY)?;
    network.ufw(lab, &[&format!("reject out proto tcp to 127.0.0.1 port {port}"), "deny out to 10.0.0.0/8"])?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    failed(&nginx, REFUSED)?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").rules_out(CAUSE)])
}

/// Rules that stand at a device see nothing of what stays within the host.
pub fn rules_at_another_device(lab: &Lab) -> Result<()> {
    let (network, other) = (lab.network()?, lab.network()?);
    network.connect(&other)?;
    let _inside = network.enter()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let port = port_of(&peer);
    network.nft(&format!(
        "table netdev guard {{\n chain in {{ type filter hook ingress device v0 priority 0; policy accept;\n \
         tcp dport {port} drop\n }}\n}}"
    ))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    failed(&nginx, REFUSED)?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").rules_out(CAUSE)])
}

/// The rule refuses, and behind it nobody would answer: the rule is why.
pub fn nobody_listens_behind_it(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let port = port_of(&peer);
    network.run(&format!("iptables -A OUTPUT -p tcp --dport {port} -j REJECT --reject-with tcp-reset"))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    failed(&nginx, REFUSED)?;
    let truth = Expectation::confirmed(CAUSE).naming("this alone will not do: nothing listens on");
    lab.diagnose(&nginx, &[truth])
}

/// A firewall full of rules, none of which is for this connection: the application is dead.
pub fn a_rule_for_another_port(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let other = lab.port()?;
    network.nft(&format!(
        "table inet guard {{\n chain in {{ type filter hook input priority filter; policy drop;\n \
         ct state vmap {{ established : accept, related : accept, invalid : drop }}\n iif lo accept\n }}\n \
         chain out {{ type filter hook output priority filter; policy accept;\n tcp dport {other} reject with tcp reset\n \
         meta skuid 1 reject\n ip daddr 10.0.0.0/8 drop\n }}\n}}"
    ))?;
    network.run(&format!("iptables -t nat -A OUTPUT -p tcp --dport {other} -j REDIRECT --to-ports 80"))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    failed(&nginx, REFUSED)?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").rules_out(CAUSE)])
}

/// A rule sends the connection to another port, where nobody listens; at the port that nginx dials somebody does.
pub fn a_rule_redirects_to_a_dead_port(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let (port, dead) = (port_of(&peer), lab.port()?);
    let _application = lab.application(&["ok"], &peer)?;
    network.run(&format!("iptables -t nat -A OUTPUT -p tcp --dport {port} -j REDIRECT --to-ports {dead}"))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    failed(&nginx, REFUSED)?;
    lab.diagnose(&nginx, &[Expectation::undetermined()])
}

/// nginx runs in a network of its own, as in a container, and the rule stands there; why502 runs outside.
pub fn nginx_in_a_network_of_its_own(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let inside = network.enter()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let port = port_of(&peer);
    let _application = lab.application(&["ok"], &peer)?;
    network.nft(&format!(
        "table ip guard {{\n chain out {{ type filter hook output priority filter; policy accept;\n \
         tcp dport {port} reject\n }}\n}}"
    ))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    failed(&nginx, REFUSED)?;
    drop(inside);
    let truth = Expectation::confirmed(CAUSE).rules_out("peer-not-listening");
    lab.diagnose(&nginx, &[truth.naming("table ip guard, chain out").naming("nsenter")])
}

/// The same refusal by the other host: nothing here proves it.
pub fn the_peers_own_firewall_rejects(lab: &Lab) -> Result<()> {
    let (network, other) = (lab.network()?, lab.network()?);
    network.connect(&other)?;
    let _application = {
        let _there = other.enter()?;
        lab.application(&["ok"], "10.77.0.2:9000")?
    };
    other.run("iptables -A INPUT -p tcp --dport 9000 -j REJECT")?;
    let _inside = network.enter()?;
    network.run("iptables -A OUTPUT -p tcp --dport 9001 -j REJECT")?;
    let nginx = lab.nginx(SITE, &[("peer", &"10.77.0.2:9000")])?;
    lab.settle();
    failed(&nginx, REFUSED)?;
    lab.diagnose(&nginx, &[Expectation::undetermined()])
}

fn failed(nginx: &Nginx, line: &str) -> Result<()> {
    nginx.expect(3, "GET", "/cart", 502)?;
    nginx.logged(&[line])
}

fn port_of(peer: &str) -> &str {
    peer.rsplit(':').next().unwrap_or_default()
}
