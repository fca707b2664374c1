//! The settings of programs that have few, or show few: Node.js, Puma and Python's `http.server`.

use std::time::Duration;

use super::options::{Spec, Word, behind, scan};
use super::settings::{Bind, Bound, Origin, Setting, Settings, SettingsSource, SpokenProtocol};
use crate::text::{holes, owned};

/// A Node.js program: what it does with its options is its own affair, `--port` is a custom.
///
/// `server.keepAliveTimeout` is 5 s by default; a program may set it in its code, which is not read.
pub(super) fn node(source: &SettingsSource<'_>) -> Settings {
    const OPTIONS: [Spec; 3] = [("port", Some('p')), ("host", None), ("require", Some('r'))];
    let mut settings = Settings {
        keepalive: Setting::default(Duration::from_secs(5)),
        ..Settings::default()
    };
    for word in scan(source.args.iter().skip(1).map(|arg| owned(arg)), &OPTIONS) {
        match word {
            Word::Option("port", value) => {
                let bind = value.parse().ok().map(Bind::AnyAddress);
                settings.binds = bind
                    .map(|bind| http(bind, Origin::Arguments))
                    .into_iter()
                    .collect();
            }
            Word::Plain(script) if settings.module.is_none() => settings.module = Some(script),
            _ => {}
        }
    }
    settings
        .uncertain
        .extend(["bind".to_owned(), "keepalive".to_owned()]);
    settings
}

/// Puma writes its addresses into its title: `puma 6.4.0 (tcp://0.0.0.0:3000,unix:///run/p.sock) [shop]`.
pub(super) fn puma(source: &SettingsSource<'_>) -> Settings {
    let mut settings = Settings {
        is_hidden: true,
        ..Settings::default()
    };
    let Some([_, addresses, name]) = source
        .args
        .first()
        .and_then(|title| holes(title, "puma {} ({}) [{}]"))
    else {
        return settings;
    };
    settings.is_hidden = false;
    settings.uncertain = ["timeout", "keepalive", "workers"]
        .map(str::to_owned)
        .to_vec();
    settings.name = Some(owned(name));
    for address in owned(addresses).split(',') {
        let bind = match address.split_once("://") {
            Some(("unix", path)) => Some(Bind::unix(path)),
            Some(("tcp" | "http" | "ssl", rest)) => {
                Bind::host_and_port(rest.split('?').next().unwrap_or(rest))
            }
            _ => None,
        };
        settings
            .binds
            .extend(bind.map(|bind| http(bind, Origin::Arguments)));
    }
    settings
}

/// `python3 -m http.server [--bind ADDRESS] [PORT]`: HTTP/1.0, a connection a response.
pub(super) fn http_server(source: &SettingsSource<'_>) -> Settings {
    const OPTIONS: [Spec; 3] = [
        ("bind", Some('b')),
        ("directory", Some('d')),
        ("protocol", Some('p')),
    ];
    let mut host = String::new();
    let mut port = 8000;
    let mut keepalive = Setting::default(Duration::ZERO);
    for word in scan(behind(source.args, |name| name == b"http.server"), &OPTIONS) {
        match word {
            Word::Option("bind", value) => host = value,
            // With HTTP/1.1 it keeps connections open for ever.
            Word::Option("protocol", _) => keepalive = None,
            Word::Plain(value) => port = value.parse().unwrap_or(port),
            _ => {}
        }
    }
    let bind = Bind::parts(&host, port).map(|bind| http(bind, Origin::Arguments));
    Settings {
        binds: bind.into_iter().collect(),
        keepalive,
        ..Settings::default()
    }
}

fn http(bind: Bind, origin: Origin) -> Bound {
    Bound {
        bind,
        protocol: SpokenProtocol::Http,
        origin,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn told(kind: Kind, args: &[&str]) -> Settings {
        let args: Vec<_> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        Settings::of(
            kind,
            &SettingsSource {
                args: &args,
                ..SettingsSource::default()
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
    fn a_node_programs_port_is_a_custom_and_its_keepalive_a_default() {
        let settings = told(Kind::Node, &["node", "/srv/app.js", "--port", "3000"]);
        assert_eq!(binds(&settings), ["*:3000"]);
        assert_eq!(settings.module.as_deref(), Some("/srv/app.js"));
        assert_eq!(
            settings.keepalive.as_ref().unwrap().value,
            Duration::from_secs(5)
        );
        assert!(!settings.is_certain("keepalive"));
    }

    #[test]
    fn pumas_title_names_its_addresses() {
        let settings = told(
            Kind::Puma,
            &["puma 6.4.0 (tcp://0.0.0.0:3000,unix:///run/p.sock) [shop]"],
        );
        assert_eq!(binds(&settings), ["0.0.0.0:3000", "unix:/run/p.sock"]);
        assert_eq!(settings.name.as_deref(), Some("shop"));
    }

    #[test]
    fn pythons_own_server_listens_everywhere_unless_told() {
        assert_eq!(
            binds(&told(
                Kind::PythonHttpServer,
                &["python3", "-m", "http.server"]
            )),
            ["*:8000"]
        );
        let bound = told(
            Kind::PythonHttpServer,
            &["python3", "-m", "http.server", "-b", "127.0.0.1", "9999"],
        );
        assert_eq!(binds(&bound), ["127.0.0.1:9999"]);
    }
}
