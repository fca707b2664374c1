//! nginx dials an address that the upstream's name no longer has.

use anyhow::Result;

use crate::{Expectation, Lab};

const CAUSE: &str = "upstream-address-outdated";

const SITE: &str = "\
upstream shop {
    server shop.lab:@peer;
}
server {
    listen @listen;
    location / {
        proxy_pass http://shop;
    }
}
";

/// The name moved to another address, and the application with it.
pub fn name_has_moved(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["ok"], &format!("127.0.0.3:{peer}"))?;
    let nginx = lab.nginx_setup().hosts("127.0.0.2 shop.lab\n").start(SITE, &[("peer", &peer)])?;
    nginx.change_hosts(lab, "127.0.0.3 shop.lab\n")?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    let old = format!("127.0.0.2:{peer}");
    nginx.logged(&["connect() failed (111: Connection refused)", &old])?;
    // It is also true that nothing listens there, and that the application listens at another address.
    let truth = Expectation::confirmed(CAUSE).of_peer(old).naming("127.0.0.3").needs_root();
    lab.diagnose(&nginx, &[truth.also("peer-not-listening").also("peer-address-mismatch")])
}

/// nginx was reloaded since, and is answered at the new address.
pub fn reloaded_since(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["ok"], &format!("127.0.0.3:{peer}"))?;
    let mut nginx = lab.nginx_setup().hosts("127.0.0.2 shop.lab\n").start(SITE, &[("peer", &peer)])?;
    nginx.change_hosts(lab, "127.0.0.3 shop.lab\n")?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    let old = format!("127.0.0.2:{peer}");
    nginx.logged(&["connect() failed (111: Connection refused)", &old])?;
    lab.settle();
    nginx.reload()?;
    lab.settle();
    nginx.expect(1, "GET", "/", 200)?;
    lab.diagnose(&nginx, &[Expectation::at_most(CAUSE).of_peer(old).over()])
}

/// The look-alike: the name has its address still, and nothing listens there.
pub fn name_has_not_moved(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let nginx = lab.nginx_setup().hosts("127.0.0.2 shop.lab\n").start(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    let old = format!("127.0.0.2:{peer}");
    nginx.logged(&["connect() failed (111: Connection refused)", &old])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").of_peer(old).rules_out(CAUSE)])
}
