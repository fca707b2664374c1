//! What templates see of an application.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};

use crate::settings::{
    AbsolutePath, Address, Application, GroupName, HostName, Kind, Module, Name, Nginx, Output,
    PhpVersion, UrlPath, UserName,
};

/// Where the built-in outputs of an application go; those that are not made are missing.
pub(crate) type Paths = BTreeMap<Output, String>;

/// An application as templates see it.
#[derive(Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question that a template asks"
)]
struct Seen<'a> {
    name: &'a str,
    kind: &'a str,
    protocol: &'a str,
    directives: &'a str,
    listen: Vec<Value>,
    peers: Vec<Value>,
    has_socket: bool,
    path: &'a str,
    health: Option<&'a str>,
    workers: u16,
    threads: u16,
    timeout: u32,
    read_timeout: u32,
    connect_timeout: u32,
    keepalive: u32,
    idle: u32,
    peer_idle: u32,
    header_buffer: u32,
    websocket: bool,
    tls_name: Option<&'a str>,
    tls_ca: Option<&'a str>,
    user: Option<&'a str>,
    group: Option<&'a str>,
    directory: Option<&'a str>,
    environment_file: Option<&'a str>,
    environment: Vec<String>,
    program: Option<&'a str>,
    module: Option<&'a str>,
    rackup: &'a str,
    plugin: Option<&'a str>,
    service: Option<&'a str>,
    is_foreign_unit: bool,
    unit_type: &'a str,
    starts: Vec<String>,
    reloads: bool,
    socket_activation: bool,
    socket_mode: String,
    runtime_directories: &'a [String],
    php: Option<&'a str>,
    ports: Vec<u16>,
    labels: Vec<Value>,
    vars: &'a toml::Table,
}

/// The context of an application.
pub(crate) fn application(app: &Application, paths: &Paths) -> anyhow::Result<Value> {
    let tells_when_ready = matches!(app.kind, Kind::Gunicorn | Kind::Uwsgi);
    let seen = Seen {
        name: app.name.as_str(),
        kind: app.kind.name(),
        protocol: app.protocol.name(),
        directives: app.protocol.directives(),
        listen: app.listen.iter().map(address).collect(),
        peers: app.peers.iter().map(address).collect(),
        has_socket: app.listen.iter().any(|address| address.path().is_some()),
        path: &app.path,
        health: app.health.as_ref().map(UrlPath::as_str),
        workers: app.workers,
        threads: app.threads,
        timeout: app.timeout,
        read_timeout: app.read_timeout,
        connect_timeout: app.connect_timeout,
        keepalive: app.keepalive,
        idle: app.idle,
        peer_idle: app.peer_idle,
        header_buffer: app.header_buffer,
        websocket: app.websocket,
        tls_name: app.tls_name.as_ref().map(HostName::as_str),
        tls_ca: app.tls_ca.as_ref().map(AbsolutePath::as_str),
        user: app.user.as_ref().map(UserName::as_str),
        group: app.group.as_ref().map(GroupName::as_str),
        directory: app.directory.as_ref().map(AbsolutePath::as_str),
        environment_file: app.environment_file.as_ref().map(AbsolutePath::as_str),
        environment: environment(app),
        program: app.program.as_deref(),
        module: app.module.as_ref().map(Module::as_str),
        rackup: app.module.as_ref().map_or("config.ru", Module::as_str),
        plugin: app.plugin.as_ref().map(Name::as_str),
        service: app.service.as_deref(),
        is_foreign_unit: app.is_foreign_unit,
        unit_type: if tells_when_ready { "notify" } else { "exec" },
        starts: starts(app, paths)?,
        reloads: app.kind == Kind::Gunicorn,
        socket_activation: app.socket_activation,
        socket_mode: app.socket_mode.to_string(),
        runtime_directories: &app.runtime_directories,
        php: app.php.as_ref().map(PhpVersion::as_str),
        ports: ports(app),
        labels: labels(app),
        vars: &app.vars,
    };
    Ok(serde_json::to_value(seen)?)
}

/// nginx as templates see it.
pub(crate) fn nginx(nginx: &Nginx) -> Value {
    json!({ "user": nginx.user.as_str(), "group": nginx.group.as_str() })
}

fn address(address: &Address) -> Value {
    match address {
        Address::Tcp(tcp) => json!({
            "text": tcp.to_string(),
            "bare": tcp.to_string(),
            "host": tcp.ip().to_string(),
            "port": tcp.port(),
            "is_unix": false,
            "is_ipv6": tcp.is_ipv6(),
            "is_loopback": tcp.ip().is_loopback(),
        }),
        Address::Unix(path) => json!({
            "text": address.to_string(),
            "bare": path.as_str(),
            "is_unix": true,
            "is_ipv6": false,
            "is_loopback": true,
        }),
    }
}

/// How a program that reads its address from the environment learns it.
fn environment(app: &Application) -> Vec<String> {
    if !matches!(app.kind, Kind::Node | Kind::Other) {
        return Vec::new();
    }
    match app.listen.first() {
        Some(Address::Tcp(address)) => vec![
            format!("HOST={}", address.ip()),
            format!("PORT={}", address.port()),
        ],
        Some(Address::Unix(path)) => vec![format!("SOCKET={path}")],
        None => Vec::new(),
    }
}

/// The command line of its unit; empty where nothing says it.
fn starts(app: &Application, paths: &Paths) -> anyhow::Result<Vec<String>> {
    let mut words: Vec<String> = app.program.iter().cloned().collect();
    let module = app.module.as_ref().map(ToString::to_string);
    let settings = |output: Output| {
        paths.get(&output).cloned().with_context(|| {
            format!(
                "the unit of {} names the settings of {}, which outputs.{} = false leaves out: leave that line away, or set outputs.{} = false too",
                app.name,
                app.kind.name(),
                output.name(),
                if app.is_foreign_unit { "drop-in" } else { "service" }
            )
        })
    };
    let has_unit = paths.contains_key(&Output::Service) || paths.contains_key(&Output::DropIn);
    if !has_unit {
        return Ok(Vec::new());
    }
    match app.kind {
        Kind::Gunicorn => {
            words.extend(["--config".to_owned(), settings(Output::Gunicorn)?]);
            words.extend(module);
        }
        Kind::Uvicorn => {
            words.extend(uvicorn(app));
            words.extend(module);
        }
        Kind::Uwsgi => words.extend(["--ini".to_owned(), settings(Output::Uwsgi)?]),
        Kind::Puma => words.extend(["-C".to_owned(), settings(Output::Puma)?]),
        Kind::Node | Kind::Other => words.clone_from(&app.command),
        Kind::PhpFpm | Kind::External => words = Vec::new(),
    }
    Ok(words)
}

fn uvicorn(app: &Application) -> Vec<String> {
    let mut words = Vec::new();
    let mut say = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
    if let Some(directory) = &app.directory {
        say("--app-dir", directory.to_string());
    }
    match app.listen.first() {
        // systemd hands its sockets on from 3.
        _ if app.socket_activation => say("--fd", "3".to_owned()),
        Some(Address::Tcp(address)) => {
            say("--host", address.ip().to_string());
            say("--port", address.port().to_string());
        }
        Some(Address::Unix(path)) => {
            say("--uds", path.to_string());
            // Who may write to the socket is nginx: a peer without an address is trusted by no other word.
            say("--forwarded-allow-ips", "*".to_owned());
        }
        None => {}
    }
    say("--workers", app.workers.to_string());
    // nginx closes idle connections before.
    say("--timeout-keep-alive", app.idle.to_string());
    say("--timeout-graceful-shutdown", app.timeout.to_string());
    words
}

/// The TCP ports that nginx dials.
fn ports(app: &Application) -> Vec<u16> {
    let mut ports: Vec<u16> = app
        .peers
        .iter()
        .filter_map(|peer| match peer {
            Address::Tcp(address) => Some(address.port()),
            Address::Unix(_) => None,
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// What SELinux has to label for its sockets: a directory of their own with all in it, else the socket alone.
fn labels(app: &Application) -> Vec<Value> {
    let mut labels: Vec<Value> = Vec::new();
    for path in app.peers.iter().filter_map(Address::path) {
        let holder = path
            .as_str()
            .rsplit_once('/')
            .map_or("", |(holder, _)| holder);
        let made = |directory: &&String| {
            holder
                .strip_suffix(directory.as_str())
                .is_some_and(|run| run.ends_with("/run/"))
        };
        let directory = app.runtime_directories.iter().find(made).map(|_| holder);
        let label = match directory {
            Some(directory) => {
                json!({ "pattern": format!("{}(/.*)?", escaped(directory)), "path": directory })
            }
            None => json!({ "pattern": escaped(path.as_str()), "path": path.as_str() }),
        };
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

/// A path as a regular expression.
fn escaped(path: &str) -> String {
    path.replace('.', "\\.").replace('+', "\\+")
}
