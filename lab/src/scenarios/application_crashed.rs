//! The application's process died in the middle of a request.

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::process::signal_one;
use crate::{Expectation, Gunicorn, Lab, Machine, Pool};

const PREMATURE: &str = "upstream prematurely closed connection while reading response header from upstream";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

const UNIT_SITE: &str = "\
server {
    listen 80;
    location / {
        proxy_pass http://127.0.0.1:8000;
    }
}
";

/// An application of one process: what ends it ends the unit.
const SERVER: &str = "\
import http.server, os, time

class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == '/segv':
            os.kill(os.getpid(), 11)
        if self.path == '/slow':
            open('/run/slow', 'w').close()
            time.sleep(6)
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(('127.0.0.1', 8000), Shop).serve_forever()
";

const MAIN_PID: &str = "systemctl show --property=MainPID --value shop.service";

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
    nginx.expect(2, "GET", "/", 200)?;
    lab.settle();
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

/// The unit's main process dies of SIGSEGV in the request, and systemd starts it again: the journal
/// says both, and nothing else does.
pub fn unit_dies_and_is_restarted(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    one_process(&machine)?;
    machine.nginx_site(UNIT_SITE)?;
    machine.settle();
    for _ in 0..2 {
        let pid = machine.run(MAIN_PID)?;
        machine.expect(1, "GET", "/segv", 502)?;
        // Until systemd has seen it end, its listener may still take a connection with it.
        machine.run(&format!("while [ \"$({MAIN_PID})\" = {} ]; do sleep 0.02; done", pid.trim()))?;
        machine.accepting("127.0.0.1:8000")?;
        machine.expect(1, "GET", "/", 200)?;
    }
    machine.logged(&[PREMATURE, "GET /segv"])?;
    machine.journalled("shop.service", "status=11/SEGV")?;
    let truth = Expectation::confirmed("application-crashed").times(2).naming("shop.service").naming("SEGV");
    machine.diagnose(&[truth.rules_out("keepalive-connection-stale")])
}

/// The application closes connections unanswered while another unit dies of SIGSEGV.
pub fn another_unit_dies(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    machine.service("shop.service", "/usr/local/bin/shopd 127.0.0.1:8000 close", "127.0.0.1:8000")?;
    machine.unit("report.service", "[Service]\nExecStart=/bin/sh -c 'kill -SEGV $$$$'\n")?;
    machine.nginx_site(UNIT_SITE)?;
    machine.settle();
    machine.run("systemctl start report.service")?;
    machine.expect(3, "GET", "/", 502)?;
    machine.journalled("report.service", "status=11/SEGV")?;
    machine.logged(&[PREMATURE, "GET /"])?;
    machine.diagnose(&[Expectation::undetermined()])
}

/// gunicorn's worker dies of SIGSEGV; its master says so in the journal only.
pub fn gunicorn_unit_worker_segfaults(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let gunicorn = "/usr/bin/gunicorn --chdir /srv/shop --bind 127.0.0.1:8000 shop:application";
    machine.service("shop.service", gunicorn, "127.0.0.1:8000")?;
    machine.nginx_site(UNIT_SITE)?;
    machine.settle();
    machine.expect(3, "GET", "/segv", 502)?;
    machine.expect(1, "GET", "/", 200)?;
    machine.logged(&[PREMATURE, "GET /segv"])?;
    machine.journalled("shop.service", "was terminated due to signal 11")?;
    let truth = Expectation::confirmed("application-crashed").times(3).naming("was terminated due to signal 11");
    machine.diagnose(&[truth.rules_out("keepalive-connection-stale")])
}

/// Ruby crashes in one of Unicorn's workers, and its master's log says how it ended.
pub fn unicorn_worker_crashes(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _unicorn = lab.unicorn(peer, "unicorn.log")?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    for _ in 0..2 {
        // Early in a second, so that it ends in the same one.
        lab.settle();
        nginx.expect(1, "GET", "/segv", 502)?;
    }
    nginx.expect(1, "GET", "/", 200)?;
    nginx.logged(&[PREMATURE, "GET /segv"])?;
    lab.written("unicorn.log", "SIGABRT (signal 6)")?;
    let truth = Expectation::confirmed("application-crashed").times(2).naming("SIGABRT (signal 6)");
    lab.diagnose(&nginx, &[truth.rules_out("keepalive-connection-stale")])
}

/// The application closes a connection unanswered in the very second in which one of its idle workers is killed.
pub fn an_idle_worker_is_killed_while_it_closes(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let unicorn = lab.unicorn(peer, "unicorn.log")?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    let worker = unicorn.children()?.first().copied().context("unicorn has no worker")?;
    nginx.expect(1, "GET", "/close", 502)?;
    signal_one(worker, Signal::KILL)?;
    nginx.logged(&[PREMATURE, "GET /close"])?;
    lab.written("unicorn.log", "SIGKILL (signal 9)")?;
    lab.diagnose(&nginx, &[Expectation::undetermined()])
}

/// Puma's worker is killed: its log says that another took its place, and neither how it ended nor when.
pub fn puma_worker_is_killed(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _puma = lab.puma(peer)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(1, "GET", "/segv", 502)?;
    nginx.expect(1, "GET", "/", 200)?;
    lab.written("puma.log", "[BUG] Segmentation fault")?;
    lab.diagnose(&nginx, &[Expectation::at_most("application-crashed")])
}

/// A page ends the Java virtual machine, and nobody starts it again.
pub fn tomcat_halts(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let mut tomcat = lab.tomcat(peer)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    nginx.expect(1, "GET", "/ok.jsp", 200)?;
    lab.settle();
    nginx.expect(1, "GET", "/ok.jsp?halt", 502)?;
    tomcat.wait()?;
    died_and_stayed_dead(lab, &nginx)
}

fn one_process(machine: &Machine<'_>) -> Result<()> {
    machine.write("/srv/shop/server.py", SERVER)?;
    machine.unit("shop.service", "[Service]\nExecStart=/usr/bin/python3 /srv/shop/server.py\nRestart=always\n")?;
    machine.run("systemctl start shop.service")?;
    machine.accepting("127.0.0.1:8000")
}

fn died_and_stayed_dead(lab: &Lab, nginx: &crate::Nginx) -> Result<()> {
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&[PREMATURE])?;
    nginx.logged(&["connect() failed (111: Connection refused) while connecting to upstream"])?;
    let died = Expectation::at_most("application-crashed").of_failure("premature-close");
    let gone = Expectation::confirmed("peer-not-listening").of_failure("connect-refused");
    lab.diagnose(nginx, &[died, gone])
}
