//! Text that an attacker chose, and readers that stop.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::tests::hostile::{EVIL, deceives, without_colours};
use crate::{csv, parquet};

#[test]
fn whoever_stops_reading_is_told_by_the_kind_of_the_error() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let broken = std::io::ErrorKind::BrokenPipe;
    let report = report();
    assert_eq!(csv::logs(&mut Closed, &report).unwrap_err().kind(), broken);
    assert_eq!(
        parquet::logs(&mut Closed, &report).unwrap_err().kind(),
        broken
    );
}

fn harmless_everywhere(text: &str) {
    let report = filled(text);
    for (width, verbose, quiet) in [
        (80, 0, false),
        (80, 1, false),
        (200, 0, true),
        (0, 0, false),
    ] {
        let plain = without_colours(&styled(&report, width, verbose, quiet));
        assert!(!plain.contains(deceives), "{plain:?}");
    }
    let table = as_csv(&report);
    assert!(!table.contains(deceives), "{table:?}");
    let json = as_json(&report);
    assert!(!json.contains(deceives), "{json:?}");
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["incidents"][0]["peer"], text);
}

#[test]
fn hostile_text_is_spelled_out() {
    harmless_everywhere(EVIL);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_text_reaches_a_reader_raw(text in "\\PC*|(?s).{0,80}") {
        harmless_everywhere(&text);
    }
}
