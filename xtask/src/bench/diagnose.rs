//! `cargo xtask bench diagnose`: a whole diagnosis of a busy host, against the two commands people run by hand.
//!
//! The host: nginx with two thousand servers, twenty thousand open sockets of other processes, and an error log of a
//! gigabyte, which stands in the page cache. It all ends with the lab.

use std::ffi::OsString;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::SignedDuration;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;
use why502_lab::{Lab, Process};

use super::log::Log;
use super::measure::{self, Times};
use super::site::{self, Ports};
use super::{Bound, crowd, to_mib};
use crate::{packages, run};

const NGINX: &str = "/usr/sbin/nginx";
const ETC: &str = "/etc/nginx";
const RUNS: usize = 15;
/// A diagnosis says: nothing goes on, all is confirmed, something is not.
const ANSWERS: &[i32] = &[0, 1, 3];

/// How long the two commands take on the slowest machine that the default host's bound is meant for.
const USUAL: Duration = Duration::from_millis(500);

const GB: u64 = 1_000_000_000;
const MB: u64 = 1_000_000;

/// Measures both hosts.
pub(super) fn measure() -> Result<Vec<Bound>> {
    packages::ensure_installed(&[packages::DEMO])?;
    ensure!(
        run::succeeds("ss", &["-V"]),
        "ss is missing: install iproute2"
    );
    // Of the soft limit: nginx and the crowd inherit it.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raise the limit of open files")?;
    let (mut bounds, by_hand) = busy_host()?;
    bounds.extend(default_host(by_hand)?);
    Ok(bounds)
}

/// The bounds, and how long the two commands take.
fn busy_host() -> Result<(Vec<Bound>, Duration)> {
    let lab = Lab::new()?;
    let ports = Ports {
        first: lab.neighbouring_ports(site::FILES)?,
    };
    let prefix = lab.directory("nginx")?;
    let config = site::write(&prefix, ports)?;
    let error_log = prefix.join("error.log");
    let _nginx = nginx(&lab, &prefix, &config, &ports.listen(0, 0))?;
    let _crowd = crowd::start(&lab, ports)?;
    let log = Log {
        bytes: GB,
        covers: SignedDuration::from_hours(24),
        failing: SignedDuration::from_mins(10),
    };
    let written = log.write(&error_log, ports)?;
    run::say(&format!(
        "\nbusy host: {} servers in {} files, {} sockets in other processes, error log of {} MB, {} lines, over a day\n",
        site::FILES * site::SERVERS,
        site::FILES,
        crowd::TOTAL,
        written.bytes / MB,
        written.lines
    ));

    let mut ours = words(&["--no-connect", "--since", "15m", "--config"]);
    ours.push(config.to_string_lossy().into_owned());
    answered(&ours, &ports.dead())?;
    let why502 = why502_lab::why502()?;
    let mut whole = Times::default();
    let (mut dump, mut sockets, mut by_hand) =
        (Times::default(), Times::default(), Times::default());
    for _ in 0..RUNS {
        whole.add(measure::time(Command::new(&why502).args(&ours), ANSWERS)?);
        let mut nginx = Command::new(NGINX);
        nginx.arg("-T").arg("-p").arg(&prefix);
        nginx.arg("-c").arg(&config).arg("-e").arg(&error_log);
        let first = measure::time(&mut nginx, &[0])?;
        let second = measure::time(Command::new("ss").arg("-ltnp"), &[0])?;
        dump.add(first);
        sockets.add(second);
        by_hand.add(first + second);
    }
    let peak = peak(&ours)?;

    run::say(&measure::head(RUNS));
    run::say(&whole.row("why502 --no-connect --since 15m --config F"));
    run::say(&by_hand.row("by hand: the two commands below"));
    run::say(&dump.row("  nginx -T > /dev/null"));
    run::say(&sockets.row("  ss -ltnp > /dev/null"));
    let ratio = |ours: Duration, theirs: Duration| ours.as_secs_f64() / theirs.as_secs_f64();
    let median = ratio(whole.median(), by_hand.median());
    let best = ratio(whole.best(), by_hand.best());
    run::say(&format!(
        "\nwhy502 takes {median:.2} of the time by hand (median), {best:.2} (best); its peak is {:.1} MiB\n",
        to_mib(peak)
    ));
    let bounds = vec![
        Bound::at_most(
            "a busy host: why502's time as a part of nginx -T and ss -ltnp, medians",
            median,
            0.5,
            "",
        ),
        Bound::at_most("a busy host: peak memory", to_mib(peak), 100.0, " MiB"),
    ];
    Ok((bounds, by_hand.median()))
}

/// The configuration that Debian installs, run as it stands but for its places and its port, and a log of which all
/// lies in the default window. How fast the machine is, the two commands on the busy host tell.
fn default_host(by_hand: Duration) -> Result<Vec<Bound>> {
    let lab = Lab::new()?;
    let ports = Ports { first: lab.port()? };
    let prefix = lab.directory("nginx")?;
    copied(&prefix, ports.first)?;
    let config = prefix.join("nginx.conf");
    let error_log = prefix.join("error.log");
    let listens = format!("127.0.0.1:{}", ports.first);
    let _nginx = nginx(&lab, &prefix, &config, &listens)?;
    let log = Log {
        bytes: 10 * MB,
        covers: SignedDuration::from_mins(59),
        failing: SignedDuration::from_mins(10),
    };
    let written = log.write(&error_log, ports)?;
    run::say(&format!(
        "\ndefault host: Debian's configuration, error log of {} MB, {} lines, all within the hour that is read\n",
        written.bytes / MB,
        written.lines
    ));
    let ours = words(&["--config", &config.to_string_lossy()]);
    answered(&ours, &ports.dead())?;
    let why502 = why502_lab::why502()?;
    let mut whole = Times::default();
    for _ in 0..RUNS {
        whole.add(measure::time(Command::new(&why502).args(&ours), ANSWERS)?);
    }
    run::say(&measure::head(RUNS));
    run::say(&whole.row("why502 --config F"));
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    run::say(&format!(
        "\n50 ms are meant for a machine on which nginx -T and ss -ltnp take {:.0} ms on the busy host at most: here {:.0} ms\n",
        milliseconds(USUAL),
        milliseconds(by_hand)
    ));
    let slower = by_hand.as_secs_f64() / USUAL.as_secs_f64();
    Ok(vec![Bound::at_most(
        "a default host: why502's time, median, as on a machine of that speed",
        milliseconds(whole.median()) / slower.max(1.0),
        50.0,
        " ms",
    )])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// The most memory why502 has, with these arguments.
fn peak(args: &[String]) -> Result<u64> {
    let why502 = why502_lab::why502()?.to_string_lossy().into_owned();
    measure::peak(&[&[why502], args].concat())
}

/// A fast wrong answer is worth nothing: the peer that fails must be in the report.
fn answered(args: &[String], peer: &str) -> Result<()> {
    let output = Command::new(why502_lab::why502()?)
        .args(args)
        .args(["--format", "json"])
        .stdin(Stdio::null())
        .output()
        .context("run why502")?;
    let report: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "why502 gave no report, {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    let incidents = report
        .get("incidents")
        .and_then(Value::as_array)
        .context("the report has no incidents")?;
    let text = |incident: &Value, key: &str| {
        let value = incident.get(key).unwrap_or(&Value::Null);
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let found = incidents
        .iter()
        .find(|incident| text(incident, "peer") == peer)
        .with_context(|| format!("why502 does not report the peer {peer}"))?;
    run::say(&format!(
        "why502 reports {} incidents; {peer}: {} failures, {}, cause {}\n",
        incidents.len(),
        text(found, "count"),
        text(found, "outcome"),
        text(found, "cause")
    ));
    Ok(())
}

/// Starts nginx; returns when it takes connections.
fn nginx(lab: &Lab, prefix: &Path, config: &Path, listens: &str) -> Result<Process> {
    let error_log = prefix.join("error.log");
    let mut args: Vec<OsString> = ["-g", "daemon off;", "-p"].map(Into::into).into();
    args.extend([prefix.into(), "-c".into(), config.into()]);
    args.extend(["-e".into(), error_log.into()]);
    let mut process = lab.start("nginx", NGINX, args)?;
    process.await_ready(|| TcpStream::connect(listens).ok().map(drop))?;
    Ok(process)
}

/// Copies `/etc/nginx` to `prefix`, with its places and the port 80 changed.
fn copied(prefix: &Path, port: u16) -> Result<()> {
    let place = prefix.to_string_lossy();
    let changed = |text: &str| {
        text.replace(ETC, &place)
            .replace("/var/log/nginx", &place)
            .replace("/run/nginx.pid", &format!("{place}/nginx.pid"))
            .replace("listen 80 ", &format!("listen 127.0.0.1:{port} "))
            .replace("listen [::]:80 ", &format!("listen [::1]:{port} "))
    };
    let mut left = vec![PathBuf::from(ETC)];
    while let Some(dir) = left.pop() {
        let to = prefix.join(dir.strip_prefix(ETC)?);
        fs::create_dir_all(&to).with_context(|| format!("make {}", to.display()))?;
        for entry in fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let to = prefix.join(path.strip_prefix(ETC)?);
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("read {}", path.display()))?;
            fs::write(&to, changed(&text)).with_context(|| format!("write {}", to.display()))?;
        }
    }
    Ok(())
}
