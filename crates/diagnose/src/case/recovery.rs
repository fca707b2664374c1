//! Whether what failed is over.
//!
//! It is, as soon as something shows it: the failing act succeeds when it is tried again, nginx dials elsewhere, or an
//! access log has the requests that failed answered well. Where nothing shows it, a minute without a failure does.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use bstr::ByteSlice as _;
use conf::{Pass, Target};
use facts::{Gap, PeerAddress};
use jiff::Timestamp;
use log::access::Access;
use log::error::{Class, Protocol, While};

use super::network::{RECENT_SECONDS, Repeated};
use super::{Case, Component, Drift, known, of_each};
use crate::diagnosis::{RunningConfig, Standing};
use crate::incident::{Incident, Origin};

/// What fails under load, and not while there is little: a few requests that are answered show no end of it.
const SCARCE: [Class; 9] = [
    Class::FdExhaustion,
    Class::WorkerConnections,
    Class::EphemeralPorts,
    Class::AddressInUse,
    Class::UnixBacklogFull,
    Class::NoBuffers,
    Class::OutOfMemory,
    Class::LocalSocketSetup,
    Class::NoLiveUpstreams,
];

/// What hangs on no single client: any client's request will do.
const ANYBODYS: [Class; 4] = [
    Class::ReadTimeout,
    Class::TlsHandshake,
    Class::TlsVerify,
    Class::TlsVerifyName,
];

/// Of many requests that failed, so many that are answered tell of all.
const FEW: usize = 3;

/// Requests that failed, of which more are not looked for.
const MOST: usize = 64;

/// What follows it says who asked: no request line holds it.
const WHO: u8 = b'\n';

/// What makes two requests one and the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alike {
    /// Method, path and query: by another method or with another query it is another request.
    Asked,
    /// The client too, as far as a log tells: a failure may hang on what it sends, such as its cookies.
    AskedByOne,
}

impl Alike {
    fn of(incident: &Incident) -> Self {
        if is_one_of(incident, &ANYBODYS) {
            Self::Asked
        } else {
            Self::AskedByOne
        }
    }

    fn request(self, access: &Access<'_>) -> Option<Vec<u8>> {
        let request = access.request()?;
        let asked = request.rsplit_once_str(" HTTP/");
        let mut alike = asked
            .map_or(request.as_bytes(), |(asked, _)| asked)
            .to_vec();
        if self == Self::AskedByOne {
            for part in [access.remote_addr(), access.get("http_referer")] {
                alike.push(WHO);
                alike.extend(part.unwrap_or_default().iter());
            }
        }
        Some(alike)
    }
}

/// What access logs tell of the requests that failed.
#[derive(Default)]
struct Answers {
    /// Those answered well after the last failure.
    since: BTreeSet<Vec<u8>>,
    /// Whether one was answered well between two failures: what fails now and then is not over after a success.
    is_now_and_then: bool,
    /// Good answers to anybody's requests for the same before the first failure, between the failures, and after the last.
    before: u32,
    between: u32,
    after: u32,
}

impl Answers {
    /// So many good answers in a row that a fault which comes by chance, as often as it did, would have come again among
    /// them, but for one time in twenty.
    ///
    /// How often it comes is taken from `failures` and from the requests for the same that were answered while it lasted;
    /// of a single failure from those before it, unless another program answered them. As of so few cases nobody knows a
    /// rate, it is Laplace's: (failures + 1) / (failures + answers + 2). After 1 failure 3 answers are enough, after 3
    /// failures in a row 2, after 19 a single one; after 1 failure that followed 9 answers it takes 17.
    fn enough(&self, failures: u32, is_new_program: bool) -> u32 {
        const DOUBT: f64 = 0.05;
        let answers = match failures {
            0 | 1 if is_new_program => 0,
            0 | 1 => self.before,
            _ => self.between,
        };
        let rate = (f64::from(failures) + 1.0) / (f64::from(failures) + f64::from(answers) + 2.0);
        let (mut enough, mut chance) = (1, 1.0 - rate);
        while chance > DOUBT && enough < u32::MAX {
            chance *= 1.0 - rate;
            enough += 1;
        }
        enough
    }
}

impl Case {
    /// Whether the failing act still fails.
    pub(crate) fn is_ongoing(&self, incident: &Incident) -> bool {
        self.standing(incident).is_ongoing()
    }

    /// Whether the failing act still fails. For a failure while connecting the repeated connection decides; for a later
    /// one, and where nothing may be sent, a failure in the last minute does, unless an access log shows that such requests
    /// are answered since. What ends and comes back again and again goes on failing while it is up.
    pub(crate) fn standing(&self, incident: &Incident) -> Standing {
        if matches!(incident.origin, Origin::Host | Origin::Experiment) {
            return Standing::Failing;
        }
        // Clients that leave are told of; no upstream fails.
        if incident.is(Class::ClientAbort) {
            return Standing::Over;
        }
        if incident.is(Class::Dns) {
            let unresolved = self.is_unresolved(incident);
            return unresolved.map_or_else(|_| self.by_time(incident), failing_if);
        }
        if self.dials_no_more(incident).unwrap_or(false) {
            let dead = self.dead_in_its_place(incident).unwrap_or_default();
            return if !dead.is_empty() {
                Standing::Failing
            } else if incident.explained {
                // It is dialled, and answers in another protocol.
                Standing::Over
            } else {
                Standing::Undialled
            };
        }
        if self.may_dial_no_more(incident).unwrap_or(false) {
            let is_led_away = self.is_led_away(incident).unwrap_or(false);
            return self.by_time_unless(is_led_away, incident);
        }
        if self.is_in_a_loop(incident) {
            return Standing::Recent;
        }
        // Whether nginx is within its own limits, or may use the address that `proxy_bind` gives, a connection of somebody
        // else does not tell.
        let is_limit = is_one_of(
            incident,
            &[
                Class::FdExhaustion,
                Class::WorkerConnections,
                Class::ProxyBind,
            ],
        );
        if incident.action == Some(While::ConnectingToUpstream) && !is_limit {
            match self.repeated(incident) {
                Ok(Repeated::Same(_)) => return Standing::Failing,
                // What fails otherwise now may be another fault, after this one was mended.
                Ok(Repeated::Other(..) | Repeated::Silent(_)) => {
                    return failing_if(!self.is_answered_since(incident).unwrap_or(false));
                }
                // A port may come free for this one.
                Ok(Repeated::Succeeds) if incident.is(Class::EphemeralPorts) => {}
                Ok(Repeated::Succeeds) => return self.connected(incident),
                Err(_) => {}
            }
        }
        if incident.is(Class::NoLiveUpstreams)
            && (self.is_upstream_back(incident).unwrap_or(false)
                || self.is_a_server_back(incident).unwrap_or(false))
        {
            return Standing::Over;
        }
        let is_mended = self.may_be_kept_again(incident).unwrap_or(false)
            || self.is_answered_since(incident).unwrap_or(false);
        self.by_time_unless(is_mended, incident)
    }

    /// Of a peer that a connection reaches again. The kernel alone connects to what is stopped, and to what will not answer.
    fn connected(&self, incident: &Incident) -> Standing {
        let comes_and_goes = matches!(self.comes_and_goes(incident), Ok(Some(_)));
        let reached = known(self.listener_of(incident)).ok().flatten();
        if reached.is_some_and(|reached| reached.stopped().is_some()) {
            return Standing::Failing;
        }
        if comes_and_goes {
            return Standing::Recent;
        }
        let since = incident.last_seen.as_second() + 1;
        match self.answered(incident, &(since..=i64::MAX)) {
            Ok(Some(_)) => Standing::Over,
            Ok(None) | Err(_) => Standing::Connects,
        }
    }

    /// Where nothing but the time since the last failure tells.
    fn by_time(&self, incident: &Incident) -> Standing {
        if self.is_recent(incident) {
            Standing::Recent
        } else {
            Standing::Quiet
        }
    }

    fn by_time_unless(&self, is_over: bool, incident: &Incident) -> Standing {
        if is_over {
            Standing::Over
        } else {
            self.by_time(incident)
        }
    }

    /// Whether it failed in the last minute of the window.
    pub(crate) fn is_recent(&self, incident: &Incident) -> bool {
        self.now().as_second() - incident.last_seen.as_second() <= RECENT_SECONDS
    }

    /// Whether the peer answers where the files have nginx speak another protocol to it than the failing requests were
    /// spoken in, since the workers started.
    pub(super) fn is_answered_in_another_protocol(&self, incident: &Incident) -> Result<bool, Gap> {
        let configured = self.configured(incident.instance)?;
        let sites = self.sites(incident)?;
        let since = self.first_second_of_the_workers(incident)?;
        let in_protocol = |spoken: &Protocol| Incident {
            id: format!("{} in {}", incident.id, spoken.as_str()),
            protocol: Some(*spoken),
            ..incident.clone()
        };
        let is_spoken = |spoken: &&Protocol| {
            let mut sites = sites.iter();
            sites.any(|site| site.protocol.scheme() == spoken.as_str())
        };
        let spoken = Protocol::ALL.iter().filter(is_spoken);
        let answers = of_each(spoken, |spoken| {
            self.answered(&in_protocol(spoken), &(since..=i64::MAX))
        })?;
        if answers.iter().any(Option::is_some) {
            return Ok(true);
        }
        // Of several servers another one may have answered.
        let is_to_one = |pass: &&Pass| match &pass.target {
            Target::Address(_) => true,
            Target::Upstream(id) => {
                let upstream = configured.model.upstream(*id);
                upstream.is_some_and(|upstream| upstream.servers.len() == 1)
            }
            Target::Variable { .. } | Target::Unreadable(_) => false,
        };
        let passes = configured.model.passes().iter().filter(is_to_one);
        let passes = passes
            .map(|pass| pass.context)
            .filter(|&context| sites.iter().any(|site| site.context == context))
            .collect();
        self.is_answered_by_passes_in(incident, &passes, since)
    }

    /// Whether every name that may have led nginx to the peer leads elsewhere now, and nginx is answered there since its
    /// workers started: it looks a name up when it loads its configuration.
    fn is_led_away(&self, incident: &Incident) -> Result<bool, Gap> {
        let Some(PeerAddress::Tcp(old)) = &incident.address else {
            return Ok(false);
        };
        let instance = self.instance(incident)?;
        if incident.explained
            || self.draining_writer(incident)?.is_some()
            || self.run_time_giver(incident)?.is_some()
            || self.running_config(incident.instance, &instance) != RunningConfig::Current
        {
            return Ok(false);
        }
        let names = self.names_dialled(incident)?;
        let now = of_each(&names, |named| self.look_up(incident.instance, &named.name))?;
        let is_elsewhere = |ips: &Vec<IpAddr>| !ips.is_empty() && !ips.contains(&old.ip());
        if names.is_empty() || !now.iter().all(is_elsewhere) {
            return Ok(false);
        }
        let answered = of_each(names.iter().zip(&now), |(named, ips)| {
            self.is_answered_at_the_name(incident, &named.name, (ips, old.port()))
        })?;
        Ok(answered.iter().all(|answered| *answered))
    }

    /// Whether nginx is answered at one of a name's addresses since its workers started.
    fn is_answered_at_the_name(
        &self,
        incident: &Incident,
        name: &str,
        (ips, port): (&[IpAddr], u16),
    ) -> Result<bool, Gap> {
        let since = self.first_second_of_the_workers(incident)?;
        let at = |ip: &IpAddr| {
            let peer = SocketAddr::new(*ip, port);
            Incident {
                id: format!("{} at {peer}", incident.id),
                peer: peer.to_string(),
                address: Some(PeerAddress::Tcp(peer)),
                ..incident.clone()
            }
        };
        let answers = of_each(ips, |ip| self.answered(&at(ip), &(since..=i64::MAX)))?;
        if answers.iter().any(Option::is_some) {
            return Ok(true);
        }
        let configured = self.configured(incident.instance)?;
        let model = &configured.model;
        let is_there = |address: &conf::Address| {
            matches!(address, conf::Address::Tcp { host, port: dialled }
                if *dialled == port && host.name().is_some_and(|host| host.eq_ignore_ascii_case(name)))
        };
        let leads_there = |dialer: &conf::Dialer<'_>| match &dialer.pass.target {
            Target::Address(address) => is_there(address),
            Target::Upstream(id) => model.upstream(*id).is_some_and(|upstream| {
                let mut lines = upstream.servers.iter();
                lines.all(|line| line.address.as_ref().is_some_and(is_there))
            }),
            Target::Variable { .. } | Target::Unreadable(_) => false,
        };
        let dialers = model.dialers_of_name(name);
        let there = dialers.iter().filter(|dialer| leads_there(dialer));
        let passes = there.map(|dialer| dialer.pass.context).collect();
        self.is_answered_by_passes_in(incident, &passes, since)
    }

    /// The first second since 1970 in which no worker answered that had failed.
    fn first_second_of_the_workers(&self, incident: &Incident) -> Result<i64, Gap> {
        let after = incident.last_seen.as_second() + 1;
        let since = self.instance(incident)?.workers_since();
        Ok(since.map_or(after, |since| since.as_second().max(after)))
    }

    /// Whether a server of an upstream that had none left is tried again, and may answer: all that failed at one of its
    /// addresses is over, and has been for its `fail_timeout` (`ngx_http_upstream_get_peer`,
    /// ngx_http_upstream_round_robin.c).
    fn is_a_server_back(&self, incident: &Incident) -> Result<bool, Gap> {
        if !matches!(self.drift(incident.instance)?, Drift::None(_)) {
            return Ok(false);
        }
        let members = self.members(incident)?;
        // Servers that have all the connections they may have turn others away without having failed.
        if members.iter().any(|member| member.max_conns > 0) {
            return Ok(false);
        }
        let facts = self.log_facts(incident.instance)?;
        let addresses = members
            .iter()
            .filter(|member| !member.down)
            .flat_map(|member| {
                member
                    .addresses
                    .iter()
                    .map(move |address| (member, address))
            });
        let now = self.now().as_second();
        let is_back: Vec<bool> = addresses
            .map(|(member, address)| {
                let pause = i64::try_from(member.fail_timeout.as_secs()).unwrap_or(i64::MAX);
                let until =
                    |other: &Incident| other.last_seen.as_second().saturating_add(pause) + 1;
                // All of them are asked for before any decides.
                let over: Vec<bool> = facts
                    .incidents
                    .iter()
                    .filter(|other| other.address.as_ref() == Some(address))
                    .map(|other| !self.is_ongoing(other) && until(other) < now)
                    .collect();
                !over.is_empty() && over.iter().all(|over| *over)
            })
            .collect();
        Ok(is_back.contains(&true))
    }

    /// Whether nginx may write again where it was kept from writing a temporary file: what kept it away is gone, and has
    /// been changed since. Room that was short proves nothing: what is freed now is filled again by what is kept next.
    fn may_be_kept_again(&self, incident: &Incident) -> Result<bool, Gap> {
        if !is_one_of(incident, &[Class::TempPath, Class::TempFileIo]) {
            return Ok(false);
        }
        let Some(file) = incident.quoted_path() else {
            return Ok(false);
        };
        let walk = self.walk_as_worker(incident, &file)?;
        match incident.errno {
            Some(13) => {
                // Where owner and mode are not all that decides, they show nothing.
                if self.is_confined(incident)? {
                    return Ok(false);
                }
                let worker = self.worker_identity(incident)?;
                let is_changed = |directory: Component| directory.changed >= incident.last_seen;
                Ok(worker.kept_from_making(&walk)?.is_empty()
                    && walk
                        .components()
                        .filter(Component::is_directory)
                        .any(is_changed))
            }
            Some(2) => Ok(walk.missing().is_none_or(|missing| missing == file)),
            _ => Ok(false),
        }
    }

    /// Whether SELinux or AppArmor may keep nginx's workers from what owner and mode let them do.
    fn is_confined(&self, incident: &Incident) -> Result<bool, Gap> {
        let Some(worker) = self.instance(incident)?.worker() else {
            return Ok(true);
        };
        // As the kernel has it of a process that no module confines, and of a kernel that has none.
        let confined = known(self.confinement_of(worker))?;
        Ok(confined.is_some_and(|confined| !confined.is_empty() && confined != "unconfined"))
    }

    /// Whether the requests that failed are answered well by the same peer since, and none was between the failures.
    fn is_answered_since(&self, incident: &Incident) -> Result<bool, Gap> {
        let key = format!("answered since {}", incident.id);
        let is_answered = self
            .evidence
            .once(key, || self.do_answers_show_an_end(incident))?;
        Ok(*is_answered)
    }

    fn do_answers_show_an_end(&self, incident: &Incident) -> Result<bool, Gap> {
        if !self.do_answers_tell(incident)? {
            return Ok(false);
        }
        let alike = Alike::of(incident);
        let failed = self.failed_requests(incident, alike)?;
        let answers = self.answers_to(incident, &failed, alike)?;
        let failures = u32::try_from(incident.count).unwrap_or(u32::MAX);
        let is_new_program = self.has_new_program(incident)?;
        // A certificate is a program's own, and so are the TLS sessions by which it may be passed over.
        let is_the_programs = is_one_of(incident, &[Class::TlsVerify, Class::TlsVerifyName]);
        let enough = if is_the_programs && is_new_program {
            1
        } else {
            answers.enough(failures, is_new_program)
        };
        Ok(!failed.is_empty()
            && !answers.is_now_and_then
            && answers.since.len() >= failed.len().min(FEW)
            && answers.after >= enough)
    }

    /// Whether answers can show an end of it. What a client's cookies decide is not over because others are answered: such
    /// a failure also takes a new program, or new workers, that are answered otherwise.
    fn do_answers_tell(&self, incident: &Incident) -> Result<bool, Gap> {
        if incident.origin != Origin::ErrorLog || is_one_of(incident, &SCARCE) {
            return Ok(false);
        }
        if is_cut(incident) {
            let application = known(self.application(incident))?;
            return Ok(!application.is_some_and(|application| application.refuses()));
        }
        let is_later = incident.action != Some(While::ConnectingToUpstream);
        let is_a_clients = is_later && Alike::of(incident) == Alike::AskedByOne;
        Ok(!is_a_clients || self.is_renewed_since(incident)?)
    }

    /// Whether all of nginx's workers, or the program that listens, started after the last failure.
    fn is_renewed_since(&self, incident: &Incident) -> Result<bool, Gap> {
        let workers = self.instance(incident)?.workers_since();
        Ok(workers.is_some_and(|start| is_after(start, incident))
            || self.has_new_program(incident)?)
    }

    /// Whether the program that listens started after the last failure.
    fn has_new_program(&self, incident: &Incident) -> Result<bool, Gap> {
        let program = known(self.listener_of(incident))?.and_then(|reached| reached.since());
        Ok(program.is_some_and(|start| is_after(start, incident)))
    }

    /// The requests that failed, as access logs have them; by who asked too, where that makes them others.
    fn failed_requests(&self, incident: &Incident, alike: Alike) -> Result<BTreeSet<Vec<u8>>, Gap> {
        let (first, last) = (
            incident.first_seen.as_second(),
            incident.last_seen.as_second(),
        );
        let mut failed: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut note = |access: &Access<'_>| {
            let is_then = access
                .time()
                .is_some_and(|at| (first..=last + 1).contains(&at));
            // 9 stands for an answer without a header.
            let is_failure = matches!(access.status(), Some(9 | 499 | 500 | 502 | 504));
            let path = access.request().and_then(super::logs::path_of);
            let is_of_it =
                path.is_some_and(|path| incident.paths.contains(path.to_str_lossy().as_ref()));
            if is_then && is_failure && is_of_it && failed.len() < MOST {
                failed.extend(alike.request(access));
            }
        };
        self.each_access(incident, &mut note)?;
        self.each_plain(incident, |_, _, access| note(access))?;
        Ok(failed)
    }

    /// When such requests were answered well.
    fn answers_to(
        &self,
        incident: &Incident,
        failed: &BTreeSet<Vec<u8>>,
        alike: Alike,
    ) -> Result<Answers, Gap> {
        let (first, last) = (
            incident.first_seen.as_second(),
            incident.last_seen.as_second(),
        );
        let mut answers = Answers::default();
        let asked: BTreeSet<&[u8]> = failed.iter().map(|request| asked_in(request)).collect();
        self.each_answer(incident, |access| {
            let (Some(request), Some(at)) = (alike.request(access), access.time()) else {
                return;
            };
            if !matches!(access.status(), Some(200..=299)) || !asked.contains(asked_in(&request)) {
                return;
            }
            let count = match at {
                at if at < first => &mut answers.before,
                at if at > last => &mut answers.after,
                _ => &mut answers.between,
            };
            *count = count.saturating_add(1);
            if failed.contains(&request) {
                answers.is_now_and_then |= (first..last).contains(&at);
                if at > last {
                    answers.since.insert(request);
                }
            }
        })?;
        Ok(answers)
    }
}

/// What a request asked for, whoever did.
fn asked_in(request: &[u8]) -> &[u8] {
    request.split(|&byte| byte == WHO).next().unwrap_or(request)
}

fn failing_if(fails: bool) -> Standing {
    if fails {
        Standing::Failing
    } else {
        Standing::Over
    }
}

fn is_after(start: Timestamp, incident: &Incident) -> bool {
    start.as_second() > incident.last_seen.as_second()
}

fn is_one_of(incident: &Incident, classes: &[Class]) -> bool {
    classes.iter().any(|class| incident.is(*class))
}

/// Whether the application ended the connection.
fn is_cut(incident: &Incident) -> bool {
    is_one_of(incident, &[Class::PrematureClose, Class::ConnectionReset])
}

#[cfg(test)]
mod tests {
    use super::Answers;
    use crate::diagnosis::Standing;
    use crate::fixture::Fixture;

    /// How what a peer failed with stands, in a host of these parts.
    #[track_caller]
    fn standing<const N: usize>(peer: &str, parts: [&str; N]) -> Standing {
        let diagnosis = Fixture::parse(&parts.concat()).diagnose();
        let mut judged = diagnosis.incidents.iter();
        let judged = judged.find(|judged| judged.incident.peer == peer);
        judged.expect("the peer failed").standing
    }

    #[track_caller]
    fn is_over<const N: usize>(peer: &str, parts: [&str; N]) -> bool {
        !standing(peer, parts).is_ongoing()
    }

    fn configuration(nginx: &str, changed: &str, http: &str) -> String {
        format!(
            "
            //- nginx {nginx}
            //- file /etc/nginx/nginx.conf ctime={changed}
            http {{ {http} }}
        "
        )
    }

    /// Lines of the access log: when, what, and the answer.
    fn accesses(lines: &[(&str, &str, u16)]) -> String {
        let line = |(at, path, status): &(&str, &str, u16)| {
            format!(
                "192.0.2.7 - - [23/Jun/2026:{at} +0000] \"GET {path} HTTP/1.1\" {status} 3 \"-\" \"x\"\n"
            )
        };
        let lines: Vec<String> = lines.iter().map(line).collect();
        format!("\n//- file /var/log/nginx/access.log\n{}", lines.concat())
    }

    const RELOADED: &str = "workers=2900 workers-start=14:04:40";
    const TLS: &str = "server { location / { proxy_pass https://127.0.0.1:8443; } }";
    const CLOSED: &str = "
        //- failed 14:04:30 http://127.0.0.1:8443/
        upstream prematurely closed connection while reading response header from upstream
    ";
    const FAILED: (&str, &str, u16) = ("14:04:30", "/", 502);
    const ANSWERED: (&str, &str, u16) = ("14:04:50", "/other", 200);

    const SITE: &str = "server { location / { proxy_pass http://127.0.0.1:8443; } }";
    const REFUSED: &str = "
        //- failed 14:04:30 http://127.0.0.1:8443/
        connect() failed (111: Connection refused) while connecting to upstream
    ";
    const BACK: &str = "
        //- process 4120 start=14:04:35
        /srv/bin/serve
        //- listen tcp 127.0.0.1:8443 pid=4120
        //- connect 127.0.0.1:8443 -> ok
    ";

    #[test]
    fn a_connection_that_succeeds_shows_no_answer() {
        let host = configuration("", "12:00:00", SITE);
        let state = |back: &str, lines: &[(&str, &str, u16)]| {
            standing("127.0.0.1:8443", [&host, REFUSED, back, &accesses(lines)])
        };
        assert_eq!(state(BACK, &[FAILED]), Standing::Connects);
        assert_eq!(state(BACK, &[FAILED, ANSWERED]), Standing::Over);
        assert_eq!(state("", &[FAILED]), Standing::Failing);
    }

    #[test]
    fn failing_where_all_that_accept_are_stopped() {
        let host = configuration("", "12:00:00", SITE);
        let stopped = BACK.replace("start=14:04:35", "start=14:04:35 stopped");
        let state = standing("127.0.0.1:8443", [&host, REFUSED, &stopped]);
        assert_eq!(state, Standing::Failing);
    }

    #[test]
    fn ongoing_while_it_comes_and_goes() {
        let host = configuration("", "12:00:00", SITE);
        let state = |now: &str, failed: &[&str], answered: &[&str]| {
            let failed: Vec<String> = failed
                .iter()
                .map(|at| REFUSED.replace("14:04:30", at))
                .collect();
            let lines: Vec<(&str, &str, u16)> = answered.iter().map(|at| (*at, "/", 200)).collect();
            let now = format!("//- now 2026-06-23T{now}Z\n");
            let parts = [&now, &host, &failed.concat(), BACK, &accesses(&lines)];
            standing("127.0.0.1:8443", parts)
        };
        let failed = ["14:04:30", "14:04:31", "14:04:34", "14:04:38"];
        let answered = ["14:04:33", "14:04:36", "14:04:40"];
        assert_eq!(state("14:04:41", &failed, &answered), Standing::Recent);
        // The next is overdue.
        assert_eq!(state("14:04:59", &failed, &answered), Standing::Over);
        // Two make no pace.
        let few = state("14:04:41", &failed[..3], &answered);
        assert_eq!(few, Standing::Over);
        let unbroken = state("14:04:41", &failed, &answered[2..]);
        assert_eq!(unbroken, Standing::Over);
    }

    #[test]
    fn failing_where_nothing_answers_in_its_place_either() {
        let state = |dialled: &str, there: &str| {
            let site = format!("server {{ location / {{ proxy_pass {dialled}; }} }}");
            let host = configuration(RELOADED, "14:04:35", &site);
            standing("127.0.0.1:8443", [&host, REFUSED, there])
        };
        let refused = "//- connect 127.0.0.1:9002 -> errno 111\n";
        let taken = "//- connect 127.0.0.1:9002 -> ok\n";
        assert_eq!(state("http://127.0.0.1:9002", refused), Standing::Failing);
        assert_eq!(state("http://127.0.0.1:9002", taken), Standing::Undialled);
        let missing = "//- connect unix:/run/shop.sock -> errno 2\n";
        assert_eq!(
            state("http://unix:/run/shop.sock", missing),
            Standing::Failing
        );
    }

    #[test]
    fn quiet_where_nothing_shows_that_it_was_mended() {
        let host = configuration("", "12:00:00", SITE);
        let state = |at: &str| {
            let closed = CLOSED.replace("https", "http").replace("14:04:30", at);
            standing("127.0.0.1:8443", [&host, &closed, &accesses(&[ANSWERED])])
        };
        assert_eq!(state("14:03:30"), Standing::Quiet);
        assert_eq!(state("14:04:30"), Standing::Recent);
    }

    #[test]
    fn over_once_the_peer_answers_in_another_protocol() {
        let state = |nginx: &str, http: &str, lines: &[(&str, &str, u16)]| {
            let host = configuration(nginx, "14:04:35", http);
            is_over("127.0.0.1:8443", [&host, CLOSED, &accesses(lines)])
        };
        let both = [FAILED, ANSWERED];
        assert!(state(RELOADED, TLS, &both));
        // Nobody has asked since, or the answer is one of before.
        assert!(!state(RELOADED, TLS, &[FAILED]));
        assert!(!state(
            RELOADED,
            TLS,
            &[FAILED, ("14:04:36", "/other", 200)]
        ));
        assert!(!state(
            RELOADED,
            TLS,
            &[FAILED, ("14:04:50", "/other", 502)]
        ));
        // The workers run what they ran when it failed.
        assert!(!state("", TLS, &both));
        for (of_others, path) in [
            // The same peer in the protocol that failed.
            (
                "location /old { proxy_pass http://127.0.0.1:8443; }",
                "/other",
            ),
            (
                "location /old { proxy_pass http://localhost:8443; }",
                "/other",
            ),
            // Another may have answered.
            ("location /other { root /srv; }", "/other"),
            ("error_page 502 =200 /sorry;", "/other"),
        ] {
            let http = TLS.replace("location / ", &format!("{of_others} location / "));
            assert!(
                !state(RELOADED, &http, &[FAILED, ("14:04:50", path, 200)]),
                "{of_others}"
            );
        }
        let beside = |server: &str| format!("{TLS} server {{ server_name www; {server} }}");
        assert!(!state(RELOADED, &beside("root /srv;"), &both));
        assert!(state(
            RELOADED,
            &beside("return 301 https://shop.example/;"),
            &both
        ));
    }

    #[test]
    fn over_once_a_renewed_program_shows_a_certificate_that_is_accepted() {
        let site =
            "server { location / { proxy_ssl_verify on; proxy_pass https://127.0.0.1:8443; } }";
        let host = configuration("", "12:00:00", site);
        let rejected = "
            //- failed 14:04:30 https://127.0.0.1:8443/
            upstream SSL certificate verify error: (10:certificate has expired) while SSL handshaking to upstream
        ";
        let program = |start: &str| BACK.replace("14:04:35", start);
        let lines = accesses(&[FAILED, ("14:04:40", "/", 200)]);
        let state =
            |start: &str| is_over("127.0.0.1:8443", [&host, rejected, &program(start), &lines]);
        assert!(state("14:04:35"));
        // It may be by a session of before.
        assert!(!state("12:30:00"));
    }

    #[test]
    fn ongoing_where_nothing_lets_connections_in_whatever_is_spoken() {
        let host = configuration(RELOADED, "14:04:35", TLS);
        let refused = "
            //- failed 14:04:30 http://127.0.0.1:8443/
            connect() failed (111: Connection refused) while connecting to upstream
        ";
        let lines = accesses(&[FAILED, ANSWERED]);
        assert!(!is_over("127.0.0.1:8443", [&host, refused, &lines]));
    }

    #[test]
    fn over_once_the_name_leads_elsewhere_and_is_answered_there() {
        let state = |nginx: &str, addresses: &str, lines: &[(&str, &str, u16)]| {
            let http = "server { location / { proxy_pass http://app.example:8000; } }";
            let host = configuration(nginx, "12:00:00", http);
            let name = format!(
                "
                //- failed 14:04:30 http://10.0.0.4:8000/
                connect() failed (113: No route to host) while connecting to upstream
                //- connect 10.0.0.4:8000 -> errno 113
                //- command getent ahosts app.example
                {addresses}
            "
            );
            is_over("10.0.0.4:8000", [&host, &name, &accesses(lines)])
        };
        let both = [FAILED, ANSWERED];
        assert!(state(RELOADED, "10.0.0.5 STREAM app.example", &both));
        assert!(!state(RELOADED, "10.0.0.5 STREAM app.example", &[FAILED]));
        assert!(!state(RELOADED, "10.0.0.4 STREAM app.example", &both));
        assert!(!state("", "10.0.0.5 STREAM app.example", &both));
    }

    const SHOP: &str = "upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001; }
        server { location /static { root /srv; } location / { proxy_pass http://shop; } }";
    const NONE_LEFT: &str = "
        //- failed 14:04:40 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
        //- failed 14:04:40 http://127.0.0.1:8001/
        connect() failed (111: Connection refused) while connecting to upstream
        //- failed 14:04:41 http://shop/
        no live upstreams while connecting to upstream
        //- connect 127.0.0.1:8001 -> errno 111
    ";

    #[test]
    fn over_once_one_of_the_servers_is_back() {
        let host = configuration("", "12:00:00", &SHOP.replace('\n', " "));
        let back = "//- connect 127.0.0.1:8000 -> ok\n";
        let gone = "//- connect 127.0.0.1:8000 -> errno 111\n";
        assert!(is_over("shop", [&host, NONE_LEFT, back]));
        assert!(!is_over("shop", [&host, NONE_LEFT, gone]));
        // nginx does not try it again yet.
        let soon = "//- now 2026-06-23T14:04:50Z\n";
        assert!(!is_over("shop", [soon, &host, NONE_LEFT, back]));
        let line = accesses(&[("14:04:45", "/cart", 200)]);
        assert!(is_over("shop", [&host, NONE_LEFT, gone, &line]));
        let line = accesses(&[("14:04:45", "/static/x", 200)]);
        assert!(!is_over("shop", [&host, NONE_LEFT, gone, &line]));
    }

    #[test]
    fn over_once_the_temporary_path_may_be_written() {
        let state = |nginx: &str, folder: &str| {
            let http = "client_body_temp_path /var/lib/nginx/body; server { location / { proxy_pass http://127.0.0.1:8000; } }";
            let host = configuration(nginx, "12:00:00", http);
            let denied = format!(
                "
                //- logged 14:04:30 level=crit
                open() \"/var/lib/nginx/body/0000000001\" failed (13: Permission denied)
                //- file /etc/passwd
                www-data:x:33:33::/var/www:/usr/sbin/nologin
                //- file /etc/group
                www-data:x:33:
                {folder}
            "
            );
            is_over("", [&host, &denied])
        };
        let mended = "//- path /var/lib/nginx/body dir 700 33:33 ctime=14:04:40";
        assert!(state("", mended));
        // SELinux may go on denying it.
        let confined = format!("{mended}\n//- context 2842 system_u:system_r:httpd_t:s0");
        assert!(!state("", &confined));
        // Something else denies it: owner and mode were so when it failed.
        assert!(!state(
            "",
            "//- path /var/lib/nginx/body dir 700 33:33 ctime=13:00:00"
        ));
        // A reload alone mends nothing.
        assert!(!state(
            RELOADED,
            "//- path /var/lib/nginx/body dir 700 0:0 ctime=13:00:00"
        ));
    }

    #[test]
    fn ongoing_after_few_answers_of_what_closes_now_and_then() {
        let host = configuration(
            "",
            "12:00:00",
            "server { location / { proxy_pass http://127.0.0.1:8443; } }",
        );
        let state = |before: usize, after: usize, program: &str| {
            let mut lines = vec![("14:04:20", "/", 200); before];
            lines.push(FAILED);
            lines.extend(vec![("14:04:40", "/", 200); after]);
            is_over(
                "127.0.0.1:8443",
                [&host, CLOSED, program, &accesses(&lines)],
            )
        };
        assert!(!state(9, 1, ""));
        assert!(!state(9, 16, ""));
        assert!(state(9, 17, ""));
        assert!(state(0, 3, ""));
        // How often the program before it closed says nothing of this one.
        let program = "
            //- process 4120 start=14:04:35
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8443 pid=4120
        ";
        assert!(!state(9, 2, program));
        assert!(state(9, 3, program));
    }

    #[test]
    fn the_rarer_it_came_the_more_answers_show_its_end() {
        let enough = |failures, before, between| {
            let answers = Answers {
                before,
                between,
                ..Answers::default()
            };
            (
                answers.enough(failures, false),
                answers.enough(failures, true),
            )
        };
        assert_eq!(enough(1, 0, 0), (3, 3));
        assert_eq!(enough(1, 9, 0), (17, 3));
        assert_eq!(enough(3, 9, 0), (2, 2));
        assert_eq!(enough(19, 0, 0), (1, 1));
        assert_eq!(enough(2, 100, 9), (12, 12));
    }
}
