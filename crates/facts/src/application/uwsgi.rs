//! uWSGI's settings: options and ini files in the order in which they are met. XML, YAML and JSON files are not read.

use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

use super::settings::{
    Bind, Bound, Limit, Origin, Setting, Settings, SettingsSource, SpokenProtocol,
};
use crate::text::owned;

/// How many files are read: a file may name others, and itself.
const FILES: usize = 64;

/// The letters of options that take a value.
const LETTERS: [(char, &str); 10] = [
    ('s', "socket"),
    ('p', "processes"),
    ('t', "harakiri"),
    ('b', "buffer-size"),
    ('l', "listen"),
    ('d', "daemonize"),
    ('w', "module"),
    ('H', "home"),
    ('x', "xml"),
    ('y', "yaml"),
];

pub(super) fn settings(source: &SettingsSource<'_>) -> Settings {
    let is_hidden = source
        .args
        .first()
        .is_some_and(|first| first.starts_with(b"uWSGI "));
    let mut reader = Reader {
        source,
        settings: if is_hidden {
            Settings {
                is_hidden,
                ..Settings::default()
            }
        } else {
            defaults()
        },
        protocol: None,
        known: Vec::new(),
    };
    let mut args = source.args.iter().skip(1).map(|arg| owned(arg)).peekable();
    while let Some(arg) = args.next() {
        if let Some((name, value)) = option(&arg) {
            // The options without a value are too many to list: what stands behind one is taken for its value, unless it
            // looks like another option or is a file of settings in its own right.
            let is_value = |next: &String| {
                !next.starts_with('-') && (names_a_file(&name) || !is_file_of_settings(next))
            };
            let value = value.or_else(|| args.next_if(is_value));
            reader.take(
                &name,
                value.as_deref().unwrap_or("true"),
                &Origin::Arguments,
            );
        } else {
            reader.file(&arg);
        }
    }
    if let Some(protocol) = reader.protocol {
        for bound in &mut reader.settings.binds {
            if bound.protocol == SpokenProtocol::Uwsgi {
                bound.protocol = protocol;
            }
        }
    }
    reader.settings
}

fn defaults() -> Settings {
    Settings {
        timeout: Setting::default(Limit::Never),
        workers: Setting::default(1),
        backlog: Setting::default(100),
        buffer_size: Setting::default(4096),
        ..Settings::default()
    }
}

fn option(arg: &str) -> Option<(String, Option<String>)> {
    if let Some(long) = arg.strip_prefix("--") {
        return Some(match long.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (long.to_owned(), None),
        });
    }
    let mut letters = arg.strip_prefix('-')?.chars();
    let letter = letters.next()?;
    let rest = letters.as_str();
    let name = LETTERS
        .iter()
        .find(|(known, _)| *known == letter)
        .map(|&(_, name)| name.to_owned());
    let value = (!rest.is_empty()).then(|| rest.to_owned());
    Some((name.unwrap_or_else(|| letter.to_string()), value))
}

/// Options whose value is a file of settings.
fn names_a_file(option: &str) -> bool {
    matches!(
        option,
        "ini" | "include" | "inherit" | "xml" | "yaml" | "yml" | "json"
    )
}

fn is_file_of_settings(word: &str) -> bool {
    let extension = Path::new(word)
        .extension()
        .and_then(|extension| extension.to_str());
    matches!(extension, Some("ini" | "xml" | "yaml" | "yml" | "json"))
}

struct Reader<'a> {
    source: &'a SettingsSource<'a>,
    settings: Settings,
    /// `protocol`, which says what a plain `socket` speaks.
    protocol: Option<SpokenProtocol>,
    /// Everything set so far, for `%(name)`.
    known: Vec<(String, String)>,
}

impl Reader<'_> {
    fn file(&mut self, name: &str) {
        // `file:section` names a section of a file; another than the usual one is not read.
        let path = PathBuf::from(name.split_once(':').map_or(name, |(path, _)| path));
        if !self.settings.config_files.contains(&path) && self.settings.config_files.len() < FILES {
            self.settings.config_files.push(path.clone());
            let is_ini = path.extension().is_none_or(|extension| extension == "ini");
            match self.source.file(&path).flatten() {
                Some(text) if is_ini && !name.contains(':') => self.ini(&path, text),
                _ => self.doubt("ini"),
            }
        }
    }

    /// Sockets add up: those that are known stay so.
    fn doubt(&mut self, name: &str) {
        let binds = std::mem::take(&mut self.settings.binds);
        if names_a_file(name) {
            self.settings.doubt_all();
        } else {
            self.settings.doubt(common_name(name));
        }
        self.settings.binds = binds;
    }

    fn ini(&mut self, path: &Path, text: &[u8]) {
        let mut is_ours = false;
        for (idx, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(section) = line.strip_prefix(b"[") {
                is_ours = section == b"uwsgi]";
            } else if is_ours
                && !matches!(line.first(), None | Some(b'#' | b';'))
                && let Some((name, value)) = line.split_once_str("=")
            {
                let value = self.expanded(&owned(value.trim()), path);
                match value {
                    Some(value) => self.take(
                        &owned(name.trim()),
                        &value,
                        &Origin::File(path.to_owned(), idx + 1),
                    ),
                    None => self.doubt(&owned(name.trim())),
                }
            }
        }
    }

    /// Undoes `%(name)`, `%n` (the file's name without its ending), `%s` (with it), `%d` (its directory with `/`), `%p`
    /// (its whole path) and `$(VARIABLE)`.
    fn expanded(&self, value: &str, path: &Path) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = value;
        while let Some(at) = rest.find(['%', '$']) {
            let (before, sign) = rest.split_at_checked(at)?;
            expanded.push_str(before);
            let inner = sign.get(1..)?;
            if let Some((name, after)) = inner
                .strip_prefix('(')
                .and_then(|inner| inner.split_once(')'))
            {
                let known = if sign.starts_with('$') {
                    self.source.variable(name)
                } else {
                    self.known
                        .iter()
                        .rev()
                        .find(|(known, _)| known == name)
                        .map(|(_, value)| value.as_str())
                };
                expanded.push_str(known?);
                rest = after;
                continue;
            }
            let of_file = |part: Option<&std::ffi::OsStr>| {
                part.map(|part| part.to_string_lossy().into_owned())
            };
            let magic = match (sign.starts_with('%'), inner.chars().next()) {
                (true, Some('n')) => of_file(path.file_stem()),
                (true, Some('s')) => of_file(path.file_name()),
                (true, Some('p')) => Some(path.display().to_string()),
                (true, Some('d')) => path.parent().map(|parent| format!("{}/", parent.display())),
                _ => None,
            };
            if let Some(magic) = magic {
                expanded.push_str(&magic);
                rest = inner.get(1..)?;
            } else {
                expanded.push_str(sign.get(..1)?);
                rest = inner;
            }
        }
        expanded.push_str(rest);
        Some(expanded)
    }

    fn take(&mut self, name: &str, value: &str, origin: &Origin) {
        self.known.push((name.to_owned(), value.to_owned()));
        let settings = &mut self.settings;
        if !matches!(common_name(name), "bind") {
            settings.settle(common_name(name));
        }
        match name {
            "socket" | "uwsgi-socket" => self.listen(value, SpokenProtocol::Uwsgi, origin),
            "http-socket" | "http11-socket" | "http" => {
                self.listen(value, SpokenProtocol::Http, origin);
            }
            "https-socket" | "https" => self.listen(value, SpokenProtocol::Https, origin),
            "fastcgi-socket" => self.listen(value, SpokenProtocol::FastCgi, origin),
            "scgi-socket" => self.listen(value, SpokenProtocol::Scgi, origin),
            "protocol" => {
                self.protocol = match value {
                    "http" => Some(SpokenProtocol::Http),
                    "fastcgi" => Some(SpokenProtocol::FastCgi),
                    "scgi" => Some(SpokenProtocol::Scgi),
                    _ => None,
                }
            }
            "ini" | "include" | "inherit" => self.file(value),
            "xml" | "yaml" | "yml" | "json" | "emperor" => self.doubt("ini"),
            "harakiri" => {
                settings.timeout = Setting::of(value.parse().ok().map(Limit::of_seconds), origin);
            }
            "buffer-size" => settings.buffer_size = Setting::of(value.parse().ok(), origin),
            "listen" => settings.backlog = Setting::of(value.parse().ok(), origin),
            "processes" | "workers" => settings.workers = Setting::of(value.parse().ok(), origin),
            "logto" | "logto2" | "daemonize" | "daemonize2" | "req-logger" => {
                // A logger may have its kind before its path: `file:/var/log/u.log`.
                settings.log(
                    value.strip_prefix("file:").unwrap_or(value),
                    name == "req-logger",
                );
            }
            "logger" => settings.log(value.strip_prefix("file:").unwrap_or_default(), false),
            "chdir" | "chdir2" => settings.chdir = Some(PathBuf::from(value)),
            "module" | "wsgi" | "wsgi-file" | "file" => settings.module = Some(value.to_owned()),
            "procname-master" | "procname-prefix" => settings.name = Some(value.trim().to_owned()),
            _ => {}
        }
    }

    fn listen(&mut self, value: &str, protocol: SpokenProtocol, origin: &Origin) {
        // `https` has certificate and key behind the address.
        let address = value.split(',').next().unwrap_or(value);
        let bind = if address.starts_with("fd://") {
            Some(Bind::Inherited)
        } else if address.starts_with('@') {
            // An abstract socket: nginx cannot dial it.
            None
        } else if address.contains(':') {
            Bind::host_and_port(address)
        } else {
            Some(Bind::unix(address))
        };
        match bind {
            Some(bind) => self.settings.binds.push(Bound {
                bind,
                protocol,
                origin: origin.clone(),
            }),
            None => self.doubt("socket"),
        }
    }
}

/// What uWSGI's name for a setting is called here.
fn common_name(name: &str) -> &str {
    match name {
        "harakiri" => "timeout",
        "processes" | "workers" => "workers",
        "listen" => "backlog",
        "buffer-size" => "buffer_size",
        _ if name.ends_with("socket") || name == "http" || name == "https" => "bind",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn told(line: &str, environment: &[(&str, &str)], files: &[(&str, &str)]) -> Settings {
        // A title is one argument.
        let separator = if line.starts_with("uWSGI ") { "|" } else { " " };
        let args: Vec<_> = line
            .split(separator)
            .map(|arg| arg.as_bytes().to_vec())
            .collect();
        let environment: Vec<_> = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (PathBuf::from(path), Some(text.as_bytes().to_vec())))
            .collect();
        Settings::of(
            Kind::Uwsgi,
            &SettingsSource {
                args: &args,
                environment: &environment,
                files: &files,
            },
        )
    }

    fn binds(settings: &Settings) -> Vec<(String, SpokenProtocol)> {
        settings
            .binds
            .iter()
            .map(|bound| (bound.bind.to_string(), bound.protocol))
            .collect()
    }

    #[test]
    fn options_say_where_it_listens_and_what_it_speaks_there() {
        let line = "uwsgi --plugin python3 --socket 127.0.0.1:3031 --http-socket=:8080 -s /run/u.sock --master -p 4 \
            --harakiri 20 -b 32768 --listen 5 --logto /var/log/u.log --wsgi-file app.py";
        let settings = told(line, &[], &[]);
        assert_eq!(
            binds(&settings),
            [
                ("127.0.0.1:3031".to_owned(), SpokenProtocol::Uwsgi),
                ("*:8080".to_owned(), SpokenProtocol::Http),
                ("unix:/run/u.sock".to_owned(), SpokenProtocol::Uwsgi)
            ]
        );
        assert_eq!(settings.timeout.unwrap().value, Limit::of_seconds(20));
        assert_eq!(settings.buffer_size.unwrap().value, 32768);
        assert_eq!(
            (
                settings.workers.unwrap().value,
                settings.backlog.unwrap().value
            ),
            (4, 5)
        );
        assert_eq!(settings.logs[0].path, PathBuf::from("/var/log/u.log"));
        assert_eq!(settings.module.as_deref(), Some("app.py"));
        let plain = told("uwsgi --socket :1 --protocol http", &[], &[]);
        assert_eq!(binds(&plain), [("*:1".to_owned(), SpokenProtocol::Http)]);
        assert_eq!(plain.buffer_size, Setting::default(4096));
    }

    #[test]
    fn files_are_read_in_order_with_what_they_name() {
        // As Debian starts it.
        let line = "/usr/bin/uwsgi-core --ini /usr/share/uwsgi/conf/default.ini --ini /etc/uwsgi/apps-enabled/shop.ini --daemonize /var/log/uwsgi/app/shop.log";
        let default = "[uwsgi]\nworkers = 2\n; comment\nsocket = /run/uwsgi/$(UWSGI_DEB_CONFNAMESPACE)/$(UWSGI_DEB_CONFNAME)/socket\n";
        let shop = "[other]\nsocket = :1\n[uwsgi]\nbase = /srv/%n\nchdir = %(base)\nharakiri = 60\nhttp-socket = %(base).sock\nlog = %d%s\n";
        let files = [
            ("/usr/share/uwsgi/conf/default.ini", default),
            ("/etc/uwsgi/apps-enabled/shop.ini", shop),
        ];
        let variables = [
            ("UWSGI_DEB_CONFNAMESPACE", "app"),
            ("UWSGI_DEB_CONFNAME", "shop"),
        ];
        let settings = told(line, &variables, &files);
        assert_eq!(
            binds(&settings),
            [
                (
                    "unix:/run/uwsgi/app/shop/socket".to_owned(),
                    SpokenProtocol::Uwsgi
                ),
                ("unix:/srv/shop.sock".to_owned(), SpokenProtocol::Http)
            ]
        );
        assert_eq!(settings.chdir.as_deref(), Some("/srv/shop".as_ref()));
        let timeout = settings.timeout.as_ref().unwrap();
        assert_eq!(
            timeout.origin,
            Origin::File("/etc/uwsgi/apps-enabled/shop.ini".into(), 6)
        );
        assert_eq!(settings.config_files.len(), 2);
        assert!(settings.is_certain("bind"));
        let unnamed = told(line, &[], &files);
        assert_eq!(
            (unnamed.is_certain("bind"), unnamed.binds.len()),
            (false, 1)
        );
    }

    #[test]
    fn a_file_that_is_not_there_or_not_read_leaves_all_open() {
        assert!(!told("uwsgi --ini a.ini", &[], &[]).is_certain("bind"));
        assert!(
            !told("uwsgi a.yaml", &[], &[("a.yaml", "uwsgi:\n  socket: :1\n")])
                .is_certain("timeout")
        );
        assert!(!told("uWSGI master", &[], &[]).is_certain("bind"));
        assert_eq!(told("uWSGI master", &[], &[]).timeout, None);
        let known = told("uwsgi --socket :3031 --ini a.ini", &[], &[]);
        assert_eq!((binds(&known).len(), known.timeout), (1, None));
        assert_eq!(
            binds(&told(
                "uwsgi --master a.ini",
                &[],
                &[("a.ini", "[uwsgi]\nsocket = :1\n")]
            ))
            .len(),
            1
        );
        assert_eq!(
            told(
                "uwsgi a.ini",
                &[],
                &[("a.ini", "[uwsgi]\nini = a.ini\nsocket = :1\n")]
            )
            .binds
            .len(),
            1
        );
    }
}
