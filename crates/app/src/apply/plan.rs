//! From a confirmed fix to what will be done: files read, ways back found, and all of it put into words before anybody agrees.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use diagnose::repair::{self, Act, Repair, Undo};
use diagnose::{Fix, Judged, Probe};
use facts::managed;
use host::{Attributes, Change, Master, Original};
use report::repair::{Plan, Step, StepKind};

use super::journal;

/// A plan with all that it needs.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    /// What the journal will hold.
    pub(super) acts: Vec<journal::Act>,
    /// The files that it writes, by number.
    pub(super) files: Vec<Written>,
}

/// A file before and after.
pub(super) struct Written {
    pub(super) original: Original,
    pub(super) new: Vec<u8>,
}

/// What a plan is made from.
pub(super) struct Source<'a> {
    pub(super) judged: &'a Judged,
    pub(super) fix: &'a Fix,
    pub(super) repair: &'a Repair,
    pub(super) master: Option<&'a Master>,
}

impl Source<'_> {
    /// Reads what is to be changed. Changes nothing.
    pub(super) fn prepare(&self, change: &Change, probe: &dyn Probe) -> anyhow::Result<Prepared> {
        let mut prepared = Prepared {
            plan: self.words(),
            acts: Vec::new(),
            files: Vec::new(),
        };
        for act in &self.repair.acts {
            let (step, act) = match act {
                Act::Write { file, hunks } => {
                    let number = prepared.files.len();
                    let written = written(file, hunks)?;
                    let step = edit(&written, probe);
                    let act = journal::Act::Write {
                        file: written.original.path.clone(),
                        number,
                        attributes: (&written.original.attributes).into(),
                    };
                    prepared.files.push(written);
                    (step, act)
                }
                Act::Test { argv } => (
                    step(StepKind::Test {
                        argv: self.shown(argv),
                    }),
                    journal::Act::Test { argv: argv.clone() },
                ),
                Act::Reload { unit } => (
                    step(StepKind::Reload {
                        argv: self.reload(unit.as_deref()),
                    }),
                    journal::Act::Reload { unit: unit.clone() },
                ),
                Act::Run(command) => self.run(command, change)?,
            };
            prepared.plan.steps.push(step);
            prepared.acts.push(act);
        }
        Ok(prepared)
    }

    fn words(&self) -> Plan {
        let peer = &self.judged.incident.peer;
        let mut verify = Vec::new();
        if self.judged.incident.is_of_connecting() {
            let dialled = if self.repair.files().next().is_some() {
                format!("what nginx dials in place of {peer}")
            } else {
                peer.clone()
            };
            verify.push(format!("connect to {dialled} as nginx's worker"));
        }
        verify.extend(
            self.judged
                .reached_by
                .as_ref()
                .map(|url| format!("GET {url} through nginx")),
        );
        verify.push("ask why502 whether it still fails, or anything else does".to_owned());
        Plan {
            incident: self.judged.incident.id.clone(),
            peer: self.judged.incident.peer.clone(),
            cause: self.judged.cause.map_or("", |cause| cause.id),
            wrong: self
                .judged
                .answer()
                .map(|answer| answer.summary.clone())
                .unwrap_or_default(),
            summary: self.fix.summary.clone(),
            safety: self.fix.safety,
            steps: Vec::new(),
            verify,
            remarks: self.repair.remarks.clone(),
        }
    }

    /// The test as a person would type it.
    fn shown(&self, argv: &[String]) -> Vec<String> {
        let Some(master) = self.master else {
            return argv.to_owned();
        };
        let options = master
            .options
            .iter()
            .map(|option| String::from_utf8_lossy(option).into_owned());
        ["nginx", "-t"]
            .map(str::to_owned)
            .into_iter()
            .chain(options)
            .collect()
    }

    fn reload(&self, unit: Option<&str>) -> Vec<String> {
        match (unit, self.master) {
            (Some(unit), _) => ["systemctl", "reload", unit].map(str::to_owned).to_vec(),
            (None, Some(master)) => {
                vec!["kill".to_owned(), "-HUP".to_owned(), master.pid.to_string()]
            }
            (None, None) => Vec::new(),
        }
    }

    fn run(
        &self,
        command: &repair::Command,
        change: &Change,
    ) -> anyhow::Result<(Step, journal::Act)> {
        let mut argv = command.argv.clone();
        let undo = match &command.undo {
            Undo::Run(argv) => journal::Undo::Run { argv: argv.clone() },
            Undo::Attributes(path) => journal::Undo::Attributes {
                attributes: (&Attributes::of(path)?).into(),
                path: path.clone(),
            },
            Undo::Setting { read, write } => journal::Undo::Run {
                argv: restored(change, read, write)?,
            },
            Undo::Rule { delete, list } => {
                let comment = format!("why502-{}", self.judged.incident.id);
                argv.extend(["comment".to_owned(), format!("\"{comment}\"")]);
                journal::Undo::Rule {
                    delete: delete.clone(),
                    list: list.clone(),
                    comment,
                }
            }
            Undo::Directories(path) => journal::Undo::Directories {
                missing: missing(path),
            },
            Undo::Again => journal::Undo::Again,
        };
        let step = Step {
            kind: StepKind::Command { argv: argv.clone() },
            undo: in_words(&undo),
            notes: Vec::new(),
        };
        Ok((step, journal::Act::Run { argv, undo }))
    }
}

fn step(kind: StepKind) -> Step {
    Step {
        kind,
        undo: String::new(),
        notes: Vec::new(),
    }
}

fn written(file: &Path, hunks: &[repair::Hunk]) -> anyhow::Result<Written> {
    let original = Original::read(file)?;
    let new = repair::edited(&original.bytes, hunks)
        .with_context(|| original.path.display().to_string())?;
    Ok(Written {
        original,
        new: new.into(),
    })
}

fn edit(written: &Written, probe: &dyn Probe) -> Step {
    let original = &written.original;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let header = managed::header(&original.bytes).map(|header| {
        format!("its first lines say: {header} - mend it there too, or this is lost")
    });
    let package = managed::owner(&original.path)
        .iter()
        .find_map(|request| managed::owned_by(&probe.ask(request)))
        .map(|package| {
            format!("package {package} owns it: an upgrade of it will ask about the change")
        });
    Step {
        kind: StepKind::Edit {
            file: original.path.clone(),
            old: text(&original.bytes),
            new: text(&written.new),
        },
        undo: "the file is put back from its backup, with owner, mode and label".to_owned(),
        notes: header.into_iter().chain(package).collect(),
    }
}

/// The command that writes a setting as it is now.
fn restored(change: &Change, read: &[String], write: &[String]) -> anyhow::Result<Vec<String>> {
    let ran = change.run(read)?;
    anyhow::ensure!(ran.is_success(), "{}: {}", read.join(" "), ran.said());
    let value = String::from_utf8_lossy(&ran.stdout);
    let value: Vec<&str> = value.split_whitespace().collect();
    let mut argv = write.to_owned();
    if let Some(last) = argv.last_mut() {
        last.push_str(&value.join(" "));
    }
    Ok(argv)
}

/// The directories of a path that are not there, the deepest first.
fn missing(path: &Path) -> Vec<PathBuf> {
    path.ancestors()
        .take_while(|ancestor| !ancestor.exists())
        .map(Path::to_owned)
        .collect()
}

fn in_words(undo: &journal::Undo) -> String {
    match undo {
        journal::Undo::Run { argv } => argv.join(" "),
        journal::Undo::Attributes { path, .. } => format!(
            "{} gets its owner, mode, access list and label back",
            path.display()
        ),
        journal::Undo::Rule {
            delete, comment, ..
        } => {
            format!(
                "{} N, where N is the handle of the rule with comment {comment}",
                delete.join(" ")
            )
        }
        journal::Undo::Directories { .. } => "the directories are removed again".to_owned(),
        journal::Undo::Again => "run again once the rest is back".to_owned(),
    }
}
