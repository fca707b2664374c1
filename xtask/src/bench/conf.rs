//! `cargo xtask bench conf`: reading a configuration of five hundred files, against crossplane.
//!
//! Both read the files from disk, follow the includes and check what they read; ours also works out the effective
//! model. Python's start is not counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use conf::{Configuration, Lookup, Model, Source, Tree};

use super::Bound;
use super::measure::{self, Times};
use super::site::{self, Ports};
use crate::run;

/// The other reader, from PyPI.
const PEER: &str = "crossplane==0.5.8";
const ROUNDS: usize = 5;
/// Ours is timed this often a round.
const OURS: usize = 10;
/// How many times faster ours is to be.
const FASTER: f64 = 10.0;

/// Reads once and tells the seconds and the number of directives.
const SCRIPT: &str = "\
import sys, time, crossplane
start = time.perf_counter()
payload = crossplane.parse(sys.argv[1])
taken = time.perf_counter() - start
assert payload['status'] == 'ok', payload['errors'][:1]
def count(block):
    return sum(1 + count(directive.get('block', ())) for directive in block)
print(taken, sum(count(file['parsed']) for file in payload['config']))
";

/// Measures both, turn and turn about.
pub(super) fn measure() -> Result<Vec<Bound>> {
    let python = environment()?;
    let dir = tempfile::tempdir().context("make a directory")?;
    let main = site::write(dir.path(), Ports { first: 20_000 })?;
    let size = size(&main)?;
    run::say(&format!(
        "\nconfiguration: {} files, {} servers, {:.2} MB\n",
        site::FILES + 1,
        site::FILES * site::SERVERS,
        to_mb(size)
    ));

    let (mut ours, mut lexed, mut peer) = (Times::default(), Times::default(), Times::default());
    for _ in 0..ROUNDS {
        let mut directives = 0;
        for _ in 0..OURS {
            let (taken, count) = read(&main)?;
            ours.add(taken);
            directives = count;
        }
        for _ in 0..OURS {
            lexed.add(lex(&main)?);
        }
        let (taken, count) = crossplane(&python, &main)?;
        peer.add(taken);
        ensure!(
            count == directives,
            "crossplane read {count} directives, we {directives}"
        );
    }

    run::say(&measure::head(ROUNDS));
    run::say(&ours.row("why502-conf: read, parse, include, model"));
    run::say(&lexed.row("why502-conf: parse alone, from memory"));
    run::say(&peer.row("crossplane parse"));
    let speed = |times: &Times| to_mb(size) / times.median().as_secs_f64();
    run::say(&format!(
        "\nwhy502-conf {:.0} MB/s from disk to model, {:.0} MB/s parse alone; crossplane {:.2} MB/s\n",
        speed(&ours),
        speed(&lexed),
        speed(&peer)
    ));
    let ratio = peer.median().as_secs_f64() / ours.median().as_secs_f64();
    let what = "a configuration of 2,000 servers is read faster than by crossplane";
    Ok(vec![Bound::at_least(what, ratio, FASTER, " times")])
}

struct Disk;

impl Source for Disk {
    fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
        match fs::read(path) {
            Ok(bytes) => Lookup::Found(Arc::new(Tree::parse(bytes))),
            Err(error) => Lookup::Failed(error.raw_os_error().unwrap_or(0)),
        }
    }

    fn directory(&self, path: &Path) -> Lookup<Vec<Vec<u8>>> {
        let names = || -> std::io::Result<Vec<Vec<u8>>> {
            fs::read_dir(path)?
                .map(|entry| Ok(entry?.file_name().into_encoded_bytes()))
                .collect()
        };
        match names() {
            Ok(names) => Lookup::Found(names),
            Err(error) => Lookup::Failed(error.raw_os_error().unwrap_or(0)),
        }
    }
}

fn read(main: &Path) -> Result<(Duration, usize)> {
    let prefix = main.parent().context("a main file in a directory")?;
    let start = Instant::now();
    let configuration = Configuration::assemble(main, prefix, b"", &Disk);
    let model = Model::of(&configuration);
    let taken = start.elapsed();
    ensure!(
        configuration.troubles().is_empty() && configuration.is_complete(),
        "{:?}",
        configuration.troubles().first()
    );
    let trees = model.files().iter().map(|file| file.tree.all().count());
    Ok((taken, trees.sum()))
}

fn lex(main: &Path) -> Result<Duration> {
    let texts: Vec<Vec<u8>> = files(main)?
        .iter()
        .map(fs::read)
        .collect::<Result<_, _>>()?;
    let start = Instant::now();
    let trees: Vec<Tree> = texts.into_iter().map(Tree::parse).collect();
    let taken = start.elapsed();
    ensure!(trees.iter().all(|tree| tree.troubles().is_empty()));
    Ok(taken)
}

fn files(main: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![main.to_owned()];
    for entry in fs::read_dir(main.with_file_name("sites"))? {
        files.push(entry?.path());
    }
    Ok(files)
}

fn size(main: &Path) -> Result<u64> {
    files(main)?
        .iter()
        .map(|file| Ok(fs::metadata(file)?.len()))
        .sum()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a size in megabytes, with two decimals"
)]
fn to_mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn crossplane(python: &Path, main: &Path) -> Result<(Duration, usize)> {
    let mut command = Command::new(python);
    command
        .args(["-c", SCRIPT])
        .arg(main)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command.output().context("run crossplane")?;
    ensure!(
        output.status.success(),
        "crossplane failed: {}",
        output.status
    );
    let told = String::from_utf8_lossy(&output.stdout);
    let (seconds, count) = told
        .trim()
        .split_once(' ')
        .context("read what crossplane's run told")?;
    Ok((Duration::from_secs_f64(seconds.parse()?), count.parse()?))
}

/// A Python that has crossplane, made once under the build directory.
fn environment() -> Result<PathBuf> {
    let dir = why502_lab::target_dir()?.join("bench/venv");
    let python = dir.join("bin/python");
    let has_peer = |python: &Path| {
        let script = format!(
            "import importlib.metadata as m; assert 'crossplane==' + m.version('crossplane') == '{PEER}'"
        );
        run::succeeds(&python.to_string_lossy(), &["-c", &script])
    };
    if !has_peer(&python) {
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        run::visibly(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
        run::visibly(Command::new(&python).args(["-m", "pip", "install", "--quiet", PEER]))?;
        ensure!(
            has_peer(&python),
            "{PEER} is installed, and still not there"
        );
    }
    Ok(python)
}
