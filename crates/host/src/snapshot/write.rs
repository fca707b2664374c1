//! Writes a snapshot, whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use facts::manifest::{Content, Entry, Form, Manifest, SCHEMA};
use facts::{ProbeRequest, Record};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, open, renameat_with, unlink};

use super::{MANIFEST, Meta, RECORDS, Snapshot, WriteError};

/// Records are text mostly; higher levels cost seconds for a few per cent.
const LEVEL: i32 = 3;

/// Whether a file in the snapshot's place may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// It stays, and nothing is written.
    No,
    /// It is replaced.
    Yes,
}

impl Snapshot {
    /// Writes records in this order, to be read by their owner only; says how many.
    pub fn write(
        path: &Path,
        overwrite: Overwrite,
        meta: &Meta,
        records: &[(ProbeRequest, Record)],
    ) -> Result<usize, WriteError> {
        if let Ok(standing) = path.symlink_metadata() {
            if overwrite == Overwrite::No {
                return Err(WriteError::Exists(path.to_owned()));
            }
            if !(standing.is_file() || standing.is_symlink()) {
                return Err(WriteError::NoFile(path.to_owned()));
            }
        }
        let draft = Draft::new(path).map_err(|source| failed(path, source))?;
        let written = draft
            .fill(|file| archive(file, meta, records))
            .map_err(|source| failed(path, source))?;
        draft.publish(path, overwrite)?;
        Ok(written)
    }
}

fn failed(path: &Path, source: io::Error) -> WriteError {
    WriteError::Io {
        path: path.to_owned(),
        source,
    }
}

fn archive(out: impl Write, meta: &Meta, records: &[(ProbeRequest, Record)]) -> io::Result<usize> {
    let (manifest, contents) = manifest(meta, records);
    let packed = zstd::Encoder::new(out, LEVEL)?;
    let mut archive = tar::Builder::new(packed);
    let text = serde_json::to_vec_pretty(&manifest)?;
    append(&mut archive, &manifest, MANIFEST, &text)?;
    for (name, bytes) in contents {
        append(&mut archive, &manifest, &name, bytes)?;
    }
    archive.into_inner()?.finish()?.flush()?;
    Ok(manifest.entries.len())
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    manifest: &Manifest,
    name: &str,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(manifest.captured_at.as_second()).unwrap_or(0));
    archive.append_data(&mut header, name, bytes)
}

/// The manifest, and the files it names with their bytes.
fn manifest<'a>(
    meta: &Meta,
    records: &'a [(ProbeRequest, Record)],
) -> (Manifest, Vec<(String, &'a [u8])>) {
    let mut contents = Vec::new();
    let entries = records
        .iter()
        .enumerate()
        .filter_map(|(at, (request, record))| {
            let answer = Form::of(&record.answer, |suffix, bytes| {
                let file = (!bytes.is_empty())
                    .then(|| format!("{RECORDS}/{at:05}-{}{suffix}", request.kind()));
                contents.extend(file.clone().map(|file| (file, bytes)));
                Content {
                    file,
                    length: bytes.len() as u64,
                }
            })?;
            Some(Entry {
                ask: request.to_string(),
                at: record.at,
                answer,
            })
        });
    let manifest = Manifest {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        captured_at: meta.captured_at,
        hostname: meta.hostname.clone(),
        options: meta.options.clone(),
        entries: entries.collect(),
    };
    (manifest, contents)
}

/// A file beside the final one, gone again unless it is published.
struct Draft {
    path: Option<PathBuf>,
    file: File,
}

impl Draft {
    fn new(path: &Path) -> io::Result<Self> {
        let Some(name) = path.file_name() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut draft = std::ffi::OsString::from(".");
        draft.push(name);
        draft.push(format!(".{}.part", std::process::id()));
        let draft = path.with_file_name(draft);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(&draft, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self {
            path: Some(draft),
            file: file.into(),
        })
    }

    fn fill<T>(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
        let mut out = BufWriter::new(&self.file);
        let written = write(&mut out)?;
        out.flush()?;
        self.file.sync_all()?;
        Ok(written)
    }

    fn publish(mut self, path: &Path, overwrite: Overwrite) -> Result<(), WriteError> {
        let Some(draft) = &self.path else {
            return Ok(());
        };
        match overwrite {
            Overwrite::Yes => std::fs::rename(draft, path).map_err(|error| failed(path, error))?,
            Overwrite::No => rename_new(draft, path)?,
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(draft) = &self.path {
            unlink(draft).ok();
        }
    }
}

/// Somebody may have made the file since we looked.
fn rename_new(draft: &Path, path: &Path) -> Result<(), WriteError> {
    use rustix::io::Errno;
    match renameat_with(CWD, draft, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(WriteError::Exists(path.to_owned())),
        // A file system without it: a link fails just so when the name is taken.
        Err(Errno::INVAL | Errno::NOSYS) => match std::fs::hard_link(draft, path) {
            Ok(()) => {
                unlink(draft).ok();
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(WriteError::Exists(path.to_owned()))
            }
            Err(error) => Err(failed(path, error)),
        },
        Err(error) => Err(failed(path, error.into())),
    }
}
