//! The application sends a response header that nginx does not accept.

use anyhow::Result;

use crate::{Expectation, Lab, Pool};

const SITE: &str = "\
server {
    listen @listen;
    location / {
        include /etc/nginx/uwsgi_params;
        @pass;
    }
}
";

/// node answers every connection with these bytes, as JavaScript writes them.
fn node(bytes: &str, waits: bool) -> String {
    let answer = format!("socket.end('{bytes}')");
    let serve = if waits { format!("socket.once('data', () => {answer})") } else { answer };
    format!(
        "require('net').createServer(socket => {{ socket.on('error', () => {{}}); {serve}; }}).listen(process.argv[2], '127.0.0.1');\n"
    )
}

/// A control character within a header's name.
pub fn a_byte_that_may_not_stand_there(lab: &Lab) -> Result<()> {
    rejected(lab, "HTTP/1.1 200 OK\\r\\nX\\u0001Bad: a\\r\\nContent-Length: 3\\r\\n\\r\\nok\\n", "upstream sent invalid header")
}

/// A script that sets a header with a space in its name: php-fpm passes it on.
pub fn php_script_with_a_space_in_a_name(lab: &Lab) -> Result<()> {
    let socket = lab.path("php.sock");
    let listen = socket.display().to_string();
    let _php = lab.php_fpm(&Pool {
        name: "www",
        listen: &listen,
        extra: "",
    })?;
    lab.file(
        "php/bad.php",
        "<?php header('X Bad: a'); echo \"ok\\n\";\n",
    )?;
    let php = lab.path("php");
    let pass = format!(
        "include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME {}$uri; fastcgi_pass unix:{listen}",
        php.display()
    );
    let nginx = lab.nginx(SITE, &[("pass", &pass)])?;
    lab.settle();
    nginx.expect(1, "GET", "/ok.php", 200)?;
    nginx.expect(2, "GET", "/bad.php", 502)?;
    nginx.logged(&["[error]", "upstream sent invalid header: \"X\\x20"])?;
    let truth = Expectation::confirmed("response-header-invalid").times(2);
    lab.diagnose(&nginx, &[truth.rules_out("response-header-too-big")])
}

fn rejected(lab: &Lab, bytes: &str, message: &str) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, &node(bytes, true))?;
    let pass = format!("proxy_pass http://127.0.0.1:{peer}");
    let nginx = lab.nginx(SITE, &[("pass", &pass)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["[error]", message, "while reading response header from upstream"])?;
    let truth = Expectation::confirmed("response-header-invalid").times(3);
    lab.diagnose(&nginx, &[truth.rules_out("response-header-too-big")])
}

/// The same where only root may read what nginx is told.
pub fn where_users_may_not_read(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, &node("HTTP/1.1 200 OK\\r\\nX\\u0001Bad: a\\r\\n\\r\\n", true))?;
    let nginx = lab.nginx_setup().hidden().start(SITE, &[("pass", &format!("proxy_pass http://127.0.0.1:{peer}"))])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["[error]", "upstream sent invalid header"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("response-header-invalid").times(3).needs_root()])
}

/// What answers is no uwsgi application at all: its greeting looks like a bad header.
pub fn a_banner_in_place_of_a_response(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, &node("SSH-2.0-OpenSSH_9.2p1 Debian-2\\r\\n", false))?;
    let pass = format!("uwsgi_pass 127.0.0.1:{peer}");
    let nginx = lab.nginx(SITE, &[("pass", &pass)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 502)?;
    nginx.logged(&["[error]", "upstream sent invalid header: \"SSH-2.0"])?;
    lab.diagnose(&nginx, &[Expectation::undetermined().gate_tells("peer-speaks-other-protocol")])
}
