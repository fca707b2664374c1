//! Files, directories, links and environments.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use facts::{Answer, Stat, View};
use rustix::buffer::spare_capacity;
use rustix::fs::{Dir, FileType, Mode, OFlags, StatVfsMountFlags};
use rustix::io::{self, Errno};

use super::view;

/// An environment is bounded by the kernel's own limit for arguments and environment (execve(2)).
const ENVIRONMENT_LIMIT: u64 = 6 << 20;

pub(super) fn file(view: View, path: &Path, limit: u64) -> io::Result<Answer> {
    let (file, stat) = open(view, path)?;
    // A file of the kernel says that it is empty and is read to its end, one byte more than the limit to learn whether
    // it goes on; any other is read as far as it reached when it was opened.
    if stat.size > 0 {
        let bytes = read(&file, limit.min(stat.size))?;
        let cut = stat.size > limit;
        return Ok(Answer::File { bytes, cut, stat });
    }
    let mut bytes = read(&file, limit.saturating_add(1))?;
    let cut = bytes.len() as u64 > limit;
    if cut {
        bytes.pop();
    }
    Ok(Answer::File { bytes, cut, stat })
}

/// Opens a regular file; everything else is refused, because opening or reading it could wait or act.
pub(super) fn open(view: View, path: &Path) -> io::Result<(OwnedFd, Stat)> {
    if view == View::Host
        && let Some(file) = kernels_own(path)
    {
        let stat = view::stat(&file)?;
        if FileType::from_raw_mode(stat.mode) == FileType::RegularFile {
            return Ok((file, stat));
        }
    }
    let found = view::locate(view, path)?;
    match FileType::from_raw_mode(view::stat(&found)?.mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Errno::ISDIR),
        _ => return Err(Errno::INVAL),
    }
    let file = view::reopen(&found, OFlags::empty())?;
    let stat = view::stat(&file)?;
    Ok((file, stat))
}

/// A file `/proc/PID/NAME`, which the kernel makes: to open one neither waits nor acts, so it needs no look before. There
/// are hundreds of them.
fn kernels_own(path: &Path) -> Option<OwnedFd> {
    let mut parts = path.strip_prefix("/proc").ok()?.components();
    let pid = parts.next()?.as_os_str().as_encoded_bytes();
    parts.next()?;
    if parts.next().is_some() || !pid.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

/// Reads this many bytes, or to the end.
fn read(file: impl AsFd, most: u64) -> io::Result<Vec<u8>> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(most.min(4 << 10));
    while bytes.len() < most {
        if bytes.len() == bytes.capacity() {
            bytes.reserve(1);
        }
        match io::read(&file, spare_capacity(&mut bytes)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    // There may be more room than was asked for.
    bytes.truncate(most);
    Ok(bytes)
}

pub(super) fn directory(view: View, path: &Path) -> io::Result<Answer> {
    let found = view::locate(view, path)?;
    let directory = view::reopen(&found, OFlags::DIRECTORY)?;
    let mut names = Vec::new();
    for entry in Dir::new(directory)? {
        let name = entry?.file_name().to_bytes_with_nul().to_vec();
        if name != b".\0" && name != b"..\0" {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(Answer::Bytes(names.concat()))
}

/// The form of the line stands at `facts::ProbeRequest::FileSystem`.
pub(super) fn file_system(view: View, path: &Path) -> io::Result<Answer> {
    let found = rustix::fs::fstatvfs(view::locate(view, path)?)?;
    let line = format!(
        "block={} blocks={} free={} available={} files={} free-files={} read-only={}\n",
        found.f_frsize,
        found.f_blocks,
        found.f_bfree,
        found.f_bavail,
        found.f_files,
        found.f_ffree,
        u8::from(found.f_flag.contains(StatVfsMountFlags::RDONLY)),
    );
    Ok(Answer::Bytes(line.into_bytes()))
}

pub(super) fn link(path: &Path) -> io::Result<Answer> {
    let target = rustix::fs::readlink(path, Vec::new())?;
    Ok(Answer::Bytes(target.into_bytes()))
}

pub(super) fn environment(pid: u32, names: &[String]) -> io::Result<Answer> {
    let path = format!("/proc/{pid}/environ");
    let (file, _) = open(View::Host, Path::new(&path))?;
    let mut wanted = Vec::new();
    for variable in read(file, ENVIRONMENT_LIMIT)?.split(|&byte| byte == 0) {
        let Some(end) = variable.iter().position(|&byte| byte == b'=') else {
            continue;
        };
        let name = variable.get(..end).unwrap_or_default();
        if names.iter().any(|wanted| wanted.as_bytes() == name) {
            wanted.extend_from_slice(variable);
            wanted.push(0);
        }
    }
    Ok(Answer::Bytes(wanted))
}
