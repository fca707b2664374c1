//! See the doc comment of [`UPSTREAM_NAME_UNRESOLVABLE`].

use bstr::ByteSlice as _;
use facts::{Exhibit, Gap};
use log::error::Class;

use crate::case::{Answered, Case, Resolver, known};
use crate::incident::{Incident, Origin};
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

/// nginx's code for a name server that does not answer.
const TIMED_OUT: u16 = 110;

declare_cause! {
    /// The upstream's name does not resolve.
    ///
    /// A name in a variable is looked up for each request, by the servers of `resolver`; any other once, when nginx
    /// starts, by the host: then nginx does not even start.
    ///
    /// ## Confirmed when
    /// nginx says so, and the same name server, asked now as nginx asks it, fails in the same way (for IPv4 and, unless
    /// it is off, for IPv6: nginx wants both answered); or nginx does not run, said last that the name is not found, and
    /// the host does not resolve it now; or a gate (`why502 gate`) finds that the host does not resolve a name that the
    /// configuration dials.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Correct the name, its record or the resolver; `ipv6=off` where only IPv6 is refused.
    /// Unsafe: it takes a reload.
    ///
    /// ## Looks like
    /// `app.example could not be resolved (3: Host not found)`
    ///
    /// `[emerg] host not found in upstream "app.example" in /etc/nginx/nginx.conf:12`
    ///
    /// ## See also
    /// `resolver-missing`: there is no resolver to ask.
    pub(crate) static UPSTREAM_NAME_UNRESOLVABLE = {
        id: "upstream-name-unresolvable", since: "0.1.0", stage: Name, refines: ["nginx-not-running"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    if incident.origin == Origin::Host {
        return at_start(incident, case);
    }
    let proof = Proof::new(incident.exhibit());
    if incident.origin == Origin::Experiment && incident.address.is_none() && incident.failure.is_none() {
        return in_a_configuration(incident, case, proof);
    }
    if !incident.is(Class::Dns) {
        return Ok(Verdict::RuledOut(proof));
    }
    let resolver = case.resolver_of(incident)?;
    let failing = case.still_unresolved(incident)?;
    let name = &incident.peer;
    let is_silent = failing.code == Some(TIMED_OUT) && !failing.is_for_ipv6_alone;
    let silence = if is_silent { known(silence(incident, case, &failing))? } else { None };
    let summary = match failing.code {
        _ if failing.is_for_ipv6_alone => format!("{} fails when asked for the IPv6 addresses of {name}, and nginx takes that for the whole", failing.server),
        Some(TIMED_OUT) => match &silence {
            Some(Silence::Whole) => format!("the name server {} does not answer", failing.server),
            Some(Silence::ForThisName(_)) => format!("the name server {} answers, but not for {name}", failing.server),
            None => format!("the name server {} does not answer for {name}", failing.server),
        },
        Some(3) => format!("the name server {} does not know {name}", failing.server),
        code => format!("the name server {} does not resolve {name} ({})", failing.server, facts::dns::code_text(code.unwrap_or_default())),
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary,
        fixes: fixes(incident, case, &resolver, &failing, silence.as_ref())?,
        proof: proof.and(failing.exhibit).with(silence.and_then(Silence::exhibit)).and(Exhibit::Config(resolver.span)),
    }))
}

/// What a name server does not answer for.
enum Silence {
    /// Another name neither.
    Whole,
    /// It answers for another name.
    ForThisName(Exhibit),
}

impl Silence {
    fn exhibit(self) -> Option<Exhibit> {
        match self {
            Self::Whole => None,
            Self::ForThisName(exhibit) => Some(exhibit),
        }
    }
}

fn silence(incident: &Incident, case: &Case, failing: &Answered) -> Result<Silence, Gap> {
    Ok(match case.answers_another(incident, failing.server)? {
        Some(exhibit) => Silence::ForThisName(exhibit),
        None => Silence::Whole,
    })
}

fn fixes(incident: &Incident, case: &Case, resolver: &Resolver, failing: &Answered, silence: Option<&Silence>) -> Result<Vec<Fix>, Gap> {
    let name = &incident.peer;
    if failing.is_for_ipv6_alone {
        let span = &resolver.span;
        let mut steps = vec![Step::Edit {
            file: span.file.clone(),
            line: span.line,
            old: span.text.clone(),
            new: format!("{} ipv6=off;", span.text.trim_end_matches(';').trim_end()),
        }];
        steps.extend(case.reload_steps(incident)?);
        return Ok(vec![Fix {
            summary: "ask for IPv4 addresses alone".to_owned(),
            safety: Safety::Unsafe,
            steps,
            verify: Some(AGAIN.to_owned()),
        }]);
    }
    let mut advice = Vec::new();
    let (server, domains) = case.host_resolver(incident)?;
    if let Some(Silence::ForThisName(_)) = silence {
        advice.push(format!("find out why {} is silent for {name}: the servers of its domain that it asks in turn may not answer it", failing.server));
    } else if failing.code == Some(TIMED_OUT) {
        advice.push(format!("start the name server at {}, or correct: {}", failing.server, resolver.span.text));
        advice.extend(server.map(|server| format!("programs of this host ask {server} (/etc/resolv.conf)")));
    } else {
        advice.push(format!("correct the name, or give it a record at {}", failing.server));
        if !case.in_hosts(incident.instance, name)?.is_empty() {
            advice.push(format!("{name} stands in /etc/hosts, which a resolver of nginx does not read: only a name without a variable is found there"));
        }
        if !name.contains('.') && !domains.is_empty() {
            advice.push(format!("nginx adds no domain to a short name: write {name}.{}", domains.join(" or the like of .")));
        }
    }
    Ok(vec![shown("have the name resolve", advice)])
}

/// nginx would not take the configuration because of the name.
fn in_a_configuration(incident: &Incident, case: &Case, proof: Proof) -> Result<Verdict, Gap> {
    let name = &incident.peer;
    if let Some(address) = case.look_up(incident.instance, name)?.first() {
        return Err(Gap::undecided(format!("whether {name} resolves"), format!("the host finds {address}")));
    }
    let proof = proof.and(absent(name)).and(case.dialled_by(incident)?);
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{name} does not resolve: nginx refuses a configuration that dials it"),
        proof,
        fixes: vec![shown("have the name resolve", advice_for(incident, case, name, "")?)],
    }))
}

fn absent(name: &str) -> Exhibit {
    Exhibit::Record { probe: "command", at: None, text: format!("the host does not resolve {name}") }
}

fn advice_for(incident: &Incident, case: &Case, name: &str, then: &str) -> Result<Vec<String>, Gap> {
    let upstreams = case.upstream_names(incident)?;
    let mut advice = vec![format!("correct the name where the line says it stands, or give {name} a record or a line in /etc/hosts{then}")];
    if !name.contains('.') && !upstreams.is_empty() {
        advice.push(format!("if {name} is meant to be an upstream: none is called so, but {}", upstreams.join(", ")));
    }
    Ok(advice)
}

/// nginx did not start because of the name.
fn at_start(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let instance = case.instance(incident)?;
    if let Some(master) = &instance.master {
        return Ok(Verdict::RuledOut(Proof::new(Case::process_exhibit(master))));
    }
    let words = case.last_words(incident.instance)?;
    let Some((exhibit, message)) = words else {
        return Err(Gap::undecided("why nginx does not run", "its log says nothing"));
    };
    let Some(name) = name_in(&message) else {
        return Ok(Verdict::RuledOut(Proof::new(exhibit)));
    };
    // It may have run since, or the line may be of another file that was tried.
    if !case.dials_name(incident, &name)? {
        return Err(Gap::undecided("why nginx does not run", format!("the last it said is that it did not find {name}, which its configuration names no more")));
    }
    let addresses = case.look_up(incident.instance, &name)?;
    if let Some(address) = addresses.first() {
        return Err(Gap::too_late(format!("whether {name} resolved when nginx was started"), format!("it does now ({address})"))
            .leaning(format!("nginx did not start because {name} did not resolve, and it does now: it can be started")));
    }
    let absent = absent(&name);
    let advice = advice_for(incident, case, &name, "; then start nginx")?;
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("nginx does not start: {name} does not resolve"),
        proof: Proof::new(exhibit).and(absent),
        fixes: vec![shown("have the name resolve", advice)],
    }))
}

/// The name in `host not found in upstream "NAME:PORT" in FILE:LINE`.
fn name_in(message: &str) -> Option<String> {
    let quoted = message.strip_prefix("host not found in upstream \"")?.split('"').next()?;
    let name = quoted.split_once(['/', ':']).map_or(quoted, |(name, _)| name);
    Some(name.as_bytes().to_str_lossy().into_owned())
}

fn shown(summary: &str, advice: Vec<String>) -> Fix {
    Fix {
        summary: summary.to_owned(),
        safety: Safety::DisplayOnly,
        steps: advice.into_iter().map(|text| Step::Advice { text }).collect(),
        verify: Some(AGAIN.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::{answers, check};

    const ID: &str = "upstream-name-unresolvable";
    const CONF: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { resolver 10.0.0.2; set $app app.example; proxy_pass http://$app:8000; } } }
    ";
    const UNKNOWN_NAME: &str = "
        //- logged 14:02:11
        app.example could not be resolved (3: Host not found)
    ";
    const STOPPED: &str = "
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://app.example; } } }
        //- file /var/log/nginx/error.log
        2026/06/23 14:02:11 [emerg] 2841#2841: host not found in upstream \"app.example\" in /etc/nginx/nginx.conf:1
    ";

    #[test]
    fn confirmed_while_the_name_server_does_not_know_it() {
        assert_snapshot!(check(ID, [CONF, UNKNOWN_NAME, "
            //- dns 10.0.0.2:53 app.example A -> code 3
            //- dns 10.0.0.2:53 app.example AAAA -> code 3
            //- file /etc/hosts
            10.0.0.5 app.example
        "]), @"
        answer: upstream-name-unresolvable, ongoing
        confirmed: the name server 10.0.0.2:53 does not know app.example
        - log 14:02:11 x1: app.example could not be resolved (3: Host not found)
        - dns: the name server 10.0.0.2:53 asked for app.example: A: 3: Host not found, AAAA: 3: Host not found
        - config /etc/nginx/nginx.conf:1: resolver 10.0.0.2;
        fix, shown: have the name resolve
          correct the name, or give it a record at 10.0.0.2:53
          app.example stands in /etc/hosts, which a resolver of nginx does not read: only a name without a variable is found there
        ");
    }

    #[test]
    fn confirmed_where_only_ipv6_is_refused() {
        assert_snapshot!(check(ID, [CONF, "
            //- logged 14:02:11
            app.example could not be resolved (5: Operation refused)
            //- dns 10.0.0.2:53 app.example A -> 10.0.0.5
            //- dns 10.0.0.2:53 app.example AAAA -> code 5
        "]), @"
        answer: upstream-name-unresolvable, ongoing
        confirmed: 10.0.0.2:53 fails when asked for the IPv6 addresses of app.example, and nginx takes that for the whole
        - log 14:02:11 x1: app.example could not be resolved (5: Operation refused)
        - dns: the name server 10.0.0.2:53 asked for app.example: A: 1 address, AAAA: 5: Operation refused
        - config /etc/nginx/nginx.conf:1: resolver 10.0.0.2;
        fix, unsafe: ask for IPv4 addresses alone
          /etc/nginx/nginx.conf:1: resolver 10.0.0.2; => resolver 10.0.0.2 ipv6=off;
          $ nginx -t
          $ nginx -s reload
        ");
    }

    #[test]
    fn confirmed_while_the_name_server_is_silent() {
        assert_snapshot!(check(ID, [CONF, "
            //- file /etc/resolv.conf
            nameserver 127.0.0.53
            //- logged 14:02:11
            app.example could not be resolved (110: Operation timed out)
            //- dns 10.0.0.2:53 app.example A -> errno 111
            //- dns 10.0.0.2:53 app.example AAAA -> timeout
        "]), @"
        answer: upstream-name-unresolvable, ongoing
        confirmed: the name server 10.0.0.2:53 does not answer
        - log 14:02:11 x1: app.example could not be resolved (110: Operation timed out)
        - dns: the name server 10.0.0.2:53 asked for app.example: A: no answer, AAAA: no answer
        - config /etc/nginx/nginx.conf:1: resolver 10.0.0.2;
        fix, shown: have the name resolve
          start the name server at 10.0.0.2:53, or correct: resolver 10.0.0.2;
          programs of this host ask 127.0.0.53 (/etc/resolv.conf)
        ");
    }

    #[test]
    fn confirmed_of_a_name_server_that_is_silent_for_this_name() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { resolver 10.0.0.2 ipv6=off; set $app app.example; proxy_pass http://$app:8000; } } }
            //- logged 14:02:11
            app.example could not be resolved (110: Operation timed out)
            //- dns 10.0.0.2:53 localhost A -> code 5
        "]), @"
        answer: upstream-name-unresolvable, ongoing
        confirmed: the name server 10.0.0.2:53 answers, but not for app.example
        - log 14:02:11 x1: app.example could not be resolved (110: Operation timed out)
        - dns: the name server 10.0.0.2:53 asked for app.example: A: no answer
        - dns: the name server 10.0.0.2:53 asked for localhost: A: 5: Operation refused
        - config /etc/nginx/nginx.conf:1: resolver 10.0.0.2 ipv6=off;
        fix, shown: have the name resolve
          find out why 10.0.0.2:53 is silent for app.example: the servers of its domain that it asks in turn may not answer it
        ");
    }

    #[test]
    fn unknown_where_another_name_server_answers() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { resolver 10.0.0.2 10.0.0.3:5353 ipv6=off; set $app app.example; proxy_pass http://$app:8000; } } }
            //- logged 14:02:11
            app.example could not be resolved (110: Operation timed out)
            //- dns 10.0.0.3:5353 app.example A -> 10.0.0.5
        "]), @"
        answer: none, over
        unknown: whether the name resolved when it failed: it resolves now
        ");
    }

    #[test]
    fn unknown_once_it_resolves() {
        assert_snapshot!(check(ID, [CONF, UNKNOWN_NAME, "
            //- dns 10.0.0.2:53 app.example A -> 10.0.0.5
            //- dns 10.0.0.2:53 app.example AAAA ->
        "]), @"
        answer: none, over
        unknown: whether the name resolved when it failed: it resolves now
        ");
    }

    #[test]
    fn unknown_where_what_denied_the_name_is_silent_now() {
        let told = check(ID, [CONF, UNKNOWN_NAME, "
            //- dns 10.0.0.2:53 app.example A -> timeout
            //- dns 10.0.0.2:53 app.example AAAA -> timeout
        "]);
        assert!(told.contains("unknown: whether the name resolved when it failed: the name server does not answer now"), "{told}");
    }

    #[test]
    fn unknown_when_nothing_may_be_sent() {
        assert_snapshot!(check(ID, [CONF, UNKNOWN_NAME, "
            //- options no-connect
        "]), @"
        answer: none, over
        unknown: whether app.example resolves now: --no-connect sends nothing
        learn: why502   (without --no-connect)
        ");
    }

    #[test]
    fn confirmed_of_an_nginx_that_does_not_start() {
        assert_snapshot!(check(ID, [STOPPED]), @r#"
        answer: upstream-name-unresolvable, ongoing
        confirmed: nginx does not start: app.example does not resolve
        - log 14:02:11 x1: host not found in upstream "app.example" in /etc/nginx/nginx.conf:1
        - command: the host does not resolve app.example
        fix, shown: have the name resolve
          correct the name where the line says it stands, or give app.example a record or a line in /etc/hosts; then start nginx
        "#);
    }

    #[test]
    fn unknown_where_the_configuration_names_it_no_more() {
        let mended = STOPPED.replace("proxy_pass http://app.example;", "proxy_pass http://127.0.0.1:8000;");
        let told = check(ID, [mended.as_str()]);
        assert!(told.contains("unknown: why nginx does not run: the last it said is that it did not find app.example"), "{told}");
    }

    #[test]
    fn unknown_of_an_nginx_that_was_started_too_early() {
        assert_snapshot!(check(ID, [STOPPED, "
            //- command getent ahosts app.example
            10.0.0.5 STREAM app.example
        "]), @"
        answer: nginx-not-running, ongoing
        unknown: whether app.example resolved when nginx was started: it does now (10.0.0.5)
        leaning: nginx did not start because app.example did not resolve, and it does now: it can be started
        ");
    }

    #[test]
    fn ruled_out_where_an_address_fails() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        ");
    }

    #[test]
    fn names_are_incidents_of_their_own_and_hostile_ones_are_of_none() {
        assert_snapshot!(answers([CONF, UNKNOWN_NAME, "
            //- logged 14:02:12
            other.example could not be resolved (3: Host not found)
            //- logged 14:02:13
            a;b $(c) could not be resolved (3: Host not found)
            //- dns 10.0.0.2:53 app.example A -> code 3
            //- dns 10.0.0.2:53 app.example AAAA -> code 3
            //- dns 10.0.0.2:53 other.example A -> code 2
            //- dns 10.0.0.2:53 other.example AAAA -> code 2
        "]), @"
        app.example : answer: upstream-name-unresolvable, ongoing
        other.example : answer: none, ongoing
        ");
    }
}
