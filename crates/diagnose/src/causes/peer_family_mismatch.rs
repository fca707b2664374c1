//! See the doc comment of [`PEER_FAMILY_MISMATCH`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{Proof, Verdict};

declare_cause! {
    /// nginx dials IPv6 and the application listens on IPv4 only, or the reverse.
    ///
    /// ## Confirmed when
    /// The connection is refused now, nothing listens on the dialled address, and the application listens on that port in
    /// the other address family: a listener that is tied to the peer (see `peer-port-mismatch`).
    /// Where the directive says `localhost`, nginx is sent to both `::1` and `127.0.0.1`: then the only listener on that port
    /// is it, if it is an application server that speaks what nginx speaks, ran before the first failure, and no access log
    /// shows that the dialled address has ever answered.
    ///
    /// ## Ruled out when
    /// The failure is not a refused TCP connection or, while it is still refused, a socket listens on the dialled
    /// address, nothing listens on that port in the other family, or the unit that is meant to does not run.
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
    if !incident.is(Class::ConnectRefused) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Tcp(address) = *incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    if let Some(proof) = tie::listens_there(incident, case, address)? {
        return Ok(Verdict::RuledOut(proof));
    }
    let found = tie::find(incident, case, "on that port in the other family", |place| {
        matches!(place, Place::Tcp(other) if other.port() == address.port() && other.is_ipv4() != address.is_ipv4())
    })?;
    let felt = match case.impact(incident)? {
        Some(impact) if impact.failed == 0 && impact.rescued > 0 => "; another address answered, clients saw no error",
        _ => "",
    };
    tie::verdict(incident, case, found, felt)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "peer-family-mismatch";
    /// nginx dials ::1 for localhost and is refused; at 127.0.0.1 it is answered.
    const HOST: &str = r#"
        //- nginx
        //- file /etc/nginx/nginx.conf
        http {
        log_format up '$remote_addr [$time_iso8601] "$request" $status $upstream_addr $upstream_status';
        access_log /var/log/nginx/up.log up;
        server { location /api { proxy_pass http://localhost:8000/v1; } }
        }
        //- failed 14:02:11 http://[::1]:8000/v1
        connect() failed (111: Connection refused) while connecting to upstream
    "#;
    /// What the access log tells of.
    const ANSWERED: &str = r#"
        //- file /var/log/nginx/up.log
        192.0.2.7 [2026-06-23T14:02:11+00:00] "GET /api HTTP/1.1" 502 [::1]:8000 502
        192.0.2.7 [2026-06-23T14:02:12+00:00] "GET /api HTTP/1.1" 200 127.0.0.1:8000 200
    "#;
    /// The only listener on the port.
    const ON_IPV4: &str = "
        //- process 4120
        gunicorn --bind 127.0.0.1:8000 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";

    #[test]
    fn confirmed_where_localhost_also_means_ipv4_and_the_application_takes_that_alone() {
        assert_snapshot!(check(ID, [HOST, ANSWERED, ON_IPV4]), @"
        answer: peer-family-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8000, nginx dials [::1]:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect [::1]:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - lines-since: the directive says localhost, which is both addresses: the access log shows 1 answer of 127.0.0.1:8000, and none of [::1]:8000
        - config /etc/nginx/nginx.conf:4: proxy_pass http://localhost:8000/v1;
        fix, unsafe: dial 127.0.0.1:8000
          /etc/nginx/nginx.conf:4: proxy_pass http://localhost:8000/v1; => proxy_pass http://127.0.0.1:8000/v1;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to [::1]:8000
          make gunicorn (pid 4120) listen on [::1]:8000 again
        ");
    }

    #[test]
    fn confirmed_where_the_listener_is_a_wildcard_of_the_other_family() {
        assert_snapshot!(check(ID, [HOST, ANSWERED, "
            //- process 4120
            gunicorn --bind 0.0.0.0:8000 shop.wsgi
            //- listen tcp 0.0.0.0:8000 pid=4120
        "]), @"
        answer: peer-family-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 0.0.0.0:8000, nginx dials [::1]:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect [::1]:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 0.0.0.0:8000 pid 4120 gunicorn --bind 0.0.0.0:8000 shop.wsgi
        - lines-since: the directive says localhost, which is both addresses: the access log shows 1 answer of 127.0.0.1:8000, and none of [::1]:8000
        - config /etc/nginx/nginx.conf:4: proxy_pass http://localhost:8000/v1;
        fix, unsafe: dial 127.0.0.1:8000
          /etc/nginx/nginx.conf:4: proxy_pass http://localhost:8000/v1; => proxy_pass http://127.0.0.1:8000/v1;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to [::1]:8000
          make gunicorn (pid 4120) listen on [::1]:8000 again
        ");
    }

    #[test]
    fn confirmed_by_what_its_units_journal_says() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- process 4120 start=14:02:10 cgroup=/system.slice/shop.service
            gunicorn --bind [::1]:8000 shop.wsgi
            //- listen tcp [::1]:8000 pid=4120
            //- unit shop.service ActiveState=active SubState=running
            //- journal shop.service
            13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
            14:02:09 stopped
            14:02:10 started
        "]), @"
        answer: peer-family-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on [::1]:8000, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 14:02:10: LISTEN [::1]:8000 pid 4120 gunicorn --bind [::1]:8000 shop.wsgi
        - journal 13:10:00: shop.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, unsafe: dial [::1]:8000
          /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000; => proxy_pass http://[::1]:8000;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make gunicorn (pid 4120) listen on 127.0.0.1:8000 again
        ");
    }

    #[test]
    fn localhost_confirms_unless_the_dialled_address_has_answered() {
        // The application may be down, and a stranger stand at the other address.
        let answered = |addr: &str| format!("
            //- file /var/log/nginx/up.log
            192.0.2.7 [2026-06-23T13:02:00+00:00] \"GET /api HTTP/1.1\" 200 {addr} 200
            192.0.2.7 [2026-06-23T14:02:12+00:00] \"GET /api HTTP/1.1\" 200 127.0.0.1:8000 200
        ");
        let said = check(ID, [HOST, &answered("[::1]:8000"), ON_IPV4]);
        assert!(said.contains("unknown: which listener, if any"), "{said}");
        let said = check(ID, [HOST, ON_IPV4]);
        assert!(said.contains("the directive says localhost, which is both 127.0.0.1 and [::1]"), "{said}");
    }

    #[test]
    fn not_confirmed_by_a_stranger_that_is_alone_on_the_port() {
        let literal = "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://[::1]:8000/v1; } } }
            //- failed 14:02:11 http://[::1]:8000/v1
            connect() failed (111: Connection refused) while connecting to upstream
        ";
        for (host, stranger) in [
            (HOST, "redis-server 127.0.0.1:8000"),
            (HOST, "node --inspect=127.0.0.1:8000 /srv/app/worker.js"),
            (literal, "python3 -m http.server 8000"),
            (HOST, "uwsgi --socket 127.0.0.1:8000 --module app:application"),
            (literal, "/srv/bin/serve"),
            (literal, "node /srv/other/server.js"),
            (literal, "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"),
        ] {
            let stranger = format!("
                //- process 4120
                {stranger}
                //- listen tcp 127.0.0.1:8000 pid=4120
            ");
            let said = check(ID, [host, ANSWERED, &stranger]);
            assert!(said.contains("unknown: which listener, if any"), "{stranger}{said}");
        }
    }

    #[test]
    fn says_that_clients_saw_no_error_where_the_access_log_does() {
        assert_snapshot!(check(ID, [r#"
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            log_format up '$remote_addr [$time_iso8601] "$request" $status $upstream_addr $upstream_status';
            access_log /var/log/nginx/up.log up;
            server { location / { proxy_pass http://localhost:8000; } }
            }
            //- failed 14:02:11 http://[::1]:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- file /var/log/nginx/up.log
            192.0.2.7 [2026-06-23T14:02:11+00:00] "GET / HTTP/1.1" 200 [::1]:8000, 127.0.0.1:8000 502, 200
        "#, ON_IPV4]), @"
        answer: peer-family-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8000, nginx dials [::1]:8000; another address answered, clients saw no error
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect [::1]:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - lines-since: the directive says localhost, which is both addresses: the access log shows 1 answer of 127.0.0.1:8000, and none of [::1]:8000
        - config /etc/nginx/nginx.conf:4: proxy_pass http://localhost:8000;
        fix, unsafe: dial 127.0.0.1:8000
          /etc/nginx/nginx.conf:4: proxy_pass http://localhost:8000; => proxy_pass http://127.0.0.1:8000;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to [::1]:8000
          make gunicorn (pid 4120) listen on [::1]:8000 again
        ");
    }

    #[test]
    fn ruled_out_by_a_dual_stack_listener_that_is_refused_all_the_same() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120
            app
            //- listen tcp [::]:8000 pid=4120
            //- connect [::1]:8000 -> errno 111
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - sockets 12:30:00: LISTEN [::]:8000 pid 4120 app
        - connect 14:05:00: connect [::1]:8000 as nginx's worker: 111: Connection refused
        ");
    }

    #[test]
    fn ruled_out_where_nothing_listens_on_the_port() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect [::1]:8000 as nginx's worker: 111: Connection refused
        - sockets: none of 0 other listeners is on that port in the other family
        ");
    }

    #[test]
    fn unknown_once_the_connection_succeeds() {
        assert_snapshot!(check(ID, [HOST, "
            //- connect [::1]:8000 -> ok
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn not_confirmed_where_another_server_line_dials_the_listener() {
        // Two applications: one lives.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            upstream shop { server [::1]:8000; server 127.0.0.1:8000; }
            server { location / { proxy_pass http://shop; } }
            }
            //- failed 14:02:11 http://[::1]:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", ON_IPV4]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind [::1]:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 127.0.0.1:8000
        ");
    }
}
