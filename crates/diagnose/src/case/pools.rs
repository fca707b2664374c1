//! The php-fpm pools of the host: where each is set to listen, and what it is told.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use bstr::ByteSlice as _;
use facts::application::php_fpm::{self, Config};
use facts::application::{Bind, Kind, LogFile, Setting, Settings};
use facts::process::Process;
use facts::{Exhibit, Gap, PeerAddress, ProbeRequest, View};

use super::patience::{OwnLimit, own_limit};
use super::{Case, known, of_each};
use crate::incident::Incident;
use crate::tie::Place;

/// php-fpm takes relative paths to the prefix it was built with; distributions build it with this one.
const PREFIX: &str = "/usr";

/// A pool of some php-fpm on the host.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    set: php_fpm::Pool,
    /// The main configuration file of its php-fpm.
    main: PathBuf,
    /// The log of its master.
    error_log: Option<PathBuf>,
}

impl Pool {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.set.name
    }

    /// The addresses that it lets in, where it does not let in all of them.
    pub(super) fn allowed_clients(&self) -> Option<&Setting<String>> {
        self.set
            .allowed_clients
            .as_ref()
            .filter(|allowed| !allowed.value.is_empty())
    }

    /// `max_execution_time`, where the pool sets it.
    pub(super) fn max_execution_time(&self) -> Option<&Setting<String>> {
        self.set.max_execution_time.as_ref()
    }

    /// The path that it answers by itself.
    pub(super) fn ping_path(&self) -> Option<String> {
        let path = self.set.ping_path.as_ref()?.value.clone();
        path.starts_with('/').then_some(path)
    }

    /// php-fpm's file that it was read from, or that names it.
    pub(super) fn main(&self) -> &Path {
        &self.main
    }

    /// How many children it may have, where that is set.
    pub(super) fn max_children(&self) -> Option<Setting<u32>> {
        self.set.max_children.clone()
    }

    /// Whether it is set to listen on this address.
    pub(crate) fn listens_on(&self, address: &PeerAddress) -> bool {
        self.bind()
            .is_some_and(|bind| bind.takes(address) == Some(true))
    }

    fn bind(&self) -> Option<&Bind> {
        self.set.listen.as_ref().map(|listen| &listen.value)
    }

    /// The systemd service of its php-fpm, by where distributions keep the configuration.
    pub(crate) fn service(&self) -> Option<String> {
        let main = self.main.to_str()?;
        match main
            .strip_prefix("/etc/php/")
            .and_then(|rest| rest.strip_suffix("/fpm/php-fpm.conf"))
        {
            Some(version) => Some(format!("php{version}-fpm.service")),
            None => (main == "/etc/php-fpm.conf").then(|| "php-fpm.service".to_owned()),
        }
    }

    /// Where it is set to listen, in words and with its file; `None` where nothing says.
    pub(crate) fn place(&self) -> Option<String> {
        let (name, file) = (&self.set.name, self.set.file.display());
        Some(format!(
            "pool [{name}] has listen = {} ({file})",
            self.bind()?
        ))
    }

    /// What ends a single request there, where that is set.
    pub(crate) fn own_limit(&self) -> Option<OwnLimit> {
        own_limit(Kind::PhpFpm, &self.set.settings())
    }

    /// Where nginx would dial it, as nginx writes that; `None` where it is more than one address.
    pub(crate) fn address(&self) -> Option<String> {
        match self.bind()? {
            Bind::Address(address) => Some(address.to_string()),
            Bind::AnyAddress(port) => Some(format!("127.0.0.1:{port}")),
            Bind::Name(..) | Bind::Inherited => None,
        }
    }

    /// The version of PHP, by where Debian keeps the configuration.
    pub(crate) fn php(&self) -> Option<&str> {
        let rest = self.main.to_str()?.strip_prefix("/etc/php/")?;
        rest.strip_suffix("/fpm/php-fpm.conf")
    }

    /// Its `user` and `group`.
    pub(crate) fn run_by(&self) -> (Option<String>, Option<String>) {
        let value =
            |setting: &Option<Setting<String>>| setting.as_ref().map(|set| set.value.clone());
        (value(&self.set.user), value(&self.set.group))
    }

    /// What it is told, in words that are the same for every kind of application.
    pub(crate) fn told(&self) -> Settings {
        self.set.settings()
    }

    /// Where it is set to listen.
    pub(crate) fn exhibit(&self) -> Exhibit {
        let listen = self.bind().map(ToString::to_string).unwrap_or_default();
        Exhibit::Record {
            probe: "file",
            at: None,
            text: format!(
                "the php-fpm pool [{}] has listen = {listen} ({})",
                self.set.name,
                self.set.file.display()
            ),
        }
    }
}

/// The file that a php-fpm master is told to write its log to.
pub(super) fn log_of(config: &Config) -> Option<PathBuf> {
    let log = config.error_log.as_ref()?;
    (log.value != "syslog").then(|| Path::new(PREFIX).join(&log.value))
}

/// What a php-fpm said when it could not start.
#[derive(Clone, Debug)]
pub(crate) struct FailedStart {
    /// Its reason, without time and level.
    pub(crate) why: String,
    /// The line.
    pub(crate) exhibit: Exhibit,
    /// Where it stands.
    pub(crate) log: PathBuf,
}

/// The reason in a log that ends with a failed start: the first error of those that stand together at its end.
fn failed_start(log: &[u8]) -> Option<&str> {
    let mut lines = log.lines().rev().filter(|line| !line.trim().is_empty());
    lines
        .next()?
        .ends_with(b"] ERROR: FPM initialization failed")
        .then_some(())?;
    let errors = lines.map_while(|line| Some(line.to_str().ok()?.split_once("] ERROR: ")?.1));
    // An earlier start may have failed as well: its errors are not this one's.
    errors
        .take_while(|text| *text != "FPM initialization failed")
        .last()
}

impl Case {
    /// Why the php-fpm of a pool could not start, where its log ends with that.
    pub(super) fn failed_start(&self, pool: &Pool) -> Result<Option<FailedStart>, Gap> {
        let Some(log) = &pool.error_log else {
            return Ok(None);
        };
        let request = ProbeRequest::LinesSince {
            view: View::Host,
            path: log.clone(),
            from: String::new(),
            limit: super::logs::LOG_LIMIT,
        };
        let text = known(self.evidence.bytes(&request))?;
        let why = text.and_then(|(_, text)| failed_start(text));
        Ok(why.map(|why| FailedStart {
            why: why.to_owned(),
            exhibit: Exhibit::Record {
                probe: "lines-since",
                at: None,
                text: format!("{} ends with a failed start: {why}", log.display()),
            },
            log: log.clone(),
        }))
    }

    /// Every pool: of the php-fpm masters that run, and of those that are installed.
    pub(crate) fn pools(&self) -> Result<Rc<Vec<Pool>>, Gap> {
        self.evidence.once("pools", || {
            let mut pools = Vec::new();
            for main in self.fpm_configs()? {
                let Some(config) = self.fpm_config(&main)? else {
                    continue;
                };
                let error_log = log_of(&config);
                pools.extend(config.pools.iter().map(|pool| Pool {
                    set: pool.clone(),
                    main: main.clone(),
                    error_log: error_log.clone(),
                }));
            }
            Ok(pools)
        })
    }

    /// The main configuration files of php-fpm, each once.
    fn fpm_configs(&self) -> Result<Vec<PathBuf>, Gap> {
        let processes = self.processes()?;
        let masters = processes
            .values()
            .filter(|process| Kind::recognise(&process.args) == Some(Kind::PhpFpm));
        // A master that was told a relative path shows it so.
        let main_of = |master: &Process| match php_fpm::main_config(&master.args) {
            Some(main) if main.is_relative() => {
                let directory = self.working_directory(master)?;
                Ok(directory.map(|directory| directory.join(main)))
            }
            main => Ok(main),
        };
        let mut mains: Vec<PathBuf> = of_each(masters, main_of)?.into_iter().flatten().collect();
        let versions = ProbeRequest::Directory {
            view: View::Host,
            path: PathBuf::from("/etc/php"),
        };
        let versions = known(self.evidence.fact(&versions, |_, names| names.to_vec()))?;
        for version in versions
            .iter()
            .flat_map(|names| names.split(|&byte| byte == 0))
            .filter(|name| !name.is_empty())
        {
            mains.push(
                Path::new("/etc/php")
                    .join(version.to_os_str_lossy())
                    .join("fpm/php-fpm.conf"),
            );
        }
        mains.push(PathBuf::from("/etc/php-fpm.conf"));
        let mut seen = std::collections::BTreeSet::new();
        mains.retain(|main| seen.insert(main.clone()));
        Ok(mains)
    }

    /// What a main configuration file says, with those that it includes.
    pub(super) fn fpm_config(&self, main: &Path) -> Result<Option<Config>, Gap> {
        let mut config = Config::default();
        let Some((_, text)) = known(self.evidence.bytes(&ProbeRequest::host_file(main)))? else {
            return Ok(None);
        };
        config.add(main, text);
        let mut files = Vec::new();
        for pattern in &config.includes {
            files.extend(self.matching(&Path::new(PREFIX).join(pattern))?);
        }
        drop(
            self.evidence
                .batch(files.iter().map(ProbeRequest::host_file))?,
        );
        for file in files {
            if let Ok((_, text)) = self.evidence.bytes(&ProbeRequest::host_file(&file)) {
                config.add(&file, text);
            }
        }
        Ok(Some(config))
    }

    /// The files that a pattern with at most one `*`, in its last part, names.
    fn matching(&self, pattern: &Path) -> Result<Vec<PathBuf>, Gap> {
        let (Some(folder), Some(name)) = (
            pattern.parent(),
            pattern.file_name().and_then(|name| name.to_str()),
        ) else {
            return Ok(Vec::new());
        };
        let Some((before, after)) = name.split_once('*') else {
            return Ok(vec![pattern.to_owned()]);
        };
        let listing = ProbeRequest::Directory {
            view: View::Host,
            path: folder.to_owned(),
        };
        let Some((_, names)) = known(self.evidence.bytes(&listing))? else {
            return Ok(Vec::new());
        };
        let fits = |name: &&[u8]| {
            name.len() >= before.len() + after.len()
                && name.starts_with(before.as_bytes())
                && name.ends_with(after.as_bytes())
                && !name.starts_with(b".")
        };
        Ok(names
            .split(|&byte| byte == 0)
            .filter(fits)
            .map(|name| folder.join(name.to_os_str_lossy()))
            .collect())
    }

    /// Whether a php-fpm of this version stands in one of the places where distributions put it; so also where nobody was
    /// let look.
    pub(crate) fn is_php_installed(&self, version: &str) -> Result<bool, Gap> {
        let places = [
            format!("/etc/php/{version}/fpm/php-fpm.conf"),
            format!("/usr/sbin/php-fpm{version}"),
            format!("/usr/local/sbin/php-fpm{version}"),
            format!("/lib/systemd/system/php{version}-fpm.service"),
            format!("/etc/systemd/system/php{version}-fpm.service"),
        ];
        let places = places.map(PathBuf::from);
        drop(
            self.evidence
                .batch(places.iter().map(|path| ProbeRequest::Walk {
                    view: View::Host,
                    path: path.clone(),
                }))?,
        );
        for path in &places {
            let walk = known(self.walk(View::Host, path))?;
            if walk.is_none_or(|walk| walk.missing().is_none()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The pool that is set to listen at a place.
    pub(crate) fn pool_at(&self, place: &Place) -> Result<Option<String>, Gap> {
        let address = place.address();
        Ok(self
            .pools()?
            .iter()
            .find(|pool| pool.listens_on(&address))
            .map(|pool| pool.set.name.clone()))
    }

    /// What the pool behind a peer is told, with its master's log.
    pub(crate) fn pool_settings(&self, incident: &Incident) -> Result<Settings, Gap> {
        let Some(pool) = self.pool_of(incident)? else {
            return Ok(Settings::default());
        };
        let mut settings = pool.set.settings();
        settings
            .logs
            .extend(pool.error_log.iter().map(|path| LogFile {
                path: path.clone(),
                is_access: false,
            }));
        Ok(settings)
    }

    /// The pool that listens at the incident's peer.
    pub(super) fn pool_of(&self, incident: &Incident) -> Result<Option<Pool>, Gap> {
        let pools = self.pools()?;
        let address = incident.address.as_ref();
        let pool = address.and_then(|address| pools.iter().find(|pool| pool.listens_on(address)));
        Ok(pool.cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_ends_with_a_failed_start_says_why() {
        let failed = "[26-Nov-2026 10:00:00] ERROR: unable to bind listening socket for address '127.0.0.1:9000': Address already in use (98)\n[26-Nov-2026 10:00:00] ERROR: FPM initialization failed\n";
        let why = Some(
            "unable to bind listening socket for address '127.0.0.1:9000': Address already in use (98)",
        );
        let ran = "[26-Nov-2026 09:00:00] NOTICE: fpm is running, pid 7\n";
        assert_eq!(failed_start(failed.as_bytes()), why);
        assert_eq!(failed_start([ran, failed, failed].concat().as_bytes()), why);
        assert_eq!(failed_start([failed, ran].concat().as_bytes()), None);
        assert_eq!(failed_start(b""), None);
    }
}
