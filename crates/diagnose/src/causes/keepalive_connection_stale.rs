//! See the doc comment of [`KEEPALIVE_CONNECTION_STALE`].

use facts::{Exhibit, Gap};
use log::error::Class;

use crate::case::{Case, Idle, Reuse};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx reused a kept connection at the moment the application closed it.
    ///
    /// ## Confirmed when
    /// The connection was closed or reset before the response, the directives in force at that location let nginx reuse
    /// connections, every process of the application has run since before the first failure, and the application's idle
    /// time-out, read from its settings, is not longer than nginx's `keepalive_timeout`.
    ///
    /// ## Ruled out when
    /// The failure is another one, or no connection is reused there: no `keepalive`, HTTP/1.0, or a `Connection: close`
    /// header that nginx sends by default.
    ///
    /// ## Fix
    /// Let nginx give its kept connections up first: `keepalive_timeout` below the application's idle time-out (or the
    /// application's above nginx's). Unsafe: it changes how long connections are kept.
    /// A GET is retried on another connection and clients see no error; a POST is not, and gets 502.
    ///
    /// ## Looks like
    /// `upstream prematurely closed connection while reading response header from upstream`, or
    /// `recv() failed (104: Connection reset by peer)`
    pub(crate) static KEEPALIVE_CONNECTION_STALE = {
        id: "keepalive-connection-stale", since: "0.1.0", stage: Request, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::PrematureClose) || incident.is(Class::ConnectionReset)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let reuse = match case.reuse(incident)? {
        Reuse::Never(why) => return Ok(Verdict::RuledOut(proof.and(*why))),
        Reuse::Kept(reuse) => reuse,
    };
    let application = case.application(incident)?;
    let idle = match application.idle()? {
        Idle::Never(closes) => return Ok(Verdict::RuledOut(proof.and(closes))),
        Idle::For(idle) => idle,
    };
    let Some(lasting) = application.ran_throughout(incident) else {
        return Err(Gap::undecided(
            "whether the application ran throughout",
            "one of its processes started after the first failure",
        ));
    };
    if idle.after > reuse.nginx_keeps {
        let longer = Exhibit::Record {
            probe: "process",
            at: None,
            text: format!("{}; nginx gives a kept connection up after {} s", idle.text, reuse.nginx_keeps.as_secs()),
        };
        return Ok(Verdict::RuledOut(proof.and(longer)));
    }
    let seconds = idle.after.as_secs();
    let setting = Exhibit::Record { probe: "process", at: None, text: idle.text.clone() };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!(
            "{} closes idle connections after {seconds} s, nginx keeps them for {} s and reuses one as it is closed",
            application.who(),
            reuse.nginx_keeps.as_secs()
        ),
        proof: proof.with(reuse.exhibits.iter().cloned()).and(setting).and(lasting),
        fixes: vec![
            Fix {
                summary: format!("let {} keep idle connections longer than nginx does", application.who()),
                safety: Safety::DisplayOnly,
                steps: vec![Step::Advice {
                    text: format!("raise {} above {} s", idle.name, reuse.nginx_keeps.as_secs()),
                }],
                verify: None,
            },
            Fix {
                summary: "or let nginx give them up first".to_owned(),
                safety: Safety::DisplayOnly,
                steps: vec![Step::Advice {
                    text: if seconds > 1 {
                        format!("set keepalive_timeout {}s; in the upstream block", seconds - 1)
                    } else {
                        "take keepalive out of the upstream block: the application keeps connections too briefly".to_owned()
                    },
                }],
                verify: None,
            },
        ],
    }))
}
