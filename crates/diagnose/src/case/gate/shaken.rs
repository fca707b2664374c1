//! What a TLS handshake came to: whether nginx's own would, and whether nginx would trust what the peer showed.
//!
//! why502 offers fewer versions and ciphers than nginx's OpenSSL: what may be owed to that is unclear, never a failure.

use facts::exchange::{End, Exchange};
use facts::handshake::Tongue;
use facts::{Answer, Gap, Hello, ProbeRequest, Speech};
use log::error::{Class, While};

use super::heard::{Failure, Outcome, tongue};
use super::say::Said;
use super::{Case, Instance, in_words};
use crate::case::network::errno_text;
use crate::case::tls::{PeerName, TlsSettings, alert_name};

impl Case {
    /// Of a TLS handshake that did not come to its end.
    pub(super) fn unshaken(
        &self,
        instance: &Instance,
        said: &Said,
        exchange: &Exchange,
    ) -> Result<Outcome, Gap> {
        let shaking = |class| Failure::of(class, While::SslHandshakingToUpstream);
        if let Some(alert) = exchange.alert {
            let says = format!("TLS refused with alert {alert} ({})", alert_name(alert));
            let failure = shaking(Class::TlsHandshake).saying(openssl_of_alert(alert));
            // Who shares no cipher or version says so; why502 offers fewer of them than nginx.
            let may_be_ours = match alert {
                40 | 71 => true,
                70 => said
                    .settings
                    .as_ref()
                    .is_some_and(TlsSettings::offers_more_than_tls12_and_13),
                _ => false,
            };
            if may_be_ours && !self.is_name_missed(instance, said)? {
                return Ok(Outcome::unclear(format!(
                    "{says}: why502 offers fewer versions and ciphers than nginx, which may do better"
                )));
            }
            return Ok(Outcome::failing(says, failure));
        }
        let is_foreign = !exchange.received.is_empty() && tongue(exchange) != Some(Tongue::Tls);
        if is_foreign {
            let what = tongue(exchange).map_or("bytes that are no TLS", Tongue::name);
            let failure = shaking(Class::TlsHandshake)
                .saying("SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number)");
            return Ok(Outcome::failing(
                format!("it answered the TLS handshake with {what}"),
                failure,
            ));
        }
        if let Some(why) = &exchange.refused {
            return Ok(Outcome::unclear(format!(
                "why502 gave the TLS handshake up ({why}); nginx may do better"
            )));
        }
        Ok(match exchange.ended {
            Some(End::Errno(errno)) => Outcome::failing(
                format!("the TLS handshake ended with {}", errno_text(errno)),
                shaking(Class::TlsHandshakeClosed).with_errno(errno),
            ),
            Some(End::Silent) => Outcome::failing(
                format!("no answer to the TLS handshake in {}", self.limit()),
                shaking(Class::TlsHandshakeTimeout),
            ),
            _ => Outcome::failing(
                "it closed the connection in the TLS handshake",
                shaking(Class::TlsHandshakeClosed),
            ),
        })
    }

    /// Whether the same handshake comes to its end with the name that nginx does not send.
    fn is_name_missed(&self, instance: &Instance, said: &Said) -> Result<bool, Gap> {
        let Some(Hello::Tls { name: None, tls13 }) = said.tls else {
            return Ok(false);
        };
        let Some(PeerName::Name(name)) = said.settings.as_ref().map(|set| set.name.clone()) else {
            return Ok(false);
        };
        let (from, _) = self.caller(instance)?;
        let request = ProbeRequest::Conversation(facts::Conversation {
            from,
            bind: said.bind,
            to: said.to.clone(),
            tls: None,
            speech: Speech::Hello(Hello::Tls {
                name: Some(name),
                tls13,
            }),
            within: self.gate_within(),
        });
        let record = self.evidence.record(&request)?;
        Ok(match &record.answer {
            Answer::Bytes(bytes) => Exchange::parse(bytes).tls.is_some(),
            _ => false,
        })
    }

    /// Of a certificate that nginx would reject.
    pub(super) fn distrusted(
        &self,
        instance: &Instance,
        settings: &TlsSettings,
        exchange: &Exchange,
    ) -> Result<Option<Outcome>, Gap> {
        use facts::trust::{Fault, verify};
        let shaking = |class| Failure::of(class, While::SslHandshakingToUpstream);
        let trusted = match self.trusted_by(instance, settings)? {
            Ok(trusted) => trusted,
            Err(gap) => return Ok(Some(Outcome::unclear(in_words(&gap)))),
        };
        match verify(
            &exchange.certificates,
            &trusted,
            self.now(),
            settings.depth(),
        ) {
            Ok(()) => {}
            Err(Fault::Undecided(why)) => {
                return Ok(Some(Outcome::unclear(format!(
                    "whether nginx trusts its certificate: {why}"
                ))));
            }
            Err(Fault::Rejected { code, text }) => {
                let failure = shaking(Class::TlsVerify).saying(format!(
                    "upstream SSL certificate verify error: ({code}:{text})"
                ));
                return Ok(Some(Outcome::failing(
                    format!("its certificate would be rejected: {text}"),
                    failure,
                )));
            }
        }
        let own = exchange.certificates.first();
        let own = own.and_then(|der| facts::certificate::Certificate::parse(der));
        let (Some(own), PeerName::Name(name)) = (own, &settings.name) else {
            return Ok(None);
        };
        if own.is_for(name) {
            return Ok(None);
        }
        let failure = shaking(Class::TlsVerifyName).saying(format!(
            "upstream SSL certificate does not match \"{name}\""
        ));
        Ok(Some(Outcome::failing(
            format!(
                "its certificate is for {}, not for {name}",
                own.names.join(", ")
            ),
            failure,
        )))
    }
}

/// Of an alert that came when the handshake was over for this side.
pub(super) fn after_handshake(said: &Said, alert: u8) -> Outcome {
    let says = format!(
        "TLS refused after the handshake, with alert {alert} ({})",
        alert_name(alert)
    );
    if said.lacks_certificate {
        return Outcome::unclear(format!("{says}: why502 does not show nginx's certificate"));
    }
    let failure = Failure::of(Class::TlsRead, While::ReadingResponseHeader);
    Outcome::failing(says, failure.saying(openssl_of_alert(alert)))
}

/// What OpenSSL says of an alert (`ssl_stat.c`).
fn openssl_of_alert(alert: u8) -> String {
    let code = 1000 + u32::from(alert);
    let kind = if matches!(alert, 10 | 20 | 40 | 42..=47) {
        "sslv3 alert "
    } else if alert >= 116 {
        "tlsv13 alert "
    } else if alert >= 110 {
        "tlsv1 "
    } else {
        "tlsv1 alert "
    };
    format!(
        "SSL_do_handshake() failed (SSL: error:0A{code:06X}:SSL routines::{kind}{}:SSL alert number {alert})",
        alert_name(alert).to_ascii_lowercase()
    )
}
