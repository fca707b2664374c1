//! See the doc comment of [`SOCKET_PATH_MISMATCH`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{Proof, Verdict};

declare_cause! {
    /// The application listens on another socket path than the one nginx dials.
    ///
    /// ## Confirmed when
    /// The connection fails now as it did (2, or 111 for a left-over file), and a socket that listens elsewhere is tied to
    /// this peer: the same unit or php-fpm pool, the upstream's or unit's name in its command line, or a name in the same
    /// directory that differs only by a version.
    ///
    /// ## Ruled out when
    /// The failure is another one, or no other unix socket listens that could be the application.
    ///
    /// ## Fix
    /// Make nginx dial the path the application listens on.
    /// Unsafe: which of the two sides is right is a person's decision.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/php/php8.1-fpm.sock failed (2: No such file or directory) while connecting to upstream`
    pub(crate) static SOCKET_PATH_MISMATCH = {
        id: "socket-path-mismatch", since: "0.1.0", stage: Socket, refines: ["socket-missing", "socket-stale"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let Some(PeerAddress::Unix(path)) = &incident.address else {
        return Ok(Verdict::RuledOut(proof));
    };
    if !(incident.is(Class::SocketMissing) || incident.is(Class::ConnectRefused)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let found = tie::find(incident, case, |place| matches!(place, Place::Unix(other) if other != path))?;
    tie::verdict(incident, case, found, "")
}
