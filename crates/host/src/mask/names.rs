//! Finds the words that name a secret, in any case of letters, at the speed of the memory.
//!
//! The search is Wu and Manber's: the last two bytes of a window tell how far the next word can be at least, so most
//! bytes are never looked at.

use std::ops::Range;

/// Each at least [`WINDOW`] bytes long, in lower case.
const NAMES: &[&[u8]] = &[
    b"password",
    b"passwd",
    b"passphrase",
    b"secret",
    b"token",
    b"api_key",
    b"api-key",
    b"apikey",
    b"access_key",
    b"access-key",
    b"accesskey",
    b"authorization",
    b"cookie",
    b"mysql_pwd",
];

/// So many first bytes of a word are searched for.
const WINDOW: usize = 5;

/// How far to move on, by the last two bytes of a window.
static SHIFTS: [u8; 1 << 16] = shifts();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::large_stack_arrays,
    reason = "evaluated by the compiler, which refuses an index out of bounds and has no stack; a shift is below WINDOW"
)]
const fn shifts() -> [u8; 1 << 16] {
    let mut shifts = [(WINDOW - 1) as u8; 1 << 16];
    let mut name = 0;
    while name < NAMES.len() {
        let mut at = 1;
        while at < WINDOW {
            let (first, second) = (NAMES[name][at - 1], NAMES[name][at]);
            let shift = (WINDOW - 1 - at) as u8;
            let mut letters = 0;
            while letters < 4 {
                let first = if letters & 1 == 0 {
                    first
                } else {
                    first.to_ascii_uppercase()
                };
                let second = if letters & 2 == 0 {
                    second
                } else {
                    second.to_ascii_uppercase()
                };
                let pair = u16::from_le_bytes([first, second]) as usize;
                if shift < shifts[pair] {
                    shifts[pair] = shift;
                }
                letters += 1;
            }
            at += 1;
        }
        name += 1;
    }
    shifts
}

/// So many parts are searched by turns: what one waits for, the others do not.
const LANES: usize = 4;

/// Every name, in order.
pub(super) fn find(bytes: &[u8]) -> Vec<Range<usize>> {
    let part = bytes.len() / LANES;
    let mut found = Vec::new();
    let mut ends: [usize; LANES] = std::array::from_fn(|lane| lane * part + WINDOW);
    // A turn moves a lane by less than a window, so no lane leaves its part before the others' turn.
    while ends
        .iter()
        .enumerate()
        .all(|(lane, &end)| end < (lane + 1) * part)
    {
        for end in &mut ends {
            *end += step(bytes, *end, &mut found);
        }
    }
    for (lane, end) in ends.iter_mut().enumerate() {
        let last = if lane + 1 == LANES {
            bytes.len()
        } else {
            (lane + 1) * part + WINDOW - 1
        };
        while *end <= last {
            *end += step(bytes, *end, &mut found);
        }
    }
    found.sort_unstable_by_key(|name| name.start);
    found
}

#[inline]
fn step(bytes: &[u8], end: usize, found: &mut Vec<Range<usize>>) -> usize {
    let Some(&[first, second]) = bytes.get(end - 2..end) else {
        return WINDOW;
    };
    let pair = usize::from(u16::from_le_bytes([first, second]));
    let shift = SHIFTS.get(pair).copied().unwrap_or(0);
    if shift == 0 {
        // Plain words end a window as often as names do; few begin one.
        if bytes.get(end - WINDOW..).is_some_and(may_begin) {
            found.extend(name_at(bytes, end - WINDOW));
        }
        return 1;
    }
    usize::from(shift)
}

/// Whether a name's first two letters stand here.
#[inline]
fn may_begin(bytes: &[u8]) -> bool {
    // Of a letter the bit tells its case; what else it turns into a letter is looked at again.
    let Some(&[first, second]) = bytes.get(..2) else {
        return false;
    };
    matches!(
        &[first | 0x20, second | 0x20],
        b"pa" | b"se" | b"to" | b"ap" | b"ac" | b"au" | b"co" | b"my"
    )
}

#[cold]
fn name_at(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?;
    NAMES
        .iter()
        .copied()
        .find(|name| {
            rest.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        })
        .map(|name| start..start + name.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_name_fills_the_window_in_lower_case() {
        for name in NAMES {
            assert!(name.len() >= WINDOW && name.to_ascii_lowercase() == *name);
            assert!(may_begin(name) && may_begin(&name.to_ascii_uppercase()));
        }
    }

    fn naive(bytes: &[u8]) -> Vec<Range<usize>> {
        (0..bytes.len())
            .filter_map(|start| name_at(bytes, start))
            .collect()
    }

    proptest! {
        #[test]
        fn every_name_is_found(text in "([a-zA-Z_-]{0,9}|PassWord|token|cooKIE|aPi-key|secre|secret){0,20}") {
            prop_assert_eq!(find(text.as_bytes()), naive(text.as_bytes()));
        }
    }
}
