//! Sockets that stand in another file system view than nginx's: another mount namespace, or another root.

use std::path::{Path, PathBuf};

use facts::mounts::Mount;
use facts::process::Process;
use facts::{Exhibit, Gap, GapKind, ProbeRequest};

use super::network::UnixListener;
use super::processes::proc_file;
use super::{Case, Component, known};
use crate::incident::Incident;

/// A socket that its listener sees at the dialled path, and nginx does not.
pub(crate) struct Hidden {
    /// Its listener.
    pub(crate) listener: UnixListener,
    /// Its listener's process.
    pub(crate) holder: Process,
    /// What nginx's worker sees at the path.
    pub(crate) ours: &'static str,
    /// What tells the two views apart.
    pub(crate) exhibit: Exhibit,
    /// The listener's systemd service, where a `/tmp` of its own is why.
    pub(crate) private_tmp_of: Option<String>,
}

impl Case {
    /// The sockets at this path that their listeners see and nginx does not.
    pub(crate) fn hidden_sockets(
        &self,
        incident: &Incident,
        path: &Path,
    ) -> Result<Vec<Hidden>, Gap> {
        let mut found = Vec::new();
        let ours = self.walk_as_worker(incident, path)?.file();
        let own = self.unix_listeners_in(None)?;
        let beside = self.unix_listeners(incident)?;
        let of_path = |listener: &&UnixListener| listener.path.as_deref() == Some(path);
        for listener in own.iter().chain(beside.iter()).filter(of_path) {
            let holder = listener.holders.first().ok_or_else(|| {
                let missing = format!("who listens on {}", path.display());
                Gap::new(
                    GapKind::Denied,
                    missing,
                    "which process holds the socket needs root",
                )
                .learn("sudo why502")
            })?;
            let Some(theirs) = self.walk_as(holder.pid, path)?.file() else {
                continue;
            };
            let is_file =
                |one: &Component| (one.device, one.inode) == (theirs.device, theirs.inode);
            if ours.as_ref().is_some_and(is_file)
                || !theirs.is_socket()
                || listener.is_surely_file(theirs.device, theirs.inode) == Some(false)
            {
                continue;
            }
            let Some(exhibit) = self.other_view(incident, holder)? else {
                return Err(Gap::undecided(
                    "why nginx does not see the socket",
                    "it shares mounts and root with what listens there",
                ));
            };
            found.push(Hidden {
                listener: listener.clone(),
                private_tmp_of: self.private_tmp_of(holder, path)?,
                holder: holder.clone(),
                ours: match ours {
                    Some(_) => "another file",
                    None => "nothing",
                },
                exhibit,
            });
        }
        Ok(found)
    }

    /// Whether a listener of the path is known to listen on another file than the one that nginx sees there: on one that it
    /// sees there itself.
    pub(crate) fn listens_on_another(
        &self,
        listener: &UnixListener,
        path: &Path,
        ours: &Component,
    ) -> Result<bool, Gap> {
        let Some(holder) = listener.holders.first() else {
            return Ok(false);
        };
        let theirs = known(self.walk_as(holder.pid, path))?.and_then(|walk| walk.file());
        Ok(theirs.is_some_and(|theirs| {
            let is_surely = listener.is_surely_file(theirs.device, theirs.inode) == Some(true);
            is_surely && !theirs.is_same(ours)
        }))
    }

    /// The mount that puts this very path before nginx, where it is mounted by itself.
    pub(crate) fn mounted_at(
        &self,
        incident: &Incident,
        path: &Path,
    ) -> Result<Option<Mount>, Gap> {
        let Some(worker) = self.instance(incident)?.worker() else {
            return Ok(None);
        };
        let mounts = self
            .evidence
            .fact(&proc_file(worker, "mountinfo", 1 << 20), |_, bytes| {
                facts::mounts::parse(bytes)
            });
        let mounts = known(mounts)?.unwrap_or_default();
        let last = mounts.iter().rev().find(|mount| mount.point == path);
        Ok(last.cloned())
    }

    /// That a process does not see what nginx sees; `None` where it does.
    fn other_view(&self, incident: &Incident, process: &Process) -> Result<Option<Exhibit>, Gap> {
        let instance = self.instance(incident)?;
        let nginx = instance
            .worker()
            .ok_or_else(|| Gap::undecided("nginx's own view", "it is not running"))?;
        let link = |pid: u32, name: &str| ProbeRequest::Link {
            path: PathBuf::from(format!("/proc/{pid}/{name}")),
        };
        for (name, what) in [("ns/mnt", "mount namespace"), ("root", "root")] {
            let pair = [link(nginx, name), link(process.pid, name)];
            let answers = self.evidence.batch(pair.clone())?;
            drop(answers);
            let [ours, theirs] = pair.map(|link| {
                let read = self.evidence.bytes(&link);
                read.map(|(_, target)| String::from_utf8_lossy(target).into_owned())
            });
            let (ours, theirs) = (ours?, theirs?);
            if ours != theirs {
                return Ok(Some(Exhibit::Record {
                    probe: "link",
                    at: None,
                    text: format!(
                        "nginx's {what} is {ours}, that of pid {} is {theirs}",
                        process.pid
                    ),
                }));
            }
        }
        Ok(None)
    }

    /// The service that a process runs in, if systemd gives it a `/tmp` of its own and the path is below that.
    fn private_tmp_of(&self, process: &Process, path: &Path) -> Result<Option<String>, Gap> {
        if !(path.starts_with("/tmp") || path.starts_with("/var/tmp")) {
            return Ok(None);
        }
        let Some(unit) = self
            .unit_of(process.pid)?
            .filter(|unit| unit.ends_with(".service"))
        else {
            return Ok(None);
        };
        let state = self.unit_state(&unit)?;
        Ok(state
            .filter(|state| state.sandbox.private_tmp)
            .map(|_| unit))
    }

    /// That every process shares nginx's network namespace, so that its table holds all unix sockets of the host.
    pub(crate) fn sees_all_unix_sockets(&self, incident: &Incident) -> Result<bool, Gap> {
        self.sees_all_processes()?;
        let instance = self.instance(incident)?;
        let Some(nginx) = instance.worker() else {
            return Ok(false);
        };
        let processes = self.processes()?;
        let link = |pid: &u32| ProbeRequest::Link {
            path: PathBuf::from(format!("/proc/{pid}/ns/net")),
        };
        drop(self.evidence.batch(processes.keys().map(link))?);
        let of = |pid: &u32| self.evidence.bytes(&link(pid)).map(|(_, bytes)| bytes).ok();
        let own = of(&nginx);
        // Kernel threads hold no socket, and a process may have ended since the listing.
        let others = processes
            .iter()
            .filter(|(_, process)| !process.args.is_empty());
        let mut namespaces = others.filter_map(|(pid, _)| of(pid));
        Ok(own.is_some() && namespaces.all(|namespace| Some(namespace) == own))
    }
}
