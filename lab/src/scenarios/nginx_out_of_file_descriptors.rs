//! nginx's worker has no file descriptor left.

use anyhow::{Result, ensure};

use crate::{Expectation, Lab};

const CAUSE: &str = "nginx-out-of-file-descriptors";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://@peer;
    }
}
";

/// `worker_rlimit_nofile` is lower than what a few clients take.
pub fn worker_rlimit_nofile_is_small(lab: &Lab) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["slow", "2"], &peer)?;
    let nginx = lab.nginx_setup().main("worker_rlimit_nofile 25;").start(SITE, &[("peer", &peer)])?;
    lab.settle();
    let failed = nginx.gathering(40, "/slow", 500)?;
    ensure!(failed > 0, "every client was served:\n{}", nginx.log());
    nginx.logged(&["[alert]", "socket() failed (24: Too many open files) while connecting to upstream", &peer])?;
    nginx.logged(&["[crit]", "accept4() failed (24: Too many open files)"])?;
    let truth = |peer: &str| Expectation::confirmed(CAUSE).of_peer(peer).naming("25").rules_out("nginx-out-of-worker-connections");
    lab.diagnose(&nginx, &[truth(&peer), truth("")])
}

/// nginx was reloaded since: whom the limit met is gone.
pub fn worker_was_replaced_since(lab: &Lab) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["slow", "2"], &peer)?;
    let mut nginx = lab.nginx_setup().main("worker_rlimit_nofile 25;").start(SITE, &[("peer", &peer)])?;
    lab.settle();
    let failed = nginx.gathering(40, "/slow", 500)?;
    ensure!(failed > 0, "every client was served:\n{}", nginx.log());
    nginx.logged(&["[alert]", "socket() failed (24: Too many open files) while connecting to upstream", &peer])?;
    nginx.logged(&["[crit]", "accept4() failed (24: Too many open files)"])?;
    lab.settle();
    nginx.reload()?;
    let truth = |peer: &str| Expectation::at_most(CAUSE).of_peer(peer);
    // Whom the limit kept from a connection to the application can be asked anew.
    lab.diagnose(&nginx, &[truth(&peer), truth("").over()])
}

/// The application cannot open a file and says so: nginx has enough.
pub fn an_application_has_no_descriptor_left(lab: &Lab) -> Result<()> {
    let socket = lab.path("php.sock").display().to_string();
    lab.directory("php")?;
    lab.file("php/full.php", "<?php for ($n = 0; $n < 400; $n++) { $files[] = fopen('/etc/passwd', 'r'); } posix_kill(posix_getpid(), 9);\n")?;
    let extra = "rlimit_files = 64\ncatch_workers_output = yes";
    let _fpm = lab.php_fpm(&crate::Pool { name: "shop", listen: &socket, extra })?;
    let site = "\
server {
    listen @listen;
    location / {
        fastcgi_pass unix:@socket;
        fastcgi_param SCRIPT_FILENAME @script;
        fastcgi_param REQUEST_METHOD $request_method;
    }
}
";
    let script = lab.path("php/full.php");
    let nginx = lab.nginx(site, &[("socket", &socket), ("script", &script.display())])?;
    lab.settle();
    nginx.expect(2, "GET", "/full.php", 502)?;
    nginx.logged(&["while reading response header from upstream"])?;
    let truth = Expectation::at_most("application-crashed").of_peer(format!("unix:{socket}"));
    lab.diagnose(&nginx, &[truth.rules_out(CAUSE)])
}
