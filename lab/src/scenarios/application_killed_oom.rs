//! The kernel killed the application's process for lack of memory.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab, Machine, Nginx};

const PREMATURE: &str = "upstream prematurely closed connection while reading response header from upstream";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

/// An application of one process.
const SERVER: &str = "\
import http.server

class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == '/memory':
            b'x' * (512 << 20)
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(('127.0.0.1', 8000), Shop).serve_forever()
";

const UNIT_SITE: &str = "\
server {
    listen 80;
    location / {
        proxy_pass http://127.0.0.1:8000;
    }
}
";

/// Takes what its group has not, and is killed.
const HUNGRY: &str = "import sys; b'x' * (512 << 20)";

/// gunicorn's worker takes more memory than its control group may use: the kernel kills it, and the master, which had
/// no part in it, starts another.
pub fn gunicorn_worker_in_a_memory_group(lab: &Lab) -> Result<()> {
    let group = lab.memory_group(96)?;
    let (_gunicorn, nginx) = shop(lab, Some(&group))?;
    for _ in 0..2 {
        // Early in a second, so that it ends in the same one.
        lab.settle();
        nginx.expect(1, "GET", "/memory", 502)?;
    }
    nginx.expect(1, "GET", "/", 200)?;
    nginx.logged(&[PREMATURE, "GET /memory"])?;
    lab.written("gunicorn.log", "was terminated due to signal 9")?;
    let truth = Expectation::confirmed("application-killed-oom").also("application-crashed").times(2);
    lab.diagnose(&nginx, &[truth.naming("had reached its limit of 96 MiB").rules_out("keepalive-connection-stale").needs_root()])
}

/// While a worker dies of SIGSEGV, the kernel kills another group's process.
pub fn another_groups_process(lab: &Lab) -> Result<()> {
    let (_gunicorn, nginx) = shop(lab, None)?;
    let group = lab.memory_group(48)?;
    let mut hungry = lab.start_in_group(
        &group,
        "hungry",
        "/usr/bin/python3".as_ref(),
        vec!["-c".into(), HUNGRY.into()],
    )?;
    hungry.wait()?;
    nginx.expect(1, "GET", "/segv", 502)?;
    nginx.logged(&[PREMATURE, "GET /segv"])?;
    lab.written("gunicorn.log", "was terminated due to signal 11")?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-crashed")])
}

/// A person's SIGKILL looks the same to gunicorn: the kernel's log tells it apart.
pub fn sigkill_by_hand(lab: &Lab) -> Result<()> {
    let (_gunicorn, nginx) = shop(lab, None)?;
    nginx.expect(1, "GET", "/kill", 502)?;
    nginx.logged(&[PREMATURE, "GET /kill"])?;
    lab.written("gunicorn.log", "was terminated due to signal 9")?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-crashed")])
}

/// The same beneath a unit's `MemoryMax=`: the kernel's log names the unit, its journal a SIGKILL only.
pub fn unit_reaches_its_memory_max(lab: &Lab) -> Result<()> {
    let machine = lab.machine_that_counts_memory()?;
    unit(&machine, "MemoryMax=96M\n")?;
    for _ in 0..2 {
        // Early in a second, so that it ends in the same one.
        machine.settle();
        machine.expect(1, "GET", "/memory", 502)?;
    }
    machine.expect(1, "GET", "/", 200)?;
    machine.logged(&[PREMATURE, "GET /memory"])?;
    machine.journalled("shop.service", "was terminated due to signal 9")?;
    let truth = Expectation::confirmed("application-killed-oom").also("application-crashed").times(2);
    let truth = truth.naming("shop.service had reached its limit of 96 MiB").naming("systemctl edit shop.service");
    machine.diagnose(&[truth.rules_out("keepalive-connection-stale")])
}

/// The unit's only process is the one that takes too much: systemd starts it again.
pub fn unit_of_one_process_reaches_its_memory_max(lab: &Lab) -> Result<()> {
    let machine = lab.machine_that_counts_memory()?;
    machine.write("/srv/shop/server.py", SERVER)?;
    let start = "ExecStart=/usr/bin/python3 /srv/shop/server.py";
    machine.unit("shop.service", &format!("[Service]\n{start}\nMemoryMax=64M\nRestart=always\n"))?;
    machine.run("systemctl start shop.service")?;
    machine.accepting("127.0.0.1:8000")?;
    machine.nginx_site(UNIT_SITE)?;
    machine.settle();
    machine.expect(1, "GET", "/memory", 502)?;
    machine.journalled("shop.service", "code=killed, status=9/KILL")?;
    machine.accepting("127.0.0.1:8000")?;
    machine.expect(1, "GET", "/", 200)?;
    machine.logged(&[PREMATURE, "GET /memory"])?;
    let truth = Expectation::confirmed("application-killed-oom").also("application-crashed").times(1);
    machine.diagnose(&[truth.naming("shop.service had reached its limit of 64 MiB")])
}

/// Another unit reaches its own limit in the second in which a person's SIGKILL ends the worker.
pub fn another_unit_reaches_its_memory_max(lab: &Lab) -> Result<()> {
    let machine = lab.machine_that_counts_memory()?;
    unit(&machine, "")?;
    let hungry = "ExecStart=/usr/bin/python3 -c \"b'x' * (512 << 20)\"";
    machine.unit("report.service", &format!("[Service]\n{hungry}\nMemoryMax=48M\n"))?;
    machine.settle();
    machine.run("systemctl start report.service")?;
    machine.expect(1, "GET", "/kill", 502)?;
    machine.journalled("report.service", "status=9/KILL")?;
    machine.journalled("shop.service", "was terminated due to signal 9")?;
    machine.logged(&[PREMATURE, "GET /kill"])?;
    machine.diagnose(&[Expectation::confirmed("application-crashed").times(1)])
}

/// gunicorn in a unit with these settings, and nginx before it.
fn unit(machine: &Machine<'_>, settings: &str) -> Result<()> {
    let start = "ExecStart=/usr/bin/gunicorn --chdir /srv/shop --bind 127.0.0.1:8000 shop:application";
    // What is killed is one worker: with cgroups of the second version systemd would end the others too.
    machine.unit("shop.service", &format!("[Service]\n{start}\nOOMPolicy=continue\n{settings}"))?;
    machine.run("systemctl start shop.service")?;
    machine.accepting("127.0.0.1:8000")?;
    machine.nginx_site(UNIT_SITE)?;
    machine.settle();
    Ok(())
}

fn shop(lab: &Lab, group: Option<&std::path::Path>) -> Result<(crate::Process, Nginx)> {
    let peer = lab.port()?;
    let how = Gunicorn { group, ..Gunicorn::default() };
    let gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &how)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    Ok((gunicorn, nginx))
}
