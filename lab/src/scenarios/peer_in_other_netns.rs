//! The application listens on the port that nginx dials, in another network namespace.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab, Pool};

const REFUSED: &str = "connect() failed (111: Connection refused) while connecting to upstream";
const CAUSE: &str = "peer-in-other-netns";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://@peer;
    }
}
";

const NAMED_SITE: &str = "\
upstream @name {
    server @peer;
}
server {
    listen @listen;
    location / {
        proxy_pass http://@name;
    }
}
";

/// The unit that is meant to listen where nginx dials has a network of its own.
pub fn unit_with_a_network_of_its_own(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let gunicorn = "/usr/bin/gunicorn --chdir /srv/shop --bind 127.0.0.1:8000 shop:application";
    machine.unit("shop.service", &format!("[Service]\nExecStart={gunicorn}\nPrivateNetwork=yes\n"))?;
    machine.run("systemctl start shop.service")?;
    machine.journalled("shop.service", "Listening at: http://127.0.0.1:8000")?;
    machine.nginx_site("server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }\n")?;
    machine.settle();
    machine.expect(4, "GET", "/", 502)?;
    machine.logged(&[REFUSED, "upstream: \"http://127.0.0.1:8000/\""])?;
    let truth = Expectation::confirmed(CAUSE).also("peer-not-listening").times(4);
    machine.diagnose(&[truth.naming("shop.service").naming("its loopback is its own")])
}

/// What is true, and nothing proves: a name, and the port, are a copy's too.
fn truth() -> Expectation {
    Expectation::at_most(CAUSE).also("peer-not-listening")
}

/// nginx has a link to the application's network, and dials its own loopback. The application bears the upstream's name.
pub fn application_in_a_network_that_nginx_reaches(lab: &Lab) -> Result<()> {
    let name = lab.unique("shopfront");
    let (network, other) = (lab.network()?, lab.network()?);
    network.connect(&other)?;
    let port = lab.port()?;
    let _gunicorn = {
        let _there = other.enter()?;
        lab.gunicorn(&format!("0.0.0.0:{port}"), &Gunicorn { name: Some(&name), ..Gunicorn::default() })?
    };
    let _inside = network.enter()?;
    let nginx = lab.nginx(NAMED_SITE, &[("name", &name), ("peer", &format!("127.0.0.1:{port}"))])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[REFUSED])?;
    lab.diagnose(&nginx, &[truth()])
}

/// The application listens on the loopback of its own network.
pub fn application_on_a_loopback_of_its_own(lab: &Lab) -> Result<()> {
    let name = lab.unique("shopfront");
    let network = lab.network()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _gunicorn = {
        let _there = network.enter()?;
        lab.gunicorn(&peer, &Gunicorn { name: Some(&name), ..Gunicorn::default() })?
    };
    let nginx = lab.nginx(NAMED_SITE, &[("name", &name), ("peer", &peer)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[REFUSED])?;
    lab.diagnose(&nginx, &[truth()])
}

/// nginx has a network of its own, as in a container, and the application is on the host's loopback.
pub fn nginx_in_a_network_of_its_own(lab: &Lab) -> Result<()> {
    let name = lab.unique("shopfront");
    let network = lab.network()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _gunicorn = lab.gunicorn(&peer, &Gunicorn { name: Some(&name), ..Gunicorn::default() })?;
    let inside = network.enter()?;
    let nginx = lab.nginx(NAMED_SITE, &[("name", &name), ("peer", &peer)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[REFUSED])?;
    drop(inside);
    lab.diagnose(&nginx, &[truth()])
}

/// The only listener on the port in any network: which may as well be another's.
pub fn the_only_listener_on_the_port(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _gunicorn = {
        let _there = network.enter()?;
        lab.gunicorn(&peer, &Gunicorn::default())?
    };
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[REFUSED])?;
    lab.diagnose(&nginx, &[truth()])
}

/// php-fpm listens on the port in another network, and nginx speaks HTTP to it: it cannot be meant.
pub fn stranger_of_another_protocol(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _php = {
        let _there = network.enter()?;
        lab.php_fpm(&Pool { name: "www", listen: &peer, extra: "" })?
    };
    stays_unproven(lab, &peer)
}

/// A program that nobody knows listens on the port in another network: it may be anything.
pub fn stranger_of_no_known_kind(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _stranger = {
        let _there = network.enter()?;
        lab.application(&["ok"], &peer)?
    };
    stays_unproven(lab, &peer)
}

/// Two of them listen on the port, each in a network of its own: which is meant, nobody knows.
pub fn two_applications_on_the_port(lab: &Lab) -> Result<()> {
    let (one, other) = (lab.network()?, lab.network()?);
    let port = lab.port()?;
    let peer = format!("127.0.0.1:{port}");
    let _gunicorn = {
        let _there = one.enter()?;
        lab.gunicorn(&peer, &Gunicorn::default())?
    };
    let _uvicorn = {
        let _there = other.enter()?;
        lab.uvicorn(port, 5)?
    };
    stays_unproven(lab, &peer)
}

/// That nothing listens here is true all the same.
fn stays_unproven(lab: &Lab, peer: &str) -> Result<()> {
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged(&[REFUSED])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening")])
}
