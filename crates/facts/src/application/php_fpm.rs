//! php-fpm's configuration: the main file, the pools, and what a process tells of them in its title.
//!
//! Values that differ between versions of PHP when nothing sets them are not known.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bstr::ByteSlice as _;

use super::settings::{Bind, Bound, Limit, Origin, Setting, Settings, SpokenProtocol};
use crate::text::{holes, owned};

/// A configuration: the main file and what it includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What the main file includes: patterns of paths, relative to php-fpm's prefix.
    pub includes: Vec<String>,
    /// The master's log; `syslog` goes to the journal.
    pub error_log: Option<Setting<String>>,
    /// The pools.
    pub pools: Vec<Pool>,
}

/// A pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The file it is first met in.
    pub file: PathBuf,
    /// Where it listens.
    pub listen: Option<Setting<Bind>>,
    /// Who owns its unix socket.
    pub listen_owner: Option<Setting<String>>,
    /// The group of its unix socket.
    pub listen_group: Option<Setting<String>>,
    /// The mode of its unix socket; 0660 when nothing sets it.
    pub listen_mode: Option<Setting<u32>>,
    /// The users that an ACL lets in, in place of owner, group and mode.
    pub acl_users: Option<Setting<String>>,
    /// The groups that an ACL lets in.
    pub acl_groups: Option<Setting<String>>,
    /// The addresses that may connect over TCP, as written; all may where it is not set or empty.
    pub allowed_clients: Option<Setting<String>>,
    /// How many connections may wait to be accepted.
    pub backlog: Option<Setting<u32>>,
    /// `static`, `dynamic` or `ondemand`.
    pub pm: Option<Setting<String>>,
    /// How many children may answer requests.
    pub max_children: Option<Setting<u32>>,
    /// After how long a request is ended.
    pub request_terminate_timeout: Option<Setting<Limit>>,
    /// After how long a request is written to the slow log.
    pub request_slowlog_timeout: Option<Setting<Limit>>,
    /// The path that it answers by itself, with `pong`.
    pub ping_path: Option<Setting<String>>,
    /// The log of requests.
    pub access_log: Option<PathBuf>,
    /// The log of slow requests.
    pub slowlog: Option<PathBuf>,
    /// The log of PHP's own errors (`php_value[error_log]`, `php_admin_value[error_log]`).
    pub php_error_log: Option<PathBuf>,
    /// `memory_limit`, as written.
    pub memory_limit: Option<Setting<String>>,
    /// `max_execution_time`, as written.
    pub max_execution_time: Option<Setting<String>>,
    /// The root of its children.
    pub chroot: Option<PathBuf>,
    /// Who its children are.
    pub user: Option<Setting<String>>,
    /// Of which group.
    pub group: Option<Setting<String>>,
    /// Whether what its children print is in the master's log.
    pub catches_output: bool,
}

/// The main configuration file that a master names: in its title, or behind `-y`.
pub fn main_config(args: &[Vec<u8>]) -> Option<PathBuf> {
    if let Some([path]) = args
        .first()
        .and_then(|title| title.split_once_str("master process "))
        .and_then(|(_, rest)| holes(rest, "({})"))
    {
        return Some(PathBuf::from(owned(path)));
    }
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        if let Some(path) = arg
            .strip_prefix(b"--fpm-config=")
            .or_else(|| arg.strip_prefix(b"-y").filter(|path| !path.is_empty()))
        {
            return Some(PathBuf::from(owned(path)));
        }
        if matches!(arg.as_slice(), b"-y" | b"--fpm-config") {
            return args.next().map(|path| PathBuf::from(owned(path)));
        }
    }
    None
}

/// The pool of a child, from its title `php-fpm: pool www`.
pub fn pool_name(args: &[Vec<u8>]) -> Option<String> {
    let (_, name) = args.first()?.split_once_str("fpm: pool ")?;
    Some(owned(name.trim_end()))
}

impl Config {
    /// Takes in the main file or an included one, in the order in which php-fpm reads them.
    pub fn add(&mut self, file: &Path, text: &[u8]) {
        let mut section = String::from("global");
        for (idx, line) in text.lines().enumerate() {
            let line = line.trim();
            if matches!(line.first(), None | Some(b';' | b'#')) {
                continue;
            }
            if let Some(name) = line.strip_prefix(b"[") {
                section = owned(name.split_once_str("]").map_or(name, |(name, _)| name));
                self.open(&section, file);
            } else if let Some((key, value)) = line.split_once_str("=") {
                let origin = Origin::File(file.to_owned(), idx + 1);
                self.take(
                    &section,
                    &owned(key.trim()),
                    &unquoted(&owned(value)),
                    &origin,
                );
            }
        }
    }

    /// The pool of this name.
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// A section may be met more than once, in several files.
    fn open(&mut self, section: &str, file: &Path) {
        if section != "global" && self.pool(section).is_none() {
            self.pools.push(Pool {
                name: section.to_owned(),
                file: file.to_owned(),
                listen_mode: Setting::default(0o660),
                request_terminate_timeout: Setting::default(Limit::Never),
                ..Pool::default()
            });
        }
    }

    fn take(&mut self, section: &str, key: &str, value: &str, origin: &Origin) {
        if key == "include" {
            self.includes.push(value.to_owned());
        } else if section == "global" {
            if key == "error_log" {
                self.error_log = Setting::of(Some(value.to_owned()), origin);
            }
        } else if let Some(pool) = self.pools.iter_mut().find(|pool| pool.name == section) {
            pool.take(key, &value.replace("$pool", section), origin);
        }
    }
}

impl Pool {
    fn take(&mut self, key: &str, value: &str, origin: &Origin) {
        let text = || Setting::of(Some(value.to_owned()), origin);
        let path = || Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty());
        let count = || Setting::of(value.parse().ok(), origin);
        let limit = || Setting::of(seconds(value).map(Limit::of_seconds), origin);
        match key {
            "listen" => self.listen = Setting::of(listen(value), origin),
            "listen.owner" => self.listen_owner = text(),
            "listen.group" => self.listen_group = text(),
            "listen.mode" => {
                self.listen_mode = Setting::of(u32::from_str_radix(value, 8).ok(), origin);
            }
            "listen.acl_users" => self.acl_users = text(),
            "listen.acl_groups" => self.acl_groups = text(),
            "listen.allowed_clients" => self.allowed_clients = text(),
            "listen.backlog" => self.backlog = count(),
            "pm" => self.pm = text(),
            "pm.max_children" => self.max_children = count(),
            "request_terminate_timeout" => self.request_terminate_timeout = limit(),
            "request_slowlog_timeout" => self.request_slowlog_timeout = limit(),
            "ping.path" => self.ping_path = text(),
            "access.log" => self.access_log = path(),
            "slowlog" => self.slowlog = path(),
            "chroot" => self.chroot = path(),
            "user" => self.user = text(),
            "group" => self.group = text(),
            "catch_workers_output" => {
                self.catches_output = matches!(value, "yes" | "on" | "true" | "1");
            }
            "php_value[error_log]" | "php_admin_value[error_log]" => self.php_error_log = path(),
            "php_value[memory_limit]" | "php_admin_value[memory_limit]" => {
                self.memory_limit = text();
            }
            "php_value[max_execution_time]" | "php_admin_value[max_execution_time]" => {
                self.max_execution_time = text();
            }
            _ => {}
        }
    }

    /// Its settings in the words that every application has.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings {
            timeout: self.request_terminate_timeout.clone(),
            workers: self.max_children.clone(),
            worker_class: self.pm.clone(),
            backlog: self.backlog.clone(),
            name: Some(self.name.clone()),
            config_files: vec![self.file.clone()],
            ..Settings::default()
        };
        if let Some(listen) = &self.listen {
            let (bind, origin) = (listen.value.clone(), listen.origin.clone());
            settings.binds.push(Bound {
                bind,
                protocol: SpokenProtocol::FastCgi,
                origin,
            });
        }
        for (path, is_access) in [
            (&self.access_log, true),
            (&self.slowlog, false),
            (&self.php_error_log, false),
        ] {
            if let Some(path) = path.as_ref().and_then(|path| path.to_str()) {
                settings.log(path, is_access);
            }
        }
        settings
    }
}

/// The value that a `php.ini` gives a setting, with its line.
pub fn ini_value(text: &[u8], name: &str) -> Option<(String, usize)> {
    let lines = text.lines().enumerate();
    let set = lines.filter_map(|(idx, line)| {
        let (key, value) = line.split_once_str("=")?;
        let is_it = key.trim() == name.as_bytes();
        is_it.then(|| (unquoted(&owned(value.trim())), idx + 1))
    });
    set.last()
}

/// A port alone is every address (`fpm_sockets_get_listening_socket`).
fn listen(value: &str) -> Option<Bind> {
    if value.contains("${") || value.is_empty() {
        return None;
    }
    if let Ok(port) = value.parse() {
        return Some(Bind::AnyAddress(port));
    }
    if value.contains('/') {
        Some(Bind::unix(value))
    } else {
        Bind::host_and_port(value)
    }
}

/// A number with `s`, `m`, `h` or `d` behind it.
fn seconds(value: &str) -> Option<u64> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let unit = units
        .iter()
        .find_map(|&(letter, seconds)| Some((value.strip_suffix(letter)?, seconds)));
    let (digits, unit) = unit.unwrap_or((value, 1));
    digits
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)
        .filter(|&n| Duration::from_secs(n) < Duration::from_hours(1 << 20))
}

/// A value without quotes and without a comment behind it.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    match value
        .strip_prefix('"')
        .and_then(|rest| rest.split_once('"'))
    {
        Some((quoted, _)) => quoted.to_owned(),
        None => value.split(';').next().unwrap_or(value).trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAIN: &str = ";;;;\n[global]\npid = /run/php/php8.2-fpm.pid\nerror_log = /var/log/php8.2-fpm.log\ninclude=/etc/php/8.2/fpm/pool.d/*.conf\n";
    const WWW: &str = "[www]\nuser = www-data\ngroup = www-data\n; listen = 9000\nlisten = /run/php/$pool-8.2.sock\nlisten.owner = www-data\n\
        listen.mode = 0600\nlisten.backlog = 511\npm = dynamic\npm.max_children = 5 ; too few\nrequest_terminate_timeout = 2m\n\
        access.log = /var/log/$pool.access.log\nslowlog = \"/var/log/$pool.log.slow\"\ncatch_workers_output = yes\n\
        php_admin_value[error_log] = /var/log/fpm-php.www.log\nphp_admin_value[memory_limit] = 32M\n";

    fn config(files: &[(&str, &str)]) -> Config {
        let mut config = Config::default();
        for (path, text) in files {
            config.add(Path::new(path), text.as_bytes());
        }
        config
    }

    #[test]
    fn a_pool_is_read_with_its_places() {
        let config = config(&[
            ("/etc/php/8.2/fpm/php-fpm.conf", MAIN),
            ("/etc/php/8.2/fpm/pool.d/www.conf", WWW),
        ]);
        assert_eq!(config.includes, ["/etc/php/8.2/fpm/pool.d/*.conf"]);
        assert_eq!(
            config.error_log.as_ref().unwrap().value,
            "/var/log/php8.2-fpm.log"
        );
        let pool = config.pool("www").unwrap();
        let listen = pool.listen.as_ref().unwrap();
        assert_eq!(listen.value, Bind::unix("/run/php/www-8.2.sock"));
        assert_eq!(
            listen.origin,
            Origin::File("/etc/php/8.2/fpm/pool.d/www.conf".into(), 5)
        );
        assert_eq!(pool.listen_mode.as_ref().unwrap().value, 0o600);
        assert_eq!(pool.max_children.as_ref().unwrap().value, 5);
        assert_eq!(
            pool.slowlog.as_deref(),
            Some("/var/log/www.log.slow".as_ref())
        );
        assert_eq!(pool.memory_limit.as_ref().unwrap().value, "32M");
        assert!(pool.catches_output);
        let settings = pool.settings();
        assert_eq!(settings.timeout.unwrap().value, Limit::of_seconds(120));
        assert_eq!(settings.binds[0].protocol, SpokenProtocol::FastCgi);
        assert_eq!(settings.logs.len(), 3);
    }

    #[test]
    fn what_no_file_sets_is_the_default_or_unknown() {
        let config = config(&[(
            "/x",
            "[a]\nlisten = 9000\n[b]\nlisten = [::1]:9001\nrequest_terminate_timeout = 0\n[a]\npm = static\n",
        )]);
        let a = config.pool("a").unwrap();
        assert_eq!(a.listen_mode.as_ref().unwrap().value, 0o660);
        assert_eq!(a.listen.as_ref().unwrap().value, Bind::AnyAddress(9000));
        assert_eq!(
            (a.backlog.as_ref(), a.pm.as_ref().unwrap().value.as_str()),
            (None, "static")
        );
        assert_eq!(a.request_terminate_timeout, Setting::default(Limit::Never));
        let b = config.pool("b").unwrap();
        assert_eq!(b.listen.as_ref().unwrap().value.to_string(), "[::1]:9001");
        assert_eq!(
            b.request_terminate_timeout.as_ref().unwrap().value,
            Limit::Never
        );
        assert_eq!(config.pools.len(), 2);
    }

    #[test]
    fn processes_tell_their_file_and_pool() {
        let args = |line: &str| -> Vec<Vec<u8>> {
            line.split('|').map(|arg| arg.as_bytes().to_vec()).collect()
        };
        for (line, path) in [
            (
                "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)",
                Some("/etc/php/8.2/fpm/php-fpm.conf"),
            ),
            (
                "/usr/sbin/php-fpm8.2|--nodaemonize|--fpm-config|/etc/f.conf",
                Some("/etc/f.conf"),
            ),
            ("/usr/sbin/php-fpm8.2|-y/etc/f.conf", Some("/etc/f.conf")),
            ("/usr/sbin/php-fpm8.2|-F", None),
        ] {
            assert_eq!(main_config(&args(line)), path.map(PathBuf::from), "{line}");
        }
        assert_eq!(
            pool_name(&args("php-fpm: pool www          ")).as_deref(),
            Some("www")
        );
        assert_eq!(pool_name(&args("php-fpm: master process (x)")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, value in "[ -~]{0,20}") {
            Config::default().add(Path::new("/x"), &bytes);
            let keys = ["listen", "listen.mode", "request_terminate_timeout", "pm.max_children"];
            let text: Vec<_> = keys.iter().map(|key| format!("{key}={value}\n")).collect();
            let mut config = Config::default();
            config.add(Path::new("/x"), format!("[p]\n{}", text.concat()).as_bytes());
            config.pools[0].settings();
            let title = [bytes];
            main_config(&title);
            pool_name(&title);
        }
    }
}
