//! See the doc comment of [`NGINX_OUT_OF_LOCAL_PORTS`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

/// The kernel's own range.
const DEFAULT: usize = 28_232;
/// A range that leaves the ports of most services alone.
const WIDE: (u16, u16) = (10_240, 65_535);

declare_cause! {
    /// No local port was left for a connection to the peer.
    ///
    /// Every connection to one address and port takes a local port of its own, and keeps it for a minute after nginx has
    /// closed it.
    ///
    /// ## Confirmed when
    /// The log shows errno 99 from `connect()`, nine of ten ports of the range are taken by connections to this peer now,
    /// and the connection still fails so, or failed so in the last minute.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Keep connections to the peer open, so that a request takes no new port; or allow a wider range.
    /// Unsafe: the range is the whole host's.
    ///
    /// ## Looks like
    /// `connect() to 127.0.0.1:8000 failed (99: Cannot assign requested address) while connecting to upstream`
    pub(crate) static NGINX_OUT_OF_LOCAL_PORTS = {
        id: "nginx-out-of-local-ports", since: "0.1.0", stage: Nginx, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::EphemeralPorts) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Tcp(peer) = incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    let ports = case.ports_to(incident, *peer)?;
    if !ports.are_used_up() {
        let why = format!("{} of {} are taken now", ports.taken, ports.all);
        let hint = if peer.is_ipv6() {
            "nginx had no local address or port for it: this host may have no IPv6 address at all"
        } else {
            "nginx had no local port for it"
        };
        return Err(Gap::undecided(format!("what took the local ports for {peer}"), why).leaning(hint).learn(format!("ss -tan dst {peer} | wc -l")));
    }
    let again = match case.still_failing(incident) {
        Ok(again) => Some(again),
        Err(gap) if gap.kind == facts::GapKind::Pending || !case.is_recent(incident) => return Err(gap),
        // A port comes free now and then.
        Err(_) => None,
    };
    let keep = Fix {
        summary: "keep connections to the peer open".to_owned(),
        safety: Safety::DisplayOnly,
        steps: vec![
            Step::Advice { text: "pass to an upstream with keepalive (such as 32), proxy_http_version 1.1 and an empty proxy_set_header Connection: then a request takes no new port".to_owned() },
            Step::Advice { text: "or give the peer more addresses, or, on this host, a unix socket, which takes no port".to_owned() },
        ],
        verify: Some(AGAIN.to_owned()),
    };
    let widen = Fix {
        summary: "allow a wider range of ports".to_owned(),
        safety: Safety::Unsafe,
        steps: vec![
            ports.widen(WIDE),
            Step::Advice { text: "set it in /etc/sysctl.d to make it last, and keep ports of services out by net.ipv4.ip_local_reserved_ports".to_owned() },
        ],
        verify: Some(AGAIN.to_owned()),
    };
    // A range that somebody narrowed is the nearer reason.
    let fixes = match ports.all {
        all if all < DEFAULT / 2 => vec![widen, keep],
        all if all < usize::from(WIDE.1 - WIDE.0) => vec![keep, widen],
        _ => vec![keep],
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("no local port is left for connections to {peer}: {} of {} are taken", ports.taken, ports.all),
        proof: proof.with(again).and(ports.exhibit(*peer)),
        fixes,
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "nginx-out-of-local-ports";
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- file /proc/sys/net/ipv4/ip_local_port_range
        32768\t60999
        //- file /proc/sys/net/ipv4/ip_local_reserved_ports
        33000-33009
    ";
    const FAILED: &str = "
        //- failed 14:02:11 http://127.0.0.1:8000/ level=crit
        connect() to 127.0.0.1:8000 failed (99: Cannot assign requested address) while connecting to upstream
    ";
    const RECENT: &str = "
        //- failed 14:04:55 http://127.0.0.1:8000/ level=crit
        connect() to 127.0.0.1:8000 failed (99: Cannot assign requested address) while connecting to upstream
        //- process 77
        app
        //- listen tcp 127.0.0.1:8000 pid=77
    ";

    #[test]
    fn confirmed_while_it_still_fails() {
        assert_snapshot!(check(ID, [HOST, FAILED, "
            //- connect 127.0.0.1:8000 -> errno 99
            //- connected 127.0.0.1:32768 -> 127.0.0.1:8000 x28232
        "]), @"
        answer: nginx-out-of-local-ports, ongoing
        confirmed: no local port is left for connections to 127.0.0.1:8000: 28222 of 28222 are taken
        - log 14:02:11 x1: connect() to 127.0.0.1:8000 failed (99: Cannot assign requested address) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 99: Cannot assign requested address
        - sockets: 28222 of the 28222 local ports for 127.0.0.1:8000 (32768 to 60999) are taken now, 28222 of them in TIME-WAIT
        fix, shown: keep connections to the peer open
          pass to an upstream with keepalive (such as 32), proxy_http_version 1.1 and an empty proxy_set_header Connection: then a request takes no new port
          or give the peer more addresses, or, on this host, a unix socket, which takes no port
        fix, unsafe: allow a wider range of ports
          $ sysctl -w net.ipv4.ip_local_port_range=10240 65535
          set it in /etc/sysctl.d to make it last, and keep ports of services out by net.ipv4.ip_local_reserved_ports
        ");
    }

    #[test]
    fn confirmed_where_a_port_comes_free_now_and_then() {
        assert_snapshot!(check(ID, [HOST, RECENT, "
            //- connected 127.0.0.1:33100 -> 127.0.0.1:8000 x27000
        "]), @"
        answer: nginx-out-of-local-ports, ongoing
        confirmed: no local port is left for connections to 127.0.0.1:8000: 27000 of 28222 are taken
        - log 14:04:55 x1: connect() to 127.0.0.1:8000 failed (99: Cannot assign requested address) while connecting to upstream
        - sockets: 27000 of the 28222 local ports for 127.0.0.1:8000 (32768 to 60999) are taken now, 27000 of them in TIME-WAIT
        fix, shown: keep connections to the peer open
          pass to an upstream with keepalive (such as 32), proxy_http_version 1.1 and an empty proxy_set_header Connection: then a request takes no new port
          or give the peer more addresses, or, on this host, a unix socket, which takes no port
        fix, unsafe: allow a wider range of ports
          $ sysctl -w net.ipv4.ip_local_port_range=10240 65535
          set it in /etc/sysctl.d to make it last, and keep ports of services out by net.ipv4.ip_local_reserved_ports
        ");
    }

    #[test]
    fn confirmed_in_a_narrow_range() {
        assert_snapshot!(check(ID, [HOST, FAILED, "
            //- file /proc/sys/net/ipv4/ip_local_port_range
            40000\t40009
            //- connect 127.0.0.1:8000 -> errno 99
            //- connected 127.0.0.1:40000 -> 127.0.0.1:8000 x10
        "]), @"
        answer: nginx-out-of-local-ports, ongoing
        confirmed: no local port is left for connections to 127.0.0.1:8000: 10 of 10 are taken
        - log 14:02:11 x1: connect() to 127.0.0.1:8000 failed (99: Cannot assign requested address) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 99: Cannot assign requested address
        - sockets: 10 of the 10 local ports for 127.0.0.1:8000 (40000 to 40009) are taken now, 10 of them in TIME-WAIT
        fix, unsafe: allow a wider range of ports
          $ sysctl -w net.ipv4.ip_local_port_range=10240 65535
          set it in /etc/sysctl.d to make it last, and keep ports of services out by net.ipv4.ip_local_reserved_ports
        fix, shown: keep connections to the peer open
          pass to an upstream with keepalive (such as 32), proxy_http_version 1.1 and an empty proxy_set_header Connection: then a request takes no new port
          or give the peer more addresses, or, on this host, a unix socket, which takes no port
        ");
    }

    #[test]
    fn unknown_where_connections_to_another_peer_take_them() {
        assert_snapshot!(check(ID, [HOST, FAILED, "
            //- connect 127.0.0.1:8000 -> errno 99
            //- connected 127.0.0.1:32768 -> 127.0.0.1:9000 x28232
        "]), @"
        answer: none, ongoing
        unknown: what took the local ports for 127.0.0.1:8000: 0 of 28222 are taken now
        learn: ss -tan dst 127.0.0.1:8000 | wc -l
        leaning: nginx had no local port for it
        ");
    }

    #[test]
    fn unknown_once_it_is_over() {
        assert_snapshot!(check(ID, [HOST, FAILED, "
            //- connect 127.0.0.1:8000 -> ok
            //- connected 127.0.0.1:32768 -> 127.0.0.1:8000 x28232
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_without_the_right_to_read_the_sockets() {
        assert_snapshot!(check(ID, [HOST, FAILED, "
            //- connect 127.0.0.1:8000 -> errno 99
            //- denied sockets host tcp-connected
        "]), @"
        answer: none, ongoing
        unknown: the socket table: needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn ruled_out_where_the_peer_refuses() {
        assert_snapshot!(check(ID, [HOST, "
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        ");
    }
}
