//! Answers in their forms: rows as they come, to standard output, a file or an object.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::array::{Array as _, RecordBatch};
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::{JsonArray, LineDelimited};
use datafusion::arrow::json::{self, WriterBuilder};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use flowquet_command::output::{counted, shown, shown_lines};
use flowquet_command::sql::Form;
use flowquet_command::terminal::{Column, table};
use flowquet_store::{Error as StoreError, Staged};

/// Bytes of an answer that wait before standard output gets any: as long as it has none, a question can be asked again.
const HELD_BYTES: usize = 1 << 20;

/// Rows beyond those that are shown which are counted; a question for all rows of a large table is not read to its end for a number.
const COUNTED_MAX: u64 = 1_000_000;

/// Why an answer ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The engine failed.
    Engine(DataFusionError),
    /// Somebody asked for it.
    Interrupted,
    /// Where the answer goes, failed.
    Store(StoreError),
    /// Standard output failed.
    Write(io::Error),
}

impl From<DataFusionError> for Stop {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl From<ArrowError> for Stop {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, error) => Self::Write(error),
            other => Self::Engine(other.into()),
        }
    }
}

impl From<datafusion::parquet::errors::ParquetError> for Stop {
    fn from(error: datafusion::parquet::errors::ParquetError) -> Self {
        match error {
            datafusion::parquet::errors::ParquetError::External(error) => match error.downcast::<io::Error>()
            {
                Ok(error) => Self::Write(*error),
                Err(error) => Self::Engine(DataFusionError::External(error)),
            },
            other => Self::Engine(other.into()),
        }
    }
}

/// Where bytes of an answer go. Dropped before its end, it gives up what waits.
pub(crate) enum Out {
    /// A device or a pipe.
    Special(File),
    /// A file or an object that nobody sees before it is whole.
    Staged(Box<dyn Staged>),
    /// Standard output.
    Stdout {
        /// What waits.
        held: Vec<u8>,
        /// Set once standard output has got something.
        has_begun: Arc<AtomicBool>,
    },
}

impl Out {
    /// Standard output; `has_begun` is set once it has got something.
    pub(crate) fn stdout(has_begun: &Arc<AtomicBool>) -> Self {
        Self::Stdout { held: Vec::new(), has_begun: has_begun.clone() }
    }

    fn finish(mut self) -> Result<(), Stop> {
        self.let_go()?;
        match self {
            Self::Special(mut file) => Ok(file.flush()?),
            Self::Staged(staged) => staged.commit().map_err(Stop::Store),
            Self::Stdout { .. } => Ok(io::stdout().flush()?),
        }
    }

    /// Writes what waits.
    fn let_go(&mut self) -> io::Result<()> {
        let Self::Stdout { held, has_begun } = self else { return Ok(()) };
        has_begun.store(true, Ordering::Relaxed);
        io::stdout().write_all(held)?;
        held.clear();
        Ok(())
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let held = match self {
            Self::Special(file) => return file.write(bytes),
            Self::Staged(staged) => return staged.write(bytes),
            Self::Stdout { held, .. } => held,
        };
        held.extend_from_slice(bytes);
        if held.len() >= HELD_BYTES {
            self.let_go()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What waits is written when it is much, or at the end.
        Ok(())
    }
}

/// An answer being written.
pub(crate) enum Answer {
    Csv(Box<csv::Writer<Out>>),
    Json(json::Writer<Out, JsonArray>),
    Jsonl(json::Writer<Out, LineDelimited>),
    Parquet(Box<ArrowWriter<Out>>),
    Table(Shown, Out),
}

impl Answer {
    /// Begins one of rows of this schema. The form `table` shows so many rows.
    pub(crate) fn begin(form: Form, out: Out, schema: &SchemaRef, rows: usize) -> Result<Self, Stop> {
        let json = || WriterBuilder::new().with_explicit_nulls(true);
        Ok(match form {
            Form::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
                // The header, also where no row follows.
                writer.write(&RecordBatch::new_empty(schema.clone()))?;
                Self::Csv(Box::new(writer))
            }
            Form::Json => Self::Json(json().build(out)),
            Form::Jsonl => Self::Jsonl(json().build(out)),
            Form::Parquet => {
                let zstd = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(zstd).build();
                Self::Parquet(Box::new(ArrowWriter::try_new(out, schema.clone(), Some(properties))?))
            }
            Form::Table => Self::Table(Shown::new(schema, rows), out),
        })
    }

    /// Adds rows. Whether more are wanted.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<bool, Stop> {
        match self {
            Self::Csv(writer) => writer.write(batch)?,
            Self::Json(writer) => writer.write(batch)?,
            Self::Jsonl(writer) => writer.write(batch)?,
            Self::Parquet(writer) => writer.write(batch)?,
            Self::Table(shown, _) => return shown.add(batch),
        }
        Ok(true)
    }

    /// Ends it: all of it is where it goes.
    pub(crate) fn finish(self) -> Result<(), Stop> {
        match self {
            Self::Csv(writer) => writer.into_inner().finish(),
            Self::Json(mut writer) => {
                writer.finish()?;
                let mut out = writer.into_inner();
                out.write_all(b"\n")?;
                out.finish()
            }
            Self::Jsonl(mut writer) => {
                writer.finish()?;
                writer.into_inner().finish()
            }
            Self::Parquet(writer) => writer.into_inner()?.finish(),
            Self::Table(shown, mut out) => {
                out.write_all(shown.text().as_bytes())?;
                out.finish()
            }
        }
    }
}

/// The first rows as text, and a count of the others.
pub(crate) struct Shown {
    columns: Vec<Column>,
    rows: usize,
    rows_max: usize,
    more: u64,
    /// Whether it was left off before the end.
    has_more: bool,
    /// Whether it is what EXPLAIN says, whose cells have lines; a value of a table does not.
    is_plan: bool,
}

impl Shown {
    fn new(schema: &SchemaRef, rows_max: usize) -> Self {
        let column = |field: &Arc<datafusion::arrow::datatypes::Field>| Column {
            head: shown(field.name()).into_owned(),
            cells: Vec::new(),
            is_number: field.data_type().is_numeric(),
        };
        let columns = schema.fields().iter().map(column).collect();
        let is_plan = schema.fields().iter().map(|field| field.name()).eq(["plan_type", "plan"]);
        Self { columns, rows: 0, rows_max, more: 0, has_more: false, is_plan }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<bool, Stop> {
        let taken = batch.num_rows().min(self.rows_max - self.rows);
        let options = FormatOptions::default().with_null("");
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
            for row in 0..taken {
                let cell =
                    if array.is_null(row) { String::new() } else { formatter.value(row).try_to_string()? };
                column.cells.push(match self.is_plan {
                    true => shown_lines(&cell),
                    false => shown(&cell).into_owned(),
                });
            }
        }
        self.rows += taken;
        self.more += (batch.num_rows() - taken) as u64;
        self.has_more = self.more > COUNTED_MAX;
        Ok(!self.has_more)
    }

    fn text(&self) -> String {
        let mut text = if self.is_plan { blocks(&self.columns) } else { table(&self.columns) };
        if self.rows == 0 && self.more == 0 {
            text.push_str("  (no rows)\n");
        }
        if self.more > 0 {
            let more = if self.has_more { COUNTED_MAX } else { self.more };
            let than = if self.has_more { "more than " } else { "" };
            text.push_str(&format!(
                "  … {than}{} more: --rows shows more of them, --as csv all\n",
                counted(more, "row")
            ));
        }
        text
    }
}

/// Rows of cells of several lines, one below the other.
fn blocks(columns: &[Column]) -> String {
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let mut text = String::new();
    for row in 0..rows {
        for cell in columns.iter().map(|column| &column.cells[row]) {
            cell.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    }
    text
}
