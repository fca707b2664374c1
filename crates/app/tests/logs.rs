//! `why502 logs` as it is run: standard input, exit statuses, Ctrl-C. What is counted is tested where it is counted.
#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong in a test's own helper fails the test"
)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

const LINE: &str = "2026/06/23 14:02:11 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.1, server: a, request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\", host: \"a\"\n";

/// `why502 logs` in this directory.
fn logs(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("why502"));
    command
        .arg("logs")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    told(logs(dir, args).output().unwrap())
}

fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_status_is_2_only_where_nothing_could_be_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("error.log"), LINE).unwrap();
    fs::write(dir.path().join("empty.log"), "").unwrap();
    fs::write(dir.path().join("notes.txt"), "nothing of nginx's\n").unwrap();
    for args in [
        &["error.log"][..],
        &["error.log", "missing.log", "notes.txt"],
        &["empty.log"],
        &["."],
        &["*.l?g"],
    ] {
        let (status, _, errors) = run(dir.path(), args);
        assert_eq!((status, errors.as_str()), (Some(0), ""), "{args:?}");
    }
    for (args, why) in [
        (&["missing.log"][..], "missing.log: there is no such file"),
        (&["notes.txt"], "notes.txt: neither an error log"),
        (&["*.gz"], "*.gz: no file matches"),
        (&["/dev/zero"], "/dev/zero: it is a device"),
        (&["-"], "-: "),
        (&[], "FILE"),
        (&["--snapshot", "x"], "name the logs too"),
        (&["error.log", "--since", "noon"], "2026-06-23T14:02:11"),
        (&["error.log", "--class", "x"], "connect-refused"),
        (&["error.log", "--config", "missing.conf"], "missing.conf"),
        (
            &[
                "error.log",
                "--since",
                "2026-06-24",
                "--until",
                "2026-06-23",
            ],
            "is not before",
        ),
    ] {
        let mut command = logs(dir.path(), args);
        if args == ["-"] {
            // Nothing can be read of that.
            command.stdin(fs::File::open(dir.path()).unwrap());
        }
        let (status, _, errors) = told(command.output().unwrap());
        assert_eq!(status, Some(2), "{args:?}: {errors}");
        assert!(errors.contains(why), "{args:?}: {errors}");
    }
}

#[test]
fn standard_input_is_read_however_it_is_packed() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = logs(dir.path(), &["-", "-q"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let packed = zstd::encode_all(LINE.repeat(3000).as_bytes(), 1).unwrap();
    to.write_all(&packed).unwrap();
    drop(to);
    let (status, out, errors) = told(child.wait_with_output().unwrap());
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert!(!out.is_empty());
}

#[test]
fn ctrl_c_prints_what_was_found_so_far() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("error.log"), LINE).unwrap();
    let mut child = logs(dir.path(), &["error.log", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // It stays open: without the signal there is no end.
    let mut to = child.stdin.take().unwrap();
    to.write_all(LINE.repeat(200).as_bytes()).unwrap();
    wait_for_handler(&child);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let (status, out, _) = told(child.wait_with_output().unwrap());
    assert_eq!(status, Some(130));
    assert!(out.contains("interrupted"), "{out}");
    drop(to);
}

/// Until the process catches the signal, which would end it before.
fn wait_for_handler(child: &Child) {
    const INTERRUPT: u64 = 1 << 1;
    let caught = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .map(|mask| u64::from_str_radix(mask.trim(), 16).unwrap());
        mask.unwrap() & INTERRUPT != 0
    };
    while !caught() {
        thread::sleep(Duration::from_millis(5));
    }
    // What it does then is set a moment later.
    thread::sleep(Duration::from_millis(50));
}
