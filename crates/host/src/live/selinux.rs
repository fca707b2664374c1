//! What the SELinux policy decides.

use facts::Answer;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{self, Errno};

const ROOT: &str = "/sys/fs/selinux";
/// Longer than the kernel's answer, which is six numbers.
const ANSWER: usize = 256;

/// Puts one question to `access`: writing it is how it is asked, and the answer lies with this one descriptor
/// (`simple_transaction_get` in fs/libfs.c). Nothing of it outlives that.
pub(super) fn access(source: &str, target: &str, class: &str) -> io::Result<Answer> {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    if ![source, target, class].into_iter().all(is_word) || class.contains(['/', '.']) {
        return Err(Errno::INVAL);
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let index = open(format!("{ROOT}/class/{class}/index"), flags, Mode::empty())?;
    let index = read(&index)?;
    let index = std::str::from_utf8(&index).map_err(|_| Errno::INVAL)?;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let access = open(format!("{ROOT}/access"), flags, Mode::empty())?;
    io::write(
        &access,
        format!("{source} {target} {}", index.trim()).as_bytes(),
    )?;
    read(&access).map(Answer::Bytes)
}

fn read(file: impl std::os::fd::AsFd) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; ANSWER];
    let length = io::read(file, bytes.as_mut_slice())?;
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_context_or_class_is_not_asked() {
        for (source, target, class) in [
            ("a:b:c", "a:b:c", "../../access"),
            ("a:b:c", "a:b:c", ""),
            ("a:b:c d", "a:b:c", "file"),
            ("a:b:c", "", "file"),
            ("a:b:c\n", "a:b:c", "file"),
        ] {
            assert_eq!(access(source, target, class), Err(Errno::INVAL));
        }
    }
}
