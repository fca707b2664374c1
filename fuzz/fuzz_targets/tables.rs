//! Small tables of the host: routes, mounts, virtual servers, packages, and the listings of a sosreport.
#![no_main]

use facts::ipvs::Services;
use facts::route::{self, Route};
use facts::{mounts, packages, sosreport};
use jiff::civil::date;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    Route::parse(Some(0), data, b"");
    Route::parse(Some(2), b"", data);
    route::barrier(data);
    route::neighbour(data);
    assert!(mounts::parse(data).len() <= data.len());
    Services::parse(data).may_take("10.0.0.1:80".parse().unwrap());
    packages::of_dpkg(data, &TimeZone::UTC);
    packages::of_dnf(data);
    for row in sosreport::processes(data).unwrap_or_default() {
        sosreport::stat(&row, date(2026, 11, 26).at(12, 0, 0, 0));
    }
    sosreport::clock(data, Some(data));
});
