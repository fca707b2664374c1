//! See the doc comment of [`UPSTREAM_ADDRESS_OUTDATED`].

use facts::{Exhibit, Gap, PeerAddress};
use log::error::While;

use crate::case::{Case, Drift, listed};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

/// Since this version nginx itself has `resolve`, without a subscription.
const HAS_RESOLVE: (u32, u32, u32) = (1, 27, 3);

declare_cause! {
    /// nginx dials an address that the upstream's name no longer has.
    ///
    /// It looks a name up when it starts, and never again.
    /// Containers that are made anew get new addresses; nginx keeps the old ones until it is reloaded.
    ///
    /// ## Confirmed when
    /// The address stands in no file, no file has changed since the workers started, and one name alone is dialled on
    /// that port, which has other addresses now; the old address fails now as in the log, and a new one accepts.
    ///
    /// ## Ruled out when
    /// The configuration names the address, or a name that has it.
    ///
    /// Where a file has changed, what the workers had loaded is not known: then `peer-not-listening` names the new address.
    ///
    /// ## Fix
    /// Reload nginx: it looks every name up again.
    /// Unsafe: the configuration on disk takes effect.
    /// It lasts with `resolve` (nginx 1.27.3) or a variable and a `resolver`.
    ///
    /// ## Looks like
    /// `connect() failed (113: No route to host) while connecting to upstream`, at an address that no file names
    pub(crate) static UPSTREAM_ADDRESS_OUTDATED = {
        id: "upstream-address-outdated", since: "0.1.0", stage: Name, refines: ["peer-not-listening"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let Some(PeerAddress::Tcp(old)) = &incident.address else {
        return Ok(Verdict::RuledOut(proof));
    };
    if incident.explained {
        return Ok(Verdict::RuledOut(proof.with(case.directive_exhibit(incident)?)));
    }
    let drift = case.drift(incident.instance)?;
    if let Some(giver) = case.run_time_giver(incident)? {
        return Err(Gap::undecided("where the address comes from", giver));
    }
    let names = case.names_dialled(incident)?;
    let [named] = names.as_slice() else {
        let why = if names.is_empty() { "no name is dialled on this port" } else { "several names are dialled on this port" };
        return Err(Gap::undecided("which name had this address", why));
    };
    let name = &named.name;
    if named.is_resolved_again {
        return Err(Gap::undecided(format!("which addresses nginx has for {name}"), "it looks it up again by itself"));
    }
    let now = case.look_up(incident.instance, name)?;
    if !case.is_ongoing(incident) {
        return Err(Gap::too_late("which addresses nginx had when it failed", "it is over"));
    }
    let leaning = format!("nginx dials {old}, which {name} no longer has: it has {}", listed(&now));
    let has_another = !now.is_empty() && !now.contains(&old.ip());
    let Drift::None(unchanged) = drift else {
        let gap = Gap::undecided("whether the running configuration dials a name", "a file has changed since the workers started");
        return Err(if has_another { gap.leaning(leaning) } else { gap });
    };
    if !has_another {
        return Err(Gap::undecided(format!("the addresses of {name} now"), "it does not resolve, or has this one"));
    }
    if incident.action != Some(While::ConnectingToUpstream) {
        return Err(Gap::undecided("who answers at the old address", "something accepts there").leaning(leaning));
    }
    let lean = |gap: Gap| gap.leaning(leaning.clone());
    case.still_runs(incident).map_err(lean)?;
    let again = case.still_failing(incident).map_err(lean)?;
    let Some(accepts) = case.accepting(incident, &now, old.port())? else {
        return Err(Gap::undecided("whether the name's new address would do", "nothing accepts there").leaning(leaning));
    };
    let answer = Exhibit::Record { probe: "name", at: None, text: format!("{name} has the address {} now", listed(&now)) };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("nginx dials {old}, which {name} had when nginx started; it has {} now", listed(&now)),
        proof: proof.and(again).and(answer).and(accepts).and(unchanged).and(Exhibit::Config(named.span.clone())),
        fixes: vec![
            Fix {
                summary: "have nginx look its names up again".to_owned(),
                safety: Safety::Unsafe,
                steps: case.reload_steps(incident)?,
                verify: Some(AGAIN.to_owned()),
            },
            lasting(name, case.instance(incident)?.version_numbers()),
        ],
    }))
}

fn lasting(name: &str, version: (u32, u32, u32)) -> Fix {
    let text = if version >= HAS_RESOLVE {
        format!("name {name} in an upstream with a zone, `server {name} resolve;`, and set a resolver: nginx then looks it up as often as its record says")
    } else {
        format!("set a resolver with valid= and pass to a variable that holds {name}: nginx then looks it up while it runs (from 1.27.3 on `server {name} resolve;` in an upstream does)")
    };
    Fix {
        summary: "so that it lasts".to_owned(),
        safety: Safety::DisplayOnly,
        steps: vec![Step::Advice { text }],
        verify: None,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "upstream-address-outdated";
    /// nginx found 10.0.0.4 when it started.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://app.example:8000; } } }
        //- failed 14:02:11 http://10.0.0.4:8000/
        connect() failed (113: No route to host) while connecting to upstream
        //- connect 10.0.0.4:8000 -> errno 113
    ";

    #[test]
    fn confirmed_where_the_new_address_accepts() {
        assert_snapshot!(check(ID, [HOST, "
            //- command getent ahosts app.example
            10.0.0.5 STREAM app.example
            //- connect 10.0.0.5:8000 -> ok
        "]), @"
        answer: upstream-address-outdated, ongoing
        confirmed: nginx dials 10.0.0.4:8000, which app.example had when nginx started; it has 10.0.0.5 now
        - log 14:02:11 x1: connect() failed (113: No route to host) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.4:8000 as nginx's worker: 113: No route to host
        - name: app.example has the address 10.0.0.5 now
        - connect 14:05:00: connect 10.0.0.5:8000 as nginx's worker: accepted
        - file 12:00:00: no file of the configuration changed since the workers started (/etc/nginx/nginx.conf was the last)
        - config /etc/nginx/nginx.conf:1: proxy_pass http://app.example:8000;
        fix, unsafe: have nginx look its names up again
          $ nginx -t
          $ nginx -s reload
        fix, shown: so that it lasts
          set a resolver with valid= and pass to a variable that holds app.example: nginx then looks it up while it runs (from 1.27.3 on `server app.example resolve;` in an upstream does)
        ");
    }

    #[test]
    fn confirmed_by_the_name_servers_that_a_container_sees() {
        assert_snapshot!(check(ID, ["
            //- nginx mnt=2 net=2 version=1.27.4
            //- file /etc/nginx/nginx.conf mnt=2
            http { upstream shop { server app:8000; } server { location / { proxy_pass http://shop; } } }
            //- file /etc/resolv.conf mnt=2
            nameserver 127.0.0.11
            search lan
            //- file /var/log/nginx/error.log mnt=2
            2026/06/23 14:02:11 [error] 2842#2842: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: , request: \"GET / HTTP/1.1\", upstream: \"http://172.18.0.4:8000/\", host: \"a\"
            //- dns 127.0.0.11:53 app A -> 172.18.0.7
            //- dns 127.0.0.11:53 app AAAA -> code 3
            //- connect 172.18.0.4:8000 -> errno 111
            //- connect 172.18.0.7:8000 -> ok
        "]), @"
        answer: upstream-address-outdated, ongoing
        confirmed: nginx dials 172.18.0.4:8000, which app had when nginx started; it has 172.18.0.7 now
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 172.18.0.4:8000 as nginx's worker: 111: Connection refused
        - name: app has the address 172.18.0.7 now
        - connect 14:05:00: connect 172.18.0.7:8000 as nginx's worker: accepted
        - file 12:00:00: no file of the configuration changed since the workers started (/etc/nginx/nginx.conf was the last)
        - config /etc/nginx/nginx.conf:1: server app:8000;
        fix, unsafe: have nginx look its names up again
          $ nginx -t
          $ nginx -s reload
        fix, shown: so that it lasts
          name app in an upstream with a zone, `server app resolve;`, and set a resolver: nginx then looks it up as often as its record says
        ");
    }

    #[test]
    fn unknown_where_the_new_address_refuses_too() {
        assert_snapshot!(check(ID, [HOST, "
            //- command getent ahosts app.example
            10.0.0.5 STREAM app.example
            //- connect 10.0.0.5:8000 -> errno 111
        "]), @"
        answer: none, ongoing
        unknown: whether the name's new address would do: nothing accepts there
        leaning: nginx dials 10.0.0.4:8000, which app.example no longer has: it has 10.0.0.5
        ");
    }

    #[test]
    fn unknown_where_two_names_may_have_had_it() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://app.example:8000; } location /b { proxy_pass http://b.example:8000; } } }
            //- command getent ahosts app.example
            10.0.0.5 STREAM app.example
            //- connect 10.0.0.5:8000 -> ok
        "]), @"
        answer: none, ongoing
        unknown: which name had this address: several names are dialled on this port
        ");
    }

    #[test]
    fn unknown_where_a_file_has_changed_since() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/nginx/nginx.conf ctime=13:30:00
            http { server { location / { proxy_pass http://app.example:8000; } } }
            //- command getent ahosts app.example
            10.0.0.5 STREAM app.example
        "]), @"
        answer: none, ongoing
        unknown: whether the running configuration dials a name: a file has changed since the workers started
        leaning: nginx dials 10.0.0.4:8000, which app.example no longer has: it has 10.0.0.5
        ");
    }

    #[test]
    fn the_answer_that_nothing_listens_names_the_new_address_where_a_file_has_changed_since() {
        // The edit came after the first failure, and may be of anything.
        let host = HOST.replace("113: No route to host", "111: Connection refused").replace("errno 113", "errno 111");
        let changed = "
            //- file /etc/nginx/nginx.conf ctime=14:03:00
            http { server { location / { proxy_pass http://app.example:8000; } } }
            //- local 10.0.0.4
            //- command getent ahosts app.example
            10.0.0.5 STREAM app.example
        ";
        assert_snapshot!(check("peer-not-listening", [&host, changed]), @"
        answer: peer-not-listening, ongoing
        confirmed: nothing listens on 10.0.0.4:8000
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.4:8000 as nginx's worker: 111: Connection refused
        - sockets: no socket listens on 10.0.0.4:8000; nothing but nginx listens on TCP
        - netfilter-chains: no firewall rule is in force on this host
        fix, unsafe: have nginx take what stands in its files now
          no file of the configuration dials 10.0.0.4:8000; app.example, which one dials on that port, has 10.0.0.5 now: a reload takes that
          $ nginx -t
          $ nginx -s reload
        ");
        let two = changed.replace("location / {", "location /b { proxy_pass http://b.example:8000; } location / {");
        let answer = check("peer-not-listening", [&host, &two]);
        assert!(answer.contains("no file of the configuration dials 10.0.0.4:8000 any more: a reload takes"), "{answer}");
    }

    #[test]
    fn unknown_where_a_variable_may_have_named_it() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://app.example:8000; } location /v { proxy_pass http://$arg_to; } } }
            //- command getent ahosts app.example
            10.0.0.5 STREAM app.example
        "]), @"
        answer: none, ongoing
        unknown: where the address comes from: proxy_pass http://$arg_to; takes its address from a variable
        ");
    }

    #[test]
    fn unknown_when_nothing_may_be_sent() {
        assert_snapshot!(check(ID, [HOST, "
            //- options no-connect
        "]), @"
        answer: none, over
        unknown: the address of app.example: --no-connect sends nothing
        ");
    }

    #[test]
    fn ruled_out_where_the_name_has_the_address_still() {
        assert_snapshot!(check(ID, [HOST, "
            //- command getent ahosts app.example
            10.0.0.5 STREAM app.example
            10.0.0.4 STREAM
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (113: No route to host) while connecting to upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://app.example:8000;
        ");
    }

    #[test]
    fn ruled_out_where_the_configuration_names_the_address() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://10.0.0.4:8000; } } }
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (113: No route to host) while connecting to upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://10.0.0.4:8000;
        ");
    }
}
