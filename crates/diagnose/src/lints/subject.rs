//! What a lint looks at: the effective model of one configuration, and the host behind it where there is one.
//!
//! Helpers that several lints need stand here; it decides nothing.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use bstr::ByteSlice as _;
use conf::{
    Configuration, ContextId, ContextKind, DirectiveRef, Model, Pass, PassKind, ServerLine, Target,
    Upstream, UpstreamId,
};
use facts::{ConfSpan, Gap, GapKind};

use super::host::Host;
use crate::case::Case;

/// See the module.
pub(crate) struct Subject<'a> {
    /// Its files and what nginx would refuse.
    pub(crate) configuration: &'a Configuration,
    /// Its meaning.
    pub(crate) model: &'a Model,
    /// Of the nginx that runs it, or is to; the oldest defaults hold where it is not known.
    pub(crate) version: Option<(u32, u32, u32)>,
    /// What is behind it.
    pub(super) behind: Behind<'a>,
    /// What a judge could not learn and went on without.
    pub(super) unknown: RefCell<Vec<Gap>>,
    /// How often each file is included.
    pub(super) includes: OnceCell<HashMap<conf::FileId, usize>>,
    /// The passes by the upstreams that they lead to.
    pub(super) passes_by_upstream: OnceCell<HashMap<UpstreamId, Vec<&'a Pass>>>,
}

/// What is behind a configuration.
pub(super) enum Behind<'a> {
    /// A host: the case, and the place of the instance in its list.
    Host(&'a Case, usize),
    /// A host that does not run it, and that was not asked.
    Unasked,
    /// Nothing but its text.
    Text,
}

/// An address that some pass or server line holds.
pub(crate) struct Dialled<'a> {
    /// The directive that holds it, as its first argument.
    pub(crate) at: DirectiveRef,
    /// The address.
    pub(crate) address: &'a conf::Address,
    /// The server line, with its upstream, where it is one.
    pub(crate) line: Option<(&'a Upstream, &'a ServerLine)>,
    /// A pass that leads there; none to an upstream that nothing uses.
    pub(crate) pass: Option<&'a Pass>,
}

impl<'a> Subject<'a> {
    /// The host, or that there is none.
    pub(crate) fn host(&self) -> Result<Host<'a>, Gap> {
        let missing = |why| Gap::new(GapKind::NotAsked, "the host", why);
        match self.behind {
            Behind::Host(case, idx) => Ok(Host::new(case, idx)),
            Behind::Unasked => {
                let gap = missing("no nginx here runs this configuration");
                Err(gap.learn("--host looks at this host all the same"))
            }
            Behind::Text => Err(missing("only a text was given")),
        }
    }

    /// A fact, or nothing with a note of what is missing: one peer of which nothing is known hides no other.
    pub(crate) fn settle<T>(&self, fact: Result<T, Gap>) -> Option<T> {
        fact.map_err(|gap| {
            let mut unknown = self.unknown.borrow_mut();
            if !unknown.contains(&gap) {
                unknown.push(gap);
            }
        })
        .ok()
    }

    /// Whether what stands around the text is not known: what is absent here may be set there.
    pub(crate) fn is_partial(&self) -> bool {
        self.configuration.fragment_of().is_some()
    }

    /// Whether the nginx is this version or newer; of no version known it is not.
    pub(crate) fn is_since(&self, version: (u32, u32, u32)) -> bool {
        self.version.is_some_and(|own| own >= version)
    }

    /// Whether a file is included in several places: what is changed for one is changed for all.
    pub(super) fn is_shared(&self, file: conf::FileId) -> bool {
        let brought = self.includes.get_or_init(|| {
            let mut brought: HashMap<conf::FileId, usize> = HashMap::new();
            for (id, file) in (0..).map(conf::FileId).zip(self.model.files()) {
                for include in file.tree.all().filter(|one| one.name() == "include") {
                    let at = DirectiveRef {
                        file: id,
                        directive: include.id(),
                    };
                    for &file in self.configuration.included_by(at) {
                        *brought.entry(file).or_default() += 1;
                    }
                }
            }
            brought
        });
        brought.get(&file).is_some_and(|&times| times > 1)
    }

    /// A directive as a span, with the mark under one of its arguments or under the whole.
    pub(crate) fn span(&self, at: DirectiveRef, argument: Option<usize>) -> Option<ConfSpan> {
        crate::case::span(self.model, at, argument)
    }

    /// A range of bytes in a file as a span.
    pub(crate) fn place(&self, file: conf::FileId, span: conf::Span) -> Option<ConfSpan> {
        let file = self.model.file(file)?;
        let first = file.tree.position(span.start);
        let line = file.tree.line(first.line)?.to_str_lossy().into_owned();
        let start = (first.column as usize - 1).min(line.len());
        let end = (start + span.len()).min(line.len());
        let mark = if line.is_char_boundary(start) && line.is_char_boundary(end) {
            start..end
        } else {
            0..line.len()
        };
        Some(ConfSpan {
            file: file.path.clone(),
            line: first.line as usize,
            column: first.column as usize,
            text: file.tree.text(span).to_str_lossy().into_owned(),
            source: line,
            mark,
            label: None,
        })
    }

    /// The line that opens the level a directive stands in, such as `location /api`.
    pub(crate) fn level_of(&self, at: DirectiveRef) -> String {
        let level = self.model.contexts_holding(at).next();
        let label = level.map(|level| self.model.location_label(level.id));
        match label.as_deref() {
            None | Some("main") => "the main level".to_owned(),
            Some(label) => label.to_owned(),
        }
    }

    /// The value in force and where it is set.
    pub(crate) fn value(&self, context: ContextId, name: &str) -> Option<(String, DirectiveRef)> {
        let (value, at) = self.model.value_in_force(context, name)?;
        Some((value.to_str_lossy().into_owned(), at))
    }

    /// The servers of a pass; empty where it leads to an address of its own.
    pub(crate) fn upstreams_of(&self, pass: &Pass) -> Vec<&'a Upstream> {
        let targets = pass.target.certain_and_possible().into_iter();
        targets
            .filter_map(|target| match target {
                Target::Upstream(id) => self.model.upstream(*id),
                _ => None,
            })
            .collect()
    }

    /// The passes that lead to an upstream, or may by a variable.
    pub(crate) fn passes_to(&self, upstream: UpstreamId) -> &[&'a Pass] {
        // Looked up for every server line: going through all passes each time takes minutes on a large host.
        let by_upstream = self.passes_by_upstream.get_or_init(|| {
            let mut by_upstream: HashMap<UpstreamId, Vec<&'a Pass>> = HashMap::new();
            for pass in self.model.passes() {
                for target in pass.target.certain_and_possible() {
                    if let Target::Upstream(id) = target {
                        by_upstream.entry(*id).or_default().push(pass);
                    }
                }
            }
            by_upstream
        });
        by_upstream
            .get(&upstream)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Every literal address or name that is dialled, each where it is written.
    pub(crate) fn dialled(&self) -> Vec<Dialled<'a>> {
        let model = self.model;
        let lines = model.upstreams().iter().flat_map(|upstream| {
            let pass = self.passes_to(upstream.id).first().copied();
            upstream.servers.iter().filter_map(move |line| {
                Some(Dialled {
                    at: line.directive,
                    address: line.address.as_ref()?,
                    line: Some((upstream, line)),
                    pass,
                })
            })
        });
        let passes = model.passes().iter().filter_map(|pass| match &pass.target {
            Target::Address(address) => Some(Dialled {
                at: pass.directive,
                address,
                line: None,
                pass: Some(pass),
            }),
            _ => None,
        });
        lines.chain(passes).collect()
    }

    /// An edit that inserts directives behind another one.
    pub(crate) fn insert_after(&self, at: DirectiveRef, new: &[&str]) -> Option<super::Edits> {
        let directive = self.model.directive(at)?;
        Some(vec![(at.file, conf::Edit::insert_after(directive, new))])
    }

    /// An edit that puts settings beside a pass. `if` and `limit_except` take a pass and no settings: then at the level around.
    pub(crate) fn insert_at_pass(&self, pass: &Pass, new: &[&str]) -> Option<super::Edits> {
        let takes_none = |kind| matches!(kind, ContextKind::If | ContextKind::LimitExcept);
        let mut levels = self.model.chain(pass.context);
        let level = levels.find(|level| !takes_none(level.kind))?;
        if level.id == pass.context {
            return self.insert_after(pass.directive, new);
        }
        let at = level.directive?;
        let edit = conf::Edit::insert_into(self.model.directive(at)?, new)?;
        Some(vec![(at.file, edit)])
    }

    /// An edit that gives an argument another value.
    pub(crate) fn set_argument(
        &self,
        at: DirectiveRef,
        argument: usize,
        value: &str,
    ) -> Option<super::Edits> {
        let directive = self.model.directive(at)?;
        let edit = conf::Edit::nth_argument(directive, argument, value.as_bytes())?;
        Some(vec![(at.file, edit)])
    }
}

/// What the directives of a pass begin with.
pub(crate) fn module_of(kind: PassKind) -> &'static str {
    match kind {
        PassKind::Proxy | PassKind::Stream => "proxy",
        PassKind::Fastcgi => "fastcgi",
        PassKind::Uwsgi => "uwsgi",
        PassKind::Scgi => "scgi",
        PassKind::Grpc => "grpc",
        PassKind::Memcached => "memcached",
    }
}

/// The last of these directives whose first argument is this word, whatever its case.
pub(crate) fn named(model: &Model, all: &[DirectiveRef], word: &str) -> Option<DirectiveRef> {
    let is_it = |at: &&DirectiveRef| {
        model
            .arg(**at, 0)
            .is_some_and(|name| name.eq_ignore_ascii_case(word.as_bytes()))
    };
    all.iter().rfind(is_it).copied()
}

/// What the rows of a `map` give its variable: the values a text that is one variable can have, as far as the `map`s of
/// the configuration tell.
pub(crate) fn mapped<'m>(model: &'m Model, text: &str) -> Vec<&'m bstr::BStr> {
    let maps = model.contexts_of_kind(ContextKind::Other);
    let of_variable = maps.filter(|map| {
        map.directive.is_some_and(|at| {
            model.name(at) == "map" && model.arg(at, 1).is_some_and(|name| *name == text)
        })
    });
    of_variable
        .flat_map(|map| map.directives.iter())
        .filter_map(|&at| model.arg(at, 0))
        .collect()
}

/// Whether no host anywhere has such a name (RFC 6761).
pub(crate) fn is_reserved(name: &str) -> bool {
    name.trim_end_matches('.').rsplit('.').next() == Some("invalid")
}
