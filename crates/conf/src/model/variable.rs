//! Which literal values a text with variables can have, as far as `set` and `map` tell.

use std::collections::{HashMap, HashSet};

use bstr::{BStr, BString, ByteSlice as _};

use super::{Context, ContextId, ContextKind, Model};

/// More values than this are of no use to a reader.
const MAX_VALUES: usize = 64;
/// `set $a $b` may go on: nobody writes longer chains.
const MAX_DEPTH: usize = 6;

/// What is known about the values of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Values {
    /// The values that are plain text.
    pub(super) literal: Vec<BString>,
    /// Whether it can have no other value.
    pub(super) exhaustive: bool,
}

impl Values {
    fn only(text: &[u8]) -> Self {
        Self {
            literal: vec![text.into()],
            exhaustive: true,
        }
    }
}

/// What gives variables their values. Names are lower case: nginx does not tell case apart.
#[derive(Debug, Default)]
pub(super) struct Variables<'m> {
    /// `set`, with the server it stands in.
    set: HashMap<Vec<u8>, Vec<(Option<ContextId>, &'m BStr)>>,
    /// The rows of `map`, `geo` and `split_clients`, apart for `http` and `stream`.
    tables: HashMap<(Option<ContextKind>, Vec<u8>), Vec<&'m BStr>>,
    /// What also gets values that no literal tells.
    opaque: HashSet<Vec<u8>>,
}

/// Whose variables count.
#[derive(Clone, Copy)]
struct Place {
    server: Option<ContextId>,
    protocol: Option<ContextKind>,
}

impl<'m> Variables<'m> {
    pub(super) fn of(model: &'m Model) -> Self {
        let mut variables = Self::default();
        for context in model.contexts() {
            variables.learn_table(model, context);
            variables.learn_directives(model, context);
        }
        variables
    }

    fn learn_table(&mut self, model: &'m Model, context: &Context) {
        let Some(directive) = context.directive.and_then(|at| model.directive(at)) else {
            return;
        };
        if !matches!(
            directive.name().as_bytes(),
            b"map" | b"geo" | b"split_clients"
        ) {
            return;
        }
        let Some(name) = directive
            .args()
            .last()
            .and_then(|arg| variable_named(arg.value()))
        else {
            return;
        };
        // `volatile`, `hostnames` and `ranges` have no value; these rows of geo give none to the variable.
        let is_setting =
            |key: &BStr| directive.name() == "geo" && (key == "proxy" || key == "delete");
        let rows = context
            .directives
            .iter()
            .filter(|&&at| !is_setting(model.name(at)));
        let values = rows.filter_map(|&at| model.arg(at, 0));
        let protocol = model.protocol_of(context.id);
        self.tables
            .entry((protocol, name))
            .or_default()
            .extend(values);
    }

    fn learn_directives(&mut self, model: &'m Model, context: &Context) {
        if context.kind == ContextKind::Other {
            return;
        }
        let server = model.server_of(context.id).map(|server| server.id);
        for &at in &context.directives {
            let Some(first) = model.arg(at, 0) else {
                continue;
            };
            match model.name(at).as_bytes() {
                b"set" => {
                    if let (Some(name), Some(value)) = (variable_named(first), model.arg(at, 1)) {
                        self.set.entry(name).or_default().push((server, value));
                    }
                }
                b"auth_request_set" | b"js_set" | b"js_var" | b"perl_set" | b"set_by_lua"
                | b"set_by_lua_block" | b"set_by_lua_file" => {
                    self.opaque.extend(variable_named(first));
                }
                b"server_name" | b"location" | b"if" | b"rewrite" | b"map" => {
                    self.opaque
                        .extend(model.args(at).into_iter().flat_map(|arg| captures(arg)));
                }
                _ => {}
            }
        }
    }

    /// The values a text can have in a context.
    pub(super) fn values_of(&self, model: &Model, context: ContextId, text: &[u8]) -> Values {
        let place = Place {
            server: model.server_of(context).map(|server| server.id),
            protocol: model.protocol_of(context),
        };
        self.expand(place, text, 0)
    }

    fn expand(&self, place: Place, text: &[u8], depth: usize) -> Values {
        let mut values = Values::only(b"");
        for part in parts_of(text) {
            let tails = match part {
                Part::Text(text) => Values::only(text),
                Part::Variable(name) => self.variable(place, name, depth),
            };
            let joined = values.literal.iter().flat_map(|head| {
                let join = |tail: &BString| bstr::concat([head.as_slice(), tail.as_slice()]).into();
                tails.literal.iter().map(join)
            });
            let joined: Vec<BString> = joined.take(MAX_VALUES + 1).collect();
            values.exhaustive &= tails.exhaustive && joined.len() <= MAX_VALUES;
            values.literal = joined;
            values.literal.truncate(MAX_VALUES);
        }
        values
    }

    fn variable(&self, place: Place, name: &[u8], depth: usize) -> Values {
        let name = name.to_ascii_lowercase();
        match name.as_slice() {
            // What begins with the request's path ends the host for sure; the rest is of no interest here.
            b"request_uri" | b"uri" | b"document_uri" => return Values::only(b"/"),
            b"is_args" | b"args" | b"query_string" => return Values::only(b""),
            b"scheme" => {
                let literal = vec!["http".into(), "https".into()];
                return Values {
                    literal,
                    exhaustive: true,
                };
            }
            _ if depth >= MAX_DEPTH => return Values::default(),
            _ => {}
        }
        let set = self.set.get(&name).map(Vec::as_slice).unwrap_or_default();
        let set = set.iter().filter(|(server, _)| *server == place.server);
        let key = (place.protocol, name);
        let table = self.tables.get(&key).map(Vec::as_slice).unwrap_or_default();
        let texts: Vec<&BStr> = set
            .map(|(_, text)| *text)
            .chain(table.iter().copied())
            .collect();
        let (_, name) = key;
        let mut values = Values {
            literal: Vec::new(),
            exhaustive: !texts.is_empty() && !self.opaque.contains(&name),
        };
        for text in texts {
            let found = self.expand(place, text, depth + 1);
            values.exhaustive &= found.exhaustive;
            values.literal.extend(found.literal);
            if values.literal.len() > MAX_VALUES {
                values.exhaustive = false;
                values.literal.truncate(MAX_VALUES);
            }
        }
        values.literal.sort();
        values.literal.dedup();
        values
    }
}

/// The lower-case name of a variable written with its `$`.
fn variable_named(text: &[u8]) -> Option<Vec<u8>> {
    text.strip_prefix(b"$").map(<[u8]>::to_ascii_lowercase)
}

/// The named captures of a regular expression: `(?<name>` or `(?P<name>`.
fn captures(regex: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let starts = regex
        .find_iter("?<")
        .map(|at| at + 2)
        .chain(regex.find_iter("?P<").map(|at| at + 3));
    starts.filter_map(|start| {
        let rest = regex.get(start..)?;
        let name = rest.get(..memchr::memchr(b'>', rest)?)?;
        Some(name.to_ascii_lowercase())
    })
}

enum Part<'t> {
    Text(&'t [u8]),
    Variable(&'t [u8]),
}

fn parts_of(text: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once_str("$") {
        let (name, remaining) = variable_name(after);
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        parts.push(Part::Variable(name));
        rest = remaining;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// The name behind a `$`, in braces or not, and what follows it.
fn variable_name(after: &[u8]) -> (&[u8], &[u8]) {
    if let Some(braced) = after.strip_prefix(b"{")
        && let Some((name, rest)) = braced.split_once_str("}")
    {
        return (name, rest);
    }
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let len = after.iter().take_while(|&byte| is_name(byte)).count();
    after.split_at_checked(len).unwrap_or((after, b""))
}
