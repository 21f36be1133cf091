//! The rows of a partition's files, sorted, as new files.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use flowquet_format::{TIME_MAX_S, TIME_MIN_S, Types, utc_text};
use flowquet_parquet::{
    Column, Compression, EncodedColumn, EncodedRowGroup, Encoder, FileWriter, Merge, MergeError, MergeFile,
    MergedHashes, Order, Weight, even_row_groups,
};
use flowquet_plan::{Merging, compaction_id, formats_of_union, is_raw};
use flowquet_table::{
    CompactionRecord, Crc32, Digest, Duplicates, LAYOUT_VERSION, LiveFile, Options, OutputRecord,
    RetiredFile, RolledUp, RollupSums, TimeRange, compacted_key, output_name, written_by,
};
use rayon::prelude::*;

use super::duplicates::LeftOut;
use super::merger::Merger;
use crate::context::{FormatContext, PlanContext};
use crate::error::Error;
use crate::events::Event;
use crate::file::{EndedFile, StagedFile, file_metadata};
use crate::proof::{Gaps, uncounted_columns};

/// What the rows of one file may take while they are merged, as [`Weight::bytes`] has it. Decides bytes of files, so it must
/// not be configurable.
pub(super) const FILE_MEMORY: usize = 448 << 20;

/// What the distinct values of one column may take in a file of several row groups: there are two copies of them, and one more of
/// what a row group has. Decides bytes of files.
pub(super) const DISTINCT_BYTES_MAX: usize = FILE_MEMORY / 4;

/// Files whose bytes are on their way at once.
const FETCHES: usize = 16;

impl Merger<'_> {
    /// Log formats whose columns new files have.
    fn formats(&self, options: &Options) -> Result<Vec<String>, Error> {
        let written = self.written.iter().map(|(format, fields)| (format.as_str(), fields.as_deref()));
        formats_of_union(written, options).map_err(|e| Error::Options(e.to_string()))
    }

    /// The id of the record that [`Self::merge`] returns.
    pub(super) fn id(&self, Merging { files, options, .. }: &Merging) -> Result<String, Error> {
        let retired: Vec<RetiredFile> = files.iter().map(|f| RetiredFile::of(&f.output)).collect();
        Ok(compaction_id(&retired, options, &self.formats(options)?))
    }

    /// Writes the rows of files as new files, aside, and returns the record that would retire the old ones; `None` where they would
    /// be the same.
    pub(super) fn merge(&self, folder: &str, merging: &Merging) -> Result<Option<CompactionRecord>, Error> {
        let Merging { files, options, format, is_anew } = merging;
        let mut retired: Vec<RetiredFile> = files.iter().map(|f| RetiredFile::of(&f.output)).collect();
        let formats = self.formats(options)?;
        let plan = PlanContext::new(options)?.with_union(&formats)?;
        let context = FormatContext::new(&Arc::new(format.clone()), &plan);
        let left_out = match options.dedup {
            Some(dedup) => {
                let is_compared = |name: &str| {
                    dedup.compares(name) && format.fields().iter().any(|field| field.column() == name)
                };
                let schema = context.file_schema.keeping(is_compared);
                self.duplicates(files.iter().map(|file| &file.output), &schema)?
            }
            None => LeftOut::default(),
        };
        let mut partition = Partition {
            merger: self,
            folder,
            id: compaction_id(&retired, options, &formats),
            plan: &plan,
            context: &context,
            encoders: Mutex::default(),
            part: Part::default(),
            rows: 0,
            left_out,
            outputs: Vec::new(),
            kept: HashSet::new(),
            proven: HashSet::new(),
        };
        for file in files {
            // A file that stays cannot say what was left out for its sake.
            partition.take(file, *is_anew || options.dedup.is_some() || is_raw(file, options))?;
        }
        partition.end_file()?;
        retired.retain(|file| !partition.kept.contains(&file.key));
        if retired.is_empty() {
            return Ok(None);
        }
        // What earlier compactions left out stays accounted for.
        if let Some(first) = partition.outputs.first_mut() {
            first.duplicates = first.duplicates.with(Duplicates::sum(retired.iter().map(|f| f.duplicates)));
        }
        let of_retired = files.iter().filter(|f| retired.iter().any(|r| r.key == f.output.key));
        if let Some(mut rollup) = rolled_up(of_retired) {
            for output in &mut partition.outputs {
                output.rollup = Some(rollup.clone());
                // The first has the sums of all.
                rollup.sums = RollupSums::default();
            }
        }
        let record = CompactionRecord {
            layout_version: LAYOUT_VERSION,
            written_by: written_by(),
            number: 0,
            id: partition.id,
            partition: folder.to_owned(),
            options: options.clone(),
            formats,
            retired,
            outputs: partition.outputs,
            reconversion: None,
            rollup: None,
            loss: None,
            regained: Vec::new(),
        };
        let (before, after) = record.rows();
        if before != after {
            return Err(self.damaged(folder, &format!("{after} rows, and the records say {before}")));
        }
        if let (Some(before), Some(after)) = record.digests()
            && before != after
        {
            return Err(
                self.damaged(folder, &format!("rows of digest {after}, and the records say {before}"))
            );
        }
        Ok(Some(record))
    }

    /// The files of a partition gave other rows than their records tell. Which of them it was the sum does not tell.
    fn damaged(&self, folder: &str, found: &str) -> Error {
        let (table, folder, found) = (self.out.url(""), folder.to_owned(), found.to_owned());
        Error::PartitionDamaged { table, folder, found }
    }
}

/// Row groups that become one file.
#[derive(Default)]
struct Part {
    sources: Vec<Source>,
    weight: Weight,
    /// Files that are taken to their end.
    ended: Vec<OutputRecord>,
}

/// Row groups of one file.
#[derive(Clone)]
struct Source {
    output: OutputRecord,
    file: Arc<MergeFile>,
    groups: Range<usize>,
    /// The number of the first row of these row groups among all rows of the partition's files.
    first_row: u64,
    /// Whether it would be written otherwise, were it alone.
    is_raw: bool,
    /// What its bytes come to, where it has values that no digest proves.
    crc32: Option<Crc32>,
}

/// What one file gets.
struct Merged {
    groups: Vec<EncodedRowGroup>,
    /// The range of the times of its rows.
    time: Option<TimeRange>,
    /// The digest of its rows.
    digest: Digest,
    /// Rows that it does not get.
    duplicates: Duplicates,
}

/// Files of a partition on their way to new ones.
struct Partition<'a> {
    merger: &'a Merger<'a>,
    folder: &'a str,
    id: String,
    plan: &'a PlanContext,
    context: &'a FormatContext,
    /// Encoders that nobody uses just now: they keep buffers.
    encoders: Mutex<Vec<Encoder>>,
    part: Part,
    /// Rows of the files that were taken.
    rows: u64,
    /// Rows that no new file gets, by their numbers among all rows of the files.
    left_out: LeftOut,
    outputs: Vec<OutputRecord>,
    /// Keys of files that stay: each would become one of the same rows, since its neighbours do not fit into its memory.
    kept: HashSet<String>,
    /// Keys of files whose bytes were compared with their records.
    proven: HashSet<String>,
}

impl Partition<'_> {
    /// Takes the row groups of a file, and ends new files where they are large enough.
    fn take(&mut self, live: &LiveFile, is_raw: bool) -> Result<(), Error> {
        let output = &live.output;
        let crc32 = output.crc32.filter(|_| !uncounted_columns(live).is_empty());
        let file = Arc::new(self.merger.open(output)?);
        let schema = &self.context.file_schema;
        let is_compressed = self.plan.compression != Compression::None;
        let damaged = |what: String| Error::TableFile { url: self.merger.out.url(&output.key), what };
        for group in 0..file.row_groups() {
            let mut weight = self.part.weight.clone();
            weight.add(&file, group, schema).map_err(damaged)?;
            if weight.bytes(schema, is_compressed) > FILE_MEMORY as u64 && self.part.weight.rows() > 0 {
                self.end_file()?;
                weight = Weight::default();
                weight
                    .add(&file, group, schema)
                    .map_err(|what| Error::TableFile { url: self.merger.out.url(&output.key), what })?;
            }
            self.part.weight = weight;
            match self.part.sources.last_mut().filter(|source| Arc::ptr_eq(&source.file, &file)) {
                Some(source) => source.groups.end = group + 1,
                None => {
                    let (output, file, groups) = (output.clone(), file.clone(), group..group + 1);
                    let source = Source { output, file, groups, first_row: self.rows, is_raw, crc32 };
                    self.part.sources.push(source);
                }
            }
            self.rows += file.rows_of(group..group + 1);
        }
        self.part.ended.push(output.clone());
        if self.part.ended.iter().map(|output| output.bytes).sum::<u64>() >= self.plan.file_bytes {
            self.end_file()?;
        }
        Ok(())
    }

    /// Merges the row groups so far into one file.
    fn end_file(&mut self) -> Result<(), Error> {
        let part = std::mem::take(&mut self.part);
        if part.weight.rows() == 0 {
            return Ok(());
        }
        if let [Source { output, file, groups, is_raw: false, .. }] = part.sources.as_slice()
            && groups.len() == file.row_groups()
        {
            self.kept.insert(output.key.clone());
            return Ok(());
        }
        let is_compressed = self.plan.compression != Compression::None;
        let weight = part.weight.bytes(&self.context.file_schema, is_compressed);
        let merger = self.merger;
        // Hashes of rows decide no bytes, so that they are no part of what does.
        let bytes = weight.saturating_add(part.weight.rows() * size_of::<u64>() as u64);
        let held = merger.memory.hold(usize::try_from(bytes).unwrap_or(usize::MAX), merger.stop)?;
        self.merge(&part.sources)?;
        drop(held);
        let count = |of: fn(&OutputRecord) -> u64| part.ended.iter().map(of).sum();
        let (bytes, records) = (count(|output| output.bytes), count(|output| output.rows));
        merger.observer.event(&Event::Progress { bytes, records, objects: part.ended.len() as u64 });
        Ok(())
    }

    /// Merges row groups into one file, or into several where the distinct values of a column would be too many for one.
    fn merge(&mut self, sources: &[Source]) -> Result<(), Error> {
        let groups: usize = sources.iter().map(|source| source.groups.len()).sum();
        // What one row group holds cannot be told apart: it takes what there is.
        let distinct_bytes_max =
            if groups > 1 { self.merger.distinct_bytes_max } else { self.merger.memory.all() / 4 };
        let context = self.context;
        let mut merge = Merge::new(&context.file_schema, distinct_bytes_max);
        self.read(sources, &mut merge)?;
        let url = |source: &Source| self.merger.out.url(&source.output.key);
        let first_row = sources.first().map_or(0, |source| source.first_row);
        match self.merger.pool.install(|| self.encode(&merge, first_row)) {
            Ok(merged) => self.write(merged),
            Err(MergeError::Distinct { .. }) if groups > 1 => {
                drop(merge);
                let (first, second) = halves(sources, groups / 2);
                self.merge(&first)?;
                self.merge(&second)
            }
            Err(MergeError::Distinct { column }) => {
                let url = sources.first().map(url).unwrap_or_default();
                Err(Error::TooDistinct { url, column, memory: self.merger.memory.all() })
            }
            Err(MergeError::File { source, what }) => {
                Err(Error::TableFile { url: url(&sources[source]), what })
            }
            Err(MergeError::Encoder(error)) => Err(error.into()),
        }
    }

    /// Adds the bytes of row groups to `merge`. Of a file with values that no digest proves all others are read with the first of them, and
    /// compared with its record: what is merged is what was compared.
    fn read(&mut self, sources: &[Source], merge: &mut Merge<'_>) -> Result<(), Error> {
        let out = self.merger.out;
        for (first, some) in sources.chunks(FETCHES).enumerate() {
            let mut fetches = Vec::with_capacity(some.len());
            for Source { output, file, groups, crc32, .. } in some {
                let ranges = file.ranges(groups.clone(), &self.context.file_schema);
                let mut ranges =
                    ranges.map_err(|what| Error::TableFile { url: out.url(&output.key), what })?;
                let crc32 = crc32.filter(|_| !self.proven.contains(&output.key));
                let proof =
                    crc32.map(|crc32| (crc32, Gaps::between(out, &output.key, output.bytes, &mut ranges)));
                let fetch = |range: Range<u64>| (range.start, out.fetch(&output.key, "", range, false));
                fetches.push((ranges.into_iter().map(fetch).collect::<Vec<_>>(), proof));
            }
            for (place, (Source { output, file, groups, .. }, (fetches, proof))) in
                some.iter().zip(fetches).enumerate()
            {
                let mut parts = Vec::with_capacity(fetches.len());
                for (start, fetch) in fetches {
                    parts.push((start, fetch.wait(&|| self.merger.is_stopped())?));
                }
                if let Some((expected, gaps)) = proof {
                    let found = gaps.crc32(&parts, &|| self.merger.is_stopped())?;
                    if found != expected {
                        let (table, key) = (out.url(""), output.key.clone());
                        return Err(Error::FileDamaged { table, key, expected, found });
                    }
                    self.proven.insert(output.key.clone());
                }
                let added = merge.add(first * FETCHES + place, file, groups.clone(), parts);
                added.map_err(|what| Error::TableFile { url: out.url(&output.key), what })?;
            }
        }
        Ok(())
    }

    /// Writes row groups as a file.
    fn write(&mut self, Merged { groups, time, digest, duplicates }: Merged) -> Result<(), Error> {
        if groups.is_empty()
            && let Some(last) = self.outputs.last_mut()
        {
            // The rows that they are like stand in files before.
            last.duplicates = last.duplicates.with(duplicates);
            return Ok(());
        }
        let key = output_name(self.folder, &self.id, self.outputs.len());
        let metadata = file_metadata(&self.context.text, [("flowquet.compaction", &self.id)]);
        let aside = compacted_key(&self.id, &key);
        let file = StagedFile::begin(self.merger.out, &aside)?;
        let mut writer = FileWriter::new(file, &self.context.file_schema, &metadata)?;
        for group in groups {
            writer.append(group)?;
        }
        let rows = writer.rows();
        let EndedFile { bytes, crc32, staged } = writer.finish()?.end(self.merger.out, &aside)?;
        staged.commit()?;
        self.outputs.push(OutputRecord {
            key,
            partition: self.folder.into(),
            rows,
            bytes,
            time,
            format: self.context.text.as_str().into(),
            digest: Some(digest),
            duplicates,
            rollup: None,
            crc32: Some(crc32),
        });
        Ok(())
    }

    /// Encodes all rows, a column at a time; while one is encoded, the next is decoded.
    fn encode(&self, merge: &Merge<'_>, first_row: u64) -> Result<Merged, MergeError> {
        let schema = &self.context.file_schema;
        let mut order = merge.order()?;
        let mut rows = std::mem::take(&mut order.rows);
        let mut left_out = Vec::new();
        if !self.left_out.is_empty() {
            rows.retain(|row| {
                let is_left_out = self.left_out.has(first_row + u64::from(*row));
                if is_left_out {
                    left_out.push(*row);
                }
                !is_left_out
            });
        }
        let places = even_row_groups(rows.len(), self.plan.row_group_rows);
        let mut groups: Vec<Vec<Option<EncodedColumn>>> = Vec::new();
        groups.resize_with(places.len(), || (0..schema.columns()).map(|_| None).collect());
        let mut put = |i: usize, encoded: Vec<EncodedColumn>| {
            groups.iter_mut().zip(encoded).for_each(|(group, column)| group[i] = Some(column));
        };
        let decoded = |i: usize, order: &mut Order| match order.take(i) {
            Some(column) => Ok(column),
            None => merge.column(i),
        };
        let mut hashes = MergedHashes::new(merge.rows());
        let time_column = schema.position(self.plan.time.field());
        let mut time = None;
        let mut columns = merge.columns().into_iter();
        let mut next = columns.next().map(|i| (i, decoded(i, &mut order)));
        while let Some((i, column)) = next {
            let column = column?;
            if Some(i) == time_column {
                time = if left_out.is_empty() {
                    self.times(&column, 0..merge.rows())
                } else {
                    self.times(&column, rows.iter().map(|row| *row as usize))
                };
            }
            let following = columns.next();
            let (encoded, decoded) = rayon::join(
                || self.encode_column(i, &column, &rows, &places),
                || following.map(|i| (i, decoded(i, &mut order))),
            );
            put(i, encoded?);
            if !schema.is_made_of_others(i) {
                hashes.add(schema.name(i), &column);
            }
            if let Some(twin) = merge.twin_of(i) {
                put(twin, self.encode_column(twin, &column.twin(), &rows, &places)?);
            }
            next = decoded;
        }
        for i in merge.nulls() {
            let nulls =
                |places: &Range<usize>| self.encoder(|encoder| encoder.nulls(i, places.len(), schema));
            put(i, places.iter().map(nulls).collect::<Result<_, _>>()?);
        }
        let of = |(columns, places): (Vec<Option<EncodedColumn>>, &Range<usize>)| {
            let columns = columns.into_iter().map(|column| column.expect("each was encoded above"));
            EncodedRowGroup::of(columns, places.len())
        };
        let groups = groups.into_iter().zip(&places).map(of).collect();
        let digest_of_all = hashes.digest();
        let duplicates =
            Duplicates { rows: left_out.len() as u64, digest: Digest(hashes.digest_of(&left_out)) };
        let digest = Digest(digest_of_all.wrapping_sub(duplicates.digest.0));
        Ok(Merged { groups, time, digest, duplicates })
    }

    fn encode_column(
        &self,
        i: usize,
        column: &Column,
        rows: &[u32],
        places: &[Range<usize>],
    ) -> Result<Vec<EncodedColumn>, MergeError> {
        let schema = &self.context.file_schema;
        let encode = |places: &Range<usize>| {
            self.encoder(|encoder| column.encode(i, &rows[places.clone()], schema, encoder))
        };
        places.par_iter().map(encode).collect()
    }

    fn encoder<T>(
        &self,
        encode: impl FnOnce(&mut Encoder) -> Result<T, flowquet_parquet::Error>,
    ) -> Result<T, MergeError> {
        let free = || self.encoders.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = free().pop();
        let mut encoder = match spare {
            Some(encoder) => encoder,
            None => Encoder::new(self.plan.compression)?,
        };
        let encoded = encode(&mut encoder)?;
        free().push(encoder);
        Ok(encoded)
    }

    /// The smallest and largest time of these rows, of those between 2000 and 2100.
    fn times(&self, column: &Column, rows: impl Iterator<Item = usize>) -> Option<TimeRange> {
        let unit = if self.plan.types == Types::Rich { 1000 } else { 1 };
        let (min, max) = column.bounds_within(rows, TIME_MIN_S * unit, TIME_MAX_S * unit)?;
        let text = |time: i64| utc_text(time.div_euclid(unit)).expect("within 2000 to 2100");
        Some(TimeRange { min: text(min), max: text(max) })
    }
}

/// What the rows of files of a roll-up were made of; none where they are of none.
fn rolled_up<'a>(files: impl Iterator<Item = &'a LiveFile>) -> Option<Box<RolledUp>> {
    let mut all: Option<Box<RolledUp>> = None;
    for rollup in files.filter_map(|file| file.output.rollup.as_ref()) {
        match &mut all {
            Some(all) => all.sums = all.sums.with(rollup.sums),
            None => all = Some(rollup.clone()),
        }
    }
    all
}

/// The first `count` row groups of `sources`, and the others.
fn halves(sources: &[Source], count: usize) -> (Vec<Source>, Vec<Source>) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let mut left = count;
    for source in sources {
        let cut = source.groups.start + left.min(source.groups.len());
        left -= cut - source.groups.start;
        let cut_row = source.first_row + source.file.rows_of(source.groups.start..cut);
        for (half, groups, first_row) in [
            (&mut first, source.groups.start..cut, source.first_row),
            (&mut second, cut..source.groups.end, cut_row),
        ] {
            if !groups.is_empty() {
                half.push(Source { groups, first_row, ..source.clone() });
            }
        }
    }
    (first, second)
}
