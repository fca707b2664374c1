//! The application listens on another unix socket than nginx dials.

use anyhow::Result;

use crate::{Expectation, Lab, Pool};

/// nginx dials PHP 8.1's socket, the pool is PHP 8.2's, in the same directory.
pub fn another_php_version(lab: &Lab) -> Result<()> {
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
    let truth = Expectation::confirmed("socket-path-mismatch").of_peer(format!("unix:{socket}"));
    lab.diagnose(&nginx, &[truth.also("socket-missing")])
}
