//! See the doc comment of [`HEADER_INHERITANCE_LOST`].

use bstr::ByteSlice as _;
use conf::{ContextId, DirectiveRef, PassKind};

use super::subject::named;
use super::{Found, Subject};

declare_lint! {
    /// A location sets a header of its own and thereby loses those that the levels around it set.
    ///
    /// ## Found when
    /// Where requests are passed on, `proxy_set_header` (`grpc_set_header`, `fastcgi_param`, `uwsgi_param`, `scgi_param`) stands at
    /// an inner level, and a level around it sets others: nginx takes the innermost level that has any, and nothing of the
    /// others. The application misses `Host` or `X-Forwarded-Proto`, and answers redirects to the wrong place, 400 or 5xx.
    ///
    /// ## Silent when
    /// The inner level sets all that the outer one does, sets `Host` to another value (another application is meant), or what
    /// it loses says no more than nginx's default. `Connection` and `Upgrade` belong to one hop and do not count here
    /// (see `keepalive-connection-header-kept`).
    ///
    /// ## Fix
    /// Repeat the lost lines at the inner level. Unsafe: it is shown, for the loss may be wanted.
    ///
    /// ## See also
    /// <https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_set_header>
    pub(crate) static HEADER_INHERITANCE_LOST = {
        id: "header-inheritance-lost", since: "0.1.0", severity: Warning, judge: Text(judge),
    }
}

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let mut seen = std::collections::BTreeSet::new();
    let passes = subject.model.passes().iter();
    let found = passes.filter_map(|pass| {
        let name = setter(pass.kind)?;
        let level = subject.model.level_in_force(pass.context, name)?;
        // Of several passes below one level, one tells it.
        seen.insert((level, name)).then_some(())?;
        lost(subject, level, name)
    });
    found.collect()
}

/// What gives a request its headers or parameters.
fn setter(kind: PassKind) -> Option<&'static str> {
    match kind {
        PassKind::Proxy => Some("proxy_set_header"),
        PassKind::Grpc => Some("grpc_set_header"),
        PassKind::Fastcgi => Some("fastcgi_param"),
        PassKind::Uwsgi => Some("uwsgi_param"),
        PassKind::Scgi => Some("scgi_param"),
        PassKind::Memcached | PassKind::Stream => None,
    }
}

fn lost(subject: &Subject<'_>, level: ContextId, name: &str) -> Option<Found> {
    let model = subject.model;
    let own = model.own(level, name);
    let around = model.context(level)?.parent?;
    let outer = model.in_force(around, name);
    if is_for_another(subject, own, &outer) {
        return None;
    }
    let is_lost = |at: &&DirectiveRef| {
        model.arg(**at, 0).is_some_and(|header| {
            let header = header.to_str_lossy();
            named(model, own, &header).is_none() && tells_more(subject, **at, &header)
        })
    };
    let lost: Vec<DirectiveRef> = outer.iter().filter(is_lost).copied().collect();
    let first = *lost.first()?;
    let mut headers: Vec<String> = lost
        .iter()
        .filter_map(|&at| Some(model.arg(at, 0)?.to_str_lossy().into_owned()))
        .collect();
    headers.dedup();
    let here = *own.first()?;
    let span = subject.span(here, None)?;
    let listed = headers.join(", ");
    let reason = format!(
        "nginx takes the {name} of one level only, so {listed} of {} {} not sent from here",
        subject.level_of(first),
        if headers.len() == 1 { "is" } else { "are" }
    );
    let mut found = Found::at(span, "replaces all of them", reason);
    for &at in &lost {
        let level = subject.level_of(at);
        let label = format!("set at {level}, lost here");
        found = found.and(subject.span(at, None), label);
    }
    let texts: Vec<String> = lost
        .iter()
        .map(|&at| model.text(at).to_str_lossy().into_owned())
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let last = *own.last()?;
    Some(found.could("repeat the lost lines", subject.insert_after(last, &texts)))
}

/// Whether the inner level names another host: then another application is meant, and what it gets is chosen.
fn is_for_another(subject: &Subject<'_>, own: &[DirectiveRef], outer: &[DirectiveRef]) -> bool {
    let value = |all: &[DirectiveRef]| {
        let at = named(subject.model, all, "host")?;
        subject.model.arg(at, 1)
    };
    match (value(own), value(outer)) {
        (Some(own), Some(outer)) => own != outer,
        (Some(own), None) => !own.contains(&b'$'),
        (None, _) => false,
    }
}

/// Whether a header says what nginx does not say by itself.
fn tells_more(subject: &Subject<'_>, at: DirectiveRef, header: &str) -> bool {
    const OF_ONE_HOP: [&str; 2] = ["connection", "upgrade"];
    if OF_ONE_HOP.contains(&header.to_ascii_lowercase().as_str()) {
        return false;
    }
    let value = subject.model.arg(at, 1).unwrap_or_default();
    let is_default = header.eq_ignore_ascii_case("host") && value == "$proxy_host";
    !is_default && !value.is_empty()
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "header-inheritance-lost";

    #[test]
    fn found_where_a_location_replaces_the_headers_of_its_server() {
        insta::assert_snapshot!(found(ID, ["
            http {
                proxy_set_header Host $host;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                server {
                    location / { proxy_pass http://127.0.0.1:8000; }
                    location /ws {
                        proxy_set_header Upgrade $http_upgrade;
                        proxy_pass http://127.0.0.1:8000;
                    }
                }
            }
        "]), @"
        7:1: warning: nginx takes the proxy_set_header of one level only, so Host, X-Forwarded-For of http are not sent from here
          `proxy_set_header Upgrade $http_upgrade;` replaces all of them
          - line 2: `proxy_set_header Host $host;` set at http, lost here
          - line 3: `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;` set at http, lost here
          unsafe: repeat the lost lines
        ");
        insta::assert_snapshot!(found(ID, ["
            http { server {
                fastcgi_param SCRIPT_FILENAME /srv/index.php;
                location / { fastcgi_param HTTPS on; fastcgi_pass 127.0.0.1:9000; }
            } }
        "]), @"
        3:14: warning: nginx takes the fastcgi_param of one level only, so SCRIPT_FILENAME of server is not sent from here
          `fastcgi_param HTTPS on;` replaces all of them
          - line 2: `fastcgi_param SCRIPT_FILENAME /srv/index.php;` set at server, lost here
          unsafe: repeat the lost lines
            + location / { fastcgi_param HTTPS on; fastcgi_param SCRIPT_FILENAME /srv/index.php; fastcgi_pass 127.0.0.1:9000; }
        ");
    }

    #[test]
    fn silent_where_nothing_that_counts_is_lost() {
        silent(ID, ["
            http {
                proxy_set_header Host $host;
                proxy_set_header X-Real-IP $remote_addr;
                proxy_set_header Connection '';
                server {
                    location /all {
                        proxy_set_header host $host;
                        proxy_set_header x-real-ip $remote_addr;
                        proxy_set_header Upgrade $http_upgrade;
                        proxy_pass http://127.0.0.1:8000;
                    }
                    location /s3 { proxy_set_header Host bucket.example.com; proxy_pass http://127.0.0.1:8001; }
                    location /none { proxy_set_header X-A b; return 204; }
                    location /inherited { proxy_pass http://127.0.0.1:8000; }
                }
            }
        "]);
        silent(ID, ["
            http { server {
                proxy_set_header Host $proxy_host;
                location / { proxy_set_header X-A b; proxy_pass http://127.0.0.1:8000; }
            } }
        "]);
    }
}
