//! nginx cannot write its temporary files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{Expectation, Lab};

const CAUSE: &str = "nginx-temp-path-unwritable";

/// Every body goes through a file.
const BODIES: &str = "\
server {
    listen @listen;
    location / {
        client_body_in_file_only on;
        proxy_pass http://@peer;
    }
}
";

/// The directory belongs to somebody else since nginx started.
pub fn body_directory_is_of_another_user(lab: &Lab) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["ok"], &peer)?;
    let nginx = lab.nginx(BODIES, &[("peer", &peer)])?;
    let folder = lab.path("nginx/body");
    std::os::unix::fs::chown(&folder, Some(0), Some(0)).context("take nginx's directory away")?;
    lab.settle();
    nginx.expect(3, "POST", "/", 500)?;
    nginx.logged(&["[crit]", "open()", "nginx/body/", "failed (13: Permission denied), client"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming(folder.display().to_string())])
}

/// Somebody has given it back by the time it is looked at.
pub fn given_back_since(lab: &Lab) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["ok"], &peer)?;
    let nginx = lab.nginx(BODIES, &[("peer", &peer)])?;
    let folder = lab.path("nginx/body");
    let owner = fs::metadata(&folder).context("look at nginx's directory")?.uid();
    std::os::unix::fs::chown(&folder, Some(0), Some(0)).context("take nginx's directory away")?;
    lab.settle();
    nginx.expect(3, "POST", "/", 500)?;
    nginx.logged(&["[crit]", "nginx/body/", "failed (13: Permission denied), client"])?;
    std::os::unix::fs::chown(&folder, Some(owner), Some(0)).context("give nginx's directory back")?;
    nginx.expect(2, "POST", "/", 200)?;
    lab.diagnose(&nginx, &[Expectation::at_most(CAUSE).times(3).over()])
}

/// A response that is larger than the buffers is cut: the client sees a 200.
pub fn response_cannot_be_kept(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let script = "require('http').createServer((request, response) => response.end('x'.repeat(8 << 20))).listen(+process.argv[2], '127.0.0.1');\n";
    let _node = lab.node(peer, script)?;
    let site = "\
server {
    listen @listen sndbuf=4k;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";
    let nginx = lab.nginx(site, &[("peer", &peer)])?;
    let folder = lab.path("nginx/proxy");
    std::os::unix::fs::chown(&folder, Some(0), Some(0)).context("take nginx's directory away")?;
    lab.settle();
    for _ in 0..3 {
        // Whoever reads slowly makes nginx keep what came.
        nginx.linger("/", std::time::Duration::from_millis(300))?;
    }
    nginx.logged(&["[crit]", "nginx/proxy/", "failed (13: Permission denied) while reading upstream"])?;
    let truth = Expectation::confirmed(CAUSE).of_peer(format!("127.0.0.1:{peer}"));
    lab.diagnose(&nginx, &[truth.naming(folder.display().to_string()).rules_out("peer-not-listening")])
}

/// Nothing is left on the file system of the bodies.
pub fn disk_is_full(lab: &Lab) -> Result<()> {
    let full = "mkdir -p $PREFIX/body && mount -t tmpfs -o size=64k,mode=755 tmpfs $PREFIX/body && { head -c 1m /dev/zero > $PREFIX/body/ballast 2> /dev/null || true; }";
    room_is_lacking(lab, full, "pwrite()", "failed (28: No space left on device)")
}

/// There is room, and no more files can be made.
pub fn no_more_files_can_be_made(lab: &Lab) -> Result<()> {
    let few = "mkdir -p $PREFIX/body && mount -t tmpfs -o nr_inodes=2,mode=755 tmpfs $PREFIX/body && touch $PREFIX/body/ballast";
    room_is_lacking(lab, few, "open()", "failed (28: No space left on device)")
}

/// The file system may be read only, as after an error of its disk.
pub fn mounted_read_only(lab: &Lab) -> Result<()> {
    let frozen = "mkdir -p $PREFIX/body && mount -t tmpfs -o mode=777 tmpfs $PREFIX/body && chown www-data $PREFIX/body && mount -o remount,ro $PREFIX/body";
    room_is_lacking(lab, frozen, "open()", "failed (30: Read-only file system)")
}

fn room_is_lacking(lab: &Lab, before: &str, call: &str, failed: &str) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["ok"], &peer)?;
    let nginx = lab.nginx_setup().before(before).start(BODIES, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "POST", "/", 500)?;
    nginx.logged(&["[crit]", call, "nginx/body/", failed])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming(lab.path("nginx/body").display().to_string())])
}

/// A tool that hardens hosts has made the directory immutable: owner and mode let the worker in, the kernel does not.
pub fn directory_is_immutable(lab: &Lab) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["ok"], &peer)?;
    let nginx = lab.nginx(BODIES, &[("peer", &peer)])?;
    let folder = lab.path("nginx/body");
    let _immutable = Immutable::make(&folder)?;
    lab.settle();
    nginx.expect(3, "POST", "/", 500)?;
    nginx.logged(&["[crit]", "open()", "nginx/body/", "failed (1: Operation not permitted)"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming(folder.display().to_string())])
}

/// A directory that nobody may change, until this is dropped.
struct Immutable(PathBuf);

impl Immutable {
    fn make(folder: &Path) -> Result<Self> {
        chattr("+i", folder)?;
        Ok(Self(folder.to_owned()))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        // What cannot be undone here is told by the lab, which removes its directory.
        chattr("-i", &self.0).ok();
    }
}

fn chattr(change: &str, folder: &Path) -> Result<()> {
    let done = Command::new("chattr").arg(change).arg(folder).status().context("run chattr")?;
    ensure!(done.success(), "chattr {change} {}", folder.display());
    Ok(())
}

/// Somebody cleaned up.
pub fn directory_is_gone(lab: &Lab) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["ok"], &peer)?;
    let nginx = lab.nginx(BODIES, &[("peer", &peer)])?;
    let folder = lab.path("nginx/body");
    fs::remove_dir_all(&folder).context("remove nginx's directory")?;
    lab.settle();
    nginx.expect(3, "POST", "/", 500)?;
    nginx.logged(&["[crit]", "nginx/body/", "failed (2: No such file or directory)"])?;
    lab.diagnose(&nginx, &[Expectation::confirmed(CAUSE).naming(folder.display().to_string())])
}
