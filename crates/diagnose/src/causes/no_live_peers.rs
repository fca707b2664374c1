//! See the doc comment of [`NO_LIVE_PEERS`].

use facts::{Exhibit, Gap};
use log::error::Class;

use super::FirstPass;
use crate::case::{Case, Member};
use crate::diagnosis::Judgement;
use crate::incident::Incident;
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx has taken every server of the upstream out of use.
    ///
    /// ## Confirmed when
    /// The log says `no live upstreams`, and every server of that upstream is either marked `down` in the configuration or
    /// failed in the log before it, with `max_fails` in force.
    /// The line is an echo: the cause of each server's own failure stands beneath.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Mend the servers (each has its own incident), or take `down` away.
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
    let mut exhibits = Vec::new();
    let mut said = Vec::new();
    let mut fixes = Vec::new();
    for member in &members {
        if member.down {
            exhibits.push(Exhibit::Config(member.span.clone()));
            said.push(format!("{} is marked down", member.text));
            fixes.push(undown(member));
            continue;
        }
        if member.max_fails == 0 {
            return Err(Gap::undecided(format!("why {} is out of use", member.text), "max_fails=0 never takes it out"));
        }
        if member.max_conns > 0 {
            return Err(Gap::undecided(format!("why {} is out of use", member.text), "max_conns may have been reached"));
        }
        let failing = failures_of(member, incident, known);
        if failing.is_empty() {
            return Err(Gap::too_late(
                format!("why {} was taken out of use", member.text),
                "no failure of it stands in the window",
            )
            .learn("why502 --since 24h"));
        }
        for other in failing {
            exhibits.push(other.incident.exhibit());
            said.push(format!("{}: {}", other.incident.peer, reason(other)));
        }
    }
    let down = members.iter().filter(|member| member.down).count();
    let how = match (down, members.len() - down) {
        (_, 0) => "all are marked down".to_owned(),
        (0, _) => "max_fails took them out".to_owned(),
        (down, failed) => format!("{down} marked down, {failed} taken out by max_fails"),
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("no server of {} is in use: {how} ({})", incident.peer, said.join("; ")),
        proof: proof.with(exhibits),
        fixes,
    }))
}

/// The incidents in which a server failed before nginx said that none is left.
fn failures_of<'a, 'b>(member: &Member, incident: &Incident, known: &'a [FirstPass<'b>]) -> Vec<&'a FirstPass<'b>> {
    known
        .iter()
        .filter(|other| {
            other.incident.instance == incident.instance
                && !other.incident.is(Class::NoLiveUpstreams)
                && counts_as_failure(other.incident)
                && other.incident.first_seen <= incident.last_seen
                && other.incident.address.as_ref().is_some_and(|address| member.addresses.contains(address))
        })
        .collect()
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
        verify: Some("why502".to_owned()),
    }
}
