//! The application's process died in the middle of a request.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab, Pool};

const PREMATURE: &str = "upstream prematurely closed connection while reading response header from upstream";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

/// gunicorn's worker dies of SIGSEGV; its master's log says so and starts another.
pub fn gunicorn_worker_segfaults(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "GET", "/segv", 502)?;
    nginx.expect(1, "GET", "/", 200)?;
    nginx.logged(&[PREMATURE, "GET /segv"])?;
    lab.written("gunicorn.log", "was terminated due to signal 11")?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-crashed").rules_out("keepalive-connection-stale")])
}

/// A php-fpm child dies of SIGSEGV; the pool's log says so.
pub fn php_child_segfaults(lab: &Lab) -> Result<()> {
    let socket = lab.path("php8.2-fpm.sock").display().to_string();
    let _php = lab.php_fpm(&Pool { name: "www", listen: &socket, extra: "" })?;
    let site = "\
server {
    listen @listen;
    location / {
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME @php$fastcgi_script_name;
        fastcgi_pass unix:@socket;
    }
}
";
    let nginx = lab.nginx(site, &[("socket", &socket), ("php", &lab.path("php").display())])?;
    lab.settle();
    nginx.expect(3, "GET", "/segv.php", 502)?;
    nginx.logged(&["recv() failed (104: Connection reset by peer) while reading response header", "GET /segv.php"])?;
    lab.written("php-fpm.log", "exited on signal 11 (SIGSEGV")?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-crashed").rules_out("keepalive-connection-stale")])
}

/// node ends with an uncaught exception and nobody starts it again.
pub fn node_dies_of_an_exception(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let script = "\
require('http').createServer((request, response) => {
    if (request.url === '/die') setTimeout(() => { throw new Error('boom') }, 10);
    else response.end('ok\\n');
}).listen(Number(process.argv[2]), '127.0.0.1');
";
    let mut node = lab.node(peer, script)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 200)?;
    nginx.expect(1, "GET", "/die", 502)?;
    node.wait()?;
    died_and_stayed_dead(lab, &nginx)
}

/// The process exits; nothing on the host recorded why.
pub fn process_exits_without_a_record(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let mut application = lab.application(&["exit"], &format!("127.0.0.1:{peer}"))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(1, "GET", "/", 502)?;
    anyhow::ensure!(application.wait()?.code() == Some(3), "the application ended another way");
    died_and_stayed_dead(lab, &nginx)
}

/// The application closes every connection unanswered and lives on: nobody died.
pub fn closes_and_lives_on(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["close"], &format!("127.0.0.1:{peer}"))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&[PREMATURE, "GET /"])?;
    lab.diagnose(&nginx, &[Expectation::undetermined().rules_out("peer-not-listening").rules_out("application-crashed")])
}

fn died_and_stayed_dead(lab: &Lab, nginx: &crate::Nginx) -> Result<()> {
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&[PREMATURE])?;
    nginx.logged(&["connect() failed (111: Connection refused) while connecting to upstream"])?;
    let died = Expectation::at_most("application-crashed").of_failure("premature-close");
    let gone = Expectation::confirmed("peer-not-listening").of_failure("connect-refused");
    lab.diagnose(nginx, &[died, gone])
}
