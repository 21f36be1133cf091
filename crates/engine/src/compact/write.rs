//! The rows of a partition's files, sorted, as new files.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_schema::DataType;
use bytes::Bytes;
use flowquet_arrow::Columns;
use flowquet_format::{TIME_MAX_S, TIME_MIN_S, utc_text};
use flowquet_parquet::{EncodedRowGroup, Encoder, FileWriter, RowReader, RowsError, Sorted};
use flowquet_parse::{IntegerColumns, Parser, Reject, Step};
use flowquet_plan::{compaction_id, formats_of_union, merged_format, merged_options};
use flowquet_store::Store;
use flowquet_table::{
    CompactionRecord, LAYOUT_VERSION, LiveFile, Options, OutputRecord, RetiredFile, TimeRange, compacted_key,
    output_name, written_by,
};
use rayon::prelude::*;

use crate::context::{FormatContext, PlanContext};
use crate::error::Error;
use crate::events::{Event, Observer};
use crate::file::{StagedFile, file_metadata};

/// Columns that are sorted at once: the rows of one file. Decides bytes of files, so it is no option.
const SORT_BYTES_MAX: usize = 512 << 20;

/// What a worker takes: columns, their order, a row group of them and its encoded form, and a row group that is read.
pub const COMPACT_WORKER_BYTES: usize = SORT_BYTES_MAX + SORT_BYTES_MAX / 2 + (128 << 20);

/// Rejects that stand in a message.
const TOLD_MAX: usize = 3;

/// What is to be merged.
pub(crate) struct Partition<'a> {
    pub(crate) folder: &'a str,
    pub(crate) files: &'a [LiveFile],
    /// All log formats of the table, as [`flowquet_plan::kept_formats`] has them.
    pub(crate) written: &'a [(String, Option<String>)],
}

/// Writes the rows of a partition's files as new files, aside, and returns the record that would retire the old ones.
pub(crate) fn write(
    out: &dyn Store,
    partition: &Partition<'_>,
    wanted: &Options,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<CompactionRecord, Error> {
    let Partition { folder, files, written } = *partition;
    let retired = |f: &LiveFile| {
        let OutputRecord { key, rows, bytes, .. } = f.output.clone();
        RetiredFile { key, rows, bytes }
    };
    let retired: Vec<RetiredFile> = files.iter().map(retired).collect();
    let options = merged_options(files, wanted).map_err(|e| Error::Options(e.to_string()))?;
    let format = Arc::new(merged_format(files, &options).map_err(Error::Options)?);
    let written = written.iter().map(|(format, fields)| (format.as_str(), fields.as_deref()));
    let formats = formats_of_union(written, &options).map_err(|e| Error::Options(e.to_string()))?;
    let plan = PlanContext::new(&options)?.with_union(&formats)?;
    let context = FormatContext::new(&format, &plan);
    let mut merge = Merge {
        out,
        folder,
        id: compaction_id(&retired, &options, &formats),
        columns: Columns::new(context.schema.clone()),
        integers: IntegerColumns::new(context.integers.clone()),
        parser: Parser::new(plan.catalogue.clone(), Some(format)),
        rejects: Vec::new(),
        outputs: Vec::new(),
        plan: &plan,
        context: &context,
        bytes_read: 0,
    };
    for file in files {
        merge.read(&file.output, stop)?;
        observer.event(&Event::Progress { bytes: file.output.bytes, records: file.output.rows, objects: 1 });
        merge.bytes_read += file.output.bytes;
        if merge.bytes_read >= plan.file_bytes {
            merge.end_file()?;
        }
    }
    merge.end_file()?;
    let record = CompactionRecord {
        layout_version: LAYOUT_VERSION,
        written_by: written_by(),
        number: 0,
        id: merge.id,
        partition: folder.to_owned(),
        options,
        formats,
        retired,
        outputs: merge.outputs,
        reconversion: None,
    };
    let (before, after) = record.rows();
    if before != after {
        let what =
            format!("{before} rows in the files of `{folder}`, but {after} in those that replace them");
        return Err(Error::Accounting(what));
    }
    Ok(record)
}

struct Merge<'a> {
    out: &'a dyn Store,
    folder: &'a str,
    id: String,
    plan: &'a PlanContext,
    context: &'a FormatContext,
    columns: Columns,
    integers: IntegerColumns,
    parser: Parser,
    rejects: Vec<Reject>,
    outputs: Vec<OutputRecord>,
    /// Bytes of files whose rows are in `columns`.
    bytes_read: u64,
}

impl Merge<'_> {
    /// Appends the rows of a file.
    fn read(&mut self, file: &OutputRecord, stop: &AtomicBool) -> Result<(), Error> {
        let out = self.out;
        let url = out.url(&file.key);
        let ranges = |range: Range<u64>| -> Result<Bytes, Error> {
            Ok(out.fetch(&file.key, "", range, false).wait(&|| stop.load(Ordering::Relaxed))?)
        };
        let failed = |error: RowsError<Error>| match error {
            RowsError::File(what) => Error::TableFile { url: url.clone(), what },
            RowsError::Other(error) => error,
        };
        let found = out.head(&file.key)?.bytes;
        if found != file.bytes {
            let what = format!("expected {} bytes, found {found}", file.bytes);
            return Err(Error::TableFile { url, what });
        }
        let reader = RowReader::open(file.bytes, &ranges).map_err(failed)?;
        if reader.rows() != file.rows {
            let what = format!("expected {} rows, found {}", file.rows, reader.rows());
            return Err(Error::TableFile { url, what });
        }
        let format = self.context.schema.format().clone();
        let names: Vec<&str> = format.fields().iter().map(|f| f.column()).collect();
        self.parser.start_rows();
        reader
            .read(&names, &ranges, &mut |lines| {
                if stop.load(Ordering::Relaxed) {
                    return Err(Error::Interrupted);
                }
                self.take(lines, &url)
            })
            .map_err(failed)
    }

    /// Appends whole lines.
    fn take(&mut self, lines: &[u8], url: &str) -> Result<(), Error> {
        let mut at = 0;
        while at < lines.len() {
            let step = self.parser.next_block(&lines[at..], true, &mut self.rejects);
            match step.map_err(|e| Error::TableFile { url: url.to_owned(), what: e.to_string() })? {
                Step::Done | Step::NeedMore => break,
                Step::Skipped(len) => at += len,
                Step::Block { consumed, mut block } => {
                    at += consumed;
                    if self.integers.parse(&block) {
                        block.reject_bad_integers(&mut self.integers, &mut self.rejects);
                    }
                    self.columns.append(&block, &self.integers, 0..block.rows().len());
                }
            }
        }
        if !self.rejects.is_empty() {
            let told: Vec<String> = self.rejects.iter().take(TOLD_MAX).map(|r| format!("{r:?}")).collect();
            let what = format!(
                "expected rows of a flow log, found {} others: {}",
                self.rejects.len(),
                told.join("; ")
            );
            return Err(Error::TableFile { url: url.to_owned(), what });
        }
        if self.columns.bytes() >= SORT_BYTES_MAX {
            self.end_file()?;
        }
        Ok(())
    }

    /// Sorts and writes the rows so far as one file.
    fn end_file(&mut self) -> Result<(), Error> {
        self.bytes_read = 0;
        if self.columns.rows() == 0 {
            return Ok(());
        }
        let batch = self.columns.finish();
        let schema = &self.context.file_schema;
        let sorted = Sorted::new(&batch, schema);
        let encode = |places: Range<usize>| -> Result<EncodedRowGroup, Error> {
            Ok(Encoder::new(self.plan.compression)?.encode_sorted(&sorted.rows(places), schema)?)
        };
        let groups = sorted.row_groups(self.plan.row_group_rows);
        let groups: Vec<EncodedRowGroup> = groups.into_par_iter().map(encode).collect::<Result<_, _>>()?;
        let key = output_name(self.folder, &self.id, self.outputs.len());
        let metadata = file_metadata(&self.context.text, [("flowquet.compaction", &self.id)]);
        let aside = compacted_key(&self.id, &key);
        let file = StagedFile::begin(self.out, &aside)?;
        let mut writer = FileWriter::new(file, schema, &metadata)?;
        for group in groups {
            writer.append(group)?;
        }
        let rows = writer.rows();
        let (bytes, staged) = writer.finish()?.end(self.out, &aside)?;
        staged.commit()?;
        let text = |t| utc_text(t).expect("within 2000 to 2100");
        self.outputs.push(OutputRecord {
            key,
            partition: self.folder.into(),
            rows,
            bytes,
            time: times(&batch, self.plan.time.field())
                .map(|(min, max)| TimeRange { min: text(min), max: text(max) }),
            format: self.context.text.as_str().into(),
        });
        Ok(())
    }
}

/// Smallest and largest time of a column, Unix seconds, of those between 2000 and 2100.
fn times(batch: &RecordBatch, column: &str) -> Option<(i64, i64)> {
    let array = batch.column_by_name(column)?;
    let range = |times: &mut dyn Iterator<Item = i64>| {
        let times = times.filter(|t| (TIME_MIN_S..TIME_MAX_S).contains(t));
        times.fold(None, |range, t| {
            Some(range.map_or((t, t), |(min, max): (i64, i64)| (min.min(t), max.max(t))))
        })
    };
    match array.data_type() {
        DataType::Timestamp(_, _) => {
            let array = array.as_primitive::<TimestampMillisecondType>();
            range(&mut array.iter().flatten().map(|ms| ms.div_euclid(1000)))
        }
        DataType::Int64 => range(&mut array.as_primitive::<Int64Type>().iter().flatten()),
        _ => None,
    }
}
