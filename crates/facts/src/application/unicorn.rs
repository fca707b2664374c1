//! Unicorn's settings (`lib/unicorn/configurator.rb` of 6.0.0): defaults, then its configuration file, then the command
//! line, which its title keeps.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::options::{Spec, Word, scan};
use super::ruby::{Call, Literal, calls};
use super::settings::{
    Bind, Bound, Limit, Origin, Setting, Settings, SettingsSource, SpokenProtocol,
};
use crate::text::owned;

const OPTIONS: [Spec; 7] = [
    ("listen", Some('l')),
    ("config-file", Some('c')),
    ("env", Some('E')),
    ("host", Some('o')),
    ("port", Some('p')),
    ("include", Some('I')),
    ("require", Some('r')),
];

/// Where it listens when nothing says so.
const DEFAULT_PORT: u16 = 8080;

pub(super) fn settings(source: &SettingsSource<'_>) -> Settings {
    let mut settings = Settings {
        // It closes each connection after its response.
        keepalive: Setting::default(Duration::ZERO),
        timeout: Setting::default(Limit::of_seconds(60)),
        workers: Setting::default(1),
        backlog: Setting::default(1024),
        ..Settings::default()
    };
    let words = scan(arguments(source), &OPTIONS);
    let file = words.iter().rev().find_map(|word| match word {
        Word::Option("config-file", file) => Some(PathBuf::from(file)),
        _ => None,
    });
    if let Some(file) = file {
        settings.config_files.push(file.clone());
        match source.file(&file) {
            Some(Some(text)) => read_file(&mut settings, &file, text),
            _ => settings.doubt_all(),
        }
    }
    let listens: Vec<&String> = words
        .iter()
        .filter_map(|word| match word {
            Word::Option("listen", value) => Some(value),
            _ => None,
        })
        .collect();
    for value in listens {
        listen(&mut settings, value, &Origin::Arguments);
    }
    let is_moved = words
        .iter()
        .any(|word| matches!(word, Word::Option("host" | "port", _)));
    if is_moved {
        settings.doubt("bind");
    } else if settings.binds.is_empty() && settings.is_certain("bind") {
        let default = Bind::AnyAddress(DEFAULT_PORT);
        settings.binds.push(bound(default, &Origin::Default));
    }
    settings
}

/// The words behind the program. The title is one argument: `unicorn master -c /etc/unicorn.rb -D`.
fn arguments(source: &SettingsSource<'_>) -> Vec<String> {
    let words = source.args.iter().map(|arg| owned(arg));
    let words = words.flat_map(|arg| {
        let words: Vec<String> = arg.split(' ').map(str::to_owned).collect();
        words
    });
    words.filter(|word| !word.is_empty()).collect()
}

fn read_file(settings: &mut Settings, file: &Path, text: &[u8]) {
    for Call { name, args, line } in calls(text) {
        let origin = Origin::File(file.to_owned(), line);
        let common = match name.as_str() {
            "*" => {
                settings.doubt_all();
                continue;
            }
            "listen" => "bind",
            "worker_processes" => "workers",
            name => name,
        };
        let Some(args) = args else {
            if matches!(common, "bind" | "workers" | "timeout") {
                settings.doubt(common);
            }
            continue;
        };
        match (common, args.as_slice()) {
            ("bind", [address, options @ ..]) => {
                let address = match address {
                    Literal::Text(text) => text.clone(),
                    Literal::Number(port) => port.to_string(),
                    _ => continue,
                };
                listen(settings, &address, &origin);
                for option in options {
                    if let Literal::Named(name, value) = option
                        && let ("backlog", Literal::Number(value)) = (name.as_str(), value.as_ref())
                    {
                        settings.backlog = Setting::of(u32::try_from(*value).ok(), &origin);
                    }
                }
            }
            ("workers", [Literal::Number(count)]) => {
                settings.settle("workers");
                settings.workers = Setting::of(u32::try_from(*count).ok(), &origin);
            }
            ("timeout", [Literal::Number(seconds)]) => {
                settings.settle("timeout");
                settings.timeout = Setting::of(Some(Limit::of_seconds(*seconds)), &origin);
            }
            ("stderr_path", [Literal::Text(path)]) => {
                settings.logs.clear();
                settings.log(path, false);
            }
            ("working_directory", [Literal::Text(path)]) => {
                settings.chdir = Some(PathBuf::from(path));
            }
            _ => {}
        }
    }
}

/// `expand_addr` (`lib/unicorn/socket_helper.rb`).
fn listen(settings: &mut Settings, address: &str, origin: &Origin) {
    let path = address.strip_prefix("unix:").unwrap_or(address);
    let bind = if path.starts_with(['/', '~']) {
        (!path.starts_with('~')).then(|| Bind::unix(path))
    } else if let Ok(port) = address.trim_start_matches(['*', ':']).parse() {
        Some(Bind::AnyAddress(port))
    } else {
        Bind::host_and_port(address)
    };
    match bind {
        Some(bind) => settings.binds.push(bound(bind, origin)),
        None => settings.doubt("bind"),
    }
}

fn bound(bind: Bind, origin: &Origin) -> Bound {
    Bound {
        bind,
        protocol: SpokenProtocol::Http,
        origin: origin.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn told(title: &str, file: Option<&str>) -> Settings {
        let files: Vec<_> = file
            .map(|text| (PathBuf::from("unicorn.rb"), Some(text.as_bytes().to_vec())))
            .into_iter()
            .collect();
        Settings::of(
            Kind::Unicorn,
            &SettingsSource {
                // The rest of the command line that the title was written over.
                args: &[title.as_bytes().to_vec(), Vec::new(), Vec::new()],
                environment: &[],
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
    fn its_title_keeps_its_arguments() {
        let settings = told("unicorn master -l /run/u.sock -l 127.0.0.1:8080 -D", None);
        assert_eq!(binds(&settings), ["unix:/run/u.sock", "127.0.0.1:8080"]);
        assert_eq!(binds(&told("unicorn master config.ru", None)), ["*:8080"]);
        assert!(!told("unicorn master -p 9000", None).is_certain("bind"));
    }

    #[test]
    fn its_file_says_where_it_listens_and_how_long_it_waits() {
        let file = "working_directory '/srv/shop'\nlisten '/run/u.sock', backlog: 64\nlisten 8081\nworker_processes 4\ntimeout 15\nstderr_path '/var/log/u.log'\n";
        let settings = told("unicorn master -c unicorn.rb config.ru", Some(file));
        assert_eq!(binds(&settings), ["unix:/run/u.sock", "*:8081"]);
        let file = |line| Origin::File(PathBuf::from("unicorn.rb"), line);
        assert_eq!(
            settings.timeout,
            Setting::of(Some(Limit::of_seconds(15)), &file(5))
        );
        assert_eq!(settings.workers, Setting::of(Some(4), &file(4)));
        assert_eq!(settings.backlog, Setting::of(Some(64), &file(2)));
        assert!(
            ["bind", "workers", "timeout"]
                .iter()
                .all(|name| settings.is_certain(name))
        );
        assert_eq!(settings.logs.len(), 1);
    }

    #[test]
    fn what_code_sets_is_not_certain_and_not_the_default() {
        let file =
            "worker_processes Integer(ENV['WEB_CONCURRENCY'] || 3)\ntimeout 15 if ENV['X']\n";
        let settings = told("unicorn master -c unicorn.rb", Some(file));
        assert_eq!((settings.workers, settings.timeout), (None, None));
        // A file that was not read may say anything.
        let unread = told("unicorn master -c unicorn.rb", None);
        assert_eq!(unread.timeout, None);
        assert!(!unread.is_certain("bind"));
    }
}
