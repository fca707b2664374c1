//! See the doc comment of [`PEER_NOT_LISTENING_NOW`].

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use conf::Listen;
use facts::{Gap, PeerAddress};

use super::host::{Host, literal};
use super::subject::Dialled;
use super::{Found, Severity, Subject};
use crate::case::{listener_on, takes};
use crate::incident::Incident;

declare_lint! {
    /// Nothing listens where nginx dials: a request that goes there is answered with 502.
    ///
    /// ## Found when
    /// A pass or a used `server` line dials an address of this host, and, now, no socket listens there in nginx's network namespace and
    /// no connection comes about (unless `--no-connect` forbids one); or it dials a unix socket that is not there, is no socket, or that
    /// nobody listens on.
    ///
    /// ## Silent when
    /// Something listens there or a connection is redirected to what does, the line is `down`, or the address is another host's: of
    /// that nothing is known here. nginx's own `listen`s count while it does not run.
    ///
    /// ## Fix
    /// None is made: start the application, or correct the address. `why502` says which, once a request has failed.
    ///
    /// ## See also
    /// `why502 explain peer-not-listening`, `why502 explain socket-missing`
    pub(crate) static PEER_NOT_LISTENING_NOW = {
        id: "peer-not-listening-now", since: "0.1.0", severity: Error, judge: Host(judge),
    }
}

fn judge(subject: &Subject<'_>) -> Result<Vec<Found>, Gap> {
    let dialled = subject.dialled();
    if dialled.is_empty() {
        return Ok(Vec::new());
    }
    let host = subject.host()?;
    host.is_seen_from_inside()?;
    let own = own_listens(subject, host)?;
    let found = dialled.into_iter().filter_map(|dialled| {
        let pass = dialled.pass?;
        let address = literal(dialled.address)?;
        if dialled.line.is_some_and(|(_, line)| line.down) || is_datagram(subject, &dialled) {
            return None;
        }
        let peer = host.peer(&address, pass.protocol);
        let silence = match &address {
            PeerAddress::Tcp(tcp) => subject.settle(no_listener(&own, host, &peer, *tcp)),
            PeerAddress::Unix(path) => subject.settle(no_socket(host, &peer, path)),
        };
        let reason = silence.flatten()?;
        let found = Found::at(subject.span(dialled.at, Some(0))?, "nothing listens there", reason);
        Some(found.severity(severity(&dialled)))
    });
    Ok(found.collect())
}

/// Where nginx is to listen once it runs; while it does, its sockets tell. Servers share addresses, and each counts once.
fn own_listens<'a>(subject: &Subject<'a>, host: Host<'_>) -> Result<Vec<&'a Listen>, Gap> {
    if host.instance()?.master.is_some() {
        return Ok(Vec::new());
    }
    let model = subject.model;
    let mut seen = BTreeSet::new();
    let all = model
        .servers()
        .flat_map(|server| model.listens(server.id));
    Ok(all
        .filter(|listen| seen.insert((&listen.address, listen.last_port)))
        .collect())
}

/// Where others take its requests, a server that is down is no outage.
fn severity(dialled: &Dialled<'_>) -> Severity {
    match dialled.line {
        Some((_, line)) if line.backup => Severity::Note,
        Some((upstream, _)) if upstream.servers.len() > 1 => Severity::Warning,
        _ => Severity::Error,
    }
}

/// Whether datagrams are passed on: nobody listens for those.
fn is_datagram(subject: &Subject<'_>, dialled: &Dialled<'_>) -> bool {
    let listens = dialled.pass.map(|pass| subject.model.listens(pass.context));
    listens.is_some_and(|listens| listens.iter().any(|listen| listen.udp))
        && dialled
            .pass
            .is_some_and(|pass| pass.kind == conf::PassKind::Stream)
}

/// That no socket listens on an address of this host.
fn no_listener(
    own: &[&Listen],
    host: Host<'_>,
    peer: &Incident,
    address: SocketAddr,
) -> Result<Option<String>, Gap> {
    let case = host.case;
    if !case.is_local(peer, address)? {
        return Ok(None);
    }
    let listeners = case.listeners(peer)?;
    if listener_on(&listeners, address)?.is_some() {
        return Ok(None);
    }
    if own.iter().any(|listen| takes(listen, &PeerAddress::Tcp(address))) {
        return Ok(None);
    }
    // A rule of the firewall may lead it to what listens elsewhere. A recording need not hold the attempt.
    if case.would_connect(peer, address).ok().flatten().is_some() {
        return Ok(None);
    }
    let elsewhere = listeners
        .iter()
        .find(|listener| listener.address.port() == address.port() && !listener.is_nginx());
    let other = elsewhere.map_or(String::new(), |listener| {
        format!("; {} listens on {}", listener.who(), listener.address)
    });
    Ok(Some(format!(
        "nothing listens on {address} now, so a request that goes there is refused{other}"
    )))
}

/// That nobody listens on a unix socket.
fn no_socket(host: Host<'_>, peer: &Incident, path: &Path) -> Result<Option<String>, Gap> {
    let case = host.case;
    let shown = path.display();
    let walk = case.walk_as_worker(peer, path)?;
    let Some(file) = walk.file() else {
        let what = walk.missing().map_or(String::new(), |missing| {
            if missing == path {
                String::new()
            } else {
                format!(" ({} is missing)", missing.display())
            }
        });
        return Ok(Some(format!(
            "nginx finds no socket {shown} now{what}, so a request that goes there fails"
        )));
    };
    if !file.is_socket() {
        return Ok(Some(format!("{shown} is no socket")));
    }
    let listeners = case.unix_listeners(peer)?;
    let is_it = listeners
        .iter()
        .any(|listener| listener.is_file(file.device, file.inode, path));
    Ok((!is_it).then(|| {
        format!("nobody accepts connections on the socket {shown} that nginx sees now: its application has ended, or nginx sees another file there")
    }))
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "peer-not-listening-now";

    #[test]
    fn found_where_nothing_listens() {
        insta::assert_snapshot!(found(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
                upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001 backup; server 127.0.0.1:8002; }
                server {
                    location / { proxy_pass http://shop; }
                    location /php { fastcgi_pass unix:/run/php.sock; }
                    location /old { fastcgi_pass unix:/run/old.sock; }
                }
            }
            //- process 50
            gunicorn
            //- listen tcp 127.0.0.1:8000 pid=50
            //- listen tcp 10.0.0.5:8002 pid=50
            //- path /run/old.sock socket 660 33:33 dev=1 ino=2
        "]), @"
        2:47: note: nothing listens on 127.0.0.1:8001 now, so a request that goes there is refused
          `127.0.0.1:8001` nothing listens there
        2:77: warning: nothing listens on 127.0.0.1:8002 now, so a request that goes there is refused; gunicorn (pid 50) listens on 10.0.0.5:8002
          `127.0.0.1:8002` nothing listens there
        5:30: error: nginx finds no socket /run/php.sock now, so a request that goes there fails
          `unix:/run/php.sock` nothing listens there
        6:30: error: nobody accepts connections on the socket /run/old.sock that nginx sees now: its application has ended, or nginx sees another file there
          `unix:/run/old.sock` nothing listens there
        ");
    }

    #[test]
    fn silent_where_something_listens_or_nothing_can_be_known() {
        silent(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
                upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001 down; }
                upstream unused { server 127.0.0.1:8009; }
                server {
                    listen 8080;
                    location / { proxy_pass http://shop; }
                    location /far { proxy_pass http://10.0.0.9:8000; }
                    location /redirected { proxy_pass http://127.0.0.1:8005; }
                    location /app { uwsgi_pass unix:/run/app.sock; }
                }
            }
            //- process 50
            gunicorn
            //- listen tcp 0.0.0.0:8000 pid=50
            //- listen unix /run/app.sock pid=50 dev=1 ino=2
            //- connect 127.0.0.1:8005 -> ok
        "]);
    }

    #[test]
    fn nginx_itself_is_not_missed_while_it_does_not_run() {
        silent(ID, ["
            //- file /etc/nginx/nginx.conf
            http { server { listen 127.0.0.1:8080; } server { listen 80; location / { proxy_pass http://127.0.0.1:8080; } } }
            //- options config=/etc/nginx/nginx.conf
        "]);
    }
}
