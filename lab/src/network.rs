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
