//! Runs programs in the open: what is run is printed before it runs.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};

/// Runs `cargo` in the workspace's root.
pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    cargo_with(args, &[])
}

/// The same with variables of its own.
pub(crate) fn cargo_with(args: &[&str], variables: &[(&str, &OsStr)]) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    // The lab's tests mostly wait for nginx's time-outs and the clock.
    let threads = thread::available_parallelism().map_or(1, usize::from) * 4;
    command
        .env("NEXTEST_TEST_THREADS", threads.to_string())
        .env("RUST_TEST_THREADS", threads.to_string());
    // What an error says is enough; where it passed is noise.
    command.env("RUST_LIB_BACKTRACE", "0");
    command.envs(variables.iter().copied());
    command.args(args).current_dir(root());
    say(&format!("$ cargo {}\n", args.join(" ")));
    visibly(&mut command)
}

/// Runs a program whose output goes where ours goes; its failure is an error.
pub(crate) fn visibly(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("run {name}"))?;
    ensure!(status.success(), "{name} failed: {status}");
    Ok(())
}

/// Whether a program runs and succeeds; it says nothing.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Prints to standard output; a closed pipe is nobody's fault.
pub(crate) fn say(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).ok();
}

/// Prints to standard error.
pub(crate) fn complain(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).ok();
}
