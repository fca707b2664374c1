//! `# why502: ignore[lint-id] reason`: a comment that takes findings away, on their line or the line above.
//!
//! Without a reason it takes nothing away and is itself a finding (`ignore-without-reason`).

use std::path::Path;

use bstr::ByteSlice as _;
use conf::{Model, Span, Tree};
use facts::ConfSpan;

use super::Finding;

const MARK: &str = "why502: ignore";

/// A finding that a comment took away.
#[derive(Clone, Debug)]
pub struct Ignored {
    /// The finding.
    pub finding: Finding,
    /// What the comment gives as its reason.
    pub reason: String,
}

/// One comment.
#[derive(Clone, Debug)]
pub(super) struct Comment {
    /// The comment, with the mark under it.
    pub(super) span: ConfSpan,
    /// The ids between the brackets.
    pub(super) ids: Vec<String>,
    /// What stands behind them.
    pub(super) reason: String,
    /// Whether a directive stands before it on its line.
    is_behind: bool,
    /// The line from which on only comments stand, down to this one.
    first_line: usize,
}

impl Comment {
    /// Whether it is meant for what stands on these lines of its file: its own line, or, where it has that for itself, the
    /// line below. Comments above each other count as one.
    fn covers(&self, file: &Path, lines: std::ops::RangeInclusive<usize>) -> bool {
        let meant = if self.is_behind {
            self.span.line
        } else {
            self.first_line
        };
        self.span.file == file && lines.contains(&meant)
    }
}

/// Every such comment of a configuration.
pub(super) fn comments(model: &Model) -> Vec<Comment> {
    let files = model.files().iter();
    files
        .flat_map(|file| comments_of(&file.path, &file.tree))
        .collect()
}

/// Parts findings from those that a comment with a reason takes away; and the comments that take none.
pub(super) fn sift(
    findings: Vec<Finding>,
    comments: &[Comment],
) -> (Vec<Finding>, Vec<Ignored>, Vec<ConfSpan>) {
    let mut kept = Vec::new();
    let mut ignored = Vec::new();
    let mut used = vec![false; comments.len()];
    for finding in findings {
        let place = super::Place::of(&finding.span);
        let lines = finding.span.line..=place.end_line;
        let found = comments.iter().position(|comment| {
            !comment.reason.is_empty()
                && comment.ids.iter().any(|id| id == finding.lint.id)
                && comment.covers(&finding.span.file, lines.clone())
        });
        match found.and_then(|idx| Some((comments.get(idx)?, used.get_mut(idx)?))) {
            Some((comment, used)) => {
                *used = true;
                let reason = comment.reason.clone();
                ignored.push(Ignored { finding, reason });
            }
            None => kept.push(finding),
        }
    }
    let unused = comments.iter().zip(&used);
    let unused = unused
        .filter(|(comment, used)| !**used && !comment.reason.is_empty())
        .map(|(comment, _)| comment.span.clone());
    let unused = unused.collect();
    (kept, ignored, unused)
}

fn comments_of(path: &Path, tree: &Tree) -> Vec<Comment> {
    let source = tree.source();
    let mut found = Vec::new();
    for at in source.find_iter(MARK) {
        let Ok(offset) = u32::try_from(at) else { break };
        let line = tree.position(offset).line;
        let Some(text) = tree.line(line) else {
            continue;
        };
        let column = tree.position(offset).column as usize - 1;
        // The last `#` before the mark with nothing but space between.
        let before = text.get(..column).unwrap_or_default().trim_end();
        let Some(lead) = before.strip_suffix(b"#") else {
            continue;
        };
        let start = offset - u32::try_from(column - lead.len()).unwrap_or(0);
        if is_within_a_word(tree, start) {
            continue;
        }
        let comment = text.get(lead.len()..).unwrap_or_default();
        let Some((ids, reason)) = parts(comment.to_str_lossy().as_ref()) else {
            continue;
        };
        let text = text.to_str_lossy().trim_end().to_owned();
        let mark = text.len().saturating_sub(comment.trim_end().len())..text.len();
        let mark = if text.is_char_boundary(mark.start) {
            mark
        } else {
            0..text.len()
        };
        found.push(Comment {
            span: ConfSpan {
                file: path.to_owned(),
                line: line as usize,
                column: lead.len() + 1,
                text: text.get(mark.clone()).unwrap_or_default().to_owned(),
                source: text,
                mark,
                label: None,
            },
            ids,
            reason,
            is_behind: !lead.trim().is_empty(),
            first_line: below(tree, line),
        });
    }
    found
}

/// The first line below that is no comment.
fn below(tree: &Tree, line: u32) -> usize {
    let mut line = line + 1;
    while tree
        .line(line)
        .is_some_and(|text| text.trim_start().starts_with(b"#"))
    {
        line += 1;
    }
    line as usize
}

/// Whether a byte stands within a name or an argument: then `#` begins no comment.
fn is_within_a_word(tree: &Tree, offset: u32) -> bool {
    let holds = |span: Span| span.start <= offset && offset < span.end;
    tree.all().any(|directive| {
        holds(directive.name_span())
            || directive.args().any(|arg| holds(arg.span()))
            || (directive.is_lua_block() && directive.block_span().is_some_and(holds))
    })
}

/// Ids and reason of `# why502: ignore[id, id] reason`.
fn parts(comment: &str) -> Option<(Vec<String>, String)> {
    let rest = comment
        .trim_start_matches(['#', ' ', '\t'])
        .strip_prefix(MARK)?;
    let bracket = rest.trim_start().strip_prefix('[');
    let Some((ids, reason)) = bracket.and_then(|rest| rest.split_once(']')) else {
        return Some((Vec::new(), String::new()));
    };
    let ids = ids
        .split(',')
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty());
    let reason = reason.trim().trim_start_matches([':', '-', ' ']).to_owned();
    Some((ids.collect(), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, Vec<String>, String, bool, usize)> {
        comments_of(Path::new("/n"), &Tree::parse(text.as_bytes().to_vec()))
            .into_iter()
            .map(|comment| {
                (
                    comment.span.line,
                    comment.ids,
                    comment.reason,
                    comment.is_behind,
                    comment.first_line,
                )
            })
            .collect()
    }

    #[test]
    fn a_comment_names_lints_and_says_why() {
        let ids = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            found(
                "# why502: ignore[a, b] it is so\n# more\nx y; # why502: ignore[c] because\n#why502: ignore[d]\n"
            ),
            [
                (1, ids(&["a", "b"]), "it is so".to_owned(), false, 3),
                (3, ids(&["c"]), "because".to_owned(), true, 5),
                (4, ids(&["d"]), String::new(), false, 5),
            ]
        );
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for text in [
            "add_header X \"# why502: ignore[a] no\";",
            "x a#why502: ignore[a];",
            "# see why502: ignore in the docs",
            "content_by_lua_block {\n# why502: ignore[a] of Lua\n}",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
