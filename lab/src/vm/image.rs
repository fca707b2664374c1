//! What virtual machines are made of: a disk with a Debian that has SELinux's and AppArmor's policies, and QEMU itself.
//! Made once, under the build directory.
//!
//! QEMU is unpacked beside the disk and not installed: its packages would take away those of another version that the
//! host has, and a machine's saved memory is only good for the QEMU that saved it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::built;
use crate::process::run_to_end;

const SUITE: &str = "bookworm";

const PACKAGES: &str = "systemd,systemd-sysv,dbus,udev,kmod,procps,iproute2,linux-image-cloud-amd64,initramfs-tools,\
    openssh-server,selinux-policy-default,selinux-utils,policycoreutils,policycoreutils-python-utils,auditd,apparmor,\
    nginx,php8.2-fpm,python3,curl,netbase";

/// Run in the new tree as `$1`, before its labels are set. The kernel finds its disk by a handful of modules; `semanage
/// port` needs netbase's list of protocols; what takes time at boot and serves nobody is left out.
const CUSTOMIZE: &str = "\
r=$1
echo MODULES=list >> $r/etc/initramfs-tools/initramfs.conf
printf 'virtio_pci\\nvirtio_blk\\next4\\ncrc32c_generic\\n' >> $r/etc/initramfs-tools/modules
echo web1 > $r/etc/hostname
printf '127.0.0.1 localhost web1\\n' > $r/etc/hosts
echo '/dev/vda / ext4 defaults,noatime 0 1' > $r/etc/fstab
install -d -m 700 $r/root/.ssh
sed -i 's/^SELINUX=.*/SELINUX=enforcing/' $r/etc/selinux/config
printf '[Match]\\nName=en* eth*\\n[Network]\\nAddress=10.0.2.15/24\\n' > $r/etc/systemd/network/10.network
chroot $r systemctl --quiet enable systemd-networkd
chroot $r systemctl --quiet disable nginx.service php8.2-fpm.service
chroot $r systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer systemd-networkd-wait-online.service \
    e2scrub_reap.service fstrim.timer phpsessionclean.timer
rm $r/etc/nginx/sites-enabled/default
chroot $r update-initramfs -u -k all
";

/// Run with the tree as `$1` and the image's directory as `$2`. SELinux's labels are set by the tree's own program, with
/// no kernel that has SELinux; it reaches files by its descriptors in `/proc`.
const PACK: &str = "\
ssh-keygen -q -t ed25519 -N '' -C why502-lab -f $2/key
install -m 600 $2/key.pub $1/root/.ssh/authorized_keys
cp $1/boot/vmlinuz-* $2/vmlinuz
cp $1/boot/initrd.img-* $2/initrd.img
unshare --mount --propagation private sh -ec 'mount -t proc proc $1/proc
    chroot $1 setfiles -F /etc/selinux/default/contexts/files/file_contexts /' sh $1
truncate -s 3G $2/disk.img
mke2fs -q -t ext4 -L root -m0 -d $1 $2/disk.img
rm -rf --one-file-system $1
";

/// The packages of QEMU, unpacked.
const QEMU: &str = "qemu-system-x86";

/// The image's directory: `disk.img`, `vmlinuz`, `initrd.img`, the `key` of its root, and `qemu`.
///
/// # Errors
/// Without root or the tools, or when Debian's archive does not serve.
pub(super) fn image() -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (SUITE, PACKAGES, CUSTOMIZE, PACK, QEMU, super::HARDWARE).hash(&mut hasher);
    let lab = built::target_dir()?.join("lab");
    let dir = lab.join(format!("vm-{:016x}", hasher.finish()));
    made(&dir, build)?;
    Ok(dir)
}

/// A directory that `make` makes, where nobody has yet. It is made aside and renamed: one of the final name is whole.
pub(super) fn made(dir: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let beside = |extension: &str| dir.with_extension(extension);
    let parent = dir.parent().unwrap_or(dir);
    fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    let lock = File::create(beside("lock")).context("open a lock")?;
    lock.lock().context("wait for who makes it")?;
    if dir.is_dir() {
        return Ok(());
    }
    let aside = beside("part");
    if aside.exists() {
        fs::remove_dir_all(&aside).with_context(|| format!("remove {}", aside.display()))?;
    }
    fs::create_dir(&aside).with_context(|| format!("make {}", aside.display()))?;
    make(&aside)?;
    fs::rename(&aside, dir).with_context(|| format!("rename {}", aside.display()))
}

/// How QEMU is started out of the image: by its own loader, with its own libraries and firmware.
pub(super) fn qemu(image: &Path) -> Vec<OsString> {
    let root = image.join("qemu");
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let mut modules = OsString::from("QEMU_MODULE_DIR=");
    modules.push(libraries.join("qemu"));
    let mut paths = libraries.into_os_string();
    paths.push(":");
    paths.push(root.join("lib/x86_64-linux-gnu"));
    vec![
        modules,
        root.join("lib64/ld-linux-x86-64.so.2").into(),
        "--library-path".into(),
        paths,
        root.join("usr/bin/qemu-system-x86_64").into(),
        "-L".into(),
        root.join("usr/share/qemu").into(),
        "-L".into(),
        root.join("usr/share/seabios").into(),
    ]
}

fn build(aside: &Path) -> Result<()> {
    let mut qemu = bootstrap("extract", QEMU);
    run_to_end(qemu.arg(SUITE).arg(aside.join("qemu")))?;
    let tree = aside.join("tree");
    let mut debian = bootstrap("minbase", PACKAGES);
    debian.arg(format!("--customize-hook={CUSTOMIZE}"));
    run_to_end(debian.arg(SUITE).arg(&tree))?;
    let mut pack = Command::new("sh");
    pack.args(["-ec", PACK, "sh"]).arg(&tree).arg(aside);
    run_to_end(&mut pack)
}

fn bootstrap(variant: &str, packages: &str) -> Command {
    // What it mounts and starts ends with it, however it ends.
    let mut bootstrap = Command::new("setpriv");
    bootstrap.args([
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--propagation",
        "private",
    ]);
    bootstrap.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    bootstrap.args(["mmdebstrap", "--quiet", "--mode=root"]);
    bootstrap.args(["--aptopt=Apt::Install-Recommends false"]);
    bootstrap.arg(format!("--variant={variant}"));
    bootstrap.arg(format!("--include={packages}"));
    bootstrap
}
