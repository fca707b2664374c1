//! Any number of logs, of any length and packing, are found, opened, told apart and counted.
//!
//! What a line means is `log`'s, what the counts mean `diagnose::logs`'. No log ends the reading of the others: what could
//! not be read is said.

mod blocks;
pub(crate) mod config;
mod count;
mod moment;
mod names;
mod packing;
mod sort;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use log::LocalTime;

pub(crate) use blocks::{Counted, Reading, count};
pub(crate) use count::Count;
pub(crate) use moment::Moment;
pub(crate) use names::inputs;
pub(crate) use sort::{Formats, Sort};
pub(crate) use source::{Source, open};

/// The newest time in all logs. What is packed is read to its end for it, where its end is not known.
pub(crate) fn newest(sources: &mut [Source], reading: &Reading<'_>) -> Option<LocalTime> {
    let (places, unseen): (Vec<usize>, Vec<Source>) = sources
        .iter()
        .enumerate()
        .filter(|(_, source)| source.last.is_none())
        .filter_map(|(place, source)| Some((place, source.again()?)))
        .unzip();
    // They are read twice.
    let bytes = unseen.iter().map(Source::bytes).sum();
    reading.bar.inc_length(bytes);
    let counted = count(unseen, reading, &|_| count::Nothing);
    for (place, file) in places.into_iter().zip(counted.files) {
        if let (Some(source), Some((_, last))) = (sources.get_mut(place), file.window) {
            source.last = Some(last);
        }
    }
    sources.iter().filter_map(|source| source.last).max()
}

/// Set by Ctrl-C; the second ends the process at once.
pub(crate) fn interrupt() -> std::io::Result<Arc<AtomicBool>> {
    use signal_hook::consts::SIGINT;
    /// As a shell says of who was ended by it.
    const STATUS: i32 = 130;
    let stop = Arc::new(AtomicBool::new(false));
    // In this order: the first signal finds it unset.
    signal_hook::flag::register_conditional_shutdown(SIGINT, STATUS, Arc::clone(&stop))?;
    signal_hook::flag::register(SIGINT, Arc::clone(&stop))?;
    Ok(stop)
}
