//! See the doc comment of [`RESPONSE_HEADER_INVALID`].

use facts::Gap;
use log::error::{Class, Protocol, While};

use crate::case::{Case, Speaks};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application sent a response header that nginx does not accept.
    ///
    /// ## Confirmed when
    /// nginx says so, of a peer that the configuration dials. Of uwsgi and SCGI, whose responses have no mark of their own,
    /// only if the application is known to speak the protocol: what another program sends looks like a bad header too.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// None in nginx: the application has to send a well-formed header.
    /// Shown only.
    ///
    /// ## Looks like
    /// `upstream sent invalid header: "X-Bad\x20..." while reading response header from upstream`
    ///
    /// ## See also
    /// `peer-speaks-other-protocol`: what answers is no such application at all.
    pub(crate) static RESPONSE_HEADER_INVALID = {
        id: "response-header-invalid", since: "0.1.0", stage: Request, refines: [],
        judge: Alone(judge),
    }
}

/// What nginx's messages begin with, and what is wrong then.
const KINDS: [(&str, &str); 6] = [
    ("upstream sent duplicate header line", "the same header twice, where only one may be"),
    ("upstream sent \"Content-Length\" and \"Transfer-Encoding\"", "both Content-Length and Transfer-Encoding"),
    ("upstream sent invalid \"Content-Length\"", "a Content-Length that is no number"),
    ("upstream sent unknown \"Transfer-Encoding\"", "a Transfer-Encoding that nginx does not know"),
    ("upstream sent invalid status", "a status that is no number"),
    ("upstream sent HTTP/1.0 response with early hints", "early hints, which HTTP/1.0 does not have"),
];

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::InvalidHeader) && incident.action == Some(While::ReadingResponseHeader)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let proof = proof.and(case.dialled_by(incident)?);
    let proof = match incident.protocol {
        // A status line, a record or a frame came first, as the protocol has it.
        Some(Protocol::Http | Protocol::Https | Protocol::Fastcgi | Protocol::Grpc | Protocol::Grpcs) => proof,
        _ => match case.speaks(incident)? {
            Speaks::Same(exhibit) => proof.and(exhibit),
            Speaks::Unknown(gap) => return Err(gap),
        },
    };
    let sample = incident.sample.as_bytes();
    let decoded = log::error::decode(sample);
    let event = decoded.event().or_else(|| log::error::parse(sample));
    let what = event
        .and_then(|event| KINDS.iter().find(|(message, _)| event.message.starts_with(message.as_bytes())))
        .map_or("a header line with a character that may not stand there", |(_, what)| what);
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("the application sent {what}"),
        proof,
        fixes: vec![Fix {
            summary: "have the application send a well-formed header".to_owned(),
            safety: Safety::DisplayOnly,
            steps: vec![Step::Advice { text: "correct what the application sends: the line of the log quotes it".to_owned() }],
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "response-header-invalid";
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } location /u { uwsgi_pass 127.0.0.1:9000; } } }
    ";

    #[test]
    fn confirmed_by_what_nginx_says() {
        for (message, what) in [
            ("upstream sent invalid header: \"X-Bad\\x20...\"", "a header line with a character that may not stand there"),
            ("upstream sent duplicate header line: \"Content-Length: 3\", previous value: \"Content-Length: 4\"", "the same header twice"),
            ("upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time", "both Content-Length and Transfer-Encoding"),
            ("upstream sent invalid \"Content-Length\" header: \"x\"", "a Content-Length that is no number"),
        ] {
            let failed = format!("
                //- failed 14:04:30 http://127.0.0.1:8000/
                {message} while reading response header from upstream
            ");
            let said = check(ID, [HOST, &failed]);
            assert!(said.contains(&format!("confirmed: the application sent {what}")), "{said}");
        }
    }

    #[test]
    fn confirmed_with_the_line_and_the_directive() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream sent invalid header: \"X-Bad\\x20...\" while reading response header from upstream
        "]), @r#"
        answer: response-header-invalid, ongoing
        confirmed: the application sent a header line with a character that may not stand there
        - log 14:04:30 x1: upstream sent invalid header: "X-Bad\x20..." while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, shown: have the application send a well-formed header
          correct what the application sends: the line of the log quotes it
        "#);
    }

    #[test]
    fn confirmed_of_an_application_that_is_known_to_speak_uwsgi() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00
            uwsgi --socket 127.0.0.1:9000 --wsgi shop
            //- listen tcp 127.0.0.1:9000 pid=4120
            //- failed 14:04:30 uwsgi://127.0.0.1:9000
            upstream sent invalid header: \"X-Bad\\x20...\" while reading response header from upstream
        "]), @r#"
        answer: response-header-invalid, ongoing
        confirmed: the application sent a header line with a character that may not stand there
        - log 14:04:30 x1: upstream sent invalid header: "X-Bad\x20..." while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: uwsgi_pass 127.0.0.1:9000;
        - process: uwsgi (pid 4120) speaks uwsgi, as nginx does: uwsgi --socket 127.0.0.1:9000 --wsgi shop
        fix, shown: have the application send a well-formed header
          correct what the application sends: the line of the log quotes it
        "#);
    }

    #[test]
    fn unknown_of_uwsgi_that_may_be_another_program() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00
            sshd
            //- listen tcp 127.0.0.1:9000 pid=4120
            //- failed 14:04:30 uwsgi://127.0.0.1:9000
            upstream sent invalid header: \"SSH-2.0-OpenSSH_9.2p1 Debian-2\\x0d...\" while reading response header from upstream
        "]), @"
        answer: none, ongoing
        unknown: whether sshd (pid 4120) speaks what nginx speaks to it: no answer of it stands in the access log, and its kind does not tell
        learn: log $upstream_addr and $upstream_header_time
        leaning: sshd (pid 4120) did not answer in time: slow, or deaf to what nginx speaks
        ");
    }

    #[test]
    fn unknown_of_a_peer_that_nothing_dials() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 http://127.0.0.1:8001/
            upstream sent invalid header: \"X-Bad\\x20...\" while reading response header from upstream
        "]), @"
        answer: none, ongoing
        unknown: which directive dials this peer: none on disk does
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream sent too big header while reading response header from upstream
        "]), @"
        answer: response-header-too-big, ongoing
        ruled out
        - log 14:04:30 x1: upstream sent too big header while reading response header from upstream
        ");
    }
}
