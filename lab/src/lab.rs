//! One scenario's world: a directory, free ports, and everything started in it.

use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::guard::Guard;
use crate::ports::Ports;
use crate::process::{Process, until};

/// The world of one scenario. All that was started in it ends with it.
pub struct Lab {
    // Before `dir`: processes end before their directory goes.
    guard: Rc<Guard>,
    ports: RefCell<Ports>,
    started: Cell<u32>,
    hides_processes: Cell<bool>,
    dir: TempDir,
}

impl Lab {
    /// An empty lab; its directory is open to nginx's workers.
    ///
    /// # Errors
    /// Without root, or when the lab's own programs were not built.
    pub fn new() -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "the lab needs root: nginx's workers run as www-data"
        );
        let keep = env::var_os("WHY502_LAB_KEEP").is_some();
        let dir = tempfile::Builder::new()
            .prefix("why502-lab-")
            .permissions(Permissions::from_mode(0o755))
            .disable_cleanup(keep)
            .tempdir()
            .context("make the lab's directory")?;
        // The umask may have taken what the workers need.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))
            .context("open the lab's directory")?;
        let guard = Guard::start((!keep).then(|| dir.path()))?;
        Ok(Self {
            guard: Rc::new(guard),
            ports: RefCell::default(),
            started: Cell::new(0),
            hides_processes: Cell::new(false),
            dir,
        })
    }

    /// A path in the lab's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A new directory in the lab, `rwxr-xr-x`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        set_mode(&path, 0o755)?;
        Ok(path)
    }

    /// A new file in the lab, readable by all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        set_mode(&path, 0o644)?;
        Ok(path)
    }

    /// A name nobody else on this host uses: other labs may run beside this one.
    pub fn unique(&self, name: &str) -> String {
        let suffix = self.dir.path().to_string_lossy();
        let suffix = suffix
            .rsplit('-')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        format!("{name}-{suffix}")
    }

    /// A port on which nothing listens, on any address.
    ///
    /// # Errors
    /// When none is free.
    pub fn port(&self) -> Result<u16> {
        self.neighbouring_ports(1)
    }

    /// The first of `count` such ports side by side.
    ///
    /// # Errors
    /// When so many are not free.
    pub fn neighbouring_ports(&self, count: u16) -> Result<u16> {
        self.ports.borrow_mut().take(count)
    }

    /// Like [`Lab::neighbouring_ports`], at `first` if that may be.
    ///
    /// # Errors
    /// When so many are not free anywhere.
    pub fn neighbouring_ports_near(&self, first: u16, count: u16) -> Result<u16> {
        let mut ports = self.ports.borrow_mut();
        if ports.take_at(first, count) {
            Ok(first)
        } else {
            ports.take(count)
        }
    }

    /// Starts a program in a process group of its own, its output in the lab's directory.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<A: Into<OsString>>(
        &self,
        name: &str,
        program: impl AsRef<Path>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Process> {
        let number = self.started.get() + 1;
        self.started.set(number);
        let output = self.path(&format!("{name}.{number}.out"));
        let args = args.into_iter().map(Into::into).collect();
        Process::start(
            name,
            program.as_ref().as_os_str(),
            args,
            output,
            &self.guard,
        )
    }

    /// From here on a user who asks `why502` sees no processes but his own, as with `hidepid=2`.
    pub fn hide_processes(&self) {
        self.hides_processes.set(true);
    }

    pub(crate) fn hides_processes(&self) -> bool {
        self.hides_processes.get()
    }

    /// What ends all that is in this lab.
    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Requires that a program writes `text` into a file of the lab.
    ///
    /// # Errors
    /// When it has not after two seconds; the file is shown.
    pub fn written(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        let read = || {
            fs::read(&path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default()
        };
        let found = until(Duration::from_secs(2), || {
            read().contains(text).then_some(())
        });
        found.with_context(|| format!("no {text:?} in {name}:\n{}", read()))
    }

    /// Waits for the next second of the clock, so that nginx's time stamps prove the order of
    /// what was before and what comes after.
    pub fn settle(&self) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let rest =
            Duration::from_secs(1).saturating_sub(Duration::from_nanos(now.subsec_nanos().into()));
        // A process's start and a file's change are known to a tenth of a second.
        thread::sleep(rest + Duration::from_millis(200));
    }
}

/// Sets a file's mode.
///
/// # Errors
/// When the file is not there.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("chmod {}", path.display()))
}

/// Makes a file's group that of nginx's workers.
///
/// # Errors
/// When the group or the file is not there.
pub(crate) fn give_to_workers(path: &Path) -> Result<()> {
    let groups = fs::read_to_string("/etc/group").context("read /etc/group")?;
    let group = groups.lines().find_map(|line| {
        line.strip_prefix("www-data:x:")?
            .split(':')
            .next()?
            .parse()
            .ok()
    });
    let group = group.context("no group www-data")?;
    chown(path, None, Some(group)).with_context(|| format!("chgrp {}", path.display()))
}
