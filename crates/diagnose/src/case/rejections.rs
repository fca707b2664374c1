//! Requests that an application refused before it answered, weighed against nginx's failures.
//!
//! uWSGI's line of a refused request names none, and mostly has no time: it lies between the times of the lines around it.
//! It is proof only where these are as near as a time of its own would be, nginx failed in that very second, and exactly
//! as often: else it may be another client's.

use std::net::IpAddr;

use facts::application::Kind;
use facts::application::log::What;
use facts::{Exhibit, Gap};
use jiff::Timestamp;
use log::error::{Class, Protocol};

use super::Case;
use super::application::Application;
use crate::incident::Incident;

/// The largest that uWSGI's `buffer-size` may be.
const LARGEST: u64 = 65_535;

/// nginx logs a closed connection in the second of the refusal, or in the one beside it.
const BESIDE: i64 = 1;

/// Refusals that account for every failure.
pub(crate) struct Refusals {
    /// What refused them, for people.
    pub(crate) who: String,
    /// uWSGI's words of one.
    pub(crate) text: String,
    /// Where they stand.
    pub(crate) place: String,
    /// How many there are.
    pub(crate) count: u64,
    /// The largest request refused, where it says so.
    pub(crate) largest: Option<u64>,
    /// `buffer-size` as it is, with where it is set.
    pub(crate) setting: Option<String>,
}

/// Connections that php-fpm dropped for the address they came from, whenever nginx failed.
pub(crate) struct Disallowed {
    /// The pool's php-fpm, for people.
    pub(crate) who: String,
    /// The pool.
    pub(crate) pool: String,
    /// nginx's address, as the pool sees it.
    pub(crate) client: String,
    /// `listen.allowed_clients` as it is, with where it is set.
    pub(crate) setting: Option<String>,
    /// The service to reload.
    pub(crate) service: Option<String>,
    /// php-fpm's words.
    pub(crate) exhibit: Exhibit,
}

/// Refusals that lie somewhere between two seconds.
struct Span {
    from: i64,
    to: i64,
    count: u64,
}

impl Refusals {
    /// uWSGI's words.
    pub(crate) fn exhibit(&self) -> Exhibit {
        Exhibit::Record {
            probe: "application-log",
            at: None,
            text: format!(
                "{}: {} ({} in all, each when a request failed)",
                self.place, self.text, self.count
            ),
        }
    }

    /// The buffer that would take the largest of them.
    pub(crate) fn buffer(&self) -> Option<u64> {
        let largest = self.largest.filter(|&largest| largest < LARGEST)?;
        Some((largest + 1).next_power_of_two().min(LARGEST))
    }
}

impl Case {
    /// The refusals that account for every failure of the incident.
    pub(crate) fn refusals(&self, incident: &Incident) -> Result<Refusals, Gap> {
        let application = self.application(incident)?;
        let missing = "whether the application refused the requests";
        let gap = |why: String| Gap::undecided(missing, why);
        let (wanted, other) = match incident.protocol {
            Some(Protocol::Uwsgi) => ("invalid request block size: ", "invalid HTTP request size "),
            _ => ("invalid HTTP request size ", "invalid request block size: "),
        };
        let reasons = |prefix: &'static str| {
            application
                .events()
                .iter()
                .filter_map(move |event| match &event.what {
                    What::RequestRejected { reason } if reason.starts_with(prefix) => {
                        Some((event, reason))
                    }
                    _ => None,
                })
        };
        let Some((_, text)) = reasons(wanted)
            .next_back()
            .filter(|_| application.kind() == Some(Kind::Uwsgi))
        else {
            let gap = gap(format!(
                "no log of {} tells of a refused one",
                application.who()
            ));
            return Err(match reasons(other).next_back() {
                Some((_, said)) => gap.leaning(format!(
                    "{} is spoken to in another protocol: {said}",
                    application.who()
                )),
                None => gap,
            });
        };
        let leaning = || format!("{} refused requests: {text}", application.who());
        // What an HTTP client sends to it is no request of nginx's.
        if let Some((_, said)) = reasons(wanted).find(|(_, reason)| is_of_http(reason)) {
            let why = format!("some are of clients that speak HTTP to it: {said}");
            return Err(gap(why).leaning(leaning()));
        }
        let ranges: Vec<(i64, i64)> = reasons(wanted)
            .map(|(event, _)| {
                let from = event
                    .at
                    .or(event.not_before)
                    .map_or(i64::MIN, Timestamp::as_second);
                let to = event
                    .at
                    .or(event.not_after)
                    .map_or(i64::MAX, Timestamp::as_second);
                // Clocks may go back.
                (from.min(to), to.max(from))
            })
            .collect();
        let count = self.accounted(incident, &ranges)?.ok_or_else(|| {
            let is_dated = reasons(wanted).any(|(event, _)| event.at.is_some());
            let why = if is_dated {
                "it refused requests, but not one in the second of each that failed, and no other"
            } else {
                "it refused requests, and its lines have no time that says whether they are those that failed"
            };
            let gap = gap(why.to_owned()).leaning(leaning());
            if is_dated { gap } else { gap.learn("set uWSGI's log-date = true") }
        })?;
        Ok(Refusals {
            who: application.who(),
            text: text.clone(),
            place: application.log_place(),
            count,
            largest: reasons(wanted)
                .filter_map(|(_, reason)| size_in(reason))
                .max(),
            setting: application.buffer_size(),
        })
    }

    /// The connections that the pool dropped since nginx's address is none that it lets in; `None` where no php-fpm
    /// listens there, or it lets in all.
    pub(crate) fn disallowed(&self, incident: &Incident) -> Result<Option<Disallowed>, Gap> {
        if incident.protocol != Some(Protocol::Fastcgi) {
            return Ok(None);
        }
        let application = self.application(incident)?;
        if application.kind() != Some(Kind::PhpFpm) {
            return Ok(None);
        }
        let Some(pool) = self.pool_of(incident)? else {
            return Ok(None);
        };
        let setting = pool.allowed_clients().map(|allowed| {
            format!(
                "listen.allowed_clients = {}, by {}",
                allowed.value, allowed.origin
            )
        });
        let dropped: Vec<_> = application
            .events()
            .iter()
            .filter(|event| event.pool.as_deref() == Some(pool.name()))
            .filter_map(|event| match &event.what {
                What::RequestRejected { reason } => {
                    let client = reason.strip_prefix("Connection disallowed: IP address '")?;
                    Some((event, reason, client.split('\'').next()?))
                }
                _ => None,
            })
            .collect();
        let missing = "whether php-fpm dropped the connections";
        // Who is let in does not change from one connection to the next: what counts is that nginx's own address is not.
        let mut own = Vec::new();
        for (event, text, client) in dropped {
            let Ok(ip) = client.parse::<IpAddr>() else {
                continue;
            };
            if self.is_local(incident, (ip, 0).into())? {
                own.extend(event.at.map(|at| (at.as_second(), text, client)));
            }
        }
        let Some(&(_, text, client)) = own.last() else {
            return match setting {
                None => Ok(None),
                Some(setting) => Err(Gap::undecided(
                    missing,
                    "its log says nothing of it; it does with catch_workers_output = yes",
                )
                .leaning(format!(
                    "pool {} drops connections of others than it lets in: {setting}",
                    pool.name()
                ))),
            };
        };
        // php-fpm's master writes down what a child said when it reads it.
        let near = |from: i64, to: i64| {
            own.iter()
                .filter(|(at, ..)| (from - 1..=to + 1).contains(at))
                .count()
        };
        let (first, last) = (incident.first_seen, incident.last_seen);
        let count = near(first.as_second(), last.as_second());
        let is_each = incident
            .seconds
            .keys()
            .all(|&second| near(second, second) > 0);
        if !is_each || u64::try_from(count).is_ok_and(|count| count < incident.count) {
            return Err(Gap::undecided(
                missing,
                "it dropped connections, but not whenever it failed",
            )
            .leaning(format!("pool {} dropped connections: {text}", pool.name())));
        }
        Ok(Some(Disallowed {
            who: application.who(),
            pool: pool.name().to_owned(),
            client: client.to_owned(),
            setting,
            service: pool.service(),
            exhibit: Exhibit::Record {
                probe: "application-log",
                at: None,
                text: format!(
                    "{}: {text} (whenever it failed, {count} in all)",
                    application.log_place()
                ),
            },
        }))
    }

    /// How many refusals there are in these ranges of seconds, if each failure of the incident has one of its own at its
    /// time, and nginx failed exactly as often in each span that holds one.
    fn accounted(&self, incident: &Incident, ranges: &[(i64, i64)]) -> Result<Option<u64>, Gap> {
        let logs = self.log_facts(incident.instance)?;
        let alike = || {
            logs.incidents.iter().filter(|other| {
                other.peer == incident.peer
                    && (other.is(Class::PrematureClose) || other.is(Class::ConnectionReset))
            })
        };
        if !has_one_each(incident, ranges) {
            return Ok(None);
        }
        let spans = merged(
            ranges
                .iter()
                .map(|&(from, to)| (from.saturating_sub(BESIDE), to.saturating_add(BESIDE))),
        );
        let mut used = Vec::new();
        for second in incident.seconds.keys() {
            let Some(idx) = spans
                .iter()
                .position(|span| (span.from..=span.to).contains(second))
            else {
                return Ok(None);
            };
            if !used.contains(&idx) {
                used.push(idx);
            }
        }
        let mut count = 0;
        for span in used.into_iter().filter_map(|idx| spans.get(idx)) {
            let failed: u64 = alike()
                .flat_map(|other| other.seconds.range(span.from..=span.to))
                .map(|(_, count)| count)
                .sum();
            if failed != span.count {
                return Ok(None);
            }
            count += span.count;
        }
        Ok(Some(count))
    }
}

impl Application {
    /// Whether its log tells of requests that it refused.
    pub(super) fn refuses(&self) -> bool {
        self.events()
            .iter()
            .any(|event| matches!(event.what, What::RequestRejected { .. }))
    }

    /// uWSGI's `buffer-size` in words.
    fn buffer_size(&self) -> Option<String> {
        let setting = self
            .settings()
            .buffer_size
            .as_ref()
            .filter(|_| self.settings().is_certain("buffer_size"))?;
        Some(format!("{}, by {}", setting.value, setting.origin))
    }
}

/// Whether each failure has a refusal of its own that is known to have been at its time.
fn has_one_each(incident: &Incident, ranges: &[(i64, i64)]) -> bool {
    let mut left: Vec<(i64, i64)> = ranges.to_vec();
    left.sort_unstable_by_key(|&(from, to)| (to, from));
    incident.seconds.iter().all(|(&second, &count)| {
        (0..count).all(|_| {
            let is_then =
                |&(from, to): &(i64, i64)| second - BESIDE <= from && to <= second + BESIDE;
            let own = left.iter().position(is_then);
            own.map(|idx| left.remove(idx)).is_some()
        })
    })
}

/// Whether the size is the letters of an HTTP method: uWSGI took such a request for a packet of its own protocol.
fn is_of_http(reason: &str) -> bool {
    const METHODS: [&[u8]; 9] = [
        b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"PATCH", b"PRI",
    ];
    let read_as_size = |method: &&[u8]| match method {
        [_, low, high, ..] => Some(u64::from(u16::from_le_bytes([*low, *high]))),
        _ => None,
    };
    size_in(reason).is_some_and(|size| METHODS.iter().filter_map(read_as_size).any(|of| of == size))
}

/// The spans of refusals; those that touch are one.
fn merged(ranges: impl Iterator<Item = (i64, i64)>) -> Vec<Span> {
    let mut ranges: Vec<(i64, i64)> = ranges.collect();
    ranges.sort_unstable();
    let mut spans: Vec<Span> = Vec::new();
    for (from, to) in ranges {
        match spans.last_mut() {
            Some(last) if from <= last.to => {
                last.to = last.to.max(to);
                last.count += 1;
            }
            _ => spans.push(Span { from, to, count: 1 }),
        }
    }
    spans
}

/// `invalid request block size: 6354 (max 4096)...skip`.
fn size_in(reason: &str) -> Option<u64> {
    let rest = reason.strip_prefix("invalid request block size: ")?;
    rest.split_once(' ')?.0.parse().ok()
}
