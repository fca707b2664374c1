//! Versions in the names of sockets, `php8.1-fpm.sock`. Reads names only.

use std::ffi::OsStr;
use std::path::Path;

/// Whether two socket paths stand in one directory and are the same but for a dotted version, which one of them may
/// lack: `php8.1-fpm.sock`, `php8.2-fpm.sock`, `php-fpm.sock`. A bare number may as well count instances.
pub(super) fn differ_by_version(one: &Path, other: &Path) -> bool {
    let names = (
        one.file_name().and_then(OsStr::to_str),
        other.file_name().and_then(OsStr::to_str),
    );
    let (Some(first), Some(second)) = names else {
        return false;
    };
    let ((first, dotted), (second, also_dotted)) = (unversioned(first), unversioned(second));
    one != other && one.parent() == other.parent() && (dotted || also_dotted) && first == second
}

/// A file name without its digits and the dots between them, and whether there was such a dot.
fn unversioned(name: &str) -> (String, bool) {
    let bytes = name.as_bytes();
    let is_digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let mut dotted = false;
    let kept = name
        .char_indices()
        .filter(|&(at, char)| {
            let in_version = char == '.' && is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
            dotted |= in_version;
            !(in_version || char.is_ascii_digit())
        })
        .map(|(_, char)| char)
        .collect();
    (kept, dotted)
}

/// The dotted version in a file's name: `8.1` of `/run/php/php8.1-fpm.sock`.
pub(super) fn version_in(path: &Path) -> Option<String> {
    let name = path.file_name().and_then(OsStr::to_str)?;
    name.split(|char: char| !(char.is_ascii_digit() || char == '.'))
        .map(|part| part.trim_matches('.'))
        .find(|part| part.contains('.'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_paths_may_differ_by_a_version_only() {
        let php = |version: &str| format!("/run/php/php{version}-fpm.sock");
        assert!(differ_by_version(
            Path::new(&php("8.1")),
            Path::new(&php("8.2"))
        ));
        assert!(differ_by_version(
            Path::new(&php("7.4")),
            Path::new(&php("8"))
        ));
        assert!(!differ_by_version(
            Path::new("/run/app1.sock"),
            Path::new("/run/app2.sock")
        ));
        assert!(differ_by_version(
            Path::new("/run/php/php-fpm.sock"),
            Path::new(&php("8.2"))
        ));
        assert!(!differ_by_version(
            Path::new(&php("8.1")),
            Path::new("/run/other/php8.2-fpm.sock")
        ));
        assert!(!differ_by_version(
            Path::new("/run/a.sock"),
            Path::new("/run/b.sock")
        ));
        assert!(!differ_by_version(
            Path::new(&php("8.1")),
            Path::new(&php("8.1"))
        ));
    }

    #[test]
    fn a_version_is_read_from_a_name() {
        let version = |path: &str| version_in(Path::new(path));
        assert_eq!(version("/run/php/php8.1-fpm.sock").as_deref(), Some("8.1"));
        assert_eq!(
            version("/run/php/php8.1-fpm-blog.sock").as_deref(),
            Some("8.1")
        );
        assert_eq!(version("/run/php7.4/php-fpm.sock"), None);
        assert_eq!(version("/run/app1.sock"), None);
    }
}
