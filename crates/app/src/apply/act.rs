//! Doing what a journal says, step by step, and taking it back. The journal is on disk before and after each.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use diagnose::repair::handle_of;
use host::{Attributes, Change, Original, Ran};

use super::Voice;
use super::journal::{Act, Journal, Phase, State, Store, Undo};

/// A master with many workers, or a large configuration, takes its time.
const RELOAD: Duration = Duration::from_secs(15);

/// Someone at work on a journal.
pub(super) struct Work<'a> {
    pub(super) change: &'a Change,
    pub(super) store: &'a Store,
    pub(super) journal: Journal,
    pub(super) voice: &'a mut dyn Voice,
}

impl Work<'_> {
    /// Carries out what has not been done yet; ends at the first failure.
    pub(super) fn carry_out(&mut self) -> anyhow::Result<()> {
        for idx in 0..self.journal.entries.len() {
            if self.state(idx) != State::Pending {
                continue;
            }
            super::interrupted()?;
            self.mark(idx, State::Begun)?;
            let text = self.text(idx);
            let done = self.act(idx);
            self.voice.progress(&text, done.is_ok());
            done.context(text)?;
            self.mark(idx, State::Done)?;
        }
        Ok(())
    }

    /// Takes everything back, the last first; what could not be taken back is returned, and the rest is.
    pub(super) fn take_back(&mut self) -> anyhow::Result<Vec<String>> {
        self.phase(Phase::Undoing)?;
        let mut left = Vec::new();
        let count = self.journal.entries.len();
        let touched: Vec<usize> = (0..count)
            .filter(|idx| self.state(*idx) != State::Pending)
            .collect();
        for &idx in touched.iter().rev() {
            if self.state(idx) == State::Undone {
                continue;
            }
            match self.undo(idx) {
                Ok(()) => self.mark(idx, State::Undone)?,
                Err(error) => left.push(format!("{}: {error:#}", self.text(idx))),
            }
        }
        // What puts files into force is done again with the old ones, also where it was not begun: that a file was put
        // back is a change of it, too. Whoever is killed before this does it when resumed.
        for idx in self.to_do_again(&touched) {
            if let Err(error) = self.again(idx) {
                left.push(format!("{}: {error:#}", self.text(idx)));
            }
        }
        Ok(left)
    }

    /// The acts that put into force what was put back.
    fn to_do_again(&self, touched: &[usize]) -> Vec<usize> {
        let is_write = |idx: &usize| {
            let entry = self.journal.entries.get(*idx);
            entry.is_some_and(|entry| matches!(entry.act, Act::Write { .. }))
        };
        if touched.iter().any(is_write) {
            (0..self.journal.entries.len()).collect()
        } else {
            // What was on disk is there still: nothing has to be tested or taken anew.
            let is_command = |idx: &usize| {
                let entry = self.journal.entries.get(*idx);
                entry.is_some_and(|entry| matches!(entry.act, Act::Run { .. }))
            };
            touched.iter().copied().filter(is_command).collect()
        }
    }

    /// What is not as it was before.
    pub(super) fn differences(&self) -> anyhow::Result<Vec<String>> {
        let mut left = Vec::new();
        for entry in &self.journal.entries {
            match &entry.act {
                Act::Write {
                    file,
                    number,
                    attributes,
                } => {
                    let now = Original::read(file)?;
                    let old = std::fs::read(self.store.backup(*number))?;
                    if now.bytes != old {
                        left.push(format!(
                            "{} differs from its backup {}",
                            file.display(),
                            self.store.backup(*number).display()
                        ));
                    }
                    left.extend(attributes_differ(file, &attributes.into()));
                }
                Act::Run {
                    undo: Undo::Attributes { path, attributes },
                    ..
                } => left.extend(attributes_differ(path, &attributes.into())),
                Act::Run { .. } | Act::Test { .. } | Act::Reload { .. } => {}
            }
        }
        Ok(left)
    }

    pub(super) fn phase(&mut self, phase: Phase) -> anyhow::Result<()> {
        self.journal.phase = phase;
        self.store.save(&self.journal)
    }

    fn state(&self, idx: usize) -> State {
        self.journal
            .entries
            .get(idx)
            .map_or(State::Pending, |entry| entry.state)
    }

    fn mark(&mut self, idx: usize, state: State) -> anyhow::Result<()> {
        if let Some(entry) = self.journal.entries.get_mut(idx) {
            entry.state = state;
        }
        self.store.save(&self.journal)
    }

    fn text(&self, idx: usize) -> String {
        let act = self.journal.entries.get(idx).map(|entry| &entry.act);
        match act {
            Some(Act::Write { file, .. }) => format!("write {}", file.display()),
            Some(Act::Test { .. }) => "nginx -t".to_owned(),
            Some(Act::Reload { unit: Some(unit) }) => {
                format!("systemctl reload {unit}, and wait for new workers")
            }
            Some(Act::Reload { unit: None }) => "reload nginx, and wait for new workers".to_owned(),
            Some(Act::Run { argv, .. }) => argv.join(" "),
            None => String::new(),
        }
    }

    fn act(&self, idx: usize) -> anyhow::Result<()> {
        let Some(entry) = self.journal.entries.get(idx) else {
            return Ok(());
        };
        match &entry.act {
            Act::Write {
                file,
                number,
                attributes,
            } => {
                let new = std::fs::read(self.store.candidate(*number))?;
                let old = std::fs::read(self.store.backup(*number))?;
                let now = Original::read(file)?;
                let kept = Attributes::from(attributes);
                anyhow::ensure!(
                    now.bytes == old && now.attributes == kept,
                    "{} has been changed since: ask why502 again",
                    file.display()
                );
                Ok(self.change.replace(file, &new, &kept)?)
            }
            Act::Test { argv } => self.test(argv),
            Act::Reload { unit } => self.reload(unit.as_deref()),
            Act::Run { argv, .. } => success(&self.change.run(argv)?),
        }
    }

    fn undo(&self, idx: usize) -> anyhow::Result<()> {
        let Some(entry) = self.journal.entries.get(idx) else {
            return Ok(());
        };
        match &entry.act {
            Act::Write {
                file,
                number,
                attributes,
            } => {
                self.change.clear(file)?;
                self.put_back(file, *number, &attributes.into())
            }
            Act::Test { .. } | Act::Reload { .. } => Ok(()),
            Act::Run { undo, .. } => self.take_command_back(undo, entry.state),
        }
    }

    /// Puts a file back, unless somebody else has written it since.
    fn put_back(&self, file: &Path, number: usize, attributes: &Attributes) -> anyhow::Result<()> {
        let old = std::fs::read(self.store.backup(number))?;
        let new = std::fs::read(self.store.candidate(number))?;
        let now = Original::read(file)?.bytes;
        if now == old {
            return Ok(self.change.restore_attributes(file, attributes)?);
        }
        anyhow::ensure!(
            now == new,
            "somebody else has changed it since, and that is not written over: compare it with {}",
            self.store.backup(number).display()
        );
        Ok(self.change.replace(file, &old, attributes)?)
    }

    fn take_command_back(&self, undo: &Undo, state: State) -> anyhow::Result<()> {
        match undo {
            Undo::Run { argv } => {
                let ran = self.change.run(argv)?;
                // Where the command may not have run, there may be nothing to take back.
                if state == State::Begun {
                    return Ok(());
                }
                success(&ran)
            }
            Undo::Attributes { path, attributes } => {
                Ok(self.change.restore_attributes(path, &attributes.into())?)
            }
            Undo::Rule {
                delete,
                list,
                comment,
            } => {
                let listed = self.change.run(list)?;
                success(&listed)?;
                let Some(handle) = handle_of(&listed.stdout, comment) else {
                    return Ok(());
                };
                let mut argv = delete.clone();
                argv.push(handle.to_string());
                success(&self.change.run(&argv)?)
            }
            Undo::Directories { missing } => {
                for directory in missing {
                    self.change.remove_directory(directory)?;
                }
                Ok(())
            }
            Undo::Again => Ok(()),
        }
    }

    fn again(&self, idx: usize) -> anyhow::Result<()> {
        let act = self.journal.entries.get(idx).map(|entry| &entry.act);
        match act {
            Some(Act::Test { argv }) => self.test(argv),
            Some(Act::Reload { unit }) => self.reload(unit.as_deref()),
            Some(Act::Run {
                argv,
                undo: Undo::Again,
            }) => success(&self.change.run(argv)?),
            Some(Act::Run { .. } | Act::Write { .. }) | None => Ok(()),
        }
    }

    fn test(&self, argv: &[String]) -> anyhow::Result<()> {
        match self.journal.master() {
            Some(master) => success(&self.change.test(&master)?),
            None => success(&self.change.run(argv)?),
        }
    }

    fn reload(&self, unit: Option<&str>) -> anyhow::Result<()> {
        let master = self
            .journal
            .master()
            .context("no nginx ran when the fix was made")?;
        Ok(self.change.reload(&master, unit, RELOAD)?)
    }
}

fn attributes_differ(path: &Path, old: &Attributes) -> Option<String> {
    let same = Attributes::of(path).is_ok_and(|now| now == *old);
    (!same).then(|| format!("{} has other attributes than before", path.display()))
}

/// What a program said, where it did not succeed.
pub(super) fn success(ran: &Ran) -> anyhow::Result<()> {
    anyhow::ensure!(ran.is_success(), "{}", ran.said());
    Ok(())
}
