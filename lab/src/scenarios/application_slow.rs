//! The application takes longer to answer than nginx waits.

use anyhow::{Context as _, Result, ensure};

use crate::{Expectation, Gunicorn, Lab, client};

const TIMED_OUT: &str =
    "upstream timed out (110: Connection timed out) while reading response header from upstream";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_read_timeout 1s;
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

/// One page takes four seconds, the others are answered at once.
pub fn first_byte_comes_late(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["slow", "4"], &format!("127.0.0.1:{peer}"))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 200)?;
    nginx.expect(2, "GET", "/slow-report", 504)?;
    nginx.logged(&[TIMED_OUT, "GET /slow-report"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-slow").times(2).rules_out("peer-not-listening")])
}

/// Nobody was ever answered: that it is slow, and not deaf to nginx's protocol, is unproven.
pub fn never_answers_anybody(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["silent"], &format!("127.0.0.1:{peer}"))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 504)?;
    nginx.logged(&[TIMED_OUT])?;
    lab.diagnose(&nginx, &[Expectation::undetermined().rules_out("peer-not-listening")])
}

/// gunicorn's one worker is busy with one request, the others wait behind it.
pub fn all_workers_are_busy(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    let port = nginx.port();
    let clients: Vec<_> =
        (0..4).map(|_| std::thread::spawn(move || client::request(port, "GET", "/slow"))).collect();
    for client in clients {
        let status = client.join().ok().context("a client failed")??;
        ensure!(status == 504, "a client got {status}");
    }
    nginx.logged(&[TIMED_OUT, "GET /slow"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-slow")])
}
