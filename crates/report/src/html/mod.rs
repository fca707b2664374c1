//! Reports as one HTML page that needs nothing else: no network, light or dark as the reader's system is, fit to be
//! printed or mailed.
//!
//! The page of a diagnosis has no script. That of logs has one of its own, which draws, sorts and filters what the page
//! holds; the numbers stand there without it.

mod data;
mod diagnosis;
mod logs;
mod page;

pub use diagnosis::write;
pub use logs::write as logs;
