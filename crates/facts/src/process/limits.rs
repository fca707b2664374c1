//! What `/proc/PID/limits` tells: how much a process may use.

use bstr::ByteSlice as _;

use crate::text::number;

/// A limit of a process; `u64::MAX` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What holds now.
    pub soft: u64,
    /// What the process may raise it to by itself.
    pub hard: u64,
}

/// `RLIMIT_NOFILE`: how many descriptors the process may have open.
pub fn open_files(limits: &[u8]) -> Option<Limit> {
    let values = limits
        .lines()
        .find_map(|line| line.strip_prefix(b"Max open files "))?;
    let mut values = values.fields().map(|value| match value {
        b"unlimited" => Some(u64::MAX),
        value => number(value),
    });
    Some(Limit {
        soft: values.next()??,
        hard: values.next()??,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_line_of_open_files_is_read() {
        let limits =
            b"Limit                     Soft Limit           Hard Limit           Units     \n\
            Max processes             15608                15608                processes \n\
            Max open files            1024                 524288               files     \n";
        let read = open_files(limits);
        assert_eq!(
            read,
            Some(Limit {
                soft: 1024,
                hard: 524_288
            })
        );
        let unlimited = open_files(b"Max open files            24 unlimited files\n");
        assert_eq!(
            unlimited,
            Some(Limit {
                soft: 24,
                hard: u64::MAX
            })
        );
        assert_eq!(open_files(b"Max open files            x"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in "(Max open files )?[0-9a-z \n]{0,40}") {
            open_files(&bytes);
            open_files(text.as_bytes());
        }
    }
}
