//! The application was stopped and started again, and requests met it in between.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab, Machine};

const SITE: &str = "\
server {
    listen 80;
    location / {
        proxy_pass http://127.0.0.1:8000;
    }
}
";

const OWN_SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

/// An application of one process that needs a moment before it listens.
const SERVER: &str = "\
import http.server, time

class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == '/slow':
            open('/run/slow', 'w').close()
            time.sleep(6)
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(('127.0.0.1', 8000), Shop).serve_forever()
";

/// Somebody restarted the unit in the middle of a request: its end was asked for, nothing crashed.
pub fn unit_is_restarted_by_hand(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    one_process(&machine, "")?;
    machine.run("(until [ -e /run/slow ]; do sleep 0.05; done; systemctl restart shop.service) > /dev/null 2>&1 &")?;
    machine.expect(1, "GET", "/slow", 502)?;
    machine.journalled("shop.service", "Stopped shop.service")?;
    machine.accepting("127.0.0.1:8000")?;
    machine.expect(1, "GET", "/", 200)?;
    machine.logged(&["while reading response header from upstream", "GET /slow"])?;
    machine.diagnose(&[Expectation::confirmed("application-restarted").times(1).naming("shop.service").needs_root()])
}

/// A restart that takes its time, while clients come: they are refused until it listens again.
pub fn restarts_while_clients_come(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    // systemd calls it started when what comes before is done.
    one_process(&machine, "ExecStartPre=/bin/sleep 2\n")?;
    machine.run("systemctl restart --no-block shop.service")?;
    machine.journalled("shop.service", "Stopped shop.service")?;
    machine.expect(3, "GET", "/", 502)?;
    machine.accepting("127.0.0.1:8000")?;
    machine.expect(1, "GET", "/", 200)?;
    machine.logged(&["connect() failed (111: Connection refused) while connecting to upstream"])?;
    let truth = Expectation::confirmed("application-restarted").also("peer-not-listening").times(3).over();
    machine.diagnose(&[truth.naming("shop.service")])
}

/// gunicorn of no unit is ended and started again while it answers: its own log has both.
pub fn gunicorn_of_no_unit(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let bind = format!("127.0.0.1:{peer}");
    let mut first = lab.gunicorn(&bind, &Gunicorn::default())?;
    let nginx = lab.nginx(OWN_SITE, &[("peer", &peer)])?;
    lab.settle();
    // It is being answered by then; SIGQUIT is a stop that waits for nobody.
    let stop = format!("sleep 0.4; kill -QUIT {}", first.pid());
    let _stopper = lab.start("stopper", "sh", ["-c", &stop])?;
    nginx.expect(1, "GET", "/slow", 502)?;
    first.wait()?;
    let _second = lab.gunicorn(&bind, &Gunicorn::default())?;
    nginx.expect(1, "GET", "/", 200)?;
    nginx.logged(&["while reading response header from upstream", "GET /slow"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-restarted").times(1)])
}

/// Unicorn of no unit is told to stop at once, and started again.
pub fn unicorn_of_no_unit(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let mut first = lab.unicorn(peer, "unicorn.log")?;
    let nginx = lab.nginx(OWN_SITE, &[("peer", &peer)])?;
    lab.settle();
    let stop = format!("sleep 0.4; kill -TERM {}", first.pid());
    let _stopper = lab.start("stopper", "sh", ["-c", &stop])?;
    nginx.expect(1, "GET", "/slow", 502)?;
    first.wait()?;
    let _second = lab.unicorn(peer, "unicorn.log")?;
    nginx.expect(1, "GET", "/", 200)?;
    nginx.logged(&["while reading response header from upstream", "GET /slow"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-restarted").times(1)])
}

fn one_process(machine: &Machine<'_>, more: &str) -> Result<()> {
    machine.write("/srv/shop/server.py", SERVER)?;
    machine.unit("shop.service", &format!("[Service]\n{more}ExecStart=/usr/bin/python3 /srv/shop/server.py\n"))?;
    machine.run("systemctl start shop.service")?;
    machine.accepting("127.0.0.1:8000")?;
    machine.nginx_site(SITE)?;
    machine.settle();
    Ok(())
}
