//! Where nginx logs to: `error_log`, `access_log`, `log_format`.

use std::path::{Path, PathBuf};

use bstr::{BStr, BString};

use super::{ContextId, DirectiveRef, Model};
use crate::include::path_of;

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogSink {
    /// To a file, as written: relative names are taken from nginx's prefix (not from the configuration's
    /// directory). An access log's name may hold variables.
    File(BString),
    /// To syslog, with what follows `syslog:`.
    Syslog(BString),
    /// To standard error.
    Stderr,
    /// To a ring in memory, with its size.
    Memory(BString),
}

/// One `error_log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorLog {
    /// The directive.
    pub directive: DirectiveRef,
    /// Where it goes. `error_log off` is a file named `off`.
    pub sink: LogSink,
    /// From which level on; `error` where none is written.
    pub level: BString,
}

/// The access logs in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogs {
    /// No `access_log` anywhere: nginx logs to the file it was built with, in the format `combined`.
    Default,
    /// `access_log off`.
    Off,
    /// These.
    To(Vec<AccessLog>),
}

/// One `access_log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The directive.
    pub directive: DirectiveRef,
    /// Where it goes.
    pub sink: LogSink,
    /// The name of its format.
    pub format: BString,
    /// The condition of `if=`: requests for which it is empty or `0` are not logged.
    pub condition: Option<BString>,
    /// `buffer=`, `flush=` or `gzip`: lines reach the file late.
    pub buffered: bool,
}

/// How `log_format` escapes values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Escape {
    /// `\xXX` for quotes, backslashes and bytes outside of printable ASCII; `-` for an empty value.
    Default,
    /// As in JSON strings; nothing for an empty value.
    Json,
    /// Not at all.
    None,
}

/// One `log_format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    /// The directive; none for `combined`, which is built in.
    pub directive: Option<DirectiveRef>,
    /// Its name.
    pub name: BString,
    /// The format, its arguments joined.
    pub template: BString,
    /// How values are escaped.
    pub escape: Escape,
}

const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

impl LogSink {
    fn parse(text: &BStr) -> Self {
        if let Some(to) = text.strip_prefix(b"syslog:") {
            Self::Syslog(to.into())
        } else if let Some(size) = text.strip_prefix(b"memory:") {
            Self::Memory(size.into())
        } else {
            Self::File(text.to_owned())
        }
    }

    /// The path of the file, given nginx's prefix; none for other sinks and for names with variables.
    pub fn path(&self, prefix: &Path) -> Option<PathBuf> {
        match self {
            Self::File(name) if !name.contains(&b'$') => Some(prefix.join(path_of(name))),
            Self::File(_) | Self::Syslog(_) | Self::Stderr | Self::Memory(_) => None,
        }
    }
}

impl Model {
    /// The error logs in force. None means the file nginx was built with (or was given with `-e`).
    pub fn error_logs(&self, context: ContextId) -> Vec<ErrorLog> {
        let directives = self.in_force(context, "error_log");
        directives
            .into_iter()
            .filter_map(|at| self.error_log(at))
            .collect()
    }

    fn error_log(&self, at: DirectiveRef) -> Option<ErrorLog> {
        let sink = match self.arg(at, 0)? {
            name if name == "stderr" => LogSink::Stderr,
            name => LogSink::parse(name),
        };
        let level = self.arg(at, 1).unwrap_or(BStr::new("error")).to_owned();
        Some(ErrorLog {
            directive: at,
            sink,
            level,
        })
    }

    /// The access logs in force.
    pub fn access_logs(&self, context: ContextId) -> AccessLogs {
        let directives = self.in_force(context, "access_log");
        if directives.is_empty() {
            return AccessLogs::Default;
        }
        if directives
            .iter()
            .any(|&at| self.arg(at, 0).is_some_and(|name| name == "off"))
        {
            return AccessLogs::Off;
        }
        AccessLogs::To(
            directives
                .into_iter()
                .filter_map(|at| self.access_log(at))
                .collect(),
        )
    }

    fn access_log(&self, at: DirectiveRef) -> Option<AccessLog> {
        let args = self.args(at);
        let (name, rest) = args.split_first()?;
        let is_option = |arg: &BStr| {
            arg == "gzip"
                || [&b"if="[..], b"buffer=", b"flush=", b"gzip="]
                    .iter()
                    .any(|prefix| arg.starts_with(prefix))
        };
        let format = rest
            .first()
            .filter(|arg| !is_option(arg))
            .copied()
            .unwrap_or(BStr::new("combined"));
        let condition = rest.iter().find_map(|arg| arg.strip_prefix(b"if="));
        Some(AccessLog {
            directive: at,
            sink: LogSink::parse(name),
            format: format.to_owned(),
            condition: condition.map(BString::from),
            buffered: rest
                .iter()
                .any(|arg| is_option(arg) && !arg.starts_with(b"if=")),
        })
    }

    /// The formats of `http` and `stream`, with the built-in `combined` last.
    pub fn log_formats(&self) -> &[LogFormat] {
        &self.log_formats
    }

    /// The format with this name.
    pub fn log_format(&self, name: &BStr) -> Option<&LogFormat> {
        self.log_formats.iter().find(|format| format.name == name)
    }
}

pub(super) fn log_formats_of(model: &Model) -> Vec<LogFormat> {
    let directives = model
        .contexts()
        .iter()
        .flat_map(|context| model.own(context.id, "log_format"));
    let mut formats: Vec<LogFormat> = directives.filter_map(|&at| log_format(model, at)).collect();
    formats.push(LogFormat {
        directive: None,
        name: "combined".into(),
        template: COMBINED.into(),
        escape: Escape::Default,
    });
    formats
}

fn log_format(model: &Model, at: DirectiveRef) -> Option<LogFormat> {
    let args = model.args(at);
    let (name, mut parts) = args.split_first()?;
    let mut escape = Escape::Default;
    if let Some((option, rest)) = parts.split_first()
        && let Some(kind) = option.strip_prefix(b"escape=")
    {
        escape = match kind {
            b"json" => Escape::Json,
            b"none" => Escape::None,
            _ => Escape::Default,
        };
        parts = rest;
    }
    Some(LogFormat {
        directive: Some(at),
        name: (*name).to_owned(),
        template: bstr::concat(parts).into(),
        escape,
    })
}
