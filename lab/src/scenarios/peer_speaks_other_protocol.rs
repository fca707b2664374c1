//! nginx speaks one protocol to the peer, and the peer another.

use anyhow::Result;

use crate::{Certified, Expectation, Gunicorn, Lab, Nginx, Pool, Process};

const CAUSE: &str = "peer-speaks-other-protocol";
const WRONG_VERSION: &str = "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        fastcgi_read_timeout 1s;
        @pass;
    }
}
";

fn site(lab: &Lab, pass: &str) -> Result<Nginx> {
    let nginx = lab.nginx(SITE, &[("pass", &pass)])?;
    lab.settle();
    Ok(nginx)
}

fn tls_server(made: &Certified) -> String {
    format!(
        "const fs = require('fs');\nconst options = {{ key: fs.readFileSync('{}'), cert: fs.readFileSync('{}') }};\n\
         require('https').createServer(options, (request, response) => response.end('ok\\n')).listen(process.argv[2], '127.0.0.1');\n",
        made.key.display(),
        made.certificate.display()
    )
}

/// uvicorn without a certificate: its command line tells. Plain HTTP mends it.
pub fn https_to_uvicorn(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _uvicorn = lab.uvicorn(peer, 5)?;
    let mut nginx = site(lab, &format!("proxy_pass https://127.0.0.1:{peer}"))?;
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&[WRONG_VERSION])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).times(3).naming("uvicorn")])?;
    for (old, new) in lab.edits(&nginx)? {
        nginx.edit(&old, &new)?;
    }
    nginx.reload()?;
    nginx.expect(2, "GET", "/", 200)
}

/// A program whose command line tells nothing: only a handshake does.
pub fn https_to_an_unknown_program(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let script = "require('http').createServer((request, response) => response.end('ok\\n')).listen(process.argv[2], '127.0.0.1');\n";
    let _node = lab.node(peer, script)?;
    let nginx = site(lab, &format!("proxy_pass https://127.0.0.1:{peer}"))?;
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&[WRONG_VERSION])?;
    lab.diagnose(&nginx, &[Expectation::undetermined().gate_tells(CAUSE)])?;
    lab.diagnose_with(&nginx, &["--handshake"], &[Expectation::confirmed(CAUSE).naming("HTTP/1")])
}

/// node speaks TLS, and has closed the connections of an nginx that does not.
fn closed_by_a_tls_server(lab: &Lab) -> Result<(Process, Nginx)> {
    let peer = lab.port()?;
    let made = lab.certificate("app.internal")?;
    let node = lab.node(peer, &tls_server(&made))?;
    let nginx = site(lab, &format!("proxy_pass http://127.0.0.1:{peer}"))?;
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["upstream prematurely closed connection while reading response header from upstream"])?;
    Ok((node, nginx))
}

/// node speaks TLS, nginx does not: it sees a connection that is closed.
pub fn http_to_tls(lab: &Lab) -> Result<()> {
    let (_node, mut nginx) = closed_by_a_tls_server(lab)?;
    lab.diagnose(&nginx, &[Expectation::undetermined().gate_tells(CAUSE)])?;
    let truth = Expectation::confirmed(CAUSE).naming("app.internal").naming("https://");
    lab.diagnose_with(&nginx, &["--handshake"], &[truth])?;
    nginx.edit("http://", "https://")?;
    nginx.reload()?;
    nginx.expect(2, "GET", "/", 200)
}

/// The look-alike of a failure that goes on: nginx speaks TLS to it since, and other paths are answered.
pub fn http_to_tls_was_mended(lab: &Lab) -> Result<()> {
    let (_node, mut nginx) = closed_by_a_tls_server(lab)?;
    lab.settle();
    nginx.edit("http://", "https://")?;
    nginx.reload()?;
    lab.settle();
    nginx.expect(1, "GET", "/other", 200)?;
    lab.diagnose(&nginx, &[Expectation::undetermined().over()])
}

/// It speaks HTTP/2 alone and closes where another preface comes, as servers of gRPC do.
pub fn http_to_http2(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let script = "const http2 = require('http2').createServer((request, response) => response.end('ok\\n'));\n\
         require('net').createServer(socket => {\n    socket.on('error', () => {});\n    socket.once('data', data => {\n        \
             if (data.toString('latin1').startsWith('PRI * HTTP/2.0')) { socket.pause(); socket.unshift(data); http2.emit('connection', socket); }\n        \
             else { socket.end(); }\n    });\n}).listen(process.argv[2], '127.0.0.1');\n";
    let _node = lab.node(peer, script)?;
    let nginx = site(lab, &format!("proxy_pass http://127.0.0.1:{peer}"))?;
    nginx.expect(3, "GET", "/", 502)?;
    lab.diagnose(&nginx, &[Expectation::undetermined().gate_tells(CAUSE)])?;
    lab.diagnose_with(&nginx, &["--handshake"], &[Expectation::confirmed(CAUSE).naming("HTTP/2").naming("grpc_pass")])
}

/// php-fpm speaks FastCGI and nothing else.
pub fn http_to_php_fpm(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let listen = format!("127.0.0.1:{peer}");
    let _php = lab.php_fpm(&Pool { name: "www", listen: &listen, extra: "" })?;
    let nginx = site(lab, &format!("proxy_pass http://{listen}"))?;
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["(104: Connection reset by peer) while reading response header from upstream"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("fastcgi_pass").needs_root()])
}

/// uWSGI on a socket of its own protocol.
pub fn http_to_uwsgi(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _uwsgi = lab.uwsgi(&format!("127.0.0.1:{peer}"), &[])?;
    let nginx = site(lab, &format!("proxy_pass http://127.0.0.1:{peer}"))?;
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["upstream prematurely closed connection while reading response header from upstream"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("uwsgi_pass")])?;
    lab.diagnose_with(&nginx, &["--handshake"], &[Expectation::confirmed(CAUSE)])
}

/// gunicorn waits for the end of a line that never comes.
pub fn fastcgi_to_gunicorn(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let nginx = site(lab, &format!("include /etc/nginx/fastcgi_params; fastcgi_pass 127.0.0.1:{peer}"))?;
    nginx.expect(2, "GET", "/", 504)?;
    nginx.logged(&["upstream timed out (110: Connection timed out) while reading response header from upstream"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("HTTP/1")])
}

/// A banner where a FastCGI record should be.
pub fn fastcgi_to_ssh(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let script = "require('net').createServer(socket => { socket.on('error', () => {}); socket.end('SSH-2.0-OpenSSH_9.2p1\\r\\n'); })\
                  .listen(process.argv[2], '127.0.0.1');\n";
    let _node = lab.node(peer, script)?;
    let nginx = site(lab, &format!("fastcgi_pass 127.0.0.1:{peer}"))?;
    nginx.expect(2, "GET", "/", 502)?;
    nginx.logged(&["upstream sent unsupported FastCGI protocol version: 83"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("SSH")])
}

/// HTTP/1 where HTTP/2 should be.
pub fn grpc_to_http(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{peer}"), &Gunicorn::default())?;
    let nginx = site(lab, &format!("grpc_pass grpc://127.0.0.1:{peer}"))?;
    nginx.expect(2, "GET", "/", 502)?;
    nginx.logged(&["upstream sent too large http2 frame: 4740180"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming("HTTP/1")])
}

/// The look-alike of TLS that meets plain HTTP: it is TLS, and closes on every second connection.
pub fn tls_that_closes(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let made = lab.certificate("app.internal")?;
    let script = format!(
        "const fs = require('fs');\nconst options = {{ key: fs.readFileSync('{}'), cert: fs.readFileSync('{}') }};\n\
         const https = require('https').createServer(options, (request, response) => response.end('ok\\n'));\n\
         let closes = 3;\n\
         require('net').createServer(socket => {{\n    socket.on('error', () => {{}});\n    \
             if (closes > 0) {{ socket.once('data', () => {{ closes -= 1; socket.end(); }}); }} else {{ https.emit('connection', socket); }}\n\
         }}).listen(process.argv[2], '127.0.0.1');\n",
        made.key.display(),
        made.certificate.display()
    );
    let _node = lab.node(peer, &script)?;
    let nginx = site(lab, &format!("proxy_pass https://127.0.0.1:{peer}"))?;
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["peer closed connection in SSL handshake"])?;
    lab.diagnose(&nginx, &[Expectation::undetermined()])?;
    lab.diagnose_with(&nginx, &["--handshake"], &[Expectation::undetermined().rules_out(CAUSE)])
}
