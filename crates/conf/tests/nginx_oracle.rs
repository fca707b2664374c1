//! The real nginx as judge: small configurations, made here, are given to `nginx -T` and to this crate.
//!
//! * What nginx accepts has no trouble here, and the same files in the same order.
//! * What nginx refuses for its syntax has the same first trouble here: same words, same file, same line.
//! * What nginx refuses for other reasons (an unknown variable, a wrong value) says nothing about syntax; such cases
//!   are counted, lest the test grow hollow.

#![expect(
    clippy::expect_used,
    reason = "a test: what goes wrong here shall be seen"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use why502_conf::units::{parse_seconds, parse_size, parse_time};
use why502_conf::{Address, Configuration, Lookup, Model, Source, Target, Tree};

/// One configuration: its files, the main one being `nginx.conf`.
#[derive(Debug, Clone, Default)]
struct Case {
    files: BTreeMap<String, Vec<u8>>,
    globals: &'static str,
}

/// What nginx makes of a case.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The files it read.
    Accepted(Vec<PathBuf>),
    /// The first `[emerg]` line.
    Refused(String),
}

impl Case {
    fn main(text: impl AsRef<[u8]>) -> Self {
        Self::default().with("nginx.conf", text)
    }

    /// A main file with the usual frame; `@` stands for what the `http` block holds.
    fn http(text: impl AsRef<[u8]>) -> Self {
        let mut main = HEAD.as_bytes().to_vec();
        main.extend(b"http {\naccess_log off; client_body_temp_path .t1; proxy_temp_path .t2;\n");
        main.extend(b"fastcgi_temp_path .t3; uwsgi_temp_path .t4; scgi_temp_path .t5;\n");
        main.extend(text.as_ref());
        main.extend(b"\n}\n");
        Self::main(main)
    }

    fn server(text: impl AsRef<[u8]>) -> Self {
        let mut server = b"server { listen unix:DIR/s;\n".to_vec();
        server.extend(text.as_ref());
        server.extend(b"\n}");
        Self::http(server)
    }

    fn with(mut self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.to_owned(), text.as_ref().to_vec());
        self
    }

    fn globals(mut self, globals: &'static str) -> Self {
        self.globals = globals;
        self
    }

    /// Writes the files; `DIR` in them becomes the directory.
    fn write(&self, dir: &Path) {
        for (name, text) in &self.files {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            let text = bstr::ByteSlice::replace(text.as_slice(), "DIR", dir.as_os_str().as_bytes());
            fs::write(path, text).expect("a file");
        }
    }
}

const HEAD: &str = "pid nginx.pid; error_log stderr;\nevents { worker_connections 64; }\n";

/// The disk.
struct Disk;

impl Source for Disk {
    fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
        match fs::read(path) {
            Ok(bytes) => Lookup::Found(Arc::new(Tree::parse(bytes))),
            Err(error) => Lookup::Failed(error.raw_os_error().expect("an errno")),
        }
    }

    fn directory(&self, path: &Path) -> Lookup<Vec<Vec<u8>>> {
        match fs::read_dir(path) {
            Ok(entries) => {
                let names = entries.map(|entry| entry.expect("an entry").file_name());
                Lookup::Found(names.map(|name| name.as_bytes().to_vec()).collect())
            }
            Err(error) => Lookup::Failed(error.raw_os_error().expect("an errno")),
        }
    }
}

fn nginx(dir: &Path, globals: &str) -> Output {
    let mut command = Command::new("nginx");
    command
        .args(["-T", "-e", "stderr", "-p"])
        .arg(dir)
        .arg("-c")
        .arg(dir.join("nginx.conf"));
    if !globals.is_empty() {
        command.args(["-g", globals]);
    }
    command
        .output()
        .expect("this test needs the nginx program: apt-get install nginx")
}

/// nginx prints an offending byte as it is, this crate in ASCII.
fn readable(text: &[u8]) -> String {
    let shown = text.iter().map(|&byte| match byte {
        b' '..=b'~' | b'\n' => char::from(byte).to_string(),
        _ => byte.escape_ascii().to_string(),
    });
    shown.collect()
}

fn verdict(output: &Output) -> Verdict {
    let stderr = readable(&output.stderr);
    let refusal = stderr.lines().find_map(|line| {
        line.split_once("[emerg] ")
            .or_else(|| line.split_once("[crit] "))
    });
    if let Some((_, message)) = refusal {
        // Once the log is open, the line is that of a log: "[emerg] PID#TID: MESSAGE".
        let message = match message.split_once(": ") {
            Some((id, message)) if id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'#') => {
                message
            }
            _ => message,
        };
        return Verdict::Refused(message.to_owned());
    }
    assert!(
        output.status.success(),
        "nginx says neither yes nor why not: {stderr}"
    );
    let configuration = Configuration::from_dump(&output.stdout);
    let paths = configuration.files().iter().map(|file| file.path.clone());
    Verdict::Accepted(paths.collect())
}

fn is_about_syntax(message: &str) -> bool {
    let starts = [
        "unexpected ",
        "too long parameter",
        "open() ",
        "read() ",
        "pread() ",
        "block directives ",
        "unknown directive \"\\xef\\xbb\\xbf",
    ];
    let holds = ["is not terminated by \";\"", "has no opening \"{\""];
    starts.iter().any(|start| message.starts_with(start))
        || holds.iter().any(|part| message.contains(part))
}

/// Runs the cases; gives the number of those that nginx refused for other reasons than syntax.
fn run(cases: &[Case]) -> usize {
    let chunks = cases.chunks(cases.len().div_ceil(4).max(1));
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let run_chunk = |chunk: &[Case]| chunk.iter().map(Case::judge).collect::<Vec<_>>();
        let handles: Vec<_> = chunks
            .map(|chunk| scope.spawn(move || run_chunk(chunk)))
            .collect();
        handles
            .into_iter()
            .flat_map(|handle| handle.join().expect("all cases of a thread"))
            .collect()
    });
    let differ = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Differs(how) => Some(how.as_str()),
        Outcome::Agrees | Outcome::SaysNothing => None,
    });
    let differ: Vec<&str> = differ.collect();
    assert!(
        differ.is_empty(),
        "{} of {} cases differ\n{}",
        differ.len(),
        cases.len(),
        differ.join("\n\n")
    );
    outcomes
        .iter()
        .filter(|&outcome| *outcome == Outcome::SaysNothing)
        .count()
}

/// What comes of comparing.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Agrees,
    SaysNothing,
    Differs(String),
}

impl Case {
    fn judge(&self) -> Outcome {
        let held = tempfile::tempdir().expect("a directory");
        let dir = fs::canonicalize(held.path()).expect("its path");
        self.write(&dir);
        let output = nginx(&dir, self.globals);
        let ours = Configuration::assemble(
            &dir.join("nginx.conf"),
            &dir,
            self.globals.as_bytes(),
            &Disk,
        );
        assert!(ours.is_complete());
        Model::of(&ours);
        let own: Vec<PathBuf> = ours.files().iter().map(|file| file.path.clone()).collect();
        let first = ours
            .troubles()
            .first()
            .map(|trouble| readable(trouble.to_string().as_bytes()));
        match verdict(&output) {
            Verdict::Accepted(files) if first.is_none() && own == files => Outcome::Agrees,
            Verdict::Accepted(files) => {
                self.differs(&format!("nginx accepts {files:?}\nwe: {first:?} {own:?}"))
            }
            Verdict::Refused(message) if !is_about_syntax(&message) => Outcome::SaysNothing,
            Verdict::Refused(message) if first.as_deref() == Some(&message) => Outcome::Agrees,
            Verdict::Refused(message) if message.contains("\\xef\\xbb\\xbf") => {
                let place = message
                    .split_once(" in ")
                    .map(|(_, place)| place.to_owned());
                match (&first, place) {
                    (Some(first), Some(place)) if first.ends_with(&place) => Outcome::Agrees,
                    _ => self.differs(&format!("nginx: {message:?}\nwe:    {first:?}")),
                }
            }
            // nginx does not say which include led to a directory.
            Verdict::Refused(message)
                if message.starts_with("pread() ")
                    && first
                        .as_ref()
                        .is_some_and(|first| first.starts_with(&message)) =>
            {
                Outcome::Agrees
            }
            Verdict::Refused(message) => {
                self.differs(&format!("nginx: {message:?}\nwe:    {first:?}"))
            }
        }
    }

    fn differs(&self, how: &str) -> Outcome {
        let files = self.files.iter().map(|(name, text)| {
            let excerpt: String = text.escape_ascii().to_string().chars().take(600).collect();
            format!("--- {name} ({} bytes)\n{excerpt}\n", text.len())
        });
        let files: Vec<String> = files.collect();
        Outcome::Differs(format!("{how}\n-g {:?}\n{}", self.globals, files.concat()))
    }
}

/// Words in all ways of writing them, each a value nginx has no reason to refuse for its content.
const WORDS: &[&[u8]] = &[
    b"plain",
    b"\"double\"",
    b"'single'",
    b"\"\"",
    b"''",
    b"\"a b\"",
    b"'a b'",
    b"\"a;b\"",
    b"'a{b}c'",
    b"a\"b",
    b"a'b",
    b"a\"b c\"d",
    b"a#b",
    b"#a",
    b"\"#a\"",
    b"a\\ b",
    b"a\\;b",
    b"\\#a",
    b"\\\"a",
    b"a\\{b",
    b"a\\}b",
    b"a}b",
    b"}a",
    b"a{b",
    b"{a}",
    b"\"a\\\"b\"",
    b"'a\\'b'",
    b"\"a\\\\\"",
    b"a\\\\",
    b"\"a\\nb\"",
    b"a\\tb",
    b"\\n",
    b"${host}",
    b"a${host}b",
    b"\"${host}\"",
    b"$host",
    b"a$host",
    b"${host}${uri}",
    b"\"a\"b",
    b"'a'b",
    b"\"a\"\"b\"",
    b"\"a\")",
    b"\"a\"}",
    b"\"a\"#b",
    b"'a'\\b",
    b"\"unclosed",
    b"'unclosed",
    b"\"it's\"",
    b"'say \"x\"'",
    b"caf\xe9",
    b"caf\xc3\xa9",
    b"\xff\xfe",
    b"a\x01b",
    b"a\x7fb",
    b"a\\",
    b"(a|b)",
    b"[a-z]+",
    b"a,b",
    b"a=b",
    b"~x",
    b"@x",
    b"*",
    b"\"a\nb\"",
    b"'a\n\nb",
    b"a\rb",
    b"\x0ba",
    b"a\x0c",
    b"\"\\",
    b"\\",
    b"${host",
    b"${{host}",
    b"\"${\"",
    b"$",
];

fn with_word(before: &[u8], word: &[u8], after: &[u8]) -> Vec<u8> {
    [before, word, after].concat()
}

#[test]
fn words_are_read_alike() {
    let mut cases = Vec::new();
    for word in WORDS {
        cases.push(Case::server(with_word(b"set $x ", word, b";")));
        cases.push(Case::server(with_word(
            b"set $x\t",
            word,
            b" # rest\r\n ;\nset $y z;",
        )));
        cases.push(Case::server(with_word(
            b"location / { return 200\n",
            word,
            b"\n; }",
        )));
        cases.push(Case::http(with_word(
            b"map $uri $x {\n",
            word,
            b" 1;\nother 2; }",
        )));
        cases.push(Case::server(with_word(b"location ", word, b"{ }")));
    }
    let others = run(&cases);
    assert!(
        others < cases.len() / 6,
        "{others} of {} cases say nothing",
        cases.len()
    );
}

#[test]
fn structure_is_read_alike() {
    let mut cases: Vec<Case> = [
        // Empty and nearly so.
        "",
        "\n",
        "#",
        "# no line end",
        ";",
        "{",
        "}",
        "\\",
        "\"",
        "events",
        "events {",
        "events { }",
        "events {}\n}",
        "events {} ;",
        "events { } http { } # end",
        "events {}\r\nhttp {\r\n}\r\n",
        "events {}http{}",
        "events {};;",
        "events\n{\n}\n",
        "events # comment {\n{ # }\n}",
        "events {{}}",
        "events {} {}",
        "events { # }",
        "\u{feff}",
    ]
    .map(Case::main)
    .to_vec();
    cases.extend(
        [
            "server { listen unix:DIR/s", "server { listen unix:DIR/s }", "server { listen unix:DIR/s; ", "server ; ",
            "server { listen unix:DIR/s; location / { }", "server { listen unix:DIR/s; location / }",
            "server { listen unix:DIR/s; location / ;}", "server { listen unix:DIR/s; } }", "upstream u;",
            "server { listen unix:DIR/s; root /x\n location / { } }", "server { listen unix:DIR/s {} }",
            "server {\n\n listen unix:DIR/s;\n\n location / {\n\n root /x\n\n }\n}",
            "server {\n listen unix:DIR/s;\n root\n /x\n {\n} }", "map $uri $x { a 1 }", "map $uri $x { a 1; { } }",
            "map $uri $x { a { } }", "map $uri $x { default 0; ~*\\.php$ 1; \"~(?<n>a b)\" $n; volatile; }",
            "map $uri $x { server 1; location 2; http 3; }", "map $uri $x { 'include' 1; }", "types { text/x x y; }",
            "types { text/x x { } }", "types { server s; }", "geo $g { default 0; 127.0.0.0/8 1; }",
            "geo $g { ranges; 127.0.0.0-127.0.0.255 1; }", "geo $g { default 0", "geo $g { 127.0.0.1 }", "geo $g { a { } }",
            "split_clients $uri $s { 50% a; * b; }", "split_clients $uri $s { 50% a; * b }",
            "split_clients $uri $s { 50% { } }", "charset_map koi8-r utf-8 { C0 D18E ; }",
            "charset_map koi8-r utf-8 { C0 { } }", "upstream u { server 127.0.0.1:1 weight=2 max_fails=0; server unix:/x backup; }",
            "upstream u { server 127.0.0.1:1 {} }", "upstream u { server 127.0.0.1:1 }", "upstream u { zone u 64k; keepalive 2; server 127.0.0.1:1; }",
            "upstream u { server 127.0.0.1:1; } server { listen unix:DIR/s; location / { proxy_pass http://u/x; } }",
            "server { listen unix:DIR/s; if ($uri ~ \"a{2}\") { return 404; } }",
            "server { listen unix:DIR/s; if ($uri ~ a{2}) { return 404; } }",
            "server { listen unix:DIR/s; if ($uri = \"a\") { return 404; } }",
            "server { listen unix:DIR/s; if ($uri = \"a\" ) { return 404; } }",
            "server { listen unix:DIR/s; if ($uri = \"a\"x) { return 404; } }",
            "server { listen unix:DIR/s; if ($uri = \"a\"\n){return 404;}}", "server { listen unix:DIR/s; if ($uri); }",
            "server { listen unix:DIR/s; location ~ ^/[0-9]{4}/ { } }", "server { listen unix:DIR/s; location ~ \"^/[0-9]{4}/\" { } }",
            "server { listen unix:DIR/s; location ~ ^/a\\.b$ { } location = / {} location ^~ /s/ {} location ~* \\.(jpg|png)$ {} location @n { } }",
            "server { listen unix:DIR/s; location /a { location /a/b { location ~ c { limit_except GET { deny all; } } } } }",
            "server { listen unix:DIR/s; location /a { limit_except GET; } }", "server { listen unix:DIR/s; rewrite ^/(.*)$ /$1 last; }",
            "server { listen unix:DIR/s; rewrite ^/(.{2})$ /$1 last; }", "server { listen unix:DIR/s; rewrite \"^/(.{2})$\" /$1 last; }",
            "log_format f '$uri \"$host\"' ' more' \"and $status\";", "log_format f escape=json '{\"a\":\"$uri\"}';",
            "log_format f '$uri' ;\nlog_format g '", "add_header X \"a;b\" always; add_header Y 'a\"b';",
            "proxy_set_header Host $host\n;proxy_set_header X \"\";", "\"server\" { listen unix:DIR/s; }", "'server_tokens' off;",
            "server_tokens off; # } ; { \"\n", "# \"unclosed\nserver_tokens off;", "server_tokens off;# tight\n", "server_tokens\noff\n;",
            "server_tokens off", "server_tokens {", "server_tokens \"off\"; }", "{ }", "; server_tokens off;", "server_tokens off;;",
            "include;", "include { }", "include a b;", "server_names_hash_bucket_size 64 { }",
            "fastcgi_param A b; fastcgi_param C \"d e\" if_not_empty;", "server { listen unix:DIR/s; location / { fastcgi_pass unix:/x; include\n\"p\"; } }",
        ]
        .map(Case::http),
    );
    cases.extend(
        [
            "daemon off;",
            "daemon off",
            "daemon {",
            "events {}",
            "daemon \"off",
            "daemon off; worker_processes 2;",
            "}",
            ";",
            "# x",
            "env A=b; ",
        ]
        .map(|globals| Case::http("").globals(globals)),
    );
    let others = run(&cases);
    assert!(
        others < cases.len() / 6,
        "{others} of {} cases say nothing",
        cases.len()
    );
}

/// A `types` block takes rows of any number of any words: what random bytes do there is a matter of syntax alone.
#[test]
fn random_bytes_are_read_alike() {
    const PIECES: &[&str] = &[
        "a",
        "b ",
        " ",
        ";",
        "; ",
        ";\n",
        "{",
        "}",
        "\"",
        "\"",
        "'",
        "'",
        "\\",
        "\\\"",
        "#",
        " #",
        "$",
        "${",
        "\n",
        "\r\n",
        "\t",
        ")",
        "\" ",
        "' ",
        "\";",
        "';",
        "\")",
        "x y;",
        "\"x y\";",
        "'x;y' z;\n",
        "é",
        "\u{b}",
        "}\n",
        "# x\n",
        "\\;",
        "\\ ",
    ];
    // A linear congruential generator: every run tries the same.
    let mut state = 502_u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let mut random = || -> String { (0..=next(24)).map(|_| PIECES[next(PIECES.len())]).collect() };
    let cases: Vec<Case> = (0..300)
        .flat_map(|_| {
            let text = random();
            let included = Case::http("types { include rows; }").with("rows", &text);
            [Case::http(format!("types {{\n{text}\n}}")), included]
        })
        .collect();
    let others = run(&cases);
    assert!(
        others < cases.len() / 6,
        "{others} of {} cases say nothing",
        cases.len()
    );
}

/// nginx reads through a buffer of 4096 bytes that no word may fill; where exactly it ends is easily got wrong.
#[test]
fn long_words_are_refused_alike() {
    let mut cases = Vec::new();
    for len in (4088..4102).chain([1, 5000, 8190, 8192, 9000]) {
        let text = "x".repeat(len);
        for around in [
            "set $x @;",
            "set $x @ ;",
            "set $x \"@\";",
            "set $x '@' ;",
            "# @\nset $x y;",
            "set $x y; # @",
            "set $x \"@\n;",
            "set $x '@",
            "set $x @",
        ] {
            cases.push(Case::server(around.replace('@', &text)));
        }
        cases.push(Case::server(format!("{}set $x y;", " ".repeat(len))));
        cases.push(Case::server(format!("set $x{}y;", "\n".repeat(len))));
        // The file ends with the word.
        cases.push(Case::main(format!("# {text}")));
        cases.push(Case::main(format!("{HEAD}# {text}\n")));
        cases.push(Case::main(format!("\"{text}")));
        cases.push(Case::main(text.clone()));
    }
    run(&cases);
}

#[test]
fn includes_are_followed_alike() {
    let server = "server { listen unix:DIR/NAME; }";
    let mut cases = vec![
        Case::http("include a.conf;").with("a.conf", server.replace("NAME", "a")),
        Case::http("include DIR/a.conf;").with("a.conf", server.replace("NAME", "a")),
        Case::http("include \"a.conf\";").with("a.conf", server.replace("NAME", "a")),
        Case::http("include ./a.conf;").with("a.conf", ""),
        Case::http("include d/../a.conf;")
            .with("a.conf", "")
            .with("d/x", ""),
        Case::http("include none.conf;"),
        Case::http("\n\ninclude\n none.conf\n;"),
        Case::http("include none/*.conf;"),
        Case::http("include d;").with("d/x", ""),
        Case::http("include d/*;")
            .with("d/x", "")
            .with("d/sub/y", ""),
        Case::http("include d/*.conf;")
            .with("d/b.conf", "")
            .with("d/a.conf", "")
            .with("d/B.conf", "")
            .with("d/.hidden.conf", "broken {")
            .with("d/c.conf~", "broken {")
            .with("d/10.conf", "")
            .with("d/9.conf", ""),
        Case::http("include d/.*.conf;")
            .with("d/.h.conf", "")
            .with("d/v.conf", "broken {"),
        Case::http("include */x.conf;")
            .with("a/x.conf", "")
            .with("a-b/x.conf", "")
            .with("b/y.conf", "")
            .with("f", ""),
        Case::http("include */*/*.conf;")
            .with("a/b/x.conf", "")
            .with("a-/b/x.conf", "")
            .with("a/c/y.conf", ""),
        Case::http("include [ab].conf;")
            .with("a.conf", "")
            .with("b.conf", "")
            .with("c.conf", "broken {"),
        Case::http("include [!ab].conf;")
            .with("a.conf", "broken {")
            .with("c.conf", ""),
        Case::http("include ?.conf;")
            .with("a.conf", "")
            .with("ab.conf", "broken {"),
        Case::http("include [a.conf;").with("[a.conf", ""),
        Case::http("include [a.conf;"),
        Case::http("include a\\*.conf;")
            .with("a*.conf", "")
            .with("ab.conf", "broken {"),
        Case::http("include {a,b}.conf;").with("a.conf", ""),
        Case::http("include '{a,b}.conf';").with("a.conf", ""),
        Case::http("include ~/a.conf;"),
        Case::http("include a.conf; include a.conf;")
            .with("a.conf", "include b.conf;")
            .with("b.conf", ""),
        Case::http("include d/*.conf; include d/a.conf;")
            .with("d/a.conf", "")
            .with("d/b.conf", ""),
        Case::http("include d/a.conf;")
            .with("d/a.conf", "include b.conf;")
            .with("b.conf", "")
            .with("d/b.conf", "broken {"),
        Case::http("include d/a.conf;")
            .with("d/a.conf", "include b.conf;")
            .with("d/b.conf", ""),
        Case::server("include a.conf;")
            .with("a.conf", "location / { include b.conf; }")
            .with("b.conf", "return 204;"),
        Case::server("location / { include p; }")
            .with("p", "proxy_set_header X y; if ($uri) { include q; }")
            .with("q", "return 204;"),
        Case::http("upstream u { include u.conf; }")
            .with("u.conf", "server 127.0.0.1:1;\nserver 127.0.0.1:2;"),
        Case::http("upstream u { include u.conf; }").with("u.conf", "server 127.0.0.1:1 { }"),
        Case::http("map $uri $x { include m*; }")
            .with("m1", "a 1;\nserver 2;")
            .with("m2", "b 2;"),
        Case::http("map $uri $x { include m; }").with("m", "a 1\nb 2"),
        Case::http("map $uri $x { include m; }").with("m", "a 1; }"),
        Case::http("map $uri $x { include m; }").with("m", "a { 1; }"),
        Case::http("map $uri $x { include none; }"),
        Case::http("types { include t; }").with("t", "text/x x;"),
        Case::http("types { include t*; }")
            .with("t1", "text/x x;")
            .with("t2", "text/y y;"),
        Case::http("geo $g { include g; }").with("g", "127.0.0.1 1;"),
        Case::http("geo $g { include g*; }").with("g", "127.0.0.1 1;"),
        Case::http("geo $g { include g; }"),
        Case::http("geo $g { ranges; include g; }").with("g", "127.0.0.1-127.0.0.2 1;"),
        Case::http("split_clients $uri $s { include s; * b; }").with("s", "5% a;"),
        Case::http("charset_map koi8-r utf-8 { include c; }").with("c", "C0 D18E;"),
        Case::http("include a.conf;").with("a.conf", "server { listen unix:DIR/s;"),
        Case::http("include a.conf;").with("a.conf", "server { listen unix:DIR/s; } }"),
        Case::http("include a.conf;").with("a.conf", "server_tokens off"),
        Case::http("include a.conf;").with("a.conf", "\n\nserver_tokens \"off;\n"),
        Case::http("include a.conf;\nbroken").with(
            "a.conf",
            "# configuration file /etc/passwd:\nserver_tokens off;\n",
        ),
        Case::http("include a.conf;\ninclude b.conf;")
            .with(
                "a.conf",
                "# configuration file DIR/b.conf:\nserver_tokens off;\n",
            )
            .with("b.conf", "# b"),
        Case::http(
            "# configuration file DIR/a.conf:\ninclude a.conf;\n# configuration file DIR/a.conf:",
        )
        .with("a.conf", "# configuration file DIR/nginx.conf:\n"),
        Case::main(format!("{HEAD}include http.conf;"))
            .with("http.conf", "http {\n access_log off;\n}\n"),
        Case::main(format!("{HEAD}include http.conf;")).with("http.conf", "http {\n"),
        Case::main("include a.conf;\nhttp {}")
            .with("a.conf", format!("{HEAD}include b.conf;"))
            .with("b.conf", ""),
        Case::http("include empty.conf;").with("empty.conf", ""),
        Case::http("include crlf.conf;").with(
            "crlf.conf",
            "server_tokens off;\r\n# x\r\nserver {\r\n listen unix:DIR/s;\r\n}\r\n",
        ),
        Case::http("include bom.conf;").with("bom.conf", "\u{feff}server_tokens off;"),
        Case::http("include bom.conf;").with("bom.conf", "\u{feff}"),
        Case::http("include bom.conf;")
            .with("bom.conf", "\u{feff}# server\n{ listen unix:DIR/s; }"),
        Case::http("include bom.conf;").with("bom.conf", "\u{feff}# comment\nserver_tokens off;"),
    ];
    // The same pattern over several sets of names.
    for names in [
        &["a", "b"][..],
        &["Z", "a", "_", "~", "0"],
        &["x.conf", "x-y.conf", "x_y.conf", "x"],
        &["\u{e9}", "e", "z"],
    ] {
        for pattern in [
            "d/*",
            "d/?",
            "d/[a-z]",
            "d/x*",
            "d/[!x]*",
            "d/*.conf",
            "d/[[:alpha:]]*",
            "*/*",
        ] {
            let case = Case::http(format!("include {pattern};"));
            cases.push(
                names
                    .iter()
                    .fold(case, |case, name| case.with(&format!("d/{name}"), "")),
            );
        }
    }
    run(&cases);
}

/// Values are refused with other words than syntax; which are refused is the same.
#[test]
fn times_and_sizes_are_read_alike() {
    let times = [
        "0",
        "1",
        "60s",
        "1m",
        "1m30s",
        "1m30",
        "500ms",
        "1s500ms",
        "1h",
        "1d",
        "1w",
        "1M",
        "1y",
        "1y1M1w1d1h1m1s1ms",
        "30s1m",
        "1s1s",
        "1ms1s",
        "ms",
        "s",
        "1x",
        "-1",
        "1.5s",
        "1m\\ 30s",
        "'1m 30s'",
        "'1m  30s'",
        "' 1m'",
        "'1m '",
        "''",
        "1S",
        "1MS",
        "1D",
        "01s",
        "'1 m'",
        "'1 1'",
        "'1 1s'",
        "1m1",
        "1ms1",
        "1s1",
        "24d",
        "25d",
        "99999999999999999999s",
    ];
    let sizes = [
        "0",
        "1",
        "1k",
        "1K",
        "1m",
        "1M",
        "1g",
        "1G",
        "1kb",
        "k",
        "-1",
        "1.5k",
        "''",
        "' 1'",
        "1t",
        "010",
        "99999999999999999999",
    ];
    let seconds = [
        "10", "10s", "1m", "1M", "1y", "1y1M", "1M1y", "500ms", "1s500ms", "1s1", "s",
    ];
    let value_of = |text: &str| {
        let tree = Tree::parse(format!("x {text};").into_bytes());
        tree.directives()
            .next()
            .and_then(|x| x.value(0))
            .map(|value| value.to_vec())
            .expect("a value")
    };
    let times = times.map(|text| {
        (
            "proxy_read_timeout @;",
            text,
            parse_time(&value_of(text)).is_some(),
        )
    });
    let sizes = sizes.map(|text| {
        (
            "client_max_body_size @;",
            text,
            parse_size(&value_of(text)).is_some(),
        )
    });
    let line = "upstream u { server 127.0.0.1:1 fail_timeout=@; }";
    let seconds = seconds.map(|text| (line, text, parse_seconds(text.as_bytes()).is_some()));
    for (line, text, read) in times.into_iter().chain(sizes).chain(seconds) {
        let dir = tempfile::tempdir().expect("a directory");
        Case::http(line.replace('@', text)).write(dir.path());
        let output = nginx(dir.path(), "");
        assert_eq!(
            output.status.success(),
            read,
            "{line} {text}: {}",
            readable(&output.stderr)
        );
    }
}

/// Literal addresses only: names would be looked up.
#[test]
fn literal_addresses_are_read_alike() {
    let servers = [
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:08",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65535",
        "127.0.0.1:65536",
        "127.0.0.1:80/",
        "127.0.0.1/x",
        "127.0.0.1:x",
        "010.0.0.1:80",
        "[::1]",
        "[::1]:80",
        "[::1",
        "[::1]80",
        "[::g]:80",
        "[]:80",
        "[::ffff:1.2.3.4]:80",
        "[1:2:3:4:5:6:7:8]:80",
        "[1:2:3:4:5:6:7:8:9]:80",
        "unix:/x",
        "UNIX:/x",
        "unix:",
        "unix:/x:/y",
        ":80",
        "''",
        "127.0.0.1:99999999999999999999",
    ];
    for text in servers {
        let value = text.trim_matches('\'').as_bytes();
        let line = format!("upstream u {{ server {text}; }}");
        let read = Address::parse(value, Some(80)).is_some();
        assert_eq!(accepts(&line), read, "{line}");
    }
    let passes = [
        "proxy_pass http://127.0.0.1",
        "proxy_pass http://127.0.0.1:80/",
        "proxy_pass http://127.0.0.1/x:y",
        "proxy_pass http://127.0.0.1?x",
        "proxy_pass HTTP://[::1]:1/x",
        "proxy_pass http://unix:/x",
        "proxy_pass http://unix:/x:/y",
        "proxy_pass http://unix:",
        "proxy_pass 127.0.0.1:1",
        "proxy_pass http://",
        "proxy_pass http://:80",
        "proxy_pass https://127.0.0.1:0",
        "fastcgi_pass 127.0.0.1",
        "fastcgi_pass 127.0.0.1:1",
        "fastcgi_pass 127.0.0.1:1/x",
        "fastcgi_pass unix:/x:/y",
        "fastcgi_pass u",
        "uwsgi_pass uwsgi://127.0.0.1:1",
        "uwsgi_pass suwsgi://127.0.0.1:1",
        "uwsgi_pass 127.0.0.1:1",
        "uwsgi_pass http://127.0.0.1:1",
        "scgi_pass scgi://127.0.0.1:1",
        "scgi_pass 127.0.0.1:1",
        "scgi_pass 127.0.0.1",
        "grpc_pass 127.0.0.1",
        "grpc_pass grpc://127.0.0.1:1",
        "grpc_pass grpcs://[::1]",
        "grpc_pass grpc://127.0.0.1/x",
        "grpc_pass u",
        "memcached_pass 127.0.0.1:1",
        "memcached_pass 127.0.0.1",
        "memcached_pass u",
        "proxy_pass http://u",
        "proxy_pass http://U/x",
        "proxy_pass http://u:80",
        "grpc_pass grpc://u",
    ];
    for pass in passes {
        let text = format!(
            "upstream u {{ server 127.0.0.1:1; }} server {{ listen unix:DIR/s; set $memcached_key k; location / {{ {pass}; }} }}"
        );
        let tree = Tree::parse(format!("http {{ {text} }}").into_bytes());
        let model = Model::of(&Configuration::fragment(Path::new("/c"), &Arc::new(tree)));
        let target = &model.passes().first().expect("a pass").target;
        let read = !matches!(target, Target::Unreadable(_));
        assert_eq!(accepts(&text), read, "{pass}: {target:?}");
    }
}

fn accepts(http: &str) -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    Case::http(http).write(dir.path());
    nginx(dir.path(), "").status.success()
}

/// nginx itself goes round until it has no descriptors left; the trouble here names the circle.
#[test]
fn circular_includes_are_troubles() {
    for case in [
        Case::http("include nginx.conf;"),
        Case::http("include a;")
            .with("a", "include b;")
            .with("b", "\ninclude a;"),
        Case::http("include a*;").with("a", "include a;"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        case.write(dir.path());
        let ours = Configuration::assemble(&dir.path().join("nginx.conf"), dir.path(), b"", &Disk);
        assert!(
            ours.troubles()[0].message.contains("circle"),
            "{:?}",
            ours.troubles()
        );
        assert!(!nginx(dir.path(), "").status.success());
    }
}

/// `stream` is a module of its own, which need not be installed: only then nginx can judge.
#[test]
fn streams_are_read_alike() {
    let module = [
        "/usr/lib/nginx/modules/ngx_stream_module.so",
        "/usr/share/nginx/modules/ngx_stream_module.so",
    ];
    let Some(module) = module.iter().find(|path| Path::new(path).exists()) else {
        return;
    };
    let stream = |text: &str| {
        Case::main(format!(
            "load_module {module};\n{HEAD}stream {{\n{text}\n}}\n"
        ))
    };
    let cases = [
        stream("server { listen unix:DIR/s; proxy_pass 127.0.0.1:1; }"),
        stream("upstream u { server 127.0.0.1:1; } server { listen unix:DIR/s; proxy_pass u; }"),
        stream("upstream u { server 127.0.0.1:1 }"),
        stream(
            "map $remote_addr $x { default 127.0.0.1:1; } server { listen unix:DIR/s; proxy_pass $x; }",
        ),
        stream("server { listen unix:DIR/s; proxy_pass 127.0.0.1:1 }"),
        stream("server { listen unix:DIR/s; proxy_pass 127.0.0.1:1; proxy_timeout 1s { } }"),
        stream("server ;"),
        stream("include d/*;").with("d/a", "server { listen unix:DIR/s; return x; }"),
    ];
    assert_eq!(run(&cases), 0);
}

/// What Debian installs, read in place and, moved to a directory of its own, by nginx.
#[test]
fn the_installed_configuration_is_read_alike() {
    let mut case = Case::default();
    let mut dirs = vec![PathBuf::from("/etc/nginx")];
    let mut names = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("nginx's configuration: apt-get install nginx") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let Ok(bytes) = fs::read(&path) else { continue };
            let tree = Tree::parse(bytes.clone());
            assert_eq!(tree.troubles(), [], "{}", path.display());
            assert_eq!(tree.source(), bytes);
            let name = path
                .strip_prefix("/etc/nginx")
                .expect("within")
                .to_str()
                .expect("UTF-8")
                .to_owned();
            if name.starts_with("modules-enabled") {
                continue;
            }
            let moved = [
                ("/etc/nginx/", ""),
                ("/run/nginx.pid", "nginx.pid"),
                ("/var/log/nginx/", ""),
            ];
            let text = moved.iter().fold(bytes, |text, (from, to)| {
                bstr::ByteSlice::replace(text.as_slice(), from, to)
            });
            case = case.with(&name, text);
            names.push(name);
        }
    }
    assert!(names.iter().any(|name| name == "nginx.conf"));
    let mut cases = vec![case.clone()];
    for name in [
        "koi-utf",
        "koi-win",
        "win-utf",
        "mime.types",
        "fastcgi.conf",
        "proxy_params",
        "uwsgi_params",
        "scgi_params",
    ] {
        if let Some(text) = case.files.get(name) {
            cases.push(Case::http(format!("include {name};")).with(name, text));
        }
    }
    run(&cases);
}
