//! A configuration out of one text: what `nginx -T` printed, or a lone file whose place has to be guessed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};

use crate::glob;
use crate::include::{Configuration, Lookup, Source, full_name, path_of, with_slash};
use crate::model::ContextKind;
use crate::tree::{Tree, Trouble};

const MARKER: &[u8] = b"# configuration file ";

impl Configuration {
    /// Reads the output of `nginx -T`; any other text is taken for a lone file named `-`.
    ///
    /// A comment can look like nginx's marker of a new file: it is taken for one only where a file may end and
    /// where the files so far include that path.
    pub fn from_dump(dump: &[u8]) -> Self {
        let mut lines = Lines { text: dump, at: 0 };
        let first = lines.by_ref().find(|line| !is_preamble(line.text));
        let Some((path, start)) = first.and_then(|line| Some((marked_path(line.text)?, line.end)))
        else {
            return Self::fragment(Path::new("-"), &Arc::new(Tree::parse(dump.to_vec())));
        };
        let main = path_of(path);
        let conf_prefix = main.parent().map(Path::to_owned).unwrap_or_default();
        let files = split(dump, lines, &main, &conf_prefix, start);
        Self::assemble(&main, &conf_prefix, b"", &Dumped { files })
    }

    /// A lone file, whose place in a configuration is guessed from its directives.
    pub fn fragment(path: &Path, tree: &Arc<Tree>) -> Self {
        struct Lone<'a>(&'a Path, &'a Arc<Tree>);
        impl Source for Lone<'_> {
            fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
                if path == self.0 {
                    Lookup::Found(Arc::clone(self.1))
                } else {
                    Lookup::Wanted
                }
            }
            fn directory(&self, _: &Path) -> Lookup<Vec<Vec<u8>>> {
                Lookup::Wanted
            }
        }
        let conf_prefix = path.parent().unwrap_or(Path::new(""));
        let mut configuration = Self::assemble(path, conf_prefix, b"", &Lone(path, tree));
        configuration.fragment_of = Some(guess_context(tree));
        configuration
    }
}

/// Cuts a dump into its files. The main file begins at `start`, where `lines` goes on.
fn split(
    dump: &[u8],
    lines: Lines<'_>,
    main: &Path,
    conf_prefix: &Path,
    start: usize,
) -> BTreeMap<PathBuf, Arc<Tree>> {
    let parse = |from: usize, to: usize| {
        let text = dump.get(from..to).unwrap_or_default();
        // nginx ends each file it dumps with one line end more than the file has.
        Arc::new(Tree::parse(
            text.strip_suffix(b"\n").unwrap_or(text).to_vec(),
        ))
    };
    let mut files = BTreeMap::new();
    let mut asked = Asked {
        conf_prefix: with_slash(conf_prefix),
        names: Vec::new(),
    };
    let mut open = (main.to_owned(), start);
    for line in lines {
        let Some(path) = marked_path(line.text) else {
            continue;
        };
        if path_of(path) == open.0 || files.contains_key(&path_of(path)) {
            continue;
        }
        let tree = parse(open.1, line.start);
        let cut_short = |trouble: &Trouble| trouble.message.starts_with("unexpected end of file");
        if tree.troubles().iter().any(cut_short) {
            continue;
        }
        let known = asked.names.len();
        asked.learn(&tree);
        if asked.has(path) {
            files.insert(open.0, tree);
            open = (path_of(path), line.end);
        } else {
            asked.names.truncate(known);
        }
    }
    files.insert(open.0, parse(open.1, dump.len()));
    files
}

/// What the files so far include.
struct Asked {
    conf_prefix: BString,
    names: Vec<BString>,
}

impl Asked {
    fn learn(&mut self, tree: &Tree) {
        let includes = tree.all().filter(|directive| directive.name() == "include");
        let names = includes.filter_map(|include| include.value(0));
        self.names
            .extend(names.map(|name| full_name(&self.conf_prefix, name)));
    }

    fn has(&self, path: &[u8]) -> bool {
        self.names
            .iter()
            .any(|name| name == path || glob::is_pattern(name) && glob::matches_path(name, path))
    }
}

/// The files of a dump.
struct Dumped {
    files: BTreeMap<PathBuf, Arc<Tree>>,
}

impl Source for Dumped {
    fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
        // nginx dumps only what it could read: what is missing was cut off.
        self.files
            .get(path)
            .map_or(Lookup::Wanted, |tree| Lookup::Found(Arc::clone(tree)))
    }

    fn directory(&self, dir: &Path) -> Lookup<Vec<Vec<u8>>> {
        Lookup::Found(names_in(dir, self.files.keys().map(PathBuf::as_path)))
    }
}

/// The names that these paths show to be in a directory.
fn names_in<'a>(dir: &Path, paths: impl Iterator<Item = &'a Path>) -> Vec<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut names: Vec<Vec<u8>> = paths
        .filter_map(|path| path.strip_prefix(dir).ok()?.components().next())
        .map(|name| name.as_os_str().as_bytes().to_vec())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn marked_path(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let path = line.strip_prefix(MARKER)?.strip_suffix(b":")?;
    path.starts_with(b"/").then_some(path)
}

/// What stands before the dump when both outputs of `nginx -T` were kept.
fn is_preamble(line: &[u8]) -> bool {
    line.trim().is_empty() || line.starts_with(b"nginx: ")
}

struct Line<'t> {
    text: &'t [u8],
    start: usize,
    /// After the line end.
    end: usize,
}

struct Lines<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Iterator for Lines<'t> {
    type Item = Line<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |len| len + 1);
        self.at = start + len;
        let text = rest.get(..len)?;
        Some(Line {
            text: text.strip_suffix(b"\n").unwrap_or(text),
            start,
            end: self.at,
        })
    }
}

/// The block that a file with these directives stands in. What only one context allows decides.
fn guess_context(tree: &Tree) -> ContextKind {
    let has = |names: &[&str]| {
        tree.directives()
            .any(|d| names.iter().any(|name| d.name() == *name))
    };
    let server_has = |names: &[&str]| {
        let servers = tree.directives().filter(|d| d.name() == "server");
        servers
            .flat_map(crate::tree::Directive::children)
            .any(|d| names.iter().any(|name| d.name() == *name))
    };
    if has(&[
        "http",
        "events",
        "stream",
        "mail",
        "worker_processes",
        "user",
        "pid",
    ]) {
        return ContextKind::Main;
    }
    let server_blocks = tree
        .directives()
        .any(|d| d.name() == "server" && d.is_block());
    let server_lines = tree
        .directives()
        .any(|d| d.name() == "server" && !d.is_block());
    if server_lines && !server_blocks {
        return ContextKind::Upstream;
    }
    if server_blocks {
        let http_only = [
            "location",
            "server_name",
            "root",
            "return",
            "rewrite",
            "if",
            "error_page",
            "access_log",
        ];
        let is_stream = server_has(&["proxy_pass"]) && !server_has(&http_only);
        return if is_stream {
            ContextKind::Stream
        } else {
            ContextKind::Http
        };
    }
    if has(&[
        "upstream",
        "map",
        "geo",
        "split_clients",
        "log_format",
        "types",
        "limit_req_zone",
        "proxy_cache_path",
    ]) {
        return ContextKind::Http;
    }
    if has(&["location", "listen", "server_name", "ssl_certificate"]) {
        return ContextKind::Server;
    }
    let passes = [
        "proxy_pass",
        "fastcgi_pass",
        "uwsgi_pass",
        "scgi_pass",
        "grpc_pass",
        "memcached_pass",
    ];
    if has(&passes)
        || has(&[
            "fastcgi_param",
            "uwsgi_param",
            "proxy_set_header",
            "try_files",
            "alias",
        ])
    {
        return ContextKind::Location;
    }
    ContextKind::Http
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nginx prints it.
    fn dump(files: &[(&str, &str)]) -> String {
        let dumped = files
            .iter()
            .map(|(path, text)| format!("# configuration file {path}:\n{text}\n"));
        dumped.collect::<Vec<_>>().concat()
    }

    fn files(configuration: &Configuration) -> Vec<(String, String)> {
        let files = configuration.files().iter();
        files
            .map(|file| (file.path.display().to_string(), file.tree.to_string()))
            .collect()
    }

    fn check(expected: &[(&str, &str)]) {
        let configuration = Configuration::from_dump(dump(expected).as_bytes());
        let expected: Vec<_> = expected
            .iter()
            .map(|(p, t)| ((*p).to_owned(), (*t).to_owned()))
            .collect();
        assert_eq!(files(&configuration), expected);
        assert!(configuration.is_complete());
        assert_eq!(configuration.troubles(), []);
    }

    #[test]
    fn a_dump_gives_back_its_files() {
        check(&[("/n/nginx.conf", "http { }\n")]);
        check(&[
            (
                "/n/nginx.conf",
                "http { include mime.types; include c/*.conf; }\n",
            ),
            ("/n/mime.types", "types { a b; }"),
            ("/n/c/a.conf", ""),
            ("/n/c/b.conf", "server { include /o/x; }\n\n"),
            ("/o/x", "root /x;\n"),
        ]);
    }

    #[test]
    fn comments_that_imitate_a_marker_are_comments() {
        check(&[("/n/c", "http {\n# configuration file /n/a:\n}\n")]);
        check(&[(
            "/n/c",
            "# configuration file /n/c:\n# configuration file /etc/passwd:\nhttp { }\n",
        )]);
        check(&[
            (
                "/n/c",
                "http {\n# configuration file /n/a:\ninclude a; }\n# configuration file /n/x:\n",
            ),
            (
                "/n/a",
                "# configuration file /n/c:\nserver { }\n# configuration file a:",
            ),
        ]);
    }

    #[test]
    fn both_outputs_in_one_text_are_fine() {
        let text = format!(
            "nginx: the configuration file /n/c syntax is ok\nnginx: configuration file /n/c test is successful\n{}",
            dump(&[("/n/c", "http { }\n")])
        );
        let configuration = Configuration::from_dump(text.as_bytes());
        assert_eq!(
            files(&configuration),
            [("/n/c".to_owned(), "http { }\n".to_owned())]
        );
    }

    #[test]
    fn a_dump_that_was_cut_is_incomplete() {
        let cut = dump(&[("/n/c", "http { include mime.types; }\n")]);
        let configuration = Configuration::from_dump(cut.as_bytes());
        assert!(!configuration.is_complete());
    }

    #[test]
    fn the_place_of_a_lone_file_is_guessed() {
        for (text, expected) in [
            ("events { } http { }", ContextKind::Main),
            ("user x;", ContextKind::Main),
            (
                "upstream u { server a; } server { location / { } }",
                ContextKind::Http,
            ),
            (
                "server { listen 80; location / { proxy_pass http://a; } }",
                ContextKind::Http,
            ),
            ("map $a $b { c d; }", ContextKind::Http),
            ("server { listen 80; proxy_pass a:1; }", ContextKind::Stream),
            (
                "upstream u { server a:1; } server { listen 80; proxy_pass u; }",
                ContextKind::Stream,
            ),
            (
                "listen 80; server_name a; location / { }",
                ContextKind::Server,
            ),
            ("location / { proxy_pass http://a; }", ContextKind::Server),
            (
                "proxy_pass http://a; proxy_set_header Host $host;",
                ContextKind::Location,
            ),
            ("fastcgi_param A b;", ContextKind::Location),
            (
                "server 127.0.0.1:1; server 127.0.0.1:2 backup;",
                ContextKind::Upstream,
            ),
            ("", ContextKind::Http),
        ] {
            let configuration = Configuration::from_dump(text.as_bytes());
            assert_eq!(configuration.fragment_of(), Some(expected), "{text}");
        }
    }
}
