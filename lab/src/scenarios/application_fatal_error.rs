//! An error of its own ended the application while it was answering.

use anyhow::Result;

use crate::{Expectation, Lab, Machine};

const SITE: &str = "\
server {
    listen 80;
    location / {
        proxy_pass http://127.0.0.1:8000;
    }
}
";

const SCRIPT: &str = "\
require('http').createServer((request, response) => {
    if (request.url === '/boom') setTimeout(() => { throw new Error('boom') }, 1);
    else if (request.url === '/heap') { const all = []; for (;;) all.push(new Array(1e5).fill(request.url)); }
    else if (request.url === '/kill') process.kill(process.pid, 'SIGKILL');
    else response.end('ok\\n');
}).listen(8000, '127.0.0.1');
";

/// node throws an error that nothing catches.
pub fn node_throws(lab: &Lab) -> Result<()> {
    ends_at(lab, "/boom", "Node.js v", Expectation::confirmed("application-fatal-error").needs_root())
}

/// node's heap reaches the limit that it was given.
pub fn node_uses_up_its_heap(lab: &Lab) -> Result<()> {
    let truth = Expectation::confirmed("application-fatal-error").naming("JavaScript heap out of memory");
    ends_at(lab, "/heap", "JavaScript heap out of memory", truth)
}

/// The same end by a signal: node says nothing.
pub fn node_is_killed(lab: &Lab) -> Result<()> {
    ends_at(lab, "/kill", "status=9/KILL", Expectation::confirmed("application-crashed"))
}

fn ends_at(lab: &Lab, path: &str, said: &str, truth: Expectation) -> Result<()> {
    let machine: Machine<'_> = lab.machine()?;
    machine.write("/srv/shop/shop.js", SCRIPT)?;
    let start = "ExecStart=/usr/local/bin/node --max-old-space-size=30 /srv/shop/shop.js";
    machine.unit("shop.service", &format!("[Service]\n{start}\nRestart=always\nRestartSec=1\n"))?;
    machine.run("systemctl start shop.service")?;
    machine.accepting("127.0.0.1:8000")?;
    machine.nginx_site(SITE)?;
    machine.settle();
    machine.expect(1, "GET", path, 502)?;
    machine.journalled("shop.service", said)?;
    machine.accepting("127.0.0.1:8000")?;
    machine.expect(1, "GET", "/", 200)?;
    machine.logged(&["upstream prematurely closed connection while reading response header from upstream"])?;
    let also = truth.also("application-crashed").rules_out("keepalive-connection-stale");
    machine.diagnose(&[also.times(1)])
}
