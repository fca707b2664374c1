//! SELinux forbids nginx to connect to a port.

use anyhow::Result;

use crate::Expectation;
use crate::vm::Vm;

const CAUSE: &str = "selinux-denies-connect";
const FRONT: &str = "http://127.0.0.1/";

/// An application listens on a port of another program's type; no label helps while every port is denied.
pub fn a_boolean_opens_the_port(vm: &Vm<'_>) -> Result<()> {
    listening(vm, 3000)?;
    let truth = Expectation::confirmed(CAUSE).of_peer("127.0.0.1:3000").naming("ntop_port_t");
    vm.diagnose(&[truth
        .naming("name_connect")
        .fixed_by(&["setsebool", "-P", "httpd_can_network_connect", "1"])
        .rules_out("selinux-denies-socket")
        .rules_out("peer-not-listening")
        .needs_root()])?;
    vm.apply(CAUSE, 0)?;
    vm.expect(FRONT, "200")?;
    vm.diagnose(&[Expectation::confirmed(CAUSE).over()])
}

/// A database's port has a boolean of its own, which opens less than the one for all.
pub fn a_boolean_for_databases_is_narrower(vm: &Vm<'_>) -> Result<()> {
    listening(vm, 5432)?;
    let truth = Expectation::confirmed(CAUSE).of_peer("127.0.0.1:5432").naming("postgresql_port_t");
    vm.diagnose(&[truth.fixed_by(&["setsebool", "-P", "httpd_can_network_connect_db", "1"])])?;
    vm.apply(CAUSE, 0)?;
    vm.run("[ \"$(getsebool httpd_can_network_connect)\" = 'httpd_can_network_connect --> off' ]")?;
    vm.expect(FRONT, "200")?;
    vm.mended()
}

/// A cache's port is one of those that a relay may use.
pub fn a_relay_opens_ports_of_caches(vm: &Vm<'_>) -> Result<()> {
    listening(vm, 8080)?;
    let truth = Expectation::confirmed(CAUSE).of_peer("127.0.0.1:8080").naming("http_cache_port_t");
    vm.diagnose(&[truth.fixed_by(&["setsebool", "-P", "httpd_can_network_relay", "1"])])?;
    vm.apply(CAUSE, 0)?;
    vm.run("[ \"$(getsebool httpd_can_network_connect)\" = 'httpd_can_network_connect --> off' ]")?;
    vm.expect(FRONT, "200")?;
    vm.mended()
}

/// The denial hides that the application is down.
pub fn nothing_listens_behind_it(vm: &Vm<'_>) -> Result<()> {
    listening(vm, 5999)?;
    vm.run("systemctl stop shop")?;
    vm.expect(FRONT, "502")?;
    let truth = Expectation::confirmed(CAUSE).of_peer("127.0.0.1:5999").times(2);
    vm.diagnose(&[truth.naming("111: Connection refused").naming("this alone will not do")])?;
    vm.run("setsebool httpd_can_network_connect 1")?;
    // What comes next is another incident of the same peer.
    vm.expect(FRONT, "502")?;
    vm.logged("(111: Connection refused)")
}

/// The policy lets nginx connect to web servers' ports, and the application's is none.
pub fn a_label_opens_the_port(vm: &Vm<'_>) -> Result<()> {
    vm.run("setsebool httpd_can_network_relay 1")?;
    listening(vm, 7777)?;
    let truth = Expectation::confirmed(CAUSE).of_peer("127.0.0.1:7777").naming("unreserved_port_t");
    vm.diagnose(&[truth.fixed_by(&["semanage", "port", "-a", "-t", "http_port_t", "-p", "tcp", "7777"])])?;
    vm.apply(CAUSE, 0)?;
    vm.expect(FRONT, "200")?;
    vm.mended()
}

/// A rule keeps the denial out of the log: the policy in force still tells.
pub fn denial_is_not_logged(vm: &Vm<'_>) -> Result<()> {
    module(vm, "(dontaudit httpd_t ntop_port_t (tcp_socket (name_connect)))")?;
    listening(vm, 3000)?;
    vm.run("! grep -q 'name_connect.*dest=3000' /var/log/audit/audit.log")?;
    let truth = Expectation::confirmed(CAUSE).of_peer("127.0.0.1:3000").naming("a dontaudit rule keeps it out of the log");
    vm.diagnose(&[truth.fixed_by(&["setsebool", "-P", "httpd_can_network_connect", "1"])])?;
    vm.apply(CAUSE, 0)?;
    vm.expect(FRONT, "200")?;
    vm.mended()
}

/// The host only logs what it would deny; a route is what prohibits.
pub fn permissive_host_only_logs(vm: &Vm<'_>) -> Result<()> {
    vm.run("setenforce 0")?;
    prohibited(vm)
}

/// nginx's domain alone is permissive, as `semanage permissive -a httpd_t` makes it; a route is what prohibits.
pub fn permissive_domain_is_only_logged(vm: &Vm<'_>) -> Result<()> {
    module(vm, "(typepermissive httpd_t)")?;
    prohibited(vm)
}

/// nginx fails with the same words in the second of an audit record of the same port, which says `permissive=1`.
fn prohibited(vm: &Vm<'_>) -> Result<()> {
    vm.run("ip route add prohibit 192.0.2.7")?;
    site(vm, "192.0.2.7:3000")?;
    vm.run("grep -q 'name_connect.*dest=3000.*permissive=1' /var/log/audit/audit.log")?;
    let truth = Expectation::at_most("peer-unreachable").of_peer("192.0.2.7:3000");
    vm.diagnose(&[truth.rules_out(CAUSE)])?;
    vm.run("ip route del prohibit 192.0.2.7; ip addr add 192.0.2.7/32 dev lo")?;
    serve(vm, "192.0.2.7", 3000)?;
    vm.expect(FRONT, "200")?;
    vm.mended()
}

/// An application on a port, nginx before it, and one request that SELinux denies.
fn listening(vm: &Vm<'_>, port: u16) -> Result<()> {
    serve(vm, "127.0.0.1", port)?;
    site(vm, &format!("127.0.0.1:{port}"))
}

fn serve(vm: &Vm<'_>, address: &str, port: u16) -> Result<()> {
    let serve = format!("/usr/bin/python3 -m http.server --bind {address} --directory /srv {port}");
    vm.service("shop", &serve, &format!("curl -s -o /dev/null http://{address}:{port}/"))
}

fn site(vm: &Vm<'_>, peer: &str) -> Result<()> {
    vm.nginx_site(&format!("server {{\n    listen 80;\n    location / {{\n        proxy_pass http://{peer};\n    }}\n}}\n"))?;
    vm.expect(FRONT, "502")?;
    vm.logged(&format!("connect() to {peer} failed (13: Permission denied)"))
}

fn module(vm: &Vm<'_>, rule: &str) -> Result<()> {
    vm.put("/root/scenario.cil", rule.as_bytes())?;
    vm.run("semodule -i /root/scenario.cil").map(drop)
}
