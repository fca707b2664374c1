use insta::assert_snapshot;

use super::*;
use crate::fixture::Fixture;

/// What a gate finds on the host of a fixture, given in parts.
fn gate(options: &GateOptions, parts: &[&str]) -> (Gate, Vec<String>) {
    let fixture = Fixture::parse(&parts.concat());
    let mut case = Case::new(crate::Options {
        gate: Some(options.clone()),
        ..fixture.options.clone()
    });
    let mut held = Vec::new();
    for _ in 0..60 {
        let wanted = case.plan_gate();
        if wanted.is_empty() {
            break;
        }
        for request in wanted {
            if let ProbeRequest::Conversation(_) = request {
                held.push(request.to_string());
            }
            let record = facts::Probe::ask(&fixture.host, &request);
            case.add(request, record);
        }
    }
    (case.conclude_gate(), held)
}

fn options() -> GateOptions {
    GateOptions {
        http_path: None,
        expect: Vec::new(),
        timeout: std::time::Duration::from_secs(2),
        judges: true,
    }
}

fn shown(gate: &Gate) -> String {
    let mut lines: Vec<String> = gate
        .peers
        .iter()
        .map(|peer| {
            let cause = peer.judged.as_ref().map(|judged| judged.cause);
            let cause = match cause {
                Some(Some(cause)) => format!(" [{}]", cause.id),
                Some(None) => " [not proven]".to_owned(),
                None => String::new(),
            };
            format!(
                "{:?} {:?} {}: {}{cause}",
                peer.outcome, peer.role, peer.peer, peer.says
            )
        })
        .collect();
    lines.extend(
        gate.gaps
            .iter()
            .map(|gap| format!("gap {}: {}", gap.missing, gap.why)),
    );
    lines.push(format!("refused: {}", gate.is_refused()));
    lines.join("\n")
}

/// An application answers on 8000, in place of one an upstream has.
const ANSWERING: &str = "
    //- process 4120 start=13:00:00
    gunicorn --bind 127.0.0.1:8000 shop.wsgi
    //- listen tcp 127.0.0.1:8000 pid=4120
    //- conversation 127.0.0.1:8000 http
    connected us=100
    head status=200 us=900 bytes=120
    took us=1000
    ended whole
";

#[test]
fn every_peer_is_asked_once_a_protocol_and_what_fails_has_its_cause() {
    let (gate, held) = gate(&options(), &["
        //- nginx
        //- file /etc/hosts
        127.0.0.1 localhost
        //- file /etc/nginx/nginx.conf
        events {} stream { server { listen 53 udp; proxy_pass 127.0.0.1:5353; } }
        http {
        upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001 backup; server 127.0.0.1:8002 down; }
        upstream idle { server 127.0.0.1:9999; }
        server { listen 80; server_name shop.example *.shop.example;
        location /api/v2/ { proxy_pass http://shop; }
        location /api/ { proxy_set_header Host $host; proxy_pass http://shop; }
        location ~ x { proxy_pass http://shop/; }
        location /s { proxy_pass http://unix:/run/none.sock; }
        location /l { proxy_pass http://localhost:8000; }
        location /v { proxy_pass http://$arg_b; }
        } }
        //- path /run dir 755 0:0
    ", ANSWERING]);
    assert_snapshot!(shown(&gate), @"
    NotTried InUse 127.0.0.1:5353: it is sent datagrams: no connection tells of it
    Ready InUse 127.0.0.1:8000: 200 after 0.9 ms
    Failing Backup 127.0.0.1:8001: 111: Connection refused [peer-not-listening]
    NotTried Down 127.0.0.1:8002: marked down: nginx does not dial it
    Failing InUse unix:/run/none.sock: 2: No such file or directory [socket-missing]
    Ready InUse 127.0.0.1:8000: 200 after 0.9 ms
    gap the peers of proxy_pass http://$arg_b: $arg_b has its value when a request comes, and its names are looked up then
    refused: true
    ");
    assert_snapshot!(held.join("\n"), @"
    conversation 2842 127.0.0.1:8000 plain http /api/ 2000
    conversation 2842 127.0.0.1:8000 plain http /l 2000
    conversation 2842 127.0.0.1:8001 plain http /api/ 2000
    conversation 2842 unix:/run/none.sock plain http /s 2000
    ");
}

const SITE: &str = "
    //- nginx
    //- file /etc/nginx/nginx.conf
    events {} http { server { listen 443 ssl; server_name shop.example;
    location /api/ { proxy_http_version 1.1; proxy_set_header Host $host; proxy_pass http://127.0.0.1:8000/v2/; }
    } }
";

fn heard(answer: &str, options: &GateOptions) -> String {
    let answer = format!(
        "
        //- process 4120 start=13:00:00
        gunicorn --bind 127.0.0.1:8000 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120
        //- conversation 127.0.0.1:8000 http
        connected us=100
        {answer}
        took us=1000
    "
    );
    shown(&gate(options, &[SITE, &answer]).0)
}

#[test]
fn what_comes_back_is_taken_as_nginx_takes_it() {
    for (answer, wanted) in [
        (
            "head status=404 us=900 bytes=120",
            "Ready InUse 127.0.0.1:8000: 404 after 0.9 ms\nrefused: false",
        ),
        (
            "head status=503 us=900 bytes=120",
            "Failing InUse 127.0.0.1:8000: 503 after 0.9 ms, expected 200-499 [application-answered-5xx]\nrefused: true",
        ),
        (
            "ended closed",
            "Failing InUse 127.0.0.1:8000: it closed the connection without an answer",
        ),
        (
            "ended errno 104",
            "Failing InUse 127.0.0.1:8000: the connection ended with 104: Connection reset by peer",
        ),
        (
            "ended silent",
            "Failing InUse 127.0.0.1:8000: no answer in 2.0 s",
        ),
        (
            "refused a header without end",
            "Failing InUse 127.0.0.1:8000: a response header without end",
        ),
        (
            "refused a doubtful header",
            "Unclear InUse 127.0.0.1:8000: its response has a header line that nginx may refuse",
        ),
        (
            "received 5353482d322e30\nrefused no HTTP response",
            "Failing InUse 127.0.0.1:8000: it answered in SSH",
        ),
    ] {
        let said = heard(answer, &options());
        assert!(said.starts_with(wanted), "{said}");
    }
}

#[test]
fn a_path_that_was_named_has_to_be_there() {
    let named = GateOptions {
        http_path: Some("/healthz".to_owned()),
        ..options()
    };
    let said = heard("head status=404 us=900 bytes=120", &named);
    assert!(said.starts_with("Failing"), "{said}");
    let (gate, held) = gate(&named, &[SITE, ANSWERING]);
    assert!(!gate.is_refused());
    assert_eq!(
        held,
        ["conversation 2842 127.0.0.1:8000 plain http /healthz 2000"]
    );
    assert_eq!(
        gate.peers[0].tried[1],
        "GET /healthz HTTP/1.1, Host: shop.example"
    );
}

#[test]
fn what_the_policy_denies_to_the_worker_fails_though_it_connects() {
    let enforcing = "
        //- selinux enforcing
        //- context 2841 system_u:system_r:httpd_t:s0
        //- context 2842 system_u:system_r:httpd_t:s0
    ";
    let (gate, _) = gate(&options(), &[SITE, ANSWERING, enforcing]);
    let said = shown(&gate);
    assert!(
        said.starts_with(
            "Failing InUse 127.0.0.1:8000: 13: Permission denied for nginx's worker: "
        ),
        "{said}"
    );
    assert!(gate.is_refused());
}

#[test]
fn a_candidate_is_asked_as_the_worker_that_runs() {
    let options_of = "//- options config=/srv/new.conf\n";
    let new = "
        //- path /srv/new.conf file 644 0:0 dev=1 ino=77
        //- file /srv/new.conf
        events {} http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
    ";
    let (gate, held) = gate(&options(), &[options_of, SITE, new, ANSWERING]);
    assert!(gate.is_candidate && !gate.is_refused());
    assert_eq!(gate.master, Some(2841));
    assert_eq!(held, ["conversation 2842 127.0.0.1:8000 plain http / 2000"]);
}

#[test]
fn where_nginx_does_not_run_it_is_asked_as_the_user_that_is_set() {
    let (_, held) = gate(&options(), &["
        //- options config=/srv/new.conf
        //- file /proc/self/status
        Uid:\t0\t0\t0\t0
        Gid:\t0\t0\t0\t0
        Groups:\t0
        //- file /etc/passwd
        www-data:x:33:33::/var/www:/bin/sh
        //- file /etc/group
        www-data:x:33:
        shop:x:50:www-data
        //- file /srv/new.conf
        user www-data; events {} http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
    "]);
    assert_eq!(
        held,
        ["conversation 33:33,50 127.0.0.1:8000 plain http / 2000"]
    );
}

#[test]
fn a_peer_of_another_protocol_is_found_out_within_the_time() {
    let host = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        events {} http { server { location / { proxy_pass https://127.0.0.1:8000; } } }
        //- process 4120 start=13:00:00
        app
        //- listen tcp 127.0.0.1:8000 pid=4120
        //- conversation 127.0.0.1:8000 http
        connected us=100
        ended closed
        took us=500000
        //- conversation 127.0.0.1:8000 tls1.3
        received 485454502f312e31
        refused received corrupt message
        took us=1000
    ";
    let (gate, held) = gate(&options(), &[host]);
    assert_snapshot!(shown(&gate), @"
    Failing InUse 127.0.0.1:8000: it closed the connection in the TLS handshake [peer-speaks-other-protocol]
    refused: true
    ");
    // What the first took is taken from the time of the second.
    assert_snapshot!(held.join("\n"), @"
    conversation 2842 127.0.0.1:8000 over-tls1.2 http / 2000
    conversation 2842 127.0.0.1:8000 plain tls1.3 1500
    ");
}
