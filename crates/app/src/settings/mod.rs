//! `why502.toml`: what its owner says once, read and checked before anything is made of it.
//!
//! Errors name the file, the line, the column and what to write. Nothing here renders or looks at the host.

mod address;
mod applications;
mod file;
mod kinds;
pub(crate) mod lint;
mod outputs;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

pub(crate) use address::Address;
pub(crate) use applications::{Application, Nginx};
pub(crate) use file::File;
pub(crate) use kinds::Kind;
pub(crate) use outputs::{ForEach, Output, OutputSetting, Template, fill};
pub(crate) use values::{
    AbsolutePath, FileMode, GroupName, HostName, Module, Name, PhpVersion, UrlPath, UserName,
};

/// What `why502.toml` says of applications and of what is rendered from them.
pub(crate) struct Settings {
    /// The file, absolute.
    pub(crate) file: PathBuf,
    /// nginx as a whole.
    pub(crate) nginx: Nginx,
    /// The applications, by name.
    pub(crate) applications: Vec<Application>,
    /// Where the built-in outputs go.
    pub(crate) outputs: BTreeMap<Output, OutputSetting>,
    /// The user's own templates, by name.
    pub(crate) templates: BTreeMap<Name, Template>,
}

/// The tables of the file. Those of other commands are read by these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[serde(default)]
    nginx: applications::NginxTable,
    #[serde(default)]
    applications: BTreeMap<Spanned<Name>, applications::Table>,
    #[serde(default)]
    outputs: BTreeMap<Output, OutputSetting>,
    #[serde(default)]
    templates: BTreeMap<Spanned<Name>, Template>,
    #[serde(default, rename = "lint")]
    _lint: Option<IgnoredAny>,
}

/// What is wrong in the settings, and where.
#[derive(Debug)]
pub(crate) struct Wrong {
    at: Option<Range<usize>>,
    what: String,
}

impl Wrong {
    /// Something wrong at a value.
    fn at<T>(value: &Spanned<T>, what: impl Into<String>) -> Self {
        Self {
            at: Some(value.span()),
            what: what.into(),
        }
    }
}

/// The settings' file: the one that is named, or the first that is there.
pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_path_buf(),
        None => file::PLACES
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.exists())
            .with_context(|| {
                format!(
                    "there is no {}: write one (why502 render --import begins it), or name it with --settings FILE",
                    file::PLACES.join(" and no ")
                )
            })?,
    };
    std::path::absolute(&path).with_context(|| format!("no absolute path for {}", path.display()))
}

impl Settings {
    /// Reads and checks the file.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(file).with_context(|| {
            format!(
                "cannot read {}: name the settings with --settings FILE, or begin them with why502 render --import",
                file.display()
            )
        })?;
        let text =
            String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", file.display()))?;
        Self::parse(file, &text).map_err(|wrong| anyhow::anyhow!(located(file, &text, &wrong)))
    }

    /// Checks a text that stands in `file`.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, Wrong> {
        let tables: Tables = toml::from_str(text).map_err(|error| Wrong {
            at: error.span(),
            what: with_hint(error.message()),
        })?;
        let nginx = tables.nginx.check();
        let applications: Vec<Application> = tables
            .applications
            .into_iter()
            .map(|(name, table)| table.check(name, &nginx))
            .collect::<Result<_, _>>()?;
        applications::apart(&applications)?;
        let mut templates = BTreeMap::new();
        for (name, template) in tables.templates {
            template.check(&name)?;
            templates.insert(name.into_inner(), template);
        }
        Ok(Self {
            file: file.to_path_buf(),
            nginx,
            applications,
            outputs: tables.outputs,
            templates,
        })
    }
}

/// What the parser says, in one line, and what to write where it only says that something is missing.
fn with_hint(message: &str) -> String {
    const HINTS: [(&str, &str); 4] = [
        (
            "missing field `listen`",
            "listen = \"127.0.0.1:8000\" or \"unix:/run/shop/shop.sock\"",
        ),
        (
            "missing field `kind`",
            "kind = \"gunicorn\", \"uvicorn\", \"uwsgi\", \"puma\", \"php-fpm\", \"node\", \"other\" or \"external\"",
        ),
        ("missing field `source`", "source = \"TEMPLATE.j2\""),
        ("missing field `path`", "path = \"/etc/...\""),
    ];
    let message = message.replace('\n', "; ");
    match HINTS.iter().find(|(missing, _)| message == *missing) {
        Some((_, hint)) => format!("{message}: write {hint}"),
        None => message,
    }
}

/// `file:line:column: what`.
fn located(file: &Path, text: &str, wrong: &Wrong) -> String {
    let Some(range) = &wrong.at else {
        return format!("{}: {}", file.display(), wrong.what);
    };
    file::located(file, text, range.start, &wrong.what)
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
