//! See the doc comment of [`NGINX_OUT_OF_WORKER_CONNECTIONS`].

use bstr::ByteSlice as _;
use facts::{Exhibit, Gap};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::verdict::{Confirmation, Proof, Verdict};

declare_cause! {
    /// nginx's worker had all its connections in use: clients get a 500, or are dropped when they come.
    ///
    /// A proxied request takes two of them, one to the client and one to the peer.
    ///
    /// ## Confirmed when
    /// nginx says so, and the number that it names is the one in force: on disk, or in the worker that said it, which
    /// still serves.
    /// Not where the configuration lets a request come back to where it was passed on, or could not be read as a whole:
    /// then it may go round, and no number of connections is enough.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Raise `worker_connections`, and the limit of open files with it where that is lower.
    /// Unsafe: it takes memory, and a reload.
    /// Where the connections pile up because the application has become slow, a higher number only postpones it.
    ///
    /// ## Looks like
    /// `512 worker_connections are not enough while connecting to upstream`
    ///
    /// ## See also
    /// `nginx-out-of-file-descriptors`: the limit of the operating system.
    pub(crate) static NGINX_OUT_OF_WORKER_CONNECTIONS = {
        id: "nginx-out-of-worker-connections", since: "0.1.0", stage: Nginx, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::WorkerConnections) {
        return Ok(Verdict::RuledOut(proof));
    }
    let limit = limit_in(incident).ok_or_else(|| Gap::undecided("how many connections a worker had", "the line does not name a number"))?;
    if let Some(round) = case.way_round(incident)? {
        return Err(Gap::undecided("whether requests go round within nginx", format!("its configuration has a way round: {}", shown(&round)))
            .leaning(format!("all {limit} connections of a worker were in use, and a request can come back to nginx: {}", shown(&round))));
    }
    let setting = case.worker_connections(incident.instance)?;
    let worker = case.writer(incident)?;
    if worker.is_none() && setting.value != limit {
        return Err(Gap::too_late("how many connections a worker has", "the configuration has changed since, and the worker was replaced")
            .leaning(format!("all {limit} connections of a worker were in use")));
    }
    let descriptors = match &worker {
        Some(worker) => crate::case::known(case.descriptors(worker))?,
        None => None,
    };
    let wanted = limit.saturating_mul(4).max(1024);
    let fix = if setting.value > limit {
        case.own_fix(incident, format!("reload: the file allows {} already", setting.value), Vec::new())?
    } else {
        let mut steps = vec![setting.set_to(wanted, "the events block")];
        if let Some(descriptors) = descriptors.as_ref().filter(|descriptors| descriptors.soft < wanted.saturating_mul(2)) {
            steps.extend(case.allow_descriptors(incident, wanted.saturating_mul(2), descriptors.hard)?);
        }
        case.own_fix(incident, format!("allow a worker {wanted} connections"), steps)?
    };
    let usage = descriptors.iter().map(crate::case::Descriptors::exhibit);
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("all {limit} connections of an nginx worker were in use"),
        proof: proof.and(setting.exhibit()).with(usage),
        fixes: vec![fix],
    }))
}

/// The number in nginx's own words.
fn limit_in(incident: &Incident) -> Option<u64> {
    incident.said(|event| {
        let (number, _) = event.message.split_once_str(" worker_connections")?;
        number.to_str().ok()?.parse().ok()
    })
}

fn shown(exhibit: &Exhibit) -> String {
    match exhibit {
        Exhibit::Config(span) => format!("{} ({}:{})", span.text, span.file.display(), span.line),
        Exhibit::Log { text, .. } | Exhibit::Record { text, .. } => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "nginx-out-of-worker-connections";
    const HOST: &str = "
        //- nginx
        //- file /proc/2842/limits
        Max open files            1024                 524288               files
        //- failed 14:02:11 http://127.0.0.1:8000/ level=alert
        512 worker_connections are not enough while connecting to upstream
    ";

    #[test]
    fn confirmed_by_the_number_on_disk() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/nginx/nginx.conf
            events { worker_connections 512; } http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        "]), @"
        answer: nginx-out-of-worker-connections, over
        confirmed: all 512 connections of an nginx worker were in use
        - log 14:02:11 x1: 512 worker_connections are not enough while connecting to upstream
        - config /etc/nginx/nginx.conf:1: worker_connections 512;
        - file 14:05:00: worker (pid 2842) may have 1024 descriptors open
        fix, shown: allow a worker 2048 connections
          /etc/nginx/nginx.conf:1: worker_connections 512; => worker_connections 2048;
          add to the top of /etc/nginx/nginx.conf: worker_rlimit_nofile 4096;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn unknown_where_a_file_may_lead_requests_round() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/nginx/nginx.conf
            events { worker_connections 512; } http { include /etc/nginx/conf.d/site.conf; }
            //- file /etc/nginx/conf.d/site.conf
            server { location / { proxy_pass http://127.0.0.1:8000; } }
            //- denied file host /etc/nginx/conf.d/site.conf
        "]), @"
        answer: none, over
        unknown: /etc/nginx/conf.d/site.conf: needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn confirmed_by_the_default_and_where_clients_are_dropped() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- logged 14:02:11 level=alert pid=2000 bare
            512 worker_connections are not enough
        "]), @"
        answer: nginx-out-of-worker-connections, over
        confirmed: all 512 connections of an nginx worker were in use
        - log 14:02:11 x1: 512 worker_connections are not enough
        - file: no file sets worker_connections: the default is 512
        fix, shown: allow a worker 2048 connections
          add to the events block: worker_connections 2048;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_of_a_worker_that_does_not_know_the_higher_number_yet() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/nginx/nginx.conf ctime=14:03:00
            events { worker_connections 4096; } http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        "]), @"
        answer: nginx-out-of-worker-connections, over
        confirmed: all 512 connections of an nginx worker were in use
        - log 14:02:11 x1: 512 worker_connections are not enough while connecting to upstream
        - config /etc/nginx/nginx.conf:1: worker_connections 4096;
        - file 14:05:00: worker (pid 2842) may have 1024 descriptors open
        fix, unsafe: reload: the file allows 4096 already
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn ruled_out_where_descriptors_were_lacking() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/ level=alert
            socket() failed (24: Too many open files) while connecting to upstream
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: socket() failed (24: Too many open files) while connecting to upstream
        ");
    }

    #[test]
    fn unknown_where_number_and_worker_are_gone() {
        assert_snapshot!(check(ID, ["
            //- nginx workers-start=14:03:00 workers=2900
            //- file /etc/nginx/nginx.conf
            events { worker_connections 4096; } http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/ level=alert
            512 worker_connections are not enough while connecting to upstream
        "]), @"
        answer: none, over
        unknown: how many connections a worker has: the configuration has changed since, and the worker was replaced
        leaning: all 512 connections of a worker were in use
        ");
    }

    #[test]
    fn unknown_where_requests_can_go_round() {
        let pass = |location: &str| format!("
            //- file /etc/nginx/nginx.conf
            http {{ upstream self {{ server 127.0.0.1:8000; }}
            server {{ listen 8000; {location} }} }}
        ");
        for location in ["location / { proxy_pass http://127.0.0.1:8000; }", "location / { proxy_pass http://self; }", "location / { proxy_pass http://$http_host; }"] {
            assert!(check(ID, [HOST, &pass(location)]).contains("whether requests go round within nginx"), "{location}");
        }
        assert_snapshot!(check(ID, [HOST, &pass("location / { proxy_pass http://self; }")]), @"
        answer: none, over
        unknown: whether requests go round within nginx: its configuration has a way round: proxy_pass http://self; (/etc/nginx/nginx.conf:2)
        leaning: all 512 connections of a worker were in use, and a request can come back to nginx: proxy_pass http://self; (/etc/nginx/nginx.conf:2)
        ");
    }

    #[test]
    fn confirmed_where_one_server_passes_on_to_another() {
        // TLS ends in one server, the sites stand in another: nothing comes back.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            events { worker_connections 512; } http {
            server { listen 443 ssl; location / { proxy_pass http://127.0.0.1:8080; } }
            server { listen 127.0.0.1:8080; location / { proxy_pass http://127.0.0.1:8000; } }
            }
            //- failed 14:02:11 http://127.0.0.1:8080/ level=alert
            512 worker_connections are not enough while connecting to upstream
        "]), @"
        answer: nginx-out-of-worker-connections, over
        confirmed: all 512 connections of an nginx worker were in use
        - log 14:02:11 x1: 512 worker_connections are not enough while connecting to upstream
        - config /etc/nginx/nginx.conf:1: worker_connections 512;
        fix, unsafe: allow a worker 2048 connections
          /etc/nginx/nginx.conf:1: worker_connections 512; => worker_connections 2048;
          $ nginx -t
          $ nginx -s reload
        ");
    }
}
