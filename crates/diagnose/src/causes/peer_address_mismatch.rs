//! See the doc comment of [`PEER_ADDRESS_MISMATCH`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{Proof, Verdict};

declare_cause! {
    /// The application listens on the dialled port, but on another address.
    ///
    /// ## Confirmed when
    /// The connection is refused now, nothing listens on the dialled address, and the application is bound to another
    /// address of the same family on that port: a listener that is tied to the peer (see `peer-port-mismatch`). To be the only
    /// listener on that port ties nothing, whatever it speaks: it may be another's, while the application is down.
    ///
    /// ## Ruled out when
    /// The failure is not a refused TCP connection or, while it is still refused, a socket listens on the dialled
    /// address, nothing else listens on that port, or the unit that is meant to does not run.
    ///
    /// ## Fix
    /// Make nginx dial the address the application is bound to (or bind the application where nginx dials).
    /// Unsafe: which of the two is right is a person's decision.
    ///
    /// ## Looks like
    /// `connect() failed (111: Connection refused) while connecting to upstream`
    pub(crate) static PEER_ADDRESS_MISMATCH = {
        id: "peer-address-mismatch", since: "0.1.0", stage: Connect, refines: ["peer-not-listening"],
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
    let kind = "on that port at another address of that family";
    let found = tie::find(incident, case, kind, |place| {
        matches!(place, Place::Tcp(other) if other.port() == address.port()
            && other.is_ipv4() == address.is_ipv4()
            && other.ip() != address.ip())
    })?;
    tie::verdict(incident, case, found, "")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "peer-address-mismatch";
    /// nginx dials 127.0.0.1:8000 and is refused.
    const HOST: &str = "
        //- nginx
        //- local 10.0.0.5
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:02:11 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
    ";
    /// The only listener on the port; its unit's journal says that it listened on 127.0.0.1 before.
    const ELSEWHERE: &str = "
        //- process 4120 start=14:02:10 cgroup=/system.slice/shop.service
        gunicorn --bind 10.0.0.5:8000 shop.wsgi
        //- listen tcp 10.0.0.5:8000 pid=4120
        //- unit shop.service ActiveState=active SubState=running
        //- journal shop.service
        13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        14:02:09 stopped
        14:02:10 started
    ";

    #[test]
    fn confirmed_by_what_its_units_journal_says() {
        assert_snapshot!(check(ID, [HOST, ELSEWHERE]), @"
        answer: peer-address-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 10.0.0.5:8000, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 14:02:10: LISTEN 10.0.0.5:8000 pid 4120 gunicorn --bind 10.0.0.5:8000 shop.wsgi
        - journal 13:10:00: shop.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, unsafe: dial 10.0.0.5:8000
          /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000; => proxy_pass http://10.0.0.5:8000;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make gunicorn (pid 4120) listen on 127.0.0.1:8000 again
        ");
    }

    #[test]
    fn not_confirmed_by_being_alone_on_the_port() {
        for stranger in [
            "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
            "/usr/bin/redis-server 10.0.0.5:8000",
            "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main",
            "java -jar app.jar",
            "/srv/bin/serve",
            "node --inspect=10.0.0.5:8000 /srv/app/worker.js",
            "uwsgi --socket 10.0.0.5:8000 --module app:application",
            "gunicorn --bind 10.0.0.5:8000 --certfile c.pem --keyfile k.pem app:application",
            "gunicorn --bind 10.0.0.5:8000 app:application",
            "python3 -m http.server -b 10.0.0.5 8000",
            "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)",
        ] {
            let stranger = format!("
                //- process 4120
                {stranger}
                //- listen tcp 10.0.0.5:8000 pid=4120
            ");
            let said = check(ID, [HOST, &stranger]);
            assert!(said.contains("unknown: which listener, if any"), "{stranger}{said}");
        }
    }

    #[test]
    fn not_confirmed_by_what_was_started_after_the_first_failure() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=14:02:13
            gunicorn --bind 10.0.0.5:8000 shop.wsgi
            //- listen tcp 10.0.0.5:8000 pid=4120
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 10.0.0.5:8000, started only after the first failure
        ");
    }

    #[test]
    fn ruled_out_where_nothing_else_listens_on_the_port() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120
            app
            //- listen tcp 10.0.0.5:8001 pid=4120
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: none of 1 other listener is on that port at another address of that family
        ");
    }

    #[test]
    fn ruled_out_where_a_wildcard_listens_and_the_connection_is_refused_all_the_same() {
        assert_snapshot!(check(ID, [HOST, ELSEWHERE, "
            //- process 4121
            app
            //- listen tcp 0.0.0.0:8000 pid=4121
            //- connect 127.0.0.1:8000 -> errno 111
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - sockets 12:30:00: LISTEN 0.0.0.0:8000 pid 4121 app
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        ");
    }

    #[test]
    fn unknown_once_the_dialled_address_answers() {
        // What listened there before, nobody knows.
        assert_snapshot!(check(ID, [HOST, ELSEWHERE, "
            //- process 4121 start=14:03:00
            app
            //- listen tcp 127.0.0.1:8000 pid=4121
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_once_nothing_listens_on_the_port_and_the_failure_is_another() {
        assert_snapshot!(check(ID, [HOST, "
            //- connect 127.0.0.1:8000 -> timeout
        "]), @"
        answer: none, ongoing
        unknown: whether it held when it failed: it fails in another way now (connect 127.0.0.1:8000 as nginx's worker: no answer)
        ");
    }

    #[test]
    fn unknown_when_nothing_may_be_sent() {
        assert_snapshot!(check(ID, [HOST, ELSEWHERE, "
            //- options no-connect
        "]), @"
        answer: none, over
        unknown: whether 127.0.0.1:8000 still fails: --no-connect sends nothing
        learn: why502   (without --no-connect)
        ");
    }

    #[test]
    fn unknown_where_a_rule_may_send_the_connection_elsewhere() {
        assert_snapshot!(check(ID, [HOST, ELSEWHERE, "
            //- chain ip nat output rules=2
        "]), @"
        answer: none, ongoing
        unknown: the firewall's rules: they could not be listed
        learn: sudo nft list ruleset
        ");
    }

    #[test]
    fn not_confirmed_by_another_upstreams_application() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- local 10.0.0.5
            //- file /etc/nginx/nginx.conf
            http {
            upstream shop { server 127.0.0.1:8000; server 10.0.0.5:8000; }
            server { location / { proxy_pass http://shop; } }
            }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", ELSEWHERE]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 10.0.0.5:8000
        ");
    }

    #[test]
    fn not_confirmed_by_what_another_nginx_dials() {
        assert_snapshot!(check(ID, [HOST, ELSEWHERE, "
            //- incident 127.0.0.1:8000
            //- nginx master=3841 workers=3842 args=-c,/srv/other.conf
            //- file /srv/other.conf
            error_log /srv/other.log; http { server { location / { proxy_pass http://10.0.0.5:8000; } } }
            //- file /srv/other.log
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 10.0.0.5:8000
        ");
    }

    #[test]
    fn not_confirmed_by_what_a_name_in_the_configuration_stands_for() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- local 10.0.0.5
            //- command getent ahosts blog.internal
            10.0.0.5 STREAM blog.internal
            //- file /etc/nginx/nginx.conf
            http { server {
            location / { proxy_pass http://127.0.0.1:8000; }
            location /blog { proxy_pass http://blog.internal:8000; }
            } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", ELSEWHERE]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 10.0.0.5:8000
        ");
    }

    #[test]
    fn not_confirmed_by_nginx_itself() {
        // It listens at its own address and dials the same port on loopback.
        assert_snapshot!(check(ID, [HOST, "
            //- listen tcp 10.0.0.5:8000 pid=2841,2842
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: none of 0 other listeners is on that port at another address of that family
        ");
    }

    #[test]
    fn not_confirmed_where_nobody_knows_whether_nginx_holds_the_listener() {
        assert_snapshot!(check(ID, [HOST, "
            //- listen tcp 10.0.0.5:8000
            //- owners denied=9
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: a process that could not be named on 10.0.0.5:8000
        ");
    }

    #[test]
    fn ruled_out_by_a_unit_that_is_meant_to_listen_there_and_does_not_run() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120
            exporter
            //- listen tcp 10.0.0.5:8000 pid=4120
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/srv/shop/venv/bin/gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- unit shop.service ActiveState=failed SubState=failed Result=exit-code ExecMainCode=1 ExecMainStatus=203
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - unit: shop.service has failed (exit-code, status 203)
        ");
    }

    #[test]
    fn ruled_out_where_the_application_is_known_to_be_another() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- local 10.0.0.5
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server 127.0.0.1:8000; } server { location / { proxy_pass http://shop; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- process 5000
            exporter
            //- listen tcp 10.0.0.5:8000 pid=5000
            //- process 4120 start=14:02:10 cgroup=/system.slice/shop.service
            gunicorn --bind 127.0.0.1:8001 shop.wsgi
            //- listen tcp 127.0.0.1:8001 pid=4120
            //- unit shop.service ActiveState=active SubState=running
            //- journal shop.service
            13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
            14:02:09 stopped
            14:02:10 started
        "]), @"
        answer: peer-port-mismatch, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: its application is gunicorn (pid 4120), on 127.0.0.1:8001
        ");
    }

    #[test]
    fn not_confirmed_by_a_stranger_where_a_unit_is_meant_to_listen() {
        // It runs, and does not listen yet.
        assert_snapshot!(check(ID, [HOST, "
            //- process 5000
            exporter
            //- listen tcp 10.0.0.5:8000 pid=5000
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/srv/bin/serve --bind 127.0.0.1:8000
            //- unit shop.service ActiveState=active SubState=running
            //- process 4120 cgroup=/system.slice/shop.service
            /srv/bin/serve --bind 127.0.0.1:8000
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: exporter (pid 5000) on 10.0.0.5:8000
        ");
    }

    #[test]
    fn unknown_of_another_hosts_address() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://10.0.0.9:8000; } } }
            //- failed 14:02:11 http://10.0.0.9:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- connect 10.0.0.9:8000 -> errno 111
            //- process 4120
            app
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: none, ongoing
        unknown: what listens on 10.0.0.9:8000: it is another host's address
        learn: ss -ltnp 'sport = :8000'   (on 10.0.0.9)
        ");
    }
}
