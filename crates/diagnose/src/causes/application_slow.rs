//! See the doc comment of [`APPLICATION_SLOW`].

use facts::Gap;
use log::error::{Class, While};

use crate::case::{Case, Patience, Speaks};
use crate::incident::{Incident, Origin};
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application took the request and did not answer within nginx's read time-out.
    ///
    /// ## Confirmed when
    /// The log shows a time-out (110) while reading the response header, the application listens and has run since before
    /// the first failure, its queue of connections is not full, no firewall rule of this host drops what goes over the
    /// connection, and it speaks the protocol that nginx speaks to it (by the kind of program, or because the access log
    /// shows that it answered others). While it fails, its control group is known not to be frozen; else that is said, as
    /// it is where a signal has stopped its processes. Where requests wait in its queue, it is said that others keep it
    /// busy, and which of them was in progress longest, as far as a log tells.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Find what is slow. Raise the time-out only where such a wait is meant. Where nginx gives up before the application
    /// does (gunicorn's `--timeout`, uWSGI's harakiri, php-fpm's `request_terminate_timeout`, Unicorn's `timeout`), the
    /// worker goes on for nobody: the application's limit belongs below nginx's.
    /// Shown only.
    ///
    /// ## Looks like
    /// `upstream timed out (110: Connection timed out) while reading response header from upstream`
    ///
    /// ## See also
    /// A full queue, a firewall that drops the answers, an application that waits for another protocol, or one that was
    /// stopped for a while, show the same line.
    pub(crate) static APPLICATION_SLOW = {
        id: "application-slow", since: "0.1.0", stage: Request, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::ReadTimeout) && incident.action == Some(While::ReadingResponseHeader)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let limits = case.read_timeouts(incident)?;
    if limits.is_empty() {
        return Err(Gap::undecided("the read time-out in force", "nothing on disk dials this peer"));
    }
    let directive = case.dialled_by(incident)?;
    let application = case.application(incident)?;
    let stopped = if case.is_ongoing(incident) { application.stopped() } else { None };
    let speaks = match case.speaks(incident)? {
        Speaks::Same(exhibit) => Some(exhibit),
        // Whatever it speaks, it says nothing.
        Speaks::Unknown(_) if stopped.is_some() => None,
        Speaks::Unknown(gap) => return Err(gap),
    };
    if let Some(late) = application.started_late(incident) {
        return Err(Gap::too_late("whether the application ran when it failed", format!("it {late}")));
    }
    let lasted = incident.first_seen.as_second()..=incident.last_seen.as_second();
    if !case.is_ongoing(incident) && case.answered(incident, &lasted)?.is_none() {
        return Err(Gap::too_late("whether the application's queue had room when it failed", "it is over")
            .leaning("the application was probably slow: it listens, and took the requests"));
    }
    if application.is_of_no_known_pool() {
        return Err(Gap::undecided("whether the pool had a free child", "no pool's file says that it listens there"));
    }
    if let Some(exhausted) = application.is_exhausted(incident) {
        return Err(Gap::undecided("whether the application saw the request", "it may have waited in its queue").leaning(exhausted));
    }
    let queue = case.queue_has_room(incident)?;
    let passage = case.data_passes(incident)?;
    let proof = proof.and(directive).with(limits.iter().filter_map(|limit| limit.exhibit.clone()));
    let proof = proof.with(speaks).and(queue).with(passage).and(application.exhibit());
    let who = application.who();
    let mut texts: Vec<&str> = Vec::new();
    for limit in &limits {
        if !texts.contains(&limit.text.as_str()) {
            texts.push(&limit.text);
        }
    }
    let within = match case.gate_limit() {
        // A gate waits for less time than nginx.
        Some(limit) => limit,
        None => texts.join(" or "),
    };
    if let Some(stopped) = stopped {
        return Ok(Verdict::Confirmed(Confirmation {
            summary: format!("{who} did not answer within {within}: its processes are stopped"),
            proof: proof.and(stopped.exhibit()),
            fixes: vec![stopped.resumed(&who)],
        }));
    }
    if case.is_ongoing(incident)
        && let Some(frozen) = case.frozen(&application)?
    {
        return Ok(Verdict::Confirmed(Confirmation {
            summary: format!("{who} did not answer within {within}: its control group is frozen"),
            proof: proof.and(frozen.exhibit),
            fixes: vec![Fix {
                summary: format!("let {who} go on"),
                safety: Safety::DisplayOnly,
                steps: frozen.thaw.into_iter().map(|text| Step::Advice { text }).collect(),
                verify: Some(AGAIN.to_owned()),
            }],
        }));
    }
    if incident.origin == Origin::Experiment {
        let nginx = texts.join(" or ");
        return Err(Gap::undecided("whether it answers within nginx's time-out", format!("it was given {within}, nginx gives it {nginx}"))
            .learn(format!("{} --timeout {nginx}", case.again()))
            .leaning(format!("{who} takes connections and did not answer within {within}: slow, or all of it is busy")));
    }
    let place = application.log_place();
    let patience = case.patience(incident, &application)?;
    let busy = case.busy(incident, &application)?;
    let look = match busy.as_ref().map(|busy| &busy.longest) {
        None => format!("look at what {who} does for {}: {place}", incident.requested()),
        Some(Some(longest)) => format!("see what {who} is busy with: {place}; longest in progress was {longest}"),
        Some(None) => format!("see what {who} is busy with: {place}; those that timed out may only have waited for it"),
    };
    let mut steps = vec![Step::Advice { text: look }];
    if busy.is_none() && !case.answered_while_waiting(incident, &limits)? {
        let text = "nothing shows that it answered others meanwhile: it may have been stopped as a whole as well (SIGSTOP, a paused container), which leaves no trace once it goes on";
        steps.push(Step::Advice { text: text.to_owned() });
    }
    for limit in &limits {
        let place = if limits.len() > 1 { format!(" in {}", limit.location) } else { String::new() };
        steps.push(Step::Advice { text: format!("only where such a wait is meant: raise {}, now {}{place}", limit.name, limit.text) });
    }
    for text in patience.iter().filter_map(Patience::advice_where_nginx_is_first) {
        let step = Step::Advice { text };
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: match &busy {
            Some(busy) => format!("{who} did not answer within {within}: {}", busy.text),
            None => format!("{who} did not answer within {within}"),
        },
        proof: proof.with(busy.and_then(|busy| busy.exhibit)).with(patience.iter().map(Patience::exhibit)),
        fixes: vec![Fix {
            summary: "find what is slow".to_owned(),
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

    const ID: &str = "application-slow";
    /// nginx waited five seconds for the response header.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_read_timeout 5s; proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:04:30 http://127.0.0.1:8000/
        upstream timed out (110: Connection timed out) while reading response header from upstream
    ";
    const APPLICATION: &str = "
        //- process 4120 start=12:30:00
        gunicorn --bind 127.0.0.1:8000 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";

    #[test]
    fn an_answer_in_another_protocol_tells_nothing() {
        let told = check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { server_name good; access_log /var/log/nginx/good.log; location / { proxy_pass http://127.0.0.1:8000; } }
            server { server_name bad; access_log /var/log/nginx/bad.log; location / { uwsgi_pass 127.0.0.1:8000; } } }
            //- file /var/log/nginx/good.log
            10.0.0.9 - - [23/Jun/2026:14:03:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"
            //- failed 14:04:30 uwsgi://127.0.0.1:8000
            upstream timed out (110: Connection timed out) while reading response header from upstream
            //- process 4120 start=12:30:00
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]);
        assert!(told.contains("unknown: whether serve (pid 4120) speaks what nginx speaks to it"), "{told}");
    }

    #[test]
    fn unknown_where_two_programs_share_the_address() {
        let told = check(ID, [HOST, APPLICATION, "
            //- process 4200 start=14:00:00
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4200
        "]);
        assert!(told.contains("unknown: which of those that listen on 127.0.0.1:8000 took the connections that failed"), "{told}");
    }

    #[test]
    fn confirmed_of_an_application_that_speaks_the_protocol() {
        assert_snapshot!(check(ID, [HOST, APPLICATION]), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 5s
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:1: proxy_read_timeout 5s;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - process: proxy_read_timeout is 5s by /etc/nginx/nginx.conf:1, gunicorn's --timeout is 30 s by its default: as set, nginx gives up first
        fix, shown: find what is slow
          look at what gunicorn (pid 4120) does for requests for /: its own log
          nothing shows that it answered others meanwhile: it may have been stopped as a whole as well (SIGSTOP, a paused container), which leaves no trace once it goes on
          only where such a wait is meant: raise proxy_read_timeout, now 5s
          nginx gives up first, and gunicorn goes on with a request that nobody waits for: set --timeout below nginx's, or nginx's above it
        ");
    }

    #[test]
    fn says_that_the_processes_are_stopped() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00 stopped
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 5s: its processes are stopped
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:1: proxy_read_timeout 5s;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - process: every process that accepts is stopped (pid 4120)
        fix, unsafe: let gunicorn (pid 4120) go on
          $ kill -CONT 4120
        ");
    }

    #[test]
    fn what_is_stopped_answers_in_no_protocol() {
        let said = check(ID, [HOST, "
            //- process 4120 start=12:30:00 stopped
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]);
        assert!(said.contains("confirmed: serve (pid 4120) did not answer within 5s: its processes are stopped\n"), "{said}");
    }

    #[test]
    fn a_stopped_one_of_several_is_hinted_at_where_connections_wait_for_it() {
        let told = |queue: &str| check(ID, [HOST, &format!("
            //- process 4120 start=12:30:00
            node a.js
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- process 4130 start=12:30:10 stopped
            node a.js
            //- listen tcp 127.0.0.1:8000 pid=4130 queue={queue}
        ")]);
        let waits = told("7/128");
        assert!(waits.starts_with("answer: none"), "{waits}");
        assert!(waits.contains("a.js (pid 4130) is stopped (SIGSTOP or a debugger), and 7 connections wait at its socket"), "{waits}");
        let idle = told("0/128");
        assert!(!idle.contains("is stopped") && idle.contains("one of them alone may fail"), "{idle}");
    }

    #[test]
    fn says_that_the_control_group_is_frozen() {
        let frozen = |cgroup: &str, rest: &str| check(ID, [HOST, &format!("
            //- process 4120 start=12:30:00 cgroup={cgroup}
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
        "), rest]);
        assert_snapshot!(frozen("/system.slice/shop.service", "
            //- file /sys/fs/cgroup/system.slice/shop.service/cgroup.events
            populated 1
            frozen 1
            //- file /sys/fs/cgroup/system.slice/shop.service/cgroup.freeze
            1
            //- file /sys/fs/cgroup/system.slice/cgroup.freeze
            0
        "), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 5s: its control group is frozen
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:1: proxy_read_timeout 5s;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - process: the control group of every process that accepts is frozen (pid 4120): /sys/fs/cgroup/system.slice/shop.service/cgroup.events
        fix, shown: let gunicorn (pid 4120) go on
          write 0 into /sys/fs/cgroup/system.slice/shop.service/cgroup.freeze
          where it was frozen so: systemctl thaw shop.service
        ");
        assert_snapshot!(frozen("/system.slice/shop.service", "
            //- file /sys/fs/cgroup/system.slice/shop.service/cgroup.events
            populated 1
            frozen 0
        "), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 5s
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:1: proxy_read_timeout 5s;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - process: proxy_read_timeout is 5s by /etc/nginx/nginx.conf:1, gunicorn's --timeout is 30 s by its default: as set, nginx gives up first
        fix, shown: find what is slow
          look at what gunicorn (pid 4120) does for requests for /: its own log
          nothing shows that it answered others meanwhile: it may have been stopped as a whole as well (SIGSTOP, a paused container), which leaves no trace once it goes on
          only where such a wait is meant: raise proxy_read_timeout, now 5s
          nginx gives up first, and gunicorn goes on with a request that nobody waits for: set --timeout below nginx's, or nginx's above it
        ");
        // It cannot be told.
        assert_snapshot!(frozen("/system.slice/shop.service", ""), @"
        answer: none, ongoing
        unknown: whether the application's control group is frozen: not there
        learn: sudo cat /sys/fs/cgroup/system.slice/shop.service/cgroup.events
        ");
    }

    #[test]
    fn unknown_where_a_rule_drops_the_data() {
        let ruled = |rule: &str| check(ID, [HOST, APPLICATION, &format!("
            //- iptables
            *filter
            :INPUT ACCEPT
            :OUTPUT ACCEPT
            {rule}
        ")]);
        assert_snapshot!(ruled("-A INPUT -p tcp --dport 8000 -m conntrack --ctstate ESTABLISHED -j DROP"), @"
        answer: none, ongoing
        unknown: whether the firewall lets pass what goes over the connections to 127.0.0.1:8000: a rule of this host drops the requests
        learn: sudo nft list ruleset
        leaning: table ip filter, chain INPUT, drops the requests on connections that are there: -A INPUT -p tcp --dport 8000 -m conntrack --ctstate ESTABLISHED -j DROP
        ");
        assert_snapshot!(ruled("-A OUTPUT -p tcp --sport 8000 --tcp-flags SYN,ACK ACK -j DROP"), @"
        answer: none, ongoing
        unknown: whether the firewall lets pass what goes over the connections to 127.0.0.1:8000: a rule of this host drops the answers
        learn: sudo nft list ruleset
        leaning: table ip filter, chain OUTPUT, drops the answers on connections that are there: -A OUTPUT -p tcp --sport 8000 --tcp-flags SYN,ACK ACK -j DROP
        ");
        assert_snapshot!(ruled("-A INPUT -p tcp --dport 8000 -m length --length 500:65535 -j DROP"), @"
        answer: none, ongoing
        unknown: whether the firewall lets pass what goes over the connections to 127.0.0.1:8000: a rule of this host may drop the requests
        learn: sudo nft list ruleset
        leaning: table ip filter, chain INPUT, may drop the requests on connections that are there: -A INPUT -p tcp --dport 8000 -m length --length 500:65535 -j DROP
        ");
        assert_snapshot!(ruled("-A INPUT -p tcp --dport 9000 -j DROP"), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 5s
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:1: proxy_read_timeout 5s;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - command: no firewall rule of this host drops what goes over a connection to 127.0.0.1:8000
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - process: proxy_read_timeout is 5s by /etc/nginx/nginx.conf:1, gunicorn's --timeout is 30 s by its default: as set, nginx gives up first
        fix, shown: find what is slow
          look at what gunicorn (pid 4120) does for requests for /: its own log
          nothing shows that it answered others meanwhile: it may have been stopped as a whole as well (SIGSTOP, a paused container), which leaves no trace once it goes on
          only where such a wait is meant: raise proxy_read_timeout, now 5s
          nginx gives up first, and gunicorn goes on with a request that nobody waits for: set --timeout below nginx's, or nginx's above it
        ");
    }

    #[test]
    fn over_once_such_requests_are_answered_again() {
        let state = |lines: &str| {
            let said = check(ID, [HOST, APPLICATION, &format!("
                //- file /var/log/nginx/access.log
                192.0.2.7 - - [23/Jun/2026:14:04:30 +0000] \"GET / HTTP/1.1\" 504 3 \"-\" \"x\"
                {lines}
            ")]);
            said.lines().next().unwrap().to_owned()
        };
        let line = |at: &str, path: &str, status: u16| {
            format!("192.0.2.7 - - [23/Jun/2026:{at} +0000] \"GET {path} HTTP/1.1\" {status} 3 \"-\" \"x\"\n")
        };
        assert!(state(&line("14:04:40", "/", 200).repeat(3)).ends_with("over"));
        // So few may have been lucky.
        assert!(state(&line("14:04:40", "/", 200).repeat(2)).ends_with("ongoing"));
        // In the very second, of another path, or another failure.
        assert!(state(&line("14:04:30", "/", 200).repeat(3)).ends_with("ongoing"));
        assert!(state(&line("14:04:40", "/other", 200).repeat(3)).ends_with("ongoing"));
        assert!(state(&line("14:04:40", "/?page=2", 200).repeat(3)).ends_with("ongoing"));
        assert!(state(&line("14:04:40", "/", 200).repeat(3).replace("GET", "HEAD")).ends_with("ongoing"));
        assert!(state(&line("14:04:40", "/", 504).repeat(3)).ends_with("ongoing"));
    }

    #[test]
    fn ongoing_where_it_is_answered_now_and_then() {
        let again = "
            //- failed 14:04:20 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
        ";
        let said = check(ID, [HOST, again, APPLICATION, "
            //- file /var/log/nginx/access.log
            192.0.2.7 - - [23/Jun/2026:14:04:20 +0000] \"GET / HTTP/1.1\" 504 3 \"-\" \"x\"
            192.0.2.7 - - [23/Jun/2026:14:04:25 +0000] \"GET / HTTP/1.1\" 200 3 \"-\" \"x\"
            192.0.2.7 - - [23/Jun/2026:14:04:40 +0000] \"GET / HTTP/1.1\" 200 3 \"-\" \"x\"
        "]);
        assert!(said.contains(", ongoing"), "{said}");
    }

    #[test]
    fn says_that_requests_wait_for_others() {
        let failed = |time: &str, path: &str| format!("
            //- failed {time} http://127.0.0.1:8000{path}
            upstream timed out (110: Connection timed out) while reading response header from upstream
        ");
        let single = "
            //- process 4120 start=12:30:00
            gunicorn --workers 1 --bind 127.0.0.1:8000 shop.wsgi
            //- process 4121 ppid=4120 start=12:30:00
            gunicorn --workers 1 --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120,4121
        ";
        let host = HOST.split_once("//- failed").unwrap().0;
        assert_snapshot!(check(ID, [host, &failed("14:04:30", "/report"), &failed("14:04:31", "/a"), &failed("14:04:33", "/b"), single]), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 5s: its only worker is busy, and requests wait in its queue
        - log 14:04:30 x3: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:1: proxy_read_timeout 5s;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --workers 1 --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --workers 1 --bind 127.0.0.1:8000 shop.wsgi
        - process: 3 requests waited at one time, and gunicorn (pid 4120) answers 1 (workers is 1)
        - process: proxy_read_timeout is 5s by /etc/nginx/nginx.conf:1, gunicorn's --timeout is 30 s by its default: as set, nginx gives up first
        fix, shown: find what is slow
          see what gunicorn (pid 4120) is busy with: its own log; longest in progress was GET / HTTP/1.1, the first that was not answered in time
          only where such a wait is meant: raise proxy_read_timeout, now 5s
          nginx gives up first, and gunicorn goes on with a request that nobody waits for: set --timeout below nginx's, or nginx's above it
        ");
        // One after the other.
        assert_snapshot!(check(ID, [host, &failed("14:04:25", "/a"), &failed("14:04:30", "/b"), single]), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 5s
        - log 14:04:25 x2: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:1: proxy_read_timeout 5s;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --workers 1 --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --workers 1 --bind 127.0.0.1:8000 shop.wsgi
        - process: proxy_read_timeout is 5s by /etc/nginx/nginx.conf:1, gunicorn's --timeout is 30 s by its default: as set, nginx gives up first
        fix, shown: find what is slow
          look at what gunicorn (pid 4120) does for requests for /: its own log
          nothing shows that it answered others meanwhile: it may have been stopped as a whole as well (SIGSTOP, a paused container), which leaves no trace once it goes on
          only where such a wait is meant: raise proxy_read_timeout, now 5s
          nginx gives up first, and gunicorn goes on with a request that nobody waits for: set --timeout below nginx's, or nginx's above it
        ");
    }

    #[test]
    fn says_that_it_does_not_get_to_its_queue() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00
            uvicorn --port 8000 shop:app
            //- listen tcp 127.0.0.1:8000 pid=4120 queue=3/128
        "]), @"
        answer: application-slow, ongoing
        confirmed: uvicorn (pid 4120) did not answer within 5s: it does not get to 3 connections that wait in its queue
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:1: proxy_read_timeout 5s;
        - process: uvicorn (pid 4120) speaks http, as nginx does: uvicorn --port 8000 shop:app
        - sockets: 3 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 uvicorn --port 8000 shop:app
        fix, shown: find what is slow
          see what uvicorn (pid 4120) is busy with: its own log; longest in progress was GET / HTTP/1.1, the first that was not answered in time
          only where such a wait is meant: raise proxy_read_timeout, now 5s
        ");
    }

    #[test]
    fn unknown_where_a_condition_decides_who_answers() {
        // The answer in the access log may be nginx's own.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { if ($request_method = OPTIONS) { return 204; } proxy_read_timeout 5s; proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
            //- process 4120 start=12:30:00
            serve
            //- listen tcp 127.0.0.1:8000 pid=4120
        ", r#"
            //- file /var/log/nginx/access.log
            192.0.2.7 - - [23/Jun/2026:14:04:20 +0000] "OPTIONS / HTTP/1.1" 204 0 "-" "-"
        "#]), @"
        answer: none, ongoing
        unknown: whether serve (pid 4120) speaks what nginx speaks to it: no answer of it stands in the access log, and its kind does not tell
        learn: log $upstream_addr and $upstream_header_time
        leaning: serve (pid 4120) did not answer in time: slow, or deaf to what nginx speaks
        ");
    }

    #[test]
    fn confirmed_with_the_default_time_out() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
        ", APPLICATION]), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 60s
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - process: proxy_read_timeout is 60s by its default, gunicorn's --timeout is 30 s by its default: as set, the application gives up first
        fix, shown: find what is slow
          look at what gunicorn (pid 4120) does for requests for /: its own log
          nothing shows that it answered others meanwhile: it may have been stopped as a whole as well (SIGSTOP, a paused container), which leaves no trace once it goes on
          only where such a wait is meant: raise proxy_read_timeout, now 60s
        ");
    }

    #[test]
    fn ruled_out_by_a_time_out_while_connecting() {
        // A firewall that drops.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while connecting to upstream
            //- connect 127.0.0.1:8000 -> timeout
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        ");
    }

    #[test]
    fn unknown_where_its_queue_is_full() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120 queue=129/128
        "]), @"
        answer: none, ongoing
        unknown: whether the application sees the request: its queue of connections is full
        learn: ss -ltnx
        leaning: 129 connections wait to be accepted, 128 may: the application does not keep up
        ");
    }

    #[test]
    fn unknown_where_it_started_after_the_failure() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=14:04:40
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: none, ongoing
        unknown: whether the application ran when it failed: it started after the first failure
        ");
    }

    #[test]
    fn unknown_of_a_program_that_may_speak_anything() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: none, ongoing
        unknown: whether serve (pid 4120) speaks what nginx speaks to it: no answer of it stands in the access log, and its kind does not tell
        learn: log $upstream_addr and $upstream_header_time
        leaning: serve (pid 4120) did not answer in time: slow, or deaf to what nginx speaks
        ");
    }

    #[test]
    fn unknown_of_a_program_that_speaks_another_protocol() {
        // It waits for the rest of what it takes for a packet.
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00
            uwsgi --socket 127.0.0.1:8000 --module shop
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: peer-speaks-other-protocol, ongoing
        unknown: whether uwsgi (pid 4120) speaks what nginx speaks to it: it speaks uwsgi, nginx speaks http
        leaning: uwsgi (pid 4120) speaks uwsgi, nginx speaks http to it
        ");
    }

    #[test]
    fn unknown_once_it_is_over() {
        // Whether its queue was full then, nobody knows.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_read_timeout 5s; proxy_pass http://127.0.0.1:8000; } } }
            //- failed 13:20:00 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
        ", APPLICATION]), @"
        answer: none, over
        unknown: whether the application's queue had room when it failed: it is over
        leaning: the application was probably slow: it listens, and took the requests
        ");
    }

    #[test]
    fn unknown_where_another_program_answered_before_this_one_started() {
        assert_snapshot!(check(ID, [r#"
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            log_format up '$remote_addr [$time_iso8601] "$request" $status $upstream_addr $upstream_status $upstream_header_time';
            access_log /var/log/nginx/up.log up;
            server { location / { proxy_pass http://127.0.0.1:8000; } }
            }
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
            //- process 4120 start=14:00:00
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- file /var/log/nginx/up.log
            192.0.2.7 [2026-06-23T13:30:00+00:00] "GET / HTTP/1.1" 200 127.0.0.1:8000 200 0.010
        "#]), @"
        answer: none, ongoing
        unknown: whether serve (pid 4120) speaks what nginx speaks to it: no answer of it stands in the access log, and its kind does not tell
        learn: log $upstream_addr and $upstream_header_time
        leaning: serve (pid 4120) did not answer in time: slow, or deaf to what nginx speaks
        ");
    }

    #[test]
    fn confirmed_where_it_answered_others() {
        assert_snapshot!(check(ID, [r#"
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            log_format up '$remote_addr [$time_iso8601] "$request" $status $upstream_addr $upstream_status $upstream_header_time';
            access_log /var/log/nginx/up.log up;
            server { location / { proxy_pass http://127.0.0.1:8000; } }
            }
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
            //- process 4120 start=13:00:00
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- file /var/log/nginx/up.log
            192.0.2.7 [2026-06-23T13:30:00+00:00] "GET / HTTP/1.1" 200 127.0.0.1:8000 200 0.010
        "#]), @"
        answer: application-slow, ongoing
        confirmed: serve (pid 4120) did not answer within 60s
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:4: proxy_pass http://127.0.0.1:8000;
        - lines-since: the access log shows that 127.0.0.1:8000 answered another request with 200 after 10 ms
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 13:00:00: LISTEN 127.0.0.1:8000 pid 4120 /srv/bin/serve
        fix, shown: find what is slow
          look at what serve (pid 4120) does for requests for /: its own log
          nothing shows that it answered others meanwhile: it may have been stopped as a whole as well (SIGSTOP, a paused container), which leaves no trace once it goes on
          only where such a wait is meant: raise proxy_read_timeout, now 60s
        ");
    }

    #[test]
    fn says_that_it_answered_another_meanwhile() {
        // It was not stopped as a whole.
        assert_snapshot!(check(ID, [r#"
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            log_format up '$remote_addr [$time_iso8601] "$request" $status $upstream_addr $upstream_status $upstream_header_time';
            access_log /var/log/nginx/up.log up;
            server { location / { proxy_pass http://127.0.0.1:8000; } }
            }
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
            //- process 4120 start=13:00:00
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- file /var/log/nginx/up.log
            192.0.2.7 [2026-06-23T14:04:10+00:00] "GET / HTTP/1.1" 200 127.0.0.1:8000 200 0.010
        "#]), @"
        answer: application-slow, ongoing
        confirmed: serve (pid 4120) did not answer within 60s
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:4: proxy_pass http://127.0.0.1:8000;
        - lines-since: the access log shows that 127.0.0.1:8000 answered another request with 200 after 10 ms
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 13:00:00: LISTEN 127.0.0.1:8000 pid 4120 /srv/bin/serve
        fix, shown: find what is slow
          look at what serve (pid 4120) does for requests for /: its own log
          only where such a wait is meant: raise proxy_read_timeout, now 60s
        ");
    }

    #[test]
    fn says_what_php_fpm_and_php_allow() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { fastcgi_pass unix:/run/php.sock; fastcgi_read_timeout 5s; } } }
            //- failed 14:04:30 fastcgi://unix:/run/php.sock
            upstream timed out (110: Connection timed out) while reading response header from upstream
            //- process 77 start=12:30:00
            php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
            //- process 78 ppid=77 start=12:30:01
            php-fpm: pool www
            //- listen unix /run/php.sock pid=77,78
            //- file /etc/php/8.2/fpm/php-fpm.conf
            [www]
            listen = /run/php.sock
            pm = static
            pm.max_children = 1
            request_terminate_timeout = 0
            //- file /etc/php/8.2/fpm/php.ini
            [PHP]
            max_execution_time = 30
        "]), @"
        answer: application-slow, ongoing
        confirmed: php-fpm (pid 77) did not answer within 5s
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: fastcgi_pass unix:/run/php.sock;
        - config /etc/nginx/nginx.conf:1: fastcgi_read_timeout 5s;
        - process: php-fpm (pid 77) speaks fastcgi, as nginx does: php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN unix:/run/php.sock pid 77 php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
        - process: fastcgi_read_timeout is 5s by /etc/nginx/nginx.conf:1, php-fpm's request_terminate_timeout is off by /etc/php/8.2/fpm/php-fpm.conf:5, PHP's max_execution_time is 30 s by /etc/php/8.2/fpm/php.ini:2 and does not count waiting: as set, nginx alone gives up
        fix, shown: find what is slow
          look at what php-fpm (pid 77) does for requests for /: its own log
          nothing shows that it answered others meanwhile: it may have been stopped as a whole as well (SIGSTOP, a paused container), which leaves no trace once it goes on
          only where such a wait is meant: raise fastcgi_read_timeout, now 5s
          nothing but PHP's own limit ends such a request in php-fpm once nginx has given up: set request_terminate_timeout below nginx's read time-out
        ");
    }

    #[test]
    fn says_nothing_of_a_limit_that_is_not_one_of_a_request() {
        // A threaded worker of gunicorn only has to show that it lives.
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:30:00
            gunicorn --threads 4 --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 5s
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:1: proxy_read_timeout 5s;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --threads 4 --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --threads 4 --bind 127.0.0.1:8000 shop.wsgi
        fix, shown: find what is slow
          look at what gunicorn (pid 4120) does for requests for /: its own log
          nothing shows that it answered others meanwhile: it may have been stopped as a whole as well (SIGSTOP, a paused container), which leaves no trace once it goes on
          only where such a wait is meant: raise proxy_read_timeout, now 5s
        ");
    }

    /// Three locations that dial one peer, each with its own time-out.
    const LOCATIONS: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { server_name shop.example;
        location / { proxy_read_timeout 90s; proxy_pass http://127.0.0.1:8000; }
        location /fast { proxy_read_timeout 3s; proxy_pass http://127.0.0.1:8000; }
        location /slow { proxy_read_timeout 5s; proxy_pass http://127.0.0.1:8000; }
        } }
    ";

    #[test]
    fn tells_the_limit_of_the_location_that_took_the_request() {
        assert_snapshot!(check(ID, [LOCATIONS, "
            //- failed 14:04:30 http://127.0.0.1:8000/ uri=/slow/report?x=1
            upstream timed out (110: Connection timed out) while reading response header from upstream
        ", APPLICATION]), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 5s
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:4: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:4: proxy_read_timeout 5s;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - process: proxy_read_timeout is 5s by /etc/nginx/nginx.conf:4, gunicorn's --timeout is 30 s by its default: as set, nginx gives up first
        fix, shown: find what is slow
          look at what gunicorn (pid 4120) does for requests for /slow/report: its own log
          nothing shows that it answered others meanwhile: it may have been stopped as a whole as well (SIGSTOP, a paused container), which leaves no trace once it goes on
          only where such a wait is meant: raise proxy_read_timeout, now 5s
          nginx gives up first, and gunicorn goes on with a request that nobody waits for: set --timeout below nginx's, or nginx's above it
        ");
    }

    #[test]
    fn tells_the_limit_of_each_location_that_failed() {
        assert_snapshot!(check(ID, [LOCATIONS, "
            //- failed 14:04:30 http://127.0.0.1:8000/ uri=/slow
            upstream timed out (110: Connection timed out) while reading response header from upstream
            //- failed 14:04:31 http://127.0.0.1:8000/ uri=/fast
            upstream timed out (110: Connection timed out) while reading response header from upstream
        ", APPLICATION]), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 3s or 5s: its only worker is busy, and requests wait in its queue
        - log 14:04:30 x2: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:3: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:3: proxy_read_timeout 3s;
        - config /etc/nginx/nginx.conf:4: proxy_read_timeout 5s;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - process: 2 requests waited at one time, and gunicorn (pid 4120) answers 1 (workers is 1)
        - process: proxy_read_timeout is 3s by /etc/nginx/nginx.conf:3, gunicorn's --timeout is 30 s by its default: as set, nginx gives up first
        - process: proxy_read_timeout is 5s by /etc/nginx/nginx.conf:4, gunicorn's --timeout is 30 s by its default: as set, nginx gives up first
        fix, shown: find what is slow
          see what gunicorn (pid 4120) is busy with: its own log; longest in progress was GET /slow HTTP/1.1, the first that was not answered in time
          only where such a wait is meant: raise proxy_read_timeout, now 3s in location /fast
          only where such a wait is meant: raise proxy_read_timeout, now 5s in location /slow
          nginx gives up first, and gunicorn goes on with a request that nobody waits for: set --timeout below nginx's, or nginx's above it
        ");
    }

    #[test]
    fn every_place_counts_where_a_path_may_become_another() {
        let rewritten = LOCATIONS.replace("server_name", "rewrite ^/old /slow; server_name");
        assert_snapshot!(check(ID, [&rewritten, "
            //- failed 14:04:30 http://127.0.0.1:8000/ uri=/fast
            upstream timed out (110: Connection timed out) while reading response header from upstream
        ", APPLICATION]), @"
        answer: application-slow, ongoing
        confirmed: gunicorn (pid 4120) did not answer within 90s or 3s or 5s
        - log 14:04:30 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        - config /etc/nginx/nginx.conf:2: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:2: proxy_read_timeout 90s;
        - config /etc/nginx/nginx.conf:3: proxy_read_timeout 3s;
        - config /etc/nginx/nginx.conf:4: proxy_read_timeout 5s;
        - process: gunicorn (pid 4120) speaks http, as nginx does: gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - sockets: 0 of 128 connections wait to be accepted
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - process: proxy_read_timeout is 90s by /etc/nginx/nginx.conf:2, gunicorn's --timeout is 30 s by its default: as set, the application gives up first
        - process: proxy_read_timeout is 3s by /etc/nginx/nginx.conf:3, gunicorn's --timeout is 30 s by its default: as set, nginx gives up first
        - process: proxy_read_timeout is 5s by /etc/nginx/nginx.conf:4, gunicorn's --timeout is 30 s by its default: as set, nginx gives up first
        fix, shown: find what is slow
          look at what gunicorn (pid 4120) does for requests for /fast: its own log
          nothing shows that it answered others meanwhile: it may have been stopped as a whole as well (SIGSTOP, a paused container), which leaves no trace once it goes on
          only where such a wait is meant: raise proxy_read_timeout, now 90s in location /
          only where such a wait is meant: raise proxy_read_timeout, now 3s in location /fast
          only where such a wait is meant: raise proxy_read_timeout, now 5s in location /slow
          nginx gives up first, and gunicorn goes on with a request that nobody waits for: set --timeout below nginx's, or nginx's above it
        ");
    }
}
