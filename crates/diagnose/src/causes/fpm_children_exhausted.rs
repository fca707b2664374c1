//! See the doc comment of [`FPM_CHILDREN_EXHAUSTED`].

use facts::{Exhibit, Gap, PeerAddress, counted};
use log::error::{Class, While};

use crate::case::{Case, FpmPool};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// All children that the php-fpm pool may have are busy, and further requests wait in its queue or are turned away.
    ///
    /// ## Confirmed when
    /// The queue of the pool is full (errno 11 on a unix socket, a time-out while connecting on TCP), and php-fpm's log
    /// says in the failing seconds that it reached `pm.max_children`, or the queue is full now and as many children run.
    /// Or requests timed out while reading the response header, more of them waited at one time than the pool may have
    /// children, and as many run or the log says so.
    ///
    /// ## Ruled out when
    /// The failure is another one, or the program that has listened there since before is not php-fpm.
    ///
    /// ## Fix
    /// Find what keeps the children busy; where they are only too few and memory suffices, raise `pm.max_children`.
    /// Shown only: a child too many costs memory that the host may not have.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/php/php8.2-fpm.sock failed (11: Resource temporarily unavailable) while connecting to upstream`
    ///
    /// `[pool www] server reached pm.max_children setting (5), consider raising it`
    ///
    /// ## See also
    /// With `pm = static` php-fpm's log says nothing.
    /// `accept-queue-full`: the same of any application. `application-slow`: it took the request.
    pub(crate) static FPM_CHILDREN_EXHAUSTED = {
        id: "fpm-children-exhausted", since: "0.1.0", stage: Connect, refines: ["accept-queue-full", "application-slow"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let of_queue = incident.is(Class::UnixBacklogFull) || incident.is(Class::ConnectTimeout);
    let of_wait = incident.is(Class::ReadTimeout) && incident.action == Some(While::ReadingResponseHeader);
    if !(of_queue || of_wait) {
        return Ok(Verdict::RuledOut(proof));
    }
    let Some(pool) = case.fpm_pool(incident)? else {
        let application = case.application(incident)?;
        return match application.started_late(incident) {
            None => Ok(Verdict::RuledOut(proof.and(application.exhibit()))),
            Some(late) => Err(Gap::too_late("what listened there when it failed", format!("it {late}"))),
        };
    };
    match incident.dialled()? {
        _ if of_wait => of_waiting(incident, case, &pool),
        PeerAddress::Unix(_) => of_unix_queue(incident, case, &pool),
        PeerAddress::Tcp(_) => of_tcp_queue(incident, case, &pool),
    }
}

/// A full queue alone does not prove it: a burst may fill a short one before a child that is free wakes up.
fn of_unix_queue(incident: &Incident, case: &Case, pool: &FpmPool) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if let Some(said) = pool.said_in_all(incident, 0) {
        return Ok(confirmed(pool, proof.and(said), "were", "its queue was full"));
    }
    let again = case.still_failing(incident).map_err(|gap| lean(gap, incident, pool, 0))?;
    of_full_queue(incident, case, pool, proof.and(again))
}

fn of_tcp_queue(incident: &Incident, case: &Case, pool: &FpmPool) -> Result<Verdict, Gap> {
    let again = case.still_failing(incident).map_err(|gap| lean(gap, incident, pool, 0))?;
    let direct = match case.unhindered(incident)? {
        Ok(direct) => direct,
        // The connection does not get as far as the queue.
        Err(rule) => return Ok(Verdict::RuledOut(Proof::new(incident.exhibit()).and(again).and(rule))),
    };
    of_full_queue(incident, case, pool, Proof::new(incident.exhibit()).and(again).and(direct))
}

/// The queue is full now, and stays so only where no child is free to empty it.
fn of_full_queue(incident: &Incident, case: &Case, pool: &FpmPool, proof: Proof) -> Result<Verdict, Gap> {
    let listener = case.listener_of(incident)?;
    if !listener.is_full() {
        return Err(lean(Gap::undecided("whether the pool's queue is full", "it has room now"), incident, pool, 0));
    }
    let all = pool.runs_all().ok_or_else(|| not_all(pool))?;
    Ok(confirmed(pool, proof.and(listener.queue_exhibit()).and(all), "are", "its queue is full"))
}

/// More requests waited at one time than there may be children: one at least was in the queue, which a free child empties.
fn of_waiting(incident: &Incident, case: &Case, pool: &FpmPool) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let time_out = case.shortest_read_timeout(incident)?;
    let waited = incident.waited_at_once(time_out);
    if waited <= u64::from(pool.limit) {
        let gap = Gap::undecided(
            "whether requests waited for a free child",
            format!("{waited} timed out at one time, and pool {} may have {}", pool.name, counted(pool.limit, "child")),
        );
        return Err(lean(gap, incident, pool, time_out));
    }
    let what = format!("{} waited for an answer at one time", counted(waited, "request"));
    let at_once = Exhibit::Record {
        probe: "lines-since",
        at: None,
        text: format!("{what}, {} may answer", counted(pool.limit, "child")),
    };
    if let Some(said) = pool.said_in_all(incident, time_out) {
        return Ok(confirmed(pool, proof.and(at_once).and(said), "were", &what));
    }
    // Where it is over, the children may have been stopped by a signal at the time.
    if !case.is_ongoing(incident) {
        let gap = Gap::too_late("whether all children were busy when it failed", "php-fpm's log does not say so");
        return Err(gap.leaning(format!("{what}, and pool {} may have {}", pool.name, counted(pool.limit, "child"))));
    }
    let began = incident.first_seen.checked_sub(jiff::SignedDuration::from_secs(time_out)).unwrap_or(incident.first_seen);
    let all = pool.all_since(began).ok_or_else(|| not_all(pool))?;
    Ok(confirmed(pool, proof.and(at_once).and(all), "were", &what))
}

fn not_all(pool: &FpmPool) -> Gap {
    let missing = "whether all children were busy when it failed";
    if pool.has_stopped() {
        let gap = Gap::undecided(missing, "a signal has stopped some of them");
        return gap.leaning(format!("children of pool {} are stopped, and answer nobody", pool.name));
    }
    Gap::undecided(
        missing,
        format!("pool {} has {}, and may have {}, or not all ran then", pool.name, counted(pool.n_children(), "child"), pool.limit),
    )
}

/// What php-fpm said while it failed, where it does not suffice.
fn lean(gap: Gap, incident: &Incident, pool: &FpmPool, waited: i64) -> Gap {
    match pool.said_near(incident, waited) {
        Some(Exhibit::Record { text, .. }) => gap.leaning(format!("in some of the failing seconds php-fpm says: {text}")),
        _ => gap,
    }
}

fn confirmed(pool: &FpmPool, proof: Proof, verb: &str, what: &str) -> Verdict {
    let at = pool.setting.as_ref().map(|(file, line)| format!(" ({}:{line})", file.display())).unwrap_or_default();
    let mut raise = vec![Step::Advice {
        text: format!(
            "where the children are only too few, and memory suffices for as many more: raise pm.max_children, now {}{at}",
            pool.limit
        ),
    }];
    raise.extend(pool.service.as_ref().map(|service| Step::command(["systemctl", "reload", service])));
    let busy = match (pool.limit, verb) {
        (1, "were") => format!("the only child of the php-fpm pool {} was busy", pool.name),
        (1, _) => format!("the only child of the php-fpm pool {} is busy", pool.name),
        (limit, _) => format!("all {} of the php-fpm pool {} {verb} busy", counted(limit, "child"), pool.name),
    };
    let shown = |summary: &str, steps| Fix {
        summary: summary.to_owned(),
        safety: Safety::DisplayOnly,
        steps,
        verify: Some(AGAIN.to_owned()),
    };
    Verdict::Confirmed(Confirmation {
        summary: format!("{busy} (pm.max_children = {}), and {what}", pool.limit),
        proof,
        fixes: vec![
            shown("find what keeps the children busy", vec![Step::Advice {
                text: format!("see what the children of {} do: request_slowlog_timeout and slowlog in the pool's file name the script", pool.who),
            }]),
            shown("allow more children", raise),
        ],
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "fpm-children-exhausted";
    const NGINX: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { fastcgi_read_timeout 10s; fastcgi_pass unix:/run/php/www.sock; } } }
    ";
    const FULL: &str = "
        //- failed 14:02:11 fastcgi://unix:/run/php/www.sock:
        connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream
    ";
    /// Three requests that waited at the same time.
    const TIMED_OUT: &str = "
        //- failed 14:04:30 fastcgi://unix:/run/php/www.sock
        upstream timed out (110: Connection timed out) while reading response header from upstream
        //- failed 14:04:31 fastcgi://unix:/run/php/www.sock
        upstream timed out (110: Connection timed out) while reading response header from upstream
        //- failed 14:04:38 fastcgi://unix:/run/php/www.sock
        upstream timed out (110: Connection timed out) while reading response header from upstream
    ";
    const POOL: &str = "
        //- file /etc/php/8.2/fpm/php-fpm.conf
        [global]
        error_log = /var/log/php8.2-fpm.log
        include=/etc/php/8.2/fpm/pool.d/*.conf
        //- file /etc/php/8.2/fpm/pool.d/www.conf
        [www]
        listen = /run/php/www.sock
        pm = dynamic
        pm.max_children = 2
    ";
    const RUNNING: &str = "
        //- process 900
        php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
        //- process 901 ppid=900
        php-fpm: pool www
        //- process 902 ppid=900
        php-fpm: pool www
    ";
    const QUEUE_FULL: &str = "
        //- listen unix /run/php/www.sock pid=900,901,902 queue=129/128
        //- connect unix:/run/php/www.sock -> errno 11
    ";
    const QUEUE_EMPTY: &str = "
        //- listen unix /run/php/www.sock pid=900,901,902
    ";
    const SAID: &str = "
        //- file /var/log/php8.2-fpm.log
        [23-Jun-2026 14:02:10] WARNING: [pool www] server reached pm.max_children setting (2), consider raising it
    ";

    #[test]
    fn confirmed_by_its_own_log_in_every_failing_second() {
        assert_snapshot!(check(ID, [NGINX, FULL, POOL, RUNNING, QUEUE_EMPTY, SAID]), @"
        answer: fpm-children-exhausted, over
        confirmed: all 2 children of the php-fpm pool www were busy (pm.max_children = 2), and its queue was full
        - log 14:02:11 x1: connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream
        - application-log 14:02:10: [23-Jun-2026 14:02:10] WARNING: [pool www] server reached pm.max_children setting (2), consider raising it
        fix, shown: find what keeps the children busy
          see what the children of php-fpm (pid 900) do: request_slowlog_timeout and slowlog in the pool's file name the script
        fix, shown: allow more children
          where the children are only too few, and memory suffices for as many more: raise pm.max_children, now 2 (/etc/php/8.2/fpm/pool.d/www.conf:4)
        ");
    }

    #[test]
    fn confirmed_where_the_queue_is_full_and_all_children_run_now() {
        assert_snapshot!(check(ID, [NGINX, FULL, POOL, RUNNING, QUEUE_FULL]), @"
        answer: fpm-children-exhausted, ongoing
        confirmed: all 2 children of the php-fpm pool www are busy (pm.max_children = 2), and its queue is full
        - log 14:02:11 x1: connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream
        - connect 14:05:00: connect unix:/run/php/www.sock as nginx's worker: 11: Resource temporarily unavailable
        - sockets: 129 connections wait to be accepted, 128 may
        - process 12:30:00: pool www has 2 children, and may have 2
        fix, shown: find what keeps the children busy
          see what the children of php-fpm (pid 900) do: request_slowlog_timeout and slowlog in the pool's file name the script
        fix, shown: allow more children
          where the children are only too few, and memory suffices for as many more: raise pm.max_children, now 2 (/etc/php/8.2/fpm/pool.d/www.conf:4)
        ");
    }

    #[test]
    fn confirmed_where_more_requests_waited_than_children_may_run() {
        assert_snapshot!(check(ID, [NGINX, TIMED_OUT, POOL, RUNNING, QUEUE_EMPTY]), @"
        answer: fpm-children-exhausted, ongoing
        confirmed: all 2 children of the php-fpm pool www were busy (pm.max_children = 2), and 3 requests waited for an answer at one time
        - log 14:04:30 x3: upstream timed out (110: Connection timed out) while reading response header from upstream
        - lines-since: 3 requests waited for an answer at one time, 2 children may answer
        - process 12:30:00: pool www has 2 children, and may have 2
        fix, shown: find what keeps the children busy
          see what the children of php-fpm (pid 900) do: request_slowlog_timeout and slowlog in the pool's file name the script
        fix, shown: allow more children
          where the children are only too few, and memory suffices for as many more: raise pm.max_children, now 2 (/etc/php/8.2/fpm/pool.d/www.conf:4)
        ");
    }

    #[test]
    fn unknown_where_no_more_requests_waited_at_one_time_than_children_may_run() {
        // The third began after the first had ended.
        assert_snapshot!(check(ID, [NGINX, "
            //- failed 14:04:10 fastcgi://unix:/run/php/www.sock
            upstream timed out (110: Connection timed out) while reading response header from upstream
            //- failed 14:04:11 fastcgi://unix:/run/php/www.sock
            upstream timed out (110: Connection timed out) while reading response header from upstream
            //- failed 14:04:20 fastcgi://unix:/run/php/www.sock
            upstream timed out (110: Connection timed out) while reading response header from upstream
        ", POOL, RUNNING, QUEUE_EMPTY]), @"
        answer: application-slow, ongoing
        unknown: whether requests waited for a free child: 2 timed out at one time, and pool www may have 2 children
        ");
    }

    #[test]
    fn unknown_where_another_pool_said_so() {
        assert_snapshot!(check(ID, [NGINX, FULL, POOL, RUNNING, QUEUE_EMPTY, "
            //- file /var/log/php8.2-fpm.log
            [23-Jun-2026 14:02:10] WARNING: [pool api] server reached pm.max_children setting (2), consider raising it
        "]), @"
        answer: accept-queue-full, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_where_it_said_so_of_a_part_only() {
        assert_snapshot!(check(ID, [NGINX, FULL, POOL, RUNNING, QUEUE_EMPTY, SAID, "
            //- failed 14:03:30 fastcgi://unix:/run/php/www.sock:
            connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream
        "]), @"
        answer: accept-queue-full, over
        unknown: whether it held when it failed: the connection succeeds now
        leaning: in some of the failing seconds php-fpm says: [23-Jun-2026 14:02:10] WARNING: [pool www] server reached pm.max_children setting (2), consider raising it
        ");
    }

    #[test]
    fn unknown_where_the_children_are_stopped() {
        assert_snapshot!(check(ID, [NGINX, FULL, POOL, "
            //- process 900
            php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
            //- process 901 ppid=900 stopped
            php-fpm: pool www
            //- process 902 ppid=900 stopped
            php-fpm: pool www
        ", QUEUE_FULL]), @"
        answer: accept-queue-full, ongoing
        unknown: whether all children were busy when it failed: a signal has stopped some of them
        leaning: children of pool www are stopped, and answer nobody
        ");
    }

    #[test]
    fn unknown_where_more_children_may_run() {
        assert_snapshot!(check(ID, [NGINX, FULL, POOL, "
            //- process 900
            php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
            //- process 901 ppid=900
            php-fpm: pool www
            //- listen unix /run/php/www.sock pid=900,901 queue=129/128
            //- connect unix:/run/php/www.sock -> errno 11
        "]), @"
        answer: accept-queue-full, ongoing
        unknown: whether all children were busy when it failed: pool www has 1 child, and may have 2, or not all ran then
        ");
    }

    #[test]
    fn unknown_where_the_pools_file_is_newer_than_what_runs() {
        assert_snapshot!(check(ID, [NGINX, FULL, RUNNING, QUEUE_FULL, "
            //- file /etc/php/8.2/fpm/php-fpm.conf
            [global]
            include=/etc/php/8.2/fpm/pool.d/*.conf
            //- file /etc/php/8.2/fpm/pool.d/www.conf ctime=13:00:00
            [www]
            listen = /run/php/www.sock
            pm = static
            pm.max_children = 2
        "]), @"
        answer: accept-queue-full, ongoing
        unknown: how many children pool www may have: its file was changed after it was loaded, or does not say
        ");
    }

    #[test]
    fn ruled_out_for_another_application() {
        assert_snapshot!(check(ID, [NGINX, TIMED_OUT, "
            //- process 77
            /srv/bin/fastcgi-app
            //- listen unix /run/php/www.sock pid=77
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:30 x3: upstream timed out (110: Connection timed out) while reading response header from upstream
        - sockets 12:30:00: LISTEN unix:/run/php/www.sock pid 77 /srv/bin/fastcgi-app
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, [NGINX, POOL, RUNNING, QUEUE_EMPTY, "
            //- failed 14:02:11 fastcgi://unix:/run/php/www.sock:
            recv() failed (104: Connection reset by peer) while reading response header from upstream
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: recv() failed (104: Connection reset by peer) while reading response header from upstream
        ");
    }
}
