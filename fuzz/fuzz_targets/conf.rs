//! An nginx configuration of one or several files: `//- PATH` begins the next one.
//!
//! Nothing is lost, edits change what they name and nothing else, and the model of anything can be asked anything.
#![no_main]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use conf::{Configuration, Directive, Edit, Lookup, Model, PeerAddress, Source, Tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let files = files(data);
    for tree in files.0.values() {
        spans(tree);
        edits(tree);
    }
    let globals = Tree::parse_globals(data.to_vec());
    assert_eq!(globals.source(), data);
    let main = Path::new("/n/c");
    let configuration = Configuration::assemble(main, Path::new("/n"), b"daemon off;", &files);
    assert!(configuration.is_complete());
    ask(&Model::of(&configuration));
    ask(&Model::of(&Configuration::from_dump(data)));
    let alone = Arc::new(Tree::parse(data.to_vec()));
    ask(&Model::of(&Configuration::fragment(main, &alone)));
});

struct Files(BTreeMap<PathBuf, Arc<Tree>>);

impl Source for Files {
    fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
        let found = self.0.get(path);
        found.map_or(Lookup::Failed(2), |tree| Lookup::Found(Arc::clone(tree)))
    }

    fn directory(&self, dir: &Path) -> Lookup<Vec<Vec<u8>>> {
        let inside = self.0.keys().filter_map(|path| path.strip_prefix(dir).ok());
        let names = inside.filter_map(|rest| rest.components().next());
        Lookup::Found(
            names
                .map(|name| name.as_os_str().as_encoded_bytes().to_vec())
                .collect(),
        )
    }
}

fn files(data: &[u8]) -> Files {
    let text = String::from_utf8_lossy(data);
    let mut files = BTreeMap::new();
    if !text.starts_with("//- ") {
        files.insert("/n/c".into(), Arc::new(Tree::parse(data.to_vec())));
    }
    for section in text.split("//- ").skip(1) {
        let (path, body) = section.split_once('\n').unwrap_or((section, ""));
        let tree = Tree::parse(body.as_bytes().to_vec());
        assert_eq!(tree.source(), body.as_bytes());
        files.insert(path.into(), Arc::new(tree));
    }
    Files(files)
}

/// Directives lie in the file's order, children within their parent's block.
fn spans(tree: &Tree) {
    let length = tree.source().len();
    let mut last_start = 0;
    for directive in tree.all() {
        let (span, head) = (directive.span(), directive.head_span());
        assert!(last_start <= span.start && span.start == head.start && head.end <= span.end);
        assert!(span.end as usize <= length);
        last_start = span.start;
        if let Some(parent) = directive.parent() {
            assert!(parent.head_span().end <= span.start && span.end <= parent.span().end);
        }
        for arg in directive.args() {
            assert!(head.start <= arg.span().start && arg.span().end <= head.end);
        }
        assert!(tree.position(span.start).line >= 1);
    }
    for trouble in tree.troubles() {
        assert!(trouble.span.end as usize <= length && trouble.line >= 1);
    }
}

/// An argument is changed to what was wanted, and all others stay.
fn edits(tree: &Tree) {
    if let Ok(same) = tree.edited(&[]) {
        assert_eq!(same, tree.source());
    }
    if !tree.troubles().is_empty() {
        return;
    }
    let words = |directive: Directive<'_>| -> Vec<Vec<u8>> {
        directive.args().map(|arg| arg.value().to_vec()).collect()
    };
    // A value that lengthens a word beyond nginx's buffer is refused when it is read back.
    let short = |directive: &Directive<'_>| directive.head_span().len() < 2000;
    for directive in tree.all().filter(short).take(16) {
        for (arg_idx, arg) in directive.args().enumerate().take(4) {
            for value in [b"a b;{}#'\"\\".as_slice(), arg.value()] {
                let edit = Edit::argument(arg, value);
                let Ok(edited) = tree.edited(&[edit]) else {
                    panic!("an edit within the file was refused");
                };
                let again = Tree::parse(edited);
                let Some(read) = again.directive(directive.id()) else {
                    panic!("the directive is gone");
                };
                let mut wanted = words(directive);
                wanted[arg_idx] = value.to_vec();
                assert_eq!(words(read), wanted);
                assert_eq!(again.all().count(), tree.all().count());
            }
        }
    }
}

fn ask(model: &Model) {
    for context in model.contexts() {
        for name in ["proxy_set_header", "proxy_pass", "error_log", "include", ""] {
            model.in_force(context.id, name);
            model.level_in_force(context.id, name);
        }
        model.server_names(context.id);
        model.servers_of(context.id);
        model.listens(context.id);
        model.location_label(context.id);
        model.error_logs(context.id);
        model.access_logs(context.id);
        model.pass_in_force(context.id);
        for &directive in &context.directives {
            assert!(model.directive(directive).is_some());
        }
    }
    if let Some(peer) = PeerAddress::parse(b"127.0.0.1:80") {
        for dialer in model.dialers(&peer) {
            assert!(model.directive(dialer.pass.directive).is_some());
        }
        model.server_lines_at(&peer);
    }
    model.dialers_of_name("u");
    model.user();
    model.worker_connections();
    model.env("TZ");
    model.log_formats();
}
