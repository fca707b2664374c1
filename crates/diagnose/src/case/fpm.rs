//! The php-fpm pool behind a peer: how many children it may have, how many run, and when it said that it has no more.

use std::path::PathBuf;

use facts::application::log::What;
use facts::application::{Kind, Origin, php_fpm};
use facts::process::Process;
use facts::{Exhibit, Gap, ProbeRequest, counted};
use jiff::Timestamp;

use super::evidence::stat_of;
use super::happenings::{AFTER, BEFORE};
use super::{Case, known};
use crate::incident::Incident;

/// Children that are all busy stay so from one failing second to the next: one that gets free takes what waits, and it is
/// php-fpm's own pace (a second) at which it ends children, or says again that it has no more.
const HOLD: i64 = 3;

/// A pool as it runs.
pub(crate) struct FpmPool {
    /// Its name.
    pub(crate) name: String,
    /// Program and pid of its php-fpm, for people.
    pub(crate) who: String,
    /// How many children it may have.
    pub(crate) limit: u32,
    /// Where that is set: file and line.
    pub(crate) setting: Option<(PathBuf, usize)>,
    /// The service to reload.
    pub(crate) service: Option<String>,
    /// Its children that live.
    children: Vec<Process>,
    /// When it said that it has as many as it may, with its words.
    said: Vec<(Timestamp, String)>,
}

impl FpmPool {
    /// That as many children run as may, and none of them is stopped by a signal.
    pub(crate) fn runs_all(&self) -> Option<Exhibit> {
        self.all_since(Timestamp::MAX)
    }

    /// The same, where all of them have run since then.
    pub(crate) fn all_since(&self, since: Timestamp) -> Option<Exhibit> {
        let newest = self.children.iter().map(|child| child.start).max()?;
        let all = usize::try_from(self.limit) == Ok(self.children.len());
        (all && newest <= since && !self.has_stopped()).then(|| Exhibit::Record {
            probe: "process",
            at: Some(newest),
            text: format!(
                "pool {} has {}, and may have {}",
                self.name,
                counted(self.children.len(), "child"),
                self.limit
            ),
        })
    }

    /// Whether a signal has stopped a child: then it is not busy, and may not have been.
    pub(crate) fn has_stopped(&self) -> bool {
        self.children.iter().any(|child| child.is_stopped)
    }

    /// How many children run.
    pub(crate) fn n_children(&self) -> usize {
        self.children.len()
    }

    /// Its words that account for every failing second, or for requests that had waited for so long by then.
    pub(crate) fn said_in_all(&self, incident: &Incident, waited: i64) -> Option<Exhibit> {
        let mut last_explained = None;
        for &second in incident.seconds.keys() {
            let from = second - waited - BEFORE;
            let said = self
                .said
                .iter()
                .any(|(at, _)| (from..=second + AFTER).contains(&at.as_second()));
            let holds = last_explained.is_some_and(|last| second - last <= HOLD);
            if !(said || holds) {
                return None;
            }
            last_explained = Some(second);
        }
        last_explained?;
        self.said_near(incident, waited)
    }

    /// The first of its words about this while it failed.
    pub(crate) fn said_near(&self, incident: &Incident, waited: i64) -> Option<Exhibit> {
        let from = incident.first_seen.as_second() - waited - BEFORE;
        let to = incident.last_seen.as_second() + AFTER;
        let (at, text) = self
            .said
            .iter()
            .find(|(at, _)| (from..=to).contains(&at.as_second()))?;
        Some(Exhibit::Record {
            probe: "application-log",
            at: Some(*at),
            text: text.clone(),
        })
    }
}

impl Case {
    /// The php-fpm pool behind a peer; `None` where another program listens there.
    pub(crate) fn fpm_pool(&self, incident: &Incident) -> Result<Option<FpmPool>, Gap> {
        let application = self.application(incident)?;
        if application.kind != Some(Kind::PhpFpm) {
            return Ok(None);
        }
        let pools = self.pools()?;
        let pool = incident
            .address
            .as_ref()
            .and_then(|address| pools.iter().find(|pool| pool.listens_on(address)))
            .ok_or_else(|| {
                Gap::undecided(
                    "the php-fpm pool behind the peer",
                    "no pool's file says that it listens there",
                )
            })?;
        let master = application
            .reached
            .holders
            .iter()
            .find(|holder| php_fpm::pool_name(&holder.args).is_none())
            .cloned()
            .ok_or_else(|| Gap::undecided("php-fpm's master", "its children are on their own"))?;
        let processes = self.processes()?;
        let children: Vec<Process> = processes
            .values()
            .filter(|child| child.ppid == master.pid && !child.is_zombie)
            .filter(|child| php_fpm::pool_name(&child.args).as_deref() == Some(pool.name()))
            .cloned()
            .collect();
        let own = application
            .log
            .events
            .iter()
            .filter(|event| event.pool.as_deref() == Some(pool.name()))
            // Pools of two masters may have one name.
            .filter(|_| application.log.shared_with.is_none());
        let full: Vec<_> = own
            .filter_map(|event| match event.what {
                What::MaxChildren { limit } => Some((event.at?, limit, event.text.trim())),
                _ => None,
            })
            .collect();
        let loaded = application
            .log
            .events
            .iter()
            .filter(|event| matches!(event.what, What::Starting | What::Ready))
            .filter_map(|event| event.at)
            .chain([master.start])
            .max();
        let set = pool.max_children();
        let of_file = match &set {
            Some(set) => self
                .unchanged_since(&set.origin, loaded)?
                .then_some(set.value),
            None => None,
        };
        let limit = full
            .last()
            .and_then(|(_, limit, _)| *limit)
            .or(of_file)
            .ok_or_else(|| {
                Gap::undecided(
                    format!("how many children pool {} may have", pool.name()),
                    "its file was changed after it was loaded, or does not say",
                )
            })?;
        let setting = set.and_then(|set| match set.origin {
            Origin::File(file, line) => Some((file, line)),
            _ => None,
        });
        let unit = application
            .units
            .iter()
            .find(|unit| unit.ends_with(".service"));
        Ok(Some(FpmPool {
            name: pool.name().to_owned(),
            who: application.who(),
            limit,
            setting,
            service: unit.cloned(),
            children,
            said: full
                .into_iter()
                .map(|(at, _, text)| (at, text.to_owned()))
                .collect(),
        }))
    }

    /// Whether the file of a setting is the one that was loaded then.
    fn unchanged_since(&self, origin: &Origin, loaded: Option<Timestamp>) -> Result<bool, Gap> {
        let Origin::File(file, _) = origin else {
            return Ok(false);
        };
        let record = known(self.evidence.record(&ProbeRequest::host_file(file)))?;
        let changed = record.and_then(stat_of).map(|stat| stat.changed);
        // A log tells whole seconds.
        Ok(changed
            .zip(loaded)
            .is_some_and(|(changed, loaded)| changed.as_second() <= loaded.as_second()))
    }
}
