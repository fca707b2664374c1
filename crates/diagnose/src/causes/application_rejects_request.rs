//! See the doc comment of [`APPLICATION_REJECTS_REQUEST`].

use facts::Gap;
use log::error::Class;

use crate::case::{Case, Disallowed};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application refused the request, for its size or its origin, and closed the connection without an answer.
    ///
    /// ## Confirmed when
    /// The connection was closed or reset before the response, and uWSGI's own log has a refused request for each failed
    /// one, in its second, no more and no less, and none that an HTTP client sent there. (Other applications answer such
    /// requests with 400, 414 or 431.) Without `log-date` only lines with a time close around it tell when that was.
    /// Or php-fpm's log says, whenever it failed, that the pool dropped a connection of an address of this host, which
    /// `listen.allowed_clients` does not name; it says so only with `catch_workers_output = yes`.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Raise uWSGI's `buffer-size`, or make the request smaller: cookies are most of it.
    /// Name nginx's address in the pool's `listen.allowed_clients`.
    /// Shown only: the application has to be restarted for it.
    ///
    /// ## Looks like
    /// `recv() failed (104: Connection reset by peer) while reading response header from upstream`, and in uWSGI's log
    /// `invalid request block size: 6354 (max 4096)...skip`
    ///
    /// ## See also
    /// <https://uwsgi-docs.readthedocs.io/en/latest/Options.html#buffer-size>
    pub(crate) static APPLICATION_REJECTS_REQUEST = {
        id: "application-rejects-request", since: "0.1.0", stage: Request, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::PrematureClose) || incident.is(Class::ConnectionReset)) {
        return Ok(Verdict::RuledOut(proof));
    }
    if let Some(disallowed) = case.disallowed(incident)? {
        return Ok(of_a_stranger(disallowed, proof));
    }
    let refusals = case.refusals(incident)?;
    let now = refusals.setting.as_ref().map(|setting| format!(", now {setting}")).unwrap_or_default();
    let raise = match refusals.buffer() {
        Some(bytes) => format!("set buffer-size = {bytes}{now}, and restart {}", refusals.who),
        None => format!("raise buffer-size{now}, and restart {}", refusals.who),
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} refused the requests for their size: {}", refusals.who, refusals.text),
        proof: proof.and(refusals.exhibit()),
        fixes: vec![Fix {
            summary: "let it take larger requests".to_owned(),
            safety: Safety::DisplayOnly,
            steps: vec![
                Step::Advice { text: raise },
                Step::Advice { text: "or make the requests smaller: see which cookies and headers they carry".to_owned() },
            ],
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

/// php-fpm takes no connection from nginx's address.
fn of_a_stranger(disallowed: Disallowed, proof: Proof) -> Verdict {
    let Disallowed { who, pool, client, setting, service, exhibit } = disallowed;
    let now = setting.map(|setting| format!(" (now {setting})")).unwrap_or_default();
    let reload = match service {
        Some(service) => format!("systemctl reload {service}"),
        None => format!("reload {who}"),
    };
    Verdict::Confirmed(Confirmation {
        summary: format!("pool {pool} of {who} drops connections from {client}: listen.allowed_clients does not name it"),
        proof: proof.and(exhibit),
        fixes: vec![Fix {
            summary: "let nginx's address in".to_owned(),
            safety: Safety::DisplayOnly,
            steps: vec![Step::Advice {
                text: format!("add {client} to listen.allowed_clients of pool {pool}{now}, then {reload}"),
            }],
            verify: Some(AGAIN.to_owned()),
        }],
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "application-rejects-request";
    const NGINX: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { uwsgi_pass 127.0.0.1:8000; } } }
    ";
    const RESET: &str = "
        //- failed 14:02:11 uwsgi://127.0.0.1:8000
        recv() failed (104: Connection reset by peer) while reading response header from upstream
    ";
    const UWSGI: &str = "
        //- process 77 start=12:30:00
        uwsgi --socket 127.0.0.1:8000 --wsgi shop --logto /var/log/uwsgi.log
        //- listen tcp 127.0.0.1:8000 pid=77
    ";
    const BEFORE: &str = "
        //- file /var/log/uwsgi.log
        [pid: 77|app: 0|req: 1/1] 192.0.2.7 () {32 vars in 337 bytes} [Tue Jun 23 14:02:00 2026] GET / => generated 3 bytes in 0 msecs (HTTP/1.1 200) 1 headers in 38 bytes (1 switches on core 0)";
    const REFUSED: &str = "
        Tue Jun 23 14:02:11 2026 - invalid request block size: 6354 (max 4096)...skip";
    const AFTER: &str = "
        [pid: 77|app: 0|req: 2/2] 192.0.2.7 () {32 vars in 337 bytes} [Tue Jun 23 14:03:00 2026] GET / => generated 3 bytes in 0 msecs (HTTP/1.1 200) 1 headers in 38 bytes (1 switches on core 0)
    ";

    #[test]
    fn confirmed_where_it_refused_one_for_each_that_failed() {
        assert_snapshot!(check(ID, [NGINX, RESET, UWSGI, BEFORE, REFUSED, AFTER]), @"
        answer: application-rejects-request, over
        confirmed: uwsgi (pid 77) refused the requests for their size: invalid request block size: 6354 (max 4096)...skip
        - log 14:02:11 x1: recv() failed (104: Connection reset by peer) while reading response header from upstream
        - application-log: /var/log/uwsgi.log: invalid request block size: 6354 (max 4096)...skip (1 in all, each when a request failed)
        fix, shown: let it take larger requests
          set buffer-size = 8192, now 4096, by its default, and restart uwsgi (pid 77)
          or make the requests smaller: see which cookies and headers they carry
        ");
    }

    #[test]
    fn confirmed_where_the_log_ends_with_it() {
        assert_snapshot!(check(ID, [NGINX, RESET, RESET, UWSGI, BEFORE, REFUSED, REFUSED]), @"
        answer: application-rejects-request, over
        confirmed: uwsgi (pid 77) refused the requests for their size: invalid request block size: 6354 (max 4096)...skip
        - log 14:02:11 x2: recv() failed (104: Connection reset by peer) while reading response header from upstream
        - application-log: /var/log/uwsgi.log: invalid request block size: 6354 (max 4096)...skip (2 in all, each when a request failed)
        fix, shown: let it take larger requests
          set buffer-size = 8192, now 4096, by its default, and restart uwsgi (pid 77)
          or make the requests smaller: see which cookies and headers they carry
        ");
    }

    const FPM: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { fastcgi_pass 127.0.0.1:9000; } } }
        //- file /etc/php/8.2/fpm/php-fpm.conf
        error_log = /var/log/php-fpm.log
        [www]
        listen = 127.0.0.1:9000
        listen.allowed_clients = 10.1.1.1
        //- process 901 start=12:30:00
        php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
        //- listen tcp 127.0.0.1:9000 pid=901
        //- failed 14:02:11 fastcgi://127.0.0.1:9000
        recv() failed (104: Connection reset by peer) while reading response header from upstream
    ";

    #[test]
    fn confirmed_where_php_fpm_drops_nginx_for_its_address() {
        assert_snapshot!(check(ID, [FPM, "
            //- file /var/log/php-fpm.log
            [23-Jun-2026 14:02:11] WARNING: [pool www] child 902 said into stderr: \"ERROR: Connection disallowed: IP address '127.0.0.1' has been dropped.\"
        "]), @"
        answer: application-rejects-request, over
        confirmed: pool www of php-fpm (pid 901) drops connections from 127.0.0.1: listen.allowed_clients does not name it
        - log 14:02:11 x1: recv() failed (104: Connection reset by peer) while reading response header from upstream
        - application-log: /var/log/php-fpm.log: Connection disallowed: IP address '127.0.0.1' has been dropped. (whenever it failed, 1 in all)
        fix, shown: let nginx's address in
          add 127.0.0.1 to listen.allowed_clients of pool www (now listen.allowed_clients = 10.1.1.1, by /etc/php/8.2/fpm/php-fpm.conf:4), then systemctl reload php8.2-fpm.service
        ");
    }

    #[test]
    fn unknown_where_php_fpm_does_not_say_whom_it_drops() {
        assert_snapshot!(check(ID, [FPM, "
            //- file /var/log/php-fpm.log
            [23-Jun-2026 13:02:11] NOTICE: ready to handle connections
        "]), @"
        answer: none, over
        unknown: whether php-fpm dropped the connections: its log says nothing of it; it does with catch_workers_output = yes
        leaning: pool www drops connections of others than it lets in: listen.allowed_clients = 10.1.1.1, by /etc/php/8.2/fpm/php-fpm.conf:4
        ");
        for (line, why) in [
            ("[23-Jun-2026 14:02:11] WARNING: [pool www] child 902 said into stderr: \"ERROR: Connection disallowed: IP address '10.0.0.3' has been dropped.\"", "its log says nothing of it"),
            ("[23-Jun-2026 14:01:01] WARNING: [pool www] child 902 said into stderr: \"ERROR: Connection disallowed: IP address '127.0.0.1' has been dropped.\"", "it dropped connections, but not whenever it failed"),
        ] {
            let said = check(ID, [FPM, &format!("
                //- file /var/log/php-fpm.log
                {line}
            ")]);
            assert!(said.contains(&format!("unknown: whether php-fpm dropped the connections: {why}")), "{said}");
        }
        let all = check(ID, [&FPM.replace("listen.allowed_clients = 10.1.1.1", "")]);
        assert!(all.contains("unknown: whether the application refused the requests"), "{all}");
    }

    #[test]
    fn unknown_where_it_refused_fewer_than_failed() {
        assert_snapshot!(check(ID, [NGINX, RESET, RESET, UWSGI, BEFORE, REFUSED, AFTER]), @"
        answer: none, over
        unknown: whether the application refused the requests: it refused requests, but not one in the second of each that failed, and no other
        leaning: uwsgi (pid 77) refused requests: invalid request block size: 6354 (max 4096)...skip
        ");
    }

    #[test]
    fn unknown_where_it_refused_more_than_failed() {
        assert_snapshot!(check(ID, [NGINX, RESET, UWSGI, BEFORE, REFUSED, REFUSED, AFTER]), @"
        answer: none, over
        unknown: whether the application refused the requests: it refused requests, but not one in the second of each that failed, and no other
        leaning: uwsgi (pid 77) refused requests: invalid request block size: 6354 (max 4096)...skip
        ");
    }

    #[test]
    fn unknown_where_it_refused_at_another_time() {
        assert_snapshot!(check(ID, [NGINX, &RESET.replace("14:02:11", "14:04:11"), UWSGI, BEFORE, REFUSED, AFTER]), @"
        answer: none, ongoing
        unknown: whether the application refused the requests: it refused requests, but not one in the second of each that failed, and no other
        leaning: uwsgi (pid 77) refused requests: invalid request block size: 6354 (max 4096)...skip
        ");
    }

    #[test]
    fn unknown_where_as_many_were_refused_at_other_seconds() {
        let failed = |time: &str| RESET.replace("14:02:11", time);
        let refused = |time: &str| REFUSED.replace("14:02:11", time);
        assert_snapshot!(check(ID, [NGINX, &failed("14:02:11"), &failed("14:02:31"), UWSGI, BEFORE, &refused("14:02:11"), &refused("14:02:21"), AFTER]), @"
        answer: none, over
        unknown: whether the application refused the requests: it refused requests, but not one in the second of each that failed, and no other
        leaning: uwsgi (pid 77) refused requests: invalid request block size: 6354 (max 4096)...skip
        ");
        // Two in one second, and none in the other.
        assert_snapshot!(check(ID, [NGINX, &failed("14:02:11"), &failed("14:02:13"), UWSGI, BEFORE, &refused("14:02:11"), &refused("14:02:11"), AFTER]), @"
        answer: none, over
        unknown: whether the application refused the requests: it refused requests, but not one in the second of each that failed, and no other
        leaning: uwsgi (pid 77) refused requests: invalid request block size: 6354 (max 4096)...skip
        ");
    }

    #[test]
    fn unknown_where_its_lines_have_no_time() {
        let undated = REFUSED.replace("Tue Jun 23 14:02:11 2026 - ", "");
        assert_snapshot!(check(ID, [NGINX, RESET, UWSGI, BEFORE, &undated, AFTER]), @"
        answer: none, over
        unknown: whether the application refused the requests: it refused requests, and its lines have no time that says whether they are those that failed
        learn: set uWSGI's log-date = true
        leaning: uwsgi (pid 77) refused requests: invalid request block size: 6354 (max 4096)...skip
        ");
        // Other requests' lines close around it tell.
        let close = |text: &str| text.replace("14:02:00", "14:02:11").replace("14:03:00", "14:02:12");
        assert_snapshot!(check(ID, [NGINX, RESET, UWSGI, &close(BEFORE), &undated, &close(AFTER)]), @"
        answer: application-rejects-request, over
        confirmed: uwsgi (pid 77) refused the requests for their size: invalid request block size: 6354 (max 4096)...skip
        - log 14:02:11 x1: recv() failed (104: Connection reset by peer) while reading response header from upstream
        - application-log: /var/log/uwsgi.log: invalid request block size: 6354 (max 4096)...skip (1 in all, each when a request failed)
        fix, shown: let it take larger requests
          set buffer-size = 8192, now 4096, by its default, and restart uwsgi (pid 77)
          or make the requests smaller: see which cookies and headers they carry
        ");
    }

    #[test]
    fn unknown_where_it_is_another_clients() {
        // `GET`, read as a packet.
        assert_snapshot!(check(ID, [NGINX, RESET, UWSGI, BEFORE, &REFUSED.replace("6354", "21573"), AFTER]), @"
        answer: none, over
        unknown: whether the application refused the requests: some are of clients that speak HTTP to it: invalid request block size: 21573 (max 4096)...skip
        leaning: uwsgi (pid 77) refused requests: invalid request block size: 21573 (max 4096)...skip
        ");
    }

    #[test]
    fn unknown_where_its_log_says_nothing() {
        assert_snapshot!(check(ID, [NGINX, RESET, UWSGI, BEFORE, AFTER]), @"
        answer: none, over
        unknown: whether the application refused the requests: no log of uwsgi (pid 77) tells of a refused one
        ");
    }

    #[test]
    fn not_confirmed_where_nginx_speaks_another_protocol() {
        // The `ET` of `GET`, read as a size.
        assert_snapshot!(check(ID, [&NGINX.replace("uwsgi_pass ", "proxy_pass http://"), &RESET.replace("uwsgi://127.0.0.1:8000", "http://127.0.0.1:8000/"), UWSGI, BEFORE, &REFUSED.replace("6354", "21573"), AFTER]), @"
        answer: peer-speaks-other-protocol, over
        unknown: whether the application refused the requests: no log of uwsgi (pid 77) tells of a refused one
        leaning: uwsgi (pid 77) is spoken to in another protocol: invalid request block size: 21573 (max 4096)...skip
        ");
    }

    #[test]
    fn unknown_of_another_program() {
        assert_snapshot!(check(ID, [NGINX, RESET, "
            //- process 77 start=12:30:00
            node /srv/shop.js
            //- listen tcp 127.0.0.1:8000 pid=77
        "]), @"
        answer: none, over
        unknown: whether the application refused the requests: no log of shop.js (pid 77) tells of a refused one
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, [NGINX, "
            //- failed 14:02:11 uwsgi://127.0.0.1:8000
            upstream timed out (110: Connection timed out) while reading response header from upstream
        ", UWSGI, BEFORE, REFUSED, AFTER]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        ");
    }
}
