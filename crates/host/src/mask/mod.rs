//! Masks secrets in records: `*` for every byte, so that lengths, lines and columns stay.
//!
//! A secret is known by its name (`password=`, `Authorization:`, [`names`] and [`value`]) or by its own form (a private
//! key, a password hash, a URL's userinfo, [`forms`]). Names, separators, line ends, ports and paths are never masked.
//!
//! Logs hold what strangers send. There a value ends at the next quote, whatever it is, so that nobody can have the
//! rest of a line masked.

mod forms;
mod names;
mod value;

use std::num::NonZero;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;
use std::thread;

use facts::{Answer, ProbeRequest};
use memchr::memchr;

/// Masks what an answer holds of secrets.
pub(crate) fn answer(request: &ProbeRequest, answer: &mut Answer) {
    let Some(shape) = Shape::of(request) else {
        return;
    };
    match answer {
        Answer::File { bytes, .. } | Answer::Bytes(bytes) => mask(bytes, shape),
        Answer::Exit { stdout, stderr, .. } => {
            mask(stdout, shape);
            mask(stderr, shape);
        }
        Answer::Errno(_) | Answer::TimedOut | Answer::NotRecorded => {}
    }
}

/// What kind of text a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Written by the host's owner.
    Text,
    /// Holds what strangers wrote.
    Log,
    /// `NAME=value`, each followed by NUL.
    Environment,
    /// `name:hash` lines.
    Passwords,
}

impl Shape {
    fn of(request: &ProbeRequest) -> Option<Self> {
        match request {
            ProbeRequest::File { path, .. } => Self::of_file(path),
            ProbeRequest::LinesSince { .. }
            | ProbeRequest::MarkedLinesSince { .. }
            | ProbeRequest::Command { .. }
            | ProbeRequest::CommandIn { .. } => Some(Self::Log),
            ProbeRequest::Strings { .. } => Some(Self::Text),
            ProbeRequest::Environment { .. } => Some(Self::Environment),
            // Names, numbers and messages of the kernel.
            ProbeRequest::Directory { .. }
            | ProbeRequest::Link { .. }
            | ProbeRequest::Walk { .. }
            | ProbeRequest::FileSystem { .. }
            | ProbeRequest::Dns { .. }
            | ProbeRequest::Sockets { .. }
            | ProbeRequest::SocketOwners
            | ProbeRequest::NetfilterChains { .. }
            | ProbeRequest::Connect { .. }
            | ProbeRequest::SelinuxAccess { .. }
            // The first bytes of a peer that was told nothing.
            | ProbeRequest::Handshake { .. }
            // Of an answer only what tells of the server is kept.
            | ProbeRequest::Request { .. }
            | ProbeRequest::Conversation(_) => None,
        }
    }

    fn of_file(path: &Path) -> Option<Self> {
        // The policy is binary: names such as `passwd_t` with numbers behind them, and no secret.
        if path.starts_with("/sys/fs/selinux") {
            return None;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.starts_with("/proc") {
            return Some(match &*name {
                "environ" => Self::Environment,
                _ => Self::Text,
            });
        }
        match &*name {
            // `passwd:` names a database there.
            "nsswitch.conf" => None,
            "shadow" | "gshadow" => Some(Self::Passwords),
            name if name.contains("htpasswd") => Some(Self::Passwords),
            name if name.contains(".log") || name == "syslog" || name == "messages" => {
                Some(Self::Log)
            }
            _ => Some(Self::Text),
        }
    }
}

/// So many bytes fit a processor's cache.
const PART: usize = 256 << 10;

fn mask(bytes: &mut [u8], shape: Shape) {
    match shape {
        Shape::Environment => environment(bytes),
        Shape::Passwords => passwords(bytes),
        Shape::Text | Shape::Log => {}
    }
    let share = bytes.len().div_ceil(threads()).max(PART);
    thread::scope(|scope| {
        let mut rest = &mut *bytes;
        while rest.len() > share {
            let first;
            (first, rest) = rest.split_at_mut(whole_lines(rest, share));
            scope.spawn(move || in_parts(first, shape));
        }
        in_parts(rest, shape);
    });
    forms::over_lines(bytes);
}

/// The processors to be used. Asking for them reads files of control groups, so they are asked for once.
fn threads() -> usize {
    static THREADS: LazyLock<usize> =
        LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));
    *THREADS
}

/// Masks part by part, so that a part stays in the processor's cache while it is searched for this and that.
fn in_parts(bytes: &mut [u8], shape: Shape) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let part;
        (part, rest) = rest.split_at_mut(whole_lines(rest, PART));
        named(part, shape);
        forms::in_a_line(part);
    }
}

/// The length of the whole lines that hold the first `least` bytes.
fn whole_lines(bytes: &[u8], least: usize) -> usize {
    bytes
        .get(least..)
        .and_then(|rest| memchr(b'\n', rest))
        .map_or(bytes.len(), |end| least + end + 1)
}

/// Masks the values of names.
fn named(bytes: &mut [u8], shape: Shape) {
    let mut from = 0;
    for name in names::find(bytes) {
        // Not within the value of the name before.
        if name.start >= from
            && let Some(value) = value::of(bytes, &name, shape)
        {
            from = value.end;
            hide(bytes, value);
        }
    }
}

/// A variable's whole value is the secret that its name tells of.
fn environment(bytes: &mut [u8]) {
    for variable in bytes.split_mut(|&byte| byte == 0) {
        let Some(end) = variable.iter().position(|&byte| byte == b'=') else {
            continue;
        };
        let (name, value) = variable.split_at_mut(end);
        let secret = names::find(name)
            .first()
            .is_some_and(|found| !value::is_about(name.get(found.end..).unwrap_or_default()));
        if secret {
            let length = value.len();
            hide(value, 1..length);
        }
    }
}

/// The second field of every line.
fn passwords(bytes: &mut [u8]) {
    for line in bytes.split_mut(|&byte| byte == b'\n') {
        let mut colons = line.iter().enumerate().filter(|&(_, &byte)| byte == b':');
        if let Some((first, _)) = colons.next() {
            let end = colons.next().map_or(line.len(), |(second, _)| second);
            hide(line, first + 1..end);
        }
    }
}

/// Writes `*` over everything but what divides lines and arguments.
fn hide(bytes: &mut [u8], range: Range<usize>) {
    for byte in bytes.get_mut(range).unwrap_or_default() {
        if !matches!(byte, b'\n' | b'\r' | 0) {
            *byte = b'*';
        }
    }
}

#[cfg(test)]
mod tests;
