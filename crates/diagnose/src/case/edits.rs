//! Edits of a configuration that change one place and no other.

use conf::{ContextId, ContextKind, Model};

use super::config::span;
use crate::verdict::Step;

/// The edits that give directives new values at a pass and nowhere else.
pub(super) fn set_at_pass(
    model: &Model,
    context: ContextId,
    changes: &[(String, String)],
) -> Option<Vec<Step>> {
    let pass = model.pass_in_force(context)?.directive;
    // An `if` takes a pass, and no buffer sizes.
    let level = model
        .chain(context)
        .find(|level| !matches!(level.kind, ContextKind::If | ContextKind::LimitExcept))?;
    let mut steps = Vec::new();
    let mut added = Vec::new();
    for (name, value) in changes {
        let new = format!("{name} {value};");
        match model.own(level.id, name).last() {
            Some(&at) => {
                let span = span(model, at, None)?;
                if span.text != new {
                    steps.push(Step::Edit {
                        file: span.file,
                        line: span.line,
                        old: span.text,
                        new,
                    });
                }
            }
            None => added.push(new),
        }
    }
    if added.is_empty() {
        return Some(steps);
    }
    let (anchor, deeper) = if level.id == context {
        (pass, "")
    } else {
        (level.directive?, "    ")
    };
    let span = span(model, anchor, None)?;
    let indentation: String = span
        .source
        .chars()
        .take_while(|c| c.is_whitespace())
        .collect();
    let mut new = span.text.clone();
    for line in added {
        new.push('\n');
        new.push_str(&indentation);
        new.push_str(deeper);
        new.push_str(&line);
    }
    steps.push(Step::Edit {
        file: span.file,
        line: span.line,
        old: span.text,
        new,
    });
    Some(steps)
}
