//! See the doc comment of [`SOCKET_PATH_MISMATCH`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application listens on another socket path than the one nginx dials.
    ///
    /// ## Confirmed when
    /// The connection fails now as it did (2, or 111 for a left-over file), and a socket that listens elsewhere is tied to
    /// this peer as for `peer-port-mismatch`. A path that differs by a version of PHP only is a hint: the dialled one may be a
    /// container's that is down, and the other one serve nobody yet.
    /// Or errno 91, then and now: the socket at this path takes datagrams or packets, and nginx dials a stream, so that it is
    /// no application's that nginx could speak to.
    ///
    /// ## Ruled out when
    /// The failure is another one or, while it goes on, no other unix socket listens that could be the application, or
    /// the unit that is meant to listen does not run.
    ///
    /// ## Fix
    /// Make nginx dial the path the application listens on. Where a variable gives the path, only its value changes.
    /// Unsafe: which of the two sides is right is a person's decision.
    /// For a socket of another type it is only shown.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/php/php8.1-fpm.sock failed (2: No such file or directory) while connecting to upstream`
    pub(crate) static SOCKET_PATH_MISMATCH = {
        id: "socket-path-mismatch", since: "0.1.0", stage: Socket, refines: ["socket-missing", "socket-stale"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if incident.is(Class::WrongSocketType) {
        return of_another_type(incident, case, proof);
    }
    if !(incident.is(Class::SocketMissing) || incident.is(Class::ConnectRefused)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Unix(path) = incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    let found = tie::find(incident, case, "on another unix socket", |place| {
        matches!(place, Place::Unix(other) if other != path)
    })?;
    tie::verdict(incident, case, found, "")
}

/// The kernel compares the type that is dialled with that of the socket at the path (`unix_find_other`): 91 says both that a
/// socket stands there and that it is of no stream.
fn of_another_type(incident: &Incident, case: &Case, proof: Proof) -> Result<Verdict, Gap> {
    let PeerAddress::Unix(path) = incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    let again = case.still_failing(incident)?;
    let at = path.display();
    let texts = [
        format!("correct the path: the socket at {at} is another program's, such as a log's"),
        format!("or have the application make a stream socket there: in a unit's .socket file, ListenStream={at} in place of ListenDatagram= or ListenSequentialPacket="),
    ];
    let fix = Fix {
        summary: "dial a socket of streams".to_owned(),
        safety: Safety::DisplayOnly,
        steps: texts.map(|text| Step::Advice { text }).into(),
        verify: Some(AGAIN.to_owned()),
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("the socket at {at} takes datagrams or packets, and nginx dials a stream"),
        proof: proof.and(again).with(case.directive_exhibit(incident)?),
        fixes: vec![fix],
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "socket-path-mismatch";
    /// nginx dials the socket of PHP 8.1, which is not there.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { fastcgi_pass unix:/run/php/php8.1-fpm.sock; } } }
        //- path /run/php dir 755 0:0
        //- failed 14:02:11 fastcgi://unix:/run/php/php8.1-fpm.sock: level=crit
        connect() to unix:/run/php/php8.1-fpm.sock failed (2: No such file or directory) while connecting to upstream
    ";
    /// PHP 8.2 listens.
    const PHP82: &str = "
        //- process 901
        php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
        //- listen unix /run/php/php8.2-fpm.sock pid=901
    ";

    /// nginx dials the socket that gunicorn listened on before.
    const MOVED: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://unix:/run/app/old.sock; } } }
        //- process 4120 start=14:02:10 cgroup=/system.slice/shop.service
        gunicorn --bind unix:/run/app/new.sock shop.wsgi
        //- listen unix /run/app/new.sock pid=4120
        //- unit shop.service ActiveState=active SubState=running
        //- journal shop.service
        13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: unix:/run/app/old.sock (900)
        14:02:09 stopped
        14:02:10 started
    ";

    #[test]
    fn confirmed_by_what_its_units_journal_says() {
        assert_snapshot!(check(ID, [MOVED, "
            //- failed 14:02:11 http://unix:/run/app/old.sock:/ level=crit
            connect() to unix:/run/app/old.sock failed (2: No such file or directory) while connecting to upstream
        "]), @"
        answer: socket-path-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on unix:/run/app/new.sock, nginx dials unix:/run/app/old.sock
        - log 14:02:11 x1: connect() to unix:/run/app/old.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app/old.sock as nginx's worker: 2: No such file or directory
        - sockets 14:02:10: LISTEN unix:/run/app/new.sock pid 4120 gunicorn --bind unix:/run/app/new.sock shop.wsgi
        - journal 13:10:00: shop.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: unix:/run/app/old.sock (900)
        - config /etc/nginx/nginx.conf:1: proxy_pass http://unix:/run/app/old.sock;
        fix, unsafe: dial unix:/run/app/new.sock
          /etc/nginx/nginx.conf:1: proxy_pass http://unix:/run/app/old.sock; => proxy_pass http://unix:/run/app/new.sock;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to unix:/run/app/old.sock
          make gunicorn (pid 4120) listen on unix:/run/app/old.sock again
        ");
    }

    #[test]
    fn confirmed_of_a_socket_of_another_type() {
        let conf = "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/log.sock; } } }
            //- path /run/log.sock socket 666 0:0
            //- failed 14:02:11 http://unix:/run/log.sock:/
            connect() to unix:/run/log.sock failed (91: Protocol wrong type for socket) while connecting to upstream
        ";
        let now = "
            //- connect unix:/run/log.sock -> errno 91
        ";
        assert_snapshot!(check(ID, [conf, now]), @"
        answer: socket-path-mismatch, ongoing
        confirmed: the socket at /run/log.sock takes datagrams or packets, and nginx dials a stream
        - log 14:02:11 x1: connect() to unix:/run/log.sock failed (91: Protocol wrong type for socket) while connecting to upstream
        - connect 14:05:00: connect unix:/run/log.sock as nginx's worker: 91: Protocol wrong type for socket
        - config /etc/nginx/nginx.conf:1: proxy_pass http://unix:/run/log.sock;
        fix, shown: dial a socket of streams
          correct the path: the socket at /run/log.sock is another program's, such as a log's
          or have the application make a stream socket there: in a unit's .socket file, ListenStream=/run/log.sock in place of ListenDatagram= or ListenSequentialPacket=
        ");
        let over = check(ID, [conf, "
            //- connect unix:/run/log.sock -> errno 111
        "]);
        assert!(over.contains("unknown: whether it held when it failed: it fails in another way now"), "{over}");
    }

    #[test]
    fn confirmed_where_a_left_over_file_refuses() {
        assert_snapshot!(check(ID, [MOVED, "
            //- path /run/app/old.sock socket 660 33:33 ino=77
            //- failed 14:02:11 http://unix:/run/app/old.sock:/
            connect() to unix:/run/app/old.sock failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: socket-path-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on unix:/run/app/new.sock, nginx dials unix:/run/app/old.sock
        - log 14:02:11 x1: connect() to unix:/run/app/old.sock failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app/old.sock as nginx's worker: 111: Connection refused
        - sockets 14:02:10: LISTEN unix:/run/app/new.sock pid 4120 gunicorn --bind unix:/run/app/new.sock shop.wsgi
        - journal 13:10:00: shop.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: unix:/run/app/old.sock (900)
        - config /etc/nginx/nginx.conf:1: proxy_pass http://unix:/run/app/old.sock;
        fix, unsafe: dial unix:/run/app/new.sock
          /etc/nginx/nginx.conf:1: proxy_pass http://unix:/run/app/old.sock; => proxy_pass http://unix:/run/app/new.sock;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to unix:/run/app/old.sock
          make gunicorn (pid 4120) listen on unix:/run/app/old.sock again
        ");
    }

    #[test]
    fn a_variable_is_not_replaced_where_it_serves_others() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            map $host $pool { default old; blog.example.com blog; }
            server { location / { proxy_pass http://unix:/run/app/$pool.sock; } }
            }
            //- path /run/app/blog.sock socket 666 0:0 ino=5
            //- failed 14:02:11 http://unix:/run/app/old.sock:/ level=crit
            connect() to unix:/run/app/old.sock failed (2: No such file or directory) while connecting to upstream
            //- process 4120 start=14:02:10 cgroup=/system.slice/shop.service
            gunicorn --bind unix:/run/app/new.sock shop.wsgi
            //- listen unix /run/app/new.sock pid=4120
            //- unit shop.service ActiveState=active SubState=running
            //- journal shop.service
            13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: unix:/run/app/old.sock (900)
            14:02:09 stopped
            14:02:10 started
        "]), @"
        answer: socket-path-mismatch, ongoing
        confirmed: gunicorn (pid 4120) listens on unix:/run/app/new.sock, nginx dials unix:/run/app/old.sock
        - log 14:02:11 x1: connect() to unix:/run/app/old.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app/old.sock as nginx's worker: 2: No such file or directory
        - sockets 14:02:10: LISTEN unix:/run/app/new.sock pid 4120 gunicorn --bind unix:/run/app/new.sock shop.wsgi
        - journal 13:10:00: shop.service listened there before: [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: unix:/run/app/old.sock (900)
        - config /etc/nginx/nginx.conf:3: proxy_pass http://unix:/run/app/$pool.sock;
        fix, shown: dial unix:/run/app/new.sock where the variable says unix:/run/app/old.sock
          /etc/nginx/nginx.conf:3: proxy_pass http://unix:/run/app/$pool.sock; serves other requests too: change only the value (a `map` row, a `set`) that leads to unix:/run/app/old.sock, to one that leads to unix:/run/app/new.sock
        fix, shown: bind the application to unix:/run/app/old.sock
          make gunicorn (pid 4120) listen on unix:/run/app/old.sock again
        ");
    }

    #[test]
    fn not_confirmed_by_what_the_same_variable_leads_others_to() {
        // Its journal would tie it, did blog's requests not go there.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            map $host $pool { default old; blog.example.com new; }
            server { location / { proxy_pass http://unix:/run/app/$pool.sock; } }
            }
            //- failed 14:02:11 http://unix:/run/app/old.sock:/ level=crit
            connect() to unix:/run/app/old.sock failed (2: No such file or directory) while connecting to upstream
            //- process 4120 start=14:02:10 cgroup=/system.slice/shop.service
            gunicorn --bind unix:/run/app/new.sock shop.wsgi
            //- listen unix /run/app/new.sock pid=4120
            //- unit shop.service ActiveState=active SubState=running
            //- journal shop.service
            13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: unix:/run/app/old.sock (900)
            14:02:09 stopped
            14:02:10 started
        "]), @"
        answer: socket-missing, ongoing
        unknown: which listener, if any, is the application behind unix:/run/app/old.sock: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on unix:/run/app/new.sock
        ");
    }

    #[test]
    fn not_confirmed_by_another_pool_of_the_unit_that_is_meant_to_listen() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/php/8.2/fpm/php-fpm.conf
            [alice]
            listen = /run/php/alice.sock
            [bob]
            listen = /run/php/php8.1-fpm.sock
            //- unit php8.2-fpm.service ActiveState=active SubState=running
            //- process 901 cgroup=/system.slice/php8.2-fpm.service
            php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
            //- listen unix /run/php/alice.sock pid=901
        "]), @"
        answer: socket-missing, ongoing
        unknown: which listener, if any, is the application behind unix:/run/php/php8.1-fpm.sock: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: php-fpm (pid 901) on unix:/run/php/alice.sock
        ");
    }

    #[test]
    fn not_confirmed_by_a_name_that_differs_by_its_version_only() {
        // The dialled one may be a container's that is down.
        assert_snapshot!(check(ID, [HOST, PHP82]), @"
        answer: socket-missing, ongoing
        unknown: which listener, if any, is the application behind unix:/run/php/php8.1-fpm.sock: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: php-fpm (pid 901) on unix:/run/php/php8.2-fpm.sock, and no php-fpm 8.1 is installed
        ");
    }

    #[test]
    fn says_nothing_of_a_version_that_may_be_installed() {
        for installed in [
            "//- path /usr/sbin/php-fpm8.1 file 755 0:0\n",
            "//- file /etc/php/8.1/fpm/php-fpm.conf\n[global]\n",
            "//- path /lib/systemd/system/php8.1-fpm.service file 644 0:0\n",
            "//- denied walk host /usr/sbin\n",
        ] {
            let said = check(ID, [HOST, PHP82, installed]);
            assert!(said.contains("leaning: ") && !said.contains("is installed"), "{installed}{said}");
        }
    }

    #[test]
    fn ruled_out_where_no_socket_is_listened_on() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: socket-missing, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/php/php8.1-fpm.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/run/php/php8.1-fpm.sock as nginx's worker: 2: No such file or directory
        - sockets: none of 0 other listeners is on another unix socket
        ");
    }

    #[test]
    fn unknown_once_the_connection_succeeds() {
        assert_snapshot!(check(ID, [MOVED, "
            //- failed 14:02:11 http://unix:/run/app/old.sock:/ level=crit
            connect() to unix:/run/app/old.sock failed (2: No such file or directory) while connecting to upstream
            //- connect unix:/run/app/old.sock -> ok
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_when_nothing_may_be_sent() {
        assert_snapshot!(check(ID, [MOVED, "
            //- failed 14:02:11 http://unix:/run/app/old.sock:/ level=crit
            connect() to unix:/run/app/old.sock failed (2: No such file or directory) while connecting to upstream
            //- options no-connect
        "]), @"
        answer: none, over
        unknown: whether unix:/run/app/old.sock still fails: --no-connect sends nothing
        learn: why502   (without --no-connect)
        ");
    }

    #[test]
    fn not_confirmed_by_a_version_that_another_site_dials() {
        // Both are installed; one is dead.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server {
            location / { fastcgi_pass unix:/run/php/php8.1-fpm.sock; }
            location /new { fastcgi_pass unix:/run/php/php8.2-fpm.sock; }
            } }
            //- path /run/php dir 755 0:0
            //- failed 14:02:11 fastcgi://unix:/run/php/php8.1-fpm.sock: level=crit
            connect() to unix:/run/php/php8.1-fpm.sock failed (2: No such file or directory) while connecting to upstream
        ", PHP82]), @"
        answer: socket-missing, ongoing
        unknown: which listener, if any, is the application behind unix:/run/php/php8.1-fpm.sock: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: php-fpm (pid 901) on unix:/run/php/php8.2-fpm.sock, and no php-fpm 8.1 is installed
        ");
    }

    #[test]
    fn not_confirmed_by_a_socket_that_nginx_cannot_see() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 901 mnt=2
            php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
            //- listen unix /run/php/php8.2-fpm.sock pid=901 mnt=2
        "]), @"
        answer: socket-missing, ongoing
        unknown: which listener, if any, is the application behind unix:/run/php/php8.1-fpm.sock: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: php-fpm (pid 901) on unix:/run/php/php8.2-fpm.sock, and no php-fpm 8.1 is installed
        ");
    }

    #[test]
    fn not_confirmed_by_a_numbered_instance() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app1.sock; } } }
            //- path /run dir 755 0:0
            //- failed 14:02:11 http://unix:/run/app1.sock:/ level=crit
            connect() to unix:/run/app1.sock failed (2: No such file or directory) while connecting to upstream
            //- process 4120
            app 2
            //- listen unix /run/app2.sock pid=4120
        "]), @"
        answer: socket-missing, ongoing
        unknown: which listener, if any, is the application behind unix:/run/app1.sock: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: app (pid 4120) on unix:/run/app2.sock
        ");
    }
}
