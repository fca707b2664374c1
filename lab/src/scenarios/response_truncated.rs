//! The connection to the application ends before the response's body does.

use anyhow::Result;

use crate::{Expectation, Lab, Nginx, Process};

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_read_timeout 1s;
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

/// The header announces a hundred bytes, one comes, and then `end` happens.
fn start(lab: &Lab, end: &str) -> Result<(Process, Nginx)> {
    let script = format!(
        "require('http').createServer((request, response) => {{\n    \
             response.writeHead(200, {{ 'Content-Length': 100 }});\n    \
             response.write('x', () => setTimeout(() => {{ {end} }}, 50));\n\
         }}).listen(process.argv[2], '127.0.0.1');\n"
    );
    let peer = lab.port()?;
    let node = lab.node(peer, &script)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 200)?;
    Ok((node, nginx))
}

/// It closes in good order: the length was wrong, or it gave up.
pub fn announces_more_than_it_sends(lab: &Lab) -> Result<()> {
    let (_node, nginx) = start(lab, "response.socket.end()")?;
    nginx.logged_times(2, &["upstream prematurely closed connection while reading upstream"])?;
    let truth = Expectation::confirmed("response-truncated").times(2);
    lab.diagnose(&nginx, &[truth.rules_out("application-slow").rules_out("response-header-invalid")])
}

/// Nothing passes requests there any more by the time it is looked at.
pub fn no_longer_passed_to(lab: &Lab) -> Result<()> {
    let (_node, mut nginx) = start(lab, "response.socket.end()")?;
    nginx.logged_times(2, &["upstream prematurely closed connection while reading upstream"])?;
    lab.settle();
    nginx.edit("proxy_pass http://127.0.0.1", "return 204; #")?;
    nginx.reload()?;
    lab.diagnose(&nginx, &[Expectation::at_most("response-truncated").over()])
}

/// It resets.
pub fn resets_within_the_body(lab: &Lab) -> Result<()> {
    let (_node, nginx) = start(lab, "response.socket.resetAndDestroy()")?;
    nginx.logged_times(2, &["failed (104: Connection reset by peer) while reading upstream"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("response-truncated").times(2)])
}

/// It stays, and sends nothing more: the body is cut by nginx's own time-out.
pub fn body_stalls(lab: &Lab) -> Result<()> {
    let (_node, nginx) = start(lab, "")?;
    nginx.logged_times(2, &["upstream timed out (110: Connection timed out) while reading upstream"])?;
    lab.diagnose(&nginx, &[Expectation::undetermined().rules_out("response-truncated")])
}
