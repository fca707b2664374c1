//! The file `why502.toml`: where it is looked for, and where in it something is wrong. What stands in it is read by one module a
//! table.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::de::DeserializeOwned;

/// Where it is looked for, after `--settings`.
pub(super) const PLACES: [&str; 2] = ["why502.toml", "/etc/why502.toml"];

/// A settings file.
pub(crate) struct File {
    /// Where it stands, absolute: paths in it are relative to its directory.
    pub(crate) path: PathBuf,
    text: String,
}

impl File {
    /// The one that is named, or the first that is there; `None` where there is none.
    pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<Option<Self>> {
        if let Some(path) = named {
            return Self::read(path).map(Some);
        }
        let found = PLACES.iter().map(Path::new).find(|path| path.exists());
        found.map(Self::read).transpose()
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the settings {}", path.display()))?;
        let path = std::path::absolute(path)
            .with_context(|| format!("no absolute path for {}", path.display()))?;
        Ok(Self { path, text })
    }

    /// The directory that its paths are relative to.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Its tables, as far as `T` names them.
    pub(crate) fn tables<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        toml::from_str(&self.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            self.wrong(span.start, error.message())
        })
    }

    /// An error that names file, line and column.
    pub(crate) fn wrong(&self, offset: usize, message: &str) -> anyhow::Error {
        anyhow::anyhow!(located(&self.path, &self.text, offset, message))
    }

    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self {
            path: PathBuf::from("/srv/why502.toml"),
            text: text.to_owned(),
        }
    }
}

/// `file:line:column: message`.
pub(super) fn located(file: &Path, text: &str, offset: usize, message: &str) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    format!("{}:{line}:{column}: {message}", file.display())
}
