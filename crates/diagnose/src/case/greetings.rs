//! What peers answer to the hello of a protocol, where the user asked for that.

use std::rc::Rc;

use facts::certificate::Certificate;
use facts::handshake::{Ended, Greeting, Tongue};
use facts::{Answer, Exhibit, Gap, GapKind, Hello, ProbeRequest};
use jiff::Timestamp;

use super::tls::alert_name;
use super::{Case, known};
use crate::incident::{Incident, Origin};

/// An answer to a hello.
pub(crate) struct Greeted {
    pub(super) greeting: Rc<Greeting>,
    pub(super) hello: Hello,
    pub(super) at: Timestamp,
}

impl Greeted {
    /// What the peer speaks, where its answer tells.
    pub(crate) fn tongue(&self) -> Option<Tongue> {
        self.greeting.tongue()
    }

    /// Whether a TLS handshake was finished, and not refused after that.
    pub(crate) fn is_finished(&self) -> bool {
        self.greeting.tls.is_some() && self.greeting.alert.is_none()
    }

    /// Whether the peer refused it: with an alert, or by ending the connection.
    pub(crate) fn is_refused(&self) -> bool {
        self.greeting.alert.is_some()
            || self.greeting.tls.is_none()
                && matches!(self.greeting.ended, Some(Ended::Closed | Ended::Errno(_)))
    }

    /// Whether the peer ended the connection without a byte.
    pub(crate) fn is_hung_up(&self) -> bool {
        self.greeting.received.is_empty()
            && matches!(self.greeting.ended, Some(Ended::Closed | Ended::Errno(_)))
    }

    /// Whether nothing came back in time.
    pub(crate) fn is_silent(&self) -> bool {
        self.greeting.received.is_empty() && self.greeting.ended == Some(Ended::Silent)
    }

    /// The peer's own certificate.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        Certificate::parse(self.greeting.certificates.first()?)
    }

    /// What was said, and what came back.
    pub(crate) fn exhibit(&self) -> Exhibit {
        let hello = match &self.hello {
            Hello::Tls { name, tls13 } => {
                let version = if *tls13 { "TLS" } else { "TLS 1.2" };
                match name {
                    Some(name) => format!("{version} handshake with the name {name}"),
                    None => format!("{version} handshake without a name"),
                }
            }
            Hello::Http1 => "HTTP/1's question to the server (OPTIONS *)".to_owned(),
            Hello::Http2 => "HTTP/2's preface".to_owned(),
            Hello::FastCgi => "FastCGI's question for values".to_owned(),
            Hello::Uwsgi => "uwsgi's ping".to_owned(),
        };
        Exhibit::Record {
            probe: "handshake",
            at: Some(self.at),
            text: format!("{hello}: {}", self.outcome()),
        }
    }

    fn outcome(&self) -> String {
        let greeting = &self.greeting;
        if let Some(alert) = greeting.alert {
            return format!("refused with alert {alert} ({})", alert_name(alert));
        }
        if let Some((version, _)) = &greeting.tls {
            let shown = self
                .certificate()
                .map(|certificate| format!(", {}", described(&certificate)));
            return format!("finished in {version}{}", shown.unwrap_or_default());
        }
        match (self.tongue(), greeting.ended) {
            (Some(Tongue::Tls), _) => match &greeting.refused {
                Some(why) => format!("broken off: {why}"),
                None => "broken off by the peer".to_owned(),
            },
            (Some(tongue), _) => format!("answered in {}", tongue.name()),
            (None, _) if !greeting.received.is_empty() => {
                "answered with bytes of another protocol".to_owned()
            }
            (None, Some(Ended::Closed)) => "closed without an answer".to_owned(),
            (None, Some(Ended::Errno(errno))) => format!("ended with errno {errno}"),
            (None, _) => "no answer".to_owned(),
        }
    }
}

/// A certificate in a line.
pub(crate) fn described(certificate: &Certificate) -> String {
    let names = match certificate.names.as_slice() {
        [] => "no name".to_owned(),
        names => names.join(", "),
    };
    format!(
        "certificate for {names}, issued by {}, valid from {} to {}",
        certificate.issuer,
        certificate.not_before.strftime("%Y-%m-%d"),
        certificate.not_after.strftime("%Y-%m-%d")
    )
}

impl Case {
    /// The peer's answer to a hello, made as nginx's worker would make the connection.
    pub(crate) fn greet(&self, incident: &Incident, hello: Hello) -> Result<Greeted, Gap> {
        let to = incident.dialled()?.clone();
        if incident.origin == Origin::Experiment {
            return self.greet_again(incident, hello);
        }
        let missing = format!("what {to} answers");
        if !(self.options.handshake && self.options.connect) {
            return Err(not_asked(missing));
        }
        self.queues_first(self.netns(incident)?, [&to])?;
        let request = ProbeRequest::Handshake {
            from: self.instance(incident)?.worker(),
            to,
            hello: hello.clone(),
        };
        let record = self.evidence.record(&request)?;
        match record.answer {
            Answer::Errno(1) => Err(Gap::new(
                GapKind::Denied,
                missing,
                "a connection as nginx's worker needs root",
            )
            .learn("sudo why502 --handshake")),
            Answer::Errno(_) | Answer::TimedOut => {
                Err(Gap::too_late(missing, "it does not let connections in now"))
            }
            _ => Ok(Greeted {
                greeting: self
                    .evidence
                    .fact(&request, |_, bytes| Greeting::parse(bytes))?,
                hello,
                at: record.at,
            }),
        }
    }

    /// That what a peer answers now is what it would have answered then: it goes on failing, and the program that listens
    /// has run since before the first failure, as far as it runs on this host.
    pub(crate) fn answers_as_then(&self, incident: &Incident) -> Result<(), Gap> {
        let missing = "whether it held when it failed";
        if !self.is_ongoing(incident) {
            return Err(Gap::too_late(missing, "it is over"));
        }
        let reached = known(self.listener_of(incident))?;
        let since = reached.and_then(|reached| reached.since());
        match since.and_then(|since| incident.too_late(since)) {
            Some(late) => Err(Gap::too_late(
                missing,
                format!("the program that listens {late}"),
            )),
            None => Ok(()),
        }
    }
}

/// What only a handshake would tell.
pub(crate) fn not_asked(missing: impl Into<std::borrow::Cow<'static, str>>) -> Gap {
    Gap::new(
        GapKind::NotAsked,
        missing,
        "protocol handshakes are sent only when asked for",
    )
    .learn("why502 --handshake")
}
