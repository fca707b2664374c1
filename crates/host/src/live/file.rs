//! Files, directories, links and environments.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use facts::{Answer, Stat, View};
use rustix::fs::{Dir, FileType, OFlags, StatVfsMountFlags};
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

/// Reads this many bytes, or to the end.
fn read(file: impl AsFd, most: u64) -> io::Result<Vec<u8>> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(most.min(16 << 10));
    let mut chunk = vec![0; most.min(64 << 10)];
    while bytes.len() < most {
        let room = chunk.len().min(most - bytes.len());
        match io::read(&file, chunk.get_mut(..room).unwrap_or_default()) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
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
