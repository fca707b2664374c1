//! The Python applications' own environment, made once under the build directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::built;
use crate::process::run_to_end;

const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// The environment's `bin` directory, made with `python3 -m venv` and pip when it is not there.
///
/// # Errors
/// When Python or the package index does not serve.
pub fn environment() -> Result<PathBuf> {
    let lab = built::target_dir()?.join("lab");
    let dir = lab.join("venv");
    let made = dir.join("requirements.txt");
    fs::create_dir_all(&lab).with_context(|| format!("make {}", lab.display()))?;
    // Tests start together; one makes it, the others wait.
    let lock =
        File::create(lab.join("venv.lock")).context("open the lock of the Python environment")?;
    lock.lock().context("lock the Python environment")?;
    if fs::read_to_string(&made).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(dir.join("bin"));
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    let wanted = lab.join("requirements.txt");
    fs::write(&wanted, REQUIREMENTS).with_context(|| format!("write {}", wanted.display()))?;
    run_to_end(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
    run_to_end(
        Command::new(dir.join("bin/pip"))
            .args(["install", "--quiet", "--requirement"])
            .arg(&wanted),
    )?;
    fs::rename(wanted, made).context("mark the Python environment as made")?;
    Ok(dir.join("bin"))
}

/// The path of a program of the environment.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    environment().map(|bin| Path::new(&bin).join(name))
}
