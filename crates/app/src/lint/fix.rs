//! `why502 lint --fix`: the safe edits, as a patch that is shown first, and written when the user agrees.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use conf::Tree;
use diagnose::LintReport;
use diagnose::lints::Mended;
use host::{Change, Original};
use similar::TextDiff;

/// Lines around a change that the patch shows.
const AROUND: usize = 2;

/// A file and what it is to hold.
pub(crate) struct Rewrite {
    path: PathBuf,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// What the safe edits of a report make of each file.
pub(crate) fn rewrites(report: &LintReport) -> anyhow::Result<Vec<Rewrite>> {
    let mended = report.mended().into_iter();
    mended
        .map(|(path, mended)| {
            rewrite(path, &mended).with_context(|| format!("{} is left as it is", path.display()))
        })
        .collect()
}

/// Makes the edits in what stands on disk: what was judged has its secrets masked.
fn rewrite(path: &Path, mended: &Mended) -> anyhow::Result<Rewrite> {
    let old = std::fs::read(path).context("cannot read it")?;
    anyhow::ensure!(
        is_same_but_for_secrets(&old, mended.tree.source()),
        "it has changed since it was read: run why502 lint --fix again"
    );
    // What an edit writes was made of what was judged: a masked secret must not be written out as one.
    let is_masked = mended.edits.iter().any(|edit| {
        let range = edit.span.range();
        old.get(range.clone()) != mended.tree.source().get(range)
    });
    anyhow::ensure!(
        !is_masked,
        "an edit would replace a secret, which why502 does not know: make it yourself"
    );
    let tree = Tree::parse(old.clone());
    let new = tree.edited(&mended.edits)?;
    let after = Tree::parse(new.clone());
    anyhow::ensure!(
        after.troubles().len() <= tree.troubles().len(),
        "the edit would make a file that nginx cannot read: this is a defect of why502, please report it"
    );
    Ok(Rewrite {
        path: path.to_owned(),
        old,
        new,
    })
}

/// Masking keeps lengths, and writes `*`.
fn is_same_but_for_secrets(disk: &[u8], judged: &[u8]) -> bool {
    disk.len() == judged.len()
        && disk
            .iter()
            .zip(judged)
            .all(|(disk, judged)| disk == judged || *judged == b'*')
}

/// The patch, with secrets as masked as they were judged.
pub(crate) fn patch(report: &LintReport) -> anyhow::Result<String> {
    let mut patch = String::new();
    for (path, mended) in report.mended() {
        let old = String::from_utf8_lossy(mended.tree.source()).into_owned();
        let new = mended.tree.edited(&mended.edits)?;
        let new = String::from_utf8_lossy(&new).into_owned();
        let diff = TextDiff::from_lines(&old, &new);
        let name = path.display().to_string();
        let mut unified = diff.unified_diff();
        let unified = unified.context_radius(AROUND).header(&name, &name);
        write!(patch, "{unified}")?;
    }
    Ok(patch)
}

/// Writes them, each file as a whole or not at all.
pub(crate) fn write(rewrites: &[Rewrite]) -> anyhow::Result<()> {
    for rewrite in rewrites {
        let original = Original::read(&rewrite.path)?;
        anyhow::ensure!(
            original.bytes == rewrite.old,
            "{} has changed meanwhile: run why502 lint again",
            rewrite.path.display()
        );
        Change::new().replace(&original.path, &rewrite.new, &original.attributes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_text_is_the_same_and_other_text_is_not() {
        assert!(is_same_but_for_secrets(b"key abc;", b"key ***;"));
        assert!(!is_same_but_for_secrets(b"key abc;", b"kex ***;"));
        assert!(!is_same_but_for_secrets(b"key abcd;", b"key ***;"));
    }
}
