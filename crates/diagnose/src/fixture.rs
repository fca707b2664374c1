//! Tests that read as specifications: a host in one string, and what a cause says of it.
//!
//! A fixture becomes the raw records that a host would give, so the parsers run too; what it does not name, a bare host
//! answers: no such file, nothing listens, no netfilter chain, zone UTC, no such program. [`Host`] does the answering;
//! the loop is the product's own: plan, add, conclude.
//!
//! Sections begin with `//- `; the lines up to the next one are their body, without their indentation. Times are `HH:MM:SS` of the day of `now`.
//!
//! ```text
//! //- now 2026-06-23T14:05:00Z                 the clock; this is the default
//! //- options no-connect handshake request=URL since=2h config=F error-log=F pid=N
//! //- incident 127.0.0.1:8000                  which to judge, by peer or by "peer while"; needed where there are several
//! //- nginx master=2841 workers=2842,2843 start=13:00:00 workers-start=13:30:00 user=33:33 groups=50 version=1.22.1 args=-c,/srv/n.conf net=2 mnt=2 ppid=1
//!     cgroup=/system.slice/nginx.service filtered      `filtered`: its system calls are (Seccomp)
//! //- file /etc/nginx/nginx.conf ctime=12:00:00 mnt=2 cut        body: its bytes; `cut`: its end
//! //- failed 14:04:55 http://127.0.0.1:8000/ level=crit pid=2842 uri=/api    body: the message; a line more in the error log
//! //- logged 14:04:55 level=crit pid=2842 bare       the same without a peer; `bare`: without a client too
//! //- path /run/app.sock socket 660 77:77 dev=1 ino=2 ctime=12:00:00 acl=errno:1 selinux=u:r:t:s0 immutable=1 target=/x mnt=2    target: of a link, for the last part of a path
//! //- process 4120 ppid=1 start=14:02:10 cgroup=/system.slice/shop.service net=2 mnt=2 zombie stopped    body: its command line
//! //- listen tcp 127.0.0.1:8001 pid=4120 queue=0/128 v6only device=2 net=2
//! //- listen unix /run/app.sock pid=77 queue=0/128 dev=1 ino=2 mnt=2 gone    makes its file too, unless it is gone
//! //- foreign 2841                              a process whose program is no nginx, whatever it calls itself
//! //- hide 1                                    a process that is not to be seen
//! //- owners denied=3                           processes whose sockets could not be seen
//! //- connected 127.0.0.1:40000 -> 127.0.0.1:8000 x28000 net=2    so many TCP sockets, their own ports counting up
//! //- room /var/lib/nginx block=4096 blocks=10 free=0 available=0 files=10 free-files=5 read-only=0
//! //- dns 127.0.0.53:53 app.example A -> 10.0.0.5 10.0.0.6        or `code 3`, `errno 111`, `timeout`
//! //- local 10.0.0.5 net=2                      an address of the host, or of a network namespace, besides loopback
//! //- chain ip nat output rules=2               a netfilter base chain
//! //- iptables                                  body: what iptables-save (nf_tables) lists; makes its base chains too
//! //- iptables-legacy                           the same of the older tables, which the kernel lists by name alone
//! //- connect 127.0.0.1:8000 -> errno 111       or ok, timeout; without it: what the listeners and paths make of it
//! //- handshake 127.0.0.1:8443 tls1.3 app.internal    a hello as a request's text has it; body: the answer's text
//! //- request 127.0.0.1:8080                  body: the answer's text to a GET there, the first given at `now`
//! //- conversation 127.0.0.1:8080 tls1.3   body: the answer's text to a gate's conversation there, or to one whose request has those words
//! //- link /proc/2841/fd/2 -> /var/log/x
//! //- command systemctl show x -> exit 0        body: standard output; the exit status may be left out
//! //- command-fails ip route                    body: standard error; exit status 2
//! //- unit shop.service ActiveState=failed Result=exit-code      systemd runs, and says so of the unit
//! //- journal shop.service                      (or a container's id) body: lines `HH:MM:SS MESSAGE`; of systemd's own: `stopping`, `stopped`, `stopped-to-restart`, `started`,
//!                                               `failed RESULT`, `exited ExecStart killed 11`, `lost-to-oom`; of systemd-coredump: `dumped-core 4119 11`
//! //- kernel                                    body: lines `HH:MM:SS TEXT` of the kernel's log: in the journal where systemd
//!                                               runs, else by dmesg
//! //- selinux enforcing|permissive              the kernel runs SELinux, with the policy of `facts/testdata/selinux`
//! //- context 2842 system_u:system_r:httpd_t:s0     what a process is confined as
//! //- allow httpd_t http_port_t tcp_socket name_connect      what its policy decides; what no such section allows is denied
//! //- permissive httpd_t                       a domain that is let pass
//! //- denied file host /proc/2841               every question whose text begins so is answered with errno 13
//! //- unrecorded connect                        ... or is not in the snapshot
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use facts::sockets::{TcpState, TcpTable};
use facts::{Answer, PeerAddress, Probe, ProbeRequest, Record, RecordKind, SocketKind, Stat, View};
use jiff::{SignedDuration, Timestamp};

use crate::diagnosis::{CauseVerdict, Diagnosis, Judged, Judgement};
use crate::verdict::{Fix, Safety, Step};
use crate::{Case, Exhibit, GapKind, Options};

/// More rounds than any chain of evidence is long.
const MOST_ROUNDS: usize = 40;
/// A directory that all may pass.
const ROOTS: &str = "type=dir mode=755 uid=0 gid=0 dev=1 ino=1 size=0 mtime=0 ctime=0";
/// The namespaces that a host starts with.
const FIRST: u32 = 1;

/// The policy that its kernel has loaded.
const POLICY: &[u8] = include_bytes!("../../facts/testdata/selinux/tiny.33");
/// The permissions of its classes, in their places.
const PERMISSIONS: [&str; 4] = ["search", "write", "connectto", "name_connect"];

/// What `cause` says of the incident in a fixture (given in parts), after the answer for the incident as a whole.
#[track_caller]
pub(crate) fn check<const N: usize>(cause: &str, parts: [&str; N]) -> String {
    let fixture = Fixture::parse(&parts.concat());
    let diagnosis = fixture.diagnose();
    let judged = fixture.judged(&diagnosis);
    let verdict = judged
        .causes
        .iter()
        .find(|verdict| verdict.cause.id == cause)
        .unwrap_or_else(|| panic!("{cause} is no cause"));
    let mut text = answer(judged);
    write_verdict(&mut text, verdict);
    text
}

/// The answer for every incident, a line each: for tests of the whole.
pub(crate) fn answers<const N: usize>(parts: [&str; N]) -> String {
    let diagnosis = Fixture::parse(&parts.concat()).diagnose();
    let line = |judged: &Judged| {
        let action = judged.incident.action.map_or("", log::error::While::as_str);
        format!(
            "{} {action}: {}",
            judged.incident.peer,
            answer(judged).trim_end()
        )
    };
    diagnosis
        .incidents
        .iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A fixture, read.
pub(crate) struct Fixture {
    pub(crate) host: Host,
    pub(crate) options: Options,
    incident: Option<String>,
}

impl Fixture {
    pub(crate) fn parse(text: &str) -> Self {
        let sections = sections(text);
        let now = sections
            .iter()
            .find_map(|section| section.head.strip_prefix("now "))
            .unwrap_or("2026-06-23T14:05:00Z");
        let mut fixture = Self {
            host: Host::bare(now.parse().unwrap()),
            options: Options {
                now: now.parse().unwrap(),
                since: Duration::from_hours(1),
                config: None,
                prefix: None,
                pid: None,
                error_log: None,
                connect: true,
                handshake: false,
                request: None,
                selection: None,
                gate: None,
            },
            incident: None,
        };
        for section in &sections {
            fixture.take(section);
        }
        fixture
    }

    fn take(&mut self, section: &Section) {
        let words = Words::of(&section.head);
        let host = &mut self.host;
        match words.at(0) {
            "now" => {}
            "incident" => {
                self.incident = section
                    .head
                    .split_once(' ')
                    .map(|(_, peer)| peer.to_owned());
            }
            "options" => {
                self.options.connect = !words.has("no-connect");
                self.options.handshake = words.has("handshake");
                self.options.config = words.key("config").map(PathBuf::from);
                self.options.error_log = words.key("error-log").map(PathBuf::from);
                self.options.pid = words.number("pid");
                self.options.request = words
                    .key("request")
                    .map(|url| facts::Url::parse(url).unwrap());
                if let Some(since) = words.key("since") {
                    self.options.since = conf::units::parse_time(since.as_bytes()).unwrap();
                }
            }
            "nginx" => host.nginx(&words),
            "file" => {
                let changed = words
                    .time(host.now, "ctime")
                    .unwrap_or_else(|| host.at("12:00:00"));
                let key = (words.namespace("mnt"), PathBuf::from(words.at(1)));
                if words.has("cut") {
                    host.cut.insert(key.1.clone());
                }
                host.files
                    .insert(key, (section.body.clone().into_bytes(), changed));
            }
            "failed" => {
                let peer = format!(", upstream: \"{}\"", words.at(2));
                host.failed(&words, &section.body, &requested(&words, &peer));
            }
            "logged" if words.has("bare") => host.failed(&words, &section.body, ""),
            "logged" => host.failed(&words, &section.body, &requested(&words, "")),
            "path" => {
                let (uid, gid) = words.at(4).split_once(':').unwrap();
                let node = host.node(words.at(2), words.at(3), (uid, gid), &words);
                host.nodes
                    .insert((words.namespace("mnt"), PathBuf::from(words.at(1))), node);
            }
            "process" => host.process(&words, &section.body),
            "listen" => match words.at(1) {
                "tcp" => host.listen_tcp(&words),
                "unix" => host.listen_unix(&words),
                other => panic!("listen {other}"),
            },
            "owners" => writeln!(host.owners, "# denied {}", words.key("denied").unwrap()).unwrap(),
            "local" => host
                .addresses
                .push((words.namespace("net"), words.at(1).parse().unwrap())),
            "connected" => host.connect_tcp(&words),
            "room" => {
                let room = words.words.iter().skip(2).cloned().collect::<Vec<_>>();
                host.rooms
                    .insert(PathBuf::from(words.at(1)), room.join(" ") + "\n");
            }
            "dns" => {
                let kind = match words.at(3) {
                    "A" => RecordKind::A,
                    "AAAA" => RecordKind::Aaaa,
                    other => panic!("dns {other}"),
                };
                let key = (words.at(1).parse().unwrap(), words.at(2).to_owned(), kind);
                let answer = match words.after_arrow(0) {
                    "errno" => Answer::Errno(words.after_arrow(1).parse().unwrap()),
                    "timeout" => Answer::TimedOut,
                    "code" => reply(words.after_arrow(1).parse().unwrap(), &[]),
                    _ => {
                        let arrow = words.words.iter().position(|word| word == "->").unwrap();
                        let ips = words.words.iter().skip(arrow + 1);
                        reply(0, &ips.map(|ip| ip.parse().unwrap()).collect::<Vec<_>>())
                    }
                };
                host.names.insert(key, answer);
            }
            "chain" => {
                let name = format!("{} {} {}", words.at(2), "c", words.at(3));
                let rules = words.number("rules").unwrap();
                host.chains
                    .extend(chain(words.at(1), "t", &name, "accept", rules));
            }
            "iptables" => host.iptables(&section.body),
            "iptables-legacy" => {
                let tables = section
                    .body
                    .lines()
                    .filter_map(|line| line.strip_prefix('*'));
                let tables: Vec<String> = tables.map(|table| format!("{table}\n")).collect();
                let names = (FIRST, PathBuf::from("/proc/self/net/ip_tables_names"));
                host.files
                    .insert(names, (tables.concat().into_bytes(), host.now));
                host.commands.insert(
                    vec!["iptables-legacy-save".to_owned()],
                    (0, section.body.clone()),
                );
            }
            "connect" => {
                let answer = match (words.after_arrow(0), words.after_arrow(1)) {
                    ("errno", errno) => Answer::Errno(errno.parse().unwrap()),
                    ("timeout", _) => Answer::TimedOut,
                    ("ok", _) => connected(),
                    other => panic!("connect -> {other:?}"),
                };
                host.connects.insert(words.at(1).to_owned(), answer);
            }
            "handshake" => {
                let hello: Vec<&str> = words.words.iter().skip(1).map(String::as_str).collect();
                host.handshakes
                    .insert(hello.join(" "), section.body.clone().into_bytes());
            }
            "request" => {
                host.requests
                    .insert(words.at(1).to_owned(), section.body.clone().into_bytes());
            }
            "conversation" => {
                let answer = section.body.clone().into_bytes();
                let word = words.words.get(2).cloned().unwrap_or_default();
                host.conversations
                    .push((words.at(1).to_owned(), word, answer));
            }
            "link" => {
                host.links
                    .insert(PathBuf::from(words.at(1)), words.after_arrow(0).to_owned());
            }
            "command" => {
                let argv = words
                    .words
                    .iter()
                    .skip(1)
                    .take_while(|word| *word != "->")
                    .cloned()
                    .collect();
                let code = if words.after_arrow(0) == "exit" {
                    words.after_arrow(1).parse().unwrap()
                } else {
                    0
                };
                host.commands.insert(argv, (code, section.body.clone()));
            }
            "command-fails" => {
                let argv = words.words.iter().skip(1).cloned().collect();
                host.complaints.insert(argv, section.body.clone());
            }
            "unit" => {
                let properties: Vec<String> = words.words.iter().skip(2).cloned().collect();
                host.units
                    .insert(words.at(1).to_owned(), properties.join("\n") + "\n");
                host.nodes.insert(
                    (FIRST, PathBuf::from("/run/systemd/system")),
                    ROOTS.to_owned(),
                );
            }
            "journal" => {
                let lines = section.body.lines();
                let entries = lines.map(|line| host.entry(words.at(1), line)).collect();
                host.journals.insert(words.at(1).to_owned(), entries);
            }
            "selinux" => {
                host.kernel_file("/proc/filesystems", "nodev\tselinuxfs\n");
                let enforce = if words.has("enforcing") { "1" } else { "0" };
                host.kernel_file("/sys/fs/selinux/enforce", enforce);
                host.kernel_file("/sys/fs/selinux/policy", POLICY);
            }
            "context" => {
                host.kernel_file(&format!("/proc/{}/attr/current", words.at(1)), words.at(2));
            }
            "allow" => {
                let rule = [words.at(1), words.at(2), words.at(3), words.at(4)];
                host.allowed.insert(rule.map(str::to_owned));
            }
            "permissive" => drop(host.permissive.insert(words.at(1).to_owned())),
            "kernel" => host.kernel = Some(section.body.clone()),
            "hide" => drop(host.processes.remove(&words.at(1).parse().unwrap())),
            "foreign" => {
                host.foreign.insert(words.rest().parse().unwrap());
            }
            "denied" => host.refused.push((words.rest(), Answer::Errno(13))),
            "unrecorded" => host.refused.push((words.rest(), Answer::NotRecorded)),
            other => panic!("no section is called {other}"),
        }
    }

    /// The same for an inventory.
    pub(crate) fn inventory(&self) -> crate::Inventory {
        let mut case = Case::new(self.options.clone());
        for _ in 0..MOST_ROUNDS {
            let wanted = case.plan_inventory();
            if wanted.is_empty() {
                return case.inventory();
            }
            for request in wanted {
                let record = self.host.ask(&request);
                case.add(request, record);
            }
        }
        panic!("the case asks in a circle");
    }

    /// The product's own loop.
    pub(crate) fn diagnose(&self) -> Diagnosis {
        let mut case = Case::new(self.options.clone());
        for _ in 0..MOST_ROUNDS {
            let wanted = case.plan();
            if wanted.is_empty() {
                return case.conclude();
            }
            for request in wanted {
                let record = self.host.ask(&request);
                case.add(request, record);
            }
        }
        panic!("the case asks in a circle");
    }

    /// What the lints find.
    pub(crate) fn lint(&self, options: &crate::lints::LintOptions) -> crate::lints::LintReport {
        let mut case = Case::new(self.options.clone());
        for _ in 0..MOST_ROUNDS {
            let wanted = case.lint_plan(options);
            if wanted.is_empty() {
                return case.lint(options);
            }
            for request in wanted {
                let record = self.host.ask(&request);
                case.add(request, record);
            }
        }
        panic!("the lints ask in a circle");
    }

    pub(crate) fn judged<'a>(&self, diagnosis: &'a Diagnosis) -> &'a Judged {
        let name = |judged: &Judged| {
            let action = judged.incident.action.map_or("", log::error::While::as_str);
            format!("{} {action}", judged.incident.peer)
        };
        let wanted: Vec<&Judged> = diagnosis
            .incidents
            .iter()
            .filter(|judged| {
                self.incident
                    .as_ref()
                    .is_none_or(|named| judged.incident.peer == *named || name(judged) == *named)
            })
            .collect();
        match wanted.as_slice() {
            &[only] => only,
            several => panic!(
                "not one incident but {:?}; gaps: {:?}",
                several
                    .iter()
                    .map(|judged| name(judged))
                    .collect::<Vec<_>>(),
                diagnosis.gaps
            ),
        }
    }
}

fn answer(judged: &Judged) -> String {
    let cause = judged.cause.map_or("none", |cause| cause.id);
    let when = if judged.ongoing() { "ongoing" } else { "over" };
    format!("answer: {cause}, {when}\n")
}

fn write_verdict(text: &mut String, verdict: &CauseVerdict) {
    match &verdict.judgement {
        Judgement::Confirmed(confirmation) => {
            writeln!(text, "confirmed: {}", confirmation.summary).unwrap();
            for exhibit in confirmation.proof.exhibits() {
                writeln!(text, "- {}", exhibited(exhibit)).unwrap();
            }
            for fix in &confirmation.fixes {
                write_fix(text, fix);
            }
        }
        Judgement::RuledOut(proof) => {
            writeln!(text, "ruled out").unwrap();
            for exhibit in proof.exhibits() {
                writeln!(text, "- {}", exhibited(exhibit)).unwrap();
            }
        }
        Judgement::Unknown(gap) => {
            assert_ne!(
                gap.kind,
                GapKind::Pending,
                "a pending gap reached the end: {gap:?}"
            );
            writeln!(text, "unknown: {}: {}", gap.missing, gap.why).unwrap();
            if let Some(learn) = &gap.learn {
                writeln!(text, "learn: {learn}").unwrap();
            }
            if let Some(leaning) = &gap.leaning {
                writeln!(text, "leaning: {leaning}").unwrap();
            }
        }
    }
}

fn exhibited(exhibit: &Exhibit) -> String {
    let clock = |at: &Option<Timestamp>| {
        at.map_or(String::new(), |at| format!(" {}", at.strftime("%H:%M:%S")))
    };
    match exhibit {
        Exhibit::Log { at, text, count } => {
            let said = text.split(", client: ").next().unwrap();
            let said = said
                .split_once('#')
                .and_then(|(_, rest)| rest.split_once(": "))
                .map_or(said, |(_, said)| said);
            let said = match said.split_once(' ') {
                Some((connection, said)) if connection.starts_with('*') => said,
                _ => said,
            };
            format!("log{} x{count}: {said}", clock(at))
        }
        Exhibit::Config(span) => {
            let label = span
                .label
                .as_ref()
                .map_or(String::new(), |label| format!(" ({label})"));
            format!(
                "config {}:{}: {}{label}",
                span.file.display(),
                span.line,
                span.text
            )
        }
        Exhibit::Record { probe, at, text } => format!("{probe}{}: {text}", clock(at)),
    }
}

fn write_fix(text: &mut String, fix: &Fix) {
    let safety = match fix.safety {
        Safety::Safe => "safe",
        Safety::Unsafe => "unsafe",
        Safety::DisplayOnly => "shown",
    };
    writeln!(text, "fix, {safety}: {}", fix.summary).unwrap();
    for step in &fix.steps {
        match step {
            Step::Edit {
                file,
                line,
                old,
                new,
            } => writeln!(text, "  {}:{line}: {old} => {new}", file.display()),
            Step::Command { argv } => writeln!(text, "  $ {}", argv.join(" ")),
            Step::Advice { text: advice } => writeln!(text, "  {advice}"),
        }
        .unwrap();
    }
}

/// A host made of a fixture; its raw answers.
pub(crate) struct Host {
    now: Timestamp,
    files: BTreeMap<(u32, PathBuf), (Vec<u8>, Timestamp)>,
    /// The fields of a line of a walk.
    nodes: BTreeMap<(u32, PathBuf), String>,
    processes: BTreeMap<u32, Running>,
    /// Version by master.
    versions: BTreeMap<u32, String>,
    /// By network namespace: raw messages.
    tcp: Vec<(u32, Vec<u8>)>,
    unix: Vec<u8>,
    /// Device and inode of the files that are listened on.
    open: BTreeSet<(u64, u64)>,
    owners: String,
    /// By network namespace: raw messages of sockets that have another end.
    connected: Vec<(u32, Vec<u8>)>,
    /// The room on file systems, by a path on them.
    rooms: BTreeMap<PathBuf, String>,
    /// Answers of name servers, by server, name and kind.
    names: BTreeMap<(SocketAddr, String, RecordKind), Answer>,
    /// By network namespace, besides loopback.
    addresses: Vec<(u32, IpAddr)>,
    chains: Vec<u8>,
    connects: BTreeMap<String, Answer>,
    /// By address and hello.
    handshakes: BTreeMap<String, Vec<u8>>,
    /// By address.
    requests: BTreeMap<String, Vec<u8>>,
    /// By peer and a word of the request; the first that fits.
    conversations: Vec<(String, String, Vec<u8>)>,
    links: BTreeMap<PathBuf, String>,
    commands: BTreeMap<Vec<String>, (i32, String)>,
    /// What programs that fail complain of.
    complaints: BTreeMap<Vec<String>, String>,
    /// Properties by unit, a line each.
    units: BTreeMap<String, String>,
    /// journalctl's output by unit.
    journals: BTreeMap<String, String>,
    /// The kernel's lines, each with its clock.
    kernel: Option<String>,
    /// What SELinux allows: domain, type, class and permission.
    allowed: BTreeSet<[String; 4]>,
    /// Domains that SELinux lets pass.
    permissive: BTreeSet<String>,
    foreign: BTreeSet<u32>,
    refused: Vec<(String, Answer)>,
    /// Files that were recorded without their beginning.
    cut: BTreeSet<PathBuf>,
    last_inode: u32,
}

struct Running {
    ppid: u32,
    start: Timestamp,
    state: char,
    /// Arguments, each with its NUL.
    cmdline: Vec<u8>,
    cgroup: String,
    credentials: [String; 3],
    net: u32,
    mnt: u32,
    is_filtered: bool,
}

impl Host {
    fn bare(now: Timestamp) -> Self {
        let mut host = Self {
            now,
            files: BTreeMap::new(),
            nodes: BTreeMap::new(),
            processes: BTreeMap::new(),
            versions: BTreeMap::new(),
            tcp: Vec::new(),
            unix: Vec::new(),
            open: BTreeSet::new(),
            owners: String::new(),
            addresses: Vec::new(),
            connected: Vec::new(),
            rooms: BTreeMap::new(),
            names: BTreeMap::new(),
            chains: Vec::new(),
            connects: BTreeMap::new(),
            handshakes: BTreeMap::new(),
            requests: BTreeMap::new(),
            conversations: Vec::new(),
            links: BTreeMap::new(),
            commands: BTreeMap::new(),
            complaints: BTreeMap::new(),
            units: BTreeMap::new(),
            journals: BTreeMap::new(),
            kernel: None,
            allowed: BTreeSet::new(),
            permissive: BTreeSet::new(),
            foreign: BTreeSet::new(),
            refused: Vec::new(),
            cut: BTreeSet::new(),
            last_inode: 9000,
        };
        host.commands.insert(
            ["getent", "ahosts", "localhost"]
                .map(str::to_owned)
                .to_vec(),
            (0, "::1 STREAM localhost\n127.0.0.1 STREAM\n".to_owned()),
        );
        host.kernel_file("/proc/filesystems", "nodev\tproc\n\text4\n");
        host.process(
            &Words::of("process 1 ppid=0 start=00:00:00"),
            "/sbin/init\n",
        );
        host
    }

    fn at(&self, clock: &str) -> Timestamp {
        let day = self.now.strftime("%Y-%m-%d");
        format!("{day}T{clock}Z").parse().unwrap()
    }

    fn boot(&self) -> Timestamp {
        self.at("00:00:00")
    }

    fn nginx(&mut self, words: &Words) {
        let master = words.number("master").unwrap_or(2841);
        let workers = words.key("workers").unwrap_or("2842");
        let user = words.key("user").unwrap_or("33:33");
        let start = words.key("start").unwrap_or("13:00:00");
        let called: String = words
            .key("args")
            .map_or(String::new(), |args| format!(" {}", args.replace(',', " ")));
        let common = format!(
            "net={} mnt={} cgroup={}{}",
            words.namespace("net"),
            words.namespace("mnt"),
            words.key("cgroup").unwrap_or("/"),
            if words.has("filtered") {
                " filtered"
            } else {
                ""
            },
        );
        self.process(
            &Words::of(&format!(
                "process {master} ppid={} start={start} {common} user=0:0",
                words.number("ppid").unwrap_or(1)
            )),
            &format!("nginx: master process /usr/sbin/nginx{called}\n"),
        );
        let since = words.key("workers-start").unwrap_or(start);
        let groups = words.key("groups").unwrap_or_default();
        for worker in workers.split(',').filter(|worker| !worker.is_empty()) {
            self.process(
                &Words::of(&format!("process {worker} ppid={master} start={since} user={user} groups={groups} {common}")),
                "nginx: worker process\n",
            );
        }
        self.versions
            .insert(master, words.key("version").unwrap_or("1.22.1").to_owned());
    }

    fn process(&mut self, words: &Words, body: &str) {
        let body = body.trim_end();
        // A title stands in one piece.
        let is_title = body
            .split(' ')
            .next()
            .is_some_and(|word| word.ends_with(':'));
        let mut cmdline = if is_title {
            body.to_owned()
        } else {
            body.replace(' ', "\0")
        }
        .into_bytes();
        if !cmdline.is_empty() {
            cmdline.push(0);
        }
        let (uid, gid) = words
            .key("user")
            .unwrap_or("1000:1000")
            .split_once(':')
            .unwrap();
        let running = Running {
            ppid: words.number("ppid").unwrap_or(1),
            start: words
                .time(self.now, "start")
                .unwrap_or_else(|| self.at("12:30:00")),
            state: match (words.has("zombie"), words.has("stopped")) {
                (true, _) => 'Z',
                (false, true) => 'T',
                (false, false) => 'S',
            },
            cmdline,
            cgroup: words.key("cgroup").unwrap_or("/").to_owned(),
            credentials: [uid, gid, words.key("groups").unwrap_or_default()].map(str::to_owned),
            net: words.namespace("net"),
            mnt: words.namespace("mnt"),
            is_filtered: words.has("filtered"),
        };
        self.processes.insert(words.at(1).parse().unwrap(), running);
    }

    fn node(&self, kind: &str, mode: &str, (uid, gid): (&str, &str), words: &Words) -> String {
        let changed = words
            .time(self.now, "ctime")
            .unwrap_or_else(|| self.at("12:00:00"));
        let mut node = format!(
            "type={kind} mode={mode} uid={uid} gid={gid} dev={} ino={} size=0 mtime=0 ctime={}",
            words.key("dev").unwrap_or("1"),
            words.key("ino").unwrap_or("2"),
            changed.as_nanosecond(),
        );
        for key in ["acl", "selinux", "immutable", "target"] {
            if let Some(value) = words.key(key) {
                write!(node, " {key}={value}").unwrap();
            }
        }
        node
    }

    fn kernel_file(&mut self, path: &str, bytes: impl AsRef<[u8]>) {
        let boot = self.boot();
        self.files.insert(
            (FIRST, PathBuf::from(path)),
            (bytes.as_ref().to_vec(), boot),
        );
    }

    /// As set; else what a connection makes of it, and silence.
    fn conversation(&self, held: &facts::Conversation) -> Answer {
        let text = ProbeRequest::Conversation(held.clone()).to_string();
        let words: Vec<&str> = text.split(' ').collect();
        let is_set = |(peer, word, _): &&(String, String, Vec<u8>)| {
            *peer == held.to.to_string() && (word.is_empty() || words.contains(&word.as_str()))
        };
        if let Some((_, _, answer)) = self.conversations.iter().find(is_set) {
            return Answer::Bytes(answer.clone());
        }
        let from = match held.from {
            facts::Caller::Process(pid) => Some(pid),
            _ => None,
        };
        match self.connect(from, &held.to) {
            Answer::Bytes(_) => {
                Answer::Bytes(b"connected us=100\ntook us=200\nended closed\n".to_vec())
            }
            failed => failed,
        }
    }

    /// The kernel's answer to a question of access, with the places of [`PERMISSIONS`].
    fn selinux_access(&self, source: &str, target: &str, class: &str) -> Answer {
        let kind = |context: &str| facts::selinux::kind(context).map(str::to_owned);
        let (Some(source), Some(target)) = (kind(source), kind(target)) else {
            return Answer::Errno(22);
        };
        let is_allowed = |permission: &str| {
            let rule = [&source, &target, class, permission].map(|word| (*word).to_owned());
            self.allowed.contains(&rule)
        };
        let bits = (0..)
            .zip(PERMISSIONS)
            .filter(|(_, permission)| is_allowed(permission));
        let allowed: u32 = bits.map(|(bit, _): (u32, _)| 1 << bit).sum();
        let flags = u8::from(self.permissive.contains(&source));
        Answer::Bytes(format!("{allowed:x} ffffffff 0 ffffffff 3 {flags:x}").into_bytes())
    }

    /// A line as nginx writes it.
    fn failed(&mut self, words: &Words, message: &str, fields: &str) {
        let day = self.now.strftime("%Y/%m/%d");
        let (level, pid) = (
            words.key("level").unwrap_or("error"),
            words.number("pid").unwrap_or(2842),
        );
        let connection = if fields.is_empty() { "" } else { "*1 " };
        let line = format!(
            "{day} {} [{level}] {pid}#{pid}: {connection}{}{fields}\n",
            words.at(1),
            message.trim_end(),
        );
        // The file was last changed when its last line was written.
        let log = (FIRST, PathBuf::from("/var/log/nginx/error.log"));
        let at = self.at(words.at(1));
        let (bytes, changed) = self.files.entry(log).or_insert((Vec::new(), at));
        *changed = at.max(*changed);
        bytes.extend(line.into_bytes());
    }

    /// A line of `journalctl --output=json`. The ids are those of systemd/sd-messages.h.
    fn entry(&self, unit: &str, line: &str) -> String {
        let (clock, message) = line.split_once(' ').unwrap();
        let at = self.at(clock).as_microsecond();
        let mut words = message.split(' ');
        let id = match words.next().unwrap() {
            "started" => "39f53479d3a045ac8e11786248231fbf",
            "stopping" => "de5b426a63be47a7b6ac3eaac82e2f6f",
            "stopped" | "stopped-to-restart" => "9d1aaa27d60140bd96365438aad20286",
            "failed" => "d9b373ed55a64feb8242e02dbe79a49c",
            "exited" => "98e322203f7a4ed290d09fe03c09fe15",
            "lost-to-oom" => "fe6faa94e7774663a0da52717891d8ef",
            "dumped-core" => "fc2e22bc6ee647b6b90729ab34a250b1",
            _ => {
                let message = message.replace('\\', "\\\\").replace('"', "\\\"");
                return format!(
                    "{{\"__REALTIME_TIMESTAMP\":\"{at}\",\"_SYSTEMD_UNIT\":\"{unit}\",\"MESSAGE\":\"{message}\"}}\n"
                );
            }
        };
        let job = if message.starts_with("stopped-to-restart") {
            "restart"
        } else {
            "stop"
        };
        let mut word = || words.next().unwrap_or_default();
        let (command, code, status) = (word(), word(), word());
        format!(
            "{{\"__REALTIME_TIMESTAMP\":\"{at}\",\"_PID\":\"1\",\"_COMM\":\"systemd\",\"_UID\":\"0\",\"UNIT\":\"{unit}\",\
             \"MESSAGE_ID\":\"{id}\",\"JOB_TYPE\":\"{job}\",\"COMMAND\":\"{command}\",\"COREDUMP_UNIT\":\"{unit}\",\"COREDUMP_PID\":\"{command}\",\"COREDUMP_SIGNAL\":\"{code}\",\"UNIT_RESULT\":\"{command}\",\"EXIT_CODE\":\"{code}\",\"EXIT_STATUS\":\"{status}\",\"MESSAGE\":\"{unit} {message}\"}}\n"
        )
    }

    fn iptables(&mut self, listing: &str) {
        let mut table = "";
        for line in listing.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = name;
            }
            let Some((name, policy)) = line
                .strip_prefix(':')
                .and_then(|chain| chain.split_once(' '))
            else {
                continue;
            };
            if policy != "-" {
                let kind = if table == "nat" { "nat" } else { "filter" };
                let kind = format!("{kind} {name} {}", name.to_lowercase());
                let policy = policy.to_lowercase();
                self.chains.extend(chain("ip", table, &kind, &policy, 1));
            }
        }
        let listing = format!("# Generated by iptables-save v1.8.9 (nf_tables)\n{listing}");
        self.commands
            .insert(vec!["iptables-save".to_owned()], (0, listing));
    }

    fn command(&self, argv: &[String]) -> Answer {
        if let Some(said) = self.complaints.get(argv) {
            return Answer::Exit {
                code: Some(2),
                stdout: Vec::new(),
                stderr: said.clone().into_bytes(),
            };
        }
        let (code, stdout) = match argv {
            _ if self.commands.contains_key(argv) => self.commands[argv].clone(),
            [systemctl, show, .., _]
                if systemctl == "systemctl" && show == "show" && !self.units.is_empty() =>
            {
                let named = argv.iter().filter_map(|arg| {
                    let properties = self.units.get(arg)?;
                    Some(format!(
                        "Id={arg}\nNames={arg}\nLoadState=loaded\n{properties}\n"
                    ))
                });
                (0, named.collect())
            }
            [journalctl, .., last] if journalctl == "journalctl" && last == "--dmesg" => {
                if self.units.is_empty() {
                    return Answer::Errno(2);
                }
                (0, self.kernel_entries())
            }
            [dmesg] if dmesg == "dmesg" && self.kernel.is_some() => (0, self.kernel_buffer()),
            [journalctl, ..] if journalctl == "journalctl" && !self.units.is_empty() => {
                let units = argv.iter().filter_map(|arg| {
                    let name = arg.strip_prefix("--unit=");
                    let name = name.or_else(|| arg.strip_prefix("CONTAINER_ID_FULL="));
                    self.journals.get(name?)
                });
                (0, units.cloned().collect())
            }
            [getent, ..] if getent == "getent" => (2, String::new()),
            _ => return Answer::Errno(2),
        };
        Answer::Exit {
            code: Some(code),
            stdout: stdout.into_bytes(),
            stderr: Vec::new(),
        }
    }

    /// The kernel's lines with their times.
    fn kernel_lines(&self) -> impl Iterator<Item = (Timestamp, &str)> {
        let lines = self.kernel.iter().flat_map(|text| text.lines());
        lines.map(|line| {
            let (clock, text) = line.split_once(' ').unwrap();
            (self.at(clock), text)
        })
    }

    fn kernel_entries(&self) -> String {
        let entry = |(at, text): (Timestamp, &str)| {
            format!(
                "{{\"__REALTIME_TIMESTAMP\":\"{}\",\"_TRANSPORT\":\"kernel\",\"MESSAGE\":\"{}\"}}\n",
                at.as_microsecond(),
                text.replace('"', "\\\"")
            )
        };
        self.kernel_lines().map(entry).collect()
    }

    fn kernel_buffer(&self) -> String {
        let line = |(at, text): (Timestamp, &str)| {
            let since = at.duration_since(self.boot()).as_secs();
            format!("[{since:5}.000000] {text}\n")
        };
        let lines: String = self.kernel_lines().map(line).collect();
        format!("[    0.000000] Linux version 6.1.0\n{lines}")
    }

    fn inode(&mut self, words: &Words) -> u32 {
        self.last_inode += 1;
        for pid in words
            .key("pid")
            .unwrap_or_default()
            .split(',')
            .filter(|pid| !pid.is_empty())
        {
            writeln!(self.owners, "{} {pid}", self.last_inode).unwrap();
        }
        self.last_inode
    }

    /// `struct inet_diag_msg` and `INET_DIAG_SKV6ONLY` (linux/inet_diag.h).
    fn listen_tcp(&mut self, words: &Words) {
        let address: SocketAddr = words.at(2).parse().unwrap();
        let (waiting, backlog) = words.queue();
        let mut payload = vec![if address.is_ipv4() { 2 } else { 10 }, 10, 0, 0];
        payload.extend(address.port().to_be_bytes());
        payload.extend([0; 2]);
        match address.ip() {
            IpAddr::V4(ip) => payload.extend(ip.octets().iter().chain(&[0; 12])),
            IpAddr::V6(ip) => payload.extend(ip.octets()),
        }
        payload.extend([0; 16]);
        payload.extend(words.number("device").unwrap_or(0).to_ne_bytes());
        payload.extend([0; 8]);
        let inode = self.inode(words);
        for number in [0, waiting, backlog, 1000, inode] {
            payload.extend(number.to_ne_bytes());
        }
        if address.is_ipv6() {
            payload.extend(attribute(11, &[u8::from(words.has("v6only"))]));
        }
        self.tcp
            .push((words.namespace("net"), message(20, &payload)));
    }

    /// `struct inet_diag_msg` of sockets in TIME-WAIT.
    fn connect_tcp(&mut self, words: &Words) {
        let local: SocketAddr = words.at(1).parse().unwrap();
        let remote: SocketAddr = words.after_arrow(0).parse().unwrap();
        let times: u16 = words
            .after_arrow(1)
            .strip_prefix('x')
            .map_or(1, |n| n.parse().unwrap());
        let octets = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => [ip.octets().as_slice(), &[0; 12]].concat(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        for port in local.port()..local.port() + times {
            let mut payload = vec![if local.is_ipv4() { 2 } else { 10 }, 6, 0, 0];
            payload.extend(port.to_be_bytes());
            payload.extend(remote.port().to_be_bytes());
            payload.extend(octets(local.ip()));
            payload.extend(octets(remote.ip()));
            payload.extend([0; 32]);
            self.connected
                .push((words.namespace("net"), message(20, &payload)));
        }
    }

    /// `struct unix_diag_msg` with `UNIX_DIAG_NAME`, `_VFS` and `_RQLEN` (linux/unix_diag.h).
    fn listen_unix(&mut self, words: &Words) {
        let path = words.at(2);
        let (waiting, backlog) = words.queue();
        let device: u64 = words.key("dev").unwrap_or("1").parse().unwrap();
        let file: u64 = words.key("ino").unwrap_or("2").parse().unwrap();
        let mut payload = vec![1, 1, 10, 0];
        payload.extend(self.inode(words).to_ne_bytes());
        payload.extend([0; 8]);
        payload.extend(attribute(0, path.as_bytes()));
        // The kernel keeps 12 bits of major before 20 of minor.
        let kernel = ((device >> 8) << 20) | (device & 0xff);
        let vfs = [
            u32::try_from(file).unwrap().to_ne_bytes(),
            u32::try_from(kernel).unwrap().to_ne_bytes(),
        ];
        payload.extend(attribute(1, &vfs.concat()));
        payload.extend(attribute(
            4,
            &[waiting.to_ne_bytes(), backlog.to_ne_bytes()].concat(),
        ));
        self.unix.extend(message(20, &payload));
        self.open.insert((device, file));
        let key = (words.namespace("mnt"), PathBuf::from(path));
        if !words.has("gone") && !self.nodes.contains_key(&key) {
            let node = self.node("socket", "777", ("0", "0"), words);
            self.nodes.insert(key, node);
        }
    }

    fn mnt(&self, view: View) -> u32 {
        match view {
            View::Host => FIRST,
            View::Process(pid) => self
                .processes
                .get(&pid)
                .map_or(FIRST, |process| process.mnt),
        }
    }

    fn net(&self, pid: Option<u32>) -> u32 {
        pid.and_then(|pid| self.processes.get(&pid))
            .map_or(FIRST, |process| process.net)
    }

    fn file(&self, view: View, path: &Path) -> Answer {
        if let Ok(place) = path.strip_prefix("/sys/fs/selinux/class") {
            let name = place.file_name().and_then(|name| name.to_str());
            let place = PERMISSIONS.iter().position(|known| Some(*known) == name);
            return place.map_or(Answer::Errno(2), |place| {
                Answer::Bytes((place + 1).to_string().into_bytes())
            });
        }
        let of_process = path
            .strip_prefix("/proc")
            .ok()
            .filter(|_| view == View::Host)
            .map(|rest| self.proc(rest));
        let given = self.files.get(&(self.mnt(view), path.to_owned())).cloned();
        let found = match of_process {
            _ if given.is_some() => given,
            Some(bytes) => bytes.map(|bytes| (bytes, self.now)),
            None => None,
        };
        let Some((bytes, changed)) = found else {
            return Answer::Errno(2);
        };
        let stat = Stat {
            mode: 0o100_644,
            uid: 0,
            gid: 0,
            device: 1,
            inode: 3,
            size: bytes.len() as u64,
            modified: changed,
            changed,
        };
        Answer::File {
            bytes,
            cut: self.cut.contains(path),
            stat,
        }
    }

    /// A file of `/proc`.
    fn proc(&self, path: &Path) -> Option<Vec<u8>> {
        let (first, rest) = path
            .to_str()?
            .split_once('/')
            .unwrap_or((path.to_str()?, ""));
        if first == "uptime" {
            let up = self.now.duration_since(self.boot()).as_secs();
            return Some(format!("{up}.00 0.00\n").into_bytes());
        }
        if let Some(file) = rest.strip_prefix("net/") {
            return self.proc_net(self.net(first.parse().ok()), file);
        }
        if first == "self" {
            return (rest == "status")
                .then(|| b"Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0\n".to_vec());
        }
        let pid: u32 = first.parse().ok()?;
        let process = self.processes.get(&pid)?;
        let text = match rest {
            "cmdline" => return Some(process.cmdline.clone()),
            "stat" => {
                let ticks = process.start.duration_since(self.boot()).as_millis() / 10;
                let state = process.state;
                let name = process
                    .cmdline
                    .split(|&byte| byte == 0 || byte == b' ')
                    .next()?;
                let name =
                    String::from_utf8_lossy(name.rsplit(|&byte| byte == b'/').next()?).into_owned();
                let name: String = name.trim_end_matches(':').chars().take(15).collect();
                format!(
                    "{pid} ({name}) {state} {} {}{ticks} 0\n",
                    process.ppid,
                    "0 ".repeat(17)
                )
            }
            "status" => {
                let [uid, gid, groups] = &process.credentials;
                format!(
                    "Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\nGroups:\t{}\nNSpid:\t{pid}\nSeccomp:\t{}\n",
                    groups.replace(',', " "),
                    if process.is_filtered { 2 } else { 0 },
                )
            }
            "cgroup" => format!("0::{}\n", process.cgroup),
            _ => return None,
        };
        Some(text.into_bytes())
    }

    fn proc_net(&self, net: u32, file: &str) -> Option<Vec<u8>> {
        let mut text = String::new();
        let loopback = ["127.0.0.1", "::1"].map(|ip| (net, ip.parse().unwrap()));
        let here = loopback.iter().chain(&self.addresses);
        for (_, address) in here.filter(|(of, _)| *of == net) {
            match (address, file) {
                (IpAddr::V4(ip), "fib_trie") => {
                    writeln!(text, "     |-- {ip}\n        /32 host LOCAL").unwrap();
                }
                (IpAddr::V6(ip), "if_inet6") => {
                    writeln!(text, "{:032x} 01 80 10 80 lo", ip.to_bits()).unwrap();
                }
                _ => {}
            }
        }
        matches!(file, "fib_trie" | "if_inet6").then(|| text.into_bytes())
    }

    fn directory(&self, view: View, path: &Path) -> Answer {
        let mut names: BTreeSet<String> = if path == Path::new("/proc") {
            self.processes
                .keys()
                .map(u32::to_string)
                .chain(["self".to_owned()])
                .collect()
        } else {
            let mnt = self.mnt(view);
            let known = self.files.keys().chain(self.nodes.keys());
            let below = known
                .filter(|(of, _)| *of == mnt)
                .filter_map(|(_, known)| known.strip_prefix(path).ok());
            below
                .filter_map(|rest| Some(rest.iter().next()?.to_str()?.to_owned()))
                .collect()
        };
        names.remove("");
        if names.is_empty() && self.walked(self.mnt(view), path).is_none() {
            return Answer::Errno(2);
        }
        Answer::Bytes(
            names
                .into_iter()
                .flat_map(|name| [name.as_bytes(), b"\0"].concat())
                .collect(),
        )
    }

    /// The fields of a path's own line; what stands above something known is a directory that all may pass.
    fn walked(&self, mnt: u32, path: &Path) -> Option<String> {
        let key = (mnt, path.to_owned());
        let plain = |kind: &str, mode| {
            format!("type={kind} mode={mode} uid=0 gid=0 dev=1 ino=1 size=0 mtime=0 ctime=0")
        };
        let mut known = self.files.keys().chain(self.nodes.keys());
        if let Some(node) = self.nodes.get(&key) {
            Some(node.clone())
        } else if self.files.contains_key(&key) {
            Some(plain("file", 644))
        } else if path == Path::new("/")
            || known.any(|(of, known)| *of == mnt && known.starts_with(path))
        {
            Some(plain("dir", 755))
        } else {
            None
        }
    }

    fn walk(&self, view: View, path: &Path) -> Answer {
        self.walk_after(view, path, 0)
    }

    /// After so many symbolic links.
    fn walk_after(&self, view: View, path: &Path, links: u32) -> Answer {
        let mut text = String::new();
        let ancestors: Vec<&Path> = path.ancestors().collect();
        for component in ancestors.iter().rev() {
            let Some(fields) = self.walked(self.mnt(view), component) else {
                writeln!(text, "{} errno=2", component.display()).unwrap();
                break;
            };
            if links == 40 && fields.contains(" target=") {
                writeln!(text, "{} errno=40", component.display()).unwrap();
                break;
            }
            writeln!(text, "{} {fields}", component.display()).unwrap();
            if let Some((_, target)) = fields.split_once(" target=") {
                let Answer::Bytes(rest) = self.walk_after(view, Path::new(target), links + 1)
                else {
                    unreachable!("a walk is told in bytes");
                };
                let rest = String::from_utf8(rest).unwrap();
                // The root was passed already.
                text.extend(rest.lines().skip(1).map(|line| format!("{line}\n")));
                break;
            }
            if component != &path && !fields.starts_with("type=dir") {
                writeln!(text, "{} errno=20", path.display()).unwrap();
                break;
            }
        }
        Answer::Bytes(text.into_bytes())
    }

    /// Of the nearest path above that is told of.
    fn room(&self, path: &Path) -> Answer {
        let told = path.ancestors().find_map(|above| self.rooms.get(above));
        told.map_or(Answer::Errno(2), |room| {
            Answer::Bytes(room.clone().into_bytes())
        })
    }

    fn dns(&self, server: SocketAddr, name: &str, kind: RecordKind) -> Answer {
        let key = (server, name.to_owned(), kind);
        self.names.get(&key).cloned().unwrap_or(Answer::TimedOut)
    }

    fn connect(&self, from: Option<u32>, to: &PeerAddress) -> Answer {
        if let Some(answer) = self.connects.get(&to.to_string()) {
            return answer.clone();
        }
        let answers = match to {
            PeerAddress::Tcp(address) => {
                let table = TcpTable::parse(&self.sockets(from, SocketKind::TcpListening));
                table.sockets.iter().any(|socket| {
                    socket.state == TcpState::Listen && socket.listens_on(*address) == Some(true)
                })
            }
            PeerAddress::Unix(path) => {
                let mnt = from.map_or(FIRST, |pid| self.mnt(View::Process(pid)));
                let Some(node) = self.walked(mnt, path) else {
                    return Answer::Errno(2);
                };
                let field = |name: &str| {
                    let value = node.split(' ').find_map(|field| field.strip_prefix(name));
                    value.unwrap().parse().unwrap()
                };
                self.open.contains(&(field("dev="), field("ino=")))
            }
        };
        if answers {
            connected()
        } else {
            Answer::Errno(111)
        }
    }

    fn sockets(&self, of: Option<u32>, kind: SocketKind) -> Vec<u8> {
        match kind {
            SocketKind::TcpListening => {
                let here = self.tcp.iter().filter(|(net, _)| *net == self.net(of));
                here.flat_map(|(_, message)| message.clone()).collect()
            }
            SocketKind::UnixListening => self.unix.clone(),
            SocketKind::TcpEstablished => Vec::new(),
            SocketKind::TcpConnected => {
                let here = self
                    .connected
                    .iter()
                    .filter(|(net, _)| *net == self.net(of));
                here.flat_map(|(_, message)| message.clone()).collect()
            }
        }
    }

    fn link(&self, path: &Path) -> Answer {
        if let Some(target) = self.links.get(path) {
            return Answer::Bytes(target.clone().into_bytes());
        }
        let text = path.to_str().unwrap();
        let found = text.strip_prefix("/proc/").and_then(|rest| {
            let (pid, what) = rest.split_once('/')?;
            let (net, mnt) = match pid {
                "self" => (FIRST, FIRST),
                pid => {
                    let process = self.processes.get(&pid.parse().ok()?)?;
                    (process.net, process.mnt)
                }
            };
            match what {
                "root" => Some("/".to_owned()),
                "ns/net" => Some(format!("net:[{net}]")),
                "ns/mnt" => Some(format!("mnt:[{mnt}]")),
                _ => None,
            }
        });
        found.map_or(Answer::Errno(2), |target| {
            Answer::Bytes(target.into_bytes())
        })
    }

    fn strings(&self, path: &Path) -> Answer {
        let master = path.to_str().and_then(|path| {
            path.strip_prefix("/proc/")?
                .strip_suffix("/exe")?
                .parse()
                .ok()
        });
        let version = master
            .and_then(|pid: u32| self.versions.get(&pid))
            .map_or("1.22.1", String::as_str);
        if master.is_some_and(|pid| self.foreign.contains(&pid)) {
            return Answer::Bytes(Vec::new());
        }
        if master.is_none() && path != Path::new("/usr/sbin/nginx") {
            return Answer::Errno(2);
        }
        let arguments = "--prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf \
            --error-log-path=/var/log/nginx/error.log --http-log-path=/var/log/nginx/access.log";
        Answer::Bytes(
            format!("nginx version: nginx/{version}\0configure arguments: {arguments}\0")
                .into_bytes(),
        )
    }
}

impl Probe for Host {
    fn ask(&self, request: &ProbeRequest) -> Record {
        let text = request.to_string();
        let refused = self
            .refused
            .iter()
            .find(|(prefix, _)| text.starts_with(prefix));
        let answer = match request {
            _ if refused.is_some() => refused.unwrap().1.clone(),
            ProbeRequest::File { view, path, .. }
            | ProbeRequest::MarkedLinesSince { view, path, .. } => self.file(*view, path),
            ProbeRequest::LinesSince {
                view, path, from, ..
            } => lines_since(self.file(*view, path), from),
            ProbeRequest::Directory { view, path } => self.directory(*view, path),
            ProbeRequest::Link { path } => self.link(path),
            ProbeRequest::Walk { view, path } => self.walk(*view, path),
            ProbeRequest::FileSystem { path, .. } => self.room(path),
            ProbeRequest::Strings { path, .. } => self.strings(path),
            ProbeRequest::Environment { .. } => Answer::Bytes(Vec::new()),
            ProbeRequest::Sockets { netns, kind } => Answer::Bytes(self.sockets(*netns, *kind)),
            ProbeRequest::SocketOwners => Answer::Bytes(self.owners.clone().into_bytes()),
            ProbeRequest::NetfilterChains { .. } => Answer::Bytes(self.chains.clone()),
            ProbeRequest::Connect { from, to } => self.connect(*from, to),
            ProbeRequest::Handshake { from, to, .. } => {
                let text = request.to_string();
                let hello = text.splitn(3, ' ').nth(2).unwrap();
                match self.handshakes.get(hello) {
                    Some(answer) => Answer::Bytes(answer.clone()),
                    None => match self.connect(*from, to) {
                        Answer::Bytes(_) => Answer::Bytes(b"ended closed\n".to_vec()),
                        failed => failed,
                    },
                }
            }
            ProbeRequest::Request { from, to, .. } => match self.requests.get(&to.to_string()) {
                Some(answer) => Answer::Bytes(answer.clone()),
                None => match self.connect(*from, to) {
                    Answer::Bytes(_) => Answer::Bytes(b"ended closed\n".to_vec()),
                    failed => failed,
                },
            },
            ProbeRequest::Conversation(held) => self.conversation(held),
            ProbeRequest::SelinuxAccess {
                source,
                target,
                class,
            } => self.selinux_access(source, target, class),
            ProbeRequest::Dns {
                server, name, kind, ..
            } => self.dns(*server, name, *kind),
            ProbeRequest::Command { argv } | ProbeRequest::CommandIn { argv, .. } => {
                self.command(argv)
            }
        };
        Record {
            at: self.now,
            answer,
        }
    }
}

/// A file from the first line on whose stamp is not below `from`; whole where no line has one.
fn lines_since(answer: Answer, from: &str) -> Answer {
    let Answer::File { bytes, cut, stat } = answer else {
        return answer;
    };
    let is_stamp = |line: &[u8]| {
        line.len() >= from.len()
            && line.iter().zip(from.as_bytes()).all(|(have, want)| {
                have == want || (have.is_ascii_digit() && want.is_ascii_digit())
            })
    };
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let first = lines
        .iter()
        .position(|line| is_stamp(line) && &line[..from.len()] >= from.as_bytes());
    let bytes = match first {
        Some(first) => lines[first..].concat(),
        None if lines.iter().any(|line| is_stamp(line)) => Vec::new(),
        None => lines.concat(),
    };
    Answer::File { bytes, cut, stat }
}

/// A name server's message (RFC 1035): a header, no question, and an answer for each address.
fn reply(code: u8, ips: &[IpAddr]) -> Answer {
    let count = u8::try_from(ips.len()).unwrap();
    let mut bytes = vec![0, 0, 0x81, 0x80 | code, 0, 0, 0, count, 0, 0, 0, 0];
    for ip in ips {
        let (kind, octets) = match ip {
            IpAddr::V4(ip) => (1, ip.octets().to_vec()),
            IpAddr::V6(ip) => (28, ip.octets().to_vec()),
        };
        let length = u8::try_from(octets.len()).unwrap();
        bytes.extend([1, b'x', 0, 0, kind, 0, 1, 0, 0, 0, 5, 0, length]);
        bytes.extend(octets);
    }
    Answer::Bytes(bytes)
}

/// The fields of a line about a request.
fn requested(words: &Words, peer: &str) -> String {
    let uri = words.key("uri").unwrap_or("/");
    format!(
        ", client: 192.0.2.7, server: shop.example, request: \"GET {uri} HTTP/1.1\"{peer}, host: \"shop.example\""
    )
}

fn connected() -> Answer {
    Answer::Bytes(b"connected in 80 us".to_vec())
}

/// `struct nlmsghdr` and a payload.
fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = u32::try_from(16 + payload.len())
        .unwrap()
        .to_ne_bytes()
        .to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend([0; 10]);
    message.extend(payload);
    message.resize(message.len().next_multiple_of(4), 0);
    message
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut attribute = u16::try_from(4 + value.len())
        .unwrap()
        .to_ne_bytes()
        .to_vec();
    attribute.extend(kind.to_ne_bytes());
    attribute.extend(value);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

/// `NFT_MSG_NEWCHAIN` (linux/netfilter/nf_tables.h). `kind` is the type, the chain's name and its hook.
fn chain(family: &str, table: &str, kind: &str, policy: &str, rules: u32) -> Vec<u8> {
    let family = match family {
        "inet" => 1,
        "ip" => 2,
        "ip6" => 10,
        other => panic!("chain {other}"),
    };
    let [kind, name, hook] = kind.split(' ').collect::<Vec<_>>()[..] else {
        panic!("chain {kind}");
    };
    let hook: u32 = match hook {
        "prerouting" => 0,
        "input" => 1,
        "forward" => 2,
        "output" => 3,
        "postrouting" => 4,
        other => panic!("hook {other}"),
    };
    let hook = [
        attribute(1, &hook.to_be_bytes()),
        attribute(2, &0u32.to_be_bytes()),
    ]
    .concat();
    let payload = [
        vec![family, 0, 0, 0],
        attribute(1, format!("{table}\0").as_bytes()),
        attribute(3, format!("{name}\0").as_bytes()),
        attribute(4, &hook),
        attribute(5, &u32::from(policy == "accept").to_be_bytes()),
        attribute(6, &rules.to_be_bytes()),
        attribute(7, format!("{kind}\0").as_bytes()),
    ];
    message(10 << 8 | 3, &payload.concat())
}

struct Section {
    head: String,
    body: String,
}

/// The sections of a fixture; how its lines are indented means nothing.
fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if let Some(head) = line.strip_prefix("//- ") {
            sections.push(Section {
                head: head.trim_end().to_owned(),
                body: String::new(),
            });
        } else if let Some(section) = sections.last_mut() {
            section.body.push_str(line);
            section.body.push('\n');
        }
    }
    for section in &mut sections {
        let end = section.body.trim_end_matches('\n').len();
        section.body.truncate(end);
        if end > 0 {
            section.body.push('\n');
        }
    }
    sections
}

/// The words of a section's head.
struct Words {
    words: Vec<String>,
}

impl Words {
    fn of(head: &str) -> Self {
        Self {
            words: head.split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// A word that is no `key=value`, by its place.
    fn at(&self, idx: usize) -> &str {
        self.words
            .get(idx)
            .unwrap_or_else(|| panic!("{:?} has no word {idx}", self.words))
    }

    fn key(&self, key: &str) -> Option<&str> {
        self.words
            .iter()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn has(&self, flag: &str) -> bool {
        self.words.iter().any(|word| word == flag)
    }

    fn number(&self, key: &str) -> Option<u32> {
        self.key(key).map(|value| value.parse().unwrap())
    }

    fn namespace(&self, key: &str) -> u32 {
        self.number(key).unwrap_or(FIRST)
    }

    fn time(&self, now: Timestamp, key: &str) -> Option<Timestamp> {
        let clock = self.key(key)?;
        let at: Timestamp = format!("{}T{clock}Z", now.strftime("%Y-%m-%d"))
            .parse()
            .unwrap();
        // Later than now is yesterday.
        Some(if at > now {
            at.checked_sub(SignedDuration::from_hours(24)).unwrap()
        } else {
            at
        })
    }

    fn queue(&self) -> (u32, u32) {
        let (waiting, backlog) = self
            .key("queue")
            .unwrap_or("0/128")
            .split_once('/')
            .unwrap();
        (waiting.parse().unwrap(), backlog.parse().unwrap())
    }

    fn after_arrow(&self, idx: usize) -> &str {
        let arrow = self.words.iter().position(|word| word == "->");
        arrow
            .and_then(|arrow| self.words.get(arrow + 1 + idx))
            .map_or("", String::as_str)
    }

    fn rest(&self) -> String {
        self.words
            .iter()
            .skip(1)
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    }
}
