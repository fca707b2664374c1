//! The application refused the request for its size.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{Expectation, Lab, Pool};

const SITE: &str = "\
large_client_header_buffers 4 32k;
server {
    listen @listen;
    location / {
        include /etc/nginx/uwsgi_params;
        uwsgi_pass unix:@socket;
    }
}
";

const HTTP_SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://unix:@socket;
    }
}
";

/// uWSGI takes 4096 bytes of request header, a client sends a longer one, and uWSGI dates what it says of it.
pub fn longer_than_uwsgis_buffer(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock").display().to_string();
    let _uwsgi = lab.uwsgi(&socket, &["--log-date"])?;
    let nginx = lab.nginx(SITE, &[("socket", &socket)])?;
    nginx.expect(1, "GET", "/", 200)?;
    lab.settle();
    for _ in 0..3 {
        // A longer path would be cut out of nginx's own line, and its peer with it.
        let status = nginx.get_from("/", &"x".repeat(6000))?;
        ensure!(status == 502, "a long header gave {status}");
    }
    lab.settle();
    nginx.expect(1, "GET", "/", 200)?;
    lab.written("uwsgi.log", "invalid request block size: ")?;
    nginx.logged(&["while reading response header from upstream"])?;
    let truth = Expectation::confirmed("application-rejects-request").times(3);
    lab.diagnose(&nginx, &[truth.naming("(max 4096)").naming("set buffer-size = 8192").needs_root()])
}

/// php-fpm lets another address in than nginx's; it says so only where it takes down what its children say.
pub fn php_fpm_lets_another_address_in(lab: &Lab) -> Result<()> {
    let listen = format!("127.0.0.1:{}", lab.port()?);
    let extra = "listen.allowed_clients = 10.1.1.1\ncatch_workers_output = yes\n";
    let _php = lab.php_fpm(&Pool { name: "www", listen: &listen, extra })?;
    let site = "server { listen @listen; location / { include /etc/nginx/fastcgi_params; fastcgi_pass @peer; } }\n";
    let nginx = lab.nginx(site, &[("peer", &listen)])?;
    // The connection that waited for php-fpm to listen was dropped as well.
    sleep(Duration::from_secs(2));
    nginx.expect(3, "GET", "/", 502)?;
    lab.settle();
    // A connection is reset or closed, as the request comes before php-fpm has closed it or after.
    let log = nginx.log();
    let mut truths = Vec::new();
    for (failure, words) in [("connection-reset", "(104: Connection reset by peer)"), ("premature-close", "prematurely closed")] {
        let count = log.matches(words).count() as u64;
        if count > 0 {
            let truth = Expectation::confirmed("application-rejects-request").of_failure(failure).times(count);
            truths.push(truth.naming("drops connections from 127.0.0.1").naming("add 127.0.0.1 to listen.allowed_clients"));
        }
    }
    ensure!(!truths.is_empty(), "nothing failed as expected: {log}");
    lab.diagnose(&nginx, &truths)
}

/// The same words in uWSGI's log where nginx speaks HTTP to it: no buffer would be large enough.
pub fn http_to_a_uwsgi_socket(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock").display().to_string();
    let _uwsgi = lab.uwsgi(&socket, &[])?;
    let nginx = lab.nginx(HTTP_SITE, &[("socket", &socket)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 502)?;
    lab.written("uwsgi.log", "invalid request block size: 21573")?;
    lab.diagnose(&nginx, &[Expectation::at_most("peer-speaks-other-protocol")])
}

/// node and Unicorn are sent a header that is longer than they take: each answers so itself, and nginx passes it on.
pub fn others_answer_it_themselves(lab: &Lab) -> Result<()> {
    let (node, unicorn) = (lab.port()?, lab.port()?);
    let script = "require('http').createServer((q, r) => r.end('ok\\n')).listen(Number(process.argv[2]), '127.0.0.1');\n";
    let _node = lab.node(node, script)?;
    let _unicorn = lab.unicorn(unicorn, "unicorn.log")?;
    let nginx = lab.nginx("\
large_client_header_buffers 4 128k;
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@node;
    }
    location /unicorn {
        proxy_pass http://127.0.0.1:@unicorn;
    }
}
", &[("node", &node), ("unicorn", &unicorn)])?;
    lab.settle();
    for (path, size, meant) in [("/", 20_000, 431), ("/unicorn", 90_000, 400)] {
        let status = nginx.get_from(path, &"x".repeat(size))?;
        ensure!(status == meant, "a long header to {path} gave {status}");
    }
    lab.diagnose(&nginx, &[])
}
