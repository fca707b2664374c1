//! A headless Chromium, driven by the DevTools protocol over its pipe (`--remote-debugging-pipe`): JSON between NUL bytes
//! on descriptors 3 and 4. No port, no WebSocket and no crate but `serde_json`; and it ends when the pipe does, so that
//! not even a killed test leaves one behind.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = "/usr/bin/chromium";
/// Far more than it takes, on a machine that does much else besides.
const PATIENCE: Duration = Duration::from_secs(90);

/// One browser with one page.
pub(crate) struct Chromium {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Value,
    calls: u64,
    /// What the browser told without being asked.
    events: Vec<Value>,
    home: TempDir,
    _turn: File,
}

impl Chromium {
    pub(crate) fn start() -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "{PROGRAM} is missing: `cargo xtask test` installs it"
        );
        // Side by side they take a machine's memory, and starve each other of its time.
        let turn = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chromium.lock");
        let turn = File::create(turn).unwrap();
        turn.lock().unwrap();
        let home = TempDir::new().unwrap();
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "exec 3<&0 4>&1 </dev/null >/dev/null; exec \"$@\"",
                "sh",
                PROGRAM,
            ])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--disable-breakpad",
                "--remote-debugging-pipe",
            ])
            .arg(format!(
                "--user-data-dir={}",
                home.path().join("profile").display()
            ))
            .arg("about:blank")
            .env("HOME", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(home.path().join("stderr")).unwrap());
        let mut child = command.spawn().unwrap();
        let to = child.stdin.take().unwrap();
        let pipe = BufReader::new(child.stdout.take().unwrap());
        let (sender, from) = channel();
        thread::spawn(move || {
            for message in pipe.split(0) {
                let Ok(message) = message else { break };
                let message = serde_json::from_slice(&message).unwrap();
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut chromium = Self {
            child,
            to,
            from,
            session: Value::Null,
            calls: 0,
            events: Vec::new(),
            home,
            _turn: turn,
        };
        let target = chromium.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attached = chromium.call(
            "Target.attachToTarget",
            &json!({"targetId": target["targetId"], "flatten": true}),
        );
        chromium.session = attached["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            chromium.call(&format!("{domain}.enable"), &json!({}));
        }
        chromium
    }

    /// Asks and waits for the answer.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.to.write_all(message.to_string().as_bytes()).unwrap();
        self.to.write_all(b"\0").unwrap();
        loop {
            let message = self.next(method);
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn next(&mut self, what: &str) -> Value {
        self.from.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            let said = std::fs::read_to_string(self.home.path().join("stderr"));
            panic!(
                "{what}: {error}; chromium says: {}",
                said.unwrap_or_default()
            )
        })
    }

    /// Opens a page from disk and waits until it is loaded.
    pub(crate) fn open(&mut self, file: &Path) {
        self.events.clear();
        let url = format!("file://{}", file.display());
        self.call("Page.navigate", &json!({"url": url}));
        let is_load = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(is_load) {
            let event = self.next("load");
            self.events.push(event);
        }
    }

    /// The value of an expression in the page; one that throws fails the test.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        self.eval_with(&json!({"expression": expression, "returnByValue": true}))
    }

    fn eval_with(&mut self, params: &Value) -> Value {
        let answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{params}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression has the value.
    pub(crate) fn becomes(&mut self, expression: &str, wanted: &Value) {
        let begun = Instant::now();
        loop {
            let found = self.eval(expression);
            if found == *wanted {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{expression} is {found}, not {wanted}"
            );
            self.frame();
        }
    }

    /// Waits until what was changed has been drawn.
    pub(crate) fn frame(&mut self) {
        let drawn = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))";
        self.eval_with(&json!({"expression": drawn, "awaitPromise": true}));
    }

    /// Moves the mouse there, with its left button held or not.
    pub(crate) fn point(&mut self, x: f64, y: f64, is_held: bool) {
        self.mouse("mouseMoved", x, y, is_held);
    }

    /// Presses the left button at one place, and lifts it at another.
    pub(crate) fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.point(from.0, from.1, false);
        self.mouse("mousePressed", from.0, from.1, true);
        self.point(to.0, to.1, true);
        self.mouse("mouseReleased", to.0, to.1, true);
    }

    fn mouse(&mut self, kind: &str, x: f64, y: f64, is_held: bool) {
        let button = if is_held { "left" } else { "none" };
        let params = json!({
            "type": kind, "x": x, "y": y, "button": button, "buttons": u8::from(is_held), "clickCount": 1,
        });
        self.call("Input.dispatchMouseEvent", &params);
    }

    /// Presses and releases a key, by its DOM name.
    pub(crate) fn key(&mut self, key: &str, shift: bool) {
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            " " => 32,
            _ => 0,
        };
        let text = match key {
            "Enter" => "\r",
            one if one.chars().count() == 1 => one,
            _ => "",
        };
        let modifiers = if shift { 8 } else { 0 };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({
                "type": kind, "key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers,
            });
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", &params);
        }
    }

    /// What was logged as an error or refused by the page's policy, and what was asked of any address but the page's own.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let told = |event: &Value| match event["method"].as_str()? {
            "Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled" => {
                Some(event["params"].to_string())
            }
            "Network.requestWillBeSent" => {
                let url = event["params"]["request"]["url"].as_str()?;
                (event["params"]["type"] != "Document" || !url.starts_with("file:///"))
                    .then(|| format!("asked for {url}"))
            }
            _ => None,
        };
        self.events.iter().filter_map(told).collect()
    }
}

impl Drop for Chromium {
    /// Asks it to end, so that its helpers are gone before their files are; ends it where it does not.
    fn drop(&mut self) {
        let asked = self
            .to
            .write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let begun = Instant::now();
        while asked.is_ok() && begun.elapsed() < Duration::from_secs(10) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Both fail only where it has ended meanwhile.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
