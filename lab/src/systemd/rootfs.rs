//! The machines' root file system: a minimal Debian made once under the build directory.
//!
//! Machines only read it; what they write goes into an overlay that ends with them.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::built;
use crate::process::run_to_end;

const SUITE: &str = "bookworm";

/// gunicorn is Debian's 20.1, the last whose worker timeout nginx sees as a closed connection.
const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,nginx,php8.2-fpm,python3,gunicorn,iproute2,procps";

/// What no machine needs, so that it is made faster.
const LEFT_OUT: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
];

/// Run in the new tree as `$1`. Scenarios start services themselves; Debian's own site would take
/// port 80, timers and logins have no place in a machine that lives for seconds, and the host's
/// name none in a report.
const CUSTOMIZE: &str = "\
chroot \"$1\" systemctl --quiet disable nginx.service php8.2-fpm.service
chroot \"$1\" systemctl --quiet mask getty.target systemd-logind.service apt-daily.timer \
    apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer phpsessionclean.timer
echo web1 > \"$1/etc/hostname\"
rm \"$1/etc/nginx/sites-enabled/default\"
";

/// The tree's directory, made with `mmdebstrap` when it is not there.
///
/// # Errors
/// Without root or mmdebstrap, or when Debian's archive does not serve.
pub fn rootfs() -> Result<PathBuf> {
    let lab = built::target_dir()?.join("lab");
    fs::create_dir_all(&lab).with_context(|| format!("make {}", lab.display()))?;
    let dir = lab.join(format!("rootfs-{:016x}", recipe()));
    // Tests start together; one makes it, the others wait.
    let lock =
        File::create(lab.join("rootfs.lock")).context("open the lock of the root file system")?;
    lock.lock().context("lock the root file system")?;
    if !dir.is_dir() {
        build(&lab.join("rootfs.part"), &dir)?;
    }
    Ok(dir)
}

/// What tells one tree from another.
fn recipe() -> u64 {
    let mut hasher = DefaultHasher::new();
    (SUITE, PACKAGES, LEFT_OUT, CUSTOMIZE).hash(&mut hasher);
    hasher.finish()
}

/// Builds aside and renames: a tree of the final name is whole.
fn build(aside: &Path, dir: &Path) -> Result<()> {
    ensure!(
        Path::new("/usr/bin/mmdebstrap").exists(),
        "mmdebstrap is not installed: apt-get install mmdebstrap (cargo xtask test does)"
    );
    if aside.exists() {
        fs::remove_dir_all(aside).with_context(|| format!("remove {}", aside.display()))?;
    }
    // mmdebstrap mounts in a namespace of its own; killed with us, it leaves only the directory.
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
    ]);
    command.args(
        LEFT_OUT
            .iter()
            .map(|path| format!("--dpkgopt=path-exclude={path}")),
    );
    command.arg(format!("--include={PACKAGES}"));
    command.arg(format!("--customize-hook={CUSTOMIZE}"));
    command.arg(SUITE).arg(aside);
    run_to_end(&mut command)?;
    fs::rename(aside, dir).with_context(|| format!("rename {}", aside.display()))
}
