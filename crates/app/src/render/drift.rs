//! What stands on the host held against what the settings ask for. Reads, and writes nothing.

use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use facts::passwd::Accounts;

use super::memory::{Memory, beneath, sum};
use super::plan::{Attributes, Planned};
use super::syntax::MADE;

/// A configuration file is never longer.
const LONGEST: u64 = 16 << 20;

/// A file, and how it stands.
#[derive(Debug)]
pub(crate) struct Compared {
    /// Its path on the host.
    pub(crate) path: String,
    /// Where that is beneath the root.
    pub(crate) place: PathBuf,
    pub(crate) state: State,
    /// What stands there.
    pub(crate) old: Option<Vec<u8>>,
    /// What is asked for; nothing where it is left over.
    pub(crate) planned: Option<Planned>,
    /// Mode, owner and group to be set.
    pub(crate) set: Set,
    /// What of them differs, for people.
    pub(crate) differs: Vec<String>,
}

/// Mode and ids that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<u32>,
    pub(crate) group: Option<u32>,
}

/// How a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// As it should.
    Same,
    /// It is not there.
    Missing,
    /// It is as it was written, and the settings ask for something else now.
    Outdated,
    /// It is not as it was written.
    Edited,
    /// It differs, and what was written is not known.
    Differs,
    /// Its text is right, its mode or owner is not.
    Attributes,
    /// It was made by render, and nothing asks for it any more.
    LeftOver,
    /// The same, and it was edited since.
    LeftOverEdited,
    /// It was not made by render.
    Foreign,
    /// It was made from other settings, which are still there.
    OfOthers,
    /// It is not there, and would hide a unit of the host's own.
    Hides,
}

/// Compares all files with what stands beneath `root`.
pub(crate) fn compare(
    planned: Vec<Planned>,
    memory: &Memory,
    settings: &Path,
    root: &Path,
) -> anyhow::Result<Vec<Compared>> {
    let accounts = accounts(root);
    let mut left_over = left_over(&planned, memory, settings, root)?;
    let mut compared = planned
        .into_iter()
        .map(|file| one(file, memory, settings, root, &accounts))
        .collect::<anyhow::Result<Vec<_>>>()?;
    compared.append(&mut left_over);
    Ok(compared)
}

fn one(
    file: Planned,
    memory: &Memory,
    settings: &Path,
    root: &Path,
    accounts: &Accounts,
) -> anyhow::Result<Compared> {
    let path = file.path.to_string();
    let place = beneath(root, &path);
    let set = set(&file.wanted, accounts, &path)?;
    let found = read(&place)?;
    let remembered = memory.of(&path);
    let is_of_others = remembered.is_some_and(|it| it.settings != settings && it.settings.exists());
    let (state, differs) = match &found {
        Found::Nothing if hides(&path, root) => (State::Hides, Vec::new()),
        Found::Nothing => (State::Missing, Vec::new()),
        _ if is_of_others => (State::OfOthers, Vec::new()),
        Found::Other => (State::Foreign, Vec::new()),
        Found::File { text, metadata } => {
            let state = state_of(
                text,
                file.text.as_bytes(),
                remembered.map(|it| it.sha256.as_str()),
            );
            let differs = differing(set, metadata);
            match state {
                State::Same if !differs.is_empty() => (State::Attributes, differs),
                _ => (state, differs),
            }
        }
    };
    Ok(Compared {
        path,
        place,
        state,
        old: found.text(),
        planned: Some(file),
        set,
        differs,
    })
}

/// Whether a unit would stand before one of the same name that a package brought: `ssh`, `nginx`.
fn hides(path: &str, root: &Path) -> bool {
    const PACKAGED: [&str; 2] = ["/usr/lib/systemd/system/", "/lib/systemd/system/"];
    let unit = path
        .strip_prefix("/etc/systemd/system/")
        .filter(|unit| !unit.contains('/'));
    unit.is_some_and(|unit| {
        PACKAGED
            .iter()
            .any(|packaged| beneath(root, packaged).join(unit).exists())
    })
}

fn state_of(text: &[u8], wanted: &[u8], remembered: Option<&str>) -> State {
    let is_as_written = remembered.map(|written| written == sum(text));
    match is_as_written {
        _ if text == wanted => State::Same,
        Some(true) => State::Outdated,
        Some(false) => State::Edited,
        None if has_header(text) => State::Differs,
        None => State::Foreign,
    }
}

/// Files that were made from these settings, or from settings that are gone, and that nothing asks for.
fn left_over(
    planned: &[Planned],
    memory: &Memory,
    settings: &Path,
    root: &Path,
) -> anyhow::Result<Vec<Compared>> {
    let mut left = Vec::new();
    for (path, remembered) in memory.files() {
        let is_asked_for = planned.iter().any(|file| file.path.as_str() == path);
        let is_of_others = remembered.settings != settings && remembered.settings.exists();
        if is_asked_for || is_of_others {
            continue;
        }
        let place = beneath(root, path);
        let Found::File { text, .. } = read(&place)? else {
            continue;
        };
        let state = if sum(&text) == remembered.sha256 {
            State::LeftOver
        } else {
            State::LeftOverEdited
        };
        left.push(Compared {
            path: path.to_owned(),
            place,
            state,
            old: Some(text),
            planned: None,
            set: Set::default(),
            differs: Vec::new(),
        });
    }
    Ok(left)
}

/// What stands at a place.
enum Found {
    Nothing,
    File {
        text: Vec<u8>,
        metadata: Metadata,
    },
    /// A link, a directory, a device.
    Other,
}

impl Found {
    fn text(self) -> Option<Vec<u8>> {
        match self {
            Self::File { text, .. } => Some(text),
            Self::Nothing | Self::Other => None,
        }
    }
}

/// Reads a regular file; a link in its place is not followed.
fn read(place: &Path) -> anyhow::Result<Found> {
    let cannot = || format!("cannot read {}", place.display());
    match fs::symlink_metadata(place) {
        Err(error) if is_absent(&error) => return Ok(Found::Nothing),
        Err(error) => return Err(error).with_context(cannot),
        Ok(metadata) if metadata.is_dir() => bail!(
            "{} is a directory, and a file should stand there: move it away, or give the output another path",
            place.display()
        ),
        Ok(metadata) if !metadata.is_file() => return Ok(Found::Other),
        Ok(_) => {}
    }
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(no_follow)
        .open(place)
        .with_context(cannot)?;
    let metadata = file.metadata().with_context(cannot)?;
    let mut text = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut text)
        .with_context(cannot)?;
    anyhow::ensure!(
        text.len() as u64 <= LONGEST,
        "{} is longer than any file that render makes",
        place.display()
    );
    Ok(Found::File { text, metadata })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether a text says that render made it.
fn has_header(text: &[u8]) -> bool {
    let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let said = first.get(2..).unwrap_or_default();
    (first.starts_with(b"# ") || first.starts_with(b"; ")) && said == MADE.as_bytes()
}

fn differing(set: Set, metadata: &Metadata) -> Vec<String> {
    let mut differs = Vec::new();
    let mode = metadata.mode() & 0o7777;
    if let Some(wanted) = set.mode.filter(|&wanted| wanted != mode) {
        differs.push(format!("its mode is {mode:04o}, not {wanted:04o}"));
    }
    if let Some(wanted) = set.owner.filter(|&wanted| wanted != metadata.uid()) {
        differs.push(format!("its owner is {}, not {wanted}", metadata.uid()));
    }
    if let Some(wanted) = set.group.filter(|&wanted| wanted != metadata.gid()) {
        differs.push(format!("its group is {}, not {wanted}", metadata.gid()));
    }
    differs
}

/// The accounts beneath the root; those of this host where there are none.
fn accounts(root: &Path) -> Accounts {
    let read = |path: &str| {
        fs::read(beneath(root, path))
            .or_else(|_| fs::read(path))
            .unwrap_or_default()
    };
    Accounts::parse(&read("/etc/passwd"), &read("/etc/group"))
}

fn set(wanted: &Attributes, accounts: &Accounts, path: &str) -> anyhow::Result<Set> {
    let owner = wanted.owner.as_ref().map(|name| {
        let user = accounts.user_named(name.as_str());
        user.map(|user| user.uid).with_context(|| {
            format!("there is no user {name}, who should own {path}: make the user first")
        })
    });
    let group = wanted.group.as_ref().map(|name| {
        let group = accounts.group_named(name.as_str());
        group.map(|group| group.gid).with_context(|| {
            format!("there is no group {name}, which {path} should have: make the group first")
        })
    });
    Ok(Set {
        mode: wanted.mode.map(|mode| mode.0),
        owner: owner.transpose()?,
        group: group.transpose()?,
    })
}

impl State {
    /// Whether the file has to be written or removed.
    pub(crate) fn is_drift(self) -> bool {
        self != Self::Same
    }

    /// Whether it is not render's to write without being told so.
    pub(crate) fn is_refused(self) -> bool {
        matches!(
            self,
            Self::Foreign | Self::OfOthers | Self::Hides | Self::LeftOverEdited
        )
    }
}
