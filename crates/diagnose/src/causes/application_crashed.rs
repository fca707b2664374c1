//! See the doc comment of [`APPLICATION_CRASHED`].

use facts::Gap;
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application's process died while it was answering.
    ///
    /// ## Confirmed when
    /// The connection was closed or reset before the response, and in every failing second a process of the peer's
    /// application ended by a signal or with an error, as the application's own log or its unit's journal records.
    /// That a process ended then does not show that it was answering the request that failed, so all of these hold too:
    ///
    /// - Each failure has a process of its own, where a process answers one request at a time (gunicorn's sync workers,
    ///   php-fpm's children, Unicorn's workers); failures of the same peer in other words count with it.
    /// - The process ended by what it did (SIGSEGV, SIGABRT and the like, or an exit status), which an idle one does not;
    ///   or whoever was answering must have ended: it answers alone, the unit's main process ended, or as many ended at
    ///   once as there are workers. A signal from outside, such as SIGKILL, meets idle workers as well.
    /// - It is told of by the end of the failing second, for a watchdog may end what has closed the connection itself; in the
    ///   next second only a fault of its own counts (SIGSEGV and the like), or where that is rare among many failures.
    /// - Of several processes, no more ended where no request failed than where one did.
    /// - A core dump within its unit is of a worker that its log names, or all that answers was started just after it: a
    ///   unit may run other programs as well. What has run since before the first failure has not died, whatever is said.
    ///
    /// Where uWSGI's line has no time, the start of the worker that took the place gives it; gunicorn before 21 tells of
    /// some ends only by starting one worker more than it has. Where another application of its kind writes to the same
    /// log, a line counts only if it names a process of this one.
    ///
    /// A program that only hands connections on (socat, `docker-proxy`, HAProxy, Envoy, `ssh -L`) is no application: it closes
    /// when nothing answers behind it, which is said.
    ///
    /// ## Ruled out when
    /// The failure is another one, or every process of the application has run since before the first failure, and no
    /// other one may answer in its place: behind a forwarder or proxy, as a child of the one that listens, or on a socket of
    /// its own.
    ///
    /// ## Fix
    /// None by program: the reason stands in the application's log, its core dump or its code.
    ///
    /// ## Looks like
    /// `upstream prematurely closed connection while reading response header from upstream`
    ///
    /// ## See also
    /// `application-worker-timeout`: the application's own master killed a worker that took too long.
    pub(crate) static APPLICATION_CRASHED = {
        id: "application-crashed", since: "0.1.0", stage: Request, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::PrematureClose) || incident.is(Class::ConnectionReset)) {
        return Ok(Verdict::RuledOut(proof));
    }
    // Whatever ends behind a relay ends elsewhere; one of a process for each connection ends with every one.
    if let Some(relayed) = case.relayed(incident)? {
        return Err(Gap::undecided("who closed the connection", "a relay listens there").leaning(relayed));
    }
    let application = case.application(incident)?;
    let deaths = application.deaths(case, incident)?;
    let what = format!("a process of {} died", application.who());
    let missing = "whether a process of the application died";
    if let Some(lasting) = deaths.account_for(incident, Some(&application), missing, &what)? {
        return Ok(Verdict::RuledOut(proof.and(lasting)));
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("a process of {} died while answering: {}", application.who(), deaths.summary()),
        proof: proof.with(deaths.exhibits()),
        fixes: vec![Fix {
            summary: "find why it dies".to_owned(),
            safety: Safety::DisplayOnly,
            steps: vec![Step::Advice { text: format!("read why it died: {}", deaths.place()) }],
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "application-crashed";
    /// The connection was closed before the response.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:02:11 http://127.0.0.1:8000/
        upstream prematurely closed connection while reading response header from upstream
    ";
    /// gunicorn has replaced a worker.
    const REPLACED: &str = "
        //- process 4120 start=12:30:00
        gunicorn --bind 127.0.0.1:8000 --workers 2 --timeout 30 shop.wsgi
        //- process 4121 ppid=4120 start=12:30:01
        gunicorn --bind 127.0.0.1:8000 --workers 2 --timeout 30 shop.wsgi
        //- process 4122 ppid=4120 start=14:02:12
        gunicorn --bind 127.0.0.1:8000 --workers 2 --timeout 30 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120,4121,4122
        //- link /proc/4120/fd/2 -> /var/log/shop.log
    ";
    /// socat, or the like, takes the connections.
    fn relay(line: &str) -> String {
        format!("
            //- process 4120 start=12:30:00
            {line}
            //- listen tcp 127.0.0.1:8000 pid=4120
        ")
    }

    #[test]
    fn unknown_where_a_relay_listens() {
        let socat = "socat TCP-LISTEN:8000,fork TCP:127.0.0.1:9000";
        assert_snapshot!(check(ID, [HOST, &relay(socat)]), @"
        answer: none, over
        unknown: who closed the connection: a relay listens there
        leaning: socat (pid 4120) only hands connections on, to 127.0.0.1:9000, where nothing listens
        ");
        let said = check(ID, [HOST, &relay(socat), "
            //- process 77
            app
            //- listen tcp 127.0.0.1:9000 pid=77
        "]);
        assert!(said.contains("to 127.0.0.1:9000, where app (pid 77) listens"), "{said}");
        let proxy = "docker-proxy -proto tcp -host-ip 127.0.0.1 -host-port 8000 -container-ip 172.17.0.2 -container-port 80";
        let container = "
            //- process 88 net=2
            sleep
            //- local 172.17.0.2 net=2
        ";
        let said = check(ID, [HOST, &relay(proxy), container]);
        assert!(said.contains("to 172.17.0.2:80, in the network namespace of pid 88: nothing listens on port 80 there"), "{said}");
        let said = check(ID, [HOST, &relay(proxy), container, "
            //- listen tcp 127.0.0.1:80 pid=88 net=2
        "]);
        assert!(said.contains("sleep (pid 88) listens on 127.0.0.1:80 alone there"), "{said}");
    }

    /// gunicorn and both its workers have run since before.
    const UNCHANGED: &str = "
        //- process 4120 start=12:30:00
        gunicorn --bind 127.0.0.1:8000 --workers 2 --timeout 30 shop.wsgi
        //- process 4121 ppid=4120 start=12:30:01
        gunicorn --bind 127.0.0.1:8000 --workers 2 --timeout 30 shop.wsgi
        //- process 4122 ppid=4120 start=12:30:01
        gunicorn --bind 127.0.0.1:8000 --workers 2 --timeout 30 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120,4121,4122
        //- link /proc/4120/fd/2 -> /var/log/shop.log
    ";

    #[test]
    fn confirmed_by_its_own_log_in_every_failing_second() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        "]), @"
        answer: application-crashed, over
        confirmed: a process of gunicorn (pid 4120) died while answering: [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:11: [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        fix, shown: find why it dies
          read why it died: /var/log/shop.log
        ");
    }

    #[test]
    fn confirmed_by_the_journal_of_its_unit() {
        assert_snapshot!(check(ID, [HOST, "
            //- unit shop.service ActiveState=active SubState=running
            //- process 4120 start=14:02:12 cgroup=/system.slice/shop.service
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
        ", "
            //- journal shop.service
            14:02:11 exited ExecStart dumped 11
            14:02:11.2 failed
            14:02:12 started
        "]), @"
        answer: application-crashed, over
        confirmed: a process of serve (pid 4120) died while answering: shop.service exited ExecStart dumped 11
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - journal 14:02:11: shop.service exited ExecStart dumped 11
        fix, shown: find why it dies
          read why it died: journalctl -u shop.service
        ");
    }

    #[test]
    fn ruled_out_where_every_process_has_run_since_before() {
        assert_snapshot!(check(ID, [HOST, UNCHANGED, "
            //- file /var/log/shop.log
            [2026-06-23 12:30:00 +0000] [4120] [INFO] Listening at: http://127.0.0.1:8000 (4120)
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - process 12:30:01: all 3 processes of gunicorn (pid 4120) have run since before the first failure
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        ");
    }

    #[test]
    fn unknown_where_its_log_says_nothing() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 12:30:00 +0000] [4120] [INFO] Listening at: http://127.0.0.1:8000 (4120)
        "]), @"
        answer: none, over
        unknown: whether a process of the application died: nothing of it stands in /var/log/shop.log
        ");
    }

    #[test]
    fn unknown_where_its_log_explains_a_part_only() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        ", "
            //- failed 14:03:30 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        "]), @"
        answer: none, over
        unknown: why the other attempts failed: nothing of it stands in /var/log/shop.log
        leaning: a process of gunicorn (pid 4120) died about the time of 1 of 2 failing seconds
        ");
    }

    #[test]
    fn unknown_where_it_died_at_another_time() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 13:40:00 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        "]), @"
        answer: none, over
        unknown: whether a process of the application died: nothing of it stands in /var/log/shop.log
        ");
    }

    #[test]
    fn unknown_where_a_stop_was_asked_for() {
        // It was stopped by hand, and did not end in time.
        assert_snapshot!(check(ID, [HOST, "
            //- unit shop.service ActiveState=active SubState=running
            //- process 4120 start=14:02:12 cgroup=/system.slice/shop.service
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
        ", "
            //- journal shop.service
            14:02:10 stopping
            14:02:11 exited ExecStart killed 9
            14:02:11.2 stopped
            14:02:12 started
        "]), @"
        answer: application-restarted, over
        unknown: whether a process of the application died: nothing of it stands in journalctl -u shop.service
        ");
    }

    #[test]
    fn ruled_out_where_only_a_reload_failed() {
        assert_snapshot!(check(ID, [HOST, "
            //- unit shop.service ActiveState=active SubState=running
            //- process 4120 start=14:00:00 cgroup=/system.slice/shop.service
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
        ", "
            //- journal shop.service
            14:02:11 exited ExecReload exited 1
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - process 14:00:00: serve (pid 4120) has run since before the first failure
        ");
    }

    #[test]
    fn unknown_where_who_accepts_may_not_be_who_answers() {
        let node = "
            //- process 4120 start=12:30:00
            node /srv/app.js
            //- listen tcp 127.0.0.1:8000 pid=4120
        ";
        let told = check(ID, [HOST, node]);
        assert!(told.contains("\nruled out"), "{told}");
        let child = |what: &str| format!("{node}
            //- process 4121 ppid=4120 start=12:30:01 {what}
            node /srv/app.js
        ");
        let told = check(ID, [HOST, &child("zombie")]);
        assert!(told.contains("\nruled out"), "{told}");
        let other = |command: &str| node.replace("node /srv/app.js", command);
        let proxy = "/usr/bin/docker-proxy -proto tcp -host-ip 127.0.0.1 -host-port 8000 -container-ip 172.17.0.2 -container-port 8000";
        for (host, why) in [
            (child(""), "app.js (pid 4121), a child of app.js (pid 4120), may be one that answers"),
            (other("/lib/systemd/systemd --system"), "systemd (pid 4120) may lead requests on to another program"),
        ] {
            let told = check(ID, [HOST, &host]);
            assert!(told.contains("\nunknown: whether a process of the application died: ") && told.contains(why), "{told}");
        }
        for relay in [proxy, "/usr/sbin/haproxy -f /etc/haproxy.cfg"] {
            let told = check(ID, [HOST, &other(relay)]);
            assert!(told.contains("\nunknown: who closed the connection: a relay listens there"), "{told}");
        }
    }

    /// Two programs of one unit, of which one answers; a process of the unit left a core dump as nginx's request failed.
    fn beside_another(started: &str) -> String {
        format!("
            //- unit pm2-deploy.service ActiveState=active SubState=running
            //- process 4120 start={started} cgroup=/system.slice/pm2-deploy.service
            node /srv/api.js
            //- process 4130 start=14:02:12 cgroup=/system.slice/pm2-deploy.service
            node /srv/report.js
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- journal pm2-deploy.service
            14:02:11 dumped-core 4119 11
        ")
    }

    #[test]
    fn ruled_out_where_what_left_a_core_dump_was_another_program_of_its_unit() {
        assert_snapshot!(check(ID, [HOST, &beside_another("12:30:00")]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - process 12:30:00: api.js (pid 4120) has run since before the first failure
        ");
    }

    #[test]
    fn confirmed_where_all_that_answers_was_started_just_after_the_core_dump() {
        assert_snapshot!(check(ID, [HOST, &beside_another("14:02:12")]), @"
        answer: application-crashed, over
        confirmed: a process of api.js (pid 4120) died while answering: pm2-deploy.service dumped-core 4119 11
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - journal 14:02:11: pm2-deploy.service dumped-core 4119 11
        fix, shown: find why it dies
          read why it died: journalctl -u pm2-deploy.service
        ");
    }

    #[test]
    fn unknown_where_nothing_shows_that_what_left_a_core_dump_answers() {
        assert_snapshot!(check(ID, [HOST, &beside_another("14:03:30")]), @"
        answer: none, over
        unknown: whether a process of the application died: nothing of it stands in journalctl -u pm2-deploy.service
        leaning: a process of its unit died then, and nothing shows that it answers: pm2-deploy.service dumped-core 4119 11
        ");
    }

    #[test]
    fn a_core_dump_of_a_worker_that_the_log_names_counts() {
        let host = "
            //- unit shop.service ActiveState=active SubState=running
            //- process 4120 start=12:30:00 cgroup=/system.slice/shop.service
            puma 5.6.5 (tcp://127.0.0.1:8000) [shop]
            //- process 4121 ppid=4120 start=12:30:01 cgroup=/system.slice/shop.service
            puma: cluster worker 1: 4120 [shop]
            //- listen tcp 127.0.0.1:8000 pid=4120,4121
            //- journal shop.service
            12:30:01 [4120] - Worker 0 (PID: 4119) booted in 0.03s, phase: 0
            14:02:11 dumped-core 4119 11
        ";
        assert!(check(ID, [HOST, host]).contains("\nconfirmed"));
        let answer = check(ID, [HOST, &host.replace("dumped-core 4119", "dumped-core 4118")]);
        assert!(answer.contains("\nunknown") && answer.contains("nothing shows that it answers"), "{answer}");
    }

    #[test]
    fn unknown_without_the_right_to_see_who_listens() {
        assert_snapshot!(check(ID, [HOST, "
            //- listen tcp 127.0.0.1:8000
            //- owners denied=9
        "]), @"
        answer: none, over
        unknown: the process behind 127.0.0.1:8000: which process holds the socket needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn unknown_where_nothing_listens_any_more() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: none, over
        unknown: the application behind 127.0.0.1:8000: nothing listens there now
        leaning: nothing listens there any more: it may have ended
        ");
    }

    #[test]
    fn not_confirmed_where_its_own_master_ended_it_for_its_time_out() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        "]), @"
        answer: application-worker-timeout, over
        unknown: whether a process of the application died: nothing of it stands in /var/log/shop.log
        ");
    }

    /// Another failure in the same second.
    const AGAIN_FAILED: &str = "
        //- failed 14:02:11 http://127.0.0.1:8000/
        upstream prematurely closed connection while reading response header from upstream
    ";

    #[test]
    fn unknown_where_one_of_several_workers_was_killed_from_outside() {
        // It may have been idle, and the application have closed the connection itself.
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        "]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: the signal came from outside, and it was one of several processes that answer: it may have been idle
        leaning: a process of gunicorn (pid 4120) died about the time of every failing second
        ");
    }

    #[test]
    fn confirmed_where_every_worker_was_killed_at_once() {
        assert_snapshot!(check(ID, [HOST, &REPLACED.replace("12:30:01", "14:02:12"), "
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4118) was sent SIGKILL! Perhaps out of memory?
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        "]), @"
        answer: application-crashed, over
        confirmed: a process of gunicorn (pid 4120) died while answering: [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4118) was sent SIGKILL! Perhaps out of memory?
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:11: [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4118) was sent SIGKILL! Perhaps out of memory?
        - application-log 14:02:11: [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        fix, shown: find why it dies
          read why it died: /var/log/shop.log
        ");
    }

    #[test]
    fn unknown_where_a_worker_from_before_is_left() {
        // One place was filled twice; the other's worker runs on, and closed the connection itself.
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4118) was sent SIGKILL! Perhaps out of memory?
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        "]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: the signal came from outside, and it was one of several processes that answer: it may have been idle
        leaning: a process of gunicorn (pid 4120) died about the time of every failing second
        ");
    }

    #[test]
    fn unknown_where_more_requests_failed_than_workers_died() {
        // A sync worker answers one at a time.
        assert_snapshot!(check(ID, [HOST, AGAIN_FAILED, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        "]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: it can have been answering 1 of 2 requests that failed
        leaning: a process of gunicorn (pid 4120) died about the time of every failing second
        ");
    }

    #[test]
    fn confirmed_where_threads_answered_several_requests() {
        let threads = REPLACED.replace("--timeout 30", "--threads 4");
        assert_snapshot!(check(ID, [HOST, AGAIN_FAILED, &threads, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        "]), @"
        answer: application-crashed, over
        confirmed: a process of gunicorn (pid 4120) died while answering: [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        - log 14:02:11 x2: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:11: [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        fix, shown: find why it dies
          read why it died: /var/log/shop.log
        ");
    }

    #[test]
    fn unknown_where_workers_mostly_die_without_a_failure() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 13:40:11 +0000] [4120] [ERROR] Worker (pid:4117) was sent SIGSEGV!
            [2026-06-23 13:50:11 +0000] [4120] [ERROR] Worker (pid:4118) was sent SIGSEGV!
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        "]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: its processes end by chance as well: 2 times where no request failed, 1 time where one did
        leaning: a process of gunicorn (pid 4120) died about the time of every failing second
        ");
    }

    #[test]
    fn confirmed_where_the_only_worker_was_killed() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- process 4122 ppid=4120 start=14:02:12
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120,4122
            //- link /proc/4120/fd/2 -> /var/log/shop.log
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        "]), @"
        answer: application-crashed, over
        confirmed: a process of gunicorn (pid 4120) died while answering: [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:11: [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        fix, shown: find why it dies
          read why it died: /var/log/shop.log
        ");
    }

    #[test]
    fn unknown_of_puma_which_does_not_say_how_a_worker_ended() {
        // Its lines have no times: the new worker's start tells when it took the other's place.
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00
            puma 5.6.5 (tcp://127.0.0.1:8000) [shop]
            //- process 4121 ppid=4120 start=12:30:01
            puma: cluster worker 1: 4120 [shop]
            //- process 4122 ppid=4120 start=14:02:11
            puma: cluster worker 0: 4120 [shop]
            //- listen tcp 127.0.0.1:8000 pid=4120,4121,4122
            //- link /proc/4120/fd/2 -> /var/log/shop.log
            //- file /var/log/shop.log
            [4120] - Worker 0 (PID: 4119) booted in 0.03s, phase: 0
            [4120] - Worker 1 (PID: 4121) booted in 0.05s, phase: 0
            [4120] - Worker 0 (PID: 4122) booted in 0.07s, phase: 0
        "]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: nothing says how it ended, and it was one of several processes that answer: it may have been idle
        leaning: a process of puma (pid 4120) died about the time of every failing second
        ");
    }

    #[test]
    fn confirmed_by_unicorns_log() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00
            unicorn master -c /srv/shop/unicorn.rb
            //- process 4121 ppid=4120 start=12:30:01
            unicorn worker[0] -c /srv/shop/unicorn.rb
            //- process 4122 ppid=4120 start=14:02:12
            unicorn worker[1] -c /srv/shop/unicorn.rb
            //- listen tcp 127.0.0.1:8000 pid=4120,4121,4122
            //- link /proc/4120/fd/2 -> /var/log/shop.log
            //- file /var/log/shop.log
            E, [2026-06-23T14:02:11.470640 #4120] ERROR -- : reaped #<Process::Status: pid 4119 SIGABRT (signal 6)> worker=1
        "]), @"
        answer: application-crashed, over
        confirmed: a process of unicorn (pid 4120) died while answering: E, [2026-06-23T14:02:11.470640 #4120] ERROR -- : reaped #<Process::Status: pid 4119 SIGABRT (signal 6)> worker=1
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:11: E, [2026-06-23T14:02:11.470640 #4120] ERROR -- : reaped #<Process::Status: pid 4119 SIGABRT (signal 6)> worker=1
        fix, shown: find why it dies
          read why it died: /var/log/shop.log
        ");
    }

    /// uWSGI has replaced its only worker.
    const UWSGI: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { uwsgi_pass 127.0.0.1:3031; } } }
        //- failed 14:02:11 uwsgi://127.0.0.1:3031
        upstream prematurely closed connection while reading response header from upstream
        //- process 4120 start=12:30:00
        uwsgi --socket 127.0.0.1:3031 --master --processes 1 --logto /srv/py/u.log
        //- process 40 ppid=4120 start=14:02:11
        uwsgi --socket 127.0.0.1:3031 --master --processes 1 --logto /srv/py/u.log
        //- listen tcp 127.0.0.1:3031 pid=4120,40
    ";

    /// A unit whose only process ended so and was started anew.
    fn ended(journal: &str) -> String {
        format!("
            //- unit shop.service ActiveState=active SubState=running
            //- process 4120 start=14:03:30 cgroup=/system.slice/shop.service
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- journal shop.service
            {journal}
        ")
    }

    #[test]
    fn unknown_where_it_was_killed_after_the_failing_second() {
        // It closed the connection, and a watchdog ended it for that.
        assert_snapshot!(check(ID, [HOST, &ended("14:02:12.4 exited ExecStart killed 9")]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: it is told of in the second after a failure: it may have closed the connection itself, and have ended then
        leaning: a process of serve (pid 4120) died about the time of every failing second
        ");
        for how in ["killed 6", "dumped 6", "exited 1"] {
            let told = check(ID, [HOST, &ended(&format!("14:02:12 exited ExecStart {how}"))]);
            assert!(told.contains("\nunknown: whether what ended was answering"), "{told}");
            let told = check(ID, [HOST, &ended(&format!("14:02:11.9 exited ExecStart {how}"))]);
            assert!(told.contains("\nconfirmed"), "{told}");
        }
        let kill = |second: u32| format!("
            //- process 4120 start=12:30:00
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- process 4122 ppid=4120 start=14:02:13
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120,4122
            //- link /proc/4120/fd/2 -> /var/log/shop.log
            //- file /var/log/shop.log
            [2026-06-23 14:02:{second} +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        ");
        let told = check(ID, [HOST, &kill(12)]);
        assert!(told.contains("\nunknown: whether what ended was answering"), "{told}");
        let told = check(ID, [HOST, &kill(10)]);
        assert!(told.contains("\nconfirmed"), "{told}");
    }

    #[test]
    fn confirmed_where_a_fault_of_its_own_is_told_of_as_the_second_turns() {
        for how in ["killed 11", "dumped 8"] {
            let told = check(ID, [HOST, &ended(&format!("14:02:12 exited ExecStart {how}"))]);
            assert!(told.contains("\nconfirmed"), "{told}");
        }
    }

    #[test]
    fn what_is_told_of_as_the_second_turns_counts_where_it_is_rare() {
        let failed = |second: u32| HOST.rsplit_once("//- failed").map(|(_, line)| format!("//- failed{line}"))
            .unwrap_or_default().replace("14:02:11", &format!("14:02:{second}"));
        let several = |late: u32| {
            let seconds: Vec<u32> = (0..9).map(|idx| 14 + 5 * idx).collect();
            let failures: String = seconds.iter().map(|&second| failed(second)).collect();
            let exits: Vec<String> = seconds.iter().enumerate().map(|(idx, second)| {
                let told = second + u32::from(idx < late as usize);
                format!("14:02:{told} exited ExecStart exited 1")
            }).collect();
            let host = HOST.rsplit_once("//- failed").map(|(host, _)| host).unwrap_or_default();
            check(ID, [host, &failures, &ended(&exits.join("\n            "))])
        };
        assert!(several(1).contains("\nconfirmed"), "{}", several(1));
        assert!(several(2).contains("\nunknown: whether what ended was answering"), "{}", several(2));
    }

    #[test]
    fn confirmed_by_the_start_of_the_worker_that_took_its_place() {
        assert_snapshot!(check(ID, [UWSGI, "
            //- file /srv/py/u.log
            spawned uWSGI worker 1 (pid: 36, cores: 1)
            !!! uWSGI process 36 got Segmentation Fault !!!
            DAMN ! worker 1 (pid: 36) died :( trying respawn ...
            Respawned uWSGI worker 1 (new pid: 40)
        "]), @"
        answer: application-crashed, over
        confirmed: a process of uwsgi (pid 4120) died while answering: !!! uWSGI process 36 got Segmentation Fault !!!
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:11: !!! uWSGI process 36 got Segmentation Fault !!!
        fix, shown: find why it dies
          read why it died: /srv/py/u.log
        ");
    }

    #[test]
    fn unknown_where_the_line_has_no_time() {
        // Who took its place has gone as well.
        assert_snapshot!(check(ID, [UWSGI, "
            //- file /srv/py/u.log
            spawned uWSGI worker 1 (pid: 36, cores: 1)
            DAMN ! worker 1 (pid: 36) died :( trying respawn ...
            Respawned uWSGI worker 1 (new pid: 38)
        "]), @"
        answer: none, over
        unknown: whether a process of the application died: what stands in /srv/py/u.log has no time: DAMN ! worker 1 (pid: 36) died :( trying respawn ...
        leaning: uwsgi (pid 4120) says so, without a time: DAMN ! worker 1 (pid: 36) died :( trying respawn ...
        ");
    }

    #[test]
    fn a_worker_whose_end_gunicorn_does_not_tell_of_is_seen_by_the_next_one() {
        let one = |text: &str| text.replace("--workers 2", "--workers 1");
        let host = one("
            //- process 4120 start=12:30:00
            gunicorn --bind 127.0.0.1:8000 --workers 2 shop.wsgi
            //- process 4122 ppid=4120 start=14:02:11
            gunicorn --bind 127.0.0.1:8000 --workers 2 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120,4122
            //- link /proc/4120/fd/2 -> /var/log/shop.log
        ");
        let log = "
            //- file /var/log/shop.log
            [2026-06-23 12:30:00 +0000] [4120] [INFO] Starting gunicorn 20.1.0
            [2026-06-23 12:30:00 +0000] [4121] [INFO] Booting worker with pid: 4121
            [2026-06-23 14:02:11 +0000] [4122] [INFO] Booting worker with pid: 4122
        ";
        assert_snapshot!(check(ID, [HOST, &host, log]), @"
        answer: application-crashed, over
        confirmed: a process of gunicorn (pid 4120) died while answering: [2026-06-23 14:02:11 +0000] [4122] [INFO] Booting worker with pid: 4122 (in place of one whose end is not told of)
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:11: [2026-06-23 14:02:11 +0000] [4122] [INFO] Booting worker with pid: 4122 (in place of one whose end is not told of)
        fix, shown: find why it dies
          read why it died: /var/log/shop.log
        ");
        // It was told to have more.
        let told = log.replace("[2026-06-23 14:02:11", "[2026-06-23 14:02:11 +0000] [4120] [INFO] Handling signal: ttin\n            [2026-06-23 14:02:11");
        let answer = check(ID, [HOST, &host, &told]);
        assert!(!answer.contains("confirmed"), "{answer}");
    }

    #[test]
    fn not_confirmed_where_another_master_writes_to_the_same_log() {
        let host = "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { fastcgi_pass unix:/run/php/a.sock; } } }
            //- failed 14:02:11 fastcgi://unix:/run/php/a.sock:
            recv() failed (104: Connection reset by peer) while reading response header from upstream
            //- file /etc/php/a.conf
            [global]
            error_log = /var/log/fpm.log
            [www]
            listen = /run/php/a.sock
            pm = static
            pm.max_children = 1
            //- process 900 start=12:30:00
            php-fpm: master process (/etc/php/a.conf)
            //- process 902 ppid=900 start=14:02:11
            php-fpm: pool www
            //- listen unix /run/php/a.sock pid=900,902
            //- file /var/log/fpm.log
            [23-Jun-2026 14:02:11] WARNING: [pool www] child 901 exited on signal 11 (SIGSEGV) after 9.100000 seconds from start
        ";
        assert!(check(ID, [host]).contains("confirmed"));
        let other = "
            //- file /etc/php/b.conf
            [global]
            error_log = /var/log/fpm.log
            [www]
            listen = /run/php/b.sock
            //- process 950 start=12:30:00
            php-fpm: master process (/etc/php/b.conf)
        ";
        let answer = check(ID, [host, other]);
        assert!(!answer.contains("confirmed"), "{answer}");
        assert!(answer.contains("php-fpm (pid 950) writes to the same log"), "{answer}");
    }
}
