//! Requests that an application itself answered with 502, 503 or 504: no error line speaks of them, an access log does.
//!
//! nginx gives an attempt a `$upstream_header_time` once the application's response header is there: then the status
//! beside it is the application's own. Only a format in which no client's text can pass for it is believed, of a line that
//! no other format could have written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bstr::ByteSlice as _;
use conf::{AccessLogs, DirectiveRef, Model};
use facts::{ConfSpan, Gap, PeerAddress, counted};
use jiff::{SignedDuration, Timestamp};
use log::access::{Access, Attempt, Format};

use super::access::{compiled, named_logs};
use super::config::span;
use super::logs::{identity, path_of};
use super::mute::hides;
use super::{Case, Instance, known};
use crate::incident::{Incident, Origin};

/// Access logs that are read.
const LOGS: usize = 16;

/// Server names and paths that are kept.
const NAMES_KEPT: usize = 16;

/// nginx logs a failed attempt at once, and the request once the client has its answer.
const LATER: SignedDuration = SignedDuration::from_secs(2);

/// Longer lines are shown cut.
const SHOWN_BYTES: usize = 500;

/// What the access logs of an instance tell of failed requests.
#[derive(Default)]
pub(crate) struct AnsweredFailures {
    /// Those that an application answered so itself.
    pub(crate) incidents: Vec<Incident>,
    /// Others with 502 or 504, of which only an error log could say why, by access log.
    pub(crate) unlogged: Vec<UnloggedFailures>,
}

/// Requests of one access log that got 502 or 504.
pub(crate) struct UnloggedFailures {
    /// Why they did, which is not known.
    pub(crate) gap: Gap,
    /// The same of those alone that came after the last failure an error log tells of, with some to spare: it tells of
    /// none of them.
    pub(crate) later: Option<Gap>,
    /// The last of them.
    pub(crate) last: Option<Timestamp>,
    /// The servers that write there, as error lines call them.
    pub(crate) servers: BTreeSet<String>,
}

/// An access log that is read.
struct ReadLog {
    path: PathBuf,
    /// All that may have written a line of it, by what the configuration says now.
    formats: Vec<Format>,
    /// Where the formats stand that tell of an application's own answers.
    telling: Vec<DirectiveRef>,
    /// The files that say which formats are written there.
    files: BTreeSet<PathBuf>,
}

/// Requests that failed without an access log's telling why.
#[derive(Default)]
struct Unlogged {
    count: u64,
    /// Those after the last failure that an error log tells of.
    later: u64,
    last: Option<Timestamp>,
}

impl Case {
    /// The failed requests that the access logs of an instance tell of.
    pub(crate) fn answered_failures(&self, idx: usize) -> Result<Rc<AnsweredFailures>, Gap> {
        self.evidence.once(format!("answered failures {idx}"), || {
            self.after_the_request()?;
            let instances = self.instances()?;
            let (Some(instance), Some(configured)) =
                (instances.get(idx), known(self.configured(idx))?)
            else {
                return Ok(AnsweredFailures::default());
            };
            let logs = self.logs_to_read(idx, &configured.model, instance)?;
            let texts: Vec<_> = logs
                .iter()
                .map(|log| self.access_text(instance, &log.path))
                .collect();
            let changes = known(self.last_changes(idx, instance))?;
            let told_until = known(self.log_facts(idx))?.and_then(|facts| {
                let last = facts.incidents.iter().map(|incident| incident.last_seen);
                last.max()
            });
            let mut found = AnsweredFailures::default();
            let mut incidents: BTreeMap<(String, u16), Incident> = BTreeMap::new();
            for (log, text) in logs.iter().zip(texts) {
                let Some(bytes) = known(text)? else {
                    continue;
                };
                let changed = changes.as_ref().map(|changes| {
                    let own = changes.iter().filter(|(path, _)| log.files.contains(path));
                    own.map(|(_, changed)| *changed)
                        .max()
                        .unwrap_or(Timestamp::MIN)
                });
                let unlogged = self.read_access(
                    (idx, instance),
                    told_until,
                    (log, changed, &bytes),
                    &mut incidents,
                );
                // Those of a log that several instances write to are told once.
                if self
                    .other_writers(idx, &log.path)?
                    .iter()
                    .any(|other| *other < idx)
                {
                    continue;
                }
                if unlogged.count > 0 {
                    let hidden_by = hidden_by(&configured.model);
                    let gap = |count| unexplained(count, &log.path, hidden_by.as_ref());
                    found.unlogged.push(UnloggedFailures {
                        gap: gap(unlogged.count),
                        later: (unlogged.later > 0).then(|| gap(unlogged.later)),
                        last: unlogged.last,
                        servers: servers_writing_to(&configured.model, instance, &log.path),
                    });
                }
            }
            for incident in incidents.into_values() {
                if !self.is_of_this_instance(&incident)? {
                    continue;
                }
                let mut incident = self.settled(incident)?;
                for site in known(self.sites(&incident))?
                    .iter()
                    .flat_map(|sites| sites.iter())
                {
                    incident.servers.extend(site.servers.iter().cloned());
                }
                incident.servers.dedup();
                incident.servers.truncate(NAMES_KEPT);
                found.incidents.push(incident);
            }
            Ok(found)
        })
    }

    fn logs_to_read(
        &self,
        idx: usize,
        model: &Model,
        instance: &Instance,
    ) -> Result<Rc<Vec<ReadLog>>, Gap> {
        let key = format!("access logs to read {idx}");
        self.evidence
            .once(key, || Ok(logs_to_read(model, instance)))
    }

    /// The other instances that write to an access log.
    pub(super) fn other_writers(&self, idx: usize, path: &Path) -> Result<Vec<usize>, Gap> {
        let instances = self.instances()?;
        let view = instances.get(idx).map(|instance| instance.view);
        let mut writers = Vec::new();
        for (other, instance) in instances.iter().enumerate() {
            if other == idx || Some(instance.view) != view {
                continue;
            }
            let Some(configured) = known(self.configured(other))? else {
                continue;
            };
            let model = &configured.model;
            let mut contexts = model.servers().chain(model.locations());
            let names_it = |context: &conf::Context| {
                let named = named_logs(model, instance, context.id);
                named.iter().any(|(named, _)| named == path)
            };
            if contexts.any(names_it) {
                writers.push(other);
            }
        }
        Ok(writers)
    }

    /// Whether an incident from an access log is its instance's: lines there do not tell who wrote them.
    fn is_of_this_instance(&self, incident: &Incident) -> Result<bool, Gap> {
        let Some(path) = &incident.log else {
            return Ok(true);
        };
        let mut all = self.other_writers(incident.instance, path)?;
        if all.is_empty() {
            return Ok(true);
        }
        all.push(incident.instance);
        Ok(self.owner_among(&all, incident)? == incident.instance)
    }

    /// Where the formats stand by which an incident of an access log was read.
    pub(crate) fn read_by(&self, incident: &Incident) -> Result<Vec<ConfSpan>, Gap> {
        let (instances, configured) = (self.instances()?, self.configured(incident.instance)?);
        let Some(instance) = instances.get(incident.instance) else {
            return Ok(Vec::new());
        };
        let model = &configured.model;
        let logs = self.logs_to_read(incident.instance, model, instance)?;
        let telling = logs
            .iter()
            .filter(|log| Some(&log.path) == incident.log.as_ref())
            .flat_map(|log| &log.telling);
        Ok(telling.filter_map(|&at| span(model, at, None)).collect())
    }

    /// Reads one log; gives the requests that got 502 or 504 without its telling why. What was written before its formats
    /// were last changed (or no one knows when) may have been written by others.
    fn read_access(
        &self,
        (idx, instance): (usize, &Instance),
        told_until: Option<Timestamp>,
        (log, changed, bytes): (&ReadLog, Option<Timestamp>, &[u8]),
        incidents: &mut BTreeMap<(String, u16), Incident>,
    ) -> Unlogged {
        let window = self.window_start().as_second()..=self.now().as_second();
        let is_believed = log.formats.iter().all(Format::is_unforgeable);
        let mut unlogged = Unlogged::default();
        for line in bytes.lines() {
            let mut read = log.formats.iter().filter_map(|format| format.parse(line));
            let Some(access) = read.next() else {
                continue;
            };
            let (Some(status @ 502..=504), Some(at)) = (access.status(), access.time()) else {
                continue;
            };
            let Ok(time) = Timestamp::from_second(at) else {
                continue;
            };
            if !window.contains(&at) {
                continue;
            }
            let is_read_alike = |peer: &String| {
                read.all(|other| {
                    other.status() == Some(status)
                        && answered_by(&other, status).as_ref() == Some(peer)
                })
            };
            let is_since = changed.is_some_and(|changed| changed <= time);
            let peer = answered_by(&access, status).filter(|_| is_believed && is_since);
            let Some(peer) = peer.filter(is_read_alike) else {
                if status != 503 {
                    unlogged.count += 1;
                    let is_later =
                        told_until.is_some_and(|until| time.duration_since(until) > LATER);
                    unlogged.later += u64::from(is_later);
                    unlogged.last = unlogged.last.max(Some(time));
                }
                continue;
            };
            let incident = incidents
                .entry((peer.clone(), status))
                .or_insert_with(|| first(idx, instance, &peer, status, time, (&log.path, line)));
            count(incident, &access, time);
        }
        unlogged
    }
}

/// The peer whose own answer the client got.
fn answered_by(access: &Access<'_>, status: u16) -> Option<String> {
    let last: Attempt<'_> = access.attempts().last()?;
    let is_own = last.status == Some(status) && last.header_time.is_some();
    let peer = last.addr.filter(|_| is_own)?.to_str().ok()?;
    PeerAddress::parse(peer.as_bytes()).map(|_| peer.to_owned())
}

/// One log for each place that writes some: a request counts once.
fn logs_to_read(model: &Model, instance: &Instance) -> Vec<ReadLog> {
    let mut logs: Vec<ReadLog> = Vec::new();
    for context in model.servers().chain(model.locations()) {
        let named = named_logs(model, instance, context.id);
        let tells_so = |(_, format): &&(PathBuf, Option<&conf::LogFormat>)| {
            format.is_some_and(|format| tells(&compiled(format)))
        };
        let Some((path, _)) = named.iter().find(tells_so).or(named.first()) else {
            continue;
        };
        if logs.len() < LOGS && !logs.iter().any(|known| known.path == *path) {
            logs.push(ReadLog {
                path: path.clone(),
                formats: Vec::new(),
                telling: Vec::new(),
                files: BTreeSet::new(),
            });
        }
    }
    add_writers(model, instance, &mut logs);
    let mut places = model.servers().chain(model.locations());
    if places.any(|place| matches!(model.access_logs(place.id), AccessLogs::Default)) {
        let default = &instance.default_access_log;
        for log in logs.iter_mut().filter(|log| log.path == *default) {
            log.formats.push(Format::combined());
        }
    }
    logs
}

/// The servers whose requests, or those of their locations, are written to an access log, as error lines call them.
fn servers_writing_to(model: &Model, instance: &Instance, path: &Path) -> BTreeSet<String> {
    let places = model.servers().chain(model.locations());
    let writes = |place: &&conf::Context| {
        let named = named_logs(model, instance, place.id);
        named.iter().any(|(named, _)| named == path)
    };
    places
        .filter(writes)
        .filter_map(|place| model.server_of(place.id))
        .map(|server| model.logged_name(server.id).to_string())
        .collect()
}

/// Adds the formats in which the configuration has lines written to these logs, and where it says so.
fn add_writers(model: &Model, instance: &Instance, logs: &mut [ReadLog]) {
    let mut seen = BTreeSet::new();
    for context in model.contexts() {
        let AccessLogs::To(targets) = model.access_logs(context.id) else {
            continue;
        };
        for target in targets {
            let (Some(path), Some(format)) = (
                target.sink.path(&instance.prefix),
                model.log_format(target.format.as_bstr()),
            ) else {
                continue;
            };
            let Some(log) = logs.iter_mut().find(|log| log.path == path) else {
                continue;
            };
            let places = [Some(target.directive), format.directive];
            let files = places
                .iter()
                .flatten()
                .filter_map(|&at| model.path(at).map(Path::to_owned));
            log.files.extend(files);
            if !seen.insert((path, format.name.clone())) {
                continue;
            }
            let format_read = compiled(format);
            if tells(&format_read) {
                log.telling.extend(format.directive);
            }
            log.formats.push(format_read);
        }
    }
}

/// Whether a format tells of an application's own answers.
fn tells(format: &Format) -> bool {
    format
        .variables()
        .any(|name| name == "upstream_header_time")
}

fn first(
    idx: usize,
    instance: &Instance,
    peer: &str,
    status: u16,
    at: Timestamp,
    (log, line): (&Path, &[u8]),
) -> Incident {
    Incident {
        id: identity(
            &instance.config,
            peer.as_bytes(),
            &format!("answered-{status}"),
            "",
        ),
        instance: idx,
        origin: Origin::AccessLog,
        peer: peer.to_owned(),
        address: PeerAddress::parse(peer.as_bytes()),
        upstream: None,
        protocol: None,
        has_other_protocols: false,
        failure: None,
        errno: None,
        action: None,
        status: Some(status),
        count: 0,
        first_seen: at,
        last_seen: at,
        seconds: Rc::default(),
        servers: Vec::new(),
        paths: BTreeSet::new(),
        requests: Rc::default(),
        messages: BTreeSet::new(),
        sample: line
            .get(..SHOWN_BYTES)
            .unwrap_or(line)
            .to_str_lossy()
            .into_owned(),
        log: Some(log.to_owned()),
        last_writer: None,
        explained: false,
    }
}

fn count(incident: &mut Incident, access: &Access<'_>, at: Timestamp) {
    incident.count += 1;
    incident.first_seen = incident.first_seen.min(at);
    incident.last_seen = incident.last_seen.max(at);
    incident.count_second(at.as_second());
    if let Some(path) = access.request().and_then(path_of)
        && incident.paths.len() < NAMES_KEPT
    {
        incident.paths.insert(path.to_str_lossy().into_owned());
    }
}

/// An `error_log` in force that leaves out what nginx says of an upstream's failure, at `error`.
fn hidden_by(model: &Model) -> Option<ConfSpan> {
    let contexts = model.contexts().iter().map(|context| context.id);
    contexts
        .flat_map(|context| model.error_logs(context))
        .find(hides)
        .and_then(|log| span(model, log.directive, None))
}

fn unexplained(count: u64, path: &Path, hidden_by: Option<&ConfSpan>) -> Gap {
    let why = match hidden_by {
        Some(span) => format!(
            "no error line says it: {} ({}:{}) leaves out what nginx says at level error",
            span.text.trim_end_matches(';'),
            span.file.display(),
            span.line
        ),
        None => "no error line says it, and no error_log hides it: the application or a return answered so, or the error log of that time was moved away".to_owned(),
    };
    Gap::undecided(
        format!(
            "why {} got 502 or 504 ({})",
            counted(count, "request"),
            path.display()
        ),
        why,
    )
    .learn(format!("grep -E '\" 50[24] ' {}", path.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_log_level_that_hides_the_errors_is_named() {
        let host = |level: &str| {
            format!("
            //- nginx
            //- file /etc/nginx/nginx.conf
            error_log /var/log/nginx/error.log {level};
            http {{ access_log /var/log/nginx/access.log; server {{ location / {{ proxy_pass http://127.0.0.1:8000; }} }} }}
            //- file /var/log/nginx/error.log
            //- file /var/log/nginx/access.log
            192.0.2.7 - - [23/Jun/2026:14:04:00 +0000] \"GET / HTTP/1.1\" 502 150 \"-\" \"x\"
        ")
        };
        let said = |level: &str| {
            let diagnosis = crate::fixture::Fixture::parse(&host(level)).diagnose();
            diagnosis
                .gaps
                .iter()
                .map(|gap| gap.why.clone())
                .collect::<String>()
        };
        assert!(
            said("crit")
                .contains("error_log /var/log/nginx/error.log crit (/etc/nginx/nginx.conf:1)")
        );
        assert!(
            said("error").contains("no error_log hides it"),
            "{}",
            said("error")
        );
    }

    /// One site whose log hides its errors, beside one whose failure is explained.
    fn beside(selection: Option<&str>) -> (Vec<String>, Option<String>) {
        let mut fixture = crate::fixture::Fixture::parse("
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            server { server_name mute; error_log /var/log/nginx/mute.log crit; access_log /var/log/nginx/mute.access.log;
            location / { proxy_pass http://127.0.0.1:8001; } }
            server { server_name shop.example; access_log /var/log/nginx/shop.access.log; location / { proxy_pass http://127.0.0.1:8000; } }
            }
            //- file /var/log/nginx/mute.access.log
            192.0.2.7 - - [23/Jun/2026:14:04:50 +0000] \"GET / HTTP/1.1\" 502 150 \"-\" \"x\"
            //- file /var/log/nginx/shop.access.log
            192.0.2.7 - - [23/Jun/2026:14:04:55 +0000] \"GET / HTTP/1.1\" 502 150 \"-\" \"x\"
            //- failed 14:04:55 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ");
        fixture.options.selection = selection.map(|name| crate::Selection(name.to_owned()));
        let diagnosis = fixture.diagnose();
        let gaps = diagnosis.gaps.iter().map(|gap| gap.missing.to_string());
        (
            gaps.collect(),
            diagnosis.unexplained.map(|at| at.to_string()),
        )
    }

    #[test]
    fn failures_of_a_mute_site_are_told_beside_another_sites() {
        for (selection, is_told) in [
            (None, true),
            (Some("mute"), true),
            (Some("shop.example"), false),
        ] {
            let (gaps, last) = beside(selection);
            assert_eq!(last.is_some(), is_told, "{selection:?}: {gaps:?}");
            let is_named = gaps.iter().any(|gap| gap.contains("mute.access.log"));
            assert_eq!(is_named, is_told, "{selection:?}: {gaps:?}");
            assert!(
                !gaps.iter().any(|gap| gap.contains("shop.access.log")),
                "{gaps:?}"
            );
        }
    }

    #[test]
    fn what_failed_long_after_the_last_logged_failure_is_not_explained_by_it() {
        let told = |failed: &str| {
            let host = format!("
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {{ access_log /var/log/nginx/access.log; server {{ server_name shop.example; location / {{ proxy_pass http://127.0.0.1:8000; }} }} }}
            //- connect 127.0.0.1:8000 -> ok
            //- failed {failed} http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- file /var/log/nginx/access.log
            192.0.2.7 - - [23/Jun/2026:14:04:30 +0000] \"GET / HTTP/1.1\" 502 150 \"-\" \"x\"
            192.0.2.7 - - [23/Jun/2026:14:04:50 +0000] \"GET / HTTP/1.1\" 502 150 \"-\" \"x\"
        ");
            let diagnosis = crate::fixture::Fixture::parse(&host).diagnose();
            let mut gaps = diagnosis.gaps.iter().map(|gap| gap.missing.to_string());
            let told = gaps.find(|gap| gap.contains("got 502 or 504"));
            assert_eq!(told.is_some(), diagnosis.fails_unexplained());
            told
        };
        let one = "why 1 request got 502 or 504 (/var/log/nginx/access.log)";
        assert_eq!(told("14:04:30").as_deref(), Some(one));
        assert_eq!(told("14:04:48"), None);
    }

    #[test]
    fn when_the_last_unexplained_request_failed_is_told() {
        let host = |lines: &str| {
            let host = format!("
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {{ access_log /var/log/nginx/access.log; server {{ location / {{ proxy_pass http://127.0.0.1:8000; }} }} }}
            //- file /var/log/nginx/error.log
            //- file /var/log/nginx/access.log
{lines}");
            let diagnosis = crate::fixture::Fixture::parse(&host).diagnose();
            diagnosis.unexplained.map(|at| at.to_string())
        };
        let line = |time: &str, status: u16| {
            format!(
                "            192.0.2.7 - - [23/Jun/2026:{time} +0000] \"GET / HTTP/1.1\" {status} 150 \"-\" \"x\"\n"
            )
        };
        let lines = [
            line("13:50:00", 502),
            line("14:04:40", 504),
            line("14:04:50", 503),
            line("14:04:55", 200),
        ]
        .concat();
        assert_eq!(host(&lines).as_deref(), Some("2026-06-23T14:04:40Z"));
        assert_eq!(host(&line("14:04:55", 200)), None);
    }
}
