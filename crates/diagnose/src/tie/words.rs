//! The words by which an application is known: on command lines, in modules, of units. Judges words, not listeners.

/// Words that stand in any command line, or name no application in particular.
const COMMON: [&str; 40] = [
    "api",
    "app",
    "application",
    "apps",
    "backend",
    "backends",
    "bin",
    "default",
    "fastcgi",
    "fpm",
    "front",
    "frontend",
    "gunicorn",
    "home",
    "http",
    "https",
    "java",
    "localhost",
    "main",
    "nginx",
    "node",
    "opt",
    "php",
    "php-fpm",
    "prod",
    "proxy",
    "python",
    "python3",
    "run",
    "server",
    "service",
    "site",
    "srv",
    "upstream",
    "usr",
    "uvicorn",
    "uwsgi",
    "var",
    "web",
    "www",
];

pub(super) fn is_telling(name: &str) -> bool {
    name.len() >= 3
        && name.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !COMMON.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether a command line holds the name as a word of its own. `shop` is in `/srv/shop/run`, `shop.wsgi` and
/// `--name=shop`, but not in `shop-staging`, `shop_api` or `postgres://shop@db`.
pub(super) fn names_it(command_line: &str, name: &str) -> bool {
    let is_word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    command_line
        .split_whitespace()
        .filter(|arg| !arg.contains("://") && !arg.contains('@'))
        .flat_map(|arg| arg.split(|char: char| !is_word(char)))
        .any(|word| word.eq_ignore_ascii_case(name))
}

pub(super) fn unit_stem(unit: &str) -> &str {
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    stem.split_once('@').map_or(stem, |(template, _)| template)
}

/// The name of an application: `shop` of `shop.wsgi:application`, `/srv/shop.py` or `shop`; `None` where it is one that any
/// application may bear.
pub(super) fn app_name(module: &str) -> Option<String> {
    const PARTS: [&str; 12] = [
        "app",
        "application",
        "asgi",
        "cjs",
        "index",
        "js",
        "main",
        "mjs",
        "py",
        "run",
        "server",
        "wsgi",
    ];
    let module = module.split(':').next().unwrap_or(module);
    let module = module.rsplit('/').next().unwrap_or(module);
    let parts: Vec<&str> = module.split('.').collect();
    let telling = parts
        .iter()
        .rposition(|part| !PARTS.contains(&part.to_ascii_lowercase().as_str()))?;
    let name = parts.get(..=telling)?.join(".");
    is_telling(&name).then_some(name)
}

/// Whether a command line gives this port to a debugger, or to statistics.
pub(super) fn is_side_door(command_line: &str, port: u16) -> bool {
    const SIGNS: [&str; 9] = [
        "admin",
        "debug",
        "inspect",
        "jdwp",
        "jmx",
        "management",
        "metrics",
        "pprof",
        "stats",
    ];
    let port = port.to_string();
    let mut option = "";
    command_line.split_whitespace().any(|arg| {
        // An option's value may stand behind it.
        let option_of_arg = if arg.starts_with('-') { arg } else { option };
        let is_bare = arg.starts_with('-') && !arg.contains(['=', ':']);
        option = if is_bare { arg } else { "" };
        let holds_port = arg
            .split(|char: char| !char.is_ascii_digit())
            .any(|digits| digits == port);
        holds_port && SIGNS.iter().any(|sign| option_of_arg.contains(sign))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ties_only_as_a_word_of_its_own() {
        assert!(names_it("/srv/shop/venv/bin/gunicorn shop.wsgi", "shop"));
        assert!(names_it("gunicorn --name=shop", "shop"));
        assert!(!names_it("gunicorn --name=shop-front", "shop"));
        assert!(!names_it(
            "node admin.js --db postgres://shop@db/shop",
            "shop"
        ));
        assert!(!names_it("/srv/workshop/run", "shop"));
        assert!(!names_it("gunicorn shop2:app", "shop"));
        assert!(!names_it("", "shop"));
    }

    #[test]
    fn a_common_word_ties_nothing() {
        assert!(!is_telling("app"));
        assert!(!is_telling("Backend"));
        assert!(!is_telling("10"));
        assert!(is_telling("shopfront"));
    }

    #[test]
    fn a_unit_is_known_by_its_stem() {
        assert_eq!(unit_stem("shop.service"), "shop");
        assert_eq!(unit_stem("shop@blue.service"), "shop");
    }

    #[test]
    fn an_application_is_named_by_its_module() {
        for (module, name) in [
            ("shop.wsgi:application", Some("shop")),
            ("shop:app", Some("shop")),
            ("shop.wsgi", Some("shop")),
            ("/srv/shop/shop.py", Some("shop")),
            ("/srv/shop/server.js", None),
            ("shop_admin:application", Some("shop_admin")),
            ("shop.admin", Some("shop.admin")),
            ("admin:application", Some("admin")),
            ("app.main:app", None),
            ("application", None),
            ("", None),
        ] {
            assert_eq!(app_name(module).as_deref(), name, "{module}");
        }
    }

    #[test]
    fn a_side_door_is_told_by_the_option_that_opens_it() {
        for line in [
            "node --inspect=127.0.0.1:9001 /srv/shop/server.js",
            "node --inspect-port 9001 server.js",
            "uwsgi --http :8000 --stats 127.0.0.1:9001",
            "java -agentlib:jdwp=transport=dt_socket,address=*:9001 -jar x.jar",
            "serve --metrics-address :9001",
        ] {
            assert!(is_side_door(line, 9001), "{line}");
        }
        for line in [
            "node --inspect=127.0.0.1:9001 server.js --port 8000",
            "uwsgi --stats 127.0.0.1:9001 --http :8000",
            "node --inspect server.js 8000",
            "serve",
        ] {
            assert!(!is_side_door(line, 8000), "{line}");
        }
    }
}
