//! `why502 render`: files made from `why502.toml`, held against what stands on the host, and written.
//!
//! [`plan`] makes the texts and touches nothing, [`drift`] compares them with what is there, [`writer`] alone writes.

mod context;
mod drift;
mod engine;
pub(crate) mod import;
mod memory;
mod plan;
mod syntax;
#[cfg(test)]
mod tests;
pub(crate) mod told;
mod verify;
mod writer;

pub(crate) use drift::{Compared, State, compare};
pub(crate) use memory::Memory;
pub(crate) use plan::plan;
pub(crate) use writer::write;
