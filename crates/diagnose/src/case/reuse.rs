//! Whether nginx reuses connections at one place of the configuration, by the directives in force there.
//!
//! `ngx_http_upstream_keepalive_module.c`: a connection is kept when the upstream block has `keepalive` (or, from 1.29.7
//! on, by default), the request was HTTP/1.1 without `Connection: close`, or FastCGI with `fastcgi_keep_conn`.

use std::time::Duration;

use conf::{Model, Protocol};
use facts::Exhibit;

use super::config::{Kept, Reuse, Site, span};

/// From this version on an `upstream` block keeps connections, and HTTP/1.1 is spoken, unless told otherwise.
const KEPT_BY_DEFAULT: (u32, u32, u32) = (1, 29, 7);

/// See the module.
pub(super) fn of(model: &Model, version: (u32, u32, u32), site: &Site) -> Reuse {
    let Some(name) = &site.upstream else {
        return never(
            "the pass names an address, not an upstream block: nginx opens a connection for each request",
        );
    };
    let Some(upstream) = model
        .upstreams()
        .iter()
        .find(|upstream| upstream.name == name.as_bytes())
    else {
        return never("the upstream block is not on disk");
    };
    let mut exhibits = Vec::new();
    match &upstream.keepalive {
        Some(keepalive) if keepalive.connections == 0 => {
            return never_at(model, keepalive.directive, "no connection is kept");
        }
        Some(keepalive) => {
            exhibits.extend(span(model, keepalive.directive, None).map(Exhibit::Config));
        }
        None if version >= KEPT_BY_DEFAULT => {
            exhibits.push(said("nginx keeps connections to an upstream by default"));
        }
        None => return never(&format!("upstream {name} has no keepalive")),
    }
    let speaks = match site.protocol {
        Protocol::Http | Protocol::Https => http(model, version, site),
        Protocol::Fastcgi => fastcgi(model, site),
        Protocol::Grpc | Protocol::Grpcs | Protocol::Memcached => Ok(Vec::new()),
        Protocol::Uwsgi | Protocol::Suwsgi | Protocol::Scgi | Protocol::Stream => Err(never(
            &format!("{} closes its connection after each request", site.protocol),
        )),
    };
    match speaks {
        Ok(more) => exhibits.extend(more),
        Err(never) => return never,
    }
    let nginx_keeps = upstream.keepalive_timeout.unwrap_or(Duration::from_mins(1));
    Reuse::Kept(Kept {
        nginx_keeps,
        exhibits,
    })
}

fn http(model: &Model, version: (u32, u32, u32), site: &Site) -> Result<Vec<Exhibit>, Reuse> {
    let mut exhibits = Vec::new();
    match model.value_in_force(site.context, "proxy_http_version") {
        Some((value, at)) if value == "1.0" => {
            return Err(never_at(model, at, "HTTP/1.0 keeps no connection"));
        }
        Some((_, at)) => exhibits.extend(span(model, at, None).map(Exhibit::Config)),
        None if version >= KEPT_BY_DEFAULT => {}
        None => {
            return Err(never(
                "no proxy_http_version is in force there: nginx speaks HTTP/1.0 and keeps no connection",
            ));
        }
    }
    let headers = model.in_force(site.context, "proxy_set_header");
    let connection = headers.iter().rfind(|&&at| {
        model
            .arg(at, 0)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"connection"))
    });
    match connection {
        Some(&at)
            if model
                .arg(at, 1)
                .is_some_and(|value| value.eq_ignore_ascii_case(b"close")) =>
        {
            Err(never_at(
                model,
                at,
                "the header asks the application to close the connection",
            ))
        }
        Some(&at) => {
            exhibits.extend(span(model, at, None).map(Exhibit::Config));
            Ok(exhibits)
        }
        None if version >= KEPT_BY_DEFAULT => Ok(exhibits),
        None => Err(never(
            "no proxy_set_header Connection is in force there: nginx sends Connection: close",
        )),
    }
}

fn fastcgi(model: &Model, site: &Site) -> Result<Vec<Exhibit>, Reuse> {
    match model.value_in_force(site.context, "fastcgi_keep_conn") {
        Some((value, at)) if value == "on" => Ok(span(model, at, None)
            .map(Exhibit::Config)
            .into_iter()
            .collect()),
        _ => Err(never(
            "fastcgi_keep_conn is not on there: FastCGI closes its connection after each request",
        )),
    }
}

fn never(why: &str) -> Reuse {
    Reuse::Never(Box::new(said(why)))
}

/// The same, with the directive that is why.
fn never_at(model: &Model, at: conf::DirectiveRef, why: &str) -> Reuse {
    let Some(mut span) = span(model, at, None) else {
        return never(why);
    };
    span.label = Some(why.to_owned());
    Reuse::Never(Box::new(Exhibit::Config(span)))
}

fn said(text: &str) -> Exhibit {
    Exhibit::Record {
        probe: "config",
        at: None,
        text: text.to_owned(),
    }
}
