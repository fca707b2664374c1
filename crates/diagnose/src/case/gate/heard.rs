//! What a peer's answer means: whether it would do for nginx and, where not, what nginx would say of it.

use std::time::Duration;

use facts::exchange::{End, Exchange};
use facts::handshake::{Greeting, Tongue};
use facts::{Answer, Gap, GapKind, Hello, PeerAddress, Record, Speech};
use log::error::{Class, While};

use super::dialled::Dialled;
use super::say::Said;
use super::shaken::after_handshake;
use super::{Case, Instance, in_words};
use crate::case::network::errno_text;
use crate::case::requested::shown;
use crate::gate::{GateOptions, GateOutcome, Role};

/// nginx's number for a time-out.
const ETIMEDOUT: u16 = 110;

/// A failure in nginx's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// `None` where nginx would pass the answer on.
    pub(super) class: Option<Class>,
    pub(super) errno: Option<u16>,
    pub(super) action: Option<While>,
    /// What nginx would say, where the class leaves open what failed.
    pub(super) message: Option<String>,
    /// The status of the answer.
    pub(super) status: Option<u16>,
}

/// What came of asking a peer.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) kind: GateOutcome,
    pub(super) says: String,
    pub(super) failure: Option<Failure>,
    pub(super) took: Option<Duration>,
}

impl Outcome {
    fn new(kind: GateOutcome, says: impl Into<String>) -> Self {
        Self {
            kind,
            says: says.into(),
            failure: None,
            took: None,
        }
    }

    fn ready(says: impl Into<String>) -> Self {
        Self::new(GateOutcome::Ready, says)
    }

    pub(super) fn unclear(says: impl Into<String>) -> Self {
        Self::new(GateOutcome::Unclear, says)
    }

    pub(super) fn failing(says: impl Into<String>, failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            ..Self::new(GateOutcome::Failing, says)
        }
    }

    /// Of a connection that nginx's worker is denied.
    pub(super) fn denied(errno: i32) -> Self {
        let class = Class::of_connect(u16::try_from(errno).ok());
        let failure = Failure::of(class, While::ConnectingToUpstream).with_errno(errno);
        Self::failing(errno_text(errno), failure)
    }

    /// Of a peer that nothing was said to.
    pub(super) fn unasked(dialled: &Dialled) -> Self {
        let not_tried = |why: &str| Self::new(GateOutcome::NotTried, why);
        match &dialled.address {
            _ if dialled.place.is_dead_end => Self::failing(
                "marked down, as every server of its upstream is: nginx has none to dial",
                Failure::of(Class::NoLiveUpstreams, While::ConnectingToUpstream),
            ),
            _ if dialled.place.role == Role::Down => {
                not_tried("marked down: nginx does not dial it")
            }
            _ if dialled.place.is_udp => {
                not_tried("it is sent datagrams: no connection tells of it")
            }
            Err(gap) if gap.kind == GapKind::Absent => Self::failing(
                format!(
                    "{} does not resolve: nginx refuses the configuration",
                    dialled.shown()
                ),
                Failure {
                    class: None,
                    errno: None,
                    action: None,
                    message: None,
                    status: None,
                },
            ),
            Err(gap) if gap.kind == GapKind::NotAsked => not_tried(&in_words(gap)),
            Err(gap) => Self::unclear(in_words(gap)),
            Ok(_) => Self::unclear("what nginx would say to it is not known"),
        }
    }
}

impl Failure {
    pub(super) fn of(class: Class, action: While) -> Self {
        let is_time_out = matches!(
            class,
            Class::ConnectTimeout | Class::ReadTimeout | Class::TlsHandshakeTimeout
        );
        Self {
            class: Some(class),
            errno: is_time_out.then_some(ETIMEDOUT),
            action: Some(action),
            message: None,
            status: None,
        }
    }

    pub(super) fn with_errno(self, errno: i32) -> Self {
        Self {
            errno: u16::try_from(errno).ok(),
            ..self
        }
    }

    pub(super) fn saying(self, message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            ..self
        }
    }
}

impl Case {
    /// What an answer means.
    pub(super) fn heard(
        &self,
        instance: &Instance,
        dialled: &Dialled,
        said: &Said,
        record: &Record,
        is_own: bool,
    ) -> Result<Outcome, Gap> {
        let within = Duration::from_millis(self.gate_within());
        let connecting = |class| Failure::of(class, While::ConnectingToUpstream);
        Ok(match &record.answer {
            Answer::Bytes(bytes) => {
                let exchange = Exchange::parse(bytes);
                let took = exchange.took;
                let mut outcome = self.exchanged(instance, dialled, said, &exchange)?;
                outcome.took = Some(took);
                outcome
            }
            Answer::Errno(1) => {
                Outcome::unclear("a connection as nginx's worker needs root".to_owned())
            }
            Answer::Errno(3) => Outcome::unclear("nginx's worker has ended meanwhile"),
            Answer::Errno(13) if is_own && matches!(said.to, PeerAddress::Unix(_)) => {
                Outcome::unclear(
                    "why502 itself may not connect to the socket; whether nginx's worker may, needs root",
                )
            }
            Answer::Errno(99) if said.bind.is_some() => Outcome::failing(
                format!(
                    "{}: the address of {}_bind is none of this host",
                    errno_text(99),
                    said.module
                ),
                connecting(Class::ProxyBind).with_errno(99),
            ),
            Answer::Errno(errno) => {
                let class = Class::of_connect(u16::try_from(*errno).ok());
                let failure = connecting(class).with_errno(*errno);
                Outcome::failing(errno_text(*errno), failure)
            }
            Answer::TimedOut => Outcome::failing(
                format!("no connection in {}", shown(within)),
                connecting(Class::ConnectTimeout),
            ),
            Answer::File { .. } | Answer::Exit { .. } | Answer::NotRecorded => {
                Outcome::unclear("the record holds no answer")
            }
        })
    }

    fn exchanged(
        &self,
        instance: &Instance,
        dialled: &Dialled,
        said: &Said,
        exchange: &Exchange,
    ) -> Result<Outcome, Gap> {
        if said.tls.is_some() && exchange.tls.is_none() {
            return self.unshaken(instance, said, exchange);
        }
        if let Some(alert) = exchange.alert {
            return Ok(after_handshake(said, alert));
        }
        if let Some(settings) = said.settings.as_ref().filter(|set| set.verifies)
            && let Some(failed) = self.distrusted(instance, settings, exchange)?
        {
            return Ok(failed);
        }
        Ok(self.spoken_to(dialled, said, exchange))
    }

    pub(super) fn limit(&self) -> String {
        shown(Duration::from_millis(self.gate_within()))
    }

    /// Of a peer that was spoken to.
    fn spoken_to(&self, dialled: &Dialled, said: &Said, exchange: &Exchange) -> Outcome {
        let within_tls = match &exchange.tls {
            Some((version, _)) => format!(", {version}"),
            None => String::new(),
        };
        let reading = |class| Failure::of(class, While::ReadingResponseHeader);
        match (&said.speech, &exchange.head, &exchange.said) {
            (Speech::Nothing | Speech::Hello(Hello::Tls { .. }), ..) => {
                return Outcome::ready(format!(
                    "connected after {}{within_tls}",
                    shown(exchange.connected)
                ));
            }
            (Speech::Hello(_), ..) if !exchange.received.is_empty() => {
                return match tongue(exchange) {
                    Some(Tongue::Http2) => Outcome::ready("answered in HTTP/2"),
                    other => Outcome::failing(
                        format!(
                            "it answered HTTP/2's preface in {}",
                            other.map_or("another protocol", Tongue::name)
                        ),
                        reading(Class::NotHttp2),
                    ),
                };
            }
            (Speech::GrpcHealth { .. }, head, Some(health)) => {
                return health_of(head.as_ref().map(|head| head.status), health);
            }
            (Speech::Memcached, _, Some(line)) => {
                return if line.starts_with("VERSION ") {
                    Outcome::ready(line.clone())
                } else {
                    Outcome::failing(format!("it answered {line}"), reading(Class::InvalidHeader))
                };
            }
            (_, Some(head), _) => {
                let says = format!("{} after {}{within_tls}", head.status, shown(head.after));
                if !said.has_status || self.is_expected(head.status) {
                    return Outcome::ready(if said.has_status {
                        says
                    } else {
                        format!("answered after {}{within_tls}", shown(head.after))
                    });
                }
                return Outcome::failing(
                    format!("{says}, expected {}", self.expected()),
                    Failure {
                        class: None,
                        errno: None,
                        action: None,
                        message: None,
                        status: Some(head.status),
                    },
                );
            }
            (Speech::FastCgi(_), None, Some(told)) => {
                return Outcome::failing(
                    format!("it ended the request without a header ({told})"),
                    reading(Class::PrematureClose),
                );
            }
            _ => {}
        }
        self.unanswered(dialled, exchange)
    }

    fn is_expected(&self, status: u16) -> bool {
        let expected = self.gate_options().map(GateOptions::expected);
        expected.is_ok_and(|ranges| ranges.iter().any(|range| range.contains(&status)))
    }

    fn expected(&self) -> String {
        let expected = self.gate_options().map(GateOptions::expected);
        let ranges: Vec<String> = expected
            .unwrap_or_default()
            .iter()
            .map(|range| {
                if range.start() == range.end() {
                    range.start().to_string()
                } else {
                    format!("{}-{}", range.start(), range.end())
                }
            })
            .collect();
        ranges.join(", ")
    }

    /// Of a peer that took the connection, and gave no answer in its protocol.
    fn unanswered(&self, dialled: &Dialled, exchange: &Exchange) -> Outcome {
        let reading = |class| Failure::of(class, While::ReadingResponseHeader);
        let protocol = dialled.place.protocol;
        if exchange.refused.as_deref() == Some("a header without end")
            || exchange.refused.as_deref() == Some("an answer without end")
        {
            return Outcome::failing(
                "a response header without end",
                reading(Class::HeaderTooBig),
            );
        }
        if exchange.refused.as_deref() == Some("a doubtful header") {
            return Outcome::unclear("its response has a header line that nginx may refuse");
        }
        if let Some(refused) = &exchange.refused {
            let what = tongue(exchange).map_or_else(
                || format!("it answered with {refused}"),
                |tongue| format!("it answered in {}", tongue.name()),
            );
            return Outcome::failing(what, foreign(protocol, &exchange.received));
        }
        match exchange.ended {
            Some(End::Errno(errno)) => Outcome::failing(
                format!("the connection ended with {}", errno_text(errno)),
                reading(Class::of_io(u16::try_from(errno).ok())).with_errno(errno),
            ),
            Some(End::Silent) => Outcome::failing(
                format!("no answer in {}", self.limit()),
                reading(Class::ReadTimeout),
            ),
            _ => Outcome::failing(
                "it closed the connection without an answer",
                reading(Class::PrematureClose),
            ),
        }
    }
}

/// Of what a health check came to.
fn health_of(status: Option<u16>, health: &str) -> Outcome {
    let failing = |says: String, class| {
        Outcome::failing(says, Failure::of(class, While::ReadingResponseHeader))
    };
    if let Some(status) = status.filter(|&status| status != 200) {
        return Outcome::failing(
            format!("{status} to the health check: it is no server of gRPC"),
            Failure {
                class: None,
                errno: None,
                action: None,
                message: None,
                status: Some(status),
            },
        );
    }
    match health {
        "health SERVING" => Outcome::ready("health SERVING"),
        "no health service" => Outcome::ready("answers gRPC, and has no health service"),
        health if health.starts_with("health ") => Outcome::failing(
            health.to_owned(),
            Failure {
                class: None,
                errno: None,
                action: None,
                message: None,
                status: None,
            },
        ),
        refused => failing(refused.to_owned(), Class::H2Rejected),
    }
}

/// What the first bytes are of.
pub(super) fn tongue(exchange: &Exchange) -> Option<Tongue> {
    let greeting = Greeting {
        received: exchange.received.clone(),
        ..Greeting::default()
    };
    greeting.tongue()
}

/// What nginx says of an answer in another protocol.
fn foreign(protocol: conf::Protocol, received: &[u8]) -> Failure {
    let reading = |class| Failure::of(class, While::ReadingResponseHeader);
    match (protocol, received) {
        (conf::Protocol::Fastcgi, [first, ..]) => reading(Class::NotFastcgi).saying(format!(
            "upstream sent unsupported FastCGI protocol version: {first}"
        )),
        (conf::Protocol::Grpc | conf::Protocol::Grpcs, [a, b, c, ..]) => {
            let length = u32::from_be_bytes([0, *a, *b, *c]);
            reading(Class::NotHttp2)
                .saying(format!("upstream sent too large http2 frame: {length}"))
        }
        (conf::Protocol::Http | conf::Protocol::Https, _) => reading(Class::NotHttp),
        _ => reading(Class::InvalidHeader),
    }
}
