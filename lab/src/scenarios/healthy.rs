//! Nothing is wrong: nothing may be said.

use anyhow::{Result, ensure};

use crate::lab::set_mode;
use crate::{Gunicorn, Lab, Pool};

/// One application behind one location.
pub fn nothing_is_wrong(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";
    let mut nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 200)?;
    nginx.reload()?;
    nginx.expect(4, "GET", "/", 200)?;
    lab.diagnose(&nginx, &[])?;
    lab.passes_gate(&nginx)
}

/// Asked for by why502 itself: both ways answer.
pub fn asked_both_ways(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let site = "\
server {
    listen @listen;
    location / {
        proxy_set_header Host $host;
        proxy_pass http://127.0.0.1:@peer;
    }
}
";
    let nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    let request = lab.diagnose_request(&nginx, "/", &[Some(200), Some(200)], &[])?;
    let silent = |key| request.get(key).and_then(|said| said.as_array()).is_some_and(Vec::is_empty);
    ensure!(silent("says") && silent("logged") && silent("gaps"), "{request}");
    Ok(())
}

/// HTTP, FastCGI and uwsgi side by side, over TCP and unix sockets.
pub fn an_application_works_behind_every_protocol(lab: &Lab) -> Result<()> {
    let (http, wsgi) = (lab.port()?, lab.path("wsgi.sock").display().to_string());
    let pool = lab.path("php8.2-fpm.sock").display().to_string();
    let _uvicorn = lab.uvicorn(http, 5)?;
    let _uwsgi = lab.uwsgi(&wsgi, &[])?;
    let _php = lab.php_fpm(&Pool { name: "www", listen: &pool, extra: "" })?;
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@http;
    }
    location /wsgi {
        include /etc/nginx/uwsgi_params;
        uwsgi_pass unix:@wsgi;
    }
    location ~ [.]php$ {
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME @php$fastcgi_script_name;
        fastcgi_pass unix:@pool;
    }
}
";
    let php = lab.path("php");
    let nginx = lab.nginx(site, &[("http", &http), ("wsgi", &wsgi), ("pool", &pool), ("php", &php.display())])?;
    lab.settle();
    for path in ["/", "/wsgi", "/ok.php"] {
        nginx.expect(2, "GET", path, 200)?;
    }
    lab.diagnose(&nginx, &[])?;
    lab.passes_gate(&nginx)
}

/// A socket of mode `-w--w--w-`: writing is all that connecting needs.
pub fn a_socket_that_may_only_be_written(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    set_mode(&socket, 0o222)?;
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://unix:@socket;
    }
}
";
    let nginx = lab.nginx(site, &[("socket", &socket.display())])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 200)?;
    lab.diagnose(&nginx, &[])?;
    lab.passes_gate(&nginx)
}

/// Everything under units, and another unit has failed that is no concern of nginx.
pub fn units_are_well(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let gunicorn = "/usr/bin/gunicorn --chdir /srv/shop --bind 127.0.0.1:8000 shop:application";
    machine.service("shop.service", gunicorn, "127.0.0.1:8000")?;
    machine.unit("backup.service", "[Service]\nExecStart=/bin/false\n")?;
    machine.run("systemctl start backup.service")?;
    machine.nginx_site("server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }\n")?;
    machine.settle();
    machine.expect(4, "GET", "/", 200)?;
    machine.diagnose(&[])
}
