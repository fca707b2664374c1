//! See the doc comment of [`PEER_TRANSPORT_MISMATCH`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{Proof, Verdict};

declare_cause! {
    /// nginx dials TCP and the application listens on a unix socket, or the reverse.
    ///
    /// ## Confirmed when
    /// The connection fails now as it did (111, or 2 for a missing socket), nothing listens where nginx dials, and a
    /// listener of the other kind is tied to this peer as for `peer-port-mismatch`: by the unit or pool that is set to listen
    /// there, or by what its unit's journal says.
    ///
    /// ## Ruled out when
    /// The failure is another one or, while it goes on, a socket listens where nginx dials, no listener of the other kind
    /// could be the application, or the unit that is meant to listen does not run.
    ///
    /// ## Fix
    /// Make nginx dial what the application listens on.
    /// Unsafe: which of the two sides is right is a person's decision.
    ///
    /// ## Looks like
    /// `connect() failed (111: Connection refused) while connecting to upstream`
    pub(crate) static PEER_TRANSPORT_MISMATCH = {
        id: "peer-transport-mismatch", since: "0.1.0", stage: Connect,
        refines: ["peer-not-listening", "socket-missing", "socket-stale"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::ConnectRefused) || incident.is(Class::SocketMissing)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let address = incident.dialled()?;
    if let PeerAddress::Tcp(address) = address
        && let Some(proof) = tie::listens_there(incident, case, *address)?
    {
        return Ok(Verdict::RuledOut(proof));
    }
    let dials_tcp = matches!(address, PeerAddress::Tcp(_));
    let kind = if dials_tcp { "on a unix socket" } else { "on TCP" };
    let found = tie::find(incident, case, kind, |place| matches!(place, Place::Unix(_)) == dials_tcp)?;
    tie::verdict(incident, case, found, "")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "peer-transport-mismatch";
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
        //- unit shop.service ActiveState=active SubState=running
        //- journal shop.service
        13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        14:02:09 stopped
        14:02:10 started
    ";
    /// It listens on a socket now.
    const ON_A_SOCKET: &str = "
        //- process 4120 start=14:02:10 cgroup=/system.slice/shop.service
        gunicorn --bind unix:/run/shop.sock shop.wsgi
        //- listen unix /run/shop.sock pid=4120
    ";

    #[test]
    fn confirmed_where_the_application_listens_on_a_socket() {
        assert_snapshot!(check(ID, [HOST, MOVED, ON_A_SOCKET]), @"
        answer: peer-transport-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on unix:/run/shop.sock, nginx dials 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 14:02:10: LISTEN unix:/run/shop.sock pid 4120 gunicorn --bind unix:/run/shop.sock shop.wsgi
        - journal 13:10:00: shop.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
        - config /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2;
        fix, unsafe: dial unix:/run/shop.sock
          /etc/nginx/nginx.conf:2: server 127.0.0.1:8000 weight=2; => server unix:/run/shop.sock weight=2;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to 127.0.0.1:8000
          make gunicorn (pid 4120) listen on 127.0.0.1:8000 again
        ");
    }

    #[test]
    fn confirmed_where_nginx_dials_a_socket_and_the_application_listens_on_tcp() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server unix:/run/shop.sock; } server { location / { proxy_pass http://shop; } } }
            //- failed 14:02:11 http://unix:/run/shop.sock:/ level=crit
            connect() to unix:/run/shop.sock failed (2: No such file or directory) while connecting to upstream
            //- process 4120 start=14:02:10 cgroup=/system.slice/shop.service
            gunicorn --bind 127.0.0.1:8001 shop.wsgi
            //- listen tcp 127.0.0.1:8001 pid=4120
            //- unit shop.service ActiveState=active SubState=running
            //- journal shop.service
            13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: unix:/run/shop.sock (900)
            14:02:09 stopped
            14:02:10 started
        "]), @"
        answer: peer-transport-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8001, nginx dials unix:/run/shop.sock
        - log 14:02:11 x1: connect() to unix:/run/shop.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/run/shop.sock as nginx's worker: 2: No such file or directory
        - sockets 14:02:10: LISTEN 127.0.0.1:8001 pid 4120 gunicorn --bind 127.0.0.1:8001 shop.wsgi
        - journal 13:10:00: shop.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: unix:/run/shop.sock (900)
        - config /etc/nginx/nginx.conf:1: server unix:/run/shop.sock;
        fix, unsafe: dial 127.0.0.1:8001
          /etc/nginx/nginx.conf:1: server unix:/run/shop.sock; => server 127.0.0.1:8001;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to unix:/run/shop.sock
          make gunicorn (pid 4120) listen on unix:/run/shop.sock again
        ");
    }

    #[test]
    fn not_confirmed_by_a_name() {
        // The upstream's, and that of its unit or of the only php-fpm pool.
        for stranger in ["gunicorn --bind unix:/run/shop.sock --name shop shop.wsgi", "/srv/bin/serve"] {
            let stranger = format!("
                //- process 4120 cgroup=/system.slice/shop.service
                {stranger}
                //- listen unix /run/shop.sock pid=4120
                //- unit shop.service ActiveState=active SubState=running
            ");
            let said = check(ID, [HOST, &stranger]);
            assert!(said.contains("unknown: which listener, if any"), "{stranger}{said}");
        }
        let said = check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream www { server 127.0.0.1:9000; } server { location / { fastcgi_pass www; } } }
            //- failed 14:02:11 fastcgi://127.0.0.1:9000
            connect() failed (111: Connection refused) while connecting to upstream
            //- file /etc/php/8.2/fpm/php-fpm.conf
            [www]
            listen = /run/php/php8.2-fpm.sock
            //- process 901
            php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
            //- listen unix /run/php/php8.2-fpm.sock pid=901
        "]);
        assert!(said.contains("unknown: which listener, if any"), "{said}");
        assert!(said.contains("leaning: "), "{said}");
    }

    #[test]
    fn ruled_out_where_no_socket_is_listened_on() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: none of 0 other listeners is on a unix socket
        ");
    }

    #[test]
    fn ruled_out_where_a_socket_listens_and_the_connection_is_refused_all_the_same() {
        assert_snapshot!(check(ID, [HOST, MOVED, ON_A_SOCKET, "
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
    fn unknown_once_the_connection_succeeds() {
        assert_snapshot!(check(ID, [HOST, MOVED, ON_A_SOCKET, "
            //- connect 127.0.0.1:8000 -> ok
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn not_confirmed_by_a_strangers_socket() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120
            dbus-daemon --system
            //- listen unix /run/dbus/system_bus_socket pid=4120
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: dbus-daemon (pid 4120) on unix:/run/dbus/system_bus_socket
        ");
    }

    #[test]
    fn not_confirmed_by_a_socket_of_another_mount_namespace() {
        // The worker cannot see its path.
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 mnt=2
            gunicorn --bind unix:/tmp/shop.sock shop.wsgi
            //- listen unix /tmp/shop.sock pid=4120 mnt=2
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on unix:/tmp/shop.sock
        ");
    }

    #[test]
    fn not_confirmed_by_another_upstreams_application() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            upstream shop { server 127.0.0.1:8000; server unix:/run/shop.sock; }
            server { location / { proxy_pass http://shop; } }
            }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", ON_A_SOCKET]), @"
        answer: peer-not-listening, ongoing
        unknown: which listener, if any, is the application behind 127.0.0.1:8000: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on unix:/run/shop.sock
        ");
    }
}
