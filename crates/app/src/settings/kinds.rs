//! Kinds of applications, and what is known of each; protocols that nginx speaks to them.

use serde::Deserialize;

/// What answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Python's WSGI.
    Gunicorn,
    /// Python's ASGI.
    Uvicorn,
    /// uWSGI.
    Uwsgi,
    /// Ruby's Rack.
    Puma,
    /// PHP.
    PhpFpm,
    /// JavaScript.
    Node,
    /// Any other program that is started by a command.
    Other,
    /// Nothing that is started here: nginx only dials it.
    External,
}

/// What nginx speaks to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// `proxy_pass http://`.
    Http,
    /// `proxy_pass https://`.
    Https,
    /// `fastcgi_pass`.
    Fastcgi,
    /// `uwsgi_pass`.
    Uwsgi,
    /// `grpc_pass`.
    Grpc,
}

impl Kind {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gunicorn => "gunicorn",
            Self::Uvicorn => "uvicorn",
            Self::Uwsgi => "uwsgi",
            Self::Puma => "puma",
            Self::PhpFpm => "php-fpm",
            Self::Node => "node",
            Self::Other => "other",
            Self::External => "external",
        }
    }

    /// The protocols that it can speak, the usual one first.
    pub(super) fn protocols(self) -> &'static [Protocol] {
        use Protocol::{Fastcgi, Grpc, Http, Https, Uwsgi};
        match self {
            Self::Gunicorn | Self::Uvicorn | Self::Puma => &[Http],
            Self::Uwsgi => &[Uwsgi, Http],
            Self::PhpFpm => &[Fastcgi],
            Self::Node | Self::Other | Self::External => &[Http, Https, Grpc, Fastcgi, Uwsgi],
        }
    }

    /// The program that runs it, where distributions put it.
    pub(super) fn program(self) -> Option<&'static str> {
        match self {
            Self::Gunicorn => Some("/usr/bin/gunicorn"),
            Self::Uvicorn => Some("/usr/bin/uvicorn"),
            Self::Uwsgi => Some("/usr/bin/uwsgi"),
            Self::Puma => Some("/usr/bin/puma"),
            Self::PhpFpm | Self::Node | Self::Other | Self::External => None,
        }
    }

    /// When it closes an idle connection: set where it can be set, known of node, unknown of what is not known.
    pub(super) fn idle(self) -> Option<u32> {
        match self {
            Self::Gunicorn | Self::Uvicorn | Self::Puma => Some(75),
            Self::Node => Some(5),
            Self::Uwsgi | Self::PhpFpm | Self::Other | Self::External => None,
        }
    }

    /// Whether it can listen on several addresses.
    pub(super) fn takes_many(self) -> bool {
        matches!(
            self,
            Self::Gunicorn | Self::Uwsgi | Self::Puma | Self::External
        )
    }

    /// Whether its own settings name a module or rackup file.
    pub(super) fn needs_module(self) -> bool {
        matches!(self, Self::Gunicorn | Self::Uvicorn | Self::Uwsgi)
    }

    /// Whether it is started by a unit that is made for it.
    pub(crate) fn has_unit(self) -> bool {
        !matches!(self, Self::PhpFpm | Self::External)
    }
}

impl Protocol {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Fastcgi => "fastcgi",
            Self::Uwsgi => "uwsgi",
            Self::Grpc => "grpc",
        }
    }

    /// What begins nginx's directives for it.
    pub(crate) fn directives(self) -> &'static str {
        match self {
            Self::Http | Self::Https => "proxy",
            other => other.name(),
        }
    }
}
