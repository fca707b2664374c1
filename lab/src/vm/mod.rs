//! A virtual machine of the lab: a kernel of its own, with SELinux enforcing or with AppArmor, in QEMU.
//!
//! What a security module denies cannot be made on a host whose kernel runs another. A machine boots in half a minute
//! without hardware's help, so one serves every scenario of its kind, each of which puts back what it changed. Its only
//! way out is a port of loopback on the host.

mod image;

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::corpus::Keep;
use crate::lab::Lab;
use crate::process::{Process, until};
use crate::verdict::{Expectation, Scene};

pub use image::image;

/// How long a machine may take to boot, also where much else runs.
const BOOT: Duration = Duration::from_mins(5);
/// Where nginx writes, and where its site stands.
const ERROR_LOG: &str = "/var/log/nginx/error.log";
const SITE: &str = "/etc/nginx/sites-enabled/shop";

/// Which security module the kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// SELinux, enforcing Debian's policy.
    Selinux,
    /// AppArmor.
    Apparmor,
}

/// A booted machine; it ends with the value.
pub struct Vm<'a> {
    lab: &'a Lab,
    process: Process,
    image: PathBuf,
    port: u16,
}

impl Lab {
    /// Boots a machine with `why502`, a static binary, in it.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn vm(&self, module: Module, why502: &Path) -> Result<Vm<'_>> {
        let image = image()?;
        let port = self.port()?;
        let security = match module {
            Module::Selinux => "security=selinux selinux=1 enforcing=1",
            Module::Apparmor => "security=apparmor apparmor=1",
        };
        let mut args: Vec<OsString> = [
            "-accel",
            "tcg,thread=multi,tb-size=512",
            "-cpu",
            "max",
            "-m",
            "1024",
            "-smp",
            "2",
        ]
        .map(Into::into)
        .into();
        args.extend(
            [
                "-no-reboot",
                "-nodefaults",
                "-display",
                "none",
                "-serial",
                "stdio",
                "-kernel",
            ]
            .map(Into::into),
        );
        args.push(image.join("vmlinuz").into());
        args.extend([
            "-initrd".into(),
            image.join("initrd.img").into(),
            "-append".into(),
        ]);
        args.push(
            format!("root=/dev/vda rw console=ttyS0 quiet net.ifnames=1 audit=1 {security}").into(),
        );
        let disk = image.join("disk.img");
        args.push("-drive".into());
        args.push(
            format!(
                "file={},format=raw,if=virtio,snapshot=on,cache=unsafe",
                disk.display()
            )
            .into(),
        );
        // `restrict`: nothing of the machine gets out, but for answers on this port.
        args.push("-netdev".into());
        args.push(format!("user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22").into());
        args.extend(
            [
                "-device",
                "virtio-net-pci,netdev=n0,romfile=",
                "-device",
                "virtio-rng-pci",
            ]
            .map(Into::into),
        );
        let process = self.start("vm", "qemu-system-x86_64", args)?;
        let vm = Vm {
            lab: self,
            process,
            image,
            port,
        };
        let is_up = || {
            vm.output("true", None)
                .is_ok_and(|output| output.status.success())
                .then_some(())
        };
        until(BOOT, is_up)
            .with_context(|| format!("the machine does not come up:\n{}", vm.console()))?;
        let binary = fs::read(why502).with_context(|| format!("read {}", why502.display()))?;
        vm.put("/usr/local/bin/why502", &binary)?;
        vm.run(
            "chmod 755 /usr/local/bin/why502; restorecon /usr/local/bin/why502 2>/dev/null || :",
        )?;
        Ok(vm)
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
            "curl -s -m 20 -o /dev/null -w '%{{http_code}}' {curl}"
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

    /// Asks `why502` in the machine, and here from a capture made there; both must be as expected.
    ///
    /// # Errors
    /// When an answer is not what is true.
    pub fn diagnose(&self, expected: &[Expectation]) -> Result<()> {
        let (there, here) = ("/root/capture.tar.zst", self.lab.path("vm-capture.tar.zst"));
        let run = |args: &[OsString]| -> Result<Output> {
            let is_capture = args.first().is_some_and(|arg| arg == "capture");
            let output = self.output(&format!("rm -f {there}; {}", command(args)), None)?;
            if is_capture && output.status.success() {
                let capture = self.output(&format!("cat {there}"), None)?;
                fs::write(&here, capture.stdout).context("fetch the capture")?;
            }
            Ok(output)
        };
        let scene = Scene {
            flags: vec!["--since".into(), "1h".into()],
            run: &run,
            keep: Keep::WithTheKernel,
            capture: there.into(),
            seen: here.clone(),
            watched: Vec::new(),
        };
        let held = scene.hold(expected);
        fs::remove_file(&here).ok();
        held
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

    fn console(&self) -> String {
        self.process.output()
    }

    /// A shell command in the machine, over its port.
    fn output(&self, command: &str, input: Option<&[u8]>) -> Result<Output> {
        let mut ssh = Command::new("timeout");
        ssh.args([
            "--kill-after=5",
            "300",
            "ssh",
            "-q",
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
        ])
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "ConnectTimeout=5",
            "-i",
        ])
        .arg(self.image.join("key"))
        .args(["-p", &self.port.to_string(), "root@127.0.0.1", command])
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

/// `why502` with these arguments, as a shell takes it.
fn command(args: &[OsString]) -> String {
    let words = args.iter().map(|arg| quoted(&arg.to_string_lossy()));
    let words: Vec<String> = ["why502".to_owned()].into_iter().chain(words).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Where the time goes and what was held, for people.
pub(crate) fn say(text: &str) {
    // A closed pipe is nobody's fault.
    std::io::stdout()
        .write_all(format!("{text}\n").as_bytes())
        .ok();
}

/// Runs every scenario that needs a kernel of its own, each kind in one machine; `why502` is a static binary.
///
/// # Errors
/// When an answer is not what is true; every scenario has run by then.
pub fn run_all(why502: &Path) -> Result<()> {
    let mut failed = Vec::new();
    for module in [Module::Selinux, Module::Apparmor] {
        let wanted = crate::vm_scenarios::ALL
            .iter()
            .filter(|scenario| scenario.module == module);
        let lab = Lab::new()?;
        let vm = lab.vm(module, why502)?;
        for scenario in wanted {
            let name = format!("{}::{}", scenario.cause, scenario.name);
            match (scenario.make)(&vm) {
                Ok(()) => say(&format!("vm   ok      {name}")),
                Err(error) => {
                    say(&format!("vm   FAILED  {name}\n{error:?}"));
                    failed.push(name);
                }
            }
        }
    }
    ensure!(
        failed.is_empty(),
        "{} scenarios failed: {}",
        failed.len(),
        failed.join(", ")
    );
    Ok(())
}
