//! See the doc comment of [`SOCKET_MISSING`].

use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, known};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The unix socket that nginx dials does not exist.
    ///
    /// ## Confirmed when
    /// The log shows errno 2, the path does not exist as nginx's worker sees it, and it does not exist in the host's own
    /// view either (else it is hidden from nginx, not missing).
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Start the application that makes the socket. Unsafe: it starts a service.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream`
    ///
    /// ## See also
    /// `socket-path-mismatch` says more: the application listens on another path.
    pub(crate) static SOCKET_MISSING = {
        id: "socket-missing", since: "0.1.0", stage: Socket, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let Some(PeerAddress::Unix(path)) = &incident.address else {
        return Ok(Verdict::RuledOut(proof));
    };
    if !incident.is(Class::SocketMissing) {
        return Ok(Verdict::RuledOut(proof));
    }
    let walk = case.walk_as_worker(incident, path)?;
    let Some(missing) = walk.missing() else {
        return Err(Gap::too_late("whether the socket was there", "it exists now")
            .leaning(format!("{} exists now; when it failed it did not", path.display())));
    };
    if case.exists_outside(incident, path)? {
        return Err(Gap::undecided("why nginx does not see the socket", "it exists in the host's view")
            .leaning(format!("{} exists, but not in nginx's view: its mounts or root hide it", path.display())));
    }
    let absent = Exhibit::Record { probe: "walk", at: None, text: format!("{} does not exist", missing.display()) };
    let mut proof = proof.and(absent);
    if let Some(again) = known(case.still_failing(incident))? {
        proof = proof.and(again);
    } else if case.connects() {
        return Err(Gap::too_late("whether the socket was missing", "the connection no longer fails so"));
    }
    // An application whose socket file was removed listens on where nobody can reach it.
    if let Some(deaf) = case.unix_listeners(incident)?.iter().find(|listener| listener.path.as_deref() == Some(path)) {
        return Ok(Verdict::Confirmed(Confirmation {
            summary: format!("{} does not exist; {} still listens on the file that was removed", path.display(), deaf.who()),
            proof: proof.and(deaf.exhibit()),
            fixes: vec![advice(format!("restart {}, which makes the socket anew", deaf.who()))],
        }));
    }
    let owner = known(case.owner(incident))?.flatten();
    let (summary, fix) = match &owner {
        Some(owner) => (format!("{} does not exist: {}", path.display(), owner.state()), owner.start()),
        None => (
            format!("{} does not exist", missing.display()),
            advice(format!("start the application that is to listen on {}, or correct the path", path.display())),
        ),
    };
    let proof = proof.with(owner.iter().flat_map(crate::case::Owner::exhibits));
    Ok(Verdict::Confirmed(Confirmation { summary, proof, fixes: vec![fix] }))
}

fn advice(text: String) -> Fix {
    Fix {
        summary: text.clone(),
        safety: Safety::DisplayOnly,
        steps: vec![Step::Advice { text }],
        verify: Some("why502".to_owned()),
    }
}
