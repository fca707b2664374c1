//! SELinux forbids nginx to connect to a port.

use anyhow::Result;

use crate::Expectation;
use crate::vm::Vm;

const CAUSE: &str = "selinux-denies-connect";

/// An application listens on a port of another program's type; no label helps while every port is denied.
pub fn a_boolean_opens_the_port(vm: &Vm<'_>) -> Result<()> {
    listening(vm, 3000)?;
    let truth = || Expectation::confirmed(CAUSE).of_peer("127.0.0.1:3000").naming("ntop_port_t");
    vm.diagnose(&[truth()
        .naming("name_connect")
        .fixed_by(&["setsebool", "-P", "httpd_can_network_connect", "1"])
        .rules_out("selinux-denies-socket")
        .rules_out("peer-not-listening")])?;
    vm.apply(CAUSE, 0)?;
    vm.expect("http://127.0.0.1/", "200")?;
    vm.diagnose(&[Expectation::confirmed(CAUSE).over()])?;
    vm.run("setsebool httpd_can_network_connect 0; systemctl stop shop").map(drop)
}

/// The denial hides that the application is down.
pub fn nothing_listens_behind_it(vm: &Vm<'_>) -> Result<()> {
    listening(vm, 5999)?;
    vm.run("systemctl stop shop")?;
    vm.expect("http://127.0.0.1/", "502")?;
    let truth = Expectation::confirmed(CAUSE).of_peer("127.0.0.1:5999").times(2);
    vm.diagnose(&[truth.naming("111: Connection refused").naming("this alone will not do")])?;
    vm.run("setsebool httpd_can_network_connect 1")?;
    // What comes next is another incident of the same peer.
    vm.expect("http://127.0.0.1/", "502")?;
    vm.logged("(111: Connection refused)")?;
    vm.run("setsebool httpd_can_network_connect 0").map(drop)
}

/// The policy lets nginx connect to web servers' ports, and the application's is none.
pub fn a_label_opens_the_port(vm: &Vm<'_>) -> Result<()> {
    vm.run("setsebool httpd_can_network_relay 1")?;
    listening(vm, 7777)?;
    let truth = Expectation::confirmed(CAUSE).of_peer("127.0.0.1:7777").naming("unreserved_port_t");
    vm.diagnose(&[truth.fixed_by(&["semanage", "port", "-a", "-t", "http_port_t", "-p", "tcp", "7777"])])?;
    vm.apply(CAUSE, 0)?;
    vm.expect("http://127.0.0.1/", "200")?;
    vm.diagnose(&[Expectation::confirmed(CAUSE).over()])?;
    vm.run("semanage port -d -t http_port_t -p tcp 7777; setsebool httpd_can_network_relay 0; systemctl stop shop").map(drop)
}

/// An application on a port, nginx before it, and one request that SELinux denies.
fn listening(vm: &Vm<'_>, port: u16) -> Result<()> {
    let serve = format!("/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory /srv {port}");
    vm.service("shop", &serve, &format!("curl -s -o /dev/null http://127.0.0.1:{port}/"))?;
    vm.nginx_site(&format!("server {{\n    listen 80;\n    location / {{\n        proxy_pass http://127.0.0.1:{port};\n    }}\n}}\n"))?;
    vm.expect("http://127.0.0.1/", "502")?;
    vm.logged(&format!("connect() to 127.0.0.1:{port} failed (13: Permission denied)"))
}
