//! See the doc comment of [`NOT_AN_UPSTREAM_FAULT`].

use facts::Gap;
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::verdict::{Confirmation, Proof, Verdict};

declare_cause! {
    /// The line speaks of the client, not of the upstream.
    ///
    /// ## Confirmed when
    /// nginx's own words say that the client closed the connection (`client prematurely closed connection, so upstream
    /// connection is closed too`): the upstream had no part in it.
    ///
    /// ## Ruled out when
    /// nginx's words name a failure of the upstream.
    ///
    /// ## Fix
    /// None is needed.
    /// Many such lines with long waits before them mean that clients give up: then the application is slow.
    ///
    /// ## Looks like
    /// `epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while
    /// sending request to upstream`
    pub(crate) static NOT_AN_UPSTREAM_FAULT = {
        id: "not-an-upstream-fault", since: "0.1.0", stage: Nginx, refines: [],
        judge: Alone(judge),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every judge has this shape")]
fn judge(incident: &Incident, _case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::ClientAbort) {
        return Ok(Verdict::RuledOut(proof));
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: "the clients closed the connection; the upstream did not fail".to_owned(),
        proof,
        fixes: Vec::new(),
    }))
}
