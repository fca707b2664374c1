//! The kernel killed the application's process for lack of memory.

use anyhow::Result;

use crate::{Expectation, Gunicorn, Lab, Nginx};

const PREMATURE: &str = "upstream prematurely closed connection while reading response header from upstream";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
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
    nginx.expect(2, "GET", "/memory", 502)?;
    nginx.expect(1, "GET", "/", 200)?;
    nginx.logged(&[PREMATURE, "GET /memory"])?;
    lab.written("gunicorn.log", "was terminated due to signal 9")?;
    let truth = Expectation::confirmed("application-killed-oom").also("application-crashed").times(2);
    lab.diagnose(&nginx, &[truth.naming("had reached its limit of 96 MiB").rules_out("keepalive-connection-stale")])
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

fn shop(lab: &Lab, group: Option<&std::path::Path>) -> Result<(crate::Process, Nginx)> {
    let peer = lab.port()?;
    let how = Gunicorn { group, ..Gunicorn::default() };
    let gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &how)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    Ok((gunicorn, nginx))
}
