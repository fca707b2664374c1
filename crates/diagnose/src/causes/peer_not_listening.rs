//! See the doc comment of [`PEER_NOT_LISTENING`].

use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, Owner, known, network};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// Nothing accepts connections on the peer's address.
    ///
    /// ## Confirmed when
    /// The log shows errno 111 for a TCP peer on this host, no socket listens on its address in nginx's network
    /// namespace, nothing redirects the connection elsewhere, and a connection made as nginx's worker is refused now.
    ///
    /// ## Ruled out when
    /// The failure is another one, or a socket listens there while the connection is still refused.
    ///
    /// ## Fix
    /// Start the unit that owns the address, or repair what keeps it from starting.
    /// Unsafe: it starts a service.
    ///
    /// ## Looks like
    /// `connect() failed (111: Connection refused) while connecting to upstream`
    ///
    /// ## See also
    /// `peer-port-mismatch`, `peer-address-mismatch`, `peer-family-mismatch` and `peer-transport-mismatch` say more: the
    /// application runs, but listens elsewhere.
    /// A firewall that rejects looks the same in the log.
    pub(crate) static PEER_NOT_LISTENING = {
        id: "peer-not-listening", since: "0.1.0", stage: Connect, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let Some(PeerAddress::Tcp(address)) = incident.address else {
        return Ok(Verdict::RuledOut(proof));
    };
    if !incident.is(Class::ConnectRefused) {
        return Ok(Verdict::RuledOut(proof));
    }
    let listeners = case.listeners_near(incident)?;
    if let Some(listener) = network::listener_on(&listeners, address)? {
        if let Some((unit, when)) = case.was_down(incident, &listener.holders)? {
            return Ok(Verdict::Confirmed(Confirmation {
                summary: format!("nothing listened on {address}: {unit} did not run; it does again"),
                proof: proof.with(when).and(listener.exhibit()),
                fixes: Vec::new(),
            }));
        }
        // A process that ran before the first failure may have begun to listen only after it.
        let again = case.still_failing(incident).map_err(|gap| {
            gap.leaning(format!(
                "{} listens on {} now; it may not have when it failed",
                listener.who(),
                listener.address
            ))
        })?;
        return Ok(Verdict::RuledOut(proof.and(listener.exhibit()).and(again)));
    }
    let again = case.still_failing(incident)?;
    let unredirected = case.connects_unredirected(incident)?;
    let silence = Exhibit::Record {
        probe: "sockets",
        at: None,
        text: format!("no socket listens on {address} ({} listening TCP sockets seen)", listeners.len()),
    };
    let proof = proof.and(again).and(silence).and(unredirected);
    let owner = known(case.owner(incident))?.flatten();
    Ok(Verdict::Confirmed(confirmation(&address.to_string(), proof, owner.as_ref())))
}

fn confirmation(address: &str, proof: Proof, owner: Option<&Owner>) -> Confirmation {
    let Some(owner) = owner else {
        return Confirmation {
            summary: format!("nothing listens on {address}"),
            proof,
            fixes: vec![Fix {
                summary: format!("start the application that is to listen on {address}"),
                safety: Safety::DisplayOnly,
                steps: vec![Step::Advice {
                    text: format!("start the application that is to listen on {address}, or correct the address that nginx dials"),
                }],
                verify: Some(format!("ss -ltn 'sport = :{}'", address.rsplit(':').next().unwrap_or_default())),
            }],
        };
    };
    Confirmation {
        summary: format!("nothing listens on {address}: {}", owner.state()),
        proof: proof.with(owner.exhibits()),
        fixes: vec![owner.start()],
    }
}
