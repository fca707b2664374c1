//! Whole logs: what is counted is what each record says, and depends on no cut. The first bytes say where to cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use log::access::Format;
use log::bulk::{
    AccessCounter, ErrorCounted, ErrorCounter, LONGEST, Part, Wanted,
};
use log::error::{Carrier, Records};

fuzz_target!(|data: &[u8]| {
    let Some((cuts, log)) = data.split_at_checked(4) else {
        return;
    };
    if log.len() > LONGEST {
        return;
    }
    let cuts: Vec<usize> = cuts.iter().map(|&cut| usize::from(cut) * 64).collect();
    for carrier in [Carrier::Plain, Carrier::Syslog, Carrier::DockerJson] {
        let whole = errors(log, carrier, &[]);
        assert_eq!(told(&errors(log, carrier, &cuts)), told(&whole), "{carrier:?}");
        if carrier == Carrier::Plain {
            as_parsed(log, &whole);
        }
    }
    let format = Format::combined();
    assert_eq!(accesses(log, &format, &cuts), accesses(log, &format, &[]));
});

/// Each failure is counted, and none that is not there.
fn as_parsed(log: &[u8], counted: &ErrorCounted) {
    let mut records = Records::new(log);
    let failures = records
        .by_ref()
        .filter_map(|record| record.event())
        .filter(|event| event.time.is_some() && event.is_upstream_failure())
        .count();
    if records.carrier() == Some(Carrier::Plain) {
        assert_eq!(counted.failures + counted.suspects, failures as u64);
    }
}

fn parts<'a>(log: &'a [u8], cuts: &[usize]) -> Vec<Part<'a>> {
    let mut ends: Vec<usize> = cuts.iter().map(|&cut| cut.min(log.len())).collect();
    ends.extend([0, log.len()]);
    ends.sort_unstable();
    ends.windows(2)
        .map(|pair| Part {
            text: log,
            within: pair[0]..pair[1],
        })
        .collect()
}

fn errors(log: &[u8], carrier: Carrier, cuts: &[usize]) -> ErrorCounted {
    let wanted = Wanted::default();
    let mut counters = [ErrorCounter::new(&wanted), ErrorCounter::new(&wanted)];
    for (at, part) in parts(log, cuts).iter().enumerate() {
        counters[at % 2].count(part, carrier);
    }
    let [mut counter, other] = counters;
    counter.merge(other);
    counter.finish()
}

fn told(counted: &ErrorCounted) -> String {
    format!(
        "{} {} {} {} {} {:?} {:?} {:?} {:?} {:?} {:?}",
        counted.lines,
        counted.failures,
        counted.suspects,
        counted.strange,
        counted.jumps,
        counted.window,
        counted.active,
        counted.incidents,
        counted.clients,
        counted.urls,
        counted.hosts
    )
}

fn accesses(log: &[u8], format: &Format, cuts: &[usize]) -> String {
    let wanted = Wanted::default();
    let mut counters = [
        AccessCounter::new(format, &wanted),
        AccessCounter::new(format, &wanted),
    ];
    for (at, part) in parts(log, cuts).iter().enumerate() {
        counters[at % 2].count(part);
    }
    let [mut counter, other] = counters;
    counter.merge(other);
    format!("{:?}", counter.finish())
}
