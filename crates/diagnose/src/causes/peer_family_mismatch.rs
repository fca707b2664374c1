//! See the doc comment of [`PEER_FAMILY_MISMATCH`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, network};
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{Proof, Verdict};

declare_cause! {
    /// nginx dials IPv6 and the application listens on IPv4 only, or the reverse.
    ///
    /// ## Confirmed when
    /// The connection is refused now, nothing listens on the dialled address, and the only listener on that port (or one
    /// that is tied to the peer) is of the other address family.
    /// `localhost` is usually the reason: it names `::1` and `127.0.0.1`, and nginx tries both.
    ///
    /// ## Ruled out when
    /// The failure is not a refused TCP connection, a socket listens on the dialled address, or nothing listens on that
    /// port in the other family.
    ///
    /// ## Fix
    /// Write the address the application listens on in place of the name.
    /// Unsafe: it changes what nginx dials.
    ///
    /// ## Looks like
    /// `connect() failed (111: Connection refused) while connecting to upstream ... upstream: "http://[::1]:8000/"`
    ///
    /// ## See also
    /// While the other address answers, clients see no error: only the log does.
    pub(crate) static PEER_FAMILY_MISMATCH = {
        id: "peer-family-mismatch", since: "0.1.0", stage: Connect, refines: ["peer-not-listening"],
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
        matches!(place, Place::Tcp(other) if other.port() == address.port() && other.is_ipv4() != address.is_ipv4())
    })?;
    let felt = match case.impact(incident)? {
        Some(impact) if impact.failed == 0 && impact.rescued > 0 => "; another address answered, clients saw no error",
        _ => "",
    };
    tie::verdict(incident, case, found, felt)
}
