//! See the doc comment of [`ACCEPT_QUEUE_FULL`].

use facts::{Exhibit, Gap, GapKind, PeerAddress, counted};
use log::error::Class;

use crate::case::{Application, Case, Reached, known};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application does not take connections as fast as nginx makes them, and its queue of waiting ones is full.
    ///
    /// ## Confirmed when
    /// On a unix socket: the log shows errno 11, which the kernel gives for a full queue alone, and it does so now too or
    /// the process that listens there has run since before the first failure.
    /// On TCP: connecting timed out, the queue of the listener on that address is full now, nothing redirects the
    /// connection, and it times out now as well.
    ///
    /// ## Ruled out when
    /// The failure is another one, or the kernel has dropped no connection at a listener for as long as nginx has run.
    ///
    /// ## Fix
    /// Let the application take connections faster: find what holds its workers, or give it more of them.
    /// A longer queue helps against short bursts only. Shown only, for the right numbers are the application's.
    /// Where its processes are stopped by a signal, continue them. Unsafe: somebody may have stopped them on purpose.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable) while connecting to upstream`
    ///
    /// `upstream timed out (110: Connection timed out) while connecting to upstream`
    ///
    /// ## See also
    /// `fpm-children-exhausted` says more of php-fpm. A firewall that drops shows the same line on TCP.
    pub(crate) static ACCEPT_QUEUE_FULL = {
        id: "accept-queue-full", since: "0.1.0", stage: Connect, refines: [],
        judge: Alone(judge),
    }
}

/// Queues shorter than this do not bear a burst; a longer one lets requests wait for longer than clients do.
const ENOUGH: u32 = 1024;

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let on_unix = incident.is(Class::UnixBacklogFull);
    let on_tcp = incident.is(Class::ConnectTimeout) || incident.is(Class::ConnectTimeoutKernel);
    if !(on_unix || on_tcp) {
        return Ok(Verdict::RuledOut(Proof::new(incident.exhibit())));
    }
    match incident.dialled()? {
        PeerAddress::Unix(_) if on_unix => of_unix(incident, case),
        PeerAddress::Tcp(_) if on_tcp => of_tcp(incident, case),
        _ => Ok(Verdict::RuledOut(Proof::new(incident.exhibit()))),
    }
}

/// The errno itself says that the queue was full (unix_stream_connect in net/unix/af_unix.c): what is left to learn is
/// whose.
fn of_unix(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let listener = case.listener_of(incident)?;
    // A line alone may be forged: that nginx dials this socket, and who listened on it, is not.
    let ran = listening_late(incident, &listener).is_none();
    match case.still_failing(incident) {
        Ok(again) if ran => confirmed(incident, case, &listener, proof.and(again).and(listener.queue_exhibit()), "is"),
        Err(pending) if pending.kind == GapKind::Pending => Err(pending),
        Err(_) if ran && incident.explained => confirmed(incident, case, &listener, proof, "was"),
        Ok(_) => Err(Gap::too_late("whose queue was full when it failed", listening_late(incident, &listener).unwrap_or_default())),
        Err(gap) => Err(gap.leaning("the queue of what listened on the socket was full when it failed")),
    }
}

/// Why what listens may not have listened when the incident began.
fn listening_late(incident: &Incident, listener: &Reached) -> Option<String> {
    let late = match listener.since() {
        Some(since) => incident.too_late(since)?,
        None => "started nobody knows when",
    };
    Some(format!("what listens there {late}"))
}

fn of_tcp(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let listener = case.listener_of(incident)?;
    let drops = known(case.listen_drops(incident))?;
    if drops.is_some_and(|drops| drops.overflows == 0 && drops.drops == 0) && nginx_ran_before(incident, case)? {
        let none = Exhibit::Record {
            probe: "file",
            at: None,
            text: "the kernel has dropped no connection at any listener here (ListenOverflows 0, ListenDrops 0)".to_owned(),
        };
        return Ok(Verdict::RuledOut(proof.and(none)));
    }
    if !listener.is_full() {
        let gap = Gap::too_late("whether the application's queue was full when it failed", "it has room now")
            .learn("ss -ltn; nstat -az TcpExtListenOverflows");
        return Err(match drops {
            Some(drops) if drops.overflows > 0 => gap.leaning(format!(
                "the kernel has dropped {} at full queues since it started",
                counted(drops.overflows, "connection")
            )),
            _ => gap,
        });
    }
    if let Some(late) = listening_late(incident, &listener) {
        return Err(Gap::too_late("whose queue was full when it failed", late)
            .leaning(format!("the queue of {} is full now", listener.who())));
    }
    let again = case.still_failing(incident)?;
    let direct = match case.unhindered(incident)? {
        Ok(direct) => direct,
        // The connection does not get as far as the queue.
        Err(rule) => return Ok(Verdict::RuledOut(proof.and(again).and(rule))),
    };
    let proof = proof.and(again).and(listener.queue_exhibit()).and(direct);
    confirmed(incident, case, &listener, proof, "is")
}

/// The counters are those of nginx's network namespace, which may be no older than nginx.
fn nginx_ran_before(incident: &Incident, case: &Case) -> Result<bool, Gap> {
    let instance = case.instance(incident)?;
    Ok(instance.master.is_some_and(|master| master.start <= incident.first_seen))
}

fn confirmed(incident: &Incident, case: &Case, listener: &Reached, proof: Proof, verb: &str) -> Result<Verdict, Gap> {
    let who = listener.who();
    let proof = proof.and(listener.exhibit.clone());
    let backlog = listener.backlog();
    // Stopped now: of what is over, that tells nothing.
    if let Some(stopped) = listener.stopped().filter(|_| verb == "is") {
        return Ok(Verdict::Confirmed(Confirmation {
            summary: format!("{who} takes no connection, for what accepts is stopped; its queue ({backlog} may wait) is full"),
            proof: proof.and(stopped.exhibit()),
            fixes: vec![stopped.resumed(&who)],
        }));
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{who} does not take connections fast enough: its queue ({backlog} may wait) {verb} full"),
        proof,
        fixes: fixes(incident, case, listener)?,
    }))
}

fn fixes(incident: &Incident, case: &Case, listener: &Reached) -> Result<Vec<Fix>, Gap> {
    let application = known(case.application(incident))?;
    let application = application.as_deref();
    let shown = |summary: &str, steps| Fix {
        summary: summary.to_owned(),
        safety: Safety::DisplayOnly,
        steps,
        verify: Some(AGAIN.to_owned()),
    };
    let who = listener.who();
    let place = application.map_or_else(|| "its own log".to_owned(), Application::log_place);
    let workers = application
        .and_then(Application::workers)
        .map(|(name, workers)| format!(" ({name}, now {workers})"))
        .unwrap_or_default();
    let mut fixes = vec![shown("take connections faster", vec![
        Step::Advice { text: format!("find what holds the workers of {who}: {place}") },
        Step::Advice { text: format!("where they are only too few for the load: give it more{workers}") },
    ])];
    let backlog = listener.backlog();
    if backlog < ENOUGH {
        let name = application.map_or("the backlog that it gives to listen()", Application::backlog_name);
        let mut steps = Vec::new();
        if let Some(cap) = case.somaxconn(incident)?.filter(|&cap| cap < ENOUGH) {
            steps.push(Step::Advice { text: format!("the kernel caps every queue at {cap}: raise it first, and in /etc/sysctl.d to make it last") });
            steps.push(Step::command(["sysctl", "-w", &format!("net.core.somaxconn={ENOUGH}")]));
        }
        steps.push(Step::Advice { text: format!("let more wait through a burst: {name}, now {backlog}, to {ENOUGH}, and restart {who}") });
        fixes.push(shown("let more connections wait", steps));
    }
    Ok(fixes)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "accept-queue-full";
    /// The kernel refused to queue one more connection on a unix socket.
    const UNIX: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
        //- failed 14:02:11 http://unix:/run/app.sock:/
        connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable) while connecting to upstream
    ";
    const GUNICORN: &str = "
        //- process 77
        gunicorn --bind unix:/run/app.sock --workers 2 --backlog 64 shop.wsgi
        //- listen unix /run/app.sock pid=77 queue=65/64
    ";
    /// nginx's time-out while connecting, five seconds.
    const TCP: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_connect_timeout 5s; proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:04:30 http://127.0.0.1:8000/
        upstream timed out (110: Connection timed out) while connecting to upstream
    ";
    const DROPPED: &str = "
        //- file /proc/self/net/netstat
        TcpExt: ListenOverflows ListenDrops
        TcpExt: 12 12
    ";
    const NEVER_DROPPED: &str = "
        //- file /proc/self/net/netstat
        TcpExt: ListenOverflows ListenDrops
        TcpExt: 0 0
    ";
    const FULL: &str = "
        //- process 4120
        /srv/bin/serve
        //- listen tcp 127.0.0.1:8000 pid=4120 queue=129/128
    ";
    const TIMES_OUT: &str = "
        //- connect 127.0.0.1:8000 -> timeout
    ";

    #[test]
    fn confirmed_on_a_unix_socket_that_is_full_now() {
        assert_snapshot!(check(ID, [UNIX, GUNICORN, "
            //- connect unix:/run/app.sock -> errno 11
            //- file /proc/sys/net/core/somaxconn
            128
        "]), @"
        answer: accept-queue-full, ongoing
        confirmed: gunicorn (pid 77) does not take connections fast enough: its queue (64 may wait) is full
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 11: Resource temporarily unavailable
        - sockets: 65 connections wait to be accepted, 64 may
        - sockets 12:30:00: LISTEN unix:/run/app.sock pid 77 gunicorn --bind unix:/run/app.sock --workers 2 --backlog 64 shop.wsgi
        fix, shown: take connections faster
          find what holds the workers of gunicorn (pid 77): its own log
          where they are only too few for the load: give it more (workers, now 2)
        fix, shown: let more connections wait
          the kernel caps every queue at 128: raise it first, and in /etc/sysctl.d to make it last
          $ sysctl -w net.core.somaxconn=1024
          let more wait through a burst: --backlog, now 64, to 1024, and restart gunicorn (pid 77)
        ");
    }

    #[test]
    fn confirmed_on_a_unix_socket_that_was_full() {
        assert_snapshot!(check(ID, [UNIX, "
            //- process 77
            gunicorn --bind unix:/run/app.sock --workers 2 --backlog 2048 shop.wsgi
            //- listen unix /run/app.sock pid=77 queue=0/2048
        "]), @"
        answer: accept-queue-full, over
        confirmed: gunicorn (pid 77) does not take connections fast enough: its queue (2048 may wait) was full
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable) while connecting to upstream
        - sockets 12:30:00: LISTEN unix:/run/app.sock pid 77 gunicorn --bind unix:/run/app.sock --workers 2 --backlog 2048 shop.wsgi
        fix, shown: take connections faster
          find what holds the workers of gunicorn (pid 77): its own log
          where they are only too few for the load: give it more (workers, now 2)
        ");
    }

    #[test]
    fn confirmed_of_an_application_that_is_stopped() {
        assert_snapshot!(check(ID, [UNIX, "
            //- process 77 stopped
            /srv/bin/serve
            //- process 78 ppid=77 stopped
            /srv/bin/serve
            //- listen unix /run/app.sock pid=77,78 queue=65/64
            //- connect unix:/run/app.sock -> errno 11
        "]), @"
        answer: accept-queue-full, ongoing
        confirmed: serve (pid 77) takes no connection, for what accepts is stopped; its queue (64 may wait) is full
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 11: Resource temporarily unavailable
        - sockets: 65 connections wait to be accepted, 64 may
        - sockets 12:30:00: LISTEN unix:/run/app.sock pid 77 /srv/bin/serve
        - process: every process that accepts is stopped (pid 77, 78)
        fix, unsafe: let serve (pid 77) go on
          $ kill -CONT 77 78
        ");
    }

    #[test]
    fn confirmed_on_tcp_where_it_is_full_and_times_out_now() {
        assert_snapshot!(check(ID, [TCP, FULL, TIMES_OUT, DROPPED]), @"
        answer: accept-queue-full, ongoing
        confirmed: serve (pid 4120) does not take connections fast enough: its queue (128 may wait) is full
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: no answer
        - sockets: 129 connections wait to be accepted, 128 may
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 /srv/bin/serve
        fix, shown: take connections faster
          find what holds the workers of serve (pid 4120): its own log
          where they are only too few for the load: give it more
        fix, shown: let more connections wait
          let more wait through a burst: the backlog that it gives to listen(), now 128, to 1024, and restart serve (pid 4120)
        ");
    }

    #[test]
    fn unknown_of_a_socket_whose_listener_is_newer_than_the_failure() {
        assert_snapshot!(check(ID, [UNIX, "
            //- process 77 start=14:03:00
            gunicorn --bind unix:/run/app.sock shop.wsgi
            //- listen unix /run/app.sock pid=77 queue=0/2048
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        leaning: the queue of what listened on the socket was full when it failed
        ");
    }

    #[test]
    fn unknown_where_the_configuration_does_not_dial_it_and_it_is_over() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/other.sock; } } }
            //- failed 14:02:11 http://unix:/run/app.sock:/
            connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable) while connecting to upstream
            //- process 77
            gunicorn --bind unix:/run/app.sock shop.wsgi
            //- listen unix /run/app.sock pid=77 queue=0/2048
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        leaning: the queue of what listened on the socket was full when it failed
        ");
    }

    #[test]
    fn unknown_once_the_queue_has_room_again() {
        assert_snapshot!(check(ID, [TCP, DROPPED, "
            //- process 4120
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120 queue=3/128
        "]), @"
        answer: none, over
        unknown: whether the application's queue was full when it failed: it has room now
        learn: ss -ltn; nstat -az TcpExtListenOverflows
        leaning: the kernel has dropped 12 connections at full queues since it started
        ");
    }

    #[test]
    fn unknown_where_a_rule_may_redirect_the_connection() {
        assert_snapshot!(check(ID, [TCP, FULL, TIMES_OUT, DROPPED, "
            //- chain ip nat output rules=1
        "]), @"
        answer: none, ongoing
        unknown: the firewall's rules: they could not be listed
        learn: sudo nft list ruleset
        ");
    }

    #[test]
    fn unknown_of_another_hosts_queue() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://10.0.0.9:8000; } } }
            //- failed 14:04:30 http://10.0.0.9:8000/
            upstream timed out (110: Connection timed out) while connecting to upstream
            //- connect 10.0.0.9:8000 -> timeout
        "]), @"
        answer: none, ongoing
        unknown: what listens on 10.0.0.9:8000: it is another host's address
        learn: ss -ltnp 'sport = :8000'   (on 10.0.0.9)
        ");
    }

    #[test]
    fn unknown_where_a_full_queue_is_not_what_times_out() {
        // Room for one more, and no answer all the same: a firewall drops.
        assert_snapshot!(check(ID, [TCP, TIMES_OUT, DROPPED, "
            //- process 4120
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120 queue=128/128
        "]), @"
        answer: none, ongoing
        unknown: whether the application's queue was full when it failed: it has room now
        learn: ss -ltn; nstat -az TcpExtListenOverflows
        leaning: the kernel has dropped 12 connections at full queues since it started
        ");
    }

    #[test]
    fn ruled_out_where_no_queue_ever_overflowed() {
        assert_snapshot!(check(ID, [TCP, TIMES_OUT, NEVER_DROPPED, "
            //- process 4120
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - file: the kernel has dropped no connection at any listener here (ListenOverflows 0, ListenDrops 0)
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            //- path /run/app.sock socket 666 0:0 dev=1 ino=7
            //- failed 14:02:11 http://unix:/run/app.sock:/
            connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: socket-stale, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        ");
    }

    #[test]
    fn not_confirmed_where_the_application_took_the_connection_and_is_slow() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
        ", FULL]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        ");
    }
}
