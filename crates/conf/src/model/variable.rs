//! Which literal values a text with variables can have, as far as `set` and `map` tell.

use bstr::{BStr, BString, ByteSlice as _};

use super::{ContextId, ContextKind, Model};

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

enum Part<'t> {
    Text(&'t [u8]),
    Variable(&'t [u8]),
}

/// The values a text can have in a context.
pub(super) fn values_of(model: &Model, context: ContextId, text: &[u8]) -> Values {
    expand(model, context, text, 0)
}

fn expand(model: &Model, context: ContextId, text: &[u8], depth: usize) -> Values {
    let mut values = Values {
        literal: vec![BString::default()],
        exhaustive: true,
    };
    for part in parts_of(text) {
        let tails = match part {
            Part::Text(text) => Values {
                literal: vec![text.into()],
                exhaustive: true,
            },
            Part::Variable(name) => variable(model, context, name, depth),
        };
        let combined = values.literal.iter().flat_map(|head| {
            tails
                .literal
                .iter()
                .map(move |tail| BString::from(bstr::concat([head.as_slice(), tail.as_slice()])))
        });
        let combined: Vec<BString> = combined.take(MAX_VALUES + 1).collect();
        values.exhaustive &= tails.exhaustive && combined.len() <= MAX_VALUES;
        values.literal = combined;
        values.literal.truncate(MAX_VALUES);
    }
    values
}

fn variable(model: &Model, context: ContextId, name: &[u8], depth: usize) -> Values {
    // What begins with the request's path ends the host for sure; its value is of no further interest.
    if matches!(name, b"request_uri" | b"uri" | b"document_uri") {
        return Values {
            literal: vec!["/".into()],
            exhaustive: true,
        };
    }
    if matches!(name, b"is_args" | b"args" | b"query_string") {
        return Values {
            literal: vec![BString::default()],
            exhaustive: true,
        };
    }
    if depth >= MAX_DEPTH {
        return Values::default();
    }
    let mut texts = set_values(model, context, name);
    let mut exhaustive = !texts.is_empty();
    for context in model.contexts_of_kind(ContextKind::Other) {
        let Some(rows) = table_rows(model, context.id, name) else {
            continue;
        };
        // Without `default` a map gives the empty text, which is no address.
        exhaustive = true;
        texts.extend(rows);
    }
    let mut values = Values {
        literal: Vec::new(),
        exhaustive,
    };
    for text in texts {
        let found = expand(model, context, text, depth + 1);
        values.exhaustive &= found.exhaustive;
        values.literal.extend(found.literal);
    }
    values.literal.sort();
    values.literal.dedup();
    values.exhaustive &= values.literal.len() <= MAX_VALUES;
    values.literal.truncate(MAX_VALUES);
    values
}

/// What `set` gives a variable anywhere in the same server.
fn set_values<'m>(model: &'m Model, context: ContextId, name: &[u8]) -> Vec<&'m BStr> {
    let server = model.server_of(context).map(|server| server.id);
    let contexts = model
        .contexts()
        .iter()
        .filter(|other| model.server_of(other.id).map(|s| s.id) == server);
    let sets = contexts.flat_map(|other| model.own(other.id, "set"));
    let values = sets.filter_map(|&at| {
        let is_it = model
            .arg(at, 0)?
            .strip_prefix(b"$")?
            .eq_ignore_ascii_case(name);
        if is_it { model.arg(at, 1) } else { None }
    });
    values.collect()
}

/// The values in the rows of a `map`, `geo` or `split_clients` block for this variable.
fn table_rows<'m>(model: &'m Model, context: ContextId, name: &[u8]) -> Option<Vec<&'m BStr>> {
    let context = model.context(context)?;
    let directive = model.directive(context.directive?)?;
    if !matches!(
        directive.name().as_bytes(),
        b"map" | b"geo" | b"split_clients"
    ) {
        return None;
    }
    let variable = directive.args().last()?.value();
    if !variable.strip_prefix(b"$")?.eq_ignore_ascii_case(name) {
        return None;
    }
    let rows = context.directives.iter().filter_map(|&at| {
        // `volatile`, `hostnames` and `ranges` have no value; `proxy` and `delete` of geo give none.
        let key = model.name(at);
        let no_row = directive.name() == "geo" && (key == "proxy" || key == "delete");
        if no_row { None } else { model.arg(at, 0) }
    });
    Some(rows.collect())
}

fn parts_of(text: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(dollar) = memchr::memchr(b'$', rest) {
        let (before, after) = rest.split_at_checked(dollar).unwrap_or((rest, b""));
        let after = after.get(1..).unwrap_or_default();
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
    let len = after
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    after.split_at_checked(len).unwrap_or((after, b""))
}
