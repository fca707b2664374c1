//! See the doc comment of [`PORT_CLAIMED_TWICE`].

use conf::{Address, ContextKind, Listen};
use facts::{Gap, PeerAddress};

use super::host::{Host, literal};
use super::subject::Dialled;
use super::{Found, Severity, Subject};
use crate::case::{Pool, collide, takes};

declare_lint! {
    /// Two programs are to listen on one address: whoever comes second does not start.
    ///
    /// ## Found when
    /// - `http`, `stream` and `mail` of one configuration listen on the same address;
    /// - a server passes requests on to the very address that it, and no other server, listens on: where the application was to be,
    ///   nginx is, and requests go round until it has no connections left;
    /// - another program listens, now, where nginx is to: nginx does not start, or a reload is refused;
    /// - a pool of php-fpm, or a unit that starts an application server, is set to listen where nginx does;
    /// - two pools of php-fpm are set to listen where nginx dials.
    ///
    /// ## Silent when
    /// Servers of `http` share an address (their names tell them apart), one is UDP and the other TCP, the addresses differ, both say
    /// `reuseport`, nginx itself is who listens there, or a server passes requests on to another server of nginx.
    ///
    /// ## Fix
    /// None is made: which of the two is to move, only their owner knows. `ss -ltnp` shows who has the port.
    ///
    /// ## See also
    /// `why502 explain nginx-not-running`
    pub(crate) static PORT_CLAIMED_TWICE = {
        id: "port-claimed-twice", since: "0.1.0", severity: Error, judge: Text(judge),
    }
}

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let mut found = within(subject);
    found.extend(round(subject));
    let has_listens = listens(subject).next().is_some();
    if !has_listens && subject.dialled().is_empty() {
        return found;
    }
    match subject.host() {
        Ok(host) => {
            found.extend(subject.settle(held(subject, host)).unwrap_or_default());
            found.extend(subject.settle(claimed(subject, host)).unwrap_or_default());
        }
        // What its text alone tells is told all the same.
        Err(gap) => drop(subject.settle::<()>(Err(gap))),
    }
    found
}

/// Every `listen`, with the protocol block that it stands in.
fn listens<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = (ContextKind, &'a Listen)> {
    let model = subject.model;
    model.servers().flat_map(move |server| {
        let kind = model.protocol_of(server.id).unwrap_or(ContextKind::Http);
        let listens = model.listens(server.id).iter();
        listens.map(move |listen| (kind, listen))
    })
}

/// Addresses that two protocol blocks listen on.
fn within(subject: &Subject<'_>) -> Vec<Found> {
    let all: Vec<(ContextKind, &Listen)> = listens(subject).collect();
    let mut found = Vec::new();
    if all.iter().all(|(kind, _)| all.first().is_some_and(|(first, _)| kind == first)) {
        return found;
    }
    for (idx, (kind, listen)) in all.iter().enumerate() {
        let earlier = all.iter().take(idx).find(|(other, taken)| {
            other != kind && is_same(listen, taken) && !(is_shared(listen) && is_shared(taken))
        });
        let Some((_, taken)) = earlier else { continue };
        let Some(span) = subject.span(listen.directive, Some(0)) else {
            continue;
        };
        let reason = format!("{} listens here as well, in another block: nginx does not start (98: Address already in use)", block(*kind, &all, taken));
        found.push(
            Found::at(span, "taken already", reason)
                .and(subject.span(taken.directive, None), "taken here"),
        );
    }
    found
}

fn block(own: ContextKind, all: &[(ContextKind, &Listen)], taken: &Listen) -> &'static str {
    let of = all
        .iter()
        .find(|(kind, listen)| *kind != own && listen.directive == taken.directive);
    match of.map(|(kind, _)| *kind) {
        Some(ContextKind::Stream) => "stream",
        Some(ContextKind::Mail) => "mail",
        _ => "http",
    }
}

/// Passes that lead back to the only server that listens where they lead.
fn round(subject: &Subject<'_>) -> Vec<Found> {
    let model = subject.model;
    let back = |dialled: &Dialled<'_>, pass: &conf::Pass| {
        let address = literal(dialled.address)?;
        let own = model.listens(pass.context);
        let listen = own
            .iter()
            .find(|listen| !listen.udp && is_certainly(listen, &address))?;
        let server = model.server_of(pass.context)?.id;
        let is_shared = model.servers().any(|other| {
            other.id != server && model.listens(other.id).iter().any(|listen| takes(listen, &address))
        });
        if is_shared {
            return None;
        }
        let reason = format!("the server that passes these requests on listens on {address} itself: they come back to it until nginx has no connections left, and no application can listen there");
        let found = Found::at(subject.span(dialled.at, Some(0))?, "nginx itself is here", reason);
        Some(found.and(subject.span(listen.directive, None), "taken here"))
    };
    let found = subject.dialled().into_iter().filter_map(|dialled| {
        let passes = match dialled.line {
            Some((upstream, _)) => subject.passes_to(upstream.id).to_vec(),
            None => dialled.pass.into_iter().collect(),
        };
        passes.into_iter().find_map(|pass| back(&dialled, pass))
    });
    found.collect()
}

/// Whether a `listen` takes what goes to an address, whatever host this is: of a wildcard, loopback alone is known.
fn is_certainly(listen: &Listen, address: &PeerAddress) -> bool {
    let is_wildcard = matches!(&listen.address, Address::Tcp { host, .. } if host.ip().is_some_and(|ip| ip.is_unspecified()));
    let is_loopback = matches!(address, PeerAddress::Tcp(tcp) if tcp.ip().is_loopback());
    takes(listen, address) && (!is_wildcard || is_loopback)
}

fn is_same(one: &Listen, other: &Listen) -> bool {
    let ports = |listen: &Listen| match &listen.address {
        Address::Tcp { port, .. } => (*port, listen.last_port.unwrap_or(*port)),
        Address::Unix(_) => (0, 0),
    };
    let is_host = match (&one.address, &other.address) {
        (Address::Tcp { host: one, .. }, Address::Tcp { host: other, .. }) => one == other,
        (Address::Unix(one), Address::Unix(other)) => one == other,
        _ => false,
    };
    let ((first, last), (begin, end)) = (ports(one), ports(other));
    is_host && one.udp == other.udp && first <= end && begin <= last
}

fn is_shared(listen: &Listen) -> bool {
    listen.parameters.iter().any(|parameter| parameter == "reuseport")
}

/// Addresses that another program holds now.
fn held(subject: &Subject<'_>, host: Host<'_>) -> Result<Vec<Found>, Gap> {
    host.is_seen_from_inside()?;
    let any = PeerAddress::Tcp(([127, 0, 0, 1], 0).into());
    let listeners = host
        .case
        .listeners(&host.peer(&any, conf::Protocol::Http))?;
    let mut found = Vec::new();
    for (_, listen) in listens(subject).filter(|(_, listen)| !listen.udp) {
        // Whose it is must be known: nginx's own master is another user's to all but root.
        let other = listeners.iter().find(|listener| {
            !listener.is_nginx() && !listener.holders.is_empty() && collide(listen, listener)
        });
        let Some(other) = other else { continue };
        let is_shared_with_nginx = listeners
            .iter()
            .any(|listener| listener.is_nginx() && listener.address == other.address);
        if is_shared_with_nginx {
            continue;
        }
        let Some(span) = subject.span(listen.directive, Some(0)) else {
            continue;
        };
        let who = other.who();
        let label = format!("{who} is here");
        let reason = format!("{who} listens on {} now: nginx cannot, so it does not start, or a reload is refused (98: Address already in use)", other.address);
        found.push(Found::at(span, label, reason));
    }
    Ok(found)
}

/// Addresses that pools or units are set to listen on: nginx's own, or two pools on what nginx dials.
fn claimed(subject: &Subject<'_>, host: Host<'_>) -> Result<Vec<Found>, Gap> {
    host.is_seen_from_inside()?;
    let pools = host.case.pools()?;
    let claims = host.case.server_claims()?;
    let mut found = Vec::new();
    for (_, listen) in listens(subject).filter(|(_, listen)| !listen.udp) {
        let Some(address) = literal(&listen.address) else {
            continue;
        };
        let by_pool = pools.iter().find(|pool| pool.listens_on(&address));
        let by_unit = claims.iter().find(|claim| claim.takes(&address));
        let Some(who) = by_pool
            .and_then(Pool::place)
            .or_else(|| by_unit.map(|claim| claim.text.clone()))
        else {
            continue;
        };
        if let Some(span) = subject.span(listen.directive, Some(0)) {
            let reason = format!("nginx listens here, and {who}: whoever starts second fails (98: Address already in use)");
            found.push(Found::at(span, "claimed by another", reason));
        }
    }
    for dialled in subject.dialled() {
        let Some(address) = literal(dialled.address) else {
            continue;
        };
        let both: Vec<String> = pools
            .iter()
            .filter(|pool| pool.listens_on(&address))
            .filter_map(Pool::place)
            .collect();
        if let (true, Some(span)) = (both.len() > 1, subject.span(dialled.at, Some(0))) {
            let reason = format!("two pools are set to listen on {address}: {}; the second one does not start", both.join(", "));
            found.push(Found::at(span, "two pools are to be here", reason).severity(Severity::Warning));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "port-claimed-twice";

    #[test]
    fn found_where_two_blocks_listen_on_one_address() {
        insta::assert_snapshot!(found(ID, ["
            http { server { listen 8080-8090; location / { return 204; } } }
            stream { server { listen 8085; proxy_pass 10.0.0.9:1; } }
        "]), @"
        2:26: error: http listens here as well, in another block: nginx does not start (98: Address already in use)
          `8085` taken already
          - line 1: `listen 8080-8090;` taken here
        ");
    }

    #[test]
    fn found_where_a_server_dials_itself() {
        insta::assert_snapshot!(found(ID, ["
            http { server { listen 8000; location / { proxy_pass http://127.0.0.1:8000; } } }
        "]), @"
        1:54: error: the server that passes these requests on listens on 127.0.0.1:8000 itself: they come back to it until nginx has no connections left, and no application can listen there
          `http://127.0.0.1:8000` nginx itself is here
          - line 1: `listen 8000;` taken here
        ");
    }

    #[test]
    fn found_where_another_program_is_there_or_is_to_be() {
        insta::assert_snapshot!(found(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
                server { listen 80; }
                server { listen 127.0.0.1:9000; }
                server { listen 127.0.0.1:8000; }
                server { location ~ \\.php$ { fastcgi_pass 127.0.0.1:9001; } }
            }
            //- process 50
            apache2 -k start
            //- listen tcp [::]:80 pid=50
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/usr/bin/gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- file /etc/php-fpm.conf
            [www]
            listen = 127.0.0.1:9000
            [one]
            listen = 127.0.0.1:9001
            [two]
            listen = 127.0.0.1:9001
        "]), @"
        2:17: error: apache2 (pid 50) listens on [::]:80 now: nginx cannot, so it does not start, or a reload is refused (98: Address already in use)
          `80` apache2 (pid 50) is here
        3:17: error: nginx listens here, and pool [www] has listen = 127.0.0.1:9000 (/etc/php-fpm.conf): whoever starts second fails (98: Address already in use)
          `127.0.0.1:9000` claimed by another
        4:17: error: nginx listens here, and shop.service is set to have gunicorn listen on 127.0.0.1:8000: whoever starts second fails (98: Address already in use)
          `127.0.0.1:8000` claimed by another
        5:43: warning: two pools are set to listen on 127.0.0.1:9001: pool [one] has listen = 127.0.0.1:9001 (/etc/php-fpm.conf), pool [two] has listen = 127.0.0.1:9001 (/etc/php-fpm.conf); the second one does not start
          `127.0.0.1:9001` two pools are to be here
        ");
    }

    #[test]
    fn silent_where_they_can_stand_side_by_side() {
        silent(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
                server { listen 80; server_name a; }
                server { listen 80; server_name b; }
                server { listen 443 ssl; }
                server { listen 443 quic; }
                server { listen 127.0.0.1:8080; location / { proxy_pass http://127.0.0.1:8000; } }
            }
            http {
                server { listen 81; server_name c; location / { proxy_pass http://127.0.0.1:81; } }
                server { listen 81; server_name d; }
                server { listen 82; location / { proxy_pass http://10.0.0.9:82; } }
            }
            stream {
                server { listen 80 udp; proxy_pass 10.0.0.9:53; }
                server { listen 127.0.0.2:8080; proxy_pass 10.0.0.9:1; }
            }
            //- listen tcp 0.0.0.0:80 pid=2841
            //- process 50
            gunicorn --bind 127.0.0.1:8000
            //- listen tcp 127.0.0.1:8000 pid=50
            //- listen tcp 127.0.0.3:8080 pid=50
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/usr/bin/proxy --upstream http://127.0.0.1:8080
        "]);
    }
}
