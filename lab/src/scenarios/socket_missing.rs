//! The unix socket nginx dials is not there.

use std::os::unix::fs::symlink;

use anyhow::Result;

use crate::lab::set_mode;
use crate::{Expectation, Lab};

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://unix:@socket;
    }
}
";

/// Its directory is there, the file is not.
pub fn file_is_missing(lab: &Lab) -> Result<()> {
    lab.directory("run")?;
    missing(lab, "run/shop.sock")
}

/// Not even its directory is there.
pub fn directory_is_missing(lab: &Lab) -> Result<()> {
    missing(lab, "run/shop/shop.sock")
}

/// A URI follows the socket's path, and the colon between them is missing.
pub fn uri_without_a_colon(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    set_mode(&socket, 0o666)?;
    let mut nginx = lab.nginx(SITE, &[("socket", &format!("{}/api", socket.display()))])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&[&format!("connect() to unix:{}/api failed (20: Not a directory)", socket.display())])?;
    let truth = Expectation::confirmed("socket-missing").naming("is a socket, no directory");
    lab.diagnose(&nginx, &[truth.naming(format!("{}:/api", socket.display()))])?;
    for (old, new) in lab.edits(&nginx)? {
        nginx.edit(&old, &new)?;
    }
    nginx.reload()?;
    nginx.expect(2, "GET", "/", 200)
}

/// Two symbolic links lead to each other.
pub fn links_lead_in_a_circle(lab: &Lab) -> Result<()> {
    let (one, other) = (lab.path("shop.sock"), lab.path("other.sock"));
    symlink(&other, &one)?;
    symlink(&one, &other)?;
    let nginx = lab.nginx(SITE, &[("socket", &one.display())])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["(40: Too many levels of symbolic links)"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("socket-missing").naming("circle")])
}

fn missing(lab: &Lab, name: &str) -> Result<()> {
    let socket = lab.path(name);
    let nginx = lab.nginx(SITE, &[("socket", &socket.display())])?;
    lab.settle();
    nginx.expect(4, "GET", "/", 502)?;
    let line = format!("connect() to unix:{} failed (2: No such file or directory)", socket.display());
    nginx.logged(&["[crit]", &line])?;
    let truth = Expectation::confirmed("socket-missing").of_peer(format!("unix:{}", socket.display()));
    lab.diagnose(&nginx, &[truth.rules_out("socket-permission-denied").rules_out("socket-stale").needs_root()])
}

/// php-fpm's service is stopped and its socket went with it: its pool file says whose it is.
pub fn php_service_is_stopped(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let socket = "/run/php/php8.2-fpm.sock";
    machine.write("/srv/php/ok.php", "<?php echo \"ok\\n\";\n")?;
    machine.run("systemctl start php8.2-fpm.service")?;
    machine.accepting(socket)?;
    machine.nginx_site("\
server {
    listen 80;
    root /srv/php;
    location ~ [.]php$ {
        include snippets/fastcgi-php.conf;
        fastcgi_pass unix:/run/php/php8.2-fpm.sock;
    }
}
")?;
    machine.expect(2, "GET", "/ok.php", 200)?;
    machine.run("systemctl stop php8.2-fpm.service")?;
    machine.settle();
    machine.expect(4, "GET", "/ok.php", 502)?;
    machine.logged(&["[crit]", &format!("connect() to unix:{socket} failed (2: No such file or directory)")])?;
    let truth = Expectation::confirmed("socket-missing").of_peer(format!("unix:{socket}")).times(4);
    let truth = truth.naming("php8.2-fpm.service").naming("/etc/php/8.2/fpm/pool.d/www.conf");
    machine.diagnose(&[truth.fixed_by(&["systemctl", "start", "php8.2-fpm.service"])])
}
