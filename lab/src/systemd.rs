//! A machine of the lab: Debian with systemd as its init, journald, D-Bus and a network of its own,
//! booted by `systemd-nspawn` in about half a second.
//!
//! What needs units or the journal is made in one; everything else is faster without. Nothing of a
//! machine is seen on the host but its processes and its cgroups, and these end with the lab.

pub(crate) mod cgroup;
mod rootfs;

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::application::WSGI;
use crate::built;
use crate::client;
use crate::corpus::Keep;
use crate::lab::Lab;
use crate::process::{Process, children_of, until};
use crate::verdict::{Asker, Expectation, Scene, as_user};

pub use rootfs::rootfs;

/// Joins the cgroups that are named up to `--`, then becomes the command after it. nspawn keeps
/// files of its own in /run, which here is nobody else's.
const START: &str = "\
while [ \"$1\" != -- ]; do echo $$ > \"$1/cgroup.procs\"; shift; done
shift
mount -t tmpfs tmpfs /run
exec \"$@\"
";

/// Where the machine keeps what nginx logs.
const ERROR_LOG: &str = "/var/log/nginx/error.log";

/// The site that [`Machine::nginx_site`] writes.
const SITE: &str = "/etc/nginx/sites-enabled/shop";

/// A booted machine.
pub struct Machine<'a> {
    lab: &'a Lab,
    // Ends nspawn; the guard ends what is in the cgroups.
    _process: Process,
    leader: u32,
}

impl Lab {
    /// Boots the lab's machine, one at most. nginx and php-fpm are installed in it and not started; `shopd` in it is
    /// the lab's own application, `node` the host's, and `/srv/shop/shop.py` the one for gunicorn.
    ///
    /// # Errors
    /// Where `systemd-nspawn` cannot boot: it needs root, namespaces and cgroups.
    pub fn machine(&self) -> Result<Machine<'_>> {
        self.boot(false, &[])
    }

    /// As [`Lab::machine`], and `IPAddressDeny=` holds in it.
    ///
    /// # Errors
    /// As there.
    pub fn machine_that_filters(&self) -> Result<Machine<'_>> {
        // systemd gives a unit's control group a program of the kernel's.
        self.boot(false, &["--capability=all", "--system-call-filter=bpf"])
    }

    /// As [`Lab::machine`], and `MemoryMax=` holds in it.
    ///
    /// # Errors
    /// As there, or where memory cannot be counted by the group.
    pub fn machine_that_counts_memory(&self) -> Result<Machine<'_>> {
        let machine = self.boot(true, &[])?;
        // nspawn lets a machine's systemd write to no older hierarchy but its own.
        machine.run(
            "if [ -d /sys/fs/cgroup/memory ]; then\n\
            mount -o remount,bind,rw /sys/fs/cgroup/memory\n\
            systemctl daemon-reexec\n\
            fi",
        )?;
        Ok(machine)
    }

    fn boot(&self, counts_memory: bool, rights: &[&str]) -> Result<Machine<'_>> {
        let root = rootfs()?;
        let mut args: Vec<OsString> = [
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-ec",
            START,
            "sh",
        ]
        .map(Into::into)
        .into();
        let name = self.unique("why502-lab");
        let cgroups = cgroup::make(&name, counts_memory, self.guard())?;
        args.extend(cgroups.into_iter().map(OsString::from));
        args.extend(
            [
                "--",
                "systemd-nspawn",
                "--quiet",
                "--boot",
                "--volatile=overlay",
            ]
            .map(Into::into),
        );
        args.extend(
            [
                "--register=no",
                "--keep-unit",
                "--private-network",
                "--settings=no",
            ]
            .map(Into::into),
        );
        args.extend(["--console=pipe", "--resolv-conf=off", "--timezone=off"].map(Into::into));
        args.extend(rights.iter().map(OsString::from));
        args.push(format!("--machine={}", self.unique("machine")).into());
        args.extend(["--directory".into(), root.into()]);
        args.extend(visible(
            &built::program("why502-lab-app")?,
            "/usr/local/bin/shopd",
        ));
        args.extend(visible(Path::new("/usr/bin/node"), "/usr/local/bin/node"));
        if let Ok(why502) = built::why502() {
            args.extend(visible(&why502, "/usr/local/bin/why502"));
        }
        let mut process = self.start("machine", "unshare", args)?;
        let nspawn = process.pid();
        let leader = process.await_ready(|| init_of(nspawn).filter(|leader| is_up(*leader))).context(
            "systemd-nspawn does not boot a machine here: it needs systemd-container, root, namespaces and cgroups",
        )?;
        let machine = Machine {
            lab: self,
            _process: process,
            leader,
        };
        machine.write("/srv/shop/shop.py", WSGI)?;
        Ok(machine)
    }
}

impl Machine<'_> {
    /// The process that is the machine's init, as the host numbers it.
    pub fn leader(&self) -> u32 {
        self.leader
    }

    /// A path in the machine, as seen from the host.
    pub fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.leader.to_string())
            .join("root")
            .join(path.trim_start_matches('/'))
    }

    /// Writes a file, and makes its directories.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let seen = self.path(path);
        if let Some(dir) = seen.parent() {
            fs::create_dir_all(dir).with_context(|| format!("make the directory of {path}"))?;
        }
        fs::write(seen, text).with_context(|| format!("write {path} in the machine"))
    }

    /// Runs a shell command to its end; gives what it printed.
    ///
    /// # Errors
    /// When it fails; both its outputs are shown.
    pub fn run(&self, command: &str) -> Result<String> {
        let output = self.output(&["sh".into(), "-ec".into(), command.into()])?;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        ensure!(
            output.status.success(),
            "{command:?} in the machine: {}\n{out}{err}",
            output.status
        );
        Ok(out.into_owned())
    }

    /// Writes a unit file, or a drop-in as `UNIT.d/NAME.conf`, and has systemd read it.
    ///
    /// # Errors
    /// When systemd does not.
    pub fn unit(&self, name: &str, text: &str) -> Result<()> {
        self.write(&format!("/etc/systemd/system/{name}"), text)?;
        self.run("systemctl daemon-reload").map(drop)
    }

    /// Writes a service that runs `exec_start`, starts it, and waits until `address` accepts.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn service(&self, name: &str, exec_start: &str, address: &str) -> Result<()> {
        self.unit(name, &format!("[Service]\nExecStart={exec_start}\n"))?;
        self.run(&format!("systemctl start {name}"))?;
        self.accepting(address)
    }

    /// Writes nginx's site and starts `nginx.service`.
    ///
    /// # Errors
    /// When nginx does not start with it.
    pub fn nginx_site(&self, text: &str) -> Result<()> {
        self.write(SITE, text)?;
        self.run("systemctl start nginx || { journalctl --no-pager -u nginx; false; }")
            .map(drop)
    }

    /// Edits nginx's site, which must hold `old` once.
    ///
    /// # Errors
    /// When it does not.
    pub fn edit_site(&self, old: &str, new: &str) -> Result<()> {
        let text = self.read(SITE);
        ensure!(
            text.matches(old).count() == 1,
            "{old:?} does not stand once in:\n{text}"
        );
        self.write(SITE, &text.replacen(old, new, 1))
    }

    /// Waits until somebody accepts connections at a path or an `address:port`.
    ///
    /// # Errors
    /// When nobody has after ten seconds; the machine's journal is shown.
    pub fn accepting(&self, address: &str) -> Result<()> {
        let accepts = || {
            if address.starts_with('/') {
                return UnixStream::connect(self.path(address)).is_ok();
            }
            let connect = || Ok(TcpStream::connect(address.parse::<SocketAddr>()?)?);
            self.inside(connect).is_ok()
        };
        until(Duration::from_secs(10), || accepts().then_some(())).with_context(|| {
            format!(
                "nobody accepts at {address} in the machine:\n{}",
                self.journal("")
            )
        })
    }

    /// One request to nginx at port 80; gives the status.
    ///
    /// # Errors
    /// When nginx gives no HTTP answer.
    pub fn request(&self, method: &str, path: &str) -> Result<u16> {
        self.inside(|| client::request(80, method, path))
    }

    /// Sends `count` requests and requires the same status for each.
    ///
    /// # Errors
    /// When one has another status; the error log is shown.
    pub fn expect(&self, count: u32, method: &str, path: &str, status: u16) -> Result<()> {
        for _ in 0..count {
            let given = self.request(method, path)?;
            ensure!(
                given == status,
                "{method} {path} gave {given} where {status} was meant:\n{}",
                self.read(ERROR_LOG)
            );
        }
        Ok(())
    }

    /// Requires a line in nginx's error log that holds all of `parts`.
    ///
    /// # Errors
    /// When there is none after two seconds; the log is shown.
    pub fn logged(&self, parts: &[&str]) -> Result<()> {
        let has = |line: &str| parts.iter().all(|part| line.contains(part));
        until(Duration::from_secs(2), || {
            self.read(ERROR_LOG).lines().any(has).then_some(())
        })
        .with_context(|| {
            format!(
                "no line with {parts:?} in the error log:\n{}",
                self.read(ERROR_LOG)
            )
        })
    }

    /// Requires a line in a unit's journal that holds `part`.
    ///
    /// # Errors
    /// When there is none after five seconds; the journal is shown.
    pub fn journalled(&self, unit: &str, part: &str) -> Result<()> {
        let option = format!("--unit={unit}");
        until(Duration::from_secs(5), || {
            self.journal(&option).contains(part).then_some(())
        })
        .with_context(|| {
            format!(
                "no {part:?} in the journal of {unit}:\n{}",
                self.journal(&option)
            )
        })
    }

    /// As [`Lab::settle`].
    pub fn settle(&self) {
        self.lab.settle();
    }

    /// As [`Lab::diagnose`]: `why502` is asked in the machine, without a flag that would help it
    /// to find nginx, and the capture it makes there is asked on the host.
    ///
    /// # Errors
    /// When an answer is not what is true; the report is shown.
    pub fn diagnose(&self, expected: &[Expectation]) -> Result<()> {
        let capture = "/var/tmp/capture.tar.zst";
        let scene = Scene {
            flags: Vec::new(),
            run: &|asker, args| {
                let mut command: Vec<OsString> = vec!["env".into(), "NO_COLOR=1".into()];
                if asker == Asker::User {
                    command.push("setpriv".into());
                    // Debian's group for those who may read logs.
                    command.extend(as_user("adm"));
                }
                command.push("why502".into());
                self.output(&[&command, args].concat())
            },
            replayer: built::why502()?,
            keep: Keep::WithoutTheKernel,
            capture: capture.into(),
            seen: self.path(capture),
            watched: vec![self.path(ERROR_LOG), self.path(SITE)],
        };
        scene.hold(expected)
    }

    /// The journal as people read it, narrowed by `option`.
    fn journal(&self, option: &str) -> String {
        self.run(&format!(
            "journalctl --no-pager --output=short-precise {option}"
        ))
        .unwrap_or_default()
    }

    fn read(&self, path: &str) -> String {
        fs::read(self.path(path))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Runs a program in the machine as if from a login there.
    pub(crate) fn output(&self, command: &[OsString]) -> Result<Output> {
        let mut entered = enter(self.leader);
        entered.args(command);
        let output = entered.output().context("enter the machine")?;
        // That of `timeout`.
        ensure!(
            output.status.code() != Some(124),
            "{command:?} in the machine took more than a minute"
        );
        Ok(output)
    }

    /// Does something in the machine's network, on a thread that then ends.
    fn inside<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let network = File::open(format!("/proc/{}/ns/net", self.leader))
            .context("open the machine's network")?;
        let there = || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .context("enter the machine's network")?;
            act()
        };
        thread::scope(|scope| scope.spawn(there).join())
            .map_err(|_| anyhow!("a thread in the machine's network panicked"))?
    }
}

/// Makes a program of the host visible in the machine.
fn visible(program: &Path, path: &str) -> [OsString; 2] {
    let mut bind = program.as_os_str().to_owned();
    bind.push(":");
    bind.push(path);
    ["--bind-ro".into(), bind]
}

/// The child of nspawn that is process 1 of its own namespace.
fn init_of(nspawn: u32) -> Option<u32> {
    let is_init = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let own = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        own.is_some_and(|own| own.split_whitespace().skip(1).last() == Some("1"))
    };
    children_of(nspawn).ok()?.into_iter().find(is_init)
}

/// Whether the machine's start has come to its end.
fn is_up(leader: u32) -> bool {
    let asked = enter(leader)
        .args(["systemctl", "is-system-running", "--wait"])
        .output();
    asked.is_ok_and(|output| matches!(output.stdout.trim_ascii(), b"running" | b"degraded"))
}

/// A command that goes on in every namespace of the machine, for a minute at most.
fn enter(leader: u32) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "60", "nsenter", "--target"])
        .arg(leader.to_string());
    command.args([
        "--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup", "--root", "--wd", "--",
    ]);
    command
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("LANG", "C.UTF-8");
    command
}
