//! The application's own supervisor killed the worker because it took too long.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab, Pool};

const PREMATURE: &str = "upstream prematurely closed connection while reading response header from upstream";

/// gunicorn 20.1 with `--timeout 1`.
pub fn gunicorn_timeout(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let how = Gunicorn { timeout: Some(1), ..Gunicorn::default() };
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &how)?;
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";
    let nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/slow", 502)?;
    nginx.logged(&[PREMATURE, "GET /slow"])?;
    lab.written("gunicorn.log", "WORKER TIMEOUT")?;
    lab.diagnose(&nginx, &[truth().needs_root()])
}

/// php-fpm with `request_terminate_timeout = 1s`.
pub fn php_request_terminate_timeout(lab: &Lab) -> Result<()> {
    let socket = lab.path("php8.2-fpm.sock").display().to_string();
    let _php = lab.php_fpm(&Pool { name: "www", listen: &socket, extra: "request_terminate_timeout = 1s" })?;
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
    nginx.expect(2, "GET", "/slow.php", 502)?;
    nginx.logged(&["recv() failed (104: Connection reset by peer) while reading response header", "GET /slow.php"])?;
    lab.written("php-fpm.log", "execution timed out")?;
    lab.diagnose(&nginx, &[truth()])
}

/// uWSGI with `--harakiri 1`.
pub fn uwsgi_harakiri(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock").display().to_string();
    let _uwsgi = lab.uwsgi(&socket, &["--harakiri", "1"])?;
    let site = "\
server {
    listen @listen;
    location / {
        include /etc/nginx/uwsgi_params;
        uwsgi_pass unix:@socket;
    }
}
";
    let nginx = lab.nginx(site, &[("socket", &socket)])?;
    lab.settle();
    nginx.expect(2, "GET", "/slow", 502)?;
    nginx.logged(&[PREMATURE, "GET /slow"])?;
    lab.written("uwsgi.log", "HARAKIRI ON WORKER")?;
    lab.diagnose(&nginx, &[truth()])
}

/// gunicorn 20.1 as a unit, whose log is in the journal only.
pub fn gunicorn_unit_timeout(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let gunicorn = "/usr/bin/gunicorn --chdir /srv/shop --timeout 1 --bind 127.0.0.1:8000 shop:application";
    machine.service("shop.service", gunicorn, "127.0.0.1:8000")?;
    machine.nginx_site("server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }\n")?;
    machine.settle();
    machine.expect(2, "GET", "/slow", 502)?;
    machine.logged(&[PREMATURE, "GET /slow"])?;
    machine.journalled("shop.service", "WORKER TIMEOUT")?;
    machine.diagnose(&[truth().times(2).naming("WORKER TIMEOUT")])
}

/// One unit's gunicorn times out; another application closes connections in the same second.
pub fn another_units_timeout(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let gunicorn = "/usr/bin/gunicorn --chdir /srv/shop --timeout 1 --bind 127.0.0.1:8003 shop:application";
    machine.service("reports.service", gunicorn, "127.0.0.1:8003")?;
    machine.service("shop.service", "/usr/local/bin/shopd 127.0.0.1:8000 close", "127.0.0.1:8000")?;
    machine.nginx_site("\
server {
    listen 80;
    location / {
        proxy_pass http://127.0.0.1:8000;
    }
    location /slow {
        proxy_pass http://127.0.0.1:8003;
    }
}
")?;
    machine.settle();
    machine.expect(1, "GET", "/slow", 502)?;
    machine.expect(2, "GET", "/", 502)?;
    machine.journalled("reports.service", "WORKER TIMEOUT")?;
    let timed_out = truth().of_peer("127.0.0.1:8003").times(1);
    machine.diagnose(&[timed_out, Expectation::undetermined().of_peer("127.0.0.1:8000").times(2)])
}

const HTTP_SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

/// Unicorn with `timeout 3` in its file.
pub fn unicorn_timeout(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _unicorn = lab.unicorn(peer, "unicorn.log")?;
    let nginx = lab.nginx(HTTP_SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(1, "GET", "/slow", 502)?;
    nginx.logged(&[PREMATURE, "GET /slow"])?;
    lab.written("unicorn.log", "> 3s), killing")?;
    let sides = "proxy_read_timeout is 60s by its default, unicorn's timeout is 3 s by";
    lab.diagnose(&nginx, &[truth().naming(sides).naming("as set, the application gives up first")])
}

/// Puma's worker does not check in: its master kills it, and starts another at once. Its log has no times.
pub fn puma_worker_does_not_check_in(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _puma = lab.puma(peer)?;
    let nginx = lab.nginx(HTTP_SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(1, "GET", "/stop", 502)?;
    nginx.expect(1, "GET", "/", 200)?;
    nginx.logged(&[PREMATURE, "GET /stop"])?;
    lab.written("puma.log", "failed to check in within 6 seconds")?;
    lab.diagnose(&nginx, &[truth().naming("failed to check in within 6 seconds")])
}

/// Two sites' Unicorns share a log: the one's worker times out while the other closes a connection unanswered.
pub fn another_unicorns_timeout_in_a_shared_log(lab: &Lab) -> Result<()> {
    let (peer, other) = (lab.port()?, lab.port()?);
    let _shop = lab.unicorn(peer, "unicorn.log")?;
    let _reports = lab.unicorn(other, "unicorn.log")?;
    let nginx = lab.nginx("\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
    location /slow {
        proxy_pass http://127.0.0.1:@other;
    }
}
", &[("peer", &peer), ("other", &other)])?;
    lab.settle();
    nginx.expect(1, "GET", "/slow", 502)?;
    nginx.expect(1, "GET", "/close", 502)?;
    lab.written("unicorn.log", "> 3s), killing")?;
    let timed_out = truth().of_peer(format!("127.0.0.1:{other}")).times(1);
    let closed = Expectation::undetermined().of_peer(format!("127.0.0.1:{peer}")).times(1);
    lab.diagnose(&nginx, &[timed_out, closed])
}

fn truth() -> Expectation {
    Expectation::confirmed("application-worker-timeout").rules_out("keepalive-connection-stale")
}
