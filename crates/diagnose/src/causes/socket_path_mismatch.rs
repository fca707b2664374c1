//! See the doc comment of [`SOCKET_PATH_MISMATCH`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{Proof, Verdict};

declare_cause! {
    /// The application listens on another socket path than the one nginx dials.
    ///
    /// ## Confirmed when
    /// The connection fails now as it did (2, or 111 for a left-over file), and a socket that listens elsewhere is tied to
    /// this peer as for `peer-port-mismatch`; or it is php-fpm's, in the same directory, of another version than the one
    /// dialled, and of that one neither its program, its unit nor its configuration is installed.
    ///
    /// ## Ruled out when
    /// The failure is another one or, while it goes on, no other unix socket listens that could be the application, or
    /// the unit that is meant to listen does not run.
    ///
    /// ## Fix
    /// Make nginx dial the path the application listens on.
    /// Unsafe: which of the two sides is right is a person's decision.
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

    #[test]
    fn confirmed_by_a_name_that_differs_by_its_version_only() {
        assert_snapshot!(check(ID, [HOST, PHP82]), @"
        answer: socket-path-mismatch, ongoing
        confirmed: php-fpm (pid 901) listens on unix:/run/php/php8.2-fpm.sock, nginx dials unix:/run/php/php8.1-fpm.sock
        - log 14:02:11 x1: connect() to unix:/run/php/php8.1-fpm.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/run/php/php8.1-fpm.sock as nginx's worker: 2: No such file or directory
        - sockets 12:30:00: LISTEN unix:/run/php/php8.2-fpm.sock pid 901 php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
        - sockets: /run/php/php8.2-fpm.sock differs from the dialled path by its version only, and no php-fpm 8.1 is installed
        - config /etc/nginx/nginx.conf:1: fastcgi_pass unix:/run/php/php8.1-fpm.sock;
        fix, unsafe: dial unix:/run/php/php8.2-fpm.sock
          /etc/nginx/nginx.conf:1: fastcgi_pass unix:/run/php/php8.1-fpm.sock; => fastcgi_pass unix:/run/php/php8.2-fpm.sock;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to unix:/run/php/php8.1-fpm.sock
          make php-fpm (pid 901) listen on unix:/run/php/php8.1-fpm.sock again
        ");
    }

    #[test]
    fn confirmed_where_a_left_over_file_refuses() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { fastcgi_pass unix:/run/php/php8.1-fpm.sock; } } }
            //- path /run/php/php8.1-fpm.sock socket 660 33:33 ino=77
            //- failed 14:02:11 fastcgi://unix:/run/php/php8.1-fpm.sock:
            connect() to unix:/run/php/php8.1-fpm.sock failed (111: Connection refused) while connecting to upstream
        ", PHP82]), @"
        answer: socket-path-mismatch, ongoing
        confirmed: php-fpm (pid 901) listens on unix:/run/php/php8.2-fpm.sock, nginx dials unix:/run/php/php8.1-fpm.sock
        - log 14:02:11 x1: connect() to unix:/run/php/php8.1-fpm.sock failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect unix:/run/php/php8.1-fpm.sock as nginx's worker: 111: Connection refused
        - sockets 12:30:00: LISTEN unix:/run/php/php8.2-fpm.sock pid 901 php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
        - sockets: /run/php/php8.2-fpm.sock differs from the dialled path by its version only, and no php-fpm 8.1 is installed
        - config /etc/nginx/nginx.conf:1: fastcgi_pass unix:/run/php/php8.1-fpm.sock;
        fix, unsafe: dial unix:/run/php/php8.2-fpm.sock
          /etc/nginx/nginx.conf:1: fastcgi_pass unix:/run/php/php8.1-fpm.sock; => fastcgi_pass unix:/run/php/php8.2-fpm.sock;
          $ nginx -t
          $ nginx -s reload
        fix, shown: bind the application to unix:/run/php/php8.1-fpm.sock
          make php-fpm (pid 901) listen on unix:/run/php/php8.1-fpm.sock again
        ");
    }

    #[test]
    fn not_confirmed_where_the_dialled_version_may_be_installed() {
        for installed in [
            "//- path /usr/sbin/php-fpm8.1 file 755 0:0\n",
            "//- file /etc/php/8.1/fpm/php-fpm.conf\n[global]\n",
            "//- path /lib/systemd/system/php8.1-fpm.service file 644 0:0\n",
            "//- denied walk host /usr/sbin\n",
        ] {
            let said = check(ID, [HOST, PHP82, installed]);
            assert!(said.contains("unknown: which listener, if any"), "{installed}{said}");
        }
    }

    #[test]
    fn not_confirmed_where_php_does_not_come_from_the_distribution() {
        // Then nobody knows where the other one is.
        assert_snapshot!(check(ID, [HOST, "
            //- process 901
            php-fpm: master process (/opt/php/fpm.conf)
            //- file /opt/php/fpm.conf
            [www]
            listen = /run/php/php8.2-fpm.sock
            //- listen unix /run/php/php8.2-fpm.sock pid=901
        "]), @"
        answer: socket-missing, ongoing
        unknown: which listener, if any, is the application behind unix:/run/php/php8.1-fpm.sock: nothing ties one to this peer
        learn: ss -ltnxp
        leaning: could be meant, but nothing proves it: php-fpm (pid 901) on unix:/run/php/php8.2-fpm.sock
        ");
    }

    #[test]
    fn ruled_out_where_no_socket_is_listened_on() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: socket-missing, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/php/php8.1-fpm.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/run/php/php8.1-fpm.sock as nginx's worker: 2: No such file or directory
        - sockets: none of the 0 other listeners is on another unix socket
        ");
    }

    #[test]
    fn unknown_once_the_connection_succeeds() {
        assert_snapshot!(check(ID, [HOST, PHP82, "
            //- connect unix:/run/php/php8.1-fpm.sock -> ok
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_when_nothing_may_be_sent() {
        assert_snapshot!(check(ID, [HOST, PHP82, "
            //- options no-connect
        "]), @"
        answer: none, over
        unknown: whether unix:/run/php/php8.1-fpm.sock still fails: --no-connect sends nothing
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
        leaning: could be meant, but nothing proves it: php-fpm (pid 901) on unix:/run/php/php8.2-fpm.sock
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
        leaning: could be meant, but nothing proves it: php-fpm (pid 901) on unix:/run/php/php8.2-fpm.sock
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
