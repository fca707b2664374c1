//! A configuration out of one text: what `nginx -T` printed, or a lone file whose place has to be guessed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::ByteSlice as _;

use crate::include::{Configuration, Lookup, Source, path_of};
use crate::model::ContextKind;
use crate::tree::Tree;

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
        let mut dumped = Dumped {
            files: BTreeMap::from([(main.clone(), Arc::default())]),
        };
        let mut open = (main.clone(), start);
        for line in lines {
            let Some(path) = marked_path(line.text).map(path_of) else {
                continue;
            };
            let text = dump.get(open.1..line.start).unwrap_or_default();
            let tree = Arc::new(Tree::parse(without_added_line_end(text).to_vec()));
            let may_end_here = !tree
                .troubles()
                .iter()
                .any(|t| t.message.starts_with("unexpected end of file"));
            if dumped.files.contains_key(&path) || !may_end_here {
                continue;
            }
            dumped.files.insert(open.0.clone(), tree);
            if dumped.includes(&main, &conf_prefix, &path) {
                dumped.files.insert(path.clone(), Arc::default());
                open = (path, line.end);
            }
        }
        let text = dump.get(open.1..).unwrap_or_default();
        dumped.files.insert(
            open.0,
            Arc::new(Tree::parse(without_added_line_end(text).to_vec())),
        );
        Self::assemble(&main, &conf_prefix, b"", &dumped)
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

/// The files found in a dump so far.
struct Dumped {
    files: BTreeMap<PathBuf, Arc<Tree>>,
}

impl Dumped {
    /// Whether a configuration of these files asks for this path.
    fn includes(&self, main: &Path, conf_prefix: &Path, path: &Path) -> bool {
        struct With<'a>(&'a Dumped, &'a Path);
        impl Source for With<'_> {
            fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
                if path == self.1 {
                    Lookup::Found(Arc::default())
                } else {
                    self.0.file(path)
                }
            }
            fn directory(&self, dir: &Path) -> Lookup<Vec<Vec<u8>>> {
                let all = self.0.files.keys().map(PathBuf::as_path).chain([self.1]);
                Lookup::Found(names_in(dir, all))
            }
        }
        let configuration = Configuration::assemble(main, conf_prefix, b"", &With(self, path));
        configuration.file_id(path).is_some()
    }
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
    let path = line.strip_prefix(MARKER)?.strip_suffix(b":")?;
    path.starts_with(b"/").then_some(path)
}

/// What stands before the dump when both outputs of `nginx -T` were kept.
fn is_preamble(line: &[u8]) -> bool {
    line.trim().is_empty() || line.starts_with(b"nginx: ")
}

/// nginx ends each file it dumps with one line end more than the file has.
fn without_added_line_end(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap_or(text)
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
