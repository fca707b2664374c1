//! The disk that virtual machines boot: a Debian with SELinux's and AppArmor's policies, made once under the build
//! directory. Machines write into an overlay that ends with them.

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

/// Run with the tree as `$1` and the image's directory as `$2`. SELinux's labels are set without a kernel that has it.
const PACK: &str = "\
ssh-keygen -q -t ed25519 -N '' -C why502-lab -f $2/key
install -m 600 $2/key.pub $1/root/.ssh/authorized_keys
cp $1/boot/vmlinuz-* $2/vmlinuz
cp $1/boot/initrd.img-* $2/initrd.img
setfiles -F -m -r $1 $1/etc/selinux/default/contexts/files/file_contexts $1
truncate -s 3G $2/disk.img
mke2fs -q -t ext4 -L root -m0 -d $1 $2/disk.img
rm -rf --one-file-system $1
";

/// The image's directory: `disk.img`, `vmlinuz`, `initrd.img` and the `key` of its root.
///
/// # Errors
/// Without root or the tools, or when Debian's archive does not serve.
pub fn image() -> Result<PathBuf> {
    let lab = built::target_dir()?.join("lab");
    fs::create_dir_all(&lab).with_context(|| format!("make {}", lab.display()))?;
    let mut hasher = DefaultHasher::new();
    (SUITE, PACKAGES, CUSTOMIZE, PACK).hash(&mut hasher);
    let dir = lab.join(format!("vm-{:016x}", hasher.finish()));
    let lock = File::create(lab.join("vm.lock")).context("open the lock of the image")?;
    lock.lock().context("lock the image")?;
    if !dir.is_dir() {
        build(&lab.join("vm.part"), &dir)?;
    }
    Ok(dir)
}

/// Builds aside and renames: an image of the final name is whole.
fn build(aside: &Path, dir: &Path) -> Result<()> {
    if aside.exists() {
        fs::remove_dir_all(aside).with_context(|| format!("remove {}", aside.display()))?;
    }
    fs::create_dir_all(aside).with_context(|| format!("make {}", aside.display()))?;
    let tree = aside.join("tree");
    let mut bootstrap = Command::new("setpriv");
    bootstrap
        .args([
            "--pdeathsig",
            "KILL",
            "mmdebstrap",
            "--quiet",
            "--mode=root",
        ])
        .args([
            "--variant=minbase",
            "--aptopt=Apt::Install-Recommends false",
        ])
        .arg(format!("--include={PACKAGES}"))
        .arg(format!("--customize-hook={CUSTOMIZE}"))
        .arg(SUITE)
        .arg(&tree);
    run_to_end(&mut bootstrap)?;
    let mut pack = Command::new("sh");
    pack.args(["-ec", PACK, "sh"]).arg(&tree).arg(aside);
    run_to_end(&mut pack)?;
    fs::rename(aside, dir).with_context(|| format!("rename {}", aside.display()))
}
