//! The page as text: complete, closed, self-contained, harmless.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use diagnose::logs::LogReport;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use why502_report::text::visible;

use crate::fixture::{EVIL, page, report};

const SCRIPT: &str = "\n<script>";
const DATA: &str = "<script type=\"application/json\" id=\"data\">";

/// What stands between `open` and the next end of a script.
fn script<'a>(page: &'a str, open: &str) -> &'a str {
    let (_, rest) = page.split_once(open).unwrap();
    let (script, _) = rest.split_once("</script>").unwrap();
    script
}

#[test]
fn only_the_pages_own_script_may_run() {
    let page = page(&report());
    let hash = BASE64_STANDARD.encode(Sha256::digest(script(&page, SCRIPT)));
    let policy = format!("script-src 'sha256-{hash}'");
    assert!(
        page.contains(&policy),
        "the script has changed: POLICY in src/html/logs.rs must say sha256-{hash}"
    );
    assert!(page.contains("default-src 'none'"));
    assert!(!script(&page, SCRIPT).contains("innerHTML"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    for report in [report(), LogReport::default()] {
        // What the logs say themselves is text, and shown.
        let page = page(&report).replace("img src=x", "");
        for outside in [
            "<link", "<img", " src=", " href=", "@import", "url(", "fetch(",
        ] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}

#[test]
fn hostile_text_is_text() {
    let page = page(&report());
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<!--"));
    assert!(!page.contains("<img"));
    for line in page.lines() {
        assert_eq!(visible(line), line);
    }
}

#[test]
fn the_data_block_is_json_that_cannot_be_left() {
    let page = page(&report());
    let block = script(&page, DATA);
    assert!(!block.contains(['<', '>', '&', '\u{2028}', '\u{2029}', '\n']));
    let data: Value = serde_json::from_str(block).unwrap();
    let incidents = data["incidents"].as_array().unwrap();
    assert_eq!(incidents.len(), 6);
    assert_eq!(incidents[5]["peer"], visible(EVIL).as_ref());
    assert_eq!(data["classes"][0], "connect-refused");
    assert_eq!(data["step"], 60);
    // 2026/11/21 14:02 and a minute later.
    let minutes = &incidents[0]["timeline"].as_array().unwrap()[..4];
    assert_eq!(minutes, [29_921_162, 40, 1, 88]);
}

#[test]
fn what_the_logs_tell_stands_there_without_the_script() {
    let page = page(&report());
    let (before, _) = page.split_once(DATA).unwrap();
    for text in [
        "<title>why502 logs: ",
        " failed attempts, 6 incidents</title>",
        "2026/11/21 01:12:40 to 2026/11/21 23:59:41",
        "<dt>Clients</dt><dd>about 4,242</dd>",
        "<dt>Answered by 5xx</dt><dd>1.0 %</dd>",
        "Interrupted: what had been read until then is counted.",
        "12 failed attempts more came when too many incidents were kept already",
        "3 lines may have been written by somebody else than nginx",
        "9 lines left out",
        "</i>connect-refused <span class=\"faint\">errno 111 while connecting to upstream</span>",
        "http://127.0.0.1:8000 <span class=\"faint\">upstream shop</span>",
        "<b>peer-port-mismatch</b>, confirmed",
        "gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000",
        "<td>www.shop.example.com</td>",
        "<td>/report/monthly</td>",
        "<h3>What it may be</h3>",
        "<code>peer-not-listening</code>",
        "<td>198.51.100.7</td><td class=\"n\">912</td>",
        "each count may be too low by up to 17",
        "12,996 of 1,204,113 requests answered by 5xx: 1.0 %.",
        "<td>502</td><td class=\"n\">11,996</td><td class=\"n\">0.9 %</td>",
        "class=\"n\">9,000 (1.2 %)</td>",
        "class=\"n\">12 ms</td>",
        "class=\"n\">60.00 s</td>",
        "2026/11/21 17:05:00 to 2026/11/21 18:40:00, 1 h 35 min",
        "error, 31,337 lines, 8,211,402 bytes, 2026/11/21 01:12:40 to 2026/11/21 23:59:41",
    ] {
        assert!(before.contains(text), "{text} is not in\n{before}");
    }
}

#[test]
fn logs_without_a_failure_have_a_page() {
    let page = page(&LogReport::default());
    assert!(page.contains("0 failed attempts, 0 incidents"));
    assert!(page.contains("No failed attempt to get an answer from a peer."));
    assert!(!page.contains("<table"));
}

#[test]
fn every_element_is_closed_in_order() {
    let page = page(&report());
    let page = page.replace(script(&page, SCRIPT), "");
    let mut open = Vec::new();
    for tag in page
        .split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap())
    {
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "in {tag}"),
            None if name.starts_with('!') || matches!(name, "meta" | "input") => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

/// What people with each kind of eyes make of linear RGB: all cones, and without the long, middle and short ones
/// (Machado, Oliveira, Fernandes 2009, "A physiologically-based model for simulation of color vision deficiency").
const EYES: [[[f64; 3]; 3]; 4] = [
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    [
        [0.152_286, 1.052_583, -0.204_868],
        [0.114_503, 0.786_281, 0.099_216],
        [-0.003_882, -0.048_116, 1.051_998],
    ],
    [
        [0.367_322, 0.860_646, -0.227_968],
        [0.280_085, 0.672_501, 0.047_413],
        [-0.011_820, 0.042_940, 0.968_881],
    ],
    [
        [1.255_528, -0.076_749, -0.178_779],
        [-0.078_411, 0.930_809, 0.147_602],
        [0.004_733, 0.691_367, 0.303_900],
    ],
];

fn times(matrix: [[f64; 3]; 3], [x, y, z]: [f64; 3]) -> [f64; 3] {
    matrix.map(|[a, b, c]| a * x + b * y + c * z)
}

/// The colour `#rrggbb` in linear RGB.
fn linear(colour: &str) -> [f64; 3] {
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    [part(1), part(3), part(5)]
}

/// In Oklab, where distances are alike to the eye.
fn oklab(rgb: [f64; 3]) -> [f64; 3] {
    let cones = times(
        [
            [0.412_221, 0.536_333, 0.051_446],
            [0.211_903, 0.680_700, 0.107_397],
            [0.088_302, 0.281_719, 0.629_979],
        ],
        rgb.map(|part| part.clamp(0.0, 1.0)),
    );
    times(
        [
            [0.210_454, 0.793_618, -0.004_072],
            [1.977_998, -2.428_592, 0.450_594],
            [0.025_904, 0.782_772, -0.808_676],
        ],
        cones.map(f64::cbrt),
    )
}

/// The contrast of WCAG 2.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour| {
        let [red, green, blue] = linear(colour);
        0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05
    };
    let (one, other) = (luminance(one), luminance(other));
    one.max(other) / one.min(other)
}

#[test]
fn every_eye_tells_the_classes_apart_in_light_and_dark() {
    let page = page(&report());
    let all = |name: &str| -> Vec<String> {
        let open = format!("{name}: #");
        let values = page.split(&open).skip(1);
        values.map(|rest| format!("#{}", &rest[..6])).collect()
    };
    let papers = all("--paper");
    assert_eq!(papers.len(), 2, "light and dark");
    for (scheme, paper) in papers.iter().enumerate() {
        let colours: Vec<String> = (0..8)
            .map(|rank| all(&format!("--c{rank}"))[scheme].clone())
            .collect();
        for (rank, colour) in colours.iter().enumerate() {
            assert!(contrast(colour, paper) >= 3.0, "{colour} on {paper}");
            for other in &colours[..rank] {
                for eyes in EYES {
                    let [one, two] = [colour, other].map(|c| oklab(times(eyes, linear(c))));
                    let distance: f64 = one.iter().zip(two).map(|(a, b)| (a - b).powi(2)).sum();
                    assert!(distance.sqrt() > 0.12, "{colour} and {other} on {paper}");
                }
            }
        }
    }
}
