//! Bytes of nginx's error.log and access.log become events, in nginx's own phrases.
//!
//! Nothing here knows a host, a configuration or a cause.
//! The only I/O is a `Read` that the caller hands in; the ways that run per line neither allocate nor use a regex.
//! What an attacker writes into a log never becomes a peer, a server or a class: see [`error`].
#![warn(
    clippy::disallowed_methods,
    reason = "a parser has no host: bytes come from the caller"
)]

pub mod access;
pub mod bulk;
pub mod error;
mod level;
mod time;

pub use level::Level;
pub use time::LocalTime;
