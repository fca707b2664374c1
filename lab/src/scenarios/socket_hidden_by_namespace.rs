//! The application listens on the unix socket where nginx does not see it.

use anyhow::{Result, ensure};

use crate::{Expectation, Lab};

/// Its unit has `PrivateTmp=yes`, and the socket is below /tmp.
pub fn unit_has_a_tmp_of_its_own(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    machine.unit("shop.service", "[Service]\nExecStart=/usr/local/bin/shopd /tmp/shop.sock ok\nPrivateTmp=yes\n")?;
    machine.run("systemctl start shop.service")?;
    machine.journalled("shop.service", "ready")?;
    machine.nginx_site("server { listen 80; location / { proxy_pass http://unix:/tmp/shop.sock; } }\n")?;
    machine.settle();
    machine.expect(2, "GET", "/", 502)?;
    machine.logged(&["connect() to unix:/tmp/shop.sock failed (2: No such file or directory)"])?;
    let truth = truth().of_peer("unix:/tmp/shop.sock").naming("PrivateTmp");
    machine.diagnose(&[truth.fixed_by(&["systemctl", "restart", "shop.service"])])
}

/// nginx has an empty file system over the socket's directory, as a container has that is not given it. No unit says that
/// what listens on that path outside is the application.
pub fn nginx_has_other_mounts(lab: &Lab) -> Result<()> {
    let socket = lab.directory("run")?.join("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://unix:@socket;
    }
}
";
    let nginx =
        lab.nginx_setup().before("mount -t tmpfs tmpfs \"$PREFIX/../run\"").start(site, &[("socket", &socket.display())])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[&format!("connect() to unix:{} failed (2: No such file or directory)", socket.display())])?;
    let truth = Expectation::at_most("socket-hidden-by-namespace").rules_out("socket-permission-denied");
    lab.diagnose(&nginx, &[truth.of_peer(format!("unix:{}", socket.display()))])
}

/// nginx was shown it by the time it is looked at.
pub fn shown_since(lab: &Lab) -> Result<()> {
    let folder = lab.directory("run")?;
    let socket = folder.join("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://unix:@socket;
    }
}
";
    let nginx =
        lab.nginx_setup().before("mount -t tmpfs tmpfs \"$PREFIX/../run\"").start(site, &[("socket", &socket.display())])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    lab.settle();
    let master = nginx.pid().to_string();
    let args = ["--target", &master, "--mount", "umount", &folder.display().to_string()].map(str::to_owned);
    ensure!(lab.start("umount", "nsenter", args)?.wait()?.success(), "the socket stays hidden");
    nginx.expect(1, "GET", "/", 200)?;
    let truth = Expectation::at_most("socket-hidden-by-namespace").of_peer(format!("unix:{}", socket.display()));
    lab.diagnose(&nginx, &[truth.over()])
}

fn truth() -> Expectation {
    Expectation::confirmed("socket-hidden-by-namespace").rules_out("socket-permission-denied")
}
