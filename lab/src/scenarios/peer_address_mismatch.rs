//! The application listens on the port, on another address.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab};

/// gunicorn stands on 127.0.0.2, nginx dials 127.0.0.1, and nothing says that it is the one that nginx means.
pub fn another_loopback_address(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.2:{peer}"), &Gunicorn::default())?;
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
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&["connect() failed (111: Connection refused)", &format!("upstream: \"http://127.0.0.1:{peer}/\"")])?;
    let truth = Expectation::at_most("peer-address-mismatch").also("peer-not-listening");
    lab.diagnose(&nginx, &[truth.rules_out("peer-family-mismatch")])
}

/// The unit was moved to another address and restarted: its journal says where it listened before.
pub fn unit_moved_to_another_address(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let gunicorn = "/usr/bin/gunicorn --chdir /srv/shop --bind 127.0.0.1:8000 shop:application";
    machine.service("app-gunicorn.service", gunicorn, "127.0.0.1:8000")?;
    machine.nginx_site("server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }\n")?;
    machine.expect(2, "GET", "/", 200)?;
    let moved = gunicorn.replace("127.0.0.1:8000", "127.0.0.2:8000");
    machine.unit("app-gunicorn.service", &format!("[Service]\nExecStart={moved}\n"))?;
    machine.run("systemctl restart app-gunicorn.service")?;
    machine.accepting("127.0.0.2:8000")?;
    machine.settle();
    machine.expect(4, "GET", "/", 502)?;
    machine.logged(&["connect() failed (111: Connection refused)", "upstream: \"http://127.0.0.1:8000/\""])?;
    let truth = Expectation::confirmed("peer-address-mismatch").also("peer-not-listening").times(4);
    let truth = truth.naming("app-gunicorn.service").naming("127.0.0.2:8000");
    machine.diagnose(&[truth.rules_out("peer-family-mismatch")])
}

/// Strangers stand alone on the dialled ports, at other addresses: a program that is no application server, uWSGI that
/// speaks its own protocol, and another site's gunicorn.
pub fn strangers_alone_on_the_port(lab: &Lab) -> Result<()> {
    let (unknown, uwsgi, other) = (lab.port()?, lab.port()?, lab.port()?);
    let strangers = [unknown, uwsgi, other].map(|port| format!("127.0.0.2:{port}"));
    let _unknown = lab.application(&["ok"], &strangers[0])?;
    let _uwsgi = lab.uwsgi(&strangers[1], &[])?;
    let _other = lab.gunicorn(&strangers[2], &Gunicorn { name: Some("billing"), ..Gunicorn::default() })?;
    let site = "\
upstream billing {
    server 127.0.0.2:@other;
}
server {
    listen @listen;
    location /unknown {
        proxy_pass http://127.0.0.1:@unknown;
    }
    location /uwsgi {
        proxy_pass http://127.0.0.1:@uwsgi;
    }
    location /other {
        proxy_pass http://127.0.0.1:@other;
    }
    location /billing/ {
        proxy_pass http://billing;
    }
}
";
    let nginx = lab.nginx(site, &[("unknown", &unknown), ("uwsgi", &uwsgi), ("other", &other)])?;
    lab.settle();
    for path in ["/unknown", "/uwsgi", "/other"] {
        nginx.expect(2, "GET", path, 502)?;
    }
    nginx.expect(2, "GET", "/billing/", 200)?;
    let ports = [unknown, uwsgi, other].into_iter().zip(strangers);
    let truths: Vec<Expectation> = ports
        .map(|(port, stranger)| {
            Expectation::confirmed("peer-not-listening").of_peer(format!("127.0.0.1:{port}")).never_naming(stranger)
        })
        .collect();
    lab.diagnose(&nginx, &truths)
}
