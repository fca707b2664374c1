//! See the doc comment of [`KEEPALIVE_CONNECTION_STALE`].

use std::time::Duration;

use facts::{Exhibit, Gap, GapKind};
use log::error::{Class, While};

use crate::case::{Case, Idle, Reuse, known};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

/// node's `server.keepAliveTimeout` where the code sets no other (<https://nodejs.org/api/http.html>).
const NODE: Duration = Duration::from_secs(5);

declare_cause! {
    /// nginx reused a kept connection at the moment the application closed it.
    ///
    /// ## Confirmed when
    /// The connection was closed or reset before the response, the directives in force at that location let nginx reuse
    /// connections, every process of the application has run since before the first failure, the application's idle
    /// time-out, read from its settings, is not longer than nginx's `keepalive_timeout`, and the access log shows that each
    /// failure came that long after an answer, and that the same requests are answered well at other times.
    ///
    /// ## Ruled out when
    /// The failure is another one, or no connection is reused there: no `keepalive`, HTTP/1.0, or a `Connection: close`
    /// header that nginx sends by default.
    ///
    /// ## Fix
    /// Let nginx give its kept connections up first: `keepalive_timeout` below the application's idle time-out (or the
    /// application's above nginx's). Unsafe: it changes how long connections are kept.
    /// A GET is retried on another connection and clients see no error; a POST is not, and gets 502.
    ///
    /// ## Looks like
    /// `upstream prematurely closed connection while reading response header from upstream`, or
    /// `recv() failed (104: Connection reset by peer)`
    pub(crate) static KEEPALIVE_CONNECTION_STALE = {
        id: "keepalive-connection-stale", since: "0.1.0", stage: Request, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    // A connection on which an answer has begun is not idle.
    let is_at_once = matches!(incident.action, Some(While::SendingRequest | While::ReadingResponseHeader));
    if !is_at_once || !(incident.is(Class::PrematureClose) || incident.is(Class::ConnectionReset)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let reuse = match case.reuse(incident)? {
        Reuse::Never(why) => return Ok(Verdict::RuledOut(proof.and(*why))),
        Reuse::Kept(reuse) => reuse,
    };
    let application = case.application(incident)?;
    let idle = match application.idle() {
        Ok(Idle::Never(closes)) => return Ok(Verdict::RuledOut(proof.and(closes))),
        Ok(Idle::For(idle)) => idle,
        Err(gap) if application.is_node() && gap.kind != GapKind::Pending => return Err(of_node(incident, case, reuse.nginx_keeps, gap)?),
        Err(gap) => return Err(gap),
    };
    let Some(lasting) = application.ran_throughout(incident) else {
        return Err(Gap::undecided(
            "whether the application ran throughout",
            "not all of its processes are known to have run since before the first failure",
        ));
    };
    if idle.after > reuse.nginx_keeps {
        let longer = Exhibit::Record {
            probe: "process",
            at: None,
            text: format!("{}; nginx gives a kept connection up after {} s", idle.text, reuse.nginx_keeps.as_secs()),
        };
        return Ok(Verdict::RuledOut(proof.and(longer)));
    }
    let met = case.met_the_close(incident, idle.after)?;
    let seconds = idle.after.as_secs();
    let setting = Exhibit::Record { probe: "process", at: None, text: idle.text.clone() };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!(
            "{} closes idle connections after {seconds} s, nginx keeps them for {} s and reuses one as it is closed",
            application.who(),
            reuse.nginx_keeps.as_secs()
        ),
        proof: proof.with(reuse.exhibits.iter().cloned()).and(setting).and(lasting).and(met),
        fixes: vec![
            Fix {
                summary: format!("let {} keep idle connections longer than nginx does", application.who()),
                safety: Safety::DisplayOnly,
                steps: vec![Step::Advice {
                    text: format!("raise {} above {} s", idle.name, reuse.nginx_keeps.as_secs()),
                }],
                verify: None,
            },
            Fix {
                summary: "let nginx give them up first".to_owned(),
                safety: Safety::DisplayOnly,
                steps: vec![Step::Advice {
                    text: if seconds > 1 {
                        format!("set keepalive_timeout {}s; in the upstream block", seconds - 1)
                    } else {
                        "take keepalive out of the upstream block: the application keeps connections too briefly".to_owned()
                    },
                }],
                verify: None,
            },
        ],
    }))
}

/// node's code may set `keepAliveTimeout`, which nothing outside shows: its default is a hint, and more of one where each
/// failure came that long after an answer.
fn of_node(incident: &Incident, case: &Case, nginx_keeps: Duration, gap: Gap) -> Result<Gap, Gap> {
    if NODE > nginx_keeps {
        return Ok(gap);
    }
    let (seconds, kept) = (NODE.as_secs(), nginx_keeps.as_secs());
    let met = known(case.met_the_close(incident, NODE))?;
    let fits = match met {
        Some(_) => format!("each failure came {seconds} s after an answer, which is"),
        None => format!("{seconds} s is"),
    };
    Ok(gap.leaning(format!(
        "{fits} when node closes an idle connection unless its code says otherwise; nginx keeps it for {kept} s: set server.keepAliveTimeout above {kept} s"
    )))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "keepalive-connection-stale";
    /// nginx reuses connections to the upstream.
    const REUSED: &str = r#"
        //- nginx
        //- file /etc/nginx/nginx.conf 
        http {
        upstream shop { server 127.0.0.1:8000; keepalive 16; }
        server { server_name shop.example; location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://shop; }  }
        }
        //- failed 14:02:11 http://127.0.0.1:8000/
        upstream prematurely closed connection while reading response header from upstream
    "#;
    /// It keeps an idle connection for 5 s.
    const UVICORN: &str = "
        //- process 4120 start=12:30:00
        uvicorn --host 127.0.0.1 --port 8000 --timeout-keep-alive 5 shop:app
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";

    /// The request that failed had been answered before, five seconds earlier.
    const ANSWERED: &str = r#"
        //- file /var/log/nginx/access.log
        192.0.2.7 - - [23/Jun/2026:14:02:06 +0000] "GET / HTTP/1.1" 200 5 "-" "-"
    "#;

    #[test]
    fn confirmed_where_the_application_gives_up_first() {
        assert_snapshot!(check(ID, [REUSED, UVICORN, ANSWERED]), @r#"
        answer: keepalive-connection-stale, over
        confirmed: uvicorn (pid 4120) closes idle connections after 5 s, nginx keeps them for 60 s and reuses one as it is closed
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - config /etc/nginx/nginx.conf:2: keepalive 16;
        - config /etc/nginx/nginx.conf:3: proxy_http_version 1.1;
        - config /etc/nginx/nginx.conf:3: proxy_set_header Connection "";
        - process: uvicorn (pid 4120) closes an idle connection after 5 s, by its command line
        - process 12:30:00: uvicorn (pid 4120) has run since before the first failure
        - lines-since: the access log shows that each failure came 5 s after an answer, with none in between, and that such requests are answered at other times
        fix, shown: let uvicorn (pid 4120) keep idle connections longer than nginx does
          raise timeout_keep_alive above 60 s
        fix, shown: let nginx give them up first
          set keepalive_timeout 4s; in the upstream block
        "#);
    }

    #[test]
    fn unknown_of_node_whose_code_may_set_it() {
        let node = "
            //- process 4120 start=12:30:00
            node /srv/shop.js
            //- listen tcp 127.0.0.1:8000 pid=4120
        ";
        assert_snapshot!(check(ID, [REUSED, node, ANSWERED]), @"
        answer: none, over
        unknown: how long the application keeps an idle connection: shop.js (pid 4120) does not show it
        leaning: each failure came 5 s after an answer, which is when node closes an idle connection unless its code says otherwise; nginx keeps it for 60 s: set server.keepAliveTimeout above 60 s
        ");
        let said = check(ID, [REUSED, node]);
        assert!(said.contains("leaning: 5 s is when node closes an idle connection unless its code says"), "{said}");
        let brief = REUSED.replace("keepalive 16;", "keepalive 16; keepalive_timeout 4s;");
        let said = check(ID, [&brief, node, ANSWERED]);
        assert!(!said.contains("leaning"), "{said}");
    }

    #[test]
    fn unknown_without_an_access_log() {
        assert_snapshot!(check(ID, [REUSED, UVICORN]), @"
        answer: none, over
        unknown: whether the failing connections had been idle: no access log tells when the peer answered before
        leaning: the application may close kept connections before nginx does
        ");
    }

    #[test]
    fn unknown_where_no_answer_came_an_idle_time_before() {
        // Answered a moment before: the request itself may be why the application closed.
        assert_snapshot!(check(ID, [REUSED, UVICORN, r#"
            //- file /var/log/nginx/access.log
            192.0.2.7 - - [23/Jun/2026:14:02:10 +0000] "GET / HTTP/1.1" 200 5 "-" "-"
        "#]), @"
        answer: none, over
        unknown: whether the failing connections had been idle: some request failed that long after no answer
        leaning: the application may close kept connections before nginx does
        ");
    }

    #[test]
    fn unknown_where_others_were_answered_in_between() {
        let told = check(ID, [REUSED, UVICORN, ANSWERED, r#"
            192.0.2.9 - - [23/Jun/2026:14:02:09 +0000] "GET / HTTP/1.1" 200 5 "-" "-"
        "#]);
        assert!(told.contains("others were answered in the meantime, on connections freed later"), "{told}");
    }

    #[test]
    fn ruled_out_once_an_answer_has_begun() {
        let told = check(ID, [&REUSED.replace("while reading response header from upstream", "while reading upstream"), UVICORN, ANSWERED]);
        assert!(told.contains("ruled out"), "{told}");
    }

    #[test]
    fn unknown_where_such_a_request_is_never_answered() {
        assert_snapshot!(check(ID, [REUSED, UVICORN, r#"
            //- file /var/log/nginx/access.log
            192.0.2.7 - - [23/Jun/2026:14:02:06 +0000] "GET /other HTTP/1.1" 200 5 "-" "-"
            192.0.2.7 - - [23/Jun/2026:14:02:06 +0000] "POST / HTTP/1.1" 200 5 "-" "-"
        "#]), @"
        answer: none, over
        unknown: whether the failing connections had been idle: the same request is not seen to be answered at other times
        leaning: the application may close kept connections before nginx does
        ");
    }

    #[test]
    fn ruled_out_where_no_connection_is_kept() {
        assert_snapshot!(check(ID, [r#"
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            upstream shop { server 127.0.0.1:8000;  }
            server { server_name shop.example; location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://shop; }  }
            }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        "#, UVICORN]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - config: upstream shop has no keepalive
        ");
    }

    #[test]
    fn ruled_out_where_http_1_0_is_spoken() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            upstream shop { server 127.0.0.1:8000; keepalive 16; }
            server { server_name shop.example; location / {  proxy_pass http://shop; }  }
            }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        ", UVICORN]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - config: no proxy_http_version is in force there: nginx speaks HTTP/1.0 and keeps no connection
        ");
    }

    #[test]
    fn ruled_out_where_connection_close_is_sent() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            upstream shop { server 127.0.0.1:8000; keepalive 16; }
            server { server_name shop.example; location / { proxy_http_version 1.1; proxy_pass http://shop; }  }
            }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        ", UVICORN]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - config: no proxy_set_header Connection is in force there: nginx sends Connection: close
        ");
    }

    #[test]
    fn ruled_out_where_nginx_gives_up_first() {
        assert_snapshot!(check(ID, [r#"
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            upstream shop { server 127.0.0.1:8000; keepalive 16; keepalive_timeout 3s; }
            server { server_name shop.example; location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://shop; }  }
            }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        "#, UVICORN]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - process: uvicorn (pid 4120) closes an idle connection after 5 s, by its command line; nginx gives a kept connection up after 3 s
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
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
        ");
    }

    #[test]
    fn unknown_where_one_location_reuses_and_another_does_not() {
        assert_snapshot!(check(ID, [r#"
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            upstream shop { server 127.0.0.1:8000; keepalive 16; }
            server { server_name shop.example; location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://shop; } location /old { proxy_pass http://shop; } }
            }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        "#, UVICORN]), @"
        answer: none, over
        unknown: whether connections are reused: one place that dials this peer reuses them, another does not
        ");
    }

    #[test]
    fn unknown_where_a_file_changed_since_the_workers_started() {
        assert_snapshot!(check(ID, [r#"
            //- nginx
            //- file /etc/nginx/nginx.conf ctime=13:30:00
            http {
            upstream shop { server 127.0.0.1:8000;  }
            server { server_name shop.example; location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://shop; }  }
            }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        "#, UVICORN]), @"
        answer: none, over
        unknown: whether connections are reused: a file has changed since the workers started
        ");
    }

    #[test]
    fn unknown_where_the_application_was_started_anew() {
        assert_snapshot!(check(ID, [REUSED, "
            //- process 4120 start=14:02:12
            uvicorn --host 127.0.0.1 --port 8000 --timeout-keep-alive 5 shop:app
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: none, over
        unknown: whether the application ran throughout: not all of its processes are known to have run since before the first failure
        ");
    }

    #[test]
    fn unknown_of_an_application_whose_time_out_is_not_known() {
        assert_snapshot!(check(ID, [REUSED, "
            //- process 4120 start=12:30:00
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: none, over
        unknown: how long the application keeps an idle connection: serve (pid 4120) does not show it
        ");
    }

    #[test]
    fn unknown_without_the_right_to_see_who_listens() {
        assert_snapshot!(check(ID, [REUSED, "
            //- listen tcp 127.0.0.1:8000
            //- owners denied=9
        "]), @"
        answer: none, over
        unknown: the process behind 127.0.0.1:8000: which process holds the socket needs root
        learn: sudo why502
        ");
    }
}
