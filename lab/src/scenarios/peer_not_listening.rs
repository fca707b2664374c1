//! Nothing accepts connections on the peer's address.

use anyhow::{Result, ensure};

use crate::{Container, Expectation, Gunicorn, Lab, Machine, Nginx};

const SITE: &str = "\
server {
    listen @listen;
    server_name shop.example.com;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

const UNIT_SITE: &str = "\
server {
    listen 80;
    server_name shop.example.com;
    location / {
        proxy_pass http://127.0.0.1:8000;
    }
}
";

const GUNICORN: &str = "/usr/bin/gunicorn --chdir /srv/shop --bind 127.0.0.1:8000 shop:application";

const REFUSED: &str = "connect() failed (111: Connection refused) while connecting to upstream";

/// The application was never started.
pub fn never_started(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    refused(&nginx, peer)?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").times(4).rules_out("socket-missing").needs_root()])
}

/// Nobody came since; why502 asks by itself, and its own request is what failed.
pub fn quiet_until_asked(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    lab.diagnose(&nginx, &[])?;
    let truth = Expectation::confirmed("peer-not-listening");
    let request = lab.diagnose_request(&nginx, "/", &[Some(502), None], &[truth])?;
    ensure!(request.to_string().contains("cannot be reached without nginx either"), "{request}");
    nginx.logged(&["[error]", REFUSED, "client: 127.0.0.1"])
}

/// The application served, then its whole process tree was killed.
pub fn killed(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let mut gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    nginx.expect(2, "GET", "/", 200)?;
    gunicorn.kill();
    lab.settle();
    refused(&nginx, peer)?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").rules_out("peer-address-mismatch")])
}

/// A reload has nginx dial another port, and nobody listens there either.
pub fn reloaded_to_another_dead_port(lab: &Lab) -> Result<()> {
    let (peer, other) = (lab.port()?, lab.port()?);
    let mut nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    refused(&nginx, peer)?;
    lab.settle();
    nginx.edit(&peer.to_string(), &other.to_string())?;
    nginx.reload()?;
    lab.diagnose(&nginx, &[Expectation::undetermined().times(4)])
}

/// The application comes up and goes away every few seconds, and is up just now.
pub fn comes_and_goes(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let bind = format!("127.0.0.1:{peer}");
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    let mut up = None;
    for _ in 0..3 {
        drop(up.take());
        nginx.expect(1, "GET", "/", 502)?;
        lab.settle();
        up = Some(lab.application(&["ok"], &bind)?);
        nginx.expect(1, "GET", "/", 200)?;
        lab.settle();
    }
    let truth = Expectation::at_most("peer-not-listening").times(3);
    lab.diagnose(&nginx, &[truth])
}

/// gunicorn of no unit is stopped, clients come, and it is started again: its own log has both ends.
pub fn gunicorn_was_stopped_and_is_up_again(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let bind = format!("127.0.0.1:{peer}");
    let mut first = lab.gunicorn(&bind, &Gunicorn::default())?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    nginx.expect(1, "GET", "/", 200)?;
    lab.settle();
    first.stop()?;
    refused(&nginx, peer)?;
    let _second = lab.gunicorn(&bind, &Gunicorn::default())?;
    nginx.expect(1, "GET", "/", 200)?;
    let truth = Expectation::confirmed("peer-not-listening").times(4).over();
    lab.diagnose(&nginx, &[truth.naming("it was stopped; gunicorn")])
}

/// Somebody else speaks HTTP next door; it is not the application.
pub fn stranger_on_the_neighbouring_port(lab: &Lab) -> Result<()> {
    let peer = lab.neighbouring_ports(2)?;
    let stranger = format!("127.0.0.1:{}", peer + 1);
    let _stranger = lab.application(&["ok"], &stranger)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    refused(&nginx, peer)?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").never_naming(stranger)])
}

/// It failed, and has been started since: what is true now proves nothing about then.
pub fn over_since_restart(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    refused(&nginx, peer)?;
    lab.settle();
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    nginx.expect(2, "GET", "/", 200)?;
    lab.diagnose(&nginx, &[Expectation::at_most("peer-not-listening").over()])
}

/// A client puts nginx's own words into its referrer; the peer is the one nginx dialled.
pub fn a_referrer_that_speaks_nginx(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    for _ in 0..3 {
        nginx.get_from("/cart", "x\", upstream: \"http://192.0.2.9:80/\", host: \"evil")?;
    }
    nginx.logged(&[REFUSED, "upstream: \"http://192.0.2.9:80/\""])?;
    let truth = Expectation::confirmed("peer-not-listening").of_peer(format!("127.0.0.1:{peer}"));
    lab.diagnose(&nginx, &[truth.times(3).never_naming("192.0.2.9")])
}

fn refused(nginx: &Nginx, peer: u16) -> Result<()> {
    nginx.expect(4, "GET", "/cart", 502)?;
    nginx.logged(&[REFUSED, &format!("upstream: \"http://127.0.0.1:{peer}/cart\"")])
}

/// The application's unit was stopped.
pub fn unit_is_stopped(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    machine.service("shop.service", GUNICORN, "127.0.0.1:8000")?;
    machine.nginx_site(UNIT_SITE)?;
    machine.expect(2, "GET", "/", 200)?;
    machine.run("systemctl stop shop.service")?;
    machine.settle();
    unit_refused(&machine)?;
    let truth = Expectation::confirmed("peer-not-listening").of_peer("127.0.0.1:8000").times(4);
    let truth = truth.naming("shop.service").naming("Shutting down: Master");
    machine.diagnose(&[truth.fixed_by(&["systemctl", "start", "shop.service"])])
}

/// The unit is meant to listen on every address and failed, for a stranger has the port at one
/// that nginx does not dial. The stranger is not the application.
pub fn unit_found_its_port_taken(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    machine.service("metrics.service", "/usr/local/bin/shopd 127.0.0.2:8000 ok", "127.0.0.2:8000")?;
    let gunicorn = GUNICORN.replace("127.0.0.1", "0.0.0.0");
    machine.unit("shop.service", &format!("[Service]\nExecStart={gunicorn}\n"))?;
    machine.run("systemctl start shop.service")?;
    machine.nginx_site(UNIT_SITE)?;
    // gunicorn tries for five seconds.
    machine.run("while systemctl --quiet is-active shop.service; do sleep 0.1; done")?;
    machine.journalled("shop.service", "Can't connect to ('0.0.0.0', 8000)")?;
    machine.journalled("shop.service", "Failed with result 'exit-code'")?;
    machine.settle();
    unit_refused(&machine)?;
    let truth = Expectation::confirmed("peer-not-listening").of_peer("127.0.0.1:8000");
    let truth = truth.naming("shop.service").naming("Can't connect to ('0.0.0.0', 8000)");
    machine.diagnose(&[truth.fixed_by(&["systemctl", "start", "shop.service"])])
}

/// The unit's program is not there.
pub fn unit_has_no_program(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let gunicorn = GUNICORN.replace("/usr/bin", "/srv/shop/venv/bin");
    machine.unit("shop.service", &format!("[Service]\nExecStart={gunicorn}\n"))?;
    machine.run("systemctl start shop.service || true")?;
    machine.nginx_site(UNIT_SITE)?;
    machine.journalled("shop.service", "status=203/EXEC")?;
    machine.settle();
    unit_refused(&machine)?;
    let truth = Expectation::confirmed("peer-not-listening").of_peer("127.0.0.1:8000");
    // "No such file" is said by a process so short-lived that journald may not learn its unit.
    let truth = truth.naming("shop.service").naming("203").naming("Failed with result 'exit-code'");
    let truth = truth.naming("/srv/shop/venv/bin/gunicorn");
    machine.diagnose(&[truth.fixed_by(&["systemctl", "start", "shop.service"])])
}

/// The application cannot start: systemd tries until its limit is reached, and gives up.
pub fn unit_gave_up_after_a_loop_of_crashes(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let limit = "[Unit]\nStartLimitIntervalSec=1min\nStartLimitBurst=2\n";
    let gunicorn = GUNICORN.replace("shop:application", "settings:application");
    let service = format!("[Service]\nExecStart={gunicorn}\nRestart=on-failure\nRestartSec=100ms\n");
    machine.unit("shop.service", &format!("{limit}{service}"))?;
    machine.nginx_site(UNIT_SITE)?;
    machine.run("systemctl start shop.service; until systemctl --quiet is-failed shop.service; do sleep 0.1; done")?;
    machine.journalled("shop.service", "No module named 'settings'")?;
    machine.journalled("shop.service", "Start request repeated too quickly.")?;
    machine.settle();
    unit_refused(&machine)?;
    let truth = Expectation::confirmed("peer-not-listening").of_peer("127.0.0.1:8000").times(4);
    let truth = truth.naming("shop.service has failed").naming("No module named 'settings'");
    machine.diagnose(&[truth])
}

/// The unit was down for three seconds, and clients came; it is up again. The journal knows.
pub fn unit_was_down_and_is_up_again(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    machine.service("shop.service", GUNICORN, "127.0.0.1:8000")?;
    machine.nginx_site(UNIT_SITE)?;
    machine.expect(2, "GET", "/", 200)?;
    machine.run("systemctl stop shop.service")?;
    machine.settle();
    unit_refused(&machine)?;
    machine.settle();
    unit_refused(&machine)?;
    machine.settle();
    machine.run("systemctl start shop.service")?;
    machine.accepting("127.0.0.1:8000")?;
    machine.expect(2, "GET", "/", 200)?;
    let truth = Expectation::confirmed("peer-not-listening").of_peer("127.0.0.1:8000").times(8);
    machine.diagnose(&[truth.naming("shop.service").over()])
}

/// nginx's error log is its standard error, as Debian's nginx has it when no `error_log` is set:
/// its lines are in the journal and nowhere else.
pub fn error_log_is_the_journal(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    machine.run("sed -i '/error_log/d' /etc/nginx/nginx.conf")?;
    machine.nginx_site(UNIT_SITE)?;
    machine.settle();
    machine.expect(4, "GET", "/cart", 502)?;
    machine.journalled("nginx.service", REFUSED)?;
    let truth = Expectation::confirmed("peer-not-listening").of_peer("127.0.0.1:8000").times(4);
    machine.diagnose(&[truth])
}

/// nginx's logs are its standard streams, which Docker keeps in one file.
pub fn logs_are_dockers(lab: &Lab) -> Result<()> {
    in_container(lab, &lab.docker_container()?)
}

/// nginx's logs are its standard streams, which the runtime of a pod keeps in one file, in parts.
pub fn logs_are_a_pods(lab: &Lab) -> Result<()> {
    in_container(lab, &lab.pod_container()?)
}

fn in_container(lab: &Lab, container: &Container) -> Result<()> {
    let peer = lab.port()?;
    let nginx = lab.nginx_setup().container(container).start(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    nginx.logged_times(4, &["connect() failed (111: Connection refused)"])?;
    nginx.logged_times(4, &["us=502"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").of_peer(format!("127.0.0.1:{peer}")).times(4)])
}

fn unit_refused(machine: &Machine<'_>) -> Result<()> {
    machine.expect(4, "GET", "/cart", 502)?;
    machine.logged(&[REFUSED, "upstream: \"http://127.0.0.1:8000/cart\""])
}
