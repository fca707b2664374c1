//! nginx itself does not run.

use anyhow::{Result, ensure};

use crate::{Expectation, Lab, Machine};

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

/// It served, and was stopped; its configuration is there.
pub fn stopped(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{peer}"))?;
    let mut nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    nginx.expect(2, "GET", "/", 200)?;
    nginx.stop()?;
    ensure!(nginx.get("/").is_err(), "somebody still answers");
    lab.diagnose(&nginx, &[Expectation::confirmed("nginx-not-running")])
}

/// The same where users see no processes but their own: nginx could be one of the others.
pub fn stopped_where_users_see_little(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{peer}"))?;
    let mut nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    nginx.expect(2, "GET", "/", 200)?;
    nginx.stop()?;
    lab.hide_processes();
    lab.diagnose(&nginx, &[Expectation::confirmed("nginx-not-running").needs_root()])
}

/// It was stopped after a peer had failed: whether it ran then is another question.
pub fn stopped_after_a_peer_failed(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let mut nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.stop()?;
    let refused = Expectation::at_most("peer-not-listening").of_failure("connect-refused").times(3);
    lab.diagnose(&nginx, &[refused, Expectation::confirmed("nginx-not-running").of_failure("")])
}

/// A restart met a configuration with an error: `nginx.service` has failed.
pub fn unit_failed_on_its_configuration(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    served(&machine)?;
    machine.edit_site("127.0.0.1:8000;", "127.0.0.1:8000")?;
    ensure!(machine.run("systemctl restart nginx.service").is_err(), "nginx took a configuration it should refuse");
    let reason = "unexpected \"}\" in /etc/nginx/sites-enabled/shop:5";
    machine.journalled("nginx.service", reason)?;
    let truth = Expectation::confirmed("nginx-not-running").naming("nginx.service").naming(reason);
    down(&machine, truth)
}

/// Its master was killed and the unit does not start it again.
pub fn unit_was_killed(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    served(&machine)?;
    machine.run("systemctl kill --signal=KILL nginx.service")?;
    machine.run("while systemctl --quiet is-active nginx.service; do sleep 0.1; done")?;
    machine.journalled("nginx.service", "status=9/KILL")?;
    let truth = Expectation::confirmed("nginx-not-running").naming("nginx.service").naming("signal");
    down(&machine, truth)
}

fn served(machine: &Machine<'_>) -> Result<()> {
    machine.service("shop.service", "/usr/local/bin/shopd 127.0.0.1:8000 ok", "127.0.0.1:8000")?;
    machine.nginx_site("server {\n    listen 80;\n    location / {\n        proxy_pass http://127.0.0.1:8000;\n    }\n}\n")?;
    machine.expect(2, "GET", "/", 200)
}

fn down(machine: &Machine<'_>, truth: Expectation) -> Result<()> {
    ensure!(machine.request("GET", "/").is_err(), "somebody still answers");
    machine.diagnose(&[truth.fixed_by(&["systemctl", "start", "nginx.service"])])
}
