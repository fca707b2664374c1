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
    lab.diagnose(&nginx, &[truth()])
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

fn truth() -> Expectation {
    Expectation::confirmed("application-worker-timeout").rules_out("keepalive-connection-stale")
}
