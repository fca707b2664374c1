//! Twenty thousand open sockets, spread over processes as on a busy host.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::net::sockopt::set_socket_linger;
use why502_lab::{Lab, Process};

use super::site::{FILES, Ports};
use crate::run;

/// The processes; each holds [`SOCKETS`].
const PROCESSES: u16 = 20;
const TCP_LISTENERS: u16 = 100;
const UNIX_LISTENERS: u16 = 100;
/// Each is two sockets.
const TCP_PAIRS: u16 = 300;
const UNIX_PAIRS: u16 = 100;
const SOCKETS: u16 = TCP_LISTENERS + UNIX_LISTENERS + 2 * (TCP_PAIRS + UNIX_PAIRS);

/// How many sockets the crowd holds.
pub(crate) const TOTAL: u32 = PROCESSES as u32 * SOCKETS as u32;

/// Starts the crowd. It ends with the lab, or when what is given here is dropped.
pub(crate) fn start(lab: &Lab, ports: Ports) -> Result<Vec<Process>> {
    let own = std::env::current_exe().context("find the running program")?;
    let sockets = lab.directory("sockets")?;
    let mut crowd = Vec::new();
    for process in 0..PROCESSES {
        let args = [
            "bench".to_owned(),
            "crowd".to_owned(),
            sockets.to_string_lossy().into_owned(),
            process.to_string(),
            ports.first.to_string(),
        ];
        crowd.push(lab.start("crowd", &own, args)?);
    }
    for process in &mut crowd {
        let path = sockets.join(format!("ready-{}", process.pid()));
        process.await_ready(|| path.exists().then_some(()))?;
    }
    Ok(crowd)
}

/// One process of the crowd: opens its sockets and holds them until it is killed.
pub(crate) fn hold(args: &[String]) -> Result<()> {
    let [sockets, process, first] = args else {
        bail!("a crowd's process needs a directory, its number and the first port");
    };
    let sockets = Path::new(sockets);
    let process: u16 = process.parse().context("read the process's number")?;
    let first: u16 = first.parse().context("read the first port")?;

    let mut listeners = Vec::new();
    for listener in 0..TCP_LISTENERS {
        let number = process * TCP_LISTENERS + listener;
        let [low, high] = [number % FILES, number / FILES];
        let last = 10 + u8::try_from(high).unwrap_or(0);
        let address = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), first + low);
        listeners.push(TcpListener::bind(address).with_context(|| format!("listen on {address}"))?);
    }
    let mut unix = Vec::new();
    for listener in 0..UNIX_LISTENERS {
        let path = sockets.join(format!("{process}-{listener}.sock"));
        unix.push(
            UnixListener::bind(&path).with_context(|| format!("listen on {}", path.display()))?,
        );
    }
    let mut pairs = Vec::new();
    let accepting = listeners.first().context("no listener")?;
    let address = accepting.local_addr().context("ask for an address")?;
    for _ in 0..TCP_PAIRS {
        let client = TcpStream::connect(address).context("connect a pair")?;
        let (server, _) = accepting.accept().context("accept a pair")?;
        // No trace is left in the kernel when this process ends.
        for end in [&client, &server] {
            set_socket_linger(end, Some(Duration::ZERO)).context("set SO_LINGER")?;
        }
        pairs.push((client, server));
    }
    let unix_pairs: Vec<_> = (0..UNIX_PAIRS)
        .map(|_| UnixStream::pair())
        .collect::<Result<_, _>>()
        .context("make a pair")?;
    std::fs::write(sockets.join(format!("ready-{}", std::process::id())), "")
        .context("tell that it is ready")?;
    run::say("ready\n");
    loop {
        thread::park();
        // A spurious wake-up changes nothing; the sockets are held as long as the loop.
        let _held = (&listeners, &unix, &pairs, &unix_pairs);
    }
}
