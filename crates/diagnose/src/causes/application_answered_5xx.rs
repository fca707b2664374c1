//! See the doc comment of [`APPLICATION_ANSWERED_5XX`].

use facts::{Exhibit, Gap};

use crate::case::{Case, known};
use crate::incident::{Incident, Origin};
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application itself answered with 502, 503 or 504, and nginx passed it on.
    ///
    /// ## Confirmed when
    /// The access log shows requests whose last attempt has that status and a `$upstream_header_time`: nginx had read the
    /// application's own response header. Every format that is written to that log must keep clients' text apart by quotes,
    /// and each that a line fits must say the same of it; what was written before they were last changed is not believed.
    /// Or a gate (`why502 gate`) got that status from the peer itself.
    ///
    /// ## Ruled out when
    /// The failure stands in nginx's error log: then nginx made the status.
    ///
    /// ## Fix
    /// None in nginx: look where the application says why.
    ///
    /// ## Looks like
    /// `"GET / HTTP/1.1" 503 19 us=503 ua=127.0.0.1:8000 uht=0.004` in the access log, and nothing in the error log
    ///
    /// ## See also
    /// `$upstream_status`, `$upstream_header_time`: <https://nginx.org/en/docs/http/ngx_http_upstream_module.html#variables>
    pub(crate) static APPLICATION_ANSWERED_5XX = {
        id: "application-answered-5xx", since: "0.1.0", stage: Request, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let status = incident.status.unwrap_or_default();
    let is_tried = incident.origin == Origin::Experiment && incident.failure.is_none() && status >= 500;
    if incident.origin != Origin::AccessLog && !is_tried {
        return Ok(Verdict::RuledOut(proof));
    }
    // What listens there now answered then only if it ran then.
    let application = known(case.application(incident))?.filter(|application| application.started_before(incident));
    if is_tried && application.as_ref().is_some_and(|application| application.is_nginx()) {
        return Err(Gap::undecided(format!("why the nginx behind it answers {status}"), "what stands behind that one is its own to tell")
            .leaning("an nginx listens there: look into its error log, or ask why502 gate on its configuration"));
    }
    let who = match &application {
        Some(application) => format!("{} at {}", application.who(), incident.peer),
        None => format!("the application at {}", incident.peer),
    };
    let look = match &application {
        Some(application) if application.is_nginx() => {
            "it is an nginx: look into its error log, or ask why502 on its configuration".to_owned()
        }
        Some(application) => format!("read why it answers so: {}", application.log_place()),
        None => "read the application's own log of that time".to_owned(),
    };
    let mut steps = vec![Step::Advice { text: look }];
    if status != 503 {
        let text = format!("where it is a proxy itself, the {status} speaks of what stands behind it");
        steps.push(Step::Advice { text });
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: if is_tried {
            format!("{who} answers {status} itself")
        } else {
            format!("{who} answered {status} itself; nginx passed it on")
        },
        proof: proof
            .with(case.read_by(incident)?.into_iter().map(Exhibit::Config))
            .with(application.map(|application| application.exhibit())),
        fixes: vec![Fix {
            summary: "look into the application".to_owned(),
            safety: Safety::DisplayOnly,
            steps,
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::{answers, check};

    const ID: &str = "application-answered-5xx";
    /// An access log that tells of upstreams; nothing in the error log.
    const HOST: &str = r#"
        //- nginx
        //- file /etc/nginx/nginx.conf
        http {
        log_format up '$remote_addr [$time_local] "$request" $status us=$upstream_status ua=$upstream_addr uht=$upstream_header_time';
        access_log /var/log/nginx/up.log up;
        server { server_name shop.example; location / { proxy_pass http://127.0.0.1:8000; } }
        }
        //- file /var/log/nginx/error.log
        2026/06/23 13:00:00 [notice] 2841#2841: start worker process 2842
    "#;
    const APPLICATION: &str = "
        //- process 4120 start=12:30:00
        gunicorn --bind 127.0.0.1:8000 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";

    #[test]
    fn confirmed_by_a_header_time_beside_the_status() {
        assert_snapshot!(check(ID, [HOST, APPLICATION, r#"
            //- file /var/log/nginx/up.log
            192.0.2.7 [23/Jun/2026:14:04:30 +0000] "GET /cart HTTP/1.1" 502 us=502 ua=127.0.0.1:8000 uht=0.004
            192.0.2.7 [23/Jun/2026:14:04:31 +0000] "GET /cart HTTP/1.1" 200 us=200 ua=127.0.0.1:8000 uht=0.004
            192.0.2.7 [23/Jun/2026:14:04:32 +0000] "GET /cart HTTP/1.1" 502 us=502, 502 ua=127.0.0.1:8001, 127.0.0.1:8000 uht=-, 0.004
        "#]), @r#"
        answer: application-answered-5xx, ongoing
        confirmed: gunicorn (pid 4120) at 127.0.0.1:8000 answered 502 itself; nginx passed it on
        - log 14:04:30 x2: 192.0.2.7 [23/Jun/2026:14:04:30 +0000] "GET /cart HTTP/1.1" 502 us=502 ua=127.0.0.1:8000 uht=0.004
        - config /etc/nginx/nginx.conf:2: log_format up '$remote_addr [$time_local] "$request" $status us=$upstream_status ua=$upstream_addr uht=$upstream_header_time';
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        fix, shown: look into the application
          read why it answers so: its own log
          where it is a proxy itself, the 502 speaks of what stands behind it
        "#);
    }

    #[test]
    fn confirmed_where_nothing_listens_there_any_more() {
        assert_snapshot!(check(ID, [HOST, r#"
            //- file /var/log/nginx/up.log
            192.0.2.7 [23/Jun/2026:13:30:00 +0000] "GET / HTTP/1.1" 503 us=503 ua=127.0.0.1:8000 uht=0.004
        "#]), @r#"
        answer: application-answered-5xx, over
        confirmed: the application at 127.0.0.1:8000 answered 503 itself; nginx passed it on
        - log 13:30:00 x1: 192.0.2.7 [23/Jun/2026:13:30:00 +0000] "GET / HTTP/1.1" 503 us=503 ua=127.0.0.1:8000 uht=0.004
        - config /etc/nginx/nginx.conf:2: log_format up '$remote_addr [$time_local] "$request" $status us=$upstream_status ua=$upstream_addr uht=$upstream_header_time';
        fix, shown: look into the application
          read the application's own log of that time
        "#);
    }

    #[test]
    fn ruled_out_by_a_line_in_the_error_log() {
        assert_snapshot!(check(ID, [HOST, r#"
            //- file /var/log/nginx/up.log
            192.0.2.7 [23/Jun/2026:14:04:30 +0000] "GET / HTTP/1.1" 502 us=502 ua=127.0.0.1:8000 uht=-
            //- file /var/log/nginx/error.log
            2026/06/23 14:04:30 [error] 2842#2842: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: shop.example, request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:8000/", host: "shop.example"
        "#]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:04:30 x1: connect() failed (111: Connection refused) while connecting to upstream
        ");
    }

    #[test]
    fn every_application_and_status_is_told_apart_from_the_failures_that_nginx_logs() {
        assert_snapshot!(answers([HOST, APPLICATION, r#"
            //- file /var/log/nginx/up.log
            192.0.2.7 [23/Jun/2026:14:04:30 +0000] "GET / HTTP/1.1" 503 us=503 ua=127.0.0.1:8000 uht=0.004
            192.0.2.7 [23/Jun/2026:14:04:31 +0000] "GET / HTTP/1.1" 504 us=504 ua=127.0.0.1:8000 uht=3.004
            192.0.2.7 [23/Jun/2026:14:04:32 +0000] "GET / HTTP/1.1" 502 us=502 ua=127.0.0.1:8000 uht=-
            //- file /var/log/nginx/error.log
            2026/06/23 14:04:32 [error] 2842#2842: *1 upstream prematurely closed connection while reading response header from upstream, client: 192.0.2.7, server: shop.example, request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:8000/", host: "shop.example"
        "#]), @"
        127.0.0.1:8000 reading response header from upstream: answer: none, ongoing
        127.0.0.1:8000 : answer: application-answered-5xx, ongoing
        127.0.0.1:8000 : answer: application-answered-5xx, ongoing
        ");
    }

    #[test]
    fn no_incident_of_what_the_log_cannot_tell() {
        for line in [
            // nginx's own.
            r#"192.0.2.7 [23/Jun/2026:14:04:30 +0000] "GET / HTTP/1.1" 502 us=502 ua=127.0.0.1:8000 uht=-"#,
            // An error page took its place.
            r#"192.0.2.7 [23/Jun/2026:14:04:30 +0000] "GET / HTTP/1.1" 200 us=502 ua=127.0.0.1:8000 uht=0.1"#,
            // Before the window.
            r#"192.0.2.7 [23/Jun/2026:10:04:30 +0000] "GET / HTTP/1.1" 502 us=502 ua=127.0.0.1:8000 uht=0.1"#,
            // No attempt at all.
            r#"192.0.2.7 [23/Jun/2026:14:04:30 +0000] "GET / HTTP/1.1" 503 us=- ua=- uht=-"#,
        ] {
            let log = format!("//- file /var/log/nginx/up.log\n{line}\n");
            assert_eq!(answers([HOST, APPLICATION, &log]), "", "{line}");
        }
    }

    const LINE: &str = r#"
        //- file /var/log/nginx/up.log
        192.0.2.7 [23/Jun/2026:14:04:30 +0000] "GET / HTTP/1.1" 502 us=502 ua=127.0.0.1:8000 uht=0.004
    "#;

    #[test]
    fn a_line_that_another_format_fits_is_believed_where_both_say_the_same() {
        // Another server writes to the same log.
        let with = |format: &str| {
            let other = format!("log_format other '{format}';\nserver {{ access_log /var/log/nginx/up.log other; location / {{ proxy_pass http://127.0.0.1:8000; }} }}\nlog_format up");
            answers([&HOST.replace("log_format up", &other), APPLICATION, LINE])
        };
        let own = r#"$remote_addr [$time_local] "$request" $status us=$upstream_status ua=$upstream_addr uht=$upstream_header_time"#;
        for (format, is_believed) in [
            (own.to_owned(), true),
            (r#"$remote_addr - $remote_user [$time_local] "$request" $status"#.to_owned(), true),
            (own.replace("$upstream_header_time", "$upstream_response_time"), false),
            (own.replace("$upstream_header_time", "$request_time"), false),
            // A client may make its lines look like the others.
            ("$remote_addr [$time_local] $http_user_agent $status".to_owned(), false),
        ] {
            let told = with(&format);
            assert_eq!(told.contains("application-answered-5xx"), is_believed, "{format}: {told}");
        }
    }

    #[test]
    fn a_line_from_before_its_format_was_changed_is_not_believed() {
        let changed = |at: &str| HOST.replace("nginx.conf\n", &format!("nginx.conf ctime={at}\n"));
        let told = answers([&changed("14:04:40"), APPLICATION, LINE]);
        assert_eq!(told, "");
        // Changed before, and loaded after it failed.
        let told = check(ID, [&changed("14:04:20"), APPLICATION, LINE]);
        assert!(told.contains("\nunknown: what nginx's workers have loaded of /etc/nginx/nginx.conf"), "{told}");
        let told = check(ID, [&changed("12:50:00"), APPLICATION, LINE]);
        assert!(told.contains("\nconfirmed"), "{told}");
    }

    #[test]
    fn no_incident_where_a_client_may_write_the_status() {
        let host = HOST.replace("$status us=", "$status $http_user_agent us=");
        let line = r#"
            //- file /var/log/nginx/up.log
            192.0.2.7 [23/Jun/2026:14:04:30 +0000] "GET / HTTP/1.1" 502 x us=502 ua=127.0.0.1:8000 uht=0.004
        "#;
        assert_eq!(answers([&host, APPLICATION, line]), "");
    }
}
