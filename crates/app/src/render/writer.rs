//! The only place where render writes: whole files, each at once, with owner and mode kept.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt as _, fchown};
use std::path::Path;

use anyhow::Context as _;

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
    compared: &[Compared],
    memory: &mut Memory,
    settings: &Path,
    root: &Path,
) -> anyhow::Result<Vec<Written>> {
    let before = memory.clone();
    let mut written = Vec::new();
    let mut failure = None;
    for file in compared {
        match bring(file, memory, settings) {
            Ok(done) => written.push(done),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    memory.forget_gone(settings, compared);
    if *memory != before {
        let path = Memory::path(root);
        put(&path, memory.text()?.as_bytes(), Set::default())?;
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

fn bring(file: &Compared, memory: &mut Memory, settings: &Path) -> anyhow::Result<Written> {
    let Some(planned) = &file.planned else {
        fs::remove_file(&file.place)
            .with_context(|| format!("cannot remove {}", file.place.display()))?;
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
        put(&file.place, text, file.set)?;
    }
    memory.add(&file.path, text, settings);
    Ok(done)
}

/// Writes a file aside and puts it in its place at once.
fn put(place: &Path, text: &[u8], set: Set) -> anyhow::Result<()> {
    let directory = place.parent().context("a file stands in a directory")?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let cannot = || format!("cannot write {}", place.display());
    let mut aside = tempfile::Builder::new()
        .prefix(".why502-")
        .tempfile_in(directory)
        .with_context(cannot)?;
    aside.write_all(text).with_context(cannot)?;
    dress(aside.as_file(), place, set).with_context(cannot)?;
    aside.as_file().sync_all().with_context(cannot)?;
    aside
        .persist(place)
        .map_err(|error| error.error)
        .with_context(cannot)?;
    // The new name is on the disk only with its directory.
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .with_context(cannot)
}

/// Gives the new file the owner, mode and SELinux label of the old one, or what is asked for.
fn dress(new: &File, place: &Path, set: Set) -> anyhow::Result<()> {
    // A link is replaced, and what it leads to is none of ours.
    let old = fs::symlink_metadata(place)
        .ok()
        .filter(fs::Metadata::is_file);
    let owner = set.owner.or(old.as_ref().map(MetadataExt::uid));
    let group = set.group.or(old.as_ref().map(MetadataExt::gid));
    let now = new.metadata()?;
    let is_other = |wanted: Option<u32>, is: u32| wanted.is_some_and(|wanted| wanted != is);
    if is_other(owner, now.uid()) || is_other(group, now.gid()) {
        fchown(new, owner, group).context("it cannot be given its owner: run it as root")?;
    }
    let mode = set.mode.or(old.as_ref().map(|old| old.mode() & 0o7777));
    new.set_permissions(Permissions::from_mode(mode.unwrap_or(MODE)))?;
    if old.is_some() {
        keep_label(new, place)?;
    }
    Ok(())
}

/// Keeps the SELinux label, where there is one.
fn keep_label(new: &File, place: &Path) -> anyhow::Result<()> {
    const LABEL: &str = "security.selinux";
    let mut label = [0_u8; 1024];
    let Ok(length) = rustix::fs::lgetxattr(place, LABEL, &mut label[..]) else {
        return Ok(());
    };
    let label = label.get(..length).unwrap_or_default();
    rustix::fs::fsetxattr(new, LABEL, label, rustix::fs::XattrFlags::empty())
        .context("it cannot be given its SELinux label")
}
