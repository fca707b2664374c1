//! The pages in `docs/causes/` and `docs/lints/`: written from the doc comments of causes and lints, never by hand.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use diagnose::{causes, lints};

use crate::run::root;

/// The pages, each with the place it belongs to: one a cause or a lint, and their lists.
fn pages() -> Vec<(PathBuf, String)> {
    [cause_pages(), lint_pages()].concat()
}

fn lint_pages() -> Vec<(PathBuf, String)> {
    let folder = root().join("docs/lints");
    let mut index = String::from(
        "# Lints\n\nWhat `why502 lint` looks for: one page each, also shown by `why502 explain ID`.\n\n",
    );
    let mut pages = Vec::new();
    for lint in lints::ALL {
        let line = format!("- [`{0}`]({0}.md): {1}\n", lint.id, lint.title());
        index.push_str(&line);
        let path = folder.join(format!("{}.md", lint.id));
        pages.push((path, report::pages::lint(lint)));
    }
    pages.push((folder.join("README.md"), index));
    pages
}

fn cause_pages() -> Vec<(PathBuf, String)> {
    let folder = root().join("docs/causes");
    let mut index = String::from(
        "# Causes\n\nWhat completes \"502 because ...\": one page each, also shown by `why502 explain ID`.\n\n",
    );
    let mut pages = Vec::new();
    for cause in causes::ALL {
        let line = format!("- [`{0}`]({0}.md): {1}\n", cause.id, cause.title());
        index.push_str(&line);
        pages.push((
            folder.join(format!("{}.md", cause.id)),
            report::pages::cause(cause),
        ));
    }
    pages.push((folder.join("README.md"), index));
    pages
}

/// Writes the pages anew.
pub(crate) fn write() -> Result<()> {
    for (path, text) in pages() {
        fs::create_dir_all(path.parent().context("a page has no folder")?)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_current() {
        for (path, text) in pages() {
            let written = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(
                written,
                text,
                "{} is out of date: cargo xtask gen",
                path.display()
            );
        }
        for (folder, pages) in [
            ("docs/causes", causes::ALL.len()),
            ("docs/lints", lints::ALL.len()),
        ] {
            let files = fs::read_dir(root().join(folder)).unwrap().count();
            assert_eq!(files, pages + 1, "{folder} holds a page of nothing");
        }
    }
}
