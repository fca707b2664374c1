//! nginx's AppArmor profile does not let it connect.

use anyhow::Result;

use crate::Expectation;
use crate::vm::Vm;

const CAUSE: &str = "apparmor-denies-connect";
const FRONT: &str = "--unix-socket /run/front.sock http://shop/";

/// A profile that lets nginx serve on a unix socket alone.
const PROFILE: &str = "\
#include <tunables/global>
profile nginx /usr/sbin/nginx flags=(attach_disconnected) {
  #include <abstractions/base>
  #include <abstractions/openssl>
  capability dac_override, capability dac_read_search, capability setgid, capability setuid, capability chown,
  /usr/sbin/nginx mr,
  /etc/nginx/** r,
  /etc/{passwd,group,nsswitch.conf,hosts,ssl/**} r,
  /usr/share/nginx/** r,
  /usr/lib/nginx/** mr,
  /var/log/nginx/* w,
  /var/lib/nginx/ rw,
  /var/lib/nginx/** rw,
  /run/nginx.pid rw,
  /run/front.sock rw,
  signal,
  unix,
  network unix,
}
";

/// There is no rule for sockets of the internet's family.
pub fn no_rule_for_the_family(vm: &Vm<'_>) -> Result<()> {
    denied(vm, PROFILE)?;
    let truth = || Expectation::confirmed(CAUSE).of_peer("127.0.0.1:3000");
    vm.diagnose(&[truth()
        .naming("network inet stream,")
        .fixed_by(&["apparmor_parser", "-r", "/etc/apparmor.d/nginx"])
        .rules_out("selinux-denies-connect")
        .needs_root()])?;
    vm.apply(CAUSE, 0)?;
    vm.expect(FRONT, "200")?;
    // The kernel does not tell what a profile allows: that it is over shows when nothing fails for a minute.
    vm.run("sleep 61")?;
    vm.diagnose(&[truth().over()])
}

/// A rule denies it, and the kernel records nothing of that: it is named and not proven.
pub fn a_deny_rule_leaves_no_record(vm: &Vm<'_>) -> Result<()> {
    denied(vm, &PROFILE.replace("network unix,", "network unix,\n  deny network inet,"))?;
    vm.run("! grep -q apparmor=.DENIED /var/log/audit/audit.log")?;
    let truth = Expectation::at_most(CAUSE).of_peer("127.0.0.1:3000");
    vm.diagnose(&[truth.rules_out("selinux-denies-connect")])
}

/// nginx under this profile gets no socket for an application that answers others.
fn denied(vm: &Vm<'_>, profile: &str) -> Result<()> {
    let serve = "/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory /srv 3000";
    vm.service("shop", serve, "curl -s -o /dev/null http://127.0.0.1:3000/")?;
    vm.put("/etc/apparmor.d/nginx", profile.as_bytes())?;
    vm.run("apparmor_parser -r /etc/apparmor.d/nginx")?;
    vm.nginx_site("server {\n    listen unix:/run/front.sock;\n    location / {\n        proxy_pass http://127.0.0.1:3000;\n    }\n}\n")?;
    vm.expect(FRONT, "500")?;
    vm.logged("socket() failed (13: Permission denied) while connecting to upstream")
}
