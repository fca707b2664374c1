//! See the doc comment of [`APPLICATION_CRASHED`].

use facts::Gap;
use log::error::Class;

use crate::case::{Case, Coverage};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application's process died while it was answering.
    ///
    /// ## Confirmed when
    /// The connection was closed or reset before the response, and in every failing second a process of the peer's
    /// application ended by a signal or with an error, as the application's own log or its unit's journal records.
    ///
    /// ## Ruled out when
    /// The failure is another one, or every process of the application has run since before the first failure.
    ///
    /// ## Fix
    /// None by program: the reason stands in the application's log, its core dump or its code.
    ///
    /// ## Looks like
    /// `upstream prematurely closed connection while reading response header from upstream`
    ///
    /// ## See also
    /// `application-worker-timeout`: the application's own master killed a worker that took too long.
    pub(crate) static APPLICATION_CRASHED = {
        id: "application-crashed", since: "0.1.0", stage: Request, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::PrematureClose) || incident.is(Class::ConnectionReset)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let application = case.application(incident)?;
    let deaths = application.deaths(case, incident)?;
    match deaths.coverage(incident) {
        Coverage::All => {}
        Coverage::None => {
            if let Some(lasting) = application.ran_throughout(incident) {
                return Ok(Verdict::RuledOut(proof.and(lasting)));
            }
            return Err(deaths.gap("whether a process of the application died"));
        }
        Coverage::Some { explained, of } => {
            return Err(deaths
                .gap("why the other attempts failed")
                .leaning(format!("in {explained} of {of} failing seconds a process of {} died", application.who())));
        }
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} died while answering: {}", application.who(), deaths.summary()),
        proof: proof.with(deaths.exhibits()),
        fixes: vec![Fix {
            summary: "find why it dies".to_owned(),
            safety: Safety::DisplayOnly,
            steps: vec![Step::Advice { text: format!("read why it died: {}", deaths.place()) }],
            verify: Some("why502".to_owned()),
        }],
    }))
}
