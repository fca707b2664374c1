//! Logs that several applications write to: a line in one is its application's only where it says so.

use std::path::{Path, PathBuf};

use facts::application::Kind;
use facts::application::php_fpm::{self, Config};
use facts::process::Process;
use facts::{Gap, ProbeRequest, View};

use super::pools::log_of;
use super::{Case, known, of_each};

/// Standard error, and standard output.
const OUTPUTS: [u32; 2] = [2, 1];

impl Case {
    /// Another application of the same kind that writes to one of these files as well; `process` is the one whose log it
    /// is, and for php-fpm `pool` its pool: lines name theirs.
    pub(super) fn other_writer(
        &self,
        kind: Kind,
        process: &Process,
        pool: Option<&str>,
        files: &[(View, PathBuf)],
    ) -> Result<Option<String>, Gap> {
        let processes = self.processes()?;
        let parent = |process: &Process| {
            processes
                .get(&process.ppid)
                .filter(|parent| Kind::recognise(&parent.args) == Some(kind))
        };
        let top = |process: &Process| {
            std::iter::successors(processes.get(&process.pid), |process| parent(process))
                .take(processes.len())
                .map(|process| process.pid)
                .collect::<Vec<_>>()
        };
        let own = top(process);
        let others: Vec<&Process> = processes
            .values()
            .filter(|other| Kind::recognise(&other.args) == Some(kind) && other.pid != process.pid)
            .filter(|other| !own.contains(&other.pid) && !top(other).contains(&process.pid))
            .collect();
        let links = others
            .iter()
            .flat_map(|other| OUTPUTS.map(|descriptor| link(other.pid, descriptor)));
        drop(self.evidence.batch(links)?);
        let write = of_each(&others, |other| self.writes_to(kind, other, pool, files))?;
        let found = others.iter().zip(write).find(|(_, writes)| *writes);
        Ok(found.map(|(other, _)| format!("{} (pid {})", kind.name(), other.pid)))
    }

    fn writes_to(
        &self,
        kind: Kind,
        other: &Process,
        pool: Option<&str>,
        files: &[(View, PathBuf)],
    ) -> Result<bool, Gap> {
        let view = self.view_of(other.pid)?;
        // What is its own for every process is nobody's in common.
        let is_own = |path: &Path| path.starts_with("/proc") || path.starts_with("/dev");
        let is_one = |path: PathBuf| !is_own(&path) && files.contains(&(view, path));
        if kind == Kind::PhpFpm {
            let main = php_fpm::main_config(&other.args);
            let config = main.map(|main| self.config_of(view, &main)).transpose()?;
            let config = config.flatten();
            let has_it = |config: &Config| {
                pool.is_none_or(|pool| config.pools.is_empty() || config.pool(pool).is_some())
            };
            let log = config.filter(has_it).and_then(|config| log_of(&config));
            return Ok(log.is_some_and(is_one));
        }
        for descriptor in OUTPUTS {
            if self
                .descriptor_file(other.pid, descriptor)?
                .is_some_and(is_one)
            {
                return Ok(true);
            }
        }
        let settings = self.settings(kind, other)?;
        for log in settings.logs.iter().filter(|log| !log.is_access) {
            if files.contains(&self.path_of(other, &log.path)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a php-fpm master is told; seen from elsewhere, without the files of its pools.
    fn config_of(&self, view: View, main: &Path) -> Result<Option<Config>, Gap> {
        if view == View::Host {
            return self.fpm_config(main);
        }
        let request = ProbeRequest::File {
            view,
            path: main.to_owned(),
            limit: 1 << 20,
        };
        Ok(known(self.evidence.bytes(&request))?.map(|(_, text)| {
            let mut config = Config::default();
            config.add(main, text);
            config
        }))
    }
}

fn link(pid: u32, descriptor: u32) -> ProbeRequest {
    ProbeRequest::Link {
        path: PathBuf::from(format!("/proc/{pid}/fd/{descriptor}")),
    }
}
