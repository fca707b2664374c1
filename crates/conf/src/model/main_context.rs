//! Settings of nginx as a whole.

use bstr::{BStr, BString, ByteSlice as _};

use super::{ContextKind, DirectiveRef, Model};
use crate::units::parse_digits;

/// Whom the workers run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The directive.
    pub directive: DirectiveRef,
    /// The user's name.
    pub name: BString,
    /// The group's name; nginx takes the user's name where none is written.
    pub group: BString,
}

impl Model {
    /// `user`. Without it nginx takes the user it was built for.
    pub fn user(&self) -> Option<User> {
        let directive = self.main_directive("user")?;
        let name: BString = self.arg(directive, 0)?.to_owned();
        let group = self
            .arg(directive, 1)
            .map_or_else(|| name.clone(), BString::from);
        Some(User {
            directive,
            name,
            group,
        })
    }

    /// A directive of the main context that stands once, such as `pid`, `daemon`, `master_process`,
    /// `worker_processes` or `worker_rlimit_nofile`.
    pub fn main_directive(&self, name: &str) -> Option<DirectiveRef> {
        self.own(self.main_context(), name).last().copied()
    }

    /// Its first argument.
    pub fn main_value(&self, name: &str) -> Option<&BStr> {
        self.arg(self.main_directive(name)?, 0)
    }

    /// `worker_processes`: a number or `auto`; 1 without it.
    pub fn worker_processes(&self) -> Option<&BStr> {
        self.main_value("worker_processes")
    }

    /// `worker_rlimit_nofile`.
    pub fn worker_rlimit_nofile(&self) -> Option<u64> {
        parse_digits(self.main_value("worker_rlimit_nofile")?)
    }

    /// `worker_connections`, which stands in `events`; 512 without it.
    pub fn worker_connections(&self) -> Option<u64> {
        let events = self.contexts_of_kind(ContextKind::Events).last()?;
        parse_digits(self.arg(*self.own(events.id, "worker_connections").last()?, 0)?)
    }

    /// `pid`, relative to nginx's prefix.
    pub fn pid(&self) -> Option<&BStr> {
        self.main_value("pid")
    }

    /// Whether nginx goes to the background.
    pub fn is_daemon(&self) -> bool {
        self.main_value("daemon")
            .is_none_or(|value| !value.eq_ignore_ascii_case(b"off"))
    }

    /// Whether nginx runs workers besides the master.
    pub fn has_workers(&self) -> bool {
        self.main_value("master_process")
            .is_none_or(|value| !value.eq_ignore_ascii_case(b"off"))
    }

    /// The value the workers get for an environment variable by `env NAME=value`. `env NAME` passes the master's
    /// value on and gives none here.
    pub fn env(&self, name: &str) -> Option<&BStr> {
        let directives = self.own(self.main_context(), "env").iter();
        let mut values = directives.filter_map(|&at| {
            let value = self
                .arg(at, 0)?
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b"=")?;
            Some(value.as_bstr())
        });
        values.next()
    }
}
