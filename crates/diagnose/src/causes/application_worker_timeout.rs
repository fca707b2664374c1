//! See the doc comment of [`APPLICATION_WORKER_TIMEOUT`].

use facts::Gap;
use log::error::Class;

use crate::case::{Case, Coverage};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application's own master killed the worker because the request took too long.
    ///
    /// ## Confirmed when
    /// The connection was closed or reset before the response, and in every failing second the application's log says that
    /// it ended a worker for its time-out (gunicorn `--timeout`, uWSGI harakiri, php-fpm `request_terminate_timeout`).
    ///
    /// ## Ruled out when
    /// The failure is another one, or every process of the application has run since before the first failure.
    ///
    /// ## Fix
    /// Make the request faster, or raise the application's time-out, and nginx's read time-out above it.
    /// Shown only: which of the two is right is a person's decision.
    ///
    /// ## Looks like
    /// `upstream prematurely closed connection while reading response header from upstream`
    pub(crate) static APPLICATION_WORKER_TIMEOUT = {
        id: "application-worker-timeout", since: "0.1.0", stage: Request, refines: ["application-crashed"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::PrematureClose) || incident.is(Class::ConnectionReset)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let application = case.application(incident)?;
    let timeouts = application.timeouts(incident);
    match timeouts.coverage(incident) {
        Coverage::All => {}
        Coverage::None => {
            if let Some(lasting) = application.ran_throughout(incident) {
                return Ok(Verdict::RuledOut(proof.and(lasting)));
            }
            return Err(timeouts.gap("whether the application ended its worker for a time-out"));
        }
        Coverage::Some { explained, of } => {
            return Err(timeouts.gap("why the other attempts failed").leaning(format!(
                "in {explained} of {of} failing seconds {} ended a worker for its time-out",
                application.who()
            )));
        }
    }
    let setting = application.timeout_setting();
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} ended its worker for the time-out{}", application.who(), setting.summary()),
        proof: proof.with(timeouts.exhibits()).with(setting.exhibit()),
        fixes: vec![Fix {
            summary: "make the request faster, or give it longer".to_owned(),
            safety: Safety::DisplayOnly,
            steps: vec![
                Step::Advice { text: format!("find what is slow: {}", timeouts.place()) },
                Step::Advice { text: format!("or raise {} and keep nginx's read time-out above it", setting.name()) },
            ],
            verify: Some("why502".to_owned()),
        }],
    }))
}
