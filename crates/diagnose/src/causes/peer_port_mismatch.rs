//! See the doc comment of [`PEER_PORT_MISMATCH`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{Proof, Verdict};

declare_cause! {
    /// The application listens on another port than the one nginx dials.
    ///
    /// ## Confirmed when
    /// The connection is refused now, nothing listens on the dialled port, and a listener on another port is tied to
    /// this peer: the same unit, the same php-fpm pool, or the upstream's or unit's name in its command line.
    /// A listener without such a tie is a stranger, whatever it speaks, and becomes a hint at most.
    ///
    /// ## Ruled out when
    /// The failure is not a refused TCP connection, a socket listens on the dialled port, or no other socket listens that
    /// could be the application.
    ///
    /// ## Fix
    /// Make nginx dial the port the application listens on (or the application bind the port that nginx dials).
    /// Unsafe: which of the two is right is a person's decision.
    ///
    /// ## Looks like
    /// `connect() failed (111: Connection refused) while connecting to upstream`
    pub(crate) static PEER_PORT_MISMATCH = {
        id: "peer-port-mismatch", since: "0.1.0", stage: Connect, refines: ["peer-not-listening"],
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
    if let Some(listener) = listeners.iter().find(|listener| listener.address.port() == address.port()) {
        return Ok(Verdict::RuledOut(proof.and(listener.exhibit())));
    }
    let found = tie::find(incident, case, |place| {
        matches!(place, Place::Tcp(other) if other.port() != address.port() && tie::reachable_as(*other, address.ip()))
    })?;
    tie::verdict(incident, case, found, "")
}
