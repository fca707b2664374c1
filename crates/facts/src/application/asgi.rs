//! The settings of uvicorn (`uvicorn/main.py` of 0.54) and hypercorn (`hypercorn/config.py` of 0.18).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::options::{Spec, Word, behind, scan};
use super::python::{Literal, assignments};
use super::settings::{
    Bind, Bound, Limit, Origin, Setting, Settings, SettingsSource, SpokenProtocol,
};

const UVICORN: [Spec; 22] = [
    ("host", None),
    ("port", None),
    ("uds", None),
    ("fd", None),
    ("workers", None),
    ("timeout-keep-alive", None),
    ("timeout-graceful-shutdown", None),
    ("timeout-worker-healthcheck", None),
    ("backlog", None),
    ("limit-concurrency", None),
    ("limit-max-requests", None),
    ("loop", None),
    ("http", None),
    ("ws", None),
    ("log-config", None),
    ("log-level", None),
    ("root-path", None),
    ("app-dir", None),
    ("env-file", None),
    ("forwarded-allow-ips", None),
    ("ssl-certfile", None),
    ("ssl-keyfile", None),
];

const HYPERCORN: [Spec; 12] = [
    ("bind", Some('b')),
    ("config", Some('c')),
    ("workers", Some('w')),
    ("worker-class", Some('k')),
    ("keep-alive", None),
    ("graceful-timeout", None),
    ("backlog", None),
    ("access-logfile", None),
    ("error-logfile", None),
    ("log-file", None),
    ("certfile", None),
    ("pid", Some('p')),
];

/// uvicorn's settings: its variables, then the command line.
pub(super) fn uvicorn(source: &SettingsSource<'_>) -> Settings {
    let mut settings = Settings {
        keepalive: Setting::default(Duration::from_secs(5)),
        timeout: Setting::default(Limit::Never),
        backlog: Setting::default(2048),
        ..Settings::default()
    };
    let mut host = ("127.0.0.1".to_owned(), Origin::Default);
    let mut port = (8000, Origin::Default);
    let mut unix = None;
    let mut is_inherited = false;
    let mut protocol = SpokenProtocol::Http;
    if let Some(value) = source.variable("UVICORN_HOST") {
        host = (value.to_owned(), Origin::Environment("UVICORN_HOST"));
    }
    if let Some(value) = source
        .variable("UVICORN_PORT")
        .and_then(|port| port.parse().ok())
    {
        port = (value, Origin::Environment("UVICORN_PORT"));
    }
    if let Some(path) = source.variable("UVICORN_UDS") {
        unix = Some((path.to_owned(), Origin::Environment("UVICORN_UDS")));
    }
    if let Some(workers) = source
        .variable("WEB_CONCURRENCY")
        .and_then(|workers| workers.parse().ok())
    {
        settings.workers = Setting::of(Some(workers), &Origin::Environment("WEB_CONCURRENCY"));
    }
    let origin = Origin::Arguments;
    for word in scan(behind(source.args, |name| name == b"uvicorn"), &UVICORN) {
        let (name, value) = match word {
            Word::Option(name, value) => (name, value),
            Word::Plain(module) => {
                settings.module = Some(module);
                continue;
            }
            Word::Flag(_) => continue,
        };
        let number = || value.parse::<u64>().ok();
        match name {
            "host" => host = (value, origin.clone()),
            "port" => port = (value.parse().unwrap_or(0), origin.clone()),
            "uds" => unix = Some((value, origin.clone())),
            "fd" => is_inherited = true,
            "ssl-certfile" => protocol = SpokenProtocol::Https,
            "app-dir" => settings.chdir = Some(PathBuf::from(value)),
            "workers" => settings.workers = Setting::of(value.parse().ok(), &origin),
            "backlog" => settings.backlog = Setting::of(value.parse().ok(), &origin),
            "timeout-keep-alive" => {
                settings.keepalive = Setting::of(number().map(Duration::from_secs), &origin);
            }
            "timeout-graceful-shutdown" => {
                settings.graceful_timeout = Setting::of(number().map(Limit::of_seconds), &origin);
            }
            _ => {}
        }
    }
    let (bind, origin) = if is_inherited {
        (Some(Bind::Inherited), Origin::Arguments)
    } else if let Some((path, origin)) = unix {
        (Some(Bind::unix(&path)), origin)
    } else {
        let origin = if port.1 == Origin::Default {
            host.1
        } else {
            port.1
        };
        (Bind::parts(&host.0, port.0).filter(|_| port.0 != 0), origin)
    };
    match bind {
        Some(bind) => settings.binds.push(Bound {
            bind,
            protocol,
            origin,
        }),
        // Port 0 is any that is free.
        None => settings.doubt("bind"),
    }
    settings
}

/// hypercorn's settings: its file, then the command line.
pub(super) fn hypercorn(source: &SettingsSource<'_>) -> Settings {
    let mut settings = Settings {
        keepalive: Setting::default(Duration::from_secs(5)),
        timeout: Setting::default(Limit::Never),
        graceful_timeout: Setting::default(Limit::of_seconds(3)),
        workers: Setting::default(1),
        backlog: Setting::default(100),
        ..Settings::default()
    };
    let words = scan(behind(source.args, |name| name == b"hypercorn"), &HYPERCORN);
    let mut protocol = SpokenProtocol::Http;
    if let Some(file) = words.iter().find_map(|word| match word {
        Word::Option("config", file) => Some(file),
        _ => None,
    }) {
        // `python:module` runs code.
        let path = PathBuf::from(file.strip_prefix("file:").unwrap_or(file));
        settings.config_files.push(path.clone());
        match source.file(&path) {
            Some(Some(text)) if !file.starts_with("python:") => {
                protocol = read_hypercorn(&mut settings, &path, text);
            }
            _ => settings.doubt_all(),
        }
    }
    let origin = Origin::Arguments;
    if words
        .iter()
        .any(|word| matches!(word, Word::Option("bind", _)))
    {
        settings.binds.clear();
    }
    for word in words {
        match word {
            Word::Option("bind", value) => {
                settings.settle("bind");
                settings.binds.extend(hypercorn_bind(&value, &origin));
            }
            Word::Option("keep-alive", value) => {
                settings.settle("keepalive");
                let seconds = value.parse().ok().map(Duration::from_secs);
                settings.keepalive = Setting::of(seconds, &origin);
            }
            Word::Option("workers", value) => {
                settings.settle("workers");
                settings.workers = Setting::of(value.parse().ok(), &origin);
            }
            Word::Option("error-logfile" | "log-file", value) => settings.log(&value, false),
            Word::Option("access-logfile", value) => settings.log(&value, true),
            Word::Option("certfile", _) => protocol = SpokenProtocol::Https,
            Word::Plain(module) => settings.module = Some(module),
            Word::Option(..) | Word::Flag(_) => {}
        }
    }
    if settings.binds.is_empty() && settings.is_certain("bind") {
        settings.binds.push(Bound {
            bind: Bind::loopback(8000),
            protocol,
            origin: Origin::Default,
        });
    }
    settings
        .binds
        .iter_mut()
        .for_each(|bound| bound.protocol = protocol);
    settings
}

fn hypercorn_bind(value: &str, origin: &Origin) -> Option<Bound> {
    let bind = match value.strip_prefix("unix:") {
        Some(path) => Some(Bind::unix(path)),
        None if value.starts_with("fd://") => Some(Bind::Inherited),
        None => Bind::host_and_port(value).or_else(|| Bind::parts(value, 8000)),
    };
    bind.map(|bind| Bound {
        bind,
        protocol: SpokenProtocol::Http,
        origin: origin.clone(),
    })
}

/// A file of TOML, whose assignments read as Python's do, or of Python. Gives what is spoken.
fn read_hypercorn(settings: &mut Settings, path: &Path, text: &[u8]) -> SpokenProtocol {
    let mut protocol = SpokenProtocol::Http;
    for assignment in assignments(text) {
        let origin = Origin::File(path.to_owned(), assignment.line);
        let seconds = |value: &Literal| match value {
            Literal::Number(seconds) => u64::try_from(*seconds).ok(),
            _ => None,
        };
        match (assignment.name.as_str(), assignment.value) {
            ("bind", Some(Literal::Text(value))) => {
                settings.binds.extend(hypercorn_bind(&value, &origin));
            }
            ("bind", Some(Literal::List(values))) => {
                let binds = values.iter();
                settings
                    .binds
                    .extend(binds.filter_map(|value| hypercorn_bind(value, &origin)));
            }
            ("keep_alive_timeout", Some(value)) => {
                let seconds = seconds(&value).map(Duration::from_secs);
                settings.keepalive = Setting::of(seconds, &origin);
            }
            ("graceful_timeout", Some(value)) => {
                let limit = seconds(&value).map(Limit::of_seconds);
                settings.graceful_timeout = Setting::of(limit, &origin);
            }
            ("workers", Some(value)) => {
                let workers = seconds(&value).and_then(|count| u32::try_from(count).ok());
                settings.workers = Setting::of(workers, &origin);
            }
            ("backlog", Some(value)) => {
                let backlog = seconds(&value).and_then(|count| u32::try_from(count).ok());
                settings.backlog = Setting::of(backlog, &origin);
            }
            ("errorlog", Some(Literal::Text(path))) => settings.log(&path, false),
            ("accesslog", Some(Literal::Text(path))) => settings.log(&path, true),
            ("certfile", _) => protocol = SpokenProtocol::Https,
            ("*", _) => settings.doubt_all(),
            ("keep_alive_timeout", None) => settings.doubt("keepalive"),
            (name @ ("bind" | "workers"), None) => settings.doubt(name),
            _ => {}
        }
    }
    protocol
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn told(kind: Kind, line: &str, environment: &[(&str, &str)]) -> Settings {
        let args: Vec<_> = line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect();
        let environment: Vec<_> = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Settings::of(
            kind,
            &SettingsSource {
                args: &args,
                environment: &environment,
                files: &[],
            },
        )
    }

    #[test]
    fn uvicorn_listens_where_its_options_say() {
        for (line, bind) in [
            ("python3 /usr/bin/uvicorn app:app", "127.0.0.1:8000"),
            ("uvicorn app:app --port 8001", "127.0.0.1:8001"),
            ("uvicorn --host 0.0.0.0 --port=8001 app:app", "0.0.0.0:8001"),
            (
                "python3 -m uvicorn app:app --uds /run/a.sock",
                "unix:/run/a.sock",
            ),
            ("uvicorn app:app --host localhost", "localhost:8000"),
            ("uvicorn app:app --fd 3", "an inherited socket"),
        ] {
            let settings = told(Kind::Uvicorn, line, &[]);
            assert_eq!(settings.binds[0].bind.to_string(), bind, "{line}");
            assert_eq!(settings.module.as_deref(), Some("app:app"));
        }
        assert!(!told(Kind::Uvicorn, "uvicorn app:app --port 0", &[]).is_certain("bind"));
        let settings = told(
            Kind::Uvicorn,
            "uvicorn app:app",
            &[("UVICORN_PORT", "9000")],
        );
        assert_eq!(settings.binds[0].bind.port(), Some(9000));
    }

    #[test]
    fn uvicorn_keeps_connections_for_five_seconds_unless_told() {
        assert_eq!(
            told(Kind::Uvicorn, "uvicorn a:b", &[]).keepalive,
            Setting::default(Duration::from_secs(5))
        );
        let keepalive = told(Kind::Uvicorn, "uvicorn a:b --timeout-keep-alive 75", &[])
            .keepalive
            .unwrap();
        assert_eq!(
            (keepalive.value, keepalive.origin),
            (Duration::from_secs(75), Origin::Arguments)
        );
    }

    #[test]
    fn hypercorn_listens_where_its_options_say() {
        let settings = told(
            Kind::Hypercorn,
            "hypercorn -b unix:/run/a.sock -b 0.0.0.0:80 app:app",
            &[],
        );
        let binds: Vec<_> = settings
            .binds
            .iter()
            .map(|bound| bound.bind.to_string())
            .collect();
        assert_eq!(binds, ["unix:/run/a.sock", "0.0.0.0:80"]);
        assert_eq!(
            told(Kind::Hypercorn, "hypercorn app:app", &[]).binds[0].bind,
            Bind::loopback(8000)
        );
        assert!(!told(Kind::Hypercorn, "hypercorn -c h.toml app:app", &[]).is_certain("bind"));
    }

    #[test]
    fn hypercorns_file_says_where_it_listens_and_the_command_line_goes_before_it() {
        let file = b"bind = [\"127.0.0.1:8001\", \"unix:/run/h.sock\"]\nworkers = 3\nkeep_alive_timeout = 20 # idle\n";
        let told = |line: &str| {
            let args: Vec<_> = line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect();
            Settings::of(
                Kind::Hypercorn,
                &SettingsSource {
                    args: &args,
                    environment: &[],
                    files: &[(PathBuf::from("h.toml"), Some(file.to_vec()))],
                },
            )
        };
        let settings = told("hypercorn -c h.toml app:app");
        let ports: Vec<_> = settings
            .binds
            .iter()
            .map(|bound| bound.bind.port())
            .collect();
        assert_eq!(ports, [Some(8001), None]);
        assert!(settings.is_certain("bind"));
        assert_eq!(settings.workers.unwrap().value, 3);
        let origin = Origin::File(PathBuf::from("h.toml"), 3);
        assert_eq!(
            settings.keepalive,
            Setting::of(Some(Duration::from_secs(20)), &origin)
        );
        let settings = told("hypercorn -c h.toml -b :9000 app:app");
        assert_eq!(settings.binds.len(), 1);
        assert_eq!(settings.binds[0].bind, Bind::AnyAddress(9000));
    }
}
