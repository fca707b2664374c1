//! Machines that have booted, one of each kind, at rest: the disk as they left it, and their memory.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{BOOT, HARDWARE, KERNEL, Module, SECOND_DISK, Way, drive, image, with_state};
use crate::lab::Lab;
use crate::process::run_to_end;

/// A machine at rest.
pub(super) struct Booted {
    /// The image that it came from.
    pub(super) image: PathBuf,
    /// Holds its `disk.img` and its memory, `state`.
    pub(super) dir: PathBuf,
}

impl Booted {
    /// QEMU for such a machine, without its disks.
    pub(super) fn hardware(&self, module: Module, port: u16) -> Vec<OsString> {
        hardware(&self.image, module, port)
    }
}

/// Makes what machines need, so that no test has to wait for it.
///
/// # Errors
/// Without root or the tools, when Debian's archive does not serve, or a machine does not boot.
pub fn prepare() -> Result<PathBuf> {
    super::static_why502()?;
    let lab = Lab::new()?;
    booted(&lab, Module::Selinux)?;
    Ok(booted(&lab, Module::Apparmor)?.image)
}

/// The machine at rest; it is booted where nobody has.
pub(super) fn booted(lab: &Lab, module: Module) -> Result<Booted> {
    let image = image::image()?;
    let dir = image.join(module.name());
    image::made(&dir, |aside| boot(lab, module, &image, aside))?;
    Ok(Booted { image, dir })
}

/// Boots a machine on a copy of the image's disk and saves its memory once all has started.
fn boot(lab: &Lab, module: Module, image: &Path, aside: &Path) -> Result<()> {
    let (disk, second) = (aside.join("disk.img"), lab.path("second.img"));
    let mut copy = Command::new("cp");
    copy.args(["--sparse=always", "--reflink=auto"]);
    run_to_end(copy.arg(image.join("disk.img")).arg(&disk))?;
    File::create(&second)?.set_len(SECOND_DISK)?;
    let monitor = lab.path("monitor");
    let port = lab.port()?;
    let mut args = hardware(image, module, port);
    args.extend(drive(&disk, false));
    args.extend(drive(&second, true));
    let mut socket = OsString::from("unix:");
    socket.push(&monitor);
    socket.push(",server=on,wait=off");
    args.extend(["-monitor".into(), socket]);
    let mut process = lab.start("boot", "env", with_state(&aside.join("state"), args))?;
    let way = Way {
        key: image.join("key"),
        port,
        control: lab.path(&format!("ssh-of-{}", module.name())),
    };
    let connection = way
        .connect(lab)
        .with_context(|| format!("the machine does not boot:\n{}", process.output()))?;
    // What is still starting would be so in every machine that goes on from here.
    let output = way.output("systemctl is-system-running --wait; sync", None)?;
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        state == "running",
        "the machine is {state:?}, not \"running\""
    );
    // No connection is open in what is saved.
    drop(connection);
    let mut monitor = Monitor::open(&monitor)?;
    monitor.tell("migrate \"exec:cat > \\\"$STATE\\\"\"")?;
    let told = monitor.tell("info migrate")?;
    ensure!(
        told.contains("completed"),
        "its memory was not saved: {told}"
    );
    process.kill();
    Ok(())
}

fn hardware(image: &Path, module: Module, port: u16) -> Vec<OsString> {
    let mut args = image::qemu(image);
    let port = port.to_string();
    let words = HARDWARE.iter().flat_map(|words| words.split(' '));
    args.extend(words.map(|word| word.replace("@port", &port).into()));
    args.extend(["-kernel".into(), image.join("vmlinuz").into()]);
    args.extend(["-initrd".into(), image.join("initrd.img").into()]);
    args.extend([
        "-append".into(),
        format!("{KERNEL} {}", module.kernel()).into(),
    ]);
    args
}

/// QEMU's own prompt.
struct Monitor(UnixStream);

impl Monitor {
    const PROMPT: &[u8] = b"(qemu) ";

    fn open(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).context("open QEMU's monitor")?;
        stream.set_read_timeout(Some(BOOT))?;
        let mut monitor = Self(stream);
        monitor.answer()?;
        Ok(monitor)
    }

    /// Gives a command; what is answered once it is done.
    fn tell(&mut self, command: &str) -> Result<String> {
        self.0.write_all(format!("{command}\n").as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let mut answer = Vec::new();
        while !answer.ends_with(Self::PROMPT) {
            let mut bytes = [0; 4096];
            let read = self
                .0
                .read(&mut bytes)
                .context("read from QEMU's monitor")?;
            ensure!(read > 0, "QEMU has ended");
            answer.extend(bytes.iter().take(read));
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
