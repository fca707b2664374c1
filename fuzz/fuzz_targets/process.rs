//! What `/proc` says of a process: its files one after the other, between bytes 0xff.
#![no_main]

use facts::process::{Cgroup, OpenFiles, Process, Status, args, boot, namespace};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.split(|&byte| byte == 0xff);
    let mut next = || parts.next().unwrap_or_default();
    let (stat, cmdline, status, cgroup) = (next(), next(), next(), next());
    let (uptime, limits, link) = (next(), next(), next());
    let started = boot(uptime, Timestamp::UNIX_EPOCH).unwrap_or(Timestamp::UNIX_EPOCH);
    if let Some(process) = Process::parse(stat, cmdline, started) {
        process.title();
        process.nginx();
    }
    args(cmdline);
    Status::parse(status);
    Cgroup::parse(cgroup);
    OpenFiles::parse(limits);
    namespace(link);
    for whole in [stat, data] {
        Status::parse(whole);
        Cgroup::parse(whole);
    }
});
