//! Whether what stands on disk is what a worker had loaded when it failed.
//!
//! A worker runs what its master had read when it was started; a file that changed since tells nothing of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use facts::process::Process;
use facts::{Exhibit, Gap, ProbeRequest};
use jiff::{SignedDuration, Timestamp};

use super::config::CLOCK_GRAIN;
use super::{Case, Component, Instance, known};
use crate::causes::Stage;
use crate::diagnosis::{CauseVerdict, Judgement};
use crate::incident::{Incident, Origin};

/// Directories and files of a configuration whose links are followed.
const PATHS_WALKED: usize = 512;

/// A log line means the whole second.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

impl Case {
    /// Takes a confirmation back that rests on a line of the configuration which the worker that failed may not have
    /// loaded: what was mended since, or never loaded, is not why it failed.
    ///
    /// What it said is no hint either: it would tell the state of then by a directive of now, such as a size that has been
    /// made large enough since.
    ///
    /// Only of what fails once nginx has connected. Before that, the log itself names the address that was dialled, and a
    /// connect that fails still shows that it is dialled still.
    pub(crate) fn confirmed_by_what_ran(
        &self,
        incident: &Incident,
        verdict: CauseVerdict,
    ) -> CauseVerdict {
        let Judgement::Confirmed(confirmation) = &verdict.judgement else {
            return verdict;
        };
        if verdict.cause.stage < Stage::Tls {
            return verdict;
        }
        let quoted = confirmation.proof.exhibits().iter();
        let files: BTreeSet<PathBuf> = quoted
            .filter_map(|exhibit| match exhibit {
                Exhibit::Config(span) => Some(span.file.clone()),
                Exhibit::Log { .. } | Exhibit::Record { .. } => None,
            })
            .collect();
        // What a configuration does not say, none of its files says.
        let says_nothing = |exhibit: &Exhibit| matches!(exhibit, Exhibit::Record { probe, .. } if *probe == "config");
        let loaded = if confirmation.proof.exhibits().iter().any(says_nothing) {
            self.was_all_loaded(incident)
        } else {
            self.was_loaded(incident, &files)
        };
        match loaded {
            Ok(()) => verdict,
            Err(gap) => CauseVerdict {
                judgement: Judgement::Unknown(gap),
                ..verdict
            },
        }
    }

    /// That the worker which failed last had loaded the whole configuration as it stands on disk.
    fn was_all_loaded(&self, incident: &Incident) -> Result<(), Gap> {
        let instance = self.instance(incident)?;
        let files = self.last_changes(incident.instance, &instance)?;
        self.was_loaded(
            incident,
            &files.iter().map(|(path, _)| path.clone()).collect(),
        )?;
        match self.changed_includes(incident)? {
            None => Ok(()),
            Some(_) => Err(Gap::too_late(
                "what nginx had loaded when it failed",
                "files were added to its configuration or taken away since",
            )),
        }
    }

    /// That the worker which failed last had loaded these files as they stand on disk.
    pub(super) fn was_loaded(
        &self,
        incident: &Incident,
        files: &BTreeSet<PathBuf>,
    ) -> Result<(), Gap> {
        if files.is_empty() || matches!(incident.origin, Origin::Host | Origin::Experiment) {
            return Ok(());
        }
        let instance = self.instance(incident)?;
        let changes = self.last_changes(incident.instance, &instance)?;
        let newest = changes
            .iter()
            .filter(|(path, _)| files.contains(path))
            .max_by_key(|(_, changed)| *changed);
        let Some((path, changed)) = newest else {
            return Ok(());
        };
        let had_loaded =
            |since: Timestamp| *changed <= since.saturating_add(CLOCK_GRAIN).unwrap_or(since);
        let failed = incident
            .last_seen
            .saturating_add(SECOND)
            .unwrap_or(incident.last_seen);
        if let Some(master) = &instance.master
            && had_loaded(master.start)
            && master.start < failed
        {
            return Ok(());
        }
        match self.failed_last(incident, &instance)? {
            Some(worker) if had_loaded(worker.start) => Ok(()),
            Some(_) => Err(Gap::too_late(
                format!("what nginx's workers have loaded of {}", path.display()),
                "it was changed after they started",
            )
            .learn("nginx -t && nginx -s reload")),
            None => Err(Gap::too_late(
                format!("what stood in {} when it failed", path.display()),
                match self.draining_writer(incident)? {
                    Some(worker) => format!(
                        "it was changed, and the worker that failed (pid {}) is shutting down: it runs an older configuration",
                        worker.pid
                    ),
                    None => "it was changed, and the worker that failed has been replaced since"
                        .to_owned(),
                },
            )),
        }
    }

    /// What was added to or taken from a directory of includes since the workers started, or a link that leads elsewhere
    /// now: neither changes a file.
    pub(crate) fn changed_includes(&self, incident: &Incident) -> Result<Option<Exhibit>, Gap> {
        let idx = incident.instance;
        let changed = self.evidence.once(format!("changed includes {idx}"), || {
            self.includes_changed_for(idx, &self.instance(incident)?)
        })?;
        Ok((*changed).clone())
    }

    fn includes_changed_for(
        &self,
        idx: usize,
        instance: &Instance,
    ) -> Result<Option<Exhibit>, Gap> {
        let Some(since) = instance.workers_since() else {
            return Ok(None);
        };
        let configured = self.configured(idx)?;
        let files = configured.configuration.files().iter();
        let paths: Vec<&PathBuf> = configured
            .folders
            .iter()
            .chain(files.map(|file| &file.path))
            .take(PATHS_WALKED)
            .collect();
        let walks = paths.iter().map(|path| ProbeRequest::Walk {
            view: instance.view,
            path: (*path).clone(),
        });
        drop(self.evidence.batch(walks)?);
        let mut newest: Option<Component> = None;
        for path in paths {
            let Some(walked) = known(self.walk(instance.view, path))? else {
                continue;
            };
            let links = walked.components().filter(Component::is_link);
            let changed = links.chain(walked.file().filter(Component::is_directory));
            newest = changed.chain(newest).max_by_key(|node| node.changed);
        }
        let late = since.saturating_add(CLOCK_GRAIN).unwrap_or(since);
        Ok(newest
            .filter(|node| node.changed > late)
            .map(|node| Exhibit::Record {
                probe: "walk",
                at: Some(node.changed),
                text: format!("{} changed after the workers started", node.path.display()),
            }))
    }

    /// The worker that failed last, where it still serves. A line of an access log names none: then any that ran.
    fn failed_last(
        &self,
        incident: &Incident,
        instance: &Instance,
    ) -> Result<Option<Process>, Gap> {
        if let Some(pid) = incident.last_writer {
            return self.worker_called(incident, pid);
        }
        let newest = instance.workers.iter().max_by_key(|worker| worker.start);
        Ok(newest
            .filter(|worker| worker.start <= incident.last_seen)
            .cloned())
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "response-header-too-big";
    const FAILED: &str = "
        //- failed 14:04:30 http://127.0.0.1:8000/
        upstream sent too big header while reading response header from upstream
    ";

    fn told(nginx: &str, changed: &str) -> String {
        let conf = format!(
            "
            //- nginx {nginx}
            //- file /etc/nginx/nginx.conf ctime={changed}
            http {{ server {{ location / {{ proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_pass http://127.0.0.1:8000; }} }} }}
        "
        );
        check(ID, [&conf, FAILED])
    }

    #[test]
    fn a_size_that_was_in_force_is_told() {
        for (nginx, changed) in [
            // Loaded by the worker that failed.
            ("start=13:00:00 workers-start=13:30:00", "13:20:00"),
            // By the master, so by every worker that it had.
            (
                "start=13:00:00 workers-start=14:04:50 workers=2900",
                "12:50:00",
            ),
        ] {
            let told = told(nginx, changed);
            assert!(
                told.contains(
                    "confirmed: a response header is larger than proxy_buffer_size, which is 64k"
                ),
                "{told}"
            );
        }
    }

    #[test]
    fn a_size_that_came_with_a_reload_since_is_not_why_it_failed() {
        assert_snapshot!(told("start=13:00:00 workers-start=14:04:50 workers=2900", "14:04:45"), @"
        answer: none, ongoing
        unknown: what stood in /etc/nginx/nginx.conf when it failed: it was changed, and the worker that failed has been replaced since
        ");
    }

    #[test]
    fn a_size_that_no_worker_has_loaded_is_not_told() {
        assert!(!told("start=13:00:00 workers-start=13:30:00", "14:04:00").contains("64k"));
    }
}
