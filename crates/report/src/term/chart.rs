//! Counts over time, drawn with block characters. Every drawing of a report has the same axis, so that what happened at
//! the same time stands in the same column.

use diagnose::logs::{LocalTime, LogReport, Step};

use crate::local::{LocalClock, spelled};
use crate::words;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// A step in which nothing failed.
const NOTHING: char = '·';
/// A step is drawn so wide at most, where the window has few.
const WIDEST: usize = 4;

/// The window of a report, cut into columns of the same length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    from: i64,
    /// Seconds of a column.
    length: i64,
    columns: usize,
    /// Characters of a column.
    wide: usize,
    step: Step,
}

impl Axis {
    /// As wide as `room` at most; `None` where nothing has a time.
    pub(super) fn new(report: &LogReport, room: usize) -> Option<Self> {
        let window = report.window.into_iter().flat_map(|(from, to)| [from, to]);
        let steps = report
            .incidents
            .iter()
            .flat_map(|incident| [incident.timeline.first(), incident.timeline.last()])
            .flatten()
            .map(|(at, _)| *at);
        let times: Vec<i64> = window.chain(steps).map(LocalTime::seconds).collect();
        let step = report.step.seconds();
        let first = times.iter().min()?.div_euclid(step);
        let last = times.iter().max()?.div_euclid(step);
        let room = room.max(1);
        let steps = usize::try_from(last - first + 1).ok()?;
        let of_column = steps.div_ceil(room);
        let columns = steps.div_ceil(of_column);
        Some(Self {
            from: first * step,
            length: i64::try_from(of_column).ok()? * step,
            columns,
            wide: (room / columns).clamp(1, WIDEST),
            step: report.step,
        })
    }

    /// The sum of each column.
    pub(super) fn sums<'a>(
        &self,
        steps: impl IntoIterator<Item = &'a (LocalTime, u64)>,
    ) -> Vec<u64> {
        let mut sums = vec![0_u64; self.columns];
        for (at, count) in steps {
            let idx = usize::try_from((at.seconds() - self.from).div_euclid(self.length));
            if let Some(sum) = idx.ok().and_then(|idx| sums.get_mut(idx)) {
                *sum = sum.saturating_add(*count);
            }
        }
        sums
    }

    /// One line of blocks: the highest sum is a full one, and what is not nothing shows.
    pub(super) fn line(&self, sums: &[u64]) -> String {
        let highest = sums.iter().copied().max().unwrap_or(0);
        let drawn = sums
            .iter()
            .map(|&sum| match level(sum, highest, BLOCKS.len()) {
                0 => NOTHING,
                level => block(level),
            });
        self.stretched(drawn)
    }

    /// So many lines of blocks, the uppermost first.
    pub(super) fn lines(&self, sums: &[u64], height: usize) -> Vec<String> {
        let highest = sums.iter().copied().max().unwrap_or(0);
        let row = |row: usize| {
            let below = (height - 1 - row) * BLOCKS.len();
            let drawn = sums.iter().map(|&sum| {
                let level = level(sum, highest, height * BLOCKS.len());
                match level.checked_sub(below) {
                    Some(0) | None if below > 0 => ' ',
                    Some(0) | None => NOTHING,
                    Some(level) => block(level),
                }
            });
            self.stretched(drawn).trim_end().to_owned()
        };
        (0..height).map(row).collect()
    }

    fn stretched(&self, drawn: impl Iterator<Item = char>) -> String {
        drawn
            .flat_map(|c| std::iter::repeat_n(c, self.wide))
            .collect()
    }

    /// When the first column begins, the one in the middle, and the last, under each of them; as many as there is room for.
    pub(super) fn labels(&self, clock: LocalClock) -> String {
        let label = |column: usize| {
            let seconds = i64::try_from(column).unwrap_or(0) * self.length + self.from;
            let at = LocalTime::from_seconds(seconds);
            match self.step {
                Step::Day => spelled(at, "%Y-%m-%d"),
                _ => clock.minute(at),
            }
        };
        let width = self.columns * self.wide;
        let last = self.columns - 1;
        let mut line = label(0);
        let (middle, end) = (label(last / 2), label(last));
        // Each label begins under its column, save the last, which ends there.
        let middle_at = last / 2 * self.wide;
        let end_at = width.saturating_sub(end.len());
        if last == 0 || end_at < line.len() + 2 {
            if last > 0 {
                line = format!("{line} to {end}");
            }
            return line;
        }
        if middle_at >= line.len() + 2 && middle_at + middle.len() + 2 <= end_at {
            line = format!("{line:middle_at$}{middle}");
        }
        format!("{line:end_at$}{end}")
    }

    /// `minute`, `5 minutes`.
    pub(super) fn column(&self) -> String {
        let steps = self.length / self.step.seconds();
        match steps {
            1 => self.step.as_str().to_owned(),
            steps => words::counted(steps, self.step.as_str()),
        }
    }
}

/// From 0 to `full`; 0 only for nothing.
fn level(sum: u64, highest: u64, full: usize) -> usize {
    if highest == 0 {
        return 0;
    }
    let scaled = u128::from(sum) * full as u128;
    usize::try_from(scaled.div_ceil(u128::from(highest))).unwrap_or(full)
}

/// From one eighth up; more than eight are eight.
fn block(eighths: usize) -> char {
    let idx = eighths.clamp(1, BLOCKS.len()) - 1;
    BLOCKS.get(idx).copied().unwrap_or('█')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(from: &str, to: &str, step: Step, room: usize) -> Axis {
        let at = |text: &str| LocalTime::parse(text.as_bytes()).unwrap();
        let report = LogReport {
            window: Some((at(from), at(to))),
            step,
            ..LogReport::default()
        };
        Axis::new(&report, room).unwrap()
    }

    #[test]
    fn a_line_shows_the_highest_and_what_is_not_nothing() {
        let axis = axis(
            "2026/06/23 14:00:10",
            "2026/06/23 14:04:50",
            Step::Minute,
            5,
        );
        assert_eq!(axis.line(&[0, 1, 500, 1000, 0]), "·▁▄█·");
        assert_eq!(axis.line(&[0; 5]), "·····");
        assert_eq!(axis.lines(&[0, 1, 500, 1000, 0], 2), ["   █", "·▁██·"]);
    }

    #[test]
    fn steps_share_a_column_or_are_drawn_wide() {
        let many = axis(
            "2026/06/23 14:00:10",
            "2026/06/23 15:03:00",
            Step::Minute,
            30,
        );
        assert_eq!((many.columns, many.column()), (22, "3 minutes".to_owned()));
        let few = axis(
            "2026/06/23 14:00:10",
            "2026/06/23 14:01:00",
            Step::Minute,
            30,
        );
        assert_eq!(
            (few.line(&[1, 2]), few.column()),
            ("▄▄▄▄████".to_owned(), "minute".to_owned())
        );
    }

    #[test]
    fn counts_fall_into_their_columns() {
        let axis = axis(
            "2026/06/23 14:00:10",
            "2026/06/23 14:09:00",
            Step::Minute,
            5,
        );
        let at = |text: &str| LocalTime::parse(text.as_bytes()).unwrap();
        let steps = [
            (at("2026/06/23 14:00:00"), 1),
            (at("2026/06/23 14:01:00"), 2),
            (at("2026/06/23 14:09:00"), u64::MAX),
            (at("2026/06/23 14:09:00"), 1),
            (at("2031/06/23 14:09:00"), 9),
        ];
        assert_eq!(axis.sums(&steps), [3, 0, 0, 0, u64::MAX]);
    }

    #[test]
    fn labels_stand_where_there_is_room() {
        let clock = |from: &str, to: &str| {
            let at = |text: &str| LocalTime::parse(text.as_bytes()).unwrap();
            LocalClock::of(&LogReport {
                window: Some((at(from), at(to))),
                ..LogReport::default()
            })
        };
        for (from, to, step, room, labels) in [
            (
                "2026/06/23 14:00:10",
                "2026/06/23 14:29:00",
                Step::Minute,
                30,
                "14:00         14:14      14:29",
            ),
            (
                "2026/06/23 14:00:10",
                "2026/06/23 14:14:00",
                Step::Minute,
                15,
                "14:00     14:14",
            ),
            (
                "2026/06/23 14:00:10",
                "2026/06/23 14:02:00",
                Step::Minute,
                3,
                "14:00 to 14:02",
            ),
            (
                "2026/06/23 14:00:10",
                "2026/06/23 14:00:59",
                Step::Minute,
                30,
                "14:00",
            ),
            (
                "2026/06/23 14:00:10",
                "2026/07/23 14:00:59",
                Step::Day,
                40,
                "2026-06-23           2026-07-23",
            ),
        ] {
            let axis = axis(from, to, step, room);
            assert_eq!(axis.labels(clock(from, to)), labels, "{from} {to}");
        }
    }
}
