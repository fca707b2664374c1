//! nginx checks the peer's certificate, and does not accept it.

use anyhow::Result;

use crate::{Certified, Expectation, Lab, Nginx};

const CAUSE: &str = "upstream-certificate-rejected";

/// nginx itself is the peer.
const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_ssl_verify on;
        proxy_ssl_name app.internal;
        proxy_ssl_trusted_certificate @trusted;
        proxy_pass https://127.0.0.1:@peer;
    }
    @more
}
server {
    listen 127.0.0.1:@peer ssl;
    ssl_certificate @certificate;
    ssl_certificate_key @key;
    return 200 ok;
}
";

/// Serves one certificate where nginx trusts another.
fn site(lab: &Lab, served: &Certified, trusted: &Certified, more: &str) -> Result<Nginx> {
    let peer = lab.port()?;
    let more = more.replace("PEER", &peer.to_string());
    let values: &[(&str, &dyn std::fmt::Display)] = &[
        ("peer", &peer),
        ("trusted", &trusted.certificate.display()),
        ("certificate", &served.certificate.display()),
        ("key", &served.key.display()),
        ("more", &more),
    ];
    // Only root may read what nginx is told.
    let nginx = lab.nginx_setup().hidden().start(SITE, values)?;
    lab.settle();
    Ok(nginx)
}

fn rejected(lab: &Lab, nginx: &Nginx, message: &str, shown: &str) -> Result<()> {
    nginx.expect(3, "GET", "/", 502)?;
    nginx.logged(&["[error]", message, "while SSL handshaking to upstream"])?;
    let truth = || Expectation::confirmed(CAUSE).rules_out("upstream-tls-handshake-fails");
    lab.diagnose(nginx, &[truth().needs_root()])?;
    lab.diagnose_with(nginx, &["--handshake"], &[truth().naming(shown)])
}

/// Its time is over.
pub fn has_expired(lab: &Lab) -> Result<()> {
    let made = lab.expired_certificate("app.internal")?;
    let nginx = site(lab, &made, &made, "")?;
    rejected(lab, &nginx, "upstream SSL certificate verify error: (10:certificate has expired)", "to 2021-01-01")
}

/// It signed itself, and nginx trusts another.
pub fn signed_itself(lab: &Lab) -> Result<()> {
    let (served, trusted) = (lab.certificate("app.internal")?, lab.certificate("trusted.internal")?);
    let nginx = site(lab, &served, &trusted, "")?;
    rejected(lab, &nginx, "upstream SSL certificate verify error: (18:self-signed certificate)", "CN=app.internal")
}

/// It is for another name than nginx has for the peer.
pub fn is_for_another_name(lab: &Lab) -> Result<()> {
    let made = lab.certificate("other.internal")?;
    let nginx = site(lab, &made, &made, "")?;
    rejected(lab, &nginx, "upstream SSL certificate does not match \"app.internal\"", "certificate for other.internal")
}

/// The look-alike: the certificate is good, but another location's session was never checked, and is used again.
pub fn of_a_session_that_was_not_checked(lab: &Lab) -> Result<()> {
    let made = lab.certificate("app.internal")?;
    let nginx = site(lab, &made, &made, "location /unchecked { proxy_pass https://127.0.0.1:PEER; }")?;
    nginx.expect(2, "GET", "/unchecked", 200)?;
    nginx.expect(2, "GET", "/", 502)?;
    nginx.logged(&["upstream SSL certificate verify error: (18:self-signed certificate)"])?;
    lab.diagnose(&nginx, &[Expectation::undetermined()])?;
    lab.diagnose_with(&nginx, &["--handshake"], &[Expectation::undetermined()])
}
