//! See the doc comment of [`RUNNING_CONFIG_OUTDATED`].

use facts::Gap;

use crate::case::{Case, Drift};
use crate::incident::{Incident, Origin};
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The workers still run an older configuration than the one on disk.
    ///
    /// ## Confirmed when
    /// The peer that fails stands in no file on disk (and nothing there could name it at run time), and a file has changed
    /// since the workers started: it was never reloaded, or the reload failed.
    ///
    /// ## Ruled out when
    /// No file of the configuration has changed since the workers started, or nginx is not running.
    ///
    /// ## Fix
    /// Test the configuration and reload nginx.
    /// Unsafe: the new configuration takes effect.
    ///
    /// ## Looks like
    /// A failure at a peer that no file names any more.
    pub(crate) static RUNNING_CONFIG_OUTDATED = {
        id: "running-config-outdated", since: "0.1.0", stage: Nginx, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    if incident.origin == Origin::Host {
        let instance = case.instance(incident)?;
        return match &instance.master {
            Some(_) => Err(Gap::undecided("the running configuration", "no line of a log speaks of it")),
            None => Ok(Verdict::RuledOut(Proof::new(case.no_master_exhibit(&instance)?))),
        };
    }
    let proof = Proof::new(incident.exhibit());
    let (changed, refused) = match case.drift(incident.instance)? {
        Drift::None(unchanged) => return Ok(Verdict::RuledOut(proof.and(unchanged))),
        Drift::Changed { changed, refused } => (changed, refused),
    };
    if incident.explained {
        return Err(Gap::undecided(
            "whether the change on disk concerns this peer",
            "the peer stands on disk too",
        )
        .learn("nginx -t"));
    }
    if let Some(dynamic) = case.dynamic_peers(incident)? {
        return Err(Gap::undecided("whether the running configuration dials this peer", dynamic)
            .leaning("no file on disk names this peer, and a file has changed since the workers started"));
    }
    case.still_runs(incident)?;
    let summary = match &refused {
        Some(_) => format!("nginx refused the last reload: its workers still dial {}, which the files no longer name", incident.peer),
        None => format!("the files changed and were never reloaded: the workers still dial {}", incident.peer),
    };
    let mut steps = case.reload_steps(incident)?;
    if refused.is_some() {
        steps.insert(0, Step::Advice { text: "mend what nginx -t names".to_owned() });
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary,
        proof: proof.and(changed).with(refused),
        fixes: vec![Fix {
            summary: "reload nginx".to_owned(),
            safety: Safety::Unsafe,
            steps,
            verify: Some("why502".to_owned()),
        }],
    }))
}
