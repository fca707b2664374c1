//! See the doc comment of [`KEEPALIVE_WITHOUT_HTTP11`].

use conf::{Pass, PassKind, Protocol, Upstream};

use super::{Found, Severity, Subject};

declare_lint! {
    /// An upstream is to keep its connections, and the requests that go there do not let it.
    ///
    /// ## Found when
    /// A `proxy_pass` leads to an `upstream` with `keepalive`, and HTTP/1.0 is spoken there: by `proxy_http_version 1.0`, or,
    /// before nginx 1.29.7, because no `proxy_http_version` is in force. Every request opens a connection of its own, and a
    /// busy server runs out of ports.
    /// A `fastcgi_pass` to such an upstream without `fastcgi_keep_conn on` is the same.
    ///
    /// ## Silent when
    /// The upstream has no `keepalive` or `keepalive 0`, or HTTP/1.1 is in force, from whatever level.
    ///
    /// ## Fix
    /// `proxy_http_version 1.1;` beside the pass. Safe: applications speak it, and nginx asks for the connection's end until
    /// `keepalive-connection-header-kept` is mended too.
    /// `fastcgi_keep_conn on;` is Unsafe: it is only shown, for some FastCGI servers answer on a kept connection no more.
    ///
    /// ## See also
    /// <https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive>
    pub(crate) static KEEPALIVE_WITHOUT_HTTP11 = {
        id: "keepalive-without-http11", since: "0.1.0", severity: Warning, judge: Text(judge),
    }
}

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let passes = subject.model.passes().iter();
    let found = passes.filter_map(|pass| {
        let upstreams = subject.upstreams_of(pass);
        let upstream = upstreams.into_iter().find(|upstream| keeps(upstream))?;
        match pass.kind {
            PassKind::Proxy => http(subject, pass, upstream),
            PassKind::Fastcgi => fastcgi(subject, pass, upstream),
            _ => None,
        }
    });
    found.collect()
}

/// Whether an upstream says that it keeps connections. That it does so by default asks for nothing.
pub(super) fn keeps(upstream: &Upstream) -> bool {
    upstream
        .keepalive
        .is_some_and(|keepalive| keepalive.connections > 0)
}

/// Whether HTTP/1.1 or later is spoken at a pass.
pub(super) fn speaks_http11(subject: &Subject<'_>, pass: &Pass) -> bool {
    match subject.value(pass.context, "proxy_http_version") {
        Some((version, _)) => version != "1.0",
        None => subject.is_since((1, 29, 7)),
    }
}

fn http(subject: &Subject<'_>, pass: &Pass, upstream: &Upstream) -> Option<Found> {
    if !matches!(pass.protocol, Protocol::Http | Protocol::Https) || speaks_http11(subject, pass) {
        return None;
    }
    let keepalive = upstream.keepalive.as_ref()?.directive;
    let kept = subject.span(keepalive, None);
    if let Some((_, at)) = subject.value(pass.context, "proxy_http_version") {
        let reason = format!(
            "HTTP/1.0 keeps no connection, so keepalive of upstream {} has no effect: each request opens a connection of its own",
            upstream.name
        );
        let found = Found::at(subject.span(at, Some(0))?, "keeps no connection", reason);
        let edits = subject.set_argument(at, 0, "1.1");
        return Some(
            found
                .and(kept, "connections are to be kept")
                .and(subject.span(pass.directive, Some(0)), "by requests from here")
                .mend("speak HTTP/1.1", edits),
        );
    }
    let reason = format!(
        "no proxy_http_version is in force here, so nginx (before 1.29.7) speaks HTTP/1.0, and keepalive of upstream {} has no effect: each request opens a connection of its own",
        upstream.name
    );
    let found = Found::at(
        subject.span(pass.directive, Some(0))?,
        "speaks HTTP/1.0",
        reason,
    );
    let edits = subject.insert_at_pass(pass, &["proxy_http_version 1.1;"]);
    let found = found
        .and(kept, "connections are to be kept")
        .mend("speak HTTP/1.1", edits);
    // It may be set around a file that is looked at alone.
    Some(if subject.is_partial() {
        found.severity(Severity::Note)
    } else {
        found
    })
}

fn fastcgi(subject: &Subject<'_>, pass: &Pass, upstream: &Upstream) -> Option<Found> {
    let set = subject.value(pass.context, "fastcgi_keep_conn");
    if set.as_ref().is_some_and(|(value, _)| value == "on") {
        return None;
    }
    let reason = format!(
        "FastCGI closes each connection after its request unless fastcgi_keep_conn is on, so keepalive of upstream {} has no effect",
        upstream.name
    );
    let span = subject.span(pass.directive, Some(0))?;
    let keepalive = upstream.keepalive.as_ref()?.directive;
    let found = Found::at(span, "closes each connection", reason)
        .and(subject.span(keepalive, None), "connections are to be kept");
    let edits = match set {
        Some((_, at)) => subject.set_argument(at, 0, "on"),
        None => subject.insert_at_pass(pass, &["fastcgi_keep_conn on;"]),
    };
    Some(found.could("keep FastCGI's connections", edits))
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "keepalive-without-http11";

    #[test]
    fn found_where_nginx_speaks_http10_to_an_upstream_that_keeps() {
        insta::assert_snapshot!(found(ID, ["
            http {
                upstream shop { server 127.0.0.1:8000; keepalive 16; }
                server { location / { proxy_pass http://shop; } }
            }
        "]), @"
        3:34: warning: no proxy_http_version is in force here, so nginx (before 1.29.7) speaks HTTP/1.0, and keepalive of upstream shop has no effect: each request opens a connection of its own
          `http://shop` speaks HTTP/1.0
          - line 2: `keepalive 16;` connections are to be kept
          safe: speak HTTP/1.1
            + server { location / { proxy_pass http://shop; proxy_http_version 1.1; } }
        ");
        insta::assert_snapshot!(found(ID, ["
            http {
                upstream shop { server 127.0.0.1:8000; keepalive 16; }
                proxy_http_version 1.0;
                server { location / { proxy_pass http://shop; } }
            }
        "]), @"
        3:20: warning: HTTP/1.0 keeps no connection, so keepalive of upstream shop has no effect: each request opens a connection of its own
          `1.0` keeps no connection
          - line 2: `keepalive 16;` connections are to be kept
          - line 4: `proxy_pass http://shop;` by requests from here
          safe: speak HTTP/1.1
            + proxy_http_version 1.1;
        ");
    }

    #[test]
    fn an_if_takes_no_setting_so_it_is_made_around() {
        insta::assert_snapshot!(found(ID, ["
            http {
                upstream shop { server 127.0.0.1:8000; keepalive 16; }
                server {
                    location / {
                        if ($slow) { proxy_pass http://shop; }
                    }
                }
            }
        "]), @"
        5:25: warning: no proxy_http_version is in force here, so nginx (before 1.29.7) speaks HTTP/1.0, and keepalive of upstream shop has no effect: each request opens a connection of its own
          `http://shop` speaks HTTP/1.0
          - line 2: `keepalive 16;` connections are to be kept
          safe: speak HTTP/1.1
            + proxy_http_version 1.1;
        ");
    }

    #[test]
    fn found_where_fastcgi_closes_its_connections() {
        insta::assert_snapshot!(found(ID, ["
            http {
                upstream php { server unix:/run/php.sock; keepalive 4; }
                server { location / { fastcgi_pass php; } }
            }
        "]), @"
        3:36: warning: FastCGI closes each connection after its request unless fastcgi_keep_conn is on, so keepalive of upstream php has no effect
          `php` closes each connection
          - line 2: `keepalive 4;` connections are to be kept
          unsafe: keep FastCGI's connections
            + server { location / { fastcgi_pass php; fastcgi_keep_conn on; } }
        ");
    }

    #[test]
    fn silent_where_it_is_in_force_or_nothing_is_to_be_kept() {
        silent(ID, ["
            http {
                proxy_http_version 1.1;
                upstream kept { server 127.0.0.1:8000; keepalive 16; }
                upstream not { server 127.0.0.1:8001; }
                upstream off { server 127.0.0.1:8002; keepalive 0; }
                upstream php { server unix:/run/php.sock; keepalive 4; }
                upstream rpc { server 127.0.0.1:8003; keepalive 4; }
                server {
                    location / { proxy_pass http://kept; }
                    location /two { proxy_http_version 2; proxy_pass http://kept; }
                    location /not { proxy_http_version 1.0; proxy_pass http://not; }
                    location /off { proxy_http_version 1.0; proxy_pass http://off; }
                    location /php { fastcgi_keep_conn on; fastcgi_pass php; }
                    location /rpc { grpc_pass grpc://rpc; }
                }
            }
        "]);
    }

    #[test]
    fn since_1_29_7_only_what_is_written_counts() {
        let conf = "
            //- file /etc/nginx/nginx.conf
            http {
                upstream shop { server 127.0.0.1:8000; keepalive 16; }
                server { location / { proxy_pass http://shop; } }
            }
        ";
        silent(ID, ["//- nginx version=1.29.7\n", conf]);
        assert!(!found(ID, ["//- nginx version=1.29.6\n", conf]).is_empty());
    }
}
