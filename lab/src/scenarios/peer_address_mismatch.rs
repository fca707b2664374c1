//! The application listens on the port, on another address.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab};

/// gunicorn stands on 127.0.0.2, nginx dials 127.0.0.1.
pub fn another_loopback_address(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.2:{peer}"), &Gunicorn::default())?;
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";
    let nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&["connect() failed (111: Connection refused)", &format!("upstream: \"http://127.0.0.1:{peer}/\"")])?;
    let truth = Expectation::confirmed("peer-address-mismatch").also("peer-not-listening");
    lab.diagnose(&nginx, &[truth.rules_out("peer-family-mismatch")])
}
