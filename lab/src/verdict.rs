//! Asks `why502`, live and from a capture, and holds both answers against the truth.
//!
//! Reads the JSON report by its public contract only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::attempt;
use crate::built;
use crate::corpus::{self, Keep};
use crate::lab::{Lab, set_mode};
use crate::nginx::Nginx;

/// What is true of one incident, and so what may be said of it.
///
/// No cause may be confirmed that is not named here.
#[derive(Debug, Clone)]
pub struct Expectation {
    peer: Option<String>,
    failure: Option<&'static str>,
    status: Option<u64>,
    truth: Truth,
    also: Vec<&'static str>,
    ruled_out: Vec<&'static str>,
    must_name: Vec<String>,
    must_not_name: Vec<String>,
    command: Option<&'static [&'static str]>,
    count: Option<u64>,
    is_over: bool,
    needs_root: bool,
    gate_tells: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    /// This cause must be confirmed.
    Confirmed(&'static str),
    /// This cause may be confirmed, or nothing.
    AtMost(&'static str),
    /// Nothing may be confirmed.
    Undetermined,
}

impl Expectation {
    /// The cause is proven: it must be confirmed, and be the answer.
    pub fn confirmed(cause: &'static str) -> Self {
        Self::new(Truth::Confirmed(cause))
    }

    /// The cause is true, but this host holds no full proof of it: it may be confirmed or not.
    pub fn at_most(cause: &'static str) -> Self {
        Self::new(Truth::AtMost(cause))
    }

    /// Nothing on this host can prove any cause.
    pub fn undetermined() -> Self {
        Self::new(Truth::Undetermined)
    }

    fn new(truth: Truth) -> Self {
        Self {
            peer: None,
            failure: None,
            status: None,
            truth,
            also: Vec::new(),
            ruled_out: Vec::new(),
            must_name: Vec::new(),
            must_not_name: Vec::new(),
            command: None,
            count: None,
            is_over: false,
            needs_root: false,
            gate_tells: Vec::new(),
        }
    }

    /// The incident's peer, as nginx prints it. Without it any will do.
    #[must_use]
    pub fn of_peer(mut self, peer: impl Into<String>) -> Self {
        self.peer = Some(peer.into());
        self
    }

    /// The incident's failure class, where one peer fails in several ways.
    #[must_use]
    pub fn of_failure(mut self, failure: &'static str) -> Self {
        self.failure = Some(failure);
        self
    }

    /// The status its clients got, where no failure class tells it apart.
    #[must_use]
    pub fn of_status(mut self, status: u64) -> Self {
        self.status = Some(status);
        self
    }

    /// A cause that is true as well, and may be confirmed beside the answer.
    #[must_use]
    pub fn also(mut self, cause: &'static str) -> Self {
        self.also.push(cause);
        self
    }

    /// A cause that must be ruled out.
    #[must_use]
    pub fn rules_out(mut self, cause: &'static str) -> Self {
        self.ruled_out.push(cause);
        self
    }

    /// Text (a stranger's address) that no confirmed cause may speak of, in its summary or fixes.
    #[must_use]
    pub fn never_naming(mut self, text: impl Into<String>) -> Self {
        self.must_not_name.push(text.into());
        self
    }

    /// Text (a unit, its last words) that the answer must hold, in its summary, proof or fixes.
    #[must_use]
    pub fn naming(mut self, text: impl Into<String>) -> Self {
        self.must_name.push(text.into());
        self
    }

    /// A command that a fix of the answer must hold. A service may be named with its suffix.
    #[must_use]
    pub fn fixed_by(mut self, command: &'static [&'static str]) -> Self {
        self.command = Some(command);
        self
    }

    /// How many failures the log holds of it.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// It has stopped failing.
    #[must_use]
    pub fn over(mut self) -> Self {
        self.is_over = true;
        self
    }

    /// Who is not root does not learn enough: asked so, the cause is unknown. That is a case of the corpus as well.
    #[must_use]
    pub fn needs_root(mut self) -> Self {
        self.needs_root = true;
        self
    }

    /// What is true besides, and takes an experiment to be proven that a diagnosis makes only when asked.
    #[must_use]
    pub fn gate_tells(mut self, cause: &'static str) -> Self {
        self.gate_tells.push(cause);
        self
    }

    /// Whether a gate may say so.
    pub(crate) fn lets_gate_tell(&self, cause: &str) -> bool {
        self.gate_tells.contains(&cause) || self.true_causes().contains(&cause)
    }

    /// The true causes, the answer's first; none where no evidence on the host can prove any.
    pub(crate) fn true_causes(&self) -> Vec<&'static str> {
        let answer = match self.truth {
            Truth::Confirmed(cause) | Truth::AtMost(cause) => Some(cause),
            Truth::Undetermined => None,
        };
        answer
            .into_iter()
            .chain(self.also.iter().copied())
            .collect()
    }

    /// Whether it has stopped failing.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether this may be said of a peer.
    pub(crate) fn is_about(&self, peer: &str) -> bool {
        self.peer.as_ref().is_none_or(|own| own == peer)
    }

    /// Whether this is what is expected of an incident of the report.
    pub(crate) fn is_of(&self, incident: &Value) -> bool {
        self.peer
            .as_ref()
            .is_none_or(|peer| text(incident, "peer") == peer)
            && self
                .failure
                .is_none_or(|failure| text(incident, "failure") == failure)
            && self
                .status
                .is_none_or(|status| incident.get("status").and_then(Value::as_u64) == Some(status))
    }

    fn check(&self, incident: &Value) -> Result<()> {
        let confirmed = causes(incident, "confirmed");
        for (id, cause) in &confirmed {
            let is_true = self.also.contains(&id.as_str())
                || matches!(self.truth, Truth::Confirmed(truth) | Truth::AtMost(truth) if truth == id);
            ensure!(is_true, "{id} is confirmed, and is not so");
            let said = [
                text(cause, "summary"),
                &cause.get("fixes").map(Value::to_string).unwrap_or_default(),
            ]
            .concat();
            for stranger in &self.must_not_name {
                ensure!(
                    !said.contains(stranger.as_str()),
                    "{id} speaks of {stranger}, which is not concerned: {said}"
                );
            }
            let has_proof = cause
                .get("proof")
                .and_then(Value::as_array)
                .is_some_and(|proof| !proof.is_empty());
            ensure!(has_proof, "{id} is confirmed without proof");
        }
        match self.truth {
            Truth::Confirmed(cause) => {
                ensure!(
                    text(incident, "outcome") == "confirmed",
                    "{cause} is true and provable, nothing was confirmed"
                );
                ensure!(
                    text(incident, "cause") == cause,
                    "the answer should be {cause}"
                );
                ensure!(
                    confirmed.contains_key(cause),
                    "{cause} is the answer and is not among the confirmed"
                );
                confirmed
                    .get(cause)
                    .map_or(Ok(()), |said| self.check_answer(cause, said))?;
            }
            Truth::Undetermined => {
                ensure!(
                    text(incident, "outcome") == "undetermined",
                    "nothing here can be proven"
                );
            }
            Truth::AtMost(_) => {}
        }
        if let Some(count) = self.count {
            let given = incident.get("count").and_then(Value::as_u64);
            ensure!(
                given == Some(count),
                "{given:?} failures where {count} were made"
            );
        }
        let ruled_out = causes(incident, "ruled-out");
        for id in &self.ruled_out {
            ensure!(ruled_out.contains_key(*id), "{id} is not ruled out");
        }
        ensure!(
            flag(incident, "ongoing") != self.is_over,
            "ongoing is {}",
            flag(incident, "ongoing")
        );
        Ok(())
    }

    /// Holds what is said to who is not root against what is true: it may be less, and none of it false.
    fn check_for_a_user(&self, incident: &Value) -> Result<()> {
        let truth = self.true_causes();
        for id in causes(incident, "confirmed").keys() {
            ensure!(
                truth.contains(&id.as_str()),
                "{id} is confirmed, and is not so"
            );
        }
        let Some(cause) = truth.first() else {
            return Ok(());
        };
        ensure!(
            !causes(incident, "ruled-out").contains_key(*cause),
            "{cause} is true, and is ruled out"
        );
        ensure!(
            !self.needs_root || causes(incident, "unknown").contains_key(*cause),
            "{cause} should not be known without root"
        );
        Ok(())
    }

    /// Holds the answer itself against what it must say.
    fn check_answer(&self, id: &str, answer: &Value) -> Result<()> {
        let said: Vec<&str> = strings(answer);
        for wanted in &self.must_name {
            ensure!(
                said.iter().any(|text| text.contains(wanted.as_str())),
                "{id} says nothing of {wanted:?}"
            );
        }
        let Some(command) = self.command else {
            return Ok(());
        };
        let steps = list(answer, "fixes").flat_map(|fix| list(fix, "steps"));
        let mut commands = steps.map(|step| list(step, "argv").filter_map(Value::as_str));
        let short = |word: &'static str| word.trim_end_matches(".service");
        ensure!(
            commands.any(|argv| argv
                .map(|word| word.trim_end_matches(".service"))
                .eq(command.iter().copied().map(short))),
            "no fix of {id} runs {command:?}"
        );
        Ok(())
    }
}

impl Lab {
    /// Asks `why502` live, has it record a capture, asks it again from that, and requires both
    /// answers to agree and to meet what is expected: an incident for each expectation, no other.
    ///
    /// # Errors
    /// When an answer is not what is true; the report is shown.
    pub fn diagnose(&self, nginx: &Nginx, expected: &[Expectation]) -> Result<()> {
        self.diagnose_with(nginx, &[], expected)
    }

    /// The same with further flags.
    ///
    /// # Errors
    /// When an answer is not what is true; the report is shown.
    pub fn diagnose_with(
        &self,
        nginx: &Nginx,
        flags: &[&str],
        expected: &[Expectation],
    ) -> Result<()> {
        let named = flags.concat().replace(['/', ':'], "");
        let folder = self.directory("captures")?;
        set_mode(&folder, 0o1777)?;
        let capture = folder.join(format!("capture{named}.tar.zst"));
        let scene = Scene {
            flags: instance(nginx)
                .into_iter()
                .chain(flags.iter().map(OsString::from))
                .collect(),
            run: &|asker, args| self.run(asker, args),
            replayer: built::why502()?,
            keep: Keep::WithoutTheKernel,
            capture: capture.clone(),
            seen: capture,
            // What nginx says of a request that was asked for is meant to be there.
            watched: if flags.contains(&"--request") {
                vec![nginx.site()]
            } else {
                vec![nginx.error_log(), nginx.site()]
            },
        };
        scene.hold(expected)?;
        self.gate(nginx, expected).map(drop)
    }

    /// Runs `why502` on this host.
    pub(crate) fn run(&self, asker: Asker, args: &[OsString]) -> Result<Output> {
        let program = built::why502()?;
        match asker {
            Asker::Root => run_program(&program, args),
            Asker::User => {
                let program = self.for_all(&program)?;
                let command = ["setpriv".into()].into_iter().chain(as_user(""));
                let command: Vec<OsString> = command
                    .chain([program.into()])
                    .chain(args.iter().cloned())
                    .collect();
                if self.hides_processes() {
                    run_program(
                        Path::new("unshare"),
                        &[&ALONE.map(OsString::from)[..], &command].concat(),
                    )
                } else {
                    run_program(Path::new("env"), &command)
                }
            }
        }
    }

    /// A program where everybody may run it: the build directory may be below root's own.
    fn for_all(&self, program: &Path) -> Result<PathBuf> {
        let is_open = |path: &Path| {
            fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 != 0)
        };
        if program.ancestors().all(is_open) {
            return Ok(program.to_owned());
        }
        let copy = self.path("why502");
        if !copy.exists() {
            fs::copy(program, &copy).context("copy why502 for a user")?;
        }
        Ok(copy)
    }
}

impl Lab {
    /// Has `why502` send a GET for `path` through nginx and then straight: the host as a whole must be judged as expected,
    /// and the statuses be these, nginx's first; none where a peer gives no answer.
    ///
    /// # Errors
    /// When an answer is not what is true; the report is shown.
    pub fn diagnose_request(
        &self,
        nginx: &Nginx,
        path: &str,
        statuses: &[Option<u64>],
        expected: &[Expectation],
    ) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}{path}", nginx.port());
        let flags = ["--request", &url];
        self.diagnose_with(nginx, &flags, expected)?;
        let asked_again = instance(nginx)
            .into_iter()
            .chain(flags.iter().map(OsString::from));
        let live = Answer::ask(&|args| self.run(Asker::Root, args), asked_again.collect())?;
        let request = live.report.get("request").cloned().unwrap_or_default();
        let through = request.get("through").into_iter();
        let hops = through.chain(list(&request, "straight"));
        let given: Vec<Option<u64>> = hops
            .map(|hop| hop.get("status").and_then(Value::as_u64))
            .collect();
        ensure!(
            given == statuses,
            "{given:?} where {statuses:?} is right\n{}",
            live.shown("live")
        );
        Ok(request)
    }

    /// The edits of the answer's first fix, old text and new: what a person would do next.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn edits(&self, nginx: &Nginx) -> Result<Vec<(String, String)>> {
        let answer = Answer::ask(&|args| self.run(Asker::Root, args), instance(nginx))?;
        let cause = answer
            .incidents()
            .into_iter()
            .flat_map(|incident| list(incident, "causes"))
            .next()
            .with_context(|| answer.shown("live"))?;
        let fix = list(cause, "fixes")
            .next()
            .with_context(|| answer.shown("live"))?;
        let steps = list(fix, "steps").filter(|step| text(step, "kind") == "edit");
        Ok(steps
            .map(|step| (text(step, "old").to_owned(), text(step, "new").to_owned()))
            .collect())
    }
}

/// Of `unshare`: becomes the command after it, where `/proc` shows users their own processes alone.
const ALONE: [&str; 7] = [
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-ec",
    "mount -t proc -o hidepid=2 proc /proc; exec \"$@\"",
    "sh",
];

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Root,
    /// `nobody`, who may read nginx's logs.
    User,
}

/// What comes before a program so that `nobody` runs it, as a member of these groups besides his own.
pub(crate) fn as_user(groups: &str) -> impl Iterator<Item = OsString> {
    let groups = if groups.is_empty() {
        "--clear-groups".to_owned()
    } else {
        format!("--groups={groups}")
    };
    ["--reuid=nobody", "--regid=nogroup"]
        .map(OsString::from)
        .into_iter()
        .chain([groups.into()])
}

/// Where `why502` is asked: this host, or a machine.
pub(crate) struct Scene<'a> {
    /// The flags that name nginx.
    pub(crate) flags: Vec<OsString>,
    /// Runs `why502` there.
    pub(crate) run: &'a dyn Fn(Asker, &[OsString]) -> Result<Output>,
    /// The program that judges a capture on this host: the same sources as there.
    pub(crate) replayer: PathBuf,
    /// How the capture becomes a case of the corpus, where one is made.
    pub(crate) keep: Keep,
    /// Where a capture is written there, and where it is then seen from here.
    pub(crate) capture: PathBuf,
    pub(crate) seen: PathBuf,
    /// Files, as seen from here, that a diagnosis must leave alone.
    pub(crate) watched: Vec<PathBuf>,
}

impl Scene<'_> {
    /// Adds what is true and what was answered to the table that `cargo xtask accuracy` prints.
    fn note(&self, live: &Answer, expected: &[Expectation]) -> Result<()> {
        let Some(folder) = env::var_os("WHY502_LAB_TABLE") else {
            return Ok(());
        };
        let row = |incident: &Value| {
            let truth = expected.iter().find(|truth| truth.is_of(incident));
            let truth = match truth.map(|truth| truth.truth) {
                Some(Truth::Confirmed(cause)) => cause,
                Some(Truth::AtMost(_) | Truth::Undetermined) => "(not provable)",
                None => "(no incident)",
            };
            let answer = incident
                .get("cause")
                .and_then(Value::as_str)
                .unwrap_or("(not proven)");
            format!("{truth}\t{answer}\n")
        };
        let rows: Vec<String> = live.incidents().into_iter().map(row).collect();
        let name = self.seen.to_string_lossy().replace('/', "_");
        fs::write(PathBuf::from(folder).join(name), rows.concat())?;
        Ok(())
    }

    /// Asks live and from a capture, and holds both answers against what is expected.
    pub(crate) fn hold(&self, expected: &[Expectation]) -> Result<()> {
        if env::var_os("WHY502_LAB_FAULTS_ONLY").is_some() {
            return Ok(());
        }
        let files = || -> Vec<_> {
            self.watched
                .iter()
                .map(|path| fs::read(path).ok())
                .collect()
        };
        let before = files();
        attempt::judge();
        let live = self.ask(Asker::Root)?;
        self.note(&live, expected)?;
        live.check(expected).with_context(|| live.shown("live"))?;

        let replay = self.record(Asker::Root, &self.capture, &self.seen)?;
        replay
            .check(expected)
            .with_context(|| replay.shown("replayed"))?;

        self.compare(Asker::Root, &live, &replay)?;
        self.redacted(&live)?;
        corpus::keep(&self.seen, self.keep, Asker::Root, &replay, expected)?;
        self.as_a_user(expected)?;
        ensure!(before == files(), "the diagnosis changed nginx's files");
        Ok(())
    }

    fn ask(&self, asker: Asker) -> Result<Answer> {
        Answer::ask(&|args| (self.run)(asker, args), self.flags.clone())
    }

    /// Has a capture made, and asks it on this host.
    fn record(&self, asker: Asker, capture: &Path, seen: &Path) -> Result<Answer> {
        let mut args: Vec<OsString> = vec!["capture".into(), "-o".into(), capture.into()];
        args.extend(self.flags.clone());
        let output = (self.run)(asker, &args)?;
        ensure!(
            output.status.success(),
            "capture failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Answer::of_snapshot_by(&self.replayer, seen)
    }

    fn compare(&self, asker: Asker, live: &Answer, replay: &Answer) -> Result<()> {
        let (lived, replayed) = (live.essence(), replay.essence());
        // Processes of other tests come and go between the two: then the capture is like what is answered after it.
        if lived != replayed {
            let later = self.ask(asker)?.essence();
            ensure!(
                later == replayed,
                "a replay differs\nlive     {lived:#?}\nreplayed {replayed:#?}\nlater    {later:#?}"
            );
        }
        Ok(())
    }

    /// Asks as who is not root, who learns less: nothing else may come of that than less said.
    fn as_a_user(&self, expected: &[Expectation]) -> Result<()> {
        let live = self.ask(Asker::User)?;
        live.check_for_a_user(expected)
            .with_context(|| live.shown("user's"))?;
        if !expected.iter().any(|truth| truth.needs_root) {
            return Ok(());
        }
        let of = |path: &Path| path.with_file_name("without-root.tar.zst");
        let (capture, seen) = (of(&self.capture), of(&self.seen));
        let replay = self.record(Asker::User, &capture, &seen)?;
        replay
            .check_for_a_user(expected)
            .with_context(|| replay.shown("user's replayed"))?;
        self.compare(Asker::User, &live, &replay)?;
        corpus::keep(&seen, self.keep, Asker::User, &replay, expected)
    }

    /// A capture with other names in it must be judged just so.
    fn redacted(&self, live: &Answer) -> Result<()> {
        let name = "redacted.tar.zst";
        let written = self.capture.with_file_name(name);
        let mut args: Vec<OsString> = ["capture", "--redact", "--force", "-o"]
            .map(Into::into)
            .into();
        args.push(written.into());
        args.extend(self.flags.clone());
        let output = (self.run)(Asker::Root, &args)?;
        // Certificates cannot be redacted: what hangs on them may be refused, and is then not written.
        if self.flags.iter().any(|flag| flag == "--handshake")
            && String::from_utf8_lossy(&output.stderr).contains("another verdict")
        {
            return Ok(());
        }
        ensure!(
            output.status.success(),
            "capture --redact failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let seen = self.seen.with_file_name(name);
        let redacted = Answer::of_snapshot_by(&self.replayer, &seen)?;
        // Names and addresses are others, and with them the incidents' ids.
        let verdicts = |answer: &Answer| {
            let mut verdicts: Vec<_> = answer
                .incidents()
                .into_iter()
                .map(|incident| {
                    let confirmed = causes(incident, "confirmed")
                        .into_keys()
                        .collect::<Vec<_>>();
                    let said = ["outcome", "cause", "failure"].map(|key| text(incident, key));
                    format!("{} {}", said.join(" "), confirmed.join(" "))
                })
                .collect();
            verdicts.sort();
            verdicts
        };
        let (plain, other) = (verdicts(live), verdicts(&redacted));
        ensure!(
            plain == other,
            "redacted, the answer differs\nlive     {plain:#?}\nredacted {other:#?}"
        );
        Ok(())
    }
}

/// One JSON report with its exit code.
pub(crate) struct Answer {
    pub(crate) report: Value,
    pub(crate) exit: Option<i32>,
}

impl Answer {
    /// Asks about a recording, on this host.
    pub(crate) fn of_snapshot(snapshot: &Path) -> Result<Self> {
        Self::of_snapshot_by(&built::why502()?, snapshot)
    }

    fn of_snapshot_by(program: &Path, snapshot: &Path) -> Result<Self> {
        let run = |args: &[OsString]| run_program(program, args);
        Self::ask(&run, vec!["--snapshot".into(), snapshot.into()])
    }

    fn ask(run: &dyn Fn(&[OsString]) -> Result<Output>, mut args: Vec<OsString>) -> Result<Self> {
        args.extend(["--format".into(), "json".into()]);
        let output = run(&args)?;
        let report = serde_json::from_slice(&output.stdout).with_context(|| {
            let (out, err) = (
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
            format!(
                "why502 {args:?} gave {} and no JSON report\n{out}\n{err}",
                output.status
            )
        })?;
        Ok(Self {
            report,
            exit: output.status.code(),
        })
    }

    pub(crate) fn check(&self, expected: &[Expectation]) -> Result<()> {
        ensure!(
            text(&self.report, "schema") == "why502.report/1",
            "the report's schema is another"
        );
        let incidents = self.incidents();
        ensure!(
            incidents.len() == expected.len(),
            "{} incidents where {} were made",
            incidents.len(),
            expected.len()
        );
        for expectation in expected {
            let incident = incidents
                .iter()
                .find(|incident| expectation.is_of(incident));
            let incident = incident.with_context(|| format!("no incident for {expectation:?}"))?;
            expectation
                .check(incident)
                .with_context(|| format!("against {expectation:?}"))?;
        }
        self.check_exit(expected)
    }

    /// As [`Answer::check`], for what is said to who is not root.
    pub(crate) fn check_for_a_user(&self, expected: &[Expectation]) -> Result<()> {
        for incident in self.incidents() {
            match expected
                .iter()
                .find(|expectation| expectation.is_of(incident))
            {
                Some(expectation) => expectation
                    .check_for_a_user(incident)
                    .with_context(|| format!("against {expectation:?}"))?,
                None => ensure!(
                    causes(incident, "confirmed").is_empty(),
                    "what nobody made is confirmed"
                ),
            }
        }
        for expectation in expected.iter().filter(|expectation| expectation.needs_root) {
            let is_there = self
                .incidents()
                .into_iter()
                .any(|incident| expectation.is_of(incident));
            ensure!(is_there, "no incident for {expectation:?}");
        }
        Ok(())
    }

    /// 0 when nothing is ongoing, 1 when all that is has its cause confirmed, 3 otherwise, and where a request that was
    /// asked for failed and no incident tells of it.
    fn check_exit(&self, expected: &[Expectation]) -> Result<()> {
        let ongoing: Vec<_> = self
            .incidents()
            .into_iter()
            .filter(|incident| flag(incident, "ongoing"))
            .collect();
        let all_confirmed = ongoing
            .iter()
            .all(|incident| text(incident, "outcome") == "confirmed");
        let through = self.report.pointer("/request/through/status");
        let has_failed = matches!(through.and_then(Value::as_u64), Some(502 | 504));
        let right = match (ongoing.is_empty(), all_confirmed) {
            (true, _) if has_failed => 3,
            // Requests that nothing explains count as long as they are of the last minute.
            (true, _) if self.tells_of_unexplained() && self.exit == Some(3) => 3,
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 3,
        };
        ensure!(
            self.exit == Some(right),
            "the exit code is {:?} where {right} is right",
            self.exit
        );
        ensure!(
            !expected.is_empty() || has_failed || self.tells_of_unexplained() || right == 0,
            "a healthy host must exit with 0"
        );
        Ok(())
    }

    /// Whether it says that requests failed of which no error log speaks.
    fn tells_of_unexplained(&self) -> bool {
        let gaps = self.report.get("gaps").and_then(Value::as_array);
        let mut gaps = gaps.into_iter().flatten();
        gaps.any(|gap| text(gap, "missing").contains("requests got 502 or 504"))
    }

    pub(crate) fn incidents(&self) -> Vec<&Value> {
        self.report
            .get("incidents")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .collect()
    }

    /// A verdict as live and replay must share it. Both are answers of their own, and other tests' listeners come and go
    /// on this host between them: whether a stranger could be meant may differ, whether it is may not.
    fn shared(cause: &Value) -> &str {
        match (text(cause, "id"), text(cause, "verdict")) {
            (id, "unknown" | "ruled-out") if id.ends_with("-mismatch") => "not confirmed",
            (_, verdict) => verdict,
        }
    }

    /// What a replay must share with the live answer: outcome, cause and each verdict.
    fn essence(&self) -> BTreeMap<String, Vec<String>> {
        let say = |incident: &Value| {
            let all = incident
                .get("causes")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let mut verdicts: Vec<_> = all
                .map(|cause| format!("{}: {}", text(cause, "id"), Self::shared(cause)))
                .collect();
            verdicts.sort();
            verdicts.insert(
                0,
                format!("{} {}", text(incident, "outcome"), text(incident, "cause")),
            );
            verdicts
        };
        self.incidents()
            .into_iter()
            .map(|incident| (text(incident, "id").to_owned(), say(incident)))
            .collect()
    }

    fn shown(&self, how: &str) -> String {
        format!(
            "the {how} answer, exit code {:?}:\n{:#}",
            self.exit, self.report
        )
    }
}

/// The flags that name one nginx instance; a stopped one is known by its configuration alone.
pub(crate) fn instance(nginx: &Nginx) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["--config".into(), nginx.config().into()];
    if nginx.is_running() {
        // Where a runtime keeps it is to be found.
        if !nginx.is_contained() {
            args.extend(["--error-log".into(), nginx.error_log().into()]);
        }
        args.extend(["--pid".into(), nginx.pid().to_string().into()]);
    }
    args.extend(["--since".into(), "1h".into()]);
    args
}

pub(crate) fn run_program(program: &Path, args: &[OsString]) -> Result<Output> {
    attempt::judge();
    // `timeout` so that a run without end is an answer like any other.
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "60"])
        .arg(program)
        .args(args)
        .env("NO_COLOR", "1");
    let output = command
        .output()
        .with_context(|| format!("run {}", program.display()))?;
    if output.status.code() == Some(124) {
        bail!("{} {args:?} took more than a minute", program.display());
    }
    Ok(output)
}

/// The causes of an incident with this verdict, by id.
pub(crate) fn causes<'a>(incident: &'a Value, verdict: &str) -> BTreeMap<String, &'a Value> {
    let all = incident
        .get("causes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let fitting = all.filter(|cause| text(cause, "verdict") == verdict);
    fitting
        .map(|cause| (text(cause, "id").to_owned(), cause))
        .collect()
}

/// The elements of a list that may be missing.
fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter().flatten()
}

/// Every text within a value.
pub(crate) fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn incident(outcome: &str, cause: Option<&str>, verdicts: &[(&str, &str)]) -> Value {
        let causes: Vec<_> = verdicts
            .iter()
            .map(|(id, verdict)| json!({"id": id, "verdict": verdict, "summary": "on 127.0.0.1:8002", "proof": [{}]}))
            .collect();
        json!({"peer": "127.0.0.1:8000", "outcome": outcome, "cause": cause, "ongoing": true, "causes": causes})
    }

    fn answer(incidents: &[Value], exit: i32) -> Answer {
        Answer {
            report: json!({"schema": "why502.report/1", "incidents": incidents}),
            exit: Some(exit),
        }
    }

    #[test]
    fn a_cause_that_is_not_true_must_not_be_confirmed() {
        let both = incident(
            "confirmed",
            Some("a"),
            &[("a", "confirmed"), ("b", "confirmed")],
        );
        let both = answer(&[both], 1);
        assert!(both.check(&[Expectation::confirmed("a")]).is_err());
        assert!(both.check(&[Expectation::confirmed("a").also("b")]).is_ok());
        assert!(
            both.check(&[Expectation::confirmed("b").also("a")])
                .is_err()
        );
        assert!(both.check(&[Expectation::undetermined()]).is_err());
    }

    #[test]
    fn an_unproven_cause_may_stay_open_and_the_exit_code_follows() {
        let open = incident(
            "undetermined",
            None,
            &[("a", "unknown"), ("b", "ruled-out")],
        );
        let open = answer(&[open], 3);
        assert!(
            open.check(&[Expectation::undetermined().rules_out("b")])
                .is_ok()
        );
        assert!(open.check(&[Expectation::at_most("a")]).is_ok());
        assert!(
            open.check(&[Expectation::at_most("a").rules_out("a")])
                .is_err()
        );
        assert!(open.check(&[Expectation::confirmed("a")]).is_err());
        assert!(open.check(&[Expectation::undetermined().over()]).is_err());
        let wrong_code = Answer {
            exit: Some(1),
            ..open
        };
        assert!(wrong_code.check(&[Expectation::undetermined()]).is_err());
    }

    #[test]
    fn every_incident_must_be_expected_and_no_stranger_named() {
        let made = incident("confirmed", Some("a"), &[("a", "confirmed")]);
        assert!(answer(std::slice::from_ref(&made), 1).check(&[]).is_err());
        assert!(answer(&[], 0).check(&[]).is_ok());
        assert!(
            answer(&[], 0)
                .check(&[Expectation::confirmed("a")])
                .is_err()
        );
        let made = answer(&[made], 1);
        assert!(
            made.check(&[Expectation::confirmed("a").of_peer("127.0.0.1:8000")])
                .is_ok()
        );
        assert!(
            made.check(&[Expectation::confirmed("a").of_peer("127.0.0.1:9")])
                .is_err()
        );
        assert!(
            made.check(&[Expectation::confirmed("a").never_naming("127.0.0.1:8002")])
                .is_err()
        );
    }
}
