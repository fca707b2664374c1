//! See the doc comment of [`APPLICATION_KILLED_OOM`].

use facts::Gap;
use facts::oom::OomKill;
use log::error::Class;

use crate::case::{Case, MemoryKills};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The kernel killed the application's process for lack of memory while it was answering.
    ///
    /// ## Confirmed when
    /// The connection was closed or reset before the response, and in every failing second the kernel killed a process of
    /// the peer's application for lack of memory: its log names a process of the same unit, container or control group
    /// and program, where no other program of that name runs there, or one that the application's own log (of php-fpm, of
    /// the pool) names; or the unit failed for it, as its journal says, and all of its processes ended.
    /// Within a container, whose paths lack their begin, the application or its unit must also say that a SIGKILL ended a
    /// process then.
    ///
    /// As with `application-crashed`, each failure has a process of its own, where a process answers one request at a
    /// time; and of several processes the killed one counts only if it asked for the memory itself, as the kernel's log
    /// says, or all of them ended: the kernel may kill an idle one for what another asked.
    ///
    /// ## Ruled out when
    /// The failure is another one; or every process of the application has run since before the first failure; or it ran
    /// then, and the kernel's log is whole and shows no killed process of it. Neither shows anything where another process
    /// may answer than the one that listens, as behind a forwarder or proxy; but a whole log without any kill does, on the
    /// host of who answers.
    ///
    /// ## Fix
    /// None by program: whether it may have more memory or should need less is a person's decision.
    ///
    /// ## Looks like
    /// `upstream prematurely closed connection while reading response header from upstream`
    ///
    /// ## See also
    /// `application-crashed`: the same seen from the application's own log, which cannot tell who sent the signal.
    pub(crate) static APPLICATION_KILLED_OOM = {
        id: "application-killed-oom", since: "0.1.0", stage: Request, refines: ["application-crashed"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::PrematureClose) || incident.is(Class::ConnectionReset)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let kills = case.memory_kills(incident)?;
    if let Some(none) = &kills.none {
        return Ok(Verdict::RuledOut(proof.and(none.clone())));
    }
    let what = format!("the kernel killed a process of {} for lack of memory", kills.who());
    let missing = "whether a process was killed for lack of memory";
    let accounted = kills
        .happenings
        .account_for(incident, kills.application.as_deref(), missing, &what)
        .map_err(|gap| kills.lean(gap))?;
    if let Some(lasting) = accounted {
        return Ok(Verdict::RuledOut(proof.and(lasting)));
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: summary(&kills),
        proof: proof.with(kills.happenings.exhibits()),
        fixes: vec![fix(&kills)],
    }))
}

fn summary(kills: &MemoryKills) -> String {
    let Some(first) = &kills.first else {
        return format!("a process of {} was killed for lack of memory while answering", kills.who());
    };
    format!(
        "the kernel killed process {} of {} for lack of memory while it was answering: {}",
        first.pid,
        kills.who(),
        limit(first)
    )
}

/// What had no more memory to give.
fn limit(kill: &OomKill) -> String {
    if !kill.is_of_cgroup {
        return "the host had none left".to_owned();
    }
    let group = kill.limit.as_deref().unwrap_or("its control group");
    match kill.limit_kib {
        Some(kib) => format!("{group} had reached its limit of {} MiB", kib / 1024),
        None => format!("{group} had reached its limit"),
    }
}

fn fix(kills: &MemoryKills) -> Fix {
    let of_host = kills.first.as_ref().is_some_and(|kill| !kill.is_of_cgroup);
    let more = match &kills.unit {
        _ if of_host => "or give the host more memory or swap, and see what else needs it: ps aux --sort=-rss".to_owned(),
        Some(unit) => format!("or give it more: systemctl edit {unit} (MemoryMax= under [Service])"),
        None => "or raise the memory limit that it runs under".to_owned(),
    };
    Fix {
        summary: "let it need less memory, or give it more".to_owned(),
        safety: Safety::DisplayOnly,
        steps: vec![
            Step::Advice { text: format!("find what needs so much: {}", kills.happenings.place()) },
            Step::Advice { text: "run fewer workers, or end each after some requests".to_owned() },
            Step::Advice { text: more },
        ],
        verify: Some(AGAIN.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "application-killed-oom";
    /// The connection was closed before the response.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:02:11 http://127.0.0.1:8000/
        upstream prematurely closed connection while reading response header from upstream
    ";
    /// gunicorn in a unit has replaced a worker.
    const UNIT: &str = "
        //- unit shop.service ActiveState=active SubState=running
        //- process 4120 start=12:30:00 cgroup=/system.slice/shop.service
        gunicorn --bind 127.0.0.1:8000 --workers 2 shop.wsgi
        //- process 4121 ppid=4120 start=12:30:01 cgroup=/system.slice/shop.service
        gunicorn --bind 127.0.0.1:8000 --workers 2 shop.wsgi
        //- process 4122 ppid=4120 start=14:02:12 cgroup=/system.slice/shop.service
        gunicorn --bind 127.0.0.1:8000 --workers 2 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120,4121,4122
    ";
    /// gunicorn of no unit has replaced a worker, and writes a log.
    const BARE: &str = "
        //- process 4120 start=12:30:00
        gunicorn --bind 127.0.0.1:8000 --workers 2 shop.wsgi
        //- process 4121 ppid=4120 start=12:30:01
        gunicorn --bind 127.0.0.1:8000 --workers 2 shop.wsgi
        //- process 4122 ppid=4120 start=14:02:12
        gunicorn --bind 127.0.0.1:8000 --workers 2 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120,4121,4122
        //- link /proc/4120/fd/2 -> /var/log/shop.log
    ";
    /// What the kernel says of a worker of that unit.
    const KILLED: &str = "
        //- kernel
        14:02:11 gunicorn invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
        14:02:11 CPU: 0 UID: 1000 PID: 4119 Comm: gunicorn Not tainted 6.18.44 #1 PREEMPT(none)
        14:02:11 memory: usage 61440kB, limit 61440kB, failcnt 84
        14:02:11 oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice/shop.service,task_memcg=/system.slice/shop.service,task=gunicorn,pid=4119,uid=1000
        14:02:11 Memory cgroup out of memory: Killed process 4119 (gunicorn) total-vm:218960kB, anon-rss:61064kB
    ";

    #[test]
    fn confirmed_by_the_kernels_log_that_names_the_unit() {
        assert_snapshot!(check(ID, [HOST, UNIT, KILLED]), @"
        answer: application-killed-oom, over
        confirmed: the kernel killed process 4119 of gunicorn (pid 4120) for lack of memory while it was answering: /system.slice/shop.service had reached its limit of 60 MiB
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - kernel-log 14:02:11: Memory cgroup out of memory: Killed process 4119 (gunicorn) total-vm:218960kB, anon-rss:61064kB
        fix, shown: let it need less memory, or give it more
          find what needs so much: journalctl -u shop.service
          run fewer workers, or end each after some requests
          or give it more: systemctl edit shop.service (MemoryMax= under [Service])
        ");
    }

    #[test]
    fn confirmed_where_the_host_had_no_memory() {
        assert_snapshot!(check(ID, [HOST, UNIT, "
            //- kernel
            14:02:10 gunicorn invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0
            14:02:10 CPU: 1 PID: 4119 Comm: gunicorn Not tainted 6.1.0-41-cloud-amd64 #1 Debian 6.1.158-1
            14:02:10 oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/shop.service,task=gunicorn,pid=4119,uid=1000
            14:02:10 Out of memory: Killed process 4119 (gunicorn) total-vm:218960kB, anon-rss:61064kB
        "]), @"
        answer: application-killed-oom, over
        confirmed: the kernel killed process 4119 of gunicorn (pid 4120) for lack of memory while it was answering: the host had none left
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - kernel-log 14:02:10: Out of memory: Killed process 4119 (gunicorn) total-vm:218960kB, anon-rss:61064kB
        fix, shown: let it need less memory, or give it more
          find what needs so much: journalctl -u shop.service
          run fewer workers, or end each after some requests
          or give the host more memory or swap, and see what else needs it: ps aux --sort=-rss
        ");
    }

    #[test]
    fn confirmed_where_gunicorn_says_that_it_lost_that_very_process() {
        assert_snapshot!(check(ID, [HOST, BARE, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
            //- kernel
            14:02:11 gunicorn invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0
            14:02:11 CPU: 1 PID: 4119 Comm: gunicorn Not tainted 6.1.0-41-cloud-amd64 #1 Debian 6.1.158-1
            14:02:11 Out of memory: Killed process 4119 (gunicorn) total-vm:218960kB, anon-rss:61064kB
        "]), @"
        answer: application-killed-oom, over
        confirmed: the kernel killed process 4119 of gunicorn (pid 4120) for lack of memory while it was answering: the host had none left
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - kernel-log 14:02:11: Out of memory: Killed process 4119 (gunicorn) total-vm:218960kB, anon-rss:61064kB
        fix, shown: let it need less memory, or give it more
          find what needs so much: dmesg -T
          run fewer workers, or end each after some requests
          or give the host more memory or swap, and see what else needs it: ps aux --sort=-rss
        ");
    }

    #[test]
    fn confirmed_by_the_journal_of_a_unit_that_is_dead_by_now() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/usr/bin/node /srv/shop.js --port=8000
            //- unit shop.service ActiveState=failed SubState=failed Result=oom-kill ExecMainPID=4120
            //- journal shop.service
            14:02:11 exited ExecStart killed 9
            14:02:11 failed oom-kill
        "]), @"
        answer: application-killed-oom, over
        confirmed: a process of shop.service was killed for lack of memory while answering
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - journal 14:02:11: shop.service failed oom-kill
        fix, shown: let it need less memory, or give it more
          find what needs so much: journalctl -u shop.service
          run fewer workers, or end each after some requests
          or give it more: systemctl edit shop.service (MemoryMax= under [Service])
        ");
    }

    #[test]
    fn ruled_out_where_the_kernel_killed_nothing() {
        assert_snapshot!(check(ID, [HOST, UNIT, "
            //- kernel
            14:02:11 eth0: link becomes ready
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - kernel-log 13:05:00: journalctl -k shows no killed process of gunicorn (pid 4120) since then
        ");
    }

    #[test]
    fn ruled_out_where_every_process_has_run_since_before() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 77 start=12:30:00
            node /srv/shop.js
            //- listen tcp 127.0.0.1:8000 pid=77
            //- kernel
            13:20:00 Out of memory: Killed process 900 (chrome) total-vm:218960kB, anon-rss:61064kB
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - process 12:30:00: shop.js (pid 77) has run since before the first failure
        ");
    }

    #[test]
    fn unknown_where_it_was_another_units_process() {
        assert_snapshot!(check(ID, [HOST, UNIT, "
            //- kernel
            14:02:11 oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/report.service,task=gunicorn,pid=4119,uid=1000
            14:02:11 Out of memory: Killed process 4119 (gunicorn) total-vm:218960kB, anon-rss:61064kB
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - kernel-log 13:05:00: journalctl -k shows no killed process of gunicorn (pid 4120) since then
        ");
    }

    /// Docker's forwarder listens.
    const PROXY: &str = "
        //- process 4120 start=12:30:00
        /usr/bin/docker-proxy -proto tcp -host-ip 127.0.0.1 -host-port 8000 -container-ip 172.17.0.2 -container-port 8000
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";

    /// What was killed then ran in a container.
    fn of_a_container() -> String {
        let id = "4f5c5e8c2b3c4f5c5e8c2b3c4f5c5e8c2b3c4f5c5e8c2b3c4f5c5e8c2b3c4f5c";
        KILLED.replace("/system.slice/shop.service", &format!("/system.slice/docker-{id}.scope"))
    }

    #[test]
    fn unknown_where_what_was_killed_may_answer_behind_a_forwarder() {
        assert_snapshot!(check(ID, [HOST, PROXY, &of_a_container()]), @"
        answer: none, over
        unknown: whether a process was killed for lack of memory: nothing of it stands in dmesg -T; docker-proxy (pid 4120) leads connections on to 172.17.0.2:8000
        leaning: the kernel killed gunicorn (pid 4119) then
        ");
    }

    #[test]
    fn ruled_out_behind_a_forwarder_where_nothing_was_killed_on_the_host() {
        let told = check(ID, [HOST, PROXY, "
            //- kernel
            13:02:11 eth0: link becomes ready
        "]);
        assert!(told.contains("\nruled out"), "{told}");
        // A proxy may lead elsewhere.
        let told = check(ID, [HOST, "
            //- process 4120 start=12:30:00
            haproxy -f /etc/haproxy.cfg
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- kernel
            13:02:11 eth0: link becomes ready
        "]);
        assert!(told.contains("\nunknown"), "{told}");
    }

    #[test]
    fn unknown_where_what_answers_now_was_started_after_it_failed() {
        let now = UNIT.replace("12:30:0", "14:03:0").replace("14:02:12", "14:03:02");
        let told = check(ID, [HOST, &now, &of_a_container()]);
        assert!(told.contains("\nunknown") && told.contains("the kernel killed gunicorn (pid 4119) then"), "{told}");
    }

    /// The same of a unit in a container, of a kind that the path does not tell; the host has one of that name too.
    fn in_a_container() -> String {
        KILLED.replace("/system.slice/shop.service", "/lxc/web/system.slice/shop.service")
    }

    /// That process is the unit's own, and a SIGKILL ended it; why502 is in the same container.
    const LOST: &str = "
        //- link /proc/self/ns/cgroup -> cgroup:[4026532345]
        //- journal shop.service
        14:02:11 [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?
    ";

    #[test]
    fn confirmed_within_the_container_where_the_unit_lost_a_process_to_sigkill_then() {
        assert_snapshot!(check(ID, [HOST, UNIT, &in_a_container(), LOST]), @"
        answer: application-killed-oom, over
        confirmed: the kernel killed process 4119 of gunicorn (pid 4120) for lack of memory while it was answering: /lxc/web/system.slice/shop.service had reached its limit of 60 MiB
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - kernel-log 14:02:11: Memory cgroup out of memory: Killed process 4119 (gunicorn) total-vm:218960kB, anon-rss:61064kB
        fix, shown: let it need less memory, or give it more
          find what needs so much: journalctl -u shop.service
          run fewer workers, or end each after some requests
          or give it more: systemctl edit shop.service (MemoryMax= under [Service])
        ");
        assert_snapshot!(check(ID, [HOST, UNIT, &in_a_container(), &LOST.replace("SIGKILL! Perhaps out of memory?", "SIGSEGV!")]), @"
        answer: application-crashed, over
        unknown: whether a process was killed for lack of memory: nothing of it stands in journalctl -u shop.service, journalctl -k
        leaning: the kernel killed gunicorn (pid 4119) then
        ");
    }

    #[test]
    fn ruled_out_on_the_host_of_that_container() {
        assert_snapshot!(check(ID, [HOST, UNIT, &in_a_container(), &LOST.replace("4026532345", "4026531835")]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - kernel-log 13:05:00: journalctl -k shows no killed process of gunicorn (pid 4120) since then
        ");
    }

    #[test]
    fn unknown_where_nobody_tells_whether_it_is_the_containers() {
        assert_snapshot!(check(ID, [HOST, UNIT, &in_a_container(), "
            //- denied link /proc/self/ns/cgroup
        "]), @"
        answer: none, over
        unknown: whether a process was killed for lack of memory: nothing of it stands in journalctl -u shop.service, journalctl -k
        leaning: the kernel killed gunicorn (pid 4119) then
        ");
    }

    /// The same kill where another process asked for the memory.
    fn asked_by_another() -> String {
        KILLED.replace("PID: 4119 Comm", "PID: 4121 Comm")
    }

    #[test]
    fn unknown_where_one_of_several_was_killed_for_what_another_asked() {
        assert_snapshot!(check(ID, [HOST, UNIT, &asked_by_another()]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: the signal came from outside, and it was one of several processes that answer: it may have been idle
        leaning: the kernel killed a process of gunicorn (pid 4120) for lack of memory about the time of every failing second
        ");
    }

    #[test]
    fn confirmed_where_all_were_killed_at_once() {
        let other = asked_by_another().replace("4119", "4118");
        let other: Vec<&str> = other.lines().skip_while(|line| !line.contains("invoked")).collect();
        let both = format!("{}\n{}", asked_by_another().trim_end(), other.join("\n"));
        let answer = check(ID, [HOST, &UNIT.replace("12:30:01", "14:02:12"), &both]);
        assert!(answer.contains("\nconfirmed"), "{answer}");
    }

    #[test]
    fn confirmed_where_the_only_worker_was_killed_for_what_another_asked() {
        let other = "//- process 4121 ppid=4120 start=12:30:01 cgroup=/system.slice/shop.service
        gunicorn --bind 127.0.0.1:8000 --workers 2 shop.wsgi
        ";
        let one = UNIT.replace(other, "").replace("4121,", "").replace("--workers 2", "--workers 1");
        let answer = check(ID, [HOST, &one, &asked_by_another()]);
        assert!(answer.contains("\nconfirmed"), "{answer}");
    }

    #[test]
    fn unknown_where_more_requests_failed_than_processes_were_killed() {
        assert_snapshot!(check(ID, [HOST, UNIT, KILLED, "
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        "]), @"
        answer: none, over
        unknown: whether what ended was answering the requests that failed: it can have been answering 1 of 2 requests that failed
        leaning: the kernel killed a process of gunicorn (pid 4120) for lack of memory about the time of every failing second
        ");
    }

    #[test]
    fn unknown_where_another_program_of_that_name_runs_beside_it() {
        assert_snapshot!(check(ID, [HOST, UNIT, KILLED, "
            //- process 4200 start=14:02:12 cgroup=/system.slice/shop.service
            gunicorn --bind 127.0.0.1:9000 report.wsgi
        "]), @"
        answer: none, over
        unknown: whether a process was killed for lack of memory: nothing of it stands in journalctl -u shop.service, journalctl -k
        leaning: the kernel killed gunicorn (pid 4119) then
        ");
        // In another unit it is no matter.
        let answer = check(ID, [HOST, UNIT, KILLED, "
            //- process 4200 start=14:02:12 cgroup=/system.slice/report.service
            gunicorn --bind 127.0.0.1:9000 report.wsgi
        "]);
        assert!(answer.contains("\nconfirmed"), "{answer}");
    }

    #[test]
    fn a_child_of_another_php_fpm_pool_is_not_the_pools() {
        let host = |pool: &str| format!("
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {{ server {{ location / {{ fastcgi_pass unix:/run/php/www.sock; }} }} }}
            //- failed 14:02:11 fastcgi://unix:/run/php/www.sock:
            recv() failed (104: Connection reset by peer) while reading response header from upstream
            //- file /etc/php/fpm.conf
            [global]
            error_log = /var/log/fpm.log
            [www]
            listen = /run/php/www.sock
            [admin]
            listen = /run/php/admin.sock
            //- unit php8.2-fpm.service ActiveState=active SubState=running
            //- process 900 start=12:30:00 cgroup=/system.slice/php8.2-fpm.service
            php-fpm: master process (/etc/php/fpm.conf)
            //- process 902 ppid=900 start=12:30:01 cgroup=/system.slice/php8.2-fpm.service
            php-fpm: pool www
            //- process 903 ppid=900 start=14:02:11 cgroup=/system.slice/php8.2-fpm.service
            php-fpm: pool {pool}
            //- process 904 ppid=900 start=12:30:01 cgroup=/system.slice/php8.2-fpm.service
            php-fpm: pool admin
            //- listen unix /run/php/www.sock pid=900,902
            //- file /var/log/fpm.log
            [23-Jun-2026 14:02:11] WARNING: [pool {pool}] child 4119 exited on signal 9 (SIGKILL) after 9.100000 seconds from start
            [23-Jun-2026 14:02:11] NOTICE: [pool {pool}] child 903 started
        ");
        let killed = KILLED.replace("gunicorn", "php-fpm").replace("shop.service", "php8.2-fpm.service");
        let told = check(ID, [&host("www"), &killed]);
        assert!(told.contains("\nconfirmed"), "{told}");
        let told = check(ID, [&host("admin"), &killed]);
        assert!(told.contains("\nunknown") && told.contains("the kernel killed php-fpm (pid 4119) then"), "{told}");
    }

    #[test]
    fn the_journals_word_counts_where_the_unit_failed_at_once() {
        // Its unit goes on (`OOMPolicy=continue`): any of its processes may have been killed.
        assert_snapshot!(check(ID, [HOST, UNIT, "
            //- journal shop.service
            14:02:11 lost-to-oom
        "]), @"
        answer: none, over
        unknown: whether a process was killed for lack of memory: nothing of it stands in journalctl -u shop.service
        leaning: the journal of shop.service says: shop.service lost-to-oom
        ");
        let answer = check(ID, [HOST, UNIT, "
            //- journal shop.service
            14:02:11 lost-to-oom
            14:02:12 failed signal
        "]);
        assert!(answer.contains("\nconfirmed"), "{answer}");
    }

    #[test]
    fn ruled_out_where_what_was_killed_was_another_process_of_the_same_name() {
        let answer = check(ID, [HOST, "
            //- unit shop.service ActiveState=active SubState=running
            //- process 77 start=12:30:00 cgroup=/system.slice/shop.service
            node /srv/shop.js
            //- listen tcp 127.0.0.1:8000 pid=77
        ", &KILLED.replace("gunicorn", "node")]);
        assert!(answer.contains("\nruled out") && answer.contains("shop.js (pid 77) has run since before"), "{answer}");
    }

    #[test]
    fn unknown_where_it_was_a_helper_of_the_same_unit() {
        assert_snapshot!(check(ID, [HOST, UNIT, "
            //- kernel
            14:02:11 oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/shop.service,task=convert,pid=4119,uid=1000
            14:02:11 Out of memory: Killed process 4119 (convert) total-vm:218960kB, anon-rss:61064kB
        "]), @"
        answer: none, over
        unknown: whether a process was killed for lack of memory: nothing of it stands in journalctl -u shop.service, journalctl -k
        leaning: the kernel killed convert (pid 4119) then
        ");
    }

    #[test]
    fn unknown_where_nobody_tells_whose_process_it_was() {
        assert_snapshot!(check(ID, [HOST, BARE, "
            //- kernel
            14:02:11 Out of memory: Killed process 4119 (gunicorn) total-vm:218960kB, anon-rss:61064kB
        "]), @"
        answer: none, over
        unknown: whether a process was killed for lack of memory: nothing of it stands in dmesg -T
        leaning: the kernel killed gunicorn (pid 4119) then
        ");
    }

    #[test]
    fn unknown_where_it_was_at_another_time() {
        assert_snapshot!(check(ID, [HOST, UNIT, &KILLED.replace("14:02:11", "13:40:11")]), @"
        answer: none, over
        unknown: whether a process was killed for lack of memory: nothing of it stands in journalctl -u shop.service, journalctl -k
        ");
    }

    #[test]
    fn unknown_where_it_explains_a_part_only() {
        assert_snapshot!(check(ID, [HOST, UNIT, KILLED, "
            //- failed 14:03:30 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        "]), @"
        answer: none, over
        unknown: why the other attempts failed: nothing of it stands in journalctl -u shop.service, journalctl -k
        leaning: the kernel killed a process of gunicorn (pid 4120) for lack of memory about the time of 1 of 2 failing seconds
        ");
    }

    #[test]
    fn unknown_where_the_kernels_log_cannot_be_read() {
        assert_snapshot!(check(ID, [HOST, BARE]), @"
        answer: none, over
        unknown: the kernel's log: neither the journal nor dmesg shows it
        learn: sudo dmesg -T
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
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
    fn not_confirmed_by_a_crash() {
        assert_snapshot!(check(ID, [HOST, BARE, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGSEGV!
            //- kernel
            14:02:11 gunicorn[4119]: segfault at 0 ip 00007f sp 00007ff error 4
        "]), @"
        answer: application-crashed, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - kernel-log 13:05:00: dmesg -T shows no killed process of gunicorn (pid 4120) since then
        ");
    }

    #[test]
    fn not_confirmed_where_its_own_master_ended_it_for_its_time_out() {
        assert_snapshot!(check(ID, [HOST, BARE, "
            //- file /var/log/shop.log
            [2026-06-23 14:02:10 +0000] [4120] [CRITICAL] WORKER TIMEOUT (pid:4119)
            [2026-06-23 14:02:11 +0000] [4120] [ERROR] Worker (pid:4119) was sent SIGKILL! Perhaps out of memory?
            //- kernel
            14:02:11 Out of memory: Killed process 900 (chrome) total-vm:218960kB, anon-rss:61064kB
        "]), @"
        answer: application-worker-timeout, over
        unknown: whether a process was killed for lack of memory: nothing of it stands in dmesg -T
        leaning: the kernel killed chrome (pid 900) then
        ");
    }
}
