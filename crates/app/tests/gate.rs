//! `why502 gate` as it is run: exit statuses, formats, waiting, hostile peers. What is asked and what answers mean is
//! tested where it is decided.
#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong in a test's own helper fails the test"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const BUSY: &[u8] = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";

/// `why502 gate` in this directory.
fn gate(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("why502"));
    command
        .arg("gate")
        .args(["--config", "nginx.conf", "--timeout", "500ms"])
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The same in JSON.
fn answer(dir: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let (status, out, errors) = gate(dir, &[args, &["--format", "json"]].concat());
    assert!(out.starts_with('{'), "{out}{errors}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer.get("schema").unwrap(), "why502.gate/1");
    (status, answer)
}

/// A configuration with these locations.
fn site(locations: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), locations);
    dir
}

fn write(dir: &Path, locations: &str) {
    let conf = format!(
        "events {{}}\nhttp {{ server {{ listen 127.0.0.1:1; server_name shop.example;\n{locations}\n}} }}\n"
    );
    fs::write(dir.join("nginx.conf"), conf).unwrap();
}

/// A peer that does this with every connection for as long as the test runs; its port.
fn peer(serve: impl Fn(TcpStream) + Send + Clone + 'static) -> u16 {
    serve_on(TcpListener::bind("0.0.0.0:0").unwrap(), serve)
}

fn serve_on(listener: TcpListener, serve: impl Fn(TcpStream) + Send + Clone + 'static) -> u16 {
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Answers a request, whatever it asks for.
fn answers(bytes: &'static [u8]) -> impl Fn(TcpStream) + Send + Clone + 'static {
    move |mut stream| {
        if matches!(stream.read(&mut [0; 4096]), Ok(count) if count > 0) {
            stream.write_all(bytes).ok();
        }
    }
}

/// A port on which nothing listens.
fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn what_is_ready_is_clean_and_what_fails_is_refused_with_its_cause() {
    let port = peer(answers(OK));
    let dir = site(&format!(
        "location / {{ proxy_set_header Host $host; proxy_pass http://127.0.0.1:{port}; }}"
    ));
    let (status, clean) = answer(dir.path(), &[]);
    assert_eq!(
        (status, &clean["verdict"]),
        (Some(0), &Value::from("clean"))
    );
    let ready = &clean["peers"][0];
    assert_eq!(ready["outcome"], "ready");
    assert_eq!(ready["tried"][1], "GET / HTTP/1.0, Host: shop.example");
    assert_eq!(ready["directive"]["line"], 3);

    let dead = nobody();
    write(
        dir.path(),
        &format!(
            "location / {{ proxy_pass http://127.0.0.1:{port}; }}\nlocation /d {{ proxy_pass http://127.0.0.1:{dead}; }}\nlocation /s {{ fastcgi_pass unix:/nowhere/php.sock; }}"
        ),
    );
    let (status, refused) = answer(dir.path(), &[]);
    assert_eq!(
        (status, &refused["verdict"]),
        (Some(1), &Value::from("refused"))
    );
    let of = |at: usize| {
        let peer = &refused["peers"][at];
        (
            peer["outcome"].as_str().unwrap(),
            peer["cause"].as_str(),
            peer["directive"]["line"].as_u64(),
        )
    };
    assert_eq!(of(0), ("ready", None, Some(3)));
    assert_eq!(of(1), ("failing", Some("peer-not-listening"), Some(4)));
    assert_eq!(of(2), ("failing", Some("socket-missing"), Some(5)));
    assert_eq!(refused["peers"][1]["incident"]["origin"], "experiment");
    assert_eq!(refused["peers"][1]["incident"]["errno"], 111);
}

#[test]
fn statuses_are_held_against_what_is_expected() {
    let port = peer(answers(BUSY));
    let dir = site(&format!(
        "location / {{ proxy_pass http://127.0.0.1:{port}; }}"
    ));
    let (status, refused) = answer(dir.path(), &["--http-path", "/healthz"]);
    assert_eq!(status, Some(1));
    assert_eq!(refused["peers"][0]["cause"], "application-answered-5xx");
    let says = refused["peers"][0]["says"].as_str().unwrap();
    assert!(
        says.starts_with("503 after ") && says.ends_with("expected 200-399"),
        "{says}"
    );
    let (status, _) = answer(dir.path(), &["--expect", "2xx,503"]);
    assert_eq!(status, Some(0));
    for wrong in [
        ["--expect", "600"],
        ["--http-path", "healthz"],
        ["--timeout", "x"],
        ["--format", "xml"],
    ] {
        assert_eq!(gate(dir.path(), &wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_spare_server_does_not_count_and_one_that_is_down_is_not_asked() {
    let (port, dead) = (peer(answers(OK)), nobody());
    let dir = tempfile::tempdir().unwrap();
    let with = |servers: &str| {
        let conf = format!(
            "events {{}} http {{ upstream shop {{ {servers} }} server {{ location / {{ proxy_pass http://shop; }} }} }}"
        );
        fs::write(dir.path().join("nginx.conf"), conf).unwrap();
        answer(dir.path(), &[])
    };
    let (status, spared) = with(&format!(
        "server 127.0.0.1:{port}; server 127.0.0.1:{dead} backup; server 127.0.0.2:{dead} down;"
    ));
    assert_eq!(status, Some(0));
    let outcomes: Vec<_> = spared["peers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|peer| peer["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["ready", "failing", "not-tried"]);
    let (status, _) = with(&format!("server 127.0.0.1:{port} down;"));
    assert_eq!(status, Some(1));
}

#[test]
fn hostile_peers_cost_the_time_out_once() {
    let hang = peer(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let drip = peer(|mut stream| {
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let endless = peer(|mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").ok();
        while stream.write_all(b"X-Endless: yes\r\n").is_ok() {}
    });
    let reset = peer(|stream| drop(stream.peek(&mut [0])));
    let mut locations = String::new();
    for at in 1..=20 {
        for port in [hang, drip, endless, reset] {
            // Each loopback address is a peer of its own.
            let location =
                format!("location /{at}/{port} {{ proxy_pass http://127.0.0.{at}:{port}; }}\n");
            locations.push_str(&location);
        }
    }
    let dir = site(&locations);
    let start = Instant::now();
    let (status, refused) = answer(dir.path(), &[]);
    let took = start.elapsed();
    assert_eq!(status, Some(1));
    let peers = refused["peers"].as_array().unwrap();
    assert!(
        peers.iter().all(|peer| peer["outcome"] == "failing"),
        "{refused:#}"
    );
    let slowest = peers
        .iter()
        .filter_map(|peer| peer["took_ms"].as_f64())
        .fold(0.0, f64::max);
    assert!(slowest < 1_000.0, "{slowest}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn it_waits_until_the_peers_are_ready() {
    let port = nobody();
    let dir = site(&format!(
        "location / {{ proxy_pass http://127.0.0.1:{port}; }}"
    ));
    let starter = thread::spawn(move || {
        thread::sleep(Duration::from_millis(700));
        serve_on(TcpListener::bind(("127.0.0.1", port)).unwrap(), answers(OK))
    });
    let start = Instant::now();
    let (status, out, errors) = gate(dir.path(), &["--wait", "20s"]);
    assert_eq!((status, errors.as_str()), (Some(0), ""), "{out}");
    assert!(start.elapsed() > Duration::from_millis(600));
    starter.join().unwrap();

    let dir = site(&format!(
        "location / {{ proxy_pass http://127.0.0.1:{}; }}",
        nobody()
    ));
    let start = Instant::now();
    let (status, out, _) = gate(dir.path(), &["--wait", "1s"]);
    assert_eq!(status, Some(1));
    assert!(out.contains("peer-not-listening"), "{out}");
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_configuration_that_nginx_would_refuse_is_refused() {
    let dir = site("location / { proxy_pass http://127.0.0.1:1");
    let (status, refused) = answer(dir.path(), &[]);
    assert_eq!(status, Some(1));
    assert!(
        refused["troubles"][0]["text"]
            .as_str()
            .unwrap()
            .contains("unexpected"),
        "{refused:#}"
    );
    let dir = site("include missing.conf;");
    let (status, refused) = answer(dir.path(), &[]);
    assert_eq!(status, Some(1));
    assert!(
        refused["troubles"][0]["text"]
            .as_str()
            .unwrap()
            .contains("missing.conf")
    );
    // What is no main configuration is no answer.
    fs::write(dir.path().join("nginx.conf"), "server { listen 80; }").unwrap();
    let (status, out, errors) = gate(dir.path(), &[]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(errors.contains("no main configuration"), "{errors}");
    fs::remove_file(dir.path().join("nginx.conf")).unwrap();
    let (status, out, errors) = gate(dir.path(), &[]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(errors.contains("nginx.conf"), "{errors}");
}

#[test]
fn pipelines_get_their_own_formats() {
    let dead = nobody();
    let dir = site(&format!(
        "location / {{ proxy_pass http://127.0.0.1:{dead}; }}"
    ));
    let (status, github, _) = gate(dir.path(), &["--format", "github"]);
    assert_eq!(status, Some(1));
    let first = github.lines().next().unwrap();
    assert!(
        first.starts_with("::error file=") && first.contains("nginx.conf,line=3,title="),
        "{github}"
    );
    assert!(first.contains("peer-not-listening"), "{github}");
    let (status, junit, _) = gate(dir.path(), &["--format", "junit"]);
    assert_eq!(status, Some(1));
    assert!(
        junit.starts_with("<?xml") && junit.contains("failures=\"1\""),
        "{junit}"
    );
    assert!(junit.contains("type=\"peer-not-listening\""), "{junit}");
    let (status, quiet, _) = gate(dir.path(), &["-q"]);
    assert_eq!(status, Some(1));
    assert_eq!(quiet.lines().count(), 2, "{quiet}");
}

#[test]
fn against_running_takes_a_candidate() {
    let dir = site("location / { return 200; }");
    let (status, _, errors) = gate(dir.path(), &["--against", "running"]);
    // Whether nginx runs on this host or not: either it is compared, or said why it cannot be.
    assert!(
        status == Some(0) && errors.is_empty()
            || status == Some(2) && errors.contains("--against running"),
        "{status:?} {errors}"
    );
}
