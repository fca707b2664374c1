//! What logs tell in bulk as a Parquet file, for whoever counts on: the rows of [`csv`](crate::csv), in columns that know
//! their types, compressed.
//!
//! Text is as it was logged: no terminal and no spreadsheet shows such a file.

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::column::writer::ColumnWriterImpl;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::parser::parse_message_type;
use diagnose::explain::{Protocol, While};
use diagnose::logs::{LocalTime, LogIncident, LogReport};

use crate::table::servers;

/// A time in no zone is what Parquet calls not adjusted to UTC.
const SCHEMA: &str = "message why502_logs {
    required binary peer (STRING);
    optional binary upstream (STRING);
    optional binary protocol (STRING);
    required binary failure (STRING);
    optional int32 errno (INTEGER(16, false));
    optional binary while (STRING);
    optional int32 status (INTEGER(16, false));
    required binary servers (STRING);
    required int64 time (TIMESTAMP(MILLIS, false));
    required int64 count (INTEGER(64, false));
}";

/// Rows that are written, and held in memory, at a time.
const GROUP: usize = 1 << 17;

/// Writes a row for each incident and each step in which it failed.
pub fn logs(out: &mut (dyn Write + Send), report: &LogReport) -> io::Result<()> {
    write(out, report).map_err(failed)
}

fn write(out: &mut (dyn Write + Send), report: &LogReport) -> Result<()> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut file = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
    let incidents: Vec<Cells<'_>> = report.incidents.iter().map(Cells::new).collect();
    let rows: Vec<Row<'_>> = incidents
        .iter()
        .flat_map(|cells| {
            let steps = cells.incident.timeline.iter();
            steps.map(move |(at, count)| Row {
                cells,
                at: *at,
                count: *count,
            })
        })
        .collect();
    for rows in rows.chunks(GROUP) {
        let mut group = file.next_row_group()?;
        for column in COLUMNS {
            let mut writer = group
                .next_column()?
                .ok_or_else(|| ParquetError::General("more columns than the schema".to_owned()))?;
            column.write(&mut writer, rows)?;
            writer.close()?;
        }
        group.close()?;
    }
    file.close()?;
    Ok(())
}

/// An incident with the texts of its rows, each of which is held once.
struct Cells<'a> {
    incident: &'a LogIncident,
    peer: ByteArray,
    upstream: Option<ByteArray>,
    protocol: Option<ByteArray>,
    failure: ByteArray,
    action: Option<ByteArray>,
    servers: ByteArray,
}

impl<'a> Cells<'a> {
    fn new(incident: &'a LogIncident) -> Self {
        Self {
            incident,
            peer: incident.peer.as_str().into(),
            upstream: incident.upstream.as_deref().map(ByteArray::from),
            protocol: incident.protocol.map(Protocol::as_str).map(ByteArray::from),
            failure: incident.failure.as_str().into(),
            action: incident.action.map(While::as_str).map(ByteArray::from),
            servers: servers(incident).into_bytes().into(),
        }
    }
}

struct Row<'a> {
    cells: &'a Cells<'a>,
    at: LocalTime,
    count: u64,
}

/// Where a column's values come from.
enum Column {
    Text(fn(&Cells<'_>) -> ByteArray),
    TextIfAny(fn(&Cells<'_>) -> Option<ByteArray>),
    NumberIfAny(fn(&LogIncident) -> Option<u16>),
    Number(fn(&Row<'_>) -> i64),
}

/// In the order of the schema.
const COLUMNS: [Column; 10] = [
    Column::Text(|cells| cells.peer.clone()),
    Column::TextIfAny(|cells| cells.upstream.clone()),
    Column::TextIfAny(|cells| cells.protocol.clone()),
    Column::Text(|cells| cells.failure.clone()),
    Column::NumberIfAny(|incident| incident.errno),
    Column::TextIfAny(|cells| cells.action.clone()),
    Column::NumberIfAny(|incident| incident.status),
    Column::Text(|cells| cells.servers.clone()),
    Column::Number(|row| row.at.seconds().saturating_mul(1000)),
    Column::Number(|row| row.count.cast_signed()),
];

impl Column {
    fn write(&self, writer: &mut SerializedColumnWriter<'_>, rows: &[Row<'_>]) -> Result<()> {
        match self {
            Self::Text(of) => {
                let values: Vec<_> = rows.iter().map(|row| of(row.cells)).collect();
                every(writer.typed::<ByteArrayType>(), &values)
            }
            Self::Number(of) => {
                let values: Vec<_> = rows.iter().map(of).collect();
                every(writer.typed::<Int64Type>(), &values)
            }
            Self::TextIfAny(of) => {
                let values: Vec<_> = rows.iter().map(|row| of(row.cells)).collect();
                if_any(writer.typed::<ByteArrayType>(), values)
            }
            Self::NumberIfAny(of) => {
                let values = rows.iter().map(|row| of(row.cells.incident));
                let values: Vec<_> = values.map(|value| value.map(i32::from)).collect();
                if_any(writer.typed::<Int32Type>(), values)
            }
        }
    }
}

fn every<T: DataType>(writer: &mut ColumnWriterImpl<'_, T>, values: &[T::T]) -> Result<()> {
    writer.write_batch(values, None, None)?;
    Ok(())
}

fn if_any<T: DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    values: Vec<Option<T::T>>,
) -> Result<()> {
    let is_there: Vec<i16> = values
        .iter()
        .map(|value| i16::from(value.is_some()))
        .collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    writer.write_batch(&values, Some(&is_there), None)?;
    Ok(())
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        // As it came: who reads the other end of a pipe may have enough.
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        other => io::Error::other(other),
    }
}
