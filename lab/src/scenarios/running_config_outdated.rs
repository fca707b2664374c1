//! nginx's workers run another configuration than the one on disk.

use anyhow::{Result, ensure};

use crate::{Expectation, Lab, Nginx};

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

/// The address was put right on disk and nobody reloaded.
pub fn edited_and_never_reloaded(lab: &Lab) -> Result<()> {
    let (old, new) = (lab.port()?, lab.port()?);
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{new}"))?;
    let nginx = lab.nginx(SITE, &[("peer", &old)])?;
    lab.settle();
    nginx.edit(&format!("127.0.0.1:{old};"), &format!("127.0.0.1:{new};"))?;
    still_dials(lab, &nginx, old)
}

/// The same where only root may read what is on disk.
pub fn edited_where_users_may_not_read(lab: &Lab) -> Result<()> {
    let (old, new) = (lab.port()?, lab.port()?);
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{new}"))?;
    let nginx = lab.nginx_setup().hidden().start(SITE, &[("peer", &old)])?;
    lab.settle();
    nginx.edit(&format!("127.0.0.1:{old};"), &format!("127.0.0.1:{new};"))?;
    lab.settle();
    refused(&nginx, old)?;
    lab.diagnose(&nginx, &[truth(old).needs_root()])
}

/// The address was put right, a semicolon was lost, and nginx refused to reload.
pub fn reload_was_refused(lab: &Lab) -> Result<()> {
    let (old, new) = (lab.port()?, lab.port()?);
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{new}"))?;
    let nginx = lab.nginx(SITE, &[("peer", &old)])?;
    lab.settle();
    nginx.edit(&format!("127.0.0.1:{old};"), &format!("127.0.0.1:{new}"))?;
    nginx.reload_refused()?;
    still_dials(lab, &nginx, old)
}

/// As above with units: `systemctl reload nginx` fails before nginx's master hears of it, so that
/// only the journal of `nginx.service` knows.
pub fn systemctl_reload_was_refused(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    machine.service("shop.service", "/usr/local/bin/shopd 127.0.0.1:8001 ok", "127.0.0.1:8001")?;
    machine.nginx_site("server {\n    listen 80;\n    location / {\n        proxy_pass http://127.0.0.1:8000;\n    }\n}\n")?;
    machine.settle();
    machine.edit_site("127.0.0.1:8000;", "127.0.0.1:8001")?;
    ensure!(machine.run("systemctl reload nginx.service").is_err(), "nginx took a configuration it should refuse");
    let reason = "unexpected \"}\" in /etc/nginx/sites-enabled/shop:5";
    machine.journalled("nginx.service", reason)?;
    machine.settle();
    machine.expect(4, "GET", "/", 502)?;
    machine.logged(&["(111: Connection refused)", "upstream: \"http://127.0.0.1:8000/\""])?;
    let truth = Expectation::confirmed("running-config-outdated").of_peer("127.0.0.1:8000").times(4);
    machine.diagnose(&[truth.also("peer-not-listening").naming(reason)])
}

fn still_dials(lab: &Lab, nginx: &Nginx, old: u16) -> Result<()> {
    lab.settle();
    refused(nginx, old)?;
    lab.diagnose(nginx, &[truth(old)])
}

fn refused(nginx: &Nginx, old: u16) -> Result<()> {
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&["(111: Connection refused)", &format!("upstream: \"http://127.0.0.1:{old}/\"")])
}

fn truth(old: u16) -> Expectation {
    Expectation::confirmed("running-config-outdated").of_peer(format!("127.0.0.1:{old}")).also("peer-not-listening")
}
