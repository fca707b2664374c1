//! See the doc comment of [`UPSTREAM_TLS_HANDSHAKE_FAILS`].

use facts::handshake::Tongue;
use facts::{Gap, GapKind, Hello};
use log::error::{Class, While};

use crate::case::{Case, Greeted, PeerName, TlsError, TlsSettings, alert_name, known, not_asked, tls_errors};
use crate::incident::{Incident, Origin};
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx and the peer do not agree on how to speak TLS.
    ///
    /// ## Confirmed when
    /// nginx's lines hold an alert of the peer, or what OpenSSL found wrong with a handshake that both sides took part in.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// By the alert: offer the versions that the peer wants (`proxy_ssl_protocols`), show it the certificate that it wants
    /// (`proxy_ssl_certificate`), or name the site (see `upstream-sni-missing`).
    /// Unsafe where a directive is changed, shown only otherwise.
    ///
    /// ## Looks like
    /// `SSL_do_handshake() failed (SSL: error:0A00042E:SSL routines::tlsv1 alert protocol version:SSL alert number 70) while SSL handshaking to upstream`
    ///
    /// ## See also
    /// `peer-speaks-other-protocol`: a peer that speaks no TLS at all. `upstream-sni-missing`.
    pub(crate) static UPSTREAM_TLS_HANDSHAKE_FAILS = {
        id: "upstream-tls-handshake-fails", since: "0.1.0", stage: Tls, refines: [],
        judge: Alone(judge),
    }
}

const PROTOCOL_VERSION: u8 = 70;
const CERTIFICATE_REQUIRED: u8 = 116;

/// What OpenSSL finds wrong with a peer that does speak TLS.
const REASONS: [&str; 7] = [
    "dh key too small",
    "no ciphers available",
    "no protocols available",
    "unsafe legacy renegotiation disabled",
    "unsupported protocol",
    "wrong cipher returned",
    "wrong signature type",
];

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    // In TLS 1.3 the peer says only afterwards what it does not like.
    let is_late = incident.is(Class::TlsRead) || incident.is(Class::TlsWrite);
    let is_mute = incident.is(Class::TlsHandshakeClosed) || incident.is(Class::TlsHandshakeTimeout);
    if !(incident.is(Class::TlsHandshake) || is_late || is_mute) {
        return Ok(Verdict::RuledOut(proof));
    }
    let proof = proof.and(case.dialled_by(incident)?);
    let missing = "why the handshake fails";
    if is_mute {
        let gap = match incident.origin {
            Origin::Experiment => Gap::undecided(missing, "the peer does not say"),
            _ => not_asked(missing),
        };
        return Err(gap.leaning("the peer says nothing in the TLS handshake: it may not speak TLS at all"));
    }
    let errors = tls_errors(incident).ok_or_else(|| Gap::undecided(missing, "the log does not tell it"))?;
    if errors.iter().any(TlsError::is_not_tls) {
        return Err(whether_it_is_tls(incident, case));
    }
    let Some(alerts) = errors.iter().map(|error| error.alert).collect::<Option<Vec<u8>>>() else {
        if is_late || !errors.iter().all(|error| REASONS.contains(&error.reason.as_str())) {
            return Err(Gap::undecided(missing, "what OpenSSL says decides nothing"));
        }
        let reasons: Vec<&str> = errors.iter().map(|error| error.reason.as_str()).collect();
        return Ok(confirmed(
            format!("nginx breaks the TLS handshake off: {}", reasons.join(", ")),
            proof,
            vec![advice("the reason is OpenSSL's, on nginx's side: compare the versions, ciphers and certificates of both sides".to_owned())],
        ));
    };
    // Bytes damaged on their way, and a peer that breaks its answer off, raise alerts as well.
    if is_late && !(is_before_the_answer(incident) && alerts.iter().copied().all(is_of_the_clients_certificate)) {
        return Err(Gap::undecided(missing, "the alert came after the handshake, and does not speak of nginx's certificate"));
    }
    let settings = known(case.tls_settings(incident))?;
    let [alert] = alerts.as_slice() else {
        return Err(Gap::undecided(missing, "the peer gives many reasons"));
    };
    let summary = format!("the peer refuses nginx's TLS handshake: {} (alert {alert})", alert_name(*alert));
    let shown = match &settings {
        Some(settings) => known(case.greet(incident, hello(settings)))?,
        None => None,
    };
    // It may be older than what nginx offers.
    let is_hopeless = shown.as_ref().is_some_and(Greeted::is_refused);
    let mut fix = fix(*alert, settings.as_ref().filter(|_| !is_hopeless));
    if fix.safety == Safety::Unsafe {
        fix.steps.extend(case.reload_steps(incident)?);
    }
    let telling = settings.as_ref().and_then(|settings| exhibit_of(*alert, settings));
    let proof = proof.with(telling).with(shown.as_ref().map(Greeted::exhibit));
    Ok(confirmed(summary, proof, vec![fix]))
}

/// Why it is not known whether the peer speaks TLS at all.
fn whether_it_is_tls(incident: &Incident, case: &Case) -> Gap {
    let missing = "whether the peer speaks TLS at all";
    match case.greet(incident, Hello::Tls { name: None, tls13: true }) {
        Err(gap) if gap.kind == GapKind::NotAsked => not_asked(missing),
        Err(gap) => gap,
        Ok(answer) if answer.tongue() == Some(Tongue::Tls) => Gap::too_late(missing, "it answers in TLS now"),
        Ok(_) => Gap::undecided(missing, "its answer to a TLS handshake is none of TLS"),
    }
}

/// What a peer that wants a certificate from nginx says of it (RFC 8446, 6.2).
fn is_of_the_clients_certificate(alert: u8) -> bool {
    matches!(alert, 42..=46 | 48 | 49 | 116)
}

fn is_before_the_answer(incident: &Incident) -> bool {
    matches!(incident.action, Some(While::SendingRequest | While::ReadingResponseHeader))
}

fn hello(settings: &TlsSettings) -> Hello {
    let name = match &settings.name {
        PeerName::Name(name) if settings.sends_name => Some(name.clone()),
        _ => None,
    };
    Hello::Tls { name, tls13: true }
}

/// The directive that an alert speaks of.
fn exhibit_of(alert: u8, settings: &TlsSettings) -> Option<facts::Exhibit> {
    match alert {
        PROTOCOL_VERSION | 71 => Some(settings.exhibit("protocols")),
        42..=46 | 48 | CERTIFICATE_REQUIRED => Some(settings.exhibit("certificate")),
        40 | 80 | 112 => Some(settings.exhibit("server_name")),
        _ => None,
    }
}

fn fix(alert: u8, settings: Option<&TlsSettings>) -> Fix {
    let directive = |setting: &str| settings.map_or_else(|| format!("proxy_ssl_{setting}"), |settings| settings.directive(setting));
    match alert {
        PROTOCOL_VERSION => match settings.filter(|settings| !settings.offers_tls13()) {
            Some(settings) => Fix {
                summary: "offer TLS 1.3 too".to_owned(),
                safety: Safety::Unsafe,
                steps: settings.set(&[("protocols", "TLSv1.2 TLSv1.3")]),
                verify: Some(AGAIN.to_owned()),
            },
            None => advice(format!("offer the version that the peer speaks: {}", directive("protocols"))),
        },
        // The server asked for a certificate and got none (RFC 8446, 6.2).
        CERTIFICATE_REQUIRED => advice(format!(
            "the upstream wants a client certificate, and nginx shows none there: set {} and {} to one that it accepts",
            directive("certificate"),
            directive("certificate_key")
        )),
        42..=46 | 48 => advice(format!(
            "show the peer a certificate that it accepts: {} and {}",
            directive("certificate"),
            directive("certificate_key")
        )),
        112 => advice(format!("send a name that the peer serves: {} and {}", directive("server_name"), directive("name"))),
        40 => advice(format!(
            "ask the peer's log; it may want a name ({}), a certificate ({}), or other ciphers ({})",
            directive("server_name"),
            directive("certificate"),
            directive("ciphers")
        )),
        71 => advice(format!("offer stronger ciphers: {}", directive("ciphers"))),
        _ => advice("ask the peer's log".to_owned()),
    }
}

fn advice(text: String) -> Fix {
    Fix {
        summary: "have both sides agree".to_owned(),
        safety: Safety::DisplayOnly,
        steps: vec![Step::Advice { text }],
        verify: Some(AGAIN.to_owned()),
    }
}

fn confirmed(summary: String, proof: Proof, fixes: Vec<Fix>) -> Verdict {
    Verdict::Confirmed(Confirmation { summary, proof, fixes })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::{answers, check};

    const ID: &str = "upstream-tls-handshake-fails";
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass https://127.0.0.1:8443; } } }
    ";

    #[test]
    fn unknown_where_it_is_no_tls_and_a_handshake_was_made() {
        let failed = "
            //- failed 14:04:30 https://127.0.0.1:8443/
            SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream
        ";
        let said = check(ID, [HOST, failed]);
        assert!(said.contains("protocol handshakes are sent only when asked for\nlearn: why502 --handshake"), "{said}");
        let said = check(ID, [HOST, failed, "
            //- options handshake
            //- handshake 127.0.0.1:8443 tls1.3
            received 3c68746d6c3e
        "]);
        assert!(said.contains("unknown: whether the peer speaks TLS at all: its answer to a TLS handshake is none of TLS\n"), "{said}");
    }

    #[test]
    fn confirmed_where_the_peer_wants_another_version() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 https://127.0.0.1:8443/
            SSL_do_handshake() failed (SSL: error:0A00042E:SSL routines::tlsv1 alert protocol version:SSL alert number 70) while SSL handshaking to upstream
        "]), @"
        answer: upstream-tls-handshake-fails, ongoing
        confirmed: the peer refuses nginx's TLS handshake: protocol version (alert 70)
        - log 14:04:30 x1: SSL_do_handshake() failed (SSL: error:0A00042E:SSL routines::tlsv1 alert protocol version:SSL alert number 70) while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass https://127.0.0.1:8443;
        - config: proxy_ssl_protocols is not set there: it is TLSv1 TLSv1.1 TLSv1.2
        fix, unsafe: offer TLS 1.3 too
          /etc/nginx/nginx.conf:1: proxy_pass https://127.0.0.1:8443; => proxy_pass https://127.0.0.1:8443;
        proxy_ssl_protocols TLSv1.2 TLSv1.3;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_where_the_peer_wants_a_certificate_and_says_so_late() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 https://127.0.0.1:8443/
            SSL_read() failed (SSL: error:0A00045C:SSL routines::tlsv13 alert certificate required:SSL alert number 116) while reading response header from upstream
        "]), @"
        answer: upstream-tls-handshake-fails, ongoing
        confirmed: the peer refuses nginx's TLS handshake: certificate required (alert 116)
        - log 14:04:30 x1: SSL_read() failed (SSL: error:0A00045C:SSL routines::tlsv13 alert certificate required:SSL alert number 116) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass https://127.0.0.1:8443;
        - config: proxy_ssl_certificate is not set there
        fix, shown: have both sides agree
          the upstream wants a client certificate, and nginx shows none there: set proxy_ssl_certificate and proxy_ssl_certificate_key to one that it accepts
        ");
    }

    #[test]
    fn unknown_of_an_alert_after_the_handshake_that_speaks_of_no_certificate() {
        for said in [
            "SSL_read() failed (SSL: error:0A0003FC:SSL routines::sslv3 alert bad record mac:SSL alert number 20) while reading response header from upstream",
            "SSL_read() failed (SSL: error:0A000438:SSL routines::tlsv1 alert internal error:SSL alert number 80) while reading upstream",
            // Of its certificate, but in the middle of an answer.
            "SSL_read() failed (SSL: error:0A00045C:SSL routines::tlsv13 alert certificate required:SSL alert number 116) while reading upstream",
        ] {
            let failed = format!("
                //- failed 14:04:30 https://127.0.0.1:8443/ level=crit
                {said}
            ");
            let told = check(ID, [HOST, &failed]);
            assert!(told.contains("unknown: why the handshake fails: the alert came after the handshake"), "{told}");
        }
    }

    #[test]
    fn confirmed_where_nginx_itself_breaks_off() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 https://127.0.0.1:8443/
            SSL_do_handshake() failed (SSL: error:0A000102:SSL routines::unsupported protocol) while SSL handshaking to upstream
        "]), @"
        answer: upstream-tls-handshake-fails, ongoing
        confirmed: nginx breaks the TLS handshake off: unsupported protocol
        - log 14:04:30 x1: SSL_do_handshake() failed (SSL: error:0A000102:SSL routines::unsupported protocol) while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass https://127.0.0.1:8443;
        fix, shown: have both sides agree
          the reason is OpenSSL's, on nginx's side: compare the versions, ciphers and certificates of both sides
        ");
    }

    #[test]
    fn each_alert_is_an_incident_of_its_own() {
        assert_snapshot!(answers([HOST, "
            //- failed 14:04:30 https://127.0.0.1:8443/
            SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::sslv3 alert handshake failure:SSL alert number 40) while SSL handshaking to upstream
            //- failed 14:04:31 https://127.0.0.1:8443/
            SSL_do_handshake() failed (SSL: error:0A000438:SSL routines::tlsv1 alert internal error:SSL alert number 80) while SSL handshaking to upstream
        "]), @"
        127.0.0.1:8443 SSL handshaking to upstream: answer: upstream-tls-handshake-fails, ongoing
        127.0.0.1:8443 SSL handshaking to upstream: answer: upstream-tls-handshake-fails, ongoing
        ");
    }

    #[test]
    fn unknown_where_the_peer_says_nothing() {
        for message in [
            "peer closed connection in SSL handshake",
            "upstream timed out (110: Connection timed out)",
            "SSL_do_handshake() failed (SSL: error:0A000126:SSL routines::unexpected eof while reading)",
            "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number)",
        ] {
            let failed = format!("
                //- failed 14:04:30 https://127.0.0.1:8443/
                {message} while SSL handshaking to upstream
            ");
            let said = check(ID, [HOST, &failed]);
            assert!(said.contains("unknown: "), "{said}");
        }
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 https://127.0.0.1:8443/
            upstream SSL certificate verify error: (18:self-signed certificate) while SSL handshaking to upstream
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:30 x1: upstream SSL certificate verify error: (18:self-signed certificate) while SSL handshaking to upstream
        ");
    }
}
