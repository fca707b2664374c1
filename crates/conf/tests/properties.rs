//! What holds for any bytes: nothing panics, nothing is lost.
#![expect(
    clippy::expect_used,
    reason = "a test: what goes wrong here shall be seen"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use why502_conf::edit::quoted;
use why502_conf::model::AccessLogs;
use why502_conf::units::{parse_size, parse_time};
use why502_conf::{
    Address, Configuration, Directive, Edit, Lookup, Model, PeerAddress, Quote, Source, Span, Tree,
};

/// Bytes that mean something to nginx, and some that do not.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "server ",
        "location /",
        "http ",
        "upstream u ",
        "proxy_pass http://",
        "include ",
        "set $x ",
        "map $a $b ",
        "if (",
        "{",
        "}",
        "{ ",
        "} ",
        ";",
        ";\n",
        "\"",
        "'",
        "\\",
        "#",
        "$",
        "${",
        "\n",
        "\r\n",
        " ",
        "\t",
        ")",
        "a",
        "*",
        "[",
        "a*",
        "/n/c",
        "/n/a",
        "unix:/s:",
        "127.0.0.1:80",
        "[::1]",
        "content_by_lua_block {",
        "--[[",
        "]]",
        "# configuration file /n/a:\n",
        "# configuration file /n/c:\n",
        "\u{feff}",
        "é",
        "keepalive 9",
        "log_format x escape=json ",
        "access_log ",
        "error_log ",
        "listen ",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..4),
        1 => (4000_usize..4200).prop_map(|len| vec![b'x'; len]),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

struct Files(BTreeMap<PathBuf, Arc<Tree>>);

impl Source for Files {
    fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
        self.0
            .get(path)
            .map_or(Lookup::Failed(2), |tree| Lookup::Found(Arc::clone(tree)))
    }

    fn directory(&self, _: &Path) -> Lookup<Vec<Vec<u8>>> {
        Lookup::Found(vec![
            b"a".to_vec(),
            b"c".to_vec(),
            b"n".to_vec(),
            b"[".to_vec(),
        ])
    }
}

fn visit_everything(model: &Model) {
    for context in model.contexts() {
        for name in ["proxy_set_header", "proxy_pass", "error_log", "include", ""] {
            model.in_force(context.id, name);
        }
        model.server_names(context.id);
        model.listens(context.id);
        model.location_pattern(context.id);
        model.location_label(context.id);
        model.error_logs(context.id);
        model.pass_in_force(context.id);
        if let AccessLogs::To(logs) = model.access_logs(context.id) {
            assert!(logs.len() <= context.directives.len() || context.parent.is_some());
        }
    }
    let peer = PeerAddress::parse(b"127.0.0.1:80").expect("a peer");
    for dialer in model.dialers(&peer) {
        assert!(model.directive(dialer.pass.directive).is_some());
    }
    assert!(model.log_formats().len() < 1000);
}

/// Children lie within their parent's block, side by side and in order.
fn check_nesting(directive: Directive<'_>) {
    let mut at = directive.head_span().end;
    for child in directive.children() {
        assert!(child.span().start >= at && child.span().end <= directive.span().end);
        assert_eq!(child.parent().map(Directive::id), Some(directive.id()));
        at = child.span().end;
        check_nesting(child);
    }
    for arg in directive.args() {
        assert!(
            arg.span().start >= directive.span().start
                && arg.span().end <= directive.head_span().end
        );
        assert_eq!(arg.raw().len(), arg.span().len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_keeps_every_byte(source in prop_oneof![soup(), vec(any::<u8>(), 0..400)]) {
        let tree = Tree::parse(source.clone());
        prop_assert_eq!(tree.source(), source.as_slice());
        prop_assert_eq!(tree.edited(&[]).expect("no edits"), source);
        for directive in tree.directives() {
            check_nesting(directive);
        }
        for trouble in tree.troubles() {
            prop_assert!(trouble.span.end as usize <= tree.source().len() && trouble.line >= 1);
        }
        Tree::parse_globals(tree.source().to_vec());
    }

    #[test]
    fn nothing_makes_assembling_or_the_model_panic(main in soup(), other in soup()) {
        let tree = |bytes: &[u8]| Arc::new(Tree::parse(bytes.to_vec()));
        let files = Files(BTreeMap::from([("/n/c".into(), tree(&main)), ("/n/a".into(), tree(&other))]));
        let configuration = Configuration::assemble(Path::new("/n/c"), Path::new("/n"), &other, &files);
        prop_assert!(configuration.is_complete());
        visit_everything(&Model::of(&configuration));
        visit_everything(&Model::of(&Configuration::from_dump(&main)));
        let dump = [b"# configuration file /n/c:\n".as_slice(), &main, b"\n# configuration file /n/a:\n", &other].concat();
        visit_everything(&Model::of(&Configuration::from_dump(&dump)));
    }

    #[test]
    fn an_edit_keeps_the_rest(source in soup(), value in vec(any::<u8>(), 0..8), pick in any::<prop::sample::Index>()) {
        let tree = Tree::parse(source);
        let args: Vec<_> = tree.all().flat_map(|d| d.args().collect::<Vec<_>>()).collect();
        prop_assume!(!args.is_empty());
        let arg = args[pick.index(args.len())];
        let edit = Edit::argument(arg, &value);
        let edited = tree.edited(std::slice::from_ref(&edit)).expect("one edit");
        let Span { start, end } = arg.span();
        let behind = &tree.source()[end as usize..];
        prop_assert_eq!(&edited[..start as usize], &tree.source()[..start as usize]);
        prop_assert!(edited.ends_with(behind));
        prop_assert_eq!(edited.len(), start as usize + edit.replacement.len() + behind.len());
    }

    #[test]
    fn a_quoted_value_reads_back(value in vec(any::<u8>(), 0..20), which in 0..3) {
        let quote = [Quote::None, Quote::Single, Quote::Double][usize::try_from(which).expect("small")];
        let word = quoted(value.as_slice().into(), quote);
        let tree = Tree::parse([b"a ".as_slice(), &word, b";"].concat());
        prop_assert_eq!(tree.troubles(), &[]);
        let read = tree.directives().next().and_then(|d| d.value(0)).expect("a value");
        prop_assert_eq!(read.to_vec(), value);
    }

    #[test]
    fn small_parsers_never_panic(text in vec(any::<u8>(), 0..24)) {
        parse_time(&text);
        parse_size(&text);
        Address::parse(&text, Some(80));
        if let Some(peer) = PeerAddress::parse(&text) {
            prop_assert_eq!(PeerAddress::parse(peer.to_string().as_bytes()).is_some(), peer.to_string().is_ascii());
        }
    }

    #[test]
    fn what_prints_as_a_peer_reads_as_that_peer(ip in any::<std::net::IpAddr>(), port in 1..=u16::MAX) {
        let peer = PeerAddress::Tcp((ip, port).into());
        prop_assert_eq!(PeerAddress::parse(peer.to_string().as_bytes()), Some(peer));
    }
}

#[test]
fn deep_nesting_is_no_trouble() {
    let deep = "a{".repeat(100_000);
    let tree = Arc::new(Tree::parse(deep.into_bytes()));
    assert_eq!(tree.all().count(), 100_000);
    let configuration = Configuration::fragment(Path::new("/n/c"), &tree);
    assert!(Model::of(&configuration).contexts().len() > 100);
}
