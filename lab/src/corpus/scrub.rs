//! Takes out of a capture what tells of the kernel that it was made on, which no namespace hides: its release, and of
//! its log what is older than the scenario.
//!
//! Works on the archive as it is: names, lengths and the order of records stay a capture's own.

use std::fs;
use std::io::Read as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Cases are written once and read often.
const LEVEL: i32 = 19;

/// Ticks of `/proc` a second: the same on every architecture that Debian has, but for alpha and ia64.
const TICKS: f64 = 100.0;

/// What is to be taken out.
pub(super) struct Kernel {
    /// Such as `6.1.0-41-cloud-amd64`.
    release: String,
    /// Seconds from boot to the scenario's begin.
    begin: f64,
}

impl Kernel {
    /// This host's kernel; the scenario began when this process did.
    pub(super) fn of_this_host() -> Result<Self> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease")
            .context("read the kernel's release")?;
        let stat = fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
        // The name, in brackets, may hold anything; the start is the twentieth field after it.
        let (_, fields) = stat
            .rsplit_once(')')
            .context("no name in /proc/self/stat")?;
        let start = fields.split_whitespace().nth(19);
        let start: f64 = start.context("no start in /proc/self/stat")?.parse()?;
        Ok(Self {
            release: release.trim().to_owned(),
            begin: start / TICKS,
        })
    }

    /// Replaces the release by another of its length.
    fn without_release(&self, bytes: Vec<u8>) -> Vec<u8> {
        let release = self.release.as_bytes();
        let mut other = b"6.1.0-0-lab".to_vec();
        other.resize(release.len(), b'0');
        let mut bytes = bytes;
        let mut at = 0;
        while let Some(found) = bytes
            .get(at..)
            .and_then(|rest| rest.windows(release.len()).position(|part| part == release))
        {
            at += found;
            if let Some(part) = bytes.get_mut(at..at + release.len()) {
                part.copy_from_slice(&other);
            }
            at += release.len();
        }
        bytes
    }

    /// What `dmesg` would print of a machine that logged nothing before the scenario. The first line keeps its time: it
    /// says since when the log is whole.
    fn log(&self, output: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(output);
        let mut kept = String::new();
        for (idx, line) in text.lines().enumerate() {
            let Some((stamp, said)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            else {
                continue;
            };
            let is_of_scenario = stamp.trim().parse().is_ok_and(|at: f64| at >= self.begin);
            if is_of_scenario && !said.trim_start().starts_with("Hardware name:") {
                kept.push_str(line);
                kept.push('\n');
            } else if idx == 0 {
                kept.extend(["[", stamp, "] Linux version ", self.release.as_str(), "\n"]);
            }
        }
        kept.into_bytes()
    }
}

/// The capture without what tells of its kernel, where that is not its own.
pub(super) fn scrub(capture: &[u8], kernel: Option<&Kernel>) -> Result<Vec<u8>> {
    let unpacked = zstd::decode_all(capture).context("unpack a capture")?;
    let mut files = files(&unpacked)?;
    if let Some(kernel) = kernel {
        clean(&mut files, kernel)?;
    }
    let mut archive = tar::Builder::new(Vec::new());
    for (mut header, name, bytes) in files {
        header.set_size(bytes.len() as u64);
        archive
            .append_data(&mut header, name, bytes.as_slice())
            .context("pack a case")?;
    }
    let archive = archive.into_inner().context("pack a case")?;
    zstd::encode_all(archive.as_slice(), LEVEL).context("pack a case")
}

type File = (tar::Header, String, Vec<u8>);

fn files(unpacked: &[u8]) -> Result<Vec<File>> {
    let mut archive = tar::Archive::new(unpacked);
    let mut files = Vec::new();
    for entry in archive.entries().context("read a capture")? {
        let mut entry = entry.context("read a capture")?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).context("read a capture")?;
        files.push((entry.header().clone(), name, bytes));
    }
    Ok(files)
}

fn clean(files: &mut [File], kernel: &Kernel) -> Result<()> {
    let Some(((_, _, text), records)) = files.split_first_mut() else {
        return Ok(());
    };
    let mut manifest: Value = serde_json::from_slice(text).context("read a capture's manifest")?;
    let logs = logs(&manifest);
    for (_, name, bytes) in &mut *records {
        if logs.contains(name) {
            *bytes = kernel.log(bytes);
            ensure!(!bytes.is_empty(), "the kernel's log has no time");
            give_length(&mut manifest, name, bytes.len());
        }
        *bytes = kernel.without_release(std::mem::take(bytes));
    }
    *text = kernel.without_release(serde_json::to_vec_pretty(&manifest)?);
    Ok(())
}

/// The files that hold the kernel's log, which `dmesg` gave.
fn logs(manifest: &Value) -> Vec<String> {
    let entries = manifest.get("entries").and_then(Value::as_array);
    let of_log = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry.get("ask").and_then(Value::as_str) == Some("command dmesg"));
    of_log
        .filter_map(|entry| Some(entry.get("stdout")?.get("file")?.as_str()?.to_owned()))
        .collect()
}

/// Corrects the length that a manifest gives for a file.
fn give_length(value: &mut Value, name: &str, length: usize) {
    if value.get("file").and_then(Value::as_str) == Some(name)
        && let Some(fields) = value.as_object_mut()
    {
        fields.insert("length".to_owned(), length.into());
    }
    match value {
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| give_length(value, name, length)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|value| give_length(value, name, length)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DMESG: &str = "\
[    0.000000] Linux version 6.18.44-fc (builder@somewhere)
[    0.100000] Command line: secret
[  699.900000] of another
[  700.000000] CPU: 0 PID: 7 Comm: gunicorn Not tainted 6.18.44-fc #1
[  700.000001] Hardware name: a machine
 continued
[  700.200000] Memory cgroup out of memory: Killed process 7 (gunicorn) total-vm:1kB
";

    fn capture() -> Vec<u8> {
        let manifest = json!({"entries": [
            {"ask": "command dmesg", "code": 0, "stdout": {"file": "records/00000-command-stdout", "length": DMESG.len()}, "stderr": {"length": 0}},
            {"ask": "lines-since host /uwsgi.log", "bytes": {"file": "records/00001-lines-since", "length": 22}},
        ]});
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            archive.append_data(&mut header, name, bytes).unwrap();
        };
        add("manifest.json", manifest.to_string().as_bytes());
        add("records/00000-command-stdout", DMESG.as_bytes());
        add("records/00001-lines-since", b"os: Linux-6.18.44-fc 0");
        zstd::encode_all(archive.into_inner().unwrap().as_slice(), 3).unwrap()
    }

    fn kernel() -> Kernel {
        Kernel {
            release: "6.18.44-fc".to_owned(),
            begin: 700.0,
        }
    }

    #[test]
    fn nothing_is_left_of_the_kernel_but_what_it_logged_of_the_scenario() {
        let scrubbed = scrub(&capture(), Some(&kernel())).unwrap();
        let files = files(&zstd::decode_all(scrubbed.as_slice()).unwrap()).unwrap();
        let text = |idx: usize| String::from_utf8(files[idx].2.clone()).unwrap();
        assert_eq!(
            text(1),
            "[    0.000000] Linux version 6.1.0-0-la\n\
             [  700.000000] CPU: 0 PID: 7 Comm: gunicorn Not tainted 6.1.0-0-la #1\n\
             [  700.200000] Memory cgroup out of memory: Killed process 7 (gunicorn) total-vm:1kB\n"
        );
        assert_eq!(text(2), "os: Linux-6.1.0-0-la 0");
        let manifest: Value = serde_json::from_str(&text(0)).unwrap();
        let entry = |idx: usize| manifest["entries"][idx].clone();
        assert_eq!(entry(0)["stdout"]["length"], text(1).len());
        assert_eq!(entry(1)["bytes"]["length"], 22);
    }

    #[test]
    fn a_machine_with_a_kernel_of_its_own_keeps_all_of_it() {
        let packed = scrub(&capture(), None).unwrap();
        assert_eq!(
            zstd::decode_all(packed.as_slice()).unwrap(),
            zstd::decode_all(capture().as_slice()).unwrap()
        );
    }
}
