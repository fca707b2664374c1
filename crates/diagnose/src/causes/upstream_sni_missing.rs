//! See the doc comment of [`UPSTREAM_SNI_MISSING`].

use facts::certificate::Certificate;
use facts::{Gap, Hello};
use log::error::Class;

use crate::case::{Case, Greeted, PeerName, TlsSettings, not_asked, tls_errors, verify_error};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx does not say which name it wants (SNI), and the peer serves by name.
    ///
    /// ## Confirmed when
    /// No name is sent by the directives in force, and the peer refuses the handshake with the alert `unrecognized name`
    /// (112); or, with `--handshake`, the peer refuses a handshake without the name and finishes one with it, or shows the
    /// right certificate only to the one with it.
    ///
    /// ## Ruled out when
    /// The failure is another one, or nginx sends a name.
    ///
    /// ## Fix
    /// `proxy_ssl_server_name on`, and `proxy_ssl_name` where the peer is dialled by another name or by an address.
    /// Unsafe: the peer may answer for another site then.
    ///
    /// ## Looks like
    /// `SSL_do_handshake() failed (SSL: error:0A000458:SSL routines::tlsv1 unrecognized name:SSL alert number 112) while SSL handshaking to upstream`
    ///
    /// ## See also
    /// `proxy_ssl_server_name` in nginx's documentation of `ngx_http_proxy_module`: it is off by default.
    pub(crate) static UPSTREAM_SNI_MISSING = {
        id: "upstream-sni-missing", since: "0.1.0", stage: Tls,
        refines: ["upstream-tls-handshake-fails", "upstream-certificate-rejected"],
        judge: Alone(judge),
    }
}

/// RFC 6066, 3.
const UNRECOGNIZED_NAME: u8 = 112;

/// Faults of a certificate (openssl/x509_vfy.h).
const NOT_YET_VALID: u32 = 9;
const EXPIRED: u32 = 10;
const SELF_SIGNED: u32 = 18;

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let is_handshake = incident.is(Class::TlsHandshake) || incident.is(Class::TlsHandshakeClosed);
    let is_certificate = incident.is(Class::TlsVerify) || incident.is(Class::TlsVerifyName);
    if !(is_handshake || is_certificate) {
        return Ok(Verdict::RuledOut(proof));
    }
    let settings = case.tls_settings(incident)?;
    let proof = proof
        .and(case.dialled_by(incident)?)
        .and(settings.exhibit("server_name"));
    if settings.sends_name {
        return Ok(Verdict::RuledOut(proof));
    }
    let errors = tls_errors(incident);
    let refused = errors.is_some_and(|errors| errors.iter().all(|error| error.alert == Some(UNRECOGNIZED_NAME)));
    if is_handshake && refused {
        let summary = "nginx sends no name in the TLS handshake, and the peer refuses one without (alert 112)";
        return Ok(confirmed(&settings, summary.to_owned(), proof, case.reload_steps(incident)?));
    }
    let missing = "whether the peer wants to be told a name";
    let PeerName::Name(name) = &settings.name else {
        return Err(Gap::undecided(missing, "which name it has is not known"));
    };
    let hello = |name: Option<&String>| Hello::Tls { name: name.cloned(), tls13: settings.offers_tls13() };
    let (without, with) = (case.greet(incident, hello(None)), case.greet(incident, hello(Some(name))));
    let (Ok(without), Ok(with)) = (&without, &with) else {
        let gap = without.err().or(with.err());
        return Err(gap.unwrap_or_else(|| not_asked(missing)));
    };
    case.answers_as_then(incident)?;
    let proof = proof.and(without.exhibit()).and(with.exhibit());
    let is_mended = if incident.is(Class::TlsVerify) {
        let Some((without, with)) = without.certificate().zip(with.certificate()) else {
            return Err(Gap::undecided(missing, "it shows no certificate"));
        };
        match of_the_default_alone(incident, case, &without, &with) {
            Some(is_mended) => is_mended,
            None => {
                return Err(Gap::undecided(missing, "whether nginx would trust the certificate that it shows for the name is not known")
                    .leaning(format!("the peer shows another certificate when it is told {name}: {}", with.subject)));
            }
        }
    } else if is_certificate {
        is_for(with, name) && !is_for(without, name)
    } else {
        with.is_finished() && without.is_refused()
    };
    if is_mended {
        let what = if is_certificate { "shows another certificate" } else { "refuses" };
        let summary = format!("nginx sends no name in the TLS handshake: without {name} the peer {what}");
        return Ok(confirmed(&settings, summary, proof, case.reload_steps(incident)?));
    }
    let is_right = incident.is(Class::TlsVerifyName) && is_for(without, name);
    if is_right || !is_certificate && without.is_finished() {
        return Ok(Verdict::RuledOut(proof));
    }
    Err(Gap::undecided(missing, format!("the name {name} makes no difference to it")))
}

/// Whether the logged fault is one of the certificate shown without a name, and not of the other; `None` where that cannot
/// be told from the two.
fn of_the_default_alone(incident: &Incident, case: &Case, without: &Certificate, with: &Certificate) -> Option<bool> {
    if without == with {
        return Some(false);
    }
    let now = case.now();
    match verify_error(incident)? {
        NOT_YET_VALID => Some(without.not_before > now && with.not_before <= now),
        EXPIRED => Some(without.not_after < now && with.not_after >= now),
        SELF_SIGNED => Some(without.is_self_issued() && !with.is_self_issued()),
        _ => None,
    }
}

fn is_for(greeted: &Greeted, name: &str) -> bool {
    greeted.certificate().is_some_and(|certificate| certificate.is_for(name))
}

fn confirmed(settings: &TlsSettings, summary: String, proof: Proof, reload: Vec<Step>) -> Verdict {
    let (on, directive) = (settings.directive("server_name"), settings.directive("name"));
    let named = match &settings.name {
        // What an upstream block is called is rarely what its servers serve.
        PeerName::Name(name) if name.contains('.') => Some(name),
        _ => None,
    };
    let fix = match named {
        Some(name) => {
            let mut steps = settings.set(&[("server_name", "on")]);
            steps.extend(reload);
            steps.push(Step::Advice { text: format!("where the peer serves another name than {name}, set {directive} to that") });
            Fix { summary: format!("send the name {name}"), safety: Safety::Unsafe, steps, verify: Some(AGAIN.to_owned()) }
        }
        None => Fix {
            summary: "send the name that the peer serves".to_owned(),
            safety: Safety::DisplayOnly,
            steps: vec![Step::Advice { text: format!("set {on} on, and {directive} to the name that the peer serves") }],
            verify: Some(AGAIN.to_owned()),
        },
    };
    Verdict::Confirmed(Confirmation { summary, proof, fixes: vec![fix] })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "upstream-sni-missing";
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { upstream app.internal { server 127.0.0.1:8443; }
        server { location / { proxy_pass https://app.internal; } } }
    ";
    const UNRECOGNIZED: &str = "
        //- failed 14:04:30 https://127.0.0.1:8443/ level=crit
        SSL_do_handshake() failed (SSL: error:0A000458:SSL routines::tlsv1 unrecognized name:SSL alert number 112) while SSL handshaking to upstream
    ";
    const FAILURE: &str = "
        //- failed 14:04:30 https://127.0.0.1:8443/
        SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::sslv3 alert handshake failure:SSL alert number 40) while SSL handshaking to upstream
    ";

    #[test]
    fn confirmed_by_the_alert() {
        assert_snapshot!(check(ID, [HOST, UNRECOGNIZED]), @"
        answer: upstream-sni-missing, ongoing
        confirmed: nginx sends no name in the TLS handshake, and the peer refuses one without (alert 112)
        - log 14:04:30 x1: SSL_do_handshake() failed (SSL: error:0A000458:SSL routines::tlsv1 unrecognized name:SSL alert number 112) while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:1: server 127.0.0.1:8443;
        - config: proxy_ssl_server_name is not set there: it is off
        fix, unsafe: send the name app.internal
          /etc/nginx/nginx.conf:2: proxy_pass https://app.internal; => proxy_pass https://app.internal;
        proxy_ssl_server_name on;
          $ nginx -t
          $ nginx -s reload
          where the peer serves another name than app.internal, set proxy_ssl_name to that
        ");
    }

    #[test]
    fn unknown_where_another_file_may_have_said_otherwise() {
        let told = check(ID, ["
            //- nginx start=13:00:00 workers=2900 workers-start=14:04:50
            //- file /etc/nginx/nginx.conf
            http { include tls.conf; server { location / { proxy_pass https://127.0.0.1:8443; } } }
            //- file /etc/nginx/tls.conf ctime=14:04:45
            proxy_ssl_verify off;
        ", UNRECOGNIZED]);
        assert!(told.contains("unknown: what stood in /etc/nginx/tls.conf when it failed"), "{told}");
    }

    #[test]
    fn confirmed_of_a_peer_that_is_dialled_by_its_address() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_ssl_server_name on; proxy_pass https://127.0.0.1:8443; } } }
        ", UNRECOGNIZED]), @"
        answer: upstream-sni-missing, ongoing
        confirmed: nginx sends no name in the TLS handshake, and the peer refuses one without (alert 112)
        - log 14:04:30 x1: SSL_do_handshake() failed (SSL: error:0A000458:SSL routines::tlsv1 unrecognized name:SSL alert number 112) while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass https://127.0.0.1:8443;
        - config /etc/nginx/nginx.conf:1: proxy_ssl_server_name on;
        fix, shown: send the name that the peer serves
          set proxy_ssl_server_name on, and proxy_ssl_name to the name that the peer serves
        ");
    }

    #[test]
    fn confirmed_by_a_handshake_with_and_one_without_the_name() {
        assert_snapshot!(check(ID, [HOST, FAILURE, "
            //- options handshake
            //- handshake 127.0.0.1:8443 tls1.2
            received 15030300020228
            alert 40
            //- handshake 127.0.0.1:8443 tls1.2 app.internal
            received 160303007a
            tls version=TLSv1.2 suite=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        "]), @"
        answer: upstream-sni-missing, ongoing
        confirmed: nginx sends no name in the TLS handshake: without app.internal the peer refuses
        - log 14:04:30 x1: SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::sslv3 alert handshake failure:SSL alert number 40) while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:1: server 127.0.0.1:8443;
        - config: proxy_ssl_server_name is not set there: it is off
        - handshake 14:05:00: TLS 1.2 handshake without a name: refused with alert 40 (handshake failure)
        - handshake 14:05:00: TLS 1.2 handshake with the name app.internal: finished in TLSv1.2
        fix, unsafe: send the name app.internal
          /etc/nginx/nginx.conf:2: proxy_pass https://app.internal; => proxy_pass https://app.internal;
        proxy_ssl_server_name on;
          $ nginx -t
          $ nginx -s reload
          where the peer serves another name than app.internal, set proxy_ssl_name to that
        ");
    }

    #[test]
    fn ruled_out_where_a_name_is_sent() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream app.internal { server 127.0.0.1:8443; }
            server { proxy_ssl_server_name on; location / { proxy_pass https://app.internal; } } }
        ", UNRECOGNIZED]), @"
        answer: upstream-tls-handshake-fails, ongoing
        ruled out
        - log 14:04:30 x1: SSL_do_handshake() failed (SSL: error:0A000458:SSL routines::tlsv1 unrecognized name:SSL alert number 112) while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:1: server 127.0.0.1:8443;
        - config /etc/nginx/nginx.conf:2: proxy_ssl_server_name on;
        ");
    }

    #[test]
    fn ruled_out_where_a_handshake_without_it_is_finished() {
        assert_snapshot!(check(ID, [HOST, FAILURE, "
            //- options handshake
            //- handshake 127.0.0.1:8443 tls1.2
            received 160303007a
            tls version=TLSv1.2 suite=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            //- handshake 127.0.0.1:8443 tls1.2 app.internal
            received 160303007a
            tls version=TLSv1.2 suite=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        "]), @"
        answer: upstream-tls-handshake-fails, ongoing
        ruled out
        - log 14:04:30 x1: SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::sslv3 alert handshake failure:SSL alert number 40) while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:1: server 127.0.0.1:8443;
        - config: proxy_ssl_server_name is not set there: it is off
        - handshake 14:05:00: TLS 1.2 handshake without a name: finished in TLSv1.2
        - handshake 14:05:00: TLS 1.2 handshake with the name app.internal: finished in TLSv1.2
        ");
    }

    #[test]
    fn unknown_without_an_experiment() {
        assert_snapshot!(check(ID, [HOST, FAILURE]), @"
        answer: upstream-tls-handshake-fails, ongoing
        unknown: what 127.0.0.1:8443 answers: protocol handshakes are sent only when asked for
        learn: why502 --handshake
        ");
    }

    #[test]
    fn unknown_where_the_name_makes_no_difference() {
        assert_snapshot!(check(ID, [HOST, FAILURE, "
            //- options handshake
            //- handshake 127.0.0.1:8443 tls1.2
            received 15030300020228
            alert 40
            //- handshake 127.0.0.1:8443 tls1.2 app.internal
            received 15030300020228
            alert 40
        "]), @"
        answer: upstream-tls-handshake-fails, ongoing
        unknown: whether the peer wants to be told a name: the name app.internal makes no difference to it
        ");
    }

    #[test]
    fn unknown_where_the_file_changed_since() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf ctime=14:00:00
            http { server { location / { proxy_pass https://127.0.0.1:8443; } } }
        ", UNRECOGNIZED]), @"
        answer: none, ongoing
        unknown: how nginx speaks TLS to this peer: a file has changed since the workers started
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 https://127.0.0.1:8443/
            upstream sent too big header while reading response header from upstream
        "]), @"
        answer: response-header-too-big, ongoing
        ruled out
        - log 14:04:30 x1: upstream sent too big header while reading response header from upstream
        ");
    }
}
