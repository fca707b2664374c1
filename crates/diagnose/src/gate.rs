//! The answer of a gate: whether every peer of a configuration is there for nginx. Plain data.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use facts::{ConfSpan, Gap};
use jiff::Timestamp;
use log::error::Protocol;

use crate::diagnosis::Judged;

/// What a gate asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateOptions {
    /// The path that is asked for in place of the one that each location has.
    pub http_path: Option<String>,
    /// The statuses that will do; without any, those of [`GateOptions::expected`].
    pub expect: Vec<RangeInclusive<u16>>,
    /// How long a peer may take, all in all.
    pub timeout: Duration,
    /// Whether the cause of what fails is looked for.
    pub judges: bool,
}

impl GateOptions {
    /// The statuses that will do. Of a path that nobody named the application may well say that it is not there, or not
    /// for everybody; of one that was named it may not.
    pub fn expected(&self) -> Vec<RangeInclusive<u16>> {
        if !self.expect.is_empty() {
            return self.expect.clone();
        }
        vec![if self.http_path.is_some() {
            200..=399
        } else {
            200..=499
        }]
    }
}

/// Whether every peer of a configuration is there for nginx.
#[derive(Clone, Debug)]
pub struct Gate {
    /// When the host answered.
    pub generated_at: Timestamp,
    /// The host's name, where it was learned.
    pub hostname: Option<String>,
    /// Whether it was asked with root's rights.
    pub privileged: bool,
    /// The main configuration file.
    pub config: Option<PathBuf>,
    /// Whether nginx runs another one.
    pub is_candidate: bool,
    /// The nginx in whose place the peers were asked.
    pub master: Option<u32>,
    /// As whom they were asked, for people.
    pub caller: String,
    /// The command that has nginx test it; none where it runs in a file system of its own.
    pub test: Option<Vec<String>>,
    /// What nginx would refuse in the configuration.
    pub troubles: Vec<GateTrouble>,
    /// The peers, in the order of the configuration.
    pub peers: Vec<GatePeer>,
    /// What could not be learned.
    pub gaps: Vec<Gap>,
    /// Why nothing could be asked.
    pub refusal: Option<String>,
}

/// What nginx would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateTrouble {
    /// The file.
    pub file: PathBuf,
    /// The line; 0 where there is none.
    pub line: u32,
    /// nginx's words.
    pub text: String,
}

impl GateTrouble {
    /// `nginx: [emerg] MESSAGE in FILE:LINE` and what follows it, as a trouble.
    pub fn of_nginx(said: &str, config: Option<&Path>) -> Self {
        let worst = said
            .lines()
            .find(|line| line.contains("[emerg]"))
            .or_else(|| said.lines().next())
            .unwrap_or("nginx -t failed and said nothing");
        let text = worst
            .trim_start_matches("nginx: ")
            .trim_start_matches("[emerg] ");
        let place = text.rsplit_once(" in ").and_then(|(text, place)| {
            let (file, line) = place.rsplit_once(':')?;
            Some((text, PathBuf::from(file), line.parse().ok()?))
        });
        let (text, file, line) = place.unwrap_or_else(|| {
            let file = config.map(Path::to_owned).unwrap_or_default();
            (text, file, 0)
        });
        Self {
            file,
            line,
            text: text.to_owned(),
        }
    }
}

/// What part a peer has in its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It is dialled.
    InUse,
    /// It is dialled where all others have failed.
    Backup,
    /// It is not dialled.
    Down,
}

/// How a peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GateOutcome {
    /// It answered as it should.
    Ready,
    /// It did not.
    Failing,
    /// What was learned does not tell.
    Unclear,
    /// It was not asked.
    NotTried,
}

/// One peer in one protocol.
#[derive(Clone, Debug)]
pub struct GatePeer {
    /// As nginx prints it; the name where it has no address.
    pub peer: String,
    /// The host name in the configuration, where it is one.
    pub name: Option<String>,
    /// The upstream it belongs to.
    pub upstream: Option<String>,
    /// What nginx speaks to it.
    pub protocol: Option<Protocol>,
    /// Its part in that upstream.
    pub role: Role,
    /// The names of the servers that dial it.
    pub servers: Vec<String>,
    /// The directive that holds its address.
    pub directive: Option<ConfSpan>,
    /// Further places that dial it in the same way.
    pub others: usize,
    /// What was tried.
    pub tried: Vec<String>,
    /// What nginx sends that was not.
    pub left_out: Vec<String>,
    /// How it did.
    pub outcome: GateOutcome,
    /// What it said, in a few words.
    pub says: String,
    /// How long it took.
    pub took: Option<Duration>,
    /// The failure with its causes.
    pub judged: Option<Judged>,
    /// Whether it fails in the configuration that runs, too.
    pub failed_before: bool,
}

impl GatePeer {
    /// Whether it speaks against the configuration. Without a spare server nginx serves as well; one that is down fails only
    /// where there is no other.
    pub fn is_refused(&self) -> bool {
        self.outcome == GateOutcome::Failing && self.role != Role::Backup && !self.failed_before
    }

    /// What it is known by from one configuration to the next.
    pub fn key(&self) -> (String, &'static str) {
        (
            self.peer.clone(),
            self.protocol.map_or("", Protocol::as_str),
        )
    }
}

impl Gate {
    /// Whether anything speaks against the configuration.
    pub fn is_refused(&self) -> bool {
        !self.troubles.is_empty() || self.peers.iter().any(GatePeer::is_refused)
    }

    /// Whether every peer that nginx dials is ready.
    pub fn is_ready(&self) -> bool {
        self.troubles.is_empty() && self.refusal.is_none() && self.failing().next().is_none()
    }

    /// The peers that fail, spare ones left out.
    pub fn failing(&self) -> impl Iterator<Item = &GatePeer> {
        self.peers
            .iter()
            .filter(|peer| peer.outcome == GateOutcome::Failing && peer.role != Role::Backup)
    }

    /// What fails, to be held against another configuration's.
    pub fn failures(&self) -> BTreeSet<(String, &'static str)> {
        let failing = self
            .peers
            .iter()
            .filter(|peer| peer.outcome == GateOutcome::Failing);
        failing.map(GatePeer::key).collect()
    }

    /// Lets pass what fails in the configuration that runs as well.
    pub fn hold_against(&mut self, running: &BTreeSet<(String, &'static str)>) {
        for peer in &mut self.peers {
            peer.failed_before = running.contains(&peer.key());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_read_with_its_place() {
        let said = "nginx: [emerg] host not found in upstream \"app\" in /etc/nginx/nginx.conf:12\nnginx: configuration file /etc/nginx/nginx.conf test failed\n";
        let read = GateTrouble::of_nginx(said, None);
        assert_eq!(read.text, "host not found in upstream \"app\"");
        assert_eq!((read.file, read.line), ("/etc/nginx/nginx.conf".into(), 12));
        let said = "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\n";
        let read = GateTrouble::of_nginx(said, Some(Path::new("/etc/nginx/nginx.conf")));
        assert_eq!(read.line, 0);
        assert_eq!(
            read.text,
            "bind() to 0.0.0.0:80 failed (98: Address already in use)"
        );
    }
}
