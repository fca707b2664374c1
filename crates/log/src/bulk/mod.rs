//! Whole logs, counted in one pass at the speed of the memory.
//!
//! Memory does not grow with the log: what a client can make more of is kept in bounded lists that say when they became
//! estimates; incidents, minutes and failures are exact.

mod top;

pub use top::{Seen, Top};
