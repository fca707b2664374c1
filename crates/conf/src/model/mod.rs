//! What a configuration amounts to: contexts with the directives in force there, upstreams, who dials what, and
//! where logs go.
//!
//! Files and includes have dissolved here: a context holds its directives in the order nginx takes them, wherever
//! they stand. It does not know what the host looks like: names stay names.

mod context;
mod inherit;
mod listen;
mod logging;
mod main_context;
mod pass;
mod serving;
mod turns;
mod upstream;
mod variable;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bstr::{BStr, BString};

pub use context::{Context, ContextId, ContextKind, LocationModifier};
pub use listen::Listen;
pub use logging::{AccessLog, AccessLogs, ErrorLog, Escape, LogFormat, LogSink};
pub use main_context::User;
pub use pass::{Dialer, Pass, PassKind, Protocol, Target};
pub use serving::{NotServed, Served, Unclear};
pub use upstream::{Keepalive, ServerLine, Upstream, UpstreamId};

use crate::include::{ConfFile, Configuration, FileId};
use crate::tree::{Directive, DirectiveId, Position, Span, Tree};

/// A directive of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectiveRef {
    /// The file it stands in.
    pub file: FileId,
    /// Its place in that file.
    pub directive: DirectiveId,
}

/// The effective model of a configuration.
#[derive(Debug, Clone)]
pub struct Model {
    files: Vec<ConfFile>,
    globals: Option<ConfFile>,
    /// The main context is the first; a context stands behind its parent.
    contexts: Vec<Context>,
    /// What each server listens on: every server is asked for every peer.
    listens: HashMap<ContextId, Vec<Listen>>,
    upstreams: Vec<Upstream>,
    /// The first of each name, in lower case: every pass is looked up here.
    upstreams_by_name: HashMap<(ContextKind, Vec<u8>), UpstreamId>,
    passes: Vec<Pass>,
    /// How each literal address is dialled: every peer of a log is looked up here.
    ways: pass::Ways,
    /// The servers of `http` by what a log calls them: every failing request is looked up here.
    servers_by_logged_name: HashMap<BString, Vec<ContextId>>,
    log_formats: Vec<LogFormat>,
}

impl Model {
    /// Works the model out. Troubles of the configuration do not stop it: it takes what can be understood.
    pub fn of(configuration: &Configuration) -> Self {
        let mut model = Self {
            files: configuration.files.clone(),
            globals: configuration.globals.clone(),
            contexts: context::contexts_of(configuration),
            listens: HashMap::new(),
            upstreams: Vec::new(),
            upstreams_by_name: HashMap::new(),
            passes: Vec::new(),
            ways: pass::Ways::default(),
            servers_by_logged_name: HashMap::new(),
            log_formats: Vec::new(),
        };
        model.listens = context::listens_of(&model);
        model.upstreams = upstream::upstreams_of(&model);
        for upstream in &model.upstreams {
            let key = (upstream.protocol, upstream.name.to_ascii_lowercase());
            model.upstreams_by_name.entry(key).or_insert(upstream.id);
        }
        model.passes = pass::passes_of(&model);
        model.ways = pass::Ways::of(&model.upstreams, &model.passes);
        model.servers_by_logged_name = turns::servers_by_logged_name(&model);
        model.log_formats = logging::log_formats_of(&model);
        model
    }

    /// The files, as [`Configuration::files`] gives them.
    pub fn files(&self) -> &[ConfFile] {
        &self.files
    }

    /// The file with this id.
    pub fn file(&self, id: FileId) -> Option<&ConfFile> {
        if id == FileId::COMMAND_LINE {
            self.globals.as_ref()
        } else {
            self.files.get(id.0 as usize)
        }
    }

    /// The directive itself.
    pub fn directive(&self, at: DirectiveRef) -> Option<Directive<'_>> {
        self.file(at.file)?.tree.directive(at.directive)
    }

    /// Its name.
    pub fn name(&self, at: DirectiveRef) -> &BStr {
        self.directive(at).map(Directive::name).unwrap_or_default()
    }

    /// The values of its arguments.
    pub fn args(&self, at: DirectiveRef) -> Vec<&BStr> {
        self.directive(at)
            .map(|d| d.args().map(crate::tree::Arg::value).collect())
            .unwrap_or_default()
    }

    /// The value of one of its arguments.
    pub fn arg(&self, at: DirectiveRef, arg_idx: usize) -> Option<&BStr> {
        self.directive(at)?.value(arg_idx)
    }

    /// Its span, with its block.
    pub fn span(&self, at: DirectiveRef) -> Option<Span> {
        self.directive(at).map(Directive::span)
    }

    /// The line and column where it begins.
    pub fn position(&self, at: DirectiveRef) -> Option<Position> {
        self.directive(at).map(Directive::position)
    }

    /// The path of its file.
    pub fn path(&self, at: DirectiveRef) -> Option<&Path> {
        self.file(at.file).map(|file| file.path.as_path())
    }

    /// The tree of its file.
    pub fn tree(&self, at: DirectiveRef) -> Option<&Arc<Tree>> {
        self.file(at.file).map(|file| &file.tree)
    }

    /// From the name to the `;` or `{`, as it stands in the file.
    pub fn text(&self, at: DirectiveRef) -> &BStr {
        self.directive(at)
            .map(|d| d.tree().text(d.head_span()))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
