//! The application listens on another port than nginx dials.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab, Pool};

const REFUSED: &str = "connect() failed (111: Connection refused) while connecting to upstream";

/// gunicorn carries the upstream's name; a stranger speaks HTTP next door.
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
    let truth = Expectation::confirmed("peer-port-mismatch").also("peer-not-listening");
    lab.diagnose(&nginx, &[truth.rules_out("peer-address-mismatch").never_naming(stranger)])
}

/// The pool of the upstream's name listens on another TCP port than `fastcgi_pass` dials.
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
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-port-mismatch").also("peer-not-listening")])
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
