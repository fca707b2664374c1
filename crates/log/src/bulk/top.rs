//! Lists of the most frequent values, and numbers of distinct ones, in bounded memory.

use std::cmp::Reverse;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::LazyLock;

use foldhash::quality::{FixedState, RandomState};

/// What is longer is cut to so much.
const LONGEST_VALUE: usize = 256;
/// So many distinct values are counted one by one.
const FEW: usize = 256;
/// Registers of an estimate: its standard error is 1.04 divided by the root of it, 1.6 of a hundred.
const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of a hash that choose its register.
const INDEX_BITS: u32 = 12;
/// Bits of a hash of which the leading zeros are counted.
const RANK_BITS: u32 = u64::BITS - INDEX_BITS;

/// One for the process, so that counters can be merged; random, so that no client can choose values that collide.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// The most frequent values of something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Value and how often, the most first; values that come equally often in their own order.
    pub values: Vec<(Vec<u8>, u64)>,
    /// Each count may be too low by as much: 0 where all is exact.
    pub error: u64,
}

/// How many distinct values there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many.
    pub count: u64,
    /// It is an estimate: within 1.6 of a hundred as a rule, hardly ever off by 5.
    pub is_estimate: bool,
}

/// Finds the most frequent values.
///
/// Exact up to `capacity` distinct values, in whatever order they come and however they are spread over counters that are
/// merged. Of more, the rarest are dropped (Misra and Gries's algorithm, with the median of Apache DataSketches' frequent
/// items): then each count is a lower bound, too low by `error` at most, which is at most two values of `capacity`. A value
/// is cut to 256 bytes. Memory is 300 bytes a distinct value up to `capacity`, nothing before the first.
#[derive(Clone, Debug)]
pub struct TopCounter {
    capacity: usize,
    entries: Vec<Entry>,
    /// The values, one after the other, in the order of `entries`.
    arena: Vec<u8>,
    /// Open addressing, at most half full: the upper half of a hash over an index in `entries` plus one; 0 is free.
    slots: Vec<u64>,
    error: u64,
    seed: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    count: u64,
    /// Where its value is in the arena.
    start: u32,
    length: u16,
}

impl TopCounter {
    /// A counter that is exact up to so many distinct values, of which there is at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.clamp(1, 1 << 23),
            entries: Vec::new(),
            arena: Vec::new(),
            slots: Vec::new(),
            error: 0,
            seed: SEED.clone(),
        }
    }

    /// Counts a value.
    #[inline]
    pub fn add(&mut self, value: &[u8]) {
        self.add_many(value, 1);
    }

    /// Counts a value that came so often.
    #[inline]
    pub fn add_many(&mut self, value: &[u8], times: u64) {
        let value = value.get(..LONGEST_VALUE).unwrap_or(value);
        let mut hasher = self.seed.build_hasher();
        hasher.write(value);
        self.add_times(hasher.finish(), value, times);
    }

    /// Takes over what another counter counted.
    pub fn merge(&mut self, other: Self) {
        // The fuller one takes the other in: fewer values move.
        let (more, less) = if self.entries.len() < other.entries.len() {
            (other, std::mem::replace(self, Self::new(self.capacity)))
        } else {
            (std::mem::replace(self, Self::new(self.capacity)), other)
        };
        let capacity = more.capacity.min(less.capacity);
        *self = more;
        self.capacity = capacity;
        self.error += less.error;
        while self.entries.len() > capacity {
            self.drop_rarest();
        }
        for entry in &less.entries {
            self.add_times(entry.hash, entry.value(&less.arena), entry.count);
        }
    }

    /// The `n` most frequent values.
    pub fn finish(self, n: usize) -> Top {
        let Self {
            mut entries, arena, ..
        } = self;
        let order = |entry: &Entry| (Reverse(entry.count), entry.value(&arena));
        entries.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        let first = entries.iter().take(n);
        Top {
            values: first
                .map(|entry| (entry.value(&arena).to_vec(), entry.count))
                .collect(),
            error: self.error,
        }
    }

    #[inline]
    fn add_times(&mut self, hash: u64, value: &[u8], times: u64) {
        if let Some(index) = self.find(hash, value) {
            if let Some(entry) = self.entries.get_mut(index) {
                entry.count += times;
            }
            return;
        }
        self.insert(hash, value, times);
    }

    #[inline]
    fn find(&self, hash: u64, value: &[u8]) -> Option<usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = low(hash) & mask;
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            if slot >> 32 == hash >> 32 {
                let index = low(slot) - 1;
                let entry = self.entries.get(index)?;
                if entry.hash == hash && entry.value(&self.arena) == value {
                    return Some(index);
                }
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn insert(&mut self, hash: u64, value: &[u8], times: u64) {
        while self.entries.len() >= self.capacity {
            self.drop_rarest();
        }
        // Both fit: of at most 2^23 values, each has at most 256 bytes.
        let (Ok(start), Ok(length)) = (
            u32::try_from(self.arena.len()),
            u16::try_from(value.len().min(LONGEST_VALUE)),
        ) else {
            return;
        };
        self.arena.extend_from_slice(value);
        self.entries.push(Entry {
            hash,
            count: times,
            start,
            length,
        });
        if self.entries.len() * 2 > self.slots.len() {
            let length = (self.slots.len() * 2).max(16);
            self.slots.clear();
            self.slots.resize(length, 0);
            self.fill_slots();
        } else {
            place(&mut self.slots, hash, self.entries.len());
        }
    }

    /// Lowers all counts by their median, and drops what comes to nothing: at least half.
    fn drop_rarest(&mut self) {
        let mut counts: Vec<u64> = self.entries.iter().map(|entry| entry.count).collect();
        let middle = counts.len() / 2;
        if counts.is_empty() {
            return;
        }
        let median = *counts.select_nth_unstable(middle).1;
        self.error += median;
        let mut kept = 0;
        let arena = &mut self.arena;
        self.entries.retain_mut(|entry| {
            if entry.count <= median {
                return false;
            }
            entry.count -= median;
            let (start, length) = (entry.start as usize, usize::from(entry.length));
            // Towards the front: the values stand in the order of the entries.
            arena.copy_within(start..start + length, kept);
            entry.start = u32::try_from(kept).unwrap_or(entry.start);
            kept += length;
            true
        });
        self.arena.truncate(kept);
        self.slots.fill(0);
        self.fill_slots();
    }

    /// Enters all entries into slots that are free.
    fn fill_slots(&mut self) {
        for (index, entry) in self.entries.iter().enumerate() {
            place(&mut self.slots, entry.hash, index + 1);
        }
    }
}

impl Entry {
    #[inline]
    fn value<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        arena
            .get(start..start + usize::from(self.length))
            .unwrap_or_default()
    }
}

/// The lower half, as an index.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
fn low(bits: u64) -> usize {
    bits as u32 as usize
}

/// Enters an entry's number into the first free slot of its hash.
fn place(slots: &mut [u64], hash: u64, number: usize) {
    let mask = slots.len().wrapping_sub(1);
    let mut at = low(hash) & mask;
    while let Some(slot) = slots.get_mut(at) {
        if *slot == 0 {
            *slot = hash >> 32 << 32 | number as u64;
            return;
        }
        at = (at + 1) & mask;
    }
}

/// Counts distinct values.
///
/// Up to 256 one by one; of more it is an estimate (HyperLogLog with 4096 registers), within 1.6 of a hundred as a rule.
/// What comes out depends neither on the order nor on how the values are spread over counters that are merged, and is the
/// same in each run: the hash has no random seed, as a client that aims at it only makes itself look like fewer or more.
/// Memory is 4 KiB at most, nothing before the first value.
#[derive(Clone, Debug, Default)]
pub struct Distinct(Kept);

#[derive(Clone, Debug)]
enum Kept {
    /// Hashes, in order.
    Few(Vec<u64>),
    /// The longest run of zeros of each register, plus one; 0 where it has seen no hash.
    Many(Vec<u8>),
}

impl Default for Kept {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Distinct {
    /// A counter that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What [`Distinct::add_hash`] takes.
    #[inline]
    pub fn hash(value: &[u8]) -> u64 {
        let mut hasher = FixedState::with_seed(0x5f02).build_hasher();
        hasher.write(value);
        hasher.finish()
    }

    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: &[u8]) {
        self.add_hash(Self::hash(value));
    }

    /// Adds a value by its [`Distinct::hash`].
    #[inline]
    pub fn add_hash(&mut self, hash: u64) {
        match &mut self.0 {
            Kept::Many(registers) => {
                let (index, rank) = rank(hash);
                if let Some(register) = registers.get_mut(index) {
                    *register = rank.max(*register);
                }
            }
            Kept::Few(hashes) => {
                if let Err(at) = hashes.binary_search(&hash) {
                    hashes.insert(at, hash);
                    if hashes.len() > FEW {
                        self.estimate();
                    }
                }
            }
        }
    }

    /// Takes over what another counter saw.
    pub fn merge(&mut self, mut other: Self) {
        if matches!((&self.0, &other.0), (Kept::Few(_), Kept::Many(_))) {
            std::mem::swap(self, &mut other);
        }
        match other.0 {
            Kept::Few(hashes) => {
                for hash in hashes {
                    self.add_hash(hash);
                }
            }
            Kept::Many(theirs) => {
                if let Kept::Many(registers) = &mut self.0 {
                    for (register, theirs) in registers.iter_mut().zip(theirs) {
                        *register = theirs.max(*register);
                    }
                }
            }
        }
    }

    /// How many there were.
    pub fn finish(&self) -> Seen {
        match &self.0 {
            Kept::Few(hashes) => Seen {
                count: hashes.len() as u64,
                is_estimate: false,
            },
            Kept::Many(registers) => Seen {
                count: estimate(registers),
                is_estimate: true,
            },
        }
    }

    /// Goes over to registers.
    fn estimate(&mut self) {
        let many = Kept::Many(vec![0; REGISTERS]);
        if let Kept::Few(hashes) = std::mem::replace(&mut self.0, many) {
            for hash in hashes {
                self.add_hash(hash);
            }
        }
    }
}

/// The register of a hash, and the number of zeros that its other bits begin with, plus one.
#[inline]
fn rank(hash: u64) -> (usize, u8) {
    let zeros = (hash << INDEX_BITS).leading_zeros().min(RANK_BITS);
    (
        usize::try_from(hash >> RANK_BITS).unwrap_or_default(),
        u8::try_from(zeros + 1).unwrap_or(u8::MAX),
    )
}

/// Otmar Ertl's estimator ("New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6): unlike the
/// first one it has no bias at any number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an estimate, positive and far below 2^53"
)]
fn estimate(registers: &[u8]) -> u64 {
    let mut of_rank = [0_u32; RANK_BITS as usize + 2];
    for &register in registers {
        if let Some(count) = of_rank.get_mut(usize::from(register)) {
            *count += 1;
        }
    }
    let all = registers.len() as f64;
    let [none, between @ .., last] = of_rank.map(f64::from);
    let mut sum = all * tau(1.0 - last / all);
    for count in between.iter().rev() {
        sum = 0.5 * (sum + count);
    }
    sum += all * sigma(none / all);
    (all * all / (2.0 * std::f64::consts::LN_2 * sum)).round() as u64
}

/// `x` plus the sum of `x^(2^k) * 2^(k-1)` over all `k` from 1.
fn sigma(mut x: f64) -> f64 {
    let mut factor = 1.0;
    let mut sum = x;
    // Without end only for 1, where no register has seen anything.
    while x < 1.0 {
        x *= x;
        let before = sum;
        sum += x * factor;
        factor += factor;
        if sum <= before {
            return sum;
        }
    }
    f64::INFINITY
}

/// A third of `1 - x` less the sum of `(1 - x^(2^-k))^2 * 2^-k` over all `k` from 1.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let mut factor = 1.0;
    let mut sum = 1.0 - x;
    loop {
        x = x.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * factor;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn counted(values: &[u16]) -> BTreeMap<Vec<u8>, u64> {
        let mut truth = BTreeMap::new();
        for value in values {
            *truth.entry(text(*value)).or_default() += 1;
        }
        truth
    }

    fn text(value: u16) -> Vec<u8> {
        format!("/page/{value}").into_bytes()
    }

    fn ordered(truth: &BTreeMap<Vec<u8>, u64>, n: usize) -> Vec<(Vec<u8>, u64)> {
        let mut values: Vec<_> = truth.clone().into_iter().collect();
        values.sort_by_key(|(value, count)| (Reverse(*count), value.clone()));
        values.truncate(n);
        values
    }

    /// One counter for each part, merged in an order of its own.
    fn spread(values: &[u16], parts: usize, capacity: usize) -> TopCounter {
        let mut counters: Vec<_> = (0..parts).map(|_| TopCounter::new(capacity)).collect();
        for (at, value) in values.iter().enumerate() {
            counters[at * 7 % parts].add(&text(*value));
        }
        let mut all = TopCounter::new(capacity);
        while let Some(counter) = counters.pop() {
            all.merge(counter);
        }
        all
    }

    #[test]
    fn long_values_are_cut() {
        let mut top = TopCounter::new(4);
        top.add(&[b'a'; 300]);
        top.add(&[b'a'; 256]);
        top.add(b"");
        let top = top.finish(9);
        assert_eq!(top.values, [(vec![b'a'; 256], 2), (Vec::new(), 1)]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut top = TopCounter::new(1000);
        let mut clients = Distinct::new();
        for number in 0..1_000_000_u32 {
            let mut value = [b'x'; 256];
            value[..4].copy_from_slice(&number.to_le_bytes());
            top.add(&value);
            clients.add(&value);
            // One of ten is the same.
            if number % 10 == 0 {
                top.add(b"often");
            }
        }
        let bytes = top.entries.capacity() * size_of::<Entry>()
            + top.arena.capacity()
            + top.slots.capacity() * size_of::<u64>();
        assert!(bytes <= 2 * 300 * 1000, "{bytes}");
        let Top { values, error } = top.finish(1);
        assert_eq!(values[0].0, b"often");
        assert!(values[0].1 <= 100_000 && values[0].1 + error >= 100_000);
        assert!(error <= 2 * 1_100_000 / 1000, "{error}");
        let Kept::Many(registers) = &clients.0 else {
            panic!("an estimate")
        };
        assert_eq!(registers.capacity(), REGISTERS);
    }

    #[test]
    fn estimates_are_near_at_any_size() {
        let mut seen = Distinct::new();
        let mut next = 300;
        for number in 0..500_000_u32 {
            seen.add(format!("10.{number}").as_bytes());
            if number + 1 == next {
                let Seen { count, is_estimate } = seen.finish();
                let off = f64::from(u32::try_from(count).unwrap()) / f64::from(next) - 1.0;
                assert!(is_estimate && off.abs() < 0.07, "{count} of {next}");
                next += next / 3;
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_exact_below_its_capacity(values in vec(0_u16..50, 0..400), parts in 1_usize..5) {
            let top = spread(&values, parts, 50).finish(20);
            prop_assert_eq!(top.error, 0);
            prop_assert_eq!(top.values, ordered(&counted(&values), 20));
        }

        #[test]
        fn above_it_no_count_is_off_by_more_than_is_said(values in vec(0_u16..300, 0..2000), parts in 1_usize..5, capacity in 1_usize..60) {
            let truth = counted(&values);
            let Top { values: top, error } = spread(&values, parts, capacity).finish(usize::MAX);
            prop_assert!(top.len() <= capacity);
            prop_assert!(error <= 2 * values.len() as u64 / capacity as u64, "{}", error);
            for (value, count) in &top {
                prop_assert!(*count <= truth[value] && truth[value] <= count + error);
            }
            for (value, count) in truth {
                prop_assert!(count <= error || top.iter().any(|(other, _)| *other == value));
            }
        }

        #[test]
        fn distinct_values_are_counted_however_they_are_spread(values in vec(0_u16..2000, 0..1500), parts in 1_usize..5) {
            let truth = counted(&values).len() as u64;
            let mut whole = Distinct::new();
            let mut counters = vec![Distinct::new(); parts];
            for (at, value) in values.iter().enumerate() {
                whole.add(&text(*value));
                counters[at * 7 % parts].add_hash(Distinct::hash(&text(*value)));
            }
            let mut all = Distinct::new();
            while let Some(counter) = counters.pop() {
                all.merge(counter);
            }
            let Seen { count, is_estimate } = all.finish();
            prop_assert_eq!(whole.finish(), all.finish());
            prop_assert_eq!(is_estimate, truth > FEW as u64);
            prop_assert!(count.abs_diff(truth) <= if is_estimate { truth * 8 / 100 } else { 0 }, "{} of {}", count, truth);
        }
    }
}
