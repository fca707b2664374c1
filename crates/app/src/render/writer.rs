//! The only place where render writes: whole files, each at once, with owner and mode kept.

use std::path::Path;

use anyhow::Context as _;
use host::{Attributes, Change, NewFile};

use super::drift::{Compared, Set, State};
use super::memory::Memory;

/// The mode of a new file for which none is said.
const MODE: u32 = 0o644;

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Created,
    Changed,
    Removed,
    Kept,
}

/// Brings all files to what is asked for, and remembers them. Where one cannot be written, those before it stay written
/// and are remembered.
pub(crate) fn write(
    change: &Change,
    compared: &[Compared],
    memory: &mut Memory,
    settings: &Path,
    root: &Path,
) -> anyhow::Result<Vec<Written>> {
    let before = memory.clone();
    let mut written = Vec::new();
    let mut failure = None;
    for file in compared {
        match bring(change, file, memory, settings) {
            Ok(done) => written.push(done),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    memory.forget_gone(settings, compared);
    if *memory != before {
        let new = new_file(Set::default());
        change.create(&Memory::path(root), memory.text()?.as_bytes(), &new)?;
    }
    match failure {
        // What is done stays done: whoever renders again goes on from there.
        Some(error) => Err(error.context(format!(
            "{} of {} files are as they should; then",
            written.len(),
            compared.len()
        ))),
        None => Ok(written),
    }
}

fn bring(
    change: &Change,
    file: &Compared,
    memory: &mut Memory,
    settings: &Path,
) -> anyhow::Result<Written> {
    let Some(planned) = &file.planned else {
        change.remove(&file.place)?;
        memory.forget(&file.path);
        return Ok(Written::Removed);
    };
    let text = planned.text.as_bytes();
    let done = match file.state {
        State::Same => Written::Kept,
        State::Missing => Written::Created,
        _ => Written::Changed,
    };
    if done != Written::Kept {
        put(change, file, text)?;
    }
    memory.add(&file.path, text, settings);
    Ok(done)
}

/// Gives the new file the owner, mode and labels of the old one, or what is asked for.
fn put(change: &Change, file: &Compared, text: &[u8]) -> anyhow::Result<()> {
    // A link is replaced, and what it leads to is none of ours.
    if file.old.is_none() {
        return Ok(change.create(&file.place, text, &new_file(file.set))?);
    }
    let mut attributes = Attributes::of(&file.place)?;
    let Set { mode, owner, group } = file.set;
    attributes.mode = mode.unwrap_or(attributes.mode);
    attributes.uid = owner.unwrap_or(attributes.uid);
    attributes.gid = group.unwrap_or(attributes.gid);
    change
        .replace(&file.place, text, &attributes)
        .context("only root gives files to others")
}

fn new_file(set: Set) -> NewFile {
    NewFile {
        uid: set.owner,
        gid: set.group,
        mode: set.mode.unwrap_or(MODE),
    }
}
