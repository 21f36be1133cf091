//! Groups as a file.

use std::ops::Range;
use std::sync::Arc;

use flowquet_format::{ColumnType, TIME_MAX_S, TIME_MIN_S, TWIN_SUFFIX, Types, utc_text};
use flowquet_parquet::{
    Column, EncodedColumn, EncodedRowGroup, Encoder, FileSchema, FileWriter, MergedHashes, even_row_groups,
};
use flowquet_store::Store;
use flowquet_table::{
    Digest, Duplicates, OutputRecord, RolledUp, RollupSums, TimeRange, compacted_key, output_name,
};

use super::group::{Group, Groups, Sums, TooLarge, pop_number, pop_text};
use super::layout::{Dimension, Layout};
use crate::context::{FormatContext, PlanContext};
use crate::error::Error;
use crate::file::{EndedFile, StagedFile, file_metadata};

/// Writes the files of a partition of a roll-up.
pub(super) struct Writer<'a> {
    pub(super) out: &'a dyn Store,
    pub(super) layout: &'a Layout,
    pub(super) folder: &'a str,
    pub(super) id: &'a str,
    /// What they are made of, without sums.
    pub(super) rolled_up: &'a RolledUp,
}

impl Writer<'_> {
    /// Writes groups as the file of this number, aside; none where there are none.
    pub(super) fn write(&self, groups: Groups, number: usize) -> Result<Option<OutputRecord>, Error> {
        let plan = PlanContext::new(&self.layout.options)?;
        let context = FormatContext::new(&Arc::new(self.layout.format.clone()), &plan);
        let schema = &context.file_schema;
        let groups = groups.sorted().map_err(|TooLarge { key, column }| {
            let (folder, group) = (self.folder.to_owned(), self.values(&key, schema));
            Error::GroupTooLarge { folder, column, group }
        })?;
        if groups.is_empty() {
            return Ok(None);
        }
        let rows: Vec<u32> = (0..groups.len() as u32).collect();
        let places = even_row_groups(rows.len(), plan.row_group_rows);
        let mut encoder = Encoder::new(plan.compression)?;
        let mut encoded: Vec<Vec<Option<EncodedColumn>>> =
            places.iter().map(|_| (0..schema.columns()).map(|_| None).collect()).collect();
        let mut hashes = MergedHashes::new(rows.len());
        let mut time = None;
        let mut left: Vec<&[u8]> = groups.iter().map(|(key, _)| key.as_ref()).collect();
        let mut put = |i: usize, column: &Column| -> Result<(), Error> {
            for (columns, places) in encoded.iter_mut().zip(&places) {
                columns[i] = Some(column.encode(i, &rows[places.clone()], schema, &mut encoder)?);
            }
            Ok(())
        };
        for name in self.layout.format.fields().iter().map(|field| field.column()) {
            let i = schema.position(name).expect("a column of its format");
            let column = self.column(name, schema.column_type(i), &groups, &mut left)?;
            hashes.add(name, &column);
            put(i, &column)?;
            if name == plan.time.field() {
                time = times(&column, 0..rows.len(), plan.types);
            }
            if let Some(twin) = schema.position(&format!("{name}{TWIN_SUFFIX}")) {
                put(twin, &column.twin())?;
            }
        }
        let all = |(columns, places): (Vec<Option<EncodedColumn>>, &Range<usize>)| {
            let columns = columns.into_iter().map(|column| column.expect("each was encoded above"));
            EncodedRowGroup::of(columns, places.len())
        };
        let encoded: Vec<EncodedRowGroup> = encoded.into_iter().zip(&places).map(all).collect();
        let key = output_name(self.folder, self.id, number);
        let aside = compacted_key(self.id, &key);
        let more = [
            ("flowquet.compaction", self.id),
            ("flowquet.rollup_of", &self.rolled_up.source),
            ("flowquet.rollup_by", &self.rolled_up.by),
        ];
        let metadata = file_metadata(&context.text, more);
        let file = StagedFile::begin(self.out, &aside)?;
        let mut writer = FileWriter::new(file, schema, &metadata)?;
        for group in encoded {
            writer.append(group)?;
        }
        let EndedFile { bytes, crc32, staged } = writer.finish()?.end(self.out, &aside)?;
        staged.commit()?;
        let sums = RollupSums::sum(groups.iter().map(|(_, sums)| RollupSums {
            flows: sums.flows.unsigned_abs(),
            packets: sums.packets.unwrap_or_default().into(),
            bytes: sums.bytes.unwrap_or_default().into(),
        }));
        Ok(Some(OutputRecord {
            key,
            partition: self.folder.into(),
            rows: rows.len() as u64,
            bytes,
            time,
            format: context.text.as_str().into(),
            digest: Some(Digest(hashes.digest())),
            duplicates: Duplicates::default(),
            rollup: Some(Box::new(RolledUp { sums, ..self.rolled_up.clone() })),
            crc32: Some(crc32),
        }))
    }

    /// What records of a group have in common: each column with its value, as text.
    fn values(&self, mut key: &[u8], schema: &FileSchema) -> Vec<(String, Option<String>)> {
        let unit = if self.layout.options.types == Types::Rich { 1000 } else { 1 };
        let mut value = |dimension: &Dimension| {
            let place = schema.position(&dimension.column).expect("a column of its format");
            let value = if schema.column_type(place) == ColumnType::String {
                pop_text(&mut key).map(|text| String::from_utf8_lossy(&text).into_owned())
            } else {
                let number = pop_number(&mut key);
                let time =
                    |number: i64| utc_text(number.div_euclid(unit)).filter(|_| dimension.bucket_s.is_some());
                number.map(|number| time(number).unwrap_or_else(|| number.to_string()))
            };
            (dimension.column.clone(), value)
        };
        self.layout.dimensions.iter().map(&mut value).collect()
    }

    /// A column of all groups. Of those that they are grouped by, each is taken off the front of `left`, what is left of their keys.
    fn column(
        &self,
        name: &str,
        column_type: ColumnType,
        groups: &[Group],
        left: &mut [&[u8]],
    ) -> Result<Column, Error> {
        let sums = |of: fn(&Sums) -> Option<i64>| groups.iter().map(|(_, sums)| of(sums)).collect();
        let numbers: Vec<Option<i64>> = match name {
            "flows" => sums(|s| Some(s.flows)),
            "packets" => sums(|s| s.packets),
            "bytes" => sums(|s| s.bytes),
            "first_start" => sums(|s| s.first_start),
            "last_end" => sums(|s| s.last_end),
            "tcp_flags" => sums(|s| s.tcp_flags),
            _ if column_type == ColumnType::String => {
                let texts: Vec<Option<Vec<u8>>> = left.iter_mut().map(pop_text).collect();
                let texts: Vec<Option<&[u8]>> = texts.iter().map(Option::as_deref).collect();
                return Column::of_texts(&texts).ok_or_else(|| {
                    Error::NotRolledUp(format!("the values of `{name}` are more than 2 GiB in one file"))
                });
            }
            _ => left.iter_mut().map(pop_number).collect(),
        };
        Ok(Column::of_numbers(&numbers, column_type))
    }
}

/// The range of times, of those between 2000 and 2100.
fn times(column: &Column, rows: Range<usize>, types: Types) -> Option<TimeRange> {
    let unit = if types == Types::Rich { 1000 } else { 1 };
    let (min, max) = column.bounds_within(rows, TIME_MIN_S * unit, TIME_MAX_S * unit)?;
    let text = |time: i64| utc_text(time.div_euclid(unit)).expect("within 2000 to 2100");
    Some(TimeRange { min: text(min), max: text(max) })
}
