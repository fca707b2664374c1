//! See the doc comment of [`PEER_TRANSPORT_MISMATCH`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, network};
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{Proof, Verdict};

declare_cause! {
    /// nginx dials TCP and the application listens on a unix socket, or the reverse.
    ///
    /// ## Confirmed when
    /// The connection fails now as it did (111, or 2 for a missing socket), nothing listens where nginx dials, and a
    /// listener of the other kind is tied to this peer: the same unit, the same php-fpm pool, or the upstream's or unit's
    /// name in its command line.
    ///
    /// ## Ruled out when
    /// The failure is another one, or no listener of the other kind could be the application.
    ///
    /// ## Fix
    /// Make nginx dial what the application listens on.
    /// Unsafe: which of the two sides is right is a person's decision.
    ///
    /// ## Looks like
    /// `connect() failed (111: Connection refused) while connecting to upstream`
    pub(crate) static PEER_TRANSPORT_MISMATCH = {
        id: "peer-transport-mismatch", since: "0.1.0", stage: Connect,
        refines: ["peer-not-listening", "socket-missing", "socket-stale"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let Some(address) = incident.address.clone() else {
        return Ok(Verdict::RuledOut(proof));
    };
    if !(incident.is(Class::ConnectRefused) || incident.is(Class::SocketMissing)) {
        return Ok(Verdict::RuledOut(proof));
    }
    if let PeerAddress::Tcp(address) = address {
        let listeners = case.listeners_near(incident)?;
        if let Some(listener) = network::listener_on(&listeners, address)? {
            return Ok(Verdict::RuledOut(proof.and(listener.exhibit())));
        }
    }
    let dials_tcp = matches!(address, PeerAddress::Tcp(_));
    let found = tie::find(incident, case, |place| matches!(place, Place::Unix(_)) == dials_tcp)?;
    tie::verdict(incident, case, found, "")
}
