//! See the doc comment of [`NO_LIVE_PEERS`].

use facts::{Exhibit, Gap};
use log::error::Class;

use super::FirstPass;
use crate::case::{Case, Drift, Member};
use crate::diagnosis::Judgement;
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx has taken every server of the upstream out of use.
    ///
    /// ## Confirmed when
    /// The log says `no live upstreams`, and every server of that upstream is either marked `down` in the configuration that
    /// the workers run or, each time, failed `max_fails` times in the log before it, the last within `fail_timeout`.
    /// The line is an echo: the cause of each server's own failure stands beneath.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Mend the servers (each has its own incident): shown only. Or take `down` away and reload nginx.
    /// Unsafe: a server that was taken out on purpose serves again.
    ///
    /// ## Looks like
    /// `no live upstreams while connecting to upstream ... upstream: "http://shop/"`
    ///
    /// ## See also
    /// A server is out of use for `fail_timeout` (10 s) after `max_fails` (1) failures. A single server never is.
    pub(crate) static NO_LIVE_PEERS = {
        id: "no-live-peers", since: "0.1.0", stage: Connect, refines: [],
        judge: Knowing(judge),
    }
}

fn judge(incident: &Incident, case: &Case, known: &[FirstPass<'_>]) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::NoLiveUpstreams) {
        return Ok(Verdict::RuledOut(proof));
    }
    let members = case.members(incident)?;
    if members.is_empty() {
        return Err(Gap::undecided(format!("the servers of {}", incident.peer), "no file on disk has this upstream"));
    }
    if let Drift::Changed { .. } = case.drift(incident.instance)? {
        return Err(Gap::undecided(format!("the servers of {} that the workers know", incident.peer), "a file has changed since they started"));
    }
    if let [only] = members.as_slice()
        && only.addresses.len() < 2
        && !only.down
    {
        return Err(Gap::undecided(format!("why {} is out of use", only.text), "a single server is never taken out"));
    }
    let mut exhibits = Vec::new();
    let mut said = Vec::new();
    let mut fixes = Vec::new();
    let mut mend = Vec::new();
    for member in &members {
        if member.down {
            exhibits.push(Exhibit::Config(member.span.clone()));
            said.push(format!("{} is marked down", member.text));
            let mut fix = undown(member);
            fix.steps.extend(case.reload_steps(incident)?);
            fixes.push(fix);
            continue;
        }
        for other in taken_out(member, incident, known)? {
            mend.push(Step::Advice {
                text: format!("{}: {}: why502 {}", other.incident.peer, named(other), other.incident.id),
            });
            exhibits.push(other.incident.exhibit());
            said.push(format!("{}: {}", other.incident.peer, reason(other)));
        }
    }
    if !mend.is_empty() {
        mend.push(Step::Advice {
            text: "nginx tries each of them again after its fail_timeout: no reload is needed. Larger max_fails keep a server in use through single failures, and mend none".to_owned(),
        });
        let fix = Fix {
            summary: "mend what took them out of use, each by its own incident".to_owned(),
            safety: Safety::DisplayOnly,
            steps: mend,
            verify: Some(AGAIN.to_owned()),
        };
        fixes.insert(0, fix);
    }
    let down = members.iter().filter(|member| member.down).count();
    let how = match (down, members.len() - down) {
        (_, 0) => "all are marked down".to_owned(),
        (0, _) => "max_fails took them out".to_owned(),
        (down, failed) => format!("{down} marked down, {failed} taken out by max_fails"),
    };
    let is = if case.is_ongoing(incident) { "is" } else { "was" };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("no server of {} {is} in use: {how} ({})", incident.peer, said.join("; ")),
        proof: proof.with(exhibits),
        fixes,
    }))
}

/// The incidents that took a server out of use, each of its addresses, whenever nginx said that none is left.
fn taken_out<'a, 'b>(
    member: &Member,
    incident: &Incident,
    known: &'a [FirstPass<'b>],
) -> Result<Vec<&'a FirstPass<'b>>, Gap> {
    let out_of_use = || format!("why {} is out of use", member.text);
    if member.max_fails == 0 {
        return Err(Gap::undecided(out_of_use(), "max_fails=0 never takes it out"));
    }
    if member.max_conns > 0 {
        return Err(Gap::undecided(out_of_use(), "max_conns may have been reached"));
    }
    if member.addresses.is_empty() {
        return Err(Gap::undecided(out_of_use(), "its name has no address now"));
    }
    let mut failures = Vec::new();
    for address in &member.addresses {
        let of_address: Vec<&FirstPass<'_>> = known
            .iter()
            .filter(|other| {
                other.incident.instance == incident.instance
                    && counts_as_failure(other.incident)
                    && other.incident.address.as_ref() == Some(address)
            })
            .collect();
        let is_out = |&second: &i64| was_out(second, member, &of_address);
        if !incident.seconds.keys().all(is_out) {
            let missing = format!("why {address} was taken out of use");
            let why = if of_address.is_empty() {
                "no failure of it stands in the window"
            } else {
                "not every time did failures of it stand in the log shortly before"
            };
            return Err(Gap::too_late(missing, why).learn("why502 --since 24h"));
        }
        failures.extend(of_address);
    }
    Ok(failures)
}

/// Whether failures had taken a server out in this second: `max_fails` of them, the last within `fail_timeout`
/// (`ngx_http_upstream_get_peer`, ngx_http_upstream_round_robin.c). Log times are whole seconds.
fn was_out(second: i64, member: &Member, failures: &[&FirstPass<'_>]) -> bool {
    let reach = i64::try_from(member.fail_timeout.as_secs()).unwrap_or(i64::MAX);
    let from = second.saturating_sub(reach).saturating_sub(1);
    let is_recent = failures.iter().any(|failure| failure.incident.seconds.range(from..=second).next().is_some());
    let before: u64 = failures.iter().flat_map(|failure| failure.incident.seconds.range(..=second)).map(|(_, count)| count).sum();
    is_recent && before >= member.max_fails
}

/// Client aborts and errors in the body leave a server's count alone.
fn counts_as_failure(incident: &Incident) -> bool {
    matches!(incident.status, Some(502 | 504))
}

fn reason(other: &FirstPass<'_>) -> String {
    other
        .verdicts
        .iter()
        .find_map(|verdict| match &verdict.judgement {
            Judgement::Confirmed(confirmation) => Some(confirmation.summary.clone()),
            _ => None,
        })
        .unwrap_or_else(|| other.incident.failure.map_or("failed", Class::as_str).to_owned())
}

/// The cause of a server's own failure by its name, or the failure: no text of a log.
fn named(other: &FirstPass<'_>) -> &'static str {
    let confirmed = other.verdicts.iter().find(|verdict| matches!(verdict.judgement, Judgement::Confirmed(_)));
    confirmed.map_or_else(|| other.incident.failure.map_or("failed", Class::as_str), |verdict| verdict.cause.id)
}

fn undown(member: &Member) -> Fix {
    let new = member.span.text.split_whitespace().filter(|&word| word.trim_end_matches(';') != "down").collect::<Vec<_>>().join(" ");
    let new = if new.ends_with(';') { new } else { format!("{new};") };
    Fix {
        summary: format!("put {} back into use", member.text),
        safety: Safety::Unsafe,
        steps: vec![Step::Edit {
            file: member.span.file.clone(),
            line: member.span.line,
            old: member.span.text.clone(),
            new,
        }],
        verify: Some(AGAIN.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "no-live-peers";
    /// An upstream of two servers, of which none is left.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001; } server { location / { proxy_pass http://shop; } } }
        //- incident shop
        
        //- failed 14:02:12 http://shop/
        no live upstreams while connecting to upstream
    ";
    const FIRST: &str = "
        //- failed 14:02:11 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
    ";
    const SECOND: &str = "
        //- failed 14:02:11 http://127.0.0.1:8001/
        connect() failed (111: Connection refused) while connecting to upstream
    ";

    #[test]
    fn confirmed_with_the_cause_of_each_server() {
        assert_snapshot!(check(ID, [HOST, FIRST, SECOND]), @"
        answer: no-live-peers, over
        confirmed: no server of shop was in use: max_fails took them out (127.0.0.1:8000: nothing listens on 127.0.0.1:8000; 127.0.0.1:8001: nothing listens on 127.0.0.1:8001)
        - log 14:02:12 x1: no live upstreams while connecting to upstream
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        fix, shown: mend what took them out of use, each by its own incident
          127.0.0.1:8000: peer-not-listening: why502 c3267a9e
          127.0.0.1:8001: peer-not-listening: why502 2b0063fd
          nginx tries each of them again after its fail_timeout: no reload is needed. Larger max_fails keep a server in use through single failures, and mend none
        ");
    }

    #[test]
    fn confirmed_where_one_is_marked_down() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001 down; } server { location / { proxy_pass http://shop; } } }
            //- incident shop
            
            //- failed 14:02:12 http://shop/
            no live upstreams while connecting to upstream
        ", FIRST]), @"
        answer: no-live-peers, over
        confirmed: no server of shop was in use: 1 marked down, 1 taken out by max_fails (127.0.0.1:8000: nothing listens on 127.0.0.1:8000; 127.0.0.1:8001 is marked down)
        - log 14:02:12 x1: no live upstreams while connecting to upstream
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - config /etc/nginx/nginx.conf:1: server 127.0.0.1:8001 down;
        fix, shown: mend what took them out of use, each by its own incident
          127.0.0.1:8000: peer-not-listening: why502 c3267a9e
          nginx tries each of them again after its fail_timeout: no reload is needed. Larger max_fails keep a server in use through single failures, and mend none
        fix, unsafe: put 127.0.0.1:8001 back into use
          /etc/nginx/nginx.conf:1: server 127.0.0.1:8001 down; => server 127.0.0.1:8001;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_where_all_are_marked_down() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server 127.0.0.1:8000 down; } server { location / { proxy_pass http://shop; } } }
            
            //- failed 14:02:12 http://shop/
            no live upstreams while connecting to upstream
        "]), @"
        answer: no-live-peers, over
        confirmed: no server of shop was in use: all are marked down (127.0.0.1:8000 is marked down)
        - log 14:02:12 x1: no live upstreams while connecting to upstream
        - config /etc/nginx/nginx.conf:1: server 127.0.0.1:8000 down;
        fix, unsafe: put 127.0.0.1:8000 back into use
          /etc/nginx/nginx.conf:1: server 127.0.0.1:8000 down; => server 127.0.0.1:8000;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_where_localhost_has_failed_at_each_address() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://localhost:8000; } } }
            //- incident localhost
            //- failed 14:02:12 http://localhost/
            no live upstreams while connecting to upstream
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- failed 14:02:11 http://[::1]:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: no-live-peers, over
        confirmed: no server of localhost was in use: max_fails took them out ([::1]:8000: nothing listens on [::1]:8000; 127.0.0.1:8000: nothing listens on 127.0.0.1:8000)
        - log 14:02:12 x1: no live upstreams while connecting to upstream
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        fix, shown: mend what took them out of use, each by its own incident
          [::1]:8000: peer-not-listening: why502 bfd783d8
          127.0.0.1:8000: peer-not-listening: why502 c3267a9e
          nginx tries each of them again after its fail_timeout: no reload is needed. Larger max_fails keep a server in use through single failures, and mend none
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001; } server { location / { proxy_pass http://shop; } } }
            //- incident shop
            //- incident 127.0.0.1:8000
        ", FIRST]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        ");
    }

    #[test]
    fn unknown_where_one_server_did_not_fail() {
        assert_snapshot!(check(ID, [HOST, FIRST]), @"
        answer: none, over
        unknown: why 127.0.0.1:8001 was taken out of use: no failure of it stands in the window
        learn: why502 --since 24h
        ");
    }

    #[test]
    fn unknown_where_only_one_address_of_a_name_failed() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://localhost:8000; } } }
            //- incident localhost
            //- failed 14:02:12 http://localhost/
            no live upstreams while connecting to upstream
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: none, over
        unknown: why [::1]:8000 was taken out of use: no failure of it stands in the window
        learn: why502 --since 24h
        ");
    }

    #[test]
    fn unknown_where_a_server_failed_long_before() {
        assert_snapshot!(check(ID, [HOST, FIRST, "
            //- failed 13:40:00 http://127.0.0.1:8001/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: none, over
        unknown: why 127.0.0.1:8001 was taken out of use: not every time did failures of it stand in the log shortly before
        learn: why502 --since 24h
        ");
    }

    #[test]
    fn unknown_where_a_server_failed_only_later() {
        assert_snapshot!(check(ID, [HOST, FIRST, "
            //- failed 14:03:00 http://127.0.0.1:8001/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: none, over
        unknown: why 127.0.0.1:8001 was taken out of use: not every time did failures of it stand in the log shortly before
        learn: why502 --since 24h
        ");
    }

    #[test]
    fn unknown_where_it_failed_less_often_than_max_fails() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001 max_fails=3; } server { location / { proxy_pass http://shop; } } }
            //- incident shop
            
            //- failed 14:02:12 http://shop/
            no live upstreams while connecting to upstream
        ", FIRST, SECOND]), @"
        answer: none, over
        unknown: why 127.0.0.1:8001 was taken out of use: not every time did failures of it stand in the log shortly before
        learn: why502 --since 24h
        ");
    }

    #[test]
    fn unknown_where_max_fails_never_takes_one_out() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001 max_fails=0; } server { location / { proxy_pass http://shop; } } }
            //- incident shop
            
            //- failed 14:02:12 http://shop/
            no live upstreams while connecting to upstream
        ", FIRST, SECOND]), @"
        answer: none, over
        unknown: why 127.0.0.1:8001 is out of use: max_fails=0 never takes it out
        ");
    }

    #[test]
    fn unknown_where_max_conns_may_have_been_reached() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001 max_conns=4; } server { location / { proxy_pass http://shop; } } }
            //- incident shop
            
            //- failed 14:02:12 http://shop/
            no live upstreams while connecting to upstream
        ", FIRST, SECOND]), @"
        answer: none, over
        unknown: why 127.0.0.1:8001 is out of use: max_conns may have been reached
        ");
    }

    #[test]
    fn unknown_of_a_single_server() {
        // It is never taken out.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { upstream shop { server 127.0.0.1:8000; } server { location / { proxy_pass http://shop; } } }
            //- incident shop
            
            //- failed 14:02:12 http://shop/
            no live upstreams while connecting to upstream
        ", FIRST]), @"
        answer: none, over
        unknown: why 127.0.0.1:8000 is out of use: a single server is never taken out
        ");
    }

    #[test]
    fn unknown_where_the_servers_were_marked_down_after_the_workers_started() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf ctime=14:03:00
            http { upstream shop { server 127.0.0.1:8000 down; server 127.0.0.1:8001 down; } server { location / { proxy_pass http://shop; } } }
            //- incident shop
            
            //- failed 14:02:12 http://shop/
            no live upstreams while connecting to upstream
        "]), @"
        answer: none, over
        unknown: the servers of shop that the workers know: a file has changed since they started
        ");
    }

    #[test]
    fn unknown_where_no_file_has_the_upstream() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            
            //- failed 14:02:12 http://shop/
            no live upstreams while connecting to upstream
        "]), @"
        answer: none, over
        unknown: the servers of shop: no file on disk has this upstream
        ");
    }
}
