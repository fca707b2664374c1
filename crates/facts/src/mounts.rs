//! What is mounted where, from `/proc/PID/mountinfo` (proc_pid_mountinfo(5)). Reads text, decides nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use bstr::ByteSlice as _;

/// A mount, as one process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted, below the process's root.
    pub point: PathBuf,
    /// What of its file system is mounted there: `/` for all of it.
    pub root: PathBuf,
    /// Whether that was removed since: the mount keeps what no path leads to any more.
    pub is_removed: bool,
}

/// Reads the mounts, the later one over the earlier.
pub fn parse(bytes: &[u8]) -> Vec<Mount> {
    let mount = |line: &[u8]| {
        let mut fields = line.split(|&byte| byte == b' ').skip(3);
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let kept = root.strip_suffix(b"//deleted");
        Some(Mount {
            point: path(&point),
            is_removed: kept.is_some(),
            root: path(kept.unwrap_or(&root)),
        })
    };
    bytes.lines().filter_map(mount).collect()
}

fn path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

/// The kernel writes a space, tab, newline and backslash as `\` and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = after.split_first_chunk::<3>().filter(|_| byte == b'\\');
        let value = digits
            .and_then(|(digits, _)| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match (value, digits) {
            (Some(value), Some((_, after))) => {
                out.push(value);
                rest = after;
            }
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_file_may_have_been_removed() {
        let mounts = parse(
            b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            88 87 0:41 /a/x.sock//deleted /tmp/b\\040c/y.sock rw,relatime shared:1 - tmpfs t rw\n\
            junk\n",
        );
        let mount = |point: &str, root: &str, is_removed| Mount {
            point: point.into(),
            root: root.into(),
            is_removed,
        };
        assert_eq!(
            mounts,
            [
                mount("/proc", "/", false),
                mount("/tmp/b c/y.sock", "/a/x.sock", true),
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn junk_is_no_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            parse(&bytes);
        }
    }
}
