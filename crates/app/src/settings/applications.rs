//! `[nginx]` and `[applications.NAME]`: each application said once, with what follows from it.

use std::num::NonZeroU16;

use serde::Deserialize;
use toml::Spanned;

use super::Wrong;
use super::address::Address;
use super::kinds::{Kind, Protocol};
use super::values::{
    AbsolutePath, FileMode, GroupName, HostName, Kibibytes, Module, Name, OneOrMany, PhpVersion,
    Seconds, UnitName, UrlPath, UserName, Word,
};

/// How long nginx waits beyond the application's own time-out, so that the application is the first to give up and can
/// say so in its log.
const BEYOND: u32 = 5;

/// `[nginx]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct NginxTable {
    user: Option<UserName>,
    group: Option<GroupName>,
}

/// nginx as a whole.
pub(crate) struct Nginx {
    /// The user of its workers.
    pub(crate) user: UserName,
    /// Their group.
    pub(crate) group: GroupName,
}

impl NginxTable {
    pub(super) fn check(self) -> Nginx {
        let user = self.user.unwrap_or_else(UserName::of_nginx);
        let group = self.group.unwrap_or_else(|| GroupName::from(&user));
        Nginx { user, group }
    }
}

/// `[applications.NAME]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Table {
    kind: Kind,
    listen: Spanned<OneOrMany<Address>>,
    dial: Option<OneOrMany<Address>>,
    protocol: Option<Spanned<Protocol>>,
    path: Option<UrlPath>,
    health: Option<UrlPath>,
    workers: Option<NonZeroU16>,
    threads: Option<NonZeroU16>,
    timeout: Option<Seconds>,
    connect_timeout: Option<Seconds>,
    keepalive: Option<Spanned<u32>>,
    keepalive_timeout: Option<Seconds>,
    header_buffer: Option<Kibibytes>,
    #[serde(default)]
    websocket: bool,
    tls_name: Option<HostName>,
    tls_ca: Option<AbsolutePath>,
    user: Option<UserName>,
    group: Option<GroupName>,
    directory: Option<AbsolutePath>,
    environment_file: Option<AbsolutePath>,
    program: Option<AbsolutePath>,
    module: Option<Spanned<Module>>,
    plugin: Option<Name>,
    command: Option<Spanned<Vec<Word>>>,
    unit: Option<Spanned<UnitName>>,
    socket_activation: Option<Spanned<bool>>,
    socket_mode: Option<FileMode>,
    php: Option<PhpVersion>,
    #[serde(default)]
    vars: toml::Table,
}

/// An application, with all that follows from what is written.
pub(crate) struct Application {
    pub(crate) name: Name,
    pub(crate) kind: Kind,
    /// Where it listens.
    pub(crate) listen: Vec<Address>,
    /// Where the list stands in the file.
    listen_at: std::ops::Range<usize>,
    /// Where nginx dials it.
    pub(crate) peers: Vec<Address>,
    pub(crate) protocol: Protocol,
    /// The location that leads to it.
    pub(crate) path: String,
    /// The path that tells whether it is well.
    pub(crate) health: Option<UrlPath>,
    pub(crate) workers: u16,
    pub(crate) threads: u16,
    /// When the application gives up on a request, in seconds.
    pub(crate) timeout: u32,
    /// When nginx does.
    pub(crate) read_timeout: u32,
    pub(crate) connect_timeout: u32,
    /// Idle connections that each of nginx's workers keeps.
    pub(crate) keepalive: u32,
    /// When the application closes an idle connection.
    pub(crate) idle: u32,
    /// When nginx does, which must be earlier.
    pub(crate) peer_idle: u32,
    /// `*_buffer_size` in KiB.
    pub(crate) header_buffer: u32,
    pub(crate) websocket: bool,
    pub(crate) tls_name: Option<HostName>,
    pub(crate) tls_ca: Option<AbsolutePath>,
    /// Who runs it; none where nothing is started here.
    pub(crate) user: Option<UserName>,
    pub(crate) group: Option<GroupName>,
    pub(crate) directory: Option<AbsolutePath>,
    pub(crate) environment_file: Option<AbsolutePath>,
    pub(crate) program: Option<String>,
    pub(crate) module: Option<Module>,
    pub(crate) plugin: Option<Name>,
    pub(crate) command: Vec<String>,
    /// The service that runs it.
    pub(crate) service: Option<String>,
    /// Whether that service is somebody else's, and is only added to.
    pub(crate) is_foreign_unit: bool,
    pub(crate) socket_activation: bool,
    pub(crate) socket_mode: FileMode,
    /// The directories beneath `/run` that its service makes for its sockets.
    pub(crate) runtime_directories: Vec<String>,
    pub(crate) php: Option<PhpVersion>,
    pub(crate) vars: toml::Table,
}

impl Table {
    /// What follows from the table, or what is wrong with it.
    pub(super) fn check(self, name: Spanned<Name>, nginx: &Nginx) -> Result<Application, Wrong> {
        self.complete(&name)?;
        self.sensible(&name)?;
        let protocol = self.protocol()?;
        let listen = &self.listen.get_ref().0;
        let socket = listen.iter().find_map(Address::path).cloned();
        let activated = self
            .socket_activation
            .as_ref()
            .is_some_and(|on| *on.get_ref());
        let runtime_directories = self.runtime_directories(&name, activated)?;
        let service = self.service(name.get_ref());
        let idle = self
            .keepalive_timeout
            .map_or(self.kind.idle(), |seconds| Some(seconds.0));
        let keepalive = self.keepalive(protocol, idle)?;
        let idle = idle.unwrap_or(75);
        let timeout = self.timeout.map_or(30, |seconds| seconds.0);
        let shares_group = socket.is_some() && !activated && self.kind.has_unit();
        let group = self.group.clone().or_else(|| {
            if shares_group {
                // So that nginx may write to the socket.
                Some(nginx.group.clone())
            } else {
                self.user.as_ref().map(GroupName::from)
            }
        });
        let program = self
            .program
            .as_ref()
            .map(|program| program.as_str().to_owned());
        let command = self.command(listen.first());
        let span = self.listen.span();
        Ok(Application {
            kind: self.kind,
            peers: match &self.dial {
                Some(dial) => dial.0.clone(),
                None => listen.iter().map(Address::dialled).collect(),
            },
            listen: listen.clone(),
            listen_at: span,
            protocol,
            path: self
                .path
                .map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned()),
            health: self.health,
            workers: self.workers.map_or(2, NonZeroU16::get),
            threads: self
                .threads
                .map_or(if keepalive > 0 { 4 } else { 1 }, NonZeroU16::get),
            timeout,
            read_timeout: timeout.saturating_add(BEYOND),
            connect_timeout: self.connect_timeout.map_or(5, |seconds| seconds.0),
            keepalive,
            idle,
            peer_idle: (idle * 4 / 5).max(1),
            header_buffer: self.header_buffer.map_or(16, |size| size.0),
            websocket: self.websocket,
            tls_name: self.tls_name,
            tls_ca: self.tls_ca,
            user: self.user,
            group,
            directory: self.directory,
            environment_file: self.environment_file,
            program: program.or_else(|| self.kind.program().map(str::to_owned)),
            module: self.module.map(Spanned::into_inner),
            plugin: self.plugin,
            command,
            is_foreign_unit: self.unit.is_some() || self.kind == Kind::PhpFpm,
            service,
            socket_activation: activated,
            socket_mode: self.socket_mode.unwrap_or(FileMode(0o660)),
            runtime_directories,
            php: self.php,
            vars: self.vars,
            name: name.into_inner(),
        })
    }

    /// What this kind of application needs is said.
    fn complete(&self, name: &Spanned<Name>) -> Result<(), Wrong> {
        let kind = self.kind;
        let needs = |is_there: bool, what: &str| {
            if is_there {
                Ok(())
            } else {
                let kind = kind.name();
                Err(Wrong::at(
                    name,
                    format!(
                        "{name} is of kind {kind} and needs {what}",
                        name = name.get_ref()
                    ),
                ))
            }
        };
        needs(
            self.user.is_some() || kind == Kind::External,
            "the user that runs it: write user = \"NAME\"",
        )?;
        let is_at_home = matches!(kind, Kind::Node | Kind::Other | Kind::External);
        needs(
            self.directory.is_some() || is_at_home,
            "the directory that it stands in: write directory = \"/srv/NAME\"",
        )?;
        needs(
            self.module.is_some() || !kind.needs_module(),
            "the module that it runs: write module = \"NAME:application\"",
        )?;
        needs(
            self.php.is_some() || kind != Kind::PhpFpm,
            "the version of PHP: write php = \"8.2\"",
        )?;
        let is_started = matches!(kind, Kind::Node | Kind::Other) && self.unit.is_none();
        needs(
            self.command
                .as_ref()
                .is_some_and(|command| !command.get_ref().is_empty())
                || !is_started,
            "the command that starts it: write command = [\"/usr/bin/PROGRAM\", \"ARGUMENT\"]",
        )
    }

    /// Nothing is said that could not be.
    fn sensible(&self, name: &Spanned<Name>) -> Result<(), Wrong> {
        let kind = self.kind.name();
        let listen = self.listen.get_ref();
        if listen.0.len() > 1 && !self.kind.takes_many() {
            return Err(Wrong::at(
                &self.listen,
                format!("{kind} listens on one address: write an application for each"),
            ));
        }
        if let Some(command) = &self.command {
            let first = command.get_ref().first().map_or("", Word::as_str);
            if !matches!(self.kind, Kind::Node | Kind::Other) {
                return Err(Wrong::at(
                    command,
                    format!(
                        "the command of {kind} is made from program and module: leave command away"
                    ),
                ));
            }
            if !first.starts_with('/') {
                return Err(Wrong::at(
                    command,
                    format!(
                        "a unit's command begins with an absolute path, not '{first}': write command = [\"/usr/bin/{first}\", ...]"
                    ),
                ));
            }
        }
        if let Some(on) = self.socket_activation.as_ref().filter(|on| *on.get_ref())
            && (!self.kind.has_unit() || self.kind == Kind::Uwsgi)
        {
            return Err(Wrong::at(
                on,
                format!("{kind} takes no sockets from systemd: leave socket-activation away"),
            ));
        }
        if self.websocket
            && !self
                .protocol
                .as_ref()
                .is_none_or(|it| matches!(it.get_ref(), Protocol::Http | Protocol::Https))
        {
            return Err(Wrong::at(
                name,
                "websocket goes with protocol http or https only",
            ));
        }
        Ok(())
    }

    fn protocol(&self) -> Result<Protocol, Wrong> {
        let able = self.kind.protocols();
        let usual = able.first().copied().unwrap_or(Protocol::Http);
        let Some(protocol) = &self.protocol else {
            return Ok(usual);
        };
        if able.contains(protocol.get_ref()) {
            return Ok(*protocol.get_ref());
        }
        let names: Vec<&str> = able.iter().map(|protocol| protocol.name()).collect();
        Err(Wrong::at(
            protocol,
            format!(
                "{} does not speak {}: write {}",
                self.kind.name(),
                protocol.get_ref().name(),
                names.join(" or ")
            ),
        ))
    }

    /// Connections are kept only where the application's idle time-out is known: it must be the longer one.
    fn keepalive(&self, protocol: Protocol, idle: Option<u32>) -> Result<u32, Wrong> {
        let is_kept = matches!(protocol, Protocol::Http | Protocol::Https | Protocol::Grpc);
        match (&self.keepalive, idle) {
            (None, Some(2..)) if is_kept => Ok(16),
            (None, _) => Ok(0),
            (Some(number), _) if *number.get_ref() == 0 => Ok(0),
            (Some(number), _) if !is_kept => Err(Wrong::at(
                number,
                format!(
                    "connections of protocol {} are not kept: leave keepalive away",
                    protocol.name()
                ),
            )),
            (Some(number), None) => Err(Wrong::at(
                number,
                "keepalive needs the time after which the application closes an idle connection, so that nginx closes it before: write keepalive-timeout = \"75s\"",
            )),
            (Some(number), Some(0..2)) => Err(Wrong::at(
                number,
                "nginx has to close an idle connection before the application does: write keepalive-timeout = \"2s\" or more, or leave keepalive away",
            )),
            (Some(number), Some(_)) => Ok(*number.get_ref()),
        }
    }

    /// The service that runs it.
    fn service(&self, name: &Name) -> Option<String> {
        let own = || format!("{name}.service");
        match (&self.unit, self.kind) {
            (Some(unit), _) => Some(unit.get_ref().as_str().to_owned()),
            (None, Kind::External) => None,
            (None, Kind::PhpFpm) => self.php.as_ref().map(|php| format!("php{php}-fpm.service")),
            (None, _) => Some(own()),
        }
    }

    /// The directories of its sockets beneath `/run`, where its service has to make them.
    fn runtime_directories(
        &self,
        name: &Spanned<Name>,
        activated: bool,
    ) -> Result<Vec<String>, Wrong> {
        let mut directories: Vec<String> = Vec::new();
        // systemd makes what a socket unit needs.
        let is_made_elsewhere = activated || self.kind == Kind::External;
        let sockets = self.listen.get_ref().0.iter().filter_map(Address::path);
        for path in sockets.filter(|_| !is_made_elsewhere) {
            let Some(rest) = beneath_run(path) else {
                continue;
            };
            match rest.rsplit_once('/') {
                // Debian's php-fpm makes this one itself, and its master is root, who may write to /run.
                Some(("php", _)) | None if self.kind == Kind::PhpFpm => {}
                Some((directory, _)) if directories.iter().any(|it| it == directory) => {}
                Some((directory, _)) => directories.push(directory.to_owned()),
                None => {
                    return Err(Wrong::at(
                        &self.listen,
                        format!(
                            "only root makes a socket in /run itself: write listen = \"unix:/run/{name}/{rest}\"",
                            name = name.get_ref()
                        ),
                    ));
                }
            }
        }
        Ok(directories)
    }

    /// The command's words, with the address where it is asked for.
    fn command(&self, listen: Option<&Address>) -> Vec<String> {
        let (listen, host, port, socket) = match listen {
            Some(Address::Tcp(address)) => (
                address.to_string(),
                address.ip().to_string(),
                address.port().to_string(),
                String::new(),
            ),
            Some(Address::Unix(path)) => (
                path.to_string(),
                String::new(),
                String::new(),
                path.to_string(),
            ),
            None => Default::default(),
        };
        let words = self.command.iter().flat_map(Spanned::get_ref);
        words
            .map(|word| {
                word.as_str()
                    .replace("{listen}", &listen)
                    .replace("{host}", &host)
                    .replace("{port}", &port)
                    .replace("{socket}", &socket)
            })
            .collect()
    }
}

/// What follows `/run/`, by either of its names.
fn beneath_run(path: &AbsolutePath) -> Option<&str> {
    let path = path.as_str();
    path.strip_prefix("/run/")
        .or_else(|| path.strip_prefix("/var/run/"))
}

/// No two applications of this host have the same address.
pub(super) fn apart(applications: &[Application]) -> Result<(), Wrong> {
    for (idx, one) in applications.iter().enumerate() {
        if one.kind == Kind::External {
            continue;
        }
        for other in applications.iter().skip(idx + 1) {
            if other.kind == Kind::External {
                continue;
            }
            let both = one
                .listen
                .iter()
                .find(|address| other.listen.iter().any(|it| it.collides(address)));
            if let Some(address) = both {
                return Err(Wrong {
                    at: Some(other.listen_at.clone()),
                    what: format!(
                        "{} listens on {address} already: give {} an address of its own",
                        one.name, other.name
                    ),
                });
            }
        }
    }
    Ok(())
}
