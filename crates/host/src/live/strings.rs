//! Strings of a binary, found without holding the whole of it.

use std::os::fd::OwnedFd;
use std::path::Path;

use facts::{Answer, View};
use memchr::memchr;
use memchr::memmem::Finder;
use rustix::buffer::spare_capacity;
use rustix::io::{self, Errno};

use super::file;

/// A longer string is none.
const LONGEST: usize = 64 << 10;
/// What is searched at once; a multiple of `LONGEST` keeps the repeated part small.
const CHUNK: usize = 2 << 20;
/// What an answer holds at most.
const ALL: usize = 16 << 20;

pub(super) fn strings(path: &Path, prefixes: &[String]) -> io::Result<Answer> {
    let (file, _) = file::open(View::Host, path)?;
    Ok(Answer::Bytes(search(&file, prefixes, CHUNK, LONGEST)?))
}

fn search(
    file: &OwnedFd,
    prefixes: &[String],
    chunk: usize,
    longest: usize,
) -> io::Result<Vec<u8>> {
    let finders: Vec<Finder<'_>> = prefixes
        .iter()
        .filter(|prefix| !prefix.is_empty())
        .map(Finder::new)
        .collect();
    let mut found = Vec::new();
    // Begins with the byte before the first place where a string may begin.
    let mut held = vec![0];
    loop {
        let last = !fill(file, &mut held, chunk + longest)?;
        let until = if last { held.len() } else { chunk };
        for start in starts(&held, &finders) {
            let string = held.get(start..).unwrap_or_default();
            let string = string.get(..longest).unwrap_or(string);
            if start < until
                && let Some(end) = memchr(0, string)
            {
                found.extend_from_slice(string.get(..=end).unwrap_or_default());
            }
        }
        if last || found.len() > ALL {
            return Ok(found);
        }
        held.drain(..until - 1);
    }
}

/// Where a string with a wanted prefix begins, in order: after a byte that is no text.
fn starts(held: &[u8], finders: &[Finder<'_>]) -> Vec<usize> {
    let mut starts: Vec<usize> = finders
        .iter()
        .flat_map(|finder| finder.find_iter(held))
        .filter(|&start| {
            let before = start.checked_sub(1).and_then(|before| held.get(before));
            before.is_some_and(|&byte| !is_text(byte))
        })
        .collect();
    starts.sort_unstable();
    starts.dedup();
    starts
}

fn is_text(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte == b' ' || byte.is_ascii_whitespace()
}

/// Reads until this much is held; false at the end of the file.
fn fill(file: &OwnedFd, held: &mut Vec<u8>, wanted: usize) -> io::Result<bool> {
    held.reserve(wanted.saturating_sub(held.len()));
    while held.len() < wanted {
        match io::read(file, spare_capacity(held)) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use proptest::prelude::*;

    use super::*;

    fn search_in(bytes: &[u8], prefixes: &[&str], chunk: usize, longest: usize) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        let prefixes: Vec<String> = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        search(&file.into(), &prefixes, chunk, longest).unwrap()
    }

    #[test]
    fn strings_begin_after_a_byte_that_is_no_text() {
        let table: [(&[u8], &[u8]); 6] = [
            (b"\0nginx version: x\0", b"nginx version: x\0"),
            (
                b"nginx version: at the start\0",
                b"nginx version: at the start\0",
            ),
            (b"\x7fELF\0in nginx version: x\0", b""),
            (b"\0nginx version: no end", b""),
            (
                b"\0built by gcc\0\0nginx version: x\0",
                b"built by gcc\0nginx version: x\0",
            ),
            (
                b"\0nginx version: nginx version: x\0",
                b"nginx version: nginx version: x\0",
            ),
        ];
        for (bytes, expected) in table {
            assert_eq!(
                search_in(bytes, &["nginx version: ", "built by "], CHUNK, LONGEST),
                expected
            );
        }
    }

    proptest! {
        #[test]
        fn a_string_across_the_border_of_chunks_is_found_once(
            before in 0..300_usize,
            length in 0..200_usize,
        ) {
            let mut bytes = vec![0; before];
            let string = format!("--conf{}\0", "x".repeat(length));
            bytes.extend_from_slice(string.as_bytes());
            bytes.extend_from_slice(&[1; 100]);
            prop_assert_eq!(search_in(&bytes, &["--conf"], 64, 256), string.into_bytes());
        }
    }
}
