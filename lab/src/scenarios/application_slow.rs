//! The application takes longer to answer than nginx waits.

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::groups::freeze;
use crate::{Expectation, Gunicorn, Lab, Nginx, Process, client};

const TIMED_OUT: &str =
    "upstream timed out (110: Connection timed out) while reading response header from upstream";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_read_timeout 1s;
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

/// One page takes four seconds, the others are answered at once.
pub fn first_byte_comes_late(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["slow", "4"], &format!("127.0.0.1:{peer}"))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 200)?;
    nginx.expect(2, "GET", "/slow-report", 504)?;
    nginx.logged(&[TIMED_OUT, "GET /slow-report"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-slow").times(2).rules_out("peer-not-listening")])
}

/// Nobody was ever answered: that it is slow, and not deaf to nginx's protocol, is unproven.
pub fn never_answers_anybody(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _application = lab.application(&["silent"], &format!("127.0.0.1:{peer}"))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 504)?;
    nginx.logged(&[TIMED_OUT])?;
    lab.diagnose(&nginx, &[Expectation::undetermined().rules_out("peer-not-listening")])
}

/// gunicorn's one worker is busy with one request, the others wait behind it.
pub fn all_workers_are_busy(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    let port = nginx.port();
    let clients: Vec<_> =
        (0..4).map(|_| std::thread::spawn(move || client::request(port, "GET", "/slow"))).collect();
    for client in clients {
        let status = client.join().ok().context("a client failed")??;
        ensure!(status == 504, "a client got {status}");
    }
    nginx.logged(&[TIMED_OUT, "GET /slow"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-slow")])
}

/// A page of Tomcat's sleeps; another uses up the heap, which Tomcat answers itself.
pub fn tomcats_page_sleeps(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _tomcat = lab.tomcat(peer)?;
    let site = SITE.replace("proxy_read_timeout 1s;", "proxy_read_timeout 2s;");
    let nginx = lab.nginx(&site, &[("peer", &peer)])?;
    // The first request has the page compiled.
    while nginx.get("/ok.jsp")? != 200 {}
    lab.settle();
    nginx.expect(1, "GET", "/ok.jsp?slow", 504)?;
    nginx.expect(1, "GET", "/ok.jsp?heap", 500)?;
    nginx.logged(&[TIMED_OUT, "GET /ok.jsp?slow"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-slow")])
}

/// All of a gunicorn that answered is stopped by a signal; two requests time out.
fn stopped_gunicorn(lab: &Lab) -> Result<(Process, Nginx)> {
    let peer = lab.port()?;
    let gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(1, "GET", "/", 200)?;
    gunicorn.pause()?;
    nginx.expect(2, "GET", "/", 504)?;
    Ok((gunicorn, nginx))
}

/// gunicorn was stopped for a while, and goes on: nothing tells so any more, and that its code is slow is not said.
pub fn was_stopped_and_goes_on(lab: &Lab) -> Result<()> {
    let (gunicorn, nginx) = stopped_gunicorn(lab)?;
    gunicorn.signal_group(Signal::CONT)?;
    nginx.expect(1, "GET", "/", 200)?;
    nginx.logged(&[TIMED_OUT, "GET /"])?;
    lab.diagnose(&nginx, &[Expectation::at_most("application-slow").naming("it may have been stopped as a whole")])
}

/// All of gunicorn is stopped by a signal, and stays so.
pub fn is_stopped_by_a_signal(lab: &Lab) -> Result<()> {
    let (gunicorn, nginx) = stopped_gunicorn(lab)?;
    nginx.logged(&[TIMED_OUT, "GET /"])?;
    let worker = gunicorn.children()?.first().copied().context("gunicorn has no worker")?;
    let truth = Expectation::confirmed("application-slow").times(2).naming("its processes are stopped");
    lab.diagnose(&nginx, &[truth.naming(worker.to_string()).naming("-CONT").rules_out("accept-queue-full")])
}

/// gunicorn's control group is frozen, as a paused container's is: its processes look like any that wait.
pub fn its_control_group_is_frozen(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let group = lab.freezable_group()?;
    let how = Gunicorn { group: Some(&group), ..Gunicorn::default() };
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &how)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(1, "GET", "/", 200)?;
    freeze(&group)?;
    nginx.expect(2, "GET", "/", 504)?;
    nginx.logged(&[TIMED_OUT, "GET /"])?;
    let truth = Expectation::confirmed("application-slow").times(2).naming("its control group is frozen");
    lab.diagnose(&nginx, &[truth.naming("cgroup.freeze").rules_out("accept-queue-full")])
}

/// nginx gives up after a second, gunicorn after thirty: its worker goes on for nobody.
pub fn nginx_gives_up_before_gunicorn(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let how = Gunicorn { timeout: Some(30), ..Gunicorn::default() };
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &how)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(1, "GET", "/slow", 504)?;
    nginx.logged(&[TIMED_OUT, "GET /slow"])?;
    let truth = Expectation::confirmed("application-slow");
    let truth = truth.naming("gunicorn's --timeout is 30 s by its command line: as set, nginx gives up first");
    lab.diagnose(&nginx, &[truth.naming("set --timeout below nginx's")])
}

/// A rule lets connections to gunicorn be made, and drops what it answers: nothing is slow.
pub fn a_rule_drops_the_answers(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    let _gunicorn = lab.gunicorn("127.0.0.1:9000", &Gunicorn::default())?;
    network.nft(
        "table inet guard {\n chain in { type filter hook input priority filter; policy accept;\n \
         tcp sport 9000 ct state established tcp flags & syn == 0 drop\n }\n}",
    )?;
    let nginx = lab.nginx(SITE, &[("peer", &9000)])?;
    lab.settle();
    nginx.expect(1, "GET", "/", 504)?;
    nginx.logged(&[TIMED_OUT, "GET /"])?;
    lab.diagnose(&nginx, &[Expectation::undetermined()])
}
