//! The page in a real browser: by mouse, by keyboard, by finger; in the dark and on a phone.
//!
//! Screenshots are left in `target/tmp/logs-page`.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use diagnose::logs::LogReport;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chromium::Chromium;
use crate::fixture::{page, report};

const TIP: &str = "document.getElementById('tip').innerText";
const RANGE: &str = "document.getElementById('range').textContent";
const SHOWN: &str = "document.getElementById('shown').textContent";
const WHOLE: &str = "2026/11/21 01:12 to 24:00 · a bar is 10 minutes";
/// The peers of the rows that are seen, in their order.
const PEERS: &str = "[...document.querySelectorAll('#table > tbody')].filter(body => body.offsetHeight > 0)\
    .map(body => body.querySelector('[data-label=\"Peer\"]').firstChild.textContent.trim().slice(0, 21))";

/// The page of the report, opened in a window of that size.
struct Opened {
    chromium: Chromium,
    _folder: TempDir,
}

impl Opened {
    fn new(width: u32, height: u32, is_phone: bool) -> Self {
        Self::with(&report(), width, height, is_phone)
    }

    fn with(report: &LogReport, width: u32, height: u32, is_phone: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("logs.html");
        fs::write(&file, page(report)).unwrap();
        let mut chromium = Chromium::start();
        chromium.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}),
        );
        chromium.call(
            "Emulation.setTouchEmulationEnabled",
            &json!({"enabled": is_phone}),
        );
        chromium.open(&file);
        Self {
            chromium,
            _folder: folder,
        }
    }

    fn eval(&mut self, expression: &str) -> Value {
        self.chromium.eval(expression)
    }

    fn becomes(&mut self, expression: &str, wanted: impl Into<Value>) {
        self.chromium.becomes(expression, &wanted.into());
    }

    fn scheme(&mut self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.chromium.call(
            "Emulation.setEmulatedMedia",
            &json!({"features": [feature]}),
        );
    }

    /// Where in the window the timeline shows that time of the day, at half its height; `whole` day in view.
    fn spot(&mut self, hours: f64, minutes: f64) -> (f64, f64) {
        let place = self.eval(
            "(() => { document.getElementById('timeline').scrollIntoView(); \
             const box = document.querySelector('#chart > svg').getBoundingClientRect(); \
             const grid = document.querySelector('#chart > .grid').getBoundingClientRect(); \
             return [grid.left, grid.width, box.top + 100]; })()",
        );
        let number = |idx: usize| place[idx].as_f64().unwrap();
        let (first, last) = (72.0, 1440.0);
        let part = (hours * 60.0 + minutes - first) / (last - first);
        (number(0) + part * number(1), number(2))
    }

    fn click(&mut self, selector: &str) {
        self.eval(&format!(
            "document.querySelector({}).click()",
            json!(selector)
        ));
    }

    /// What is in the window.
    fn screenshot(&mut self, name: &str) {
        self.shoot(name, &json!({}));
    }

    /// The page from its top to its end.
    fn screenshot_of_all(&mut self, name: &str) {
        let height = self.eval("document.documentElement.scrollHeight");
        let width = self.eval("innerWidth");
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        self.shoot(name, &json!({"captureBeyondViewport": true, "clip": clip}));
    }

    fn shoot(&mut self, name: &str, params: &Value) {
        let shot = self.chromium.call("Page.captureScreenshot", params);
        let png = BASE64_STANDARD.decode(shot["data"].as_str().unwrap());
        fs::write(screenshots().join(format!("{name}.png")), png.unwrap()).unwrap();
    }

    /// Ends the test: the page has neither complained nor asked for anything.
    fn done(self) {
        assert_eq!(self.chromium.complaints(), Vec::<String>::new());
    }
}

fn screenshots() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("logs-page");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn contains(text: &Value, parts: &[&str]) {
    let text = text.as_str().unwrap();
    for part in parts {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn the_mouse_reads_and_zooms_the_timeline() {
    let mut page = Opened::new(1280, 900, false);
    page.becomes(RANGE, WHOLE);

    let (x, y) = page.spot(14.0, 35.0);
    page.chromium.point(x, y, false);
    page.becomes("document.getElementById('tip').hidden", false);
    let tip = page.eval(TIP);
    contains(
        &tip,
        &[
            "2026/11/21 14:30 to 14:40",
            "connect-refused",
            "no-live-upstreams",
            "read-timeout",
            "premature-close",
            "together",
            "requests answered by 5xx",
        ],
    );
    page.screenshot("desktop-hover");
    let (x, y) = page.spot(17.0, 45.0);
    page.chromium.point(x, y, false);
    page.becomes(&format!("{TIP}.includes('17:40 to 17:50')"), true);
    page.chromium.point(x, 5.0, false);
    page.becomes("document.getElementById('tip').hidden", true);

    let (from, to) = (page.spot(14.0, 5.0), page.spot(14.0, 55.0));
    page.chromium.drag(from, to);
    page.becomes(RANGE, "2026/11/21 14:00 to 15:00 · a bar is a minute");
    page.becomes(
        SHOWN,
        "4 of 6 incidents, those that failed in the time shown",
    );
    page.screenshot("desktop-zoomed");
    page.click("#in");
    page.becomes(
        "document.getElementById('range').textContent.includes('to 15:00')",
        false,
    );
    page.click("#reset");
    page.becomes(RANGE, WHOLE);
    page.becomes(SHOWN, "All 6 incidents");
    page.becomes("document.getElementById('out').ariaDisabled", "true");
    page.click("#in");
    page.click("#earlier");
    page.becomes(
        &format!("{RANGE}.startsWith('2026/11/21 01:12 to 12:36')"),
        true,
    );
    page.done();
}

#[test]
fn the_table_is_filtered_and_sorted() {
    let mut page = Opened::new(1280, 900, false);
    let all = json!([
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8010",
        "http://shop",
        "http://10.0.0.12:9000",
        "http://10.0.0.12:9000",
        "</script><script>aler",
    ]);
    page.becomes(PEERS, all);
    page.eval("document.getElementById('filter').focus()");
    page.chromium
        .call("Input.insertText", &json!({"text": "CART 9000"}));
    page.becomes(PEERS, json!(["http://10.0.0.12:9000"]));
    page.becomes(SHOWN, "1 of 6 incidents");
    // The timeline shows what the table does.
    let colours = "[...new Set([...document.querySelectorAll('#chart rect[class^=c]:not(.cursor)')].map(bar => bar.className.baseVal))]";
    assert_eq!(page.eval(colours).as_array().unwrap().len(), 1);
    page.eval("document.getElementById('filter').select()");
    page.chromium
        .call("Input.insertText", &json!({"text": "no such text"}));
    page.becomes(PEERS, json!([]));
    page.eval("document.getElementById('filter').select()");
    page.chromium
        .call("Input.insertText", &json!({"text": ":9000"}));
    page.becomes(SHOWN, "2 of 6 incidents");

    let counts = "[...document.querySelectorAll('#table [data-label=Failures]')].filter(cell => cell.offsetHeight > 0)\
        .map(cell => Number(cell.textContent.replace(/,/g, '')))";
    let sorted = page.eval(counts);
    assert!(sorted[0].as_u64() > sorted[1].as_u64(), "{sorted}");
    page.click("th[data-key=count] button");
    page.becomes(counts, json!([sorted[1], sorted[0]]));
    page.becomes(
        "document.querySelector('th[data-key=count]').ariaSort",
        "ascending",
    );
    page.click("th[data-key=failure] button");
    page.becomes(
        "document.querySelector('th[data-key=count]').hasAttribute('aria-sort')",
        false,
    );
    page.becomes(
        "[...document.querySelectorAll('#table [data-label=\"What failed\"]')].filter(cell => cell.offsetHeight > 0)\
         .map(cell => cell.childNodes[1].textContent.trim())",
        json!(["header-too-big", "premature-close"]),
    );
    page.done();
}

#[test]
fn the_keyboard_does_what_the_mouse_does() {
    let mut page = Opened::new(1280, 900, false);
    let focused = "document.activeElement.id";
    page.becomes(RANGE, WHOLE);
    for _ in 0..8 {
        if page.eval(focused) == "chart" {
            break;
        }
        page.chromium.key("Tab", false);
    }
    page.becomes(focused, "chart");
    // It begins at the worst bar.
    page.becomes("document.getElementById('tip').hidden", false);
    let worst = page.eval(TIP);
    contains(&worst, &["connect-refused"]);
    let told = "document.getElementById('chart').getAttribute('aria-valuetext')";
    page.chromium.key("Home", false);
    page.becomes(&format!("{TIP}.includes('01:10 to 01:20')"), true);
    page.chromium.key("ArrowRight", false);
    page.becomes(
        &format!("{told}.startsWith('2026/11/21 01:20 to 01:30: premature-close ')"),
        true,
    );
    page.chromium.key("+", false);
    page.becomes(&format!("{RANGE}.startsWith('2026/11/21 01:')"), true);
    assert_ne!(page.eval(RANGE), WHOLE);
    let before = page.eval(RANGE);
    page.chromium.key("ArrowRight", true);
    page.becomes(&format!("{RANGE} === {before}"), false);
    page.chromium.key("0", false);
    page.becomes(RANGE, WHOLE);

    // The legend is next, as the buttons of zooming are out of the way.
    page.chromium.key("Tab", false);
    page.becomes(
        "document.activeElement.textContent.startsWith('connect-refused')",
        true,
    );
    page.chromium.key(" ", false);
    page.becomes(
        "document.activeElement.getAttribute('aria-pressed')",
        "false",
    );
    page.becomes(SHOWN, "5 of 6 incidents");
    page.chromium.key(" ", false);
    page.becomes(SHOWN, "All 6 incidents");

    page.eval("document.querySelector('th[data-key=last] button').focus()");
    page.chromium.key("Enter", false);
    page.becomes(
        "document.querySelector('th[data-key=last]').ariaSort",
        "descending",
    );
    page.becomes(&format!("{PEERS}[0]"), "</script><script>aler");
    page.chromium.key("Enter", false);
    page.becomes(&format!("{PEERS}[0]"), "http://shop");
    page.eval("document.querySelector('#table summary').focus()");
    page.chromium.key("Enter", false);
    page.becomes("document.querySelector('#table details').open", true);
    page.done();
}

#[test]
fn the_page_is_dark_where_the_reader_is() {
    let mut page = Opened::new(1280, 900, false);
    let colours = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color, \
        getComputedStyle(document.querySelector('#chart rect.c0')).fill, \
        getComputedStyle(document.querySelector('#legend i.c0')).backgroundColor]";
    page.scheme("light");
    page.becomes(RANGE, WHOLE);
    let light = page.eval(colours);
    page.click("#table details summary");
    page.screenshot_of_all("desktop-light");
    page.scheme("dark");
    page.chromium.frame();
    let dark = page.eval(colours);
    for idx in 0..4 {
        assert_ne!(light[idx], dark[idx]);
    }
    page.screenshot_of_all("desktop-dark");
    page.done();
}

#[test]
fn the_page_fits_a_phone_and_a_finger() {
    let mut page = Opened::new(390, 844, true);
    page.scheme("light");
    page.becomes("document.documentElement.scrollWidth", 390);
    page.eval("document.querySelectorAll('details').forEach(details => { details.open = true; })");
    page.becomes("document.documentElement.scrollWidth", 390);
    page.screenshot_of_all("phone-open");
    page.eval("document.querySelectorAll('details').forEach(details => { details.open = false; })");

    let (x, y) = page.spot(14.0, 35.0);
    let finger = json!([{"x": x, "y": y}]);
    page.chromium.call(
        "Input.dispatchTouchEvent",
        &json!({"type": "touchStart", "touchPoints": finger}),
    );
    page.chromium.call(
        "Input.dispatchTouchEvent",
        &json!({"type": "touchEnd", "touchPoints": []}),
    );
    page.becomes("document.getElementById('tip').hidden", false);
    contains(&page.eval(TIP), &["2026/11/21 14:", "connect-refused"]);
    page.becomes("document.documentElement.scrollWidth", 390);
    page.screenshot("phone");
    page.scheme("dark");
    page.screenshot_of_all("phone-dark");
    page.done();
}

#[test]
fn the_numbers_are_there_where_no_script_runs() {
    let mut page = Opened::new(1280, 900, false);
    page.chromium.call(
        "Emulation.setScriptExecutionDisabled",
        &json!({"value": true}),
    );
    let loaded = page.chromium.call("Page.getNavigationHistory", &json!({}));
    let url = loaded["entries"].as_array().unwrap().last().unwrap()["url"].clone();
    page.chromium.open(Path::new(
        url.as_str().unwrap().trim_start_matches("file://"),
    ));
    let seen = page.eval("document.body.innerText");
    contains(
        &seen,
        &[
            "need the script of this page",
            "connect-refused",
            "http://127.0.0.1:8010",
            "12,996 of 1,204,113 requests answered by 5xx",
        ],
    );
    assert_eq!(
        page.eval("document.getElementById('timeline').offsetHeight"),
        0
    );
    page.screenshot_of_all("desktop-without-script");
    page.done();
}

#[test]
fn logs_without_a_failure_have_a_page_that_works() {
    let mut page = Opened::with(&LogReport::default(), 1280, 900, false);
    page.becomes("document.getElementById('timeline').hidden", true);
    page.done();

    let answered = LogReport {
        incidents: Vec::new(),
        ..report()
    };
    let mut page = Opened::with(&answered, 1280, 900, false);
    page.becomes(RANGE, WHOLE);
    let (x, y) = page.spot(14.0, 35.0);
    page.chromium.point(x, y, false);
    page.becomes(
        &format!("{TIP}.includes('1,100 of 8,552 requests answered by 5xx')"),
        true,
    );
    page.done();
}
