//! See the doc comment of [`RESPONSE_TRUNCATED`].

use facts::Gap;
use log::error::{Class, While};

use crate::case::{Case, known};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The connection to the application ended before the response's body did: clients have a status of 200 and half a page.
    ///
    /// ## Confirmed when
    /// nginx says that the connection was closed or reset while it read the body, of a peer that the configuration dials.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// None by program: why it closed stands in the application's log, or nowhere.
    ///
    /// ## Looks like
    /// `upstream prematurely closed connection while reading upstream`
    ///
    /// ## See also
    /// `application-crashed`. An application that announces a `Content-Length` larger than what it sends shows the same line.
    pub(crate) static RESPONSE_TRUNCATED = {
        id: "response-truncated", since: "0.1.0", stage: Body, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let reset = incident.is(Class::ConnectionReset) && incident.action == Some(While::ReadingUpstream);
    if !(incident.is(Class::PrematureCloseBody) || reset) {
        return Ok(Verdict::RuledOut(proof));
    }
    let proof = proof.and(case.dialled_by(incident)?);
    let application = known(case.application(incident))?;
    let application = application.filter(|application| application.started_before(incident));
    let said = application.iter().flat_map(|application| application.said(incident));
    let proof = proof.with(said.collect::<Vec<_>>());
    let how = if reset { "reset" } else { "closed" };
    let place = application.map_or_else(
        || "the application's own log".to_owned(),
        |application| format!("the log of {}: {}", application.who(), application.log_place()),
    );
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("the connection was {how} before the response's body ended; clients got a part of it"),
        proof,
        fixes: vec![Fix {
            summary: "find why it ends".to_owned(),
            safety: Safety::DisplayOnly,
            steps: vec![
                Step::Advice { text: format!("read what stands at these seconds in {place}") },
                Step::Advice { text: "compare the Content-Length that it announces with what it sends".to_owned() },
            ],
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "response-truncated";
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
    ";

    #[test]
    fn confirmed_where_it_was_closed() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- link /proc/4120/fd/2 -> /var/log/shop.log
            //- file /var/log/shop.log
            [2026-06-23 14:04:30 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading upstream
        "]), @"
        answer: response-truncated, ongoing
        confirmed: the connection was closed before the response's body ended; clients got a part of it
        - log 14:04:30 x1: upstream prematurely closed connection while reading upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - application-log 14:04:30: [2026-06-23 14:04:30 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        fix, shown: find why it ends
          read what stands at these seconds in the log of gunicorn (pid 4120): /var/log/shop.log
          compare the Content-Length that it announces with what it sends
        ");
    }

    #[test]
    fn confirmed_where_it_was_reset() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 http://127.0.0.1:8000/
            readv() failed (104: Connection reset by peer) while reading upstream
        "]), @"
        answer: response-truncated, ongoing
        confirmed: the connection was reset before the response's body ended; clients got a part of it
        - log 14:04:30 x1: readv() failed (104: Connection reset by peer) while reading upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, shown: find why it ends
          read what stands at these seconds in the application's own log
          compare the Content-Length that it announces with what it sends
        ");
    }

    #[test]
    fn ruled_out_where_the_header_was_not_read() {
        for failure in ["upstream prematurely closed connection", "recv() failed (104: Connection reset by peer)"] {
            let failed = format!("
                //- failed 14:04:30 http://127.0.0.1:8000/
                {failure} while reading response header from upstream
            ");
            let said = check(ID, [HOST, &failed]);
            assert!(said.contains("ruled out"), "{said}");
        }
    }

    #[test]
    fn ruled_out_where_the_body_stalled() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading upstream
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading upstream
        ");
    }

    #[test]
    fn unknown_of_a_peer_that_nothing_dials() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 http://127.0.0.1:8001/
            upstream prematurely closed connection while reading upstream
        "]), @"
        answer: none, ongoing
        unknown: which directive dials this peer: none on disk does
        ");
    }
}
