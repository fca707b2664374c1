//! See the doc comment of [`UPSTREAM_CERTIFICATE_REJECTED`].

use facts::certificate::Certificate;
use facts::{Gap, Hello};
use log::error::Class;

use crate::case::{Case, Greeted, PeerName, TlsSettings, known, verify_error};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx checks the peer's certificate, and does not accept it.
    ///
    /// ## Confirmed when
    /// nginx says so, of a peer that the configuration dials, and the directives in force there have it check.
    /// With `--handshake` the certificate is shown.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// By what nginx found: renew the certificate, trust who signed it (`proxy_ssl_trusted_certificate`), or expect the name
    /// it is for (`proxy_ssl_name`).
    /// Shown only: switching the check off is no fix.
    ///
    /// ## Looks like
    /// `upstream SSL certificate verify error: (10:certificate has expired) while SSL handshaking to upstream`
    ///
    /// ## See also
    /// `upstream-sni-missing`: the peer shows another certificate to whom names no site.
    pub(crate) static UPSTREAM_CERTIFICATE_REJECTED = {
        id: "upstream-certificate-rejected", since: "0.1.0", stage: Tls, refines: [],
        judge: Alone(judge),
    }
}

/// What is wrong with it.
enum Found {
    Expired,
    NotYetValid,
    UnknownSigner,
    Other,
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::TlsVerify) || incident.is(Class::TlsVerifyName)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let settings = case.tls_settings(incident)?;
    if !settings.verifies {
        return Err(Gap::undecided("why nginx checked the certificate", "the configuration on disk does not have it check"));
    }
    let name = match &settings.name {
        PeerName::Name(name) if settings.sends_name => Some(name.clone()),
        _ => None,
    };
    let shown = known(case.greet(incident, Hello::Tls { name, tls13: settings.offers_tls13() }))?;
    if let Some(gap) = shown.as_ref().and_then(Greeted::certificate).and_then(|shown| is_another_now(incident, case, &settings, &shown)) {
        return Err(gap);
    }
    let reuse = settings.directive("session_reuse");
    let by_session = |other: &str| {
        Gap::undecided(
            "whether nginx checked the certificate itself",
            format!("another location dials the same peer {other}, and {reuse} is on: it may be that one's session"),
        )
        .leaning(format!("set {reuse} off: what nginx found of a certificate is remembered with the session"))
    };
    // What nginx rejects may be the verdict of a session that another location made.
    if settings.shares_unchecked_sessions(incident) {
        return Err(by_session("without a check"));
    }
    if incident.is(Class::TlsVerifyName) && settings.shares_sessions_of_other_names(incident) {
        return Err(by_session("by another name"));
    }
    let proof = proof
        .and(case.dialled_by(incident)?)
        .and(settings.exhibit("verify"))
        .with(shown.map(|shown| shown.exhibit()));
    if incident.is(Class::TlsVerifyName) {
        let expected = match &settings.name {
            PeerName::Name(name) => name.clone(),
            PeerName::Address | PeerName::Variable => "the name nginx has for it".to_owned(),
        };
        let directive = settings.directive("name");
        return Ok(confirmed(
            format!("the peer's certificate is for another name than {expected}"),
            proof.and(settings.exhibit("name")),
            vec![format!("set {directive} to a name that the certificate is for, or have the peer show one for {expected}")],
        ));
    }
    let since = incident.last_seen.as_second() + 1;
    let is_past = case.answered(incident, &(since..=i64::MAX))?.is_some();
    let (now, then, advice) = match found(incident) {
        Found::Expired => ("has expired", "had expired", vec!["renew the certificate that the peer serves, and reload the peer".to_owned()]),
        Found::NotYetValid => (
            "is not valid yet",
            "was not valid yet",
            vec!["compare the clocks of both hosts, and the date from which the certificate is valid".to_owned()],
        ),
        Found::UnknownSigner => ("is signed by nobody whom nginx trusts there", "was signed by nobody whom nginx trusted there", unknown_signer(&settings)),
        Found::Other => ("is rejected", "was rejected", vec!["the line of the log says why".to_owned()]),
    };
    let summary = if is_past {
        format!("the peer's certificate {then} when it failed; nginx has been answered since")
    } else {
        format!("the peer's certificate {now}")
    };
    Ok(confirmed(
        summary,
        proof.and(settings.exhibit("trusted_certificate")),
        advice,
    ))
}

/// What nginx found, by the number that it logs.
fn found(incident: &Incident) -> Found {
    match verify_error(incident) {
        Some(9) => Found::NotYetValid,
        Some(10) => Found::Expired,
        Some(2 | 18 | 19 | 20 | 21) => Found::UnknownSigner,
        _ => Found::Other,
    }
}

/// Why the certificate that the peer shows now may not be the one that nginx rejected.
fn is_another_now(incident: &Incident, case: &Case, settings: &TlsSettings, shown: &Certificate) -> Option<Gap> {
    let now = case.now();
    let is_fine = match found(incident) {
        _ if incident.is(Class::TlsVerifyName) => match &settings.name {
            PeerName::Name(name) => shown.is_for(name),
            PeerName::Address | PeerName::Variable => false,
        },
        Found::Expired => shown.not_after >= now,
        Found::NotYetValid => shown.not_before <= now && shown.not_before < incident.first_seen,
        Found::UnknownSigner | Found::Other => false,
    };
    is_fine.then(|| Gap::too_late("which certificate nginx rejected", format!("the peer shows one now that has no such fault: {}", shown.subject)))
}

fn unknown_signer(settings: &TlsSettings) -> Vec<String> {
    let trusted = settings.directive("trusted_certificate");
    vec![
        format!("put the certificate of who signed it into the file that {trusted} names, and the peer's whole chain into what it serves"),
    ]
}

fn confirmed(summary: String, proof: Proof, advice: Vec<String>) -> Verdict {
    Verdict::Confirmed(Confirmation {
        summary,
        proof,
        fixes: vec![Fix {
            summary: "have nginx accept the right certificate".to_owned(),
            safety: Safety::DisplayOnly,
            steps: advice.into_iter().map(|text| Step::Advice { text }).collect(),
            verify: Some(AGAIN.to_owned()),
        }],
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "upstream-certificate-rejected";
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / {
        proxy_ssl_verify on; proxy_ssl_trusted_certificate /etc/ssl/ca.pem; proxy_ssl_name app.internal; proxy_pass https://127.0.0.1:8443;
        } } }
    ";

    #[test]
    fn confirmed_by_what_nginx_found() {
        for (found, what) in [
            ("10:certificate has expired", "has expired"),
            ("9:certificate is not yet valid", "is not valid yet"),
            ("18:self-signed certificate", "is signed by nobody whom nginx trusts there"),
            ("20:unable to get local issuer certificate", "is signed by nobody whom nginx trusts there"),
            ("23:certificate revoked", "is rejected"),
        ] {
            let failed = format!("
                //- failed 14:04:30 https://127.0.0.1:8443/
                upstream SSL certificate verify error: ({found}) while SSL handshaking to upstream
            ");
            let said = check(ID, [HOST, &failed]);
            assert!(said.contains(&format!("confirmed: the peer's certificate {what}\n")), "{said}");
        }
    }

    #[test]
    fn told_as_past_once_it_was_answered() {
        let said = check(ID, [HOST, "
            //- failed 14:04:30 https://127.0.0.1:8443/
            upstream SSL certificate verify error: (10:certificate has expired) while SSL handshaking to upstream
            //- file /var/log/nginx/access.log
            192.0.2.7 - - [23/Jun/2026:14:04:40 +0000] \"GET / HTTP/1.1\" 200 3 \"-\" \"x\"
        "]);
        let told = "confirmed: the peer's certificate had expired when it failed; nginx has been answered since\n";
        assert!(said.contains(told), "{said}");
    }

    #[test]
    fn confirmed_of_one_that_has_expired() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 https://127.0.0.1:8443/
            upstream SSL certificate verify error: (10:certificate has expired) while SSL handshaking to upstream
        "]), @"
        answer: upstream-certificate-rejected, ongoing
        confirmed: the peer's certificate has expired
        - log 14:04:30 x1: upstream SSL certificate verify error: (10:certificate has expired) while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:2: proxy_pass https://127.0.0.1:8443;
        - config /etc/nginx/nginx.conf:2: proxy_ssl_verify on;
        - config /etc/nginx/nginx.conf:2: proxy_ssl_trusted_certificate /etc/ssl/ca.pem;
        fix, shown: have nginx accept the right certificate
          renew the certificate that the peer serves, and reload the peer
        ");
    }

    #[test]
    fn confirmed_of_one_for_another_name() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 https://127.0.0.1:8443/
            upstream SSL certificate does not match \"app.internal\" while SSL handshaking to upstream
        "]), @r#"
        answer: upstream-certificate-rejected, ongoing
        confirmed: the peer's certificate is for another name than app.internal
        - log 14:04:30 x1: upstream SSL certificate does not match "app.internal" while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:2: proxy_pass https://127.0.0.1:8443;
        - config /etc/nginx/nginx.conf:2: proxy_ssl_verify on;
        - config /etc/nginx/nginx.conf:2: proxy_ssl_name app.internal;
        fix, shown: have nginx accept the right certificate
          set proxy_ssl_name to a name that the certificate is for, or have the peer show one for app.internal
        "#);
    }

    #[test]
    fn unknown_where_another_location_does_not_check() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            server { server_name shop.example; location / { proxy_ssl_verify on; proxy_pass https://127.0.0.1:8443; } }
            server { server_name other.example; location / { proxy_pass https://127.0.0.1:8443; } }
            }
            //- failed 14:04:30 https://127.0.0.1:8443/
            upstream SSL certificate verify error: (18:self-signed certificate) while SSL handshaking to upstream
        "]), @"
        answer: none, ongoing
        unknown: whether nginx checked the certificate itself: another location dials the same peer without a check, and proxy_ssl_session_reuse is on: it may be that one's session
        leaning: set proxy_ssl_session_reuse off: what nginx found of a certificate is remembered with the session
        ");
    }

    #[test]
    fn unknown_where_another_location_expects_another_name() {
        let told = check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            proxy_ssl_verify on;
            server { server_name shop.example; location / { proxy_ssl_name a.internal; proxy_pass https://127.0.0.1:8443; } }
            server { server_name other.example; location / { proxy_ssl_name b.internal; proxy_pass https://127.0.0.1:8443; } }
            }
            //- failed 14:04:30 https://127.0.0.1:8443/
            upstream SSL certificate does not match \"a.internal\" while SSL handshaking to upstream
        "]);
        assert!(told.contains("unknown: "), "{told}");
    }

    #[test]
    fn unknown_where_nothing_on_disk_has_nginx_check() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass https://127.0.0.1:8443; } } }
            //- failed 14:04:30 https://127.0.0.1:8443/
            upstream SSL certificate verify error: (18:self-signed certificate) while SSL handshaking to upstream
        "]), @"
        answer: none, ongoing
        unknown: why nginx checked the certificate: the configuration on disk does not have it check
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 https://127.0.0.1:8443/
            SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:30 x1: SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream
        ");
    }

    #[test]
    fn tells_what_rules_in_the_location_that_took_the_request() {
        let said = check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { proxy_ssl_session_reuse off; server { server_name shop.example;
            location / { proxy_pass https://127.0.0.1:8443; }
            location /api { proxy_ssl_verify on; proxy_pass https://127.0.0.1:8443; }
            } }
            //- failed 14:04:30 https://127.0.0.1:8443/ uri=/api/cart
            upstream SSL certificate verify error: (10:certificate has expired) while SSL handshaking to upstream
        "]);
        assert!(said.contains("confirmed: the peer's certificate has expired"), "{said}");
        assert!(said.contains("nginx.conf:3: proxy_pass"), "{said}");
    }
}
