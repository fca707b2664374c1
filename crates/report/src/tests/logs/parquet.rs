//! The table, read back as others read it.

use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use ::parquet::record::Field;

use super::*;
use crate::parquet;
use crate::tests::hostile::EVIL;

/// The rows of the Parquet file, each field with its name.
fn columns(report: &LogReport) -> Vec<Vec<(String, Field)>> {
    let mut out = Vec::new();
    parquet::logs(&mut out, report).unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(out)).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().into_columns()).collect()
}

#[test]
fn parquet_holds_the_same_rows() {
    let report = report();
    let rows = columns(&report);
    assert_eq!(rows.len(), 17);
    let text = |text: &str| Field::Str(text.to_owned());
    let named = |fields: &[(&str, Field)]| -> Vec<(String, Field)> {
        let fields = fields.iter();
        fields
            .map(|(name, field)| ((*name).to_owned(), field.clone()))
            .collect()
    };
    assert_eq!(
        rows[1],
        named(&[
            ("peer", text("127.0.0.1:8000")),
            ("upstream", text("shop")),
            ("protocol", text("http")),
            ("failure", text("connect-refused")),
            ("errno", Field::UShort(111)),
            ("while", text("connecting to upstream")),
            ("status", Field::UShort(502)),
            (
                "servers",
                text("shop.example.com api.example.com www.example.com old.example.com")
            ),
            ("time", Field::TimestampMillis(minute(11).seconds() * 1000)),
            ("count", Field::ULong(12)),
        ])
    );
    assert_eq!(
        rows[16],
        named(&[
            ("peer", text("-")),
            ("upstream", Field::Null),
            ("protocol", Field::Null),
            ("failure", text("read-timeout")),
            ("errno", Field::UShort(110)),
            ("while", Field::Null),
            ("status", Field::Null),
            ("servers", text("")),
            ("time", Field::TimestampMillis(minute(55).seconds() * 1000)),
            ("count", Field::ULong(1)),
        ])
    );
    let names: Vec<&str> = rows[0].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, crate::table::COLUMNS);
    assert!(columns(&LogReport::default()).is_empty());
}

#[test]
fn parquet_keeps_the_text_and_writes_in_groups() {
    let mut report = filled(EVIL);
    report.incidents[1].timeline = (0..140_000).map(|step| (minute(step), 1)).collect();
    let rows = columns(&report);
    assert_eq!(rows.len(), 16 + 140_000);
    assert_eq!(rows[0][0].1, Field::Str(EVIL.to_owned()));
    assert_eq!(
        rows.last().unwrap()[8].1,
        Field::TimestampMillis(minute(139_999).seconds() * 1000)
    );
}
