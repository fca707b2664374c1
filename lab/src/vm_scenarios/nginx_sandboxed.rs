//! nginx's own unit forbids what the connection needs.

use anyhow::Result;

use crate::Expectation;
use crate::vm::Vm;

const FRONT: &str = "http://127.0.0.1/";
const DROP_IN: &str = "/etc/systemd/system/nginx.service.d/sandbox.conf";

/// `IPAddressDeny=` drops what nginx sends: it waits until its time is over. That leaves no trace that could be read, so
/// it is named and not proven.
pub fn address_is_denied(vm: &Vm<'_>) -> Result<()> {
    vm.run("ip addr add 192.0.2.7/32 dev lo")?;
    let serve = "/usr/bin/python3 -m http.server --bind 192.0.2.7 --directory /srv 8000";
    vm.service("shop", serve, "curl -s -o /dev/null http://192.0.2.7:8000/")?;
    vm.put(DROP_IN, b"[Service]\nIPAddressDeny=192.0.2.0/24\n")?;
    vm.run("systemctl daemon-reload; sleep 1")?;
    vm.nginx_site(
        "server {\n    listen 80;\n    location / {\n        proxy_connect_timeout 2s;\n        proxy_pass http://192.0.2.7:8000;\n    }\n}\n",
    )?;
    vm.expect(FRONT, "504")?;
    vm.logged("upstream timed out (110: Connection timed out) while connecting to upstream")?;
    let truth = Expectation::at_most("nginx-sandboxed").of_peer("192.0.2.7:8000");
    vm.diagnose(&[truth.rules_out("selinux-denies-connect")])?;
    vm.run(&format!("rm {DROP_IN}; systemctl daemon-reload; systemctl restart nginx"))?;
    vm.expect(FRONT, "200")
}
