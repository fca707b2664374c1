//! Renders a [`Diagnosis`](diagnose::Diagnosis): for people at a terminal, as JSON, as one HTML page.
//!
//! Nothing here decides anything, reads a host or a file, or prints: every renderer writes what it was given to the
//! `Write` it was given. What came from outside (logs above all) reaches people only through [`text::visible`].
#![warn(
    clippy::disallowed_methods,
    reason = "a report is made from a diagnosis alone"
)]

pub mod csv;
mod fold;
pub mod gate;
pub mod github;
pub mod html;
pub mod json;
mod local;
pub mod pages;
pub mod parquet;
pub mod repair;
pub mod sarif;
mod table;
pub mod term;
#[cfg(test)]
mod tests;
pub mod text;
mod words;
