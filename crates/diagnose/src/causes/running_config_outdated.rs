//! See the doc comment of [`RUNNING_CONFIG_OUTDATED`].

use facts::process::Process;
use facts::{Exhibit, Gap};
use log::error::Protocol;

use crate::case::{Case, Drift};
use crate::incident::{Incident, Origin};
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The workers still run an older configuration than the one on disk.
    ///
    /// ## Confirmed when
    /// The peer that fails stands in no file on disk (and nothing there could name it at run time), the worker that dialled
    /// it still serves, and a file has changed since it started: it was never reloaded, or the reload failed; or, after a
    /// reload, that worker is still shutting down. Of two masters of a half-done upgrade (`USR2`) it is the old one's.
    ///
    /// ## Ruled out when
    /// The peer stands on disk (or comes from a variable) and no file of the configuration has changed since the workers
    /// started, or nginx is not running.
    ///
    /// ## Fix
    /// Test the configuration and reload nginx. Where nothing listens at what the files dial now either, that is to be
    /// mended too: the reload alone does not help. Of a half-done upgrade: `QUIT` for the old master, once the new one works.
    /// Unsafe: the new configuration takes effect.
    ///
    /// ## Looks like
    /// A failure at a peer that no file names any more.
    pub(crate) static RUNNING_CONFIG_OUTDATED = {
        id: "running-config-outdated", since: "0.1.0", stage: Nginx, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    if incident.origin == Origin::Host {
        let instance = case.instance(incident)?;
        return match &instance.master {
            Some(_) => Err(Gap::undecided("the running configuration", "no line of a log speaks of it")),
            None => Ok(Verdict::RuledOut(Proof::new(case.no_master_exhibit(&instance)?))),
        };
    }
    let proof = Proof::new(incident.exhibit());
    if let Some(worker) = case.draining_writer(incident)? {
        return of_draining(incident, case, &worker);
    }
    let (changed, refused) = match case.drift(incident.instance)? {
        Drift::None(unchanged) if incident.explained || case.dynamic_peers(incident)?.is_some() => {
            return Ok(Verdict::RuledOut(proof.and(unchanged)));
        }
        // A file may be gone, or a worker that died was started anew with what its master had read.
        Drift::None(_) => match case.changed_includes(incident)? {
            Some(changed) => (changed, None),
            None if incident.peer.is_empty() => return Err(Gap::undecided("what the workers had loaded when it failed", "its lines name no peer to look for in the files")),
            None => return Err(Gap::undecided("which configuration dials this peer", "none on disk does, and the workers run what stands there")),
        },
        Drift::Changed { changed, refused } => (changed, refused),
    };
    if incident.peer.is_empty() {
        return Err(Gap::undecided("whether the change on disk concerns this failure", "its lines name no peer"));
    }
    if incident.explained {
        let missing = "whether the change on disk concerns this peer";
        let Some(pass) = case.speaks_otherwise_on_disk(incident)? else {
            return Err(Gap::undecided(missing, "the peer stands on disk too").learn("nginx -t"));
        };
        let spoke = incident.protocol.map_or("", Protocol::as_str);
        return Err(Gap::undecided(missing, "the peer stands on disk too, in another protocol")
            .leaning(format!(
                "nginx spoke {spoke} to {}; {}:{}, changed since its workers started, says {} now: nginx -s reload puts that into force",
                incident.peer,
                pass.file.display(),
                pass.line,
                pass.text,
            ))
            .learn("nginx -t && nginx -s reload"));
    }
    if let Some(dynamic) = case.dynamic_peers(incident)? {
        return Err(Gap::undecided("whether the running configuration dials this peer", dynamic)
            .leaning("no file on disk names this peer, and a file has changed since the workers started"));
    }
    case.still_runs(incident)?;
    if refused.is_none() && matches!(&changed, Exhibit::Record { at: Some(at), .. } if at.as_second() > incident.first_seen.as_second()) {
        return Err(Gap::undecided("whether the change on disk concerns this failure", "it failed before that as well")
            .leaning("the files name this peer no more since they were changed: nginx -s reload puts that into force"));
    }
    if let Some(upgrade) = case.half_done_upgrade(incident)?.filter(|upgrade| upgrade.is_of_old) {
        return Ok(Verdict::Confirmed(Confirmation {
            summary: format!(
                "an upgrade of nginx is half done: the workers of the old master (pid {}) still dial {}",
                upgrade.old.pid, incident.peer
            ),
            proof: proof.and(changed).and(upgrade.exhibit()),
            fixes: vec![Fix {
                summary: "let the old master go".to_owned(),
                safety: Safety::Unsafe,
                steps: upgrade.steps(),
                verify: Some(AGAIN.to_owned()),
            }],
        }));
    }
    let summary = match &refused {
        Some(_) => format!("nginx does not take the changed files: its workers still dial {}, which they no longer name", incident.peer),
        None => format!("the files changed and were never reloaded: the workers still dial {}", incident.peer),
    };
    let mut steps = case.reload_steps(incident)?;
    if refused.is_some() {
        steps.insert(0, Step::Advice { text: "mend what nginx -t names".to_owned() });
    }
    let (exhibits, advice): (Vec<_>, Vec<_>) =
        case.dead_on_disk(incident)?.into_iter().map(|dead| (dead.exhibits, Step::Advice { text: dead.advice })).unzip();
    steps.splice(0..0, advice);
    Ok(Verdict::Confirmed(Confirmation {
        summary,
        proof: proof.and(changed).with(refused).with(exhibits.into_iter().flatten()),
        fixes: vec![Fix {
            summary: "reload nginx".to_owned(),
            safety: Safety::Unsafe,
            steps,
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

/// A worker that a reload has replaced answers what it had begun, by the configuration that it had read.
fn of_draining(incident: &Incident, case: &Case, worker: &Process) -> Result<Verdict, Gap> {
    let pid = worker.pid;
    let exhibit = Exhibit::Record {
        probe: "process",
        at: Some(worker.start),
        text: format!("the worker that failed (pid {pid}) is shutting down: it ends what it is answering, by an older configuration"),
    };
    let missing = "whether the older configuration of the worker that failed is why";
    if incident.peer.is_empty() {
        return Err(Gap::undecided(missing, format!("worker {pid} is shutting down, and its lines name no peer")));
    }
    if incident.explained {
        return Err(Gap::undecided(missing, format!("worker {pid} is shutting down and runs an older one, and the peer stands on disk too"))
            .leaning(format!("the worker that failed (pid {pid}) still runs a configuration from before a reload")));
    }
    if let Some(dynamic) = case.dynamic_peers(incident)? {
        return Err(Gap::undecided(missing, dynamic));
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!(
            "a worker of an older configuration (pid {pid}) is still shutting down and dials {}, which the files no longer name",
            incident.peer
        ),
        proof: Proof::new(incident.exhibit()).and(exhibit),
        fixes: vec![Fix {
            summary: "let the old worker end".to_owned(),
            safety: Safety::DisplayOnly,
            steps: vec![
                Step::Advice { text: "wait: it ends with its last connection, and takes no new one".to_owned() },
                Step::Advice { text: format!("or end it at once, with what it is answering: kill -TERM {pid}") },
                Step::Advice { text: "worker_shutdown_timeout bounds how long such a worker may go on".to_owned() },
            ],
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::{Fixture, answers, check};

    const ID: &str = "running-config-outdated";
    /// A worker dials what no file names any more.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf ctime=13:30:00
        http { server { location / { proxy_pass http://127.0.0.1:8001; } } }
        //- failed 14:02:11 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
    ";

    #[test]
    fn confirmed_where_a_changed_file_names_the_peer_no_more() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: running-config-outdated, ongoing
        confirmed: the files changed and were never reloaded: the workers still dial 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - file 13:30:00: /etc/nginx/nginx.conf changed after the workers started
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8001; (on disk, and nothing listens here either)
        - connect 14:05:00: connect 127.0.0.1:8001 as nginx's worker: 111: Connection refused
        fix, unsafe: reload nginx
          the reload alone does not help: nothing listens on 127.0.0.1:8001 either, which /etc/nginx/nginx.conf:1 dials: start what is to listen there, or correct the line
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_with_what_the_reload_does_not_mend() {
        let reload = "the reload alone does not help";
        assert!(!check(ID, [HOST, "
            //- listen tcp 127.0.0.1:8001 pid=4120
            //- process 4120 start=13:30:00
            app
        "]).contains(reload));
        // A rule may lead the connection elsewhere: the sockets alone do not tell.
        assert!(!check(ID, [HOST, "
            //- connect 127.0.0.1:8001 -> ok
        "]).contains(reload));
        assert!(!check(ID, [HOST, "
            //- unrecorded connect 2842 127.0.0.1:8001
        "]).contains(reload));
        let upstream = |second: &str| check(ID, [&format!("
            //- nginx
            //- file /etc/nginx/nginx.conf ctime=13:30:00
            http {{
                upstream shop {{ server 127.0.0.1:8001; server {second}; }}
                server {{ server_name shop.example; location / {{ proxy_pass http://shop; }} }}
                server {{ server_name blog.example; location / {{ proxy_pass http://127.0.0.1:7000; }} }}
            }}
            //- file /var/log/nginx/error.log
            2026/06/23 14:02:11 [error] 2842#2842: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: shop.example, request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\", host: \"shop.example\"
        ")]);
        assert_snapshot!(upstream("unix:/run/shop.sock"), @"
        answer: running-config-outdated, ongoing
        confirmed: the files changed and were never reloaded: the workers still dial 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - file 13:30:00: /etc/nginx/nginx.conf changed after the workers started
        - config /etc/nginx/nginx.conf:2: server 127.0.0.1:8001; (on disk, and nothing listens here either)
        - connect 14:05:00: connect 127.0.0.1:8001 as nginx's worker: 111: Connection refused
        - config /etc/nginx/nginx.conf:2: server unix:/run/shop.sock; (on disk, and nothing listens here either)
        - connect 14:05:00: connect unix:/run/shop.sock as nginx's worker: 2: No such file or directory
        fix, unsafe: reload nginx
          the reload alone does not help: nothing listens on 127.0.0.1:8001 either, which /etc/nginx/nginx.conf:2 dials: start what is to listen there, or correct the line
          the reload alone does not help: nothing listens on unix:/run/shop.sock either, which /etc/nginx/nginx.conf:2 dials: start what is to listen there, or correct the line
          $ nginx -t
          $ nginx -s reload
        ");
        // Another host's may answer.
        assert!(!upstream("203.0.113.5:8000").contains(reload));
    }

    #[test]
    fn confirmed_where_a_file_was_taken_away_or_a_link_leads_elsewhere() {
        // What is left has not changed in itself.
        let include = "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { include /etc/nginx/sites/*; }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ";
        assert_snapshot!(check(ID, [include, "
            //- file /etc/nginx/sites/blog
            server { location / { proxy_pass http://127.0.0.1:8001; } }
            //- path /etc/nginx/sites dir 755 0:0 ctime=13:50:00
        "]), @"
        answer: running-config-outdated, ongoing
        confirmed: the files changed and were never reloaded: the workers still dial 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - walk 13:50:00: /etc/nginx/sites/ changed after the workers started
        - config /etc/nginx/sites/blog:1: proxy_pass http://127.0.0.1:8001; (on disk, and nothing listens here either)
        - connect 14:05:00: connect 127.0.0.1:8001 as nginx's worker: 111: Connection refused
        fix, unsafe: reload nginx
          the reload alone does not help: nothing listens on 127.0.0.1:8001 either, which /etc/nginx/sites/blog:1 dials: start what is to listen there, or correct the line
          $ nginx -t
          $ nginx -s reload
        ");
        let untouched = check(ID, [include, "
            //- file /etc/nginx/sites/blog
            server { location / { proxy_pass http://127.0.0.1:8001; } }
            //- path /etc/nginx/sites dir 755 0:0 ctime=12:00:00
        "]);
        assert!(untouched.contains("none on disk does, and the workers run what stands there"), "{untouched}");
    }

    #[test]
    fn confirmed_with_the_reload_that_was_refused() {
        assert_snapshot!(check(ID, [HOST, r#"
            //- file /var/log/nginx/error.log
            2026/06/23 13:30:05 [emerg] 2841#2841: unknown directive "proxy_pas" in /etc/nginx/nginx.conf:1
            2026/06/23 14:02:11 [error] 2842#2842: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: , request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:8000/", host: "shop.example"
        "#]), @r#"
        answer: running-config-outdated, ongoing
        confirmed: nginx does not take the changed files: its workers still dial 127.0.0.1:8000, which they no longer name
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - file 13:30:00: /etc/nginx/nginx.conf changed after the workers started
        - log 13:30:05 x1: unknown directive "proxy_pas" in /etc/nginx/nginx.conf:1
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8001; (on disk, and nothing listens here either)
        - connect 14:05:00: connect 127.0.0.1:8001 as nginx's worker: 111: Connection refused
        fix, unsafe: reload nginx
          the reload alone does not help: nothing listens on 127.0.0.1:8001 either, which /etc/nginx/nginx.conf:1 dials: start what is to listen there, or correct the line
          mend what nginx -t names
          $ nginx -t
          $ nginx -s reload
        "#);
    }

    #[test]
    fn confirmed_of_the_old_master_of_a_half_done_upgrade() {
        let new = "
            //- nginx master=3841 workers=3842 start=13:40:00 ppid=2841
        ";
        assert_snapshot!(check(ID, [HOST, new]), @"
        answer: running-config-outdated, ongoing
        confirmed: an upgrade of nginx is half done: the workers of the old master (pid 2841) still dial 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - file 13:30:00: /etc/nginx/nginx.conf changed after the workers started
        - process 13:40:00: the nginx master pid 3841 was started by the master pid 2841, and both run
        fix, unsafe: let the old master go
          see that the new master (pid 3841) serves well
          $ kill -QUIT 2841
          that is the pid in nginx.pid.oldbin, beside nginx's pid file: nginx -s reload does not reach it; or go back in its place: kill -HUP 2841 (it starts its workers anew), then kill -QUIT 3841
        ");
        // What the new one dials is its own affair.
        assert_snapshot!(check(ID, [&HOST.replace("127.0.0.1:8000/", "127.0.0.1:8001/ pid=3842"), new]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - file 13:30:00: no file of the configuration changed since the workers started (/etc/nginx/nginx.conf was the last)
        ");
    }

    #[test]
    fn confirmed_of_a_worker_that_is_shutting_down() {
        let draining = |peer: &str| HOST.replace("//- nginx", "//- nginx workers=2843 workers-start=13:35:00").replace("127.0.0.1:8000/", peer) + "
            //- process 2842 ppid=2841 start=13:00:00 user=33:33
            nginx: worker process is shutting down
        ";
        assert_snapshot!(check(ID, [&draining("127.0.0.1:8000/")]), @"
        answer: running-config-outdated, ongoing
        confirmed: a worker of an older configuration (pid 2842) is still shutting down and dials 127.0.0.1:8000, which the files no longer name
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - process 13:00:00: the worker that failed (pid 2842) is shutting down: it ends what it is answering, by an older configuration
        fix, shown: let the old worker end
          wait: it ends with its last connection, and takes no new one
          or end it at once, with what it is answering: kill -TERM 2842
          worker_shutdown_timeout bounds how long such a worker may go on
        ");
        assert_snapshot!(check(ID, [&draining("127.0.0.1:8001/")]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the older configuration of the worker that failed is why: worker 2842 is shutting down and runs an older one, and the peer stands on disk too
        leaning: the worker that failed (pid 2842) still runs a configuration from before a reload
        ");
    }

    #[test]
    fn ruled_out_where_no_file_changed_since_the_workers_started() {
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
        - file 12:00:00: no file of the configuration changed since the workers started (/etc/nginx/nginx.conf was the last)
        ");
    }

    #[test]
    fn unknown_where_the_peer_stands_on_disk_too() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf ctime=13:30:00
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the change on disk concerns this peer: the peer stands on disk too
        learn: nginx -t
        ");
    }

    #[test]
    fn unknown_where_the_peer_stands_on_disk_in_another_protocol() {
        const HTTPS: &str = "
            //- file /etc/nginx/nginx.conf ctime=14:04:30
            http { server { location / { proxy_pass https://127.0.0.1:9443; } } }
            //- listen tcp 127.0.0.1:9443 pid=4120
            //- process 4120 start=12:30:00
            python3 app.py
            //- failed 14:04:11 http://127.0.0.1:9443/
            upstream prematurely closed connection while reading response header from upstream
        ";
        let edited = ["//- nginx", HTTPS].concat();
        assert_snapshot!(check(ID, [&edited]), @"
        answer: none, ongoing
        unknown: whether the change on disk concerns this peer: the peer stands on disk too, in another protocol
        learn: nginx -t && nginx -s reload
        leaning: nginx spoke http to 127.0.0.1:9443; /etc/nginx/nginx.conf:1, changed since its workers started, says proxy_pass https://127.0.0.1:9443; now: nginx -s reload puts that into force
        ");
        let shown = |host: &str| {
            let fixture = Fixture::parse(host);
            let diagnosis = fixture.diagnose();
            fixture.judged(&diagnosis).directive.clone().unwrap().label
        };
        assert_eq!(shown(&edited).unwrap(), "on disk, not loaded yet: nginx spoke http when it failed");
        let same = edited.replace("https:", "http:");
        assert_eq!(shown(&same).unwrap(), "on disk, changed since nginx's workers started");
        assert_eq!(shown(&same.replace("ctime=14:04:30", "")), None);
        let reloaded = edited.replace("//- nginx", "//- nginx workers-start=14:04:40 workers=2900");
        assert_eq!(shown(&reloaded).unwrap(), "on disk now: nginx spoke http when it failed");
        assert!(!check(ID, [&reloaded]).contains("reload puts"), "it is loaded");
        // A proof of what the peer speaks does not say that the line on disk is what nginx dials by.
        let greeted = check("peer-speaks-other-protocol", [&edited, "
            //- options handshake
            //- handshake 127.0.0.1:9443 tls1.3
            received 160303007a
            tls version=TLSv1.3 suite=TLS13_AES_256_GCM_SHA384
        "]);
        assert_snapshot!(greeted, @"
        answer: none, ongoing
        unknown: what nginx's workers have loaded of /etc/nginx/nginx.conf: it was changed after they started
        learn: nginx -t && nginx -s reload
        ");
    }

    #[test]
    fn unknown_where_a_variable_may_name_the_peer() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf ctime=13:30:00
            http { server { location / { proxy_pass http://$cookie_where; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the running configuration dials this peer: proxy_pass http://$cookie_where; takes its address from a variable
        leaning: no file on disk names this peer, and a file has changed since the workers started
        ");
    }

    #[test]
    fn unknown_where_a_name_may_have_had_the_address() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf ctime=13:30:00
            http { server { location / { proxy_pass http://shop.internal:8000; } } }
            //- failed 14:02:11 http://10.0.0.9:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: none, ongoing
        unknown: whether the running configuration dials this peer: shop.internal may have had this address when nginx started
        leaning: no file on disk names this peer, and a file has changed since the workers started
        ");
    }

    #[test]
    fn unknown_once_the_workers_were_replaced() {
        // The reload has happened since.
        assert_snapshot!(check(ID, ["
            //- nginx workers-start=14:03:00
            //- file /etc/nginx/nginx.conf ctime=14:03:30
            http { server { location / { proxy_pass http://127.0.0.1:8001; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: none, over
        unknown: what the workers ran when it failed: the one that dialled it has been replaced since
        ");
    }

    #[test]
    fn unknown_of_a_line_that_no_worker_of_now_wrote() {
        // Of a worker that finishes its old connections, or of nobody.
        assert_snapshot!(check(ID, [HOST, "
            //- incident 127.0.0.1:9999
            //- failed 14:02:12 http://127.0.0.1:9999/ pid=1234
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: what the workers ran when it failed: the one that dialled it has been replaced since
        ");
    }

    #[test]
    fn unknown_where_the_file_that_named_the_peer_is_gone() {
        // No file that is left has changed.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { include /etc/nginx/conf.d/*.conf; server { location / { proxy_pass http://127.0.0.1:8001; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: which configuration dials this peer: none on disk does, and the workers run what stands there
        ");
    }

    #[test]
    fn known_by_its_pid_inside_a_container() {
        assert_snapshot!(check(ID, ["
            //- nginx workers=52842
            //- file /proc/52842/status
            Uid: 33 33 33 33
            Gid: 33 33 33 33
            NSpid: 52842 7
            //- file /etc/nginx/nginx.conf ctime=13:30:00
            http { server { location / { proxy_pass http://127.0.0.1:8001; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/ pid=7
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: running-config-outdated, ongoing
        confirmed: the files changed and were never reloaded: the workers still dial 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - file 13:30:00: /etc/nginx/nginx.conf changed after the workers started
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8001; (on disk, and nothing listens here either)
        - connect 14:05:00: connect 127.0.0.1:8001 as nginx's worker: 111: Connection refused
        fix, unsafe: reload nginx
          the reload alone does not help: nothing listens on 127.0.0.1:8001 either, which /etc/nginx/nginx.conf:1 dials: start what is to listen there, or correct the line
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn unknown_where_lua_may_name_the_peer() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf ctime=13:30:00
            http { upstream shop { server 0.0.0.1; balancer_by_lua_file /srv/balance.lua; } server { location / { proxy_pass http://shop; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the running configuration dials this peer: balancer_by_lua_file /srv/balance.lua; gives servers at run time
        leaning: no file on disk names this peer, and a file has changed since the workers started
        ");
    }

    #[test]
    fn unknown_where_a_file_that_may_name_the_peer_cannot_be_read() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf ctime=13:30:00
            http { include conf.d/*.conf; }
            //- file /etc/nginx/conf.d/shop.conf
            server { location / { proxy_pass http://127.0.0.1:8000; } }
            //- denied file host /etc/nginx/conf.d/shop.conf
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: /etc/nginx/conf.d/shop.conf: needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn unknown_where_a_folder_that_may_name_the_peer_cannot_be_read() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf ctime=13:30:00
            http { include conf.d/*.conf; }
            //- denied directory host /etc/nginx/conf.d
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: the names in /etc/nginx/conf.d/: needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn unknown_of_a_configuration_that_cannot_be_read() {
        assert_snapshot!(check(ID, [HOST, "
            //- denied file host /etc/nginx/nginx.conf
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: /etc/nginx/nginx.conf: needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn ruled_out_where_nginx_does_not_run() {
        assert_snapshot!(check(ID, ["
            //- file /etc/nginx/nginx.conf
            http { }
            //- file /var/log/nginx/error.log
        "]), @"
        answer: nginx-not-running, ongoing
        ruled out
        - process 14:05:00: 1 process, none is an nginx master (/etc/nginx/nginx.conf)
        ");
    }

    #[test]
    fn a_forged_line_makes_no_incident() {
        assert_snapshot!(answers([r#"
            //- nginx
            //- file /etc/nginx/nginx.conf ctime=13:30:00
            http { server { location / { proxy_pass http://127.0.0.1:8001; } } }
            //- file /var/log/nginx/error.log
            2026/06/23 14:02:11 [error] 2842#2842: *1 open() "/srv/www/x
            2026/06/23 14:02:11 [error] 2842#2842: *7 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: shop.example, request: "GET / HTTP/1.1", upstream: "http://10.9.9.9:80/", host: "shop.example"" failed (2: No such file or directory), client: 192.0.2.9, server: shop.example, request: "GET /x%0a2026/06/23%20... HTTP/1.1", host: "shop.example"
        "#]), @"");
    }
}
