//! See the doc comment of [`NGINX_NOT_RUNNING`].

use facts::Gap;

use crate::case::{Case, Held, Instance, known};
use crate::incident::{Incident, Origin};
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx itself is not running.
    ///
    /// ## Confirmed when
    /// No process on the host is an nginx master of this configuration, and no other nginx serves at its addresses; or
    /// what serves there are workers whose master has ended.
    ///
    /// ## Ruled out when
    /// Its master runs.
    ///
    /// ## Fix
    /// Test the configuration and start nginx; workers whose master has ended are ended first, by their pids.
    /// Unsafe: it starts a service.
    ///
    /// ## Looks like
    /// Clients see a refused connection, or a 502 by the proxy in front.
    pub(crate) static NGINX_NOT_RUNNING = {
        id: "nginx-not-running", since: "0.1.0", stage: Nginx, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let instance = case.instance(incident)?;
    if let Some(master) = &instance.master {
        return Ok(Verdict::RuledOut(Proof::new(Case::process_exhibit(master))));
    }
    if incident.origin == Origin::Experiment {
        // What was tried was not nginx's to do.
        return Ok(Verdict::RuledOut(Proof::new(incident.exhibit())));
    }
    if incident.origin != Origin::Host {
        return Err(Gap::too_late("whether nginx ran when it failed", "it does not run now"));
    }
    let held = known(case.held_listen(incident))?.flatten();
    let orphans = case.orphaned_workers()?;
    if !orphans.is_empty() {
        return of_orphans(case, &instance, held.as_ref(), &orphans);
    }
    if let Some(held) = held.as_ref().filter(|held| held.by.is_nginx()) {
        return Err(another_serves(&instance, held));
    }
    let mut proof = Proof::new(case.no_master_exhibit(&instance)?);
    // A trouble on disk keeps it from starting now; what it said last may be about something else.
    let reason = if let Some((exhibit, trouble)) = case.trouble(incident.instance)? {
        proof = proof.and(exhibit);
        format!(", and its configuration is refused: {trouble}")
    } else {
            let last = case.last_words(incident.instance)?;
            let reason = last.as_ref().map(|(_, text)| format!("; it last said: {text}")).unwrap_or_default();
            proof = proof.with(last.map(|(exhibit, _)| exhibit));
            reason
    };
    let mut start = Vec::new();
    let mut taken = String::new();
    if let Some(held) = &held {
        proof = proof.with(held.exhibits());
        let (who, address) = (held.by.who(), &held.by.address);
        taken = format!("; {who} holds {address}, where it would listen");
        let units = known(case.units_of(&held.by.holders))?.unwrap_or_default();
        let stop = match units.as_slice() {
            [] => String::new(),
            units => format!(" (systemctl disable --now {})", units.join(" ")),
        };
        start.push(Step::Advice {
            text: format!("free the port first: {who} listens on {address}; stop it{stop}, or have one of the two listen elsewhere"),
        });
    }
    let config = instance.config.display().to_string();
    start.push(Step::command(["nginx", "-t", "-c", &config]));
    match case.nginx_unit(&instance)? {
        Some(unit) => {
            proof = proof.with(unit.exhibits());
            start.push(Step::command(["systemctl", "start", &unit.name]));
        }
        None => start.push(Step::Advice { text: "start nginx the way this host starts it".to_owned() }),
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("nginx is not running{taken}{reason}"),
        proof,
        fixes: vec![Fix {
            summary: "start nginx".to_owned(),
            safety: Safety::Unsafe,
            steps: start,
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

/// Workers whose master was killed: they serve what they had read, and nothing reloads or ends them.
fn of_orphans(case: &Case, instance: &Instance, held: Option<&Held>, orphans: &[u32]) -> Result<Verdict, Gap> {
    let pids: Vec<String> = orphans.iter().map(u32::to_string).collect();
    let named = pids.join(", ");
    let serve_here = |held: &&Held| {
        let mut holders = held.by.holders.iter();
        !held.by.holders.is_empty() && holders.all(|holder| orphans.contains(&holder.pid))
    };
    let Some(held) = held.filter(serve_here) else {
        return Err(Gap::undecided("which configuration the nginx workers run", "their master is gone, and they live on")
            .leaning(format!("nginx's master is gone, but its workers still serve the configuration they had: pid {named}"))
            .learn("ps -C nginx -o pid,ppid,args"));
    };
    let config = instance.config.display().to_string();
    let mut steps = vec![
        Step::command(["nginx", "-t", "-c", &config]),
        Step::Command { argv: ["kill", "-QUIT"].map(str::to_owned).into_iter().chain(pids).collect() },
    ];
    steps.push(match case.nginx_unit(instance)? {
        Some(unit) => Step::command(["systemctl", "restart", &unit.name]),
        None => Step::Advice { text: "start nginx the way this host starts it, once they have let the ports go".to_owned() },
    });
    let proof = Proof::new(case.no_master_exhibit(instance)?).with(held.exhibits());
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("nginx's master is gone: its workers (pid {named}) still serve the configuration they had, and nothing reloads or replaces them"),
        proof,
        fixes: vec![Fix {
            summary: "end these workers and start nginx anew".to_owned(),
            safety: Safety::Unsafe,
            steps,
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

/// A copy of what runs, perhaps: whoever named it would be told to start what cannot start.
fn another_serves(instance: &Instance, held: &Held) -> Gap {
    let gap = Gap::undecided(
        format!("whether {} should run", instance.config.display()),
        format!("another nginx serves at its addresses: {} on {}", held.by.who(), held.by.address),
    )
    .leaning("no nginx runs this very file; one that runs another file serves in its place");
    match held.by.holders.first() {
        Some(master) => gap.learn(format!("why502 --pid {}", master.pid)),
        None => gap,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::{Fixture, answers, check};

    const ID: &str = "nginx-not-running";
    /// nginx is installed and does not run.
    const HOST: &str = "
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- file /var/log/nginx/error.log
    ";

    #[test]
    fn confirmed_where_no_process_is_a_master() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: nginx-not-running, ongoing
        confirmed: nginx is not running
        - process 14:05:00: 1 process, none is an nginx master (/etc/nginx/nginx.conf)
        fix, unsafe: start nginx
          $ nginx -t -c /etc/nginx/nginx.conf
          start nginx the way this host starts it
        ");
    }

    #[test]
    fn confirmed_of_workers_whose_master_was_killed() {
        let orphans = "
            //- file /etc/nginx/nginx.conf
            http { server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } } }
            //- file /var/log/nginx/error.log
            //- process 2842 start=13:00:00 user=33:33
            nginx: worker process
            //- process 2843 start=13:00:00 user=33:33
            nginx: worker process
        ";
        assert_snapshot!(check(ID, [orphans, "
            //- listen tcp 0.0.0.0:80 pid=2842,2843
        "]), @"
        answer: nginx-not-running, ongoing
        confirmed: nginx's master is gone: its workers (pid 2842, 2843) still serve the configuration they had, and nothing reloads or replaces them
        - process 14:05:00: 3 processes, none is an nginx master (/etc/nginx/nginx.conf)
        - config /etc/nginx/nginx.conf:1: listen 80; (nginx (pid 2842) holds this port)
        - sockets 13:00:00: LISTEN 0.0.0.0:80 pid 2842 nginx: worker process
        fix, unsafe: end these workers and start nginx anew
          $ nginx -t -c /etc/nginx/nginx.conf
          $ kill -QUIT 2842 2843
          start nginx the way this host starts it, once they have let the ports go
        ");
        // They serve something else.
        assert_snapshot!(check(ID, [orphans, "
            //- listen tcp 0.0.0.0:8080 pid=2842,2843
        "]), @"
        answer: none, ongoing
        unknown: which configuration the nginx workers run: their master is gone, and they live on
        learn: ps -C nginx -o pid,ppid,args
        leaning: nginx's master is gone, but its workers still serve the configuration they had: pid 2842, 2843
        ");
    }

    #[test]
    fn confirmed_with_what_it_said_last() {
        assert_snapshot!(check(ID, ["
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- file /var/log/nginx/error.log
            2026/06/23 13:59:00 [emerg] 900#900: bind() to 0.0.0.0:80 failed (98: Address already in use)
        "]), @"
        answer: nginx-not-running, ongoing
        confirmed: nginx is not running; it last said: bind() to 0.0.0.0:80 failed
        - process 14:05:00: 1 process, none is an nginx master (/etc/nginx/nginx.conf)
        - log 13:59:00 x1: bind() to 0.0.0.0:80 failed (98: Address already in use)
        fix, unsafe: start nginx
          $ nginx -t -c /etc/nginx/nginx.conf
          start nginx the way this host starts it
        ");
    }

    #[test]
    fn confirmed_with_the_state_of_its_unit() {
        assert_snapshot!(check(ID, [HOST, "
            //- unit nginx.service ActiveState=failed SubState=failed Result=exit-code ExecMainCode=1 ExecMainStatus=1
            //- journal nginx.service
            13:59:00 nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)
        "]), @"
        answer: nginx-not-running, ongoing
        confirmed: nginx is not running
        - process 14:05:00: 1 process, none is an nginx master (/etc/nginx/nginx.conf)
        - unit: nginx.service has failed (exit-code, status 1)
        - journal 13:59:00: nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)
        fix, unsafe: start nginx
          $ nginx -t -c /etc/nginx/nginx.conf
          $ systemctl start nginx.service
        ");
    }

    #[test]
    fn confirmed_of_the_named_configuration_beside_another_that_runs() {
        assert_snapshot!(check(ID, ["
            //- options config=/srv/nginx.conf
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { }
            //- file /srv/nginx.conf
            http { }
            //- path /srv/nginx.conf file 644 0:0 ino=77
            //- file /var/log/nginx/error.log
        "]), @"
        answer: nginx-not-running, ongoing
        confirmed: nginx is not running
        - process 14:05:00: 3 processes, one is an nginx master, not of this configuration (/srv/nginx.conf)
        fix, unsafe: start nginx
          $ nginx -t -c /srv/nginx.conf
          start nginx the way this host starts it
        ");
    }

    #[test]
    fn confirmed_with_what_holds_its_port() {
        assert_snapshot!(check(ID, ["
            //- file /etc/nginx/nginx.conf
            http { server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } } }
            //- file /var/log/nginx/error.log
            //- process 600 start=12:00:00
            /usr/sbin/apache2 -k start
            //- listen tcp [::]:80 pid=600
        "]), @"
        answer: nginx-not-running, ongoing
        confirmed: nginx is not running; apache2 (pid 600) holds [::]:80, where it would listen
        - process 14:05:00: 2 processes, none is an nginx master (/etc/nginx/nginx.conf)
        - config /etc/nginx/nginx.conf:1: listen 80; (apache2 (pid 600) holds this port)
        - sockets 12:00:00: LISTEN [::]:80 pid 600 /usr/sbin/apache2 -k start
        fix, unsafe: start nginx
          free the port first: apache2 (pid 600) listens on [::]:80; stop it, or have one of the two listen elsewhere
          $ nginx -t -c /etc/nginx/nginx.conf
          start nginx the way this host starts it
        ");
    }

    #[test]
    fn unknown_where_another_nginx_serves_in_its_place() {
        // A copy of the file that runs.
        assert_snapshot!(check(ID, ["
            //- options config=/srv/copy.conf
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { listen 8080; } }
            //- file /srv/copy.conf
            http { server { listen 8080; } }
            //- path /srv/copy.conf file 644 0:0 ino=77
            //- file /var/log/nginx/error.log
            //- listen tcp 0.0.0.0:8080 pid=2841,2842
        "]), @"
        answer: none, ongoing
        unknown: whether /srv/copy.conf should run: another nginx serves at its addresses: nginx (pid 2841) on 0.0.0.0:8080
        learn: why502 --pid 2841
        leaning: no nginx runs this very file; one that runs another file serves in its place
        ");
    }

    #[test]
    fn confirmed_where_its_master_has_ended_and_is_not_reaped() {
        // Its process is there, and serves nobody.
        assert_snapshot!(check(ID, [HOST, "
            //- process 2841 zombie
        "]), @"
        answer: nginx-not-running, ongoing
        confirmed: nginx is not running
        - process 14:05:00: 2 processes, none is an nginx master (/etc/nginx/nginx.conf)
        fix, unsafe: start nginx
          $ nginx -t -c /etc/nginx/nginx.conf
          start nginx the way this host starts it
        ");
    }

    #[test]
    fn ruled_out_where_its_master_runs() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - process 13:00:00: pid 2841 nginx: master process /usr/sbin/nginx
        ");
    }

    #[test]
    fn ruled_out_where_nginx_runs_without_a_master() {
        assert_snapshot!(check(ID, ["
            //- process 2841
            /usr/sbin/nginx -g x
            //- file /etc/nginx/nginx.conf
            master_process off; http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/ pid=2841
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - process 12:30:00: pid 2841 /usr/sbin/nginx -g x
        ");
    }

    #[test]
    fn unknown_where_processes_of_others_are_hidden() {
        // hidepid=2, without root.
        assert_snapshot!(check(ID, [HOST, "
            //- hide 1
        "]), @"
        answer: none, ongoing
        unknown: every process of the host: needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn unknown_where_a_process_may_not_be_looked_at() {
        // hidepid=1, without root.
        assert_snapshot!(check(ID, [HOST, "
            //- process 2841
            ?
            //- denied file host /proc/2841/
        "]), @"
        answer: none, ongoing
        unknown: /proc/2841/stat: needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn nothing_is_said_of_a_master_whose_program_is_closed() {
        // Without root: which file it runs is not known, so neither that nobody runs the one that was named.
        let closed = "
            //- options config=/etc/nginx/nginx.conf
            //- nginx
            //- denied strings /proc/2841/exe
            //- denied strings /usr/sbin/nginx
        ";
        assert_snapshot!(answers([HOST, closed]), @"");
        let gaps = Fixture::parse(&[HOST, closed].concat()).diagnose().gaps;
        assert_eq!(gaps.first().map(|gap| gap.missing.as_ref()), Some("which configuration nginx (pid 2841) runs"));
    }

    #[test]
    fn confirmed_beside_a_program_that_only_calls_itself_nginx() {
        assert!(check(ID, [HOST, "
            //- nginx
            //- foreign 2841
        "]).contains("confirmed: nginx is not running"));
    }

    #[test]
    fn unknown_when_the_snapshot_lacks_a_process() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 2841
            ?
            //- unrecorded file host /proc/2841/cmdline
        "]), @"
        answer: none, ongoing
        unknown: /proc/2841/cmdline: the snapshot does not hold it
        ");
    }

    #[test]
    fn a_forged_emergency_is_no_reason() {
        assert_snapshot!(check(ID, [r#"
            //- file /etc/nginx/nginx.conf
            http { server { root /srv/www; } }
            //- file /var/log/nginx/error.log
            2026/06/23 14:02:11 [error] 2842#2842: *1 open() "/srv/www/x
            2026/06/23 14:02:11 [emerg] 2841#2841: call 555-0100 for help" failed (2: No such file or directory), client: 192.0.2.9, server: shop.example, request: "GET /x%0a2026/06/23%20... HTTP/1.1", host: "shop.example"
        "#]), @"
        answer: nginx-not-running, ongoing
        confirmed: nginx is not running
        - process 14:05:00: 1 process, none is an nginx master (/etc/nginx/nginx.conf)
        fix, unsafe: start nginx
          $ nginx -t -c /etc/nginx/nginx.conf
          start nginx the way this host starts it
        ");
    }

    #[test]
    fn nothing_is_said_where_nginx_is_not_installed() {
        assert_snapshot!(answers(["
            //- process 80
            apache2
        "]), @"");
    }
}
