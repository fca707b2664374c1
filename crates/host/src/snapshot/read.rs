//! Reads a snapshot that anybody may have made.
//!
//! Nothing is ever unpacked to disk. Only files that the manifest names are kept, in memory, and only under names that
//! why502 itself gives; sizes and counts are bounded before anything is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use facts::Record;
use facts::manifest::{Content, Head, Manifest, SCHEMA};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::error::Fault;
use super::{MANIFEST, Meta, OpenError, RECORDS, Snapshot};

/// What a reader is ready for.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Of the unpacked archive.
    pub(crate) total: u64,
    /// Of one record.
    pub(crate) record: u64,
    /// Of the manifest: parsed it takes many times its room.
    pub(super) manifest: u64,
    pub(crate) entries: usize,
}

pub(crate) const LIMITS: Limits = Limits {
    total: 1 << 30,
    record: 128 << 20,
    manifest: 32 << 20,
    entries: 1_000_000,
};

/// What a zstd frame begins with (RFC 8878).
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

impl Snapshot {
    /// Reads an archive or an unpacked directory.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        read(path, LIMITS).map_err(|fault| OpenError {
            path: path.to_owned(),
            fault,
        })
    }
}

pub(super) fn read(path: &Path, limits: Limits) -> Result<Snapshot, Fault> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::empty()).map_err(io::Error::from)?;
    match FileType::from_raw_mode(fstat(&file).map_err(io::Error::from)?.st_mode) {
        FileType::Directory => from_directory(&file, limits),
        FileType::RegularFile => from_archive(File::from(file), limits),
        _ => Err(Fault::NotAFile(path.display().to_string())),
    }
}

/// The manifest, checked, and what is still to be read of it.
struct Expected {
    manifest: Manifest,
    /// Each file's length.
    lengths: BTreeMap<String, u64>,
    read: BTreeMap<String, Vec<u8>>,
}

impl Expected {
    fn new(text: &[u8], limits: Limits) -> Result<Self, Fault> {
        let manifest = parse(text)?;
        if manifest.entries.len() > limits.entries {
            return Err(Fault::TooLarge("1,000,000 records"));
        }
        let mut asks = BTreeSet::new();
        let mut lengths = BTreeMap::new();
        let mut total = 0_u64;
        for entry in &manifest.entries {
            if !asks.insert(&entry.ask) {
                return Err(Fault::Twice(entry.ask.clone()));
            }
            for content in entry.answer.contents() {
                total = total.saturating_add(content.length);
                expect(&mut lengths, content, limits)?;
            }
        }
        if total > limits.total {
            return Err(Fault::TooLarge("1 GiB"));
        }
        Ok(Self {
            manifest,
            lengths,
            read: BTreeMap::new(),
        })
    }

    /// Keeps a file's bytes; what the manifest does not name is passed over.
    fn take(&mut self, file: &str, length: u64, from: impl Read) -> Result<(), Fault> {
        let Some(&expected) = self.lengths.get(file) else {
            return Ok(());
        };
        if self.read.contains_key(file) {
            return Err(Fault::Twice(file.to_owned()));
        }
        let wrong = |length| Fault::Length {
            file: file.to_owned(),
            length,
            expected,
        };
        if length != expected {
            return Err(wrong(length));
        }
        let bytes = bytes(from, length)?;
        if bytes.len() as u64 != expected {
            return Err(wrong(bytes.len() as u64));
        }
        self.read.insert(file.to_owned(), bytes);
        Ok(())
    }

    /// How far reading came, when it failed.
    fn truncated(&self, source: io::Error) -> Fault {
        Fault::Truncated {
            read: self.read.len(),
            expected: self.lengths.len(),
            source,
        }
    }

    fn finish(mut self) -> Result<Snapshot, Fault> {
        let mut missing = self
            .lengths
            .keys()
            .filter(|file| !self.read.contains_key(*file));
        if let Some(first) = missing.next() {
            return Err(Fault::Missing {
                first: first.clone(),
                missing: missing.count() + 1,
                expected: self.lengths.len(),
            });
        }
        let mut records = BTreeMap::new();
        for entry in self.manifest.entries {
            let answer = entry.answer.answer(|content| {
                let bytes = content.file.as_ref().map(|file| self.read.remove(file));
                Ok::<_, Fault>(bytes.flatten().unwrap_or_default())
            })?;
            let record = Record {
                at: entry.at,
                answer,
            };
            records.insert(entry.ask, record);
        }
        let meta = Meta {
            captured_at: self.manifest.captured_at,
            hostname: self.manifest.hostname,
            options: self.manifest.options,
        };
        Ok(Snapshot {
            version: self.manifest.version,
            meta,
            records,
        })
    }
}

/// The schema is looked at first: another version may have any form.
fn parse(text: &[u8]) -> Result<Manifest, Fault> {
    match serde_json::from_slice::<Head>(text)?.schema.as_deref() {
        Some(SCHEMA) => Ok(serde_json::from_slice(text)?),
        Some(other) => Err(Fault::Schema(other.to_owned())),
        None => Err(Fault::NoManifest),
    }
}

fn expect(
    lengths: &mut BTreeMap<String, u64>,
    content: &Content,
    limits: Limits,
) -> Result<(), Fault> {
    let Some(file) = &content.file else {
        return match content.length {
            0 => Ok(()),
            expected => Err(Fault::Length {
                file: "nothing".to_owned(),
                length: 0,
                expected,
            }),
        };
    };
    if name(file).is_none() {
        return Err(Fault::Name(file.clone()));
    }
    if content.length > limits.record {
        return Err(Fault::TooLarge("128 MiB in one record"));
    }
    if lengths.insert(file.clone(), content.length).is_some() {
        return Err(Fault::Twice(file.clone()));
    }
    Ok(())
}

/// A record's name in its directory, when it is one that why502 gives.
fn name(file: &str) -> Option<&str> {
    let name = file.strip_prefix(RECORDS)?.strip_prefix('/')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (!name.is_empty() && name.len() <= 64 && name.bytes().all(plain)).then_some(name)
}

fn bytes(from: impl Read, length: u64) -> io::Result<Vec<u8>> {
    // Room is made as bytes come: a length alone costs nothing.
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn from_archive(mut file: File, limits: Limits) -> Result<Snapshot, Fault> {
    if bytes(&file, MAGIC.len() as u64)? != MAGIC {
        return Err(Fault::NoManifest);
    }
    file.rewind()?;
    let bounded = Bounded {
        from: zstd::Decoder::new(file)?,
        left: limits.total,
    };
    let mut archive = tar::Archive::new(bounded);
    // Raw: extension headers, which may give names and sizes of their own, are entries like any other.
    let mut entries = archive.entries()?.raw(true);
    let mut expected: Option<Expected> = None;
    let mut count = 0;
    loop {
        let entry = match entries.next() {
            None => break,
            Some(Ok(entry)) => entry,
            Some(Err(error)) => return Err(early(expected.as_ref(), error)),
        };
        count += 1;
        if count > limits.entries {
            return Err(Fault::TooLarge("1,000,000 files"));
        }
        let file = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let file = file.strip_prefix("./").unwrap_or(&file).to_owned();
        match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => {}
            // As other archivers pack a directory.
            tar::EntryType::Directory | tar::EntryType::XHeader | tar::EntryType::XGlobalHeader => {
                continue;
            }
            _ => return Err(Fault::NotAFile(file)),
        }
        let length = entry.header().entry_size()?;
        match &mut expected {
            None => expected = Some(first(&file, length, entry, limits)?),
            Some(_) if file == MANIFEST => return Err(Fault::Twice(file)),
            Some(expected) => match expected.take(&file, length, entry) {
                Err(Fault::Io(error)) => return Err(early(Some(expected), error)),
                other => other?,
            },
        }
    }
    expected.ok_or(Fault::NoManifest)?.finish()
}

fn first(file: &str, length: u64, from: impl Read, limits: Limits) -> Result<Expected, Fault> {
    if file != MANIFEST {
        return Err(Fault::NoManifest);
    }
    if length > limits.manifest {
        return Err(Fault::TooLarge("32 MiB of manifest"));
    }
    let text = bytes(from, length).map_err(|error| early(None, error))?;
    if text.len() as u64 != length {
        return Err(early(None, io::ErrorKind::UnexpectedEof.into()));
    }
    Expected::new(&text, limits)
}

/// What a failure while reading means.
fn early(expected: Option<&Expected>, error: io::Error) -> Fault {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return Fault::TooLarge("1 GiB");
    }
    match expected {
        Some(expected) => expected.truncated(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Fault::TruncatedManifest(error),
        None => Fault::NoManifest,
    }
}

/// Ends with `FileTooLarge` where an endless unpacking would go on.
pub(crate) struct Bounded<R> {
    pub(crate) from: R,
    pub(crate) left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(read)
    }
}

fn from_directory(directory: &OwnedFd, limits: Limits) -> Result<Snapshot, Fault> {
    let (manifest, length) = match plain_file(directory, MANIFEST) {
        Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Fault::NoManifest);
        }
        other => other?,
    };
    let mut expected = first(MANIFEST, length, manifest, limits)?;
    let files: Vec<String> = expected.lengths.keys().cloned().collect();
    if files.is_empty() {
        return expected.finish();
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let records = openat(directory, RECORDS, flags, Mode::empty()).map_err(io::Error::from)?;
    for file in files {
        let Some(name) = name(&file) else { continue };
        match plain_file(&records, name) {
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            other => {
                let (from, length) = other?;
                expected.take(&file, length, from)?;
            }
        }
    }
    expected.finish()
}

/// A file right in a directory, never through a link.
fn plain_file(directory: &OwnedFd, name: &str) -> Result<(File, u64), Fault> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Err(Errno::LOOP | Errno::NXIO) => return Err(Fault::NotAFile(name.to_owned())),
        other => other.map_err(io::Error::from)?,
    };
    let stat = fstat(&file).map_err(io::Error::from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Fault::NotAFile(name.to_owned()));
    }
    Ok((File::from(file), u64::try_from(stat.st_size).unwrap_or(0)))
}
