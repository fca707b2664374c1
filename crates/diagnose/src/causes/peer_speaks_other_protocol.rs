//! See the doc comment of [`PEER_SPEAKS_OTHER_PROTOCOL`].

use facts::application::SpokenProtocol;
use facts::handshake::Tongue;
use facts::{Gap, Hello, PeerAddress};
use log::error::{Class, Protocol, While};

use crate::case::{Case, Greeted, MESSAGES_KEPT, Reuse, Speaks, TlsError, known, spoken_once, tls_errors};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx speaks one protocol to the peer, and the peer another.
    ///
    /// ## Confirmed when
    /// The bytes that nginx says it got can be of no answer in its protocol (FastCGI, HTTP/2), or the program that has
    /// listened there since before the first failure is set to speak another one, or, with `--handshake`, the peer answers
    /// in another one while it goes on failing: a server that answers in HTTP/2 and does not in HTTP/1 speaks HTTP/2 alone.
    ///
    /// ## Ruled out when
    /// The failure is another one, or the program is set to speak that protocol, or it answered others in it, or, with
    /// `--handshake`, it answers in it. That it speaks TLS says nothing of what it speaks within.
    ///
    /// ## Fix
    /// Have nginx speak what the peer speaks: `http://` for `https://`, `fastcgi_pass` for `proxy_pass`, and so on; or point the
    /// directive to the port where the application speaks what nginx does.
    /// Unsafe where a directive is changed, shown only otherwise.
    ///
    /// ## Looks like
    /// `SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream`
    ///
    /// ## Example
    /// `upstream sent unsupported FastCGI protocol version: 72`: 72 is the H of an HTTP response.
    pub(crate) static PEER_SPEAKS_OTHER_PROTOCOL = {
        id: "peer-speaks-other-protocol", since: "0.1.0", stage: Tls, refines: ["upstream-tls-handshake-fails"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let Some(wanted) = incident.protocol.filter(|_| may_be(incident)) else {
        return Ok(Verdict::RuledOut(proof));
    };
    spoken_once(incident)?;
    let answers = case.has_answered(incident)?;
    // On a kept connection it may be the rest of another response.
    let is_kept = matches!(known(case.reuse(incident))?, Some(Reuse::Kept(_)));
    if let Some(tongue) = by_words(incident).filter(|_| !answers && !is_kept) {
        let proof = proof.and(case.dialled_by(incident)?);
        return Ok(confirmed(incident, case, wanted, tongue, proof));
    }
    let set = known(case.set_to_speak(incident))?.flatten();
    if let Some((spoken, exhibit)) = set {
        match is_same(spoken, wanted) {
            Some(true) => return Ok(Verdict::RuledOut(proof.and(exhibit))),
            Some(false) => {
                let mut proof = proof.and(case.dialled_by(incident)?).and(exhibit);
                // What listens here is whom nginx reaches.
                if matches!(incident.address, Some(PeerAddress::Tcp(_))) {
                    let Ok(direct) = case.unhindered(incident)? else {
                        let why = "a firewall rule stands between it and nginx";
                        return Err(Gap::undecided("what the peer speaks", why));
                    };
                    proof = proof.and(direct);
                }
                if answers {
                    return Err(Gap::undecided("what the peer speaks", "its settings say one thing, its answers another"));
                }
                return Ok(confirmed(incident, case, wanted, tongue_of(spoken), proof));
            }
            None => {}
        }
    }
    if answers
        && known(case.application(incident))?.is_some_and(|application| application.started_before(incident))
        && let Some(Speaks::Same(exhibit)) = known(case.speaks(incident))?
    {
        return Ok(Verdict::RuledOut(proof.and(exhibit)));
    }
    by_experiment(incident, case, wanted, proof)
}

/// Whether a peer of another protocol can fail so.
fn may_be(incident: &Incident) -> bool {
    let Some(class) = incident.failure else {
        return false;
    };
    match class {
        Class::TlsHandshake => tls_errors(incident).is_none_or(|errors| errors.iter().any(|error| error.alert.is_none())),
        Class::TlsHandshakeClosed
        | Class::TlsHandshakeTimeout
        | Class::TlsPlaintextBeforeHandshake
        | Class::PrematureClose
        | Class::ReadTimeout
        | Class::NotHttp
        | Class::NotFastcgi
        | Class::NotHttp2
        | Class::H2ProtocolError
        | Class::InvalidHeader => true,
        Class::ConnectionReset => matches!(incident.action, Some(While::ReadingResponseHeader | While::SendingRequest)),
        _ => false,
    }
}

/// What nginx's own lines say that the peer speaks: all of them the same.
fn by_words(incident: &Incident) -> Option<Spoken> {
    if incident.messages.is_empty() || incident.messages.len() >= MESSAGES_KEPT {
        return None;
    }
    let mut spoken = incident.messages.iter().map(|message| match incident.failure {
        Some(Class::NotFastcgi) => fastcgi_version(message),
        Some(Class::NotHttp2) => frame_length(message),
        _ => None,
    });
    let first = spoken.next()??;
    spoken.all(|other| other == Some(first)).then_some(first)
}

/// The first byte of a FastCGI record is its version, 1 (`ngx_http_fastcgi_process_record`).
fn fastcgi_version(message: &str) -> Option<Spoken> {
    let version = message.strip_prefix("upstream sent unsupported FastCGI protocol version: ")?;
    Some(match version.trim().parse::<u8>().ok()? {
        1 => return None,
        b'H' => Spoken::Known(Tongue::Http),
        b'S' => Spoken::Known(Tongue::Ssh),
        0x14..=0x17 => Spoken::Known(Tongue::Tls),
        _ => return None,
    })
}

/// The first three bytes of an HTTP/2 frame are its length (`ngx_http_grpc_parse_frame`).
fn frame_length(message: &str) -> Option<Spoken> {
    let length = message.strip_prefix("upstream sent too large http2 frame: ")?;
    match length.trim().parse::<u32>().ok()?.to_be_bytes() {
        [0, b'H', b'T', b'T'] => Some(Spoken::Known(Tongue::Http)),
        [0, b'S', b'S', b'H'] => Some(Spoken::Known(Tongue::Ssh)),
        [0, 0x14..=0x17, 3, 0..=4] => Some(Spoken::Known(Tongue::Tls)),
        _ => None,
    }
}

/// What the peer speaks, in place of what nginx does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Known(Tongue),
    /// Something else; what, its bytes do not tell.
    Unknown,
}

/// `None` where a program may speak both: gRPC needs HTTP/2, which the settings do not tell.
fn is_same(spoken: SpokenProtocol, wanted: Protocol) -> Option<bool> {
    match (spoken, wanted) {
        (SpokenProtocol::Http, Protocol::Http)
        | (SpokenProtocol::Https, Protocol::Https)
        | (SpokenProtocol::Uwsgi, Protocol::Uwsgi)
        | (SpokenProtocol::FastCgi, Protocol::Fastcgi)
        | (SpokenProtocol::Scgi, Protocol::Scgi) => Some(true),
        (SpokenProtocol::Http, Protocol::Grpc)
        | (SpokenProtocol::Https, Protocol::Grpcs)
        | (SpokenProtocol::Uwsgi, Protocol::Suwsgi)
        | (_, Protocol::Memcached | Protocol::Stream) => None,
        _ => Some(false),
    }
}

fn tongue_of(spoken: SpokenProtocol) -> Spoken {
    match spoken {
        SpokenProtocol::Http => Spoken::Known(Tongue::Http),
        SpokenProtocol::Https => Spoken::Known(Tongue::Tls),
        SpokenProtocol::Uwsgi => Spoken::Known(Tongue::Uwsgi),
        SpokenProtocol::FastCgi => Spoken::Known(Tongue::FastCgi),
        SpokenProtocol::Scgi => Spoken::Unknown,
    }
}

/// Says hello in the protocols that could be meant, the one that nginx speaks first.
fn by_experiment(incident: &Incident, case: &Case, wanted: Protocol, proof: Proof) -> Result<Verdict, Gap> {
    let missing = "which protocol the peer speaks";
    let tls = Hello::Tls { name: None, tls13: true };
    let hellos: &[Hello] = match wanted {
        // A server that knows no HTTP/2 may answer its preface without a head.
        Protocol::Https | Protocol::Grpcs | Protocol::Suwsgi | Protocol::Http => {
            &[tls, Hello::Http2, Hello::Http1, Hello::FastCgi, Hello::Uwsgi]
        }
        Protocol::Grpc => &[Hello::Http2, tls],
        Protocol::Fastcgi => &[Hello::FastCgi, Hello::Http2, tls, Hello::Uwsgi],
        Protocol::Uwsgi => &[Hello::Uwsgi, Hello::Http2, tls, Hello::FastCgi],
        Protocol::Scgi | Protocol::Memcached | Protocol::Stream => &[],
    };
    let mut greeted: Vec<Greeted> = Vec::new();
    for hello in hellos {
        match case.greet(incident, hello.clone()) {
            Ok(answer) => greeted.push(answer),
            Err(gap) => return Err(leaning(gap, incident)),
        }
        let silent = greeted.iter().filter(|answer| answer.is_silent()).count();
        // One that says nothing twice says nothing the third time.
        if silent > 1 || greeted.last().is_some_and(|answer| answer.tongue().is_some()) {
            break;
        }
    }
    let Some((answer, tongue)) = greeted.last().and_then(|answer| Some((answer, answer.tongue()?))) else {
        return Err(leaning(Gap::undecided(missing, "it answers no hello"), incident));
    };
    case.answers_as_then(incident)?;
    let proof = proof.and(case.dialled_by(incident)?).and(answer.exhibit());
    if (tongue, wanted) == (Tongue::Http2, Protocol::Http) {
        return beside_http2(incident, case, proof);
    }
    if is_tongue(tongue, wanted) {
        return match inside_tls(incident, wanted) {
            Some(gap) if tongue == Tongue::Tls => Err(gap),
            _ => Ok(Verdict::RuledOut(proof)),
        };
    }
    Ok(confirmed(incident, case, wanted, Spoken::Known(tongue), proof))
}

/// What a TLS handshake leaves open where it is not what failed: the protocol within, for which our hello does not ask
/// (ALPN), as nginx's does not either. A server of gRPC, say, closes the connection on HTTP/1 there as well.
fn inside_tls(incident: &Incident, wanted: Protocol) -> Option<Gap> {
    let is_of_tls = matches!(
        incident.failure,
        Some(
            Class::TlsHandshake
                | Class::TlsHandshakeClosed
                | Class::TlsHandshakeTimeout
                | Class::TlsPlaintextBeforeHandshake
        )
    );
    if is_of_tls {
        return None;
    }
    let gap = Gap::undecided("which protocol the peer speaks inside TLS", "its TLS handshake does not tell");
    let is_http = matches!(wanted, Protocol::Https | Protocol::Grpcs);
    Some(match &incident.address {
        Some(PeerAddress::Tcp(address)) if is_http => gap.learn(format!(
            "openssl s_client -connect {address} -alpn h2,http/1.1 </dev/null | grep ALPN"
        )),
        _ => gap,
    })
}

/// A server of HTTP/2 may speak HTTP/1 as well (`h2c` beside it), or not (gRPC): its answer in HTTP/1 tells.
fn beside_http2(incident: &Incident, case: &Case, proof: Proof) -> Result<Verdict, Gap> {
    let leans = "the peer speaks HTTP/2: a server of gRPC, say, speaks no HTTP/1 besides";
    let answer = case.greet(incident, Hello::Http1).map_err(|gap| gap.leaning(leans))?;
    let proof = proof.and(answer.exhibit());
    match answer.tongue() {
        Some(Tongue::Http) => Ok(Verdict::RuledOut(proof)),
        Some(Tongue::Http2) => Ok(confirmed(incident, case, Protocol::Http, Spoken::Known(Tongue::Http2), proof)),
        None if answer.is_hung_up() => Ok(confirmed(incident, case, Protocol::Http, Spoken::Known(Tongue::Http2), proof)),
        _ => Err(Gap::undecided("whether the peer speaks HTTP/1 besides HTTP/2", "its answer to HTTP/1 does not tell").leaning(leans)),
    }
}

/// Whether a peer that answers so can be spoken to in this protocol.
fn is_tongue(tongue: Tongue, wanted: Protocol) -> bool {
    matches!(
        (tongue, wanted),
        (Tongue::Tls, Protocol::Https | Protocol::Grpcs | Protocol::Suwsgi)
            | (Tongue::Http, Protocol::Http)
            | (Tongue::Http2, Protocol::Grpc)
            | (Tongue::FastCgi, Protocol::Fastcgi)
            | (Tongue::Uwsgi, Protocol::Uwsgi)
    )
}

/// Words that a peer of another protocol is known by, though others are too.
fn leaning(gap: Gap, incident: &Incident) -> Gap {
    let hint = match incident.failure {
        Some(Class::TlsHandshake) if tls_errors(incident).is_some_and(|errors| errors.iter().all(TlsError::is_not_tls)) => {
            "the peer probably speaks no TLS: what it answered is no TLS record"
        }
        Some(Class::TlsPlaintextBeforeHandshake) => "the peer probably speaks no TLS: it sent plain text first",
        Some(Class::NotHttp) => "the peer probably speaks no HTTP: what it answered has no status line",
        _ => return gap,
    };
    gap.leaning(hint)
}

fn confirmed(incident: &Incident, case: &Case, wanted: Protocol, spoken: Spoken, proof: Proof) -> Verdict {
    let peer = &incident.peer;
    let summary = match spoken {
        Spoken::Known(tongue) => format!("nginx speaks {wanted} to {peer}, which speaks {}", tongue.name()),
        Spoken::Unknown => format!("nginx speaks {wanted} to {peer}, which speaks something else"),
    };
    let scheme = match (wanted, spoken) {
        (Protocol::Https, Spoken::Known(Tongue::Http)) => Some(("https://", "http://")),
        (Protocol::Http, Spoken::Known(Tongue::Tls)) => Some(("http://", "https://")),
        (Protocol::Grpcs, Spoken::Known(Tongue::Http2)) => Some(("grpcs://", "grpc://")),
        (Protocol::Grpc, Spoken::Known(Tongue::Tls)) => Some(("grpc://", "grpcs://")),
        _ => None,
    };
    let edits = scheme.and_then(|(old, new)| case.with_scheme(incident, old, new).ok().filter(|steps| !steps.is_empty()));
    let fix = match (edits, scheme) {
        (Some(steps), Some((_, new))) => Fix {
            summary: format!("speak {new}"),
            safety: Safety::Unsafe,
            steps,
            verify: Some(AGAIN.to_owned()),
        },
        _ => Fix {
            summary: "have both speak the same".to_owned(),
            safety: Safety::DisplayOnly,
            steps: advice(wanted, spoken),
            verify: Some(AGAIN.to_owned()),
        },
    };
    Verdict::Confirmed(Confirmation { summary, proof, fixes: vec![fix] })
}

fn advice(wanted: Protocol, spoken: Spoken) -> Vec<Step> {
    let pass = match spoken {
        Spoken::Known(Tongue::Http) => Some("proxy_pass http://"),
        Spoken::Known(Tongue::Tls) => Some("proxy_pass https://"),
        Spoken::Known(Tongue::FastCgi) => Some("fastcgi_pass, with include fastcgi_params"),
        Spoken::Known(Tongue::Uwsgi) => Some("uwsgi_pass, with include uwsgi_params"),
        Spoken::Known(Tongue::Http2) => Some("grpc_pass"),
        Spoken::Known(Tongue::Ssh) | Spoken::Unknown => None,
    };
    let mut steps: Vec<Step> = Vec::new();
    steps.extend(pass.map(|pass| Step::Advice { text: format!("dial it with {pass}") }));
    let other = if pass.is_some() { "or point" } else { "point" };
    steps.push(Step::Advice { text: format!("{other} the directive to where the application speaks {wanted}") });
    steps
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "peer-speaks-other-protocol";
    const WRONG_VERSION: &str = "
        //- failed 14:04:30 https://127.0.0.1:8000/
        SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream
    ";
    const HTTPS: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass https://127.0.0.1:8000; } } }
    ";
    const GUNICORN: &str = "
        //- process 4120 start=12:30:00
        gunicorn --bind 127.0.0.1:8000 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";
    const STRANGER: &str = "
        //- process 4120 start=12:30:00
        /srv/bin/serve
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";

    #[test]
    fn confirmed_by_the_settings_of_the_program() {
        assert_snapshot!(check(ID, [HTTPS, WRONG_VERSION, GUNICORN]), @"
        answer: peer-speaks-other-protocol, ongoing
        confirmed: nginx speaks https to 127.0.0.1:8000, which speaks HTTP/1
        - log 14:04:30 x1: SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass https://127.0.0.1:8000;
        - process 12:30:00: gunicorn (pid 4120) speaks http: gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - netfilter-chains: no firewall rule is in force on this host
        fix, unsafe: speak http://
          /etc/nginx/nginx.conf:1: proxy_pass https://127.0.0.1:8000; => proxy_pass http://127.0.0.1:8000;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_by_the_bytes_that_nginx_got() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { fastcgi_pass 127.0.0.1:8000; } } }
            //- failed 14:04:30 fastcgi://127.0.0.1:8000
            upstream sent unsupported FastCGI protocol version: 72 while reading response header from upstream
        "]), @"
        answer: peer-speaks-other-protocol, ongoing
        confirmed: nginx speaks fastcgi to 127.0.0.1:8000, which speaks HTTP/1
        - log 14:04:30 x1: upstream sent unsupported FastCGI protocol version: 72 while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: fastcgi_pass 127.0.0.1:8000;
        fix, shown: have both speak the same
          dial it with proxy_pass http://
          or point the directive to where the application speaks fastcgi
        ");
        for (message, tongue) in [
            ("upstream sent too large http2 frame: 4740180", "HTTP/1"),
            ("upstream sent too large http2 frame: 1377027", "TLS"),
        ] {
            let failed = format!("
                //- nginx
                //- file /etc/nginx/nginx.conf
                http {{ server {{ location / {{ grpc_pass grpc://127.0.0.1:8000; }} }} }}
                //- failed 14:04:30 grpc://127.0.0.1:8000
                {message} while reading response header from upstream
            ");
            let said = check(ID, [&failed]);
            assert!(said.contains(&format!("confirmed: nginx speaks grpc to 127.0.0.1:8000, which speaks {tongue}")), "{said}");
        }
    }

    #[test]
    fn confirmed_of_php_that_is_spoken_to_in_http() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- process 4120 start=12:30:00
            php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- failed 14:04:30 http://127.0.0.1:8000/
            recv() failed (104: Connection reset by peer) while reading response header from upstream
        "]), @"
        answer: peer-speaks-other-protocol, ongoing
        confirmed: nginx speaks http to 127.0.0.1:8000, which speaks FastCGI
        - log 14:04:30 x1: recv() failed (104: Connection reset by peer) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - process 12:30:00: php-fpm (pid 4120) speaks fastcgi: php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
        - netfilter-chains: no firewall rule is in force on this host
        fix, shown: have both speak the same
          dial it with fastcgi_pass, with include fastcgi_params
          or point the directive to where the application speaks http
        ");
    }

    #[test]
    fn confirmed_by_experiment() {
        assert_snapshot!(check(ID, [HTTPS, WRONG_VERSION, STRANGER, "
            //- options handshake
            //- handshake 127.0.0.1:8000 tls1.3
            received 485454502f312e31203430302042616420526571756573740d0a
            refused received corrupt message
        "]), @"
        answer: peer-speaks-other-protocol, ongoing
        confirmed: nginx speaks https to 127.0.0.1:8000, which speaks HTTP/1
        - log 14:04:30 x1: SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass https://127.0.0.1:8000;
        - handshake 14:05:00: TLS handshake without a name: answered in HTTP/1
        fix, unsafe: speak http://
          /etc/nginx/nginx.conf:1: proxy_pass https://127.0.0.1:8000; => proxy_pass http://127.0.0.1:8000;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_where_tls_is_spoken_to_in_http() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
            //- options handshake
            //- handshake 127.0.0.1:8000 tls1.3
            received 160303007a
            tls version=TLSv1.3 suite=TLS13_AES_256_GCM_SHA384
        ", STRANGER]), @"
        answer: peer-speaks-other-protocol, ongoing
        confirmed: nginx speaks http to 127.0.0.1:8000, which speaks TLS
        - log 14:04:30 x1: upstream prematurely closed connection while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - handshake 14:05:00: TLS handshake without a name: finished in TLSv1.3
        fix, unsafe: speak https://
          /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000; => proxy_pass https://127.0.0.1:8000;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    const HTTP_CLOSED: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:04:30 http://127.0.0.1:8000/
        upstream prematurely closed connection while reading response header from upstream
    ";
    const HTTP2: &str = "
        //- options handshake
        //- handshake 127.0.0.1:8000 http2
        received 000000040000000000
    ";

    #[test]
    fn confirmed_of_a_server_of_http2_alone() {
        assert_snapshot!(check(ID, [HTTP_CLOSED, STRANGER, HTTP2]), @"
        answer: peer-speaks-other-protocol, ongoing
        confirmed: nginx speaks http to 127.0.0.1:8000, which speaks HTTP/2
        - log 14:04:30 x1: upstream prematurely closed connection while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - handshake 14:05:00: HTTP/2's preface: answered in HTTP/2
        - handshake 14:05:00: HTTP/1's question to the server (OPTIONS *): closed without an answer
        fix, shown: have both speak the same
          dial it with grpc_pass
          or point the directive to where the application speaks http
        ");
        let frames = "
            //- handshake 127.0.0.1:8000 http1
            received 000000040000000000
        ";
        let said = check(ID, [HTTP_CLOSED, STRANGER, HTTP2, frames]);
        assert!(said.contains("(OPTIONS *): answered in HTTP/2\nfix"), "{said}");
    }

    #[test]
    fn ruled_out_where_a_server_of_http2_speaks_http1_as_well() {
        assert_snapshot!(check(ID, [HTTP_CLOSED, STRANGER, HTTP2, "
            //- handshake 127.0.0.1:8000 http1
            received 485454502f312e31203430302042616420526571756573740d0a
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:30 x1: upstream prematurely closed connection while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - handshake 14:05:00: HTTP/2's preface: answered in HTTP/2
        - handshake 14:05:00: HTTP/1's question to the server (OPTIONS *): answered in HTTP/1
        ");
    }

    #[test]
    fn unknown_where_a_server_of_http2_does_not_tell_of_http1() {
        for answer in ["ended silent", "received 2d455252"] {
            let said = check(ID, [HTTP_CLOSED, STRANGER, HTTP2, &format!("
                //- handshake 127.0.0.1:8000 http1
                {answer}
            ")]);
            assert!(said.contains("unknown: whether the peer speaks HTTP/1 besides HTTP/2"), "{said}");
            assert!(said.contains("leaning: the peer speaks HTTP/2"), "{said}");
        }
    }

    #[test]
    fn ruled_out_where_the_program_is_set_to_speak_it() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        ", GUNICORN]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:30 x1: upstream prematurely closed connection while reading response header from upstream
        - process 12:30:00: gunicorn (pid 4120) speaks http: gunicorn --bind 127.0.0.1:8000 shop.wsgi
        ");
    }

    #[test]
    fn ruled_out_where_it_answers_a_handshake() {
        assert_snapshot!(check(ID, [HTTPS, STRANGER, "
            //- failed 14:04:30 https://127.0.0.1:8000/
            peer closed connection in SSL handshake (104: Connection reset by peer) while SSL handshaking to upstream
            //- options handshake
            //- handshake 127.0.0.1:8000 tls1.3
            received 15030300020228
            alert 40
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:30 x1: peer closed connection in SSL handshake (104: Connection reset by peer) while SSL handshaking to upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass https://127.0.0.1:8000;
        - handshake 14:05:00: TLS handshake without a name: refused with alert 40 (handshake failure)
        ");
    }

    #[test]
    fn unknown_of_what_is_spoken_inside_tls() {
        // A server that speaks HTTP/2 alone does so.
        let tls = "
            //- options handshake
            //- handshake 127.0.0.1:8000 tls1.3
            received 160303007a
            tls version=TLSv1.3 suite=TLS13_AES_256_GCM_SHA384
        ";
        assert_snapshot!(check(ID, [HTTPS, STRANGER, "
            //- failed 14:04:30 https://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        ", tls]), @"
        answer: none, ongoing
        unknown: which protocol the peer speaks inside TLS: its TLS handshake does not tell
        learn: openssl s_client -connect 127.0.0.1:8000 -alpn h2,http/1.1 </dev/null | grep ALPN
        ");
        let grpcs = check(ID, [&HTTPS.replace("proxy_pass https", "grpc_pass grpcs"), STRANGER, "
            //- failed 14:04:30 grpcs://127.0.0.1:8000
            upstream prematurely closed connection while reading response header from upstream
        ", tls]);
        assert!(grpcs.contains("\nunknown: which protocol the peer speaks inside TLS"), "{grpcs}");
    }

    #[test]
    fn ruled_out_by_an_alert() {
        assert_snapshot!(check(ID, [HTTPS, "
            //- failed 14:04:30 https://127.0.0.1:8000/
            SSL_do_handshake() failed (SSL: error:0A00042E:SSL routines::tlsv1 alert protocol version:SSL alert number 70) while SSL handshaking to upstream
        "]), @"
        answer: upstream-tls-handshake-fails, ongoing
        ruled out
        - log 14:04:30 x1: SSL_do_handshake() failed (SSL: error:0A00042E:SSL routines::tlsv1 alert protocol version:SSL alert number 70) while SSL handshaking to upstream
        ");
    }

    #[test]
    fn unknown_where_only_the_line_leans_that_way() {
        assert_snapshot!(check(ID, [HTTPS, WRONG_VERSION, STRANGER]), @"
        answer: none, ongoing
        unknown: what 127.0.0.1:8000 answers: protocol handshakes are sent only when asked for
        learn: why502 --handshake
        leaning: the peer probably speaks no TLS: what it answered is no TLS record
        ");
    }

    #[test]
    fn confirmed_of_a_server_that_answers_a_head_to_its_own_protocol_alone() {
        // "<html>": what Python's http.server answers to a version that it does not know.
        let said = check(ID, [HTTPS, WRONG_VERSION, STRANGER, "
            //- options handshake
            //- handshake 127.0.0.1:8000 tls1.3
            received 3c68746d6c3e
            //- handshake 127.0.0.1:8000 http2
            received 3c68746d6c3e
            //- handshake 127.0.0.1:8000 http1
            received 485454502f312e302035303120556e737570706f72746564
        "]);
        assert!(said.starts_with("answer: peer-speaks-other-protocol, ongoing\n"), "{said}");
        assert!(said.contains("(OPTIONS *): answered in HTTP/1\n"), "{said}");
    }

    #[test]
    fn unknown_where_it_answers_no_hello() {
        assert_snapshot!(check(ID, [HTTPS, WRONG_VERSION, STRANGER, "
            //- options handshake
        "]), @"
        answer: none, ongoing
        unknown: which protocol the peer speaks: it answers no hello
        leaning: the peer probably speaks no TLS: what it answered is no TLS record
        ");
    }

    #[test]
    fn unknown_once_it_is_over() {
        assert_snapshot!(check(ID, [HTTPS, STRANGER, "
            //- failed 14:02:30 https://127.0.0.1:8000/
            SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream
            //- options handshake
            //- handshake 127.0.0.1:8000 tls1.3
            received 485454502f312e31203430302042616420526571756573740d0a
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: it is over
        ");
    }

    #[test]
    fn unknown_where_the_program_started_since() {
        assert_snapshot!(check(ID, [HTTPS, WRONG_VERSION, "
            //- process 4120 start=14:04:40
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: none, ongoing
        unknown: what 127.0.0.1:8000 answers: protocol handshakes are sent only when asked for
        learn: why502 --handshake
        leaning: the peer probably speaks no TLS: what it answered is no TLS record
        ");
    }

    #[test]
    fn unknown_where_the_program_started_in_the_second_of_the_first_failure() {
        let told = |start: &str| check(ID, [HTTPS, WRONG_VERSION, &STRANGER.replace("12:30:00", start), "
            //- options handshake
            //- handshake 127.0.0.1:8000 tls1.3
            received 485454502f312e31203430302042616420526571756573740d0a
            refused received corrupt message
        "]);
        for (start, late) in [
            ("14:04:30.5", Some("started in the same second as the first failure")),
            ("14:04:31", Some("started after the first failure")),
            ("14:04:30", None),
        ] {
            let told = told(start);
            match late {
                Some(late) => assert!(told.contains(&format!("unknown: whether it held when it failed: the program that listens {late}")), "{told}"),
                None => assert!(told.contains("confirmed: nginx speaks https"), "{told}"),
            }
        }
    }

    #[test]
    fn unknown_where_its_file_of_settings_changed_since() {
        assert_snapshot!(check(ID, [HTTPS, WRONG_VERSION, "
            //- process 4120 start=12:30:00
            gunicorn --config /srv/gunicorn.conf.py --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- file /srv/gunicorn.conf.py ctime=14:00:00
            workers = 2
        "]), @"
        answer: none, ongoing
        unknown: what 127.0.0.1:8000 answers: protocol handshakes are sent only when asked for
        learn: why502 --handshake
        leaning: the peer probably speaks no TLS: what it answered is no TLS record
        ");
    }
}
