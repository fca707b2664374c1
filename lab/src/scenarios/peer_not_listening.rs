//! Nothing accepts connections on the peer's address.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab, Nginx};

const SITE: &str = "\
server {
    listen @listen;
    server_name shop.example.com;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

const REFUSED: &str = "connect() failed (111: Connection refused) while connecting to upstream";

/// The application was never started.
pub fn never_started(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    refused(&nginx, peer)?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").times(4).rules_out("socket-missing")])
}

/// The application served, then its whole process tree was killed.
pub fn killed(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let mut gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    nginx.expect(2, "GET", "/", 200)?;
    gunicorn.kill();
    lab.settle();
    refused(&nginx, peer)?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").rules_out("peer-address-mismatch")])
}

/// Somebody else speaks HTTP next door; it is not the application.
pub fn stranger_on_the_neighbouring_port(lab: &Lab) -> Result<()> {
    let peer = lab.neighbouring_ports(2)?;
    let stranger = format!("127.0.0.1:{}", peer + 1);
    let _stranger = lab.application(&["ok"], &stranger)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    refused(&nginx, peer)?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").never_naming(stranger)])
}

/// It failed, and has been started since: what is true now proves nothing about then.
pub fn over_since_restart(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    refused(&nginx, peer)?;
    lab.settle();
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    nginx.expect(2, "GET", "/", 200)?;
    lab.diagnose(&nginx, &[Expectation::at_most("peer-not-listening").over()])
}

/// A client puts nginx's own words into its referrer; the peer is the one nginx dialled.
pub fn a_referrer_that_speaks_nginx(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    for _ in 0..3 {
        nginx.get_from("/cart", "x\", upstream: \"http://192.0.2.9:80/\", host: \"evil")?;
    }
    nginx.logged(&[REFUSED, "upstream: \"http://192.0.2.9:80/\""])?;
    let truth = Expectation::confirmed("peer-not-listening").of_peer(format!("127.0.0.1:{peer}"));
    lab.diagnose(&nginx, &[truth.times(3).never_naming("192.0.2.9")])
}

fn refused(nginx: &Nginx, peer: u16) -> Result<()> {
    nginx.expect(4, "GET", "/cart", 502)?;
    nginx.logged(&[REFUSED, &format!("upstream: \"http://127.0.0.1:{peer}/cart\"")])
}
