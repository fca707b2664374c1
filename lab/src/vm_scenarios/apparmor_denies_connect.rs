//! nginx's AppArmor profile does not let it connect.

use anyhow::Result;

use crate::Expectation;
use crate::vm::Vm;

const CAUSE: &str = "apparmor-denies-connect";

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
    let serve = "/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory /srv 3000";
    vm.service("shop", serve, "curl -s -o /dev/null http://127.0.0.1:3000/")?;
    vm.put("/etc/apparmor.d/nginx", PROFILE.as_bytes())?;
    vm.run("apparmor_parser -r /etc/apparmor.d/nginx")?;
    vm.nginx_site("server {\n    listen unix:/run/front.sock;\n    location / {\n        proxy_pass http://127.0.0.1:3000;\n    }\n}\n")?;
    let front = "--unix-socket /run/front.sock http://shop/";
    vm.expect(front, "500")?;
    vm.logged("socket() failed (13: Permission denied) while connecting to upstream")?;
    let truth = || Expectation::confirmed(CAUSE).of_peer("127.0.0.1:3000");
    vm.diagnose(&[truth()
        .naming("network inet stream,")
        .fixed_by(&["apparmor_parser", "-r", "/etc/apparmor.d/nginx"])
        .rules_out("selinux-denies-connect")])?;
    vm.apply(CAUSE, 0)?;
    vm.expect(front, "200")?;
    // The kernel does not tell what a profile allows: that it is over shows when nothing fails for a minute.
    vm.run("sleep 61")?;
    vm.diagnose(&[truth().over()])
}
