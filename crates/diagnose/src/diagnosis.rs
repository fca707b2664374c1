//! The answer: what the engine hands to `report`. Plain data.

use std::path::PathBuf;

use facts::{ConfSpan, Exhibit, Gap, Url};
use jiff::Timestamp;

use crate::causes::Cause;
use crate::incident::Incident;
use crate::verdict::{Confirmation, Proof};

/// The verdicts for one host.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// When the host answered: now, or the time of the capture.
    pub generated_at: Timestamp,
    /// The host's name, where it was learned.
    pub hostname: Option<String>,
    /// Whether the evidence was gathered with root's rights.
    pub privileged: bool,
    /// The nginx instances looked at.
    pub instances: Vec<InstanceSummary>,
    /// The time looked at.
    pub window: Window,
    /// The worst first: ongoing before over, more failures before fewer.
    pub incidents: Vec<Judged>,
    /// What the request came to that the user asked for.
    pub asked: Option<Asked>,
    /// What could not be learned about the host as a whole, such as an unreadable log.
    pub gaps: Vec<Gap>,
    /// When a client last got a 502 or 504 that no line of an error log speaks of, where no upstream failure was logged.
    pub unexplained: Option<Timestamp>,
    /// No log of nginx's would tell of a failure: that none is known says nothing.
    pub is_unheard: bool,
    /// Why what the user named cannot be answered for, and what to name instead.
    pub refusal: Option<String>,
}

impl Diagnosis {
    /// Whether clients get 502 or 504 now that nothing explains: nothing is proven, and all is not well.
    pub fn fails_unexplained(&self) -> bool {
        let age = |at: Timestamp| self.generated_at.as_second() - at.as_second();
        self.unexplained
            .is_some_and(|at| age(at) <= crate::case::RECENT_SECONDS)
    }
}

/// One request, through nginx and then straight to the peers behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The URL, its query hidden.
    pub url: String,
    /// When nginx's answer was complete.
    pub at: Option<Timestamp>,
    /// What nginx answered.
    pub through: Option<Hop>,
    /// What nginx logged in that time of such a request.
    pub logged: Vec<Logged>,
    /// What the peers answered.
    pub straight: Vec<Hop>,
    /// What could not be sent to the peers as nginx sends it.
    pub left_out: Vec<String>,
    /// What the answers say together.
    pub says: Vec<String>,
    /// What could not be asked, and why.
    pub gaps: Vec<Gap>,
}

/// Where a request was sent, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The address.
    pub to: String,
    /// What came of it, in a few words.
    pub outcome: String,
    /// The status of the response, where there was one.
    pub status: Option<u16>,
}

/// A line of nginx's about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The incident that it belongs to.
    pub incident: String,
    /// What its client got for it, unless another peer answered.
    pub status: Option<u16>,
    /// The line.
    pub text: String,
}

impl Asked {
    /// Whether nginx failed to answer it, or answered that what is behind it fails.
    pub fn is_failed(&self) -> bool {
        let through = self.through.as_ref();
        through.is_some_and(|hop| matches!(hop.status, Some(502 | 504)))
    }
}

/// One nginx, running or not.
#[derive(Clone, Debug)]
pub struct InstanceSummary {
    /// The master, when it runs.
    pub pid: Option<u32>,
    /// How to speak to it, when it runs.
    pub master: Option<Master>,
    /// Such as `1.22.1`.
    pub version: Option<String>,
    /// The main configuration file.
    pub config: PathBuf,
    /// Whether the workers run what stands on disk.
    pub running_config: RunningConfig,
    /// The error logs that were read.
    pub error_logs: Vec<PathBuf>,
}

/// A running master, as who tests or reloads its configuration has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// Its number.
    pub pid: u32,
    /// When it started.
    pub start: Timestamp,
    /// `-p`, `-c`, `-e` and `-g` as it was started with, each with its value.
    pub options: Vec<Vec<u8>>,
    /// Whether it has a root or mounts of its own: its paths lead elsewhere than the host's.
    pub is_elsewhere: bool,
}

/// Whether the workers run what stands on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunningConfig {
    /// No file has changed since the workers started.
    Current,
    /// A file has changed since, or the last reload failed.
    Outdated,
    /// Not learned, or nginx is not running.
    Unknown,
}

/// The time looked at, and what was read in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From this time on.
    pub from: Timestamp,
    /// Up to this time.
    pub to: Timestamp,
    /// Log records read.
    pub lines: u64,
    /// Of them, failures of an upstream.
    pub upstream_failures: u64,
    /// Records that show a sign of forgery; they make no incident.
    pub suspects: u64,
    /// Lines of the window are missing: the log is larger than the bound.
    pub cut: bool,
    /// Lines of the window are missing, for that or another reason, such as a compressed rotation: there were at least as
    /// many failures as are counted.
    pub is_partial: bool,
}

/// Whether an incident goes on, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// What failed fails again when it is repeated, or is known to be about to.
    Failing,
    /// It failed in the last minute of the window, or comes back again and again, and nothing shows that it is over.
    Recent,
    /// It did not fail in the last minute of the window; nothing shows that it was mended.
    Quiet,
    /// The connection that failed succeeds now; no request is known to have been answered since.
    Connects,
    /// nginx dials the peer no more; what it dials in its place was not tried.
    Undialled,
    /// It is shown to be over: such requests are answered, or nginx does no more what failed.
    Over,
}

impl Standing {
    /// Whether it counts as ongoing.
    pub fn is_ongoing(self) -> bool {
        self <= Self::Recent
    }
}

/// An incident with every cause's verdict.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The incident.
    pub incident: Incident,
    /// Whether it goes on, and how that is known.
    pub standing: Standing,
    /// The directive that dials the peer.
    pub directive: Option<ConfSpan>,
    /// The answer: the most refined confirmed cause of the earliest stage.
    pub cause: Option<&'static Cause>,
    /// Every cause: confirmed first (the answer leading), then unknown by likelihood, then ruled out.
    pub causes: Vec<CauseVerdict>,
    /// What leans which way where nothing is proven.
    pub hints: Vec<String>,
    /// What it was by its log line alone, where nothing is proven of what is over and the line leaves few causes.
    pub by_line: Option<String>,
    /// What is known of the peer where nothing is proven: what listens there, and what a connection gives now.
    pub known: Vec<Exhibit>,
    /// What is sure to lead to where it fails, by the configuration alone; only where a fix of the cause can be carried out.
    pub reached_by: Option<Url>,
    /// Who felt it, where the access log tells.
    pub impact: Option<Impact>,
    /// What happened on the host around its start, in order.
    pub timeline: Vec<Moment>,
}

impl Judged {
    /// What answers for it: the confirmation of the cause that leads.
    pub fn answer(&self) -> Option<&Confirmation> {
        let leading = self
            .causes
            .iter()
            .find(|verdict| self.cause.is_some_and(|cause| verdict.cause.id == cause.id))?;
        match &leading.judgement {
            Judgement::Confirmed(confirmation) => Some(confirmation),
            Judgement::Unknown(_) | Judgement::RuledOut(_) => None,
        }
    }

    /// Whether a fix of the cause can be carried out by program.
    pub fn is_repairable(&self) -> bool {
        self.answer().is_some_and(|answer| {
            let mut fixes = answer.fixes.iter();
            fixes.any(|fix| crate::repair::Repair::of(fix).is_ok())
        })
    }

    /// Whether the failing act still fails, as far as is known.
    pub fn ongoing(&self) -> bool {
        self.standing.is_ongoing()
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: String,
    /// The answer rests on it.
    pub explains: bool,
}

/// One cause's verdict.
#[derive(Clone, Debug)]
pub struct CauseVerdict {
    /// The cause.
    pub cause: &'static Cause,
    /// What was judged.
    pub judgement: Judgement,
}

/// The three answers.
#[derive(Clone, Debug)]
pub enum Judgement {
    /// Shown.
    Confirmed(Confirmation),
    /// Missing evidence.
    Unknown(Gap),
    /// Shown not to be.
    RuledOut(Proof),
}

/// Who felt an incident, from access logs that have `$upstream_addr` and `$upstream_status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// Requests that tried the peer in the window.
    pub requests: u64,
    /// Of them, those whose client got 502 or 504.
    pub failed: u64,
    /// Of them, those that failed at this peer and were answered by another.
    pub rescued: u64,
    /// Of them, those that no peer answered and whose client got something else: what `error_page` has, a stale copy from
    /// the cache.
    pub replaced: u64,
    /// Of them, copies that `mirror` made: no client gets their answers.
    pub mirrored: u64,
    /// A log holds more lines of the window than were read: there were at least so many of each.
    pub is_partial: bool,
}
