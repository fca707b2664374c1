//! See the doc comment of [`TIMEOUT_CHAIN_INVERTED`].

use std::time::Duration;

use conf::Pass;
use conf::units::parse_time;
use facts::{Gap, GapKind, PeerAddress};

use super::host::{Host, literal};
use super::subject::{Dialled, module_of};
use super::{Found, Severity, Subject};
use crate::case::{OwnLimit, Pool};
use crate::incident::Incident;

declare_lint! {
    /// nginx gives up on a request before the application does, or goes on waiting long after it has.
    ///
    /// ## Found when
    /// The application that listens where nginx dials, or whose unit or pool is set to, has a limit for a request of its own (gunicorn `--timeout` of sync workers,
    /// uWSGI `harakiri`, php-fpm `request_terminate_timeout`, unicorn `timeout`), and
    /// - nginx's read time-out is shorter: the client gets 504, and a worker goes on with a request that nobody waits for;
    /// - it is set, and ten times as long or more: nginx would wait for what the application has ended long ago (a note).
    ///
    /// ## Silent when
    /// nginx's is a little longer or equal, the application has no such limit, or its settings cannot be told. Without a host or a
    /// snapshot that is said.
    ///
    /// ## Fix
    /// None is made: which of the two is right, the application's owner knows. The chain is sound where each layer waits a little longer
    /// than the one behind it.
    ///
    /// ## See also
    /// `why502 explain application-slow`
    pub(crate) static TIMEOUT_CHAIN_INVERTED = {
        id: "timeout-chain-inverted", since: "0.1.0", severity: Warning, judge: Host(judge),
    }
}

/// So many times the application's limit is long after it.
const LONG_AFTER: u32 = 10;

fn judge(subject: &Subject<'_>) -> Result<Vec<Found>, Gap> {
    let dialled = subject.dialled();
    if dialled.is_empty() {
        return Ok(Vec::new());
    }
    subject.host()?;
    let found = dialled.into_iter().flat_map(|dialled| {
        let own = own_limit(subject, &dialled);
        let passes = passes_of(subject, &dialled);
        passes
            .into_iter()
            .filter_map(move |pass| inverted(subject, pass, own.as_ref()?))
    });
    Ok(found.collect())
}

/// The passes that lead to what a directive dials: one server line serves many.
fn passes_of<'a>(subject: &Subject<'a>, dialled: &Dialled<'a>) -> Vec<&'a Pass> {
    match dialled.line {
        Some((upstream, _)) => subject.passes_to(upstream.id).to_vec(),
        None => dialled.pass.into_iter().collect(),
    }
}

/// The limit of the application that listens there, or is set to, where it has one and it can be told.
fn own_limit(subject: &Subject<'_>, dialled: &Dialled<'_>) -> Option<OwnLimit> {
    let host = subject.host().ok()?;
    let address = literal(dialled.address)?;
    let peer = host.peer(&address, dialled.pass?.protocol);
    match host.case.application(&peer) {
        Ok(application) => application.own_limit(),
        Err(gap) if matches!(gap.kind, GapKind::Denied | GapKind::NotRecorded) => {
            subject.settle(Err(gap))
        }
        // Nothing listens there, or it is another host's.
        Err(_) => set_limit(host, &peer, &address).ok().flatten(),
    }
}

/// The limit of the one pool or unit that is set to listen on an address of this host.
fn set_limit(
    host: Host<'_>,
    peer: &Incident,
    address: &PeerAddress,
) -> Result<Option<OwnLimit>, Gap> {
    if let PeerAddress::Tcp(tcp) = address
        && !host.case.is_local(peer, *tcp)?
    {
        return Ok(None);
    }
    let pools = host.case.pools()?;
    let of_pools = pools
        .iter()
        .filter(|pool| pool.listens_on(address))
        .map(Pool::own_limit);
    let claims = host.case.server_claims()?;
    let of_units = claims
        .iter()
        .filter(|claim| claim.takes(address))
        .map(|claim| claim.limit.clone());
    let mut limits = of_pools.chain(of_units);
    // Of two, nobody knows which it will be.
    let only = limits.next().filter(|_| limits.next().is_none());
    Ok(only.flatten())
}

fn inverted(subject: &Subject<'_>, pass: &Pass, own: &OwnLimit) -> Option<Found> {
    let name = format!("{}_read_timeout", module_of(pass.kind));
    let set = subject.value(pass.context, &name);
    let text = set.as_ref().map_or("60s", |(text, _)| text.as_str());
    let nginx = parse_time(text.as_bytes()).filter(|time| !time.is_zero())?;
    let after = own.after?;
    let place = match &set {
        Some((_, at)) => subject.span(*at, Some(0))?,
        None => subject.span(pass.directive, Some(0))?,
    };
    let default = if set.is_none() { " (the default)" } else { "" };
    let (program, words) = (own.program, &own.text);
    let found = if nginx < after {
        let reason = format!("{name} is {text}{default}, and {words}: nginx answers 504 first, and {program} goes on with a request that nobody waits for");
        Found::at(place, "gives up first", reason)
    } else if set.is_some() && nginx >= after.saturating_mul(LONG_AFTER) && after > Duration::ZERO {
        let reason = format!("{name} is {text}, and {words}: nginx would wait for what {program} has ended long before");
        Found::at(place, "waits long after", reason).severity(Severity::Note)
    } else {
        return None;
    };
    Some(if set.is_some() {
        found.and(subject.span(pass.directive, None), "requests from here")
    } else {
        found
    })
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "timeout-chain-inverted";
    const CONF: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server {
            location / { proxy_pass http://127.0.0.1:8000; }
            location /short { proxy_read_timeout 10s; proxy_pass http://127.0.0.1:8000; }
            location /long { proxy_read_timeout 20m; proxy_pass http://127.0.0.1:8000; }
        } }
        //- listen tcp 127.0.0.1:8000 pid=50
    ";

    #[test]
    fn found_where_nginx_gives_up_first_or_waits_long_after() {
        insta::assert_snapshot!(found(ID, [CONF, "
            //- process 50
            gunicorn --bind 127.0.0.1:8000 --timeout 90 shop.wsgi
        "]), @"
        2:25: warning: proxy_read_timeout is 60s (the default), and gunicorn's --timeout is 90 s by its command line: nginx answers 504 first, and gunicorn goes on with a request that nobody waits for
          `http://127.0.0.1:8000` gives up first
        3:38: warning: proxy_read_timeout is 10s, and gunicorn's --timeout is 90 s by its command line: nginx answers 504 first, and gunicorn goes on with a request that nobody waits for
          `10s` gives up first
          - line 3: `proxy_pass http://127.0.0.1:8000;` requests from here
        4:37: note: proxy_read_timeout is 20m, and gunicorn's --timeout is 90 s by its command line: nginx would wait for what gunicorn has ended long before
          `20m` waits long after
          - line 4: `proxy_pass http://127.0.0.1:8000;` requests from here
        ");
    }

    #[test]
    fn found_for_a_pool_of_php_fpm() {
        insta::assert_snapshot!(found(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { fastcgi_pass 127.0.0.1:9000; } } }
            //- listen tcp 127.0.0.1:9000 pid=50
            //- process 50
            php-fpm: master process (/etc/php-fpm.conf)
            //- file /etc/php-fpm.conf
            [www]
            listen = 127.0.0.1:9000
            request_terminate_timeout = 300
        "]), @"
        1:43: warning: fastcgi_read_timeout is 60s (the default), and php-fpm's request_terminate_timeout is 300 s by /etc/php-fpm.conf:3: nginx answers 504 first, and php-fpm goes on with a request that nobody waits for
          `127.0.0.1:9000` gives up first
        ");
    }

    #[test]
    fn found_for_a_unit_and_a_pool_that_are_set_to_listen_there() {
        insta::assert_snapshot!(found(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server {
                location / { uwsgi_pass 127.0.0.1:8000; }
                location /php { fastcgi_pass 127.0.0.1:9000; }
            } }
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/usr/bin/uwsgi --socket 127.0.0.1:8000 --harakiri 120 --module shop
            //- file /etc/php-fpm.conf
            [www]
            listen = 127.0.0.1:9000
            request_terminate_timeout = 300
        "]), @"
        2:25: warning: uwsgi_read_timeout is 60s (the default), and uWSGI's harakiri is 120 s by its command line: nginx answers 504 first, and uWSGI goes on with a request that nobody waits for
          `127.0.0.1:8000` gives up first
        3:30: warning: fastcgi_read_timeout is 60s (the default), and php-fpm's request_terminate_timeout is 300 s by /etc/php-fpm.conf:3: nginx answers 504 first, and php-fpm goes on with a request that nobody waits for
          `127.0.0.1:9000` gives up first
        ");
    }

    #[test]
    fn silent_where_the_application_gives_up_first_or_has_no_limit() {
        silent(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server {
                location / { proxy_pass http://127.0.0.1:8000; }
                location /more { proxy_read_timeout 120; proxy_pass http://127.0.0.1:8000; }
                location /async { proxy_read_timeout 5s; proxy_pass http://127.0.0.1:8001; }
                location /node { proxy_read_timeout 5s; proxy_pass http://127.0.0.1:8002; }
                location /far { proxy_read_timeout 5s; proxy_pass http://10.0.0.9:8002; }
            } }
            //- listen tcp 127.0.0.1:8000 pid=50
            //- process 50
            gunicorn --bind 127.0.0.1:8000 --timeout 30 shop.wsgi
            //- listen tcp 127.0.0.1:8001 pid=51
            //- process 51
            gunicorn --bind 127.0.0.1:8001 -k gthread --threads 4 --timeout 30 shop.wsgi
            //- listen tcp 127.0.0.1:8002 pid=52
            //- process 52
            node server.js
        "]);
    }
}
