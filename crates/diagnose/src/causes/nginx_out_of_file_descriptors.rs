//! See the doc comment of [`NGINX_OUT_OF_FILE_DESCRIPTORS`].

use facts::Gap;
use log::error::Class;

use crate::case::{Case, Descriptors};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Proof, Verdict};

/// `EMFILE`: the process's own limit. 23 is the whole host's.
const TOO_MANY_OPEN_FILES: u16 = 24;

declare_cause! {
    /// nginx's worker had no file descriptor left: clients get a 500, or wait to be let in.
    ///
    /// Every connection takes one, to clients and to peers, and so does every open file.
    ///
    /// ## Confirmed when
    /// nginx says so (errno 24), the worker that said it still serves, and its limit is lower than what its connections
    /// can use, or nearly used up now.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Raise `worker_rlimit_nofile`.
    /// Unsafe: it takes a reload.
    ///
    /// ## Looks like
    /// `socket() failed (24: Too many open files) while connecting to upstream`
    ///
    /// ## See also
    /// `nginx-out-of-worker-connections`: nginx's own limit.
    pub(crate) static NGINX_OUT_OF_FILE_DESCRIPTORS = {
        id: "nginx-out-of-file-descriptors", since: "0.1.0", stage: Nginx, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::FdExhaustion) {
        return Ok(Verdict::RuledOut(proof));
    }
    if incident.errno != Some(TOO_MANY_OPEN_FILES) {
        return Err(Gap::undecided("what has the files open", "the limit of the whole host was reached, not that of nginx")
            .leaning("the host had no file descriptor left for anybody")
            .learn("cat /proc/sys/fs/file-nr"));
    }
    let worker = case.surely_nginx(incident, "an nginx worker had no file descriptor left")?;
    let descriptors = case.descriptors(&worker)?;
    let connections = case.worker_connections(incident.instance)?;
    let Descriptors { soft, hard, open, .. } = descriptors;
    // Its two connections and perhaps two temporary files are the most that a proxied request takes.
    let can_be_reached = soft < connections.value.saturating_mul(2);
    if !can_be_reached && open.is_none_or(|open| open < soft / 10 * 9) {
        return Err(Gap::undecided("what used the descriptors up", format!("its limit of {soft} is more than its connections need"))
            .leaning("an nginx worker had no file descriptor left")
            .learn(format!("sudo ls -l /proc/{}/fd", worker.pid)));
    }
    let wanted = if can_be_reached { connections.value.saturating_mul(2) } else { soft.saturating_mul(2) }.max(1024);
    let steps = case.allow_descriptors(incident, wanted, hard)?;
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("an nginx worker had all {soft} file descriptors in use that it may have"),
        proof: proof.and(descriptors.exhibit()).and(connections.exhibit()),
        fixes: vec![case.own_fix(incident, format!("allow a worker {wanted} descriptors"), steps)?],
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "nginx-out-of-file-descriptors";
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        worker_rlimit_nofile 1024;
        events { worker_connections 1024; } http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:02:11 http://127.0.0.1:8000/ level=alert
        socket() failed (24: Too many open files) while connecting to upstream
    ";
    const LIMITS: &str = "
        //- file /proc/2842/limits
        Max open files            1024                 524288               files
    ";

    #[test]
    fn confirmed_by_a_limit_below_what_connections_can_use() {
        assert_snapshot!(check(ID, [HOST, LIMITS]), @"
        answer: nginx-out-of-file-descriptors, over
        confirmed: an nginx worker had all 1024 file descriptors in use that it may have
        - log 14:02:11 x1: socket() failed (24: Too many open files) while connecting to upstream
        - file 14:05:00: worker (pid 2842) may have 1024 descriptors open
        - config /etc/nginx/nginx.conf:2: worker_connections 1024;
        fix, unsafe: allow a worker 2048 descriptors
          /etc/nginx/nginx.conf:1: worker_rlimit_nofile 1024; => worker_rlimit_nofile 2048;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_where_clients_could_not_be_accepted() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- file /proc/2842/limits
            Max open files            64                   64                   files
            //- logged 14:02:11 level=crit bare
            accept4() failed (24: Too many open files)
        "]), @"
        answer: nginx-out-of-file-descriptors, over
        confirmed: an nginx worker had all 64 file descriptors in use that it may have
        - log 14:02:11 x1: accept4() failed (24: Too many open files)
        - file 14:05:00: worker (pid 2842) may have 64 descriptors open
        - file: no file sets worker_connections: the default is 512
        fix, shown: allow a worker 1024 descriptors
          add to the top of /etc/nginx/nginx.conf: worker_rlimit_nofile 1024;
          where nginx may not raise its own limit of 64 (a container, a unit without CAP_SYS_RESOURCE): set LimitNOFILE=1024 in nginx's unit, and restart it
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_where_it_is_nearly_used_up_now() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            events { worker_connections 4; } http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- file /proc/2842/limits
            Max open files            10                   10                   files
            //- link /proc/2842/fd/0 -> /dev/null
            //- path /proc/2842/fd/0 link 777 0:0
            //- path /proc/2842/fd/1 link 777 0:0
            //- path /proc/2842/fd/2 link 777 0:0
            //- path /proc/2842/fd/3 link 777 0:0
            //- path /proc/2842/fd/4 link 777 0:0
            //- path /proc/2842/fd/5 link 777 0:0
            //- path /proc/2842/fd/6 link 777 0:0
            //- path /proc/2842/fd/7 link 777 0:0
            //- path /proc/2842/fd/8 link 777 0:0
            //- failed 14:02:11 http://127.0.0.1:8000/ level=alert
            socket() failed (24: Too many open files) while connecting to upstream
        "]), @"
        answer: nginx-out-of-file-descriptors, over
        confirmed: an nginx worker had all 10 file descriptors in use that it may have
        - log 14:02:11 x1: socket() failed (24: Too many open files) while connecting to upstream
        - file 14:05:00: worker (pid 2842) may have 10 descriptors open, and has 9 open now
        - config /etc/nginx/nginx.conf:1: worker_connections 4;
        fix, shown: allow a worker 1024 descriptors
          add to the top of /etc/nginx/nginx.conf: worker_rlimit_nofile 1024;
          where nginx may not raise its own limit of 10 (a container, a unit without CAP_SYS_RESOURCE): set LimitNOFILE=1024 in nginx's unit, and restart it
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn ruled_out_where_connections_were_lacking() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/ level=alert
            512 worker_connections are not enough while connecting to upstream
        "]), @"
        answer: nginx-out-of-worker-connections, over
        ruled out
        - log 14:02:11 x1: 512 worker_connections are not enough while connecting to upstream
        ");
    }

    #[test]
    fn unknown_where_the_limit_is_more_than_connections_need() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /proc/2842/limits
            Max open files            524288               524288               files
        "]), @"
        answer: none, over
        unknown: what used the descriptors up: its limit of 524288 is more than its connections need
        learn: sudo ls -l /proc/2842/fd
        leaning: an nginx worker had no file descriptor left
        ");
    }

    #[test]
    fn unknown_once_the_worker_was_replaced() {
        assert_snapshot!(check(ID, [HOST, LIMITS, "
            //- nginx workers-start=14:03:00 workers=2900
            //- hide 2842
        "]), @"
        answer: none, over
        unknown: the worker that said so: it has been replaced since it failed
        leaning: an nginx worker had no file descriptor left
        ");
    }

    #[test]
    fn unknown_where_the_host_had_none_left() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/ level=alert
            socket() failed (23: Too many open files in system) while connecting to upstream
        "]), @"
        answer: none, over
        unknown: what has the files open: the limit of the whole host was reached, not that of nginx
        learn: cat /proc/sys/fs/file-nr
        leaning: the host had no file descriptor left for anybody
        ");
    }

    #[test]
    fn unknown_without_the_right_to_read_the_limit() {
        assert_snapshot!(check(ID, [HOST, "
            //- denied file host /proc/2842/limits
        "]), @"
        answer: none, over
        unknown: /proc/2842/limits: needs root
        learn: sudo why502
        ");
    }
}
