//! Opens paths in the file system of why502 or of another process, without side effects.
//!
//! A path in a process's view never leaves that process's root: an absolute symbolic link there leads to the root of
//! the process, not to ours.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

use facts::{Stat, View};
use jiff::Timestamp;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use rustix::io::{self, Errno};

use super::walk;

/// The object at a path as an `O_PATH` descriptor: neither reads nor wakes whatever stands there.
pub(super) fn locate(view: View, path: &Path) -> io::Result<OwnedFd> {
    if !path.is_absolute() {
        return Err(Errno::INVAL);
    }
    match view {
        View::Host => open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()),
        View::Process(_) => below(root(view)?, path),
    }
}

/// The root directory of a view.
pub(super) fn root(view: View) -> io::Result<OwnedFd> {
    open(
        view.resolve(Path::new("/")),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn below(root: OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    // EAGAIN: something was renamed or mounted meanwhile, and the kernel could not be sure (openat2(2)).
    for _ in 0..4 {
        match openat2(
            &root,
            path,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        ) {
            Err(Errno::AGAIN) => {}
            // Linux before 5.6, or a container runtime's filter that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => return walk::below(root, path),
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens what [`locate`] found for reading.
pub(super) fn reopen(found: impl AsFd, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, own_path(found), flags, Mode::empty())
}

/// A path that leads to an open descriptor, whatever has become of its name.
pub(super) fn own_path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

pub(super) fn stat(fd: impl AsFd) -> io::Result<Stat> {
    let raw = fstat(fd)?;
    Ok(Stat {
        mode: raw.st_mode,
        uid: raw.st_uid,
        gid: raw.st_gid,
        device: raw.st_dev,
        inode: raw.st_ino,
        size: u64::try_from(raw.st_size).unwrap_or(0),
        modified: time(raw.st_mtime, i32::try_from(raw.st_mtime_nsec).unwrap_or(0)),
        changed: time(raw.st_ctime, i32::try_from(raw.st_ctime_nsec).unwrap_or(0)),
    })
}

/// A file can carry times that no calendar holds.
fn time(seconds: i64, nanoseconds: i32) -> Timestamp {
    Timestamp::new(seconds, nanoseconds).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
