//! See the doc comment of [`KEEPALIVE_CONNECTION_HEADER_KEPT`].

use bstr::ByteSlice as _;
use conf::{ContextId, DirectiveRef, Pass, PassKind, Protocol, Upstream};

use super::keepalive_without_http11::{keeps, speaks_http11};
use super::subject::{mapped, named};
use super::{Found, Severity, Subject};

declare_lint! {
    /// An upstream is to keep its connections, and nginx asks it to close them.
    ///
    /// ## Found when
    /// A `proxy_pass` leads over HTTP/1.1 to an `upstream` with `keepalive`, and the header `Connection` asks for the end of the
    /// connection: by `close`, by a `map` that gives `close` to all but WebSockets, by what the client sends
    /// (`$http_connection`), or, before nginx 1.29.7, because no `proxy_set_header Connection` is in force and nginx sends
    /// `close`. A single `proxy_set_header` in a location discards all of the levels around it: that chain is shown.
    ///
    /// ## Silent when
    /// `Connection` is empty, `keep-alive` or a fixed `upgrade`, or HTTP/1.0 is spoken (see `keepalive-without-http11`).
    ///
    /// ## Fix
    /// `proxy_set_header Connection "";`, at the level whose headers are in force, and an empty value in place of `close` in the
    /// `map`. Safe where the level has headers of its own; shown where another one would discard those of outer levels.
    ///
    /// ## See also
    /// <https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive>
    pub(crate) static KEEPALIVE_CONNECTION_HEADER_KEPT = {
        id: "keepalive-connection-header-kept", since: "0.1.0", severity: Warning, judge: Text(judge),
    }
}

const HEADER: &str = "proxy_set_header";
const EMPTY: &str = "proxy_set_header Connection \"\";";

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let passes = subject.model.passes().iter();
    let found = passes.filter_map(|pass| {
        let is_http = pass.kind == PassKind::Proxy
            && matches!(pass.protocol, Protocol::Http | Protocol::Https);
        let upstreams = subject.upstreams_of(pass);
        let upstream = upstreams.into_iter().find(|upstream| keeps(upstream))?;
        if !is_http || !speaks_http11(subject, pass) {
            return None;
        }
        let in_force = subject.model.in_force(pass.context, HEADER);
        match named(subject.model, &in_force, "connection") {
            Some(at) => set(subject, pass, upstream, at),
            None if subject.is_since((1, 29, 7)) => None,
            None => absent(subject, pass, upstream, &in_force),
        }
    });
    found.collect()
}

/// A header is in force: what it says decides.
fn set(
    subject: &Subject<'_>,
    pass: &Pass,
    upstream: &Upstream,
    at: DirectiveRef,
) -> Option<Found> {
    let value = subject.model.arg(at, 1)?.to_str_lossy().into_owned();
    let keepalive = subject.span(upstream.keepalive.as_ref()?.directive, None);
    let name = &upstream.name;
    let closes = |label: &str, reason: String| {
        let span = subject.span(at, Some(1))?;
        let found = Found::at(span, label, reason);
        Some(found.and(keepalive.clone(), "connections are to be kept"))
    };
    if value.eq_ignore_ascii_case("close") {
        let reason = format!("this asks the servers of upstream {name} to close each connection, which keepalive is to keep");
        let edits = subject.set_argument(at, 1, "");
        return Some(closes("asks for the end", reason)?.mend("send no Connection header", edits));
    }
    if value.eq_ignore_ascii_case("$http_connection") {
        let reason = format!("this hands the client's own Connection header to upstream {name}: a client that closes has nginx close a connection that keepalive is to keep");
        return closes("as the client says", reason);
    }
    if !value.starts_with('$') {
        return None;
    }
    let row = mapped(subject.model, &value)
        .into_iter()
        .find(|given| given.eq_ignore_ascii_case(b"close"))?;
    let row = map_row(subject, &value, row)?;
    let reason = format!("the map gives close to requests without Upgrade, so upstream {name} closes the connections that keepalive is to keep");
    let found = closes("close, but for WebSockets", reason)?.and(
        subject.span(row, Some(0)),
        "asks for the end",
    );
    let is_used_elsewhere = subject.model.passes().iter().any(|other| {
        other.directive != pass.directive && !subject.upstreams_of(other).iter().any(|up| keeps(up))
    });
    let edits = subject.set_argument(row, 0, "");
    // Where nothing is kept, an empty header lets the application keep a connection that nginx ends.
    Some(if is_used_elsewhere {
        found.could("send no Connection header", edits)
    } else {
        found.mend("send no Connection header", edits)
    })
}

/// The row of a `map` that gives its variable this value.
fn map_row(subject: &Subject<'_>, variable: &str, value: &bstr::BStr) -> Option<DirectiveRef> {
    let model = subject.model;
    let maps = model.contexts().iter().filter(|context| {
        context.directive.is_some_and(|at| {
            model.name(at) == "map" && model.arg(at, 1).is_some_and(|name| *name == variable)
        })
    });
    maps.flat_map(|map| map.directives.iter())
        .find(|&&at| model.arg(at, 0) == Some(value))
        .copied()
}

/// No header is in force, so nginx sends `close`.
fn absent(
    subject: &Subject<'_>,
    pass: &Pass,
    upstream: &Upstream,
    in_force: &[DirectiveRef],
) -> Option<Found> {
    let name = &upstream.name;
    let lost = lost(subject, pass.context);
    let why = if lost.is_some() {
        "the headers of this level replace those of the level around it, and Connection is not among them"
    } else {
        "no proxy_set_header Connection is in force here"
    };
    let reason = format!("{why}: nginx (before 1.29.7) sends Connection: close, and upstream {name} closes the connections that keepalive is to keep");
    let span = subject.span(pass.directive, Some(0))?;
    let mut found = Found::at(span, "sends Connection: close", reason).and(
        subject.span(upstream.keepalive.as_ref()?.directive, None),
        "connections are to be kept",
    );
    if let Some(outer) = lost {
        let level = subject.level_of(outer);
        found = found.and(subject.span(outer, None), format!("set at {level}"));
        let first = in_force.first().copied()?;
        let level = subject.level_of(first);
        found = found.and(subject.span(first, None), format!("replaced here, at {level}"));
    }
    let found = match in_force.last() {
        Some(&last) => found.mend("send no Connection header", subject.insert_after(last, &[EMPTY])),
        // Nothing stands anywhere around: a first header at the pass discards none.
        None => found.mend(
            "send no Connection header",
            subject.insert_at_pass(pass, &[EMPTY]),
        ),
    };
    Some(if subject.is_partial() && in_force.is_empty() {
        found.severity(Severity::Note)
    } else {
        found
    })
}

/// The `Connection` of an outer level that the headers in force have replaced.
fn lost(subject: &Subject<'_>, context: ContextId) -> Option<DirectiveRef> {
    let model = subject.model;
    let level = model.level_in_force(context, HEADER)?;
    let mut outer = model.context(level)?.parent;
    while let Some(id) = outer {
        let own = model.own(id, HEADER);
        if let Some(at) = named(model, own, "connection") {
            return Some(at);
        }
        outer = model.context(id)?.parent;
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "keepalive-connection-header-kept";

    #[test]
    fn found_where_nginx_sends_close_by_default() {
        insta::assert_snapshot!(found(ID, ["
            http {
                upstream shop { server 127.0.0.1:8000; keepalive 16; }
                server { location / { proxy_http_version 1.1; proxy_pass http://shop; } }
            }
        "]), @"
        3:58: warning: no proxy_set_header Connection is in force here: nginx (before 1.29.7) sends Connection: close, and upstream shop closes the connections that keepalive is to keep
          `http://shop` sends Connection: close
          - line 2: `keepalive 16;` connections are to be kept
          safe: send no Connection header
            + server { location / { proxy_http_version 1.1; proxy_pass http://shop; proxy_set_header Connection \"\"; } }
        ");
    }

    #[test]
    fn found_where_a_location_discards_the_header_of_the_level_around_it() {
        insta::assert_snapshot!(found(ID, ["
            http {
                upstream shop { server 127.0.0.1:8000; keepalive 16; }
                proxy_http_version 1.1;
                proxy_set_header Connection '';
                server {
                    location / {
                        proxy_set_header Host $host;
                        proxy_pass http://shop;
                    }
                }
            }
        "]), @"
        8:12: warning: the headers of this level replace those of the level around it, and Connection is not among them: nginx (before 1.29.7) sends Connection: close, and upstream shop closes the connections that keepalive is to keep
          `http://shop` sends Connection: close
          - line 2: `keepalive 16;` connections are to be kept
          - line 4: `proxy_set_header Connection '';` set at http
          - line 7: `proxy_set_header Host $host;` replaced here, at location /
          safe: send no Connection header
            + proxy_set_header Connection \"\";
        ");
    }

    #[test]
    fn found_where_it_is_written_so_or_a_map_gives_it() {
        insta::assert_snapshot!(found(ID, ["
            http {
                map $http_upgrade $connection_upgrade { default upgrade; '' close; }
                upstream shop { server 127.0.0.1:8000; keepalive 16; }
                proxy_http_version 1.1;
                server {
                    location / { proxy_set_header Connection close; proxy_pass http://shop; }
                    location /ws { proxy_set_header Connection $connection_upgrade; proxy_pass http://shop; }
                    location /c { proxy_set_header Connection $http_connection; proxy_pass http://shop; }
                }
            }
        "]), @"
        6:42: warning: this asks the servers of upstream shop to close each connection, which keepalive is to keep
          `close` asks for the end
          - line 3: `keepalive 16;` connections are to be kept
          safe: send no Connection header
            + location / { proxy_set_header Connection \"\"; proxy_pass http://shop; }
        7:44: warning: the map gives close to requests without Upgrade, so upstream shop closes the connections that keepalive is to keep
          `$connection_upgrade` close, but for WebSockets
          - line 3: `keepalive 16;` connections are to be kept
          - line 2: `'' close;` asks for the end
          safe: send no Connection header
            + map $http_upgrade $connection_upgrade { default upgrade; '' \"\"; }
        8:43: warning: this hands the client's own Connection header to upstream shop: a client that closes has nginx close a connection that keepalive is to keep
          `$http_connection` as the client says
          - line 3: `keepalive 16;` connections are to be kept
        ");
    }

    #[test]
    fn silent_where_connections_can_be_kept_or_are_not_to_be() {
        silent(ID, ["
            http {
                map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
                map $http_upgrade $other { default upgrade; '' close; }
                upstream shop { server 127.0.0.1:8000; keepalive 16; }
                upstream plain { server 127.0.0.1:8001; }
                proxy_http_version 1.1;
                proxy_set_header connection '';
                server {
                    location / { proxy_pass http://shop; }
                    location /ws { proxy_set_header Connection $connection_upgrade; proxy_pass http://shop; }
                    location /up { proxy_set_header Connection upgrade; proxy_pass http://shop; }
                    location /plain { proxy_set_header Connection $other; proxy_pass http://plain; }
                    location /old { proxy_http_version 1.0; proxy_set_header X y; proxy_pass http://shop; }
                }
            }
        "]);
    }

    #[test]
    fn since_1_29_7_no_header_is_sent() {
        let conf = "
            //- file /etc/nginx/nginx.conf
            http {
                upstream shop { server 127.0.0.1:8000; keepalive 16; }
                server { location / { proxy_set_header Host $host; proxy_pass http://shop; } }
            }
        ";
        silent(ID, ["//- nginx version=1.29.7\n", conf]);
        silent(ID, ["//- nginx version=1.22.1\n", conf]);
    }
}
