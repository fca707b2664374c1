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

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "not-an-upstream-fault";

    #[test]
    fn confirmed_by_nginxs_own_words() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            error_log /var/log/nginx/error.log info; http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/ level=info
            epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while sending request to upstream
        "]), @"
        answer: not-an-upstream-fault, over
        confirmed: the clients closed the connection; the upstream did not fail
        - log 14:02:11 x1: epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while sending request to upstream
        ");
    }

    #[test]
    fn ruled_out_by_a_failure_of_the_upstream() {
        // The words differ in a single one.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        ");
    }
}
