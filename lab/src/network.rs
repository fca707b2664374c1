//! Network namespaces of the lab's own: links, routes and firewall rules stand in them and go with them.
//!
//! No rule ever stands in the machine's own namespace.

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::lab::Lab;
use crate::process::{Process, run_to_end, until};

/// A network namespace, which lives as long as the process that holds it.
pub struct Network {
    holder: Process,
}

/// A bus that starts nothing by itself.
const BUS: &str = "\
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <policy context=\"default\">
    <allow send_destination=\"*\" eavesdrop=\"true\"/>
    <allow receive_sender=\"*\"/>
    <allow own=\"*\"/>
  </policy>
</busconfig>
";

/// The calling thread is inside a network, until this is dropped.
#[must_use]
pub struct Inside {
    before: File,
}

impl Lab {
    /// A new network namespace; its loopback device is up, nothing else is there.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn network(&self) -> Result<Network> {
        let own = fs::read_link("/proc/thread-self/ns/net").context("name the own network")?;
        let holder = self.start("network", "unshare", ["--net", "sleep", "infinity"])?;
        let network = Network { holder };
        let is_new = || (fs::read_link(network.link()).ok()? != own).then_some(());
        until(Duration::from_secs(5), is_new).context("no network namespace was made")?;
        network.run("ip link set lo up")?;
        Ok(network)
    }
}

impl Network {
    /// A process in it.
    pub fn pid(&self) -> u32 {
        self.holder.pid()
    }

    fn link(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.pid()))
    }

    /// Moves the calling thread there: what it starts, dials and asks from now on is there too.
    ///
    /// # Errors
    /// When the kernel does not let it in.
    pub fn enter(&self) -> Result<Inside> {
        let before = File::open("/proc/thread-self/ns/net").context("hold the own network")?;
        let there = File::open(self.link()).context("open the lab's network")?;
        go(&there)?;
        Ok(Inside { before })
    }

    /// Runs a shell script in it.
    ///
    /// # Errors
    /// When it fails; what it complained of is shown.
    pub fn run(&self, script: &str) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.args([
            "-t",
            &self.pid().to_string(),
            "-n",
            "sh",
            "-e",
            "-c",
            script,
        ]);
        run_to_end(&mut command)
    }

    /// Loads rules as `nft -f` takes them.
    ///
    /// # Errors
    /// When nft does not take them.
    pub fn nft(&self, rules: &str) -> Result<()> {
        self.run(&format!("nft -f - <<'RULES'\n{rules}\nRULES"))
    }

    /// Turns ufw on in it, with these commands of its own (`reject out to 10.77.0.2`); told more, it goes on where it was.
    /// Its settings and rules are copies, the host's stay as they are.
    ///
    /// # Errors
    /// When ufw does not take them.
    pub fn ufw(&self, lab: &Lab, commands: &[&str]) -> Result<()> {
        let own = lab.directory("ufw")?.display().to_string();
        let rules = commands
            .iter()
            .map(|command| format!("ufw {command}\n"))
            .collect::<Vec<_>>()
            .concat();
        self.run(&format!(
            "[ -d {own}/etc ] || cp -a /etc/ufw {own}/etc\n[ -f {own}/default ] || cp /etc/default/ufw {own}/default\n\
             unshare --mount --propagation private sh -e <<'UFW'\n\
             mount -t tmpfs tmpfs /run\nmount --bind {own}/etc /etc/ufw\nmount --bind {own}/default /etc/default/ufw\n\
             ufw --force enable\n{rules}UFW"
        ))
    }

    /// Runs firewalld in it, on a message bus of its own, and has it told this by `firewall-cmd`; told more, it goes on
    /// where it was. It leaves its rules behind when it ends.
    ///
    /// # Errors
    /// When firewalld does not come up, or does not take it.
    pub fn firewalld(&self, lab: &Lab, commands: &[&str]) -> Result<()> {
        let own = lab.directory("firewalld")?.display().to_string();
        fs::write(format!("{own}/bus.conf"), BUS).context("write the bus's settings")?;
        let told = commands
            .iter()
            .map(|command| format!("firewall-cmd {command}\n"))
            .collect::<Vec<_>>()
            .concat();
        self.run(&format!(
            "[ -d {own}/etc ] || cp -a /etc/firewalld {own}/etc\n\
             sed -i 's/^CleanupOnExit=.*/CleanupOnExit=no/' {own}/etc/firewalld.conf\n\
             unshare --mount --pid --fork --kill-child --mount-proc --propagation private sh -e <<'FIREWALLD'\n\
             mount -t tmpfs tmpfs /run\nmkdir -p /run/dbus /run/firewalld\n\
             mount --bind {own}/etc /etc/firewalld\nmount -t tmpfs tmpfs /var/log\n\
             dbus-daemon --config-file={own}/bus.conf --nofork --nopidfile 2>{own}/bus.log &\nbus=$!\n\
             trap 'kill $bus' EXIT\n\
             for try in $(seq 100); do [ -S /run/dbus/system_bus_socket ] && break; sleep 0.05; done\n\
             firewalld --nofork --nopid >{own}/firewalld.log 2>&1 &\ndaemon=$!\n\
             trap 'kill $daemon; wait $daemon || true; kill $bus' EXIT\n\
             for try in $(seq 200); do firewall-cmd --state >/dev/null 2>&1 && break; sleep 0.1; done\n\
             {told}FIREWALLD"
        ))
    }

    /// Connects it with another: this one is 10.77.0.1, the other 10.77.0.2, by the devices `v0` and `v1`.
    ///
    /// # Errors
    /// When the link cannot be made.
    pub fn connect(&self, other: &Self) -> Result<()> {
        self.run(&format!(
            "ip link add v0 type veth peer name v1 netns {}\nip addr add 10.77.0.1/24 dev v0\nip link set v0 up",
            other.pid()
        ))?;
        other.run("ip addr add 10.77.0.2/24 dev v1\nip link set v1 up")
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // A thread that cannot go back fails at the next thing it does.
        go(&self.before).ok();
    }
}

fn go(there: &File) -> Result<()> {
    move_into_link_name_space(there.as_fd(), Some(LinkNameSpaceType::Network))
        .context("enter a network")
}
