//! What systemd shows of units, and unit files.
#![no_main]

use std::path::Path;

use facts::systemd::{ExecLine, UnitFile, unit_files, units};
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for unit in units(data, &TimeZone::UTC) {
        unit.is_active();
        unit.exists();
    }
    unit_files(data);
    let (own, drop_in) = data.split_at(data.len() / 2);
    let files = [
        (Path::new("/etc/a@.service"), own),
        (Path::new("/etc/a@.service.d/x.conf"), drop_in),
    ];
    for file in [
        UnitFile::parse(files),
        UnitFile::parse([(Path::new("/etc/a.service"), data)]),
    ] {
        for name in ["a@b\\x2dc.service", "a.service", ""] {
            file.exec_start(name);
            file.listen_streams(name);
            file.environment(name);
        }
        file.value("Service", "User");
        for setting in file.list("Service", "ExecStart") {
            assert!(!setting.value.is_empty());
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        ExecLine::parse(text);
    }
});
