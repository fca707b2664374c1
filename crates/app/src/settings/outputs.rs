//! `[outputs]` and `[templates.NAME]`: which files are made, and where they go.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::Wrong;
use super::kinds::Kind;
use super::values::{AbsolutePath, FileMode, GroupName, Name, UserName};

/// What is made without a template of the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Output {
    /// nginx's `upstream` blocks, all in one file.
    Upstreams,
    /// nginx's `location` for an application.
    Location,
    /// A unit of systemd's for an application.
    Service,
    /// What is added to a unit that is there already.
    DropIn,
    /// A socket unit of systemd's.
    Socket,
    /// A pool of php-fpm.
    Pool,
    /// `gunicorn.conf.py`.
    Gunicorn,
    /// uWSGI's ini file.
    Uwsgi,
    /// Puma's configuration.
    Puma,
    /// The commands that tell SELinux's policy of ports and sockets.
    Selinux,
    /// Rules for nginx's AppArmor profile.
    Apparmor,
}

/// Where a built-in output goes.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected false, true, a path, or a table with path, mode, owner and group"
)]
pub(crate) enum OutputSetting {
    /// Whether it is made at all, at its usual place.
    Made(bool),
    /// Made at this path, in which `{name}`, `{unit}` and `{php}` stand for the application's.
    Path(String),
    /// The same with more to say.
    Table(OutputTable),
}

/// A built-in output, in detail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputTable {
    pub(crate) path: Option<String>,
    pub(crate) mode: Option<FileMode>,
    pub(crate) owner: Option<UserName>,
    pub(crate) group: Option<GroupName>,
}

/// What a template is rendered for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ForEach {
    /// Once for each application.
    #[default]
    Application,
    /// Once, for all of them.
    Host,
}

/// `[templates.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Template {
    /// The template's file; relative to the settings' directory.
    pub(crate) source: PathBuf,
    /// Where what it gives is written.
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) for_each: ForEach,
    /// Only for applications of these kinds.
    pub(crate) kinds: Option<Vec<Kind>>,
    /// The syntax of the file; by default told by the path's ending.
    pub(crate) syntax: Option<Spanned<String>>,
    pub(crate) mode: Option<FileMode>,
    pub(crate) owner: Option<UserName>,
    pub(crate) group: Option<GroupName>,
    /// What is to be run once the file has changed: it is only said.
    pub(crate) then: Option<String>,
}

impl Template {
    pub(super) fn check(&self, name: &Spanned<Name>) -> Result<(), Wrong> {
        if self.for_each == ForEach::Host && self.kinds.is_some() {
            return Err(Wrong::at(
                name,
                "kinds goes with for-each = \"application\" only",
            ));
        }
        Ok(())
    }
}

impl Output {
    /// All of them, in the order in which they are written.
    pub(crate) const ALL: [Self; 11] = [
        Self::Socket,
        Self::Service,
        Self::DropIn,
        Self::Gunicorn,
        Self::Uwsgi,
        Self::Puma,
        Self::Pool,
        Self::Selinux,
        Self::Apparmor,
        Self::Upstreams,
        Self::Location,
    ];

    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Upstreams => "upstreams",
            Self::Location => "location",
            Self::Service => "service",
            Self::DropIn => "drop-in",
            Self::Socket => "socket",
            Self::Pool => "pool",
            Self::Gunicorn => "gunicorn",
            Self::Uwsgi => "uwsgi",
            Self::Puma => "puma",
            Self::Selinux => "selinux",
            Self::Apparmor => "apparmor",
        }
    }

    /// Where it goes unless the settings say so.
    pub(crate) fn usual_path(self) -> &'static str {
        match self {
            Self::Upstreams => "/etc/nginx/conf.d/why502-upstreams.conf",
            Self::Location => "/etc/nginx/snippets/{name}.conf",
            Self::Service => "/etc/systemd/system/{name}.service",
            Self::DropIn => "/etc/systemd/system/{unit}.d/why502-{name}.conf",
            Self::Socket => "/etc/systemd/system/{name}.socket",
            Self::Pool => "/etc/php/{php}/fpm/pool.d/{name}.conf",
            Self::Gunicorn => "/etc/why502/{name}/gunicorn.conf.py",
            Self::Uwsgi => "/etc/why502/{name}/uwsgi.ini",
            Self::Puma => "/etc/why502/{name}/puma.rb",
            Self::Selinux => "/etc/why502/selinux.sh",
            Self::Apparmor => "/etc/apparmor.d/abstractions/why502",
        }
    }

    /// Whether it is made unless the settings say so: not what only some hosts have a use for.
    pub(crate) fn is_usual(self) -> bool {
        !matches!(self, Self::Selinux | Self::Apparmor)
    }

    /// Whether one file speaks of all applications.
    pub(crate) fn is_for_host(self) -> bool {
        matches!(self, Self::Upstreams | Self::Selinux | Self::Apparmor)
    }
}

/// The path of an output, its placeholders filled.
pub(crate) fn fill(path: &str, values: &[(&str, &str)]) -> Result<AbsolutePath, String> {
    let mut filled = path.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    AbsolutePath::try_from(filled)
}
