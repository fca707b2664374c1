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
    /// the other address family: a listener that is tied to the peer, or the only one on that port.
    /// Where the directive says `localhost`, that one is meant: the name is both `::1` and `127.0.0.1`, and nginx tries both.
    /// Otherwise it has to be an application server, as for `peer-address-mismatch`. A store or a debugger never is.
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
    /// nginx dials ::1 for localhost and is refused.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location /api { proxy_pass http://localhost:8000/v1; } } }
        //- failed 14:02:11 http://[::1]:8000/v1
        connect() failed (111: Connection refused) while connecting to upstream
    ";
    /// The only listener on the port.
    const ON_IPV4: &str = "
        //- process 4120
        python3 -m http.server 8000
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";

    #[test]
    fn confirmed_where_localhost_also_means_ipv4_and_the_application_takes_that_alone() {
        assert_snapshot!(check(ID, [HOST, ON_IPV4]), @"
        answer: peer-family-mismatch, ongoing
        confirmed: http.server (pid 4120) listens on 127.0.0.1:8000, nginx dials [::1]:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect [::1]:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 python3 -m http.server 8000
        - sockets: the directive says localhost, which is both 127.0.0.1 and [::1], and nothing else listens on that port
        - config /etc/nginx/nginx.conf:1: proxy_pass http://localhost:8000/v1;
        fix, unsafe: dial 127.0.0.1:8000
          /etc/nginx/nginx.conf:1: proxy_pass http://localhost:8000/v1; => proxy_pass http://127.0.0.1:8000/v1;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to [::1]:8000
          make http.server (pid 4120) listen on [::1]:8000 again
        ");
    }

    #[test]
    fn confirmed_where_the_listener_is_a_wildcard_of_the_other_family() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120
            app
            //- listen tcp 0.0.0.0:8000 pid=4120
        "]), @"
        answer: peer-family-mismatch, ongoing
        confirmed: app (pid 4120) listens on 0.0.0.0:8000, nginx dials [::1]:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect [::1]:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 0.0.0.0:8000 pid 4120 app
        - sockets: the directive says localhost, which is both 127.0.0.1 and [::1], and nothing else listens on that port
        - config /etc/nginx/nginx.conf:1: proxy_pass http://localhost:8000/v1;
        fix, unsafe: dial 127.0.0.1:8000
          /etc/nginx/nginx.conf:1: proxy_pass http://localhost:8000/v1; => proxy_pass http://127.0.0.1:8000/v1;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to [::1]:8000
          make app (pid 4120) listen on [::1]:8000 again
        ");
    }

    #[test]
    fn confirmed_the_other_way_round() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- process 4120
            node /srv/app/server.js
            //- listen tcp [::1]:8000 pid=4120
        "]), @"
        answer: peer-family-mismatch, ongoing
        confirmed: server.js (pid 4120) listens on [::1]:8000, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN [::1]:8000 pid 4120 node /srv/app/server.js
        - sockets: the only listener on that port, a node that nothing else dials
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, unsafe: dial [::1]:8000
          /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000; => proxy_pass http://[::1]:8000;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make server.js (pid 4120) listen on 127.0.0.1:8000 again
        ");
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
            (HOST, "uwsgi --socket 127.0.0.1:8000 --module app:application"),
            (literal, "/srv/bin/serve"),
            (literal, "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"),
        ] {
            let stranger = format!("
                //- process 4120
                {stranger}
                //- listen tcp 127.0.0.1:8000 pid=4120
            ");
            let said = check(ID, [host, &stranger]);
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
        confirmed: http.server (pid 4120) listens on 127.0.0.1:8000, nginx dials [::1]:8000; another address answered, clients saw no error
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect [::1]:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 python3 -m http.server 8000
        - sockets: the directive says localhost, which is both 127.0.0.1 and [::1], and nothing else listens on that port
        - config /etc/nginx/nginx.conf:4: proxy_pass http://localhost:8000;
        fix, unsafe: dial 127.0.0.1:8000
          /etc/nginx/nginx.conf:4: proxy_pass http://localhost:8000; => proxy_pass http://127.0.0.1:8000;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to [::1]:8000
          make http.server (pid 4120) listen on [::1]:8000 again
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
        - sockets: none of the 0 other listeners is on that port in the other family
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
        leaning: could be meant, but nothing proves it: http.server (pid 4120) on 127.0.0.1:8000
        ");
    }
}
