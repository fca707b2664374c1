//! A fix that does not help, or that must not be made: everything is as it was.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::mended::{MANY_COOKIES, SITE};
use crate::Lab;

/// The very fix would be right, but the application dies while it is made.
pub fn the_application_dies_of_it(lab: &Lab) -> Result<()> {
    let (peer, other) = (lab.port()?, format!("127.0.0.1:{}", lab.port()?));
    let node = lab.node(peer, MANY_COOKIES)?;
    let _application = lab.application(&["ok"], &other)?;
    let site = SITE.replace(
        "location /",
        "location /other {\n        proxy_pass http://@other;\n    }\n    location /",
    );
    let nginx = lab.nginx(
        &site,
        &[("peer", &format!("127.0.0.1:{peer}")), ("other", &other)],
    )?;
    nginx.expect(2, "GET", "/", 502)?;
    let file = nginx.site();
    let before = fs::read(&file)?;
    let is_over = AtomicBool::new(false);
    let application = Pid::from_raw(i32::try_from(node.pid())?).context("node has no number")?;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if fs::read(&file).is_ok_and(|now| now != before) {
                    kill_process(application, Signal::KILL).ok();
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let done = lab.takes_back(&nginx, &[&file, &nginx.config()], ("/other", 200));
        is_over.store(true, Ordering::Relaxed);
        done
    })
}

/// With a resolver nginx asks for a name that nobody knows: the failure stays.
pub fn a_name_that_nobody_knows(lab: &Lab) -> Result<()> {
    let name = format!("{}.invalid", lab.unique("shop"));
    let other = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["ok"], &other)?;
    let site = "\
server {
    listen @listen;
    location / {
        set $shop @name;
        proxy_pass http://$shop:8000;
    }
    location /other {
        proxy_pass http://@other;
    }
}
";
    let nginx = lab.nginx(site, &[("name", &name), ("other", &other)])?;
    nginx.expect(2, "GET", "/", 502)?;
    let file = nginx.site();
    lab.takes_back(&nginx, &[&file, &nginx.config()], ("/other", 200))
}

/// A file beside it is broken, so nginx would refuse the whole: nothing is written.
pub fn nginx_refuses_it(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, MANY_COOKIES)?;
    let nginx = lab.nginx(SITE, &[("peer", &format!("127.0.0.1:{peer}"))])?;
    nginx.expect(2, "GET", "/", 502)?;
    let file = nginx.site();
    let broken = file.with_file_name("broken.conf");
    fs::write(&broken, "no_such_directive on;\n")?;
    let before = fs::read(&file)?;
    let report = lab.leaves_alone(&nginx)?;
    ensure!(
        fs::read(&file)? == before,
        "the file was changed:\n{report:#}"
    );
    nginx.expect(1, "GET", "/", 502)
}

/// The file has a second name, which would come to differ: it is not written.
pub fn the_file_has_two_names(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, MANY_COOKIES)?;
    let mut nginx = lab.nginx(SITE, &[("peer", &format!("127.0.0.1:{peer}"))])?;
    let file = nginx.site();
    let second = lab.path("second-name");
    fs::hard_link(&file, &second)?;
    lab.settle();
    nginx.reload()?;
    lab.settle();
    nginx.expect(2, "GET", "/", 502)?;
    let before = fs::read(&file)?;
    let report = lab.repaired(&nginx, "not-applicable", 1)?;
    ensure!(report.to_string().contains("hard links"), "{report:#}");
    ensure!(fs::read(&second)? == before, "the file was changed");
    Ok(())
}

/// Somebody has edited the file since it was mended: `--undo` does not write that over.
pub fn edited_since_by_somebody(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, MANY_COOKIES)?;
    let nginx = lab.nginx(SITE, &[("peer", &format!("127.0.0.1:{peer}"))])?;
    nginx.expect(2, "GET", "/", 502)?;
    lab.repaired(&nginx, "fixed", 0)?;
    let file = nginx.site();
    let edited = fs::read_to_string(&file)? + "# mine\n";
    fs::write(&file, &edited)?;
    let (outcome, report) = lab.undone(&nginx)?;
    ensure!(outcome == "stuck", "{outcome}:\n{report:#}");
    ensure!(
        fs::read_to_string(&file)? == edited,
        "an edit was written over"
    );
    // Once the edit is taken away, the rest goes back as well.
    fs::write(&file, edited.replace("# mine\n", ""))?;
    let (outcome, report) = lab.resumed(&nginx)?;
    ensure!(outcome == "undone", "{outcome}:\n{report:#}");
    ensure!(
        !fs::read_to_string(&file)?.contains("proxy_buffer_size"),
        "the file was not put back"
    );
    nginx.expect(2, "GET", "/", 502)
}
