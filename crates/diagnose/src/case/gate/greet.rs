//! Further questions to a peer that failed, within the time that it may take in all.

use std::rc::Rc;
use std::time::Duration;

use facts::exchange::{End, Exchange};
use facts::handshake::{Ended, Greeting};
use facts::{Answer, Conversation, Gap, GapKind, Hello, ProbeRequest, Record, Speech};

use super::Case;
use crate::case::greetings::Greeted;
use crate::incident::Incident;

/// Less time than this is none to answer in.
const LEAST: Duration = Duration::from_millis(200);

impl Case {
    /// The answer to a hello. What failed and all that is asked because of it take no longer than the gate's time-out: whoever
    /// keeps silent is asked no more.
    pub(in crate::case) fn greet_again(
        &self,
        incident: &Incident,
        hello: Hello,
    ) -> Result<Greeted, Gap> {
        let missing = || format!("what {} answers", incident.peer);
        let asked = self.asked_peers()?;
        let own = asked
            .iter()
            .find(|asked| {
                self.incident_of(asked)
                    .is_ok_and(|own| own.id == incident.id)
            })
            .and_then(|asked| {
                let to = asked.said.as_ref()?.to.clone();
                Some((to, asked.is_own, asked.outcome.took.unwrap_or_default()))
            });
        let Some((to, is_own, first)) = own else {
            return Err(Gap::undecided(missing(), "the peer is no address"));
        };
        let speech = Speech::Hello(hello.clone());
        let held = self
            .evidence
            .conversations_with(&to)
            .find(|(held, _)| held.speech == speech);
        if let Some((_, record)) = held {
            return greeted(record, hello)
                .ok_or_else(|| Gap::too_late(missing(), "it does not let connections in now"));
        }
        let further: Duration = self
            .evidence
            .conversations_with(&to)
            .filter(|(held, _)| matches!(held.speech, Speech::Hello(_)))
            .map(|(held, record)| took(held, record))
            .sum();
        let left = Duration::from_millis(self.gate_within()).saturating_sub(first + further);
        if left < LEAST {
            return Err(Gap::new(
                GapKind::NotAsked,
                missing(),
                "it took all the time that it was given",
            )
            .learn(format!("{} --timeout 10s", self.again())));
        }
        let from = if is_own {
            facts::Caller::Own
        } else {
            let instances = self.instances()?;
            let instance = instances
                .first()
                .ok_or_else(|| Gap::undecided(missing(), "nginx is gone"))?;
            self.caller(instance)?.0
        };
        let request = ProbeRequest::Conversation(Conversation {
            from,
            bind: None,
            to,
            tls: None,
            speech,
            within: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        });
        let record = self.evidence.record(&request)?;
        greeted(record, hello)
            .ok_or_else(|| Gap::too_late(missing(), "it does not let connections in now"))
    }
}

/// How long a conversation took.
fn took(held: &Conversation, record: &Record) -> Duration {
    match &record.answer {
        Answer::Bytes(bytes) => Exchange::parse(bytes).took,
        Answer::TimedOut => Duration::from_millis(held.within),
        _ => Duration::ZERO,
    }
}

fn greeted(record: &Record, hello: Hello) -> Option<Greeted> {
    let Answer::Bytes(bytes) = &record.answer else {
        return None;
    };
    let exchange = Exchange::parse(bytes);
    let ended = match exchange.ended {
        Some(End::Closed) => Some(Ended::Closed),
        Some(End::Errno(errno)) => Some(Ended::Errno(errno)),
        Some(End::Silent) => Some(Ended::Silent),
        Some(End::Whole | End::Cut) | None => None,
    };
    let greeting = Greeting {
        received: exchange.received,
        tls: exchange.tls,
        certificates: exchange.certificates,
        alert: exchange.alert,
        refused: exchange.refused,
        ended,
    };
    Some(Greeted {
        greeting: Rc::new(greeting),
        hello,
        at: record.at,
    })
}
