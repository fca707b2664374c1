//! The room on a file system, from the line of a `FileSystem` record.

use bstr::ByteSlice as _;

use crate::text::number;

/// The room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that others than root may still write.
    pub available: u64,
    /// Files in all; 0 where there is no fixed number.
    pub files: u64,
    /// Files that may still be made.
    pub free_files: u64,
    /// Nothing may be written.
    pub is_read_only: bool,
}

impl Room {
    /// Reads the line documented at `ProbeRequest::FileSystem`.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let field = |name: &str| -> Option<u64> {
            number(
                line.fields()
                    .find_map(|field| field.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?,
            )
        };
        let block = field("block")?;
        Some(Self {
            total: field("blocks")?.saturating_mul(block),
            available: field("available")?.saturating_mul(block),
            files: field("files")?,
            free_files: field("free-files")?,
            is_read_only: field("read-only")? != 0,
        })
    }

    /// Whether no file can be made any more, whatever its size.
    pub fn lacks_files(&self) -> bool {
        self.files > 0 && self.free_files == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_line_is_read() {
        let line = b"block=4096 blocks=4 free=1 available=0 files=10 free-files=0 read-only=1\n";
        let room = Room {
            total: 16384,
            available: 0,
            files: 10,
            free_files: 0,
            is_read_only: true,
        };
        assert_eq!(Room::parse(line), Some(room));
        assert!(room.lacks_files());
        assert_eq!(Room::parse(b"block=4096 blocks=4"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in "((block|blocks|available|files|free-files|read-only)=[0-9]{0,22} ){0,8}") {
            Room::parse(&bytes);
            Room::parse(text.as_bytes());
        }
    }
}
