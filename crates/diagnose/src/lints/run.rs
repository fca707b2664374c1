//! Runs the lints: over the configurations of a case, by the same loop of collecting as a diagnosis, or over a text alone.
//! Knows no lint by name.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use conf::{Configuration, Model, Tree};
use facts::{Gap, GapKind, ProbeRequest, View};
use jiff::Timestamp;

use super::subject::Behind;
use super::{
    ALL, Finding, Found, Judge, Lint, LintReport, Linted, Mend, NotLooked, Severity, Subject,
    ignore,
};
use crate::case::{Case, Configured, Instance, is_main};
use crate::verdict::Safety;

/// What a file is that is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// What `nginx -T` printed.
    Dump,
    /// A main configuration file, which includes others.
    Main,
    /// A file that another one includes.
    Part,
}

/// Whether a file is meant.
pub type PathFilter = Box<dyn Fn(&Path) -> bool>;

/// What the user wants of lints.
#[derive(Default)]
pub struct Rules {
    /// The severity of a lint's findings; `None` where it is not wanted.
    pub severities: BTreeMap<&'static str, Option<Severity>>,
    /// Files of which no finding is told.
    pub ignores: Option<PathFilter>,
}

/// How to look.
#[derive(Default)]
pub struct LintOptions {
    /// The version to judge by, in place of the one that is found.
    pub version: Option<(u32, u32, u32)>,
    /// Look at this host though no nginx here runs the configuration.
    pub on_host: bool,
    /// What is wanted.
    pub rules: Rules,
}

/// What a text is, by what stands in it.
pub fn input_of(text: &[u8]) -> Input {
    if Configuration::from_dump(text).fragment_of().is_none() {
        Input::Dump
    } else if is_main(&Tree::parse(text.to_vec())) {
        Input::Main
    } else {
        Input::Part
    }
}

impl Case {
    /// The questions that the lints still want answered.
    pub fn lint_plan(&self, options: &LintOptions) -> Vec<ProbeRequest> {
        // The answer is thrown away: only what it asked for counts.
        drop(self.lint_report(options));
        self.evidence.wanted()
    }

    /// What the lints find. Evidence still missing is told as not looked at.
    pub fn lint(&mut self, options: &LintOptions) -> LintReport {
        self.evidence.close();
        self.lint_report(options)
    }

    fn lint_report(&self, options: &LintOptions) -> LintReport {
        let mut run = Run::new(options, self.now());
        run.report.hostname = self.hostname();
        run.report.privileged = self.is_privileged();
        let instances = match self.instances() {
            Ok(instances) => instances,
            Err(gap) => {
                run.report.gaps.push(gap);
                return run.done();
            }
        };
        for (idx, instance) in instances.iter().enumerate() {
            match self.configured(idx) {
                Ok(configured) => {
                    run.report.gaps.extend(configured.unread().cloned());
                    self.lint_instance(&mut run, idx, instance, &configured);
                }
                Err(gap) => run.report.gaps.push(gap),
            }
        }
        run.done()
    }

    fn lint_instance(
        &self,
        run: &mut Run<'_>,
        idx: usize,
        instance: &Instance,
        configured: &Configured,
    ) {
        let has_host = run.options.on_host
            || self.options.config.is_none()
            || instance.master.is_some()
            || self.is_installed(instance);
        let own = instance
            .version
            .is_some()
            .then(|| instance.version_numbers());
        let subject = Subject {
            configuration: &configured.configuration,
            model: &configured.model,
            version: run.options.version.or(own),
            behind: if has_host {
                Behind::Host(self, idx)
            } else {
                Behind::Unasked
            },
            unknown: RefCell::default(),
            includes: OnceCell::new(),
            passes_by_upstream: OnceCell::new(),
        };
        run.report.linted.push(Linted {
            pid: instance.master.as_ref().map(|master| master.pid),
            version: run.named_version().or_else(|| instance.version.clone()),
            config: instance.config.clone(),
            files: configured.configuration.files().len(),
            is_partial: false,
            has_host,
        });
        if !has_host {
            run.report.gaps.extend(absent(&configured.configuration));
        }
        run.judge(&subject, instance.view == View::Host);
    }
}

/// Files that a configuration includes and that are not here. Where nginx runs, they may be.
fn absent(configuration: &Configuration) -> Option<Gap> {
    let troubles = configuration.troubles().iter();
    let mut absent = troubles.filter(|trouble| trouble.message.starts_with("open() "));
    let first = absent.next()?;
    let more = match absent.count() {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    Some(
        Gap::new(
            GapKind::Absent,
            "what an included file says",
            format!("{first}{more}"),
        )
        .learn("[lint.path-map] in why502.toml says where its files stand here"),
    )
}

impl LintReport {
    /// What the lints find in a text alone: the output of `nginx -T`, or a file that another one includes.
    pub fn of_text(path: &Path, text: Vec<u8>, now: Timestamp, options: &LintOptions) -> Self {
        let dumped = Configuration::from_dump(&text);
        let configuration = if dumped.fragment_of().is_none() {
            dumped
        } else {
            Configuration::fragment(path, &Arc::new(Tree::parse(text)))
        };
        let model = Model::of(&configuration);
        let mut run = Run::new(options, now);
        let is_partial = configuration.fragment_of().is_some();
        let main = configuration.files().first();
        run.report.linted.push(Linted {
            pid: None,
            version: run.named_version(),
            config: main.map_or_else(|| path.to_owned(), |file| file.path.clone()),
            files: configuration.files().len(),
            is_partial,
            has_host: false,
        });
        let subject = Subject {
            configuration: &configuration,
            model: &model,
            version: options.version,
            behind: Behind::Text,
            unknown: RefCell::default(),
            includes: OnceCell::new(),
            passes_by_upstream: OnceCell::new(),
        };
        // A dump's files are not to be had by their names.
        run.judge(&subject, is_partial);
        run.done()
    }
}

/// A run of all lints over some configurations.
struct Run<'o> {
    options: &'o LintOptions,
    report: LintReport,
    seen: BTreeSet<(&'static str, PathBuf, usize, usize)>,
}

impl<'o> Run<'o> {
    fn new(options: &'o LintOptions, now: Timestamp) -> Self {
        Self {
            options,
            report: LintReport {
                generated_at: now,
                hostname: None,
                privileged: true,
                linted: Vec::new(),
                findings: Vec::new(),
                ignored: Vec::new(),
                unused: Vec::new(),
                not_looked: Vec::new(),
                gaps: Vec::new(),
                trees: BTreeMap::new(),
            },
            seen: BTreeSet::new(),
        }
    }

    fn named_version(&self) -> Option<String> {
        let (major, minor, patch) = self.options.version?;
        Some(format!("{major}.{minor}.{patch}"))
    }

    /// Judges every lint; `has_files` says whether its files are this host's, so that edits can be made.
    fn judge(&mut self, subject: &Subject<'_>, has_files: bool) {
        let mut findings = Vec::new();
        for lint in ALL {
            let severity = match self.options.rules.severities.get(lint.id) {
                Some(None) => continue,
                Some(Some(severity)) => Some(*severity),
                None => None,
            };
            let found = judged(lint, subject).unwrap_or_else(|gap| {
                subject.unknown.borrow_mut().push(gap);
                Vec::new()
            });
            let gaps = subject.unknown.take();
            for gap in gaps.into_iter().filter(|gap| gap.kind != GapKind::Pending) {
                let is_told = |told: &NotLooked| told.lint == *lint && told.gap == gap;
                if !self.report.not_looked.iter().any(is_told) {
                    self.report.not_looked.push(NotLooked { lint, gap });
                }
            }
            let findings_of = found
                .into_iter()
                .map(|found| finding(lint, severity, found, subject, has_files));
            findings.extend(findings_of);
        }
        if let Some(ignores) = &self.options.rules.ignores {
            findings.retain(|finding: &Finding| !ignores(&finding.span.file));
        }
        let comments = ignore::comments(subject.model);
        let (kept, ignored, unused) = ignore::sift(findings, &comments);
        for finding in kept {
            let place = (
                finding.lint.id,
                finding.span.file.clone(),
                finding.span.line,
                finding.span.column + finding.span.mark.start,
            );
            // A snippet that is included twice, and two masters of one configuration, tell the same.
            if self.seen.insert(place) {
                self.report.findings.push(finding);
            }
        }
        self.report.ignored.extend(ignored);
        self.report.unused.extend(unused);
        if has_files {
            let files = subject.model.files().iter();
            let trees = files.map(|file| (file.path.clone(), Arc::clone(&file.tree)));
            self.report.trees.extend(trees);
        }
    }

    fn done(mut self) -> LintReport {
        self.report.findings.sort_by(|one, other| {
            let key = |finding: &Finding| {
                let span = &finding.span;
                (span.file.clone(), span.line, span.column, finding.lint.id)
            };
            key(one).cmp(&key(other))
        });
        self.report
    }
}

/// One bad lint never ends the run.
fn judged(lint: &Lint, subject: &Subject<'_>) -> Result<Vec<Found>, Gap> {
    let judge = || match lint.judge {
        Judge::Text(judge) => Ok(judge(subject)),
        Judge::Host(judge) => judge(subject),
    };
    catch_unwind(AssertUnwindSafe(judge)).unwrap_or_else(|_| {
        Err(Gap::undecided(
            format!("what {} says", lint.id),
            "it failed: this is a defect of why502, please report it",
        ))
    })
}

fn finding(
    lint: &'static Lint,
    severity: Option<Severity>,
    found: Found,
    subject: &Subject<'_>,
    has_files: bool,
) -> Finding {
    let mend = found.mend.map(|mend| {
        let safety = if !has_files {
            Safety::DisplayOnly
        } else if mend.edits.iter().any(|(file, _)| subject.is_shared(*file)) {
            Safety::Unsafe
        } else {
            mend.safety
        };
        let named = mend.edits.into_iter().filter_map(|(file, edit)| {
            // The text of `-g` is no file.
            let file = (file != conf::FileId::COMMAND_LINE).then(|| subject.model.file(file))??;
            Some((file.path.clone(), edit))
        });
        Mend {
            summary: mend.summary,
            safety,
            edits: named.collect(),
        }
    });
    Finding {
        lint,
        severity: severity.or(found.severity).unwrap_or(lint.severity),
        span: found.span,
        reason: found.reason,
        chain: found.chain,
        mend,
    }
}
