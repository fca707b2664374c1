//! The journal's entries, as `journalctl -o json` prints them.
#![no_main]

use facts::journal::{entries, is_partial};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let lines = data.split(|&byte| byte == b'\n').count();
    assert!(entries(data).len() <= lines);
    is_partial(data);
});
