//! What a run of the lints found: plain data, rendered and applied elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::ByteSlice as _;
use conf::Tree;
use facts::{ConfSpan, Gap};
use jiff::Timestamp;

use super::{Ignored, Lint, Severity};
use crate::verdict::Safety;

/// One finding.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which lint.
    pub lint: &'static Lint,
    /// How much it matters here.
    pub severity: Severity,
    /// Where, with the mark under what is meant, and a few words for it as its label.
    pub span: ConfSpan,
    /// Why it matters, a sentence.
    pub reason: String,
    /// How it came about: other places, each with its label.
    pub chain: Vec<ConfSpan>,
    /// What would mend it.
    pub mend: Option<Mend>,
}

/// An edit that mends a finding.
#[derive(Clone, Debug)]
pub struct Mend {
    /// In the imperative.
    pub summary: String,
    /// Whether it may be made unasked.
    pub safety: Safety,
    /// The edits, each with its file.
    pub edits: Vec<(PathBuf, conf::Edit)>,
}

impl Mend {
    /// Whether it may be made unasked.
    pub fn is_safe(&self) -> bool {
        self.safety == Safety::Safe
    }
}

/// What an edit changes, as whole lines without the last line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub file: PathBuf,
    /// The first line, from 1.
    pub line: usize,
    /// The lines as they stand.
    pub old: String,
    /// The lines to stand there.
    pub new: String,
}

/// A place in a file, as people and programs count: lines and columns from 1, columns in characters, the end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The first line.
    pub line: usize,
    /// The column of its first character.
    pub column: usize,
    /// The last line.
    pub end_line: usize,
    /// The column behind its last character.
    pub end_column: usize,
}

impl Place {
    /// Where the mark of a span stands.
    pub fn of(span: &ConfSpan) -> Self {
        let at = |offset: usize| {
            let before = span.source.get(..offset).unwrap_or(&span.source);
            let line = before.matches('\n').count();
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            let column = before.get(start..).unwrap_or_default().chars().count();
            (span.line.max(1) + line, column + 1)
        };
        let (line, column) = at(span.mark.start);
        let (end_line, end_column) = at(span.mark.end);
        Self {
            line,
            column,
            end_line,
            end_column,
        }
    }
}

/// A configuration that was looked at.
#[derive(Clone, Debug)]
pub struct Linted {
    /// The master that runs it.
    pub pid: Option<u32>,
    /// nginx's version, where it is known.
    pub version: Option<String>,
    /// Its main file, or `-`.
    pub config: PathBuf,
    /// How many files it has.
    pub files: usize,
    /// Whether it is a part of one: what stands around it is not known.
    pub is_partial: bool,
    /// Whether the host behind it was looked at.
    pub has_host: bool,
}

/// A lint that could not be judged in full, and why.
#[derive(Clone, Debug)]
pub struct NotLooked {
    /// Which.
    pub lint: &'static Lint,
    /// What was missing.
    pub gap: Gap,
}

/// A file as it would be with its findings mended.
#[derive(Clone, Debug)]
pub struct Mended {
    /// As it was read, with secrets masked.
    pub tree: Arc<Tree>,
    /// What changes.
    pub edits: Vec<conf::Edit>,
}

/// Everything found.
#[derive(Clone, Debug)]
pub struct LintReport {
    /// When.
    pub generated_at: Timestamp,
    /// Where; `None` where only text was given.
    pub hostname: Option<String>,
    /// Whether all could be read.
    pub privileged: bool,
    /// The configurations.
    pub linted: Vec<Linted>,
    /// The findings, by file and line.
    pub findings: Vec<Finding>,
    /// Findings that a comment with a reason took away.
    pub ignored: Vec<Ignored>,
    /// Comments that take nothing away.
    pub unused: Vec<ConfSpan>,
    /// What was not looked at.
    pub not_looked: Vec<NotLooked>,
    /// What of the configuration could not be read.
    pub gaps: Vec<Gap>,
    /// The files that edits are of: as they were read, with secrets masked.
    pub(crate) trees: BTreeMap<PathBuf, Arc<Tree>>,
}

impl LintReport {
    /// What the safe edits of the findings make of each file. Edits that overlap others are left for another run.
    pub fn mended(&self) -> BTreeMap<&Path, Mended> {
        let mut files: BTreeMap<&Path, Mended> = BTreeMap::new();
        for finding in &self.findings {
            let Some(mend) = finding
                .mend
                .as_ref()
                .filter(|mend| mend.safety == Safety::Safe)
            else {
                continue;
            };
            self.take(&mut files, mend);
        }
        files
    }

    /// Takes the edits of one finding in, all or none.
    fn take<'s>(&'s self, files: &mut BTreeMap<&'s Path, Mended>, mend: &Mend) {
        let mut new = files.clone();
        for (path, edit) in &mend.edits {
            let Some((path, tree)) = self.trees.get_key_value(path) else {
                return;
            };
            let mended = new.entry(path).or_insert_with(|| Mended {
                tree: Arc::clone(tree),
                edits: Vec::new(),
            });
            if mended.edits.contains(edit) {
                continue;
            }
            mended.edits.push(edit.clone());
            if mended.tree.edited(&mended.edits).is_err() {
                return;
            }
        }
        *files = new;
    }

    /// The same with its files called by other names.
    #[must_use]
    pub fn renamed(mut self, name: &dyn Fn(&Path) -> PathBuf) -> Self {
        let of_span = |span: &mut ConfSpan| span.file = name(&span.file);
        let ignored = self.ignored.iter_mut().map(|ignored| &mut ignored.finding);
        for finding in self.findings.iter_mut().chain(ignored) {
            of_span(&mut finding.span);
            finding.chain.iter_mut().for_each(of_span);
            for (file, _) in finding.mend.iter_mut().flat_map(|mend| &mut mend.edits) {
                *file = name(file);
            }
        }
        self.unused.iter_mut().for_each(of_span);
        for linted in &mut self.linted {
            linted.config = name(&linted.config);
        }
        self.trees = self
            .trees
            .into_iter()
            .map(|(path, tree)| (name(&path), tree))
            .collect();
        self
    }

    /// What the edits of a finding change, line by line.
    pub fn changes(&self, mend: &Mend) -> Vec<Change> {
        let edits = mend.edits.iter();
        edits
            .filter_map(|(path, edit)| change(path, self.trees.get(path)?, edit))
            .collect()
    }

    /// A file that an edit is of, as it was read.
    pub fn tree(&self, path: &Path) -> Option<&Arc<Tree>> {
        self.trees.get(path)
    }
}

/// An edit extended to the lines that it touches.
fn change(path: &Path, tree: &Tree, edit: &conf::Edit) -> Option<Change> {
    let source = tree.source();
    let span = edit.span.range();
    let start = source
        .get(..span.start)?
        .rfind_byte(b'\n')
        .map_or(0, |at| at + 1);
    let behind = source.get(span.end..)?;
    let end = behind
        .find_byte(b'\n')
        .map_or(source.len(), |at| span.end + at);
    let old = source.get(start..end)?;
    let new = [
        source.get(start..span.start)?,
        &edit.replacement,
        source.get(span.end..end)?,
    ]
    .concat();
    let text = |bytes: &[u8]| bytes.to_str_lossy().trim_end_matches('\r').to_owned();
    Some(Change {
        file: path.to_owned(),
        line: tree.position(edit.span.start).line as usize,
        old: text(old),
        new: text(&new),
    })
}
