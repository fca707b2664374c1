//! A pass takes its peer from a variable, and there is no resolver.

use anyhow::Result;

use crate::{Expectation, Lab};

const CAUSE: &str = "resolver-missing";

/// The name is a host's.
pub fn variable_without_a_resolver(lab: &Lab) -> Result<()> {
    let name = format!("{}.lab", lab.unique("shop"));
    let site = "\
server {
    listen @listen;
    location / {
        set $shop @name;
        proxy_pass http://$shop:8000;
    }
}
";
    let nginx = lab.nginx(site, &[("name", &name)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["[error]", &format!("no resolver defined to resolve {name}, client")])?;
    let truth = Expectation::confirmed(CAUSE).of_peer(name).naming("proxy_pass http://$shop:8000;");
    lab.diagnose(&nginx, &[truth.rules_out("upstream-name-unresolvable")])
}

/// It has one by the time it is looked at.
pub fn given_a_resolver_since(lab: &Lab) -> Result<()> {
    let name = format!("{}.lab", lab.unique("shop"));
    let site = "\
server {
    listen @listen;
    location / {
        set $shop @name;
        proxy_pass http://$shop:8000;
    }
}
";
    let mut nginx = lab.nginx(site, &[("name", &name)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["[error]", &format!("no resolver defined to resolve {name}, client")])?;
    lab.settle();
    nginx.edit("set $shop", "resolver 127.0.0.1;\n        set $shop")?;
    nginx.reload()?;
    lab.diagnose(&nginx, &[Expectation::at_most(CAUSE).of_peer(name)])
}

/// The name was meant to be an upstream's, which is called otherwise; beside it, a good one.
pub fn name_of_no_upstream(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{peer}"))?;
    let site = "\
upstream shop_v2 {
    server 127.0.0.1:@peer;
}
map $uri $shop {
    default shop_v2;
    /old shop_v1;
}
server {
    listen @listen;
    location / {
        proxy_pass http://$shop;
    }
}
";
    let nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(1, "GET", "/", 200)?;
    nginx.expect(3, "GET", "/old", 502)?;
    nginx.logged(&["[error]", "no resolver defined to resolve shop_v1, client"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).of_peer("shop_v1").naming("shop_v2")])
}
