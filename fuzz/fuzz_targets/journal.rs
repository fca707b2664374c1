//! The journal's entries, as `journalctl -o json` prints them, and the kernel's log, as `dmesg` prints it, with its killed processes.
#![no_main]

use facts::journal::{entries, is_partial};
use facts::kernel_log::of_dmesg;
use facts::oom::kills;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let lines = data.split(|&byte| byte == b'\n').count();
    assert!(entries(data).len() <= lines);
    let kernel = of_dmesg(data, Timestamp::UNIX_EPOCH);
    assert!(kills(&kernel).len() <= kernel.len() && kernel.len() <= lines);
    is_partial(data);
});
