//! All children that a php-fpm pool may have are busy.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process::until;
use crate::{Expectation, Lab, Nginx, Pool, Process, client};

const FULL: &str = "failed (11: Resource temporarily unavailable) while connecting to upstream";
const TIMED_OUT: &str = "upstream timed out (110: Connection timed out) while reading response header from upstream";

/// As long as a client stays that does not wait for its answer.
const GLANCE: Duration = Duration::from_millis(200);

const DYNAMIC: &str = "\
pm = dynamic
pm.max_children = 1
pm.start_servers = 1
pm.min_spare_servers = 1
pm.max_spare_servers = 1
listen.backlog = 1
";

/// Two children, both busy; two connections wait where one may, and the next are turned away. The log says nothing.
pub fn static_pool_with_a_full_queue(lab: &Lab) -> Result<()> {
    let (_php, nginx) = pool(lab, "listen.backlog = 1", 60)?;
    for _ in 0..4 {
        nginx.abandon("/hold.php", GLANCE)?;
    }
    nginx.expect(3, "GET", "/ok.php", 502)?;
    nginx.logged(&[FULL])?;
    let truth = truth(lab).naming("all 2 children of the php-fpm pool www are busy");
    lab.diagnose(&nginx, &[truth.also("accept-queue-full").rules_out("application-slow").needs_root()])
}

/// One child at most, and php-fpm's log said so in the failing seconds; it is over.
pub fn dynamic_pool_that_said_so(lab: &Lab) -> Result<()> {
    let (_php, nginx) = pool(lab, DYNAMIC, 60)?;
    for _ in 0..3 {
        nginx.abandon("/soon.php", GLANCE)?;
    }
    lab.written("php-fpm.log", "server reached pm.max_children setting (1)")?;
    nginx.expect(3, "GET", "/ok.php", 502)?;
    nginx.logged(&[FULL])?;
    let answers = until(Duration::from_secs(20), || nginx.get("/ok.php").ok().filter(|&status| status == 200));
    answers.context("the queue does not empty")?;
    let truth = truth(lab).naming("server reached pm.max_children").over();
    lab.diagnose(&nginx, &[truth.also("accept-queue-full")])
}

/// Six requests at once for two children: four of them wait until nginx gives up.
pub fn more_requests_than_children(lab: &Lab) -> Result<()> {
    let (_php, nginx) = pool(lab, "", 2)?;
    let port = nginx.port();
    let clients: Vec<_> = (0..6).map(|_| thread::spawn(move || client::request(port, "GET", "/hold.php"))).collect();
    for client in clients {
        let status = client.join().ok().context("a client failed")??;
        ensure!(status == 504, "a client got {status}");
    }
    nginx.logged_times(6, &[TIMED_OUT, "GET /hold.php"])?;
    let truth = truth(lab).times(6).naming("requests waited for an answer at one time");
    lab.diagnose(&nginx, &[truth.also("application-slow")])
}

/// One page is slow, and the other child is free: more children would not help.
pub fn slow_page_with_a_child_to_spare(lab: &Lab) -> Result<()> {
    let (_php, nginx) = pool(lab, "", 1)?;
    nginx.expect(1, "GET", "/soon.php", 504)?;
    nginx.logged(&[TIMED_OUT, "GET /soon.php"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-slow").rules_out("accept-queue-full")])
}

fn pool(lab: &Lab, extra: &str, read_timeout: u32) -> Result<(Process, Nginx)> {
    let socket = lab.path("php8.2-fpm.sock").display().to_string();
    let php = lab.php_fpm(&Pool { name: "www", listen: &socket, extra })?;
    lab.file("php/hold.php", "<?php sleep(40); echo \"ok\\n\";\n")?;
    lab.file("php/soon.php", "<?php sleep(3); echo \"ok\\n\";\n")?;
    let site = "\
server {
    listen @listen;
    location / {
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME @php$fastcgi_script_name;
        fastcgi_read_timeout @read_timeout;
        fastcgi_pass unix:@socket;
    }
}
";
    let nginx =
        lab.nginx(site, &[("socket", &socket), ("php", &lab.path("php").display()), ("read_timeout", &read_timeout)])?;
    lab.settle();
    Ok((php, nginx))
}

fn truth(lab: &Lab) -> Expectation {
    let socket = lab.path("php8.2-fpm.sock");
    Expectation::confirmed("fpm-children-exhausted").of_peer(format!("unix:{}", socket.display()))
}
