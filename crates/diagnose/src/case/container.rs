//! What a process in a container writes to its standard streams, as its runtime keeps it.
//!
//! nginx's official image leads its logs there. The runtime's log is nginx's only if nginx writes into the very pipe that
//! the runtime gave the container's first process: what is run by `docker exec`, or under a supervisor that keeps logs of
//! its own, writes elsewhere.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use facts::container::{self, Kept};
use facts::process::{Container, Process, Runtime};
use facts::walk::Walk;
use facts::{Answer, Gap, GapKind, ProbeRequest, View};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use log::error::{Carrier, DOCKER_TIME, RuntimeForm, Stream, Streamed};

use super::access::ACCESS_LIMIT;
use super::apart::called;
use super::logs::LOG_LIMIT;
use super::{Case, Instance, known};

/// The start of a runtime's log, which tells its form.
const HEAD: u64 = 64 << 10;
/// Entries of the journal that are read: the last ones.
const JOURNAL_LINES: u32 = 50_000;
/// The form of a time in both kinds of files.
const STAMP: &str = "%Y-%m-%dT%H:%M:%S";

/// Where a runtime keeps a stream of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuntimeLog {
    stream: Stream,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File { path: PathBuf, learn: String },
    Journal { id: String },
}

/// A stream's text since the window began.
pub(super) struct StreamText {
    pub(super) streamed: Streamed,
    /// Lines of the window are missing.
    pub(super) cut: bool,
    /// ... because the runtime has rotated them away.
    pub(super) rotated: Option<Gap>,
}

impl RuntimeLog {
    /// Its path, or the command that shows it.
    pub(super) fn path(&self) -> PathBuf {
        match &self.place {
            Place::File { path, .. } => path.clone(),
            Place::Journal { id } => PathBuf::from(format!("journalctl CONTAINER_ID_FULL={id}")),
        }
    }
}

/// What an access log holds, wherever it was kept.
pub(super) enum AccessText<'a> {
    /// A file's newest part, and whether there is more before it.
    Plain(&'a [u8], bool),
    Streamed(Rc<StreamText>),
}

impl AccessText<'_> {
    /// Whether older lines were left out.
    pub(super) fn is_cut(&self) -> bool {
        match self {
            Self::Plain(_, is_cut) => *is_cut,
            Self::Streamed(text) => text.cut,
        }
    }
}

impl Deref for AccessText<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Plain(bytes, _) => bytes,
            Self::Streamed(text) => &text.streamed.text,
        }
    }
}

impl Case {
    /// The newest part of an access log.
    pub(super) fn access_text(
        &self,
        instance: &Instance,
        path: &Path,
    ) -> Result<AccessText<'_>, Gap> {
        if let Some(stream) = self.standard_stream(instance.view, path)?
            && let Some(master) = &instance.master
            && self
                .descriptor_file(master.pid, stream.descriptor())?
                .is_none()
            && let Some(log) = self.runtime_log(master.pid, stream)?
        {
            return Ok(AccessText::Streamed(self.stream_text(&log)?));
        }
        let request = ProbeRequest::LinesSince {
            view: instance.view,
            path: path.to_owned(),
            from: String::new(),
            limit: ACCESS_LIMIT,
        };
        let (record, bytes) = self.evidence.bytes(&request)?;
        let is_cut = matches!(record.answer, Answer::File { cut: true, .. });
        Ok(AccessText::Plain(bytes, is_cut))
    }

    /// The stream of nginx's own that a log's path leads to: `/dev/stderr`, or a link to it.
    pub(super) fn standard_stream(&self, view: View, path: &Path) -> Result<Option<Stream>, Gap> {
        let request = ProbeRequest::Walk {
            view,
            path: path.to_owned(),
        };
        let walk = known(self.evidence.fact(&request, |_, bytes| Walk::parse(bytes)))?;
        let components = walk.iter().flat_map(|walk| &walk.components);
        let names = components.flat_map(|component| {
            let node = component.node.as_ref().ok();
            let target = node.and_then(|node| node.target.as_deref());
            [Some(component.path.as_path()), target]
        });
        let names = [Some(path)].into_iter().chain(names).flatten();
        Ok(names.into_iter().find_map(stream_named))
    }

    /// Where the runtime of a process's container keeps what the process writes to a stream; `None` of a process in no
    /// container, or in one with a journal of its own.
    pub(super) fn runtime_log(&self, pid: u32, stream: Stream) -> Result<Option<RuntimeLog>, Gap> {
        let cgroup = known(self.cgroup(pid))?;
        let Some(container) = cgroup.and_then(|cgroup| cgroup.container.clone()) else {
            return Ok(None);
        };
        if matches!(container.runtime, Runtime::Machine | Runtime::Lxc) {
            return Ok(None);
        }
        let gap = |why: &str| {
            let missing = format!("what nginx wrote to its {}", words(stream));
            let why = format!("{why} ({})", shown(&container));
            Gap::new(GapKind::Absent, missing, why).learn(logs_command(&container))
        };
        let first = self.first_process(&container)?;
        let descriptor = |pid: u32| {
            let path = PathBuf::from(format!("/proc/{pid}/fd/{}", stream.descriptor()));
            self.evidence.bytes(&ProbeRequest::Link { path })
        };
        let (own, firsts) = (descriptor(pid), descriptor(first.pid));
        let ((_, own), (_, firsts)) = (own?, firsts?);
        if own != firsts || !own.starts_with(b"pipe:") {
            return Err(gap("it does not go to its container's runtime"));
        }
        match self.kept_by_runtime(&container, &first)? {
            Some(place) => Ok(Some(RuntimeLog { stream, place })),
            None => Err(gap(
                "its container's runtime keeps it where it is not looked for",
            )),
        }
    }

    /// The first process of a container: the one whose streams the runtime takes.
    fn first_process(&self, container: &Container) -> Result<Process, Gap> {
        let processes = self.processes()?;
        let cgroups: Vec<_> = processes.keys().map(|&pid| self.cgroup(pid)).collect();
        let mut inside = Vec::new();
        for (process, cgroup) in processes.values().zip(cgroups) {
            let cgroup = known(cgroup)?;
            if cgroup.is_some_and(|cgroup| cgroup.container.as_ref() == Some(container)) {
                inside.push(process);
            }
        }
        let first = inside
            .into_iter()
            .min_by_key(|process| (process.start, process.pid));
        first.cloned().ok_or_else(|| {
            let missing = format!("the first process of {}", shown(container));
            Gap::undecided(missing, "it is gone")
        })
    }

    fn kept_by_runtime(
        &self,
        container: &Container,
        first: &Process,
    ) -> Result<Option<Place>, Gap> {
        let id = &container.id;
        let file = |path| Place::File {
            path,
            learn: logs_command(container),
        };
        let processes = self.processes()?;
        let conmon = processes.get(&first.ppid);
        match conmon.and_then(|conmon| container::conmon(&conmon.args, id)) {
            Some(Kept::File(path)) => return Ok(Some(file(path))),
            Some(Kept::Journal) => return Ok(Some(Place::Journal { id: id.clone() })),
            Some(Kept::Nowhere) => return Ok(None),
            None => {}
        }
        let runtime = container.runtime;
        if matches!(
            runtime,
            Runtime::Docker | Runtime::Kubernetes | Runtime::Other
        ) {
            let settings = ProbeRequest::host_file(container::DOCKER_SETTINGS);
            let settings = known(self.evidence.bytes(&settings))?.map(|(_, bytes)| bytes);
            let path = container::docker_file(&container::docker_root(settings), id);
            if self.is_there(&path)? {
                return Ok(Some(file(path)));
            }
        }
        if matches!(
            runtime,
            Runtime::Kubernetes | Runtime::Containerd | Runtime::CriO
        ) {
            let names = self.names_below(Path::new(container::KUBELET_LINKS))?;
            let link = container::kubelet_link(names.iter().map(String::as_str), id);
            if let Some(path) = link
                && self.is_there(&path)?
            {
                return Ok(Some(file(path)));
            }
        }
        if runtime == Runtime::Docker
            && known(self.container_journal(id))?.is_some_and(|entries| !entries.is_empty())
        {
            return Ok(Some(Place::Journal { id: id.clone() }));
        }
        Ok(None)
    }

    /// Whether a file is there; one that may not be read is a gap.
    fn is_there(&self, path: &Path) -> Result<bool, Gap> {
        match self.evidence.bytes(&head(path)) {
            Ok(_) => Ok(true),
            Err(gap) if gap.kind == GapKind::Absent => Ok(false),
            Err(gap) => Err(gap),
        }
    }

    fn names_below(&self, folder: &Path) -> Result<Vec<String>, Gap> {
        let request = ProbeRequest::Directory {
            view: View::Host,
            path: folder.to_owned(),
        };
        let names = known(self.evidence.bytes(&request))?;
        let names = names.map_or(&b""[..], |(_, names)| names);
        let names = names
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty());
        Ok(names
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect())
    }

    /// What the runtime kept since the window began.
    pub(super) fn stream_text(&self, log: &RuntimeLog) -> Result<Rc<StreamText>, Gap> {
        let key = format!("stream {} {}", log.stream.name(), log.path().display());
        self.evidence.once(key, || match &log.place {
            Place::File { path, learn } => self.file_text(path, learn, log.stream),
            Place::Journal { id } => self.journal_text(id, log.stream),
        })
    }

    fn file_text(&self, path: &Path, learn: &str, stream: Stream) -> Result<StreamText, Gap> {
        let (_, start) = self.evidence.bytes(&head(path))?;
        if start.is_empty() {
            return Ok(StreamText {
                streamed: Streamed::default(),
                cut: false,
                rotated: None,
            });
        }
        let form = RuntimeForm::of(start).ok_or_else(|| {
            let missing = format!("the form of {}", path.display());
            Gap::undecided(missing, "its lines are no container runtime's").learn(learn.to_owned())
        })?;
        let rotated = self.rotated_away(path, form, learn);
        let (record, bytes) = self.evidence.bytes(&self.since(path, form))?;
        Ok(StreamText {
            streamed: log::error::streamed(bytes, stream),
            cut: matches!(&record.answer, Answer::File { cut: true, .. }),
            rotated: rotated?,
        })
    }

    /// The lines since the window began, by the runtime's own clock.
    fn since(&self, path: &Path, form: RuntimeForm) -> ProbeRequest {
        let (view, path, limit) = (View::Host, path.to_owned(), LOG_LIMIT);
        let start = self.window_start();
        if form.carrier == Carrier::DockerJson {
            return ProbeRequest::MarkedLinesSince {
                view,
                path,
                mark: DOCKER_TIME.to_owned(),
                from: start.strftime(STAMP).to_string(),
                limit,
            };
        }
        // Daylight saving may have moved the zone since the first line.
        let start = match form.offset {
            0 => start,
            _ => start
                .checked_sub(SignedDuration::from_hours(1))
                .unwrap_or(start),
        };
        let offset = i32::try_from(form.offset).ok();
        let zone = offset
            .and_then(|offset| Offset::from_seconds(offset).ok())
            .map_or(TimeZone::UTC, TimeZone::fixed);
        ProbeRequest::LinesSince {
            view,
            path,
            from: start.to_zoned(zone).strftime(STAMP).to_string(),
            limit,
        }
    }

    /// That older lines of the window stand in files that the runtime has put aside.
    fn rotated_away(
        &self,
        path: &Path,
        form: RuntimeForm,
        learn: &str,
    ) -> Result<Option<Gap>, Gap> {
        if form.at <= self.window_start().as_second() {
            return Ok(None);
        }
        // The kubelet's links lead to where the runtime rotates.
        let link = ProbeRequest::Link {
            path: path.to_owned(),
        };
        let target = known(self.evidence.bytes(&link))?
            .filter(|(_, target)| target.starts_with(b"/"))
            .map(|(_, target)| PathBuf::from(String::from_utf8_lossy(target).into_owned()));
        let path = target.as_deref().unwrap_or(path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let names = self.names_below(folder)?;
        let name = name.to_string_lossy();
        if container::rotated(names.iter().map(String::as_str), &name).is_empty() {
            return Ok(None);
        }
        let since = Timestamp::from_second(form.at).unwrap_or_default();
        let missing = format!("what nginx wrote before {}", since.strftime("%H:%M:%S UTC"));
        let why = format!("it was rotated out of {}", path.display());
        Ok(Some(
            Gap::new(GapKind::Absent, missing, why).learn(learn.to_owned()),
        ))
    }

    fn container_journal(&self, id: &str) -> Result<Rc<Vec<facts::journal::Entry>>, Gap> {
        if !self.has_systemd()? {
            let missing = format!("the journal of container {id}");
            let why = "systemd does not run here";
            return Err(Gap::new(GapKind::Absent, missing, why));
        }
        let request = facts::journal::of_container(id, self.window_start(), JOURNAL_LINES);
        self.evidence
            .fact(&request, |_, output| facts::journal::entries(output))
    }

    fn journal_text(&self, id: &str, stream: Stream) -> Result<StreamText, Gap> {
        if stream == Stream::Out {
            let missing = "what nginx wrote to its standard output";
            let learn = format!("journalctl CONTAINER_ID_FULL={id} PRIORITY=6");
            let gap = Gap::new(GapKind::NotAsked, missing, "the journal is not read for it");
            return Err(gap.learn(learn));
        }
        let entries = self.container_journal(id)?;
        let mut streamed = Streamed::default();
        for entry in entries.iter() {
            streamed.add(&entry.message, entry.at.as_second(), entry.is_partial);
        }
        Ok(StreamText {
            streamed,
            cut: entries.len() >= JOURNAL_LINES as usize,
            rotated: None,
        })
    }
}

fn head(path: &Path) -> ProbeRequest {
    ProbeRequest::File {
        view: View::Host,
        path: path.to_owned(),
        limit: HEAD,
    }
}

/// `/dev/stderr`, and what it is a link to.
fn stream_named(path: &Path) -> Option<Stream> {
    match path.to_str()? {
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Some(Stream::Out),
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => Some(Stream::Err),
        _ => None,
    }
}

fn words(stream: Stream) -> &'static str {
    match stream {
        Stream::Out => "standard output",
        Stream::Err => "standard error",
    }
}

/// Ids are 64 hexadecimal digits, of which runtimes take the first twelve.
fn short(container: &Container) -> &str {
    container.id.get(..12).unwrap_or(&container.id)
}

fn shown(container: &Container) -> String {
    format!("{} {}", called(container.runtime), short(container))
}

/// The command by which the runtime itself shows the log.
fn logs_command(container: &Container) -> String {
    let program = match container.runtime {
        Runtime::Podman => "podman",
        Runtime::Containerd | Runtime::CriO | Runtime::Kubernetes => "crictl",
        Runtime::Docker | Runtime::Other | Runtime::Machine | Runtime::Lxc => "docker",
    };
    format!("sudo {program} logs {}", short(container))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::Fixture;

    /// What is told of the logs of an nginx in the official image, under a runtime that gives it two pipes.
    fn told(cgroup: &str, parts: &[&str]) -> String {
        let host = format!(
            r"
            //- nginx master=2841 workers=2842 cgroup={cgroup} mnt=2
            //- file /etc/nginx/nginx.conf mnt=2
            error_log /var/log/nginx/error.log notice;
            http {{ server {{ listen 80; location / {{ proxy_pass http://127.0.0.1:8000; }} }} }}
            //- path /var/log/nginx/error.log link 777 0:0 target=/dev/stderr mnt=2
            //- path /var/log/nginx/access.log link 777 0:0 target=/dev/stdout mnt=2
            //- link /proc/2841/fd/1 -> pipe:[71]
            //- link /proc/2841/fd/2 -> pipe:[72]
            "
        );
        let host = format!("{host}{}", parts.concat()).replace("ID64", ID);
        let diagnosis = Fixture::parse(&host).diagnose();
        let incidents = diagnosis.incidents.iter().map(|judged| {
            let incident = &judged.incident;
            let log = incident.log.as_ref().unwrap().display();
            let first = incident.first_seen.strftime("%H:%M:%S");
            let clients = judged.impact.map_or(String::new(), |impact| {
                format!(", {} failed", impact.failed)
            });
            format!(
                "{} x{} since {first}{clients}, from {log}",
                incident.peer, incident.count
            )
        });
        let gaps = diagnosis.gaps.iter().map(|gap| {
            let learn = gap.learn.as_deref().unwrap_or_default();
            format!("gap: {}: {}: {learn}", gap.missing, gap.why)
        });
        let all: Vec<String> = incidents.chain(gaps).collect();
        all.join("\n").replace(ID, "ID64")
    }

    const ID: &str = "3f29c8a7d54e1b06f29c8a7d54e1b063f29c8a7d54e1b063f29c8a7d54e1b064";

    const DOCKER: &str = r#"
        //- file /var/lib/docker/containers/ID64/ID64-json.log
        {"log":"10.0.0.9 - - [23/Jun/2026:14:04:51 +0000] \"GET / HTTP/1.1\" 502 157 \"-\" \"-\"\n","stream":"stdout","time":"2026-06-23T14:04:51.1Z"}
        {"log":"2026/06/23 16:04:51 [error] 29#29: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.9, server: , request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\", host: \"a\"\n","stream":"stderr","time":"2026-06-23T14:04:51.2Z"}
        {"log":"2026/06/23 16:04:52 [error] 29#29: *2 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.9, server: , request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\", host: \"a\"\n","stream":"stderr","time":"2026-06-23T14:04:52.2Z"}
        {"log":"10.0.0.9 - - [23/Jun/2026:14:04:52 +0000] \"GET / HTTP/1.1\" 502 157 \"-\" \"-\"\n","stream":"stdout","time":"2026-06-23T14:04:52.1Z"}
    "#;

    const CRI: &str = "
        2026-06-23T16:04:51.2+02:00 stdout F 10.0.0.9 - - [23/Jun/2026:14:04:51 +0000] \"GET / HTTP/1.1\" 502 157 \"-\" \"-\"
        2026-06-23T16:04:51.3+02:00 stderr P 2026/06/23 14:04:51 [error] 29#29: *1 connect() failed (111: Connec
        2026-06-23T16:04:51.3+02:00 stdout F 10.0.0.9 - - [23/Jun/2026:14:04:51 +0000] \"GET / HTTP/1.1\" 502 157 \"-\" \"-\"
        2026-06-23T16:04:51.3+02:00 stderr F tion refused) while connecting to upstream, client: 10.0.0.9, server: , request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\", host: \"a\"
    ";

    #[test]
    fn docker_keeps_both_logs_in_one_file() {
        // nginx's zone is east of UTC by two hours, which nothing but the runtime's clock tells.
        assert_snapshot!(told("/docker/ID64", &[DOCKER]), @"127.0.0.1:8000 x2 since 14:04:51, from /var/lib/docker/containers/ID64/ID64-json.log");
        assert_snapshot!(told("/system.slice/docker-ID64.scope", &[
            "//- file /etc/docker/daemon.json\n{\"data-root\": \"/srv/docker\"}\n",
            &DOCKER.replace("/var/lib/docker", "/srv/docker"),
        ]), @"127.0.0.1:8000 x2 since 14:04:51, from /srv/docker/containers/ID64/ID64-json.log");
    }

    #[test]
    fn what_another_process_of_the_container_was_given_is_not_nginxs() {
        // nginx was started by `docker exec`, or under a supervisor that keeps its output.
        let other = "
            //- process 2700 start=12:00:00 cgroup=/docker/ID64
            /sbin/tini
            //- link /proc/2700/fd/1 -> pipe:[61]
            //- link /proc/2700/fd/2 -> pipe:[62]
        ";
        assert_snapshot!(told("/docker/ID64", &[DOCKER, other]), @"gap: what nginx wrote to its standard error: it does not go to its container's runtime (Docker container 3f29c8a7d54e): sudo docker logs 3f29c8a7d54e");
        assert_snapshot!(told("/docker/ID64", &[DOCKER, &other.replace("[61]", "[71]").replace("[62]", "[72]")]), @"127.0.0.1:8000 x2 since 14:04:51, from /var/lib/docker/containers/ID64/ID64-json.log");
    }

    #[test]
    fn conmon_says_where_its_log_is() {
        let conmon = |log: &str, parent| {
            format!(
                "
            //- process 2700 start=12:59:00 cgroup=/machine.slice/libpod-conmon-ID64.scope
            /usr/bin/conmon -c ID64 -n web -l {log}
            //- process 2741 ppid={parent} start=12:59:30 cgroup=/machine.slice/libpod-ID64.scope
            /docker-entrypoint.sh
            //- link /proc/2741/fd/1 -> pipe:[71]
            //- link /proc/2741/fd/2 -> pipe:[72]
        "
            )
        };
        let file = format!("//- file /srv/ctr.log\n{CRI}");
        let cgroup = "/machine.slice/libpod-ID64.scope/container";
        assert_snapshot!(told(cgroup, &[&conmon("k8s-file:/srv/ctr.log", 2700), &file]), @"127.0.0.1:8000 x1 since 14:04:51, from /srv/ctr.log");
        // Whoever calls himself conmon is not the container's.
        assert_snapshot!(told(cgroup, &[&conmon("k8s-file:/srv/ctr.log", 1), &file]), @"gap: what nginx wrote to its standard error: its container's runtime keeps it where it is not looked for (Podman container 3f29c8a7d54e): sudo podman logs 3f29c8a7d54e");
        assert_snapshot!(told(cgroup, &[&conmon("journald", 2700), r#"
            //- unit x.service
            //- journal ID64
            14:04:51 2026/06/23 14:04:51 [error] 29#29: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.9, server: , request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:8000/", host: "a"
        "#]), @"127.0.0.1:8000 x1 since 14:04:51, from journalctl CONTAINER_ID_FULL=ID64");
    }

    #[test]
    fn the_kubelet_leads_to_the_runtimes_file() {
        let log = "/var/log/containers/web-1_shop_nginx-ID64.log";
        let file = format!("//- file {log}\n{CRI}");
        let cgroup = "/kubepods.slice/kubepods-pod1_2.slice/cri-containerd-ID64.scope";
        assert_snapshot!(told(cgroup, &[&file]), @"127.0.0.1:8000 x1 since 14:04:51, from /var/log/containers/web-1_shop_nginx-ID64.log");
        let rotated = format!(
            "
            //- link {log} -> /var/log/pods/shop_web-1_1-2/nginx/0.log
            //- file /var/log/pods/shop_web-1_1-2/nginx/0.log.20260623-140450
            x
        "
        );
        assert_snapshot!(told(cgroup, &[&file, &rotated]), @r#"
        127.0.0.1:8000 x1 since 14:04:51, from /var/log/containers/web-1_shop_nginx-ID64.log
        gap: what nginx wrote before 14:04:51 UTC: it was rotated out of /var/log/pods/shop_web-1_1-2/nginx/0.log: sudo crictl logs 3f29c8a7d54e
        "#);
    }

    #[test]
    fn what_cannot_be_read_is_a_gap() {
        assert_snapshot!(told("/docker/ID64", &[]), @"gap: what nginx wrote to its standard error: its container's runtime keeps it where it is not looked for (Docker container 3f29c8a7d54e): sudo docker logs 3f29c8a7d54e");
        assert_snapshot!(told("/kubepods/burstable/pod0-1/ID64", &[]), @"gap: what nginx wrote to its standard error: its container's runtime keeps it where it is not looked for (Kubernetes container 3f29c8a7d54e): sudo crictl logs 3f29c8a7d54e");
        assert_snapshot!(told("/docker/ID64", &[DOCKER, "//- denied file host /var/lib/docker\n"]), @"gap: /var/lib/docker/containers/ID64/ID64-json.log: needs root: sudo why502");
        assert_snapshot!(told("/docker/ID64", &[DOCKER, "//- denied link /proc/2841/fd/2\n"]), @r#"
        gap: /proc/2841/fd/2: needs root: sudo why502
        gap: why 2 requests got 502 or 504 (/var/log/nginx/access.log): no error line says it, and no error_log hides it: the application or a return answered so, or the error log of that time was moved away: grep -E '" 50[24] ' /var/log/nginx/access.log
        "#);
        assert_snapshot!(told("/", &[DOCKER]), @"gap: what nginx wrote to its standard error: it goes to no file: why502 --error-log FILE");
    }

    #[test]
    fn names_within_a_pid_namespace_are_not_taken_for_the_hosts() {
        // Another nginx is called on the host what the worker is called in its container.
        let strangers = "
            //- nginx master=28 workers=29
            //- file /etc/nginx/nginx.conf
            error_log /var/log/other.log;
            http { server { listen 81; } }
            //- file /var/log/other.log
        ";
        let inside = "
            //- file /proc/2841/status
            Uid:\t0\t0\t0\t0
            Gid:\t0\t0\t0\t0
            NSpid:\t2841\t1
        ";
        assert_snapshot!(told("/docker/ID64", &[DOCKER, strangers, inside]), @"127.0.0.1:8000 x2 since 14:04:51, from /var/lib/docker/containers/ID64/ID64-json.log");
    }
}
