//! See the doc comment of [`APPLICATION_RESTARTED`].

use facts::Gap;
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application was stopped and started again, and requests met it in between.
    ///
    /// ## Confirmed when
    /// Every failing second lies in a restart that somebody asked for: a connection was closed or reset between the order
    /// to stop and the end of the last process, or refused before the application listened again; what fails later has met
    /// the new one. The unit's journal or the application's own log has both ends.
    ///
    /// ## Ruled out when
    /// The failure is another one, or every process of the application has run since before the first failure.
    ///
    /// ## Fix
    /// Restart it so that it first ends what it is answering, and keep its socket open meanwhile.
    /// Shown only: how depends on the application.
    ///
    /// ## See also
    /// `application-crashed`: it ended by itself. `peer-not-listening`: it was stopped, and not to be started at once.
    pub(crate) static APPLICATION_RESTARTED = {
        id: "application-restarted", since: "0.1.0", stage: Request, refines: ["application-crashed", "peer-not-listening"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let is_refused = incident.is(Class::ConnectRefused);
    if !(is_refused || incident.is(Class::PrematureClose) || incident.is(Class::ConnectionReset)) {
        return Ok(Verdict::RuledOut(proof));
    }
    if is_refused && case.is_ongoing(incident) {
        return Err(Gap::undecided("whether the application was restarted when it failed", "it fails still"));
    }
    let restarts = case.restarts(incident)?;
    let Some(exhibits) = restarts.covering(incident) else {
        return match restarts.ran_throughout(incident) {
            Some(lasting) => Ok(Verdict::RuledOut(proof.and(lasting))),
            None => Err(restarts.gap(incident)),
        };
    };
    let what = if is_refused { "nobody listened meanwhile" } else { "what it was answering was cut off" };
    let mut steps = vec![Step::Advice { text: restarts.graceful().to_owned() }];
    if is_refused {
        let text = "let systemd keep the socket open meanwhile (a socket unit), or have a second server in the upstream";
        steps.push(Step::Advice { text: text.to_owned() });
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} was restarted: {what}", restarts.who()),
        proof: proof.with(exhibits),
        fixes: vec![Fix {
            summary: "restart it without harm".to_owned(),
            safety: Safety::DisplayOnly,
            steps,
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "application-restarted";
    const NGINX: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
    ";
    const CLOSED: &str = "
        //- failed 14:02:11 http://127.0.0.1:8000/
        upstream prematurely closed connection while reading response header from upstream
    ";
    const REFUSED: &str = "
        //- failed 14:02:12 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
    ";
    /// It listens again.
    const UNIT: &str = "
        //- unit shop.service ActiveState=active SubState=running
        //- process 4120 start=14:02:12 cgroup=/system.slice/shop.service
        gunicorn --bind 127.0.0.1:8000 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";
    const RESTART: &str = "
        //- journal shop.service
        14:02:11 stopping
        14:02:12 stopped-to-restart
        14:02:12 started
    ";

    #[test]
    fn confirmed_where_a_request_was_cut_off() {
        assert_snapshot!(check(ID, [NGINX, CLOSED, UNIT, RESTART]), @"
        answer: application-restarted, over
        confirmed: shop.service was restarted: what it was answering was cut off
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - journal 14:02:11: shop.service was told to stop
        - journal 14:02:12: shop.service was started again
        fix, shown: restart it without harm
          reload it instead of restarting it (SIGHUP): its workers end what they are answering within --graceful-timeout
        ");
    }

    #[test]
    fn confirmed_where_nobody_listened_meanwhile() {
        assert_snapshot!(check(ID, [NGINX, REFUSED, UNIT, RESTART]), @"
        answer: application-restarted, over
        confirmed: shop.service was restarted: nobody listened meanwhile
        - log 14:02:12 x1: connect() failed (111: Connection refused) while connecting to upstream
        - journal 14:02:11: shop.service was told to stop
        - journal 14:02:12: shop.service was started again
        fix, shown: restart it without harm
          reload it instead of restarting it (SIGHUP): its workers end what they are answering within --graceful-timeout
          let systemd keep the socket open meanwhile (a socket unit), or have a second server in the upstream
        ");
    }

    #[test]
    fn confirmed_until_it_says_that_it_listens() {
        assert_snapshot!(check(ID, [NGINX, &REFUSED.replace("14:02:12", "14:02:15"), UNIT, "
            //- journal shop.service
            14:02:11 stopping
            14:02:12 stopped-to-restart
            14:02:12 started
            14:02:16 [2026-06-23 14:02:16 +0000] [4120] [INFO] Listening at: http://127.0.0.1:8000 (4120)
        "]), @"
        answer: application-restarted, over
        confirmed: shop.service was restarted: nobody listened meanwhile
        - log 14:02:15 x1: connect() failed (111: Connection refused) while connecting to upstream
        - journal 14:02:11: shop.service was told to stop
        - journal 14:02:16: shop.service was started again
        fix, shown: restart it without harm
          reload it instead of restarting it (SIGHUP): its workers end what they are answering within --graceful-timeout
          let systemd keep the socket open meanwhile (a socket unit), or have a second server in the upstream
        ");
    }

    #[test]
    fn confirmed_by_the_applications_own_log() {
        assert_snapshot!(check(ID, [NGINX, CLOSED, "
            //- process 4120 start=14:02:12
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- link /proc/4120/fd/2 -> /var/log/shop.log
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [3120] [INFO] Handling signal: term
            [2026-06-23 14:02:11 +0000] [3120] [ERROR] Worker (pid:3121) was sent SIGTERM!
            [2026-06-23 14:02:11 +0000] [3120] [INFO] Shutting down: Master
            [2026-06-23 14:02:12 +0000] [4120] [INFO] Starting gunicorn 21.2.0
            [2026-06-23 14:02:12 +0000] [4120] [INFO] Listening at: http://127.0.0.1:8000 (4120)
        "]), @"
        answer: application-restarted, over
        confirmed: gunicorn (pid 4120) was restarted: what it was answering was cut off
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:11: gunicorn (pid 4120) was told to stop
        - application-log 14:02:12: gunicorn (pid 4120) was started again
        fix, shown: restart it without harm
          reload it instead of restarting it (SIGHUP): its workers end what they are answering within --graceful-timeout
        ");
    }

    #[test]
    fn ruled_out_where_every_process_has_run_since_before() {
        assert_snapshot!(check(ID, [NGINX, CLOSED, "
            //- process 77 start=12:30:00
            node /srv/shop.js
            //- listen tcp 127.0.0.1:8000 pid=77
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - process 12:30:00: shop.js (pid 77) has run since before the first failure
        ");
    }

    #[test]
    fn unknown_where_it_crashed_and_systemd_started_it_again() {
        assert_snapshot!(check(ID, [NGINX, CLOSED, UNIT, "
            //- journal shop.service
            14:02:11 exited ExecStart killed 11
            14:02:11 failed signal
            14:02:12 started
        "]), @"
        answer: application-crashed, over
        unknown: whether the application was restarted when it failed: no stop and start that covers it stands in journalctl -u shop.service
        ");
    }

    #[test]
    fn unknown_where_it_was_stopped_and_started_later() {
        assert_snapshot!(check(ID, [NGINX, REFUSED, UNIT, "
            //- journal shop.service
            14:02:11 stopping
            14:02:11 stopped
            14:02:12 started
        "]), @"
        answer: peer-not-listening, over
        unknown: whether the application was restarted when it failed: no stop and start that covers it stands in journalctl -u shop.service
        ");
    }

    #[test]
    fn unknown_where_it_failed_at_another_time_too() {
        assert_snapshot!(check(ID, [NGINX, CLOSED, &CLOSED.replace("14:02:11", "14:03:30"), UNIT, RESTART]), @"
        answer: none, over
        unknown: whether the application was restarted when it failed: no stop and start that covers it stands in journalctl -u shop.service
        leaning: shop.service was restarted in 1 of 2 failing seconds
        ");
    }

    #[test]
    fn unknown_where_it_failed_before_the_restart() {
        assert_snapshot!(check(ID, [NGINX, &CLOSED.replace("14:02:11", "14:02:10"), UNIT, RESTART]), @"
        answer: none, over
        unknown: whether the application was restarted when it failed: no stop and start that covers it stands in journalctl -u shop.service
        ");
    }

    #[test]
    fn unknown_where_it_failed_after_the_new_one_had_started() {
        let after = CLOSED.replace("14:02:11", "14:02:13");
        assert_snapshot!(check(ID, [NGINX, &after, UNIT, RESTART]), @"
        answer: none, over
        unknown: whether the application was restarted when it failed: no stop and start that covers it stands in journalctl -u shop.service
        ");
        // systemd calls it started before it listens; no request has met it in between.
        assert_snapshot!(check(ID, [NGINX, &after, UNIT, "
            //- journal shop.service
            14:02:11 stopping
            14:02:12 stopped-to-restart
            14:02:12 started
            14:02:13 [2026-06-23 14:02:13 +0000] [4120] [INFO] Listening at: http://127.0.0.1:8000 (4120)
        "]), @"
        answer: none, over
        unknown: whether the application was restarted when it failed: no stop and start that covers it stands in journalctl -u shop.service
        ");
        let refused = REFUSED.replace("14:02:12", "14:02:13");
        assert_snapshot!(check(ID, [NGINX, &refused, UNIT, RESTART]), @"
        answer: none, over
        unknown: whether the application was restarted when it failed: no stop and start that covers it stands in journalctl -u shop.service
        ");
    }

    #[test]
    fn unknown_where_gunicorns_own_log_tells_of_an_earlier_restart() {
        let log = "
            //- process 4120 start=14:02:08
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- link /proc/4120/fd/2 -> /var/log/shop.log
            //- file /var/log/shop.log
            [2026-06-23 14:02:08 +0000] [3120] [INFO] Handling signal: term
            [2026-06-23 14:02:08 +0000] [3120] [INFO] Shutting down: Master
            [2026-06-23 14:02:08 +0000] [4120] [INFO] Starting gunicorn 21.2.0
            [2026-06-23 14:02:10 +0000] [4120] [INFO] Listening at: http://127.0.0.1:8000 (4120)
        ";
        assert_snapshot!(check(ID, [NGINX, CLOSED, log]), @"
        answer: none, over
        unknown: whether the application was restarted when it failed: no stop and start that covers it stands in /var/log/shop.log
        ");
        assert_snapshot!(check(ID, [NGINX, &CLOSED.replace("14:02:11", "14:02:09"), log]), @"
        answer: none, over
        unknown: whether the application was restarted when it failed: no stop and start that covers it stands in /var/log/shop.log
        ");
    }

    #[test]
    fn unknown_where_a_new_master_came_up_beside_the_old_one() {
        assert_snapshot!(check(ID, [NGINX, CLOSED, "
            //- process 4120 start=14:02:11
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- link /proc/4120/fd/2 -> /var/log/shop.log
            //- file /var/log/shop.log
            [2026-06-23 14:02:10 +0000] [3120] [INFO] Handling signal: usr2
            [2026-06-23 14:02:11 +0000] [4120] [INFO] Starting gunicorn 21.2.0
            [2026-06-23 14:02:11 +0000] [4120] [INFO] Listening at: http://127.0.0.1:8000 (4120)
        "]), @"
        answer: none, over
        unknown: whether the application was restarted when it failed: no stop and start that covers it stands in /var/log/shop.log
        ");
    }

    #[test]
    fn unknown_where_it_fails_still() {
        assert_snapshot!(check(ID, [NGINX, REFUSED, "
            //- unit shop.service ActiveState=active SubState=running
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application was restarted when it failed: it fails still
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, [NGINX, "
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
        ", UNIT, RESTART]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        ");
    }
}
