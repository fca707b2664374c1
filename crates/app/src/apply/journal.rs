//! What a fix has done so far, on disk: whatever ends the process, the next one finds the way back.
//!
//! Written before and after every act. Backups and the files to come stand beside it before anything is changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use diagnose::{Options, Url};
use host::{Attributes, Lock, write_atomic};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const SCHEMA: &str = "why502.fix-journal/1";
/// Where it stands unless told otherwise.
pub(crate) const STATE: &str = "/var/lib/why502";

/// The way from a host that fails to one that does not, and back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Journal {
    schema: String,
    /// When the first act began, or was about to.
    pub(super) started_at: Timestamp,
    pub(super) phase: Phase,
    /// The incident's id.
    pub(super) incident: String,
    pub(super) peer: String,
    pub(super) cause: String,
    /// What the fix does.
    pub(super) summary: String,
    /// How the host was asked.
    pub(super) asked: Asked,
    /// The nginx, where it runs.
    pub(super) master: Option<Master>,
    /// What came of a request for it, and which incidents there were, before the first act.
    pub(super) before: Before,
    pub(super) entries: Vec<Entry>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    Applying,
    Verifying,
    Undoing,
    Kept,
    Undone,
}

/// The flags of the diagnosis that found it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    since: u64,
    config: Option<PathBuf>,
    prefix: Option<PathBuf>,
    pid: Option<u32>,
    error_log: Option<PathBuf>,
    connect: bool,
}

/// See [`host::Master`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Master {
    pid: u32,
    start: Timestamp,
    options: Vec<String>,
}

/// What a change is measured by.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Before {
    /// What is asked of nginx, where the configuration says what leads to the failing peer.
    pub(super) url: Option<String>,
    /// The status that it gave.
    pub(super) status: Option<u16>,
    /// The incidents that were known.
    pub(super) incidents: Vec<String>,
}

/// One act and how far it is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) state: State,
    pub(super) act: Act,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    Pending,
    Begun,
    Done,
    Undone,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Act {
    /// The file of that number.
    Write {
        file: PathBuf,
        number: usize,
        attributes: Had,
    },
    Test {
        argv: Vec<String>,
    },
    Reload {
        unit: Option<String>,
    },
    Run {
        argv: Vec<String>,
        undo: Undo,
    },
}

/// See [`diagnose::repair::Undo`]; here with what there was before.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Undo {
    Run {
        argv: Vec<String>,
    },
    Attributes {
        path: PathBuf,
        attributes: Had,
    },
    Rule {
        delete: Vec<String>,
        list: Vec<String>,
        comment: String,
    },
    Directories {
        /// The deepest first.
        missing: Vec<PathBuf>,
    },
    Again,
}

/// See [`host::Attributes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Had {
    uid: u32,
    gid: u32,
    mode: u32,
    extended: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Where journals and backups stand. One process at a time holds it.
pub(super) struct Store {
    directory: PathBuf,
    _lock: Lock,
}

impl Store {
    /// Takes the directory of fixes below a state directory.
    pub(super) fn take(state: &Path) -> anyhow::Result<Self> {
        let directory = state.join("fix");
        let lock = Lock::take(&directory)?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    fn open(&self) -> PathBuf {
        self.directory.join("open")
    }

    fn journal(&self) -> PathBuf {
        self.open().join("journal.json")
    }

    /// The file as it was.
    pub(super) fn backup(&self, number: usize) -> PathBuf {
        self.open().join(format!("old-{number}"))
    }

    /// The file as it shall be.
    pub(super) fn candidate(&self, number: usize) -> PathBuf {
        self.open().join(format!("new-{number}"))
    }

    /// Makes room for a new fix.
    pub(super) fn begin(&self) -> anyhow::Result<()> {
        // What stands there without a journal was left before anything was changed.
        match std::fs::remove_dir_all(self.open()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("emptying {}", self.open().display()));
            }
            _ => {}
        }
        std::fs::create_dir(self.open())
            .with_context(|| format!("making {}", self.open().display()))
    }

    pub(super) fn save(&self, journal: &Journal) -> anyhow::Result<()> {
        let json = serde_json::to_vec_pretty(journal)?;
        Ok(write_atomic(&self.journal(), &json)?)
    }

    /// The fix that was begun and did not end.
    pub(super) fn unfinished(&self) -> anyhow::Result<Option<Journal>> {
        read(&self.journal())
    }

    /// Ends a fix: its journal and its backups are kept under the time that it began.
    pub(super) fn finish(&self, journal: &Journal) -> anyhow::Result<PathBuf> {
        self.save(journal)?;
        let stamp = journal.started_at.strftime("%Y%m%dT%H%M%S%.fZ").to_string();
        let kept = self.directory.join(stamp);
        std::fs::rename(self.open(), &kept)
            .with_context(|| format!("renaming {}", self.open().display()))?;
        Ok(kept)
    }

    /// The last fix that was kept.
    pub(super) fn last_kept(&self) -> anyhow::Result<Option<Kept>> {
        let mut kept = Vec::new();
        for entry in std::fs::read_dir(&self.directory)
            .with_context(|| format!("reading {}", self.directory.display()))?
        {
            let place = entry?.path();
            let journal = read(&place.join("journal.json"))?;
            let journal = journal.filter(|journal| journal.phase == Phase::Kept);
            kept.extend(journal.map(|journal| Kept { place, journal }));
        }
        Ok(kept.into_iter().max_by_key(|kept| kept.journal.started_at))
    }

    /// Takes up a fix that was kept.
    pub(super) fn reopen(&self, kept: Kept) -> anyhow::Result<Journal> {
        // What stands there without a journal was left before anything was changed.
        if self.open().exists() {
            std::fs::remove_dir_all(self.open())
                .with_context(|| format!("emptying {}", self.open().display()))?;
        }
        std::fs::rename(&kept.place, self.open())
            .with_context(|| format!("renaming {}", kept.place.display()))?;
        Ok(kept.journal)
    }
}

/// A fix that was kept, and where.
pub(super) struct Kept {
    place: PathBuf,
    pub(super) journal: Journal,
}

fn read(path: &Path) -> anyhow::Result<Option<Journal>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let journal: Journal = serde_json::from_slice(&bytes).with_context(|| {
        format!(
            "{} is no journal of this version of why502: finish with the version that began it, or by hand with the \
             backups beside it",
            path.display()
        )
    })?;
    anyhow::ensure!(
        journal.schema == SCHEMA,
        "{} is a journal of another version ({}): finish with the version that began it",
        path.display(),
        journal.schema
    );
    Ok(Some(journal))
}

impl Journal {
    pub(super) fn new(
        judged: &diagnose::Judged,
        plan: &report::repair::Plan,
        options: &Options,
        master: Option<&host::Master>,
        before: Before,
        acts: Vec<Act>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            schema: SCHEMA.to_owned(),
            started_at: Timestamp::now(),
            phase: Phase::Applying,
            incident: judged.incident.id.clone(),
            peer: judged.incident.peer.clone(),
            cause: plan.cause.to_owned(),
            summary: plan.summary.clone(),
            asked: Asked::of(options),
            master: master.map(Master::of).transpose()?,
            before,
            entries: acts
                .into_iter()
                .map(|act| Entry {
                    state: State::Pending,
                    act,
                })
                .collect(),
        })
    }

    pub(super) fn master(&self) -> Option<host::Master> {
        self.master.as_ref().map(Master::master)
    }
}

impl Asked {
    fn of(options: &Options) -> Self {
        Self {
            since: options.since.as_secs(),
            config: options.config.clone(),
            prefix: options.prefix.clone(),
            pid: options.pid,
            error_log: options.error_log.clone(),
            connect: options.connect,
        }
    }

    /// The flags, for now, with a request.
    pub(super) fn options(&self, url: Option<&str>) -> Options {
        Options {
            now: Timestamp::now(),
            since: Duration::from_secs(self.since),
            config: self.config.clone(),
            prefix: self.prefix.clone(),
            pid: self.pid,
            error_log: self.error_log.clone(),
            connect: self.connect,
            handshake: false,
            request: url.and_then(|url| Url::parse(url).ok()),
            gate: None,
            selection: None,
        }
    }
}

impl Master {
    fn of(master: &host::Master) -> anyhow::Result<Self> {
        let options = master
            .options
            .iter()
            .map(|option| String::from_utf8(option.clone()))
            .collect::<Result<_, _>>()
            .context("the options of nginx's master are no UTF-8: apply the fix by hand")?;
        Ok(Self {
            pid: master.pid,
            start: master.start,
            options,
        })
    }

    fn master(&self) -> host::Master {
        let bytes = |option: &String| option.clone().into_bytes();
        host::Master {
            pid: self.pid,
            start: self.start,
            options: self.options.iter().map(bytes).collect(),
        }
    }
}

impl From<&Attributes> for Had {
    fn from(attributes: &Attributes) -> Self {
        Self {
            uid: attributes.uid,
            gid: attributes.gid,
            mode: attributes.mode,
            extended: attributes.extended.clone(),
        }
    }
}

impl From<&Had> for Attributes {
    fn from(kept: &Had) -> Self {
        Self {
            uid: kept.uid,
            gid: kept.gid,
            mode: kept.mode,
            extended: kept.extended.clone(),
        }
    }
}
