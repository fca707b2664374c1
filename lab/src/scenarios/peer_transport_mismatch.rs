//! nginx dials TCP and the application listens on a unix socket, or the reverse.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab};

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

/// gunicorn of the upstream's name listens on a unix socket.
pub fn gunicorn_on_a_unix_socket(lab: &Lab) -> Result<()> {
    let (name, peer) = (lab.unique("shopfront"), lab.port()?);
    let bind = format!("unix:{}", lab.path("shop.sock").display());
    let _gunicorn = lab.gunicorn(&bind, &Gunicorn { name: Some(&name), ..Gunicorn::default() })?;
    let (server, pass) = (format!("127.0.0.1:{peer}"), format!("proxy_pass http://{name}"));
    let nginx = lab.nginx(SITE, &[("name", &name), ("server", &server), ("pass", &pass)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[REFUSED, &format!("upstream: \"http://{server}/\"")])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-transport-mismatch").also("peer-not-listening")])
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
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-transport-mismatch").also("peer-not-listening")])
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
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-transport-mismatch").also("socket-missing")])
}
