//! See the doc comment of [`PEER_NOT_LISTENING`].

use facts::{Exhibit, Gap, GapKind, PeerAddress};
use log::error::Class;

use crate::case::{Case, firewall, known, network};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// Nothing accepts connections on the peer's address.
    ///
    /// ## Confirmed when
    /// The log shows errno 111 for a TCP peer on this host, no socket listens on its address in nginx's network
    /// namespace, no firewall rule rejects or redirects the connection, and a connection made as nginx's worker is refused now.
    /// Once something listens there again: its unit's journal, or the application's own log, says that it had been stopped
    /// in every failing second.
    ///
    /// ## Ruled out when
    /// The failure is another one, or a socket listens there while the connection is still refused.
    /// Where a firewall rule of this host refuses it before it gets there, that is why; that nothing listens comes next.
    ///
    /// ## Fix
    /// Start the unit that owns the address, or repair what keeps it from starting.
    /// Unsafe: it starts a service.
    /// Where no file of the configuration dials the address any more, reload nginx first.
    ///
    /// ## Looks like
    /// `connect() failed (111: Connection refused) while connecting to upstream`
    ///
    /// ## See also
    /// `peer-port-mismatch`, `peer-address-mismatch`, `peer-family-mismatch`, `peer-transport-mismatch` and
    /// `peer-in-other-netns` say more: the application runs, but listens elsewhere.
    /// `firewall-rejects-connect` looks the same in the log.
    pub(crate) static PEER_NOT_LISTENING = {
        id: "peer-not-listening", since: "0.1.0", stage: Connect, refines: [],
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
    let listeners = case.listeners_near(incident)?;
    if let Some(listener) = network::listener_on(&listeners, address)? {
        let gap = match case.still_failing(incident) {
            Ok(again) => return Ok(Verdict::RuledOut(proof.and(listener.exhibit()).and(again))),
            Err(gap) if gap.kind == GapKind::Pending => return Err(gap),
            Err(gap) => gap,
        };
        if let Some((unit, when)) = case.was_down(incident, &listener.holders)? {
            return Ok(Verdict::Confirmed(Confirmation {
                summary: format!("nothing listened on {address}: {unit} did not run; it does again"),
                proof: proof.with(when).and(listener.exhibit()),
                fixes: Vec::new(),
            }));
        }
        if let Some((who, when)) = case.was_stopped(incident)? {
            return Ok(Verdict::Confirmed(Confirmation {
                summary: format!("nothing listened on {address}: it was stopped; {who} was started since"),
                proof: proof.with(when).and(listener.exhibit()),
                fixes: Vec::new(),
            }));
        }
        // A process that ran before the first failure may have begun to listen only after it.
        return Err(gap.leaning(format!(
            "{} listens on {} now; it may not have when it failed",
            listener.who(),
            listener.address
        )));
    }
    let again = case.still_failing(incident)?;
    let unhindered = match case.unhindered(incident)? {
        Ok(unhindered) => unhindered,
        // The connection does not get as far: what is true as well comes to light once it does.
        Err(rule) => return Err(firewall::stands_before(&rule, &format!("nothing listens on {address} either"))),
    };
    let silence = Exhibit::Record {
        probe: "sockets",
        at: None,
        text: format!("no socket listens on {address}; {}", those_that_do(&listeners)),
    };
    let netns = case.in_nginx_netns(incident)?;
    let proof = proof.and(again).and(silence).and(unhindered);
    let owner = known(case.owner(incident))?.flatten();
    let place = match netns {
        Some(pid) => format!("{address} in nginx's network namespace (that of pid {pid})"),
        None => address.to_string(),
    };
    let mut confirmation = match owner {
        Some(owner) => Confirmation {
            summary: format!("nothing listens on {place}: {}", owner.state()),
            proof: proof.with(owner.exhibits()),
            fixes: vec![owner.start()],
        },
        None => unowned(&place, proof, address, netns),
    };
    if let Some(text) = known(case.taken_by_a_reload(incident))?.flatten() {
        // What is to start where no file points to any more, nobody knows.
        confirmation.fixes.retain(|fix| fix.safety != Safety::DisplayOnly);
        let (exhibits, advice): (Vec<_>, Vec<_>) =
            case.dead_on_disk(incident)?.into_iter().map(|dead| (dead.exhibits, Step::Advice { text: dead.advice })).unzip();
        confirmation.proof = confirmation.proof.with(exhibits.into_iter().flatten());
        let reload = Fix {
            summary: "have nginx take what stands in its files now".to_owned(),
            safety: Safety::Unsafe,
            steps: [vec![Step::Advice { text }], advice, case.reload_steps(incident)?].concat(),
            verify: Some(AGAIN.to_owned()),
        };
        confirmation.fixes.insert(0, reload);
    }
    Ok(Verdict::Confirmed(confirmation))
}

/// The listeners that are there, so that nobody has to look for them.
fn those_that_do(listeners: &[network::Listener]) -> String {
    const SHOWN: usize = 6;
    let others: Vec<&network::Listener> = listeners.iter().filter(|listener| !listener.is_nginx()).collect();
    if others.is_empty() {
        return "nothing but nginx listens on TCP".to_owned();
    }
    let named: Vec<String> =
        others.iter().take(SHOWN).map(|listener| format!("{} {}", listener.address, listener.who())).collect();
    let more = others.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("these do: {}{more}", named.join(", "))
}

/// Nobody is known to own the address.
fn unowned(place: &str, proof: Proof, address: std::net::SocketAddr, netns: Option<u32>) -> Confirmation {
    let look = format!("ss -ltn 'sport = :{}'", address.port());
    Confirmation {
        summary: format!("nothing listens on {place}"),
        proof,
        fixes: vec![Fix {
            summary: format!("start the application that is to listen on {address}"),
            safety: Safety::DisplayOnly,
            steps: vec![Step::Advice {
                text: format!("start the application that is to listen on {address}, or correct the address that nginx dials"),
            }],
            verify: Some(match netns {
                Some(pid) => format!("sudo nsenter -t {pid} -n {look}"),
                None => look,
            }),
        }],
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::{answers, check};

    const ID: &str = "peer-not-listening";
    /// nginx dials 127.0.0.1:8000, is refused, and goes on.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:02:11 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
    ";
    /// Its unit listens there again.
    const BACK: &str = "
        //- unit shop.service ActiveState=active SubState=running
        //- process 4120 start=14:03:00 cgroup=/system.slice/shop.service
        gunicorn --bind 127.0.0.1:8000 shop.wsgi
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";

    #[test]
    fn confirmed_where_nothing_listens_and_the_connection_is_refused_again() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: peer-not-listening, ongoing
        confirmed: nothing listens on 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: no socket listens on 127.0.0.1:8000; nothing but nginx listens on TCP
        - netfilter-chains: no firewall rule is in force on this host
        fix, shown: start the application that is to listen on 127.0.0.1:8000
          start the application that is to listen on 127.0.0.1:8000, or correct the address that nginx dials
        ");
    }

    #[test]
    fn confirmed_at_the_hosts_own_address() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- local 10.0.0.5
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://10.0.0.5:8000; } } }
            //- failed 14:02:11 http://10.0.0.5:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        confirmed: nothing listens on 10.0.0.5:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.5:8000 as nginx's worker: 111: Connection refused
        - sockets: no socket listens on 10.0.0.5:8000; nothing but nginx listens on TCP
        - netfilter-chains: no firewall rule is in force on this host
        fix, shown: start the application that is to listen on 10.0.0.5:8000
          start the application that is to listen on 10.0.0.5:8000, or correct the address that nginx dials
        ");
    }

    #[test]
    fn over_once_nginx_dials_elsewhere() {
        // Reloaded with another address; why the old one failed, nobody looked.
        let corrected = |workers: &str| format!("
            //- nginx workers-start={workers}
            //- file /etc/nginx/nginx.conf ctime=14:03:00
            http {{ server {{ location / {{ proxy_pass http://127.0.0.1:8001; }} }} }}
            //- failed 14:04:30 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ");
        assert_snapshot!(check(ID, [&corrected("14:04:40"), "//- connect 127.0.0.1:8001 -> ok"]), @"
        answer: none, over
        unknown: whether it held when it failed: nginx has been told to dial elsewhere since
        ");
        // Workers that started before the last failure may still dial it.
        let said = check(ID, [&corrected("14:03:10")]);
        assert!(said.contains(", ongoing"), "{said}");
    }

    #[test]
    fn ongoing_where_nginx_may_not_use_its_own_address() {
        // A connection that is not bound to it succeeds.
        let said = crate::fixture::answers(["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_bind 203.0.113.1; proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:04:50 http://127.0.0.1:8000/ level=crit
            bind(203.0.113.1) failed (99: Cannot assign requested address) while connecting to upstream
            //- process 4120
            app
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]);
        assert!(said.contains(", ongoing"), "{said}");
    }

    #[test]
    fn confirmed_where_the_listener_takes_ipv6_alone() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120
            app
            //- listen tcp [::]:8000 pid=4120 v6only
        "]), @"
        answer: peer-not-listening, ongoing
        confirmed: nothing listens on 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: no socket listens on 127.0.0.1:8000; these do: [::]:8000 app (pid 4120)
        - netfilter-chains: no firewall rule is in force on this host
        fix, shown: start the application that is to listen on 127.0.0.1:8000
          start the application that is to listen on 127.0.0.1:8000, or correct the address that nginx dials
        ");
    }

    #[test]
    fn confirmed_with_the_state_of_the_unit_that_is_meant_to_listen() {
        // It says why.
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/srv/shop/venv/bin/gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- unit shop.service ActiveState=failed SubState=failed Result=exit-code ExecMainCode=1 ExecMainStatus=1
            //- journal shop.service
            14:02:10 [Errno 98] Address already in use
            14:02:10.5 exited ExecStart
            14:02:10.6 failed
        "]), @"
        answer: peer-not-listening, ongoing
        confirmed: nothing listens on 127.0.0.1:8000: shop.service has failed (exit-code, status 1)
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: no socket listens on 127.0.0.1:8000; nothing but nginx listens on TCP
        - netfilter-chains: no firewall rule is in force on this host
        - unit: shop.service has ExecStart=/srv/shop/venv/bin/gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - unit: shop.service has failed (exit-code, status 1)
        - journal 14:02:10: [Errno 98] Address already in use
        - journal 14:02:10: shop.service exited ExecStart
        - journal 14:02:10: shop.service failed
        fix, unsafe: start shop.service
          mend what keeps it from running: journalctl -u shop.service
          $ systemctl start shop.service
        ");
    }

    #[test]
    fn confirmed_by_the_journal_once_the_unit_runs_again() {
        assert_snapshot!(check(ID, [HOST, BACK, "
            //- journal shop.service
            14:01:00 stopped
            14:03:00 started
        "]), @"
        answer: peer-not-listening, over
        confirmed: nothing listened on 127.0.0.1:8000: shop.service did not run; it does again
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - journal 14:01:00: shop.service stopped or ended
        - journal 14:03:00: shop.service was started
        - sockets 14:03:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        ");
    }

    #[test]
    fn confirmed_by_the_applications_own_log_once_it_runs_again() {
        let host = |failed: &str, started: &str, pid: u32| check(ID, [&HOST.replace("14:02:11", failed), &format!("
            //- process 4120 start={started}
            gunicorn --bind 127.0.0.1:8000 shop.wsgi
            //- listen tcp 127.0.0.1:8000 pid=4120
            //- link /proc/4120/fd/2 -> /var/log/shop.log
            //- file /var/log/shop.log
            [2026-06-23 14:02:08 +0000] [3120] [INFO] Handling signal: term
            [2026-06-23 14:02:09 +0000] [3120] [INFO] Shutting down: Master
            [2026-06-23 14:02:30 +0000] [{pid}] [INFO] Starting gunicorn 21.2.0
            [2026-06-23 14:02:31 +0000] [{pid}] [INFO] Listening at: http://127.0.0.1:8000 ({pid})
        ")]);
        assert_snapshot!(host("14:02:11", "14:02:30", 4120), @"
        answer: peer-not-listening, over
        confirmed: nothing listened on 127.0.0.1:8000: it was stopped; gunicorn (pid 4120) was started since
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - application-log 14:02:08: [2026-06-23 14:02:08 +0000] [3120] [INFO] Handling signal: term
        - application-log 14:02:31: [2026-06-23 14:02:31 +0000] [4120] [INFO] Listening at: http://127.0.0.1:8000 (4120)
        - sockets 14:02:30: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        ");
        assert_snapshot!(host("14:02:07", "14:02:30", 4120), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        leaning: gunicorn (pid 4120) listens on 127.0.0.1:8000 now; it may not have when it failed
        ");
        // The log tells of another one.
        assert_snapshot!(host("14:02:11", "14:03:30", 4000), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        leaning: gunicorn (pid 4120) listens on 127.0.0.1:8000 now; it may not have when it failed
        ");
    }

    #[test]
    fn unknown_where_the_journal_tells_of_a_part_of_the_failures() {
        assert_snapshot!(check(ID, [HOST, BACK, "
            //- journal shop.service
            14:02:30 stopped
            14:03:00 started
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        leaning: gunicorn (pid 4120) listens on 127.0.0.1:8000 now; it may not have when it failed
        ");
    }

    #[test]
    fn ruled_out_where_it_is_refused_still_though_the_unit_runs_again() {
        // What the journal tells is over; this is not.
        assert_snapshot!(check(ID, [HOST, BACK, "
            //- journal shop.service
            14:01:00 stopped
            14:03:00 started
            //- connect 127.0.0.1:8000 -> errno 111
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - sockets 14:03:00: LISTEN 127.0.0.1:8000 pid 4120 gunicorn --bind 127.0.0.1:8000 shop.wsgi
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        ");
    }

    #[test]
    fn unknown_where_only_a_reload_failed() {
        assert_snapshot!(check(ID, [HOST, BACK, "
            //- journal shop.service
            14:01:00 exited ExecReload
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        leaning: gunicorn (pid 4120) listens on 127.0.0.1:8000 now; it may not have when it failed
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while connecting to upstream
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        ");
    }

    #[test]
    fn ruled_out_where_a_socket_listens_and_the_connection_is_refused_all_the_same() {
        // A firewall that rejects.
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120
            app
            //- listen tcp [::]:8000 pid=4120
            //- connect 127.0.0.1:8000 -> errno 111
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - sockets 12:30:00: LISTEN [::]:8000 pid 4120 app
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        ");
    }

    #[test]
    fn unknown_once_the_application_is_back() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=14:03:00
            app
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        leaning: app (pid 4120) listens on 127.0.0.1:8000 now; it may not have when it failed
        ");
    }

    #[test]
    fn unknown_where_the_process_ran_before_but_may_have_begun_to_listen_later() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120 start=12:00:00
            app
            //- listen tcp 127.0.0.1:8000 pid=4120
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        leaning: app (pid 4120) listens on 127.0.0.1:8000 now; it may not have when it failed
        ");
    }

    #[test]
    fn unknown_when_nothing_may_be_sent() {
        assert_snapshot!(check(ID, [HOST, "
            //- options no-connect
        "]), @"
        answer: none, over
        unknown: whether 127.0.0.1:8000 still fails: --no-connect sends nothing
        learn: why502   (without --no-connect)
        ");
    }

    #[test]
    fn unknown_without_the_right_to_connect_as_the_worker() {
        assert_snapshot!(check(ID, [HOST, "
            //- connect 127.0.0.1:8000 -> errno 1
        "]), @"
        answer: none, over
        unknown: whether 127.0.0.1:8000 still fails: a connection as nginx's worker needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn unknown_when_the_snapshot_lacks_the_connection() {
        assert_snapshot!(check(ID, [HOST, "
            //- unrecorded connect
        "]), @"
        answer: none, over
        unknown: a connection to 127.0.0.1:8000: the snapshot does not hold it
        ");
    }

    #[test]
    fn unknown_when_the_snapshot_lacks_the_sockets() {
        assert_snapshot!(check(ID, [HOST, "
            //- unrecorded sockets
        "]), @"
        answer: none, ongoing
        unknown: the socket table: the snapshot does not hold it
        ");
    }

    #[test]
    fn unknown_without_the_right_to_read_the_sockets() {
        assert_snapshot!(check(ID, [HOST, "
            //- denied sockets
        "]), @"
        answer: none, ongoing
        unknown: the socket table: needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn unknown_without_the_right_to_read_the_netfilter_chains() {
        assert_snapshot!(check(ID, [HOST, "
            //- denied netfilter-chains
        "]), @"
        answer: none, ongoing
        unknown: the netfilter chains: needs root
        learn: sudo nft list ruleset
        ");
    }

    #[test]
    fn unknown_when_it_fails_in_another_way_now() {
        assert_snapshot!(check(ID, [HOST, "
            //- connect 127.0.0.1:8000 -> timeout
        "]), @"
        answer: none, ongoing
        unknown: whether it held when it failed: it fails in another way now (connect 127.0.0.1:8000 as nginx's worker: no answer)
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
        "]), @"
        answer: none, ongoing
        unknown: what listens on 10.0.0.9:8000: it is another host's address
        learn: ss -ltnp 'sport = :8000'   (on 10.0.0.9)
        ");
    }

    #[test]
    fn unknown_where_the_kernel_does_not_say_what_the_listener_takes() {
        // It is bound to a network device.
        assert_snapshot!(check(ID, [HOST, "
            //- process 4120
            app
            //- listen tcp 0.0.0.0:8000 pid=4120 device=2
            //- connect 127.0.0.1:8000 -> errno 111
        "]), @"
        answer: none, ongoing
        unknown: whether 0.0.0.0:8000 is reached at 127.0.0.1:8000: the kernel does not say whether it takes IPv6 alone, or which device it is bound to
        ");
    }

    #[test]
    fn unknown_where_the_rules_cannot_be_listed() {
        assert_snapshot!(check(ID, [HOST, "
            //- chain ip nat output rules=2
        "]), @"
        answer: none, ongoing
        unknown: the firewall's rules: they could not be listed
        learn: sudo nft list ruleset
        ");
    }

    #[test]
    fn confirmed_where_no_rule_can_match() {
        assert_snapshot!(check(ID, [HOST, "
            //- iptables
            *nat
            :OUTPUT ACCEPT
            :DOCKER -
            -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
            -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8000 -j DNAT --to-destination 172.17.0.2:8000
            COMMIT
            *filter
            :INPUT DROP
            :OUTPUT ACCEPT
            -A INPUT -i lo -j ACCEPT
            -A OUTPUT -p tcp -m tcp --dport 8001 -j REJECT --reject-with icmp-port-unreachable
        "]), @"
        answer: peer-not-listening, ongoing
        confirmed: nothing listens on 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: no socket listens on 127.0.0.1:8000; nothing but nginx listens on TCP
        - command: no firewall rule of this host rejects, drops or redirects a connection to 127.0.0.1:8000
        fix, shown: start the application that is to listen on 127.0.0.1:8000
          start the application that is to listen on 127.0.0.1:8000, or correct the address that nginx dials
        ");
    }

    #[test]
    fn unknown_at_an_address_of_another_network_of_this_host() {
        let host = HOST.replace("127.0.0.1:8000", "172.17.0.2:8000");
        let said = check(ID, [&host, "
            //- process 88 net=2
            sleep
            //- local 172.17.0.2 net=2
        "]);
        assert!(said.contains("unknown: whether 172.17.0.2:8000 is reached: it is an address of the network namespace of pid 88, on this host"), "{said}");
        assert!(said.contains("on this host: nothing listens on port 8000 there"), "{said}");
    }

    #[test]
    fn unknown_where_a_rule_sends_the_connection_elsewhere() {
        for rule in [
            "-A OUTPUT -p tcp -m tcp --dport 8000 -j REDIRECT --to-ports 9000",
            "-A OUTPUT -p tcp -m tcp ! --dport 5432 -j REDIRECT --to-ports 9000",
            "-A OUTPUT ! -d 10.0.0.1/32 -s 127.0.0.0/8 -p tcp -j REDIRECT --to-ports 9000",
        ] {
            let rules = format!("//- iptables\n*nat\n:OUTPUT ACCEPT\n{rule}\n");
            let said = check(ID, [HOST, &rules]);
            assert!(said.contains("a rule sends it elsewhere (REDIRECT to 9000)"), "{said}");
            assert!(said.contains("; nothing listens on 127.0.0.1:9000\n"), "{said}");
            assert!(said.starts_with("answer: none"), "{said}");
        }
    }

    #[test]
    fn unknown_where_it_cannot_be_told_whether_a_rule_matches() {
        assert_snapshot!(check(ID, [HOST, "
            //- iptables
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -m set --match-set blocked dst -j REJECT --reject-with icmp-port-unreachable
        "]), @"
        answer: none, ongoing
        unknown: whether the firewall lets 127.0.0.1:8000 pass: it cannot be told whether this rule matches: -A OUTPUT -m set --match-set blocked dst -j REJECT --reject-with icmp-port-unreachable (table ip filter, chain OUTPUT)
        learn: sudo nft list ruleset
        leaning: a firewall rule may reject it: -A OUTPUT -m set --match-set blocked dst -j REJECT --reject-with icmp-port-unreachable
        ");
    }

    #[test]
    fn unknown_where_a_rule_refuses_what_nobody_would_answer() {
        assert_snapshot!(check(ID, [HOST, "
            //- iptables
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -p tcp -m tcp --dport 8000 -j REJECT --reject-with tcp-reset
        "]), @"
        answer: firewall-rejects-connect, ongoing
        unknown: what the connection meets behind the firewall: a rule refuses it before: table ip filter, chain OUTPUT: -A OUTPUT -p tcp -m tcp --dport 8000 -j REJECT --reject-with tcp-reset
        leaning: nothing listens on 127.0.0.1:8000 either: that comes next, once the firewall lets the connection pass
        ");
    }

    #[test]
    fn confirmed_where_a_rule_that_may_drop_it_cannot_have_refused_it() {
        assert_snapshot!(check(ID, [HOST, "
            //- iptables
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -m set --match-set blocked dst -j DROP
        "]), @"
        answer: peer-not-listening, ongoing
        confirmed: nothing listens on 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: no socket listens on 127.0.0.1:8000; nothing but nginx listens on TCP
        - command: no firewall rule of this host rejects, drops or redirects a connection to 127.0.0.1:8000
        fix, shown: start the application that is to listen on 127.0.0.1:8000
          start the application that is to listen on 127.0.0.1:8000, or correct the address that nginx dials
        ");
    }

    #[test]
    fn unknown_where_older_tables_cannot_be_listed() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /proc/self/net/ip_tables_names
            filter
        "]), @"
        answer: none, ongoing
        unknown: the firewall's rules: they could not be listed
        learn: sudo nft list ruleset
        ");
    }

    #[test]
    fn confirmed_where_older_tables_let_it_pass() {
        assert_snapshot!(check(ID, [HOST, "
            //- iptables-legacy
            *filter
            :OUTPUT ACCEPT
            -A OUTPUT -p udp -j REJECT
        "]), @"
        answer: peer-not-listening, ongoing
        confirmed: nothing listens on 127.0.0.1:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - sockets: no socket listens on 127.0.0.1:8000; nothing but nginx listens on TCP
        - command: no firewall rule of this host rejects, drops or redirects a connection to 127.0.0.1:8000
        fix, shown: start the application that is to listen on 127.0.0.1:8000
          start the application that is to listen on 127.0.0.1:8000, or correct the address that nginx dials
        ");
    }

    #[test]
    fn unknown_when_the_line_was_cut_before_its_upstream() {
        // The request was long: which peer it was, nobody knows.
        assert_snapshot!(check(ID, [r#"
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- file /var/log/nginx/error.log
            2026/06/23 14:02:11 [error] 2842#2842: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: shop.example, request: "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        "#]), @"
        answer: none, over
        unknown: the address that nginx dialled: the log does not tell it
        ");
    }

    #[test]
    fn a_forged_line_makes_no_incident() {
        // What a client sent as `GET /x%0a2026/...`.
        assert_snapshot!(answers([r#"
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- file /var/log/nginx/error.log
            2026/06/23 14:02:11 [error] 2842#2842: *1 open() "/srv/www/x
            2026/06/23 14:02:11 [error] 2842#2842: *7 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: shop.example, request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:8000/", host: "shop.example"" failed (2: No such file or directory), client: 192.0.2.9, server: shop.example, request: "GET /x%0a2026/06/23%20... HTTP/1.1", host: "shop.example"
        "#]), @"");
    }

    #[test]
    fn not_confirmed_of_an_address_that_the_name_had_before_the_reload() {
        // The file says app.example, which /etc/hosts has moved; nginx was reloaded after the last failure.
        assert_snapshot!(check(ID, ["
            //- nginx start=13:00:00 workers-start=14:03:00 workers=2900
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://app.example:8000; } } }
            //- command getent ahosts app.example
            127.0.0.3 STREAM app.example
            //- failed 14:02:11 http://127.0.0.2:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: none, over
        unknown: whether nginx still dials this peer: no file names it, and the worker that did has been replaced since
        ");
    }
}
