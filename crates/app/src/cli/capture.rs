//! `why502 capture`: a snapshot of the evidence, to be judged anywhere and any time later.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use diagnose::{Judged, Judgement, Options, Url, counted};
use serde_json::{Value, json};

use super::Global;
use super::diagnose::Target;
use crate::collect;

/// Where to, and what of.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The snapshot to write (tar.zst); an existing file is kept
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
    /// Replace names of hosts, sites and users, addresses, requests and e-mail addresses, each by the same everywhere;
    /// the verdict stays the same, or nothing is written
    #[arg(long)]
    redact: bool,
    #[command(flatten)]
    target: Target,
}

/// Records what a diagnosis asks.
pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        !args.target.is_recorded(),
        "--snapshot is already a recording: copy the file"
    );
    let options = args.target.live_options(None)?;
    let recorder = host::Recorder::new(host::LiveHost::new());
    let diagnosis = collect::diagnose(options.clone(), &recorder);
    if let (Some(refusal), true) = (&diagnosis.refusal, options.request.is_some()) {
        anyhow::bail!("{refusal}");
    }
    let overwrite = if args.force {
        host::Overwrite::Yes
    } else {
        host::Overwrite::No
    };
    let mut meta = host::Meta {
        captured_at: options.now,
        hostname: diagnosis.hostname.clone().unwrap_or_default(),
        options: recorded(&options),
    };
    let mut records = recorder.into_records();
    if args.redact {
        (meta, records) = redact(&meta, &records)?;
    }
    let written = host::Snapshot::write(&args.output, overwrite, &meta, &records)
        .context("writing the snapshot (--force overwrites)")?;
    if !global.quiet {
        writeln!(
            anstream::stderr(),
            "{}: {}, {}; judge it with: why502 --snapshot {}",
            args.output.display(),
            counted(written, "record"),
            counted(diagnosis.incidents.len(), "incident"),
            args.output.display()
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The records redacted, once they are known to give the verdicts that they gave before.
fn redact(meta: &host::Meta, records: &[Recorded]) -> anyhow::Result<(host::Meta, Vec<Recorded>)> {
    let (redacted, answers) = host::redact(meta, records);
    let plain = verdicts(&host::Snapshot::of(meta, records));
    let masked = verdicts(&host::Snapshot::of(&redacted, &answers));
    if let Some((before, after)) = differing(&plain, &masked) {
        anyhow::bail!(
            "redacted, the records would give another verdict ({before}, then {after}): nothing is written; capture without --redact and hand the file to nobody but those you trust"
        );
    }
    Ok((redacted, answers))
}

type Recorded = (diagnose::ProbeRequest, facts::Record);

/// What a snapshot's verdicts come to, whatever the names: every incident's failure, answer and causes.
fn verdicts(snapshot: &host::Snapshot) -> Vec<String> {
    let diagnosis = collect::diagnose(options_of(snapshot), snapshot);
    let mut verdicts: Vec<String> = diagnosis.incidents.iter().map(verdict).collect();
    verdicts.sort_unstable();
    verdicts
}

fn verdict(judged: &Judged) -> String {
    let mut causes: Vec<String> = judged
        .causes
        .iter()
        .map(|verdict| {
            let answer = match verdict.judgement {
                Judgement::Confirmed(_) => "confirmed",
                Judgement::Unknown(_) => "unknown",
                Judgement::RuledOut(_) => "ruled out",
            };
            format!("{} {answer}", verdict.cause.id)
        })
        .collect();
    causes.sort_unstable();
    format!(
        "{}: {}, {}; {}",
        judged.cause.map_or("nothing proven", |cause| cause.id),
        counted(judged.incident.count, "failure"),
        if judged.ongoing() { "ongoing" } else { "over" },
        causes.join(", ")
    )
}

/// The first difference, said shortly.
fn differing(plain: &[String], redacted: &[String]) -> Option<(String, String)> {
    let short = |verdict: Option<&String>, other: Option<&String>| {
        let Some(verdict) = verdict else {
            return "no incident".to_owned();
        };
        let others: Vec<&str> = other
            .into_iter()
            .flat_map(|other| other.split([',', ';']))
            .collect();
        let parts = verdict
            .split([',', ';'])
            .filter(|part| !others.contains(part));
        parts.map(str::trim).collect::<Vec<_>>().join(", ")
    };
    (0..plain.len().max(redacted.len())).find_map(|at| {
        let (one, other) = (plain.get(at), redacted.get(at));
        (one != other).then(|| (short(one, other), short(other, one)))
    })
}

/// The options as the snapshot keeps them.
fn recorded(options: &Options) -> Value {
    let path = |path: &Option<PathBuf>| {
        path.as_ref()
            .map(|path| path.to_string_lossy().into_owned())
    };
    json!({
        "now": options.now.to_string(),
        "since_seconds": options.since.as_secs(),
        "config": path(&options.config),
        "prefix": path(&options.prefix),
        "pid": options.pid,
        "error_log": path(&options.error_log),
        "connect": options.connect,
        "handshake": options.handshake,
        // Without its query, as the record has it.
        "request": options.request.as_ref().map(ToString::to_string),
    })
}

/// The options that a snapshot was made with: with them the same questions are asked again.
pub(crate) fn options_of(snapshot: &host::Snapshot) -> Options {
    let options = snapshot.options();
    let path = |name: &str| options.get(name).and_then(Value::as_str).map(PathBuf::from);
    let now = options
        .get("now")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok());
    Options {
        now: now.unwrap_or(snapshot.captured_at()),
        since: Duration::from_secs(
            options
                .get("since_seconds")
                .and_then(Value::as_u64)
                .unwrap_or(3600),
        ),
        config: path("config"),
        prefix: path("prefix"),
        pid: options
            .get("pid")
            .and_then(Value::as_u64)
            .and_then(|pid| u32::try_from(pid).ok()),
        error_log: path("error_log"),
        connect: options
            .get("connect")
            .and_then(Value::as_bool)
            .unwrap_or(true),
        handshake: options
            .get("handshake")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        request: options
            .get("request")
            .and_then(Value::as_str)
            .and_then(|url| Url::parse(url).ok()),
        selection: None,
        gate: None,
    }
}
