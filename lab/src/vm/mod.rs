//! A virtual machine of the lab: a kernel of its own, with SELinux enforcing or with AppArmor, in QEMU.
//!
//! What a security module denies cannot be made on a host whose kernel runs another. No hardware's help is needed, so it
//! runs wherever the lab does. A machine boots in half a minute, so each kind boots once: its disk and its memory are
//! kept, and every scenario resumes a machine of its own from them, in seconds. Its only way out is a port of loopback
//! on the host, and its clock stands where it stood when it had booted.

mod booted;
mod image;

use std::cell::Cell;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::built;
use crate::corpus::Keep;
use crate::lab::Lab;
use crate::process::{Process, run_to_end, until};
use crate::verdict::{Asker, Expectation, Scene, as_user};

pub use booted::prepare;

/// How long a machine may take to boot or to go on, also where much else runs.
const BOOT: Duration = Duration::from_mins(5);
/// Where nginx writes, and where its site stands.
const ERROR_LOG: &str = "/var/log/nginx/error.log";
const SITE: &str = "/etc/nginx/sites-enabled/shop";
/// A machine's hardware and what its kernel is told: a saved memory fits these alone. `restrict` keeps all within it but
/// for answers on one port.
const HARDWARE: &[&str] = &[
    "-accel tcg,thread=multi,tb-size=512 -cpu max -m 1024 -smp 2",
    "-no-reboot -nodefaults -display none -serial stdio",
    "-netdev user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:@port-:22",
    "-device virtio-net-pci,netdev=n0,romfile= -device virtio-rng-pci",
];
const KERNEL: &str = "root=/dev/vda rw console=ttyS0 quiet net.ifnames=1 audit=1";
/// `why502` stands on a second disk of this size, from its first byte on: the kernel that has booted knows the size.
const SECOND_DISK: u64 = 64 << 20;

/// Which security module the kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// SELinux, enforcing Debian's policy.
    Selinux,
    /// AppArmor.
    Apparmor,
}

impl Module {
    fn name(self) -> &'static str {
        match self {
            Self::Selinux => "selinux",
            Self::Apparmor => "apparmor",
        }
    }

    fn kernel(self) -> &'static str {
        match self {
            Self::Selinux => "security=selinux selinux=1 enforcing=1",
            Self::Apparmor => "security=apparmor apparmor=1",
        }
    }
}

/// A running machine; it ends with the value.
pub struct Vm<'a> {
    lab: &'a Lab,
    why502: PathBuf,
    has_been_asked: Cell<bool>,
    // The connection that every command goes through: to make one takes the machine longer than most commands.
    _connection: Process,
    way: Way,
    _process: Process,
    // One of those that may run side by side; given back when the machine has ended.
    _turn: File,
}

/// How a machine is reached.
struct Way {
    key: PathBuf,
    port: u16,
    control: PathBuf,
}

impl Lab {
    /// A machine that has just booted, with `why502` in it, a static binary. It waits for its turn: as many run side by
    /// side as there are processors, for each is busy.
    ///
    /// # Errors
    /// When it does not go on.
    pub fn vm(&self, module: Module) -> Result<Vm<'_>> {
        let turn = turn()?;
        let why502 = static_why502()?;
        let booted = booted::booted(self, module)?;
        let disk = self.path("why502.img");
        let bytes = fs::read(&why502).with_context(|| format!("read {}", why502.display()))?;
        let mut second = File::create(&disk).context("make a machine's second disk")?;
        second
            .write_all(&bytes)
            .context("write a machine's second disk")?;
        second.set_len(SECOND_DISK)?;
        drop(second);
        let port = self.port()?;
        let way = Way {
            key: booted.image.join("key"),
            port,
            control: self.path("ssh"),
        };
        let mut args = booted.hardware(module, port);
        args.extend(drive(&booted.dir.join("disk.img"), true));
        args.extend(drive(&disk, true));
        args.extend(["-incoming".into(), "exec:cat \"$STATE\"".into()]);
        let state = booted.dir.join("state");
        let process = self.start("vm", "env", with_state(&state, args))?;
        let connection = way
            .connect(self)
            .with_context(|| format!("the machine does not go on:\n{}", process.output()))?;
        let vm = Vm {
            lab: self,
            why502,
            has_been_asked: Cell::new(false),
            _connection: connection,
            way,
            _process: process,
            _turn: turn,
        };
        let program = "/usr/local/bin/why502";
        vm.run(&format!(
            "head -c {} /dev/vdb > {program}; chmod 755 {program}; restorecon {program} 2>/dev/null || :",
            bytes.len()
        ))?;
        Ok(vm)
    }
}

/// Waits for one of the places that machines run in.
fn turn() -> Result<File> {
    let places = thread::available_parallelism().map_or(1, usize::from);
    let folder = built::target_dir()?.join("lab");
    fs::create_dir_all(&folder).context("make the lab's folder")?;
    loop {
        for place in 0..places {
            let file = File::create(folder.join(format!("vm-{place}.lock")))?;
            if file.try_lock().is_ok() {
                return Ok(file);
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// `why502` as machines get it: their libraries are their own, so it brings what it needs. It is built in a directory of
/// its own, as other flags would have everything built anew, and is always that of these sources.
///
/// # Errors
/// When it does not build.
pub fn static_why502() -> Result<PathBuf> {
    if let Some(named) = env::var_os("WHY502_BIN") {
        return Ok(named.into());
    }
    let target = "x86_64-unknown-linux-gnu";
    let folder = built::target_dir()?.join("lab/static");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--package", "why502", "--bin", "why502"])
        .args(["--target", target, "--target-dir"])
        .arg(&folder)
        .env(
            "RUSTFLAGS",
            "-C target-feature=+crt-static -C strip=symbols",
        )
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    run_to_end(&mut cargo)?;
    Ok(folder.join(target).join("debug/why502"))
}

/// A disk; what is written to a `kept` one is forgotten at the end.
fn drive(path: &Path, kept: bool) -> [OsString; 2] {
    let snapshot = if kept { ",snapshot=on" } else { "" };
    let mut drive = OsString::from("file=");
    drive.push(path);
    drive.push(format!(",format=raw,if=virtio,cache=unsafe{snapshot}"));
    ["-drive".into(), drive]
}

/// QEMU with the place of a machine's memory in its environment, where no character of it means anything.
fn with_state(state: &Path, args: Vec<OsString>) -> Vec<OsString> {
    let mut variable = OsString::from("STATE=");
    variable.push(state);
    [variable].into_iter().chain(args).collect()
}

impl Way {
    /// Opens the connection, as soon as the machine takes it.
    fn connect(&self, lab: &Lab) -> Result<Process> {
        let open = || {
            let mut args = self.options();
            args.extend(["-M".into(), "-N".into(), "root@127.0.0.1".into()]);
            let mut connection = lab.start("ssh", "ssh", args).ok()?;
            let is_open = || {
                let mut check = Command::new("ssh");
                check
                    .args(self.options())
                    .args(["-O", "check", "root@127.0.0.1"]);
                run_to_end(&mut check).ok()
            };
            connection
                .await_ready_for(Duration::from_mins(1), is_open)
                .ok()?;
            Some(connection)
        };
        until(BOOT, open).context("it answers on no port")
    }

    fn options(&self) -> Vec<OsString> {
        let mut options: Vec<OsString> = "-q -F none -o BatchMode=yes -o StrictHostKeyChecking=no \
            -o UserKnownHostsFile=/dev/null -o ConnectTimeout=60"
            .split_whitespace()
            .map(Into::into)
            .collect();
        options.extend(["-i".into(), self.key.clone().into()]);
        options.extend(["-S".into(), self.control.clone().into()]);
        options.extend(["-p".into(), self.port.to_string().into()]);
        options
    }

    /// A shell command in the machine.
    fn output(&self, command: &str, input: Option<&[u8]>) -> Result<Output> {
        let mut ssh = Command::new("timeout");
        ssh.args(["--kill-after=5", "300", "ssh"])
            .args(self.options())
            .args(["root@127.0.0.1", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = ssh.spawn().context("start ssh")?;
        let mut stdin = child.stdin.take().context("ssh takes no input")?;
        // It may end before it has read all: its exit status tells.
        stdin.write_all(input.unwrap_or_default()).ok();
        drop(stdin);
        child.wait_with_output().context("wait for ssh")
    }
}

impl Vm<'_> {
    /// Runs a shell command to its end; gives what it printed.
    ///
    /// # Errors
    /// When it fails; both its outputs are shown.
    pub fn run(&self, command: &str) -> Result<String> {
        let output = self.output(command, None)?;
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

    /// Writes a file, and makes its directories.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = quoted(path);
        let command = format!("mkdir -p \"$(dirname {path})\"; cat > {path}");
        let output = self.output(&command, Some(bytes))?;
        ensure!(
            output.status.success(),
            "write {path}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Writes a service that runs `exec_start`, starts it, and waits until `ready` succeeds.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn service(&self, name: &str, exec_start: &str, ready: &str) -> Result<()> {
        let unit = format!("[Service]\nExecStart={exec_start}\n");
        self.put(
            &format!("/etc/systemd/system/{name}.service"),
            unit.as_bytes(),
        )?;
        self.run(&format!(
            "systemctl daemon-reload; systemctl restart {name}"
        ))?;
        self.await_ready(ready)
    }

    /// Waits until a command succeeds.
    ///
    /// # Errors
    /// When it does not within half a minute.
    pub fn await_ready(&self, command: &str) -> Result<()> {
        self.run(&format!(
            "for _ in $(seq 150); do {command} && exit 0; sleep 0.2; done; exit 1"
        ))
        .map(drop)
    }

    /// Writes nginx's site and starts nginx with an empty log.
    ///
    /// # Errors
    /// When nginx does not start with it.
    pub fn nginx_site(&self, text: &str) -> Result<()> {
        self.run("systemctl stop nginx")?;
        self.put(SITE, text.as_bytes())?;
        // A pid file left by another domain is one that nginx may not write.
        self.run(&format!(
            "rm -f /run/nginx.pid; : > {ERROR_LOG}; systemctl start nginx"
        ))?;
        self.await_ready("[ \"$(pgrep -c nginx)\" -ge 2 ]")
    }

    /// Requests a path through nginx, which must answer with this status.
    ///
    /// # Errors
    /// When it answers with another.
    pub fn expect(&self, curl: &str, status: &str) -> Result<()> {
        let given = self.run(&format!(
            "curl -s -m 120 -o /dev/null -w '%{{http_code}}' {curl}"
        ))?;
        ensure!(
            given == status,
            "{curl} was answered with {given}, not {status}\n{}",
            self.log()
        );
        Ok(())
    }

    /// Requires that nginx's error log holds a line with this in it.
    ///
    /// # Errors
    /// When it holds none.
    pub fn logged(&self, part: &str) -> Result<()> {
        let log = self.log();
        ensure!(log.contains(part), "nginx did not log {part:?}:\n{log}");
        Ok(())
    }

    /// Asks `why502` in the machine, and here from a capture made there; both must be as expected. What is asked first
    /// in a machine is a case for the corpus; what comes after tells how it went on.
    ///
    /// # Errors
    /// When an answer is not what is true.
    pub fn diagnose(&self, expected: &[Expectation]) -> Result<()> {
        let run = |asker: Asker, args: &[OsString]| -> Result<Output> {
            let output = self.output(&command(asker, args), None)?;
            let written = args.iter().skip_while(|arg| *arg != "-o").nth(1);
            if let Some(written) = written.filter(|_| output.status.success()) {
                let written = Path::new(written);
                let fetch = format!("cat {0} && rm {0}", quoted(&written.to_string_lossy()));
                let name = written.file_name().context("a capture without a name")?;
                let capture = self.output(&fetch, None)?;
                fs::write(self.lab.path(&name.to_string_lossy()), capture.stdout)
                    .context("fetch a capture")?;
            }
            Ok(output)
        };
        let name = "capture.tar.zst";
        let is_first = !self.has_been_asked.replace(true);
        self.run(&format!(
            "chmod a+rx \"$(dirname {ERROR_LOG})\"; chmod a+r {ERROR_LOG}"
        ))?;
        let scene = Scene {
            flags: vec!["--since".into(), "1h".into()],
            run: &run,
            replayer: self.why502.clone(),
            keep: if is_first {
                Keep::WithTheKernel
            } else {
                Keep::Not
            },
            capture: Path::new("/var/tmp").join(name),
            seen: self.lab.path(name),
            watched: Vec::new(),
        };
        scene.hold(expected)
    }

    /// Asks what a script would: `why502` must find no failure that goes on.
    ///
    /// # Errors
    /// When it exits with anything but 0.
    pub fn mended(&self) -> Result<()> {
        let output = self.output("why502", None)?;
        ensure!(
            output.status.success(),
            "why502 exits with {} after its own fix:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout)
        );
        Ok(())
    }

    /// Applies a fix of a confirmed cause as a person would: its commands, its edits, the file it says to write.
    ///
    /// # Errors
    /// When there is no such fix, or a step of it fails.
    pub fn apply(&self, cause: &str, fix: usize) -> Result<()> {
        let report = self.output("why502 --format json", None)?.stdout;
        let report: Value = serde_json::from_slice(&report).context("read the report")?;
        let place = |incident: &Value| {
            let causes = incident.get("causes")?.as_array()?;
            let found = causes
                .iter()
                .find(|judged| judged.get("id").and_then(Value::as_str) == Some(cause))?;
            found
                .get("fixes")?
                .get(fix)?
                .get("steps")?
                .as_array()
                .cloned()
        };
        let incidents = report
            .get("incidents")
            .and_then(Value::as_array)
            .context("no incidents")?;
        let steps = incidents
            .iter()
            .find_map(place)
            .with_context(|| format!("{cause} has no fix {fix}: {report:#}"))?;
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&self, step: &Value) -> Result<()> {
        let text = |key: &str| step.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("kind") {
            "command" => {
                let argv = step
                    .get("argv")
                    .and_then(Value::as_array)
                    .context("a command of nothing")?;
                let words: Vec<OsString> = argv
                    .iter()
                    .filter_map(Value::as_str)
                    .map(OsString::from)
                    .collect();
                self.run(
                    &words
                        .iter()
                        .map(|word| quoted(&word.to_string_lossy()))
                        .collect::<Vec<_>>()
                        .join(" "),
                )
                .map(drop)
            }
            "advice" => match text("text")
                .strip_prefix("write to ")
                .and_then(|rest| rest.split_once(": "))
            {
                Some((name, contents)) => self.put(&format!("/root/{name}"), contents.as_bytes()),
                None => Ok(()),
            },
            "edit" => {
                let (file, old, new) = (text("file"), text("old"), text("new"));
                let held = self.run(&format!("cat {}", quoted(file)))?;
                let line = step
                    .get("line")
                    .and_then(Value::as_u64)
                    .context("an edit of no line")?;
                let mut lines: Vec<String> = held.lines().map(str::to_owned).collect();
                let place = usize::try_from(line)?
                    .checked_sub(1)
                    .context("lines count from 1")?;
                let edited = lines
                    .get_mut(place)
                    .context("the edited line is not there")?;
                ensure!(edited.contains(old), "{file}:{line} holds no {old:?}");
                *edited = edited.replacen(old, new, 1);
                self.put(file, format!("{}\n", lines.join("\n")).as_bytes())
            }
            other => bail!("a step of kind {other:?}"),
        }
    }

    fn log(&self) -> String {
        self.run(&format!("cat {ERROR_LOG}")).unwrap_or_default()
    }

    fn output(&self, command: &str, input: Option<&[u8]>) -> Result<Output> {
        self.way.output(command, input)
    }
}

/// `why502` with these arguments, as a shell takes it.
fn command(asker: Asker, args: &[OsString]) -> String {
    let mut command: Vec<OsString> = Vec::new();
    if asker == Asker::User {
        command.push("setpriv".into());
        // Not Debian's group for those who read logs: its members read audit's too.
        command.extend(as_user(""));
    }
    command.push("why502".into());
    let words = command
        .iter()
        .chain(args)
        .map(|word| quoted(&word.to_string_lossy()));
    words.collect::<Vec<String>>().join(" ")
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
