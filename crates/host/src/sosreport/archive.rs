//! Reads a sosreport that anybody may have made: nothing is unpacked to disk, only what a diagnosis may ask for is kept,
//! in memory, and no name or link leads out of the report.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use lzma_rust2::XzReader;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, readlinkat, statat};
use tar::EntryType;

use crate::snapshot::{Bounded, Fault, LIMITS};

/// What is passed over is unpacked too: a report of a busy host has some gigabytes of it.
const PASSED: u64 = 16 << 30;
/// Memory that xz may ask for, in KiB: `xz -9` takes 65 MiB.
const XZ_MEMORY: u32 = 128 << 10;
/// A name, or a header that gives one.
const LONGEST_NAME: u64 = 64 << 10;
/// Directories in directories.
const DEEPEST: usize = 32;
/// As the kernel follows them.
const MOST_LINKS: usize = 40;

/// Where what is kept stands.
const KEPT: [&str; 8] = [
    "etc",
    "var/log",
    "proc",
    "sos_commands/date",
    "sos_commands/host",
    "sos_commands/nginx",
    "sos_commands/process",
    "sos_strings",
];

/// A file of the report.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: Timestamp,
}

/// What stands at a path of the report.
#[derive(Debug)]
enum Node {
    File(Kept),
    Link(PathBuf),
    Directory,
}

/// The report's tree, by paths relative to its root.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    kept: u64,
    count: usize,
    has_commands: bool,
}

impl Tree {
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(CWD, path, flags, Mode::empty()).map_err(io::Error::from)?;
        let mut tree = Self::default();
        match FileType::from_raw_mode(fstat(&file).map_err(io::Error::from)?.st_mode) {
            FileType::Directory => tree.directory(&file, Path::new(""), 0)?,
            FileType::RegularFile => tree.archive(unpacked(File::from(file))?)?,
            _ => return Err(Fault::NotAFile(path.display().to_string())),
        }
        if !tree.has_commands {
            return Err(Fault::NoManifest);
        }
        Ok(tree)
    }

    /// The file at a path, links followed within the report, and where it stands.
    pub(super) fn file(&self, path: &Path) -> Option<(&Path, &Kept)> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            match self.node(&path)? {
                (at, Node::File(kept)) => return Some((at, kept)),
                (at, Node::Link(target)) => path = followed(at, target, &path)?,
                (_, Node::Directory) => return None,
            }
        }
        None
    }

    /// The names in a directory.
    pub(super) fn names(&self, path: &Path) -> Option<Vec<String>> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            match self.node(&path)? {
                (at, Node::Link(target)) => path = followed(at, target, &path)?,
                (_, Node::File(_)) => return None,
                (at, Node::Directory) => {
                    let below = self.nodes.range(at.to_owned()..);
                    let below = below
                        .map(|(path, _)| path)
                        .take_while(|path| path.starts_with(at));
                    let names = below.filter(|path| path.parent() == Some(at));
                    return Some(
                        names
                            .filter_map(|path| {
                                Some(path.file_name()?.to_string_lossy().into_owned())
                            })
                            .collect(),
                    );
                }
            }
        }
        None
    }

    /// What stands at the path, or the link on the way to it that comes first.
    fn node(&self, path: &Path) -> Option<(&Path, &Node)> {
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.reverse();
        let on_the_way = above.iter().find_map(|above| {
            let (at, node) = self.nodes.get_key_value(*above)?;
            matches!(node, Node::Link(_)).then_some((at.as_path(), node))
        });
        on_the_way.or_else(|| {
            let (at, node) = self.nodes.get_key_value(path)?;
            Some((at.as_path(), node))
        })
    }

    /// The files right in a directory whose names begin so, the first of them.
    pub(super) fn output(&self, folder: &str, start: &str, holds: &str) -> Option<&Kept> {
        let names = self.names(Path::new(folder))?;
        let is_it = |name: &&String| name.starts_with(start) && name.contains(holds);
        let name = names.iter().find(is_it)?;
        Some(self.file(&Path::new(folder).join(name))?.1)
    }

    fn archive(&mut self, from: impl Read) -> Result<(), Fault> {
        let mut archive = tar::Archive::new(Bounded { from, left: PASSED });
        // Raw: headers that give long names are bounded here.
        let mut given = Given::default();
        for entry in archive.entries()?.raw(true) {
            let mut entry = entry.map_err(early)?;
            self.count += 1;
            if self.count > LIMITS.entries {
                return Err(Fault::TooLarge("1,000,000 files"));
            }
            let kind = entry.header().entry_type();
            match kind {
                EntryType::GNULongName => {
                    given.path = Some(long(&mut entry)?);
                    continue;
                }
                EntryType::GNULongLink => {
                    given.link = Some(long(&mut entry)?);
                    continue;
                }
                EntryType::XHeader => {
                    given.pax(&long(&mut entry)?)?;
                    continue;
                }
                EntryType::XGlobalHeader => continue,
                _ => {}
            }
            let given = std::mem::take(&mut given);
            let name = given
                .path
                .unwrap_or_else(|| entry.path_bytes().into_owned());
            let Some(path) = within(&name)? else {
                continue;
            };
            match kind {
                EntryType::Directory => self.add(path, Node::Directory),
                EntryType::Symlink => {
                    let target = given
                        .link
                        .or_else(|| Some(entry.link_name_bytes()?.into_owned()));
                    let target = String::from_utf8_lossy(&target.unwrap_or_default()).into_owned();
                    self.add(path, Node::Link(PathBuf::from(target)));
                }
                EntryType::Regular | EntryType::Continuous if is_kept(&path) => {
                    let header = entry.header().clone();
                    // Fields that some archiver left empty tell nothing.
                    let time = header
                        .mtime()
                        .ok()
                        .and_then(|time| i64::try_from(time).ok());
                    let length = header.entry_size()?;
                    let kept = Kept {
                        bytes: self.bytes(&mut entry, length)?,
                        mode: header.mode().unwrap_or(0) & 0o7777,
                        uid: header
                            .uid()
                            .ok()
                            .and_then(|uid| u32::try_from(uid).ok())
                            .unwrap_or(u32::MAX),
                        gid: header
                            .gid()
                            .ok()
                            .and_then(|gid| u32::try_from(gid).ok())
                            .unwrap_or(u32::MAX),
                        modified: time
                            .and_then(|time| Timestamp::from_second(time).ok())
                            .unwrap_or(Timestamp::MAX),
                    };
                    self.add(path, Node::File(kept));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn directory(&mut self, directory: &OwnedFd, path: &Path, depth: usize) -> Result<(), Fault> {
        if depth > DEEPEST {
            return Err(Fault::TooLarge("32 directories in one another"));
        }
        for entry in Dir::read_from(directory).map_err(io::Error::from)? {
            let entry = entry.map_err(io::Error::from)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.count += 1;
            if self.count > LIMITS.entries {
                return Err(Fault::TooLarge("1,000,000 files"));
            }
            let path = path.join(String::from_utf8_lossy(name.to_bytes()).into_owned());
            let stat =
                statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from)?;
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    self.add(path.clone(), Node::Directory);
                    if leads_to_kept(&path) {
                        let below =
                            openat(directory, name, flags | OFlags::DIRECTORY, Mode::empty())
                                .map_err(io::Error::from)?;
                        self.directory(&below, &path, depth + 1)?;
                    }
                }
                FileType::Symlink => {
                    let target =
                        readlinkat(directory, name, Vec::new()).map_err(io::Error::from)?;
                    let target = String::from_utf8_lossy(target.to_bytes()).into_owned();
                    self.add(path, Node::Link(PathBuf::from(target)));
                }
                FileType::RegularFile if is_kept(&path) => {
                    let file =
                        openat(directory, name, flags, Mode::empty()).map_err(io::Error::from)?;
                    let length = u64::try_from(stat.st_size).unwrap_or(0);
                    let kept = Kept {
                        bytes: self.bytes(&mut File::from(file), length)?,
                        mode: stat.st_mode & 0o7777,
                        uid: stat.st_uid,
                        gid: stat.st_gid,
                        modified: Timestamp::from_second(stat.st_mtime).unwrap_or(Timestamp::MAX),
                    };
                    self.add(path, Node::File(kept));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, node: Node) {
        self.has_commands |= path.starts_with("sos_commands");
        self.nodes.insert(path, node);
    }

    fn bytes(&mut self, from: &mut impl Read, length: u64) -> Result<Vec<u8>, Fault> {
        if length > LIMITS.record {
            return Err(Fault::TooLarge("128 MiB in one file"));
        }
        self.kept = self.kept.saturating_add(length);
        if self.kept > LIMITS.total {
            return Err(Fault::TooLarge("1 GiB"));
        }
        let mut bytes = Vec::new();
        from.take(length).read_to_end(&mut bytes).map_err(early)?;
        Ok(bytes)
    }
}

/// What headers before an entry give of it.
#[derive(Default)]
struct Given {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Given {
    fn pax(&mut self, header: &[u8]) -> Result<(), Fault> {
        for extension in tar::PaxExtensions::new(header) {
            let extension = extension?;
            match extension.key_bytes() {
                b"path" => self.path = Some(extension.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(extension.value_bytes().to_vec()),
                // A file whose size a header has no room for.
                b"size" => return Err(Fault::TooLarge("8 GiB in one file")),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A long name, or a header that holds one.
fn long(entry: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>, Fault> {
    if entry.header().entry_size()? > LONGEST_NAME {
        return Err(Fault::TooLarge("64 KiB in one name"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(early)?;
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(bytes)
}

/// An entry's path beneath the report's own directory; `None` of that directory itself.
fn within(name: &[u8]) -> Result<Option<PathBuf>, Fault> {
    let name = String::from_utf8_lossy(name).into_owned();
    let mut path = PathBuf::new();
    for component in Path::new(&name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Fault::Name(name));
            }
        }
    }
    let mut parts = path.components();
    parts.next();
    let path = parts.as_path();
    Ok((!path.as_os_str().is_empty()).then(|| path.to_owned()))
}

fn is_kept(path: &Path) -> bool {
    KEPT.iter().any(|kept| path.starts_with(kept))
}

fn leads_to_kept(path: &Path) -> bool {
    is_kept(path) || KEPT.iter().any(|kept| Path::new(kept).starts_with(path))
}

/// Where a link leads, with what stands behind it in the path; nothing leads above the report's root.
fn followed(link: &Path, target: &Path, path: &Path) -> Option<PathBuf> {
    let mut to = if target.is_absolute() {
        PathBuf::new()
    } else {
        link.parent()?.to_owned()
    };
    let rest = path.strip_prefix(link).ok()?;
    for component in target.components().chain(rest.components()) {
        match component {
            Component::Normal(part) => to.push(part),
            Component::ParentDir => drop(to.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some(to)
}

/// What the first bytes say that it is packed with.
fn unpacked(mut file: File) -> Result<Box<dyn Read>, Fault> {
    let mut magic = Vec::new();
    (&file).take(6).read_to_end(&mut magic)?;
    file.rewind()?;
    Ok(match magic.as_slice() {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(XzReader::new_mem_limit(
            BufReader::new(file),
            true,
            XZ_MEMORY,
        )),
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(file)),
        _ => Box::new(BufReader::new(file)),
    })
}

fn early(error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::FileTooLarge => Fault::TooLarge("16 GiB"),
        _ => Fault::Io(error),
    }
}
