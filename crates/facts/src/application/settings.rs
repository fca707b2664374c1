//! What an application was told, in words that are the same for every kind.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Kind, asgi, gunicorn, java, small, unicorn, uwsgi};
use crate::PeerAddress;

/// The settings of an application. A setting that is not known is `None`; one that its kind has a default for, and that
/// nothing sets, is that default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where it is told to listen.
    pub binds: Vec<Bound>,
    /// After how long it ends a worker that does not answer.
    pub timeout: Option<Setting<Limit>>,
    /// How long a worker that is to stop may go on.
    pub graceful_timeout: Option<Setting<Limit>>,
    /// How long it keeps an idle connection open; zero when it closes each after its response.
    pub keepalive: Option<Setting<Duration>>,
    /// How many workers or children answer requests.
    pub workers: Option<Setting<u32>>,
    /// gunicorn's kind of worker; php-fpm's kind of process manager.
    pub worker_class: Option<Setting<String>>,
    /// How many connections may wait to be accepted.
    pub backlog: Option<Setting<u32>>,
    /// uWSGI: the largest request header in bytes.
    pub buffer_size: Option<Setting<u64>>,
    /// The name it is given, or its pool.
    pub name: Option<String>,
    /// The program it runs: a module, a script, a jar.
    pub module: Option<String>,
    /// The directory it changes to.
    pub chdir: Option<PathBuf>,
    /// The files that it is told to read settings from, in order, as it names them: relative to the directory it was
    /// started in, which `chdir` may have changed since.
    pub config_files: Vec<PathBuf>,
    /// The logs that it is told to write, as it names them.
    pub logs: Vec<LogFile>,
    /// Whether its arguments cannot be seen: it wrote a title over them. Then nothing here is known but what a file says.
    pub is_hidden: bool,
    /// The settings that something may set which cannot be read: code, a variable, another file. See `is_certain`.
    pub uncertain: Vec<String>,
}

/// A setting and where it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it is set.
    pub origin: Origin,
}

/// Where a setting is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Arguments,
    /// In this environment variable.
    Environment(&'static str),
    /// In a file, on this line.
    File(PathBuf, usize),
    /// Nowhere: it is the program's own default.
    Default,
}

/// A limit in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// After this long.
    After(Duration),
    /// Never.
    Never,
}

/// An address that an application is told to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The address.
    pub bind: Bind,
    /// What it speaks there.
    pub protocol: SpokenProtocol,
    /// Where that is set.
    pub origin: Origin,
}

/// An address as an application's settings name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// An address and port, or a path.
    Address(PeerAddress),
    /// A port of every address.
    AnyAddress(u16),
    /// A name to be resolved.
    Name(String, u16),
    /// A socket that another process opened.
    Inherited,
}

/// What an application speaks on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpokenProtocol {
    /// HTTP/1.
    Http,
    /// HTTP/1 over TLS.
    Https,
    /// uwsgi.
    Uwsgi,
    /// FastCGI.
    FastCgi,
    /// SCGI.
    Scgi,
}

/// A log that an application is told to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its path.
    pub path: PathBuf,
    /// Whether it is one of requests alone.
    pub is_access: bool,
}

/// The settings that may be in doubt.
const NAMES: [&str; 9] = [
    "bind",
    "timeout",
    "graceful_timeout",
    "keepalive",
    "workers",
    "worker_class",
    "threads",
    "backlog",
    "buffer_size",
];

/// What settings are read from.
#[derive(Clone, Copy, Debug, Default)]
pub struct SettingsSource<'a> {
    /// The command line.
    pub args: &'a [Vec<u8>],
    /// The variables of [`Kind::variables`] that are set.
    pub environment: &'a [(String, String)],
    /// The files named by `config_files` that were looked for, by the names used there; `None` for one that is not there.
    /// One that could not be read is left out: it may say anything.
    pub files: &'a [(PathBuf, Option<Vec<u8>>)],
}

impl Settings {
    /// The settings of an application. Read the files that `config_files` names and ask again until it names no new one.
    /// php-fpm's are in its pools: see `php_fpm`.
    pub fn of(kind: Kind, source: &SettingsSource<'_>) -> Self {
        match kind {
            Kind::Gunicorn => gunicorn::settings(source),
            Kind::Uvicorn => asgi::uvicorn(source),
            Kind::Hypercorn => asgi::hypercorn(source),
            Kind::Uwsgi => uwsgi::settings(source),
            Kind::Node => small::node(source),
            Kind::Puma => small::puma(source),
            Kind::Unicorn => unicorn::settings(source),
            Kind::PythonHttpServer => small::http_server(source),
            Kind::Java => java::settings(source),
            Kind::PhpFpm => Self::default(),
        }
    }

    /// Whether a setting is what is said here for certain; by its name here, `bind` for `binds`.
    pub fn is_certain(&self, name: &str) -> bool {
        !self.is_hidden && !self.uncertain.iter().any(|other| other == name)
    }

    /// Notes that something which cannot be read sets this: what was known of it is not known any more.
    pub(super) fn doubt(&mut self, name: &str) {
        match name {
            "bind" => self.binds.clear(),
            "timeout" => self.timeout = None,
            "graceful_timeout" => self.graceful_timeout = None,
            "keepalive" => self.keepalive = None,
            "workers" => self.workers = None,
            "worker_class" => self.worker_class = None,
            "backlog" => self.backlog = None,
            "buffer_size" => self.buffer_size = None,
            _ => {}
        }
        if !self.uncertain.iter().any(|other| other == name) {
            self.uncertain.push(name.to_owned());
        }
    }

    /// The same of every setting.
    pub(super) fn doubt_all(&mut self) {
        for name in NAMES {
            self.doubt(name);
        }
    }

    /// Notes that a setting is set after what was not read.
    pub(super) fn settle(&mut self, name: &str) {
        self.uncertain.retain(|other| other != name);
    }

    pub(super) fn log(&mut self, path: &str, is_access: bool) {
        // `-` is standard output or error: the journal has it.
        if !matches!(path, "-" | "" | "/dev/stdout" | "/dev/stderr" | "/dev/null") {
            self.logs.push(LogFile {
                path: PathBuf::from(path),
                is_access,
            });
        }
    }
}

impl SettingsSource<'_> {
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The outer `None`: it is not known what the file says.
    #[expect(
        clippy::option_option,
        reason = "not known and not there are different answers"
    )]
    pub(super) fn file(&self, path: &Path) -> Option<Option<&[u8]>> {
        let looked_for = self.files.iter().find(|(known, _)| known == path);
        looked_for.map(|(_, bytes)| bytes.as_deref())
    }
}

impl<T> Setting<T> {
    /// A value that is known, set here.
    pub(super) fn of(value: Option<T>, origin: &Origin) -> Option<Self> {
        value.map(|value| Self {
            value,
            origin: origin.clone(),
        })
    }

    pub(super) fn default(value: T) -> Option<Self> {
        Self::of(Some(value), &Origin::Default)
    }
}

impl Limit {
    /// Zero is never, as most programs have it.
    pub(super) fn of_seconds(seconds: u64) -> Self {
        if seconds == 0 {
            Self::Never
        } else {
            Self::After(Duration::from_secs(seconds))
        }
    }

    /// The duration, if it ever ends.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::After(duration) => Some(duration),
            Self::Never => None,
        }
    }
}

impl Bind {
    /// `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`; an empty or `*` host is every address.
    pub(super) fn host_and_port(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Self::parts(
            host.trim_start_matches('[').trim_end_matches(']'),
            port.parse().ok()?,
        )
    }

    /// A host and a port that stand apart.
    pub(super) fn parts(host: &str, port: u16) -> Option<Self> {
        if matches!(host, "" | "*") {
            return Some(Self::AnyAddress(port));
        }
        match host.parse::<IpAddr>() {
            Ok(ip) => Some(Self::Address(PeerAddress::Tcp(SocketAddr::new(ip, port)))),
            Err(_) if host.contains('/') => None,
            Err(_) => Some(Self::Name(host.to_owned(), port)),
        }
    }

    pub(super) fn unix(path: &str) -> Self {
        Self::Address(PeerAddress::Unix(PathBuf::from(path)))
    }

    pub(super) fn loopback(port: u16) -> Self {
        Self::Address(PeerAddress::Tcp(SocketAddr::from((
            Ipv4Addr::LOCALHOST,
            port,
        ))))
    }

    /// The port, where there is one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Address(address) => address.port(),
            Self::AnyAddress(port) | Self::Name(_, port) => Some(*port),
            Self::Inherited => None,
        }
    }

    /// Whether a connection to this address reaches it; `None` where a name has to be resolved, a path is relative, or the
    /// socket is another's.
    pub fn takes(&self, peer: &PeerAddress) -> Option<bool> {
        match (self, peer) {
            (Self::Inherited, _) => None,
            (Self::AnyAddress(port), _) if peer.port() != Some(*port) => Some(false),
            // Some programs take it for IPv4 alone, some for both.
            (Self::AnyAddress(_), _) => peer.ip().is_some_and(|ip| ip.is_ipv4()).then_some(true),
            (Self::Name(_, port), _) => (peer.port() != Some(*port)).then_some(false),
            (Self::Address(PeerAddress::Unix(path)), PeerAddress::Unix(_))
                if path.is_relative() =>
            {
                None
            }
            (Self::Address(PeerAddress::Tcp(own)), PeerAddress::Tcp(dialled)) => {
                if own.port() != dialled.port() {
                    return Some(false);
                }
                let is_same_family = own.is_ipv4() == dialled.is_ipv4();
                match own.ip().is_unspecified() {
                    // Whether `[::]` takes IPv4 is the program's choice.
                    true if own.is_ipv6() && !is_same_family => None,
                    true => Some(is_same_family),
                    false => Some(own.ip() == dialled.ip()),
                }
            }
            (Self::Address(own), _) => Some(own == peer),
        }
    }
}

/// As people write it.
impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::AnyAddress(port) => write!(f, "*:{port}"),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Inherited => f.write_str("an inherited socket"),
        }
    }
}

/// As people point to it.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments => f.write_str("its command line"),
            Self::Environment(name) => f.write_str(name),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("its default"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [Kind; 9] = [
        Kind::Gunicorn,
        Kind::Uvicorn,
        Kind::Hypercorn,
        Kind::Uwsgi,
        Kind::Node,
        Kind::Puma,
        Kind::Unicorn,
        Kind::Java,
        Kind::PythonHttpServer,
    ];

    #[test]
    fn a_bind_takes_what_reaches_it() {
        let takes = |bind: &str, peer: &str| {
            Bind::host_and_port(bind)
                .unwrap()
                .takes(&PeerAddress::parse(peer.as_bytes()).unwrap())
        };
        assert_eq!(takes("127.0.0.1:8000", "127.0.0.1:8000"), Some(true));
        assert_eq!(takes("127.0.0.1:8000", "127.0.0.1:8001"), Some(false));
        assert_eq!(takes("0.0.0.0:8000", "10.0.0.5:8000"), Some(true));
        assert_eq!(takes("0.0.0.0:8000", "[::1]:8000"), Some(false));
        assert_eq!(takes("[::]:8000", "10.0.0.5:8000"), None);
        assert_eq!(takes(":8000", "10.0.0.5:8000"), Some(true));
        assert_eq!(takes(":8000", "[::1]:8000"), None);
        assert_eq!(takes("localhost:8000", "127.0.0.1:8000"), None);
        assert_eq!(takes("localhost:8000", "127.0.0.1:8001"), Some(false));
        assert_eq!(takes("[::1]:8000", "[::1]:8000"), Some(true));
        let unix = PeerAddress::parse(b"unix:/run/app.sock").unwrap();
        assert_eq!(Bind::unix("/run/app.sock").takes(&unix), Some(true));
        assert_eq!(Bind::unix("app.sock").takes(&unix), None);
        assert_eq!(Bind::Inherited.takes(&unix), None);
        assert_eq!(Bind::loopback(80).takes(&unix), Some(false));
    }

    proptest! {
        #[test]
        fn any_arguments_and_files_are_read_without_a_panic(args: Vec<Vec<u8>>, file: Vec<u8>) {
            let files = [(PathBuf::from("x"), Some(file))];
            for kind in KINDS {
                Settings::of(kind, &SettingsSource { args: &args, environment: &[], files: &files });
            }
        }

        #[test]
        fn any_likely_arguments_are_read_without_a_panic(words in proptest::collection::vec("(-b|--bind|--timeout|--ini|-c|--port|--socket|--harakiri|-m|-t)?=?[ -~]{0,12}", 0..6), file in "[a-z_=\\[\\]\"'%(){}0-9,.\n #\\\\]{0,80}") {
            let mut args = vec![b"x".to_vec()];
            args.extend(words.into_iter().map(String::into_bytes));
            let mut files: Vec<_> = args.iter().map(|arg| (PathBuf::from(crate::text::owned(arg)), Some(file.clone().into_bytes()))).collect();
            files.push((PathBuf::from("./gunicorn.conf.py"), Some(file.into_bytes())));
            for kind in KINDS {
                Settings::of(kind, &SettingsSource { args: &args, environment: &[], files: &files });
            }
        }
    }
}
