//! The peer serves by name, and nginx does not say which.

use anyhow::Result;

use crate::{Expectation, Lab, Nginx};

const CAUSE: &str = "upstream-sni-missing";

/// An upstream of the peer's name, and nginx itself as the peer: it refuses whom it knows no name of.
const SITE: &str = "\
upstream app.internal {
    server 127.0.0.1:@peer;
}
server {
    listen @listen;
    location / {
        @more
        proxy_pass https://app.internal;
    }
}
server {
    listen 127.0.0.1:@peer ssl default_server;
    @default
}
server {
    listen 127.0.0.1:@peer ssl;
    server_name app.internal;
    ssl_certificate @certificate;
    ssl_certificate_key @key;
    return 200 ok;
}
";

fn site(lab: &Lab, more: &str, default: &str) -> Result<Nginx> {
    let (peer, made) = (lab.port()?, lab.certificate("app.internal")?);
    let values: &[(&str, &dyn std::fmt::Display)] = &[
        ("peer", &peer),
        ("more", &more),
        ("default", &default),
        ("certificate", &made.certificate.display()),
        ("key", &made.key.display()),
    ];
    let nginx = lab.nginx(SITE, values)?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    Ok(nginx)
}

/// The alert says it, and the fix mends it.
pub fn refused_without_a_name(lab: &Lab) -> Result<()> {
    let mut nginx = site(lab, "", "ssl_reject_handshake on;")?;
    nginx.logged(&["[crit]", "tlsv1 unrecognized name:SSL alert number 112) while SSL handshaking to upstream"])?;
    let truth = || Expectation::confirmed(CAUSE).also("upstream-tls-handshake-fails").naming("proxy_ssl_server_name");
    lab.diagnose(&nginx, &[truth()])?;
    lab.diagnose_with(&nginx, &["--handshake"], &[truth()])?;
    for (old, new) in lab.edits(&nginx)? {
        nginx.edit(&old, &new)?;
    }
    nginx.reload()?;
    nginx.expect(2, "GET", "/", 200)
}

/// node has no certificate for whom names nothing, and calls that a handshake failure: only a handshake tells.
pub fn refused_in_other_words(lab: &Lab) -> Result<()> {
    let (peer, made) = (lab.port()?, lab.certificate("app.internal")?);
    let script = format!(
        "const fs = require('fs'), tls = require('tls');\n\
         const context = tls.createSecureContext({{ key: fs.readFileSync('{}'), cert: fs.readFileSync('{}') }});\n\
         const options = {{ SNICallback: (name, done) => done(null, name === 'app.internal' ? context : undefined) }};\n\
         require('https').createServer(options, (request, response) => response.end('ok\\n')).listen(process.argv[2], '127.0.0.1');\n",
        made.key.display(),
        made.certificate.display()
    );
    let _node = lab.node(peer, &script)?;
    let site = "\
upstream app.internal {
    server 127.0.0.1:@peer;
}
server {
    listen @listen;
    location / {
        proxy_pass https://app.internal;
    }
}
";
    let nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["SSL alert number 40) while SSL handshaking to upstream"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("upstream-tls-handshake-fails").gate_tells(CAUSE)])?;
    let truth = Expectation::confirmed(CAUSE).also("upstream-tls-handshake-fails");
    lab.diagnose_with(&nginx, &["--handshake"], &[truth.naming("app.internal")])
}

/// Without a name another site's certificate is shown, which nginx does not accept.
pub fn another_certificate_without_a_name(lab: &Lab) -> Result<()> {
    let other = lab.certificate("other.internal")?;
    let default = format!(
        "ssl_certificate {}; ssl_certificate_key {}; return 404;",
        other.certificate.display(),
        other.key.display()
    );
    let more = format!("proxy_ssl_verify on; proxy_ssl_trusted_certificate {};", other.certificate.display());
    let nginx = site(lab, &more, &default)?;
    nginx.logged(&["upstream SSL certificate does not match \"app.internal\""])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("upstream-certificate-rejected").gate_tells(CAUSE)])?;
    let truth = Expectation::confirmed(CAUSE).also("upstream-certificate-rejected");
    lab.diagnose_with(&nginx, &["--handshake"], &[truth.naming("other.internal").needs_root()])
}

/// The look-alike: a name is sent, and it is another.
pub fn refused_with_the_wrong_name(lab: &Lab) -> Result<()> {
    let nginx = site(lab, "proxy_ssl_server_name on; proxy_ssl_name other.internal;", "ssl_reject_handshake on;")?;
    nginx.logged(&["SSL alert number 112) while SSL handshaking to upstream"])?;
    let truth = || Expectation::confirmed("upstream-tls-handshake-fails").rules_out(CAUSE);
    lab.diagnose(&nginx, &[truth()])?;
    lab.diagnose_with(&nginx, &["--handshake"], &[truth()])
}
