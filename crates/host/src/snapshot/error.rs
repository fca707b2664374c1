//! Why a snapshot could not be read or written, and what to do about it.

use std::io;
use std::path::PathBuf;

/// A snapshot that could not be written. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Something stands there already.
    #[error("{path}: exists already; name another file, or allow it to be overwritten", path = .0.display())]
    Exists(PathBuf),
    /// What stands there is a device, a directory or a pipe: nobody means to lose it.
    #[error("{path}: is no plain file, and is kept; name another file", path = .0.display())]
    NoFile(PathBuf),
    /// The file system refused.
    #[error("{path}: cannot write the snapshot; check the directory's rights and free space, or name another file", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A snapshot that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {fault}", path = .path.display())]
pub struct OpenError {
    /// The archive or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It could not be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It begins with something else.
    #[error(
        "is no snapshot: it does not begin with manifest.json; make one with `why502 capture -o FILE`"
    )]
    NoManifest,
    /// A sosreport without a clock.
    #[error(
        "is a sosreport that does not tell its time and zone (date, date --utc); have sos run its plugin `date` too"
    )]
    NoClock,
    /// The manifest is not JSON of the expected form.
    #[error("its manifest cannot be understood ({0}); capture it again")]
    Manifest(#[from] serde_json::Error),
    /// Another version of the format.
    #[error("is of the format {0}, this why502 reads {expected}; read it with the why502 that made it", expected = facts::manifest::SCHEMA)]
    Schema(String),
    /// The archive ends early.
    #[error("ends after {read} of {expected} records ({source}); copy it again")]
    Truncated {
        /// Records that could be read.
        read: usize,
        /// Records the manifest lists.
        expected: usize,
        /// What the decoder said.
        source: io::Error,
    },
    /// The archive ends before its first record.
    #[error("ends within its manifest ({0}); copy it again")]
    TruncatedManifest(io::Error),
    /// Records the manifest lists are not there.
    #[error("lacks {missing} of {expected} records, the first is {first}; copy it again")]
    Missing {
        /// How many.
        missing: usize,
        /// Records the manifest lists.
        expected: usize,
        /// The first of them.
        first: String,
    },
    /// A name that no snapshot has.
    #[error("names a record {0:?}, which why502 never does; do not trust it")]
    Name(String),
    /// The same question, or the same file, twice.
    #[error("holds {0:?} twice; do not trust it")]
    Twice(String),
    /// A link, a device or the like in the place of a record.
    #[error("holds {0:?}, which is no plain file; do not trust it")]
    NotAFile(String),
    /// A record whose length is not the one the manifest gives.
    #[error("holds {length} bytes in {file}, its manifest says {expected}; do not trust it")]
    Length {
        /// The record.
        file: String,
        /// Its length.
        length: u64,
        /// The manifest's.
        expected: u64,
    },
    /// More than any capture makes.
    #[error("unpacks to more than {0}; do not trust it")]
    TooLarge(&'static str),
}
