//! The application listens on another unix socket than nginx dials.

use std::os::unix::net::UnixDatagram;

use anyhow::{Context as _, Result};

use crate::lab::set_mode;
use crate::{Expectation, Lab, Machine, Pool};

/// A log's socket, say, takes datagrams.
pub fn socket_of_datagrams(lab: &Lab) -> Result<()> {
    let socket = lab.path("log.sock");
    let _log = UnixDatagram::bind(&socket).context("bind a socket of datagrams")?;
    set_mode(&socket, 0o666)?;
    let site = "server { listen @listen; location / { proxy_pass http://unix:@socket; } }\n";
    let nginx = lab.nginx(site, &[("socket", &socket.display())])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["(91: Protocol wrong type for socket)"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("socket-path-mismatch").naming("datagrams")])
}

/// nginx dials PHP 8.1's socket; PHP 8.2 alone is installed, and runs. A container's 8.1 may be down as well.
pub fn another_php_version(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    dial_php81(&machine)?;
    let truth = Expectation::at_most("socket-path-mismatch").of_peer("unix:/run/php/php8.1-fpm.sock");
    machine.diagnose(&[truth.also("socket-missing")])
}

/// The unit was moved to another path and restarted: its journal says where it listened before.
pub fn unit_moved_to_another_path(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let unit = |socket: &str| {
        let gunicorn = format!("/usr/bin/gunicorn --chdir /srv/shop --bind unix:/run/app/{socket} shop:application");
        format!("[Service]\nRuntimeDirectory=app\nExecStart={gunicorn}\n")
    };
    machine.unit("app-gunicorn.service", &unit("old.sock"))?;
    machine.run("systemctl start app-gunicorn.service")?;
    machine.accepting("/run/app/old.sock")?;
    machine.nginx_site("server { listen 80; location / { proxy_pass http://unix:/run/app/old.sock; } }\n")?;
    machine.expect(2, "GET", "/", 200)?;
    machine.unit("app-gunicorn.service", &unit("new.sock"))?;
    machine.run("systemctl restart app-gunicorn.service")?;
    machine.accepting("/run/app/new.sock")?;
    machine.settle();
    machine.expect(4, "GET", "/", 502)?;
    machine.logged(&["connect() to unix:/run/app/old.sock failed (2: No such file or directory)"])?;
    let truth = Expectation::confirmed("socket-path-mismatch").of_peer("unix:/run/app/old.sock").also("socket-missing");
    machine.diagnose(&[truth.naming("app-gunicorn.service").naming("/run/app/new.sock")])
}

/// PHP 8.1 is installed beside it and does not run: its socket is the right one.
pub fn the_dialled_php_version_is_down(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    machine.run("cp /usr/sbin/php-fpm8.2 /usr/sbin/php-fpm8.1")?;
    dial_php81(&machine)?;
    let truth = Expectation::confirmed("socket-missing").of_peer("unix:/run/php/php8.1-fpm.sock");
    machine.diagnose(&[truth.never_naming("/run/php/php8.2-fpm.sock")])
}

fn dial_php81(machine: &Machine<'_>) -> Result<()> {
    machine.write("/srv/php/ok.php", "<?php echo \"ok\\n\";\n")?;
    machine.run("systemctl start php8.2-fpm.service")?;
    machine.accepting("/run/php/php8.2-fpm.sock")?;
    machine.nginx_site("\
server {
    listen 80;
    location / {
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME /srv/php$fastcgi_script_name;
        fastcgi_pass unix:/run/php/php8.1-fpm.sock;
    }
}
")?;
    machine.settle();
    machine.expect(4, "GET", "/ok.php", 502)?;
    machine.logged(&["[crit]", "connect() to unix:/run/php/php8.1-fpm.sock failed (2: No such file or directory)"])
}

/// The same paths, but php-fpm is none of the distribution's: nobody knows where the other version is kept.
pub fn php_from_elsewhere(lab: &Lab) -> Result<()> {
    let run = lab.directory("run")?;
    let listen = run.join("php8.2-fpm.sock").display().to_string();
    let _php = lab.php_fpm(&Pool { name: "www", listen: &listen, extra: "" })?;
    let socket = run.join("php8.1-fpm.sock").display().to_string();
    let site = "\
server {
    listen @listen;
    location / {
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME @php$fastcgi_script_name;
        fastcgi_pass unix:@socket;
    }
}
";
    let nginx = lab.nginx(site, &[("socket", &socket), ("php", &lab.path("php").display())])?;
    lab.settle();
    nginx.expect(4, "GET", "/ok.php", 502)?;
    nginx.logged(&["[crit]", &format!("connect() to unix:{socket} failed (2: No such file or directory)")])?;
    let truth = Expectation::confirmed("socket-missing").of_peer(format!("unix:{socket}"));
    lab.diagnose(&nginx, &[truth.never_naming(listen)])
}
