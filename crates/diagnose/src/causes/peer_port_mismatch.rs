//! See the doc comment of [`PEER_PORT_MISMATCH`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{Proof, Verdict};

declare_cause! {
    /// The application listens on another port than the one nginx dials.
    ///
    /// ## Confirmed when
    /// The connection is refused now, nothing listens on the dialled address nor redirects it, and a listener on another
    /// port is tied to this peer. What ties speaks of both: it runs in the unit whose file or php-fpm pool is set to listen
    /// on the dialled address, or its unit's journal says that it listened there before it was started anew.
    /// The upstream's name ties only the one listener that bears it, and only an application server all of whose names say
    /// it (module, `--name`, unit) and that runs in a directory of that name whose path says nothing else: a copy bears the
    /// name too, but stands elsewhere. Nor does one tie that another pass dials, whose command line names the dialled port, or
    /// that ran already when the peer last answered. These become hints at most.
    ///
    /// ## Ruled out when
    /// The failure is not a refused TCP connection or, while it is still refused, a socket listens on the dialled
    /// address, no other socket listens that could be the application, or the unit that is meant to does not run.
    ///
    /// ## Fix
    /// Make nginx dial the port the application listens on (or the application bind the port that nginx dials).
    /// Unsafe: which of the two is right is a person's decision.
    ///
    /// ## Looks like
    /// `connect() failed (111: Connection refused) while connecting to upstream`
    pub(crate) static PEER_PORT_MISMATCH = {
        id: "peer-port-mismatch", since: "0.1.0", stage: Connect, refines: ["peer-not-listening"],
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
    let found = tie::find(incident, case, "on another TCP port", |place| {
        matches!(place, Place::Tcp(other) if other.port() != address.port())
    })?;
    tie::verdict(incident, case, found, "")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "peer-port-mismatch";
    /// nginx dials 127.0.0.1:8000 for the upstream shop and is refused.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http {
        upstream shop { server 127.0.0.1:8000 weight=2; }
        server { location / { proxy_pass http://shop; } }
        }
        //- failed 14:02:11 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
    ";
    /// Its unit's journal says that it listened on 127.0.0.1:8000.
    const MOVED: &str = "
        //- unit crm.service ActiveState=active SubState=running
        //- journal crm.service
        13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        14:02:09 stopped
        14:02:10 started
    ";
    /// It listens on another port now.
    const GUNICORN: &str = "
        //- process 4120 start=14:02:10 cgroup=/system.slice/crm.service
        gunicorn --bind 127.0.0.1:8001 crm.wsgi
        //- listen tcp 127.0.0.1:8001 pid=4120
    ";

    #[test]
    fn confirmed_by_what_its_units_journal_says() {
        assert_snapshot!(check(ID, [HOST, MOVED, GUNICORN]), @"
        answer: peer-port-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 14:02:10: LISTEN 127.0.0.1:8001 pid 4120 gunicorn --bind 127.0.0.1:8001 crm.wsgi
        - journal 13:10:00: crm.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        - config /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2;
        fix, unsafe: dial 127.0.0.1:8001
          /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2; => server 127.0.0.1:8001 weight=2;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make gunicorn (pid 4120) listen on 127.0.0.1:8000 again
        ");
    }

    #[test]
    fn unknown_where_a_rule_refuses_it_before() {
        assert_snapshot!(check(ID, [HOST, MOVED, GUNICORN, "
            //- iptables
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -p tcp -m tcp --dport 8000 -j REJECT --reject-with tcp-reset
        "]), @"
        answer: firewall-rejects-connect, ongoing
        unknown: what the connection meets behind the firewall: a rule refuses it before: table ip filter, chain OUTPUT: -A OUTPUT -p tcp -m tcp --dport 8000 -j REJECT --reject-with tcp-reset
        leaning: gunicorn (pid 4120) listens on 127.0.0.1:8001: that comes next, once the firewall lets the connection pass
        ");
    }

    #[test]
    fn confirmed_by_a_master_whose_workers_listen() {
        assert_snapshot!(check(ID, [HOST, MOVED, "
            //- process 4120 start=14:02:10 cgroup=/system.slice/crm.service
            gunicorn --bind 127.0.0.1:8001 crm.wsgi
            //- process 4121 ppid=4120 start=14:02:11 cgroup=/system.slice/crm.service
            gunicorn --bind 127.0.0.1:8001 crm.wsgi
            //- listen tcp 127.0.0.1:8001 pid=4120,4121
        "]), @"
        answer: peer-port-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 14:02:10: LISTEN 127.0.0.1:8001 pid 4120 gunicorn --bind 127.0.0.1:8001 crm.wsgi
        - journal 13:10:00: crm.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        - config /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2;
        fix, unsafe: dial 127.0.0.1:8001
          /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2; => server 127.0.0.1:8001 weight=2;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make gunicorn (pid 4120) listen on 127.0.0.1:8000 again
        ");
    }

    #[test]
    fn not_confirmed_by_the_name_of_its_unit() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 cgroup=/system.slice/shop.service
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8001 pid=4120
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: serve (pid 4120) on 127.0.0.1:8001
        ");
    }

    #[test]
    fn confirmed_among_many_strangers() {
        let stranger = |idx: u32| {
            let pid = 5000 + idx;
            format!("//- process {pid}\nstranger\n//- listen tcp 127.0.0.1:{} pid={pid}\n", 9000 + idx)
        };
        let strangers: String = (0..60).map(stranger).collect();
        assert_snapshot!(check(ID, [HOST, MOVED, GUNICORN, &strangers]), @"
        answer: peer-port-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 14:02:10: LISTEN 127.0.0.1:8001 pid 4120 gunicorn --bind 127.0.0.1:8001 crm.wsgi
        - journal 13:10:00: crm.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        - config /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2;
        fix, unsafe: dial 127.0.0.1:8001
          /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2; => server 127.0.0.1:8001 weight=2;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make gunicorn (pid 4120) listen on 127.0.0.1:8000 again
        ");
    }

    #[test]
    fn confirmed_beside_a_stranger_on_the_same_port_elsewhere() {
        assert_snapshot!(check(ID, [HOST, MOVED, GUNICORN, "
            //- local 10.0.0.5
            //- process 5000
            exporter
            //- listen tcp 10.0.0.5:8000 pid=5000
        "]), @"
        answer: peer-port-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 14:02:10: LISTEN 127.0.0.1:8001 pid 4120 gunicorn --bind 127.0.0.1:8001 crm.wsgi
        - journal 13:10:00: crm.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        - config /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2;
        fix, unsafe: dial 127.0.0.1:8001
          /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2; => server 127.0.0.1:8001 weight=2;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make gunicorn (pid 4120) listen on 127.0.0.1:8000 again
        ");
    }

    #[test]
    fn ruled_out_where_nothing_else_listens() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: none of 0 other listeners is on another TCP port
        ");
    }

    #[test]
    fn ruled_out_where_a_socket_listens_and_the_connection_is_refused_all_the_same() {
        assert_snapshot!(check(ID, [HOST, MOVED, GUNICORN, "
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
        assert_snapshot!(check(ID, [HOST, MOVED, GUNICORN, "
            //- process 4121
            app
            //- listen tcp 127.0.0.1:8000 pid=4121
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_where_nothing_else_listens_any_more() {
        assert_snapshot!(check(ID, [HOST, "
            //- connect 127.0.0.1:8000 -> ok
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_where_a_rule_may_send_the_connection_elsewhere() {
        assert_snapshot!(check(ID, [HOST, MOVED, GUNICORN, "
            //- chain inet nat output rules=1
        "]), @"
        answer: none, ongoing
        unknown: the firewall's rules: they could not be listed
        learn: sudo nft list ruleset
        ");
    }

    #[test]
    fn unknown_without_the_right_to_see_who_listens() {
        assert_snapshot!(check(ID, [HOST, "
            //- listen tcp 127.0.0.1:8001
            //- owners denied=9
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: a process that could not be named on 127.0.0.1:8001
        ");
    }

    #[test]
    fn not_confirmed_by_a_stranger() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120
            node /srv/blog/server.js
            //- listen tcp 127.0.0.1:8001 pid=4120
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: server.js (pid 4120) on 127.0.0.1:8001
        ");
    }

    #[test]
    fn not_confirmed_by_a_similar_name() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120
            gunicorn workshop.wsgi
            //- listen tcp 127.0.0.1:8001 pid=4120
            //- process 4121
            gunicorn shop2.wsgi
            //- listen tcp 127.0.0.1:8002 pid=4121
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 127.0.0.1:8001, gunicorn (pid 4121) on 127.0.0.1:8002
        ");
    }

    #[test]
    fn not_confirmed_where_two_listened_there_before() {
        assert_snapshot!(check(ID, [HOST, MOVED, GUNICORN, "
            //- process 4121 start=14:02:10 cgroup=/system.slice/blog.service
            gunicorn --bind 127.0.0.1:8002 blog.wsgi
            //- listen tcp 127.0.0.1:8002 pid=4121
            //- unit blog.service ActiveState=active SubState=running
            //- journal blog.service
            13:05:00 [2026-06-23 13:05:00 +0000] [800] [INFO] Listening at: http://127.0.0.1:8000 (800)
            14:02:09 stopped
            14:02:10 started
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: more than one is tied to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 127.0.0.1:8001, gunicorn (pid 4121) on 127.0.0.1:8002
        ");
    }

    #[test]
    fn not_confirmed_by_what_else_the_unit_runs() {
        // One unit runs several programs; the one that listened there died.
        let said = check(ID, [HOST, "
            //- process 4120 start=13:10:01 cgroup=/system.slice/honcho.service
            gunicorn --bind 127.0.0.1:8001 blog.wsgi
            //- listen tcp 127.0.0.1:8001 pid=4120
            //- unit honcho.service ActiveState=active SubState=running
            //- journal honcho.service
            13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        "]);
        assert!(said.contains("unknown: which listener, if any"), "{said}");
        let said = check(ID, [HOST, "
            //- process 4120 start=14:02:10 cgroup=/system.slice/honcho.service
            gunicorn --bind 127.0.0.1:8001 blog.wsgi
            //- listen tcp 127.0.0.1:8001 pid=4120
            //- unit honcho.service ActiveState=active SubState=running ExecMainPID=880
            //- journal honcho.service
            13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
            14:02:08 stopped
            14:02:09 started
        "]);
        assert!(said.contains("unknown: which listener, if any"), "{said}");
    }

    #[test]
    fn not_confirmed_by_what_ran_already_when_the_peer_last_answered() {
        // It was there before, and moved away; something else took its place and is down.
        let said = check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            log_format up '$time_iso8601 $status $upstream_addr $upstream_status $upstream_header_time';
            access_log /var/log/nginx/access.log up;
            server { location / { proxy_pass http://127.0.0.1:8000; } }
            }
            //- file /var/log/nginx/access.log
            2026-06-23T14:02:10+00:00 200 127.0.0.1:8000 200 0.010
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", MOVED, GUNICORN]);
        assert!(said.contains("unknown: which listener, if any"), "{said}");
    }

    #[test]
    fn not_confirmed_of_an_exporter_that_bears_the_name() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4121
            python3 /srv/shop/exporter.py 9100
            //- listen tcp 127.0.0.1:9100 pid=4121
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        ");
    }

    #[test]
    fn not_confirmed_by_a_word_on_a_command_line() {
        for stranger in [
            "node --inspect=127.0.0.1:8001 /srv/shop/worker.js",
            "node /srv/shop/storybook.js",
            "uwsgi --socket 127.0.0.1:8001 --chdir /srv/shop --module shop:application",
            "uwsgi --http-socket /run/x.sock --stats 127.0.0.1:8001 --module shop:application",
            "python3 -m http.server -d /srv/shop -b 127.0.0.1 8001",
            "gunicorn --bind 127.0.0.1:8001 --chdir /srv/shop admin:application",
            "gunicorn --bind 127.0.0.1:8001 --chdir /srv/shop shop_admin:application",
            "gunicorn --bind 127.0.0.1:8001 --chdir /srv/staging/shop shop:application",
            "gunicorn --bind 127.0.0.1:8001 --certfile c.pem --keyfile k.pem shop:application",
            "java -jar /srv/shop/shop-batch.jar",
            "php8.2 -S 127.0.0.1:8001 -t /srv/shop",
        ] {
            let stranger = format!("
                //- process 4120
                {stranger}
                //- listen tcp 127.0.0.1:8001 pid=4120
            ");
            let said = check(ID, [HOST, &stranger]);
            assert!(said.contains("unknown: which listener, if any"), "{stranger}{said}");
        }
    }

    #[test]
    fn not_confirmed_by_the_name_that_the_application_bears() {
        // A copy bears it as well: this may be the one of another deployment.
        for application in [
            "gunicorn --bind 127.0.0.1:8001 shop:application",
            "gunicorn --bind 127.0.0.1:8001 --name shop crm:application",
            "gunicorn --bind 127.0.0.1:8001 --chdir /srv/qa --name shop shop:application",
            "gunicorn: master [shop]",
            "uvicorn --port 8001 shop.main:app",
            "hypercorn --bind 127.0.0.1:8001 shop:app",
            "uwsgi --http-socket 127.0.0.1:8001 --module shop:application",
        ] {
            let application = format!("
                //- process 4120
                {application}
                //- listen tcp 127.0.0.1:8001 pid=4120
            ");
            let said = check(ID, [HOST, &application]);
            assert!(said.contains("unknown: which listener, if any"), "{application}{said}");
            assert!(said.contains("leaning: "), "{application}{said}");
        }
    }

    #[test]
    fn not_confirmed_by_a_copy_that_was_started_after_the_first_failure() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=14:02:30
            gunicorn --bind 127.0.0.1:8001 --log-level debug shop.wsgi
            //- listen tcp 127.0.0.1:8001 pid=4120
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 127.0.0.1:8001, started only after the first failure
        ");
    }

    #[test]
    fn confirmed_where_the_journal_dates_the_move() {
        let moved = "
            //- process 4120 start=14:02:12 cgroup=/system.slice/app.service
            gunicorn --bind 127.0.0.1:8001 crm:application
            //- listen tcp 127.0.0.1:8001 pid=4120
            //- unit app.service ActiveState=active SubState=running
            //- journal app.service
            13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
            14:02:10 stopped
            14:02:12 started
        ";
        assert_snapshot!(check(ID, [HOST, moved]), @"
        answer: peer-port-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 14:02:12: LISTEN 127.0.0.1:8001 pid 4120 gunicorn --bind 127.0.0.1:8001 crm:application
        - journal 13:10:00: app.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        - config /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2;
        fix, unsafe: dial 127.0.0.1:8001
          /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2; => server 127.0.0.1:8001 weight=2;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make gunicorn (pid 4120) listen on 127.0.0.1:8000 again
        ");
    }

    #[test]
    fn not_confirmed_by_the_debugger_of_the_unit_that_is_meant_to_listen() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/systemd/system/store.service
            [Service]
            ExecStart=/usr/bin/node --inspect=127.0.0.1:9229 /srv/store/server.js --port 8000
            //- unit store.service ActiveState=active SubState=running
            //- process 4120 cgroup=/system.slice/store.service
            node --inspect=127.0.0.1:9229 /srv/store/server.js
            //- listen tcp 127.0.0.1:9229 pid=4120
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        ");
    }

    #[test]
    fn confirmed_where_the_application_listens_in_both_families() {
        assert_snapshot!(check(ID, [HOST, MOVED, GUNICORN, "
            //- listen tcp [::1]:8001 pid=4120
        "]), @"
        answer: peer-port-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 14:02:10: LISTEN 127.0.0.1:8001 pid 4120 gunicorn --bind 127.0.0.1:8001 crm.wsgi
        - journal 13:10:00: crm.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        - config /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2;
        fix, unsafe: dial 127.0.0.1:8001
          /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2; => server 127.0.0.1:8001 weight=2;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make gunicorn (pid 4120) listen on 127.0.0.1:8000 again
        ");
    }

    #[test]
    fn confirmed_by_its_own_unit() {
        // The unit file was changed and the unit not started anew.
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/systemd/system/store.service
            [Service]
            ExecStart=/srv/bin/serve --bind 127.0.0.1:8000
            //- unit store.service ActiveState=active SubState=running
            //- process 4120 cgroup=/system.slice/store.service
            /srv/bin/serve --bind 127.0.0.1:8001
            //- listen tcp 127.0.0.1:8001 pid=4120
        "]), @"
        answer: peer-port-mismatch, ongoing
        confirmed: serve (pid 4120) listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 127.0.0.1:8001 pid 4120 /srv/bin/serve --bind 127.0.0.1:8001
        - unit: store.service has ExecStart=/srv/bin/serve --bind 127.0.0.1:8000
        - config /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2;
        fix, unsafe: dial 127.0.0.1:8001
          /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2; => server 127.0.0.1:8001 weight=2;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make serve (pid 4120) listen on 127.0.0.1:8000 again
        ");
    }

    #[test]
    fn ruled_out_by_a_unit_that_is_meant_to_listen_there_and_does_not_run() {
        assert_snapshot!(check(ID, [HOST, MOVED, GUNICORN, "
            //- file /etc/systemd/system/store.service
            [Service]
            ExecStart=/srv/bin/serve --bind 127.0.0.1:8000
            //- unit store.service ActiveState=failed Result=exit-code ExecMainCode=1 ExecMainStatus=3
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - unit: store.service has failed (exit-code, status 3)
        ");
    }

    #[test]
    fn not_confirmed_by_the_store_that_bears_the_name() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120
            redis-server /etc/redis/shop.conf
            //- listen tcp 127.0.0.1:6379 pid=4120
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        ");
    }

    #[test]
    fn not_confirmed_by_another_upstreams_application() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001; }
            server { location / { proxy_pass http://shop; } }
            }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", GUNICORN]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 127.0.0.1:8001
        ");
    }

    #[test]
    fn not_confirmed_by_what_localhost_stands_for_elsewhere() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            upstream shop { server 127.0.0.1:8000; }
            server { location / { proxy_pass http://shop; } location /admin { proxy_pass http://localhost:8001; } }
            }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", GUNICORN]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 127.0.0.1:8001
        ");
    }

    #[test]
    fn not_confirmed_by_what_another_nginx_dials() {
        assert_snapshot!(check(ID, [HOST, MOVED, GUNICORN, "
            //- incident 127.0.0.1:8000
            //- nginx master=3841 workers=3842 args=-c,/srv/other.conf
            //- file /srv/other.conf
            error_log /srv/other.log; http { server { location / { proxy_pass http://127.0.0.1:8001; } } }
            //- file /srv/other.log
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 127.0.0.1:8001
        ");
    }

    #[test]
    fn not_confirmed_by_the_other_port_of_an_application_that_is_to_listen_there_too() {
        // It is still starting.
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=14:02:10
            shop --listen 127.0.0.1:8000 --metrics 127.0.0.1:9100
            //- listen tcp 127.0.0.1:9100 pid=4120
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        ");
    }

    #[test]
    fn confirmed_at_another_address_too() {
        assert_snapshot!(check(ID, [HOST, MOVED, "
            //- local 10.0.0.5
            //- process 4120 start=14:02:10 cgroup=/system.slice/crm.service
            gunicorn --bind 10.0.0.5:8001 crm.wsgi
            //- listen tcp 10.0.0.5:8001 pid=4120
        "]), @"
        answer: peer-port-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 10.0.0.5:8001, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 14:02:10: LISTEN 10.0.0.5:8001 pid 4120 gunicorn --bind 10.0.0.5:8001 crm.wsgi
        - journal 13:10:00: crm.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        - config /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2;
        fix, unsafe: dial 10.0.0.5:8001
          /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2; => server 10.0.0.5:8001 weight=2;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make gunicorn (pid 4120) listen on 127.0.0.1:8000 again
        ");
    }
}
