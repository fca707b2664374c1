//! See the doc comment of [`APPLICATION_WORKER_TIMEOUT`].

use facts::{Exhibit, Gap};
use log::error::Class;

use crate::case::{Case, Patience};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application's own master killed the worker because the request took too long.
    ///
    /// ## Confirmed when
    /// The connection was closed or reset before the response, and in every failing second the application's log says that
    /// it ended a worker for its time-out (gunicorn `--timeout`, uWSGI harakiri, php-fpm `request_terminate_timeout`,
    /// Unicorn `timeout`, Puma `worker_timeout`), as many as the requests that failed where each answers one at a time.
    /// An application may print such a line, and several may share a log: the worker must have run for as long, as must a
    /// request, where that is logged; and no other application of its kind may write there, unless the line names its master.
    ///
    /// ## Ruled out when
    /// The failure is another one, or every process of the application has run since before the first failure, and no
    /// other one may answer in its place: behind a forwarder or proxy, as a child of the one that listens, or on a socket of
    /// its own.
    ///
    /// ## Fix
    /// Make the request faster, or raise the application's time-out, and nginx's read time-out above it.
    /// Shown only: which of the two is right is a person's decision.
    ///
    /// ## Looks like
    /// `upstream prematurely closed connection while reading response header from upstream`
    pub(crate) static APPLICATION_WORKER_TIMEOUT = {
        id: "application-worker-timeout", since: "0.1.0", stage: Request, refines: ["application-crashed"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::PrematureClose) || incident.is(Class::ConnectionReset)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let application = case.application(incident)?;
    let timeouts = application.timeouts(case, incident)?;
    let what = format!("the log of {} says that a worker was ended for its time-out,", application.who());
    let missing = "whether the application ended its worker for a time-out";
    if let Some(lasting) = timeouts.account_for(incident, Some(&application), missing, &what)? {
        return Ok(Verdict::RuledOut(proof.and(lasting)));
    }
    let setting = application.timeout_setting();
    let patience = case.patience(incident, &application)?;
    let below = patience.iter().find_map(Patience::nginx_is_not_above);
    let mut sides: Vec<Exhibit> = patience.iter().map(Patience::exhibit).collect();
    if sides.is_empty() {
        sides.extend(setting.exhibit());
    }
    let raise = match below {
        Some(nginx) => format!("or raise {}, and nginx's read time-out above it: {nginx}", setting.name()),
        None => format!("or raise {} and keep nginx's read time-out above it", setting.name()),
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} ended its worker for the time-out{}", application.who(), setting.summary()),
        proof: proof.with(timeouts.exhibits()).with(sides),
        fixes: vec![Fix {
            summary: "make the request faster, or give it longer".to_owned(),
            safety: Safety::DisplayOnly,
            steps: vec![
                Step::Advice { text: format!("find what is slow: {}", timeouts.place()) },
                Step::Advice { text: raise },
            ],
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "application-worker-timeout";
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
    fn lines_of_another_master_or_of_a_worker_that_never_was_or_still_runs_do_not_count() {
        // Two sites share a log, or the application prints what a client sent.
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 12:30:01 +0000] [4121] [INFO] Booting worker with pid: 4121
            [2026-06-23 14:02:10 +0000] [5120] [CRITICAL] WORKER TIMEOUT (pid:4121)
            [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:99)
            [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4121)
        "]), @"
        answer: none, over
        unknown: whether the application ended its worker for a time-out: nothing of it stands in /var/log/shop.log
        ");
    }

    #[test]
    fn ruled_out_where_every_process_has_run_since_before_whatever_the_log_says() {
        let told = check(ID, [HOST, UNCHANGED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
        "]);
        assert!(told.contains("\nruled out"), "{told}");
    }

    #[test]
    fn confirmed_by_its_own_log_in_every_failing_second() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        "]), @"
        answer: application-worker-timeout, over
        confirmed: gunicorn (pid 4120) ended its worker for the time-out (gunicorn's --timeout is 30 s, by its command line)
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:10: [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
        - process: proxy_read_timeout is 60s by its default, gunicorn's --timeout is 30 s by its command line: as set, the application gives up first
        fix, shown: make the request faster, or give it longer
          find what is slow: /var/log/shop.log
          or raise gunicorn's --timeout and keep nginx's read time-out above it
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
        // nginx itself gave up.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        ");
    }

    #[test]
    fn unknown_where_its_log_says_nothing() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 12:30:00 +0000] [4120] [INFO] Listening at: http://127.0.0.1:8000 (4120)
        "]), @"
        answer: none, over
        unknown: whether the application ended its worker for a time-out: nothing of it stands in /var/log/shop.log
        ");
    }

    #[test]
    fn unknown_where_its_log_could_not_be_found() {
        assert_snapshot!(check(ID, [HOST, REPLACED]), @"
        answer: none, over
        unknown: whether the application ended its worker for a time-out: the log of gunicorn (pid 4120) was not found
        learn: sudo dmesg -T | grep -iE 'killed process|segfault'
        ");
    }

    #[test]
    fn unknown_where_its_log_may_not_be_read() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        ", "
            //- denied lines-since host /var/log/shop.log
        "]), @"
        answer: none, over
        unknown: whether the application ended its worker for a time-out: the log of gunicorn (pid 4120) was not found
        learn: sudo dmesg -T | grep -iE 'killed process|segfault'
        ");
    }

    #[test]
    fn unknown_where_it_was_at_another_time() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 13:40:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
            [2026-06-23 13:40:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        "]), @"
        answer: none, over
        unknown: whether the application ended its worker for a time-out: nothing of it stands in /var/log/shop.log
        ");
    }

    #[test]
    fn unknown_where_its_log_explains_a_part_only() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
        ", "
            //- failed 14:03:30 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        "]), @"
        answer: none, over
        unknown: why the other attempts failed: nothing of it stands in /var/log/shop.log
        leaning: the log of gunicorn (pid 4120) says that a worker was ended for its time-out, about the time of 1 of 2 failing seconds
        ");
    }

    #[test]
    fn not_confirmed_by_a_crash() {
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
        "]), @"
        answer: application-crashed, over
        unknown: whether the application ended its worker for a time-out: nothing of it stands in /var/log/shop.log
        ");
    }

    #[test]
    fn says_that_nginx_waits_no_longer_itself() {
        let host = HOST.replace("proxy_pass", "proxy_read_timeout 30s; proxy_pass");
        assert_snapshot!(check(ID, [&host, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
        "]), @"
        answer: application-worker-timeout, over
        confirmed: gunicorn (pid 4120) ended its worker for the time-out (gunicorn's --timeout is 30 s, by its command line)
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:10: [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
        - process: proxy_read_timeout is 30s by /etc/nginx/nginx.conf:1, gunicorn's --timeout is 30 s by its command line: as set, both give up at once
        fix, shown: make the request faster, or give it longer
          find what is slow: /var/log/shop.log
          or raise gunicorn's --timeout, and nginx's read time-out above it: proxy_read_timeout is 30s by /etc/nginx/nginx.conf:1
        ");
    }

    #[test]
    fn unknown_where_fewer_workers_took_too_long_than_requests_failed() {
        // A sync worker answers one at a time.
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        ", REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
        "]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: it can have been answering 1 of 2 requests that failed
        leaning: the log of gunicorn (pid 4120) says that a worker was ended for its time-out, about the time of every failing second
        ");
    }

    #[test]
    fn confirmed_by_pumas_log_which_has_no_times() {
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
            [4120] ! Terminating timed out worker (worker failed to check in within 60 seconds): 4119
            [4120] - Worker 0 (PID: 4122) booted in 0.07s, phase: 0
        "]), @"
        answer: application-worker-timeout, over
        confirmed: puma (pid 4120) ended its worker for the time-out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:11: [4120] ! Terminating timed out worker (worker failed to check in within 60 seconds): 4119
        fix, shown: make the request faster, or give it longer
          find what is slow: /var/log/shop.log
          or raise puma's worker_timeout and keep nginx's read time-out above it
        ");
    }

    #[test]
    fn not_confirmed_where_the_worker_is_younger_than_the_time_out() {
        // The application prints what gunicorn prints, and ends itself.
        assert_snapshot!(check(ID, [HOST, REPLACED, "
            //- file /var/log/shop.log
            [2026-06-23 12:30:01 +0000] [4121] [INFO] Booting worker with pid: 4121
            [2026-06-23 14:02:10 +0000] [4119] [INFO] Booting worker with pid: 4119
            [2026-06-23 14:02:11 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) exited with code 1
        "]), @"
        answer: application-crashed, over
        unknown: whether what ended was answering the requests that failed: process 4119 had run for 1 s, and gunicorn's --timeout is 30 s
        leaning: the log of gunicorn (pid 4120) says that a worker was ended for its time-out, about the time of every failing second
        ");
    }

    #[test]
    fn not_confirmed_where_no_request_took_that_long() {
        let host = HOST.replace("http { ", "http { log_format up '$remote_addr [$time_iso8601] \"$request\" $status $upstream_addr $upstream_status $upstream_header_time $upstream_response_time'; access_log /var/log/nginx/up.log up; ");
        assert_snapshot!(check(ID, [&host, REPLACED, "
            //- file /var/log/nginx/up.log
            192.0.2.1 [2026-06-23T14:02:11+00:00] \"GET / HTTP/1.1\" 502 127.0.0.1:8000 502 - 0.004
            //- file /var/log/shop.log
            [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
        "]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: the longest request that failed then took 4 ms by the access log, and gunicorn's --timeout is 30 s
        leaning: the log of gunicorn (pid 4120) says that a worker was ended for its time-out, about the time of every failing second
        ");
    }

    /// Two php-fpm masters that have a pool of the same name write to one log.
    const TWO_MASTERS: &str = "
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
        request_terminate_timeout = 2
        //- process 900 start=12:30:00
        php-fpm: master process (/etc/php/a.conf)
        //- process 902 ppid=900 start=14:02:11
        php-fpm: pool www
        //- listen unix /run/php/a.sock pid=900,902
        //- file /var/log/fpm.log
        [23-Jun-2026 14:02:11] WARNING: [pool www] child 901, script '/srv/x.php' (request: \"GET /x.php\") execution timed out (2.100000 sec), terminating
        [23-Jun-2026 14:02:11] WARNING: [pool www] child 901 exited on signal 15 (SIGTERM) after 9.100000 seconds from start
    ";
    const OTHER_MASTER: &str = "
        //- process 950 start=12:30:00
        php-fpm: master process (/etc/php/b.conf)
        //- process 952 ppid=950 start=14:02:11
        php-fpm: pool www
    ";

    #[test]
    fn not_confirmed_where_another_master_writes_to_the_same_log() {
        assert_snapshot!(check(ID, [TWO_MASTERS, OTHER_MASTER, "
            //- file /etc/php/b.conf
            [global]
            error_log = /var/log/fpm.log
            [www]
            listen = /run/php/b.sock
            request_terminate_timeout = 2
        "]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: php-fpm (pid 950) writes to the same log, and no line says whose process ended
        leaning: the log of php-fpm (pid 900) says that a worker was ended for its time-out, about the time of every failing second
        ");
    }

    #[test]
    fn confirmed_where_the_other_master_has_its_own_log_or_pool() {
        for (log, pool) in [("fpm-b.log", "www"), ("fpm.log", "shop")] {
            let other = format!("//- file /etc/php/b.conf\n[global]\nerror_log = /var/log/{log}\n[{pool}]\nlisten = /run/php/b.sock\n");
            let answer = check(ID, [TWO_MASTERS, OTHER_MASTER, &other]);
            assert!(answer.contains("confirmed: php-fpm (pid 900) ended its worker"), "{answer}");
        }
    }

    #[test]
    fn not_confirmed_where_the_pool_has_no_time_out() {
        let host = TWO_MASTERS.replace("request_terminate_timeout = 2", "");
        assert_snapshot!(check(ID, [&host]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: php-fpm's request_terminate_timeout is off, by its default
        leaning: the log of php-fpm (pid 900) says that a worker was ended for its time-out, about the time of every failing second
        ");
    }
}
