//! What a process is to nginx, and the arguments it was started with.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use bstr::ByteSlice as _;

/// The names that nginx and its derivatives put before their titles.
const TITLES: [&[u8]; 4] = [b"nginx: ", b"angie: ", b"openresty: ", b"freenginx: "];
/// The names of their binaries.
const BINARIES: [&[u8]; 6] = [
    b"nginx",
    b"nginx-debug",
    b"angie",
    b"openresty",
    b"tengine",
    b"freenginx",
];

/// What a process is to nginx (`ngx_setproctitle`, src/os/unix/ngx_process_cycle.c).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NginxRole {
    /// The master, with the arguments it was started with.
    Master(NginxArgs),
    /// A worker.
    Worker {
        /// Whether it only finishes what it has: it runs the configuration before the last reload.
        is_shutting_down: bool,
    },
    /// The cache manager or loader, or OpenResty's privileged agent.
    Other,
    /// Under its own name: the only process (`master_process off`), or one that is about to become a master.
    Single(NginxArgs),
}

/// nginx's arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NginxArgs {
    /// The program, as it was called.
    pub program: Vec<u8>,
    /// `-p`: the prefix.
    pub prefix: Option<PathBuf>,
    /// `-c`: the configuration file, relative to the prefix.
    pub config: Option<PathBuf>,
    /// `-e`: the error log until the configuration is read.
    pub error_log: Option<PathBuf>,
    /// `-g`: directives of the main context.
    pub directives: Option<Vec<u8>>,
    /// Whether it is a call that ends by itself: `-s`, `-t`, `-T`, `-v`, `-V`, `-h`.
    pub is_command: bool,
}

impl NginxRole {
    pub(super) fn of(args: &[Vec<u8>]) -> Option<Self> {
        let first = args.first()?;
        if let Some(title) = TITLES.iter().find_map(|name| first.strip_prefix(*name)) {
            return Some(Self::of_title(title));
        }
        let program = first.rsplit(|&byte| byte == b'/').next()?;
        if !BINARIES.contains(&program) {
            return None;
        }
        let args = NginxArgs::parse(args);
        (!args.is_command).then_some(Self::Single(args))
    }

    /// Angie adds its generation and version: `worker process #6`, `master process v1.7.0 #6 [/usr/sbin/angie -c F]`.
    fn of_title(title: &[u8]) -> Self {
        if let Some(args) = title.strip_prefix(b"master process") {
            return Self::Master(NginxArgs::parse_title(args));
        }
        if title.starts_with(b"worker process") {
            return Self::Worker {
                is_shutting_down: title.contains_str("is shutting down"),
            };
        }
        Self::Other
    }
}

impl NginxArgs {
    /// The options that another call of the program needs to speak of the same configuration, each with its value.
    pub fn options(&self) -> Vec<Vec<u8>> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        let all = [
            (b"-p", self.prefix.as_ref().map(path)),
            (b"-c", self.config.as_ref().map(path)),
            (b"-e", self.error_log.as_ref().map(path)),
            (b"-g", self.directives.clone()),
        ];
        all.into_iter()
            .filter_map(|(letter, value)| Some([letter.to_vec(), value?]))
            .flatten()
            .collect()
    }

    /// Reads arguments as `ngx_get_options` (src/core/nginx.c) does: letters may stand together, and a value may be
    /// glued to its letter.
    fn parse(args: &[Vec<u8>]) -> Self {
        let mut args = args.iter();
        let mut parsed = Self {
            program: args.next().cloned().unwrap_or_default(),
            ..Self::default()
        };
        while let Some(arg) = args.next() {
            let mut letters = arg.strip_prefix(b"-").unwrap_or_default();
            while let Some((&letter, rest)) = letters.split_first() {
                letters = rest;
                if takes_value(letter) {
                    let value = if rest.is_empty() {
                        args.next().cloned()
                    } else {
                        Some(rest.to_vec())
                    };
                    parsed.set(letter, value);
                    break;
                }
                parsed.set(letter, None);
            }
        }
        parsed
    }

    /// Reads the arguments in a master's title. It has lost the quotes: the value of `-g` runs to the next option.
    fn parse_title(title: &[u8]) -> Self {
        let title = title.trim();
        let called = match title.split_once_str("[") {
            Some((version, called)) if version.starts_with(b"v") => {
                called.trim_end_with(|c| c == ']')
            }
            _ => title,
        };
        let mut args: Vec<Vec<u8>> = Vec::new();
        let mut in_directives = false;
        for word in called.split_str(" ") {
            if in_directives && !is_option(word) {
                match args.last_mut() {
                    Some(directives) if directives != b"-g" => {
                        directives.push(b' ');
                        directives.extend_from_slice(word);
                    }
                    _ => args.push(word.to_vec()),
                }
            } else if in_directives || !word.is_empty() {
                in_directives = word == b"-g";
                args.push(word.to_vec());
            }
        }
        Self::parse(&args)
    }

    fn set(&mut self, letter: u8, value: Option<Vec<u8>>) {
        let path = || {
            value
                .clone()
                .map(|path| PathBuf::from(OsString::from_vec(path)))
        };
        match letter {
            b'c' => self.config = path(),
            b'p' => self.prefix = path(),
            b'e' => self.error_log = path(),
            b'g' => self.directives = value,
            b's' | b't' | b'T' | b'v' | b'V' | b'h' | b'?' => self.is_command = true,
            _ => {}
        }
    }
}

fn takes_value(letter: u8) -> bool {
    matches!(letter, b'c' | b'p' | b'e' | b'g' | b's')
}

/// An option as people and units write it; only these end a `-g` in a title.
fn is_option(word: &[u8]) -> bool {
    matches!(
        word,
        [
            b'-',
            b'c' | b'p' | b'e' | b'g' | b's' | b't' | b'T' | b'q' | b'v' | b'V' | b'h' | b'?'
        ]
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn role(args: &[&str]) -> Option<NginxRole> {
        NginxRole::of(
            &args
                .iter()
                .map(|arg| arg.as_bytes().to_vec())
                .collect::<Vec<_>>(),
        )
    }

    fn master(title: &str) -> NginxArgs {
        match role(&[title]) {
            Some(NginxRole::Master(args)) => args,
            other => panic!("{title}: {other:?}"),
        }
    }

    #[test]
    fn roles_are_told_by_their_titles() {
        let worker = |is_shutting_down| Some(NginxRole::Worker { is_shutting_down });
        for (title, expected) in [
            ("nginx: worker process", worker(false)),
            ("nginx: worker process is shutting down", worker(true)),
            ("angie: worker process #6", worker(false)),
            ("nginx: cache manager process", Some(NginxRole::Other)),
            ("nginx: cache loader process", Some(NginxRole::Other)),
            ("nginx: privileged agent process", Some(NginxRole::Other)),
            ("php-fpm: pool www", None),
            ("nginx-exporter", None),
            ("", None),
        ] {
            assert_eq!(role(&[title]), expected, "{title}");
        }
        assert_eq!(NginxRole::of(&[]), None);
    }

    #[test]
    fn a_masters_arguments_are_read_from_its_title() {
        let args = master("nginx: master process /usr/sbin/nginx -g daemon on; master_process on;");
        assert_eq!(args.program, b"/usr/sbin/nginx");
        assert_eq!(
            args.directives.as_deref(),
            Some(&b"daemon on; master_process on;"[..])
        );
        assert_eq!(args.config, None);

        let args = master(
            "nginx: master process nginx -g daemon off; user x; -c /etc/n.conf -p /srv/ -e stderr",
        );
        assert_eq!(
            args.directives.as_deref(),
            Some(&b"daemon off; user x;"[..])
        );
        assert_eq!(args.config.as_deref(), Some("/etc/n.conf".as_ref()));
        assert_eq!(args.prefix.as_deref(), Some("/srv/".as_ref()));
        assert_eq!(args.error_log.as_deref(), Some("stderr".as_ref()));

        assert_eq!(master("nginx: master process nginx").program, b"nginx");
        assert_eq!(master("nginx: master process").program, b"");
        let glued = master("nginx: master process nginx -c/etc/n.conf");
        assert_eq!(glued.config.as_deref(), Some("/etc/n.conf".as_ref()));
    }

    #[test]
    fn angies_title_holds_version_and_generation() {
        let args = master(
            "angie: master process v1.11.5 PRO #1 [/usr/sbin/angie -c /etc/angie/angie.conf]",
        );
        assert_eq!(args.program, b"/usr/sbin/angie");
        assert_eq!(
            args.config.as_deref(),
            Some("/etc/angie/angie.conf".as_ref())
        );
    }

    #[test]
    fn a_lone_process_keeps_its_command_line_and_a_control_call_is_none() {
        let Some(NginxRole::Single(args)) =
            role(&["/usr/sbin/nginx", "-g", "daemon off; master_process off;"])
        else {
            panic!("not recognised");
        };
        assert_eq!(
            args.directives.as_deref(),
            Some(&b"daemon off; master_process off;"[..])
        );
        assert_eq!(role(&["nginx", "-s", "reload"]), None);
        assert_eq!(role(&["nginx", "-tq"]), None);
        assert_eq!(role(&["/usr/bin/vim", "nginx.conf"]), None);
    }

    proptest! {
        #[test]
        fn any_arguments_are_read_without_a_panic(args: Vec<Vec<u8>>, title: Vec<u8>) {
            NginxRole::of(&args);
            NginxRole::of(&[[&b"nginx: master process "[..], &title].concat()]);
            NginxRole::of(&[vec![b"nginx".to_vec()], args].concat());
        }

        #[test]
        fn what_a_master_was_given_is_read_back(config in "/[a-z]{1,9}", directives in "[a-z]{1,5} [a-z]{1,5};( [a-z]{1,5} [a-z]{1,5};)?") {
            let args = master(&format!("nginx: master process nginx -g {directives} -c {config}"));
            prop_assert_eq!(args.directives, Some(directives.into_bytes()));
            prop_assert_eq!(args.config, Some(PathBuf::from(config)));
        }
    }
}
