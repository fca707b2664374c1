//! The pieces that a kernel policy is made of. Knows nothing of what they mean.

/// Reads little-endian numbers and sets of bits from the front.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// A set of numbers from 1 on (`ebitmap`, where they count from 0).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(Vec<(u32, u64)>);

/// Bits in a word of a set (`MAPSIZE`).
const WORD: u32 = 64;

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u16::from_le_bytes(*number))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*number))
    }

    fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*number))
    }

    pub(super) fn bytes(&mut self, length: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A length and so many bytes.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.bytes(length)
    }

    /// So many 32-bit numbers that nobody needs.
    pub(super) fn skip(&mut self, numbers: u32) -> Option<()> {
        self.bytes(numbers.checked_mul(4)?).map(drop)
    }

    /// A count, and what is read so many times.
    pub(super) fn times(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let count = self.u32()?;
        for _ in 0..count {
            each(self)?;
        }
        Some(())
    }

    pub(super) fn bits(&mut self) -> Option<Bits> {
        let word = self.u32()?;
        let _highest = self.u32()?;
        let mut words = Vec::new();
        let mut next = 0;
        self.times(|reader| {
            let (start, map) = (reader.u32()?, reader.u64()?);
            // In order, as `ebitmap_read` demands: so [`Bits::has`] may halve.
            let is_in_order = start >= next && start % WORD == 0;
            next = start.checked_add(1)?;
            words.push((start, map));
            is_in_order.then_some(())
        })?;
        (word == WORD || words.is_empty()).then_some(Bits(words))
    }
}

impl Bits {
    /// Whether a number, from 1 on, is in it.
    pub(super) fn has(&self, number: u32) -> bool {
        let Some(bit) = number.checked_sub(1) else {
            return false;
        };
        let start = bit - bit % WORD;
        let found = self.0.binary_search_by_key(&start, |(start, _)| *start);
        let map = found.ok().and_then(|place| self.0.get(place));
        map.is_some_and(|(_, map)| map >> (bit % WORD) & 1 == 1)
    }
}
