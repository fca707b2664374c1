//! What the causes about SELinux share: whether a connection of nginx's is denied, by audit's record of that second or
//! by the policy in force. Which fix fits is theirs.

use facts::audit::{AccessRecord, Avc, SecurityModule};
use facts::{Exhibit, Gap, GapKind, PeerAddress};

use crate::case::{Case, LEARN_DENIALS, Need, Repeated, Ruling, Selinux, known};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Fix, Proof, Safety, Step, Verdict};

/// What was found of a connection that nginx may have been denied.
pub(crate) enum Weighed {
    /// SELinux denied it.
    Denied(Denial),
    /// It did not.
    Not(Verdict),
}

/// SELinux denied a connection.
pub(crate) struct Denial {
    /// What shows it.
    pub(crate) proof: Proof,
    /// Audit's last record of it.
    pub(crate) record: Option<Avc>,
    /// What the policy in force denies now; empty once it lets the connection pass, or where it could not be asked.
    pub(crate) now: Vec<Ruling>,
    /// What has changed since, for people; empty where nothing has.
    pub(crate) since: &'static str,
}

/// Weighs an incident of errno 13 whose records `fits` knows.
pub(crate) fn weigh(
    incident: &Incident,
    case: &Case,
    proof: Proof,
    fits: impl Fn(&AccessRecord, &Avc) -> bool,
) -> Result<Weighed, Gap> {
    let mode = case.selinux()?;
    if let Selinux::Off(off) = &*mode {
        return Ok(Weighed::Not(Verdict::RuledOut(proof.and(off.clone()))));
    }
    let denied = known(case.denied(incident, |record| match &record.module {
        SecurityModule::SeLinux(avc) => avc.enforced != Some(false) && fits(record, avc),
        SecurityModule::AppArmor(_) => false,
    }))?
    .flatten();
    let rulings = match &*mode {
        Selinux::Enforcing => known(case.rulings(incident))?,
        _ => None,
    };
    let now: Vec<Ruling> = rulings
        .iter()
        .flat_map(|rulings| rulings.denied().cloned())
        .collect();
    let since = match (&*mode, &rulings) {
        _ if !now.is_empty() => "",
        (Selinux::Permissive(_), _) => "; it is permissive now",
        (_, Some(rulings)) if rulings.all_pass().is_ok() => {
            "; the policy in force lets it pass now"
        }
        _ => "",
    };
    let proof = match denied.as_ref() {
        // A record of that second proves it for good, whatever holds now.
        Some(denied) => proof.and(denied.exhibit.clone()),
        None if now.is_empty() => return not_denied(incident, case, &mode, proof),
        None => {
            unrecorded(incident, case, &now)?;
            let again = case.still_failing(incident)?;
            let is_new = !now.iter().any(|ruling| ruling.exhibit() == again);
            proof.with(Some(again).filter(|_| is_new))
        }
    };
    let record = denied.and_then(|denied| match denied.last.module {
        SecurityModule::SeLinux(avc) => Some(avc),
        SecurityModule::AppArmor(_) => None,
    });
    Ok(Weighed::Denied(Denial {
        proof: proof.with(now.iter().map(Ruling::exhibit)),
        record,
        now,
        since,
    }))
}

/// The policy denies it now and no record tells of it: that counts where denials are not logged.
fn unrecorded(incident: &Incident, case: &Case, now: &[Ruling]) -> Result<(), Gap> {
    let Some(first) = now.first() else {
        return Ok(());
    };
    // On a path the kernel asks owner, mode and ACL first.
    let is_socket = matches!(incident.address, Some(PeerAddress::Unix(_)));
    if is_socket && matches!(case.repeated_unconfined(incident)?, Repeated::Same(_)) {
        return Err(Gap::undecided(
            "whether SELinux was asked at all",
            "something denies the connection outside its rule too, and no denial of its own was recorded",
        )
        .learn(LEARN_DENIALS));
    }
    if first.is_silent {
        return Ok(());
    }
    match known(case.denials())? {
        Some(denials) if denials.cover(incident) => Err(Gap::undecided(
            "whether SELinux denied it when it failed",
            "the policy in force denies it now, and audit recorded no denial then",
        )
        .leaning(format!(
            "the policy in force denies {} {} on {}",
            first.need.domain(),
            first.need.permission,
            first.need.what
        ))
        .learn(LEARN_DENIALS)),
        _ => Ok(()),
    }
}

/// Nothing of SELinux denies it now, and no record says that it did.
fn not_denied(
    incident: &Incident,
    case: &Case,
    mode: &Selinux,
    proof: Proof,
) -> Result<Weighed, Gap> {
    let passes = match mode {
        Selinux::Off(exhibit) | Selinux::Permissive(exhibit) => vec![exhibit.clone()],
        Selinux::Enforcing => {
            let rulings = case.rulings(incident).and_then(|rulings| {
                rulings.all_pass()?;
                Ok(rulings)
            });
            let rulings = rulings.map_err(|gap| match gap.kind {
                GapKind::Pending => gap,
                _ if gap.learn.is_some() => gap.leaning("SELinux enforces on this host"),
                _ => gap
                    .leaning("SELinux enforces on this host")
                    .learn(LEARN_DENIALS),
            })?;
            rulings.rulings.iter().map(Ruling::exhibit).collect()
        }
    };
    let again = case.still_failing(incident)?;
    Ok(Weighed::Not(Verdict::RuledOut(
        proof.with(passes).and(again),
    )))
}

/// What the same connection meets outside SELinux's rule, where that is another failure: the denial hides it.
pub(crate) fn hidden(incident: &Incident, case: &Case) -> Result<Option<Exhibit>, Gap> {
    Ok(match known(case.repeated_unconfined(incident))? {
        Some(Repeated::Other(_, exhibit) | Repeated::Silent(exhibit)) => Some(exhibit),
        _ => None,
    })
}

/// Says in each fix that something else is wrong too.
pub(crate) fn not_alone(fixes: &mut [Fix], hidden: Option<&Exhibit>) {
    let Some(Exhibit::Record { text, .. }) = hidden else {
        return;
    };
    for fix in fixes {
        fix.steps.push(Step::Advice {
            text: format!(
                "this alone will not do: outside SELinux's rule the connection fails too ({text})"
            ),
        });
    }
}

/// A module that allows just this: the last resort, for a person to weigh.
pub(crate) fn module(needs: &[&Need]) -> Fix {
    Fix {
        summary: "a policy module of your own, reviewed, where nothing narrower fits".to_owned(),
        safety: Safety::DisplayOnly,
        steps: module_steps(needs),
        verify: Some(AGAIN.to_owned()),
    }
}

/// How such a module is written and loaded.
pub(crate) fn module_steps(needs: &[&Need]) -> Vec<Step> {
    let rule = |need: &&Need| {
        format!(
            "(allow {} {} ({} ({})))",
            need.domain(),
            need.kind(),
            need.class,
            need.permission
        )
    };
    let rules: Vec<String> = needs.iter().map(rule).collect();
    vec![
        Step::Advice {
            text: format!("write to nginx_local.cil: {}", rules.join(" ")),
        },
        Step::command(["semodule", "-i", "nginx_local.cil"]),
    ]
}
