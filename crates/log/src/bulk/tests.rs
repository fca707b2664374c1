//! The counter against a slow and obvious one, over random logs and however they are cut.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::line::{first_part, path_of};
use super::*;
use crate::error::records::State;
use crate::error::{Carrier, Forgery, decode, parse};

/// Everything that a counter tells, in plain maps.
#[derive(Debug, Default, PartialEq)]
struct Obvious {
    lines: u64,
    failures: u64,
    suspects: u64,
    strange: u64,
    jumps: u64,
    window: Option<(LocalTime, LocalTime)>,
    incidents: BTreeMap<Kind, Incident>,
    clients: BTreeMap<Vec<u8>, u64>,
    urls: BTreeMap<Vec<u8>, u64>,
    hosts: BTreeMap<Vec<u8>, u64>,
}

#[derive(Debug, Default, PartialEq)]
struct Incident {
    count: u64,
    window: Option<(LocalTime, LocalTime)>,
    minutes: BTreeMap<i64, u64>,
    servers: BTreeMap<Vec<u8>, u64>,
    locations: BTreeMap<Vec<u8>, u64>,
    clients: u64,
    sample: Vec<u8>,
}

/// The log with each line cut where no more of it is looked at.
fn shortened(log: &[u8]) -> Vec<u8> {
    let mut short = Vec::new();
    for line in log.split_inclusive(|&byte| byte == b'\n') {
        if line.len() > LONGEST {
            short.extend_from_slice(&line[..LONGEST]);
            if line.ends_with(b"\n") {
                *short.last_mut().unwrap() = b'\n';
            }
        } else {
            short.extend_from_slice(line);
        }
    }
    short
}

fn obvious(log: &[u8], carrier: Carrier, wanted: &Wanted<'_>) -> Obvious {
    let log = crate::error::unwrap_lines(&shortened(log), carrier);
    let carrier = match carrier {
        Carrier::DockerJson | Carrier::Cri => Carrier::Plain,
        other => other,
    };
    let mut state = State::carried(0, carrier);
    let mut rest: &[u8] = &log;
    let mut told = Obvious::default();
    let mut before: Option<(i64, u64)> = None;
    let mut doubtful = Vec::new();
    let is_in_time = |at: LocalTime| {
        wanted.from.is_none_or(|from| at >= from) && wanted.until.is_none_or(|until| at < until)
    };
    let mut clients: BTreeMap<Kind, std::collections::BTreeSet<Vec<u8>>> = BTreeMap::new();
    while let Some((record, left)) = state.take(rest) {
        rest = left;
        let decoded = decode(record.bytes);
        let event = record.event_within(LONGEST).or_else(|| {
            if carrier == Carrier::Plain {
                return None;
            }
            let mut event = decoded.event()?;
            event.forgery = record.inside.or(event.forgery);
            Some(event)
        });
        let Some(event) = event else {
            told.strange += u64::from(record.line_count);
            told.lines += u64::from(record.line_count);
            continue;
        };
        let Some(at) = event.time else {
            if wanted.from.is_none() && wanted.until.is_none() {
                told.lines += u64::from(record.line_count);
            }
            continue;
        };
        let jumped = before
            .replace((at.seconds(), record.offset))
            .is_some_and(|(before, from)| {
                record.offset - from <= 8192 && at.seconds() < before - 1800
            });
        if !is_in_time(at) {
            continue;
        }
        told.lines += u64::from(record.line_count);
        told.jumps += u64::from(jumped);
        let (first, last) = told.window.unwrap_or((at, at));
        told.window = Some((first.min(at), last.max(at)));
        if !event.is_upstream_failure() {
            continue;
        }
        let name = event.unresolved();
        let kind = Kind {
            peer: event
                .upstream
                .map(|upstream| upstream.peer.to_vec())
                .or(name.map(|name| name.name.to_vec()))
                .unwrap_or_default(),
            protocol: event.upstream.map(|upstream| upstream.protocol),
            class: event.class,
            errno: event.errno,
            action: event.action,
        };
        let server = event
            .server
            .map(|server| server.to_vec())
            .unwrap_or_default();
        if let Some(is_wanted) = wanted.failure
            && event
                .forgery
                .is_none_or(|forgery| forgery == Forgery::PerhapsInside)
            && !is_wanted(&Failure {
                class: kind.class,
                errno: kind.errno,
                action: kind.action,
                protocol: kind.protocol,
                peer: &kind.peer,
                server: &server,
                outcome: event.outcome(),
            })
        {
            continue;
        }
        let bytes = record.bytes.strip_suffix(b"\n").unwrap_or(record.bytes);
        let path = event.request.map(|request| path_of(request).to_vec());
        let client = event
            .client
            .map(|client| client.to_vec())
            .unwrap_or_default();
        let host = event.host.map(|host| host.to_vec());
        match event.forgery {
            None => {}
            Some(Forgery::PerhapsInside) => {
                doubtful.push((kind, server, at, bytes.to_vec(), path, client, host));
                continue;
            }
            Some(_) => {
                told.suspects += 1;
                continue;
            }
        }
        add(
            &mut told,
            &mut clients,
            (kind, server, at, bytes.to_vec(), path, client, host),
        );
    }
    let known: Vec<Kind> = told.incidents.keys().cloned().collect();
    for one in doubtful {
        if known.contains(&one.0) {
            add(&mut told, &mut clients, one);
        } else {
            told.suspects += 1;
            // Whose requests failed is counted before it is known whether the failure counts.
            tops(&mut told, one.4.as_ref(), &one.5, one.6.as_ref());
        }
    }
    for (kind, clients) in clients {
        told.incidents.get_mut(&kind).unwrap().clients = clients.len() as u64;
    }
    told
}

type One = (
    Kind,
    Vec<u8>,
    LocalTime,
    Vec<u8>,
    Option<Vec<u8>>,
    Vec<u8>,
    Option<Vec<u8>>,
);

fn tops(told: &mut Obvious, path: Option<&Vec<u8>>, client: &[u8], host: Option<&Vec<u8>>) {
    *told.clients.entry(client.to_vec()).or_default() += 1;
    if let Some(path) = path {
        *told.urls.entry(path.clone()).or_default() += 1;
    }
    if let Some(host) = host {
        *told.hosts.entry(host.clone()).or_default() += 1;
    }
}

fn add(
    told: &mut Obvious,
    clients: &mut BTreeMap<Kind, std::collections::BTreeSet<Vec<u8>>>,
    (kind, server, at, line, path, client, host): One,
) {
    tops(told, path.as_ref(), &client, host.as_ref());
    told.failures += 1;
    clients.entry(kind.clone()).or_default().insert(client);
    let incident = told.incidents.entry(kind).or_default();
    incident.count += 1;
    let (first, last) = incident.window.unwrap_or((at, at));
    if incident.window.is_none() || at < first || (at == first && line < incident.sample) {
        incident.sample = line;
    }
    incident.window = Some((first.min(at), last.max(at)));
    *incident
        .minutes
        .entry(at.seconds().div_euclid(60))
        .or_default() += 1;
    *incident.servers.entry(server).or_default() += 1;
    if let Some(path) = path {
        *incident
            .locations
            .entry(first_part(&path).to_vec())
            .or_default() += 1;
    }
}

fn told(counted: ErrorCounted) -> Obvious {
    let map = |top: Top| top.values.into_iter().collect();
    assert!(counted.beyond == 0 && counted.clients.error == 0);
    Obvious {
        lines: counted.lines,
        failures: counted.failures,
        suspects: counted.suspects,
        strange: counted.strange,
        jumps: counted.jumps,
        window: counted.window,
        incidents: counted
            .incidents
            .into_iter()
            .map(|one| {
                let incident = Incident {
                    count: one.count,
                    window: Some(one.window),
                    minutes: one.minutes.into_iter().collect(),
                    servers: one.servers.into_iter().collect(),
                    locations: map(one.locations),
                    clients: one.clients.count,
                    sample: one.sample,
                };
                (one.kind, incident)
            })
            .collect(),
        clients: map(counted.clients),
        urls: map(counted.urls),
        hosts: map(counted.hosts),
    }
}

/// The parts of a log that begin at these offsets, with what stands around them.
fn counted(log: &[u8], carrier: Carrier, wanted: &Wanted<'_>, cuts: &[usize]) -> Obvious {
    let mut cuts: Vec<usize> = cuts.iter().map(|&cut| cut % (log.len() + 1)).collect();
    cuts.extend([0, log.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut counters: Vec<ErrorCounter<'_>> = (0..3).map(|_| ErrorCounter::new(wanted)).collect();
    for (at, ends) in cuts.windows(2).enumerate() {
        let from = ends[0].saturating_sub(BACK);
        let to = log.len().min(ends[1] + AHEAD);
        let part = Part {
            text: &log[from..to],
            within: ends[0] - from..ends[1] - from,
        };
        counters[at % 3].count(&part, carrier);
    }
    let mut all = counters.pop().unwrap();
    for counter in counters {
        all.merge(counter);
    }
    told(all.finish())
}

/// A line's end, as nginx writes it; clients write into some of them.
fn record() -> impl Strategy<Value = String> {
    let message = prop::sample::select(vec![
        "connect() failed (111: Connection refused) while connecting to upstream",
        "upstream timed out (110: Connection timed out) while reading response header from upstream",
        "upstream prematurely closed connection while reading response header from upstream",
        "no live upstreams while connecting to upstream",
        "connect() to unix:/run/a.sock failed (2: No such file or directory) while connecting to upstream",
        "upstream sent too big header while reading response header from upstream",
        "upstream sent invalid header line: \"x\" while reading response header from upstream",
        "recv() failed (104: Connection reset by peer) while reading response header from upstream",
        "open() \"/srv/x\" failed (2: No such file or directory)",
        "open() \"/srv/x\ny\" failed (2: No such file or directory)",
        "open() \"/srv/x",
        "access forbidden by rule",
        "limiting requests, excess: 5.123 by zone \"a\"",
        "limiting could not be resolved (3: Host not found)",
        "app.internal could not be resolved (3: Host not found)",
        "no resolver defined to resolve app.internal",
        "1024 worker_connections are not enough while connecting to upstream",
        "SSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) while SSL handshaking",
        "SSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) while SSL handshaking to upstream",
        "an upstream response is buffered to a temporary file /var/lib/nginx/proxy/1/02/3 while reading upstream",
        "FastCGI sent in stderr: \"PHP message: x\" while reading response header from upstream",
        "FastCGI sent in stderr: \"PHP message: x\n#0 {main}\n  thrown\" while reading response header from upstream",
        "FastCGI sent in stderr: \"PHP message: x",
        "signal 1 (SIGHUP) received from 1, reconfiguring",
        "client closed connection while waiting for request",
        "what nobody knows (5: Input/output error)",
        "epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while connecting to upstream",
    ]);
    let request = prop::sample::select(vec![
        "GET /a/b?c=d HTTP/1.1",
        "GET / HTTP/1.1",
        "POST /x HTTP/1.0",
        "GET /a%0ab HTTP/1.1",
        "GET /a\", upstream: \"http://6.6.6.6/\", host: \"b HTTP/1.1",
        "GET /a\" HTTP/1.1",
        "GET /a",
        "\u{16}\u{3}",
        "GET /a, client: 6.6.6.6, server: b HTTP/1.1",
    ]);
    let upstream = prop::sample::select(vec![
        "",
        ", upstream: \"http://127.0.0.1:8000/a/b?c=d\"",
        ", upstream: \"http://127.0.0.1:8000\"",
        ", upstream: \"http://127.0.0.1:8000?x\"",
        ", upstream: \"http://127.0.0.1:80001/\"",
        ", upstream: \"fastcgi://unix:/run/a.sock:\"",
        ", upstream: \"fastcgi://unix:/run/a.sock\"",
        ", upstream: \"http://unix:/run/a.sock:/x\"",
        ", upstream: \"http://unix:/run/a.sock/x:/y\"",
        ", upstream: \"http://unix:/run/a/x\"",
        ", upstream: \"http://unix:/run/a:/b.sock/x\"",
        ", upstream: \"https://[::1]:443/\"",
        ", upstream: \"6.6.6.6:80\"",
        ", subrequest: \"/auth\", upstream: \"http://127.0.0.1:8000/auth\"",
    ]);
    let tail = prop::sample::select(vec![
        "",
        ", host: \"a.example\"",
        ", host: \"a.example\", referrer: \"http://b/\"",
        ", referrer: \"http://b/\"",
        ", host: \"a\", upstream: \"http://6.6.6.6/\"",
        ", host: \"a\", referrer: \"x",
        ", host: \"a",
        "\r",
    ]);
    let who = (0_u8..6, 0_u8..3);
    (message, request, upstream, tail, who, 0_u8..12).prop_map(
        |(message, request, upstream, tail, (client, server), shape)| {
            let fields = match shape {
                0 => String::new(),
                1 => format!(", client: 192.0.2.{client}, server: 0.0.0.0:443"),
                2 => format!(", client: 192.0.2.{client}"),
                3 => format!(", client: unix:, server: , request: \"{request}\"{upstream}{tail}"),
                _ => format!(
                    ", client: 192.0.2.{client}, server: s{server}.example, request: \"{request}\"{upstream}{tail}"
                ),
            };
            format!("{message}{fields}")
        },
    )
}

fn line() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec![
        "error", "error", "error", "crit", "warn", "info", "emerg", "alert", "nix",
    ]);
    let jump = prop_oneof![8 => 0_i64..3, 1 => -3_i64..70, 1 => -4000_i64..4000];
    let plain = (record(), level, jump, 0_u8..8, any::<bool>()).prop_map(
        |(record, level, jump, kind, ends)| {
            let time = LocalTime::from_seconds(1_782_223_331 + jump);
            let connection = if kind == 0 { "" } else { "*7 " };
            let pid = if kind == 1 { "1#2" } else { "1#1" };
            let end = if ends || kind > 2 { "\n" } else { "" };
            format!("{time} [{level}] {pid}: {connection}{record}{end}")
        },
    );
    let junk = prop::sample::select(vec![
        "\n",
        "x\n",
        "2026/06/23\n",
        "2026/06/23 14:02:11 [error] 1#1: \n",
        "\0\0\0\n",
        "  continued\n",
    ]);
    prop_oneof![12 => plain, 1 => junk.prop_map(str::to_owned)]
}

/// A text with one line that is as long as is looked at, or longer, or a record cut at nginx's limit.
fn long() -> impl Strategy<Value = String> {
    (
        line(),
        prop::sample::select(vec![
            1990_usize,
            4000,
            LONGEST - 40,
            LONGEST + 3,
            70_000,
            140_000,
        ]),
    )
        .prop_map(|(line, length)| {
            let line = line.trim_end_matches('\n').to_owned();
            format!("{line}{}\n", "y".repeat(length))
        })
}

fn limit() -> impl Strategy<Value = String> {
    (line(), prop::sample::select(vec![2048_usize, 4096])).prop_map(|(line, limit)| {
        let line = line.replace('\n', "");
        let fill = limit.saturating_sub(line.len() + 1);
        let line: String = format!("{line}{}", "z".repeat(fill))
            .chars()
            .take(limit - 1)
            .collect();
        format!("{line}\n")
    })
}

fn log() -> impl Strategy<Value = String> {
    let piece = prop_oneof![30 => line(), 1 => long(), 1 => limit()];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// For a failed comparison, as text.
fn shown(told: &Obvious) -> String {
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .chars()
            .take(200)
            .collect::<String>()
    };
    let list = |map: &BTreeMap<Vec<u8>, u64>| {
        let of: Vec<String> = map
            .iter()
            .map(|(value, count)| format!("{} {count}", text(value)))
            .collect();
        of.join(" | ")
    };
    let mut out = format!(
        "lines {} failures {} suspects {} strange {} jumps {} window {:?}\nclients {}\nurls {}\nhosts {}\n",
        told.lines,
        told.failures,
        told.suspects,
        told.strange,
        told.jumps,
        told.window,
        list(&told.clients),
        list(&told.urls),
        list(&told.hosts)
    );
    for (kind, incident) in &told.incidents {
        let peer = text(&kind.peer);
        write!(
            out,
            "{peer} {:?} {:?} {:?} {:?}: {} {:?} {:?} servers {} locations {} clients {}\n  {}\n",
            kind.protocol,
            kind.class,
            kind.errno,
            kind.action,
            incident.count,
            incident.window,
            incident.minutes,
            list(&incident.servers),
            list(&incident.locations),
            incident.clients,
            text(&incident.sample)
        )
        .unwrap();
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_counter_is_the_obvious_one(log in log(), cuts in prop::collection::vec(any::<usize>(), 0..6)) {
        let wanted = Wanted::default();
        prop_assert_eq!(shown(&counted(log.as_bytes(), Carrier::Plain, &wanted, &cuts)), shown(&obvious(log.as_bytes(), Carrier::Plain, &wanted)));
    }

    #[test]
    fn what_is_wanted_is_counted(log in log(), from in -10_i64..40, length in 0_i64..60, cuts in prop::collection::vec(any::<usize>(), 0..3)) {
        let from = LocalTime::from_seconds(1_782_223_331 + from);
        let is_wanted = |failure: &Failure<'_>| failure.peer.starts_with(b"127") || failure.class == Class::NoLiveUpstreams;
        let wanted = Wanted {
            from: Some(from),
            until: Some(LocalTime::from_seconds(from.seconds() + length)),
            failure: Some(&is_wanted),
        };
        prop_assert_eq!(shown(&counted(log.as_bytes(), Carrier::Plain, &wanted, &cuts)), shown(&obvious(log.as_bytes(), Carrier::Plain, &wanted)));
    }

    #[test]
    fn carried_lines_are_counted_alike(log in log(), cuts in prop::collection::vec(any::<usize>(), 0..4)) {
        let wanted = Wanted::default();
        let text = log;
        let syslog: Vec<String> = text
            .lines()
            .map(|line| format!("Jun 23 14:02:11 web1 nginx: {line}\n"))
            .collect();
        let syslog = syslog.concat();
        prop_assert_eq!(
            shown(&counted(syslog.as_bytes(), Carrier::Syslog, &wanted, &cuts)),
            shown(&obvious(syslog.as_bytes(), Carrier::Syslog, &wanted))
        );
        let docker: Vec<String> = text
            .split_inclusive('\n')
            .map(|line| format!("{}\n", serde_json::json!({"log": line, "stream": "stderr", "time": "2026-06-23T14:02:11.1Z"})))
            .collect();
        let docker = docker.concat();
        if !docker.lines().any(|line| line.len() > LONGEST) {
            prop_assert_eq!(
                shown(&counted(docker.as_bytes(), Carrier::DockerJson, &wanted, &cuts)),
                shown(&obvious(docker.as_bytes(), Carrier::DockerJson, &wanted))
            );
        }
    }
}

#[test]
fn a_real_log_is_counted_as_each_of_its_lines_is_parsed() {
    let log = include_bytes!("../../tests/data/samples-1.22.1.log");
    let wanted = Wanted::default();
    // There are more paths than a list gives out.
    let without_lists = |mut told: Obvious| {
        told.clients.clear();
        told.urls.clear();
        told.hosts.clear();
        told.incidents
            .values_mut()
            .for_each(|incident| incident.locations.clear());
        shown(&told)
    };
    let expected = obvious(log, Carrier::Plain, &wanted);
    assert!(expected.failures > 10);
    let expected = without_lists(expected);
    for step in [97, 999, 4096] {
        let cuts: Vec<usize> = (0..log.len()).step_by(step).collect();
        let told = counted(log, Carrier::Plain, &wanted, &cuts);
        assert_eq!(without_lists(told), expected);
    }
    // Each plain line by itself, where no neighbour tells of it.
    assert!(parse(log.split(|&byte| byte == b'\n').next().unwrap()).is_some());
}
