//! The only writer: files put in place whole, programs that change something, and nginx's own test and reload.
//!
//! Decides nothing: what is written and run, and what takes it back, is planned elsewhere. No text of a log comes here.

mod attributes;
mod file;
mod lock;
mod nginx;
mod program;

use std::path::PathBuf;

pub use attributes::Attributes;
pub use file::{NewFile, Original, write_atomic};
pub use lock::Lock;
pub use nginx::{Master, Tested};
pub use program::Ran;

/// The power to change the host. Whoever holds none can only read.
#[derive(Debug, Default)]
pub struct Change(());

impl Change {
    /// The power to change this host. Changes nothing yet.
    pub fn new() -> Self {
        Self(())
    }
}

/// Why something could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The kernel refused.
    #[error("cannot {doing} {}", .path.display())]
    File {
        /// What was tried, such as `read`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A directory, a device, a socket.
    #[error("{} is no regular file", .0.display())]
    Special(PathBuf),
    /// A file that is put in place anew would leave its other names behind.
    #[error("{} has {links} names (hard links), which would come to differ: change it by hand", .path.display())]
    Linked {
        /// The file.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// A program that is not for changing a host.
    #[error("{0} is no program that a fix may run")]
    Unlisted(String),
    /// Others could change what root would run.
    #[error("{} can be written by others than root, so root does not run it", .0.display())]
    NotRoots(PathBuf),
    /// A program did not come to run, or did not end.
    #[error("cannot run {program}")]
    Program {
        /// Its name.
        program: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another process has the master's number now.
    #[error("nginx (pid {0}) is no longer the one that was looked at: ask why502 again")]
    OtherMaster(u32),
    /// The workers are still the old ones.
    #[error(
        "nginx (pid {0}) kept its old workers: it did not take the configuration; its error log says why"
    )]
    NotTaken(u32),
    /// `systemctl reload` failed.
    #[error("{command} failed: {said}")]
    Reload {
        /// What was run.
        command: String,
        /// What it wrote.
        said: String,
    },
    /// Another fix, or a rendering, is at work.
    #[error("another why502 fix or render is at work on this host (it holds {})", .0.display())]
    Busy(PathBuf),
}

impl ChangeError {
    fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}
