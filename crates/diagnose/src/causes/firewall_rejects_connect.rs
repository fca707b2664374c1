//! See the doc comment of [`FIREWALL_REJECTS_CONNECT`].

use facts::{Exhibit, Gap, GapKind, PeerAddress};
use log::error::{Class, While};

use crate::allow;
use crate::case::firewall::{self, Ruling};
use crate::case::{Case, known, network};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Proof, Step, Verdict};

declare_cause! {
    /// A firewall rule of this host rejects nginx's connections to the peer.
    ///
    /// ## Confirmed when
    /// A connection made as nginx's worker fails now as it failed for nginx, and the firewall's rules, walked as the
    /// kernel walks them, leave no other outcome for this very connection than a rule that refuses it with that errno:
    /// 111 for a TCP reset or "port unreachable", 113 for "host unreachable" and "administratively prohibited", 101 for
    /// "network unreachable".
    ///
    /// ## Ruled out when
    /// The failure is another one, or no rule in nginx's network namespace rejects the connection and the peer is this
    /// host.
    ///
    /// ## Fix
    /// Let this connection pass, before the rule that rejects it: through ufw where ufw keeps the rule, through firewalld
    /// where one of its policies does, else by a rule of its own.
    /// Unsafe: it opens the firewall for this address and port.
    ///
    /// ## Looks like
    /// `connect() failed (111: Connection refused) while connecting to upstream`, or the same with
    /// `113: No route to host`.
    ///
    /// ## See also
    /// `peer-not-listening` looks the same in the log, and may be true as well: the firewall hides it.
    /// `firewall-drops-connect`: the rule is silent instead.
    pub(crate) static FIREWALL_REJECTS_CONNECT = {
        id: "firewall-rejects-connect", since: "0.1.0", stage: Connect, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if incident.action != Some(While::ConnectingToUpstream) || !may_be_rejected(incident) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Tcp(address) = *incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    let again = case.still_failing(incident)?;
    let firewall = case.firewall(incident)?;
    match firewall.ruling(incident.errno.unwrap_or(0))? {
        Ruling::Rejects(rule) => {
            let next = next(incident, case, address)?;
            let mut fix = allow::fix(&firewall, &rule, false);
            if let Next::Nobody(_) = &next {
                fix.steps.push(Step::Advice {
                    text: format!("this alone will not do: nothing listens on {address}; then start what is to listen there"),
                });
            }
            Ok(Verdict::Confirmed(Confirmation {
                summary: format!("{} rejects connections to {address}{}", allow::rule_of(&rule), allow::behind(&firewall)),
                proof: proof
                    .and(again)
                    .and(firewall::exhibit(&rule))
                    .with(firewall.behind().iter().map(firewall::exhibit_behind))
                    .with(next.exhibit()),
                fixes: vec![fix],
            }))
        }
        Ruling::Passes(_) if !firewall.is_local => Err(Gap::new(
            GapKind::Absent,
            format!("the firewall of {} and those on the way", address.ip()),
            "this host's firewall lets the connection pass, and the rest is not this host's",
        )
        .learn(format!("sudo nft list ruleset   (on {})", address.ip()))),
        Ruling::Passes(exhibit) => Ok(Verdict::RuledOut(proof.and(again).and(exhibit))),
        Ruling::Drops { rule, .. } => Ok(Verdict::RuledOut(proof.and(again).and(firewall::exhibit(&rule)))),
    }
}

/// Whether a rejecting rule can give this failure (`icmp_err_convert` in the kernel).
fn may_be_rejected(incident: &Incident) -> bool {
    matches!(
        incident.failure,
        Some(
            Class::ConnectRefused
                | Class::HostUnreachable
                | Class::NetworkUnreachable
                | Class::PermissionDenied
                | Class::HostDown
                | Class::ConnectError
        )
    )
}

/// What comes next once the firewall lets the connection pass.
enum Next {
    Listener(Exhibit),
    /// Nobody listens: the firewall hides that.
    Nobody(Exhibit),
    /// The peer is another host, or its listeners are not known.
    Unknown,
}

impl Next {
    fn exhibit(self) -> Option<Exhibit> {
        match self {
            Self::Listener(exhibit) | Self::Nobody(exhibit) => Some(exhibit),
            Self::Unknown => None,
        }
    }
}

fn next(incident: &Incident, case: &Case, address: std::net::SocketAddr) -> Result<Next, Gap> {
    let Some(listeners) = known(case.listeners_near(incident))? else {
        return Ok(Next::Unknown);
    };
    Ok(match network::listener_on(&listeners, address) {
        Ok(Some(listener)) => Next::Listener(listener.exhibit()),
        Ok(None) => Next::Nobody(Exhibit::Record {
            probe: "sockets",
            at: None,
            text: format!("nothing listens on {address} either: that comes next"),
        }),
        Err(_) => Next::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "firewall-rejects-connect";
    /// nginx dials 127.0.0.1:8000, where gunicorn listens, and is refused.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:02:11 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
        //- process 4120
        gunicorn --bind 127.0.0.1:8000 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";
    const REFUSED: &str = "
        //- connect 127.0.0.1:8000 -> errno 111
    ";
    /// The same to another host.
    const REMOTE: &str = r#"
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://10.0.0.9:8000; } } }
        //- failed 14:02:11 http://10.0.0.9:8000/
        connect() failed (111: Connection refused) while connecting to upstream
        //- connect 10.0.0.9:8000 -> errno 111
        //- command ip -j route get 10.0.0.9
        [{"dst":"10.0.0.9","dev":"eth0","prefsrc":"10.0.0.5","flags":[]}]
    "#;

    #[test]
    fn unknown_where_a_rule_leads_it_to_where_nobody_listens() {
        let redirected = |port: u16| {
            check(ID, [HOST, REFUSED, &format!("
                //- iptables
                *nat
                :OUTPUT ACCEPT
                -A OUTPUT -p tcp -m tcp --dport 8000 -j DNAT --to-destination 127.0.0.1:{port}
            ")])
        };
        assert_snapshot!(redirected(9000), @"
        answer: none, ongoing
        unknown: whether the firewall lets 127.0.0.1:8000 pass: a rule sends it elsewhere (DNAT to 127.0.0.1:9000): -A OUTPUT -p tcp -m tcp --dport 8000 -j DNAT --to-destination 127.0.0.1:9000
        learn: sudo nft list ruleset
        leaning: a firewall rule sends it elsewhere (DNAT to 127.0.0.1:9000): table ip nat, chain OUTPUT, -A OUTPUT -p tcp -m tcp --dport 8000 -j DNAT --to-destination 127.0.0.1:9000; nothing listens on 127.0.0.1:9000
        ");
        assert!(redirected(8000).contains("; gunicorn (pid 4120) listens on 127.0.0.1:8000"), "{}", redirected(8000));
    }

    #[test]
    fn confirmed_by_the_rule_that_refuses_this_connection() {
        assert_snapshot!(check(ID, [HOST, REFUSED, "
            //- iptables
            *filter
            :INPUT ACCEPT
            :OUTPUT ACCEPT
            -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
            -A INPUT -p tcp -m tcp --dport 8000:8010 -j REJECT --reject-with icmp-port-unreachable
        "]), @"
        answer: firewall-rejects-connect, ongoing
        confirmed: a firewall rule rejects connections to 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - command: table ip filter, chain INPUT: -A INPUT -p tcp -m tcp --dport 8000:8010 -j REJECT --reject-with icmp-port-unreachable
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        fix, unsafe: let connections to 127.0.0.1:8000 pass
          $ iptables -t filter -I INPUT 2 -p tcp -d 127.0.0.1 --dport 8000 -j ACCEPT
          add it where these rules are kept (/etc/iptables or what loads them): it is lost when they are loaded anew
        ");
    }

    #[test]
    fn confirmed_by_nft_for_the_workers_user() {
        assert_snapshot!(check(ID, [HOST, REFUSED, r#"
            //- chain inet filter output rules=1
            //- command nft -j list ruleset
            {"nftables": [
            {"chain": {"family": "inet", "table": "t", "name": "c", "handle": 1, "type": "filter", "hook": "output", "prio": 0, "policy": "accept"}},
            {"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 7, "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": "skuid"}}, "right": 33}},
            {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": {"set": [3306, 8000]}}},
            {"counter": {"packets": 3, "bytes": 180}}, {"reject": {"type": "tcp reset"}}]}}
            ]}
        "#]), @"
        answer: firewall-rejects-connect, ongoing
        confirmed: a firewall rule rejects connections to 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - command: table inet t, chain c: meta skuid 33 tcp dport { 3306, 8000 } reject with tcp reset
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        fix, unsafe: let connections to 127.0.0.1:8000 pass
          $ nft insert rule inet t c handle 7 ip daddr 127.0.0.1 tcp dport 8000 accept
          add it where these rules are kept (/etc/nftables.conf or what loads it): it is lost when they are loaded anew
        ");
    }

    #[test]
    fn confirmed_with_ufws_own_command() {
        assert_snapshot!(check(ID, [REMOTE, "
            //- iptables
            *filter
            :INPUT ACCEPT
            :OUTPUT ACCEPT
            :ufw-user-output -
            -A OUTPUT -j ufw-user-output
            -A ufw-user-output -p tcp -m tcp --dport 8000 -j REJECT --reject-with tcp-reset
        "]), @"
        answer: firewall-rejects-connect, ongoing
        confirmed: ufw's firewall rule rejects connections to 10.0.0.9:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.9:8000 as nginx's worker: 111: Connection refused
        - command: table ip filter, chain ufw-user-output: -A ufw-user-output -p tcp -m tcp --dport 8000 -j REJECT --reject-with tcp-reset
        fix, unsafe: let connections to 10.0.0.9:8000 pass
          $ ufw prepend allow out proto tcp to 10.0.0.9 port 8000
        ");
    }

    #[test]
    fn confirmed_though_nobody_listens_which_comes_next() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- iptables-legacy
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -o lo -j REJECT --reject-with icmp-port-unreachable
        "]), @r#"
        answer: firewall-rejects-connect, ongoing
        confirmed: a firewall rule rejects connections to 127.0.0.1:8000; behind it the answers are dropped too
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - command: table ip filter, chain OUTPUT, legacy: -A OUTPUT -o lo -j REJECT --reject-with icmp-port-unreachable
        - command: behind it, for the answers: table ip filter, chain OUTPUT, legacy: -A OUTPUT -o lo -j REJECT --reject-with icmp-port-unreachable
        - sockets: nothing listens on 127.0.0.1:8000 either: that comes next
        fix, shown: let connections to 127.0.0.1:8000 pass
          $ iptables-legacy -t filter -I OUTPUT 1 -p tcp -d 127.0.0.1 --dport 8000 -j ACCEPT
          add it where these rules are kept (/etc/iptables or what loads them): it is lost when they are loaded anew
          accept what belongs to connections that are there already, such as "ct state established accept", in table ip filter, chain OUTPUT, legacy, before it is dropped
          this alone will not do: nothing listens on 127.0.0.1:8000; then start what is to listen there
        "#);
    }

    #[test]
    fn confirmed_by_a_rule_that_speaks_of_an_unreachable_host() {
        assert_snapshot!(check(ID, [r#"
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://10.0.0.9:8000; } } }
            //- failed 14:02:11 http://10.0.0.9:8000/
            connect() failed (113: No route to host) while connecting to upstream
            //- connect 10.0.0.9:8000 -> errno 113
            //- command ip -j route get 10.0.0.9
            [{"dst":"10.0.0.9","dev":"eth0","prefsrc":"10.0.0.5","flags":[]}]
            //- iptables
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -d 10.0.0.0/8 -o eth0 -j REJECT --reject-with icmp-host-prohibited
        "#]), @"
        answer: firewall-rejects-connect, ongoing
        confirmed: a firewall rule rejects connections to 10.0.0.9:8000
        - log 14:02:11 x1: connect() failed (113: No route to host) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.9:8000 as nginx's worker: 113: No route to host
        - command: table ip filter, chain OUTPUT: -A OUTPUT -d 10.0.0.0/8 -o eth0 -j REJECT --reject-with icmp-host-prohibited
        fix, unsafe: let connections to 10.0.0.9:8000 pass
          $ iptables -t filter -I OUTPUT 1 -p tcp -d 10.0.0.9 --dport 8000 -j ACCEPT
          add it where these rules are kept (/etc/iptables or what loads them): it is lost when they are loaded anew
        ");
    }

    #[test]
    fn ruled_out_where_a_rule_is_for_another_port_and_nobody_listens() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- iptables
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -p tcp -m tcp --dport 8001 -j REJECT --reject-with tcp-reset
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - command: no firewall rule of this host rejects, drops or redirects a connection to 127.0.0.1:8000
        ");
    }

    #[test]
    fn ruled_out_by_a_failure_after_connecting() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        ");
    }

    #[test]
    fn unknown_where_the_rule_was_taken_away_since() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_where_a_limit_decides() {
        assert_snapshot!(check(ID, [HOST, REFUSED, "
            //- iptables
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -p tcp -m tcp --dport 8000 -m limit --limit 3/min -j ACCEPT
            -A OUTPUT -p tcp -m tcp --dport 8000 -j REJECT --reject-with tcp-reset
        "]), @"
        answer: none, ongoing
        unknown: whether the firewall lets 127.0.0.1:8000 pass: it cannot be told whether this rule matches: -A OUTPUT -p tcp -m tcp --dport 8000 -m limit --limit 3/min -j ACCEPT (table ip filter, chain OUTPUT)
        learn: sudo nft list ruleset
        leaning: a firewall rule may reject it: -A OUTPUT -p tcp -m tcp --dport 8000 -j REJECT --reject-with tcp-reset
        ");
    }

    #[test]
    fn unknown_where_the_rule_refuses_in_another_way() {
        assert_snapshot!(check(ID, [HOST, REFUSED, "
            //- iptables
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -p tcp -m tcp --dport 8000 -j REJECT --reject-with icmp-host-prohibited
        "]), @"
        answer: none, ongoing
        unknown: whether the firewall lets 127.0.0.1:8000 pass: its rules speak of another failure
        learn: sudo nft list ruleset
        ");
    }

    #[test]
    fn unknown_of_another_hosts_firewall() {
        assert_snapshot!(check(ID, [REMOTE]), @"
        answer: none, ongoing
        unknown: the firewall of 10.0.0.9 and those on the way: this host's firewall lets the connection pass, and the rest is not this host's
        learn: sudo nft list ruleset   (on 10.0.0.9)
        ");
    }

    #[test]
    fn unknown_without_the_right_to_read_the_rules() {
        assert_snapshot!(check(ID, [HOST, REFUSED, "
            //- denied netfilter-chains
        "]), @"
        answer: none, ongoing
        unknown: the netfilter chains: needs root
        learn: sudo nft list ruleset
        ");
    }

    #[test]
    fn unknown_when_nothing_may_be_sent() {
        assert_snapshot!(check(ID, [HOST, REFUSED, "
            //- options no-connect
        "]), @"
        answer: none, over
        unknown: whether 127.0.0.1:8000 still fails: --no-connect sends nothing
        learn: why502   (without --no-connect)
        ");
    }

    #[test]
    fn virtual_servers_of_other_addresses_take_nothing() {
        let table = |service: &str| format!("
            //- connect 127.0.0.1:8000 -> errno 111
            //- file /proc/self/net/ip_vs
            IP Virtual Server version 1.2.1 (size=4096)
            TCP  {service} rr
        ");
        let says = |service: &str| {
            let said = check(ID, [HOST, &table(service)]);
            said.lines().nth(1).unwrap_or_default().to_owned()
        };
        assert!(says("0A60000A:1F40").starts_with("ruled out"), "{}", says("0A60000A:1F40"));
        assert!(says("7F000001:0050").starts_with("ruled out"));
        assert!(says("7F000001:1F40").contains("virtual servers (IPVS) may redirect it"), "{}", says("7F000001:1F40"));
    }

    #[test]
    fn a_rule_of_ufws_for_this_very_peer_is_turned_round() {
        let fixes = |rule: &str| {
            let rules = format!("
                //- iptables
                *filter
                :OUTPUT ACCEPT
                :ufw-user-output -
                -A OUTPUT -j ufw-user-output
                -A ufw-user-output {rule} -j REJECT --reject-with tcp-reset
            ");
            let said = check(ID, [REMOTE, &rules]);
            said.lines().filter_map(|line| line.trim().strip_prefix("$ ufw ").map(str::to_owned)).collect::<Vec<_>>()
        };
        let allow = "allow out proto tcp to 10.0.0.9 port 8000";
        assert_eq!(fixes("-d 10.0.0.9/32 -p tcp -m tcp --dport 8000"), [format!("prepend {allow}"), allow.to_owned()]);
        assert_eq!(fixes("-d 10.0.0.0/24 -p tcp -m tcp --dport 8000"), [format!("prepend {allow}")]);
        assert_eq!(fixes("-d 10.0.0.9/32 -p tcp"), [format!("prepend {allow}")]);
    }
}
