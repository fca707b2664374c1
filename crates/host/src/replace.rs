//! Replaces a file as a whole, keeping owner, mode and label. What writes is called by a command that the user gave to
//! write; nothing that looks does.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Gid, Uid, XattrFlags};

/// What a file bears besides owner and mode.
const LABELS: [&str; 2] = ["security.selinux", "system.posix_acl_access"];
/// The longest label; the kernel's own limit is 64 KiB.
const LABEL_LIMIT: usize = 64 << 10;

/// Puts new content in the place of a file that still holds the old one: whoever opens it finds the one or the other,
/// never a part. A link is followed: what it names is replaced.
///
/// # Errors
/// Where the file holds something else by now, or cannot be written.
pub fn replace(path: &Path, old: &[u8], new: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut file = File::open(&path)?;
    let mut there = Vec::new();
    file.read_to_end(&mut there)?;
    if there != old {
        return Err(io::Error::other("it has changed meanwhile"));
    }
    let metadata = file.metadata()?;
    if metadata.nlink() > 1 {
        return Err(io::Error::other(
            "it has several names (hard links), and a new file would have one",
        ));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    // `include` takes no name that begins with a dot.
    let mut temporary = tempfile::Builder::new()
        .prefix(".why502-")
        .tempfile_in(folder)?;
    temporary.write_all(new)?;
    let made = temporary.as_file();
    let owner = (metadata.uid(), metadata.gid());
    if (made.metadata()?.uid(), made.metadata()?.gid()) != owner {
        let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
        rustix::fs::fchown(made, Some(uid), Some(gid))?;
    }
    made.set_permissions(metadata.permissions())?;
    labels(&file, made)?;
    made.sync_all()?;
    temporary.persist(&path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Has the new file bear the labels of the old one.
fn labels(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    let mut label = vec![0; LABEL_LIMIT];
    for name in LABELS {
        // Where there is none, or the file system knows none, there is nothing to keep.
        let Ok(length) = rustix::fs::fgetxattr(&from, name, label.as_mut_slice()) else {
            continue;
        };
        let label = label.get(..length).unwrap_or_default();
        rustix::fs::fsetxattr(&to, name, label, XattrFlags::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_behind_a_link_and_nothing_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("site"), dir.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        replace(&link, b"old", b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_has_changed_meanwhile_or_has_other_names_is_let_be() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site");
        fs::write(&file, "other").unwrap();
        assert!(replace(&file, b"old", b"new").is_err());
        fs::hard_link(&file, dir.path().join("same")).unwrap();
        assert!(replace(&file, b"other", b"new").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "other");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
