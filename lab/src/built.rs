//! Where the programs of this workspace stand after a build.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The build directory the running program came from.
///
/// # Errors
/// When the program does not stand under a directory that cargo marked.
pub fn target_dir() -> Result<PathBuf> {
    let here = env::current_exe().context("find the running program")?;
    here.ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .map(Path::to_path_buf)
        .with_context(|| format!("no build directory above {}", here.display()))
}

/// The `why502` binary: `$WHY502_BIN`, or the one built beside the running program.
///
/// # Errors
/// When it was not built.
pub fn why502() -> Result<PathBuf> {
    match env::var_os("WHY502_BIN") {
        Some(path) => Ok(path.into()),
        None => program("why502"),
    }
}

/// A program of this workspace, built with the same profile as the running one.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let here = env::current_exe().context("find the running program")?;
    // Tests stand in `deps/`, one below the programs.
    for dir in here.ancestors().skip(1).take(2) {
        let path = dir.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!(
        "{name} is not built beside {}: cargo build --workspace --bins",
        here.display()
    )
}
