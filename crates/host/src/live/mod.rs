//! The live host: each kind of question is put to the kernel, or to a program of the host, and answered raw.
//!
//! Reading only. Secrets are masked here, in one place, so that a judgement of the live host and one of its snapshot
//! see the same bytes.

mod command;
mod connect;
mod converse;
mod dns;
mod file;
mod guard;
mod handshake;
mod lines;
mod namespace;
mod netlink;
mod owners;
mod request;
mod selinux;
mod strings;
mod view;
mod walk;

use std::net::SocketAddr;
use std::time::Duration;

use facts::{Answer, Conversation, PeerAddress, Probe, ProbeRequest, Record};
use jiff::Timestamp;
use rustix::io::Errno;

use crate::mask;

/// Lets this process have as many descriptors as it may: each conversation takes one. What it starts inherits that.
pub fn more_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let own = getrlimit(Resource::Nofile);
    let wanted = own.maximum.unwrap_or(u64::MAX).min(MOST_DESCRIPTORS);
    if own.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            ..own
        };
        // Without them there are several turns.
        setrlimit(Resource::Nofile, raised).ok();
    }
}

/// More than any configuration has peers.
const MOST_DESCRIPTORS: u64 = 1 << 16;

/// The host why502 runs on.
///
/// A process's view is entered through `/proc/PID/root`, its namespaces through `/proc/PID/ns`, on threads that end
/// with the question.
///
/// The kernel may load its `sock_diag` modules when it is asked for sockets, as it does for `ss`.
///
/// A file on a network file system that hangs gives [`Answer::TimedOut`]; the thread that waits for it stays behind.
#[derive(Debug, Default)]
pub struct LiveHost(());

impl LiveHost {
    /// The host why502 runs on. Opens nothing yet.
    pub fn new() -> Self {
        Self(())
    }
}

impl Probe for LiveHost {
    fn ask(&self, request: &ProbeRequest) -> Record {
        if let ProbeRequest::Conversation(held) = request {
            return now(held_alone(held));
        }
        let putting = || {
            let asked = request.clone();
            move || put(&asked)
        };
        let mut answer = if matches!(
            request,
            ProbeRequest::Connect { .. }
                | ProbeRequest::Handshake { .. }
                | ProbeRequest::Request { .. }
        ) {
            // Its thread becomes the process that connects.
            guard::within_own(request.budget(), putting()).unwrap_or_else(|instead| instead)
        } else if may_hang(request) {
            guard::within(request.budget(), putting())
        } else {
            put(request)
        };
        mask::answer(request, &mut answer);
        now(answer)
    }

    fn ask_all(&self, requests: &[ProbeRequest]) -> Vec<Record> {
        if let Some(held) = conversations(requests) {
            return converse_all(held).into_iter().map(now).collect();
        }
        match Connections::of(requests) {
            Some(connections) => connections.make().into_iter().map(now).collect(),
            None => requests.iter().map(|request| self.ask(request)).collect(),
        }
    }
}

fn now(answer: Answer) -> Record {
    Record {
        at: Timestamp::now(),
        answer,
    }
}

/// Conversations that one caller would hold, where all of them are.
fn conversations(requests: &[ProbeRequest]) -> Option<Vec<Conversation>> {
    let held: Option<Vec<&Conversation>> = requests
        .iter()
        .map(|request| match request {
            ProbeRequest::Conversation(held) => Some(held),
            _ => None,
        })
        .collect();
    let held = held?;
    let caller = &held.first()?.from;
    let is_one = held.iter().all(|other| other.from == *caller);
    is_one.then(|| held.into_iter().cloned().collect())
}

/// The answers, in the order of the conversations.
fn converse_all(held: Vec<Conversation>) -> Vec<Answer> {
    let count = held.len();
    let longest = held.iter().map(|held| held.within).max().unwrap_or(0);
    // With too few descriptors for all at once they come in several turns.
    let turns = u32::try_from(count / FEWEST_DESCRIPTORS + 1).unwrap_or(u32::MAX);
    let budget = Duration::from_millis(longest).saturating_mul(turns) + converse::SLACK;
    match guard::within_own(budget, move || converse::converse(&held)) {
        Ok(answers) => answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(refused))
            .collect(),
        Err(instead) => vec![instead; count],
    }
}

fn held_alone(held: &Conversation) -> Answer {
    let mut answers = converse_all(vec![held.clone()]);
    answers.pop().unwrap_or(Answer::TimedOut)
}

/// As many descriptors as a process has at least for conversations, however it was started.
const FEWEST_DESCRIPTORS: usize = 128;

/// Connections over TCP that one process would make.
struct Connections {
    from: Option<u32>,
    to: Vec<SocketAddr>,
    budget: Duration,
}

impl Connections {
    fn of(requests: &[ProbeRequest]) -> Option<Self> {
        let first = requests.first()?;
        let ProbeRequest::Connect { from, .. } = *first else {
            return None;
        };
        let address = |request: &ProbeRequest| match request {
            ProbeRequest::Connect {
                from: other,
                to: PeerAddress::Tcp(address),
            } if *other == from => Some(*address),
            _ => None,
        };
        Some(Self {
            from,
            to: requests.iter().map(address).collect::<Option<_>>()?,
            budget: first.budget(),
        })
    }

    /// The answers, in the order of the addresses. Becoming the process is dear, and done once.
    fn make(self) -> Vec<Answer> {
        let Self { from, to, budget } = self;
        let count = to.len();
        let made = guard::within_own(budget, move || connect::connect_all(from, &to, budget));
        match made {
            Ok(answers) => answers
                .into_iter()
                .map(|answer| answer.unwrap_or_else(refused))
                .collect(),
            Err(instead) => vec![instead; count],
        }
    }
}

/// Whether the kernel may keep a thread waiting for longer than any time-out of ours: everything that looks a path up
/// outside the kernel's own file systems.
fn may_hang(request: &ProbeRequest) -> bool {
    match request {
        ProbeRequest::File { path, .. }
        | ProbeRequest::LinesSince { path, .. }
        | ProbeRequest::MarkedLinesSince { path, .. }
        | ProbeRequest::Directory { path, .. }
        | ProbeRequest::Walk { path, .. }
        | ProbeRequest::FileSystem { path, .. } => {
            !path.starts_with("/proc") && !path.starts_with("/sys")
        }
        ProbeRequest::Strings { .. } => true,
        ProbeRequest::Connect { .. }
        | ProbeRequest::Dns { .. }
        | ProbeRequest::Handshake { .. }
        | ProbeRequest::Request { .. }
        | ProbeRequest::Conversation(_)
        | ProbeRequest::Link { .. }
        | ProbeRequest::Environment { .. }
        | ProbeRequest::Sockets { .. }
        | ProbeRequest::SocketOwners
        | ProbeRequest::NetfilterChains { .. }
        | ProbeRequest::SelinuxAccess { .. }
        | ProbeRequest::Command { .. }
        | ProbeRequest::CommandIn { .. } => false,
    }
}

fn put(request: &ProbeRequest) -> Answer {
    let budget = request.budget();
    let answered = match request {
        ProbeRequest::File { view, path, limit } => file::file(*view, path, *limit),
        ProbeRequest::LinesSince {
            view,
            path,
            from,
            limit,
        } => lines::since(*view, path, b"", from.as_bytes(), *limit),
        ProbeRequest::MarkedLinesSince {
            view,
            path,
            mark,
            from,
            limit,
        } => lines::since(*view, path, mark.as_bytes(), from.as_bytes(), *limit),
        ProbeRequest::Directory { view, path } => file::directory(*view, path),
        ProbeRequest::Link { path } => file::link(path),
        ProbeRequest::Walk { view, path } => walk::lines(*view, path),
        ProbeRequest::FileSystem { view, path } => file::file_system(*view, path),
        ProbeRequest::Strings { path, prefixes } => strings::strings(path, prefixes),
        ProbeRequest::Environment { pid, names } => file::environment(*pid, names),
        ProbeRequest::Sockets { netns, kind } => netlink::sockets(*netns, *kind, budget),
        ProbeRequest::SocketOwners => owners::owners(),
        ProbeRequest::NetfilterChains { netns } => netlink::chains(*netns, budget),
        ProbeRequest::Connect { from, to } => connect::connect(*from, to, budget),
        ProbeRequest::SelinuxAccess {
            source,
            target,
            class,
        } => selinux::access(source, target, class),
        ProbeRequest::Dns {
            netns,
            server,
            name,
            kind,
        } => dns::ask(*netns, *server, name, *kind, budget),
        ProbeRequest::Handshake { from, to, hello } => {
            handshake::handshake(*from, to, hello, budget)
        }
        ProbeRequest::Request { from, to, get } => request::request(*from, to, get, budget),
        ProbeRequest::Conversation(held) => Ok(held_alone(held)),
        ProbeRequest::Command { argv } => command::run(argv, budget),
        ProbeRequest::CommandIn { netns, argv } => {
            // A program begins in the namespace of the thread that starts it.
            namespace::in_network(Some(*netns), || command::run(argv, budget))
        }
    };
    answered.unwrap_or_else(refused)
}

fn refused(error: Errno) -> Answer {
    Answer::Errno(error.raw_os_error())
}
