//! nginx and the peer do not agree on how to speak TLS.

use anyhow::Result;

use crate::{Expectation, Lab, Nginx, Process};

const CAUSE: &str = "upstream-tls-handshake-fails";

const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass https://127.0.0.1:@peer;
    }
}
";

/// node speaks TLS with these options, beside its certificate; only root may read what nginx is told.
fn start(lab: &Lab, options: &str) -> Result<(Process, Nginx)> {
    let (peer, made) = (lab.port()?, lab.certificate("app.internal")?);
    let script = format!(
        "const fs = require('fs');\n\
         const options = {{ key: fs.readFileSync('{}'), cert: fs.readFileSync('{}'), {options} }};\n\
         require('https').createServer(options, (request, response) => response.end('ok\\n')).listen(process.argv[2], '127.0.0.1');\n",
        made.key.display(),
        made.certificate.display()
    );
    let node = lab.node(peer, &script)?;
    let nginx = lab.nginx_setup().hidden().start(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    Ok((node, nginx))
}

/// nginx 1.22 offers no TLS 1.3 to peers.
pub fn peer_wants_tls13(lab: &Lab) -> Result<()> {
    let (_node, mut nginx) = start(lab, "minVersion: 'TLSv1.3'")?;
    nginx.logged(&["tlsv1 alert protocol version:SSL alert number 70) while SSL handshaking to upstream"])?;
    let truth = || Expectation::confirmed(CAUSE).naming("proxy_ssl_protocols").rules_out("peer-speaks-other-protocol");
    lab.diagnose(&nginx, &[truth()])?;
    lab.diagnose_with(&nginx, &["--handshake"], &[truth().naming("TLSv1.3")])?;
    for (old, new) in lab.edits(&nginx)? {
        nginx.edit(&old, &new)?;
    }
    nginx.reload()?;
    nginx.expect(2, "GET", "/", 200)
}

/// A cipher that needs a key of another kind: none is left.
pub fn peer_shares_no_cipher(lab: &Lab) -> Result<()> {
    let (_node, nginx) = start(lab, "maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256'")?;
    nginx.logged(&["SSL alert number 40) while SSL handshaking to upstream"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).needs_root()])?;
    lab.diagnose_with(&nginx, &["--handshake"], &[Expectation::confirmed(CAUSE)])
}

/// It closes at the first byte: it may be anything.
pub fn peer_closes(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let script = "require('net').createServer(socket => { socket.on('error', () => {}); socket.once('data', () => socket.end()); })\
                  .listen(process.argv[2], '127.0.0.1');\n";
    let _node = lab.node(peer, script)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 502)?;
    nginx.logged(&["peer closed connection in SSL handshake"])?;
    lab.diagnose(&nginx, &[Expectation::undetermined()])?;
    lab.diagnose_with(&nginx, &["--handshake"], &[Expectation::undetermined()])
}
