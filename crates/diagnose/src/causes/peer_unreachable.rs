//! See the doc comment of [`PEER_UNREACHABLE`].

use std::net::{IpAddr, SocketAddr};

use bstr::ByteSlice as _;
use facts::route::{Barrier, Route};
use facts::{Exhibit, Gap, GapKind, PeerAddress};
use log::error::{Class, While};

use crate::case::firewall::{self, Ruling, in_netns};
use crate::case::network::Repeated;
use crate::case::{Case, known};
use crate::incident::Incident;
use crate::tie::{self, Place};
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

/// `EADDRNOTAVAIL`.
const NOT_AVAILABLE: u16 = 99;

declare_cause! {
    /// No way leads from this host to the peer: a route is missing or refuses, or the next host on the way does not answer.
    ///
    /// ## Confirmed when
    /// The peer is another host, a connection made as nginx's worker fails now as it failed for nginx, and
    /// - the kernel has no route to the peer (101), or one that refuses it: `unreachable` (113), `prohibit` (13) or
    ///   `blackhole` (22); or
    /// - the peer is an IPv6 address, and nginx's network has no IPv6 address that could be dialled from (99, 97): IPv6 is
    ///   off, if only on the loopback interface that `::1` belongs to; or
    /// - the peer, or the router that leads to it, answers no neighbour discovery (110, or 113 after three seconds), and no
    ///   firewall rule of this host stands before that.
    ///
    /// Or `bind()` failed (99) in the last minute, and the address that `proxy_bind` has nginx come from is none of this
    /// host's.
    ///
    /// ## Ruled out when
    /// The failure is another one, the peer is this host, or a firewall rule of this host is why.
    ///
    /// ## Fix
    /// Remove the route that refuses.
    /// Unsafe: somebody put it there for a reason.
    /// Otherwise it is only shown: which host is down, or which address is wrong, only people know.
    ///
    /// ## Looks like
    /// `connect() to 10.0.0.9:8000 failed (101: Network is unreachable) while connecting to upstream`, the same with
    /// `113: No route to host`, and `upstream timed out (110: Connection timed out) while connecting to upstream`.
    ///
    /// ## See also
    /// `firewall-rejects-connect` and `firewall-drops-connect` look the same in the log.
    pub(crate) static PEER_UNREACHABLE = {
        id: "peer-unreachable", since: "0.1.0", stage: Connect, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if incident.is(Class::ProxyBind) {
        return from_elsewhere(incident, case, proof);
    }
    if incident.action != Some(While::ConnectingToUpstream) || !may_be_unreachable(incident) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Tcp(address) = *incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    if matches!(incident.failure, Some(Class::EphemeralPorts | Class::AddressFamily)) {
        return without_ipv6(incident, case, proof, address);
    }
    if case.is_local(incident, address)? {
        let own = record("file", format!("{} is an address of this host", address.ip()));
        return Ok(Verdict::RuledOut(proof.and(own)));
    }
    let again = again(incident, case)?;
    let netns = case.in_nginx_netns(incident)?;
    let proof = proof.and(again);
    let confirmed = |summary: String, proof: Proof, fix: Fix| {
        Ok(Verdict::Confirmed(Confirmation {
            summary,
            proof: proof.with(case.directive_exhibit(incident)?),
            fixes: vec![fix],
        }))
    };
    match &*case.route(incident)? {
        Route::Refused(errno) if incident.errno.map(i32::from) == Some(*errno) => {
            let barrier = known(case.barrier(incident))?.flatten();
            let (summary, shown) = refusal(address.ip(), *errno, barrier.as_ref());
            let fix = route_fix(address.ip(), barrier.as_ref(), netns);
            confirmed(summary, proof.and(record("command", shown)), fix)
        }
        Route::Refused(errno) => Err(Gap::undecided(
            "the way to the peer",
            format!("the kernel refuses it in another way now (errno {errno})"),
        )),
        Route::Way(way) => {
            let next = way.gateway.unwrap_or_else(|| address.ip());
            let shown = match way.gateway {
                Some(gateway) => format!("the way to {} leads by {} over the router {gateway}", address.ip(), way.device),
                None => format!("the way to {} leads by {}, without a router", address.ip(), way.device),
            };
            let proof = proof.and(record("command", shown));
            if !incident.is(Class::HostUnreachable) && !is_timeout(incident) {
                return on_the_way(incident, case, proof, address.ip());
            }
            if let Ruling::Rejects(rule) | Ruling::Drops { rule, .. } =
                case.firewall(incident)?.ruling(incident.errno.unwrap_or(0))?
            {
                return Ok(Verdict::RuledOut(proof.and(firewall::exhibit(&rule))));
            }
            // Asked after the connection was tried, which is what makes the kernel look for its neighbour.
            match case.neighbour(incident, next)?.as_deref() {
                Some(state @ ("FAILED" | "INCOMPLETE")) => {
                    let who = match way.gateway {
                        Some(gateway) => format!("the router {gateway}, which leads to {},", address.ip()),
                        None => address.ip().to_string(),
                    };
                    let silent = record("command", format!("{next} dev {} {state}: nobody there says that he is {next}", way.device));
                    confirmed(format!("{who} does not answer on the network of {}", way.device), proof.and(silent), host_fix(address.ip(), next))
                }
                _ => on_the_way(incident, case, proof, address.ip()),
            }
        }
    }
}

/// `proxy_bind` names an address that this host does not have. Nobody else's connection repeats that.
fn from_elsewhere(incident: &Incident, case: &Case, proof: Proof) -> Result<Verdict, Gap> {
    if incident.errno != Some(NOT_AVAILABLE) {
        return Ok(Verdict::RuledOut(proof));
    }
    let missing = "whether nginx may come from the address that it is told to";
    let Some(ip) = incident.said(|event| bound(event.message)) else {
        return Err(Gap::undecided(missing, "the line does not tell the address"));
    };
    if case.is_local(incident, (ip, 0).into())? {
        return Err(Gap::too_late(missing, format!("{ip} is an address of this host now"))
            .leaning(format!("{ip} was not yet an address of this host when nginx was to come from it")));
    }
    let leans = format!("{ip}, from which nginx is told to come, is no address of this host");
    if !case.is_recent(incident) {
        return Err(Gap::too_late(missing, "the last failure is long ago").leaning(leans));
    }
    let Some(span) = case.bind_directive(incident)? else {
        return Err(Gap::undecided(missing, "no directive on disk tells it to").leaning(leans));
    };
    let texts = [
        format!("correct or take away: {} ({}:{})", span.text, span.file.display(), span.line),
        in_netns(case.in_nginx_netns(incident)?, &format!("ip addr add {ip} dev DEVICE")) + "   (or give this host the address)",
    ];
    Ok(Verdict::Confirmed(Confirmation {
        summary: leans,
        proof: proof.and(record("file", format!("{ip} is no address of nginx's network"))).and(Exhibit::Config(span)),
        fixes: vec![shown(format!("have nginx come from an address of this host's in place of {ip}"), texts)],
    }))
}

/// The address in `bind(ADDRESS) failed`, which has a port with `proxy_bind $remote_addr:$remote_port`.
fn bound(message: &[u8]) -> Option<IpAddr> {
    let text = message.strip_prefix(b"bind(")?.split_once_str(")")?.0.to_str().ok()?;
    text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

/// IPv6 is dialled, and nginx's network has no address of it to come from.
fn without_ipv6(incident: &Incident, case: &Case, proof: Proof, address: SocketAddr) -> Result<Verdict, Gap> {
    let IpAddr::V6(ip) = address.ip() else {
        return Ok(Verdict::RuledOut(proof));
    };
    let own = case.ipv6_addresses(incident)?;
    let reaches = |own: &IpAddr| match own {
        IpAddr::V6(own) if ip.is_loopback() => own.is_loopback(),
        IpAddr::V6(own) => !own.is_loopback() && own.is_unicast_link_local() == ip.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    };
    if let Some(own) = own.iter().find(|own| reaches(own)) {
        return Ok(Verdict::RuledOut(proof.and(record("file", format!("nginx's network has the address {own}")))));
    }
    // A filter of system calls (`nginx-sandboxed`) does not stand before this one.
    let Repeated::Same(again) = case.repeated_unconfined(incident)? else {
        return Err(Gap::undecided("whether IPv6 was off when it failed", "the connection fails in another way now, or not at all"));
    };
    case.still_failing(incident)?;
    let (what, text) = if ip.is_loopback() {
        ("no address ::1: IPv6 is off on its loopback", "sysctl net.ipv6.conf.lo.disable_ipv6")
    } else {
        ("no IPv6 address: IPv6 is off", "sysctl net.ipv6.conf.all.disable_ipv6")
    };
    let what = if own.is_empty() { "no IPv6 address: IPv6 is off" } else { what };
    let turn_on = in_netns(case.in_nginx_netns(incident)?, text) + "   (1 turns it off)";
    let mut fixes = Vec::new();
    if ip.is_loopback() {
        let twin = SocketAddr::from(([127, 0, 0, 1], address.port()));
        if case.would_connect(incident, twin)?.is_some() {
            fixes.extend(tie::redial(incident, case, &Place::Tcp(twin))?);
        }
    }
    let dial = "or have nginx dial the application's IPv4 address".to_owned();
    fixes.push(shown("turn IPv6 on, or dial IPv4".to_owned(), [turn_on, dial]));
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("nginx dials {address}, and its network has {what}"),
        proof: proof.and(again).and(record("file", format!("nginx's network has {what}"))).with(case.directive_exhibit(incident)?),
        fixes,
    }))
}

fn shown(summary: String, texts: [String; 2]) -> Fix {
    Fix {
        summary,
        safety: Safety::DisplayOnly,
        steps: texts.map(|text| Step::Advice { text }).into(),
        verify: Some(AGAIN.to_owned()),
    }
}

fn is_timeout(incident: &Incident) -> bool {
    incident.is(Class::ConnectTimeout) || incident.is(Class::ConnectTimeoutKernel)
}

fn may_be_unreachable(incident: &Incident) -> bool {
    is_timeout(incident)
        || matches!(
            incident.failure,
            Some(
                Class::NetworkUnreachable
                    | Class::HostUnreachable
                    | Class::PermissionDenied
                    | Class::ConnectInvalid
                    | Class::EphemeralPorts
                    | Class::AddressFamily
            )
        )
}

/// The connection, failing again. The kernel takes three seconds to find out that nobody is there, counted from when
/// somebody first asked, and neither nginx nor this connection need wait as long: silence and 113 are then the same.
fn again(incident: &Incident, case: &Case) -> Result<Exhibit, Gap> {
    match case.repeated_unconfined(incident)? {
        Repeated::Same(exhibit) => Ok(exhibit),
        Repeated::Silent(exhibit) if incident.is(Class::HostUnreachable) => Ok(exhibit),
        Repeated::Other(113, exhibit) if is_timeout(incident) => Ok(exhibit),
        _ => case.still_failing(incident),
    }
}

/// This host sends it, and what becomes of it then is not to be seen from here.
fn on_the_way(incident: &Incident, case: &Case, proof: Proof, ip: IpAddr) -> Result<Verdict, Gap> {
    // Whoever is on the way says nothing of rights or of a malformed address.
    if incident.is(Class::PermissionDenied) || incident.is(Class::ConnectInvalid) {
        return Ok(Verdict::RuledOut(proof));
    }
    let firewall = case.firewall(incident)?;
    if let Ok(Ruling::Rejects(rule) | Ruling::Drops { rule, .. }) = firewall.ruling(incident.errno.unwrap_or(0)) {
        return Ok(Verdict::RuledOut(proof.and(firewall::exhibit(&rule))));
    }
    Err(Gap::new(
        GapKind::Absent,
        format!("what becomes of the connection on its way to {ip}"),
        "this host has a route and sends it; the rest is not this host's",
    )
    .learn(in_netns(firewall.netns, &format!("tracepath -n {ip}"))))
}

fn record(probe: &'static str, text: String) -> Exhibit {
    Exhibit::Record {
        probe,
        at: None,
        text,
    }
}

fn refusal(ip: IpAddr, errno: i32, barrier: Option<&Barrier>) -> (String, String) {
    match barrier {
        Some(Barrier { kind, network }) => (
            format!("the {kind} route for {network} refuses connections to {ip}"),
            format!("{kind} {network}"),
        ),
        None if errno == 101 => (
            format!("this host has no route to {ip}"),
            format!("the kernel has no route to {ip}"),
        ),
        // It stands in a table of its own, or in a rule.
        None => (
            format!("this host's routing rules refuse connections to {ip}"),
            format!("the kernel refuses the way to {ip} with errno {errno}"),
        ),
    }
}

fn route_fix(ip: IpAddr, barrier: Option<&Barrier>, netns: Option<u32>) -> Fix {
    let Some(Barrier { kind, network }) = barrier else {
        return Fix {
            summary: format!("give this host a route to {ip}"),
            safety: Safety::DisplayOnly,
            steps: vec![Step::Advice {
                text: in_netns(netns, &format!("ip route add {ip} via ROUTER")) + "   (or correct the address that nginx dials)",
            }],
            verify: Some(AGAIN.to_owned()),
        };
    };
    let inside = netns.map(|pid| ["nsenter".to_owned(), "-t".to_owned(), pid.to_string(), "-n".to_owned()]);
    let command = ["ip", "route", "del", kind, network].map(str::to_owned);
    Fix {
        summary: format!("remove the {kind} route for {network}"),
        safety: Safety::Unsafe,
        steps: vec![
            Step::Command {
                argv: inside.into_iter().flatten().chain(command).collect(),
            },
            Step::Advice {
                text: "find out first who set it and why; it comes back where a network manager sets it".to_owned(),
            },
        ],
        verify: Some(AGAIN.to_owned()),
    }
}

fn host_fix(ip: IpAddr, next: IpAddr) -> Fix {
    Fix {
        summary: format!("bring {next} up, or dial the address that is meant"),
        safety: Safety::DisplayOnly,
        steps: vec![Step::Advice {
            text: if ip == next {
                format!("see whether {ip} is up and still has this address; else correct the address that nginx dials")
            } else {
                format!("see whether the router {next} is up; else correct the route to {ip}")
            },
        }],
        verify: Some(AGAIN.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "peer-unreachable";
    const NGINX: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://10.0.0.9:8000; } } }
    ";
    const TIMED_OUT: &str = "
        //- failed 14:02:11 http://10.0.0.9:8000/
        upstream timed out (110: Connection timed out) while connecting to upstream
        //- connect 10.0.0.9:8000 -> timeout
    ";
    const UNREACHABLE: &str = "
        //- failed 14:02:11 http://10.0.0.9:8000/
        connect() failed (113: No route to host) while connecting to upstream
        //- connect 10.0.0.9:8000 -> timeout
    ";
    const ON_LINK: &str = r#"
        //- command ip -j route get 10.0.0.9
        [{"dst":"10.0.0.9","dev":"eth0","prefsrc":"10.0.0.5","flags":[]}]
    "#;

    const BIND: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { proxy_bind 203.0.113.1; server { location / { proxy_pass http://10.0.0.9:8000; } } }
    ";
    const BIND_FAILED: &str = "
        //- failed 14:04:50 http://10.0.0.9:8000/ level=crit
        bind(203.0.113.1) failed (99: Cannot assign requested address) while connecting to upstream
    ";

    #[test]
    fn confirmed_where_nginx_is_to_come_from_an_address_that_is_not_there() {
        assert_snapshot!(check(ID, [BIND, BIND_FAILED]), @"
        answer: peer-unreachable, ongoing
        confirmed: 203.0.113.1, from which nginx is told to come, is no address of this host
        - log 14:04:50 x1: bind(203.0.113.1) failed (99: Cannot assign requested address) while connecting to upstream
        - file: 203.0.113.1 is no address of nginx's network
        - config /etc/nginx/nginx.conf:1: proxy_bind 203.0.113.1;
        fix, shown: have nginx come from an address of this host's in place of 203.0.113.1
          correct or take away: proxy_bind 203.0.113.1; (/etc/nginx/nginx.conf:1)
          ip addr add 203.0.113.1 dev DEVICE   (or give this host the address)
        ");
    }

    #[test]
    fn unknown_where_the_address_to_come_from_may_have_come_since() {
        let said = check(ID, [BIND, BIND_FAILED, "
            //- local 203.0.113.1
        "]);
        assert!(said.contains("unknown: whether nginx may come from the address that it is told to: 203.0.113.1 is an address of this host now"), "{said}");
        let said = check(ID, [BIND, &BIND_FAILED.replace("14:04:50", "14:02:50")]);
        assert!(said.contains("the last failure is long ago"), "{said}");
        let said = check(ID, [&BIND.replace("proxy_bind 203.0.113.1;", ""), BIND_FAILED]);
        assert!(said.contains("no directive on disk tells it to"), "{said}");
    }

    const IPV6: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://[::1]:8000; } } }
        //- failed 14:02:11 http://[::1]:8000/ level=crit
        connect() to [::1]:8000 failed (99: Cannot assign requested address) while connecting to upstream
        //- connect [::1]:8000 -> errno 99
    ";

    #[test]
    fn confirmed_where_ipv6_is_off() {
        assert_snapshot!(check(ID, [IPV6, "
            //- file /proc/2842/net/if_inet6
            //- process 77
            app
            //- listen tcp 127.0.0.1:8000 pid=77
        "]), @"
        answer: peer-unreachable, ongoing
        confirmed: nginx dials [::1]:8000, and its network has no IPv6 address: IPv6 is off
        - log 14:02:11 x1: connect() to [::1]:8000 failed (99: Cannot assign requested address) while connecting to upstream
        - connect 14:05:00: connect [::1]:8000 as nginx's worker: 99: Cannot assign requested address
        - file: nginx's network has no IPv6 address: IPv6 is off
        - config /etc/nginx/nginx.conf:1: proxy_pass http://[::1]:8000;
        fix, unsafe: dial 127.0.0.1:8000
          /etc/nginx/nginx.conf:1: proxy_pass http://[::1]:8000; => proxy_pass http://127.0.0.1:8000;
          $ nginx -t
          $ nginx -s reload
        fix, shown: turn IPv6 on, or dial IPv4
          sysctl net.ipv6.conf.lo.disable_ipv6   (1 turns it off)
          or have nginx dial the application's IPv4 address
        ");
    }

    #[test]
    fn ruled_out_where_there_is_an_ipv6_address_to_come_from() {
        let said = check(ID, [IPV6]);
        assert!(said.contains("ruled out"), "{said}");
    }

    #[test]
    fn unknown_once_ipv6_was_turned_off_after_it() {
        let said = check(ID, [&IPV6.replace("errno 99", "errno 111"), "
            //- file /proc/2842/net/if_inet6
        "]);
        assert!(said.contains("unknown: whether IPv6 was off when it failed"), "{said}");
    }

    #[test]
    fn confirmed_where_there_is_no_route() {
        assert_snapshot!(check(ID, [NGINX, "
            //- failed 14:02:11 http://10.0.0.9:8000/ level=crit
            connect() to 10.0.0.9:8000 failed (101: Network is unreachable) while connecting to upstream
            //- connect 10.0.0.9:8000 -> errno 101
            //- command-fails ip -j route get 10.0.0.9
            RTNETLINK answers: Network is unreachable
            //- command ip -j route show match 10.0.0.9
            []
        "]), @"
        answer: peer-unreachable, ongoing
        confirmed: this host has no route to 10.0.0.9
        - log 14:02:11 x1: connect() to 10.0.0.9:8000 failed (101: Network is unreachable) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.9:8000 as nginx's worker: 101: Network is unreachable
        - command: the kernel has no route to 10.0.0.9
        - config /etc/nginx/nginx.conf:1: proxy_pass http://10.0.0.9:8000;
        fix, shown: give this host a route to 10.0.0.9
          ip route add 10.0.0.9 via ROUTER   (or correct the address that nginx dials)
        ");
    }

    #[test]
    fn confirmed_where_a_route_prohibits_it() {
        assert_snapshot!(check(ID, [NGINX, r#"
            //- failed 14:02:11 http://10.0.0.9:8000/ level=crit
            connect() to 10.0.0.9:8000 failed (13: Permission denied) while connecting to upstream
            //- connect 10.0.0.9:8000 -> errno 13
            //- command-fails ip -j route get 10.0.0.9
            RTNETLINK answers: Permission denied
            //- command ip -j route show match 10.0.0.9
            [{"dst":"default","gateway":"10.0.0.1","dev":"eth0","flags":[]},{"type":"prohibit","dst":"10.0.0.0/24","flags":[]}]
        "#]), @"
        answer: peer-unreachable, ongoing
        confirmed: the prohibit route for 10.0.0.0/24 refuses connections to 10.0.0.9
        - log 14:02:11 x1: connect() to 10.0.0.9:8000 failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.9:8000 as nginx's worker: 13: Permission denied
        - command: prohibit 10.0.0.0/24
        - config /etc/nginx/nginx.conf:1: proxy_pass http://10.0.0.9:8000;
        fix, unsafe: remove the prohibit route for 10.0.0.0/24
          $ ip route del prohibit 10.0.0.0/24
          find out first who set it and why; it comes back where a network manager sets it
        ");
    }

    #[test]
    fn confirmed_where_the_peer_does_not_answer_on_the_link() {
        for failed in [TIMED_OUT, UNREACHABLE] {
            let said = check(ID, [NGINX, failed, ON_LINK, r#"
                //- command ip -j neighbour show to 10.0.0.9
                [{"dst":"10.0.0.9","dev":"eth0","state":["FAILED"]}]
            "#]);
            assert!(said.contains("confirmed: 10.0.0.9 does not answer on the network of eth0"), "{said}");
        }
    }

    #[test]
    fn confirmed_where_the_router_does_not_answer() {
        assert_snapshot!(check(ID, [NGINX, TIMED_OUT, r#"
            //- command ip -j route get 10.0.0.9
            [{"dst":"10.0.0.9","gateway":"192.0.2.1","dev":"eth0","prefsrc":"192.0.2.5","flags":[]}]
            //- command ip -j neighbour show to 192.0.2.1
            [{"dst":"192.0.2.1","dev":"eth0","state":["INCOMPLETE"]}]
        "#]), @"
        answer: peer-unreachable, ongoing
        confirmed: the router 192.0.2.1, which leads to 10.0.0.9, does not answer on the network of eth0
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.9:8000 as nginx's worker: no answer
        - command: the way to 10.0.0.9 leads by eth0 over the router 192.0.2.1
        - command: 192.0.2.1 dev eth0 INCOMPLETE: nobody there says that he is 192.0.2.1
        - config /etc/nginx/nginx.conf:1: proxy_pass http://10.0.0.9:8000;
        fix, shown: bring 192.0.2.1 up, or dial the address that is meant
          see whether the router 192.0.2.1 is up; else correct the route to 10.0.0.9
        ");
    }

    #[test]
    fn ruled_out_where_a_rule_drops_it() {
        assert_snapshot!(check(ID, [NGINX, TIMED_OUT, ON_LINK, "
            //- iptables
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -o eth0 -j DROP
        "]), @"
        answer: firewall-drops-connect, ongoing
        ruled out
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.9:8000 as nginx's worker: no answer
        - command: the way to 10.0.0.9 leads by eth0, without a router
        - command: table ip filter, chain OUTPUT: -A OUTPUT -o eth0 -j DROP
        ");
    }

    #[test]
    fn ruled_out_of_the_hosts_own_address() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while connecting to upstream
            //- connect 127.0.0.1:8000 -> timeout
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - file: 127.0.0.1 is an address of this host
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, [NGINX, "
            //- failed 14:02:11 http://10.0.0.9:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        ");
    }

    #[test]
    fn unknown_where_the_neighbour_is_there() {
        assert_snapshot!(check(ID, [NGINX, TIMED_OUT, ON_LINK, r#"
            //- command ip -j neighbour show to 10.0.0.9
            [{"dst":"10.0.0.9","dev":"eth0","state":["REACHABLE"]}]
        "#]), @"
        answer: none, ongoing
        unknown: what becomes of the connection on its way to 10.0.0.9: this host has a route and sends it; the rest is not this host's
        learn: tracepath -n 10.0.0.9
        ");
    }

    #[test]
    fn unknown_once_it_is_reached_again() {
        assert_snapshot!(check(ID, [NGINX, "
            //- failed 14:02:11 http://10.0.0.9:8000/
            connect() failed (113: No route to host) while connecting to upstream
            //- connect 10.0.0.9:8000 -> ok
        ", ON_LINK]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_where_ip_is_not_there() {
        assert_snapshot!(check(ID, [NGINX, TIMED_OUT]), @"
        answer: none, ongoing
        unknown: the way to 10.0.0.9: ip does not tell it
        learn: ip route get 10.0.0.9
        ");
    }
}
