//! Files put in place whole: whoever reads one sees the old bytes or the new, also after a power cut.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::attributes::Attributes;
use super::{Change, ChangeError};

/// What a new file is to have besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// The owner; whoever makes it, where none is said.
    pub uid: Option<u32>,
    /// The group, likewise.
    pub gid: Option<u32>,
    /// The permission bits, whatever the umask.
    pub mode: u32,
}

impl NewFile {
    fn give(&self, path: &Path) -> io::Result<()> {
        if self.uid.is_some() || self.gid.is_some() {
            std::os::unix::fs::chown(path, self.uid, self.gid)?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(self.mode))
    }
}

/// A file as it stands before it is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Where it really stands: symbolic links are resolved, so that they stay.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Whose it is.
    pub attributes: Attributes,
}

impl Original {
    /// Reads a file that may be changed: a regular one of one name.
    pub fn read(path: &Path) -> Result<Self, ChangeError> {
        let real = path
            .canonicalize()
            .map_err(ChangeError::file("find", path))?;
        let metadata =
            std::fs::metadata(&real).map_err(ChangeError::file("look at", real.as_path()))?;
        if !metadata.is_file() {
            return Err(ChangeError::Special(real));
        }
        if metadata.nlink() > 1 {
            return Err(ChangeError::Linked {
                path: real,
                links: metadata.nlink(),
            });
        }
        Ok(Self {
            bytes: std::fs::read(&real).map_err(ChangeError::file("read", real.as_path()))?,
            attributes: Attributes::of(&real)?,
            path: real,
        })
    }
}

impl Change {
    /// Puts a file in place with these bytes and attributes.
    pub fn replace(
        &self,
        path: &Path,
        bytes: &[u8],
        attributes: &Attributes,
    ) -> Result<(), ChangeError> {
        put(path, bytes, &|beside| attributes.give(beside))
            .map_err(ChangeError::file("write", path))
    }

    /// Puts a file in place that is new, and makes the directories above it. What the kernel gives a new file there (a
    /// label, an access list) stays.
    pub fn create(&self, path: &Path, bytes: &[u8], new: &NewFile) -> Result<(), ChangeError> {
        if let Some(directory) = path.parent() {
            self.make_directories(directory)?;
        }
        put(path, bytes, &|beside| new.give(beside)).map_err(ChangeError::file("write", path))
    }

    /// Makes a directory and those above it, where they are not there.
    pub fn make_directories(&self, path: &Path) -> Result<(), ChangeError> {
        std::fs::create_dir_all(path).map_err(ChangeError::file("make", path))
    }

    /// Removes a file.
    pub fn remove(&self, path: &Path) -> Result<(), ChangeError> {
        std::fs::remove_file(path).map_err(ChangeError::file("remove", path))
    }

    /// Takes away what a replacement that was cut off left beside a file.
    pub fn clear(&self, path: &Path) -> Result<(), ChangeError> {
        let beside = beside(path);
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ChangeError::file("remove", beside)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes a directory that is empty; anything else stays.
    pub fn remove_directory(&self, path: &Path) -> Result<(), ChangeError> {
        match std::fs::remove_dir(path) {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Err(ChangeError::file("remove", path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Puts a file of why502's own in place, readable by its owner only.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), ChangeError> {
    put(path, bytes, &|_| Ok(())).map_err(ChangeError::file("write", path))
}

/// The new file stands beside the old one until it is whole. Its name begins with a dot, so that no `include *.conf` of
/// nginx's matches it.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".why502-new");
    path.with_file_name(name)
}

/// Gives a file what it has besides its bytes, before it is in place.
type Give<'a> = &'a dyn Fn(&Path) -> io::Result<()>;

fn put(path: &Path, bytes: &[u8], give: Give<'_>) -> io::Result<()> {
    let new = beside(path);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = fill(&new, bytes, give).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        // What failed is told; that the rest of it stays as well would only hide that.
        drop(std::fs::remove_file(&new));
    }
    written?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    File::open(directory)?.sync_all()
}

fn fill(new: &Path, bytes: &[u8], give: Give<'_>) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)?;
    file.write_all(bytes)?;
    give(new)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_its_attributes_and_links_to_it_stay() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real.conf");
        let link = directory.path().join("link.conf");
        std::fs::write(&real, "old").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real.conf", &link).unwrap();
        let with_note =
            rustix::fs::setxattr(&real, "user.note", b"kept", rustix::fs::XattrFlags::empty());
        let original = Original::read(&link).unwrap();
        assert_eq!(original.path, real.canonicalize().unwrap());
        Change::new()
            .replace(&original.path, b"new", &original.attributes)
            .unwrap();
        assert_eq!(std::fs::read(&link).unwrap(), b"new");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        let after = Original::read(&link).unwrap();
        assert_eq!(after.attributes, original.attributes);
        assert_eq!(after.attributes.mode, 0o640);
        if with_note.is_ok() {
            assert!(
                after
                    .attributes
                    .extended
                    .contains(&(b"user.note".to_vec(), b"kept".to_vec()))
            );
        }
        assert_eq!(directory.path().read_dir().unwrap().count(), 2);
    }

    #[test]
    fn a_new_file_has_the_mode_that_is_said_and_stands_in_the_place_of_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a/b/new.conf");
        let new = NewFile {
            uid: None,
            gid: None,
            mode: 0o666,
        };
        Change::new().create(&file, b"new", &new).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&file), 0o666);
        let link = directory.path().join("a/b/link.conf");
        symlink(&file, &link).unwrap();
        let private = NewFile { mode: 0o600, ..new };
        Change::new().create(&link, b"own", &private).unwrap();
        assert!(link.symlink_metadata().unwrap().is_file());
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        Change::new().remove(&link).unwrap();
        assert!(Change::new().remove(&link).is_err());
        assert_eq!(directory.path().join("a/b").read_dir().unwrap().count(), 1);
    }

    #[test]
    fn what_a_cut_off_replacement_left_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("site.conf");
        std::fs::write(&file, "old").unwrap();
        std::fs::write(directory.path().join(".site.conf.why502-new"), "half").unwrap();
        let original = Original::read(&file).unwrap();
        Change::new()
            .replace(&file, b"new", &original.attributes)
            .unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        std::fs::write(directory.path().join(".site.conf.why502-new"), "half").unwrap();
        Change::new().clear(&file).unwrap();
        Change::new().clear(&file).unwrap();
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn what_has_other_names_or_is_no_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("site.conf");
        std::fs::write(&file, "old").unwrap();
        std::fs::hard_link(&file, directory.path().join("other")).unwrap();
        assert!(matches!(
            Original::read(&file),
            Err(ChangeError::Linked { links: 2, .. })
        ));
        assert!(matches!(
            Original::read(directory.path()),
            Err(ChangeError::Special(_))
        ));
    }
}
