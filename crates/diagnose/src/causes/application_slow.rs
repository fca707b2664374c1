//! See the doc comment of [`APPLICATION_SLOW`].

use facts::Gap;
use log::error::{Class, While};

use crate::case::{Case, Speaks};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application took the request and did not answer within nginx's read time-out.
    ///
    /// ## Confirmed when
    /// The log shows a time-out (110) while reading the response header, the application listens and has run since before
    /// the first failure, its queue of connections is not full, and it speaks the protocol that nginx speaks to it (by the
    /// kind of program, or because the access log shows that it answered others).
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Find what is slow. Raise the time-out only where such a wait is meant.
    /// Shown only.
    ///
    /// ## Looks like
    /// `upstream timed out (110: Connection timed out) while reading response header from upstream`
    ///
    /// ## See also
    /// A full queue, a firewall that drops the answers, or an application that waits for another protocol show the same
    /// line.
    pub(crate) static APPLICATION_SLOW = {
        id: "application-slow", since: "0.1.0", stage: Request, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::ReadTimeout) && incident.action == Some(While::ReadingResponseHeader)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let limit = case.read_timeout(incident)?;
    let speaks = match case.speaks(incident)? {
        Speaks::Same(exhibit) => exhibit,
        Speaks::Unknown(gap) => return Err(gap),
    };
    let application = case.application(incident)?;
    if !application.started_before(incident) {
        return Err(Gap::too_late("whether the application ran when it failed", "it started after the first failure"));
    }
    if !case.is_ongoing(incident) && case.answered(incident)?.is_none() {
        return Err(Gap::too_late("whether the application's queue had room when it failed", "it is over")
            .leaning("the application was probably slow: it listens, and took the requests"));
    }
    let queue = case.queue_has_room(incident)?;
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} took the request and did not answer within {}", application.who(), limit.text),
        proof: proof.with(limit.exhibit.clone()).and(speaks).and(queue).and(application.exhibit()),
        fixes: vec![Fix {
            summary: "find what is slow".to_owned(),
            safety: Safety::DisplayOnly,
            steps: vec![
                Step::Advice { text: format!("look at what {} does for this request: {}", application.who(), application.log_place()) },
                Step::Advice { text: format!("only where such a wait is meant: raise {}, now {}", limit.name, limit.text) },
            ],
            verify: Some("why502".to_owned()),
        }],
    }))
}
