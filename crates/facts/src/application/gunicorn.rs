//! gunicorn's settings (`gunicorn/config.py`): defaults, then the configuration file, then `GUNICORN_CMD_ARGS`, then the
//! command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::options::{Spec, Word, behind, scan};
use super::python::{Literal, assignments};
use super::settings::{
    Bind, Bound, Limit, Origin, Setting, Settings, SettingsSource, SpokenProtocol,
};
use crate::text::words;

/// The options that take a value, by the names of their settings; what is not read here is named so that its value is not
/// taken for the application.
const OPTIONS: [Spec; 34] = [
    ("config", Some('c')),
    ("bind", Some('b')),
    ("backlog", None),
    ("workers", Some('w')),
    ("worker-class", Some('k')),
    ("threads", None),
    ("worker-connections", None),
    ("max-requests", None),
    ("max-requests-jitter", None),
    ("timeout", Some('t')),
    ("graceful-timeout", None),
    ("keep-alive", None),
    ("limit-request-line", None),
    ("limit-request-fields", None),
    ("limit-request-field_size", None),
    ("chdir", None),
    ("env", Some('e')),
    ("pid", Some('p')),
    ("worker-tmp-dir", None),
    ("user", Some('u')),
    ("group", Some('g')),
    ("umask", Some('m')),
    ("access-logfile", None),
    ("access-logformat", None),
    ("error-logfile", None),
    ("log-file", None),
    ("log-level", None),
    ("log-config", None),
    ("logger-class", None),
    ("name", Some('n')),
    ("pythonpath", None),
    ("certfile", None),
    ("keyfile", None),
    ("protocol", None),
];

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "./gunicorn.conf.py";

pub(super) fn settings(source: &SettingsSource<'_>) -> Settings {
    let arguments: Vec<Word> = scan(
        behind(source.args, |name| name.starts_with(b"gunicorn")),
        &OPTIONS,
    );
    let variable = source
        .variable("GUNICORN_CMD_ARGS")
        .map(words)
        .unwrap_or_default();
    let variable = scan(variable, &OPTIONS);
    let is_hidden = source
        .args
        .first()
        .is_some_and(|first| first.starts_with(b"gunicorn: "));
    let mut settings = if is_hidden {
        Settings {
            is_hidden,
            ..Settings::default()
        }
    } else {
        defaults(source)
    };
    let file = config_file(&arguments).or_else(|| config_file(&variable));
    let file = file.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    settings.config_files.push(file.clone());
    match source.file(&file) {
        Some(Some(text)) => read_file(&mut settings, &file, text),
        Some(None) if file.as_os_str() == DEFAULT_FILE => {}
        _ => settings.doubt_all(),
    }
    let mut tls = false;
    for (options, origin) in [
        (variable, Origin::Environment("GUNICORN_CMD_ARGS")),
        (arguments, Origin::Arguments),
    ] {
        read_options(&mut settings, options, &origin, &mut tls);
    }
    if settings.binds.is_empty() && settings.is_certain("bind") {
        settings.binds.push(default_bind(source));
    }
    if tls {
        settings
            .binds
            .iter_mut()
            .for_each(|bound| bound.protocol = SpokenProtocol::Https);
    }
    forget_keepalive_of_sync_workers(&mut settings);
    settings
}

fn defaults(source: &SettingsSource<'_>) -> Settings {
    let workers = source
        .variable("WEB_CONCURRENCY")
        .and_then(|workers| workers.parse().ok());
    Settings {
        timeout: Setting::default(Limit::of_seconds(30)),
        graceful_timeout: Setting::default(Limit::of_seconds(30)),
        keepalive: Setting::default(Duration::from_secs(2)),
        workers: workers.map_or_else(
            || Setting::default(1),
            |workers| Setting::of(Some(workers), &Origin::Environment("WEB_CONCURRENCY")),
        ),
        worker_class: Setting::default("sync".to_owned()),
        backlog: Setting::default(2048),
        ..Settings::default()
    }
}

fn default_bind(source: &SettingsSource<'_>) -> Bound {
    match source.variable("PORT").and_then(|port| port.parse().ok()) {
        Some(port) => bound(Bind::AnyAddress(port), &Origin::Environment("PORT")),
        None => bound(Bind::loopback(8000), &Origin::Default),
    }
}

fn config_file(words: &[Word]) -> Option<PathBuf> {
    words.iter().rev().find_map(|word| match word {
        Word::Option("config", file) => {
            Some(PathBuf::from(file.strip_prefix("file:").unwrap_or(file)))
        }
        _ => None,
    })
}

fn read_options(settings: &mut Settings, words: Vec<Word>, origin: &Origin, tls: &mut bool) {
    let binds: Vec<&str> = words
        .iter()
        .filter_map(|word| match word {
            Word::Option("bind", value) => Some(value.as_str()),
            _ => None,
        })
        .flat_map(|value| value.split(','))
        .collect();
    if !binds.is_empty() {
        set_binds(settings, binds, origin);
    }
    for word in words {
        match word {
            Word::Option("certfile", _) => *tls = true,
            Word::Option(name, value) => {
                let name = match name {
                    "keep-alive" => "keepalive",
                    "error-logfile" | "log-file" => "errorlog",
                    "access-logfile" => "accesslog",
                    "worker-class" => "worker_class",
                    "graceful-timeout" => "graceful_timeout",
                    "name" => "proc_name",
                    other => other,
                };
                set(settings, name, &value, origin);
            }
            Word::Plain(module) => settings.module = Some(module),
            Word::Flag(_) => {}
        }
    }
}

fn read_file(settings: &mut Settings, file: &Path, text: &[u8]) {
    for assignment in assignments(text) {
        let origin = Origin::File(file.to_owned(), assignment.line);
        let name = assignment.name.as_str();
        match assignment.value {
            Some(Literal::List(binds)) if name == "bind" => {
                set_binds(settings, binds.iter().map(String::as_str), &origin);
            }
            Some(Literal::Text(binds)) if name == "bind" => {
                set_binds(settings, binds.split(','), &origin);
            }
            Some(Literal::Text(value)) => set(settings, name, &value, &origin),
            Some(Literal::Number(value)) => set(settings, name, &value.to_string(), &origin),
            Some(Literal::Flag(_) | Literal::None | Literal::List(_)) => {}
            None if name == "*" => settings.doubt_all(),
            None => settings.doubt(name),
        }
    }
}

/// A later place replaces the binds of an earlier one as a whole, and what was not known of them.
fn set_binds<'a>(
    settings: &mut Settings,
    texts: impl IntoIterator<Item = &'a str>,
    origin: &Origin,
) {
    settings.settle("bind");
    settings.binds.clear();
    for text in texts {
        let Some(bind) = bind(text.trim()) else {
            settings.doubt("bind");
            return;
        };
        settings.binds.push(bound(bind, origin));
    }
}

fn bound(bind: Bind, origin: &Origin) -> Bound {
    Bound {
        bind,
        protocol: SpokenProtocol::Http,
        origin: origin.clone(),
    }
}

/// `parse_address` (`gunicorn/util.py`): without a port it is 8000.
fn bind(text: &str) -> Option<Bind> {
    if text.contains('$') {
        return None;
    }
    if text.starts_with("fd://") {
        return Some(Bind::Inherited);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return Some(Bind::unix(path.strip_prefix("//").unwrap_or(path)));
    }
    let text = text.strip_prefix("tcp://").unwrap_or(text);
    let has_port = text
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.contains(']'));
    if has_port {
        Bind::host_and_port(text)
    } else {
        Bind::parts(text.trim_matches(['[', ']']), 8000)
    }
}

fn set(settings: &mut Settings, name: &str, value: &str, origin: &Origin) {
    let seconds = || value.parse::<u64>().ok();
    let count = || value.parse::<u32>().ok();
    settings.settle(name);
    match name {
        "timeout" => {
            settings.timeout = Setting::of(seconds().map(Limit::of_seconds), origin);
        }
        "graceful_timeout" => {
            settings.graceful_timeout = Setting::of(seconds().map(Limit::of_seconds), origin);
        }
        "keepalive" => {
            settings.keepalive = Setting::of(seconds().map(Duration::from_secs), origin);
        }
        "workers" => settings.workers = Setting::of(count(), origin),
        "backlog" => settings.backlog = Setting::of(count(), origin),
        "worker_class" => settings.worker_class = Setting::of(Some(value.to_owned()), origin),
        // More than one thread makes a sync worker a threaded one (`worker_class_str`).
        "threads" if count().is_some_and(|threads| threads > 1) => {
            let is_sync = settings
                .worker_class
                .as_ref()
                .is_some_and(|class| class.value == "sync");
            if is_sync {
                settings.worker_class = Setting::of(Some("gthread".to_owned()), origin);
            }
        }
        "errorlog" | "accesslog" => {
            let is_access = name == "accesslog";
            settings.logs.retain(|log| log.is_access != is_access);
            settings.log(value, is_access);
        }
        "chdir" => settings.chdir = Some(PathBuf::from(value)),
        "proc_name" => settings.name = Some(value.to_owned()),
        "wsgi_app" => settings.module = Some(value.to_owned()),
        _ => {}
    }
}

/// A sync worker closes each connection after its response, whatever `keepalive` says (`workers/sync.py`).
fn forget_keepalive_of_sync_workers(settings: &mut Settings) {
    if !settings.is_certain("worker_class") || !settings.is_certain("threads") {
        settings.keepalive = None;
        return;
    }
    if let Some(class) = settings
        .worker_class
        .as_ref()
        .filter(|class| class.value == "sync")
    {
        settings.keepalive = Setting::of(Some(Duration::ZERO), &class.origin);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn told(line: &str, environment: &[(&str, &str)], file: &str) -> Settings {
        // A title is one argument.
        let separator = if line.starts_with("gunicorn: ") {
            "|"
        } else {
            " "
        };
        let args: Vec<_> = line
            .split(separator)
            .map(|arg| arg.as_bytes().to_vec())
            .collect();
        let environment: Vec<_> = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let files = [(PathBuf::from(DEFAULT_FILE), Some(file.as_bytes().to_vec()))];
        Settings::of(
            Kind::Gunicorn,
            &SettingsSource {
                args: &args,
                environment: &environment,
                files: &files,
            },
        )
    }

    fn binds(settings: &Settings) -> Vec<String> {
        settings
            .binds
            .iter()
            .map(|bound| bound.bind.to_string())
            .collect()
    }

    #[test]
    fn nothing_said_is_gunicorns_default() {
        let settings = told("/usr/bin/python3 /usr/bin/gunicorn app:app", &[], "");
        assert_eq!(binds(&settings), ["127.0.0.1:8000"]);
        assert_eq!(settings.timeout, Setting::default(Limit::of_seconds(30)));
        assert_eq!(settings.keepalive.unwrap().value, Duration::ZERO);
        assert_eq!(settings.module.as_deref(), Some("app:app"));
        assert_eq!(settings.config_files, [PathBuf::from(DEFAULT_FILE)]);
        assert_eq!(
            binds(&told("gunicorn app:app", &[("PORT", "5000")], "")),
            ["*:5000"]
        );
    }

    #[test]
    fn the_command_line_goes_before_the_variable_and_that_before_the_file() {
        let file = "bind = ['127.0.0.1:1', 'unix:/run/f.sock']\ntimeout = 10\nkeepalive = 7\nworkers = 3\nerrorlog = '/var/log/g.log'\n";
        let settings = told(
            "gunicorn -w4 -k gthread app:app",
            &[("GUNICORN_CMD_ARGS", "--timeout 20 --workers=9")],
            file,
        );
        assert_eq!(binds(&settings), ["127.0.0.1:1", "unix:/run/f.sock"]);
        assert_eq!(
            settings.binds[0].origin,
            Origin::File(DEFAULT_FILE.into(), 1)
        );
        let timeout = settings.timeout.unwrap();
        assert_eq!(
            (timeout.value, timeout.origin),
            (
                Limit::of_seconds(20),
                Origin::Environment("GUNICORN_CMD_ARGS")
            )
        );
        assert_eq!(settings.workers.unwrap().value, 4);
        assert_eq!(settings.keepalive.unwrap().value, Duration::from_secs(7));
        assert_eq!(settings.logs[0].path, PathBuf::from("/var/log/g.log"));
    }

    #[test]
    fn binds_are_read_as_gunicorn_does() {
        for (text, expected) in [
            ("127.0.0.1:8001", "127.0.0.1:8001"),
            (":8001", "*:8001"),
            ("localhost", "localhost:8000"),
            ("[::1]:8001", "[::1]:8001"),
            ("[::1]", "[::1]:8000"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
            ("fd://3", "an inherited socket"),
        ] {
            assert_eq!(
                binds(&told(&format!("gunicorn -b {text} app:app"), &[], "")),
                [expected],
                "{text}"
            );
        }
    }

    #[test]
    fn what_code_sets_is_not_certain_and_not_the_default() {
        let settings = told("gunicorn app:app", &[], "bind = f'127.0.0.1:{port}'\n");
        assert!(!settings.is_certain("bind"));
        assert_eq!(settings.binds, []);
        let settings = told(
            "gunicorn -b 127.0.0.1:5 app:app",
            &[],
            "bind = f'127.0.0.1:{port}'\n",
        );
        assert!(settings.is_certain("bind"));
        let settings = told("gunicorn app:app", &[], "timeout = 5\nfrom base import *\n");
        assert!(!settings.is_certain("timeout"));
        assert_eq!(settings.timeout, None);
        let hidden = told("gunicorn: master [app:app]", &[], "keepalive = 5\n");
        assert!(!hidden.is_certain("bind"));
        assert_eq!((hidden.timeout, hidden.binds), (None, vec![]));
    }

    #[test]
    fn threads_make_connections_last() {
        let settings = told("gunicorn --threads 4 app:app", &[], "");
        assert_eq!(settings.worker_class.unwrap().value, "gthread");
        assert_eq!(settings.keepalive.unwrap().value, Duration::from_secs(2));
        assert_eq!(
            told("gunicorn app:app", &[], "worker_class = pick()\n").keepalive,
            None
        );
    }

    #[test]
    fn a_file_that_was_not_read_leaves_open_what_the_command_line_does_not_say() {
        let args = ["gunicorn", "-b", "127.0.0.1:5", "app:app"].map(|arg| arg.as_bytes().to_vec());
        let settings = Settings::of(
            Kind::Gunicorn,
            &SettingsSource {
                args: &args,
                ..SettingsSource::default()
            },
        );
        assert_eq!(
            (settings.timeout.clone(), settings.is_certain("timeout")),
            (None, false)
        );
        assert_eq!(binds(&settings), ["127.0.0.1:5"]);
        assert!(settings.is_certain("bind"));
        let absent = [(PathBuf::from(DEFAULT_FILE), None)];
        let source = SettingsSource {
            args: &args,
            files: &absent,
            ..SettingsSource::default()
        };
        assert!(Settings::of(Kind::Gunicorn, &source).is_certain("timeout"));
    }

    #[test]
    fn no_timeout_is_never() {
        assert_eq!(
            told("gunicorn -t 0 app:app", &[], "")
                .timeout
                .unwrap()
                .value,
            Limit::Never
        );
    }
}
