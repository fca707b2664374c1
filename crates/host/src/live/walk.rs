//! A path, component by component, as the kernel walks it: symbolic links followed within a root.
//!
//! The form of a line is part of the snapshot format and stands at `facts::ProbeRequest::Walk`.

use std::fmt::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use facts::{Answer, Stat, View};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, StatxAttributes, StatxFlags, getxattr, openat, readlinkat,
    statx,
};
use rustix::io::{self, Errno};

use super::view;

/// As many as the kernel follows (`MAXSYMLINKS`, path_resolution(7)).
const LINKS: usize = 40;

pub(super) fn lines(view: View, path: &Path) -> io::Result<Answer> {
    if !path.is_absolute() {
        return Err(Errno::INVAL);
    }
    let mut text = String::new();
    let walked = walk(view::root(view)?, path, |at, met| {
        describe(&mut text, at, met);
    });
    // The failure stands in the last line.
    drop(walked);
    Ok(Answer::Bytes(text.into_bytes()))
}

/// What stands at a path below a root, as an `O_PATH` descriptor; for kernels that cannot do it themselves.
pub(super) fn below(root: OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    walk(root, path, |_, _| {})
}

/// A component that was looked up.
enum Met<'a> {
    Object(BorrowedFd<'a>, &'a Stat),
    Link(BorrowedFd<'a>, &'a Stat, &'a [u8]),
    Failure(Errno),
}

fn walk(root: OwnedFd, path: &Path, mut visit: impl FnMut(&[u8], &Met<'_>)) -> io::Result<OwnedFd> {
    let mut place = Place::new(root);
    let stat = view::stat(place.here())?;
    visit(&place.path(b""), &Met::Object(place.here(), &stat));
    let mut links = 0;
    let mut to_go: Vec<Vec<u8>> = components(path.as_os_str().as_bytes());
    while let Some(name) = to_go.pop() {
        if name == b".." {
            place.leave();
            continue;
        }
        let at = place.path(&name);
        match look(&place, &name, &mut links) {
            Err(error) => {
                visit(&at, &Met::Failure(error));
                return Err(error);
            }
            Ok((fd, stat, Some(target))) => {
                visit(&at, &Met::Link(fd.as_fd(), &stat, &target));
                if target.starts_with(b"/") {
                    place.leave_all();
                }
                to_go.extend(components(&target));
            }
            Ok((fd, stat, None)) => {
                visit(&at, &Met::Object(fd.as_fd(), &stat));
                place.enter(fd, name);
            }
        }
    }
    Ok(place.end())
}

/// The names of a path, the last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_vec)
        .rev()
        .collect()
}

fn look(
    place: &Place,
    name: &[u8],
    links: &mut usize,
) -> io::Result<(OwnedFd, Stat, Option<Vec<u8>>)> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(place.here(), name, flags, Mode::empty())?;
    let stat = view::stat(&fd)?;
    if FileType::from_raw_mode(stat.mode) != FileType::Symlink {
        return Ok((fd, stat, None));
    }
    *links += 1;
    if *links > LINKS {
        return Err(Errno::LOOP);
    }
    let target = readlinkat(&fd, "", Vec::new())?.into_bytes();
    Ok((fd, stat, Some(target)))
}

/// The directories from the root to where the walk stands.
struct Place {
    root: OwnedFd,
    entered: Vec<(OwnedFd, Vec<u8>)>,
}

impl Place {
    fn new(root: OwnedFd) -> Self {
        Self {
            root,
            entered: Vec::new(),
        }
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.entered
            .last()
            .map_or(self.root.as_fd(), |(fd, _)| fd.as_fd())
    }

    fn enter(&mut self, fd: OwnedFd, name: Vec<u8>) {
        self.entered.push((fd, name));
    }

    /// `..` of the root is the root.
    fn leave(&mut self) {
        self.entered.pop();
    }

    fn leave_all(&mut self) {
        self.entered.clear();
    }

    fn end(mut self) -> OwnedFd {
        self.entered.pop().map_or(self.root, |(fd, _)| fd)
    }

    /// The path of a name here; of the root itself without one.
    fn path(&self, name: &[u8]) -> Vec<u8> {
        let mut path = Vec::new();
        let names = self.entered.iter().map(|(_, name)| name.as_slice());
        for name in names.chain([name]) {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        path
    }
}

fn describe(text: &mut String, at: &[u8], met: &Met<'_>) {
    encode(text, at);
    match met {
        Met::Failure(error) => push(text, format_args!(" errno={}", error.raw_os_error())),
        Met::Object(fd, stat) => {
            attributes(text, stat);
            acl(text, *fd);
            selinux(text, *fd);
            immutable(text, *fd);
        }
        Met::Link(fd, stat, target) => {
            attributes(text, stat);
            text.push_str(" target=");
            encode(text, target);
            selinux(text, *fd);
        }
    }
    text.push('\n');
}

fn attributes(text: &mut String, stat: &Stat) {
    let kind = match FileType::from_raw_mode(stat.mode) {
        FileType::Directory => "dir",
        FileType::RegularFile => "file",
        FileType::Symlink => "link",
        FileType::Socket => "socket",
        FileType::Fifo => "fifo",
        FileType::CharacterDevice => "char",
        FileType::BlockDevice => "block",
        FileType::Unknown => "unknown",
    };
    push(
        text,
        format_args!(
            " type={kind} mode={:o} uid={} gid={} dev={} ino={} size={} mtime={} ctime={}",
            stat.mode & 0o7777,
            stat.uid,
            stat.gid,
            stat.device,
            stat.inode,
            stat.size,
            stat.modified.as_nanosecond(),
            stat.changed.as_nanosecond(),
        ),
    );
}

fn acl(text: &mut String, fd: BorrowedFd<'_>) {
    match attribute(fd, "system.posix_acl_access") {
        Ok(None) => {}
        Ok(Some(value)) => {
            text.push_str(" acl=");
            for byte in value {
                push(text, format_args!("{byte:02x}"));
            }
        }
        Err(error) => push(text, format_args!(" acl=errno:{}", error.raw_os_error())),
    }
}

fn selinux(text: &mut String, fd: BorrowedFd<'_>) {
    if let Ok(Some(value)) = attribute(fd, "security.selinux") {
        text.push_str(" selinux=");
        encode(text, value.strip_suffix(b"\0").unwrap_or(&value));
    }
}

fn immutable(text: &mut String, fd: BorrowedFd<'_>) {
    let told = statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::empty());
    if told.is_ok_and(|told| told.stx_attributes.contains(StatxAttributes::IMMUTABLE)) {
        text.push_str(" immutable=1");
    }
}

/// An extended attribute; `None` where there is none, or where the file system has none at all.
fn attribute(fd: BorrowedFd<'_>, name: &str) -> io::Result<Option<Vec<u8>>> {
    // 64 KiB is the kernel's own limit of a value (XATTR_SIZE_MAX). An O_PATH descriptor has no fgetxattr.
    let mut value = Vec::with_capacity(64 << 10);
    match getxattr(
        view::own_path(fd),
        name,
        rustix::buffer::spare_capacity(&mut value),
    ) {
        Ok(_) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// As a request's text encodes a field.
fn encode(text: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b'|' {
            text.push(char::from(byte));
        } else {
            push(text, format_args!("%{byte:02X}"));
        }
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    text.write_fmt(arguments).ok();
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn walking_finds_what_the_kernel_finds() {
        let home = tempfile::tempdir().unwrap();
        let at = |path: &str| home.path().join(path);
        fs::create_dir_all(at("etc/app")).unwrap();
        fs::write(at("etc/app/conf"), "").unwrap();
        symlink("/etc/app", at("absolute")).unwrap();
        symlink("../../../etc/app/conf", at("etc/up")).unwrap();
        symlink("/etc/passwd", at("outside")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for path in [
            "/",
            "/etc",
            "/../../etc/./app//conf",
            "/absolute/conf",
            "/absolute/../up",
            "/outside",
            "/loop",
            "/etc/app/conf/below",
            "/missing",
        ] {
            let root = || {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::open(home.path(), flags, Mode::empty()).unwrap()
            };
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let resolve = rustix::fs::ResolveFlags::IN_ROOT;
            let known = rustix::fs::openat2(root(), path, flags, Mode::empty(), resolve);
            let known = known.map(|fd| view::stat(fd).unwrap());
            let walked = below(root(), Path::new(path)).map(|fd| view::stat(fd).unwrap());
            assert_eq!(walked, known, "{path}");
        }
    }
}
