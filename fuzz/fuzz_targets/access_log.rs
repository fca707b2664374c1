//! The text of a `log_format`, then lines: what a line says stands in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use log::access::{Access, Escape, Format, unescape};

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|&byte| byte == b'\n');
    let template = lines.next().unwrap_or_default();
    let formats = [Escape::Default, Escape::Json, Escape::None]
        .map(|escape| Format::compile(template, escape));
    let combined = Format::combined();
    for line in lines {
        for format in formats.iter().chain([&combined]) {
            if let Some(access) = format.parse(line) {
                within(&access, format, line);
            }
        }
    }
});

fn within(access: &Access<'_>, format: &Format, line: &[u8]) {
    let bounds = line.as_ptr_range();
    for variable in format.variables() {
        let Some(value) = access.get(variable) else {
            continue;
        };
        let span = value.as_ptr_range();
        assert!(value.is_empty() || (bounds.start <= span.start && span.end <= bounds.end));
        assert!(unescape(value, format.escape()).len() <= value.len());
    }
    let bytes = line.len();
    assert!(access.attempts().count() <= bytes + 1);
    access.time();
    access.time_milliseconds();
    access.status();
    access.request_time();
    access.request();
    access.host();
    access.server_name();
    access.remote_addr();
}
