//! How a log is packed, by its first bytes: names lie, and standard input has none.

use std::io::{self, BufReader, Read};

/// So much is read of a packed file at once.
const CHUNK: usize = 128 << 10;
/// More than this no `.xz` may ask for, in KiB: `xz -9` asks for 65 MiB.
const MOST_XZ_KIB: u32 = 256 << 10;

/// How a log is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

impl Packing {
    /// The longest of the marks.
    pub(crate) const MARK: usize = 10;

    /// By the first [`Packing::MARK`] bytes, or all where there are fewer.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            // A frame, or one to be skipped, with which `pzstd` begins.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // A block, or the end of an empty file.
            [
                b'B',
                b'Z',
                b'h',
                b'1'..=b'9',
                0x31,
                0x41,
                0x59,
                0x26,
                0x53,
                0x59,
                ..,
            ]
            | [
                b'B',
                b'Z',
                b'h',
                b'1'..=b'9',
                0x17,
                0x72,
                0x45,
                0x38,
                0x50,
                0x90,
                ..,
            ] => Self::Bzip2,
            _ => Self::Plain,
        }
    }

    /// For people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }

    /// The log that was packed, of all members, frames or streams.
    pub(crate) fn unpack(
        self,
        from: impl Read + Send + 'static,
    ) -> io::Result<Box<dyn Read + Send>> {
        let buffered = |from| BufReader::with_capacity(CHUNK, from);
        Ok(match self {
            Self::Plain => Box::new(from),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(from))),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(buffered(from))?),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
                buffered(from),
                true,
                MOST_XZ_KIB,
            )),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(buffered(from))),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write as _;

    /// Packs `text` in so many members, frames or streams.
    pub(crate) fn pack(packing: Packing, text: &[u8], members: usize) -> Vec<u8> {
        let length = text.len().div_ceil(members.max(1)).max(1);
        let one = |part: &[u8]| match packing {
            Packing::Plain => part.to_vec(),
            Packing::Gzip => {
                let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                to.write_all(part).unwrap();
                to.finish().unwrap()
            }
            Packing::Zstd => {
                let mut to = zstd::Encoder::new(Vec::new(), 1).unwrap();
                // As the program does.
                to.include_checksum(true).unwrap();
                to.write_all(part).unwrap();
                to.finish().unwrap()
            }
            Packing::Xz => {
                let options = lzma_rust2::XzOptions::with_preset(0);
                let mut to = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
                to.write_all(part).unwrap();
                to.finish().unwrap()
            }
            Packing::Bzip2 => {
                let mut to = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                to.write_all(part).unwrap();
                to.finish().unwrap()
            }
        };
        if text.is_empty() {
            return one(text);
        }
        text.chunks(length).flat_map(one).collect()
    }

    pub(crate) const ALL: [Packing; 5] = [
        Packing::Plain,
        Packing::Gzip,
        Packing::Zstd,
        Packing::Xz,
        Packing::Bzip2,
    ];

    #[test]
    fn each_packing_is_known_by_its_mark_and_read_to_the_end_of_its_last_member() {
        for packing in ALL {
            for (text, members) in [(&b""[..], 1), (b"one line\n", 1), (b"a\nb\nc\nd\n", 3)] {
                let packed = pack(packing, text, members);
                assert_eq!(Packing::of(&packed), packing, "{packing:?} {text:?}");
                let mut read = Vec::new();
                let mut from = packing.unpack(io::Cursor::new(packed)).unwrap();
                from.read_to_end(&mut read).unwrap();
                assert_eq!(read, text, "{packing:?}");
            }
        }
    }
}
