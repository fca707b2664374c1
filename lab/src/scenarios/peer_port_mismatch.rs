//! The application listens on another port than nginx dials.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab, Pool};

const REFUSED: &str = "connect() failed (111: Connection refused) while connecting to upstream";

/// gunicorn carries the upstream's name, as a copy of it would; a stranger speaks HTTP next door.
pub fn gunicorn_on_another_port(lab: &Lab) -> Result<()> {
    let name = lab.unique("shopfront");
    let peer = lab.neighbouring_ports(3)?;
    let (listener, stranger) = (format!("127.0.0.1:{}", peer + 1), format!("127.0.0.1:{}", peer + 2));
    let _stranger = lab.application(&["ok"], &stranger)?;
    let _gunicorn = lab.gunicorn(&listener, &Gunicorn { name: Some(&name), ..Gunicorn::default() })?;
    let site = "\
upstream @name {
    server 127.0.0.1:@peer;
}
server {
    listen @listen;
    location / {
        proxy_pass http://@name;
    }
}
";
    let nginx = lab.nginx(site, &[("name", &name), ("peer", &peer)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[REFUSED, &format!("upstream: \"http://127.0.0.1:{peer}/\"")])?;
    let truth = Expectation::at_most("peer-port-mismatch").also("peer-not-listening");
    lab.diagnose(&nginx, &[truth.rules_out("peer-address-mismatch").never_naming(stranger)])
}

/// The pool of the upstream's name listens on another TCP port than `fastcgi_pass` dials; nothing but the name says so.
pub fn php_pool_on_another_port(lab: &Lab) -> Result<()> {
    let name = lab.unique("shopfront");
    let peer = lab.neighbouring_ports(2)?;
    let listen = format!("127.0.0.1:{}", peer + 1);
    let _php = lab.php_fpm(&Pool { name: &name, listen: &listen, extra: "" })?;
    let site = "\
upstream @name {
    server 127.0.0.1:@peer;
}
server {
    listen @listen;
    location / {
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME @php$fastcgi_script_name;
        fastcgi_pass @name;
    }
}
";
    let nginx = lab.nginx(site, &[("name", &name), ("peer", &peer), ("php", &lab.path("php").display())])?;
    lab.settle();
    nginx.expect(4, "GET", "/ok.php", 502)?;
    nginx.logged(&[REFUSED, &format!("upstream: \"fastcgi://127.0.0.1:{peer}\"")])?;
    lab.diagnose(&nginx, &[Expectation::at_most("peer-port-mismatch").also("peer-not-listening")])
}

/// gunicorn listens next door and nothing says that it is this application: a guess is no proof.
pub fn a_listener_without_a_tie(lab: &Lab) -> Result<()> {
    let peer = lab.neighbouring_ports(2)?;
    let listener = format!("127.0.0.1:{}", peer + 1);
    let _gunicorn = lab.gunicorn(&listener, &Gunicorn::default())?;
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
    nginx.logged(&[REFUSED, &format!("upstream: \"http://127.0.0.1:{peer}/\"")])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").never_naming(listener)])
}

/// The application died; what else bears its name is not it: a copy of it that was started to look into the failure.
pub fn a_copy_started_after_the_failure(lab: &Lab) -> Result<()> {
    let name = lab.unique("shopfront");
    let peer = lab.neighbouring_ports(2)?;
    let copy = format!("127.0.0.1:{}", peer + 1);
    let site = "\
upstream @name {
    server 127.0.0.1:@peer;
}
server {
    listen @listen;
    location / {
        proxy_pass http://@name;
    }
}
";
    let nginx = lab.nginx(site, &[("name", &name), ("peer", &peer)])?;
    nginx.expect(2, "GET", "/", 502)?;
    lab.settle();
    lab.settle();
    let _copy = lab.gunicorn(&copy, &Gunicorn { name: Some(&name), ..Gunicorn::default() })?;
    nginx.expect(2, "GET", "/", 502)?;
    nginx.logged(&[REFUSED, &format!("upstream: \"http://127.0.0.1:{peer}/\"")])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").never_naming(copy)])
}

/// A drop-in moved the unit to another port and it was restarted: its journal says where it
/// listened before. Nothing in its command line names the upstream; a stranger speaks HTTP next
/// door.
pub fn drop_in_moved_the_unit(lab: &Lab) -> Result<()> {
    let gunicorn = "/usr/bin/gunicorn --chdir /srv/shop --bind 127.0.0.1:8000 shop:application";
    let moved = gunicorn.replace("8000", "8001");
    unit_moved(lab, &format!("[Service]\nExecStart={gunicorn}\n"), &format!("[Service]\nExecStart=\nExecStart={moved}\n"))
}

/// The same where the address stands only in the unit's environment.
pub fn drop_in_moved_the_environment(lab: &Lab) -> Result<()> {
    let unit = "\
[Service]
Environment=\"GUNICORN_CMD_ARGS=--bind 127.0.0.1:8000\"
ExecStart=/usr/bin/gunicorn --chdir /srv/shop shop:application
";
    unit_moved(lab, unit, "[Service]\nEnvironment=\"GUNICORN_CMD_ARGS=--bind 127.0.0.1:8001\"\n")
}

fn unit_moved(lab: &Lab, unit: &str, drop_in: &str) -> Result<()> {
    let machine = lab.machine()?;
    let stranger = "127.0.0.1:8002";
    machine.service("metrics.service", &format!("/usr/local/bin/shopd {stranger} ok"), stranger)?;
    machine.unit("app-gunicorn.service", unit)?;
    machine.run("systemctl start app-gunicorn.service")?;
    machine.accepting("127.0.0.1:8000")?;
    machine.nginx_site("server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }\n")?;
    machine.expect(2, "GET", "/", 200)?;
    machine.unit("app-gunicorn.service.d/override.conf", drop_in)?;
    machine.run("systemctl restart app-gunicorn.service")?;
    machine.accepting("127.0.0.1:8001")?;
    machine.journalled("app-gunicorn.service", "Listening at: http://127.0.0.1:8000")?;
    machine.settle();
    machine.expect(4, "GET", "/", 502)?;
    machine.logged(&[REFUSED, "upstream: \"http://127.0.0.1:8000/\""])?;
    let truth = Expectation::confirmed("peer-port-mismatch").also("peer-not-listening").times(4);
    let truth = truth.naming("app-gunicorn.service").naming("127.0.0.1:8001").never_naming(stranger);
    machine.diagnose(&[truth.rules_out("peer-address-mismatch")])
}
