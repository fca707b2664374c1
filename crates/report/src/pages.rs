//! The pages of causes and lints as Markdown, for `docs/causes/` and `docs/lints/`.

use diagnose::{Cause, Lint};

/// The page of one cause, as `docs/causes/<id>.md` holds it: links are relative to there.
pub fn cause(cause: &Cause) -> String {
    let file = cause.file;
    let refines = match cause.refines {
        [] => String::new(),
        ids => {
            let links: Vec<String> = ids.iter().map(|id| format!("[{id}]({id}.md)")).collect();
            format!("Says more than: {}.\n", links.join(", "))
        }
    };
    format!(
        "# {}\n\n{}\n\n---\n\n{refines}Since version {}.\nSource: [`{file}`](../../{file}).\n",
        cause.id,
        cause.page().trim_end(),
        cause.since,
    )
}

/// The page of one lint, as `docs/lints/<id>.md` holds it.
pub fn lint(lint: &Lint) -> String {
    let file = lint.file;
    format!(
        "# {}\n\n{}\n\n---\n\nSeverity: {}.\nSince version {}.\nSource: [`{file}`](../../{file}).\n",
        lint.id,
        lint.page().trim_end(),
        lint.severity.as_str(),
        lint.since,
    )
}
