//! See the doc comment of [`SOCKET_STALE`].

use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, known};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// A file stands at the socket's path, but nobody listens on it.
    ///
    /// ## Confirmed when
    /// The log shows errno 111 for a unix socket, the file is there, no listening socket has its device and inode, and the
    /// connection is refused now.
    ///
    /// ## Ruled out when
    /// The failure is another one, or something listens on that very file while the connection is still refused.
    ///
    /// ## Fix
    /// Start the application: it removes the left-over file and makes its own.
    /// Unsafe: it starts a service.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream`
    pub(crate) static SOCKET_STALE = {
        id: "socket-stale", since: "0.1.0", stage: Socket, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let Some(PeerAddress::Unix(path)) = &incident.address else {
        return Ok(Verdict::RuledOut(proof));
    };
    if !incident.is(Class::ConnectRefused) {
        return Ok(Verdict::RuledOut(proof));
    }
    let walk = case.walk_as_worker(incident, path)?;
    let Some(file) = walk.file() else {
        return Err(Gap::too_late("what stood at the socket's path", "it does not exist now"));
    };
    let listeners = case.unix_listeners(incident)?;
    if let Some(listener) = listeners.iter().find(|listener| listener.is_file(file.device, file.inode, path)) {
        let again = case.still_failing(incident)?;
        return Ok(Verdict::RuledOut(proof.and(listener.exhibit()).and(again)));
    }
    let again = case.still_failing(incident)?;
    let kind = if file.is_socket() { "a socket that nobody listens on" } else { "no socket at all" };
    let silence = Exhibit::Record {
        probe: "walk",
        at: Some(file.changed),
        text: format!("{} is {kind} ({})", path.display(), file.describe()),
    };
    let owner = known(case.owner(incident))?.flatten();
    let proof = proof.and(again).and(silence).with(owner.iter().flat_map(crate::case::Owner::exhibits));
    let fix = if let Some(owner) = &owner {
        owner.start()
    } else {
            let text = format!("start the application that is to listen on {}", path.display());
            Fix { summary: text.clone(), safety: Safety::DisplayOnly, steps: vec![Step::Advice { text }], verify: Some("why502".to_owned()) }
    };
    let state = owner.as_ref().map(|owner| format!(": {}", owner.state())).unwrap_or_default();
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} is {kind}{state}", path.display()),
        proof,
        fixes: vec![fix],
    }))
}
