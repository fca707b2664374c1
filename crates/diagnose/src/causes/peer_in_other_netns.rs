//! See the doc comment of [`PEER_IN_OTHER_NETNS`].

use std::net::SocketAddr;

use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::tie::{
    self, Place,
    apart::{self, Found, Tied},
};
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

/// Addresses of the other network namespace that are tried.
const TRIED: usize = 3;

declare_cause! {
    /// The application listens on the dialled port in another network namespace than nginx's, such as a container's.
    ///
    /// An address belongs to its network namespace: 127.0.0.1 in a container is that container alone, and nginx on the
    /// host does not get there by dialling 127.0.0.1; nor the other way round.
    ///
    /// ## Confirmed when
    /// The connection is refused now, nothing listens on the dialled address in nginx's network namespace, no firewall
    /// rule is why, and one listener on the same port in another network namespace is tied to the peer: by its unit, or
    /// by the upstream's name.
    /// Without such a tie it has to be the only listener on that port in any namespace that may be meant, a program known
    /// to serve what nginx asks, dialled by no other directive, published nowhere, called nothing else than the site, started
    /// before the first failure, and not running yet when the peer last answered.
    ///
    /// ## Ruled out when
    /// The failure is not a refused TCP connection or, while it is still refused, a socket listens on the dialled
    /// address, no other network namespace has a listener on that port, or the application is known to be another.
    ///
    /// ## Fix
    /// Make nginx dial an address of the application's network namespace, where a connection to it succeeds, or the port
    /// that is published; else bind the application to an address that others reach.
    /// Unsafe: it changes the configuration, and a container has another address when it is made anew.
    ///
    /// ## Looks like
    /// `connect() failed (111: Connection refused) while connecting to upstream`
    ///
    /// ## See also
    /// `peer-not-listening`, which it refines, and `peer-address-mismatch` within one network namespace.
    pub(crate) static PEER_IN_OTHER_NETNS = {
        id: "peer-in-other-netns", since: "0.1.0", stage: Connect, refines: ["peer-not-listening"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::ConnectRefused) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Tcp(address) = *incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    if let Some(proof) = tie::listens_there(incident, case, address)? {
        return Ok(Verdict::RuledOut(proof));
    }
    // Other network namespaces are looked into only while it fails.
    let proof = proof.and(case.still_failing(incident)?);
    let tied = match apart::find(incident, case, address)? {
        Found::One(tied) => tied,
        Found::NoCandidates(looked) => return Ok(Verdict::RuledOut(proof.and(looked))),
        Found::Unproven(gap) => return Err(gap),
    };
    let proof = match case.unhindered(incident)? {
        Ok(unhindered) => proof.and(unhindered),
        Err(rule) => return Ok(Verdict::RuledOut(proof.and(rule))),
    };
    let own = case.nginx_network(incident)?;
    let ways = ways(incident, case, &tied, address)?;
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!(
            "{} listens on {} in {}, nginx dials {address} in {own}",
            tied.apart.listener.who(),
            tied.apart.listener.address,
            tied.network,
        ),
        fixes: fixes(incident, case, &tied, &ways)?,
        proof: proof.with(tied.exhibits).with(ways.exhibit()).with(case.directive_exhibit(incident)?),
    }))
}

/// How nginx could reach the application.
enum Ways {
    /// Through this address, which leads there.
    Published(SocketAddr, Exhibit),
    /// By this address of the application's network namespace.
    Address(SocketAddr, Exhibit),
    /// By none that is known; whether it listens on loopback alone.
    None { is_loopback: bool },
}

impl Ways {
    fn exhibit(&self) -> Option<Exhibit> {
        match self {
            Self::Published(_, exhibit) | Self::Address(_, exhibit) => Some(exhibit.clone()),
            Self::None { .. } => None,
        }
    }
}

fn ways(incident: &Incident, case: &Case, tied: &Tied, dialled: SocketAddr) -> Result<Ways, Gap> {
    if let Some((place, exhibit)) = case.way_to(incident, &tied.apart)? {
        return Ok(Ways::Published(place, exhibit));
    }
    for place in tied.apart.open_places(dialled).into_iter().take(TRIED) {
        if let Some(exhibit) = case.would_connect(incident, place)? {
            return Ok(Ways::Address(place, exhibit));
        }
    }
    Ok(Ways::None { is_loopback: tied.apart.listener.address.ip().is_loopback() })
}

/// The ways that are open, the one that is there first; then how to make one that stays.
fn fixes(incident: &Incident, case: &Case, tied: &Tied, ways: &Ways) -> Result<Vec<Fix>, Gap> {
    let dial = match ways {
        Ways::Published(place, _) | Ways::Address(place, _) => {
            tie::redial(incident, case, &Place::Tcp(*place))?
        }
        Ways::None { .. } => None,
    };
    let lasting = match ways {
        Ways::Published(..) => None,
        // An address of a container goes with it.
        Ways::Address(..) if !case.is_contained(&tied.apart)? => None,
        Ways::Address(..) | Ways::None { .. } => Some(way_in(incident, case, tied, ways)?),
    };
    Ok(dial.into_iter().chain(lasting).collect())
}

/// A way from nginx to the application that a person has to make.
fn way_in(incident: &Incident, case: &Case, tied: &Tied, ways: &Ways) -> Result<Fix, Gap> {
    let (who, network) = (tied.apart.listener.who(), &tied.network);
    let port = tied.apart.listener.address.port();
    let is_contained = case.is_contained(&tied.apart)?;
    let mut texts = Vec::new();
    if matches!(ways, Ways::None { is_loopback: true }) {
        texts.push(if tied.apart.is_hosts() {
            format!("make {who} listen on an address of the host that nginx's network reaches, such as that of its bridge")
        } else {
            format!("make {who} listen on 0.0.0.0:{port} in {network}: its loopback is its own")
        });
    }
    if is_contained {
        texts.push(format!(
            "publish port {port} of {network} where nginx dials ({}), or put nginx into its network",
            incident.peer
        ));
    } else {
        texts.push(format!("make nginx dial an address of {network} that it reaches"));
    }
    Ok(Fix {
        summary: format!("lead nginx to {who}"),
        safety: Safety::DisplayOnly,
        steps: texts.into_iter().map(|text| Step::Advice { text }).collect(),
        verify: Some(AGAIN.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "peer-in-other-netns";
    /// nginx dials 127.0.0.1:8000 in the host's network and is refused.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:02:11 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
    ";
    /// gunicorn in a namespace of its own, on every address of it.
    const APART: &str = "
        //- local 10.77.0.2 net=2
        //- process 4120 net=2
        gunicorn --bind 0.0.0.0:8000 shop.wsgi
        //- listen tcp 0.0.0.0:8000 pid=4120 net=2
    ";
    /// The same, on loopback alone.
    const LOOPBACK: &str = "
        //- local 10.77.0.2 net=2
        //- process 4120 net=2
        gunicorn --bind 127.0.0.1:8000 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120 net=2
    ";
    /// The same in a container.
    const CONTAINER: &str = "
        //- local 172.17.0.2 net=2
        //- process 4120 net=2 cgroup=/system.slice/docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope
        gunicorn --bind 0.0.0.0:8000 shop.wsgi
        //- listen tcp 0.0.0.0:8000 pid=4120 net=2
    ";
    /// It is published at another port.
    const PUBLISHED: &str = "
        //- process 900
        /usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 8000
        //- listen tcp 0.0.0.0:8080 pid=900
    ";

    #[test]
    fn confirmed_by_the_only_listener_on_the_port_with_an_address_that_nginx_reaches() {
        assert_snapshot!(check(ID, [HOST, APART, "
            //- path /run/netns/blue file 444 0:0 ino=2
            //- connect 10.77.0.2:8000 -> ok
        "]), @"
        answer: peer-in-other-netns, ongoing
        confirmed: gunicorn (pid 4120) listens on 0.0.0.0:8000 in network namespace blue, nginx dials 127.0.0.1:8000 in the host's network
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 0.0.0.0:8000 pid 4120 gunicorn --bind 0.0.0.0:8000 shop.wsgi, in network namespace blue (net:[2])
        - sockets: the only listener on port 8000 in any network namespace that may be meant, and nothing else dials it
        - connect 14:05:00: connect 10.77.0.2:8000 as nginx's worker: connected
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, unsafe: dial 10.77.0.2:8000
          /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000; => proxy_pass http://10.77.0.2:8000;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_where_it_listens_on_its_own_loopback() {
        assert_snapshot!(check(ID, [HOST, LOOPBACK]), @"
        answer: peer-in-other-netns, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8000 in the network namespace of pid 4120, nginx dials 127.0.0.1:8000 in the host's network
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi, in the network namespace of pid 4120 (net:[2])
        - sockets: the only listener on port 8000 in any network namespace that may be meant, and nothing else dials it
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, shown: lead nginx to gunicorn (pid 4120)
          make gunicorn (pid 4120) listen on 0.0.0.0:8000 in the network namespace of pid 4120: its loopback is its own
          make nginx dial an address of the network namespace of pid 4120 that it reaches
        ");
    }

    #[test]
    fn confirmed_of_a_container_that_publishes_nothing() {
        assert_snapshot!(check(ID, [HOST, CONTAINER, "
            //- connect 172.17.0.2:8000 -> ok
        "]), @"
        answer: peer-in-other-netns, ongoing
        confirmed: gunicorn (pid 4120) listens on 0.0.0.0:8000 in Docker container 0123456789ab, nginx dials 127.0.0.1:8000 in the host's network
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 0.0.0.0:8000 pid 4120 gunicorn --bind 0.0.0.0:8000 shop.wsgi, in Docker container 0123456789ab (net:[2])
        - sockets: the only listener on port 8000 in any network namespace that may be meant, and nothing else dials it
        - connect 14:05:00: connect 172.17.0.2:8000 as nginx's worker: connected
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, unsafe: dial 172.17.0.2:8000
          /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000; => proxy_pass http://172.17.0.2:8000;
          $ nginx -t
          $ nginx -s reload
        fix, shown: lead nginx to gunicorn (pid 4120)
          publish port 8000 of Docker container 0123456789ab where nginx dials (127.0.0.1:8000), or put nginx into its network
        ");
    }

    #[test]
    fn confirmed_of_a_published_container_that_bears_the_upstreams_name() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server 127.0.0.1:8000; } server { location / { proxy_pass http://shop; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", CONTAINER, PUBLISHED]), @"
        answer: peer-in-other-netns, ongoing
        confirmed: gunicorn (pid 4120) listens on 0.0.0.0:8000 in Docker container 0123456789ab, nginx dials 127.0.0.1:8000 in the host's network
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 0.0.0.0:8000 pid 4120 gunicorn --bind 0.0.0.0:8000 shop.wsgi, in Docker container 0123456789ab (net:[2])
        - process: its application is called shop: gunicorn --bind 0.0.0.0:8000 shop.wsgi
        - sockets 12:30:00: LISTEN 0.0.0.0:8080 pid 900 /usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 8000
        - config /etc/nginx/nginx.conf:1: server 127.0.0.1:8000;
        fix, unsafe: dial 127.0.0.1:8080
          /etc/nginx/nginx.conf:1: server 127.0.0.1:8000; => server 127.0.0.1:8080;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_where_nginx_is_in_a_container_and_the_application_on_the_host() {
        assert_snapshot!(check(ID, ["
            //- nginx net=2
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- local 172.17.0.1
            //- process 4120
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: peer-in-other-netns, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8000 in the host's network, nginx dials 127.0.0.1:8000 in the network namespace of pid 2841
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi, in the host's network (net:[1])
        - sockets: the only listener on port 8000 in any network namespace that may be meant, and nothing else dials it
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, shown: lead nginx to gunicorn (pid 4120)
          make gunicorn (pid 4120) listen on an address of the host that nginx's network reaches, such as that of its bridge
          make nginx dial an address of the host's network that it reaches
        ");
    }

    #[test]
    fn confirmed_by_the_unit_that_is_meant_to_listen_and_has_a_network_of_its_own() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/systemd/system/shop.service
            [Service]
            PrivateNetwork=yes
            ExecStart=/srv/shop/venv/bin/gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- unit shop.service ActiveState=active SubState=running
            //- process 4120 net=2 cgroup=/system.slice/shop.service
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120 net=2
            //- process 5000 net=3
            gunicorn --bind 127.0.0.1:8000 blog.wsgi
            //- listen tcp 127.0.0.1:8000 pid=5000 net=3
        "]), @"
        answer: peer-in-other-netns, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8000 in the network namespace of shop.service, nginx dials 127.0.0.1:8000 in the host's network
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi, in the network namespace of shop.service (net:[2])
        - unit: shop.service has ExecStart=/srv/shop/venv/bin/gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, shown: lead nginx to gunicorn (pid 4120)
          make gunicorn (pid 4120) listen on 0.0.0.0:8000 in the network namespace of shop.service: its loopback is its own
          make nginx dial an address of the network namespace of shop.service that it reaches
        ");
    }

    #[test]
    fn confirmed_where_it_listens_on_both_families_beside_what_cannot_be_meant() {
        // php-fpm speaks no HTTP.
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 net=2
            gunicorn --bind 0.0.0.0:8000 --bind [::]:8000 shop.wsgi
            //- listen tcp 0.0.0.0:8000 pid=4120 net=2
            //- listen tcp [::]:8000 pid=4120 net=2 v6only
            //- process 6000 net=3
            php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
            //- listen tcp 0.0.0.0:8000 pid=6000 net=3
        "]), @"
        answer: peer-in-other-netns, ongoing
        confirmed: gunicorn (pid 4120) listens on 0.0.0.0:8000 in the network namespace of pid 4120, nginx dials 127.0.0.1:8000 in the host's network
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 0.0.0.0:8000 pid 4120 gunicorn --bind 0.0.0.0:8000 --bind [::]:8000 shop.wsgi, in the network namespace of pid 4120 (net:[2])
        - sockets: the only listener on port 8000 in any network namespace that may be meant, and nothing else dials it
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, shown: lead nginx to gunicorn (pid 4120)
          make nginx dial an address of the network namespace of pid 4120 that it reaches
        ");
    }

    #[test]
    fn not_confirmed_where_it_started_only_after_the_first_failure() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 net=2 start=14:03:00
            gunicorn --bind 0.0.0.0:8000 shop.wsgi
            //- listen tcp 0.0.0.0:8000 pid=4120 net=2
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: it started only after the first failure
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120
        ");
    }

    #[test]
    fn not_confirmed_where_the_site_is_another() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream orders { server 127.0.0.1:8000; } server { location / { proxy_pass http://orders; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", APART]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: nothing shows that it serves what nginx asks, and nobody else
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120
        ");
    }

    #[test]
    fn ruled_out_where_all_share_one_network() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: every process is in nginx's network namespace
        ");
    }

    #[test]
    fn ruled_out_where_nothing_listens_on_the_port_elsewhere() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 net=2
            gunicorn --bind 0.0.0.0:8001 shop.wsgi
            //- listen tcp 0.0.0.0:8001 pid=4120 net=2
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: nothing listens on port 8000 in the other network namespace
        ");
    }

    #[test]
    fn ruled_out_where_the_unit_that_is_meant_to_listen_does_not_run() {
        assert_snapshot!(check(ID, [HOST, APART, "
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/srv/shop/venv/bin/gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- unit shop.service ActiveState=failed SubState=failed Result=exit-code ExecMainCode=1 ExecMainStatus=1
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - unit: shop.service has failed (exit-code, status 1)
        ");
    }

    #[test]
    fn ruled_out_where_the_application_is_known_to_listen_on_another_port() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server 127.0.0.1:8000; } server { location / { proxy_pass http://shop; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- process 4000
            gunicorn --bind 127.0.0.1:8001 shop.wsgi
            //- listen tcp 127.0.0.1:8001 pid=4000
            //- process 5000 net=2
            gunicorn --bind 0.0.0.0:8000 blog.wsgi
            //- listen tcp 0.0.0.0:8000 pid=5000 net=2
        "]), @"
        answer: peer-port-mismatch, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: its application is gunicorn (pid 4000), on 127.0.0.1:8001
        ");
    }

    #[test]
    fn ruled_out_where_something_listens_where_nginx_dials() {
        assert_snapshot!(check(ID, [HOST, APART, "
            //- process 4200
            app
            //- listen tcp 127.0.0.1:8000 pid=4200
            //- connect 127.0.0.1:8000 -> errno 111
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4200 app
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        ");
    }

    #[test]
    fn unknown_once_the_connection_succeeds() {
        assert_snapshot!(check(ID, [HOST, APART, "
            //- process 4200 start=14:03:00
            app
            //- listen tcp 127.0.0.1:8000 pid=4200
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_where_a_process_does_not_show_its_network() {
        assert_snapshot!(check(ID, [HOST, APART, "
            //- denied link /proc/4120/ns/net
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: /proc/4120/ns/net: needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn unknown_where_processes_are_hidden() {
        assert_snapshot!(check(ID, [HOST, APART, "
            //- hide 1
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: every process of the host: needs root
        learn: sudo why502
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120
        ");
    }

    #[test]
    fn unknown_of_another_hosts_address() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://10.0.0.9:8000; } } }
            //- failed 14:02:11 http://10.0.0.9:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- connect 10.0.0.9:8000 -> errno 111
        ", APART]), @"
        answer: none, ongoing
        unknown: what listens on 10.0.0.9:8000: it is another host's address
        learn: ss -ltnp 'sport = :8000'   (on 10.0.0.9)
        ");
    }

    #[test]
    fn not_confirmed_by_a_program_of_no_known_kind() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 net=2
            portainer
            //- listen tcp 0.0.0.0:8000 pid=4120 net=2
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: nothing shows that it serves what nginx asks, and nobody else
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: portainer (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120
        ");
    }

    #[test]
    fn not_confirmed_by_a_program_of_another_protocol() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 net=2
            php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
            //- listen tcp 0.0.0.0:8000 pid=4120 net=2
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: nothing ties one to this peer
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: php-fpm (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120
        ");
    }

    #[test]
    fn not_confirmed_where_two_containers_listen_on_the_port() {
        assert_snapshot!(check(ID, [HOST, APART, "
            //- process 5000 net=3
            node server.js
            //- listen tcp 0.0.0.0:8000 pid=5000 net=3
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: nothing ties one to this peer
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120, server.js (pid 5000) on 0.0.0.0:8000 in the network namespace of pid 5000
        ");
    }

    #[test]
    fn not_confirmed_where_another_site_dials_it() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server {
            location / { proxy_pass http://127.0.0.1:8000; }
            location /blog { proxy_pass http://10.77.0.2:8000; }
            } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", APART]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: the configuration dials it in another place
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120
        ");
    }

    #[test]
    fn not_confirmed_where_another_site_dials_the_published_port() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server {
            location / { proxy_pass http://127.0.0.1:8000; }
            location /blog { proxy_pass http://127.0.0.1:8080; }
            } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", CONTAINER, PUBLISHED]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: the configuration dials it in another place
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in Docker container 0123456789ab
        ");
    }

    #[test]
    fn not_confirmed_where_it_is_published_and_bears_no_name() {
        assert_snapshot!(check(ID, [HOST, CONTAINER, PUBLISHED]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: it is published as 0.0.0.0:8080, perhaps for others
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in Docker container 0123456789ab
        ");
    }

    #[test]
    fn not_confirmed_where_the_host_publishes_it_and_nginx_is_in_another_container() {
        assert_snapshot!(check(ID, ["
            //- nginx net=3
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- process 900
            /usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8000 -container-ip 172.17.0.2 -container-port 8000
            //- listen tcp 0.0.0.0:8000 pid=900
        ", CONTAINER]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: it is published as 0.0.0.0:8000, perhaps for others
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in Docker container 0123456789ab
        ");
    }

    #[test]
    fn not_confirmed_where_a_rule_leads_to_it() {
        assert_snapshot!(check(ID, [HOST, CONTAINER, r#"
            //- iptables
            *nat
            :PREROUTING ACCEPT [0:0]
            :OUTPUT ACCEPT [0:0]
            -A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:8000
            COMMIT
            //- command nft -j list ruleset
            {"nftables": [{"metainfo": {}}, {"rule": {"expr": [{"xt": null}]}}]}
        "#]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: it may be published for others: a firewall rule names its address 172.17.0.2
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in Docker container 0123456789ab
        ");
    }

    #[test]
    fn not_confirmed_where_the_rules_cannot_be_listed() {
        assert_snapshot!(check(ID, [HOST, CONTAINER, "
            //- chain ip nat prerouting rules=2
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: the firewall's rules: they could not be listed
        learn: sudo nft list ruleset
        ");
    }

    #[test]
    fn not_confirmed_where_it_ran_already_when_the_peer_last_answered() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            log_format up '$time_iso8601 $status $upstream_addr $upstream_status $upstream_header_time';
            access_log /var/log/nginx/access.log up;
            server { location / { proxy_pass http://127.0.0.1:8000; } }
            }
            //- file /var/log/nginx/access.log
            2026-06-23T14:00:00+00:00 200 127.0.0.1:8000 200 0.010
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ", APART]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: it ran already when the peer last answered
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120
        ");
    }

    #[test]
    fn not_confirmed_beside_a_listener_on_the_port_in_nginxs_own_network() {
        assert_snapshot!(check(ID, [HOST, APART, "
            //- local 10.0.0.5
            //- process 4200
            app
            //- listen tcp 10.0.0.5:8000 pid=4200
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: app (pid 4200) is nearer, on 10.0.0.5:8000
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120
        ");
    }

    #[test]
    fn not_confirmed_where_a_unit_is_meant_to_listen() {
        assert_snapshot!(check(ID, [HOST, APART, "
            //- file /etc/systemd/system/orders.service
            [Service]
            ExecStart=/srv/bin/gunicorn --bind 127.0.0.1:8000 orders.wsgi
            //- unit orders.service ActiveState=active SubState=running
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: a unit of the host is meant to listen there
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120
        ");
    }
}
