//! What an application is started as, and what its own log says. The first byte chooses the kind.
#![no_main]

use facts::application::{Kind, log};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let words: Vec<Vec<u8>> = data.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    if let Some(kind) = Kind::recognise(&words) {
        assert!(!kind.name().is_empty());
    }
    let Some((&which, text)) = data.split_first() else {
        return;
    };
    let kind = Kind::ALL[usize::from(which) % Kind::ALL.len()];
    let lines = text.split(|&byte| byte == b'\n').count();
    assert!(log::events(kind, text, &TimeZone::UTC).len() <= lines);
    log::event(kind, text, &TimeZone::UTC, Some(Timestamp::UNIX_EPOCH));
});
