//! `cargo xtask fuzz`: lets libFuzzer look for input that the parsers do not bear, starting from what the crates' own
//! tests read.
//!
//! Needs a nightly compiler and `cargo install cargo-fuzz`. What it finds lies in `fuzz/artifacts`; each find becomes a
//! named test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::run;

/// How long each target runs unless told otherwise.
const SECONDS: u32 = 600;

/// Every target, with what its corpus begins with: files of the workspace, each as a whole and line by line.
const TARGETS: &[(&str, &[&str])] = &[
    ("conf", &[]),
    ("error_log", &["crates/log/tests/data/samples-1.22.1.log"]),
    ("access_log", &[]),
    ("bulk", &["crates/log/tests/data/samples-1.22.1.log"]),
    (
        "access_control",
        &[
            "crates/facts/testdata/audit/selinux.log",
            "crates/facts/testdata/audit/apparmor.log",
            "crates/facts/testdata/selinux/tiny.33",
        ],
    ),
    ("snapshot", &[]),
    ("process", &[]),
    (
        "sockets",
        &[
            "crates/facts/testdata/tcp-listening.bin",
            "crates/facts/testdata/tcp-established.bin",
            "crates/facts/testdata/unix-listening.bin",
        ],
    ),
    ("walk", &[]),
    ("handshake", &["crates/facts/testdata/certificate.der"]),
    (
        "netfilter",
        &[
            "crates/facts/testdata/chains.bin",
            "crates/facts/testdata/firewall/iptables-save",
            "crates/facts/testdata/firewall/iptables-save-ufw",
            "crates/facts/testdata/firewall/nft.json",
        ],
    ),
    ("exchange", &[]),
    ("tables", &[]),
    ("names", &[]),
    ("systemd", &[]),
    ("journal", &[]),
    (
        "application",
        &[
            "crates/facts/testdata/log/gunicorn-27.log",
            "crates/facts/testdata/log/php-fpm-8.2.log",
            "crates/facts/testdata/log/uwsgi-2.0.21.log",
        ],
    ),
    ("settings", &[]),
];

/// What to fuzz, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fuzz {
    target: Option<String>,
    seconds: u32,
}

impl Fuzz {
    pub(crate) fn parse(args: &[&str]) -> Option<Self> {
        let (target, seconds) = match args {
            [] => (None, SECONDS),
            ["--seconds", seconds] => (None, seconds.parse().ok()?),
            [target] => (Some(*target), SECONDS),
            [target, "--seconds", seconds] => (Some(*target), seconds.parse().ok()?),
            _ => return None,
        };
        let known = |target: &str| TARGETS.iter().any(|(name, _)| *name == target);
        target.is_none_or(known).then(|| Self {
            target: target.map(str::to_owned),
            seconds,
        })
    }
}

/// Runs one target, or all of them one after the other; a find is an error, after the rest has run.
pub(crate) fn run(fuzz: &Fuzz) -> Result<()> {
    if !run::succeeds("cargo", &["+nightly", "fuzz", "--version"]) {
        bail!(
            "cargo-fuzz is missing: rustup toolchain install nightly && cargo install cargo-fuzz"
        );
    }
    let wanted = |name: &str| fuzz.target.as_deref().is_none_or(|target| target == name);
    let mut found = Vec::new();
    for (name, seeds) in TARGETS.iter().filter(|(name, _)| wanted(name)) {
        let corpus = seeded(name, seeds)?;
        // Safe code needs no sanitizer, and runs twice as often without.
        let mut cargo = Command::new("cargo");
        cargo
            .args(["+nightly", "fuzz", "run", "--sanitizer", "none", name])
            .arg(&corpus)
            .arg("--")
            .arg(format!("-max_total_time={}", fuzz.seconds))
            .args(["-rss_limit_mb=2048", "-timeout=10"])
            .args(["-max_len=65536", "-print_final_stats=1"])
            .current_dir(run::root().join("fuzz"));
        run::say(&format!("\nfuzz {name}, {} seconds\n", fuzz.seconds));
        if let Err(error) = run::visibly(&mut cargo) {
            run::complain(&format!("fuzz {name}: {error:#}\n"));
            found.push(*name);
        }
    }
    ensure!(
        found.is_empty(),
        "found something in {}: see fuzz/artifacts",
        found.join(", ")
    );
    Ok(())
}

/// The target's corpus, with its seeds added. `fuzz/seeds/TARGET` holds those that no test of a crate has.
fn seeded(name: &str, seeds: &[&str]) -> Result<PathBuf> {
    let fuzz = run::root().join("fuzz");
    let corpus = fuzz.join("corpus").join(name);
    fs::create_dir_all(&corpus).with_context(|| format!("make {}", corpus.display()))?;
    let own = fuzz.join("seeds").join(name);
    for entry in fs::read_dir(&own).into_iter().flatten() {
        let path = entry?.path();
        add(&corpus, &path, &read(&path)?)?;
    }
    for seed in seeds {
        let path = run::root().join(seed);
        let bytes = read(&path)?;
        add(&corpus, &path, &bytes)?;
        if path.extension().is_some_and(|kind| kind == "log") {
            for (line_idx, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
                let line_path = path.with_extension(line_idx.to_string());
                add(&corpus, &line_path, line)?;
            }
        }
    }
    Ok(corpus)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

fn add(corpus: &Path, like: &Path, bytes: &[u8]) -> Result<()> {
    let name = like.file_name().context("a seed with a name")?;
    let path = corpus.join(format!("seed-{}", name.to_string_lossy()));
    fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn only_known_targets_are_taken() {
        assert_eq!(
            Fuzz::parse(&["conf", "--seconds", "5"]),
            Some(Fuzz {
                target: Some("conf".to_owned()),
                seconds: 5
            })
        );
        assert_eq!(Fuzz::parse(&[]).map(|fuzz| fuzz.seconds), Some(SECONDS));
        for wrong in [&["nothing"][..], &["conf", "5"], &["--seconds", "x"]] {
            assert_eq!(Fuzz::parse(wrong), None, "{wrong:?} was taken");
        }
    }

    #[test]
    fn every_target_of_the_fuzz_project_is_listed() {
        let dir = run::root().join("fuzz/fuzz_targets");
        let files: BTreeSet<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                path.file_stem().unwrap().to_string_lossy().into_owned()
            })
            .collect();
        let listed: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(files, listed);
    }

    #[test]
    fn every_seed_is_there() {
        for seed in TARGETS.iter().flat_map(|(_, seeds)| *seeds) {
            assert!(run::root().join(seed).is_file(), "{seed}");
        }
    }
}
