//! Whole readings: what is counted of files, packed files and pipes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;

use diagnose::logs::{LogKind, Skipped};
use indicatif::ProgressBar;
use log::bulk::{AHEAD, BACK, Part};
use proptest::prelude::*;

use super::names::Input;
use super::packing::Packing;
use super::packing::tests::{ALL, pack};
use super::*;

/// The lines that begin in the parts that it got.
struct Lines(Vec<Vec<u8>>);

impl Count for Lines {
    fn count(&mut self, part: &Part<'_>) {
        let (text, within) = (part.text, &part.within);
        assert!(within.start == BACK || text.starts_with(FIRST.as_bytes()));
        assert!(text.len() - within.end >= AHEAD || text.ends_with(LAST.as_bytes()));
        for at in within.clone() {
            if at == 0 || text[at - 1] == b'\n' {
                let rest = &text[at..];
                let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                self.0.push(rest[..end].to_vec());
            }
        }
    }

    fn merge(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }
}

const FIRST: &str = "2026/06/23 14:02:11 [error] 7#7: first\n";
const LAST: &str = "2026/06/23 15:00:00 [error] 7#7: last";

/// A log whose lines are so long.
fn log_of(lengths: &[usize]) -> Vec<u8> {
    let mut text = FIRST.as_bytes().to_vec();
    for (number, length) in lengths.iter().enumerate() {
        writeln!(text, "{number}:{}", "x".repeat(*length)).unwrap();
    }
    text.extend_from_slice(LAST.as_bytes());
    text
}

struct Opened {
    sources: Vec<Source>,
    skipped: Vec<Skipped>,
    stop: Arc<AtomicBool>,
}

fn open_all(args: &[PathBuf]) -> Opened {
    let (inputs, mut skipped) = inputs(args);
    open_inputs(&inputs, &mut skipped)
}

fn open_inputs(inputs: &[Input], skipped: &mut Vec<Skipped>) -> Opened {
    let stop = Arc::new(AtomicBool::new(false));
    let (sources, unopened) = open(inputs, &Formats::built_in(), &stop, &ProgressBar::hidden());
    skipped.extend(unopened);
    Opened {
        sources,
        skipped: std::mem::take(skipped),
        stop,
    }
}

impl Opened {
    /// Reads in blocks of such a size; what was skipped before is among what was skipped.
    fn read<C: Count>(self, block: usize, threads: usize, new: fn() -> C) -> Counted<C> {
        let (bar, formats) = (ProgressBar::hidden(), Formats::built_in());
        let reading = Reading {
            block,
            threads,
            ..Reading::new(&self.stop, &bar, &formats)
        };
        let mut counted = count(self.sources, &reading, &|_| new());
        counted.skipped.splice(0..0, self.skipped);
        counted
    }

    fn count(self) -> Counted<count::Nothing> {
        self.read(1 << 20, 2, || count::Nothing)
    }
}

fn read(args: &[PathBuf]) -> Counted<count::Nothing> {
    open_all(args).count()
}

/// The lines that were seen, in their own order.
fn seen(counted: Counted<Lines>) -> Vec<Vec<u8>> {
    let counters = counted.counters.into_values();
    let mut lines: Vec<_> = counters.flat_map(|counter| counter.0).collect();
    lines.sort_unstable();
    lines
}

fn lines_of(texts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = texts
        .iter()
        .flat_map(|text| text.split_inclusive(|&byte| byte == b'\n'))
        .map(<[u8]>::to_vec)
        .collect();
    lines.sort_unstable();
    lines
}

fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A pipe into which a thread writes.
fn pipe(dir: &Path, name: &str, bytes: Vec<u8>) -> PathBuf {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let path = dir.join(name);
    mknodat(CWD, &path, FileType::Fifo, Mode::from(0o600), 0).unwrap();
    let to = path.clone();
    thread::spawn(move || {
        let mut to = File::options().write(true).open(to).unwrap();
        // Whoever stops reading wants no more.
        drop(to.write_all(&bytes));
    });
    path
}

fn time(text: &str) -> Option<LocalTime> {
    LocalTime::parse(text.as_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_line_is_seen_once_however_it_is_packed_and_cut(
        logs in prop::collection::vec(
            (prop::collection::vec(prop_oneof![9 => 0..200_usize, 1 => 0..30_000_usize], 0..120), 0..6_usize, 1..4_usize),
            1..4,
        ),
        block in 500..200_000_usize,
        threads in 1..4_usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut texts = Vec::new();
        let mut paths = Vec::new();
        for (idx, (lengths, packing, members)) in logs.iter().enumerate() {
            let text = log_of(lengths);
            let name = format!("{idx}.log");
            paths.push(match ALL.get(*packing) {
                Some(packing) => write(dir.path(), &name, pack(*packing, &text, *members)),
                None => pipe(dir.path(), &name, pack(ALL[members % 3], &text, 1)),
            });
            texts.push(text);
        }
        let counted = open_all(&paths).read(block, threads, || Lines(Vec::new()));
        prop_assert_eq!(&counted.skipped, &[]);
        let total: u64 = counted.files.iter().map(|file| file.lines).sum();
        for file in &counted.files {
            prop_assert_eq!(file.kind, LogKind::Error);
            prop_assert_eq!(file.window, time("2026/06/23 14:02:11").zip(time("2026/06/23 15:00:00")));
        }
        let expected = lines_of(&texts);
        prop_assert_eq!(total, expected.len() as u64);
        // Not compared as they are: a failure would print megabytes.
        prop_assert!(seen(counted) == expected);
    }
}

#[test]
fn a_rotated_set_comes_in_the_order_of_its_times() {
    let dir = tempfile::tempdir().unwrap();
    let log = |hour: u32| format!("2026/06/23 {hour:02}:00:00 [error] 7#7: x\n").into_bytes();
    write(dir.path(), "error.log", log(3));
    write(dir.path(), "error.log.1", log(2));
    write(
        dir.path(),
        "error.log.2.gz",
        pack(Packing::Gzip, &log(1), 1),
    );
    write(dir.path(), "empty.log", "");
    let counted = open_all(&[dir.path().to_owned()]).count();
    let names: Vec<&str> = counted
        .files
        .iter()
        .map(|file| file.name.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(
        names,
        ["error.log.2.gz", "error.log.1", "error.log", "empty.log"]
    );
    assert_eq!(counted.skipped, []);
    assert_eq!(counted.files[3].kind, LogKind::Unknown);
}

#[test]
fn a_file_is_read_once_however_often_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "error.log", FIRST);
    let other = dir.path().join("error.log.1");
    fs::hard_link(&path, &other).unwrap();
    let link = dir.path().join("link.log");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let counted = read(&[path, dir.path().to_owned(), link]);
    assert_eq!(counted.files.len(), 1);
    assert_eq!(counted.files[0].lines, 1);
}

#[test]
fn a_log_is_read_to_where_it_stood_when_it_was_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "error.log", [FIRST, LAST].concat());
    let opened = open_all(std::slice::from_ref(&path));
    // It is rotated, and what follows goes on growing.
    fs::rename(&path, dir.path().join("error.log.1")).unwrap();
    write(dir.path(), "error.log", FIRST.repeat(5));
    let mut file = File::options()
        .append(true)
        .open(dir.path().join("error.log.1"))
        .unwrap();
    file.write_all(FIRST.repeat(9).as_bytes()).unwrap();
    let counted = opened.count();
    assert_eq!(counted.files[0].lines, 2);
    assert_eq!(counted.skipped, []);
}

#[test]
fn a_log_that_is_truncated_meanwhile_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "error.log", FIRST.repeat(50));
    let opened = open_all(std::slice::from_ref(&path));
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(FIRST.len() as u64 * 20)
        .unwrap();
    let counted = opened.count();
    assert_eq!(counted.files[0].lines, 20);
    assert_eq!(
        counted.skipped[0].why,
        "its rest: the file was truncated while it was read"
    );
    assert!(!counted.skipped[0].whole);
}

#[test]
fn what_is_cut_off_or_corrupt_counts_as_far_as_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    // Text that hardly packs, so that there is something before the cut.
    let mut number = 1_u64;
    let mut text = FIRST.as_bytes().to_vec();
    for _ in 0..40_000 {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        writeln!(text, "{number:x}").unwrap();
    }
    for packing in ALL.into_iter().filter(|packing| *packing != Packing::Plain) {
        let mut packed = pack(packing, &text, 4);
        let cut = write(dir.path(), "cut.log", &packed[..packed.len() * 3 / 5]);
        let middle = packed.len() * 7 / 10;
        packed[middle..middle + 40].fill(0x55);
        let corrupt = write(dir.path(), "corrupt.log", &packed);
        for path in [cut, corrupt] {
            let opened = open_all(std::slice::from_ref(&path));
            let counted = opened.count();
            let name = format!("{packing:?} {}", path.display());
            assert!(counted.files[0].lines > 9_000, "{name}");
            assert!(counted.files[0].lines < 40_001, "{name}");
            let Some(skipped) = counted.skipped.first() else {
                panic!("{name}: {:?}", counted.files);
            };
            assert!(!skipped.whole, "{name}");
            let why = if path.ends_with("cut.log") {
                "cut off"
            } else {
                "corrupt"
            };
            assert!(skipped.why.contains(why), "{name}: {}", skipped.why);
        }
    }
}

#[test]
fn what_cannot_be_read_is_told_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let good = write(dir.path(), "good.log", FIRST);
    let junk = write(
        dir.path(),
        "junk.log",
        [0, 159, 146, 150, 10, 7].repeat(999),
    );
    let head = pack(Packing::Gzip, FIRST.as_bytes(), 1);
    let gzip = write(dir.path(), "gzip.log", &head[..12]);
    let missing = dir.path().join("missing.log");
    let counted = read(&[missing, junk, gzip, "/dev/null".into(), good]);
    let told: Vec<(&str, &str)> = counted
        .skipped
        .iter()
        .map(|skipped| {
            assert!(skipped.whole);
            let name = skipped.file.rsplit('/').next().unwrap();
            (name, skipped.why.as_str())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("missing.log", "there is no such file"),
            ("gzip.log", "its gzip data is cut off"),
            (
                "null",
                "it is a device: of devices only standard input is read, as '-'"
            ),
            (
                "junk.log",
                "neither an error log of nginx's nor an access log in format combined or main"
            ),
        ]
    );
    assert_eq!(counted.files[0].lines, 1);
}

#[test]
fn a_pipe_is_read_only_where_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = pipe(dir.path(), "error.log", log_of(&[1, 2, 3]));
    let found = read(&[dir.path().to_owned()]);
    assert_eq!(
        found.skipped[0].why,
        "it is a pipe: name it by itself to have it read"
    );
    let named = read(&[path]);
    assert_eq!(named.files[0].lines, 5);
    assert_eq!(named.files[0].bytes, log_of(&[1, 2, 3]).len() as u64);
}

#[test]
fn a_reading_ends_when_it_shall() {
    let dir = tempfile::tempdir().unwrap();
    let silent = {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let path = dir.path().join("silent");
        mknodat(CWD, &path, FileType::Fifo, Mode::from(0o600), 0).unwrap();
        path
    };
    let writer = thread::spawn({
        let silent = silent.clone();
        move || {
            let mut to = File::options().write(true).open(silent).unwrap();
            to.write_all(FIRST.repeat(100).as_bytes()).unwrap();
            to
        }
    });
    let packed = write(
        dir.path(),
        "a.log",
        pack(Packing::Gzip, &log_of(&[100; 999]), 1),
    );
    let opened = open_all(&[silent, packed]);
    let _open = writer.join().unwrap();
    let stop = Arc::clone(&opened.stop);
    thread::spawn(move || {
        thread::sleep(std::time::Duration::from_millis(50));
        stop.store(true, Ordering::Relaxed);
    });
    let counted = opened.count();
    let lines: Vec<u64> = counted.files.iter().map(|file| file.lines).collect();
    assert!(lines.contains(&100), "{lines:?}");
}

#[test]
fn the_newest_line_is_found_where_it_is_packed() {
    let dir = tempfile::tempdir().unwrap();
    let plain = write(dir.path(), "error.log", FIRST);
    let packed = write(
        dir.path(),
        "error.log.1.zst",
        pack(Packing::Zstd, &log_of(&[1000; 999]), 2),
    );
    let mut opened = open_all(&[plain, packed]);
    let (bar, formats) = (ProgressBar::hidden(), Formats::built_in());
    let reading = Reading::new(&opened.stop, &bar, &formats);
    assert_eq!(
        newest(&mut opened.sources, &reading),
        time("2026/06/23 15:00:00")
    );
}
