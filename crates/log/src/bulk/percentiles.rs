//! Percentiles of durations in bounded memory.

/// Values below have a bucket each; above, each doubling has half as many.
const EXACT: u32 = 128;

/// Durations in milliseconds, counted in buckets none of which is wider than a sixty-fourth of its values: their middle is
/// within a hundredth of each.
///
/// Whole numbers and shifts (as HdrHistogram's) rather than a sketch's logarithms: adding takes a few instructions, merging
/// is adding up, and what takes less than 128 ms is exact. Memory: 3 KiB up to a minute, 7 KiB at most.
#[derive(Clone, Debug, Default)]
pub(super) struct Percentiles {
    /// Up to the highest that has a value.
    buckets: Vec<u32>,
}

impl Percentiles {
    /// Adds a duration; what is longer than 49 days is taken for as much.
    #[inline]
    pub(super) fn add(&mut self, milliseconds: u64) {
        let bucket = bucket(u32::try_from(milliseconds).unwrap_or(u32::MAX));
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        if self.buckets.len() < other.buckets.len() {
            std::mem::swap(self, &mut other);
        }
        for (count, more) in self.buckets.iter_mut().zip(other.buckets) {
            *count = count.saturating_add(more);
        }
    }

    /// The least durations that so many of a hundred do not exceed, within a hundredth; `None` without any.
    pub(super) fn at<const N: usize>(&self, percentiles: [u64; N]) -> Option<[f64; N]> {
        let all: u64 = self.buckets.iter().copied().map(u64::from).sum();
        (all > 0)
            .then(|| percentiles.map(|percentile| self.ranked((all * percentile).div_ceil(100))))
    }

    fn ranked(&self, rank: u64) -> f64 {
        let mut below = 0;
        let bucket = self.buckets.iter().position(|count| {
            below += u64::from(*count);
            below >= rank
        });
        middle(bucket.unwrap_or_default())
    }
}

#[inline]
fn bucket(value: u32) -> usize {
    let shift = (value | (EXACT / 2)).ilog2() - (EXACT / 2).ilog2();
    (shift * (EXACT / 2) + (value >> shift)) as usize
}

/// The middle of a bucket.
fn middle(bucket: usize) -> f64 {
    let bucket = u32::try_from(bucket).unwrap_or_default();
    let shift = (bucket / (EXACT / 2)).saturating_sub(1);
    let least = (bucket - shift * (EXACT / 2)) << shift;
    f64::from(least) + f64::from((1_u32 << shift) - 1) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_values_have_no_percentiles() {
        assert_eq!(Percentiles::default().at([50]), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut times = Percentiles::default();
        times.add(u64::MAX);
        assert!(times.buckets.len() * size_of::<u32>() <= 7 << 10);
    }

    proptest! {
        #[test]
        fn each_is_within_a_hundredth(values in proptest::collection::vec(prop_oneof![0..200_u32, 0..70_000_u32, 0..u32::MAX], 1..300), cut in 0_usize..300) {
            let (mut times, mut more) = (Percentiles::default(), Percentiles::default());
            for (at, value) in values.iter().enumerate() {
                if at < cut { times.add(u64::from(*value)) } else { more.add(u64::from(*value)) }
            }
            times.merge(more);
            let mut sorted = values;
            sorted.sort_unstable();
            let all = [1, 50, 95, 99, 100];
            for (told, percentile) in times.at(all).unwrap().into_iter().zip(all) {
                let rank = (sorted.len() as u64 * percentile).div_ceil(100);
                let exact = f64::from(sorted[usize::try_from(rank).unwrap() - 1]);
                prop_assert!((told - exact).abs() <= exact / 100.0, "{} for {}", told, exact);
                prop_assert!(exact >= 128.0 || told.total_cmp(&exact).is_eq());
            }
        }
    }
}
