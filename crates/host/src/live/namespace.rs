//! Work in the namespaces of another process, on a thread that ends with it.
//!
//! Namespaces belong to threads, so nothing entered here can reach another question.

use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;

use rustix::fs::{Mode, OFlags, open, stat};
use rustix::io::{self, Errno};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A kind of namespace, as named in `/proc/PID/ns`.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Network,
    Mount,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Network => "net",
            Self::Mount => "mnt",
        }
    }
}

/// A namespace that differs from the calling thread's.
pub(super) struct Foreign {
    kind: Kind,
    link: OwnedFd,
}

impl Foreign {
    /// The namespace of a process; `None` when the calling thread is in it already.
    pub(super) fn of(pid: u32, kind: Kind) -> io::Result<Option<Self>> {
        let path = format!("/proc/{pid}/ns/{}", kind.name());
        let theirs = stat(&path).map_err(gone)?;
        let own = stat(format!("/proc/thread-self/ns/{}", kind.name()))?;
        if (theirs.st_dev, theirs.st_ino) == (own.st_dev, own.st_ino) {
            return Ok(None);
        }
        let link = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(gone)?;
        Ok(Some(Self { kind, link }))
    }

    /// Moves the calling thread there, for as long as it lives. For a mount namespace the thread must share its root
    /// and working directory with no other (`unshare`).
    pub(super) fn enter(&self) -> io::Result<()> {
        let kind = match self.kind {
            Kind::Network => LinkNameSpaceType::Network,
            Kind::Mount => LinkNameSpaceType::Mount,
        };
        move_into_link_name_space(self.link.as_fd(), Some(kind))
    }
}

/// A missing `/proc/PID` means a missing process.
pub(super) fn gone(error: Errno) -> Errno {
    if error == Errno::NOENT {
        Errno::SRCH
    } else {
        error
    }
}

/// Works in the network namespace of a process, of why502 itself with `None`.
pub(super) fn in_network<T: Send>(
    of: Option<u32>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let foreign = match of {
        Some(pid) => Foreign::of(pid, Kind::Network)?,
        None => None,
    };
    let Some(foreign) = foreign else {
        return work();
    };
    thread::scope(|scope| {
        let inside = scope.spawn(move || {
            foreign.enter()?;
            work()
        });
        inside.join().unwrap_or(Err(Errno::IO))
    })
}
