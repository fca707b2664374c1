//! See the doc comment of [`RESOLVER_MISSING`].

use facts::{Exhibit, Gap};
use log::error::Class;

use crate::case::{Case, Drift, RunTimePass};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// A pass takes its peer from a variable, and no `resolver` is set that could look the name up.
    ///
    /// nginx looks such a name up for each request, and by its own resolver: it reads neither `/etc/resolv.conf` nor
    /// `/etc/hosts` for it.
    ///
    /// ## Confirmed when
    /// nginx says so, and a pass with a variable has no `resolver` in force.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Set `resolver` beside the pass.
    /// Unsafe: it takes a reload.
    /// A name that is written without a variable needs none: nginx looks it up once, when it starts.
    ///
    /// ## Looks like
    /// `no resolver defined to resolve app.example`
    ///
    /// ## See also
    /// `upstream-name-unresolvable`: there is one, and it does not know the name.
    pub(crate) static RESOLVER_MISSING = {
        id: "resolver-missing", since: "0.1.0", stage: Name, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::DnsNoResolver) {
        return Ok(Verdict::RuledOut(proof));
    }
    let passes = case.run_time_passes(incident)?;
    let without: Vec<&RunTimePass> = passes.iter().filter(|pass| pass.resolver.is_none()).collect();
    if without.is_empty() {
        let why = match case.drift(incident.instance)? {
            Drift::Changed { .. } => "a file has changed since: the running configuration is another",
            Drift::None(_) => "every pass with a variable has one on disk",
        };
        return Err(Gap::undecided("which pass has no resolver", why).leaning("nginx had a name to look up and no resolver for it"));
    }
    let (server, _) = case.host_resolver(incident)?;
    let mut fixes = Vec::new();
    // A name server knows neither what stands in the hosts file nor, as a rule, what has no domain.
    let is_for_a_server = incident.peer.contains('.') && case.in_hosts(incident.instance, &incident.peer)?.is_empty();
    let has_place = without.iter().all(|pass| pass.takes_resolver);
    if let Some(server) = server.filter(|_| is_for_a_server && has_place) {
        let server = if server.is_ipv6() { format!("[{server}]") } else { server.to_string() };
        let mut steps: Vec<Step> = without.iter().map(|pass| beside(pass, &server)).collect();
        steps.extend(case.reload_steps(incident)?);
        let summary = format!("have nginx ask {server}, as other programs of this host do");
        fixes.push(Fix { summary, safety: Safety::Unsafe, steps, verify: Some(AGAIN.to_owned()) });
    }
    fixes.push(Fix {
        summary: "or have nginx need none".to_owned(),
        safety: Safety::DisplayOnly,
        steps: other_ways(incident, case)?.into_iter().map(|text| Step::Advice { text }).collect(),
        verify: Some(AGAIN.to_owned()),
    });
    let name = if incident.peer.is_empty() { "names" } else { &incident.peer };
    let spans = without.iter().map(|pass| {
        let mut span = pass.span.clone();
        span.label = Some("no resolver is in force here".to_owned());
        Exhibit::Config(span)
    });
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("nginx has to look {name} up for each request, and no resolver is set"),
        proof: proof.with(spans),
        fixes,
    }))
}

/// A `resolver` on the line before the pass.
fn beside(pass: &RunTimePass, server: &str) -> Step {
    let span = &pass.span;
    let indent = " ".repeat(span.column.saturating_sub(1));
    Step::Edit {
        file: span.file.clone(),
        line: span.line,
        old: span.text.clone(),
        new: format!("resolver {server} valid=30s;\n{indent}{}", span.text),
    }
}

fn other_ways(incident: &Incident, case: &Case) -> Result<Vec<String>, Gap> {
    let name = &incident.peer;
    let mut ways = vec!["write the name into the pass without a variable: nginx then looks it up once, when it starts".to_owned()];
    if !name.is_empty() && !case.in_hosts(incident.instance, name)?.is_empty() {
        ways.push(format!("{name} stands in /etc/hosts, which a resolver of nginx does not read: only a name without a variable is found there"));
    }
    let upstreams = case.upstream_names(incident)?;
    if !name.is_empty() && !name.contains('.') && !upstreams.is_empty() {
        ways.push(format!("if {name} is meant to be an upstream: none is called so, but {}", upstreams.join(", ")));
    }
    Ok(ways)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "resolver-missing";
    const LINE: &str = "
        //- nginx
        //- logged 14:04:55
        no resolver defined to resolve app.example
    ";

    #[test]
    fn confirmed_by_a_pass_without_one() {
        assert_snapshot!(check(ID, [LINE, "
            //- file /etc/resolv.conf
            nameserver 10.0.0.2
            //- file /etc/nginx/nginx.conf
            http {
            upstream old { server 127.0.0.1:1; }
            server { set $app app.example; location / { proxy_pass http://$app:8000; } }
            }
        "]), @"
        answer: resolver-missing, ongoing
        confirmed: nginx has to look app.example up for each request, and no resolver is set
        - log 14:04:55 x1: no resolver defined to resolve app.example
        - config /etc/nginx/nginx.conf:3: proxy_pass http://$app:8000; (no resolver is in force here)
        fix, unsafe: have nginx ask 10.0.0.2, as other programs of this host do
          /etc/nginx/nginx.conf:3: proxy_pass http://$app:8000; => resolver 10.0.0.2 valid=30s;
                                                    proxy_pass http://$app:8000;
          $ nginx -t
          $ nginx -s reload
        fix, shown: or have nginx need none
          write the name into the pass without a variable: nginx then looks it up once, when it starts
        ");
    }

    #[test]
    fn confirmed_of_a_mistyped_upstream() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- logged 14:04:55
            no resolver defined to resolve app_v1
            //- file /etc/nginx/nginx.conf
            http { upstream app_v2 { server 127.0.0.1:1; } server { location / { set $app app_v1; proxy_pass http://$app; } } }
        "]), @"
        answer: resolver-missing, ongoing
        confirmed: nginx has to look app_v1 up for each request, and no resolver is set
        - log 14:04:55 x1: no resolver defined to resolve app_v1
        - config /etc/nginx/nginx.conf:1: proxy_pass http://$app; (no resolver is in force here)
        fix, shown: or have nginx need none
          write the name into the pass without a variable: nginx then looks it up once, when it starts
          if app_v1 is meant to be an upstream: none is called so, but app_v2
        ");
    }

    #[test]
    fn unknown_where_every_pass_has_one() {
        assert_snapshot!(check(ID, [LINE, "
            //- file /etc/nginx/nginx.conf ctime=14:04:58
            http { resolver 10.0.0.2; server { set $app app.example; location / { proxy_pass http://$app:8000; } } }
        "]), @"
        answer: none, ongoing
        unknown: which pass has no resolver: a file has changed since: the running configuration is another
        leaning: nginx had a name to look up and no resolver for it
        ");
    }

    #[test]
    fn ruled_out_where_a_resolver_was_asked() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- logged 14:04:55
            app.example could not be resolved (3: Host not found)
            //- file /etc/nginx/nginx.conf
            http { resolver 10.0.0.2; server { set $app app.example; location / { proxy_pass http://$app:8000; } } }
            //- dns 10.0.0.2:53 app.example A -> code 3
            //- dns 10.0.0.2:53 app.example AAAA -> code 3
        "]), @"
        answer: upstream-name-unresolvable, ongoing
        ruled out
        - log 14:04:55 x1: app.example could not be resolved (3: Host not found)
        ");
    }
}
