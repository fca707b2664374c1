//! nginx's workers run another configuration than the one on disk.

use anyhow::Result;

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

fn still_dials(lab: &Lab, nginx: &Nginx, old: u16) -> Result<()> {
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&["(111: Connection refused)", &format!("upstream: \"http://127.0.0.1:{old}/\"")])?;
    let truth = Expectation::confirmed("running-config-outdated").of_peer(format!("127.0.0.1:{old}"));
    lab.diagnose(nginx, &[truth.also("peer-not-listening")])
}
