//! See the doc comment of [`PEER_ADDRESS_MISMATCH`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, network};
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{Proof, Verdict};

declare_cause! {
    /// The application listens on the dialled port, but on another address.
    ///
    /// ## Confirmed when
    /// The connection is refused now, nothing listens on the dialled address, and the only listener on that port (or one
    /// that is tied to the peer) is bound to another address of the same family.
    ///
    /// ## Ruled out when
    /// The failure is not a refused TCP connection, a socket listens on the dialled address, or nothing else listens on
    /// that port.
    ///
    /// ## Fix
    /// Make nginx dial the address the application is bound to (or bind the application where nginx dials).
    /// Unsafe: which of the two is right is a person's decision.
    ///
    /// ## Looks like
    /// `connect() failed (111: Connection refused) while connecting to upstream`
    pub(crate) static PEER_ADDRESS_MISMATCH = {
        id: "peer-address-mismatch", since: "0.1.0", stage: Connect, refines: ["peer-not-listening"],
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
        return Ok(Verdict::RuledOut(proof.and(listener.exhibit())));
    }
    let found = tie::find_on_port(incident, case, address.port(), |place| {
        matches!(place, Place::Tcp(other) if other.port() == address.port()
            && other.is_ipv4() == address.is_ipv4()
            && other.ip() != address.ip())
    })?;
    tie::verdict(incident, case, found, "")
}
