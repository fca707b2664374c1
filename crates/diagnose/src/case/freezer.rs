//! Whether an application's control group is frozen: its processes then stand still, and none of them can tell.

use facts::process::Runtime;
use facts::process::freezer::{Freezer, Switch};
use facts::{Exhibit, Gap, ProbeRequest};

use super::application::Application;
use super::processes::proc_file;
use super::{Case, known};

/// A frozen application.
pub(crate) struct Frozen {
    /// What says so.
    pub(crate) exhibit: Exhibit,
    /// What lets it go on, for people.
    pub(crate) thaw: Vec<String>,
}

impl Case {
    /// Whether the processes that accept stand still because their control groups are frozen. Where it cannot be told, a
    /// gap.
    pub(crate) fn frozen(&self, application: &Application) -> Result<Option<Frozen>, Gap> {
        let pids: Vec<u32> = application
            .reached
            .accepting()
            .map(|process| process.pid)
            .collect();
        let cgroup = |pid: &u32| proc_file(*pid, "cgroup", 16 << 10);
        drop(self.evidence.batch(pids.iter().map(cgroup))?);
        let mut of_each = Vec::new();
        for pid in &pids {
            let (_, bytes) = self.evidence.bytes(&cgroup(pid))?;
            of_each.push(Freezer::all(bytes));
        }
        let states = of_each
            .iter()
            .flatten()
            .map(|freezer| file(&freezer.state()));
        drop(self.evidence.batch(states)?);
        let mut frozen = Vec::new();
        for freezers in &of_each {
            let mut stopped_by = None;
            for freezer in freezers {
                if self.is_frozen(freezer)? {
                    stopped_by = Some(freezer);
                }
            }
            let Some(freezer) = stopped_by else {
                return Ok(None);
            };
            frozen.push(freezer);
        }
        let (Some(freezer), Some(pid)) = (frozen.first(), pids.first()) else {
            return Ok(None);
        };
        let switches = freezer.switches();
        drop(
            self.evidence
                .batch(switches.iter().map(|switch| file(&switch.state)))?,
        );
        let mut thaw = Vec::new();
        for switch in &switches {
            if self.is_on(switch)? {
                let (what, path) = &switch.thaw;
                thaw.push(format!("write {what} into {path}"));
            }
        }
        if thaw.is_empty() {
            thaw.push("find which control group above it is frozen".to_owned());
        }
        thaw.extend(self.by_its_manager(*pid)?);
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        Ok(Some(Frozen {
            exhibit: Exhibit::Record {
                probe: "process",
                at: None,
                text: format!(
                    "the control group of every process that accepts is frozen (pid {}): {}",
                    pids.join(", "),
                    freezer.state()
                ),
            },
            thaw,
        }))
    }

    fn is_frozen(&self, freezer: &Freezer) -> Result<bool, Gap> {
        let missing = "whether the application's control group is frozen";
        let state = file(&freezer.state());
        let learn = format!("sudo cat {}", freezer.state());
        match self.evidence.bytes(&state) {
            Ok((_, bytes)) => freezer
                .is_frozen(bytes)
                .ok_or_else(|| Gap::undecided(missing, "its file does not tell").learn(learn)),
            Err(gap) => Err(Gap {
                missing: missing.into(),
                ..gap
            }
            .learn(learn)),
        }
    }

    fn is_on(&self, switch: &Switch) -> Result<bool, Gap> {
        let said = known(self.evidence.bytes(&file(&switch.state)))?;
        Ok(said.is_some_and(|(_, bytes)| bytes.starts_with(b"1")))
    }

    /// What the manager that may have frozen it calls going on.
    fn by_its_manager(&self, pid: u32) -> Result<Option<String>, Gap> {
        let Some(cgroup) = known(self.cgroup(pid))? else {
            return Ok(None);
        };
        Ok(match (&cgroup.container, &cgroup.unit) {
            (Some(container), _) => match container.runtime {
                Runtime::Docker => Some(format!(
                    "where it was paused so: docker unpause {}",
                    container.id
                )),
                Runtime::Podman => Some(format!(
                    "where it was paused so: podman unpause {}",
                    container.id
                )),
                _ => None,
            },
            (None, Some(unit)) if cgroup.user.is_none() => {
                Some(format!("where it was frozen so: systemctl thaw {unit}"))
            }
            _ => None,
        })
    }
}

fn file(path: &str) -> ProbeRequest {
    ProbeRequest::host_file(path)
}
