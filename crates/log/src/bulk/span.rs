//! The times in which something was logged, as spans.

use std::collections::BTreeMap;

/// What is further apart is another span, in seconds.
const APART: i64 = 300;

/// Spans of time, none nearer to another than [`APART`].
#[derive(Clone, Debug, Default)]
pub(super) struct Activity {
    /// Its end by its start.
    spans: BTreeMap<i64, i64>,
    /// The span that the last moment fell into: nearly all fall into it.
    last: Option<(i64, i64)>,
}

impl Activity {
    pub(super) fn add(&mut self, at: i64) {
        if let Some((start, end)) = &mut self.last
            && (*start - APART..=*end + APART).contains(&at)
        {
            *start = (*start).min(at);
            *end = (*end).max(at);
            return;
        }
        self.settle();
        self.last = Some((at, at));
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (start, end) in other.finish() {
            self.put(start, end);
        }
    }

    /// In order.
    pub(super) fn finish(mut self) -> Vec<(i64, i64)> {
        self.settle();
        self.spans.into_iter().collect()
    }

    fn settle(&mut self) {
        if let Some((start, end)) = self.last.take() {
            self.put(start, end);
        }
    }

    fn put(&mut self, start: i64, end: i64) {
        let (mut start, mut end) = (start, end);
        // Those that begin before this one's end and end behind its start become one with it.
        while let Some((&from, &to)) = self.spans.range(..=end + APART).next_back()
            && to >= start - APART
        {
            self.spans.remove(&from);
            start = start.min(from);
            end = end.max(to);
        }
        self.spans.insert(start, end);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What stands together in the sorted moments.
    fn obvious(mut moments: Vec<i64>) -> Vec<(i64, i64)> {
        moments.sort_unstable();
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for at in moments {
            match spans.last_mut() {
                Some((_, end)) if at - *end <= APART => *end = at,
                _ => spans.push((at, at)),
            }
        }
        spans
    }

    proptest! {
        #[test]
        fn spans_do_not_depend_on_order_or_cut(
            moments in prop::collection::vec(0_i64..20_000, 0..60),
            cut in 0_usize..60,
        ) {
            let (first, second) = moments.split_at(cut.min(moments.len()));
            let mut activity = Activity::default();
            for &at in first {
                activity.add(at);
            }
            let mut other = Activity::default();
            for &at in second {
                other.add(at);
            }
            activity.merge(other);
            prop_assert_eq!(activity.finish(), obvious(moments));
        }
    }
}
