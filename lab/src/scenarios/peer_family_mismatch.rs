//! nginx dials the port over one IP family, the application listens on it over the other.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab, Nginx};

const BOTH: &str = "127.0.0.1 localhost\n::1 localhost\n";

const LOCALHOST: &str = "\
server {
    listen @listen;
    location / {
        proxy_next_upstream @retry;
        proxy_pass http://localhost:@peer;
    }
}
";

/// `localhost` is both addresses and nothing is retried: every other client gets a 502.
pub fn clients_see_the_failure(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let nginx = lab.nginx_setup().hosts(BOTH).start(LOCALHOST, &[("peer", &peer), ("retry", &"off")])?;
    lab.settle();
    let mut failed = 0;
    for _ in 0..4 {
        failed += u32::from(nginx.get("/")? == 502);
    }
    anyhow::ensure!(failed > 0, "no client saw the failure");
    refused_over_ipv6(&nginx, peer)?;
    lab.diagnose(&nginx, &[truth(peer)])
}

/// `localhost` is both addresses and nginx tries the other one: only the log shows it.
pub fn localhost_is_only_noise(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let values: [(&str, &dyn std::fmt::Display); 2] = [("peer", &peer), ("retry", &"error timeout")];
    let nginx = lab.nginx_setup().hosts(BOTH).start(LOCALHOST, &values)?;
    lab.settle();
    nginx.expect(4, "GET", "/", 200)?;
    refused_over_ipv6(&nginx, peer)?;
    lab.diagnose(&nginx, &[truth(peer)])
}

/// A `server` of an upstream gives the IPv6 address, the application listens on IPv4: nothing says that it is the one.
pub fn upstream_server_of_the_other_family(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let site = "\
upstream shop {
    server [::1]:@peer;
}
server {
    listen @listen;
    location / {
        proxy_pass http://shop;
    }
}
";
    let nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    refused_over_ipv6(&nginx, peer)?;
    let truth = Expectation::at_most("peer-family-mismatch").of_peer(format!("[::1]:{peer}"));
    lab.diagnose(&nginx, &[truth.also("peer-not-listening").also("peer-address-mismatch")])
}

fn refused_over_ipv6(nginx: &Nginx, peer: u16) -> Result<()> {
    nginx.logged(&["connect() failed (111: Connection refused)", &format!("upstream: \"http://[::1]:{peer}/\"")])
}

fn truth(peer: u16) -> Expectation {
    let truth = Expectation::confirmed("peer-family-mismatch").of_peer(format!("[::1]:{peer}"));
    // A listener of the other family is also one on another address.
    truth.also("peer-not-listening").also("peer-address-mismatch")
}
