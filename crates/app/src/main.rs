//! `why502`: why nginx answers 502 or 504, what proves it, and what fixes it.
//!
//! This crate reads flags, has questions answered and hands the answer to `report`. It neither judges nor parses; `apply`
//! alone changes anything.

mod apply;
mod cli;
mod collect;
mod gate;
mod lint;
mod logs;
mod render;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
