//! `why502 fix`: the fix of a confirmed cause is carried out, verified, and taken back when it does not help.
//!
//! The only place that holds a [`Change`]. Judges nothing: which fix is right, and what takes each step back, comes from
//! `diagnose`. Crash-safe: see `journal`.

mod act;
mod journal;
mod plan;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context as _;
use diagnose::repair::Repair;
use diagnose::{Diagnosis, Fix, Judged, Options, Safety};
use host::{Change, Master, Tested, write_atomic};
use report::repair::{Answer, Outcome, Plan};

use act::Work;
pub(crate) use journal::STATE;
use journal::{Before, Journal, Phase, Store};
use plan::{Prepared, Source};
use verify::Shown;

use crate::collect;

/// What the user allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leave {
    /// Show the plan, and do nothing.
    pub(crate) dry_run: bool,
    /// Ask nobody.
    pub(crate) yes: bool,
    /// Also carry out, unasked, what changes what runs.
    pub(crate) allow_unsafe: bool,
}

/// Who is told, and asked, while it goes on. What cannot be told is not told: a closed terminal stops no repair.
pub(crate) trait Voice {
    /// The plan, before anything is done.
    fn plan(&mut self, plan: &Plan);
    /// Whether this shall be done; an error says why nobody can be asked.
    fn agrees(&mut self, what: &str) -> Result<bool, String>;
    /// A step was done, or failed.
    fn progress(&mut self, text: &str, is_done: bool);
}

/// Repairs what is diagnosed, one incident after another.
pub(crate) fn fix(
    diagnosis: &Diagnosis,
    options: &Options,
    leave: Leave,
    state: &Path,
    voice: &mut dyn Voice,
) -> anyhow::Result<Vec<Answer>> {
    let ongoing: Vec<String> = diagnosis
        .incidents
        .iter()
        .filter(|judged| judged.ongoing())
        .map(|judged| judged.incident.id.clone())
        .collect();
    if ongoing.is_empty() {
        return Ok(vec![Answer {
            plan: None,
            of: None,
            outcome: Outcome::Nothing,
        }]);
    }
    let store = if leave.dry_run {
        None
    } else {
        let store = Store::take(state)?;
        ensure_finished(&store)?;
        Some(store)
    };
    let mut answers = Vec::new();
    let mut newer = None;
    for id in ongoing {
        if newer.is_some() {
            newer = reproduced(diagnosis, newer, &id, options);
        }
        let now = newer.as_ref().unwrap_or(diagnosis);
        let judged = now
            .incidents
            .iter()
            .find(|judged| judged.incident.id == id && judged.ongoing());
        // It may have ended with the one before.
        let Some(judged) = judged else { continue };
        let was_proven = of_id(diagnosis, &id).is_some_and(|judged| judged.cause.is_some());
        if judged.cause.is_none() && was_proven && now.asked.is_some() && !fails_through(now) {
            continue;
        }
        let repairer = Repairer {
            diagnosis: now,
            judged,
            options,
            leave,
            store: store.as_ref(),
        };
        let answer = repairer.answer(voice)?;
        let has_changed = matches!(
            answer.outcome,
            Outcome::Fixed(_) | Outcome::Unverified(_) | Outcome::Undone { .. }
        );
        let is_stuck = matches!(answer.outcome, Outcome::Stuck { .. });
        answers.push(answer);
        if is_stuck {
            break;
        }
        if has_changed {
            newer = Some(collect::diagnose(renewed(options), &host::LiveHost::new()));
        }
    }
    Ok(answers)
}

fn of_id<'d>(diagnosis: &'d Diagnosis, id: &str) -> Option<&'d Judged> {
    let mut incidents = diagnosis.incidents.iter();
    incidents.find(|judged| judged.incident.id == id)
}

/// Whether the request of a diagnosis fails.
fn fails_through(diagnosis: &Diagnosis) -> bool {
    matches!(verify::through(diagnosis), Some(502 | 504))
}

/// What failed before the workers were new proves nothing of these: where a cause was proven at first and is not now, the
/// request that leads to it is sent again.
fn reproduced(
    first: &Diagnosis,
    now: Option<Diagnosis>,
    id: &str,
    options: &Options,
) -> Option<Diagnosis> {
    let was = of_id(first, id).filter(|judged| judged.cause.is_some());
    let url = was.and_then(|judged| judged.reached_by.clone());
    let is_lost = now
        .as_ref()
        .and_then(|now| of_id(now, id))
        .is_some_and(|judged| judged.ongoing() && judged.cause.is_none());
    if !is_lost || url.is_none() {
        return now;
    }
    thread::sleep(verify::SECOND);
    let mut again = renewed(options);
    again.selection = None;
    again.request = url;
    Some(collect::diagnose(again, &host::LiveHost::new()))
}

/// Ends what an earlier run began: a fix whose steps were all done is verified, everything else is taken back.
pub(crate) fn resume(state: &Path, voice: &mut dyn Voice) -> anyhow::Result<Option<Answer>> {
    let store = Store::take(state)?;
    let Some(journal) = store.unfinished()? else {
        return Ok(None);
    };
    go_on(&store, journal, voice, |work| match work.journal.phase {
        Phase::Verifying => verified(work),
        Phase::Applying | Phase::Undoing | Phase::Kept | Phase::Undone => {
            taken_back(work, "an earlier run was cut off before its end".to_owned())
        }
    })
    .map(Some)
}

/// Takes the last fix back that was kept.
pub(crate) fn undo_last(state: &Path, yes: bool, voice: &mut dyn Voice) -> anyhow::Result<Answer> {
    let store = Store::take(state)?;
    ensure_finished(&store)?;
    let Some(kept) = store.last_kept()? else {
        anyhow::bail!(
            "there is no fix to take back: none was kept in {}",
            state.display()
        );
    };
    let what = format!(
        "take back, of {}: {} ({})",
        kept.journal.peer, kept.journal.summary, kept.journal.cause
    );
    let agreed = if yes { Ok(true) } else { voice.agrees(&what) };
    match agreed {
        Ok(true) => {
            let journal = store.reopen(kept)?;
            go_on(&store, journal, voice, |work| {
                taken_back(work, "as asked".to_owned())
            })
        }
        Ok(false) => Ok(declined(kept.journal, "you said no".to_owned())),
        Err(why) => Ok(declined(kept.journal, why)),
    }
}

fn declined(journal: Journal, why: String) -> Answer {
    Answer {
        plan: None,
        of: Some((
            journal.peer,
            format!("{}: {}", journal.cause, journal.summary),
        )),
        outcome: Outcome::Declined(why),
    }
}

/// Fails where an earlier fix did not come to its end.
fn ensure_finished(store: &Store) -> anyhow::Result<()> {
    anyhow::ensure!(
        store.unfinished()?.is_none(),
        "a fix was cut off before it ended: run `why502 fix --resume` first"
    );
    Ok(())
}

/// Goes on with the journal of an earlier run, to this end.
fn go_on(
    store: &Store,
    journal: Journal,
    voice: &mut dyn Voice,
    end: impl FnOnce(&mut Work<'_>) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Answer> {
    let of = (
        journal.peer.clone(),
        format!("{}: {}", journal.cause, journal.summary),
    );
    let outcome = end(&mut Work {
        change: &Change::new(),
        store,
        journal,
        voice,
    })?;
    Ok(Answer {
        plan: None,
        of: Some(of),
        outcome,
    })
}

/// One incident to be repaired.
struct Repairer<'a> {
    diagnosis: &'a Diagnosis,
    judged: &'a Judged,
    options: &'a Options,
    leave: Leave,
    store: Option<&'a Store>,
}

impl Repairer<'_> {
    fn answer(&self, voice: &mut dyn Voice) -> anyhow::Result<Answer> {
        let incident = &self.judged.incident;
        let wrong = self.judged.answer().map(|answer| answer.summary.clone());
        let without_plan = |outcome| Answer {
            plan: None,
            of: Some((incident.peer.clone(), wrong.clone().unwrap_or_default())),
            outcome,
        };
        if self.judged.cause.is_none() {
            return Ok(without_plan(Outcome::Unproven));
        }
        let (fix, repair) = match self.fitting() {
            Ok(found) => found,
            Err(reasons) => return Ok(without_plan(Outcome::Unfit(reasons))),
        };
        let master = self.master();
        let change = Change::new();
        let source = Source {
            judged: self.judged,
            fix,
            repair: &repair,
            master: master.as_ref(),
        };
        let prepared = match source.prepare(&change, &host::LiveHost::new()) {
            Ok(prepared) => prepared,
            // Others may be mended all the same.
            Err(error) => return Ok(without_plan(Outcome::Unfit(vec![format!("{error:#}")]))),
        };
        voice.plan(&prepared.plan);
        let outcome = match (self.store, self.refusal(fix.safety, voice)) {
            (None, _) => Outcome::Planned,
            (_, Some(why)) => Outcome::Declined(why),
            (Some(store), None) => {
                self.carry_out(store, &change, &prepared, master.as_ref(), voice)?
            }
        };
        Ok(Answer {
            plan: Some(prepared.plan),
            of: None,
            outcome,
        })
    }

    /// The first fix that can be carried out; else why none can.
    fn fitting(&self) -> Result<(&Fix, Repair), Vec<String>> {
        let instance = self.diagnosis.instances.get(self.judged.incident.instance);
        let elsewhere = instance
            .and_then(|instance| instance.master.as_ref())
            .filter(|master| master.is_elsewhere);
        if let Some(master) = elsewhere {
            return Err(vec![format!(
                "nginx (pid {}) has a root or mounts of its own, such as a container's: apply the steps that why502 shows there",
                master.pid
            )]);
        }
        let mut reasons = Vec::new();
        for fix in self
            .judged
            .answer()
            .into_iter()
            .flat_map(|answer| &answer.fixes)
        {
            match Repair::of(fix) {
                Ok(repair) => return Ok((fix, repair)),
                Err(unfit) => reasons.push(unfit.to_string()),
            }
        }
        if reasons.is_empty() {
            reasons.push("no fix is known that a program could carry out".to_owned());
        }
        Err(reasons)
    }

    fn master(&self) -> Option<Master> {
        let instance = self
            .diagnosis
            .instances
            .get(self.judged.incident.instance)?;
        instance.master.as_ref().map(|master| Master {
            pid: master.pid,
            start: master.start,
            options: master.options.clone(),
        })
    }

    /// Why it is not carried out.
    fn refusal(&self, safety: Safety, voice: &mut dyn Voice) -> Option<String> {
        if self.leave.dry_run {
            return None;
        }
        if self.leave.yes {
            let is_covered = safety == Safety::Safe || self.leave.allow_unsafe;
            return (!is_covered).then(|| {
                "it changes what runs, which --yes alone does not cover: add --allow-unsafe"
                    .to_owned()
            });
        }
        match voice.agrees("carry it out") {
            Ok(true) => None,
            Ok(false) => Some("you said no".to_owned()),
            Err(why) => Some(why),
        }
    }

    fn carry_out(
        &self,
        store: &Store,
        change: &Change,
        prepared: &Prepared,
        master: Option<&Master>,
        voice: &mut dyn Voice,
    ) -> anyhow::Result<Outcome> {
        watch_signals()?;
        store.begin()?;
        for (number, file) in prepared.files.iter().enumerate() {
            write_atomic(&store.backup(number), &file.original.bytes)?;
            // It stands in the file's place while it is tested, so it must look the same to nginx.
            change.replace(
                &store.candidate(number),
                &file.new,
                &file.original.attributes,
            )?;
        }
        if let Some(refused) = refused_ahead(store, change, prepared, master, voice)? {
            return Ok(Outcome::Declined(refused));
        }
        let before = self.before();
        let mut work = Work {
            change,
            store,
            journal: Journal::new(
                self.judged,
                &prepared.plan,
                self.options,
                master,
                before,
                prepared.acts.clone(),
            )?,
            voice,
        };
        if interrupted().is_err() {
            return Ok(Outcome::Declined("you interrupted it".to_owned()));
        }
        store.save(&work.journal)?;
        match work.carry_out() {
            Ok(()) => verified(&mut work),
            Err(error) => taken_back(&mut work, format!("{error:#}")),
        }
    }

    /// What the request gives before anything is changed.
    fn before(&self) -> Before {
        let url = self.judged.reached_by.clone();
        let mut options = renewed(self.options);
        options.selection = None;
        options.request.clone_from(&url);
        let diagnosis = collect::diagnose(options, &host::LiveHost::new());
        if url.is_some() {
            // Its line in the log tells the second alone: only what is done in a later one is known to have come after it.
            thread::sleep(verify::SECOND);
        }
        Before {
            url: url.map(|url| url.to_string()),
            status: verify::through(&diagnosis),
            incidents: diagnosis
                .incidents
                .iter()
                .map(|judged| judged.incident.id.clone())
                .collect(),
        }
    }
}

/// Has nginx test every state that the files will be in, before any of them is written. Says why it refuses one.
fn refused_ahead(
    store: &Store,
    change: &Change,
    prepared: &Prepared,
    master: Option<&Master>,
    voice: &mut dyn Voice,
) -> anyhow::Result<Option<String>> {
    let Some(master) = master else {
        return Ok(None);
    };
    let stand_ins: Vec<(PathBuf, PathBuf)> = prepared
        .files
        .iter()
        .enumerate()
        .map(|(number, file)| (file.original.path.clone(), store.candidate(number)))
        .collect();
    // Without a file of its own a plan may put into force what is on disk.
    let is_tested = |act: &journal::Act| matches!(act, journal::Act::Test { .. });
    if !prepared.acts.iter().any(is_tested) {
        return Ok(None);
    }
    for count in stand_ins.len().min(1)..=stand_ins.len() {
        let text = "nginx -t of the files to come";
        match change.test_with(master, stand_ins.get(..count).unwrap_or_default())? {
            Tested::NoNamespace => return Ok(None),
            Tested::Ran(ran) if ran.is_success() => voice.progress(text, true),
            Tested::Ran(ran) => {
                voice.progress(text, false);
                return Ok(Some(format!("nginx refuses it: {}", ran.said())));
            }
        }
    }
    Ok(None)
}

fn verified(work: &mut Work<'_>) -> anyhow::Result<Outcome> {
    work.phase(Phase::Verifying)?;
    let outcome = match verify::verify(&work.journal) {
        Shown::Works(by) => Outcome::Fixed(by),
        Shown::Open(why) => Outcome::Unverified(why),
        Shown::Fails(why) => return taken_back(work, why),
    };
    work.journal.phase = Phase::Kept;
    work.store.finish(&work.journal)?;
    Ok(outcome)
}

fn taken_back(work: &mut Work<'_>, why: String) -> anyhow::Result<Outcome> {
    let mut left = work.take_back()?;
    left.extend(work.differences()?);
    let was = work.journal.before.status;
    let now = was.and_then(|_| verify::status_now(&work.journal));
    if !left.is_empty() {
        left.push(format!(
            "the backups stand in {}; `why502 fix --resume` tries again",
            work.store
                .backup(0)
                .parent()
                .unwrap_or(Path::new("/"))
                .display()
        ));
        return Ok(Outcome::Stuck { why, left });
    }
    work.journal.phase = Phase::Undone;
    work.store.finish(&work.journal)?;
    let as_it_was = "everything that was changed is as it was";
    let url = work.journal.before.url.as_deref().unwrap_or_default();
    let back = match (was, now) {
        (Some(was), Some(now)) => {
            format!("{as_it_was}; GET {url} gives {now} ({was} before)")
        }
        _ => as_it_was.to_owned(),
    };
    Ok(Outcome::Undone { why, back })
}

fn renewed(options: &Options) -> Options {
    Options {
        now: jiff::Timestamp::now(),
        ..options.clone()
    }
}

static INTERRUPTED: std::sync::OnceLock<Arc<AtomicBool>> = std::sync::OnceLock::new();

/// From here on Ctrl-C ends the step that is under way, and takes everything back.
fn watch_signals() -> anyhow::Result<()> {
    let flag = INTERRUPTED.get_or_init(|| Arc::new(AtomicBool::new(false)));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(flag))
            .context("watching for an interruption")?;
    }
    Ok(())
}

/// Fails once the user wants no more of it.
fn interrupted() -> anyhow::Result<()> {
    let is_set = INTERRUPTED
        .get()
        .is_some_and(|flag| flag.load(Ordering::Relaxed));
    anyhow::ensure!(!is_set, "interrupted");
    Ok(())
}
