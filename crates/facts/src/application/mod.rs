//! The program behind a peer: which kind it is, what it was told, and what its log says.

mod asgi;
mod gunicorn;
mod java;
pub mod log;
mod options;
pub mod php_fpm;
mod python;
mod ruby;
mod settings;
mod small;
mod unicorn;
mod uwsgi;

use bstr::ByteSlice as _;

pub use settings::{
    Bind, Bound, Limit, LogFile, Origin, Setting, Settings, SettingsSource, SpokenProtocol,
};

/// A kind of application server that why502 knows the settings or the log of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// gunicorn.
    Gunicorn,
    /// uvicorn.
    Uvicorn,
    /// hypercorn.
    Hypercorn,
    /// uWSGI.
    Uwsgi,
    /// php-fpm.
    PhpFpm,
    /// A Node.js program.
    Node,
    /// Puma.
    Puma,
    /// Unicorn.
    Unicorn,
    /// A Java program.
    Java,
    /// `python3 -m http.server`.
    PythonHttpServer,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Gunicorn,
        Self::Hypercorn,
        Self::PhpFpm,
        Self::Uwsgi,
        Self::Uvicorn,
        Self::Node,
        Self::Puma,
        Self::Unicorn,
        Self::Java,
        Self::PythonHttpServer,
    ];

    /// The kind of a process, by its command line or the title it gave itself; `None` for any other program.
    pub fn recognise(args: &[Vec<u8>]) -> Option<Self> {
        let first = args.first()?;
        if let Some(kind) = by_title(first) {
            return Some(kind);
        }
        let program = base_name(first);
        if let Some(kind) = by_program(program) {
            return Some(kind);
        }
        if !is_interpreter(program) {
            return None;
        }
        match Self::script(program, args)? {
            Script::Module(b"http.server") => Some(Self::PythonHttpServer),
            Script::Module(module) => by_program(module),
            Script::File(file) => by_program(base_name(file)),
        }
    }

    /// What its own users call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gunicorn => "gunicorn",
            Self::Uvicorn => "uvicorn",
            Self::Hypercorn => "hypercorn",
            Self::Uwsgi => "uWSGI",
            Self::PhpFpm => "php-fpm",
            Self::Node => "node",
            Self::Puma => "puma",
            Self::Unicorn => "unicorn",
            Self::Java => "java",
            Self::PythonHttpServer => "python http.server",
        }
    }

    /// The environment variables that its settings may come from.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Gunicorn => &["GUNICORN_CMD_ARGS", "PORT", "WEB_CONCURRENCY"],
            Self::Uvicorn => &[
                "UVICORN_HOST",
                "UVICORN_PORT",
                "UVICORN_UDS",
                "WEB_CONCURRENCY",
            ],
            Self::Uwsgi => &["UWSGI_DEB_CONFNAMESPACE", "UWSGI_DEB_CONFNAME"],
            _ => &[],
        }
    }

    /// The script or module that an interpreter runs.
    fn script<'a>(program: &[u8], args: &'a [Vec<u8>]) -> Option<Script<'a>> {
        // Options that take a value.
        let with_value: &[&[u8]] = if program.starts_with(b"ruby") {
            &[b"-I", b"-r", b"-C", b"-E"]
        } else {
            &[b"-W", b"-X"]
        };
        let mut rest = args.iter().skip(1).map(Vec::as_slice);
        while let Some(arg) = rest.next() {
            match arg {
                b"-m" => return rest.next().map(Script::Module),
                b"-c" | b"-e" => return None,
                _ if with_value.contains(&arg) => {
                    rest.next()?;
                }
                _ if arg.starts_with(b"-") => {}
                _ => return Some(Script::File(arg)),
            }
        }
        None
    }
}

enum Script<'a> {
    Module(&'a [u8]),
    File(&'a [u8]),
}

/// Titles that programs write over their command line.
fn by_title(title: &[u8]) -> Option<Kind> {
    const TITLES: [(&str, Kind); 8] = [
        ("gunicorn: ", Kind::Gunicorn),
        ("php-fpm: ", Kind::PhpFpm),
        ("puma ", Kind::Puma),
        ("puma: ", Kind::Puma),
        ("unicorn ", Kind::Unicorn),
        ("unicorn_rails ", Kind::Unicorn),
        ("uWSGI ", Kind::Uwsgi),
        ("hypercorn ", Kind::Hypercorn),
    ];
    let known = TITLES
        .iter()
        .find(|(start, _)| title.starts_with(start.as_bytes()));
    // Packagers add the version: `php8.2-fpm: pool www`.
    let is_fpm = || title.starts_with(b"php") && title.find("fpm: ").is_some_and(|at| at < 16);
    known
        .map(|&(_, kind)| kind)
        .or_else(|| is_fpm().then_some(Kind::PhpFpm))
}

fn by_program(name: &[u8]) -> Option<Kind> {
    Some(match name {
        b"gunicorn" | b"gunicorn3" | b"gunicorn.app.wsgiapp" => Kind::Gunicorn,
        b"uvicorn" => Kind::Uvicorn,
        b"hypercorn" => Kind::Hypercorn,
        b"uwsgi" | b"uwsgi-core" | b"pyuwsgi" => Kind::Uwsgi,
        b"node" | b"nodejs" => Kind::Node,
        b"puma" => Kind::Puma,
        b"unicorn" | b"unicorn_rails" => Kind::Unicorn,
        b"java" => Kind::Java,
        _ if name.starts_with(b"uwsgi_python") => Kind::Uwsgi,
        _ if name.starts_with(b"php-fpm") => Kind::PhpFpm,
        _ => return None,
    })
}

fn is_interpreter(program: &[u8]) -> bool {
    program.starts_with(b"python") || program.starts_with(b"pypy") || program.starts_with(b"ruby")
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_kind_is_told_by_its_command_line() {
        for (line, kind) in [
            (
                "/usr/bin/python3 /usr/bin/gunicorn -b :8000 app:app",
                Some(Kind::Gunicorn),
            ),
            (
                "/srv/venv/bin/python -u -W ignore /srv/venv/bin/gunicorn app:app",
                Some(Kind::Gunicorn),
            ),
            ("python3 -m gunicorn app:app", Some(Kind::Gunicorn)),
            ("gunicorn: master [shop]", Some(Kind::Gunicorn)),
            (
                "/srv/venv/bin/python3 /srv/venv/bin/uvicorn app:app --port 8000",
                Some(Kind::Uvicorn),
            ),
            ("python3 -I -m hypercorn app:app", Some(Kind::Hypercorn)),
            ("ruby -I lib /usr/bin/puma", Some(Kind::Puma)),
            (
                "/usr/bin/uwsgi-core --ini /etc/uwsgi/apps-enabled/shop.ini",
                Some(Kind::Uwsgi),
            ),
            ("uWSGI worker 1", Some(Kind::Uwsgi)),
            (
                "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)",
                Some(Kind::PhpFpm),
            ),
            ("php8.2-fpm: pool www", Some(Kind::PhpFpm)),
            ("/usr/sbin/php-fpm8.2 --nodaemonize", Some(Kind::PhpFpm)),
            ("node /srv/app/server.js", Some(Kind::Node)),
            ("puma 6.4.0 (tcp://0.0.0.0:3000) [shop]", Some(Kind::Puma)),
            (
                "ruby /usr/bin/unicorn -c /etc/unicorn.rb",
                Some(Kind::Unicorn),
            ),
            ("/usr/bin/java -jar shop.jar", Some(Kind::Java)),
            ("python3 -m http.server 8000", Some(Kind::PythonHttpServer)),
            ("python3 -c pass gunicorn", None),
            ("python3 /srv/app/serve.py gunicorn", None),
            ("/usr/bin/vim gunicorn.conf.py", None),
            ("/usr/bin/php /srv/x.php", None),
        ] {
            let args: Vec<Vec<u8>> =
                if line.contains(": ") || line.starts_with("puma ") || line.starts_with("uWSGI ") {
                    vec![line.as_bytes().to_vec()]
                } else {
                    line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect()
                };
            assert_eq!(Kind::recognise(&args), kind, "{line}");
        }
        assert_eq!(Kind::recognise(&[]), None);
    }

    proptest! {
        #[test]
        fn any_arguments_are_read_without_a_panic(args: Vec<Vec<u8>>) {
            Kind::recognise(&args);
            Kind::recognise(&[vec![b"python3".to_vec()], args].concat());
        }
    }
}
