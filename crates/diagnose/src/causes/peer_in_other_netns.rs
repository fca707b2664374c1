//! See the doc comment of [`PEER_IN_OTHER_NETNS`].

use std::net::SocketAddr;

use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, firewall};
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
    /// rule is why, and one listener on the same port in another network namespace runs in the unit of the host whose file
    /// is set to listen on the dialled address, in no container.
    /// Without such a unit it is a hint: containers that have nothing to do with each other listen on the same few ports, and
    /// copies of one application bear one name.
    ///
    /// ## Ruled out when
    /// The failure is not a refused TCP connection or, while it is still refused, a socket listens on the dialled
    /// address, no other network namespace has a listener on that port, or the application is known to be another.
    ///
    /// ## Fix
    /// Make nginx dial an address of the application's network namespace, where a connection to it succeeds; else bind the
    /// application to an address that others reach, or take its unit's `PrivateNetwork=` away.
    /// Unsafe: it changes the configuration.
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
        Err(rule) => {
            let other = format!("{} listens on {} in {}", tied.apart.listener.who(), tied.apart.listener.address, tied.network);
            return Err(firewall::stands_before(&rule, &other));
        }
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
    /// By this address of the application's network namespace.
    Address(SocketAddr, Exhibit),
    /// By none that is known; whether it listens on loopback alone.
    None { is_loopback: bool },
}

impl Ways {
    fn exhibit(&self) -> Option<Exhibit> {
        match self {
            Self::Address(_, exhibit) => Some(exhibit.clone()),
            Self::None { .. } => None,
        }
    }
}

fn ways(incident: &Incident, case: &Case, tied: &Tied, dialled: SocketAddr) -> Result<Ways, Gap> {
    for place in tied.apart.open_places(dialled).into_iter().take(TRIED) {
        if let Some(exhibit) = case.would_connect(incident, place)? {
            return Ok(Ways::Address(place, exhibit));
        }
    }
    Ok(Ways::None { is_loopback: tied.apart.listener.address.ip().is_loopback() })
}

/// The way that is open or, where none is, what a person has to do to make one.
fn fixes(incident: &Incident, case: &Case, tied: &Tied, ways: &Ways) -> Result<Vec<Fix>, Gap> {
    let dial = match ways {
        Ways::Address(place, _) => return Ok(tie::redial(incident, case, &Place::Tcp(*place))?.into_iter().collect()),
        Ways::None { is_loopback } => way_in(tied, *is_loopback),
    };
    Ok(vec![dial])
}

/// A way from nginx to the application that a person has to make.
fn way_in(tied: &Tied, is_loopback: bool) -> Fix {
    let (who, network) = (tied.apart.listener.who(), &tied.network);
    let port = tied.apart.listener.address.port();
    let mut texts = Vec::new();
    if is_loopback {
        texts.push(if tied.apart.is_hosts() {
            format!("make {who} listen on an address of the host that nginx's network reaches, such as that of its bridge")
        } else {
            format!("make {who} listen on 0.0.0.0:{port} in {network}: its loopback is its own")
        });
    }
    texts.push(format!("make nginx dial an address of {network} that it reaches"));
    Fix {
        summary: format!("lead nginx to {who}"),
        safety: Safety::DisplayOnly,
        steps: texts.into_iter().map(|text| Step::Advice { text }).collect(),
        verify: Some(AGAIN.to_owned()),
    }
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

    /// gunicorn as the unit that is meant to listen on the dialled address, on every address of its own network.
    const OWN: &str = "
        //- file /etc/systemd/system/shop.service
        [Service]
        ExecStart=/srv/shop/venv/bin/gunicorn --bind 0.0.0.0:8000 shop.wsgi
        //- unit shop.service ActiveState=active SubState=running
        //- local 10.77.0.2 net=2
        //- process 4120 net=2 cgroup=/system.slice/shop.service
        gunicorn --bind 0.0.0.0:8000 shop.wsgi
        //- listen tcp 0.0.0.0:8000 pid=4120 net=2
    ";

    #[test]
    fn confirmed_with_an_address_that_nginx_reaches() {
        assert_snapshot!(check(ID, [HOST, OWN, "
            //- path /run/netns/blue file 444 0:0 ino=2
            //- connect 10.77.0.2:8000 -> ok
        "]), @"
        answer: peer-in-other-netns, ongoing
        confirmed: gunicorn (pid 4120) listens on 0.0.0.0:8000 in network namespace blue, nginx dials 127.0.0.1:8000 in the host's network
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 0.0.0.0:8000 pid 4120 gunicorn --bind 0.0.0.0:8000 shop.wsgi, in network namespace blue (net:[2])
        - unit: shop.service has ExecStart=/srv/shop/venv/bin/gunicorn --bind 0.0.0.0:8000 shop.wsgi
        - connect 14:05:00: connect 10.77.0.2:8000 as nginx's worker: connected
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        fix, unsafe: dial 10.77.0.2:8000
          /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000; => proxy_pass http://10.77.0.2:8000;
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
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/srv/shop/venv/bin/gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- unit shop.service ActiveState=active SubState=running
            //- process 4120 cgroup=/system.slice/shop.service
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: peer-in-other-netns, ongoing
        confirmed: gunicorn (pid 4120) listens on 127.0.0.1:8000 in the host's network, nginx dials 127.0.0.1:8000 in the network namespace of pid 2841
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - netfilter-chains: no firewall rule is in force on this host
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi, in the host's network (net:[1])
        - unit: shop.service has ExecStart=/srv/shop/venv/bin/gunicorn --bind 127.0.0.1:8000 shop.wsgi
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
            //- process 4000 start=14:02:10 cgroup=/system.slice/shop.service
            gunicorn --bind 127.0.0.1:8001 shop.wsgi
            //- listen tcp 127.0.0.1:8001 pid=4000
            //- unit shop.service ActiveState=active SubState=running
            //- journal shop.service
            13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
            14:02:09 stopped
            14:02:10 started
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
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: nothing ties one to this peer
        learn: sudo lsns -t net
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
    fn not_confirmed_without_a_unit_that_is_meant_to_listen() {
        let named = "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server 127.0.0.1:8000; } server { location / { proxy_pass http://shop; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ";
        let late = "
            //- process 4120 net=2 start=14:03:00
            gunicorn --bind 0.0.0.0:8000 shop.wsgi
            //- listen tcp 0.0.0.0:8000 pid=4120 net=2
        ";
        // What it says of 127.0.0.1 is of its own namespace, then as now.
        let journalled = "
            //- process 4120 net=2 start=14:02:10 cgroup=/system.slice/other.service
            gunicorn --bind 127.0.0.1:8000 other.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120 net=2
            //- unit other.service ActiveState=active SubState=running
            //- journal other.service
            13:10:00 [2026-06-23 13:10:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)
            14:02:09 stopped
            14:02:10 started
        ";
        // Its unit names an address of the container.
        let contained = "
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/usr/bin/podman run --name shop shop --bind 0.0.0.0:8000
            //- unit shop.service ActiveState=active SubState=running
            //- process 4120 net=2 cgroup=/system.slice/shop.service/libpod-payload-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
            gunicorn --bind 0.0.0.0:8000 shop.wsgi
            //- listen tcp 0.0.0.0:8000 pid=4120 net=2
        ";
        for host in [HOST, named] {
            for application in [APART, LOOPBACK, CONTAINER, late, journalled, contained] {
                for more in ["", PUBLISHED] {
                    let said = check(ID, [host, application, more]);
                    assert!(said.contains("answer: peer-not-listening"), "{application}{said}");
                    assert!(said.contains("unknown: whether the application behind"), "{application}{said}");
                    assert!(said.contains("leaning: "), "{application}{said}");
                }
            }
        }
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
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: nothing ties one to this peer
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120
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
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: nothing ties one to this peer
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in Docker container 0123456789ab
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
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: nothing ties one to this peer
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
        unknown: whether the application behind 127.0.0.1:8000 is in another network namespace: nothing ties one to this peer
        learn: sudo lsns -t net
        leaning: could be meant, but nothing proves it: gunicorn (pid 4120) on 0.0.0.0:8000 in the network namespace of pid 4120
        ");
    }
}
