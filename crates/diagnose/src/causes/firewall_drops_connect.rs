//! See the doc comment of [`FIREWALL_DROPS_CONNECT`].

use facts::{Gap, GapKind, PeerAddress};
use log::error::Class;

use crate::allow;
use crate::case::Case;
use crate::case::firewall::{self, Ruling};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Proof, Verdict};

declare_cause! {
    /// A firewall rule of this host drops nginx's connections to the peer, or the answers to them.
    ///
    /// ## Confirmed when
    /// A connection made as nginx's worker gets no answer now either, and the firewall's rules, walked as the kernel walks
    /// them, leave no other outcome for this very connection than a rule that drops it, or the answer to it. What would
    /// hinder it next is named with it.
    ///
    /// ## Ruled out when
    /// The failure is another one, or no rule in nginx's network namespace drops the connection and the peer is this host.
    ///
    /// ## Fix
    /// Let this connection pass, before the rule that drops it: through ufw where ufw keeps the rule, through firewalld
    /// where one of its policies does, else by a rule of its own.
    /// Unsafe: it opens the firewall for this address and port.
    ///
    /// ## Looks like
    /// `upstream timed out (110: Connection timed out) while connecting to upstream`
    ///
    /// ## See also
    /// `firewall-rejects-connect`: the rule answers with a refusal instead.
    /// `accept-queue-full` looks the same in the log, as does a firewall on the peer's side.
    pub(crate) static FIREWALL_DROPS_CONNECT = {
        id: "firewall-drops-connect", since: "0.1.0", stage: Connect, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::ConnectTimeout) && !incident.is(Class::ConnectTimeoutKernel) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Tcp(address) = *incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    let again = case.still_failing(incident)?;
    let firewall = case.firewall(incident)?;
    match firewall.ruling(110)? {
        Ruling::Drops { rule, is_answer } => {
            let what = if is_answer { "the answers of" } else { "connections to" };
            Ok(Verdict::Confirmed(Confirmation {
                summary: format!("{} drops {what} {address}{}", allow::rule_of(&rule), allow::behind(&firewall)),
                proof: proof.and(again).and(firewall::exhibit(&rule)).with(firewall.behind().iter().map(firewall::exhibit_behind)),
                fixes: vec![allow::fix(&firewall, &rule, is_answer)],
            }))
        }
        Ruling::Passes(_) if !firewall.is_local => Err(Gap::new(
            GapKind::Absent,
            format!("the firewall of {} and those on the way", address.ip()),
            "this host's firewall lets the connection pass, and the rest is not this host's",
        )
        .learn(format!("sudo tcpdump -ni any 'tcp port {}'   (on {})", address.port(), address.ip()))),
        Ruling::Passes(exhibit) => Ok(Verdict::RuledOut(proof.and(again).and(exhibit))),
        Ruling::Rejects(rule) => Ok(Verdict::RuledOut(proof.and(again).and(firewall::exhibit(&rule)))),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "firewall-drops-connect";
    /// nginx dials another host, and nothing answers.
    const REMOTE: &str = r#"
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://10.0.0.9:8000; } } }
        //- failed 14:02:11 http://10.0.0.9:8000/
        upstream timed out (110: Connection timed out) while connecting to upstream
        //- connect 10.0.0.9:8000 -> timeout
        //- command ip -j route get 10.0.0.9
        [{"dst":"10.0.0.9","dev":"eth0","prefsrc":"10.0.0.5","flags":[]}]
    "#;
    /// The same to this host, where gunicorn listens.
    const LOCAL: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:02:11 http://127.0.0.1:8000/
        upstream timed out (110: Connection timed out) while connecting to upstream
        //- process 4120
        gunicorn --bind 127.0.0.1:8000 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120
        //- connect 127.0.0.1:8000 -> timeout
    ";

    #[test]
    fn confirmed_by_the_rule_that_drops_this_connection() {
        assert_snapshot!(check(ID, [REMOTE, "
            //- iptables
            *filter
            :INPUT ACCEPT
            :OUTPUT ACCEPT
            -A OUTPUT -o lo -j ACCEPT
            -A OUTPUT -p tcp -m multiport --dports 3306,8000 -j DROP
        "]), @"
        answer: firewall-drops-connect, ongoing
        confirmed: a firewall rule drops connections to 10.0.0.9:8000
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.9:8000 as nginx's worker: no answer
        - command: table ip filter, chain OUTPUT: -A OUTPUT -p tcp -m multiport --dports 3306,8000 -j DROP
        fix, unsafe: let connections to 10.0.0.9:8000 pass
          $ iptables -t filter -I OUTPUT 2 -p tcp -d 10.0.0.9 --dport 8000 -j ACCEPT
          add it where these rules are kept (/etc/iptables or what loads them): it is lost when they are loaded anew
        ");
    }

    #[test]
    fn confirmed_by_the_policy_of_a_chain() {
        assert_snapshot!(check(ID, [LOCAL, "
            //- iptables
            *filter
            :INPUT DROP
            :OUTPUT ACCEPT
            -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
            -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        "]), @"
        answer: firewall-drops-connect, ongoing
        confirmed: a firewall rule drops connections to 127.0.0.1:8000
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: no answer
        - command: table ip filter, chain INPUT: policy drop
        fix, unsafe: let connections to 127.0.0.1:8000 pass
          $ iptables -t filter -A INPUT -p tcp -d 127.0.0.1 --dport 8000 -j ACCEPT
          add it where these rules are kept (/etc/iptables or what loads them): it is lost when they are loaded anew
        ");
    }

    #[test]
    fn confirmed_where_the_answer_is_dropped() {
        assert_snapshot!(check(ID, [REMOTE, "
            //- iptables
            *filter
            :INPUT DROP
            :OUTPUT ACCEPT
            -A INPUT -i lo -j ACCEPT
            -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
        "]), @r#"
        answer: firewall-drops-connect, ongoing
        confirmed: a firewall rule drops the answers of 10.0.0.9:8000
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.9:8000 as nginx's worker: no answer
        - command: table ip filter, chain INPUT: policy drop
        fix, shown: let connections to 10.0.0.9:8000 pass
          accept what belongs to connections that are there already, such as "ct state established accept", in table ip filter, chain INPUT, before it is dropped
        "#);
    }

    #[test]
    fn confirmed_with_what_hinders_next() {
        assert_snapshot!(check(ID, [REMOTE, "
            //- iptables
            *filter
            :INPUT DROP
            :OUTPUT DROP
            -A INPUT -i lo -j ACCEPT
        "]), @r#"
        answer: firewall-drops-connect, ongoing
        confirmed: a firewall rule drops connections to 10.0.0.9:8000; behind it the answers are dropped too
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.9:8000 as nginx's worker: no answer
        - command: table ip filter, chain OUTPUT: policy drop
        - command: behind it, for the answers: table ip filter, chain INPUT: policy drop
        fix, shown: let connections to 10.0.0.9:8000 pass
          $ iptables -t filter -A OUTPUT -p tcp -d 10.0.0.9 --dport 8000 -j ACCEPT
          add it where these rules are kept (/etc/iptables or what loads them): it is lost when they are loaded anew
          accept what belongs to connections that are there already, such as "ct state established accept", in table ip filter, chain INPUT, before it is dropped
        "#);
        // What belongs to connections that are there comes in: one rule suffices.
        let one = check(ID, [REMOTE, "
            //- iptables
            *filter
            :INPUT DROP
            :OUTPUT DROP
            -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        "]);
        assert!(one.contains("confirmed: a firewall rule drops connections to 10.0.0.9:8000\n") && !one.contains("behind"), "{one}");
        // What may hinder next and may not is left out.
        let unsure = check(ID, [REMOTE, "
            //- iptables
            *filter
            :INPUT ACCEPT
            :OUTPUT DROP
            -A INPUT -m set --match-set blocked src -j DROP
        "]);
        assert!(unsure.contains("confirmed: a firewall rule drops connections to 10.0.0.9:8000\n") && !unsure.contains("behind"), "{unsure}");
    }

    #[test]
    fn confirmed_on_both_sides_of_loopback() {
        assert_snapshot!(check(ID, [LOCAL, "
            //- iptables
            *filter
            :INPUT DROP
            :OUTPUT DROP
        "]), @r#"
        answer: firewall-drops-connect, ongoing
        confirmed: a firewall rule drops connections to 127.0.0.1:8000; behind it another does, and the answers are dropped too
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: no answer
        - command: table ip filter, chain OUTPUT: policy drop
        - command: behind it, for the connection: table ip filter, chain INPUT: policy drop
        - command: behind it, for the answers: table ip filter, chain OUTPUT: policy drop
        - command: behind it, for the answers: table ip filter, chain INPUT: policy drop
        fix, shown: let connections to 127.0.0.1:8000 pass
          $ iptables -t filter -A OUTPUT -p tcp -d 127.0.0.1 --dport 8000 -j ACCEPT
          $ iptables -t filter -A INPUT -p tcp -d 127.0.0.1 --dport 8000 -j ACCEPT
          add it where these rules are kept (/etc/iptables or what loads them): it is lost when they are loaded anew
          accept what belongs to connections that are there already, such as "ct state established accept", in table ip filter, chain OUTPUT, before it is dropped
          accept what belongs to connections that are there already, such as "ct state established accept", in table ip filter, chain INPUT, before it is dropped
        "#);
    }

    #[test]
    fn ruled_out_where_the_rules_let_it_pass_to_a_full_queue() {
        assert_snapshot!(check(ID, [LOCAL, "
            //- iptables
            *filter
            :INPUT DROP
            :OUTPUT ACCEPT
            -A INPUT -i lo -j ACCEPT
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: no answer
        - command: no firewall rule of this host rejects, drops or redirects a connection to 127.0.0.1:8000
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        ");
    }

    #[test]
    fn unknown_of_what_is_not_this_hosts() {
        assert_snapshot!(check(ID, [REMOTE]), @"
        answer: none, ongoing
        unknown: the firewall of 10.0.0.9 and those on the way: this host's firewall lets the connection pass, and the rest is not this host's
        learn: sudo tcpdump -ni any 'tcp port 8000'   (on 10.0.0.9)
        ");
    }

    #[test]
    fn unknown_where_it_cannot_be_told_whether_the_rule_matches() {
        assert_snapshot!(check(ID, [REMOTE, "
            //- iptables
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -m set --match-set blocked dst -j DROP
        "]), @"
        answer: none, ongoing
        unknown: whether the firewall lets 10.0.0.9:8000 pass: it cannot be told whether this rule matches: -A OUTPUT -m set --match-set blocked dst -j DROP (table ip filter, chain OUTPUT)
        learn: sudo nft list ruleset
        leaning: a firewall rule may drop it: -A OUTPUT -m set --match-set blocked dst -j DROP
        ");
    }

    #[test]
    fn unknown_without_the_way_to_the_peer() {
        // Which device the packets leave by decides.
        assert_snapshot!(check(ID, [REMOTE, "
            //- denied command ip
            //- iptables
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -o eth0 -j DROP
        "]), @"
        answer: none, ongoing
        unknown: the way to 10.0.0.9: ip does not tell it
        learn: ip route get 10.0.0.9
        ");
    }

    #[test]
    fn unknown_once_it_is_answered_again() {
        assert_snapshot!(check(ID, [LOCAL, "
            //- connect 127.0.0.1:8000 -> ok
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }
}
