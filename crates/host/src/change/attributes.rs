//! What a file or socket has besides its bytes: owner, mode, access lists, security label.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;

use super::{Change, ChangeError};

/// The longest value of an extended attribute that Linux allows.
const LONGEST: usize = 64 << 10;

/// Owner, mode and extended attributes, among them access lists and security labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The permission bits, set-id bits among them.
    pub mode: u32,
    /// Extended attributes, name and value, sorted by name.
    pub extended: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Attributes {
    /// Those of what stands at a path, symbolic links followed.
    pub fn of(path: &Path) -> Result<Self, ChangeError> {
        let read = || -> io::Result<Self> {
            let metadata = std::fs::metadata(path)?;
            Ok(Self {
                uid: metadata.uid(),
                gid: metadata.gid(),
                mode: metadata.permissions().mode() & 0o7777,
                extended: extended(path)?,
            })
        };
        read().map_err(ChangeError::file("read the attributes of", path))
    }

    /// Gives them to what stands at a path. The owner comes first: a change of it takes set-id bits away.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(self.mode))?;
        let now = extended(path)?;
        for (name, _) in &now {
            if !self.extended.iter().any(|(kept, _)| kept == name) {
                removexattr(path, c_name(name)?.as_c_str())?;
            }
        }
        for wanted in &self.extended {
            if !now.contains(wanted) {
                let (name, value) = wanted;
                setxattr(path, c_name(name)?.as_c_str(), value, XattrFlags::empty())?;
            }
        }
        Ok(())
    }
}

impl Change {
    /// Gives what stands at a path these attributes.
    pub fn restore_attributes(
        &self,
        path: &Path,
        attributes: &Attributes,
    ) -> Result<(), ChangeError> {
        attributes
            .give(path)
            .map_err(ChangeError::file("restore the attributes of", path))
    }
}

fn c_name(name: &[u8]) -> io::Result<CString> {
    CString::new(name).map_err(|_| Errno::INVAL.into())
}

/// All that may be read; none where the file system has no such thing.
fn extended(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = vec![0; LONGEST];
    let length = match listxattr(path, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    names.truncate(length);
    let mut all = Vec::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; LONGEST];
        match getxattr(path, c_name(name)?.as_c_str(), value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                all.push((name.to_vec(), value));
            }
            // Gone meanwhile, or listed and not to be read (some of `trusted.` and `security.`).
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    all.sort();
    Ok(all)
}
