//! What was rendered before: each file with the sum of what was written, kept beneath the root.
//!
//! It tells a file that was edited by hand from one that the settings changed, and finds what is left over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use host::Lock;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::drift::Compared;

/// Where it stands on a host.
const FILE: &str = "/var/lib/why502/render.json";
const SCHEMA: &str = "why502.rendered/1";

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    files: BTreeMap<String, Remembered>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// The sum of what was written.
    pub(crate) sha256: String,
    /// The settings that asked for it.
    pub(crate) settings: PathBuf,
}

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    schema: String,
    files: BTreeMap<String, Remembered>,
}

impl Memory {
    /// What is remembered beneath `root`: nothing where nothing was rendered yet.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let path = Self::path(root);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read {} (run it as root)", path.display()));
            }
        };
        let kept: Kept = serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "{} is damaged: remove it, then render again",
                path.display()
            )
        })?;
        anyhow::ensure!(
            kept.schema == SCHEMA,
            "{} is of another version of why502 ({}): remove it, then render again",
            path.display(),
            kept.schema
        );
        Ok(Self { files: kept.files })
    }

    /// Where it stands beneath `root`.
    pub(crate) fn path(root: &Path) -> PathBuf {
        beneath(root, FILE)
    }

    /// As it is to be kept.
    pub(crate) fn text(&self) -> anyhow::Result<String> {
        let kept = Kept {
            schema: SCHEMA.to_owned(),
            files: self.files.clone(),
        };
        Ok(serde_json::to_string_pretty(&kept)? + "\n")
    }

    /// What is remembered of a file.
    pub(crate) fn of(&self, path: &str) -> Option<&Remembered> {
        self.files.get(path)
    }

    /// All files that are remembered.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &Remembered)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Remembers a file.
    pub(crate) fn add(&mut self, path: &str, text: &[u8], settings: &Path) {
        let file = Remembered {
            sha256: sum(text),
            settings: settings.to_path_buf(),
        };
        self.files.insert(path.to_owned(), file);
    }

    /// Forgets what these settings asked for once and what is not there any more either.
    pub(crate) fn forget_gone(&mut self, settings: &Path, compared: &[Compared]) {
        let is_known = |path: &str| compared.iter().any(|file| file.path == path);
        self.files
            .retain(|path, file| file.settings != settings || is_known(path));
    }

    /// Keeps any other change away from this root until what comes back is dropped.
    pub(crate) fn lock(root: &Path) -> anyhow::Result<Lock> {
        let path = Self::path(root);
        Ok(Lock::take(path.parent().unwrap_or(root))?)
    }

    /// Forgets a file.
    pub(crate) fn forget(&mut self, path: &str) {
        self.files.remove(path);
    }
}

/// The sum of a text.
pub(crate) fn sum(text: &[u8]) -> String {
    let digits: Vec<String> = Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    digits.concat()
}

/// A host's path beneath a root.
pub(crate) fn beneath(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}
