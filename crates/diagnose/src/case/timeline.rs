//! What happened on the host around an incident's start: units, workers, files, packages, the boot.
//!
//! Told, never judged: that one thing came before another proves nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use facts::packages::PackageChange;
use facts::{Exhibit, Gap, ProbeRequest};
use jiff::{SignedDuration, Timestamp};

use super::{Case, Instance, known};
use crate::diagnosis::{CauseVerdict, Judgement, Moment};
use crate::incident::Incident;

/// How far around the first failure is looked.
const BEFORE: SignedDuration = SignedDuration::from_mins(15);
const AFTER: SignedDuration = SignedDuration::from_secs(30);
/// The newest that are told.
const MOST: usize = 12;
/// Packages of one upgrade that are told one by one.
const PACKAGES: usize = 4;

impl Case {
    /// What happened around the start of an incident, in order; the moment that its answer rests on is marked.
    pub(crate) fn timeline(
        &self,
        incident: &Incident,
        causes: &[CauseVerdict],
    ) -> Result<Vec<Moment>, Gap> {
        // What began before the window has its start elsewhere.
        if incident.count == 0 {
            return Ok(Vec::new());
        }
        let instance = self.instance(incident)?;
        let mut moments = Vec::new();
        moments.extend(of_nginx(&instance));
        let changes = known(self.last_changes(incident.instance, &instance))?.unwrap_or_default();
        let changed = |(path, at): &(PathBuf, Timestamp)| {
            moment(*at, format!("{} was changed", path.display()))
        };
        moments.extend(changes.iter().map(changed));
        moments.extend(self.of_owner(incident)?);
        moments.extend(self.package_changes()?);
        moments.extend(known(self.boot())?.map(|at| moment(at, "the host booted".to_owned())));
        let from = incident
            .first_seen
            .checked_sub(BEFORE)
            .unwrap_or(Timestamp::MIN);
        let to = incident
            .first_seen
            .checked_add(AFTER)
            .unwrap_or(Timestamp::MAX);
        moments.retain(|moment| (from..=to).contains(&moment.at));
        moments.sort_by(|one, other| (one.at, &one.what).cmp(&(other.at, &other.what)));
        moments.dedup();
        let too_many = moments.len().saturating_sub(MOST);
        moments.drain(..too_many);
        mark(&mut moments, incident, causes);
        Ok(moments)
    }

    /// What the service manager said of the unit that owns the peer.
    fn of_owner(&self, incident: &Incident) -> Result<Vec<Moment>, Gap> {
        let Some(owner) = known(self.owner(incident))?.flatten() else {
            return Ok(Vec::new());
        };
        let Some(journal) = known(self.journal(owner.unit()))? else {
            return Ok(Vec::new());
        };
        let by_manager = journal.iter().filter(|entry| entry.event.is_some());
        Ok(by_manager
            .map(|entry| {
                moment(
                    entry.at,
                    String::from_utf8_lossy(&entry.message).into_owned(),
                )
            })
            .collect())
    }

    pub(crate) fn package_changes(&self) -> Result<Vec<Moment>, Gap> {
        let zone = self.host_zone()?;
        // One question for all incidents.
        let from = self.window_start();
        let from = from.checked_sub(BEFORE).unwrap_or(from);
        let local = from.to_zoned(zone.clone());
        let dpkg = facts::packages::dpkg_since(&local.strftime("%Y-%m-%d %H:%M:%S").to_string());
        let dnf = facts::packages::dnf_since(&local.strftime("%Y-%m-%dT%H:%M:%S").to_string());
        let read = |request: &ProbeRequest, parse: &dyn Fn(&[u8]) -> Vec<PackageChange>| {
            known(self.evidence.fact(request, |_, bytes| parse(bytes)))
        };
        let by_dpkg = read(&dpkg, &|bytes| facts::packages::of_dpkg(bytes, &zone));
        let by_dnf = read(&dnf, &facts::packages::of_dnf);
        let changes = [by_dpkg?, by_dnf?];
        Ok(changes
            .iter()
            .flatten()
            .flat_map(|changes| packages(changes))
            .collect())
    }
}

/// nginx's own comings and goings.
fn of_nginx(instance: &Instance) -> Vec<Moment> {
    let started = instance.master.as_ref().map(|master| master.start);
    let workers = instance.workers_since().filter(|since| {
        let as_started = started.and_then(|at| at.checked_add(SignedDuration::from_secs(2)).ok());
        as_started.is_none_or(|at| *since > at)
    });
    let started = started.map(|at| moment(at, "nginx started".to_owned()));
    let reloaded =
        workers.map(|at| moment(at, "nginx was reloaded: its workers started".to_owned()));
    started.into_iter().chain(reloaded).collect()
}

/// An upgrade of many packages is one moment.
fn packages(changes: &[PackageChange]) -> Vec<Moment> {
    let mut moments = Vec::new();
    for minute in
        changes.chunk_by(|one, other| one.at.as_second() / 60 == other.at.as_second() / 60)
    {
        let names: BTreeSet<&str> = minute
            .iter()
            .map(|change| change.package.as_str())
            .collect();
        if names.len() > PACKAGES {
            let first = minute.iter().map(|change| change.at).min();
            let some: Vec<&str> = names.iter().copied().take(PACKAGES).collect();
            let what = format!("{} packages changed: {}, ...", names.len(), some.join(", "));
            moments.extend(first.map(|at| moment(at, what)));
        } else {
            let told = |change: &PackageChange| {
                moment(
                    change.at,
                    format!(
                        "package {}: {} {}",
                        change.action, change.package, change.version
                    ),
                )
            };
            moments.extend(minute.iter().map(told));
        }
    }
    moments
}

fn moment(at: Timestamp, what: String) -> Moment {
    Moment {
        at,
        what,
        explains: false,
    }
}

/// Marks the last moment before the first failure whose second an exhibit of the answer has too.
fn mark(moments: &mut [Moment], incident: &Incident, causes: &[CauseVerdict]) {
    let proven: BTreeSet<i64> = causes
        .iter()
        .filter_map(|verdict| match &verdict.judgement {
            Judgement::Confirmed(confirmation) => Some(confirmation.proof.exhibits()),
            _ => None,
        })
        .flatten()
        .filter_map(|exhibit| match exhibit {
            Exhibit::Record { at, .. } => at.map(Timestamp::as_second),
            _ => None,
        })
        .collect();
    let before = |moment: &&mut Moment| moment.at.as_second() <= incident.first_seen.as_second();
    if let Some(moment) = moments
        .iter_mut()
        .filter(before)
        .rfind(|moment| proven.contains(&moment.at.as_second()))
    {
        moment.explains = true;
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::Fixture;

    #[test]
    fn what_happened_around_the_start_is_told_and_what_explains_it_is_marked() {
        let fixture = Fixture::parse(
            "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- file /var/log/dpkg.log
            2026-06-23 13:40:00 upgrade curl:amd64 7.88.1-10 7.88.1-11
            2026-06-23 14:01:50 upgrade shop:amd64 1.0-1 1.1-1
            //- unit shop.service ActiveState=failed SubState=failed Result=exit-code ExecStart={path=/usr/bin/gunicorn;argv[]=gunicorn_--bind_127.0.0.1:8000_shop.wsgi}
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            ",
        );
        let diagnosis = fixture.diagnose();
        let told: Vec<String> = fixture
            .judged(&diagnosis)
            .timeline
            .iter()
            .map(|moment| format!("{} {} {}", moment.at, moment.what, moment.explains))
            .collect();
        assert_eq!(
            told,
            ["2026-06-23T14:01:50Z package upgrade: shop 1.1-1 false"]
        );
    }
}
