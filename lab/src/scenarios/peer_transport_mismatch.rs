//! nginx dials TCP and the application listens on a unix socket, or the reverse.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab, Machine};

const REFUSED: &str = "connect() failed (111: Connection refused) while connecting to upstream";

const SITE: &str = "\
upstream @name {
    server @server;
}
server {
    listen @listen;
    location / {
        include /etc/nginx/uwsgi_params;
        @pass;
    }
}
";

/// gunicorn of the upstream's name listens on a unix socket: a name proves nothing.
pub fn gunicorn_on_a_unix_socket(lab: &Lab) -> Result<()> {
    let (name, peer) = (lab.unique("shopfront"), lab.port()?);
    let bind = format!("unix:{}", lab.path("shop.sock").display());
    let _gunicorn = lab.gunicorn(&bind, &Gunicorn { name: Some(&name), ..Gunicorn::default() })?;
    let (server, pass) = (format!("127.0.0.1:{peer}"), format!("proxy_pass http://{name}"));
    let nginx = lab.nginx(SITE, &[("name", &name), ("server", &server), ("pass", &pass)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[REFUSED, &format!("upstream: \"http://{server}/\"")])?;
    lab.diagnose(&nginx, &[Expectation::at_most("peer-transport-mismatch").also("peer-not-listening")])
}

/// uWSGI listens on a unix socket that carries the upstream's name.
pub fn uwsgi_on_a_unix_socket(lab: &Lab) -> Result<()> {
    let (name, peer) = (lab.unique("shopfront"), lab.port()?);
    let socket = lab.path(&format!("{name}.sock"));
    let _uwsgi = lab.uwsgi(&socket.display().to_string(), &[])?;
    let (server, pass) = (format!("127.0.0.1:{peer}"), format!("uwsgi_pass {name}"));
    let nginx = lab.nginx(SITE, &[("name", &name), ("server", &server), ("pass", &pass)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[REFUSED, &format!("upstream: \"uwsgi://{server}\"")])?;
    lab.diagnose(&nginx, &[Expectation::at_most("peer-transport-mismatch").also("peer-not-listening")])
}

/// gunicorn of the upstream's name listens on TCP, nginx dials a unix socket.
pub fn gunicorn_on_tcp(lab: &Lab) -> Result<()> {
    let (name, port) = (lab.unique("shopfront"), lab.port()?);
    let how = Gunicorn { name: Some(&name), ..Gunicorn::default() };
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{port}"), &how)?;
    let socket = lab.path("shop.sock");
    let (server, pass) = (format!("unix:{}", socket.display()), format!("proxy_pass http://{name}"));
    let nginx = lab.nginx(SITE, &[("name", &name), ("server", &server), ("pass", &pass)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[&format!("connect() to {server} failed (2: No such file or directory)")])?;
    lab.diagnose(&nginx, &[Expectation::at_most("peer-transport-mismatch").also("socket-missing")])
}

/// The unit listened on TCP; it was moved to a unix socket and restarted.
pub fn unit_moved_to_a_unix_socket(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let gunicorn = "/usr/bin/gunicorn --chdir /srv/shop --bind 127.0.0.1:8000 shop:application";
    machine.service("app-gunicorn.service", gunicorn, "127.0.0.1:8000")?;
    machine.nginx_site("server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }\n")?;
    machine.expect(2, "GET", "/", 200)?;
    let moved = gunicorn.replace("127.0.0.1:8000", "unix:/run/app/gunicorn.sock");
    machine.unit("app-gunicorn.service", &format!("[Service]\nRuntimeDirectory=app\nExecStart={moved}\n"))?;
    machine.run("systemctl restart app-gunicorn.service")?;
    machine.accepting("/run/app/gunicorn.sock")?;
    unit_refused(&machine)?;
    let truth = Expectation::confirmed("peer-transport-mismatch").also("peer-not-listening").times(4);
    machine.diagnose(&[truth.naming("app-gunicorn.service").naming("/run/app/gunicorn.sock")])
}

/// A socket unit of the upstream's name listens on a unix socket; nginx dials TCP. Nothing but the name ties them.
pub fn socket_unit_of_the_upstreams_name(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    machine.unit("shopfront.socket", "[Socket]\nListenStream=/run/shopfront.sock\n")?;
    let gunicorn = "/usr/bin/gunicorn --chdir /srv/shop shop:application";
    machine.unit("shopfront.service", &format!("[Service]\nExecStart={gunicorn}\n"))?;
    machine.run("systemctl start shopfront.socket shopfront.service")?;
    machine.journalled("shopfront.service", "Listening at: unix:/run/shopfront.sock")?;
    machine.nginx_site("\
upstream shopfront {
    server 127.0.0.1:8000;
}
server {
    listen 80;
    location / {
        proxy_pass http://shopfront;
    }
}
")?;
    unit_refused(&machine)?;
    machine.diagnose(&[Expectation::at_most("peer-transport-mismatch").also("peer-not-listening").times(4)])
}

fn unit_refused(machine: &Machine<'_>) -> Result<()> {
    machine.settle();
    machine.expect(4, "GET", "/", 502)?;
    machine.logged(&[REFUSED, "upstream: \"http://127.0.0.1:8000/\""])
}
