//! The queue of connections that wait for an application: how full it is, what may wait, and what the kernel dropped.

use bstr::ByteSlice as _;
use facts::application::Kind;
use facts::process::Process;
use facts::queue::ListenDrops;
use facts::{Exhibit, Gap, ProbeRequest};

use super::application::Application;
use super::network::Reached;
use super::{Case, known};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Fix, Safety, Step};

/// Process 1 may hold a listener for the service that it starts when somebody connects.
const INIT: u32 = 1;

impl Reached {
    /// Whether the kernel takes no further connection into its queue: one more than the backlog may wait
    /// (`sk_acceptq_is_full`, `unix_recvq_full`).
    pub(crate) fn is_full(&self) -> bool {
        self.backlog > 0 && self.waiting > self.backlog
    }

    /// How many connections may wait.
    pub(crate) fn backlog(&self) -> u32 {
        self.backlog
    }

    /// Its queue now.
    pub(crate) fn queue_exhibit(&self) -> Exhibit {
        Exhibit::Record {
            probe: "sockets",
            at: None,
            text: self.queue_text(),
        }
    }

    /// The same in words.
    pub(super) fn queue_text(&self) -> String {
        let wait = match self.waiting {
            1 => "1 connection waits".to_owned(),
            waiting => format!("{waiting} connections wait"),
        };
        format!("{wait} to be accepted, {} may", self.backlog)
    }

    /// Its processes that accept. A master leaves that to its workers, and process 1 to what it starts.
    pub(super) fn accepting(&self) -> impl Iterator<Item = &Process> {
        let is_parent = |process: &Process| {
            let mut others = self.holders.iter();
            process.pid == INIT || others.any(|other| other.ppid == process.pid)
        };
        self.holders.iter().filter(move |holder| !is_parent(holder))
    }

    /// Its processes that a signal or a debugger has stopped, if these are all that accept.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        let all = self.accepting().all(|process| process.is_stopped);
        let stopped = self.holders.iter().filter(|holder| holder.is_stopped);
        let pids: Vec<String> = stopped.map(|holder| holder.pid.to_string()).collect();
        (all && !pids.is_empty()).then_some(Stopped { pids })
    }
}

/// All processes that accept at a listener, stopped.
pub(crate) struct Stopped {
    pids: Vec<String>,
}

impl Stopped {
    /// That they are.
    pub(crate) fn exhibit(&self) -> Exhibit {
        let pids = self.pids.join(", ");
        Exhibit::Record {
            probe: "process",
            at: None,
            text: format!("every process that accepts is stopped (pid {pids})"),
        }
    }

    /// Letting them go on.
    pub(crate) fn resumed(self, who: &str) -> Fix {
        let argv = ["kill", "-CONT"].map(str::to_owned).into_iter();
        Fix {
            summary: format!("let {who} go on"),
            safety: Safety::Unsafe,
            steps: vec![Step::Command {
                argv: argv.chain(self.pids).collect(),
            }],
            verify: Some(AGAIN.to_owned()),
        }
    }
}

impl Application {
    /// That more requests waited at one time than it answers at once: a worker that is free takes one from the queue, so
    /// none was. In words, and what was busy.
    fn outnumbered(&self, incident: &Incident, time_out: i64) -> Option<(String, &'static str)> {
        let (name, set) = self.workers().filter(|_| self.at_once() == Some(1))?;
        // More may run than are set.
        let run = self.reached.accepting().count();
        let workers = u64::from(set).max(u64::try_from(run).unwrap_or(u64::MAX));
        let waited = incident.waited_at_once(time_out);
        (waited > workers).then(|| {
            let text = format!(
                "{waited} requests waited at one time, and {} answers {workers} ({name} is {set})",
                self.who()
            );
            let busy = if workers == 1 {
                "its only worker is busy"
            } else {
                "all its workers are busy"
            };
            (text, busy)
        })
    }

    /// What its kind calls the number of connections that may wait.
    pub(crate) fn backlog_name(&self) -> &'static str {
        match self.kind {
            Some(Kind::Gunicorn | Kind::Uvicorn | Kind::Hypercorn) => "--backlog",
            Some(Kind::PhpFpm) => "listen.backlog",
            Some(Kind::Uwsgi) => "--listen",
            Some(Kind::Puma) => "backlog in its bind",
            Some(Kind::Unicorn) => ":backlog of its listen",
            Some(Kind::Node | Kind::Java | Kind::PythonHttpServer) | None => {
                "the backlog that it gives to listen()"
            }
        }
    }

    /// How many requests it answers at once, where that is set, with the setting's name.
    pub(crate) fn workers(&self) -> Option<(&'static str, u32)> {
        let name = match self.kind? {
            Kind::PhpFpm => "pm.max_children",
            Kind::Uwsgi => "processes",
            Kind::Unicorn => "worker_processes",
            _ => "workers",
        };
        let workers = self.settings.workers.as_ref()?;
        self.settings
            .is_certain("workers")
            .then_some((name, workers.value))
    }
}

/// An application that does not get to all that it is asked.
pub(crate) struct Busy {
    /// That it does not, to follow its name and a colon.
    pub(crate) text: String,
    /// What shows it beside its queue.
    pub(crate) exhibit: Option<Exhibit>,
    /// The request that was in progress longest, where a log tells.
    pub(crate) longest: Option<String>,
}

impl Case {
    /// Whether requests wait in the application's queue because it is busy with others: then those that timed out may not
    /// be what is slow.
    pub(crate) fn busy(
        &self,
        incident: &Incident,
        application: &Application,
    ) -> Result<Option<Busy>, Gap> {
        let Some(time_out) = known(self.shortest_read_timeout(incident))? else {
            return Ok(None);
        };
        let (text, exhibit) =
            if let Some((shown, places)) = application.outnumbered(incident, time_out) {
                let text = format!("{places}, and requests wait in its queue");
                let shown = Exhibit::Record {
                    probe: "process",
                    at: None,
                    text: shown,
                };
                (text, Some(shown))
            } else if self.is_ongoing(incident) && application.reached.is_waited_for() {
                let waiting = application.reached.waiting;
                (
                    format!("it does not get to {waiting} connections that wait in its queue"),
                    None,
                )
            } else {
                return Ok(None);
            };
        Ok(Some(Busy {
            text,
            exhibit,
            longest: self.longest_in_progress(incident, time_out)?,
        }))
    }

    /// The request that the peer was busy with for the longest time while it failed: one that took longer than nginx
    /// waited for the others, by the access log, else the first of an unbroken row of time-outs.
    fn longest_in_progress(
        &self,
        incident: &Incident,
        time_out: i64,
    ) -> Result<Option<String>, Gap> {
        let mut longest: Option<(u64, String)> = None;
        self.each_access(incident, |access| {
            let by_peer = |attempt: &log::access::Attempt<'_>| {
                attempt
                    .addr
                    .is_some_and(|addr| addr == incident.peer.as_bytes())
            };
            let took = access
                .attempts()
                .filter(by_peer)
                .filter_map(|attempt| attempt.response_time)
                .max();
            let (Some(took), Some(at), Some(request)) = (took, access.time(), access.request())
            else {
                return;
            };
            let seconds = i64::try_from(took / 1000).unwrap_or(i64::MAX);
            let is_meanwhile = incident
                .seconds
                .range(at.saturating_sub(seconds)..=at)
                .next()
                .is_some();
            if seconds > time_out
                && is_meanwhile
                && longest.as_ref().is_none_or(|(most, _)| took > *most)
            {
                longest = Some((
                    took,
                    format!(
                        "{}, which took {seconds} s by the access log",
                        request.to_str_lossy()
                    ),
                ));
            }
        })?;
        if let Some((_, text)) = longest {
            return Ok(Some(text));
        }
        let mut seconds = incident.seconds.keys();
        let mut before = seconds.next().copied().unwrap_or_default();
        let is_one_row =
            seconds.all(|&second| second - std::mem::replace(&mut before, second) <= time_out);
        let is_whole = incident
            .seconds
            .keys()
            .next()
            .is_some_and(|first| *first == incident.first_seen.as_second());
        let first = || {
            incident.said(|event| {
                event
                    .request
                    .map(|request| request.to_str_lossy().into_owned())
            })
        };
        Ok((is_one_row && is_whole)
            .then(first)
            .flatten()
            .map(|request| format!("{request}, the first that was not answered in time")))
    }

    /// What the listeners of nginx's network namespace turned away; the application on a local address is in it too.
    pub(crate) fn listen_drops(&self, incident: &Incident) -> Result<ListenDrops, Gap> {
        let of = self
            .netns(incident)?
            .map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let request = ProbeRequest::host_file(format!("/proc/{of}/net/netstat"));
        let drops = self
            .evidence
            .fact(&request, |_, bytes| ListenDrops::parse(bytes))?;
        (*drops).ok_or_else(|| {
            Gap::undecided(
                "how many connections the kernel dropped",
                "its counters are not there",
            )
        })
    }

    /// `net.core.somaxconn`, which caps every backlog; `None` where it is another network namespace's.
    pub(crate) fn somaxconn(&self, incident: &Incident) -> Result<Option<u32>, Gap> {
        if self.netns(incident)?.is_some() {
            return Ok(None);
        }
        let request = ProbeRequest::host_file("/proc/sys/net/core/somaxconn");
        let limit = known(self.evidence.fact(&request, |_, bytes| {
            String::from_utf8_lossy(bytes).trim().parse().ok()
        }))?;
        Ok(limit.and_then(|limit| *limit))
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::Fixture;

    #[test]
    fn queues_are_read_before_a_connection_of_our_own_stands_in_one() {
        let fixture = Fixture::parse(
            "
            //- options handshake request=http://shop.example/
            //- nginx
            //- file /etc/nginx/nginx.conf
            events {} http { server { listen 80; server_name shop.example; location / { proxy_pass http://127.0.0.1:8000; }
            location /b { proxy_pass http://unix:/run/app.sock; } location /c { proxy_pass https://127.0.0.1:8443; } } }
            //- path /run dir 755 0:0
            //- process 77
            /srv/bin/serve
            //- listen tcp 127.0.0.1:8443 pid=77
            //- listen unix /run/app.sock pid=77
            //- failed 14:04:50 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
            //- failed 14:04:50 http://unix:/run/app.sock:/b level=crit
            connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
            //- failed 14:04:50 https://127.0.0.1:8443/c
            peer closed connection in SSL handshake while SSL handshaking to upstream
        ",
        );
        let mut case = crate::Case::new(fixture.options.clone());
        let mut order = Vec::new();
        for _ in 0..40 {
            // Those of one round are asked side by side.
            let round = case.plan();
            order.push(round.iter().map(ToString::to_string).collect::<Vec<_>>());
            for request in round {
                let record = facts::Probe::ask(&fixture.host, &request);
                case.add(request, record);
            }
        }
        let at = |text: &str| {
            order
                .iter()
                .position(|round| round.iter().any(|asked| asked.starts_with(text)))
        };
        let (tcp, unix) = (
            at("sockets host tcp-listening").unwrap(),
            at("sockets host unix-listening").unwrap(),
        );
        for dialling in [
            "connect 2842 127.0.0.1:8000",
            "handshake 2842 127.0.0.1:8443",
            "request host 127.0.0.1:80",
            "request 2842 127.0.0.1:8000",
        ] {
            assert!(at(dialling).unwrap() > tcp, "{dialling}");
        }
        assert!(at("connect 2842 unix:/run/app.sock").unwrap() > unix);
    }
}
