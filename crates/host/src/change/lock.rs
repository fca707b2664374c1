//! One change at a time: a lock that ends with the process, however it ends.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::ChangeError;

/// Holds a directory of why502's own, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _held: File,
}

impl Lock {
    /// Takes the directory, which is made for its owner alone where it is missing.
    pub fn take(directory: &Path) -> Result<Self, ChangeError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(ChangeError::file("make", directory))?;
        let path = directory.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(ChangeError::file("open", path.as_path()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _held: file }),
            Err(Errno::WOULDBLOCK) => Err(ChangeError::Busy(path)),
            Err(error) => Err(ChangeError::file("lock", path)(error.into())),
        }
    }
}
