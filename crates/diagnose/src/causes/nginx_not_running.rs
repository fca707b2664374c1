//! See the doc comment of [`NGINX_NOT_RUNNING`].

use facts::Gap;

use crate::case::Case;
use crate::incident::{Incident, Origin};
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx itself is not running.
    ///
    /// ## Confirmed when
    /// No process on the host is an nginx master of this configuration.
    ///
    /// ## Ruled out when
    /// Its master runs.
    ///
    /// ## Fix
    /// Test the configuration and start nginx.
    /// Unsafe: it starts a service.
    ///
    /// ## Looks like
    /// Clients see a refused connection, or a 502 by the proxy in front.
    pub(crate) static NGINX_NOT_RUNNING = {
        id: "nginx-not-running", since: "0.1.0", stage: Nginx, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let instance = case.instance(incident)?;
    if let Some(master) = &instance.master {
        return Ok(Verdict::RuledOut(Proof::new(Case::process_exhibit(master))));
    }
    if incident.origin != Origin::Host {
        return Err(Gap::too_late("whether nginx ran when it failed", "it does not run now"));
    }
    let mut proof = Proof::new(case.no_master_exhibit(&instance)?);
    // A trouble on disk keeps it from starting now; what it said last may be about something else.
    let reason = if let Some((exhibit, trouble)) = case.trouble(incident.instance)? {
        proof = proof.and(exhibit);
        format!(", and its configuration is refused: {trouble}")
    } else {
            let last = case.last_words(incident.instance)?;
            let reason = last.as_ref().map(|(_, text)| format!("; it last said: {text}")).unwrap_or_default();
            proof = proof.with(last.map(|(exhibit, _)| exhibit));
            reason
    };
    let config = instance.config.display().to_string();
    let mut start = vec![Step::command(["nginx", "-t", "-c", &config])];
    match case.nginx_unit(&instance)? {
        Some(unit) => {
            proof = proof.with(unit.exhibits());
            start.push(Step::command(["systemctl", "start", &unit.name]));
        }
        None => start.push(Step::Advice { text: "start nginx the way this host starts it".to_owned() }),
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("nginx is not running{reason}"),
        proof,
        fixes: vec![Fix {
            summary: "start nginx".to_owned(),
            safety: Safety::Unsafe,
            steps: start,
            verify: Some("why502".to_owned()),
        }],
    }))
}
