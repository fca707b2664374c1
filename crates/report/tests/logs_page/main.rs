//! The page of logs: what is in it, and what a browser makes of it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod browser;
mod chromium;
mod fixture;
mod markup;
