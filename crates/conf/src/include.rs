//! All files of one configuration, in the order nginx parses them. It does no I/O: what it has not been given yet
//! it asks for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};

use crate::glob;
use crate::grammar::{self, Content, RowInclude};
use crate::model::DirectiveRef;
use crate::tree::{Directive, DirectiveId, Span, Tree, Trouble};

/// Where files and listings come from.
pub trait Source {
    /// The file at this absolute path.
    fn file(&self, path: &Path) -> Lookup<Arc<Tree>>;
    /// The names in the directory at this absolute path, in any order, without `.` and `..`.
    fn directory(&self, path: &Path) -> Lookup<Vec<Vec<u8>>>;
}

/// An answer of a [`Source`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<T> {
    /// Here it is.
    Found(T),
    /// It cannot be had: the errno.
    Failed(i32),
    /// It is not known yet. The caller may fetch it and assemble again.
    Wanted,
}

/// What was asked for and not known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Want {
    /// A file.
    File(PathBuf),
    /// A listing.
    Directory(PathBuf),
}

/// A file within one [`Configuration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

impl FileId {
    /// The text of `-g`, which nginx parses before the main file.
    pub const COMMAND_LINE: Self = Self(u32::MAX);
}

/// One file of a configuration.
#[derive(Debug, Clone)]
pub struct ConfFile {
    /// The path as nginx composes and prints it: not normalised.
    pub path: PathBuf,
    /// What it holds.
    pub tree: Arc<Tree>,
}

/// A trouble with its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTrouble {
    /// What nginx says.
    pub message: String,
    /// The file, if it could be read.
    pub file: Option<FileId>,
    /// The path nginx names; `command line` for `-g`.
    pub path: PathBuf,
    /// The line nginx names; 0 when it names none.
    pub line: u32,
    /// What to look at in the file.
    pub span: Option<Span>,
}

impl fmt::Display for FileTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            _ if self.file == Some(FileId::COMMAND_LINE) => {
                write!(f, "{} in command line", self.message)
            }
            line => write!(f, "{} in {}:{line}", self.message, self.path.display()),
        }
    }
}

/// All files of one nginx.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    pub(crate) files: Vec<ConfFile>,
    pub(crate) globals: Option<ConfFile>,
    /// What each `include` brought in, in order.
    pub(crate) includes: HashMap<DirectiveRef, Vec<FileId>>,
    pub(crate) troubles: Vec<FileTrouble>,
    pub(crate) wanted: Vec<Want>,
    /// For a lone file: the block it is taken to stand in.
    pub(crate) fragment_of: Option<crate::model::ContextKind>,
}

impl Configuration {
    /// Follows the includes from the main file. `conf_prefix` is the directory of the main file, to which nginx
    /// takes relative names wherever they stand; `globals` is the text of `-g`.
    pub fn assemble(main: &Path, conf_prefix: &Path, globals: &[u8], source: &dyn Source) -> Self {
        let mut assembler = Assembler::new(conf_prefix, source);
        assembler.globals(globals);
        assembler.main(main);
        assembler.configuration
    }

    /// The files in the order nginx parses them, each once; the main file comes first. These are what `nginx -T`
    /// prints. The text of `-g` is not among them.
    pub fn files(&self) -> &[ConfFile] {
        &self.files
    }

    /// The file with this id, which may be [`FileId::COMMAND_LINE`].
    pub fn file(&self, id: FileId) -> Option<&ConfFile> {
        if id == FileId::COMMAND_LINE {
            self.globals.as_ref()
        } else {
            self.files.get(id.0 as usize)
        }
    }

    /// The id of the file with this path.
    pub fn file_id(&self, path: &Path) -> Option<FileId> {
        let file_idx = self.files.iter().position(|file| file.path == path)?;
        u32::try_from(file_idx).ok().map(FileId)
    }

    /// The files an `include` brought in, in order.
    pub fn included_by(&self, include: DirectiveRef) -> &[FileId] {
        self.includes
            .get(&include)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// What nginx would refuse, in the order it would meet it. nginx itself stops at the first.
    pub fn troubles(&self) -> &[FileTrouble] {
        &self.troubles
    }

    /// Whether every file and listing was known.
    pub fn is_complete(&self) -> bool {
        self.wanted.is_empty()
    }

    /// What was not known, each once.
    pub fn wanted(&self) -> &[Want] {
        &self.wanted
    }

    /// For a lone file: the block it is taken to stand in.
    pub fn fragment_of(&self) -> Option<crate::model::ContextKind> {
        self.fragment_of
    }
}

/// Files that include each other deeper than this are taken for a cycle: nginx runs out of descriptors then.
const DEPTH: usize = 500;

struct Assembler<'s> {
    configuration: Configuration,
    source: &'s dyn Source,
    conf_prefix: BString,
    by_path: BTreeMap<BString, FileId>,
    /// The files being parsed, outermost first.
    stack: Vec<FileId>,
    /// What is wanted already: an `include` of a directory may want thousands.
    asked: HashSet<Want>,
}

impl<'s> Assembler<'s> {
    fn new(conf_prefix: &Path, source: &'s dyn Source) -> Self {
        Self {
            configuration: Configuration::default(),
            source,
            conf_prefix: with_slash(conf_prefix),
            by_path: BTreeMap::new(),
            stack: Vec::new(),
            asked: HashSet::new(),
        }
    }

    fn globals(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let tree = Arc::new(Tree::parse_globals(text.to_vec()));
        let path = PathBuf::from("command line");
        self.configuration.globals = Some(ConfFile {
            path,
            tree: Arc::clone(&tree),
        });
        self.walk(FileId::COMMAND_LINE, &tree, Content::Directives);
    }

    fn main(&mut self, main: &Path) {
        match self.source.file(main) {
            Lookup::Found(tree) => {
                let id = self.add(main.as_os_str().as_bytes().into(), Arc::clone(&tree));
                self.walk(id, &tree, Content::Directives);
            }
            Lookup::Failed(errno) => {
                let message = failure(main.as_os_str().as_bytes(), errno);
                let path = main.to_owned();
                self.configuration.troubles.push(FileTrouble {
                    message,
                    file: None,
                    path,
                    line: 0,
                    span: None,
                });
            }
            Lookup::Wanted => self.want(Want::File(main.to_owned())),
        }
    }

    fn add(&mut self, path: BString, tree: Arc<Tree>) -> FileId {
        let id = FileId(u32::try_from(self.configuration.files.len()).unwrap_or(u32::MAX));
        self.configuration.files.push(ConfFile {
            path: path_of(&path),
            tree,
        });
        self.by_path.insert(path, id);
        id
    }

    fn want(&mut self, want: Want) {
        if self.asked.insert(want.clone()) {
            self.configuration.wanted.push(want);
        }
    }

    /// Goes through a file as nginx parses it. `content` is what the block that includes it holds.
    fn walk(&mut self, file: FileId, tree: &Arc<Tree>, content: Content) {
        self.stack.push(file);
        let mut troubles = tree.troubles().iter().peekable();
        // The blocks around the directive at hand, and what they hold.
        let mut open: Vec<(DirectiveId, Content)> = Vec::new();
        for directive in tree.all() {
            while let Some(trouble) = troubles.next_if(|t| t.span.start < directive.head_span().end)
            {
                self.trouble(file, trouble);
            }
            let parent = directive.parent().map(Directive::id);
            while open.pop_if(|(block, _)| parent != Some(*block)).is_some() {}
            let holder = open.last().map_or(content, |&(_, holder)| holder);
            self.check(file, directive, holder);
            let include = includes(directive, holder);
            if include != RowInclude::Row {
                self.include(file, directive, include, holder);
            }
            if directive.is_block() {
                let inner = match holder {
                    Content::Directives | Content::Upstream => {
                        grammar::content_of(directive.name())
                    }
                    Content::Rows(_) | Content::Unknown => Content::Unknown,
                };
                open.push((directive.id(), inner));
            }
        }
        for trouble in troubles {
            self.trouble(file, trouble);
        }
        self.stack.pop();
    }

    fn check(&mut self, file: FileId, directive: Directive<'_>, holder: Content) {
        let message = match holder {
            Content::Directives | Content::Upstream => {
                grammar::terminator_trouble(directive, holder)
            }
            Content::Rows(_) => directive.is_block().then(|| "unexpected \"{\"".to_owned()),
            Content::Unknown => None,
        };
        if let Some(message) = message {
            self.trouble_at(file, directive, message, directive.terminator_span());
        }
    }

    fn trouble(&mut self, file: FileId, trouble: &Trouble) {
        let path = self
            .configuration
            .file(file)
            .map(|f| f.path.clone())
            .unwrap_or_default();
        let (line, span) = (trouble.line, Some(trouble.span));
        self.configuration.troubles.push(FileTrouble {
            message: trouble.message.clone(),
            file: Some(file),
            path,
            line,
            span,
        });
    }

    fn trouble_at(&mut self, file: FileId, directive: Directive<'_>, message: String, span: Span) {
        let line = directive
            .tree()
            .position(directive.terminator_span().start)
            .line;
        let path = self
            .configuration
            .file(file)
            .map(|f| f.path.clone())
            .unwrap_or_default();
        self.configuration.troubles.push(FileTrouble {
            message,
            file: Some(file),
            path,
            line,
            span: Some(span),
        });
    }

    fn include(
        &mut self,
        file: FileId,
        directive: Directive<'_>,
        include: RowInclude,
        holds: Content,
    ) {
        let Some(arg) = directive.arg(0) else { return };
        let name = full_name(&self.conf_prefix, arg.value());
        let key = DirectiveRef {
            file,
            directive: directive.id(),
        };
        let mut found = Vec::new();
        if include == RowInclude::Literal || !glob::is_pattern(&name) {
            found.extend(self.include_file(file, directive, name, holds));
        } else {
            let source = self.source;
            let matches = glob::expand(&name, &|dir| source.directory(&path_of(dir)));
            for dir in matches.wanted {
                self.want(Want::Directory(dir));
            }
            for path in matches.paths {
                found.extend(self.include_file(file, directive, path, holds));
            }
        }
        self.configuration.includes.insert(key, found);
    }

    fn include_file(
        &mut self,
        file: FileId,
        directive: Directive<'_>,
        path: BString,
        holds: Content,
    ) -> Option<FileId> {
        let span = directive
            .arg(0)
            .map_or(directive.head_span(), crate::tree::Arg::span);
        if let Some(&id) = self.by_path.get(&path) {
            if self.stack.contains(&id) {
                let message = format!("include of \"{path}\" goes round in a circle");
                self.trouble_at(file, directive, message, span);
                return None;
            }
            // Its own troubles and includes are known from the first time.
            return Some(id);
        }
        if self.stack.len() >= DEPTH {
            self.trouble_at(
                file,
                directive,
                format!("open() \"{path}\" failed (24: Too many open files)"),
                span,
            );
            return None;
        }
        match self.source.file(&path_of(&path)) {
            Lookup::Found(tree) => {
                let id = self.add(path, Arc::clone(&tree));
                self.walk(id, &tree, holds);
                Some(id)
            }
            Lookup::Failed(errno) => {
                self.trouble_at(file, directive, failure(&path, errno), span);
                None
            }
            Lookup::Wanted => {
                self.want(Want::File(path_of(&path)));
                None
            }
        }
    }
}

/// What `include` means here; [`RowInclude::Row`] when the directive includes nothing.
fn includes(directive: Directive<'_>, holds: Content) -> RowInclude {
    if directive.name() != "include"
        || directive.args().len() != 1
        || directive.is_block()
        || !directive.is_terminated()
    {
        return RowInclude::Row;
    }
    match holds {
        Content::Directives | Content::Upstream | Content::Unknown => RowInclude::Include,
        Content::Rows(include) => include,
    }
}

/// The directory that relative names are put behind, as nginx keeps it.
pub(crate) fn with_slash(conf_prefix: &Path) -> BString {
    let mut prefix = BString::from(conf_prefix.as_os_str().as_bytes());
    if !prefix.is_empty() && !prefix.ends_with(b"/") {
        prefix.push(b'/');
    }
    prefix
}

/// The absolute name of what an `include` names; nginx only puts it behind the prefix.
pub(crate) fn full_name(conf_prefix: &BString, name: &[u8]) -> BString {
    if name.starts_with(b"/") {
        return name.into();
    }
    let mut full = conf_prefix.clone();
    full.extend_from_slice(name);
    full
}

/// nginx's words for a file it cannot read.
fn failure(path: &[u8], errno: i32) -> String {
    let (call, text) = match errno {
        1 => ("open()", "Operation not permitted"),
        2 => ("open()", "No such file or directory"),
        5 => ("pread()", "Input/output error"),
        13 => ("open()", "Permission denied"),
        20 => ("open()", "Not a directory"),
        // A directory can be opened; reading it fails.
        21 => ("pread()", "Is a directory"),
        24 => ("open()", "Too many open files"),
        36 => ("open()", "File name too long"),
        40 => ("open()", "Too many levels of symbolic links"),
        _ => return format!("open() \"{}\" failed ({errno})", path.as_bstr()),
    };
    format!("{call} \"{}\" failed ({errno}: {text})", path.as_bstr())
}

pub(crate) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Files, configuration};

    fn paths(configuration: &Configuration) -> Vec<String> {
        let names = configuration
            .files()
            .iter()
            .map(|file| file.path.display().to_string());
        names
            .map(|path| path.trim_start_matches("/etc/nginx/").to_owned())
            .collect()
    }

    fn troubles(configuration: &Configuration) -> Vec<String> {
        configuration
            .troubles()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn files_come_in_the_order_nginx_parses_them() {
        let configuration = configuration(
            "//- /etc/nginx/nginx.conf\nhttp { include mime.types; include conf.d/*.conf; include sites/*; }
//- /etc/nginx/mime.types\ntypes { text/html html; }
//- /etc/nginx/conf.d/b.conf\nserver { include snippets/x; }
//- /etc/nginx/conf.d/a.conf\n# empty
//- /etc/nginx/conf.d/c.conf~\nbroken {
//- /etc/nginx/conf.d/.d.conf\nbroken {
//- /etc/nginx/sites/shop\nserver { include snippets/x; }
//- /etc/nginx/snippets/x\nlocation / { }
",
        );
        assert_eq!(troubles(&configuration), [""; 0]);
        assert!(configuration.is_complete());
        let expected = [
            "nginx.conf",
            "mime.types",
            "conf.d/a.conf",
            "conf.d/b.conf",
            "snippets/x",
            "sites/shop",
        ];
        assert_eq!(paths(&configuration), expected);
    }

    #[test]
    fn what_cannot_be_read_is_told_where_it_is_included() {
        let configuration = configuration(
            "//- /etc/nginx/nginx.conf\nhttp {\n include none;\n include secret;\n include\n d\n;\n include x*; }
//- /etc/nginx/secret!13
//- /etc/nginx/d!21
",
        );
        assert_eq!(
            troubles(&configuration),
            [
                "open() \"/etc/nginx/none\" failed (2: No such file or directory) in /etc/nginx/nginx.conf:2",
                "open() \"/etc/nginx/secret\" failed (13: Permission denied) in /etc/nginx/nginx.conf:3",
                "pread() \"/etc/nginx/d\" failed (21: Is a directory) in /etc/nginx/nginx.conf:6",
            ]
        );
        assert!(configuration.is_complete());
    }

    #[test]
    fn what_is_not_known_yet_is_wanted() {
        struct Nothing;
        impl Source for Nothing {
            fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
                let text = b"http { include a; include d/*; include a; }";
                if path == Path::new("/n/c") {
                    Lookup::Found(Arc::new(Tree::parse(text.to_vec())))
                } else {
                    Lookup::Wanted
                }
            }
            fn directory(&self, _: &Path) -> Lookup<Vec<Vec<u8>>> {
                Lookup::Wanted
            }
        }
        let of =
            |main: &str| Configuration::assemble(Path::new(main), Path::new("/n"), b"", &Nothing);
        let wants = |configuration: &Configuration| configuration.wanted().to_vec();
        assert_eq!(wants(&of("/n/none")), [Want::File("/n/none".into())]);
        let configuration = of("/n/c");
        assert!(!configuration.is_complete());
        assert_eq!(
            wants(&configuration),
            [Want::File("/n/a".into()), Want::Directory("/n/d/".into())]
        );
        assert_eq!(troubles(&configuration), [""; 0]);
    }

    #[test]
    fn troubles_come_in_the_order_nginx_would_meet_them() {
        let configuration = configuration(
            "//- /etc/nginx/nginx.conf\nhttp {\n include a;\n root /x\n server { }\n} }
//- /etc/nginx/a\nmap $a $b {\n c {\n }\n}\nserver;",
        );
        assert_eq!(
            troubles(&configuration),
            [
                "unexpected \"{\" in /etc/nginx/a:2",
                "directive \"server\" has no opening \"{\" in /etc/nginx/a:5",
                "directive \"root\" is not terminated by \";\" in /etc/nginx/nginx.conf:4",
                "unexpected \"}\" in /etc/nginx/nginx.conf:5",
            ]
        );
    }

    #[test]
    fn directives_nobody_knows_are_no_trouble() {
        let fixture = "//- /n/c\nhttp { vhost_traffic_status_zone; check interval=1; foo { server; listen 80 { } } \
                       server { acme x { } location = / { } } upstream u { server a; check_http_send \"x\"; } }";
        assert_eq!(troubles(&configuration(fixture)), [""; 0]);
    }

    #[test]
    fn circles_are_named_once() {
        let configuration = configuration(
            "//- /etc/nginx/nginx.conf\ninclude a;\ninclude a;
//- /etc/nginx/a\n# a\ninclude nginx.conf;\ninclude b;
//- /etc/nginx/b\ninclude a;",
        );
        let expected = |path: &str, at: &str| {
            format!("include of \"/etc/nginx/{path}\" goes round in a circle in /etc/nginx/{at}")
        };
        assert_eq!(
            troubles(&configuration),
            [expected("nginx.conf", "a:2"), expected("a", "b:1")]
        );
        assert_eq!(paths(&configuration), ["nginx.conf", "a", "b"]);
    }

    #[test]
    fn files_without_end_come_to_an_end() {
        /// Each file includes the next, twice.
        struct Endless;
        impl Source for Endless {
            fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
                let text = format!("include {0}x; include {0}x;", path.display());
                Lookup::Found(Arc::new(Tree::parse(text.into_bytes())))
            }
            fn directory(&self, _: &Path) -> Lookup<Vec<Vec<u8>>> {
                Lookup::Failed(2)
            }
        }
        let configuration = Configuration::assemble(Path::new("/x"), Path::new("/"), b"", &Endless);
        assert_eq!(configuration.files().len(), DEPTH);
        let trouble = configuration.troubles().first().expect("a trouble");
        assert!(
            trouble
                .message
                .ends_with("failed (24: Too many open files)")
        );
        let model = crate::Model::of(&configuration);
        assert_eq!(model.contexts().len(), 1);
    }

    #[test]
    fn relative_names_belong_to_the_main_files_directory() {
        let files = Files::of(
            "//- /opt/n/conf/main\ninclude sub/a;\n//- /opt/n/conf/sub/a\ninclude b;\n//- /opt/n/conf/b\n//- /opt/n/conf/sub/b\n",
        );
        for prefix in ["/opt/n/conf", "/opt/n/conf/"] {
            let main = Path::new("/opt/n/conf/main");
            let configuration =
                Configuration::assemble(main, Path::new(prefix), b"daemon off;", &files);
            assert_eq!(
                paths(&configuration),
                ["/opt/n/conf/main", "/opt/n/conf/sub/a", "/opt/n/conf/b"]
            );
            let globals = configuration.file(FileId::COMMAND_LINE).expect("globals");
            assert_eq!(globals.tree.source(), b"daemon off;");
            let a = configuration
                .file_id(Path::new("/opt/n/conf/sub/a"))
                .expect("a");
            let include = DirectiveRef {
                file: FileId(0),
                directive: DirectiveId(0),
            };
            assert_eq!(configuration.included_by(include), [a]);
        }
    }
}
