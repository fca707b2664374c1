//! What clients felt, where the access log tells: `$upstream_addr` and `$upstream_status` beside `$status`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bstr::ByteSlice as _;
use conf::{
    AccessLogs, Context, ContextId, ContextKind, Escape, LocationModifier, LogFormat, Model, Pass,
    Target,
};
use facts::{Exhibit, Gap, PeerAddress, counted};
use jiff::Timestamp;
use log::access::{Access, Format};
use log::error::Protocol;

use super::{Case, Instance, Site, known};
use crate::diagnosis::Impact;
use crate::incident::{Incident, Origin};

/// The newest part of an access log that is read: its stamps do not sort, so the window cannot be searched for.
pub(super) const ACCESS_LIMIT: u64 = 8 << 20;

/// Where `localhost` answered nginx.
pub(crate) enum LocalhostAnswered {
    /// Where the peer is dialled: something has listened there.
    WhereDialled,
    /// At its other address alone.
    Elsewhere(Exhibit),
    /// No access log tells.
    NotTold,
}

/// An access log that tells of upstreams.
struct Telling {
    path: PathBuf,
    format: Format,
}

impl Case {
    /// Who felt an incident; `None` where no access log tells of upstreams.
    pub(crate) fn impact(&self, incident: &Incident) -> Result<Option<Impact>, Gap> {
        // Each of its lines is a client's failed request.
        if incident.origin == Origin::AccessLog {
            return Ok(Some(Impact {
                requests: incident.count,
                failed: incident.count,
                ..Impact::default()
            }));
        }
        if self.is_mirrored(incident)? {
            return Ok(Some(Impact {
                requests: incident.count,
                mirrored: incident.count,
                ..Impact::default()
            }));
        }
        let key = format!("impact {} {}", incident.instance, incident.id);
        let impact = self.evidence.once(key, || {
            if self.is_asked_by_another(incident)? {
                return Ok(None);
            }
            let mut impact = Impact::default();
            let mut told = false;
            impact.is_partial = self.each_access(incident, |access| {
                told = true;
                if !tried(access, &incident.peer) {
                    return;
                }
                impact.requests += 1;
                match access.status() {
                    Some(502 | 504) => impact.failed += 1,
                    Some(status) if status < 500 && failed_at(access, &incident.peer) => {
                        match access.attempts().last() {
                            Some(last) if !is_failed(&last) => impact.rescued += 1,
                            _ => impact.replaced += 1,
                        }
                    }
                    _ => {}
                }
            })?;
            if told {
                return Ok((impact.requests > 0).then_some(impact));
            }
            if !self.no_client_failed(incident)? {
                return Ok(None);
            }
            let rescued = if self.only_another_peer_answers(incident)? {
                incident.count
            } else {
                0
            };
            Ok(Some(Impact {
                requests: incident.count,
                rescued,
                ..Impact::default()
            }))
        })?;
        Ok(*impact)
    }

    /// Whether another instance writes to the same access log and dials the same peer: whose requests its lines are, they
    /// do not tell.
    fn is_asked_by_another(&self, incident: &Incident) -> Result<bool, Gap> {
        let instance = self.instance(incident)?;
        for log in self.telling_logs(incident, &instance)?.iter() {
            for other in self.other_writers(incident.instance, &log.path)? {
                let of_it = Incident {
                    instance: other,
                    id: format!("{} {other}", incident.id),
                    ..incident.clone()
                };
                if self.settled(of_it)?.explained {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether all of the failing requests are copies that `mirror` made.
    fn is_mirrored(&self, incident: &Incident) -> Result<bool, Gap> {
        let requests = &incident.requests;
        if requests.are_partial || requests.has_clients_own || requests.paths.is_empty() {
            return Ok(false);
        }
        let Some(configured) = known(self.configured(incident.instance))? else {
            return Ok(false);
        };
        let model = &configured.model;
        let mirrors: Vec<_> = model
            .contexts()
            .iter()
            .flat_map(|context| model.own(context.id, "mirror"))
            .filter_map(|&at| model.arg(at, 0))
            .collect();
        let mut paths = requests.paths.values().flatten();
        Ok(paths.all(|path| mirrors.contains(&path.as_bstr())))
    }

    /// Whether a client that got no error was answered by another peer: there is one, and nothing else may answer.
    fn only_another_peer_answers(&self, incident: &Incident) -> Result<bool, Gap> {
        if !incident.requests.has_clients_own {
            return Ok(false);
        }
        let Some(configured) = known(self.configured(incident.instance))? else {
            return Ok(false);
        };
        let Some(sites) = known(self.asked_sites(incident))? else {
            return Ok(false);
        };
        let answers = |site: &Site| site.is_sole || substitutes(&configured.model, site.context);
        Ok(!sites.iter().any(answers))
    }

    /// That no client got 502 or 504 while it failed, from access logs of any format.
    fn no_client_failed(&self, incident: &Incident) -> Result<bool, Gap> {
        // What a part of a request does to the whole, as `mirror` or an include, its line does not tell.
        let is_part = || {
            let seen = incident.said(|event| event.subrequest.map(|_| event.outcome()));
            incident.status.is_none() && seen == Some(log::error::Seen::Unknown)
        };
        if !matches!(incident.status, Some(502 | 504)) && !is_part() {
            return Ok(false);
        }
        let instance = self.instance(incident)?;
        let Some(configured) = known(self.configured(incident.instance))? else {
            return Ok(false);
        };
        let Some(sites) = known(self.sites(incident))? else {
            return Ok(false);
        };
        let mut answered = 0;
        for site in sites.iter() {
            let logs = logs_of(&configured.model, &instance, site.context);
            if logs.is_empty() {
                return Ok(false);
            }
            for (path, format) in logs {
                let Some(bytes) = known(self.access_text(&instance, &path))? else {
                    return Ok(false);
                };
                let (first, last) = (
                    incident.first_seen.as_second(),
                    incident.last_seen.as_second() + 1,
                );
                let mut begins = None;
                for access in bytes.lines().filter_map(|line| format.parse(line)) {
                    begins = begins.or(access.time());
                    match (access.time(), access.status()) {
                        (Some(at), Some(status)) if (first..=last).contains(&at) => {
                            if matches!(status, 499..=599) {
                                return Ok(false);
                            }
                            answered += 1;
                        }
                        (Some(_), Some(_)) => {}
                        _ => return Ok(false),
                    }
                }
                if bytes.is_cut() && begins.is_none_or(|begins| begins >= first) {
                    return Ok(false);
                }
            }
        }
        // Fewer lines than failures: somebody was not logged.
        Ok(answered > 0)
    }

    /// A request that the peer answered itself at such a time (seconds since 1970), from the access log.
    pub(crate) fn answered(
        &self,
        incident: &Incident,
        when: &RangeInclusive<i64>,
    ) -> Result<Option<Exhibit>, Gap> {
        let key = format!("answered {} {when:?}", incident.id);
        let found = self.evidence.once(key, || {
            let mut found = None;
            self.each_access(incident, |access| {
                let by_peer = |attempt: &log::access::Attempt<'_>| {
                    attempt.addr.is_some_and(|addr| addr == incident.peer.as_bytes()) && attempt.header_time.is_some()
                };
                if let Some(attempt) = access.attempts().find(by_peer)
                    && found.is_none()
                    && access.time().is_some_and(|at| when.contains(&at))
                {
                    let time = attempt.response_time.or(attempt.header_time).unwrap_or_default();
                    found = Some(Exhibit::Record {
                        probe: "lines-since",
                        at: None,
                        text: format!(
                            "the access log shows that {} answered another request with {} after {time} ms",
                            incident.peer,
                            attempt.status.unwrap_or_default()
                        ),
                    });
                }
            })?;
            match found {
                Some(found) => Ok(Some(found)),
                None => self.answered_plainly(incident, when),
            }
        })?;
        Ok((*found).clone())
    }

    /// When the peer last answered a request, as far as an access log tells.
    pub(crate) fn last_answer(&self, incident: &Incident) -> Result<Option<Timestamp>, Gap> {
        let last = self
            .evidence
            .once(format!("last answer {}", incident.id), || {
                let mut last: Option<i64> = None;
                self.each_access(incident, |access| {
                    let is_answer = access.attempts().any(|attempt| {
                        attempt
                            .addr
                            .is_some_and(|addr| addr == incident.peer.as_bytes())
                            && attempt.header_time.is_some()
                    });
                    if is_answer {
                        last = last.max(access.time());
                    }
                })?;
                for (access, _) in self.plain_answers(incident, &(i64::MIN..=i64::MAX))? {
                    last = last.max(Some(access));
                }
                last = last.max(self.last_answer_to_the_same(incident)?);
                Ok(last.and_then(|second| Timestamp::from_second(second).ok()))
            })?;
        Ok(*last)
    }

    /// When a request that fails now was last answered well, by an access log of any format: then something answered
    /// where nginx dials. It takes a candidate's tie away, and proves nothing.
    fn last_answer_to_the_same(&self, incident: &Incident) -> Result<Option<i64>, Gap> {
        let instance = self.instance(incident)?;
        let Some(configured) = known(self.configured(incident.instance))? else {
            return Ok(None);
        };
        let Some(sites) = known(self.sites(incident))? else {
            return Ok(None);
        };
        let mut last = None;
        for site in sites.iter().filter(|site| site.is_sole) {
            for (path, format) in logs_of(&configured.model, &instance, site.context) {
                let Some(bytes) = known(self.access_text(&instance, &path))? else {
                    continue;
                };
                let answered =
                    bytes
                        .lines()
                        .filter_map(|line| format.parse(line))
                        .filter(|access| {
                            matches!(access.status(), Some(200..=399))
                                && access.request().and_then(super::logs::path_of).is_some_and(
                                    |path| incident.paths.contains(path.to_str_lossy().as_ref()),
                                )
                        });
                last = last.max(answered.filter_map(|access| access.time()).max());
            }
        }
        Ok(last)
    }

    /// At which addresses of `localhost` nginx was answered, as far as its access logs go back.
    pub(crate) fn localhost_answered(&self, incident: &Incident) -> Result<LocalhostAnswered, Gap> {
        let Some(PeerAddress::Tcp(dialled)) = incident.address else {
            return Ok(LocalhostAnswered::NotTold);
        };
        let ip = match dialled.ip() {
            IpAddr::V4(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
        };
        let other = SocketAddr::new(ip, dialled.port()).to_string();
        let (mut answers, mut is_own) = (0, false);
        self.each_access_since(incident, i64::MIN, |access| {
            for attempt in access.attempts() {
                let is_of = |peer: &str| attempt.addr.is_some_and(|addr| addr == peer.as_bytes());
                let answered = !matches!(attempt.status, None | Some(502 | 504));
                is_own |= answered && is_of(&incident.peer);
                answers += u32::from(is_of(&other) && matches!(attempt.status, Some(200..=399)));
            }
        })?;
        if is_own {
            return Ok(LocalhostAnswered::WhereDialled);
        }
        if answers == 0 {
            return Ok(LocalhostAnswered::NotTold);
        }
        Ok(LocalhostAnswered::Elsewhere(Exhibit::Record {
            probe: "lines-since",
            at: None,
            text: format!(
                "the directive says localhost, which is both addresses: the access log shows {} of {other}, and none of {}",
                counted(answers, "answer"),
                incident.peer
            ),
        }))
    }

    /// The same from a log that tells nothing of upstreams: one that only this peer's locations write to. A status that
    /// nginx does not make itself is then the peer's answer.
    fn answered_plainly(
        &self,
        incident: &Incident,
        when: &RangeInclusive<i64>,
    ) -> Result<Option<Exhibit>, Gap> {
        let answers = self.plain_answers(incident, when)?;
        Ok(answers.into_iter().next().map(|(_, text)| Exhibit::Record {
            probe: "lines-since",
            at: None,
            text,
        }))
    }

    /// The first and the last such answer of each log, in seconds since 1970, with its words.
    fn plain_answers(
        &self,
        incident: &Incident,
        when: &RangeInclusive<i64>,
    ) -> Result<Vec<(i64, String)>, Gap> {
        let mut first_and_last: BTreeMap<PathBuf, Vec<(i64, String)>> = BTreeMap::new();
        self.each_plain(incident, |path, at, access| {
            let status = access.status().unwrap_or_default();
            if !when.contains(&at) || !matches!(status, 200..=299) {
                return;
            }
            let text = format!(
                "{} has an answer {status}, and only {} is asked where it is written",
                path.display(),
                incident.peer
            );
            let of_log = first_and_last.entry(path.to_owned()).or_default();
            of_log.truncate(1);
            of_log.push((at, text));
        })?;
        Ok(first_and_last.into_values().flatten().collect())
    }

    /// Every line of the window in the logs that only this peer's locations write to, whatever their format.
    pub(super) fn each_plain(
        &self,
        incident: &Incident,
        mut take: impl FnMut(&Path, i64, &Access<'_>),
    ) -> Result<(), Gap> {
        let instance = self.instance(incident)?;
        let Some(configured) = known(self.configured(incident.instance))? else {
            return Ok(());
        };
        let Some(address) = &incident.address else {
            return Ok(());
        };
        let from = self.window_start().as_second();
        let writers = self.writers(incident.instance)?;
        let sole = |log: &&Writers| log.are_only_for(&configured.model, address, incident.protocol);
        for Writers { path, format, .. } in writers.iter().filter(sole) {
            let Some(bytes) = known(self.access_text(&instance, path))? else {
                continue;
            };
            for access in bytes.lines().filter_map(|line| format.parse(line)) {
                if let Some(at) = access.time().filter(|&at| at >= from) {
                    take(path, at, &access);
                }
            }
        }
        Ok(())
    }

    /// Whether a server of an upstream that had none left has answered since, by the access logs that tell it, or that
    /// hold the requests of this upstream alone.
    pub(crate) fn is_upstream_back(&self, incident: &Incident) -> Result<bool, Gap> {
        let since = incident.last_seen.as_second() + 1;
        let members = self.members(incident)?;
        // Servers that have all the connections they may answer these, and nginx turns others away meanwhile.
        if members.iter().any(|member| member.max_conns > 0) {
            return Ok(false);
        }
        let members: Vec<String> = members
            .iter()
            .flat_map(|member| &member.addresses)
            .map(ToString::to_string)
            .collect();
        let mut is_back = false;
        self.each_access_since(incident, since, |access| {
            is_back |= access.attempts().any(|attempt| {
                attempt.header_time.is_some()
                    && attempt
                        .addr
                        .is_some_and(|addr| members.iter().any(|member| addr == member.as_bytes()))
            });
        })?;
        Ok(is_back || self.is_upstream_back_plainly(incident, since)?)
    }

    /// The same by logs of any format: those that only locations of the upstream write to, and those in which the path tells
    /// the location.
    fn is_upstream_back_plainly(&self, incident: &Incident, since: i64) -> Result<bool, Gap> {
        let instance = self.instance(incident)?;
        let Some(configured) = known(self.configured(incident.instance))? else {
            return Ok(false);
        };
        let model = &configured.model;
        let passes_to_it = |id: &ContextId| {
            model
                .pass_in_force(*id)
                .and_then(|pass| match pass.target {
                    Target::Upstream(id) => model.upstream(id),
                    _ => None,
                })
                .is_some_and(|upstream| upstream.name == incident.peer.as_bytes())
        };
        for Writers {
            path,
            format,
            contexts,
        } in self.writers(incident.instance)?.iter()
        {
            let in_locations = contexts.iter().filter(|&&id| {
                model
                    .context(id)
                    .is_some_and(|context| context.kind == ContextKind::Location)
            });
            let is_its_own =
                in_locations.clone().count() > 0 && in_locations.clone().all(passes_to_it);
            if !is_its_own {
                continue;
            }
            let Some(bytes) = known(self.access_text(&instance, path))? else {
                continue;
            };
            let mut lines = bytes.lines().filter_map(|line| format.parse(line));
            if lines.any(|access| {
                matches!(access.status(), Some(200..=299))
                    && access.time().is_some_and(|at| at >= since)
            }) {
                return Ok(true);
            }
        }
        let Some(sites) = known(self.sites(incident))? else {
            return Ok(false);
        };
        let passes = sites.iter().map(|site| site.context).collect();
        self.is_answered_by_passes_in(incident, &passes, since)
    }

    /// Whether a request was answered well from a second on (since 1970) by one of these passes, given by the contexts they
    /// stand in: by an access log of any format that only servers write to in which the path tells the location.
    pub(super) fn is_answered_by_passes_in(
        &self,
        incident: &Incident,
        passes: &BTreeSet<ContextId>,
        since: i64,
    ) -> Result<bool, Gap> {
        let instance = self.instance(incident)?;
        let Some(configured) = known(self.configured(incident.instance))? else {
            return Ok(false);
        };
        let model = &configured.model;
        let passes: BTreeSet<ContextId> = passes
            .iter()
            .copied()
            .filter(|&id| is_answered_by_its_pass(model, id))
            .collect();
        for Writers {
            path,
            format,
            contexts,
        } in self.writers(incident.instance)?.iter()
        {
            if !contexts.iter().any(|id| passes.contains(id)) {
                continue;
            }
            let servers: BTreeSet<ContextId> = contexts
                .iter()
                .filter_map(|&id| Some(model.server_of(id)?.id))
                .collect();
            let Some(bytes) = known(self.access_text(&instance, path))? else {
                continue;
            };
            let is_good = |access: &Access<'_>| {
                matches!(access.status(), Some(200..=299))
                    && access.time().is_some_and(|at| at >= since)
            };
            let asked: BTreeSet<Vec<u8>> = bytes
                .lines()
                .filter_map(|line| format.parse(line))
                .filter(is_good)
                .filter_map(|access| {
                    super::locations::compared(super::logs::path_of(access.request()?)?)
                })
                .collect();
            let is_of_a_pass = |path: &Vec<u8>| {
                servers
                    .iter()
                    .all(|&server| answers_well_only_in(model, server, path, &passes))
            };
            if asked.iter().any(is_of_a_pass) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The access logs of an instance with those who write to them.
    fn writers(&self, idx: usize) -> Result<Rc<Vec<Writers>>, Gap> {
        self.evidence.once(format!("writers {idx}"), || {
            let instances = self.instances()?;
            let (Some(instance), Some(configured)) =
                (instances.get(idx), known(self.configured(idx))?)
            else {
                return Ok(Vec::new());
            };
            Ok(writers_of(&configured.model, instance))
        })
    }

    /// Every request of the window that the peer answered well, as far as access logs tell.
    pub(super) fn each_answer(
        &self,
        incident: &Incident,
        mut take: impl FnMut(&Access<'_>),
    ) -> Result<(), Gap> {
        let is_answer = |access: &Access<'_>| {
            access.attempts().any(|attempt| {
                attempt
                    .addr
                    .is_some_and(|addr| addr == incident.peer.as_bytes())
                    && attempt.header_time.is_some()
                    && matches!(attempt.status, Some(200..=499))
            })
        };
        let instance = self.instance(incident)?;
        let telling = self.telling_logs(incident, &instance)?;
        let is_telling = |path: &Path| telling.iter().any(|log| log.path == path);
        self.each_access(incident, |access| {
            if is_answer(access) {
                take(access);
            }
        })?;
        self.each_plain(incident, |path, _, access| {
            let is_taken = is_telling(path) && is_answer(access);
            if matches!(access.status(), Some(200..=299)) && !is_taken {
                take(access);
            }
        })
    }

    /// Every line of the window in the access logs of the places that dial the peer; whether older lines of the window were
    /// left out.
    pub(super) fn each_access(
        &self,
        incident: &Incident,
        take: impl FnMut(&Access<'_>),
    ) -> Result<bool, Gap> {
        self.each_access_since(incident, self.window_start().as_second(), take)
    }

    /// The same from a time on (seconds since 1970): whether a log was cut before that time was reached.
    fn each_access_since(
        &self,
        incident: &Incident,
        from: i64,
        mut take: impl FnMut(&Access<'_>),
    ) -> Result<bool, Gap> {
        let instance = self.instance(incident)?;
        let logs = self.telling_logs(incident, &instance)?;
        let texts: Vec<_> = logs
            .iter()
            .map(|log| self.access_text(&instance, &log.path))
            .collect();
        let mut is_cut = false;
        for (log, text) in logs.iter().zip(texts) {
            let Some(bytes) = known(text)? else {
                continue;
            };
            let mut begins = None;
            for line in bytes.lines() {
                let Some(access) = log.format.parse(line) else {
                    continue;
                };
                let Some(at) = access.time() else {
                    continue;
                };
                begins.get_or_insert(at);
                if at >= from {
                    take(&access);
                }
            }
            is_cut |= bytes.is_cut() && begins.is_none_or(|begins| begins >= from);
        }
        Ok(is_cut)
    }

    fn telling_logs(
        &self,
        incident: &Incident,
        instance: &Instance,
    ) -> Result<Rc<Vec<Telling>>, Gap> {
        self.evidence
            .once(format!("telling logs {}", incident.id), || {
                let Some(configured) = known(self.configured(incident.instance))? else {
                    return Ok(Vec::new());
                };
                let Some(sites) = known(self.sites(incident))? else {
                    return Ok(Vec::new());
                };
                let model = &configured.model;
                let spoken_otherwise = logs_of_other_protocols(model, incident, instance);
                let mut logs: Vec<Telling> = Vec::new();
                for site in sites.iter() {
                    let AccessLogs::To(targets) = model.access_logs(site.context) else {
                        continue;
                    };
                    for target in targets {
                        let (Some(path), Some(format)) = (
                            target.sink.path(&instance.prefix),
                            model.log_format(target.format.as_bstr()),
                        ) else {
                            continue;
                        };
                        // Its lines do not tell in which protocol the peer answered.
                        if spoken_otherwise.contains(&path) {
                            continue;
                        }
                        if !logs.iter().any(|log| log.path == path)
                            && let Some(format) = telling(format)
                        {
                            logs.push(Telling { path, format });
                        }
                    }
                }
                Ok(logs)
            })
    }
}

/// The access logs of the places that dial the incident's peer in another protocol.
fn logs_of_other_protocols(
    model: &Model,
    incident: &Incident,
    instance: &Instance,
) -> BTreeSet<PathBuf> {
    let (Some(address), Some(protocol)) = (&incident.address, incident.protocol) else {
        return BTreeSet::new();
    };
    let dialers = model.dialers(&super::config::as_conf(address));
    let others = dialers
        .iter()
        .filter(|dialer| dialer.pass.protocol.scheme() != protocol.as_str());
    others
        .flat_map(|dialer| named_logs(model, instance, dialer.pass.context))
        .map(|(path, _)| path)
        .collect()
}

/// The access logs that are written at a place, with their formats; none where one of them is no file.
pub(super) fn logs_of(
    model: &Model,
    instance: &Instance,
    context: ContextId,
) -> Vec<(PathBuf, Format)> {
    named_logs(model, instance, context)
        .into_iter()
        .map(|(path, format)| (path, format.map_or_else(Format::combined, compiled)))
        .collect()
}

/// The same with the formats as the configuration has them; none for nginx's own.
pub(super) fn named_logs<'m>(
    model: &'m Model,
    instance: &Instance,
    context: ContextId,
) -> Vec<(PathBuf, Option<&'m conf::LogFormat>)> {
    match model.access_logs(context) {
        AccessLogs::To(targets) => {
            let named = targets.iter().filter_map(|target| {
                Some((
                    target.sink.path(&instance.prefix)?,
                    Some(model.log_format(target.format.as_bstr())?),
                ))
            });
            named.collect()
        }
        AccessLogs::Default => vec![(instance.default_access_log.clone(), None)],
        AccessLogs::Off => Vec::new(),
    }
}

/// An access log with its format, and the servers and locations that write to it.
struct Writers {
    path: PathBuf,
    format: Format,
    contexts: Vec<ContextId>,
}

impl Writers {
    /// Whether the log is written only where every request goes to this one peer.
    ///
    /// An error page, a `return` or a `try_files` could answer in its place, so servers with one do not count.
    fn are_only_for(&self, model: &Model, peer: &PeerAddress, protocol: Option<Protocol>) -> bool {
        let mut contexts = self.contexts.iter().filter_map(|&id| model.context(id));
        contexts.all(|context| answers_only_by(model, context, peer, protocol))
    }
}

fn writers_of(model: &Model, instance: &Instance) -> Vec<Writers> {
    let mut logs: Vec<Writers> = Vec::new();
    let mut idx_of: HashMap<PathBuf, usize> = HashMap::new();
    for context in model.servers().chain(model.locations()) {
        for (path, format) in named_logs(model, instance, context.id) {
            let idx = *idx_of.entry(path.clone()).or_insert_with(|| {
                logs.push(Writers {
                    path,
                    format: format.map_or_else(Format::combined, compiled),
                    contexts: Vec::new(),
                });
                logs.len() - 1
            });
            if let Some(log) = logs.get_mut(idx) {
                log.contexts.push(context.id);
            }
        }
    }
    logs
}

/// Whether a condition decides who answers: in an `if` or `limit_except` of the context or of one around it.
fn is_conditional(model: &Model, context: &Context) -> bool {
    let decides = |id: &ContextId| {
        model
            .context(*id)
            .is_some_and(|child| matches!(child.kind, ContextKind::If | ContextKind::LimitExcept))
    };
    context.children.iter().any(decides)
        || context
            .parent
            .and_then(|id| model.context(id))
            .is_some_and(|parent| is_conditional(model, parent))
}

/// Whether each request that a server or location takes is answered by this peer or by an error of nginx's.
fn answers_only_by(
    model: &Model,
    context: &Context,
    peer: &PeerAddress,
    protocol: Option<Protocol>,
) -> bool {
    const OTHER_ANSWERS: [&str; 12] = [
        "access_by_lua_block",
        "access_by_lua_file",
        "rewrite_by_lua_block",
        "rewrite_by_lua_file",
        "error_page",
        "return",
        "rewrite",
        "try_files",
        "proxy_cache",
        "fastcgi_cache",
        "uwsgi_cache",
        "stub_status",
    ];
    if OTHER_ANSWERS
        .iter()
        .any(|name| !model.in_force(context.id, name).is_empty())
        || is_conditional(model, context)
    {
        return false;
    }
    if context.kind == ContextKind::Server {
        // A server answers by itself what no location takes.
        return context
            .children
            .iter()
            .filter_map(|&id| model.context(id))
            .any(|location| {
                model
                    .location_pattern(location.id)
                    .is_some_and(|(modifier, pattern)| {
                        pattern == "/"
                            && matches!(
                                modifier,
                                LocationModifier::Prefix | LocationModifier::PrefixFinal
                            )
                    })
            });
    }
    model
        .dialers(&super::config::as_conf(peer))
        .iter()
        .any(|dialer| {
            model.pass_in_force(context.id).is_some_and(|pass| {
                pass.directive == dialer.pass.directive
                    && protocol.is_none_or(|spoken| pass.protocol.scheme() == spoken.as_str())
                    && only_peer(model, pass)
            })
        })
}

/// Whether what is answered well in the context of a pass is answered by that pass: nothing else in force there may.
fn is_answered_by_its_pass(model: &Model, pass: ContextId) -> bool {
    const OTHERS: [&str; 11] = [
        "access_by_lua_block",
        "access_by_lua_file",
        "rewrite_by_lua_block",
        "rewrite_by_lua_file",
        "return",
        "try_files",
        "proxy_cache",
        "fastcgi_cache",
        "uwsgi_cache",
        "scgi_cache",
        "stub_status",
    ];
    let is_other = |name: &&str| !model.in_force(pass, name).is_empty();
    !OTHERS.iter().any(is_other)
        && !substitutes(model, pass)
        && model
            .context(pass)
            .is_some_and(|context| !is_conditional(model, context))
}

/// Whether a server that answers a request for a path well does it in one of these locations.
fn answers_well_only_in(
    model: &Model,
    server: ContextId,
    path: &[u8],
    locations: &BTreeSet<ContextId>,
) -> bool {
    let turns_away = |at: &conf::DirectiveRef| {
        let status = model.arg(*at, 0).unwrap_or_default();
        matches!(status.first(), Some(b'3'..=b'5')) && status.len() == 3
    };
    if model.own(server, "return").iter().any(turns_away) {
        return true;
    }
    let location = model.location_for(server, path).ok();
    location.is_some_and(|location| locations.contains(&location))
        && model.possible_locations(server, path).is_ok()
}

/// Whether a pass leads to one address alone.
fn only_peer(model: &Model, pass: &Pass) -> bool {
    match &pass.target {
        Target::Address(address) => address.literal().is_some(),
        Target::Upstream(id) => model
            .upstream(*id)
            .is_some_and(|upstream| upstream.servers.len() == 1),
        Target::Variable { .. } | Target::Unreadable(_) => false,
    }
}

pub(super) fn compiled(format: &LogFormat) -> Format {
    let escape = match format.escape {
        Escape::Default => log::access::Escape::Default,
        Escape::Json => log::access::Escape::Json,
        Escape::None => log::access::Escape::None,
    };
    Format::compile(&format.template, escape)
}

fn telling(format: &LogFormat) -> Option<Format> {
    let compiled = compiled(format);
    let has = |wanted: &str| compiled.variables().any(|variable| variable == wanted);
    (has("upstream_addr") && has("upstream_status") && has("status")).then_some(compiled)
}

/// Whether a request tried the peer.
fn tried(access: &Access<'_>, peer: &str) -> bool {
    access
        .attempts()
        .any(|attempt| attempt.addr.is_some_and(|addr| addr == peer.as_bytes()))
}

/// Whether its attempt at the peer failed.
fn failed_at(access: &Access<'_>, peer: &str) -> bool {
    access.attempts().any(|attempt| {
        attempt.addr.is_some_and(|addr| addr == peer.as_bytes()) && is_failed(&attempt)
    })
}

fn is_failed(attempt: &log::access::Attempt<'_>) -> bool {
    matches!(attempt.status, Some(502 | 504))
}

/// Whether something may answer in place of a peer that failed, with another status: `error_page ... =`, a stale copy.
fn substitutes(model: &Model, context: ContextId) -> bool {
    let replaces = |at: &conf::DirectiveRef| {
        let args = model.args(*at);
        args.iter().any(|arg| arg.starts_with(b"="))
    };
    let is_stale = |module: &str| {
        model
            .value_in_force(context, &format!("{module}_cache_use_stale"))
            .is_some_and(|(value, _)| value != "off")
    };
    model.in_force(context, "error_page").iter().any(replaces)
        || ["proxy", "fastcgi", "uwsgi", "scgi"]
            .into_iter()
            .any(is_stale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    /// Who felt that 127.0.0.1:8000 refused a request, by a server's directives, an access log's format and its line.
    fn felt(server: &str, format: &str, access: &str, subrequest: &str) -> Impact {
        let host = format!(
            "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {{
            upstream shop {{ server 127.0.0.1:8000; server 127.0.0.1:8001; }}
            log_format told '$status {format}[$time_iso8601]';
            access_log /var/log/nginx/access.log told;
            server {{ server_name shop.example; {server} }}
            }}
            //- logged 14:04:30
            connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: shop.example, request: \"GET / HTTP/1.1\"{subrequest}, upstream: \"http://127.0.0.1:8000/\", host: \"shop.example\"
            //- file /var/log/nginx/access.log
            {access}[2026-06-23T14:04:30+00:00]
        "
        )
        .replace("//- logged 14:04:30\n", "//- logged 14:04:30 bare\n");
        let diagnosis = Fixture::parse(&host).diagnose();
        assert_eq!(diagnosis.incidents.len(), 1);
        diagnosis.incidents[0].impact.unwrap()
    }

    fn impact(failed: u64, rescued: u64, replaced: u64, mirrored: u64) -> Impact {
        Impact {
            requests: 1,
            failed,
            rescued,
            replaced,
            mirrored,
            is_partial: false,
        }
    }

    const UPSTREAM: &str = "$upstream_addr; $upstream_status ";
    const PLAIN: &str = "location / { proxy_pass http://shop; }";

    #[test]
    fn who_answered_is_told_by_the_last_attempt() {
        for (access, felt_by) in [
            ("502 127.0.0.1:8000; 502 ", impact(1, 0, 0, 0)),
            (
                "200 127.0.0.1:8000, 127.0.0.1:8001; 502, 200 ",
                impact(0, 1, 0, 0),
            ),
            (
                "200 127.0.0.1:8000 : 127.0.0.1:9000; 502 : 200 ",
                impact(0, 1, 0, 0),
            ),
            ("200 127.0.0.1:8000; 502 ", impact(0, 0, 1, 0)),
            (
                "200 127.0.0.1:8000, 127.0.0.1:8001; 502, 504 ",
                impact(0, 0, 1, 0),
            ),
        ] {
            assert_eq!(felt(PLAIN, UPSTREAM, access, ""), felt_by, "{access}");
        }
    }

    #[test]
    fn counts_of_a_log_that_was_cut_are_at_least_so_many() {
        let nginx = "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
            log_format told '$status $upstream_addr; $upstream_status [$time_iso8601]';
            access_log /var/log/nginx/access.log told;
            server { location / { proxy_pass http://127.0.0.1:8000; } }
            }
            //- failed 14:04:30 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ";
        let partial = |first: &str| {
            let log = format!(
                "
            //- file /var/log/nginx/access.log cut
            502 127.0.0.1:8000; 502 [{first}+00:00]
            502 127.0.0.1:8000; 502 [2026-06-23T14:04:30+00:00]
                "
            );
            let diagnosis = Fixture::parse(&[nginx, &log].concat()).diagnose();
            let impact = diagnosis.incidents[0].impact.unwrap();
            (impact.failed, impact.is_partial)
        };
        assert_eq!(partial("2026-06-23T14:04:29"), (2, true));
        // What is left out is older than the window.
        assert_eq!(partial("2026-06-23T12:00:00"), (1, false));
    }

    #[test]
    fn another_peer_is_named_only_where_nothing_else_may_answer() {
        for (server, felt_by) in [
            (PLAIN, impact(0, 1, 0, 0)),
            (
                "error_page 502 = /other; location / { proxy_pass http://shop; }",
                impact(0, 0, 0, 0),
            ),
            (
                "location / { proxy_cache_use_stale error; proxy_pass http://shop; }",
                impact(0, 0, 0, 0),
            ),
            (
                "location / { proxy_pass http://127.0.0.1:8000; }",
                impact(0, 0, 0, 0),
            ),
        ] {
            assert_eq!(felt(server, "", "200 ", ""), felt_by, "{server}");
        }
    }

    #[test]
    fn clients_do_not_see_what_mirror_copies() {
        let server = "
            location / { mirror /copy; proxy_pass http://127.0.0.1:9000; }
            location = /copy { internal; proxy_pass http://shop; }
        ";
        let subrequest = ", subrequest: \"/copy\"";
        assert_eq!(felt(server, "", "200 ", subrequest), impact(0, 0, 0, 1));
        let other = ", subrequest: \"/check\"";
        assert_eq!(felt(server, "", "200 ", other), impact(0, 0, 0, 0));
    }
}
