//! Contexts: the blocks of a configuration after includes, each with its parent.

use std::collections::HashMap;
use std::fmt;

use bstr::{BStr, BString, ByteSlice as _};

use super::{DirectiveRef, Listen, Model};
use crate::include::{Configuration, FileId};
use crate::tree::{Directive, Directives, Tree};

/// A context of one [`Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextId(pub u32);

/// What kind of block a context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContextKind {
    /// Outside of any block.
    Main,
    /// `events`.
    Events,
    /// `http`.
    Http,
    /// `stream`.
    Stream,
    /// `mail`.
    Mail,
    /// `server` as a block, within `http`, `stream` or `mail`.
    Server,
    /// `location`.
    Location,
    /// `if`, within a server or a location.
    If,
    /// `limit_except`.
    LimitExcept,
    /// `upstream`.
    Upstream,
    /// Any other block, such as `map`, `types` or one of a module: its directives are rows or unknown.
    Other,
}

/// A block, or the space outside of blocks. A snippet that is included in several places makes a context in each.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its id.
    pub id: ContextId,
    /// What it is.
    pub kind: ContextKind,
    /// The directive that opens it; none for the main context.
    pub directive: Option<DirectiveRef>,
    /// The context around it.
    pub parent: Option<ContextId>,
    /// The directives right in it, in the order nginx takes them, includes resolved; blocks too.
    pub directives: Vec<DirectiveRef>,
    /// The blocks right in it.
    pub children: Vec<ContextId>,
    /// Its directives by name, for looking up.
    pub(super) by_name: HashMap<BString, Vec<DirectiveRef>>,
}

/// How a location is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocationModifier {
    /// `location /prefix`.
    Prefix,
    /// `location = /exact`.
    Exact,
    /// `location ^~ /prefix`: no regular expression is tried after it.
    PrefixFinal,
    /// `location ~ regex`.
    Regex,
    /// `location ~* regex`.
    RegexCaseless,
    /// `location @name`.
    Named,
}

impl fmt::Display for LocationModifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix | Self::Named => "",
            Self::Exact => "=",
            Self::PrefixFinal => "^~",
            Self::Regex => "~",
            Self::RegexCaseless => "~*",
        })
    }
}

impl Model {
    /// All contexts, the main context first, every one behind its parent.
    pub fn contexts(&self) -> &[Context] {
        &self.contexts
    }

    /// The context with this id.
    pub fn context(&self, id: ContextId) -> Option<&Context> {
        self.contexts.get(id.0 as usize)
    }

    /// The space outside of blocks.
    pub fn main_context(&self) -> ContextId {
        ContextId(0)
    }

    /// The contexts of one kind.
    pub fn contexts_of_kind(&self, kind: ContextKind) -> impl Iterator<Item = &Context> {
        self.contexts
            .iter()
            .filter(move |context| context.kind == kind)
    }

    /// The servers of `http`, `stream` and `mail`.
    pub fn servers(&self) -> impl Iterator<Item = &Context> {
        self.contexts_of_kind(ContextKind::Server)
    }

    /// The locations, nested and named ones too.
    pub fn locations(&self) -> impl Iterator<Item = &Context> {
        self.contexts_of_kind(ContextKind::Location)
    }

    /// The locations of one server, nested and named ones too.
    pub fn locations_in(&self, server: ContextId) -> impl Iterator<Item = &Context> {
        let behind = self.contexts.get(server.0 as usize + 1..);
        // What stands within a block follows it, before anything else does.
        let within = behind
            .unwrap_or_default()
            .iter()
            .take_while(move |context| context.parent.is_some_and(|parent| parent >= server));
        within.filter(|context| context.kind == ContextKind::Location)
    }

    /// The context itself, its parent, and so on to the main context.
    pub fn chain(&self, id: ContextId) -> impl Iterator<Item = &Context> {
        std::iter::successors(self.context(id), |context| self.context(context.parent?))
    }

    /// The server a context stands in, which may be the context itself.
    pub fn server_of(&self, id: ContextId) -> Option<&Context> {
        self.chain(id)
            .find(|context| context.kind == ContextKind::Server)
    }

    /// Which of `http`, `stream` and `mail` a context stands in.
    pub fn protocol_of(&self, id: ContextId) -> Option<ContextKind> {
        let mut kinds = self.chain(id).map(|context| context.kind);
        kinds.find(|kind| {
            matches!(
                kind,
                ContextKind::Http | ContextKind::Stream | ContextKind::Mail
            )
        })
    }

    /// The context that this block opens; the first, if its file is included more than once.
    pub fn context_opened_by(&self, directive: DirectiveRef) -> Option<&Context> {
        self.contexts
            .iter()
            .find(|context| context.directive == Some(directive))
    }

    /// The contexts that hold this directive right in them: several, if its file is included more than once.
    pub fn contexts_holding(&self, directive: DirectiveRef) -> impl Iterator<Item = &Context> {
        self.contexts
            .iter()
            .filter(move |context| context.directives.contains(&directive))
    }

    /// The directives with this name right in a context.
    pub fn own(&self, id: ContextId, name: &str) -> &[DirectiveRef] {
        let own = self
            .context(id)
            .and_then(|context| context.by_name.get(name.as_bytes().as_bstr()));
        own.map(Vec::as_slice).unwrap_or_default()
    }

    /// The `server_name`s of the server around a context. Without any, nginx takes the empty name.
    pub fn server_names(&self, id: ContextId) -> Vec<&BStr> {
        let Some(server) = self.server_of(id) else {
            return Vec::new();
        };
        self.own(server.id, "server_name")
            .iter()
            .flat_map(|&at| self.args(at))
            .collect()
    }

    /// The addresses the server around a context listens on. Without any `listen`, nginx takes `*:80`, or `*:8000`
    /// without root's rights.
    pub fn listens(&self, id: ContextId) -> &[Listen] {
        let listens = self
            .server_of(id)
            .and_then(|server| self.listens.get(&server.id));
        listens.map(Vec::as_slice).unwrap_or_default()
    }

    /// How a location is matched, and the pattern; none for other contexts.
    pub fn location_pattern(&self, id: ContextId) -> Option<(LocationModifier, &BStr)> {
        let context = self
            .context(id)
            .filter(|context| context.kind == ContextKind::Location)?;
        let directive = self.directive(context.directive?)?;
        let first = directive.value(0)?;
        if let Some(second) = directive.value(1) {
            return Some((modifier(first)?, second));
        }
        // `location =/x` and `location ~^/x` in one word are fine with nginx.
        for mark in ["=", "^~", "~*", "~"] {
            if let Some(pattern) = first.strip_prefix(mark.as_bytes()) {
                return Some((modifier(mark.as_bytes())?, pattern.as_bstr()));
            }
        }
        if first.starts_with(b"@") {
            return Some((LocationModifier::Named, first));
        }
        Some((LocationModifier::Prefix, first))
    }

    /// The line that opens a context, for reports: `location /api/`, `server`, `if ($slow)`, `main`.
    pub fn location_label(&self, id: ContextId) -> String {
        let Some(directive) = self
            .context(id)
            .and_then(|context| self.directive(context.directive?))
        else {
            return "main".to_owned();
        };
        let mut label = directive.name().to_string();
        for arg in directive.args() {
            label.push(' ');
            label.push_str(&arg.value().to_str_lossy());
        }
        label
    }
}

pub(super) fn listens_of(model: &Model) -> HashMap<ContextId, Vec<Listen>> {
    let of_server = |server: &Context| {
        let listens = model.own(server.id, "listen").iter();
        let listens = listens.filter_map(|&at| Listen::of(model.directive(at)?, at));
        (server.id, listens.collect())
    };
    model.servers().map(of_server).collect()
}

fn modifier(word: &[u8]) -> Option<LocationModifier> {
    match word {
        b"=" => Some(LocationModifier::Exact),
        b"^~" => Some(LocationModifier::PrefixFinal),
        b"~" => Some(LocationModifier::Regex),
        b"~*" => Some(LocationModifier::RegexCaseless),
        _ => None,
    }
}

fn kind_of(directive: Directive<'_>, parent: ContextKind) -> ContextKind {
    if parent == ContextKind::Other || directive.is_lua_block() {
        return ContextKind::Other;
    }
    match directive.name().as_bytes() {
        b"events" => ContextKind::Events,
        b"http" => ContextKind::Http,
        b"stream" => ContextKind::Stream,
        b"mail" => ContextKind::Mail,
        b"server" => ContextKind::Server,
        b"location" => ContextKind::Location,
        b"if" => ContextKind::If,
        b"limit_except" => ContextKind::LimitExcept,
        b"upstream" => ContextKind::Upstream,
        _ => ContextKind::Other,
    }
}

/// More directives than any real configuration has: files that include each other many times over grow without
/// bound, and nginx would not come to an end either.
const MAX_DIRECTIVES: usize = 4_000_000;

/// Deeper nesting of blocks and includes means nothing to nginx.
const MAX_DEPTH: usize = 200;

pub(super) fn contexts_of(configuration: &Configuration) -> Vec<Context> {
    let mut builder = Builder {
        configuration,
        contexts: Vec::new(),
        left: MAX_DIRECTIVES,
    };
    let main = builder.open(ContextKind::Main, None, None);
    // A lone file may stand inside of blocks that are not there: they are made up, without directives.
    let around: &[ContextKind] = match configuration.fragment_of {
        None | Some(ContextKind::Main) => &[],
        Some(ContextKind::Stream) => &[ContextKind::Stream],
        Some(ContextKind::Upstream) => &[ContextKind::Http, ContextKind::Upstream],
        Some(ContextKind::Server) => &[ContextKind::Http, ContextKind::Server],
        Some(ContextKind::Location) => &[
            ContextKind::Http,
            ContextKind::Server,
            ContextKind::Location,
        ],
        Some(_) => &[ContextKind::Http],
    };
    let holder = around
        .iter()
        .fold(main, |parent, &kind| builder.open(kind, None, Some(parent)));
    if let Some(globals) = &configuration.globals {
        builder.fill(main, FileId::COMMAND_LINE, globals.tree.directives(), 0);
    }
    if let Some(file) = configuration.files.first() {
        builder.fill(holder, FileId(0), file.tree.directives(), 0);
    }
    builder.contexts
}

struct Builder<'c> {
    configuration: &'c Configuration,
    contexts: Vec<Context>,
    left: usize,
}

impl Builder<'_> {
    fn open(
        &mut self,
        kind: ContextKind,
        directive: Option<DirectiveRef>,
        parent: Option<ContextId>,
    ) -> ContextId {
        let id = ContextId(u32::try_from(self.contexts.len()).unwrap_or(u32::MAX));
        self.contexts.push(Context {
            id,
            kind,
            directive,
            parent,
            directives: Vec::new(),
            children: Vec::new(),
            by_name: HashMap::new(),
        });
        if let Some(parent) = parent.and_then(|parent| self.contexts.get_mut(parent.0 as usize)) {
            parent.children.push(id);
        }
        id
    }

    fn fill(&mut self, context: ContextId, file: FileId, directives: Directives<'_>, depth: usize) {
        let configuration = self.configuration;
        for directive in directives {
            if self.left == 0 || depth > MAX_DEPTH {
                return;
            }
            self.left -= 1;
            let at = DirectiveRef {
                file,
                directive: directive.id(),
            };
            if let Some(included) = configuration.includes.get(&at) {
                for &file in included {
                    if let Some(tree) = configuration.file(file).map(|file| &file.tree) {
                        self.fill(context, file, Tree::directives(tree), depth + 1);
                    }
                }
                continue;
            }
            let Some(holder) = self.contexts.get_mut(context.0 as usize) else {
                return;
            };
            holder.directives.push(at);
            holder
                .by_name
                .entry(directive.name().into())
                .or_default()
                .push(at);
            let parent = holder.kind;
            if directive.is_block() {
                let inner = self.open(kind_of(directive, parent), Some(at), Some(context));
                self.fill(inner, file, directive.children(), depth + 1);
            }
        }
    }
}
