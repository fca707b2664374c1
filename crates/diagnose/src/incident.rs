//! An incident: alike failures of one peer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use bstr::{BString, ByteSlice as _};
use facts::{Exhibit, Gap, PeerAddress};
use jiff::Timestamp;
use log::error::{Class, Protocol, While};

use crate::case::SECONDS_KEPT;

/// What showed the incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Lines of an error log.
    ErrorLog,
    /// Lines of an access log: the application itself answered so.
    AccessLog,
    /// The host's state alone: nginx is not running.
    Host,
    /// The failing act itself, tried by a gate.
    Experiment,
}

/// What failing requests asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Paths as clients sent them (of subrequests as nginx has them), by the `server:` field, which is nginx's own.
    pub(crate) paths: BTreeMap<BString, BTreeSet<BString>>,
    /// Some asked for what is not kept here, or cannot be read.
    pub(crate) are_partial: bool,
    /// Some is a client's own request: no subrequest.
    pub(crate) has_clients_own: bool,
}

/// Alike failures of one peer: same instance, peer, failure and *while*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Eight hexadecimal digits that stay the same from run to run.
    pub id: String,
    /// Which of the case's nginx instances, by its place in the list.
    pub instance: usize,
    /// What showed it.
    pub origin: Origin,
    /// As nginx prints it, without scheme and URI; the upstream's name for `no live upstreams`; empty where no peer is
    /// concerned. Bytes that are not UTF-8 are U+FFFD.
    pub peer: String,
    /// The peer's address, where `peer` is one.
    pub address: Option<PeerAddress>,
    /// The named upstream the peer belongs to, by the configuration on disk.
    pub upstream: Option<String>,
    /// What nginx speaks to it.
    pub protocol: Option<Protocol>,
    /// Whether some of the failures were in another protocol than that.
    pub has_other_protocols: bool,
    /// The failure class; `None` when no line was logged.
    pub failure: Option<Class>,
    /// The errno in the lines.
    pub errno: Option<u16>,
    /// What nginx was doing.
    pub action: Option<While>,
    /// What the client got for such an attempt when no other peer answered.
    pub status: Option<u16>,
    /// Failed attempts in the window.
    pub count: u64,
    /// The first, in the window.
    pub first_seen: Timestamp,
    /// The last, in the window. A line means the whole second `[t, t+1 s)`.
    pub last_seen: Timestamp,
    /// Failures by second (seconds since 1970), the newest [`SECONDS_KEPT`](crate::case::SECONDS_KEPT) of them.
    /// Shared, as the requests are: an incident is copied in every round.
    pub seconds: Rc<BTreeMap<i64, u64>>,
    /// `server:` fields, most frequent first, at most 16 kept.
    pub servers: Vec<String>,
    /// Paths of the failing requests, the first few: a client's words, never to be acted on.
    pub paths: BTreeSet<String>,
    /// What all of them asked for: it tells the locations that they are of.
    pub requests: Rc<Requests>,
    /// One of the lines, as it stands in the log; of an experiment what was tried and what came of it.
    pub sample: String,
    /// The different messages, where the class leaves open what failed (see [`Class`]): of TLS and of foreign protocols; of
    /// an experiment the one that nginx would write.
    /// At most [`MESSAGES_KEPT`](crate::case::MESSAGES_KEPT); with as many, there may be more.
    pub messages: BTreeSet<String>,
    /// The process that wrote the last of them, as it calls itself.
    pub last_writer: Option<u32>,
    /// The log that holds them.
    pub log: Option<PathBuf>,
    /// Whether the configuration on disk has something that dials this peer.
    pub explained: bool,
}

impl Incident {
    /// Whether a connection was what failed: then a connection tells whether it still does.
    pub fn is_of_connecting(&self) -> bool {
        self.action == Some(log::error::While::ConnectingToUpstream)
    }

    /// One more failure in this second, of the newest that are kept.
    pub(crate) fn count_second(&mut self, second: i64) {
        let seconds = Rc::make_mut(&mut self.seconds);
        *seconds.entry(second).or_default() += 1;
        if seconds.len() > SECONDS_KEPT {
            seconds.pop_first();
        }
    }

    /// The log line as an exhibit, with the number of lines like it.
    pub fn exhibit(&self) -> Exhibit {
        if self.origin == Origin::Experiment {
            return self.experiment();
        }
        Exhibit::Log {
            at: Some(self.first_seen),
            text: self.sample.clone(),
            count: self.count,
        }
    }

    /// The failing requests in words, by their paths where these are few: a client's text.
    pub(crate) fn requested(&self) -> String {
        const FEW: usize = 3;
        let paths: Vec<&str> = self.paths.iter().map(String::as_str).collect();
        match paths.len() {
            1..=FEW => format!("requests for {}", paths.join(", ")),
            _ => "such requests".to_owned(),
        }
    }

    /// The peer's address. A line that nginx cut before it, or that names a peer by a name, tells none.
    pub(crate) fn dialled(&self) -> Result<&PeerAddress, Gap> {
        self.address.as_ref().ok_or_else(|| {
            Gap::undecided("the address that nginx dialled", "the log does not tell it")
        })
    }

    /// nginx's own words in its line, without the fields that name client, request and peer; `None` where no line is of
    /// nginx's form.
    pub fn message(&self) -> Option<String> {
        self.said(|event| Some(event.message.to_str_lossy().into_owned()))
    }

    /// What its line says, read again.
    pub(crate) fn said<T>(
        &self,
        read: impl FnOnce(&log::error::Event<'_>) -> Option<T>,
    ) -> Option<T> {
        if self.origin == Origin::Experiment {
            return None;
        }
        let line = self.sample.as_bytes();
        let decoded = log::error::decode(line);
        let event = decoded.event().or_else(|| log::error::parse(line))?;
        read(&event)
    }

    /// The file that its line speaks of, in nginx's own words: `open() "PATH"`.
    pub(crate) fn quoted_path(&self) -> Option<PathBuf> {
        self.said(|event| {
            let path = event.message.split_str("\"").nth(1)?;
            path.starts_with(b"/")
                .then(|| path.to_path_lossy().into_owned())
        })
    }

    /// The most of its requests that waited for a response at one time, where each waited for the read time-out, in
    /// seconds, and its line names the second in which that ended.
    pub(crate) fn waited_at_once(&self, time_out: i64) -> u64 {
        let together = |&from: &i64| -> u64 {
            let window = self.seconds.range(from..from + time_out.max(1));
            window.map(|(_, count)| count).sum()
        };
        self.seconds.keys().map(together).max().unwrap_or(0)
    }

    /// When what started at that time started, where that may have been only after the first failure. Of one second no
    /// order is known.
    pub(crate) fn too_late(&self, started: Timestamp) -> Option<&'static str> {
        if started <= self.first_seen {
            None
        } else if started.as_second() == self.first_seen.as_second() {
            Some("started in the same second as the first failure")
        } else {
            Some("started after the first failure")
        }
    }

    /// Whether the failure is of this class.
    pub fn is(&self, class: Class) -> bool {
        self.failure == Some(class)
    }
}
