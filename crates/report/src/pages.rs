//! The causes' pages as Markdown, for `docs/causes/`.

use diagnose::Cause;

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
